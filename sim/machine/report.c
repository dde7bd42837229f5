#include "sim/machine/report_private.h"
#include "sim/machine/scenario.h"

#include <string.h>

static const moe_metric_info infos[] = {
#define X(name, unit, higher, help) {#name, unit, help, higher},
    MOE_METRICS(X)
#undef X
};

const moe_metric_info *
moe_metrics(size_t *n)
{
    *n = MOE_COUNT(infos);
    return infos;
}

static moe_time
wall_end(const moe_machine *machine)
{
    return machine->step ? machine->step_end[machine->step - 1] : 0;
}

moe_time
moe_report_wall(const moe_machine *machine)
{
    bool measured = machine->step > machine->schedule->measured;
    return measured ? wall_end(machine) - machine->measured_from : 0;
}

static void
report_steps(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_schedule *schedule = machine->schedule;
    for (uint32_t s = schedule->measured; s < machine->step; s++) {
        moe_time took = machine->step_end[s] - machine->step_start[s];
        if (schedule->steps[s].phase == MOE_DECODE) {
            r->decode_ps += took;
            r->decoded_alone += schedule->steps[s].n;
        } else {
            r->prefill_ps += took;
            r->prompted += schedule->steps[s].n - schedule->steps[s].decoded;
        }
        r->decoded += schedule->steps[s].decoded;
    }
    r->value[MOE_METRIC_wall_s] = moe_report_seconds(moe_report_wall(machine));
    r->value[MOE_METRIC_tokens_per_s] =
        moe_report_ratio((double)r->decoded, moe_report_seconds(moe_report_wall(machine)));
    r->value[MOE_METRIC_decode_tokens_per_s] =
        moe_report_ratio((double)r->decoded_alone, moe_report_seconds(r->decode_ps));
    r->value[MOE_METRIC_prefill_tokens_per_s] =
        r->prompted ? moe_report_ratio((double)r->prompted, moe_report_seconds(r->prefill_ps))
                    : NAN;
    r->value[MOE_METRIC_moe_block_s] =
        moe_report_ratio(machine->block_ps / (double)MOE_PS_PER_S, (double)machine->blocks);
}

static void
put_percentiles(moe_report *r, moe_stat *stat, int mean, int p50, int p99)
{
    if (moe_stat_count(stat) > 0) {
        if (mean >= 0)
            r->value[mean] = moe_stat_mean(stat) / (double)MOE_PS_PER_S;
        if (p50 >= 0)
            r->value[p50] = moe_report_seconds(moe_stat_percentile(stat, 0.5));
        r->value[p99] = moe_report_seconds(moe_stat_percentile(stat, 0.99));
    }
    moe_stat_free(stat);
}

static void
report_requests(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_schedule *schedule = machine->schedule;
    moe_stat *ttft = moe_stat_new(), *tpot = moe_stat_new(), *e2e = moe_stat_new();
    for (uint32_t i = 0; i < schedule->n_requests; i++) {
        const moe_request *request = &schedule->requests[i];
        r->ended += moe_request_runs(request) && request->last >= schedule->measured &&
                    request->last < machine->step;
        if (!moe_request_runs(request) || request->admitted < schedule->measured)
            continue;
        moe_time start = machine->step_start[request->admitted];
        moe_time first = machine->step_end[request->first], last = machine->step_end[request->last];
        moe_stat_add(ttft, first - start);
        moe_stat_add(e2e, last - start);
        uint32_t more =
            request->prompt > 0 ? request->output : request->output - (request->output > 0);
        if (more > 0)
            moe_stat_add(tpot, (last - first) / more);
    }
    put_percentiles(r, ttft, MOE_METRIC_ttft_mean_s, MOE_METRIC_ttft_p50_s, MOE_METRIC_ttft_p99_s);
    put_percentiles(r, tpot, MOE_METRIC_tpot_mean_s, MOE_METRIC_tpot_p50_s, MOE_METRIC_tpot_p99_s);
    put_percentiles(r, e2e, MOE_METRIC_e2e_mean_s, -1, MOE_METRIC_e2e_p99_s);
}

static void
report_gaps(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_schedule *schedule = machine->schedule;
    moe_stat *itl = moe_stat_new();
    g_autofree moe_time *before = g_new0(moe_time, schedule->n_requests + 1);
    for (uint32_t s = 0; s < machine->step; s++) {
        const moe_step *step = &schedule->steps[s];
        moe_time now = machine->step_end[s];
        for (uint64_t t = step->first; t < step->first + step->n; t++) {
            uint32_t request = schedule->request[t];
            if (moe_schedule_decodes(schedule, step, t) && before[request] > 0 &&
                s >= schedule->measured)
                moe_stat_add(itl, now - before[request]);
            before[request] = now;
        }
    }
    put_percentiles(r, itl, -1, MOE_METRIC_itl_p50_s, MOE_METRIC_itl_p99_s);
}

static void
report_experts(moe_report *r)
{
    const moe_machine *machine = r->machine;
    moe_layer_counts sum = {0};
    for (uint32_t l = 0; l < machine->n_layers; l++) {
        const moe_layer_counts *c = &machine->layers[l];
        sum.hits += c->hits;
        sum.late += c->late;
        sum.misses += c->misses;
        sum.loads += c->loads;
        sum.tokens += c->tokens;
        sum.token_hits += c->token_hits;
    }
    double demands = (double)(sum.hits + sum.late + sum.misses);
    r->value[MOE_METRIC_hit_rate] = moe_report_ratio((double)(sum.hits + sum.late), demands);
    r->value[MOE_METRIC_late_rate] = moe_report_ratio((double)sum.late, demands);
    r->value[MOE_METRIC_token_hit_rate] =
        moe_report_ratio((double)sum.token_hits, (double)sum.tokens);
    r->value[MOE_METRIC_loads] = (double)sum.loads;
    r->value[MOE_METRIC_host_served] = (double)machine->host_served;
    r->value[MOE_METRIC_prefetch_loads] = (double)machine->prefetch_loads;
    r->value[MOE_METRIC_prefetch_accuracy] =
        moe_report_ratio((double)machine->prefetch_used, (double)machine->prefetch_loads);
    r->value[MOE_METRIC_routing_reuse] =
        moe_report_ratio((double)machine->schedule->reused, (double)machine->schedule->n_tokens);
    double wasted = 0;
    for (uint32_t i = 0; machine->residency && i < machine->n_layers * machine->n_experts; i++)
        wasted += (double)moe_residency_wasted(machine->residency, 0, i) *
                  (double)moe_plan_object_bytes(machine->plan, i);
    if (machine->residency)
        r->value[MOE_METRIC_prefetch_waste_bytes] = wasted;
}

/* Experts that a layer needs in a measured decode step. */
static double
distinct_experts(const moe_machine *machine)
{
    const moe_demand *demand = machine->demand;
    uint64_t members = 0, groups = 0;
    for (uint32_t step = machine->schedule->measured; step < demand->n_steps; step++) {
        if (machine->schedule->steps[step].phase != MOE_DECODE)
            continue;
        members += demand->first[moe_demand_group(demand, step + 1, 0)] -
                   demand->first[moe_demand_group(demand, step, 0)];
        groups += demand->n_layers;
    }
    return moe_report_ratio((double)members, (double)groups);
}

/* Bytes of the experts of all measured tokens. One size needs no look at the demand. */
static double
routed_bytes(const moe_machine *machine, double pairs)
{
    const moe_demand *demand = machine->demand;
    double bytes = 0;
    if (!machine->plan->sizes)
        return pairs * (double)machine->plan->expert_bytes;
    for (uint32_t step = machine->schedule->measured; step < demand->n_steps; step++)
        for (uint32_t layer = 0; layer < demand->n_layers; layer++) {
            uint32_t group = moe_demand_group(demand, step, layer);
            for (uint64_t i = demand->first[group]; i < demand->first[group + 1]; i++)
                bytes += (double)demand->tokens[i] *
                         (double)moe_plan_object_bytes(machine->plan, layer * demand->n_experts +
                                                                          demand->expert[i]);
        }
    return bytes;
}

/* What routing asks of the model, whatever the machine. */
static void
report_work(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_model *model = machine->plan->model;
    double tokens = (double)(r->decoded + r->prompted), routed = 0, idle = 0;
    uint32_t m = 0;
    const moe_stack *decoder = moe_model_decoder(model);
    for (int l = 0; l < decoder->n_layers; l++) {
        const moe_ffn *ffn = &decoder->layers[l].ffn;
        if (ffn->experts == 0)
            continue;
        double experts = moe_report_ratio((double)machine->layers[m++].tokens, tokens);
        routed += experts;
        idle += (ffn->top_k - experts) * (double)moe_expert_params(model, ffn);
    }
    r->value[MOE_METRIC_experts_per_token] = moe_report_ratio(routed, machine->n_layers);
    r->value[MOE_METRIC_active_parameters] = (double)moe_model_active(model, "all") - idle;
    double all = 0, others = 0, pairs = 0;
    for (uint32_t l = 0; l < machine->n_layers; l++)
        pairs += (double)machine->layers[l].tokens;
    r->value[MOE_METRIC_distinct_experts] = distinct_experts(machine);
    for (size_t i = 0; i < machine->plan->n_accounts; i++) {
        const moe_account *account = &machine->plan->accounts[i];
        bool is_others = !strcmp(account->name, "weights");
        others += is_others ? (double)account->bytes : 0;
        all += is_others || !strcmp(account->name, "experts") ? (double)account->bytes : 0;
    }
    r->value[MOE_METRIC_weight_bytes] = all;
    r->value[MOE_METRIC_active_bytes] =
        others + moe_report_ratio(routed_bytes(machine, pairs), tokens);
    r->value[MOE_METRIC_flops_per_token] =
        moe_report_ratio(machine->flops[0] + machine->flops[1], tokens);
}

static void
report_resources(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_plan *plan = machine->plan;
    double total = (double)moe_report_wall(machine), exposed = 0;
    for (uint16_t c = 0; c < MOE_N_CAUSES + plan->hw->n_links; c++) {
        exposed += (double)moe_blame_part(machine->blame, 0, MOE_BLAME_EXPOSED, c);
        r->busy_ps += moe_blame_part(machine->blame, 0, MOE_BLAME_BUSY, c);
    }
    exposed += (double)moe_blame_part(machine->blame, 0, MOE_BLAME_QUEUEING, 0);
    r->value[MOE_METRIC_exposed_load_share] = moe_report_ratio(exposed, total);
    r->value[MOE_METRIC_stall_per_token_s] =
        moe_report_ratio(exposed / (double)MOE_PS_PER_S, (double)(r->decoded + r->prompted));
    r->value[MOE_METRIC_compute_utilisation] = moe_report_ratio((double)r->busy_ps, total);
    r->value[MOE_METRIC_device_peak_bytes] =
        (double)(moe_plan_static_bytes(plan, plan->device_place) +
                 (int64_t)machine->peak_slots * plan->expert_bytes);
    if (!plan->offloaded)
        return;
    int inner = plan->hops[0][plan->n_hops[0] - 1];
    moe_time link_busy = moe_engine_link_busy(machine->engine, machine->link[inner]) -
                         machine->link_busy_before[inner];
    double bytes = (double)(moe_engine_link_bytes(machine->engine, machine->link[inner]) -
                            machine->link_bytes_before[inner]);
    r->value[MOE_METRIC_link_utilisation] = moe_report_ratio((double)link_busy, total);
    r->value[MOE_METRIC_load_bytes] = bytes;
    r->value[MOE_METRIC_load_bytes_per_token] = moe_report_ratio(bytes, (double)r->decoded);
}

/* Time of `loads` experts over the slowest link of tier t's way in: a copy engine carries one at a
 * time, and each has its latency, or what of it is left behind another. */
static double
loads_s(const moe_report *r, uint32_t t, uint64_t loads)
{
    const moe_plan *plan = r->machine->plan;
    double slowest = 0;
    for (int h = 0; h < plan->n_hops[t]; h++) {
        const moe_hw_link *link = &plan->hw->links[plan->hops[t][h]];
        bool pageable = plan->config->overhead.pageable;
        moe_cost cost = moe_cost_queued_copy(link, (double)plan->least_bytes, pageable);
        slowest = MAX(slowest, moe_report_seconds(cost.launch_ps) + cost.bytes / cost.bytes_per_s);
    }
    return (double)loads * slowest;
}

/* The fewest loads into the cache, and the first load of each expert over every tier's way in, or
 * `lean` if longer; NAN: premise fails. */
static double
perfect_cache(const moe_report *r, double lean, moe_fewest fewest)
{
    if (fewest.loads == UINT64_MAX)
        return NAN;
    double longest = MAX(lean, loads_s(r, 0, fewest.loads));
    for (uint32_t t = 1; t < r->machine->plan->n_tiers; t++)
        longest = MAX(longest, loads_s(r, t, fewest.first));
    return longest;
}

static void
set_bounds(moe_report *r, int metric, double work, double free_s, double perfect_s,
           double roofline_s)
{
    double time[3] = {free_s, perfect_s, roofline_s};
    for (int b = 0; b < 3; b++)
        r->bound[metric][b] = work < 0 ? time[b] : moe_report_ratio(work, time[b]);
}

/* Seconds that the device's peak rates allow for. */
static double
roofline(const moe_machine *machine, double flops, double bytes)
{
    const moe_device *device = &machine->plan->hw->devices[0];
    return MAX(flops / moe_lowering_peak(machine->lowering),
               bytes / machine->plan->hw->places[device->place].read_bytes_per_s);
}

static void
report_bounds(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_schedule *schedule = machine->schedule;
    double free_s = 0, lean_s = 0, free_decode = 0, lean_decode = 0;
    for (uint32_t s = schedule->measured; s < machine->step; s++) {
        moe_time f = machine->step_free[s] - (s ? machine->step_free[s - 1] : 0);
        moe_time l = machine->step_lean[s] - (s ? machine->step_lean[s - 1] : 0);
        moe_assert(f <= machine->step_end[s] - machine->step_start[s],
                   "step %u took %lld ps, less than its longest path of %lld", s,
                   (long long)(machine->step_end[s] - machine->step_start[s]), (long long)f);
        free_s += moe_report_seconds(f);
        lean_s += moe_report_seconds(l);
        if (schedule->steps[s].phase == MOE_DECODE) {
            free_decode += moe_report_seconds(f);
            lean_decode += moe_report_seconds(l);
        }
    }
    double both = roofline(machine, machine->flops[0] + machine->flops[1],
                           machine->bytes[0] + machine->bytes[1]);
    double decode = roofline(machine, machine->flops[MOE_DECODE], machine->bytes[MOE_DECODE]);
    double perfect = perfect_cache(r, lean_s, r->all_steps);
    double perfect_decode = perfect_cache(r, lean_decode, r->decode_steps);
    set_bounds(r, MOE_METRIC_wall_s, -1, free_s, perfect, both);
    set_bounds(r, MOE_METRIC_tokens_per_s, (double)r->decoded, free_s, perfect, both);
    set_bounds(r, MOE_METRIC_decode_tokens_per_s, (double)r->decoded_alone, free_decode,
               perfect_decode, decode);
    moe_report_energy_bounds(r, free_s, perfect);
}

static moe_cell
cell(double value)
{
    return isnan(value) || isinf(value) ? moe_null() : moe_real(value);
}

static void
write_metrics(moe_report *r)
{
    for (int m = 0; m < MOE_N_METRICS; m++) {
        bool price = !strcmp(infos[m].unit, "price");
        const char *unit = price ? r->machine->config->price.currency : infos[m].unit;
        moe_cell cells[] = {moe_text(infos[m].name), cell(r->value[m]),    moe_text(unit),
                            cell(r->bound[m][0]),    cell(r->bound[m][1]), cell(r->bound[m][2])};
        moe_result_add(r->result, "metric", cells, MOE_COUNT(cells));
    }
}

static void
write_blame(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const char *device = machine->plan->hw->devices[0].name;
    uint16_t n_causes = (uint16_t)(MOE_N_CAUSES + machine->plan->hw->n_links);
    for (int kind = 0; kind < MOE_BLAME_KINDS; kind++) {
        bool by_cause =
            kind == MOE_BLAME_BUSY || kind == MOE_BLAME_EXPOSED || kind == MOE_BLAME_IMBALANCE;
        for (uint16_t c = 0; c < (by_cause ? n_causes : 1); c++) {
            moe_time ps = moe_blame_part(machine->blame, 0, (moe_blame_kind)kind, c);
            if (ps == 0)
                continue;
            const char *cause = by_cause ? moe_engine_cause_name(machine->engine, c) : "";
            moe_cell cells[] = {moe_text(device),
                                moe_text(moe_blame_kind_name((moe_blame_kind)kind)),
                                moe_text(cause), moe_int(ps)};
            moe_result_add(r->result, "blame", cells, MOE_COUNT(cells));
        }
    }
    moe_cell cells[] = {moe_text(device), moe_int(r->busy_ps), moe_int(moe_report_wall(machine))};
    moe_result_add(r->result, "device", cells, MOE_COUNT(cells));
}

static void
write_memory(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_plan *plan = machine->plan;
    for (size_t i = 0; i < plan->n_accounts; i++) {
        const moe_place *place = &plan->hw->places[plan->accounts[i].place];
        moe_cell cells[] = {moe_text(place->name), moe_text(plan->accounts[i].name),
                            moe_int(plan->accounts[i].bytes),
                            moe_int(place->capacity - place->reserved)};
        moe_result_add(r->result, "place", cells, MOE_COUNT(cells));
    }
    for (int l = 0; l < plan->hw->n_links; l++) {
        moe_cell cells[] = {
            moe_text(plan->hw->links[l].name),
            moe_int(moe_engine_link_bytes(machine->engine, machine->link[l]) -
                    machine->link_bytes_before[l]),
            moe_int(moe_engine_link_busy(machine->engine, machine->link[l]) -
                    machine->link_busy_before[l]),
            moe_int((int64_t)machine->link_transfers[l]),
        };
        moe_result_add(r->result, "link", cells, MOE_COUNT(cells));
    }
    for (uint32_t t = 0; t < plan->n_tiers; t++) {
        const moe_tier_counts *c = moe_residency_counts(machine->residency, t);
        moe_cell cells[] = {moe_int(t),
                            moe_int((int64_t)c->hits),
                            moe_int((int64_t)c->late),
                            moe_int((int64_t)c->misses),
                            moe_int((int64_t)c->fills),
                            moe_int((int64_t)c->admits),
                            moe_int((int64_t)c->evictions),
                            moe_int((int64_t)c->prefetches),
                            moe_int((int64_t)c->refused),
                            moe_int((int64_t)c->wasted)};
        moe_result_add(r->result, "residency", cells, MOE_COUNT(cells));
    }
}

static void
write_requests(moe_report *r)
{
    const moe_machine *machine = r->machine;
    const moe_schedule *schedule = machine->schedule;
    for (uint32_t i = 0; i < schedule->n_requests; i++) {
        const moe_request *request = &schedule->requests[i];
        if (!moe_request_runs(request))
            continue;
        moe_cell cells[] = {
            moe_int(i),
            moe_int(schedule->routing->sequence_ids[request->sequence]),
            moe_int(request->prompt + request->encoder),
            moe_int(request->output),
            moe_int(machine->step_start[request->admitted]),
            moe_int(machine->step_end[request->first]),
            moe_int(machine->step_end[request->last]),
        };
        moe_result_add(r->result, "request", cells, MOE_COUNT(cells));
    }
}

static void
write_steps(moe_report *r)
{
    const moe_machine *machine = r->machine;
    for (uint32_t s = 0; s < machine->step; s++) {
        const moe_step *step = &machine->schedule->steps[s];
        moe_cell cells[] = {moe_int(s), moe_text(moe_step_kind(step)), moe_int(step->n),
                            moe_int(machine->step_start[s]), moe_int(machine->step_end[s])};
        moe_result_add(r->result, "step", cells, MOE_COUNT(cells));
    }
}

static void
write_layers(moe_report *r)
{
    const moe_machine *machine = r->machine;
    for (uint32_t l = 0; l < machine->n_layers; l++) {
        const moe_layer_counts *c = &machine->layers[l];
        moe_cell cells[] = {moe_int(machine->schedule->routing->layer_ids[l]),
                            moe_int((int64_t)c->hits),
                            moe_int((int64_t)c->late),
                            moe_int((int64_t)c->misses),
                            moe_int((int64_t)c->loads),
                            moe_int((int64_t)c->load_bytes)};
        moe_result_add(r->result, "layer", cells, MOE_COUNT(cells));
    }
}

moe_result *
moe_machine_report(moe_machine *machine, moe_fewest all_steps, moe_fewest decode_steps)
{
    moe_report r = {.machine = machine,
                    .result = moe_result_new(),
                    .all_steps = all_steps,
                    .decode_steps = decode_steps};
    for (int m = 0; m < MOE_N_METRICS; m++) {
        r.value[m] = NAN;
        for (int b = 0; b < 3; b++)
            r.bound[m][b] = NAN;
    }
    report_steps(&r);
    report_requests(&r);
    report_gaps(&r);
    report_experts(&r);
    report_work(&r);
    report_resources(&r);
    moe_report_energy(&r);
    moe_report_price(&r);
    report_bounds(&r);
    write_metrics(&r);
    write_blame(&r);
    write_memory(&r);
    int store = machine->config->store;
    if (store == MOE_STORE_REQUEST || store == MOE_STORE_ALL)
        write_requests(&r);
    if (store == MOE_STORE_STEP || store == MOE_STORE_ALL || store == MOE_STORE_TIMELINE)
        write_steps(&r);
    if (store == MOE_STORE_LAYER || store == MOE_STORE_ALL)
        write_layers(&r);
    if (machine->timeline)
        moe_machine_timeline_write(machine->timeline, r.result);
    return r.result;
}
