/* Batches of tokens that could run together, made from a trace that does not say which did.
 *
 * decode:  tokens of different sequences. Sequences are taken in waves of MOE_BATCH_WAVE, in the
 *          order of the pick; the i-th decode tokens of a wave's sequences, of those that have one,
 *          are cut into batches.
 * prefill: consecutive prefill tokens of one sequence, from its first one on.
 * A remainder that does not fill a batch is left out. */
#ifndef MOE_TRACES_STATS_BATCH_H
#define MOE_TRACES_STATS_BATCH_H

#include "traces/stats/pick.h"

#define MOE_BATCH_WAVE 1024

/* `n` rows in an order in which each run of B consecutive ones, from the first on, is a batch. */
typedef void moe_batch_user(void *state, const uint64_t *rows, uint32_t n);

/* Calls `user` for each lot of rows of the phase; n is at most MOE_BATCH_WAVE. */
void moe_batches(const moe_pick *pick, moe_phase phase, moe_batch_user *user, void *state,
                 moe_progress *progress, void *context);
/* Calls `user` with all rows of each recorded step (routing->step), in order; within a step rows
 * stand in the order of the pick. */
void moe_batch_steps(const moe_pick *pick, moe_batch_user *user, void *state);

#endif
