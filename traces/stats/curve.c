#include "traces/stats/curve.h"

#include "traces/stats/stack.h"

#include <glib.h>
#include <math.h>
#include <string.h>

struct run {
    const moe_pick *pick;
    const moe_curve_config *config;
    moe_curve *curve;
    struct stack *stacks; /* [n_caches] */
    uint32_t *next;       /* belady: next access, [accesses of the history]; in order of access */
    uint64_t max_next;
    uint32_t *seen;    /* belady: per object of all caches, access that comes next */
    uint32_t *objects; /* of the token at hand, cache by cache; [L * k] */
    uint32_t *counts;  /* of each cache; [n_caches] */
    uint64_t *worths;  /* [L * k], for use_pinned */
    struct pushed pushed;
};

/* ---- priorities ---- */

#define LATEST 0xFFFFFFFFull /* low half of a priority: time of the last use */

/* What the object that is used now will be worth; `was`: so far. */
static inline uint64_t
worth(struct run *run, struct stack *stack, uint64_t was)
{
    uint64_t now = ++stack->clock & LATEST, high = was & ~LATEST;
    switch (run->config->policy) {
    case MOE_CURVE_LFU:
        return (high + LATEST + 1) | now;
    case MOE_CURVE_AHEAD:
        return (high - LATEST - 1) | now;
    case MOE_CURVE_BELADY:
        return UINT64_MAX - *run->next++;
    default:
        return now;
    }
}

static inline void
take_in(struct run *run, struct stack *stack, uint32_t object)
{
    uint32_t place = stack->place[object];
    if (run->config->policy == MOE_CURVE_LRU)
        stack_use_latest(stack, object);
    else
        stack_use(
            stack, object,
            worth(run, stack, place == MOE_NONE ? stack->waiting[object] : stack->priority[place]));
}

/* ---- tokens ---- */

/* The objects of a row into run->objects, counts per cache. */
static void
read_token(struct run *run, uint64_t row, uint32_t *objects, uint32_t *counts)
{
    const moe_routing *routing = run->pick->routing;
    uint32_t n = 0;
    memset(counts, 0, run->curve->n_caches * sizeof *counts);
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        uint32_t cache = run->config->per_layer ? l : 0;
        uint32_t offset = run->config->per_layer ? 0 : l * routing->n_experts;
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, row, l, j);
            if (id >= MOE_ROUTING_NOT_RUN)
                break;
            objects[n++] = offset + id;
            counts[cache]++;
        }
    }
}

static inline void
count_access(struct run *run, uint32_t cache, uint32_t place, uint32_t *fills)
{
    moe_curve *curve = run->curve;
    curve->accesses[cache]++;
    if (place != MOE_NONE)
        curve->at[(size_t)cache * curve->n_objects + place]++;
    else if (run->config->first_fill_hit && *fills < curve->n_objects)
        curve->first[(size_t)cache * curve->n_objects + (*fills)++]++;
}

/* The n objects of a token in one cache: tested, then taken in. */
static void
use_together(struct run *run, uint32_t cache, const uint32_t *objects, uint32_t n)
{
    struct stack *stack = &run->stacks[cache];
    uint32_t fills = stack->n;
    for (uint32_t j = 0; j < n; j++)
        count_access(run, cache, stack->place[objects[j]], &fills);
    if (run->config->policy == MOE_CURVE_LRU)
        stack_use_all_latest(stack, objects, n);
    for (uint32_t j = 0; run->config->policy != MOE_CURVE_LRU && j < n; j++)
        take_in(run, stack, objects[j]);
}

/* The n objects of a token in one cache, in which they stay until all are in. */
static void
use_pinned(struct run *run, uint32_t cache, const uint32_t *objects, uint32_t n)
{
    struct stack *stack = &run->stacks[cache];
    uint32_t fills = stack->n;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t place = stack->place[objects[j]];
        uint64_t was = place == MOE_NONE ? stack->waiting[objects[j]] : stack->priority[place];
        count_access(run, cache, place, &fills);
        run->worths[j] = worth(run, stack, was);
    }
    if (n)
        stack_use_group(stack, objects, run->worths, n, &run->pushed);
}

static void
use_singly(struct run *run, uint32_t cache, const uint32_t *objects, uint32_t n)
{
    struct stack *stack = &run->stacks[cache];
    for (uint32_t j = 0; j < n; j++) {
        uint32_t fills = stack->n;
        count_access(run, cache, stack->place[objects[j]], &fills);
        take_in(run, stack, objects[j]);
    }
}

static void
use_token(struct run *run, uint64_t row)
{
    const uint32_t *objects = run->objects;
    read_token(run, row, run->objects, run->counts);
    for (uint32_t c = 0; c < run->curve->n_caches; c++) {
        if (run->config->pinned)
            use_pinned(run, c, objects, run->counts[c]);
        else if (run->config->together)
            use_together(run, c, objects, run->counts[c]);
        else
            use_singly(run, c, objects, run->counts[c]);
        objects += run->counts[c];
    }
}

/* A token enters the windows of `ahead`. */
static void
foresee_token(struct run *run, uint64_t row)
{
    const uint32_t *object = run->objects;
    read_token(run, row, run->objects, run->counts);
    for (uint32_t c = 0; c < run->curve->n_caches; c++) {
        struct stack *stack = &run->stacks[c];
        for (uint32_t j = 0; j < run->counts[c]; j++, object++) {
            uint32_t place = stack->place[*object];
            uint64_t *priority =
                place == MOE_NONE ? &stack->waiting[*object] : &stack->priority[place];
            *priority += LATEST + 1;
        }
    }
}

/* ---- histories ---- */

/* Rows of one sequence, or of the whole pick, in order. */
struct history {
    uint64_t n;
    uint64_t *rows;
};

static void
history_add(struct history *history, const moe_pick *pick, uint32_t i)
{
    uint32_t s = moe_pick_sequence(pick, i);
    uint64_t length = moe_pick_length(pick, i);
    for (uint64_t t = 0; t < length; t++)
        history->rows[history->n++] = moe_routing_token(pick->routing, s, t);
}

/* When each access's object is accessed next; never: after all others. From the end backwards. */
static void
know_next(struct run *run, const struct history *history, uint32_t *next)
{
    uint64_t accesses = 0;
    size_t n_objects = (size_t)run->curve->n_caches * run->curve->n_objects;
    for (uint64_t t = 0; t < history->n; t++) {
        read_token(run, history->rows[t], run->objects, run->counts);
        for (uint32_t c = 0; c < run->curve->n_caches; c++)
            accesses += run->counts[c];
    }
    for (size_t i = 0; i < n_objects; i++)
        run->seen[i] = MOE_NONE;
    for (uint64_t t = history->n; t-- > 0;) {
        uint32_t n = 0;
        read_token(run, history->rows[t], run->objects, run->counts);
        for (uint32_t c = 0; c < run->curve->n_caches; c++)
            n += run->counts[c];
        for (uint32_t c = run->curve->n_caches; c-- > 0;) {
            for (uint32_t j = run->counts[c]; j-- > 0;) {
                uint32_t *seen = &run->seen[(size_t)c * run->curve->n_objects + run->objects[--n]];
                next[--accesses] = *seen;
                *seen = (uint32_t)accesses;
            }
        }
    }
}

static void
run_history(struct run *run, const struct history *history, uint32_t *next)
{
    uint32_t window = run->config->policy == MOE_CURVE_AHEAD ? run->config->window : 0;
    for (uint32_t c = 0; c < run->curve->n_caches; c++)
        stack_clear(&run->stacks[c]);
    if (run->config->policy == MOE_CURVE_BELADY) {
        know_next(run, history, next);
        run->next = next;
    }
    for (uint64_t t = 0; t < MIN(window, history->n); t++)
        foresee_token(run, history->rows[t]);
    for (uint64_t t = 0; t < history->n; t++) {
        use_token(run, history->rows[t]);
        if (window && t + window < history->n)
            foresee_token(run, history->rows[t + window]);
    }
}

/* ---- by sequence ---- */

/* What the sequence that has just run added to the hits at the capacities asked for. */
static void
note_sequence(struct run *run, uint32_t s, uint64_t *hits_before, uint64_t *accesses_before)
{
    moe_curve *curve = run->curve;
    for (uint32_t c = 0; c < curve->n_caches; c++) {
        size_t at = (size_t)s * curve->n_caches + c;
        curve->sequence_accesses[at] = (uint32_t)(curve->accesses[c] - accesses_before[c]);
        accesses_before[c] = curve->accesses[c];
        for (uint32_t i = 0; i < curve->n_capacities; i++) {
            uint64_t hits = moe_curve_hits(curve, c, run->config->capacities[i]);
            uint64_t *before = &hits_before[(size_t)c * curve->n_capacities + i];
            curve->sequence_hits[at * curve->n_capacities + i] = (uint32_t)(hits - *before);
            *before = hits;
        }
    }
}

static void
run_cold(struct run *run, struct history *history, uint32_t *next, moe_progress *progress,
         void *context)
{
    moe_curve *curve = run->curve;
    size_t n = (size_t)curve->n_sequences * curve->n_caches;
    curve->sequence_hits = g_new0(uint32_t, n * curve->n_capacities + 1);
    curve->sequence_accesses = g_new0(uint32_t, n + 1);
    g_autofree uint64_t *hits = g_new0(uint64_t, curve->n_caches * curve->n_capacities + 1);
    g_autofree uint64_t *accesses = g_new0(uint64_t, curve->n_caches + 1);
    double done = 0, total = (double)moe_pick_tokens(run->pick);
    for (uint32_t i = 0; i < run->pick->n; i++) {
        history->n = 0;
        history_add(history, run->pick, i);
        run_history(run, history, next);
        note_sequence(run, i, hits, accesses);
        done += (double)history->n;
        if (progress)
            progress(context, done, total);
    }
}

static void
run_warm(struct run *run, struct history *history, uint32_t *next)
{
    for (uint32_t i = 0; i < run->pick->n; i++)
        history_add(history, run->pick, i);
    run_history(run, history, next);
}

static void
run_all(struct run *run, uint64_t longest, moe_progress *progress, void *context)
{
    const moe_routing *routing = run->pick->routing;
    size_t per_token = (size_t)routing->n_layers * routing->k;
    bool future = run->config->policy == MOE_CURVE_BELADY;
    g_autofree uint32_t *next = future ? g_new(uint32_t, longest * per_token + 1) : NULL;
    g_autofree uint64_t *rows = g_new(uint64_t, longest + 1);
    g_autofree uint32_t *objects = g_new(uint32_t, per_token);
    g_autofree uint32_t *counts = g_new(uint32_t, run->curve->n_caches);
    g_autofree uint32_t *seen =
        g_new(uint32_t, (size_t)run->curve->n_caches * run->curve->n_objects);
    g_autofree uint64_t *worths = g_new(uint64_t, per_token);
    g_autofree uint32_t *pushed_objects = g_new(uint32_t, run->curve->n_objects + 1);
    g_autofree uint64_t *pushed_priorities = g_new(uint64_t, run->curve->n_objects + 1);
    struct history history = {.rows = rows};
    run->worths = worths;
    run->pushed = (struct pushed){0, pushed_objects, pushed_priorities};
    run->objects = objects;
    run->counts = counts;
    run->seen = seen;
    if (run->config->cold)
        run_cold(run, &history, next, progress, context);
    else
        run_warm(run, &history, next);
}

moe_curve *
moe_curve_new(const moe_pick *pick, const moe_curve_config *config, moe_progress *progress,
              void *context)
{
    const moe_routing *routing = pick->routing;
    uint64_t longest = config->cold ? 0 : moe_pick_tokens(pick);
    for (uint32_t i = 0; config->cold && i < pick->n; i++)
        longest = MAX(longest, moe_pick_length(pick, i));
    moe_curve *curve = g_new0(moe_curve, 1);
    curve->n_caches = config->per_layer ? routing->n_layers : 1;
    curve->n_objects = routing->n_experts * (config->per_layer ? 1 : routing->n_layers);
    curve->at = g_new0(uint64_t, (size_t)curve->n_caches * curve->n_objects);
    curve->first = g_new0(uint64_t, (size_t)curve->n_caches * curve->n_objects);
    curve->accesses = g_new0(uint64_t, curve->n_caches);
    curve->n_sequences = pick->n;
    curve->n_capacities = config->n_capacities;
    g_autofree struct stack *stacks = g_new0(struct stack, curve->n_caches);
    for (uint32_t c = 0; c < curve->n_caches; c++)
        stack_open(&stacks[c], curve->n_objects);
    struct run run = {.pick = pick, .config = config, .curve = curve, .stacks = stacks};
    run_all(&run, longest, progress, context);
    for (uint32_t c = 0; c < curve->n_caches; c++)
        stack_close(&stacks[c]);
    return curve;
}

void
moe_curve_free(moe_curve *curve)
{
    if (!curve)
        return;
    g_free(curve->at);
    g_free(curve->first);
    g_free(curve->accesses);
    g_free(curve->sequence_hits);
    g_free(curve->sequence_accesses);
    g_free(curve);
}

uint64_t
moe_curve_hits(const moe_curve *curve, uint32_t cache, uint64_t capacity)
{
    uint64_t hits = 0, top = MIN(capacity, curve->n_objects);
    for (uint32_t c = 0; c < curve->n_caches; c++)
        for (uint64_t i = 0; (cache == MOE_NONE || cache == c) && i < top; i++)
            hits += curve->at[(size_t)c * curve->n_objects + i] +
                    curve->first[(size_t)c * curve->n_objects + i];
    return hits;
}

uint64_t
moe_curve_accesses(const moe_curve *curve, uint32_t cache)
{
    uint64_t accesses = 0;
    for (uint32_t c = 0; c < curve->n_caches; c++)
        accesses += cache == MOE_NONE || cache == c ? curve->accesses[c] : 0;
    return accesses;
}

double
moe_curve_hit_rate(const moe_curve *curve, uint32_t cache, uint64_t capacity)
{
    uint64_t accesses = moe_curve_accesses(curve, cache);
    return accesses ? (double)moe_curve_hits(curve, cache, capacity) / (double)accesses : NAN;
}

const char *
moe_curve_policy_name(moe_curve_policy policy)
{
    static const char *const names[MOE_CURVE_POLICIES] = {"lru", "lfu", "belady", "ahead"};
    return names[policy];
}
