#include "sim/machine/lower.h"

#include "sim/machine/attend.h"
#include "sim/machine/kernels.h"
#include "sim/machine/stages.h"

#include <string.h>

/* Layers of one shape, with their stages' costs in the current step. */
typedef struct shape {
    moe_layer layer;
    uint32_t tokens; /* for which the token-dependent costs below hold; MOE_NONE: none */
    moe_cost projection, cross_projection, router, shared, dense;
    moe_cost attention, scores, cross; /* depend on contexts: every step anew */
} shape;

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
    moe_attend *attend;
};

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
    lowering->attend = moe_attend_new(hw, lowering->device, schedule, lowering->bits);
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
    moe_attend_free(lowering->attend);
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
        .dtype = lowering->bits.weight_kernels,
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

static void
add_part(moe_segment *segment, int cause, const moe_cost *cost, uint32_t times)
{
    moe_time launch = moe_time_of_cost(cost->launch_ps);
    moe_time total = moe_time_of_cost(cost->total_ps);
    moe_time *part = &segment->parts[cause], *launches = &segment->parts[MOE_CAUSE_launch];
    *part = moe_time_add(*part, moe_time_times(total - cost->launch_ps, times));
    *launches = moe_time_add(*launches, moe_time_times(launch, times));
    segment->flops += times * cost->flops;
    segment->bytes += times * cost->bytes;
}

static void
cost_pattern(const moe_lowering *lowering, pattern *p, const moe_step *step)
{
    moe_segment *segment = &p->segment;
    memset(segment, 0, sizeof *segment);
    if (p->first)
        segment->parts[MOE_CAUSE_encoder] =
            moe_time_times(lowering->config->workload.encoder_ps, step->admitted);
    for (uint32_t i = 0; i < lowering->n_shapes && step->n > 0; i++) {
        const shape *s = &lowering->shapes[i];
        if (p->count[i] == 0)
            continue;
        add_part(segment, MOE_CAUSE_attention, &s->projection, p->count[i]);
        add_part(segment, MOE_CAUSE_attention, &s->scores, p->count[i]);
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
        segment->total = moe_time_add(segment->total, segment->parts[c]);
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
            s->attention = moe_attend_self(lowering->attend, step, &s->layer.attention);
        if (s->layer.attention.index_top_k)
            s->scores = moe_attend_scores(lowering->attend, step, &s->layer.attention);
        if (s->layer.cross.kind != MOE_ATTENTION_NONE)
            s->cross = moe_attend_cross(lowering->attend, step, &s->layer.cross);
    }
    uint32_t rows = step->n ? moe_attend_rows(lowering->attend, step) : 0;
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

double
moe_lowering_peak(const moe_lowering *lowering)
{
    double peak = moe_peak_flops(lowering->device, lowering->bits.activations);
    for (uint32_t i = 0; i < lowering->n_shapes; i++) {
        const moe_layer *layer = &lowering->shapes[i].layer;
        if (layer->attention.kind != MOE_ATTENTION_NONE)
            peak = MAX(peak, moe_attend_peak(lowering->attend, &layer->attention));
        if (layer->cross.kind != MOE_ATTENTION_NONE)
            peak = MAX(peak, moe_attend_peak(lowering->attend, &layer->cross));
    }
    return peak;
}

static moe_expert_shape
expert_shape(const moe_lowering *lowering, const moe_device *device, const moe_ffn *ffn,
             double size)
{
    const moe_kernel_wanted wanted = moe_wanted_experts(&lowering->bits, ffn);
    return (moe_expert_shape){
        .kernel = moe_device_experts(device, &wanted),
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

const char *
moe_lowering_longest(const moe_lowering *lowering, uint32_t m, const moe_cost **cost)
{
    const pattern *p = &lowering->patterns[lowering->segment_pattern[m]];
    const char *name = "head";
    *cost = p->head ? &lowering->head : NULL;
    for (uint32_t i = 0; i < lowering->n_shapes; i++) {
        const shape *s = &lowering->shapes[i];
        const struct {
            const char *name;
            const moe_cost *cost;
        } stages[] = {{"projection", &s->projection}, {"scores", &s->scores},
                      {"attention", &s->attention},   {"cross projection", &s->cross_projection},
                      {"cross attention", &s->cross}, {"dense", &s->dense},
                      {"router", &s->router}};
        for (size_t k = 0; k < MOE_COUNT(stages) && p->count[i] > 0; k++)
            if (!*cost || stages[k].cost->total_ps > (*cost)->total_ps) {
                *cost = stages[k].cost;
                name = stages[k].name;
            }
    }
    return name;
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
        explain_part(out, p->count[i], "scores", &s->scores);
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
