/* wants: what is to be loaded ahead of demand, by a prefetch policy that asks a predictor.
 *
 * Shared by everyone who moves experts, simulated or real: the list is made anew whenever a gate
 * is known, and drawn from until the next one; the outlook says which group the forecasts behind
 * the list need an object for, so that no prefetch evicts what is needed as early. */
#ifndef MOE_POLICY_WANTS_H
#define MOE_POLICY_WANTS_H

#include "sim/policy/predict/predict.h"
#include "sim/policy/prefetch/prefetch.h"

typedef struct moe_wants moe_wants;

/* The view is copied, what it points to is borrowed; its demand may grow, but must hold the group
 * whose gate is known. */
moe_wants *moe_wants_new(const moe_predict_view *view, const moe_choice *predict,
                         const moe_choice *prefetch);
void moe_wants_free(moe_wants *wants);

/* How many layers on a predictor that asks recorded gates looks. */
uint32_t moe_wants_reach(const moe_choice *predict);
/* Whether the list depends on times, which are then to be given to `ask`. */
bool moe_wants_timed(const moe_wants *wants);
/* The gate of `layer` in `step` is known. Nothing is wanted past the last layer of a step. Times
 * as in moe_prefetch_query. */
void moe_wants_ask(moe_wants *wants, uint32_t step, uint32_t layer, int64_t window_ps,
                   int64_t load_ps);
/* The whole list of the last gate, drawn or not. */
const moe_want *moe_wants_list(const moe_wants *wants, size_t *n);
/* The next wanted object, without drawing it; false: none is left. */
bool moe_wants_peek(const moe_wants *wants, moe_want *want);
void moe_wants_draw(moe_wants *wants);
/* Nothing is wanted any more: the step is over. */
void moe_wants_clear(moe_wants *wants);
/* By object: the group of its forecast use, MOE_NONE without. */
const uint32_t *moe_wants_outlook(const moe_wants *wants);

#endif
