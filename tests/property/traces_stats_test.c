/* One-pass curves of traces/stats against replays by the eviction policies themselves, and against
 * slow caches of one size, on random traces. */
#include "sim/base/random.h"
#include "sim/machine/replay.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"
#include "traces/stats/curve.h"
#include "traces/stats/overlap.h"

enum { LAYERS = 3, EXPERTS = 10, SEQUENCES = 4, LENGTH = 50, OBJECTS = LAYERS * EXPERTS };

/* With `gaps` some rows are shorter and some layers did not run. */
static moe_routing_file *
random_trace(uint64_t seed, uint32_t k, bool gaps)
{
    moe_routing_builder *builder = moe_routing_builder_new(LAYERS, EXPERTS, k);
    moe_stream stream = moe_stream_new(seed, "test.trace", k);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        for (uint32_t i = 0; i < LENGTH + s; i++) {
            uint16_t ids[LAYERS * EXPERTS];
            for (uint32_t l = 0; l < LAYERS; l++) {
                uint64_t kind = gaps ? moe_stream_below(&stream, 6) : 5;
                uint32_t n = kind < 2 ? (uint32_t)moe_stream_below(&stream, k) : k;
                double u = moe_stream_unit(&stream);
                uint32_t from = (uint32_t)(u * u * EXPERTS);
                for (uint32_t j = 0; j < k; j++) {
                    uint16_t id = (uint16_t)((from + 3 * j) % EXPERTS);
                    ids[l * k + j] = kind == 0 ? MOE_ROUTING_NOT_RUN
                                     : j < n   ? id
                                               : MOE_ROUTING_NO_EXPERT;
                }
            }
            moe_routing_builder_add(builder, s, i, i < 10 ? MOE_PREFILL : MOE_DECODE, ids, NULL);
        }
    }
    return moe_routing_builder_finish(builder, "random");
}

/* ---- against the policies ---- */

static uint64_t
replay_hits(const moe_routing *routing, const moe_replay_config *config, const char *policy,
            uint32_t slots)
{
    uint64_t accesses, misses;
    policy_config evict = policy_config_new(MOE_POLICY_EVICT, policy);
    moe_replay *replay = moe_replay_new(routing, config);
    moe_replay_run(replay, evict.variant, evict.config, slots, &accesses, &misses);
    moe_replay_free(replay);
    policy_config_free(&evict);
    return accesses - misses;
}

static void
compare(const moe_routing *routing, const moe_curve_config *config, const moe_replay_config *replay,
        uint32_t slots)
{
    moe_pick pick = moe_pick_all(routing);
    moe_curve *curve = moe_curve_new(&pick, config, NULL, NULL);
    static const char *const policies[] = {"lru", "{kind: lfu, counts: history}", "belady"};
    const char *policy = policies[config->policy];
    uint64_t wanted = replay_hits(routing, replay, policy, slots);
    uint64_t got = moe_curve_hits(curve, MOE_NONE, slots);
    MOE_CHECK(wanted == got, "%s, k %u, %u slots, layers %d: %llu hits, not %llu", policy,
              routing->k, slots, config->per_layer, (unsigned long long)got,
              (unsigned long long)wanted);
    moe_curve_free(curve);
}

/* Accesses one by one: every capacity, both scopes, both kinds of first fill. */
static void
single_accesses(void)
{
    for (uint32_t at = 0; at < 2 * 2 * 3 * 2; at++) {
        g_autoptr(moe_routing_file) file = random_trace(at, 1 + at % 4, at >= 12);
        moe_replay_config replay = {.group = MOE_GROUP_ACCESS,
                                    .scope = at & 1 ? MOE_SCOPE_LAYER : MOE_SCOPE_MODEL,
                                    .first_fill_hit = at & 2,
                                    .to = UINT32_MAX};
        moe_curve_config config = {.policy = (moe_curve_policy)(at / 4 % 3),
                                   .per_layer = at & 1,
                                   .first_fill_hit = at & 2};
        for (uint32_t slots = 1; slots <= OBJECTS; slots += slots < 6 ? 1 : 5)
            compare(moe_routing_get(file), &config, &replay, slots);
    }
}

/* Groups of a token, from their size on. LRU is the same whether what is asked for is pinned or
 * not; for Belady it has to be. */
static void
grouped_accesses(void)
{
    for (uint32_t at = 0; at < 2 * 2 * 2 * 4; at++) {
        uint32_t k = 1 + at % 4;
        bool layer = at & 4, belady = at & 8;
        g_autoptr(moe_routing_file) file = random_trace(at, k, at & 16);
        moe_replay_config replay = {.group = layer ? MOE_GROUP_TOKEN_LAYER : MOE_GROUP_TOKEN,
                                    .scope = layer ? MOE_SCOPE_LAYER : MOE_SCOPE_MODEL,
                                    .first_fill_hit = at & 16,
                                    .to = UINT32_MAX};
        moe_curve_config config = {.policy = belady ? MOE_CURVE_BELADY : MOE_CURVE_LRU,
                                   .per_layer = layer,
                                   .together = true,
                                   .first_fill_hit = at & 16};
        for (uint32_t slots = layer ? k : k * LAYERS; slots <= OBJECTS; slots++) {
            config.pinned = belady || slots % 2;
            compare(moe_routing_get(file), &config, &replay, slots);
        }
    }
}

/* ---- against slow caches ---- */

struct slow {
    const moe_curve_config *config;
    uint32_t capacity, n, resident[OBJECTS], cache_of[4096], stream[4096], token[4096], length;
    uint64_t hits, accesses;
};

/* Uses of an object among accesses from `from` on that belong to tokens before `end`. */
static uint32_t
uses(const struct slow *slow, uint32_t object, uint32_t from, uint32_t end)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < slow->length && slow->token[i] < end; i++)
        n += slow->stream[i] == object;
    return n;
}

static uint64_t
latest(const struct slow *slow, uint32_t object, uint32_t now)
{
    for (uint32_t i = now; i-- > 0;)
        if (slow->stream[i] == object)
            return i + 1;
    return 0;
}

/* What is kept is larger; `now` is the access being served. */
static uint64_t
worth(const struct slow *slow, uint32_t object, uint32_t now)
{
    uint64_t used = latest(slow, object, now);
    uint32_t next = now;
    switch (slow->config->policy) {
    case MOE_CURVE_LFU:
        for (uint32_t i = 0; i < now; i++)
            used += slow->stream[i] == object ? 100000 : 0;
        return used;
    case MOE_CURVE_BELADY:
        while (next < slow->length && slow->stream[next] != object)
            next++;
        return 100000 - next;
    case MOE_CURVE_AHEAD:
        return used + 100000ull * uses(slow, object, now, slow->token[now] + slow->config->window);
    default:
        return used;
    }
}

static bool
holds(const struct slow *slow, uint32_t object)
{
    for (uint32_t i = 0; i < slow->n; i++)
        if (slow->resident[i] == object)
            return true;
    return false;
}

static void
take_in(struct slow *slow, uint32_t now)
{
    uint32_t victim = 0;
    if (holds(slow, slow->stream[now]))
        return;
    if (slow->n == slow->capacity) {
        for (uint32_t i = 1; i < slow->n; i++)
            if (worth(slow, slow->resident[i], now) < worth(slow, slow->resident[victim], now))
                victim = i;
        slow->resident[victim] = slow->resident[--slow->n];
    }
    slow->resident[slow->n++] = slow->stream[now];
}

/* One cold sequence; objects of one layer (MOE_NONE: all). First fills are hits while slots are
 * free, counted from the token's beginning. */
static void
slow_sequence(struct slow *slow, const moe_routing *routing, uint32_t s, uint32_t layer)
{
    uint64_t n = routing->sequence_first[s + 1] - routing->sequence_first[s];
    slow->n = slow->length = 0;
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t l = 0; l < LAYERS; l++)
            for (uint32_t j = 0; (layer == MOE_NONE || l == layer) && j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, moe_routing_token(routing, s, t), l, j);
                if (id >= MOE_ROUTING_NOT_RUN)
                    break;
                slow->token[slow->length] = t;
                slow->stream[slow->length++] = l * EXPERTS + id;
            }
    uint32_t fills = 0;
    for (uint32_t from = 0, end; from < slow->length; from = end) {
        for (end = from; end < slow->length && slow->token[end] == slow->token[from]; end++) {
            bool first = !latest(slow, slow->stream[end], from);
            slow->accesses++;
            slow->hits += holds(slow, slow->stream[end]) || (first && fills < slow->capacity);
            fills += first;
        }
        for (uint32_t i = from; i < end; i++)
            take_in(slow, i);
    }
}

static void
slow_caches(void)
{
    for (uint32_t at = 0; at < 32; at++) {
        g_autoptr(moe_routing_file) file = random_trace(at, 2 + at % 3, at & 16);
        const moe_routing *routing = moe_routing_get(file);
        moe_curve_config config = {.policy = (moe_curve_policy)(at % 4),
                                   .window = 1 + at % 7,
                                   .per_layer = at & 8,
                                   .together = true,
                                   .cold = true,
                                   .first_fill_hit = true};
        moe_pick pick = moe_pick_all(routing);
        moe_curve *curve = moe_curve_new(&pick, &config, NULL, NULL);
        uint32_t capacity = config.per_layer ? routing->k + at % 5 : routing->k * LAYERS + at % 9;
        struct slow slow = {.config = &config, .capacity = capacity};
        for (uint32_t s = 0; s < routing->n_sequences; s++)
            for (uint32_t l = 0; l < (config.per_layer ? LAYERS : 1); l++)
                slow_sequence(&slow, routing, s, config.per_layer ? l : MOE_NONE);
        MOE_CHECK(slow.hits == moe_curve_hits(curve, MOE_NONE, capacity),
                  "%u %s, %u slots: %llu hits, not %llu", at, moe_curve_policy_name(config.policy),
                  capacity, (unsigned long long)moe_curve_hits(curve, MOE_NONE, capacity),
                  (unsigned long long)slow.hits);
        CU_ASSERT_EQUAL(slow.accesses, moe_curve_accesses(curve, MOE_NONE));
        moe_curve_free(curve);
    }
}

/* ---- identities ---- */

/* Every layer runs, with k experts: with k slots per layer, cold, LRU holds the token before, so
 * hits are what consecutive tokens share and the first token of each sequence. */
static void
lru_is_overlap(void)
{
    for (uint32_t k = 1; k <= 4; k++) {
        g_autoptr(moe_routing_file) file = random_trace(100 + k, k, false);
        const moe_routing *routing = moe_routing_get(file);
        moe_pick pick = moe_pick_all(routing);
        moe_overlap *overlap = moe_overlap_new(routing);
        moe_block_user user = {moe_overlap_add, overlap};
        moe_sweep(&pick, &user, 1, NULL, NULL);
        for (uint32_t model = 0; model < 2; model++) {
            moe_curve_config config = {.policy = MOE_CURVE_LRU,
                                       .per_layer = !model,
                                       .together = true,
                                       .cold = true,
                                       .first_fill_hit = true};
            moe_curve *curve = moe_curve_new(&pick, &config, NULL, NULL);
            double pairs = (double)(routing->n_tokens - SEQUENCES);
            double first = SEQUENCES / (double)routing->n_tokens;
            double wanted =
                moe_overlap_at(overlap, MOE_NONE, 1) * pairs / (double)routing->n_tokens + first;
            double got = moe_curve_hit_rate(curve, MOE_NONE, model ? k * LAYERS : k);
            MOE_CHECK(got - wanted < 1e-12 && wanted - got < 1e-12, "%.15f, not %.15f", got,
                      wanted);
            moe_curve_free(curve);
        }
        moe_overlap_free(overlap);
    }
}

MOE_TESTS({"single accesses", single_accesses}, {"grouped accesses", grouped_accesses},
          {"slow caches", slow_caches}, {"LRU is overlap", lru_is_overlap})
