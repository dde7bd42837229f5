/* Token ids in lines: of JSON, or of numbers. What the first line begins with says which. */
#include "profiler/tokens_private.h"

#include "traces/json_scan.h"
#include "traces/text_lines.h"

#include <string.h>

enum { LINES_MAX_LINE = 256 << 20, LINES_MAX_ERRORS = 20 };

typedef struct lines_reader {
    moe_tokens *tokens;
    moe_text_lines lines;
    uint32_t n; /* sequences of this file */
    unsigned errors;
    moe_diag *diag;
} lines_reader;

static moe_loc
lines_loc(const lines_reader *r)
{
    return (moe_loc){.file = r->lines.file, .line = (int)r->lines.line};
}

/* ---- JSON ---- */

static bool
json_ids(moe_scan *scan, GArray *ids)
{
    uint64_t id;
    if (!moe_scan_take(scan, '['))
        return false;
    if (moe_scan_maybe(scan, ']'))
        return true;
    do {
        const char *at = scan->at;
        if (!moe_scan_whole(scan, &id))
            return false;
        if (id >= MOE_NONE || ids->len == MOE_NONE - 1) {
            scan->at = at;
            return moe_scan_fail(scan, "no token id can be so large");
        }
        uint32_t narrow = (uint32_t)id;
        g_array_append_val(ids, narrow);
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, ']');
}

/* What a line may say, each once. */
typedef struct json_record {
    GArray *ids;
    uint64_t prompt; /* 0: all of them */
    const char *domain;
    bool has_ids, has_prompt;
} json_record;

static bool
json_member(moe_scan *scan, json_record *record)
{
    const char *key = moe_scan_text(scan);
    if (!key || !moe_scan_take(scan, ':'))
        return false;
    if (strcmp(key, "ids") == 0 || strcmp(key, "input_ids") == 0) {
        if (record->has_ids)
            return moe_scan_fail(scan, "ids are there twice");
        record->has_ids = true;
        return json_ids(scan, record->ids);
    }
    if (strcmp(key, "domain") == 0) {
        if (record->domain)
            return moe_scan_fail(scan, "'domain' is there twice");
        record->domain = moe_scan_text(scan);
        return record->domain != NULL;
    }
    if (strcmp(key, "prompt") == 0) {
        if (record->has_prompt)
            return moe_scan_fail(scan, "'prompt' is there twice");
        record->has_prompt = true;
        return moe_scan_whole(scan, &record->prompt) &&
               (record->prompt > 0 || moe_scan_fail(scan, "'prompt' wants at least one token"));
    }
    return moe_scan_fail(scan, "wants one of ids, domain, prompt");
}

static bool
json_object(moe_scan *scan, json_record *record)
{
    bool ok = moe_scan_take(scan, '{');
    do
        ok = ok && json_member(scan, record);
    while (ok && moe_scan_maybe(scan, ','));
    return ok && moe_scan_take(scan, '}') && (record->has_ids || moe_scan_fail(scan, "has no ids"));
}

static bool
json_line(lines_reader *r)
{
    const char *text = r->lines.text;
    g_autofree char *store = g_malloc(r->lines.length + 1);
    moe_scan scan = {.begin = text, .at = text, .end = text + r->lines.length, .store = store};
    json_record record = {.ids = g_array_new(FALSE, FALSE, sizeof(uint32_t))};
    bool list = moe_scan_peek(&scan) == '[';
    record.has_ids = list;
    bool ok =
        (list ? json_ids(&scan, record.ids) : json_object(&scan, &record)) && moe_scan_end(&scan);
    if (!ok) {
        g_array_unref(record.ids);
        return moe_text_lines_fail(&r->lines, scan.at, "%s", scan.why);
    }
    uint32_t domain = record.domain ? moe_tokens_domain(r->tokens, record.domain) : MOE_NONE;
    if (record.domain && domain == MOE_NONE) {
        g_array_unref(record.ids);
        return moe_text_lines_fail(&r->lines, NULL, "more than %u domains", MOE_TOKENS_MAX_DOMAINS);
    }
    uint64_t prompt = record.has_prompt ? record.prompt : record.ids->len;
    return moe_tokens_add(r->tokens, record.ids, prompt, domain, lines_loc(r), r->n, r->diag);
}

/* ---- numbers ---- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool
number_line(lines_reader *r)
{
    const char *at = r->lines.text, *end = at + r->lines.length;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (;;) {
        uint64_t id = 0;
        while (at < end && is_blank(*at))
            at++;
        const char *first = at;
        for (; at < end && *at >= '0' && *at <= '9' && id < MOE_NONE; at++)
            id = id * 10 + (uint64_t)(*at - '0');
        if (first == end)
            break;
        if (id >= MOE_NONE)
            return moe_text_lines_fail(&r->lines, first, "no token id can be so large");
        if (at == first || (at < end && !is_blank(*at)))
            return moe_text_lines_fail(&r->lines, at,
                                       "wants token ids: whole numbers, apart by blanks or commas");
        uint32_t narrow = (uint32_t)id;
        g_array_append_val(ids, narrow);
    }
    guint n = ids->len;
    return moe_tokens_add(r->tokens, g_steal_pointer(&ids), n, MOE_NONE, lines_loc(r), r->n,
                          r->diag);
}

/* ---- the whole ---- */

static bool
begins_as_json(const moe_text_lines *lines)
{
    size_t i = 0;
    while (i < lines->length && is_blank(lines->text[i]))
        i++;
    return i < lines->length && (lines->text[i] == '{' || lines->text[i] == '[');
}

/* What is neither is said once, and not line by line. */
static bool
lines_unknown(lines_reader *r)
{
    moe_text_lines_fail(&r->lines, NULL,
                        "no token ids: wants lines of JSON such as {\"ids\": [464, 318]}, lines of "
                        "ids, an npy file, a trace with token ids, or a file of 32-bit ids called "
                        "NAME.u32");
    return false;
}

static bool
lines_read(lines_reader *r, GError **error)
{
    bool json = false;
    for (;;) {
        moe_text_step step = moe_text_lines_next(&r->lines, error);
        if (step == MOE_TEXT_FAILED)
            return false;
        if (step == MOE_TEXT_END)
            break;
        if (r->lines.line == 1) {
            json = begins_as_json(&r->lines);
            size_t blanks = strspn(r->lines.text, " \t,");
            if (!json && !g_ascii_isdigit(r->lines.text[blanks]))
                return lines_unknown(r);
        }
        r->errors += !(json ? json_line(r) : number_line(r));
        if (r->errors == LINES_MAX_ERRORS)
            return false;
        r->n++;
    }
    if (r->n == 0)
        moe_diag_error(r->diag, (moe_loc){.file = r->lines.file}, "is empty: there is no token");
    return r->n > 0 && r->errors == 0;
}

/* Takes the source. */
static bool
lines_from(moe_tokens *tokens, moe_text_source *source, const char *name, moe_diag *diag,
           GError **error)
{
    lines_reader r = {.tokens = tokens, .diag = diag};
    g_ptr_array_add(tokens->paths, g_strdup(name));
    moe_text_lines_init(&r.lines, source, name, LINES_MAX_LINE, diag);
    bool ok = lines_read(&r, error);
    moe_text_lines_clear(&r.lines);
    return ok;
}

bool
moe_tokens_read_text(moe_tokens *tokens, const char *name, const char *text, size_t length,
                     moe_diag *diag)
{
    return lines_from(tokens, moe_text_source_memory(name, text, length), name, diag, NULL);
}

bool
moe_tokens_lines(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error)
{
    moe_text_source *source = moe_text_source_open(path, error);
    return source && lines_from(tokens, source, path, diag, error);
}
