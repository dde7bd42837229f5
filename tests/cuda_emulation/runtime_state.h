/* What the files of the emulated runtime share. Work is done when it is asked for, or when the
 * graph that holds it is launched. */
#ifndef MOE_CUDA_EMULATION_RUNTIME_STATE_H
#define MOE_CUDA_EMULATION_RUNTIME_STATE_H

#include <cuda_runtime.h>

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

typedef std::function<cudaError_t()> moe_emulated_work;

/* One record of an event: behind item `position` of a stream. */
struct moe_emulated_record {
    cudaStream_t stream; /* gone once it is done */
    uint64_t position;
    bool done;
    double ms;
};
struct moe_emulated_node {
    moe_emulated_work work;
    cudaEvent_t event; /* to be recorded, instead of work */
};
struct CUgraph_st {
    std::vector<moe_emulated_node> nodes;
    std::vector<cudaStream_t> streams; /* that are being captured */
    bool invalid;
};
struct CUgraphExec_st {
    std::vector<moe_emulated_node> nodes;
};
struct CUstream_st {
    CUgraph_st *capture;
    bool apart; /* cudaStreamNonBlocking */
    std::deque<moe_emulated_work> queue;
    uint64_t done; /* items before the queue's first */
};
struct CUevent_st {
    bool timing;
    CUgraph_st *capture;
    std::shared_ptr<moe_emulated_record> last;
};

extern std::recursive_mutex moe_emulated_lock;
#define LOCKED std::lock_guard<std::recursive_mutex> lock(moe_emulated_lock)
extern unsigned moe_emulated_captures;  /* that are open */
extern cudaError_t moe_emulated_sticky; /* of a launch that failed: the answer from then on */

/* Remembers an error and gives it back. */
cudaError_t moe_emulated_answer(cudaError_t error);
/* Puts it at the end of the stream, or into the graph that the stream is captured into. */
cudaError_t moe_emulated_enqueue(cudaStream_t stream, moe_emulated_work work);
/* Runs a stream up to an item, one stream (NULL: all but those apart), everything. */
void moe_emulated_progress(cudaStream_t stream, uint64_t position);
cudaError_t moe_emulated_drain(cudaStream_t stream);
cudaError_t moe_emulated_drain_all();
bool moe_emulated_capturing(cudaStream_t stream);

#endif
