/* The CUDA backend's numbers against the CPU's, which are the reference, and against
 * transformers': small models of every family. Each line: what was expected, what was got. */
#include "tests/cuda_backend/models.h"

#include <math.h>

/* f32: of the largest logit, from the CPU's. bf16: the mean error over the mean size of logits, at
 * positions before which no other expert was chosen than by the CPU; and the share of experts that
 * are the same. Random weights choose closely: scores of 64 experts are as near each other as bf16
 * is coarse. */
#define WITHIN_F32 1e-4
#define WITHIN_BF16 0.03
#define SAME_BF16 0.95

/* ---- f32 ---- */

/* However prompts are batched, cut or decoded: the CPU's numbers, transformers' numbers, and each
 * other's within the arithmetic's error. */
static void
compare_f32(const model *m, moe_gpu *gpu)
{
    static const follow_plan plans[] = {FOLLOW_BATCH, FOLLOW_CHUNKS, FOLLOW_ALONE, FOLLOW_TOKENS};
    judgement all = {0};
    size_t n_plans = !quick() ? MOE_COUNT(plans) : chosen(m->name) ? 2 : 1;
    double most = 0, between = 0;
    g_autoptr(follow) cpu = run(m, FOLLOW_BATCH, NULL, false);
    g_autoptr(follow) first = NULL;
    for (size_t i = 0; cpu && i < n_plans; i++) {
        g_autoptr(follow) f = run(m, plans[i], gpu, false);
        if (!f)
            continue;
        judgement j = judge(f, moe_weights_get(m->set));
        judge_join(&all, &j);
        most = MAX(most, judge_apart(f, cpu));
        between = MAX(between, first ? judge_apart(f, first) : 0);
        MOE_CHECK(judge_good(&j), "%s, %s", m->name, follow_plan_names[plans[i]]);
        if (!first)
            first = g_steal_pointer(&f);
    }
    judge_print(m->name, &all);
    printf("\n    %-24s from the CPU within %.0e, got %.1e; between ways within %.0e, got %.1e",
           m->name, WITHIN_F32, most, JUDGE_ARITHMETIC, between);
    MOE_CHECK(most <= WITHIN_F32, "%s: %.1e from the CPU", m->name, most);
    MOE_CHECK(between <= JUDGE_ARITHMETIC, "%s: %.1e apart", m->name, between);
}

static void
f32_as_the_cpu(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_F32, false);
    if (gpu)
        each_model(MOE_SOURCE_DIR, gpu, compare_f32, false);
}

/* ---- bf16 ---- */

typedef struct distance {
    double error, size;
    uint64_t experts, same, positions, told; /* told: those before which nothing differs */
} distance;

/* How many experts of a position are among the CPU's. */
static uint32_t
count_same(const golden *g, const follow_track *a, const follow_track *b, uint32_t position)
{
    uint32_t k = g->top_k, n = 0;
    for (uint32_t row = position * g->layers; row < (position + 1) * g->layers; row++)
        for (uint32_t x = 0; x < k; x++)
            for (uint32_t y = 0; y < k; y++)
                n += a->ids[row * k + x] == b->ids[row * k + y];
    return n;
}

static void
measure(distance *d, const follow *f, const follow *cpu)
{
    const golden *g = f->golden;
    for (uint32_t i = 0; i < g->n_prompts; i++) {
        const follow_track *a = &f->tracks[i], *b = &cpu->tracks[i];
        bool told = true;
        for (uint32_t p = 0; p < g->prompts[i].n; p++) {
            uint32_t same = count_same(g, a, b, p);
            d->experts += g->layers * g->top_k;
            d->same += same;
            d->positions++;
            told = told && same == g->layers * g->top_k;
            d->told += told;
            for (size_t j = p * (size_t)g->vocab; told && j < (p + 1) * (size_t)g->vocab; j++) {
                d->error += fabs((double)a->logits[j] - (double)b->logits[j]);
                d->size += fabs((double)b->logits[j]);
            }
        }
    }
}

static void
compare_bf16(const model *m, moe_gpu *gpu)
{
    distance d = {0};
    g_autoptr(follow) cpu = run(m, FOLLOW_BATCH, NULL, false);
    for (follow_plan plan = quick() ? FOLLOW_BATCH : 0; plan < FOLLOW_PLANS; plan++) {
        g_autoptr(follow) f = run(m, plan, gpu, false);
        if (f && cpu)
            measure(&d, f, cpu);
        if (quick())
            break;
    }
    double error = d.error / d.size, same = (double)d.same / (double)d.experts;
    printf("\n    %-24s mean error within %.0e, got %.1e at %llu of %llu positions; same experts "
           "%.0f %%, got %.1f %%",
           m->name, WITHIN_BF16, error, (unsigned long long)d.told, (unsigned long long)d.positions,
           100 * SAME_BF16, 100 * same);
    MOE_CHECK(error <= WITHIN_BF16, "%s: %.2e", m->name, error);
    MOE_CHECK(same >= SAME_BF16, "%s: %.3f", m->name, same);
}

static void
bf16_near_the_cpu(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_BF16, false);
    if (gpu)
        each_model(MOE_SOURCE_DIR, gpu, compare_bf16, false);
}

MOE_TESTS({"f32 as the CPU", f32_as_the_cpu}, {"bf16 near the CPU", bf16_near_the_cpu})
