/* Copies over the machine's links. */
#include "profiler/predict.h"

int
moe_predict_link(const moe_candidate *candidate, const moe_measured_row *row)
{
    const int links[] = {[MOE_MEASURED_NO_DIRECTION] = -1,
                         [MOE_MEASURED_H2D] = candidate->h2d,
                         [MOE_MEASURED_D2H] = candidate->d2h,
                         [MOE_MEASURED_D2D] = -1,
                         [MOE_MEASURED_DISK] = candidate->disk};
    return links[row->direction];
}

moe_cost
moe_predict_copy(const moe_candidate *candidate, const moe_device *device,
                 const moe_measured_row *row)
{
    int l = moe_predict_link(candidate, row);
    if (l < 0)
        return (moe_cost){0};
    moe_hw_link link = candidate->links[l];
    if (row->concurrent) {
        link.bytes_per_s *= link.duplex;
        link.pageable_bytes_per_s *= link.duplex;
    }
    if (row->direction == MOE_MEASURED_DISK) { /* how it was read, not how the machine reads */
        link.request_bytes = row->request;
        link.depth = MAX(row->depth, 1);
    }
    return moe_cost_copy(&link, (double)row->bytes, row->pageable);
}
