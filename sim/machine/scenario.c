#include "sim/machine/scenario.h"

#include "sim/base/data.h"
#include "sim/base/hash.h"
#include "sim/machine/energy.h"
#include "sim/machine/scenario_private.h"
#include "sim/policy/policy.h"
#include "sim/policy/prefetch/prefetch.h"
#include "traces/shards.h"

#include <string.h>

/* Tables by `store`. */
static const char *const details[][4] = {
    [MOE_STORE_SUMMARY] = {NULL},
    [MOE_STORE_LAYER] = {"layer", NULL},
    [MOE_STORE_STEP] = {"step", NULL},
    [MOE_STORE_REQUEST] = {"request", NULL},
    [MOE_STORE_ALL] = {"layer", "step", "request", NULL},
    [MOE_STORE_TIMELINE] = {"timeline", "step", NULL},
};
static const char *const own_sections[] = {"sweep", "zip", "expect", "plot", NULL};

const moe_param_table *
moe_scenario_table(void)
{
    return &moe_config_table;
}

/* ---- messages ---- */

/* The node a key was written at, or the closest section above it that was; the value swept in. */
typedef struct where {
    const moe_scenario *scenario;
    size_t run;
} where;

static const moe_yaml *
walk(const moe_yaml *node, const char *key)
{
    const moe_yaml *found = node;
    g_auto(GStrv) parts = g_strsplit(key, ".", 0);
    for (size_t i = 0; parts[i] && found; i++) {
        const moe_yaml *next = NULL;
        int64_t index;
        if (found->kind == MOE_YAML_MAP)
            next = moe_yaml_get(found, parts[i]);
        else if (found->kind == MOE_YAML_LIST && moe_parse_int(parts[i], &index) && index >= 0 &&
                 (size_t)index < found->n)
            next = &found->items[index];
        if (!next)
            break;
        found = next;
    }
    return found;
}

static moe_loc
locate(const void *context, const char *key)
{
    const where *w = context;
    const moe_scenario *scenario = w->scenario;
    for (guint a = 0; a < scenario->sweep->axes->len; a++) {
        const moe_axis *axis = &g_array_index(scenario->sweep->axes, moe_axis, a);
        for (size_t k = 0; k < axis->n_keys; k++)
            if (g_str_has_prefix(axis->keys[k], key))
                return axis
                    ->values[k * axis->n_values + moe_sweep_index(scenario->sweep, w->run, a)]
                    ->loc;
    }
    const moe_yaml *root = moe_yaml_root(scenario->doc), *node = walk(root, key);
    if (node == root)
        return (moe_loc){.file = scenario->path};
    return node->loc;
}

moe_loc
moe_scenario_locate(const moe_scenario *scenario, size_t i, const char *key)
{
    where w = {scenario, i};
    return locate(&w, key);
}

/* ---- what runs share ---- */

static void
free_model(void *data)
{
    moe_model_free(data);
}

static void
free_hardware(void *data)
{
    moe_hardware_free(data);
}

static void
free_kernels(void *data)
{
    moe_kernels_free(data);
}

static void
free_joined(void *data)
{
    moe_kernels_unjoin(data);
}

static void
free_shared_routing(void *data)
{
    moe_scenario_routing_free(data);
}

static void
free_schedule(void *data)
{
    moe_schedule_free(data);
}

static const moe_model *
share_model(moe_scenario *scenario, const char *name, moe_loc at, moe_diag *diag, GError **error)
{
    moe_model_set *set = g_hash_table_lookup(scenario->models, name);
    if (!set) {
        set = moe_model_load(name, scenario->folder, at, diag, error);
        if (!set)
            return NULL;
        g_hash_table_insert(scenario->models, g_strdup(name), set);
    }
    return moe_model_get(set);
}

static const moe_hardware *
share_hardware(moe_scenario *scenario, const char *name, moe_loc at, moe_diag *diag, GError **error)
{
    moe_hardware_set *set = g_hash_table_lookup(scenario->hardware, name);
    if (!set) {
        set = moe_hardware_load(name, scenario->folder, at, diag, error);
        if (!set)
            return NULL;
        g_hash_table_insert(scenario->hardware, g_strdup(name), set);
    }
    return moe_hardware_get(set);
}

static moe_kernels_set *
share_library(moe_scenario *scenario, const char *name, moe_loc at, moe_diag *diag, GError **error)
{
    moe_kernels_set *set = g_hash_table_lookup(scenario->kernels, name);
    if (!set) {
        set = moe_kernels_load(name, scenario->folder, at, diag, error);
        if (!set)
            return NULL;
        g_hash_table_insert(scenario->kernels, g_strdup(name), set);
    }
    return set;
}

/* The library that a run uses: the hardware's, or the one that the scenario names with the
 * hardware's behind it, for what it lacks; NULL in *kernels: none. False after messages. */
static bool
share_kernels(moe_scenario *scenario, const char *name, const moe_hardware *hw, moe_loc at,
              const moe_kernels **kernels, moe_diag *diag, GError **error)
{
    const moe_kernels *behind = hw->devices[0].kernels;
    *kernels = behind;
    if (!name)
        return true;
    *kernels = NULL;
    if (!strcmp(name, MOE_KERNELS_OWN))
        return true;
    moe_kernels_set *set = share_library(scenario, name, at, diag, error);
    if (!set)
        return false;
    *kernels = moe_kernels_get(set);
    if (!behind || !strcmp(behind->name, (*kernels)->name))
        return true;
    g_autofree char *key = g_strdup_printf("%s %p", name, (const void *)behind);
    moe_kernels *both = g_hash_table_lookup(scenario->joined, key);
    if (!both) {
        const moe_kernels *const two[] = {*kernels, behind};
        both = moe_kernels_join((*kernels)->name, two, MOE_COUNT(two));
        g_hash_table_insert(scenario->joined, g_steal_pointer(&key), both);
    }
    *kernels = both;
    return true;
}

/* Schedules are keyed by what they depend on. */
static const moe_schedule *
share_schedule(moe_scenario *scenario, const moe_shared_routing *shared, const moe_config *config,
               bool encoder, moe_loc at, moe_diag *diag)
{
    const moe_routing *routing = moe_routing_get(shared->file);
    g_autofree char *key =
        g_strdup_printf("%p %d %d %lld %lld %lld %lld %lld %d %.17g %lld", (const void *)shared,
                        encoder, config->batching, (long long)config->workload.requests,
                        (long long)config->workload.prompt, (long long)config->workload.output,
                        (long long)config->workload.batch, (long long)config->workload.warmup,
                        config->workload.prefill, config->routing.profile, (long long)config->seed);
    moe_schedule *schedule = g_hash_table_lookup(scenario->schedules, key);
    if (!schedule) {
        schedule = moe_schedule_new(routing, config, shared->dispatch, encoder, at, diag);
        if (schedule)
            schedule->sizes = shared->sizes;
        if (schedule)
            g_hash_table_insert(scenario->schedules, g_steal_pointer(&key), schedule);
    }
    return schedule;
}

/* ---- one run ---- */

static bool
check_shapes(const moe_model *model, const moe_shared_routing *shared, moe_loc at, moe_diag *diag)
{
    const moe_routing *routing = moe_routing_get(shared->file);
    const moe_stack *stack = moe_model_decoder(model);
    uint32_t experts = 0, top_k = 0;
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE) {
            experts = (uint32_t)stack->layers[i].ffn.experts;
            top_k = (uint32_t)stack->layers[i].ffn.top_k;
        }
    if ((uint32_t)stack->n_moe == routing->n_layers && experts == routing->n_experts &&
        (routing->k <= top_k || shared->counterfactual))
        return true;
    moe_diag_error(diag, at,
                   "the trace %s has %u layers of %u experts, top-%u%s%s, but %s has %d MoE layers "
                   "of %u experts, top-%u",
                   routing->path, routing->n_layers, routing->n_experts, routing->k,
                   *routing->model ? ", from " : "", routing->model, model->name, stack->n_moe,
                   experts, top_k);
    return false;
}

/* What the trace says itself must not be said by the workload, too. */
static bool
check_batching(const moe_model *model, const moe_config *config, const where *w, moe_diag *diag)
{
    const struct {
        const char *key;
        bool stated;
    } keys[] = {
        {"workload.requests", config->workload.requests != INT64_MAX},
        {"workload.prompt", config->workload.prompt != MOE_RECORDED},
        {"workload.output", config->workload.output != MOE_RECORDED},
        {"workload.batch", config->workload.batch != 1},
        {"workload.prefill", config->workload.prefill != MOE_PREFILL_RECORDED},
    };
    bool fine = true;
    if (config->batching != MOE_BATCHING_AS_CAPTURED)
        return true;
    for (size_t i = 0; i < MOE_COUNT(keys); i++)
        if (keys[i].stated) {
            moe_diag_error(diag, locate(w, keys[i].key),
                           "'%s' contradicts 'batching: as-captured', which takes requests and "
                           "steps from the trace; leave it out",
                           keys[i].key);
            fine = false;
        }
    if (moe_model_encoder(model)) {
        moe_diag_error(diag, locate(w, "batching"),
                       "%s has an encoder, whose passes no trace holds: it cannot be replayed as "
                       "captured",
                       model->name);
        fine = false;
    }
    return fine;
}

static bool
check_encoder(const moe_model *model, const moe_config *config, moe_loc at, moe_diag *diag)
{
    bool encoder = moe_model_encoder(model) != NULL;
    if (!encoder && config->workload.encoder_ps > 0) {
        moe_diag_error(diag, at, "'workload.encoder' is stated, but %s has no encoder",
                       model->name);
        return false;
    }
    if (encoder && config->workload.encoder_ps == 0 && config->workload.prompt != 0) {
        moe_diag_error(diag, at,
                       "%s has an encoder, which is not simulated yet: state the time of one pass "
                       "over a prompt with 'workload.encoder', or say 'prompt: 0'",
                       model->name);
        return false;
    }
    return true;
}

static void
add_policy(GString *text, moe_policy_kind kind, const moe_choice *choice)
{
    g_string_append_printf(text, "%s=%s\n", choice->variant->name,
                           moe_policy_source(kind, choice->variant->name));
}

/* The sources of the policies that decide anything in this run. */
static void
add_policies(GString *text, const moe_plan *plan)
{
    const moe_config *config = plan->config;
    const moe_prefetch_ops *prefetch = config->experts.prefetch.variant->ops;
    for (uint32_t t = 0; t < plan->n_tiers; t++)
        add_policy(text, MOE_POLICY_EVICT, &plan->tiers[t].evict);
    if (!plan->offloaded)
        return;
    add_policy(text, MOE_POLICY_PREFETCH, &config->experts.prefetch);
    add_policy(text, MOE_POLICY_SERVE, &config->experts.serve);
    if (prefetch->predicts)
        add_policy(text, MOE_POLICY_PREDICT, &config->experts.predict);
}

static char *
identity(const moe_prepared *run, const moe_shared_routing *shared, GError **error)
{
    const moe_plan *plan = &run->plan;
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "semantics=%d\n", MOE_SEMANTICS);
    moe_settings_canonical(run->settings, false, text);
    moe_model_canonical(plan->model, text);
    moe_hardware_canonical(plan->hw, text);
    if (plan->kernels)
        moe_kernels_canonical(plan->kernels, text);
    moe_energy_canonical(plan->hw, (moe_energy_mode)plan->config->energy.mode, text);
    add_policies(text, plan);
    char *result = NULL;
    bool made = plan->config->routing.synthetic.sequences > 0;
    g_autofree char *hash =
        made ? g_strdup("synthetic") : moe_shards_hash(plan->schedule->routing->path, error);
    if (hash) {
        g_string_append_printf(text, "trace=%s\n%s", hash, shared->identity);
        result = moe_sha256_text(text->str, text->len);
    }
    g_string_free(text, true);
    return result;
}

static bool
prepare_run(moe_scenario *scenario, moe_prepared *run, size_t i, moe_diag *diag, GError **error)
{
    const moe_config *config = moe_settings_data(run->settings);
    where w = {scenario, i};
    unsigned before = moe_diag_errors(diag);
    const moe_model *model = share_model(scenario, config->model, locate(&w, "model"), diag, error);
    const moe_hardware *hw =
        *error ? NULL
               : share_hardware(scenario, config->hardware, locate(&w, "hardware"), diag, error);
    const moe_kernels *kernels = NULL;
    bool known =
        hw && !*error &&
        share_kernels(scenario, config->kernels, hw, locate(&w, "kernels"), &kernels, diag, error);
    moe_loc trace_at = locate(&w, "routing.trace");
    const moe_shared_routing *shared =
        model && !*error ? moe_scenario_routing(scenario, run, model, locate, &w, diag, error)
                         : NULL;
    if (!model || !hw || !shared || !known || !check_shapes(model, shared, trace_at, diag) ||
        !check_batching(model, config, &w, diag) ||
        !check_encoder(model, config, locate(&w, "workload.encoder"), diag))
        return false;
    bool captured = config->batching == MOE_BATCHING_AS_CAPTURED;
    const moe_schedule *schedule =
        share_schedule(scenario, shared, config, moe_model_encoder(model) != NULL,
                       locate(&w, captured ? "batching" : "workload.prompt"), diag);
    if (!schedule || !moe_plan_make(&run->plan, config, model, hw, schedule, locate, &w, diag))
        return false;
    run->plan.kernels = kernels;
    moe_assert(moe_diag_errors(diag) == before, "run %zu is feasible and has errors", i);
    run->public.identity = identity(run, shared, error);
    run->public.counterfactual = shared->counterfactual;
    run->public.energy = run->plan.energy;
    run->public.seed = (uint64_t)config->seed;
    run->public.details = details[config->store];
    return run->public.identity != NULL;
}

/* A run that does not fit is an error, or, if the scenario says so, left out with a warning. */
static bool
prepare_or_skip(moe_scenario *scenario, moe_prepared *run, size_t i, moe_diag *diag, GError **error)
{
    const moe_config *config = moe_settings_data(run->settings);
    if (config->infeasible == MOE_INFEASIBLE_ERROR)
        return prepare_run(scenario, run, i, diag, error);
    g_autoptr(moe_diag) apart = moe_diag_new();
    if (prepare_run(scenario, run, i, apart, error))
        return true;
    if (*error)
        return false;
    GString *which = g_string_new(NULL);
    for (size_t k = 0; k < run->public.n_swept; k++)
        g_string_append_printf(which, "%s%s: %s", k ? ", " : "", run->public.keys[k],
                               run->public.values[k]);
    g_autofree char *why = moe_diag_first(apart);
    moe_diag_warning(diag, (moe_loc){.file = scenario->path}, "left out {%s}: %s", which->str, why);
    g_string_free(which, true);
    return false;
}

static void
clear_run(moe_prepared *run)
{
    for (size_t k = 0; k < run->public.n_swept; k++)
        g_free((char *)(uintptr_t)run->public.values[k]);
    g_free((void *)(uintptr_t)run->public.values);
    g_free((void *)(uintptr_t)run->public.keys);
    g_free((char *)(uintptr_t)run->public.identity);
    moe_settings_free(run->settings);
    moe_plan_clear(&run->plan);
}

static bool
expand(moe_scenario *scenario, moe_settings *base, moe_diag *diag, GError **error)
{
    if (!moe_scenario_sweep(scenario, diag))
        return false;
    scenario->runs = g_new0(moe_prepared, scenario->sweep->n_runs);
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t repeated = 0;
    for (size_t i = 0; i < scenario->sweep->n_runs; i++) {
        moe_prepared run = {.point = i, .settings = moe_settings_copy(base)};
        moe_scenario_sweep_run(scenario, &run, i, diag);
        moe_settings_complete(run.settings, moe_yaml_root(scenario->doc), diag);
        moe_settings_unused(run.settings, diag);
        bool ready = moe_diag_errors(diag) == 0 && prepare_or_skip(scenario, &run, i, diag, error);
        if (ready && !g_hash_table_add(known, g_strdup(run.public.identity)))
            repeated++;
        if (ready)
            scenario->runs[scenario->n_runs++] = run;
        else
            clear_run(&run);
        if (*error || moe_diag_errors(diag) > 64) /* enough to show */
            return false;
    }
    moe_scenario_warn(scenario, diag);
    if (repeated > 0)
        moe_diag_warning(diag, (moe_loc){.file = scenario->path},
                         "%zu of %zu points of the sweep repeat another run: what they sweep does "
                         "not change it",
                         repeated, scenario->n_runs);
    if (moe_diag_errors(diag) == 0 && scenario->n_runs == 0)
        moe_diag_error(diag, (moe_loc){.file = scenario->path}, "no run of the sweep is feasible");
    return moe_diag_errors(diag) == 0;
}

static void
parse_overrides(moe_scenario *scenario, const moe_override *overrides, size_t n, moe_diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("--set %s", overrides[i].key);
        const char *file = moe_diag_intern(diag, name);
        moe_yaml_doc *doc =
            moe_yaml_parse(file, overrides[i].value, strlen(overrides[i].value), diag);
        if (!doc)
            continue;
        g_ptr_array_add(scenario->override_docs, doc);
        g_ptr_array_add(scenario->override_keys, g_strdup(overrides[i].key));
    }
}

static moe_scenario *
new_scenario(const char *path, moe_diag *diag)
{
    moe_scenario *scenario = g_new0(moe_scenario, 1);
    scenario->path = g_strdup(path);
    scenario->folder = g_path_get_dirname(path);
    scenario->models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_model);
    scenario->hardware = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_hardware);
    scenario->kernels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_kernels);
    scenario->joined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_joined);
    scenario->traces = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_shared_routing);
    scenario->schedules = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_schedule);
    scenario->least = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    scenario->swept = g_ptr_array_new_with_free_func(g_free);
    scenario->override_keys = g_ptr_array_new_with_free_func(g_free);
    scenario->override_docs = g_ptr_array_new_with_free_func((GDestroyNotify)moe_yaml_free);
    g_mutex_init(&scenario->lock);
    return scenario;
}

moe_scenario *
moe_scenario_load(const char *path, const moe_override *overrides, size_t n, bool allow_many,
                  moe_diag *diag, GError **error)
{
    g_autoptr(moe_scenario) scenario = new_scenario(path, diag);
    GError *problem = NULL;
    scenario->doc = moe_yaml_load(path, diag, error);
    if (!scenario->doc)
        return NULL;
    const moe_yaml *root = moe_yaml_root(scenario->doc);
    if (root->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, root->loc, "a scenario is a map of keys, got %s",
                       moe_yaml_kind_name(root->kind));
        return NULL;
    }
    g_autofree const char **fixed = g_new0(const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        fixed[i] = overrides[i].key;
    scenario->sweep = moe_sweep_read(root, fixed, n, allow_many, diag);
    scenario->base = moe_settings_new(&moe_config_table);
    moe_settings_read(scenario->base, root, own_sections, false, diag);
    parse_overrides(scenario, overrides, n, diag);
    moe_scenario_override(scenario, scenario->base, diag);
    const moe_config *config = moe_settings_data(scenario->base);
    scenario->name = g_strdup(config->name);
    if (moe_diag_errors(diag) > 0 || scenario->sweep->n_runs == 0 ||
        !expand(scenario, scenario->base, diag, &problem)) {
        if (problem)
            g_propagate_error(error, problem);
        return NULL;
    }
    return g_steal_pointer(&scenario);
}

void
moe_scenario_free(moe_scenario *scenario)
{
    if (!scenario)
        return;
    for (size_t i = 0; i < scenario->n_runs; i++)
        clear_run(&scenario->runs[i]);
    g_free(scenario->runs);
    moe_settings_free(scenario->base);
    moe_sweep_free(scenario->sweep);
    g_hash_table_destroy(scenario->schedules);
    g_hash_table_destroy(scenario->least);
    g_hash_table_destroy(scenario->traces);
    g_hash_table_destroy(scenario->joined);
    g_hash_table_destroy(scenario->kernels);
    g_hash_table_destroy(scenario->hardware);
    g_hash_table_destroy(scenario->models);
    g_ptr_array_free(scenario->override_docs, true);
    g_ptr_array_free(scenario->override_keys, true);
    g_ptr_array_free(scenario->swept, true);
    moe_yaml_free(scenario->doc);
    g_mutex_clear(&scenario->lock);
    g_free(scenario->path);
    g_free(scenario->folder);
    g_free(scenario->name);
    g_free(scenario);
}
