/* Attention. */
#include "profiler/predict.h"

moe_cost
moe_predict_attention(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    double sequences = (double)row->sequences, q = (double)row->queries;
    double context = (double)row->context, dim = (double)row->head_dim;
    double scored = sequences * q * (context - (q - 1) / 2);
    double key_bytes = 2 * (double)row->kv_heads * dim * row->kv_bits / 8;
    moe_attention_work work = {
        .queries = sequences * q,
        .kv_bytes = sequences * context * key_bytes,
        .new_bytes = sequences * q * key_bytes,
        .flops = 4 * (double)row->heads * dim * scored,
        .rows = row->queries > 1 ? sequences * q : 1,
        .keys = scored / (sequences * q),
        .heads = sequences * (double)row->kv_heads,
        .activation_bits = row->activation_bits,
        .kv_bits = row->kv_bits,
        .kernel = moe_predict_attention_kernel(device, row),
    };
    if (row->variant != MOE_MEASURED_PLAIN)
        return (moe_cost){0};
    return moe_cost_attention(&candidate->hw, device, &work);
}
