/* Loading models by name and from presets that are wrong: each mistake is a located message. */
#include "models/model.h"
#include "models/set.h"
#include "tests/test.h"

#define HEAD "hidden: 64\nvocab: 10\nstacks:\n"
#define ATTENTION "attention: {heads: 4, head_dim: 16}"
#define MOE "moe: {experts: 4, top_k: 2, width: 8}"

static void
expect(const char *yaml, const char *message)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set = moe_preset_parse("m.yaml", yaml, strlen(yaml), NULL, diag);
    g_autofree char *text = moe_diag_render(diag);

    if (message)
        MOE_CHECK(!set && strstr(text, message), "%s\nsays: %s\nwanted: %s", yaml, text, message);
    else
        MOE_CHECK(set && !*text, "%s\nsays: %s", yaml, text);
}

static void
presets_that_are_wrong(void)
{
    expect(HEAD "  - {layers: 2, " ATTENTION ", " MOE "}\n", NULL);
    expect("vocab: 10\nstacks:\n  - {layers: 2, " ATTENTION ", " MOE "}\n", "hidden");
    expect("- 1\n", "m.yaml:1:1: error: a model is a map of keys, not a list");
    expect(HEAD "  - {layers: 2, " ATTENTION ", " MOE ", moe_evry: 2}\n",
           "did you mean 'moe_every'");
    expect(HEAD "  - {layers: 2, " ATTENTION "}\n", "'dense.width' is absent");
    expect(HEAD "  - {layers: 2, " ATTENTION ", " MOE ", dense: {width: 8}}\n",
           "no layer of this stack is dense");
    expect(HEAD "  - {layers: 2, dense_first: 2, " ATTENTION ", " MOE ", dense: {width: 8}}\n",
           "no layer of this stack has experts");
    expect(HEAD "  - layers: 2\n    " ATTENTION "\n    moe: {experts: 4, top_k: 5, width: 8}\n",
           "m.yaml:6:30: error: 5 experts per token, but there are only 4");
    expect(HEAD "  - {layers: 2, moe_every: 2, moe_offset: 2, " ATTENTION ", " MOE "}\n",
           "'moe_offset' must be below");
    expect(HEAD "  - {layers: 2, window_offset: 1, " ATTENTION ", " MOE "}\n",
           "'window_offset' must be below");
    expect(HEAD "  - {layers: 2, attention: {heads: 4}, " MOE "}\n", "attention wants 'head_dim'");
    expect(HEAD "  - {layers: 2, attention: {heads: 4, kv_heads: 3, head_dim: 8}, " MOE "}\n",
           "4 heads cannot share 3 KV heads evenly");
    expect(HEAD "  - {layers: 2, attention: {kind: mla, heads: 4}, " MOE "}\n", "'kv_lora'");
    expect(HEAD "  - {kind: encoder, layers: 2, " ATTENTION ", " MOE "}\n",
           "one decoder stack, or an encoder followed by a decoder");
    expect(HEAD "  - {layers: 2, " ATTENTION ", " MOE "}\n  - {layers: 2, " ATTENTION ", " MOE
                "}\n",
           "one decoder stack, or an encoder followed by a decoder");
    expect(HEAD "  - {layers: 2, " ATTENTION ", cross: {heads: 4, head_dim: 16}, " MOE "}\n",
           "cross attention belongs to a decoder behind an encoder");
    expect("dtype: {experts: mxfp5}\n" HEAD "  - {layers: 2, " ATTENTION ", " MOE "}\n", "mxfp4");
    expect("hidden: 1048576\nvocab: 10\nstacks:\n  - {layers: 1024, attention: {heads: 65536, "
           "head_dim: 65536}, moe: {experts: 65533, top_k: 2, width: 4194304}}\n",
           "more than 10^15 parameters");
    expect("hidden: 64\nvocab: 10\nstacks: []\n", "one decoder stack");
}

#define HYBRID(linear)                                                                             \
    HEAD "  - {layers: 4, attention_every: 2, " ATTENTION ", " MOE ", linear: {" linear "}}\n"
#define SPARSE(more)                                                                               \
    HEAD "  - {layers: 2, attention: {heads: 4, head_dim: 16, " more "}, " MOE "}\n"

/* Layers that are linear or sparse. */
static void
kinds_that_are_wrong(void)
{
    expect(HYBRID("heads: 4, key_dim: 8, value_dim: 8"), NULL);
    expect(HYBRID("kind: mamba, heads: 64, key_heads: 1, key_dim: 8, rank: 4, conv: 4"), NULL);
    expect(HYBRID("heads: 4, key_heads: 3, key_dim: 8, value_dim: 8"),
           "4 heads cannot share 3 key heads evenly");
    expect(HYBRID("heads: 4, value_dim: 8"), "linear wants 'key_dim'");
    expect(HYBRID("heads: 4, key_dim: 8"), "linear wants 'value_dim'");
    expect(HYBRID("heads: 4, key_dim: 8, value_dim: 8, rank: 2"), "'rank' belongs to kind mamba");
    expect(HYBRID("kind: mamba, heads: 64, key_heads: 1, key_dim: 8"), "linear wants 'rank'");
    expect(HYBRID("kind: mamba, heads: 64, key_dim: 8, rank: 4"), "kind mamba has one key head");
    expect(HYBRID("kind: mamba, heads: 64, key_heads: 1, value_dim: 2, key_dim: 8, rank: 4"),
           "kind mamba has one key head");
    expect(HYBRID("kind: mamba3, heads: 4, key_dim: 8, value_dim: 8"), "mamba2");
    expect(HYBRID("heads: 4, key_dim: 8, value_dim: 8, state: fp8"), "fp32");
    expect(HYBRID("heads: 4, key_dim: 8, value_dim: 8, chunk: 0"), "'chunk' must be at least 1");
    expect(HYBRID("key_dim: 8"), "2 of 4 layers are linear, but 'linear.heads' is absent");
    expect(HEAD "  - layers: 4\n    attention_every: 2\n    attention_offset: 2\n    " ATTENTION
                "\n    " MOE "\n    linear: {heads: 4, key_dim: 8, value_dim: 8}\n",
           "m.yaml:6:23: error: 'attention_offset' must be below 'attention_every'");
    expect(HEAD "  - layers: 4\n    " ATTENTION "\n    " MOE "\n    linear: {heads: 4, key_dim: 8, "
                "value_dim: 8}\n",
           "m.yaml:7:21: error: 'linear' is given, but no layer of this stack is linear");
    expect(HEAD "  - {layers: 4, attention_every: 8, attention_offset: 7, " MOE
                ", linear: {heads: 4, key_dim: 8, value_dim: 8}}\n",
           NULL); /* all of them are linear */
    expect(SPARSE("index_heads: 2, index_dim: 8, index_top_k: 64"), NULL);
    expect(SPARSE("index_heads: 2, index_dim: 8"), "attention wants 'index_top_k'");
    expect(SPARSE("index_top_k: 64"), "attention wants 'index_heads'");
    expect(SPARSE("index_heads: 2, index_top_k: 64"), "attention wants 'index_dim'");
    expect(SPARSE("index_heads: 2, index_dim: 8, index_top_k: 64, window: 8"),
           "a sliding window and an indexer cannot both choose the keys");
    expect(HEAD "  - {layers: 2, attention: {kind: mla, heads: 4, kv_lora: 8, nope_dim: 8, "
                "rope_dim: 4, value_dim: 8, output_gate: true}, " MOE "}\n",
           "'output_gate' belongs to kind heads");
}

static void
names_from_files(void)
{
    static const char yaml[] = HEAD "  - {layers: 2, " ATTENTION ", " MOE "}\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set =
        moe_preset_parse("dir/tiny.yaml", yaml, sizeof yaml - 1, NULL, diag);

    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    CU_ASSERT_STRING_EQUAL(moe_model_get(set)->name, "tiny");
}

static void
unknown_names(void)
{
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"mixtral-8x7", "s.yaml:3:8: error: unknown model 'mixtral-8x7'; did you mean "
                        "'mixtral-8x7b'?"},
        {"none-such-model", "s.yaml:3:8: error: unknown model 'none-such-model': neither a preset "
                            "nor a file"},
        {"", "unknown model ''"},
        {".", "unknown model '.'"},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(moe_model_set) set =
            moe_model_load(cases[i].name, NULL, (moe_loc){"s.yaml", 3, 8, 0}, diag, &error);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!set && !error && strstr(text, cases[i].message), "%s: %s", cases[i].name, text);
    }
}

/* A path relative to the file that names it. */
static void
relative_paths(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_model_set) set = moe_model_load(
        "config/olmoe-1b-7b.json", MOE_SOURCE_DIR "/tests/unit/data", (moe_loc){0}, diag, &error);

    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    CU_ASSERT_EQUAL(moe_model_get(set)->hidden, 2048);
}

/* Two rounds of two experts over two layers: four routers, the experts and all else of two. */
static void
rounds(void)
{
    static const char *const once = HEAD "  - {layers: 2, " ATTENTION ", " MOE "}\n";
    static const char *const twice =
        HEAD "  - {layers: 2, " ATTENTION ", moe: {experts: 4, top_k: 2, rounds: 2, width: 8}}\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) a = moe_preset_parse("m.yaml", once, strlen(once), NULL, diag);
    g_autoptr(moe_model_set) b = moe_preset_parse("m.yaml", twice, strlen(twice), NULL, diag);
    CU_ASSERT_TRUE_FATAL(a && b);
    const moe_model *one = moe_model_get(a), *two = moe_model_get(b);
    const moe_stack *stack = moe_model_decoder(two);
    const moe_ffn *ffn = &stack->layers[1].ffn;
    CU_ASSERT_EQUAL(stack->n_layers, 4);
    CU_ASSERT_EQUAL(stack->n_moe, 4);
    CU_ASSERT_EQUAL(stack->layers[1].moe_index, 1);
    CU_ASSERT_EQUAL(stack->layers[2].moe_index, 2);
    CU_ASSERT_EQUAL(stack->layers[1].attention.kind, MOE_ATTENTION_NONE);
    CU_ASSERT_TRUE(ffn->again && !stack->layers[2].ffn.again);
    CU_ASSERT_EQUAL(moe_model_total(two) - moe_model_total(one), 2 * 4 * 64);
    CU_ASSERT_EQUAL(moe_model_active(two, "all") - moe_model_active(one, "all"),
                    2 * 4 * 64 + 2 * 2 * moe_expert_params(two, ffn));
}

MOE_TESTS({"rounds", rounds}, {"presets that are wrong", presets_that_are_wrong},
          {"kinds that are wrong", kinds_that_are_wrong}, {"names from files", names_from_files},
          {"unknown names", unknown_names}, {"relative paths", relative_paths})
