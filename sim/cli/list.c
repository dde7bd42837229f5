/* moesim list: what can be named in a scenario. */
#include "hw/hardware.h"
#include "models/model.h"
#include "sim/base/data.h"
#include "sim/base/units.h"
#include "profiler/measured.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/machine/scenario.h"
#include "sim/policy/policy.h"
#include "traces/export/export.h"
#include "traces/import/import.h"
#include "traces/stats/statistic.h"
#include "traces/transform/transform.h"

#include <string.h>

typedef struct list_values {
    bool verbose;
} list_values;

static const moe_option options[] = {
    {"verbose", 'v', MOE_OPTION_FLAG, offsetof(list_values, verbose),
     .help = "Everything there is to say: shapes, sources, parameters; estimates are marked."},
};

/* ---- models ---- */

static void
add_model(const char *name, const moe_model *model, bool verbose, moe_grid *grid)
{
    if (verbose) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_model_describe(model, text);
        moe_out("%s\n", text->str);
        return;
    }
    const moe_stack *stack = moe_model_decoder(model);
    const moe_ffn *ffn = NULL;
    for (int i = 0; i < stack->n_layers && !ffn; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE)
            ffn = &stack->layers[i].ffn;
    g_autofree char *total = moe_format_count((double)moe_model_total(model));
    g_autofree char *active = moe_format_count((double)moe_model_active(model, model->counting));
    moe_grid_add(grid, name);
    moe_grid_addf(grid, "%s parameters", total);
    moe_grid_addf(grid, "%s active", active);
    moe_grid_addf(grid, "%d MoE layers", stack->n_moe);
    moe_grid_addf(grid, "%d experts, top-%d", ffn ? ffn->experts : 0, ffn ? ffn->top_k : 0);
}

static int
list_models(bool verbose)
{
    g_auto(GStrv) names = moe_data_presets("models/presets");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_grid) grid = moe_grid_new(5);
    GError *error = NULL;
    for (size_t i = 0; !error && names[i]; i++) {
        g_autoptr(moe_model_set) set = moe_model_load(names[i], NULL, (moe_loc){0}, diag, &error);
        if (set)
            add_model(names[i], moe_model_get(set), verbose, grid);
    }
    moe_grid_print(grid, false, "  ");
    int code = moe_say_diag(diag);
    return error ? moe_say_error(error) : code;
}

/* ---- hardware ---- */

static void
add_hardware(const char *name, const moe_hardware_set *set, bool verbose, moe_grid *grid)
{
    const moe_hardware *hw = moe_hardware_get(set);
    if (verbose) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_hardware_describe(set, true, text);
        moe_out("%s\n", text->str);
        return;
    }
    g_autoptr(GString) places = g_string_new(NULL);
    for (int i = 0; i < hw->n_places; i++) {
        g_autofree char *size = moe_format_bytes(hw->places[i].capacity);
        g_string_append_printf(places, "%s%s %s", i ? ", " : "", hw->places[i].name, size);
    }
    moe_grid_add(grid, name);
    moe_grid_add(grid, hw->devices[0].name);
    moe_grid_add(grid, places->str);
}

static int
list_hardware(bool verbose)
{
    g_auto(GStrv) names = moe_data_presets("hw/presets");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_grid) grid = moe_grid_new(3);
    GError *error = NULL;
    for (size_t i = 0; !error && names[i]; i++) {
        g_autoptr(moe_hardware_set) set =
            moe_hardware_load(names[i], NULL, (moe_loc){0}, diag, &error);
        if (set)
            add_hardware(names[i], set, verbose, grid);
    }
    moe_grid_print(grid, false, "  ");
    int code = moe_say_diag(diag);
    return error ? moe_say_error(error) : code;
}

/* ---- kernels ---- */

/* "experts bf16 fp8": the arithmetic types of the kernels of one family, each once. */
#define ADD_DTYPES(text, kernels, family)                                                          \
    for (uint32_t i = 0, seen = 0; i < (kernels)->n_##family; i++) {                               \
        int dtype = (kernels)->family[i].dtype;                                                    \
        if (!seen)                                                                                 \
            g_string_append(text, #family);                                                        \
        if (!(seen >> dtype & 1))                                                                  \
            g_string_append_printf(text, " %s", moe_kernel_dtype_name(dtype));                     \
        seen |= UINT32_C(1) << dtype;                                                              \
    }

static void
add_kernels(const moe_kernels *kernels, bool verbose, moe_grid *grid)
{
    g_autoptr(GString) gemm = g_string_new(NULL);
    g_autoptr(GString) experts = g_string_new(NULL);
    g_autoptr(GString) attention = g_string_new(NULL);
    ADD_DTYPES(gemm, kernels, gemm);
    ADD_DTYPES(experts, kernels, experts);
    ADD_DTYPES(attention, kernels, attention);
    moe_grid_add(grid, kernels->name);
    moe_grid_add(grid, gemm->str);
    moe_grid_add(grid, experts->str);
    moe_grid_add(grid, attention->str);
    if (verbose)
        moe_out("  %s: %s\n", kernels->name, kernels->source);
}

static int
list_kernels(bool verbose)
{
    g_auto(GStrv) names = moe_data_presets("hw/kernels");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_grid) grid = moe_grid_new(4);
    GError *error = NULL;
    for (size_t i = 0; !error && names[i]; i++) {
        g_autoptr(moe_kernels_set) set =
            moe_kernels_load(names[i], NULL, (moe_loc){0}, diag, &error);
        if (set)
            add_kernels(moe_kernels_get(set), verbose, grid);
    }
    if (verbose)
        moe_out("\n");
    moe_grid_print(grid, false, "  ");
    int code = moe_say_diag(diag);
    return error ? moe_say_error(error) : code;
}

/* ---- policies and metrics ---- */

static void
print_policy(const moe_variant *policy, bool verbose)
{
    moe_out("  %-18s", policy->name);
    moe_out_wrapped(policy->help, 20, 20);
    for (size_t r = 0; verbose && r < policy->n_rows; r++) {
        const moe_param *row = &policy->rows[r];
        moe_out("%20s%s%s%s: ", "", row->key, row->fallback ? " = " : "",
                row->fallback ? row->fallback : "");
        moe_out_wrapped(row->help, 30 + strlen(row->key), 24);
    }
}

static int
list_policies(bool verbose)
{
    for (int kind = 0; kind < MOE_POLICY_KINDS; kind++) {
        size_t n;
        const moe_variant *const *policies = moe_policy_list((moe_policy_kind)kind, &n);
        moe_out("%s%s: %s\n", kind ? "\n" : "", moe_policy_kind_name((moe_policy_kind)kind),
                moe_policy_kind_question((moe_policy_kind)kind));
        for (size_t i = 0; i < n; i++)
            print_policy(policies[i], verbose);
    }
    return MOE_EXIT_OK;
}

static int
list_metrics(bool verbose)
{
    size_t n;
    const moe_metric_info *metrics = moe_metrics(&n);
    for (size_t i = 0; i < n; i++) {
        moe_out("  %-26s%-12s", metrics[i].name, metrics[i].unit);
        moe_out_wrapped(metrics[i].help, 40, 40);
        if (verbose)
            moe_out("%40s%s is better\n", "", metrics[i].higher_is_better ? "higher" : "lower");
    }
    return MOE_EXIT_OK;
}

/* ---- importers ---- */

static void
list_importers_of(bool requests)
{
    for (size_t i = 0; moe_importers[i]; i++) {
        if ((moe_importers[i]->requests != NULL) != requests)
            continue;
        moe_out("  %-15s", moe_importers[i]->name);
        moe_out_wrapped(moe_importers[i]->help, 17, 17);
    }
}

static int
list_importers(bool verbose)
{
    moe_out("routing:\n");
    list_importers_of(false);
    moe_out("\nrequests:\n");
    list_importers_of(true);
    return MOE_EXIT_OK;
}

/* ---- statistics ---- */

static int
list_statistics(bool verbose)
{
    for (int g = 0, s = 0; g < MOE_N_STATISTIC_GROUPS; g++) {
        const char *name = moe_statistic_group_name((moe_statistic_group)g);
        moe_out("%s%s: ", g ? "\n" : "", name);
        moe_out_wrapped(moe_statistic_group_help((moe_statistic_group)g), strlen(name) + 2, 4);
        for (; s < MOE_N_STATISTICS; s++) {
            const moe_statistic_info *info = moe_statistic_get((moe_statistic)s);
            if ((int)info->group != g)
                break;
            moe_out("  %-27s%-11s", info->name, info->unit);
            moe_out_wrapped(info->help, 40, 40);
            if (verbose && *info->parameters)
                moe_out("%40sparameter %s%s\n", "", info->parameters,
                        info->interval ? "; with NAME_low, NAME_high" : "");
            if (verbose && *info->source)
                moe_out("%40s%s\n", "", info->source);
        }
    }
    return MOE_EXIT_OK;
}

/* ---- transforms ---- */

static int
list_transforms(bool verbose)
{
    for (size_t i = 0; i < MOE_N_TRANSFORMS; i++) {
        const moe_transform_ops *ops = moe_transforms[i]->ops;
        print_policy(moe_transforms[i], verbose);
        g_autofree char *text =
            g_strdup_printf("stage %s%s. %s", moe_transform_stage_name(ops->stage),
                            ops->factual ? "" : ", counterfactual", ops->conserves);
        if (verbose)
            moe_out("%20s", "");
        if (verbose)
            moe_out_wrapped(text, 20, 24);
    }
    return MOE_EXIT_OK;
}

static int
list_exporters(bool verbose)
{
    for (size_t i = 0; moe_exporters[i]; i++) {
        moe_out("  %-14s", moe_exporters[i]->name);
        moe_out_wrapped(moe_exporters[i]->help, 16, 16);
    }
    return MOE_EXIT_OK;
}

/* Layouts of measured tables. */
static int
list_tables(bool verbose)
{
    const char *help = NULL, *name;
    for (size_t i = 0; (name = moe_measured_layout(i, &help)); i++) {
        moe_out("  %s\n    ", name);
        moe_out_wrapped(help, 4, 4);
    }
    return MOE_EXIT_OK;
}

/* ---- the command ---- */

typedef struct listing {
    const char *name, *title;
    int (*list)(bool verbose);
} listing;

static const listing listings[] = {
    {"models", "models (model: NAME)", list_models},
    {"hardware", "hardware (hardware: NAME)", list_hardware},
    {"kernels", "kernels (kernels: NAME)", list_kernels},
    {"policies", "policies (experts.*.kind: NAME, evict: NAME)", list_policies},
    {"metrics", "metrics (expect, plot, the table of results)", list_metrics},
    {"transforms", "transforms (routing.transform, moesim trace transform --step)",
     list_transforms},
    {"importers", "importers (moesim trace import --format NAME)", list_importers},
    {"exporters", "exporters (moesim trace export --format NAME)", list_exporters},
    {"statistics", "statistics (trace stats)", list_statistics},
    {"tables", "tables (moesim validate, moesim calibrate; besides our own)", list_tables},
};

static int
list_all(bool verbose)
{
    int code = MOE_EXIT_OK;
    for (size_t i = 0; i < MOE_COUNT(listings); i++) {
        moe_out("%s%s\n\n", i ? "\n" : "", listings[i].title);
        int failed = listings[i].list(verbose);
        code = code ? code : failed;
    }
    return code;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const list_values *values = data;
    if (n == 0)
        return list_all(values->verbose);
    const char *names[MOE_COUNT(listings)];
    for (size_t i = 0; i < MOE_COUNT(listings); i++) {
        if (!strcmp(listings[i].name, operands[0]))
            return listings[i].list(values->verbose);
        names[i] = listings[i].name;
    }
    const char *close = moe_suggest(operands[0], names, MOE_COUNT(names));
    return moe_say_usage("moesim list", "nothing is listed under '%s'%s%s%s", operands[0],
                         close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "");
}

const moe_command moe_list_command = {
    "list",
    "[models|hardware|kernels|policies|metrics|transforms|importers|exporters|statistics|tables]",
    0,
    1,
    "What can be named: models, hardware, kernels, policies, metrics, transforms, formats, "
    "statistics.",
    "  moesim list\n"
    "  moesim list hardware -v\n",
    options,
    MOE_COUNT(options),
    sizeof(list_values),
    run,
    NULL};
