/* Collectives. */
#include "profiler/predict.h"

moe_cost
moe_predict_collective(const moe_candidate *candidate, const moe_device *device,
                       const moe_measured_row *row)
{
    return (moe_cost){0};
}
