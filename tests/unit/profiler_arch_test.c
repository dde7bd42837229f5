/* config.json as how to compute: the numbers of transformers 5.24 for every kind of rotary
 * embedding, the rule of each family's router, and what is refused. */
#include "profiler/arch.h"
#include "tests/test.h"

#include <math.h>

#define QWEN3(keys)                                                                                \
    "{\"model_type\": \"qwen3_moe\", \"hidden_size\": 32, \"vocab_size\": 96, "                    \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "           \
    "\"head_dim\": 16, \"moe_intermediate_size\": 16, \"num_experts\": 8, "                        \
    "\"num_experts_per_tok\": 2, \"max_position_embeddings\": 4096, \"rms_norm_eps\": 1e-06" keys  \
    "}"
/* Sizes of DeepSeek-V2-Lite's heads. */
#define DEEPSEEK(type, keys)                                                                       \
    "{\"model_type\": \"deepseek_" type "\", \"hidden_size\": 2048, \"vocab_size\": 96, "          \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 16, \"kv_lora_rank\": 512, "               \
    "\"q_lora_rank\": null, \"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, "                 \
    "\"v_head_dim\": 128, \"n_routed_experts\": 8, \"n_shared_experts\": 2, "                      \
    "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 16, \"intermediate_size\": 24, "       \
    "\"first_k_dense_replace\": 1, \"max_position_embeddings\": 163840, "                          \
    "\"rms_norm_eps\": 1e-05" keys "}"
#define GPT_OSS(keys)                                                                              \
    "{\"model_type\": \"gpt_oss\", \"hidden_size\": 64, \"vocab_size\": 96, "                      \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "           \
    "\"head_dim\": 64, \"intermediate_size\": 32, \"num_local_experts\": 8, "                      \
    "\"num_experts_per_tok\": 4, \"sliding_window\": 128, \"max_position_embeddings\": 131072, "   \
    "\"rms_norm_eps\": 1e-05" keys "}"
#define PLAIN(type, keys)                                                                          \
    "{\"model_type\": \"" type "\", \"hidden_size\": 64, \"vocab_size\": 96, "                     \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 32, "            \
    "\"num_experts\": 8, \"num_local_experts\": 8, \"num_experts_per_tok\": 2, "                   \
    "\"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-05" keys "}"

static moe_arch_set *
parse(const char *json)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_arch_set *set = moe_arch_parse("config.json", json, strlen(json), diag);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(set && !*text, "%s\nsays %s", json, text);
    return set;
}

#define YARN_V2                                                                                    \
    "\"beta_fast\": 32, \"beta_slow\": 1, \"factor\": 40, \"mscale\": 0.707, "                     \
    "\"mscale_all_dim\": 0.707, \"original_max_position_embeddings\": 4096"
#define YARN_OSS                                                                                   \
    "\"beta_fast\": 32.0, \"beta_slow\": 1.0, \"factor\": 32.0, "                                  \
    "\"original_max_position_embeddings\": 4096, \"truncate\": false"

/* Expected angles are transformers', in single precision. */
static const struct {
    const char *name, *json;
    double magnitude, score_scale;
    uint32_t n; /* angles given */
    double inverse[32];
} ropes[] = {
    {"default",
     QWEN3(""),
     1,
     0.25,
     8,
     {1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
      0.000316227786}},
    {"theta of transformers 4",
     QWEN3(", \"rope_theta\": 10000.0, \"rope_scaling\": null"),
     1,
     0.25,
     2,
     {1, 0.316227764}},
    {"linear",
     QWEN3(", \"rope_parameters\": {\"rope_type\": \"linear\", \"rope_theta\": 10000.0, "
           "\"factor\": 4.0}"),
     1,
     0.25,
     8,
     {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"llama3",
     QWEN3(", \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500000.0, "
           "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
           "\"original_max_position_embeddings\": 512}"),
     1,
     0.25,
     8,
     {1, 0.193922758, 0.0273441337, 0.000911583134, 0.000176776681, 3.42810235e-05, 6.64786967e-06,
      1.28917316e-06}},
    {"yarn",
     QWEN3(", \"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 1000000.0, "
           "\"factor\": 4.0, \"original_max_position_embeddings\": 1024}"),
     1.138629436111989,
     0.25,
     8,
     {1, 0.133370951, 0.0158113893, 0.00140585331, 0.000250000012, 4.44569851e-05, 7.90569356e-06,
      1.40585337e-06}},
    {"yarn, two mscales, factor from the contexts",
     QWEN3(", \"rope_theta\": 10000.0, \"rope_scaling\": {\"type\": \"yarn\", "
           "\"original_max_position_embeddings\": 1024, \"mscale\": 1.0, \"mscale_all_dim\": 0.5}"),
     1.0648216253695715,
     0.25,
     8,
     {1, 0.316227764, 0.0812500045, 0.0197642371, 0.00437500002, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"yarn, attention_factor, betas",
     QWEN3(", \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
           "\"original_max_position_embeddings\": 1024, \"attention_factor\": 1.25, "
           "\"beta_fast\": 16, \"beta_slow\": 2}"),
     1.25,
     0.25,
     8,
     {1, 0.316227764, 0.100000001, 0.0197642371, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {"DeepSeek-V2-Lite",
     DEEPSEEK("v2", ", \"rope_theta\": 10000, \"rope_scaling\": {\"type\": \"yarn\", " YARN_V2 "}"),
     1,
     0.1147213867929261,
     32,
     {1,
      0.749894202,
      0.562341332,
      0.421696514,
      0.316227764,
      0.237137362,
      0.177827939,
      0.133352146,
      0.100000001,
      0.0749894157,
      0.0562341288,
      0.0390069261,
      0.0268793609,
      0.0183781441,
      0.012447956,
      0.0083345091,
      0.00550000044,
      0.00356199732,
      0.00224936521,
      0.00137051346,
      0.000790569407,
      0.000414990413,
      0.00017782794,
      3.3338034e-05,
      2.49999994e-05,
      1.87473543e-05,
      1.40585325e-05,
      1.05424124e-05,
      7.90569447e-06,
      5.92843435e-06,
      4.44569832e-06,
      3.33380353e-06}},
    {"gpt-oss",
     GPT_OSS(", \"rope_theta\": 150000, \"rope_scaling\": {\"rope_type\": \"yarn\", " YARN_OSS "}"),
     1.3465735902799727,
     0.125,
     32,
     {1,
      0.689044297,
      0.47478205,
      0.327145875,
      0.225418001,
      0.155322984,
      0.107024424,
      0.0737445652,
      0.0508132726,
      0.0317056961,
      0.0193349998,
      0.0115920492,
      0.00679495931,
      0.00386035908,
      0.00209379266,
      0.00105260219,
      0.000456483918,
      0.000129318694,
      3.83088118e-05,
      2.63964685e-05,
      1.8188337e-05,
      1.25325696e-05,
      8.63549576e-06,
      5.95023948e-06,
      4.09997847e-06,
      2.82506676e-06,
      1.94659629e-06,
      1.34129095e-06,
      9.24208962e-07,
      6.36820914e-07,
      4.38797855e-07,
      3.0235114e-07}},
};

static bool
near(double a, double b)
{
    return fabs(a - b) <= 2e-6 * fabs(b);
}

static void
rotates_as_transformers_does(void)
{
    for (size_t i = 0; i < MOE_COUNT(ropes); i++) {
        g_autoptr(moe_arch_set) set = parse(ropes[i].json);
        if (!set)
            continue;
        const moe_arch *a = moe_arch_get(set);
        MOE_CHECK(near(a->rope.magnitude, ropes[i].magnitude), "%s: magnitude %.9g, not %.9g",
                  ropes[i].name, a->rope.magnitude, ropes[i].magnitude);
        MOE_CHECK(near(a->score_scale, ropes[i].score_scale), "%s: scale %.9g, not %.9g",
                  ropes[i].name, a->score_scale, ropes[i].score_scale);
        MOE_CHECK(a->rope.dim >= 2 * ropes[i].n, "%s: %u", ropes[i].name, a->rope.dim);
        for (uint32_t p = 0; p < ropes[i].n; p++)
            MOE_CHECK(near(a->rope.inverse[p], ropes[i].inverse[p]), "%s: angle %u: %.9g, not %.9g",
                      ropes[i].name, p, a->rope.inverse[p], ropes[i].inverse[p]);
    }
}

#define GROUPS ", \"n_group\": 4, \"topk_group\": 2"

static const struct {
    const char *json;
    moe_router_rule rule;
} rules[] = {
    {PLAIN("olmoe", ""), {MOE_SCORE_SOFTMAX, 8, 2, .scale = 1}},
    {PLAIN("olmoe", ", \"norm_topk_prob\": true"),
     {MOE_SCORE_SOFTMAX, 8, 2, .normalise = true, .scale = 1}},
    {PLAIN("mixtral", ""), {MOE_SCORE_SOFTMAX, 8, 2, .normalise = true, .scale = 1}},
    {PLAIN("qwen2_moe", ", \"moe_intermediate_size\": 16, \"shared_expert_intermediate_size\": 24"),
     {MOE_SCORE_SOFTMAX, 8, 2, .scale = 1}},
    {QWEN3(", \"norm_topk_prob\": true"), {MOE_SCORE_SOFTMAX, 8, 2, .normalise = true, .scale = 1}},
    {DEEPSEEK("v2", ", \"topk_method\": \"greedy\"" GROUPS), {MOE_SCORE_SOFTMAX, 8, 2, .scale = 1}},
    {DEEPSEEK("v2", ", \"topk_method\": \"group_limited_greedy\", "
                    "\"routed_scaling_factor\": 16.0" GROUPS),
     {MOE_SCORE_SOFTMAX, 8, 2, 4, 2, MOE_GROUP_BEST, false, 16}},
    {DEEPSEEK("v3", ", \"scoring_func\": \"sigmoid\"" GROUPS),
     {MOE_SCORE_SIGMOID, 8, 2, 4, 2, MOE_GROUP_TOP_TWO, true, 2.5f}},
    {GPT_OSS(", \"rope_scaling\": {\"rope_type\": \"yarn\", " YARN_OSS "}"),
     {MOE_SCORE_TOPK_SOFTMAX, 8, 4, .scale = 1}},
};

static void
routes_by_its_family(void)
{
    for (size_t i = 0; i < MOE_COUNT(rules); i++) {
        g_autoptr(moe_arch_set) set = parse(rules[i].json);
        if (!set)
            continue;
        const moe_router_rule *got = &moe_arch_get(set)->router, *want = &rules[i].rule;
        MOE_CHECK(got->score == want->score && got->experts == want->experts &&
                      got->top_k == want->top_k && got->groups == want->groups &&
                      got->top_groups == want->top_groups &&
                      got->group_score == want->group_score && got->normalise == want->normalise &&
                      got->scale == want->scale,
                  "%s: score %d, %u of %u, groups %u of %u (%d), normalise %d, scale %g",
                  rules[i].json, got->score, got->top_k, got->experts, got->top_groups, got->groups,
                  got->group_score, got->normalise, got->scale);
    }
}

static void
reads_the_rest(void)
{
    g_autoptr(moe_arch_set) olmoe =
        parse(PLAIN("olmoe", ", \"clip_qkv\": 8.0, \"eos_token_id\": [7, 8]"));
    g_autoptr(moe_arch_set) oss = parse(GPT_OSS(
        ", \"dtype\": \"bfloat16\", \"rope_scaling\": {\"rope_type\": \"yarn\", " YARN_OSS "}"));
    g_autoptr(moe_arch_set) v2 = parse(DEEPSEEK("v2", ", \"torch_dtype\": \"float16\""));
    g_autoptr(moe_arch_set) five = parse(PLAIN("mixtral", ", \"num_key_value_heads\": 2"));
    if (!olmoe || !oss || !v2 || !five)
        return;
    const moe_arch *a = moe_arch_get(olmoe);
    CU_ASSERT_STRING_EQUAL(a->family, "olmoe");
    CU_ASSERT(a->qkv_clip == 8 && a->n_ends == 2 && a->ends[0] == 7 && a->ends[1] == 8);
    CU_ASSERT(a->max_context == 128 && a->norm_eps == 1e-5f && a->latent_norm_eps == 1e-5f);
    CU_ASSERT(a->activation == MOE_ACTIVATION_SILU && !a->rope.interleaved);
    a = moe_arch_get(oss);
    CU_ASSERT(a->activation == MOE_ACTIVATION_CLAMPED_SWIGLU);
    CU_ASSERT(a->swiglu_alpha == 1.702f && a->swiglu_limit == 7 && a->n_ends == 0);
    CU_ASSERT_EQUAL(moe_model_decoder(a->model)->layers[0].attention.window, 128);
    CU_ASSERT_EQUAL(moe_model_decoder(a->model)->layers[1].attention.window, 0);
    a = moe_arch_get(v2);
    CU_ASSERT(a->rope.interleaved && a->rope.dim == 64);
    CU_ASSERT(a->norm_eps == 1e-5f && a->latent_norm_eps == 1e-6f);
    /* Mixtral's rope_theta when the config has none. */
    MOE_CHECK(near(moe_arch_get(five)->rope.inverse[1], pow(1e6, -1.0 / 8)), "%g",
              moe_arch_get(five)->rope.inverse[1]);
}

static const struct {
    const char *json;
    const char *messages[3]; /* all of them come */
} wrong[] = {
    {"{\"model_type\": \"llama\"}",
     {"config.json: error: key model_type: 'llama' is no architecture that can be computed; known: "
      "olmoe, mixtral, qwen2_moe, qwen3_moe, deepseek_v2, deepseek_v3, gpt_oss\n"}},
    {"{\"model_type\": \"phimoe\"}", {"'phimoe' is no architecture that can be computed"}},
    {"{}", {"key model_type: missing; known: olmoe"}},
    {"[]", {"config.json: error: not a JSON object"}},
    {"{\"model_type\": \"olmoe\"}",
     {"key num_experts: missing", "key rms_norm_eps: missing",
      "key max_position_embeddings: missing"}},
    {QWEN3(", \"hidden_act\": \"gelu\""), {"key hidden_act: 'gelu' is not computed"}},
    {QWEN3(", \"rope_theta\": 1, \"eos_token_id\": -3"),
     {"key rope_theta: wants a number from 2 to 1e+12", "key eos_token_id: wants a token id"}},
    {QWEN3(", \"eos_token_id\": [1, \"a\"]"), {"key eos_token_id: wants a token id"}},
    {QWEN3(", \"rope_scaling\": 4"), {"key rope_scaling: wants an object"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"longrope\"}"),
     {"key rope_type: 'longrope' is not computed; known: default, linear, llama3, yarn"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"yarn\", \"truncate\": 0}"),
     {"key truncate: wants true or false"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"linear\"}"), {"key factor: missing"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}"),
     {"key factor: wants a number from 1"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}"),
     {"key low_freq_factor: missing", "key high_freq_factor: missing"}},
    {QWEN3(", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
           "\"high_freq_factor\": 4}"),
     {"key high_freq_factor: must be above low_freq_factor"}},
    {QWEN3(", \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}"),
     {"by kind of layer ('full_attention') is not computed"}},
    {QWEN3(", \"partial_rotary_factor\": 0.5"), {"key partial_rotary_factor: heads that rotate"}},
    {QWEN3(", \"rms_norm_eps\": 2"), {"key rms_norm_eps: written twice"}},
    {QWEN3(", \"layer_types\": [\"full_attention\", \"sliding_attention\"]"),
     {"key layer_types: anything but 'full_attention' is not computed"}},
    {QWEN3(", \"quantization_config\": {\"quant_method\": \"awq\"}"),
     {"weights of quant_method 'awq' are not computed"}},
    {PLAIN("olmoe", ", \"head_dim\": 15"), {"key head_dim: 15 elements cannot be rotated"}},
    {DEEPSEEK("v2", ", \"attention_bias\": true, \"norm_topk_prob\": true"),
     {"key attention_bias: true is not computed", "key norm_topk_prob: true is not computed"}},
    {DEEPSEEK("v2", ", \"topk_method\": \"noaux_tc\", \"scoring_func\": \"sigmoid\""),
     {"key topk_method: 'noaux_tc' is not computed",
      "key scoring_func: 'sigmoid' is not computed"}},
    {DEEPSEEK("v3", ""), {"key n_group: missing", "key topk_group: missing"}},
    {DEEPSEEK("v3", ", \"n_group\": 3, \"topk_group\": 1"),
     {"key n_group: 8 experts cannot be split into 3 groups evenly"}},
    {DEEPSEEK("v3", ", \"n_group\": 2, \"topk_group\": 3"),
     {"key topk_group: 3 of 2 groups of 4 experts cannot give 2 experts"}},
    {DEEPSEEK("v3", ", \"n_group\": 8, \"topk_group\": 2"), {"but have one expert"}},
    {GPT_OSS(""), {"key rope_scaling: missing"}},
};

static void
refuses(void)
{
    for (size_t i = 0; i < MOE_COUNT(wrong); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_arch_set) set =
            moe_arch_parse("config.json", wrong[i].json, strlen(wrong[i].json), diag);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!set, "%s was read", wrong[i].json);
        for (size_t m = 0; m < MOE_COUNT(wrong[i].messages) && wrong[i].messages[m]; m++)
            MOE_CHECK(strstr(text, wrong[i].messages[m]), "%s\nsays: %swanted: %s", wrong[i].json,
                      text, wrong[i].messages[m]);
    }
}

static void
absent_file(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_arch_set) set = moe_arch_load("/nowhere/config.json", diag, &error);
    MOE_CHECK(!set && error && strstr(error->message, "/nowhere/config.json"), "%s",
              error ? error->message : "no error");
}

MOE_TESTS({"rotates as transformers does", rotates_as_transformers_does},
          {"routes by its family", routes_by_its_family}, {"reads the rest", reads_the_rest},
          {"refuses", refuses}, {"absent file", absent_file})
