#include "sim/cli/selection.h"

#include "sim/base/error.h"
#include "sim/base/units.h"

#include <errno.h>
#include <string.h>

/* "7" or "A..B", either end left out. */
static void
mark_range(const moe_routing *routing, moe_loc loc, const char *text, uint8_t *wanted,
           moe_diag *diag)
{
    int64_t from = 0, to = routing->n_sequences;
    g_auto(GStrv) ends = g_strsplit(text, "..", 2);
    bool range = g_strv_length(ends) == 2;
    bool ok =
        g_strv_length(ends) > 0 && (range && !*ends[0] ? true : moe_parse_int(ends[0], &from));
    if (ok && range && *ends[1])
        ok = moe_parse_int(ends[1], &to);
    else if (ok && !range)
        to = from + 1;
    if (!ok) {
        moe_diag_error(diag, loc, "wants numbers and ranges such as 0..5,7,9..12, not '%s'", text);
        moe_diag_misused(diag);
        return;
    }
    if (from < 0 || to > routing->n_sequences || from >= to) {
        moe_diag_error(diag, loc, "%s: the trace has sequences 0..%u (the end is not included)",
                       text, routing->n_sequences);
        return;
    }
    memset(wanted + from, 1, (size_t)(to - from));
}

static void
mark_ranges(const moe_routing *routing, const moe_selection *selection, uint8_t *wanted,
            moe_diag *diag)
{
    moe_loc loc = {.file = selection->option ? selection->option : "--sequences"};
    g_auto(GStrv) parts = g_strsplit(selection->sequences, ",", -1);
    if (!parts[0])
        mark_range(routing, loc, "", wanted, diag);
    for (size_t i = 0; parts[i]; i++)
        mark_range(routing, loc, parts[i], wanted, diag);
}

/* ---- --select ---- */

struct numbers {
    const moe_routing *routing;
    GHashTable *index_of; /* recorded number -> index + 1 */
    uint8_t *wanted;
    moe_diag *diag;
    const char *file; /* interned */
    unsigned errors;
};

static void
mark_number(struct numbers *numbers, const char *line, int line_number, const char *from,
            const char *to)
{
    g_autofree char *text = g_strndup(from, (gsize)(to - from));
    moe_loc loc = {.file = numbers->file, .line = line_number, .column = (int)(from - line + 1)};
    int64_t number;
    gpointer found = NULL;
    if (!moe_parse_int(text, &number) || number < 0 || number >= MOE_NONE) {
        moe_diag_error(numbers->diag, loc, "wants numbers of sequences, not '%.40s'", text);
        numbers->errors++;
        return;
    }
    found = g_hash_table_lookup(numbers->index_of, GUINT_TO_POINTER((guint)number));
    if (!found) {
        moe_diag_error(numbers->diag, loc, "the trace has no sequence %s", text);
        numbers->errors++;
        return;
    }
    numbers->wanted[GPOINTER_TO_UINT(found) - 1] = 1;
}

/* Numbers apart by spaces or commas; '#' begins a comment. */
static void
mark_line(struct numbers *numbers, const char *line, int line_number)
{
    static const char apart[] = " \t\r,";
    for (const char *at = line; *(at += strspn(at, apart)) && *at != '#';) {
        const char *end = at + strcspn(at, " \t\r,#");
        mark_number(numbers, line, line_number, at, end);
        at = end;
    }
}

static bool
mark_file(const moe_routing *routing, const char *path, uint8_t *wanted, moe_diag *diag,
          GError **error)
{
    enum { MAX_ERRORS = 20 };
    g_autofree char *text = NULL;
    gsize length;
    if (!g_file_get_contents(path, &text, &length, NULL)) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot be read");
        return false;
    }
    struct numbers numbers = {
        .routing = routing, .wanted = wanted, .diag = diag, .file = moe_diag_intern(diag, path)};
    numbers.index_of = g_hash_table_new(NULL, NULL);
    for (uint32_t s = 0; s < routing->n_sequences; s++)
        g_hash_table_insert(numbers.index_of, GUINT_TO_POINTER(routing->sequence_ids[s]),
                            GUINT_TO_POINTER(s + 1));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    if (strlen(text) != length)
        moe_diag_error(diag, (moe_loc){.file = numbers.file}, "is no text: it has a NUL byte");
    for (int i = 0; lines[i] && numbers.errors < MAX_ERRORS; i++)
        mark_line(&numbers, lines[i], i + 1);
    g_hash_table_unref(numbers.index_of);
    return true;
}

GArray *
moe_selection_read(const moe_routing *routing, const moe_selection *selection, moe_diag *diag,
                   GError **error)
{
    const char *sequences = selection->sequences, *select = selection->select;
    unsigned before = moe_diag_errors(diag);
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_autofree uint8_t *ranged = g_new0(uint8_t, routing->n_sequences + 1);
    g_autofree uint8_t *listed = g_new0(uint8_t, routing->n_sequences + 1);
    if (sequences)
        mark_ranges(routing, selection, ranged, diag);
    if (select && !mark_file(routing, select, listed, diag, error))
        return NULL;
    for (uint32_t s = 0; s < routing->n_sequences; s++)
        if ((!sequences || ranged[s]) && (!select || listed[s]))
            g_array_append_val(indices, s);
    if (!indices->len && moe_diag_errors(diag) == before)
        moe_diag_error(diag,
                       (moe_loc){.file = select ? moe_diag_intern(diag, select) : routing->path},
                       "no sequence is selected");
    return moe_diag_errors(diag) == before ? g_steal_pointer(&indices) : NULL;
}
