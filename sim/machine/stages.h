/* Stages of a layer whose cost depends on the number of tokens alone: its products, each with its
 * own shape, and the small kernels between them, as an engine launches them.
 *
 *     projection  norm; q, k and v in one product, the norms of q and k where there are such, rope;
 *                 the output's product; the norm of the block behind it. MLA: q and the latents
 *                 down; their norms, q up; keys and values absorbed, head by head; output
 *     dense       gate and up, the gate's function, down
 *     router      the gate's product, softmax and top-k
 *     shared      as dense
 *     head        norm, unembedding, sampling; the embedding of the step's tokens
 *
 * A norm reads and writes the residual stream beside its own rows. */
#ifndef MOE_MACHINE_STAGES_H
#define MOE_MACHINE_STAGES_H

#include "hw/cost.h"
#include "models/model.h"

typedef struct moe_stages {
    const moe_model *model;
    const moe_hardware *hw;
    const moe_device *device;
    double weight_bits, activation_bits;
    const char *dtype; /* of the kernels; NULL: by these widths */
} moe_stages;

moe_cost moe_stage_projection(const moe_stages *stages, const moe_attention *attention,
                              double rows);
/* Of an attention to an encoder's states: its keys and values belong to the encoder. */
moe_cost moe_stage_cross(const moe_stages *stages, const moe_attention *attention, double rows);
moe_cost moe_stage_dense(const moe_stages *stages, const moe_ffn *ffn, double rows);
moe_cost moe_stage_router(const moe_stages *stages, const moe_ffn *ffn, double rows);
moe_cost moe_stage_shared(const moe_stages *stages, const moe_ffn *ffn, double rows);
/* `rows` of logits, `tokens` that are embedded. */
moe_cost moe_stage_head(const moe_stages *stages, double rows, double tokens);

#endif
