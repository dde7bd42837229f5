#include "profiler/offload.h"

#include "profiler/memory.h"
#include "profiler/offload_state.h"
#include "sim/base/error.h"
#include "sim/policy/predict/unite.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE 64u /* bytes of a cache line: experts begin at one */

uint64_t
moe_offload_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
moe_offload_note(moe_offload *offload, moe_decision_kind kind, uint32_t object, uint32_t victim)
{
    const moe_decision decision = {.kind = kind, .object = object, .victim = victim};
    if (offload->log)
        moe_decisions_add(offload->log, &decision);
}

/* ---- what is asked for ---- */

/* Numbers MoE layers, and finds the largest expert. */
static void
measure(moe_offload *offload)
{
    const moe_model *model = moe_weights_get(offload->weights)->arch->model;
    const moe_stack *stack = moe_model_decoder(model);
    offload->n_layers = (uint32_t)stack->n_moe;
    offload->layer_ids = g_new0(uint32_t, offload->n_layers + 1);
    for (int i = 0; i < stack->n_layers; i++) {
        if (stack->layers[i].moe_index < 0)
            continue;
        offload->layer_ids[stack->layers[i].moe_index] = (uint32_t)i;
        offload->n_experts = (uint32_t)stack->layers[i].ffn.experts;
        offload->slot_bytes =
            MAX(offload->slot_bytes, moe_weights_expert_bytes(offload->weights, (uint32_t)i));
    }
    offload->read_slot = offload->slot_bytes;
    if (offload->config.slots)
        offload->slot_bytes = offload->config.slots->slot_bytes(offload->config.slots->context);
}

static bool
check_budget(moe_offload *offload, moe_loc at, moe_diag *diag)
{
    const moe_cache *cache = offload->cache;
    bool per_layer = cache->scope == MOE_SCOPE_LAYER;
    uint32_t pools = per_layer ? offload->n_layers : 1;
    double n_objects = (double)offload->n_layers * offload->n_experts;
    double slots = moe_cache_slots(cache->capacity, n_objects, pools, (double)offload->slot_bytes);
    if (cache->capacity.kind == MOE_AMOUNT_REST) {
        moe_diag_error(diag, at,
                       "'rest' of what? A budget is a size, a share, or a number of slots");
        return false;
    }
    if (slots >= 1) {
        offload->slots = (uint32_t)MIN(slots, n_objects / pools);
        return true;
    }
    g_autofree char *wanted = moe_format_amount(cache->capacity);
    g_autofree char *one = moe_format_bytes((int64_t)offload->slot_bytes);
    g_autofree char *least = moe_format_bytes((int64_t)(offload->slot_bytes * pools));
    moe_diag_error(diag, at,
                   "a budget of %s holds no expert%s: one takes %s, so that at least %s %s needed",
                   wanted, per_layer ? " of each layer" : "", one, least,
                   per_layer ? "for all layers are" : "are");
    return false;
}

static bool
check_policies(const moe_offload *offload, moe_loc at, moe_diag *diag)
{
    const moe_cache *cache = offload->cache;
    const moe_evict_ops *evict = cache->evict.variant->ops;
    const moe_predict_ops *predict = cache->predict.variant->ops;
    const moe_prefetch_ops *prefetch = cache->prefetch.variant->ops;
    unsigned before = moe_diag_errors(diag);
    if ((evict->needs & MOE_EVICT_NEXT_USE) && !offload->config.ahead)
        moe_diag_error(diag, at,
                       "evict policy '%s' knows the future: record the run first, then follow "
                       "its trace",
                       cache->evict.variant->name);
    if ((evict->needs & MOE_EVICT_POPULARITY) && !offload->config.popularity)
        moe_diag_error(diag, at,
                       "evict policy '%s' wants a profile: record a run first, then follow its "
                       "trace",
                       cache->evict.variant->name);
    if (!prefetch->predicts)
        return moe_diag_errors(diag) == before;
    if ((predict->needs & MOE_PREDICT_TRUTH) && !offload->config.ahead)
        moe_diag_error(diag, at,
                       "predictor '%s' knows the future: record the run first, then follow its "
                       "trace, or choose another predictor",
                       cache->predict.variant->name);
    if (!(predict->needs & MOE_PREDICT_RECORDED))
        return moe_diag_errors(diag) == before;
    uint32_t reach = MIN(moe_wants_reach(&cache->predict), offload->n_layers - 1);
    if (!offload->config.lookahead)
        moe_diag_error(diag, at,
                       "predictor '%s' asks the gates of the next layers: a look-ahead of at "
                       "least one layer is needed",
                       cache->predict.variant->name);
    else if (reach > offload->config.lookahead)
        moe_diag_error(diag, at,
                       "predictor '%s' is to look %u layers ahead, but the gates are asked for %u",
                       cache->predict.variant->name, reach, offload->config.lookahead);
    return moe_diag_errors(diag) == before;
}

/* ---- set-up ---- */

/* What the next layers' gates say while a gate is being dealt with: see moe_predict_view. */
static size_t
look_ahead(const void *source, uint32_t step, uint32_t layer, uint32_t distance, moe_forecast *out,
           size_t max)
{
    const moe_offload *offload = source;
    const moe_routed *routed = offload->routed;
    if (!routed || routed->step != step || routed->layer + distance != layer || distance == 0 ||
        distance > MOE_DECODER_MAX_LOOKAHEAD || !routed->lookahead[distance - 1])
        return 0;
    uint32_t k = moe_weights_get(offload->weights)->arch->router.top_k, tokens = routed->batch->n;
    const uint16_t *ids = routed->lookahead[distance - 1];
    size_t n = 0;
    for (uint64_t i = 0; i < (uint64_t)tokens * k; i++)
        n = moe_unite_add(out, n, max, ids[i], tokens);
    moe_unite_rank(out, n, tokens);
    return n;
}

/* Memory of the host for so many experts as they lie in files. */
static bool
allocate_host(moe_offload *offload, uint32_t n, GError **error)
{
    uint64_t there = moe_memory_available();
    if (n * offload->stride <= there)
        offload->block = g_try_malloc_n(n + 1, offload->stride);
    if (!offload->block) {
        g_autofree char *bytes = moe_format_bytes((int64_t)(n * offload->stride));
        g_autofree char *have = moe_format_bytes((int64_t)MIN(there, INT64_MAX));
        g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY,
                    "not enough memory: the experts that are kept want %s, %s are available", bytes,
                    there == UINT64_MAX ? "fewer" : have);
        return false;
    }
    offload->memory = offload->block + (LINE - (uintptr_t)offload->block % LINE) % LINE;
    return true;
}

/* The slots: the host's memory, or a device's and one read. */
static bool
allocate_slots(moe_offload *offload, GError **error)
{
    const moe_expert_cache *slots = offload->config.slots;
    uint32_t pools = offload->cache->scope == MOE_SCOPE_LAYER ? offload->n_layers : 1;
    offload->n_buffers = offload->slots * pools;
    offload->stride = (offload->read_slot + LINE - 1) / LINE * LINE;
    if (!slots)
        return allocate_host(offload, offload->n_buffers, error);
    return (!slots->reads || allocate_host(offload, 1, error)) &&
           slots->open(slots->context, offload->n_buffers, error);
}

static bool
allocate(moe_offload *offload, GError **error)
{
    size_t n_objects = (size_t)offload->n_layers * offload->n_experts;
    if (!allocate_slots(offload, error))
        return false;
    offload->free = g_new(uint32_t, offload->n_buffers);
    for (uint32_t i = 0; i < offload->n_buffers; i++)
        offload->free[i] = offload->n_buffers - 1 - i;
    offload->n_free = offload->n_buffers;
    offload->mlp = g_new0(moe_mlp, offload->n_buffers);
    offload->buffer_of = g_new(uint32_t, n_objects);
    memset(offload->buffer_of, 0xFF, n_objects * sizeof *offload->buffer_of);
    offload->group.objects = g_new0(uint32_t, offload->n_experts);
    offload->group.queue = g_new0(uint32_t, offload->n_experts);
    offload->group.outcomes = g_new0(uint8_t, offload->n_experts);
    offload->counts = g_new0(moe_offload_counts, offload->n_layers);
    offload->between_ns = g_new0(uint64_t, offload->n_layers);
    return true;
}

static void
open_policies(moe_offload *offload)
{
    const moe_cache *cache = offload->cache;
    const moe_residency_config residency = {
        .n_layers = offload->n_layers,
        .n_experts = offload->n_experts,
        .n_tiers = 1,
        .tiers = {{(moe_scope)cache->scope, offload->slots, cache->evict}},
        .popularity = offload->config.popularity,
    };
    const moe_predict_view view = {
        .demand = offload->config.ahead ? offload->config.ahead : &offload->seen.demand,
        .popularity = offload->config.popularity,
        .seed = (uint64_t)cache->seed,
        .recorded = offload->config.lookahead ? look_ahead : NULL,
        .source = offload,
        .max_distance = offload->config.lookahead,
    };
    offload->residency = moe_residency_new(&residency);
    offload->wants = moe_wants_new(&view, &cache->predict, &cache->prefetch);
}

/* All files that hold experts, now: what is read later is what is mapped, whatever happens to the
 * checkpoint's folder. */
static bool
open_files(moe_offload *offload, moe_reader *reader, GError **error)
{
    moe_span spans[MOE_EXPERT_SPANS];
    for (uint32_t l = 0; l < offload->n_layers; l++)
        for (uint32_t e = 0; e < offload->n_experts; e++) {
            size_t n = moe_weights_expert_spans(offload->weights, offload->layer_ids[l], e, spans);
            if (!moe_reader_open(reader, spans, n, error))
                return false;
        }
    return true;
}

static bool
open_log(moe_offload *offload, GError **error)
{
    if (!offload->config.decisions)
        return true;
    offload->log = moe_decisions_writer_new(offload->config.decisions, offload->n_layers,
                                            offload->n_experts, error);
    if (!offload->log)
        return false;
    g_autofree char *slots = g_strdup_printf("%u", offload->slots);
    moe_decisions_set(offload->log, "model", moe_weights_get(offload->weights)->arch->model->name);
    moe_decisions_set(offload->log, "slots", slots);
    for (size_t i = 0; i < moe_cache_table.n_rows; i++) {
        const char *key = moe_cache_table.rows[i].key;
        g_autofree char *value = moe_settings_text(offload->config.cache, key);
        moe_decisions_set(offload->log, key, value);
    }
    return moe_decisions_flush(offload->log, error);
}

moe_offload *
moe_offload_new(const moe_weights_set *weights, const moe_offload_config *config, moe_loc at,
                moe_diag *diag, GError **error)
{
    g_autoptr(moe_offload) offload = g_new0(moe_offload, 1);
    g_mutex_init(&offload->lock);
    g_cond_init(&offload->work);
    g_cond_init(&offload->idle);
    offload->weights = weights;
    offload->config = *config;
    offload->cache = moe_settings_data(config->cache);
    offload->busy = MOE_NONE;
    measure(offload);
    bool fits = check_budget(offload, at, diag);
    if (!check_policies(offload, at, diag) || !fits || !allocate(offload, error))
        return NULL;
    moe_offload_seen_init(&offload->seen, offload->n_layers, offload->n_experts);
    open_policies(offload);
    offload->reader = moe_reader_new();
    offload->ahead = moe_reader_new();
    offload->source = (moe_expert_source){
        .context = offload,
        .begin = moe_offload_begin,
        .next = moe_offload_next,
        .end_step = moe_offload_end_step,
    };
    if (!open_files(offload, offload->reader, error) ||
        !open_files(offload, offload->ahead, error) || !open_log(offload, error))
        return NULL;
    offload->loader = g_thread_new("moesim-loader", moe_offload_loader, offload);
    return g_steal_pointer(&offload);
}

const moe_expert_source *
moe_offload_source(moe_offload *offload)
{
    return &offload->source;
}

static void
stop_loader(moe_offload *offload)
{
    if (!offload->loader)
        return;
    g_mutex_lock(&offload->lock);
    offload->closing = true;
    g_cond_signal(&offload->work);
    g_mutex_unlock(&offload->lock);
    g_thread_join(g_steal_pointer(&offload->loader));
}

bool
moe_offload_finish(moe_offload *offload, GError **error)
{
    stop_loader(offload);
    for (uint32_t l = 0; offload->log && l < offload->n_layers; l++) {
        const moe_offload_counts *c = &offload->counts[l];
        const moe_decision counts = {
            .kind = MOE_DECISION_COUNT,
            .layer = l,
            .counts = {c->hits, c->late, c->misses, c->loads, c->prefetches, c->evictions},
        };
        moe_decisions_add(offload->log, &counts);
    }
    return !offload->log || moe_decisions_flush(offload->log, error);
}

void
moe_offload_free(moe_offload *offload)
{
    if (!offload)
        return;
    stop_loader(offload);
    moe_residency_free(offload->residency);
    moe_wants_free(offload->wants);
    moe_offload_seen_clear(&offload->seen);
    moe_decisions_writer_free(offload->log);
    moe_reader_free(offload->reader);
    moe_reader_free(offload->ahead);
    g_clear_error(&offload->failure);
    void *blocks[] = {offload->layer_ids,   offload->block,          offload->free,
                      offload->mlp,         offload->buffer_of,      offload->group.objects,
                      offload->group.queue, offload->group.outcomes, offload->counts,
                      offload->between_ns};
    for (size_t i = 0; i < MOE_COUNT(blocks); i++)
        g_free(blocks[i]);
    g_mutex_clear(&offload->lock);
    g_cond_clear(&offload->work);
    g_cond_clear(&offload->idle);
    g_free(offload);
}

/* ---- results ---- */

uint32_t
moe_offload_layers(const moe_offload *offload)
{
    return offload->n_layers;
}

const moe_offload_counts *
moe_offload_counted(const moe_offload *offload, uint32_t layer)
{
    return &offload->counts[layer];
}

const moe_tier_counts *
moe_offload_residency(const moe_offload *offload)
{
    return moe_residency_counts(offload->residency, 0);
}

moe_offload_reads
moe_offload_read(const moe_offload *offload)
{
    return (moe_offload_reads){
        .n = offload->reads,
        .bytes = offload->read_bytes,
        .ns = offload->read_ns,
        .direct = moe_reader_direct(offload->reader) && moe_reader_direct(offload->ahead),
    };
}

uint64_t
moe_offload_bytes(const moe_offload *offload)
{
    return offload->n_buffers * (offload->config.slots ? offload->slot_bytes : offload->stride);
}

static void
describe_row(const char *name, const moe_offload_counts *c, GString *out)
{
    uint64_t demands = c->hits + c->late + c->misses;
    g_string_append_printf(out, "%8s %9llu %9llu %9llu %9llu %10llu %9llu %7.1f%% %9.1f ms\n", name,
                           (unsigned long long)c->hits, (unsigned long long)c->late,
                           (unsigned long long)c->misses, (unsigned long long)c->loads,
                           (unsigned long long)c->prefetches, (unsigned long long)c->evictions,
                           demands ? 100 * (double)(c->hits + c->late) / (double)demands : 0,
                           (double)c->wait_ns / 1e6);
}

static void
describe_loads(const moe_offload *offload, const moe_offload_reads *reads, GString *out)
{
    const moe_expert_cache *slots = offload->config.slots;
    g_autofree char *bytes = moe_format_bytes((int64_t)reads->bytes);
    const char *how = reads->direct ? "past the page cache"
                                    : "through the page cache, dropped from it afterwards";
    g_string_append_printf(out, "%llu ", (unsigned long long)reads->n);
    if (!slots)
        g_string_append_printf(out, "reads, %s, %s", bytes, how);
    else if (!slots->reads)
        g_string_append_printf(out, "copies, %s, from %s", bytes, slots->home);
    else
        g_string_append_printf(out, "reads and copies, %s, %s", bytes, how);
    g_string_append_printf(out, ": %.1f us each, %.0f MB/s\n",
                           reads->n ? (double)reads->ns / 1e3 / (double)reads->n : 0,
                           reads->ns ? (double)reads->bytes * 1e3 / (double)reads->ns : 0);
}

void
moe_offload_describe(const moe_offload *offload, GString *out)
{
    moe_offload_counts sum = {0};
    moe_offload_reads reads = moe_offload_read(offload);
    g_autofree char *kept = moe_format_bytes((int64_t)moe_offload_bytes(offload));
    bool per_layer = offload->cache->scope == MOE_SCOPE_LAYER;
    const moe_expert_cache *slots = offload->config.slots;
    g_string_append_printf(out, "%u experts %s in %s of %s, evict %s, prefetch %s\n",
                           offload->slots, per_layer ? "of each layer" : "of all layers", kept,
                           slots ? slots->place : "memory", offload->cache->evict.variant->name,
                           offload->cache->prefetch.variant->name);
    g_string_append(out, "   layer      hits      late    misses     loads prefetches evictions "
                         "hit rate    waited\n");
    for (uint32_t l = 0; l < offload->n_layers; l++) {
        const moe_offload_counts *c = &offload->counts[l];
        char name[16];
        g_snprintf(name, sizeof name, "%u", offload->layer_ids[l]);
        describe_row(name, c, out);
        sum.hits += c->hits;
        sum.late += c->late;
        sum.misses += c->misses;
        sum.loads += c->loads;
        sum.prefetches += c->prefetches;
        sum.evictions += c->evictions;
        sum.wait_ns += c->wait_ns;
    }
    describe_row("all", &sum, out);
    describe_loads(offload, &reads, out);
}
