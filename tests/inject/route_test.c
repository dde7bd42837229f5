/* The routing ABI, and threads that use it at the same time. */
#include "tests/inject/fixture.h"
#include "tests/test.h"

static void
steps_and_tokens(void)
{
    ran *run = run_program("", "step:3 tokens end:3");
    const raw_log *log = ran_log(run);
    CU_ASSERT_TRUE(strstr(run->out, "tokens 0") != NULL);
    if (log != NULL && log->steps->len == 2 && log->tokens->len == 1) {
        const moe_raw_step *begin = &g_array_index(log->steps, moe_raw_step, 0), *end = begin + 1;
        CU_ASSERT_TRUE(begin->step == 3 && begin->phase == 1 && begin->begin == 1);
        CU_ASSERT_TRUE(begin->n_tokens == 3 && begin->n_sequences == 2 && begin->thread != 0);
        CU_ASSERT_TRUE(end->step == 3 && end->begin == 0 && end->time_ns >= begin->time_ns);
        const moe_raw_tokens *tokens = g_ptr_array_index(log->tokens, 0);
        const int32_t expected[9] = {0, 0, 1, 4, 5, 9, -1, -1, -1};
        CU_ASSERT_TRUE(tokens->step == 3 && tokens->token0 == 0 && tokens->n == 3);
        CU_ASSERT_TRUE(memcmp(tokens + 1, expected, sizeof expected) == 0);
    } else {
        CU_FAIL("steps or tokens are missing");
    }
    ran_free(run);
}

static void
routes(void)
{
    ran *run = run_program("", "route:1000");
    const raw_log *log = ran_log(run);
    MOE_CHECK(log != NULL && log->routes->len == 1000, "%u", log != NULL ? log->routes->len : 0);
    for (guint i = 0; log != NULL && i < log->routes->len; i++) {
        const moe_raw_route *route = g_ptr_array_index(log->routes, i);
        const uint16_t ids[6] = {(uint16_t)(i % 64), 1, 2, 3, 0xFFFF, 0xFFFF};
        const float weights[6] = {0.5f, 0.25f, 0.125f, 1, 2, 3};
        bool weighted = i % 2;
        bool good = route->layer == (int32_t)i && route->step == 3 && route->n == 3 &&
                    route->k == 2 && memcmp(route + 1, ids, sizeof ids) == 0 &&
                    (route->flags & MOE_RAW_ROUTE_WEIGHTS) == (weighted ? 1u : 0u) &&
                    (!weighted || memcmp((const uint8_t *)(route + 1) + sizeof ids, weights,
                                         sizeof weights) == 0);
        if (!good) {
            MOE_CHECK(good, "route %u", i);
            break;
        }
    }
    ran_free(run);
}

/* Ranges nest per thread, and every call of every thread is in the log. */
static void
races(void)
{
    enum { THREADS = 8, TIMES = 2000 };
    ran *run = run_program("", "threads:8:2000 threads:3:100");
    const raw_log *log = ran_log(run);
    const unsigned calls = THREADS * TIMES + 3 * 100;
    if (log == NULL) {
        ran_free(run);
        return;
    }
    CU_ASSERT_TRUE(log->whole && log->closed && log->texts_first);
    MOE_CHECK(log->losses->len == 0, "%u losses", log->losses->len);
    MOE_CHECK(log->routes->len == calls, "%u routes", log->routes->len);
    MOE_CHECK(log->ranges->len == 2 * calls, "%u ranges", log->ranges->len);
    g_autoptr(GHashTable) open = g_hash_table_new(NULL, NULL), seen = g_hash_table_new(NULL, NULL);
    unsigned wrong = 0;
    for (guint i = 0; i < log->ranges->len; i++) {
        const moe_raw_range *range = &g_array_index(log->ranges, moe_raw_range, i);
        void *thread = GUINT_TO_POINTER(range->thread), *number = GSIZE_TO_POINTER(range->range);
        if (range->kind == MOE_RAW_PUSH) {
            wrong += !g_hash_table_insert(open, thread, number) || !g_hash_table_add(seen, number);
        } else {
            wrong += g_hash_table_lookup(open, thread) != number;
            g_hash_table_remove(open, thread);
        }
    }
    MOE_CHECK(wrong == 0, "%u records out of place", wrong);
    ran_free(run);
}

MOE_TESTS({"steps and tokens", steps_and_tokens}, {"routes", routes}, {"races", races})
