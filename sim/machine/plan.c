#include "sim/machine/plan.h"

#include "sim/machine/energy.h"
#include "sim/machine/lower.h"
#include "sim/policy/predict/predict.h"
#include "sim/policy/prefetch/prefetch.h"
#include "sim/policy/serve/serve.h"
#include "sim/policy/wants.h"
#include "sim/residency/cache.h"

#include <math.h>
#include <string.h>

#define MOST_BYTES 1e18 /* more than any place holds, and sums of a few are in range */

typedef struct maker {
    moe_plan *plan;
    moe_locate *locate;
    const void *context;
    moe_diag *diag;
} maker;

static moe_loc
at(const maker *m, const char *key)
{
    return m->locate(m->context, key);
}

static void
add_account(moe_plan *plan, int place, const char *name, int64_t bytes)
{
    moe_assert(plan->n_accounts < MOE_COUNT(plan->accounts), "accounts of %s", name);
    plan->accounts[plan->n_accounts++] = (moe_account){place, name, bytes};
}

static int64_t
routed_params(const moe_model *model)
{
    int64_t params = 0;
    for (int s = 0; s < model->n_stacks; s++)
        for (int i = 0; i < model->stacks[s].n_layers; i++) {
            const moe_ffn *ffn = &model->stacks[s].layers[i].ffn;
            if (ffn->kind == MOE_FFN_MOE && !ffn->again)
                params += moe_expert_params(model, ffn) * ffn->experts;
        }
    return params;
}

static int64_t
kv_bytes(const moe_plan *plan, double bits)
{
    const moe_stack *stack = moe_model_decoder(plan->model);
    double bytes = 0, batch = (double)plan->schedule->batch;
    for (int i = 0; i < stack->n_layers; i++) {
        const moe_layer *layer = &stack->layers[i];
        double tokens = (double)plan->schedule->peak_context;
        if (layer->attention.window > 0)
            tokens = MIN(tokens, batch * layer->attention.window);
        bytes += tokens * ((double)moe_attention_kv(&layer->attention) * bits / 8 +
                           (double)moe_attention_index_bytes(&layer->attention));
        if (layer->cross.kind != MOE_ATTENTION_NONE)
            bytes += (double)plan->schedule->peak_encoder *
                     (double)moe_attention_kv(&layer->cross) * bits / 8;
    }
    return (int64_t)bytes;
}

/* What linear attention keeps of each request in flight, however long it is. */
static int64_t
state_bytes(const moe_plan *plan)
{
    const moe_stack *stack = moe_model_decoder(plan->model);
    double bytes = 0, requests = MIN(plan->schedule->batch, plan->schedule->n_requests);
    for (int i = 0; i < stack->n_layers; i++)
        bytes += requests * (double)moe_attention_state_bytes(&stack->layers[i].attention);
    return (int64_t)MIN(bytes, MOST_BYTES);
}

/* Residual stream, one widest intermediate per token, and the logits of each request. */
static int64_t
activation_bytes(const moe_plan *plan, double bits)
{
    const moe_stack *stack = moe_model_decoder(plan->model);
    double widest = 0;
    for (int i = 0; i < stack->n_layers; i++) {
        const moe_ffn *ffn = &stack->layers[i].ffn;
        double width = ffn->kind == MOE_FFN_MOE
                           ? (double)ffn->top_k * ffn->width + ffn->shared_width
                           : ffn->width;
        double columns = (double)moe_attention_linear_columns(&stack->layers[i].attention);
        widest = MAX(widest, MAX(width, columns));
    }
    double tokens = plan->schedule->max_tokens;
    double logits = (double)plan->schedule->batch * plan->model->vocab * 4;
    return (int64_t)(tokens * (4.0 * plan->model->hidden + widest) * bits / 8 + logits);
}

/* What transforms have taken away from the experts of the layers in the routing. */
static int64_t
saved_bytes(const moe_plan *plan)
{
    const moe_demand *demand = &plan->schedule->demand;
    double saved = 0;
    for (uint32_t i = 0; plan->sizes && i < demand->n_layers * demand->n_experts; i++)
        saved += (1 - plan->sizes[i]) * plan->full_bytes;
    return (int64_t)saved;
}

/* Sizes of slots and loads, and how many experts there are. */
static void
measure_experts(moe_plan *plan)
{
    const moe_demand *demand = &plan->schedule->demand;
    double largest = 0, smallest = INFINITY;
    plan->full_bytes = (double)moe_expert_bytes(plan->model, plan->config, 0);
    plan->sizes = plan->schedule->sizes;
    plan->n_objects = 0;
    for (uint32_t i = 0; i < demand->n_layers * demand->n_experts; i++) {
        double size = plan->sizes ? plan->sizes[i] : 1;
        if (size <= 0)
            continue;
        plan->n_objects++;
        largest = MAX(largest, size);
        smallest = MIN(smallest, size);
    }
    plan->expert_bytes = (int64_t)(plan->full_bytes * largest);
    plan->least_bytes = (int64_t)(plan->full_bytes * smallest);
}

double
moe_plan_mean_size(const moe_plan *plan, const uint32_t *objects, const uint32_t *which, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; plan->sizes && i < n; i++)
        sum += plan->sizes[objects[which ? which[i] : i]];
    return plan->sizes && n > 0 ? sum / n : 1;
}

static void
account_static(moe_plan *plan)
{
    moe_precision bits = moe_lowering_precision(plan->model, plan->config);
    int64_t routed = routed_params(plan->model);
    int64_t others = moe_model_total(plan->model) - routed;
    add_account(plan, plan->device_place, "weights", moe_weight_bytes(others, bits.weights));
    add_account(plan, plan->device_place, "KV cache", kv_bytes(plan, bits.kv));
    if (state_bytes(plan))
        add_account(plan, plan->device_place, "linear state", state_bytes(plan));
    add_account(plan, plan->device_place, "activations", activation_bytes(plan, bits.activations));
    add_account(plan, plan->home_place, "experts",
                moe_weight_bytes(routed, bits.experts) - saved_bytes(plan));
}

static int
find_place(const maker *m, const char *key, const char *name, int fallback)
{
    const moe_hardware *hw = m->plan->hw;
    if (!name || !*name)
        return fallback;
    int place = moe_hardware_place(hw, name);
    if (place >= 0)
        return place;
    g_autofree const char **names = g_new(const char *, (size_t)hw->n_places);
    GString *known = g_string_new(NULL);
    for (int i = 0; i < hw->n_places; i++) {
        names[i] = hw->places[i].name;
        g_string_append_printf(known, "%s%s", i ? ", " : "", names[i]);
    }
    const char *close = moe_suggest(name, names, (size_t)hw->n_places);
    if (close)
        moe_diag_error(m->diag, at(m, key), "%s has no place '%s'; did you mean '%s'?", hw->name,
                       name, close);
    else
        moe_diag_error(m->diag, at(m, key), "%s has no place '%s'; it has %s", hw->name, name,
                       known->str);
    g_string_free(known, true);
    return -1;
}

static int64_t
free_bytes(const moe_plan *plan, int place)
{
    const moe_place *p = &plan->hw->places[place];
    int64_t left = p->capacity - p->reserved;
    for (size_t i = 0; i < plan->n_accounts; i++)
        if (plan->accounts[i].place == place)
            left -= plan->accounts[i].bytes;
    return left;
}

/* Slots of one pool that `amount` buys; 0 after a message. */
static uint32_t
count_slots(const maker *m, const char *key, const moe_amount *amount, moe_scope scope, int place)
{
    const moe_plan *plan = m->plan;
    const moe_demand *demand = &plan->schedule->demand;
    uint32_t pools = scope == MOE_SCOPE_LAYER ? demand->n_layers : 1;
    double objects = (double)plan->n_objects / pools;
    moe_amount room = *amount;
    if (room.kind == MOE_AMOUNT_REST)
        room = (moe_amount){.kind = MOE_AMOUNT_BYTES, .count = MAX(free_bytes(plan, place), 0)};
    double slots =
        moe_cache_slots(room, (double)plan->n_objects, pools, (double)plan->expert_bytes);
    if (slots < 1) {
        g_autofree char *one = moe_format_bytes(plan->expert_bytes);
        g_autofree char *wanted = moe_format_amount(*amount);
        moe_diag_error(m->diag, at(m, key),
                       "a capacity of %s holds no expert: one takes %s, and %s has %.0f", wanted,
                       one, scope == MOE_SCOPE_LAYER ? "a layer" : "the model", objects);
        return 0;
    }
    return (uint32_t)MIN(slots, ceil(objects)); /* layers may hold unequally many */
}

static bool
add_tier(maker *m, const moe_cache_config *cache, const char *prefix, int fallback)
{
    moe_plan *plan = m->plan;
    g_autofree char *place_key = g_strconcat(prefix, ".place", NULL);
    g_autofree char *capacity_key = g_strconcat(prefix, ".capacity", NULL);
    uint32_t t = plan->n_tiers;
    int place = find_place(m, place_key, cache->place, fallback);
    if (place < 0)
        return false;
    moe_scope scope = cache->scope ? MOE_SCOPE_LAYER : MOE_SCOPE_MODEL;
    uint32_t slots = count_slots(m, capacity_key, &cache->capacity, scope, place);
    if (slots == 0)
        return false;
    uint32_t pools = scope == MOE_SCOPE_LAYER ? plan->schedule->demand.n_layers : 1;
    plan->tiers[t] = (moe_tier_config){.scope = scope, .slots = slots, .evict = cache->evict};
    plan->tier_place[t] = place;
    plan->total_slots[t] = slots * pools;
    plan->n_tiers++;
    add_account(plan, place, "expert slots", (int64_t)slots * pools * plan->expert_bytes);
    return true;
}

/* The object that a pin names; MOE_NONE after a message. */
static uint32_t
pinned_object(const maker *m, const char *key, const moe_pin_config *pin)
{
    const moe_routing *routing = m->plan->schedule->routing;
    uint32_t layer = 0;
    while (layer < routing->n_layers && routing->layer_ids[layer] != (uint64_t)pin->layer)
        layer++;
    if (layer < routing->n_layers && pin->expert < routing->n_experts) {
        uint32_t object = layer * routing->n_experts + (uint32_t)pin->expert;
        if (!m->plan->sizes || m->plan->sizes[object] > 0)
            return object;
        moe_diag_error(m->diag, at(m, key),
                       "layer %lld has no expert %lld any more: it was pruned, or merged into "
                       "another",
                       (long long)pin->layer, (long long)pin->expert);
    } else if (layer < routing->n_layers)
        moe_diag_error(m->diag, at(m, key), "expert %lld, but there are %u experts",
                       (long long)pin->expert, routing->n_experts);
    else
        moe_diag_error(m->diag, at(m, key), "%s has no MoE layer %lld; they are %u to %u",
                       routing->path, (long long)pin->layer, routing->layer_ids[0],
                       routing->layer_ids[routing->n_layers - 1]);
    return MOE_NONE;
}

/* Pinned experts must exist once, and leave each pool a slot. */
static bool
plan_pins(maker *m)
{
    moe_plan *plan = m->plan;
    const moe_list *list = &plan->config->experts.pin;
    const moe_pin_config *pins = list->items;
    const moe_demand *demand = &plan->schedule->demand;
    bool per_layer = plan->tiers[0].scope == MOE_SCOPE_LAYER;
    g_autofree uint32_t *used = g_new0(uint32_t, demand->n_layers);
    g_autofree bool *known = g_new0(bool, (size_t)demand->n_layers * demand->n_experts);
    plan->always = g_new(uint32_t, list->n + 1);
    for (size_t i = 0; i < list->n; i++) {
        g_autofree char *key = g_strdup_printf("experts.cache.pin.%zu", i);
        uint32_t object = pinned_object(m, key, &pins[i]);
        if (object == MOE_NONE)
            return false;
        if (known[object]) {
            moe_diag_error(m->diag, at(m, key), "layer %lld, expert %lld is pinned twice",
                           (long long)pins[i].layer, (long long)pins[i].expert);
            return false;
        }
        if (++used[per_layer ? object / demand->n_experts : 0] >= plan->tiers[0].slots) {
            moe_diag_error(m->diag, at(m, key),
                           "pinned experts take all %u slots %s; one must be left to the others",
                           plan->tiers[0].slots, per_layer ? "of the layer" : "there are");
            return false;
        }
        known[object] = true;
        plan->always[plan->n_always++] = object;
    }
    return true;
}

static bool
route_tiers(maker *m)
{
    moe_plan *plan = m->plan;
    const moe_hardware *hw = plan->hw;
    for (uint32_t t = 0; t < plan->n_tiers; t++) {
        int from = plan->tier_place[t + 1], to = plan->tier_place[t];
        plan->n_hops[t] = moe_hardware_route(hw, from, to, plan->hops[t], MOE_MAX_HOPS);
        if (plan->n_hops[t] > 0)
            continue;
        moe_diag_error(m->diag, at(m, "experts.home"),
                       from == to ? "two tiers of experts are both in %s of %s"
                                  : "no way leads from %s to %s on %s",
                       hw->places[from].name, from == to ? hw->name : hw->places[to].name,
                       hw->name);
        return false;
    }
    return true;
}

static bool
plan_tiers(maker *m)
{
    moe_plan *plan = m->plan;
    const moe_config *config = plan->config;
    if (!add_tier(m, &config->experts.cache, "experts.cache", plan->device_place))
        return false;
    if (plan->tier_place[0] != plan->device_place) {
        moe_diag_error(m->diag, at(m, "experts.cache.place"),
                       "the cache must be in the memory the device computes from: %s",
                       plan->hw->places[plan->device_place].name);
        return false;
    }
    const moe_cache_config *staging = config->experts.staging.items;
    for (size_t i = 0; i < config->experts.staging.n; i++) {
        g_autofree char *prefix = g_strdup_printf("experts.staging.%zu", i);
        if (!add_tier(m, &staging[i], prefix, -1))
            return false;
    }
    plan->tier_place[plan->n_tiers] = plan->home_place;
    return plan_pins(m) && route_tiers(m);
}

static bool
check_memory(const maker *m)
{
    const moe_plan *plan = m->plan;
    bool fits = true;
    for (int p = 0; p < plan->hw->n_places; p++) {
        int64_t left = free_bytes(plan, p);
        if (left >= 0)
            continue;
        const moe_place *place = &plan->hw->places[p];
        g_autofree char *needs = moe_format_bytes(place->capacity - place->reserved - left);
        g_autofree char *has = moe_format_bytes(place->capacity - place->reserved);
        GString *parts = g_string_new(NULL);
        for (size_t i = 0; i < plan->n_accounts; i++) {
            if (plan->accounts[i].place != p)
                continue;
            g_autofree char *bytes = moe_format_bytes(plan->accounts[i].bytes);
            g_string_append_printf(parts, "%s%s %s", parts->len ? ", " : "", plan->accounts[i].name,
                                   bytes);
        }
        moe_diag_error(m->diag, at(m, "model"), "needs %s in %s of %s, has %s: %s", needs,
                       place->name, plan->hw->name, has, parts->str);
        g_string_free(parts, true);
        fits = false;
    }
    return fits;
}

/* The farthest look-ahead that the trace holds, and how far the predictor would look. */
static bool
check_distance(const maker *m)
{
    const moe_choice *choice = &m->plan->config->experts.predict;
    const moe_routing *routing = m->plan->schedule->routing;
    uint32_t distance = moe_schedule_distance(routing), reach = moe_wants_reach(choice);
    if (reach > distance)
        moe_diag_error(m->diag, at(m, "experts.predict"),
                       "predictor '%s' is to look %u layers ahead, and %s has look-ahead "
                       "predictions of %u",
                       choice->variant->name, reach, routing->path, distance);
    return reach <= distance;
}

/* What the chosen policies ask for must be there. */
static bool
check_policies(const maker *m)
{
    const moe_plan *plan = m->plan;
    const moe_config *config = plan->config;
    const moe_prefetch_ops *prefetch = config->experts.prefetch.variant->ops;
    const moe_predict_ops *predict = config->experts.predict.variant->ops;
    const moe_serve_ops *serve = config->experts.serve.variant->ops;
    const moe_routing *routing = plan->schedule->routing;
    if (prefetch->predicts && (predict->needs & MOE_PREDICT_RECORDED) &&
        routing->n_lookahead == 0) {
        moe_diag_error(m->diag, at(m, "experts.predict"),
                       "predictor '%s' needs look-ahead predictions, and %s has none; use another "
                       "kind, such as 'given' with a stated recall",
                       config->experts.predict.variant->name, routing->path);
        return false;
    }
    if (prefetch->predicts && (predict->needs & MOE_PREDICT_RECORDED) && !check_distance(m))
        return false;
    if (serve->uses_host && (plan->hw->host < 0 || !plan->offloaded)) {
        moe_diag_error(m->diag, at(m, "experts.serve"),
                       plan->offloaded
                           ? "serve '%s' needs a CPU device, and %s has none"
                           : "serve '%s' needs experts that live in host memory ('experts.home'), "
                             "not on the device of %s",
                       config->experts.serve.variant->name, plan->hw->name);
        return false;
    }
    if (serve->uses_host && plan->hw->devices[plan->hw->host].place != plan->home_place) {
        moe_diag_error(m->diag, at(m, "experts.serve"),
                       "serve '%s' computes where experts live: in %s, but the CPU of %s works "
                       "from %s",
                       config->experts.serve.variant->name, plan->hw->places[plan->home_place].name,
                       plan->hw->name,
                       plan->hw->places[plan->hw->devices[plan->hw->host].place].name);
        return false;
    }
    return true;
}

static bool
check_equal_experts(const maker *m)
{
    const moe_plan *plan = m->plan;
    for (uint32_t l = 1; l < plan->schedule->demand.n_layers; l++)
        if ((double)moe_expert_bytes(plan->model, plan->config, l) != plan->full_bytes) {
            moe_diag_error(m->diag, at(m, "model"),
                           "%s has experts of different sizes; only models with one size can be "
                           "offloaded",
                           plan->model->name);
            return false;
        }
    return true;
}

/* The experts of further rounds are those of the layer before, but objects here belong to a layer.
 */
static bool
check_rounds(const maker *m)
{
    const moe_plan *plan = m->plan;
    const moe_stack *stack = moe_model_decoder(plan->model);
    bool again = false;
    for (int i = 0; i < stack->n_layers; i++)
        again |= stack->layers[i].ffn.again;
    if (!again || (!plan->offloaded && !plan->sizes))
        return true;
    moe_diag_error(m->diag, at(m, plan->offloaded ? "experts.home" : "routing.transform"),
                   "%s uses its experts in several rounds ('moe.rounds'); %s", plan->model->name,
                   plan->offloaded
                       ? "such experts cannot be offloaded yet"
                       : "transforms that change what experts weigh do not know that yet");
    return false;
}

/* Stated times alone must leave room on the clock (int64 picoseconds, 106 days). */
static bool
check_clock(const maker *m)
{
    const moe_config *config = m->plan->config;
    const moe_schedule *schedule = m->plan->schedule;
    double layers = moe_model_decoder(m->plan->model)->n_layers;
    double per_layer = (double)config->overhead.layer_ps + (double)config->overhead.experts_ps +
                       (double)config->overhead.gate_ps +
                       (double)config->overhead.prefetch_ps * schedule->demand.n_experts;
    double stated =
        (double)schedule->n_requests * (double)config->workload.encoder_ps +
        (double)schedule->n_steps * (layers * per_layer + (double)config->overhead.step_ps);
    if (stated < 4e18)
        return true;
    moe_diag_error(m->diag, at(m, "workload.encoder"),
                   "the times that are stated ('overhead', 'workload.encoder') add up to %.0f "
                   "days; a run can last 50",
                   stated / 1e12 / 86400);
    return false;
}

#define HARDWARE_CURRENCY "USD" /* of prices in descriptions of hardware */

static bool
check_price(const maker *m)
{
    const moe_config *config = m->plan->config;
    bool stated = config->price.per_hour > 0 || m->plan->hw->price_per_hour <= 0;
    if (!stated && strcmp(config->price.currency, HARDWARE_CURRENCY) != 0) {
        moe_diag_error(m->diag, at(m, "price.currency"),
                       "the price of %s, %.4g per hour, is in " HARDWARE_CURRENCY
                       ", not in %s, and is not converted: state 'price.per_hour'",
                       m->plan->hw->name, m->plan->hw->price_per_hour, config->price.currency);
        return false;
    }
    if (config->price.energy_per_kwh <= 0 || config->energy.mode != MOE_ENERGY_NONE)
        return true;
    moe_diag_error(m->diag, at(m, "price.energy_per_kwh"),
                   "energy has a price, but none is reckoned; say 'energy.mode: board', or device");
    return false;
}

bool
moe_plan_make(moe_plan *plan, const moe_config *config, const moe_model *model,
              const moe_hardware *hw, const moe_schedule *schedule, moe_locate *locate,
              const void *context, moe_diag *diag)
{
    memset(plan, 0, sizeof *plan);
    plan->config = config;
    plan->model = model;
    plan->hw = hw;
    plan->schedule = schedule;
    plan->device_place = hw->devices[0].place;
    measure_experts(plan);
    maker m = {plan, locate, context, diag};
    plan->home_place = find_place(&m, "experts.home", config->experts.home, plan->device_place);
    if (plan->home_place < 0 || !check_equal_experts(&m))
        return false;
    plan->offloaded = plan->home_place != plan->device_place;
    if (!check_rounds(&m))
        return false;
    account_static(plan);
    if (plan->offloaded && !plan_tiers(&m))
        return false;
    if (!check_policies(&m) || !check_price(&m) || !check_memory(&m) || !check_clock(&m))
        return false;
    g_autofree char *unknown = moe_energy_unknown(plan);
    plan->energy = config->energy.mode != MOE_ENERGY_NONE && !unknown;
    return true;
}

void
moe_plan_clear(moe_plan *plan)
{
    g_clear_pointer(&plan->always, g_free);
}

int64_t
moe_plan_static_bytes(const moe_plan *plan, int place)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < plan->n_accounts; i++)
        if (plan->accounts[i].place == place && strcmp(plan->accounts[i].name, "expert slots") != 0)
            bytes += plan->accounts[i].bytes;
    return bytes;
}

void
moe_plan_describe(const moe_plan *plan, GString *out)
{
    g_autofree char *expert = moe_format_bytes(plan->expert_bytes);
    g_string_append_printf(out, "  %u MoE layers of %u experts, %s each; %u steps, %llu tokens\n",
                           plan->schedule->demand.n_layers, plan->schedule->demand.n_experts,
                           expert, plan->schedule->n_steps,
                           (unsigned long long)plan->schedule->n_tokens);
    for (int p = 0; p < plan->hw->n_places; p++) {
        const moe_place *place = &plan->hw->places[p];
        g_autofree char *has = moe_format_bytes(place->capacity - place->reserved);
        g_string_append_printf(out, "  %-8s %10s usable", place->name, has);
        for (size_t i = 0; i < plan->n_accounts; i++) {
            if (plan->accounts[i].place != p)
                continue;
            g_autofree char *bytes = moe_format_bytes(plan->accounts[i].bytes);
            g_string_append_printf(out, ", %s %s", plan->accounts[i].name, bytes);
        }
        g_string_append_c(out, '\n');
    }
    for (uint32_t t = 0; t < plan->n_tiers; t++)
        g_string_append_printf(out, "  tier %u in %s: %u slots %s, evict %s\n", t,
                               plan->hw->places[plan->tier_place[t]].name, plan->tiers[t].slots,
                               plan->tiers[t].scope == MOE_SCOPE_LAYER ? "per layer" : "in all",
                               plan->tiers[t].evict.variant->name);
    if (plan->n_always > 0)
        g_string_append_printf(out, "  %u expert%s pinned in tier 0\n", plan->n_always,
                               plan->n_always == 1 ? " is" : "s are");
    moe_energy_describe(plan, out);
}
