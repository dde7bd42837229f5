/* A lane is what one thread of the program records into: open batches, its stack of ranges, a cache
 * of texts. It is locked while its thread writes, and for a moment when the writer collects what is
 * there, so threads do not wait for each other. */
#ifndef MOE_PROFILER_INJECT_LANE_H
#define MOE_PROFILER_INJECT_LANE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "profiler/inject/log.h"

enum { MOE_LANE_TEXTS = 128, MOE_LANE_MOST_DEPTH = 4096 };

typedef enum moe_lane_kind {
    MOE_LANE_RANGES,
    MOE_LANE_STEPS,
    MOE_LANE_TOKENS,
    MOE_LANE_ROUTES,
    MOE_LANE_NODES,
    MOE_LANE_NAMES,
    MOE_N_LANE_KINDS,
} moe_lane_kind;

/* A range that is open in a thread. */
typedef struct moe_open_range {
    uint64_t range; /* 0: it is not recorded */
    uint32_t domain;
    int32_t depth; /* in its domain */
    bool opened;   /* the capture window: closing the range closes it */
} moe_open_range;

typedef struct moe_lane {
    pthread_mutex_t lock;
    struct moe_lane *next; /* of all there ever were */
    bool taken;            /* by a thread that lives */
    volatile sig_atomic_t inside;
    uint32_t thread; /* of the operating system */
    moe_batch *open[MOE_N_LANE_KINDS];
    size_t size[MOE_N_LANE_KINDS]; /* of the next batch */
    moe_open_range *stack;
    uint32_t depth, room;
    uint64_t next_range, end_range; /* numbers it may give */
    struct {
        uint64_t hash;
        const char *text;
        uint32_t bytes, id;
    } texts[MOE_LANE_TEXTS];
} moe_lane;

/* The calling thread's, locked. NULL: the thread is in here already (a signal handler, an allocator
 * that is traced), or there is no memory. */
moe_lane *moe_lane_enter(void);
void moe_lane_leave(moe_lane *lane);
/* True in a signal handler that interrupted this thread within the injector. */
bool moe_lane_interrupted(void);
/* The number of a text. */
uint32_t moe_lane_text(moe_lane *lane, const char *text);
/* Room for a record; NULL: it is lost, and the caller counts it. */
void *moe_lane_room(moe_lane *lane, moe_lane_kind kind, size_t bytes);
/* A number for a range. */
uint64_t moe_lane_number(moe_lane *lane);

/* Hands all open batches to the writer. */
void moe_lanes_seal(void);
void moe_lanes_forget(void);

#endif
