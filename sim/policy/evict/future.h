/* Next uses in a stream of accesses, block by block, for policies that look ahead.
 *
 * The stream is read backwards once to note, at each block's end, when each object is used next;
 * from that a block's next uses are found when the replay comes to it. The notes take at most 4
 * bytes per 64 accesses, where a next use for every access would take 4 per access. */
#ifndef MOE_POLICY_EVICT_FUTURE_H
#define MOE_POLICY_EVICT_FUTURE_H

#include "sim/policy/evict/evict.h"
#include "sim/policy/memory.h"

#include <string.h>

typedef struct moe_future {
    const moe_evict_stream *stream;
    uint32_t n_objects;
    size_t block;       /* accesses per block */
    uint32_t *notes;    /* [blocks][n_objects]: first use at or after the block's end */
    uint32_t *met;      /* [n_objects] */
    uint32_t *next_use; /* [block]: of the block read last; MOE_NONE: never */
} moe_future;

static inline size_t
moe_future_end(const moe_future *future, size_t from)
{
    size_t left = future->stream->n - from;
    return from + (left < future->block ? left : future->block);
}

static inline void
moe_future_open(moe_future *future, const moe_evict_stream *stream, uint32_t n_objects)
{
    moe_assert(stream->n < MOE_NONE, "%zu accesses cannot be numbered", stream->n);
    size_t block = (size_t)1 << 16, bytes = n_objects * sizeof(uint32_t);
    while (block < 64 * (size_t)n_objects)
        block *= 2;
    size_t blocks = (stream->n + block - 1) / block;
    *future = (moe_future){.stream = stream, .n_objects = n_objects, .block = block};
    future->notes = moe_policy_alloc(blocks * n_objects, sizeof(uint32_t));
    future->met = moe_policy_alloc(n_objects, sizeof(uint32_t));
    future->next_use = moe_policy_alloc(block, sizeof(uint32_t));
    memset(future->met, 0xFF, bytes);
    for (size_t b = blocks; b-- > 0;) {
        memcpy(future->notes + b * n_objects, future->met, bytes);
        for (size_t i = moe_future_end(future, b * block); i-- > b * block;)
            future->met[stream->objects[i]] = (uint32_t)i;
    }
}

static inline void
moe_future_close(moe_future *future)
{
    free(future->notes);
    free(future->met);
    free(future->next_use);
}

/* Finds next_use[i - from] of the accesses from <= i < end, `from` a multiple of the block. */
static inline void
moe_future_read(moe_future *future, size_t from)
{
    const uint32_t *notes = future->notes + from / future->block * future->n_objects;
    memcpy(future->met, notes, future->n_objects * sizeof(uint32_t));
    for (size_t i = moe_future_end(future, from); i-- > from;) {
        uint32_t object = future->stream->objects[i];
        future->next_use[i - from] = future->met[object];
        future->met[object] = (uint32_t)i;
    }
}

#endif
