/* Decision logs: what a run with an expert cache did, call by call, as text that can be read,
 * compared and replayed. Written step by step, only ever appended to: a killed run leaves the steps
 * that it finished.
 *
 *     moesim-decisions 1
 *     shape 12 48              MoE layers, experts of each
 *     set KEY VALUE            what the run was set to; keys are the writer's
 *     gate 0 3 24 7=hit 9=miss 1=late
 *                              step 0, layer 3, 24 tokens: its distinct experts, in order of
 *                              first appearance, and where they were
 *     want 120000 35000 4.1 4.7
 *                              to be prefetched, in this order; ps until the next gate, and ps of
 *                              a load, as estimated (0 0: nobody asked)
 *     load 3.9 2.11            a miss is admitted, 2.11 is evicted (-: a slot was free)
 *     full 3.5                 no slot for a miss: a wave is computed first
 *     prefetch 4.1 -           as `load`, ahead of demand
 *     refuse 4.7               a prefetch found no slot
 *     here 3.9                 a load is complete
 *     done 3.9                 a member is computed: it may leave
 *     off 4.1                  a prefetch is called off
 *     end                      of the step
 *     count 3 HITS LATE MISSES LOADS PREFETCHES EVICTIONS
 *                              of layer 3, after the last step
 *
 * Layers are counted among MoE layers; an object is LAYER.EXPERT. The reader checks the form and
 * that layers and experts exist, nothing else. */
#ifndef MOE_TRACES_DECISIONS_H
#define MOE_TRACES_DECISIONS_H

#include "sim/base/diag.h"

typedef enum moe_decision_kind {
    MOE_DECISION_GATE,
    MOE_DECISION_WANT,
    MOE_DECISION_LOAD,
    MOE_DECISION_FULL,
    MOE_DECISION_PREFETCH,
    MOE_DECISION_REFUSE,
    MOE_DECISION_HERE,
    MOE_DECISION_DONE,
    MOE_DECISION_OFF,
    MOE_DECISION_END,
    MOE_DECISION_COUNT,
} moe_decision_kind;
#define MOE_DECISION_COUNTS 6

/* One line. Fields that its kind does not have mean nothing. Objects are layer * experts + expert;
 * outcomes are 0 hit, 1 late, 2 miss. */
typedef struct moe_decision {
    moe_decision_kind kind;
    uint32_t step, layer, tokens;
    int64_t window_ps, load_ps;
    uint32_t object, victim; /* victim MOE_NONE: none */
    size_t n;                /* of gate and want */
    const uint32_t *objects;
    const uint8_t *outcomes;
    uint64_t counts[MOE_DECISION_COUNTS];
} moe_decision;

/* ---- writing ---- */

typedef struct moe_decisions_writer moe_decisions_writer;

/* Creates the file, or NULL with `error`. A file that is there is replaced when the first decisions
 * are flushed: a run that is refused before it decides anything leaves all as it was. */
moe_decisions_writer *moe_decisions_writer_new(const char *path, uint32_t n_layers,
                                               uint32_t n_experts, GError **error);
/* Before the first decision. */
void moe_decisions_set(moe_decisions_writer *writer, const char *key, const char *value);
void moe_decisions_add(moe_decisions_writer *writer, const moe_decision *decision);
/* Brings what was added to the file, from the first decision on. */
bool moe_decisions_flush(moe_decisions_writer *writer, GError **error);
void moe_decisions_writer_free(moe_decisions_writer *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_decisions_writer, moe_decisions_writer_free)

/* ---- reading ---- */

typedef struct moe_decisions moe_decisions;

typedef enum moe_decisions_step {
    MOE_DECISIONS_NEXT,
    MOE_DECISIONS_OVER,
    MOE_DECISIONS_FAILED, /* `error` is set, or a message was made */
} moe_decisions_step;

/* Opens a log and reads its head. Messages are "FILE:LINE:COLUMN: …". */
moe_decisions *moe_decisions_open(const char *path, moe_diag *diag, GError **error);
/* From bytes in memory, which must outlive the result; `name` stands for the path. */
moe_decisions *moe_decisions_open_memory(const char *name, const void *bytes, size_t n_bytes,
                                         moe_diag *diag);
void moe_decisions_close(moe_decisions *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_decisions, moe_decisions_close)
uint32_t moe_decisions_layers(const moe_decisions *log);
uint32_t moe_decisions_experts(const moe_decisions *log);
/* The head's settings in order: *key and *value of setting i, and where it stands; false: there
 * are no more. */
bool moe_decisions_setting(const moe_decisions *log, size_t i, const char **key, const char **value,
                           moe_loc *at);
/* The next line; *decision is valid until the next call. */
moe_decisions_step moe_decisions_next(moe_decisions *log, moe_decision *decision, GError **error);
/* Where the line read last stands. */
moe_loc moe_decisions_at(const moe_decisions *log);

#endif
