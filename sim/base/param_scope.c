#include "sim/base/param_internal.h"

#include <string.h>

static const char kind_suffix[] = ".kind";

moe_param_scope
moe_param_scope_table(const moe_param_table *table, void *data)
{
    return (moe_param_scope){table->rows, table->n_rows, "", 0, data, ""};
}

MOE_PRINTF(2, 3)
static void
scope_path(char path[MOE_PARAM_PATH], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = g_vsnprintf(path, MOE_PARAM_PATH, fmt, args);
    va_end(args);
    moe_assert(n >= 0 && n < MOE_PARAM_PATH, "key of %d characters: %s", n, path);
}

/* The pattern with which the rows of a list's elements begin is the key of any of them up to and
 * with ".*.": rows keep it, so it need not be stored anew. */
static const char *
scope_strip(const moe_param_scope *scope, const moe_param *list, size_t *length)
{
    size_t n = strlen(list->key);
    for (size_t i = 0; i < scope->n_rows; i++) {
        const char *key = scope->rows[i].key;
        if (strncmp(key, list->key, n) == 0 && strncmp(key + n, ".*.", 3) == 0) {
            *length = n + 3;
            return key;
        }
    }
    *length = 0;
    return NULL;
}

moe_param_scope
moe_param_scope_item(const moe_param_scope *scope, const moe_param *list, size_t i)
{
    moe_param_scope item = *scope;
    size_t length;
    const char *strip = scope_strip(scope, list, &length);
    moe_assert(strip, "list '%s' has no rows '%s.*.…'", list->key, list->key);
    item.strip = strip;
    item.strip_length = length;
    const char *name = moe_param_name(scope, list);
    item.base = NULL;
    if (scope->base) {
        const moe_list *value = moe_param_at(scope, list);
        moe_assert(i < value->n, "element %zu of %zu of '%s'", i, value->n, list->key);
        item.base = (char *)value->items + i * list->stride;
        scope_path(item.path, "%s%s.%zu.", scope->path, name, i);
    } else {
        scope_path(item.path, "%s%s.*.", scope->path, name);
    }
    return item;
}

moe_param_scope
moe_param_scope_variant(const moe_param_scope *scope, const moe_param *choice,
                        const moe_variant *variant, void *config)
{
    moe_param_scope inner = {variant->rows, variant->n_rows, "", 0, config, ""};
    const char *name = moe_param_name(scope, choice);
    int stem = (int)moe_param_stem(name);
    scope_path(inner.path, "%s%.*s%s", scope->path, stem, name, stem > 0 ? "." : "");
    return inner;
}

const char *
moe_param_name(const moe_param_scope *scope, const moe_param *row)
{
    if (strncmp(row->key, scope->strip, scope->strip_length) != 0)
        return NULL;
    const char *name = row->key + scope->strip_length;
    return strstr(name, ".*.") ? NULL : name;
}

size_t
moe_param_stem(const char *name)
{
    if (strcmp(name, kind_suffix + 1) == 0)
        return 0;
    size_t length = strlen(name);
    return g_str_has_suffix(name, kind_suffix) ? length - strlen(kind_suffix) : length;
}

char *
moe_param_short(const char *name)
{
    size_t length = moe_param_stem(name);
    if (length == 0)
        return g_strdup(name);
    size_t start = length;
    while (start > 0 && name[start - 1] != '.')
        start--;
    return g_strndup(name + start, length - start);
}

const moe_param *
moe_param_choice_at(const moe_param_scope *scope, const char *section, size_t length)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = row->type == MOE_PARAM_CHOICE ? moe_param_name(scope, row) : NULL;
        if (name && moe_param_stem(name) == length && strncmp(name, section, length) == 0)
            return row;
    }
    return NULL;
}

const moe_param *
moe_param_row(const moe_param_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const char *other = moe_param_name(scope, &scope->rows[i]);
        if (other && strcmp(other, name) == 0)
            return &scope->rows[i];
    }
    if (!*name)
        return NULL;
    const moe_param *choice = moe_param_choice_at(scope, name, strlen(name));
    return choice ? choice : moe_param_choice_at(scope, name, moe_param_stem(name));
}

bool
moe_param_is_section(const moe_param_scope *scope, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < scope->n_rows; i++) {
        const char *other = moe_param_name(scope, &scope->rows[i]);
        if (other && strncmp(other, name, length) == 0 && (length == 0 || other[length] == '.'))
            return true;
    }
    return false;
}

const moe_variant *
moe_param_variant(const moe_param *choice, const char *name)
{
    for (size_t i = 0; i < choice->n_variants; i++) {
        if (strcmp(choice->variants[i]->name, name) == 0)
            return choice->variants[i];
    }
    return NULL;
}

void *
moe_param_at(const moe_param_scope *scope, const moe_param *row)
{
    return scope->base + row->offset;
}

/* Whether an earlier row of the scope lies below the same child. */
static bool
scope_met(const moe_param_scope *scope, size_t i, const char *full, size_t length)
{
    for (size_t j = 0; j < i; j++) {
        const char *name = moe_param_name(scope, &scope->rows[j]);
        if (name && strncmp(name, full, length) == 0 && (name[length] == '.' || !name[length]))
            return true;
    }
    return false;
}

bool
moe_param_next(const moe_param_scope *scope, const char *section, size_t *i, moe_param_child *child)
{
    size_t prefix = strlen(section);
    for (; *i < scope->n_rows; ++*i) {
        const char *name = moe_param_name(scope, &scope->rows[*i]);
        if (!name || strncmp(name, section, prefix) != 0)
            continue;
        child->name = name + prefix;
        child->length = strcspn(child->name, ".");
        child->full = name;
        child->full_length = prefix + child->length;
        if (scope_met(scope, *i, name, child->full_length))
            continue;
        g_autofree char *full = g_strndup(name, child->full_length);
        child->row = moe_param_row(scope, full);
        ++*i;
        return true;
    }
    return false;
}

/* "3.capacity" after a list's name: the element, and the rest of the name. */
static const char *
find_index(const char *text, size_t n, size_t *index)
{
    size_t value = 0;
    const char *at = text;
    for (; g_ascii_isdigit(*at) && value < MOE_PARAM_ITEMS; at++)
        value = value * 10 + (size_t)(*at - '0');
    bool canonical = at > text && (*text != '0' || at == text + 1);
    if (!canonical || (*at && *at != '.') || value >= n)
        return NULL;
    *index = value;
    return *at ? at + 1 : at;
}

static bool
find_in_list(const moe_param_scope *scope, const moe_param *list, const char *rest,
             moe_param_found *found)
{
    const moe_list *value = moe_param_at(scope, list);
    size_t index = 0;
    const char *inner = find_index(rest, value->n, &index);
    if (!inner)
        return false;
    moe_param_scope item = moe_param_scope_item(scope, list, index);
    if (*inner)
        return moe_param_find(&item, inner, found);
    *found = (moe_param_found){.scope = item};
    return true;
}

static bool
find_in_choice(const moe_param_scope *scope, const moe_param *choice, const char *rest,
               moe_param_found *found)
{
    const moe_choice *value = moe_param_at(scope, choice);
    if (value->variant) {
        moe_param_scope inner =
            moe_param_scope_variant(scope, choice, value->variant, value->config);
        if (moe_param_find(&inner, rest, found))
            return true;
    }
    for (size_t i = 0; i < choice->n_variants; i++) {
        moe_param_scope inner = moe_param_scope_variant(scope, choice, choice->variants[i], NULL);
        const moe_param *row = moe_param_row(&inner, rest);
        if (row) {
            *found = (moe_param_found){.scope = inner, .row = row, .dormant = true};
            return true;
        }
    }
    return false;
}

static bool
find_below(const moe_param_scope *scope, const char *name, moe_param_found *found)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *other = moe_param_name(scope, row);
        if (!other || (row->type != MOE_PARAM_LIST && row->type != MOE_PARAM_CHOICE))
            continue;
        size_t stem = row->type == MOE_PARAM_CHOICE ? moe_param_stem(other) : strlen(other);
        if (strncmp(name, other, stem) != 0 || (stem > 0 && name[stem] != '.'))
            continue;
        const char *rest = stem > 0 ? name + stem + 1 : name;
        if (row->type == MOE_PARAM_LIST ? find_in_list(scope, row, rest, found)
                                        : find_in_choice(scope, row, rest, found))
            return true;
    }
    return false;
}

bool
moe_param_find(const moe_param_scope *scope, const char *name, moe_param_found *found)
{
    const moe_param *row = moe_param_row(scope, name);
    if (row) {
        *found = (moe_param_found){.scope = *scope, .row = row};
        return true;
    }
    if (find_below(scope, name, found))
        return true;
    if (!*name || strlen(name) >= MOE_PARAM_PATH || !moe_param_is_section(scope, name))
        return false;
    *found = (moe_param_found){.scope = *scope};
    g_strlcpy(found->section, name, sizeof found->section);
    return true;
}
