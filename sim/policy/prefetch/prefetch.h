/* prefetch: what do we want next?
 *
 * Contract. At each trigger (the gate of a layer is known) the machine asks for the want-list:
 * objects in the order in which they should be loaded. It skips those that are resident or in
 * flight, and draws from the list whenever the path is idle; slot and victim are chosen then. The
 * list replaces the previous one. A policy whose list depends on times sets `timed`. */
#ifndef MOE_POLICY_PREFETCH_PREFETCH_H
#define MOE_POLICY_PREFETCH_PREFETCH_H

#include "sim/base/param.h"
#include "sim/policy/demand.h"
#include "sim/policy/predict/predict.h"

typedef struct moe_want {
    uint32_t layer; /* MoE layer */
    uint32_t expert;
} moe_want;

/* What is asked, borrowed for the call. */
typedef struct moe_prefetch_query {
    uint32_t step, layer; /* whose gate is now known */
    uint32_t n_layers, n_experts;
    uint32_t reach;    /* layers ahead that can be predicted, >= 1 */
    uint32_t demanded; /* distinct experts of the group just known */
    int64_t window_ps; /* estimated time from now until the next MoE layer's gate is known */
    int64_t load_ps;   /* one expert's load time with the path to itself */
    /* Ranked forecast for `target` > layer; returns how many were written. */
    size_t (*forecast)(void *source, uint32_t target, moe_forecast *out, size_t max);
    void *source;
} moe_prefetch_query;

typedef struct moe_prefetch_ops {
    bool timed;
    bool predicts;                     /* asks for forecasts: needs a predictor */
    void *(*open)(const void *config); /* may be NULL: state is the config */
    void (*close)(void *state);        /* may be NULL */
    size_t (*want)(void *state, const moe_prefetch_query *query, moe_want *out, size_t max);
} moe_prefetch_ops;

#endif
