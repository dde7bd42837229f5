/* What every file of the project may assume: fixed-width types, assertions, checked arithmetic.
 *
 * moe_assert is always on; moe_dassert only in builds without NDEBUG. A failed assertion prints
 * the expression, the formatted values and the context set by the engine (simulated time, seed),
 * then aborts: it is a bug in moesim, never a user's mistake. */
#ifndef MOE_BASE_BASE_H
#define MOE_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MOE_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MOE_LIKELY(x) __builtin_expect(!!(x), 1)
#define MOE_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* "No such object, layer, row": the largest value of the type. */
#define MOE_NONE UINT32_MAX

_Noreturn void moe_assert_failed(const char *file, int line, const char *expr, const char *fmt, ...)
    MOE_PRINTF(4, 5);

/* What a failed assertion of this thread adds to its message: `describe` writes one line about
 * `context` (simulated time, seed) into text[size]. NULL takes it back. */
typedef void moe_assert_describe(const void *context, char *text, size_t size);
void moe_assert_context(moe_assert_describe *describe, const void *context);

#define moe_assert(expr, ...)                                                                      \
    do {                                                                                           \
        if (MOE_UNLIKELY(!(expr)))                                                                 \
            moe_assert_failed(__FILE__, __LINE__, #expr, __VA_ARGS__);                             \
    } while (0)

#ifdef NDEBUG
#define moe_dassert(expr, ...) ((void)sizeof(!(expr)))
#else
#define moe_dassert(expr, ...) moe_assert(expr, __VA_ARGS__)
#endif

#endif
