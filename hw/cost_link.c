/* Copies over links. */
#include "hw/cost_private.h"

#include "sim/base/units.h"

#include <inttypes.h>

static const char transfer[] = "latency + bytes / bandwidth";
static const char queued_transfer[] = "per copy + bytes / bandwidth";
static const char requests[] = "max(rounds * (latency + request / channel), latency + bytes / "
                               "bandwidth, (requests - 1) / iops + latency + request / channel)";

double
moe_link_rate(const moe_hw_link *link, bool pageable)
{
    return pageable && link->pageable_bytes_per_s > 0 ? link->pageable_bytes_per_s
                                                      : link->bytes_per_s;
}

int64_t
moe_link_latency(const moe_hw_link *link, bool pageable)
{
    return pageable ? link->pageable_latency_ps : link->latency_ps;
}

double
moe_wire_rate(double rate, double duplex)
{
    return rate * (2 * duplex);
}

/* ---- requests ---- */

typedef struct split {
    double request, n; /* bytes of each; how many */
    double rounds;     /* how often as many as may be in flight are asked for */
    double channel;    /* bytes per second of one */
} split;

/* Rounded up, of numbers that are exact as integers; beyond those it does not matter. */
static double
quotient_up(double a, double b)
{
    const double exact = 9007199254740992.0;
    double q = a / b;
    if (!(q < exact))
        return q;
    double whole = (double)(int64_t)q;
    return whole + (whole < q);
}

static split
split_of(const moe_hw_link *link, double bytes, double rate)
{
    bool one = link->request_bytes <= 0 || (double)link->request_bytes >= bytes;
    split s = {.request = one ? bytes : (double)link->request_bytes, .n = 1, .rounds = 1};

    s.channel = link->channel_bytes_per_s > 0 && link->channel_bytes_per_s < rate
                    ? link->channel_bytes_per_s
                    : rate;
    if (one)
        return s;
    s.n = quotient_up(bytes, s.request);
    s.rounds = quotient_up(s.n, link->depth > 1 ? (double)link->depth : 1);
    return s;
}

/* Seconds beyond latency + bytes / rate that its requests make of a transfer. */
static double
waited_for_requests(const moe_hw_link *link, const split *s, double bytes, double latency,
                    double rate)
{
    double one = latency + s->request / s->channel;
    double paced = link->iops > 0 ? (s->n - 1) / link->iops + one : 0;
    double all = moe_larger(s->rounds * one, paced);
    return moe_larger(all - (latency + bytes / rate), 0);
}

/* What is not the link at its rate is fixed, so that a transfer that shares the link is slowed down
 * in its bytes alone. */
static moe_cost
copy(const moe_hw_link *link, double bytes, bool pageable, int64_t fixed_ps, const char *formula)
{
    double rate = moe_link_rate(link, pageable);
    moe_cost cost = {
        .launch_ps = fixed_ps, .bytes = bytes, .bytes_per_s = rate, .formula = formula};
    if (bytes > 0 && (link->request_bytes > 0 || link->channel_bytes_per_s > 0)) {
        split s = split_of(link, bytes, rate);
        double latency = (double)moe_link_latency(link, pageable) / 1e12;
        cost.launch_ps = moe_add_times(
            cost.launch_ps, moe_picoseconds(waited_for_requests(link, &s, bytes, latency, rate)));
        if (s.n > 1)
            cost.formula = requests;
    }
    return moe_cost_finish(cost);
}

moe_cost
moe_cost_copy(const moe_hw_link *link, double bytes, bool pageable)
{
    return copy(link, bytes, pageable, moe_link_latency(link, pageable), transfer);
}

moe_cost
moe_cost_queued_copy(const moe_hw_link *link, double bytes, bool pageable)
{
    int64_t alone = moe_link_latency(link, pageable);
    bool hides = link->queued_ps > 0 && link->queued_ps < alone;
    return copy(link, bytes, pageable, hides ? link->queued_ps : alone,
                hides ? queued_transfer : transfer);
}

moe_cost
moe_cost_copies(const moe_hw_link *link, double bytes, double n, bool pageable)
{
    moe_cost first = moe_cost_copy(link, bytes, pageable);
    moe_cost next = moe_cost_queued_copy(link, bytes, pageable);
    if (!(n > 1))
        return n > 0 ? first : (moe_cost){.formula = transfer};
    first.launch_ps = moe_add_times(first.launch_ps, moe_times(next.launch_ps, n - 1));
    first.bytes *= n;
    return moe_cost_finish(first);
}

void
moe_cost_explain_copy(const moe_hw_link *link, const moe_cost *cost, GString *out)
{
    split s = split_of(link, cost->bytes, cost->bytes_per_s);
    if (cost->bytes > 0 && s.n > 1) {
        g_autofree char *size = moe_format_bytes(link->request_bytes);
        g_string_append_printf(out, "%.0f requests of %s, %" PRId64 " at a time: ", s.n, size,
                               link->depth);
    }
    moe_cost_explain(cost, out);
}
