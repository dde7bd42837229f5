/* Perfetto's trace packets: protobuf messages, of which few fields are needed. Numbers of messages
 * and fields are those of protos/perfetto/trace in Perfetto's source. */
#include "analysis/timeline_private.h"

#include <math.h>
#include <string.h>

enum { TRACE_PACKET = 1 }; /* of a Trace */
enum { PACKET_TIMESTAMP = 8, PACKET_SEQUENCE = 10, PACKET_EVENT = 11, PACKET_TRACK = 60 };
enum { PACKET_FLAGS = 13, FLAG_CLEARED = 1 };
enum { TRACK_UUID = 1, TRACK_NAME = 2, TRACK_PARENT = 5, TRACK_COUNTER = 8 };
enum { TRACK_CHILD_ORDERING = 11, TRACK_RANK = 12, TRACK_MERGE = 15 };
enum { ORDERED_BY_RANK = 3, MERGED_NEVER = 2 };
enum { EVENT_NOTE = 4, EVENT_TYPE = 9, EVENT_TRACK = 11, EVENT_NAME = 23, EVENT_VALUE = 44 };
enum { TYPE_BEGIN = 1, TYPE_END = 2, TYPE_COUNTER = 4 };
enum { NOTE_INTEGER = 4, NOTE_TEXT = 6, NOTE_NAME = 10 };

enum { ROOT = 1 }; /* uuid of the track above all */

/* ---- protobuf ---- */

static void
append_varint(GString *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        g_string_append_c(out, (char)(value | 0x80));
    g_string_append_c(out, (char)value);
}

static void
append_number(GString *out, uint32_t field, uint64_t value)
{
    append_varint(out, (uint64_t)field << 3);
    append_varint(out, value);
}

static void
append_bytes(GString *out, uint32_t field, const char *bytes, size_t n)
{
    append_varint(out, (uint64_t)field << 3 | 2);
    append_varint(out, n);
    g_string_append_len(out, bytes, (gssize)n);
}

static void
append_double(GString *out, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_varint(out, (uint64_t)field << 3 | 1);
    for (int i = 0; i < 8; i++)
        g_string_append_c(out, (char)(bits >> (8 * i)));
}

/* ---- packets ---- */

/* `message` becomes a packet's field; at < 0: without a time. */
static void
put_packet(timeline_writer *w, int64_t at, uint32_t field, const GString *message)
{
    g_autoptr(GString) packet = g_string_new(NULL);
    if (at >= 0)
        append_number(packet, PACKET_TIMESTAMP, (uint64_t)at);
    append_number(packet, PACKET_SEQUENCE, 1);
    if (!w->any)
        append_number(packet, PACKET_FLAGS, FLAG_CLEARED);
    w->any = true;
    append_bytes(packet, field, message->str, message->len);
    append_bytes(w->pending, TRACE_PACKET, packet->str, packet->len);
    moe_timeline_flush(w, false);
}

static void
put_track(timeline_writer *w, uint64_t uuid, uint64_t parent, const char *name, size_t rank,
          bool counter)
{
    g_autoptr(GString) track = g_string_new(NULL);
    append_number(track, TRACK_UUID, uuid);
    append_bytes(track, TRACK_NAME, name, strlen(name));
    if (parent)
        append_number(track, TRACK_PARENT, parent);
    if (counter)
        append_bytes(track, TRACK_COUNTER, "", 0);
    append_number(track, TRACK_CHILD_ORDERING, ORDERED_BY_RANK);
    append_number(track, TRACK_RANK, rank);
    append_number(track, TRACK_MERGE, MERGED_NEVER);
    put_packet(w, -1, PACKET_TRACK, track);
}

static void
append_note(GString *event, const char *name, int64_t value, const char *text)
{
    g_autoptr(GString) note = g_string_new(NULL);
    if (value == INT64_MIN && !text)
        return;
    append_bytes(note, NOTE_NAME, name, strlen(name));
    if (text)
        append_bytes(note, NOTE_TEXT, text, strlen(text));
    else
        append_number(note, NOTE_INTEGER, (uint64_t)value);
    append_bytes(event, EVENT_NOTE, note->str, note->len);
}

static void
put_begin(timeline_writer *w, const timeline_slice *slice, uint64_t uuid)
{
    g_autoptr(GString) event = g_string_new(NULL);
    append_number(event, EVENT_TYPE, TYPE_BEGIN);
    append_number(event, EVENT_TRACK, uuid);
    append_bytes(event, EVENT_NAME, slice->name, strlen(slice->name));
    append_note(event, "step", slice->step, NULL);
    append_note(event, "layer", slice->layer, NULL);
    append_note(event, "expert", slice->expert, NULL);
    append_note(event, "bytes", slice->bytes, NULL);
    append_note(event, "what", INT64_MIN, slice->text);
    put_packet(w, slice->start - w->origin, PACKET_EVENT, event);
}

static void
put_end(timeline_writer *w, int64_t at, uint64_t uuid)
{
    g_autoptr(GString) event = g_string_new(NULL);
    append_number(event, EVENT_TYPE, TYPE_END);
    append_number(event, EVENT_TRACK, uuid);
    put_packet(w, at - w->origin, PACKET_EVENT, event);
}

/* ---- tracks ---- */

/* Numbers of tracks: the root, groups, lanes, counters. */
typedef struct numbers {
    const uint32_t *first; /* lane of each track, from 1 */
    uint64_t groups, lanes, counters;
} numbers;

/* Counters of a name and group are one track: samples of each stand together. */
static bool
new_counter(const moe_timeline *timeline, guint i)
{
    const timeline_sample *now = &g_array_index(timeline->samples, timeline_sample, i);
    const timeline_sample *before = now - 1;
    return i == 0 || before->group != now->group || before->name != now->name;
}

static void
put_tracks(timeline_writer *w, const moe_timeline *timeline, const numbers *n)
{
    put_track(w, ROOT, 0, "moesim", 0, false);
    for (guint g = 0; g < timeline->groups->len; g++)
        put_track(w, n->groups + g, ROOT, g_array_index(timeline->groups, timeline_group, g).name,
                  moe_timeline_group_place(timeline, g), false);
    for (guint t = 0; t < timeline->tracks->len; t++) {
        const timeline_track *track = &g_array_index(timeline->tracks, timeline_track, t);
        for (uint32_t lane = 0; lane < track->n_lanes; lane++)
            put_track(w, n->lanes + n->first[t] + lane, n->groups + track->group, track->name,
                      n->first[t] + lane, false);
    }
    for (guint i = 0, counter = 0; i < timeline->samples->len; i++) {
        const timeline_sample *sample = &g_array_index(timeline->samples, timeline_sample, i);
        if (!new_counter(timeline, i))
            continue;
        put_track(w, n->counters + counter, n->groups + sample->group, sample->name,
                  n->counters + counter, true);
        counter++;
    }
}

/* Ends of what is open in a lane, until `at`, the innermost first. */
static void
close_until(timeline_writer *w, GArray *open, int64_t at, uint64_t uuid)
{
    while (open->len > 0 && g_array_index(open, int64_t, open->len - 1) <= at) {
        put_end(w, g_array_index(open, int64_t, open->len - 1), uuid);
        g_array_set_size(open, open->len - 1);
    }
}

static void
array_unref(gpointer array)
{
    g_array_unref(array);
}

/* Perfetto sorts packets by time, and keeps the order of those at one time. */
static void
put_slices(timeline_writer *w, const moe_timeline *timeline, const numbers *n)
{
    g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func(array_unref);
    guint count = timeline->slices->len;
    for (guint i = 0; i < count && !w->failed; i++) {
        const timeline_slice *slice = &g_array_index(timeline->slices, timeline_slice, i);
        uint64_t uuid = n->lanes + n->first[slice->track];
        while (open->len <= slice->lane)
            g_ptr_array_add(open, g_array_new(FALSE, FALSE, sizeof(int64_t)));
        GArray *lane = g_ptr_array_index(open, slice->lane);
        close_until(w, lane, slice->start, uuid + slice->lane);
        put_begin(w, slice, uuid + slice->lane);
        g_array_append_val(lane, slice->end);
        if (i + 1 < count && slice[1].track == slice->track)
            continue;
        for (guint l = 0; l < open->len; l++)
            close_until(w, g_ptr_array_index(open, l), INT64_MAX, uuid + l);
    }
}

static void
put_samples(timeline_writer *w, const moe_timeline *timeline, const numbers *n)
{
    uint64_t counter = n->counters - 1;
    for (guint i = 0; i < timeline->samples->len && !w->failed; i++) {
        const timeline_sample *sample = &g_array_index(timeline->samples, timeline_sample, i);
        g_autoptr(GString) event = g_string_new(NULL);
        counter += new_counter(timeline, i);
        append_number(event, EVENT_TYPE, TYPE_COUNTER);
        append_number(event, EVENT_TRACK, counter);
        append_double(event, EVENT_VALUE, isfinite(sample->value) ? sample->value : 0);
        put_packet(w, sample->at - w->origin, PACKET_EVENT, event);
    }
}

void
moe_timeline_print_proto(moe_timeline *timeline, moe_timeline_put *put, void *context)
{
    timeline_writer w = {.put = put,
                         .context = context,
                         .pending = g_string_new(NULL),
                         .origin = moe_timeline_earliest(timeline)};
    moe_timeline_lay_out(timeline);
    g_autofree uint32_t *first = moe_timeline_number_lanes(timeline);
    numbers n = {.first = first, .groups = ROOT + 1};
    n.lanes = n.groups + timeline->groups->len;
    n.counters = n.lanes + 1;
    for (guint t = 0; t < timeline->tracks->len; t++)
        n.counters += g_array_index(timeline->tracks, timeline_track, t).n_lanes;
    put_tracks(&w, timeline, &n);
    put_slices(&w, timeline, &n);
    put_samples(&w, timeline, &n);
    moe_timeline_flush(&w, true);
    g_string_free(w.pending, TRUE);
}
