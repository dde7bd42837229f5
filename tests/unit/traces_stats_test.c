/* Statistics of traces made by hand, with answers known beforehand. */
#include "tests/test.h"

#include "traces/generate.h"
#include "traces/stats/affinity.h"
#include "traces/stats/balance.h"
#include "traces/stats/bootstrap.h"
#include "traces/stats/coverage.h"
#include "traces/stats/curve.h"
#include "traces/stats/gate.h"
#include "traces/stats/measure.h"
#include "traces/stats/overlap.h"
#include "traces/stats/popularity.h"
#include "traces/stats/recall.h"
#include "traces/stats/reuse.h"
#include "traces/stats/segment.h"

#include <math.h>

#define CHECK_NEAR(got, want)                                                                      \
    MOE_CHECK(fabs((got) - (want)) < 1e-12, "%.17g, not %.17g", (double)(got), (double)(want))

/* Tokens of one sequence, decode; ids[n][layers * k], 0xFFFF for none. */
static void
add_sequence(moe_routing_builder *builder, uint32_t sequence, const uint16_t *ids, uint32_t n,
             uint32_t per_token)
{
    for (uint32_t t = 0; t < n; t++)
        moe_routing_builder_add(builder, sequence, t, MOE_DECODE, ids + t * per_token, NULL);
}

static void
sweep(const moe_routing *routing, void (*add)(void *, const moe_block *), void *state)
{
    moe_pick pick = moe_pick_all(routing);
    moe_block_user user = {add, state};
    moe_sweep(&pick, &user, 1, NULL, NULL);
}

/* ---- popularity ---- */

static void
spread(void)
{
    const uint64_t alike[4] = {5, 5, 5, 5}, one[4] = {0, 12, 0, 0};
    moe_spread even = moe_popularity_spread(alike, 4, 10);
    CHECK_NEAR(even.max_over_mean, 1);
    CHECK_NEAR(even.gini, 0);
    CHECK_NEAR(even.entropy_bits, 2);
    CHECK_NEAR(even.zipf, 0);
    CHECK_NEAR(even.frequency_sd, 0);
    moe_spread single = moe_popularity_spread(one, 4, 12);
    CHECK_NEAR(single.max_over_mean, 4);
    CHECK_NEAR(single.gini, 0.75);
    CHECK_NEAR(single.entropy_bits, 0);
    CU_ASSERT_TRUE(isnan(single.zipf));
    CHECK_NEAR(single.frequency_sd, sqrt(3) / 4);
    /* 3600 / rank^2 */
    const uint64_t zipf[4] = {225, 400, 3600, 900};
    CHECK_NEAR(moe_popularity_spread(zipf, 4, 1).zipf, 2);
    const uint64_t none[4] = {0};
    CU_ASSERT_TRUE(isnan(moe_popularity_spread(none, 4, 0).gini));
}

/* ---- overlap ---- */

static void
overlap(void)
{
    /* one layer, k 2: shared with the token before 2, 1, 0; two before 1, 0; three before 1 */
    const uint16_t first[] = {0, 1, 1, 0, 1, 2, 0, 3};
    const uint16_t second[] = {0, 1, 2, 3};
    moe_routing_builder *builder = moe_routing_builder_new(1, 6, 2);
    add_sequence(builder, 0, first, 4, 2);
    add_sequence(builder, 1, second, 2, 2);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_overlap *o = moe_overlap_new(moe_routing_get(file));
    moe_popularity *p = moe_popularity_new(moe_routing_get(file));
    sweep(moe_routing_get(file), moe_overlap_add, o);
    sweep(moe_routing_get(file), moe_popularity_add, p);
    CHECK_NEAR(moe_overlap_at(o, 0, 1), 3.0 / 8);
    CHECK_NEAR(moe_overlap_at(o, MOE_NONE, 2), 2.0 / 4);
    CHECK_NEAR(moe_overlap_at(o, 0, 3), 1.0 / 2);
    CU_ASSERT_TRUE(isnan(moe_overlap_at(o, 0, 4)));
    /* uses 4, 4, 2, 2 of 6 tokens */
    CHECK_NEAR(moe_overlap_independent(p, 0), (16 + 16 + 4 + 4) / 36.0 / 2);
    moe_overlap_free(o);
    moe_popularity_free(p);
}

/* Expert t mod 65 at token t, in two long sequences and with a layer that runs every other time:
 * nothing is shared at any lag. With mod 64, everything at lag 64. */
static void
overlap_at_the_edge(void)
{
    for (uint32_t period = 64; period <= 65; period++) {
        moe_routing_builder *builder = moe_routing_builder_new(2, 65, 1);
        for (uint32_t s = 0; s < 2; s++)
            for (uint32_t t = 0; t < 5000; t++) {
                uint16_t ids[2] = {(uint16_t)(t % period), t % 2 ? MOE_ROUTING_NOT_RUN : 7};
                moe_routing_builder_add(builder, s, t, MOE_DECODE, ids, NULL);
            }
        g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
        moe_overlap *o = moe_overlap_new(moe_routing_get(file));
        sweep(moe_routing_get(file), moe_overlap_add, o);
        for (uint32_t lag = 1; lag <= 64; lag++) {
            uint64_t shared, experts;
            moe_overlap_sums(o, 0, lag, &shared, &experts);
            CU_ASSERT_EQUAL(experts, 2 * (5000 - lag));
            CU_ASSERT_EQUAL(shared, lag == 64 && period == 64 ? experts : 0);
            moe_overlap_sums(o, 1, lag, &shared, &experts);
            CU_ASSERT_EQUAL(experts, lag % 2 ? 0 : 2 * (2500 - lag / 2));
            CU_ASSERT_EQUAL(shared, experts);
        }
        moe_overlap_free(o);
    }
}

/* ---- affinity ---- */

static void
affinity(void)
{
    /* layer 1 has what layer 0 has, layer 2 draws the other of two at every second token */
    const uint16_t ids[] = {0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1};
    moe_routing_builder *builder = moe_routing_builder_new(3, 2, 1);
    add_sequence(builder, 0, ids, 4, 3);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_affinity *a = moe_affinity_new(moe_routing_get(file));
    sweep(moe_routing_get(file), moe_affinity_add, a);
    moe_affinity_summary same = moe_affinity_of(a, 1), other = moe_affinity_of(a, 2);
    CHECK_NEAR(same.mass, 1);
    CHECK_NEAR(same.independent, 0.5);
    CHECK_NEAR(same.information, 1);
    CHECK_NEAR(other.mass, 0.5);
    CHECK_NEAR(other.information, 0);
    double share = 0;
    CU_ASSERT_EQUAL(moe_affinity_partner(a, 1, 1, &share), 1);
    CHECK_NEAR(share, 1);
    CU_ASSERT_EQUAL(moe_affinity_partner(a, 2, 1, &share), 0);
    CHECK_NEAR(share, 0.5);
    moe_affinity_free(a);
}

/* ---- coverage ---- */

static void
coverage(void)
{
    /* four sequences, the last one shorter; at each place the sequences use s and s + t */
    moe_routing_builder *builder = moe_routing_builder_new(1, 16, 2);
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t t = 1; t <= (s < 3 ? 2 : 1); t++) {
            uint16_t ids[2] = {(uint16_t)s, (uint16_t)(s + t)};
            moe_routing_builder_add(builder, s, 2 * t, MOE_PREFILL, ids, NULL);
            moe_routing_builder_add(builder, s, 2 * t + 1, MOE_DECODE, ids, NULL);
        }
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_pick pick = moe_pick_all(moe_routing_get(file));
    moe_coverage *decode = moe_coverage_new(&pick, MOE_DECODE, NULL, NULL);
    CU_ASSERT_EQUAL(decode->batches[0], 7);
    CU_ASSERT_EQUAL(decode->batches[1], 3);
    CU_ASSERT_EQUAL(decode->batches[2], 1);
    CHECK_NEAR(moe_coverage_mean(decode, 0, 0), 2);
    /* {0 1 | 1 2}, {2 3 | 3 4}, {0 2 | 1 3} */
    CHECK_NEAR(moe_coverage_mean(decode, MOE_NONE, 1), (3 + 3 + 4) / 3.0);
    CHECK_NEAR(moe_coverage_mean(decode, 0, 2), 5);
    CU_ASSERT_TRUE(isnan(moe_coverage_mean(decode, 0, 3)));
    moe_coverage *prefill = moe_coverage_new(&pick, MOE_PREFILL, NULL, NULL);
    CU_ASSERT_EQUAL(prefill->batches[1], 3);
    CHECK_NEAR(moe_coverage_mean(prefill, 0, 1), 3);
    moe_coverage_free(decode);
    moe_coverage_free(prefill);
}

/* ---- reuse, balance, gates, look-ahead ---- */

static void
reuse(void)
{
    /* gaps 1, 1, 3 and 1, with three first uses; a second sequence begins anew */
    const uint16_t ids[] = {0, 0, 0, 1, 2, 0, 0};
    moe_routing_builder *builder = moe_routing_builder_new(1, 3, 1);
    add_sequence(builder, 0, ids, 7, 1);
    add_sequence(builder, 1, ids, 1, 1);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_reuse *r = moe_reuse_new(moe_routing_get(file));
    sweep(moe_routing_get(file), moe_reuse_add, r);
    CU_ASSERT_EQUAL(moe_reuse_count(r, 0, 0), 4);
    CU_ASSERT_EQUAL(moe_reuse_count(r, MOE_NONE, 1), 3);
    CU_ASSERT_EQUAL(moe_reuse_count(r, 0, 3), 1);
    CU_ASSERT_EQUAL(moe_reuse_quantile(r, 0, 0.75), 1);
    CU_ASSERT_EQUAL(moe_reuse_quantile(r, 0, 0.76), 3);
    moe_reuse_free(r);
}

static void
balance(void)
{
    /* two decode batches of two tokens, four experts: 0 0 and 0 3 */
    const uint16_t ids[2][2] = {{0, 0}, {0, 3}};
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 1);
    for (uint32_t s = 0; s < 2; s++)
        for (uint32_t t = 0; t < 2; t++) {
            moe_routing_builder_add(builder, s, t, MOE_DECODE, &ids[t][s], NULL);
            moe_routing_builder_step(builder, 7);
        }
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_pick pick = moe_pick_all(moe_routing_get(file));
    moe_balance *b = moe_balance_new(&pick, MOE_BALANCE_DECODE, 2, NULL, NULL, NULL);
    CHECK_NEAR(moe_balance_mean(b, 0, 1), 1);
    CHECK_NEAR(moe_balance_mean(b, MOE_NONE, 2), (2 + 1) / 2.0);
    CHECK_NEAR(moe_balance_mean(b, 0, 4), (4 + 2) / 2.0);
    moe_balance *step = moe_balance_new(&pick, MOE_BALANCE_STEP, 0, NULL, NULL, NULL);
    CHECK_NEAR(moe_balance_mean(step, 0, 2), 3 / 2.0);
    moe_balance *none = moe_balance_new(&pick, MOE_BALANCE_PREFILL, 2, NULL, NULL, NULL);
    CU_ASSERT_TRUE(isnan(moe_balance_mean(none, 0, 2)));
    /* with experts 0 and 3 on one of two ranks all pairs are there */
    const uint16_t rank[4] = {1, 0, 0, 1};
    const moe_rank_table table = {2, rank};
    moe_balance *placed = moe_balance_new(&pick, MOE_BALANCE_DECODE, 2, &table, NULL, NULL);
    CHECK_NEAR(moe_balance_mean(placed, 0, 2), 2);
    moe_balance_free(placed);
    moe_balance_free(b);
    moe_balance_free(step);
    moe_balance_free(none);
}

static void
gates(void)
{
    /* two sequences of a token each, experts 0 1 and 2 3, shares 3/4 and 1/4, once in rising order:
     * within a sequence 4 (1/2 3/4 + 1/2 1/4) = 2, over both 4 * 4 * 1/4 * 1/4 = 1 */
    const uint16_t ids[2][2] = {{0, 1}, {2, 3}};
    const float weights[2][2] = {{0.75f, 0.25f}, {1, 3}};
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 2);
    for (uint32_t s = 0; s < 2; s++)
        moe_routing_builder_add(builder, s, 0, MOE_DECODE, ids[s], weights[s]);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_gate *g = moe_gate_new(moe_routing_get(file));
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    sweep(moe_routing_get(file), moe_gate_add, g);
    moe_gate_finish(g);
    CHECK_NEAR(moe_gate_share(g, 0, 0), 0.75);
    CHECK_NEAR(moe_gate_share(g, MOE_NONE, 1), 0.25);
    CHECK_NEAR(moe_gate_top_quantile(g, 0, 0.5), 0.751);
    CHECK_NEAR(moe_gate_loss_micro(g, MOE_NONE), 2);
    CHECK_NEAR(moe_gate_loss_global(g, 0), 1);
    moe_gate_free(g);
}

/* Router logits come before gate weights: equal ones make the loss 1 whatever is chosen. */
static void
gates_with_logits(void)
{
    const float logits[4] = {2, 2, 2, 2};
    const uint16_t ids[2] = {0, 1};
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 2);
    moe_routing_builder_add(builder, 0, 0, MOE_DECODE, ids, NULL);
    moe_routing_builder_logits(builder, logits);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_gate *g = moe_gate_new(moe_routing_get(file));
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    sweep(moe_routing_get(file), moe_gate_add, g);
    moe_gate_finish(g);
    CHECK_NEAR(moe_gate_loss_micro(g, 0), 1);
    CHECK_NEAR(moe_gate_loss_global(g, 0), 1);
    CU_ASSERT_TRUE(isnan(moe_gate_share(g, 0, 0)));
    moe_gate_free(g);
}

static void
recall(void)
{
    moe_generate_config config = moe_generate_sample();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_routing_file) file =
        moe_routing_builder_finish(moe_generate(&config, (moe_loc){0}, diag), "sample");
    const moe_routing *routing = moe_routing_get(file);
    moe_recall *r = moe_recall_new(routing);
    sweep(routing, moe_recall_add, r);
    CHECK_NEAR(moe_recall_at(r, 0, MOE_NONE), moe_routing_recall(routing, 0));
    CU_ASSERT_TRUE(isnan(moe_recall_at(r, 0, 0)));
    moe_recall_free(r);
}

/* ---- picks and measurements ---- */

static void
thinned(void)
{
    const uint16_t ids[10] = {0};
    moe_routing_builder *builder = moe_routing_builder_new(1, 2, 1);
    for (uint32_t s = 0; s < 10; s++)
        add_sequence(builder, s, ids, 10, 1);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_pick all = moe_pick_all(moe_routing_get(file));
    const struct {
        uint64_t tokens;
        uint32_t sequences, n, second;
    } cases[] = {{100, 10, 10, 1}, {99, 10, 5, 2}, {1000, 4, 4, 3}, {1, 10, 1, 0}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        uint32_t *indices;
        moe_pick pick = moe_pick_thinned(&all, cases[i].tokens, cases[i].sequences, &indices);
        MOE_CHECK(pick.n == cases[i].n, "case %zu: %u", i, pick.n);
        CU_ASSERT_TRUE(pick.n < 2 || moe_pick_sequence(&pick, 1) == cases[i].second);
        g_free(indices);
    }
}

/* A trace in which no layer ran has no rows rather than wrong ones. */
static void
nothing_to_measure(void)
{
    const uint16_t ids[4] = {MOE_ROUTING_NOT_RUN, MOE_ROUTING_NOT_RUN, MOE_ROUTING_NOT_RUN,
                             MOE_ROUTING_NOT_RUN};
    moe_routing_builder *builder = moe_routing_builder_new(2, 4, 2);
    add_sequence(builder, 0, ids, 1, 4);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "empty");
    moe_pick pick = moe_pick_all(moe_routing_get(file));
    moe_measure_config config = {.groups = MOE_MEASURE_ALL};
    g_autoptr(moe_stats) stats = moe_trace_measure(&pick, &config, NULL, NULL);
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        bool given = row->statistic == MOE_STAT_overlap_uniform ||
                     row->statistic == MOE_STAT_coverage_uniform;
        MOE_CHECK(given || (row->statistic == MOE_STAT_coverage_decode && row->value == 0),
                  "%s %s %g", moe_statistic_get(row->statistic)->name, row->parameter, row->value);
    }
}

/* ---- segments ---- */

static void
srp(void)
{
    /* by f: two segments with 1 of 4, one with 4 of 4 */
    const uint64_t counts[5] = {9, 2, 0, 0, 1};
    moe_srp got = moe_segment_srp(counts, 4);
    CU_ASSERT_EQUAL(got.alpha, 2);
    CHECK_NEAR(got.srp, 2 * 4 / (4.0 + 6));
    CHECK_NEAR(got.rho, 4 / 6.0);
    const uint64_t none[5] = {9};
    CU_ASSERT_TRUE(isnan(moe_segment_srp(none, 4).srp));
}

/* Expert 0 always, experts 1 and 2 in turn, six tokens: three segments of four, in each of which
 * f is 4, 2 and 2. */
static void
segments(void)
{
    const uint16_t ids[] = {0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2};
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 2);
    add_sequence(builder, 0, ids, 6, 2);
    add_sequence(builder, 1, ids, 3, 2); /* too short for any */
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    moe_pick pick = moe_pick_all(moe_routing_get(file));
    moe_segments *s = moe_segments_new(&pick, NULL, NULL);
    const uint32_t want[5] = {3, 0, 6, 0, 3};
    for (uint32_t f = 0; f <= 4; f++)
        MOE_CHECK(s->counts[f] == want[f], "f %u: %u, not %u", f, s->counts[f], want[f]);
    /* all on: 24 matched of 36 kept on and 24 used; only expert 0: 12 of 12 and 24 */
    moe_srp got = moe_segments_srp(s, 0, 0);
    CHECK_NEAR(got.srp, 2 * 24 / (36.0 + 24));
    CHECK_NEAR(got.rho, 1.5);
    CU_ASSERT_EQUAL(got.alpha, 1);
    CU_ASSERT_TRUE(isnan(moe_segments_srp(s, MOE_NONE, 1).srp));
    moe_segments_free(s);
}

/* ---- caches ---- */

static double
hit_rate(const moe_routing *routing, moe_curve_policy policy, uint32_t slots)
{
    moe_pick pick = moe_pick_all(routing);
    moe_curve_config config = {
        .policy = policy, .window = 2, .cold = true, .together = true, .first_fill_hit = true};
    moe_curve *curve = moe_curve_new(&pick, &config, NULL, NULL);
    double rate = moe_curve_hit_rate(curve, MOE_NONE, slots);
    moe_curve_free(curve);
    return rate;
}

/* Three experts in turn, k 1, nine tokens, two slots: LRU hits two first fills; Belady also every
 * second access after the third. */
static void
caches(void)
{
    const uint16_t ids[] = {0, 1, 2, 0, 1, 2, 0, 1, 2};
    moe_routing_builder *builder = moe_routing_builder_new(1, 4, 1);
    add_sequence(builder, 0, ids, 9, 1);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "hand");
    const moe_routing *routing = moe_routing_get(file);
    CHECK_NEAR(hit_rate(routing, MOE_CURVE_LRU, 2), 2 / 9.0);
    CHECK_NEAR(hit_rate(routing, MOE_CURVE_LRU, 3), 1);
    CHECK_NEAR(hit_rate(routing, MOE_CURVE_BELADY, 2), 5 / 9.0);
    CHECK_NEAR(hit_rate(routing, MOE_CURVE_BELADY, 1), 1 / 9.0);
    CHECK_NEAR(hit_rate(routing, MOE_CURVE_BELADY, 100), 1);
}

/* Equal values have an interval without width; the draw is the same every time. */
static void
bootstrap(void)
{
    static double values[MOE_BOOTSTRAP_RESAMPLES];
    for (uint32_t i = 0; i < MOE_BOOTSTRAP_RESAMPLES; i++)
        values[i] = 3;
    CHECK_NEAR(moe_bootstrap_basic(3, values).low, 3);
    for (uint32_t i = 0; i < MOE_BOOTSTRAP_RESAMPLES; i++)
        values[i] = (double)((i * 7) % 1000);
    moe_interval interval = moe_bootstrap_basic(500, values);
    CHECK_NEAR(interval.low, 1000 - 975);
    CHECK_NEAR(interval.high, 1000 - 25);
    moe_bootstrap *ten = moe_bootstrap_new(10), *again = moe_bootstrap_new(10);
    for (uint32_t r = 0, sum = 0; r < MOE_BOOTSTRAP_RESAMPLES; r++, sum = 0) {
        for (uint32_t i = 0; i < 10; i++)
            sum += moe_bootstrap_times(ten, r)[i];
        CU_ASSERT_EQUAL(sum, 10);
    }
    CU_ASSERT_EQUAL(memcmp(ten->times, again->times, 10000 * sizeof *ten->times), 0);
    /* quotients that are all alike */
    const uint64_t parts[10] = {1, 2, 3, 4, 5, 1, 2, 3, 4, 5};
    const uint64_t wholes[10] = {2, 4, 6, 8, 10, 2, 4, 6, 8, 10};
    CHECK_NEAR(moe_bootstrap_ratio(ten, parts, wholes).low, 0.5);
    CHECK_NEAR(moe_bootstrap_ratio(ten, parts, wholes).high, 0.5);
    moe_bootstrap_free(ten);
    moe_bootstrap_free(again);
}

MOE_TESTS({"spread", spread}, {"overlap", overlap}, {"overlap at the edge", overlap_at_the_edge},
          {"affinity", affinity}, {"reuse", reuse}, {"balance", balance}, {"gates", gates},
          {"gates with logits", gates_with_logits}, {"recall", recall}, {"thinned", thinned},
          {"nothing to measure", nothing_to_measure}, {"coverage", coverage}, {"srp", srp},
          {"segments", segments}, {"caches", caches}, {"bootstrap", bootstrap})
