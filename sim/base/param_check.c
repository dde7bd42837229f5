#include "sim/base/param_internal.h"

#include <string.h>

/* Where a missing key would belong: the deepest map on its way that was written. */
static moe_loc
check_place(const moe_yaml *root, const char *name)
{
    moe_loc loc = {root ? root->loc.file : NULL, 0, 0, 0};
    const moe_yaml *at = root;
    while (at && at->kind == MOE_YAML_MAP) {
        const char *dot = strchr(name, '.');
        if (!dot)
            break;
        g_autofree char *part = g_strndup(name, (size_t)(dot - name));
        at = moe_yaml_get(at, part);
        if (at)
            loc = at->loc;
        name = dot + 1;
    }
    return loc;
}

static void check_scope(const moe_settings *settings, const moe_param_scope *scope, moe_loc loc,
                        const moe_yaml *root, moe_diag *diag);

static void
check_variant(const moe_settings *settings, const moe_param_scope *scope, const moe_param *row,
              const char *path, moe_loc loc, moe_diag *diag)
{
    const moe_choice *choice = moe_param_at(scope, row);
    if (!choice->variant)
        return;
    const moe_param_write *write = moe_settings_written(settings, path);
    moe_param_scope inner = moe_param_scope_variant(scope, row, choice->variant, choice->config);
    check_scope(settings, &inner, write ? write->loc : loc, NULL, diag);
}

static void
check_items(const moe_settings *settings, const moe_param_scope *scope, const moe_param *row,
            const char *path, moe_loc loc, moe_diag *diag)
{
    const moe_list *list = moe_param_at(scope, row);
    for (size_t i = 0; i < list->n; i++) {
        g_autofree char *element = g_strdup_printf("%s.%zu", path, i);
        const moe_param_write *write = moe_settings_written(settings, element);
        if (write && write->node->kind != MOE_YAML_MAP)
            continue; /* reported as such */
        moe_param_scope item = moe_param_scope_item(scope, row, i);
        check_scope(settings, &item, write ? write->loc : loc, NULL, diag);
    }
}

/* `root`: the map that was read, when the scope is the whole table. */
static void
check_scope(const moe_settings *settings, const moe_param_scope *scope, moe_loc loc,
            const moe_yaml *root, moe_diag *diag)
{
    for (size_t i = 0; i < scope->n_rows; i++) {
        const moe_param *row = &scope->rows[i];
        const char *name = moe_param_name(scope, row);
        if (!name)
            continue;
        g_autofree char *path = g_strconcat(scope->path, name, NULL);
        if (row->flags & MOE_PARAM_REQUIRED && !moe_settings_written(settings, path))
            moe_diag_error(diag, root ? check_place(root, name) : loc, "key '%s' is missing", path);
        if (row->type == MOE_PARAM_CHOICE)
            check_variant(settings, scope, row, path, loc, diag);
        else if (row->type == MOE_PARAM_LIST)
            check_items(settings, scope, row, path, loc, diag);
    }
}

void
moe_settings_complete(const moe_settings *settings, const moe_yaml *node, moe_diag *diag)
{
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    moe_loc loc = {node ? node->loc.file : NULL, 0, 0, 0};
    check_scope(settings, &scope, loc, node, diag);
}

void
moe_settings_unused(const moe_settings *settings, moe_diag *diag)
{
    moe_param_scope scope = moe_param_scope_table(settings->table, settings->data);
    for (unsigned i = 0; i < settings->writes->len; i++) {
        const moe_param_write *write = &g_array_index(settings->writes, moe_param_write, i);
        moe_param_found found;
        if (write->set && (!moe_param_find(&scope, write->path, &found) || found.dormant))
            moe_diag_warning(diag, write->loc, "'%s' has no effect with what is chosen here",
                             write->path);
    }
}

static void
check_row(const moe_param_table *table, const moe_param *row, size_t size)
{
    moe_assert(row->help && *row->help, "%s: key '%s' has no help", table->name, row->key);
    moe_assert(row->offset < size, "%s: key '%s' lies at %zu of %zu bytes", table->name, row->key,
               row->offset, size);
    moe_assert(row->type != MOE_PARAM_ENUM || row->choices, "%s: key '%s' has no names",
               table->name, row->key);
    moe_assert(row->type != MOE_PARAM_LIST || row->stride, "%s: key '%s' has no stride",
               table->name, row->key);
    if (row->type == MOE_PARAM_CHOICE) {
        moe_assert(row->n_variants, "%s: key '%s' has no variants", table->name, row->key);
        moe_assert(!row->fallback || moe_param_variant(row, row->fallback),
                   "%s: default '%s' of '%s'", table->name, row->fallback, row->key);
        return;
    }
    moe_param_value value;
    bool ok = !row->fallback || moe_param_parse(row, row->fallback, &value);
    moe_assert(ok, "%s: default '%s' of '%s'", table->name, row->fallback, row->key);
    g_autofree char *range = row->fallback ? moe_param_range(row, &value) : NULL;
    moe_assert(!range, "%s: default of '%s' %s", table->name, row->key, range);
}

static void
check_rows(const moe_param_table *table, const moe_param *rows, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        const moe_param *row = &rows[i];
        for (size_t j = 0; j < i; j++)
            moe_assert(strcmp(rows[j].key, row->key) != 0, "%s: two rows '%s'", table->name,
                       row->key);
        size_t room = size; /* an element's rows lie in the element */
        for (size_t j = 0; j < n; j++) {
            size_t length = strlen(rows[j].key);
            if (rows[j].type == MOE_PARAM_LIST && strncmp(row->key, rows[j].key, length) == 0 &&
                strncmp(row->key + length, ".*.", 3) == 0)
                room = rows[j].stride;
        }
        check_row(table, row, room);
        for (size_t j = 0; j < row->n_variants; j++)
            check_rows(table, row->variants[j]->rows, row->variants[j]->n_rows,
                       row->variants[j]->config_size);
    }
}

void
moe_param_check(const moe_param_table *table)
{
    check_rows(table, table->rows, table->n_rows, table->size);
}
