/* Hardware counters of stages, with the fake CUPTI's range profiler: metric m of the i-th range
 * that it measured is 100 i + m. */
#include "tests/inject/fixture.h"
#include "tests/test.h"

#define TWO "MOESIM_TRACE=nvtx,route,counters MOESIM_COUNTERS=dram__bytes_read.sum,lts__t_bytes.sum"

/* Each value as "range metric=value", by spaces. */
static char *
values_of(const raw_log *log, guint most)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < log->counters->len && i < most; i++) {
        const moe_raw_counter *c = &g_array_index(log->counters, moe_raw_counter, i);
        g_string_append_printf(out, "%s%s %s=%g", i > 0 ? " " : "", raw_log_text(log, c->range),
                               raw_log_text(log, c->metric), c->value);
    }
    return g_string_free(out, FALSE);
}

static void
check_values(const char *settings, const char *actions, const char *expected)
{
    ran *run = run_program(settings, actions);
    const raw_log *log = ran_log(run);
    g_autofree char *got = log != NULL ? values_of(log, 1000) : g_strdup("no log");
    MOE_CHECK(strcmp(got, expected) == 0, "%s: got '%s'", actions, got);
    CU_ASSERT_TRUE(log != NULL && log->whole && log->closed && log->texts_first &&
                   log->losses->len == 0);
    CU_ASSERT_EQUAL(ran_exit(run), 0);
    ran_free(run);
}

static void
stages(void)
{
    check_values(TWO, "cuda push:3:router pop push:3:experts pop push:-1:embed pop",
                 "router/3 dram__bytes_read.sum=0 router/3 lts__t_bytes.sum=1 "
                 "experts/3 dram__bytes_read.sum=100 experts/3 lts__t_bytes.sum=101 "
                 "embed dram__bytes_read.sum=200 embed lts__t_bytes.sum=201");
    /* A range within a stage is part of it; other domains' ranges and steps are none. */
    check_values(TWO, "cuda step:0 push:1:experts push:1:combine pop pop end:0",
                 "experts/1 dram__bytes_read.sum=0 experts/1 lts__t_bytes.sum=1");
    /* Before there is a context nothing is counted; one that is open at the end has its values. */
    check_values(TWO, "push:0:router pop cuda push:7:experts",
                 "experts/7 dram__bytes_read.sum=0 experts/7 lts__t_bytes.sum=1");
}

/* More ranges than the counters of a session hold: they are read in between. */
static void
many(void)
{
    GString *actions = g_string_new("cuda");
    for (int i = 0; i < 2500; i++)
        g_string_append_printf(actions, " push:%d:experts pop", i % 7);
    ran *run = run_program(TWO, actions->str);
    const raw_log *log = ran_log(run);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_EQUAL(log->counters->len, 5000);
    for (guint i = 0; i < log->counters->len; i++) {
        const moe_raw_counter *c = &g_array_index(log->counters, moe_raw_counter, i);
        g_autofree char *range = g_strdup_printf("experts/%u", i / 2 % 7);
        if (c->value == 100.0 * (i / 2) + i % 2 && c->order == i / 2 &&
            strcmp(raw_log_text(log, c->range), range) == 0)
            continue;
        MOE_CHECK(false, "value %u: %g of %s", i, c->value, raw_log_text(log, c->range));
        break;
    }
    ran_free(run);
    g_string_free(actions, TRUE);
}

/* What cannot be counted is said once; the program goes on and its ranges are recorded. */
static void
refused(void)
{
    static const struct {
        const char *settings, *code, *text;
    } rows[] = {
        {TWO " FAKE_DENIED=35", "counters_forbidden", "cuptiRangeProfilerEnable"},
        {TWO " FAKE_DENIED=40", "counters_unsupported", "(40)"},
        {TWO " FAKE_DENIED=26", "cupti_failed", "(26)"},
        {TWO " FAKE_PASSES=3", "counters_passes", "3 passes"},
        {"MOESIM_TRACE=nvtx,route,counters MOESIM_COUNTERS=unknown.sum", "cupti_failed",
         "cuptiProfilerHostConfigAddMetrics"},
        {"MOESIM_TRACE=nvtx,route,counters", "counters_unsupported", "names no metrics"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ran *run =
            run_program(rows[i].settings, "cuda push:3:router pop push:3:experts pop exit:6");
        const raw_log *log = ran_log(run);
        CU_ASSERT_PTR_NOT_NULL_FATAL(log);
        const char *said = raw_log_said(log, rows[i].code);
        MOE_CHECK(said != NULL && strstr(said, rows[i].text) != NULL, "%s: %s", rows[i].settings,
                  said != NULL ? said : "nothing was said");
        CU_ASSERT_EQUAL(log->said->len, 1);
        CU_ASSERT_EQUAL(log->counters->len, 0);
        CU_ASSERT_EQUAL(log->ranges->len, 4);
        CU_ASSERT_EQUAL(ran_exit(run), 6);
        ran_free(run);
    }
}

static void
dropped(void)
{
    ran *run = run_program(TWO " FAKE_DROPPED=3", "cuda push:3:router pop");
    const raw_log *log = ran_log(run);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_EQUAL(raw_log_lost(log, "counter", "lost"), 6);
    CU_ASSERT_EQUAL(log->counters->len, 2);
    ran_free(run);
}

/* Counters are of the thread that pushed first; others run on and are not counted. */
static void
threads(void)
{
    ran *run = run_program(TWO, "cuda push:3:router pop threads:4:50 push:4:router pop");
    const raw_log *log = ran_log(run);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    g_autofree char *got = values_of(log, 1000);
    MOE_CHECK(strcmp(got, "router/3 dram__bytes_read.sum=0 router/3 lts__t_bytes.sum=1 "
                          "router/4 dram__bytes_read.sum=100 router/4 lts__t_bytes.sum=101") == 0,
              "%s", got);
    CU_ASSERT_PTR_NOT_NULL(raw_log_said(log, "counters_threads"));
    ran_free(run);
}

MOE_TESTS({"stages", stages}, {"many", many}, {"refused", refused}, {"dropped", dropped},
          {"threads", threads})
