#include "profiler/least_squares.h"
#include "tests/test.h"

#include <math.h>

/* y = a / (1 + b x) at x = 0 … n - 1, some of the rows far off. */
typedef struct curve {
    double y[64];
    bool flat; /* b says nothing */
} curve;

static void
residuals(void *context, const double *x, double *out)
{
    const curve *c = context;
    for (int i = 0; i < 64; i++)
        out[i] = x[0] / (1 + (c->flat ? 0 : x[1]) * i) - c->y[i];
}

static moe_squares
problem(curve *c)
{
    return (moe_squares){.n_rows = 64,
                         .n = 2,
                         .low = {0.1, 0},
                         .high = {10, 5},
                         .step = {1e-5, 1e-5},
                         .residuals = residuals,
                         .context = c};
}

static void
finds(void)
{
    curve c = {.flat = false};
    for (int i = 0; i < 64; i++)
        c.y[i] = 3 / (1 + 0.2 * i) + (i % 8 == 5 ? 2 : 0); /* an eighth odd */
    moe_squares p = problem(&c);
    double x[] = {1, 3};
    moe_squares_result r = moe_squares_solve(&p, x);
    MOE_CHECK(fabs(x[0] - 3) < 0.01 && fabs(x[1] - 0.2) < 0.005, "%g %g", x[0], x[1]);
    MOE_CHECK(r.error[0] < 0.02 && r.error[1] < 0.02 && r.rows[0] > 20, "%g %g %zu", r.error[0],
              r.error[1], r.rows[0]);
}

/* The truth is out of bounds: the nearest bound it is. */
static void
stays_within(void)
{
    curve c = {.flat = false};
    for (int i = 0; i < 64; i++)
        c.y[i] = 20 / (1 + 0.2 * i);
    moe_squares p = problem(&c);
    double x[] = {50, 3};
    moe_squares_solve(&p, x);
    MOE_CHECK(x[0] == 10 && x[1] > 0 && x[1] < 0.2, "%g %g", x[0], x[1]);
}

/* What no row depends on is infinitely uncertain, and stays where it was. */
static void
says_what_is_unknown(void)
{
    curve c = {.flat = true};
    for (int i = 0; i < 64; i++)
        c.y[i] = 2 + 0.01 * (i % 3 - 1);
    moe_squares p = problem(&c);
    double x[] = {1, 3};
    moe_squares_result r = moe_squares_solve(&p, x);
    MOE_CHECK(fabs(x[0] - 2) < 0.01 && x[1] == 3, "%g %g", x[0], x[1]);
    MOE_CHECK(isinf(r.error[1]) && r.rows[1] == 0 && r.error[0] < 0.01, "%g %g", r.error[0],
              r.error[1]);
}

static void
medians(void)
{
    double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, one[] = {7};
    CU_ASSERT_EQUAL(moe_median(odd, 3), 3);
    CU_ASSERT_EQUAL(moe_median(even, 4), 2.5);
    CU_ASSERT_EQUAL(moe_median(one, 1), 7);
}

MOE_TESTS({"finds", finds}, {"stays within bounds", stays_within},
          {"says what is unknown", says_what_is_unknown}, {"medians", medians})
