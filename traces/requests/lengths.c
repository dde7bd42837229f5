#include "traces/requests/lengths.h"

#include "traces/json_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LENGTHS_SUM_OFF 0.01 /* what the probabilities may sum up to, off 1 */

typedef struct lengths_parser {
    request_lengths *lengths;
    const moe_import_job *job;
    const char *name;
    moe_scan scan;
    GHashTable *unused; /* keys already reported */
} lengths_parser;

/* ---- one distribution ---- */

typedef struct lengths_entry {
    uint32_t tokens;
    double share;
} lengths_entry;

static int
lengths_by_tokens(const void *a, const void *b)
{
    const lengths_entry *x = a, *y = b;
    return x->tokens < y->tokens ? -1 : x->tokens > y->tokens;
}

/* "808: 0.25" */
static bool
lengths_entry_read(moe_scan *scan, lengths_entry *entry)
{
    uint64_t tokens;
    if (!moe_scan_whole(scan, &tokens))
        return false;
    if (tokens > MOE_REQUESTS_MAX_TOKENS)
        return moe_scan_fail(scan, "too many tokens");
    if (!moe_scan_take(scan, ':') || !moe_scan_real(scan, &entry->share))
        return false;
    if (entry->share < 0)
        return moe_scan_fail(scan, "wants a probability");
    entry->tokens = (uint32_t)tokens;
    return true;
}

static const char *
lengths_accumulate(request_distribution *d, lengths_entry *entries, size_t n)
{
    double sum = 0;
    qsort(entries, n, sizeof *entries, lengths_by_tokens);
    d->tokens = g_new(uint32_t, n);
    d->until = g_new(double, n);
    d->n = n;
    for (size_t i = 0; i < n; i++) {
        if (i && entries[i].tokens == entries[i - 1].tokens)
            return "the same number of tokens twice";
        sum += entries[i].share;
        d->tokens[i] = entries[i].tokens;
        d->until[i] = sum;
    }
    return fabs(sum - 1) > LENGTHS_SUM_OFF ? "the probabilities do not sum up to 1" : NULL;
}

/* "{808: 0.25, 874: 0.75}"; nothing for "{}". */
static const char *
lengths_distribution(request_distribution *d, const char *text)
{
    moe_scan scan = {.begin = text, .at = text, .end = text + strlen(text)};
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(lengths_entry));
    if (!moe_scan_take(&scan, '{'))
        return scan.why;
    if (!moe_scan_maybe(&scan, '}')) {
        do {
            lengths_entry entry;
            if (!lengths_entry_read(&scan, &entry))
                return scan.why;
            g_array_append_val(entries, entry);
        } while (moe_scan_maybe(&scan, ','));
        if (!moe_scan_take(&scan, '}'))
            return scan.why;
    }
    if (!moe_scan_end(&scan) || entries->len == 0)
        return scan.why;
    return lengths_accumulate(d, (lengths_entry *)(void *)entries->data, entries->len);
}

static void
lengths_distribution_clear(request_distribution *d)
{
    g_free(d->tokens);
    g_free(d->until);
    *d = (request_distribution){0};
}

/* ---- the file ---- */

/* A message at `at`; false. */
static bool
lengths_fail(const lengths_parser *p, const char *at, const char *what, const char *why)
{
    moe_loc loc = {.file = moe_diag_intern(p->job->diag, p->name), .line = 1, .column = 1};
    for (const char *c = p->scan.begin; c < at; c++) {
        loc.line += *c == '\n';
        loc.column = *c == '\n' ? 1 : loc.column + ((*c & 0xC0) != 0x80);
    }
    moe_diag_error(p->job->diag, loc, "%s%s%s", what, *what ? ": " : "", why);
    return false;
}

/* One member of a window: "input_tokens": "{…}". */
static bool
lengths_member(lengths_parser *p, request_lengths_window *window)
{
    moe_scan *scan = &p->scan;
    const char *key = moe_scan_text(scan);
    if (!key || !moe_scan_take(scan, ':'))
        return false;
    moe_scan_peek(scan);
    const char *at = scan->at, *text = moe_scan_text(scan);
    if (!text)
        return false;
    request_distribution *d = NULL;
    if (strcmp(key, "input_tokens") == 0 || strcmp(key, "text_tokens") == 0)
        d = &window->prompt;
    else if (strcmp(key, "output_tokens") == 0)
        d = &window->output;
    if (!d) {
        if (g_hash_table_add(p->unused, g_strdup(key)))
            moe_import_note(p->job, "%s: '%s' is not used: lengths are those of the text", p->name,
                            key);
        return true;
    }
    const char *why = d->n ? "said twice" : lengths_distribution(d, text);
    return !why || lengths_fail(p, at, key, why);
}

static bool
lengths_members(lengths_parser *p, request_lengths_window *window)
{
    moe_scan *scan = &p->scan;
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return true;
    do
        if (!lengths_member(p, window))
            return false;
    while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

static bool
lengths_second(lengths_parser *p, uint64_t *second)
{
    moe_scan *scan = &p->scan;
    const char *text = moe_scan_text(scan);
    if (!text)
        return false;
    moe_scan number = {.begin = text, .at = text, .end = text + strlen(text)};
    if (!moe_scan_whole(&number, second) || !moe_scan_end(&number))
        return moe_scan_fail(scan, "wants a whole number of seconds as the key of a window");
    return moe_scan_take(scan, ':');
}

static bool
lengths_window(lengths_parser *p)
{
    request_lengths *l = p->lengths;
    request_lengths_window window = {0};
    if (!lengths_second(p, &window.second))
        return false;
    bool ok = lengths_members(p, &window);
    if (ok && l->n && window.second <= l->windows[l->n - 1].second)
        ok = moe_scan_fail(&p->scan, "windows must be in order of time");
    if (ok && window.prompt.n && window.output.n) {
        l->windows = g_renew(request_lengths_window, l->windows, l->n + 1);
        l->windows[l->n++] = window;
        return true;
    }
    lengths_distribution_clear(&window.prompt);
    lengths_distribution_clear(&window.output);
    return ok;
}

static bool
lengths_windows(lengths_parser *p)
{
    moe_scan *scan = &p->scan;
    if (!moe_scan_take(scan, '{'))
        return false;
    do
        if (!lengths_window(p))
            return false;
    while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}') && moe_scan_end(scan);
}

bool
request_lengths_parse(request_lengths *lengths, const moe_import_job *job, const char *name,
                      const char *text, size_t n)
{
    g_autofree char *store = g_malloc(n + 1);
    lengths_parser p = {lengths, job, name, {text, text, text + n, store, NULL}, NULL};
    unsigned before = moe_diag_errors(job->diag);
    p.unused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool ok = lengths_windows(&p);
    if (!ok && moe_diag_errors(job->diag) == before)
        lengths_fail(&p, p.scan.at, "", p.scan.why);
    if (ok && lengths->n == 0)
        ok = lengths_fail(&p, text, "", "no window has both 'input_tokens' and 'output_tokens'");
    g_hash_table_destroy(p.unused);
    return ok;
}

const request_lengths_window *
request_lengths_at(const request_lengths *lengths, uint64_t second)
{
    const request_lengths_window *found = NULL;
    for (size_t i = 0; i < lengths->n && lengths->windows[i].second <= second; i++)
        found = &lengths->windows[i];
    return found;
}

uint32_t
request_distribution_draw(const request_distribution *d, moe_stream *stream)
{
    double at = moe_stream_unit(stream) * d->until[d->n - 1];
    size_t low = 0, high = d->n - 1; /* the first whose sum is above `at` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->until[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return d->tokens[low];
}

void
request_lengths_clear(request_lengths *lengths)
{
    for (size_t i = 0; i < lengths->n; i++) {
        lengths_distribution_clear(&lengths->windows[i].prompt);
        lengths_distribution_clear(&lengths->windows[i].output);
    }
    g_free(lengths->windows);
    *lengths = (request_lengths){0};
}
