/* What can be said only with the model, or at the end: which layers are routing, and the report. */
#include "traces/import/traps_state.h"

#include <math.h>
#include <string.h>

#define FINISH_SEEN 4       /* ids for each expert, before experts that none names are odd */
#define FINISH_SURE_BITS 40 /* of coincidence, before two layers count as one */

/* ---- the model ---- */

/* The MoE layers of a model of one stack, or of its decoder; numbers in numbers[], or NULL. */
static uint32_t
model_layers(const moe_model *model, uint32_t *numbers)
{
    const moe_stack *stack = moe_model_decoder(model);
    uint32_t n = 0;
    for (int i = 0; i < stack->n_layers; i++) {
        if (stack->layers[i].ffn.kind != MOE_FFN_MOE)
            continue;
        if (numbers)
            numbers[n] = (uint32_t)i;
        n++;
    }
    return n;
}

static const moe_ffn *
model_ffn(const moe_model *model)
{
    const moe_stack *stack = moe_model_decoder(model);
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE)
            return &stack->layers[i].ffn;
    return NULL;
}

static bool
model_is_moe(const moe_model *model, uint32_t number)
{
    const moe_stack *stack = moe_model_decoder(model);
    return number < (uint32_t)stack->n_layers && stack->layers[number].ffn.kind == MOE_FFN_MOE;
}

/* The file's own numbers: of the model's layers, or of its MoE layers. */
static bool
model_numbered(moe_traps *t, const moe_model *model, uint32_t n_moe)
{
    const moe_stack *stack = moe_model_decoder(model);
    bool by_moe = t->layer_ids[t->n_layers - 1] < n_moe; /* or all of them are experts' */
    for (uint32_t i = 0; !by_moe && i < t->n_layers; i++) {
        uint32_t number = t->layer_ids[i];
        if (number >= (uint32_t)stack->n_layers)
            return moe_import_fail(t->job, 0, "layer %u, but %s has %d layers", number, model->name,
                                   stack->n_layers);
        t->dense[i] = !model_is_moe(model, number);
    }
    if (t->n_layers < n_moe)
        moe_import_note(t->job, "%u of the %u layers with experts of %s", t->n_layers, n_moe,
                        model->name);
    return true;
}

/* No numbers: all layers, or all MoE layers. */
static bool
model_counted(moe_traps *t, const moe_model *model, uint32_t n_moe)
{
    uint32_t n_all = (uint32_t)moe_model_decoder(model)->n_layers;
    if (t->n_layers != n_moe && t->n_layers != n_all)
        return moe_import_fail(t->job, 0, "%u layers, but %s has %u, of them %u with experts",
                               t->n_layers, model->name, n_all, n_moe);
    if (t->n_layers == n_moe)
        model_layers(model, t->layer_ids);
    else
        for (uint32_t i = 0; i < n_all; i++)
            t->dense[i] = !model_is_moe(model, i);
    return true;
}

bool
traps_model(moe_traps *t, const moe_traps_shape *shape)
{
    const moe_model *model = t->job->options->model;
    const moe_ffn *ffn = model ? model_ffn(model) : NULL;
    if (!model)
        return true;
    if (!ffn)
        return moe_import_fail(t->job, 0, "%s has no experts", model->name);
    if (t->limit_known && t->limit != (uint32_t)ffn->experts)
        return moe_import_fail(t->job, 0, "%u experts per layer, but %s has %d", t->limit,
                               model->name, ffn->experts);
    t->limit = (uint32_t)ffn->experts;
    t->limit_known = true;
    if (t->k > (uint32_t)ffn->top_k)
        return moe_import_fail(t->job, 0,
                               "%u experts per token and layer, but %s routes to %d; shared "
                               "experts are no part of routing",
                               t->k, model->name, ffn->top_k);
    if (t->k < (uint32_t)ffn->top_k)
        moe_import_note(t->job, "%u experts per token and layer, fewer than the %d of %s", t->k,
                        ffn->top_k, model->name);
    uint32_t n_moe = model_layers(model, NULL);
    return shape->layer_ids ? model_numbered(t, model, n_moe) : model_counted(t, model, n_moe);
}

/* ---- layers ---- */

static void
layers_note(const moe_traps *t, const bool *which, const char *what)
{
    g_autoptr(GString) numbers = g_string_new(NULL);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n_layers; i++) {
        if (!which[i])
            continue;
        n++;
        if (n <= 12)
            g_string_append_printf(numbers, "%s%u", n > 1 ? ", " : "", t->layer_ids[i]);
    }
    if (n)
        moe_import_note(t->job, "layer%s %s%s %s", n == 1 ? "" : "s", numbers->str,
                        n > 12 ? ", …" : "", what);
}

/* Layers that hold nothing: dense ones are dropped, others are a failed capture. */
static bool
layers_without(moe_traps *t, bool *keep)
{
    bool leading = true, model = t->job->options->model != NULL;
    g_autofree bool *dropped = g_new0(bool, t->n_layers);
    for (uint32_t i = 0; i < t->n_layers; i++) {
        bool nothing = t->zeros[i] + (t->sentinels ? 0 : t->empty[i]) == t->n_kept;
        leading &= nothing;
        if (t->dense[i] && !nothing)
            return moe_import_fail(t->job, t->input, "layer %u of %s has no experts, but rows here",
                                   t->layer_ids[i], t->job->options->model->name);
        if (!nothing)
            continue;
        if (!t->dense[i] && (model || !leading))
            return moe_import_fail(t->job, t->input,
                                   "layer %u holds no routing in any of %" G_GUINT64_FORMAT
                                   " tokens: %s",
                                   t->layer_ids[i], t->n_kept,
                                   model ? "the capture failed there"
                                         : "a dense layer (then --model knows it), or "
                                           "the capture failed there");
        keep[i] = false;
        dropped[i] = true;
    }
    layers_note(t, dropped, model ? "dropped: dense" : "dropped: without routing, taken as dense");
    return true;
}

/* Layers that are equal in all tokens, when that cannot be chance. */
static void
layers_twice(moe_traps *t, bool *keep)
{
    double bits = (double)t->n_kept * t->k * log2((double)(t->max_id + 1) / t->k);
    if (bits < FINISH_SURE_BITS)
        return;
    for (uint32_t i = 1; i < t->n_layers; i++) {
        for (uint32_t j = 0; keep[i] && j < i; j++) {
            if (!keep[j] || t->hashes[i] != t->hashes[j])
                continue;
            keep[i] = false;
            moe_import_note(t->job,
                            "layer %u dropped: equal to layer %u in all %" G_GUINT64_FORMAT
                            " tokens, so it was recorded twice",
                            t->layer_ids[i], t->layer_ids[j], t->n_kept);
        }
    }
}

bool
traps_layers(moe_traps *t, bool *keep)
{
    for (uint32_t i = 0; i < t->n_layers; i++)
        keep[i] = true;
    if (!layers_without(t, keep))
        return false;
    layers_twice(t, keep);
    for (uint32_t i = 0; i < t->n_layers; i++) {
        if (keep[i] && t->zeros[i])
            moe_import_note(t->job,
                            "layer %u: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                            " tokens hold only zeros: taken as not run",
                            t->layer_ids[i], t->zeros[i], t->n_kept);
    }
    return true;
}

/* Fewer layers than the model has and ids of a part of its experts alone: it is another's. */
static bool
layers_of_another(const moe_traps *t, const bool *keep)
{
    const moe_model *model = t->job->options->model;
    const moe_ffn *ffn = model ? model_ffn(model) : NULL;
    uint32_t n_moe = model ? model_layers(model, NULL) : 0, n = 0;
    for (uint32_t i = 0; i < t->n_layers; i++)
        n += keep[i];
    if (!ffn || n >= n_moe || t->max_id >= (uint32_t)ffn->experts / 2 ||
        t->n_kept * n * t->k < (uint64_t)ffn->experts * FINISH_SEEN)
        return false;
    moe_import_fail(t->job, t->input,
                    "%u layers, and experts up to %u, but %s has %u layers of %d experts: another "
                    "model's routing? Without --model it is taken as it is",
                    n, t->max_id, model->name, n_moe, ffn->experts);
    return true;
}

/* ---- the report ---- */

static void
report_dropped(const moe_traps *t, uint64_t n, const char *what)
{
    if (n)
        moe_import_note(t->job, "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " tokens dropped: %s",
                        n, t->n_tokens, what);
}

static void
report_tokens(const moe_traps *t)
{
    report_dropped(t, t->dummies, "experts 0 .. k-1 in every layer, in front of all: warm-up");
    report_dropped(t, t->padding, "zeros in all layers: padding");
    report_dropped(t, t->unrouted, "no routing in any layer, as of a cached prefix");
}

static void
report_weights(const moe_traps *t)
{
    const traps_weights *s = &t->sums;
    if (!s->rows)
        return;
    if (s->negative)
        moe_import_note(t->job,
                        "weights are negative in %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                        " rows: logits, not what experts are weighted with?",
                        s->negative, s->rows);
    else if (s->ones != s->rows)
        moe_import_note(t->job,
                        "weights sum to 1 in %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                        " rows, in all to %.3g .. %.3g: %s",
                        s->ones, s->rows, s->low, s->high,
                        s->ones * 10 >= s->rows * 9 ? "those that do not are suspect"
                        : s->high <= 1.02           ? "a softmax over all experts, not renormalised"
                                                    : "sigmoid gates or a scale");
    if (s->unsorted)
        moe_import_note(t->job,
                        "ids are not by falling weight in %" G_GUINT64_FORMAT
                        " of %" G_GUINT64_FORMAT " rows: order \"file\"",
                        s->unsorted, s->rows);
    else
        moe_routing_builder_meta(t->builder, "order", "weight");
}

static void
report_order(const moe_traps *t)
{
    double one, found;
    uint32_t lag = traps_lags_found(&t->lags, &one, &found);
    if (!lag)
        return;
    moe_diag_warning(
        t->job->diag, (moe_loc){.file = moe_diag_intern(t->job->diag, t->job->paths[0])},
        "tokens share %.0f%% of their experts with the token before, but %.0f%% with that %u rows "
        "earlier: rows of %u sequences seem to alternate (sequence-first order), unless the text "
        "repeats itself",
        100 * one, 100 * found, lag, lag);
}

static void
report_twice(moe_traps *t)
{
    uint32_t pair[2];
    double bits = t->n_layers * t->k * log2((double)(t->max_id + 1) / t->k);
    uint64_t n = traps_sequences_twice(&t->sequences, bits, pair);
    if (n)
        moe_diag_warning(t->job->diag,
                         (moe_loc){.file = moe_diag_intern(t->job->diag, t->job->paths[0])},
                         "sequences %u and %u are equal throughout%s: was an answer given twice?",
                         pair[0], pair[1], n > 1 ? ", and others" : "");
}

/* What there is, in a line: the job's to print, behind everything else. */
static void
report_summary(const moe_traps *t, const bool *keep, uint32_t n_experts)
{
    uint32_t n_layers = 0, n = t->sequences.list->len;
    for (uint32_t i = 0; i < t->n_layers; i++)
        n_layers += keep[i];
    if (t->job->summary)
        g_string_printf(t->job->summary,
                        "%u sequence%s, %" G_GUINT64_FORMAT " token%s (%" G_GUINT64_FORMAT
                        " prefill), %u layer%s, %u experts, top-%u",
                        n, n == 1 ? "" : "s", t->sequences.n_tokens,
                        t->sequences.n_tokens == 1 ? "" : "s", t->sequences.n_prefill, n_layers,
                        n_layers == 1 ? "" : "s", n_experts, t->k);
}

/* Nothing is left: why; false. */
static bool
report_nothing(const moe_traps *t)
{
    if (t->errors)
        return false;
    if (t->dummies && t->dummies == t->n_tokens)
        return moe_import_fail(t->job, t->input,
                               "all %" G_GUINT64_FORMAT " tokens name experts 0 .. %u in every "
                               "layer: the capture failed",
                               t->n_tokens, t->k - 1);
    report_tokens(t);
    if (t->padding && t->padding == t->n_tokens)
        return moe_import_fail(t->job, t->input,
                               "no token is left: all their ids are 0, so the capture failed");
    return moe_import_fail(t->job, t->input, "%s",
                           t->n_tokens ? "no token is left: none holds routing"
                                       : "holds no tokens");
}

moe_routing_builder *
moe_traps_finish(moe_traps *t)
{
    g_autofree bool *keep = g_new0(bool, t->n_layers);
    moe_routing_builder *builder = NULL;
    bool ok = t->errors == 0 && !t->failed && (t->n_kept || report_nothing(t));
    if (ok)
        report_tokens(t);
    if (ok && traps_layers(t, keep) && !layers_of_another(t, keep)) {
        uint32_t n = t->limit_known ? t->limit : MAX(t->max_id + 1, t->k);
        if (!t->limit_known) {
            moe_import_note(t->job, "%u experts, as the largest id is %u", n, t->max_id);
            moe_routing_builder_experts(t->builder, n);
        }
        report_weights(t);
        report_order(t);
        report_twice(t);
        report_summary(t, keep, n);
        moe_routing_builder_layers(t->builder, t->layer_ids);
        moe_routing_builder_keep_layers(t->builder, keep);
        builder = g_steal_pointer(&t->builder);
    }
    moe_traps_free(t);
    return builder;
}
