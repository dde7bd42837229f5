#include "traces/synth/fit_private.h"
#include "traces/synth/moments.h"

#include <math.h>
#include <string.h>

#define UNSURE 2e-4 /* uses per token */
#define PAIR_STEP 0.12
#define TRIAL_TOKENS 48000
#define TRIAL_LENGTH 100
#define SLOW_SCALES (MOE_FIT_SCALES - 2) /* those with a lag */
#define FIRST_SLOW 1
#define SLOW_LAG 48

/* Overlap of each layer at the lags of the scales from FIRST_SLOW on. */
static void
overlaps(const moe_pick *pick, uint32_t from, double (*overlap)[SLOW_SCALES])
{
    const moe_routing *routing = pick->routing;
    size_t cells = (size_t)routing->n_layers * routing->n_experts;
    g_autofree double *repeats = g_new(double, cells);
    for (int c = 0; c < SLOW_SCALES; c++) {
        moe_moments_repeats(pick, from, MIN(moe_fit_scales[FIRST_SLOW + c].lag, SLOW_LAG), repeats);
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            overlap[l][c] = 0;
            for (uint32_t e = 0; e < routing->n_experts; e++)
                overlap[l][c] += repeats[(size_t)l * routing->n_experts + e] / routing->k;
        }
    }
}

/* Short sequences, many, each of a domain of its own and without a common opening. */
static moe_routing_file *
trial(const moe_hidden *fitted, uint64_t seed)
{
    moe_hidden hidden = *fitted;
    hidden.n_opening = 0;
    for (uint32_t c = 0; c < hidden.n_components; c++)
        hidden.components[c].next = 0;
    moe_hidden_walk *walk = moe_hidden_walk_new(&hidden);
    if (!walk)
        return NULL;
    g_autofree uint16_t *best = g_new(uint16_t, (size_t)hidden.n_layers * hidden.k);
    moe_routing_builder *builder =
        moe_routing_builder_new(hidden.n_layers, hidden.n_experts, hidden.k);
    for (uint32_t i = 0; i < TRIAL_TOKENS; i++) {
        if (i % TRIAL_LENGTH == 0)
            moe_hidden_walk_begin(walk, seed, i / TRIAL_LENGTH);
        moe_hidden_walk_next(walk, best);
        moe_routing_builder_add(builder, i / TRIAL_LENGTH, i % TRIAL_LENGTH, MOE_DECODE, best,
                                NULL);
    }
    moe_hidden_walk_free(walk);
    return moe_routing_builder_finish(builder, "trial");
}

static void
correct_biases(const struct fit *f, moe_hidden *hidden, const double *uses, double step)
{
    for (size_t i = 0; i < f->cells; i++) {
        double miss = moe_fit_quantile(f->uses[i]) - moe_fit_quantile(uses[i]);
        hidden->bias[i] += (float)(step * CLAMP(miss, -1, 1));
    }
}

/* A scale answers for how much overlap falls between its lag and the next slower one's. */
static void
correct_scale(moe_hidden *hidden, uint32_t layer, int c, double miss, double size)
{
    double factor = exp(CLAMP(0.6 * miss / MAX(size, 0.02), -0.25, 0.25));
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts, first = 0;
    for (int before = 0; before < c; before++)
        first += (size_t)hidden->components[before].rank;
    for (int64_t r = 0; r < hidden->components[c].rank; r++) {
        float *row =
            hidden->loadings + (first + (size_t)r) * cells + (size_t)layer * hidden->n_experts;
        for (uint32_t e = 0; e < hidden->n_experts; e++)
            row[e] *= (float)factor;
    }
}

static void
correct_loadings(const struct fit *f, moe_hidden *hidden, const double (*wanted)[SLOW_SCALES],
                 const double (*got)[SLOW_SCALES])
{
    for (uint32_t l = 0; l < hidden->n_layers; l++) {
        double independent = 0;
        for (uint32_t e = 0; e < hidden->n_experts; e++) {
            double uses = f->uses[(size_t)l * hidden->n_experts + e];
            independent += uses * uses / hidden->k;
        }
        for (int c = 0; c < SLOW_SCALES; c++) {
            double below = c ? wanted[l][c - 1] : independent;
            double miss = wanted[l][c] - got[l][c];
            miss -= c ? wanted[l][c - 1] - got[l][c - 1] : 0;
            correct_scale(hidden, l, FIRST_SLOW + c, miss, wanted[l][c] - below);
        }
    }
}

double *
moe_fit_pairs(const moe_pick *pick, uint32_t from)
{
    const moe_routing *routing = pick->routing;
    const uint32_t n = routing->n_experts;
    double *pairs = g_new0(double, (size_t)routing->n_layers *n *n);
    uint16_t before[MOE_ROUTING_MAX_K], own[MOE_ROUTING_MAX_K];
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < pick->n; i++)
        for (uint64_t t = from; t < moe_pick_length(pick, i); t++, tokens++) {
            uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
            uint32_t n_before = moe_routing_row(routing, row, 0, before);
            for (uint32_t l = 1; l < routing->n_layers; l++) {
                uint32_t n_own = moe_routing_row(routing, row, l, own);
                for (uint32_t a = 0; a < n_before; a++)
                    for (uint32_t b = 0; b < n_own; b++)
                        pairs[((size_t)l * n + before[a]) * n + own[b]]++;
                memcpy(before, own, sizeof before);
                n_before = n_own;
            }
        }
    for (size_t i = 0; i < (size_t)routing->n_layers * n * n; i++)
        pairs[i] /= tokens ? (double)tokens : 1;
    return pairs;
}

/* Each pair moves by the logarithm of how far its frequency, given the first expert, is off;
 * shares below UNSURE uses are not told apart. */
static void
correct_pairs(const struct fit *f, moe_hidden *hidden, const moe_pick *trial, const double *uses)
{
    const uint32_t n = hidden->n_experts;
    g_autofree double *got = moe_fit_pairs(trial, 0);
    for (uint32_t l = 1; l < hidden->n_layers; l++)
        for (uint32_t a = 0; a < n; a++)
            for (uint32_t b = 0; b < n; b++) {
                size_t before = (size_t)(l - 1) * n + a, at = ((size_t)l * n + a) * n + b;
                double wanted = (f->pairs[at] + UNSURE) / (f->uses[before] + UNSURE);
                double have = (got[at] + UNSURE) / (uses[before] + UNSURE);
                double step = PAIR_STEP * log(wanted / have);
                hidden->pairs[at] += (float)CLAMP(step, -0.1, 0.1);
            }
}

bool
moe_fit_try(struct fit *f, moe_hidden *hidden)
{
    double(*wanted)[SLOW_SCALES] = g_malloc_n(hidden->n_layers, sizeof *wanted);
    double(*got)[SLOW_SCALES] = g_malloc_n(hidden->n_layers, sizeof *got);
    overlaps(&f->sample, f->from, wanted);
    bool fits = true;
    for (uint32_t round = 0; fits && round < f->rounds; round++) {
        g_autoptr(moe_routing_file) file = trial(hidden, round);
        fits = file != NULL;
        if (!fits)
            break;
        moe_pick pick = moe_pick_all(moe_routing_get(file));
        g_autofree double *uses = moe_moments_uses(&pick, 0);
        overlaps(&pick, 0, got);
        correct_biases(f, hidden, uses, round * 2 < f->rounds ? 0.8 : 0.5);
        if (f->pairs)
            correct_pairs(f, hidden, &pick, uses);
        correct_loadings(f, hidden, (const double(*)[SLOW_SCALES])wanted,
                         (const double(*)[SLOW_SCALES])got);
        moe_fit_tell(f, MOE_FIT_SCALES + round + 1);
    }
    g_free(wanted);
    g_free(got);
    return fits;
}
