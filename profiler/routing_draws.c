#include "profiler/routing_draws.h"

#include "sim/base/elementary.h"
#include "sim/base/random.h"
#include "sim/base/units.h"

#include <glib.h>
#include <math.h>
#include <string.h>

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

static void
draw_tokens(const moe_spread *s, double exponent, moe_stream *stream, double *shares, uint32_t *all)
{
    int64_t wanted = s->tokens * s->top_k, given = 0;

    draw_shares(s, exponent, stream, shares);
    for (int64_t e = 0; e < s->experts; e++) {
        int64_t n = (int64_t)rint(shares[e] * (double)wanted);
        all[e] = (uint32_t)MIN(n, s->tokens);
        given += all[e];
    }
    settle(s, all, wanted - given);
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

/* ---- all ---- */

static const char *
check(const moe_spread *s)
{
    if (s->tokens <= 0 || s->top_k <= 0)
        return "wants loads, or tokens and top_k";
    if (s->experts < s->top_k)
        return "wants experts, at least top_k of them in all";
    if (s->experts > 65533 || s->tokens > 1 << 24 || s->ranks > s->experts)
        return "too many experts, tokens or devices";
    return s->experts % s->ranks ? "the experts cannot be shared out evenly" : NULL;
}

/* ---- strays ---- */

typedef struct dealt {
    uint32_t tokens, expert;
} dealt;

static int
most_first(const void *a, const void *b)
{
    const dealt *x = a, *y = b;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? 1 : -1;
    return (x->expert > y->expert) - (x->expert < y->expert);
}

/* Tokens with any choice among n experts from `first`, when they were dealt in turn. */
static int64_t
reached_by_deal(const moe_spread *s, const uint32_t *all, int64_t first, int64_t n)
{
    g_autofree dealt *order = g_new(dealt, (size_t)s->experts);
    g_autofree uint8_t *hit = g_new0(uint8_t, (size_t)s->tokens);
    int64_t at = 0, reached = 0;

    for (int64_t e = 0; e < s->experts; e++)
        order[e] = (dealt){all[e], (uint32_t)e};
    qsort(order, (size_t)s->experts, sizeof *order, most_first);
    for (int64_t i = 0; i < s->experts; i++) {
        bool here = order[i].expert >= first && order[i].expert < first + n;
        for (uint32_t t = 0; t < order[i].tokens && here; t++) {
            uint8_t *token = &hit[(at + t) % s->tokens];
            reached += !*token;
            *token = 1;
        }
        at = (at + order[i].tokens) % s->tokens;
    }
    return reached;
}

/* The same of the first n experts, of tokens that are spread evenly. */
static int64_t
reached_evenly(const moe_spread *s, int64_t n)
{
    int64_t stride = (s->experts + s->top_k - 1) / s->top_k, reached = 0;

    for (int64_t t = 0; t < s->tokens; t++) {
        int64_t first = s->tokens >= stride ? t : t * stride / s->tokens;
        bool here = false;
        for (int64_t j = 0; j < s->top_k && !here; j++)
            here = (first + j * stride) % s->experts < n;
        reached += here;
    }
    return reached;
}

/* Gives what `reached` tokens chose elsewhere to the first of n experts. */
static void
take_strays(const moe_spread *s, int64_t reached, uint32_t *own, int64_t n)
{
    int64_t here = 0;
    for (int64_t e = 0; e < n; e++)
        here += own[e];
    own[0] += (uint32_t)(reached * s->top_k - here);
}

static void
keep_busy(moe_draws *out, const uint32_t *all, int64_t n)
{
    uint32_t end = out->n ? out->ends[out->n - 1] : 0;
    for (int64_t e = 0; e < n; e++)
        if (all[e])
            out->loads[end++] = all[e];
    out->ends[out->n++] = end;
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
    int64_t local = s->experts / s->ranks;
    uint32_t n = balanced ? 1 : MOE_POWER_LAW_DRAWS;
    g_autofree uint32_t *all = g_new(uint32_t, (size_t)s->experts);
    g_autofree double *shares = g_new(double, (size_t)s->experts);
    *out = (moe_draws){g_new(uint32_t, n * (size_t)local), g_new(uint32_t, n), 0};
    if (balanced) {
        spread_evenly(s, all);
        if (s->strays)
            take_strays(s, reached_evenly(s, local), all, local);
        keep_busy(out, all, local);
        return NULL;
    }
    uint64_t entity = (uint64_t)s->tokens;
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->experts);
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->top_k);
    entity = moe_mix64(entity * 0x9E3779B97F4A7C15u + (uint64_t)s->ranks);
    moe_stream stream = moe_stream_new((uint64_t)rint(exponent * 1e6), "power law", entity);
    for (uint32_t i = 0; i < n; i++) {
        draw_tokens(s, exponent, &stream, shares, all);
        int64_t first = busiest_rank(s, all) * local;
        if (s->strays)
            take_strays(s, reached_by_deal(s, all, first, local), all + first, local);
        keep_busy(out, all + first, local);
    }
    return NULL;
}

void
moe_draws_clear(moe_draws *draws)
{
    g_free(draws->loads);
    g_free(draws->ends);
    *draws = (moe_draws){0};
}
