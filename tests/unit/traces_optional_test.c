/* The optional tensors of a trace: logits, domains, modalities, token ids; and the columns that
 * spill to files. */
#include "tests/test.h"

#include "traces/columns.h"
#include "traces/routing.h"

#include <math.h>

static moe_routing_builder *
small(void)
{
    moe_routing_builder *b = moe_routing_builder_new(1, 4, 1);
    moe_routing_builder_add(b, 0, 0, MOE_DECODE, (const uint16_t[]){3}, NULL);
    return b;
}

/* Halves: nearest, ties to even; what is beyond the range stays finite; both ways are exact. */
static void
halves(void)
{
    static const struct {
        float from, to;
    } cases[] = {
        {0, 0},
        {1, 1},
        {-2.5f, -2.5f},
        {65504, 65504},
        {65519.9f, 65504},
        {1e30f, 65504},
        {-1e30f, -65504},
        {2049, 2048},         /* a tie: to even */
        {2051, 2052},         /* a tie: to even */
        {0x1p-24f, 0x1p-24f}, /* the smallest */
        {0x1p-25f, 0},        /* a tie: to even */
        {0x1.8p-25f, 0x1p-24f},
        {0x1.ff8p-15f, 0x1.ff8p-15f}, /* the largest subnormal */
        {0x1p-14f, 0x1p-14f},
        {-HUGE_VALF, -HUGE_VALF},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_routing_builder *b = small();
        const float row[] = {cases[i].from, 0, 0, 0};
        moe_routing_builder_logits(b, row);
        g_autoptr(moe_routing_file) file = moe_routing_builder_finish(b, "built");
        float got = moe_routing_f16(moe_routing_get(file)->logits[0]);
        MOE_CHECK(got == cases[i].to, "%a became %a, not %a", (double)cases[i].from, (double)got,
                  (double)cases[i].to);
    }
    for (uint32_t bits = 0; bits < 0x7C00; bits++) {
        moe_routing_builder *b = bits % 251 == 0 ? small() : NULL;
        if (!b)
            continue;
        const float row[] = {moe_routing_f16((uint16_t)bits), 0, 0, 0};
        moe_routing_builder_logits(b, row);
        g_autoptr(moe_routing_file) file = moe_routing_builder_finish(b, "built");
        CU_ASSERT_EQUAL(moe_routing_get(file)->logits[0], bits);
    }
}

static void
give_nan(moe_routing_builder *b)
{
    moe_routing_builder_logits(b, (const float[]){0, 1, NAN, HUGE_VALF});
}

static void
give_domain(moe_routing_builder *b)
{
    moe_routing_builder_domain(b, 2);
    moe_routing_builder_meta(b, "domains", "[\"code\",\"prose\"]");
}

static void
give_modality(moe_routing_builder *b)
{
    moe_routing_builder_modality(b, 1);
    moe_routing_builder_meta(b, "modalities", "[\"text\"]");
}

static void
give_no_list(moe_routing_builder *b)
{
    moe_routing_builder_domain(b, 0);
    moe_routing_builder_meta(b, "domains", "[\"code\",7]");
}

static void
give_one_of_two(moe_routing_builder *b)
{
    moe_routing_builder_token_id(b, 0);
    moe_routing_builder_add(b, 0, 1, MOE_DECODE, (const uint16_t[]){3}, NULL);
}

static void
refuses(void)
{
    static const struct {
        void (*give)(moe_routing_builder *b);
        const char *message;
    } cases[] = {
        {give_nan, "x: error: tensor router_logits, token 0, layer 0: expert 2 has NaN\n"
                   "x: error: tensor router_logits, token 0, layer 0: expert 3 has +inf"},
        {give_domain, "x: error: tensor domain, token 0: 2, but 2 are named"},
        {give_modality, "x: error: tensor modality, token 0: 1, but 1 are named"},
        {give_no_list, "x: error: metadata 'domains', byte 8: wants a text in double quotes; wants "
                       "a JSON list of texts"},
        {give_one_of_two, "x: error: tensor token_id: 1 of 2 tokens have one"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_routing_builder) b = small();
        g_autoptr(moe_diag) diag = moe_diag_new();
        cases[i].give(b);
        CU_ASSERT_FALSE(moe_routing_builder_check(b, "x", diag));
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(strstr(text, cases[i].message), "case %zu: '%s' instead of '%s'", i, text,
                  cases[i].message);
    }
}

static void
described(void)
{
    moe_routing_builder *b = small();
    give_domain(b);
    moe_routing_builder_meta(b, "domains", "[\"code\",\"prose\",\"ma\\u0007th\"]");
    moe_routing_builder_modality(b, 1);
    moe_routing_builder_token_id(b, 7);
    moe_routing_builder_logits(b, (const float[]){0, 1, 2, 3});
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(b, "built");
    g_autoptr(GString) text = g_string_new(NULL);
    moe_routing_describe(file, text);
    static const char *const parts[] = {"domains      3: code 0, prose 0, ma␇th 1\n",
                                        "modalities   2: 0: 0, 1: 1\n",
                                        "logits       of all 4 experts\n", "token ids    yes\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        MOE_CHECK(strstr(text->str, parts[i]) != NULL, "no '%s' in\n%s", parts[i], text->str);
}

/* ---- columns ---- */

static void
twice(const void *context, const void *from, void *to)
{
    memcpy(to, from, 4);
    memcpy((uint8_t *)to + 4, from, 4);
}

/* Rows survive spilling and reshaping, wherever the border of the blocks is. */
static void
columns(void)
{
    for (uint64_t limit = 1; limit < 4000; limit = limit * 3 + 1) {
        for (uint32_t reshape = 0; reshape < 700; reshape += 233) {
            moe_columns *c = moe_columns_new(2);
            moe_columns_spill(c, NULL, limit);
            moe_columns_use(c, 1, 4);
            for (uint32_t i = 0; i < 700; i++) {
                if (i == reshape)
                    moe_columns_reshape(c, 1, 8, twice, NULL);
                CU_ASSERT_TRUE_FATAL(moe_columns_add(c));
                memset(moe_columns_cell(c, 1), 0, moe_columns_row_bytes(c, 1));
                memcpy(moe_columns_cell(c, 1), &i, 4);
            }
            const uint32_t *view = moe_columns_view(c, 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(view);
            CU_ASSERT_PTR_NULL(moe_columns_view(c, 0));
            unsigned wrong = 0;
            for (uint32_t i = 0; i < 700; i++)
                wrong += view[2 * i] != i || view[2 * i + 1] != (i < reshape ? i : 0);
            MOE_CHECK(wrong == 0, "limit %u, reshaped at %u: %u wrong", (unsigned)limit, reshape,
                      wrong);
            moe_columns_free(c);
        }
    }
}

/* Where no file can be made the builder says so, once it needs one. */
static void
no_folder(void)
{
    g_autoptr(moe_routing_builder) b = moe_routing_builder_new(1, 4, 1);
    g_autoptr(GError) error = NULL;
    moe_routing_builder_spill(b, "/nonexistent/folder", 1000);
    for (uint32_t i = 0; i < 5; i++)
        moe_routing_builder_add(b, 0, i, MOE_DECODE, (const uint16_t[]){3}, NULL);
    CU_ASSERT_FALSE(moe_routing_builder_failed(b, "x", NULL));
    for (uint32_t i = 5; i < 5000; i++)
        moe_routing_builder_add(b, 0, i, MOE_DECODE, (const uint16_t[]){3}, NULL);
    CU_ASSERT_TRUE(moe_routing_builder_failed(b, "x", &error));
    MOE_CHECK(error && strcmp(error->message, "/nonexistent/folder: cannot write a temporary file: "
                                              "No such file or directory") == 0,
              "%s", error ? error->message : "no error");
}

MOE_TESTS({"halves", halves}, {"refuses", refuses}, {"described", described}, {"columns", columns},
          {"no folder", no_folder})
