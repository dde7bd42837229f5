/* The numbers of one kind of rows, fitted: starts, bounds, and which of them the rows determine. */
#include "profiler/calibrate_private.h"
#include "profiler/least_squares.h"
#include "sim/base/elementary.h"

#include <math.h>
#include <string.h>

#define MOST MOE_SQUARES_MAX
_Static_assert(MOST >= MOE_PLAN_NUMBERS, "a plan has no more numbers than a fit");
/* A number counts as determined when its standard error is below a quarter of it (times: or below a
 * twentieth of what the shortest rows take), and rows that depend on it number at least three. */
static const double limit_relative = 0.25, limit_time = 0.05;
enum { LEAST_ROWS = 3, ROWS_PER_NUMBER = 2 };
/* So much worse must rows be foretold without a number that only its end of the range explains. */
static const double worse = 1.02;

typedef struct fit {
    moe_calibration *c;
    moe_candidate trial;
    const moe_measured_row **rows;
    double *measured; /* ln of microseconds */
    size_t n;
    int kind;
    double unit; /* of times: what the shortest tenth of the rows takes, ps */
    const moe_tunable *tunable[MOST];
    size_t number[MOST]; /* index of each in c->numbers */
    uint32_t n_tunable;
    bool insisted[MOST]; /* it was tried to do without it */
    bool rough[MOST];    /* and it is not well determined */
    double off;          /* mean |ln| at the best */
} fit;

/* ---- unknowns: shares, rates by their logarithm, times in units ---- */

static double
to_unknown(const fit *f, const moe_tunable *t, double value)
{
    if (t->number == MOE_NUMBER_TIME)
        return value / f->unit;
    return moe_ln(t->number == MOE_NUMBER_REAL ? value + 1 : value);
}

static double
from_unknown(const fit *f, const moe_tunable *t, double x)
{
    if (t->number == MOE_NUMBER_TIME)
        return x * f->unit;
    return t->number == MOE_NUMBER_REAL ? moe_exp(x) - 1 : moe_exp(x);
}

static bool
is_pageable_rate(const moe_tunable *t)
{
    return t->of_link && t->offset == offsetof(moe_hw_link, pageable_bytes_per_s);
}

/* Rates that are a part of what the link does at best. */
static bool
is_part_of_rate(const moe_tunable *t)
{
    return is_pageable_rate(t) ||
           (t->of_link && t->offset == offsetof(moe_hw_link, channel_bytes_per_s));
}

static const char *
no_faster(const moe_tunable *t)
{
    return is_pageable_rate(t) ? "no faster than from pinned memory"
                               : "no faster than all requests";
}

/* Copies of pageable memory go by way of pinned memory, and one request is one of many: where they
 * measure faster, it is noise, and a machine that says so is refused; as is a port above its wire's
 * peak. Four digits of what is let
 * through, rounded, are not above. */
static double
highest(const moe_candidate *candidate, const moe_tunable *t)
{
    const double below = 0.9995;
    if (t->of_engine && t->number == MOE_NUMBER_RATE)
        return fmin(t->high, below * candidate->levels[0].peak_bytes_per_s);
    if (t->of_level && t->number == MOE_NUMBER_RATE &&
        t->offset != offsetof(moe_level, copy_bytes_per_s))
        return fmin(t->high, below * candidate->levels[t->index].peak_bytes_per_s);
    if (!is_part_of_rate(t))
        return t->high;
    return fmax(t->low, below * candidate->links[t->index].bytes_per_s);
}

static void
apply(const fit *f, moe_candidate *candidate, const double *x)
{
    for (uint32_t j = 0; j < f->n_tunable; j++) {
        const moe_tunable *t = f->tunable[j];
        double value = from_unknown(f, t, x[j]), high = highest(candidate, t);
        moe_tunable_set(t, candidate, value < t->low ? t->low : value > high ? high : value);
    }
}

static void
residuals(void *context, const double *x, double *out)
{
    fit *f = context;
    moe_candidate_copy(&f->trial, &f->c->after);
    apply(f, &f->trial, x);
    for (size_t i = 0; i < f->n; i++)
        out[i] = moe_ln(moe_predict(&f->trial, f->rows[i])) - f->measured[i];
}

static double
mean_off(fit *f, const double *x)
{
    g_autofree double *residual = g_new(double, f->n);
    double sum = 0;
    residuals(f, x, residual);
    for (size_t i = 0; i < f->n; i++)
        sum += fabs(residual[i]);
    return sum / (double)f->n;
}

/* ---- solving ---- */

static moe_squares_result
solve(fit *f, double *x)
{
    moe_squares p = {.n_rows = f->n, .n = f->n_tunable, .residuals = residuals, .context = f};
    for (uint32_t j = 0; j < f->n_tunable; j++) {
        p.low[j] = to_unknown(f, f->tunable[j], f->tunable[j]->low);
        p.high[j] = to_unknown(f, f->tunable[j], highest(&f->c->after, f->tunable[j]));
        p.step[j] = 1e-3;
    }
    return moe_squares_solve(&p, x);
}

/* Where a fit begins: at what there is, at what is usual, and at either with another half point. */
enum { STARTS = 4 };
static void
begin(const fit *f, int start, double *x)
{
    for (uint32_t j = 0; j < f->n_tunable; j++) {
        const moe_tunable *t = f->tunable[j];
        double value = moe_tunable_get(t, &f->c->after);
        bool usual = start % 2 && t->start > 0;
        if (usual || (value <= 0 && t->number != MOE_NUMBER_TIME))
            value = t->start;
        if (start > 1 && t->number == MOE_NUMBER_REAL)
            value *= 8;
        x[j] = to_unknown(f, t, value);
    }
}

static moe_squares_result
solve_best(fit *f, double *best)
{
    moe_squares_result result = {0};
    f->off = INFINITY;
    for (int start = 0; start < STARTS; start++) {
        double x[MOST] = {0};
        begin(f, start, x);
        moe_squares_result r = solve(f, x);
        double off = mean_off(f, x);
        if (off < f->off * (1 - 1e-9)) {
            f->off = off;
            result = r;
            memcpy(best, x, sizeof x);
        }
    }
    return result;
}

static void
drop(fit *f, uint32_t j)
{
    f->n_tunable--;
    memmove(f->tunable + j, f->tunable + j + 1, (f->n_tunable - j) * sizeof *f->tunable);
    memmove(f->number + j, f->number + j + 1, (f->n_tunable - j) * sizeof *f->number);
    memmove(f->insisted + j, f->insisted + j + 1, (f->n_tunable - j) * sizeof *f->insisted);
    memmove(f->rough + j, f->rough + j + 1, (f->n_tunable - j) * sizeof *f->rough);
}

static void
remark(fit *f, uint32_t j, const char *text)
{
    moe_calibrated *number = &g_array_index(f->c->numbers, moe_calibrated, f->number[j]);
    if (!number->fitted) /* by rows of another kind */
        number->remark = text;
}

/* A term that the machine as it is does not have; of its numbers none stands for no such term. */
static bool
is_new_term(const fit *f, uint32_t j)
{
    const moe_tunable *t = f->tunable[j];
    return t->number != MOE_NUMBER_TIME && !(moe_tunable_get(t, &f->c->after) > 0);
}

/* The number that the rows determine least, or that it is yet to be tried without; n_tunable when
 * there is none. */
static uint32_t
least_sure(fit *f, const double *x, const moe_squares_result *r)
{
    uint32_t worst = f->n_tunable;
    double most = 1;
    for (uint32_t j = 0; j < f->n_tunable; j++) {
        double limit = limit_relative;
        if (f->tunable[j]->number == MOE_NUMBER_TIME)
            limit = fmax(limit_time, limit_relative * x[j]);
        double unsure = r->rows[j] < LEAST_ROWS ? INFINITY : r->error[j] / limit;
        f->rough[j] = unsure >= 1;
        if (is_new_term(f, j))
            unsure = fmax(unsure, 1);
        if (f->insisted[j] || unsure < most)
            continue;
        most = unsure;
        worst = j; /* of equals the last */
    }
    return worst;
}

/* Without number j, at the base's value: whether the rows are foretold (nearly) as well. */
static bool
can_do_without(const fit *f, uint32_t j)
{
    fit other = *f;
    double x[MOST] = {0};
    drop(&other, j);
    if (!other.n_tunable)
        return mean_off(&other, x) <= f->off * worse;
    solve_best(&other, x);
    return other.off <= f->off * worse;
}

static void
store(fit *f, const double *x)
{
    apply(f, &f->c->after, x);
    for (uint32_t j = 0; j < f->n_tunable; j++) {
        const moe_tunable *t = f->tunable[j];
        double value = moe_tunable_get(t, &f->c->after);
        moe_calibrated *number = &g_array_index(f->c->numbers, moe_calibrated, f->number[j]);
        number->fitted = true;
        number->kind = f->kind;
        number->value = value;
        number->remark = "";
        if (t->of_call)
            number->remark = "what measuring adds to a call, no number of the machine";
        else if (value >= highest(&f->c->after, t) * 0.9999)
            number->remark = is_part_of_rate(t) ? no_faster(t) : "at the end of its range";
        else if (f->insisted[j] && f->rough[j])
            number->remark = "only roughly determined";
    }
}

/* Solves, and keeps what the rows do not determine at the base's values. */
static void
solve_determined(fit *f)
{
    double x[MOST] = {0};
    moe_squares_result r = {0};

    while (f->n_tunable) {
        r = solve_best(f, x);
        uint32_t j = least_sure(f, x, &r);
        if (j == f->n_tunable)
            break;
        if (can_do_without(f, j)) {
            remark(f, j, "the rows do not determine it");
            drop(f, j);
        } else {
            f->insisted[j] = true;
        }
    }
    if (f->n_tunable)
        store(f, x);
}

/* ---- tiles: whole numbers, tried one after another ---- */

static void
try_tiles(fit *f, const moe_tunable *tile, moe_calibrated *number)
{
    static const double sizes[] = {1, 8, 16, 32, 64, 128};
    double base = moe_tunable_get(tile, &f->c->after), best = base, x[MOST] = {0}, kept[MOST];
    double off = f->off;

    for (size_t i = 0; i < MOE_COUNT(sizes) && f->n_tunable; i++) {
        moe_tunable_set(tile, &f->c->after, sizes[i]);
        begin(f, 0, x);
        solve(f, x);
        double other = mean_off(f, x);
        if (other * worse < off) {
            off = other;
            best = sizes[i];
            memcpy(kept, x, sizeof kept);
        }
    }
    moe_tunable_set(tile, &f->c->after, best);
    number->remark = "the rows do not determine it";
    if (best == base)
        return;
    f->off = off;
    number->fitted = true;
    number->value = best;
    number->remark = "";
    store(f, kept);
}

/* ---- rows and numbers of a fit ---- */

static void
take_rows(fit *f, const moe_fit_plan *p, int link)
{
    size_t first = f->c->first[p->kind], end = f->c->first[p->kind + 1];
    g_autofree double *times = g_new(double, end - first + 1);
    f->rows = g_new(const moe_measured_row *, end - first + 1);
    f->measured = g_new(double, end - first + 1);
    for (size_t i = first; i < end; i++) {
        const moe_calibrated_row *row = &g_array_index(f->c->rows, moe_calibrated_row, i);
        if (row->held || *row->set_aside || moe_calibrate_of_library(f->c, row->row) ||
            (p->wanted && !p->wanted(&f->c->before, row->row, link)) ||
            !(moe_predict(&f->c->before, row->row) > 0))
            continue;
        times[f->n] = row->measured_us;
        f->rows[f->n] = row->row;
        f->measured[f->n++] = moe_ln(row->measured_us);
    }
    if (!f->n)
        return;
    moe_median(times, f->n); /* puts them in order */
    f->unit = 1e6 * times[f->n / 10];
}

static void
take_number(fit *f, const moe_fit_plan *p, const char *name, int part)
{
    const char *owner = p->owner ? p->owner : part >= 0 ? "links" : "devices";
    g_autofree char *key = g_str_has_prefix(name, "measuring.")
                               ? g_strdup(name)
                               : g_strdup_printf("%s.%d.%s", owner, part >= 0 ? part : 0, name);

    for (size_t i = 0; i < f->c->tunable->len; i++) {
        const moe_tunable *t = &g_array_index(f->c->tunable, moe_tunable, i);
        if (strcmp(t->key, key))
            continue;
        f->tunable[f->n_tunable] = t;
        f->number[f->n_tunable++] = i;
        return;
    }
}

/* What measuring adds is an offset, which takes one row to tell. */
static size_t
rows_wanted(const fit *f)
{
    size_t n = 0;
    for (uint32_t j = 0; j < f->n_tunable; j++)
        n += f->tunable[j]->of_call ? 1 : ROWS_PER_NUMBER;
    return n;
}

static void
run(moe_calibration *c, const moe_fit_plan *p, int link, const char *tile)
{
    fit f = {.c = c, .kind = p->kind};
    moe_candidate_init(&f.trial, &c->before.hw, c->before.kernels, NULL);
    take_rows(&f, p, link);
    for (size_t i = 0; i < MOE_PLAN_NUMBERS && p->numbers[i]; i++)
        take_number(&f, p, p->numbers[i], link);
    if (f.n_tunable && f.tunable[f.n_tunable - 1]->of_call && (!f.c->after.bench || f.n < 3))
        f.n_tunable--; /* two rows do not tell it from launches */
    uint32_t n = f.n_tunable;
    size_t least = rows_wanted(&f);
    g_autofree char *few = g_strdup_printf("%zu rows, %zu are wanted", f.n, least);
    for (uint32_t j = 0; j < n; j++)
        if (f.n || !*g_array_index(c->numbers, moe_calibrated, f.number[j]).remark)
            remark(&f, j, f.n ? g_intern_string(few) : "no rows");
    if (f.n && f.n >= least) {
        for (uint32_t j = 0; j < n; j++)
            remark(&f, j, "");
        solve_determined(&f);
        if (tile && f.n_tunable) {
            fit one = {.c = c};
            take_number(&one, p, tile, link);
            try_tiles(&f, one.tunable[0],
                      &g_array_index(c->numbers, moe_calibrated, one.number[0]));
        }
    }
    moe_candidate_clear(&f.trial);
    g_free(f.rows);
    g_free(f.measured);
}

/* ---- kinds ---- */

static bool
is_plain(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return !row->graph;
}

static bool
is_graph(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return row->graph;
}

static bool
is_pinned(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return moe_predict_link(machine, row) == link && !row->pageable && !row->concurrent;
}

static bool
is_whole(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return is_pinned(machine, row, link) && !row->request;
}

static bool
is_of_requests(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return is_pinned(machine, row, link) && row->request;
}

static bool
is_pageable(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return moe_predict_link(machine, row) == link && row->pageable && !row->concurrent;
}

static bool
is_concurrent(const moe_candidate *machine, const moe_measured_row *row, int link)
{
    return moe_predict_link(machine, row) == link && row->concurrent;
}

static const moe_fit_plan of_kernels[] = {
    {MOE_MEASURED_LAUNCH, is_plain, {"launch", "measuring.call"}},
    {MOE_MEASURED_LAUNCH, is_graph, {"launch_in_graph", "measuring.graph"}},
    {MOE_MEASURED_STREAM, NULL, {"stream_efficiency"}},
    {MOE_MEASURED_GEMM, NULL, {"gemm_efficiency", "stream_efficiency", "gemm_fixed", "half_rows"}},
    {MOE_MEASURED_EXPERTS,
     NULL,
     {"expert_efficiency", "expert_stream_efficiency", "expert_fixed", "expert_half_rows",
      "per_expert", "expert_pass_efficiency"}},
    {MOE_MEASURED_ATTENTION,
     NULL,
     {"attention_efficiency", "attention_stream_efficiency", "attention_fixed",
      "attention_half_keys", "per_head", "attention_pass_efficiency"}},
};

static const moe_fit_plan of_links[] = {
    {MOE_MEASURED_COPY, is_whole, {"rate", "latency"}},
    {MOE_MEASURED_COPY, is_of_requests, {"rate", "latency", "channel", "iops"}},
    {MOE_MEASURED_COPY, is_pageable, {"pageable", "pageable_latency"}},
    {MOE_MEASURED_COPY, is_concurrent, {"duplex"}},
};

/* What the base says of pageable memory, or of one request, is not kept above the fitted rate. */
static void
slow_parts(moe_calibration *c)
{
    for (size_t i = 0; i < c->tunable->len; i++) {
        const moe_tunable *t = &g_array_index(c->tunable, moe_tunable, i);
        moe_calibrated *number = &g_array_index(c->numbers, moe_calibrated, i);
        double rate = t->of_link ? c->after.links[t->index].bytes_per_s : 0;
        if (!is_part_of_rate(t) || moe_tunable_get(t, &c->after) <= rate)
            continue;
        moe_tunable_set(t, &c->after, rate);
        number->fitted = true;
        number->value = rate;
        number->remark = no_faster(t);
    }
}

/* Who measured the launches, if it was one: what the others add to a call is not known. */
static const char *
bench_of(const moe_calibration *c)
{
    const char *bench = NULL;
    for (size_t i = c->first[MOE_MEASURED_LAUNCH]; i < c->first[MOE_MEASURED_LAUNCH + 1]; i++) {
        const char *source = g_array_index(c->rows, moe_calibrated_row, i).row->source;
        if (bench && strcmp(bench, source))
            return NULL;
        bench = source;
    }
    return bench;
}

static void
fit_network(moe_calibration *c)
{
    const moe_network *network = &c->before.hw.network;

    for (size_t i = 0; i < moe_n_network_plans; i++) {
        const moe_network_plan *p = &moe_network_plans[i];
        for (int e = 0; p->of == MOE_PLAN_ENGINES && e < network->n_engines; e++)
            run(c, &p->plan, e, NULL);
        if (p->of == MOE_PLAN_INNER && network->n_levels)
            run(c, &p->plan, 0, NULL);
        if (p->of == MOE_PLAN_OUTER && network->n_levels > 1)
            run(c, &p->plan, network->n_levels - 1, NULL);
    }
}

void
moe_calibrate_fit(moe_calibration *c)
{
    c->after.bench = bench_of(c);
    const int links[] = {c->before.h2d, c->before.d2h, c->before.disk};
    for (size_t i = 0; i < MOE_COUNT(of_kernels); i++)
        run(c, &of_kernels[i], -1, of_kernels[i].kind == MOE_MEASURED_EXPERTS ? "tile" : NULL);
    for (size_t l = 0; l < MOE_COUNT(links); l++)
        for (size_t i = 0; i < MOE_COUNT(of_links) && links[l] >= 0; i++)
            run(c, &of_links[i], links[l], NULL);
    slow_parts(c);
    fit_network(c);
}
