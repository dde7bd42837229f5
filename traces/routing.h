/* Routing traces: which experts each token went to, layer by layer (DESIGN section 9).
 *
 * Opened from a safetensors file (memory-mapped, validated whole: ids in range, no duplicates in a
 * row, sentinels only trailing) or built in memory by importers and generators. Immutable once
 * open; shared by threads. Rows are tokens in file order; `moe_routing_sequence` gives the rows
 * of a sequence in order of position. Layers of the trace are the MoE layers only. */
#ifndef MOE_TRACES_ROUTING_H
#define MOE_TRACES_ROUTING_H

#include "sim/base/diag.h"

#include <string.h>

#define MOE_ROUTING_MAX_LOOKAHEAD 8
#define MOE_ROUTING_MAX_LAYERS 4096
#define MOE_ROUTING_MAX_EXPERTS 65534u /* ids up to 65533 */
#define MOE_ROUTING_MAX_K 256
#define MOE_ROUTING_MAX_STAGES 64
#define MOE_ROUTING_NO_EXPERT 0xFFFFu /* what moe_routing_id gives for the sentinels */
#define MOE_ROUTING_NOT_RUN 0xFFFEu   /* the layer did not run for this token: all k ids */

typedef enum moe_phase { MOE_PREFILL = 0, MOE_DECODE = 1 } moe_phase;

typedef struct moe_lookahead {
    uint32_t distance; /* D: what layer l's gate says on layer l-D's hidden state */
    uint32_t k;
    const void *ids;      /* [tokens, layers, k], same type as expert_ids */
    const float *weights; /* [tokens, layers, k] or NULL: that gate's weights */
} moe_lookahead;

typedef struct moe_routing {
    const char *path;  /* or a name */
    const char *model; /* as recorded, "" if unknown */
    const char *engine;
    uint64_t n_tokens;
    uint32_t n_layers, n_experts, k;
    uint32_t id_bytes;         /* 1 or 2 */
    const void *ids;           /* [n_tokens, n_layers, k]; 0xFF / 0xFFFF: none (trailing);
                                  0xFE / 0xFFFE: layer not run for this token (all k) */
    const uint32_t *layer_ids; /* [n_layers]: layer numbers in the model */
    const uint32_t *sequence, *position, *step; /* [n_tokens]; step may be NULL */
    const uint8_t *phase;                       /* [n_tokens] */
    const float *weights;                       /* [n_tokens, n_layers, k] or NULL */
    uint32_t n_sequences;
    const uint64_t *sequence_first; /* [n_sequences + 1]: into rows */
    const uint32_t *rows;           /* rows of each sequence by position; NULL: identity */
    const uint32_t *sequence_ids;   /* [n_sequences]: as recorded */
    uint64_t n_prefill;             /* tokens of phase prefill */
    uint32_t n_lookahead;
    moe_lookahead lookahead[MOE_ROUTING_MAX_LOOKAHEAD];
    /* optional, NULL when absent */
    const uint16_t *logits;   /* bits of F16 (moe_routing_f16), [n_tokens, n_layers, n_experts];
                                 before softmax or sigmoid; -inf: never chosen */
    const uint8_t *modality;  /* [n_tokens]: below n_modalities */
    const uint16_t *domain;   /* [n_tokens]: below n_domains */
    const uint32_t *token_id; /* [n_tokens]: in the tokenizer's vocabulary */
    const uint8_t *absent; /* [n_layers, n_experts]: 1 where the model has no such expert any more
                              (metadata `absent_experts`); no token is routed to it */
    uint32_t n_domains, n_modalities; /* names, or the largest + 1 without names; 0: no tensor */
    const char *const *domain_names, *const *modality_names; /* NULL: the file names none */
    /* of the capture, not of tokens; NULL when absent */
    const float *times;      /* time.stages, [n_time_steps, n_time_layers, n_stages]: nanoseconds;
                                by step, by layer of the model (layer_ids[l] is layer l's) */
    const float *similarity; /* [n_layers, n_similarity]: the mean cosine, over tokens, of what
                                layers l - d and l get to see, at d - 1; NAN for l < d */
    uint32_t n_time_steps, n_time_layers, n_stages, n_similarity;
    const char *const *stage_names;
} moe_routing;

typedef struct moe_routing_file moe_routing_file; /* owns a routing and its mapping */

/* Metadata: experts that are gone, pruned or merged into others: a JSON list of one list of ids per
 * layer, ascending: "[[0,3],[],[1]]". */
#define MOE_ROUTING_ABSENT "absent_experts"

/* Opens a safetensors trace, or the index of a sharded one (traces/shards.h). Unreadable: `error`.
 * Wrong content: messages in `diag` such as "x.safetensors: tensor expert_ids, token 1042, layer 3:
 * …". */
moe_routing_file *moe_routing_open(const char *path, moe_diag *diag, GError **error);
void moe_routing_close(moe_routing_file *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_routing_file, moe_routing_close)
/* The same from bytes in memory, which must outlive the result; `name` stands for the path. */
moe_routing_file *moe_routing_open_memory(const char *name, const void *bytes, size_t n_bytes,
                                          moe_diag *diag);
const moe_routing *moe_routing_get(const moe_routing_file *file);
/* The value of a metadata key ("licence", "hardware", …), NULL when absent. */
const char *moe_routing_meta(const moe_routing_file *file, const char *key);

/* The number of valid ids of a row at a layer, copied to out[k] as uint16. */
uint32_t moe_routing_row(const moe_routing *routing, uint64_t row, uint32_t layer, uint16_t *out);

static inline uint32_t
moe_routing_id(const moe_routing *routing, uint64_t row, uint32_t layer, uint32_t j)
{
    uint64_t at = (row * routing->n_layers + layer) * routing->k + j;
    if (routing->id_bytes == 1) {
        uint8_t id = ((const uint8_t *)routing->ids)[at];
        return id >= 0xFE ? 0xFF00u + id : id; /* 0xFFFF / 0xFFFE, as in 16-bit files */
    }
    return ((const uint16_t *)routing->ids)[at];
}

/* The value of an F16's bits, exactly. */
static inline float
moe_routing_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t mantissa = half & 1023, bits;
    float value;
    if (exponent == 0) { /* zero and subnormal: mantissa x 2^-24 */
        value = (float)mantissa * 0x1.0p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Row of the i-th token of sequence s (index, not recorded id). */
static inline uint64_t
moe_routing_token(const moe_routing *routing, uint32_t s, uint64_t i)
{
    uint64_t at = routing->sequence_first[s] + i;
    return routing->rows ? routing->rows[at] : at;
}

/* Copies the ids that look-ahead `i` predicts for a row at a layer to out[lookahead[i].k], best
 * first, and returns how many there are (0 for the first `distance` layers). */
uint32_t moe_routing_lookahead_row(const moe_routing *routing, uint32_t i, uint64_t row,
                                   uint32_t layer, uint16_t *out);
/* The share of routed (token, layer, expert) triples that look-ahead `i` names, over the layers
 * it predicts at all; 0 when there are none. */
double moe_routing_recall(const moe_routing *routing, uint32_t i);

/* In-memory building, for importers and generators: append tokens in any order, then finish.
 * What is appended must be as in a file (ids below n_experts, none twice in a row, sentinels
 * trailing, no (sequence, position) twice): who builds from a user's input and has not made sure
 * asks moe_routing_builder_check first; write and finish assert it. Running out of memory or disk
 * is remembered and reported by failed, check, write and finish. Nothing is added after a check. */
typedef struct moe_routing_builder moe_routing_builder;
moe_routing_builder *moe_routing_builder_new(uint32_t n_layers, uint32_t n_experts, uint32_t k);
/* Layer numbers in the model, ascending; 0 .. n_layers - 1 unless said. */
void moe_routing_builder_layers(moe_routing_builder *builder, const uint32_t *layer_ids);
/* Declares tensor lookahead.`distance` of `k` ids, before the first token; returns its index. */
uint32_t moe_routing_builder_lookahead(moe_routing_builder *builder, uint32_t distance, uint32_t k);
/* ids[n_layers * k] with 0xFFFF for none; weights may be NULL (but then for all tokens). */
void moe_routing_builder_add(moe_routing_builder *builder, uint32_t sequence, uint32_t position,
                             moe_phase phase, const uint16_t *ids, const float *weights);
/* For the token added last: ids[n_layers * k] of look-ahead `index`. Tokens without have none. */
void moe_routing_builder_predicted(moe_routing_builder *builder, uint32_t index,
                                   const uint16_t *ids);
/* Look-ahead `index` has weights too, before the first token; then for the token added last:
 * weights[n_layers * k], 0 where there is no id. Tokens without have zeros. */
void moe_routing_builder_lookahead_weights(moe_routing_builder *builder, uint32_t index);
void moe_routing_builder_predicted_weights(moe_routing_builder *builder, uint32_t index,
                                           const float *weights);
/* For the token added last, each for all tokens or for none: the engine iteration it ran in, its
 * domain, modality and vocabulary id, and its router logits [n_layers * n_experts] (kept as F16,
 * nearest even; finite values beyond its range become the largest). */
void moe_routing_builder_step(moe_routing_builder *builder, uint32_t step);
void moe_routing_builder_domain(moe_routing_builder *builder, uint16_t domain);
void moe_routing_builder_modality(moe_routing_builder *builder, uint8_t modality);
void moe_routing_builder_token_id(moe_routing_builder *builder, uint32_t token_id);
void moe_routing_builder_logits(moe_routing_builder *builder, const float *logits);
/* Stage times: declared once, then ns[n_layers * n] of step 0, 1, …; wants steps of the tokens.
 * n_layers: of the model, beyond the last of the trace's layer numbers. */
void moe_routing_builder_stages(moe_routing_builder *builder, uint32_t n_layers,
                                const char *const *names, uint32_t n);
void moe_routing_builder_times(moe_routing_builder *builder, const float *ns);
/* values[n_layers * n_distances], as moe_routing.similarity; given again they are replaced. */
void moe_routing_builder_similarity(moe_routing_builder *builder, uint32_t n_distances,
                                    const float *values);
/* Changes of shape, for who learns it while reading; without logits. `experts`: at least the
 * largest id + 1; `widen`: a larger k, earlier rows are filled up with "no expert" and weight 0.
 * Then, when nothing is added any more, `keep_layers`: only layers with keep[i], with their
 * numbers; a similarity is dropped. */
void moe_routing_builder_experts(moe_routing_builder *builder, uint32_t n_experts);
void moe_routing_builder_widen(moe_routing_builder *builder, uint32_t k);
void moe_routing_builder_keep_layers(moe_routing_builder *builder, const bool *keep);
/* Free-form metadata ("model", "engine", "licence", …); a key written again is replaced.
 * "domains" and "modalities" are JSON lists of texts that name domain 0, 1, … and modality 0, 1, ….
 * "order" says how the ids of a row are ordered: "weight" (falling gate weight) or "file" (unknown,
 * the default). The format's own keys (format, version, layer_ids, experts, top_k) are the
 * builder's. A value of NULL takes the key away. */
void moe_routing_builder_meta(moe_routing_builder *builder, const char *key, const char *value);
/* Columns beyond `limit_bytes` (0: 64 MiB) go to unlinked temporary files in `folder` (NULL: the
 * system's folder for them); before the first token. */
void moe_routing_builder_spill(moe_routing_builder *builder, const char *folder,
                               uint64_t limit_bytes);
/* Whether an append failed (no memory, no temporary file, disk full), with the reason in `error`
 * (may be NULL); `name` stands for the builder. */
bool moe_routing_builder_failed(const moe_routing_builder *builder, const char *name,
                                GError **error);
/* Whether it holds a valid routing; if not, messages as on opening a file called `name`. */
bool moe_routing_builder_check(const moe_routing_builder *builder, const char *name,
                               moe_diag *diag);
/* Writes the safetensors file (to a temporary name, then renamed); frees the builder. */
bool moe_routing_builder_write(moe_routing_builder *builder, const char *path, GError **error);
/* Writes what is there now, as moe_routing_builder_write, and leaves the builder to be added to. */
bool moe_routing_builder_snapshot(moe_routing_builder *builder, const char *path, GError **error);
/* The same in shards, if there are more than `shard_bytes` of data: beside `path`, with an index
 * (traces/shards.h). *n_shards: how many, 0: the file `path` alone. */
bool moe_routing_builder_write_shards(moe_routing_builder *builder, const char *path,
                                      uint64_t shard_bytes, uint32_t *n_shards, GError **error);
/* Turns it into an open trace named `name`; frees the builder. NULL: it ran out of memory or disk.
 */
moe_routing_file *moe_routing_builder_finish(moe_routing_builder *builder, const char *name);
void moe_routing_builder_free(moe_routing_builder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_routing_builder, moe_routing_builder_free)

/* `trace info` text: shapes, phases, sequences, metadata. */
void moe_routing_describe(const moe_routing_file *file, GString *out);

#endif
