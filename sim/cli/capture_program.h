/* moesim capture -- PROGRAM, between its options, its run and its report. */
#ifndef MOE_CLI_CAPTURE_PROGRAM_H
#define MOE_CLI_CAPTURE_PROGRAM_H

#include "profiler/launch.h"
#include "profiler/probe.h"
#include "profiler/profile.h"
#include "sim/cli/command.h"

/* Exit codes beside the program's own and those of env(1). */
enum {
    MOE_EXIT_NOT_CAPTURED = 3, /* --require-gpu, --strict */
    MOE_EXIT_LOSSY = 4,        /* --strict */
    MOE_EXIT_OUTPUT = 5,       /* what was recorded could not be written */
    MOE_EXIT_LAUNCH = 125,     /* nothing was run */
};

typedef struct moe_program_values {
    const char *output, *trace, *range, *delay, *duration;
    GPtrArray *env;
    int64_t max_buffer;
    int engine, graph;
    bool force, keep_raw, strict, require_gpu, overhead, check, probe;
} moe_program_values;

typedef struct moe_program_job {
    const moe_program_values *values;
    const char *const *argv;         /* ended by NULL */
    const char *const *environment;  /* moesim's own, ended by NULL */
    char *folder, *database, *trace; /* NAME.d, NAME.db; NAME.safetensors or NULL */
    char *inject, *hook;
    int lock; /* of the folder; 0: none */
    moe_launch_config launch;
    moe_launch_end plain, end; /* without and with recording */
    moe_profile_summary summary;
} moe_program_job;

/* Whether the words after "capture" are of this form. */
bool moe_capture_is_program(int argc, const char *const *argv);

/* What this machine says, asked in a process of its own that gets the variables of `env`; NULL
 * after a message. */
moe_probe *moe_capture_probe(const char *const *env);
/* moesim capture --check; the exit code. */
int moe_capture_check(const moe_program_job *job);

/* Makes room: the folder is there, empty, and locked (flock) until moe_capture_leave, or until this
 * process ends; the exit code after a message. */
int moe_capture_room(moe_program_job *job);
void moe_capture_leave(moe_program_job *job);
/* Removes the raw logs, and their folder when nothing else is in it. */
void moe_capture_clear(const moe_program_job *job);
/* How long each raw log is now, by name; asked before they are decoded. */
GHashTable *moe_capture_logs(const moe_program_job *job);
/* As moe_capture_clear, but logs that are not in `decoded`, or have grown since, stay; how many. */
size_t moe_capture_clear_decoded(const moe_program_job *job, GHashTable *decoded);

/* Decodes, reports and says what this program ends with. */
int moe_capture_finish(moe_program_job *job);

#endif
