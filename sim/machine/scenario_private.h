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
    GPtrArray *override_docs, *override_keys; /* --set KEY=VALUE: equally many of each */
    moe_settings *base;
    moe_sweep *sweep;
    GPtrArray *swept; /* keys that tell runs apart: swept ones, leaves of swept sections */
    size_t n_runs;
    moe_prepared *runs;
    /* shared by runs, by name or key; filled while loading */
    GHashTable *models, *hardware, *traces, *schedules;
    /* bounds that runs share, by key: filled while running, under the lock */
    GHashTable *least;
    GMutex lock;
};

/* expand.c: what the axes of a sweep mean for settings. */
/* Sets what the command line says. */
void moe_scenario_override(const moe_scenario *scenario, moe_settings *settings, moe_diag *diag);
/* Checks keys and values of all axes and finds the swept keys; false after messages. */
bool moe_scenario_sweep(moe_scenario *scenario, moe_diag *diag);
/* Sets the swept keys of run i, then what the command line says, and notes the canonical texts. */
void moe_scenario_sweep_run(const moe_scenario *scenario, moe_prepared *run, size_t i,
                            moe_diag *diag);

#endif
