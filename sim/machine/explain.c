/* explain: one step, task by task, with formulas and the chain that made it as long as it was. */
#include "sim/machine/machine.h"
#include "sim/machine/scenario_private.h"

typedef struct seen {
    uint64_t sequence, binding, before; /* UINT64_MAX: none */
    moe_server_id server;
    uint16_t cause;
    moe_time ready, start, end, zero_load;
    int64_t bytes;
} seen;

typedef struct capture {
    const moe_machine *machine;
    GArray *tasks; /* seen, by end */
} capture;

static void
task_done(void *context, const moe_task *task)
{
    capture *c = context;
    if (!c->machine->noting)
        return;
    seen s = {
        .sequence = task->sequence,
        .binding = task->binding ? task->binding->sequence : UINT64_MAX,
        .before = task->before ? task->before->sequence : UINT64_MAX,
        .server = task->server,
        .cause = task->cause,
        .ready = task->ready,
        .start = task->start,
        .end = task->end,
        .zero_load = task->zero_load,
        .bytes = task->bytes,
    };
    g_array_append_val(c->tasks, s);
}

static const moe_note *
find_note(const moe_machine *machine, uint64_t sequence)
{
    for (guint i = 0; i < machine->notes->len; i++) {
        const moe_note *note = &g_array_index(machine->notes, moe_note, i);
        if (note->sequence == sequence)
            return note;
    }
    return NULL;
}

static const char *
resource(const moe_machine *machine, const seen *s)
{
    return s->server == MOE_NO_SERVER ? "-" : moe_engine_server_name(machine->engine, s->server);
}

static void
print_task(const moe_machine *machine, const seen *s, moe_time origin, bool formula, GString *out)
{
    const moe_note *note = find_note(machine, s->sequence);
    g_autofree char *start = moe_format_time(s->start - origin);
    g_autofree char *end = moe_format_time(s->end - origin);
    g_string_append_printf(out, "  %12s %12s  %-12s %s", start, end, resource(machine, s),
                           note ? note->label : moe_engine_cause_name(machine->engine, s->cause));
    if (s->start > s->ready) {
        g_autofree char *waited = moe_format_time(s->start - s->ready);
        g_string_append_printf(out, " (waited %s for %s)", waited, resource(machine, s));
    }
    if (s->end - s->start > s->zero_load) {
        g_autofree char *more = moe_format_time(s->end - s->start - s->zero_load);
        g_string_append_printf(out, " (held up %s)", more);
    }
    if (!formula || !note) {
        g_string_append_c(out, '\n');
        return;
    }
    if (note->formula[0] == '\n')
        g_string_append(out, note->formula);
    else
        g_string_append_printf(out, "\n        %s\n", note->formula);
}

/* The task that `s` waited for last: its server's previous one, its binding dependency, or the
 * task that ended when it became ready. */
static const seen *
predecessor(const GArray *tasks, const seen *s)
{
    uint64_t wanted = s->start > s->ready ? s->before : s->binding;
    const seen *by_time = NULL;
    for (guint i = 0; i < tasks->len; i++) {
        const seen *other = &g_array_index(tasks, seen, i);
        if (other->sequence == wanted)
            return other;
        if (other->end == s->ready && other->sequence < s->sequence)
            by_time = other;
    }
    return by_time;
}

static void
print_path(const moe_machine *machine, const GArray *tasks, moe_time origin, GString *out)
{
    g_autoptr(GPtrArray) path = g_ptr_array_new();
    const seen *at = &g_array_index(tasks, seen, tasks->len - 1);
    while (at && path->len < tasks->len) {
        g_ptr_array_insert(path, 0, (void *)(uintptr_t)at);
        at = predecessor(tasks, at);
    }
    g_string_append(out, "\ncritical path\n");
    for (guint i = 0; i < path->len; i++)
        print_task(machine, path->pdata[i], origin, false, out);
}

static void
print_step(const capture *c, uint32_t step, GString *out)
{
    const moe_machine *machine = c->machine;
    const moe_schedule *schedule = machine->schedule;
    moe_time origin = machine->step_start[step];
    g_autofree char *took = moe_format_time(machine->step_end[step] - origin);
    g_string_append_printf(out, "\nstep %u of %u: %s, %u tokens, %s\n  %12s %12s  %-12s %s\n", step,
                           schedule->n_steps, moe_step_kind(&schedule->steps[step]),
                           schedule->steps[step].n, took, "start", "end", "resource", "task");
    for (guint t = 0; t < c->tasks->len; t++)
        print_task(machine, &g_array_index(c->tasks, seen, t), origin, true, out);
    print_path(machine, c->tasks, origin, out);
}

bool
moe_scenario_explain(const moe_scenario *scenario, size_t i, uint32_t step, GString *out,
                     uint32_t *n_steps, moe_diag *diag)
{
    const moe_plan *plan = &scenario->runs[i].plan;
    *n_steps = plan->schedule->n_steps;
    if (step >= *n_steps)
        return false;
    moe_machine *machine = moe_machine_new(plan);
    capture c = {machine, g_array_new(false, false, sizeof(seen))};
    moe_observer observer = {.done = task_done, .context = &c};
    moe_engine_observe(machine->engine, &observer);
    machine->notes = g_array_new(false, false, sizeof(moe_note));
    machine->stop_after = step + 1;
    bool ended = moe_machine_run(machine);
    if (ended) {
        moe_scenario_describe(scenario, i, out);
        print_step(&c, step, out);
    } else {
        moe_scenario_endless(scenario, i, machine, diag);
    }
    g_array_free(c.tasks, true);
    moe_machine_free(machine);
    return ended;
}
