#include "analysis/interval.h"

static moe_interval *
at(const GArray *set, size_t i)
{
    return &g_array_index(set, moe_interval, i);
}

GArray *
moe_intervals_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(moe_interval));
}

void
moe_intervals_add(GArray *list, int64_t start, int64_t end)
{
    moe_interval interval = {start, end};
    moe_dassert(start <= end, "an interval from %lld to %lld", (long long)start, (long long)end);
    if (start < end)
        g_array_append_val(list, interval);
}

static int
by_start(const void *a, const void *b)
{
    const moe_interval *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static bool
is_sorted(const GArray *list)
{
    for (guint i = 1; i < list->len; i++)
        if (at(list, i)->start < at(list, i - 1)->start)
            return false;
    return true;
}

void
moe_intervals_unite(GArray *list)
{
    guint n = 0;
    if (!is_sorted(list))
        g_array_sort(list, by_start);
    for (guint i = 0; i < list->len; i++) {
        moe_interval next = *at(list, i);
        if (n > 0 && next.start <= at(list, n - 1)->end)
            at(list, n - 1)->end = MAX(at(list, n - 1)->end, next.end);
        else
            *at(list, n++) = next;
    }
    g_array_set_size(list, n);
}

int64_t
moe_intervals_total(const GArray *set)
{
    int64_t total = 0;
    for (guint i = 0; i < set->len; i++)
        total += at(set, i)->end - at(set, i)->start;
    return total;
}

GArray *
moe_intervals_common(const GArray *a, const GArray *b)
{
    GArray *common = moe_intervals_new();
    for (guint i = 0, j = 0; i < a->len && j < b->len;) {
        int64_t start = MAX(at(a, i)->start, at(b, j)->start);
        int64_t end = MIN(at(a, i)->end, at(b, j)->end);
        if (start < end)
            moe_intervals_add(common, start, end);
        if (at(a, i)->end < at(b, j)->end)
            i++;
        else
            j++;
    }
    return common;
}

GArray *
moe_intervals_without(const GArray *a, const GArray *b)
{
    GArray *rest = moe_intervals_new();
    for (guint i = 0, j = 0; i < a->len; i++) {
        int64_t from = at(a, i)->start, end = at(a, i)->end;
        while (j < b->len && at(b, j)->end <= from)
            j++;
        for (guint k = j; k < b->len && at(b, k)->start < end; k++) {
            if (from < at(b, k)->start)
                moe_intervals_add(rest, from, at(b, k)->start);
            from = MAX(from, at(b, k)->end);
        }
        if (from < end)
            moe_intervals_add(rest, from, end);
    }
    return rest;
}

int64_t
moe_intervals_within(const GArray *set, int64_t start, int64_t end)
{
    int64_t total = 0;
    guint low = 0, high = set->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (at(set, middle)->end <= start)
            low = middle + 1;
        else
            high = middle;
    }
    for (guint i = low; i < set->len && at(set, i)->start < end; i++)
        total += MIN(end, at(set, i)->end) - MAX(start, at(set, i)->start);
    return total;
}
