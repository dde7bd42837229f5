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
          {"names from files", names_from_files}, {"unknown names", unknown_names},
          {"relative paths", relative_paths})
