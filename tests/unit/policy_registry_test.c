#include "sim/policy/policy.h"
#include "tests/test.h"

static void
descriptors_are_complete(void)
{
    moe_policy_check_all();
    CU_PASS("no assertion failed");
}

static void
lists_follow_the_table(void)
{
    static const char *const expected[MOE_POLICY_KINDS] = {
        "lru fifo lfu arc s3fifo sieve belady static",
        "oracle recorded markov popularity given",
        "none next-layer whole-next-layer window",
        "load host",
    };
    for (moe_policy_kind kind = 0; kind < MOE_POLICY_KINDS; kind++) {
        size_t n;
        const moe_variant *const *list = moe_policy_list(kind, &n);
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < n; i++)
            g_string_append_printf(names, "%s%s", i ? " " : "", list[i]->name);
        MOE_CHECK(!strcmp(names->str, expected[kind]), "%s: %s", moe_policy_kind_name(kind),
                  names->str);
        CU_ASSERT_EQUAL(n, moe_policy_counts[kind]);
    }
}

static void
names_are_found_in_their_kind(void)
{
    CU_ASSERT_PTR_EQUAL(moe_policy_find(MOE_POLICY_EVICT, "sieve"), moe_evict_policies[5]);
    CU_ASSERT_PTR_NULL(moe_policy_find(MOE_POLICY_PREFETCH, "sieve"));
    CU_ASSERT_PTR_NULL(moe_policy_find(MOE_POLICY_EVICT, "siev"));
    CU_ASSERT_STRING_EQUAL(moe_policy_kind_name(MOE_POLICY_SERVE), "serve");
    CU_ASSERT_STRING_EQUAL(moe_policy_kind_question(MOE_POLICY_EVICT), "who leaves?");
}

MOE_TESTS({"descriptors", descriptors_are_complete}, {"lists", lists_follow_the_table},
          {"find", names_are_found_in_their_kind})
