#include "sim/base/param_internal.h"
#include "sim/base/text.h"

#include <string.h>

/* Which keys of a variant to show: those of a map that was written, NULL: all that differ. */
typedef const moe_yaml text_filter;

static void text_section(const moe_param_scope *scope, const char *section, text_filter *filter,
                         GString *out);

/* Characters that YAML, or this reader of it, refuses outside of an escape. */
static bool
text_hidden(gunichar c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
           c == 0xFFFE || c == 0xFFFF;
}

/* The text between double quotes; false, with nothing to keep, when it has no need of them. */
static bool
text_quoted(const char *text, GString *out)
{
    size_t length = strlen(text);
    bool need = !length || strpbrk(text, "\"'{}[],&*#!|>%@`:\\") || strchr(" -?", *text) ||
                text[length - 1] == ' ';
    g_string_append_c(out, '"');
    for (size_t at = 0, bytes; at < length; at += bytes) {
        bool ok;
        gunichar c = moe_text_char(text, length, at, &bytes, &ok);
        need = need || text_hidden(c);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (text_hidden(c))
            g_string_append_printf(out, "\\u%04X", (unsigned)c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
    return need;
}

/* A value as a flow scalar: texts in quotes where YAML would read something else. */
static void
text_scalar(const moe_param *row, const char *text, GString *out)
{
    g_autoptr(GString) quoted = g_string_new(NULL);
    bool need = row->type == MOE_PARAM_TEXT && text_quoted(text, quoted);
    g_string_append(out, need ? quoted->str : text);
}

static void
text_separate(GString *out)
{
    char last = out->len ? out->str[out->len - 1] : '{';
    if (last != '{' && last != '[')
        g_string_append(out, ", ");
}

static void
text_list(const moe_param_scope *scope, const moe_param *row, GString *out)
{
    const moe_list *list = moe_param_at(scope, row);
    g_string_append_c(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        moe_param_scope item = moe_param_scope_item(scope, row, i);
        g_string_append(out, i ? ", {" : "{");
        text_section(&item, "", NULL, out);
        g_string_append_c(out, '}');
    }
    g_string_append_c(out, ']');
}

/* name, or {kind: name, parameters…} */
static void
text_choice(const moe_param_scope *scope, const moe_param *row, text_filter *filter, bool params,
            GString *out)
{
    const moe_choice *choice = moe_param_at(scope, row);
    if (!choice->variant)
        return;
    g_autoptr(GString) inside = g_string_new(NULL);
    moe_param_scope inner = moe_param_scope_variant(scope, row, choice->variant, choice->config);
    if (params)
        text_section(&inner, "", filter, inside);
    if (inside->len)
        g_string_append_printf(out, "{kind: %s, %s}", choice->variant->name, inside->str);
    else
        g_string_append(out, choice->variant->name);
}

static void
text_value(const moe_param_scope *scope, const moe_param *row, GString *out)
{
    if (row->type == MOE_PARAM_LIST) {
        text_list(scope, row, out);
    } else if (row->type == MOE_PARAM_CHOICE) {
        text_choice(scope, row, NULL, true, out);
    } else {
        g_autofree char *text = moe_param_format(row, moe_param_at(scope, row));
        text_scalar(row, text, out);
    }
}

/* A choice whose section holds other rows, too: all in one map. */
static void
text_choice_section(const moe_param_scope *scope, const moe_param *row, const char *section,
                    GString *out)
{
    const moe_choice *choice = moe_param_at(scope, row);
    if (choice->variant) {
        moe_param_scope inner =
            moe_param_scope_variant(scope, row, choice->variant, choice->config);
        g_string_append_printf(out, "kind: %s", choice->variant->name);
        g_autoptr(GString) inside = g_string_new(NULL);
        text_section(&inner, "", NULL, inside);
        if (inside->len)
            g_string_append_printf(out, ", %s", inside->str);
    }
    g_autoptr(GString) rest = g_string_new(NULL);
    text_section(scope, section, NULL, rest);
    if (rest->len)
        g_string_append_printf(out, "%s%s", choice->variant ? ", " : "", rest->str);
}

static bool
text_differs(const moe_param_scope *scope, const moe_param *row)
{
    g_autofree char *value = moe_param_format(row, moe_param_at(scope, row));
    g_autofree char *fallback = moe_param_format_default(row);
    return strcmp(value, fallback) != 0 || row->flags & MOE_PARAM_REQUIRED;
}

/* What a child that is a choice or a section contributes; "" when all of it is default. */
static char *
text_below(const moe_param_scope *scope, const moe_param_child *child)
{
    g_autofree char *below = g_strdup_printf("%.*s.", (int)child->full_length, child->full);
    g_autoptr(GString) inside = g_string_new(NULL);
    if (!child->row) {
        text_section(scope, below, NULL, inside);
        return inside->len ? g_strdup_printf("{%s}", inside->str) : g_strdup("");
    }
    text_choice_section(scope, child->row, below, inside);
    bool alone = strchr(inside->str, ',') == NULL;
    if (alone && !text_differs(scope, child->row))
        return g_strdup("");
    if (moe_param_stem(child->full) == 0) /* the choice of this very map: "kind: x, y: 1" */
        return g_strdup(inside->str + strlen("kind: "));
    return alone ? moe_param_format(child->row, moe_param_at(scope, child->row))
                 : g_strdup_printf("{%s}", inside->str);
}

static void
text_child(const moe_param_scope *scope, const moe_param_child *child, GString *out)
{
    const moe_param *row = child->row;
    g_autoptr(GString) value = g_string_new(NULL);
    if (!row || row->type == MOE_PARAM_CHOICE) {
        g_autofree char *below = text_below(scope, child);
        g_string_append(value, below);
    } else if (text_differs(scope, row)) {
        text_value(scope, row, value);
    }
    if (!value->len)
        return;
    text_separate(out);
    g_string_append_printf(out, "%.*s: %s", (int)child->length, child->name, value->str);
}

/* The children of a section that differ from their defaults, as they stand in a flow map. */
static void
text_section(const moe_param_scope *scope, const char *section, text_filter *filter, GString *out)
{
    moe_param_child child;
    const moe_param *choice =
        *section ? moe_param_choice_at(scope, section, strlen(section) - 1) : NULL;
    for (size_t i = 0; moe_param_next(scope, section, &i, &child);) {
        g_autofree char *name = g_strndup(child.name, child.length);
        bool own_kind = choice && strcmp(name, "kind") == 0;
        if (!own_kind && (!filter || moe_yaml_get(filter, name)))
            text_child(scope, &child, out);
    }
}

char *
moe_settings_text(const moe_settings *settings, const char *key)
{
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    moe_param_found found;
    if (!moe_param_find(&scope, key, &found) || !found.row)
        return NULL;
    const moe_param *row = found.row;
    if (found.dormant)
        return g_strdup("");
    GString *out = g_string_new(NULL);
    if (row->type == MOE_PARAM_CHOICE) {
        g_autofree char *path =
            g_strconcat(found.scope.path, moe_param_name(&found.scope, row), NULL);
        const moe_param_write *write = moe_settings_written(settings, path);
        bool params = write && write->set && write->node->kind == MOE_YAML_MAP;
        text_choice(&found.scope, row, params ? write->node : NULL, params, out);
    } else if (row->type == MOE_PARAM_LIST) {
        text_list(&found.scope, row, out);
    } else {
        g_autofree char *text = moe_param_format(row, moe_param_at(&found.scope, row));
        g_string_append(out, text);
    }
    return g_string_free(out, FALSE);
}

/* A line end within a value would make two lines of one. */
static void
canonical_line(const char *path, const char *name, const char *value, GString *out)
{
    g_string_append_printf(out, "%s%s=", path, name);
    for (const char *at = value; *at; at++) {
        if (*at == '\n' || *at == '\\')
            g_string_append(out, *at == '\n' ? "\\n" : "\\\\");
        else
            g_string_append_c(out, *at);
    }
    g_string_append_c(out, '\n');
}

/* What is part of a choice or list is part of the identity when that is. */
static void
canonical_scope(const moe_param_scope *scope, bool all, bool inherited, GString *out)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = moe_param_name(scope, row);
        bool identity = inherited || row->flags & MOE_PARAM_IDENTITY;
        if (!name || (!all && !identity))
            continue;
        g_autofree char *value = moe_param_format(row, moe_param_at(scope, row));
        g_autofree char *fallback = moe_param_format_default(row);
        if (all || strcmp(value, fallback) != 0)
            canonical_line(scope->path, name, value, out);
        if (row->type == MOE_PARAM_CHOICE) {
            const moe_choice *choice = moe_param_at(scope, row);
            if (!choice->variant)
                continue;
            moe_param_scope inner =
                moe_param_scope_variant(scope, row, choice->variant, choice->config);
            canonical_scope(&inner, all, identity, out);
        } else if (row->type == MOE_PARAM_LIST) {
            const moe_list *list = moe_param_at(scope, row);
            for (size_t j = 0; j < list->n; j++) {
                moe_param_scope item = moe_param_scope_item(scope, row, j);
                canonical_scope(&item, all, identity, out);
            }
        }
    }
}

void
moe_settings_canonical(const moe_settings *settings, bool all, GString *out)
{
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    canonical_scope(&scope, all, false, out);
}
