/* The runtime's calls: launches, streams, events, graphs. */
#include "tests/cuda_emulation/runtime_state.h"

#include <ctime>
#include <map>

namespace
{

std::map<const void *, int> shared_limits; /* of kernels */

double
now_ms()
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

} /* namespace */

/* ---- streams ---- */

cudaError_t
cudaStreamCreate(cudaStream_t *stream)
{
    *stream = new CUstream_st();
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    return cudaStreamCreate(stream);
}

cudaError_t
cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned, int)
{
    return cudaStreamCreate(stream);
}

cudaError_t
cudaStreamDestroy(cudaStream_t stream)
{
    LOCKED;
    if (!stream)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (stream->capture)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    delete stream;
    return cudaSuccess;
}

cudaError_t
cudaStreamSynchronize(cudaStream_t stream)
{
    LOCKED;
    if (moe_emulated_stream(stream)->capture) {
        stream->capture->invalid = true;
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    }
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaStreamQuery(cudaStream_t stream)
{
    return cudaStreamSynchronize(stream);
}

cudaError_t
cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    LOCKED;
    CUstream_st *s = moe_emulated_stream(stream);
    if (!event)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (event->capture && !s->capture) {
        s->capture = event->capture;
        s->capture->streams.push_back(s);
    }
    if (s->capture && event->capture != s->capture && event->recorded)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    return moe_emulated_enqueue(stream, [=] {
        function(data);
        return cudaSuccess;
    });
}

cudaError_t
moe_emulated_shared_limit(const void *function, int bytes)
{
    LOCKED;
    if (bytes > 227 << 10)
        return moe_emulated_answer(cudaErrorInvalidValue);
    shared_limits[function] = bytes;
    return cudaSuccess;
}

cudaError_t
moe_emulated_launch(const void *function, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                    std::function<void()> body)
{
    LOCKED;
    auto limit = shared_limits.find(function);
    size_t most = limit == shared_limits.end() ? 48 << 10 : (size_t)limit->second;
    if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z || grid.y > 65535 ||
        grid.z > 65535 || grid.x > 0x7FFFFFFF || block.z > 64 ||
        (uint64_t)block.x * block.y * block.z > 1024)
        return moe_emulated_answer(cudaErrorInvalidConfiguration);
    if (shared > most)
        return moe_emulated_answer(cudaErrorInvalidValue);
    return moe_emulated_enqueue(stream, [=]() -> cudaError_t {
        if (!moe_emulated_run(grid, block, shared, body))
            moe_emulated_sticky = cudaErrorLaunchFailure;
        return moe_emulated_sticky;
    });
}

/* ---- events ---- */

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    *event = new CUevent_st();
    (*event)->timing = !(flags & cudaEventDisableTiming);
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t
cudaEventDestroy(cudaEvent_t event)
{
    if (!event)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}

cudaError_t
cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags)
{
    LOCKED;
    CUstream_st *s = moe_emulated_stream(stream);
    if (!event)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (s->capture && !(flags & cudaEventRecordExternal)) {
        event->capture = s->capture;
        event->recorded = false;
        return cudaSuccess;
    }
    event->capture = NULL;
    return moe_emulated_enqueue(stream, [=] {
        event->recorded = true;
        event->ms = now_ms();
        return cudaSuccess;
    });
}

cudaError_t
cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t
cudaEventSynchronize(cudaEvent_t event)
{
    LOCKED;
    return event->capture ? moe_emulated_answer(cudaErrorStreamCaptureUnsupported)
                          : moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaEventQuery(cudaEvent_t event)
{
    return cudaEventSynchronize(event);
}

cudaError_t
cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    LOCKED;
    if (!from->timing || !to->timing || !from->recorded || !to->recorded)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    *ms = (float)(to->ms - from->ms);
    return moe_emulated_answer(moe_emulated_sticky);
}

/* ---- graphs ---- */

cudaError_t
cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    LOCKED;
    if (!stream)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    if (stream->capture)
        return moe_emulated_answer(cudaErrorInvalidValue);
    stream->capture = new CUgraph_st();
    stream->capture->streams.push_back(stream);
    moe_emulated_captures++;
    return cudaSuccess;
}

cudaError_t
cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    LOCKED;
    *graph = NULL;
    if (!stream || !stream->capture)
        return moe_emulated_answer(cudaErrorInvalidValue);
    CUgraph_st *g = stream->capture;
    if (g->streams[0] != stream)
        return moe_emulated_answer(cudaErrorStreamCaptureUnmatched);
    for (cudaStream_t s : g->streams)
        s->capture = NULL;
    g->streams.clear();
    moe_emulated_captures--;
    if (g->invalid) {
        delete g;
        return moe_emulated_answer(cudaErrorStreamCaptureInvalidated);
    }
    *graph = g;
    return cudaSuccess;
}

cudaError_t
cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    LOCKED;
    const CUgraph_st *g = moe_emulated_stream(stream)->capture;
    *status = !g           ? cudaStreamCaptureStatusNone
              : g->invalid ? cudaStreamCaptureStatusInvalidated
                           : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t
cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    if (nodes)
        return moe_emulated_answer(cudaErrorNotSupported);
    *n = graph->nodes.size();
    return cudaSuccess;
}

cudaError_t
cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new CUgraphExec_st{graph->nodes};
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    LOCKED;
    cudaError_t error = moe_emulated_answer(moe_emulated_sticky);
    for (size_t i = 0; i < exec->nodes.size() && !error; i++)
        error = moe_emulated_enqueue(stream, exec->nodes[i]);
    return error;
}

cudaError_t
cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t
cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}
