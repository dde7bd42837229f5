#include "profiler/offload_state.h"

static uint32_t
layer_of(const moe_offload *offload, uint32_t object)
{
    return object / offload->n_experts;
}

void
moe_offload_admitted(moe_offload *offload, uint32_t object, uint32_t victim, bool prefetch)
{
    moe_offload_counts *counts = &offload->counts[layer_of(offload, object)];
    counts->loads++;
    counts->prefetches += prefetch;
    offload->buffer_of[object] = MOE_NONE;
    if (victim == MOE_NONE)
        return;
    offload->counts[layer_of(offload, victim)].evictions++;
    offload->buffer_of[object] = offload->buffer_of[victim];
    offload->buffer_of[victim] = MOE_NONE;
}

/* One who has no buffer takes a free one; a read that was called off may hold it for a moment. */
static void
take_buffer(moe_offload *offload, uint32_t object)
{
    if (offload->buffer_of[object] != MOE_NONE)
        return;
    while (offload->n_free == 0) {
        moe_assert(offload->busy != MOE_NONE, "no buffer for object %u", object);
        g_cond_wait(&offload->idle, &offload->lock);
    }
    offload->buffer_of[object] = offload->free[--offload->n_free];
}

/* Touches nothing that the lock guards. */
static bool
read_expert(const moe_offload *offload, moe_reader *reader, uint32_t object, uint32_t buffer,
            GError **error)
{
    const moe_expert_cache *slots = offload->config.slots;
    moe_span spans[MOE_EXPERT_SPANS];
    moe_mlp read, *mlp = &offload->mlp[buffer];
    uint32_t layer = offload->layer_ids[layer_of(offload, object)];
    uint32_t expert = object % offload->n_experts;
    if (slots && !slots->reads)
        return slots->load(slots->context, buffer, layer, expert, NULL, mlp, error);
    uint8_t *memory = offload->memory + (slots ? 0 : buffer * offload->stride);
    size_t n = moe_weights_expert_spans(offload->weights, layer, expert, spans);
    if (!moe_reader_read(reader, spans, n, memory, error))
        return false;
    moe_weights_expert_at(offload->weights, layer, expert, memory, slots ? &read : mlp);
    return !slots || slots->load(slots->context, buffer, layer, expert, &read, mlp, error);
}

static void
count_read(moe_offload *offload, uint32_t object, uint64_t ns)
{
    uint32_t layer = layer_of(offload, object);
    const moe_expert_cache *slots = offload->config.slots;
    uint64_t bytes = slots && !slots->reads
                         ? offload->slot_bytes
                         : moe_weights_expert_bytes(offload->weights, offload->layer_ids[layer]);
    offload->reads++;
    offload->read_bytes += bytes;
    offload->read_ns += ns;
    offload->counts[layer].load_bytes += bytes;
}

static void
arrived(moe_offload *offload, uint32_t object)
{
    moe_residency_arrived(offload->residency, 0, object);
    moe_offload_note(offload, MOE_DECISION_HERE, object, MOE_NONE);
}

bool
moe_offload_load_wave(moe_offload *offload, uint32_t first, GError **error)
{
    const moe_offload_group *group = &offload->group;
    uint64_t before = moe_offload_now();
    bool waits = false;
    for (uint32_t i = first; i < group->next; i++) {
        uint32_t object = group->objects[group->queue[i]];
        if (moe_residency_where(offload->residency, 0, object) != MOE_IN_FLIGHT)
            continue;
        waits = true;
        while (offload->busy != MOE_NONE) /* reads are done one by one */
            g_cond_wait(&offload->idle, &offload->lock);
        if (moe_residency_where(offload->residency, 0, object) != MOE_IN_FLIGHT)
            continue; /* it was being read */
        take_buffer(offload, object);
        uint64_t start = moe_offload_now();
        if (!read_expert(offload, offload->reader, object, offload->buffer_of[object], error))
            return false;
        count_read(offload, object, moe_offload_now() - start);
        arrived(offload, object);
    }
    if (waits) {
        uint64_t waited = moe_offload_now() - before;
        offload->counts[group->layer].wait_ns += waited;
        offload->waited_ns += waited;
    }
    return true;
}

void
moe_offload_call_off(moe_offload *offload)
{
    if (offload->busy == MOE_NONE || offload->busy_demanded || offload->busy_off)
        return;
    offload->busy_off = true; /* the loader gives its buffer back */
    offload->buffer_of[offload->busy] = MOE_NONE;
    moe_residency_call_off(offload->residency, offload->busy);
    moe_offload_note(offload, MOE_DECISION_OFF, offload->busy, MOE_NONE);
}

/* Admits the next wanted object that is absent; MOE_NONE: nothing can be drawn now. */
static uint32_t
draw(moe_offload *offload)
{
    moe_want want;
    while (moe_wants_peek(offload->wants, &want)) {
        uint32_t object = want.layer * offload->n_experts + want.expert;
        uint32_t group = offload->group.step * offload->n_layers + want.layer;
        moe_admission admission;
        moe_wants_draw(offload->wants);
        if (moe_residency_where(offload->residency, 0, object) != MOE_ABSENT)
            continue;
        if (moe_residency_prefetch(offload->residency, object, group,
                                   moe_wants_outlook(offload->wants), group,
                                   &admission) != MOE_ADMITTED) {
            moe_offload_note(offload, MOE_DECISION_REFUSE, object, MOE_NONE);
            continue;
        }
        moe_offload_note(offload, MOE_DECISION_PREFETCH, object, admission.victim[0]);
        moe_offload_admitted(offload, object, admission.victim[0], true);
        return object;
    }
    return MOE_NONE;
}

/* Reads an object ahead of demand; the lock is free meanwhile. */
static void
prefetch(moe_offload *offload, uint32_t object)
{
    GError *error = NULL;
    take_buffer(offload, object);
    uint32_t buffer = offload->buffer_of[object];
    offload->busy = object;
    offload->busy_demanded = offload->busy_off = false;
    g_mutex_unlock(&offload->lock);
    uint64_t start = moe_offload_now();
    bool read = read_expert(offload, offload->ahead, object, buffer, &error);
    uint64_t ns = moe_offload_now() - start;
    g_mutex_lock(&offload->lock);
    if (read)
        count_read(offload, object, ns);
    else if (!offload->failure)
        offload->failure = g_steal_pointer(&error);
    g_clear_error(&error);
    if (!offload->busy_off)
        arrived(offload, object); /* after a failure nobody computes with it any more */
    else
        offload->free[offload->n_free++] = buffer;
    offload->busy = MOE_NONE;
    g_cond_signal(&offload->idle);
}

gpointer
moe_offload_loader(gpointer data)
{
    moe_offload *offload = data;
    g_mutex_lock(&offload->lock);
    while (!offload->closing) {
        uint32_t object = MOE_NONE;
        if (!offload->demanding && !offload->failure)
            object = draw(offload);
        if (object != MOE_NONE)
            prefetch(offload, object);
        else
            g_cond_wait(&offload->work, &offload->lock);
    }
    g_mutex_unlock(&offload->lock);
    return NULL;
}
