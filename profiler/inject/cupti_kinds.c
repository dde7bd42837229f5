#include "profiler/inject/cupti.h"

#include "profiler/inject/say.h"

/* Which kinds of records belong to what is asked for. */
static const struct {
    CUpti_ActivityKind kind;
    uint32_t trace; /* any of these */
} kinds[] = {
    {CUPTI_ACTIVITY_KIND_DEVICE, MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API},
    {CUPTI_ACTIVITY_KIND_CONTEXT, MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API},
    {CUPTI_ACTIVITY_KIND_OVERHEAD, MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API},
    {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, MOE_TRACE_KERNEL | MOE_TRACE_MEMOP},
    {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, MOE_TRACE_KERNEL},
    {CUPTI_ACTIVITY_KIND_GRAPH_TRACE, MOE_TRACE_GRAPH},
    {CUPTI_ACTIVITY_KIND_MEMCPY, MOE_TRACE_MEMOP},
    {CUPTI_ACTIVITY_KIND_MEMCPY2, MOE_TRACE_MEMOP},
    {CUPTI_ACTIVITY_KIND_MEMSET, MOE_TRACE_MEMOP},
    {CUPTI_ACTIVITY_KIND_RUNTIME, MOE_TRACE_API},
};

#define RUNTIME(name) CUPTI_RUNTIME_TRACE_CBID_##name
#define DRIVER(name) CUPTI_DRIVER_TRACE_CBID_##name

/* Calls that are many and say nothing. */
static const CUpti_CallbackId noise[] = {
    RUNTIME(cudaGetDevice_v3020),
    RUNTIME(cudaSetDevice_v3020),
    RUNTIME(cudaGetLastError_v3020),
    RUNTIME(cudaPeekAtLastError_v3020),
    RUNTIME(cudaFuncGetAttributes_v3020),
    RUNTIME(cudaDeviceGetAttribute_v5000),
    RUNTIME(cudaPointerGetAttributes_v4000),
    RUNTIME(cudaStreamIsCapturing_v10000),
    RUNTIME(cudaStreamIsCapturing_ptsz_v10000),
    RUNTIME(cudaStreamGetCaptureInfo_v10010),
    RUNTIME(cudaStreamGetCaptureInfo_ptsz_v10010),
    RUNTIME(cudaStreamGetCaptureInfo_v2_v11030),
    RUNTIME(cudaStreamGetCaptureInfo_v2_ptsz_v11030),
    RUNTIME(cudaOccupancyMaxActiveBlocksPerMultiprocessor_v6050),
    RUNTIME(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags_v7000),
};

/* What launches work when it is not the runtime that is called. */
static const CUpti_CallbackId driver_launches[] = {
    DRIVER(cuLaunchKernel),
    DRIVER(cuLaunchKernel_ptsz),
    DRIVER(cuLaunchKernelEx),
    DRIVER(cuLaunchKernelEx_ptsz),
    DRIVER(cuLaunchCooperativeKernel),
    DRIVER(cuLaunchCooperativeKernel_ptsz),
    DRIVER(cuGraphLaunch),
    DRIVER(cuGraphLaunch_ptsz),
};

/* Without the calls themselves these are still needed: external correlation comes with calls. */
static const CUpti_CallbackId runtime_launches[] = {
    RUNTIME(cudaLaunchKernel_v7000),
    RUNTIME(cudaLaunchKernel_ptsz_v7000),
    RUNTIME(cudaLaunchKernelExC_v11060),
    RUNTIME(cudaLaunchKernelExC_ptsz_v11060),
    RUNTIME(cudaLaunchCooperativeKernel_v9000),
    RUNTIME(cudaLaunchCooperativeKernel_ptsz_v9000),
    RUNTIME(cudaGraphLaunch_v10000),
    RUNTIME(cudaGraphLaunch_ptsz_v10000),
    RUNTIME(cudaMemcpyAsync_v3020),
    RUNTIME(cudaMemcpyAsync_ptsz_v7000),
    RUNTIME(cudaMemcpy_v3020),
    RUNTIME(cudaMemsetAsync_v3020),
    RUNTIME(cudaMemsetAsync_ptsz_v7000),
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

typedef CUptiResult(CUPTIAPI *switch_call)(CUpti_CallbackId call, uint8_t on);

/* Refusals of single calls are of no account: a newer library may not know an old call. */
static void
switch_calls(switch_call function, const CUpti_CallbackId *calls, size_t n, bool on)
{
    for (size_t i = 0; function != NULL && i < n; i++) {
        CUptiResult result = function(calls[i], on);
        if (result != CUPTI_SUCCESS)
            moe_note("call %u is not switched: %s", calls[i], moe_cupti_words(result));
    }
}

static void
switch_kind(CUpti_ActivityKind kind, bool on)
{
    CUptiResult result =
        on ? moe_cupti.cuptiActivityEnable(kind) : moe_cupti.cuptiActivityDisable(kind);
    if (result != CUPTI_SUCCESS && on)
        moe_say(MOE_RAW_WARN, "cupti_kind_refused", "records of kind %d are refused: %s (%d)",
                (int)kind, moe_cupti_words(result), (int)result);
}

void
moe_cupti_kinds(uint32_t trace, bool on)
{
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (kinds[i].trace & trace)
            switch_kind(kinds[i].kind, on);
    if (!(trace & (MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API)))
        return;
    if (!(trace & MOE_TRACE_API))
        switch_calls(moe_cupti.cuptiActivityEnableRuntimeApi, runtime_launches,
                     LENGTH(runtime_launches), on);
    else if (on)
        switch_calls(moe_cupti.cuptiActivityEnableRuntimeApi, noise, LENGTH(noise), false);
    switch_calls(moe_cupti.cuptiActivityEnableDriverApi, driver_launches, LENGTH(driver_launches),
                 on);
}
