/* Latent attention (MLA) as tables of frameworks have it: the kernel with the products to the
 * latent and back; a module with its projections and all that stands between them, too.
 *
 * A module's tokens, T of them, n heads:
 *     product      hidden to q_rank + kv_rank + rope, norms of both parts
 *     product      q_rank to n * (key + rope), rotation of its last part and of the key's
 *     absorbed:    n products key to kv_rank; attention over the latent; n of kv_rank to value
 *     expanded:    product kv_rank to n * (key + value), keys put together of the head's own part
 *                  and the rotated one that all share; attention over heads
 *     product      n * value to hidden
 * Decodes are absorbed, and prompts up to a length that the kernel's software says (`absorb`).
 *
 * vLLM's table (ai-dynamo/aiconfigurator collector/vllm/collect_mla_module.py) times the module in
 * a CUDA graph, but builds it by itself, without torch.compile: under vLLM's default custom_ops
 * "none" norms and rotations then are PyTorch's own operations, one kernel each
 * (vllm/model_executor/layers/layernorm.py, rotary_embedding/deepseek_scaling_rope.py:
 * forward_native). Others have them as a kernel each. */
#include "profiler/predict_heads.h"

#include "sim/base/units.h"

#include <string.h>

#define INDEX_HEADS 64.0 /* of DeepSeek-V3.2's indexer */
#define INDEX_DIM 128.0

typedef struct module {
    const moe_candidate *candidate;
    const moe_device *device;
    const moe_measured_row *row;
    double tokens, heads, rank, rope, key, value, q_rank, hidden;
    bool absorbed;
    moe_cost sum;
} module;

/* A framework's operations one by one: kernels, and bytes that they read and write of an element.
 */
typedef struct eager {
    int kernels;
    double bytes;
} eager;

/* Of a norm: to 32 bits (6 bytes an element), square (8), mean (4), mean + epsilon and its root (of
 * a row), product (8), to 16 bits (6), weight (4). */
static const eager eager_norm = {8, 36};
/* Of a rotation by pairs: product with the cosine (4), every second one negated (3), put together
 * (4), product with the sine (4), sum (6). */
static const eager eager_rotation = {5, 21};
/* Cosines and sines of the positions fetched, and each of them twice. */
static const eager eager_angles = {3, 10};

moe_predict_heads
moe_predict_latent_heads(const moe_device *device, const moe_measured_row *row)
{
    double query = (double)row->heads, rank = (double)row->kv_rank, rope = (double)row->rope_dim;
    double key = (double)row->head_dim + rope, value = (double)row->value_dim;

    if (row->selected ||
        moe_attention_absorbs(device, row->kv_bits, rank + rope, (double)row->queries))
        return (moe_predict_heads){query, 1, rank + rope, rank, rank + rope, MOE_FORM_LATENT};
    return (moe_predict_heads){query, query, key, value, key + value, MOE_FORM_HEADS};
}

static void
add(module *m, moe_cost cost)
{
    m->sum = m->sum.kernels ? moe_cost_add(m->sum, cost) : cost;
}

/* A linear layer of the model, in the module's arithmetic type. */
static void
linear(module *m, double n, double k)
{
    int dtype = moe_kernel_dtype_find(m->row->dtype);
    moe_gemm_shape shape = {
        .m = m->tokens,
        .n = n,
        .k = k,
        .weight_bits = m->row->weight_bits,
        .activation_bits = dtype >= 0 ? moe_kernel_activation_bits(dtype) : m->row->activation_bits,
        .dtype = m->row->dtype,
    };
    add(m, moe_cost_product(&m->candidate->hw, m->device, &shape));
}

/* Of each head with a matrix of its own: always of 16 bits. */
static void
per_head(module *m, double n, double k)
{
    moe_gemm_shape shape = {
        .m = m->tokens,
        .n = n,
        .k = k,
        .weight_bits = 16,
        .activation_bits = 16,
        .groups = m->heads,
    };
    add(m, moe_cost_product(&m->candidate->hw, m->device, &shape));
}

/* A kernel that reads and writes so many elements of each token. */
static void
pass(module *m, double elements)
{
    add(m, moe_cost_pass(&m->candidate->hw, m->device, m->tokens * elements * 2));
}

static void
eagerly(module *m, const eager *operations, double elements)
{
    add(m, moe_cost_elementwise(&m->candidate->hw, m->device,
                                m->tokens * elements * operations->bytes, operations->kernels));
}

static void
norm(module *m, double width)
{
    if (!strcmp(m->row->framework, "vllm"))
        eagerly(m, &eager_norm, width);
    else
        pass(m, 2 * width);
}

/* Of queries, which are put back in their place, and key. */
static void
rotate(module *m)
{
    static const eager back = {1, 4};

    if (strcmp(m->row->framework, "vllm") != 0) {
        pass(m, 2 * (m->heads + 1) * m->rope);
        return;
    }
    eagerly(m, &eager_angles, m->rope);
    eagerly(m, &eager_rotation, m->heads * m->rope);
    eagerly(m, &eager_rotation, m->rope);
    eagerly(m, &back, m->heads * m->rope);
}

/* Queries in one piece, of the cache's type where that is narrower. */
static void
put_together(module *m)
{
    bool narrow = m->row->kv_bits < 16;
    static const eager joined = {1, 3};

    if (m->absorbed && narrow)
        eagerly(m, &joined, m->heads * (m->rank + m->rope));
}

/* Keys of the heads' own part and the rotated one. */
static void
keys(module *m)
{
    static const eager own = {1, 4}, shared = {1, 2};

    eagerly(m, &own, m->heads * m->key);
    eagerly(m, &shared, m->heads * m->rope);
}

static void
attend(module *m)
{
    moe_predict_heads h = moe_predict_latent_heads(m->device, m->row);
    add(m, moe_predict_attend(m->candidate, m->device, m->row, &h));
}

/* From the queries to the heads' values. */
static void
core(module *m)
{
    if (m->absorbed) {
        per_head(m, m->rank, m->key);
        put_together(m);
        attend(m);
        per_head(m, m->value, m->rank);
        return;
    }
    linear(m, m->heads * (m->key + m->value), m->rank);
    keys(m);
    attend(m);
}

static void
indexer(module *m)
{
    linear(m, INDEX_HEADS * INDEX_DIM, m->q_rank);
    linear(m, INDEX_HEADS, m->hidden);
    linear(m, INDEX_DIM, m->hidden);
    add(m, moe_predict_scores(m->candidate, m->device, m->row));
}

/* The host needs as long for a prompt's layer as for a decode's, where no graph spares it. */
static moe_cost
hosted(const module *m)
{
    const moe_attention_kernel *kernel =
        moe_device_attention(m->device, MOE_FORM_LATENT, m->row->kv_bits, m->rank + m->rope);
    bool ahead = m->device->in_graph || m->row->queries <= 1 || !kernel->host_ps;

    return ahead ? m->sum : moe_cost_launched(m->sum, kernel->host_ps);
}

moe_cost
moe_predict_latent(const moe_candidate *candidate, const moe_device *device,
                   const moe_measured_row *row)
{
    module m = {
        .candidate = candidate,
        .device = device,
        .row = row,
        .tokens = (double)(row->sequences * row->queries),
        .heads = (double)row->heads,
        .rank = (double)row->kv_rank,
        .rope = (double)row->rope_dim,
        .key = (double)row->head_dim,
        .value = (double)row->value_dim,
        .q_rank = (double)row->q_rank,
        .hidden = (double)row->hidden,
        .absorbed = moe_predict_latent_heads(device, row).form == MOE_FORM_LATENT,
    };
    bool is_module = row->variant != MOE_MEASURED_MLA;

    if (!is_module && (moe_predict_is_bare(row) || !*row->framework)) {
        attend(&m);
        return m.sum;
    }
    if (is_module) {
        linear(&m, m.q_rank + m.rank + m.rope, m.hidden);
        norm(&m, m.q_rank);
        linear(&m, m.heads * (m.key + m.rope), m.q_rank);
        norm(&m, m.rank);
        rotate(&m);
    }
    if (row->selected)
        indexer(&m);
    core(&m);
    if (is_module)
        linear(&m, m.hidden, m.heads * m.value);
    return hosted(&m);
}
