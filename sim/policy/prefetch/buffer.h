/* A forecast buffer that a prefetch policy keeps between calls: it learns the number of experts
 * from the first query. */
#ifndef MOE_POLICY_PREFETCH_BUFFER_H
#define MOE_POLICY_PREFETCH_BUFFER_H

#include "sim/policy/memory.h"
#include "sim/policy/prefetch/prefetch.h"

typedef struct moe_forecast_buffer {
    moe_forecast *items;
    uint32_t size;
} moe_forecast_buffer;

/* Asks for the forecast of `target`, whole; returns how many experts it names. */
static inline size_t
moe_forecast_ask(moe_forecast_buffer *buffer, const moe_prefetch_query *query, uint32_t target)
{
    if (buffer->size < query->n_experts) {
        free(buffer->items);
        buffer->items = moe_policy_alloc(query->n_experts, sizeof *buffer->items);
        buffer->size = query->n_experts;
    }
    return query->forecast(query->source, target, buffer->items, query->n_experts);
}

#endif
