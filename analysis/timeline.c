#include "analysis/timeline.h"

#include <math.h>
#include <string.h>

typedef struct slice {
    int64_t start, end;
    int64_t step, layer, expert, bytes;
    const char *name, *text;
    uint32_t track, lane;
} slice;

typedef struct sample {
    int64_t at;
    double value;
    const char *name;
    uint32_t group;
} sample;

typedef struct timeline_group {
    const char *name;
    uint32_t rank;
} timeline_group;

typedef struct track {
    const char *name;
    uint32_t group, n_lanes;
    bool flat;
} track;

struct moe_timeline {
    GArray *groups, *tracks, *slices, *samples;
    GHashTable *known; /* "group\nname" -> track + 1 */
    GStringChunk *texts;
};

moe_timeline *
moe_timeline_new(void)
{
    moe_timeline *timeline = g_new0(moe_timeline, 1);
    timeline->groups = g_array_new(FALSE, FALSE, sizeof(timeline_group));
    timeline->tracks = g_array_new(FALSE, FALSE, sizeof(track));
    timeline->slices = g_array_new(FALSE, FALSE, sizeof(slice));
    timeline->samples = g_array_new(FALSE, FALSE, sizeof(sample));
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
    return g_string_chunk_insert_const(timeline->texts, text && *text ? text : "?");
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
    track added = {keep(timeline, name), group, 0, flat};
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
    slice added = {start,
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
    sample added = {at, value, keep(timeline, name), group};
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
    const slice *x = a, *y = b;
    if (x->track != y->track)
        return x->track < y->track ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end); /* outer ones first */
}

/* Ends of the slices that are open in a lane, the innermost last. */
static bool
lane_takes(GArray *open, const slice *next, bool flat)
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
static void
lay_out(moe_timeline *timeline)
{
    g_autoptr(GPtrArray) lanes = g_ptr_array_new_with_free_func(array_unref);
    uint32_t current = MOE_NONE;
    g_array_sort(timeline->slices, by_track_and_start);
    for (guint i = 0; i < timeline->slices->len; i++) {
        slice *next = &g_array_index(timeline->slices, slice, i);
        track *at = &g_array_index(timeline->tracks, track, next->track);
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

/* ---- writing ---- */

typedef struct writer {
    moe_timeline_put *put;
    void *context;
    GString *pending;
    bool failed, any;
    int64_t origin;
} writer;

static void
flush(writer *w)
{
    w->failed = w->failed || !w->put(w->context, w->pending->str, w->pending->len);
    g_string_truncate(w->pending, 0);
}

static void
begin_event(writer *w)
{
    enum { BLOCK = 1 << 16 };
    if (w->pending->len > BLOCK)
        flush(w);
    g_string_append(w->pending, w->any ? ",\n" : "\n");
    w->any = true;
}

/* JSON's escapes; UTF-8 stays as it is. */
static void
append_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_c(out, '\\');
        if (*c < 0x20)
            g_string_append_printf(out, "\\u%04x", *c);
        else
            g_string_append_c(out, (char)*c);
    }
    g_string_append_c(out, '"');
}

/* Microseconds, to the nanosecond. */
static void
append_time(GString *out, const char *key, int64_t ns)
{
    g_string_append_printf(out, ",\"%s\":%lld.%03d", key, (long long)(ns / 1000), (int)(ns % 1000));
}

static void
append_note(GString *out, const char *key, int64_t value, bool *any)
{
    if (value == INT64_MIN)
        return;
    g_string_append_printf(out, "%s\"%s\":%lld", *any ? "," : "", key, (long long)value);
    *any = true;
}

static void
write_meta(writer *w, const char *what, uint32_t pid, uint32_t tid, const char *name, size_t order)
{
    begin_event(w);
    g_string_append_printf(
        w->pending,
        "{\"ph\":\"M\",\"name\":\"%s_name\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":", what, pid,
        tid);
    append_text(w->pending, name);
    g_string_append(w->pending, "}}");
    begin_event(w);
    g_string_append_printf(w->pending,
                           "{\"ph\":\"M\",\"name\":\"%s_sort_index\",\"pid\":%u,\"tid\":%u,"
                           "\"args\":{\"sort_index\":%zu}}",
                           what, pid, tid, order);
}

/* The number of a track's first lane; lanes follow one another. */
static uint32_t *
number_lanes(const moe_timeline *timeline)
{
    uint32_t *first = g_new(uint32_t, timeline->tracks->len + 1), next = 1;
    for (guint t = 0; t < timeline->tracks->len; t++) {
        first[t] = next;
        next += g_array_index(timeline->tracks, track, t).n_lanes;
    }
    return first;
}

static void
write_names(writer *w, const moe_timeline *timeline, const uint32_t *first)
{
    enum { GROUPS_OF_A_RANK = 10000 };
    for (guint g = 0; g < timeline->groups->len; g++) {
        const timeline_group *at = &g_array_index(timeline->groups, timeline_group, g);
        write_meta(w, "process", g + 1, 0, at->name, (size_t)at->rank * GROUPS_OF_A_RANK + g + 1);
    }
    for (guint t = 0; t < timeline->tracks->len; t++) {
        const track *at = &g_array_index(timeline->tracks, track, t);
        for (uint32_t lane = 0; lane < at->n_lanes; lane++)
            write_meta(w, "thread", at->group + 1, first[t] + lane, at->name, first[t] + lane);
    }
}

static void
write_slice(writer *w, const moe_timeline *timeline, const slice *s, const uint32_t *first)
{
    const track *at = &g_array_index(timeline->tracks, track, s->track);
    bool any = false;
    begin_event(w);
    g_string_append_printf(w->pending, "{\"ph\":\"X\",\"pid\":%u,\"tid\":%u", at->group + 1,
                           first[s->track] + s->lane);
    append_time(w->pending, "ts", s->start - w->origin);
    append_time(w->pending, "dur", s->end - s->start);
    g_string_append(w->pending, ",\"name\":");
    append_text(w->pending, s->name);
    g_string_append(w->pending, ",\"args\":{");
    append_note(w->pending, "step", s->step, &any);
    append_note(w->pending, "layer", s->layer, &any);
    append_note(w->pending, "expert", s->expert, &any);
    append_note(w->pending, "bytes", s->bytes, &any);
    if (s->text) {
        g_string_append_printf(w->pending, "%s\"what\":", any ? "," : "");
        append_text(w->pending, s->text);
    }
    g_string_append(w->pending, "}}");
}

static void
write_sample(writer *w, const sample *s)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];
    begin_event(w);
    g_string_append_printf(w->pending, "{\"ph\":\"C\",\"pid\":%u", s->group + 1);
    append_time(w->pending, "ts", s->at - w->origin);
    g_string_append(w->pending, ",\"name\":");
    append_text(w->pending, s->name);
    g_string_append_printf(
        w->pending, ",\"args\":{\"value\":%s}}",
        g_ascii_formatd(buffer, sizeof buffer, "%.10g", isfinite(s->value) ? s->value : 0));
}

static int64_t
earliest(const moe_timeline *timeline)
{
    int64_t origin = INT64_MAX;
    for (guint i = 0; i < timeline->slices->len; i++)
        origin = MIN(origin, g_array_index(timeline->slices, slice, i).start);
    for (guint i = 0; i < timeline->samples->len; i++)
        origin = MIN(origin, g_array_index(timeline->samples, sample, i).at);
    return origin == INT64_MAX ? 0 : origin;
}

void
moe_timeline_print(moe_timeline *timeline, moe_timeline_put *put, void *context)
{
    writer w = {.put = put,
                .context = context,
                .pending = g_string_new("{\"displayTimeUnit\":\"ns\",\"traceEvents\":["),
                .origin = earliest(timeline)};
    lay_out(timeline);
    g_autofree uint32_t *first = number_lanes(timeline);
    write_names(&w, timeline, first);
    for (guint i = 0; i < timeline->slices->len && !w.failed; i++)
        write_slice(&w, timeline, &g_array_index(timeline->slices, slice, i), first);
    for (guint i = 0; i < timeline->samples->len && !w.failed; i++)
        write_sample(&w, &g_array_index(timeline->samples, sample, i));
    g_string_append(w.pending, "\n]}\n");
    flush(&w);
    g_string_free(w.pending, TRUE);
}
