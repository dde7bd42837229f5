#include "traces/import/json_stream_state.h"

#include <string.h>

#define JSON_BLOCK (256u << 10)

moe_json_stream *
moe_json_stream_new(moe_text_source *source, const char *file, moe_diag *diag, GError **error)
{
    moe_json_stream *s = g_new0(moe_json_stream, 1);
    s->source = source;
    s->place = (moe_place){.loc = {.file = file, .line = 1}, .diag = diag};
    s->error = error;
    s->block = g_malloc(JSON_BLOCK);
    s->at = s->end = s->block;
    s->max_text = 256;
    s->text = g_malloc(s->max_text);
    *s->text = '\0';
    return s;
}

void
moe_json_stream_free(moe_json_stream *s)
{
    if (!s)
        return;
    moe_text_source_close(s->source);
    g_free(s->block);
    g_free(s->text);
    g_free(s);
}

char *
moe_json_text(moe_json_stream *s, size_t *n)
{
    if (n)
        *n = s->n_text;
    return s->text;
}

char *
moe_json_steal(moe_json_stream *s, size_t *n)
{
    char *text = moe_json_text(s, n);
    s->max_text = 256;
    s->text = g_malloc(s->max_text);
    s->n_text = 0;
    *s->text = '\0';
    return text;
}

uint32_t
moe_json_depth(const moe_json_stream *s)
{
    return s->depth;
}

int
moe_json_line(const moe_json_stream *s)
{
    return s->place.loc.line;
}

void
moe_json_progress(const moe_json_stream *s, double *done, double *total)
{
    moe_text_source_progress(s->source, done, total);
}

/* ---- bytes ---- */

static moe_json_event
json_wrong(moe_json_stream *s, const char *why)
{
    if (!s->wrong)
        moe_place_error(&s->place, "JSON: %s", why);
    s->wrong = true;
    return MOE_JSON_WRONG;
}

/* The next byte without taking it; -1 at the end or when it cannot be read. */
static int
json_fill(moe_json_stream *s)
{
    const char *damage = NULL;
    size_t n = 0;
    if (s->ended || s->wrong)
        return -1;
    if (!moe_text_source_read(s->source, s->block, JSON_BLOCK, &n, &damage, s->error)) {
        if (damage)
            moe_place_error(&s->place, "%s", damage);
        s->wrong = true;
        return -1;
    }
    s->at = s->block;
    s->end = s->block + n;
    s->ended = n == 0;
    return n ? (unsigned char)*s->at : -1;
}

static inline int
json_peek(moe_json_stream *s)
{
    return MOE_LIKELY(s->at < s->end) ? (unsigned char)*s->at : json_fill(s);
}

/* The next byte that is no white space, not taken. */
static inline int
json_space(moe_json_stream *s)
{
    for (;;) {
        int c = json_peek(s);
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return c;
        s->place.loc.line += c == '\n';
        s->at++;
    }
}

/* ---- texts, numbers, words ---- */

static bool
json_room(moe_json_stream *s, size_t n)
{
    if (s->max_text - s->n_text > n)
        return true;
    size_t max = MAX(s->max_text * 2, s->n_text + n + 1);
    char *bigger = max > MOE_JSON_MAX_TEXT ? NULL : g_try_realloc(s->text, max);
    if (!bigger) {
        json_wrong(s, "a text beyond 1 GiB, or no memory for it");
        return false;
    }
    s->text = bigger;
    s->max_text = max;
    return true;
}

static bool
json_append(moe_json_stream *s, const char *bytes, size_t n)
{
    if (!json_room(s, n))
        return false;
    memcpy(s->text + s->n_text, bytes, n);
    s->n_text += n;
    s->text[s->n_text] = '\0';
    return true;
}

/* \uXXXX stays as it is written, only checked: no key or base64 of interest holds one. */
static bool
json_escape(moe_json_stream *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char bytes[6] = "\\u";
    int c = json_peek(s);
    s->at += c >= 0;
    if (c == 'u') {
        for (int i = 0; i < 4; i++) {
            int digit = json_peek(s);
            if (!g_ascii_isxdigit((char)digit) || digit < 0)
                return json_wrong(s, "wants four hexadecimal digits after \\u") == MOE_JSON_OBJECT;
            bytes[2 + i] = (char)digit;
            s->at++;
        }
        return json_append(s, bytes, sizeof bytes);
    }
    const char *found = c > 0 ? strchr(from, c) : NULL;
    if (!found) {
        json_wrong(s, c < 0 ? "ends inside of a text (cut short?)" : "unknown escape in a text");
        return false;
    }
    return json_append(s, &to[found - from], 1);
}

/* Behind the opening quote, to the closing one. */
static bool
json_quoted(moe_json_stream *s)
{
    s->n_text = 0;
    s->text[0] = '\0';
    for (;;) {
        int c = json_peek(s);
        if (c < 0) {
            json_wrong(s, "ends inside of a text (cut short?)");
            return false;
        }
        const char *at = s->at;
        while (at < s->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
            at++;
        if (at > s->at && !json_append(s, s->at, (size_t)(at - s->at)))
            return false;
        s->at = at;
        if (at == s->end)
            continue;
        if ((unsigned char)*at < 0x20) {
            json_wrong(s, "control character in a text");
            return false;
        }
        s->at++;
        if (*at == '"')
            return true;
        if (!json_escape(s))
            return false;
    }
}

/* A number or word: the run of bytes that such things are made of. */
static bool
json_run(moe_json_stream *s)
{
    s->n_text = 0;
    for (;;) {
        int c = json_peek(s);
        if (c < 0 || !(g_ascii_isalnum((char)c) || c == '-' || c == '+' || c == '.'))
            break;
        if (s->n_text == 64) {
            json_wrong(s, "a number or word of more than 64 characters");
            return false;
        }
        char byte = (char)c;
        if (!json_append(s, &byte, 1))
            return false;
        s->at++;
    }
    return !s->wrong;
}

/* Whether a text is a number as JSON writes it. */
static bool
json_is_number(const char *c)
{
    c += *c == '-';
    if (!g_ascii_isdigit(*c) || (*c == '0' && g_ascii_isdigit(c[1])))
        return false;
    while (g_ascii_isdigit(*c))
        c++;
    if (*c == '.') {
        if (!g_ascii_isdigit(*++c))
            return false;
        while (g_ascii_isdigit(*c))
            c++;
    }
    if (*c == 'e' || *c == 'E') {
        c += 1 + (c[1] == '-' || c[1] == '+');
        if (!g_ascii_isdigit(*c))
            return false;
        while (g_ascii_isdigit(*c))
            c++;
    }
    return *c == '\0';
}

bool
moe_json_whole(const moe_json_stream *s, int64_t *out)
{
    return g_ascii_string_to_signed(s->text, 10, INT64_MIN, INT64_MAX, out, NULL);
}

/* ---- events ---- */

static moe_json_event
json_open(moe_json_stream *s, char c)
{
    if (s->depth == MOE_JSON_DEPTH)
        return json_wrong(s, "nested deeper than 64 levels");
    s->at++;
    s->open[s->depth++] = c;
    s->state = c == '{' ? JSON_FIRST_KEY : JSON_FIRST_VALUE;
    return c == '{' ? MOE_JSON_OBJECT : MOE_JSON_ARRAY;
}

static moe_json_event
json_value(moe_json_stream *s, int c)
{
    if (c == '{' || c == '[')
        return json_open(s, (char)c);
    s->state = s->depth ? JSON_MORE : JSON_VALUE;
    if (c == '"') {
        s->at++;
        return json_quoted(s) ? MOE_JSON_TEXT : MOE_JSON_WRONG;
    }
    if (!json_run(s))
        return MOE_JSON_WRONG;
    if (json_is_number(s->text) && s->n_text)
        return MOE_JSON_NUMBER;
    if (s->n_text && (strcmp(s->text, "true") == 0 || strcmp(s->text, "false") == 0 ||
                      strcmp(s->text, "null") == 0))
        return MOE_JSON_WORD;
    if (s->n_text && (strcmp(s->text, "NaN") == 0 || strcmp(s->text, "Infinity") == 0 ||
                      strcmp(s->text, "-Infinity") == 0))
        return MOE_JSON_WORD; /* Python writes them */
    return json_wrong(s, c < 0 ? "ends where a value is wanted (cut short?)" : "wants a value");
}

static moe_json_event
json_close(moe_json_stream *s)
{
    s->at++;
    s->depth--;
    s->state = s->depth ? JSON_MORE : JSON_VALUE;
    return MOE_JSON_CLOSE;
}

static moe_json_event
json_key(moe_json_stream *s, int c)
{
    if (c != '"')
        return json_wrong(s, "wants a key in double quotes");
    s->at++;
    if (!json_quoted(s))
        return MOE_JSON_WRONG;
    if (json_space(s) != ':')
        return json_wrong(s, "wants ':' behind a key");
    s->at++;
    s->state = JSON_VALUE;
    return MOE_JSON_KEY;
}

moe_json_event
moe_json_next(moe_json_stream *s)
{
    int c = json_space(s);
    if (s->wrong)
        return MOE_JSON_WRONG;
    if (s->depth == 0)
        return c < 0 ? MOE_JSON_END : json_value(s, c);
    char closing = s->open[s->depth - 1] == '{' ? '}' : ']';
    bool first = s->state == JSON_FIRST_KEY || s->state == JSON_FIRST_VALUE;
    if (c == closing && (first || s->state == JSON_MORE))
        return json_close(s);
    if (s->state == JSON_MORE) {
        if (c != ',')
            return json_wrong(s, c < 0            ? "ends inside of a value (cut short?)"
                                 : closing == '}' ? "wants ',' or '}'"
                                                  : "wants ',' or ']'");
        s->at++;
        c = json_space(s);
        s->state = closing == '}' ? JSON_KEY : JSON_VALUE;
    }
    bool key = s->state == JSON_KEY || s->state == JSON_FIRST_KEY;
    return key ? json_key(s, c) : json_value(s, c);
}

bool
moe_json_skip(moe_json_stream *s)
{
    uint32_t depth = s->depth;
    moe_json_event event;
    while (s->depth >= depth)
        if ((event = moe_json_next(s)) == MOE_JSON_WRONG || event == MOE_JSON_END)
            return false;
    return true;
}
