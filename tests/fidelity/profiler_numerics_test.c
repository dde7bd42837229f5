/* The execution core's numbers against transformers', for small models of every family: stored
 * logits, router logits, choices and gate weights (tests/numerics). Each line: what was expected,
 * what was got, the tolerance. */
#include "profiler/cpu/blas.h"
#include "tests/numerics/judge.h"
#include "tests/numerics/recipe.h"
#include "tests/test.h"

#define GOLDEN MOE_SOURCE_DIR "/tests/numerics/golden/"

/* A recipe's checkpoint, opened, with its golden file. */
typedef struct fixture {
    const char *name;
    char *folder;
    moe_weights_set *set;
    golden golden;
} fixture;

static bool
fixture_open(fixture *x, const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strconcat(GOLDEN, name, ".safetensors", NULL);

    *x = (fixture){.name = name, .folder = g_dir_make_tmp("numerics-XXXXXX", &error)};
    bool ok = x->folder && recipe_write(name, x->folder, &error);
    if (ok)
        x->set = moe_weights_open(x->folder, diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(x->set, "%s: %s%s", name, messages, error ? error->message : "");
    return x->set && golden_open(&x->golden, path);
}

static void
fixture_close(fixture *x)
{
    golden_close(&x->golden);
    moe_weights_close(x->set);
    if (x->folder)
        recipe_remove(x->folder);
    g_free(x->folder);
}

static follow *
run(const fixture *x, follow_plan plan, bool exact, uint32_t threads)
{
    g_autoptr(GError) error = NULL;
    const follow_how how = {.exact = exact, .threads = threads};
    follow *f = follow_run(moe_weights_get(x->set), &x->golden, plan, &how, &error);
    MOE_CHECK(f, "%s: %s", x->name, error ? error->message : "");
    return f;
}

/* For each recipe that can be opened: what(fixture). */
static void
each_model(void (*what)(const fixture *x))
{
    g_auto(GStrv) names = recipe_names();

    CU_ASSERT_FATAL(g_strv_length(names) >= 12);
    for (char **name = names; *name; name++) {
        fixture x;
        bool ok = fixture_open(&x, *name);
        MOE_CHECK(ok, "%s", *name);
        if (ok)
            what(&x);
        fixture_close(&x);
    }
    printf("\n");
}

static void
compare(const fixture *x, bool exact)
{
    judgement all = {0};

    for (follow_plan plan = 0; plan < FOLLOW_PLANS; plan++) {
        g_autoptr(follow) f = run(x, plan, exact, 0);
        if (!f)
            continue;
        judgement j = judge(f, moe_weights_get(x->set));
        judge_join(&all, &j);
        MOE_CHECK(judge_good(&j), "%s, %s", x->name, follow_plan_names[plan]);
        if (!judge_good(&j))
            judge_print(follow_plan_names[plan], &j);
    }
    judge_print(x->name, &all);
}

static void
compare_exact(const fixture *x)
{
    compare(x, true);
}

static void
compare_fast(const fixture *x)
{
    compare(x, false);
}

static void
exact_as_transformers(void)
{
    each_model(compare_exact);
}

static void
fast_as_transformers(void)
{
    printf("\n    %s", moe_blas_name() ? moe_blas_name() : "no BLAS");
    each_model(compare_fast);
}

/* However prompts are batched, cut or decoded, and by however many threads: the same bits in exact
 * mode, the same numbers within the arithmetic's error otherwise. */
static void
compare_plans(const fixture *x)
{
    for (int exact = 0; exact < 2; exact++) {
        double within = exact ? 0 : JUDGE_ARITHMETIC, most = 0;
        g_autoptr(follow) alone = run(x, FOLLOW_ALONE, exact, 1);
        for (follow_plan plan = FOLLOW_BATCH; alone && plan < FOLLOW_PLANS; plan++) {
            g_autoptr(follow) f = run(x, plan, exact, plan == FOLLOW_BATCH ? 2 : 1);
            double apart = f ? judge_apart(f, alone) : 1;
            most = MAX(most, apart);
            MOE_CHECK(apart <= within, "%s, %s: %.1e apart", x->name, follow_plan_names[plan],
                      apart);
        }
        printf("\n    %-24s %-5s batched, cut and decoded as alone: within %.0e, got %.1e", x->name,
               exact ? "exact" : "fast", within, most);
    }
}

static void
plans_agree(void)
{
    each_model(compare_plans);
}

/* The checkpoint that ships, against the little that is stored of it. */
static void
shipped_as_transformers(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    fixture x = {.name = "profiler/smallmoe"};

    x.set = moe_weights_open(MOE_SOURCE_DIR "/profiler/smallmoe", diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(x.set, "%s%s", messages, error ? error->message : "");
    bool ok = golden_open(&x.golden, GOLDEN "shipped.safetensors");
    MOE_CHECK(ok, "what is stored of it");
    if (x.set && ok) {
        compare(&x, true);
        compare(&x, false);
        compare_plans(&x);
    }
    fixture_close(&x);
    printf("\n");
}

MOE_TESTS({"exact as transformers", exact_as_transformers},
          {"fast as transformers", fast_as_transformers}, {"plans agree", plans_agree},
          {"shipped as transformers", shipped_as_transformers})
