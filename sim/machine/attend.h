/* What attention costs in a step of a schedule, without its projections: how many keys its tokens
 * reach, and the kernels that read and score them.
 *
 * Prompt tokens of a step attend first, then decoded ones. A request's prompt tokens read each key
 * that any of them sees once; a decoded token reads its own.
 *
 * Sparse: a token scores as many keys as its indexer chooses, and a decoded one reads no others. A
 * prompt's tokens each choose differently, and are taken to read all keys together; they attend in
 * the latent (MLA), as decoded ones do. The indexer itself scores all keys, in 8 bits.
 *
 * Linear: each request's state, and the last inputs of its convolution, are read and written once a
 * step, however long the context is (moe_attention_linear in hw/cost_attention.h); queries, keys,
 * values and outputs of each token pass in 16 bits. A library without a kernel for states has none
 * that works alike: the device's own numbers are taken. */
#ifndef MOE_MACHINE_ATTEND_H
#define MOE_MACHINE_ATTEND_H

#include "sim/machine/lower.h"

#define MOE_INDEX_BITS 8 /* of an indexer's keys, and of what it computes with */

typedef struct moe_attend moe_attend;

/* Borrows all of it. */
moe_attend *moe_attend_new(const moe_hardware *hw, const moe_device *device,
                           const moe_schedule *schedule, moe_precision bits);
void moe_attend_free(moe_attend *attend);

/* Of the step's tokens to what is before them. */
moe_cost moe_attend_self(moe_attend *attend, const moe_step *step, const moe_attention *attention);
/* The scores of its indexer, which it must have. */
moe_cost moe_attend_scores(moe_attend *attend, const moe_step *step,
                           const moe_attention *attention);
/* To the encoder's states. */
moe_cost moe_attend_cross(const moe_attend *attend, const moe_step *step,
                          const moe_attention *attention);
/* FLOPs per second of the fastest arithmetic that any of it is given. */
double moe_attend_peak(const moe_attend *attend, const moe_attention *attention);
/* Tokens whose logits are needed: one per request. */
uint32_t moe_attend_rows(moe_attend *attend, const moe_step *step);

#endif
