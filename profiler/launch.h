/* Runs a program so that it is recorded: libmoesim_inject.so is named to CUDA and NVTX by their
 * environment variables, the engines' hook to Python by PYTHONPATH. What the program records lands
 * in a folder of raw logs (inject/rawlog.h), which profile.h decodes; it stays there whatever
 * becomes of this process. */
#ifndef MOE_PROFILER_LAUNCH_H
#define MOE_PROFILER_LAUNCH_H

#include "sim/base/base.h"

#include <glib.h>

/* What is recorded: X(name, bit, what it is). The names are those of MOESIM_TRACE. */
#define MOE_LAUNCH_KINDS(X)                                                                        \
    X(kernel, 0, "kernels")                                                                        \
    X(memop, 1, "copies and memory sets")                                                          \
    X(api, 2, "calls of CUDA")                                                                     \
    X(nvtx, 3, "ranges of NVTX")                                                                   \
    X(route, 4, "routing of engines")

enum {
#define MOE_LAUNCH_BIT(name, bit, what) MOE_LAUNCH_##name = 1 << (bit),
    MOE_LAUNCH_KINDS(MOE_LAUNCH_BIT)
#undef MOE_LAUNCH_BIT
        MOE_LAUNCH_cuda = MOE_LAUNCH_kernel | MOE_LAUNCH_memop | MOE_LAUNCH_api,
    MOE_LAUNCH_all = MOE_LAUNCH_cuda | MOE_LAUNCH_nvtx | MOE_LAUNCH_route
};
/* The names, in the order of their bits; ended by NULL. */
extern const char *const moe_launch_kinds[];

typedef struct moe_launch_config {
    const char *folder;   /* of the raw logs: there, and empty */
    const char *inject;   /* libmoesim_inject.so; NULL: nothing is recorded */
    const char *hook;     /* the folder of the Python hook; NULL: no hook */
    unsigned trace;       /* of the bits above */
    const char *counters; /* metrics of the range profiler, by commas; NULL: none */
    bool whole_graphs;    /* launches of CUDA graphs, not the kernels inside */
    const char *engine;   /* auto, hf, vllm, sglang, none */
    const char *range;    /* MOESIM_RANGE; NULL: all */
    int64_t delay_ms, duration_ms, max_buffer_mib; /* 0: as the injector has it */
    const char *const *set;                        /* KEY=VALUE for the program */
    size_t n_set;
} moe_launch_config;

/* $MOESIM_INJECT_LIB, or beside the executable; yours, NULL when it is nowhere. */
char *moe_launch_find_inject(void);
/* The folder with sitecustomize.py; yours, NULL when it is nowhere. */
char *moe_launch_find_hook(void);

/* The names of injection variables that `env`, or the config's own KEY=VALUE, set already and that
 * the config would set: "A and B". Yours; NULL when there is none. */
char *moe_launch_taken(const moe_launch_config *config, const char *const *env);
/* `env` with what the config adds; yours (g_strfreev). */
char **moe_launch_environment(const moe_launch_config *config, const char *const *env);

typedef struct moe_launch_end {
    int failed;      /* errno: it could not be started; then nothing else is known */
    int status;      /* as of waitpid */
    int64_t wall_ns; /* from before its start until it was reaped */
    int32_t pid;
    int forwarded; /* the last signal that was sent on to it; 0: none */
} moe_launch_end;

/* 0 where `name` can be run, looked for in env's PATH; else the errno that says why not. */
int moe_launch_missing(const char *name, const char *const *env);

/* Starts argv[0] (looked for in env's PATH) with this process's standard streams and waits for it.
 * Until then SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 that are sent to this process
 * are sent on; those of the terminal reach the program by themselves. */
void moe_launch_run(const char *const *argv, const char *const *env, moe_launch_end *end);
/* What this program should end with, as env(1) does: the program's own status, 128 + the signal
 * that ended it, 127 not found, 126 not to be run, 125 any other failure. */
int moe_launch_exit_status(const moe_launch_end *end);

#endif
