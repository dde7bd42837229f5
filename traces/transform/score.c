#include "traces/transform/score.h"

#include "sim/base/units.h"
#include "traces/transform/row.h"

#include <string.h>

const char *
moe_score_lacks(const moe_routing *routing, moe_score_kind kind)
{
    if (kind == MOE_SCORE_WEIGHT && !routing->weights)
        return "gate weights";
    return kind == MOE_SCORE_LOGIT && !routing->logits ? "router logits" : NULL;
}

static void
score_row(const moe_routing *routing, const moe_score_of *of, uint64_t row, uint32_t layer,
          float *logits, double *sums)
{
    if (of->kind != MOE_SCORE_LOGIT) {
        uint64_t at = (row * routing->n_layers + layer) * routing->k;
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, row, layer, j);
            if (id >= MOE_ROUTING_NOT_RUN)
                return;
            sums[id] += of->kind == MOE_SCORE_WEIGHT ? (double)routing->weights[at + j] : 1;
        }
        return;
    }
    const uint16_t *halves =
        routing->logits + (row * routing->n_layers + layer) * routing->n_experts;
    for (uint32_t e = 0; e < routing->n_experts; e++)
        logits[e] = moe_routing_f16(halves[e]);
    uint16_t ids[MOE_ROUTING_MAX_K];
    uint32_t n = row_best(logits, routing->n_experts, MIN(of->best, MOE_ROUTING_MAX_K), ids);
    for (uint32_t j = 0; j < n; j++)
        if ((double)logits[ids[j]] >= of->floor)
            sums[ids[j]] += (double)logits[ids[j]];
}

double *
moe_score(const moe_routing *routing, const moe_score_of *of)
{
    moe_assert(!moe_score_lacks(routing, of->kind), "score %d", (int)of->kind);
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    double *sums = g_new0(double, n);
    g_autofree uint64_t *rows = g_new0(uint64_t, routing->n_layers);
    g_autofree float *logits = g_new(float, routing->n_experts);
    uint32_t to = MIN(of->to, routing->n_sequences), from = MIN(of->from, to);
    for (uint64_t i = routing->sequence_first[from]; i < routing->sequence_first[to]; i++) {
        uint64_t row = routing->rows ? routing->rows[i] : i;
        if (of->domain != MOE_NONE && routing->domain && routing->domain[row] != of->domain)
            continue;
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            if (moe_routing_id(routing, row, l, 0) == MOE_ROUTING_NOT_RUN)
                continue;
            rows[l]++;
            score_row(routing, of, row, l, logits, sums + (size_t)l * routing->n_experts);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (rows[i / routing->n_experts])
            sums[i] /= (double)rows[i / routing->n_experts];
    return sums;
}

static int
score_compare(const void *a, const void *b, void *data)
{
    const double *scores = data;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (scores[i] != scores[j])
        return scores[i] > scores[j] ? -1 : 1;
    return i < j ? -1 : i > j;
}

void
moe_score_rank(const double *scores, uint32_t n, uint32_t *order)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    g_qsort_with_data(order, (int)n, sizeof *order, score_compare, (void *)(uintptr_t)scores);
}

bool
moe_score_domain(const moe_routing *routing, const char *name, uint32_t *domain, moe_loc at,
                 moe_diag *diag)
{
    int64_t number = -1;
    if (!routing->domain) {
        moe_diag_error(diag, at, "'domain' needs the tensor domain, and %s has none",
                       routing->path);
        return false;
    }
    for (uint32_t i = 0; i < routing->n_domains && routing->domain_names; i++)
        if (strcmp(routing->domain_names[i], name) == 0)
            number = i;
    if (number < 0 && (!moe_parse_int(name, &number) || number >= routing->n_domains))
        number = -1;
    if (number < 0) {
        const char *close = routing->domain_names
                                ? moe_suggest(name, routing->domain_names, routing->n_domains)
                                : NULL;
        moe_diag_error(diag, at, "%s has no domain '%s'%s%s%s", routing->path, name,
                       close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "");
        return false;
    }
    *domain = (uint32_t)number;
    return true;
}

double
moe_score_distance(const double *a, const double *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}
