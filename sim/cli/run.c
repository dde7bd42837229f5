/* moesim run: simulates the runs of scenarios, stores them, and says what came out. */
#include "sim/base/error.h"
#include "sim/cli/command.h"
#include "sim/cli/load.h"
#include "sim/cli/output.h"
#include "sim/cli/pool.h"
#include "sim/cli/report.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct run_values {
    const char *db, *seed, *plot_folder;
    int64_t jobs;
    GPtrArray *sets;
    bool quiet, force_many, no_plot;
} run_values;

#define AT(field) offsetof(run_values, field)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(db), "DB",
     .help = "Database of results; by default NAME.db in this folder for NAME.yaml. Figures of "
             "another database begin with its name: fig.pdf in other.db is other-fig.pdf."},
    {"jobs", 'j', MOE_OPTION_INT, AT(jobs), "N", NULL, 1, 4096,
     "Runs at a time; by default the number of cores."},
    {"set", 's', MOE_OPTION_LIST, AT(sets), "KEY=VALUE",
     .help = "Set a key, instead of what the file or its sweep says; may be repeated."},
    {"seed", 0, MOE_OPTION_TEXT, AT(seed), "N", .help = "The same as --set seed=N."},
    {"plot", 0, MOE_OPTION_TEXT, AT(plot_folder), "DIR",
     .help = "Folder of the scenario's figures; by default the database's."},
    {"no-plot", 0, MOE_OPTION_FLAG, AT(no_plot), .help = "Draw no figures."},
    {"quiet", 'q', MOE_OPTION_FLAG, AT(quiet), .help = "No progress and no table."},
    {"force-many", 0, MOE_OPTION_FLAG, AT(force_many), .help = "Allow sweeps above 10^6 runs."},
};

/* One database of this call. */
typedef struct target {
    char *path;
    moe_store *store;
} target;

typedef struct session {
    const run_values *values;
    GPtrArray *loaded; /* moe_loaded */
    GPtrArray *targets;
    GArray *target_of;  /* per loaded: size_t */
    GArray *jobs;       /* moe_job; owner: index in loaded */
    GArray *stored;     /* per loaded: size_t, runs that were in the database */
    GPtrArray *endless; /* per job: the moe_diag of one that simulated time was too short for */
    size_t n_endless;
    GError *error;
    gint64 start, shown;
    size_t n_done;
} session;

static atomic_int caught_signal;

static void
on_signal(int number)
{
    atomic_store(&caught_signal, number);
}

static void
catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void
target_free(gpointer data)
{
    target *t = data;
    moe_store_close(t->store);
    g_free(t->path);
    g_free(t);
}

static const moe_loaded *
loaded_at(const session *s, size_t i)
{
    return g_ptr_array_index(s->loaded, i);
}

static target *
target_at(const session *s, size_t i)
{
    return g_ptr_array_index(s->targets, g_array_index(s->target_of, size_t, i));
}

/* ---- what there is to do ---- */

static size_t
find_target(const session *s, const char *path)
{
    size_t i = 0;
    while (i < s->targets->len &&
           strcmp(((target *)g_ptr_array_index(s->targets, i))->path, path) != 0)
        i++;
    return i;
}

static bool
open_targets(session *s)
{
    for (size_t i = 0; i < s->loaded->len; i++) {
        g_autofree char *path = s->values->db ? g_strdup(s->values->db)
                                              : g_strconcat(loaded_at(s, i)->stem, ".db", NULL);
        size_t at = find_target(s, path);
        g_array_append_val(s->target_of, at);
        moe_plot_name_after(loaded_at(s, i)->plots, path, loaded_at(s, i)->stem);
        if (at < s->targets->len)
            continue;
        target *t = g_new0(target, 1);
        g_ptr_array_add(s->targets, t);
        t->path = g_steal_pointer(&path);
        t->store = moe_store_open(t->path, MOE_STORE_WRITE, &s->error);
        if (!t->store)
            return false;
    }
    return true;
}

static bool
plan_scenario(session *s, size_t owner, GHashTable *planned)
{
    const moe_loaded *loaded = loaded_at(s, owner);
    target *t = target_at(s, owner);
    size_t stored = 0;
    for (size_t i = 0; i < moe_scenario_runs(loaded->scenario); i++) {
        const moe_run *run = moe_scenario_run(loaded->scenario, i);
        bool has = false;
        if (!moe_store_has(t->store, run->identity, &has, &s->error))
            return false;
        for (size_t d = 0; has && run->details[d]; d++)
            if (!moe_store_has_rows(t->store, run->details[d], run->identity, &has, &s->error))
                return false;
        stored += has;
        if (has || !g_hash_table_add(planned, g_strconcat(t->path, "\n", run->identity, NULL)))
            continue;
        moe_job job = {loaded->scenario, i, owner};
        g_array_append_val(s->jobs, job);
    }
    g_array_append_val(s->stored, stored);
    if (stored && !moe_store_add_keys(t->store, loaded->frame, &s->error))
        return false;
    return stored == moe_scenario_runs(loaded->scenario) ||
           moe_store_add_source(t->store, loaded->source, loaded->overrides, loaded->text,
                                &s->error);
}

/* A run that several scenarios or points share is simulated once per database. */
static bool
plan_jobs(session *s)
{
    g_autoptr(GHashTable) planned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < s->loaded->len; i++)
        if (!plan_scenario(s, i, planned))
            return false;
    return true;
}

/* ---- doing it ---- */

static bool
store_result(void *context, const moe_job *job, moe_result *result, moe_diag *diag, double wall_s)
{
    session *s = context;
    if (!result) {
        s->endless->pdata[job - (const moe_job *)(void *)s->jobs->data] = diag;
        s->n_endless++;
        return true;
    }
    moe_diag_free(diag);
    const moe_run *run = moe_scenario_run(job->scenario, job->run);
    moe_store_run row = {.identity = run->identity,
                         .scenario = loaded_at(s, job->owner)->name,
                         .path = moe_scenario_path(job->scenario),
                         .version = MOE_VERSION,
                         .source = loaded_at(s, job->owner)->source,
                         .host = g_get_host_name(),
                         .semantics = MOE_SEMANTICS,
                         .seed = run->seed,
                         .wall_s = wall_s,
                         .counterfactual = run->counterfactual,
                         .n_swept = run->n_swept,
                         .keys = run->keys,
                         .values = run->values};
    bool ok = moe_store_add(target_at(s, job->owner)->store, &row, result, &s->error);
    moe_result_free(result);
    return ok;
}

static bool
shows_progress(const session *s)
{
    return !s->values->quiet && isatty(STDERR_FILENO);
}

static void
show_progress(void *context, double share, size_t n_done)
{
    session *s = context;
    gint64 now = g_get_monotonic_time();
    s->n_done = n_done;
    if (!shows_progress(s) || now - s->shown < 100000)
        return;
    s->shown = now;
    double elapsed = (double)(now - s->start) / 1e6;
    fprintf(stderr, "\r%zu of %u runs, %.0f%%, %.0f s", n_done, s->jobs->len, share * 100, elapsed);
    if (share > 0.01)
        fprintf(stderr, ", %.0f s left", elapsed / share - elapsed);
    fputs("\x1b[K", stderr);
    fflush(stderr);
}

static void
clear_progress(const session *s)
{
    if (shows_progress(s) && s->shown)
        fputs("\r\x1b[K", stderr);
}

/* Workers cannot be stopped within a run, so the process ends with them; what was committed is
 * complete. */
static _Noreturn void
leave_interrupted(session *s)
{
    int number = atomic_load(&caught_signal);
    clear_progress(s);
    g_ptr_array_unref(s->targets);
    moe_say("interrupted: %zu of %u runs were stored; the same command goes on from there",
            s->n_done, s->jobs->len);
    _exit(moe_out_finish(MOE_EXIT_SIGNAL + number));
}

static bool
simulate(session *s)
{
    moe_pool_calls calls = {store_result, show_progress, s};
    g_ptr_array_set_size(s->endless, (gint)s->jobs->len);
    s->start = g_get_monotonic_time();
    unsigned threads = s->values->jobs ? (unsigned)s->values->jobs : g_get_num_processors();
    moe_pool_end end = moe_pool_run((const moe_job *)(void *)s->jobs->data, s->jobs->len, threads,
                                    &calls, &caught_signal);
    if (end == MOE_POOL_INTERRUPTED)
        leave_interrupted(s);
    clear_progress(s);
    return end == MOE_POOL_DONE;
}

/* ---- saying what came out ---- */

static bool
draw(session *s, size_t i)
{
    const moe_loaded *loaded = loaded_at(s, i);
    g_autofree char *beside = g_path_get_dirname(target_at(s, i)->path);
    const char *folder = s->values->plot_folder ? s->values->plot_folder : beside;
    if (s->values->no_plot || moe_plot_count(loaded->plots) == 0)
        return true;
    g_autoptr(GError) absent = NULL;
    if (!moe_plot_possible(&absent)) {
        moe_say("note: %s", absent->message);
        return true;
    }
    g_autoptr(GString) report = g_string_new(NULL);
    bool ok = true;
    for (size_t p = 0; ok && p < moe_plot_count(loaded->plots); p++)
        ok = moe_plot_draw(loaded->plots, p, target_at(s, i)->store, folder, report, &s->error);
    if (!s->values->quiet)
        moe_out_text(report->str);
    return ok;
}

/* Whose numbers are not those of the model as it was recorded. */
static void
say_counterfactual(const moe_scenario *scenario)
{
    size_t n = moe_scenario_runs(scenario), marked = 0;
    for (size_t i = 0; i < n; i++)
        marked += moe_scenario_run(scenario, i)->counterfactual;
    if (marked > 0 && marked == n)
        moe_out("* counterfactual: the routing was transformed\n");
    else if (marked > 0)
        moe_out("* counterfactual: the routing of %zu of %zu runs was transformed\n", marked, n);
}

/* Runs whose device draws more than it is made for: a real one would lower its clocks. */
static bool
say_power(const moe_loaded *loaded, moe_store *store, GError **error)
{
    size_t n = moe_scenario_runs(loaded->scenario), hot = 0;
    double most = 1;
    for (size_t i = 0; i < n; i++) {
        const moe_run *run = moe_scenario_run(loaded->scenario, i);
        moe_measure measure;
        if (!run->energy)
            continue;
        if (!moe_store_measure(store, run->identity, "device_power_share", &measure, error))
            return false;
        hot += measure.value > 1;
        most = fmax(most, measure.value);
    }
    if (hot > 0)
        moe_say("warning: the device draws up to %.0f%% of its peak power in %zu of %zu runs; a "
                "real one would slow down, which their times leave out",
                100 * most, hot, n);
    return true;
}

static bool
conclude(session *s, size_t i, unsigned *missed)
{
    const moe_loaded *loaded = loaded_at(s, i);
    target *t = target_at(s, i);
    const char *name = loaded->name;
    size_t n = moe_scenario_runs(loaded->scenario), stored = g_array_index(s->stored, size_t, i);
    if (!moe_expect_evaluate(loaded->expectations, t->store, name, &s->error))
        return false;
    if (!s->values->quiet) {
        moe_out("%s%s: %zu run%s in %s", i ? "\n" : "", name, n, n == 1 ? "" : "s", t->path);
        moe_out(stored ? ", %zu of them from before\n" : "\n", stored);
        if (!moe_report_table(loaded, t->store, &s->error))
            return false;
        say_counterfactual(loaded->scenario);
    }
    if (!say_power(loaded, t->store, &s->error))
        return false;
    g_autoptr(GString) report = g_string_new(NULL);
    moe_expect_report(loaded->expectations, report);
    if (!s->values->quiet || moe_expect_missed(loaded->expectations))
        moe_out_text(report->str);
    *missed += moe_expect_missed(loaded->expectations);
    return draw(s, i);
}

/* Runs that simulated time is too short for. */
static int
say_endless(const session *s)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    for (guint i = 0; i < s->loaded->len; i++) {
        const moe_loaded *loaded = loaded_at(s, i);
        moe_diag_source(diag, moe_scenario_path(loaded->scenario), loaded->text,
                        strlen(loaded->text));
    }
    for (guint j = 0; j < s->endless->len; j++)
        if (s->endless->pdata[j])
            moe_diag_append(diag, s->endless->pdata[j]);
    int code = moe_say_diag(diag);
    size_t n = s->jobs->len;
    moe_say("%zu of %zu runs have no result%s", s->n_endless, n,
            s->n_endless < n ? "; those of the others are stored" : "");
    return code;
}

static int
run_session(session *s)
{
    unsigned missed = 0;
    bool ok = open_targets(s) && plan_jobs(s) && simulate(s);
    if (ok && s->n_endless > 0)
        return say_endless(s);
    for (size_t i = 0; ok && i < s->loaded->len; i++)
        ok = conclude(s, i, &missed);
    if (!ok)
        return moe_say_error(s->error);
    return missed ? MOE_EXIT_EXPECTATION : MOE_EXIT_OK;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const run_values *values = data;
    session s = {.values = values};
    moe_load_options load = {values->sets, values->seed, values->force_many};
    s.loaded = moe_loaded_array();
    int code = moe_load_all("moesim run", operands, n, &load, s.loaded);
    if (code == MOE_EXIT_OK) {
        catch_signals();
        s.targets = g_ptr_array_new_with_free_func(target_free);
        s.target_of = g_array_new(FALSE, FALSE, sizeof(size_t));
        s.jobs = g_array_new(FALSE, FALSE, sizeof(moe_job));
        s.stored = g_array_new(FALSE, FALSE, sizeof(size_t));
        s.endless = g_ptr_array_new_with_free_func((GDestroyNotify)moe_diag_free);
        code = run_session(&s);
        g_ptr_array_unref(s.endless);
        g_ptr_array_unref(s.targets);
        g_array_unref(s.target_of);
        g_array_unref(s.jobs);
        g_array_unref(s.stored);
    }
    g_ptr_array_unref(s.loaded);
    return code;
}

const moe_command moe_run_command = {
    "run",
    "FILE…",
    1,
    SIZE_MAX,
    "Simulate scenarios and their sweeps; store, compare and draw the results.",
    "Every finished run is stored at once, under the hash of all its inputs. A run that is in the\n"
    "database is not simulated again, so a killed sweep goes on where it stopped.\n"
    "\n"
    "  moesim run scenarios/quickstart.yaml\n"
    "  moesim run my.yaml --set experts.cache.capacity=50% -j 8 -o results.db\n"
    "  sqlite3 results.db \"SELECT parameters, value FROM v_metric WHERE name =\n"
    "                      'decode_tokens_per_s'\"\n"
    "\n"
    "Exit code: 0; 1 the input is wrong; 2 the command line is; 3 a file, database or program\n"
    "failed; 4 an expectation of a scenario was missed; 130 interrupted.\n",
    options,
    MOE_COUNT(options),
    sizeof(run_values),
    run,
    NULL};
