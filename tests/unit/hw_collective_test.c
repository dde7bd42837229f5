/* Closed forms of collectives, by hand. */
#include "hw/collective.h"
#include "hw/exchange.h"
#include "tests/test.h"

#include <math.h>

/* Eight ranks to a node at 100 GB/s, a NIC of 10 GB/s for each of them. */
static moe_level levels[2];
static moe_engine engine = {"engine-1", 1000000, 100000, 0, 8 << 20, 512 << 10, 256 << 10, 50e9, 0};
static moe_network network = {2, 1, levels, &engine};

static void
set_up(void)
{
    levels[0] = (moe_level){
        .name = "nvlink",
        .ranks = 8,
        .peak_bytes_per_s = 100e9,
        .bytes_per_s = 100e9,
        .ll = {1000000, 1000000, 30e9},
        .ll128 = {2000000, 2000000, 90e9},
        .simple = {5000000, 3000000, 0},
        .nvls = {5000000, 1000000, 100e9},
        .pairs = {.bulk_ps = 4000000},
        .message_ps = 100000,
    };
    levels[1] = (moe_level){
        .name = "ib",
        .ranks = 64,
        .peak_bytes_per_s = 10e9,
        .bytes_per_s = 10e9,
        .latency_ps = 2000000,
        .message_ps = 1000000,
        .ll = {0, 3000000, 5e9},
        .simple = {5000000, 14000000, 0},
    };
}

static moe_collective_cost
run(const char *algorithm, int op, int64_t ranks, double bytes, const double *matrix)
{
    moe_collective call = {&network, op, ranks, bytes, matrix, NULL, true};
    moe_collective_cost cost;
    set_up();
    MOE_CHECK(moe_collective_time(&call, moe_collective_find(algorithm), &cost), "%s", algorithm);
    return cost;
}

/* Bytes, and time in microseconds. */
static void
is(const char *what, const moe_collective_cost *cost, double bytes, double us)
{
    double got = 0;
    for (int i = 0; i < cost->n_phases; i++)
        got += cost->phases[i].wire_bytes;
    MOE_CHECK(fabs(got / bytes - 1) < 1e-12, "%s: %.0f bytes, not %.0f", what, got, bytes);
    MOE_CHECK(fabs((double)cost->total_ps / 1e6 - us) < 1e-3, "%s: %.4f us, not %.4f", what,
              (double)cost->total_ps / 1e6, us);
}

static void
rings(void)
{
    moe_collective_cost c = run("ring", MOE_ALL_REDUCE, 8, 80e6, NULL);
    is("all-reduce", &c, 140e6, 5 + 14 * 3 + 1400); /* 2 (n-1)/n, 2 (n-1) steps */
    c = run("ring", MOE_ALL_GATHER, 8, 80e6, NULL);
    is("all-gather", &c, 70e6, 5 + 7 * 3 + 700);
    c = run("ring", MOE_REDUCE_SCATTER, 4, 80e6, NULL);
    is("reduce-scatter", &c, 60e6, 5 + 3 * 3 + 600);
    c = run("ring-ll", MOE_ALL_GATHER, 2, 60e6, NULL);
    is("with flags", &c, 30e6, 1 + 1 + 2000); /* own bytes at the same rate */

    /* Two nodes: each ring passes each node once, so eight NICs together carry it. */
    c = run("ring", MOE_ALL_REDUCE, 16, 160e6, NULL);
    is("two nodes", &c, 300e6, 5 + 28 * 3 + 2 * 14 + 300e6 / 80e9 * 1e6);
    CU_ASSERT_EQUAL(c.phases[0].level, 1);
    CU_ASSERT_EQUAL(run("ring", MOE_ALL_REDUCE, 1, 1e6, NULL).total_ps, 0);
}

static void
others(void)
{
    moe_collective_cost c = run("nvls", MOE_ALL_REDUCE, 8, 80e6, NULL);
    is("nvls", &c, 90e6, 5 + 8 + 900);
    /* the switch halves a ring's bytes as ranks grow */
    double ring = 2.0 * 71 / 72, nvls = 1 + 1.0 / 72;
    MOE_CHECK(fabs(nvls / ring - 0.5) < 0.02, "%g", nvls / ring);

    c = run("tree", MOE_ALL_REDUCE, 8, 80e6, NULL);
    is("tree", &c, 160e6, 5 + 14 * 3 + 1600);
    c = run("tree", MOE_ALL_REDUCE, 32, 80e6, NULL); /* 4 nodes: 2 log2(4) steps between */
    is("tree of nodes", &c, 160e6, 5 + 14 * 3 + 4 * 14 + 2000);

    c = run("engine", MOE_ALL_REDUCE, 8, 80e3, NULL);
    is("one shot", &c, 560e3, 1 + 11.2);
    c = run("engine", MOE_ALL_REDUCE, 8, 800e3, NULL);
    is("two shots", &c, 1400e3, 1 + 0.8 + 28);
    c = run("engine", MOE_ALL_REDUCE, 8, 80e6, NULL);
    MOE_CHECK(c.algorithm != moe_collective_find("engine"), "%s", c.algorithm->name);

    c = run("hierarchical", MOE_ALL_REDUCE, 16, 160e6, NULL);
    CU_ASSERT_EQUAL(c.n_phases, 3);
    is("hierarchical", &c, 140e6 + 20e6 + 140e6, 2 * (5 + 21 + 1400) + 5 + 2 * 14 + 2000);
}

static void
to_all(void)
{
    moe_collective_cost c = run("direct", MOE_ALL_TO_ALL, 8, 80e6, NULL);
    is("star", &c, 70e6, 4 + 7 * 0.1 + 700);
    CU_ASSERT_EQUAL(c.phases[0].messages, 7);

    /* 64 ranks: the NIC carries 56 of 64 shares, in 56 messages */
    c = run("direct", MOE_ALL_TO_ALL, 64, 64e6, NULL);
    CU_ASSERT_EQUAL(c.phases[0].messages, 56);
    is("nodes", &c, 56e6, 4 + 2 + 56 + 5600);

    /* two-dimensional: 7 + 7 messages; the NIC's bytes stay, the node's grow to 7/8 of all */
    c = run("2dh", MOE_ALL_TO_ALL, 64, 64e6, NULL);
    CU_ASSERT_EQUAL(c.n_phases, 2);
    CU_ASSERT_EQUAL(c.phases[0].messages, 7);
    CU_ASSERT_EQUAL(c.phases[1].messages, 7);
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 56e6);
    CU_ASSERT_EQUAL(c.phases[1].wire_bytes, 56e6);
    is("2dh", &c, 112e6, 4 + 0.7 + 560 + 4 + 2 + 7 + 5600);

    /* fewer messages win where they are short: Tutel's crossover */
    int64_t small = run("direct", MOE_ALL_TO_ALL, 64, 64e3, NULL).total_ps;
    int64_t two = run("2dh", MOE_ALL_TO_ALL, 64, 64e3, NULL).total_ps;
    MOE_CHECK(two < small, "%lld, %lld", (long long)two, (long long)small);
}

static void
matrices(void)
{
    double m[64] = {0}, sum = 0;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            m[i * 8 + j] = 1e6;
    moe_collective_cost even = run("direct", MOE_ALL_TO_ALL, 8, 8e6, NULL);
    moe_collective_cost same = run("direct", MOE_ALL_TO_ALL, 8, 0, m);
    CU_ASSERT_EQUAL(even.total_ps, same.total_ps);

    for (int i = 0; i < 8; i++)
        m[i * 8 + 3] = 5e6; /* everybody likes rank 3 */
    for (int i = 0; i < 8; i++)
        sum += i == 3 ? 0 : m[i * 8 + 3];
    same = run("direct", MOE_ALL_TO_ALL, 8, 0, m);
    CU_ASSERT_EQUAL(same.phases[0].wire_bytes, sum);

    /* a ring of 4: to the opposite rank half goes each way; its wire has half of the port */
    set_up();
    levels[0].kind = MOE_LEVEL_RING;
    moe_collective call = {&network, MOE_ALL_TO_ALL, 4, 4e6, NULL, NULL, true};
    moe_collective_cost c;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    /* each wire: its neighbours' 1 MB, and halves of 2 opposite pairs that pass it */
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 2 * 2e6);
    set_up();
    levels[0].kind = MOE_LEVEL_MESH; /* 7 wires for 7 peers: one pair's rate is a seventh */
    call.ranks = 2;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 7 * 2e6);
}

/* Bytes for another rail go to the rank on it first, by NVLink. */
static void
rails(void)
{
    moe_collective call = {&network, MOE_ALL_TO_ALL, 16, 0, NULL, NULL, true};
    moe_collective_cost c;
    double m[256] = {0};

    set_up();
    m[0 * 16 + 8 + 5] = 1e6; /* rank 0 to rank 5 of the other node: by rank 5's NIC */
    m[5 * 16 + 8 + 5] = 2e6;
    call.matrix = m;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 3e6); /* the receiver's NIC */
    m[0 * 16 + 8 + 5] = 0;
    m[0 * 16 + 8 + 6] = 1e6;
    m[6 * 16 + 8 + 7] = 1e6;
    levels[1].rails = true;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 2e6);
    m[7 * 16 + 8 + 6] = 2e6; /* with rank 0's: 3 MB over rank 6's NIC */
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 3e6);

    set_up(); /* two NICs that a node's ranks share */
    levels[1].ports = 2;
    call.matrix = NULL;
    call.bytes = 16e6;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find("direct"), &c));
    CU_ASSERT_EQUAL(c.phases[0].wire_bytes, 8 * 8e6 / 2);
}

static void
choice(void)
{
    /* short: flags; long: the plain ring, or the switch where it adds */
    moe_collective_cost c = run("auto", MOE_ALL_REDUCE, 8, 1024, NULL);
    CU_ASSERT_STRING_EQUAL(c.algorithm->name, "ring-ll");
    c = run("auto", MOE_ALL_REDUCE, 8, 1e9, NULL);
    CU_ASSERT_STRING_EQUAL(c.algorithm->name, "nvls");
    c = run("auto", MOE_ALL_GATHER, 8, 1e9, NULL);
    CU_ASSERT_STRING_EQUAL(c.algorithm->name, "ring");
    c = run("auto", MOE_ALL_TO_ALL, 8, 1e9, NULL);
    CU_ASSERT_STRING_EQUAL(c.algorithm->name, "direct");

    g_autoptr(GString) text = g_string_new(NULL);
    c = run("ring", MOE_ALL_REDUCE, 8, 80e6, NULL);
    moe_collective_explain(&c, text);
    CU_ASSERT_STRING_EQUAL(text->str,
                           "ring, ring: 5.00 us + 14 x 3.00 us + 140 MB / 100 GB/s = 1.45 ms");

    /* the wire alone, at the rate that is achieved and at twice of that; flags are none of it */
    int64_t at_rate = moe_collective_floor(&c, NULL);
    levels[0].peak_bytes_per_s *= 2;
    CU_ASSERT_EQUAL(at_rate, 1400000000);
    CU_ASSERT_EQUAL(moe_collective_floor(&c, &network), at_rate / 2);
    c = run("ring-ll", MOE_ALL_REDUCE, 8, 80e6, NULL);
    CU_ASSERT_TRUE(moe_collective_floor(&c, NULL) > at_rate);
    levels[0].peak_bytes_per_s *= 2;
    CU_ASSERT_EQUAL(moe_collective_floor(&c, &network), at_rate / 2);
}

static void
versions(void)
{
    static const moe_engine engines[] = {{.name = "vllm-0.19"},
                                         {.name = "vllm-0.9"},
                                         {.name = "sglang-0.5.14"},
                                         {.name = "sglang-0.5.9"}};
    static const moe_network some = {.n_engines = 4, .engines = engines}, none = {0};
    static const struct {
        const char *name, *version;
        int is;
    } cases_of[] = {
        {"vllm", "0.19.0", 0},
        {"vllm", "0.24.0", 0},
        {"vllm", "0.14.0", 1},
        {"vllm", "0.8.1", 1},
        {"vllm", "", 1},
        {"sglang", "0.5.10", 3},
        {"sglang", "0.5.14", 2},
        {"sglang", "0.6.0rc1", 2},
        {"sglang", "0.5.6.post2", 3},
        {"trtllm", "1.3.0rc20", 0},
        {"", "", 0},
    };

    for (size_t i = 0; i < MOE_COUNT(cases_of); i++) {
        const moe_engine *e = moe_network_engine(&some, cases_of[i].name, cases_of[i].version);
        MOE_CHECK(e == &engines[cases_of[i].is], "%s %s: %s", cases_of[i].name, cases_of[i].version,
                  e->name);
    }
    CU_ASSERT_PTR_NULL(moe_network_engine(&none, "vllm", "0.19"));
}

/* ---- tokens ---- */

static void
spreads(void)
{
    /* 8 of 256 experts on 8 ranks: 8 (1 - C(224,8)/C(256,8)) */
    moe_spread s = moe_spread_uniform(256, 8, 8, 8, 0);
    double none = 1;
    for (int i = 0; i < 8; i++)
        none *= (224.0 - i) / (256.0 - i);
    MOE_CHECK(fabs(s.copies - 8 * (1 - none)) < 1e-12, "%g", s.copies);
    MOE_CHECK(fabs(s.remote_ranks - 7 * (1 - none)) < 1e-12, "%g", s.remote_ranks);
    CU_ASSERT_EQUAL(s.remote_nodes, 0);

    /* one expert to a token: one rank; 8 nodes of which 4 may be reached */
    s = moe_spread_uniform(64, 1, 64, 8, 4);
    MOE_CHECK(fabs(s.copies - 1) < 1e-12, "%g", s.copies);
    MOE_CHECK(fabs(s.remote_nodes - 7.0 / 8) < 1e-12, "%g", s.remote_nodes);
    s = moe_spread_uniform(256, 8, 64, 8, 4);
    CU_ASSERT_TRUE(s.remote_nodes < 4);

    /* fewer experts than ranks: each copy is on its own */
    s = moe_spread_uniform(4, 2, 8, 8, 0);
    MOE_CHECK(fabs(s.copies - 2) < 1e-12, "%g", s.copies);
    s = moe_spread_uniform(8, 8, 8, 8, 0);
    MOE_CHECK(fabs(s.copies - 8) < 1e-12, "%g", s.copies);

    /* by hand: ranks {0,1}, {1}, {2,3} of two ranks to a node, seen from rank 1 */
    static const uint32_t ids[] = {0, 3, 2, 3, 5, 6}, rank[] = {0, 0, 1, 1, 2, 2, 3, 3};
    double counts[4];
    s = moe_spread_count(ids, 3, 2, rank, 4, 2, 1, counts);
    MOE_CHECK(fabs(s.copies - 5.0 / 3) < 1e-12, "%g", s.copies);
    MOE_CHECK(fabs(s.remote_ranks - 3.0 / 3) < 1e-12, "%g", s.remote_ranks);
    MOE_CHECK(fabs(s.remote_nodes - 1.0 / 3) < 1e-12, "%g", s.remote_nodes);
    CU_ASSERT_EQUAL(counts[0], 1);
    CU_ASSERT_EQUAL(counts[1], 2);
    CU_ASSERT_EQUAL(counts[2], 1);
    CU_ASSERT_EQUAL(counts[3], 1);
}

static void
exchanges(void)
{
    moe_exchange_cost c;
    set_up();
    levels[0].dispatch = (moe_token_kernel){.base_ps = 10000000, .bytes_per_s = 100e9};
    levels[0].low_combine =
        (moe_token_kernel){.base_ps = 1000000, .token_ps = 1000000, .bytes_per_s = 100e9};
    moe_exchange call = {.network = &network,
                         .ranks = 8,
                         .experts = 64,
                         .top_k = 4,
                         .tokens = 1000,
                         .hidden = 1024,
                         .bits = 8,
                         .sms = 16,
                         .spread = {4, 3, 0, 1}};
    /* 1024 elements with 8 scales of 4 bytes; the port alone limits it */
    CU_ASSERT_TRUE(moe_exchange_time(&call, &c));
    CU_ASSERT_EQUAL(c.payload_bytes, 1056);
    CU_ASSERT_EQUAL(c.near_bytes, 3000 * 1056.0);
    MOE_CHECK(fabs((double)c.total_ps / 1e6 - (10 + 3168e3 / 100e3)) < 1e-3, "%lld",
              (long long)c.total_ps);

    /* 16 ranks: to each other node once, by a NIC of 10 GB/s */
    call.ranks = 16;
    call.spread = (moe_spread){4, 3, 0.75, 1};
    CU_ASSERT_TRUE(moe_exchange_time(&call, &c));
    CU_ASSERT_EQUAL(c.far_bytes, 750 * 1056.0);
    CU_ASSERT_EQUAL(c.far_bytes_per_s, 10e9);

    /* low latency: all copies apart; 130 experts on 128 SMs work in two rounds on 65 of them */
    call = (moe_exchange){.network = &network,
                          .mode = MOE_EXCHANGE_LOW_LATENCY,
                          .combine = true,
                          .ranks = 8,
                          .experts = 130,
                          .top_k = 4,
                          .tokens = 650,
                          .hidden = 1024,
                          .bits = 16,
                          .sms = 128,
                          .spread = {.busiest = 1}};
    CU_ASSERT_TRUE(moe_exchange_time(&call, &c));
    CU_ASSERT_EQUAL(c.near_bytes, 650 * 4 * 2048.0);
    MOE_CHECK(fabs((double)c.total_ps / 1e6 - (1 + 10 + 5324800 / 100e3)) < 1e-3, "%lld",
              (long long)c.total_ps);
    levels[0].low_combine.bytes_per_s = 0;
    CU_ASSERT_FALSE(moe_exchange_time(&call, &c));
}

MOE_TESTS({"rings", rings}, {"trees, switches, engines, hierarchies", others},
          {"all-to-all", to_all}, {"matrices, rings and meshes", matrices},
          {"rails and NICs", rails}, {"NCCL's choice", choice}, {"versions of engines", versions},
          {"distinct ranks and nodes", spreads}, {"exchanges of tokens", exchanges})
