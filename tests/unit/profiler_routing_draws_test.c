#include "profiler/routing_draws.h"
#include "tests/test.h"

#include <glib.h>
#include <inttypes.h>

static uint32_t
sum_of(const uint32_t *loads, uint32_t first, uint32_t end)
{
    uint32_t sum = 0;
    for (uint32_t i = first; i < end; i++)
        sum += loads[i];
    return sum;
}

/* Balanced loads, by hand from the rule: (t + j * stride) mod E. */
static void
balanced(void)
{
    static const struct {
        moe_spread spread;
        uint32_t n, loads[8];
    } cases[] = {
        {{1, 2, 8, 1}, 2, {1, 1}},                   /* experts 0 and 4 */
        {{3, 2, 8, 1}, 6, {1, 1, 1, 1, 1, 1}},       /* firsts 0, 1, 2 */
        {{5, 2, 8, 1}, 8, {2, 1, 1, 1, 2, 1, 1, 1}}, /* the fifth token takes 4 and 0 */
        {{3, 2, 8, 2}, 3, {1, 1, 1}},                /* the first four of the second case */
        {{3, 2, 8, 8}, 1, {1}},                      /* the first one */
        {{1, 2, 16, 8}, 1, {1}},
        {{2, 2, 8, 4}, 1, {1}}, /* experts 0, 4, 2, 6: of 0 and 1 one */
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_draws draws = {0};
        const char *wrong = moe_draws_make(&cases[i].spread, "balanced", &draws);
        MOE_CHECK(!wrong && draws.n == 1 && draws.ends[0] == cases[i].n, "case %zu: %s, %u", i,
                  wrong ? wrong : "", draws.n ? draws.ends[0] : 0);
        for (uint32_t e = 0; !wrong && e < cases[i].n; e++)
            MOE_CHECK(draws.loads[e] == cases[i].loads[e], "case %zu, expert %u: %u", i, e,
                      draws.loads[e]);
        moe_draws_clear(&draws);
    }
}

/* Every choice is some expert's, no expert has more than all tokens; of several ranks it is the
 * busiest, which has its share at least; the same question gets the same answer. */
static void
power_law(void)
{
    static const moe_spread spreads[] = {
        {1, 2, 8, 1},     {4, 8, 128, 1},      {4096, 8, 128, 1}, {4096, 8, 128, 8},
        {64, 8, 256, 32}, {16384, 1, 16, 16},  {7, 6, 60, 4},     {65536, 2, 8, 8},
        {3, 8, 8, 2},     {100000, 8, 256, 4},
    };
    static const char *const laws[] = {"power_law_1.01", "power_law_1.2", "power_law_1"};
    for (size_t i = 0; i < MOE_COUNT(spreads); i++)
        for (size_t j = 0; j < MOE_COUNT(laws); j++) {
            const moe_spread *s = &spreads[i];
            moe_draws draws = {0}, again = {0};
            const char *wrong = moe_draws_make(s, laws[j], &draws);
            moe_draws_make(s, laws[j], &again);
            MOE_CHECK(!wrong && draws.n == MOE_POWER_LAW_DRAWS, "case %zu: %s", i, wrong);
            uint64_t wanted = (uint64_t)(s->tokens * s->top_k);
            for (uint32_t d = 0, first = 0; d < draws.n; first = draws.ends[d++]) {
                uint64_t sum = sum_of(draws.loads, first, draws.ends[d]);
                MOE_CHECK(s->ranks == 1 ? sum == wanted
                                        : sum <= wanted && sum * (uint64_t)s->ranks >= wanted,
                          "case %zu, %s: %" PRIu64 " choices", i, laws[j], sum);
                for (uint32_t e = first; e < draws.ends[d]; e++)
                    MOE_CHECK(draws.loads[e] > 0 && draws.loads[e] <= s->tokens, "case %zu: %u", i,
                              draws.loads[e]);
            }
            CU_ASSERT(!memcmp(draws.ends, again.ends, draws.n * sizeof *draws.ends));
            CU_ASSERT(
                !memcmp(draws.loads, again.loads, draws.ends[draws.n - 1] * sizeof *draws.loads));
            moe_draws_clear(&draws);
            moe_draws_clear(&again);
        }
}

/* A larger exponent gathers more tokens on fewer experts. */
static void
skew(void)
{
    static const char *const laws[] = {"power_law_0.5", "power_law_1.01", "power_law_2"};
    double last = 0;
    for (size_t j = 0; j < MOE_COUNT(laws); j++) {
        moe_draws draws = {0};
        double squares = 0;
        CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&(moe_spread){4096, 8, 128, 1}, laws[j], &draws));
        for (uint32_t e = 0; e < draws.ends[draws.n - 1]; e++)
            squares += (double)draws.loads[e] * draws.loads[e];
        MOE_CHECK(squares > last, "%s: %g after %g", laws[j], squares, last);
        last = squares;
        moe_draws_clear(&draws);
    }
}

static void
refuses(void)
{
    static const struct {
        moe_spread spread;
        const char *distribution, *said;
    } cases[] = {
        {{8, 2, 8, 1}, "zipf", "wants loads or distinct"},
        {{8, 2, 8, 1}, "power_law_", "wants loads or distinct"},
        {{8, 2, 8, 1}, "power_law_-1", "wants loads or distinct"},
        {{8, 2, 8, 1}, "power_law_1e9", "wants loads or distinct"},
        {{0, 2, 8, 1}, "balanced", "wants loads, or tokens"},
        {{8, 9, 8, 1}, "balanced", "wants experts, at least"},
        {{8, 2, 8, 3}, "balanced", "the experts cannot"},
        {{8, 2, 8, 16}, "balanced", "too many"},
        {{1 << 25, 2, 8, 1}, "balanced", "too many"},
        {{8, 2, 8, 1, .groups = 3, .kept = 2}, "balanced", "such groups"},
        {{8, 2, 8, 1, .groups = 4, .kept = 5}, "balanced", "such groups"},
        {{8, 4, 8, 1, .groups = 4, .kept = 1}, "power_law_1.2", "such groups"},
        {{8, 2, 128, 1, .groups = 128, .kept = 2}, "balanced", "such groups"},
        {{1 << 24, 8, 8, 1, true}, "balanced", "too many choices"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_draws draws = {0};
        const char *wrong = moe_draws_make(&cases[i].spread, cases[i].distribution, &draws);
        MOE_CHECK(wrong && g_str_has_prefix(wrong, cases[i].said), "case %zu: %s", i,
                  wrong ? wrong : "nothing");
    }
}

/* Eight tokens choose two of four experts, two of which are here: each brings one choice that is
 * elsewhere, and the first expert computes them all. */
static void
strays_go_to_the_first(void)
{
    moe_draws draws = {0};
    moe_spread spread = {.tokens = 8, .top_k = 2, .experts = 4, .ranks = 2, .strays = true};

    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "balanced", &draws));
    CU_ASSERT_EQUAL_FATAL(draws.ends[0], 2);
    CU_ASSERT_EQUAL(draws.loads[0], 12);
    CU_ASSERT_EQUAL(draws.loads[1], 4);
    moe_draws_clear(&draws);

    /* drawn: as many rows as the tokens that reach the device have choices */
    spread = (moe_spread){.tokens = 512, .top_k = 8, .experts = 128, .ranks = 8};
    moe_draws without = {0};
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &without));
    spread.strays = true;
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &draws));
    for (uint32_t i = 0; i < draws.n; i++) {
        uint64_t with = 0, own = 0;
        for (uint32_t e = i ? draws.ends[i - 1] : 0; e < draws.ends[i]; e++)
            with += draws.loads[e];
        for (uint32_t e = i ? without.ends[i - 1] : 0; e < without.ends[i]; e++)
            own += without.loads[e];
        MOE_CHECK(with % 8 == 0 && with >= own && with <= 512 * 8, "draw %u: %llu of %llu", i,
                  (unsigned long long)with, (unsigned long long)own);
    }
    moe_draws_clear(&draws);
    moe_draws_clear(&without);
}

/* 8 experts in 4 groups of 2, of which the router keeps 2. Balanced tokens choose one expert of two
 * groups each, 0 and 4, 1 and 5 …: nothing changes. Of four choices in all groups only those in the
 * first two groups stay, and the others become the other experts of these. */
static void
groups(void)
{
    static const struct {
        moe_spread spread;
        uint32_t n, loads[8];
    } cases[] = {
        {{.tokens = 2, .top_k = 2, .experts = 8, .ranks = 1, .groups = 4, .kept = 2},
         4,
         {1, 1, 1, 1}}, /* 0 and 4; 2 and 6 */
        {{.tokens = 1, .top_k = 4, .experts = 8, .ranks = 1, .groups = 4, .kept = 2},
         4,
         {1, 1, 1, 1}}, /* 0, 2, 4, 6 become 0 to 3 */
        {{.tokens = 2, .top_k = 4, .experts = 8, .ranks = 2, .groups = 4, .kept = 2},
         4,
         {2, 2, 2, 2}}, /* all choices, on the first of two ranks */
        {{.tokens = 1, .top_k = 8, .experts = 256, .ranks = 8, .groups = 8, .kept = 4},
         5,
         {1, 1, 1, 1, 1}}, /* DeepSeek-V3: five of a token's experts instead of one */
        {{.tokens = 32, .top_k = 8, .experts = 256, .ranks = 32, .groups = 8, .kept = 4},
         8,
         {32, 32, 32, 32, 5, 1, 1, 1}}, /* expert 4 is the fourth of tokens 0 to 3, and its own */
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_draws draws = {0};
        const char *wrong = moe_draws_make(&cases[i].spread, "balanced", &draws);
        MOE_CHECK(!wrong && draws.n == 1 && draws.ends[0] == cases[i].n, "case %zu: %s, %u", i,
                  wrong ? wrong : "", draws.n ? draws.ends[0] : 0);
        for (uint32_t e = 0; !wrong && e < cases[i].n; e++)
            MOE_CHECK(draws.loads[e] == cases[i].loads[e], "case %zu, expert %u: %u", i, e,
                      draws.loads[e]);
        moe_draws_clear(&draws);
    }

    /* drawn: as many choices, each token's in half of the groups */
    moe_spread spread = {
        .tokens = 300, .top_k = 8, .experts = 256, .ranks = 1, .groups = 8, .kept = 4};
    moe_draws draws = {0};
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &draws));
    for (uint32_t i = 0; i < draws.n; i++)
        CU_ASSERT_EQUAL(sum_of(draws.loads, i ? draws.ends[i - 1] : 0, draws.ends[i]), 2400);
    moe_draws_clear(&draws);
}

/* How long ago experts were read: of one draw all are, of several as many as differ. */
static void
since(void)
{
    moe_draws draws = {0};
    moe_spread spread = {.tokens = 3, .top_k = 2, .experts = 8, .ranks = 1};

    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "balanced", &draws));
    for (uint32_t e = 0; e < draws.ends[0]; e++)
        CU_ASSERT_EQUAL(draws.since[e], 6);
    moe_draws_clear(&draws);

    spread = (moe_spread){.tokens = 4, .top_k = 2, .experts = 64, .ranks = 1};
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &draws));
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < draws.ends[draws.n - 1]; i++) {
        least = MIN(least, draws.since[i]);
        most = MAX(most, draws.since[i]);
    }
    /* an expert of one draw only is read again when all of the others' were */
    MOE_CHECK(least >= 1 && most > 8 && most <= 40, "%u to %u", least, most);
    moe_draws_clear(&draws);

    /* all tokens choose both experts of a device: each draw finds what the last one read */
    spread = (moe_spread){.tokens = 64, .top_k = 2, .experts = 2, .ranks = 1};
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &draws));
    for (uint32_t i = 0; i < draws.ends[draws.n - 1]; i++)
        CU_ASSERT_EQUAL(draws.since[i], 2);
    moe_draws_clear(&draws);
}

/* By the first rule what is missing of few tokens' choices goes to neighbours: the busiest rank has
 * most of them, by the later one its share and a few. */
static void
first_rule(void)
{
    moe_spread spread = {.tokens = 2, .top_k = 8, .experts = 256, .ranks = 16};
    moe_draws now = {0}, first = {0};

    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &now));
    spread.in_order = true;
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_1.2", &first));
    for (uint32_t i = 0; i < now.n; i++) {
        uint32_t a = sum_of(now.loads, i ? now.ends[i - 1] : 0, now.ends[i]);
        uint32_t b = sum_of(first.loads, i ? first.ends[i - 1] : 0, first.ends[i]);
        MOE_CHECK(a >= 1 && a <= 4 && b > 8 && b <= 16, "draw %u: %u, %u", i, a, b);
    }
    moe_draws_clear(&now);
    moe_draws_clear(&first);

    /* all choices are given, none above the cap */
    spread = (moe_spread){.tokens = 100, .top_k = 6, .experts = 8, .ranks = 1, .in_order = true};
    CU_ASSERT_PTR_NULL_FATAL(moe_draws_make(&spread, "power_law_2", &first));
    for (uint32_t i = 0; i < first.n; i++)
        CU_ASSERT_EQUAL(sum_of(first.loads, i ? first.ends[i - 1] : 0, first.ends[i]), 600);
    for (uint32_t e = 0; e < first.ends[first.n - 1]; e++)
        CU_ASSERT(first.loads[e] <= 100);
    moe_draws_clear(&first);
}

MOE_TESTS({"first_rule", first_rule}, {"groups", groups}, {"since", since},
          {"strays_go_to_the_first", strays_go_to_the_first}, {"balanced", balanced},
          {"power law", power_law}, {"skew", skew}, {"refuses", refuses})
