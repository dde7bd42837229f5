/* Which kernels compute a product. */
#include "profiler/cuda/gemm.cuh"

/* Up to so many rows without items the weights are streamed: tiles would be too few to keep the
 * device busy. */
constexpr uint32_t STREAMED_INNER = 32, STREAMED_OUTER = 64;
/* Over so many rows of the matrix tiles are enough; more than 32 rows stream at 40 % of the speed
 * of memory. */
constexpr uint32_t TILED_OUTER = 6144;

static uint32_t
most_streamed(moe_gemm_kind kind, const moe_gemm &g)
{
    return kind == MOE_INNER || g.rows >= TILED_OUTER ? STREAMED_INNER : STREAMED_OUTER;
}

static bool
aligned(const void *at)
{
    return reinterpret_cast<uintptr_t>(at) % 16 == 0;
}

/* Tensor cores read 16 bytes at once. */
static bool
fits_tensor_cores(const moe_gemm &g)
{
    return g.cols % 8 == 0 && g.x_stride % 8 == 0 && g.w_stride % 8 == 0 && aligned(g.x);
}

/* One matrix, or one expert, and all rows. */
static cudaError_t
multiply_one(cudaStream_t stream, moe_gemm_kind kind, moe_gemm g, moe_cuda_type x_type,
             moe_cuda_type w_type)
{
    const void *w = kind == MOE_INNER ? g.one.gate : g.one.down;
    const bool tensor = x_type == MOE_CUDA_BF16 && w_type == MOE_CUDA_BF16 &&
                        fits_tensor_cores(g) && aligned(w) &&
                        (kind == MOE_OUTER || aligned(g.one.up));
    if (g.n == 0 || g.rows == 0)
        return cudaSuccess;
    if (tensor && g.n <= most_streamed(kind, g)) {
        g.height = g.n;
        return moe_gemm_stream(stream, kind, g, 1);
    }
    g.height = MOE_TILE_ROWS;
    const uint32_t items = (g.n + g.height - 1) / g.height;
    return tensor ? moe_gemm_tile(stream, kind, g, items)
                  : moe_gemm_plain(stream, kind, g, x_type, w_type, items);
}

extern "C" int
moe_cuda_multiply(cudaStream_t stream, const moe_cuda_product *p)
{
    moe_gemm g = {};
    if (p->add && p->y_type != MOE_CUDA_F32)
        return cudaErrorInvalidValue;
    g.n = p->n;
    g.one.down = static_cast<const moe_bf16 *>(p->w);
    g.one.down_bias = p->bias;
    g.w = p->w_type == MOE_CUDA_F32 ? p->w : nullptr;
    g.x = p->x;
    g.y = p->y;
    g.rows = p->rows;
    g.cols = p->cols;
    g.x_stride = p->x_stride ? p->x_stride : p->cols;
    g.w_stride = p->w_stride ? p->w_stride : p->cols;
    g.y_stride = p->y_stride ? p->y_stride : p->rows;
    g.y_bf16 = p->y_type == MOE_CUDA_BF16;
    g.add = p->add;
    return multiply_one(stream, MOE_OUTER, g, p->x_type, p->w_type);
}

/* ---- experts ---- */

static moe_gemm
inner_of(const moe_cuda_mlp_shape *s, uint32_t n, const void *x, void *inner)
{
    moe_gemm g = {};
    g.n = n;
    g.x = x;
    g.y = inner;
    g.rows = g.y_stride = s->width;
    g.cols = g.x_stride = g.w_stride = s->hidden;
    g.y_bf16 = s->type == MOE_CUDA_BF16;
    g.activation = s->activation;
    g.alpha = s->alpha;
    g.limit = s->limit;
    return g;
}

extern "C" int
moe_cuda_mlp_inner(cudaStream_t stream, const moe_cuda_mlp_shape *s, const moe_cuda_mlp *mlp,
                   uint32_t n, const void *x, void *inner)
{
    moe_gemm g = inner_of(s, n, x, inner);
    g.one = *mlp;
    return multiply_one(stream, MOE_INNER, g, s->type, MOE_CUDA_BF16);
}

/* Both lists of a dispatch. An expert has at most one entry of each row: with few rows the second
 * list is empty whatever is routed. */
static cudaError_t
multiply_items(cudaStream_t stream, moe_gemm_kind kind, moe_gemm g, const moe_cuda_dispatch *d,
               uint32_t n, moe_cuda_type type)
{
    const uint32_t entries = n * d->top_k;
    const uint32_t streamed = entries < d->experts ? entries : d->experts;
    const uint32_t busy = entries / (MOE_STREAMED_ROWS + 1);
    const uint32_t tiled = entries / MOE_TILE_ROWS + (busy < d->experts ? busy : d->experts);
    const bool tensor = type == MOE_CUDA_BF16 && fits_tensor_cores(g);

    if (n == 0 || g.rows == 0)
        return cudaSuccess;
    g.items = d->streamed;
    g.n_items = d->items;
    cudaError_t error = tensor ? moe_gemm_stream(stream, kind, g, streamed)
                               : moe_gemm_plain(stream, kind, g, type, MOE_CUDA_BF16, streamed);
    if (error || n <= MOE_STREAMED_ROWS)
        return error;
    g.items = d->tiled;
    g.n_items = d->items + 1;
    return tensor ? moe_gemm_tile(stream, kind, g, tiled)
                  : moe_gemm_plain(stream, kind, g, type, MOE_CUDA_BF16, tiled);
}

extern "C" int
moe_cuda_experts_inner(cudaStream_t stream, const moe_cuda_mlp_shape *s,
                       const moe_cuda_dispatch *dispatch, const moe_cuda_mlp *experts, uint32_t n,
                       const void *x, void *inner)
{
    moe_gemm g = inner_of(s, n, x, inner);
    g.table = experts;
    g.pick = dispatch->row;
    return multiply_items(stream, MOE_INNER, g, dispatch, n, s->type);
}

extern "C" int
moe_cuda_experts_outer(cudaStream_t stream, const moe_cuda_mlp_shape *s,
                       const moe_cuda_dispatch *dispatch, const moe_cuda_mlp *experts, uint32_t n,
                       const void *inner, void *outputs)
{
    moe_gemm g = {};
    g.n = n;
    g.table = experts;
    g.x = inner;
    g.y = outputs;
    g.rows = g.y_stride = s->hidden;
    g.cols = g.x_stride = g.w_stride = s->width;
    g.y_bf16 = s->type == MOE_CUDA_BF16;
    return multiply_items(stream, MOE_OUTER, g, dispatch, n, s->type);
}
