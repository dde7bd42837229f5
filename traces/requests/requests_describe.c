#include "traces/requests/requests_file.h"

#include "sim/base/units.h"
#include "traces/requests/timestamp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *
describe_ns(int64_t ns)
{
    if (ns < 600 * MOE_NS_PER_S)
        return moe_format_time(ns * (MOE_PS_PER_S / MOE_NS_PER_S));
    if (ns < 3 * 3600 * MOE_NS_PER_S)
        return g_strdup_printf("%.1f min", (double)ns / 60e9);
    return g_strdup_printf("%.2f h", (double)ns / 3600e9);
}

static void
describe_arrivals(const moe_requests *r, GString *out)
{
    int64_t span = r->arrival_ns[r->n - 1];
    g_autofree char *span_text = describe_ns(span);
    char stamp[MOE_TIMESTAMP_SIZE];
    g_string_append_printf(out, "requests     %" G_GUINT64_FORMAT " over %s\n", r->n, span_text);
    if (r->clock == MOE_CLOCK_UNIX)
        g_string_append_printf(out, "first        %s\n", moe_timestamp_write(stamp, r->epoch_ns));
    if (span == 0)
        return;
    double sum = 0, mean = (double)span / (double)(r->n - 1);
    for (uint64_t i = 1; i < r->n; i++) {
        double off = (double)(r->arrival_ns[i] - r->arrival_ns[i - 1]) - mean;
        sum += off * off;
    }
    double cv = sqrt(sum / (double)(r->n - 1)) / mean;
    g_autofree char *gap = describe_ns((int64_t)mean);
    g_string_append_printf(out, "rate         %.4g per s; gaps: mean %s, cv %.3f\n",
                           (double)(r->n - 1) / ((double)span / 1e9), gap, cv);
}

static int
describe_by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The smallest value that at least `percent` of the requests do not exceed. */
static uint32_t
describe_quantile(const uint32_t *sorted, uint64_t n, unsigned percent)
{
    return sorted[(n * percent + 99) / 100 - 1];
}

static void
describe_tokens(const char *name, const uint32_t *tokens, uint64_t n, GString *out)
{
    g_autofree uint32_t *sorted = g_new(uint32_t, n);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sorted[i] = tokens[i];
        sum += tokens[i];
    }
    qsort(sorted, n, sizeof *sorted, describe_by_size);
    g_string_append_printf(
        out, "%-12s mean %.1f, p50 %u, p90 %u, p99 %u, max %u; %" G_GUINT64_FORMAT " tokens\n",
        name, (double)sum / (double)n, describe_quantile(sorted, n, 50),
        describe_quantile(sorted, n, 90), describe_quantile(sorted, n, 99), sorted[n - 1], sum);
}

/* Tokens in blocks that an earlier request, or the same one, had already. */
static void
describe_prefixes(const moe_requests *r, GString *out)
{
    uint64_t all = 0, seen = 0, unknown = 0;
    uint32_t known = 0; /* numbers are given in order of first appearance */
    for (uint64_t i = 0; i < r->n; i++) {
        uint64_t left = r->prompt[i];
        all += left;
        unknown += r->block_first[i] == r->block_first[i + 1];
        for (uint64_t j = r->block_first[i]; j < r->block_first[i + 1]; j++) {
            uint64_t tokens = MIN(left, r->block_tokens);
            left -= tokens;
            if (r->blocks[j] == known)
                known++;
            else
                seen += tokens;
        }
    }
    g_string_append_printf(
        out,
        "prefixes     %u distinct blocks of %u tokens; %.2f%% of prompt tokens are in blocks seen "
        "before\n",
        r->n_blocks, r->block_tokens, 100 * (double)seen / (double)all);
    if (unknown)
        g_string_append_printf(out, "             %" G_GUINT64_FORMAT " requests without blocks\n",
                               unknown);
}

static void
describe_sessions(const moe_requests *r, GString *out)
{
    uint64_t with = 0;
    for (uint64_t i = 0; i < r->n; i++)
        with += r->session[i] != MOE_NONE;
    g_string_append_printf(out, "sessions     %u, of %.2f requests on average", r->n_sessions,
                           r->n_sessions ? (double)with / r->n_sessions : 0);
    if (with < r->n)
        g_string_append_printf(out, "; %" G_GUINT64_FORMAT " requests without", r->n - with);
    g_string_append_c(out, '\n');
}

/* Free texts come from files: what could move a terminal's cursor is shown as a space. */
static void
describe_text(GString *out, const char *text)
{
    for (; *text; text++)
        g_string_append_c(out, (unsigned char)*text < 0x20 || *text == 0x7F ? ' ' : *text);
}

static void
describe_models(const moe_requests *r, GString *out)
{
    g_autofree uint64_t *counts = g_new0(uint64_t, MOE_REQUESTS_NO_MODEL + 1);
    for (uint64_t i = 0; i < r->n; i++)
        counts[r->model[i]]++;
    g_string_append(out, "models       ");
    for (uint32_t i = 0; i < r->n_models; i++) {
        g_string_append(out, i ? ", " : "");
        describe_text(out, r->models[i]);
        g_string_append_printf(out, " %" G_GUINT64_FORMAT, counts[i]);
    }
    g_string_append_c(out, '\n');
}

void
moe_requests_describe(const moe_requests_file *file, GString *out)
{
    const moe_requests *r = &file->requests;
    g_string_append_printf(out, "trace        %s\n", r->path);
    describe_arrivals(r, out);
    describe_tokens("prompt", r->prompt, r->n, out);
    describe_tokens("output", r->output, r->n, out);
    if (r->block_first)
        describe_prefixes(r, out);
    else
        g_string_append(out, "prefixes     not known\n");
    if (r->session)
        describe_sessions(r, out);
    if (r->model)
        describe_models(r, out);
    for (size_t i = 0; i < file->n_meta; i++) {
        if (moe_requests_own_key(file->meta[i].key))
            continue;
        g_string_append_printf(out, "%-12s ", file->meta[i].key);
        describe_text(out, file->meta[i].value);
        g_string_append_c(out, '\n');
    }
}
