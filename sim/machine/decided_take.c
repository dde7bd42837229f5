/* What each decision must be, given those before it. */
#include "sim/machine/decided_private.h"

#include <stdarg.h>
#include <string.h>

enum { MISSING, HELD, RELEASED }; /* state of a member */

static bool fail(const decided_run *run, const char *fmt, ...) MOE_PRINTF(2, 3);

static bool
fail(const decided_run *run, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(run->diag, moe_decisions_at(run->log), "%s", text);
    return false;
}

/* "3.17", in one of a few buffers that take turns. */
static const char *
name_of(const decided_run *run, uint32_t object)
{
    static _Thread_local char names[4][32];
    static _Thread_local unsigned turn;
    char *name = names[turn++ % MOE_COUNT(names)];
    if (object == MOE_NONE)
        return "none";
    g_snprintf(name, sizeof names[0], "%u.%u", object / run->demand->n_experts,
               object % run->demand->n_experts);
    return name;
}

static bool
group_is_done(const decided_run *run)
{
    return run->n_done == run->n;
}

static bool
take_members(decided_run *run, const moe_decision *gate)
{
    const moe_demand *demand = run->demand;
    uint32_t group = moe_demand_group(demand, run->step, run->layer);
    uint64_t first = demand->first[group];
    if (gate->tokens != demand->step_tokens[run->step])
        return fail(run, "step %u has %u tokens in the trace, not %u", run->step,
                    demand->step_tokens[run->step], gate->tokens);
    if (gate->n != moe_demand_size(demand, group))
        return fail(run, "step %u, layer %u asks for %u distinct experts in the trace, not %zu",
                    run->step, run->layer, moe_demand_size(demand, group), gate->n);
    run->n = (uint32_t)gate->n;
    for (uint32_t i = 0; i < run->n; i++) {
        run->objects[i] = run->layer * demand->n_experts + demand->expert[first + i];
        if (run->objects[i] != gate->objects[i])
            return fail(run, "expert %u of step %u, layer %u is %s in the trace, not %s", i,
                        run->step, run->layer, name_of(run, run->objects[i]),
                        name_of(run, gate->objects[i]));
    }
    moe_residency_begin(run->residency, run->objects, demand->next_use + first, run->n,
                        run->outcomes);
    return true;
}

static bool
take_gate(decided_run *run, const moe_decision *gate)
{
    static const char *const names[] = {"hit", "late", "miss"};
    uint32_t n_layers = run->demand->n_layers, step = run->n_groups / n_layers,
             layer = run->n_groups % n_layers;
    if (!group_is_done(run))
        return fail(run, "a gate, but %u experts of the one before are not computed",
                    run->n - run->n_done);
    if (run->open != (layer > 0) || gate->step != step || gate->layer != layer)
        return fail(run, "step %u, layer %u, where step %u, layer %u is due%s", gate->step,
                    gate->layer, step, layer, run->open == (layer > 0) ? "" : " after an end");
    if (step >= run->demand->n_steps)
        return fail(run, "step %u, but the trace has %u steps", step, run->demand->n_steps);
    run->step = step;
    run->layer = layer;
    run->open = true;
    run->asked = false;
    run->n_groups++;
    if (!take_members(run, gate))
        return false;
    moe_decided_layer *counts = &run->out->layers[layer];
    run->n_miss = run->next_miss = run->n_done = 0;
    for (uint32_t i = 0; i < run->n; i++) {
        uint32_t object = run->objects[i];
        if (run->outcomes[i] != gate->outcomes[i])
            return fail(run, "%s is a %s, not a %s", name_of(run, object), names[run->outcomes[i]],
                        names[gate->outcomes[i]]);
        counts->hits += run->outcomes[i] == MOE_HIT;
        counts->late += run->outcomes[i] == MOE_LATE;
        counts->misses += run->outcomes[i] == MOE_MISS;
        run->state[i] = run->outcomes[i] == MOE_MISS ? MISSING : HELD;
        if (run->outcomes[i] == MOE_MISS)
            run->miss[run->n_miss++] = i;
        run->n_ahead -= run->ahead[object];
        run->ahead[object] = false;
    }
    return true;
}

/* What is wanted must be what the policies want now; nothing is written when that is nothing. */
static bool
take_want(decided_run *run, const moe_decision *want)
{
    size_t n;
    if (run->asked)
        return fail(run, "what is wanted is said twice, or before any gate");
    run->asked = true;
    moe_wants_ask(run->wants, run->step, run->layer, want->window_ps, want->load_ps);
    const moe_want *list = moe_wants_list(run->wants, &n);
    if (n != want->n)
        return fail(run, "%zu experts are wanted after step %u, layer %u, not %zu", n, run->step,
                    run->layer, want->n);
    for (size_t i = 0; i < n; i++) {
        uint32_t object = list[i].layer * run->demand->n_experts + list[i].expert;
        if (object != want->objects[i])
            return fail(run, "%s is wanted as number %zu, not %s", name_of(run, object), i + 1,
                        name_of(run, want->objects[i]));
    }
    return true;
}

static bool
take_admission(decided_run *run, const moe_decision *decision)
{
    bool load = decision->kind == MOE_DECISION_LOAD;
    if (run->next_miss == run->n_miss ||
        run->objects[run->miss[run->next_miss]] != decision->object)
        return fail(run, "%s is not the miss that is due: %s is", name_of(run, decision->object),
                    run->next_miss == run->n_miss
                        ? "none"
                        : name_of(run, run->objects[run->miss[run->next_miss]]));
    moe_admission admission;
    moe_admit got = moe_residency_admit(run->residency, decision->object, &admission);
    if ((got == MOE_ADMITTED) != load)
        return fail(run, load ? "there is no slot for %s now" : "there is a slot for %s",
                    name_of(run, decision->object));
    if (!load)
        return true;
    if (admission.victim[0] != decision->victim)
        return fail(run, "the policy evicts %s for %s, not %s", name_of(run, admission.victim[0]),
                    name_of(run, decision->object), name_of(run, decision->victim));
    run->state[run->miss[run->next_miss++]] = HELD;
    run->out->layers[run->layer].loads++;
    if (decision->victim != MOE_NONE)
        run->out->layers[decision->victim / run->demand->n_experts].evictions++;
    return true;
}

/* Draws from the want-list until `object` comes; those before it must be there already. */
static bool
draw_until(decided_run *run, uint32_t object)
{
    moe_want want;
    while (moe_wants_peek(run->wants, &want)) {
        uint32_t next = want.layer * run->demand->n_experts + want.expert;
        bool absent = moe_residency_where(run->residency, 0, next) == MOE_ABSENT;
        moe_wants_draw(run->wants);
        if (next == object && absent)
            return true;
        if (absent)
            return fail(run, "%s is wanted before %s", name_of(run, next), name_of(run, object));
    }
    return fail(run, "%s is not wanted, or is there", name_of(run, object));
}

static bool
take_prefetch(decided_run *run, const moe_decision *decision)
{
    bool admits = decision->kind == MOE_DECISION_PREFETCH;
    uint32_t object = decision->object, layer = object / run->demand->n_experts;
    if (!draw_until(run, object))
        return false;
    uint32_t group = moe_demand_group(run->demand, run->step, layer);
    moe_admission admission;
    moe_admit got = moe_residency_prefetch(run->residency, object, group,
                                           moe_wants_outlook(run->wants), group, &admission);
    if ((got == MOE_ADMITTED) != admits)
        return fail(run, admits ? "there is no slot for %s" : "there is a slot for %s",
                    name_of(run, object));
    if (!admits)
        return true;
    if (admission.victim[0] != decision->victim)
        return fail(run, "the policy evicts %s for %s, not %s", name_of(run, admission.victim[0]),
                    name_of(run, object), name_of(run, decision->victim));
    run->ahead[object] = true;
    run->n_ahead++;
    run->out->layers[layer].loads++;
    run->out->layers[layer].prefetches++;
    if (decision->victim != MOE_NONE)
        run->out->layers[decision->victim / run->demand->n_experts].evictions++;
    return true;
}

static bool
take_arrival(decided_run *run, uint32_t object)
{
    if (moe_residency_where(run->residency, 0, object) != MOE_IN_FLIGHT)
        return fail(run, "%s is not on its way", name_of(run, object));
    moe_residency_arrived(run->residency, 0, object);
    run->n_ahead -= run->ahead[object];
    run->ahead[object] = false;
    return true;
}

static bool
take_done(decided_run *run, uint32_t object)
{
    uint32_t i = 0;
    while (i < run->n && run->objects[i] != object)
        i++;
    if (i == run->n || run->state[i] != HELD ||
        moe_residency_where(run->residency, 0, object) != MOE_RESIDENT)
        return fail(run, "%s cannot be computed now: %s", name_of(run, object),
                    i == run->n                 ? "nobody asks for it"
                    : run->state[i] == RELEASED ? "it was computed before"
                                                : "it is not there");
    moe_residency_release(run->residency, object);
    run->state[i] = RELEASED;
    run->n_done++;
    return true;
}

/* A prefetch is called off when it is in the way of a wave, when its layer has come, or at the end
 * of the step. */
static bool
take_off(decided_run *run, uint32_t object)
{
    if (!run->ahead[object])
        return fail(run, "%s is no prefetch under way", name_of(run, object));
    bool over = group_is_done(run) && run->layer + 1 == run->demand->n_layers;
    if (!over && run->before != MOE_DECISION_FULL && object / run->demand->n_experts > run->layer)
        return fail(run, "nothing calls the prefetch of %s off here", name_of(run, object));
    moe_residency_call_off(run->residency, object);
    run->ahead[object] = false;
    run->n_ahead--;
    return true;
}

static bool
take_end(decided_run *run)
{
    if (!run->open || run->layer + 1 != run->demand->n_layers || !group_is_done(run))
        return fail(run, "a step ends before all of its layers are computed");
    if (run->n_ahead > 0)
        return fail(run, "a step ends with %u prefetches under way", run->n_ahead);
    moe_wants_clear(run->wants);
    run->open = false;
    run->out->n_steps++;
    return true;
}

static bool
take_counts(decided_run *run, const moe_decision *decision)
{
    static const char *const names[MOE_DECISION_COUNTS] = {"hits",  "late",       "misses",
                                                           "loads", "prefetches", "evictions"};
    const moe_decided_layer *l = &run->out->layers[decision->layer];
    const uint64_t mine[MOE_DECISION_COUNTS] = {l->hits,  l->late,       l->misses,
                                                l->loads, l->prefetches, l->evictions};
    if (run->open || decision->layer != run->n_counted)
        return fail(run, "the counts of layer %u are not due", decision->layer);
    for (size_t i = 0; i < MOE_DECISION_COUNTS; i++)
        if (decision->counts[i] != mine[i])
            return fail(run, "layer %u: %llu %s in the replay, not %llu", decision->layer,
                        (unsigned long long)mine[i], names[i],
                        (unsigned long long)decision->counts[i]);
    run->n_counted++;
    return true;
}

static bool
take(decided_run *run, const moe_decision *decision)
{
    switch (decision->kind) {
    case MOE_DECISION_GATE:
        return take_gate(run, decision);
    case MOE_DECISION_WANT:
        return take_want(run, decision);
    case MOE_DECISION_LOAD:
    case MOE_DECISION_FULL:
        return take_admission(run, decision);
    case MOE_DECISION_PREFETCH:
    case MOE_DECISION_REFUSE:
        return take_prefetch(run, decision);
    case MOE_DECISION_HERE:
        return take_arrival(run, decision->object);
    case MOE_DECISION_DONE:
        return take_done(run, decision->object);
    case MOE_DECISION_OFF:
        return take_off(run, decision->object);
    case MOE_DECISION_END:
        return take_end(run);
    case MOE_DECISION_COUNT:
        return take_counts(run, decision);
    }
    return false;
}

bool
decided_take(decided_run *run, const moe_decision *decision)
{
    static const moe_decision nothing = {.kind = MOE_DECISION_WANT};
    if (run->n_counted > 0 && decision->kind != MOE_DECISION_COUNT)
        return fail(run, "a decision after the counts");
    if (!run->asked && decision->kind != MOE_DECISION_WANT && !take_want(run, &nothing))
        return false;
    if (!take(run, decision))
        return false;
    run->before = decision->kind;
    return true;
}
