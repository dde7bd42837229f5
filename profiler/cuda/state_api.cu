/* The table of libmoesim_cuda.so, and the stages one by one. */
#include "profiler/cuda/state.h"

#include <cstring>

static int
embed(moe_cuda_state *s, const moe_cuda_batch *batch, moe_cuda_failure *failure)
{
    MOE_PASS(moe_cuda_rows_begin(s, batch, nullptr, 0, failure));
    return moe_cuda_run_embed(s, failure);
}

/* Rows of the device as host memory, once they are there. */
static int
show(moe_cuda_state *s, const float *from, size_t n, float *to, const float **out,
     moe_cuda_failure *failure)
{
    MOE_TRY(cudaMemcpyAsync(to, from, n * sizeof *to, cudaMemcpyDeviceToHost, s->stream));
    MOE_TRY(cudaStreamSynchronize(s->stream));
    *out = to;
    return MOE_CUDA_OK;
}

static int
router(moe_cuda_state *s, uint32_t layer, uint32_t gate, const float **logits,
       moe_cuda_failure *failure)
{
    MOE_PASS(moe_cuda_run_router(s, layer, gate, s->router_logits, failure));
    return show(s, s->router_logits, (size_t)s->n * s->experts, s->host_rows, logits, failure);
}

static int
dispatch(moe_cuda_state *s, uint32_t layer, const uint16_t *ids, const float *weights,
         moe_cuda_failure *failure)
{
    size_t n = (size_t)s->n * s->top_k;
    /* What was asked of the pinned copies before is done: the router waited. */
    memcpy(s->host_ids, ids, n * sizeof *ids);
    memcpy(s->host_weights, weights, n * sizeof *weights);
    MOE_TRY(
        cudaMemcpyAsync(s->ids, s->host_ids, n * sizeof *ids, cudaMemcpyHostToDevice, s->stream));
    MOE_TRY(cudaMemcpyAsync(s->weights, s->host_weights, n * sizeof *weights,
                            cudaMemcpyHostToDevice, s->stream));
    MOE_TRY(moe_cuda_dispatch_fill(s->stream, &s->dispatch, s->ids, s->n));
    return MOE_CUDA_OK;
}

/* The wave's table: no expert but those asked for. */
static int
experts(moe_cuda_state *s, uint32_t layer, const uint16_t *experts, const void *const *at,
        uint32_t n, moe_cuda_failure *failure)
{
    const moe_cuda_layer_state *l = &s->layers[layer];
    MOE_TRY(cudaStreamSynchronize(s->stream)); /* the table of the wave before is there */
    memset(s->host_wave, 0, s->experts * sizeof *s->host_wave);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t e = experts[i];
        const void *image = at ? at[i] : nullptr;
        if (!image && !l->experts)
            return moe_cuda_fail(failure, MOE_CUDA_FAILED, "expert %u of layer %u is nowhere", e,
                                 layer);
        if (!image)
            image = l->experts + e * l->image.bytes;
        s->host_wave[e] = moe_cuda_image_at(&l->image, image);
    }
    MOE_TRY(cudaMemcpyAsync(s->wave, s->host_wave, s->experts * sizeof *s->wave,
                            cudaMemcpyHostToDevice, s->stream));
    MOE_PASS(moe_cuda_run_experts(s, layer, s->wave, failure));
    MOE_TRY(cudaEventRecord(s->device->computed, s->stream));
    return MOE_CUDA_OK;
}

static int
combine(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure)
{
    return moe_cuda_run_combine(s, layer, s->weights, failure);
}

static int
unembed(moe_cuda_state *s, const uint32_t *rows, uint32_t n_rows, const float **logits,
        moe_cuda_failure *failure)
{
    uint32_t at = 4 * s->n;
    memcpy(s->host_words + at, rows, n_rows * sizeof *rows);
    MOE_TRY(cudaMemcpyAsync(s->words + at, s->host_words + at, n_rows * sizeof *rows,
                            cudaMemcpyHostToDevice, s->stream));
    MOE_PASS(moe_cuda_run_unembed(s, n_rows, failure));
    return show(s, s->logits, (size_t)n_rows * s->vocab, s->host_logits, logits, failure);
}

static int
hidden(moe_cuda_state *s, const float **stream, moe_cuda_failure *failure)
{
    return show(s, s->residual, (size_t)s->n * s->hidden, s->host_rows, stream, failure);
}

static int
wait(moe_cuda_state *s, moe_cuda_failure *failure)
{
    MOE_TRY(cudaStreamSynchronize(s->stream));
    return MOE_CUDA_OK;
}

static const moe_cuda_api api = {
    MOE_CUDA_API_VERSION,
    moe_cuda_device_open,
    moe_cuda_device_close,
    moe_cuda_memory,
    moe_cuda_open,
    moe_cuda_close,
    embed,
    moe_cuda_run_attention,
    moe_cuda_run_dense,
    router,
    dispatch,
    experts,
    combine,
    unembed,
    hidden,
    moe_cuda_forward,
    wait,
    moe_cuda_slot_bytes,
    moe_cuda_slots_open,
    moe_cuda_slots_close,
    moe_cuda_slots_keep,
    moe_cuda_slots_load,
    moe_cuda_slots_at,
};

const moe_cuda_api *
moe_cuda_api_get(uint32_t version)
{
    return version == MOE_CUDA_API_VERSION ? &api : nullptr;
}
