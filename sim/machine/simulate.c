#include "sim/machine/machine.h"
#include "sim/machine/scenario_private.h"

const char *
moe_scenario_name(const moe_scenario *scenario)
{
    return scenario->name;
}

const char *
moe_scenario_path(const moe_scenario *scenario)
{
    return scenario->path;
}

size_t
moe_scenario_runs(const moe_scenario *scenario)
{
    return scenario->n_runs;
}

const moe_run *
moe_scenario_run(const moe_scenario *scenario, size_t i)
{
    return &scenario->runs[i].public;
}

const moe_yaml *
moe_scenario_section(const moe_scenario *scenario, const char *key)
{
    return moe_yaml_get(moe_yaml_root(scenario->doc), key);
}

bool
moe_scenario_canonical(const moe_scenario *scenario, const char *key, const moe_yaml *value,
                       moe_loc at, const char **canonical_key, char **canonical_value,
                       moe_diag *diag)
{
    g_autoptr(moe_settings) scratch = moe_settings_copy(scenario->base);
    unsigned before = moe_diag_errors(diag);
    const char *canonical = NULL;
    if (value)
        moe_settings_set(scratch, key, value, diag);
    if (moe_diag_errors(diag) > before)
        return false;
    if (!moe_settings_find(scratch, key, &canonical)) {
        moe_diag_error(diag, at, "unknown key '%s'", key);
        return false;
    }
    *canonical_key = canonical;
    if (canonical_value)
        *canonical_value = value ? moe_settings_text(scratch, key) : NULL;
    return true;
}

void
moe_scenario_describe(const moe_scenario *scenario, size_t i, GString *out)
{
    const moe_prepared *run = &scenario->runs[i];
    g_string_append_printf(out, "%s: %s on %s\n", scenario->name, run->plan.model->name,
                           run->plan.hw->name);
    for (size_t k = 0; k < run->public.n_swept; k++)
        g_string_append_printf(out, "  %s: %s\n", run->public.keys[k], run->public.values[k]);
    if (run->public.counterfactual)
        g_string_append(out, "  counterfactual: the routing is transformed\n");
    moe_plan_describe(&run->plan, out);
}

/* Bounds that all runs with the same schedule and slots share. */
static moe_fewest
fewest_loads(moe_scenario *scenario, const moe_plan *plan, bool decode_only)
{
    const moe_serve_ops *serve = plan->config->experts.serve.variant->ops;
    if (!plan->offloaded || serve->uses_host || plan->n_always > 0) /* those are never loaded */
        return (moe_fewest){UINT64_MAX, UINT64_MAX};
    const moe_schedule *schedule = plan->schedule;
    const moe_tier_config *tier = &plan->tiers[0];
    uint32_t n_objects = schedule->demand.n_layers * schedule->demand.n_experts;
    g_autofree char *key = g_strdup_printf("%p %d %u %d %d", (const void *)schedule, tier->scope,
                                           tier->slots, decode_only, plan->n_tiers > 1);
    g_mutex_lock(&scenario->lock);
    moe_fewest *known = g_hash_table_lookup(scenario->least, key);
    if (!known) {
        known = g_new0(moe_fewest, 1);
        known->loads = moe_schedule_least_loads(schedule, tier->scope == MOE_SCOPE_LAYER,
                                                tier->slots, decode_only);
        if (plan->n_tiers > 1)
            known->first = moe_schedule_least_loads(schedule, false, n_objects, decode_only);
        g_hash_table_insert(scenario->least, g_steal_pointer(&key), known);
    }
    moe_fewest fewest = *known;
    g_mutex_unlock(&scenario->lock);
    return fewest;
}

void
moe_scenario_endless(const moe_scenario *scenario, size_t i, const moe_machine *machine,
                     moe_diag *diag)
{
    const moe_run *run = &scenario->runs[i].public;
    g_autofree char *why = moe_machine_endless(machine);
    g_autoptr(GString) which = g_string_new("");
    for (size_t k = 0; k < run->n_swept; k++)
        g_string_append_printf(which, "%s%s %s", k ? ", " : "with ", run->keys[k], run->values[k]);
    if (which->len)
        g_string_append(which, ": ");
    moe_diag_error(diag, moe_scenario_locate(scenario, scenario->runs[i].point, "hardware"), "%s%s",
                   which->str, why);
}

moe_result *
moe_scenario_simulate(const moe_scenario *scenario, size_t i, moe_run_progress *progress,
                      void *context, moe_diag *diag)
{
    const moe_plan *plan = &scenario->runs[i].plan;
    moe_machine *machine = moe_machine_new(plan);
    machine->progress = progress;
    machine->progress_context = context;
    if (plan->config->store == MOE_STORE_TIMELINE)
        machine->timeline = moe_machine_timeline_new(machine);
    if (!moe_machine_run(machine)) {
        moe_scenario_endless(scenario, i, machine, diag);
        moe_machine_free(machine);
        return NULL;
    }
    /* the scenario's shared bounds are filled as runs need them, under its lock */
    moe_scenario *shared = (moe_scenario *)(uintptr_t)scenario;
    bool has_prefill = plan->schedule->n_prefill_steps > 0;
    moe_result *result = moe_machine_report(machine, fewest_loads(shared, plan, false),
                                            fewest_loads(shared, plan, has_prefill));
    moe_machine_free(machine);
    return result;
}
