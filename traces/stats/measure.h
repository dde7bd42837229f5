/* All statistics of a trace, group by group (`moesim trace stats`).
 *
 * Most are exact. What needs a cache or a window for each sequence (segments, caches) is measured
 * on at most so many tokens: a larger trace is thinned to every n-th sequence, a note says so, and
 * the intervals over sequences say what that is worth. */
#ifndef MOE_TRACES_STATS_MEASURE_H
#define MOE_TRACES_STATS_MEASURE_H

#include "traces/stats/balance.h"
#include "traces/stats/statistic.h"

typedef struct moe_measure_config {
    uint32_t groups;        /* bit g: statistics of group g */
    uint64_t sample_tokens; /* 0: chosen so that each cache policy takes a few seconds */
    uint32_t batch;         /* tokens of a batch for the load of ranks; 0: 64, or as many as the
                               sequences can fill */
    const moe_rank_table *table; /* where experts stand; NULL: contiguous, on 1 .. 8 ranks */
    bool warm;                   /* caches live on from sequence to sequence; no intervals then */
    bool first_fill_miss; /* the first use of an expert is a miss even while slots are free */
    bool singly;          /* accesses tested one by one, not token by token */
    bool pinned;          /* what a token asks for stays until it is done */
} moe_measure_config;

#define MOE_MEASURE_ALL ((1u << MOE_N_STATISTIC_GROUPS) - 1)

/* progress (may be NULL) hears `what` is being done, and how much of it. */
typedef void moe_measure_progress(void *context, const char *what, double done, double total);

moe_stats *moe_trace_measure(const moe_pick *pick, const moe_measure_config *config,
                             moe_measure_progress *progress, void *context);

#endif
