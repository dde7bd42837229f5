/* Attention. Tables time a call again and again on the same keys: these are warm. New keys and
 * values are written into the cache before, but where the bare kernel is timed. What tables of
 * latent attention hold beside it is in profiler/predict_latent.c. */
#include "profiler/predict_heads.h"

#include <string.h>

/* The indexer of DeepSeek-V3.2's sparse attention; a key has a scale beside it. */
#define INDEX_HEADS 64.0
#define INDEX_DIM 128.0
#define INDEX_SCALE 4.0

typedef moe_predict_heads heads;

/* InferSim's tables, and vLLM's modules: these were given no place for new keys (no slot_mapping in
 * the forward context of collector/vllm/collect_mla_module.py, ai-dynamo/aiconfigurator). */
bool
moe_predict_is_bare(const moe_measured_row *row)
{
    return !strcmp(row->framework, "infersim") ||
           (row->variant == MOE_MEASURED_MLA_MODULE && !strcmp(row->framework, "vllm"));
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
    bool limited = most > 0 && context > most, bare = moe_predict_is_bare(row);
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

static heads
index_heads(const moe_measured_row *row)
{
    double query = row->variant == MOE_MEASURED_SCORES ? (double)row->heads : INDEX_HEADS;
    double dim = row->variant == MOE_MEASURED_SCORES ? (double)row->head_dim : INDEX_DIM;
    return (heads){query, 1, dim, 0, dim + INDEX_SCALE, MOE_FORM_SCORES};
}

/* What the kernel itself works on. */
static heads
heads_of(const moe_device *device, const moe_measured_row *row)
{
    if (row->variant == MOE_MEASURED_SCORES)
        return index_heads(row);
    return row->kv_rank ? moe_predict_latent_heads(device, row) : plain_heads(row);
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
    heads h = heads_of(device, row);
    return moe_device_attention(device, h.form, bits_of(row, &h), h.key_dim);
}

moe_cost
moe_predict_attend(const moe_candidate *candidate, const moe_device *device,
                   const moe_measured_row *row, const moe_predict_heads *h)
{
    moe_measured_row with = *row;

    with.kv_bits = bits_of(row, h);
    moe_attention_work work = work_of(&with, h);
    return moe_cost_attention(&candidate->hw, device, &work);
}

moe_cost
moe_predict_scores(const moe_candidate *candidate, const moe_device *device,
                   const moe_measured_row *row)
{
    moe_measured_row all = *row;
    heads h = index_heads(row);

    all.selected = 0;
    all.activation_bits = bits_of(row, &h);
    return moe_predict_attend(candidate, device, &all, &h);
}

/* A state of 32 bits that prompts go over by chunks of 64 tokens, as the kernels of
 * flash-linear-attention do. */
static moe_cost
recur(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    moe_attention_work work = moe_attention_linear(
        (double)row->sequences, (double)row->queries, (double)row->heads, (double)row->head_dim,
        (double)(row->value_dim ? row->value_dim : row->head_dim), 32, 64);
    return moe_cost_attention(&candidate->hw, device, &work);
}

moe_cost
moe_predict_attention(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    heads h = heads_of(device, row);

    switch ((moe_measured_variant)row->variant) {
    case MOE_MEASURED_PLAIN:
    case MOE_MEASURED_CHUNKED:
    case MOE_MEASURED_SPARSE:
        return moe_predict_attend(candidate, device, row, &h);
    case MOE_MEASURED_MLA:
    case MOE_MEASURED_MLA_MODULE:
    case MOE_MEASURED_SPARSE_MODULE:
        return moe_predict_latent(candidate, device, row);
    case MOE_MEASURED_SCORES:
        return moe_predict_scores(candidate, device, row);
    case MOE_MEASURED_LINEAR:
        return recur(candidate, device, row);
    }
    return (moe_cost){0};
}
