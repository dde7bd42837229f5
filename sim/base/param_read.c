#include "sim/base/param_convert.h"

#include <string.h>

typedef struct param_reader {
    moe_settings *settings;
    moe_diag *diag;
    bool set; /* by moe_settings_set */
} param_reader;

static void read_section(param_reader *r, const moe_param_scope *scope, const char *section,
                         const moe_yaml *node, const char *const *skip);
static void read_row(param_reader *r, const moe_param_scope *scope, const moe_param *row,
                     const moe_yaml *node);

/* scope path + name, in a buffer of MOE_PARAM_PATH. */
static const char *
read_path(char *buffer, const moe_param_scope *scope, const char *name)
{
    int n = g_snprintf(buffer, MOE_PARAM_PATH, "%s%s", scope->path, name);
    moe_assert(n >= 0 && n < MOE_PARAM_PATH, "key of %d characters", n);
    return buffer;
}

static void
read_record(param_reader *r, const moe_param_scope *scope, const char *name, const moe_yaml *node,
            moe_loc loc)
{
    char path[MOE_PARAM_PATH];
    moe_settings_write(r->settings, read_path(path, scope, name), node, loc, r->set);
}

static void
read_provenance(param_reader *r, const moe_param_scope *scope, const char *name,
                const moe_param_origin *origin)
{
    char path[MOE_PARAM_PATH];
    read_path(path, scope, name);
    moe_settings *settings = r->settings;
    moe_provenance said = {NULL, "", "", ""};
    for (unsigned i = 0; i < settings->provenance->len; i++) {
        moe_provenance *known = &g_array_index(settings->provenance, moe_provenance, i);
        if (strcmp(known->key, path) != 0)
            continue;
        said.key = known->key;
        g_array_remove_index(settings->provenance, i);
        break;
    }
    if (!said.key)
        said.key = moe_settings_keep(settings, path);
    if (origin->basis)
        said.basis = moe_settings_keep(settings, origin->basis);
    if (origin->source)
        said.source = moe_settings_keep(settings, origin->source);
    if (origin->note)
        said.note = moe_settings_keep(settings, origin->note);
    g_array_append_val(settings->provenance, said);
}

static void
read_scalar(param_reader *r, const moe_param_scope *scope, const moe_param *row,
            const moe_yaml *node)
{
    moe_param_origin origin = {NULL, NULL, NULL};
    const char *name = moe_param_name(scope, row);
    g_autofree char *last = moe_param_short(name);
    const moe_yaml *scalar = node;
    moe_param_value value;
    read_record(r, scope, name, node, node->loc);
    if (row->flags & MOE_PARAM_SOURCED && node->kind == MOE_YAML_MAP)
        scalar = moe_param_unwrap(row, last, node, &origin, r->diag);
    if (!scalar || !moe_param_convert(row, last, scalar, &value, r->diag))
        return;
    if (row->type == MOE_PARAM_TEXT)
        value.text = moe_settings_keep(r->settings, value.text);
    moe_param_store(row, &value, moe_param_at(scope, row));
    if (row->flags & MOE_PARAM_SOURCED)
        read_provenance(r, scope, name, &origin);
}

static void
read_list(param_reader *r, const moe_param_scope *scope, const moe_param *row, const moe_yaml *node)
{
    const char *name = moe_param_name(scope, row);
    g_autofree char *last = moe_param_short(name);
    size_t most = row->max_items ? row->max_items : MOE_PARAM_ITEMS;
    read_record(r, scope, name, node, node->loc);
    if (node->kind != MOE_YAML_LIST) {
        moe_param_wrong_kind(last, "a list", node, r->diag);
        return;
    }
    if (node->n > most) {
        moe_diag_error(r->diag, node->loc, "'%s' must have at most %zu entries, got %zu", last,
                       most, node->n);
        return;
    }
    g_autofree char *below = g_strconcat(scope->path, name, ".", NULL);
    moe_settings_forget(r->settings, below);
    moe_list *list = moe_param_at(scope, row);
    *list = (moe_list){moe_settings_alloc(r->settings, node->n * row->stride), node->n};
    for (size_t i = 0; i < node->n; i++) {
        moe_param_scope item = moe_param_scope_item(scope, row, i);
        moe_settings_defaults(r->settings, &item);
        char path[MOE_PARAM_PATH];
        g_snprintf(path, sizeof path, "%s%zu", below, i);
        moe_settings_write(r->settings, path, &node->items[i], node->items[i].loc, r->set);
        read_section(r, &item, "", &node->items[i], NULL);
    }
}

/* Sets again, for a variant just chosen, what was written for variants of this choice before;
 * what `map` says itself comes later. */
static void
read_again(param_reader *r, const moe_param_scope *inner, const moe_yaml *map)
{
    bool set = r->set;
    size_t prefix = strlen(inner->path);
    g_autoptr(GArray) writes = g_array_copy(r->settings->writes);
    for (unsigned i = 0; i < writes->len; i++) {
        const moe_param_write *write = &g_array_index(writes, moe_param_write, i);
        if (strncmp(write->path, inner->path, prefix) != 0)
            continue;
        g_autofree char *first =
            g_strndup(write->path + prefix, strcspn(write->path + prefix, "."));
        moe_param_found found;
        if (map && moe_yaml_get(map, first))
            continue;
        if (!moe_param_find(inner, write->path + prefix, &found) || !found.row || found.dormant)
            continue;
        r->set = write->set;
        read_row(r, &found.scope, found.row, write->node);
    }
    r->set = set;
}

/* Chooses the variant that scalar `kind` names; `node` is what the choice was written as. False
 * after a located error. */
static bool
read_kind(param_reader *r, const moe_param_scope *scope, const moe_param *row, const moe_yaml *kind,
          const moe_yaml *node)
{
    const char *name = moe_param_name(scope, row);
    g_autofree char *last = moe_param_short(name);
    read_record(r, scope, name, node, kind->loc);
    if (kind->kind != MOE_YAML_SCALAR) {
        moe_param_wrong_kind(last, moe_param_wants(row), kind, r->diag);
        return false;
    }
    const moe_variant *variant = moe_param_variant(row, kind->text);
    if (!variant) {
        moe_param_unknown_name(row, last, kind, r->diag);
        return false;
    }
    moe_settings_choose(r->settings, scope, row, variant);
    const moe_choice *choice = moe_param_at(scope, row);
    moe_param_scope inner = moe_param_scope_variant(scope, row, variant, choice->config);
    read_again(r, &inner, node->kind == MOE_YAML_MAP ? node : NULL);
    return true;
}

static void
read_choice(param_reader *r, const moe_param_scope *scope, const moe_param *row,
            const moe_yaml *node)
{
    const char *name = moe_param_name(scope, row);
    if (node->kind != MOE_YAML_MAP || moe_param_stem(name) == 0) {
        read_kind(r, scope, row, node, node);
        return;
    }
    g_autofree char *section = g_strndup(name, moe_param_stem(name));
    read_section(r, scope, section, node, NULL);
}

static void
read_row(param_reader *r, const moe_param_scope *scope, const moe_param *row, const moe_yaml *node)
{
    if (row->type == MOE_PARAM_LIST)
        read_list(r, scope, row, node);
    else if (row->type == MOE_PARAM_CHOICE)
        read_choice(r, scope, row, node);
    else
        read_scalar(r, scope, row, node);
}

/* One key of a section: a row, a row of the variant chosen here, a section below, or a mistake. */
static void
read_key(param_reader *r, const moe_param_scope *scope, const char *section,
         const moe_param *choice, const moe_yaml *key, const moe_yaml *node)
{
    g_autofree char *name = g_strconcat(section, *section ? "." : "", key->text, NULL);
    bool plain = strchr(key->text, '.') == NULL;
    const moe_param *row = plain ? moe_param_row(scope, name) : NULL;
    if (row) {
        read_row(r, scope, row, node);
        return;
    }
    const moe_choice *value = choice ? moe_param_at(scope, choice) : NULL;
    if (plain && value && value->variant) {
        moe_param_scope inner =
            moe_param_scope_variant(scope, choice, value->variant, value->config);
        row = moe_param_row(&inner, key->text);
        if (row) {
            read_row(r, &inner, row, node);
            return;
        }
        if (moe_param_is_section(&inner, key->text)) {
            read_section(r, &inner, key->text, node, NULL);
            return;
        }
    }
    if (plain && moe_param_is_section(scope, name)) {
        read_section(r, scope, name, node, NULL);
        return;
    }
    moe_param_unknown_key(scope, section, choice, key, r->diag);
}

static bool
read_skips(const char *const *skip, const char *key)
{
    for (; skip && *skip; skip++) {
        if (strcmp(*skip, key) == 0)
            return true;
    }
    return false;
}

/* A map written for a choice: its kind first, since it says which other keys there are. False
 * after a located error. */
static bool
read_section_kind(param_reader *r, const moe_param_scope *scope, const moe_param *choice,
                  const moe_yaml *node)
{
    const moe_yaml *kind = moe_yaml_get(node, "kind");
    const moe_choice *value = moe_param_at(scope, choice);
    const char *name = moe_param_name(scope, choice);
    if (kind)
        return read_kind(r, scope, choice, kind, node);
    if (!value->variant) {
        g_autofree char *last = moe_param_short(name);
        moe_diag_error(r->diag, node->loc, "'%s' wants a 'kind'", last);
        return false;
    }
    if (r->set)
        read_record(r, scope, name, node, node->loc);
    return true;
}

static void
read_section(param_reader *r, const moe_param_scope *scope, const char *section,
             const moe_yaml *node, const char *const *skip)
{
    const moe_param *choice = moe_param_choice_at(scope, section, strlen(section));
    if (node->kind != MOE_YAML_MAP) {
        const char *dot = strrchr(section, '.');
        g_autofree char *whole = g_strndup(scope->path, MAX(strlen(scope->path), 1) - 1);
        moe_param_wrong_kind(dot ? dot + 1 : *section ? section : whole, "a map", node, r->diag);
        return;
    }
    /* With a wrong kind nobody can say which other keys are right. */
    if (choice && !read_section_kind(r, scope, choice, node))
        return;
    for (size_t i = 0; i < node->n; i++) {
        const moe_yaml *key = &node->keys[i];
        bool done = choice && strcmp(key->text, "kind") == 0;
        if (!done && !read_skips(skip, key->text))
            read_key(r, scope, section, choice, key, &node->items[i]);
    }
}

void
moe_settings_read(moe_settings *settings, const moe_yaml *node, const char *const *skip,
                  bool complete, moe_diag *diag)
{
    param_reader r = {settings, diag, false};
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    if (node->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, node->loc, "a %s is a map of keys, not %s", settings->table->name,
                       moe_yaml_kind_name(node->kind));
        return;
    }
    read_section(&r, &scope, "", node, skip);
    if (complete)
        moe_settings_complete(settings, node, diag);
}

/* A parameter of a variant that is not chosen yet is checked and kept for when it is. */
static void
read_dormant(param_reader *r, const moe_param_found *found, const moe_yaml *node)
{
    const moe_param *row = found->row;
    const char *name = moe_param_name(&found->scope, row);
    g_autofree char *last = moe_param_short(name);
    moe_param_value value;
    bool scalar = row->type != MOE_PARAM_CHOICE && row->type != MOE_PARAM_LIST;
    if (!scalar || moe_param_convert(row, last, node, &value, r->diag))
        read_record(r, &found->scope, name, node, node->loc);
}

void
moe_settings_set(moe_settings *settings, const char *key, const moe_yaml *node, moe_diag *diag)
{
    param_reader r = {settings, diag, true};
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    moe_param_found found;
    if (!moe_param_find(&scope, key, &found)) {
        moe_param_unknown_path(settings, key, node, diag);
        return;
    }
    if (!found.row)
        read_section(&r, &found.scope, found.section, node, NULL);
    else if (found.dormant)
        read_dormant(&r, &found, node);
    else
        read_row(&r, &found.scope, found.row, node);
}
