#include "profiler/weights_names.h"

#include <string.h>

enum {
    OLMOE = 1,
    MIXTRAL = 2,
    QWEN2 = 4,
    QWEN3 = 8,
    DEEPSEEK_V2 = 16,
    DEEPSEEK_V3 = 32,
    GPT_OSS = 64,
    DEEPSEEK = DEEPSEEK_V2 | DEEPSEEK_V3,
    ALL = 127,
};

static const struct {
    const char *name;
    unsigned bit;
} families[] = {
    {"olmoe", OLMOE},     {"mixtral", MIXTRAL},         {"qwen2_moe", QWEN2},
    {"qwen3_moe", QWEN3}, {"deepseek_v2", DEEPSEEK_V2}, {"deepseek_v3", DEEPSEEK_V3},
    {"gpt_oss", GPT_OSS},
};

#define MODEL(member) WEIGHTS_MODEL, offsetof(moe_weights, member)
#define LAYER(member) WEIGHTS_LAYER, offsetof(moe_layer_weights, member)
#define EXPERT(member) WEIGHTS_EXPERT, offsetof(moe_mlp, member)
#define ONE WEIGHTS_ONE
#define VECTOR(size) WEIGHTS_##size, WEIGHTS_1
#define MATRIX(rows, cols) WEIGHTS_##rows, WEIGHTS_##cols
#define L "model.layers.{L}."

/* Names as the Hub's checkpoints have them. transformers 5 keeps them when it saves, unless told
 * not to (save_original_format=False): then the experts of a layer are two tensors, and Mixtral's
 * block_sparse_moe is mlp. gpt-oss has them fused from the start: as MXFP4 on the Hub, else
 * transposed. */
/* clang-format off */
const weights_name moe_weights_names[] = {
    {ALL, MODEL(embedding),    ONE, "model.embed_tokens.weight", MATRIX(VOCAB, HIDDEN)},
    {ALL, MODEL(final_norm),   ONE, "model.norm.weight",         VECTOR(HIDDEN)},
    {ALL, MODEL(unembedding),  ONE, "lm_head.weight",            MATRIX(UNTIED, HIDDEN)},

    {ALL, LAYER(attention_norm),   ONE, L "input_layernorm.weight",          VECTOR(HIDDEN)},
    {ALL, LAYER(ffn_norm),         ONE, L "post_attention_layernorm.weight", VECTOR(HIDDEN)},
    {ALL, LAYER(attention.o),      ONE, L "self_attn.o_proj.weight",  MATRIX(HIDDEN, V)},
    {ALL, LAYER(attention.o_bias), ONE, L "self_attn.o_proj.bias",    VECTOR(O_BIAS)},

    /* attention by heads; MLA without q_lora has q_proj too */
    {ALL, LAYER(attention.q),      ONE, L "self_attn.q_proj.weight",  MATRIX(Q, HIDDEN)},
    {ALL, LAYER(attention.k),      ONE, L "self_attn.k_proj.weight",  MATRIX(KV, HIDDEN)},
    {ALL, LAYER(attention.v),      ONE, L "self_attn.v_proj.weight",  MATRIX(KV, HIDDEN)},
    {ALL, LAYER(attention.q_bias), ONE, L "self_attn.q_proj.bias",    VECTOR(Q_BIAS)},
    {ALL, LAYER(attention.k_bias), ONE, L "self_attn.k_proj.bias",    VECTOR(KV_BIAS)},
    {ALL, LAYER(attention.v_bias), ONE, L "self_attn.v_proj.bias",    VECTOR(KV_BIAS)},
    {ALL, LAYER(attention.q_norm), ONE, L "self_attn.q_norm.weight",  VECTOR(Q_NORM)},
    {ALL, LAYER(attention.k_norm), ONE, L "self_attn.k_norm.weight",  VECTOR(K_NORM)},
    {ALL, LAYER(attention.sinks),  ONE, L "self_attn.sinks",          VECTOR(SINKS)},

    /* MLA */
    {DEEPSEEK, LAYER(attention.q_a),       ONE, L "self_attn.q_a_proj.weight",           MATRIX(Q_LORA, HIDDEN)},
    {DEEPSEEK, LAYER(attention.q_a_norm),  ONE, L "self_attn.q_a_layernorm.weight",      VECTOR(Q_LORA)},
    {DEEPSEEK, LAYER(attention.q),         ONE, L "self_attn.q_b_proj.weight",           MATRIX(Q_B, Q_LORA)},
    {DEEPSEEK, LAYER(attention.kv_a),      ONE, L "self_attn.kv_a_proj_with_mqa.weight", MATRIX(KV_A, HIDDEN)},
    {DEEPSEEK, LAYER(attention.kv_a_norm), ONE, L "self_attn.kv_a_layernorm.weight",     VECTOR(KV_LORA)},
    {DEEPSEEK, LAYER(attention.kv_b),      ONE, L "self_attn.kv_b_proj.weight",          MATRIX(KV_B, KV_LORA)},

    /* layers without experts */
    {ALL, LAYER(dense.gate), ONE, L "mlp.gate_proj.weight", MATRIX(DENSE, HIDDEN)},
    {ALL, LAYER(dense.up),   ONE, L "mlp.up_proj.weight",   MATRIX(DENSE, HIDDEN)},
    {ALL, LAYER(dense.down), ONE, L "mlp.down_proj.weight", MATRIX(HIDDEN, DENSE)},

    /* the router */
    {MIXTRAL, LAYER(router),          ONE, L "block_sparse_moe.gate.weight",     MATRIX(EXPERTS, HIDDEN)},
    {ALL & ~GPT_OSS, LAYER(router),   ONE, L "mlp.gate.weight",                  MATRIX(EXPERTS, HIDDEN)},
    {GPT_OSS, LAYER(router),          ONE, L "mlp.router.weight",                MATRIX(EXPERTS, HIDDEN)},
    {GPT_OSS, LAYER(router_bias),     ONE, L "mlp.router.bias",                  VECTOR(ROUTER_BIAS)},
    {DEEPSEEK_V3, LAYER(correction),  ONE, L "mlp.gate.e_score_correction_bias", VECTOR(ROUTER_BIAS)},

    /* shared experts */
    {QWEN2, LAYER(shared.gate),    ONE, L "mlp.shared_expert.gate_proj.weight",  MATRIX(SHARED, HIDDEN)},
    {QWEN2, LAYER(shared.up),      ONE, L "mlp.shared_expert.up_proj.weight",    MATRIX(SHARED, HIDDEN)},
    {QWEN2, LAYER(shared.down),    ONE, L "mlp.shared_expert.down_proj.weight",  MATRIX(HIDDEN, SHARED)},
    {QWEN2, LAYER(shared_gate),    ONE, L "mlp.shared_expert_gate.weight",       MATRIX(SHARED_GATE, HIDDEN)},
    {DEEPSEEK, LAYER(shared.gate), ONE, L "mlp.shared_experts.gate_proj.weight", MATRIX(SHARED, HIDDEN)},
    {DEEPSEEK, LAYER(shared.up),   ONE, L "mlp.shared_experts.up_proj.weight",   MATRIX(SHARED, HIDDEN)},
    {DEEPSEEK, LAYER(shared.down), ONE, L "mlp.shared_experts.down_proj.weight", MATRIX(HIDDEN, SHARED)},

    /* experts: one by one, or all of a layer */
    {MIXTRAL, EXPERT(gate), ONE, L "block_sparse_moe.experts.{E}.w1.weight", MATRIX(WIDTH, HIDDEN)},
    {ALL & ~(MIXTRAL | GPT_OSS), EXPERT(gate), ONE, L "mlp.experts.{E}.gate_proj.weight", MATRIX(WIDTH, HIDDEN)},
    {ALL & ~GPT_OSS, EXPERT(gate), WEIGHTS_UPPER_HALF, L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},
    {GPT_OSS, EXPERT(gate), WEIGHTS_MX_EVEN_ROWS, L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},
    {GPT_OSS, EXPERT(gate), WEIGHTS_EVEN_COLS,    L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},

    {MIXTRAL, EXPERT(up), ONE, L "block_sparse_moe.experts.{E}.w3.weight", MATRIX(WIDTH, HIDDEN)},
    {ALL & ~(MIXTRAL | GPT_OSS), EXPERT(up), ONE, L "mlp.experts.{E}.up_proj.weight", MATRIX(WIDTH, HIDDEN)},
    {ALL & ~GPT_OSS, EXPERT(up), WEIGHTS_LOWER_HALF, L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},
    {GPT_OSS, EXPERT(up), WEIGHTS_MX_ODD_ROWS, L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},
    {GPT_OSS, EXPERT(up), WEIGHTS_ODD_COLS,    L "mlp.experts.gate_up_proj", MATRIX(WIDTH, HIDDEN)},

    {MIXTRAL, EXPERT(down), ONE, L "block_sparse_moe.experts.{E}.w2.weight", MATRIX(HIDDEN, WIDTH)},
    {ALL & ~(MIXTRAL | GPT_OSS), EXPERT(down), ONE, L "mlp.experts.{E}.down_proj.weight", MATRIX(HIDDEN, WIDTH)},
    {ALL & ~GPT_OSS, EXPERT(down), WEIGHTS_EACH, L "mlp.experts.down_proj", MATRIX(HIDDEN, WIDTH)},
    {GPT_OSS, EXPERT(down), WEIGHTS_MX_EACH,    L "mlp.experts.down_proj", MATRIX(HIDDEN, WIDTH)},
    {GPT_OSS, EXPERT(down), WEIGHTS_TRANSPOSED, L "mlp.experts.down_proj", MATRIX(HIDDEN, WIDTH)},

    {GPT_OSS, EXPERT(gate_bias), WEIGHTS_EVEN_ROWS, L "mlp.experts.gate_up_proj_bias", VECTOR(WIDTH_BIAS)},
    {GPT_OSS, EXPERT(up_bias),   WEIGHTS_ODD_ROWS,  L "mlp.experts.gate_up_proj_bias", VECTOR(WIDTH_BIAS)},
    {GPT_OSS, EXPERT(down_bias), WEIGHTS_EACH,      L "mlp.experts.down_proj_bias",    VECTOR(DOWN_BIAS)},
};
/* clang-format on */
const size_t moe_weights_n_names = MOE_COUNT(moe_weights_names);

unsigned
moe_weights_family(const char *name)
{
    for (size_t i = 0; i < MOE_COUNT(families); i++)
        if (!strcmp(name, families[i].name))
            return families[i].bit;
    moe_assert(false, "no names of family '%s'", name);
    return 0;
}

static void
sizes_heads(const moe_attention *a, uint64_t *sizes)
{
    uint64_t dim = (uint64_t)a->head_dim, q = (uint64_t)a->heads * dim;
    uint64_t kv = (uint64_t)a->kv_heads * dim;
    sizes[WEIGHTS_Q] = sizes[WEIGHTS_V] = q;
    sizes[WEIGHTS_KV] = kv;
    sizes[WEIGHTS_Q_BIAS] = a->bias ? q : 0;
    sizes[WEIGHTS_KV_BIAS] = a->bias ? kv : 0;
    sizes[WEIGHTS_O_BIAS] = a->output_bias ? sizes[WEIGHTS_HIDDEN] : 0;
    sizes[WEIGHTS_SINKS] = a->sinks ? (uint64_t)a->heads : 0;
    if (a->qk_norm == MOE_QK_NORM_HEAD)
        sizes[WEIGHTS_Q_NORM] = sizes[WEIGHTS_K_NORM] = dim;
    if (a->qk_norm == MOE_QK_NORM_FULL) {
        sizes[WEIGHTS_Q_NORM] = q;
        sizes[WEIGHTS_K_NORM] = kv;
    }
}

static void
sizes_mla(const moe_attention *a, uint64_t *sizes)
{
    uint64_t heads = (uint64_t)a->heads, nope = (uint64_t)a->nope_dim;
    uint64_t rope = (uint64_t)a->rope_dim, value = (uint64_t)a->value_dim;
    sizes[a->q_lora ? WEIGHTS_Q_B : WEIGHTS_Q] = heads * (nope + rope);
    sizes[WEIGHTS_Q_LORA] = (uint64_t)a->q_lora;
    sizes[WEIGHTS_KV_LORA] = (uint64_t)a->kv_lora;
    sizes[WEIGHTS_KV_A] = (uint64_t)a->kv_lora + rope;
    sizes[WEIGHTS_KV_B] = heads * (nope + value);
    sizes[WEIGHTS_V] = heads * value;
}

static void
sizes_experts(const moe_ffn *f, uint64_t *sizes)
{
    sizes[WEIGHTS_EXPERTS] = (uint64_t)f->experts;
    sizes[WEIGHTS_ROUTER_BIAS] = f->router_bias ? (uint64_t)f->experts : 0;
    sizes[WEIGHTS_WIDTH] = (uint64_t)f->width;
    sizes[WEIGHTS_WIDTH_BIAS] = f->bias ? (uint64_t)f->width : 0;
    sizes[WEIGHTS_DOWN_BIAS] = f->bias ? sizes[WEIGHTS_HIDDEN] : 0;
    sizes[WEIGHTS_SHARED] = (uint64_t)f->shared_width;
    sizes[WEIGHTS_SHARED_GATE] = f->shared_gate;
}

void
moe_weights_sizes(const moe_arch *arch, uint32_t layer, uint64_t sizes[WEIGHTS_SIZES])
{
    const moe_model *model = arch->model;
    const moe_layer *l = &moe_model_decoder(model)->layers[layer];
    memset(sizes, 0, WEIGHTS_SIZES * sizeof *sizes);
    sizes[WEIGHTS_1] = 1;
    sizes[WEIGHTS_HIDDEN] = (uint64_t)model->hidden;
    sizes[WEIGHTS_VOCAB] = (uint64_t)model->vocab;
    sizes[WEIGHTS_UNTIED] = model->tied ? 0 : (uint64_t)model->vocab;
    if (l->attention.kind == MOE_ATTENTION_MLA)
        sizes_mla(&l->attention, sizes);
    else
        sizes_heads(&l->attention, sizes);
    if (l->ffn.kind == MOE_FFN_MOE)
        sizes_experts(&l->ffn, sizes);
    else
        sizes[WEIGHTS_DENSE] = (uint64_t)l->ffn.width;
}
