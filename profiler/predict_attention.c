/* Attention. Tables time a call again and again on the same keys: these are warm. New keys and
 * values are written into the cache before, but where the bare kernel is timed, as InferSim does.
 * Latent attention of a framework goes to the latent and back, too; without one it is kernels
 * alone. */
#include "hw/cost_attention.h"
#include "profiler/predict.h"

#include <string.h>

/* The indexer of DeepSeek-V3.2's sparse attention; a key has a scale beside it. */
#define INDEX_HEADS 64.0
#define INDEX_DIM 128.0
#define INDEX_SCALE 4.0

/* How a row's heads look to the kernel. */
typedef struct heads {
    double query, kv; /* of a sequence */
    double key_dim, value_dim;
    double elements; /* of a key with its value in the cache */
    int form;
} heads;

static bool
is_bare(const moe_measured_row *row)
{
    return !strcmp(row->framework, "infersim");
}

/* Keys that one request's queries see in all: they are its last tokens, and see from context -
 * queries + 1 keys to context, each at most `most` (0: any number) of them. */
static double
seen(double queries, double context, double most)
{
    double first = context - queries + 1;

    if (most <= 0 || context <= most)
        return queries * (context + first) / 2;
    if (first >= most)
        return queries * most;
    double rising = most - first; /* of the queries see fewer */
    return rising * (first + most - 1) / 2 + (queries - rising) * most;
}

static moe_attention_work
work_of(const moe_measured_row *row, const heads *h)
{
    double sequences = (double)row->sequences, q = (double)row->queries;
    double context = (double)row->context, key_bytes = h->elements * row->kv_bits / 8;
    double most = (double)(row->window > 0 ? row->window : row->selected);
    bool limited = most > 0 && context > most, bare = is_bare(row);
    double keys = seen(q, context, most);
    double read = limited && (q <= 1 || row->window > 0) ? MIN(context, most + q - 1) : context;

    return (moe_attention_work){
        .queries = sequences * q,
        .rows = q > 1 ? sequences * q : 1,
        .keys = keys / q,
        .longest = limited ? most : context,
        .flops = 2 * h->query * (h->key_dim + h->value_dim) * sequences * keys,
        .kv_bytes = sequences * read * h->kv * key_bytes,
        .new_bytes = bare ? 0 : sequences * q * h->kv * key_bytes,
        .new_tokens = bare ? 0 : sequences * q,
        .sequences = sequences,
        .heads = sequences * h->kv,
        .query_heads = h->query,
        .kv_heads = h->kv,
        .key_dim = h->key_dim,
        .value_dim = h->value_dim,
        .key_bytes = key_bytes,
        .activation_bits = row->activation_bits,
        .kv_bits = row->kv_bits,
        .form = h->form,
        .windowed = row->window > 0 && limited,
        .warm = true,
    };
}

static heads
plain_heads(const moe_measured_row *row)
{
    double dim = (double)row->head_dim;
    double value = row->value_dim ? (double)row->value_dim : dim;
    return (heads){(double)row->heads, (double)row->kv_heads, dim, value,
                   dim + value,        MOE_FORM_HEADS};
}

/* A prompt's keys and values are expanded from the latent (and written then, in its place); a
 * decode, and sparse attention, read it as it is. */
static heads
latent_heads(const moe_measured_row *row)
{
    double query = (double)row->heads, rank = (double)row->kv_rank, rope = (double)row->rope_dim;
    double key = (double)row->head_dim + rope, value = (double)row->value_dim;

    if (row->queries > 1 && !row->selected)
        return (heads){query, query, key, value, key + value, MOE_FORM_HEADS};
    return (heads){query, 1, rank + rope, rank, rank + rope, MOE_FORM_LATENT};
}

static heads
index_heads(const moe_measured_row *row)
{
    double query = row->variant == MOE_MEASURED_SCORES ? (double)row->heads : INDEX_HEADS;
    double dim = row->variant == MOE_MEASURED_SCORES ? (double)row->head_dim : INDEX_DIM;
    return (heads){query, 1, dim, 0, dim + INDEX_SCALE, MOE_FORM_SCORES};
}

static moe_cost
attend(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row,
       heads h)
{
    moe_attention_work work = work_of(row, &h);
    return moe_cost_attention(&candidate->hw, device, &work);
}

/* What the kernel itself works on. */
static heads
heads_of(const moe_measured_row *row)
{
    if (row->variant == MOE_MEASURED_SCORES)
        return index_heads(row);
    return row->kv_rank ? latent_heads(row) : plain_heads(row);
}

/* Bits of the keys that it reads: an indexer's are 8, expanded ones 16, whatever the cache holds.
 */
static double
bits_of(const moe_measured_row *row, const heads *h)
{
    if (h->form == MOE_FORM_SCORES)
        return 8;
    return row->kv_rank && h->form == MOE_FORM_HEADS ? 16 : row->kv_bits;
}

const moe_attention_kernel *
moe_predict_attention_kernel(const moe_device *device, const moe_measured_row *row)
{
    heads h = heads_of(row);
    return moe_device_attention(device, h.form, bits_of(row, &h), h.key_dim);
}

/* All of the cache is scored, whatever is selected then. */
static moe_cost
score(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    moe_measured_row all = *row;
    heads h = index_heads(row);

    all.selected = 0;
    all.kv_bits = all.activation_bits = bits_of(row, &h);
    return attend(candidate, device, &all, h);
}

/* Of a module: norms of both latents, rotation of queries and key, queries put together. */
static moe_cost
small_kernels(const moe_hardware *hw, const moe_device *device, const moe_measured_row *row,
              bool expands)
{
    double tokens = (double)(row->sequences * row->queries), n = (double)row->heads;
    double rank = (double)row->kv_rank, rope = (double)row->rope_dim;
    double query = expands ? (double)row->head_dim + rope : rank + rope;
    const double elements[] = {2 * (double)row->q_rank, 2 * rank, 2 * (n + 1) * rope,
                               2 * n * query};
    moe_cost sum = moe_cost_pass(hw, device, tokens * elements[0] * 2);

    for (size_t i = 1; i < MOE_COUNT(elements); i++)
        sum = moe_cost_add(sum, moe_cost_pass(hw, device, tokens * elements[i] * 2));
    return sum;
}

/* The products of a layer around its kernel: between latent and heads always, the projections of a
 * module, an indexer's. */
static moe_cost
products(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    const moe_hardware *hw = &candidate->hw;
    bool module = row->variant != MOE_MEASURED_MLA, sparse = row->selected > 0;
    double tokens = (double)(row->sequences * row->queries), n = (double)row->heads;
    double rank = (double)row->kv_rank, rope = (double)row->rope_dim, q = (double)row->q_rank;
    double key = (double)row->head_dim, value = (double)row->value_dim;
    double hidden = (double)row->hidden, bits = row->weight_bits, a = row->activation_bits;
    int dtype = module ? moe_kernel_dtype_find(row->dtype) : -1;
    bool expands = row->queries > 1 && !sparse;
    /* per head in a decode, so of 16-bit weights; a linear layer of the model in a prompt */
    moe_cost sum = moe_cost_gemm(hw, device, tokens, n * (key + value), rank,
                                 expands && module ? bits : 16, a, expands ? 1 : 2);

    if (!module)
        return sum;
    if (dtype >= 0) /* the projections' own */
        a = moe_kernel_activation_bits(dtype);
    sum = moe_cost_add(sum, moe_cost_gemm(hw, device, tokens, q + rank + rope, hidden, bits, a, 1));
    sum = moe_cost_add(sum, moe_cost_gemm(hw, device, tokens, n * (key + rope), q, bits, a, 1));
    sum = moe_cost_add(sum, moe_cost_gemm(hw, device, tokens, hidden, n * value, bits, a, 1));
    sum = moe_cost_add(sum, small_kernels(hw, device, row, expands));
    if (!sparse)
        return sum;
    sum = moe_cost_add(sum,
                       moe_cost_gemm(hw, device, tokens, INDEX_HEADS * INDEX_DIM, q, bits, a, 1));
    sum = moe_cost_add(
        sum, moe_cost_gemm(hw, device, tokens, INDEX_HEADS + INDEX_DIM, hidden, bits, a, 2));
    return moe_cost_add(sum, score(candidate, device, row));
}

/* The host needs as long for a prompt's layer as for a decode's, where no graph spares it. */
static moe_cost
hosted(const moe_device *device, const moe_measured_row *row, moe_cost cost)
{
    double width = (double)(row->kv_rank + row->rope_dim);
    const moe_attention_kernel *kernel =
        moe_device_attention(device, MOE_FORM_LATENT, row->kv_bits, width);

    if (device->in_graph || row->queries <= 1 || !kernel->host_ps)
        return cost;
    cost.host_ps = kernel->host_ps;
    cost.total_ps = (int64_t)moe_overlap((double)cost.total_ps, (double)cost.host_ps);
    return cost;
}

static moe_cost
latent(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    bool alone = row->variant == MOE_MEASURED_MLA && (is_bare(row) || !*row->framework);
    moe_measured_row expanded = *row;
    heads h = latent_heads(row);

    expanded.kv_bits = bits_of(row, &h);
    moe_cost kernel = attend(candidate, device, &expanded, h);
    return alone ? kernel
                 : hosted(device, row, moe_cost_add(products(candidate, device, row), kernel));
}

moe_cost
moe_predict_attention(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    switch ((moe_measured_variant)row->variant) {
    case MOE_MEASURED_PLAIN:
    case MOE_MEASURED_CHUNKED:
    case MOE_MEASURED_SPARSE:
        return attend(candidate, device, row, heads_of(row));
    case MOE_MEASURED_MLA:
    case MOE_MEASURED_MLA_MODULE:
    case MOE_MEASURED_SPARSE_MODULE:
        return latent(candidate, device, row);
    case MOE_MEASURED_SCORES:
        return score(candidate, device, row);
    case MOE_MEASURED_LINEAR:
        break;
    }
    return (moe_cost){0};
}
