#include "traces/import/gather_state.h"

#include "traces/routing_file.h"

#include <string.h>

#define GATHER_PROGRESS 4096u /* tokens between two calls */

const char *const moe_token_fact_names[MOE_TOKEN_FACTS] = {
    [MOE_TOKEN_SEQUENCE] = "sequence", [MOE_TOKEN_POSITION] = "position",
    [MOE_TOKEN_PHASE] = "phase",       [MOE_TOKEN_STEP] = "step",
    [MOE_TOKEN_ID] = "token_id",       [MOE_TOKEN_DOMAIN] = "domain",
    [MOE_TOKEN_MODALITY] = "modality", [MOE_TOKEN_KEPT] = "attention_mask",
};

void
moe_block_views(const moe_array *array, uint32_t layer_axis, moe_array *views)
{
    for (uint64_t layer = 0; layer < array->shape[layer_axis]; layer++)
        moe_array_at(array, layer_axis, layer, &views[layer]);
}

/* ---- the shape ---- */

/* What the user says, else the model. */
static void
gather_wanted(gather *g)
{
    const moe_import_options *o = g->job->options;
    const moe_stack *stack = o->model ? moe_model_decoder(o->model) : NULL;
    g->experts_wanted = o->experts;
    g->top_k_wanted = o->top_k;
    for (int i = 0; stack && i < stack->n_layers; i++) {
        const moe_ffn *ffn = &stack->layers[i].ffn;
        if (ffn->kind != MOE_FFN_MOE)
            continue;
        g->experts_wanted = g->experts_wanted ? g->experts_wanted : (uint32_t)ffn->experts;
        g->top_k_wanted = g->top_k_wanted ? g->top_k_wanted : (uint32_t)ffn->top_k;
    }
}

static bool
gather_begin(gather *g, const moe_block *b)
{
    if (b->n_layers == 0 || b->n_layers > MOE_ROUTING_MAX_LAYERS)
        return moe_place_error(&b->place, "%u layers; wants 1 to %d", b->n_layers,
                               MOE_ROUTING_MAX_LAYERS);
    uint32_t most = b->logits ? MOE_ROUTING_MAX_EXPERTS : MOE_ROUTING_MAX_K;
    if (b->k == 0 || b->k > most)
        return moe_place_error(&b->place, "%u %s; wants 1 to %u", b->k,
                               b->logits ? "experts" : "experts per token", most);
    gather_wanted(g);
    if (b->logits && g->experts_wanted && g->experts_wanted != b->k)
        return moe_place_error(&b->place, "logits of %u experts, but the model has %u", b->k,
                               g->experts_wanted);
    g->begun = true;
    g->logits = b->logits;
    g->has_weights = b->logits || b->weights;
    g->n_layers = b->n_layers;
    g->k = b->k;
    g->first_file = b->place.loc.file;
    g->first_part = g_strdup(b->place.part ? b->place.part : "");
    g->id_limit = g->experts_wanted ? g->experts_wanted : MOE_ROUTING_MAX_EXPERTS;
    g->layers = g_new0(gather_layer, b->n_layers);
    for (uint32_t l = 0; l < b->n_layers; l++)
        g->layers[l].number = b->numbers ? b->numbers[l] : l;
    g->ids = g_new(int32_t, (size_t)b->n_layers * MAX(b->k, 1));
    g->weights = g_new(float, (size_t)b->n_layers * b->k);
    g->kinds = g_new(uint8_t, b->n_layers);
    g->stamps = g_new0(uint32_t, g->id_limit);
    memset(g->facts, 1, sizeof g->facts);
    g->phase_known = true;
    return true;
}

static bool
gather_same(const gather *g, const moe_block *b)
{
    bool same = b->n_layers == g->n_layers && b->k == g->k && b->logits == g->logits;
    for (uint32_t l = 0; same && b->numbers && l < g->n_layers; l++)
        same = b->numbers[l] == g->layers[l].number;
    if (same && (b->logits || b->weights) == g->has_weights)
        return true;
    const char *unit = b->logits ? "logits" : "ids";
    g_autofree char *first =
        g_strdup_printf("%s%s%s", g->first_file, *g->first_part ? ", " : "", g->first_part);
    if (same)
        return moe_place_error(&b->place, "%s gate weights, but %.200s is %s",
                               g->has_weights ? "no" : "has", first,
                               g->has_weights ? "with them" : "without");
    return moe_place_error(
        &b->place,
        "%u layers of %u %s, but %.200s has %u of %u; two models, or k varies: import them one "
        "by one",
        b->n_layers, b->k, unit, first, g->n_layers, g->k);
}

/* ---- a token's rows ---- */

/* Unsigned buffers say "none" by their largest number in all slots. */
static void
gather_unsigned(const gather *g, const moe_array *array, int32_t *ids)
{
    static const int32_t none[MOE_ARRAY_TYPES] = {[MOE_ARRAY_U8] = UINT8_MAX,
                                                  [MOE_ARRAY_U16] = UINT16_MAX,
                                                  [MOE_ARRAY_U32] = INT32_MAX,
                                                  [MOE_ARRAY_U64] = INT32_MAX};
    int32_t largest = none[array->type];
    if (largest == 0 || ids[0] != largest || (g->k == 1 && largest < (int32_t)g->id_limit))
        return;
    for (uint32_t j = 1; j < g->k; j++)
        if (ids[j] != largest)
            return;
    for (uint32_t j = 0; j < g->k; j++)
        ids[j] = -1;
}

gather_kind
gather_kind_of(const gather *g, const int32_t *ids)
{
    bool empty = true, zero = true;
    for (uint32_t j = 0; j < g->k; j++) {
        empty &= ids[j] == -1;
        zero &= ids[j] == 0;
    }
    return empty ? GATHER_EMPTY : zero ? GATHER_ZERO : GATHER_IDS;
}

void
gather_load(gather *g, const moe_block *b, uint64_t t, uint32_t l)
{
    size_t at = (size_t)l * g->k;
    if (g->logits) {
        moe_array_reals(&b->layers[l], t, g->weights + at);
        return;
    }
    moe_array_ints(&b->layers[l], t, g->ids + at);
    gather_unsigned(g, &b->layers[l], g->ids + at);
    if (b->weights)
        moe_array_reals(&b->weights[l], t, g->weights + at);
}

bool
gather_padding(const moe_block *b, uint64_t t)
{
    return b->facts[MOE_TOKEN_KEPT] && moe_array_whole(b->facts[MOE_TOKEN_KEPT], t) == 0;
}

/* ---- the walks ---- */

static void
gather_progress(gather *g, const moe_block *b, uint64_t t)
{
    double part = b->n_tokens ? (double)t / (double)b->n_tokens : 1;
    double done = g->progressed + (b->done - g->progressed) * part;
    if (g->job->progress && b->total > 0)
        g->job->progress(g->job->context, (done + (g->adding ? b->total : 0)) / 2, b->total);
}

static bool
gather_block(void *context, const moe_block *b)
{
    gather *g = context;
    if (!g->adding) {
        if (!(g->begun ? gather_same(g, b) : gather_begin(g, b) && gather_same(g, b)))
            return false;
        for (int f = 0; f < MOE_TOKEN_FACTS; f++) {
            g->facts[f] &= b->facts[f] != NULL;
            g->some[f] |= b->facts[f] != NULL;
        }
        g->phase_known &= b->phase_known || b->facts[MOE_TOKEN_PHASE];
        g->phase_some |= b->phase_known || b->facts[MOE_TOKEN_PHASE];
        g->n_tokens += b->n_tokens;
    }
    for (uint64_t t = 0; t < b->n_tokens; t++) {
        if (t % GATHER_PROGRESS == 0)
            gather_progress(g, b, t);
        if (g->adding)
            gather_add(g, b, t);
        else
            gather_measure(g, b, t);
        if (g->errors >= MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    gather_progress(g, b, b->n_tokens);
    g->progressed = b->done;
    return true;
}

static void
gather_clear(gather *g)
{
    g_free(g->first_part);
    g_free(g->layers);
    g_free(g->ids);
    g_free(g->weights);
    g_free(g->kinds);
    g_free(g->stamps);
    g_free(g->out_ids);
    g_free(g->out_weights);
    g_free(g->out_logits);
}

moe_routing_builder *
moe_gather(moe_import_job *job, const char *engine, moe_block_walk *walk, void *source)
{
    gather g = {.job = job, .max_id = -1};
    unsigned before = moe_diag_errors(job->diag);
    bool ok =
        walk(source, gather_block, &g) && moe_diag_errors(job->diag) == before && gather_settle(&g);
    g.adding = true;
    g.progressed = 0;
    ok = ok && walk(source, gather_block, &g) && moe_diag_errors(job->diag) == before;
    if (ok && engine)
        moe_routing_builder_meta(g.builder, "engine", engine);
    if (ok && g.facts[MOE_TOKEN_POSITION]) /* the input's own; the others cannot meet */
        ok = moe_routing_builder_failed(g.builder, job->paths[0], NULL) ||
             moe_routing_builder_check(g.builder, job->paths[0], job->diag);
    if (ok) {
        gather_report(&g);
    } else {
        moe_routing_builder_free(g.builder);
        g.builder = NULL;
    }
    gather_clear(&g);
    return g.builder;
}
