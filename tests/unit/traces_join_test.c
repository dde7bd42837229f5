/* Traces joined: every token is there once, with what all have in common. */
#include "tests/unit/transform_fixture.h"
#include "traces/transform/join.h"

static moe_routing_file *
join_two(const moe_routing_file *a, const moe_routing_file *b, GString *report, moe_diag *diag)
{
    const moe_routing_file *const files[] = {a, b};
    moe_routing_builder *builder = moe_transform_join(files, 2, report, diag);
    return builder ? moe_routing_builder_finish(builder, "joined") : NULL;
}

static bool
same_token(const moe_routing *was, uint64_t w, const moe_routing *is, uint64_t i)
{
    uint16_t before[MOE_ROUTING_MAX_K], after[MOE_ROUTING_MAX_K];
    bool same = was->position[w] == is->position[i] && was->phase[w] == is->phase[i];
    for (uint32_t l = 0; l < is->n_layers && same; l++) {
        uint32_t n = moe_routing_row(was, w, l, before);
        size_t a = (w * was->n_layers + l), b = (i * is->n_layers + l);
        same = n == moe_routing_row(is, i, l, after) &&
               !memcmp(before, after, n * sizeof *before) &&
               (moe_routing_id(was, w, l, 0) == MOE_ROUTING_NOT_RUN) ==
                   (moe_routing_id(is, i, l, 0) == MOE_ROUTING_NOT_RUN) &&
               (!is->weights ||
                !memcmp(was->weights + a * was->k, is->weights + b * is->k, n * sizeof(float))) &&
               (!is->logits ||
                !memcmp(was->logits + a * was->n_experts, is->logits + b * is->n_experts,
                        is->n_experts * sizeof(uint16_t)));
    }
    return same;
}

static void
nothing_is_lost(void)
{
    static const made_shape one = {3, 12, 4, 5, 30, true, true}, two = {3, 12, 2, 2, 7, true, true};
    g_autoptr(moe_routing_file) a = made_routing(&one, 1), b = made_routing(&two, 2);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_routing_file) joined = join_two(a, b, report, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(joined);
    const moe_routing *x = moe_routing_get(a), *y = moe_routing_get(b),
                      *z = moe_routing_get(joined);
    CU_ASSERT_EQUAL(z->n_tokens, x->n_tokens + y->n_tokens);
    CU_ASSERT_EQUAL(z->n_sequences, 7);
    CU_ASSERT_EQUAL(z->k, 4);
    CU_ASSERT_TRUE(z->weights && z->logits && z->step && z->domain && z->modality && z->token_id);
    MOE_CHECK(!strcmp(report->str, "made: top-2, its rows padded to 4 with no expert\n"
                                   "look-aheads dropped: not every file has the same\n"),
              "%s", report->str);
    for (uint64_t t = 0; t < z->n_tokens; t++) {
        bool first = t < x->n_tokens;
        const moe_routing *was = first ? x : y;
        uint64_t w = first ? t : t - x->n_tokens;
        MOE_CHECK(same_token(was, w, z, t) && z->domain[t] == was->domain[w] &&
                      z->modality[t] == was->modality[w] && z->token_id[t] == was->token_id[w] &&
                      z->step[t] == was->step[w] + (first ? 0 : x->n_tokens),
                  "token %u", (unsigned)t);
    }
    MOE_CHECK(!strcmp(moe_routing_meta(joined, "prompts"), "a secret"), "metadata");
}

static moe_routing_file *
small(const char *model, const char *domains, uint32_t layers, bool weights)
{
    moe_routing_builder *b = moe_routing_builder_new(layers, 4, 1);
    const uint16_t ids[] = {3, 1, 2};
    const float weight[] = {1, 1, 1};
    if (model)
        moe_routing_builder_meta(b, "model", model);
    if (domains)
        moe_routing_builder_meta(b, "domains", domains);
    for (uint32_t t = 0; t < 2; t++) {
        moe_routing_builder_add(b, 5, t, MOE_DECODE, ids, weights ? weight : NULL);
        if (domains)
            moe_routing_builder_domain(b, (uint16_t)t);
    }
    return moe_routing_builder_finish(b, model ? model : "small");
}

static void
names_are_united(void)
{
    g_autoptr(moe_routing_file) a = small("m", "[\"code\",\"a \\\"b\\\"\"]", 2, true);
    g_autoptr(moe_routing_file) b = small(NULL, "[\"prose\",\"code\"]", 2, false);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_routing_file) joined = join_two(a, b, report, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(joined);
    const moe_routing *z = moe_routing_get(joined);
    static const uint16_t expected[] = {0, 1, 2, 0};
    for (uint32_t t = 0; t < 4; t++)
        CU_ASSERT_EQUAL(z->domain[t], expected[t]);
    CU_ASSERT_EQUAL(z->n_domains, 3);
    CU_ASSERT_STRING_EQUAL(z->domain_names[1], "a \"b\"");
    CU_ASSERT_STRING_EQUAL(z->domain_names[2], "prose");
    CU_ASSERT_STRING_EQUAL(z->model, "m");
    CU_ASSERT_PTR_NULL(z->weights);
    MOE_CHECK(!strcmp(report->str, "gate weights dropped: not every file has the same\n"), "%s",
              report->str);
}

static void
strangers_are_refused(void)
{
    g_autoptr(moe_routing_file) a = small("m", NULL, 2, true), b = small("other", NULL, 2, true);
    g_autoptr(moe_routing_file) c = small("m", NULL, 3, true);
    const moe_routing_file *const others[] = {b, c};
    static const char *const says[] = {
        "other: error: is of the model 'other', but m is of 'm'",
        "m: error: has 3 layers (0 to 2) of 4 experts, but m has 2 (0 to 1) of 4",
    };
    for (size_t i = 0; i < 2; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GString) report = g_string_new(NULL);
        g_autoptr(moe_routing_file) joined = join_two(a, others[i], report, diag);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(!joined && strstr(text, says[i]), "%s", text);
    }
}

MOE_TESTS({"nothing is lost", nothing_is_lost}, {"names", names_are_united},
          {"strangers", strangers_are_refused})
