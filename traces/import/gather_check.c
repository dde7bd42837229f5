/* The first walk: what a token's rows may not be. */
#include "traces/import/gather_state.h"

#include "sim/base/random.h"

#include <math.h>
#include <string.h>

static const int64_t gather_fact_max[MOE_TOKEN_FACTS] = {
    [MOE_TOKEN_SEQUENCE] = MOE_NONE - 1,  [MOE_TOKEN_POSITION] = MOE_NONE - 1,
    [MOE_TOKEN_PHASE] = MOE_DECODE,       [MOE_TOKEN_STEP] = MOE_NONE - 1,
    [MOE_TOKEN_ID] = MOE_NONE - 1,        [MOE_TOKEN_DOMAIN] = UINT16_MAX - 1,
    [MOE_TOKEN_MODALITY] = UINT8_MAX - 1, [MOE_TOKEN_KEPT] = INT64_MAX,
};

static bool gather_wrong(gather *g, const moe_block *b, uint64_t token, uint32_t layer,
                         const char *fmt, ...) MOE_PRINTF(5, 6);

static bool
gather_wrong(gather *g, const moe_block *b, uint64_t token, uint32_t layer, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    g->errors++;
    return moe_place_error(&b->place, "token %" G_GUINT64_FORMAT ", layer %u: %s", token,
                           g->layers[layer].number, message);
}

/* Ids in range, none twice; messages else. */
static gather_kind
gather_check_ids(gather *g, const moe_block *b, uint64_t t, uint32_t l)
{
    const int32_t *ids = g->ids + (size_t)l * g->k;
    uint32_t used = 0;
    gather_kind kind = gather_kind_of(g, ids);
    if (kind != GATHER_IDS && !(kind == GATHER_ZERO && g->k == 1))
        return kind;
    if (++g->stamp == 0) {
        memset(g->stamps, 0, g->id_limit * sizeof *g->stamps);
        g->stamp = 1;
    }
    for (uint32_t j = 0; j < g->k; j++) {
        int32_t id = ids[j];
        if (id == -1)
            continue;
        if (id < -1)
            gather_wrong(g, b, t, l, "%d is no expert; only -1 means none", id);
        else if ((uint32_t)id >= g->id_limit && g->id_limit < MOE_ROUTING_MAX_EXPERTS)
            gather_wrong(g, b, t, l, "expert %d, but there are %u experts", id, g->id_limit);
        else if ((uint32_t)id >= g->id_limit)
            gather_wrong(g, b, t, l, "expert %d; ids go up to %u", id, g->id_limit - 1);
        else if (g->stamps[id] == g->stamp)
            gather_wrong(g, b, t, l, "expert %d twice; the ids of a token must differ", id);
        if (id < -1 || (uint32_t)id >= g->id_limit || g->stamps[id] == g->stamp)
            return GATHER_WRONG;
        g->stamps[id] = g->stamp;
        g->max_id = MAX(g->max_id, id);
        g->layers[l].hash = moe_mix64(g->layers[l].hash ^ (uint64_t)id);
        used++;
    }
    g->used = MAX(g->used, used);
    return kind;
}

static gather_kind
gather_check_logits(gather *g, const moe_block *b, uint64_t t, uint32_t l)
{
    const float *row = g->weights + (size_t)l * g->k;
    bool zero = true, some = false;
    for (uint32_t e = 0; e < g->k; e++) {
        if (isnan(row[e]) || row[e] == INFINITY) {
            gather_wrong(g, b, t, l, "the logit of expert %u is %s", e,
                         isnan(row[e]) ? "not a number" : "infinite");
            return GATHER_WRONG;
        }
        zero &= row[e] == 0;
        some |= row[e] != -INFINITY;
        uint32_t bits;
        memcpy(&bits, &row[e], sizeof bits);
        g->layers[l].hash = moe_mix64(g->layers[l].hash ^ bits);
    }
    return zero ? GATHER_ZERO : some ? GATHER_IDS : GATHER_EMPTY;
}

static bool
gather_check_weights(gather *g, const moe_block *b, uint64_t t, uint32_t l)
{
    for (uint32_t j = 0; j < g->k; j++) {
        size_t at = (size_t)l * g->k + j;
        if (g->ids[at] >= 0 && !isfinite(g->weights[at]))
            return gather_wrong(g, b, t, l, "the gate weight of slot %u is not finite", j);
    }
    return true;
}

static bool
gather_check_facts(gather *g, const moe_block *b, uint64_t t)
{
    for (int f = 0; f < MOE_TOKEN_FACTS; f++) {
        if (!b->facts[f])
            continue;
        int64_t value = moe_array_whole(b->facts[f], t);
        if (value >= 0 && value <= gather_fact_max[f])
            continue;
        g->errors++;
        return moe_place_error(&b->place,
                               "token %" G_GUINT64_FORMAT ": %s is %" G_GINT64_FORMAT
                               "; wants 0 to %" G_GINT64_FORMAT,
                               t, moe_token_fact_names[f], value, gather_fact_max[f]);
    }
    return true;
}

void
gather_measure(gather *g, const moe_block *b, uint64_t t)
{
    bool some = false;
    if (!gather_check_facts(g, b, t) || gather_padding(b, t))
        return;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        gather_load(g, b, t, l);
        gather_kind kind =
            g->logits ? gather_check_logits(g, b, t, l) : gather_check_ids(g, b, t, l);
        if (kind == GATHER_WRONG || (b->weights && !gather_check_weights(g, b, t, l)))
            return;
        g->kinds[l] = (uint8_t)kind;
        some |= kind != GATHER_EMPTY;
    }
    if (!some)
        return;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        g->layers[l].rows++;
        g->layers[l].empty += g->kinds[l] == GATHER_EMPTY;
        g->layers[l].zero += g->kinds[l] == GATHER_ZERO;
    }
}
