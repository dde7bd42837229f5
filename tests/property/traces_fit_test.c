/* A description is made, routing from it, a description from that routing, and routing from that:
 * both routings have the same statistics. */
#include "tests/test.h"

#include "traces/synth/compare.h"
#include "traces/synth/describe_fit.h"
#include "traces/synth/description.h"

#include <math.h>

static moe_routing_file *
made(const char *text, int64_t seed)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_description) description =
        moe_description_parse("x.yaml", text, strlen(text), diag);
    moe_routing_builder *builder = NULL;
    if (description) {
        moe_generate_config *config = moe_description_config(description);
        config->seed = seed;
        builder = moe_generate(config, (moe_loc){0}, diag);
    }
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder, "%s", messages);
    return builder ? moe_routing_builder_finish(builder, "made") : NULL;
}

static moe_routing_file *
fitted(const moe_routing *routing)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) text = g_string_new(NULL);
    moe_pick pick = moe_pick_all(routing);
    moe_fit_config config = {.tokens = 20000, .rounds = 8};
    bool fits = moe_describe_fit(&pick, &config, NULL, NULL, diag, text);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(fits, "%s", messages);
    return fits ? made(text->str, 99) : NULL;
}

static void
check_alike(const char *of, const moe_routing *a, const moe_routing *b, double most)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_pick first = moe_pick_all(a), second = moe_pick_all(b);
    g_autoptr(GArray) rows = moe_compare(&first, &second, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rows);
    CU_ASSERT_TRUE(rows->len > 40);
    for (size_t i = 0; i < rows->len; i++) {
        const moe_compared *row = &g_array_index(rows, moe_compared, i);
        double bound = strcmp(row->name, "popularity") ? most : 2 * most;
        MOE_CHECK(row->distance <= bound, "%s: %s %s: %g and %g", of, row->name, row->parameter,
                  row->first, row->second);
    }
}

#define SHAPE                                                                                      \
    "layers: 4\nexperts: 16\ntop_k: 2\nsequences: 200\nprompt: 0\noutput: 100\nlookahead: 0\n"

static void
recovers(void)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"a topic and a phrase",
         SHAPE "stickiness: 0\naffinity: 0\nskew_min: 0.3\nskew_max: 0.6\n"
               "hidden: {components: [{lasts: 1500, rank: 6, spread: 1}, "
               "{lasts: 5, rank: 6, spread: 0.7}, {rank: 8, spread: 1}]}\n"},
        {"pairs",
         "layers: 3\nexperts: 6\ntop_k: 2\nsequences: 200\nprompt: 0\noutput: 100\nlookahead: 0\n"
         "stickiness: 0\naffinity: 0\nskew_min: 0\nskew_max: 0\n"
         "router: [{}, {pairs: 0 150 0 0 0 0  0 0 150 0 0 0  0 0 0 150 0 0  0 0 0 0 150 0  "
         "0 0 0 0 0 150  150 0 0 0 0 0}, {}]\n"},
        {"nothing but skew", SHAPE "stickiness: 0\naffinity: 0\nskew_min: 0.2\nskew_max: 0.9\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_routing_file) first = made(cases[i].text, 1);
        g_autoptr(moe_routing_file) second = fitted(moe_routing_get(first));
        if (second)
            check_alike(cases[i].name, moe_routing_get(first), moe_routing_get(second), 0.03);
    }
}

static void
mean_weights(const moe_routing *r, double *most)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->weights);
    memset(most, 0, r->n_layers * sizeof *most);
    for (uint64_t row = 0; row < r->n_tokens; row++)
        for (uint32_t l = 0; l < r->n_layers; l++)
            most[l] += (double)r->weights[(row * r->n_layers + l) * r->k] / (double)r->n_tokens;
}

static void
gate_weights(void)
{
    double wanted[4], got[4];
    g_autoptr(moe_routing_file) first =
        made(SHAPE "stickiness: 0\naffinity: 0\nhidden: {components: [{lasts: 20, rank: 4}]}\n"
                   "router: [{sharpness: 0.2}, {sharpness: 1}, {sharpness: 2}, {sharpness: 5}]\n",
             1);
    g_autoptr(moe_routing_file) second = fitted(moe_routing_get(first));
    mean_weights(moe_routing_get(first), wanted);
    mean_weights(moe_routing_get(second), got);
    for (int l = 0; l < 4; l++)
        MOE_CHECK(fabs(wanted[l] - got[l]) < 0.01, "layer %d: %g and %g", l, wanted[l], got[l]);
}

/* A fit and what is made from it do not depend on anything but their input. */
static void
repeats(void)
{
    g_autoptr(moe_routing_file) first = made(SHAPE, 1);
    g_autoptr(moe_routing_file) a = fitted(moe_routing_get(first)),
                                b = fitted(moe_routing_get(first));
    const moe_routing *ra = moe_routing_get(a), *rb = moe_routing_get(b);
    CU_ASSERT_EQUAL(memcmp(ra->ids, rb->ids, ra->n_tokens * ra->n_layers * ra->k), 0);
}

MOE_TESTS({"recovers", recovers}, {"gate weights", gate_weights}, {"repeats", repeats})
