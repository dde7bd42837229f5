/* config.json -> moe_arch, after transformers' modeling_*.py of each family. Shapes come from the
 * model that models/ makes of the same file; this reads what remains, and refuses keys whose values
 * would make the computation another one. */
#include "profiler/arch.h"

#include "models/hf_keys.h"
#include "models/set.h"
#include "profiler/arch_rope.h"

#include <math.h>
#include <string.h>

struct moe_arch_set {
    moe_arch arch;
    moe_model_set *model;
    double *inverse;
};

typedef struct arch_reader {
    moe_hf_reader hf;
    moe_arch *arch;
    moe_rope_config rope;
} arch_reader;

typedef struct arch_family {
    const char *model_type;
    double theta; /* rope_theta when the config has none */
    void (*read)(arch_reader *r);
} arch_family;

static void
arch_refuse(const arch_reader *r, const char *key, const char *what)
{
    moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf), "key %s: %s is not computed", key, what);
}

/* A key that must have this value if it is there at all. */
static void
arch_expect(const arch_reader *r, const char *key, const char *value)
{
    const char *text = moe_hf_text(&r->hf, r->hf.root, key);
    g_autofree char *quoted = g_strdup_printf("'%s'", text ? text : "");
    if (text && strcmp(text, value))
        arch_refuse(r, key, quoted);
}

static void
arch_expect_false(const arch_reader *r, const char *key)
{
    if (moe_hf_bool(&r->hf, key, false))
        arch_refuse(r, key, "true");
}

/* ---- families ---- */

static void
arch_read_olmoe(arch_reader *r)
{
    r->arch->qkv_clip = (float)moe_hf_real(&r->hf, r->hf.root, "clip_qkv", 0, 0, 1e6);
    r->arch->router.normalise = moe_hf_bool(&r->hf, "norm_topk_prob", false);
}

static void
arch_read_mixtral(arch_reader *r)
{
    r->arch->router.normalise = true;
}

static void
arch_read_qwen(arch_reader *r)
{
    r->arch->router.normalise = moe_hf_bool(&r->hf, "norm_topk_prob", false);
}

/* What the DeepSeeks have in common: MLA, and experts in groups. */
static void
arch_read_deepseek(arch_reader *r, bool grouped, double scale)
{
    moe_router_rule *rule = &r->arch->router;
    arch_expect_false(r, "attention_bias");
    arch_expect_false(r, "mlp_bias");
    r->arch->latent_norm_eps = 1e-6f;
    rule->scale = (float)moe_hf_real(&r->hf, r->hf.root, "routed_scaling_factor", scale, 0, 1e6);
    if (!grouped)
        return;
    rule->groups = (uint32_t)moe_hf_need(&r->hf, "n_group", MOE_HF_EXPERTS);
    rule->top_groups = (uint32_t)moe_hf_need(&r->hf, "topk_group", MOE_HF_EXPERTS);
}

static void
arch_read_deepseek_v2(arch_reader *r)
{
    const char *method = moe_hf_text(&r->hf, r->hf.root, "topk_method");
    bool grouped = method && !strcmp(method, "group_limited_greedy");
    if (!grouped)
        arch_expect(r, "topk_method", "greedy");
    arch_expect(r, "scoring_func", "softmax");
    /* Implementations disagree about it: transformers ignores the key. */
    arch_expect_false(r, "norm_topk_prob");
    arch_read_deepseek(r, grouped, 1);
    r->arch->rope.interleaved = true;
}

static void
arch_read_deepseek_v3(arch_reader *r)
{
    arch_expect(r, "topk_method", "noaux_tc");
    arch_expect(r, "scoring_func", "sigmoid");
    arch_read_deepseek(r, true, 2.5);
    r->arch->router.score = MOE_SCORE_SIGMOID;
    r->arch->router.group_score = MOE_GROUP_TOP_TWO;
    r->arch->router.normalise = moe_hf_bool(&r->hf, "norm_topk_prob", true);
    r->arch->rope.interleaved = moe_hf_bool(&r->hf, "rope_interleave", true);
}

static void
arch_read_gpt_oss(arch_reader *r)
{
    moe_arch *a = r->arch;
    a->router.score = MOE_SCORE_TOPK_SOFTMAX;
    a->activation = MOE_ACTIVATION_CLAMPED_SWIGLU;
    a->swiglu_alpha = (float)moe_hf_real(&r->hf, r->hf.root, "swiglu_alpha", 1.702, 0, 1e6);
    a->swiglu_limit = (float)moe_hf_real(&r->hf, r->hf.root, "swiglu_limit", 7, 0, 1e6);
    if (!moe_hf_get(&r->hf, "rope_parameters") && !moe_hf_get(&r->hf, "rope_scaling"))
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf), "key rope_scaling: missing");
}

static const arch_family arch_families[] = {
    {"olmoe", 1e4, arch_read_olmoe},
    {"mixtral", 1e6, arch_read_mixtral},
    {"qwen2_moe", 1e4, arch_read_qwen},
    {"qwen3_moe", 1e4, arch_read_qwen},
    {"deepseek_v2", 1e4, arch_read_deepseek_v2},
    {"deepseek_v3", 1e4, arch_read_deepseek_v3},
    {"gpt_oss", 150000, arch_read_gpt_oss},
};

static const arch_family *
arch_family_of(const moe_hf_reader *r)
{
    const char *type = moe_hf_text(r, r->root, "model_type");
    const char *names[MOE_COUNT(arch_families) + 1] = {NULL};
    for (size_t i = 0; i < MOE_COUNT(arch_families); i++) {
        names[i] = arch_families[i].model_type;
        if (type && !strcmp(type, names[i]))
            return &arch_families[i];
    }
    g_autofree char *known = g_strjoinv(", ", (char **)(uintptr_t)names);
    if (type)
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key model_type: '%.60s' is no architecture that can be computed; known: %s",
                       type, known);
    else
        moe_diag_error(r->diag, moe_hf_loc(r), "key model_type: missing; known: %s", known);
    return NULL;
}

/* ---- what all have ---- */

static void
arch_end(const arch_reader *r, const cJSON *node)
{
    moe_arch *a = r->arch;
    double id = cJSON_IsNumber(node) ? cJSON_GetNumberValue(node) : -1;
    if (!(id >= 0 && id <= INT32_MAX && id == floor(id)))
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf), "key eos_token_id: wants a token id");
    else if (a->n_ends == MOE_ARCH_MAX_ENDS)
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf), "key eos_token_id: more than %d token ids",
                       MOE_ARCH_MAX_ENDS);
    else
        a->ends[a->n_ends++] = (uint32_t)id;
}

/* What ends a text: a token id, a list of them, or nothing. */
static void
arch_read_ends(const arch_reader *r)
{
    const cJSON *node = moe_hf_get(&r->hf, "eos_token_id"), *item;
    unsigned before = moe_diag_errors(r->hf.diag);
    if (!node || cJSON_IsNull(node))
        return;
    if (!cJSON_IsArray(node)) {
        arch_end(r, node);
        return;
    }
    cJSON_ArrayForEach(item, node)
    {
        arch_end(r, item);
        if (moe_diag_errors(r->hf.diag) != before)
            return;
    }
}

/* Only gpt-oss mixes windowed and full layers (models/hf_config.c reads how). */
static void
arch_check_layer_types(const arch_reader *r)
{
    const cJSON *types = moe_hf_get(&r->hf, "layer_types"), *type;
    if (!strcmp(r->arch->family, "gpt_oss"))
        return;
    cJSON_ArrayForEach(type, types)
    {
        const char *name = cJSON_GetStringValue(type);
        if (!name || strcmp(name, "full_attention")) {
            arch_refuse(r, "layer_types", "anything but 'full_attention'");
            return;
        }
    }
}

static void
arch_check_quantisation(const arch_reader *r)
{
    const cJSON *quantisation = moe_hf_get(&r->hf, "quantization_config");
    const char *method = quantisation ? moe_hf_text(&r->hf, quantisation, "quant_method") : NULL;
    if (!method || (!strcmp(method, "mxfp4") && !strcmp(r->arch->family, "gpt_oss")))
        return;
    moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf),
                   "key quantization_config: weights of quant_method '%.40s' are not computed; "
                   "F32, F16 and BF16 are, and gpt-oss's mxfp4",
                   method);
}

static void
arch_read(arch_reader *r, const arch_family *family)
{
    moe_arch *a = r->arch;
    a->family = family->model_type;
    a->router.scale = 1;
    a->norm_eps = (float)moe_hf_real(&r->hf, r->hf.root, "rms_norm_eps", NAN, 0, 1);
    a->latent_norm_eps = a->norm_eps;
    a->max_context = (uint32_t)moe_hf_need(&r->hf, "max_position_embeddings", INT32_MAX);
    arch_read_ends(r);
    moe_rope_read(&r->hf, family->theta, a->max_context, &r->rope);
    arch_expect(r, "hidden_act", "silu");
    arch_check_layer_types(r);
    arch_check_quantisation(r);
    family->read(r);
}

/* ---- with the model's shapes ---- */

static void
arch_router(const arch_reader *r, const moe_ffn *ffn)
{
    moe_router_rule *rule = &r->arch->router;
    rule->experts = (uint32_t)ffn->experts;
    rule->top_k = (uint32_t)ffn->top_k;
    if (rule->groups <= 1)
        return;
    uint32_t size = rule->experts / rule->groups;
    if (rule->experts % rule->groups)
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf),
                       "key n_group: %u experts cannot be split into %u groups evenly",
                       rule->experts, rule->groups);
    else if (rule->top_groups > rule->groups || rule->top_k > rule->top_groups * size)
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf),
                       "key topk_group: %u of %u groups of %u experts cannot give %u experts",
                       rule->top_groups, rule->groups, size, rule->top_k);
    else if (rule->group_score == MOE_GROUP_TOP_TWO && size < 2)
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf),
                       "key n_group: groups are scored by their best two, but have one expert");
}

static void
arch_attention(arch_reader *r, const moe_attention *attention, moe_arch_set *set)
{
    moe_arch *a = r->arch;
    bool mla = attention->kind == MOE_ATTENTION_MLA;
    int rotated = mla ? attention->rope_dim : attention->head_dim;
    int width = mla ? attention->nope_dim + attention->rope_dim : attention->head_dim;
    if (rotated % 2) {
        moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf),
                       "key %s: %d elements cannot be rotated in pairs",
                       mla ? "qk_rope_head_dim" : "head_dim", rotated);
        return;
    }
    set->inverse = g_new(double, (gsize)MAX(rotated / 2, 1));
    moe_rope_inverse(&r->rope, (uint32_t)rotated, set->inverse);
    a->rope.dim = (uint32_t)rotated;
    a->rope.magnitude = moe_rope_magnitude(&r->rope);
    a->rope.inverse = set->inverse;
    a->score_scale = (float)((mla ? moe_rope_score_factor(&r->rope) : 1) / sqrt(width));
}

/* The shapes of a decoder's layers differ in their windows and feed-forward only. */
static void
arch_shapes(arch_reader *r, moe_arch_set *set)
{
    const moe_stack *stack = moe_model_decoder(set->arch.model);
    arch_attention(r, &stack->layers[0].attention, set);
    for (int l = 0; l < stack->n_layers; l++) {
        if (stack->layers[l].ffn.kind == MOE_FFN_MOE) {
            arch_router(r, &stack->layers[l].ffn);
            return;
        }
    }
    moe_diag_error(r->hf.diag, moe_hf_loc(&r->hf), "no layer has experts");
}

static moe_arch_set *
arch_of(const cJSON *root, const char *path, moe_diag *diag)
{
    g_autoptr(moe_arch_set) set = g_new0(moe_arch_set, 1);
    arch_reader r = {.hf = {.root = root, .file = moe_diag_intern(diag, path), .diag = diag},
                     .arch = &set->arch};
    unsigned before = moe_diag_errors(diag);
    if (!cJSON_IsObject(root)) {
        moe_diag_error(diag, moe_hf_loc(&r.hf), "not a JSON object");
        return NULL;
    }
    const arch_family *family = arch_family_of(&r.hf);
    if (!family)
        return NULL;
    arch_read(&r, family);
    set->model = moe_hf_config_read(root, path, diag);
    if (!set->model || moe_diag_errors(diag) != before)
        return NULL;
    set->arch.model = moe_model_get(set->model);
    arch_shapes(&r, set);
    return moe_diag_errors(diag) == before ? g_steal_pointer(&set) : NULL;
}

moe_arch_set *
moe_arch_parse(const char *name, const char *text, size_t length, moe_diag *diag)
{
    g_autoptr(cJSON) root = moe_json_parse(name, text, length, diag);
    return root ? arch_of(root, name, diag) : NULL;
}

moe_arch_set *
moe_arch_load(const char *config_path, moe_diag *diag, GError **error)
{
    g_autoptr(cJSON) root = moe_json_load(config_path, diag, error);
    return root ? arch_of(root, config_path, diag) : NULL;
}

void
moe_arch_free(moe_arch_set *set)
{
    if (!set)
        return;
    moe_model_free(set->model);
    g_free(set->inverse);
    g_free(set);
}

const moe_arch *
moe_arch_get(const moe_arch_set *set)
{
    return &set->arch;
}
