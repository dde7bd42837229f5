#include "profiler/routing_draws.h"

#include "sim/base/elementary.h"
#include "sim/base/random.h"
#include "sim/base/units.h"

#include <glib.h>
#include <math.h>
#include <string.h>

typedef struct dealt {
    uint32_t tokens, expert;
} dealt;

static const char power_law[] = "power_law_";

bool
moe_is_power_law(const char *distribution, double *exponent)
{
    size_t n = strlen(power_law);
    return !strncmp(distribution, power_law, n) && moe_parse_real(distribution + n, exponent) &&
           *exponent > 0 && *exponent <= 10;
}

/* ---- balanced ---- */

static void
spread_evenly(const moe_spread *s, uint32_t *all)
{
    int64_t stride = (s->experts + s->top_k - 1) / s->top_k;
    int64_t rounds = s->tokens >= stride ? s->tokens / s->experts : 0;

    for (int64_t e = 0; e < s->experts; e++)
        all[e] = (uint32_t)(rounds * s->top_k);
    for (int64_t t = rounds * s->experts; t < s->tokens; t++)
        for (int64_t j = 0; j < s->top_k; j++) {
            int64_t first = s->tokens >= stride ? t : t * stride / s->tokens;
            all[(first + j * stride) % s->experts]++;
        }
}

/* ---- power law ---- */

/* x^p of x > 0 */
static double
power(double x, double p)
{
    return moe_exp(p * moe_ln(x));
}

static void
draw_shares(const moe_spread *s, double exponent, moe_stream *stream, double *shares)
{
    bool many = s->tokens * s->top_k > s->experts;
    double low = many ? 1 : 0.01, high = many ? 0.8 * (double)s->tokens : 2, sum = 0;
    bool uniform = fabs(exponent - 1) < 1e-9; /* of the logarithm */
    double a = uniform ? moe_ln(low) : power(low, 1 - exponent);
    double b = uniform ? moe_ln(high) : power(high, 1 - exponent);

    for (int64_t e = 0; e < s->experts; e++) {
        double u = (b - a) * moe_stream_unit(stream) + a;
        shares[e] = uniform ? moe_exp(u) : power(u, 1 / (1 - exponent));
        sum += shares[e];
    }
    for (int64_t e = 0; e < s->experts; e++)
        shares[e] /= sum;
}

/* The expert of a rank that can take (give) a token, the least (most) loaded; -1: none. */
static int64_t
best_of(const moe_spread *s, const uint32_t *all, int64_t rank, bool take)
{
    int64_t n = s->experts / s->ranks, best = -1;
    for (int64_t e = rank * n; e < (rank + 1) * n; e++) {
        if (take ? all[e] >= s->tokens : all[e] == 0)
            continue;
        if (best < 0 || (take ? all[e] < all[best] : all[e] > all[best]))
            best = e;
    }
    return best;
}

static void
settle(const moe_spread *s, uint32_t *all, int64_t missing)
{
    bool take = missing > 0;
    for (int64_t rank = 0; missing; rank = (rank + 1) % s->ranks) {
        int64_t e = best_of(s, all, rank, take);
        if (e < 0)
            continue;
        all[e] += take ? 1 : UINT32_MAX;
        missing -= take ? 1 : -1;
    }
}

/* The same as the rule was before: one by one, to (from) the least loaded expert of all, then the
 * next; but what is above the cap, as many as it takes, to one after the other. Of experts that are
 * loaded alike the last comes first. */
static int
least_first(const void *a, const void *b)
{
    const dealt *x = a, *y = b;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? -1 : 1;
    return (x->expert < y->expert) - (x->expert > y->expert);
}

static void
sort_experts(const moe_spread *s, const uint32_t *all, dealt *order)
{
    for (int64_t e = 0; e < s->experts; e++)
        order[e] = (dealt){all[e], (uint32_t)e};
    qsort(order, (size_t)s->experts, sizeof *order, least_first);
}

static void
settle_in_order(const moe_spread *s, uint32_t *all, int64_t above, int64_t missing)
{
    g_autofree dealt *order = g_new(dealt, (size_t)s->experts);

    sort_experts(s, all, order);
    for (int64_t i = 0; i < s->experts && above; i++) {
        uint32_t *to = &all[order[i].expert];
        int64_t n = MIN(above, s->tokens - *to);
        *to += (uint32_t)n;
        above -= n;
    }
    sort_experts(s, all, order);
    for (int64_t i = 0; missing; i++) {
        uint32_t *e = &all[order[i % s->experts].expert];
        if (missing > 0 ? *e >= s->tokens : !*e)
            continue;
        *e += missing > 0 ? 1 : UINT32_MAX;
        missing -= missing > 0 ? 1 : -1;
    }
}

static void
draw_tokens(const moe_spread *s, double exponent, moe_stream *stream, double *shares, uint32_t *all)
{
    int64_t wanted = s->tokens * s->top_k, given = 0, above = 0;

    draw_shares(s, exponent, stream, shares);
    for (int64_t e = 0; e < s->experts; e++) {
        int64_t n = (int64_t)rint(shares[e] * (double)wanted);
        all[e] = (uint32_t)MIN(n, s->tokens);
        given += n;
        above += n - all[e];
    }
    if (s->in_order)
        settle_in_order(s, all, above, wanted - given);
    else
        settle(s, all, wanted - given + above);
}

static int64_t
busiest_rank(const moe_spread *s, const uint32_t *all)
{
    int64_t n = s->experts / s->ranks, best = 0, most = -1;
    for (int64_t rank = 0; rank < s->ranks; rank++) {
        int64_t sum = 0;
        for (int64_t e = rank * n; e < (rank + 1) * n; e++)
            sum += all[e];
        if (sum > most) {
            most = sum;
            best = rank;
        }
    }
    return best;
}

/* ---- what can be ---- */

enum { MOST_GROUPS = 64 };

static const char *
check(const moe_spread *s)
{
    if (s->tokens <= 0 || s->top_k <= 0)
        return "wants loads, or tokens and top_k";
    if (s->experts < s->top_k)
        return "wants experts, at least top_k of them in all";
    if (s->experts > 65533 || s->tokens > 1 << 24 || s->ranks > s->experts)
        return "too many experts, tokens or devices";
    if ((s->groups || s->strays) && s->tokens * s->top_k > 1 << 26)
        return "too many choices to give each token its own";
    if (s->groups && (s->groups > MOST_GROUPS || s->experts % s->groups || s->kept < 1 ||
                      s->kept > s->groups || s->kept * (s->experts / s->groups) < s->top_k))
        return "such groups of experts cannot be";
    return s->experts % s->ranks ? "the experts cannot be shared out evenly" : NULL;
}

/* ---- which tokens ---- */

static int
most_first(const void *a, const void *b)
{
    const dealt *x = a, *y = b;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? 1 : -1;
    return (x->expert > y->expert) - (x->expert < y->expert);
}

/* Experts dealt to the tokens in turn, the most loaded first: choice j of token t is the expert at
 * t + j * tokens. Yours. */
static uint32_t *
deal(const moe_spread *s, const uint32_t *all)
{
    g_autofree dealt *order = g_new(dealt, (size_t)s->experts);
    uint32_t *choices = g_new(uint32_t, (size_t)(s->tokens * s->top_k));
    size_t at = 0;

    for (int64_t e = 0; e < s->experts; e++)
        order[e] = (dealt){all[e], (uint32_t)e};
    qsort(order, (size_t)s->experts, sizeof *order, most_first);
    for (int64_t i = 0; i < s->experts; i++)
        for (uint32_t t = 0; t < order[i].tokens; t++)
            choices[at++] = order[i].expert;
    return choices;
}

/* The same of tokens that are spread evenly. */
static uint32_t *
deal_evenly(const moe_spread *s)
{
    int64_t stride = (s->experts + s->top_k - 1) / s->top_k;
    uint32_t *choices = g_new(uint32_t, (size_t)(s->tokens * s->top_k));

    for (int64_t t = 0; t < s->tokens; t++) {
        int64_t first = s->tokens >= stride ? t : t * stride / s->tokens;
        for (int64_t j = 0; j < s->top_k; j++)
            choices[j * s->tokens + t] = (uint32_t)((first + j * stride) % s->experts);
    }
    return choices;
}

/* Tokens with any choice among the first n experts. */
static int64_t
reached_of(const moe_spread *s, const uint32_t *choices, int64_t n)
{
    int64_t reached = 0;
    for (int64_t t = 0; t < s->tokens; t++) {
        bool here = false;
        for (int64_t j = 0; j < s->top_k && !here; j++)
            here = choices[j * s->tokens + t] < n;
        reached += here;
    }
    return reached;
}

/* Gives what tokens that reach the first n experts chose elsewhere to the first of these. */
static void
take_strays(const moe_spread *s, const uint32_t *choices, uint32_t *all, int64_t n)
{
    int64_t here = 0;
    for (int64_t e = 0; e < n; e++)
        here += all[e];
    all[0] += (uint32_t)(reached_of(s, choices, n) * s->top_k - here);
}

/* ---- groups ---- */

/* Marks the groups that are kept: with two choices and more, with one, others. */
static void
keep_groups(const moe_spread *s, const uint32_t *chosen, bool *kept)
{
    int64_t left = s->kept;
    for (int64_t g = 0; g < s->groups; g++)
        kept[g] = false;
    for (uint32_t score = 3; score-- > 0;)
        for (int64_t g = 0; g < s->groups && left > 0; g++)
            if (!kept[g] && MIN(chosen[g], 2) == score) {
                kept[g] = true;
                left--;
            }
}

/* What the router makes of a token's choices, into `all`. `mine` marks the token's experts, and is
 * empty before and after. */
static void
route(const moe_spread *s, const uint32_t *choices, int64_t t, uint8_t *mine, uint32_t *all)
{
    int64_t size = s->experts / s->groups, lost = 0;
    uint32_t chosen[MOST_GROUPS] = {0};
    bool kept[MOST_GROUPS];

    for (int64_t j = 0; j < s->top_k; j++)
        chosen[choices[j * s->tokens + t] / size]++;
    keep_groups(s, chosen, kept);
    for (int64_t j = 0; j < s->top_k; j++) {
        uint32_t e = choices[j * s->tokens + t];
        mine[e] = 1;
        all[e] += kept[e / size];
        lost += !kept[e / size];
    }
    for (int64_t e = 0; e < s->experts && lost; e++)
        if (kept[e / size] && !mine[e]) {
            all[e]++;
            lost--;
        }
    for (int64_t j = 0; j < s->top_k; j++)
        mine[choices[j * s->tokens + t]] = 0;
}

static void
route_all(const moe_spread *s, const uint32_t *choices, uint32_t *all)
{
    g_autofree uint8_t *mine = g_new0(uint8_t, (size_t)s->experts);
    memset(all, 0, (size_t)s->experts * sizeof *all);
    for (int64_t t = 0; t < s->tokens; t++)
        route(s, choices, t, mine, all);
}

/* ---- since ---- */

/* Distinct experts by the time of their last use: a Fenwick tree. */
static void
tree_add(uint32_t *tree, uint32_t size, uint32_t at, uint32_t by)
{
    for (at++; at <= size; at += at & -at)
        tree[at - 1] += by;
}

static uint32_t
tree_before(const uint32_t *tree, uint32_t at)
{
    uint32_t sum = 0;
    for (; at; at -= at & -at)
        sum += tree[at - 1];
    return sum;
}

/* All draws twice, the second time with what the first left. */
static void
find_since(moe_draws *out, const uint32_t *experts, int64_t n)
{
    uint32_t uses = out->ends[out->n - 1], size = 2 * uses, distinct = 0;
    g_autofree uint32_t *tree = g_new0(uint32_t, size + 1);
    g_autofree uint32_t *last = g_new(uint32_t, (size_t)n);
    memset(last, 0xFF, (size_t)n * sizeof *last);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t *at = &last[experts[i % uses]];
        if (*at == UINT32_MAX) {
            distinct++;
        } else {
            out->since[i % uses] = distinct - tree_before(tree, *at);
            tree_add(tree, size, *at, UINT32_MAX);
        }
        *at = i;
        tree_add(tree, size, i, 1);
    }
}

/* ---- all of it ---- */

static void
keep_busy(moe_draws *out, const uint32_t *all, int64_t n, uint32_t *experts)
{
    uint32_t end = out->n ? out->ends[out->n - 1] : 0;
    for (int64_t e = 0; e < n; e++)
        if (all[e]) {
            experts[end] = (uint32_t)e;
            out->loads[end++] = all[e];
        }
    out->ends[out->n++] = end;
}

/* The busiest rank's experts become the first. */
static void
swap_ranks(const moe_spread *s, uint32_t *all)
{
    int64_t n = s->experts / s->ranks, rank = busiest_rank(s, all);
    for (int64_t e = 0; e < n && rank; e++) {
        uint32_t first = all[e];
        all[e] = all[rank * n + e];
        all[rank * n + e] = first;
    }
}

/* What becomes of the choices; takes them. */
static void
apply_rules(const moe_spread *s, uint32_t *choices, uint32_t *all)
{
    if (s->groups)
        route_all(s, choices, all);
    else if (s->strays)
        take_strays(s, choices, all, s->experts / s->ranks);
    g_free(choices);
}

static void
draw_all(const moe_spread *s, double exponent, moe_draws *out, uint32_t n, uint32_t *experts)
{
    g_autofree uint32_t *all = g_new(uint32_t, (size_t)s->experts);
    g_autofree double *shares = g_new(double, (size_t)s->experts);
    uint64_t entity = (uint64_t)s->tokens;
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->experts);
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->top_k);
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->ranks);
    moe_stream stream = moe_stream_new((uint64_t)rint(exponent * 1e6), "power law", entity);
    for (uint32_t i = 0; i < n; i++) {
        draw_tokens(s, exponent, &stream, shares, all);
        swap_ranks(s, all);
        if (s->groups || s->strays)
            apply_rules(s, deal(s, all), all);
        keep_busy(out, all, s->experts / s->ranks, experts);
    }
}

const char *
moe_draws_make(const moe_spread *s, const char *distribution, moe_draws *out)
{
    bool balanced = !strcmp(distribution, "balanced");
    double exponent = 0;

    if (!balanced && !moe_is_power_law(distribution, &exponent))
        return "wants loads or distinct: only balanced, single and power_law_A (such as "
               "power_law_1.2) say how tokens spread";
    const char *wrong = check(s);
    if (wrong)
        return wrong;
    size_t local = (size_t)(s->experts / s->ranks);
    uint32_t n = balanced ? 1 : MOE_POWER_LAW_DRAWS;
    g_autofree uint32_t *experts = g_new(uint32_t, n * local);
    *out = (moe_draws){
        .loads = g_new(uint32_t, n * local),
        .ends = g_new(uint32_t, n),
        .since = g_new(uint32_t, n * local),
    };
    if (balanced) {
        g_autofree uint32_t *all = g_new(uint32_t, (size_t)s->experts);
        spread_evenly(s, all);
        if (s->groups || s->strays)
            apply_rules(s, deal_evenly(s), all);
        keep_busy(out, all, (int64_t)local, experts);
    } else {
        draw_all(s, exponent, out, n, experts);
    }
    if (out->ends[out->n - 1])
        find_since(out, experts, (int64_t)local);
    return NULL;
}

void
moe_draws_clear(moe_draws *draws)
{
    g_free(draws->loads);
    g_free(draws->ends);
    g_free(draws->since);
    *draws = (moe_draws){0};
}
