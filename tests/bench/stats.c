/* What each statistic costs: ns per access beside a loop that only reads the ids.
 *
 *     bench_stats [TRACE [SEQUENCES]]     by default a generated trace of the shape of gpt-oss-20b
 */
#include "traces/generate.h"
#include "traces/stats/affinity.h"
#include "traces/stats/balance.h"
#include "traces/stats/coverage.h"
#include "traces/stats/curve.h"
#include "traces/stats/overlap.h"
#include "traces/stats/reuse.h"
#include "traces/stats/segment.h"

#include <stdio.h>
#include <stdlib.h>

static moe_routing_file *
open_trace(const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_generate_config config = moe_generate_sample();
    config.layers = 24;
    config.experts = 32;
    config.top_k = 4;
    config.sequences = 128;
    config.prompt = 64;
    config.output = 192;
    config.lookahead = 0;
    moe_routing_file *file =
        path ? moe_routing_open(path, diag, NULL)
             : moe_routing_builder_finish(moe_generate(&config, (moe_loc){0}, diag), "generated");
    if (!file)
        fprintf(stderr, "%s cannot be opened\n", path);
    return file;
}

static double accesses;

static void
print(const char *what, gint64 begun)
{
    double us = (double)(g_get_monotonic_time() - begun);
    printf("  %-24s%8.2f ns/access\n", what, us * 1e3 / accesses);
}

/* The bare loop: every id is read once, as it lies in the file. */
static void
bare(const moe_pick *pick)
{
    const moe_routing *r = pick->routing;
    uint64_t sum = 0, rows = moe_pick_tokens(pick) * r->n_layers;
    gint64 begun = g_get_monotonic_time();
    for (uint64_t i = 0; i < rows * r->k; i++)
        sum += r->id_bytes == 1 ? ((const uint8_t *)r->ids)[i] : ((const uint16_t *)r->ids)[i];
    print(sum ? "bare loop" : "bare loop (empty)", begun);
}

static void
sweep(const moe_pick *pick, const char *what, void (*add)(void *, const moe_block *), void *state)
{
    moe_block_user user = {add, state};
    gint64 begun = g_get_monotonic_time();
    moe_sweep(pick, &user, add ? 1 : 0, NULL, NULL);
    print(what, begun);
}

static void
sweeps(const moe_pick *pick)
{
    moe_popularity *popularity = moe_popularity_new(pick->routing);
    moe_overlap *overlap = moe_overlap_new(pick->routing);
    moe_reuse *reuse = moe_reuse_new(pick->routing);
    moe_affinity *affinity = moe_affinity_new(pick->routing);
    sweep(pick, "sweep alone", NULL, NULL);
    sweep(pick, "sweep + popularity", moe_popularity_add, popularity);
    sweep(pick, "sweep + overlap", moe_overlap_add, overlap);
    sweep(pick, "sweep + reuse", moe_reuse_add, reuse);
    if (affinity)
        sweep(pick, "sweep + affinity", moe_affinity_add, affinity);
    moe_popularity_free(popularity);
    moe_overlap_free(overlap);
    moe_reuse_free(reuse);
    moe_affinity_free(affinity);
}

static void
batches(const moe_pick *pick)
{
    gint64 begun = g_get_monotonic_time();
    moe_coverage_free(moe_coverage_new(pick, MOE_DECODE, NULL, NULL));
    print("coverage, decode", begun);
    begun = g_get_monotonic_time();
    moe_balance_free(moe_balance_new(pick, MOE_BALANCE_DECODE, 64, NULL, NULL, NULL));
    print("balance, decode", begun);
    begun = g_get_monotonic_time();
    moe_segments_free(moe_segments_new(pick, NULL, NULL));
    print("segments, four sizes", begun);
}

static void
curves(const moe_pick *pick)
{
    for (int at = 0; at < 2 * MOE_CURVE_POLICIES; at++) {
        moe_curve_config config = {.policy = (moe_curve_policy)(at / 2),
                                   .window = 16,
                                   .per_layer = at % 2,
                                   .together = true,
                                   .cold = true,
                                   .first_fill_hit = true};
        g_autofree char *what = g_strdup_printf("%s, %s", moe_curve_policy_name(config.policy),
                                                at % 2 ? "layer caches" : "one cache");
        gint64 begun = g_get_monotonic_time();
        moe_curve_free(moe_curve_new(pick, &config, NULL, NULL));
        print(what, begun);
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(moe_routing_file) file = open_trace(argc > 1 ? argv[1] : NULL);
    if (!file)
        return 1;
    const moe_routing *r = moe_routing_get(file);
    moe_pick pick = moe_pick_all(r);
    if (argc > 2)
        pick.n = MIN(pick.n, (uint32_t)strtoul(argv[2], NULL, 10));
    accesses = (double)moe_pick_tokens(&pick) * r->n_layers * r->k;
    printf("%.0f accesses, %u layers, %u experts, top-%u\n", accesses, r->n_layers, r->n_experts,
           r->k);
    bare(&pick);
    sweeps(&pick);
    batches(&pick);
    curves(&pick);
    return 0;
}
