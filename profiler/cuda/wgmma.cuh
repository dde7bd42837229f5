/* Tensor cores of sm_90a, which read both operands from shared memory while the warps do something
 * else. Where they are not (moe_has_wgmma) nothing of this may be called.
 *
 * An operand is a tile of rows of 64 bf16 (128 bytes), 1024-byte aligned, whose 16-byte parts are
 * exchanged by row: part ^ row % 8. A product takes 16 columns of it. The four warps of a group
 * (128 threads) have 16 rows of the result each; in a warp, with g = lane / 4 and t = lane % 4,
 * d[4 j + {0, 1}] are row g, columns 8 j + 2 t + {0, 1}, and d[4 j + {2, 3}] row g + 8. */
#ifndef MOE_PROFILER_CUDA_WGMMA_CUH
#define MOE_PROFILER_CUDA_WGMMA_CUH

#include "profiler/cuda/tensor.cuh"

static __device__ __forceinline__ bool
moe_has_wgmma()
{
#ifndef __CUDACC__
    return moe_emulated_has_wgmma();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
    return true;
#else
    return false;
#endif
}

/* What threads have written into shared memory is seen by the products behind the next barrier. */
static __device__ __forceinline__ void
moe_wgmma_publish()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
}

/* Before the first product of a run, whose sums were used by something else. */
static __device__ __forceinline__ void
moe_wgmma_begin()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}

static __device__ __forceinline__ void
moe_wgmma_commit()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#elif !defined(__CUDACC__)
    moe_emulated_wgmma_commit();
#endif
}

/* Until at most N groups of products are on their way. */
template <int N>
static __device__ __forceinline__ void
moe_wgmma_wait()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
#elif !defined(__CUDACC__)
    moe_emulated_wgmma_wait(N);
#endif
}

/* Nothing that uses d moves across. */
template <int N>
static __device__ __forceinline__ void
moe_wgmma_hold(float (&d)[N])
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
#endif
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
/* Rows 128 bytes apart, eight of them 1024, parts exchanged as above. */
static __device__ __forceinline__ uint64_t
moe_wgmma_operand(const void *shared)
{
    return (moe_shared_address(shared) & 0x3FFFFu) >> 4 | 1ull << 16 | (1024ull >> 4) << 32 |
           1ull << 62;
}
#endif

/* d [64, 128] = a b^T, plus d where `more`; a: 64 rows, b: 128 rows, 16 columns of each. */
static __device__ __forceinline__ void
moe_wgmma(float (&d)[64], const __nv_bfloat16 *a, const __nv_bfloat16 *b, bool more)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "%64, %65, p, 1, 1, 0, 0;\n}\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]),
                   "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
                   "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]),
                   "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                   "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
                   "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
                   "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
                   "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
                   "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]),
                   "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]),
                   "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
                 : "l"(moe_wgmma_operand(a)), "l"(moe_wgmma_operand(b)), "r"(more ? 1 : 0)
                 : "memory");
#elif !defined(__CUDACC__)
    moe_emulated_wgmma(d, a, b, more);
#endif
}

#endif
