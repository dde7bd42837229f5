/* A test file lists its cases and gets a main:
 *
 *     static void parses_bytes(void) { CU_ASSERT_EQUAL(...); }
 *     MOE_TESTS({"bytes", parses_bytes})
 *
 * MOE_CHECK prints the values of a failed comparison. A test that needs what is absent (the
 * shared data folder) calls moe_test_skip with the reason and returns: the program then exits
 * with 77 if nothing failed and nothing else ran. */
#ifndef MOE_TESTS_TEST_H
#define MOE_TESTS_TEST_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct moe_test_case {
    const char *name;
    void (*run)(void);
} moe_test_case;

static unsigned moe_test_skipped;

__attribute__((unused)) static void
moe_test_skip(const char *reason)
{
    moe_test_skipped++;
    printf("\n    skipped: %s\n", reason);
}

/* Like CU_ASSERT, with a message of printf form shown on failure. */
#define MOE_CHECK(expr, ...)                                                                       \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            printf("\n    %s:%d: %s: ", __FILE__, __LINE__, #expr);                                \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            CU_FAIL(#expr);                                                                        \
        } else {                                                                                   \
            CU_PASS(#expr);                                                                        \
        }                                                                                          \
    } while (0)

#define MOE_TESTS(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        static const moe_test_case cases[] = {__VA_ARGS__};                                        \
        size_t n = sizeof cases / sizeof cases[0];                                                 \
        if (CU_initialize_registry() != CUE_SUCCESS)                                               \
            return 1;                                                                              \
        CU_pSuite suite = CU_add_suite(__FILE__, NULL, NULL);                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            CU_add_test(suite, cases[i].name, cases[i].run);                                       \
        CU_basic_set_mode(CU_BRM_VERBOSE);                                                         \
        CU_basic_run_tests();                                                                      \
        unsigned failed = CU_get_number_of_failures();                                             \
        CU_cleanup_registry();                                                                     \
        if (failed)                                                                                \
            return 1;                                                                              \
        return moe_test_skipped == n ? 77 : 0;                                                     \
    }

#endif
