#include "sim/base/param_internal.h"

#include <string.h>

enum { SETTINGS_BLOCK = 4096, SETTINGS_ALIGN = 16 };

void *
moe_settings_alloc(moe_settings *settings, size_t size)
{
    size = (size + SETTINGS_ALIGN - 1) / SETTINGS_ALIGN * SETTINGS_ALIGN;
    if (settings->room - settings->used < size) {
        settings->room = MAX(size, SETTINGS_BLOCK);
        settings->used = 0;
        g_ptr_array_add(settings->blocks, g_malloc(settings->room));
    }
    char *block = g_ptr_array_index(settings->blocks, settings->blocks->len - 1);
    void *memory = block + settings->used;
    settings->used += size;
    return memset(memory, 0, size);
}

const char *
moe_settings_keep(moe_settings *settings, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(moe_settings_alloc(settings, size), text, size);
}

static moe_settings *
settings_alloc(const moe_param_table *table)
{
    moe_settings *settings = g_new0(moe_settings, 1);
    settings->table = table;
    settings->blocks = g_ptr_array_new_with_free_func(g_free);
    settings->writes = g_array_new(FALSE, FALSE, sizeof(moe_param_write));
    settings->provenance = g_array_new(FALSE, FALSE, sizeof(moe_provenance));
    settings->data = moe_settings_alloc(settings, table->size);
    return settings;
}

moe_settings *
moe_settings_new(const moe_param_table *table)
{
    moe_settings *settings = settings_alloc(table);
    moe_param_scope scope = moe_param_scope_table(table, settings->data);
    moe_settings_defaults(settings, &scope);
    return settings;
}

void
moe_settings_free(moe_settings *settings)
{
    if (!settings)
        return;
    g_ptr_array_unref(settings->blocks);
    g_array_unref(settings->writes);
    g_array_unref(settings->provenance);
    g_free(settings);
}

void *
moe_settings_data(moe_settings *settings)
{
    return settings->data;
}

void
moe_settings_choose(moe_settings *settings, const moe_param_scope *scope, const moe_param *choice,
                    const moe_variant *variant)
{
    moe_choice *value = moe_param_at(scope, choice);
    value->variant = variant;
    value->config =
        variant->config_size ? moe_settings_alloc(settings, variant->config_size) : NULL;
    moe_param_scope inner = moe_param_scope_variant(scope, choice, variant, value->config);
    moe_settings_defaults(settings, &inner);
}

void
moe_settings_defaults(moe_settings *settings, const moe_param_scope *scope)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        if (!row->fallback || !moe_param_name(scope, row))
            continue;
        if (row->type == MOE_PARAM_CHOICE) {
            const moe_variant *variant = moe_param_variant(row, row->fallback);
            moe_assert(variant, "default '%s' of '%s'", row->fallback, row->key);
            moe_settings_choose(settings, scope, row, variant);
            continue;
        }
        moe_param_value value;
        moe_assert(row->type != MOE_PARAM_LIST, "list '%s' has a default", row->key);
        bool ok = moe_param_parse(row, row->fallback, &value);
        moe_assert(ok, "default '%s' of '%s'", row->fallback, row->key);
        moe_param_store(row, &value, moe_param_at(scope, row));
    }
}

/* Replaces all pointers of a scope, whose memory was copied byte by byte, by copies of what they
 * point to. Default texts are the table's own and stay. */
static void
settings_deepen(moe_settings *settings, const moe_param_scope *scope)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        bool points = row->type == MOE_PARAM_TEXT || row->type == MOE_PARAM_CHOICE ||
                      row->type == MOE_PARAM_LIST;
        if (!points || !moe_param_name(scope, row))
            continue;
        void *at = moe_param_at(scope, row);
        if (row->type == MOE_PARAM_TEXT) {
            const char **text = at;
            if (*text && *text != row->fallback)
                *text = moe_settings_keep(settings, *text);
        } else if (row->type == MOE_PARAM_CHOICE) {
            moe_choice *choice = at;
            if (!choice->config)
                continue;
            size_t size = choice->variant->config_size;
            choice->config = memcpy(moe_settings_alloc(settings, size), choice->config, size);
            moe_param_scope inner =
                moe_param_scope_variant(scope, row, choice->variant, choice->config);
            settings_deepen(settings, &inner);
        } else {
            moe_list *list = at;
            if (list->n == 0)
                continue;
            size_t size = list->n * row->stride;
            list->items = memcpy(moe_settings_alloc(settings, size), list->items, size);
            for (size_t j = 0; j < list->n; j++) {
                moe_param_scope item = moe_param_scope_item(scope, row, j);
                settings_deepen(settings, &item);
            }
        }
    }
}

static const char *
settings_keep_some(moe_settings *settings, const char *text)
{
    return *text ? moe_settings_keep(settings, text) : "";
}

moe_settings *
moe_settings_copy(const moe_settings *settings)
{
    moe_settings *copy = settings_alloc(settings->table);
    memcpy(copy->data, settings->data, settings->table->size);
    moe_param_scope scope = moe_param_scope_table(copy->table, copy->data);
    settings_deepen(copy, &scope);
    g_array_append_vals(copy->writes, settings->writes->data, settings->writes->len);
    for (unsigned i = 0; i < copy->writes->len; i++) {
        moe_param_write *write = &g_array_index(copy->writes, moe_param_write, i);
        write->path = moe_settings_keep(copy, write->path);
    }
    g_array_append_vals(copy->provenance, settings->provenance->data, settings->provenance->len);
    for (unsigned i = 0; i < copy->provenance->len; i++) {
        moe_provenance *said = &g_array_index(copy->provenance, moe_provenance, i);
        said->key = moe_settings_keep(copy, said->key);
        said->basis = settings_keep_some(copy, said->basis);
        said->source = settings_keep_some(copy, said->source);
        said->note = settings_keep_some(copy, said->note);
    }
    return copy;
}

const moe_param_write *
moe_settings_written(const moe_settings *settings, const char *path)
{
    unsigned hash = g_str_hash(path);
    for (unsigned i = 0; i < settings->writes->len; i++) {
        const moe_param_write *write = &g_array_index(settings->writes, moe_param_write, i);
        if (write->hash == hash && strcmp(write->path, path) == 0)
            return write;
    }
    return NULL;
}

void
moe_settings_write(moe_settings *settings, const char *path, const moe_yaml *node, moe_loc loc,
                   bool set)
{
    moe_param_write write = {NULL, g_str_hash(path), node, loc, set};
    const moe_param_write *known = moe_settings_written(settings, path);
    if (known) {
        write.path = known->path;
        unsigned index =
            (unsigned)(known - (const moe_param_write *)(void *)settings->writes->data);
        g_array_remove_index(settings->writes, index);
    } else {
        write.path = moe_settings_keep(settings, path);
    }
    g_array_append_val(settings->writes, write);
}

void
moe_settings_forget(moe_settings *settings, const char *prefix)
{
    for (unsigned i = settings->writes->len; i-- > 0;) {
        if (g_str_has_prefix(g_array_index(settings->writes, moe_param_write, i).path, prefix))
            g_array_remove_index(settings->writes, i);
    }
    for (unsigned i = settings->provenance->len; i-- > 0;) {
        if (g_str_has_prefix(g_array_index(settings->provenance, moe_provenance, i).key, prefix))
            g_array_remove_index(settings->provenance, i);
    }
}

const moe_provenance *
moe_settings_provenance(const moe_settings *settings, size_t *n)
{
    *n = settings->provenance->len;
    return (const moe_provenance *)(void *)settings->provenance->data;
}

const moe_param *
moe_settings_find(const moe_settings *settings, const char *key, const char **canonical)
{
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    moe_param_found found;
    bool ok = moe_param_find(&scope, key, &found) && found.row;
    if (canonical)
        *canonical = NULL;
    if (!ok)
        return NULL;
    if (canonical) {
        const char *name = moe_param_name(&found.scope, found.row);
        g_autofree char *path = g_strconcat(found.scope.path, name, NULL);
        *canonical = g_intern_string(path);
    }
    return found.row;
}
