#include "traces/stats/gate.h"

#include <glib.h>
#include <math.h>
#include <string.h>

/* f and p of one layer, summed over tokens. */
struct load {
    uint64_t tokens, choices;
    uint64_t *uses;      /* [n_experts] */
    double *probability; /* [n_experts] */
};

struct layer {
    uint64_t rows;
    double *shares;                  /* [k]: by rank, summed over rows */
    uint64_t top[MOE_GATE_BINS + 1]; /* rows by the largest share */
    struct load sequence, all;
    double micro; /* summed over sequences */
    uint64_t sequences;
};

struct moe_gate {
    const moe_routing *routing;
    struct layer *layers;
    double *row; /* [max(k, n_experts)] */
};

static void
load_open(struct load *load, uint32_t n_experts)
{
    load->uses = g_new0(uint64_t, n_experts);
    load->probability = g_new0(double, n_experts);
}

static void
load_close(struct load *load)
{
    g_free(load->uses);
    g_free(load->probability);
}

moe_gate *
moe_gate_new(const moe_routing *routing)
{
    if (!routing->weights && !routing->logits)
        return NULL;
    moe_gate *g = g_new0(moe_gate, 1);
    g->routing = routing;
    g->layers = g_new0(struct layer, routing->n_layers);
    g->row = g_new(double, MAX(routing->k, routing->n_experts));
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        g->layers[l].shares = g_new0(double, routing->k);
        load_open(&g->layers[l].sequence, routing->n_experts);
        load_open(&g->layers[l].all, routing->n_experts);
    }
    return g;
}

void
moe_gate_free(moe_gate *g)
{
    if (!g)
        return;
    for (uint32_t l = 0; l < g->routing->n_layers; l++) {
        g_free(g->layers[l].shares);
        load_close(&g->layers[l].sequence);
        load_close(&g->layers[l].all);
    }
    g_free(g->layers);
    g_free(g->row);
    g_free(g);
}

/* ---- weights ---- */

/* The row's weights as shares, as they stand; false when they have no positive sum. */
static bool
read_shares(const moe_gate *g, uint64_t row, uint32_t layer, uint32_t n, double *shares)
{
    const moe_routing *r = g->routing;
    const float *weights = r->weights + (row * r->n_layers + layer) * r->k;
    double sum = 0;
    for (uint32_t j = 0; j < n; j++)
        sum += (double)weights[j];
    for (uint32_t j = 0; j < n; j++)
        shares[j] = (double)weights[j] / sum;
    return sum > 0;
}

static void
sort_falling(double *values, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        double value = values[i];
        uint32_t at = i;
        for (; at && values[at - 1] < value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static void
add_shares(struct layer *layer, double *shares, uint32_t n)
{
    sort_falling(shares, n);
    for (uint32_t j = 0; j < n; j++)
        layer->shares[j] += shares[j];
    layer->top[(uint32_t)(CLAMP(shares[0], 0, 1) * MOE_GATE_BINS)]++;
    layer->rows++;
}

/* ---- the loss ---- */

/* Adds the probabilities of all experts, by their recorded logits. */
static void
add_softmax(const moe_gate *g, uint64_t row, uint32_t layer, double *probability)
{
    const moe_routing *r = g->routing;
    const uint16_t *logits = r->logits + (row * r->n_layers + layer) * r->n_experts;
    double max = -INFINITY, sum = 0;
    for (uint32_t e = 0; e < r->n_experts; e++)
        max = MAX(max, (double)moe_routing_f16(logits[e]));
    for (uint32_t e = 0; e < r->n_experts; e++) {
        g->row[e] = exp((double)moe_routing_f16(logits[e]) - max);
        sum += g->row[e];
    }
    for (uint32_t e = 0; e < r->n_experts; e++)
        probability[e] += g->row[e] / sum;
}

static double
loss(const struct load *load, uint32_t n_experts)
{
    double sum = 0;
    for (uint32_t e = 0; e < n_experts; e++)
        sum += (double)load->uses[e] * load->probability[e];
    return load->choices ? n_experts * sum / ((double)load->choices * (double)load->tokens) : NAN;
}

/* Adds the sequence's load to the whole, and its loss to the mean. */
static void
end_sequence(struct layer *layer, uint32_t n_experts)
{
    struct load *from = &layer->sequence, *to = &layer->all;
    if (!from->choices)
        return;
    layer->micro += loss(from, n_experts);
    layer->sequences++;
    for (uint32_t e = 0; e < n_experts; e++) {
        to->uses[e] += from->uses[e];
        to->probability[e] += from->probability[e];
    }
    to->tokens += from->tokens;
    to->choices += from->choices;
    from->tokens = from->choices = 0;
    memset(from->uses, 0, n_experts * sizeof *from->uses);
    memset(from->probability, 0, n_experts * sizeof *from->probability);
}

static void
add_row(moe_gate *g, const moe_block *block, uint32_t t)
{
    struct layer *layer = &g->layers[block->layer];
    struct load *load = &layer->sequence;
    const uint16_t *ids = block->ids + (size_t)t * block->k;
    uint32_t n = block->count[t];
    bool weighted = g->routing->weights && read_shares(g, block->row[t], block->layer, n, g->row);
    if (!weighted && !g->routing->logits)
        return;
    for (uint32_t j = 0; j < n; j++) {
        load->uses[ids[j]]++;
        if (!g->routing->logits)
            load->probability[ids[j]] += g->row[j];
    }
    load->choices += n;
    load->tokens++;
    if (weighted)
        add_shares(layer, g->row, n);
    if (g->routing->logits)
        add_softmax(g, block->row[t], block->layer, load->probability);
}

void
moe_gate_add(void *gate, const moe_block *block)
{
    moe_gate *g = gate;
    for (uint32_t t = 0; t < block->n; t++) {
        if (block->place[t] == 0)
            end_sequence(&g->layers[block->layer], g->routing->n_experts);
        if (block->count[t])
            add_row(g, block, t);
    }
}

void
moe_gate_finish(moe_gate *g)
{
    for (uint32_t l = 0; l < g->routing->n_layers; l++)
        end_sequence(&g->layers[l], g->routing->n_experts);
}

/* ---- results ---- */

double
moe_gate_share(const moe_gate *g, uint32_t layer, uint32_t rank)
{
    double sum = 0, rows = 0;
    for (uint32_t l = 0; l < g->routing->n_layers; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        sum += g->layers[l].shares[rank];
        rows += (double)g->layers[l].rows;
    }
    return rows > 0 ? sum / rows : NAN;
}

double
moe_gate_top_quantile(const moe_gate *g, uint32_t layer, double share)
{
    uint64_t bins[MOE_GATE_BINS + 1] = {0}, all = 0, sum = 0;
    for (uint32_t l = 0; l < g->routing->n_layers; l++)
        for (uint32_t b = 0; (layer == MOE_NONE || layer == l) && b <= MOE_GATE_BINS; b++) {
            bins[b] += g->layers[l].top[b];
            all += g->layers[l].top[b];
        }
    for (uint32_t b = 0; all && b <= MOE_GATE_BINS; b++) {
        sum += bins[b];
        if ((double)sum >= share * (double)all)
            return MIN((double)(b + 1) / MOE_GATE_BINS, 1);
    }
    return NAN;
}

static double
mean_loss(const moe_gate *g, uint32_t layer, bool micro)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t l = 0; l < g->routing->n_layers; l++) {
        const struct layer *at = &g->layers[l];
        if ((layer != MOE_NONE && layer != l) || !at->sequences)
            continue;
        sum += micro ? at->micro / (double)at->sequences : loss(&at->all, g->routing->n_experts);
        n++;
    }
    return n ? sum / n : NAN;
}

double
moe_gate_loss_micro(const moe_gate *g, uint32_t layer)
{
    return mean_loss(g, layer, true);
}

double
moe_gate_loss_global(const moe_gate *g, uint32_t layer)
{
    return mean_loss(g, layer, false);
}
