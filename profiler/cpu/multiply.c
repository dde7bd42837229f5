/* Products of matrices with all rows, shared out by blocks of outputs. */
#include "profiler/cpu/state.h"

#include "profiler/cpu/blas.h"

#include <string.h>

/* Below so many multiply-adds waking the other threads costs more than it saves. */
#define WORTH_SHARING 300000
#define BLOCK MOE_CPU_BLOCK
/* From so many rows on the BLAS is faster, where it may be used. */
#define BLAS_ROWS 32

void
moe_cpu_run(moe_cpu *cpu, moe_threads_task *task, uint32_t n, double work)
{
    if (work >= WORTH_SHARING) {
        moe_threads_run(cpu->threads, task, cpu, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        task(cpu, i, 0);
}

static uint32_t
blocks(const moe_cpu_product *product)
{
    return (product->weight->rows + BLOCK - 1) / BLOCK;
}

/* The rows one behind another. */
static const float *
gathered(moe_cpu *cpu, const moe_rows *in, uint32_t cols, uint32_t thread, size_t *stride)
{
    float *out = cpu->gather + thread * cpu->gather_size;
    *stride = in->stride;
    if (!in->pick)
        return in->data;
    for (uint32_t i = 0; i < in->n; i++)
        memcpy(out + (size_t)i * cols, in->data + in->pick[i] * in->stride, cols * sizeof *out);
    *stride = cols;
    return out;
}

static void
multiply_blas(moe_cpu *cpu, const moe_cpu_product *p, uint32_t from, uint32_t to, uint32_t thread)
{
    float *wide = cpu->scratch + thread * cpu->scratch_size;
    size_t stride, cols = p->weight->cols;
    const float *x = gathered(cpu, &p->in, p->weight->cols, thread, &stride);
    for (uint32_t o = from; o < to; o++)
        cpu->kernels->widen(p->weight, o, wide + (o - from) * cols);
    moe_blas_multiply(x, stride, p->in.n, wide, to - from, p->weight->cols, p->out + from,
                      p->stride);
}

static void
multiply_block(void *context, uint32_t task, uint32_t thread)
{
    moe_cpu *cpu = context;
    uint32_t low = 0, high = cpu->n_products;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (cpu->products[middle].first_task <= task)
            low = middle;
        else
            high = middle;
    }
    const moe_cpu_product *p = &cpu->products[low];
    uint32_t from = (task - p->first_task) * BLOCK;
    uint32_t to = MIN(from + BLOCK, p->weight->rows);

    if (cpu->blas && p->in.n >= BLAS_ROWS)
        multiply_blas(cpu, p, from, to, thread);
    else
        cpu->kernels->multiply(p->weight, from, to, &p->in, p->out, p->stride,
                               cpu->scratch + thread * cpu->scratch_size);
    if (!p->bias || !p->bias->data)
        return;
    for (uint32_t o = from; o < to; o++) {
        float bias = moe_matrix_at(p->bias, o, 0);
        for (uint32_t i = 0; i < p->in.n; i++)
            p->out[i * p->stride + o] += bias;
    }
}

void
moe_cpu_multiply(moe_cpu *cpu, uint32_t n)
{
    uint32_t tasks = 0;
    double work = 0;
    cpu->n_products = n;
    for (uint32_t i = 0; i < n; i++) {
        moe_cpu_product *p = &cpu->products[i];
        p->first_task = tasks;
        tasks += blocks(p);
        work += (double)p->weight->rows * p->weight->cols * p->in.n;
    }
    moe_cpu_run(cpu, multiply_block, tasks, work);
}

/* ---- small things on rows ---- */

void
moe_cpu_vector(const moe_cpu *cpu, const moe_matrix *column, float *out)
{
    moe_matrix row = *column;
    row.step = column->stride;
    row.cols = column->rows;
    cpu->kernels->widen(&row, 0, out);
}

void
moe_cpu_norm(moe_cpu *cpu, const moe_matrix *weight, const uint32_t *pick, uint32_t n, float *out)
{
    size_t hidden = cpu->shape.hidden;
    moe_cpu_vector(cpu, weight, cpu->vector);
    for (uint32_t i = 0; i < n; i++)
        cpu->kernels->norm(out + i * hidden, cpu->hidden + (pick ? pick[i] : i) * hidden,
                           cpu->vector, (uint32_t)hidden, cpu->arch->norm_eps);
}

void
moe_cpu_add(moe_cpu *cpu, const float *x)
{
    size_t hidden = cpu->shape.hidden;
    for (uint32_t i = 0; i < cpu->batch->n; i++)
        cpu->kernels->add_scaled(cpu->hidden + i * hidden, 1, x + i * hidden, (uint32_t)hidden);
}

moe_matrix
moe_cpu_part(const moe_matrix *matrix, uint32_t start, uint32_t rows)
{
    static const uint8_t halves[] = {
        [MOE_WEIGHT_F32] = 8, [MOE_WEIGHT_F16] = 4, [MOE_WEIGHT_BF16] = 4, [MOE_WEIGHT_MXFP4] = 1};
    moe_matrix part = *matrix;
    part.data = (const uint8_t *)matrix->data + start * matrix->stride * halves[matrix->type] / 2;
    part.scales = matrix->scales ? matrix->scales + start * matrix->stride / 32 : NULL;
    part.rows = rows;
    return part;
}

void
moe_cpu_activate(const moe_cpu *cpu, float *gate, const float *up, uint32_t n)
{
    const moe_arch *arch = cpu->arch;
    switch (arch->activation) {
    case MOE_ACTIVATION_SILU:
        cpu->kernels->silu(gate, up, n);
        break;
    case MOE_ACTIVATION_CLAMPED_SWIGLU:
        cpu->kernels->swiglu(gate, up, n, arch->swiglu_alpha, arch->swiglu_limit);
        break;
    }
}
