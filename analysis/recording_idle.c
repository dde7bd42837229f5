#include "analysis/recording_idle.h"

#include "analysis/interval.h"
#include "analysis/recording_private.h"

const char *
moe_idle_cause_name(moe_idle_cause cause)
{
    static const char *const names[MOE_IDLE_CAUSES] = {"copy", "host", "graph", "other"};
    return names[cause];
}

moe_idle_cause
moe_idle_cause_of(const moe_idle_gap *gap)
{
    moe_idle_cause most = MOE_IDLE_COPY;
    for (int c = 1; c < MOE_IDLE_CAUSES; c++)
        if (gap->part[c] > gap->part[most])
            most = (moe_idle_cause)c;
    return most;
}

static GArray *
united(const moe_recording *recording, uint32_t unit, bool computing)
{
    size_t from, to;
    GArray *set = moe_intervals_new();
    moe_recording_unit_range(recording, unit, &from, &to);
    for (size_t i = from; i < to; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        if (moe_work_computes(activity) == computing)
            moe_intervals_add(set, activity->start, activity->end);
    }
    moe_intervals_unite(set);
    return set;
}

GArray *
moe_idle_copying(const moe_recording *recording, uint32_t unit)
{
    return united(recording, unit, false);
}

GArray *
moe_idle_computing(const moe_recording *recording, uint32_t unit)
{
    return united(recording, unit, true);
}

static bool
one_launch(const moe_work *a, const moe_work *b)
{
    return a->device == b->device && a->correlation == b->correlation &&
           a->correlation != MOE_RECORDING_UNKNOWN;
}

/* Copies first, since a host that copies waits for them; then what the host had not launched. */
static moe_idle_gap
explain(const moe_recording *recording, const moe_work *before, const moe_work *next,
        const GArray *copying)
{
    moe_idle_gap gap = {before->end, next->start, before->end, {0}};
    const moe_launch *launch = moe_recording_launch(recording, next);
    int64_t launched = launch ? CLAMP(launch->end, gap.start, gap.end) : gap.start;
    int64_t copied = moe_intervals_within(copying, gap.start, gap.end);
    int64_t waited = launched - gap.start - moe_intervals_within(copying, gap.start, launched);
    gap.launched = launched;
    gap.part[MOE_IDLE_COPY] = copied;
    gap.part[MOE_IDLE_HOST] = waited;
    gap.part[one_launch(before, next) ? MOE_IDLE_GRAPH : MOE_IDLE_OTHER] =
        gap.end - gap.start - copied - waited;
    return gap;
}

GArray *
moe_idle_gaps(const moe_recording *recording, uint32_t unit)
{
    size_t from, to;
    GArray *gaps = g_array_new(FALSE, FALSE, sizeof(moe_idle_gap));
    g_autoptr(GArray) copying = moe_idle_copying(recording, unit);
    const moe_work *last = NULL; /* that ends latest so far */
    moe_recording_unit_range(recording, unit, &from, &to);
    for (size_t i = from; i < to; i++) {
        const moe_work *next = moe_recording_work(recording, i);
        if (!moe_work_computes(next))
            continue;
        if (last && next->start > last->end) {
            moe_idle_gap gap = explain(recording, last, next, copying);
            g_array_append_val(gaps, gap);
        }
        if (!last || next->end >= last->end)
            last = next;
    }
    return gaps;
}

/* ---- from call to kernel ---- */

static int
by_launch(const void *a, const void *b)
{
    const moe_idle_start *x = a, *y = b;
    int order = MOE_ORDER(x->launch, y->launch);
    return order ? order : MOE_ORDER(x->activity->start, y->activity->start);
}

GArray *
moe_idle_starts(const moe_recording *recording)
{
    GArray *starts = g_array_new(FALSE, FALSE, sizeof(moe_idle_start));
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        bool computes = moe_work_computes(activity);
        moe_idle_start one = {computes ? moe_recording_launch(recording, activity) : NULL,
                              activity};
        if (one.launch)
            g_array_append_val(starts, one);
    }
    g_array_sort(starts, by_launch);
    moe_idle_start *all = (moe_idle_start *)(void *)starts->data;
    guint n = 0;
    for (guint i = 0; i < starts->len; i++)
        if (n == 0 || all[n - 1].launch != all[i].launch)
            all[n++] = all[i];
    g_array_set_size(starts, n);
    return starts;
}
