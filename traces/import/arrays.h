/* Import of files that hold arrays: npy, npz, safetensors, with ids or router logits. What an array
 * is follows from its type and rank:
 *   whole, rank 3: ids [tokens, layers, k] or [layers, tokens, k], a sequence each
 *   whole, rank 2: several: ids [tokens, k] of a layer each; one alone: ids [tokens, layers], top-1
 *   real, rank 3:  logits [tokens, layers, experts] or [layers, tokens, experts]; beside ids of the
 *                  same shape: their gate weights
 *   real, rank 2:  router logits [tokens, experts] of a layer each
 *   by name, whole: sequence, position, phase, step, token_id (or input_ids), domain, modality,
 *                  attention_mask: one number per token; prompt_lengths: one per sequence;
 *                  layer_ids: one per layer
 * Layers that are arrays of their own are ordered by the number in their names, else as they come.
 * What is none of these is ignored, and said. */
#ifndef MOE_TRACES_IMPORT_ARRAYS_H
#define MOE_TRACES_IMPORT_ARRAYS_H

#include "traces/import/import.h"

/* How several sequences share the rows of an array, when --sequences says how many. */
typedef enum moe_row_order {
    MOE_ROWS_BATCH_FIRST,    /* [sequences * length]: one after the other */
    MOE_ROWS_SEQUENCE_FIRST, /* [length * sequences]: in turns */
} moe_row_order;

/* NULL after messages or with the job's error set. `engine` (metadata) may be NULL. */
moe_routing_builder *moe_arrays_import(moe_import_job *job, const char *engine,
                                       moe_row_order order);
/* Whether bytes (at least 9) begin as such a file does; whether the first input does, and is
 * safetensors (may be NULL). */
bool moe_arrays_head(const char *head, size_t n);
bool moe_arrays_are(const moe_import_job *job, bool *safetensors);

#endif
