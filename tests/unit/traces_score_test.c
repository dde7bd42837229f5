/* Scores, merge groups and retrieval on traces small enough to do by hand. */
#include "tests/test.h"

#include "traces/transform/score.h"

#include <math.h>

/* Two sequences of two tokens, one layer of four experts, top-2; the second is of domain 1. */
static moe_routing_file *
by_hand(void)
{
    static const uint16_t ids[4][2] = {{0, 1}, {0, 2}, {3, 2}, {3, 0xFFFF}};
    static const float weights[4][2] = {{0.75f, 0.25f}, {0.5f, 0.5f}, {0.875f, 0.125f}, {1, 0}};
    static const float logits[4][4] = {
        {4, 2, -1, -2}, {3, -3, 2.5f, 0}, {-2, -1.5f, 1, 5}, {-2, -2, -2, -0.5f}};
    moe_routing_builder *b = moe_routing_builder_new(1, 4, 2);
    moe_routing_builder_meta(b, "domains", "[\"code\",\"prose\"]");
    for (uint32_t t = 0; t < 4; t++) {
        moe_routing_builder_add(b, t / 2, t % 2, MOE_DECODE, ids[t], weights[t]);
        moe_routing_builder_domain(b, (uint16_t)(t / 2));
        moe_routing_builder_logits(b, logits[t]);
    }
    return moe_routing_builder_finish(b, "by hand");
}

typedef struct score_case {
    moe_score_of of;
    double expected[4];
} score_case;

static const score_case score_cases[] = {
    {{MOE_SCORE_FREQUENCY, 0, 2, MOE_NONE, 0, 0}, {0.5, 0.25, 0.5, 0.5}},
    {{MOE_SCORE_FREQUENCY, 1, 2, MOE_NONE, 0, 0}, {0, 0, 0.5, 1}},
    {{MOE_SCORE_FREQUENCY, 0, 9, 0, 0, 0}, {1, 0.5, 0.5, 0}},
    {{MOE_SCORE_WEIGHT, 0, 2, MOE_NONE, 0, 0}, {1.25 / 4, 0.25 / 4, 0.625 / 4, 1.875 / 4}},
    {{MOE_SCORE_WEIGHT, 0, 2, 1, 0, 0}, {0, 0, 0.125 / 2, 1.875 / 2}},
    {{MOE_SCORE_LOGIT, 0, 2, MOE_NONE, 1, -1}, {7.0 / 4, 0, 0, 4.5 / 4}},
    {{MOE_SCORE_LOGIT, 0, 2, MOE_NONE, 1, 0}, {7.0 / 4, 0, 0, 5.0 / 4}},
    {{MOE_SCORE_LOGIT, 0, 2, MOE_NONE, 2, -1}, {7.0 / 4, 2.0 / 4, 3.5 / 4, 4.5 / 4}},
    {{MOE_SCORE_FREQUENCY, 2, 2, MOE_NONE, 0, 0}, {0, 0, 0, 0}},
};

static void
scores_are_as_by_hand(void)
{
    g_autoptr(moe_routing_file) file = by_hand();
    for (size_t i = 0; i < MOE_COUNT(score_cases); i++) {
        g_autofree double *scores = moe_score(moe_routing_get(file), &score_cases[i].of);
        for (uint32_t e = 0; e < 4; e++)
            MOE_CHECK(fabs(scores[e] - score_cases[i].expected[e]) < 1e-12,
                      "case %zu, expert %u: %g", i, e, scores[e]);
    }
}

static void
ranks_fall(void)
{
    static const double scores[] = {0.5, 2, 0.5, -1, 2};
    static const uint32_t expected[] = {1, 4, 0, 2, 3};
    uint32_t order[5];
    moe_score_rank(scores, 5, order);
    for (uint32_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(order[i], expected[i]);
}

/* Experts 0, 2 and 3 are used twice each, so that one of two groups is expert 0's, the other expert
 * 2's; the logits of 1 and 3 point the way of 0 and 2. */
static void
groups_join_the_like(void)
{
    g_autoptr(moe_routing_file) file = by_hand();
    uint16_t to[4];
    moe_score_groups(moe_routing_get(file), 2, to);
    CU_ASSERT_EQUAL(to[0], 0);
    CU_ASSERT_EQUAL(to[2], 2);
    /* logits of 1: (2, -3, -1.5, -2): with 0 (4, 3, -2, -2) 6, over |0| = sqrt(33);
     * with 2 (-1, 2.5, 1, -2) -7 */
    CU_ASSERT_EQUAL(to[1], 0);
    /* logits of 3: (-2, 0, 5, -0.5): with 0 -17; with 2 8 */
    CU_ASSERT_EQUAL(to[3], 2);
    moe_score_groups(moe_routing_get(file), 4, to);
    for (uint16_t e = 0; e < 4; e++)
        CU_ASSERT_EQUAL(to[e], e);
}

static void
domains_have_names(void)
{
    g_autoptr(moe_routing_file) file = by_hand();
    g_autoptr(moe_diag) diag = moe_diag_new();
    uint32_t domain = 9;
    CU_ASSERT_TRUE(moe_score_domain(moe_routing_get(file), "prose", &domain, (moe_loc){0}, diag));
    CU_ASSERT_EQUAL(domain, 1);
    CU_ASSERT_TRUE(moe_score_domain(moe_routing_get(file), "0", &domain, (moe_loc){0}, diag));
    CU_ASSERT_EQUAL(domain, 0);
    CU_ASSERT_FALSE(moe_score_domain(moe_routing_get(file), "2", &domain, (moe_loc){0}, diag));
    CU_ASSERT_FALSE(moe_score_domain(moe_routing_get(file), "pros", &domain, (moe_loc){0}, diag));
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(strstr(text, "did you mean 'prose'"), "%s", text);
}

static void
distances_are_euclidean(void)
{
    static const double a[] = {1, 2, 3}, b[] = {1, 5, -1};
    CU_ASSERT_EQUAL(moe_score_distance(a, b, 3), 5);
    CU_ASSERT_EQUAL(moe_score_distance(a, a, 3), 0);
}

MOE_TESTS({"scores", scores_are_as_by_hand}, {"ranks", ranks_fall},
          {"groups", groups_join_the_like}, {"domains", domains_have_names},
          {"distances", distances_are_euclidean})
