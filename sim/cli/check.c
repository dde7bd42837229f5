/* moesim check: loads scenarios as `run` would, proves that they fit, and simulates nothing. */
#include "sim/cli/command.h"
#include "sim/cli/load.h"
#include "sim/cli/output.h"

typedef struct check_values {
    GPtrArray *sets;
    bool verbose, force_many;
} check_values;

#define AT(field) offsetof(check_values, field)

static const moe_option options[] = {
    {"set", 's', MOE_OPTION_LIST, AT(sets), "KEY=VALUE",
     .help = "Set a key, as for `run`; may be repeated."},
    {"verbose", 'v', MOE_OPTION_FLAG, AT(verbose),
     .help = "Shapes and memory of every run, not only of a file's first."},
    {"force-many", 0, MOE_OPTION_FLAG, AT(force_many), .help = "Allow sweeps above 10^6 runs."},
};

static void
print_scenario(const moe_loaded *loaded, bool every)
{
    size_t n = moe_scenario_runs(loaded->scenario);
    moe_out("%s: ok, %zu run%s", moe_scenario_path(loaded->scenario), n, n == 1 ? "" : "s");
    if (moe_expect_count(loaded->expectations))
        moe_out(", expectations: %zu", moe_expect_count(loaded->expectations));
    if (moe_plot_count(loaded->plots))
        moe_out(", figures: %zu", moe_plot_count(loaded->plots));
    moe_out("\n");
    for (size_t i = 0; i < (every ? n : 1); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_scenario_describe(loaded->scenario, i, text);
        moe_out("\n%s", text->str);
    }
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const check_values *values = data;
    moe_load_options load = {values->sets, NULL, values->force_many};
    g_autoptr(GPtrArray) loaded = moe_loaded_array();
    int code = moe_load_all("moesim check", operands, n, &load, loaded);
    for (size_t i = 0; code == MOE_EXIT_OK && i < loaded->len; i++) {
        moe_out_text(i ? "\n" : "");
        print_scenario(g_ptr_array_index(loaded, i), values->verbose);
    }
    return code;
}

const moe_command moe_check_command = {
    "check",
    "FILE…",
    1,
    SIZE_MAX,
    "Load scenarios, prove that every run fits its hardware, and simulate nothing.",
    "Reports every mistake with its place; exit code 1 if there is one.\n"
    "\n"
    "  moesim check scenarios/quickstart.yaml\n",
    options,
    MOE_COUNT(options),
    sizeof(check_values),
    run,
    NULL};
