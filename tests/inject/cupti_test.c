/* CUPTI, played by fake_cupti.c: what is recorded, what is lost, what goes wrong. */
#include "tests/inject/fixture.h"
#include "tests/test.h"

#include <cupti.h>

/* What the injector knows as numbers. */
_Static_assert(offsetof(CUpti_ActivityKernel10, name) == 104, "name of a kernel");
_Static_assert(offsetof(CUpti_ActivityKernel10, graphNodeId) == 144, "graph node of a kernel");
_Static_assert(offsetof(CUpti_ActivityDevice5, name) == 136, "name of a device");
_Static_assert(offsetof(CUpti_ActivityMemory4, name) == 64, "name of an allocation");
_Static_assert(offsetof(CUpti_ActivityMemory4, source) == 120, "source of an allocation");
_Static_assert(offsetof(CUpti_ActivityJit2, cachePath) == 56, "path of a cache");
_Static_assert(offsetof(CUpti_ActivityOverhead3, overheadData) == 48, "data of an overhead");
_Static_assert(offsetof(CUpti_ActivityModule, cubin) == 16, "cubin of a module");
_Static_assert(offsetof(CUpti_ActivityFunction, name) == 24, "name of a function");
_Static_assert(offsetof(CUpti_ActivityName, name) == 24, "name of a name");

static const uint32_t kernel_kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
static const uint32_t call_kind = CUPTI_ACTIVITY_KIND_RUNTIME;
static const uint32_t external_kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;

static const char *
kernel_name(const raw_log *log, const uint8_t *record)
{
    uint64_t id;
    memcpy(&id, record + offsetof(CUpti_ActivityKernel10, name), sizeof id);
    return raw_log_text(log, (uint32_t)id);
}

static bool
has_call(const ran *run, const char *line)
{
    g_autofree char *whole = g_strconcat("\n", line, "\n", NULL);
    g_autofree char *all = g_strconcat("\n", run->calls, NULL);
    return strstr(all, whole) != NULL;
}

/* The range that a kernel was launched in, by correlation: 0 none. */
static uint64_t
range_of(const raw_log *log, uint32_t correlation)
{
    for (const uint8_t *at = NULL; (at = raw_log_activity(log, external_kind, at)) != NULL;) {
        CUpti_ActivityExternalCorrelation external;
        memcpy(&external, at, sizeof external);
        if (external.correlationId == correlation)
            return external.externalId;
    }
    return 0;
}

static const char *
stage_of(const raw_log *log, const uint8_t *record)
{
    CUpti_ActivityKernel10 kernel;
    memcpy(&kernel, record, sizeof kernel);
    uint64_t range = range_of(log, kernel.correlationId);
    for (guint i = 0; i < log->ranges->len; i++) {
        const moe_raw_range *row = &g_array_index(log->ranges, moe_raw_range, i);
        if (row->range == range && row->kind == MOE_RAW_PUSH)
            return raw_log_text(log, row->text);
    }
    return "";
}

/* Each kernel as "name:stage", by spaces. */
static char *
kernels_of(const raw_log *log)
{
    GString *out = g_string_new(NULL);
    for (const uint8_t *at = NULL; (at = raw_log_activity(log, kernel_kind, at)) != NULL;)
        g_string_append_printf(out, "%s%s:%s", out->len > 0 ? " " : "", kernel_name(log, at),
                               stage_of(log, at));
    return g_string_free(out, FALSE);
}

static void
check_kernels(const char *settings, const char *actions, const char *expected)
{
    ran *run = run_program(settings, actions);
    const raw_log *log = ran_log(run);
    g_autofree char *got = log != NULL ? kernels_of(log) : g_strdup("no log");
    MOE_CHECK(strcmp(got, expected) == 0, "%s %s: got '%s'", settings, actions, got);
    CU_ASSERT_TRUE(log != NULL && log->whole && log->closed && log->texts_first);
    ran_free(run);
}

static void
kernels(void)
{
    ran *run = run_program("", "cuda launch:gemm_kernel:3 exit:3");
    const raw_log *log = ran_log(run);
    CU_ASSERT_EQUAL(ran_exit(run), 3);
    if (log != NULL) {
        g_autofree char *got = kernels_of(log);
        MOE_CHECK(strcmp(got, "gemm_kernel: gemm_kernel: gemm_kernel:") == 0, "%s", got);
        CU_ASSERT_EQUAL(raw_log_count(log, call_kind), 3);
        CU_ASSERT_EQUAL(log->losses->len, 0);
        CU_ASSERT_EQUAL(log->said->len, 0);
        const char *const hello[] = {"started_by=cuda", "cupti=130001", "clock=monotonic"};
        for (size_t i = 0; i < G_N_ELEMENTS(hello); i++)
            MOE_CHECK(raw_log_hello(log, hello[i]), "%s in %s", hello[i], log->hello->str);
        CU_ASSERT_TRUE(strstr(log->hello->str, "cupti_path=" INJECT_FAKES) != NULL);
        const uint8_t *call = raw_log_activity(log, call_kind, NULL);
        CUpti_ActivityAPI api;
        memcpy(&api, call, sizeof api);
        uint64_t now = (uint64_t)g_get_monotonic_time() * 1000;
        CU_ASSERT_TRUE(api.start < now && now - api.start < 60000000000u); /* of our clock */
    }
    static const char *const calls[] = {
        "moesim 2",    "enable 10",        "enable 5",       "enable 39",     "enable 17",
        "attribute 5", "thread_id_type 1", "runtime_off 17", "driver_on 307", "flush 1"};
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        MOE_CHECK(has_call(run, calls[i]), "no %s in\n%s", calls[i], run->calls);
    CU_ASSERT_FALSE(has_call(run, "enable 4"));
    ran_free(run);
}

static void
kinds_by_trace(void)
{
    static const struct {
        const char *settings, *has, *has_not;
    } rows[] = {
        {"MOESIM_TRACE=kernel,nvtx", "enable 10", "enable 5"},
        {"MOESIM_TRACE=kernel", "runtime_on 211", "enable 1"},
        {"MOESIM_TRACE=memop", "enable 2", "enable 10"},
        {"MOESIM_TRACE=kernel,graph", "enable 51", "enable 5"},
        {"MOESIM_TRACE=nvtx,route", "", "enable 10"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ran *run = run_program(rows[i].settings, "cuda");
        CU_ASSERT_TRUE(ran_log(run) != NULL && ran_exit(run) == 0);
        MOE_CHECK(*rows[i].has == '\0' || has_call(run, rows[i].has), "%s: no %s", rows[i].settings,
                  rows[i].has);
        MOE_CHECK(!has_call(run, rows[i].has_not), "%s: %s", rows[i].settings, rows[i].has_not);
        ran_free(run);
    }
}

/* Kernels are joined with the innermost range of the thread, exactly. */
static void
joins(void)
{
    check_kernels("",
                  "push:0:router cuda launch:early:1 push:0:experts launch:inner:2 pop "
                  "launch:outer:1 pop launch:none:1",
                  "early:router inner:experts inner:experts outer:router none:");
}

static void
joins_of_domains_that_cross(void)
{
    check_kernels("",
                  "cuda nvtx:crossed launch:in_both:1 nvtx:uncross launch:in_two:1 "
                  "push:1:experts launch:in:1 pop launch:in_two:1",
                  "in_both:two in_two:two in:experts in_two:two");
}

static void
many(void)
{
    ran *run = run_program("", "cuda push:0:experts launch:k:100000 pop threads:6:2000");
    const raw_log *log = ran_log(run);
    MOE_CHECK(log != NULL && raw_log_count(log, kernel_kind) == 112000, "%u kernels",
              log != NULL ? raw_log_count(log, kernel_kind) : 0);
    CU_ASSERT_TRUE(log != NULL && log->buffers > 3 && log->losses->len == 0);
    CU_ASSERT_TRUE(log != NULL && raw_log_count(log, external_kind) == 112000);
    ran_free(run);
}

/* A library whose records are larger: read by its own sizes, names where they always were. */
static void
larger_records(void)
{
    ran *run = run_program("FAKE_LARGER=24 FAKE_VERSION=130200", "cuda launch:big:5");
    const raw_log *log = ran_log(run);
    if (log != NULL) {
        g_autofree char *got = kernels_of(log);
        MOE_CHECK(strcmp(got, "big: big: big: big: big:") == 0, "%s", got);
        bool found = false;
        for (guint i = 0; i < log->sizes->len; i++) {
            const moe_raw_size *row = &g_array_index(log->sizes, moe_raw_size, i);
            found |= row->kind == kernel_kind && row->bytes == sizeof(CUpti_ActivityKernel10) + 24;
        }
        CU_ASSERT_TRUE(found && raw_log_hello(log, "cupti=130200"));
    }
    ran_free(run);
}

/* At the limit of memory: newer libraries get no buffer and count what they drop, older ones get
 * one for throwing away. Nothing is lost without being counted. */
static void
too_many(void)
{
    static const char *const rows[] = {"MOESIM_MAX_BUFFER_MIB=8 FAKE_AHEAD=1",
                                       "MOESIM_MAX_BUFFER_MIB=8 FAKE_AHEAD=1 FAKE_VERSION=26"};
    const uint64_t launched = 200000;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ran *run = run_program(rows[i], "cuda launch:k:200000");
        const raw_log *log = ran_log(run);
        CU_ASSERT_EQUAL(ran_exit(run), 0);
        if (log != NULL) {
            uint64_t kept = raw_log_count(log, kernel_kind) + raw_log_count(log, call_kind);
            uint64_t dropped = raw_log_lost(log, "cupti", "dropped"),
                     denied = raw_log_lost(log, "cupti", "buffer_denied");
            MOE_CHECK(kept + (i == 0 ? dropped : denied) == 2 * launched, "%s: %lu kept, %lu %lu",
                      rows[i], (unsigned long)kept, (unsigned long)dropped, (unsigned long)denied);
            CU_ASSERT_TRUE(denied > 0 && (i == 0) == (dropped > 0));
        }
        ran_free(run);
    }
}

/* Another tool holds CUPTI: named; ranges and routing go on. */
static void
busy(void)
{
    ran *run = run_program("FAKE_BUSY=kineto", "cuda push:0:router pop route:5 exit:1");
    const raw_log *log = ran_log(run);
    CU_ASSERT_EQUAL(ran_exit(run), 1);
    if (log != NULL) {
        const char *said = raw_log_said(log, "cupti_busy");
        MOE_CHECK(said != NULL && strstr(said, "held by kineto"), "%s",
                  said != NULL ? said : "nothing");
        CU_ASSERT_TRUE(raw_log_hello(log, "cupti=busy: held by kineto"));
        CU_ASSERT_TRUE(log->ranges->len == 2 && log->routes->len == 5 && log->buffers == 0);
    }
    CU_ASSERT_FALSE(has_call(run, "enable 10"));
    ran_free(run);
}

static void
refused_kind(void)
{
    ran *run = run_program("FAKE_REFUSE=17", "cuda launch:k:2");
    const raw_log *log = ran_log(run);
    const char *said = log != NULL ? raw_log_said(log, "cupti_kind_refused") : NULL;
    MOE_CHECK(said != NULL && strstr(said, "kind 17"), "%s", said != NULL ? said : "nothing");
    CU_ASSERT_TRUE(log != NULL && raw_log_count(log, kernel_kind) == 2);
    ran_free(run);
}

/* Without the newer entry points: the first version of the subscription, times of another clock,
 * sizes from the header. */
static void
old_library(void)
{
    ran *run = run_program("MOESIM_CUPTI_LIB=" INJECT_FAKES "/old/libcupti.so.12",
                           "cuda push:0:experts launch:k:2 pop");
    const raw_log *log = ran_log(run);
    if (log != NULL) {
        CU_ASSERT_TRUE(raw_log_hello(log, "clock=realtime") && raw_log_said(log, "cupti_clock"));
        CU_ASSERT_TRUE(raw_log_said(log, "no_sizes") != NULL);
        CU_ASSERT_EQUAL(raw_log_count(log, kernel_kind), 2);
    }
    CU_ASSERT_TRUE(has_call(run, "subscribe 1"));
    ran_free(run);
}

static void
broken_library(void)
{
    ran *run = run_program("MOESIM_CUPTI_LIB=" INJECT_FAKES "/broken/libcupti.so.13",
                           "cuda push:0:experts pop");
    const raw_log *log = ran_log(run);
    const char *said = log != NULL ? raw_log_said(log, "cupti_failed") : NULL;
    MOE_CHECK(said != NULL && strstr(said, "cuptiActivityFlushAll"), "%s",
              said != NULL ? said : "nothing");
    CU_ASSERT_TRUE(log != NULL && log->closed && log->ranges->len == 2);
    ran_free(run);
}

/* The library that the process has already is taken, whatever is named; a second one is told. */
static void
two_libraries(void)
{
    ran *run = run_program("MOESIM_CUPTI_LIB=" INJECT_FAKES "/old/libcupti.so.12",
                           "load:" INJECT_FAKES "/cupti/libcupti.so.13 cuda load:" INJECT_FAKES
                           "/old/libcupti.so.12");
    const raw_log *log = ran_log(run);
    if (log != NULL) {
        CU_ASSERT_TRUE(strstr(log->hello->str, "/cupti/libcupti.so.13\n") != NULL);
        const char *said = raw_log_said(log, "cupti_two");
        MOE_CHECK(said != NULL && strstr(said, "/old/") && strstr(said, "/cupti/"), "%s",
                  said != NULL ? said : "nothing");
    }
    ran_free(run);
}

static void
graphs(void)
{
    ran *run = run_program("", "cuda push:3:experts node:41:0 pop node:42:0 node:51:41 "
                               "graph:in:51 graph:in:41 graph:unseen:77 graph:unseen:78");
    const raw_log *log = ran_log(run);
    if (log != NULL && log->nodes->len == 3) {
        const moe_raw_node *nodes = &g_array_index(log->nodes, moe_raw_node, 0);
        const moe_raw_range *push = &g_array_index(log->ranges, moe_raw_range, 0);
        CU_ASSERT_TRUE(nodes[0].node == 41 && nodes[0].range == push->range);
        CU_ASSERT_TRUE(nodes[1].node == 42 && nodes[1].range == 0 && nodes[1].original == 0);
        CU_ASSERT_TRUE(nodes[2].node == 51 && nodes[2].original == 41);
        CU_ASSERT_TRUE(raw_log_said(log, "graph_unknown") != NULL);
        unsigned n = 0;
        for (guint i = 0; i < log->said->len; i++)
            n += g_array_index(log->said, moe_raw_diagnostic, i).n;
        CU_ASSERT_EQUAL(n, 1);
    } else {
        CU_FAIL("nodes are missing");
    }
    ran_free(run);
    run = run_program("", "cuda node:41:0 graph:in:41");
    log = ran_log(run);
    CU_ASSERT_TRUE(log != NULL && raw_log_said(log, "graph_unknown") == NULL);
    ran_free(run);
}

static void
fails_inside(void)
{
    ran *run = run_program("", "cuda launch:k:1 error:device_lost odd");
    const raw_log *log = ran_log(run);
    const char *said = log != NULL ? raw_log_said(log, "cupti_fatal") : NULL;
    MOE_CHECK(said != NULL && strstr(said, "device_lost"), "%s", said != NULL ? said : "nothing");
    CU_ASSERT_TRUE(log != NULL && log->whole && log->closed);
    CU_ASSERT_TRUE(log != NULL && raw_log_count(log, kernel_kind) == 1);
    ran_free(run);
}

static void
windows(void)
{
    check_kernels("MOESIM_RANGE=profiler-api",
                  "cuda launch:before:1 profiler:1 push:0:experts launch:in:1 pop profiler:0 "
                  "launch:after:1 profiler:1 launch:again:1",
                  "in:experts again:");
    check_kernels("MOESIM_RANGE=nvtx:moesim/experts",
                  "cuda launch:before:1 push:0:experts launch:in:1 pop launch:after:1",
                  "in:experts");
    check_kernels("MOESIM_DELAY_MS=400 MOESIM_DURATION_MS=900",
                  "cuda launch:before:1 sleep:700 launch:in:1 sleep:1000 launch:after:1", "in:");
}

/* A child of a process whose CUDA is traced records nothing and says so; only if it would have had
 * something to record. */
static void
forks(void)
{
    ran *run =
        run_program(FORKS, "cuda launch:k:1 push:0:router fork push:1:router pop exit:4 joined "
                           "pop launch:k:1");
    CU_ASSERT_TRUE(ran_exit(run) == 0 && strstr(run->out, "push 1\npop 1\nchild 4") != NULL);
    MOE_CHECK(run->logs->len == 2, "%u logs", run->logs->len);
    for (guint i = 0; i < run->logs->len; i++) {
        const raw_log *log = g_ptr_array_index(run->logs, i);
        bool child = strstr(log->hello->str, "forked_from=") != NULL;
        CU_ASSERT_TRUE(log->whole && log->closed == !child && log->texts_first);
        CU_ASSERT_TRUE((raw_log_said(log, "forked") != NULL) == child);
        MOE_CHECK(log->ranges->len == (child ? 0 : 2), "%u ranges", log->ranges->len);
        CU_ASSERT_EQUAL(raw_log_count(log, kernel_kind), child ? 0 : 2);
    }
    ran_free(run);
    run = run_program(FORKS, "cuda launch:k:1 fork exit:4 joined launch:k:1");
    CU_ASSERT_TRUE(ran_log(run) != NULL && ran_log(run)->closed);
    ran_free(run);
}

/* The flushing thread hands over what CUPTI has every half second. */
static void
killed(void)
{
    ran *run = run_program("", "cuda launch:k:7 sleep:900 _exit:2");
    const raw_log *log = ran_log(run);
    CU_ASSERT_EQUAL(ran_exit(run), 2);
    CU_ASSERT_TRUE(log != NULL && log->whole && !log->closed);
    CU_ASSERT_TRUE(log != NULL && raw_log_count(log, kernel_kind) == 7);
    ran_free(run);
    run = run_program("", "cuda launch:k:7 signal:15");
    log = ran_log(run);
    CU_ASSERT_TRUE(log != NULL && log->closed && raw_log_count(log, kernel_kind) == 7);
    ran_free(run);
}

MOE_TESTS({"kernels", kernels}, {"kinds by trace", kinds_by_trace}, {"joins", joins},
          {"many", many}, {"larger records", larger_records}, {"too many", too_many},
          {"busy", busy}, {"refused kind", refused_kind}, {"old library", old_library},
          {"broken library", broken_library}, {"two libraries", two_libraries}, {"graphs", graphs},
          {"fails inside", fails_inside}, {"windows", windows}, {"forks", forks},
          {"killed", killed}, {"joins of domains that cross", joins_of_domains_that_cross})
