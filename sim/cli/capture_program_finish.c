/* The end of a capture of a program: the raw logs become a profile, and what is in it, what is not
 * and why is said in plain lines. */
#include "sim/cli/capture_program.h"

#include "sim/base/text.h"
#include "sim/cli/output.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>

/* ---- questions to the profile ---- */

/* A number, -1 when the profile cannot be asked. */
static int64_t
ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
        value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return value;
}

static char *
column(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);
    return text ? moe_text_visible(text, strlen(text)) : g_strdup("");
}

static void
note(sqlite3 *db, const char *code, const char *text)
{
    const moe_profile_code *known = moe_profile_code_find(code);
    sqlite3_stmt *row = NULL;
    if (sqlite3_prepare_v2(db, "INSERT INTO diagnostic(severity, code, text) VALUES(?, ?, ?)", -1,
                           &row, NULL) == SQLITE_OK) {
        sqlite3_bind_text(row, 1, known ? moe_profile_severity_names[known->severity] : "warn", -1,
                          SQLITE_STATIC);
        sqlite3_bind_text(row, 2, code, -1, SQLITE_STATIC);
        sqlite3_bind_text(row, 3, text, -1, SQLITE_STATIC);
        sqlite3_step(row);
    }
    sqlite3_finalize(row);
}

/* ---- what is said ---- */

static void
add_count(GString *line, uint64_t n, const char *one, const char *many)
{
    if (n)
        g_string_append_printf(line, "%s%" G_GUINT64_FORMAT " %s", line->len ? ", " : "", n,
                               n == 1 ? one : many);
}

static void
say_recorded(const moe_program_job *job, sqlite3 *db)
{
    const moe_profile_summary *s = &job->summary;
    g_autoptr(GString) line = g_string_new(NULL);
    add_count(line, s->kernels, "kernel", "kernels");
    add_count(line, s->memops, "copy or set", "copies and sets");
    add_count(line, s->calls, "call of CUDA", "calls of CUDA");
    add_count(line, s->graph_launches, "launch of a graph", "launches of graphs");
    add_count(line, s->ranges, "range", "ranges");
    add_count(line, s->steps, "step", "steps");
    moe_say("%s written: %s, of %" G_GUINT64_FORMAT " process%s", job->database,
            line->len ? line->str : "nothing was recorded", s->processes,
            s->processes == 1 ? "" : "es");
    if (!s->routed_rows)
        return;
    int64_t layers = ask(db, "SELECT count(*) FROM (SELECT DISTINCT pid, layer FROM routing)");
    int64_t tokens = ask(db, "SELECT sum(n) FROM (SELECT max(n) AS n FROM (SELECT pid, sum(tokens) "
                             "AS n FROM routing GROUP BY pid, layer) GROUP BY pid)");
    if (s->trace)
        moe_say("%s written: %" G_GINT64_FORMAT " tokens through %" G_GINT64_FORMAT " MoE layers",
                job->trace, tokens, layers);
    else
        moe_say("%" G_GINT64_FORMAT " tokens were routed through %" G_GINT64_FORMAT
                " MoE layers, but made no trace",
                tokens, layers);
}

static void
say_diagnostics(sqlite3 *db)
{
    sqlite3_stmt *row = NULL;
    /* What is wrong with the driver is said where kernels are missed. */
    const char *sql =
        "SELECT severity, code, text, n FROM diagnostic WHERE code NOT IN('not_loaded', "
        "'no_driver') ORDER BY id";
    sqlite3_prepare_v2(db, sql, -1, &row, NULL);
    while (row && sqlite3_step(row) == SQLITE_ROW) {
        g_autofree char *severity = column(row, 0), *code = column(row, 1), *text = column(row, 2);
        const moe_profile_code *known = moe_profile_code_find(code);
        int64_t n = sqlite3_column_int64(row, 3);
        g_autofree char *times =
            n > 1 ? g_strdup_printf(" (%" G_GINT64_FORMAT " times)", n) : g_strdup("");
        bool more = known && *text && strcmp(known->says, text) != 0;
        moe_say("%s: %s%s%s%s", severity, known ? known->says : code, more || !known ? ": " : "",
                more || !known ? text : "", times);
        if (known && strcmp(severity, "info") != 0 && strcmp(known->advice, "see the text") != 0)
            moe_say("  %s", known->advice);
    }
    sqlite3_finalize(row);
}

static void
say_losses(const moe_program_job *job, sqlite3 *db)
{
    if (!job->summary.lost)
        return;
    g_autoptr(GString) line = g_string_new(NULL);
    sqlite3_stmt *row = NULL;
    const char *sql = "SELECT source || '.' || what, sum(n) FROM loss GROUP BY 1 ORDER BY 1";
    sqlite3_prepare_v2(db, sql, -1, &row, NULL);
    while (row && sqlite3_step(row) == SQLITE_ROW) {
        g_autofree char *what = column(row, 0);
        g_string_append_printf(line, "%s%s %" G_GINT64_FORMAT, line->len ? ", " : "", what,
                               (gint64)sqlite3_column_int64(row, 1));
    }
    sqlite3_finalize(row);
    uint64_t all = job->summary.records + job->summary.lost;
    moe_say("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " records lost (%.3g %%): %s",
            job->summary.lost, all, 100.0 * (double)job->summary.lost / (double)all, line->str);
}

/* ---- what is missing ---- */

/* Kernels were asked for, and no process says that it could record any. */
static bool
lacks_kernels(const moe_program_job *job, sqlite3 *db)
{
    return (job->launch.trace & MOE_LAUNCH_cuda) &&
           ask(db, "SELECT count(*) FROM process WHERE attach = 'full'") <= 0;
}

static bool
lacks_routing(const moe_program_job *job)
{
    return (job->launch.trace & MOE_LAUNCH_route) && !job->summary.routed_rows;
}

/* Said by the process itself, such as that CUPTI is held. */
static bool
explained(sqlite3 *db)
{
    return ask(db, "SELECT count(*) FROM diagnostic WHERE code IN('stub_driver', 'old_driver', "
                   "'cupti_absent', 'cupti_busy', 'cupti_failed', 'cupti_fatal')") > 0;
}

static void
say_no_kernels(const moe_program_job *job, sqlite3 *db)
{
    if (!job->inject) {
        note(db, "not_loaded", "libmoesim_inject.so is absent");
        moe_say("nothing could be recorded: libmoesim_inject.so is neither beside moesim nor in "
                "MOESIM_INJECT_LIB");
        return;
    }
    if (explained(db)) {
        moe_say("no kernels were recorded: see above");
        return;
    }
    g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
    g_autoptr(moe_probe) probe = moe_capture_probe((const char *const *)env);
    const char *code = probe ? moe_probe_obstacle(probe) : "no_driver";
    g_autofree char *why =
        probe && code ? moe_probe_explain(probe) : g_strdup("the program did not start CUDA");
    note(db, code ? code : "not_loaded", why);
    moe_say("no kernels were recorded: %s", why);
}

static void
say_no_routing(const moe_program_job *job)
{
    if (!job->inject)
        return;
    if (!strcmp(job->launch.engine, "none"))
        moe_say("no routing was recorded: --engine=none leaves Python alone");
    else if (!job->hook)
        moe_say("no routing was recorded: the Python hook was not found below the data folder");
    else if (!strcmp(job->launch.engine, "auto"))
        moe_say("no routing was recorded: no MoE model of transformers, vLLM or SGLang ran in this "
                "Python's reach");
    else
        moe_say("no routing was recorded: no MoE model of %s ran", job->launch.engine);
}

/* A process of the program that goes on after it, and records on. */
static bool
say_still_running(const moe_program_job *job, sqlite3 *db)
{
    sqlite3_stmt *row = NULL;
    bool running = false;
    sqlite3_prepare_v2(db, "SELECT pid FROM process ORDER BY pid", -1, &row, NULL);
    while (row && sqlite3_step(row) == SQLITE_ROW) {
        pid_t pid = (pid_t)sqlite3_column_int(row, 0);
        if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH))
            continue;
        running = true;
        moe_say("process %d still runs: what it records from now on is not in the profile; `moesim "
                "profile decode %s -o %s` makes it anew",
                (int)pid, job->folder, job->database);
    }
    sqlite3_finalize(row);
    return running;
}

static void
say_times(const moe_program_job *job)
{
    if (!job->values->overhead || job->plain.wall_ns <= 0)
        return;
    double with = (double)job->end.wall_ns / 1e9, without = (double)job->plain.wall_ns / 1e9;
    moe_say("%.3f s with recording, %.3f s without: %+.1f %%", with, without,
            100 * (with - without) / without);
}

/* ---- the end ---- */

static int
judge(const moe_program_job *job, sqlite3 *db)
{
    const moe_program_values *v = job->values;
    bool asked_engine = strcmp(job->launch.engine, "auto") && strcmp(job->launch.engine, "none");
    bool no_kernels = lacks_kernels(job, db);
    if (ask(db, "SELECT count(*) FROM diagnostic WHERE code = 'disk_full'") > 0)
        return MOE_EXIT_OUTPUT;
    if (v->require_gpu && no_kernels)
        return MOE_EXIT_NOT_CAPTURED;
    if (v->strict && (no_kernels || (asked_engine && lacks_routing(job)) ||
                      job->summary.diagnostics[MOE_PROFILE_ERROR]))
        return MOE_EXIT_NOT_CAPTURED;
    if (v->strict && job->summary.lost)
        return MOE_EXIT_LOSSY;
    return moe_launch_exit_status(&job->end);
}

static int
report(const moe_program_job *job, bool *running)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(job->database, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        moe_say("%s: %s", job->database, db ? sqlite3_errmsg(db) : "cannot be opened");
        sqlite3_close(db);
        return MOE_EXIT_OUTPUT;
    }
    say_recorded(job, db);
    say_diagnostics(db);
    say_losses(job, db);
    if (lacks_kernels(job, db))
        say_no_kernels(job, db);
    if (lacks_routing(job))
        say_no_routing(job);
    *running = say_still_running(job, db);
    say_times(job);
    int code = judge(job, db);
    sqlite3_close(db);
    return code;
}

static char *
seconds(int64_t ns)
{
    return g_strdup_printf("%" G_GINT64_FORMAT ".%09d", ns / 1000000000, (int)(ns % 1000000000));
}

static bool
decode(moe_program_job *job, GError **error)
{
    g_autoptr(GString) command = g_string_new(NULL);
    for (size_t i = 0; job->argv[i]; i++) {
        g_autofree char *word = g_shell_quote(job->argv[i]);
        g_string_append_printf(command, "%s%s", i ? " " : "", word);
    }
    g_autofree char *status = g_strdup_printf("%d", moe_launch_exit_status(&job->end));
    g_autofree char *wall = seconds(job->end.wall_ns), *plain = seconds(job->plain.wall_ns);
    moe_profile_pair meta[] = {
        {"command", command->str},
        {"exit_status", status},
        {"wall_s", wall},
        {"engine", job->launch.engine},
        {"moesim", MOE_VERSION},
        {"wall_without_recording_s", plain}, /* last: left out where there is none */
    };
    /* The program may have written a trace of that name itself, and knows more. */
    bool there = g_file_test(job->trace, G_FILE_TEST_EXISTS);
    if (there && (job->launch.trace & MOE_LAUNCH_route))
        moe_say("%s is the program's own: what was heard of its routing is in the profile alone",
                job->trace);
    moe_profile_options options = {
        .meta = meta,
        .n_meta = MOE_COUNT(meta) - !job->plain.wall_ns,
        .trace = job->launch.trace & MOE_LAUNCH_route && !there ? job->trace : NULL,
    };
    return moe_profile_decode(job->folder, job->database, &options, &job->summary, error);
}

int
moe_capture_finish(moe_program_job *job)
{
    GError *error = NULL;
    int status = moe_launch_exit_status(&job->end);
    if (WIFSIGNALED(job->end.status))
        moe_say("'%s' was ended by signal %d (%s)", job->argv[0], WTERMSIG(job->end.status),
                strsignal(WTERMSIG(job->end.status)));
    g_autoptr(GHashTable) logs = moe_capture_logs(job);
    if (!decode(job, &error)) {
        moe_say_error(error);
        moe_say("what was recorded stays in %s: `moesim profile decode %s -o %s` makes the profile "
                "(the "
                "program ended with %d)",
                job->folder, job->folder, job->database, status);
        return MOE_EXIT_OUTPUT;
    }
    bool running = false;
    int code = report(job, &running);
    if (running || job->values->keep_raw)
        moe_say("%s holds the raw logs", job->folder);
    else if (moe_capture_clear_decoded(job, logs))
        moe_say("%s holds what processes recorded after the program ended: `moesim profile decode "
                "%s -o NEW.db` makes a profile of it",
                job->folder, job->folder);
    return code;
}
