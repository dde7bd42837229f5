/* Every shipped model: loads without a word, and has the parameters that were published. */
#include "models/model.h"
#include "sim/base/data.h"
#include "tests/test.h"

#include <math.h>

static moe_model_set *
load(const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_model_set *set = moe_model_load(name, NULL, (moe_loc){0}, diag, &error);
    g_autofree char *text = moe_diag_render(diag);

    MOE_CHECK(set && !error, "%s: %s%s", name, text, error ? error->message : "");
    MOE_CHECK(!*text, "%s", text);
    return set;
}

/* Figures printed with few digits: what the last printed digit counts, and whether the source cut
 * off instead of rounding. Where no row stands, the published figure holds within 1 %. */
static const struct {
    const char *preset;
    double total_unit, active_unit;
    bool active_cut;
    const char *why;
} rounded[] = {
    {"olmoe-1b-7b", 0.1e9, 0.1e9, false, "1.28 B printed as 1.3"},
    {"deepseekmoe-16b", 0.1e9, 0.1e9, false, "2.83 B printed as 2.8"},
    {"deepseek-v2-lite", 0.1e9, 0.1e9, true, "2.45 B with one embedding printed as 2.4"},
    {"qwen3-30b-a3b", 0.1e9, 0.1e9, true, "3.35 B printed as 3.3"},
    {"deepseek-v3.2", 1e9, 1e9, false, "37.5 B printed as 37, as of V3 without indexers: 36.6"},
    {"qwen3-next-80b-a3b", 1e9, 1e9, false, "3.25 B printed as 3"},
    {"granite-4.0-h-small", 1e6, 1e9, false, "8.80 B printed as 9"},
};

/* Whether `got` is what `published` says: within 1 %, or rounding (or cutting) leads to it. */
static bool
agrees(double got, double published, double unit, bool cut)
{
    double off = got - published;

    if (fabs(off) <= 0.01 * published || fabs(off) <= unit / 2)
        return true;
    return cut && off >= 0 && off < unit;
}

static void
presets_match_published(void)
{
    g_auto(GStrv) names = moe_data_presets("models/presets");

    MOE_CHECK(names && g_strv_length(names) >= 16, "%u presets", g_strv_length(names));
    for (size_t i = 0; names[i]; i++) {
        g_autoptr(moe_model_set) set = load(names[i]);
        if (!set)
            continue;
        const moe_model *m = moe_model_get(set);
        double total_unit = 0, active_unit = 0;
        bool cut = false;
        for (size_t r = 0; r < MOE_COUNT(rounded); r++)
            if (!strcmp(rounded[r].preset, names[i])) {
                total_unit = rounded[r].total_unit;
                active_unit = rounded[r].active_unit;
                cut = rounded[r].active_cut;
                printf("\n    %s: %s", names[i], rounded[r].why);
            }
        double total = (double)moe_model_total(m);
        double active = (double)moe_model_active(m, m->counting);
        printf("\n    %-18s total %8.3f B, published %8.3f (%+.2f %%); active %7.3f B, published "
               "%7.3f (%+.2f %%, embeddings: %s)",
               names[i], total / 1e9, m->published_total / 1e9,
               100 * (total / m->published_total - 1), active / 1e9, m->published_active / 1e9,
               100 * (active / m->published_active - 1), m->counting);
        MOE_CHECK(m->published_total > 0 && m->published_active > 0, "%s", names[i]);
        MOE_CHECK(*m->source && m->published_source && *m->published_source, "%s: no source",
                  names[i]);
        MOE_CHECK(agrees(total, m->published_total, total_unit, false), "%s: total %.4g", names[i],
                  total);
        MOE_CHECK(agrees(active, m->published_active, active_unit, cut), "%s: active %.4g",
                  names[i], active);
        MOE_CHECK(!strcmp(m->name, names[i]), "%s is called %s", names[i], m->name);
    }
    printf("\n");
}

/* Totals to the last parameter, norms and biases included, as the checkpoints hold them. */
static void
exact_totals(void)
{
    static const struct {
        const char *preset;
        int64_t total;
    } cases[] = {
        {"mixtral-8x7b", 46702792704},
        {"phi-3.5-moe", 41873153344},
        {"qwen1.5-moe-a2.7b", 14315784192},
        {"qwen3-30b-a3b", 30532122624},
        {"olmoe-1b-7b", 6919161856},
        {"deepseek-v2-lite", 15706484224},
        {"deepseekmoe-16b", 16375728128},
        {"gpt-oss-20b", 20914757184},
        {"gpt-oss-120b", 116829156672},
        /* Counted over transformers 5.24's modules of the same shape; V3.2's has the router's
         * correction biases (58 * 256) among its buffers. */
        {"deepseek-v3.2", 671877929216 + 58 * 256},
        {"qwen3-next-80b-a3b", 79674391296},
        {"minimax-text-01", 456089655296},
        {"jamba-v0.1", 51570323328},
        {"granite-4.0-h-small", 32207337984},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) set = load(cases[i].preset);
        if (!set)
            continue;
        int64_t got = moe_model_total(moe_model_get(set));
        MOE_CHECK(got == cases[i].total, "%s: %lld, expected %lld", cases[i].preset, (long long)got,
                  (long long)cases[i].total);
    }
}

static void
totals_are_sums_of_parts(void)
{
    g_auto(GStrv) names = moe_data_presets("models/presets");

    for (size_t i = 0; names && names[i]; i++) {
        g_autoptr(moe_model_set) set = load(names[i]);
        if (!set)
            continue;
        const moe_model *m = moe_model_get(set);
        int64_t sum = moe_embedding_params(m);
        for (int s = 0; s < m->n_stacks; s++) {
            int n_moe = 0;
            for (int l = 0; l < m->stacks[s].n_layers; l++) {
                const moe_layer *layer = &m->stacks[s].layers[l];
                const moe_ffn *f = &layer->ffn;
                int64_t parts = moe_attention_params(m, &layer->attention) +
                                moe_attention_params(m, &layer->cross) + moe_norm_params(m, layer) +
                                moe_dense_params(m, f) + moe_shared_params(m, f) +
                                moe_router_params(m, f) + f->experts * moe_expert_params(m, f);
                MOE_CHECK(parts == moe_layer_params(m, layer), "%s layer %d", names[i], l);
                MOE_CHECK(layer->moe_index == (f->kind == MOE_FFN_MOE ? n_moe : -1),
                          "%s layer %d: index %d", names[i], l, layer->moe_index);
                n_moe += f->kind == MOE_FFN_MOE;
                sum += parts;
            }
            CU_ASSERT_EQUAL(n_moe, m->stacks[s].n_moe);
            sum += m->hidden * (m->norm_bias ? 2 : 1);
        }
        MOE_CHECK(sum == moe_model_total(m), "%s", names[i]);
        CU_ASSERT(moe_model_active(m, "none") < moe_model_active(m, "output"));
        CU_ASSERT(moe_model_active(m, "output") <= moe_model_active(m, "all"));
        CU_ASSERT(moe_model_active(m, "all") < moe_model_total(m));
    }
}

static void
patterns(void)
{
    g_autoptr(moe_model_set) oss = load("gpt-oss-20b");
    g_autoptr(moe_model_set) v3 = load("deepseek-v3");
    g_autoptr(moe_model_set) sw = load("switch-base-8");
    const moe_stack *stack = moe_model_decoder(moe_model_get(oss));

    for (int l = 0; l < stack->n_layers; l++)
        CU_ASSERT_EQUAL(stack->layers[l].attention.window, l % 2 ? 0 : 128);
    CU_ASSERT_EQUAL(moe_attention_span(&stack->layers[0].attention, 1000), 128);
    CU_ASSERT_EQUAL(moe_attention_span(&stack->layers[0].attention, 100), 100);
    CU_ASSERT_EQUAL(moe_attention_span(&stack->layers[1].attention, 1000), 1000);

    stack = moe_model_decoder(moe_model_get(v3));
    for (int l = 0; l < stack->n_layers; l++)
        CU_ASSERT_EQUAL(stack->layers[l].ffn.kind, l < 3 ? MOE_FFN_DENSE : MOE_FFN_MOE);
    CU_ASSERT_EQUAL(stack->n_moe, 58);
    CU_ASSERT_PTR_NULL(moe_model_encoder(moe_model_get(v3)));

    stack = moe_model_decoder(moe_model_get(sw));
    for (int l = 0; l < stack->n_layers; l++) {
        CU_ASSERT_EQUAL(stack->layers[l].ffn.kind, l % 2 ? MOE_FFN_MOE : MOE_FFN_DENSE);
        CU_ASSERT_EQUAL(stack->layers[l].cross.kind, MOE_ATTENTION_HEADS);
        CU_ASSERT_EQUAL(stack->layers[l].attention.relative_buckets, l ? 0 : 32);
    }
    stack = moe_model_encoder(moe_model_get(sw));
    CU_ASSERT_PTR_NOT_NULL_FATAL(stack);
    CU_ASSERT_EQUAL(stack->kind, MOE_STACK_ENCODER);
    CU_ASSERT_EQUAL(stack->layers[0].cross.kind, MOE_ATTENTION_NONE);
}

/* Layers with keys among those with a state. */
static void
hybrid_patterns(void)
{
    static const struct {
        const char *preset;
        int every, offset;
        moe_linear_kind kind;
    } cases[] = {{"qwen3-next-80b-a3b", 4, 3, MOE_LINEAR_DELTA},
                 {"minimax-text-01", 8, 7, MOE_LINEAR_LIGHTNING},
                 {"jamba-v0.1", 8, 4, MOE_LINEAR_MAMBA},
                 {"granite-4.0-h-small", 10, 5, MOE_LINEAR_MAMBA2}};

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) set = load(cases[i].preset);
        const moe_stack *stack = set ? moe_model_decoder(moe_model_get(set)) : NULL;
        for (int l = 0; stack && l < stack->n_layers; l++) {
            const moe_attention *a = &stack->layers[l].attention;
            bool keys = l % cases[i].every == cases[i].offset;
            MOE_CHECK(a->kind == (keys ? MOE_ATTENTION_HEADS : MOE_ATTENTION_LINEAR) &&
                          (keys || a->linear == cases[i].kind),
                      "%s layer %d: kind %d", cases[i].preset, l, a->kind);
        }
    }
}

/* Bytes that a sequence keeps in a layer: written down by hand. A state does not grow with tokens,
 * and has no keys; an indexer has one more key of each token. */
static void
states(void)
{
    static const struct {
        const char *preset;
        int64_t state, conv, columns;
    } cases[] = {
        {"qwen3-next-80b-a3b", 32 * 128 * 128 * 4, 8192 * 3 * 2, 2 * 2048 + 2 * 4096 + 2 * 32},
        {"minimax-text-01", 64 * 128 * 128 * 4, 0, 4 * 8192},
        {"jamba-v0.1", 8192 * 16 * 4, 8192 * 3 * 2, 2 * 8192},
        {"granite-4.0-h-small", 128 * 128 * 64 * 4, (8192 + 2 * 128) * 3 * 2,
         2 * 8192 + 2 * 128 + 128},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) set = load(cases[i].preset);
        if (!set)
            continue;
        const moe_attention *a = &moe_model_decoder(moe_model_get(set))->layers[0].attention;
        int64_t state = moe_attention_state_bytes(a), columns = moe_attention_linear_columns(a);
        MOE_CHECK(state == cases[i].state + cases[i].conv, "%s: %lld B", cases[i].preset,
                  (long long)state);
        MOE_CHECK(moe_attention_conv_bytes(a) == cases[i].conv, "%s", cases[i].preset);
        MOE_CHECK(columns == cases[i].columns, "%s: %lld columns", cases[i].preset,
                  (long long)columns);
        CU_ASSERT_EQUAL(moe_attention_kv(a), 0);
        CU_ASSERT_EQUAL(moe_attention_index_bytes(a), 0);
        CU_ASSERT_EQUAL(moe_attention_score_flops(a, 100), 0);
    }
    g_autoptr(moe_model_set) v32 = load("deepseek-v3.2");
    const moe_attention *sparse = &moe_model_decoder(moe_model_get(v32))->layers[9].attention;
    CU_ASSERT_EQUAL(moe_attention_index_bytes(sparse), 128 + 4);
    CU_ASSERT_EQUAL(moe_attention_kv(sparse), 512 + 64);
    CU_ASSERT_EQUAL(moe_attention_state_bytes(sparse), 0);
    CU_ASSERT_EQUAL(moe_attention_span(sparse, 2048), 2048);
    CU_ASSERT_EQUAL(moe_attention_span(sparse, 100000), 2048);
    CU_ASSERT_EQUAL(moe_attention_span(sparse, 7), 7);
}

/* Bytes and cache elements, as derived in the literature from the same shapes. */
static void
sizes(void)
{
    static const struct {
        const char *preset;
        double expert_mb; /* at 16 bits */
        int64_t kv;       /* bytes per token and layer at 16 bits */
    } cases[] = {
        {"mixtral-8x7b", 352.32, 4096},     {"deepseekmoe-16b", 17.30, 8192},
        {"deepseek-v2-lite", 17.30, 1152},  {"deepseek-v3", 88.08, 1152},
        {"qwen1.5-moe-a2.7b", 17.30, 8192}, {"qwen2-57b-a14b", 55.05, 2048},
        {"qwen3-30b-a3b", 9.44, 2048},      {"qwen3-235b-a22b", 37.75, 2048},
        {"olmoe-1b-7b", 12.58, 8192},       {"phi-3.5-moe", 157.29, 4096},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) set = load(cases[i].preset);
        if (!set)
            continue;
        const moe_model *m = moe_model_get(set);
        const moe_stack *stack = moe_model_decoder(m);
        const moe_layer *last = &stack->layers[stack->n_layers - 1];
        double mb = (double)moe_weight_bytes(moe_expert_params(m, &last->ffn), 16) / 1e6;
        MOE_CHECK(fabs(mb - cases[i].expert_mb) < 0.006, "%s: %.3f MB", cases[i].preset, mb);
        int64_t kv = 2 * moe_attention_kv(&last->attention);
        MOE_CHECK(kv == cases[i].kv, "%s: %lld B", cases[i].preset, (long long)kv);
    }
}

static void
flops(void)
{
    g_autoptr(moe_model_set) set = load("mixtral-8x7b");
    const moe_model *m = moe_model_get(set);
    const moe_layer *layer = &moe_model_decoder(m)->layers[0];

    CU_ASSERT_EQUAL(moe_expert_flops(m, &layer->ffn), 2.0 * 3 * 4096 * 14336);
    CU_ASSERT_EQUAL(moe_attention_proj_flops(m, &layer->attention),
                    2.0 * (2 * 4096 * 4096 + 2 * 4096 * 1024));
    CU_ASSERT_EQUAL(moe_attention_score_flops(&layer->attention, 10), 4.0 * 32 * 128 * 10);
    CU_ASSERT_EQUAL(moe_router_flops(m, &layer->ffn), 2.0 * 8 * 4096);
    CU_ASSERT_EQUAL(moe_shared_flops(m, &layer->ffn), 0);
    CU_ASSERT_EQUAL(moe_dense_flops(m, &layer->ffn), 0);

    g_autoptr(moe_model_set) v3 = load("deepseek-v3");
    const moe_attention *mla = &moe_model_decoder(moe_model_get(v3))->layers[0].attention;
    CU_ASSERT_EQUAL(moe_attention_score_flops(mla, 1), 2.0 * 128 * (512 + 64 + 512));

    g_autoptr(moe_model_set) v32 = load("deepseek-v3.2");
    const moe_model *sparse = moe_model_get(v32);
    CU_ASSERT_EQUAL(
        moe_attention_proj_flops(sparse, &moe_model_decoder(sparse)->layers[0].attention) -
            moe_attention_proj_flops(moe_model_get(v3), mla),
        2.0 * (1536 * 64 * 128 + 7168 * (128 + 64)));

    g_autoptr(moe_model_set) next = load("qwen3-next-80b-a3b");
    const moe_model *hybrid = moe_model_get(next);
    const moe_layer *layers = moe_model_decoder(hybrid)->layers;
    CU_ASSERT_EQUAL(moe_attention_proj_flops(hybrid, &layers[0].attention),
                    2.0 * 2048 * (12352 + 4096));
    CU_ASSERT_EQUAL(moe_attention_proj_flops(hybrid, &layers[3].attention),
                    2.0 * 2048 * 256 * (3 * 16 + 2 * 2));

    g_autoptr(moe_model_set) jamba = load("jamba-v0.1");
    const moe_model *scan = moe_model_get(jamba);
    CU_ASSERT_EQUAL(moe_attention_proj_flops(scan, &moe_model_decoder(scan)->layers[0].attention),
                    2.0 * (3 * 4096 * 8192 + 8192 * (256 + 32) + 256 * 8192));
}

static void
dtypes(void)
{
    for (size_t i = 0; moe_dtype_names[i]; i++)
        MOE_CHECK(moe_dtype_bits(moe_dtype_names[i]) > 0, "%s", moe_dtype_names[i]);
    CU_ASSERT_EQUAL(moe_dtype_bits("mxfp4"), 4.25);
    CU_ASSERT_EQUAL(moe_dtype_bits("bf16"), 16);
    CU_ASSERT_EQUAL(moe_dtype_bits("native"), 0);
    CU_ASSERT_EQUAL(moe_dtype_bits(""), 0);
    CU_ASSERT_EQUAL(moe_weight_bytes(3, 4.25), 2); /* 12.75 bits */
    CU_ASSERT_EQUAL(moe_weight_bytes(32, 4.25), 17);
    CU_ASSERT_EQUAL(moe_weight_bytes(0, 16), 0);
    CU_ASSERT_EQUAL(moe_weight_bytes(1000000000000000, 16), 2000000000000000);
}

static void
descriptions(void)
{
    g_auto(GStrv) names = moe_data_presets("models/presets");

    for (size_t i = 0; names && names[i]; i++) {
        g_autoptr(moe_model_set) set = load(names[i]);
        g_autoptr(GString) text = g_string_new(NULL);
        moe_model_describe(moe_model_get(set), text);
        MOE_CHECK(strstr(text->str, names[i]) && strstr(text->str, "published"), "%s", text->str);
    }
    g_autoptr(moe_model_set) set = load("gpt-oss-20b");
    g_autoptr(GString) text = g_string_new(NULL);
    moe_model_describe(moe_model_get(set), text);
    printf("\n%s", text->str);
    MOE_CHECK(strstr(text->str, "layers 0, 2, 4, 6"), "%s", text->str);

    static const struct {
        const char *preset, *says;
    } cases[] = {
        {"deepseek-v3.2", ", 2048 keys chosen by 64 heads x 128; "},
        {"deepseek-v3.2", "KV cache: 35136 elements per token, indexers 8052 B\n"},
        {"qwen3-next-80b-a3b",
         "linear attention (delta) of 32 heads (16 of keys), state 128 x 128"},
        {"qwen3-next-80b-a3b", "linear attention: 73.7 MiB per sequence\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_model_set) one = load(cases[i].preset);
        g_autoptr(GString) said = g_string_new(NULL);
        moe_model_describe(moe_model_get(one), said);
        MOE_CHECK(strstr(said->str, cases[i].says), "%s", said->str);
    }
}

MOE_TESTS({"parameters as published", presets_match_published},
          {"totals to the last parameter", exact_totals},
          {"totals are sums of parts", totals_are_sums_of_parts}, {"patterns of layers", patterns},
          {"patterns of hybrids", hybrid_patterns}, {"states", states},
          {"expert and cache sizes", sizes}, {"FLOPs", flops}, {"weight types", dtypes},
          {"descriptions", descriptions})
