#include "analysis/recording_experts.h"

#include "analysis/interval.h"
#include "analysis/recording_private.h"
#include "analysis/recording_view.h"

#include <math.h>
#include <string.h>

/* ---- times ---- */

typedef struct piece {
    int64_t pid, step, layer, start, end;
    bool device;
} piece;

/* Kernels before ranges. */
static int
by_place(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int order = MOE_ORDER(x->pid, y->pid);
    order = order ? order : MOE_ORDER(x->step, y->step);
    order = order ? order : MOE_ORDER(x->layer, y->layer);
    order = order ? order : MOE_ORDER(y->device, x->device);
    return order ? order : MOE_ORDER(x->start, y->start);
}

static GArray *
find_pieces(const moe_recording *recording)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(piece));
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        if (activity->stage != MOE_RECORDING_EXPERTS || !moe_work_computes(activity))
            continue;
        piece p = {moe_recording_device_of(recording, activity)->pid,
                   activity->step,
                   activity->layer,
                   activity->start,
                   activity->end,
                   true};
        g_array_append_val(pieces, p);
    }
    for (guint i = 0; i < recording->ranges->len; i++) {
        const moe_stage_range *range = &g_array_index(recording->ranges, moe_stage_range, i);
        piece p = {range->pid, range->step, range->layer, range->start, range->end, false};
        if (range->stage == MOE_RECORDING_EXPERTS)
            g_array_append_val(pieces, p);
    }
    g_array_sort(pieces, by_place);
    return pieces;
}

static int
place_order(const piece *p, const moe_recording_load *load)
{
    int order = MOE_ORDER(p->pid, load->pid);
    order = order ? order : MOE_ORDER(p->step, load->step);
    return order ? order : MOE_ORDER(p->layer, load->layer);
}

/* Sums pieces[*at ..] of the load's place; moves *at past them. */
static int64_t
time_of(const GArray *pieces, guint *at, const moe_recording_load *load, bool *device)
{
    g_autoptr(GArray) set = moe_intervals_new();
    *device = g_array_index(pieces, piece, *at).device;
    for (; *at < pieces->len; (*at)++) {
        const piece *p = &g_array_index(pieces, piece, *at);
        if (place_order(p, load) != 0)
            break;
        if (p->device == *device)
            moe_intervals_add(set, p->start, p->end);
    }
    moe_intervals_unite(set);
    return moe_intervals_total(set);
}

/* The phases of a process's steps; texts of the recording. */
static GHashTable *
phases_of(const moe_recording *recording, int64_t pid)
{
    GHashTable *phases = g_hash_table_new(g_int64_hash, g_int64_equal);
    for (guint i = 0; i < recording->steps->len; i++) {
        moe_recording_step *step = &g_array_index(recording->steps, moe_recording_step, i);
        if (step->pid == pid)
            g_hash_table_insert(phases, &step->step, (gpointer)(uintptr_t)step->phase);
    }
    return phases;
}

GArray *
moe_expert_times(const moe_recording *recording)
{
    GArray *times = g_array_new(FALSE, FALSE, sizeof(moe_expert_time));
    g_autoptr(GArray) pieces = find_pieces(recording);
    g_autoptr(GHashTable) phases = NULL;
    int64_t pid = 0; /* whose `phases` are */
    for (guint l = 0, at = 0; l < recording->loads->len; l++) {
        const moe_recording_load *load = &g_array_index(recording->loads, moe_recording_load, l);
        while (at < pieces->len && place_order(&g_array_index(pieces, piece, at), load) < 0)
            at++;
        if (at == pieces->len || place_order(&g_array_index(pieces, piece, at), load) != 0)
            continue;
        if (!phases || pid != load->pid) {
            g_clear_pointer(&phases, g_hash_table_unref);
            phases = phases_of(recording, pid = load->pid);
        }
        const char *phase = g_hash_table_lookup(phases, &load->step);
        moe_expert_time time = {*load, 0, false, phase ? phase : ""};
        time.ns = time_of(pieces, &at, load, &time.device);
        g_array_append_val(times, time);
    }
    return times;
}

/* ---- lines ---- */

static int
by_x_and_y(const void *a, const void *b)
{
    const moe_point *p = a, *q = b;
    int order = MOE_ORDER(p->x, q->x);
    return order ? order : MOE_ORDER(p->y, q->y);
}

GArray *
moe_points_medians(GArray *points)
{
    GArray *medians = g_array_new(FALSE, FALSE, sizeof(moe_median));
    const moe_point *all = (const moe_point *)(const void *)points->data;
    g_array_sort(points, by_x_and_y);
    for (guint i = 0, n; i < points->len; i += n) {
        for (n = 1; i + n < points->len && !(all[i + n].x > all[i].x);)
            n++;
        moe_median median = {all[i].x, all[i + (n - 1) / 2].y, n};
        g_array_append_val(medians, median);
    }
    return medians;
}

bool
moe_line_fit(const GArray *medians, moe_line *line)
{
    const moe_median *all = (const moe_median *)(const void *)medians->data;
    double weight = 0, mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0;
    for (guint i = 0; i < medians->len; i++) {
        weight += all[i].weight;
        mean_x += all[i].weight * all[i].x;
        mean_y += all[i].weight * all[i].y;
    }
    mean_x /= weight;
    mean_y /= weight;
    for (guint i = 0; i < medians->len; i++) {
        double dx = all[i].x - mean_x, dy = all[i].y - mean_y;
        xx += all[i].weight * dx * dx;
        xy += all[i].weight * dx * dy;
        yy += all[i].weight * dy * dy;
    }
    if (!(xx > 0))
        return false;
    line->slope = xy / xx;
    line->base = mean_y - line->slope * mean_x;
    line->r2 = yy > 0 ? xy * xy / (xx * yy) : 1;
    return true;
}

/* ---- views ---- */

void
moe_view_expert_rows(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"pid", "process", MOE_FIELD_ID},        {"step", "step", MOE_FIELD_ID},
        {"layer", "layer", MOE_FIELD_ID},        {"tokens", "tokens", MOE_FIELD_COUNT},
        {"uses", "uses", MOE_FIELD_COUNT},       {"distinct", "distinct", MOE_FIELD_COUNT},
        {"largest", "largest", MOE_FIELD_COUNT}, {"phase", "phase", MOE_FIELD_TEXT},
        {"time_ns", "time us", MOE_FIELD_US},    {"timed_by", "timed by", MOE_FIELD_TEXT},
    };
    g_autoptr(GArray) times = moe_expert_times(recording);
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (guint i = 0; i < times->len; i++) {
        const moe_expert_time *time = &g_array_index(times, moe_expert_time, i);
        const moe_recording_load *load = &time->load;
        const int64_t cells[] = {load->pid,  load->step,     load->layer,  load->tokens,
                                 load->uses, load->distinct, load->largest};
        for (size_t c = 0; c < MOE_COUNT(cells); c++)
            moe_view_add(view, moe_view_number(cells[c]));
        moe_view_add(view, moe_text(*time->phase ? time->phase : NULL));
        moe_view_add(view, moe_int(time->ns));
        moe_view_add(view, moe_text(time->device ? "kernels" : "range"));
    }
}

static int
by_distinct(const void *a, const void *b)
{
    const moe_expert_time *x = a, *y = b;
    int order = strcmp(x->phase, y->phase);
    order = order ? order : MOE_ORDER(x->load.distinct, y->load.distinct);
    return order ? order : MOE_ORDER(x->ns, y->ns);
}

/* Times of one phase and number of distinct experts, sorted. */
static void
add_distinct(const moe_expert_time *times, guint n, moe_view *view)
{
    double tokens = 0, largest = 0, ns = 0;
    for (guint i = 0; i < n; i++) {
        tokens += times[i].load.tokens > 0 ? (double)times[i].load.tokens : 0;
        largest += (double)times[i].load.largest;
        ns += (double)times[i].ns;
    }
    moe_view_add(view, moe_text(*times[0].phase ? times[0].phase : NULL));
    moe_view_add(view, moe_int(times[0].load.distinct));
    moe_view_add(view, moe_int(n));
    moe_view_add(view, moe_real(tokens / n));
    moe_view_add(view, moe_real(largest / n));
    moe_view_add(view, moe_int(times[(n - 1) / 10].ns));
    moe_view_add(view, moe_int(times[(n - 1) / 2].ns));
    moe_view_add(view, moe_int(times[(n - 1) * 9 / 10].ns));
    moe_view_add(view, moe_real(ns / n / (double)times[0].load.distinct));
}

static void
note_line(const moe_expert_time *times, guint n, bool distinct, moe_view *view)
{
    g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(moe_point));
    moe_line line;
    for (guint i = 0; i < n; i++) {
        int64_t value = distinct ? times[i].load.distinct : times[i].load.tokens;
        moe_point point = {(double)value, (double)times[i].ns / 1e3};
        if (value != MOE_RECORDING_UNKNOWN)
            g_array_append_val(points, point);
    }
    g_autoptr(GArray) medians = moe_points_medians(points);
    const char *what = distinct ? "distinct experts" : "tokens";
    const char *phase = *times->phase ? times->phase : "steps";
    if (moe_line_fit(medians, &line))
        moe_view_note(view,
                      "%s against %s: %.3f us %+.3f us each, which explains %.1f %% of the "
                      "variance of the medians",
                      phase, what, line.base, line.slope, 100 * line.r2);
    else if (points->len > 0)
        moe_view_note(view, "%s against %s: no line, since their number never changes", phase,
                      what);
}

void
moe_view_experts(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"phase", "phase", MOE_FIELD_TEXT},          {"distinct", "distinct", MOE_FIELD_COUNT},
        {"n", "layers x steps", MOE_FIELD_COUNT},    {"tokens", "mean tokens", MOE_FIELD_REAL},
        {"largest", "mean largest", MOE_FIELD_REAL}, {"p10_ns", "10 % us", MOE_FIELD_US},
        {"median_ns", "median us", MOE_FIELD_US},    {"p90_ns", "90 % us", MOE_FIELD_US},
        {"each_ns", "us per expert", MOE_FIELD_US},
    };
    g_autoptr(GArray) times = moe_expert_times(recording);
    moe_expert_time *all = (moe_expert_time *)(void *)times->data;
    moe_view_fields(view, fields, MOE_COUNT(fields));
    g_array_sort(times, by_distinct);
    for (guint i = 0, n; i < times->len; i += n) {
        for (n = 1; i + n < times->len && !strcmp(all[i + n].phase, all[i].phase) &&
                    all[i + n].load.distinct == all[i].load.distinct;)
            n++;
        add_distinct(all + i, n, view);
    }
    if (times->len == 0)
        return;
    for (guint i = 0, n; i < times->len; i += n) {
        for (n = 1; i + n < times->len && !strcmp(all[i + n].phase, all[i].phase);)
            n++;
        note_line(all + i, n, true, view);
        note_line(all + i, n, false, view);
    }
    size_t by_kernels = 0;
    for (guint i = 0; i < times->len; i++)
        by_kernels += all[i].device;
    moe_view_note(view, "timed by kernels: %zu of %u; the others by their ranges", by_kernels,
                  times->len);
}
