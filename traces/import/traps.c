#include "traces/import/traps.h"

#include "sim/base/random.h"
#include "traces/import/traps_state.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define TRAPS_MAX_ERRORS 20
#define TRAPS_DUMMY_LAYERS 8 /* fewer could be so by chance */
#define TRAPS_NARROW 254     /* experts that ids of a byte can name */

bool
traps_fail(moe_traps *t, uint32_t layer, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_autoptr(GString) place = g_string_new(NULL);
    if (t->part)
        g_string_append_printf(place, "%.100s%stoken %" G_GUINT64_FORMAT ", ", t->part,
                               *t->part ? ": " : "", t->part_token);
    else if (!t->line)
        g_string_append_printf(place, "token %" G_GUINT64_FORMAT ", ", t->n_tokens);
    if (layer != MOE_NONE)
        g_string_append_printf(place, "layer %u, ", t->layer_ids[layer]);
    if (place->len)
        place->str[place->len - 2] = ':';
    moe_loc loc = {.file = moe_diag_intern(t->job->diag, t->job->paths[t->input]),
                   .line = (int)MIN(t->line, (uint64_t)G_MAXINT)};
    moe_diag_error(t->job->diag, loc, "%s%s", place->str, message);
    t->errors++;
    return false;
}

/* ---- life ---- */

static bool
traps_shape_possible(const moe_import_job *job, const moe_traps_shape *s)
{
    uint32_t most = s->n_experts ? MIN(s->n_experts, MOE_ROUTING_MAX_K) : MOE_ROUTING_MAX_K;
    if (s->n_layers < 1 || s->n_layers > MOE_ROUTING_MAX_LAYERS)
        return moe_import_fail(job, 0, "%u layers; 1 .. %d can be read", s->n_layers,
                               MOE_ROUTING_MAX_LAYERS);
    if (s->k < 1 || s->k > most)
        return moe_import_fail(job, 0, "%u experts per token and layer; 1 .. %u can be read", s->k,
                               most);
    if (s->n_experts > MOE_ROUTING_MAX_EXPERTS)
        return moe_import_fail(job, 0, "%u experts; %u can be read", s->n_experts,
                               MOE_ROUTING_MAX_EXPERTS);
    return true;
}

/* The number of experts, from whoever says it. */
static bool
traps_experts(moe_traps *t, const moe_traps_shape *shape)
{
    uint32_t given = t->job->options->experts;
    if (given && shape->n_experts && given != shape->n_experts)
        return moe_import_fail(t->job, 0, "holds %u experts per layer, but --experts is %u",
                               shape->n_experts, given);
    if (given || shape->n_experts) {
        t->limit = given ? given : shape->n_experts;
        t->limit_known = true;
    }
    return traps_model(t, shape) &&
           (t->k <= t->limit ||
            moe_import_fail(t->job, 0, "%u experts per token and layer of %u", t->k, t->limit));
}

moe_traps *
moe_traps_new(const moe_import_job *job, const moe_traps_shape *shape)
{
    if (!traps_shape_possible(job, shape))
        return NULL;
    moe_traps *t = g_new0(moe_traps, 1);
    uint32_t n = t->n_layers = shape->n_layers;
    t->job = job;
    t->k = shape->k;
    t->sentinels = shape->sentinels;
    t->limit = MOE_ROUTING_MAX_EXPERTS;
    t->leading = true;
    t->dense = g_new0(bool, n);
    t->layer_ids = g_new(uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        t->layer_ids[i] = shape->layer_ids ? shape->layer_ids[i] : i;
    t->stamps = g_new0(uint32_t, 65536);
    t->ids = g_new(uint16_t, (gsize)n * t->k);
    t->weights = g_new(float, (gsize)n * t->k);
    t->zeros = g_new0(uint64_t, n);
    t->empty = g_new0(uint64_t, n);
    t->hashes = g_new0(uint64_t, n);
    t->row_hashes = g_new0(uint64_t, n);
    t->rows = g_new0(uint8_t, n);
    traps_lags_init(&t->lags, n, t->k);
    traps_sequences_init(&t->sequences);
    if (!traps_experts(t, shape)) {
        moe_traps_free(t);
        return NULL;
    }
    uint32_t start = t->limit_known ? t->limit : t->k <= TRAPS_NARROW ? TRAPS_NARROW : t->limit;
    t->builder = moe_import_builder(job, n, start, t->k);
    moe_routing_builder_layers(t->builder, t->layer_ids);
    return t;
}

void
moe_traps_free(moe_traps *t)
{
    if (!t)
        return;
    moe_routing_builder_free(t->builder);
    traps_lags_clear(&t->lags);
    traps_sequences_clear(&t->sequences);
    g_free(t->dense);
    g_free(t->layer_ids);
    g_free(t->stamps);
    g_free(t->ids);
    g_free(t->weights);
    g_free(t->zeros);
    g_free(t->empty);
    g_free(t->hashes);
    g_free(t->row_hashes);
    g_free(t->rows);
    g_free(t);
}

bool
moe_traps_input(moe_traps *t, size_t input, uint32_t n_layers, uint32_t k)
{
    if (n_layers != t->n_layers || k != t->k)
        return moe_import_fail(t->job, input,
                               "%u layers of %u experts each, but %s has %u of %u: one import is "
                               "one model",
                               n_layers, k, t->job->paths[0], t->n_layers, t->k);
    t->input = input;
    t->line = 0;
    return true;
}

void
moe_traps_line(moe_traps *t, uint64_t line)
{
    t->line = line;
}

void
moe_traps_part(moe_traps *t, const char *part, uint64_t token)
{
    t->part = part;
    t->part_token = token;
}

void
moe_traps_widen(moe_traps *t, uint32_t k)
{
    if (k <= t->k)
        return;
    if (!t->limit_known && k > TRAPS_NARROW)
        moe_routing_builder_experts(t->builder, MOE_ROUTING_MAX_EXPERTS);
    moe_routing_builder_widen(t->builder, k);
    t->k = k;
    t->ids = g_renew(uint16_t, t->ids, (gsize)t->n_layers * k);
    t->weights = g_renew(float, t->weights, (gsize)t->n_layers *k);
    traps_lags_clear(&t->lags); /* starts again; longer rows come early */
    t->lags = (traps_lags){0};
    traps_lags_init(&t->lags, t->n_layers, k);
}

/* ---- rows ---- */

typedef enum traps_row {
    ROW_FULL,
    ROW_SHORT,
    ROW_EMPTY,
    ROW_NOT_RUN,
    ROW_ZEROS,
    ROW_BAD
} traps_row;

static traps_row
traps_bad_id(moe_traps *t, uint32_t layer, int32_t id)
{
    if (id < MOE_TRAPS_NOT_RUN)
        traps_fail(t, layer, "expert %d is negative, and no sentinel", id);
    else if (t->limit_known)
        traps_fail(t, layer, "expert %d, but there are %u experts", id, t->limit);
    else
        traps_fail(t, layer, "expert %d is too large (at most %u)", id,
                   MOE_ROUTING_MAX_EXPERTS - 1);
    return ROW_BAD;
}

/* A row that is not k different experts. `ids` up to slot `at` are. */
static traps_row
traps_look(moe_traps *t, uint32_t layer, const int32_t *ids, uint32_t at)
{
    uint32_t k = t->k, zeros = 0, rest = at;
    for (uint32_t j = 0; j < k; j++)
        zeros += ids[j] == 0;
    if (zeros == k)
        return ROW_ZEROS;
    if (ids[at] >= 0 && (uint32_t)ids[at] < t->limit) {
        traps_fail(t, layer,
                   "expert %d twice in one row; where rows differ in length, unused slots must "
                   "say so (-1)",
                   ids[at]);
        return ROW_BAD;
    }
    if (ids[at] != MOE_TRAPS_NONE && ids[at] != MOE_TRAPS_NOT_RUN)
        return traps_bad_id(t, layer, ids[at]);
    while (rest < k && ids[rest] == ids[at])
        rest++;
    if (rest == k && at == 0)
        return ids[0] == MOE_TRAPS_NONE ? ROW_EMPTY : ROW_NOT_RUN;
    if (rest == k && ids[at] == MOE_TRAPS_NONE)
        return ROW_SHORT;
    traps_fail(t, layer, "slot %u follows an unused one; unused slots come last", rest);
    return ROW_BAD;
}

/* One row, copied to the scratch; its kind. */
static traps_row
traps_row_read(moe_traps *t, uint32_t layer, const int32_t *ids)
{
    uint32_t k = t->k, limit = t->limit, j = 0, largest = t->max_id;
    uint16_t *to = t->ids + (size_t)layer * k;
    uint64_t hash = 0;
    if (MOE_UNLIKELY(++t->stamp == 0)) {
        memset(t->stamps, 0, 65536 * sizeof *t->stamps);
        t->stamp = 1;
    }
    for (; j < k; j++) {
        uint32_t id = (uint32_t)ids[j];
        if (MOE_UNLIKELY(id >= limit || t->stamps[id] == t->stamp))
            break;
        t->stamps[id] = t->stamp;
        to[j] = (uint16_t)id;
        largest = id > largest ? id : largest;
        hash = hash * 65599 + id;
    }
    traps_row row = MOE_LIKELY(j == k) ? ROW_FULL : traps_look(t, layer, ids, j);
    if (MOE_UNLIKELY(row == ROW_ZEROS || row == ROW_NOT_RUN))
        for (j = 0; j < k; j++)
            to[j] = MOE_ROUTING_NOT_RUN;
    for (; j < k; j++)
        to[j] = MOE_ROUTING_NO_EXPERT;
    t->max_id = row == ROW_ZEROS ? t->max_id : largest;
    t->row_hashes[layer] = hash * 65599 + (uint64_t)row;
    return row;
}

/* Experts 0 .. k-1 in every layer: what a router says of hidden states that are all zero. */
static bool
traps_dummy(const moe_traps *t)
{
    if (t->n_layers < TRAPS_DUMMY_LAYERS)
        return false;
    for (uint32_t layer = 0; layer < t->n_layers; layer++)
        for (uint32_t j = 0; j < t->k; j++)
            if (t->ids[(size_t)layer * t->k + j] != j)
                return false;
    return true;
}

/* ---- weights ---- */

static bool
traps_weights_row(moe_traps *t, uint32_t layer, const float *from)
{
    const uint16_t *ids = t->ids + (size_t)layer * t->k;
    float *to = t->weights + (size_t)layer * t->k;
    double sum = 0;
    bool falling = true, negative = false;
    uint32_t n = 0;
    for (; n < t->k && ids[n] < MOE_ROUTING_NOT_RUN; n++) {
        if (MOE_UNLIKELY(!isfinite(from[n])))
            return traps_fail(t, layer, "weight %u is %s", n,
                              isnan(from[n]) ? "not a number" : "infinite");
        falling &= n == 0 || from[n] <= from[n - 1];
        negative |= from[n] < 0;
        sum += (double)from[n];
        to[n] = from[n];
    }
    for (uint32_t j = n; j < t->k; j++)
        to[j] = 0;
    if (n == 0)
        return true;
    traps_weights *s = &t->sums;
    s->low = s->rows ? MIN(s->low, sum) : sum;
    s->high = s->rows ? MAX(s->high, sum) : sum;
    s->rows++;
    s->ones += fabs(sum - 1) < 0.02;
    s->negative += negative;
    s->unsorted += !falling;
    return true;
}

static bool
traps_weights_add(moe_traps *t, const float *weights)
{
    if (t->n_kept == 0)
        t->weighted = weights != NULL;
    if ((weights != NULL) != t->weighted)
        return traps_fail(t, MOE_NONE, "%s weights, unlike the tokens before",
                          weights ? "has" : "is without");
    for (uint32_t layer = 0; weights && layer < t->n_layers; layer++)
        if (!traps_weights_row(t, layer, weights + (size_t)layer * t->k))
            return false;
    return true;
}

/* ---- tokens ---- */

/* Rows of each kind that a token has. */
typedef struct traps_kinds {
    uint32_t zeros, empty, bad;
} traps_kinds;

static traps_kinds
traps_rows(moe_traps *t, const int32_t *ids)
{
    traps_kinds kinds = {0};
    for (uint32_t layer = 0; layer < t->n_layers; layer++) {
        traps_row row = traps_row_read(t, layer, ids + (size_t)layer * t->k);
        t->rows[layer] = (uint8_t)row;
        if (MOE_LIKELY(row == ROW_FULL))
            continue;
        kinds.zeros += row == ROW_ZEROS;
        kinds.empty += row == ROW_EMPTY;
        kinds.bad += row == ROW_BAD;
    }
    return kinds;
}

/* Whether a token is no routing; counted then. */
static bool
traps_dropped(moe_traps *t, const traps_kinds *kinds)
{
    if (kinds->zeros == t->n_layers) {
        t->padding++;
        return true;
    }
    if (!t->sentinels && kinds->zeros + kinds->empty == t->n_layers) {
        t->unrouted++;
        return true;
    }
    t->leading = t->leading && traps_dummy(t);
    t->dummies += t->leading;
    return t->leading;
}

static void
traps_keep(moe_traps *t, uint32_t sequence, uint32_t position, moe_phase phase,
           const traps_kinds *kinds)
{
    uint64_t hash = 0;
    t->kept = true;
    t->n_kept++;
    traps_lags_add(&t->lags, sequence, t->ids);
    for (uint32_t layer = 0; layer < t->n_layers; layer++) {
        t->hashes[layer] = moe_mix64(t->hashes[layer] ^ t->row_hashes[layer]);
        hash = hash * 0x9E3779B97F4A7C15u + t->row_hashes[layer];
    }
    traps_sequences_add(&t->sequences, sequence, position, phase, hash);
    if (MOE_LIKELY(!kinds->zeros && !kinds->empty))
        return;
    for (uint32_t layer = 0; layer < t->n_layers; layer++) {
        t->zeros[layer] += t->rows[layer] == ROW_ZEROS;
        t->empty[layer] += t->rows[layer] == ROW_EMPTY;
    }
}

bool
moe_traps_add(moe_traps *t, uint32_t sequence, uint32_t position, moe_phase phase,
              const int32_t *ids, const float *weights)
{
    t->kept = false;
    traps_kinds kinds = traps_rows(t, ids);
    bool ok = kinds.bad == 0;
    if (ok && !traps_dropped(t, &kinds)) {
        ok = traps_weights_add(t, weights);
        if (ok && t->max_id >= TRAPS_NARROW && !t->limit_known)
            moe_routing_builder_experts(t->builder, MOE_ROUTING_MAX_EXPERTS);
        if (ok) {
            traps_keep(t, sequence, position, phase, &kinds);
            moe_routing_builder_add(t->builder, sequence, position, phase, t->ids,
                                    weights ? t->weights : NULL);
        }
    }
    t->n_tokens++;
    if (MOE_UNLIKELY(moe_routing_builder_failed(t->builder, t->job->paths[t->input],
                                                t->failed ? NULL : t->job->error)))
        t->failed = true;
    return !t->failed && t->errors < TRAPS_MAX_ERRORS;
}

moe_routing_builder *
moe_traps_kept(moe_traps *t)
{
    return t->kept ? t->builder : NULL;
}
