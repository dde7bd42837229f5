/* The numbers of cost functions (hw/cost.h) from measured points, in closed form. */
#include "profiler/measure.h"

#include "profiler/least_squares.h"
#include "sim/base/elementary.h"

#include <math.h>

/* ---- a link from a disk's points ---- */

/* Through the requests that go one by one, by least squares of the relative errors: latency +
 * request / channel. A beginning for the fit of all points. False: there are none. */
static bool
draw_line(moe_measured_disk *disk)
{
    moe_disk_link *l = &disk->link;
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    for (uint32_t i = 0; i < disk->n; i++) {
        const moe_disk_point *p = &disk->points[i];
        if (p->depth != 1)
            continue;
        double time = (double)p->request / p->rate.median;
        double one = 1 / time, size = (double)p->request / time;
        n++;
        x += one;
        y += size;
        xx += one * one;
        xy += one * size;
        yy += size * size;
    }
    double det = xx * yy - xy * xy;
    if (!n)
        return false;
    double per_byte = det > 0 ? (xx * y - xy * x) / det : 0;
    l->latency = det > 0 ? (yy * x - xy * y) / det : x / xx;
    l->channel = per_byte > 1 / l->rate ? 1 / per_byte : l->rate;
    return true;
}

static double
predicted(const moe_disk_link *l, const moe_disk_point *p)
{
    double bytes = (double)p->request;
    double rate = fmin(l->rate, p->depth * bytes / (l->latency + bytes / l->channel));
    return fmin(rate, l->iops * bytes);
}

/* The unknowns: logarithms. */
enum { RATE, IOPS, LATENCY, CHANNEL, UNKNOWNS };

static void
unpack(const double *x, moe_disk_link *l)
{
    l->rate = moe_exp(x[RATE]);
    l->iops = moe_exp(x[IOPS]);
    l->latency = moe_exp(x[LATENCY]);
    l->channel = fmin(moe_exp(x[CHANNEL]), l->rate);
}

static void
residuals(void *context, const double *x, double *out)
{
    const moe_measured_disk *disk = context;
    moe_disk_link l = disk->link;
    unpack(x, &l);
    for (uint32_t i = 0; i < disk->n; i++)
        out[i] = moe_ln(predicted(&l, &disk->points[i]) / disk->points[i].rate.median);
}

/* All points; from the best rates that were seen and the line. */
static void
fit_link(moe_measured_disk *disk)
{
    const double far = 3; /* e^3 either way */
    moe_disk_link *l = &disk->link;
    const double floor_s = 1e-7;
    double x[MOE_SQUARES_MAX] = {[RATE] = moe_ln(l->rate),
                                 [IOPS] = moe_ln(l->iops),
                                 [LATENCY] = moe_ln(fmax(l->latency, floor_s)),
                                 [CHANNEL] = moe_ln(l->channel)};
    moe_squares problem = {
        .n_rows = disk->n, .n = UNKNOWNS, .residuals = residuals, .context = disk};
    for (uint32_t j = 0; j < UNKNOWNS; j++) {
        problem.low[j] = x[j] - far;
        problem.high[j] = x[j] + far;
        problem.step[j] = 1e-3;
    }
    if (disk->n > UNKNOWNS)
        moe_squares_solve(&problem, x);
    unpack(x, l);
}

/* What reads best with the least in flight. */
static void
choose_request(moe_measured_disk *disk, double best)
{
    const double good_enough = 0.95;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < disk->n; i++) {
        const moe_disk_point *p = &disk->points[i];
        if (p->rate.median < good_enough * best || p->request * p->depth >= least)
            continue;
        least = p->request * p->depth;
        disk->link.request = p->request;
        disk->link.depth = p->depth;
    }
}

bool
moe_measured_disk_fit(moe_measured_disk *disk)
{
    moe_disk_link *l = &disk->link;
    double sum = 0;

    *l = (moe_disk_link){0};
    for (uint32_t i = 0; i < disk->n; i++) {
        const moe_disk_point *p = &disk->points[i];
        l->rate = fmax(l->rate, p->rate.median);
        l->iops = fmax(l->iops, p->rate.median / (double)p->request);
    }
    if (!draw_line(disk))
        return false;
    double best = l->rate;
    fit_link(disk);
    for (uint32_t i = 0; i < disk->n; i++) {
        double off = fabs(predicted(l, &disk->points[i]) / disk->points[i].rate.median - 1);
        sum += off;
        l->largest = fmax(l->largest, off);
    }
    l->mean = sum / disk->n;
    choose_request(disk, best);
    return true;
}

/* ---- a device from experts' points ---- */

static double
flops_of(const moe_measured_experts *e, const moe_expert_point *p)
{
    return 2 * e->params * p->tokens * p->experts;
}

static double
bytes_of(const moe_measured_experts *e, const moe_expert_point *p)
{
    return e->params * p->experts * e->weight_bits / 8;
}

/* max(bytes / stream, flops * (tokens + half_rows) / (tokens * peak)) */
static double
time_of(const moe_measured_experts *e, const moe_expert_point *p, double half_rows)
{
    double work = flops_of(e, p) * (p->tokens + half_rows) / (p->tokens * e->peak);
    return fmax(bytes_of(e, p) / e->stream, work);
}

static double
off(const moe_measured_experts *e, double half_rows, double *largest)
{
    double sum = 0;
    uint32_t n = 0;
    *largest = 0;
    for (; n < MOE_EXPERT_POINTS && e->points[n].tokens; n++) {
        const moe_expert_point *p = &e->points[n];
        double one = fabs(time_of(e, p, half_rows) / p->seconds.median - 1);
        sum += one;
        *largest = fmax(*largest, one);
    }
    return n ? sum / n : 0;
}

/* The half_rows that is least off: for each point the one that explains it, and none. */
void
moe_measured_experts_fit(moe_measured_experts *e)
{
    e->peak = e->half_rows = 0;
    e->stream = bytes_of(e, &e->points[0]) / e->points[0].seconds.median;
    for (uint32_t i = 0; i < MOE_EXPERT_POINTS && e->points[i].tokens; i++)
        e->peak = fmax(e->peak, flops_of(e, &e->points[i]) / e->points[i].seconds.median);
    e->mean = off(e, 0, &e->largest);
    for (uint32_t i = 0; i < MOE_EXPERT_POINTS && e->points[i].tokens; i++) {
        const moe_expert_point *p = &e->points[i];
        double rate = flops_of(e, p) / p->seconds.median, largest;
        double half = p->tokens * (e->peak / rate - 1), mean = off(e, half, &largest);
        if (half < 0 || mean >= e->mean)
            continue;
        e->half_rows = half;
        e->mean = mean;
        e->largest = largest;
    }
}

/* ---- a link from copies ---- */

/* latency + bytes / rate by least squares of the relative errors. */
void
moe_measured_gpu_fit(moe_measured_gpu *gpu)
{
    double x = 0, y = 0, xx = 0, xy = 0, yy = 0, sum = 0;
    for (uint32_t i = 0; i < gpu->n_copies; i++) {
        double time = gpu->copies[i].seconds.median, one = 1 / time;
        double size = (double)gpu->copies[i].bytes / time;
        x += one;
        y += size;
        xx += one * one;
        xy += one * size;
        yy += size * size;
        gpu->rate = fmax(gpu->rate, size);
    }
    double det = xx * yy - xy * xy, per_byte = det > 0 ? (xx * y - xy * x) / det : 0;
    if (per_byte > 0) {
        gpu->rate = 1 / per_byte;
        gpu->latency = fmax((yy * x - xy * y) / det, 0);
    }
    for (uint32_t i = 0; i < gpu->n_copies; i++) {
        double foreseen = gpu->latency + (double)gpu->copies[i].bytes / gpu->rate;
        double one = fabs(foreseen / gpu->copies[i].seconds.median - 1);
        sum += one;
        gpu->largest = fmax(gpu->largest, one);
    }
    gpu->mean = gpu->n_copies ? sum / gpu->n_copies : 0;
}
