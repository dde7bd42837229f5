/* Which tokens run together, and what they ask for: a workload laid over a routing trace.
 *
 * A schedule is a function of (trace, workload keys, seed) alone, never of time or policy, so all
 * runs of a sweep that agree on those share one. Slots of the batch are filled in order; when
 * requests finish, the next ones take their slots at the following step. Newly admitted requests
 * with a prompt run one common prefill step first; decode steps take all requests in flight.
 * Batching `as-captured` takes the trace's own steps instead: requests are its sequences, and a
 * step may hold prompt tokens beside decoded ones.
 *
 * Requests take sequences in the order of a permutation keyed by the seed (in file order when both
 * lengths are `recorded`); past its end a request goes on in the next sequence. When there are
 * more requests than sequences, later rounds start at a block-aligned offset. reused counts tokens
 * whose trace row had been used before. */
#ifndef MOE_MACHINE_SCHEDULE_H
#define MOE_MACHINE_SCHEDULE_H

#include "sim/machine/config.h"
#include "sim/policy/demand.h"
#include "traces/routing.h"
#include "traces/transform/transform.h"

/* Expert accesses of one run: about ten bytes each are held. */
#define MOE_MOST_ACCESSES 1e9

typedef struct moe_request {
    uint32_t sequence;              /* index in the trace it starts in */
    uint32_t prompt, output;        /* tokens processed in prefill, in decode */
    uint32_t encoder;               /* tokens of its encoder pass (encoder-decoder models) */
    uint32_t context;               /* tokens in its KV cache when it ends */
    uint32_t admitted, first, last; /* steps: admission, first output token, last token */
} moe_request;

/* A request without a single token takes no step: its steps mean nothing. */
static inline bool
moe_request_runs(const moe_request *request)
{
    return request->prompt > 0 || request->output > 0 || request->encoder > 0;
}

typedef struct moe_step {
    uint64_t first;    /* its tokens: first .. first + n */
    uint32_t n;        /* 0: an encoder pass only */
    uint32_t admitted; /* requests admitted at its start */
    uint32_t decoded;  /* tokens of it that are decoded: all in a decode step */
    uint8_t phase;     /* prefill with a single prompt token in it */
} moe_step;

typedef struct moe_schedule {
    uint32_t n_requests, n_steps, n_prefill_steps;
    uint32_t batch; /* most requests in flight */
    moe_request *requests;
    moe_step *steps;
    uint64_t n_tokens;
    uint32_t *rows;    /* per token: row of the trace */
    uint32_t *context; /* per token: tokens it attends to, itself included */
    uint32_t *request; /* per token */
    uint64_t reused;
    uint64_t peak_context; /* most KV tokens reserved at once (requests in flight, full length) */
    uint64_t peak_encoder; /* the same of encoder tokens, for cross attention */
    uint32_t max_tokens;   /* of a step */
    uint32_t measured;     /* first step after warm-up */
    moe_demand demand;
    uint32_t *popularity; /* [n_layers * n_experts]: tokens in the profiling slice */
    const moe_routing *routing;
    const double *sizes; /* per object: see moe_transform_apply; NULL: all 1. The caller's to set */
} moe_schedule;

/* `dispatch` (NULL: nothing) is asked what becomes of the pairs of each step and layer.
 * `encoder`: the model has an encoder, which takes the prompt. Problems (a prompt asked of a trace
 * without prefill, …) go to diag at `at`; NULL then. */
moe_schedule *moe_schedule_new(const moe_routing *routing, const moe_config *config,
                               const moe_dispatch *dispatch, bool encoder, moe_loc at,
                               moe_diag *diag);
/* The schedule of the trace's own steps, nothing changed; popularity is that of the share `profile`
 * of its sequences. */
moe_schedule *moe_schedule_captured(const moe_routing *routing, double profile, moe_loc at,
                                    moe_diag *diag);
/* Lays the trace's own steps out: requests, steps and tokens of `out`; see captured.c. */
bool moe_schedule_take_steps(moe_schedule *out, int64_t warmup, moe_loc at, moe_diag *diag);
/* Fills the demand of a schedule that has its steps. */
void moe_schedule_collect(moe_schedule *schedule, const moe_dispatch *dispatch);
void moe_schedule_free(moe_schedule *schedule);

/* "prefill", "decode", or "mixed". */
static inline const char *
moe_step_kind(const moe_step *step)
{
    if (step->phase == MOE_DECODE)
        return "decode";
    return step->decoded ? "mixed" : "prefill";
}

/* Whether token t, of the given step, is a decoded one. */
static inline bool
moe_schedule_decodes(const moe_schedule *schedule, const moe_step *step, uint64_t t)
{
    if (step->decoded == 0 || step->decoded == step->n)
        return step->phase == MOE_DECODE;
    return schedule->routing->phase[schedule->rows[t]] == MOE_DECODE;
}

/* How many layers ahead the trace's look-ahead reaches; 0: it has none. */
uint32_t moe_schedule_distance(const moe_routing *routing);
/* The trace's look-ahead as predictors see it: see moe_predict_view.recorded; source is the
 * schedule. */
struct moe_forecast;
size_t moe_schedule_recorded(const void *source, uint32_t step, uint32_t layer, uint32_t distance,
                             struct moe_forecast *out, size_t max);

/* Fewest loads that any policy with `slots` per pool can do in the measured steps: greedy over the
 * intervals between uses, groups at once, bypass allowed (exact for equal sizes from an empty
 * cache). Where counting starts with unknown
 * residents (after warm-up; with decode_only, after each prefill step), each slot may have saved
 * one load. */
uint64_t moe_schedule_least_loads(const moe_schedule *schedule, bool per_layer, uint32_t slots,
                                  bool decode_only);

#endif
