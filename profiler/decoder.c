#include "profiler/decoder.h"

#include "profiler/cpu/kernels.h"

#include "profiler/ranges.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

#include <string.h>
#include <time.h>

const char *const moe_stage_names[MOE_STAGES] = {
    [MOE_STAGE_EMBED] = "embed",     [MOE_STAGE_ATTENTION] = "attention",
    [MOE_STAGE_ROUTER] = "router",   [MOE_STAGE_DISPATCH] = "dispatch",
    [MOE_STAGE_EXPERTS] = "experts", [MOE_STAGE_COMBINE] = "combine",
    [MOE_STAGE_UNEMBED] = "unembed",
};

struct moe_decoder {
    const moe_weights *weights;
    const moe_backend_ops *backend;
    void *state;
    moe_decoder_config config;
    const moe_layer *layers;
    uint32_t n_layers, n_moe;
    uint32_t *moe_layer; /* [n_moe]: the layer of the model */
    float *correction;   /* [n_moe, experts]; NULL: the model has none */

    uint32_t step;
    float *times; /* [n_layers, MOE_STAGES] */
    int64_t since;

    /* The routing of the layer under way [rows, k], then that of each layer looked ahead. */
    uint16_t *ids[1 + MOE_DECODER_MAX_LOOKAHEAD];
    float *weights_of[1 + MOE_DECODER_MAX_LOOKAHEAD];
    float *logits, *choice;

    /* Its dispatch: what moe_dispatch shows, and each expert's place in it or MOE_NONE. */
    moe_dispatch dispatch;
    uint16_t *expert;
    uint32_t *first, *row, *member;
    float *weight;
    uint32_t *wave;
    const moe_mlp **wave_weights;
};

/* ---- time ---- */

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool
settle(moe_decoder *d, GError **error)
{
    return !d->config.timed || !d->backend->wait || d->backend->wait(d->state, error);
}

static bool
begin(moe_decoder *d, uint32_t layer, moe_stage stage, GError **error)
{
    if (!settle(d, error))
        return false;
    moe_range_push_stage(layer, stage);
    if (d->config.timed)
        d->since = now_ns();
    return true;
}

/* `ok`: whether the stage went well; returns whether all did. */
static bool
end(moe_decoder *d, uint32_t layer, moe_stage stage, bool ok, GError **error)
{
    ok = ok && settle(d, error);
    if (d->config.timed)
        d->times[layer * MOE_STAGES + stage] += (float)(now_ns() - d->since);
    moe_range_pop();
    return ok;
}

const float *
moe_decoder_times(const moe_decoder *decoder)
{
    return decoder->times;
}

/* ---- life ---- */

static void
find_moe_layers(moe_decoder *d)
{
    const moe_stack *stack = moe_model_decoder(d->weights->arch->model);
    d->layers = stack->layers;
    d->n_layers = (uint32_t)stack->n_layers;
    d->moe_layer = g_new(uint32_t, d->n_layers);
    for (uint32_t l = 0; l < d->n_layers; l++)
        if (d->layers[l].ffn.kind == MOE_FFN_MOE)
            d->moe_layer[d->n_moe++] = l;
}

static void
read_corrections(moe_decoder *d)
{
    uint32_t experts = d->weights->arch->router.experts;
    for (uint32_t m = 0; m < d->n_moe; m++) {
        const moe_matrix *column = &d->weights->layers[d->moe_layer[m]].correction;
        if (!column->data)
            continue;
        if (!d->correction)
            d->correction = g_new0(float, (size_t)d->n_moe *experts);
        for (uint32_t e = 0; e < experts; e++)
            d->correction[m * experts + e] = moe_matrix_at(column, e, 0);
    }
}

/* Bytes of what depends on the rows of a step. */
static uint64_t
wanted(const moe_decoder *d)
{
    const moe_router_rule *rule = &d->weights->arch->router;
    uint64_t chosen = (d->config.lookahead + 1) * (sizeof(uint16_t) + sizeof(float)) +
                      sizeof(uint32_t) + sizeof(float);
    return d->config.backend.max_rows * (rule->top_k * chosen + rule->experts * sizeof(float));
}

/* Working space; false when there is no memory for it. */
static bool
allocate(moe_decoder *d)
{
    const moe_router_rule *rule = &d->weights->arch->router;
    size_t rows = d->config.backend.max_rows, experts = rule->experts;
    bool ok = true;
    for (uint32_t i = 0; i <= d->config.lookahead; i++) {
        ok &= (d->ids[i] = g_try_new(uint16_t, rows * rule->top_k)) != NULL;
        ok &= (d->weights_of[i] = g_try_new(float, rows * rule->top_k)) != NULL;
    }
    ok &= (d->logits = g_try_new(float, rows *experts)) != NULL;
    ok &= (d->row = g_try_new(uint32_t, rows * rule->top_k)) != NULL;
    ok &= (d->weight = g_try_new(float, rows * rule->top_k)) != NULL;
    d->choice = g_new(float, experts);
    d->expert = g_new(uint16_t, experts);
    d->first = g_new(uint32_t, experts + 1);
    d->member = g_new(uint32_t, experts);
    memset(d->member, 0xFF, experts * sizeof *d->member);
    d->wave = g_new(uint32_t, experts);
    d->wave_weights = g_new(const moe_mlp *, experts);
    d->times = g_new0(float, (size_t)d->n_layers *MOE_STAGES);
    return ok;
}

moe_decoder *
moe_decoder_new(const moe_weights *weights, const moe_backend_ops *backend,
                const moe_decoder_config *config, GError **error)
{
    moe_decoder *d = g_new0(moe_decoder, 1);

    moe_assert(config->lookahead <= MOE_DECODER_MAX_LOOKAHEAD, "lookahead %u", config->lookahead);
    d->weights = weights;
    d->backend = backend;
    d->config = *config;
    d->config.backend.served = config->source != NULL;
    d->config.backend.lookahead = config->lookahead;
    find_moe_layers(d);
    read_corrections(d);
    if (!allocate(d)) {
        g_autofree char *bytes = moe_format_bytes((int64_t)wanted(d));
        g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY,
                    "not enough memory: the routing of batches of %u rows wants %s",
                    config->backend.max_rows, bytes);
    } else if ((d->state = backend->open(weights, &d->config.backend, error))) {
        return d;
    }
    moe_decoder_free(d);
    return NULL;
}

void
moe_decoder_free(moe_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->state)
        decoder->backend->close(decoder->state);
    for (uint32_t i = 0; i <= MOE_DECODER_MAX_LOOKAHEAD; i++) {
        g_free(decoder->ids[i]);
        g_free(decoder->weights_of[i]);
    }
    void *owned[] = {decoder->moe_layer, decoder->correction, decoder->times,
                     decoder->logits,    decoder->choice,     decoder->expert,
                     decoder->first,     decoder->row,        decoder->member,
                     decoder->weight,    decoder->wave,       decoder->wave_weights};
    for (size_t i = 0; i < MOE_COUNT(owned); i++)
        g_free(owned[i]);
    g_free(decoder);
}

/* ---- routing ---- */

/* What the gate of MoE layer `gate` says of the rows as they are in layer `layer`. */
static const float *
route(moe_decoder *d, const moe_batch *batch, uint32_t layer, uint32_t gate, GError **error)
{
    const moe_router_rule *rule = &d->weights->arch->router;
    const float *bias = d->correction ? d->correction + (size_t)gate * rule->experts : NULL;
    uint16_t *ids = d->ids[gate - layer];
    float *weights = d->weights_of[gate - layer];
    const float *logits =
        d->backend->router(d->state, batch, d->moe_layer[layer], d->moe_layer[gate], error);
    for (uint32_t i = 0; logits && i < batch->n; i++)
        moe_route(rule, logits + (size_t)i * rule->experts, bias, d->choice,
                  ids + (size_t)i * rule->top_k, weights + (size_t)i * rule->top_k);
    return logits;
}

/* The gates of layer `layer` and of those looked ahead; fills `routed`. */
static bool
route_all(moe_decoder *d, const moe_batch *batch, uint32_t layer, moe_routed *routed,
          GError **error)
{
    uint32_t ahead = MIN(d->config.lookahead, d->n_moe - 1 - layer), here = d->moe_layer[layer];

    if (!begin(d, here, MOE_STAGE_ROUTER, error))
        return false;
    const float *logits = route(d, batch, layer, layer, error);
    if (!end(d, here, MOE_STAGE_ROUTER, logits != NULL, error))
        return false;
    *routed = (moe_routed){batch, d->step, layer, d->ids[0], d->weights_of[0], logits};
    if (ahead) { /* the backend's will be overwritten */
        size_t bytes = (size_t)batch->n * d->weights->arch->router.experts * sizeof *logits;
        routed->logits = memcpy(d->logits, logits, bytes);
    }
    for (uint32_t i = 1; i <= ahead; i++) {
        if (!route(d, batch, layer, layer + i, error))
            return false;
        routed->lookahead[i - 1] = d->ids[i];
        routed->lookahead_weights[i - 1] = d->weights_of[i];
    }
    return true;
}

/* Rows by expert, experts in order of first appearance. */
static void
group_rows(moe_decoder *d, const moe_batch *batch)
{
    uint32_t k = d->weights->arch->router.top_k, entries = batch->n * k, n = 0;
    const uint16_t *ids = d->ids[0];

    for (uint32_t i = 0; i < entries; i++) {
        if (d->member[ids[i]] == MOE_NONE) {
            d->member[ids[i]] = n;
            d->expert[n] = ids[i];
            d->first[++n] = 0;
        }
        d->first[d->member[ids[i]] + 1]++;
    }
    d->first[0] = 0;
    for (uint32_t m = 0; m < n; m++)
        d->first[m + 1] += d->first[m];
    /* first[m] moves on to where the next begins, and so becomes first[m + 1]. */
    for (uint32_t i = 0; i < entries; i++) {
        uint32_t at = d->first[d->member[ids[i]]]++;
        d->row[at] = i / k;
        d->weight[at] = d->weights_of[0][i];
    }
    memmove(d->first + 1, d->first, n * sizeof *d->first);
    d->first[0] = 0;
    for (uint32_t m = 0; m < n; m++)
        d->member[d->expert[m]] = MOE_NONE;
    d->dispatch = (moe_dispatch){n, d->expert, d->first, d->row, d->weight};
}

/* ---- a step ---- */

static bool
compute_experts(moe_decoder *d, uint32_t layer, const moe_mlp *const *weights, uint32_t n,
                GError **error)
{
    if (!begin(d, layer, MOE_STAGE_EXPERTS, error))
        return false;
    bool ok = d->backend->experts(d->state, layer, d->wave, weights, n, error);
    return end(d, layer, MOE_STAGE_EXPERTS, ok, error);
}

/* Wave by wave as their weights arrive, or all at once where they are. */
static bool
run_experts(moe_decoder *d, uint32_t layer, const moe_routed *routed, GError **error)
{
    const moe_expert_source *source = d->config.source;

    if (!source) {
        for (uint32_t m = 0; m < d->dispatch.n_experts; m++)
            d->wave[m] = m;
        return compute_experts(d, layer, NULL, d->dispatch.n_experts, error);
    }
    if (!source->begin(source->context, routed, &d->dispatch, error))
        return false;
    for (;;) {
        uint32_t n = 0;
        if (!source->next(source->context, d->wave, d->wave_weights, &n, error))
            return false;
        if (!n)
            return true;
        if (!compute_experts(d, layer, d->wave_weights, n, error))
            return false;
    }
}

static bool
show_hidden(moe_decoder *d, const moe_batch *batch, uint32_t number, GError **error)
{
    const moe_decoder_observer *observer = d->config.observer;
    if (!observer || !observer->hidden)
        return true;
    const float *hidden = d->backend->hidden(d->state, batch, error);
    return hidden && observer->hidden(observer->context, batch, number, hidden, error);
}

static bool
run_moe(moe_decoder *d, const moe_batch *batch, uint32_t layer, GError **error)
{
    const moe_decoder_observer *observer = d->config.observer;
    uint32_t number = (uint32_t)d->layers[layer].moe_index;
    moe_routed routed;

    if (!show_hidden(d, batch, number, error) || !route_all(d, batch, number, &routed, error))
        return false;
    if (observer && observer->routed && !observer->routed(observer->context, &routed, error))
        return false;

    if (!begin(d, layer, MOE_STAGE_DISPATCH, error))
        return false;
    group_rows(d, batch);
    bool ok = d->backend->dispatch(d->state, batch, layer, &d->dispatch, error);
    if (!end(d, layer, MOE_STAGE_DISPATCH, ok, error) || !run_experts(d, layer, &routed, error) ||
        !begin(d, layer, MOE_STAGE_COMBINE, error))
        return false;
    ok = d->backend->combine(d->state, batch, layer, error);
    return end(d, layer, MOE_STAGE_COMBINE, ok, error);
}

static bool
run_layer(moe_decoder *d, const moe_batch *batch, uint32_t layer, GError **error)
{
    if (!begin(d, layer, MOE_STAGE_ATTENTION, error))
        return false;
    bool ok = d->backend->attention(d->state, batch, layer, error);
    if (!end(d, layer, MOE_STAGE_ATTENTION, ok, error))
        return false;
    if (d->layers[layer].ffn.kind == MOE_FFN_MOE)
        return run_moe(d, batch, layer, error);
    if (!begin(d, layer, MOE_STAGE_COMBINE, error))
        return false;
    ok = d->backend->dense(d->state, batch, layer, error);
    return end(d, layer, MOE_STAGE_COMBINE, ok, error);
}

static bool
run_embed(moe_decoder *d, const moe_batch *batch, GError **error)
{
    if (!begin(d, 0, MOE_STAGE_EMBED, error))
        return false;
    bool ok = d->backend->embed(d->state, batch, error);
    return end(d, 0, MOE_STAGE_EMBED, ok, error);
}

static const float *
run_unembed(moe_decoder *d, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows,
            GError **error)
{
    uint32_t last = d->n_layers - 1;
    if (!begin(d, last, MOE_STAGE_UNEMBED, error))
        return NULL;
    const float *logits = d->backend->unembed(d->state, batch, rows, n_rows, error);
    return end(d, last, MOE_STAGE_UNEMBED, logits != NULL, error) ? logits : NULL;
}

static bool
run_stages(moe_decoder *d, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows,
           const float **logits, GError **error)
{
    const moe_expert_source *source = d->config.source;
    bool ok = run_embed(d, batch, error);
    for (uint32_t l = 0; ok && l < d->n_layers; l++)
        ok = run_layer(d, batch, l, error);
    if (ok && source)
        ok = source->end_step(source->context, error);
    if (!ok || !n_rows)
        return ok;
    *logits = run_unembed(d, batch, rows, n_rows, error);
    return *logits != NULL;
}

/* ---- a step at once ---- */

static bool
goes_at_once(const moe_decoder *d)
{
    const moe_decoder_observer *observer = d->config.observer;
    return d->backend->forward && !d->config.source && !d->config.by_stages &&
           (!observer || !observer->hidden || observer->alike);
}

/* Shows what was routed in a MoE layer of a step that is over. */
static bool
show_layer(const moe_decoder *d, const moe_batch *batch, uint32_t layer,
           const moe_forward_result *result, GError **error)
{
    const moe_decoder_observer *observer = d->config.observer;
    const moe_router_rule *rule = &d->weights->arch->router;
    size_t chosen = (size_t)layer * batch->n * rule->top_k;
    size_t all = (size_t)layer * batch->n * rule->experts;
    moe_routed routed = {batch,
                         d->step,
                         layer,
                         result->ids + chosen,
                         result->weights + chosen,
                         result->router_logits ? result->router_logits + all : NULL};

    for (uint32_t i = 1; i <= d->config.lookahead && layer + i < d->n_moe; i++) {
        routed.lookahead[i - 1] = result->ahead[i - 1] + chosen;
        routed.lookahead_weights[i - 1] = result->ahead_weights[i - 1] + chosen;
    }
    for (uint32_t i = 1; observer->alike && i <= MIN(d->config.lookahead, layer); i++)
        observer->alike(observer->context, batch, layer, i,
                        result->cosines[i - 1] + (size_t)layer * batch->n);
    return !observer->routed || observer->routed(observer->context, &routed, error);
}

static bool
run_at_once(moe_decoder *d, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows,
            const float **logits, GError **error)
{
    const moe_decoder_observer *observer = d->config.observer;
    const moe_forward step = {
        .batch = batch,
        .rows = rows,
        .n_rows = n_rows,
        .lookahead = d->config.lookahead,
        .router_logits = observer && observer->routed && !observer->spare_logits,
        .cosines = observer && observer->alike && d->config.lookahead,
        .timed = d->config.timed,
    };
    moe_forward_result result = {0};

    if (!d->backend->forward(d->state, &step, &result, error))
        return false;
    if (d->config.timed)
        memcpy(d->times, result.ns, (size_t)d->n_layers * MOE_STAGES * sizeof *d->times);
    *logits = result.logits;
    for (uint32_t m = 0; observer && m < d->n_moe; m++)
        if (!show_layer(d, batch, m, &result, error))
            return false;
    return true;
}

/* ---- any step ---- */

static void
check_batch(const moe_decoder *d, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows)
{
    uint32_t vocab = (uint32_t)d->weights->arch->model->vocab;

    moe_assert(batch->n && batch->n <= d->config.backend.max_rows, "%u rows, %u are the most",
               batch->n, d->config.backend.max_rows);
    for (uint32_t i = 0; i < batch->n; i++)
        moe_assert(batch->token[i] < vocab && batch->position[i] < d->weights->arch->max_context,
                   "row %u: token %u of %u, position %u of %u", i, batch->token[i], vocab,
                   batch->position[i], d->weights->arch->max_context);
    for (uint32_t i = 0; i < n_rows; i++)
        moe_assert(rows[i] < batch->n, "logits of row %u of %u", rows[i], batch->n);
}

bool
moe_decoder_step(moe_decoder *decoder, const moe_batch *batch, const uint32_t *rows,
                 uint32_t n_rows, const float **logits, GError **error)
{
    moe_decoder *d = decoder;

    check_batch(d, batch, rows, n_rows);
    memset(d->times, 0, (size_t)d->n_layers * MOE_STAGES * sizeof *d->times);
    moe_range_push_step(d->step, batch->phase);
    bool ok = goes_at_once(d) ? run_at_once(d, batch, rows, n_rows, logits, error)
                              : run_stages(d, batch, rows, n_rows, logits, error);
    moe_range_pop();
    d->step++;
    return ok;
}
