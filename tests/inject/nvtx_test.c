/* NVTX with its real headers. */
#include "tests/inject/fixture.h"
#include "tests/test.h"

static const moe_raw_range *
range_at(const raw_log *log, guint i)
{
    static const moe_raw_range none;
    return i < log->ranges->len ? &g_array_index(log->ranges, moe_raw_range, i) : &none;
}

/* "kind domain/text category type:payload" of each record, by lines. */
static char *
lines_of(const raw_log *log)
{
    static const char *const kinds[] = {"push", "pop", "start", "end", "mark"};
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < log->ranges->len; i++) {
        const moe_raw_range *range = range_at(log, i);
        g_string_append_printf(out, "%s %s/%s %u", kinds[range->kind],
                               raw_log_text(log, range->domain), raw_log_text(log, range->text),
                               range->category);
        double number;
        memcpy(&number, &range->payload, sizeof number);
        if (range->payload_type == 1)
            g_string_append_printf(out, " u%lu", (unsigned long)range->payload);
        if (range->payload_type == 2)
            g_string_append_printf(out, " i%ld", (long)range->payload);
        if (range->payload_type == 3)
            g_string_append_printf(out, " f%g", number);
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

static void
check_lines(const char *settings, const char *actions, const char *expected)
{
    ran *run = run_program(settings, actions);
    const raw_log *log = ran_log(run);
    g_autofree char *got = log != NULL ? lines_of(log) : g_strdup("nothing");
    MOE_CHECK(strcmp(got, expected) == 0, "%s: got\n%swanted\n%s", actions, got, expected);
    CU_ASSERT_TRUE(log != NULL && log->whole && log->closed && log->texts_first);
    ran_free(run);
}

static void
plain(void)
{
    ran *run = run_program("", "nvtx:plain");
    const raw_log *log = ran_log(run);
    MOE_CHECK(strcmp(run->out, "depth 0\ndepth 1\nended 1\nended 0\nended -1\n") == 0, "%s",
              run->out);
    if (log != NULL) {
        g_autofree char *got = lines_of(log);
        const char *expected = "push /outer 0\npush /inner \xce\xb1\xe2\x82\xac\xf0\x9f\x98\x80 0\n"
                               "mark /mark 0\npop / 0\npop / 0\nstart /first 0\nstart /second 0\n"
                               "end / 0\nend / 0\n";
        MOE_CHECK(strcmp(got, expected) == 0, "got\n%s", got);
        CU_ASSERT_TRUE(range_at(log, 1)->range == range_at(log, 3)->range);
        CU_ASSERT_TRUE(range_at(log, 0)->range == range_at(log, 4)->range);
        CU_ASSERT_TRUE(range_at(log, 5)->range == range_at(log, 7)->range);
        CU_ASSERT_TRUE(range_at(log, 6)->range == range_at(log, 8)->range);
        MOE_CHECK(log->names->len == 2, "%u names", log->names->len);
        const moe_raw_name *thread = &g_array_index(log->names, moe_raw_name, 0);
        CU_ASSERT_TRUE(thread->kind == MOE_RAW_NAME_THREAD);
        CU_ASSERT_TRUE(thread->number == range_at(log, 0)->thread);
        CU_ASSERT_TRUE(strcmp(raw_log_text(log, thread->text), "main thread") == 0);
        CU_ASSERT_TRUE(raw_log_hello(log, "started_by=nvtx"));
    }
    ran_free(run);
}

static void
payloads(void)
{
    check_lines("", "nvtx:payloads",
                "mark numbers/u64 9 u9223372036854775808\nmark numbers/i32 0 i-5\n"
                "mark numbers/f32 0 f0.5\nmark numbers/registered 0\n");
}

static void
domains_cross(void)
{
    check_lines("", "nvtx:crossed nvtx:uncross", "push a/one 0\npush b/two 0\npop a/ 0\n");
}

static void
abi_is_nvtx(void)
{
    check_lines("", "push:7:experts pop push:-1:embed pop",
                "push moesim/experts 5 u7\npop moesim/ 0\npush moesim/embed 1\npop moesim/ 0\n");
}

static void
schemas(void)
{
    check_lines("", "nvtx:schema",
                "push engine/prefill 0 u300\npop engine/ 0\nstart engine/prefill 0 u300\n"
                "end / 0\nmark engine/prefill 0 u300\n");
}

static void
routing(void)
{
    ran *run = run_program("", "nvtx:routed");
    const raw_log *log = ran_log(run);
    if (log != NULL && log->routes->len == 1) {
        const moe_raw_route *route = g_ptr_array_index(log->routes, 0);
        const uint16_t ids[6] = {3, 17, 42, 63, 0xFFFF, 5};
        const float weights[6] = {1, 2, 3, 4, 5, 6};
        CU_ASSERT_TRUE(route->layer == 4 && route->step == 11 && route->n == 3 && route->k == 2);
        CU_ASSERT_TRUE(memcmp(route + 1, ids, sizeof ids) == 0);
        CU_ASSERT_TRUE(memcmp((const uint8_t *)(route + 1) + sizeof ids, weights, sizeof weights) ==
                       0);
        CU_ASSERT_EQUAL(raw_log_lost(log, "route", "lost"), 1); /* the one cut short */
    } else {
        CU_FAIL("no routing");
    }
    ran_free(run);
}

/* Handles of domains and strings from before a fork are good in the child. */
static void
handles_outlive_forks(void)
{
    ran *run = run_program(FORKS, "nvtx:keep fork nvtx:kept exit:0 joined nvtx:kept");
    MOE_CHECK(run->logs->len == 2, "%u logs", run->logs->len);
    for (guint i = 0; i < run->logs->len; i++) {
        const raw_log *log = g_ptr_array_index(run->logs, i);
        g_autofree char *got = lines_of(log);
        MOE_CHECK(strcmp(got, "mark kept/kept text 0\n") == 0 && log->texts_first, "%s", got);
        MOE_CHECK(log->whole && log->closed, "%s: not closed", log->name);
    }
    ran_free(run);
}

static void
windows(void)
{
    check_lines("MOESIM_RANGE=nvtx:app/region",
                "push:0:router nvtx:enter push:1:experts pop nvtx:leave pop push:2:combine pop",
                "push app/region 0\npush moesim/experts 5 u1\npop moesim/ 0\npop app/ 0\n");
    check_lines("MOESIM_DELAY_MS=400 MOESIM_DURATION_MS=900",
                "push:0:router pop sleep:700 push:1:experts pop sleep:1000 push:2:combine pop",
                "push moesim/experts 5 u1\npop moesim/ 0\n");
    ran *run =
        run_program("MOESIM_RANGE=nvtx:app/other", "nvtx:enter push:1:experts pop nvtx:leave");
    const raw_log *log = ran_log(run);
    CU_ASSERT_TRUE(log != NULL && log->ranges->len == 0 && raw_log_said(log, "window_never"));
    ran_free(run);
}

static void
left_out(void)
{
    check_lines("MOESIM_TRACE=route", "nvtx:plain push:1:experts pop",
                "push moesim/experts 5 u1\npop moesim/ 0\n");
}

MOE_TESTS({"plain", plain}, {"payloads", payloads}, {"domains cross", domains_cross},
          {"the ABI's ranges", abi_is_nvtx}, {"schemas", schemas}, {"routing", routing},
          {"handles outlive forks", handles_outlive_forks}, {"windows", windows},
          {"left out", left_out})
