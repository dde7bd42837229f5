/* fifo: the object that was admitted longest ago leaves.
 *
 * A queue in a ring, in order of admission; hits change nothing. Invariant: here[o] is 1 if and
 * only if o is in the queue. Walking past barred objects, and `remove`, cost as many moves as
 * there are older objects: O(slots) at worst.
 *
 * Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal
 * 5(2), 1966. */
#include "sim/policy/evict/replay.h"
#include "sim/policy/evict/ring.h"

struct fifo {
    moe_ring queue;
    uint8_t *here;
};

static struct fifo *
fifo_open(const moe_evict_setup *setup, const void *config)
{
    struct fifo *fifo = moe_policy_alloc(1, sizeof *fifo);
    moe_ring_open(&fifo->queue, setup->n_slots);
    fifo->here = moe_policy_alloc(setup->n_objects, 1);
    return fifo;
}

static void
fifo_close(struct fifo *fifo)
{
    moe_ring_close(&fifo->queue);
    free(fifo->here);
    free(fifo);
}

static inline bool
fifo_holds(const struct fifo *fifo, uint32_t object)
{
    return fifo->here[object];
}

static inline void
fifo_hit(struct fifo *fifo, uint32_t object)
{
}

static inline uint32_t
fifo_victim(struct fifo *fifo, uint32_t incoming, const moe_evict_bar *bar)
{
    uint32_t i = moe_ring_free(&fifo->queue, 0, bar);
    if (i == moe_ring_count(&fifo->queue))
        return MOE_NONE;
    uint32_t victim = moe_ring_take(&fifo->queue, i);
    fifo->here[victim] = 0;
    return victim;
}

static inline void
fifo_admit(struct fifo *fifo, uint32_t object)
{
    fifo->here[object] = 1;
    moe_ring_push(&fifo->queue, object);
}

static inline void
fifo_remove(struct fifo *fifo, uint32_t object)
{
    fifo->here[object] = 0;
    moe_ring_take(&fifo->queue, moe_ring_find(&fifo->queue, object));
}

MOE_EVICT_ACCESS(fifo)
MOE_EVICT_DEFINE(fifo, 0)

const moe_variant moe_evict_fifo = {
    .name = "fifo",
    .help = "Evict the expert that was loaded longest ago.",
    .ops = &fifo_ops,
};
