/* An expectation as read and as judged: shared by the parts of expect.h. */
#ifndef MOE_ANALYSIS_EXPECT_PRIVATE_H
#define MOE_ANALYSIS_EXPECT_PRIVATE_H

#include "analysis/expect.h"

typedef enum expect_agg { AGG_UNSAID, AGG_MEAN, AGG_MAX, AGG_MIN, AGG_EACH } expect_agg;
typedef enum expect_bound { BOUND_BOTH, BOUND_AT_LEAST, BOUND_AT_MOST } expect_bound;

typedef struct expect_config {
    const char *metric, *value, *source, *known_miss;
    double within;
    int agg, bound, basis;
} expect_config;

/* One run, or one ratio of two. */
typedef struct expect_pair {
    size_t of, over; /* points; over SIZE_MAX: no ratio */
    double got;
} expect_pair;

typedef enum expect_verdict { SKIPPED, MET, MISSED, KNOWN_MISS } expect_verdict;

typedef struct expectation {
    moe_settings *settings;
    const expect_config *config;
    char *unit;
    double value;
    moe_selector of, over;
    bool has_over;
    GArray *pairs; /* expect_pair; none: skipped */
    double got;    /* the aggregate; for each: the worst */
    expect_verdict verdict;
} expectation;

struct moe_expectations {
    const moe_frame *frame;
    GPtrArray *list; /* expectation */
};

#endif
