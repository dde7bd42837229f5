#include "profiler/predict.h"

#include <string.h>

static moe_predict_fn *const of_kinds[MOE_MEASURED_KINDS] = {
    [MOE_MEASURED_LAUNCH] = moe_predict_launch,
    [MOE_MEASURED_STREAM] = moe_predict_stream,
    [MOE_MEASURED_GEMM] = moe_predict_gemm,
    [MOE_MEASURED_EXPERTS] = moe_predict_experts,
    [MOE_MEASURED_ATTENTION] = moe_predict_attention,
    [MOE_MEASURED_COPY] = moe_predict_copy,
    [MOE_MEASURED_COLLECTIVE] = moe_predict_collective,
    [MOE_MEASURED_OPERATION] = moe_predict_operation,
};

moe_cost
moe_predict_cost(const moe_candidate *candidate, const moe_measured_row *row)
{
    moe_device device = candidate->devices[0];
    if (row->graph)
        device = moe_device_in_graph(&device);
    return of_kinds[row->kind](candidate, &device, row);
}

double
moe_predict(const moe_candidate *candidate, const moe_measured_row *row)
{
    int64_t ps = moe_predict_cost(candidate, row).total_ps;
    if (ps > 0 && candidate->bench && !strcmp(row->source, candidate->bench))
        ps += candidate->call_ps[row->graph];
    return (double)ps / 1e6;
}
