/* Model presets: YAML read by a parameter table into the written form of models/spec.h. */
#include "models/set.h"
#include "models/spec.h"
#include "sim/base/data.h"

#define TEXT(k, field, help_)                                                                      \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_TEXT, .offset = offsetof(moe_model_spec, field), .help = help_ \
    }
#define BOOL(k, type_, field, help_)                                                               \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_BOOL, .offset = offsetof(type_, field), .fallback = "false",   \
        .help = help_                                                                              \
    }
#define INT(k, type_, field, fallback_, min_, max_, flags_, help_)                                 \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_INT, .offset = offsetof(type_, field), .fallback = fallback_,  \
        .min = min_, .max = max_, .flags = flags_, .help = help_                                   \
    }
#define ENUM(k, type_, field, fallback_, choices_, help_)                                          \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_ENUM, .offset = offsetof(type_, field), .fallback = fallback_, \
        .choices = choices_, .help = help_                                                         \
    }
#define REAL(k, field, max_, help_)                                                                \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_REAL, .offset = offsetof(moe_model_spec, field),               \
        .fallback = "0", .max = max_, .help = help_                                                \
    }

/* Names of moe_dtype_names; a unit test compares the two. */
#define DTYPES "f32|fp32|tf32|bf16|f16|fp16|fp8|fp8_block|int8|int4|mxfp4|nvfp4|int3|int2"

#define S_BOOL(k, field, help_) BOOL("stacks.*." k, moe_stack_spec, field, help_)
#define S_INT(k, field, fallback_, min_, max_, help_)                                              \
    INT("stacks.*." k, moe_stack_spec, field, fallback_, min_, max_, 0, help_)
#define DIM 65536
#define WIDTH 4194304

static const moe_param rows[] = {
    TEXT("name", name, "Name of the model; default: the file's name."),
    TEXT("source", source, "Where the shape comes from."),
    INT("hidden", moe_model_spec, hidden, NULL, 1, 1048576, MOE_PARAM_REQUIRED,
        "Width of the residual stream."),
    INT("vocab", moe_model_spec, vocab, NULL, 1, 16777216, MOE_PARAM_REQUIRED,
        "Rows of the embedding matrix."),
    BOOL("tied", moe_model_spec, tied, "Input and output embeddings are one matrix."),
    BOOL("head_bias", moe_model_spec, head_bias, "The unembedding has a bias."),
    BOOL("norm_bias", moe_model_spec, norm_bias, "LayerNorm with a bias instead of RMSNorm."),
    ENUM("dtype.weights", moe_model_spec, weights, "bf16", DTYPES,
         "Native type of everything but the routed experts."),
    ENUM("dtype.experts", moe_model_spec, experts, "bf16", DTYPES,
         "Native type of the routed experts."),
    REAL("published.total", published_total, 1e16, "Total parameters as published; 0: not."),
    REAL("published.active", published_active, 1e16,
         "Parameters used per token as published; 0: not."),
    ENUM("published.counting", moe_model_spec, counting, "all", "all|output|none",
         "Which embeddings the published active number counts: input and output, the output's "
         "only, or none."),
    TEXT("published.source", published_source, "Where the published numbers come from."),
    {.key = "stacks",
     .type = MOE_PARAM_LIST,
     .offset = offsetof(moe_model_spec, stacks),
     .stride = sizeof(moe_stack_spec),
     .max_items = 2,
     .flags = MOE_PARAM_REQUIRED,
     .help = "The stacks of layers: a decoder, or an encoder and then a decoder."},
    ENUM("stacks.*.kind", moe_stack_spec, kind, "decoder", "decoder|encoder", "Kind of stack."),
    INT("stacks.*.layers", moe_stack_spec, layers, NULL, 1, 1024, MOE_PARAM_REQUIRED,
        "Layers of the stack."),
    S_INT("dense_first", dense_first, "0", 0, 1024, "The first layers that are dense."),
    S_INT("moe_every", moe_every, "1", 1, 1024,
          "Layer i has experts when i modulo this is moe_offset, and i >= dense_first."),
    S_INT("moe_offset", moe_offset, "0", 0, 1023, "See moe_every."),
    S_INT(
        "attention_every", attention_every, "1", 1, 1024,
        "Layer i has `attention` when i modulo this is attention_offset, and `linear` otherwise."),
    S_INT("attention_offset", attention_offset, "0", 0, 1023, "See attention_every."),
    S_INT("window_every", window_every, "1", 1, 1024,
          "attention.window holds in layer i when i modulo this is window_offset."),
    S_INT("window_offset", window_offset, "0", 0, 1023, "See window_every."),
    S_INT("relative_buckets", relative_buckets, "0", 0, DIM,
          "T5: learned relative position biases per head, in the first layer."),
    ENUM("stacks.*.attention.kind", moe_stack_spec, attention.kind, "heads", "heads|mla",
         "Attention with heads (MHA, GQA, MQA), or on a latent cache (MLA)."),
    S_INT("attention.heads", attention.heads, "0", 1, DIM, "Query heads."),
    S_INT("attention.kv_heads", attention.kv_heads, "0", 0, DIM, "KV heads; default: as heads."),
    S_INT("attention.head_dim", attention.head_dim, "0", 0, DIM, "Elements of a head."),
    S_INT("attention.q_lora", attention.q_lora, "0", 0, DIM,
          "MLA: elements of the query's latent; 0: queries come from hidden directly."),
    S_INT("attention.kv_lora", attention.kv_lora, "0", 0, DIM, "MLA: elements of the KV latent."),
    S_INT("attention.nope_dim", attention.nope_dim, "0", 0, DIM,
          "MLA: elements of a head's key without position."),
    S_INT("attention.rope_dim", attention.rope_dim, "0", 0, DIM,
          "MLA: elements of a head's key with position."),
    S_INT("attention.value_dim", attention.value_dim, "0", 0, DIM,
          "MLA: elements of a head's value."),
    S_INT("attention.window", attention.window, "0", 0, 1073741824,
          "Sliding window in tokens; 0: full attention."),
    S_INT("attention.index_heads", attention.index_heads, "0", 0, DIM,
          "Sparse attention: heads of the indexer that chooses the keys; 0: none."),
    S_INT("attention.index_dim", attention.index_dim, "0", 0, DIM,
          "Sparse attention: elements of an indexer's head, and of the key that it caches."),
    S_INT("attention.index_top_k", attention.index_top_k, "0", 0, 1073741824,
          "Sparse attention: keys that a query reads of those before it."),
    S_BOOL("attention.output_gate", attention.output_gate,
           "What was attended is scaled by a sigmoid of a projection as wide as the queries'."),
    S_BOOL("attention.bias", attention.bias, "Biases on q, k and v."),
    S_BOOL("attention.output_bias", attention.output_bias, "A bias on o."),
    S_BOOL("attention.sinks", attention.sinks, "One learned sink logit per head."),
    ENUM("stacks.*.attention.qk_norm", moe_stack_spec, attention.qk_norm, "none", "none|head|full",
         "Norms on queries and keys: none, per head, over all heads."),
    ENUM("stacks.*.linear.kind", moe_stack_spec, linear.kind, "delta",
         "lightning|delta|mamba2|mamba",
         "Linear attention: lightning (a fixed decay), gated delta rule, state-space duality, or "
         "selective scan."),
    S_INT("linear.heads", linear.heads, "0", 0, DIM,
          "Heads with a state each; mamba: channels. 0: no layer is linear."),
    S_INT("linear.key_heads", linear.key_heads, "0", 0, DIM,
          "Heads of keys and queries (mamba2: groups); default: as heads."),
    S_INT("linear.key_dim", linear.key_dim, "0", 0, DIM,
          "Elements of a key and a query (mamba, mamba2: state size)."),
    S_INT("linear.value_dim", linear.value_dim, "0", 0, DIM,
          "Elements of a head's value (mamba2: head dimension; mamba: 1)."),
    S_INT("linear.conv", linear.conv, "0", 0, 256,
          "Inputs that the convolution before it sees; 0: none."),
    S_INT("linear.rank", linear.rank, "0", 0, DIM, "Mamba: elements that steps are made of."),
    ENUM("stacks.*.linear.state", moe_stack_spec, linear.state, "fp32", "fp32|bf16|fp16",
         "Type of the state's elements in memory."),
    S_INT("linear.chunk", linear.chunk, "64", 1, DIM,
          "Tokens of a prompt that are taken together, as if they were each other's keys."),
    S_INT("cross.heads", cross.heads, "0", 0, DIM, "Cross attention's heads; 0: none."),
    S_INT("cross.kv_heads", cross.kv_heads, "0", 0, DIM, "KV heads; default: as heads."),
    S_INT("cross.head_dim", cross.head_dim, "0", 0, DIM, "Elements of a head."),
    S_INT("dense.matrices", dense.matrices, "3", 2, 3,
          "3: gate, up, down (SwiGLU); 2: up, down (ReLU, GELU)."),
    S_INT("dense.width", dense.width, "0", 0, WIDTH, "Intermediate size of dense layers."),
    S_BOOL("dense.bias", dense.bias, "Biases in the dense matrices."),
    S_INT("moe.matrices", moe.matrices, "3", 2, 3,
          "3: gate, up, down (SwiGLU); 2: up, down (ReLU, GELU)."),
    S_INT("moe.width", moe.width, "0", 0, WIDTH, "Intermediate size of one expert."),
    S_INT("moe.experts", moe.experts, "0", 0, 65533, "Routed experts of a layer; 0: none."),
    S_INT("moe.top_k", moe.top_k, "0", 0, 65533, "Experts per token."),
    S_INT("moe.rounds", moe.rounds, "1", 1, 64,
          "Times in a row that a layer's experts are used, each with a router of its own and top_k "
          "experts; a trace has a layer for each."),
    S_INT("moe.shared_width", moe.shared_width, "0", 0, WIDTH,
          "Intermediate size of all shared experts together; 0: none."),
    S_BOOL("moe.shared_gate", moe.shared_gate, "The shared expert is scaled by a sigmoid gate."),
    S_BOOL("moe.router_bias", moe.router_bias, "The router has a bias per expert."),
    S_BOOL("moe.bias", moe.bias, "Biases in the experts' matrices."),
};

static const moe_param_table table = {"model", rows, MOE_COUNT(rows), sizeof(moe_model_spec)};

/* The nearest node that exists on the way root -> stacks[i] -> section -> key. */
static moe_loc
where(const void *context, size_t stack, const char *section, const char *key)
{
    const moe_yaml *node = context;
    const moe_yaml *stacks = moe_yaml_get(node, "stacks");

    if (stacks && stacks->kind == MOE_YAML_LIST) {
        node = stack < stacks->n ? &stacks->items[stack] : stacks;
        const char *path[] = {section, key};
        for (size_t i = 0; i < MOE_COUNT(path); i++) {
            const moe_yaml *next =
                path[i] && node->kind == MOE_YAML_MAP ? moe_yaml_get(node, path[i]) : NULL;
            node = next ? next : node;
        }
    }
    return node->loc;
}

static moe_model_set *
read_doc(const moe_yaml_doc *doc, const char *path, const char *name, moe_diag *diag)
{
    const moe_yaml *root = moe_yaml_root(doc);
    unsigned before = moe_diag_errors(diag);

    if (root->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, root->loc, "a model is a map of keys, not %s",
                       moe_yaml_kind_name(root->kind));
        return NULL;
    }
    g_autoptr(moe_settings) settings = moe_settings_new(&table);
    moe_settings_read(settings, root, NULL, true, diag);
    if (moe_diag_errors(diag) != before)
        return NULL;
    moe_model_spec *spec = moe_settings_data(settings);
    g_autofree char *fallback = moe_data_stem(path);
    if (!spec->name)
        spec->name = name ? name : fallback;
    return moe_spec_build(spec, where, root, diag);
}

moe_model_set *
moe_preset_load(const char *path, const char *name, moe_diag *diag, GError **error)
{
    g_autoptr(moe_yaml_doc) doc = moe_yaml_load(path, diag, error);
    return doc ? read_doc(doc, path, name, diag) : NULL;
}

moe_model_set *
moe_preset_parse(const char *path, const char *text, size_t length, const char *name,
                 moe_diag *diag)
{
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse(path, text, length, diag);
    return doc ? read_doc(doc, path, name, diag) : NULL;
}
