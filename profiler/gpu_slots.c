/* Offloaded experts in slots of a device's memory: see moe_expert_cache. */
#include "profiler/gpu_state.h"

#include "profiler/memory.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

static const moe_stack *
stack_of(const moe_gpu *gpu)
{
    return moe_model_decoder(gpu->weights->arch->model);
}

static uint32_t
number_of(const moe_gpu *gpu, uint32_t layer, uint32_t expert)
{
    const moe_layer *l = &stack_of(gpu)->layers[layer];
    return (uint32_t)l->moe_index * gpu->weights->arch->router.experts + expert;
}

static uint64_t
slot_bytes(void *context)
{
    const moe_gpu *gpu = context;
    return gpu->api->slot_bytes(&gpu->slots_config);
}

/* All experts, as the device takes them. */
static bool
keep_all(moe_gpu *gpu, GError **error)
{
    const moe_stack *stack = stack_of(gpu);
    moe_cuda_failure failure = {0};
    for (int l = 0; l < stack->n_layers; l++)
        for (int e = 0; e < stack->layers[l].ffn.experts; e++) {
            const moe_cuda_block block = moe_gpu_block(&gpu->weights->layers[l].experts[e]);
            uint32_t number = number_of(gpu, (uint32_t)l, (uint32_t)e);
            if (!moe_gpu_check(gpu->api->slots_keep(gpu->slots, number, &block, &failure), &failure,
                               error))
                return false;
        }
    return true;
}

/* Pinned memory cannot be paged out: what does not fit is refused and not tried. */
static bool
fits(moe_gpu *gpu, GError **error)
{
    uint64_t wanted = gpu->slots_config.kept * slot_bytes(gpu), there = moe_memory_available();
    if (wanted <= there)
        return true;
    g_autofree char *bytes = moe_format_bytes((int64_t)MIN(wanted, INT64_MAX));
    g_autofree char *have = moe_format_bytes((int64_t)MIN(there, INT64_MAX));
    g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY,
                "not enough memory: %u experts in pinned memory want %s, %s are available",
                gpu->slots_config.kept, bytes, have);
    return false;
}

static bool
open_slots(void *context, uint32_t slots, GError **error)
{
    moe_gpu *gpu = context;
    moe_cuda_failure failure = {0};
    moe_assert(!gpu->slots, "slots are open");
    if (gpu->dram && !fits(gpu, error))
        return false;
    gpu->slots_config.slots = slots;
    int opened =
        gpu->api->slots_open(gpu->device, &gpu->slots_config, &gpu->host, &gpu->slots, &failure);
    return moe_gpu_check(opened, &failure, error) && (!gpu->dram || keep_all(gpu, error));
}

static bool
load(void *context, uint32_t slot, uint32_t layer, uint32_t expert, const moe_mlp *read,
     moe_mlp *out, GError **error)
{
    moe_gpu *gpu = context;
    moe_cuda_failure failure = {0};
    moe_cuda_block block;
    if (read)
        block = moe_gpu_block(read);
    int loaded = gpu->api->slots_load(gpu->slots, slot, number_of(gpu, layer, expert),
                                      read ? &block : NULL, &failure);
    if (!moe_gpu_check(loaded, &failure, error))
        return false;
    *out = (moe_mlp){.gate.data = gpu->api->slots_at(gpu->slots, slot)};
    return true;
}

const moe_expert_cache *
moe_gpu_expert_cache(moe_gpu *gpu, const moe_weights *weights, bool dram)
{
    const moe_stack *stack = moe_model_decoder(weights->arch->model);
    if (gpu->slots)
        gpu->api->slots_close(gpu->slots);
    gpu->slots = NULL;
    gpu->weights = weights;
    gpu->dram = dram;
    gpu->slots_config = (moe_cuda_slots_config){.hidden = (uint32_t)weights->arch->model->hidden};
    for (int l = 0; l < stack->n_layers; l++) {
        const moe_ffn *ffn = &stack->layers[l].ffn;
        if (ffn->kind != MOE_FFN_MOE)
            continue;
        gpu->slots_config.width = MAX(gpu->slots_config.width, (uint32_t)ffn->width);
        gpu->slots_config.biases |= ffn->bias;
    }
    if (dram)
        gpu->slots_config.kept = (uint32_t)stack->n_moe * weights->arch->router.experts;
    gpu->cache = (moe_expert_cache){
        .context = gpu,
        .place = "device memory",
        .home = "pinned memory",
        .reads = !dram,
        .slot_bytes = slot_bytes,
        .open = open_slots,
        .load = load,
    };
    return &gpu->cache;
}
