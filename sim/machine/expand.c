#include "sim/machine/scenario_private.h"

#include <string.h>

void
moe_scenario_override(const moe_scenario *scenario, moe_settings *settings, moe_diag *diag)
{
    for (guint i = 0; i < scenario->override_docs->len; i++)
        moe_settings_set(settings, g_ptr_array_index(scenario->override_keys, i),
                         moe_yaml_root(g_ptr_array_index(scenario->override_docs, i)), diag);
}

static bool
is_swept(const moe_scenario *scenario, const char *key)
{
    for (guint i = 0; i < scenario->swept->len; i++)
        if (strcmp(g_ptr_array_index(scenario->swept, i), key) == 0)
            return true;
    return false;
}

/* Adds the rows that a value of `key` sets: its own, or those below it for a section. Keys found
 * before `first` belong to another axis key. */
static void
add_leaves(moe_scenario *scenario, const moe_settings *settings, const char *key,
           const moe_yaml *value, guint first, moe_loc loc, moe_diag *diag)
{
    const char *canonical = NULL;
    if (moe_settings_find(settings, key, &canonical)) {
        for (guint i = 0; i < first; i++)
            if (strcmp(g_ptr_array_index(scenario->swept, i), canonical) == 0)
                moe_diag_error(diag, loc, "'%s' is swept twice", canonical);
        if (!is_swept(scenario, canonical))
            g_ptr_array_add(scenario->swept, g_strdup(canonical));
        return;
    }
    for (size_t i = 0; value->kind == MOE_YAML_MAP && i < value->n; i++) {
        g_autofree char *below = g_strconcat(key, ".", value->keys[i].text, NULL);
        add_leaves(scenario, settings, below, &value->items[i], first, loc, diag);
    }
}

/* What the command line sets tells runs of one database apart, too. */
static void
add_overrides(moe_scenario *scenario, moe_diag *diag)
{
    for (guint i = 0; i < scenario->override_docs->len; i++)
        add_leaves(scenario, scenario->base, g_ptr_array_index(scenario->override_keys, i),
                   moe_yaml_root(g_ptr_array_index(scenario->override_docs, i)), 0,
                   (moe_loc){.file = scenario->path}, diag);
}

bool
moe_scenario_sweep(moe_scenario *scenario, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    for (guint a = 0; a < scenario->sweep->axes->len; a++) {
        const moe_axis *axis = &g_array_index(scenario->sweep->axes, moe_axis, a);
        for (size_t k = 0; k < axis->n_keys; k++) {
            guint known = scenario->swept->len;
            for (size_t v = 0; v < axis->n_values; v++) {
                const moe_yaml *value = axis->values[k * axis->n_values + v];
                g_autoptr(moe_settings) scratch = moe_settings_copy(scenario->base);
                for (size_t other = 0; other < axis->n_keys; other++)
                    moe_settings_set(scratch, axis->keys[other],
                                     axis->values[other * axis->n_values + v], diag);
                add_leaves(scenario, scratch, axis->keys[k], value, known, axis->locs[k], diag);
            }
        }
    }
    add_overrides(scenario, diag);
    return moe_diag_errors(diag) == before;
}

void
moe_scenario_sweep_run(const moe_scenario *scenario, moe_prepared *run, size_t i, moe_diag *diag)
{
    for (guint a = 0; a < scenario->sweep->axes->len; a++) {
        const moe_axis *axis = &g_array_index(scenario->sweep->axes, moe_axis, a);
        size_t v = moe_sweep_index(scenario->sweep, i, a);
        for (size_t k = 0; k < axis->n_keys; k++)
            moe_settings_set(run->settings, axis->keys[k], axis->values[k * axis->n_values + v],
                             diag);
    }
    moe_scenario_override(scenario, run->settings, diag);
    size_t n = 0;
    const char **keys = g_new0(const char *, scenario->swept->len + 1);
    char **values = g_new0(char *, scenario->swept->len + 1);
    for (guint k = 0; k < scenario->swept->len; k++) {
        const char *key = g_ptr_array_index(scenario->swept, k);
        char *text = moe_settings_text(run->settings, key);
        if (!text)
            continue; /* a parameter of a policy that this run does not have */
        keys[n] = key;
        values[n++] = text;
    }
    run->public.n_swept = n;
    run->public.keys = keys;
    run->public.values = (const char *const *)values;
}
