#include "sim/cli/counters.h"

#include "sim/cli/capture_program.h"
#include "sim/cli/output.h"

#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* A metric that takes several passes is left out, aloud. */
static char *
list_metrics(const moe_counter_group *group)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < group->metrics->len; i++) {
        const char *metric = group->metrics->pdata[i];
        if (group->passes != 1)
            moe_say("%s takes %zu passes: left out", metric, group->passes);
        else
            g_string_append_printf(list, "%s%s", i ? "," : "", metric);
    }
    return list->len ? g_string_free(g_steal_pointer(&list), FALSE) : NULL;
}

/* The groups' runs, into one folder; of a file on standard input each reads the same. */
static int
run_groups(moe_program_job *job, const GPtrArray *plan)
{
    off_t input = lseek(STDIN_FILENO, 0, SEEK_CUR);
    guint runs = 0;
    for (guint g = 0; g < plan->len; g++) {
        g_autofree char *metrics = list_metrics(plan->pdata[g]);
        if (!metrics)
            continue;
        job->launch.counters = metrics;
        if (input >= 0)
            (void)lseek(STDIN_FILENO, input, SEEK_SET);
        g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
        moe_launch_run(job->argv, (const char *const *)env, &job->end);
        job->launch.counters = NULL;
        if (job->end.failed)
            moe_say("cannot run '%s': %s", job->argv[0], g_strerror(job->end.failed));
        int status = moe_launch_exit_status(&job->end);
        if (status) {
            moe_say("run %u ended with %d", runs + 1, status);
            return status;
        }
        runs++;
    }
    if (!runs)
        moe_say("nothing was run: no metric takes one pass");
    return runs ? MOE_EXIT_OK : MOE_EXIT_NOT_CAPTURED;
}

static int64_t
count(sqlite3 *db, const char *what)
{
    g_autofree char *sql = g_strdup_printf("SELECT count(%s) FROM counter", what);
    sqlite3_stmt *row = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
        n = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return n;
}

/* What was counted, or why nothing was; the exit code. */
static int
report(const moe_program_job *job)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    int code = MOE_EXIT_OK;
    sqlite3_open_v2(job->database, &db, SQLITE_OPEN_READONLY, NULL);
    int64_t values = count(db, "*"), metrics = count(db, "DISTINCT metric");
    if (sqlite3_prepare_v2(db, "SELECT code, text FROM diagnostic WHERE severity <> 'info'", -1,
                           &row, NULL) == SQLITE_OK)
        while (sqlite3_step(row) == SQLITE_ROW) {
            const char *name = (const char *)sqlite3_column_text(row, 0);
            const char *text = (const char *)sqlite3_column_text(row, 1);
            const moe_profile_code *known = moe_profile_code_find(name);
            moe_say("%s%s%s", known ? known->says : name, text ? ": " : "", text ? text : "");
        }
    sqlite3_finalize(row);
    if (values) {
        moe_say("%s written: %" G_GINT64_FORMAT " values of %" G_GINT64_FORMAT " metrics",
                job->database, values, metrics);
    } else {
        g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
        g_autoptr(moe_probe) probe = moe_capture_probe((const char *const *)env);
        g_autofree char *why = probe && moe_probe_obstacle(probe)
                                   ? moe_probe_explain(probe)
                                   : g_strdup("the program said no stages (NVTX, domain moesim)");
        moe_say("nothing was counted: %s", why);
        code = MOE_EXIT_NOT_CAPTURED;
    }
    sqlite3_close(db);
    return code;
}

static int
collect(moe_program_job *job, const GPtrArray *plan)
{
    g_autofree char *taken = moe_launch_taken(&job->launch, job->environment);
    GError *error = NULL;
    if (taken) {
        moe_say("nothing was run: %s is set already: another tool wants to be injected", taken);
        return MOE_EXIT_LAUNCH;
    }
    job->end.failed = moe_launch_missing(job->argv[0], job->environment);
    if (job->end.failed) { /* before -f removes anything */
        moe_say("cannot run '%s': %s", job->argv[0], g_strerror(job->end.failed));
        return moe_launch_exit_status(&job->end);
    }
    int code = moe_capture_room(job);
    if (code)
        return code;
    int ran = run_groups(job, plan);
    if (!moe_profile_decode(job->folder, job->database, NULL, &job->summary, &error)) {
        moe_say_error(error);
        return MOE_EXIT_OUTPUT;
    }
    code = report(job);
    moe_capture_clear(job);
    return ran ? ran : code;
}

int
moe_counters_collect(const GPtrArray *plan, const char *name, bool force,
                     const char *const *program, size_t n)
{
    g_auto(GStrv) environment = g_get_environ();
    g_autofree const char **words = g_new0(const char *, n + 1);
    memcpy(words, program, n * sizeof *words);
    moe_program_values values = {.force = force};
    moe_program_job job = {.values = &values,
                           .argv = words,
                           .environment = (const char *const *)environment,
                           .inject = moe_launch_find_inject()};
    if (!job.inject) {
        moe_say("libmoesim_inject.so is neither beside moesim nor in MOESIM_INJECT_LIB");
        return MOE_EXIT_NOT_CAPTURED;
    }
    name = name ? name : "counters";
    job.folder = g_strconcat(name, ".d", NULL);
    job.database = g_strconcat(name, ".db", NULL);
    job.launch = (moe_launch_config){.folder = job.folder,
                                     .inject = job.inject,
                                     .trace = MOE_LAUNCH_nvtx | MOE_LAUNCH_route,
                                     .engine = "none"};
    int code = collect(&job, plan);
    moe_capture_leave(&job);
    g_free(job.folder);
    g_free(job.database);
    g_free(job.inject);
    return code;
}
