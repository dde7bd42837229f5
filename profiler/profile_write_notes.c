/* Losses, diagnostics and facts: summed while rows are written, put down at the end in an order
 * that depends on nothing but them. */
#include "profiler/profile_write_private.h"

#include <stdarg.h>
#include <string.h>

void
moe_profile_meta(moe_profile_writer *w, const char *name, const char *value)
{
    if (value && !g_hash_table_contains(w->meta, name))
        g_hash_table_insert(w->meta, g_utf8_make_valid(name, -1), g_utf8_make_valid(value, -1));
}

const char *
moe_profile_meta_value(const moe_profile_writer *w, const char *name)
{
    return g_hash_table_lookup(w->meta, name);
}

void
moe_profile_loss(moe_profile_writer *w, int64_t pid, const char *source, const char *what,
                 uint64_t n)
{
    if (n == 0)
        return;
    char *key = g_strdup_printf("%" G_GINT64_FORMAT "\x1f%s\x1f%s", pid, source, what);
    uint64_t *sum = g_hash_table_lookup(w->losses, key);
    if (sum) {
        *sum = n > (uint64_t)INT64_MAX - *sum ? (uint64_t)INT64_MAX : *sum + n;
        g_free(key);
        return;
    }
    sum = g_new(uint64_t, 1);
    *sum = MIN(n, (uint64_t)INT64_MAX);
    g_hash_table_insert(w->losses, key, sum);
}

void
moe_profile_note_as(moe_profile_writer *w, int64_t pid, int64_t time_ns,
                    moe_profile_severity severity, const char *code, uint64_t n, const char *text)
{
    enum { MOST = 10000 }; /* different ones: a hostile log makes no more */
    const moe_profile_code *row = moe_profile_code_find(code);
    g_autofree char *valid = g_utf8_make_valid(text ? text : row ? row->says : code, -1);
    char *key = g_strdup_printf("%" G_GINT64_FORMAT "\x1f%s\x1f%s", pid, code, valid);
    profile_note *note = g_hash_table_lookup(w->note_keys, key);
    if (note || w->notes->len >= MOST) {
        g_free(key);
        if (note)
            note->n = n > (uint64_t)INT64_MAX - note->n ? (uint64_t)INT64_MAX : note->n + n;
        return;
    }
    note = g_new(profile_note, 1);
    *note = (profile_note){.pid = pid,
                           .time_ns = time_ns,
                           .severity = severity,
                           .code = g_utf8_make_valid(code, -1),
                           .text = g_steal_pointer(&valid),
                           .n = MIN(n, (uint64_t)INT64_MAX)};
    g_ptr_array_add(w->notes, note);
    g_hash_table_insert(w->note_keys, key, note);
}

void
moe_profile_note(moe_profile_writer *w, int64_t pid, int64_t time_ns, const char *code, uint64_t n,
                 const char *text, ...)
{
    const moe_profile_code *row = moe_profile_code_find(code);
    g_autofree char *said = NULL;
    moe_assert(row, "no diagnostic '%s'", code);
    if (text) {
        va_list args;
        va_start(args, text);
        said = g_strdup_vprintf(text, args);
        va_end(args);
    }
    moe_profile_note_as(w, pid, time_ns, row->severity, code, n, said);
}

bool
moe_profile_noted(const moe_profile_writer *w, int64_t pid, const char *code)
{
    for (guint i = 0; i < w->notes->len; i++) {
        const profile_note *note = w->notes->pdata[i];
        if (note->pid == pid && strcmp(note->code, code) == 0)
            return true;
    }
    return false;
}

/* ---- writing ---- */

static int
note_by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a table, sorted; borrowed. */
static GPtrArray *
note_keys(GHashTable *table)
{
    GPtrArray *keys = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(keys, key);
    g_ptr_array_sort(keys, note_by_text);
    return keys;
}

static void
note_write_losses(moe_profile_writer *w)
{
    g_autoptr(GPtrArray) keys = note_keys(w->losses);
    for (guint i = 0; i < keys->len; i++) {
        const uint64_t *n = g_hash_table_lookup(w->losses, keys->pdata[i]);
        g_auto(GStrv) parts = g_strsplit(keys->pdata[i], "\x1f", 3);
        g_autofree char *source = g_utf8_make_valid(parts[1], -1);
        g_autofree char *what = g_utf8_make_valid(parts[2], -1);
        moe_profile_row(w, INSERT_LOSS, "itti", g_ascii_strtoll(parts[0], NULL, 10), source, what,
                        (int64_t)*n);
        bool records = strcmp(what, "unread_bytes") != 0; /* bytes beside them say how much */
        if (records && __builtin_add_overflow(w->summary.lost, *n, &w->summary.lost))
            w->summary.lost = UINT64_MAX;
    }
}

void
moe_profile_write_notes(moe_profile_writer *w)
{
    g_autoptr(GPtrArray) names = note_keys(w->meta);
    for (guint i = 0; i < names->len; i++)
        moe_profile_row(w, INSERT_META, "tt", (const char *)names->pdata[i],
                        (const char *)g_hash_table_lookup(w->meta, names->pdata[i]));
    note_write_losses(w);
    for (guint i = 0; i < w->notes->len; i++) {
        const profile_note *note = w->notes->pdata[i];
        w->summary.diagnostics[note->severity]++;
        moe_profile_row(w, INSERT_DIAGNOSTIC, "iittti", note->pid, note->time_ns,
                        moe_profile_severity_names[note->severity], note->code, note->text,
                        (int64_t)note->n);
    }
}
