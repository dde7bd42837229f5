/* moesim explain: one step of one run, task by task. */
#include "sim/cli/command.h"
#include "sim/cli/load.h"
#include "sim/cli/output.h"

#include <string.h>

typedef struct explain_values {
    GPtrArray *sets;
    int64_t step, run;
} explain_values;

#define AT(field) offsetof(explain_values, field)

static const moe_option options[] = {
    {"step", 0, MOE_OPTION_INT, AT(step), "N", NULL, 0, UINT32_MAX - 1,
     "Which step, from 0; the first by default."},
    {"run", 'r', MOE_OPTION_INT, AT(run), "N", NULL, 0, UINT32_MAX,
     "Which run of the sweep, from 0; the first by default."},
    {"set", 's', MOE_OPTION_LIST, AT(sets), "KEY=VALUE",
     .help = "Set a key, as for `run`; may be repeated."},
};

static int
explain(const moe_loaded *loaded, const explain_values *values)
{
    size_t n = moe_scenario_runs(loaded->scenario);
    if ((size_t)values->run >= n)
        return moe_say_usage("moesim explain", "--run %lld: the scenario has %zu run%s, 0 to %zu",
                             (long long)values->run, n, n == 1 ? "" : "s", n - 1);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    uint32_t n_steps = 0;
    bool explained = moe_scenario_explain(loaded->scenario, (size_t)values->run,
                                          (uint32_t)values->step, text, &n_steps, diag);
    moe_diag_source(diag, moe_scenario_path(loaded->scenario), loaded->text, strlen(loaded->text));
    if (moe_diag_errors(diag))
        return moe_say_diag(diag);
    if (!explained)
        return moe_say_usage("moesim explain", "--step %lld: the run has %u steps, 0 to %u",
                             (long long)values->step, n_steps, n_steps - 1);
    moe_out_text(text->str);
    return MOE_EXIT_OK;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const explain_values *values = data;
    moe_load_options load = {.sets = values->sets};
    g_autoptr(GPtrArray) loaded = moe_loaded_array();
    int code = moe_load_all("moesim explain", operands, n, &load, loaded);
    return code == MOE_EXIT_OK ? explain(g_ptr_array_index(loaded, 0), values) : code;
}

const moe_command moe_explain_command = {
    "explain",
    "FILE",
    1,
    1,
    "Print one step's tasks with the formulas of their times, and its critical path.",
    "  moesim explain scenarios/quickstart.yaml --step 70\n"
    "  moesim explain scenarios/quickstart.yaml --set experts.cache.evict=lru --step 70\n",
    options,
    MOE_COUNT(options),
    sizeof(explain_values),
    run,
    NULL};
