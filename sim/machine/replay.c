#include "sim/machine/replay.h"

#include <stdlib.h>

/* Accesses one by one: objects of the whole model, or of one layer (then numbered within it). */
struct stream {
    uint32_t *objects;
    size_t n;
};

struct moe_replay {
    moe_replay_config config;
    uint32_t n_layers, n_experts;
    uint64_t accesses;
    uint32_t *popularity; /* [n_layers * n_experts]: accesses of each object in the whole replay */
    GMutex next_group_lock;

    struct stream *streams; /* group access: one, or one per layer */
    uint32_t n_streams;

    uint32_t *members;    /* other groups */
    uint32_t *next_group; /* per member; NULL until a policy wants to know */
    uint64_t *first;      /* [n_groups + 1] */
    uint32_t n_groups, largest;
};

/* A token and the step it ran in, in the order in which the replay meets them. */
struct turn {
    uint32_t step;
    uint32_t row;
    uint64_t order;
};

static int
compare_turns(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Sequences in order, tokens by position; step groups stand by step, if the trace has steps. */
static struct turn *
list_turns(const moe_routing *routing, const moe_replay_config *config, size_t *n)
{
    bool by_step = config->group == MOE_GROUP_STEP_LAYER && routing->step;
    uint32_t to = config->to < routing->n_sequences ? config->to : routing->n_sequences;
    uint32_t from = config->from < to ? config->from : to;
    *n = (size_t)(routing->sequence_first[to] - routing->sequence_first[from]);
    struct turn *turns = g_new(struct turn, *n + 1);
    size_t at = 0;
    for (uint32_t s = from; s < to; s++) {
        uint64_t length = routing->sequence_first[s + 1] - routing->sequence_first[s];
        for (uint64_t i = 0; i < length; i++, at++) {
            uint32_t row = (uint32_t)moe_routing_token(routing, s, i);
            uint32_t step = by_step ? routing->step[row] : (uint32_t)at;
            turns[at] = (struct turn){step, row, at};
        }
    }
    if (by_step)
        qsort(turns, *n, sizeof *turns, compare_turns);
    return turns;
}

static void
decode_accesses(moe_replay *replay, const moe_routing *routing, const struct turn *turns, size_t n)
{
    bool per_layer = replay->config.scope == MOE_SCOPE_LAYER;
    size_t per_token = (size_t)routing->k * (per_layer ? 1 : routing->n_layers);
    replay->n_streams = per_layer ? routing->n_layers : 1;
    replay->streams = g_new0(struct stream, replay->n_streams);
    for (uint32_t s = 0; s < replay->n_streams; s++)
        replay->streams[s].objects = g_new(uint32_t, n * per_token + 1);
    for (size_t t = 0; t < n; t++) {
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            struct stream *stream = &replay->streams[per_layer ? l : 0];
            uint32_t base = l * routing->n_experts, offset = per_layer ? 0 : base;
            for (uint32_t j = 0; j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, turns[t].row, l, j);
                if (id >= MOE_ROUTING_NOT_RUN)
                    break;
                stream->objects[stream->n++] = offset + id;
                replay->popularity[base + id]++;
                replay->accesses++;
            }
        }
    }
}

/* Groups under construction; met[object] is the last group, counted from 1, that has it. */
struct gather {
    moe_replay *replay;
    const moe_routing *routing;
    uint32_t *met;
    uint64_t n;
    GArray *first;
};

static void
gather_row(struct gather *gather, uint32_t row, uint32_t layer)
{
    moe_replay *replay = gather->replay;
    const moe_routing *routing = gather->routing;
    for (uint32_t j = 0; j < routing->k; j++) {
        uint32_t id = moe_routing_id(routing, row, layer, j);
        if (id >= MOE_ROUTING_NOT_RUN)
            return;
        uint32_t object = layer * routing->n_experts + id;
        if (gather->met[object] == gather->first->len)
            continue;
        gather->met[object] = gather->first->len;
        replay->members[gather->n++] = object;
        replay->popularity[object]++;
    }
}

/* A group without members (no layer of the token ran) is none. */
static void
close_group(struct gather *gather)
{
    uint64_t before = g_array_index(gather->first, uint64_t, gather->first->len - 1);
    if (gather->n == before)
        return;
    uint64_t size = gather->n - before;
    gather->replay->largest = (uint32_t)MAX(gather->replay->largest, size);
    g_array_append_val(gather->first, gather->n);
}

static void
decode_groups(moe_replay *replay, const moe_routing *routing, const struct turn *turns, size_t n)
{
    struct gather gather = {.replay = replay, .routing = routing};
    bool whole_tokens = replay->config.group == MOE_GROUP_TOKEN;
    bool steps = replay->config.group == MOE_GROUP_STEP_LAYER;
    g_autofree uint32_t *met = g_new0(uint32_t, (size_t)replay->n_layers * replay->n_experts + 1);
    gather.met = met;
    gather.first = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_array_append_val(gather.first, gather.n);
    replay->members = g_new(uint32_t, n * routing->n_layers * routing->k + 1);
    for (size_t t = 0, end; t < n; t = end) {
        for (end = t + 1; steps && end < n && turns[end].step == turns[t].step;)
            end++;
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            for (size_t i = t; i < end; i++)
                gather_row(&gather, turns[i].row, l);
            if (!whole_tokens)
                close_group(&gather);
        }
        if (whole_tokens)
            close_group(&gather);
    }
    replay->accesses = gather.n;
    replay->n_groups = gather.first->len - 1;
    replay->first = (uint64_t *)(void *)g_array_free(gather.first, FALSE);
    replay->members = g_renew(uint32_t, replay->members, gather.n + 1);
}

moe_replay *
moe_replay_new(const moe_routing *routing, const moe_replay_config *config)
{
    moe_replay *replay = g_new0(moe_replay, 1);
    replay->config = *config;
    replay->n_layers = routing->n_layers;
    replay->n_experts = routing->n_experts;
    replay->popularity = g_new0(uint32_t, (size_t)routing->n_layers * routing->n_experts + 1);
    g_mutex_init(&replay->next_group_lock);
    size_t n;
    g_autofree struct turn *turns = list_turns(routing, config, &n);
    if (config->group == MOE_GROUP_ACCESS)
        decode_accesses(replay, routing, turns, n);
    else
        decode_groups(replay, routing, turns, n);
    return replay;
}

void
moe_replay_free(moe_replay *replay)
{
    if (!replay)
        return;
    for (uint32_t s = 0; s < replay->n_streams; s++)
        g_free(replay->streams[s].objects);
    g_free(replay->streams);
    g_free(replay->members);
    g_free(replay->next_group);
    g_free(replay->first);
    g_free(replay->popularity);
    g_mutex_clear(&replay->next_group_lock);
    g_free(replay);
}

/* Backwards through the groups: the one in which each object was met last. */
static void
find_next_groups(moe_replay *replay)
{
    size_t n_objects = (size_t)replay->n_layers * replay->n_experts;
    g_autofree uint32_t *met = g_new(uint32_t, n_objects);
    memset(met, 0xFF, n_objects * sizeof *met);
    replay->next_group = g_new(uint32_t, replay->accesses + 1);
    for (uint32_t g = replay->n_groups; g-- > 0;) {
        for (uint64_t i = replay->first[g]; i < replay->first[g + 1]; i++) {
            replay->next_group[i] = met[replay->members[i]];
            met[replay->members[i]] = g;
        }
    }
}

static void
know_next_groups(moe_replay *replay)
{
    g_mutex_lock(&replay->next_group_lock);
    if (!replay->next_group)
        find_next_groups(replay);
    g_mutex_unlock(&replay->next_group_lock);
}

static uint64_t
run_streams(const moe_replay *replay, const moe_evict_ops *evict, const void *config,
            uint32_t slots)
{
    uint32_t n_objects = replay->n_layers / replay->n_streams * replay->n_experts;
    uint64_t misses = 0;
    for (uint32_t s = 0; s < replay->n_streams; s++) {
        const struct stream *stream = &replay->streams[s];
        moe_evict_setup setup = {
            .n_objects = n_objects,
            .n_slots = slots,
            .popularity = replay->popularity + (size_t)s * n_objects,
        };
        moe_evict_stream accesses = {stream->objects, stream->n};
        uint64_t fills = 0;
        misses += evict->replay(&setup, config, &accesses, &fills);
        if (replay->config.first_fill_hit)
            misses -= fills;
    }
    return misses;
}

/* The group being replayed: which of its members are in the cache and pinned. */
struct window {
    moe_residency *residency;
    const uint32_t *objects;
    uint8_t *outcomes, *pinned;
    size_t n, next; /* no member before `next` is pinned */
    uint32_t pool_objects;
};

/* Computes a member, to make room for `object`: the first in order of those that share its pool
 * and are there. Residents are computed ahead of their turn when nothing before can give way. */
static void
release_one(struct window *window, uint32_t object)
{
    uint32_t pool = object / window->pool_objects;
    while (window->next < window->n && !window->pinned[window->next])
        window->next++;
    for (size_t i = window->next; i < window->n; i++) {
        if (window->pinned[i] && window->objects[i] / window->pool_objects == pool) {
            moe_residency_release(window->residency, window->objects[i]);
            window->pinned[i] = 0;
            return;
        }
    }
    moe_assert(false, "object %u waits for a slot that no member of its group holds", object);
}

static void
run_group(struct window *window, const uint32_t *next_group)
{
    moe_residency *residency = window->residency;
    moe_residency_begin(residency, window->objects, next_group, window->n, window->outcomes);
    for (size_t i = 0; i < window->n; i++)
        window->pinned[i] = window->outcomes[i] != MOE_MISS;
    window->next = 0;
    for (size_t i = 0; i < window->n; i++) {
        if (window->outcomes[i] != MOE_MISS)
            continue;
        moe_admission admission;
        while (moe_residency_admit(residency, window->objects[i], &admission) == MOE_ADMIT_WAIT)
            release_one(window, window->objects[i]);
        moe_residency_arrived(residency, 0, window->objects[i]);
        window->pinned[i] = 1;
        window->next = MIN(window->next, i);
    }
    for (size_t i = 0; i < window->n; i++)
        if (window->pinned[i])
            moe_residency_release(residency, window->objects[i]);
}

static uint64_t
run_groups(const moe_replay *replay, const moe_variant *evict, const void *config, uint32_t slots)
{
    g_autofree void *evict_config = g_memdup2(config, evict->config_size);
    moe_residency_config residency_config = {
        .n_layers = replay->n_layers,
        .n_experts = replay->n_experts,
        .n_tiers = 1,
        .tiers = {{replay->config.scope, slots, {evict, evict_config}}},
        .popularity = replay->popularity,
    };
    /* read only by who has waited for it: another thread may be making it */
    const moe_evict_ops *ops = evict->ops;
    const uint32_t *next_group = ops->needs & MOE_EVICT_NEXT_USE ? replay->next_group : NULL;
    bool per_layer = replay->config.scope == MOE_SCOPE_LAYER;
    g_autofree uint8_t *outcomes = g_new(uint8_t, (size_t)replay->largest + 1);
    g_autofree uint8_t *pinned = g_new(uint8_t, (size_t)replay->largest + 1);
    struct window window = {
        .residency = moe_residency_new(&residency_config),
        .outcomes = outcomes,
        .pinned = pinned,
        .pool_objects = replay->n_experts * (per_layer ? 1 : replay->n_layers),
    };
    for (uint32_t g = 0; g < replay->n_groups; g++) {
        uint64_t first = replay->first[g];
        window.objects = replay->members + first;
        window.n = (size_t)(replay->first[g + 1] - first);
        run_group(&window, next_group ? next_group + first : NULL);
    }
    const moe_tier_counts *counts = moe_residency_counts(window.residency, 0);
    uint64_t misses = counts->misses - (replay->config.first_fill_hit ? counts->fills : 0);
    moe_residency_free(window.residency);
    return misses;
}

void
moe_replay_run(moe_replay *replay, const moe_variant *evict, const void *evict_config,
               uint32_t slots, uint64_t *accesses, uint64_t *misses)
{
    const moe_evict_ops *ops = evict->ops;
    moe_assert(slots, "a cache without slots");
    *accesses = replay->accesses;
    if (replay->config.group == MOE_GROUP_ACCESS) {
        *misses = run_streams(replay, ops, evict_config, slots);
        return;
    }
    if (ops->needs & MOE_EVICT_NEXT_USE)
        know_next_groups(replay);
    *misses = run_groups(replay, evict, evict_config, slots);
}
