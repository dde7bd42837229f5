#include "traces/synth/moments.h"

#include "traces/synth/normal.h"

#include <math.h>
#include <string.h>

#define TERMS 14
#define HALVINGS 13
#define LARGEST 0.97f

/* The cells that a row uses; returns how many. */
static uint32_t
row_cells(const moe_routing *routing, uint64_t row, uint32_t *cells)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < routing->n_layers; l++)
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, row, l, j);
            if (id >= routing->n_experts)
                break;
            cells[n++] = l * routing->n_experts + id;
        }
    return n;
}

double *
moe_moments_uses(const moe_pick *pick, uint32_t from)
{
    const moe_routing *routing = pick->routing;
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    double *uses = g_new0(double, n);
    g_autofree uint32_t *cells = g_new(uint32_t, (size_t)routing->n_layers * routing->k);
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < pick->n; i++)
        for (uint64_t t = from; t < moe_pick_length(pick, i); t++, tokens++) {
            uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
            uint32_t used = row_cells(routing, row, cells);
            for (uint32_t c = 0; c < used; c++)
                uses[cells[c]]++;
        }
    for (size_t c = 0; c < n; c++)
        uses[c] /= tokens ? (double)tokens : 1;
    return uses;
}

/* Adds the pairs of one sequence to counts; returns how many tokens have a partner. */
static uint64_t
count_pairs(const moe_pick *pick, uint32_t i, uint32_t from, uint32_t lag, uint32_t *cells,
            float *counts)
{
    const moe_routing *routing = pick->routing;
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    size_t most = (size_t)routing->n_layers * routing->k;
    uint64_t length = moe_pick_length(pick, i);
    uint32_t *later = cells, *earlier = cells + most;
    for (uint64_t t = from + lag; t < length; t++) {
        uint32_t s = moe_pick_sequence(pick, i);
        uint32_t n_later = row_cells(routing, moe_routing_token(routing, s, t), later);
        uint32_t n_earlier = row_cells(routing, moe_routing_token(routing, s, t - lag), earlier);
        for (uint32_t a = 0; a < n_later; a++) {
            float *row = counts + later[a] * n;
            for (uint32_t b = 0; b < n_earlier; b++)
                row[earlier[b]]++;
        }
    }
    return length > from + lag ? length - from - lag : 0;
}

float *
moe_moments_covariance(const moe_pick *pick, uint32_t from, uint32_t lag, const double *uses)
{
    const moe_routing *routing = pick->routing;
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    float *counts = g_try_new0(float, n *n);
    if (!counts)
        return NULL;
    g_autofree uint32_t *cells = g_new(uint32_t, (size_t)routing->n_layers * routing->k * 2);
    uint64_t pairs = 0;
    for (uint32_t i = 0; i < pick->n; i++)
        pairs += count_pairs(pick, i, from, lag, cells, counts);
    double share = pairs ? 1 / (double)pairs : 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) {
            double both = ((double)counts[a * n + b] + (double)counts[b * n + a]) / 2 * share;
            counts[a * n + b] = counts[b * n + a] = (float)(both - uses[a] * uses[b]);
        }
    return counts;
}

/* out[cell] = uses of sequence i of the pick per token, less those of all. */
static void
own_uses(const moe_pick *pick, uint32_t i, uint32_t from, const double *uses, uint32_t *cells,
         float *out)
{
    size_t n = (size_t)pick->routing->n_layers * pick->routing->n_experts;
    uint64_t length = moe_pick_length(pick, i);
    memset(out, 0, n * sizeof *out);
    for (uint64_t t = from; t < length; t++) {
        uint64_t row = moe_routing_token(pick->routing, moe_pick_sequence(pick, i), t);
        uint32_t used = row_cells(pick->routing, row, cells);
        for (uint32_t c = 0; c < used; c++)
            out[cells[c]]++;
    }
    for (size_t c = 0; c < n; c++)
        out[c] = length > from ? out[c] / (float)(length - from) - (float)uses[c] : 0;
}

float *
moe_moments_neighbours(const moe_pick *pick, uint32_t from, const double *uses)
{
    const moe_routing *routing = pick->routing;
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    float *sums = g_try_new0(float, n *n);
    if (!sums)
        return NULL;
    g_autofree uint32_t *cells = g_new(uint32_t, (size_t)routing->n_layers * routing->k);
    g_autofree float *before = g_new0(float, n), *own = g_new(float, n);
    for (uint32_t i = 0; i < pick->n; i++) {
        own_uses(pick, i, from, uses, cells, own);
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b <= a; b++)
                sums[a * n + b] += own[a] * before[b] + own[b] * before[a];
        float *other = before;
        before = own;
        own = other;
    }
    float share = pick->n > 1 ? 0.5f / (float)(pick->n - 1) : 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++)
            sums[a * n + b] = sums[b * n + a] = sums[a * n + b] * share;
    return sums;
}

void
moe_moments_repeats(const moe_pick *pick, uint32_t from, uint32_t lag, double *repeats)
{
    const moe_routing *routing = pick->routing;
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    size_t most = (size_t)routing->n_layers * routing->k;
    g_autofree uint32_t *cells = g_new(uint32_t, most);
    g_autofree uint64_t *last = g_new(uint64_t, n); /* bit j: used j tokens ago */
    g_autofree uint64_t *seen = g_new(uint64_t, n); /* when that was */
    uint64_t pairs = 0;
    memset(repeats, 0, n * sizeof *repeats);
    moe_assert(lag >= 1 && lag < 64, "lag %u", lag);
    for (uint32_t i = 0; i < pick->n; i++) {
        uint64_t length = moe_pick_length(pick, i);
        memset(last, 0, n * sizeof *last);
        memset(seen, 0, n * sizeof *seen);
        pairs += length > from + lag ? length - from - lag : 0;
        for (uint64_t t = from; t < length; t++) {
            uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
            uint32_t used = row_cells(routing, row, cells);
            for (uint32_t c = 0; c < used; c++) {
                uint64_t ago = t - seen[cells[c]];
                uint64_t bits = ago < 64 ? last[cells[c]] << ago : 0;
                repeats[cells[c]] += (double)(bits >> lag & 1);
                last[cells[c]] = bits | 1;
                seen[cells[c]] = t;
            }
        }
    }
    for (size_t c = 0; c < n; c++)
        repeats[c] /= pairs ? (double)pairs : 1;
}

/* ---- tetrachoric correlations ---- */

/* terms[m][i] = density(t) He_m(t) / sqrt((m + 1)!) */
static void
hermite(const double *uses, size_t n, double fewest, float *terms)
{
    for (size_t i = 0; i < n; i++) {
        bool rare = uses[i] < fewest || uses[i] > 1 - fewest;
        double t = rare ? 0 : moe_normal_quantile(1 - uses[i]);
        double density = rare ? 0 : moe_normal_density(t);
        double before = 0, value = 1, factorial = 1;
        for (uint32_t m = 0; m < TERMS; m++) {
            factorial *= m + 1;
            terms[m * n + i] = (float)(density * value / sqrt(factorial));
            double next = t * value - m * before;
            before = value;
            value = next;
        }
    }
}

static float
tetrachoric(const float coefficients[TERMS], float covariance)
{
    float low = -LARGEST, high = LARGEST;
    for (int i = 0; i < HALVINGS; i++) {
        float r = (low + high) / 2, sum = 0;
        for (int m = TERMS - 1; m >= 0; m--)
            sum = (sum + coefficients[m]) * r;
        if (sum < covariance)
            low = r;
        else
            high = r;
    }
    return (low + high) / 2;
}

void
moe_moments_tetrachoric(float *covariance, const double *uses, size_t n, double fewest)
{
    g_autofree float *terms = g_new(float, TERMS *n);
    hermite(uses, n, fewest, terms);
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) {
            float coefficients[TERMS];
            for (uint32_t m = 0; m < TERMS; m++)
                coefficients[m] = terms[m * n + a] * terms[m * n + b];
            float r = coefficients[0] > 0 ? tetrachoric(coefficients, covariance[a * n + b]) : 0;
            covariance[a * n + b] = covariance[b * n + a] = r;
        }
}
