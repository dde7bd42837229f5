/* The weights of a checkpoint folder, found by the names of its family and memory-mapped.
 *
 * A folder holds config.json and model.safetensors, or shards with model.safetensors.index.json.
 * Everything is checked before anything computes: every tensor that the family needs is there, in
 * one file, with the shape that the config implies and a type that can be computed with (F32, F16,
 * BF16; MXFP4 blocks and scales for experts). Tensors that nobody asked for are ignored. Messages
 * name the tensor, what was expected and what was found.
 *
 * Matrices are [rows, cols], row-major: y = W x + b, as in torch.nn.Linear. Everything is borrowed
 * until moe_weights_close; shared by threads. */
#ifndef MOE_PROFILER_WEIGHTS_H
#define MOE_PROFILER_WEIGHTS_H

#include "profiler/arch.h"
#include "traces/safetensors.h"

typedef enum moe_weight_type {
    MOE_WEIGHT_F32,
    MOE_WEIGHT_F16,
    MOE_WEIGHT_BF16,
    MOE_WEIGHT_MXFP4, /* blocks of 32 E2M1 values, two in a byte, low nibble first; scales E8M0 */
} moe_weight_type;

/* data NULL: absent. Row r starts `stride` elements after row r - 1 (MXFP4: elements of 4 bits;
 * its scales are `stride` / 32 apart). The elements of a row are `step` elements apart: 1, but for
 * matrices that lie transposed in the file (gpt-oss, not MXFP4). May be unaligned to its element.
 */
typedef struct moe_matrix {
    const void *data;
    const uint8_t *scales; /* MXFP4 */
    moe_weight_type type;
    uint32_t rows, cols;
    uint64_t stride, step;
} moe_matrix;

/* One feed-forward block: down(act(gate x) * up x). A bias is a matrix of one column (mind its
 * stride), absent without. */
typedef struct moe_mlp {
    moe_matrix gate, up, down;
    moe_matrix gate_bias, up_bias, down_bias;
} moe_mlp;

typedef struct moe_attention_weights {
    moe_matrix q, k, v, o; /* MLA: q is q_b when there is a q_a, k and v are absent */
    moe_matrix q_bias, k_bias, v_bias, o_bias;
    moe_matrix q_norm, k_norm;        /* [dim, 1] */
    moe_matrix sinks;                 /* [heads, 1] */
    moe_matrix q_a, q_a_norm;         /* MLA with q_lora */
    moe_matrix kv_a, kv_a_norm, kv_b; /* MLA */
} moe_attention_weights;

typedef struct moe_layer_weights {
    moe_matrix attention_norm, ffn_norm;
    moe_attention_weights attention;
    moe_mlp dense; /* of a dense layer */
    moe_matrix router, router_bias, correction;
    moe_mlp shared;
    moe_matrix shared_gate;
    moe_mlp *experts; /* [experts] */
} moe_layer_weights;

/* A run of bytes of a file. */
typedef struct moe_span {
    const char *path;
    uint64_t offset, bytes;
    const moe_file_stamp *stamp; /* which file it was that was mapped; NULL: any */
} moe_span;
#define MOE_EXPERT_SPANS 9 /* gate, up, down; their biases; their scales */

typedef struct moe_weights {
    const moe_arch *arch;
    moe_matrix embedding, final_norm, unembedding; /* unembedding: the embedding when tied */
    moe_layer_weights *layers;                     /* [layers of the model] */
    uint64_t bytes;                                /* of all tensors used */
} moe_weights;

typedef struct moe_weights_set moe_weights_set; /* owns weights, mappings and arch */

/* The checkpoint in `folder`: its files are mapped, checked against config.json, not read. NULL
 * with messages in diag, or with error. A file that is cut short later raises SIGBUS where it is
 * read (sim/cli/cut_short.h). */
moe_weights_set *moe_weights_open(const char *folder, moe_diag *diag, GError **error);
void moe_weights_close(moe_weights_set *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_weights_set, moe_weights_close)
/* Borrowed from the set. */
const moe_weights *moe_weights_get(const moe_weights_set *set);
/* The files of the checkpoint, whether they are there or not: config.json, tokenizer.json, the
 * index if there is one, and all that hold weights. */
const GPtrArray *moe_weights_paths(const moe_weights_set *set);

/* Where the bytes of an expert lie: out[] in ascending order of file and offset, adjacent ones
 * joined; returns how many. `layer` is a layer of the model. Rows of gate and up that alternate in
 * the file are one span. */
size_t moe_weights_expert_spans(const moe_weights_set *set, uint32_t layer, uint32_t expert,
                                moe_span out[MOE_EXPERT_SPANS]);
/* The matrices of an expert over `buffer`, which holds its spans one behind another. */
void moe_weights_expert_at(const moe_weights_set *set, uint32_t layer, uint32_t expert,
                           const void *buffer, moe_mlp *out);
/* Bytes of all spans of an expert of `layer`: of the largest, should they differ. */
uint64_t moe_weights_expert_bytes(const moe_weights_set *set, uint32_t layer);

#endif
