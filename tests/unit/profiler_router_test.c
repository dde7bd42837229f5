#include "tests/test.h"

#include "profiler/decoder.h"
#include "sim/base/random.h"

#include <glib.h>
#include <math.h>

/* ---- by hand ---- */

static void
softmax_top_k(void)
{
    moe_router_rule rule = {.score = MOE_SCORE_SOFTMAX, .experts = 4, .top_k = 2, .scale = 1};
    float logits[] = {0, logf(3), logf(4), logf(2)}, choice[4], weights[2];
    uint16_t ids[2];
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(ids[0] == 2 && ids[1] == 1, "%u %u", ids[0], ids[1]);
    MOE_CHECK(fabsf(weights[0] - 0.4f) < 1e-6f && fabsf(weights[1] - 0.3f) < 1e-6f, "%g %g",
              (double)weights[0], (double)weights[1]);
    rule.normalise = true;
    rule.scale = 2.5f;
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(fabsf(weights[0] - 2.5f * 4 / 7) < 1e-6f, "%g", (double)weights[0]);
}

/* The bias chooses and does not weigh; the order is that of the weights. */
static void
corrected(void)
{
    moe_router_rule rule = {.score = MOE_SCORE_SIGMOID, .experts = 4, .top_k = 2, .scale = 1};
    float logits[] = {1, 2, 0, -1}, bias[] = {0, -1, 0, 0.5f}, choice[4], weights[2];
    uint16_t ids[2];
    moe_route(&rule, logits, bias, choice, ids, weights);
    MOE_CHECK(ids[0] == 0 && ids[1] == 3, "%u %u", ids[0], ids[1]);
    MOE_CHECK(fabsf(weights[1] - 1 / (1 + expf(1))) < 1e-6f, "%g", (double)weights[1]);
}

static void
softmax_of_top_k(void)
{
    moe_router_rule rule = {.score = MOE_SCORE_TOPK_SOFTMAX, .experts = 3, .top_k = 2, .scale = 1};
    float logits[] = {logf(3), 5, logf(3) + 5}, choice[3], weights[2];
    uint16_t ids[2];
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(ids[0] == 2 && ids[1] == 1, "%u %u", ids[0], ids[1]);
    MOE_CHECK(fabsf(weights[0] - 0.75f) < 1e-6f, "%g", (double)weights[0]);
}

static void
ties(void)
{
    moe_router_rule rule = {.score = MOE_SCORE_SOFTMAX, .experts = 6, .top_k = 3, .scale = 1};
    float logits[] = {1, 2, 1, 2, 1, 1}, choice[6], weights[3];
    uint16_t ids[3];
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(ids[0] == 1 && ids[1] == 3 && ids[2] == 0, "%u %u %u", ids[0], ids[1], ids[2]);
}

static void
groups(void)
{
    moe_router_rule rule = {.score = MOE_SCORE_SIGMOID,
                            .experts = 6,
                            .top_k = 2,
                            .groups = 3,
                            .top_groups = 1,
                            .scale = 1};
    float logits[] = {3, -9, 2, 2, 1, 1}, choice[6], weights[2];
    uint16_t ids[2];
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(ids[0] == 0 && ids[1] == 1, "%u %u", ids[0], ids[1]);
    rule.group_score = MOE_GROUP_TOP_TWO;
    moe_route(&rule, logits, NULL, choice, ids, weights);
    MOE_CHECK(ids[0] == 2 && ids[1] == 3, "%u %u", ids[0], ids[1]);
}

/* Whatever a broken model says, ids are distinct experts. */
static void
not_numbers(void)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0};
    for (int score = MOE_SCORE_SOFTMAX; score <= MOE_SCORE_TOPK_SOFTMAX; score++) {
        for (uint32_t i = 0; i < 4096; i++) {
            moe_router_rule rule = {.score = (moe_score)score,
                                    .experts = 6,
                                    .top_k = 3,
                                    .groups = i & 1 ? 3 : 0,
                                    .top_groups = 2,
                                    .scale = 1};
            float logits[6], choice[6], weights[3];
            uint16_t ids[3];
            for (uint32_t e = 0; e < 6; e++)
                logits[e] = odd[i >> 2 * e & 3];
            moe_route(&rule, logits, NULL, choice, ids, weights);
            bool ok = ids[0] < 6 && ids[1] < 6 && ids[2] < 6 && ids[0] != ids[1] &&
                      ids[1] != ids[2] && ids[0] != ids[2];
            if (!ok)
                MOE_CHECK(ok, "rule %d, case %u: %u %u %u", score, i, ids[0], ids[1], ids[2]);
        }
    }
}

/* ---- against a plain reading of the rule, in double precision ---- */

#define MOST 64

typedef struct reference {
    double score[MOST], choice[MOST];
    bool allowed[MOST];
    uint32_t ids[MOST];
    double weights[MOST];
} reference;

static double
group_worth(const moe_router_rule *rule, const reference *r, uint32_t group)
{
    uint32_t size = rule->experts / rule->groups;
    double best = -INFINITY, second = -INFINITY;
    for (uint32_t i = group * size; i < (group + 1) * size; i++) {
        second = fmax(second, fmin(best, r->choice[i]));
        best = fmax(best, r->choice[i]);
    }
    return rule->group_score == MOE_GROUP_BEST ? best : best + second;
}

static void
allow(const moe_router_rule *rule, reference *r)
{
    for (uint32_t i = 0; i < rule->experts; i++)
        r->allowed[i] = rule->groups < 2;
    for (uint32_t n = 0; rule->groups > 1 && n < rule->top_groups; n++) {
        uint32_t size = rule->experts / rule->groups, best = MOE_NONE;
        for (uint32_t g = 0; g < rule->groups; g++)
            if (!r->allowed[g * size] &&
                (best == MOE_NONE || group_worth(rule, r, g) > group_worth(rule, r, best)))
                best = g;
        for (uint32_t i = best * size; i < (best + 1) * size; i++)
            r->allowed[i] = true;
    }
}

/* The place of each chosen expert is the number of chosen ones with more weight. */
static void
weigh(const moe_router_rule *rule, const bool *chosen, reference *r)
{
    double sum = 0;
    for (uint32_t i = 0; i < rule->experts; i++)
        if (chosen[i])
            sum += rule->score == MOE_SCORE_TOPK_SOFTMAX ? exp(r->score[i]) : r->score[i];
    for (uint32_t i = 0; i < rule->experts; i++) {
        uint32_t place = 0;
        for (uint32_t j = 0; j < rule->experts; j++)
            place += chosen[i] && chosen[j] && r->score[j] > r->score[i];
        if (!chosen[i])
            continue;
        r->ids[place] = i;
        r->weights[place] = rule->score == MOE_SCORE_TOPK_SOFTMAX ? exp(r->score[i]) / sum
                            : rule->normalise                     ? r->score[i] / sum
                                                                  : r->score[i];
        r->weights[place] *= (double)rule->scale;
    }
}

static void
read_rule(const moe_router_rule *rule, const float *logits, const float *bias, reference *r)
{
    bool chosen[MOST] = {false};
    double sum = 0;
    for (uint32_t i = 0; i < rule->experts; i++)
        sum += exp((double)logits[i]);
    for (uint32_t i = 0; i < rule->experts; i++) {
        double x = (double)logits[i];
        r->score[i] = rule->score == MOE_SCORE_SOFTMAX   ? exp(x) / sum
                      : rule->score == MOE_SCORE_SIGMOID ? 1 / (1 + exp(-x))
                                                         : x;
        r->choice[i] = r->score[i] + (bias ? (double)bias[i] : 0);
    }
    allow(rule, r);
    for (uint32_t n = 0; n < rule->top_k; n++) {
        uint32_t best = MOE_NONE;
        for (uint32_t i = 0; i < rule->experts; i++)
            if (r->allowed[i] && !chosen[i] && (best == MOE_NONE || r->choice[i] > r->choice[best]))
                best = i;
        chosen[best] = true;
    }
    weigh(rule, chosen, r);
}

static void
against_reference(void)
{
    static const uint32_t group_counts[] = {0, 4, 8};
    for (uint32_t i = 0; i < 3000; i++) {
        moe_stream stream = moe_stream_new(4, "router", i);
        moe_router_rule rule = {
            .score = (moe_score)(i % 3),
            .experts = i & 64 ? 64 : 32,
            .top_k = 1 + (uint32_t)moe_stream_below(&stream, 8),
            .groups = group_counts[moe_stream_below(&stream, 3)],
            .group_score = i & 8 ? MOE_GROUP_TOP_TWO : MOE_GROUP_BEST,
            .normalise = i & 16 && i % 3 != MOE_SCORE_TOPK_SOFTMAX,
            .scale = i & 32 ? 2.5f : 1,
        };
        float logits[MOST], bias[MOST], choice[MOST], weights[MOST];
        uint16_t ids[MOST];
        reference r;
        rule.top_groups = rule.groups / 2;
        for (uint32_t e = 0; e < rule.experts; e++) {
            logits[e] = (float)(6 * moe_stream_unit(&stream) - 3);
            bias[e] = (float)(0.2 * moe_stream_unit(&stream));
        }
        const float *with = i & 4 ? bias : NULL;
        read_rule(&rule, logits, with, &r);
        moe_route(&rule, logits, with, choice, ids, weights);
        for (uint32_t k = 0; k < rule.top_k; k++)
            if (ids[k] != r.ids[k] || fabs((double)weights[k] - r.weights[k]) > 1e-5)
                MOE_CHECK(false, "case %u, place %u: %u %g, not %u %g", i, k, ids[k],
                          (double)weights[k], r.ids[k], r.weights[k]);
    }
}

/* ---- sampling ---- */

static void
samples(void)
{
    float logits[] = {logf(1), logf(2), logf(5), logf(2)};
    uint32_t count[4] = {0};
    CU_ASSERT_EQUAL(moe_sample(logits, 4, 0, 0.99), 2);
    CU_ASSERT_EQUAL(moe_sample(logits, 4, 1, 0.05), 0);
    CU_ASSERT_EQUAL(moe_sample(logits, 4, 1, 0.0), 0);
    CU_ASSERT_EQUAL(moe_sample(logits, 4, 1, 0.999999), 3);
    for (uint32_t i = 0; i < 10000; i++)
        count[moe_sample(logits, 4, 1, i / 10000.0)]++;
    for (int i = 0; i < 4; i++)
        MOE_CHECK(abs((int)count[i] - (int)(1000 * lroundf(expf(logits[i])))) <= 1, "%d: %u", i,
                  count[i]);
    float equal[] = {0, 1, 1};
    CU_ASSERT_EQUAL(moe_sample(equal, 3, 0, 0), 1);
    CU_ASSERT_EQUAL(moe_sample(equal, 3, 1e-30f, 0.9), 2);
}

MOE_TESTS({"softmax", softmax_top_k}, {"correction", corrected},
          {"softmax of top-k", softmax_of_top_k}, {"ties", ties}, {"groups", groups},
          {"not numbers", not_numbers}, {"against a reference", against_reference},
          {"sampling", samples})
