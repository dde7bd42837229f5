/* Expectations: what a scenario says must come out of its runs (DESIGN section 4).
 *
 *   expect:
 *     - {metric: decode_tokens_per_s, of: {experts.prefetch.kind: next-layer},
 *        over: {experts.prefetch.kind: none}, value: 1.7, within: 15%, basis: predicted,
 *        source: "paper, figure"}
 *
 * `of` selects runs; without `over` the metric itself is expected to be `value`, with it the ratio
 * of each pair of runs that agree on all swept keys but those given on both sides: {evict: arc,
 * capacity: 25%} over {evict: lru} compares both at 25%. A key may be given a list of values: any
 * of them will do, and the runs of a pair still agree on it. More than one run
 * or pair needs `agg` (mean, max, min over all, or each). `bound: at_least | at_most` makes it
 * one-sided. `known_miss: reason` lets it fail. */
#ifndef MOE_ANALYSIS_EXPECT_H
#define MOE_ANALYSIS_EXPECT_H

#include "analysis/section.h"
#include "analysis/store.h"

typedef struct moe_expectations moe_expectations;

/* `section` may be NULL: none. The frame must outlive the expectations. */
moe_expectations *moe_expect_read(const moe_yaml *section, const moe_section_view *view,
                                  moe_diag *diag);
void moe_expect_free(moe_expectations *expectations);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_expectations, moe_expect_free)
/* The keys of one expectation, for help, schema and reference. */
const moe_param_table *moe_expect_table(void);
size_t moe_expect_count(const moe_expectations *expectations);
const char *moe_expect_metric(const moe_expectations *expectations, size_t i);

/* Compares with what the store has, and replaces the scenario's rows there. */
bool moe_expect_evaluate(moe_expectations *expectations, moe_store *store, const char *scenario,
                         GError **error);
/* Of the last evaluation: misses without known_miss. */
unsigned moe_expect_missed(const moe_expectations *expectations);
/* Appends a summary line and one line for each that was not met. */
void moe_expect_report(const moe_expectations *expectations, GString *out);

#endif
