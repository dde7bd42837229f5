#include "sim/machine/machine.h"

#include <string.h>

/* user[0] of a hop: the object; user[1]: hop number, the tier it completes plus one, its link, and
 * whether others were before it on its copy engine. */
#define HOP(number, tier, link)                                                                    \
    ((uint64_t)(number) | (uint64_t)(tier) << 8 | (uint64_t)(link) << 16)
#define HOP_BEHIND (1ull << 32)
#define HOP_NUMBER(user) ((uint32_t)((user)&0xFF))
#define HOP_TIER(user) ((uint32_t)((user) >> 8 & 0xFF))
#define HOP_LINK(user) ((int)((user) >> 16 & 0xFFFF))

static void
forget_flight(moe_machine *machine, uint32_t object)
{
    moe_load *load = &machine->loads[object];
    if (!load->running)
        return;
    load->running = false;
    for (uint32_t i = 0; i < machine->n_in_flight; i++)
        if (machine->in_flight[i] == object) {
            memmove(machine->in_flight + i, machine->in_flight + i + 1,
                    (machine->n_in_flight - i - 1) * sizeof *machine->in_flight);
            machine->n_in_flight--;
            return;
        }
}

/* Hops on the copy engine of a task's link, the task itself included. */
static uint32_t *
asked_beside(const moe_machine *machine, const moe_task *task)
{
    return &machine->asked[machine->engine_of[HOP_LINK(task->user[1])]];
}

/* What a hop takes alone on its link: less behind others, which hide its latency. */
static moe_cost
hop_cost(const moe_machine *machine, const moe_task *task)
{
    const moe_hw_link *link = &machine->plan->hw->links[HOP_LINK(task->user[1])];
    bool pageable = machine->config->overhead.pageable;
    return task->user[1] & HOP_BEHIND ? moe_cost_queued_copy(link, (double)task->bytes, pageable)
                                      : moe_cost_copy(link, (double)task->bytes, pageable);
}

static void
hop_done(moe_engine *engine, moe_task *task, void *context)
{
    moe_machine *machine = context;
    uint32_t object = (uint32_t)task->user[0], tier = HOP_TIER(task->user[1]);
    moe_load *load = &machine->loads[object];
    load->hop[HOP_NUMBER(task->user[1])] = NULL;
    (*asked_beside(machine, task))--;
    if (tier == 0)
        return; /* a hop that ends between tiers */
    moe_residency_arrived(machine->residency, tier - 1, object);
    if (tier > 1)
        return;
    machine->arrival[object] = moe_task_mark(task);
    machine->arrival_step[object] = machine->step;
    forget_flight(machine, object);
    moe_machine_slot_freed(machine);
    moe_machine_pump(machine);
}

static void
note_hop(moe_machine *machine, const moe_task *task, uint32_t object)
{
    const moe_hw_link *l = &machine->plan->hw->links[HOP_LINK(task->user[1])];
    moe_cost cost = hop_cost(machine, task);
    GString *formula = g_string_new(NULL);
    moe_cost_explain_copy(l, &cost, formula);
    if (task->work > cost.launch_ps)
        g_string_append(formula, " + overhead.prefetch (stated)");
    moe_machine_note(machine, task,
                     g_strdup_printf("%s L%u.E%u over %s",
                                     task->priority == MOE_CLASS_DEMAND ? "load" : "prefetch",
                                     object / machine->n_experts, object % machine->n_experts,
                                     l->name),
                     g_string_free(formula, false));
}

/* One hop of a load; `previous` is the hop before it, NULL for the first. */
static moe_task *
add_hop(moe_machine *machine, uint32_t object, uint8_t priority, int link, uint64_t hop,
        moe_task *previous)
{
    const moe_hw_link *l = &machine->plan->hw->links[link];
    moe_task *task = moe_task_new(machine->engine);
    task->bytes = moe_plan_object_bytes(machine->plan, object);
    task->user[0] = object;
    task->user[1] = hop;
    if ((*asked_beside(machine, task))++)
        task->user[1] |= HOP_BEHIND;
    task->work = moe_time_of_cost(hop_cost(machine, task).launch_ps);
    if (priority == MOE_CLASS_PREFETCH && !previous)
        task->work = moe_time_add(task->work, machine->config->overhead.prefetch_ps);
    task->server = machine->copy[link];
    task->path = machine->path[link];
    task->cause = machine->link_cause[link];
    task->priority = priority;
    task->group = moe_demand_group(machine->demand, machine->step, object / machine->n_experts) + 1;
    task->on_done = hop_done;
    if (machine->host_memory != MOE_NO_CAPACITY && l->from == machine->plan->home_place) {
        double share = l->bytes_per_s / machine->plan->hw->places[l->from].read_bytes_per_s;
        task->shares[0] = (moe_share){machine->host_memory, (float)MIN(share, 1)};
        task->n_shares = 1;
    }
    machine->link_transfers[link]++;
    if (previous && priority == MOE_CLASS_PREFETCH) /* must not hold a link that it starves on */
        moe_task_after(machine->engine, task, previous);
    else if (previous) {
        double granule = (double)l->chunk_bytes / (double)task->bytes;
        moe_task_stream(machine->engine, task, previous, l->chunk_bytes > 0 ? MIN(granule, 1) : 1);
    }
    return task;
}

moe_task *
moe_machine_load(moe_machine *machine, uint32_t object, uint8_t priority,
                 const moe_admission *admission)
{
    const moe_plan *plan = machine->plan;
    moe_load *load = &machine->loads[object];
    moe_task *task = NULL;
    load->n_hops = 0;
    load->running = false;
    machine->peak_slots = MAX(machine->peak_slots, moe_residency_occupied(machine->residency, 0));
    load->prefetched = priority == MOE_CLASS_PREFETCH;
    load->layer = object / machine->n_experts;
    machine->layers[load->layer].load_bytes += (uint64_t)moe_plan_object_bytes(plan, object);
    for (uint32_t t = admission->source; t-- > 0;) {
        for (int h = 0; h < plan->n_hops[t]; h++) {
            uint32_t completes = h + 1 == plan->n_hops[t] ? t + 1 : 0;
            moe_task *next = add_hop(machine, object, priority, plan->hops[t][h],
                                     HOP(load->n_hops, completes, plan->hops[t][h]), task);
            if (!task) { /* the first hop waits for the host to know */
                if (machine->readback)
                    moe_task_after(machine->engine, next, machine->readback);
                else
                    moe_task_after_mark(machine->engine, next, &machine->group.gate);
            }
            load->hop[load->n_hops++] = task = next;
        }
    }
    for (uint32_t h = 0; h < load->n_hops; h++)
        moe_task_submit(machine->engine, load->hop[h]);
    if (machine->noting)
        for (uint32_t h = 0; h < load->n_hops; h++)
            note_hop(machine, load->hop[h], object);
    return task;
}

/* Calls a prefetch off; one whose bytes flow already only if `started_too`. */
static bool
call_off(moe_machine *machine, uint32_t object, bool started_too)
{
    moe_load *load = &machine->loads[object];
    for (uint32_t h = 0; h < load->n_hops && !started_too; h++)
        if (!load->hop[h] || moe_task_progress(machine->engine, load->hop[h]) > 0)
            return false;
    for (uint32_t h = load->n_hops; h-- > 0;)
        if (load->hop[h]) {
            (*asked_beside(machine, load->hop[h]))--;
            moe_task_cancel(machine->engine, load->hop[h]);
            load->hop[h] = NULL;
        }
    load->running = false;
    moe_residency_call_off(machine->residency, object);
    return true;
}

static void
set_class(moe_machine *machine, uint32_t object, uint8_t priority)
{
    const moe_load *load = &machine->loads[object];
    for (uint32_t h = 0; h < load->n_hops; h++)
        if (load->hop[h])
            moe_task_set_priority(machine->engine, load->hop[h], priority);
}

void
moe_machine_promote(moe_machine *machine, uint32_t object)
{
    set_class(machine, object, MOE_CLASS_DEMAND);
    forget_flight(machine, object);
}

/* Prefetches that the truth has made useless, those of the open group's layer and before that
 * nobody asked for: called off if they have not started, else behind everything else. At the end
 * of a step all are called off. */
void
moe_machine_drop_prefetches(moe_machine *machine, bool all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < machine->n_in_flight; i++) {
        uint32_t object = machine->in_flight[i];
        bool useless = all || machine->loads[object].layer <= machine->group.layer;
        if (useless && call_off(machine, object, all))
            continue;
        if (useless)
            set_class(machine, object, MOE_CLASS_STALE);
        machine->in_flight[kept++] = object;
    }
    machine->n_in_flight = kept;
}

static moe_time
window(moe_machine *machine)
{
    const moe_group_state *group = &machine->group;
    moe_cost experts =
        moe_lowering_experts(machine->lowering, group->layer, group->tokens, group->n,
                             moe_plan_mean_size(machine->plan, group->objects, NULL, group->n));
    return moe_time_add(experts.total_ps,
                        moe_lowering_segment(machine->lowering, group->layer + 1)->total);
}

void
moe_machine_want(moe_machine *machine)
{
    uint32_t layer = machine->group.layer;
    bool timed = moe_wants_timed(machine->wants) && layer + 1 < machine->n_layers;
    moe_wants_ask(machine->wants, machine->step, layer, timed ? window(machine) : 0,
                  machine->load_ps);
}

/* Draws the next wanted object; false when it is there, or could not be admitted. */
static bool
draw(moe_machine *machine, moe_want want, moe_admission *admission)
{
    uint32_t object = want.layer * machine->n_experts + want.expert;
    uint32_t group = moe_demand_group(machine->demand, machine->step, want.layer);
    moe_wants_draw(machine->wants);
    if (moe_residency_where(machine->residency, 0, object) != MOE_ABSENT)
        return false;
    if (moe_residency_prefetch(machine->residency, object, group, moe_wants_outlook(machine->wants),
                               group, admission) != MOE_ADMITTED)
        return false;
    machine->prefetch_loads++;
    machine->layers[want.layer].loads++;
    return true;
}

/* Whatever was wanted for `layer` is a demand now, on its way or not (experts.join: wanted). */
void
moe_machine_rush(moe_machine *machine, uint32_t layer)
{
    for (uint32_t i = machine->n_in_flight; i-- > 0;)
        if (machine->loads[machine->in_flight[i]].layer == layer)
            moe_machine_promote(machine, machine->in_flight[i]);
    moe_want want;
    while (moe_wants_peek(machine->wants, &want)) {
        uint32_t object = want.layer * machine->n_experts + want.expert;
        moe_admission admission;
        if (want.layer != layer) {
            moe_wants_draw(machine->wants);
            continue;
        }
        if (!draw(machine, want, &admission))
            continue;
        moe_machine_load(machine, object, MOE_CLASS_DEMAND, &admission);
        machine->loads[object].prefetched = true;
    }
}

/* Whether every copy engine on the object's way to tier 0 is idle. */
static bool
way_is_idle(const moe_machine *machine, uint32_t object)
{
    const moe_plan *plan = machine->plan;
    for (uint32_t t = 0; t < plan->n_tiers; t++) {
        if (t > 0 && moe_residency_where(machine->residency, t, object) != MOE_ABSENT)
            break; /* it comes from here */
        for (int h = 0; h < plan->n_hops[t]; h++)
            if (moe_engine_server_occupied(machine->engine, machine->copy[plan->hops[t][h]],
                                           MOE_CLASS_PREFETCH))
                return false;
    }
    return true;
}

/* Loads the next wanted object that is absent, as long as its way is idle. */
void
moe_machine_pump(moe_machine *machine)
{
    if (!machine->wants_ready)
        return;
    moe_want want;
    while (moe_wants_peek(machine->wants, &want)) {
        uint32_t object = want.layer * machine->n_experts + want.expert;
        moe_admission admission;
        if (!way_is_idle(machine, object))
            return;
        if (!draw(machine, want, &admission))
            continue;
        moe_machine_load(machine, object, MOE_CLASS_PREFETCH, &admission);
        machine->loads[object].running = true;
        machine->in_flight[machine->n_in_flight++] = object;
    }
}
