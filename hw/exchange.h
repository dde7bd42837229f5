/* Dispatch and combine of experts' tokens by one-sided kernels (DeepEP): what they take on one rank
 * of a group. Pure, no allocation, no libm but sqrt. Picoseconds, rounded up.
 *
 * T tokens of h elements leave each rank, b bytes each: 8-bit payloads carry a 4-byte scale for
 * each 128 elements. On average a token has copies for c ranks, of which r are others, and of
 * whose nodes m are others; it goes to each node once over the NICs, and from there to its ranks
 * by NVLink. With n SMs the kernels for throughput ("normal") take
 *     base + h * hidden + (nodes - 1) * step + (sms^4 + near^4 + far^4)^(1/4) + first
 *     sms  = T / n * work,  work = (token + extra * b / sm + (c + m) * (copy + b / sm)) / share
 *     near = T * r * b / port,   far = T * m * b / NIC share of a rank
 *     first = min(T / n, chunk) * work: until the first hand is through
 * (the fourth-power mean is the largest of the three with a soft corner; share = 1 within a node).
 * Those for latency send each token's copies for its k experts apart, straight to their place among
 * W ranks:
 *     base + h * hidden + step + E * expert + T / working * token + (near^4 + far^4)^(1/4)
 *     near = T * k * b * (local / W) / port,   far = T * k * b * (W - local) / W / NIC share
 * where `working` = ceil(E / ceil(E / SMs)) SMs: each has one or more experts, and a device with
 * few experts looks at its tokens with few SMs. `step` is there only between nodes.
 *
 * Basis: H100 tables of ai-dynamo/aiconfigurator@095f58a; NIC shares come out at 48.6 GB/s of a
 * 50 GB/s port, as others measure them. */
#ifndef MOE_HW_EXCHANGE_H
#define MOE_HW_EXCHANGE_H

#include "hw/network.h"
#include "sim/base/units.h"

typedef enum moe_exchange_mode { MOE_EXCHANGE_NORMAL, MOE_EXCHANGE_LOW_LATENCY } moe_exchange_mode;

/* What the routing makes of a rank's tokens, on average per token. */
typedef struct moe_spread {
    double copies;       /* distinct ranks, its own among them */
    double remote_ranks; /* of them, others */
    double remote_nodes; /* distinct nodes but its own */
    double busiest;      /* what the busiest receiver gets, over the average one; >= 1 */
} moe_spread;

typedef struct moe_exchange {
    const moe_network *network;
    int mode; /* moe_exchange_mode */
    bool combine;
    int64_t ranks, experts, top_k;
    double tokens, hidden, bits; /* of an element on the wire: 8 with scales, 16 without */
    int64_t sms;                 /* that the kernel uses; low latency: that the device has */
    moe_spread spread;
} moe_exchange;

typedef struct moe_exchange_cost {
    int64_t total_ps, fixed_ps;
    double sm_s, near_s, far_s, first_s; /* the terms above, in seconds */
    double near_bytes, near_bytes_per_s;
    double far_bytes, far_bytes_per_s; /* of a rank, between nodes; 0: within one */
    double payload_bytes;              /* b */
} moe_exchange_cost;

/* Uniform routing: each token takes top_k of the experts, which lie evenly on the ranks, `local`
 * ranks to a node; `nodes` > 0: it may go to that many nodes only, chosen first. */
moe_spread moe_spread_uniform(int64_t experts, int64_t top_k, int64_t ranks, int64_t local,
                              int64_t nodes);
/* Adds up tokens of a known routing: expert_rank[e] is the rank of expert e, `ids` the k experts of
 * each of n tokens of rank `self`. counts[ranks] (NULL: not wanted) get the copies for each rank.
 * At most 1024 ranks. */
moe_spread moe_spread_count(const uint32_t *ids, size_t n, size_t k, const uint32_t *expert_rank,
                            int64_t ranks, int64_t local, int64_t self, double *counts);

/* False where the network has no such kernel, or fewer ranks. */
bool moe_exchange_time(const moe_exchange *call, moe_exchange_cost *cost);
/* What comes before kernels for throughput between nodes: each rank tells each other how much it
 * will send. 0 within a node, where the kernels tell it themselves. */
int64_t moe_exchange_notify(const moe_network *network, int64_t ranks);

#endif
