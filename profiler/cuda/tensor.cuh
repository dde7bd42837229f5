/* Tensor cores and asynchronous copies: the instructions of sm_80 that the kernels use, each as an
 * inline function. Emulated, they exchange the same data between the same lanes.
 *
 * Fragments of m16n8k16 (PTX manual), with g = lane / 4 and t = lane % 4, two elements in a word:
 * a[0], a[1]: rows g, g + 8, columns 2 t + {0, 1}; a[2], a[3]: the same rows, columns + 8;
 * b[0]: rows 2 t + {0, 1} of column g; b[1]: rows + 8;
 * d[0], d[1]: row g, columns 2 t + {0, 1}; d[2], d[3]: row g + 8. */
#ifndef MOE_PROFILER_CUDA_TENSOR_CUH
#define MOE_PROFILER_CUDA_TENSOR_CUH

#include "profiler/cuda/device.cuh"

/* d += a b, bf16 with float sums. */
static __device__ __forceinline__ void
moe_mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#ifdef __CUDACC__
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    moe_emulated_mma(d, a, b);
#endif
}

#ifdef __CUDACC__
static __device__ __forceinline__ uint32_t
moe_shared_address(const void *shared)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}
#endif

/* Four 8 x 8 matrices; lanes 8 m .. 8 m + 7 point to the rows of matrix m, 16 bytes each. */
static __device__ __forceinline__ void
moe_ldmatrix4(uint32_t out[4], const void *row)
{
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(moe_shared_address(row))
                 : "memory");
#else
    moe_emulated_ldmatrix(4, false, row, out);
#endif
}

/* The same, each transposed. */
static __device__ __forceinline__ void
moe_ldmatrix4_transposed(uint32_t out[4], const void *row)
{
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(moe_shared_address(row))
                 : "memory");
#else
    moe_emulated_ldmatrix(4, true, row, out);
#endif
}

/* 16 bytes from global to shared memory, past L1; `there` false: zeroes, and nothing is read. They
 * are there once the group was waited for, for other threads after a barrier besides. */
static __device__ __forceinline__ void
moe_copy16(void *shared, const void *global, bool there = true)
{
#ifdef __CUDACC__
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(
                     moe_shared_address(shared)),
                 "l"(global), "r"(there ? 16 : 0)
                 : "memory");
#else
    moe_emulated_copy_async(shared, global, 16, there ? 16 : 0);
#endif
}

static __device__ __forceinline__ void
moe_copy_commit()
{
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#else
    moe_emulated_copy_commit();
#endif
}

/* Until at most N of this thread's groups are on their way. */
template <int N>
static __device__ __forceinline__ void
moe_copy_wait()
{
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
#else
    moe_emulated_copy_wait(N);
#endif
}

/* 16 bytes that are read once: past L1, and first to go from L2's lines. */
static __device__ __forceinline__ uint4
moe_load_stream(const void *global)
{
#ifdef __CUDACC__
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(global));
    return v;
#else
    return *static_cast<const uint4 *>(global);
#endif
}

#endif
