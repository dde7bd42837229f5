#include "sim/base/diag.h"
#include "sim/base/text.h"

#include <stdarg.h>
#include <string.h>

enum {
    DIAG_SHOWN = 20,   /* messages of one severity that are rendered */
    DIAG_KEPT = 10000, /* messages that are kept for sorting; more are only counted */
};

typedef struct diag_message {
    moe_loc loc;
    char *text;
    bool warning;
    unsigned order;
} diag_message;

struct moe_diag {
    GArray *messages;     /* diag_message */
    GHashTable *seen;     /* place and text of each message */
    GHashTable *interned; /* text -> itself */
    GHashTable *sources;  /* interned file -> GBytes */
    unsigned calls[2];    /* errors, warnings: all that were reported */
    unsigned distinct[2]; /* of these, without repetitions */
    bool misuse;
};

static void
diag_clear_message(gpointer data)
{
    g_free(((diag_message *)data)->text);
}

moe_diag *
moe_diag_new(void)
{
    moe_diag *diag = g_new0(moe_diag, 1);
    diag->messages = g_array_new(FALSE, FALSE, sizeof(diag_message));
    g_array_set_clear_func(diag->messages, diag_clear_message);
    diag->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    diag->interned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    diag->sources =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_bytes_unref);
    return diag;
}

void
moe_diag_free(moe_diag *diag)
{
    if (!diag)
        return;
    g_array_unref(diag->messages);
    g_hash_table_unref(diag->seen);
    g_hash_table_unref(diag->sources);
    g_hash_table_unref(diag->interned);
    g_free(diag);
}

const char *
moe_diag_intern(moe_diag *diag, const char *text)
{
    const char *known = g_hash_table_lookup(diag->interned, text);
    if (known)
        return known;
    char *copy = g_strdup(text);
    g_hash_table_add(diag->interned, copy);
    return copy;
}

void
moe_diag_source(moe_diag *diag, const char *file, const char *text, size_t length)
{
    const char *key = moe_diag_intern(diag, file);
    g_hash_table_insert(diag->sources, (gpointer)(uintptr_t)key, g_bytes_new(text, length));
}

static void
diag_add(moe_diag *diag, bool warning, moe_loc loc, const char *fmt, va_list args)
{
    g_autofree char *raw = g_strdup_vprintf(fmt, args);
    g_autofree char *text = moe_text_visible(raw, strlen(raw));
    if (loc.file)
        loc.file = moe_diag_intern(diag, loc.file);
    char *key = g_strdup_printf("%s:%d:%d:%d:%s", loc.file ? loc.file : "", loc.line, loc.column,
                                warning, text);
    diag->calls[warning]++;
    if (g_hash_table_contains(diag->seen, key)) {
        g_free(key);
        return;
    }
    diag->distinct[warning]++;
    if (diag->messages->len >= DIAG_KEPT) {
        g_free(key);
        return;
    }
    g_hash_table_add(diag->seen, key);
    diag_message message = {loc, g_steal_pointer(&text), warning, diag->messages->len};
    g_array_append_val(diag->messages, message);
}

void
moe_diag_error(moe_diag *diag, moe_loc loc, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_add(diag, false, loc, fmt, args);
    va_end(args);
}

void
moe_diag_warning(moe_diag *diag, moe_loc loc, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    diag_add(diag, true, loc, fmt, args);
    va_end(args);
}

void
moe_diag_append(moe_diag *diag, const moe_diag *other)
{
    for (guint i = 0; i < other->messages->len; i++) {
        const diag_message *message = &g_array_index(other->messages, diag_message, i);
        if (message->warning)
            moe_diag_warning(diag, message->loc, "%s", message->text);
        else
            moe_diag_error(diag, message->loc, "%s", message->text);
    }
}

void
moe_diag_misused(moe_diag *diag)
{
    diag->misuse = true;
}

bool
moe_diag_is_misuse(const moe_diag *diag)
{
    return diag->misuse;
}

unsigned
moe_diag_errors(const moe_diag *diag)
{
    return diag->calls[false];
}

char *
moe_diag_first(const moe_diag *diag)
{
    for (guint i = 0; i < diag->messages->len; i++) {
        const diag_message *message = &g_array_index(diag->messages, diag_message, i);
        if (!message->warning)
            return g_strdup(message->text);
    }
    return g_strdup("");
}

unsigned
moe_diag_warnings(const moe_diag *diag)
{
    return diag->calls[true];
}

static int
diag_compare(gconstpointer left, gconstpointer right)
{
    const diag_message *a = *(const diag_message *const *)left;
    const diag_message *b = *(const diag_message *const *)right;
    int by_file = g_strcmp0(a->loc.file, b->loc.file);
    if (by_file)
        return by_file;
    if (a->loc.line != b->loc.line)
        return a->loc.line < b->loc.line ? -1 : 1;
    if (a->loc.column != b->loc.column)
        return a->loc.column < b->loc.column ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void
diag_render_message(const moe_diag *diag, const diag_message *message, GString *out)
{
    const moe_loc *loc = &message->loc;
    if (loc->file) {
        g_autofree char *file = moe_text_visible(loc->file, strlen(loc->file));
        g_string_append(out, file);
        if (loc->line > 0)
            g_string_append_printf(out, ":%d", loc->line);
        if (loc->line > 0 && loc->column > 0)
            g_string_append_printf(out, ":%d", loc->column);
        g_string_append(out, ": ");
    }
    g_string_append(out, message->warning ? "warning: " : "error: ");
    g_string_append(out, message->text);
    g_string_append_c(out, '\n');
    GBytes *source = loc->file ? g_hash_table_lookup(diag->sources, loc->file) : NULL;
    if (!source || loc->line <= 0)
        return;
    size_t size;
    const char *text = g_bytes_get_data(source, &size);
    moe_text_excerpt(text, size, loc, out);
}

char *
moe_diag_render(const moe_diag *diag)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    for (unsigned i = 0; i < diag->messages->len; i++)
        g_ptr_array_add(sorted, &g_array_index(diag->messages, diag_message, i));
    g_ptr_array_sort(sorted, diag_compare);
    GString *out = g_string_new(NULL);
    unsigned shown[2] = {0, 0};
    for (unsigned i = 0; i < sorted->len; i++) {
        const diag_message *message = g_ptr_array_index(sorted, i);
        if (shown[message->warning] == DIAG_SHOWN)
            continue;
        shown[message->warning]++;
        diag_render_message(diag, message, out);
    }
    if (diag->distinct[false] > shown[false])
        g_string_append_printf(out, "and %u more\n", diag->distinct[false] - shown[false]);
    if (diag->distinct[true] > shown[true])
        g_string_append_printf(out, "and %u more warnings\n", diag->distinct[true] - shown[true]);
    return g_string_free(out, FALSE);
}
