/* The way of a batch through a layer's attention: plan, sizes, launches, and the joining of what
 * blocks found in their parts of the keys. */
#include "profiler/cuda/attention_prepare.cuh"

/* Blocks that single rows are split into, about: two for each multiprocessor of a large device.
 * Not asked of the device, so that all give the same bits. */
#define BLOCKS 264
#define MOST_SPLITS 32
#define LEAST_KEYS 128 /* of the context for each */
#define ALIGNMENT 256

/* ---- sizes ---- */

static uint32_t
eights(uint32_t n)
{
    return (n + 7) / 8 * 8;
}

static uint32_t
element(const moe_cuda_attention *a)
{
    return a->bf16 ? 2 : 4;
}

static uint32_t
cache_heads(const moe_cuda_attention *a)
{
    return a->latent ? 1 : a->kv_heads;
}

static uint32_t
key_stride(const moe_cuda_attention *a)
{
    return eights(a->latent ? a->kv_lora + a->rope_dim : a->head_dim);
}

/* Elements of a slot. */
static uint64_t
slot_stride(const moe_cuda_attention *a)
{
    return (uint64_t)cache_heads(a) * a->context * key_stride(a) * (a->latent ? 1 : 2);
}

/* Of the parts of a row's keys, when so many rows stand alone. */
static uint32_t
splits_of(const moe_cuda_attention *a, uint32_t singles)
{
    uint32_t group = a->heads / cache_heads(a);
    uint64_t blocks = (uint64_t)singles * cache_heads(a) * ((group + 15) / 16);
    uint32_t most = min((a->context + LEAST_KEYS - 1) / LEAST_KEYS, MOST_SPLITS);
    return blocks >= BLOCKS ? 1 : min((uint32_t)(BLOCKS / blocks), most);
}

uint64_t
moe_cuda_attention_cache_bytes(const moe_cuda_attention *a, uint32_t slots)
{
    return slots * slot_stride(a) * element(a);
}

uint32_t
moe_cuda_attention_columns(const moe_cuda_attention *a)
{
    return a->heads * (a->latent ? a->value_dim : a->head_dim);
}

/* Parts of the working space, from its start. */
struct work {
    uint64_t query, seen, totals, partial, bytes;
};

static work
work_of(const moe_cuda_attention *a, uint32_t rows)
{
    uint32_t value = a->latent ? a->kv_lora : a->head_dim;
    uint64_t heads = (uint64_t)rows * a->heads, parts = 0;
    work w = {};
    /* Splits fall in steps as rows grow. */
    for (uint32_t n = 1; n <= rows && splits_of(a, n) > 1; n++)
        parts = max(parts, (uint64_t)n * splits_of(a, n) * a->heads);
    uint64_t sizes[] = {heads * key_stride(a) * element(a),
                        a->latent ? heads * eights(value) * element(a) : 0, parts * sizeof(float2),
                        parts * value * sizeof(float)};
    uint64_t *at[] = {&w.query, &w.seen, &w.totals, &w.partial};
    for (int i = 0; i < 4; i++) {
        *at[i] = w.bytes;
        w.bytes += (sizes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return w;
}

uint64_t
moe_cuda_attention_work_bytes(const moe_cuda_attention *a, uint32_t max_rows)
{
    return work_of(a, max_rows).bytes;
}

const char *
moe_cuda_attention_refusal(const moe_cuda_attention *a)
{
    if (a->latent) {
        if (a->kv_lora > 512 || a->kv_lora + a->rope_dim > 576)
            return "latents of more than 512 elements, or 576 with the rotated part";
        return a->rotated > a->rope_dim ? "more elements rotated than there are" : NULL;
    }
    if (a->head_dim > 256)
        return "heads of more than 256 elements";
    if (!a->kv_heads || a->heads % a->kv_heads)
        return "query heads that are no multiple of the key heads";
    return a->rotated > a->head_dim ? "more elements rotated than there are" : NULL;
}

/* ---- plan ---- */

moe_cuda_plan
moe_cuda_attention_plan(uint32_t n, const uint32_t *slot, uint32_t *list)
{
    moe_cuda_plan plan = {n, 0, 0, list, NULL};
    uint32_t used = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0, end; i < n; i = end) {
            for (end = i + 1; end < n && slot[end] == slot[i];)
                end++;
            if ((end - i == 1) != (pass == 0))
                continue;
            list[used++] = i;
            if (pass == 0) {
                plan.singles++;
            } else {
                list[used++] = end - i;
                plan.runs++;
            }
        }
    return plan;
}

uint32_t
moe_attend_tiles(const moe_attend_args *a, const moe_cuda_plan *plan, uint32_t size)
{
    if (a->splits)
        return plan->singles * ((a->group + size - 1) / size);
    uint32_t tiles = 0;
    for (uint32_t i = 0; i < plan->runs; i++)
        tiles += (plan->host[plan->singles + 2 * i + 1] * a->group + size - 1) / size;
    return tiles;
}

/* ---- splits ---- */

template <class T>
static __global__ void
attend_join(const moe_attend_args a)
{
    uint32_t single = blockIdx.x, head = blockIdx.y;
    size_t stride = (size_t)a.singles * a.heads, place = (size_t)single * a.heads + head;
    float sink = a.sinks ? a.sinks[head] * MOE_LOG2_E : -INFINITY, most = sink;
    for (uint32_t s = 0; s < a.splits; s++)
        most = fmaxf(most, a.totals[s * stride + place].x);
    float total = exp2f(sink - most);
    for (uint32_t s = 0; s < a.splits; s++) {
        float2 part = a.totals[s * stride + place];
        total += part.y * exp2f(part.x - most);
    }
    T *out = (T *)a.out + ((size_t)a.list[single] * a.heads + head) * a.out_stride;
    for (uint32_t c = threadIdx.x; c < a.value_dim; c += blockDim.x) {
        float sum = 0;
        for (uint32_t s = 0; s < a.splits; s++)
            sum += a.partial[(s * stride + place) * a.value_dim + c] *
                   exp2f(a.totals[s * stride + place].x - most);
        moe_store(out + c, sum / total);
    }
}

static int
join_splits(struct CUstream_st *stream, const moe_cuda_attention *a, const moe_attend_args *args)
{
    dim3 grid(args->singles, args->heads);
    if (a->bf16)
        return moe_launch(attend_join<__nv_bfloat16>, grid, 128, 0, stream, *args);
    return moe_launch(attend_join<float>, grid, 128, 0, stream, *args);
}

/* ---- a layer ---- */

/* Single rows, then runs. */
static int
attend(struct CUstream_st *stream, const moe_cuda_attention *a, const moe_cuda_plan *plan,
       moe_attend_args *args)
{
    int error = cudaSuccess;
    auto *launch = a->bf16 ? moe_attend_bf16 : moe_attend_f32;
    if (plan->singles) {
        args->splits = splits_of(a, plan->singles);
        error = launch(stream, args, plan, cache_heads(a));
        if (!error && args->splits > 1)
            error = join_splits(stream, a, args);
    }
    args->splits = 0;
    if (!error && plan->runs)
        error = launch(stream, args, plan, cache_heads(a));
    return error;
}

static int
prepare(struct CUstream_st *stream, const moe_cuda_attention *a, const moe_cuda_rows *rows,
        const moe_cuda_attention_in *in, const moe_attend_args *args)
{
    moe_prepare_args p = {*a,
                          *rows,
                          *in,
                          (void *)args->query,
                          (void *)args->keys,
                          (void *)args->values,
                          args->key_stride,
                          args->slot_stride};
    return moe_heads_prepare(stream, &p);
}

int
moe_cuda_attend(struct CUstream_st *stream, const moe_cuda_attention *a, const moe_cuda_rows *rows,
                const moe_cuda_attention_in *in, void *cache, void *work_space, void *attended)
{
    uint32_t stride = key_stride(a), kv = cache_heads(a);
    work w = work_of(a, rows->plan.n);
    char *base = (char *)work_space;
    moe_attend_args args = {};
    if (moe_cuda_attention_refusal(a))
        return cudaErrorInvalidValue;
    if (!rows->plan.n)
        return cudaSuccess;
    args.query = base + w.query;
    args.keys = cache;
    args.values =
        a->latent ? cache : (char *)cache + (uint64_t)kv * a->context * stride * element(a);
    args.out = a->latent ? base + w.seen : attended;
    args.partial = (float *)(base + w.partial);
    args.totals = (float2 *)(base + w.totals);
    args.sinks = in->sinks;
    args.slot = rows->slot;
    args.position = rows->position;
    args.list = rows->plan.device;
    args.slot_stride = slot_stride(a);
    args.heads = a->heads;
    args.group = a->heads / kv;
    args.key_stride = args.value_stride = stride;
    args.value_dim = a->latent ? a->kv_lora : a->head_dim;
    args.out_stride = a->latent ? eights(a->kv_lora) : a->head_dim;
    args.context = a->context;
    args.window = a->window;
    args.singles = rows->plan.singles;
    args.element = element(a);
    args.scale = a->scale * MOE_LOG2_E;

    moe_latent_args latent = {*a, *rows, *in, (void *)args.query, cache, stride};
    int error =
        a->latent ? moe_latent_prepare(stream, &latent) : prepare(stream, a, rows, in, &args);
    if (!error)
        error = attend(stream, a, &rows->plan, &args);
    if (!error && a->latent)
        error = moe_latent_expand(stream, &latent, args.out, args.out_stride, attended);
    return error;
}
