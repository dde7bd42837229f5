/* Max-min fair flows over paths of shared links (fluid model, progressive filling).
 *
 * Each flow moves bytes over all links of its path at one rate. Rates are the max-min fair ones:
 * a flow's rate is limited by its own cap, or by a link that is full and on which no other flow
 * is faster. Flows count equally.
 *
 * Flows of one path and cap form a group, a group is owned by the link (or cap) that limits it,
 * and all groups of one owner have one rate. So a link keeps one virtual service counter (bytes
 * that each of its own flows got so far) and a heap of the counter values at which flows finish:
 * a change of its rate touches none of them. After a change rates are relaxed link by link from
 * the lowest one that is affected upwards, as far as the change reaches.
 *
 * Starts and stops are collected: rates are valid after moe_flow_solve, which the owner calls
 * once per instant, before time moves on. Finishes are rounded up to the next picosecond, and all
 * flows that finish within one are landed together. */
#ifndef MOE_CORE_FLOW_H
#define MOE_CORE_FLOW_H

#include "sim/core/time.h"

typedef struct moe_flows moe_flows;

moe_flows *moe_flows_new(void);
void moe_flows_free(moe_flows *flows);

/* Set-up, before the first flow. Both return indices that count up from 0. */
uint32_t moe_flow_add_link(moe_flows *flows, double bytes_per_s);
/* A path of n >= 1 distinct links; max_rate in bytes/s caps each of its flows (0: no cap). */
uint32_t moe_flow_add_path(moe_flows *flows, const uint32_t *links, size_t n, double max_rate);
/* The rate of a flow that is alone, bytes/s. */
double moe_flow_path_rate(const moe_flows *flows, uint32_t path);

/* A flow of `bytes` from now on; max_rate in bytes/s caps this one (0: no cap of its own).
 * Returns its handle, which is reused after it landed or was stopped. */
uint32_t moe_flow_start(moe_flows *flows, uint32_t path, double bytes, double max_rate, void *owner,
                        moe_time now);
/* Takes a flow out; returns the bytes it still had to move. */
double moe_flow_stop(moe_flows *flows, uint32_t flow, moe_time now);
double moe_flow_left(const moe_flows *flows, uint32_t flow, moe_time now);
/* Valid after moe_flow_solve; bytes/s. */
double moe_flow_rate(const moe_flows *flows, uint32_t flow);

/* Brings the rates up to date; returns when the next flow finishes (MOE_TIME_NEVER: none). */
moe_time moe_flow_solve(moe_flows *flows, moe_time now);
/* Takes out all flows that have finished by now and calls `landed` for each one's owner, in no
 * order that means anything; `landed` must not touch the flows. */
void moe_flow_land(moe_flows *flows, moe_time now, void (*landed)(void *context, void *owner),
                   void *context);

/* Relaxations of a link and complete solutions so far, for benches. */
uint64_t moe_flow_relaxed(const moe_flows *flows);
uint64_t moe_flow_solved(const moe_flows *flows);

#endif
