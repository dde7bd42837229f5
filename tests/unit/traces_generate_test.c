#include "tests/test.h"

#include "traces/generate.h"

#include <glib/gstdio.h>
#include <math.h>

static moe_routing_file *
generated(const moe_generate_config *config)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_routing_builder *builder = moe_generate(config, (moe_loc){.file = "x"}, diag);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(builder != NULL, "%s", text);
    return builder ? moe_routing_builder_finish(builder, "generated") : NULL;
}

/* The sample in the tree is what the code makes, byte for byte. */
static void
sample(void)
{
    g_autofree char *path = g_strdup_printf("%s/moesim-sample-XXXXXX", g_get_tmp_dir());
    int fd = g_mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    g_close(fd, NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_generate_config config = moe_generate_sample();
    CU_ASSERT_TRUE(
        moe_routing_builder_write(moe_generate(&config, (moe_loc){0}, diag), path, NULL));
    g_autofree char *made = NULL, *kept = NULL;
    gsize n_made = 0, n_kept = 0;
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(path, &made, &n_made, NULL));
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(
        MOE_SOURCE_DIR "/traces/samples/quickstart.safetensors", &kept, &n_kept, NULL));
    CU_ASSERT_EQUAL(n_made, n_kept);
    CU_ASSERT_EQUAL(memcmp(made, kept, MIN(n_made, n_kept)), 0);
    MOE_CHECK(n_kept < 300000, "%zu bytes", n_kept);
    g_unlink(path);
}

static void
shape(void)
{
    moe_generate_config config = moe_generate_sample();
    g_autoptr(moe_routing_file) file = generated(&config);
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_EQUAL(r->n_tokens, 16 * 128);
    CU_ASSERT_EQUAL(r->n_sequences, 16);
    CU_ASSERT_EQUAL(r->n_prefill, 16 * 64);
    CU_ASSERT_EQUAL(r->n_layers, 32);
    CU_ASSERT_EQUAL(r->n_experts, 8);
    CU_ASSERT_EQUAL(r->k, 2);
    CU_ASSERT_EQUAL(r->n_lookahead, 1);
    CU_ASSERT_EQUAL(r->phase[63], MOE_PREFILL);
    CU_ASSERT_EQUAL(r->phase[64], MOE_DECODE);
    CU_ASSERT_STRING_EQUAL(r->model, "mixtral-8x7b");
    CU_ASSERT_PTR_NOT_NULL(moe_routing_meta(file, "synthetic"));
    /* 127,000 routed experts in predicted layers: 0.85 +- 4 standard errors of 0.001 */
    MOE_CHECK(fabs(moe_routing_recall(r, 0) - 0.85) < 0.004, "recall %g", moe_routing_recall(r, 0));
    uint16_t ids[2];
    CU_ASSERT_EQUAL(moe_routing_lookahead_row(r, 0, 5, 0, ids), 0);
    CU_ASSERT_EQUAL(moe_routing_lookahead_row(r, 0, 5, 1, ids), 2);
}

/* Shares of rank-ordered experts against the Zipf law, with no memory in the routing. */
static void
skew(void)
{
    moe_generate_config config = moe_generate_sample();
    config.layers = 1;
    config.experts = 16;
    config.top_k = 1;
    config.sequences = 400;
    config.skew_min = config.skew_max = 1;
    config.stickiness = config.affinity = 0;
    config.lookahead = 0;
    g_autoptr(moe_routing_file) file = generated(&config);
    const moe_routing *r = moe_routing_get(file);
    double harmonic = 0, most = 0, counts[16] = {0};
    for (int i = 1; i <= 16; i++)
        harmonic += 1.0 / i;
    for (uint64_t row = 0; row < r->n_tokens; row++)
        counts[moe_routing_id(r, row, 0, 0)]++;
    for (int i = 0; i < 16; i++)
        most = MAX(most, counts[i] / (double)r->n_tokens);
    MOE_CHECK(fabs(most - 1 / harmonic) < 0.01, "the first expert has %g, not %g", most,
              1 / harmonic);
}

/* How often slot 0 repeats the token before: stickiness + the rest by chance. */
static void
stickiness(void)
{
    moe_generate_config config = moe_generate_sample();
    config.top_k = 1;
    config.skew_min = config.skew_max = 0;
    config.affinity = 0;
    config.stickiness = 0.5;
    g_autoptr(moe_routing_file) file = generated(&config);
    const moe_routing *r = moe_routing_get(file);
    double same = 0, all = 0;
    for (uint64_t row = 1; row < r->n_tokens; row++) {
        for (uint32_t layer = 0; layer < r->n_layers && r->position[row]; layer++, all++)
            same += moe_routing_id(r, row, layer, 0) == moe_routing_id(r, row - 1, layer, 0);
    }
    MOE_CHECK(fabs(same / all - (0.5 + 0.5 / 8)) < 0.01, "%g", same / all);
}

/* With full affinity the expert of a layer follows from that of the layer before. */
static void
affinity(void)
{
    moe_generate_config config = moe_generate_sample();
    config.stickiness = 0;
    config.affinity = 1;
    config.top_k = 1;
    g_autoptr(moe_routing_file) file = generated(&config);
    const moe_routing *r = moe_routing_get(file);
    uint32_t successor[32][8], wrong = 0;
    memset(successor, 0xFF, sizeof successor);
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        for (uint32_t layer = 1; layer < r->n_layers; layer++) {
            uint32_t *known = &successor[layer][moe_routing_id(r, row, layer - 1, 0) % 8];
            uint32_t id = moe_routing_id(r, row, layer, 0);
            wrong += *known != MOE_NONE && *known != id;
            *known = id;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void
extremes(void)
{
    static const struct {
        int64_t experts, k, prompt, output, domains, lookahead;
        double recall, skew;
    } cases[] = {
        {1, 1, 1, 0, 1, 1, 0, 0},   {8, 8, 0, 3, 2, 3, 0, 8},    {300, 256, 1, 1, 3, 0, 1, 0},
        {254, 8, 2, 2, 1, 1, 1, 4}, {255, 8, 2, 2, 1, 31, 0, 4},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_generate_config config = moe_generate_sample();
        config.experts = cases[i].experts;
        config.top_k = cases[i].k;
        config.prompt = cases[i].prompt;
        config.output = cases[i].output;
        config.domains = cases[i].domains;
        config.lookahead = cases[i].lookahead;
        config.recall = cases[i].recall;
        config.skew_min = config.skew_max = cases[i].skew;
        g_autoptr(moe_routing_file) file = generated(&config); /* finish asserts that it is valid */
        const moe_routing *r = moe_routing_get(file);
        CU_ASSERT_EQUAL(r->id_bytes, cases[i].experts <= 254 ? 1 : 2);
        double recall = r->n_lookahead ? moe_routing_recall(r, 0) : cases[i].recall;
        bool forced = cases[i].k == cases[i].experts; /* nothing else to name */
        MOE_CHECK(recall == (forced ? 1 : cases[i].recall), "case %zu: recall %g", i, recall);
    }
}

static void
refuses(void)
{
    static const struct {
        size_t offset;
        int64_t whole;
        double real;
        const char *message;
    } cases[] = {
        {offsetof(moe_generate_config, layers), 0, 0, "layers is 0, not 1 .. 4096"},
        {offsetof(moe_generate_config, experts), 65535, 0, "experts is 65535"},
        {offsetof(moe_generate_config, top_k), 9, 0, "top_k 9 of 8 experts"},
        {offsetof(moe_generate_config, sequences), 1000000000, 0, "too many tokens"},
        {offsetof(moe_generate_config, seed), -1, 0, "seed is -1"},
        {offsetof(moe_generate_config, recall), -1, 1.5, "recall is 1.5, not 0 .. 1"},
        {offsetof(moe_generate_config, stickiness), -1, NAN, "stickiness is nan"},
        {offsetof(moe_generate_config, skew_min), -1, 3, "skew_min 3 is above skew_max 0.25"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_generate_config config = moe_generate_sample();
        char *field = (char *)&config + cases[i].offset;
        if (cases[i].real != 0)
            memcpy(field, &cases[i].real, sizeof(double));
        else
            memcpy(field, &cases[i].whole, sizeof(int64_t));
        g_autoptr(moe_diag) diag = moe_diag_new();
        CU_ASSERT_PTR_NULL(moe_generate(&config, (moe_loc){.file = "x", .line = 3}, diag));
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(strstr(text, cases[i].message) && g_str_has_prefix(text, "x:3"), "case %zu: %s",
                  i, text);
    }
}

/* The table's defaults are the sample's numbers. */
static void
table(void)
{
    g_autoptr(moe_settings) settings = moe_settings_new(moe_generate_table());
    const moe_generate_config *defaults = moe_settings_data(settings);
    moe_generate_config config = moe_generate_sample();
    config.model = NULL;
    CU_ASSERT_EQUAL(memcmp(defaults, &config, sizeof config), 0);
}

/* Logits have the variance, and from token to token the correlation, that the law says; who is
 * routed is who has the highest of them, by the weights of the softmax. */
static void
logits(void)
{
    moe_generate_config config = moe_generate_sample();
    config.experts = 16;
    config.sequences = 64;
    config.domains = 2;
    config.modalities = 3;
    config.skew_min = config.skew_max = 0;
    config.affinity = 0;
    config.logits = 1.5;
    config.taste = 0.3;
    config.drift = 0.02;
    config.stickiness = 0.5;
    g_autoptr(moe_routing_file) file = generated(&config);
    const moe_routing *r = moe_routing_get(file);
    size_t cells = (size_t)r->n_layers * r->n_experts;
    double square = 0, product = 0, pairs = 0, images = 0;
    uint64_t wrong = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->logits);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->weights);
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        wrong += r->domain[row] != r->sequence[row] % 2 || r->modality[row] > 2;
        images += r->modality[row] == 2;
        for (size_t i = 0; i < cells; i++) {
            double x = (double)moe_routing_f16(r->logits[row * cells + i]);
            double before =
                r->position[row] ? (double)moe_routing_f16(r->logits[(row - 1) * cells + i]) : 0;
            square += x * x;
            product += x * before;
            pairs += r->position[row] > 0;
        }
        for (uint32_t l = 0; l < r->n_layers; l++) {
            const uint16_t *of_layer = r->logits + row * cells + (size_t)l * r->n_experts;
            const float *w = r->weights + (row * r->n_layers + l) * r->k;
            double least = 1e9, above = 0;
            for (uint32_t j = 0; j < r->k; j++)
                least = MIN(least, (double)moe_routing_f16(of_layer[moe_routing_id(r, row, l, j)]));
            for (uint32_t e = 0; e < r->n_experts; e++)
                above += (double)moe_routing_f16(of_layer[e]) > least;
            wrong += above > r->k - 1 || fabs((double)(w[0] + w[1]) - 1) > 1e-6 || w[0] < w[1];
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    MOE_CHECK(fabs(images / (double)r->n_tokens - 1.0 / 3) < 0.03, "%g images", images);
    /* 64 x 512 draws of taste bound how well it is met: 0.3 / sqrt(16384) */
    square /= (double)r->n_tokens * (double)cells;
    MOE_CHECK(fabs(square - 2.25) < 0.03, "variance %g", square);
    MOE_CHECK(fabs(product / pairs / square - (0.3 * 0.98 + 0.7 * 0.5)) < 0.01, "correlation %g",
              product / pairs / square);
}

MOE_TESTS({"sample", sample}, {"shape", shape}, {"skew", skew}, {"stickiness", stickiness},
          {"affinity", affinity}, {"logits", logits}, {"extremes", extremes}, {"refuses", refuses},
          {"table", table})
