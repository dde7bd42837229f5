#include "sim/machine/sweep.h"

#include <string.h>

#define MOST_RUNS 1000000

static bool
is_fixed(const char *key, const char *const *fixed, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(fixed[i]);
        if (strcmp(key, fixed[i]) == 0)
            return true;
        if (g_str_has_prefix(key, fixed[i]) && strcmp(key + length, ".kind") == 0)
            return true;
        if (g_str_has_prefix(fixed[i], key) && strcmp(fixed[i] + strlen(key), ".kind") == 0)
            return true;
    }
    return false;
}

/* Adds the values of one key to an axis; all keys of an axis have equally many. */
static bool
add_key(moe_axis *axis, const moe_yaml *key, const moe_yaml *list, const char *section,
        moe_diag *diag)
{
    if (list->kind != MOE_YAML_LIST) {
        moe_diag_error(diag, list->loc, "'%s' in '%s' wants a list of values, got %s", key->text,
                       section, moe_yaml_kind_name(list->kind));
        return false;
    }
    if (list->n == 0) {
        moe_diag_error(diag, list->loc, "'%s' in '%s' has no values", key->text, section);
        return false;
    }
    if (axis->n_keys > 0 && list->n != axis->n_values) {
        moe_diag_error(diag, list->loc, "'%s' has %zu values, but '%s' of the same zip has %zu",
                       key->text, list->n, axis->keys[0], axis->n_values);
        return false;
    }
    axis->n_values = list->n;
    axis->keys[axis->n_keys] = key->text;
    axis->locs[axis->n_keys] = key->loc;
    for (size_t v = 0; v < list->n; v++)
        axis->values[axis->n_keys * list->n + v] = &list->items[v];
    axis->n_keys++;
    return true;
}

static moe_axis
new_axis(size_t keys, size_t values)
{
    return (moe_axis){.keys = g_new0(const char *, keys + 1),
                      .locs = g_new0(moe_loc, keys + 1),
                      .values = g_new0(const moe_yaml *, keys *values + 1)};
}

static void
clear_axis(void *data)
{
    moe_axis *axis = data;
    g_free(axis->keys);
    g_free(axis->locs);
    g_free(axis->values);
}

static size_t
longest(const moe_yaml *map)
{
    size_t n = 0;
    for (size_t i = 0; i < map->n; i++)
        n = MAX(n, map->items[i].n);
    return n;
}

static void
read_sweep(moe_sweep *sweep, const moe_yaml *map, const char *const *fixed, size_t n,
           moe_diag *diag)
{
    for (size_t i = 0; i < map->n; i++) {
        if (is_fixed(map->keys[i].text, fixed, n))
            continue;
        moe_axis axis = new_axis(1, map->items[i].n);
        if (add_key(&axis, &map->keys[i], &map->items[i], "sweep", diag))
            g_array_append_val(sweep->axes, axis);
        else
            clear_axis(&axis);
    }
}

static void
read_zip(moe_sweep *sweep, const moe_yaml *map, const char *const *fixed, size_t n, moe_diag *diag)
{
    moe_axis axis = new_axis(map->n, longest(map));
    for (size_t i = 0; i < map->n; i++)
        if (!is_fixed(map->keys[i].text, fixed, n))
            add_key(&axis, &map->keys[i], &map->items[i], "zip", diag);
    if (axis.n_keys > 0)
        g_array_append_val(sweep->axes, axis);
    else
        clear_axis(&axis);
}

static bool
want_map(const moe_yaml *node, const char *section, moe_diag *diag)
{
    if (node->kind == MOE_YAML_MAP)
        return true;
    moe_diag_error(diag, node->loc, "'%s' wants a map of keys to lists of values, got %s", section,
                   moe_yaml_kind_name(node->kind));
    return false;
}

static void
count_runs(moe_sweep *sweep, const moe_yaml *at, bool allow_many, moe_diag *diag)
{
    size_t limit = allow_many ? UINT32_MAX : MOST_RUNS;
    sweep->n_runs = 1;
    for (guint a = 0; a < sweep->axes->len; a++) {
        size_t n = g_array_index(sweep->axes, moe_axis, a).n_values;
        if (sweep->n_runs > limit / n) {
            moe_diag_error(diag, at->loc,
                           "the sweep multiplies to more than %zu runs; make it smaller%s", limit,
                           allow_many ? "" : ", or say --force-many");
            sweep->n_runs = 0;
            return;
        }
        sweep->n_runs *= n;
    }
}

moe_sweep *
moe_sweep_read(const moe_yaml *root, const char *const *fixed, size_t n, bool allow_many,
               moe_diag *diag)
{
    moe_sweep *sweep = g_new0(moe_sweep, 1);
    sweep->axes = g_array_new(false, false, sizeof(moe_axis));
    g_array_set_clear_func(sweep->axes, clear_axis);
    const moe_yaml *cartesian = moe_yaml_get(root, "sweep"), *zip = moe_yaml_get(root, "zip");
    if (zip && zip->kind == MOE_YAML_LIST) {
        for (size_t i = 0; i < zip->n; i++)
            if (want_map(&zip->items[i], "zip", diag))
                read_zip(sweep, &zip->items[i], fixed, n, diag);
    } else if (zip && want_map(zip, "zip", diag))
        read_zip(sweep, zip, fixed, n, diag);
    if (cartesian && want_map(cartesian, "sweep", diag))
        read_sweep(sweep, cartesian, fixed, n, diag);
    count_runs(sweep, cartesian ? cartesian : zip ? zip : root, allow_many, diag);
    return sweep;
}

void
moe_sweep_free(moe_sweep *sweep)
{
    if (!sweep)
        return;
    g_array_free(sweep->axes, true);
    g_free(sweep);
}

size_t
moe_sweep_index(const moe_sweep *sweep, size_t run, size_t axis)
{
    size_t below = 1;
    for (size_t a = sweep->axes->len; a-- > axis + 1;)
        below *= g_array_index(sweep->axes, moe_axis, a).n_values;
    return run / below % g_array_index(sweep->axes, moe_axis, axis).n_values;
}
