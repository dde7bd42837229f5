#include "sim/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ASSERT_TEXT = 1024 };

static _Thread_local moe_assert_describe *assert_describe;
static _Thread_local const void *assert_context;

void
moe_assert_context(moe_assert_describe *describe, const void *context)
{
    assert_describe = describe;
    assert_context = context;
}

/* Appends a formatted piece and returns the new length, cut off at the buffer's end. */
static size_t
append(char *text, size_t length, const char *fmt, va_list args)
{
    int n = vsnprintf(text + length, ASSERT_TEXT - length, fmt, args);
    if (n < 0)
        return length;
    size_t end = length + (size_t)n;
    return end < ASSERT_TEXT ? end : ASSERT_TEXT - 1;
}

MOE_PRINTF(3, 4)
static size_t
appendf(char *text, size_t length, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    length = append(text, length, fmt, args);
    va_end(args);
    return length;
}

void
moe_assert_failed(const char *file, int line, const char *expr, const char *fmt, ...)
{
    char text[ASSERT_TEXT];
    size_t length = appendf(text, 0, "%s:%d: bug: %s is false: ", file, line, expr);
    va_list args;
    va_start(args, fmt);
    length = append(text, length, fmt, args);
    va_end(args);
    if (assert_describe) {
        char where[256] = "";
        assert_describe(assert_context, where, sizeof where);
        length = appendf(text, length, " (%s)", where);
    }
    text[length < ASSERT_TEXT - 1 ? length++ : length - 1] = '\n';
    /* Nothing can be done about a failed write on the way to abort. */
    if (write(STDERR_FILENO, text, length) < 0)
        abort();
    abort();
}
