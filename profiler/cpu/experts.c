/* Feed-forward blocks: routed experts, shared ones, dense layers. */
#include "profiler/cpu/state.h"

#include "sim/base/elementary.h"

#include <string.h>

/* ---- an MLP of all rows ---- */

static void
activate_row(void *context, uint32_t row, uint32_t thread)
{
    moe_cpu *cpu = context;
    uint32_t width = cpu->products[0].weight->rows;
    size_t at = (size_t)row * width;
    moe_cpu_activate(cpu, cpu->gate + at, cpu->up + at, width);
}

/* out [rows, hidden] = mlp(input) */
static void
mlp_of_input(moe_cpu *cpu, const moe_mlp *mlp, float *out)
{
    uint32_t width = mlp->gate.rows, hidden = cpu->shape.hidden, n = cpu->batch->n;
    moe_rows in = {cpu->input, hidden, NULL, n};

    cpu->products[0] = (moe_cpu_product){&mlp->gate, &mlp->gate_bias, in, cpu->gate, width, 0};
    cpu->products[1] = (moe_cpu_product){&mlp->up, &mlp->up_bias, in, cpu->up, width, 0};
    moe_cpu_multiply(cpu, 2);
    moe_cpu_run(cpu, activate_row, n, 16.0 * n * width);
    in = (moe_rows){cpu->gate, width, NULL, n};
    cpu->products[0] = (moe_cpu_product){&mlp->down, &mlp->down_bias, in, out, hidden, 0};
    moe_cpu_multiply(cpu, 1);
}

bool
moe_cpu_dense(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    moe_cpu *cpu = state;
    const moe_layer_weights *w = &cpu->weights->layers[layer];

    cpu->batch = batch;
    moe_cpu_norm(cpu, &w->ffn_norm, NULL, batch->n, cpu->input);
    mlp_of_input(cpu, &w->dense, cpu->added);
    moe_cpu_add(cpu, cpu->added);
    return true;
}

/* ---- routed experts ---- */

static uint16_t
expert_of(const moe_dispatch *dispatch, uint32_t entry)
{
    uint32_t low = 0, high = dispatch->n_experts;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (dispatch->first[middle] <= entry)
            low = middle;
        else
            high = middle;
    }
    return dispatch->expert[low];
}

/* By falling weight, ties to the lower expert, whatever else is in the batch. */
static bool
comes_before(const moe_dispatch *dispatch, uint32_t a, uint32_t b)
{
    if (dispatch->weight[a] != dispatch->weight[b])
        return dispatch->weight[a] > dispatch->weight[b];
    return expert_of(dispatch, a) < expert_of(dispatch, b);
}

bool
moe_cpu_dispatch(void *state, const moe_batch *batch, uint32_t layer, const moe_dispatch *dispatch,
                 GError **error)
{
    moe_cpu *cpu = state;
    uint32_t top_k = cpu->shape.top_k;

    cpu->dispatch = dispatch;
    memset(cpu->entry, 0xFF, (size_t)batch->n * top_k * sizeof *cpu->entry);
    for (uint32_t e = 0; e < dispatch->first[dispatch->n_experts]; e++) {
        uint32_t *entries = cpu->entry + (size_t)dispatch->row[e] * top_k, at = top_k - 1;
        moe_assert(entries[at] == MOE_NONE, "row %u has more than %u experts", dispatch->row[e],
                   top_k);
        for (; at > 0; at--) {
            uint32_t other = entries[at - 1];
            if (other != MOE_NONE && !comes_before(dispatch, e, other))
                break;
            entries[at] = other;
        }
        entries[at] = e;
    }
    return true;
}

static void
activate_expert(void *context, uint32_t i, uint32_t thread)
{
    moe_cpu *cpu = context;
    const moe_cpu_product *gate = &cpu->products[2 * i], *up = &cpu->products[2 * i + 1];
    for (uint32_t r = 0; r < gate->in.n; r++)
        moe_cpu_activate(cpu, gate->out + r * gate->stride, up->out + r * up->stride,
                         gate->weight->rows);
}

bool
moe_cpu_experts(void *state, uint32_t layer, const uint32_t *members, const moe_mlp *const *weights,
                uint32_t n, GError **error)
{
    moe_cpu *cpu = state;
    const moe_dispatch *dispatch = cpu->dispatch;
    const moe_mlp *own = cpu->weights->layers[layer].experts;
    size_t hidden = cpu->shape.hidden, width = (size_t)cpu->layers[layer].ffn.width;
    double work = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t m = members[i], first = dispatch->first[m], rows = dispatch->first[m + 1] - first;
        const moe_mlp *mlp = weights && weights[i] ? weights[i] : &own[dispatch->expert[m]];
        moe_rows in = {cpu->input, hidden, dispatch->row + first, rows};
        cpu->products[2 * i] =
            (moe_cpu_product){&mlp->gate, &mlp->gate_bias, in, cpu->gate + first * width, width, 0};
        cpu->products[2 * i + 1] =
            (moe_cpu_product){&mlp->up, &mlp->up_bias, in, cpu->up + first * width, width, 0};
        work += 16.0 * rows * (double)width;
    }
    moe_cpu_multiply(cpu, 2 * n);
    moe_cpu_run(cpu, activate_expert, n, work);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t m = members[i], first = dispatch->first[m], rows = dispatch->first[m + 1] - first;
        const moe_mlp *mlp = weights && weights[i] ? weights[i] : &own[dispatch->expert[m]];
        moe_rows in = {cpu->gate + first * width, width, NULL, rows};
        cpu->products[i] = (moe_cpu_product){
            &mlp->down, &mlp->down_bias, in, cpu->outputs + first * hidden, hidden, 0};
    }
    moe_cpu_multiply(cpu, n);
    return true;
}

static void
combine_row(void *context, uint32_t row, uint32_t thread)
{
    moe_cpu *cpu = context;
    const moe_dispatch *dispatch = cpu->dispatch;
    const uint32_t *entries = cpu->entry + (size_t)row * cpu->shape.top_k;
    uint32_t hidden = cpu->shape.hidden;
    float *out = cpu->added + (size_t)row * hidden;

    memset(out, 0, hidden * sizeof *out);
    for (uint32_t i = 0; i < cpu->shape.top_k && entries[i] != MOE_NONE; i++)
        cpu->kernels->add_scaled(out, dispatch->weight[entries[i]],
                                 cpu->outputs + (size_t)entries[i] * hidden, hidden);
}

static void
add_shared(moe_cpu *cpu, const moe_layer_weights *w)
{
    uint32_t hidden = cpu->shape.hidden, n = cpu->batch->n;

    mlp_of_input(cpu, &w->shared, cpu->other);
    if (w->shared_gate.data) {
        moe_rows in = {cpu->input, hidden, NULL, n};
        cpu->products[0] = (moe_cpu_product){&w->shared_gate, NULL, in, cpu->shared_gate, 1, 0};
        moe_cpu_multiply(cpu, 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        float share = w->shared_gate.data ? 1 / (1 + moe_expf(-cpu->shared_gate[i])) : 1;
        cpu->kernels->add_scaled(cpu->added + (size_t)i * hidden, share,
                                 cpu->other + (size_t)i * hidden, hidden);
    }
}

bool
moe_cpu_combine(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    moe_cpu *cpu = state;
    const moe_layer_weights *w = &cpu->weights->layers[layer];

    cpu->batch = batch;
    moe_cpu_run(cpu, combine_row, batch->n,
                (double)batch->n * cpu->shape.top_k * cpu->shape.hidden);
    if (w->shared.gate.data)
        add_shared(cpu, w);
    moe_cpu_add(cpu, cpu->added);
    return true;
}
