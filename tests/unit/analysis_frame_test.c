#include "analysis/frame.h"
#include "tests/test.h"

static const char *const keys[] = {"evict", "batch", "label"};

/* evict x batch in full; label is zipped with evict. */
static moe_frame *
grid(void)
{
    static const char *const rows[][3] = {
        {"lru", "1", "L"}, {"lru", "2", "L"}, {"lfu", "1", "F"}, {"lfu", "2", "F"}};
    moe_frame *frame = moe_frame_new();
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        char identity[2] = {(char)('a' + i), '\0'};
        moe_frame_add(frame, identity, keys, rows[i], 3);
    }
    return frame;
}

static void
finds_values(void)
{
    g_autoptr(moe_frame) frame = grid();
    CU_ASSERT_EQUAL(moe_frame_points(frame), 4);
    CU_ASSERT_EQUAL(moe_frame_keys(frame), 3);
    CU_ASSERT_EQUAL(moe_frame_find(frame, "batch"), 1);
    CU_ASSERT_EQUAL(moe_frame_find(frame, "none"), SIZE_MAX);
    CU_ASSERT_STRING_EQUAL(moe_frame_identity(frame, 2), "c");
    CU_ASSERT_STRING_EQUAL(moe_frame_value(frame, 2, 0), "lfu");
    CU_ASSERT_PTR_EQUAL(moe_frame_value(frame, 0, 0), moe_frame_value(frame, 1, 0));
    g_autoptr(GPtrArray) values = moe_frame_values(frame, 0);
    CU_ASSERT_EQUAL(values->len, 2);
    CU_ASSERT_STRING_EQUAL(g_ptr_array_index(values, 0), "lru");
}

static void
knows_zipped_keys(void)
{
    static const struct {
        size_t key, by[2], n;
        bool determined;
    } cases[] = {
        {2, {0}, 1, true},  {0, {2}, 1, true},     {1, {0}, 1, false},
        {0, {1}, 1, false}, {1, {0, 2}, 2, false}, {0, {0}, 0, false},
    };
    g_autoptr(moe_frame) frame = grid();
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        MOE_CHECK(moe_frame_determined(frame, cases[i].key, cases[i].by, cases[i].n) ==
                      cases[i].determined,
                  "case %zu", i);
    size_t label = 2;
    g_autoptr(GArray) others = moe_frame_others(frame, &label, 1);
    CU_ASSERT_EQUAL(others->len, 1);
    CU_ASSERT_EQUAL(g_array_index(others, size_t, 0), 1);
}

static void
selects(void)
{
    g_autoptr(moe_frame) frame = grid();
    moe_selector selector;
    moe_selector_init(&selector);
    CU_ASSERT(moe_selector_match(&selector, frame, 3));
    moe_selector_add(&selector, 0, "lfu");
    CU_ASSERT_FALSE(moe_selector_match(&selector, frame, 0));
    CU_ASSERT(moe_selector_match(&selector, frame, 3));
    moe_selector_add(&selector, 1, "1");
    CU_ASSERT_FALSE(moe_selector_match(&selector, frame, 3));
    g_autofree char *text = moe_selector_text(&selector, frame);
    CU_ASSERT_STRING_EQUAL(text, "evict=lfu batch=1");
    moe_selector_add(&selector, 1, "2"); /* any of both */
    CU_ASSERT(moe_selector_match(&selector, frame, 3));
    CU_ASSERT_FALSE(moe_selector_match(&selector, frame, 1));
    CU_ASSERT(moe_selector_fixes(&selector, 0));
    CU_ASSERT_FALSE(moe_selector_fixes(&selector, 1));
    g_autofree char *several = moe_selector_text(&selector, frame);
    CU_ASSERT_STRING_EQUAL(several, "evict=lfu batch=1|2");
    moe_selector_clear(&selector);
}

/* Points of a database need not have the same keys. */
static void
allows_gaps(void)
{
    g_autoptr(moe_frame) frame = moe_frame_new();
    moe_frame_add(frame, "a", NULL, NULL, 0);
    moe_frame_add(frame, "b", keys, keys, 1);
    CU_ASSERT_PTR_NULL(moe_frame_value(frame, 0, 0));
    CU_ASSERT_STRING_EQUAL(moe_frame_value(frame, 1, 0), "evict");
    g_autoptr(GPtrArray) values = moe_frame_values(frame, 0);
    CU_ASSERT_EQUAL(values->len, 1);
}

MOE_TESTS({"finds values", finds_values}, {"knows zipped keys", knows_zipped_keys},
          {"selects", selects}, {"allows gaps", allows_gaps})
