/* Descriptions of routing, the hidden state that they may have, and what is made from it. */
#include "tests/test.h"

#include "sim/base/hash.h"
#include "traces/stats/overlap.h"
#include "traces/synth/description.h"
#include "traces/synth/factor.h"
#include "traces/synth/moments.h"
#include "traces/synth/normal.h"

#include <math.h>

static moe_routing_file *
made(const char *text)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_description) description =
        moe_description_parse("x.yaml", text, strlen(text), diag);
    moe_routing_builder *builder = NULL;
    if (description)
        builder = moe_generate(moe_description_config(description), (moe_loc){0}, diag);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder, "%s\n%s", text, messages);
    return builder ? moe_routing_builder_finish(builder, "made") : NULL;
}

static double
overlap_at(const moe_routing *routing, uint32_t lag)
{
    moe_pick pick = moe_pick_all(routing);
    moe_overlap *overlap = moe_overlap_new(routing);
    moe_sweep(&pick, &(moe_block_user){moe_overlap_add, overlap}, 1, NULL, NULL);
    double value = moe_overlap_at(overlap, MOE_NONE, lag);
    moe_overlap_free(overlap);
    return value;
}

/* ---- the normal distribution ---- */

static void
normal(void)
{
    static const double at[][2] = {
        {0, 0.5},
        {1, 0.841344746068542949},
        {-2, 0.0227501319481792072},
        {4.5, 0.999996602326875},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
        MOE_CHECK(fabs(moe_normal_below(at[i][0]) - at[i][1]) < 1e-14, "%g: %.17g", at[i][0],
                  moe_normal_below(at[i][0]));
        MOE_CHECK(fabs(moe_normal_quantile(at[i][1]) - at[i][0]) < 1e-9, "%g: %.17g", at[i][1],
                  moe_normal_quantile(at[i][1]));
    }
    static float table[MOE_NORMAL_SIZE];
    moe_normal_table(table);
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < MOE_NORMAL_SIZE; i++) {
        sum += (double)table[i];
        squares += (double)table[i] * (double)table[i];
    }
    MOE_CHECK(sum == 0, "mean %g", sum / MOE_NORMAL_SIZE);
    MOE_CHECK(fabs(squares / MOE_NORMAL_SIZE - 1) < 1e-6, "variance %g", squares / MOE_NORMAL_SIZE);
}

/* ---- loadings ---- */

/* A matrix made of two vectors is found again; with the diagonal unknown, too. */
static void
factors(void)
{
    enum { N = 40 };
    static float matrix[N * N], loadings[4 * N], most[N];
    for (int open = 0; open < 2; open++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                float a = (i % 3 ? 0.5f : -0.4f) * (j % 3 ? 0.5f : -0.4f);
                float b = (i < N / 2 ? 0.6f : 0.1f) * (j < N / 2 ? 0.6f : 0.1f);
                matrix[i * N + j] = open && i == j ? 7 : a + b;
                most[i] = 1;
            }
        float wanted = matrix[3 * N + 1];
        if (open)
            moe_factor_open(matrix, N, 2, most, loadings);
        else
            moe_factor(matrix, N, 4, loadings);
        float got = 0, own = 0;
        for (int r = 0; r < (open ? 2 : 4); r++) {
            got += loadings[r * N + 3] * loadings[r * N + 1];
            own += loadings[r * N + 3] * loadings[r * N + 3];
        }
        MOE_CHECK(fabsf(got - wanted) < 1e-3f, "open %d: %g, not %g", open, (double)got,
                  (double)wanted);
        MOE_CHECK(fabsf(own - 0.52f) < 5e-3f, "open %d: diagonal %g, not 0.52", open, (double)own);
    }
}

/* Two cells with equal thresholds at 0 and correlation r are used together with probability
 * 1/4 + asin(r) / (2 pi). */
static void
tetrachoric(void)
{
    static const double r[] = {-0.6, 0, 0.3, 0.7};
    for (size_t i = 0; i < G_N_ELEMENTS(r); i++) {
        float matrix[4] = {0};
        matrix[1] = matrix[2] = (float)(asin(r[i]) / (2 * G_PI));
        moe_moments_tetrachoric(matrix, (double[]){0.5, 0.5}, 2, 0);
        MOE_CHECK(fabs((double)matrix[1] - r[i]) < 2e-3, "%g became %g", r[i], (double)matrix[1]);
    }
}

/* ---- closed forms ---- */

#define SHAPE                                                                                      \
    "layers: 3\nexperts: 16\ntop_k: 2\nsequences: 200\nprompt: 0\noutput: 100\nlookahead: 0\n"     \
    "stickiness: 0\naffinity: 0\nskew_min: 0\nskew_max: 0\n"

/* Nothing but noise: experts are uniform and independent. */
static void
noise_alone(void)
{
    g_autoptr(moe_routing_file) file = made(SHAPE "hidden: {components: [{rank: 1, spread: 0}]}\n");
    for (uint32_t lag = 1; lag < 4; lag++) {
        double got = overlap_at(moe_routing_get(file), lag);
        MOE_CHECK(fabs(got - 2 / 16.0) < 0.004, "lag %u: %g", lag, got);
    }
}

/* An echo is heard by the next token only. */
static void
echo(void)
{
    g_autoptr(moe_routing_file) file =
        made(SHAPE "hidden: {components: [{echo: true, rank: 40, spread: 4}]}\n");
    double next = overlap_at(moe_routing_get(file), 1),
           later = overlap_at(moe_routing_get(file), 2);
    MOE_CHECK(next > 0.25, "lag 1: %g", next);
    MOE_CHECK(fabs(later - 2 / 16.0) < 0.006, "lag 2: %g", later);
}

/* What lasts for ever makes all tokens of a sequence alike, and with next: 100% all sequences. */
static void
lasting(void)
{
    g_autoptr(moe_routing_file) file =
        made(SHAPE "hidden: {noise: 0, components: [{lasts: 1e12, next: 100%, rank: 20}]}\n");
    const moe_routing *r = moe_routing_get(file);
    MOE_CHECK(overlap_at(r, 1) > 0.999, "%g", overlap_at(r, 1));
    uint64_t other = moe_routing_token(r, 150, 40);
    CU_ASSERT_EQUAL(moe_routing_id(r, 0, 1, 0), moe_routing_id(r, other, 1, 0));
    g_autoptr(moe_routing_file) apart =
        made(SHAPE "hidden: {noise: 0, components: [{lasts: 1e12, rank: 20}]}\n");
    uint32_t same = 0;
    r = moe_routing_get(apart);
    for (uint32_t s = 1; s < 200; s++)
        same += moe_routing_id(r, moe_routing_token(r, s, 0), 1, 0) ==
                moe_routing_id(r, moe_routing_token(r, s - 1, 0), 1, 0);
    MOE_CHECK(same < 60, "%u of 199 neighbours are alike", same);
}

/* Popularity by bias with nothing but noise: as written, expert by expert. */
static void
bias(void)
{
    g_autoptr(moe_routing_file) file =
        made("layers: 2\nexperts: 4\ntop_k: 1\nsequences: 100\nprompt: 0\noutput: 100\n"
             "lookahead: 0\nstickiness: 0\naffinity: 0\n"
             "router: [{bias: 0 0 -900 -900}, {bias: -900 -900 0 -900}]\n");
    const moe_routing *r = moe_routing_get(file);
    uint32_t counts[4] = {0}, others = 0;
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        counts[moe_routing_id(r, row, 0, 0) & 3]++;
        others += moe_routing_id(r, row, 1, 0) != 2;
    }
    MOE_CHECK(abs((int)counts[0] - 5000) < 250 && counts[2] + counts[3] == 0, "%u %u %u %u",
              counts[0], counts[1], counts[2], counts[3]);
    CU_ASSERT_EQUAL(others, 0);
}

/* What an expert adds to its successor's score decides, when it is more than all else. */
static void
pairs(void)
{
    g_autoptr(moe_routing_file) file =
        made("layers: 2\nexperts: 3\ntop_k: 1\nsequences: 10\nprompt: 0\noutput: 100\n"
             "lookahead: 0\nstickiness: 0\naffinity: 0\n"
             "router: [{}, {pairs: 0 9999 0  0 0 9999  9999 0 0}]\n");
    const moe_routing *r = moe_routing_get(file);
    uint32_t wrong = 0, seen = 0;
    for (uint64_t row = 0; row < r->n_tokens; row++) {
        wrong += (moe_routing_id(r, row, 0, 0) + 1) % 3 != moe_routing_id(r, row, 1, 0);
        seen |= 1u << moe_routing_id(r, row, 0, 0);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(seen, 7);
}

static bool
has(const moe_routing *r, uint64_t row, uint32_t layer, uint32_t expert)
{
    return moe_routing_id(r, row, layer, 0) == expert || moe_routing_id(r, row, layer, 1) == expert;
}

static void
opening(void)
{
    g_autoptr(moe_routing_file) file =
        made(SHAPE "opening: [{experts: 1 2 3 4 15 0}, {share: 50%, experts: 5 6 5 6 5 6}]\n");
    const moe_routing *r = moe_routing_get(file);
    uint32_t first = 0, second = 0;
    for (uint32_t s = 0; s < r->n_sequences; s++) {
        uint64_t row = moe_routing_token(r, s, 0);
        first += has(r, row, 0, 1) && has(r, row, 0, 2) && has(r, row, 2, 15) && has(r, row, 2, 0);
        row = moe_routing_token(r, s, 1);
        second += has(r, row, 0, 5) && has(r, row, 0, 6) && has(r, row, 2, 5) && has(r, row, 2, 6);
    }
    CU_ASSERT_EQUAL(first, 200);
    MOE_CHECK(second > 70 && second < 130, "%u of 200", second);
}

/* Stickiness of prompts only. */
static void
prefill(void)
{
    g_autoptr(moe_routing_file) file =
        made("layers: 2\nexperts: 16\ntop_k: 1\nsequences: 100\nprompt: 100\noutput: 100\n"
             "lookahead: 0\nstickiness: 10%\naffinity: 0\nskew_min: 0\nskew_max: 0\n"
             "prefill: {stickiness: 0.5}\n");
    const moe_routing *r = moe_routing_get(file);
    double same[2] = {0}, all[2] = {0};
    for (uint64_t row = 1; row < r->n_tokens; row++) {
        if (!r->position[row])
            continue;
        all[r->phase[row]]++;
        same[r->phase[row]] += moe_routing_id(r, row, 1, 0) == moe_routing_id(r, row - 1, 1, 0);
    }
    MOE_CHECK(fabs(same[0] / all[0] - (0.6 + 0.4 / 16)) < 0.02, "%g", same[0] / all[0]);
    MOE_CHECK(fabs(same[1] / all[1] - (0.1 + 0.9 / 16)) < 0.02, "%g", same[1] / all[1]);
}

/* Gate weights: softmax of sharpness times score, falling, whatever the order of an opening. */
static void
weights(void)
{
    g_autoptr(moe_routing_file) file =
        made(SHAPE "router: [{sharpness: 2}, {sharpness: 1}, {sharpness: 0.001}]\n"
                   "opening: [{experts: 1 2 3 4 15 0}]\n");
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->weights);
    double most[3] = {0};
    for (uint64_t row = 0; row < r->n_tokens; row++)
        for (uint32_t l = 0; l < 3; l++) {
            const float *w = r->weights + (row * 3 + l) * 2;
            most[l] += (double)w[0] / (double)r->n_tokens;
            MOE_CHECK(w[0] >= w[1] && fabsf(w[0] + w[1] - 1) < 1e-3f, "%g %g", (double)w[0],
                      (double)w[1]);
        }
    MOE_CHECK(most[0] > most[1] && most[1] > most[2] && most[2] < 0.501, "%g %g %g", most[0],
              most[1], most[2]);
}

/* What metadata says of the order of ids, and of what they were made from. */
static void
metadata(void)
{
    static const struct {
        const char *text, *order, *how;
    } cases[] = {
        {SHAPE, "file", "skew 0 .. 0, stickiness 0, affinity 0, domains 1, seed 1"},
        {SHAPE "logits: 1\n", "weight", "skew 0 .. 0, "},
        {SHAPE "hidden: {components: [{rank: 3}]}\n", "weight",
         ": hidden state of 3 numbers in 1 component, seed 1 (traces/synth/hidden.h)"},
        {SHAPE "prefill: {affinity: 1}\nhidden: {components: [{rank: 3}, {rank: 5}]}\n", "file",
         ": hidden state of 8 numbers in 2 components, stickiness 0, affinity 0, seed 1"},
        {SHAPE "fitted_to: 2 of 3 sequences of x\nopening: [{experts: 1 2 3 4 15 0}]\n", "weight",
         ": hidden state of 0 numbers in 0 components, opening of 1 tokens, fitted to 2 of 3 "
         "sequences of x, seed 1"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_routing_file) file = made(cases[i].text);
        const char *order = moe_routing_meta(file, "order");
        const char *how = moe_routing_meta(file, "synthetic");
        MOE_CHECK(!strcmp(order, cases[i].order), "case %zu: order %s", i, order);
        MOE_CHECK(strstr(how, cases[i].how), "case %zu: %s", i, how);
    }
}

/* ---- the same bytes everywhere ---- */

static void
bytes(void)
{
    g_autoptr(moe_routing_file) file =
        made("layers: 5\nexperts: 20\ntop_k: 3\nsequences: 7\nprompt: 3\noutput: 40\nseed: 11\n"
             "hidden: {components: [{lasts: 200, next: 50%, rank: 3}, {lasts: 5, rank: 5}, "
             "{echo: true, rank: 2}, {rank: 6}]}\n");
    const moe_routing *r = moe_routing_get(file);
    g_autofree char *hash = moe_sha256_text(r->ids, r->n_tokens * r->n_layers * r->k);
    MOE_CHECK(!strcmp(hash, "4a3ba091d9ccab47559b11b31f2d4e341a2c9429ae8b5e034397602b52536176"),
              "%s", hash);
}

/* ---- writing and reading ---- */

static void
round_trip(void)
{
    moe_hidden_component components[] = {{.lasts = 77.5, .next = 0.5, .rank = 2},
                                         {.echo = true, .rank = 1}};
    g_autoptr(moe_hidden) hidden = moe_hidden_new(2, 3, 2, components, 2);
    moe_hidden_open(hidden, 1);
    hidden->opening_share[0] = 0.75;
    memcpy(hidden->opening, (uint16_t[]){0, 2, 1, 0}, 4 * sizeof(uint16_t));
    for (int i = 0; i < 18; i++)
        hidden->loadings[i] = (float)(i - 9) / 7;
    for (int i = 0; i < 6; i++) {
        hidden->bias[i] = (float)i - 2.5f;
        hidden->noise[i] = (float)i / 10;
    }
    hidden->sharpness[1] = 1.5f;
    CU_ASSERT_TRUE_FATAL(moe_hidden_pair(hidden));
    hidden->pairs[9 + 5] = -0.25f;
    moe_generate_config config = {.model = "a \"b\" \\",
                                  .fitted_to = "1 of 2: # 'c'",
                                  .layers = 2,
                                  .experts = 3,
                                  .top_k = 2,
                                  .sequences = 4,
                                  .prompt = 5,
                                  .output = 6,
                                  .seed = 7,
                                  .hidden = hidden};
    g_autoptr(GString) text = g_string_new(NULL);
    moe_description_write(&config, "two\nlines", text);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_description) read = moe_description_parse("written", text->str, text->len, diag);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(read, "%s\n%s", text->str, messages);
    CU_ASSERT_PTR_NOT_NULL_FATAL(read);
    const moe_generate_config *back = moe_description_config(read);
    CU_ASSERT_STRING_EQUAL(back->model, config.model);
    CU_ASSERT_STRING_EQUAL(back->fitted_to, config.fitted_to);
    CU_ASSERT_EQUAL(back->output, 6);
    CU_ASSERT_EQUAL(back->hidden->n_numbers, 3);
    CU_ASSERT_EQUAL(back->hidden->opening_share[0], 0.75);
    CU_ASSERT_EQUAL(memcmp(back->hidden->opening, hidden->opening, 8), 0);
    CU_ASSERT_EQUAL(back->hidden->components[0].lasts, 77.5);
    CU_ASSERT_EQUAL(back->hidden->components[0].next, 0.5);
    CU_ASSERT_TRUE(back->hidden->components[1].echo);
    CU_ASSERT_EQUAL(back->hidden->sharpness[1], 1.5f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back->hidden->pairs);
    CU_ASSERT_EQUAL(memcmp(back->hidden->pairs, hidden->pairs, 18 * sizeof(float)), 0);
    for (int i = 0; i < 18; i++)
        MOE_CHECK(fabsf(back->hidden->loadings[i] - hidden->loadings[i]) <= 0.0051f, "%d: %g", i,
                  (double)back->hidden->loadings[i]);
    for (int i = 0; i < 6; i++)
        MOE_CHECK(fabsf(back->hidden->bias[i] - hidden->bias[i]) <= 0.0051f &&
                      fabsf(back->hidden->noise[i] - hidden->noise[i]) <= 0.0051f,
                  "%d: %g %g", i, (double)back->hidden->bias[i], (double)back->hidden->noise[i]);
}

MOE_TESTS({"normal", normal}, {"factors", factors}, {"tetrachoric", tetrachoric},
          {"noise alone", noise_alone}, {"echo", echo}, {"lasting", lasting}, {"bias", bias},
          {"pairs", pairs}, {"opening", opening}, {"prefill", prefill}, {"weights", weights},
          {"metadata", metadata}, {"bytes", bytes}, {"round trip", round_trip})
