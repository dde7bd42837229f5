/* Scenarios: one YAML document -> the runs of its sweep, each with its settings and identity.
 *
 * A scenario owns everything it loaded (settings, models, hardware, traces); runs share models,
 * hardware, traces and schedules, which are immutable. Running and checking are thread-safe for
 * different runs of one scenario.
 *
 * Sections `expect` and `plot` are kept as YAML for analysis/; moe_scenario_canonical gives their
 * keys and values the spelling that the store uses. */
#ifndef MOE_MACHINE_SCENARIO_H
#define MOE_MACHINE_SCENARIO_H

#include "sim/base/param.h"
#include "sim/core/sink.h"

/* Raised whenever a golden number moves; part of every run's identity. */
#define MOE_SEMANTICS 6

typedef struct moe_scenario moe_scenario;

typedef struct moe_override {
    const char *key, *value; /* from --set KEY=VALUE */
} moe_override;

/* One run of a scenario; borrowed from it. */
typedef struct moe_run {
    const char *identity; /* 64 hex digits */
    size_t n_swept;
    const char *const *keys;   /* canonical swept keys, in order of writing */
    const char *const *values; /* their canonical values in this run */
    uint64_t seed;
    bool counterfactual; /* its routing was transformed, not only cut or sampled */
    bool energy;         /* its energy is asked for, and known */
    const char *const
        *details; /* NULL-terminated: tables it fills beyond the summary's (`store`) */
} moe_run;

typedef void moe_run_progress(void *context, double share_done);

/* The scenario's parameter table, for help, schema and the README. */
const moe_param_table *moe_scenario_table(void);

/* Loads `path`, applies the overrides (they win over the file and over its sweep), expands the
 * sweep, resolves models, hardware and traces, and proves every run feasible. `allow_many` lifts
 * the limit of 10^6 runs. NULL with messages in diag, or with error. */
moe_scenario *moe_scenario_load(const char *path, const moe_override *overrides, size_t n,
                                bool allow_many, moe_diag *diag, GError **error);
void moe_scenario_free(moe_scenario *scenario);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_scenario, moe_scenario_free)

const char *moe_scenario_name(const moe_scenario *scenario);
const char *moe_scenario_path(const moe_scenario *scenario);
size_t moe_scenario_runs(const moe_scenario *scenario);
const moe_run *moe_scenario_run(const moe_scenario *scenario, size_t i);
/* "expect", "plot": the YAML below the key, or NULL. */
const moe_yaml *moe_scenario_section(const moe_scenario *scenario, const char *key);
/* Canonical spelling of a key (borrowed) and of a value (yours). False after a located error. */
bool moe_scenario_canonical(const moe_scenario *scenario, const char *key, const moe_yaml *value,
                            moe_loc at, const char **canonical_key, char **canonical_value,
                            moe_diag *diag);
/* Memory accounts and shapes of run i as text, for `check` and `explain`. */
void moe_scenario_describe(const moe_scenario *scenario, size_t i, GString *out);

/* Simulates run i; the result is yours. NULL, with an error in diag at what the scenario says of
 * the hardware, when simulated time ends before the run does; nothing else can fail once loaded. */
moe_result *moe_scenario_simulate(const moe_scenario *scenario, size_t i,
                                  moe_run_progress *progress, void *context, moe_diag *diag);
/* Simulates up to `step` and prints that step: each task with its formula, resource, start and
 * end, then the critical path. False when the run has fewer steps (*n_steps says how many), or
 * with an error in diag as above. */
bool moe_scenario_explain(const moe_scenario *scenario, size_t i, uint32_t step, GString *out,
                          uint32_t *n_steps, moe_diag *diag);

/* The metrics a run reports: name, unit, what it is; higher_is_better for plots and tables. */
typedef struct moe_metric_info {
    const char *name, *unit, *help;
    bool higher_is_better;
} moe_metric_info;
const moe_metric_info *moe_metrics(size_t *n);

#endif
