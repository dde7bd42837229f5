/* Scenarios with their sections, as `run`, `check`, `explain` and `plot` need them. */
#ifndef MOE_CLI_LOAD_H
#define MOE_CLI_LOAD_H

#include "analysis/expect.h"
#include "analysis/plot.h"
#include "sim/machine/scenario.h"

typedef struct moe_loaded {
    moe_scenario *scenario;
    const char *name; /* its title, else the file's */
    char *stem;       /* of the file's name: default name of database and figures */
    moe_frame *frame;
    moe_expectations *expectations;
    moe_plots *plots;
    char *text, *overrides; /* what it was read from: the file, and KEY=VALUE lines */
    char *source;           /* hash of both */
} moe_loaded;

/* What the user asked to change: --set and --seed. */
typedef struct moe_load_options {
    const GPtrArray *sets; /* "KEY=VALUE" */
    const char *seed;      /* NULL: as written */
    bool allow_many;
} moe_load_options;

/* Loads all files, prints every message, and appends to `loaded` (made with moe_loaded_array).
 * `path` is the command, for usage messages. Returns 0 or an exit code. */
int moe_load_all(const char *path, const char *const *files, size_t n,
                 const moe_load_options *options, GPtrArray *loaded);
GPtrArray *moe_loaded_array(void);

/* Names and units of all metrics, NULL-terminated; made once. */
const char *const *moe_metric_names(size_t *n);
const char *const *moe_metric_units(void);

#endif
