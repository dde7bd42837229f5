/* Predictors on demands small enough to know the answer. */
#include "sim/policy/predict/predict.h"
#include "sim/base/random.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

#define LAYERS 3
#define EXPERTS 6

/* Two steps of one token, top-2: the same route through three layers, then another. */
static const uint64_t first[] = {0, 2, 4, 6, 8, 10, 12};
static const uint16_t expert[] = {0, 1, 2, 3, 4, 5, 0, 1, 2, 4, 1, 0};
static const uint32_t tokens[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const uint32_t step_tokens[] = {1, 1};
static const moe_demand demand = {.n_steps = 2,
                                  .n_layers = LAYERS,
                                  .n_experts = EXPERTS,
                                  .first = first,
                                  .expert = expert,
                                  .tokens = tokens,
                                  .step_tokens = step_tokens};

typedef struct predictor {
    policy_config policy;
    const moe_predict_ops *ops;
    void *state;
} predictor;

static predictor
open_predictor(const char *written, const moe_predict_view *view)
{
    predictor p = {.policy = policy_config_new(MOE_POLICY_PREDICT, written)};
    p.ops = p.policy.variant->ops;
    p.state = p.ops->open(view, p.policy.config);
    return p;
}

static void
close_predictor(predictor *p)
{
    p->ops->close(p->state);
    policy_config_free(&p->policy);
}

static void
is_forecast(predictor *p, uint32_t step, uint32_t layer, uint32_t target, const char *expected)
{
    moe_forecast out[EXPERTS];
    size_t n = p->ops->predict(p->state, step, layer, target, out, EXPERTS);
    g_autoptr(GString) got = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(got, "%s%u:%.2f", i ? " " : "", out[i].expert,
                               (double)out[i].probability);
    MOE_CHECK(!strcmp(got->str, expected), "%s, step %u, %u -> %u: got '%s', expected '%s'",
              p->policy.variant->name, step, layer, target, got->str, expected);
}

static void
oracle_tells_the_truth(void)
{
    const moe_predict_view view = {.demand = &demand};
    predictor p = open_predictor("oracle", &view);
    CU_ASSERT_EQUAL(p.ops->reach(p.state), 0);
    is_forecast(&p, 0, 0, 1, "2:1.00 3:1.00");
    is_forecast(&p, 1, 0, 2, "1:1.00 0:1.00");
    moe_forecast one;
    CU_ASSERT_EQUAL(p.ops->predict(p.state, 1, 0, 1, &one, 1), 1);
    CU_ASSERT_EQUAL(one.expert, 2);
    close_predictor(&p);
}

static void
markov_learns_transitions(void)
{
    const moe_predict_view view = {.demand = &demand};
    predictor p = open_predictor("markov", &view);
    CU_ASSERT_EQUAL(p.ops->reach(p.state), 1);
    p.ops->observe(p.state, 0, 0);
    is_forecast(&p, 0, 0, 1, ""); /* nothing seen yet */
    p.ops->observe(p.state, 0, 1);
    p.ops->observe(p.state, 0, 2);
    p.ops->observe(p.state, 1, 0);
    is_forecast(&p, 1, 0, 1, "2:1.00 3:1.00");
    is_forecast(&p, 1, 0, 2, ""); /* out of reach */
    p.ops->observe(p.state, 1, 1);
    /* Of layer 1's {2, 4}: 2 was followed by 4 and 5, 4 was never seen. */
    is_forecast(&p, 1, 1, 2, "4:1.00 5:1.00");
    /* Both steps had {0, 1}, followed by {2, 3} and {2, 4}. */
    is_forecast(&p, 1, 0, 1, "2:1.00 3:0.50");
    close_predictor(&p);
    p = open_predictor("{kind: markov, width: 5}", &view);
    for (uint32_t step = 0; step < 2; step++)
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            p.ops->observe(p.state, step, layer);
    is_forecast(&p, 1, 0, 1, "2:1.00 3:0.50 4:0.50");
    close_predictor(&p);
}

static void
popularity_counts(void)
{
    moe_predict_view view = {.demand = &demand};
    predictor p = open_predictor("popularity", &view);
    is_forecast(&p, 0, 0, 1, "");
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        p.ops->observe(p.state, 0, layer);
    p.ops->observe(p.state, 1, 1);
    is_forecast(&p, 1, 0, 1, "2:1.00 3:0.50"); /* counts 2, 1 and 1 of 4, two named */
    close_predictor(&p);
    const uint32_t profile[LAYERS * EXPERTS] = {[EXPERTS + 5] = 6, [EXPERTS + 1] = 2};
    view.popularity = profile;
    p = open_predictor("{kind: popularity, width: 3}", &view);
    is_forecast(&p, 0, 0, 1, "5:1.00 1:0.75");
    is_forecast(&p, 0, 0, 2, ""); /* no tokens of that layer in the profile */
    close_predictor(&p);
    const uint32_t empty[LAYERS * EXPERTS] = {0};
    view.popularity = empty;
    p = open_predictor("popularity", &view);
    p.ops->observe(p.state, 0, 0);
    is_forecast(&p, 1, 0, 0, "0:1.00 1:1.00"); /* as if there were none */
    close_predictor(&p);
}

static size_t
echo_recorded(const void *source, uint32_t step, uint32_t layer, uint32_t distance,
              moe_forecast *out, size_t max)
{
    CU_ASSERT_PTR_EQUAL(source, &demand);
    out[0] = (moe_forecast){step * 100 + layer * 10 + distance, 0.5f};
    return 1;
}

static void
recorded_is_passed_on(void)
{
    moe_predict_view view = {
        .demand = &demand, .recorded = echo_recorded, .source = &demand, .max_distance = 2};
    predictor p = open_predictor("{kind: recorded, distance: 3}", &view);
    CU_ASSERT_EQUAL(p.ops->reach(p.state), 3);
    is_forecast(&p, 1, 0, 2, "122:0.50");
    is_forecast(&p, 0, 1, 2, "21:0.50");
    close_predictor(&p);
    p = open_predictor("recorded", &view);
    CU_ASSERT_EQUAL(p.ops->reach(p.state), 1);
    is_forecast(&p, 1, 0, 2, ""); /* farther than asked for */
    close_predictor(&p);
    view.max_distance = 0;
    view.recorded = NULL;
    p = open_predictor("recorded", &view);
    is_forecast(&p, 1, 0, 1, "");
    close_predictor(&p);
}

/* 4000 groups of 4 of 64 experts. */
enum { MANY = 4000, K = 4, OF = 64 };

static moe_demand
many_groups(void)
{
    uint64_t *starts = g_new(uint64_t, MANY + 1);
    uint16_t *ids = g_new(uint16_t, MANY * K);
    moe_stream stream = moe_stream_new(3, "test.demand", 0);
    for (uint32_t g = 0; g < MANY; g++) {
        uint64_t start = moe_stream_below(&stream, OF);
        starts[g] = g * K;
        for (uint32_t j = 0; j < K; j++)
            ids[g * K + j] = (uint16_t)((start + 5 * j) % OF);
    }
    starts[MANY] = MANY * K;
    return (moe_demand){
        .n_steps = MANY / 2, .n_layers = 2, .n_experts = OF, .first = starts, .expert = ids};
}

static bool
demanded(const moe_demand *d, uint32_t group, uint32_t e)
{
    for (uint64_t i = d->first[group]; i < d->first[group + 1]; i++)
        if (d->expert[i] == e)
            return true;
    return false;
}

static void
given_has_the_stated_quality(void)
{
    static const struct {
        const char *written;
        double recall, precision;
    } qualities[] = {{"given", .9, .9},
                     {"{kind: given, recall: 0.5, precision: 0.25}", .5, .25},
                     {"{kind: given, recall: 1, precision: 1}", 1, 1}};
    moe_demand d = many_groups();
    const moe_predict_view view = {.demand = &d, .seed = 11};
    for (size_t q = 0; q < MOE_COUNT(qualities); q++) {
        predictor p = open_predictor(qualities[q].written, &view);
        predictor again = open_predictor(qualities[q].written, &view);
        double named = 0, right = 0, first_right = 0, lists = 0;
        for (uint32_t step = 0; step < d.n_steps; step++) {
            moe_forecast out[OF], same[OF];
            size_t n = p.ops->predict(p.state, step, 0, 1, out, OF);
            bool seen[OF] = {false};
            for (size_t i = 0; i < n; i++) {
                CU_ASSERT_FALSE(seen[out[i].expert]);
                seen[out[i].expert] = true;
                right += demanded(&d, 2 * step + 1, out[i].expert);
            }
            named += (double)n;
            lists += n > 0;
            first_right += n && demanded(&d, 2 * step + 1, out[0].expert);
            /* A cut list is the head of the whole one, whoever asks. */
            size_t cut = again.ops->predict(again.state, step, 0, 1, same, 2);
            CU_ASSERT_EQUAL(cut, MIN(n, 2));
            for (size_t i = 0; i < cut; i++)
                CU_ASSERT_EQUAL(same[i].expert, out[i].expert);
        }
        double recall = right / (d.n_steps * K), precision = right / named;
        printf("\n    recall expected %.2f got %.4f, precision %.2f got %.4f, of the first named "
               "%.4f; tolerance 0.02",
               qualities[q].recall, recall, qualities[q].precision, precision, first_right / lists);
        CU_ASSERT_DOUBLE_EQUAL(recall, qualities[q].recall, .02);
        CU_ASSERT_DOUBLE_EQUAL(precision, qualities[q].precision, .02);
        CU_ASSERT_DOUBLE_EQUAL(first_right / lists, qualities[q].precision, .04);
        moe_forecast none[OF];
        CU_ASSERT_EQUAL(p.ops->reach(p.state), 1);
        CU_ASSERT_EQUAL(p.ops->predict(p.state, 0, 0, 2, none, OF), 0);
        close_predictor(&p);
        close_predictor(&again);
    }
    g_free((void *)(uintptr_t)d.first);
    g_free((void *)(uintptr_t)d.expert);
}

MOE_TESTS({"oracle", oracle_tells_the_truth}, {"markov", markov_learns_transitions},
          {"popularity", popularity_counts}, {"recorded", recorded_is_passed_on},
          {"given", given_has_the_stated_quality})
