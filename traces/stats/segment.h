/* Segment routing best performance, SRP(m), of arXiv 2505.16056: how well experts could be switched
 * on or off once for m tokens.
 *
 * f is how many of the m tokens of a segment use an expert; all segments that fit into a sequence
 * count, sliding by one token, and all experts of the group (a layer, the model). Switching on
 * where f >= alpha matches M = sum of f over f >= alpha, keeps P = m * #(f >= alpha) on, of A = sum
 * of f used. F1 = 2 M / (P + A); SRP is its maximum over alpha = 1 .. m (the lowest of equals), one
 * alpha for the whole group, and rho-hat is P / A there. */
#ifndef MOE_TRACES_STATS_SEGMENT_H
#define MOE_TRACES_STATS_SEGMENT_H

#include "traces/stats/bootstrap.h"
#include "traces/stats/pick.h"

#define MOE_SEGMENT_SIZES 4
extern const uint32_t moe_segment_sizes[MOE_SEGMENT_SIZES]; /* m = 4, 16, 64, 256 */

typedef struct moe_segments {
    uint32_t n_layers, n_sequences;
    uint32_t *counts; /* [n_sequences][n_layers][MOE_SEGMENT_COUNTS]: (expert, segment) pairs by f;
                         the counts of size i stand from moe_segment_first(i) on, f = 0 .. m */
} moe_segments;

#define MOE_SEGMENT_COUNTS (5 + 17 + 65 + 257)

uint32_t moe_segment_first(uint32_t size);
moe_segments *moe_segments_new(const moe_pick *pick, moe_progress *progress, void *context);
void moe_segments_free(moe_segments *segments);

typedef struct moe_srp {
    double srp, rho; /* NAN: no sequence is as long as m, or nothing was used */
    uint32_t alpha;
} moe_srp;

/* Of counts[m + 1] by f. */
moe_srp moe_segment_srp(const uint64_t *counts, uint32_t m);
/* Of one layer, or of the model: MOE_NONE. */
moe_srp moe_segments_srp(const moe_segments *segments, uint32_t layer, uint32_t size);
/* Their 95 % intervals (traces/stats/bootstrap.h). */
void moe_segments_intervals(const moe_segments *segments, const moe_bootstrap *bootstrap,
                            uint32_t layer, uint32_t size, moe_interval *srp, moe_interval *rho);

#endif
