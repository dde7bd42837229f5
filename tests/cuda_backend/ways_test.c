/* Ways of the same on the CUDA backend: stage by stage as at once, from graphs as eagerly; bit for
 * bit. */
#include "tests/cuda_backend/models.h"

static void
check_same(const model *m, const follow *a, const follow *b, const char *what)
{
    const golden *g = a->golden;
    bool ids = true;
    for (uint32_t i = 0; i < g->n_prompts; i++) {
        size_t n = (size_t)g->prompts[i].n * g->layers * g->top_k;
        ids &= !memcmp(a->tracks[i].ids, b->tracks[i].ids, n * sizeof(uint16_t));
        ids &= !memcmp(a->tracks[i].weights, b->tracks[i].weights, n * sizeof(float));
        for (uint32_t d = 1; d <= GOLDEN_AHEAD && d < g->layers; d++) {
            size_t ahead = (size_t)g->prompts[i].n * (g->layers - d) * g->top_k;
            ids &= !memcmp(a->tracks[i].ahead[d - 1], b->tracks[i].ahead[d - 1],
                           ahead * sizeof(uint16_t));
        }
    }
    double apart = judge_apart(a, b);
    MOE_CHECK(ids && apart <= 0, "%s: %s: %.1e apart, choices %s", m->name, what, apart,
              ids ? "the same" : "differ");
}

static void
compare_ways(const model *m, moe_gpu *gpu)
{
    g_autoptr(moe_gpu) eager = device_open(moe_gpu_configured(gpu)->precision, true);
    uint64_t before = moe_gpu_count(gpu).replayed;
    g_autoptr(follow) graphs = run(m, FOLLOW_TOKENS, gpu, false);
    uint64_t replayed = moe_gpu_count(gpu).replayed - before;
    g_autoptr(follow) eagerly = eager ? run(m, FOLLOW_TOKENS, eager, false) : NULL;
    g_autoptr(follow) stages = run(m, FOLLOW_TOKENS, gpu, true);
    if (!graphs || !eagerly || !stages)
        return;
    check_same(m, graphs, eagerly, "graphs and eager steps");
    check_same(m, stages, eagerly, "stages and eager steps");
    MOE_CHECK(replayed > 5, "%s: %llu steps from graphs", m->name, (unsigned long long)replayed);
    MOE_CHECK(moe_gpu_count(eager).replayed == 0, "%s: graphs though eager", m->name);
    g_autoptr(follow) prefill = run(m, FOLLOW_CHUNKS, gpu, false);
    g_autoptr(follow) by_stages = run(m, FOLLOW_CHUNKS, gpu, true);
    if (prefill && by_stages)
        check_same(m, prefill, by_stages, "stages and chunks at once");
    printf("\n    %-24s %llu steps from graphs as eagerly, and as by stages", m->name,
           (unsigned long long)replayed);
}

static void
ways_agree_f32(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_F32, false);
    if (gpu)
        each_model(MOE_SOURCE_DIR, gpu, compare_ways, true);
}

static void
ways_agree_bf16(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_BF16, false);
    if (gpu)
        each_model(MOE_SOURCE_DIR, gpu, compare_ways, true);
}

MOE_TESTS({"f32", ways_agree_f32}, {"bf16", ways_agree_bf16})
