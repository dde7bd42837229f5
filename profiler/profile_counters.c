/* Hardware counters of ranges: which stage and layer a range is of stands in its name. */
#include "profiler/profile_decode.h"

#include "profiler/decoder.h"

#include <string.h>

static char *
counter_text(moe_decode *d, uint32_t id)
{
    size_t n;
    const char *text = moe_rawread_text(d->file, id, &n);
    g_autofree char *raw = text ? g_strndup(text, n) : g_strdup("");
    d->unknown_texts += !text;
    return g_utf8_make_valid(raw, -1);
}

/* Of names joined by '/', such as "step/experts/7": a stage, then the number of its layer. */
static void
counter_place(const char *range, moe_profile_counter *row)
{
    g_auto(GStrv) names = g_strsplit(range, "/", -1);
    row->layer = MOE_PROFILE_NULL;
    for (size_t i = 0; names[i]; i++) {
        gint64 number;
        for (size_t s = 0; s < MOE_STAGES; s++)
            if (strcmp(names[i], moe_stage_names[s]) == 0)
                row->stage = moe_stage_names[s];
        if (row->stage && g_ascii_string_to_signed(names[i], 10, 0, INT32_MAX, &number, NULL))
            row->layer = number;
    }
}

void
moe_decode_counters(moe_decode *d)
{
    size_t n;
    const moe_raw_chunk *chunks = moe_rawread_chunks(d->file, &n);
    for (size_t i = 0; i < n; i++) {
        if (chunks[i].type != MOE_RAW_COUNTERS)
            continue;
        for (size_t j = 0; j < MOE_DECODE_N(&chunks[i], moe_raw_counter); j++) {
            moe_raw_counter c;
            memcpy(&c, chunks[i].payload + j * sizeof c, sizeof c);
            g_autofree char *range = counter_text(d, c.range);
            g_autofree char *metric = counter_text(d, c.metric);
            moe_profile_counter row = {.pid = d->pid,
                                       .device = c.device,
                                       .place = (int64_t)MIN(c.order, (uint64_t)INT64_MAX),
                                       .pass = c.pass,
                                       .range = range,
                                       .metric = metric,
                                       .value = c.value};
            counter_place(range, &row);
            moe_profile_add_counter(d->writer, &row);
        }
        d->odd += chunks[i].bytes % sizeof(moe_raw_counter) != 0;
    }
}
