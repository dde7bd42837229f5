/* The small models of every family and the shipped one, run on a device or on the processor. */
#ifndef MOE_TESTS_CUDA_BACKEND_MODELS_H
#define MOE_TESTS_CUDA_BACKEND_MODELS_H

#include "tests/cuda_backend/device.h"
#include "tests/numerics/judge.h"
#include "tests/numerics/recipe.h"

typedef struct model {
    const char *name;
    char *folder;
    moe_weights_set *set;
    golden golden;
} model;

static inline bool
model_open(model *m, const char *source, const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path =
        g_strconcat(source, "/tests/numerics/golden/", name, ".safetensors", NULL);
    g_autofree char *checkpoint = g_strconcat(source, "/profiler/smallmoe", NULL);
    bool shipped = !strcmp(name, "shipped");
    *m = (model){.name = name};
    if (!shipped)
        m->folder = g_dir_make_tmp("cuda-XXXXXX", &error);
    if (shipped || (m->folder && recipe_write(name, m->folder, &error)))
        m->set = moe_weights_open(shipped ? checkpoint : m->folder, diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(m->set, "%s: %s%s", name, messages, error ? error->message : "");
    return m->set && golden_open(&m->golden, path);
}

static inline void
model_close(model *m)
{
    golden_close(&m->golden);
    moe_weights_close(m->set);
    if (m->folder)
        recipe_remove(m->folder);
    g_free(m->folder);
}

static inline follow *
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
static inline bool
quick(void)
{
    return g_getenv("MOE_TEST_QUICK") != NULL;
}

/* Those that have between them all that models differ in. */
static inline bool
chosen(const char *name)
{
    static const char *const names[] = {"mixtral", "gpt_oss", "deepseek_v2", NULL};
    return g_strv_contains(names, name);
}

/* For each recipe and the shipped checkpoint, both in the source tree: what(model, gpu). When it
 * must be quick: most of them with one prompt; `few`: and only some, with a few tokens of it. */
static inline void
each_model(const char *source, moe_gpu *gpu, void (*what)(const model *m, moe_gpu *gpu), bool few)
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
        bool ok = model_open(&m, source, name);
        MOE_CHECK(ok, "%s", name);
        if (fewer || (quick() && !chosen(name)))
            m.golden.n_prompts = 1;
        if (few && quick()) {
            m.golden.prompts[0].n = MIN(m.golden.prompts[0].n, 12);
            m.golden.prompts[0].prompt = MIN(m.golden.prompts[0].prompt, 8);
        }
        if (ok)
            what(&m, gpu);
        model_close(&m);
    }
    printf("\n");
}

#endif
