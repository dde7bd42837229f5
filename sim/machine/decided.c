#include "sim/machine/decided.h"

#include "sim/machine/decided_private.h"
#include "sim/policy/prefetch/prefetch.h"

#include <string.h>

void
moe_decided_clear(moe_decided *decided)
{
    g_clear_pointer(&decided->layers, g_free);
    g_clear_pointer(&decided->cache, moe_settings_free);
    g_clear_pointer(&decided->docs, g_ptr_array_unref);
}

/* Settings of the log's head. */
static bool
read_settings(const moe_decisions *log, moe_decided *out, moe_diag *diag)
{
    const char *key, *value;
    moe_loc at;
    int64_t slots = 0;
    out->cache = moe_settings_new(&moe_cache_table);
    for (size_t i = 0; moe_decisions_setting(log, i, &key, &value, &at); i++) {
        if (!strcmp(key, "model"))
            continue;
        if (!strcmp(key, "slots")) {
            if (!moe_parse_int(value, &slots) || slots < 1 || slots > UINT32_MAX - 1)
                moe_diag_error(diag, at, "'slots' wants a number from 1 on, not '%s'", value);
            continue;
        }
        if (!moe_settings_find(out->cache, key, NULL)) {
            moe_diag_error(diag, at, "unknown setting '%s'", key);
            continue;
        }
        g_autofree char *above = g_strnfill((gsize)at.line - 1, '\n'); /* for the line's number */
        g_autofree char *text = g_strconcat(above, value, NULL);
        moe_yaml_doc *doc = moe_yaml_parse(at.file, text, strlen(text), diag);
        if (!doc)
            continue;
        g_ptr_array_add(out->docs, doc);
        moe_settings_set(out->cache, key, moe_yaml_root(doc), diag);
    }
    if (slots == 0 && moe_diag_errors(diag) == 0)
        moe_diag_error(diag, moe_decisions_at(log),
                       "the head does not say how many 'slots' the "
                       "cache had");
    out->slots = (uint32_t)slots;
    return moe_diag_errors(diag) == 0;
}

/* The gates that the predictor asked must be in the trace; looking past the last layer is nothing.
 */
static void
check_distance(const moe_cache *cache, const moe_routing *routing, moe_loc at, moe_diag *diag)
{
    const moe_predict_ops *predict = cache->predict.variant->ops;
    const moe_prefetch_ops *prefetch = cache->prefetch.variant->ops;
    if (!prefetch->predicts || !(predict->needs & MOE_PREDICT_RECORDED))
        return;
    uint32_t reach = MIN(moe_wants_reach(&cache->predict), routing->n_layers - 1);
    uint32_t distance = moe_schedule_distance(routing);
    if (!routing->n_lookahead)
        moe_diag_error(diag, at, "its predictor '%s' needs look-ahead predictions, and %s has none",
                       cache->predict.variant->name, routing->path);
    else if (reach > distance)
        moe_diag_error(diag, at,
                       "its predictor '%s' looks %u layers ahead, and %s has look-ahead "
                       "predictions of %u",
                       cache->predict.variant->name, reach, routing->path, distance);
}

static bool
check_shape(const moe_decisions *log, const moe_routing *routing, const moe_decided *out,
            moe_diag *diag)
{
    uint32_t n_layers = moe_decisions_layers(log), n_experts = moe_decisions_experts(log);
    const moe_cache *cache = moe_settings_data(out->cache);
    moe_loc at = {.file = moe_decisions_at(log).file};
    uint32_t most = n_experts * (cache->scope == MOE_SCOPE_LAYER ? 1 : n_layers);
    if (n_layers != routing->n_layers || n_experts != routing->n_experts)
        moe_diag_error(diag, at, "is of %u layers of %u experts, but %s has %u of %u", n_layers,
                       n_experts, routing->path, routing->n_layers, routing->n_experts);
    else if (out->slots > most)
        moe_diag_error(diag, at, "has %u slots for %u experts", out->slots, most);
    check_distance(cache, routing, at, diag);
    return moe_diag_errors(diag) == 0;
}

static void
open_run(decided_run *run)
{
    const moe_cache *cache = moe_settings_data(run->out->cache);
    const moe_demand *demand = run->demand;
    const moe_routing *routing = run->schedule->routing;
    size_t n_objects = (size_t)demand->n_layers * demand->n_experts;
    const moe_residency_config residency = {
        .n_layers = demand->n_layers,
        .n_experts = demand->n_experts,
        .n_tiers = 1,
        .tiers = {{(moe_scope)cache->scope, run->out->slots, cache->evict}},
        .popularity = run->schedule->popularity,
    };
    uint32_t distance = moe_schedule_distance(routing);
    const moe_predict_view view = {
        .demand = demand,
        .popularity = run->schedule->popularity,
        .seed = (uint64_t)cache->seed,
        .recorded = distance ? moe_schedule_recorded : NULL,
        .source = run->schedule,
        .max_distance = distance,
    };
    run->residency = moe_residency_new(&residency);
    run->wants = moe_wants_new(&view, &cache->predict, &cache->prefetch);
    run->objects = g_new0(uint32_t, demand->n_experts);
    run->miss = g_new0(uint32_t, demand->n_experts);
    run->outcomes = g_new0(uint8_t, demand->n_experts);
    run->state = g_new0(uint8_t, demand->n_experts);
    run->ahead = g_new0(bool, n_objects);
    run->out->layers = g_new0(moe_decided_layer, demand->n_layers);
    run->out->n_layers = demand->n_layers;
    run->out->of_steps = demand->n_steps;
    run->asked = true;
}

static void
close_run(decided_run *run)
{
    moe_residency_free(run->residency);
    moe_wants_free(run->wants);
    void *blocks[] = {run->objects, run->miss, run->outcomes, run->state, run->ahead};
    for (size_t i = 0; i < MOE_COUNT(blocks); i++)
        g_free(blocks[i]);
}

/* The sum over layers must be what the residency itself counts. */
static void
check_sums(const decided_run *run)
{
    const moe_tier_counts *counts = moe_residency_counts(run->residency, 0);
    moe_decided_layer sum = {0};
    for (uint32_t l = 0; l < run->out->n_layers; l++) {
        sum.hits += run->out->layers[l].hits;
        sum.late += run->out->layers[l].late;
        sum.misses += run->out->layers[l].misses;
        sum.loads += run->out->layers[l].loads;
        sum.evictions += run->out->layers[l].evictions;
    }
    moe_assert(sum.hits == counts->hits && sum.late == counts->late &&
                   sum.misses == counts->misses && sum.loads == counts->admits &&
                   sum.evictions == counts->evictions,
               "%llu loads by layers, %llu in all", (unsigned long long)sum.loads,
               (unsigned long long)counts->admits);
}

static bool
take_all(decided_run *run, GError **error)
{
    moe_decision decision;
    moe_decisions_step step;
    while ((step = moe_decisions_next(run->log, &decision, error)) == MOE_DECISIONS_NEXT) {
        if (!decided_take(run, &decision))
            return false;
        run->out->n_decisions++;
    }
    run->out->complete = run->n_counted == run->out->n_layers;
    check_sums(run);
    return step == MOE_DECISIONS_OVER;
}

bool
moe_decided_replay(moe_decisions *log, const moe_routing *routing, moe_decided *out, moe_diag *diag,
                   GError **error)
{
    *out = (moe_decided){0};
    out->docs = g_ptr_array_new_with_free_func((GDestroyNotify)moe_yaml_free);
    if (!read_settings(log, out, diag) || !check_shape(log, routing, out, diag)) {
        moe_decided_clear(out);
        return false;
    }
    const moe_cache *cache = moe_settings_data(out->cache);
    moe_loc at = {.file = moe_decisions_at(log).file};
    moe_schedule *schedule = moe_schedule_captured(routing, cache->profile, at, diag);
    bool replayed = false;
    if (schedule) {
        decided_run run = {.log = log,
                           .schedule = schedule,
                           .demand = &schedule->demand,
                           .out = out,
                           .diag = diag};
        open_run(&run);
        replayed = take_all(&run, error);
        close_run(&run);
    }
    moe_schedule_free(schedule);
    if (!replayed)
        moe_decided_clear(out);
    return replayed;
}
