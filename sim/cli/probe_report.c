#include "sim/cli/probe_report.h"

#include "sim/base/units.h"
#include "sim/cli/output.h"

/* ---- spreads ---- */

/* How many of the numbers that were shown are noisy, and the worst of them. */
typedef struct noise {
    uint32_t n, noisy;
    double worst;
} noise;

static void
note(noise *n, const moe_spread *s)
{
    double width = moe_spread_width(s);
    n->n++;
    n->noisy += width > MOE_MEASURE_NOISE;
    n->worst = width > n->worst ? width : n->worst;
}

static void
print_noise(const noise *n)
{
    if (n->noisy)
        moe_out(
            "  noisy: the repetitions of %u of %u numbers differ by more than %.0f %%, by %.0f "
            "%% at most: other programs were running, or the machine is shared; better run it when "
            "nothing else does\n",
            n->noisy, n->n, 100 * MOE_MEASURE_NOISE, 100 * n->worst);
}

/* Median, least, most, number of repetitions. */
static void
add_spread(moe_grid *grid, const moe_spread *s, double unit, noise *n)
{
    moe_grid_addf(grid, "%.4g", s->median / unit);
    moe_grid_addf(grid, "%.4g", s->low / unit);
    moe_grid_addf(grid, "%.4g", s->high / unit);
    moe_grid_addf(grid, "%u", s->n);
    note(n, s);
}

static void
add_heading(moe_grid *grid, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        moe_grid_add(grid, names[i]);
}

/* ---- memory ---- */

void
moe_probe_print_memory(const moe_measured_memory *m)
{
    static const char *const names[] = {"threads", "", "GB/s", "least", "most", "times"};
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(names));
    g_autofree char *capacity = moe_format_bytes((int64_t)MIN(m->capacity, INT64_MAX));
    g_autofree char *buffer = moe_format_bytes((int64_t)m->buffer);
    g_autofree char *cache = moe_format_bytes((int64_t)m->cache);
    noise seen = {0};

    moe_out("memory  %s%s, read over %s\n", capacity,
            m->limited ? " (a control group's limit)" : "", buffer);
    add_heading(grid, names, MOE_COUNT(names));
    for (uint32_t i = 0; i < m->n; i++) {
        moe_grid_addf(grid, "%u", m->threads[i]);
        moe_grid_add(grid, "read");
        add_spread(grid, &m->read[i], 1e9, &seen);
        moe_grid_addf(grid, "%u", m->threads[i]);
        moe_grid_add(grid, "copy");
        add_spread(grid, &m->copy[i], 1e9, &seen);
    }
    moe_grid_print(grid, true, "  ");
    moe_out("  a load that waits for the one before: %.1f ns (%.1f to %.1f)\n",
            m->latency.median * 1e9, m->latency.low * 1e9, m->latency.high * 1e9);
    note(&seen, &m->latency);
    if (m->cache && m->buffer < 2 * m->cache)
        moe_out("  the largest cache is said to be %s: a part of this came out of it; give more "
                "--memory\n",
                cache);
    print_noise(&seen);
}

/* ---- experts ---- */

static void
add_points(moe_grid *grid, const moe_measured_experts *e, noise *seen)
{
    for (uint32_t i = 0; i < MOE_EXPERT_POINTS && e->points[i].tokens; i++) {
        const moe_expert_point *p = &e->points[i];
        double weights = e->params * p->experts;
        moe_grid_add(grid, e->weight_bits == 32 ? "f32" : "bf16");
        moe_grid_addf(grid, "%u", p->experts);
        moe_grid_addf(grid, "%u", p->tokens);
        add_spread(grid, &p->seconds, 1e-3, seen);
        moe_grid_addf(grid, "%.4g", weights * e->weight_bits / 8 / p->seconds.median / 1e9);
        moe_grid_addf(grid, "%.4g", 2 * weights * p->tokens / p->seconds.median / 1e9);
    }
}

static moe_grid *
grid_of_experts(void)
{
    static const char *const names[] = {"weights", "experts", "tokens each", "ms",    "least",
                                        "most",    "times",   "GB/s",        "GFLOPS"};
    moe_grid *grid = moe_grid_new(MOE_COUNT(names));
    add_heading(grid, names, MOE_COUNT(names));
    return grid;
}

static void
print_fit(const moe_measured_experts *e)
{
    moe_out("  %u bits: read at %.4g GB/s, at most %.4g GFLOPS, half of it at %.3g tokens: off by "
            "%.1f %% on average, %.1f %% at most\n",
            e->weight_bits, e->stream / 1e9, e->peak / 1e9, e->half_rows, 100 * e->mean,
            100 * e->largest);
}

void
moe_probe_print_cpu(const moe_measured_cpu *c)
{
    g_autoptr(moe_grid) grid = grid_of_experts();
    noise seen = {0};

    moe_out("cpu     %s, %u threads, %s kernels, %s\n", c->name, c->threads, c->kernels,
            c->blas ? c->blas : "no BLAS");
    add_points(grid, &c->bf16, &seen);
    add_points(grid, &c->fp32, &seen);
    moe_grid_print(grid, true, "  ");
    print_fit(&c->bf16);
    print_fit(&c->fp32);
    moe_out("  handing work to all threads: %.3g us\n", c->launch.median * 1e6);
    print_noise(&seen);
}

void
moe_probe_print_gpu(const moe_measured_gpu *g)
{
    g_autoptr(moe_grid) grid = grid_of_experts();
    noise seen = {0};
    if (!g->name) {
        moe_out("gpu     not measured: %s\n", g->absent);
        return;
    }
    moe_out("gpu     %s\n", g->name);
    add_points(grid, &g->experts, &seen);
    moe_grid_print(grid, true, "  ");
    print_fit(&g->experts);
    for (uint32_t i = 0; i < g->n_copies; i++) {
        g_autofree char *size = moe_format_bytes((int64_t)g->copies[i].bytes);
        moe_out("  copy of %s from pinned memory: %.4g us\n", size,
                g->copies[i].seconds.median * 1e6);
        note(&seen, &g->copies[i].seconds);
    }
    moe_out("  a copy: %.4g us + bytes / %.4g GB/s: off by %.1f %% on average, %.1f %% at most\n",
            g->latency * 1e6, g->rate / 1e9, 100 * g->mean, 100 * g->largest);
    moe_out("  not measured: launches, the memory's own bandwidth, copies to the host, pageable "
            "memory (`sh profiler/gpu_checks.sh` does)\n");
    print_noise(&seen);
}

/* ---- a disk ---- */

static const moe_disk_point *
point_at(const moe_measured_disk *d, uint64_t request, uint32_t depth)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->points[i].request == request && d->points[i].depth == depth)
            return &d->points[i];
    return NULL;
}

/* Rates, sizes down and depths across; noisy ones marked. */
static void
print_rates(const moe_measured_disk *d, noise *seen)
{
    g_autoptr(moe_grid) grid = moe_grid_new(1 + MOE_DISK_DEPTHS);
    moe_grid_add(grid, "MB/s");
    for (uint32_t step = 0; step < MOE_DISK_DEPTHS; step++)
        moe_grid_addf(grid, "%u at once", 1u << step);
    for (uint32_t r = 0; r < MOE_DISK_REQUESTS; r++) {
        uint64_t request = 4096ull << 2 * r;
        g_autofree char *size = moe_format_bytes((int64_t)request);
        moe_grid_add(grid, size);
        for (uint32_t step = 0; step < MOE_DISK_DEPTHS; step++) {
            const moe_disk_point *p = point_at(d, request, 1u << step);
            if (!p) {
                moe_grid_add(grid, "–");
                continue;
            }
            bool noisy = moe_spread_width(&p->rate) > MOE_MEASURE_NOISE;
            moe_grid_addf(grid, "%.4g%s", p->rate.median / 1e6, noisy ? "~" : "");
            note(seen, &p->rate);
        }
    }
    moe_grid_print(grid, true, "  ");
    if (seen->noisy)
        moe_out("  ~ repetitions differ by more than %.0f %%\n", 100 * MOE_MEASURE_NOISE);
}

void
moe_probe_print_disk(const moe_measured_disk *d)
{
    const moe_disk_link *l = &d->link;
    g_autofree char *file = moe_format_bytes((int64_t)d->file);
    g_autofree char *request = moe_format_bytes((int64_t)l->request);
    noise seen = {0};

    moe_out("disk    random reads of a file of %s%s\n", file,
            d->direct ? ", past the page cache"
                      : "; its file system knows no direct reads: each was dropped from the page "
                        "cache before");
    if (d->in_memory)
        moe_out("  this file system is in memory: no disk was measured, name a folder on one\n");
    print_rates(d, &seen);
    moe_out(
        "  one read: %.4g us + bytes / %.4g MB/s; at most %.4g MB/s, %.4g reads/s: off by %.1f %% "
        "on average, %.1f %% at most\n",
        l->latency * 1e6, l->channel / 1e6, l->rate / 1e6, l->iops, 100 * l->mean,
        100 * l->largest);
    moe_out("  enough: %u reads of %s at a time\n", l->depth, request);
    moe_out("  written at %.4g MB/s (%.4g to %.4g)\n", d->write.median / 1e6, d->write.low / 1e6,
            d->write.high / 1e6);
    print_noise(&seen);
}
