/* The simulated system during a run: one device with its host. Private to sim/machine.
 *
 * machine.c   set-up, the chain of segments, steps
 * group.c     from a known gate to computed experts: residency, serving, waves
 * load.c      loads over their hops; the want-list and its pump
 * report.c    metrics, bounds and rows of a finished run
 * energy.c    what it took in joules
 * timeline.c  what ran when, for runs that store it
 * endless.c   why a run does not end before simulated time does
 *
 * Flow of a step: segment 0 -> gate of MoE layer 0 known -> group (loads, experts) -> segment 1 ->
 * … -> tail -> next step. Compute is a chain on the device's server, so one group is open at a
 * time; loads and host work run beside it. */
#ifndef MOE_MACHINE_MACHINE_H
#define MOE_MACHINE_MACHINE_H

#include "sim/core/blame.h"
#include "sim/core/engine.h"
#include "sim/core/sink.h"
#include "sim/core/stat.h"
#include "sim/machine/lower.h"
#include "sim/machine/plan.h"
#include "sim/policy/serve/serve.h"
#include "sim/policy/wants.h"
#include "sim/residency/residency.h"

#define MOE_CLASS_DEMAND 0
#define MOE_CLASS_PREFETCH 1
#define MOE_CLASS_STALE 2 /* prefetches under way that the truth has made useless */

/* An object on its way to tier 0. Hops are NULL once done. */
typedef struct moe_load {
    moe_task **hop; /* room for the longest way */
    uint8_t n_hops;
    bool prefetched, running; /* running: in the list of loads in flight */
    uint32_t layer;
} moe_load;

/* The group of demands in progress. Its members are computed in the order of `queue`: residents
 * first, then those in flight, then misses, each in order of first appearance; members served by
 * the host are not in it. */
typedef struct moe_group_state {
    uint32_t layer, group, n;
    uint32_t *objects;
    const uint32_t *tokens; /* per member */
    uint8_t *outcomes;
    uint32_t *queue;        /* n_queue members */
    uint32_t n_queue, next; /* next: first not yet given to a task */
    uint32_t *wave_tokens;  /* tokens in order of queue */
    uint32_t outstanding;   /* tasks of the group that are not done */
    moe_task *open;         /* a task that still waits for its first slot */
    moe_task *host;         /* last host task, NULL: none or done */
    moe_mark joined;        /* latest of its tasks that are done */
    moe_mark gate;
    moe_time opened; /* when the gate was known */
} moe_group_state;

typedef struct moe_layer_counts {
    uint64_t hits, late, misses, loads, load_bytes, tokens, token_hits;
} moe_layer_counts;

/* One explained task: what it is, and its formula. */
typedef struct moe_note {
    uint64_t sequence;
    char *label, *formula;
} moe_note;

/* The run's intervals, while they are recorded (timeline.c). */
typedef struct moe_machine_timeline moe_machine_timeline;

typedef struct moe_machine {
    const moe_plan *plan;
    const moe_config *config;
    const moe_schedule *schedule;
    const moe_demand *demand;
    moe_engine *engine;
    moe_blame *blame;
    moe_lowering *lowering;
    moe_residency *residency; /* NULL when experts live on the device */
    moe_server_id compute, host;
    moe_server_id *copy;         /* per hw link: the server of its copy engine */
    moe_path_id *path;           /* per hw link */
    moe_link_id *link;           /* per hw link */
    uint16_t *link_cause;        /* per hw link */
    int *engine_of;              /* per hw link: the first link of its copy engine */
    uint32_t *asked;             /* per copy engine, by its first link: hops that are not done */
    moe_capacity_id host_memory; /* shared by host experts and loads when serve uses the host */
    const moe_serve_ops *serve;
    uint32_t n_layers, n_experts;
    moe_time load_ps; /* one load from the home, alone */

    uint32_t step;
    moe_mark chain; /* the last segment or group */
    moe_group_state group;
    moe_load *loads;        /* per object */
    moe_task **hops;        /* theirs */
    moe_mark *arrival;      /* per object: its last load */
    uint32_t *arrival_step; /* per object: step of that load */
    uint32_t *in_flight;    /* objects being prefetched */
    uint32_t n_in_flight;
    moe_wants *wants; /* NULL when experts live on the device */
    bool wants_ready;
    moe_task *readback; /* loads of this gate wait for it; NULL: none, or done */

    /* what is measured, since the end of warm-up */
    moe_time *step_start, *step_end;
    moe_time measured_from;
    moe_time *step_free, *step_lean; /* longest paths through each step */
    moe_layer_counts *layers;
    uint64_t host_served, prefetch_loads, prefetch_used;
    double flops[2], bytes[2];                       /* of the device, by phase */
    double host_flops[2], host_bytes[2], carried[2]; /* the same of the host; to it, and back */
    int64_t *phase_bytes; /* of links, see energy.c; NULL: energy is not asked for, or unknown */
    double block_ps;      /* sum over decode groups: gate to computed experts */
    uint64_t blocks;
    int64_t *link_bytes_before;
    moe_time *link_busy_before;
    uint64_t *link_transfers;
    uint32_t peak_slots;
    moe_cost longest; /* of all experts so far */

    GArray *notes; /* moe_note, while explaining; else NULL */
    bool noting;
    moe_machine_timeline *timeline; /* NULL: not recorded */
    void (*progress)(void *context, double done);
    void *progress_context;
    uint32_t stop_after; /* steps; UINT32_MAX: all */
} moe_machine;

moe_machine *moe_machine_new(const moe_plan *plan);
void moe_machine_free(moe_machine *machine);
/* False when simulated time ended before the run; moe_machine_endless says why. */
bool moe_machine_run(moe_machine *machine);
/* One sentence on where and why such a run got no further; yours to free. */
char *moe_machine_endless(const moe_machine *machine);
/* The fewest loads that any policy could do, see moe_schedule_least_loads; `first`: with room for
 * all. UINT64_MAX when they do not apply. */
typedef struct moe_fewest {
    uint64_t loads, first;
} moe_fewest;

/* Turns the finished run into rows. */
moe_result *moe_machine_report(moe_machine *machine, moe_fewest all_steps, moe_fewest decode_steps);

/* timeline.c: observes the machine's engine; to be freed before it. */
moe_machine_timeline *moe_machine_timeline_new(moe_machine *machine);
void moe_machine_timeline_free(moe_machine_timeline *timeline);
/* Rows of the table `timeline`. */
void moe_machine_timeline_write(const moe_machine_timeline *timeline, moe_result *result);
/* group.c */
void moe_machine_gate_known(moe_machine *machine, moe_task *gate);
void moe_machine_slot_freed(moe_machine *machine);
/* load.c */
moe_task *moe_machine_load(moe_machine *machine, uint32_t object, uint8_t priority,
                           const moe_admission *admission);
void moe_machine_promote(moe_machine *machine, uint32_t object);
void moe_machine_want(moe_machine *machine);
void moe_machine_pump(moe_machine *machine);
void moe_machine_rush(moe_machine *machine, uint32_t layer);
void moe_machine_drop_prefetches(moe_machine *machine, bool all);
/* machine.c */
void moe_machine_next_segment(moe_machine *machine, moe_task *last);
static inline void
moe_machine_count_work(moe_machine *machine, double flops, double bytes)
{
    uint8_t phase = machine->schedule->steps[machine->step].phase;
    machine->flops[phase] += flops;
    machine->bytes[phase] += bytes;
}
static inline void
moe_machine_longest(moe_machine *machine, const moe_cost *cost)
{
    if (cost->total_ps > machine->longest.total_ps)
        machine->longest = *cost;
}
/* For explain: `formula` is taken over. */
void moe_machine_note(moe_machine *machine, const moe_task *task, char *label, char *formula);

#endif
