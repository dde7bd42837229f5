#include "tests/test.h"

#include "sim/base/elementary.h"
#include "sim/base/random.h"

#include <glib.h>
#include <math.h>

/* Within 2 units in the last place of libm's, which is within one of the truth. */
static bool
close_to(double got, double want)
{
    return got == want || fabs(got - want) <= 2 * fabs(nextafter(want, INFINITY) - want);
}

static void
logarithms(void)
{
    static const double edges[] = {1,
                                   2,
                                   0.5,
                                   0x1p-53,
                                   0x1p-1022,
                                   0x1p-1074,
                                   1e308,
                                   0x1.6a09e667f3bcdp-1,
                                   0x1.6a09e667f3bccp-1};
    moe_stream stream = moe_stream_new(1, "ln", 0);
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++)
        MOE_CHECK(close_to(moe_ln(edges[i]), log(edges[i])), "ln %a: %a", edges[i],
                  moe_ln(edges[i]));
    for (int i = 0; i < 100000; i++) {
        double x = ldexp(1 - moe_stream_unit(&stream), (int)moe_stream_below(&stream, 80) - 40);
        if (fabs(log(x)) > 1e-3 && !close_to(moe_ln(x), log(x)))
            MOE_CHECK(false, "ln %a: %a, not %a", x, moe_ln(x), log(x));
    }
    CU_ASSERT_EQUAL(moe_ln(1), 0);
}

static void
exponentials(void)
{
    moe_stream stream = moe_stream_new(1, "exp", 0);
    CU_ASSERT_EQUAL(moe_exp(0), 1);
    CU_ASSERT_EQUAL(moe_exp(-1e9), 0);
    CU_ASSERT_EQUAL(moe_exp(-INFINITY), 0);
    CU_ASSERT_EQUAL(moe_exp(1e9), INFINITY);
    for (int i = 0; i < 100000; i++) {
        double x = (moe_stream_unit(&stream) - 0.5) * 1400;
        if (!close_to(moe_exp(x), exp(x)))
            MOE_CHECK(false, "exp %a: %a, not %a", x, moe_exp(x), exp(x));
    }
}

static void
exponentials_f32(void)
{
    CU_ASSERT_EQUAL(moe_expf(0), 1);
    CU_ASSERT_EQUAL(moe_expf(-105), 0);
    CU_ASSERT_EQUAL(moe_expf(-INFINITY), 0);
    CU_ASSERT_EQUAL(moe_expf(INFINITY), INFINITY);
    CU_ASSERT(moe_expf(NAN) != moe_expf(NAN));
    for (int i = -104 * 4096; i <= 88 * 4096; i++) {
        float x = (float)i / 4096, got = moe_expf(x);
        double want = exp(x);
        double unit = fmax(want, 0x1p-126) * 0x1p-23;
        if (!(fabs(got - want) <= 2 * unit))
            MOE_CHECK(false, "exp %a: %a, not %a", (double)x, (double)got, want);
    }
}

static void
circles(void)
{
    moe_stream stream = moe_stream_new(1, "sincos", 0);
    for (int i = 0; i < 100000; i++) {
        double scale = ldexp(1, i % 21), x = (2 * moe_stream_unit(&stream) - 1) * scale, s, c;
        moe_sincos(x, &s, &c);
        if (!(fabs(s - sin(x)) <= 0x1p-52 && fabs(c - cos(x)) <= 0x1p-52))
            MOE_CHECK(false, "sin, cos %a: %a, %a, not %a, %a", x, s, c, sin(x), cos(x));
    }
    for (int k = -1000; k <= 667544; k += k < 1000 ? 1 : 997) {
        double x = k * 0x1.921fb54442d18p+0, s, c;
        moe_sincos(x, &s, &c);
        if (!(fabs(s - sin(x)) <= 0x1p-52 && fabs(c - cos(x)) <= 0x1p-52))
            MOE_CHECK(false, "sin, cos %a: %a, %a, not %a, %a", x, s, c, sin(x), cos(x));
    }
}

/* The very bits: another machine that gives others would draw other requests. */
static void
bits(void)
{
    static const struct {
        double x, ln, exp;
    } cases[] = {
        {0.1, -0x1.26bb1bbb55515p+1, 0x1.1aec7b35a00d4p+0},
        {3, 0x1.193ea7aad030bp+0, 0x1.415e5bf6fb106p+4},
        {123.456, 0x1.343774f3e2362p+2, 0x1.1428e1cbc0143p+178},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        MOE_CHECK(moe_ln(cases[i].x) == cases[i].ln && moe_exp(cases[i].x) == cases[i].exp,
                  "%g: %a, %a", cases[i].x, moe_ln(cases[i].x), moe_exp(cases[i].x));
    double s, c;
    moe_sincos(12345.678, &s, &c);
    MOE_CHECK(s == -0x1.687d5890974a5p-1 && c == 0x1.6b94c3bbe24b8p-1, "%a, %a", s, c);
    MOE_CHECK(moe_expf(-3.21f) == 0x1.4a99f4p-5f, "%a", (double)moe_expf(-3.21f));
}

MOE_TESTS({"logarithms", logarithms}, {"exponentials", exponentials},
          {"exponentials in single precision", exponentials_f32}, {"sines and cosines", circles},
          {"bits", bits})
