#include "sim/machine/attend.h"

#include "hw/cost_attention.h"

#define EXPANDED_BITS 16.0   /* of keys and values of each head, whatever the cache holds */
#define ACTIVATION_BITS 16.0 /* of what linear attention reads and writes beside its state */

/* What the current step has of a request: contexts of its first and last prompt token. */
typedef struct extent {
    uint64_t visit; /* of the step's tokens in which it was met; else the rest means nothing */
    uint32_t low, high;
} extent;

struct moe_attend {
    const moe_hardware *hw;
    const moe_device *device;
    const moe_schedule *schedule;
    moe_precision bits;
    extent *extents; /* by request */
    uint64_t visit;
};

moe_attend *
moe_attend_new(const moe_hardware *hw, const moe_device *device, const moe_schedule *schedule,
               moe_precision bits)
{
    moe_attend *a = g_new0(moe_attend, 1);
    *a = (moe_attend){.hw = hw, .device = device, .schedule = schedule, .bits = bits};
    a->extents = g_new0(extent, (size_t)schedule->n_requests + 1);
    return a;
}

void
moe_attend_free(moe_attend *a)
{
    if (!a)
        return;
    g_free(a->extents);
    g_free(a);
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
    r->windowed |= attention->window && span < length;
}

/* Keys that a request's prompt tokens reach together: from the first that the first of them sees to
 * the last of them. What an indexer chooses may lie anywhere. */
static double
extent_keys(const extent *e, const moe_attention *attention)
{
    int64_t before = attention->window ? moe_attention_span(attention, e->low) : e->low;
    return (double)(e->high - e->low) + (double)before;
}

/* Takes prompt token t in, wherever in the step the others of its request are: the request's reach
 * may grow. */
static void
extent_add(moe_attend *a, uint64_t t, const moe_attention *attention, reach *r)
{
    uint32_t context = a->schedule->context[t];
    extent *e = &a->extents[a->schedule->request[t]];
    double before = e->visit == a->visit ? extent_keys(e, attention) : 0;
    if (e->visit != a->visit) {
        *e = (extent){a->visit, context, context};
        r->caches++;
    }
    e->low = MIN(e->low, context);
    e->high = MAX(e->high, context);
    r->read += extent_keys(e, attention) - before;
}

static reach
prompt_reach(moe_attend *a, const moe_step *step, const moe_attention *attention)
{
    const moe_schedule *schedule = a->schedule;
    reach r = {0};
    a->visit++;
    for (uint64_t t = step->first; t < step->first + step->n; t++) {
        if (moe_schedule_decodes(schedule, step, t))
            continue;
        reach_query(&r, attention, schedule->context[t]);
        r.added++;
        extent_add(a, t, attention, &r);
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

/* Latent attention: one latent for all heads, unless a prompt's is expanded to keys and values of
 * each. */
static void
latent_work(const moe_attend *a, const moe_attention *attention, const reach *r,
            moe_attention_work *work)
{
    double key = attention->nope_dim + attention->rope_dim, value = attention->value_dim;

    work->form = MOE_FORM_LATENT;
    work->heads = r->caches;
    work->kv_heads = 1;
    work->key_dim = attention->kv_lora + attention->rope_dim;
    work->value_dim = attention->kv_lora;
    if (work->rows <= 1 || attention->index_top_k ||
        !moe_attention_expands(a->device, EXPANDED_BITS, key))
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
attend(const moe_attend *a, uint32_t n, moe_phase phase, const moe_attention *attention, reach r)
{
    double key_bytes = (double)moe_attention_kv(attention) * a->bits.kv / 8;
    moe_attention_work work = {
        .queries = n,
        .kv_bytes = r.read * key_bytes,
        .flops = r.scored * moe_attention_score_flops(attention, 1),
        .rows = phase == MOE_DECODE ? 1 : n,
        .keys = r.scored / n,
        .new_bytes = r.added * key_bytes,
        .heads = r.caches * attention->kv_heads,
        .activation_bits = a->bits.activations,
        .kv_bits = a->bits.kv,
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
        latent_work(a, attention, &r, &work);
    if (work.key_bytes <= 0)
        work.key_bytes = key_bytes / work.kv_heads;
    return moe_cost_attention(a->hw, a->device, &work);
}

/* The indexer's scores: one key of 8-bit elements for all its heads, and no values. */
static moe_cost
score(const moe_attend *a, uint32_t n, moe_phase phase, const moe_attention *attention, reach r)
{
    double key_bytes = (double)moe_attention_index_bytes(attention);
    double heads = attention->index_heads, dim = attention->index_dim;
    moe_attention_work work = {
        .queries = n,
        .kv_bytes = r.read * key_bytes,
        .flops = 2 * heads * dim * r.scored,
        .rows = phase == MOE_DECODE ? 1 : n,
        .keys = r.scored / n,
        .new_bytes = r.added * key_bytes,
        .heads = r.caches,
        .activation_bits = MOE_INDEX_BITS,
        .kv_bits = MOE_INDEX_BITS,
        .form = MOE_FORM_SCORES,
        .sequences = r.caches,
        .query_heads = heads,
        .kv_heads = 1,
        .key_dim = dim,
        .key_bytes = key_bytes,
        .longest = r.longest,
        .new_tokens = r.added,
    };
    return moe_cost_attention(a->hw, a->device, &work);
}

/* What the kernel of a linear attention reads and writes of each token: queries, keys, values and
 * outputs; a selective scan has steps of each channel, too. */
static double
token_bytes(const moe_attention *attention)
{
    double keys = (double)attention->key_heads * attention->key_dim;
    double values = (double)attention->heads * attention->value_dim;
    double elements = 2 * keys + (attention->linear == MOE_LINEAR_MAMBA ? 3 : 2) * values;

    return elements * ACTIVATION_BITS / 8;
}

/* Linear attention: no keys, but a state. */
static moe_cost
recur(const moe_attend *a, uint32_t n, moe_phase phase, const moe_attention *attention, reach r)
{
    double each = phase == MOE_DECODE ? 1 : n / r.caches;
    moe_attention_work work =
        moe_attention_linear(r.caches, each, attention->heads, attention->key_dim,
                             attention->value_dim, attention->state_bits, attention->chunk);
    const moe_attention_kernel *kernel =
        moe_device_attention(a->device, work.form, work.kv_bits, work.key_dim);

    work.kernel = kernel->form == MOE_FORM_STATE ? kernel : &a->device->attention;
    work.kv_bytes +=
        n * token_bytes(attention) + 2 * r.caches * (double)moe_attention_conv_bytes(attention);
    return moe_cost_attention(a->hw, a->device, &work);
}

typedef moe_cost carry_out(const moe_attend *a, uint32_t n, moe_phase phase,
                           const moe_attention *attention, reach r);

static moe_cost
both_phases(moe_attend *a, const moe_step *step, const moe_attention *attention, carry_out *cost)
{
    uint32_t decoded = step->decoded, prompted = step->n - decoded;
    moe_cost prompts = {0}, others = {0};
    if (prompted > 0)
        prompts = cost(a, prompted, MOE_PREFILL, attention, prompt_reach(a, step, attention));
    if (decoded > 0)
        others =
            cost(a, decoded, MOE_DECODE, attention, decode_reach(a->schedule, step, attention));
    if (prompted > 0 && decoded > 0)
        return moe_cost_add(prompts, others);
    return prompted > 0 ? prompts : others;
}

moe_cost
moe_attend_self(moe_attend *a, const moe_step *step, const moe_attention *attention)
{
    return both_phases(a, step, attention,
                       attention->kind == MOE_ATTENTION_LINEAR ? recur : attend);
}

moe_cost
moe_attend_scores(moe_attend *a, const moe_step *step, const moe_attention *attention)
{
    moe_attention all = *attention;
    all.index_top_k = 0; /* of all keys, whatever is chosen then */
    return both_phases(a, step, &all, score);
}

moe_cost
moe_attend_cross(const moe_attend *a, const moe_step *step, const moe_attention *attention)
{
    return attend(a, step->n, (moe_phase)step->phase, attention, cross_reach(a->schedule, step));
}

/* A kernel that is known by its blocks has an arithmetic of its own, others that of their work. */
double
moe_attend_peak(const moe_attend *a, const moe_attention *attention)
{
    int form = attention->kind == MOE_ATTENTION_MLA ? MOE_FORM_LATENT : MOE_FORM_HEADS;
    double dim = attention->kind == MOE_ATTENTION_MLA ? attention->kv_lora + attention->rope_dim
                                                      : attention->head_dim;
    const moe_attention_kernel *kernel = moe_device_attention(a->device, form, a->bits.kv, dim);
    double peak = moe_peak_flops(a->device, a->bits.activations);

    if (kernel->tile_rows > 0)
        peak = MAX(peak, moe_peak_flops(a->device, moe_kernel_activation_bits(kernel->dtype)));
    if (attention->kind == MOE_ATTENTION_MLA) /* expanded */
        peak = MAX(peak, moe_peak_flops(a->device, EXPANDED_BITS));
    if (attention->kind == MOE_ATTENTION_LINEAR)
        peak = MAX(peak, moe_peak_flops(a->device, ACTIVATION_BITS));
    if (attention->index_top_k)
        peak = MAX(peak, moe_peak_flops(a->device, MOE_INDEX_BITS));
    return peak;
}

uint32_t
moe_attend_rows(moe_attend *a, const moe_step *step)
{
    if (step->phase == MOE_DECODE)
        return step->n;
    uint32_t rows = 0;
    a->visit++;
    for (uint64_t t = step->first; t < step->first + step->n; t++) {
        extent *e = &a->extents[a->schedule->request[t]];
        rows += e->visit != a->visit;
        e->visit = a->visit;
    }
    return rows;
}
