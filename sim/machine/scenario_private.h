/* A loaded scenario. Private to sim/machine. */
#ifndef MOE_MACHINE_SCENARIO_PRIVATE_H
#define MOE_MACHINE_SCENARIO_PRIVATE_H

#include "sim/machine/machine.h"
#include "sim/machine/plan.h"
#include "sim/machine/scenario.h"
#include "sim/machine/sweep.h"

typedef struct moe_prepared {
    moe_run public;
    size_t point; /* of the sweep */
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
    GHashTable *models, *hardware, *kernels, *traces, *schedules;
    GHashTable *joined; /* of kernels: with what the hardware names behind them */
    /* bounds that runs share, by key: filled while running, under the lock */
    GHashTable *least;
    GMutex lock;
};

/* routing.c: the routing of runs, shared by what it is made from: a trace, or routing made up for
 * the model, transformed as `routing.transform` says. */
typedef struct moe_shared_routing {
    moe_routing_file *file; /* after the rows and tokens stages */
    const moe_routing_file *source;
    moe_dispatch *dispatch; /* NULL: no dispatch stage */
    bool counterfactual;
    double *sizes;  /* [n_layers * n_experts]: see moe_transform_apply; NULL: all 1 */
    char *identity; /* of the transforms: their sources, and the contents of files they read */
} moe_shared_routing;

/* Borrowed from the scenario; NULL with messages or error. `locate` as in moe_plan_make. */
const moe_shared_routing *moe_scenario_routing(moe_scenario *scenario, const moe_prepared *run,
                                               const moe_model *model, moe_locate *locate,
                                               const void *context, moe_diag *diag, GError **error);
void moe_scenario_routing_free(moe_shared_routing *shared);

/* scenario.c: where run i gets the value of `key` from. */
moe_loc moe_scenario_locate(const moe_scenario *scenario, size_t i, const char *key);

/* warn.c: once all runs are known. */
void moe_scenario_warn(const moe_scenario *scenario, moe_diag *diag);

/* simulate.c: the error of a run whose machine stopped because simulated time ended. */
void moe_scenario_endless(const moe_scenario *scenario, size_t i, const moe_machine *machine,
                          moe_diag *diag);

/* expand.c: what the axes of a sweep mean for settings. */
/* Sets what the command line says. */
void moe_scenario_override(const moe_scenario *scenario, moe_settings *settings, moe_diag *diag);
/* Checks keys and values of all axes and finds the swept keys; false after messages. */
bool moe_scenario_sweep(moe_scenario *scenario, moe_diag *diag);
/* Sets the swept keys of run i, then what the command line says, and notes the canonical texts. */
void moe_scenario_sweep_run(const moe_scenario *scenario, moe_prepared *run, size_t i,
                            moe_diag *diag);

#endif
