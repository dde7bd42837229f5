#include "traces/synth/compare.h"

#include "traces/stats/affinity.h"
#include "traces/stats/coverage.h"
#include "traces/stats/curve.h"
#include "traces/stats/overlap.h"

#include <math.h>
#include <string.h>

#define MOST_BATCH 128

/* What is measured of one side. */
typedef struct side {
    const moe_pick *pick;
    moe_popularity *popularity;
    moe_overlap *overlap;
    moe_affinity *affinity;
    moe_coverage *decode;
    double *consecutive; /* [8][n_layers]: distinct experts of 1, 2, 4 … 128 tokens in a row */
    moe_curve *lru[2], *belady[2]; /* per layer, one for all */
} side;

/* ---- distinct experts of tokens in a row ---- */

static void
count_run(const moe_pick *pick, uint32_t i, uint64_t from, uint32_t batch, uint64_t *stamps,
          uint64_t stamp, double *distinct)
{
    const moe_routing *routing = pick->routing;
    for (uint64_t t = from; t < from + batch; t++) {
        uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
        for (uint32_t l = 0; l < routing->n_layers; l++)
            for (uint32_t j = 0; j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, row, l, j);
                if (id >= routing->n_experts)
                    break;
                uint64_t *seen = &stamps[(size_t)l * routing->n_experts + id];
                distinct[l] += *seen != stamp;
                *seen = stamp;
            }
    }
}

static double *
measure_consecutive(const moe_pick *pick)
{
    const moe_routing *routing = pick->routing;
    double *distinct = g_new0(double, 8 * (size_t)routing->n_layers);
    g_autofree uint64_t *stamps = g_new0(uint64_t, (size_t)routing->n_layers * routing->n_experts);
    uint64_t stamp = 0;
    for (uint32_t size = 0; size < 8; size++) {
        uint32_t batch = 1u << size;
        uint64_t batches = 0;
        double *of = distinct + (size_t)size * routing->n_layers;
        for (uint32_t i = 0; i < pick->n; i++)
            for (uint64_t t = 0; t + batch <= moe_pick_length(pick, i); t += batch, batches++)
                count_run(pick, i, t, batch, stamps, ++stamp, of);
        for (uint32_t l = 0; l < routing->n_layers; l++)
            of[l] = batches ? of[l] / (double)batches : (double)NAN;
    }
    return distinct;
}

/* ---- both sides ---- */

static moe_curve *
measure_curve(const moe_pick *pick, moe_curve_policy policy, bool per_layer)
{
    moe_curve_config config = {
        .policy = policy,
        .per_layer = per_layer,
        .together = true,
        .cold = true,
        .first_fill_hit = true,
    };
    return moe_curve_new(pick, &config, NULL, NULL);
}

static void
side_measure(side *s, const moe_pick *pick)
{
    *s = (side){.pick = pick,
                .popularity = moe_popularity_new(pick->routing),
                .overlap = moe_overlap_new(pick->routing),
                .affinity = moe_affinity_new(pick->routing)};
    const moe_block_user users[] = {{moe_popularity_add, s->popularity},
                                    {moe_overlap_add, s->overlap},
                                    {moe_affinity_add, s->affinity}};
    moe_sweep(pick, users, s->affinity ? 3 : 2, NULL, NULL);
    s->decode = moe_coverage_new(pick, MOE_DECODE, NULL, NULL);
    s->consecutive = measure_consecutive(pick);
    for (int scope = 0; scope < 2; scope++) {
        s->lru[scope] = measure_curve(pick, MOE_CURVE_LRU, scope == 0);
        s->belady[scope] = measure_curve(pick, MOE_CURVE_BELADY, scope == 0);
    }
}

static void
side_clear(side *s)
{
    moe_popularity_free(s->popularity);
    moe_overlap_free(s->overlap);
    if (s->affinity)
        moe_affinity_free(s->affinity);
    moe_coverage_free(s->decode);
    g_free(s->consecutive);
    for (int scope = 0; scope < 2; scope++) {
        moe_curve_free(s->lru[scope]);
        moe_curve_free(s->belady[scope]);
    }
}

/* ---- statistics, by layer or MOE_NONE, and parameter ---- */

typedef double compare_value(const side *s, uint32_t layer, uint32_t parameter);

static double
mean_over_layers(compare_value *value, const side *s, uint32_t from, uint32_t parameter)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t l = from; l < s->pick->routing->n_layers; l++) {
        double one = value(s, l, parameter);
        if (isnan(one))
            continue;
        sum += one;
        n++;
    }
    return n ? sum / n : (double)NAN;
}

static double
value_busiest(const side *s, uint32_t layer, uint32_t parameter)
{
    if (layer == MOE_NONE)
        return mean_over_layers(value_busiest, s, 0, parameter);
    const moe_popularity *p = s->popularity;
    return moe_popularity_spread(p->counts + (size_t)layer * p->n_experts, p->n_experts,
                                 p->tokens[layer])
        .max_over_mean;
}

static double
value_overlap(const side *s, uint32_t layer, uint32_t lag)
{
    return moe_overlap_at(s->overlap, layer, lag);
}

static double
value_affinity(const side *s, uint32_t layer, uint32_t parameter)
{
    if (layer == MOE_NONE)
        return mean_over_layers(value_affinity, s, 1, parameter);
    return layer && s->affinity ? moe_affinity_of(s->affinity, layer).mass : (double)NAN;
}

static uint32_t
size_of(uint32_t batch)
{
    uint32_t size = 0;
    while (1u << size < batch)
        size++;
    return size;
}

static double
value_decode(const side *s, uint32_t layer, uint32_t batch)
{
    return moe_coverage_mean(s->decode, layer, size_of(batch)) / s->pick->routing->n_experts;
}

static double
value_consecutive(const side *s, uint32_t layer, uint32_t batch)
{
    if (layer == MOE_NONE)
        return mean_over_layers(value_consecutive, s, 0, batch);
    const moe_routing *routing = s->pick->routing;
    return s->consecutive[(size_t)size_of(batch) * routing->n_layers + layer] / routing->n_experts;
}

static double
value_layer_lru(const side *s, uint32_t layer, uint32_t slots)
{
    return 1 - moe_curve_hit_rate(s->lru[0], layer, slots);
}

static double
value_layer_belady(const side *s, uint32_t layer, uint32_t slots)
{
    return 1 - moe_curve_hit_rate(s->belady[0], layer, slots);
}

static double
value_model_lru(const side *s, uint32_t layer, uint32_t slots)
{
    return layer == MOE_NONE ? 1 - moe_curve_hit_rate(s->lru[1], MOE_NONE, slots) : (double)NAN;
}

static double
value_model_belady(const side *s, uint32_t layer, uint32_t slots)
{
    return layer == MOE_NONE ? 1 - moe_curve_hit_rate(s->belady[1], MOE_NONE, slots) : (double)NAN;
}

/* ---- comparing ---- */

typedef struct comparing {
    const side *a, *b;
    GArray *rows;
} comparing;

/* Half of the sum of |share - share| of a layer. */
static double
variation(const comparing *c, uint32_t layer)
{
    const moe_popularity *a = c->a->popularity, *b = c->b->popularity;
    size_t first = (size_t)layer * a->n_experts;
    double sum = 0, sum_a = 0, sum_b = 0;
    for (uint32_t e = 0; e < a->n_experts; e++) {
        sum_a += (double)a->counts[first + e];
        sum_b += (double)b->counts[first + e];
    }
    for (uint32_t e = 0; e < a->n_experts && sum_a > 0 && sum_b > 0; e++)
        sum += fabs((double)a->counts[first + e] / sum_a - (double)b->counts[first + e] / sum_b);
    return sum / 2;
}

MOE_PRINTF(5, 6)
static void
compare_one(comparing *c, const char *name, compare_value *value, uint32_t parameter,
            const char *fmt, ...)
{
    moe_compared row = {.name = name, .worst = (double)NAN, .halves = (double)NAN};
    va_list args;
    va_start(args, fmt);
    g_vsnprintf(row.parameter, sizeof row.parameter, fmt, args);
    va_end(args);
    row.first = value(c->a, MOE_NONE, parameter);
    row.second = value(c->b, MOE_NONE, parameter);
    row.distance = fabs(row.first - row.second);
    if (isnan(row.distance))
        return;
    for (uint32_t l = 0; l < c->a->pick->routing->n_layers; l++) {
        double apart = fabs(value(c->a, l, parameter) - value(c->b, l, parameter));
        if (!isnan(apart) && !(apart <= row.worst))
            row.worst = apart;
    }
    g_array_append_val(c->rows, row);
}

static void
compare_popularity(comparing *c)
{
    uint32_t n_layers = c->a->pick->routing->n_layers;
    compare_one(c, "popularity", value_busiest, 0, "busiest/mean");
    if (!c->rows->len)
        return;
    moe_compared *row = &g_array_index(c->rows, moe_compared, c->rows->len - 1);
    row->distance = row->worst = 0;
    for (uint32_t l = 0; l < n_layers; l++) {
        double apart = variation(c, l);
        row->distance += apart / n_layers;
        row->worst = MAX(row->worst, apart);
    }
}

static void
compare_all(comparing *c)
{
    const moe_routing *routing = c->a->pick->routing;
    compare_popularity(c);
    for (uint32_t lag = 1; lag <= MOE_OVERLAP_LAGS; lag += lag < 16 ? 1 : lag)
        compare_one(c, "overlap", value_overlap, lag, "lag=%u", lag);
    compare_one(c, "affinity mass", value_affinity, 0, "%s", "");
    for (uint32_t b = 1; b <= MOST_BATCH; b *= 2)
        compare_one(c, "coverage, decode", value_decode, b, "batch=%u", b);
    for (uint32_t b = 1; b <= MOST_BATCH; b *= 2)
        compare_one(c, "coverage, consecutive", value_consecutive, b, "batch=%u", b);
    for (uint32_t n = 1; n <= routing->n_experts; n++)
        compare_one(c, "misses of LRU, layer", value_layer_lru, n, "slots=%u", n);
    for (uint32_t n = 1; n <= routing->n_experts; n++)
        compare_one(c, "misses of Belady, layer", value_layer_belady, n, "slots=%u", n);
    uint32_t all = c->a->lru[1]->n_objects;
    for (uint32_t n = 1; n <= all; n++)
        compare_one(c, "misses of LRU, model", value_model_lru, n, "slots=%u", n);
    for (uint32_t n = 1; n <= all; n++)
        compare_one(c, "misses of Belady, model", value_model_belady, n, "slots=%u", n);
}

/* Rows of two picks of one shape. */
static GArray *
compare_picks(const moe_pick *first, const moe_pick *second)
{
    side sides[2];
    side_measure(&sides[0], first);
    side_measure(&sides[1], second);
    comparing c = {&sides[0], &sides[1], g_array_new(FALSE, FALSE, sizeof(moe_compared))};
    compare_all(&c);
    side_clear(&sides[0]);
    side_clear(&sides[1]);
    return c.rows;
}

GArray *
moe_compare(const moe_pick *first, const moe_pick *second, moe_diag *diag)
{
    const moe_routing *a = first->routing, *b = second->routing;
    if (a->n_layers != b->n_layers || a->n_experts != b->n_experts || a->k != b->k) {
        moe_diag_error(diag, (moe_loc){.file = b->path},
                       "%u layers, %u experts, top-%u; %s has %u, %u, top-%u: they cannot be "
                       "compared",
                       b->n_layers, b->n_experts, b->k, a->path, a->n_layers, a->n_experts, a->k);
        return NULL;
    }
    return compare_picks(first, second);
}

/* The rows of halves are those of wholes, in the same order, or fewer. */
void
moe_compare_halves(const moe_pick *first, GArray *rows)
{
    if (first->n < 2)
        return;
    g_autofree uint32_t *indices = g_new(uint32_t, first->n);
    uint32_t evens = (first->n + 1) / 2;
    for (uint32_t i = 0; i < first->n; i++)
        indices[i % 2 * evens + i / 2] = moe_pick_sequence(first, i);
    moe_pick even = {.routing = first->routing, .sequences = indices, .n = evens};
    moe_pick odd = {.routing = first->routing, .sequences = indices + evens, .n = first->n - evens};
    g_autoptr(GArray) of_halves = compare_picks(&even, &odd);
    for (size_t i = 0, h = 0; i < rows->len && h < of_halves->len; i++) {
        moe_compared *row = &g_array_index(rows, moe_compared, i);
        const moe_compared *half = &g_array_index(of_halves, moe_compared, h);
        if (strcmp(row->name, half->name) != 0 || strcmp(row->parameter, half->parameter) != 0)
            continue;
        row->halves = half->distance;
        h++;
    }
}
