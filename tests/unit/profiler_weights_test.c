/* Checkpoints of every family and layout: each matrix is the one that the names say, experts are
 * the same however they lie, and their spans hold all of them. */
#include "tests/unit/checkpoint_fixture.h"

#include "profiler/weights_names.h"

/* Layer 1's matrix is the tensor of this name, whole. */
static void
is_tensor(const moe_matrix *m, const char *name, uint32_t rows, uint32_t cols)
{
    MOE_CHECK(m->data && m->rows == rows && m->cols == cols && m->stride == cols && m->step == 1 &&
                  m->type == MOE_WEIGHT_F32,
              "%s: [%u, %u] by %u, type %d", name, m->rows, m->cols, (unsigned)m->stride, m->type);
    if (m->data)
        MOE_CHECK(matrix_value(m, 0, 0) == named_value(name, 0) &&
                      matrix_value(m, rows - 1, cols - 1) == named_value(name, rows * cols - 1),
                  "%s: %g .. %g", name, matrix_value(m, 0, 0), matrix_value(m, rows - 1, cols - 1));
}

#define IN_LAYER_1(member, rest, rows, cols)                                                       \
    is_tensor(&w->layers[1].member, "model.layers.1." rest, rows, cols)

static void
is_frame(const moe_weights *w)
{
    is_tensor(&w->embedding, "model.embed_tokens.weight", VOCAB, HIDDEN);
    is_tensor(&w->final_norm, "model.norm.weight", HIDDEN, 1);
    is_tensor(&w->unembedding, "lm_head.weight", VOCAB, HIDDEN);
    IN_LAYER_1(attention_norm, "input_layernorm.weight", HIDDEN, 1);
    IN_LAYER_1(ffn_norm, "post_attention_layernorm.weight", HIDDEN, 1);
    IN_LAYER_1(attention.q, "self_attn.q_proj.weight", 32, HIDDEN);
    IN_LAYER_1(attention.k, "self_attn.k_proj.weight", 16, HIDDEN);
    IN_LAYER_1(attention.v, "self_attn.v_proj.weight", 16, HIDDEN);
    IN_LAYER_1(attention.o, "self_attn.o_proj.weight", HIDDEN, 32);
}

static void
is_expert(const moe_mlp *mlp, uint32_t l, uint32_t e)
{
    const moe_matrix *all[] = {&mlp->gate,      &mlp->up,      &mlp->down,
                               &mlp->gate_bias, &mlp->up_bias, &mlp->down_bias};
    unsigned wrong = 0;
    for (uint32_t i = 0; i < MOE_COUNT(all); i++) {
        const moe_matrix *m = all[i];
        uint32_t rows = i % 3 == DOWN ? HIDDEN : WIDTH, cols = i % 3 == DOWN ? WIDTH : HIDDEN;
        if (!m->data && i >= GATE_BIAS)
            continue;
        MOE_CHECK(m->rows == rows && m->cols == (i >= GATE_BIAS ? 1 : cols),
                  "layer %u, expert %u, matrix %u: [%u, %u]", l, e, i, m->rows, m->cols);
        for (uint32_t at = 0; at < m->rows * m->cols; at++)
            wrong += matrix_value(m, at / m->cols, at % m->cols) !=
                     expert_value(l, e, (expert_matrix)i, at / m->cols, at % m->cols);
    }
    MOE_CHECK(!wrong, "layer %u, expert %u: %u elements are wrong", l, e, wrong);
}

/* Reads an expert's spans from their files, as offloading does; yours to free. */
static uint8_t *
read_spans(const moe_weights_set *set, uint32_t l, uint32_t e, uint64_t *bytes, size_t *n)
{
    moe_span spans[MOE_EXPERT_SPANS];
    uint8_t *buffer = g_malloc0(1 << 20), *at = buffer;
    *n = moe_weights_expert_spans(set, l, e, spans);
    for (size_t i = 0; i < *n; i++) {
        FILE *file = fopen(spans[i].path, "rb");
        moe_assert(file, "cannot open %s", spans[i].path);
        bool ok = fseek(file, (long)spans[i].offset, SEEK_SET) == 0 &&
                  fread(at, 1, spans[i].bytes, file) == spans[i].bytes;
        MOE_CHECK(ok, "span %zu: %u bytes at %u of %s", i, (unsigned)spans[i].bytes,
                  (unsigned)spans[i].offset, spans[i].path);
        MOE_CHECK(i == 0 || strcmp(spans[i].path, spans[i - 1].path) != 0 ||
                      spans[i].offset > spans[i - 1].offset + spans[i - 1].bytes,
                  "span %zu is not behind span %zu", i, i - 1);
        at += spans[i].bytes;
        fclose(file);
    }
    *bytes = (uint64_t)(at - buffer);
    return buffer;
}

/* All experts, mapped and from their spans, which are `n_spans`. */
static void
are_experts(const moe_weights_set *set, size_t n_spans, uint64_t bytes)
{
    const moe_weights *w = moe_weights_get(set);
    for (uint32_t i = 0; i < LAYERS * EXPERTS; i++) {
        uint32_t l = i / EXPERTS, e = i % EXPERTS;
        uint64_t got;
        size_t n;
        moe_mlp mlp;
        g_autofree uint8_t *buffer = read_spans(set, l, e, &got, &n);
        is_expert(&w->layers[l].experts[e], l, e);
        moe_weights_expert_at(set, l, e, buffer, &mlp);
        is_expert(&mlp, l, e);
        MOE_CHECK(n == n_spans && got == bytes && moe_weights_expert_bytes(set, l) == bytes,
                  "layer %u, expert %u: %zu spans, %u and %u bytes", l, e, n, (unsigned)got,
                  (unsigned)moe_weights_expert_bytes(set, l));
    }
}

static moe_weights_set *
opened(checkpoint *c)
{
    g_autofree char *messages = NULL;
    checkpoint_write(c);
    moe_weights_set *set = checkpoint_open(c, &messages);
    MOE_CHECK(set, "%s", messages);
    return set;
}

#define EXPERT_BYTES (3 * WIDTH * HIDDEN * 4)

static void
olmoe(void)
{
    checkpoint c = checkpoint_olmoe();
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        is_frame(w);
        IN_LAYER_1(attention.q_norm, "self_attn.q_norm.weight", 32, 1);
        IN_LAYER_1(attention.k_norm, "self_attn.k_norm.weight", 16, 1);
        IN_LAYER_1(router, "mlp.gate.weight", EXPERTS, HIDDEN);
        are_experts(set, 1, EXPERT_BYTES); /* down, gate, up stand in order of their names */
        uint64_t bytes = 0;
        for (guint i = 0; i < c.tensors->len; i++) {
            const moe_tensor *t = &g_array_index(c.tensors, moe_tensor, i);
            bytes += 4 * t->shape[0] * (t->rank > 1 ? t->shape[1] : 1);
        }
        MOE_CHECK(w->bytes == bytes, "%u, not %u", (unsigned)w->bytes, (unsigned)bytes);
        CU_ASSERT_PTR_NULL(w->layers[0].dense.gate.data);
        CU_ASSERT_PTR_NULL(w->layers[0].attention.q_bias.data);
    }
    checkpoint_clear(&c);
}

static void
mixtral(void)
{
    checkpoint c = checkpoint_new(CONFIG_MIXTRAL);
    checkpoint_frame(&c);
    checkpoint_layers(&c, "block_sparse_moe.gate.weight", EXPERTS, HIDDEN);
    checkpoint_experts(&c, (const char *const[3]){"w1", "w3", "w2"});
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        is_frame(w);
        IN_LAYER_1(router, "block_sparse_moe.gate.weight", EXPERTS, HIDDEN);
        are_experts(set, 1, EXPERT_BYTES);
    }
    checkpoint_clear(&c);
}

/* ---- fused ---- */

/* [E, 2 WIDTH, HIDDEN] and [E, HIDDEN, WIDTH], gate above up. */
static void
add_fused(checkpoint *c)
{
    for (uint32_t l = 0; l < LAYERS; l++) {
        float *pair = g_new(float, EXPERTS * 2 * WIDTH * HIDDEN), *p = pair;
        float *down = g_new(float, EXPERTS *HIDDEN *WIDTH), *d = down;
        for (uint32_t e = 0; e < EXPERTS; e++) {
            for (uint32_t r = 0; r < 2 * WIDTH; r++)
                for (uint32_t i = 0; i < HIDDEN; i++)
                    *p++ = expert_value(l, e, r < WIDTH ? GATE : UP, r % WIDTH, i);
            for (uint32_t i = 0; i < HIDDEN * WIDTH; i++)
                *d++ = expert_value(l, e, DOWN, i / WIDTH, i % WIDTH);
        }
        g_autofree char *both = g_strdup_printf("model.layers.%u.mlp.experts.gate_up_proj", l);
        g_autofree char *one = g_strdup_printf("model.layers.%u.mlp.experts.down_proj", l);
        checkpoint_add(c, both, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, 2 * WIDTH, HIDDEN},
                       pair);
        checkpoint_add(c, one, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, HIDDEN, WIDTH}, down);
    }
}

static void
fused(void)
{
    static const char *const configs[] = {CONFIG_OLMOE, CONFIG_MIXTRAL};
    for (size_t i = 0; i < MOE_COUNT(configs); i++) {
        checkpoint c = checkpoint_new(configs[i]);
        checkpoint_frame(&c);
        checkpoint_layers(&c, "self_attn.q_norm.weight", 32, 0);
        checkpoint_layers(&c, "self_attn.k_norm.weight", 16, 0);
        checkpoint_layers(&c, "mlp.gate.weight", EXPERTS, HIDDEN);
        add_fused(&c);
        g_autoptr(moe_weights_set) set = opened(&c);
        if (set) {
            const moe_weights *w = moe_weights_get(set);
            is_frame(w);
            IN_LAYER_1(router, "mlp.gate.weight", EXPERTS, HIDDEN);
            are_experts(set, 2, EXPERT_BYTES);
        }
        checkpoint_clear(&c);
    }
}

/* ---- gpt-oss ---- */

static void
add_gpt_oss_frame(checkpoint *c)
{
    checkpoint_frame(c);
    checkpoint_layers(c, "self_attn.q_proj.bias", 32, 0);
    checkpoint_layers(c, "self_attn.k_proj.bias", 16, 0);
    checkpoint_layers(c, "self_attn.v_proj.bias", 16, 0);
    checkpoint_layers(c, "self_attn.o_proj.bias", HIDDEN, 0);
    checkpoint_layers(c, "self_attn.sinks", 2, 0);
    checkpoint_layers(c, "mlp.router.weight", EXPERTS, HIDDEN);
    checkpoint_layers(c, "mlp.router.bias", EXPERTS, 0);
}

static void
is_gpt_oss_frame(const moe_weights *w)
{
    is_frame(w);
    IN_LAYER_1(attention.q_bias, "self_attn.q_proj.bias", 32, 1);
    IN_LAYER_1(attention.k_bias, "self_attn.k_proj.bias", 16, 1);
    IN_LAYER_1(attention.v_bias, "self_attn.v_proj.bias", 16, 1);
    IN_LAYER_1(attention.o_bias, "self_attn.o_proj.bias", HIDDEN, 1);
    IN_LAYER_1(attention.sinks, "self_attn.sinks", 2, 1);
    IN_LAYER_1(router, "mlp.router.weight", EXPERTS, HIDDEN);
    IN_LAYER_1(router_bias, "mlp.router.bias", EXPERTS, 1);
    CU_ASSERT_PTR_NULL(w->layers[1].correction.data);
}

/* Biases [E, 2 WIDTH] that alternate, and [E, HIDDEN]. */
static void
add_biases(checkpoint *c)
{
    for (uint32_t l = 0; l < LAYERS; l++) {
        float *pair = g_new(float, EXPERTS * 2 * WIDTH), *down = g_new(float, EXPERTS *HIDDEN);
        for (uint32_t i = 0; i < EXPERTS * 2 * WIDTH; i++)
            pair[i] = expert_value(l, i / (2 * WIDTH), i % 2 ? UP_BIAS : GATE_BIAS,
                                   i % (2 * WIDTH) / 2, 0);
        for (uint32_t i = 0; i < EXPERTS * HIDDEN; i++)
            down[i] = expert_value(l, i / HIDDEN, DOWN_BIAS, i % HIDDEN, 0);
        g_autofree char *both = g_strdup_printf("model.layers.%u.mlp.experts.gate_up_proj_bias", l);
        g_autofree char *one = g_strdup_printf("model.layers.%u.mlp.experts.down_proj_bias", l);
        checkpoint_add(c, both, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, 2 * WIDTH}, pair);
        checkpoint_add(c, one, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, HIDDEN}, down);
    }
}

/* [E, HIDDEN, 2 WIDTH] whose columns alternate, and [E, WIDTH, HIDDEN]. */
static void
add_transposed(checkpoint *c)
{
    for (uint32_t l = 0; l < LAYERS; l++) {
        float *pair = g_new(float, EXPERTS * 2 * WIDTH * HIDDEN), *p = pair;
        float *down = g_new(float, EXPERTS *HIDDEN *WIDTH), *d = down;
        for (uint32_t e = 0; e < EXPERTS; e++) {
            for (uint32_t i = 0; i < HIDDEN * 2 * WIDTH; i++)
                *p++ = expert_value(l, e, i % 2 ? UP : GATE, i % (2 * WIDTH) / 2, i / (2 * WIDTH));
            for (uint32_t i = 0; i < HIDDEN * WIDTH; i++)
                *d++ = expert_value(l, e, DOWN, i % HIDDEN, i / HIDDEN);
        }
        g_autofree char *both = g_strdup_printf("model.layers.%u.mlp.experts.gate_up_proj", l);
        g_autofree char *one = g_strdup_printf("model.layers.%u.mlp.experts.down_proj", l);
        checkpoint_add(c, both, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, HIDDEN, 2 * WIDTH},
                       pair);
        checkpoint_add(c, one, MOE_TENSOR_F32, (const uint64_t[4]){EXPERTS, WIDTH, HIDDEN}, down);
    }
}

static void
gpt_oss_transposed(void)
{
    checkpoint c = checkpoint_new(CONFIG_GPT_OSS);
    add_gpt_oss_frame(&c);
    add_biases(&c);
    add_transposed(&c);
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        is_gpt_oss_frame(moe_weights_get(set));
        are_experts(set, 4, EXPERT_BYTES + (2 * WIDTH + HIDDEN) * 4);
    }
    checkpoint_clear(&c);
}

/* A byte of MXFP4's blocks (16 of each 32 elements), or the scale of a block (byte 16). */
static uint8_t
mx_byte(uint32_t l, uint32_t e, expert_matrix m, uint32_t row, uint32_t block, uint32_t byte)
{
    return (uint8_t)((((l * 5 + e) * 7 + m) * 11 + row) * 13 + block * 17 + byte * 3);
}

static void
add_mx(checkpoint *c, uint32_t l, const char *part, uint32_t rows, uint32_t cols)
{
    bool pair = rows == 2 * WIDTH;
    uint32_t n = EXPERTS * rows * cols / 32;
    uint8_t *blocks = g_new(uint8_t, n * 16), *scales = g_new(uint8_t, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = i / (cols / 32), r = row % rows, block = i % (cols / 32);
        expert_matrix m = pair ? (r % 2 ? UP : GATE) : DOWN;
        for (uint32_t b = 0; b < 16; b++)
            blocks[16 * i + b] = mx_byte(l, row / rows, m, pair ? r / 2 : r, block, b);
        scales[i] = mx_byte(l, row / rows, m, pair ? r / 2 : r, block, 16);
    }
    g_autofree char *b = g_strdup_printf("model.layers.%u.mlp.experts.%s_blocks", l, part);
    g_autofree char *s = g_strdup_printf("model.layers.%u.mlp.experts.%s_scales", l, part);
    checkpoint_add(c, b, MOE_TENSOR_U8, (const uint64_t[4]){EXPERTS, rows, cols / 32, 16}, blocks);
    checkpoint_add(c, s, MOE_TENSOR_U8, (const uint64_t[4]){EXPERTS, rows, cols / 32}, scales);
}

static void
is_mx(const moe_matrix *m, uint32_t l, uint32_t e, expert_matrix kind)
{
    unsigned wrong = 0;
    MOE_CHECK(m->data && m->scales && m->type == MOE_WEIGHT_MXFP4, "type %d", m->type);
    for (uint32_t i = 0; m->scales && i < m->rows * m->cols / 32; i++) {
        uint32_t row = i / (m->cols / 32), block = i % (m->cols / 32);
        const uint8_t *bytes = (const uint8_t *)m->data + (row * m->stride + block * 32) / 2;
        for (uint32_t b = 0; b < 16; b++)
            wrong += bytes[b] != mx_byte(l, e, kind, row, block, b);
        wrong += m->scales[row * m->stride / 32 + block] != mx_byte(l, e, kind, row, block, 16);
    }
    MOE_CHECK(!wrong, "layer %u, expert %u, matrix %d: %u bytes are wrong", l, e, kind, wrong);
}

static void
gpt_oss_mxfp4(void)
{
    checkpoint c = checkpoint_new(CONFIG_GPT_OSS);
    add_gpt_oss_frame(&c);
    add_biases(&c);
    for (uint32_t l = 0; l < LAYERS; l++) {
        add_mx(&c, l, "gate_up_proj", 2 * WIDTH, HIDDEN);
        add_mx(&c, l, "down_proj", HIDDEN, WIDTH);
    }
    g_autoptr(moe_weights_set) set = opened(&c);
    for (uint32_t i = 0; set && i < LAYERS * EXPERTS; i++) {
        uint32_t l = i / EXPERTS, e = i % EXPERTS;
        uint64_t bytes;
        size_t n;
        g_autofree uint8_t *buffer = read_spans(set, l, e, &bytes, &n);
        moe_mlp copies[2] = {moe_weights_get(set)->layers[l].experts[e]};
        moe_weights_expert_at(set, l, e, buffer, &copies[1]);
        for (size_t k = 0; k < 2; k++) {
            is_mx(&copies[k].gate, l, e, GATE);
            is_mx(&copies[k].up, l, e, UP);
            is_mx(&copies[k].down, l, e, DOWN);
            CU_ASSERT_EQUAL(matrix_value(&copies[k].up_bias, 63, 0),
                            expert_value(l, e, UP_BIAS, 63, 0));
        }
        MOE_CHECK(n == 6 && bytes == 3 * WIDTH * HIDDEN * 17 / 32 + (2 * WIDTH + HIDDEN) * 4,
                  "%zu spans, %u bytes", n, (unsigned)bytes);
    }
    checkpoint_clear(&c);
}

/* ---- the others ---- */

static void
qwen2_with_a_dense_layer(void)
{
    checkpoint c = checkpoint_new(
        CONFIG("qwen2_moe", "\"num_experts\": 4, \"moe_intermediate_size\": 64, "
                            "\"shared_expert_intermediate_size\": 24, \"intermediate_size\": 40, "
                            "\"mlp_only_layers\": [0], \"tie_word_embeddings\": true"));
    checkpoint_frame(&c);
    checkpoint_drop(&c, "lm_head.weight");
    checkpoint_layers(&c, "self_attn.q_proj.bias", 32, 0);
    checkpoint_layers(&c, "self_attn.k_proj.bias", 16, 0);
    checkpoint_layers(&c, "self_attn.v_proj.bias", 16, 0);
    checkpoint_layers(&c, "mlp.gate.weight", EXPERTS, HIDDEN);
    checkpoint_layers(&c, "mlp.shared_expert.gate_proj.weight", 24, HIDDEN);
    checkpoint_layers(&c, "mlp.shared_expert.up_proj.weight", 24, HIDDEN);
    checkpoint_layers(&c, "mlp.shared_expert.down_proj.weight", HIDDEN, 24);
    checkpoint_layers(&c, "mlp.shared_expert_gate.weight", 1, HIDDEN);
    checkpoint_layers(&c, "mlp.gate_proj.weight", 40, HIDDEN);
    checkpoint_layers(&c, "mlp.up_proj.weight", 40, HIDDEN);
    checkpoint_layers(&c, "mlp.down_proj.weight", HIDDEN, 40);
    checkpoint_experts(&c, (const char *const[3]){"gate_proj", "up_proj", "down_proj"});
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        CU_ASSERT_PTR_EQUAL(w->unembedding.data, w->embedding.data);
        IN_LAYER_1(attention.k_bias, "self_attn.k_proj.bias", 16, 1);
        IN_LAYER_1(shared.gate, "mlp.shared_expert.gate_proj.weight", 24, HIDDEN);
        IN_LAYER_1(shared.up, "mlp.shared_expert.up_proj.weight", 24, HIDDEN);
        IN_LAYER_1(shared.down, "mlp.shared_expert.down_proj.weight", HIDDEN, 24);
        IN_LAYER_1(shared_gate, "mlp.shared_expert_gate.weight", 1, HIDDEN);
        is_tensor(&w->layers[0].dense.gate, "model.layers.0.mlp.gate_proj.weight", 40, HIDDEN);
        is_tensor(&w->layers[0].dense.up, "model.layers.0.mlp.up_proj.weight", 40, HIDDEN);
        is_tensor(&w->layers[0].dense.down, "model.layers.0.mlp.down_proj.weight", HIDDEN, 40);
        CU_ASSERT_PTR_NULL(w->layers[0].experts);
        CU_ASSERT_PTR_NULL(w->layers[0].router.data);
        CU_ASSERT_PTR_NULL(w->layers[1].dense.gate.data);
        CU_ASSERT_EQUAL(moe_weights_expert_bytes(set, 0), 0);
        is_expert(&w->layers[1].experts[3], 1, 3);
    }
    checkpoint_clear(&c);
}

static void
deepseek_v3_with_q_lora(void)
{
    checkpoint c = checkpoint_new(
        CONFIG("deepseek_v3", "\"n_routed_experts\": 4, \"moe_intermediate_size\": 64, "
                              "\"n_shared_experts\": 2, \"q_lora_rank\": 12, \"kv_lora_rank\": 20, "
                              "\"qk_nope_head_dim\": 8, \"qk_rope_head_dim\": 4, "
                              "\"v_head_dim\": 10, \"n_group\": 2, \"topk_group\": 1"));
    checkpoint_frame(&c);
    checkpoint_layers(&c, "self_attn.q_a_proj.weight", 12, HIDDEN);
    checkpoint_layers(&c, "self_attn.q_a_layernorm.weight", 12, 0);
    checkpoint_layers(&c, "self_attn.q_b_proj.weight", 24, 12);
    checkpoint_layers(&c, "self_attn.kv_a_proj_with_mqa.weight", 24, HIDDEN);
    checkpoint_layers(&c, "self_attn.kv_a_layernorm.weight", 20, 0);
    checkpoint_layers(&c, "self_attn.kv_b_proj.weight", 36, 20);
    for (uint32_t l = 0; l < LAYERS; l++) {
        g_autofree char *o = g_strdup_printf("model.layers.%u.self_attn.o_proj.weight", l);
        checkpoint_drop(&c, o);
    }
    checkpoint_layers(&c, "self_attn.o_proj.weight", HIDDEN, 20);
    checkpoint_layers(&c, "mlp.gate.weight", EXPERTS, HIDDEN);
    checkpoint_layers(&c, "mlp.gate.e_score_correction_bias", EXPERTS, 0);
    checkpoint_layers(&c, "mlp.shared_experts.gate_proj.weight", 128, HIDDEN);
    checkpoint_layers(&c, "mlp.shared_experts.up_proj.weight", 128, HIDDEN);
    checkpoint_layers(&c, "mlp.shared_experts.down_proj.weight", HIDDEN, 128);
    checkpoint_experts(&c, (const char *const[3]){"gate_proj", "up_proj", "down_proj"});
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        IN_LAYER_1(attention.q_a, "self_attn.q_a_proj.weight", 12, HIDDEN);
        IN_LAYER_1(attention.q_a_norm, "self_attn.q_a_layernorm.weight", 12, 1);
        IN_LAYER_1(attention.q, "self_attn.q_b_proj.weight", 24, 12);
        IN_LAYER_1(attention.kv_a, "self_attn.kv_a_proj_with_mqa.weight", 24, HIDDEN);
        IN_LAYER_1(attention.kv_a_norm, "self_attn.kv_a_layernorm.weight", 20, 1);
        IN_LAYER_1(attention.kv_b, "self_attn.kv_b_proj.weight", 36, 20);
        IN_LAYER_1(attention.o, "self_attn.o_proj.weight", HIDDEN, 20);
        IN_LAYER_1(correction, "mlp.gate.e_score_correction_bias", EXPERTS, 1);
        IN_LAYER_1(shared.up, "mlp.shared_experts.up_proj.weight", 128, HIDDEN);
        CU_ASSERT_PTR_NULL(w->layers[1].router_bias.data);
        CU_ASSERT_PTR_NULL(w->layers[1].attention.k.data);
        is_expert(&w->layers[0].experts[2], 0, 2);
    }
    checkpoint_clear(&c);
}

/* Halves are computed with too, and each matrix has a type of its own. */
static void
types(void)
{
    checkpoint c = checkpoint_olmoe();
    checkpoint_find(&c, "model.norm.weight")->type = MOE_TENSOR_F16;
    checkpoint_find(&c, "model.layers.1.mlp.experts.2.up_proj.weight")->type = MOE_TENSOR_BF16;
    g_autoptr(moe_weights_set) set = opened(&c);
    if (set) {
        const moe_weights *w = moe_weights_get(set);
        CU_ASSERT_EQUAL(w->final_norm.type, MOE_WEIGHT_F16);
        CU_ASSERT_EQUAL(w->layers[1].experts[2].up.type, MOE_WEIGHT_BF16);
        CU_ASSERT_EQUAL(w->layers[1].experts[2].gate.type, MOE_WEIGHT_F32);
        CU_ASSERT_EQUAL(moe_weights_expert_bytes(set, 1), EXPERT_BYTES);
    }
    checkpoint_clear(&c);
}

/* Rows of a member stand together, in order of families that do not take each other's names. */
static void
table(void)
{
    for (size_t i = 1; i < moe_weights_n_names; i++) {
        const weights_name *a = &moe_weights_names[i - 1], *b = &moe_weights_names[i];
        bool twice = a->scope == b->scope && a->member == b->member && a->form == b->form &&
                     (a->families & b->families) && strcmp(a->pattern, b->pattern) == 0;
        MOE_CHECK(!twice, "row %zu: %s", i, b->pattern);
        MOE_CHECK(b->families && (b->scope == WEIGHTS_MODEL || strstr(b->pattern, "{L}")),
                  "row %zu: %s", i, b->pattern);
    }
}

MOE_TESTS({"olmoe", olmoe}, {"mixtral", mixtral}, {"fused experts", fused},
          {"gpt-oss, transposed", gpt_oss_transposed}, {"gpt-oss, MXFP4", gpt_oss_mxfp4},
          {"qwen2 with a dense layer", qwen2_with_a_dense_layer},
          {"deepseek v3 with q_lora", deepseek_v3_with_q_lora}, {"types", types}, {"table", table})
