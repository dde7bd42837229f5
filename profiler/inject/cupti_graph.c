#include "profiler/inject/cupti.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "profiler/inject/ranges.h"
#include "profiler/inject/say.h"

enum { FIRST_SLOTS = 4096, MOST_SLOTS = 1 << 24 };

/* The nodes that were seen made, as a set: open addressing, 0 is free. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *slots;
static uint32_t n_slots, n_nodes;
static atomic_bool told, full;

static uint32_t
place(const uint64_t *in, uint32_t n, uint64_t node)
{
    uint32_t at = (uint32_t)(node * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (n - 1);
    while (in[at] != 0 && in[at] != node)
        at = (at + 1) & (n - 1);
    return at;
}

static bool
grow(void)
{
    if (2 * n_nodes < n_slots)
        return true;
    uint32_t more = n_slots == 0 ? FIRST_SLOTS : 2 * n_slots;
    uint64_t *larger = more <= MOST_SLOTS ? calloc(more, sizeof *larger) : NULL;
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; i < n_slots; i++)
        if (slots[i] != 0)
            larger[place(larger, more, slots[i])] = slots[i];
    free(slots);
    slots = larger;
    n_slots = more;
    return true;
}

static void
add(uint64_t node)
{
    pthread_mutex_lock(&lock);
    if (!grow()) {
        atomic_store(&full, true);
    } else {
        uint32_t at = place(slots, n_slots, node);
        n_nodes += slots[at] == 0;
        slots[at] = node;
    }
    pthread_mutex_unlock(&lock);
}

static uint64_t
id_of(CUgraphNode node)
{
    uint64_t id = 0;
    return node != NULL && moe_cupti.cuptiGetGraphNodeId(node, &id) == CUPTI_SUCCESS ? id : 0;
}

void
moe_cupti_node(CUpti_CallbackId id, const CUpti_ResourceData *resource)
{
    const CUpti_GraphData *graph = resource->resourceDescriptor;
    if (graph == NULL)
        return;
    uint64_t node = id_of(graph->node);
    if (node == 0)
        return;
    bool cloned = id == CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED;
    add(node);
    moe_range_node(node, cloned ? id_of(graph->originalNode) : 0);
}

void
moe_cupti_node_ran(uint64_t node)
{
    if (atomic_load_explicit(&told, memory_order_relaxed) || atomic_load(&full))
        return;
    pthread_mutex_lock(&lock);
    bool known = n_slots > 0 && slots[place(slots, n_slots, node)] == node;
    pthread_mutex_unlock(&lock);
    if (!known && !atomic_exchange(&told, true))
        moe_say(MOE_RAW_WARN, "graph_unknown",
                "kernels ran in a graph that was made before the capture began: they belong to no "
                "range");
}
