/* What was measured as a hardware preset, and as rows of a measured table. */
#include "profiler/measure.h"

#include "profiler/measured.h"
#include "sim/base/units.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SOURCE "moesim probe " MOE_VERSION

/* ---- texts ---- */

/* Inside double quotes; what would end them is left out. */
static void
put_quoted(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++)
        if (*text != '"' && *text != '\\' && !g_ascii_iscntrl(*text))
            g_string_append_c(out, *text);
    g_string_append_c(out, '"');
}

static const char measured[] = "measured", fitted[] = "fitted";

static void put(GString *out, const char *indent, const char *key, const char *value,
                const char *basis, const char *fmt, ...) MOE_PRINTF(6, 7);

/* A number with its origin, and what there is to say of it. */
static void
put(GString *out, const char *indent, const char *key, const char *value, const char *basis,
    const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *note = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_string_append_printf(out, "%s%s: {value: %s, basis: %s, source: \"" SOURCE "\"", indent, key,
                           value, basis);
    if (*note) {
        g_string_append(out, ", note: ");
        put_quoted(out, note);
    }
    g_string_append(out, "}\n");
}

static char *
rate_text(double bytes_per_s)
{
    return g_strdup_printf("%.4gMB/s", bytes_per_s / 1e6);
}

static char *
mib_text(uint64_t mib)
{
    return g_strdup_printf("%" PRIu64 "MiB", mib);
}

static char *
time_text(double seconds)
{
    return g_strdup_printf("%.4gus", seconds * 1e6);
}

/* "median of 5, 9.81 to 10.2 GB/s" */
static char *
spread_text(const moe_spread *s, double unit, const char *name)
{
    return g_strdup_printf("median of %u, %.3g to %.3g %s", s->n, s->low / unit, s->high / unit,
                           name);
}

/* ---- places ---- */

static void
put_memory(GString *out, const moe_measured_memory *m)
{
    uint32_t best = moe_measured_memory_best(m);
    uint64_t capacity = MAX(m->capacity >> 20, 2), reserved = 0;
    if (m->available < m->capacity)
        reserved = MIN((m->capacity - m->available + (1u << 20) - 1) >> 20, capacity - 1);
    g_autofree char *size = mib_text(capacity), *taken = mib_text(reserved);
    g_autofree char *rate = rate_text(m->read[best].median);
    g_autofree char *spread = spread_text(&m->read[best], 1e9, "GB/s");
    g_autofree char *buffer = moe_format_bytes((int64_t)m->buffer);
    g_string_append(out, "places:\n  - name: dram\n");
    put(out, "    ", "capacity", size, measured, "%s",
        m->limited ? "the limit of its control group" : "all that the system has");
    put(out, "    ", "reserved", taken, measured, "what was not available when it was measured");
    put(out, "    ", "read", rate, measured,
        "%u threads over %s, %s; a load that waits for the one before: %.0f ns", m->threads[best],
        buffer, spread, m->latency.median * 1e9);
}

static void
put_flash(GString *out, const moe_measured_disk *d, const moe_measured_memory *m)
{
    double memory = m->read[moe_measured_memory_best(m)].median;
    uint64_t capacity = MAX(d->capacity >> 20, 2);
    uint64_t taken = (d->capacity - MIN(d->available, d->capacity)) >> 20;
    g_autofree char *size = mib_text(capacity), *used = mib_text(MIN(taken, capacity - 1));
    g_autofree char *rate = rate_text(fmin(d->link.rate, memory));
    g_string_append(out, "  - name: flash\n");
    put(out, "    ", "capacity", size, measured, "of its file system");
    put(out, "    ", "reserved", used, measured, "what was not free when it was measured");
    put(out, "    ", "read", rate, fitted, "as link read");
}

/* ---- the device ---- */

static void
put_cpu(GString *out, const moe_measured_cpu *c, const moe_measured_memory *m)
{
    double share = c->stream / m->read[moe_measured_memory_best(m)].median;
    g_autofree char *fp32 = g_strdup_printf("%.4gGFLOPS", c->peak_fp32 / 1e9);
    g_autofree char *bf16 = g_strdup_printf("%.4gGFLOPS", c->peak_bf16 / 1e9);
    g_autofree char *stream = g_strdup_printf("%.4g%%", 100 * fmin(fmax(share, 1e-3), 1));
    g_autofree char *half = g_strdup_printf("%.4g", c->half_rows);
    g_autofree char *launch = time_text(c->launch.median);
    g_string_append(out, "devices:\n  - name: cpu\n    kind: cpu\n    place: dram\n    peak:\n");
    put(out, "      ", "fp32", fp32, measured,
        "the best product of f32 weights, by %u threads of moesim's own backend", c->threads);
    put(out, "      ", "bf16", bf16, measured, "the same of bf16 weights, which are widened");
    put(out, "    ", "gemm_efficiency", "100%", measured, "peak is what was reached");
    put(out, "    ", "stream_efficiency", stream, measured,
        "bf16 experts with one token each: %.4g GB/s of them", c->stream / 1e9);
    put(out, "    ", "half_rows", half, fitted,
        "with the above, times of 1 to 256 tokens per expert are off by %.1f %% on average, "
        "%.1f %% at most",
        100 * c->mean, 100 * c->largest);
    put(out, "    ", "launch", launch, measured,
        "handing work to all threads, and waiting for them");
}

/* ---- links ---- */

static void
put_links(GString *out, const moe_measured_disk *d)
{
    const moe_disk_link *l = &d->link;
    g_autofree char *rate = rate_text(l->rate), *channel = rate_text(l->channel);
    g_autofree char *write = rate_text(d->write.median), *latency = time_text(l->latency);
    g_autofree char *spread = spread_text(&d->write, 1e6, "MB/s");
    g_autofree char *iops = g_strdup_printf("%.0f", fmax(l->iops, 1));
    g_autofree char *request = g_strdup_printf("%" PRIu64 "KiB", l->request >> 10);
    g_autofree char *depth = g_strdup_printf("%u", l->depth);

    g_string_append(out, "links:\n  - name: read\n    from: flash\n    to: dram\n");
    put(out, "    ", "rate", rate, fitted, "to random reads of %u sizes and depths%s", d->n,
        d->direct ? ", past the page cache" : "; the page cache could not be passed by");
    put(out, "    ", "latency", latency, fitted, "likewise");
    put(out, "    ", "channel", channel, fitted, "likewise");
    put(out, "    ", "iops", iops, fitted,
        "likewise; the %u rates are off by %.1f %% on average, %.1f %% at most", d->n,
        100 * l->mean, 100 * l->largest);
    put(out, "    ", "request", request, measured,
        "the fewest bytes in flight within 5 %% of the best rate");
    put(out, "    ", "depth", depth, measured, "likewise");
    g_string_append(out, "    engine: 0\n    wire: 0\n");
    g_string_append(out, "  - name: write\n    from: dram\n    to: flash\n");
    put(out, "    ", "rate", write, measured, "8 MiB at a time, each until it is on the disk: %s",
        spread);
    g_string_append(out, "    engine: 0\n    wire: 0\n");
}

void
moe_measured_preset(const char *name, const moe_measured_memory *memory,
                    const moe_measured_cpu *cpu, const moe_measured_disk *disk, GString *out)
{
    g_autofree char *source =
        g_strdup_printf(SOURCE ": %s, %u threads, %s kernels, %s", cpu->name, cpu->threads,
                        cpu->kernels, cpu->blas ? cpu->blas : "no BLAS");
    g_string_append_printf(out, "name: %s\nsource: ", name);
    put_quoted(out, source);
    g_string_append_c(out, '\n');
    put_memory(out, memory);
    if (disk)
        put_flash(out, disk, memory);
    put_cpu(out, cpu, memory);
    if (disk)
        put_links(out, disk);
    else
        g_string_append(out, "links: []\n");
}

/* ---- rows ---- */

/* Rows that a table would refuse are left out: a point that took no time says nothing. */
static void
add_row(moe_measured *table, const moe_measured_row *row, const char *device, GString *out)
{
    moe_measured_row one = *row;
    const char *why = NULL;
    one.device = device;
    one.source = SOURCE;
    one.distribution = "";
    if (moe_measured_add(table, &one, &why))
        moe_measured_write(moe_measured_at(table, moe_measured_count(table) - 1), out);
}

static void
add_experts(moe_measured *table, const moe_measured_cpu *cpu, const moe_cpu_point *points,
            bool wide, const char *name, GString *out)
{
    for (uint32_t i = 0; i < MOE_CPU_POINTS && points[i].tokens; i++) {
        const moe_cpu_point *p = &points[i];
        moe_measured_row row = {.kind = MOE_MEASURED_EXPERTS,
                                .dtype = wide ? "f32" : "bf16",
                                .weight_bits = wide ? 32 : 16,
                                .activation_bits = wide ? 32 : 16,
                                .hidden = cpu->hidden,
                                .width = cpu->width,
                                .experts = p->experts,
                                .top_k = p->experts,
                                .tokens = p->tokens,
                                .distinct = p->experts,
                                .time_us = p->seconds.median * 1e6};
        add_row(table, &row, name, out);
    }
}

/* As many requests as are read in about a second, so that the first one's latency does not count.
 */
static void
add_reads(moe_measured *table, const moe_measured_disk *disk, GString *out)
{
    for (uint32_t i = 0; i < disk->n; i++) {
        const moe_disk_point *p = &disk->points[i];
        double round = (double)p->request * p->depth;
        double rounds = fmin(fmax(floor(p->rate.median / round), 1), 1e6);
        moe_measured_row row = {.kind = MOE_MEASURED_COPY,
                                .dtype = "",
                                .direction = MOE_MEASURED_DISK,
                                .bytes = (int64_t)(rounds * round),
                                .request = (int64_t)p->request,
                                .depth = p->depth,
                                .time_us = rounds * round / p->rate.median * 1e6};
        add_row(table, &row, "", out);
    }
}

void
moe_measured_table(const moe_measured_memory *memory, const moe_measured_cpu *cpu,
                   const moe_measured_disk *disk, GString *out)
{
    g_autoptr(moe_measured) table = moe_measured_new();
    g_autofree char *name = g_strdup(cpu ? cpu->name : "");
    for (char *at = name; *at; at++)
        *at = g_ascii_iscntrl(*at) ? ' ' : *at;
    moe_measured_begin(table, "probe");
    moe_measured_header(out);
    if (memory) {
        double rate = memory->read[moe_measured_memory_best(memory)].median;
        moe_measured_row row = {.kind = MOE_MEASURED_STREAM,
                                .dtype = "",
                                .bytes = (int64_t)memory->buffer,
                                .time_us = (double)memory->buffer / rate * 1e6};
        add_row(table, &row, name, out);
    }
    if (cpu) {
        add_experts(table, cpu, cpu->bf16, false, name, out);
        add_experts(table, cpu, cpu->fp32, true, name, out);
    }
    if (disk)
        add_reads(table, disk, out);
}
