#include "profiler/cuda_calls.h"

#define RUNTIME true
#define DRIVER false
#define MOE_CUDA_CALL(domain, cbid, name) {domain, cbid, #name},
static const struct {
    bool runtime;
    uint16_t cbid;
    const char *name;
} calls[] = {
#include "profiler/cuda_calls.def"
};

const char *
moe_cuda_call(bool runtime, uint32_t cbid)
{
    /* sorted by (runtime first, cbid) */
    size_t low = 0, high = MOE_COUNT(calls);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool before =
            calls[middle].runtime != runtime ? calls[middle].runtime : calls[middle].cbid < cbid;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < MOE_COUNT(calls) && calls[low].runtime == runtime && calls[low].cbid == cbid;
    return found ? calls[low].name : NULL;
}
