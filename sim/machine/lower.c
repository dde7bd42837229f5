#include "sim/machine/lower.h"

#include "hw/cost_attention.h"
#include "sim/machine/stages.h"

#include <string.h>

/* Layers of one shape, with their stages' costs in the current step. */
typedef struct shape {
    moe_layer layer;
    uint32_t tokens; /* for which the token-dependent costs below hold; MOE_NONE: none */
    moe_cost projection, cross_projection, router, shared, dense;
    moe_cost attention, cross; /* depend on contexts: every step anew */
} shape;

/* What the current step has of a request: contexts of its first and last prompt token. */
typedef struct extent {
    uint64_t visit; /* of the step's tokens in which it was met; else the rest means nothing */
    uint32_t low, high;
} extent;

typedef struct pattern {
    uint32_t *count; /* layers of each shape */
    bool head;
    uint32_t gate; /* shape of the last layer; MOE_NONE in the tail */
    bool first;
    moe_segment segment;
} pattern;

struct moe_lowering {
    const moe_model *model;
    const moe_hardware *hw;
    const moe_device *device, *host;
    moe_device here; /* the device as this run uses it: its kernels, launched in graphs or not */
    const moe_config *config;
    const moe_schedule *schedule;
    moe_precision bits;
    shape *shapes;
    uint32_t n_shapes, n_moe;
    pattern *patterns;
    uint32_t n_patterns;
    uint32_t *segment_pattern; /* [n_moe + 1] */
    uint32_t *moe_shape;       /* [n_moe] */
    moe_cost **single;         /* [n_moe's shape][n]: n experts with one token each */
    moe_cost head;
    uint32_t head_rows, head_tokens;
    uint32_t step;
    extent *extents; /* by request */
    uint64_t visit;
};

moe_precision
moe_lowering_precision(const moe_model *model, const moe_config *config)
{
    return (moe_precision){
        .weights = moe_config_bits(config->precision.weights, model->weight_bits),
        .experts = moe_config_bits(config->precision.experts, model->expert_bits),
        .kv = moe_config_bits(config->precision.kv, model->weight_bits),
        .activations = moe_config_bits(config->precision.activations, model->weight_bits),
    };
}

static const moe_layer *
moe_layer_at(const moe_model *model, uint32_t m)
{
    const moe_stack *stack = moe_model_decoder(model);
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].moe_index == (int)m)
            return &stack->layers[i];
    moe_assert(false, "model %s has no MoE layer %u", model->name, m);
    return NULL;
}

int64_t
moe_expert_bytes(const moe_model *model, const moe_config *config, uint32_t m)
{
    const moe_layer *layer = moe_layer_at(model, m);
    return moe_weight_bytes(moe_expert_params(model, &layer->ffn),
                            moe_lowering_precision(model, config).experts);
}

static bool
same_shape(const moe_layer *a, const moe_layer *b)
{
    moe_layer x = *a, y = *b;
    x.moe_index = y.moe_index = 0;
    return memcmp(&x.attention, &y.attention, sizeof x.attention) == 0 &&
           memcmp(&x.cross, &y.cross, sizeof x.cross) == 0 &&
           memcmp(&x.ffn, &y.ffn, sizeof x.ffn) == 0;
}

static uint32_t
shape_of(moe_lowering *lowering, const moe_layer *layer)
{
    for (uint32_t i = 0; i < lowering->n_shapes; i++)
        if (same_shape(&lowering->shapes[i].layer, layer))
            return i;
    lowering->shapes[lowering->n_shapes] = (shape){.layer = *layer, .tokens = MOE_NONE};
    return lowering->n_shapes++;
}

static uint32_t
pattern_of(moe_lowering *lowering, const pattern *wanted)
{
    for (uint32_t i = 0; i < lowering->n_patterns; i++) {
        const pattern *p = &lowering->patterns[i];
        if (p->head == wanted->head && p->gate == wanted->gate && p->first == wanted->first &&
            memcmp(p->count, wanted->count, lowering->n_shapes * sizeof *p->count) == 0)
            return i;
    }
    pattern *p = &lowering->patterns[lowering->n_patterns];
    *p = *wanted;
    p->count = g_memdup2(wanted->count, lowering->n_shapes * sizeof *p->count);
    return lowering->n_patterns++;
}

/* Cuts the decoder at its gates. */
static void
cut(moe_lowering *lowering, const moe_stack *stack, const uint32_t *shapes)
{
    g_autofree uint32_t *count = g_new0(uint32_t, lowering->n_shapes);
    pattern next = {.count = count, .gate = MOE_NONE, .first = true};
    uint32_t m = 0;
    for (int i = 0; i < stack->n_layers; i++) {
        count[shapes[i]]++;
        if (stack->layers[i].moe_index < 0)
            continue;
        lowering->moe_shape[m] = shapes[i];
        next.gate = shapes[i];
        lowering->segment_pattern[m++] = pattern_of(lowering, &next);
        memset(count, 0, lowering->n_shapes * sizeof *count);
        next.first = false;
    }
    next.gate = MOE_NONE;
    next.head = true;
    lowering->segment_pattern[m] = pattern_of(lowering, &next);
}

moe_lowering *
moe_lowering_new(const moe_model *model, const moe_hardware *hw, const moe_kernels *kernels,
                 const moe_config *config, const moe_schedule *schedule)
{
    const moe_stack *stack = moe_model_decoder(model);
    moe_lowering *lowering = g_new0(moe_lowering, 1);
    lowering->model = model;
    lowering->hw = hw;
    lowering->here =
        config->overhead.graphs ? moe_device_in_graph(&hw->devices[0]) : hw->devices[0];
    if (kernels)
        lowering->here.kernels = kernels;
    lowering->device = &lowering->here;
    lowering->host = hw->host >= 0 ? &hw->devices[hw->host] : NULL;
    lowering->config = config;
    lowering->schedule = schedule;
    lowering->bits = moe_lowering_precision(model, config);
    lowering->n_moe = (uint32_t)stack->n_moe;
    lowering->shapes = g_new0(shape, (size_t)stack->n_layers);
    lowering->patterns = g_new0(pattern, (size_t)stack->n_moe + 1);
    lowering->segment_pattern = g_new0(uint32_t, (size_t)stack->n_moe + 1);
    lowering->moe_shape = g_new0(uint32_t, (size_t)stack->n_moe + 1);
    g_autofree uint32_t *shapes = g_new0(uint32_t, (size_t)stack->n_layers);
    for (int i = 0; i < stack->n_layers; i++)
        shapes[i] = shape_of(lowering, &stack->layers[i]);
    cut(lowering, stack, shapes);
    lowering->single = g_new0(moe_cost *, lowering->n_shapes);
    lowering->head_rows = MOE_NONE;
    lowering->extents = g_new0(extent, (size_t)schedule->n_requests + 1);
    return lowering;
}

void
moe_lowering_free(moe_lowering *lowering)
{
    if (!lowering)
        return;
    for (uint32_t i = 0; i < lowering->n_patterns; i++)
        g_free(lowering->patterns[i].count);
    for (uint32_t i = 0; i < lowering->n_shapes; i++)
        g_free(lowering->single[i]);
    g_free(lowering->single);
    g_free(lowering->shapes);
    g_free(lowering->patterns);
    g_free(lowering->segment_pattern);
    g_free(lowering->moe_shape);
    g_free(lowering->extents);
    g_free(lowering);
}

static moe_stages
stages_of(const moe_lowering *lowering)
{
    return (moe_stages){
        .model = lowering->model,
        .hw = lowering->hw,
        .device = lowering->device,
        .weight_bits = lowering->bits.weights,
        .activation_bits = lowering->bits.activations,
    };
}

/* Costs that depend on the number of tokens only. */
static void
cost_tokens(const moe_lowering *lowering, shape *s, uint32_t tokens)
{
    const moe_ffn *ffn = &s->layer.ffn;
    moe_stages stages = stages_of(lowering);
    double rows = tokens;
    s->tokens = tokens;
    if (s->layer.attention.kind != MOE_ATTENTION_NONE)
        s->projection = moe_stage_projection(&stages, &s->layer.attention, rows);
    if (s->layer.cross.kind != MOE_ATTENTION_NONE)
        s->cross_projection = moe_stage_cross(&stages, &s->layer.cross, rows);
    if (ffn->kind == MOE_FFN_DENSE)
        s->dense = moe_stage_dense(&stages, ffn, rows);
    if (ffn->kind != MOE_FFN_MOE)
        return;
    s->router = moe_stage_router(&stages, ffn, rows);
    if (ffn->shared_width > 0)
        s->shared = moe_stage_shared(&stages, ffn, rows);
}

/* Keys read and scored by the step's tokens through one attention block. */
typedef struct reach {
    double scored;  /* sum over query tokens of the keys they attend to */
    double read;    /* keys read from memory: each request's once in prefill, per token in decode */
    double caches;  /* how many KV caches are read: requests in prefill, tokens in decode */
    double added;   /* keys that are written before */
    double longest; /* keys that the query with most of them attends to */
    bool windowed;  /* some query has more before it than it attends to */
} reach;

/* A query token with `length` tokens in its context attends. */
static void
reach_query(reach *r, const moe_attention *attention, int64_t length)
{
    int64_t span = moe_attention_span(attention, length);
    r->scored += (double)span;
    r->longest = MAX(r->longest, (double)span);
    r->windowed |= span < length;
}

/* Keys that a request's prompt tokens reach together: from the first that the first of them sees to
 * the last of them. */
static double
extent_keys(const extent *e, const moe_attention *attention)
{
    return (double)(e->high - e->low) + (double)moe_attention_span(attention, e->low);
}

/* Takes prompt token t in, wherever in the step the others of its request are: the request's reach
 * may grow. */
static void
extent_add(moe_lowering *lowering, uint64_t t, const moe_attention *attention, reach *r)
{
    uint32_t context = lowering->schedule->context[t];
    extent *e = &lowering->extents[lowering->schedule->request[t]];
    double before = e->visit == lowering->visit ? extent_keys(e, attention) : 0;
    if (e->visit != lowering->visit) {
        *e = (extent){lowering->visit, context, context};
        r->caches++;
    }
    e->low = MIN(e->low, context);
    e->high = MAX(e->high, context);
    r->read += extent_keys(e, attention) - before;
}

static reach
prompt_reach(moe_lowering *lowering, const moe_step *step, const moe_attention *attention)
{
    const moe_schedule *schedule = lowering->schedule;
    reach r = {0};
    lowering->visit++;
    for (uint64_t t = step->first; t < step->first + step->n; t++) {
        if (moe_schedule_decodes(schedule, step, t))
            continue;
        reach_query(&r, attention, schedule->context[t]);
        r.added++;
        extent_add(lowering, t, attention, &r);
    }
    return r;
}

static reach
decode_reach(const moe_schedule *schedule, const moe_step *step, const moe_attention *attention)
{
    reach r = {.caches = step->decoded, .added = step->decoded};
    for (uint64_t t = step->first; t < step->first + step->n; t++)
        if (moe_schedule_decodes(schedule, step, t))
            reach_query(&r, attention, schedule->context[t]);
    r.read = r.scored;
    return r;
}

static reach
cross_reach(const moe_schedule *schedule, const moe_step *step)
{
    reach r = {.caches = step->n};
    for (uint64_t t = step->first; t < step->first + step->n; t++) {
        double keys = (double)schedule->requests[schedule->request[t]].encoder;
        r.scored += keys;
        r.longest = MAX(r.longest, keys);
    }
    r.read = r.scored;
    return r;
}

#define EXPANDED_BITS 16.0 /* of keys and values of each head, whatever the cache holds */

/* Latent attention: one latent for all heads, unless a prompt's is expanded to keys and values of
 * each. */
static void
latent_work(const moe_lowering *lowering, const moe_attention *attention, const reach *r,
            moe_attention_work *work)
{
    double key = attention->nope_dim + attention->rope_dim, value = attention->value_dim;

    work->form = MOE_FORM_LATENT;
    work->heads = r->caches;
    work->kv_heads = 1;
    work->key_dim = attention->kv_lora + attention->rope_dim;
    work->value_dim = attention->kv_lora;
    if (work->rows <= 1 || !moe_attention_expands(lowering->device, EXPANDED_BITS, key))
        return;
    work->form = MOE_FORM_HEADS;
    work->kv_bits = EXPANDED_BITS;
    work->kv_heads = attention->heads;
    work->heads = r->caches * attention->heads;
    work->key_dim = key;
    work->value_dim = value;
    work->flops = 2 * (key + value) * attention->heads * r->scored;
    work->key_bytes = (key + value) * EXPANDED_BITS / 8;
    work->kv_bytes = r->read * attention->heads * work->key_bytes;
    work->new_bytes = r->added * attention->heads * work->key_bytes;
}

/* The step's n tokens of a phase attend. */
static moe_cost
attend(const moe_lowering *lowering, uint32_t n, moe_phase phase, const moe_attention *attention,
       reach r)
{
    double key_bytes = (double)moe_attention_kv(attention) * lowering->bits.kv / 8;
    moe_attention_work work = {
        .queries = n,
        .kv_bytes = r.read * key_bytes,
        .flops = r.scored * moe_attention_score_flops(attention, 1),
        .rows = phase == MOE_DECODE ? 1 : n,
        .keys = r.scored / n,
        .new_bytes = r.added * key_bytes,
        .heads = r.caches * attention->kv_heads,
        .activation_bits = lowering->bits.activations,
        .kv_bits = lowering->bits.kv,
        .sequences = r.caches,
        .query_heads = attention->heads,
        .kv_heads = attention->kv_heads,
        .key_dim = attention->head_dim,
        .value_dim = attention->head_dim,
        .longest = r.longest,
        .new_tokens = r.added,
        .windowed = r.windowed,
    };
    if (attention->kind == MOE_ATTENTION_MLA)
        latent_work(lowering, attention, &r, &work);
    if (work.key_bytes <= 0)
        work.key_bytes = key_bytes / work.kv_heads;
    return moe_cost_attention(lowering->hw, lowering->device, &work);
}

/* Prompt tokens first, then decoded ones. */
static moe_cost
attend_self(moe_lowering *lowering, const moe_step *step, const moe_attention *attention)
{
    uint32_t decoded = step->decoded, prompted = step->n - decoded;
    moe_cost prompts = {0}, others = {0};
    if (prompted > 0)
        prompts = attend(lowering, prompted, MOE_PREFILL, attention,
                         prompt_reach(lowering, step, attention));
    if (decoded > 0)
        others = attend(lowering, decoded, MOE_DECODE, attention,
                        decode_reach(lowering->schedule, step, attention));
    if (prompted > 0 && decoded > 0)
        return moe_cost_add(prompts, others);
    return prompted > 0 ? prompts : others;
}

static void
add_part(moe_segment *segment, int cause, const moe_cost *cost, uint32_t times)
{
    segment->parts[cause] += times * (cost->total_ps - cost->launch_ps);
    segment->parts[MOE_CAUSE_launch] += times * cost->launch_ps;
    segment->flops += times * cost->flops;
    segment->bytes += times * cost->bytes;
}

static void
cost_pattern(const moe_lowering *lowering, pattern *p, const moe_step *step)
{
    moe_segment *segment = &p->segment;
    memset(segment, 0, sizeof *segment);
    if (p->first)
        segment->parts[MOE_CAUSE_encoder] = step->admitted * lowering->config->workload.encoder_ps;
    for (uint32_t i = 0; i < lowering->n_shapes && step->n > 0; i++) {
        const shape *s = &lowering->shapes[i];
        if (p->count[i] == 0)
            continue;
        add_part(segment, MOE_CAUSE_attention, &s->projection, p->count[i]);
        add_part(segment, MOE_CAUSE_attention, &s->attention, p->count[i]);
        add_part(segment, MOE_CAUSE_attention, &s->cross_projection, p->count[i]);
        add_part(segment, MOE_CAUSE_attention, &s->cross, p->count[i]);
        add_part(segment, MOE_CAUSE_dense, &s->dense, p->count[i]);
        add_part(segment, MOE_CAUSE_router, &s->router, p->count[i]);
        if (!s->layer.ffn.again)
            segment->parts[MOE_CAUSE_overhead] += p->count[i] * lowering->config->overhead.layer_ps;
    }
    if (p->gate != MOE_NONE && step->n > 0)
        segment->gate = lowering->shapes[p->gate].router.total_ps;
    if (p->head && step->n > 0) {
        add_part(segment, MOE_CAUSE_head, &lowering->head, 1);
        segment->parts[MOE_CAUSE_overhead] += lowering->config->overhead.step_ps;
    }
    for (int c = 0; c < MOE_N_CAUSES; c++)
        segment->total += segment->parts[c];
}

/* Tokens whose logits are needed: one per request. */
static uint32_t
output_rows(moe_lowering *lowering, const moe_step *step)
{
    if (step->phase == MOE_DECODE)
        return step->n;
    uint32_t rows = 0;
    lowering->visit++;
    for (uint64_t t = step->first; t < step->first + step->n; t++) {
        extent *e = &lowering->extents[lowering->schedule->request[t]];
        rows += e->visit != lowering->visit;
        e->visit = lowering->visit;
    }
    return rows;
}

void
moe_lowering_step(moe_lowering *lowering, uint32_t number)
{
    const moe_schedule *schedule = lowering->schedule;
    const moe_step *step = &schedule->steps[number];
    lowering->step = number;
    for (uint32_t i = 0; i < lowering->n_shapes && step->n > 0; i++) {
        shape *s = &lowering->shapes[i];
        if (s->tokens != step->n)
            cost_tokens(lowering, s, step->n);
        if (s->layer.attention.kind != MOE_ATTENTION_NONE)
            s->attention = attend_self(lowering, step, &s->layer.attention);
        if (s->layer.cross.kind != MOE_ATTENTION_NONE)
            s->cross = attend(lowering, step->n, (moe_phase)step->phase, &s->layer.cross,
                              cross_reach(schedule, step));
    }
    uint32_t rows = step->n ? output_rows(lowering, step) : 0;
    if (rows && (rows != lowering->head_rows || step->n != lowering->head_tokens)) {
        moe_stages stages = stages_of(lowering);
        lowering->head = moe_stage_head(&stages, rows, step->n);
        lowering->head_rows = rows;
        lowering->head_tokens = step->n;
    }
    for (uint32_t i = 0; i < lowering->n_patterns; i++)
        cost_pattern(lowering, &lowering->patterns[i], step);
}

const moe_segment *
moe_lowering_segment(const moe_lowering *lowering, uint32_t m)
{
    return &lowering->patterns[lowering->segment_pattern[m]].segment;
}

static moe_expert_shape
expert_shape(const moe_lowering *lowering, const moe_device *device, const moe_ffn *ffn,
             double size)
{
    return (moe_expert_shape){
        .kernel = moe_device_experts(device, lowering->bits.experts, lowering->bits.activations,
                                     ffn->experts, ffn->width),
        .experts = ffn->experts,
        .top_k = ffn->top_k,
        .params = (double)moe_expert_params(lowering->model, ffn),
        .flops = moe_expert_flops(lowering->model, ffn),
        .hidden = lowering->model->hidden,
        .width = ffn->width,
        .weight_bits = lowering->bits.experts * size,
        .activation_bits = lowering->bits.activations,
    };
}

moe_cost
moe_lowering_experts(moe_lowering *lowering, uint32_t m, const uint32_t *tokens, uint32_t n,
                     double size)
{
    uint32_t s = lowering->moe_shape[m];
    const moe_ffn *ffn = &lowering->shapes[s].layer.ffn;
    bool ones = n <= (uint32_t)ffn->experts && size == 1;
    for (uint32_t i = 0; i < n && ones; i++)
        ones = tokens[i] == 1;
    if (!ones || n == 0) {
        moe_expert_shape e = expert_shape(lowering, lowering->device, ffn, size);
        return moe_cost_experts(lowering->hw, lowering->device, &e, tokens, n);
    }
    if (!lowering->single[s]) {
        moe_expert_shape e = expert_shape(lowering, lowering->device, ffn, 1);
        lowering->single[s] = g_new0(moe_cost, (size_t)ffn->experts + 1);
        for (uint32_t i = 1; i <= (uint32_t)ffn->experts; i++)
            lowering->single[s][i] = moe_cost_experts(lowering->hw, lowering->device, &e, NULL, i);
    }
    return lowering->single[s][n];
}

moe_cost
moe_lowering_host(const moe_lowering *lowering, uint32_t m, uint32_t tokens, double size)
{
    moe_expert_shape e = expert_shape(lowering, lowering->host,
                                      &lowering->shapes[lowering->moe_shape[m]].layer.ffn, size);
    return moe_cost_experts(lowering->hw, lowering->host, &e, &tokens, 1);
}

const moe_cost *
moe_lowering_shared(const moe_lowering *lowering, uint32_t m)
{
    return &lowering->shapes[lowering->moe_shape[m]].shared;
}

static void
explain_part(GString *out, uint32_t times, const char *stage, const moe_cost *cost)
{
    if (cost->total_ps == 0)
        return;
    g_string_append_printf(out, "    %3u x %-10s ", times, stage);
    moe_cost_explain(cost, out);
    g_string_append_c(out, '\n');
}

static void
explain_fixed(GString *out, uint32_t times, const char *stage, moe_time ps)
{
    if (ps == 0 || times == 0)
        return;
    g_autofree char *text = moe_format_time(ps);
    g_string_append_printf(out, "    %3u x %-10s %s (stated)\n", times, stage, text);
}

void
moe_lowering_explain(const moe_lowering *lowering, uint32_t m, GString *out)
{
    const moe_step *step = &lowering->schedule->steps[lowering->step];
    const pattern *p = &lowering->patterns[lowering->segment_pattern[m]];
    if (p->first)
        explain_fixed(out, step->admitted, "encoder", lowering->config->workload.encoder_ps);
    for (uint32_t i = 0; i < lowering->n_shapes && step->n > 0; i++) {
        const shape *s = &lowering->shapes[i];
        if (p->count[i] == 0)
            continue;
        explain_part(out, p->count[i], "projection", &s->projection);
        explain_part(out, p->count[i], "attention", &s->attention);
        explain_part(out, p->count[i], "cross proj", &s->cross_projection);
        explain_part(out, p->count[i], "cross", &s->cross);
        explain_part(out, p->count[i], "dense", &s->dense);
        explain_part(out, p->count[i], "router", &s->router);
        explain_fixed(out, p->count[i], "overhead", lowering->config->overhead.layer_ps);
    }
    if (p->head && step->n > 0) {
        explain_part(out, 1, "head", &lowering->head);
        explain_fixed(out, 1, "overhead", lowering->config->overhead.step_ps);
    }
}
