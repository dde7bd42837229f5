/* Inside profiler/weights: what the tensors of a checkpoint are called, family by family, and how
 * they hold the matrices of weights.h. The table (weights_names.c) is the whole truth about it. */
#ifndef MOE_PROFILER_WEIGHTS_NAMES_H
#define MOE_PROFILER_WEIGHTS_NAMES_H

#include "profiler/weights.h"

/* How a tensor holds a matrix [rows, cols], or those of all experts [E, rows, cols]. */
typedef enum weights_form {
    WEIGHTS_ONE,          /* [rows, cols]; [rows] when cols is WEIGHTS_1 */
    WEIGHTS_EACH,         /* [E, rows, cols], or [E, rows]: one for each expert */
    WEIGHTS_UPPER_HALF,   /* [E, 2 rows, cols]: the first rows of two matrices */
    WEIGHTS_LOWER_HALF,   /*                    the last rows */
    WEIGHTS_EVEN_ROWS,    /* [E, 2 rows, cols], or [E, 2 rows]: rows 0, 2, 4 … of two matrices */
    WEIGHTS_ODD_ROWS,     /*                    rows 1, 3, 5 … */
    WEIGHTS_TRANSPOSED,   /* [E, cols, rows] */
    WEIGHTS_EVEN_COLS,    /* [E, cols, 2 rows], transposed: rows 0, 2, 4 … of two matrices */
    WEIGHTS_ODD_COLS,     /*                    rows 1, 3, 5 … */
    WEIGHTS_MX_EACH,      /* NAME_blocks [E, rows, cols/32, 16], NAME_scales [E, rows, cols/32] */
    WEIGHTS_MX_EVEN_ROWS, /* the same with [E, 2 rows, …] */
    WEIGHTS_MX_ODD_ROWS,
} weights_form;

/* Sizes that come from the config. 0: the layer has no such matrix, and no tensor is asked for. */
typedef enum weights_size {
    WEIGHTS_0,
    WEIGHTS_1,
    WEIGHTS_VOCAB,
    WEIGHTS_UNTIED, /* vocabulary, unless the embedding is also the unembedding */
    WEIGHTS_HIDDEN,
    /* attention: H heads, K of keys and values, of D elements each */
    WEIGHTS_Q,      /* H D; MLA without q_lora: H (nope + rope) */
    WEIGHTS_KV,     /* K D */
    WEIGHTS_V,      /* H D; MLA: H value_dim */
    WEIGHTS_Q_BIAS, /* as Q and KV, with attention biases; hidden, with a bias of o */
    WEIGHTS_KV_BIAS,
    WEIGHTS_O_BIAS,
    WEIGHTS_Q_NORM, /* D, or all heads together */
    WEIGHTS_K_NORM,
    WEIGHTS_SINKS, /* H */
    /* MLA */
    WEIGHTS_Q_LORA,
    WEIGHTS_Q_B,  /* H (nope + rope), with q_lora */
    WEIGHTS_KV_A, /* kv_lora + rope */
    WEIGHTS_KV_LORA,
    WEIGHTS_KV_B, /* H (nope + value_dim) */
    /* feed-forward */
    WEIGHTS_DENSE,
    WEIGHTS_EXPERTS,
    WEIGHTS_ROUTER_BIAS, /* experts, with a bias in the router's choice */
    WEIGHTS_WIDTH,       /* of an expert */
    WEIGHTS_WIDTH_BIAS,  /* width and hidden, with biases in the experts */
    WEIGHTS_DOWN_BIAS,
    WEIGHTS_SHARED,      /* of all shared experts together */
    WEIGHTS_SHARED_GATE, /* 1 */
    WEIGHTS_SIZES,
} weights_size;

typedef enum weights_scope {
    WEIGHTS_MODEL, /* `member` is an offset in moe_weights */
    WEIGHTS_LAYER, /* in moe_layer_weights */
    WEIGHTS_EXPERT /* in moe_mlp */
} weights_scope;

typedef struct weights_name {
    unsigned families; /* a set of moe_weights_family's bits */
    weights_scope scope;
    size_t member;
    weights_form form;
    const char *pattern; /* {L}: layer, {E}: expert */
    weights_size rows, cols;
} weights_name;

/* Rows of the table in order. Rows of one member stand together: the first whose tensor exists
 * counts, and the first is the one that the Hub's files have. */
extern const weights_name moe_weights_names[];
extern const size_t moe_weights_n_names;

/* The bit of a family (moe_arch.family). */
unsigned moe_weights_family(const char *name);
/* Sizes of a layer. */
void moe_weights_sizes(const moe_arch *arch, uint32_t layer, uint64_t sizes[WEIGHTS_SIZES]);

#endif
