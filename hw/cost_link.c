/* Copies over links. */
#include "hw/cost_private.h"

static const char transfer[] = "latency + bytes / bandwidth";

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

moe_cost
moe_cost_copy(const moe_hw_link *link, double bytes, bool pageable)
{
    return moe_cost_finish((moe_cost){
        .launch_ps = moe_link_latency(link, pageable),
        .bytes = bytes,
        .bytes_per_s = moe_link_rate(link, pageable),
        .formula = transfer,
    });
}
