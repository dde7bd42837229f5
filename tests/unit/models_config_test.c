/* Hugging Face config.json: the same models as the presets, and every way to be wrong. */
#include "models/model.h"
#include "models/set.h"
#include "sim/base/data.h"
#include "tests/test.h"

#define DATA MOE_SOURCE_DIR "/tests/unit/data/config/"

static char *
canonical(const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_model_set) set = moe_model_load(name, NULL, (moe_loc){0}, diag, &error);
    g_autofree char *text = moe_diag_render(diag);

    MOE_CHECK(set && !error, "%s: %s%s", name, text, error ? error->message : "");
    MOE_CHECK(!*text, "%s", text);
    GString *out = g_string_new(NULL);
    if (set)
        moe_model_canonical(moe_model_get(set), out);
    return g_string_free(out, FALSE);
}

static void
same_as_presets(void)
{
    g_auto(GStrv) names = moe_data_presets("models/presets");
    unsigned compared = 0;

    for (size_t i = 0; names && names[i]; i++) {
        g_autofree char *path = g_strconcat(DATA, names[i], ".json", NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        g_autofree char *preset = canonical(names[i]);
        g_autofree char *config = canonical(path);
        MOE_CHECK(*preset && !strcmp(preset, config), "%s:\npreset:\n%s\nconfig:\n%s", names[i],
                  preset, config);
        compared++;
    }
    MOE_CHECK(compared >= 21, "%u", compared);
}

/* What a config says when `text` is read; NULL text: it loads. */
static void
expect(const char *json, const char *message)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set = moe_hf_config_parse("config.json", json, strlen(json), diag);
    g_autofree char *text = moe_diag_render(diag);

    if (!message) {
        MOE_CHECK(set, "%s: %s", json, text);
        return;
    }
    MOE_CHECK(!set && strstr(text, message), "%s\nsays: %swanted: %s", json, text, message);
    MOE_CHECK(moe_diag_errors(diag) > 0, "%s", json);
}

#define MIXTRAL(changes)                                                                           \
    "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"vocab_size\": 10, "                      \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 32, "            \
    "\"num_local_experts\": 4" changes "}"
#define TOP2 ", \"num_experts_per_tok\": 2"

static void
wrong_values(void)
{
    expect(MIXTRAL(TOP2), NULL);
    expect(MIXTRAL(""), "config.json: error: key num_experts_per_tok: missing");
    expect(MIXTRAL(", \"num_experts_per_tok\": 5"), "only 4");
    expect(MIXTRAL(", \"num_experts_per_tok\": 0"), "key num_experts_per_tok: wants an integer");
    expect(MIXTRAL(", \"num_experts_per_tok\": 1.5"), "key num_experts_per_tok: wants an integer");
    expect(MIXTRAL(", \"num_experts_per_tok\": 1e30"), "key num_experts_per_tok: wants");
    expect(MIXTRAL(", \"num_experts_per_tok\": \"2\""), "key num_experts_per_tok: wants");
    expect(MIXTRAL(", \"num_experts_per_tok\": null"), "key num_experts_per_tok: missing");
    expect(MIXTRAL(TOP2 ", \"tie_word_embeddings\": 1"), "wants true or false");
    expect(MIXTRAL(TOP2 ", \"torch_dtype\": \"int3\""), "key torch_dtype: 'int3' is none of");
    expect(MIXTRAL(TOP2 ", \"torch_dtype\": 16"), "key torch_dtype: wants a text");
    expect(MIXTRAL(TOP2 ", \"num_key_value_heads\": 3"), "evenly");
    expect(MIXTRAL(TOP2 ", \"head_dim\": 0"), "head_dim");
    expect("{\"hidden_size\": 1}", "key model_type: missing; known: mixtral, olmoe, gpt_oss");
    expect("{\"model_type\": \"llama\"}", "unknown architecture 'llama'; known: mixtral");
    expect("[1]", "not a JSON object");
    expect("{\"model_type\": \"gpt_oss\", \"hidden_size\": 64, \"vocab_size\": 10, "
           "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 32, "
           "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, \"sliding_window\": 8, "
           "\"layer_types\": [\"full_attention\", \"full_attention\"]}",
           "key layer_types: entry 0 is not 'sliding_attention'");
    expect("{\"model_type\": \"qwen3_moe\", \"hidden_size\": 64, \"vocab_size\": 10, "
           "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"moe_intermediate_size\": 32, "
           "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"mlp_only_layers\": [2]}",
           "key mlp_only_layers");
}

#define MINIMAX(changes)                                                                           \
    "{\"model_type\": \"minimax_m1\", \"hidden_size\": 64, \"vocab_size\": 10, "                   \
    "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"intermediate_size\": 32, "            \
    "\"num_local_experts\": 4, \"num_experts_per_tok\": 2" changes "}"
#define JAMBA(changes)                                                                             \
    "{\"model_type\": \"jamba\", \"hidden_size\": 64, \"vocab_size\": 10, "                        \
    "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"intermediate_size\": 32, "            \
    "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"attn_layer_period\": 4, "                   \
    "\"expert_layer_period\": 2, \"mamba_expand\": 2, \"mamba_d_state\": 8, "                      \
    "\"mamba_d_conv\": 4" changes "}"

/* Lists of layers, and what only some families have. */
static void
layer_lists(void)
{
    expect(MINIMAX(", \"attn_type_list\": [0, 1, 0, 1]"), NULL);
    expect(MINIMAX(", \"attn_type_list\": [0, 0, 1, 0]"), NULL); /* one with keys */
    expect(MINIMAX(", \"attn_type_list\": [0, 0, 0, 0]"), NULL);
    expect(MINIMAX(", \"layer_types\": [\"linear_attention\", \"full_attention\", "
                   "\"linear_attention\", \"full_attention\"]"),
           NULL);
    expect(MINIMAX(""), "key attn_type_list: missing");
    expect(MINIMAX(", \"attn_type_list\": [0, 1, 1, 0]"),
           "key attn_type_list: entry 1 breaks the pattern of those before it; write a preset");
    expect(MINIMAX(", \"attn_type_list\": [1, 0, 1, 1]"), "entry 3 breaks the pattern");
    expect(MINIMAX(", \"attn_type_list\": [0, 1, 0]"),
           "key attn_type_list: 3 entries for 4 layers");
    expect(MINIMAX(", \"attn_type_list\": [0, 2, 0, 1]"),
           "key attn_type_list: entry 1 is neither attention nor linear");
    expect(MINIMAX(", \"attn_type_list\": [0, \"x\", 0, 1]"), "entry 1 is neither");
    expect(MINIMAX(", \"attn_type_list\": 7"), "key attn_type_list: 0 entries for 4 layers");
    expect(JAMBA(""), NULL);
    expect(JAMBA(", \"mamba_dt_rank\": \"auto\""), NULL);
    expect(JAMBA(", \"mamba_dt_rank\": 0"), "key mamba_dt_rank: wants an integer");
    expect(JAMBA(", \"attn_layer_offset\": 4"), "'attention_offset' must be below");
    expect(JAMBA(", \"mamba_proj_bias\": true"), "key mamba_proj_bias: only false is known");
    expect(JAMBA(", \"mamba_conv_bias\": false"), "key mamba_conv_bias: only true is known");
}

static void
not_json(void)
{
    expect("", "config.json:1:1: error: not JSON");
    expect("{", "not JSON");
    expect("{} x", "text after the end");
    expect("{}\n{}", "config.json:2:1: error: text after the end");
    expect("{\"a\": 01}", "config.json:1:7: error: not a JSON number");
    expect("{\"a\": 1-2}", "not a JSON number");
    expect("{\"a\": 1.}", "not a JSON number");
    expect("{\"a\": .5}", "not JSON");
    expect("{\"a\": +1}", "not JSON");
    expect("{\"a\": 0x10}", "not a JSON number");
    expect("{\"a\": -}", "not a JSON number");
    expect("{\"a\": nan}", "not JSON");
    expect("{\"a\": 1, \"a\": 2}", "key a: written twice");
    expect("{\"a\": {\"b\": 1, \"b\": 2}}", "key b: written twice");
    expect("{\"a\": \"\xFF\"}", "config.json:1:8: error: not UTF-8");
    expect("{\"a\": \"\t\"}", "a control character");
    expect("{\"a\": \"\\u0000\"}", "a NUL character");
    expect("{\"a\": \"b}", "does not end");
    expect("\xEF\xBB\xBF{}", "not JSON");

    g_autoptr(GString) deep = g_string_new(NULL);
    for (int i = 0; i < 100000; i++)
        g_string_append_c(deep, '[');
    expect(deep->str, "nested deeper than 32");

    g_autofree char *big = g_malloc0((5u << 20) + 1);
    memset(big, ' ', 5u << 20);
    expect(big, "more than 4 MiB");

    g_autoptr(moe_diag) diag = moe_diag_new();
    CU_ASSERT_PTR_NULL(moe_hf_config_parse("c", "{}\0", 3, diag));
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 1);
}

/* A checkpoint quantised in a way that is not read still loads, with a warning. */
static void
foreign_quantisation(void)
{
    const char *json = MIXTRAL(TOP2 ", \"quantization_config\": {\"quant_method\": \"gptq\"}");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set = moe_hf_config_parse("config.json", json, strlen(json), diag);

    CU_ASSERT_PTR_NOT_NULL(set);
    CU_ASSERT_EQUAL(moe_diag_warnings(diag), 1);
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 0);
}

/* Keys that transformers 5 names otherwise, or leaves out. */
static void
transformers_5(void)
{
    static const char *const json[] = {
        "{\"model_type\": \"qwen3_moe\", \"hidden_size\": 64, \"vocab_size\": 10, "
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"moe_intermediate_size\": 32, "
        "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, \"dtype\": \"float32\"}",
        "{\"model_type\": \"deepseek_v3\", \"hidden_size\": 64, \"vocab_size\": 10, "
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"moe_intermediate_size\": 32, "
        "\"n_routed_experts\": 4, \"num_experts_per_tok\": 2, \"q_lora_rank\": null, "
        "\"kv_lora_rank\": 8, \"qk_nope_head_dim\": 8, \"qk_rope_head_dim\": 4, "
        "\"v_head_dim\": 8}",
    };
    for (size_t i = 0; i < MOE_COUNT(json); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_model_set) set = moe_hf_config_parse("c", json[i], strlen(json[i]), diag);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(set && !*text, "%s: %s", json[i], text);
        if (!set)
            continue;
        const moe_ffn *ffn = &moe_model_get(set)->stacks[0].layers[1].ffn;
        MOE_CHECK(ffn->experts == 4 && ffn->router_bias == (i == 1), "%s: %d experts, bias %d",
                  json[i], ffn->experts, ffn->router_bias);
        CU_ASSERT_EQUAL(moe_model_get(set)->weight_bits, i == 1 ? 16 : 32);
    }
}

MOE_TESTS({"the same models as the presets", same_as_presets}, {"wrong values", wrong_values},
          {"lists of layers", layer_lists}, {"not JSON", not_json},
          {"foreign quantisation", foreign_quantisation}, {"transformers 5", transformers_5})
