/* Executed offloading: experts stay in the checkpoint's files and pass through a cache of so many
 * slots in memory, by the very residency and policy code of the simulator.
 *
 * A group is what sim/machine makes of it: the distinct experts of a layer in order of first
 * appearance are tested at once; residents are computed first, then those on their way, then
 * misses, in waves of as many as have slots. The want-list is made when the gate is known and drawn
 * from by a thread of its own whenever nothing else is read; one read is under way at a time. The
 * prefetch under way is called off when nobody has asked for it and its slot is needed for a miss,
 * or the step ends.
 *
 * A load is a real read of the expert's bytes from the file, past the page cache where the file
 * system allows it, or, where slots are a device's memory, a copy over its bus, from pinned memory
 * or from what was read. Decisions are logged (traces/decisions.h): without prefetching, the log is
 * the same in every run; with it, the log says what timing made of it, and replays. */
#ifndef MOE_PROFILER_OFFLOAD_H
#define MOE_PROFILER_OFFLOAD_H

#include "profiler/decoder.h"
#include "sim/policy/demand.h"
#include "sim/residency/cache.h"

/* Slots that are not the host's memory, which a backend computes from. Loads come one at a time,
 * from the decoder's thread or the loader's; a slot that was given back may be loaded anew while
 * what was asked of it is still under way: the cache sees to the order. */
typedef struct moe_expert_cache {
    void *context;
    const char *place, *home; /* for reports: "device memory", "pinned memory" */
    bool reads;               /* experts are read from their files, and handed to `load` */
    /* Bytes of a slot. */
    uint64_t (*slot_bytes)(void *context);
    bool (*open)(void *context, uint32_t slots, GError **error);
    /* Fills a slot with an expert of layer `layer` of the model, and waits for it. `read`: its
     * matrices, NULL unless `reads`. Fills `out`, whose data is the cache's affair. */
    bool (*load)(void *context, uint32_t slot, uint32_t layer, uint32_t expert, const moe_mlp *read,
                 moe_mlp *out, GError **error);
} moe_expert_cache;

typedef struct moe_offload moe_offload;

typedef struct moe_offload_config {
    moe_settings *cache;     /* of moe_cache_table */
    const moe_demand *ahead; /* what the same tokens asked for when they were recorded: for
                                policies that know the future; NULL: nobody knows */
    const uint32_t
        *popularity;       /* [MoE layers * experts] for policies that want a profile, or NULL */
    uint32_t lookahead;    /* of the decoder */
    const char *decisions; /* file of the log, NULL: none */
    const moe_expert_cache *slots; /* NULL: memory of the host, filled from the files */
} moe_offload_config;

/* Of one MoE layer, as in the simulator's results; times as measured. */
typedef struct moe_offload_counts {
    uint64_t hits, late, misses;
    uint64_t loads, prefetches; /* loads: prefetches included */
    uint64_t evictions;         /* of this layer's experts */
    uint64_t load_bytes, wait_ns;
} moe_offload_counts;

/* What the reads of a run were like. */
typedef struct moe_offload_reads {
    uint64_t n, bytes, ns;
    bool direct; /* past the page cache; else through it, and dropped from it afterwards */
} moe_offload_reads;

/* `at` locates messages about the settings: a budget that holds no expert, policies that want a
 * future or a profile that is not there. NULL with messages, or with `error`. Weights and what the
 * config points to outlive it. */
moe_offload *moe_offload_new(const moe_weights_set *weights, const moe_offload_config *config,
                             moe_loc at, moe_diag *diag, GError **error);
/* What a decoder takes its experts from; borrowed. */
const moe_expert_source *moe_offload_source(moe_offload *offload);
/* After the last step: the log's counts are written, and it is complete. */
bool moe_offload_finish(moe_offload *offload, GError **error);
void moe_offload_free(moe_offload *offload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_offload, moe_offload_free)

/* What was done so far; counts by layer with experts, from 0, and of all layers. Borrowed. */
uint32_t moe_offload_layers(const moe_offload *offload);
const moe_offload_counts *moe_offload_counted(const moe_offload *offload, uint32_t layer);
const moe_tier_counts *moe_offload_residency(const moe_offload *offload);
moe_offload_reads moe_offload_read(const moe_offload *offload);
/* Bytes of its slots. */
uint64_t moe_offload_bytes(const moe_offload *offload);
/* The counts as a table. */
void moe_offload_describe(const moe_offload *offload, GString *out);

#endif
