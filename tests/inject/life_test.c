/* How programs begin and end, and what of them is in the log then. */
#include "tests/inject/fixture.h"
#include "tests/test.h"

#include <signal.h>
#include <sys/wait.h>

static void
check_two_ranges(const raw_log *log)
{
    if (log == NULL) {
        CU_FAIL("no log");
        return;
    }
    MOE_CHECK(log->ranges->len == 4, "%u range records", log->ranges->len);
    MOE_CHECK(log->first_type == MOE_RAW_HELLO, "first chunk %u", log->first_type);
    CU_ASSERT_TRUE(log->texts_first);
    CU_ASSERT_TRUE(log->clocks >= 1);
}

#define TWO_RANGES "push:0:router push:0:experts pop pop "

static void
ends(void)
{
    static const struct {
        const char *how;
        int status;
    } rows[] = {{"exit:3", 3}, {"quick:4", 4}, {"exit:0", 0}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *actions = g_strconcat(TWO_RANGES, rows[i].how, NULL);
        ran *run = run_program("", actions);
        const raw_log *log = ran_log(run);
        MOE_CHECK(ran_exit(run) == rows[i].status, "%s: %d", rows[i].how, run->status);
        check_two_ranges(log);
        MOE_CHECK(log != NULL && log->whole && log->closed, "%s", rows[i].how);
        CU_ASSERT_TRUE(log != NULL && log->close.reason == 0 && log->losses->len == 0);
        ran_free(run);
    }
}

/* What was said half a second before an end without notice is in the log. */
static void
killed(void)
{
    static const struct {
        const char *how;
        int status;
    } rows[] = {{"_exit:5", 5 << 8}, {"signal:9", SIGKILL}, {"signal:11", SIGSEGV}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *actions = g_strconcat(TWO_RANGES "sleep:500 ", rows[i].how, NULL);
        ran *run = run_program("", actions);
        const raw_log *log = ran_log(run);
        bool sanitized = rows[i].status == SIGSEGV && WIFEXITED(run->status);
        MOE_CHECK(sanitized || (run->status & ~0x80) == rows[i].status, "%s: %d", rows[i].how,
                  run->status);
        check_two_ranges(log);
        MOE_CHECK(log != NULL && log->whole && !log->closed, "%s", rows[i].how);
        ran_free(run);
    }
}

/* Signals that end a program close its log first, and still end it as they would. */
static void
signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autofree char *actions = g_strdup_printf(TWO_RANGES "signal:%d", numbers[i]);
        ran *run = run_program("", actions);
        const raw_log *log = ran_log(run);
        MOE_CHECK(WIFSIGNALED(run->status) && WTERMSIG(run->status) == numbers[i], "status %d",
                  run->status);
        check_two_ranges(log);
        CU_ASSERT_TRUE(log != NULL && log->closed && log->close.reason == 1);
        CU_ASSERT_TRUE(log != NULL && log->close.signal == (uint32_t)numbers[i]);
        ran_free(run);
    }
}

/* A handler of the program's own stays, whether it was there first or came later. */
static void
own_handler(void)
{
    static const char *const rows[] = {"handle " TWO_RANGES "signal:15",
                                       TWO_RANGES "handle signal:15"};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ran *run = run_program("", rows[i]);
        const raw_log *log = ran_log(run);
        MOE_CHECK(ran_exit(run) == 9, "%s: status %d", rows[i], run->status);
        check_two_ranges(log);
        CU_ASSERT_TRUE(log != NULL && log->closed && log->close.reason == 0);
        ran_free(run);
    }
}

/* A handler that was there first is called after what there is was asked to be written: it may be
 * the end, sooner than the writer comes by itself. */
static void
hurried_handler(void)
{
    ran *run = run_program("", "hurry " TWO_RANGES "signal:15");
    const raw_log *log = ran_log(run);
    MOE_CHECK(ran_exit(run) == 8, "status %d", run->status);
    check_two_ranges(log);
    CU_ASSERT_TRUE(log != NULL && log->whole && !log->closed);
    ran_free(run);
}

/* A child of a process without traced CUDA is a process of its own, with a log of its own. */
static void
forks(void)
{
    ran *run = run_program(FORKS, "push:1:router fork push:2:experts pop exit:6 joined pop");
    MOE_CHECK(ran_exit(run) == 0 && strstr(run->out, "child 6") != NULL, "%s", run->out);
    MOE_CHECK(run->logs->len == 2, "%u logs", run->logs->len);
    for (guint i = 0; i < run->logs->len; i++) {
        const raw_log *log = g_ptr_array_index(run->logs, i);
        bool child = strstr(log->hello->str, "forked_from=") != NULL;
        CU_ASSERT_TRUE(log->whole && log->closed && log->texts_first);
        MOE_CHECK(log->ranges->len == 2, "%u ranges", log->ranges->len);
        const moe_raw_range *first = &g_array_index(log->ranges, moe_raw_range, 0);
        MOE_CHECK(strcmp(raw_log_text(log, first->text), child ? "experts" : "router") == 0, "%s",
                  raw_log_text(log, first->text));
        CU_ASSERT_TRUE(first->payload == (child ? 2 : 1));
    }
    ran_free(run);
    run = run_program(FORKS, "push:1:router fork exit:6 joined pop");
    CU_ASSERT_TRUE(ran_log(run) != NULL); /* a child that says nothing leaves nothing */
    ran_free(run);
}

/* A fork while another thread begins the capture. (AddressSanitizer: such a program waits until its
 * threads sleep, see program.c.) */
static void
forks_while_it_begins(void)
{
    for (int us = 0; us < 600; us += 20) {
        g_autofree char *actions =
            g_strdup_printf("aside:%d fork push:2:experts pop exit:6 joined sleep:1", us);
        ran *run = run_program(FORKS, actions);
        MOE_CHECK(ran_exit(run) == 0 && strstr(run->out, "child 6") != NULL, "after %d us: %s", us,
                  run->out);
        ran_free(run);
    }
}

static void
execs(void)
{
    ran *run = run_program("", "push:1:router pop sleep:500 exec push:2:experts pop exit:2");
    CU_ASSERT_EQUAL(ran_exit(run), 2);
    MOE_CHECK(run->logs->len == 2, "%u logs", run->logs->len);
    if (run->logs->len == 2) {
        const raw_log *second = g_ptr_array_index(run->logs, 0),
                      *first = g_ptr_array_index(run->logs, 1);
        MOE_CHECK(g_str_has_suffix(second->name, ".1.raw"), "%s", second->name);
        CU_ASSERT_TRUE(first->whole && !first->closed && first->ranges->len == 2);
        CU_ASSERT_TRUE(second->whole && second->closed && second->ranges->len == 2);
    }
    ran_free(run);
}

static void
off(void)
{
    ran *run = run_program("MOESIM_CAPTURE=", "cuda push:0:router pop route:2 exit:1");
    CU_ASSERT_EQUAL(ran_exit(run), 1);
    CU_ASSERT_EQUAL(run->logs->len, 0);
    CU_ASSERT_TRUE(strstr(run->out, "push 1\npop 1\nroute lost") != NULL);
    MOE_CHECK(*run->calls == '\0', "CUPTI was called: %s", run->calls);
    ran_free(run);
    run = run_program("MOESIM_CAPTURE=/proc/none/there", "cuda push:0:router pop exit:1");
    CU_ASSERT_EQUAL(ran_exit(run), 1);
    CU_ASSERT_EQUAL(run->logs->len, 0);
    ran_free(run);
}

/* No file may grow beyond a limit, as on a full disk: the program goes on, what is in the log is
 * whole, and what is not is counted. */
static void
full(void)
{
    const unsigned calls = 200000;
    ran *run = run_program("", "limit:300000 route:200000 exit:7");
    const raw_log *log = ran_log(run);
    MOE_CHECK(ran_exit(run) == 7, "status %d", run->status);
    if (log != NULL) {
        CU_ASSERT_TRUE(log->whole && log->closed);
        CU_ASSERT_PTR_NOT_NULL(raw_log_said(log, "disk_full"));
        uint64_t lost = raw_log_lost(log, "log", "full") + raw_log_lost(log, "route", "lost");
        MOE_CHECK(log->routes->len + lost == calls && log->routes->len > 0 && lost > 0,
                  "%u written, %lu lost", log->routes->len, (unsigned long)lost);
    }
    ran_free(run);
}

/* A program that closes every descriptor there is, and then has a file of its own where the log
 * was: the file is left alone. */
static void
closes_all(void)
{
    ran *run = run_program("", TWO_RANGES "sleep:300 closeall push:1:router pop sleep:300 exit:0");
    const raw_log *log = ran_log(run);
    CU_ASSERT_EQUAL(ran_exit(run), 0);
    check_two_ranges(log);
    CU_ASSERT_TRUE(log != NULL && log->whole && !log->closed);
    CU_ASSERT_TRUE(strstr(run->out, "own file: own words") != NULL);
    ran_free(run);
}

static void
tells_about_itself(void)
{
    ran *run = run_program("RANK=3 MOESIM_TRACE=route,nvtx,bogus MOESIM_DURATION_MS=soon",
                           "model step:3 tokens end:3 diagnostic:unseen");
    const raw_log *log = ran_log(run);
    if (log != NULL) {
        static const char *const lines[] = {"abi=1", "rank=3", "started_by=route",
                                            "trace=nvtx,route", "model={\"name\": \"a  b\"}"};
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
            MOE_CHECK(raw_log_hello(log, lines[i]), "no %s in %s", lines[i], log->hello->str);
        CU_ASSERT_TRUE(strstr(log->hello->str, "program\x1fmodel\x1fstep:3\x1ftokens") != NULL);
        const char *said = raw_log_said(log, "option_ignored");
        MOE_CHECK(said != NULL && strstr(said, "bogus") && strstr(said, "soon"), "%s",
                  said != NULL ? said : "nothing");
        said = raw_log_said(log, "hook_note");
        CU_ASSERT_TRUE(said != NULL && strcmp(said, "unseen") == 0);
    }
    ran_free(run);
}

MOE_TESTS({"ends", ends}, {"killed", killed}, {"signals", signals}, {"own handler", own_handler},
          {"hurried handler", hurried_handler}, {"forks", forks},
          {"forks while it begins", forks_while_it_begins}, {"execs", execs},
          {"closes all", closes_all}, {"off", off}, {"full", full},
          {"tells about itself", tells_about_itself})
