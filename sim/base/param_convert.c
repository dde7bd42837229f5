#include "sim/base/param_convert.h"

#include <string.h>

static const char origin_bases[] = "vendor|measured|fitted|derived|literature|secondary|estimate";

static bool
convert_is_empty(const moe_yaml *node)
{
    return node->kind == MOE_YAML_SCALAR && !node->quoted && !*node->text;
}

void
moe_param_wrong_kind(const char *name, const char *wants, const moe_yaml *node, moe_diag *diag)
{
    if (convert_is_empty(node))
        moe_diag_error(diag, node->loc, "'%s' has no value", name);
    else
        moe_diag_error(diag, node->loc, "'%s' wants %s, got %s", name, wants,
                       moe_yaml_kind_name(node->kind));
}

/* "; did you mean 'x'?", or "; one of: x, y, z" when nothing is near; yours. */
static char *
convert_hint(const char *word, const GPtrArray *names, bool list)
{
    const char *near = moe_suggest(word, (const char *const *)names->pdata, names->len);
    if (near)
        return g_strdup_printf("; did you mean '%s'?", near);
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; list && i < names->len; i++)
        g_string_append_printf(text, "%s%s",
                               i ? ", " : "; one of: ", (const char *)g_ptr_array_index(names, i));
    return g_string_free(text, FALSE);
}

void
moe_param_unknown_name(const moe_param *row, const char *name, const moe_yaml *node, moe_diag *diag)
{
    if (convert_is_empty(node)) {
        moe_diag_error(diag, node->loc, "'%s' has no value", name);
        return;
    }
    g_autoptr(GPtrArray) names = moe_param_names(row);
    g_autofree char *hint = convert_hint(node->text, names, true);
    moe_diag_error(diag, node->loc, "unknown %s%s%s '%s'%s", name, row->unit ? " " : "",
                   row->unit ? row->unit : "", node->text, hint);
}

/* Quotes turn a number into a text; units are texts anyway. */
static bool
convert_quoted_number(const moe_param *row, const moe_yaml *node)
{
    return node->quoted && (row->type == MOE_PARAM_INT || row->type == MOE_PARAM_REAL ||
                            row->type == MOE_PARAM_BOOL || row->type == MOE_PARAM_COUNT);
}

bool
moe_param_convert(const moe_param *row, const char *name, const moe_yaml *node,
                  moe_param_value *value, moe_diag *diag)
{
    if (node->kind != MOE_YAML_SCALAR || convert_is_empty(node)) {
        moe_param_wrong_kind(name, moe_param_wants(row), node, diag);
        return false;
    }
    bool ok = moe_param_parse(row, node->text, value);
    if (!ok && row->type == MOE_PARAM_ENUM) {
        moe_param_unknown_name(row, name, node, diag);
        return false;
    }
    bool word = row->type == MOE_PARAM_COUNT && (value->whole == INT64_MAX || value->whole < 0);
    if (!ok || (convert_quoted_number(row, node) && !word)) {
        moe_diag_error(diag, node->loc, "'%s' wants %s%s", name, moe_param_wants(row),
                       ok ? " without quotes" : "");
        return false;
    }
    g_autofree char *range = moe_param_range(row, value);
    if (range)
        moe_diag_error(diag, node->loc, "'%s' %s", name, range);
    return !range;
}

static bool
origin_text(const moe_yaml *key, const moe_yaml *node, const char **out, moe_diag *diag)
{
    if (!moe_yaml_text(node, key->text, out, diag))
        return false;
    if (strcmp(key->text, "basis") != 0)
        return true;
    const moe_param bases = {.type = MOE_PARAM_ENUM, .choices = origin_bases};
    moe_param_value value;
    return moe_param_convert(&bases, "basis", node, &value, diag);
}

const moe_yaml *
moe_param_unwrap(const moe_param *row, const char *name, const moe_yaml *node,
                 moe_param_origin *origin, moe_diag *diag)
{
    static const char *const keys[] = {"value", "basis", "source", "note"};
    const char **texts[] = {NULL, &origin->basis, &origin->source, &origin->note};
    const moe_yaml *value = moe_yaml_get(node, "value");
    for (size_t i = 0; i < node->n; i++) {
        const moe_yaml *key = &node->keys[i];
        size_t which = 0;
        while (which < MOE_COUNT(keys) && strcmp(keys[which], key->text) != 0)
            which++;
        if (which == MOE_COUNT(keys)) {
            const char *near = moe_suggest(key->text, keys, MOE_COUNT(keys));
            moe_diag_error(diag, key->loc, "unknown key '%s'%s%s%s", key->text,
                           near ? "; did you mean '" : "; one of: value, basis, source, note",
                           near ? near : "", near ? "'?" : "");
            return NULL;
        }
        if (which > 0 && !origin_text(key, &node->items[i], texts[which], diag))
            return NULL;
    }
    if (!value)
        moe_diag_error(diag, node->loc, "'%s' wants %s, or a map {value, basis, source, note}",
                       name, moe_param_wants(row));
    return value;
}

static void
unknown_collect(const moe_param_scope *scope, const char *section, GPtrArray *names)
{
    moe_param_child child;
    g_autofree char *prefix = g_strconcat(section, *section ? "." : "", NULL);
    for (size_t i = 0; moe_param_next(scope, prefix, &i, &child);)
        g_ptr_array_add(names, g_strndup(child.name, child.length));
}

/* The only key of the scope, elsewhere, whose last component is `word`; yours, or NULL. */
static char *
unknown_elsewhere(const moe_param_scope *scope, const char *word)
{
    char *found = NULL;
    for (size_t i = 0; i < scope->n_rows; i++) {
        const char *name = moe_param_name(scope, &scope->rows[i]);
        g_autofree char *last = name ? moe_param_short(name) : NULL;
        if (!last || strcmp(last, word) != 0)
            continue;
        if (found) {
            g_free(found);
            return NULL;
        }
        found = g_strconcat(scope->path, name, NULL);
    }
    return found;
}

/* "; did you mean …" or "; 'next-layer' has it" for a key of a choice's section; yours. */
static char *
unknown_variant_hint(const moe_param_scope *scope, const moe_param *choice, const char *word,
                     GPtrArray *names)
{
    const moe_choice *value = moe_param_at(scope, choice);
    if (value->variant) {
        moe_param_scope inner =
            moe_param_scope_variant(scope, choice, value->variant, value->config);
        unknown_collect(&inner, "", names);
    }
    g_autoptr(GString) owners = g_string_new(NULL);
    unsigned n = 0;
    for (size_t i = 0; i < choice->n_variants; i++) {
        moe_param_scope inner = moe_param_scope_variant(scope, choice, choice->variants[i], NULL);
        if (moe_param_row(&inner, word))
            g_string_append_printf(owners, "%s'%s'", n++ ? ", " : "; ", choice->variants[i]->name);
    }
    if (n == 0)
        return convert_hint(word, names, false);
    g_string_append(owners, n == 1 ? " has it" : " have it");
    return g_string_free(g_steal_pointer(&owners), FALSE);
}

void
moe_param_unknown_key(const moe_param_scope *scope, const char *section, const moe_param *choice,
                      const moe_yaml *key, moe_diag *diag)
{
    const moe_choice *value = choice ? moe_param_at(scope, choice) : NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    unknown_collect(scope, section, names);
    if (strchr(key->text, '.')) {
        moe_diag_error(diag, key->loc, "unknown key '%s'; write nested maps, not dotted keys",
                       key->text);
        return;
    }
    if (value && value->variant) {
        g_autofree char *kind = moe_param_short(moe_param_name(scope, choice));
        g_autofree char *hint = unknown_variant_hint(scope, choice, key->text, names);
        moe_diag_error(diag, key->loc, "unknown key '%s' of %s '%s'%s", key->text, kind,
                       value->variant->name, hint);
        return;
    }
    g_autofree char *hint = convert_hint(key->text, names, false);
    g_autofree char *elsewhere = *hint ? NULL : unknown_elsewhere(scope, key->text);
    moe_diag_error(diag, key->loc, "unknown key '%s'%s%s%s%s", key->text, hint,
                   elsewhere ? "; did you mean '" : "", elsewhere ? elsewhere : "",
                   elsewhere ? "'?" : "");
}

/* All full keys that could be written now. */
static void
unknown_all(const moe_param_scope *scope, GPtrArray *names)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = moe_param_name(scope, row);
        if (!name)
            continue;
        g_ptr_array_add(names, g_strconcat(scope->path, name, NULL));
        if (row->type == MOE_PARAM_LIST) {
            const moe_list *list = moe_param_at(scope, row);
            for (size_t j = 0; j < list->n; j++) {
                moe_param_scope item = moe_param_scope_item(scope, row, j);
                unknown_all(&item, names);
            }
        } else if (row->type == MOE_PARAM_CHOICE) {
            const moe_choice *choice = moe_param_at(scope, row);
            if (!choice->variant)
                continue;
            moe_param_scope inner =
                moe_param_scope_variant(scope, row, choice->variant, choice->config);
            unknown_all(&inner, names);
        }
    }
}

void
moe_param_unknown_path(const moe_settings *settings, const char *key, const moe_yaml *node,
                       moe_diag *diag)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    unknown_all(&scope, names);
    g_autofree char *hint = convert_hint(key, names, false);
    g_autofree char *elsewhere = *hint ? NULL : unknown_elsewhere(&scope, key);
    moe_diag_error(diag, node->loc, "unknown key '%s'%s%s%s%s", key, hint,
                   elsewhere ? "; did you mean '" : "", elsewhere ? elsewhere : "",
                   elsewhere ? "'?" : "");
}

bool
moe_yaml_text(const moe_yaml *node, const char *what, const char **out, moe_diag *diag)
{
    if (node->kind != MOE_YAML_SCALAR || convert_is_empty(node)) {
        moe_param_wrong_kind(what, "a text", node, diag);
        return false;
    }
    *out = node->text;
    return true;
}

bool
moe_yaml_int(const moe_yaml *node, const char *what, int64_t min, int64_t max, int64_t *out,
             moe_diag *diag)
{
    const moe_param row = {.key = what, .type = MOE_PARAM_INT};
    moe_param_value value;
    if (!moe_param_convert(&row, what, node, &value, diag))
        return false;
    if (value.whole < min || value.whole > max) {
        bool low = value.whole < min;
        moe_diag_error(diag, node->loc, "'%s' must be at %s %lld, got %lld", what,
                       low ? "least" : "most", (long long)(low ? min : max),
                       (long long)value.whole);
        return false;
    }
    *out = value.whole;
    return true;
}

bool
moe_yaml_real(const moe_yaml *node, const char *what, double *out, moe_diag *diag)
{
    const moe_param row = {.key = what, .type = MOE_PARAM_REAL};
    moe_param_value value;
    if (!moe_param_convert(&row, what, node, &value, diag))
        return false;
    *out = value.real;
    return true;
}
