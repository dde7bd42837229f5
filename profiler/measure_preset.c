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
    if (bytes_per_s >= 1e10)
        return g_strdup_printf("%.4gGB/s", bytes_per_s / 1e9);
    return g_strdup_printf("%.4gMB/s", bytes_per_s / 1e6);
}

static char *
mib_text(uint64_t mib)
{
    return g_strdup_printf("%" PRIu64 "MiB", mib);
}

static char *
flops_text(double flops_per_s)
{
    if (flops_per_s >= 1e13)
        return g_strdup_printf("%.4gTFLOPS", flops_per_s / 1e12);
    return g_strdup_printf("%.4gGFLOPS", flops_per_s / 1e9);
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

static double
memory_rate(const moe_measured_machine *machine)
{
    const moe_measured_memory *m = machine->memory;
    return m->read[moe_measured_memory_best(m)].median;
}

/* Kernels read no faster than the memory behind them: where noise says so, it is as fast. */
static void
put_gpu_memory(GString *out, const moe_measured_gpu *g, double host)
{
    g_autofree char *size = mib_text(MAX(g->bytes >> 20, 1));
    g_autofree char *rate = rate_text(fmax(g->experts.stream, host));
    g_string_append(out, "  - name: hbm\n");
    put(out, "    ", "capacity", size, measured, "as the driver says");
    put(out, "    ", "read", rate, measured,
        "what experts with one token each are read at: achieved, not nominal");
}

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
    g_string_append(out, "  - name: dram\n");
    put(out, "    ", "capacity", size, measured, "%s",
        m->limited ? "the limit of its control group" : "all that the system has");
    put(out, "    ", "reserved", taken, measured, "what was not available when it was measured");
    put(out, "    ", "read", rate, measured,
        "%u threads over %s, %s; a load that waits for the one before: %.0f ns", m->threads[best],
        buffer, spread, m->latency.median * 1e9);
}

static void
put_flash(GString *out, const moe_measured_disk *d, double host)
{
    uint64_t capacity = MAX(d->capacity >> 20, 2);
    uint64_t taken = (d->capacity - MIN(d->available, d->capacity)) >> 20;
    g_autofree char *size = mib_text(capacity), *used = mib_text(MIN(taken, capacity - 1));
    g_autofree char *rate = rate_text(fmin(d->link.rate, host));
    g_string_append(out, "  - name: flash\n");
    put(out, "    ", "capacity", size, measured, "of its file system");
    put(out, "    ", "reserved", used, measured, "what was not free when it was measured");
    put(out, "    ", "read", rate, fitted, "as link read");
}

/* ---- devices ---- */

/* `peak`: of the device, FLOP/s; `place`: of its memory, bytes/s. */
static void
put_kernels(GString *out, const moe_measured_experts *e, double peak, double place)
{
    g_autofree char *gemm = g_strdup_printf("%.4g%%", 100 * fmin(fmax(e->peak / peak, 1e-3), 1));
    g_autofree char *stream =
        g_strdup_printf("%.4g%%", 100 * fmin(fmax(e->stream / place, 1e-3), 1));
    g_autofree char *half = g_strdup_printf("%.4g", e->half_rows);
    put(out, "    ", "gemm_efficiency", gemm, measured,
        "bf16 experts with many tokens: %.4g GFLOPS", e->peak / 1e9);
    put(out, "    ", "stream_efficiency", stream, measured,
        "bf16 experts with one token each: %.4g GB/s of them", e->stream / 1e9);
    put(out, "    ", "half_rows", half, fitted,
        "with the above, times of experts with few and many tokens are off by %.1f %% on average, "
        "%.1f %% at most",
        100 * e->mean, 100 * e->largest);
}

static void
put_gpu(GString *out, const moe_measured_gpu *g, double host)
{
    g_autofree char *bf16 = flops_text(g->experts.peak);
    g_string_append(out, "  - name: gpu\n    kind: gpu\n    place: hbm\n    peak:\n");
    put(out, "      ", "bf16", bf16, measured,
        "the best product of moesim's own backend; launches are in the times: %s", g->name);
    put_kernels(out, &g->experts, g->experts.peak, fmax(g->experts.stream, host));
}

/* bf16 weights are widened, so that both types are multiplied alike, bf16 ones no faster. */
static void
put_cpu(GString *out, const moe_measured_cpu *c, double host)
{
    double peak = fmax(c->fp32.peak, c->bf16.peak);
    g_autofree char *fp32 = flops_text(peak);
    g_autofree char *launch = time_text(c->launch.median);
    g_string_append(out, "  - name: cpu\n    kind: cpu\n    place: dram\n    peak:\n");
    put(out, "      ", "fp32", fp32, measured,
        "the best product, by %u threads of moesim's own backend; bf16 is computed in it",
        c->threads);
    put_kernels(out, &c->bf16, peak, host);
    put(out, "    ", "launch", launch, measured,
        "handing work to all threads, and waiting for them");
}

/* ---- links ---- */

static void
put_copies(GString *out, const moe_measured_gpu *g)
{
    g_autofree char *rate = rate_text(g->rate), *latency = time_text(g->latency);
    g_string_append(out, "  - name: h2d\n    from: dram\n    to: hbm\n");
    put(out, "    ", "rate", rate, fitted,
        "to %u sizes from pinned memory, off by %.1f %% on average, %.1f %% at most", g->n_copies,
        100 * g->mean, 100 * g->largest);
    put(out, "    ", "latency", latency, fitted, "likewise, until the host knows");
    g_string_append(out, "    engine: 1\n  - name: d2h\n    from: hbm\n    to: dram\n");
    put(out, "    ", "rate", rate, "estimate", "as h2d: not measured");
    put(out, "    ", "latency", latency, "estimate", "as h2d: not measured");
    g_string_append(out, "    engine: 2\n");
}

static void
put_reads(GString *out, const moe_measured_disk *d)
{
    const moe_disk_link *l = &d->link;
    g_autofree char *rate = rate_text(l->rate), *channel = rate_text(l->channel);
    g_autofree char *write = rate_text(d->write.median), *latency = time_text(l->latency);
    g_autofree char *spread = spread_text(&d->write, 1e6, "MB/s");
    g_autofree char *iops = g_strdup_printf("%.0f", fmax(l->iops, 1));
    g_autofree char *request = g_strdup_printf("%" PRIu64 "KiB", l->request >> 10);
    g_autofree char *depth = g_strdup_printf("%u", l->depth);

    g_string_append(out, "  - name: read\n    from: flash\n    to: dram\n");
    put(out, "    ", "rate", rate, fitted, "to random reads of %u sizes and depths%s", d->n,
        d->in_memory ? ", of a file system in memory"
        : d->direct  ? ", past the page cache"
                     : "; the page cache could not be passed by");
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
moe_measured_preset(const moe_measured_machine *machine, const char *name, GString *out)
{
    const moe_measured_cpu *cpu = machine->cpu;
    const moe_measured_gpu *gpu =
        machine->gpu && machine->gpu->name && machine->gpu->n_copies ? machine->gpu : NULL;
    double host = memory_rate(machine);
    g_autofree char *source =
        g_strdup_printf(SOURCE ": %s, %u threads, %s kernels, %s", cpu->name, cpu->threads,
                        cpu->kernels, cpu->blas ? cpu->blas : "no BLAS");
    g_string_append_printf(out, "name: %s\nsource: ", name);
    put_quoted(out, source);
    g_string_append(out, gpu ? "\nhost: cpu\nplaces:\n" : "\nplaces:\n");
    if (gpu)
        put_gpu_memory(out, gpu, host);
    put_memory(out, machine->memory);
    if (machine->disk)
        put_flash(out, machine->disk, host);
    g_string_append(out, "devices:\n");
    if (gpu)
        put_gpu(out, gpu, host);
    put_cpu(out, cpu, host);
    g_string_append(out, gpu || machine->disk ? "links:\n" : "links: []\n");
    if (gpu)
        put_copies(out, gpu);
    if (machine->disk)
        put_reads(out, machine->disk);
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
add_experts(moe_measured *table, const moe_measured_experts *e, const char *name, GString *out)
{
    bool wide = e->weight_bits == 32;
    for (uint32_t i = 0; i < MOE_EXPERT_POINTS && e->points[i].tokens; i++) {
        const moe_expert_point *p = &e->points[i];
        moe_measured_row row = {.kind = MOE_MEASURED_EXPERTS,
                                .dtype = wide ? "fp32" : "bf16",
                                .weight_bits = e->weight_bits,
                                .activation_bits = e->weight_bits,
                                .hidden = e->hidden,
                                .width = e->width,
                                .experts = p->experts,
                                .top_k = p->experts,
                                .tokens = p->tokens,
                                .distinct = p->experts,
                                .time_us = p->seconds.median * 1e6};
        add_row(table, &row, name, out);
    }
}

static void
add_copies(moe_measured *table, const moe_measured_gpu *gpu, GString *out)
{
    for (uint32_t i = 0; i < gpu->n_copies; i++) {
        moe_measured_row row = {.kind = MOE_MEASURED_COPY,
                                .dtype = "",
                                .direction = MOE_MEASURED_H2D,
                                .bytes = (int64_t)gpu->copies[i].bytes,
                                .time_us = gpu->copies[i].seconds.median * 1e6};
        add_row(table, &row, gpu->name, out);
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

/* A name as a field of a table may have it. */
static char *
field_of(const char *name)
{
    char *out = g_strdup(name ? name : "");
    for (char *at = out; *at; at++)
        *at = g_ascii_iscntrl(*at) ? ' ' : *at;
    return out;
}

/* Rows of several devices: a calibration is told which by --only device=NAME. */
void
moe_measured_table(const moe_measured_machine *m, GString *out)
{
    g_autoptr(moe_measured) table = moe_measured_new();
    g_autofree char *cpu = field_of(m->cpu ? m->cpu->name : NULL);
    moe_measured_begin(table, "probe");
    moe_measured_header(out);
    if (m->memory) {
        moe_measured_row row = {.kind = MOE_MEASURED_STREAM,
                                .dtype = "",
                                .bytes = (int64_t)m->memory->buffer,
                                .time_us = (double)m->memory->buffer / memory_rate(m) * 1e6};
        add_row(table, &row, cpu, out);
    }
    if (m->cpu) {
        add_experts(table, &m->cpu->bf16, cpu, out);
        add_experts(table, &m->cpu->fp32, cpu, out);
    }
    if (m->gpu && m->gpu->name) {
        add_experts(table, &m->gpu->experts, m->gpu->name, out);
        add_copies(table, m->gpu, out);
    }
    if (m->disk)
        add_reads(table, m->disk, out);
}
