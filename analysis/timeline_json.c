/* Chrome's trace events, as JSON. */
#include "analysis/timeline_private.h"

#include <math.h>

static void
begin_event(timeline_writer *w)
{
    moe_timeline_flush(w, false);
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
write_meta(timeline_writer *w, const char *what, uint32_t pid, uint32_t tid, const char *name,
           size_t order)
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

static void
write_names(timeline_writer *w, const moe_timeline *timeline, const uint32_t *first)
{
    for (guint g = 0; g < timeline->groups->len; g++) {
        const timeline_group *at = &g_array_index(timeline->groups, timeline_group, g);
        write_meta(w, "process", g + 1, 0, at->name, moe_timeline_group_place(timeline, g));
    }
    for (guint t = 0; t < timeline->tracks->len; t++) {
        const timeline_track *at = &g_array_index(timeline->tracks, timeline_track, t);
        for (uint32_t lane = 0; lane < at->n_lanes; lane++)
            write_meta(w, "thread", at->group + 1, first[t] + lane, at->name, first[t] + lane);
    }
}

static void
write_slice(timeline_writer *w, const moe_timeline *timeline, const timeline_slice *s,
            const uint32_t *first)
{
    const timeline_track *at = &g_array_index(timeline->tracks, timeline_track, s->track);
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
write_sample(timeline_writer *w, const timeline_sample *s)
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

void
moe_timeline_print_json(moe_timeline *timeline, moe_timeline_put *put, void *context)
{
    timeline_writer w = {.put = put,
                         .context = context,
                         .pending = g_string_new("{\"displayTimeUnit\":\"ns\",\"traceEvents\":["),
                         .origin = moe_timeline_earliest(timeline)};
    moe_timeline_lay_out(timeline);
    g_autofree uint32_t *first = moe_timeline_number_lanes(timeline);
    write_names(&w, timeline, first);
    for (guint i = 0; i < timeline->slices->len && !w.failed; i++)
        write_slice(&w, timeline, &g_array_index(timeline->slices, timeline_slice, i), first);
    for (guint i = 0; i < timeline->samples->len && !w.failed; i++)
        write_sample(&w, &g_array_index(timeline->samples, timeline_sample, i));
    g_string_append(w.pending, "\n]}\n");
    moe_timeline_flush(&w, true);
    g_string_free(w.pending, TRUE);
}
