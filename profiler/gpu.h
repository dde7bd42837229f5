/* A CUDA device for the execution core: libmoesim_cuda.so, loaded at run time, and the device that
 * it found. Whatever is missing, the library, a driver, a device, is one plain line. */
#ifndef MOE_PROFILER_GPU_H
#define MOE_PROFILER_GPU_H

#include "profiler/backend.h"
#include "profiler/offload.h"

typedef struct moe_gpu moe_gpu;

/* What activations are: see profiler/cuda/kernels.h. Weights are bf16 in both. */
typedef enum moe_gpu_precision { MOE_GPU_BF16, MOE_GPU_F32 } moe_gpu_precision;
extern const char *const moe_gpu_precision_names[]; /* NULL-terminated */

typedef struct moe_gpu_config {
    moe_gpu_precision precision;
    bool eager;        /* no CUDA graphs */
    bool grouped_blas; /* experts by cuBLAS's grouped GEMM instead of the project's own */
} moe_gpu_config;

/* The library beside the executable, or $MOESIM_CUDA_LIB; yours. It need not be there. */
char *moe_gpu_library(void);
/* NULL with `error`: there is no device to be used, and why. */
moe_gpu *moe_gpu_open(const moe_gpu_config *config, GError **error);
void moe_gpu_close(moe_gpu *gpu);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_gpu, moe_gpu_close)
/* "NVIDIA H100 80GB HBM3, CUDA 13.0, driver for 13.0"; yours. */
char *moe_gpu_describe(const moe_gpu *gpu);
const moe_gpu_config *moe_gpu_configured(const moe_gpu *gpu);
/* Whole steps that it ran, and how many of them were graphs. */
typedef struct moe_gpu_steps {
    uint64_t all, replayed;
} moe_gpu_steps;
moe_gpu_steps moe_gpu_count(const moe_gpu *gpu);

/* The backend on such a device: moe_backend_config.device is a moe_gpu, which outlives its
 * states. `exact` is not for it. */
extern const moe_backend_ops moe_backend_cuda;

/* Slots of the device's memory for offloaded experts (profiler/offload.h), of a model's experts.
 * `dram`: their home is pinned memory of the host, filled when they are opened, instead of disk.
 * One for each moe_gpu, which outlives it; asking again ends the one before. */
const moe_expert_cache *moe_gpu_expert_cache(moe_gpu *gpu, const moe_weights *weights, bool dram);

#endif
