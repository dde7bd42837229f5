/* What can be measured of a trace, by name, and the values measured.
 *
 * A statistic belongs to a group: groups are measured as a whole. Values come in rows: statistic,
 * layer, parameter ("lag=1", "m=16 rho=2", "" when there is none), value, and for some statistics a
 * 95 % interval over sequences. Rows of the whole model have layer MOE_NONE. */
#ifndef MOE_TRACES_STATS_STATISTIC_H
#define MOE_TRACES_STATS_STATISTIC_H

#include "traces/stats/affinity.h"

#include <glib.h>

#define MOE_STATISTIC_GROUPS(GROUP)                                                                \
    GROUP(popularity, "how unevenly experts are used")                                             \
    GROUP(overlap, "what tokens of a sequence share")                                              \
    GROUP(reuse, "how soon experts come again")                                                    \
    GROUP(affinity, "what a layer says about the next")                                            \
    GROUP(coverage, "distinct experts of a batch")                                                 \
    GROUP(balance, "load of ranks, step by step")                                                  \
    GROUP(gate, "gate weights, load-balance loss")                                                 \
    GROUP(lookahead, "recorded look-ahead")                                                        \
    GROUP(capture, "what the capture measured: similarity of layers, stage times")                 \
    GROUP(segments, "SRP of segments of m tokens")                                                 \
    GROUP(caches,                                                                                  \
          "SCH, LRU, LFU, Belady, and curves over all capacities; model_ is one cache for "        \
          "all layers, layer_ a cache for each; rho is its slots over the experts that a "         \
          "token uses (of all layers, or of one), m the tokens that SCH looks ahead")

typedef enum moe_statistic_group {
#define MOE_GROUP_ID(name, help) MOE_STATS_##name,
    MOE_STATISTIC_GROUPS(MOE_GROUP_ID)
#undef MOE_GROUP_ID
        MOE_N_STATISTIC_GROUPS,
} moe_statistic_group;

typedef enum moe_statistic {
#define MOE_STATISTIC(name, ...) MOE_STAT_##name,
#include "traces/stats/statistic.def"
#undef MOE_STATISTIC
    MOE_N_STATISTICS,
} moe_statistic;

typedef struct moe_statistic_info {
    const char *name;
    moe_statistic_group group;
    const char *unit, *parameters;
    bool interval;
    const char *help, *source; /* source "": ours, the help is the definition */
} moe_statistic_info;

const moe_statistic_info *moe_statistic_get(moe_statistic statistic);
const char *moe_statistic_group_name(moe_statistic_group group);
const char *moe_statistic_group_help(moe_statistic_group group);

typedef struct moe_stat_row {
    moe_statistic statistic;
    uint32_t layer; /* index; MOE_NONE: whole model */
    char parameter[28];
    double value, low, high; /* low and high NAN: no interval */
} moe_stat_row;

typedef struct moe_stats {
    const moe_routing *routing;
    GArray *rows;           /* moe_stat_row, in the order of the table's groups */
    GPtrArray *notes;       /* texts: what was not measured and why, what was sampled */
    moe_affinity *affinity; /* the whole table; NULL: not measured */
    moe_stat_row scratch;
} moe_stats;

moe_stats *moe_stats_new(const moe_routing *routing);
void moe_stats_free(moe_stats *stats);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_stats, moe_stats_free)
/* Appends a row without an interval; values that are NAN are left out. Returns the row to be
 * amended, valid until the next; a scratch row for NAN. */
moe_stat_row *moe_stats_add(moe_stats *stats, moe_statistic statistic, uint32_t layer, double value,
                            const char *fmt, ...) MOE_PRINTF(5, 6);
void moe_stats_note(moe_stats *stats, const char *fmt, ...) MOE_PRINTF(2, 3);
/* The row of a statistic, layer and parameter; NULL: there is none. */
const moe_stat_row *moe_stats_find(const moe_stats *stats, moe_statistic statistic, uint32_t layer,
                                   const char *parameter);
/* "statistic,layer,parameter,value" with a heading; layers by their number in the model; intervals
 * as rows NAME_low and NAME_high. */
void moe_stats_csv(const moe_stats *stats, GString *out);

#endif
