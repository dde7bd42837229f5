/* What a schedule's tokens ask for, step by step and layer by layer. */
#include "sim/machine/schedule.h"

#include <string.h>

/* Members of groups while they are collected. */
typedef struct members {
    uint16_t *expert;
    uint32_t *tokens;
    uint64_t n;
} members;

static inline void
count_token(uint32_t id, uint32_t *slot, uint64_t first, members *m)
{
    if (slot[id] != MOE_NONE) {
        m->tokens[first + slot[id]]++;
        return;
    }
    slot[id] = (uint32_t)(m->n - first);
    m->expert[m->n] = (uint16_t)id;
    m->tokens[m->n++] = 1;
}

/* What is left of the group's pairs where the tokens of the step meet. */
static void
count_dispatched(const moe_schedule *out, const moe_dispatch *dispatch, moe_transform_group *group,
                 uint32_t *slot, members *m)
{
    const moe_routing *routing = out->routing;
    uint64_t first = m->n;
    group->n = 0;
    for (uint32_t t = 0; t < group->n_tokens; t++)
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, group->rows[t], group->layer, j);
            uint64_t at =
                ((uint64_t)group->rows[t] * routing->n_layers + group->layer) * routing->k;
            if (id >= 0xFFFE)
                break;
            moe_pair pair = {t, (uint16_t)id, (uint16_t)j,
                             routing->weights ? routing->weights[at + j] : 0};
            moe_transform_add_pair(group, pair);
        }
    moe_dispatch_group(dispatch, group);
    for (uint64_t i = 0; i < group->n; i++)
        count_token(group->pairs[i].expert, slot, first, m);
    for (uint64_t i = first; i < m->n; i++)
        slot[m->expert[i]] = MOE_NONE;
}

static void
count_group(const moe_schedule *out, const moe_step *step, uint32_t layer, uint32_t *slot,
            members *m)
{
    const moe_routing *routing = out->routing;
    uint64_t first = m->n;
    for (uint64_t t = step->first; t < step->first + step->n; t++)
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, out->rows[t], layer, j);
            if (id >= 0xFFFE)
                break;
            count_token(id, slot, first, m);
        }
    for (uint64_t i = first; i < m->n; i++)
        slot[m->expert[i]] = MOE_NONE;
}

static uint64_t
most_members(const moe_schedule *out, const moe_dispatch *dispatch)
{
    uint64_t most = 0;
    for (uint32_t s = 0; s < out->n_steps; s++) {
        uint64_t pairs = (uint64_t)out->steps[s].n * out->routing->k;
        most += dispatch ? out->routing->n_experts : MIN(pairs, out->routing->n_experts);
    }
    return most * out->routing->n_layers;
}

/* For each member the group of its object's next use, by one pass backwards. */
static uint32_t *
link_uses(const uint64_t *first, const members *m, uint32_t n_steps, uint32_t n_layers,
          uint32_t n_experts)
{
    uint32_t *next_use = g_new(uint32_t, m->n + 1);
    g_autofree uint32_t *last = g_new(uint32_t, (size_t)n_layers * n_experts);
    memset(last, 0xFF, (size_t)n_layers * n_experts * sizeof *last);
    for (uint32_t s = n_steps; s-- > 0;)
        for (uint32_t l = n_layers; l-- > 0;) {
            uint64_t g = (uint64_t)s * n_layers + l;
            for (uint64_t i = first[g]; i < first[g + 1]; i++) {
                uint32_t object = l * n_experts + m->expert[i];
                next_use[i] = last[object];
                last[object] = (uint32_t)g;
            }
        }
    return next_use;
}

void
moe_schedule_collect(moe_schedule *out, const moe_dispatch *dispatch)
{
    uint32_t n_layers = out->routing->n_layers, n_experts = out->routing->n_experts;
    uint64_t most = most_members(out, dispatch), g = 0;
    members m = {g_new(uint16_t, most + 1), g_new(uint32_t, most + 1), 0};
    uint64_t *first = g_new(uint64_t, (uint64_t)out->n_steps * n_layers + 1);
    uint32_t *step_tokens = g_new(uint32_t, out->n_steps + 1);
    g_autofree uint32_t *slot = g_new(uint32_t, n_experts);
    memset(slot, 0xFF, n_experts * sizeof *slot);
    moe_transform_group group = {0};
    for (uint32_t s = 0; s < out->n_steps; s++) {
        step_tokens[s] = group.n_tokens = out->steps[s].n;
        group.step = s;
        group.rows = out->rows + out->steps[s].first;
        for (group.layer = 0; group.layer < n_layers; group.layer++) {
            first[g++] = m.n;
            if (dispatch)
                count_dispatched(out, dispatch, &group, slot, &m);
            else
                count_group(out, &out->steps[s], group.layer, slot, &m);
        }
    }
    g_free(group.pairs);
    first[g] = m.n;
    out->demand = (moe_demand){
        .n_steps = out->n_steps,
        .n_layers = n_layers,
        .n_experts = n_experts,
        .first = first,
        .expert = m.expert,
        .tokens = m.tokens,
        .next_use = link_uses(first, &m, out->n_steps, n_layers, n_experts),
        .step_tokens = step_tokens,
    };
}
