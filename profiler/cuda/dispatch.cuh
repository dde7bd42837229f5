/* How entries are cut into what one tile computes; see moe_cuda_dispatch. */
#ifndef MOE_PROFILER_CUDA_DISPATCH_CUH
#define MOE_PROFILER_CUDA_DISPATCH_CUH

#include <cstdint>

/* An expert of so few entries is read once, as it streams by (stream.cu). */
constexpr uint32_t MOE_STREAMED_ROWS = 16;
/* The entries of others are cut into tiles (tile.cu). */
constexpr uint32_t MOE_TILE_ROWS = 128;

#endif
