#include "analysis/section.h"

#include <string.h>

static size_t
find_key(const moe_section_view *view, const moe_yaml *node, const char *canonical, bool *absent,
         moe_diag *diag)
{
    size_t key = moe_frame_find(view->frame, canonical);
    if (key != SIZE_MAX)
        return key;
    if (view->partial) {
        *absent = true;
        return SIZE_MAX;
    }
    moe_diag_error(diag, node->loc, "'%s' is not swept here, so it cannot tell runs apart",
                   node->text);
    return SIZE_MAX;
}

static void
select_one(const moe_yaml *key_node, const moe_yaml *value_node, const moe_section_view *view,
           moe_selector *selector, bool *absent, moe_diag *diag)
{
    const char *canonical = NULL;
    g_autofree char *value = NULL;
    if (!view->canonical(view->context, key_node->text, value_node, key_node->loc, &canonical,
                         &value, diag))
        return;
    size_t key = find_key(view, key_node, canonical, absent, diag);
    if (key == SIZE_MAX)
        return;
    moe_selector_add(selector, key, value);
    g_autoptr(GPtrArray) values = moe_frame_values(view->frame, key);
    for (size_t i = 0; i < values->len; i++)
        if (!strcmp(g_ptr_array_index(values, i), value))
            return;
    if (view->partial) {
        *absent = true;
        return;
    }
    const char *close = moe_suggest(value, (const char *const *)values->pdata, values->len);
    moe_diag_error(diag, value_node->loc, "no run has %s: %s%s%s%s", key_node->text, value,
                   close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "");
}

void
moe_section_select(const moe_yaml *map, const moe_section_view *view, moe_selector *selector,
                   bool *absent, moe_diag *diag)
{
    if (map->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, map->loc, "wants a map of swept keys and values, not %s",
                       moe_yaml_kind_name(map->kind));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const moe_yaml *value = &map->items[i];
        bool several = value->kind == MOE_YAML_LIST;
        for (size_t v = 0; v < (several ? value->n : 1); v++)
            select_one(&map->keys[i], several ? &value->items[v] : value, view, selector, absent,
                       diag);
    }
}

size_t
moe_section_metric(const moe_yaml *node, const moe_section_view *view, moe_diag *diag)
{
    const char *name = NULL;
    if (!moe_yaml_text(node, "metric", &name, diag))
        return SIZE_MAX;
    for (size_t i = 0; i < view->n_metrics; i++)
        if (!strcmp(view->metrics[i], name))
            return i;
    const char *close = moe_suggest(name, view->metrics, view->n_metrics);
    if (close)
        moe_diag_error(diag, node->loc, "unknown metric '%s'; did you mean '%s'?", name, close);
    else
        moe_diag_error(diag, node->loc, "unknown metric '%s' (`moesim list metrics`)", name);
    return SIZE_MAX;
}

/* "a.kind" and "a" address the same choice. */
static size_t
stem_length(const char *key)
{
    return g_str_has_suffix(key, ".kind") ? strlen(key) - strlen(".kind") : strlen(key);
}

static bool
same_key(const char *a, const char *b)
{
    size_t length = stem_length(a);
    return length == stem_length(b) && !strncmp(a, b, length);
}

size_t
moe_section_key(const char *text, moe_loc loc, const moe_section_view *view, bool *absent,
                moe_diag *diag)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    for (size_t i = 0; i < moe_frame_keys(view->frame); i++) {
        if (same_key(moe_frame_key(view->frame, i), text))
            return i;
        g_ptr_array_add(keys, (gpointer)(uintptr_t)moe_frame_key(view->frame, i));
    }
    if (view->partial) {
        *absent = true;
        return SIZE_MAX;
    }
    const char *close = moe_suggest(text, (const char *const *)keys->pdata, keys->len);
    g_ptr_array_add(keys, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)keys->pdata);
    if (close)
        moe_diag_error(diag, loc, "'%s' is not swept here; did you mean '%s'?", text, close);
    else
        moe_diag_error(diag, loc, "'%s' is not swept here (%s%s)", text,
                       *list ? "swept: " : "nothing is", list);
    return SIZE_MAX;
}

/* Groups that say nothing beside their members, and groups that are a property of each: the
 * precision of experts, the overhead of a layer. Members of others follow them: "routing trace". */
static const char *const silent_groups[] = {"experts", "workload", NULL};
static const char *const property_groups[] = {"precision", "overhead", NULL};

char *
moe_section_key_title(const char *key)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    unsigned n = g_strv_length(parts);
    if (n > 1 && !strcmp(parts[n - 1], "kind"))
        g_clear_pointer(&parts[--n], g_free);
    if (n > 1 && g_strv_contains(silent_groups, parts[0]))
        return g_strjoinv(" ", parts + 1);
    if (n == 2 && g_strv_contains(property_groups, parts[0]))
        return g_strdup_printf("%s %s", parts[1], parts[0]);
    return g_strjoinv(" ", parts);
}

void
moe_section_require(const moe_param_table *table, const moe_yaml *node, moe_diag *diag)
{
    for (size_t i = 0; i < table->n_rows; i++)
        if (table->rows[i].flags & MOE_PARAM_REQUIRED && !moe_yaml_get(node, table->rows[i].key))
            moe_diag_error(diag, node->loc, "needs `%s`: %s", table->rows[i].key,
                           table->rows[i].help);
}
