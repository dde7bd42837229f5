/* Runs that the clock cannot hold: what they were at when simulated time ended, and why. */
#include "sim/machine/machine.h"

/* From here on a single task is looked at, not the number of them: a day. */
#define SUSPECT_PS (86400 * MOE_PS_PER_S)

static void
explain_hop(const moe_machine *machine, const moe_task *task, GString *out)
{
    int l = 0;
    while (machine->path[l] != task->path)
        l++;
    const moe_hw_link *link = &machine->plan->hw->links[l];
    moe_cost cost = moe_cost_copy(link, (double)task->bytes, machine->config->overhead.pageable);
    g_string_append_printf(out, "a load over '%s': ", link->name);
    moe_cost_explain_copy(link, &cost, out);
}

/* What `task` does, with the formula of its time. */
static void
explain_task(const moe_machine *machine, const moe_task *task, GString *out)
{
    if (task->path != MOE_NO_PATH) {
        explain_hop(machine, task, out);
        return;
    }
    const char *device = moe_engine_server_name(machine->engine, task->server);
    if (task->cause == MOE_CAUSE_attention || task->cause == MOE_CAUSE_head) {
        const moe_cost *cost;
        const char *stage = moe_lowering_longest(machine->lowering, (uint32_t)task->user[1], &cost);
        g_string_append_printf(out, "%s on '%s': ", stage, device);
        moe_cost_explain(cost, out);
        return;
    }
    g_string_append_printf(out, "%s of layer %u on '%s': ",
                           task->cause == MOE_CAUSE_shared ? "the shared expert" : "experts",
                           machine->group.layer, device);
    moe_cost_explain(&machine->longest, out);
}

char *
moe_machine_endless(const moe_machine *machine)
{
    const moe_task *task;
    bool endless = moe_engine_endless(machine->engine, &task);
    uint32_t step = machine->step, n_steps = machine->schedule->n_steps;
    moe_time now = moe_engine_now(machine->engine);
    moe_assert(endless, "the run stopped in step %u of %u at %lld ps: a group waits for ever", step,
               n_steps, (long long)now);
    g_autofree char *passed = moe_format_time(now);
    GString *out = g_string_new(NULL);
    g_string_printf(out,
                    "simulated time ends after 106 days, before the run: after %s in step %u "
                    "of %u",
                    passed, step, n_steps);
    if (task && task->zero_load >= SUSPECT_PS) {
        g_string_append(out, ", at ");
        explain_task(machine, task, out);
        g_string_append(out, "; is that rate of the hardware meant?");
    } else {
        g_string_append(out, "; simulate fewer or shorter requests ('workload')");
    }
    return g_string_free(out, false);
}
