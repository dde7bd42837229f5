#include "sim/policy/wants.h"

#include "sim/policy/memory.h"

#include <string.h>

struct moe_wants {
    moe_predict_view view;
    const moe_predict_ops *predict;
    const moe_prefetch_ops *prefetch;
    void *predict_state, *prefetch_state;
    uint32_t step, layer; /* of the gate known last */
    moe_want *list;
    size_t n, next;
    uint32_t *outlook, *outlooked; /* objects with an outlook: n_outlooked */
    uint32_t n_outlooked;
};

moe_wants *
moe_wants_new(const moe_predict_view *view, const moe_choice *predict, const moe_choice *prefetch)
{
    size_t n_objects = (size_t)view->demand->n_layers * view->demand->n_experts;
    moe_wants *wants = moe_policy_alloc(1, sizeof *wants);
    wants->view = *view;
    wants->predict = predict->variant->ops;
    wants->prefetch = prefetch->variant->ops;
    wants->predict_state = wants->predict->open(&wants->view, predict->config);
    wants->prefetch_state = wants->prefetch->open ? wants->prefetch->open(prefetch->config)
                                                  : (void *)(uintptr_t)prefetch->config;
    wants->list = moe_policy_alloc(n_objects, sizeof *wants->list);
    wants->outlook = moe_policy_alloc(n_objects, sizeof *wants->outlook);
    wants->outlooked = moe_policy_alloc(n_objects, sizeof *wants->outlooked);
    memset(wants->outlook, 0xFF, n_objects * sizeof *wants->outlook);
    return wants;
}

void
moe_wants_free(moe_wants *wants)
{
    if (!wants)
        return;
    wants->predict->close(wants->predict_state);
    if (wants->prefetch->close)
        wants->prefetch->close(wants->prefetch_state);
    free(wants->list);
    free(wants->outlook);
    free(wants->outlooked);
    free(wants);
}

uint32_t
moe_wants_reach(const moe_choice *predict)
{
    const moe_predict_ops *ops = predict->variant->ops;
    const moe_predict_view nothing = {0};
    void *state = ops->open(&nothing, predict->config);
    uint32_t reach = ops->reach(state);
    ops->close(state);
    return reach;
}

bool
moe_wants_timed(const moe_wants *wants)
{
    return wants->prefetch->timed;
}

/* The prefetch policy's window on the predictor. */
static size_t
wants_forecast(void *source, uint32_t target, moe_forecast *out, size_t max)
{
    moe_wants *wants = source;
    const moe_demand *demand = wants->view.demand;
    size_t n =
        wants->predict->predict(wants->predict_state, wants->step, wants->layer, target, out, max);
    for (size_t i = 0; i < n; i++) {
        uint32_t object = target * demand->n_experts + out[i].expert;
        if (wants->outlook[object] == MOE_NONE)
            wants->outlooked[wants->n_outlooked++] = object;
        wants->outlook[object] = moe_demand_group(demand, wants->step, target);
    }
    return n;
}

static void
wants_forget(moe_wants *wants)
{
    for (uint32_t i = 0; i < wants->n_outlooked; i++)
        wants->outlook[wants->outlooked[i]] = MOE_NONE;
    wants->n_outlooked = 0;
}

void
moe_wants_ask(moe_wants *wants, uint32_t step, uint32_t layer, int64_t window_ps, int64_t load_ps)
{
    const moe_demand *demand = wants->view.demand;
    bool predicts = wants->prefetch->predicts;
    wants->step = step;
    wants->layer = layer;
    if (wants->predict->observe && predicts)
        wants->predict->observe(wants->predict_state, step, layer);
    wants->n = wants->next = 0;
    wants_forget(wants);
    if (layer + 1 >= demand->n_layers)
        return;
    uint32_t ahead = demand->n_layers - 1 - layer;
    uint32_t reach = predicts ? wants->predict->reach(wants->predict_state) : 0;
    moe_prefetch_query query = {
        .step = step,
        .layer = layer,
        .n_layers = demand->n_layers,
        .n_experts = demand->n_experts,
        .reach = reach && reach < ahead ? reach : ahead,
        .demanded = moe_demand_size(demand, moe_demand_group(demand, step, layer)),
        .window_ps = window_ps,
        .load_ps = load_ps,
        .forecast = wants_forecast,
        .source = wants,
    };
    wants->n = wants->prefetch->want(wants->prefetch_state, &query, wants->list,
                                     (size_t)demand->n_layers * demand->n_experts);
}

const moe_want *
moe_wants_list(const moe_wants *wants, size_t *n)
{
    *n = wants->n;
    return wants->list;
}

bool
moe_wants_peek(const moe_wants *wants, moe_want *want)
{
    if (wants->next == wants->n)
        return false;
    *want = wants->list[wants->next];
    return true;
}

void
moe_wants_draw(moe_wants *wants)
{
    moe_dassert(wants->next < wants->n, "%zu wants are drawn", wants->n);
    wants->next++;
}

void
moe_wants_clear(moe_wants *wants)
{
    wants->n = wants->next = 0;
}

const uint32_t *
moe_wants_outlook(const moe_wants *wants)
{
    return wants->outlook;
}
