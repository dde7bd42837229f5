#include "analysis/timeline_recording.h"

#include "analysis/recording_idle.h"
#include "analysis/recording_private.h"
#include "sim/base/error.h"

#include <stdio.h>
#include <string.h>

/* Ranks: simulated devices stand right below the measured ones. */
enum { MEASURED, SIMULATED, HOST };

/* What is drawn: a step's window, or everything, and what becomes time 0. */
typedef struct window {
    int64_t step; /* MOE_RECORDING_UNKNOWN: all */
    int64_t origin, start, end;
} window;

static bool
shows(const window *w, int64_t step, int64_t start, int64_t end)
{
    if (w->step == MOE_RECORDING_UNKNOWN)
        return true;
    if (step != MOE_RECORDING_UNKNOWN)
        return step == w->step;
    return start < w->end && end > w->start;
}

static bool
find_window(const moe_recording *recording, int64_t step, window *w, GError **error)
{
    bool found = false;
    *w = (window){step, recording->first, INT64_MAX, INT64_MIN};
    for (guint i = 0; i < recording->steps->len; i++) {
        const moe_recording_step *one = &g_array_index(recording->steps, moe_recording_step, i);
        if (step != MOE_RECORDING_UNKNOWN && one->step != step)
            continue;
        w->origin = found ? MIN(w->origin, one->start) : one->start;
        w->start = MIN(w->start, one->start);
        w->end = MAX(w->end, MAX(one->start, one->end));
        found = true;
    }
    if (found || step == MOE_RECORDING_UNKNOWN)
        return true;
    moe_error_path(error, MOE_ERROR_DATABASE, recording->path, 0, "has no step %lld",
                   (long long)step);
    return false;
}

/* ---- devices ---- */

static void
add_work(moe_timeline *timeline, uint32_t group, const moe_recording *recording,
         const moe_work *work, int64_t origin)
{
    const moe_recording_device *device = moe_recording_device_of(recording, work);
    bool computes = moe_work_computes(work);
    g_autofree char *process = recording->devices->len > recording->n_units
                                   ? g_strdup_printf(" of process %lld", (long long)device->pid)
                                   : g_strdup("");
    g_autofree char *name = computes && work->stream != MOE_RECORDING_UNKNOWN
                                ? g_strdup_printf("stream %lld%s", (long long)work->stream, process)
                            : computes ? g_strdup_printf("stream ?%s", process)
                                       : g_strdup_printf("copy engine %s%s", work->text, process);
    moe_slice_notes notes = MOE_NO_NOTES;
    notes.step = work->step;
    notes.layer = work->layer;
    notes.bytes = computes ? INT64_MIN : work->bytes;
    if (computes && work->stage != MOE_RECORDING_NO_STAGE)
        notes.text = moe_recording_stage(recording, work->stage);
    else if (!computes && work->pinned >= 0)
        notes.text = work->pinned ? "pinned" : "pageable";
    uint32_t track = moe_timeline_track(timeline, group, name, true);
    moe_timeline_slice(timeline, track, work->start - origin, work->end - origin, work->text,
                       &notes);
}

typedef struct change {
    int64_t at, by;
} change;

static int
by_time(const void *a, const void *b)
{
    const change *x = a, *y = b;
    return MOE_ORDER(x->at, y->at);
}

/* Launches that wait on the unit, over time. */
static void
add_waiting(moe_timeline *timeline, uint32_t group, const moe_recording *recording, uint32_t unit,
            const GArray *starts, const window *w)
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(change));
    int64_t waiting = 0;
    for (guint i = 0; i < starts->len; i++) {
        const moe_idle_start *start = &g_array_index(starts, moe_idle_start, i);
        const moe_work *work = start->activity;
        change begin = {start->launch->end, 1}, end = {work->start, -1};
        if (moe_recording_device_of(recording, work)->unit != unit || begin.at >= end.at ||
            !shows(w, work->step, work->start, work->end))
            continue;
        g_array_append_val(changes, begin);
        g_array_append_val(changes, end);
    }
    g_array_sort(changes, by_time);
    for (guint i = 0; i < changes->len; i++) {
        const change *at = &g_array_index(changes, change, i);
        waiting += at->by;
        if (i + 1 == changes->len || g_array_index(changes, change, i + 1).at > at->at)
            moe_timeline_count(timeline, group, "launches that wait", at->at - w->origin,
                               (double)waiting);
    }
}

static void
add_units(moe_timeline *timeline, const moe_recording *recording, const char *label,
          const window *w)
{
    g_autoptr(GArray) starts = moe_idle_starts(recording);
    for (uint32_t unit = 0; unit < recording->n_units; unit++) {
        size_t from, to;
        g_autofree char *name = moe_recording_unit_name(recording, unit);
        g_autofree char *title = g_strdup_printf("%s: %s, measured", label, name);
        moe_recording_unit_range(recording, unit, &from, &to);
        if (from == to)
            continue;
        uint32_t group = moe_timeline_group(timeline, title, MEASURED);
        for (size_t i = from; i < to; i++) {
            const moe_work *work = moe_recording_work(recording, i);
            if (shows(w, work->step, work->start, work->end))
                add_work(timeline, group, recording, work, w->origin);
        }
        add_waiting(timeline, group, recording, unit, starts, w);
    }
}

/* ---- hosts ---- */

typedef struct hosts {
    moe_timeline *timeline;
    const moe_recording *recording;
    const char *label;
    const window *window;
    GHashTable *groups; /* pid -> group + 1 */
} hosts;

static uint32_t
host_of(hosts *h, int64_t pid)
{
    uint32_t found = GPOINTER_TO_UINT(g_hash_table_lookup(h->groups, &pid));
    if (found)
        return found - 1;
    g_autofree char *title =
        g_strdup_printf("%s: process %lld, measured", h->label, (long long)pid);
    gint64 *key = g_new(gint64, 1);
    *key = pid;
    uint32_t group = moe_timeline_group(h->timeline, title, HOST);
    g_hash_table_insert(h->groups, key, GUINT_TO_POINTER(group + 1));
    return group;
}

static void
add_host_slice(hosts *h, int64_t pid, const char *track_name, int64_t start, int64_t end,
               const char *name, const moe_slice_notes *notes)
{
    uint32_t track = moe_timeline_track(h->timeline, host_of(h, pid), track_name, false);
    moe_timeline_slice(h->timeline, track, start - h->window->origin, end - h->window->origin, name,
                       notes);
}

static void
add_steps(hosts *h)
{
    for (guint i = 0; i < h->recording->steps->len; i++) {
        const moe_recording_step *step = &g_array_index(h->recording->steps, moe_recording_step, i);
        moe_slice_notes notes = MOE_NO_NOTES;
        int64_t end = step->end < step->start ? h->recording->last : step->end;
        g_autofree char *name = g_strdup_printf("step %lld", (long long)step->step);
        g_autofree char *text =
            step->tokens == MOE_RECORDING_UNKNOWN
                ? g_strdup(*step->phase ? step->phase : "?")
                : g_strdup_printf("%s, %lld tokens", step->phase, (long long)step->tokens);
        notes.step = step->step;
        notes.text = text;
        if (shows(h->window, step->step, step->start, end))
            add_host_slice(h, step->pid, "steps", step->start, end, name, &notes);
    }
}

/* Rows: pid, thread, start, end, name, step, layer, whether it may cross others. */
static bool
add_rows(hosts *h, const char *sql, const char *what, GError **error)
{
    moe_recording *recording = (moe_recording *)(uintptr_t)h->recording;
    MOE_AUTO_STMT stmt = moe_store_prepare(recording->sql, sql, error);
    int got = -1;
    int64_t sum = 0;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        int64_t start = sqlite3_column_int64(stmt, 2);
        bool ended = sqlite3_column_type(stmt, 3) != SQLITE_NULL;
        int64_t end = ended ? sqlite3_column_int64(stmt, 3) : MAX(start, recording->last);
        const char *name = moe_recording_text(recording, stmt, 4);
        moe_slice_notes notes = MOE_NO_NOTES;
        notes.step = moe_recording_number(stmt, 5);
        notes.layer = moe_recording_number(stmt, 6);
        if (!moe_recording_take(recording, what, sqlite3_column_int64(stmt, 8), start, end, &sum,
                                error))
            return false;
        if (!shows(h->window, notes.step, start, end))
            continue;
        g_autofree char *track =
            g_strdup_printf("thread %lld%s", (long long)sqlite3_column_int64(stmt, 1),
                            sqlite3_column_int(stmt, 7) ? ", started ranges" : "");
        add_host_slice(h, sqlite3_column_int64(stmt, 0), track, start, end, name, &notes);
    }
    return got == 0;
}

/* Ranges of stages with their layer and step; marks are slices of no length. */
static const char range_sql[] =
    "SELECT r.pid, r.thread, r.start_ns, coalesce(r.end_ns, CASE r.kind WHEN 'mark' THEN"
    " r.start_ns END), coalesce(s.stage, r.text), coalesce(s.step, CASE r.text WHEN 'step' THEN"
    " r.payload END), s.layer, r.kind = 'start', r.id"
    " FROM range r LEFT JOIN stage s ON s.range = r.id ORDER BY r.id";
static const char call_sql[] =
    "SELECT a.pid, a.thread, a.start_ns, a.end_ns, n.value, NULL, NULL, 0, a.id"
    " FROM api a LEFT JOIN string n ON n.id = a.name ORDER BY a.id";

bool
moe_timeline_add_recording(moe_timeline *timeline, const moe_recording *recording,
                           const char *label, int64_t step, GError **error)
{
    window w;
    if (!find_window(recording, step, &w, error))
        return false;
    add_units(timeline, recording, label, &w);
    hosts h = {timeline, recording, label, &w,
               g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL)};
    add_steps(&h);
    bool ok = add_rows(&h, range_sql, "range", error) && add_rows(&h, call_sql, "api", error);
    g_hash_table_unref(h.groups);
    return ok;
}

/* ---- simulated runs ---- */

enum { PS_PER_NS = 1000 };

/* One row of the table `timeline` of a result. */
typedef struct simulated {
    const char *kind, *server, *link, *name;
    int64_t step, layer, expert, start_ps, end_ps, bytes;
} simulated;

static void
add_simulated(moe_timeline *timeline, uint32_t group, const simulated *task, int64_t origin_ps)
{
    moe_slice_notes notes = {task->step, task->layer, task->expert, task->bytes, NULL};
    int64_t start = (task->start_ps - origin_ps) / PS_PER_NS;
    int64_t end = MAX(start, (task->end_ps - origin_ps) / PS_PER_NS);
    bool copy = !g_strcmp0(task->kind, "copy");
    g_autofree char *name = copy && task->layer != INT64_MIN
                                ? g_strdup_printf("%s L%lld.E%lld", task->name,
                                                  (long long)task->layer, (long long)task->expert)
                                : g_strdup(task->name);
    const struct {
        const char *what, *of;
    } tracks[] = {{copy ? "copy engine" : "compute", task->server}, {"link", task->link}};
    for (size_t i = 0; i < MOE_COUNT(tracks); i++) {
        if (!tracks[i].of && (i == 1 || task->server || copy))
            continue;
        g_autofree char *track = tracks[i].of
                                     ? g_strdup_printf("%s %s", tracks[i].what, tracks[i].of)
                                     : g_strdup("waits");
        moe_timeline_slice(timeline, moe_timeline_track(timeline, group, track, true), start, end,
                           name, &notes);
    }
}

static const char *
text_at(const moe_cell *cell)
{
    return cell->kind == MOE_CELL_TEXT ? cell->text : NULL;
}

static int64_t
number_at(const moe_cell *cell)
{
    return cell->kind == MOE_CELL_INT ? cell->integer : INT64_MIN;
}

/* Cells as analysis/schema.h lists the columns: event, kind, server, link, name, step, layer,
 * expert, start_ps, end_ps, bytes. */
static simulated
task_of(const moe_cell *cells)
{
    return (simulated){text_at(cells + 1),   text_at(cells + 2),   text_at(cells + 3),
                       text_at(cells + 4),   number_at(cells + 5), number_at(cells + 6),
                       number_at(cells + 7), number_at(cells + 8), number_at(cells + 9),
                       number_at(cells + 10)};
}

/* Cells: step, phase, tokens, start_ps, end_ps. */
static void
add_simulated_step(moe_timeline *timeline, uint32_t group, const moe_cell *cells, int64_t origin_ps)
{
    moe_slice_notes notes = MOE_NO_NOTES;
    g_autofree char *name = g_strdup_printf("step %lld", (long long)number_at(cells));
    g_autofree char *text =
        g_strdup_printf("%s, %lld tokens", text_at(cells + 1), (long long)number_at(cells + 2));
    notes.step = number_at(cells);
    notes.text = text;
    moe_timeline_slice(timeline, moe_timeline_track(timeline, group, "steps", false),
                       (number_at(cells + 3) - origin_ps) / PS_PER_NS,
                       (number_at(cells + 4) - origin_ps) / PS_PER_NS, name, &notes);
}

static size_t
find_table(const moe_result *result, const char *name)
{
    size_t t = 0;
    while (t < moe_result_tables(result) && strcmp(moe_result_table(result, t), name) != 0)
        t++;
    return t;
}

bool
moe_timeline_add_result(moe_timeline *timeline, const moe_result *result, const char *label,
                        int64_t step, GError **error)
{
    size_t steps = find_table(result, "step"), tasks = find_table(result, "timeline"), n;
    bool has = tasks < moe_result_tables(result) && steps < moe_result_tables(result);
    size_t at = 0, n_steps = has ? moe_result_rows(result, steps) : 0;
    while (at < n_steps && step != INT64_MIN &&
           number_at(moe_result_row(result, steps, at, &n)) != step)
        at++;
    if (at == n_steps) {
        moe_error_path(error, MOE_ERROR_DATABASE, label, 0,
                       has && step != INT64_MIN ? "the simulated run has no step %lld"
                                                : "the simulated run has no timeline",
                       (long long)step);
        return false;
    }
    int64_t origin = number_at(moe_result_row(result, steps, at, &n) + 3);
    g_autofree char *title = g_strdup_printf("%s: simulated", label);
    uint32_t group = moe_timeline_group(timeline, title, SIMULATED);
    for (size_t i = 0; i < n_steps; i++) {
        const moe_cell *cells = moe_result_row(result, steps, i, &n);
        if (step == INT64_MIN || number_at(cells) == step)
            add_simulated_step(timeline, group, cells, origin);
    }
    for (size_t i = 0; i < moe_result_rows(result, tasks); i++) {
        simulated task = task_of(moe_result_row(result, tasks, i, &n));
        if (step == INT64_MIN || task.step == step)
            add_simulated(timeline, group, &task, origin);
    }
    return true;
}

/* ---- stored runs ---- */

/* The run meant: the only one with a timeline whose identity begins so; NULL with *error set. */
static char *
find_run(moe_store *store, const char *identity, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store,
        "SELECT r.identity FROM run r WHERE substr(r.identity, 1, length(?1)) = ?1 AND"
        " EXISTS(SELECT 1 FROM timeline t WHERE t.run = r.identity) ORDER BY 1 LIMIT 2",
        error);
    if (!stmt)
        return NULL;
    moe_store_bind(stmt, 1, identity ? identity : "");
    g_autofree char *found = NULL;
    int got, n = 0;
    for (; (got = moe_store_step_row(store, stmt, error)) == 1; n++) {
        g_free(found);
        found = g_strdup((const char *)sqlite3_column_text(stmt, 0));
    }
    if (got == 0 && n == 0)
        moe_error_path(error, MOE_ERROR_DATABASE, store->path, 0,
                       "has no such run with a timeline; `moesim run … --set store=timeline` "
                       "stores it");
    else if (got == 0 && n > 1)
        moe_error_path(error, MOE_ERROR_DATABASE, store->path, 0,
                       "has several runs with a timeline; say which with --run IDENTITY (the "
                       "beginning is enough)");
    return got == 0 && n == 1 ? g_steal_pointer(&found) : NULL;
}

/* Copies a table's rows of the run. */
static bool
copy_rows(moe_store *store, const char *run, const char *sql, const char *table, moe_result *result,
          GError **error)
{
    enum { MOST = 16 };
    moe_cell cells[MOST];
    MOE_AUTO_STMT stmt = moe_store_prepare(store, sql, error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, run);
    int got;
    while ((got = moe_store_step_row(store, stmt, error)) == 1) {
        int n = MIN(sqlite3_column_count(stmt), MOST);
        for (int c = 0; c < n; c++) {
            int type = sqlite3_column_type(stmt, c);
            cells[c] = type == SQLITE_INTEGER ? moe_int(sqlite3_column_int64(stmt, c))
                       : type == SQLITE_TEXT  ? moe_text((const char *)sqlite3_column_text(stmt, c))
                                              : moe_null();
        }
        moe_result_add(result, table, cells, (size_t)n);
    }
    return got == 0;
}

bool
moe_timeline_add_stored(moe_timeline *timeline, const char *path, const char *identity,
                        const char *label, int64_t step, GError **error)
{
    g_autoptr(moe_store) store = moe_store_open(path, MOE_STORE_READ, error);
    g_autofree char *run = store ? find_run(store, identity, error) : NULL;
    if (!run)
        return false;
    moe_result *result = moe_result_new();
    bool ok = copy_rows(store, run,
                        "SELECT step, phase, tokens, start_ps, end_ps FROM step WHERE run = ?"
                        " ORDER BY step",
                        "step", result, error) &&
              copy_rows(store, run,
                        "SELECT event, kind, server, link, name, step, layer, expert, start_ps,"
                        " end_ps, bytes FROM timeline WHERE run = ? ORDER BY event",
                        "timeline", result, error) &&
              moe_timeline_add_result(timeline, result, label, step, error);
    moe_result_free(result);
    return ok;
}
