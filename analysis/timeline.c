#include "analysis/timeline_private.h"

#include <string.h>

moe_timeline *
moe_timeline_new(void)
{
    moe_timeline *timeline = g_new0(moe_timeline, 1);
    timeline->groups = g_array_new(FALSE, FALSE, sizeof(timeline_group));
    timeline->tracks = g_array_new(FALSE, FALSE, sizeof(timeline_track));
    timeline->slices = g_array_new(FALSE, FALSE, sizeof(timeline_slice));
    timeline->samples = g_array_new(FALSE, FALSE, sizeof(timeline_sample));
    timeline->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    timeline->texts = g_string_chunk_new(4096);
    return timeline;
}

void
moe_timeline_free(moe_timeline *timeline)
{
    if (!timeline)
        return;
    g_array_unref(timeline->groups);
    g_array_unref(timeline->tracks);
    g_array_unref(timeline->slices);
    g_array_unref(timeline->samples);
    g_hash_table_unref(timeline->known);
    g_string_chunk_free(timeline->texts);
    g_free(timeline);
}

/* ---- filling ---- */

static const char *
keep(moe_timeline *timeline, const char *text)
{
    if (!text || !*text)
        return g_string_chunk_insert_const(timeline->texts, "?");
    if (g_utf8_validate(text, -1, NULL))
        return g_string_chunk_insert_const(timeline->texts, text);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return g_string_chunk_insert_const(timeline->texts, valid);
}

uint32_t
moe_timeline_group(moe_timeline *timeline, const char *name, uint32_t rank)
{
    timeline_group added = {keep(timeline, name), rank};
    g_array_append_val(timeline->groups, added);
    return timeline->groups->len - 1;
}

uint32_t
moe_timeline_track(moe_timeline *timeline, uint32_t group, const char *name, bool flat)
{
    g_autofree char *key = g_strdup_printf("%u\n%s", group, name);
    uint32_t found = GPOINTER_TO_UINT(g_hash_table_lookup(timeline->known, key));
    if (found)
        return found - 1;
    timeline_track added = {keep(timeline, name), group, 0, flat};
    g_array_append_val(timeline->tracks, added);
    g_hash_table_insert(timeline->known, g_steal_pointer(&key),
                        GUINT_TO_POINTER(timeline->tracks->len));
    return timeline->tracks->len - 1;
}

void
moe_timeline_slice(moe_timeline *timeline, uint32_t at, int64_t start, int64_t end,
                   const char *name, const moe_slice_notes *notes)
{
    moe_dassert(start <= end, "a slice from %lld to %lld", (long long)start, (long long)end);
    timeline_slice added = {start,
                            end,
                            notes->step,
                            notes->layer,
                            notes->expert,
                            notes->bytes,
                            keep(timeline, name),
                            notes->text ? keep(timeline, notes->text) : NULL,
                            at,
                            0};
    g_array_append_val(timeline->slices, added);
}

void
moe_timeline_count(moe_timeline *timeline, uint32_t group, const char *name, int64_t at,
                   double value)
{
    timeline_sample added = {at, value, keep(timeline, name), group};
    g_array_append_val(timeline->samples, added);
}

size_t
moe_timeline_slices(const moe_timeline *timeline)
{
    return timeline->slices->len;
}

/* ---- lanes ---- */

static int
by_track_and_start(const void *a, const void *b)
{
    const timeline_slice *x = a, *y = b;
    if (x->track != y->track)
        return x->track < y->track ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end); /* outer ones first */
}

/* Ends of the slices that are open in a lane, the innermost last. */
static bool
lane_takes(GArray *open, const timeline_slice *next, bool flat)
{
    while (open->len > 0 && g_array_index(open, int64_t, open->len - 1) <= next->start)
        g_array_set_size(open, open->len - 1);
    if (open->len > 0 && (flat || g_array_index(open, int64_t, open->len - 1) < next->end))
        return false;
    g_array_append_val(open, next->end);
    return true;
}

static void
array_unref(gpointer array)
{
    g_array_unref(array);
}

/* Gives each slice of a track the first lane where it lies within what is open, or apart. */
void
moe_timeline_lay_out(moe_timeline *timeline)
{
    g_autoptr(GPtrArray) lanes = g_ptr_array_new_with_free_func(array_unref);
    uint32_t current = MOE_NONE;
    g_array_sort(timeline->slices, by_track_and_start);
    for (guint i = 0; i < timeline->slices->len; i++) {
        timeline_slice *next = &g_array_index(timeline->slices, timeline_slice, i);
        timeline_track *at = &g_array_index(timeline->tracks, timeline_track, next->track);
        if (next->track != current)
            g_ptr_array_set_size(lanes, 0);
        current = next->track;
        while (next->lane < lanes->len &&
               !lane_takes(g_ptr_array_index(lanes, next->lane), next, at->flat))
            next->lane++;
        if (next->lane == lanes->len) {
            g_ptr_array_add(lanes, g_array_new(FALSE, FALSE, sizeof(int64_t)));
            lane_takes(g_ptr_array_index(lanes, next->lane), next, at->flat);
        }
        at->n_lanes = MAX(at->n_lanes, next->lane + 1);
    }
}

/* ---- for those who write it ---- */

int64_t
moe_timeline_earliest(const moe_timeline *timeline)
{
    int64_t origin = INT64_MAX;
    for (guint i = 0; i < timeline->slices->len; i++)
        origin = MIN(origin, g_array_index(timeline->slices, timeline_slice, i).start);
    for (guint i = 0; i < timeline->samples->len; i++)
        origin = MIN(origin, g_array_index(timeline->samples, timeline_sample, i).at);
    return origin == INT64_MAX ? 0 : origin;
}

uint32_t *
moe_timeline_number_lanes(const moe_timeline *timeline)
{
    uint32_t *first = g_new(uint32_t, timeline->tracks->len + 1), next = 1;
    for (guint t = 0; t < timeline->tracks->len; t++) {
        first[t] = next;
        next += g_array_index(timeline->tracks, timeline_track, t).n_lanes;
    }
    return first;
}

size_t
moe_timeline_group_place(const moe_timeline *timeline, uint32_t group)
{
    enum { GROUPS_OF_A_RANK = 10000 };
    uint32_t rank = g_array_index(timeline->groups, timeline_group, group).rank;
    return (size_t)rank * GROUPS_OF_A_RANK + group + 1;
}

void
moe_timeline_flush(timeline_writer *w, bool all)
{
    enum { BLOCK = 1 << 16 };
    if (!all && w->pending->len < BLOCK)
        return;
    w->failed = w->failed || !w->put(w->context, w->pending->str, w->pending->len);
    g_string_truncate(w->pending, 0);
}
