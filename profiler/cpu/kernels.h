/* The arithmetic of the CPU backend: one body of code (kernels_body.h), built once for each vector
 * width.
 *
 * All of them give the same bits. A sum over columns runs in 16 lanes, column c in lane c % 16,
 * each in order of c, products rounded before they are added; then lanes i and i + 8 are added, i
 * and i + 4, i and i + 2, i and i + 1. Other sums run in order of their index. A row's result does
 * not depend on the rows computed with it. */
#ifndef MOE_PROFILER_CPU_KERNELS_H
#define MOE_PROFILER_CPU_KERNELS_H

#include "profiler/weights.h"

/* Rows of activations: row i is at data + (pick ? pick[i] : i) * stride. */
typedef struct moe_rows {
    const float *data;
    size_t stride;
    const uint32_t *pick;
    uint32_t n;
} moe_rows;

/* One query against a run of cached positions, which are stored round a ring. */
typedef struct moe_attend {
    const float *query;         /* [key_dim] */
    const float *keys, *values; /* of slot 0 of the ring */
    size_t key_stride, value_stride;
    uint32_t key_dim, value_dim;
    uint32_t ring, first, n; /* positions first .. first + n - 1; position p in slot p % ring */
    float scale;
    const float *sink; /* a further logit without a value; NULL: none */
    float *scores;     /* working space [n] */
    float *out;        /* [value_dim] */
} moe_attend;

typedef struct moe_kernels {
    const char *name;
    bool (*usable)(void);
    /* out [cols]: row `row` of w. */
    void (*widen)(const moe_matrix *w, uint32_t row, float *out);
    /* y[i * stride + o] = W[o] x[i], o in [from, to). scratch: moe_kernels_scratch(w->cols). */
    void (*multiply)(const moe_matrix *w, uint32_t from, uint32_t to, const moe_rows *x, float *y,
                     size_t stride, float *scratch);
    /* out[0 .. n) += a * x[0 .. n) */
    void (*add_scaled)(float *out, float a, const float *x, uint32_t n);
    /* out = x / sqrt(mean of squares + eps) * weight; may be in place. */
    void (*norm)(float *out, const float *x, const float *weight, uint32_t n, float eps);
    /* gate = silu(gate) * up */
    void (*silu)(float *gate, const float *up, uint32_t n);
    /* As gpt-oss: see MOE_ACTIVATION_CLAMPED_SWIGLU. */
    void (*swiglu)(float *gate, const float *up, uint32_t n, float alpha, float limit);
    void (*attend)(const moe_attend *attend);
} moe_kernels;

/* Floats of working space that multiply wants. */
static inline size_t
moe_kernels_scratch(uint32_t cols)
{
    return 4 * (size_t)cols;
}

extern const moe_kernels moe_kernels_plain;
#ifdef __x86_64__
extern const moe_kernels moe_kernels_avx2, moe_kernels_avx512;
#endif
/* All that are built in, widest first, NULL-terminated. */
extern const moe_kernels *const moe_kernels_all[];
/* The widest that this machine can run. */
const moe_kernels *moe_kernels_best(void);

/* Element (row, col) as a float; for biases and other small things. */
float moe_matrix_at(const moe_matrix *matrix, uint32_t row, uint32_t col);

#endif
