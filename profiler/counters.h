/* Hardware counters of NVIDIA GPUs: which there are, what they mean, and how many times a program
 * must run for them. Asks CUPTI's range profiler, whose host side wants neither a GPU nor a driver:
 * plans are made and checked on any machine that has libcupti.
 *
 * A metric is a counter with its rollup, such as dram__bytes_read.sum. Metrics that the hardware
 * counts at the same time make a *group*; a group takes one pass, and a pass is one run of the
 * program: ranges of MoE layers are not replayed in place, since kernels that wait for other GPUs
 * would wait for ever. */
#ifndef MOE_PROFILER_COUNTERS_H
#define MOE_PROFILER_COUNTERS_H

#include "sim/base/diag.h"

/* Metrics that belong together, by a name. */
typedef struct moe_counter_set {
    const char *name, *help;
    const char *const *metrics; /* NULL-terminated */
} moe_counter_set;

const moe_counter_set *moe_counter_sets(size_t *n);
#define MOE_COUNTERS_DEFAULT_SET "moe"
#define MOE_COUNTERS_DEFAULT_CHIP "GH100" /* H100, H200, H800, GH200 */

typedef struct moe_counters moe_counters; /* libcupti, asked about one chip */

/* MOE_ERROR_PROGRAM: built without CUPTI's headers, or no libcupti ($MOESIM_CUPTI_LIB, the
 * loader's path, the toolkit). */
moe_counters *moe_counters_open(const char *chip, GError **error);
void moe_counters_close(moe_counters *counters);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_counters, moe_counters_close)
/* "libcupti 13.0.1, /usr/lib/libcupti.so.13"; borrowed. */
const char *moe_counters_library(const moe_counters *counters);

/* The chips that this libcupti knows, whichever was opened: NULL-terminated, yours. */
char **moe_counters_chips(GError **error);

typedef struct moe_counter_info {
    char *name;        /* without rollup */
    char *description; /* "" when there is none */
    char *unit;        /* of its values: byte, percent … */
    int type;          /* moe_counter_type */
} moe_counter_info;
typedef enum moe_counter_type {
    MOE_COUNTER_COUNTER,    /* .sum .avg .min .max and their rates */
    MOE_COUNTER_RATIO,      /* .pct .ratio .max_rate */
    MOE_COUNTER_THROUGHPUT, /* .avg.pct_of_peak_sustained_elapsed and the like */
} moe_counter_type;
/* Those whose name contains `pattern` ("": all), by name; elements are moe_counter_info. */
GPtrArray *moe_counters_list(moe_counters *counters, const char *pattern);
/* Rollups of a base metric, NULL-terminated, yours. */
char **moe_counters_rollups(moe_counters *counters, const moe_counter_info *info);

typedef struct moe_counter_group {
    GPtrArray *metrics; /* of char * */
    size_t passes;      /* 1, or more for a metric that takes several alone */
} moe_counter_group;
/* Metrics as groups, in the order given: each joins the first group that still takes one pass.
 * A metric that the chip does not have is a message with the nearest that it has; NULL then.
 * Elements are moe_counter_group. */
GPtrArray *moe_counters_plan(moe_counters *counters, const char *const *metrics, size_t n,
                             moe_loc at, moe_diag *diag);

#endif
