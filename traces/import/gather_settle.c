/* Between the walks: layers, slots and experts. After them: the report. */
#include "traces/import/gather_state.h"

#include <string.h>

/* A message about the input as a whole; false. */
static bool settle_fail(const gather *g, const char *fmt, ...) MOE_PRINTF(2, 3);

static bool
settle_fail(const gather *g, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    return moe_import_fail(g->job, 0, "%s", message);
}

/* "0, 1, 2 and 40 more", of the layers that are not kept. */
static char *
settle_list(const gather *g)
{
    GString *text = g_string_new(NULL);
    uint32_t n = 0;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        if (g->layers[l].kept)
            continue;
        if (n < 8)
            g_string_append_printf(text, "%s%u", n ? ", " : "", g->layers[l].number);
        n++;
    }
    if (n > 8)
        g_string_append_printf(text, " and %u more", n - 8);
    return g_string_free(text, FALSE);
}

/* ---- layers ---- */

static bool
settle_written(gather *g)
{
    uint64_t rows = g->layers[0].rows, zero = 0;
    if (g->n_tokens == 0 || rows == 0)
        return settle_fail(g, g->n_tokens ? "holds no token with an expert: all its ids are -1"
                                          : "holds no tokens");
    for (uint32_t l = 0; l < g->n_layers; l++) {
        gather_layer *layer = &g->layers[l];
        bool collapsed = layer->zero == rows && rows >= 16; /* of k 1: or expert 0 by chance */
        layer->kept = layer->empty + layer->zero < rows ||
                      (g->k == 1 && !g->logits && !collapsed && layer->empty < rows);
        g->n_kept += layer->kept;
        zero += layer->zero;
    }
    if (g->n_kept == 0)
        return settle_fail(g,
                           zero ? "all %s are 0 in every layer: the capture failed (was the option "
                                  "that records routing on when the model was loaded?)"
                                : "no layer has %s",
                           g->logits ? "logits" : "ids");
    return true;
}

/* The MoE layers of the model, by number; their count. */
static uint32_t
settle_moe_layers(const moe_stack *stack, uint32_t *numbers)
{
    uint32_t n = 0;
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE)
            numbers[n++] = (uint32_t)i;
    return n;
}

/* Layers of the input against those of the model; numbers them as the model does. */
static bool
settle_model(gather *g, const moe_model *model)
{
    const moe_stack *stack = moe_model_decoder(model);
    g_autofree uint32_t *numbers = g_new(uint32_t, (size_t)stack->n_layers + 1);
    uint32_t n = settle_moe_layers(stack, numbers), all = (uint32_t)stack->n_layers;
    if (g->n_layers == n && n < all) {
        for (uint32_t l = 0; l < n; l++)
            g->layers[l].number = numbers[l];
    } else if (g->n_layers != all) {
        return settle_fail(g, "%u layers, but %s has %u MoE layers (%u in all)", g->n_layers,
                           model->name, n, all);
    }
    for (uint32_t l = 0; l < g->n_layers; l++) {
        uint32_t number = g->layers[l].number;
        bool moe = number < all && stack->layers[number].ffn.kind == MOE_FFN_MOE;
        if (moe && !g->layers[l].kept)
            return settle_fail(g,
                               "layer %u of %s is a MoE layer, but all its ids are 0 or -1: its "
                               "capture failed",
                               number, model->name);
        if (!moe && g->layers[l].kept)
            return settle_fail(g, "layer %u has experts, but is dense in %s", number, model->name);
    }
    return true;
}

static bool
settle_layers(gather *g)
{
    const moe_import_options *o = g->job->options;
    if (!settle_written(g))
        return false;
    if (o->model && !settle_model(g, o->model))
        return false;
    if (o->layers && o->layers != g->n_layers && o->layers != g->n_kept)
        return settle_fail(g, "%u layers (%u of them with experts), but --layers says %u",
                           g->n_layers, g->n_kept, o->layers);
    g_autofree char *list = settle_list(g);
    if (g->n_kept < g->n_layers)
        moe_import_note(g->job,
                        "%u of %u layers hold only zeros or -1 and were dropped, as dense layers "
                        "(%s); if they are MoE layers, their capture failed",
                        g->n_layers - g->n_kept, g->n_layers, list);
    return true;
}

/* Layers with the same ids throughout are one layer's, recorded twice. */
static bool
settle_doubles(const gather *g)
{
    if (g->layers[0].rows < (g->k == 1 ? 256 : 32)) /* could be by chance */
        return true;
    for (uint32_t a = 0; a < g->n_layers; a++) {
        for (uint32_t b = a + 1; b < g->n_layers && g->layers[a].kept; b++) {
            if (g->layers[b].kept && g->layers[a].hash == g->layers[b].hash)
                return settle_fail(g,
                                   "layers %u and %u hold the same in all of %" G_GUINT64_FORMAT
                                   " tokens: one layer was captured twice; no router does that",
                                   g->layers[a].number, g->layers[b].number, g->layers[a].rows);
        }
    }
    return true;
}

/* ---- slots and experts ---- */

static bool
settle_slots(gather *g)
{
    uint32_t wanted = g->top_k_wanted;
    if (g->logits && wanted == 0)
        return settle_fail(g, "router logits do not say how many experts are used: --top-k (or "
                              "--model) is wanted");
    if (g->logits && wanted > MIN(g->k, (uint32_t)MOE_ROUTING_MAX_K))
        return settle_fail(g, "--top-k %u of %u experts", wanted, g->k);
    if (!g->logits && wanted && wanted != g->used)
        return settle_fail(g, "%u experts per token, but %u are wanted (--top-k, --model)", g->used,
                           wanted);
    g->top_k = g->logits ? wanted : g->used;
    g->n_experts = g->logits           ? g->k
                   : g->experts_wanted ? g->experts_wanted
                                       : MAX((uint32_t)(g->max_id + 1), g->top_k);
    if (g->top_k > g->n_experts)
        return settle_fail(g, "%u experts per token of %u experts", g->top_k, g->n_experts);
    if (!g->logits && !g->experts_wanted)
        moe_import_note(g->job,
                        "%u experts, as the largest id is %d; --experts or --model says more",
                        g->n_experts, g->max_id);
    if (!g->logits && g->used < g->k)
        moe_import_note(g->job, "%u of %u slots are -1 in every row: dropped", g->k - g->used,
                        g->k);
    return true;
}

static void
settle_facts(gather *g)
{
    for (int f = 0; f < MOE_TOKEN_FACTS; f++)
        if (g->some[f] && !g->facts[f] && f >= MOE_TOKEN_STEP && f < MOE_TOKEN_KEPT)
            moe_import_note(g->job, "%s is known of some tokens only: left out",
                            moe_token_fact_names[f]);
    if (!g->phase_known)
        moe_import_note(g->job, "%s: all tokens taken as decode",
                        g->phase_some ? "prompt lengths are known of some sequences only"
                                      : "prompt lengths are not known");
}

bool
gather_settle(gather *g)
{
    if (!g->begun)
        return settle_fail(g, "holds no routing");
    if (!settle_layers(g) || !settle_doubles(g) || !settle_slots(g))
        return false;
    settle_facts(g);
    g_autofree uint32_t *numbers = g_new(uint32_t, g->n_kept);
    for (uint32_t l = 0, n = 0; l < g->n_layers; l++)
        if (g->layers[l].kept)
            numbers[n++] = g->layers[l].number;
    size_t slots = (size_t)g->n_kept * g->top_k;
    g->out_ids = g_new(uint16_t, slots);
    g->out_weights = g_new(float, slots);
    if (g->logits)
        g->out_logits = g_new(float, (size_t)g->n_kept * g->k);
    g->builder = moe_import_builder(g->job, g->n_kept, g->n_experts, g->top_k);
    moe_routing_builder_layers(g->builder, numbers);
    if (g->logits) {
        moe_routing_builder_meta(g->builder, "order", "weight");
        moe_routing_builder_meta(g->builder, "gate",
                                 g->job->options->renormalise ? "softmax over the chosen experts"
                                                              : "softmax over all experts");
    }
    return true;
}

/* ---- the report ---- */

void
gather_report(const gather *g)
{
    const struct {
        uint64_t n;
        const char *what;
    } dropped[] = {
        {g->n_absent, "tokens have no experts at all (-1): not computed (prefix cache or padding), "
                      "dropped"},
        {g->n_unwritten, "tokens are 0 in all slots of a layer that others use: never written, "
                         "dropped"},
        {g->n_padding, "tokens are padding by the attention mask: dropped"},
    };
    const struct {
        uint64_t n;
        const char *what;
    } rows[] = {
        {g->n_short, "rows have fewer experts than others: padded"},
        {g->n_not_run, "rows have no experts where their token has some elsewhere: layer not run"},
        {g->n_moved, "ids stood behind an empty slot: moved to the front"},
    };
    for (size_t i = 0; i < MOE_COUNT(dropped); i++)
        if (dropped[i].n)
            moe_import_note(g->job, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " %s",
                            dropped[i].n, g->n_tokens, dropped[i].what);
    for (size_t i = 0; i < MOE_COUNT(rows); i++)
        if (rows[i].n)
            moe_import_note(g->job, "%" G_GUINT64_FORMAT " %s", rows[i].n, rows[i].what);
}
