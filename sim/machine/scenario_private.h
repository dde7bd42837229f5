/* A loaded scenario. Private to sim/machine. */
#ifndef MOE_MACHINE_SCENARIO_PRIVATE_H
#define MOE_MACHINE_SCENARIO_PRIVATE_H

#include "sim/machine/plan.h"
#include "sim/machine/scenario.h"
#include "sim/machine/sweep.h"

typedef struct moe_prepared {
    moe_run public;
    moe_settings *settings;
    moe_plan plan;
} moe_prepared;

struct moe_scenario {
    char *path, *folder, *name;
    moe_yaml_doc *doc;
    GPtrArray *override_docs;
    moe_settings *base;
    moe_sweep *sweep;
    size_t n_runs;
    moe_prepared *runs;
    /* shared by runs, by name or key; filled while loading */
    GHashTable *models, *hardware, *traces, *schedules;
    /* bounds that runs share, by key: filled while running, under the lock */
    GHashTable *least;
    GMutex lock;
};

#endif
