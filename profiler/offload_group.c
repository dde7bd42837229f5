#include "profiler/offload_state.h"
#include "sim/base/error.h"

/* What the trace that is followed says of the group; false with `error` when the run asks for
 * something else. */
static bool
check_followed(const moe_offload *offload, const moe_dispatch *dispatch, uint32_t tokens,
               GError **error)
{
    const moe_demand *ahead = offload->config.ahead;
    const moe_offload_group *group = &offload->group;
    if (group->step >= ahead->n_steps) {
        g_set_error(error, MOE_ERROR, MOE_ERROR_FILE,
                    "the run goes on after the %u steps of the trace that it follows",
                    ahead->n_steps);
        return false;
    }
    uint32_t g = moe_demand_group(ahead, group->step, group->layer);
    uint64_t first = ahead->first[g];
    bool same = moe_demand_size(ahead, g) == dispatch->n_experts &&
                ahead->step_tokens[group->step] == tokens;
    for (uint32_t i = 0; same && i < dispatch->n_experts; i++)
        same = ahead->expert[first + i] == dispatch->expert[i] &&
               ahead->tokens[first + i] == dispatch->first[i + 1] - dispatch->first[i];
    if (!same)
        g_set_error(
            error, MOE_ERROR, MOE_ERROR_FILE,
            "the run leaves the trace that it follows in step %u, layer %u: %u tokens ask "
            "for %u experts, in the trace %u for %u, maybe others; was it made with another "
            "--batch or --chunk, of other tokens, or with another model?",
            group->step, offload->layer_ids[group->layer], tokens, dispatch->n_experts,
            ahead->step_tokens[group->step], moe_demand_size(ahead, g));
    return same;
}

static void
note_gate(moe_offload *offload, uint32_t tokens)
{
    const moe_offload_group *group = &offload->group;
    const moe_decision gate = {
        .kind = MOE_DECISION_GATE,
        .step = group->step,
        .layer = group->layer,
        .tokens = tokens,
        .n = group->n,
        .objects = group->objects,
        .outcomes = group->outcomes,
    };
    if (offload->log)
        moe_decisions_add(offload->log, &gate);
}

/* Times for policies that ask for them, in picoseconds. */
static void
ask(moe_offload *offload)
{
    const moe_offload_group *group = &offload->group;
    int64_t window_ps = 0, load_ps = 0;
    if (moe_wants_timed(offload->wants) && group->layer + 1 < offload->n_layers) {
        window_ps = (int64_t)offload->between_ns[group->layer] * 1000;
        load_ps = offload->reads ? (int64_t)(offload->read_ns / offload->reads) * 1000 : 0;
    }
    moe_wants_ask(offload->wants, group->step, group->layer, window_ps, load_ps);
    moe_decision want = {.kind = MOE_DECISION_WANT, .window_ps = window_ps, .load_ps = load_ps};
    const moe_want *list = moe_wants_list(offload->wants, &want.n);
    if (!offload->log || want.n == 0)
        return;
    g_autofree uint32_t *objects = g_new(uint32_t, want.n + 1);
    for (size_t i = 0; i < want.n; i++)
        objects[i] = list[i].layer * offload->n_experts + list[i].expert;
    want.objects = objects;
    moe_decisions_add(offload->log, &want);
}

/* Residents first, then those on their way, then misses. */
static void
queue_members(moe_offload *offload)
{
    moe_offload_group *group = &offload->group;
    moe_offload_counts *counts = &offload->counts[group->layer];
    uint32_t n = 0;
    for (uint8_t outcome = MOE_HIT; outcome <= MOE_MISS; outcome++)
        for (uint32_t i = 0; i < group->n; i++)
            if (group->outcomes[i] == outcome)
                group->queue[n++] = i;
    for (uint32_t i = 0; i < group->n; i++) {
        counts->hits += group->outcomes[i] == MOE_HIT;
        counts->late += group->outcomes[i] == MOE_LATE;
        counts->misses += group->outcomes[i] == MOE_MISS;
        if (group->objects[i] == offload->busy && !offload->busy_off)
            offload->busy_demanded = true;
    }
    group->next = group->wave = 0;
}

/* How long it was from the gate before to this one, not counting waits. */
static void
take_time(moe_offload *offload)
{
    uint64_t now = moe_offload_now();
    if (offload->group.layer > 0) {
        uint64_t took = now - offload->gate_ns;
        offload->between_ns[offload->group.layer - 1] =
            took > offload->waited_ns ? took - offload->waited_ns : 0;
    }
    offload->gate_ns = now;
    offload->waited_ns = 0;
}

static bool
begin(moe_offload *offload, const moe_routed *routed, const moe_dispatch *dispatch, GError **error)
{
    moe_offload_group *group = &offload->group;
    const moe_demand *ahead = offload->config.ahead;
    uint32_t tokens = routed->batch->n;
    const uint32_t *next_use = NULL;
    if (offload->failure) {
        g_propagate_error(error, g_error_copy(offload->failure));
        return false;
    }
    group->step = routed->step;
    group->layer = routed->layer;
    group->n = dispatch->n_experts;
    for (uint32_t i = 0; i < group->n; i++)
        group->objects[i] = group->layer * offload->n_experts + dispatch->expert[i];
    if (!ahead)
        moe_offload_seen_add(&offload->seen, group->layer, tokens, dispatch);
    else if (!check_followed(offload, dispatch, tokens, error))
        return false;
    else
        next_use =
            ahead->next_use + ahead->first[moe_demand_group(ahead, group->step, group->layer)];
    take_time(offload);
    moe_residency_begin(offload->residency, group->objects, next_use, group->n, group->outcomes);
    note_gate(offload, tokens);
    queue_members(offload);
    offload->demanding = true;
    offload->routed = routed;
    ask(offload);
    offload->routed = NULL;
    return true;
}

bool
moe_offload_begin(void *context, const moe_routed *routed, const moe_dispatch *dispatch,
                  GError **error)
{
    moe_offload *offload = context;
    g_mutex_lock(&offload->lock);
    bool begun = begin(offload, routed, dispatch, error);
    g_mutex_unlock(&offload->lock);
    return begun;
}

/* The last wave is computed: its slots may be given away. */
static void
release_wave(moe_offload *offload)
{
    moe_offload_group *group = &offload->group;
    for (uint32_t i = group->wave; i < group->next; i++) {
        uint32_t object = group->objects[group->queue[i]];
        moe_residency_release(offload->residency, object);
        moe_offload_note(offload, MOE_DECISION_DONE, object, MOE_NONE);
    }
    group->wave = group->next;
}

/* A slot for a member that has none; false: all are held. */
static bool
attend(moe_offload *offload, uint32_t member)
{
    uint32_t object = offload->group.objects[member];
    if (offload->group.outcomes[member] != MOE_MISS)
        return true;
    moe_admission admission;
    if (moe_residency_admit(offload->residency, object, &admission) != MOE_ADMITTED) {
        moe_offload_note(offload, MOE_DECISION_FULL, object, MOE_NONE);
        return false;
    }
    moe_offload_note(offload, MOE_DECISION_LOAD, object, admission.victim[0]);
    moe_offload_admitted(offload, object, admission.victim[0], false);
    return true;
}

static void
open_wave(moe_offload *offload, uint32_t n)
{
    moe_offload_group *group = &offload->group;
    while (group->next < n && attend(offload, group->queue[group->next]))
        group->next++;
    if (group->next > group->wave)
        return;
    moe_offload_call_off(offload); /* its slot is held by a prefetch of no use now */
    while (group->next < n && attend(offload, group->queue[group->next]))
        group->next++;
    moe_assert(group->next > group->wave, "no slot for layer %u in step %u", group->layer,
               group->step);
}

static bool
next(moe_offload *offload, uint32_t *members, const moe_mlp **weights, uint32_t *n, GError **error)
{
    moe_offload_group *group = &offload->group;
    release_wave(offload);
    *n = 0;
    if (group->next < group->n) {
        offload->demanding = true;
        open_wave(offload, group->n);
        if (!moe_offload_load_wave(offload, group->wave, error))
            return false;
        if (offload->failure) {
            g_propagate_error(error, g_error_copy(offload->failure));
            return false;
        }
        for (uint32_t i = group->wave; i < group->next; i++) {
            uint32_t object = group->objects[group->queue[i]];
            members[*n] = group->queue[i];
            weights[(*n)++] = &offload->mlp[offload->buffer_of[object]];
        }
    }
    moe_want want;
    offload->demanding = false;
    if (moe_wants_peek(offload->wants, &want))
        g_cond_signal(&offload->work);
    return true;
}

bool
moe_offload_next(void *context, uint32_t *members, const moe_mlp **weights, uint32_t *n,
                 GError **error)
{
    moe_offload *offload = context;
    g_mutex_lock(&offload->lock);
    bool given = next(offload, members, weights, n, error);
    g_mutex_unlock(&offload->lock);
    return given;
}

bool
moe_offload_end_step(void *context, GError **error)
{
    moe_offload *offload = context;
    g_mutex_lock(&offload->lock);
    moe_wants_clear(offload->wants);
    moe_offload_call_off(offload);
    moe_offload_note(offload, MOE_DECISION_END, 0, MOE_NONE);
    bool written = !offload->log || moe_decisions_flush(offload->log, error);
    g_mutex_unlock(&offload->lock);
    return written;
}
