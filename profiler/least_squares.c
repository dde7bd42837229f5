#include "profiler/least_squares.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4, STEPS = 40, MOST = MOE_SQUARES_MAX };
static const double least_scale = 0.002; /* residuals are logarithms: 0.2 % is as good as exact */

typedef struct solver {
    const moe_squares *p;
    double *residual, *trial, *jacobian, *sorted; /* jacobian: [n][rows] */
    double bend;                                  /* residuals above it count linearly */
    double normal[MOST][MOST], gradient[MOST];
} solver;

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double
moe_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static double
scale_of(const solver *s)
{
    for (size_t i = 0; i < s->p->n_rows; i++)
        s->sorted[i] = fabs(s->residual[i]);
    return fmax(1.4826 * moe_median(s->sorted, s->p->n_rows), least_scale);
}

static double
loss_of(const solver *s, const double *residual)
{
    double sum = 0;
    for (size_t i = 0; i < s->p->n_rows; i++) {
        double r = fabs(residual[i]);
        sum += r <= s->bend ? r * r / 2 : s->bend * (r - s->bend / 2);
    }
    return sum / (double)s->p->n_rows;
}

static double
clamp(const moe_squares *p, uint32_t j, double x)
{
    return x < p->low[j] ? p->low[j] : x > p->high[j] ? p->high[j] : x;
}

/* Derivatives by one-sided steps that stay within the bounds. */
static void
derive(solver *s, const double *x)
{
    const moe_squares *p = s->p;
    double moved[MOST];

    for (uint32_t j = 0; j < p->n; j++) {
        double step = x[j] + p->step[j] <= p->high[j] ? p->step[j] : -p->step[j];
        memcpy(moved, x, sizeof moved);
        moved[j] += step;
        p->residuals(p->context, moved, s->trial);
        double *column = s->jacobian + j * p->n_rows;
        for (size_t i = 0; i < p->n_rows; i++)
            column[i] = (s->trial[i] - s->residual[i]) / step;
    }
}

/* The normal equations, rows weighted as Huber's loss does. */
static void
gather(solver *s)
{
    const moe_squares *p = s->p;
    memset(s->normal, 0, sizeof s->normal);
    memset(s->gradient, 0, sizeof s->gradient);
    for (size_t i = 0; i < p->n_rows; i++) {
        double r = fabs(s->residual[i]), weight = r <= s->bend ? 1 : s->bend / r;
        for (uint32_t j = 0; j < p->n; j++) {
            double d = weight * s->jacobian[j * p->n_rows + i];
            s->gradient[j] += d * s->residual[i];
            for (uint32_t k = 0; k <= j; k++)
                s->normal[j][k] += d * s->jacobian[k * p->n_rows + i];
        }
    }
}

/* Cholesky: a = l l' in its lower half; false when it is not positive. */
static bool
factor(double a[MOST][MOST], uint32_t n)
{
    for (uint32_t j = 0; j < n; j++)
        for (uint32_t i = j; i < n; i++) {
            double sum = a[i][j];
            for (uint32_t k = 0; k < j; k++)
                sum -= a[i][k] * a[j][k];
            if (i == j && !(sum > 1e-14 * fabs(a[j][j])))
                return false;
            a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
        }
    return true;
}

static void
substitute(double l[MOST][MOST], uint32_t n, double *b)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < i; k++)
            b[i] -= l[i][k] * b[k];
        b[i] /= l[i][i];
    }
    for (uint32_t i = n; i-- > 0;) {
        for (uint32_t k = i + 1; k < n; k++)
            b[i] -= l[k][i] * b[k];
        b[i] /= l[i][i];
    }
}

/* Unknowns at a bound that the loss pushes against stay there. */
static bool
is_held(const solver *s, const double *x, uint32_t j)
{
    return (x[j] <= s->p->low[j] && s->gradient[j] > 0) ||
           (x[j] >= s->p->high[j] && s->gradient[j] < 0);
}

/* The step of the free unknowns at this damping, clamped; false when there is none. */
static bool
propose(const solver *s, const double *x, double damping, double *moved)
{
    double a[MOST][MOST] = {{0}}, b[MOST];
    uint32_t free_ones[MOST], n = 0;

    for (uint32_t j = 0; j < s->p->n; j++)
        if (!is_held(s, x, j) && s->normal[j][j] > 0)
            free_ones[n++] = j;
    for (uint32_t i = 0; i < n; i++) {
        b[i] = -s->gradient[free_ones[i]];
        for (uint32_t k = 0; k <= i; k++)
            a[i][k] = s->normal[free_ones[i]][free_ones[k]];
        a[i][i] *= 1 + damping;
    }
    if (!n || !factor(a, n))
        return false;
    substitute(a, n, b);
    memcpy(moved, x, MOST * sizeof *moved);
    for (uint32_t i = 0; i < n; i++)
        moved[free_ones[i]] = clamp(s->p, free_ones[i], x[free_ones[i]] + b[i]);
    return true;
}

/* Steps until none helps; x and residual are those of the best. */
static void
descend(solver *s, double *x)
{
    const moe_squares *p = s->p;
    double damping = 1e-3, moved[MOST], loss = loss_of(s, s->residual);

    for (int step = 0; step < STEPS; step++) {
        double before = loss;
        derive(s, x);
        gather(s);
        for (; damping < 1e9; damping *= 8) {
            if (!propose(s, x, damping, moved))
                continue;
            p->residuals(p->context, moved, s->trial);
            double next = loss_of(s, s->trial);
            if (!(next < loss))
                continue;
            loss = next;
            memcpy(x, moved, MOST * sizeof *x);
            memcpy(s->residual, s->trial, p->n_rows * sizeof *s->residual);
            damping /= 16;
            break;
        }
        if (!(loss < before * (1 - 1e-6)))
            return;
    }
}

/* What the rows say about each unknown, at the solution. */
static void
judge(solver *s, const double *x, moe_squares_result *result)
{
    const moe_squares *p = s->p;
    double a[MOST][MOST];

    derive(s, x);
    gather(s);
    for (uint32_t j = 0; j < p->n; j++) {
        const double *column = s->jacobian + j * p->n_rows;
        result->rows[j] = 0;
        for (size_t i = 0; i < p->n_rows; i++)
            result->rows[j] += fabs(column[i]) >= 0.1;
        result->error[j] = INFINITY;
    }
    /* A trace of each unknown's own: what no row shows is infinitely uncertain, the rest is not. */
    memcpy(a, s->normal, sizeof a);
    for (uint32_t j = 0; j < p->n; j++)
        a[j][j] += 1e-9 * (1 + a[j][j]);
    if (!factor(a, p->n))
        return;
    for (uint32_t j = 0; j < p->n; j++) {
        double unit[MOST] = {0};
        unit[j] = 1;
        substitute(a, p->n, unit);
        if (s->normal[j][j] > 0)
            result->error[j] = result->scale * sqrt(unit[j]);
    }
}

moe_squares_result
moe_squares_solve(const moe_squares *problem, double *x)
{
    solver s = {.p = problem};
    moe_squares_result result = {0};
    double all[MOST] = {0};
    size_t n = problem->n_rows;

    moe_assert(problem->n <= MOST && n > 0, "%u unknowns, %zu rows", problem->n, n);
    g_autofree double *memory = g_new(double, n *(3 + MOST));
    s.residual = memory;
    s.trial = memory + n;
    s.sorted = memory + 2 * n;
    s.jacobian = memory + 3 * n;
    for (uint32_t j = 0; j < problem->n; j++)
        all[j] = clamp(problem, j, x[j]);
    problem->residuals(problem->context, all, s.residual);
    for (int round = 0; round < ROUNDS; round++) {
        s.bend = 1.345 * scale_of(&s);
        descend(&s, all);
    }
    result.scale = scale_of(&s);
    result.loss = loss_of(&s, s.residual);
    judge(&s, all, &result);
    memcpy(x, all, problem->n * sizeof *x);
    return result;
}
