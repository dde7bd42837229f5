#include "models/json.h"

#include "sim/base/error.h"

#include <errno.h>
#include <string.h>

#define MAX_BYTES (4u << 20)
#define MAX_DEPTH 32

typedef struct scanner {
    const char *text;
    size_t length, at;
    const char *path;
    moe_diag *diag;
} scanner;

static moe_loc
loc_at(const scanner *s, size_t offset)
{
    moe_loc loc = {s->path, 1, 1, 1};

    for (size_t i = 0; i < offset && i < s->length; i++) {
        unsigned char c = (unsigned char)s->text[i];
        if (c == '\n') {
            loc.line++;
            loc.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            loc.column++;
        }
    }
    return loc;
}

static bool
fail(const scanner *s, size_t offset, const char *what)
{
    moe_diag_error(s->diag, loc_at(s, offset), "%s", what);
    return false;
}

static bool
scan_string(scanner *s)
{
    for (s->at++; s->at < s->length; s->at++) {
        unsigned char c = (unsigned char)s->text[s->at];
        if (c == '"')
            return true;
        if (c < 0x20)
            return fail(s, s->at, "a control character in a text");
        if (c != '\\')
            continue;
        if (s->length - s->at >= 6 && !memcmp(s->text + s->at, "\\u0000", 6))
            return fail(s, s->at, "a NUL character in a text");
        s->at++;
    }
    return fail(s, s->length, "the text does not end");
}

static size_t
digits(const scanner *s, size_t at)
{
    size_t n = 0;

    while (at + n < s->length && g_ascii_isdigit(s->text[at + n]))
        n++;
    return n;
}

static char
peek(const scanner *s, size_t at)
{
    return at < s->length ? s->text[at] : '\0';
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, and nothing that would continue a number. */
static bool
scan_number(scanner *s)
{
    size_t start = s->at;
    size_t at = start + (peek(s, start) == '-');
    size_t n = digits(s, at);
    bool ok = n == 1 || (n > 1 && s->text[at] != '0');

    at += n;
    if (ok && peek(s, at) == '.') {
        n = digits(s, at + 1);
        ok = n > 0;
        at += 1 + n;
    }
    if (ok && (peek(s, at) == 'e' || peek(s, at) == 'E')) {
        at++;
        at += peek(s, at) == '+' || peek(s, at) == '-';
        n = digits(s, at);
        ok = n > 0;
        at += n;
    }
    if (!ok || g_ascii_isalnum(peek(s, at)) || strchr("+-._", peek(s, at) ? peek(s, at) : ' '))
        return fail(s, start, "not a JSON number");
    s->at = at - 1;
    return true;
}

/* What cJSON does not check. */
static bool
scan(scanner *s)
{
    int depth = 0;

    for (; s->at < s->length; s->at++) {
        char c = s->text[s->at];
        bool ok = true;
        if (c == '"')
            ok = scan_string(s);
        else if (c == '-' || g_ascii_isdigit(c))
            ok = scan_number(s);
        else if (c == '{' || c == '[')
            ok = ++depth <= MAX_DEPTH || fail(s, s->at, "nested deeper than 32");
        else if (c == '}' || c == ']')
            depth--;
        else if (!g_ascii_isalpha(c) && !strchr(",: \t\r\n", c ? c : 'x'))
            ok = fail(s, s->at, "not JSON");
        if (!ok)
            return false;
    }
    return true;
}

/* The first key that occurs twice in one object, or NULL. */
static const char *
duplicate_key(const cJSON *node)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    const cJSON *child;

    cJSON_ArrayForEach(child, node)
    {
        if (cJSON_IsObject(node) && !g_hash_table_add(seen, child->string))
            return child->string;
        const char *below = child->child ? duplicate_key(child) : NULL;
        if (below)
            return below;
    }
    return NULL;
}

cJSON *
moe_json_parse(const char *path, const char *text, size_t length, moe_diag *diag)
{
    path = moe_diag_intern(diag, path);
    scanner s = {text, length, 0, path, diag};
    const char *end = NULL;

    if (length > MAX_BYTES) {
        moe_diag_error(diag, (moe_loc){.file = path}, "more than 4 MiB");
        return NULL;
    }
    moe_diag_source(diag, path, text, length);
    if (!g_utf8_validate_len(text, length, &end)) {
        fail(&s, (size_t)(end - text), "not UTF-8");
        return NULL;
    }
    if (!scan(&s))
        return NULL;
    g_autoptr(cJSON) root = cJSON_ParseWithLengthOpts(text, length, &end, false);
    size_t at = end ? (size_t)(end - text) : 0;
    if (!root) {
        fail(&s, at, "not JSON");
        return NULL;
    }
    while (at < length && g_ascii_isspace(text[at]))
        at++;
    if (at < length) {
        fail(&s, at, "text after the end of the document");
        return NULL;
    }
    const char *twice = duplicate_key(root);
    if (twice) {
        moe_diag_error(diag, (moe_loc){.file = path}, "key %s: written twice in one object", twice);
        return NULL;
    }
    return g_steal_pointer(&root);
}

cJSON *
moe_json_load(const char *path, moe_diag *diag, GError **error)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) why = NULL;

    if (!g_file_get_contents(path, &text, &length, &why)) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "%s", why->message);
        return NULL;
    }
    return moe_json_parse(path, text, length, diag);
}
