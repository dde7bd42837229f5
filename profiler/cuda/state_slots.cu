/* Offloaded experts: slots of the device's memory, filled by a stream of their own from pinned
 * memory, where they are kept or pass through. */
#include "profiler/cuda/state.h"

#include <cstring>

struct moe_cuda_slots {
    moe_cuda_device *device;
    moe_cuda_slots_config config;
    moe_cuda_host host;
    moe_cuda_image image;
    char *block;   /* [slots] images, the device's */
    char *staging; /* one image, pinned */
    char *kept;    /* [kept] images, pinned */
};

uint64_t
moe_cuda_slot_bytes(const moe_cuda_slots_config *config)
{
    return moe_cuda_image_of(config->hidden, config->width, config->biases).bytes;
}

static void
fill_matrix(const moe_cuda_host *host, const moe_cuda_matrix *m, moe_cuda_type type, char *out)
{
    if (m->source)
        host->fill(host->context, m->source, 0, m->rows, type, out);
}

/* An expert as it lies in an image, in memory of the host. */
static void
fill_image(const moe_cuda_host *host, const moe_cuda_image *image, const moe_cuda_block *expert,
           char *out)
{
    fill_matrix(host, &expert->gate, MOE_CUDA_BF16, out + image->gate);
    fill_matrix(host, &expert->up, MOE_CUDA_BF16, out + image->up);
    fill_matrix(host, &expert->down, MOE_CUDA_BF16, out + image->down);
    fill_matrix(host, &expert->gate_bias, MOE_CUDA_F32, out + image->gate_bias);
    fill_matrix(host, &expert->up_bias, MOE_CUDA_F32, out + image->up_bias);
    fill_matrix(host, &expert->down_bias, MOE_CUDA_F32, out + image->down_bias);
}

void
moe_cuda_slots_close(moe_cuda_slots *slots)
{
    if (!slots)
        return;
    cudaStreamSynchronize(slots->device->copy);
    cudaStreamSynchronize(slots->device->compute);
    cudaFreeHost(slots->kept);
    cudaFreeHost(slots->staging);
    cudaFree(slots->block);
    delete slots;
}

static int
pinned(char **out, uint64_t bytes, moe_cuda_failure *failure)
{
    if (!bytes || cudaMallocHost((void **)out, bytes) == cudaSuccess)
        return MOE_CUDA_OK;
    cudaGetLastError();
    failure->host = true;
    failure->wanted = bytes;
    failure->available = 0;
    return moe_cuda_fail(failure, MOE_CUDA_NO_MEMORY, "the experts that are kept");
}

static int
allocate(moe_cuda_slots *slots, moe_cuda_failure *failure)
{
    size_t there = 0, total = 0;
    uint64_t bytes = slots->config.slots * slots->image.bytes;
    MOE_TRY(cudaMemGetInfo(&there, &total));
    if (bytes > there || cudaMalloc((void **)&slots->block, bytes) != cudaSuccess) {
        cudaGetLastError();
        failure->wanted = bytes;
        failure->available = there;
        failure->host = false;
        return moe_cuda_fail(failure, MOE_CUDA_NO_MEMORY, "the slots of experts");
    }
    MOE_PASS(pinned(&slots->kept, slots->config.kept * slots->image.bytes, failure));
    return pinned(&slots->staging, slots->image.bytes, failure);
}

int
moe_cuda_slots_open(moe_cuda_device *device, const moe_cuda_slots_config *config,
                    const moe_cuda_host *host, moe_cuda_slots **out, moe_cuda_failure *failure)
{
    moe_cuda_slots *slots = new moe_cuda_slots();
    slots->device = device;
    slots->config = *config;
    slots->host = *host;
    slots->image = moe_cuda_image_of(config->hidden, config->width, config->biases);
    int allocated = allocate(slots, failure);
    if (allocated == MOE_CUDA_OK)
        *out = slots;
    else
        moe_cuda_slots_close(slots);
    return allocated;
}

int
moe_cuda_slots_keep(moe_cuda_slots *slots, uint32_t kept, const moe_cuda_block *expert,
                    moe_cuda_failure *failure)
{
    if (kept >= slots->config.kept)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "expert %u of %u", kept, slots->config.kept);
    fill_image(&slots->host, &slots->image, expert, slots->kept + kept * slots->image.bytes);
    return MOE_CUDA_OK;
}

int
moe_cuda_slots_load(moe_cuda_slots *slots, uint32_t slot, uint32_t kept,
                    const moe_cuda_block *expert, moe_cuda_failure *failure)
{
    const char *from = slots->staging;
    if (expert)
        fill_image(&slots->host, &slots->image, expert, slots->staging);
    else if (kept < slots->config.kept)
        from = slots->kept + kept * slots->image.bytes;
    else
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "expert %u is not kept", kept);
    /* Who computed from the slot before is done by then. */
    MOE_TRY(cudaStreamWaitEvent(slots->device->copy, slots->device->computed, 0));
    MOE_TRY(cudaMemcpyAsync(slots->block + slot * slots->image.bytes, from, slots->image.bytes,
                            cudaMemcpyHostToDevice, slots->device->copy));
    MOE_TRY(cudaStreamSynchronize(slots->device->copy));
    return MOE_CUDA_OK;
}

const void *
moe_cuda_slots_at(const moe_cuda_slots *slots, uint32_t slot)
{
    return slots->block + slot * slots->image.bytes;
}
