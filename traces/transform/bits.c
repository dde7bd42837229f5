#include "traces/transform/bits.h"

#include "sim/base/error.h"

#include <math.h>

/* A state is a sum of widths and the set of those widest widths that were used. */
typedef struct bits_table {
    const moe_bits_problem *problem;
    uint32_t sums, sets;
    double *least;   /* [n + 1][sums][sets]: cost of the experts from i on, from this state */
    uint8_t *choice; /* of expert i there */
} bits_table;

static size_t
bits_at(const bits_table *t, uint32_t i, uint32_t sum, uint32_t set)
{
    return ((size_t)i * t->sums + sum) * t->sets + set;
}

/* The set once width j was used. */
static uint32_t
bits_used(const moe_bits_problem *p, uint32_t set, uint32_t j)
{
    uint32_t from_widest = p->n_widths - 1 - j;
    return from_widest < p->each ? set | 1u << from_widest : set;
}

static void
bits_state(bits_table *t, uint32_t i, uint32_t sum, uint32_t set)
{
    const moe_bits_problem *p = t->problem;
    size_t at = bits_at(t, i, sum, set);
    t->least[at] = INFINITY;
    for (uint32_t j = p->n_widths; j-- > 0;) {
        uint32_t next = sum + p->widths[j];
        if (next > p->budget)
            continue;
        double cost = p->costs[(size_t)i * p->n_widths + j] +
                      t->least[bits_at(t, i + 1, next, bits_used(p, set, j))];
        if (cost < t->least[at]) {
            t->least[at] = cost;
            t->choice[at] = (uint8_t)j;
        }
    }
}

double
moe_bits_allocate(const moe_bits_problem *p, uint32_t *choice)
{
    moe_assert(p->n_widths >= 1 && p->n_widths <= MOE_BITS_WIDTHS && p->each <= p->n_widths,
               "%u widths, %u of them asked for", p->n_widths, p->each);
    bits_table t = {.problem = p, .sums = p->budget + 1, .sets = 1u << p->each};
    t.least = g_new(double, (size_t)(p->n + 1) * t.sums * t.sets);
    t.choice = g_new0(uint8_t, (size_t)(p->n + 1) * t.sums * t.sets);
    for (uint32_t sum = 0; sum < t.sums; sum++)
        for (uint32_t set = 0; set < t.sets; set++)
            t.least[bits_at(&t, p->n, sum, set)] = set == t.sets - 1 ? 0 : (double)INFINITY;
    for (uint32_t i = p->n; i-- > 0;)
        for (uint32_t sum = 0; sum < t.sums; sum++)
            for (uint32_t set = 0; set < t.sets; set++)
                bits_state(&t, i, sum, set);
    double cost = t.least[0];
    for (uint32_t i = 0, sum = 0, set = 0; i < p->n && !isinf(cost); i++) {
        choice[i] = t.choice[bits_at(&t, i, sum, set)];
        set = bits_used(p, set, choice[i]);
        sum += p->widths[choice[i]];
    }
    g_free(t.least);
    g_free(t.choice);
    return cost;
}
