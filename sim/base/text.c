#include "sim/base/text.h"

#include <string.h>

enum {
    EXCERPT_WIDTH = 96, /* characters of a line that are shown at most */
    EXCERPT_BEFORE = 40 /* of these, before the caret when the line is longer */
};

gunichar
moe_text_char(const char *text, size_t length, size_t at, size_t *bytes, bool *ok)
{
    gunichar c = g_utf8_get_char_validated(text + at, (gssize)(length - at));
    *ok = c != (gunichar)-1 && c != (gunichar)-2;
    *bytes = *ok ? (size_t)g_utf8_skip[(unsigned char)text[at]] : 1;
    return *ok ? c : 0xFFFD;
}

/* What stands for a character on a terminal. */
static gunichar
text_picture(gunichar c)
{
    if (c < 0x20)
        return 0x2400 + c;
    if (c == 0x7F)
        return 0x2421;
    bool hidden = (c >= 0x80 && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
                  (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
    return hidden ? 0xFFFD : c;
}

char *
moe_text_visible(const char *text, size_t length)
{
    GString *out = g_string_sized_new(length + 8);
    for (size_t at = 0, bytes; at < length; at += bytes) {
        bool ok;
        g_string_append_unichar(out, text_picture(moe_text_char(text, length, at, &bytes, &ok)));
    }
    return g_string_free(out, FALSE);
}

/* Start and length of a line, without its end (LF, CR LF or CR); false: there is no such line. */
static bool
text_line(const char *text, size_t length, int line, size_t *start, size_t *end)
{
    size_t at = 0;
    for (int n = 1; n < line; n++) {
        while (at < length && text[at] != '\n' && text[at] != '\r')
            at++;
        if (at == length)
            return false;
        at += text[at] == '\r' && at + 1 < length && text[at + 1] == '\n' ? 2 : 1;
    }
    *start = at;
    while (at < length && text[at] != '\n' && text[at] != '\r')
        at++;
    *end = at;
    return true;
}

static int
text_count(const char *text, size_t length)
{
    int n = 0;
    for (size_t at = 0, bytes; at < length; at += bytes, n++) {
        bool ok;
        moe_text_char(text, length, at, &bytes, &ok);
    }
    return n;
}

static void
text_pad(GString *out, char fill, gunichar c)
{
    if (g_unichar_iszerowidth(c))
        return;
    g_string_append_c(out, fill);
    if (g_unichar_iswide(c))
        g_string_append_c(out, fill);
}

/* Characters first..last-1 of the line go to `out`, what stands below them to `carets`. */
static void
text_window(const char *line, size_t length, int first, int last, const moe_loc *loc, GString *out,
            GString *carets)
{
    int start = loc->column - 1, end = start + MAX(loc->length, 1), n = 0;
    for (size_t at = 0, bytes; at < length && n < last; at += bytes, n++) {
        bool ok;
        gunichar c = moe_text_char(line, length, at, &bytes, &ok);
        if (n < first)
            continue;
        gunichar shown = c == '\t' ? c : text_picture(c);
        g_string_append_unichar(out, shown);
        if (n < start && c == '\t')
            g_string_append_c(carets, '\t');
        else if (n < end)
            text_pad(carets, n < start ? ' ' : '^', shown);
    }
    if (n <= start) /* a place behind the line's end */
        g_string_append_c(carets, '^');
}

void
moe_text_excerpt(const char *text, size_t length, const moe_loc *loc, GString *out)
{
    size_t start, end;
    if (!text_line(text, length, loc->line, &start, &end) || start == end)
        return;
    int n = text_count(text + start, end - start), first = 0, last = n;
    if (n > EXCERPT_WIDTH) {
        int column = CLAMP(loc->column - 1, 0, n);
        first = column > EXCERPT_BEFORE ? MIN(column - EXCERPT_BEFORE, n - EXCERPT_WIDTH) : 0;
        last = first + EXCERPT_WIDTH;
    }
    g_autoptr(GString) carets = g_string_new(first > 0 ? "    ..." : "    ");
    g_string_append(out, carets->str);
    if (first > 0)
        memset(carets->str, ' ', carets->len);
    text_window(text + start, end - start, first, last, loc, out, carets);
    g_string_append(out, last < n ? "...\n" : "\n");
    if (loc->column > 0)
        g_string_append_printf(out, "%s\n", carets->str);
}
