/* Kernel libraries: how well a piece of software (vLLM's, TensorRT-LLM's, our own kernels) uses a
 * device. A device's peaks, memories and processors are its own (hw/hardware.h); what kernels make
 * of them is told here, in numbers that mean the same on every device.
 *
 * A library is a file, hw/kernels/NAME.yaml, with a list of kernels for each family: dense products
 * (gemm), the expert part of an MoE layer (experts), attention, each kernel of one arithmetic type;
 * and of the small operations between them. A device description names its library, a scenario may
 * name another (`kernels:`). The same numbers written in a device's description are its own
 * kernels, one of each family and for every type: they do what no library has a kernel near to, and
 * all where there is no library (`kernels: own`).
 *
 * What a number does is said with the cost function that uses it: hw/cost.h. */
#ifndef MOE_HW_KERNELS_H
#define MOE_HW_KERNELS_H

#include "sim/base/param.h"

/* Arithmetic types of kernels: name, bits of a weight with its scales, bits of an activation as the
 * tensor units take it, what the weights alone are called. wNaM: weights of N bits are decoded to
 * activations of M bits. */
#define MOE_KERNEL_DTYPES(X)                                                                       \
    X(fp32, "fp32", 32, 32, "fp32")                                                                \
    X(bf16, "bf16", 16, 16, "bf16")                                                                \
    X(fp8, "fp8", 8, 8, "fp8")                                                                     \
    X(fp8_block, "fp8_block", 8, 8, "fp8_block")                                                   \
    X(int8, "int8", 8, 8, "int8")                                                                  \
    X(int8_wo, "int8_wo", 8, 16, "int8")                                                           \
    X(int4_wo, "int4_wo", 4, 16, "int4")                                                           \
    X(w4a8, "w4a8", 4, 8, "int4")                                                                  \
    X(mxfp4, "mxfp4", 4.25, 16, "mxfp4")                                                           \
    X(w4a8_mxfp4, "w4a8_mxfp4", 4.25, 8, "mxfp4")                                                  \
    X(nvfp4, "nvfp4", 4.5, 4.5, "nvfp4")                                                           \
    X(int3_wo, "int3_wo", 3, 16, "int3")                                                           \
    X(int2_wo, "int2_wo", 2, 16, "int2")                                                           \
    X(fp8_wo, "fp8_wo", 8, 16, "fp8")                                                              \
    X(nvfp4_wo, "nvfp4_wo", 4.5, 16, "nvfp4")

typedef enum moe_kernel_dtype {
#define X(id, name, weight, activation, weights) MOE_KERNEL_##id,
    MOE_KERNEL_DTYPES(X)
#undef X
        MOE_N_KERNEL_DTYPES
} moe_kernel_dtype;

/* How a product's tiles are chosen. */
typedef enum moe_tile_choice { MOE_TILE_BEST, MOE_TILE_ROWS } moe_tile_choice;

/* A dense product (formulas: hw/cost_gemm.c). */
typedef struct moe_gemm_kernel {
    const char *name;         /* NULL: a device's own */
    int dtype;                /* moe_kernel_dtype */
    double efficiency;        /* highest achieved share of peak */
    double stream_efficiency; /* achieved share of bandwidth when weights are streamed */
    double half_rows;         /* rows at which it reaches half of its highest rate; no tiles */
    int64_t fixed_ps;         /* ramp and tail of the kernel */
    /* Tiles of the result; all of this is 0 where they are not told. */
    int64_t tile_rows, tile_columns; /* the largest, powers of two */
    int choice;                      /* moe_tile_choice */
    int64_t split;                   /* parts into which k may be cut, a power of two */
    double side;                     /* of the square tile that loads as fast as it is multiplied */
    double spread;                   /* how evenly the last, incomplete wave is spread: 0 … 1 */
    double result_speed;             /* of the bandwidth, when all processors write their tiles */
    int64_t tile_ps, split_ps;       /* of each wave of tiles; of adding up the parts */
    /* Quantising activations by a pass of its own; 0: they come as they are needed. */
    double pass_efficiency;
    int64_t pass_ps, pass_row_ps; /* of the pass; at least so much of a row */
    int64_t host_ps;              /* that the host needs for a call outside of graphs */
    /* What it takes: at least so many rows; columns and inner size that are multiples; 0: any. */
    int64_t rows_from, multiple_n, multiple_k;
} moe_gemm_kernel;

typedef enum moe_tiles_by { MOE_TILES_BY_ROWS, MOE_TILES_BY_TOKENS } moe_tiles_by;

/* Elements that begin a whole sector of memory: rows whose width is no multiple are not aligned. */
enum { MOE_ALIGNED_WIDTH = 16 };

/* All kernels of an MoE layer's experts on one device. */
typedef struct moe_expert_kernel {
    const char *name;
    int dtype;
    const char *shapes; /* "8x1792 64x768": for these only (experts x width); NULL: for all */
    double efficiency, stream_efficiency;
    double coarse_stream_efficiency; /* with other tiles than the finest; 0: the same */
    double pass_efficiency;          /* of passes over activations; 0: inside the kernels, free */
    double exposed;   /* share of the shorter of streaming and computing that is not hidden */
    double half_rows; /* tokens of an expert at half of the highest rate */
    double
        feed_bytes_per_s; /* of activations and weights into a processor; 0: as they are needed */
    double unaligned; /* the down product takes so many times as long where the width is no multiple
                         of 16; 0: it does not matter */
    double alone; /* of a block's time among many, what it takes when it has a processor alone */
    int64_t tile; /* tokens of an expert are computed in blocks of so many */
    int64_t coarse_tile;       /* the largest such block; 0: always `tile` */
    int tiles_by;              /* moe_tiles_by: what chooses between them */
    int64_t columns;           /* of the result in a block; 0: not in whole blocks */
    bool own_passes;           /* passes leave out rows of experts that another device has */
    int64_t fixed_ps;          /* of a layer */
    int64_t expert_ps;         /* per distinct expert */
    int64_t block_ps;          /* of a block */
    int64_t coarse_element_ps; /* the same with other tiles than the finest; 0: the same */
    int64_t element_ps;        /* per element of a token and of an expert's width */
} moe_expert_kernel;

/* What an attention kernel works on: heads with keys and values of their own or of their group;
 * one latent of all heads (MLA, absorbed), which is keys and values; scores alone (the indexer that
 * selects keys for sparse attention); a state in the keys' place (linear attention). */
typedef enum moe_attention_form {
    MOE_FORM_HEADS,
    MOE_FORM_LATENT,
    MOE_FORM_SCORES,
    MOE_FORM_STATE,
    MOE_N_FORMS
} moe_attention_form;

/* Where the keys of a block of queries are cut into pieces for idle processors. */
typedef enum moe_attention_split {
    MOE_SPLIT_NONE,
    MOE_SPLIT_GROUPS, /* in decodes whose query heads share KV heads */
    MOE_SPLIT_DECODES,
    MOE_SPLIT_ALL,
    MOE_SPLIT_ALWAYS /* decodes into max_pieces, however few the keys and idle the processors */
} moe_attention_split;

/* Scores, softmax and weighted values, without projections. A kernel whose blocks are known
 * (tile_rows) is another formula than one that is not: hw/cost_attention.h. */
typedef struct moe_attention_kernel {
    const char *name;
    int dtype;          /* of the keys and values in the cache, and of the products with them */
    int form;           /* moe_attention_form */
    int64_t head_dim;   /* widest keys that it takes; 0: any */
    double from, below; /* compute capabilities of the devices that it is used on; 0: any */
    double efficiency, stream_efficiency;
    double pass_efficiency; /* of new keys and values into the cache; 0: free */
    double half_keys; /* keys that a query of a prompt sees at half of the highest rate; 0: rows are
                         what counts; without tile_rows only */
    int64_t fixed_ps, head_ps; /* of a call; per sequence and KV head (without tile_rows only) */
    /* As the kernel is written. */
    int64_t tile_rows, tile_keys; /* rows and keys of a block; 0 rows: not known by its blocks */
    int64_t window_keys;          /* the same where queries see a window; 0: tile_keys */
    int64_t decode_rows;          /* that a decode's block takes the time of; 0: tile_rows */
    int64_t max_pieces;
    int split;          /* moe_attention_split */
    int64_t split_most; /* tokens of a call whose keys are cut at all; 0: any */
    bool pack;          /* a prompt's query heads that share a KV head are rows of one block, too */
    bool cast;          /* queries are cast to `dtype` by a kernel before */
    int64_t absorb; /* of latents: prompts of at most so many tokens of a sequence are computed so;
                       longer ones are expanded into heads */
    bool pad;       /* values are as wide as keys: narrower ones are padded before, and cut after */
    /* As it was measured. */
    int64_t block_ps;   /* of a block of rows: begin and end */
    int64_t score_ps;   /* of a score on one processor: what exponentials add to the products */
    int64_t prompt_ps;  /* more than fixed_ps where there is a prompt */
    int64_t regroup_ps; /* of a decode whose heads are put in order of their KV heads before and
                           after */
    int64_t piece_ps;   /* of a piece that is made always: its begin and end, in block_ps' place */
    int64_t combine_ps; /* the pieces, where there are some */
    int64_t write_ps;   /* a block of threads that writes a token's new keys and values */
    int64_t host_ps;    /* that the host needs for a call outside of graphs */
    double unit_bytes_per_s;  /* that one processor alone can read; 0: its share of the bandwidth */
    double cache_bytes_per_s; /* that each reads of the shared cache when all do; 0: unknown */
} moe_attention_kernel;

/* A small operation beside the large ones (a norm, a rotation, a router's choice), as a framework
 * carries it out: by one kernel, or by many of a general library (moe_cost_operation). */
typedef struct moe_operation_kernel {
    const char *name; /* as the framework calls it, or what it does ("norm") */
    double passes;    /* times over that it moves what it must */
    int64_t fixed_ps; /* of all its kernels together */
    int64_t row_ps;   /* further of each row: a token, or a head of it that is worked on alone */
    int64_t host_ps;  /* that the host needs to launch it outside of graphs */
} moe_operation_kernel;

typedef struct moe_kernels {
    const char *name, *source;
    const moe_gemm_kernel *gemm;
    const moe_expert_kernel *experts;
    const moe_attention_kernel *attention;
    const moe_operation_kernel *operations;
    size_t n_gemm, n_experts, n_attention, n_operations;
} moe_kernels;

typedef struct moe_kernels_set moe_kernels_set;

/* In the place of a library's name: none, the device's own numbers alone. */
#define MOE_KERNELS_OWN "own"

/* Name and widths of an arithmetic type. */
const char *moe_kernel_dtype_name(int dtype);
double moe_kernel_weight_bits(int dtype);
double moe_kernel_activation_bits(int dtype);
/* By name, -1: there is none. */
int moe_kernel_dtype_find(const char *name);
/* The type for weights of that name (fp32, bf16, fp8, int4 ...) and activations of so many bits;
 * -1: there is none. */
int moe_kernel_dtype_for(const char *weights, double activation_bits);

/* `name`: of a library of ours, or a path to a file; several separated by '|' are joined. `beside`
 * as for moe_hardware_load. */
moe_kernels_set *moe_kernels_load(const char *name, const char *beside, moe_loc at, moe_diag *diag,
                                  GError **error);
/* The same of a library's text; `path` names it in messages. */
moe_kernels_set *moe_kernels_parse(const char *path, const char *text, size_t length,
                                   moe_diag *diag);
void moe_kernels_free(moe_kernels_set *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_kernels_set, moe_kernels_free)
/* Borrowed from the set. */
const moe_kernels *moe_kernels_get(const moe_kernels_set *set);
/* Whether one of its kernels has this name: the very text, which stays the library's own where
 * lists of kernels are copied or joined. */
bool moe_kernels_has(const moe_kernels *kernels, const char *name);
/* Libraries as one of that name: the kernels of each behind those of the ones before. Yours, to be
 * freed by moe_kernels_unjoin; libraries and name must outlive it. */
moe_kernels *moe_kernels_join(const char *name, const moe_kernels *const *libraries, size_t n);
void moe_kernels_unjoin(moe_kernels *joined);
/* The table of its keys; a list element's rows are relative to the kernel's struct. */
extern const moe_param_table moe_kernels_table;
/* Every number that a run can depend on. */
void moe_kernels_canonical(const moe_kernels *kernels, GString *out);

/* What a kernel is wanted for. */
typedef struct moe_kernel_wanted {
    const char *dtype; /* its type; NULL, or a name that kernels do not have: by the widths alone */
    double weight_bits, activation_bits; /* 0 activation bits: any */
    const char *kernel; /* what its software calls the kernel, or more than that; NULL: not known */
    double m, n, k;     /* of a product */
    double experts, width; /* of a layer on a device */
} moe_kernel_wanted;

/* Of the kernels that take such a shape (a product's rows and multiples, a layer's experts and
 * width) the first that is best: one of the type (by its name, else widths within half a bit), else
 * the nearest type; of several kernels of a type that whose name is the longest part of `kernel`.
 * Nearest: the least 64 |difference of activations' bits| + |difference of weights' bits|, for what
 * the tensor units take counts before what is stored; none is near whose activations are twice or
 * half as wide: such kernels foretell each other no better than a device's own numbers do. NULL:
 * there is none. Libraries may be NULL. */
const moe_gemm_kernel *moe_kernels_gemm(const moe_kernels *kernels,
                                        const moe_kernel_wanted *wanted);
const moe_expert_kernel *moe_kernels_experts(const moe_kernels *kernels,
                                             const moe_kernel_wanted *wanted);
/* Whether a kernel of this type is one for such work, not just the nearest that there is. */
bool moe_kernel_is_of_type(int dtype, const moe_kernel_wanted *wanted);
/* Whether it is for such experts. */
bool moe_expert_kernel_suits(const moe_expert_kernel *kernel, double experts, double width);
/* kv_bits: of the cache. The first of the form that takes keys so wide, else such a one of heads.
 */
const moe_attention_kernel *moe_kernels_attention(const moe_kernels *kernels, double capability,
                                                  int form, double kv_bits, double key_dim);

#endif
