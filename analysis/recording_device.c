/* Views: what devices did, and why they did not. */
#include "analysis/interval.h"
#include "analysis/recording_idle.h"
#include "analysis/recording_private.h"
#include "analysis/recording_view.h"

static int
by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return MOE_ORDER(*x, *y);
}

/* The p-th percentile of sorted values, none of them interpolated. */
static moe_cell
percentile(const GArray *sorted, guint p)
{
    if (sorted->len == 0)
        return moe_null();
    size_t at = ((size_t)sorted->len - 1) * p / 100;
    return moe_int(g_array_index(sorted, int64_t, at));
}

static void
add_unit(const moe_recording *recording, uint32_t unit, moe_view *view)
{
    g_autofree char *name = moe_recording_unit_name(recording, unit);
    moe_view_add(view, moe_text(name));
}

/* ---- split ---- */

static void
split_unit(const moe_recording *recording, uint32_t unit, moe_view *view)
{
    size_t from, to;
    moe_recording_unit_range(recording, unit, &from, &to);
    if (from == to)
        return;
    g_autoptr(GArray) computing = moe_idle_computing(recording, unit);
    g_autoptr(GArray) copying = moe_idle_copying(recording, unit);
    g_autoptr(GArray) both = moe_intervals_common(computing, copying);
    int64_t end = moe_recording_work(recording, from)->end;
    for (size_t i = from; i < to; i++)
        end = MAX(end, moe_recording_work(recording, i)->end);
    int64_t span = end - moe_recording_work(recording, from)->start;
    int64_t overlap = moe_intervals_total(both);
    int64_t compute = moe_intervals_total(computing) - overlap;
    int64_t copy = moe_intervals_total(copying) - overlap;
    int64_t idle = span - compute - copy - overlap;
    const int64_t parts[] = {compute, copy, overlap, idle};
    add_unit(recording, unit, view);
    moe_view_add(view, moe_int(span));
    for (size_t i = 0; i < MOE_COUNT(parts); i++)
        moe_view_add(view, moe_int(parts[i]));
    for (size_t i = 0; i < MOE_COUNT(parts); i++)
        moe_view_add(view, moe_view_ratio((double)parts[i], (double)span));
}

void
moe_view_split(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"device", "device", MOE_FIELD_TEXT},
        {"span_ns", "span ms", MOE_FIELD_MS},
        {"compute_ns", "compute ms", MOE_FIELD_MS},
        {"copy_ns", "copy ms", MOE_FIELD_MS},
        {"both_ns", "both ms", MOE_FIELD_MS},
        {"idle_ns", "idle ms", MOE_FIELD_MS},
        {"compute_share", "compute %", MOE_FIELD_SHARE},
        {"copy_share", "copy %", MOE_FIELD_SHARE},
        {"both_share", "both %", MOE_FIELD_SHARE},
        {"idle_share", "idle %", MOE_FIELD_SHARE},
    };
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (uint32_t unit = 0; unit < recording->n_units; unit++)
        split_unit(recording, unit, view);
    if (view->cells->len)
        moe_view_note(view, "from each device's first activity to its last; what overlaps counts "
                            "once; compute and copy: one without the other; memsets are copies");
}

/* ---- idle ---- */

static void
add_cause(const moe_recording *recording, uint32_t unit, const GArray *gaps, moe_idle_cause cause,
          moe_view *view)
{
    g_autoptr(GArray) lengths = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int64_t part = 0, all = 0;
    for (guint i = 0; i < gaps->len; i++) {
        const moe_idle_gap *gap = &g_array_index(gaps, moe_idle_gap, i);
        int64_t length = gap->end - gap->start;
        part += gap->part[cause];
        all += length;
        if (moe_idle_cause_of(gap) == cause)
            g_array_append_val(lengths, length);
    }
    if (part == 0)
        return;
    g_array_sort(lengths, by_value);
    add_unit(recording, unit, view);
    moe_view_add(view, moe_text(moe_idle_cause_name(cause)));
    moe_view_add(view, moe_int(part));
    moe_view_add(view, moe_view_ratio((double)part, (double)all));
    moe_view_add(view, moe_int(lengths->len));
    moe_view_add(view, percentile(lengths, 50));
    moe_view_add(view, percentile(lengths, 99));
    moe_view_add(view, percentile(lengths, 100));
}

void
moe_view_idle(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"device", "device", MOE_FIELD_TEXT}, {"cause", "cause", MOE_FIELD_TEXT},
        {"idle_ns", "idle ms", MOE_FIELD_MS}, {"share", "share %", MOE_FIELD_SHARE},
        {"gaps", "gaps", MOE_FIELD_COUNT},    {"median_ns", "median us", MOE_FIELD_US},
        {"p99_ns", "99 % us", MOE_FIELD_US},  {"longest_ns", "longest us", MOE_FIELD_US},
    };
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (uint32_t unit = 0; unit < recording->n_units; unit++) {
        g_autoptr(GArray) gaps = moe_idle_gaps(recording, unit);
        for (int c = 0; c < MOE_IDLE_CAUSES; c++)
            add_cause(recording, unit, gaps, (moe_idle_cause)c, view);
    }
    if (view->cells->len == 0)
        return;
    moe_view_note(view, "copy: a copy or memset ran; host: none did, and the call that launches "
                        "the next kernel had not returned; graph: between kernels of one launch");
    moe_view_note(view, "idle: cut exactly by cause; gaps and their lengths: of those of which the "
                        "cause has the largest part");
    if (recording->n_calls == 0)
        moe_view_note(view, "calls were not recorded: waits for the host stand under other");
}

/* ---- launch ---- */

static void
add_delays(const moe_recording *recording, uint32_t unit, const GArray *starts, moe_view *view)
{
    g_autoptr(GArray) begin = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GArray) end = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (guint i = 0; i < starts->len; i++) {
        const moe_idle_start *start = &g_array_index(starts, moe_idle_start, i);
        if (moe_recording_device_of(recording, start->activity)->unit != unit)
            continue;
        int64_t after_begin = start->activity->start - start->launch->start;
        int64_t after_end = start->activity->start - start->launch->end;
        g_array_append_val(begin, after_begin);
        g_array_append_val(end, after_end);
    }
    if (begin->len == 0)
        return;
    g_array_sort(begin, by_value);
    g_array_sort(end, by_value);
    add_unit(recording, unit, view);
    moe_view_add(view, moe_int(begin->len));
    static const guint shown[] = {0, 50, 90, 99, 100};
    for (size_t p = 1; p < MOE_COUNT(shown); p++)
        moe_view_add(view, percentile(begin, shown[p]));
    for (size_t p = 0; p < MOE_COUNT(shown); p++)
        moe_view_add(view, percentile(end, shown[p]));
}

void
moe_view_launch(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"device", "device", MOE_FIELD_TEXT},
        {"launches", "launches", MOE_FIELD_COUNT},
        {"begin_median_ns", "from begin: 50 %", MOE_FIELD_US},
        {"begin_p90_ns", "90 %", MOE_FIELD_US},
        {"begin_p99_ns", "99 %", MOE_FIELD_US},
        {"begin_longest_ns", "longest", MOE_FIELD_US},
        {"end_shortest_ns", "from end: least", MOE_FIELD_US},
        {"end_median_ns", "50 %", MOE_FIELD_US},
        {"end_p90_ns", "90 %", MOE_FIELD_US},
        {"end_p99_ns", "99 %", MOE_FIELD_US},
        {"end_longest_ns", "longest", MOE_FIELD_US},
    };
    g_autoptr(GArray) starts = moe_idle_starts(recording);
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (uint32_t unit = 0; unit < recording->n_units; unit++)
        add_delays(recording, unit, starts, view);
    if (view->cells->len)
        moe_view_note(view, "microseconds from the begin and from the end of the call to the start "
                            "of its first kernel; below 0: it ran before the call returned");
}

/* ---- queue ---- */

typedef struct waiting {
    int64_t pid, device, stream;
    int64_t from, until; /* launched, started */
    int64_t end;
} waiting;

static int
by_stream(const void *a, const void *b)
{
    const waiting *x = a, *y = b;
    int order = MOE_ORDER(x->pid, y->pid);
    order = order ? order : MOE_ORDER(x->device, y->device);
    order = order ? order : MOE_ORDER(x->stream, y->stream);
    return order ? order : MOE_ORDER(x->until, y->until);
}

/* The most that wait at once, of `all` in order of their starts. */
static int64_t
deepest(const waiting *all, guint n)
{
    g_autoptr(GArray) from = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int64_t most = 0;
    for (guint i = 0; i < n; i++)
        if (all[i].from < all[i].until)
            g_array_append_val(from, all[i].from);
    g_array_sort(from, by_value);
    for (guint i = 0, at = 0, started = 0; i < from->len; i++) {
        for (; at < n && all[at].until <= g_array_index(from, int64_t, i); at++)
            started += all[at].from < all[at].until;
        most = MAX(most, (int64_t)i + 1 - started);
    }
    return most;
}

static void
add_stream(const waiting *all, guint n, moe_view *view)
{
    double waited = 0;
    int64_t first = all[0].from, last = all[0].end;
    for (guint i = 0; i < n; i++) {
        waited += (double)(all[i].until - all[i].from);
        first = MIN(first, all[i].from);
        last = MAX(last, all[i].end);
    }
    moe_view_add(view, moe_int(all[0].pid));
    moe_view_add(view, moe_view_number(all[0].device));
    moe_view_add(view, moe_view_number(all[0].stream));
    moe_view_add(view, moe_int(n));
    moe_view_add(view, moe_view_ratio(waited, (double)(last - first)));
    moe_view_add(view, moe_int(deepest(all, n)));
    moe_view_add(view, moe_real(waited / n));
}

static GArray *
find_waiting(const moe_recording *recording)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(waiting));
    g_autoptr(GArray) starts = moe_idle_starts(recording);
    for (guint i = 0; i < starts->len; i++) {
        const moe_idle_start *start = &g_array_index(starts, moe_idle_start, i);
        const moe_work *activity = start->activity;
        const moe_recording_device *device = moe_recording_device_of(recording, activity);
        waiting one = {device->pid,      device->device,
                       activity->stream, MIN(start->launch->end, activity->start),
                       activity->start,  activity->end};
        g_array_append_val(found, one);
    }
    g_array_sort(found, by_stream);
    return found;
}

void
moe_view_queue(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"pid", "process", MOE_FIELD_ID},
        {"device", "device", MOE_FIELD_ID},
        {"stream", "stream", MOE_FIELD_ID},
        {"launches", "launches", MOE_FIELD_COUNT},
        {"mean_depth", "mean", MOE_FIELD_REAL},
        {"most", "most", MOE_FIELD_COUNT},
        {"mean_wait_ns", "mean wait us", MOE_FIELD_US},
    };
    g_autoptr(GArray) found = find_waiting(recording);
    const waiting *all = (const waiting *)(const void *)found->data;
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (guint i = 0, n; i < found->len; i += n) {
        for (n = 1; i + n < found->len && all[i + n].pid == all[i].pid &&
                    all[i + n].device == all[i].device && all[i + n].stream == all[i].stream;)
            n++;
        add_stream(all + i, n, view);
    }
    if (found->len)
        moe_view_note(view, "launches whose call has returned and whose first kernel has not "
                            "started; mean: over the time from the first launch to the last end");
}
