/* Serving engines' own all-reduce: short vectors in one shot, (n-1) S through each port; longer
 * ones in two, 2 S (n-1)/n, or added by the switch, S (1 + 1/n); beyond the engine's buffers
 * NCCL's. The kinds and sizes are those of vLLM's csrc/custom_all_reduce.cuh; TensorRT-LLM's and
 * SGLang's kernels are of the same kinds with other sizes. */
#include "hw/collective_private.h"

static bool
in_one_shot(const moe_collective *call, const moe_engine *e)
{
    int64_t below = call->ranks <= 4 ? e->one_shot_bytes : e->one_shot_many_bytes;
    return call->ranks == 2 || call->bytes < (double)below;
}

bool
moe_collective_engine(const moe_collective *call, moe_collective_cost *cost)
{
    const moe_engine *e = call->engine;
    double n = (double)call->ranks;

    if (!e && call->network->n_engines)
        e = &call->network->engines[0];
    if (!e || moe_collective_shape(call).nodes > 1 || call->bytes >= (double)e->limit_bytes)
        return moe_collective_auto(call, cost);
    bool once = in_one_shot(call, e);
    bool added = !once && call->addable && call->ranks > 4 && e->nvls_bytes_per_s > 0;
    const char *name = once ? "one shot" : added ? "shot by the switch" : "two shots";
    moe_phase *phase = moe_phase_add(cost, name, 0);
    phase->base_ps = e->base_ps;
    phase->steps = once ? 0 : n;
    phase->step_ps = e->step_ps;
    phase->wire_bytes = call->bytes * (added ? 1 + 1 / n : (n - 1) * (once ? 1 : 2 / n));
    phase->bytes_per_s = added ? e->nvls_bytes_per_s : e->bytes_per_s;
    return true;
}
