/* Kernels of CUDA sources, run on the host.
 *
 * A .cu file of the project is compiled by the host's C++ compiler with this folder before all
 * others in its include path: <cuda_runtime.h> and <cuda_bf16.h> are then those that lie here. The
 * blocks of a grid run one after another, the threads of a block as fibers that change places only
 * where the program says so (barriers, shuffles, other operations of a warp), always in the same
 * order; MOE_EMULATED_ORDER=backward: in the opposite one, which shows a barrier that is missing
 * where one order hides it. Streams run as late as they may: what nobody waited for has not been
 * done (MOE_EMULATED_STREAMS=eager: at once).
 *
 * What a GPU would answer with wrong numbers is a fault here: a barrier that not all threads reach
 * or that they reach in different lines, operations of a warp with lanes that never come or with
 * different masks, a lane read outside of its mask, writes behind the dynamic shared memory. A
 * fault prints one line and fails the launch as a device would: cudaErrorLaunchFailure, and the
 * same from every later call. Memory that was never written reads as NaN; data of asynchronous
 * copies into shared memory arrives when it is waited for and not before. With the address
 * sanitizer all that lies outside of an array is found.
 *
 * Not found: races that neither order of threads shows, host memory that a kernel reads. */
#ifndef MOE_CUDA_EMULATION_H
#define MOE_CUDA_EMULATION_H

#include <cstddef>
#include <cstdint>
#include <functional>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

/* The thread that runs, its block and its grid. */
struct moe_emulated_place {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
    unsigned lane;
};
extern moe_emulated_place moe_emulated;

#define threadIdx (moe_emulated.thread)
#define blockIdx (moe_emulated.block)
#define blockDim (moe_emulated.block_dim)
#define gridDim (moe_emulated.grid_dim)
constexpr int warpSize = 32;

/* Runs a kernel, whose arguments `body` holds. false: a fault, which was printed. */
bool moe_emulated_run(dim3 grid, dim3 block, size_t shared, const std::function<void()> &body);
/* Ends the launch from inside a kernel. */
[[noreturn]] void moe_emulated_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The faults so far; while `quiet` they are not printed. */
unsigned moe_emulated_faults();
void moe_emulated_quiet(bool quiet);
/* The text of the last. */
const char *moe_emulated_message();

/* The dynamic shared memory of the block. */
void *moe_emulated_shared();

/* Until all threads of the block are here; `site` names the place. Returns how many came with a
 * vote other than 0. */
unsigned moe_emulated_barrier(const char *site, int vote);

/* Until all lanes of `mask` are here with the same operation; one of them then calls it with the
 * arguments of all, by lane. */
typedef void moe_emulated_operation(void *const *arguments, unsigned mask);
void moe_emulated_exchange(unsigned mask, moe_emulated_operation *operation, void *argument);

/* cp.async: the first `valid` bytes are copied and the rest is zeroed when the thread waits for the
 * group in which this stands. Shared memory and sizes as the instruction wants them. */
void moe_emulated_copy_async(void *shared, const void *global, unsigned bytes, unsigned valid);
void moe_emulated_copy_commit();
/* Until at most `pending` groups are not there. */
void moe_emulated_copy_wait(unsigned pending);

/* ldmatrix .x1, .x2, .x4 (n = 1, 2, 4), of 8 x 8 matrices of 16 bits; out [n]. */
void moe_emulated_ldmatrix(unsigned n, bool transposed, const void *row, uint32_t *out);
/* mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: d = a b + d. */
void moe_emulated_mma(float d[4], const uint32_t a[4], const uint32_t b[2]);

/* wgmma m64n128k16 of bf16 with float sums (profiler/cuda/wgmma.cuh), done when it is waited for
 * and not before. MOE_EMULATED_WGMMA=1: the device has it. */
bool moe_emulated_has_wgmma();
void moe_emulated_wgmma(float d[64], const void *a, const void *b, bool more);
void moe_emulated_wgmma_commit();
void moe_emulated_wgmma_wait(unsigned pending);

#endif
