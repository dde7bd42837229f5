/* Inside profiler/gpu*.c and backend_cuda.c. */
#ifndef MOE_PROFILER_GPU_STATE_H
#define MOE_PROFILER_GPU_STATE_H

#include "profiler/cuda/api.h"
#include "profiler/gpu.h"

struct moe_gpu {
    moe_gpu_config config;
    char *path;
    void *library;
    const moe_cuda_api *api;
    moe_cuda_device *device;
    moe_cuda_info info;
    moe_cuda_host host;
    moe_gpu_steps steps;
    /* offloaded experts */
    moe_expert_cache cache;
    const moe_weights *weights;
    moe_cuda_slots_config slots_config;
    moe_cuda_slots *slots;
    bool dram;
};

/* False with `error` when `result` is a failure. */
bool moe_gpu_check(int result, const moe_cuda_failure *failure, GError **error);

/* The model as the library wants it; matrices are borrowed from the weights. */
typedef struct moe_gpu_model {
    moe_cuda_model model;
    moe_cuda_layer *layers;
    GPtrArray *experts; /* arrays of moe_cuda_block */
} moe_gpu_model;
void moe_gpu_model_init(moe_gpu_model *out, const moe_weights *weights);
void moe_gpu_model_clear(moe_gpu_model *model);
moe_cuda_block moe_gpu_block(const moe_mlp *mlp);
/* moe_cuda_host.fill: sources are moe_matrix. */
void moe_gpu_fill(void *context, const void *source, uint32_t first, uint32_t n, moe_cuda_type type,
                  void *out);

#endif
