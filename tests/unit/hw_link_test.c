/* Copies over links: closed forms, what an unset number changes, and what never gets slower. */
#include "hw/cost.h"
#include "sim/base/random.h"
#include "sim/base/units.h"
#include "tests/test.h"

#include <math.h>

static moe_hw_link
drive(void)
{
    return (moe_hw_link){.name = "read",
                         .bytes_per_s = 4e9,
                         .channel_bytes_per_s = 1e9,
                         .latency_ps = 100 * 1000000ll,
                         .pageable_latency_ps = 100 * 1000000ll,
                         .queued_ps = 100 * 1000000ll,
                         .request_bytes = 100000,
                         .depth = 4,
                         .duplex = 0.5};
}

static double
us(moe_cost cost)
{
    return (double)cost.total_ps / 1e6;
}

/* Requests of 100 kB take 100 us + 100 us each: four at a time. */
static void
requests(void)
{
    static const struct {
        double bytes;
        int64_t depth;
        double channel, iops, us;
    } cases[] = {
        {100000, 4, 1e9, 0, 200},      /* one */
        {50000, 4, 1e9, 0, 150},       /* less than one */
        {400000, 4, 1e9, 0, 200},      /* one round, the bus would take 100 + 100 */
        {400001, 4, 1e9, 0, 400},      /* and one more */
        {4000000, 4, 1e9, 0, 2000},    /* ten rounds */
        {4000000, 1, 1e9, 0, 8000},    /* one by one */
        {4000000, 8, 1e9, 0, 1100},    /* the bus: 100 + 1000 */
        {4000000, 40, 1e9, 0, 1100},   /* the same */
        {4000000, 40, 1e9, 1e4, 4100}, /* 39 steps of 100 us, and the last */
        {4000000, 4, 0, 0, 1250},      /* a channel as fast as the bus: 10 * (100 + 25) */
        {4000000, 4, 9e9, 0, 1250},    /* never faster */
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_hw_link link = drive();
        link.depth = cases[i].depth;
        link.channel_bytes_per_s = cases[i].channel;
        link.iops = cases[i].iops;
        double got = us(moe_cost_copy(&link, cases[i].bytes, false));
        MOE_CHECK(fabs(got - cases[i].us) < 1e-5, "%zu: %.7f us, not %g", i, got, cases[i].us);
    }
    moe_hw_link link = drive();
    CU_ASSERT_EQUAL(us(moe_cost_copy(&link, 0, false)), 100);
    g_autoptr(GString) text = g_string_new(NULL);
    moe_cost cost = moe_cost_copy(&link, 4e6, false);
    moe_cost_explain_copy(&link, &cost, text);
    MOE_CHECK(!strcmp(text->str, "40 requests of 97.7 KiB, 4 at a time: 1.00 ms + 4 MB / 4 GB/s = "
                                 "2.00 ms"),
              "%s", text->str);
}

/* Many requests: Little's law, bytes in flight = rate * time of one. */
static void
littles_law(void)
{
    for (int64_t depth = 1; depth <= 64; depth *= 2)
        for (double request = 4096; request < 2e7; request *= 4) {
            moe_hw_link link = drive();
            link.depth = depth;
            link.request_bytes = (int64_t)request;
            link.iops = 300e3;
            double bytes = request * 64 * 10000, one = 100e-6 + request / 1e9;
            double rate = fmin(4e9, fmin((double)depth * request / one, 300e3 * request));
            double got = bytes / (us(moe_cost_copy(&link, bytes, false)) / 1e6);
            MOE_CHECK(fabs(got / rate - 1) < 0.002, "%d of %g: %g, not %g", (int)depth, request,
                      got, rate);
        }
}

/* What no clock holds ends where the clock does, by any of the terms and by all of them. */
static void
longest(void)
{
    moe_hw_link link = {.bytes_per_s = 1, .latency_ps = 1000000000000, .iops = 1};
    link.request_bytes = link.depth = 1;
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 1e18, false).total_ps, (int64_t)1 << 62);
    CU_ASSERT_EQUAL(moe_cost_copies(&link, 1e18, 1e18, false).total_ps, (int64_t)1 << 62);
    link.request_bytes = 0;
    CU_ASSERT_EQUAL(moe_cost_copies(&link, 1, 1e18, false).total_ps, (int64_t)1 << 62);
}

/* A copy behind another: per_copy instead of the latency, and only where it is less. */
static void
queued(void)
{
    moe_hw_link link = {.bytes_per_s = 50e9,
                        .latency_ps = 11400000,
                        .pageable_latency_ps = 50000000,
                        .pageable_bytes_per_s = 10e9,
                        .queued_ps = 1400000};
    CU_ASSERT_EQUAL(us(moe_cost_copy(&link, 1e6, false)), 31.4);
    CU_ASSERT_EQUAL(us(moe_cost_queued_copy(&link, 1e6, false)), 21.4);
    CU_ASSERT_EQUAL(us(moe_cost_queued_copy(&link, 1e6, true)), 101.4);
    MOE_CHECK(fabs(us(moe_cost_copies(&link, 1e6, 100, false)) - (31.4 + 99 * 21.4)) < 1e-5, "%g",
              us(moe_cost_copies(&link, 1e6, 100, false)));
    CU_ASSERT_EQUAL(us(moe_cost_copies(&link, 1e6, 1, false)), 31.4);
    CU_ASSERT_EQUAL(us(moe_cost_copies(&link, 1e6, 0, false)), 0);
    /* one batch of the same bytes is one copy */
    CU_ASSERT(us(moe_cost_copy(&link, 1e8, false)) < us(moe_cost_copies(&link, 1e6, 100, false)));
    link.queued_ps = 0;
    CU_ASSERT_EQUAL(us(moe_cost_queued_copy(&link, 1e6, false)), 31.4);
    link.queued_ps = 20000000;
    CU_ASSERT_EQUAL(us(moe_cost_queued_copy(&link, 1e6, false)), 31.4);
}

/* Without the numbers of requests a copy takes what it took: to the picosecond. */
static void
unset_is_plain(void)
{
    moe_stream random = moe_stream_new(1, "links", 0);
    for (int i = 0; i < 10000; i++) {
        moe_hw_link link = {.bytes_per_s = 1e6 + 1e11 * moe_stream_unit(&random),
                            .latency_ps = (int64_t)moe_stream_below(&random, 1000000000),
                            .depth = 1};
        double bytes = (double)moe_stream_below(&random, 1ull << (i % 40));
        link.channel_bytes_per_s = i % 2 ? link.bytes_per_s : 0;
        double plain = bytes / link.bytes_per_s * 1e12;
        moe_cost cost = moe_cost_copy(&link, bytes, false);
        MOE_CHECK(cost.launch_ps == link.latency_ps &&
                      cost.total_ps == link.latency_ps + (int64_t)ceil(plain),
                  "%d: %lld", i, (long long)cost.total_ps);
    }
}

static moe_hw_link
random_link(moe_stream *random)
{
    double rate = 1e8 * exp(6 * moe_stream_unit(random));
    return (moe_hw_link){
        .bytes_per_s = rate,
        .channel_bytes_per_s = rate * (0.1 + 0.9 * moe_stream_unit(random)),
        .latency_ps = (int64_t)moe_stream_below(random, 1000000000),
        .request_bytes = 4096ll << moe_stream_below(random, 12),
        .depth = 1 + (int64_t)moe_stream_below(random, 64),
        .iops = moe_stream_below(random, 2) ? 1000 * exp(6 * moe_stream_unit(random)) : 0,
    };
}

/* More of what makes a link good never makes it slower, nor more bytes faster, but for rounding. */
static void
never_slower(void)
{
    moe_stream random = moe_stream_new(2, "links", 0);
    for (int i = 0; i < 20000; i++) {
        moe_hw_link link = random_link(&random), better[5];
        double bytes = exp(24 * moe_stream_unit(&random));
        int64_t time = moe_cost_copy(&link, bytes, false).total_ps;
        for (size_t j = 0; j < MOE_COUNT(better); j++)
            better[j] = link;
        better[0].bytes_per_s *= 2;
        better[1].depth++;
        better[2].channel_bytes_per_s *= 2;
        better[3].iops *= 2;
        better[4].latency_ps /= 2;
        for (size_t j = 0; j < MOE_COUNT(better); j++) {
            int64_t other = moe_cost_copy(&better[j], bytes, false).total_ps;
            MOE_CHECK(other <= time + 2, "%d, %zu: %lld, was %lld", i, j, (long long)other,
                      (long long)time);
        }
        int64_t more = moe_cost_copy(&link, bytes * 1.1, false).total_ps;
        MOE_CHECK(more + 2 >= time, "%d: more bytes, %lld, was %lld", i, (long long)more,
                  (long long)time);
        double least = bytes / link.bytes_per_s * 1e12 + (double)link.latency_ps;
        MOE_CHECK((double)time >= least * (1 - 1e-12), "%d: beats its rate", i);
    }
}

MOE_TESTS({"longest", longest}, {"requests", requests}, {"Little's law", littles_law},
          {"copies in a queue", queued}, {"unset numbers change nothing", unset_is_plain},
          {"never slower", never_slower})
