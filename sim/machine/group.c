#include "sim/machine/machine.h"

static void advance(moe_machine *machine, moe_task *last);

static void
note_experts(moe_machine *machine, const moe_task *task, const char *what, uint32_t n,
             const moe_cost *cost)
{
    if (!machine->noting)
        return;
    GString *formula = g_string_new(NULL);
    moe_cost_explain(cost, formula);
    moe_machine_note(machine, task,
                     g_strdup_printf("%s L%u, %u distinct", what, machine->group.layer, n),
                     g_string_free(formula, false));
}

static void
join(moe_mark *joined, moe_mark mark)
{
    joined->end = MAX(joined->end, mark.end);
    joined->free = MAX(joined->free, mark.free);
    joined->lean = MAX(joined->lean, mark.lean);
}

/* The members of queue[first .. first + n) are computed: their slots may be given away. */
static void
release(moe_machine *machine, uint32_t first, uint32_t n)
{
    moe_group_state *group = &machine->group;
    for (uint32_t i = first; i < first + n && machine->residency; i++)
        moe_residency_release(machine->residency, group->objects[group->queue[i]]);
}

/* user[0] of a compute task: first member in the queue and how many. */
static void
compute_done(moe_engine *engine, moe_task *task, void *context)
{
    moe_machine *machine = context;
    machine->group.outstanding--;
    join(&machine->group.joined, moe_task_mark(task));
    release(machine, (uint32_t)(task->user[0] >> 32), (uint32_t)task->user[0]);
    advance(machine, task);
}

static void
host_done(moe_engine *engine, moe_task *task, void *context)
{
    moe_machine *machine = context;
    if (machine->group.host == task)
        machine->group.host = NULL;
    machine->group.outstanding--;
    join(&machine->group.joined, moe_task_mark(task));
    advance(machine, task);
}

static moe_task *
new_compute(moe_machine *machine, uint16_t cause)
{
    moe_task *task = moe_task_new(machine->engine);
    task->server = machine->compute;
    task->cause = cause;
    task->on_done = compute_done;
    return task;
}

static void
submit_compute(moe_machine *machine, moe_task *task, const moe_cost *cost)
{
    task->work = moe_time_of_cost(cost->total_ps);
    task->user[1] = (uint64_t)cost->launch_ps;
    moe_machine_longest(machine, cost);
    moe_machine_count_work(machine, cost->flops, cost->bytes);
    machine->group.outstanding++;
    moe_task_submit(machine->engine, task);
}

static void
submit_shared(moe_machine *machine, moe_task *gate)
{
    const moe_cost *shared = moe_lowering_shared(machine->lowering, machine->group.layer);
    if (shared->total_ps == 0)
        return;
    moe_task *task = new_compute(machine, MOE_CAUSE_shared);
    moe_task_after(machine->engine, task, gate);
    submit_compute(machine, task, shared);
    note_experts(machine, task, "shared expert", 1, shared);
}

/* Waits for the object's load if it is still on its way. */
static bool
wait_for_load(moe_machine *machine, moe_task *task, uint32_t object)
{
    const moe_load *load = &machine->loads[object];
    moe_task *last = load->n_hops ? load->hop[load->n_hops - 1] : NULL;
    if (last)
        moe_task_after(machine->engine, task, last);
    return last != NULL;
}

/* Brings member i in and lets `task` wait for it; false: there is no slot for it yet. */
static bool
attend(moe_machine *machine, uint32_t i, moe_task *task)
{
    moe_group_state *group = &machine->group;
    uint32_t object = group->objects[i];
    if (!machine->residency)
        return true;
    if (group->outcomes[i] == MOE_MISS &&
        moe_residency_where(machine->residency, 0, object) == MOE_ABSENT) {
        moe_admission admission;
        if (moe_residency_admit(machine->residency, object, &admission) != MOE_ADMITTED)
            return false;
        machine->layers[group->layer].loads++;
        moe_task_after(machine->engine, task,
                       moe_machine_load(machine, object, MOE_CLASS_DEMAND, &admission));
        return true;
    }
    if (!wait_for_load(machine, task, object) && machine->arrival_step[object] == machine->step)
        moe_task_after_mark(machine->engine, task, &machine->arrival[object]);
    return true;
}

/* One compute task over as many members, from group->next on, as there are slots for (just one
 * with granularity `expert`). False: not even for the first; the task is kept for later. */
static bool
open_wave(moe_machine *machine, moe_task *last)
{
    moe_group_state *group = &machine->group;
    uint32_t first = group->next, limit = group->n_queue;
    bool whole = machine->config->experts.granularity == MOE_GRANULARITY_LAYER;
    moe_task *task = group->open;
    if (!task) {
        task = group->open = new_compute(machine, MOE_CAUSE_experts);
        moe_task_after_mark(machine->engine, task, &group->gate);
        if (whole && last)
            moe_task_after(machine->engine, task, last);
        if (whole && group->host)
            moe_task_after(machine->engine, task, group->host);
        if (machine->config->experts.join == MOE_JOIN_WANTED && machine->residency)
            for (uint32_t e = 0; e < machine->n_experts; e++)
                wait_for_load(machine, task, group->layer * machine->n_experts + e);
    }
    while (group->next < limit && attend(machine, group->queue[group->next], task)) {
        group->wave_tokens[group->next] = group->tokens[group->queue[group->next]];
        group->next++;
        if (!whole)
            limit = group->next;
    }
    uint32_t n = group->next - first;
    if (n == 0)
        return false;
    moe_cost cost = moe_lowering_experts(
        machine->lowering, group->layer, group->wave_tokens + first, n,
        moe_plan_mean_size(machine->plan, group->objects, group->queue + first, n));
    if (first == 0) /* once per layer; split() in machine.c takes it apart again */
        cost.total_ps += machine->config->overhead.experts_ps;
    task->user[0] = (uint64_t)first << 32 | n;
    group->open = NULL;
    submit_compute(machine, task, &cost);
    note_experts(machine, task, "experts", n, &cost);
    return true;
}

static void
close_group(moe_machine *machine, moe_task *last)
{
    moe_group_state *group = &machine->group;
    if (machine->schedule->steps[machine->step].phase == MOE_DECODE) {
        machine->block_ps += (double)(moe_engine_now(machine->engine) - group->opened +
                                      moe_lowering_segment(machine->lowering, group->layer)->gate);
        machine->blocks++;
    }
    if (machine->residency && machine->config->experts.retention == MOE_RETENTION_NONE)
        for (uint32_t e = 0; e < machine->n_experts; e++) {
            uint32_t object = group->layer * machine->n_experts + e;
            if (moe_residency_where(machine->residency, 0, object) == MOE_RESIDENT &&
                !moe_residency_pinned(machine->residency, object))
                moe_residency_remove(machine->residency, object);
        }
    moe_machine_next_segment(machine, last);
}

/* Gives out what can be given out; `last` is the task that has just ended. */
static void
advance(moe_machine *machine, moe_task *last)
{
    moe_group_state *group = &machine->group;
    bool whole = machine->config->experts.granularity == MOE_GRANULARITY_LAYER;
    while (group->next < group->n_queue && (!whole || group->outstanding == 0))
        if (!open_wave(machine, last)) {
            if (group->outstanding == 0) /* slots are held by prefetches of no use now */
                moe_machine_drop_prefetches(machine, true);
            if (group->outstanding > 0 || !open_wave(machine, last))
                return; /* the next release or arrival goes on */
        }
    if (group->outstanding == 0 && group->next == group->n_queue)
        close_group(machine, last);
}

/* An object has arrived: a group that waits for a slot can try again. */
void
moe_machine_slot_freed(moe_machine *machine)
{
    if (machine->group.open && machine->group.outstanding == 0)
        advance(machine, NULL);
}

/* Bytes of activations that `tokens` send to the host; as many come back. */
static double
carry_bytes(const moe_machine *machine, uint32_t tokens)
{
    const moe_plan *plan = machine->plan;
    double bits = moe_lowering_precision(plan->model, plan->config).activations;
    return (double)tokens * plan->model->hidden * bits / 8;
}

static void
serve_on_host(moe_machine *machine, uint32_t i, const moe_cost *cost, moe_time cost_ps,
              moe_task *gate)
{
    moe_group_state *group = &machine->group;
    const moe_hardware *hw = machine->plan->hw;
    moe_task *task = moe_task_new(machine->engine);
    uint8_t phase = machine->schedule->steps[machine->step].phase;
    task->server = machine->host;
    task->cause = MOE_CAUSE_host_experts;
    task->work = cost_ps;
    moe_machine_longest(machine, cost);
    task->on_done = host_done;
    task->group = group->group + 1;
    task->shares[0] =
        (moe_share){machine->host_memory, (float)hw->devices[hw->host].gemm.stream_efficiency};
    task->n_shares = 1;
    moe_task_after(machine->engine, task, machine->readback ? machine->readback : gate);
    group->host = task;
    group->outstanding++;
    machine->host_served++;
    machine->host_flops[phase] += cost->flops;
    machine->host_bytes[phase] += cost->bytes;
    machine->carried[phase] += carry_bytes(machine, group->tokens[i]);
    moe_task_submit(machine->engine, task);
    note_experts(machine, task, "host expert", 1, cost);
}

/* Activations to the host and back, over the links of the innermost tier. */
static moe_time
carry_ps(const moe_machine *machine, uint32_t tokens)
{
    const moe_plan *plan = machine->plan;
    const moe_hw_link *link = &plan->hw->links[plan->hops[0][plan->n_hops[0] - 1]];
    bool pageable = plan->config->overhead.pageable;
    moe_cost one = moe_cost_copy(link, carry_bytes(machine, tokens), pageable);
    return moe_time_times(moe_time_of_cost(one.total_ps), 2);
}

/* Asks `serve` for each miss. What was decided so far is backlog of the later ones. */
static void
serve_misses(moe_machine *machine, moe_task *gate)
{
    moe_group_state *group = &machine->group;
    const void *config = machine->config->experts.serve.config;
    uint32_t kept = 0;
    moe_server_id copy = machine->copy[machine->plan->hops[0][0]];
    moe_time load_ps = moe_engine_server_backlog(machine->engine, copy, MOE_CLASS_DEMAND);
    moe_time host_ps =
        moe_engine_server_backlog(machine->engine, machine->host, MOE_CLASS_PREFETCH);
    for (uint32_t q = 0; q < group->n_queue; q++) {
        uint32_t i = group->queue[q], tokens = group->tokens[i];
        if (group->outcomes[i] != MOE_MISS) {
            group->queue[kept++] = i;
            continue;
        }
        double size = moe_plan_mean_size(machine->plan, group->objects, &i, 1);
        moe_cost here = moe_lowering_host(machine->lowering, group->layer, tokens, size);
        moe_time here_ps = moe_time_add(moe_time_of_cost(here.total_ps), carry_ps(machine, tokens));
        moe_serve_query query = {
            .tokens = tokens,
            .load_ps = moe_time_add(load_ps, machine->load_ps),
            .device_ps =
                moe_lowering_experts(machine->lowering, group->layer, &tokens, 1, size).total_ps,
            .host_ps = moe_time_add(host_ps, here_ps),
        };
        if (machine->serve->choose(config, &query) == MOE_SERVE_HOST) {
            serve_on_host(machine, i, &here, here_ps, gate);
            host_ps = query.host_ps;
            continue;
        }
        load_ps = query.load_ps;
        group->queue[kept++] = i;
    }
    group->n_queue = kept;
}

static void
count_outcomes(moe_machine *machine)
{
    const moe_group_state *group = &machine->group;
    moe_layer_counts *counts = &machine->layers[group->layer];
    for (uint32_t i = 0; i < group->n; i++) {
        bool hit = group->outcomes[i] == MOE_HIT, late = group->outcomes[i] == MOE_LATE;
        uint32_t object = group->objects[i];
        counts->tokens += group->tokens[i];
        counts->token_hits += hit || late ? group->tokens[i] : 0;
        counts->hits += hit;
        counts->late += late;
        counts->misses += !hit && !late;
        if ((hit || late) && machine->residency && machine->loads[object].prefetched) {
            machine->prefetch_used++;
            machine->loads[object].prefetched = false;
        }
    }
}

static void
queue_members(moe_machine *machine)
{
    moe_group_state *group = &machine->group;
    group->n_queue = 0;
    for (uint8_t outcome = MOE_HIT; outcome <= MOE_MISS; outcome++)
        for (uint32_t i = 0; i < group->n; i++)
            if (group->outcomes[i] == outcome)
                group->queue[group->n_queue++] = i;
}

static void
open_group(moe_machine *machine, const moe_task *gate)
{
    moe_group_state *group = &machine->group;
    const moe_demand *demand = machine->demand;
    group->group = moe_demand_group(demand, machine->step, group->layer);
    uint64_t first = demand->first[group->group];
    group->n = moe_demand_size(demand, group->group);
    group->tokens = demand->tokens + first;
    group->next = group->outstanding = 0;
    group->host = NULL;
    group->gate = group->joined = moe_task_mark(gate);
    group->opened = gate->end;
    for (uint32_t i = 0; i < group->n; i++) {
        group->objects[i] = group->layer * machine->n_experts + demand->expert[first + i];
        group->outcomes[i] = MOE_HIT;
    }
    if (!machine->residency)
        return;
    if (machine->config->experts.join == MOE_JOIN_WANTED)
        moe_machine_rush(machine, group->layer);
    moe_residency_begin(machine->residency, group->objects, demand->next_use + first, group->n,
                        group->outcomes);
    for (uint32_t i = 0; i < group->n; i++)
        if (group->outcomes[i] == MOE_LATE)
            moe_machine_promote(machine, group->objects[i]);
    moe_machine_drop_prefetches(machine, false);
}

static void
readback_done(moe_engine *engine, moe_task *task, void *context)
{
    moe_machine *machine = context;
    if (machine->readback != task)
        return; /* of an earlier gate */
    machine->readback = NULL;
    machine->wants_ready = true;
    moe_machine_pump(machine);
}

/* Loads of this gate start when the host has read it back. */
static void
start_readback(moe_machine *machine, moe_task *gate)
{
    machine->wants_ready = machine->config->overhead.gate_ps == 0;
    machine->readback = NULL;
    if (machine->wants_ready)
        return;
    moe_task *task = moe_task_new(machine->engine);
    task->work = machine->config->overhead.gate_ps;
    task->cause = MOE_CAUSE_gate_readback;
    task->on_done = readback_done;
    moe_task_after(machine->engine, task, gate);
    machine->readback = task;
    moe_task_submit(machine->engine, task);
    if (machine->noting)
        moe_machine_note(machine, task, g_strdup_printf("read-back L%u", machine->group.layer),
                         g_strdup("overhead.gate (stated)"));
}

void
moe_machine_gate_known(moe_machine *machine, moe_task *gate)
{
    moe_group_state *group = &machine->group;
    open_group(machine, gate);
    count_outcomes(machine);
    queue_members(machine);
    if (machine->residency) {
        start_readback(machine, gate);
        if (machine->serve->uses_host)
            serve_misses(machine, gate);
        moe_machine_want(machine);
    }
    submit_shared(machine, gate);
    if (group->n_queue == 0 && group->outstanding == 0) {
        close_group(machine, gate);
        return;
    }
    bool whole = machine->config->experts.granularity == MOE_GRANULARITY_LAYER;
    while (group->next < group->n_queue)
        if (!open_wave(machine, gate)) {
            if (group->outstanding == 0 && group->next == 0) {
                moe_machine_drop_prefetches(machine, true);
                open_wave(machine, gate);
            }
            break;
        } else if (whole)
            break;
    if (machine->residency)
        moe_machine_pump(machine);
}
