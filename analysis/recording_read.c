/* The big tables of a profile. */
#include "analysis/recording_private.h"

#include <string.h>

/* ---- devices ---- */

/* Devices with one UUID are one unit. */
static uint32_t
unit_of(moe_recording *recording, const char *uuid)
{
    for (guint i = 0; uuid && *uuid && i < recording->devices->len; i++) {
        const moe_recording_device *known =
            &g_array_index(recording->devices, moe_recording_device, i);
        if (known->uuid && !strcmp(known->uuid, uuid))
            return known->unit;
    }
    return recording->n_units++;
}

bool
moe_recording_read_devices(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        recording->sql, "SELECT pid, device, name, uuid FROM device ORDER BY device, pid", error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_recording_device device = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                                       moe_recording_text(recording, stmt, 2),
                                       moe_recording_text(recording, stmt, 3), 0};
        device.unit = unit_of(recording, device.uuid);
        g_array_append_val(recording->devices, device);
    }
    return got == 0;
}

/* ---- activities ---- */

typedef struct reading {
    moe_recording *recording;
    GHashTable *names; /* string id -> text */
    int64_t sum;
} reading;

static bool
read_names(reading *r, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(r->recording->sql, "SELECT id, value FROM string", error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(r->recording->sql, stmt, error)) == 1) {
        gint64 *id = g_new(gint64, 1);
        *id = sqlite3_column_int64(stmt, 0);
        const char *text = moe_recording_text(r->recording, stmt, 1);
        g_hash_table_insert(r->names, id, (gpointer)(uintptr_t)(text ? text : ""));
    }
    return got == 0;
}

static bool
take_activity(reading *r, sqlite3_stmt *stmt, const char *table, moe_work *activity, GError **error)
{
    moe_recording *recording = r->recording;
    activity->start = sqlite3_column_int64(stmt, 3);
    activity->end = sqlite3_column_int64(stmt, 4);
    activity->device = moe_recording_find_device(recording, sqlite3_column_int64(stmt, 1),
                                                 moe_recording_number(stmt, 2));
    activity->stream = moe_recording_number(stmt, 5);
    activity->correlation = moe_recording_number(stmt, 6);
    activity->step = moe_recording_number(stmt, 7);
    activity->layer = moe_recording_number(stmt, 8);
    activity->stage = moe_recording_stage_of(recording, stmt, 9);
    if (!moe_recording_take(recording, table, sqlite3_column_int64(stmt, 0), activity->start,
                            activity->end, &r->sum, error))
        return false;
    g_array_append_val(recording->activities, *activity);
    return true;
}

static bool
read_kernels(reading *r, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        r->recording->sql,
        "SELECT id, pid, device, start_ns, end_ns, stream, correlation, step, layer, stage, name,"
        " coalesce(graph_node, 0) <> 0 FROM kernel ORDER BY id",
        error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(r->recording->sql, stmt, error)) == 1) {
        gint64 id = sqlite3_column_int64(stmt, 10);
        const char *name = g_hash_table_lookup(r->names, &id);
        moe_work kernel = {.kind = MOE_WORK_KERNEL,
                           .text = name ? name : "?",
                           .graph = sqlite3_column_int(stmt, 11)};
        if (!take_activity(r, stmt, "kernel", &kernel, error))
            return false;
        r->recording->n_kernels++;
    }
    return got == 0;
}

static bool
read_memops(reading *r, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        r->recording->sql,
        "SELECT id, pid, device, start_ns, end_ns, stream, correlation, step, layer, stage,"
        " kind = 'memset', coalesce(bytes, 0), coalesce(direction, '?'), coalesce(pinned, -1),"
        " coalesce(graph_node, 0) <> 0 FROM memop ORDER BY id",
        error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(r->recording->sql, stmt, error)) == 1) {
        bool set = sqlite3_column_int(stmt, 10);
        moe_work memop = {.kind = set ? MOE_WORK_SET : MOE_WORK_COPY,
                          .bytes = sqlite3_column_int64(stmt, 11),
                          .text = set ? "memset" : moe_recording_text(r->recording, stmt, 12),
                          .pinned = (int8_t)CLAMP(sqlite3_column_int(stmt, 13), -1, 1),
                          .graph = sqlite3_column_int(stmt, 14)};
        if (!take_activity(r, stmt, "memop", &memop, error))
            return false;
    }
    return got == 0;
}

/* Launches of which no kernel is there. */
static bool
read_graphs(reading *r, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        r->recording->sql,
        "SELECT id, pid, device, start_ns, end_ns, stream, correlation, step, NULL, NULL"
        " FROM graph_launch WHERE (pid, coalesce(correlation, -1)) NOT IN"
        " (SELECT pid, correlation FROM kernel WHERE correlation IS NOT NULL) ORDER BY id",
        error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(r->recording->sql, stmt, error)) == 1) {
        moe_work graph = {.kind = MOE_WORK_GRAPH, .text = "graph"};
        if (!take_activity(r, stmt, "graph_launch", &graph, error))
            return false;
    }
    return got == 0;
}

static int
by_unit_and_start(const void *a, const void *b, void *context)
{
    const moe_work *x = a, *y = b;
    const moe_recording *recording = context;
    int order = MOE_ORDER(moe_recording_device_of(recording, x)->unit,
                          moe_recording_device_of(recording, y)->unit);
    order = order ? order : MOE_ORDER(x->start, y->start);
    return order ? order : MOE_ORDER(x->end, y->end);
}

bool
moe_recording_read_activities(moe_recording *recording, GError **error)
{
    reading r = {recording, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL), 0};
    bool ok = read_names(&r, error) && read_kernels(&r, error) && read_memops(&r, error) &&
              read_graphs(&r, error);
    g_hash_table_unref(r.names);
    g_array_sort_with_data(recording->activities, by_unit_and_start, recording); /* stable */
    return ok;
}

/* ---- launches ---- */

static int
by_correlation(const void *a, const void *b)
{
    const moe_launch *x = a, *y = b;
    int order = MOE_ORDER(x->pid, y->pid);
    order = order ? order : MOE_ORDER(x->correlation, y->correlation);
    return order ? order : MOE_ORDER(x->start, y->start);
}

/* Of calls within calls the outermost. */
static void
merge_launches(GArray *launches)
{
    moe_launch *all = (moe_launch *)(void *)launches->data;
    guint n = 0;
    for (guint i = 0; i < launches->len; i++) {
        if (n > 0 && all[n - 1].pid == all[i].pid && all[n - 1].correlation == all[i].correlation)
            all[n - 1].end = MAX(all[n - 1].end, all[i].end);
        else
            all[n++] = all[i];
    }
    g_array_set_size(launches, n);
}

bool
moe_recording_read_launches(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        recording->sql, "SELECT pid, correlation, start_ns, end_ns, id FROM api ORDER BY id",
        error);
    int64_t sum = 0;
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_launch launch = {sqlite3_column_int64(stmt, 0), moe_recording_number(stmt, 1),
                             sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3)};
        if (!moe_recording_take(recording, "api", sqlite3_column_int64(stmt, 4), launch.start,
                                launch.end, &sum, error))
            return false;
        recording->n_calls++;
        if (launch.correlation != MOE_RECORDING_UNKNOWN)
            g_array_append_val(recording->launches, launch);
    }
    g_array_sort(recording->launches, by_correlation);
    merge_launches(recording->launches);
    return got == 0;
}

/* ---- ranges ---- */

static int
outermost_first(const void *a, const void *b)
{
    const moe_stage_range *x = a, *y = b;
    int order = MOE_ORDER(x->pid, y->pid);
    order = order ? order : MOE_ORDER(x->thread, y->thread);
    order = order ? order : MOE_ORDER(x->start, y->start);
    return order ? order : MOE_ORDER(y->end, x->end);
}

/* Takes from each range the time of those directly within it; ranges that cross take what they
 * have in common from the earlier one. */
static void
find_self_times(GArray *ranges)
{
    moe_stage_range *all = (moe_stage_range *)(void *)ranges->data;
    g_autoptr(GArray) open = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < ranges->len; i++) {
        all[i].self = all[i].end - all[i].start;
        while (open->len > 0) {
            const moe_stage_range *top = &all[g_array_index(open, guint, open->len - 1)];
            if (top->pid == all[i].pid && top->thread == all[i].thread && top->end > all[i].start)
                break;
            g_array_set_size(open, open->len - 1);
        }
        if (open->len > 0) {
            moe_stage_range *top = &all[g_array_index(open, guint, open->len - 1)];
            top->self -= MIN(top->end, all[i].end) - all[i].start;
        }
        g_array_append_val(open, i);
    }
}

bool
moe_recording_read_ranges(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        recording->sql,
        "SELECT s.pid, r.thread, s.step, s.layer, s.start_ns, s.end_ns, s.stage, s.range"
        " FROM stage s LEFT JOIN range r ON r.id = s.range ORDER BY s.range",
        error);
    int64_t sum = 0;
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_stage_range range = {sqlite3_column_int64(stmt, 0),
                                 moe_recording_number(stmt, 1),
                                 moe_recording_number(stmt, 2),
                                 moe_recording_number(stmt, 3),
                                 sqlite3_column_int64(stmt, 4),
                                 sqlite3_column_int64(stmt, 5),
                                 0,
                                 moe_recording_stage_of(recording, stmt, 6)};
        if (!moe_recording_take(recording, "stage", sqlite3_column_int64(stmt, 7), range.start,
                                range.end, &sum, error))
            return false;
        g_array_append_val(recording->ranges, range);
    }
    g_array_sort(recording->ranges, outermost_first);
    find_self_times(recording->ranges);
    return got == 0;
}

/* ---- steps and loads ---- */

static int
by_step(const void *a, const void *b)
{
    const moe_recording_load *x = a, *y = b;
    int order = MOE_ORDER(x->pid, y->pid);
    order = order ? order : MOE_ORDER(x->step, y->step);
    return order ? order : MOE_ORDER(x->layer, y->layer);
}

/* Where the load stands, or would: loads are sorted. */
static guint
load_place(const GArray *loads, const moe_recording_load *load, bool *there)
{
    guint low = 0, high = loads->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (by_step(&g_array_index(loads, moe_recording_load, middle), load) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *there = low < loads->len && by_step(&g_array_index(loads, moe_recording_load, low), load) == 0;
    return low;
}

bool
moe_recording_add_load(moe_recording *recording, const moe_recording_load *load)
{
    bool found = false, there;
    for (guint i = 0; i < recording->steps->len; i++) {
        moe_recording_step *step = &g_array_index(recording->steps, moe_recording_step, i);
        if (step->step != load->step)
            continue;
        moe_recording_load own = *load;
        own.pid = step->pid;
        found = true;
        if (step->tokens == MOE_RECORDING_UNKNOWN)
            step->tokens = load->tokens;
        guint at = load_place(recording->loads, &own, &there);
        if (!there)
            g_array_insert_val(recording->loads, at, own);
    }
    return found;
}

bool
moe_recording_read_steps(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(recording->sql,
                          "SELECT pid, step, tokens, sequences, start_ns, end_ns, phase FROM step"
                          " ORDER BY pid, start_ns, step",
                          error);
    int64_t sum = 0;
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_recording_step step = {
            sqlite3_column_int64(stmt, 0),         sqlite3_column_int64(stmt, 1),
            moe_recording_number(stmt, 2),         moe_recording_number(stmt, 3),
            sqlite3_column_int64(stmt, 4),         moe_recording_number(stmt, 5),
            moe_recording_text(recording, stmt, 6)};
        bool ended = step.end != MOE_RECORDING_UNKNOWN;
        if (!moe_recording_take(recording, "step", step.step, step.start,
                                ended ? step.end : step.start, &sum, error))
            return false;
        step.phase = step.phase ? step.phase : "";
        g_array_append_val(recording->steps, step);
    }
    return got == 0;
}

bool
moe_recording_read_loads(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        recording->sql,
        "SELECT l.pid, l.step, l.layer, coalesce((SELECT sum(r.tokens) FROM routing r WHERE"
        " r.pid = l.pid AND r.step = l.step AND r.layer = l.layer), (SELECT s.tokens FROM step s"
        " WHERE s.pid = l.pid AND s.step = l.step)), total(l.tokens), sum(l.tokens > 0),"
        " max(l.tokens) FROM load l GROUP BY l.pid, l.step, l.layer"
        " ORDER BY l.pid, l.step, l.layer",
        error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_recording_load load = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                                   sqlite3_column_int64(stmt, 2), moe_recording_number(stmt, 3),
                                   sqlite3_column_int64(stmt, 4), sqlite3_column_int64(stmt, 5),
                                   sqlite3_column_int64(stmt, 6)};
        if (load.distinct > 0)
            g_array_append_val(recording->loads, load);
    }
    return got == 0;
}
