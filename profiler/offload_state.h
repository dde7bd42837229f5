/* A run with offloaded experts. Private to profiler/offload*.c.
 *
 * offload.c        set-up, checks, results
 * offload_group.c  from a known gate to computed experts
 * offload_load.c   reads: on demand by who waits for them, ahead of demand by the loader's thread
 *
 * The lock guards everything but the settings; the decoder's thread holds it while it decides and
 * while it reads on demand, so that decisions and their log have one order. */
#ifndef MOE_PROFILER_OFFLOAD_STATE_H
#define MOE_PROFILER_OFFLOAD_STATE_H

#include "profiler/offload.h"
#include "profiler/offload_read.h"
#include "sim/policy/wants.h"
#include "traces/decisions.h"

/* The demand so far, for policies that learn from it. */
typedef struct moe_offload_seen {
    GArray *first, *expert, *tokens, *step_tokens;
    moe_demand demand;
} moe_offload_seen;

/* The group whose gate is known. Its members are computed in the order of `queue`. */
typedef struct moe_offload_group {
    uint32_t step, layer, n;
    uint32_t *objects, *queue; /* queue: members */
    uint8_t *outcomes;
    uint32_t next, wave; /* in the queue: first not given out; first of the last wave */
} moe_offload_group;

struct moe_offload {
    const moe_weights_set *weights;
    moe_offload_config config;
    const moe_cache *cache;
    uint32_t n_layers, n_experts, slots;
    uint32_t *layer_ids; /* in the model */
    moe_expert_source source;
    moe_residency *residency;
    moe_wants *wants;
    moe_offload_seen seen;
    moe_decisions_writer *log; /* NULL: none */
    moe_offload_group group;
    const moe_routed *routed; /* while its gate is being dealt with */

    /* buffers, `stride` bytes apart; where slots are a device's, only one, of what is read */
    uint8_t *block, *memory;                /* memory: the first aligned byte of the block */
    uint64_t slot_bytes, read_slot, stride; /* read_slot: of an expert in its files */
    uint32_t n_buffers, n_free;
    uint32_t *free, *buffer_of; /* buffer_of: by object, MOE_NONE without */
    moe_mlp *mlp;               /* by buffer */

    /* reads */
    moe_reader *reader, *ahead;
    GThread *loader;
    GMutex lock;
    GCond work, idle;
    bool demanding, closing;
    uint32_t busy;                /* object that the loader reads, MOE_NONE: none */
    bool busy_demanded, busy_off; /* asked for meanwhile; called off */
    GError *failure;              /* of the loader */
    moe_offload_counts *counts;   /* by layer */
    uint64_t reads, read_bytes, read_ns;

    /* what timed policies are told */
    uint64_t gate_ns, waited_ns; /* when the last gate was known, and waits since then */
    uint64_t *between_ns; /* by layer: until the next gate, waits left out, in the last step */
};

uint64_t moe_offload_now(void); /* nanoseconds */
void moe_offload_note(moe_offload *offload, moe_decision_kind kind, uint32_t object,
                      uint32_t victim);

/* offload_group.c */
bool moe_offload_begin(void *context, const moe_routed *routed, const moe_dispatch *dispatch,
                       GError **error);
bool moe_offload_next(void *context, uint32_t *members, const moe_mlp **weights, uint32_t *n,
                      GError **error);
bool moe_offload_end_step(void *context, GError **error);
/* offload_load.c */
/* A slot is given to `object`: with the victim's buffer, if there is one. */
void moe_offload_admitted(moe_offload *offload, uint32_t object, uint32_t victim, bool prefetch);
/* Reads what members queue[first .. next) of the group lack. */
bool moe_offload_load_wave(moe_offload *offload, uint32_t first, GError **error);
/* Calls the prefetch under way off, if nobody asked for it. */
void moe_offload_call_off(moe_offload *offload);
gpointer moe_offload_loader(gpointer offload);
/* offload_seen.c */
void moe_offload_seen_init(moe_offload_seen *seen, uint32_t n_layers, uint32_t n_experts);
void moe_offload_seen_clear(moe_offload_seen *seen);
void moe_offload_seen_add(moe_offload_seen *seen, uint32_t layer, uint32_t step_tokens,
                          const moe_dispatch *dispatch);

#endif
