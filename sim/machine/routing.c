/* The routing of a scenario's runs, each made once. */
#include "sim/base/data.h"
#include "sim/machine/lower.h"
#include "sim/machine/scenario_private.h"
#include "traces/generate.h"
#include "traces/shards.h"

#include <string.h>

static moe_routing_file *
open_trace(const moe_scenario *scenario, const char *name, moe_loc at, moe_diag *diag,
           GError **error)
{
    g_autofree char *path = moe_data_find(name, scenario->folder);
    if (path)
        return moe_routing_open(path, diag, error);
    moe_diag_error(diag, at, "there is no trace '%s'", name);
    return NULL;
}

static moe_routing_file *
make_trace(const moe_config *config, const moe_model *model, moe_loc at, moe_diag *diag)
{
    const moe_stack *stack = moe_model_decoder(model);
    moe_generate_config made = {
        .model = model->name,
        .layers = stack->n_moe,
        .sequences = config->routing.synthetic.sequences,
        .prompt = config->routing.synthetic.prompt,
        .output = config->routing.synthetic.output,
        .domains = config->routing.synthetic.domains,
        .modalities = config->routing.synthetic.modalities,
        .skew_min = config->routing.synthetic.skew,
        .skew_max = config->routing.synthetic.skew,
        .stickiness = config->routing.synthetic.stickiness,
        .affinity = config->routing.synthetic.affinity,
        .logits = config->routing.synthetic.logits,
        .taste = config->routing.synthetic.taste,
        .drift = config->routing.synthetic.drift,
        .lookahead = config->routing.synthetic.lookahead,
        .recall = config->routing.synthetic.recall,
        .seed = config->seed,
    };
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE) {
            made.experts = stack->layers[i].ffn.experts;
            made.top_k = stack->layers[i].ffn.top_k;
        }
    if (config->routing.synthetic.experts > 0)
        made.experts = config->routing.synthetic.experts;
    if (config->routing.synthetic.top_k > 0)
        made.top_k = config->routing.synthetic.top_k;
    double pairs = (double)made.sequences * (double)(made.prompt + made.output) *
                   (double)made.layers * (double)made.top_k;
    if (pairs > MOE_MOST_ACCESSES) {
        moe_diag_error(diag, at, "%.3g expert accesses are too many to make; at most %.3g fit",
                       pairs, MOE_MOST_ACCESSES);
        return NULL;
    }
    moe_routing_builder *builder = moe_generate(&made, at, diag);
    return builder ? moe_routing_builder_finish(builder, "synthetic routing") : NULL;
}

/* What the run's routing is made from, without its transforms; NULL after a message. */
static char *
source_key(const moe_config *config, const moe_model *model, moe_loc at, moe_diag *diag)
{
    const char *name = config->routing.trace;
    bool made = config->routing.synthetic.sequences > 0;
    if (!name == !made) {
        moe_diag_error(diag, at,
                       name ? "say either 'routing.trace' or 'routing.synthetic'"
                            : "'routing' is missing: say 'routing.trace', or "
                              "'routing.synthetic' with its 'sequences'");
        return NULL;
    }
    if (!made)
        return g_strdup(name);
    GString *key = g_string_new(NULL);
    /* numbers of 8 bytes all: no padding */
    const void *fields = &config->routing.synthetic;
    g_string_append_printf(key, "%p %lld ", (const void *)model, (long long)config->seed);
    g_autofree char *bytes = g_base64_encode(fields, sizeof config->routing.synthetic);
    g_string_append(key, bytes);
    return g_string_free(key, false);
}

/* Experts that the trace says are gone weigh nothing; NULL: all are there. */
static double *
recorded_sizes(const moe_routing *routing)
{
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    double *sizes = routing->absent ? g_new(double, n) : NULL;
    for (size_t i = 0; sizes && i < n; i++)
        sizes[i] = routing->absent[i] ? 0 : 1;
    return sizes;
}

static moe_shared_routing *
share_source(moe_scenario *scenario, const moe_config *config, const moe_model *model, char *key,
             moe_loc at, moe_diag *diag, GError **error)
{
    moe_shared_routing *shared = g_hash_table_lookup(scenario->traces, key);
    if (shared)
        return shared;
    moe_routing_file *file = config->routing.trace
                                 ? open_trace(scenario, config->routing.trace, at, diag, error)
                                 : make_trace(config, model, at, diag);
    if (!file)
        return NULL;
    shared = g_new0(moe_shared_routing, 1);
    shared->file = file;
    shared->source = file;
    shared->sizes = recorded_sizes(moe_routing_get(file));
    shared->counterfactual = moe_transform_counterfactual(file, NULL);
    shared->identity = g_strdup("");
    g_hash_table_insert(scenario->traces, g_strdup(key), shared);
    return shared;
}

/* ---- transforms ---- */

static void
locate_steps(const moe_config *config, moe_locate *locate, const void *context,
             moe_transform_step *steps)
{
    const moe_choice *choices = config->routing.transform.items;
    for (size_t i = 0; i < config->routing.transform.n; i++) {
        g_autofree char *key = g_strdup_printf("routing.transform.%zu", i);
        steps[i] = (moe_transform_step){&choices[i], locate(context, key)};
    }
}

/* A step that works on rows after one that works where tokens meet would not see its result. */
static bool
check_order(const moe_transform_order *order, moe_diag *diag)
{
    const moe_transform_step *late = NULL;
    for (size_t i = 0; i < order->n; i++) {
        const moe_transform_ops *ops = order->steps[i].choice->variant->ops;
        if (ops->stage == MOE_TRANSFORM_DISPATCH)
            late = &order->steps[i];
        if (late && (ops->stage == MOE_TRANSFORM_ROWS || ops->stage == MOE_TRANSFORM_TOKENS)) {
            moe_diag_error(
                diag, order->steps[i].at,
                "'%s' works token by token and must stand before '%s', which works where "
                "the tokens of a step meet",
                order->steps[i].choice->variant->name, late->choice->variant->name);
            return false;
        }
    }
    return true;
}

/* Sources of the steps, and hashes of the files that they read. */
static char *
identify(const moe_scenario *scenario, const moe_transform_order *order, GError **error)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < order->n; i++) {
        const moe_variant *variant = order->steps[i].choice->variant;
        const moe_transform_ops *ops = variant->ops;
        g_string_append_printf(text, "transform.%zu=%s %s", i, variant->name,
                               moe_transform_source(variant->name));
        const char *name = ops->file == SIZE_MAX
                               ? NULL
                               : *(const char *const *)(const void *)((const char *)order->steps[i]
                                                                          .choice->config +
                                                                      ops->file);
        g_autofree char *path = name ? moe_data_find(name, scenario->folder) : NULL;
        g_autofree char *hash = path ? moe_shards_hash(path, error) : NULL;
        g_string_append_printf(text, " %s\n", hash ? hash : "");
        if (path && !hash) {
            g_string_free(text, true);
            return NULL;
        }
    }
    return g_string_free(text, false);
}

static bool
differ(const moe_routing *routing, const double *sizes)
{
    for (size_t i = 0; i < (size_t)routing->n_layers * routing->n_experts; i++)
        if (sizes[i] != 1)
            return true;
    return false;
}

static moe_shared_routing *
transform(const moe_scenario *scenario, const moe_shared_routing *source,
          const moe_transform_order *order, moe_diag *diag, GError **error)
{
    if (!check_order(order, diag))
        return NULL;
    moe_shared_routing *shared = g_new0(moe_shared_routing, 1);
    moe_routing_builder *builder =
        moe_transform_apply(source->file, order, NULL, &shared->sizes, diag);
    if (builder)
        shared->file = moe_routing_builder_finish(builder, moe_routing_get(source->file)->path);
    shared->source = source->file;
    shared->counterfactual = moe_transform_counterfactual(source->file, order);
    unsigned before = moe_diag_errors(diag);
    if (shared->file && !differ(moe_routing_get(shared->file), shared->sizes))
        g_clear_pointer(&shared->sizes, g_free);
    if (shared->file)
        shared->dispatch = moe_dispatch_open(moe_routing_get(shared->file), order, diag);
    else if (builder)
        moe_diag_error(diag, order->steps[0].at, "no memory for the transformed routing");
    if (shared->file && moe_diag_errors(diag) == before)
        shared->identity = identify(scenario, order, error);
    if (shared->identity)
        return shared;
    moe_scenario_routing_free(shared);
    return NULL;
}

const moe_shared_routing *
moe_scenario_routing(moe_scenario *scenario, const moe_prepared *run, const moe_model *model,
                     moe_locate *locate, const void *context, moe_diag *diag, GError **error)
{
    const moe_config *config = moe_settings_data(run->settings);
    moe_loc at = locate(context, "routing.trace");
    g_autofree char *key = source_key(config, model, at, diag);
    moe_shared_routing *source =
        key ? share_source(scenario, config, model, key, at, diag, error) : NULL;
    size_t n = config->routing.transform.n;
    if (!source || n == 0)
        return source;
    g_autofree moe_transform_step *steps = g_new0(moe_transform_step, n);
    g_autofree char *text = moe_settings_text(run->settings, "routing.transform");
    text[strlen(text) - 1] = '\0'; /* without its brackets */
    locate_steps(config, locate, context, steps);
    moe_transform_order order = {
        .steps = steps,
        .n = n,
        .text = text + 1,
        .folder = scenario->folder,
        .seed = (uint64_t)config->seed,
        .expert_bits = moe_lowering_precision(model, config).experts,
    };
    bool sized = moe_transform_count(&order, MOE_TRANSFORM_SIZES) > 0;
    g_autofree char *own = g_strdup_printf("%s | %s | %lld %g", key, text, (long long)config->seed,
                                           sized ? order.expert_bits : 0);
    moe_shared_routing *shared = g_hash_table_lookup(scenario->traces, own);
    if (shared)
        return shared;
    shared = transform(scenario, source, &order, diag, error);
    if (shared)
        g_hash_table_insert(scenario->traces, g_steal_pointer(&own), shared);
    return shared;
}

void
moe_scenario_routing_free(moe_shared_routing *shared)
{
    if (!shared)
        return;
    moe_dispatch_close(shared->dispatch);
    moe_routing_close(shared->file);
    g_free(shared->sizes);
    g_free(shared->identity);
    g_free(shared);
}
