#include "traces/synth/hidden.h"

#include "sim/base/elementary.h"
#include "traces/synth/normal.h"

#include <math.h>
#include <string.h>

#define MOE_HIDDEN_MAX_K 256
#define RENEWALS 10 /* of a component, in the time that it lasts */

moe_hidden *
moe_hidden_new(uint32_t n_layers, uint32_t n_experts, uint32_t k,
               const moe_hidden_component *components, uint32_t n_components)
{
    moe_assert(n_components <= MOE_HIDDEN_COMPONENTS, "%u components", n_components);
    moe_hidden *hidden = g_new0(moe_hidden, 1);
    size_t cells = (size_t)n_layers * n_experts;
    *hidden = (moe_hidden){n_layers, n_experts, k, n_components};
    for (uint32_t c = 0; c < n_components; c++) {
        hidden->components[c] = components[c];
        hidden->n_numbers += (uint32_t)components[c].rank;
    }
    hidden->bias = g_try_new0(float, cells);
    hidden->noise = g_try_new0(float, cells);
    hidden->loadings = g_try_new0(float, cells *MAX(hidden->n_numbers, 1));
    hidden->sharpness = g_try_new0(float, n_layers);
    if (hidden->bias && hidden->noise && hidden->loadings && hidden->sharpness)
        return hidden;
    moe_hidden_free(hidden);
    return NULL;
}

void
moe_hidden_free(moe_hidden *hidden)
{
    if (!hidden)
        return;
    g_free(hidden->bias);
    g_free(hidden->noise);
    g_free(hidden->loadings);
    g_free(hidden->sharpness);
    g_free(hidden->opening);
    g_free(hidden->pairs);
    g_free(hidden);
}

bool
moe_hidden_pair(moe_hidden *hidden)
{
    size_t pairs = (size_t)hidden->n_layers * hidden->n_experts * hidden->n_experts;
    if (!hidden->pairs)
        hidden->pairs = g_try_new0(float, pairs);
    return hidden->pairs != NULL;
}

void
moe_hidden_open(moe_hidden *hidden, uint32_t n_opening)
{
    moe_assert(n_opening <= MOE_HIDDEN_OPENING && !hidden->opening, "%u tokens", n_opening);
    hidden->n_opening = n_opening;
    hidden->opening = g_new0(uint16_t, (size_t)MAX(n_opening, 1) * hidden->n_layers * hidden->k);
}

/* ---- walking ---- */

struct moe_hidden_walk {
    const moe_hidden *hidden;
    uint32_t period[MOE_HIDDEN_COMPONENTS]; /* tokens between renewals */
    float kept[MOE_HIDDEN_COMPONENTS];      /* correlation from one renewal to the next */
    float fresh[MOE_HIDDEN_COMPONENTS];     /* sqrt(1 - kept^2) */
    float follow[MOE_HIDDEN_COMPONENTS];    /* correlation from sequence to sequence */
    float anew[MOE_HIDDEN_COMPONENTS];      /* sqrt(1 - follow^2) */
    moe_stream states, noises, openings;
    uint64_t sequence, token;
    float *z;     /* [n_numbers] */
    float *drawn; /* [n_numbers]: of an echo, this token's draw */
    float *begun; /* [n_numbers]: at the start of the sequence */
    float *parts; /* [n_components][cells]: of the scores */
    float *scores;
    float normal[MOE_NORMAL_SIZE];
};

moe_hidden_walk *
moe_hidden_walk_new(const moe_hidden *hidden)
{
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts;
    moe_hidden_walk *walk = g_new0(moe_hidden_walk, 1);
    walk->hidden = hidden;
    walk->z = g_try_new0(float, MAX(hidden->n_numbers, 1));
    walk->drawn = g_try_new0(float, MAX(hidden->n_numbers, 1));
    walk->begun = g_try_new0(float, MAX(hidden->n_numbers, 1));
    walk->parts = g_try_new0(float, cells *MAX(hidden->n_components, 1));
    walk->scores = g_try_new(float, cells);
    if (!walk->z || !walk->drawn || !walk->begun || !walk->parts || !walk->scores) {
        moe_hidden_walk_free(walk);
        return NULL;
    }
    for (uint32_t c = 0; c < hidden->n_components; c++) {
        double lasts = hidden->components[c].lasts;
        walk->period[c] = lasts >= 2 * RENEWALS ? (uint32_t)(lasts / RENEWALS) : 1;
        double kept = lasts > 0 ? moe_exp(-(double)walk->period[c] / lasts) : 0;
        walk->kept[c] = (float)kept;
        walk->fresh[c] = (float)sqrt(1 - kept * kept);
        double next = hidden->components[c].next;
        walk->follow[c] = (float)next;
        walk->anew[c] = (float)sqrt(1 - next * next);
    }
    moe_normal_table(walk->normal);
    return walk;
}

void
moe_hidden_walk_free(moe_hidden_walk *walk)
{
    if (!walk)
        return;
    g_free(walk->z);
    g_free(walk->drawn);
    g_free(walk->begun);
    g_free(walk->parts);
    g_free(walk->scores);
    g_free(walk);
}

void
moe_hidden_walk_begin(moe_hidden_walk *walk, uint64_t seed, uint64_t sequence)
{
    walk->states = moe_stream_new(seed, "hidden-state", sequence);
    walk->noises = moe_stream_new(seed, "hidden-noise", sequence);
    walk->openings = moe_stream_new(seed, "hidden-opening", sequence);
    walk->sequence = sequence;
    walk->token = 0;
}

static float
walk_normal(moe_hidden_walk *walk)
{
    return walk->normal[moe_stream_next(&walk->states) >> (64 - MOE_NORMAL_BITS)];
}

/* out += the loadings of `n` numbers times those; four at a time, so that out is read less. */
static void
walk_add(float *restrict out, const float *restrict loading, const float *z, uint32_t n,
         size_t cells)
{
    for (; n >= 4; n -= 4, z += 4, loading += 4 * cells) {
        const float *a = loading, *b = a + cells, *c = b + cells, *d = c + cells;
        float za = z[0], zb = z[1], zc = z[2], zd = z[3];
        for (size_t i = 0; i < cells; i++)
            out[i] += (a[i] * za + b[i] * zb) + (c[i] * zc + d[i] * zd);
    }
    for (; n > 0; n--, z++, loading += cells)
        for (size_t i = 0; i < cells; i++)
            out[i] += loading[i] * *z;
}

/* The number r of component c at the first token of a sequence. */
static void
walk_start(moe_hidden_walk *walk, uint32_t c, size_t r)
{
    float follow = walk->sequence ? walk->follow[c] : 0, anew = walk->sequence ? walk->anew[c] : 1;
    walk->begun[r] = follow * walk->begun[r] + anew * walk_normal(walk);
    walk->z[r] = walk->begun[r];
    walk->drawn[r] = walk->begun[r];
}

/* The same at a later one. */
static void
walk_follow(moe_hidden_walk *walk, uint32_t c, size_t r)
{
    float before = walk->drawn[r];
    walk->drawn[r] = walk_normal(walk);
    if (walk->hidden->components[c].echo)
        walk->z[r] = (walk->drawn[r] + before) * 0.70710678f;
    else
        walk->z[r] = walk->kept[c] * walk->z[r] + walk->fresh[c] * walk->drawn[r];
}

static void
walk_renew(moe_hidden_walk *walk)
{
    const moe_hidden *hidden = walk->hidden;
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts, first = 0;
    for (uint32_t c = 0; c < hidden->n_components; c++) {
        uint32_t rank = (uint32_t)hidden->components[c].rank;
        if (walk->token % walk->period[c] == 0) {
            for (size_t r = first; r < first + rank; r++) {
                if (walk->token)
                    walk_follow(walk, c, r);
                else
                    walk_start(walk, c, r);
            }
            float *part = walk->parts + c * cells;
            memset(part, 0, cells * sizeof *part);
            walk_add(part, hidden->loadings + first * cells, walk->z + first, rank, cells);
        }
        first += rank;
    }
}

/* Bias, components, and noise: five draws of MOE_NORMAL_BITS bits from each random word. */
static void
walk_score(moe_hidden_walk *walk)
{
    const moe_hidden *hidden = walk->hidden;
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts;
    float *scores = walk->scores;
    uint64_t word = 0;
    for (size_t i = 0; i < cells; i++) {
        word = i % 5 ? word >> MOE_NORMAL_BITS : moe_stream_next(&walk->noises);
        scores[i] = hidden->bias[i] + hidden->noise[i] * walk->normal[word & (MOE_NORMAL_SIZE - 1)];
    }
    for (uint32_t c = 0; c < hidden->n_components; c++) {
        const float *part = walk->parts + c * cells;
        for (size_t i = 0; i < cells; i++)
            scores[i] += part[i];
    }
}

/* The k highest of n, in falling order: an insertion sort that few of them enter. */
static void
walk_best(const float *scores, uint32_t n, uint32_t k, uint16_t *best)
{
    float value[MOE_HIDDEN_MAX_K];
    uint32_t held = 0;
    for (uint32_t e = 0; e < n; e++) {
        if (held == k && !(scores[e] > value[k - 1]))
            continue;
        uint32_t at = held < k ? held++ : k - 1;
        for (; at > 0 && scores[e] > value[at - 1]; at--) {
            value[at] = value[at - 1];
            best[at] = best[at - 1];
        }
        value[at] = scores[e];
        best[at] = (uint16_t)e;
    }
}

/* Puts the chosen in falling order of score. */
static void
walk_sort(const float *scores, uint32_t k, uint16_t *chosen)
{
    for (uint32_t j = 1; j < k; j++) {
        uint16_t id = chosen[j];
        uint32_t at = j;
        for (; at > 0 && scores[id] > scores[chosen[at - 1]]; at--)
            chosen[at] = chosen[at - 1];
        chosen[at] = id;
    }
}

static void
walk_pairs(const moe_hidden *hidden, uint32_t layer, const uint16_t *before, float *restrict scores)
{
    const uint32_t n = hidden->n_experts;
    for (uint32_t j = 0; j < hidden->k; j++) {
        const float *row = hidden->pairs + ((size_t)layer * n + before[j]) * n;
        for (uint32_t e = 0; e < n; e++)
            scores[e] += row[e];
    }
}

void
moe_hidden_walk_next(moe_hidden_walk *walk, uint16_t *best)
{
    const moe_hidden *hidden = walk->hidden;
    size_t choices = (size_t)hidden->n_layers * hidden->k;
    walk_renew(walk);
    walk_score(walk);
    if (walk->token < hidden->n_opening &&
        moe_stream_unit(&walk->openings) < hidden->opening_share[walk->token]) {
        memcpy(best, hidden->opening + walk->token++ * choices, choices * sizeof *best);
        for (uint32_t l = 0; l < hidden->n_layers; l++)
            walk_sort(walk->scores + (size_t)l * hidden->n_experts, hidden->k,
                      best + (size_t)l * hidden->k);
        return;
    }
    for (uint32_t l = 0; l < hidden->n_layers; l++) {
        float *of_layer = walk->scores + (size_t)l * hidden->n_experts;
        uint16_t *chosen = best + (size_t)l * hidden->k;
        if (l > 0 && hidden->pairs)
            walk_pairs(hidden, l, chosen - hidden->k, of_layer);
        walk_best(of_layer, hidden->n_experts, hidden->k, chosen);
    }
    walk->token++;
}

const float *
moe_hidden_walk_scores(const moe_hidden_walk *walk)
{
    return walk->scores;
}

void
moe_hidden_weights(const moe_hidden *hidden, uint32_t layer, const float *scores, float *weights)
{
    double sharpness = hidden->sharpness[layer], sum = 0, power[MOE_HIDDEN_MAX_K];
    float highest = scores[0];
    for (uint32_t j = 1; j < hidden->k; j++)
        highest = MAX(highest, scores[j]);
    for (uint32_t j = 0; j < hidden->k; j++) {
        power[j] = moe_exp(sharpness * ((double)scores[j] - (double)highest));
        sum += power[j];
    }
    for (uint32_t j = 0; j < hidden->k; j++)
        weights[j] = (float)(power[j] / sum);
}
