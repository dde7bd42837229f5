/* The command line as tables: a command is a row, its options are rows, and parsing, help,
 * "did you mean" and the usage line come from them.
 *
 * Options may stand anywhere, as --name VALUE, --name=VALUE, -j4 or -j 4; `--` ends them. Values
 * are written into a struct of the command's own. sim/cli is the only part of moesim that prints
 * and that decides the exit code. */
#ifndef MOE_CLI_COMMAND_H
#define MOE_CLI_COMMAND_H

#include "sim/base/base.h"

#include <glib.h>

enum {
    MOE_EXIT_OK = 0,
    MOE_EXIT_INPUT = 1,       /* the user's input is wrong: located messages */
    MOE_EXIT_USAGE = 2,       /* the command line is wrong: one line and a hint */
    MOE_EXIT_ENVIRONMENT = 3, /* files, disks, databases, programs */
    MOE_EXIT_EXPECTATION = 4, /* an expectation was missed */
    MOE_EXIT_SIGNAL = 128,    /* plus the signal's number */
};

typedef enum moe_option_kind {
    MOE_OPTION_FLAG, /* bool */
    MOE_OPTION_TEXT, /* const char *, NULL when absent */
    MOE_OPTION_INT,  /* int64_t, `preset` when absent */
    MOE_OPTION_LIST, /* GPtrArray * of borrowed texts, never NULL; may be repeated */
    MOE_OPTION_ENUM, /* int: index into `choices`, left alone (0) when absent */
} moe_option_kind;

typedef struct moe_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    moe_option_kind kind;
    size_t offset;
    const char *value;   /* what the help calls its value; NULL: a flag */
    const char *choices; /* ENUM: '|'-separated */
    int64_t min, max;    /* INT */
    const char *help;
    int64_t preset; /* INT */
} moe_option;

/* The option of every command that writes a file of its own: without it, none is replaced. */
#define MOE_OPTION_FORCE(letter, offset)                                                           \
    {                                                                                              \
        "force", letter, MOE_OPTION_FLAG, offset, .help = "Replace what stands there already."     \
    }

typedef struct moe_command moe_command;
struct moe_command {
    const char *name;
    const char *operands; /* "FILE…", "" */
    size_t min_operands, max_operands;
    const char *summary; /* one line, for the list of commands */
    const char *details; /* paragraphs and examples; may be NULL */
    const moe_option *options;
    size_t n_options;
    size_t size; /* of the struct that the options fill; zeroed before */
    int (*run)(const void *values, const char *const *operands, size_t n);
    const moe_command *const *children; /* sub-commands, NULL-terminated; then no `run` */
    /* A second form of the command, with options of its own; its operands stand behind "--".
     * `is_other`: whether these words, those after the command's name, are of it. */
    const moe_command *other;
    bool (*is_other)(int argc, const char *const *argv);
    const char *form; /* of a command with two forms: how each is called, for messages */
};

/* Every command, NULL-terminated. */
extern const moe_command *const moe_commands[];
extern const moe_command moe_run_command, moe_check_command, moe_explain_command, moe_list_command,
    moe_schema_command, moe_help_command, moe_plot_command, moe_capture_command, moe_trace_command,
    moe_capture_program_command, moe_trace_mrc_command, moe_trace_import_command,
    moe_trace_stats_command;
extern const moe_command moe_trace_transform_command, moe_trace_score_command,
    moe_trace_bits_command, moe_trace_export_command;
extern const moe_command moe_trace_replay_command, moe_counters_command;
extern const moe_command moe_profile_command, moe_calibrate_command, moe_probe_command;
extern const moe_command moe_validate_command;
/* Of `moesim profile`. */
extern const moe_command moe_profile_stats_command, moe_profile_plot_command,
    moe_profile_timeline_command;
extern const moe_command moe_trace_fit_command, moe_trace_synth_command, moe_trace_compare_command;

/* Parses the words after the command's own name and runs it (or its sub-command); returns the exit
 * code. `path` is how the user called it: "moesim trace mrc". */
int moe_command_main(const moe_command *command, const char *path, int argc,
                     const char *const *argv);
/* The command named `name` in a NULL-terminated list, or NULL after a usage message. */
const moe_command *moe_command_find(const moe_command *const *list, const char *path,
                                    const char *name);
void moe_command_help(const moe_command *command, const char *path);

#endif
