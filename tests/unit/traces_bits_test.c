/* Bit allocation against every choice there is, on small instances. */
#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/transform/bits.h"

#include <math.h>

/* The least cost over all widths of all experts. */
static double
try_all(const moe_bits_problem *p)
{
    uint64_t total = 1;
    double best = INFINITY;
    for (uint32_t i = 0; i < p->n; i++)
        total *= p->n_widths;
    for (uint64_t c = 0; c < total; c++) {
        uint32_t sum = 0, used = 0;
        double cost = 0;
        uint64_t rest = c;
        for (uint32_t i = 0; i < p->n; i++, rest /= p->n_widths) {
            uint32_t j = (uint32_t)(rest % p->n_widths);
            sum += p->widths[j];
            used |= 1u << j;
            cost += p->costs[i * p->n_widths + j];
        }
        bool enough = true;
        for (uint32_t e = 0; e < p->each; e++)
            enough &= used >> (p->n_widths - 1 - e) & 1;
        if (sum <= p->budget && enough && cost < best)
            best = cost;
    }
    return best;
}

static void
is_the_best(void)
{
    static const uint32_t widths[] = {1, 2, 3, 8};
    moe_stream stream = moe_stream_new(1, "bits", 0);
    unsigned infeasible = 0;
    for (int round = 0; round < 400; round++) {
        double costs[6 * 4];
        uint32_t choice[6];
        moe_bits_problem p = {.n = 1 + (uint32_t)moe_stream_below(&stream, 6),
                              .n_widths = 1 + (uint32_t)moe_stream_below(&stream, 4),
                              .widths = widths,
                              .costs = costs};
        p.each = (uint32_t)moe_stream_below(&stream, MIN(p.n_widths, 2) + 1);
        p.budget = p.n + (uint32_t)moe_stream_below(&stream, 12) - (round % 10 == 0);
        for (uint32_t i = 0; i < p.n * p.n_widths; i++)
            costs[i] = (double)moe_stream_below(&stream, 1000);
        double got = moe_bits_allocate(&p, choice), best = try_all(&p), sum = 0;
        uint32_t bits = 0;
        MOE_CHECK(got == best, "round %d: %g, but %g is possible", round, got, best);
        infeasible += isinf(best) != 0;
        for (uint32_t i = 0; i < p.n && !isinf(got); i++) {
            sum += costs[i * p.n_widths + choice[i]];
            bits += widths[choice[i]];
        }
        MOE_CHECK(isinf(got) || (sum == got && bits <= p.budget), "round %d: %g of %g, %u of %u",
                  round, sum, got, bits, p.budget);
    }
    MOE_CHECK(infeasible > 10 && infeasible < 300, "%u of 400 instances have no solution",
              infeasible);
}

MOE_TESTS({"is the best", is_the_best})
