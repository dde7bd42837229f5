#include "traces/synth/fit.h"

#include "traces/synth/factor.h"
#include "traces/synth/fit_private.h"
#include "traces/synth/moments.h"
#include "traces/synth/normal.h"

#include <math.h>
#include <string.h>

#define LEAST_USES 20       /* of a cell, to be correlated with others */
#define LEAST_NOISE 0.03    /* of the variance of a score */
#define MOST_NUMBERS 200000 /* in a description, which must stay below 1 MiB */
#define MOST_PAIRS 60000    /* the same, for pairs of experts of neighbouring layers */
#define MOST_CELLS 16384

/* Slow to fast. */
const struct fit_scale moe_fit_scales[MOE_FIT_SCALES] = {
    {FIT_DOMAIN, 1e9, 0, 12}, {FIT_LASTING, 1500, 96, 14}, {FIT_LASTING, 40, 16, 12},
    {FIT_LASTING, 5, 3, 10},  {FIT_ECHO, 0, 1, 10},        {FIT_TOKEN, 0, 0, 26},
};
#define SHARES 84
#define DOMAIN_NEXT 0.95 /* neighbours stay alike for some 20 sequences */

static moe_hidden *
fit_new(const moe_routing *routing, uint32_t numbers)
{
    size_t cells = (size_t)routing->n_layers * routing->n_experts;
    uint32_t most = (uint32_t)MAX(MOST_NUMBERS / cells, 10);
    numbers = numbers ? numbers : MIN(SHARES, most);
    moe_hidden_component components[MOE_FIT_SCALES];
    for (int c = 0; c < MOE_FIT_SCALES; c++) {
        const struct fit_scale *scale = &moe_fit_scales[c];
        int64_t rank = (int64_t)(numbers * scale->share / SHARES);
        components[c] = (moe_hidden_component){.lasts = scale->lasts,
                                               .echo = scale->kind == FIT_ECHO,
                                               .next = scale->kind == FIT_DOMAIN ? DOMAIN_NEXT : 0,
                                               .rank = CLAMP(rank, 1, (int64_t)cells)};
    }
    return moe_hidden_new(routing->n_layers, routing->n_experts, routing->k, components,
                          MOE_FIT_SCALES);
}

/* Correlation of a component with itself, `lag` tokens later. */
static double
fit_kept(const struct fit_scale *scale, uint32_t lag)
{
    if (scale->lasts > 0)
        return exp(-(double)lag / scale->lasts);
    return lag == 0 ? 1 : scale->kind == FIT_ECHO && lag == 1 ? 0.5 : 0;
}

/* Correlations at the lag of scale c that the slower scales leave, scaled back to lag 0. */
static float *
fit_rest(const struct fit *f, const moe_hidden *hidden, int c)
{
    const struct fit_scale *scale = &moe_fit_scales[c];
    uint32_t lag = MIN(scale->lag, f->longest_lag);
    float *rest = scale->kind == FIT_DOMAIN
                      ? moe_moments_neighbours(&f->sample, f->from, f->uses)
                      : moe_moments_covariance(&f->sample, f->from, lag, f->uses);
    if (!rest)
        return NULL;
    moe_moments_tetrachoric(rest, f->uses, f->cells, LEAST_USES / (double)f->tokens);
    const float *loadings = hidden->loadings;
    for (int slower = 0; slower < c; slower++) {
        uint32_t rank = (uint32_t)hidden->components[slower].rank;
        moe_factor_subtract(rest, f->cells, rank, loadings,
                            (float)fit_kept(&moe_fit_scales[slower], lag));
        loadings += rank * f->cells;
    }
    double kept = scale->kind == FIT_DOMAIN ? DOMAIN_NEXT : fit_kept(scale, lag);
    for (size_t i = 0; i < f->cells * f->cells; i++)
        rest[i] *= (float)(1 / kept);
    return rest;
}

/* Variance of each cell's score that the scales before c bring. */
static void
fit_variance(const moe_hidden *hidden, int scales, float *variance)
{
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts, n = 0;
    for (int c = 0; c < scales; c++)
        n += (size_t)hidden->components[c].rank;
    memset(variance, 0, cells * sizeof *variance);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < cells; i++)
            variance[i] += hidden->loadings[r * cells + i] * hidden->loadings[r * cells + i];
}

/* Correlations of rare cells are uncertain. Weighted by density / sqrt(uses (1 - uses)) they are
 * about what the correlations of the uses themselves are, which are all equally certain. */
static void
fit_weights(struct fit *f)
{
    f->weight = g_new(float, f->cells);
    for (size_t i = 0; i < f->cells; i++) {
        double uses = CLAMP(f->uses[i], 1e-5, 1 - 1e-5);
        double density = moe_normal_density(moe_normal_quantile(uses));
        f->weight[i] = (float)(density / sqrt(uses * (1 - uses)));
    }
}

/* Loadings of scale c that come nearest to the correlations, which are spoilt. They bring a cell no
 * more variance than the scale's own correlation at the lag says, nor than the slower scales leave;
 * the token's own correlation is not known. */
static void
fit_factor(const struct fit *f, moe_hidden *hidden, int c, float *correlations)
{
    bool open = moe_fit_scales[c].kind == FIT_TOKEN;
    uint32_t rank = (uint32_t)hidden->components[c].rank;
    float *loadings = hidden->loadings;
    for (int before = 0; before < c; before++)
        loadings += (size_t)hidden->components[before].rank * f->cells;
    g_autofree float *most = g_new(float, f->cells);
    fit_variance(hidden, c, most);
    for (size_t i = 0; i < f->cells; i++) {
        float left = MAX(1 - (float)LEAST_NOISE - most[i], 0.05f);
        float own = open ? left : CLAMP(correlations[i * f->cells + i], 0, left);
        most[i] = own * f->weight[i] * f->weight[i];
        for (size_t j = 0; j < f->cells; j++)
            correlations[i * f->cells + j] *= f->weight[i] * f->weight[j];
    }
    if (open)
        moe_factor_open(correlations, f->cells, rank, most, loadings);
    else
        moe_factor(correlations, f->cells, rank, loadings);
    for (size_t i = 0; i < f->cells; i++) {
        float sum = 0;
        for (uint32_t r = 0; r < rank; r++)
            sum += loadings[r * f->cells + i] * loadings[r * f->cells + i];
        float scale = sum > most[i] ? sqrtf(most[i] / sum) : 1;
        for (uint32_t r = 0; r < rank; r++)
            loadings[r * f->cells + i] *= scale / f->weight[i];
    }
}

static bool
fit_loadings(struct fit *f, moe_hidden *hidden)
{
    for (int c = 0; c < MOE_FIT_SCALES; c++) {
        float *rest = fit_rest(f, hidden, c);
        if (!rest)
            return false;
        fit_factor(f, hidden, c, rest);
        g_free(rest);
        moe_fit_tell(f, c + 1);
    }
    return true;
}

/* What loadings leave of a variance of 1 is noise; thresholds are the first guess of biases. */
static void
fit_rest_of_variance(const struct fit *f, moe_hidden *hidden)
{
    for (size_t i = 0; i < f->cells; i++) {
        double common = 0;
        for (uint32_t r = 0; r < hidden->n_numbers; r++) {
            double loading = hidden->loadings[r * f->cells + i];
            common += loading * loading;
        }
        hidden->noise[i] = (float)sqrt(MAX(1 - common, LEAST_NOISE));
        hidden->bias[i] = (float)moe_fit_quantile(f->uses[i]);
    }
}

void
moe_fit_tell(struct fit *f, double done)
{
    if (f->progress)
        f->progress(f->context, done, MOE_FIT_SCALES + f->rounds);
}

/* Of uses, within what a trial can tell from none and all. */
double
moe_fit_quantile(double uses)
{
    return moe_normal_quantile(CLAMP(uses, 1e-5, 1 - 1e-5));
}

static bool
fit_check(const moe_pick *pick, moe_loc where, moe_diag *diag)
{
    const moe_routing *routing = pick->routing;
    size_t cells = (size_t)routing->n_layers * routing->n_experts;
    uint64_t tokens = 0, longest = 0;
    for (uint32_t i = 0; i < pick->n; i++) {
        tokens += moe_pick_length(pick, i);
        longest = MAX(longest, moe_pick_length(pick, i));
    }
    if (cells > MOST_CELLS)
        moe_diag_error(diag, where,
                       "%u layers of %u experts are too many to fit at once (at most %d experts in "
                       "all): cut the layers with `moesim trace transform`",
                       routing->n_layers, routing->n_experts, MOST_CELLS);
    else if (tokens < 256 || longest < 16)
        moe_diag_error(diag, where,
                       "too little to fit: %" G_GUINT64_FORMAT " tokens, at most %" G_GUINT64_FORMAT
                       " of a sequence, not 256 and 16 or more",
                       tokens, longest);
    else if (routing->k >= routing->n_experts)
        moe_diag_error(diag, where, "nothing to fit: every token has all %u experts",
                       routing->n_experts);
    else
        return true;
    return false;
}

static void
fit_lengths(struct fit *f)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < f->sample.n; i++) {
        f->tokens += moe_pick_length(&f->sample, i);
        longest = MAX(longest, moe_pick_length(&f->sample, i));
    }
    f->longest_lag = (uint32_t)MIN(longest / 2, 96);
}

/* Uses per token; where sequences begin alike, without those first tokens. */
static void
fit_uses(struct fit *f, moe_hidden *hidden)
{
    f->uses = moe_moments_uses(&f->sample, 0);
    moe_fit_opening(f, hidden);
    f->from = hidden->n_opening;
    g_free(f->uses);
    f->uses = moe_moments_uses(&f->sample, f->from);
    fit_weights(f);
}

moe_hidden *
moe_fit(const moe_pick *pick, const moe_fit_config *config, moe_loc where, moe_progress *progress,
        void *context, moe_diag *diag)
{
    if (!fit_check(pick, where, diag))
        return NULL;
    const moe_routing *routing = pick->routing;
    g_autofree uint32_t *indices = NULL;
    struct fit f = {.progress = progress, .context = context};
    f.rounds = config->rounds ? config->rounds : 16;
    f.cells = (size_t)routing->n_layers * routing->n_experts;
    f.sample = moe_pick_thinned(pick, config->tokens ? config->tokens : 100000, MOE_NONE, &indices);
    fit_lengths(&f);
    moe_hidden *hidden = fit_new(routing, config->numbers);
    if (hidden)
        fit_uses(&f, hidden);
    bool fits = hidden && fit_loadings(&f, hidden);
    if (fits) {
        fit_rest_of_variance(&f, hidden);
        if (f.cells * routing->n_experts <= MOST_PAIRS && moe_hidden_pair(hidden))
            f.pairs = moe_fit_pairs(&f.sample, f.from);
        fits = moe_fit_try(&f, hidden) && moe_fit_weights(&f, hidden);
    }
    if (!fits) {
        moe_diag_error(diag, where, "no memory to fit it");
        moe_hidden_free(hidden);
        hidden = NULL;
    }
    g_free(f.uses);
    g_free(f.weight);
    g_free(f.pairs);
    return hidden;
}
