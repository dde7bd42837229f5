/* The keys of a kernel library. */
#include "hw/kernels_set.h"

#define K(field) offsetof(moe_kernels_spec, field)
#define G(field) offsetof(moe_gemm_kernel, field)
#define E(field) offsetof(moe_expert_kernel, field)
#define A(field) offsetof(moe_attention_kernel, field)
#define O(field) offsetof(moe_operation_kernel, field)
#define NEED MOE_PARAM_REQUIRED
#define SOURCED MOE_PARAM_SOURCED

#define ROW(k, type_, offset_, fallback_, min_, max_, flags_, help_)                               \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_##type_, .offset = offset_, .fallback = fallback_,             \
        .min = min_, .max = max_, .flags = flags_, .help = help_                                   \
    }
#define LIST(k, offset_, type_, help_)                                                             \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_LIST, .offset = offset_, .stride = sizeof(type_),              \
        .max_items = MOE_KERNELS_MAX, .help = help_                                                \
    }
#define CHOICE(k, offset_, fallback_, choices_, help_)                                             \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_ENUM, .offset = offset_, .fallback = fallback_,                \
        .choices = choices_, .help = help_                                                         \
    }
#define FLAG(k, offset_, help_)                                                                    \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_BOOL, .offset = offset_, .fallback = "false", .help = help_    \
    }
#define DTYPE(k, offset_)                                                                          \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_ENUM, .offset = offset_, .choices = DTYPES, .flags = NEED,     \
        .help = "Arithmetic type: of the weights, or of weights and activations (wNaM)."           \
    }
#define X(id, name, weight, activation, weights) "|" name
static const char dtypes[] = MOE_KERNEL_DTYPES(X);
#undef X
#define DTYPES (dtypes + 1)

static const moe_param rows[] = {
    ROW("name", TEXT, K(name), NULL, 0, 0, 0, "Name of the library; default: the file's name."),
    ROW("source", TEXT, K(source), NULL, 0, 0, 0, "What the library as a whole follows."),

    LIST("gemm", K(gemm), moe_gemm_kernel, "Dense products."),
    ROW("gemm.*.name", TEXT, G(name), NULL, 0, 0, NEED, "What the software calls the kernel."),
    DTYPE("gemm.*.dtype", G(dtype)),
    ROW("gemm.*.efficiency", SHARE, G(efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Highest achieved share of peak."),
    ROW("gemm.*.stream_efficiency", SHARE, G(stream_efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Achieved share of the memory's bandwidth when weights are streamed."),
    ROW("gemm.*.half_rows", REAL, G(half_rows), "0", 0, 1e6, SOURCED,
        "Rows at which it reaches half of its highest rate."),
    ROW("gemm.*.fixed", TIME, G(fixed_ps), "0", 0, 1e12, SOURCED,
        "Fixed cost of one product beside the launch: the kernel's ramp and tail."),
    ROW("gemm.*.tile_rows", INT, G(tile_rows), "0", 0, 512, SOURCED,
        "Rows of its largest tile of the result; 0: tiles are not told, half_rows is used."),
    ROW("gemm.*.tile_columns", INT, G(tile_columns), "128", 64, 512, SOURCED, "Columns of it."),
    {.key = "gemm.*.choice",
     .type = MOE_PARAM_ENUM,
     .offset = G(choice),
     .fallback = "best",
     .choices = "best|rows",
     .help = "How a product's tile is chosen: the best of all, or by its rows alone."},
    ROW("gemm.*.split", INT, G(split), "1", 1, 64, SOURCED,
        "Parts into which the inner dimension may be cut where processors are idle; 1: none."),
    ROW("gemm.*.side", REAL, G(side), "100", 1, 1e4, SOURCED,
        "Rows and columns of the square tile that is loaded as fast as it is multiplied."),
    ROW("gemm.*.spread", SHARE, G(spread), "0", 0, 1, SOURCED,
        "How evenly the last, incomplete wave of tiles is spread over the processors."),
    ROW("gemm.*.result_speed", REAL, G(result_speed), "1", 0.01, 100, SOURCED,
        "How fast all processors together write their tiles, in the memory's bandwidth; above 1 "
        "where the cache takes them."),
    ROW("gemm.*.tile_fixed", TIME, G(tile_ps), "0", 0, 1e9, SOURCED,
        "Fixed cost of each wave of tiles."),
    ROW("gemm.*.split_fixed", TIME, G(split_ps), "0", 0, 1e9, SOURCED,
        "Fixed cost of adding up the parts of the inner dimension."),
    ROW("gemm.*.pass_efficiency", SHARE, G(pass_efficiency), "0", 0, 1, SOURCED,
        "Achieved share of bandwidth when activations are quantised by a kernel of its own; 0: "
        "they come as they are needed."),
    ROW("gemm.*.pass_fixed", TIME, G(pass_ps), "0", 0, 1e9, SOURCED,
        "Fixed cost of that kernel beside its launch."),
    ROW("gemm.*.pass_row", TIME, G(pass_row_ps), "0", 0, 1e9, SOURCED,
        "Least time of it for each row."),
    ROW("gemm.*.host", TIME, G(host_ps), "0", 0, 1e12, SOURCED,
        "What the host needs for a call that is not in a CUDA graph."),
    ROW("gemm.*.rows_from", INT, G(rows_from), "0", 0, 1e9, 0, "The fewest rows that it takes."),
    ROW("gemm.*.multiple_n", INT, G(multiple_n), "1", 1, 1e6, 0,
        "Columns that it takes are multiples of this."),
    ROW("gemm.*.multiple_k", INT, G(multiple_k), "1", 1, 1e6, 0,
        "Inner dimensions that it takes are multiples of this."),

    LIST("experts", K(experts), moe_expert_kernel, "The expert part of an MoE layer."),
    ROW("experts.*.name", TEXT, E(name), NULL, 0, 0, NEED, "What the software calls the kernel."),
    DTYPE("experts.*.dtype", E(dtype)),
    ROW("experts.*.shapes", TEXT, E(shapes), NULL, 0, 0, 0,
        "Experts on a device and their width that the kernel is for, as 8x1792 64x768 (the "
        "software was tuned for them); default: all."),
    ROW("experts.*.efficiency", SHARE, E(efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Highest achieved share of peak."),
    ROW("experts.*.stream_efficiency", SHARE, E(stream_efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Achieved share of the memory's bandwidth when weights are streamed."),
    ROW("experts.*.coarse_stream_efficiency", SHARE, E(coarse_stream_efficiency), "0", 0, 1,
        SOURCED, "The same with tiles of more rows than `tile`; 0: as stream_efficiency."),
    ROW("experts.*.exposed", SHARE, E(exposed), "0", 0, 1, SOURCED,
        "Share of the shorter of streaming and computing that the longer does not hide."),
    ROW("experts.*.pass_efficiency", SHARE, E(pass_efficiency), "0", 0, 1, SOURCED,
        "Achieved share of the bandwidth of the passes over activations between the kernels; 0: "
        "free."),
    ROW("experts.*.own_passes", BOOL, E(own_passes), "false", 0, 0, 0,
        "Whether the passes leave out the rows of experts that other devices have."),
    ROW("experts.*.half_rows", REAL, E(half_rows), "0", 0, 1e6, SOURCED,
        "Tokens of an expert at which it reaches half of its highest rate."),
    ROW("experts.*.feed", RATE, E(feed_bytes_per_s), "0", 0, 1e15, SOURCED,
        "At this rate a processor loads the operands of a block, beside computing with them; 0: "
        "hidden by it."),
    ROW("experts.*.tile", INT, E(tile), "1", 1, 1024, SOURCED,
        "Tokens of an expert are computed in blocks of this many; 1: no padding."),
    ROW("experts.*.coarse_tile", INT, E(coarse_tile), "0", 0, 1024, SOURCED,
        "The largest such block, for many tokens; 0: always `tile`."),
    {.key = "experts.*.tiles_by",
     .type = MOE_PARAM_ENUM,
     .offset = E(tiles_by),
     .choices = "rows|tokens",
     .fallback = "rows",
     .help = "What chooses the block: rows (the least power of two times `tile` that holds an "
             "expert's mean tokens), or tokens (coarse_tile as soon as more tokens enter than "
             "there are experts on the device)."},
    ROW("experts.*.columns", INT, E(columns), "0", 0, 1024, SOURCED,
        "Columns of a product in a block; 0: products are not cut into whole blocks."),
    ROW("experts.*.block", TIME, E(block_ps), "0", 0, 1e9, SOURCED,
        "Fixed cost of a block beside its products, on the processor that works on it."),
    ROW("experts.*.alone", SHARE, E(alone), "0", 0, 1, SOURCED,
        "Time of a block that has a processor alone, of that among many; 0: blocks may be cut."),
    ROW("experts.*.unaligned", REAL, E(unaligned), "0", 0, 100, SOURCED,
        "The down product takes this many times as long where the width is no multiple of 16; 0: "
        "it does not matter."),
    ROW("experts.*.fixed", TIME, E(fixed_ps), "0", 0, 1e12, SOURCED,
        "Fixed cost of the kernels together beside their launches."),
    ROW("experts.*.per_expert", TIME, E(expert_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost per distinct expert."),
    ROW("experts.*.per_element", TIME, E(element_ps), "0", 0, 1e9, SOURCED,
        "Further fixed cost per element of a token and of an expert's width: the steps of a block "
        "along its products' inner dimension follow each other."),
    ROW("experts.*.coarse_per_element", TIME, E(coarse_element_ps), "0", 0, 1e9, SOURCED,
        "The same with tiles of more rows than `tile`, whose steps may be shorter; 0: the same."),

    LIST("attention", K(attention), moe_attention_kernel, "Attention without its projections."),
    ROW("attention.*.name", TEXT, A(name), NULL, 0, 0, NEED, "What the software calls the kernel."),
    DTYPE("attention.*.dtype", A(dtype)),
    CHOICE("attention.*.form", A(form), "heads", "heads|latent|scores|state",
           "What it works on: heads with their own keys and values or their group's; one latent of "
           "all (MLA); scores alone (a sparse attention's indexer); a state (linear attention)."),
    ROW("attention.*.head_dim", INT, A(head_dim), "0", 0, 1e6, 0,
        "Widest keys that it takes; 0: any."),
    ROW("attention.*.from", REAL, A(from), "0", 0, 100, 0,
        "The least compute capability of the devices on which the software uses it; 0: any."),
    ROW("attention.*.below", REAL, A(below), "0", 0, 100, 0,
        "The compute capability from which on it uses another; 0: none."),
    ROW("attention.*.efficiency", SHARE, A(efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Highest achieved share of peak of a long prompt; with tile_rows: of its products alone."),
    ROW("attention.*.stream_efficiency", SHARE, A(stream_efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Achieved share of the memory's bandwidth when the KV cache is read."),
    ROW("attention.*.pass_efficiency", SHARE, A(pass_efficiency), "0", 0, 1, SOURCED,
        "The same of writing new keys and values into the cache; 0: free."),
    ROW("attention.*.half_keys", REAL, A(half_keys), "0", 0, 1e6, SOURCED,
        "Keys that a query of a prompt sees at which it reaches half of its highest rate; 0: as a "
        "product of the prompt's rows. Without tile_rows only."),
    ROW("attention.*.fixed", TIME, A(fixed_ps), "0", 0, 1e12, SOURCED,
        "Fixed cost of one attention beside its launches."),
    ROW("attention.*.per_head", TIME, A(head_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost per sequence and KV head. Without tile_rows only."),
    ROW("attention.*.tile_rows", INT, A(tile_rows), "0", 0, 4096, SOURCED,
        "Query rows of a block; 0: the kernel is not known by its blocks."),
    ROW("attention.*.tile_keys", INT, A(tile_keys), "128", 1, 4096, SOURCED,
        "Keys that a block takes at a time."),
    ROW("attention.*.window_keys", INT, A(window_keys), "0", 0, 4096, SOURCED,
        "The same where queries see a window of the keys; 0: tile_keys."),
    ROW("attention.*.decode_rows", INT, A(decode_rows), "0", 0, 4096, SOURCED,
        "Rows whose time a decode's block takes; 0: as tile_rows."),
    CHOICE(
        "attention.*.split", A(split), "none", "none|groups|decodes|all|always",
        "Where the keys of a block are cut into pieces for idle processors: nowhere, in decodes "
        "whose query heads share KV heads, in decodes, in prompts, too; always: those of decodes "
        "into max_pieces, however few they are."),
    ROW("attention.*.split_most", INT, A(split_most), "0", 0, 1e9, SOURCED,
        "Most query tokens of a call whose keys are cut; 0: any number."),
    ROW("attention.*.max_pieces", INT, A(max_pieces), "128", 1, 4096, SOURCED,
        "Pieces that the keys of a block are cut into at most."),
    FLAG("attention.*.pack", A(pack),
         "A prompt's query heads that share a KV head are rows of one block; of a decode they "
         "always are."),
    FLAG("attention.*.cast", A(cast), "Queries are cast to dtype by a kernel before."),
    ROW("attention.*.absorb", INT, A(absorb), "0", 0, 1e9, SOURCED,
        "Of latents: prompts of at most this many tokens of a sequence are computed with the "
        "latent itself, as decodes are; longer ones with keys and values of each head."),
    FLAG("attention.*.pad", A(pad),
         "Values are as wide as keys: narrower ones are padded before, and cut after."),
    ROW("attention.*.block", TIME, A(block_ps), "0", 0, 1e12, SOURCED,
        "Of a block of rows: its begin and end."),
    ROW("attention.*.score", TIME, A(score_ps), "0", 0, 1e12, SOURCED,
        "Of one score on one processor: what exponentials add to the products."),
    ROW("attention.*.prompt", TIME, A(prompt_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost of a prompt."),
    ROW("attention.*.regroup", TIME, A(regroup_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost of a decode of several sequences and KV heads whose query heads are "
        "put in order before and after."),
    ROW("attention.*.piece", TIME, A(piece_ps), "0", 0, 1e12, SOURCED,
        "Begin and end of a piece where decodes are always cut, in the place of `block`."),
    ROW("attention.*.combine", TIME, A(combine_ps), "0", 0, 1e12, SOURCED,
        "Fixed cost of putting pieces together, where there are some."),
    ROW("attention.*.write", TIME, A(write_ps), "0", 0, 1e12, SOURCED,
        "Of a block of threads that writes a token's new keys and values."),
    ROW("attention.*.host", TIME, A(host_ps), "0", 0, 1e12, SOURCED,
        "What the host needs for a call that is not in a CUDA graph."),
    ROW("attention.*.unit_rate", RATE, A(unit_bytes_per_s), "0", 0, 1e15, SOURCED,
        "What one processor alone can read of the KV cache; 0: its equal share of the bandwidth."),
    ROW("attention.*.cache_rate", RATE, A(cache_bytes_per_s), "0", 0, 1e15, SOURCED,
        "What each processor reads of the device's shared cache when all do; 0: unknown."),

    LIST("operations", K(operations), moe_operation_kernel,
         "Small operations between the others: norms, rotations, a router's choice."),
    ROW("operations.*.name", TEXT, O(name), NULL, 0, 0, NEED,
        "What the software calls it, or what it does: embedding, norm, rope, activation, top_k."),
    ROW("operations.*.passes", REAL, O(passes), "1", 0, 1e4, SOURCED,
        "How many times over it moves what it must: general kernels, one after another, write and "
        "read what lies between them."),
    ROW("operations.*.fixed", TIME, O(fixed_ps), "0", 0, 1e12, SOURCED,
        "Fixed cost of all its kernels together."),
    ROW("operations.*.per_row", TIME, O(row_ps), "0", 0, 1e9, SOURCED,
        "Further cost of each row: a token, or each of its heads where these are worked on."),
    ROW("operations.*.host", TIME, O(host_ps), "0", 0, 1e12, SOURCED,
        "What the host needs to launch it outside of a CUDA graph."),
};

const moe_param_table moe_kernels_table = {"kernels", rows, MOE_COUNT(rows),
                                           sizeof(moe_kernels_spec)};
