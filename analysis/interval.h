/* Sets of points in time, as half-open intervals of nanoseconds: exact sums of what overlaps.
 *
 * A set is a GArray of moe_interval that is sorted and disjoint, with gaps between its members;
 * moe_intervals_unite makes one of any list. Empty intervals hold nothing and vanish. */
#ifndef MOE_ANALYSIS_INTERVAL_H
#define MOE_ANALYSIS_INTERVAL_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_interval {
    int64_t start, end; /* start <= end */
} moe_interval;

GArray *moe_intervals_new(void);
/* Appends to a list that is not a set yet. */
void moe_intervals_add(GArray *list, int64_t start, int64_t end);
/* Makes a list a set, in place. */
void moe_intervals_unite(GArray *list);
int64_t moe_intervals_total(const GArray *set);
/* What is in both; what is in `a` alone. New sets, yours. */
GArray *moe_intervals_common(const GArray *a, const GArray *b);
GArray *moe_intervals_without(const GArray *a, const GArray *b);
/* How much of the set lies in [start, end). */
int64_t moe_intervals_within(const GArray *set, int64_t start, int64_t end);

#endif
