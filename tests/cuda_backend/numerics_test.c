/* The CUDA backend's numbers against the CPU's, which are the reference, and against
 * transformers': small models of every family. Each line: what was expected, what was got. */
#include "tests/cuda_backend/device.h"
#include "tests/numerics/judge.h"
#include "tests/numerics/recipe.h"

#include <math.h>

#define GOLDEN MOE_SOURCE_DIR "/tests/numerics/golden/"

/* f32: of the largest logit, from the CPU's. bf16: the mean error over the mean size of logits, at
 * positions before which no other expert was chosen than by the CPU; and the share of experts that
 * are the same. Random weights choose closely: scores of 64 experts are as near each other as bf16
 * is coarse. */
#define WITHIN_F32 1e-4
#define WITHIN_BF16 0.03
#define SAME_BF16 0.95

typedef struct model {
    const char *name;
    char *folder;
    moe_weights_set *set;
    golden golden;
} model;

static bool
model_open(model *m, const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strconcat(GOLDEN, name, ".safetensors", NULL);
    bool shipped = !strcmp(name, "shipped");
    *m = (model){.name = name};
    if (!shipped)
        m->folder = g_dir_make_tmp("cuda-XXXXXX", &error);
    if (shipped || (m->folder && recipe_write(name, m->folder, &error)))
        m->set = moe_weights_open(shipped ? MOE_SOURCE_DIR "/profiler/smallmoe" : m->folder, diag,
                                  &error);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(m->set, "%s: %s%s", name, messages, error ? error->message : "");
    return m->set && golden_open(&m->golden, path);
}

static void
model_close(model *m)
{
    golden_close(&m->golden);
    moe_weights_close(m->set);
    if (m->folder)
        recipe_remove(m->folder);
    g_free(m->folder);
}

static follow *
run(const model *m, follow_plan plan, moe_gpu *gpu, bool by_stages)
{
    const follow_how how = {.exact = !gpu,
                            .threads = 1,
                            .backend = gpu ? &moe_backend_cuda : NULL,
                            .device = gpu,
                            .by_stages = by_stages};
    g_autoptr(GError) error = NULL;
    follow *f = follow_run(moe_weights_get(m->set), &m->golden, plan, &how, &error);
    MOE_CHECK(f, "%s, %s: %s", m->name, follow_plan_names[plan], error ? error->message : "");
    return f;
}

/* On an emulated device, where a step takes seconds: fewer ways of the same. "few": and fewer
 * models. */
static bool
quick(void)
{
    return g_getenv("MOE_TEST_QUICK") != NULL;
}

/* Those that have between them all that models differ in. */
static bool
chosen(const char *name)
{
    static const char *const names[] = {"mixtral", "gpt_oss", "deepseek_v2", NULL};
    return g_strv_contains(names, name);
}

/* For each recipe and the shipped checkpoint: what(model, gpu). `few`: some of them, with one
 * prompt, when it must be quick. */
static void
each_model(moe_gpu *gpu, void (*what)(const model *m, moe_gpu *gpu), bool few)
{
    bool fewer = quick() && (few || !strcmp(g_getenv("MOE_TEST_QUICK"), "few"));
    g_auto(GStrv) names = recipe_names();
    guint n = g_strv_length(names);
    CU_ASSERT_FATAL(n >= 12);
    for (guint i = 0; i <= n; i++) {
        model m;
        const char *name = i < n ? names[i] : "shipped";
        if (fewer && !chosen(name))
            continue;
        bool ok = model_open(&m, name);
        MOE_CHECK(ok, "%s", name);
        if (fewer)
            m.golden.n_prompts = 1;
        if (ok)
            what(&m, gpu);
        model_close(&m);
    }
    printf("\n");
}

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
        each_model(gpu, compare_f32, false);
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
        each_model(gpu, compare_bf16, false);
}

/* ---- ways of the same ---- */

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

/* Stage by stage as at once; from graphs as eagerly; bit for bit. */
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
        each_model(gpu, compare_ways, true);
}

static void
ways_agree_bf16(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_BF16, false);
    if (gpu)
        each_model(gpu, compare_ways, true);
}

MOE_TESTS({"f32 as the CPU", f32_as_the_cpu}, {"bf16 near the CPU", bf16_near_the_cpu},
          {"ways agree, f32", ways_agree_f32}, {"ways agree, bf16", ways_agree_bf16})
