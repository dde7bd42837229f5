#include "traces/text_lines.h"

#include "sim/base/units.h"

#include <stdarg.h>
#include <string.h>

#define LINES_BLOCK (1u << 20)

void
moe_text_lines_init(moe_text_lines *l, moe_text_source *source, const char *name, size_t max_line,
                    moe_diag *diag)
{
    *l = (moe_text_lines){.file = moe_diag_intern(diag, name),
                          .diag = diag,
                          .source = source,
                          .max = LINES_BLOCK,
                          .max_line = max_line};
    l->block = g_malloc(l->max + 1);
}

void
moe_text_lines_clear(moe_text_lines *l)
{
    moe_text_source_close(l->source);
    g_free(l->block);
    *l = (moe_text_lines){0};
}

__attribute__((cold)) bool
moe_text_lines_fail(const moe_text_lines *l, const char *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_loc loc = {.file = l->file, .line = (int)MIN(l->line, (uint64_t)G_MAXINT)};
    for (const char *c = l->text; at && c <= at; c++)
        loc.column += c == at || ((unsigned char)*c & 0xC0) != 0x80;
    moe_diag_error(l->diag, loc, "%s", message);
    return false;
}

/* Moves the rest to the front and fills the block; a line that fills it alone makes it grow. */
static bool
lines_refill(moe_text_lines *l, GError **error)
{
    memmove(l->block, l->block + l->at, l->n - l->at);
    l->n -= l->at;
    l->at = 0;
    if (l->n == l->max) {
        l->max *= 2;
        l->block = g_realloc(l->block, l->max + 1);
    }
    while (l->n < l->max && !l->ended) {
        size_t n;
        const char *damage;
        if (!moe_text_source_read(l->source, l->block + l->n, l->max - l->n, &n, &damage, error)) {
            l->text = NULL;
            return damage ? moe_text_lines_fail(l, NULL, "%s", damage) : false;
        }
        l->n += n;
        l->ended = n == 0;
    }
    if (l->ended && l->n && l->block[l->n - 1] != '\n')
        l->block[l->n++] = '\n';
    if (l->progress) {
        double done, total;
        moe_text_source_progress(l->source, &done, &total);
        l->progress(l->context, done, total);
    }
    return true;
}

/* The next line, blank or not. */
static inline moe_text_step
lines_step(moe_text_lines *l, GError **error)
{
    char *first = l->block + l->at;
    char *end = memchr(first, '\n', l->n - l->at);
    while (MOE_UNLIKELY(!end && !l->ended)) {
        if (l->n - l->at > l->max_line) {
            g_autofree char *most = moe_format_bytes((int64_t)l->max_line);
            l->line++;
            moe_text_lines_fail(l, NULL, "line longer than %s", most);
            return MOE_TEXT_FAILED;
        }
        if (!lines_refill(l, error))
            return MOE_TEXT_FAILED;
        if (l->line == 0 && l->n >= 3 && memcmp(l->block, "\xEF\xBB\xBF", 3) == 0)
            l->at = 3;
        first = l->block + l->at;
        end = memchr(first, '\n', l->n - l->at);
    }
    if (!end)
        return MOE_TEXT_END;
    l->line++;
    l->text = first;
    l->length = (size_t)(end - first);
    l->at += l->length + 1;
    l->length -= l->length && end[-1] == '\r';
    return MOE_TEXT_LINE;
}

moe_text_step
moe_text_lines_next(moe_text_lines *l, GError **error)
{
    uint64_t blank = 0;
    for (;;) {
        moe_text_step step = lines_step(l, error);
        bool empty = step == MOE_TEXT_LINE &&
                     (l->length == 0 || (*l->text <= ' ' && strspn(l->text, " \t") >= l->length));
        if (MOE_LIKELY(!empty && !blank))
            return step;
        if (!empty && step == MOE_TEXT_LINE) {
            l->line = blank;
            moe_text_lines_fail(l, NULL, "blank line between rows");
            return MOE_TEXT_FAILED;
        }
        if (!empty)
            return step;
        blank = blank ? blank : l->line;
    }
}
