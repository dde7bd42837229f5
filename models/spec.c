#include "models/spec.h"

#include "models/set.h"

#include <inttypes.h>

/* Beyond this many parameters the sums could leave int64. */
#define MAX_PARAMS 1e15

typedef struct checker {
    const moe_model_spec *spec;
    moe_spec_where *where;
    const void *context;
    moe_diag *diag;
    size_t stack;
} checker;

static const moe_stack_spec *
stack_of(const moe_model_spec *spec, size_t i)
{
    return (const moe_stack_spec *)spec->stacks.items + i;
}

static moe_loc
at(const checker *c, const char *section, const char *key)
{
    return c->where(c->context, c->stack, section, key);
}

static bool
is_moe(const moe_stack_spec *s, int64_t layer)
{
    return s->moe.experts > 0 && layer >= s->dense_first && layer % s->moe_every == s->moe_offset;
}

static bool
has_keys(const moe_stack_spec *s, int64_t layer)
{
    return layer % s->attention_every == s->attention_offset;
}

static void
need(const checker *c, const char *section, const char *key, int64_t value, const char *why)
{
    if (value <= 0)
        moe_diag_error(c->diag, at(c, section, key), "%s wants '%s' (%s)", section, key, why);
}

/* An indexer is whole or absent, and the only one to choose the keys. */
static void
check_index(const checker *c, const moe_attention_spec *a, const char *section)
{
    if (!a->index_heads && !a->index_dim && !a->index_top_k)
        return;
    need(c, section, "index_heads", a->index_heads, "an indexer's heads");
    need(c, section, "index_dim", a->index_dim, "elements of an indexer's key");
    need(c, section, "index_top_k", a->index_top_k, "keys that an indexer chooses");
    if (a->window)
        moe_diag_error(c->diag, at(c, section, "window"),
                       "a sliding window and an indexer cannot both choose the keys");
}

static void
check_attention(const checker *c, const moe_attention_spec *a, const char *section)
{
    need(c, section, "heads", a->heads, "the number of query heads");
    check_index(c, a, section);
    if (a->kind == MOE_SPEC_MLA) {
        need(c, section, "kv_lora", a->kv_lora, "kind mla: the cached latent's elements");
        need(c, section, "nope_dim", a->nope_dim, "kind mla: key elements without position");
        need(c, section, "rope_dim", a->rope_dim, "kind mla: key elements with position");
        need(c, section, "value_dim", a->value_dim, "kind mla: value elements of a head");
        if (a->output_gate)
            moe_diag_error(c->diag, at(c, section, "output_gate"),
                           "'output_gate' belongs to kind heads");
        return;
    }
    need(c, section, "head_dim", a->head_dim, "elements of a head");
    if (a->kv_heads && a->heads % a->kv_heads)
        moe_diag_error(c->diag, at(c, section, "kv_heads"),
                       "%" PRId64 " heads cannot share %" PRId64 " KV heads evenly", a->heads,
                       a->kv_heads);
}

static void
check_linear(const checker *c, const moe_linear_spec *l)
{
    int64_t keys = l->key_heads ? l->key_heads : l->heads;
    bool scan = l->kind == MOE_LINEAR_MAMBA;

    need(c, "linear", "key_dim", l->key_dim, "elements of a key: the state's rows");
    if (!scan)
        need(c, "linear", "value_dim", l->value_dim, "elements of a value: the state's columns");
    if (l->heads % keys)
        moe_diag_error(c->diag, at(c, "linear", "key_heads"),
                       "%" PRId64 " heads cannot share %" PRId64 " key heads evenly", l->heads,
                       keys);
    if (scan && (keys != 1 || l->value_dim > 1))
        moe_diag_error(c->diag, at(c, "linear", keys != 1 ? "key_heads" : "value_dim"),
                       "kind mamba has one key head, and a channel in each head (value_dim 1)");
    if (scan)
        need(c, "linear", "rank", l->rank, "kind mamba: elements that steps are made of");
    if (!scan && l->rank)
        moe_diag_error(c->diag, at(c, "linear", "rank"), "'rank' belongs to kind mamba");
}

/* Which layers have keys, and which a state. */
static void
check_kinds(const checker *c, const moe_stack_spec *s)
{
    int64_t n_keys = 0;

    if (s->attention_offset >= s->attention_every)
        moe_diag_error(c->diag, at(c, NULL, "attention_offset"),
                       "'attention_offset' must be below 'attention_every'");
    for (int64_t l = 0; l < s->layers; l++)
        n_keys += has_keys(s, l);
    if (n_keys || s->attention.heads)
        check_attention(c, &s->attention, "attention");
    if (s->linear.heads)
        check_linear(c, &s->linear);
    if (n_keys < s->layers && !s->linear.heads)
        moe_diag_error(c->diag, at(c, "linear", "heads"),
                       "%" PRId64 " of %" PRId64 " layers are linear, but 'linear.heads' is absent",
                       s->layers - n_keys, s->layers);
    if (n_keys == s->layers && s->linear.heads)
        moe_diag_error(c->diag, at(c, "linear", "heads"),
                       "'linear' is given, but no layer of this stack is linear");
}

static void
check_pattern(const checker *c, const moe_stack_spec *s)
{
    int64_t n_moe = 0;

    if (s->moe_offset >= s->moe_every)
        moe_diag_error(c->diag, at(c, NULL, "moe_offset"),
                       "'moe_offset' must be below 'moe_every'");
    if (s->window_offset >= s->window_every)
        moe_diag_error(c->diag, at(c, NULL, "window_offset"),
                       "'window_offset' must be below 'window_every'");
    for (int64_t l = 0; l < s->layers; l++)
        n_moe += is_moe(s, l);
    if (n_moe < s->layers && !s->dense.width)
        moe_diag_error(c->diag, at(c, "dense", "width"),
                       "%" PRId64 " of %" PRId64 " layers are dense, but 'dense.width' is absent",
                       s->layers - n_moe, s->layers);
    if (n_moe == s->layers && s->dense.width)
        moe_diag_error(c->diag, at(c, "dense", "width"),
                       "'dense' is given, but no layer of this stack is dense");
    if (!n_moe && s->moe.experts)
        moe_diag_error(c->diag, at(c, "moe", "experts"),
                       "'moe' is given, but no layer of this stack has experts");
}

static void
check_moe(const checker *c, const moe_ffn_spec *moe)
{
    if (!moe->experts)
        return;
    need(c, "moe", "width", moe->width, "the intermediate size of one expert");
    need(c, "moe", "top_k", moe->top_k, "experts per token");
    if (moe->top_k > moe->experts)
        moe_diag_error(c->diag, at(c, "moe", "top_k"),
                       "%" PRId64 " experts per token, but there are only %" PRId64, moe->top_k,
                       moe->experts);
}

static void
check_stack(const checker *c, const moe_stack_spec *s, bool has_encoder)
{
    check_kinds(c, s);
    if (s->cross.heads || s->cross.head_dim) {
        check_attention(c, &s->cross, "cross");
        if (s->kind == MOE_STACK_ENCODER || !has_encoder)
            moe_diag_error(c->diag, at(c, "cross", "heads"),
                           "cross attention belongs to a decoder behind an encoder");
    }
    check_pattern(c, s);
    check_moe(c, &s->moe);
}

static bool
check_stacks(checker *c)
{
    size_t n = c->spec->stacks.n;
    unsigned before = moe_diag_errors(c->diag);
    bool has_encoder = n == 2 && stack_of(c->spec, 0)->kind == MOE_STACK_ENCODER;

    if (!n || n > 2 || stack_of(c->spec, n - 1)->kind != MOE_STACK_DECODER ||
        (n == 2 && !has_encoder))
        moe_diag_error(c->diag, at(c, NULL, NULL),
                       "a model is one decoder stack, or an encoder followed by a decoder");
    for (size_t i = 0; i < n; i++) {
        c->stack = i;
        check_stack(c, stack_of(c->spec, i), has_encoder);
    }
    c->stack = 0;
    return moe_diag_errors(c->diag) == before;
}

static moe_attention
attention_of(const moe_attention_spec *a, bool windowed, int64_t buckets)
{
    return (moe_attention){
        .kind = a->kind == MOE_SPEC_MLA ? MOE_ATTENTION_MLA : MOE_ATTENTION_HEADS,
        .heads = (int)a->heads,
        .kv_heads = (int)(a->kv_heads ? a->kv_heads : a->heads),
        .head_dim = (int)a->head_dim,
        .q_lora = (int)a->q_lora,
        .kv_lora = (int)a->kv_lora,
        .nope_dim = (int)a->nope_dim,
        .rope_dim = (int)a->rope_dim,
        .value_dim = (int)a->value_dim,
        .window = windowed ? (int)a->window : 0,
        .index_heads = (int)a->index_heads,
        .index_dim = (int)a->index_dim,
        .index_top_k = (int)a->index_top_k,
        .output_gate = a->output_gate,
        .bias = a->bias,
        .output_bias = a->output_bias,
        .sinks = a->sinks,
        .qk_norm = (moe_qk_norm)a->qk_norm,
        .relative_buckets = (int)buckets,
    };
}

static moe_attention
linear_of(const moe_linear_spec *l)
{
    return (moe_attention){
        .kind = MOE_ATTENTION_LINEAR,
        .linear = (moe_linear_kind)l->kind,
        .heads = (int)l->heads,
        .key_heads = (int)(l->key_heads ? l->key_heads : l->heads),
        .key_dim = (int)l->key_dim,
        .value_dim = (int)(l->value_dim ? l->value_dim : 1),
        .conv = (int)l->conv,
        .rank = (int)l->rank,
        .state_bits = l->state == MOE_SPEC_FP32 ? 32 : 16,
        .chunk = (int)l->chunk,
    };
}

static moe_ffn
ffn_of(const moe_ffn_spec *f, moe_ffn_kind kind)
{
    bool moe = kind == MOE_FFN_MOE;

    return (moe_ffn){
        .kind = kind,
        .matrices = (int)f->matrices,
        .width = (int)f->width,
        .experts = moe ? (int)f->experts : 0,
        .top_k = moe ? (int)f->top_k : 0,
        .shared_width = (int)f->shared_width,
        .shared_gate = f->shared_width && f->shared_gate,
        .router_bias = moe && f->router_bias,
        .bias = f->bias,
    };
}

static moe_layer
layer_of(const moe_stack_spec *s, int64_t l, int moe_index)
{
    bool windowed = l % s->window_every == s->window_offset;
    bool moe = is_moe(s, l);
    moe_layer layer = {
        .attention = has_keys(s, l)
                         ? attention_of(&s->attention, windowed, l ? 0 : s->relative_buckets)
                         : linear_of(&s->linear),
        .ffn = moe ? ffn_of(&s->moe, MOE_FFN_MOE) : ffn_of(&s->dense, MOE_FFN_DENSE),
        .moe_index = moe ? moe_index : -1,
    };

    if (s->cross.heads)
        layer.cross = attention_of(&s->cross, false, 0);
    return layer;
}

static void
build_stack(moe_model_set *set, size_t i, const moe_stack_spec *s)
{
    int64_t rounds = MAX(s->moe.rounds, 1);
    moe_layer *layers = g_new0(moe_layer, (gsize)(s->layers * rounds));
    int n = 0, n_moe = 0;

    for (int64_t l = 0; l < s->layers; l++) {
        layers[n++] = layer_of(s, l, n_moe);
        if (layers[n - 1].ffn.kind != MOE_FFN_MOE)
            continue;
        n_moe++;
        for (int64_t r = 1; r < rounds; r++, n++) {
            layers[n].ffn = layers[n - 1].ffn;
            layers[n].ffn.again = true;
            layers[n].ffn.shared_width = 0;
            layers[n].ffn.shared_gate = false;
            layers[n].moe_index = n_moe++;
        }
    }
    set->layers[i] = layers;
    set->stacks[i] = (moe_stack){(moe_stack_kind)s->kind, n, n_moe, layers};
}

/* The sum of all layers in floating point: says whether the exact counts fit int64. */
static double
rough_total(const moe_model *model)
{
    double n = 2.0 * model->vocab * model->hidden;

    for (int s = 0; s < model->n_stacks; s++)
        for (int l = 0; l < model->stacks[s].n_layers; l++)
            n += (double)moe_layer_params(model, &model->stacks[s].layers[l]);
    return n;
}

moe_model_set *
moe_spec_build(const moe_model_spec *spec, moe_spec_where *where, const void *context,
               moe_diag *diag)
{
    static const char *const countings[] = {"all", "output", "none"};
    checker c = {spec, where, context, diag, 0};

    if (!check_stacks(&c))
        return NULL;
    g_autoptr(moe_model_set) set = g_new0(moe_model_set, 1);
    set->name = g_strdup(spec->name);
    set->source = g_strdup(spec->source ? spec->source : "");
    set->published_source = g_strdup(spec->published_source);
    for (size_t i = 0; i < spec->stacks.n; i++)
        build_stack(set, i, stack_of(spec, i));
    set->model = (moe_model){
        .name = set->name,
        .source = set->source,
        .hidden = (int)spec->hidden,
        .vocab = (int)spec->vocab,
        .tied = spec->tied,
        .head_bias = spec->head_bias,
        .norm_bias = spec->norm_bias,
        .n_stacks = (int)spec->stacks.n,
        .stacks = set->stacks,
        .expert_bits = moe_dtype_bits(moe_dtype_names[spec->experts]),
        .weight_bits = moe_dtype_bits(moe_dtype_names[spec->weights]),
        .expert_dtype = moe_dtype_names[spec->experts],
        .weight_dtype = moe_dtype_names[spec->weights],
        .published_total = spec->published_total,
        .published_active = spec->published_active,
        .counting = countings[spec->counting],
        .published_source = set->published_source,
    };
    if (rough_total(&set->model) > MAX_PARAMS) {
        moe_diag_error(diag, at(&c, NULL, NULL), "more than 10^15 parameters");
        return NULL;
    }
    return g_steal_pointer(&set);
}
