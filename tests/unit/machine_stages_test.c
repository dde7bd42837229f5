/* Stages of a layer: their kernels counted, their products' FLOPs and weights those of the model.
 */
#include "sim/machine/stages.h"
#include "tests/test.h"

#include <math.h>

static const moe_place places[] = {
    {.name = "hbm", .capacity = 1LL << 40, .read_bytes_per_s = 1e12}};
static const moe_device device = {
    .name = "gpu",
    .peak.bf16 = 1e14,
    .gemm = {.efficiency = 0.8, .stream_efficiency = 0.5, .fixed_ps = 7000000},
    .launch_ps = 3000000};
static const moe_hardware hw = {
    .n_devices = 1, .n_places = 1, .devices = &device, .places = places};

static const moe_model *
load(const char *name, moe_model_set **set)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    *set = moe_model_load(name, NULL, (moe_loc){0}, diag, NULL);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(*set, "%s", said);
    return *set ? moe_model_get(*set) : NULL;
}

/* Kernels, products among them, and the FLOPs of one row. */
static void
expect(const char *what, const moe_cost *cost, int kernels, int products, double flops)
{
    int64_t launches = kernels * device.launch_ps + products * device.gemm.fixed_ps;
    MOE_CHECK(cost->kernels == kernels && cost->launch_ps == launches,
              "%s: %d kernels in %lld ps, wanted %d in %lld", what, cost->kernels,
              (long long)cost->launch_ps, kernels, (long long)launches);
    MOE_CHECK(fabs(cost->flops / flops - 1) < 1e-12, "%s: %g FLOP, wanted %g", what, cost->flops,
              flops);
}

static void
kernels(void)
{
    static const struct {
        const char *model;
        int layer, projection, products; /* kernels of the projection, products among them */
        int block, block_products; /* of the dense layer, else of the shared expert; 0: none */
    } cases[] = {{"mixtral-8x7b", 0, 5, 2, 0, 0},       {"qwen3-30b-a3b", 0, 6, 2, 0, 0},
                 {"deepseek-v2-lite", 0, 9, 5, 3, 2},   {"deepseek-v3", 0, 9, 5, 3, 2},
                 {"deepseek-v3", 5, 9, 5, 3, 2},        {"deepseek-v3.2", 0, 13, 8, 3, 2},
                 {"qwen3-next-80b-a3b", 0, 6, 2, 4, 3}, {"qwen3-next-80b-a3b", 3, 7, 2, 4, 3},
                 {"minimax-text-01", 0, 5, 2, 0, 0},    {"jamba-v0.1", 0, 8, 4, 3, 2},
                 {"granite-4.0-h-small", 0, 6, 2, 3, 2}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) set = NULL;
        const moe_model *model = load(cases[i].model, &set);
        if (!model)
            continue;
        const moe_layer *layer = &moe_model_decoder(model)->layers[cases[i].layer];
        const moe_ffn *ffn = &layer->ffn;
        moe_stages s = {model, &hw, &device, 16, 16};
        double hidden = model->hidden, rows = 3;
        moe_cost c = moe_stage_projection(&s, &layer->attention, rows);
        expect(cases[i].model, &c, cases[i].projection, cases[i].products,
               rows * moe_attention_proj_flops(model, &layer->attention));
        if (ffn->kind == MOE_FFN_DENSE) {
            c = moe_stage_dense(&s, ffn, rows);
            expect("dense", &c, cases[i].block, cases[i].block_products,
                   rows * 2 * ffn->matrices * hidden * ffn->width);
            continue;
        }
        c = moe_stage_router(&s, ffn, rows);
        expect("router", &c, 2, 1, rows * 2 * hidden * ffn->experts);
        if (!ffn->shared_width)
            continue;
        c = moe_stage_shared(&s, ffn, rows);
        expect("shared", &c, cases[i].block, cases[i].block_products,
               rows * moe_shared_flops(model, ffn));
    }
}

/* Logits of two rows of seven tokens; bytes: weights, rows of the product, and small kernels. */
static void
head(void)
{
    g_autoptr(moe_model_set) set = NULL;
    const moe_model *model = load("mixtral-8x7b", &set);
    if (!model)
        return;
    moe_stages s = {model, &hw, &device, 16, 16};
    moe_cost c = moe_stage_head(&s, 2, 7);
    double h = model->hidden, v = model->vocab;
    expect("head", &c, 4, 1, 2 * 2 * h * v);
    CU_ASSERT_EQUAL(c.bytes, 2 * (h * v + 2 * (h + v)) + 2 * (7 * 2 * h + 2 * 4 * h + 2 * v));
}

MOE_TESTS({"kernels", kernels}, {"head", head})
