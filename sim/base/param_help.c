#include "sim/base/param_internal.h"

#include <string.h>

static void
help_line(GString *out, const char *what, const char *text)
{
    if (text && *text)
        g_string_append_printf(out, "  %-9s %s\n", what, text);
}

static const char *
help_forms(const moe_param *row)
{
    if (row->type == MOE_PARAM_AMOUNT)
        return "a size such as 24GiB, a share such as 25%, \"12 slots\", or rest";
    return moe_param_wants(row);
}

static void
help_params(const moe_variant *variant, const char *indent, GString *out)
{
    for (size_t i = 0; i < variant->n_rows; i++) {
        const moe_param *row = &variant->rows[i];
        g_autofree char *range = moe_param_range_text(row);
        g_string_append_printf(out, "%s%s (%s", indent, row->key, moe_param_type_name(row->type));
        if (range)
            g_string_append_printf(out, ", %s", range);
        if (row->fallback)
            g_string_append_printf(out, ", default %s", row->fallback);
        g_string_append_printf(out, "%s): %s\n",
                               row->flags & MOE_PARAM_REQUIRED ? ", required" : "", row->help);
    }
}

static void help_section(const moe_param_scope *scope, const char *section, GString *out);

/* `identity`: of the choice or list that the row belongs to. */
static void
help_row(const moe_param_scope *scope, const moe_param *row, bool identity, GString *out)
{
    bool names_only = row->type == MOE_PARAM_ENUM || row->type == MOE_PARAM_CHOICE;
    g_autofree char *range = moe_param_range_text(row);
    g_string_append_printf(out, "%s%s\n", scope->path, moe_param_name(scope, row));
    g_string_append_printf(out, "  %s\n", row->help);
    help_line(out, "wants", row->type == MOE_PARAM_ENUM ? NULL : help_forms(row));
    if (row->type == MOE_PARAM_ENUM) {
        g_autoptr(GPtrArray) names = moe_param_names(row);
        g_ptr_array_add(names, NULL);
        g_autofree char *list = g_strjoinv(", ", (char **)names->pdata);
        help_line(out, "one of", list);
    }
    help_line(out, "unit", names_only ? NULL : row->unit);
    help_line(out, "range", range);
    bool required = row->flags & MOE_PARAM_REQUIRED;
    help_line(out, "default", row->fallback ? row->fallback : required ? "none, required" : "none");
    help_line(out, "identity", identity || row->flags & MOE_PARAM_IDENTITY ? "yes" : "no");
    if (row->flags & MOE_PARAM_SOURCED)
        help_line(out, "or", "{value, basis, source, note}");
    for (size_t i = 0; i < row->n_variants; i++) {
        g_string_append_printf(out, "  %s: %s\n", row->variants[i]->name, row->variants[i]->help);
        help_params(row->variants[i], "      ", out);
    }
    if (row->type == MOE_PARAM_LIST) {
        moe_param_scope item = moe_param_scope_item(scope, row, 0);
        help_section(&item, "", out);
    }
}

/* All keys of a section, one line each. */
static void
help_section(const moe_param_scope *scope, const char *section, GString *out)
{
    size_t length = strlen(section), width = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < scope->n_rows; i++) {
            const moe_param *row = &scope->rows[i];
            const char *name = moe_param_name(scope, row);
            if (!name || strncmp(name, section, length) != 0 || (length && name[length] != '.'))
                continue;
            width = MAX(width, strlen(name));
            if (pass == 1)
                g_string_append_printf(out, "%s%-*s  %s\n", scope->path, (int)width, name,
                                       row->help);
        }
    }
}

static bool help_key(const moe_param_scope *scope, const char *key, bool identity, GString *out);

/* "0.capacity", "*.capacity" or "capacity" behind a list's name. */
static bool
help_list(const moe_param_scope *scope, const moe_param *list, const char *rest, bool identity,
          GString *out)
{
    moe_param_scope item = moe_param_scope_item(scope, list, 0);
    size_t n = *rest == '*' ? 1 : strspn(rest, "0123456789");
    if (n > 0 && (rest[n] == '.' || !rest[n]))
        rest += n + (rest[n] == '.');
    if (!*rest) {
        help_section(&item, "", out);
        return true;
    }
    return help_key(&item, rest, identity || list->flags & MOE_PARAM_IDENTITY, out);
}

/* A variant's name, or a parameter of one or more of the variants. */
static bool
help_choice(const moe_param_scope *scope, const moe_param *choice, const char *rest, bool identity,
            GString *out)
{
    identity = identity || choice->flags & MOE_PARAM_IDENTITY;
    bool found = false;
    for (size_t i = 0; i < choice->n_variants; i++) {
        const moe_variant *variant = choice->variants[i];
        moe_param_scope inner = moe_param_scope_variant(scope, choice, variant, NULL);
        g_autofree char *kind = moe_param_short(moe_param_name(scope, choice));
        if (strcmp(variant->name, rest) == 0) {
            g_string_append_printf(out, "%s %s\n  %s\n", kind, variant->name, variant->help);
            help_params(variant, "  ", out);
            return true;
        }
        g_autoptr(GString) text = g_string_new(NULL);
        if (!help_key(&inner, rest, identity, text))
            continue;
        g_string_append_printf(out, "%sof %s '%s': %s", found ? "\n" : "", kind, variant->name,
                               text->str);
        found = true;
    }
    return found;
}

static bool
help_below(const moe_param_scope *scope, const char *key, bool identity, GString *out)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = moe_param_name(scope, row);
        if (!name || (row->type != MOE_PARAM_LIST && row->type != MOE_PARAM_CHOICE))
            continue;
        size_t stem = row->type == MOE_PARAM_CHOICE ? moe_param_stem(name) : strlen(name);
        if (strncmp(key, name, stem) != 0 || (stem > 0 && key[stem] != '.'))
            continue;
        const char *rest = stem > 0 ? key + stem + 1 : key;
        if (row->type == MOE_PARAM_LIST ? help_list(scope, row, rest, identity, out)
                                        : help_choice(scope, row, rest, identity, out))
            return true;
    }
    return false;
}

static bool
help_key(const moe_param_scope *scope, const char *key, bool identity, GString *out)
{
    const moe_param *row = moe_param_row(scope, key);
    if (row) {
        help_row(scope, row, identity, out);
        return true;
    }
    if (help_below(scope, key, identity, out))
        return true;
    if (!moe_param_is_section(scope, key))
        return false;
    help_section(scope, key, out);
    return true;
}

static void
help_collect(const moe_param_scope *scope, GPtrArray *keys)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = moe_param_name(scope, row);
        if (!name)
            continue;
        g_ptr_array_add(keys, g_strconcat(scope->path, name, NULL));
        size_t stem = row->type == MOE_PARAM_CHOICE ? moe_param_stem(name) : 0;
        if (stem > 0 && name[stem])
            g_ptr_array_add(keys, g_strndup(name, stem));
        if (row->type == MOE_PARAM_LIST) {
            moe_param_scope item = moe_param_scope_item(scope, row, 0);
            help_collect(&item, keys);
        }
        for (size_t j = 0; j < row->n_variants; j++) {
            moe_param_scope inner = moe_param_scope_variant(scope, row, row->variants[j], NULL);
            help_collect(&inner, keys);
        }
    }
}

char *
moe_param_help(const moe_param_table *table, const char *key, const char **closest)
{
    moe_param_scope scope = moe_param_scope_table(table, NULL);
    GString *out = g_string_new(NULL);
    if (closest)
        *closest = NULL;
    if (*key && help_key(&scope, key, false, out))
        return g_string_free(out, FALSE);
    g_string_free(out, TRUE);
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    help_collect(&scope, keys);
    const char *near = moe_suggest(key, (const char *const *)keys->pdata, keys->len);
    for (unsigned i = 0; !near && i < keys->len; i++) {
        g_autofree char *last = moe_param_short(g_ptr_array_index(keys, i));
        if (strcmp(last, key) == 0)
            near = g_ptr_array_index(keys, i);
    }
    if (closest && near)
        *closest = g_intern_string(near);
    return NULL;
}

static void
markdown_cell(GString *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *text == '\n' ? ' ' : *text);
    }
    g_string_append(out, " | ");
}

static void
markdown_row(const moe_param_scope *scope, const moe_param *row, const char *variant, GString *out)
{
    g_autofree char *range = moe_param_range_text(row);
    g_autofree char *key =
        g_strdup_printf("`%s%s`%s%s%s", scope->path, moe_param_name(scope, row),
                        variant ? " (" : "", variant ? variant : "", variant ? ")" : "");
    g_string_append(out, "| ");
    markdown_cell(out, key);
    markdown_cell(out, moe_param_type_name(row->type));
    markdown_cell(out, row->fallback                     ? row->fallback
                       : row->flags & MOE_PARAM_REQUIRED ? "required"
                                                         : "");
    g_autoptr(GPtrArray) names = NULL;
    if (row->type == MOE_PARAM_ENUM || row->type == MOE_PARAM_CHOICE) {
        names = moe_param_names(row);
        g_ptr_array_add(names, NULL);
        g_free(range);
        range = g_strjoinv(", ", (char **)names->pdata);
    }
    markdown_cell(out, range ? range : "");
    markdown_cell(out, row->help);
    out->str[out->len - 1] = '\n';
}

static void
markdown_scope(const moe_param_scope *scope, const char *variant, GString *out)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        if (!moe_param_name(scope, row))
            continue;
        markdown_row(scope, row, variant, out);
        if (row->type == MOE_PARAM_LIST) {
            moe_param_scope item = moe_param_scope_item(scope, row, 0);
            markdown_scope(&item, variant, out);
        }
        for (size_t j = 0; j < row->n_variants; j++) {
            moe_param_scope inner = moe_param_scope_variant(scope, row, row->variants[j], NULL);
            markdown_scope(&inner, row->variants[j]->name, out);
        }
    }
}

void
moe_param_markdown(const moe_param_table *table, GString *out)
{
    moe_param_scope scope = moe_param_scope_table(table, NULL);
    g_string_append(out, "| Key | Type | Default | Range or names | Meaning |\n"
                         "|---|---|---|---|---|\n");
    markdown_scope(&scope, NULL, out);
}
