/* The trace's look-ahead, united over the tokens of a step. */
#include "sim/machine/schedule.h"
#include "sim/policy/predict/unite.h"

static uint32_t
lookahead_id(const moe_routing *routing, const moe_lookahead *l, uint64_t row, uint32_t layer,
             uint32_t j)
{
    uint64_t at = (row * routing->n_layers + layer) * l->k + j;
    if (routing->id_bytes == 1)
        return ((const uint8_t *)l->ids)[at];
    return ((const uint16_t *)l->ids)[at];
}

uint32_t
moe_schedule_distance(const moe_routing *routing)
{
    uint32_t distance = 0;
    for (uint32_t i = 0; i < routing->n_lookahead; i++)
        distance = MAX(distance, routing->lookahead[i].distance);
    return distance;
}

size_t
moe_schedule_recorded(const void *source, uint32_t step_number, uint32_t layer, uint32_t distance,
                      moe_forecast *out, size_t max)
{
    const moe_schedule *schedule = source;
    const moe_routing *routing = schedule->routing;
    const moe_step *step = &schedule->steps[step_number];
    const moe_lookahead *lookahead = NULL;
    for (uint32_t i = 0; i < routing->n_lookahead; i++)
        if (routing->lookahead[i].distance == distance)
            lookahead = &routing->lookahead[i];
    if (!lookahead || step->n == 0)
        return 0;
    size_t n = 0;
    for (uint64_t t = step->first; t < step->first + step->n; t++)
        for (uint32_t j = 0; j < lookahead->k; j++) {
            uint32_t id = lookahead_id(routing, lookahead, schedule->rows[t], layer, j);
            if (id >= routing->n_experts)
                break; /* the sentinel */
            n = moe_unite_add(out, n, max, id, step->n);
        }
    moe_unite_rank(out, n, step->n);
    return n;
}
