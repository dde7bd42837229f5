/* The body of a kernels_*.c: MOE_VECTOR_BYTES is the width of its vectors, MOE_KERNELS its
 * descriptor. The compiler's vector types say in which lane each product goes; loops without a sum
 * are left to it. See kernels.h for the order of sums. */
#ifndef MOE_PROFILER_CPU_KERNELS_BODY_H
#define MOE_PROFILER_CPU_KERNELS_BODY_H

#ifndef MOE_VECTOR_BYTES
#define MOE_VECTOR_BYTES 16
#endif

#include "profiler/cpu/kernels.h"
#include "profiler/cpu/widen.h"

#include "sim/base/elementary.h"

#include <math.h>

/* Sixteen sums side by side. */
typedef struct lanes {
    vec v[VECTORS];
} lanes;

/* Outputs and rows that are computed together, as many as there are registers for. */
#define OUTPUTS 4
#define ROWS (MOE_VECTOR_BYTES == 64 ? 4 : 1)

static ALWAYS_INLINE vec4
fold(const lanes *a)
{
#if MOE_VECTOR_BYTES == 16
    return (a->v[0] + a->v[2]) + (a->v[1] + a->v[3]);
#else
#if MOE_VECTOR_BYTES == 64
    vec8 s = __builtin_shufflevector(a->v[0], a->v[0], 0, 1, 2, 3, 4, 5, 6, 7) +
             __builtin_shufflevector(a->v[0], a->v[0], 8, 9, 10, 11, 12, 13, 14, 15);
#else
    vec8 s = a->v[0] + a->v[1];
#endif
    return __builtin_shufflevector(s, s, 0, 1, 2, 3) + __builtin_shufflevector(s, s, 4, 5, 6, 7);
#endif
}

#if MOE_VECTOR_BYTES == 64
/* Halves of two vectors of sums, folded side by side: lanes i and i + 8 and so on down to 1. */
#define PAIR(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

static ALWAYS_INLINE vec
halve_8(vec a, vec b)
{
    return PAIR(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           PAIR(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

static ALWAYS_INLINE vec
halve_4(vec a, vec b)
{
    return PAIR(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           PAIR(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

static ALWAYS_INLINE vec
halve_2(vec a, vec b)
{
    return PAIR(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
           PAIR(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}

static ALWAYS_INLINE vec
halve_1(vec a, vec b)
{
    return PAIR(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           PAIR(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

static ALWAYS_INLINE vec
quarter(const lanes acc[OUTPUTS])
{
    return halve_4(halve_8(acc[0].v[0], acc[1].v[0]), halve_8(acc[2].v[0], acc[3].v[0]));
}
#endif

/* The four sums of a row. */
static ALWAYS_INLINE vec4
reduce(const lanes acc[OUTPUTS])
{
#if MOE_VECTOR_BYTES == 64
    vec s = quarter(acc);
    s = halve_1(halve_2(s, s), s);
    return PAIR(s, s, 0, 1, 2, 3);
#else
    vec4 a = fold(&acc[0]), b = fold(&acc[1]), c = fold(&acc[2]), d = fold(&acc[3]);
    vec4 p = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    vec4 q = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(p, q, 0, 1, 4, 5) + __builtin_shufflevector(p, q, 2, 3, 6, 7);
#endif
}

/* Those of all rows. */
static ALWAYS_INLINE void
reduce_rows(const lanes *acc, uint32_t rows, vec4 *out)
{
#if MOE_VECTOR_BYTES == 64
    if (rows == 4) {
        vec s = halve_1(halve_2(quarter(acc), quarter(acc + 4)),
                        halve_2(quarter(acc + 8), quarter(acc + 12)));
        memcpy(out, &s, sizeof s);
        return;
    }
#endif
#pragma GCC unroll 4
    for (uint32_t r = 0; r < rows; r++)
        out[r] = reduce(&acc[r * OUTPUTS]);
}

static ALWAYS_INLINE float
reduce_one(const lanes *a)
{
    vec4 s = fold(a);
    return (s[0] + s[2]) + (s[1] + s[3]);
}

/* acc[r * OUTPUTS + o] += w[o] * x[r] of 16 columns. */
static ALWAYS_INLINE void
step(moe_weight_type type, const uint8_t *const w[OUTPUTS], const float *const *x, uint32_t rows,
     size_t col, lanes *acc)
{
#pragma GCC unroll 4
    for (uint32_t v = 0; v < VECTORS; v++) {
        size_t c = col + v * WIDTH;
        vec wide[OUTPUTS];
#pragma GCC unroll 4
        for (uint32_t o = 0; o < OUTPUTS; o++)
            wide[o] = widen_vector(type, w[o], c);
#pragma GCC unroll 4
        for (uint32_t r = 0; r < rows; r++) {
            vec in = load(x[r] + c);
#pragma GCC unroll 4
            for (uint32_t o = 0; o < OUTPUTS; o++)
                acc[r * OUTPUTS + o].v[v] += wide[o] * in;
        }
    }
}

/* The columns behind the last 16, the missing ones zero. */
static ALWAYS_INLINE void
step_tail(moe_weight_type type, const uint8_t *const w[OUTPUTS], const float *const *x,
          uint32_t rows, size_t col, uint32_t n, lanes *acc)
{
    float wide[OUTPUTS][LANES] = {{0}}, in[ROWS][LANES] = {{0}};
    const uint8_t *wides[OUTPUTS];
    const float *ins[ROWS];
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        for (uint32_t i = 0; i < n; i++)
            wide[o][i] = widen_element(type, w[o], col + i);
        wides[o] = (const uint8_t *)wide[o];
    }
    for (uint32_t r = 0; r < rows; r++) {
        memcpy(in[r], x[r] + col, n * sizeof(float));
        ins[r] = in[r];
    }
    step(MOE_WEIGHT_F32, wides, ins, rows, 0, acc);
}

/* out[r] = the products of row x[r] with the four rows w. */
static ALWAYS_INLINE void
dots(moe_weight_type type, const uint8_t *const w[OUTPUTS], const float *const *x, uint32_t rows,
     uint32_t cols, vec4 *out)
{
    lanes acc[ROWS * OUTPUTS] = {0};
    size_t whole = cols - cols % LANES;
    for (size_t c = 0; c < whole; c += LANES)
        step(type, w, x, rows, c, acc);
    if (whole < cols)
        step_tail(type, w, x, rows, whole, (uint32_t)(cols - whole), acc);
    reduce_rows(acc, rows, out);
}

static ALWAYS_INLINE const float *
row_of(const moe_rows *x, uint32_t i)
{
    return x->data + (x->pick ? x->pick[i] : i) * x->stride;
}

/* The last of four rows stand for those behind it, which are then not kept. */
static ALWAYS_INLINE uint32_t
at_most(uint32_t i, uint32_t end)
{
    return i < end ? i : end - 1;
}

/* All rows against the four rows w, whose results are outputs o .. */
static ALWAYS_INLINE void
multiply_four(moe_weight_type type, const uint8_t *const w[OUTPUTS], uint32_t cols, uint32_t kept,
              const moe_rows *x, float *y, size_t stride)
{
    uint32_t i = 0;
    vec4 sums[ROWS];
    for (; type == MOE_WEIGHT_F32 && i + ROWS <= x->n; i += ROWS) {
        const float *in[ROWS];
        for (uint32_t r = 0; r < ROWS; r++)
            in[r] = row_of(x, i + r);
        dots(type, w, in, ROWS, cols, sums);
        for (uint32_t r = 0; r < ROWS; r++)
            memcpy(y + (i + r) * stride, &sums[r], kept * sizeof(float));
    }
    for (; i < x->n; i++) {
        const float *in = row_of(x, i);
        dots(type, w, &in, 1, cols, sums);
        memcpy(y + i * stride, &sums[0], kept * sizeof(float));
    }
}

/* Reads the weights as they lie, once for each row of activations. */
static ALWAYS_INLINE void
multiply_direct(moe_weight_type type, const moe_matrix *m, uint32_t from, uint32_t to,
                const moe_rows *x, float *y, size_t stride)
{
    for (uint32_t o = from; o < to; o += OUTPUTS) {
        const uint8_t *w[OUTPUTS];
        uint32_t kept = to - o < OUTPUTS ? to - o : OUTPUTS;
        for (uint32_t i = 0; i < OUTPUTS; i++)
            w[i] = row_bytes(m, at_most(o + i, to));
        multiply_four(type, w, m->cols, kept, x, y + o, stride);
    }
}

/* Widens the weights first, once for all rows. */
static void
multiply_widened(const moe_matrix *m, uint32_t from, uint32_t to, const moe_rows *x, float *y,
                 size_t stride, float *scratch)
{
    const uint8_t *w[OUTPUTS];
    for (uint32_t i = 0; i < OUTPUTS; i++)
        w[i] = (const uint8_t *)(scratch + i * (size_t)m->cols);
    for (uint32_t o = from; o < to; o += OUTPUTS) {
        uint32_t kept = to - o < OUTPUTS ? to - o : OUTPUTS;
        for (uint32_t i = 0; i < OUTPUTS; i++)
            widen_row(m, at_most(o + i, to), scratch + i * (size_t)m->cols);
        multiply_four(MOE_WEIGHT_F32, w, m->cols, kept, x, y + o, stride);
    }
}

static void
multiply(const moe_matrix *w, uint32_t from, uint32_t to, const moe_rows *x, float *y,
         size_t stride, float *scratch)
{
    if (w->step != 1)
        multiply_widened(w, from, to, x, y, stride, scratch);
    else if (w->type == MOE_WEIGHT_F32)
        multiply_direct(MOE_WEIGHT_F32, w, from, to, x, y, stride);
    else if (w->type == MOE_WEIGHT_BF16 && x->n < 3)
        multiply_direct(MOE_WEIGHT_BF16, w, from, to, x, y, stride);
    else if (w->type == MOE_WEIGHT_F16 && x->n < 3)
        multiply_direct(MOE_WEIGHT_F16, w, from, to, x, y, stride);
    else
        multiply_widened(w, from, to, x, y, stride, scratch);
}

static void
add_scaled(float *restrict out, float a, const float *restrict x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] += a * x[i];
}

/* Of n values, of their squares when `squares`. */
static ALWAYS_INLINE float
sum(const float *x, uint32_t n, bool squares)
{
    lanes acc = {0};
    uint32_t whole = n - n % LANES;
    float tail[LANES] = {0};
    memcpy(tail, x + whole, (n - whole) * sizeof(float));
    for (uint32_t c = 0; c < n; c += LANES) {
        const float *from = c < whole ? x + c : tail;
#pragma GCC unroll 4
        for (uint32_t v = 0; v < VECTORS; v++) {
            vec in = load(from + v * WIDTH);
            acc.v[v] += squares ? in * in : in;
        }
    }
    return reduce_one(&acc);
}

static void
norm(float *out, const float *x, const float *weight, uint32_t n, float eps)
{
    float scale = 1 / sqrtf(sum(x, n, true) / (float)n + eps);
    for (uint32_t i = 0; i < n; i++)
        out[i] = x[i] * scale * weight[i];
}

static void
silu(float *restrict gate, const float *restrict up, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1 + moe_expf(-gate[i])) * up[i];
}

static void
swiglu(float *restrict gate, const float *restrict up, uint32_t n, float alpha, float limit)
{
    for (uint32_t i = 0; i < n; i++) {
        float g = gate[i] < limit ? gate[i] : limit;
        float u = up[i] < limit ? up[i] : limit;
        u = u > -limit ? u : -limit;
        gate[i] = (u + 1) * (g / (1 + moe_expf(-(alpha * g))));
    }
}

/* scores[j] of n keys that stand one behind another. */
static void
score_keys(const moe_attend *a, const float *keys, float *scores, uint32_t n)
{
    for (uint32_t j = 0; j < n; j += OUTPUTS) {
        const uint8_t *w[OUTPUTS];
        vec4 sums;
        uint32_t kept = n - j < OUTPUTS ? n - j : OUTPUTS;
        for (uint32_t i = 0; i < OUTPUTS; i++)
            w[i] = (const uint8_t *)(keys + at_most(j + i, n) * a->key_stride);
        dots(MOE_WEIGHT_F32, w, &a->query, 1, a->key_dim, &sums);
        sums *= a->scale;
        memcpy(scores + j, &sums, kept * sizeof(float));
    }
}

/* out[d ..] += the n values weighted by scores, so many vectors of them. */
static ALWAYS_INLINE void
add_columns(const moe_attend *a, const float *values, const float *scores, uint32_t n, uint32_t d,
            uint32_t vectors)
{
    vec acc[4];
#pragma GCC unroll 4
    for (uint32_t v = 0; v < vectors; v++)
        acc[v] = load(a->out + d + v * WIDTH);
    for (uint32_t j = 0; j < n; j++)
#pragma GCC unroll 4
        for (uint32_t v = 0; v < vectors; v++)
            acc[v] += scores[j] * load(values + j * a->value_stride + d + v * WIDTH);
    memcpy(a->out + d, acc, vectors * sizeof *acc);
}

/* out += the n values weighted by scores. */
static void
add_values(const moe_attend *a, const float *values, const float *scores, uint32_t n)
{
    uint32_t d = 0;
    for (; d + 4 * WIDTH <= a->value_dim; d += 4 * WIDTH)
        add_columns(a, values, scores, n, d, 4);
    for (; d + 2 * WIDTH <= a->value_dim; d += 2 * WIDTH)
        add_columns(a, values, scores, n, d, 2);
    for (; d + WIDTH <= a->value_dim; d += WIDTH)
        add_columns(a, values, scores, n, d, 1);
    for (uint32_t j = 0; j < n; j++)
        for (uint32_t i = d; i < a->value_dim; i++)
            a->out[i] += scores[j] * values[j * a->value_stride + i];
}

static float
largest(const float *x, uint32_t n)
{
    float best[LANES], all = -INFINITY;
    uint32_t i = 0;
    for (uint32_t l = 0; l < LANES; l++)
        best[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (uint32_t l = 0; l < LANES; l++)
            best[l] = x[i + l] > best[l] ? x[i + l] : best[l];
    for (uint32_t l = 0; l < LANES; l++)
        all = best[l] > all ? best[l] : all;
    for (; i < n; i++)
        all = x[i] > all ? x[i] : all;
    return all;
}

static void
attend(const moe_attend *a)
{
    uint32_t slot = a->first % a->ring;
    uint32_t run = a->ring - slot < a->n ? a->ring - slot : a->n;

    score_keys(a, a->keys + slot * a->key_stride, a->scores, run);
    score_keys(a, a->keys, a->scores + run, a->n - run);
    float most = largest(a->scores, a->n);
    if (a->sink && *a->sink > most)
        most = *a->sink;
    for (uint32_t j = 0; j < a->n; j++)
        a->scores[j] = moe_expf(a->scores[j] - most);
    float total = sum(a->scores, a->n, false) + (a->sink ? moe_expf(*a->sink - most) : 0);

    memset(a->out, 0, a->value_dim * sizeof(float));
    add_values(a, a->values + slot * a->value_stride, a->scores, run);
    add_values(a, a->values, a->scores + run, a->n - run);
    for (uint32_t i = 0; i < a->value_dim; i++)
        a->out[i] /= total;
}

#endif
