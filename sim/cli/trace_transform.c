/* moesim trace transform: cut, sample, merge and change traces. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/trace.h"
#include "traces/transform/join.h"
#include "traces/transform/transform.h"

#include <string.h>

typedef struct transform_values {
    const char *output;
    GPtrArray *steps;
    bool force;
} transform_values;

#define AT(field) offsetof(transform_values, field)

static const moe_option options[] = {
    {"step", 's', MOE_OPTION_LIST, AT(steps), "STEP",
     .help = "What to do, as in a scenario's routing.transform: a kind, or {kind: …, …}. May be "
             "repeated; steps are done in order."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "OUT",
     .help = "The trace to write (.safetensors)."},
    MOE_OPTION_FORCE('f', AT(force)),
};

/* The steps as a scenario would have them: a list, one element per --step. */
typedef struct steps_table {
    moe_list steps;
} steps_table;

static const moe_param rows[] = {
    {"steps", MOE_PARAM_LIST, 0, NULL, .stride = sizeof(moe_choice), .max_items = 64,
     .help = "Steps, in order."},
    {"steps.*.kind", MOE_PARAM_CHOICE, 0, NULL, .variants = moe_transforms,
     .n_variants = MOE_N_TRANSFORMS, .unit = "transform", .flags = MOE_PARAM_REQUIRED,
     .help = "What the step does."},
};
static const moe_param_table table = {"transform", rows, MOE_COUNT(rows), sizeof(steps_table)};

/* "top-k" alone means {kind: top-k}. */
static moe_yaml_doc *
parse_step(const char *text, guint number, moe_diag *diag)
{
    g_autofree char *name = g_strdup_printf("--step %u", number + 1);
    const char *file = moe_diag_intern(diag, name);
    moe_yaml_doc *doc = moe_yaml_parse(file, text, strlen(text), diag);
    if (!doc || moe_yaml_root(doc)->kind != MOE_YAML_SCALAR)
        return doc;
    g_autofree char *map = g_strdup_printf("{kind: %s}", text);
    moe_yaml_free(doc);
    return moe_yaml_parse(file, map, strlen(map), diag);
}

static void
free_doc(void *doc)
{
    moe_yaml_free(doc);
}

/* The settings, which point into `docs`; NULL after messages. */
static moe_settings *
read_steps(const GPtrArray *texts, GPtrArray *docs, moe_diag *diag)
{
    g_autofree moe_yaml *nodes = g_new0(moe_yaml, texts->len + 1);
    for (guint i = 0; i < texts->len; i++) {
        moe_yaml_doc *doc = parse_step(texts->pdata[i], i, diag);
        if (!doc)
            continue;
        g_ptr_array_add(docs, doc);
        nodes[docs->len - 1] = *moe_yaml_root(doc);
    }
    const moe_yaml list = {.kind = MOE_YAML_LIST, .n = docs->len, .items = nodes};
    g_autoptr(moe_settings) settings = moe_settings_new(&table);
    moe_settings_set(settings, "steps", &list, diag);
    moe_settings_complete(settings, NULL, diag);
    return moe_diag_errors(diag) ? NULL : g_steal_pointer(&settings);
}

/* Only rows and tokens can be written down. */
static bool
check_stages(const moe_transform_order *order, moe_diag *diag)
{
    bool ok = true;
    for (size_t i = 0; i < order->n; i++) {
        const moe_transform_ops *ops = order->steps[i].choice->variant->ops;
        if (ops->stage == MOE_TRANSFORM_ROWS || ops->stage == MOE_TRANSFORM_TOKENS)
            continue;
        moe_diag_error(diag, order->steps[i].at,
                       ops->stage == MOE_TRANSFORM_DISPATCH
                           ? "'%s' works where the tokens of a step meet: say it in a scenario's "
                             "routing.transform"
                           : "'%s' changes what experts weigh, not the routing: say it in a "
                             "scenario's routing.transform",
                       order->steps[i].choice->variant->name);
        ok = false;
    }
    return ok;
}

static void
close_file(void *file)
{
    moe_routing_close(file);
}

/* All operands opened; false after *error or messages. */
static bool
open_files(const char *const *paths, size_t n, GPtrArray *files, moe_diag *diag, GError **error)
{
    for (size_t i = 0; i < n; i++) {
        moe_routing_file *file = moe_routing_open(paths[i], diag, error);
        if (file)
            g_ptr_array_add(files, file);
        if (*error)
            return false;
    }
    return files->len == n;
}

/* Several files are joined first. */
static int
transform_files(const transform_values *values, const char *const *paths, size_t n,
                const moe_transform_order *order, moe_diag *diag)
{
    GError *error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(close_file);
    if (!open_files(paths, n, files, diag, &error))
        return error ? moe_say_error(error) : moe_say_diag(diag);
    moe_routing_builder *builder = NULL;
    if (n > 1) {
        builder =
            moe_transform_join((const moe_routing_file *const *)files->pdata, n, report, diag);
        moe_out_text(report->str);
        g_string_truncate(report, 0);
    }
    if (n > 1 && builder && order->n > 0) {
        moe_routing_file *joined = moe_routing_builder_finish(builder, "the joined traces");
        builder = NULL;
        if (joined)
            g_ptr_array_add(files, joined);
        else
            moe_diag_error(diag, (moe_loc){0}, "no memory for the joined traces");
    }
    if (!moe_diag_errors(diag) && order->n > 0)
        builder = moe_transform_apply(files->pdata[files->len - 1], order, report, NULL, diag);
    if (!builder)
        return moe_say_diag(diag);
    moe_out_text(report->str);
    return moe_trace_write(builder, paths[0], values->output, diag);
}

static int
transform(const void *data, const char *const *operands, size_t n)
{
    const transform_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace transform", "'-o OUT.safetensors' is missing");
    if (values->steps->len == 0 && n == 1)
        return moe_say_usage("moesim trace transform", "'--step STEP' is missing");
    int code = moe_trace_spare_inputs("moesim trace transform", values->output, values->force,
                                      operands, n);
    if (code)
        return code;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GPtrArray) docs = g_ptr_array_new_with_free_func(free_doc);
    g_autoptr(moe_settings) settings = read_steps(values->steps, docs, diag);
    if (!settings)
        return moe_say_diag(diag);
    const steps_table *read = moe_settings_data(settings);
    const moe_choice *choices = read->steps.items;
    g_autofree moe_transform_step *steps = g_new0(moe_transform_step, read->steps.n);
    for (size_t i = 0; i < read->steps.n; i++)
        steps[i] = (moe_transform_step){&choices[i],
                                        moe_yaml_root(g_ptr_array_index(docs, (guint)i))->loc};
    g_autofree char *text = moe_settings_text(settings, "steps");
    text[strlen(text) - 1] = '\0'; /* without its brackets */
    const moe_transform_order order = {.steps = steps, .n = read->steps.n, .text = text + 1};
    if (!check_stages(&order, diag))
        return moe_say_diag(diag);
    return transform_files(values, operands, n, &order, diag);
}

const moe_command moe_trace_transform_command = {
    "transform",
    "FILE…",
    1,
    SIZE_MAX,
    "Cut, sample, join and change traces.",
    "Several files of one model become one trace first: their tokens one file after another. "
    "Kinds\n"
    "of steps: `moesim list transforms -v`. What is written says in its metadata what was done to "
    "it\n"
    "(`transform`), and, if that was more than choosing tokens, that it is\n"
    "`counterfactual`; runs on it are marked so, too.\n"
    "\n"
    "  moesim trace transform real.safetensors --step '{kind: slice, sequences: 8}' \\\n"
    "                         --step '{kind: top-k, k: 1}' -o top1.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(transform_values),
    transform,
    NULL};
