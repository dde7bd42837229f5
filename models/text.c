/* A model as canonical text, and as text for people. */
#include "models/model.h"

#include "sim/base/units.h"

#include <string.h>

static const char *
qk_norm_name(moe_qk_norm norm)
{
    static const char *const names[] = {"none", "head", "full"};
    return names[norm];
}

static const char *
stack_name(moe_stack_kind kind)
{
    return kind == MOE_STACK_ENCODER ? "encoder" : "decoder";
}

static void
linear_text(const char *what, const moe_attention *a, GString *out)
{
    g_string_append_printf(out,
                           " %s=linear kind=%s heads=%d key_heads=%d key_dim=%d value_dim=%d "
                           "conv=%d rank=%d state_bits=%d chunk=%d",
                           what, moe_linear_kind_name(a->linear), a->heads, a->key_heads,
                           a->key_dim, a->value_dim, a->conv, a->rank, a->state_bits, a->chunk);
}

static void
attention_text(const char *what, const moe_attention *a, GString *out)
{
    if (a->kind == MOE_ATTENTION_NONE)
        return;
    if (a->kind == MOE_ATTENTION_LINEAR) {
        linear_text(what, a, out);
        return;
    }
    g_string_append_printf(out, " %s=%s heads=%d", what,
                           a->kind == MOE_ATTENTION_MLA ? "mla" : "heads", a->heads);
    if (a->kind == MOE_ATTENTION_MLA)
        g_string_append_printf(out, " q_lora=%d kv_lora=%d nope_dim=%d rope_dim=%d value_dim=%d",
                               a->q_lora, a->kv_lora, a->nope_dim, a->rope_dim, a->value_dim);
    else
        g_string_append_printf(out,
                               " kv_heads=%d head_dim=%d bias=%d output_bias=%d sinks=%d "
                               "qk_norm=%s relative_buckets=%d",
                               a->kv_heads, a->head_dim, a->bias, a->output_bias, a->sinks,
                               qk_norm_name(a->qk_norm), a->relative_buckets);
    g_string_append_printf(out, " window=%d", a->window);
    if (a->index_top_k)
        g_string_append_printf(out, " index_heads=%d index_dim=%d index_top_k=%d", a->index_heads,
                               a->index_dim, a->index_top_k);
    if (a->output_gate)
        g_string_append(out, " output_gate");
}

static void
ffn_text(const moe_ffn *f, GString *out)
{
    if (f->kind == MOE_FFN_NONE)
        return;
    g_string_append_printf(out, " ffn=%s matrices=%d width=%d bias=%d",
                           f->kind == MOE_FFN_MOE ? "moe" : "dense", f->matrices, f->width,
                           f->bias);
    if (f->kind == MOE_FFN_MOE)
        g_string_append_printf(out,
                               " experts=%d top_k=%d shared_width=%d shared_gate=%d "
                               "router_bias=%d",
                               f->experts, f->top_k, f->shared_width, f->shared_gate,
                               f->router_bias);
    if (f->again)
        g_string_append(out, " again");
}

static char *
layer_text(const moe_layer *layer)
{
    GString *out = g_string_new(NULL);

    attention_text("attention", &layer->attention, out);
    attention_text("cross", &layer->cross, out);
    ffn_text(&layer->ffn, out);
    return g_string_free(out, FALSE);
}

void
moe_model_canonical(const moe_model *model, GString *out)
{
    char weights[32], experts[32];

    moe_format_real(weights, model->weight_bits);
    moe_format_real(experts, model->expert_bits);
    g_string_append_printf(out,
                           "model hidden=%d vocab=%d tied=%d head_bias=%d norm_bias=%d "
                           "weight_bits=%s expert_bits=%s weights=%s experts=%s\n",
                           model->hidden, model->vocab, model->tied, model->head_bias,
                           model->norm_bias, weights, experts, model->weight_dtype,
                           model->expert_dtype);
    for (int s = 0; s < model->n_stacks; s++) {
        const moe_stack *stack = &model->stacks[s];
        g_string_append_printf(out, "stack %s layers=%d\n", stack_name(stack->kind),
                               stack->n_layers);
        for (int l = 0; l < stack->n_layers; l++) {
            g_autofree char *text = layer_text(&stack->layers[l]);
            g_string_append_printf(out, "layer %d%s\n", l, text);
        }
    }
}

static void
describe_count(const char *what, double got, double published, GString *out)
{
    g_autofree char *count = moe_format_count(got);

    g_string_append_printf(out, "  %s %s", what, count);
    if (published > 0) {
        g_autofree char *text = moe_format_count(published);
        g_string_append_printf(out, " (published %s, %+.2f %%)", text, 100 * (got / published - 1));
    }
    g_string_append_c(out, '\n');
}

static void
describe_attention(const char *what, const moe_attention *a, GString *out)
{
    if (a->kind == MOE_ATTENTION_NONE)
        return;
    if (a->kind == MOE_ATTENTION_LINEAR)
        g_string_append_printf(out, "linear %s (%s) of %d heads (%d of keys), state %d x %d", what,
                               moe_linear_kind_name(a->linear), a->heads, a->key_heads, a->key_dim,
                               a->value_dim);
    else if (a->kind == MOE_ATTENTION_MLA)
        g_string_append_printf(out, "%s of %d heads on a latent of %d + %d", what, a->heads,
                               a->kv_lora, a->rope_dim);
    else
        g_string_append_printf(out, "%s of %d heads (%d KV) x %d", what, a->heads, a->kv_heads,
                               a->head_dim);
    if (a->window)
        g_string_append_printf(out, ", window %d", a->window);
    if (a->index_top_k)
        g_string_append_printf(out, ", %d keys chosen by %d heads x %d", a->index_top_k,
                               a->index_heads, a->index_dim);
    g_string_append(out, "; ");
}

static void
describe_ffn(const moe_ffn *f, GString *out)
{
    if (f->kind == MOE_FFN_DENSE)
        g_string_append_printf(out, "dense %d", f->width);
    if (f->kind == MOE_FFN_MOE)
        g_string_append_printf(out, "%d of %d experts x %d", f->top_k, f->experts, f->width);
    if (f->shared_width)
        g_string_append_printf(out, ", shared %d", f->shared_width);
    g_string_append_printf(out, ", %d matrices", f->matrices);
    if (f->again)
        g_string_append(out, ", the same experts again");
}

/* Layers of one shape as "layers 0-2, 5: shape"; `seen` marks those already listed. */
static void
describe_alike(const moe_stack *stack, int first, bool *seen, GString *out)
{
    g_autofree char *shape = layer_text(&stack->layers[first]);
    const char *sep = "    layers ";

    for (int l = first; l < stack->n_layers; l++) {
        int end = l;
        while (end < stack->n_layers) {
            g_autofree char *text = layer_text(&stack->layers[end]);
            if (strcmp(text, shape))
                break;
            seen[end++] = true;
        }
        if (end == l)
            continue;
        if (end - l == 1)
            g_string_append_printf(out, "%s%d", sep, l);
        else
            g_string_append_printf(out, "%s%d-%d", sep, l, end - 1);
        sep = ", ";
        l = end;
    }
    g_string_append(out, ": ");
    describe_attention("attention", &stack->layers[first].attention, out);
    describe_attention("cross attention", &stack->layers[first].cross, out);
    describe_ffn(&stack->layers[first].ffn, out);
    g_string_append_c(out, '\n');
}

static void
describe_stack(const moe_model *model, const moe_stack *stack, GString *out)
{
    g_autofree bool *seen = g_new0(bool, (gsize)stack->n_layers);
    int64_t kv = 0, index = 0, state = 0, expert = 0;

    g_string_append_printf(out, "  %s: %d layers, %d with experts\n", stack_name(stack->kind),
                           stack->n_layers, stack->n_moe);
    for (int l = 0; l < stack->n_layers; l++) {
        const moe_layer *layer = &stack->layers[l];
        if (!seen[l])
            describe_alike(stack, l, seen, out);
        kv += moe_attention_kv(&layer->attention);
        index += moe_attention_index_bytes(&layer->attention);
        state += moe_attention_state_bytes(&layer->attention);
        if (layer->ffn.kind == MOE_FFN_MOE)
            expert = moe_expert_params(model, &layer->ffn);
    }
    if (expert) {
        g_autofree char *count = moe_format_count((double)expert);
        g_autofree char *bytes = moe_format_bytes(moe_weight_bytes(expert, model->expert_bits));
        g_string_append_printf(out, "    one expert: %s parameters, %s\n", count, bytes);
    }
    g_string_append_printf(out, "    KV cache: %" G_GINT64_FORMAT " elements per token", kv);
    if (index)
        g_string_append_printf(out, ", indexers %" G_GINT64_FORMAT " B", index);
    g_string_append_c(out, '\n');
    if (state) {
        g_autofree char *bytes = moe_format_bytes(state);
        g_string_append_printf(out, "    linear attention: %s per sequence\n", bytes);
    }
}

void
moe_model_describe(const moe_model *model, GString *out)
{
    g_autofree char *active = g_strdup_printf("active (embeddings counted: %s)", model->counting);

    g_string_append_printf(out, "%s\n", model->name);
    if (*model->source)
        g_string_append_printf(out, "  source: %s\n", model->source);
    g_string_append_printf(out,
                           "  hidden %d, vocabulary %d%s, %g bits per weight, %g per expert "
                           "weight\n",
                           model->hidden, model->vocab, model->tied ? " (tied)" : "",
                           model->weight_bits, model->expert_bits);
    describe_count("total", (double)moe_model_total(model), model->published_total, out);
    describe_count(active, (double)moe_model_active(model, model->counting),
                   model->published_active, out);
    for (int s = 0; s < model->n_stacks; s++)
        describe_stack(model, &model->stacks[s], out);
}
