#include "sim/machine/machine.h"

#include "sim/machine/energy.h"

#include <string.h>

/* user[1] of a segment's task is its number; of the group's tasks, their launch time. */

typedef struct moe_wire {
    int number;
    moe_link_id link;
} moe_wire;

static void segment_done(moe_engine *engine, moe_task *task, void *context);
static void start_step(moe_machine *machine);

static size_t
split(void *context, const moe_task *task, uint16_t *causes, moe_time *parts, size_t max)
{
    const moe_machine *machine = context;
    size_t n = 0;
    if (task->on_done == segment_done) {
        const moe_segment *segment =
            moe_lowering_segment(machine->lowering, (uint32_t)task->user[1]);
        for (uint16_t c = 0; c < MOE_N_CAUSES && n < max; c++)
            if (segment->parts[c] > 0) {
                causes[n] = c;
                parts[n++] = segment->parts[c];
            }
        return n;
    }
    if (task->cause != MOE_CAUSE_experts && task->cause != MOE_CAUSE_shared)
        return 0;
    bool first_wave = task->cause == MOE_CAUSE_experts && task->user[0] >> 32 == 0;
    causes[0] = MOE_CAUSE_launch;
    parts[0] = (moe_time)task->user[1];
    causes[1] = MOE_CAUSE_overhead;
    parts[1] = first_wave ? machine->config->overhead.experts_ps : 0;
    causes[2] = task->cause;
    parts[2] = task->work - parts[0] - parts[1];
    return 3;
}

void
moe_machine_note(moe_machine *machine, const moe_task *task, char *label, char *formula)
{
    moe_note note = {task->sequence, label, formula};
    g_array_append_val(machine->notes, note);
}

static void
submit_segment(moe_machine *machine, uint32_t m, moe_task *last)
{
    const moe_segment *segment = moe_lowering_segment(machine->lowering, m);
    moe_task *task = moe_task_new(machine->engine);
    task->server = machine->compute;
    task->cause = m < machine->n_layers ? MOE_CAUSE_attention : MOE_CAUSE_head;
    task->work = segment->total;
    task->user[1] = m;
    task->on_done = segment_done;
    moe_machine_count_work(machine, segment->flops, segment->bytes);
    if (last)
        moe_task_after(machine->engine, task, last);
    moe_task_after_mark(machine->engine, task, &machine->chain);
    moe_task_submit(machine->engine, task);
    if (!machine->noting)
        return;
    GString *formula = g_string_new("\n");
    moe_lowering_explain(machine->lowering, m, formula);
    char *label = m < machine->n_layers ? g_strdup_printf("to the gate of L%u", m)
                                        : g_strdup("tail and head");
    moe_machine_note(machine, task, label, g_string_free(formula, false));
}

void
moe_machine_next_segment(moe_machine *machine, moe_task *last)
{
    machine->chain = machine->group.joined;
    submit_segment(machine, machine->group.layer + 1, last);
}

static void
snapshot(moe_machine *machine)
{
    machine->measured_from = moe_engine_now(machine->engine);
    moe_blame_reset(machine->blame, machine->measured_from);
    for (int l = 0; l < machine->plan->hw->n_links; l++) {
        machine->link_bytes_before[l] = moe_engine_link_bytes(machine->engine, machine->link[l]);
        machine->link_busy_before[l] = moe_engine_link_busy(machine->engine, machine->link[l]);
        machine->link_transfers[l] = 0;
    }
    memset(machine->layers, 0, machine->n_layers * sizeof *machine->layers);
    for (uint32_t i = 0; i < machine->n_layers * machine->n_experts; i++)
        machine->loads[i].prefetched = false;
    machine->host_served = machine->prefetch_loads = machine->prefetch_used = 0;
    memset(machine->flops, 0, sizeof machine->flops);
    memset(machine->bytes, 0, sizeof machine->bytes);
    moe_machine_energy_reset(machine);
    machine->block_ps = 0;
    machine->blocks = 0;
    if (machine->residency)
        moe_residency_reset_counts(machine->residency);
}

static void
end_step(moe_machine *machine, const moe_task *last)
{
    uint32_t step = machine->step;
    moe_mark mark = moe_task_mark(last);
    if (machine->residency) {
        moe_wants_clear(machine->wants);
        moe_machine_drop_prefetches(machine, true);
    }
    if (machine->phase_bytes)
        moe_machine_energy_step(machine);
    machine->step_end[step] = mark.end;
    machine->step_free[step] = mark.free;
    machine->step_lean[step] = mark.lean;
    machine->chain = mark;
    machine->noting = false;
    if (machine->progress && (step & 0xFFF) == 0xFFF)
        machine->progress(machine->progress_context,
                          (double)(step + 1) / machine->schedule->n_steps);
    machine->step++;
    if (machine->step < machine->schedule->n_steps && machine->step < machine->stop_after)
        start_step(machine);
}

static void
segment_done(moe_engine *engine, moe_task *task, void *context)
{
    moe_machine *machine = context;
    uint32_t m = (uint32_t)task->user[1];
    if (m == machine->n_layers || machine->schedule->steps[machine->step].n == 0) {
        end_step(machine, task);
        return;
    }
    machine->group.layer = m;
    moe_machine_gate_known(machine, task);
}

static void
start_step(moe_machine *machine)
{
    uint32_t step = machine->step;
    if (step == machine->schedule->measured)
        snapshot(machine);
    machine->noting = machine->notes && step + 1 == machine->stop_after;
    machine->step_start[step] = moe_engine_now(machine->engine);
    moe_lowering_step(machine->lowering, step);
    submit_segment(machine, 0, NULL);
}

/* The wire that a link shares with the other direction: as fast as the faster of the two. */
static moe_link_id
add_wire(moe_machine *machine, GArray *wires, const moe_hw_link *link)
{
    const moe_hardware *hw = machine->plan->hw;
    double rate = 0;
    for (guint w = 0; w < wires->len; w++)
        if (g_array_index(wires, moe_wire, w).number == link->wire)
            return g_array_index(wires, moe_wire, w).link;
    if (link->wire < 0)
        return 0;
    for (int l = 0; l < hw->n_links; l++)
        if (hw->links[l].wire == link->wire)
            rate = MAX(rate, moe_wire_rate(hw->links[l].bytes_per_s, hw->links[l].duplex));
    moe_wire wire = {link->wire, moe_engine_add_link(machine->engine, "wire", rate)};
    g_array_append_val(wires, wire);
    return wire.link;
}

static void
add_links(moe_machine *machine)
{
    g_autoptr(GArray) wires = g_array_new(false, false, sizeof(moe_wire));
    const moe_hardware *hw = machine->plan->hw;
    size_t n = (size_t)hw->n_links;
    bool pageable = machine->config->overhead.pageable;
    machine->copy = g_new0(moe_server_id, n + 1);
    machine->path = g_new0(moe_path_id, n + 1);
    machine->link = g_new0(moe_link_id, n + 1);
    machine->link_cause = g_new0(uint16_t, n + 1);
    machine->engine_of = g_new0(int, n + 1);
    machine->asked = g_new0(uint32_t, n + 1);
    machine->link_bytes_before = g_new0(int64_t, n + 1);
    machine->link_busy_before = g_new0(moe_time, n + 1);
    machine->link_transfers = g_new0(uint64_t, n + 1);
    for (size_t l = 0; l < n; l++) {
        const moe_hw_link *link = &hw->links[l];
        double rate = moe_link_rate(link, pageable);
        machine->link[l] = moe_engine_add_link(machine->engine, link->name, rate);
        moe_link_id way[] = {machine->link[l], add_wire(machine, wires, link)};
        machine->path[l] = moe_engine_add_path(machine->engine, way, link->wire >= 0 ? 2 : 1, 0);
        machine->link_cause[l] =
            moe_engine_add_cause(machine->engine, link->name, MOE_CAUSE_TRANSFER);
        machine->copy[l] = MOE_NO_SERVER;
        machine->engine_of[l] = (int)l;
        for (size_t other = 0; other < l; other++)
            if (hw->links[other].engine == link->engine) {
                machine->copy[l] = machine->copy[other];
                machine->engine_of[l] = machine->engine_of[other];
            }
        if (machine->copy[l] == MOE_NO_SERVER)
            machine->copy[l] =
                moe_engine_add_server(machine->engine, link->name, link->chunk_bytes);
    }
}

static void
add_resources(moe_machine *machine)
{
    const moe_hardware *hw = machine->plan->hw;
#define X(name, kind) moe_engine_add_cause(machine->engine, #name, MOE_CAUSE_##kind);
    MOE_CAUSES(X)
#undef X
    machine->compute = moe_engine_add_server(machine->engine, hw->devices[0].name, 0);
    machine->host = MOE_NO_SERVER;
    machine->host_memory = MOE_NO_CAPACITY;
    if (machine->serve->uses_host && machine->plan->offloaded) {
        machine->host = moe_engine_add_server(machine->engine, hw->devices[hw->host].name, 0);
        machine->host_memory =
            moe_engine_add_capacity(machine->engine, hw->places[machine->plan->home_place].name);
    }
    add_links(machine);
    machine->blame = moe_blame_new(machine->engine, &machine->compute, 1, split, machine);
}

static void
open_policies(moe_machine *machine)
{
    const moe_plan *plan = machine->plan;
    uint32_t distance = moe_schedule_distance(plan->schedule->routing);
    moe_predict_view view = {
        .demand = machine->demand,
        .popularity = plan->schedule->popularity,
        .seed = (uint64_t)plan->config->seed,
        .recorded = distance ? moe_schedule_recorded : NULL,
        .source = plan->schedule,
        .max_distance = distance,
    };
    machine->wants =
        moe_wants_new(&view, &plan->config->experts.predict, &plan->config->experts.prefetch);
    moe_residency_config residency = {
        .n_layers = machine->n_layers,
        .n_experts = machine->n_experts,
        .n_tiers = plan->n_tiers,
        .popularity = plan->schedule->popularity,
        .always = plan->always,
        .n_always = plan->n_always,
    };
    memcpy(residency.tiers, plan->tiers, sizeof residency.tiers);
    machine->residency = moe_residency_new(&residency);
    for (uint32_t t = 0; t < plan->n_tiers; t++)
        for (int h = 0; h < plan->n_hops[t]; h++) {
            const moe_hw_link *link = &plan->hw->links[plan->hops[t][h]];
            moe_cost cost =
                moe_cost_copy(link, (double)plan->expert_bytes, plan->config->overhead.pageable);
            machine->load_ps = MAX(machine->load_ps, cost.total_ps);
        }
}

static void
allocate(moe_machine *machine)
{
    size_t n_objects = (size_t)machine->n_layers * machine->n_experts;
    uint32_t n_steps = machine->schedule->n_steps, n_experts = machine->n_experts;
    size_t n_hops = 0;
    for (uint32_t t = 0; t < machine->plan->n_tiers; t++)
        n_hops += (size_t)machine->plan->n_hops[t];
    machine->loads = g_new0(moe_load, n_objects);
    machine->hops = g_new0(moe_task *, n_objects * n_hops + 1);
    for (size_t i = 0; i < n_objects; i++)
        machine->loads[i].hop = machine->hops + i * n_hops;
    machine->arrival = g_new0(moe_mark, n_objects);
    machine->arrival_step = g_new(uint32_t, n_objects);
    memset(machine->arrival_step, 0xFF, n_objects * sizeof *machine->arrival_step);
    machine->in_flight = g_new0(uint32_t, n_objects);
    machine->step_start = g_new0(moe_time, n_steps);
    machine->step_end = g_new0(moe_time, n_steps);
    machine->step_free = g_new0(moe_time, n_steps);
    machine->step_lean = g_new0(moe_time, n_steps);
    machine->layers = g_new0(moe_layer_counts, machine->n_layers);
    machine->group.objects = g_new0(uint32_t, n_experts);
    machine->group.outcomes = g_new0(uint8_t, n_experts);
    machine->group.queue = g_new0(uint32_t, n_experts);
    machine->group.wave_tokens = g_new0(uint32_t, n_experts);
}

moe_machine *
moe_machine_new(const moe_plan *plan)
{
    moe_machine *machine = g_new0(moe_machine, 1);
    machine->plan = plan;
    machine->config = plan->config;
    machine->schedule = plan->schedule;
    machine->demand = &plan->schedule->demand;
    machine->n_layers = machine->demand->n_layers;
    machine->n_experts = machine->demand->n_experts;
    machine->serve = plan->config->experts.serve.variant->ops;
    machine->stop_after = UINT32_MAX;
    machine->engine = moe_engine_new((uint64_t)plan->config->seed);
    moe_engine_set_context(machine->engine, machine);
    add_resources(machine);
    machine->lowering =
        moe_lowering_new(plan->model, plan->hw, plan->kernels, plan->config, plan->schedule);
    allocate(machine);
    if (plan->offloaded)
        open_policies(machine);
    return machine;
}

void
moe_machine_free(moe_machine *machine)
{
    if (!machine)
        return;
    moe_machine_timeline_free(machine->timeline);
    moe_blame_free(machine->blame);
    moe_engine_free(machine->engine);
    moe_lowering_free(machine->lowering);
    moe_residency_free(machine->residency);
    moe_wants_free(machine->wants);
    for (guint i = 0; machine->notes && i < machine->notes->len; i++) {
        g_free(g_array_index(machine->notes, moe_note, i).label);
        g_free(g_array_index(machine->notes, moe_note, i).formula);
    }
    if (machine->notes)
        g_array_free(machine->notes, true);
    void *blocks[] = {machine->copy,
                      machine->path,
                      machine->link,
                      machine->link_cause,
                      machine->engine_of,
                      machine->asked,
                      machine->link_bytes_before,
                      machine->link_busy_before,
                      machine->link_transfers,
                      machine->phase_bytes,
                      machine->loads,
                      machine->hops,
                      machine->arrival,
                      machine->arrival_step,
                      machine->in_flight,
                      machine->step_start,
                      machine->step_end,
                      machine->step_free,
                      machine->step_lean,
                      machine->layers,
                      machine->group.objects,
                      machine->group.outcomes,
                      machine->group.queue,
                      machine->group.wave_tokens};
    for (size_t i = 0; i < MOE_COUNT(blocks); i++)
        g_free(blocks[i]);
    g_free(machine);
}

bool
moe_machine_run(moe_machine *machine)
{
    if (machine->schedule->n_steps > 0)
        start_step(machine);
    moe_engine_run(machine->engine);
    if (machine->step < MIN(machine->schedule->n_steps, machine->stop_after))
        return false;
    moe_blame_finish(machine->blame, machine->step ? machine->step_end[machine->step - 1] : 0);
    return true;
}
