/* Known traps of captured routing, recognised in one place for all importers.
 *
 * An importer hands each token as it stands in the file to moe_traps_add and takes the builder from
 * moe_traps_finish. In between: what is no routing is dropped and counted (tokens that are nowhere
 * routed, rows of zeros, warm-up tokens in front), what contradicts itself or the model is refused
 * with its place, and what was noticed goes to the job's report:
 *
 *   leading dummy rows     experts 0 .. k-1 in every layer, in front of everything: warm-up,
 * dropped rows of zeros          k > 1 times expert 0 cannot be routing: all layers: padding,
 * dropped; some tokens of a layer: layer not run; all tokens of a layer: a dense layer, dropped, if
 * the model says so or if it leads; else a failed capture, refused no routing             -1 in all
 * layers (cached prefix): dropped duplicated layers      two layers equal in all tokens: the later
 * is dropped an expert twice        refused; unused slots must say so by a sentinel beyond the
 * model       layers, experts, top-k, layer numbers that --model does not have: refused weights
 * NaN, infinity: refused; negative, or sums that disagree: reported order                  ids by
 * falling weight or not: metadata "order" sequence-first rows    neighbours share less than tokens
 * S apart: a warning with S
 *
 * Tokens are counted as they come, dropped ones included, from 0, over all inputs. */
#ifndef MOE_TRACES_IMPORT_TRAPS_H
#define MOE_TRACES_IMPORT_TRAPS_H

#include "traces/import/import.h"

#define MOE_TRAPS_NONE (-1)    /* an unused slot; in all slots: no expert */
#define MOE_TRAPS_NOT_RUN (-2) /* in all slots: the layer did not run for this token */

typedef struct moe_traps moe_traps;

typedef struct moe_traps_shape {
    uint32_t n_layers, k;
    uint32_t n_experts;        /* 0: --experts, the model's, or the largest id + 1 */
    const uint32_t *layer_ids; /* [n_layers], ascending: as the file numbers them; NULL: it does
                                  not, and the model's numbers are taken where they fit */
    bool sentinels;            /* the format can say that a token has no expert at a layer: tokens
                                  without any are kept */
} moe_traps_shape;

/* NULL after a message when the shape is none, or not the model's. The job must outlive it. */
moe_traps *moe_traps_new(const moe_import_job *job, const moe_traps_shape *shape);
void moe_traps_free(moe_traps *traps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_traps, moe_traps_free)

/* Which input comes next (messages name it); from its second on, false after a message when its
 * shape is another: one import is one model. */
bool moe_traps_input(moe_traps *traps, size_t input, uint32_t n_layers, uint32_t k);
/* Rows of up to `k` experts follow. */
void moe_traps_widen(moe_traps *traps, uint32_t k);
/* The line of the next token, for messages ("x.jsonl:12: …"); without, its number is named. */
void moe_traps_line(moe_traps *traps, uint64_t line);

/* Which part of the input the next token is of ("member ids", borrowed until the next call), and
 * its number there, for messages; before the line if both are said. NULL: none. */
void moe_traps_part(moe_traps *traps, const char *part, uint64_t token);

/* One token: ids[n_layers * k], weights likewise or NULL (for all tokens or for none). False after
 * a message when it is no use to go on. */
bool moe_traps_add(moe_traps *traps, uint32_t sequence, uint32_t position, moe_phase phase,
                   const int32_t *ids, const float *weights);
/* The builder, to give more about the token added last (step, domain, logits, …) and metadata;
 * NULL when that token was dropped. Logits want a number of experts that is known beforehand. */
moe_routing_builder *moe_traps_kept(moe_traps *traps);
/* The builder with what was kept, yours; frees the traps. NULL after messages. */
moe_routing_builder *moe_traps_finish(moe_traps *traps);

#endif
