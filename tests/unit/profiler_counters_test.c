/* Plans of counters against the real libcupti, whose host side wants neither GPU nor driver. */
#include "tests/test.h"

#include "profiler/counters.h"

static moe_counters *counters;

static GPtrArray *
plan(const char *const *metrics, moe_diag *diag)
{
    size_t n = 0;
    while (metrics[n])
        n++;
    return moe_counters_plan(counters, metrics, n, (moe_loc){0}, diag);
}

/* Each set: how many groups, and that no metric is lost. */
static void
check_sets(void)
{
    static const struct {
        const char *set;
        guint groups;
    } cases[] = {{"moe", 1}, {"memory", 1}, {"tensor", 1}, {"links", 1}};
    size_t n;
    const moe_counter_set *sets = moe_counter_sets(&n);
    CU_ASSERT_EQUAL_FATAL(n, MOE_COUNT(cases));
    for (size_t i = 0; i < n; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GPtrArray) groups = plan(sets[i].metrics, diag);
        guint metrics = 0, wanted = 0;
        CU_ASSERT_STRING_EQUAL(sets[i].name, cases[i].set);
        CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
        MOE_CHECK(groups->len == cases[i].groups, "set %s: %u groups, %u expected", sets[i].name,
                  groups->len, cases[i].groups);
        for (guint g = 0; g < groups->len; g++) {
            const moe_counter_group *group = groups->pdata[g];
            MOE_CHECK(group->passes == 1, "set %s, group %u: %zu passes", sets[i].name, g,
                      group->passes);
            metrics += group->metrics->len;
        }
        while (sets[i].metrics[wanted])
            wanted++;
        MOE_CHECK(metrics == wanted, "set %s: %u of %u metrics", sets[i].name, metrics, wanted);
    }
}

/* Counters of links and of memory are never counted at once; what takes many passes stands alone;
 * the same metric twice is one. */
static void
check_groups(void)
{
    static const char *const metrics[] = {"dram__bytes_read.sum",
                                          "nvlrx__bytes.sum",
                                          "dram__bytes_write.sum",
                                          "nvltx__bytes.sum",
                                          "dram__bytes_read.sum",
                                          "sm__throughput.avg.pct_of_peak_sustained_elapsed",
                                          NULL};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GPtrArray) groups = plan(metrics, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
    CU_ASSERT_EQUAL_FATAL(groups->len, 3);
    const moe_counter_group *dram = groups->pdata[0], *links = groups->pdata[1],
                            *many = groups->pdata[2];
    CU_ASSERT_EQUAL(dram->metrics->len, 2);
    CU_ASSERT_EQUAL(links->metrics->len, 2);
    CU_ASSERT_STRING_EQUAL(links->metrics->pdata[1], "nvltx__bytes.sum");
    CU_ASSERT_EQUAL(many->metrics->len, 1);
    MOE_CHECK(many->passes > 1, "%zu passes", many->passes);
}

static void
check_mistakes(void)
{
    static const struct {
        const char *metric, *message;
    } cases[] = {
        {"dram__byte_read.sum", "error: GH100 has no metric 'dram__byte_read'; did you mean "
                                "'dram__bytes_read'?\n"},
        {"tensor_time.sum", "error: GH100 has no metric 'tensor_time'; `moesim counters --list "
                            "PATTERN` lists them\n"},
        {"dram__bytes_read.sun", "error: metric 'dram__bytes_read.sun': no rollup '.sun'; did you "
                                 "mean 'dram__bytes_read.sum'?\n"},
        {"", "error: GH100 has no metric ''; `moesim counters --list PATTERN` lists them\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *metrics[] = {"lts__t_bytes.sum", cases[i].metric, NULL};
        g_autoptr(moe_diag) diag = moe_diag_new();
        CU_ASSERT_PTR_NULL(plan(metrics, diag));
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!strcmp(text, cases[i].message), "case %zu: %s", i, text);
    }
}

static void
check_lists(void)
{
    g_autoptr(GPtrArray) all = moe_counters_list(counters, "");
    g_autoptr(GPtrArray) some = moe_counters_list(counters, "dram__bytes_read");
    MOE_CHECK(all->len > 1000, "%u metrics", all->len);
    CU_ASSERT_FATAL(some->len > 0 && some->len < all->len);
    const moe_counter_info *info = some->pdata[0];
    CU_ASSERT_STRING_EQUAL(info->name, "dram__bytes_read");
    CU_ASSERT_STRING_EQUAL(info->unit, "byte");
    CU_ASSERT(info->description[0] != '\0');
    g_auto(GStrv) rollups = moe_counters_rollups(counters, info);
    CU_ASSERT(g_strv_contains((const char *const *)rollups, ".sum"));
}

static void
check_chips(void)
{
    g_auto(GStrv) chips = moe_counters_chips(NULL);
    GError *error = NULL;
    CU_ASSERT_FATAL(chips && g_strv_contains((const char *const *)chips, "GH100"));
    CU_ASSERT_PTR_NULL(moe_counters_open("GH10", &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    MOE_CHECK(strstr(error->message, "no chip 'GH10', did you mean 'GH100'"), "%s", error->message);
    g_clear_error(&error);
    g_autoptr(moe_counters) other = moe_counters_open("ga100", &error); /* any case */
    CU_ASSERT_PTR_NOT_NULL(other);
}

/* One test: without a library there is nothing to ask. CUPTI loads its libnvperf_host in a way
 * (RTLD_DEEPBIND) that sanitizers refuse. */
static void
all_of_it(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    moe_test_skip("CUPTI cannot be loaded under a sanitizer");
    return;
#endif
    g_autoptr(GError) error = NULL;
    counters = moe_counters_open(MOE_COUNTERS_DEFAULT_CHIP, &error);
    if (!counters) {
        moe_test_skip(error->message);
        return;
    }
    check_sets();
    check_groups();
    check_mistakes();
    check_lists();
    check_chips();
    moe_counters_close(counters);
}

MOE_TESTS({"plans of counters", all_of_it})
