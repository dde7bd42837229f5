#include "traces/import/gather_state.h"

#include <string.h>

#define GATHER_PROGRESS 4096u /* tokens between two calls */

const char *const moe_token_fact_names[MOE_TOKEN_FACTS] = {
    [MOE_TOKEN_SEQUENCE] = "sequence", [MOE_TOKEN_POSITION] = "position",
    [MOE_TOKEN_PHASE] = "phase",       [MOE_TOKEN_STEP] = "step",
    [MOE_TOKEN_ID] = "token_id",       [MOE_TOKEN_DOMAIN] = "domain",
    [MOE_TOKEN_MODALITY] = "modality", [MOE_TOKEN_KEPT] = "attention_mask",
};

static const int64_t gather_fact_max[MOE_TOKEN_FACTS] = {
    [MOE_TOKEN_SEQUENCE] = MOE_NONE - 1,  [MOE_TOKEN_POSITION] = MOE_NONE - 1,
    [MOE_TOKEN_PHASE] = MOE_DECODE,       [MOE_TOKEN_STEP] = MOE_NONE - 1,
    [MOE_TOKEN_ID] = MOE_NONE - 1,        [MOE_TOKEN_DOMAIN] = UINT16_MAX - 1,
    [MOE_TOKEN_MODALITY] = UINT8_MAX - 1, [MOE_TOKEN_KEPT] = INT64_MAX,
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
    g->experts = o->experts;
    g->wanted = o->top_k;
    for (int i = 0; stack && i < stack->n_layers; i++) {
        const moe_ffn *ffn = &stack->layers[i].ffn;
        if (ffn->kind != MOE_FFN_MOE)
            continue;
        g->experts = g->experts ? g->experts : (uint32_t)ffn->experts;
        g->wanted = g->wanted ? g->wanted : (uint32_t)ffn->top_k;
    }
}

/* How many slots rows have: of logits as many as the model uses; of ids as many as are used. */
static bool
gather_width(gather *g, const moe_block *b)
{
    uint32_t used = 0;
    if (g->logits && g->wanted == 0)
        return moe_place_error(&b->place, "router logits do not say how many experts are used: "
                                          "--top-k (or --model) is wanted");
    if (g->logits && g->wanted > MIN(g->from, (uint32_t)MOE_ROUTING_MAX_K))
        return moe_place_error(&b->place, "the %u most probable of %u experts are wanted (--top-k)",
                               g->wanted, g->from);
    if (g->wanted && g->wanted > g->from)
        return moe_place_error(&b->place,
                               "%u experts per token, but %u are wanted (--top-k, "
                               "--model)",
                               g->from, g->wanted);
    for (uint64_t t = 0; !g->wanted && t < b->n_tokens && used < g->from; t++)
        used = MAX(used, gather_load(g, b, t));
    /* two at least, so that a row of zeros is told from expert 0 */
    g->k = g->wanted ? g->wanted : MAX(used, MIN(g->from, 2));
    return true;
}

static bool
gather_sizes(gather *g, const moe_block *b)
{
    const moe_import_options *o = g->job->options;
    uint32_t most = b->logits ? MOE_ROUTING_MAX_EXPERTS : MOE_ROUTING_MAX_K;
    if (b->n_layers == 0 || b->n_layers > MOE_ROUTING_MAX_LAYERS)
        return moe_place_error(&b->place, "%u layers; wants 1 to %d", b->n_layers,
                               MOE_ROUTING_MAX_LAYERS);
    if (b->k == 0 || b->k > most)
        return moe_place_error(&b->place, "%u %s; wants 1 to %u", b->k,
                               b->logits ? "experts" : "experts per token", most);
    if (o->layers && o->layers != b->n_layers)
        return moe_place_error(&b->place, "%u layers, but --layers says %u", b->n_layers,
                               o->layers);
    g->logits = b->logits;
    g->has_weights = b->logits || b->weights;
    g->n_layers = b->n_layers;
    g->from = b->k;
    gather_wanted(g);
    size_t slots = (size_t)g->n_layers * g->from;
    g->raw = g_new(int32_t, slots);
    g->reals = g_new(float, slots);
    return gather_width(g, b);
}

static bool
gather_begin(gather *g, const moe_block *b)
{
    if (!gather_sizes(g, b))
        return false;
    const char *part = b->place.part ? b->place.part : "";
    g->first = g_strdup_printf("%s%s%s", b->place.loc.file, *part ? ", " : "", part);
    if (b->numbers)
        g->numbers = g_memdup2(b->numbers, g->n_layers * sizeof *b->numbers);
    for (int f = 0; f < MOE_TOKEN_FACTS; f++)
        g->facts[f] = b->facts[f] != NULL;
    g->phase_known = true;
    size_t slots = (size_t)g->n_layers * g->k;
    g->ids = g_new(int32_t, slots);
    g->weights = g_new(float, slots);
    g->traps = moe_traps_new(g->job, &(moe_traps_shape){.n_layers = g->n_layers,
                                                        .k = g->k,
                                                        .n_experts = g->logits ? g->from : 0,
                                                        .layer_ids = g->numbers});
    return g->traps != NULL;
}

/* A later block must be of the same model and say as much. */
static bool
gather_same(const gather *g, const moe_block *b)
{
    bool same = b->n_layers == g->n_layers && b->k == g->from && b->logits == g->logits;
    for (uint32_t l = 0; same && b->numbers && l < g->n_layers; l++)
        same = b->numbers[l] == (g->numbers ? g->numbers[l] : l);
    if (!same)
        return moe_place_error(&b->place,
                               "%u layers of %u %s, but %.200s has %u of %u; two models, or k "
                               "varies: import them one by one",
                               b->n_layers, b->k, b->logits ? "logits" : "ids", g->first,
                               g->n_layers, g->from);
    if ((b->logits || b->weights) != g->has_weights)
        return moe_place_error(&b->place, "%s gate weights, unlike %.200s",
                               g->has_weights ? "no" : "has", g->first);
    for (int f = MOE_TOKEN_STEP; f < MOE_TOKEN_KEPT; f++)
        if (g->facts[f] && !b->facts[f])
            return moe_place_error(&b->place,
                                   "no %s, unlike %.200s; they must be there for all tokens or for "
                                   "none",
                                   moe_token_fact_names[f], g->first);
    return true;
}

/* ---- tokens ---- */

static bool
gather_check_facts(const moe_block *b, uint64_t t)
{
    for (int f = 0; f < MOE_TOKEN_FACTS; f++) {
        if (!b->facts[f])
            continue;
        int64_t value = moe_array_whole(b->facts[f], t);
        if (value >= 0 && value <= gather_fact_max[f])
            continue;
        return moe_place_error(&b->place,
                               "token %" G_GUINT64_FORMAT ": %s is %" G_GINT64_FORMAT
                               "; wants 0 to %" G_GINT64_FORMAT,
                               t, moe_token_fact_names[f], value, gather_fact_max[f]);
    }
    return true;
}

static uint32_t
gather_fact(const moe_block *b, moe_token_fact fact, uint64_t t, uint32_t otherwise)
{
    return b->facts[fact] ? (uint32_t)moe_array_whole(b->facts[fact], t) : otherwise;
}

static void
gather_facts(const gather *g, moe_routing_builder *builder, const moe_block *b, uint64_t t)
{
    if (g->logits)
        moe_routing_builder_logits(builder, g->reals);
    if (g->facts[MOE_TOKEN_STEP])
        moe_routing_builder_step(builder, gather_fact(b, MOE_TOKEN_STEP, t, 0));
    if (g->facts[MOE_TOKEN_ID])
        moe_routing_builder_token_id(builder, gather_fact(b, MOE_TOKEN_ID, t, 0));
    if (g->facts[MOE_TOKEN_DOMAIN])
        moe_routing_builder_domain(builder, (uint16_t)gather_fact(b, MOE_TOKEN_DOMAIN, t, 0));
    if (g->facts[MOE_TOKEN_MODALITY])
        moe_routing_builder_modality(builder, (uint8_t)gather_fact(b, MOE_TOKEN_MODALITY, t, 0));
}

static bool
gather_token(gather *g, const moe_block *b, uint64_t t)
{
    if (!gather_check_facts(b, t))
        return false;
    if (b->facts[MOE_TOKEN_KEPT] && moe_array_whole(b->facts[MOE_TOKEN_KEPT], t) == 0) {
        g->n_padding++;
        return true;
    }
    if (!gather_rows(g, b, t))
        return false;
    uint32_t sequence = gather_fact(b, MOE_TOKEN_SEQUENCE, t, b->sequence);
    uint32_t position = gather_fact(b, MOE_TOKEN_POSITION, t, b->position + (uint32_t)t);
    bool prompt = b->phase_known && position < b->n_prefill;
    uint32_t phase = gather_fact(b, MOE_TOKEN_PHASE, t, prompt ? MOE_PREFILL : MOE_DECODE);
    moe_traps_part(g->traps, b->place.part ? b->place.part : "", t);
    if (!moe_traps_add(g->traps, sequence, position, (moe_phase)phase, g->ids,
                       g->has_weights ? g->weights : NULL))
        return false;
    moe_routing_builder *builder = moe_traps_kept(g->traps);
    if (builder)
        gather_facts(g, builder, b, t);
    return true;
}

static void
gather_progress(gather *g, const moe_block *b, uint64_t t)
{
    double part = b->n_tokens ? (double)t / (double)b->n_tokens : 1;
    if (g->job->progress && b->total > 0)
        g->job->progress(g->job->context, g->progressed + (b->done - g->progressed) * part,
                         b->total);
}

static bool
gather_block(void *context, const moe_block *b)
{
    gather *g = context;
    if (!(g->traps ? gather_same(g, b) : gather_begin(g, b)))
        return false;
    if (!moe_traps_input(g->traps, b->input, g->n_layers, g->k))
        return false;
    moe_traps_line(g->traps, (uint64_t)b->place.loc.line);
    g->phase_known &= b->phase_known || b->facts[MOE_TOKEN_PHASE];
    g->phase_some |= b->phase_known || b->facts[MOE_TOKEN_PHASE];
    for (uint64_t t = 0; t < b->n_tokens; t++) {
        if (t % GATHER_PROGRESS == 0)
            gather_progress(g, b, t);
        if (!gather_token(g, b, t))
            return false;
    }
    g->n_tokens += b->n_tokens;
    gather_progress(g, b, b->n_tokens);
    g->progressed = b->done;
    return true;
}

/* ---- the whole ---- */

static void
gather_meta(const gather *g, moe_routing_builder *builder, const char *engine)
{
    if (engine)
        moe_routing_builder_meta(builder, "engine", engine);
    if (!g->logits)
        return;
    moe_routing_builder_meta(builder, "gate",
                             g->job->options->renormalise ? "softmax over the chosen experts"
                                                          : "softmax over all experts");
}

static void
gather_report(const gather *g)
{
    if (!g->phase_known)
        moe_import_note(g->job, "%s: %s taken as decode",
                        g->phase_some ? "prompt lengths are known of some sequences only"
                                      : "prompt lengths are not known",
                        g->phase_some ? "the others" : "all tokens");
    if (!g->logits && g->k < g->from)
        moe_import_note(g->job, "%u of %u slots are -1 in every row: left out", g->from - g->k,
                        g->from);
    if (g->n_padding)
        moe_import_note(g->job,
                        "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                        " tokens are padding by the attention mask: dropped",
                        g->n_padding, g->n_tokens);
    if (g->n_moved)
        moe_import_note(g->job,
                        "%" G_GUINT64_FORMAT " ids stood behind an empty slot: moved to the front",
                        g->n_moved);
}

/* The builder of a walk that went to its end. */
static moe_routing_builder *
gather_finish(gather *g, const char *engine)
{
    moe_import_job *job = g->job;
    if (!g->traps) {
        moe_import_fail(job, 0, "holds no routing");
        return NULL;
    }
    moe_routing_builder *builder = moe_traps_finish(g_steal_pointer(&g->traps));
    if (!builder)
        return NULL;
    gather_report(g);
    gather_meta(g, builder, engine);
    /* positions of the input's own may meet; the others cannot */
    if (!g->facts[MOE_TOKEN_POSITION] || moe_routing_builder_failed(builder, job->paths[0], NULL) ||
        moe_routing_builder_check(builder, job->paths[0], job->diag))
        return builder;
    moe_routing_builder_free(builder);
    return NULL;
}

moe_routing_builder *
moe_gather(moe_import_job *job, const char *engine, moe_block_walk *walk, void *source)
{
    gather g = {.job = job};
    unsigned before = moe_diag_errors(job->diag);
    moe_routing_builder *builder = NULL;
    if (walk(source, gather_block, &g) && moe_diag_errors(job->diag) == before)
        builder = gather_finish(&g, engine);
    moe_traps_free(g.traps);
    g_free(g.numbers);
    g_free(g.first);
    g_free(g.raw);
    g_free(g.reals);
    g_free(g.ids);
    g_free(g.weights);
    return builder;
}
