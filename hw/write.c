/* A hardware description as the text of a preset. */
#include "hw/kernels_set.h"
#include "hw/set.h"
#include "hw/spec.h"

#include <string.h>

typedef struct writer {
    const moe_param_table *table;
    moe_settings *settings;
    const moe_hw_change *changes;
    size_t n_changes;
    GString *out;
} writer;

/* ---- texts ---- */

static bool
is_plain(const char *text)
{
    if (!g_ascii_isalpha(*text) || !strcmp(text, "true") || !strcmp(text, "false"))
        return false;
    for (; *text; text++)
        if (!g_ascii_isalnum(*text) && !strchr("-_", *text))
            return false;
    return true;
}

/* In double quotes, but for plain words. */
static void
put_text(GString *out, const char *text)
{
    if (is_plain(text)) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (const char *at = text; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 || c == 0xFEFF)
            g_string_append_printf(out, "\\u%04X", (unsigned)c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
}

static void
put_origin(GString *out, const char *what, const char *text)
{
    if (!text || !*text)
        return;
    g_string_append_printf(out, ", %s: ", what);
    put_text(out, text);
}

static void
put_sourced(GString *out, const char *value, const char *basis, const char *source,
            const char *note)
{
    bool said = (basis && *basis) || (source && *source) || (note && *note);
    g_string_append_printf(out, said ? "{value: %s" : "%s", value);
    put_origin(out, "basis", basis);
    put_origin(out, "source", source);
    put_origin(out, "note", note);
    if (said)
        g_string_append_c(out, '}');
}

/* ---- values ---- */

static const moe_hw_change *
change_of(const writer *w, const char *key)
{
    for (size_t i = 0; i < w->n_changes; i++)
        if (!strcmp(w->changes[i].key, key))
            return &w->changes[i];
    return NULL;
}

static const moe_provenance *
origin_of(const writer *w, const char *key)
{
    size_t n = 0;
    const moe_provenance *all = moe_settings_provenance(w->settings, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].key, key))
            return &all[i];
    return NULL;
}

/* Whether a value is what it would be if it were left out. */
static bool
is_default(const writer *w, const moe_param *row, const char *key, const char *value)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_settings) copy = moe_settings_copy(w->settings);
    if (!*value)
        return true;
    if (!row->fallback)
        return false;
    g_autoptr(moe_yaml_doc) doc =
        moe_yaml_parse("default", row->fallback, strlen(row->fallback), diag);
    moe_assert(doc, "default of %s", key);
    moe_settings_set(copy, key, moe_yaml_root(doc), diag);
    g_autofree char *fallback = moe_settings_text(copy, key);
    return !strcmp(fallback, value);
}

/* The value of `key` with its origin; false when it is left out. */
static bool
value_of(const writer *w, const moe_param *row, const char *key, GString *text)
{
    const moe_hw_change *change = change_of(w, key);
    if (change) {
        if (change->value)
            put_sourced(text, change->value, change->basis, change->source, change->note);
        return change->value != NULL;
    }
    const moe_provenance *origin = origin_of(w, key);
    g_autofree char *value = moe_settings_text(w->settings, key);
    if (origin) {
        put_sourced(text, value, origin->basis, origin->source, origin->note);
        return true;
    }
    if (is_default(w, row, key, value) && !(row->flags & MOE_PARAM_REQUIRED))
        return false;
    if (row->type == MOE_PARAM_TEXT)
        put_text(text, value);
    else
        g_string_append(text, value);
    return true;
}

/* ---- the document ---- */

/* The rows of one element of `list`, "peak.bf16" below a line "peak:". */
static void
put_element(const writer *w, const char *list, size_t i)
{
    g_autofree char *prefix = g_strconcat(list, ".*.", NULL);
    g_autofree char *section = g_strdup("");
    const char *lead = "  - ";

    for (size_t r = 0; r < w->table->n_rows; r++) {
        const moe_param *row = &w->table->rows[r];
        if (!g_str_has_prefix(row->key, prefix))
            continue;
        const char *name = row->key + strlen(prefix), *dot = strchr(name, '.');
        g_autofree char *key = g_strdup_printf("%s.%zu.%s", list, i, name);
        g_autofree char *above = dot ? g_strndup(name, (gsize)(dot - name)) : g_strdup("");
        g_autoptr(GString) text = g_string_new(NULL);
        if (!value_of(w, row, key, text))
            continue;
        if (*above && strcmp(above, section))
            g_string_append_printf(w->out, "%s%s:\n", lead, above);
        g_string_append_printf(w->out, "%s%s: %s\n", *above ? "      " : lead, dot ? dot + 1 : name,
                               text->str);
        g_free(g_steal_pointer(&section));
        section = g_steal_pointer(&above);
        lead = "    ";
    }
}

static void
put_list(const writer *w, const char *name, size_t n)
{
    if (n)
        g_string_append_printf(w->out, "%s:\n", name);
    else
        g_string_append_printf(w->out, "%s: []\n", name);
    for (size_t i = 0; i < n; i++)
        put_element(w, name, i);
}

static void
put_heading(const writer *w, const char *name, const char *source)
{
    g_string_append(w->out, "name: ");
    put_text(w->out, name);
    g_string_append(w->out, "\nsource: ");
    put_text(w->out, source);
    g_string_append_c(w->out, '\n');
}

void
moe_kernels_write(const moe_kernels_set *set, const char *name, const char *source,
                  const moe_hw_change *changes, size_t n, GString *out)
{
    const moe_kernels_spec *spec = moe_settings_data(set->settings);
    const writer w = {&moe_kernels_table, set->settings, changes, n, out};

    put_heading(&w, name, source);
    put_list(&w, "gemm", spec->gemm.n);
    put_list(&w, "experts", spec->experts.n);
    put_list(&w, "attention", spec->attention.n);
}

void
moe_hardware_write(const moe_hardware_set *set, const char *name, const char *source,
                   const moe_hw_change *changes, size_t n, GString *out)
{
    const moe_hardware_spec *spec = moe_settings_data(set->settings);
    const writer w = {&moe_hardware_table, set->settings, changes, n, out};

    put_heading(&w, name, source);
    for (size_t r = 0; r < moe_hardware_table.n_rows; r++) {
        const moe_param *row = &moe_hardware_table.rows[r];
        g_autoptr(GString) text = g_string_new(NULL);
        if (strchr(row->key, '*') || row->type == MOE_PARAM_LIST || !strcmp(row->key, "name") ||
            !strcmp(row->key, "source") || !value_of(&w, row, row->key, text))
            continue;
        g_string_append_printf(out, "%s: %s\n", row->key, text->str);
    }
    put_list(&w, "places", spec->places.n);
    put_list(&w, "devices", spec->devices.n);
    put_list(&w, "links", spec->links.n);
    if (spec->network.n)
        put_list(&w, "network", spec->network.n);
    if (spec->engines.n)
        put_list(&w, "engines", spec->engines.n);
}
