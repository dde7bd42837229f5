/* The runtime's calls: launches, streams, events, graphs.
 *
 * A stream does nothing until somebody waits for it, and then no more than was waited for: work of
 * another stream that should have been waited for is plainly missing. */
#include "tests/cuda_emulation/runtime_state.h"

#include <cstdlib>
#include <ctime>
#include <map>

namespace
{

std::map<const void *, int> shared_limits; /* of kernels */
std::vector<cudaStream_t> streams;         /* all that there are */

bool
eager()
{
    static const char *order = getenv("MOE_EMULATED_STREAMS");
    return order && strcmp(order, "eager") == 0;
}

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
moe_emulated_enqueue(cudaStream_t stream, moe_emulated_work work)
{
    LOCKED;
    if (moe_emulated_sticky)
        return moe_emulated_answer(moe_emulated_sticky);
    if (moe_emulated_capturing(stream)) {
        stream->capture->nodes.push_back({std::move(work), NULL});
        return cudaSuccess;
    }
    if (!stream) { /* the default stream waits for all that are not apart, and they for it */
        moe_emulated_drain(NULL);
        if (!moe_emulated_sticky)
            return moe_emulated_answer(work());
        return moe_emulated_answer(moe_emulated_sticky);
    }
    stream->queue.push_back(std::move(work));
    if (eager())
        moe_emulated_drain(stream);
    return cudaSuccess;
}

bool
moe_emulated_capturing(cudaStream_t stream)
{
    return stream && stream->capture;
}

void
moe_emulated_progress(cudaStream_t stream, uint64_t position)
{
    while (stream->done < position && !stream->queue.empty()) {
        moe_emulated_work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        if (!moe_emulated_sticky)
            moe_emulated_answer(work());
        stream->done++;
    }
}

cudaError_t
moe_emulated_drain(cudaStream_t stream)
{
    if (stream)
        moe_emulated_progress(stream, UINT64_MAX);
    for (size_t i = 0; !stream && i < streams.size(); i++)
        if (!streams[i]->apart)
            moe_emulated_progress(streams[i], UINT64_MAX);
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
moe_emulated_drain_all()
{
    for (size_t i = 0; i < streams.size(); i++)
        moe_emulated_progress(streams[i], UINT64_MAX);
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    LOCKED;
    *stream = new CUstream_st();
    (*stream)->apart = flags & cudaStreamNonBlocking;
    streams.push_back(*stream);
    return moe_emulated_answer(moe_emulated_sticky);
}

cudaError_t
cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t
cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int)
{
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t
cudaStreamDestroy(cudaStream_t stream)
{
    LOCKED;
    if (!stream)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (stream->capture)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    moe_emulated_drain(stream);
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    delete stream;
    return cudaSuccess;
}

/* Neither waits nor asks while it is captured. */
static cudaError_t
not_captured(cudaStream_t stream)
{
    if (!moe_emulated_capturing(stream))
        return cudaSuccess;
    stream->capture->invalid = true;
    return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
}

cudaError_t
cudaStreamSynchronize(cudaStream_t stream)
{
    LOCKED;
    cudaError_t error = not_captured(stream);
    return error ? error : moe_emulated_drain(stream);
}

/* Each question sees the stream one item farther. */
cudaError_t
cudaStreamQuery(cudaStream_t stream)
{
    LOCKED;
    cudaError_t error = not_captured(stream);
    if (error || !stream)
        return error ? error : moe_emulated_drain(NULL);
    moe_emulated_progress(stream, stream->done + 1);
    return stream->queue.empty() ? moe_emulated_answer(moe_emulated_sticky) : cudaErrorNotReady;
}

static void
wait_for(const moe_emulated_record *record)
{
    if (!record->done)
        moe_emulated_progress(record->stream, record->position);
}

cudaError_t
cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    LOCKED;
    if (!event)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (event->capture) {
        if (!stream || (stream->capture && stream->capture != event->capture))
            return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
        if (!stream->capture) {
            stream->capture = event->capture;
            stream->capture->streams.push_back(stream);
        }
        return cudaSuccess;
    }
    if (moe_emulated_capturing(stream))
        return event->last ? moe_emulated_answer(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
    std::shared_ptr<moe_emulated_record> record = event->last;
    if (!record)
        return moe_emulated_answer(moe_emulated_sticky);
    return moe_emulated_enqueue(stream, [record] {
        wait_for(record.get());
        return cudaSuccess;
    });
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

/* Behind all that the stream was given so far. */
static cudaError_t
record_now(cudaEvent_t event, cudaStream_t stream)
{
    auto record = std::make_shared<moe_emulated_record>();
    record->stream = stream;
    record->position = stream ? stream->done + stream->queue.size() + 1 : 0;
    event->capture = NULL;
    event->last = record;
    return moe_emulated_enqueue(stream, [record] {
        record->done = true;
        record->ms = now_ms();
        return cudaSuccess;
    });
}

cudaError_t
cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags)
{
    LOCKED;
    if (!event)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (!moe_emulated_capturing(stream))
        return record_now(event, stream);
    if (flags & cudaEventRecordExternal) {
        stream->capture->nodes.push_back({NULL, event});
        return cudaSuccess;
    }
    event->capture = stream->capture;
    return cudaSuccess;
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
    if (event->capture)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    if (event->last)
        wait_for(event->last.get());
    return moe_emulated_answer(moe_emulated_sticky);
}

/* Each question sees the stream one item farther. */
cudaError_t
cudaEventQuery(cudaEvent_t event)
{
    LOCKED;
    if (event->capture)
        return moe_emulated_answer(cudaErrorStreamCaptureUnsupported);
    moe_emulated_record *record = event->last.get();
    if (record && !record->done)
        moe_emulated_progress(record->stream, record->stream->done + 1);
    if (moe_emulated_sticky)
        return moe_emulated_answer(moe_emulated_sticky);
    return !record || record->done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t
cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    LOCKED;
    if (!from->timing || !to->timing || !from->last || !to->last)
        return moe_emulated_answer(cudaErrorInvalidResourceHandle);
    if (!from->last->done || !to->last->done)
        return cudaErrorNotReady;
    *ms = (float)(to->last->ms - from->last->ms);
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
    const CUgraph_st *g = stream ? stream->capture : NULL;
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
    for (size_t i = 0; i < exec->nodes.size() && !error; i++) {
        const moe_emulated_node *node = &exec->nodes[i];
        error = node->event ? record_now(node->event, stream)
                            : moe_emulated_enqueue(stream, node->work);
    }
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
