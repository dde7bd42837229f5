/* What collectives take, by algorithm: closed forms over the busiest port of each level. Pure: no
 * state, no allocation, no libm but sqrt. Times are picoseconds, rounded up.
 *
 * A collective is a chain of phases, and a phase takes
 *     base + steps * step + messages * message +
 *     (wire + last) / rate + own / copy
 * wire: bytes through the busiest port in its busier direction, counted as below for n ranks and a
 *     vector of S bytes (all-gather: its result, reduce-scatter: its input, all-to-all: what a rank
 *     sends, its own part with it; as in NCCL's bus bandwidth):
 *         all-to-all, all-gather, reduce-scatter    S (n-1)/n
 *         all-reduce  ring                          2 S (n-1)/n   in 2 (n-1) steps
 *                     tree                          2 S           in 2 (m-1) + 2 log2(N) steps
 *                     in the switch                 S (1 + 1/n)   half of a ring's, for many ranks
 *                     direct, in one shot           S (n-1)
 *         all-to-all by a matrix: the largest sum of a row or column, of a node's where its ports
 *         are shared, of the pairs that cross a wire on a ring
 * own:  the S/n that stay on their rank, which the same kernel copies within its memory.
 * last: bytes are handed on by pieces, and the last one is written out after it came: S/depth for
 *     short transfers, `chunk` for long ones. (H100, 8 ranks, 2 to 16 MB: a quarter of the time.)
 * For kernels whose stores carry their flags (LL, LL128), own bytes go at the same rate and there
 * is no last piece.
 *
 * Two-dimensional all-to-all (Tutel, arXiv 2206.03382): ranks of a node exchange what is for equal
 * local ranks, then equal local ranks exchange between nodes: (m-1) + (N-1) messages instead of
 * n-1, of m times the size, for two copies that align them and S more bytes within the node.
 *
 * `auto` is what NCCL would take: the algorithm and protocol that its own estimates (tuning.cc:
 * fixed latencies, 80 % of the nominal bandwidth) make the cheapest, then timed with the level's
 * measured numbers. Its jumps, such as 20 to 38 us from 1 to 2 MB on two A100, come from that. */
#ifndef MOE_HW_COLLECTIVE_H
#define MOE_HW_COLLECTIVE_H

#include "hw/network.h"
#include "sim/base/units.h"

typedef enum moe_collective_op {
    MOE_ALL_TO_ALL,
    MOE_ALL_GATHER,
    MOE_REDUCE_SCATTER,
    MOE_ALL_REDUCE,
    MOE_COLLECTIVE_OPS
} moe_collective_op;

/* Ranks 0 to ranks-1, in the order of the levels: ranks of a node are neighbours. */
typedef struct moe_collective {
    const moe_network *network;
    int op; /* moe_collective_op */
    int64_t ranks;
    double bytes;         /* S; all-to-all by a matrix ignores it */
    const double *matrix; /* all-to-all: bytes from i to j at [i * ranks + j]; NULL: S / ranks */
    const moe_engine *engine; /* of the algorithm `engine`; NULL: the network's first */
    bool addable;             /* elements of a type that switches can add (not 8-bit integers) */
} moe_collective;

typedef struct moe_phase {
    const char *name;
    int level; /* whose port is the busiest one */
    int64_t base_ps, step_ps, message_ps;
    double steps, messages;
    double wire_bytes, last_bytes, bytes_per_s;
    double own_bytes, own_bytes_per_s;
    int64_t time_ps;
} moe_phase;

#define MOE_MAX_PHASES 6

typedef struct moe_collective_algorithm moe_collective_algorithm;

typedef struct moe_collective_cost {
    int64_t total_ps;
    const moe_collective_algorithm *algorithm; /* that was taken */
    int n_phases;
    moe_phase phases[MOE_MAX_PHASES];
} moe_collective_cost;

/* One row of the table of algorithms. `cost` fills in the phases, without their times; false: the
 * network lacks what it needs, or it does not know the operation. */
struct moe_collective_algorithm {
    const char *name, *help;
    unsigned ops; /* 1 << moe_collective_op */
    bool (*cost)(const moe_collective *call, moe_collective_cost *cost);
};

/* The table; the first row is `auto`. */
extern const moe_collective_algorithm moe_collective_algorithms[];
extern const size_t moe_collective_n_algorithms;
const moe_collective_algorithm *moe_collective_find(const char *name); /* NULL: none */

/* False where it cannot be done, such as by more ranks than there are: total_ps is 0 then. One rank
 * takes no time. */
bool moe_collective_time(const moe_collective *call, const moe_collective_algorithm *algorithm,
                         moe_collective_cost *cost);
/* No network moves the bytes faster: the wire term of the longest phase alone. `nominal`: the
 * call's network, at the peaks of its ports; NULL: at the rates of the phases. */
int64_t moe_collective_floor(const moe_collective_cost *cost, const moe_network *nominal);
/* "ring, simple: 16.3 us + 14 x 1.7 us + (470 MB + 7.5 MB) / 356 GB/s + 67 MB / 1.05 TB/s = …" */
void moe_collective_explain(const moe_collective_cost *cost, GString *out);
const char *moe_collective_op_name(int op); /* "all-to-all" */

#endif
