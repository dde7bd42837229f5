#include "traces/generate.h"

#include "sim/base/random.h"
#include "traces/generate_logits.h"
#include "traces/routing_file.h"
#include "traces/transform/transform.h"

#include <math.h>

typedef struct generator {
    const moe_generate_config *config;
    uint32_t layers, experts, k;
    uint64_t *cumulated;   /* [layers, experts]: weights of the ranks up to here, scaled to 2^64 */
    uint16_t *expert_of;   /* [domains, layers, experts]: rank -> expert */
    uint16_t *ranks;       /* [layers, k]: of the token at hand; before it, of the one before */
    uint16_t *ids;         /* [layers, k] */
    float *weights;        /* [layers, k]: with logits */
    double *skew;          /* [layers] */
    moe_logits *logits;    /* NULL: none are made */
    uint16_t *predicted;   /* [layers, k] */
    moe_hidden_walk *walk; /* NULL: no hidden state */
    uint16_t *best;        /* [layers, k]: by score, highest first */
} generator;

/* base^-(steps / 64), from square roots and products only, which every machine rounds alike. */
static double
generate_power(double base, unsigned steps)
{
    double root = base, product = 1;
    for (int i = 0; i < 6; i++)
        root = sqrt(root);
    for (; steps; steps >>= 1, root *= root)
        product *= steps & 1 ? root : 1;
    return 1 / product;
}

static void
generate_popularity(generator *g)
{
    const moe_generate_config *config = g->config;
    moe_stream stream = moe_stream_new((uint64_t)config->seed, "skew", 0);
    for (uint32_t layer = 0; layer < g->layers; layer++) {
        uint64_t *cumulated = g->cumulated + (size_t)layer * g->experts;
        double span = config->skew_max - config->skew_min;
        double skew = config->skew_min + span * moe_stream_unit(&stream);
        const moe_generate_router *router = config->router.items;
        if (layer < config->router.n && router[layer].skew >= 0)
            skew = router[layer].skew;
        unsigned steps = (unsigned)(skew * 64 + 0.5);
        g->skew[layer] = steps / 64.0;
        double sum = 0, part = 0;
        for (uint32_t r = 0; r < g->experts; r++)
            sum += generate_power(r + 1, steps);
        for (uint32_t r = 0; r < g->experts; r++) {
            part += generate_power(r + 1, steps);
            double share = part / sum * 0x1.0p64;
            cumulated[r] = share >= 0x1.0p64 ? UINT64_MAX : (uint64_t)share;
        }
        cumulated[g->experts - 1] = UINT64_MAX;
    }
}

/* Each domain and layer ranks the experts in its own order (Fisher-Yates); a hidden state knows
 * experts by their numbers. */
static void
generate_orders(generator *g)
{
    for (uint64_t i = 0; i < (uint64_t)g->config->domains * g->layers; i++) {
        moe_stream stream = moe_stream_new((uint64_t)g->config->seed, "order", i);
        uint16_t *order = g->expert_of + i * g->experts;
        for (uint32_t r = 0; r < g->experts; r++)
            order[r] = (uint16_t)r;
        for (uint32_t r = g->experts - 1; r > 0 && !g->config->hidden; r--) {
            uint32_t other = (uint32_t)moe_stream_below(&stream, r + 1);
            uint16_t kept = order[r];
            order[r] = order[other];
            order[other] = kept;
        }
    }
}

static bool
generate_has(const uint16_t *set, uint32_t n, uint32_t value)
{
    for (uint32_t i = 0; i < n; i++)
        if (set[i] == value)
            return true;
    return false;
}

static uint32_t
generate_draw(const generator *g, uint32_t layer, moe_stream *stream)
{
    const uint64_t *cumulated = g->cumulated + (size_t)layer * g->experts;
    uint64_t draw = moe_stream_next(stream);
    uint32_t low = 0, high = g->experts - 1; /* the first rank whose cumulated weight is >= draw */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (cumulated[middle] >= draw)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A rank that is neither in a[na] nor in b[nb]; MOE_NONE when there is none. Draws by popularity,
 * and after 32 draws in vain takes the first. */
static uint32_t
generate_other(const generator *g, uint32_t layer, const uint16_t *a, uint32_t na,
               const uint16_t *b, uint32_t nb, moe_stream *stream)
{
    for (int tries = 0; tries < 32; tries++) {
        uint32_t rank = generate_draw(g, layer, stream);
        if (!generate_has(a, na, rank) && !generate_has(b, nb, rank))
            return rank;
    }
    for (uint32_t rank = 0; rank < g->experts; rank++)
        if (!generate_has(a, na, rank) && !generate_has(b, nb, rank))
            return rank;
    return MOE_NONE;
}

/* A rank that the token has not chosen yet: of a hidden state's best, or by popularity. */
static uint32_t
generate_new(const generator *g, uint32_t layer, const uint16_t *chosen, uint32_t n,
             moe_stream *stream)
{
    if (!g->walk)
        return generate_other(g, layer, chosen, n, NULL, 0, stream);
    const uint16_t *best = g->best + (size_t)layer * g->k;
    while (generate_has(chosen, n, *best))
        best++;
    return *best;
}

/* The ranks of one token, from those of the token before (when there is one). */
static void
generate_token(generator *g, bool first, moe_phase phase, moe_stream *stream)
{
    const moe_generate_config *config = g->config;
    double more = phase == MOE_PREFILL ? 1 : 0;
    double stickiness = CLAMP(config->stickiness + more * config->prefill_stickiness, 0, 1);
    double affinity = CLAMP(config->affinity + more * config->prefill_affinity, 0, 1);
    double follow = stickiness + (1 - stickiness) * affinity;
    uint16_t chosen[MOE_ROUTING_MAX_K];
    for (uint32_t layer = 0; layer < g->layers; layer++) {
        uint16_t *ranks = g->ranks + (size_t)layer * g->k;
        for (uint32_t j = 0; j < g->k; j++) {
            double chance = moe_stream_unit(stream);
            uint32_t rank = MOE_NONE;
            if (chance < stickiness)
                rank = first ? MOE_NONE : ranks[j];
            else if (chance < follow && layer > 0)
                rank = (ranks - g->k)[j];
            if (rank == MOE_NONE || generate_has(chosen, j, rank))
                rank = generate_new(g, layer, chosen, j, stream);
            chosen[j] = (uint16_t)rank;
        }
        for (uint32_t j = 0; j < g->k; j++)
            ranks[j] = chosen[j];
    }
}

/* Look-ahead of one token, in ranks; nothing for the layers that have none so far before them. */
static void
generate_predicted(generator *g, moe_stream *stream)
{
    uint32_t distance = (uint32_t)g->config->lookahead;
    for (uint32_t layer = 0; layer < g->layers; layer++) {
        const uint16_t *truth = g->ranks + (size_t)layer * g->k;
        uint16_t *out = g->predicted + (size_t)layer * g->k;
        for (uint32_t j = 0; j < g->k; j++) {
            out[j] = layer < distance ? MOE_ROUTING_NO_EXPERT : truth[j];
            if (layer < distance || moe_stream_unit(stream) < g->config->recall)
                continue;
            uint32_t rank = generate_other(g, layer, truth, g->k, out, j, stream);
            out[j] = rank == MOE_NONE ? truth[j] : (uint16_t)rank;
        }
    }
}

static void
generate_name(const generator *g, uint64_t domain, const uint16_t *ranks, uint16_t *ids)
{
    for (uint32_t layer = 0; layer < g->layers; layer++) {
        const uint16_t *order = g->expert_of + (domain * g->layers + layer) * g->experts;
        for (uint32_t j = 0; j < g->k; j++) {
            size_t at = (size_t)layer * g->k + j;
            ids[at] = ranks[at] == MOE_ROUTING_NO_EXPERT ? ranks[at] : order[ranks[at]];
        }
    }
}

/* The place of each routed expert in its domain's order. */
static void
generate_rank(generator *g, const uint16_t *order)
{
    for (size_t i = 0; i < (size_t)g->layers * g->k; i++) {
        const uint16_t *of_layer = order + i / g->k * g->experts;
        uint16_t rank = 0;
        while (of_layer[rank] != g->ids[i])
            rank++;
        g->ranks[i] = rank;
    }
}

/* Gate weights of the token's experts, from the scores of a hidden state. */
static void
generate_weights(generator *g)
{
    const float *scores = moe_hidden_walk_scores(g->walk);
    float chosen[MOE_ROUTING_MAX_K];
    for (uint32_t layer = 0; layer < g->layers; layer++) {
        size_t first = (size_t)layer * g->k;
        for (uint32_t j = 0; j < g->k; j++)
            chosen[j] = scores[(size_t)layer * g->experts + g->ranks[first + j]];
        moe_hidden_weights(g->config->hidden, layer, chosen, g->weights + first);
    }
}

/* One token by its logits, which are returned; NULL: by draws or by a hidden state. */
static const float *
generate_routed(generator *g, uint64_t domain, bool first, moe_phase phase, moe_stream *stream)
{
    if (!g->logits) {
        if (g->walk)
            moe_hidden_walk_next(g->walk, g->best);
        generate_token(g, first, phase, stream);
        if (g->walk && g->config->hidden->weighted)
            generate_weights(g);
        generate_name(g, domain, g->ranks, g->ids);
        return NULL;
    }
    const uint16_t *order = g->expert_of + domain * g->layers * g->experts;
    if (first)
        moe_logits_begin(g->logits, order, *stream);
    const float *logits = moe_logits_next(g->logits);
    for (uint32_t layer = 0; layer < g->layers; layer++)
        moe_logits_choose(logits + (size_t)layer * g->experts, g->experts, g->k,
                          g->ids + (size_t)layer * g->k, g->weights + (size_t)layer * g->k);
    if (g->config->lookahead)
        generate_rank(g, order);
    return logits;
}

static void
generate_sequence(generator *g, uint32_t s, moe_routing_builder *builder)
{
    const moe_generate_config *config = g->config;
    uint64_t domain = s % (uint64_t)config->domains;
    moe_stream routed = moe_stream_new((uint64_t)config->seed, "routed", s);
    moe_stream predicted = moe_stream_new((uint64_t)config->seed, "look-ahead", s);
    moe_stream mixed = moe_stream_new((uint64_t)config->seed, "modality", s);
    bool weighted = g->logits || (g->walk && config->hidden->weighted);
    int64_t length = config->prompt + config->output + (s < config->longer);
    if (g->walk)
        moe_hidden_walk_begin(g->walk, (uint64_t)config->seed, s);
    for (uint32_t i = 0; i < length; i++) {
        moe_phase phase = i < config->prompt ? MOE_PREFILL : MOE_DECODE;
        const float *logits = generate_routed(g, domain, i == 0, phase, &routed);
        moe_routing_builder_add(builder, s, i, phase, g->ids, weighted ? g->weights : NULL);
        if (logits)
            moe_routing_builder_logits(builder, logits);
        if (config->domains > 1)
            moe_routing_builder_domain(builder, (uint16_t)domain);
        if (config->modalities > 1)
            moe_routing_builder_modality(
                builder, (uint8_t)moe_stream_below(&mixed, (uint64_t)config->modalities));
        if (!config->lookahead)
            continue;
        generate_predicted(g, &predicted);
        generate_name(g, domain, g->predicted, g->predicted);
        moe_routing_builder_predicted(builder, 0, g->predicted);
    }
}

/* ["d0","d1",...]; nothing of a single one. */
static void
generate_names(moe_routing_builder *builder, const char *key, char letter, int64_t n)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (int i = 0; i < n; i++)
        g_string_append_printf(names, "%s\"%c%d\"", i ? "," : "[", letter, i);
    g_string_append_c(names, ']');
    if (n > 1)
        moe_routing_builder_meta(builder, key, names->str);
}

/* Whether tokens may copy experts of the token or the layer before. */
static bool
generate_copies(const moe_generate_config *config)
{
    return config->stickiness > 0 || config->affinity > 0 || config->prefill_stickiness > 0 ||
           config->prefill_affinity > 0;
}

/* What metadata says of how it was made; yours. */
static char *
generate_how(const moe_generate_config *config)
{
    const moe_hidden *hidden = config->hidden;
    if (!hidden)
        return g_strdup_printf("drawn at random, not captured from a model: skew %g .. %g, "
                               "stickiness %g, affinity %g, domains %d, seed %" G_GINT64_FORMAT
                               " (traces/generate.h)",
                               config->skew_min, config->skew_max, config->stickiness,
                               config->affinity, (int)config->domains, config->seed);
    GString *how = g_string_new("drawn at random, not captured from a model: ");
    g_string_append_printf(how, "hidden state of %u numbers in %u component%s", hidden->n_numbers,
                           hidden->n_components, hidden->n_components == 1 ? "" : "s");
    if (hidden->n_opening)
        g_string_append_printf(how, ", opening of %u tokens", hidden->n_opening);
    if (config->fitted_to && *config->fitted_to)
        g_string_append_printf(how, ", fitted to %s", config->fitted_to);
    if (generate_copies(config))
        g_string_append_printf(how, ", stickiness %g, affinity %g", config->stickiness,
                               config->affinity);
    g_string_append_printf(how, ", seed %" G_GINT64_FORMAT " (traces/synth/hidden.h)",
                           config->seed);
    return g_string_free(how, FALSE);
}

static void
generate_meta(const moe_generate_config *config, moe_routing_builder *builder)
{
    g_autofree char *how = generate_how(config);
    if (config->logits > 0 || (config->hidden && !generate_copies(config)))
        moe_routing_builder_meta(builder, "order", "weight");
    if (config->logits > 0) {
        g_autofree char *law = g_strdup_printf("spread %g, taste %g, drift %g", config->logits,
                                               config->taste, config->drift);
        moe_routing_builder_meta(builder, "synthetic.logits", law);
    }
    generate_names(builder, "domains", 'd', config->domains);
    generate_names(builder, "modalities", 'm', config->modalities);
    if (config->model)
        moe_routing_builder_meta(builder, "model", config->model);
    if (config->transform)
        moe_routing_builder_meta(builder, MOE_TRANSFORM_META, config->transform);
    if (config->counterfactual)
        moe_routing_builder_meta(builder, MOE_TRANSFORM_META_MARK, "true");
    moe_routing_builder_meta(builder, "engine", "synthetic");
    moe_routing_builder_meta(builder, "synthetic", how);
    if (!config->lookahead)
        return;
    g_autofree char *key = g_strdup_printf("lookahead.%d.recall", (int)config->lookahead);
    g_autofree char *recall = g_strdup_printf("%g", config->recall);
    moe_routing_builder_meta(builder, key, recall);
}

/* The tables that all tokens share; false: no memory. */
static bool
generate_prepare(generator *g)
{
    size_t cells = (size_t)g->layers * g->k, experts = (size_t)g->layers * g->experts;
    g->cumulated = g_try_new(uint64_t, experts);
    g->expert_of = g_try_new(uint16_t, experts * (size_t)g->config->domains);
    g->ranks = g_try_new0(uint16_t, cells);
    g->ids = g_try_new(uint16_t, cells);
    g->predicted = g_try_new(uint16_t, cells);
    g->weights = g_try_new(float, cells);
    g->skew = g_try_new(double, g->layers);
    g->best = g_try_new(uint16_t, cells);
    if (g->config->hidden)
        g->walk = moe_hidden_walk_new(g->config->hidden);
    if (!g->best || (g->config->hidden && !g->walk))
        return false;
    if (!g->cumulated || !g->expert_of || !g->ranks || !g->ids || !g->predicted || !g->weights ||
        !g->skew)
        return false;
    generate_popularity(g);
    generate_orders(g);
    moe_logits_law law = {.layers = g->layers,
                          .experts = g->experts,
                          .spread = g->config->logits,
                          .taste = g->config->taste,
                          .drift = g->config->drift,
                          .memory = g->config->stickiness,
                          .skew = g->skew};
    if (g->config->logits > 0)
        g->logits = moe_logits_new(&law);
    return g->logits || !(g->config->logits > 0);
}

moe_routing_builder *
moe_generate(const moe_generate_config *config, moe_loc at, moe_diag *diag)
{
    if (!moe_generate_check(config, at, diag))
        return NULL;
    generator g = {.config = config,
                   .layers = (uint32_t)config->layers,
                   .experts = (uint32_t)config->experts,
                   .k = (uint32_t)config->top_k};
    moe_routing_builder *builder = NULL;
    if (generate_prepare(&g)) {
        builder = moe_routing_builder_new(g.layers, g.experts, g.k);
        if (config->lookahead)
            moe_routing_builder_lookahead(builder, (uint32_t)config->lookahead, g.k);
        for (uint32_t s = 0; s < config->sequences; s++)
            generate_sequence(&g, s, builder);
        generate_meta(config, builder);
    }
    if (!builder || moe_routing_builder_failed(builder, "synthetic", NULL)) {
        moe_diag_error(diag, at, "synthetic routing: no memory for it");
        g_clear_pointer(&builder, moe_routing_builder_free);
    }
    g_free(g.cumulated);
    g_free(g.expert_of);
    g_free(g.ranks);
    g_free(g.ids);
    g_free(g.predicted);
    g_free(g.weights);
    g_free(g.skew);
    g_free(g.best);
    moe_hidden_walk_free(g.walk);
    moe_logits_free(g.logits);
    return builder;
}
