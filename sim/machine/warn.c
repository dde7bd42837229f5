/* What a user should know before runs begin. */
#include "sim/machine/energy.h"
#include "sim/machine/kernels.h"
#include "sim/machine/scenario_private.h"

/* Cache keys without a home elsewhere have no effect: probably the home was forgotten. */
static void
warn_resident(const moe_scenario *scenario, moe_diag *diag)
{
    static const char *const keys[] = {"experts.cache", "experts.staging", "experts.prefetch"};
    for (size_t i = 0; i < scenario->n_runs; i++)
        if (scenario->runs[i].plan.offloaded)
            return;
    for (size_t k = 0; scenario->n_runs > 0 && k < MOE_COUNT(keys); k++) {
        moe_loc at = moe_scenario_locate(scenario, 0, keys[k]);
        moe_loc above = moe_scenario_locate(scenario, 0, "experts");
        if (at.line != above.line || at.column != above.column)
            moe_diag_warning(diag, at,
                             "'%s' has no effect: all experts are in the device's own memory; "
                             "'experts.home' says where else they live",
                             keys[k]);
    }
}

/* Runs whose energy cannot be given for want of a number. */
static void
warn_energy(const moe_scenario *scenario, moe_diag *diag)
{
    for (size_t i = 0; i < scenario->n_runs; i++) {
        const moe_plan *plan = &scenario->runs[i].plan;
        g_autofree char *unknown = moe_energy_unknown(plan);
        size_t point = scenario->runs[i].point;
        if (unknown)
            moe_diag_warning(diag, moe_scenario_locate(scenario, point, "energy.mode"),
                             "no energy of runs on %s: it does not say the %s", plan->hw->name,
                             unknown);
    }
}

/* Work that a library has no kernel for, once each. */
static void
warn_kernels(const moe_scenario *scenario, moe_diag *diag)
{
    g_autoptr(GHashTable) said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < scenario->n_runs; i++) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        size_t point = scenario->runs[i].point;
        moe_kernels_stand_in(&scenario->runs[i].plan, lines);
        for (guint l = 0; l < lines->len; l++) {
            const char *line = g_ptr_array_index(lines, l);
            if (g_hash_table_add(said, g_strdup(line)))
                moe_diag_warning(diag, moe_scenario_locate(scenario, point, "precision"), "%s",
                                 line);
        }
    }
}

/* Graphs on machines that do not say what a launch from one takes, once each. */
static void
warn_graphs(const moe_scenario *scenario, moe_diag *diag)
{
    g_autoptr(GHashTable) said = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < scenario->n_runs; i++) {
        const moe_plan *plan = &scenario->runs[i].plan;
        const moe_device *device = &plan->hw->devices[0];
        size_t point = scenario->runs[i].point;
        if (plan->config->overhead.graphs && device->graph_launch_ps == device->launch_ps &&
            g_hash_table_add(said, (gpointer)(uintptr_t)plan->hw->name))
            moe_diag_warning(diag, moe_scenario_locate(scenario, point, "overhead.graphs"),
                             "%s does not say launch_in_graph: a kernel of a graph is launched as "
                             "slowly as one without",
                             plan->hw->name);
    }
}

void
moe_scenario_warn(const moe_scenario *scenario, moe_diag *diag)
{
    warn_resident(scenario, diag);
    warn_energy(scenario, diag);
    warn_kernels(scenario, diag);
    warn_graphs(scenario, diag);
}
