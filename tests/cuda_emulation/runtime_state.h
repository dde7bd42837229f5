/* What the files of the emulated runtime share. Work is done when it is asked for, or when the
 * graph that holds it is launched. */
#ifndef MOE_CUDA_EMULATION_RUNTIME_STATE_H
#define MOE_CUDA_EMULATION_RUNTIME_STATE_H

#include <cuda_runtime.h>

#include <mutex>
#include <vector>

typedef std::function<cudaError_t()> moe_emulated_work;

struct CUgraph_st {
    std::vector<moe_emulated_work> nodes;
    std::vector<cudaStream_t> streams; /* that are being captured */
    bool invalid;
};
struct CUgraphExec_st {
    std::vector<moe_emulated_work> nodes;
};
struct CUstream_st {
    CUgraph_st *capture;
};
struct CUevent_st {
    bool timing, recorded;
    double ms;
    CUgraph_st *capture;
};

extern std::recursive_mutex moe_emulated_lock;
#define LOCKED std::lock_guard<std::recursive_mutex> lock(moe_emulated_lock)
extern CUstream_st moe_emulated_default_stream;
extern unsigned moe_emulated_captures;  /* that are open */
extern cudaError_t moe_emulated_sticky; /* of a launch that failed: the answer from then on */

/* Remembers an error and gives it back. */
cudaError_t moe_emulated_answer(cudaError_t error);
/* Does it now, or puts it into the graph that the stream is captured into. */
cudaError_t moe_emulated_enqueue(cudaStream_t stream, moe_emulated_work work);

static inline CUstream_st *
moe_emulated_stream(cudaStream_t stream)
{
    return stream ? stream : &moe_emulated_default_stream;
}

#endif
