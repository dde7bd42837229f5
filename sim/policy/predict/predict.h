/* predict: what will be needed, and how sure?
 *
 * Contract. When the gate of MoE layer `layer` in `step` is known, the machine first calls
 * observe(step, layer), then, for each layer ahead that somebody asks about, predict(). A
 * predictor publishes for a target group a ranked list of experts (most probable first, no
 * duplicates). It must not look at demand later than it may know: only `oracle` and `given` read
 * the truth ahead, and say so by `needs`. `reach` is how many MoE layers ahead it can see from a
 * known gate (0: any distance within the step); targets are always in the same step. */
#ifndef MOE_POLICY_PREDICT_PREDICT_H
#define MOE_POLICY_PREDICT_PREDICT_H

#include "sim/base/param.h"
#include "sim/policy/demand.h"

enum {
    MOE_PREDICT_TRUTH = 1u << 0,    /* reads demand ahead of time */
    MOE_PREDICT_RECORDED = 1u << 1, /* reads the trace's look-ahead tensors */
    MOE_PREDICT_PROFILE = 1u << 2,  /* reads popularity of the profiling slice */
};

typedef struct moe_forecast {
    uint32_t expert;
    float probability; /* 0..1 */
} moe_forecast;

/* What a predictor may look at; borrowed for its life. */
typedef struct moe_predict_view {
    const moe_demand *demand;
    const uint32_t *popularity; /* [n_layers * n_experts], or NULL */
    uint64_t seed;
    /* What the gate of `layer` says on the hidden state of layer - distance, united over the
     * step's tokens, ranked by count then id; returns how many were written. NULL: not recorded.
     * max_distance is 0 then. */
    size_t (*recorded)(const void *source, uint32_t step, uint32_t layer, uint32_t distance,
                       moe_forecast *out, size_t max);
    const void *source;
    uint32_t max_distance;
} moe_predict_view;

typedef struct moe_predict_ops {
    unsigned needs;
    void *(*open)(const moe_predict_view *view, const void *config);
    void (*close)(void *state);
    uint32_t (*reach)(const void *state);
    void (*observe)(void *state, uint32_t step, uint32_t layer); /* may be NULL */
    size_t (*predict)(void *state, uint32_t step, uint32_t layer, uint32_t target,
                      moe_forecast *out, size_t max);
} moe_predict_ops;

#endif
