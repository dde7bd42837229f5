/* The timeline of a run: what its servers and links did when, task by task. An observer of the
 * engine, which is there only in runs that store it. */
#include "sim/machine/machine.h"

/* A task that is done, or a part of one. */
typedef struct interval {
    moe_time start, end;
    int64_t bytes;
    uint32_t step, layer, expert; /* MOE_NONE: of none */
    moe_server_id server;
    uint16_t cause;
    bool prefetch;
} interval;

struct moe_machine_timeline {
    const moe_machine *machine;
    GArray *intervals;
};

/* A segment's parts, one after another as its causes are listed; as one when it was slowed down. */
static void
take_segment(moe_machine_timeline *timeline, const moe_task *task, interval whole)
{
    uint32_t m = (uint32_t)task->user[1];
    const moe_segment *segment = moe_lowering_segment(timeline->machine->lowering, m);
    whole.layer = m < timeline->machine->n_layers ? m : MOE_NONE;
    if (task->end - task->start != segment->total) {
        g_array_append_val(timeline->intervals, whole);
        return;
    }
    moe_time at = task->start;
    for (uint16_t c = 0; c < MOE_N_CAUSES; c++) {
        if (segment->parts[c] <= 0)
            continue;
        interval part = whole;
        part.cause = c;
        part.start = at;
        part.end = at += segment->parts[c];
        g_array_append_val(timeline->intervals, part);
    }
}

static void
task_done(void *context, const moe_task *task)
{
    moe_machine_timeline *timeline = context;
    const moe_machine *machine = timeline->machine;
    interval one = {task->start, task->end,    task->bytes, machine->step, MOE_NONE,
                    MOE_NONE,    task->server, task->cause, false};
    if (!task->begun)
        return; /* called off before it started */
    if (task->cause == MOE_CAUSE_attention || task->cause == MOE_CAUSE_head) {
        take_segment(timeline, task, one);
        return;
    }
    if (task->cause >= MOE_N_CAUSES) {
        one.layer = (uint32_t)task->user[0] / machine->n_experts;
        one.expert = (uint32_t)task->user[0] % machine->n_experts;
        one.prefetch = task->priority != MOE_CLASS_DEMAND;
    } else {
        one.layer = machine->group.layer;
    }
    g_array_append_val(timeline->intervals, one);
}

moe_machine_timeline *
moe_machine_timeline_new(moe_machine *machine)
{
    moe_machine_timeline *timeline = g_new(moe_machine_timeline, 1);
    timeline->machine = machine;
    timeline->intervals = g_array_new(false, false, sizeof(interval));
    moe_observer observer = {.done = task_done, .context = timeline};
    moe_engine_observe(machine->engine, &observer);
    return timeline;
}

void
moe_machine_timeline_free(moe_machine_timeline *timeline)
{
    if (!timeline)
        return;
    g_array_free(timeline->intervals, true);
    g_free(timeline);
}

static moe_cell
number(const moe_machine *machine, uint32_t value, bool layer)
{
    if (value == MOE_NONE)
        return moe_null();
    return moe_int(layer ? machine->schedule->routing->layer_ids[value] : value);
}

void
moe_machine_timeline_write(const moe_machine_timeline *timeline, moe_result *result)
{
    const moe_machine *machine = timeline->machine;
    for (guint i = 0; i < timeline->intervals->len; i++) {
        const interval *one = &g_array_index(timeline->intervals, interval, i);
        const char *cause = moe_engine_cause_name(machine->engine, one->cause);
        bool load = one->cause >= MOE_N_CAUSES, served = one->server != MOE_NO_SERVER;
        const char *kind = load ? "copy" : served ? "compute" : "wait";
        moe_cell cells[] = {
            moe_int(i),
            moe_text(kind),
            served ? moe_text(moe_engine_server_name(machine->engine, one->server)) : moe_null(),
            load ? moe_text(cause) : moe_null(),
            moe_text(load ? one->prefetch ? "prefetch" : "load" : cause),
            moe_int(one->step),
            number(machine, one->layer, true),
            number(machine, one->expert, false),
            moe_int(one->start),
            moe_int(one->end),
            load ? moe_int(one->bytes) : moe_null(),
        };
        moe_result_add(result, "timeline", cells, MOE_COUNT(cells));
    }
}
