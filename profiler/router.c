/* From a row of router logits to experts and their weights, in single precision and in a fixed
 * order of every operation.
 *
 * An expert is chosen by its score, plus the correction bias where there is one; it is weighted by
 * its score alone. With groups only the experts of the best groups can be chosen. */
#include "profiler/decoder.h"

#include "sim/base/elementary.h"

#include <math.h>

/* What the scores of a row have in common. */
struct scorer {
    const moe_router_rule *rule;
    const float *logits;
    float largest, sum;
};

static void
scorer_open(struct scorer *scorer, const moe_router_rule *rule, const float *logits)
{
    *scorer = (struct scorer){rule, logits, -INFINITY, 0};
    if (rule->score != MOE_SCORE_SOFTMAX)
        return;
    for (uint32_t i = 0; i < rule->experts; i++)
        if (logits[i] > scorer->largest)
            scorer->largest = logits[i];
    for (uint32_t i = 0; i < rule->experts; i++)
        scorer->sum += moe_expf(logits[i] - scorer->largest);
}

static inline float
score(const struct scorer *scorer, uint32_t i)
{
    float logit = scorer->logits[i];
    switch (scorer->rule->score) {
    case MOE_SCORE_SOFTMAX:
        return moe_expf(logit - scorer->largest) / scorer->sum;
    case MOE_SCORE_SIGMOID:
        return 1 / (1 + moe_expf(-logit));
    case MOE_SCORE_TOPK_SOFTMAX:
        break;
    }
    return logit;
}

/* What a group is worth. */
static float
group_score(const moe_router_rule *rule, const float *choice, uint32_t group)
{
    uint32_t size = rule->experts / rule->groups;
    float best = -INFINITY, second = -INFINITY;
    for (uint32_t i = group * size; i < (group + 1) * size; i++) {
        if (choice[i] > best) {
            second = best;
            best = choice[i];
        } else if (choice[i] > second) {
            second = choice[i];
        }
    }
    return rule->group_score == MOE_GROUP_TOP_TWO && size > 1 ? best + second : best;
}

/* In order: falling, ties to the lower index. */
static inline bool
before(float a, uint32_t i, float b, uint32_t j)
{
    return a > b || (!(a < b) && i < j);
}

/* Experts outside the best groups cannot be chosen. The groups are walked in order, from each to
 * the next, down to the last that is kept. */
static void
keep_groups(const moe_router_rule *rule, float *choice)
{
    float last = INFINITY;
    uint32_t last_group = 0, size = rule->experts / rule->groups;
    for (uint32_t n = 0; n < rule->top_groups; n++) {
        float best = -INFINITY;
        uint32_t found = MOE_NONE;
        for (uint32_t g = 0; g < rule->groups; g++) {
            float worth = group_score(rule, choice, g);
            bool later = n == 0 || before(last, last_group, worth, g);
            if (later && (found == MOE_NONE || before(worth, g, best, found))) {
                best = worth;
                found = g;
            }
        }
        if (found == MOE_NONE)
            break;
        last = best;
        last_group = found;
    }
    for (uint32_t g = 0; g < rule->groups; g++)
        if (before(last, last_group, group_score(rule, choice, g), g))
            for (uint32_t i = g * size; i < (g + 1) * size; i++)
                choice[i] = -INFINITY;
}

/* The k experts that are chosen, best first. */
static void
choose(const moe_router_rule *rule, const float *choice, uint16_t *ids)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rule->experts; i++) {
        uint32_t at = n < rule->top_k ? n++ : rule->top_k;
        while (at > 0 && choice[i] > choice[ids[at - 1]]) {
            if (at < rule->top_k)
                ids[at] = ids[at - 1];
            at--;
        }
        if (at < rule->top_k)
            ids[at] = (uint16_t)i;
    }
}

static void
softmax(float *weights, uint32_t n)
{
    float largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        if (weights[i] > largest)
            largest = weights[i];
    for (uint32_t i = 0; i < n; i++)
        sum += weights[i] = moe_expf(weights[i] - largest);
    for (uint32_t i = 0; i < n; i++)
        weights[i] /= sum;
}

static void
sort_by_weight(uint16_t *ids, float *weights, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        uint16_t id = ids[i];
        float weight = weights[i];
        uint32_t at = i;
        for (; at > 0 && before(weight, id, weights[at - 1], ids[at - 1]); at--) {
            ids[at] = ids[at - 1];
            weights[at] = weights[at - 1];
        }
        ids[at] = id;
        weights[at] = weight;
    }
}

void
moe_route(const moe_router_rule *rule, const float *logits, const float *bias, float *choice,
          uint16_t *ids, float *weights)
{
    struct scorer scorer;
    uint32_t k = rule->top_k;

    scorer_open(&scorer, rule, logits);
    for (uint32_t i = 0; i < rule->experts; i++)
        choice[i] = score(&scorer, i) + (bias ? bias[i] : 0);
    if (rule->groups > 1)
        keep_groups(rule, choice);
    choose(rule, choice, ids);

    for (uint32_t i = 0; i < k; i++)
        weights[i] = score(&scorer, ids[i]);
    if (rule->score == MOE_SCORE_TOPK_SOFTMAX)
        softmax(weights, k);
    sort_by_weight(ids, weights, k);
    if (rule->normalise) {
        float sum = 0;
        for (uint32_t i = 0; i < k; i++)
            sum += weights[i];
        for (uint32_t i = 0; i < k; i++)
            weights[i] /= sum + 1e-20f;
    }
    for (uint32_t i = 0; i < k; i++)
        weights[i] *= rule->scale;
}
