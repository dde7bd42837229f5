/* What every routing is checked for before it is shared: the reader and the builder both end
 * here. Rows are first tested by a loop without branches on their content; only a row that is
 * not k different valid ids is looked at closely. */
#include "traces/routing_file.h"

#include "traces/index_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of ids, routed or predicted. */
typedef struct check_ids {
    const char *name;
    const void *ids;
    uint32_t k;
} check_ids;

static inline uint32_t
check_load(const void *ids, uint64_t at, uint32_t id_bytes)
{
    if (id_bytes == 2)
        return ((const uint16_t *)ids)[at];
    uint32_t id = ((const uint8_t *)ids)[at];
    return id >= 0xFE ? 0xFF00u + id : id;
}

/* What is wrong with a row, as text (yours); NULL: nothing. */
static char *
check_row(const moe_routing *routing, const check_ids *tensor, uint64_t first)
{
    uint32_t before = 0;
    for (uint32_t j = 0; j < tensor->k; j++) {
        uint32_t id = check_load(tensor->ids, first + j, routing->id_bytes);
        if (j > 0 && before >= MOE_ROUTING_NOT_RUN && id != before)
            return before == MOE_ROUTING_NOT_RUN
                       ? g_strdup_printf("'layer not run' must fill the row, but slot %u differs",
                                         j)
                       : g_strdup_printf("slot %u follows an empty slot; empty slots come last", j);
        if (j > 0 && id == MOE_ROUTING_NOT_RUN && before < MOE_ROUTING_NOT_RUN)
            return g_strdup_printf("'layer not run' must fill the row, but starts at slot %u", j);
        before = id;
        if (id >= MOE_ROUTING_NOT_RUN)
            continue;
        if (id >= routing->n_experts)
            return g_strdup_printf("expert %u, but there are %u experts", id, routing->n_experts);
        for (uint32_t i = 0; i < j; i++)
            if (check_load(tensor->ids, first + i, routing->id_bytes) == id)
                return g_strdup_printf("expert %u twice in one row", id);
    }
    return NULL;
}

/* `stamps` has n_experts entries. The id width is a constant where this is inlined. */
static inline __attribute__((always_inline)) bool
check_tensor_of(const moe_routing *routing, const check_ids *tensor, uint32_t *stamps,
                uint32_t id_bytes, moe_diag *diag)
{
    uint64_t n_rows = routing->n_tokens * routing->n_layers;
    uint32_t stamp = 0, errors = 0, n_experts = routing->n_experts, k = tensor->k;
    for (uint64_t row = 0; row < n_rows; row++) {
        uint32_t j = 0;
        if (++stamp == 0) {
            memset(stamps, 0, n_experts * sizeof *stamps);
            stamp = 1;
        }
        for (; j < k; j++) {
            uint32_t id = check_load(tensor->ids, row * k + j, id_bytes);
            if (MOE_UNLIKELY(id >= n_experts || stamps[id] == stamp))
                break;
            stamps[id] = stamp;
        }
        if (MOE_LIKELY(j == k))
            continue;
        g_autofree char *wrong = check_row(routing, tensor, row * k);
        if (!wrong)
            continue;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "tensor %s, token %" G_GUINT64_FORMAT ", layer %u: %s", tensor->name,
                       row / routing->n_layers, (uint32_t)(row % routing->n_layers), wrong);
        if (++errors == MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    return errors == 0;
}

static bool
check_tensor(const moe_routing *routing, const check_ids *tensor, moe_diag *diag)
{
    g_autofree uint32_t *stamps = g_new0(uint32_t, routing->n_experts);
    return routing->id_bytes == 1 ? check_tensor_of(routing, tensor, stamps, 1, diag)
                                  : check_tensor_of(routing, tensor, stamps, 2, diag);
}

static bool
check_weights(const moe_routing *routing, const char *name, const float *weights, uint32_t k,
              moe_diag *diag)
{
    uint64_t n = routing->n_tokens * routing->n_layers * k;
    uint32_t errors = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (MOE_LIKELY(isfinite(weights[i])))
            continue;
        uint64_t row = i / k;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "tensor %s, token %" G_GUINT64_FORMAT ", layer %u: slot %u is not finite",
                       name, row / routing->n_layers, (uint32_t)(row % routing->n_layers),
                       (uint32_t)(i % k));
        if (++errors == MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    return errors == 0;
}

static bool
check_phases(const moe_routing *routing, moe_diag *diag)
{
    uint32_t errors = 0;
    for (uint64_t i = 0; i < routing->n_tokens; i++) {
        if (MOE_LIKELY(routing->phase[i] <= MOE_DECODE))
            continue;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "tensor phase, token %" G_GUINT64_FORMAT
                       ": %u is neither 0 (prefill) nor 1 (decode)",
                       i, routing->phase[i]);
        if (++errors == MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    return errors == 0;
}

/* -inf is a router's way to exclude an expert; NaN and +inf are damage. */
static bool
check_logits(const moe_routing *routing, moe_diag *diag)
{
    uint64_t n = routing->n_tokens * routing->n_layers * routing->n_experts;
    uint32_t errors = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t bits = routing->logits[i];
        if (MOE_LIKELY((bits & 0x7C00) != 0x7C00) || bits == 0xFC00)
            continue;
        uint64_t row = i / routing->n_experts;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "tensor router_logits, token %" G_GUINT64_FORMAT
                       ", layer %u: expert %u has %s",
                       row / routing->n_layers, (uint32_t)(row % routing->n_layers),
                       (uint32_t)(i % routing->n_experts), bits == 0x7C00 ? "+inf" : "NaN");
        if (++errors == MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    return errors == 0;
}

/* Domains and modalities that no name stands for. */
static bool
check_labels(const moe_routing *routing, const char *tensor, const uint16_t *wide,
             const uint8_t *narrow, uint32_t n_names, moe_diag *diag)
{
    uint32_t errors = 0;
    for (uint64_t i = 0; i < routing->n_tokens; i++) {
        uint32_t label = wide ? wide[i] : narrow[i];
        if (MOE_LIKELY(label < n_names))
            continue;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "tensor %s, token %" G_GUINT64_FORMAT ": %u, but %u are named", tensor, i,
                       label, n_names);
        if (++errors == MOE_ROUTING_MAX_ERRORS)
            return false;
    }
    return errors == 0;
}

bool
moe_routing_check(const moe_routing *routing, moe_diag *diag)
{
    check_ids routed = {"expert_ids", routing->ids, routing->k};
    bool ok = check_tensor(routing, &routed, diag);
    ok &= check_phases(routing, diag);
    if (routing->weights)
        ok &= check_weights(routing, "gate_weights", routing->weights, routing->k, diag);
    if (routing->logits)
        ok &= check_logits(routing, diag);
    if (routing->domain)
        ok &= check_labels(routing, "domain", routing->domain, NULL, routing->n_domains, diag);
    if (routing->modality)
        ok &=
            check_labels(routing, "modality", NULL, routing->modality, routing->n_modalities, diag);
    for (uint32_t i = 0; i < routing->n_lookahead; i++) {
        const moe_lookahead *lookahead = &routing->lookahead[i];
        char name[32], weights[48];
        g_snprintf(name, sizeof name, "lookahead.%u", lookahead->distance);
        g_snprintf(weights, sizeof weights, "%s.weights", name);
        check_ids predicted = {name, lookahead->ids, lookahead->k};
        ok &= check_tensor(routing, &predicted, diag);
        if (lookahead->weights)
            ok &= check_weights(routing, weights, lookahead->weights, lookahead->k, diag);
    }
    return ok;
}
