/* What is wanted, and how a missed expert is served. */
#include "sim/policy/prefetch/prefetch.h"
#include "sim/policy/serve/serve.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

/* Layer t is forecast to need experts t, t + 1 and t + 2, in this order. */
static size_t
three_per_layer(void *source, uint32_t target, moe_forecast *out, size_t max)
{
    ++*(unsigned *)source;
    for (uint32_t i = 0; i < 3 && i < max; i++)
        out[i] = (moe_forecast){target + i, 1};
    return MIN(max, 3);
}

static const struct {
    const char *policy;
    uint32_t layer, reach;
    int64_t window_ps;
    size_t max;
    const char *wanted; /* layer.expert */
    unsigned asked;     /* forecasts */
} lists[] = {
    {"none", 0, 4, 100, 9, "", 0},
    {"next-layer", 0, 4, 100, 9, "1.1 1.2 1.3", 1},
    {"next-layer", 3, 4, 100, 9, "", 0}, /* the last layer of four */
    {"next-layer", 0, 4, 100, 2, "1.1 1.2", 1},
    {"{kind: next-layer, budget: 1}", 1, 4, 100, 9, "2.2", 1},
    {"{kind: next-layer, budget: 5, distance: 2}", 0, 4, 100, 9, "1.1 1.2 1.3 2.2 2.3", 2},
    {"{kind: next-layer, budget: 3, distance: 2}", 0, 4, 100, 9, "1.1 1.2 1.3", 1},
    {"{kind: next-layer, distance: 3}", 0, 1, 100, 9, "1.1 1.2 1.3", 1}, /* out of reach */
    {"{kind: next-layer, distance: 9}", 2, 9, 100, 9, "3.3 3.4 3.5", 1},
    {"whole-next-layer", 2, 1, 100, 9, "3.0 3.1 3.2 3.3 3.4 3.5", 0},
    {"whole-next-layer", 2, 1, 100, 4, "3.0 3.1 3.2 3.3", 0},
    {"{kind: whole-next-layer, distance: 2}", 1, 1, 100, 8, "2.0 2.1 2.2 2.3 2.4 2.5 3.0 3.1", 0},
    {"window", 0, 4, 100, 9, "1.1 1.2", 1}, /* a load takes 40 */
    {"window", 0, 4, 1000, 9, "1.1 1.2 1.3", 1},
    {"window", 0, 4, 39, 9, "", 0},
    {"window", 0, 4, -5, 9, "", 0},
    {"{kind: window, margin: 25%}", 0, 4, 100, 9, "1.1", 1},
    {"window", 3, 4, 100, 9, "", 0},
};

static void
wants_what_it_should(void)
{
    for (size_t i = 0; i < MOE_COUNT(lists); i++) {
        policy_config policy = policy_config_new(MOE_POLICY_PREFETCH, lists[i].policy);
        const moe_prefetch_ops *ops = policy.variant->ops;
        void *state = ops->open ? ops->open(policy.config) : policy.config;
        unsigned asked = 0;
        moe_prefetch_query query = {.layer = lists[i].layer,
                                    .n_layers = 4,
                                    .n_experts = 6,
                                    .reach = lists[i].reach,
                                    .demanded = 3,
                                    .window_ps = lists[i].window_ps,
                                    .load_ps = 40,
                                    .forecast = three_per_layer,
                                    .source = &asked};
        moe_want wants[9];
        size_t n = ops->want(state, &query, wants, lists[i].max);
        g_autoptr(GString) got = g_string_new(NULL);
        for (size_t w = 0; w < n; w++)
            g_string_append_printf(got, "%s%u.%u", w ? " " : "", wants[w].layer, wants[w].expert);
        MOE_CHECK(!strcmp(got->str, lists[i].wanted), "list %zu, %s: '%s', expected '%s'", i,
                  lists[i].policy, got->str, lists[i].wanted);
        MOE_CHECK(asked == lists[i].asked, "list %zu, %s: %u forecasts", i, lists[i].policy, asked);
        MOE_CHECK(!asked || ops->predicts, "%s asks without saying so", lists[i].policy);
        if (ops->close)
            ops->close(state);
        policy_config_free(&policy);
    }
}

static void
serves_where_it_is_done_first(void)
{
    static const struct {
        const char *policy;
        int64_t load, device, host;
        moe_serve_how how;
    } rows[] = {
        {"load", 100, 10, 1, MOE_SERVE_LOAD},
        {"host", 100, 10, 109, MOE_SERVE_HOST},
        {"host", 100, 10, 110, MOE_SERVE_LOAD}, /* a tie */
        {"host", 100, 10, 500, MOE_SERVE_LOAD},
        {"host", INT64_MAX / 2, 10, INT64_MAX, MOE_SERVE_LOAD}, /* the host cannot */
        {"host", INT64_MAX, 10, 500, MOE_SERVE_HOST},
    };
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        const moe_variant *variant = moe_policy_find(MOE_POLICY_SERVE, rows[i].policy);
        const moe_serve_ops *ops = variant->ops;
        moe_serve_query query = {4, rows[i].load, rows[i].device, rows[i].host};
        moe_serve_how how = ops->choose(NULL, &query);
        MOE_CHECK(how == rows[i].how, "row %zu: %d", i, (int)how);
        CU_ASSERT_EQUAL(ops->uses_host, !strcmp(rows[i].policy, "host"));
        CU_ASSERT_EQUAL(ops->timed, ops->uses_host);
    }
}

MOE_TESTS({"wants", wants_what_it_should}, {"serve", serves_where_it_is_done_first})
