#include "traces/synth/factor.h"

#include "sim/base/random.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define SPARE 8 /* vectors beyond the rank: they speed the last ones up */
#define ROUNDS 24
#define OPEN_ROUNDS 16
#define SWEEPS 12

/* Columns are kept as [n][width] so that a row of the matrix meets contiguous numbers. */
typedef struct subspace {
    const float *matrix;
    size_t n;
    uint32_t width;
    float *basis, *image; /* [n][width] */
    double *small, *turn; /* [width][width] */
    double *value;        /* [width] */
    uint32_t *order;      /* by falling value */
} subspace;

static void
subspace_multiply(subspace *s)
{
    const uint32_t width = s->width;
    for (size_t i = 0; i < s->n; i++) {
        float *restrict out = s->image + i * width;
        const float *row = s->matrix + i * s->n;
        memset(out, 0, width * sizeof *out);
        for (size_t j = 0; j < s->n; j++) {
            const float *restrict in = s->basis + j * width;
            float v = row[j];
            for (uint32_t c = 0; c < width; c++)
                out[c] += v * in[c];
        }
    }
}

static double
column_dot(const subspace *s, const float *a, uint32_t c, const float *b, uint32_t d)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += (double)a[i * s->width + c] * (double)b[i * s->width + d];
    return sum;
}

/* Gram-Schmidt, twice is enough (Kahan, Parlett). A column that vanishes stays zero. */
static void
subspace_orthogonal(subspace *s)
{
    const uint32_t width = s->width;
    for (uint32_t c = 0; c < width; c++) {
        for (uint32_t d = 0; d < 2 * c; d++) {
            float dot = (float)column_dot(s, s->basis, c, s->basis, d % c);
            for (size_t i = 0; i < s->n; i++)
                s->basis[i * width + c] -= dot * s->basis[i * width + d % c];
        }
        double norm = sqrt(column_dot(s, s->basis, c, s->basis, c));
        float scale = norm > 1e-12 ? (float)(1 / norm) : 0;
        for (size_t i = 0; i < s->n; i++)
            s->basis[i * width + c] *= scale;
    }
}

/* One rotation that makes small[p][q] zero. */
static void
jacobi_turn(subspace *s, uint32_t p, uint32_t q)
{
    const uint32_t width = s->width;
    double *a = s->small, apq = a[p * width + q];
    if (apq == 0)
        return;
    double theta = (a[q * width + q] - a[p * width + p]) / (2 * apq);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double cosine = 1 / sqrt(t * t + 1), sine = t * cosine;
    for (uint32_t i = 0; i < width; i++) {
        double ip = a[i * width + p], iq = a[i * width + q];
        a[i * width + p] = cosine * ip - sine * iq;
        a[i * width + q] = sine * ip + cosine * iq;
    }
    for (uint32_t i = 0; i < width; i++) {
        double pi = a[p * width + i], qi = a[q * width + i];
        a[p * width + i] = cosine * pi - sine * qi;
        a[q * width + i] = sine * pi + cosine * qi;
        double vp = s->turn[i * width + p], vq = s->turn[i * width + q];
        s->turn[i * width + p] = cosine * vp - sine * vq;
        s->turn[i * width + q] = sine * vp + cosine * vq;
    }
}

static void
jacobi(subspace *s)
{
    const uint32_t width = s->width;
    memset(s->turn, 0, (size_t)width * width * sizeof *s->turn);
    for (uint32_t c = 0; c < width; c++)
        s->turn[c * width + c] = 1;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (uint32_t p = 0; p + 1 < width; p++)
            for (uint32_t q = p + 1; q < width; q++)
                jacobi_turn(s, p, q);
    for (uint32_t c = 0; c < width; c++) {
        s->value[c] = s->small[c * width + c];
        uint32_t at = c;
        for (; at > 0 && s->value[c] > s->value[s->order[at - 1]]; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = c;
    }
}

/* Turns the basis (orthonormal) and its image to the eigenvectors of the projected matrix. */
static void
subspace_ritz(subspace *s)
{
    const uint32_t width = s->width;
    for (uint32_t c = 0; c < width; c++)
        for (uint32_t d = 0; d <= c; d++)
            s->small[c * width + d] = s->small[d * width + c] =
                column_dot(s, s->basis, c, s->image, d);
    jacobi(s);
    g_autofree float *turned = g_new(float, width);
    float *sides[] = {s->basis, s->image};
    for (size_t i = 0; i < 2 * s->n; i++) {
        float *row = sides[i % 2] + i / 2 * width;
        for (uint32_t c = 0; c < width; c++) {
            double sum = 0;
            for (uint32_t d = 0; d < width; d++)
                sum += (double)row[d] * s->turn[d * width + s->order[c]];
            turned[c] = (float)sum;
        }
        memcpy(row, turned, width * sizeof *row);
    }
}

static void
subspace_init(subspace *s, const float *matrix, size_t n, uint32_t rank)
{
    uint32_t width = (uint32_t)MIN(n, rank + SPARE);
    *s = (subspace){.matrix = matrix, .n = n, .width = width};
    s->basis = g_new(float, n *width);
    s->image = g_new(float, n *width);
    s->small = g_new(double, (size_t)width *width);
    s->turn = g_new(double, (size_t)width *width);
    s->value = g_new(double, width);
    s->order = g_new(uint32_t, width);
    moe_stream stream = moe_stream_new(1, "subspace", 0);
    for (size_t i = 0; i < n * width; i++)
        s->basis[i] = (float)(moe_stream_unit(&stream) - 0.5);
    subspace_orthogonal(s);
}

static void
subspace_clear(subspace *s)
{
    g_free(s->basis);
    g_free(s->image);
    g_free(s->small);
    g_free(s->turn);
    g_free(s->value);
    g_free(s->order);
}

/* A round leaves the basis orthonormal, in Ritz order, and `order` of `value` by size. */
static void
subspace_round(subspace *s)
{
    subspace_multiply(s);
    memcpy(s->basis, s->image, s->n * s->width * sizeof *s->basis);
    subspace_orthogonal(s);
}

static void
subspace_loadings(subspace *s, uint32_t rank, float *loadings)
{
    subspace_multiply(s);
    subspace_ritz(s);
    for (uint32_t r = 0; r < rank; r++) {
        double value = r < s->width ? s->value[s->order[r]] : 0;
        float root = value > 0 ? (float)sqrt(value) : 0;
        for (size_t i = 0; i < s->n; i++)
            loadings[r * s->n + i] = root > 0 ? root * s->basis[i * s->width + r] : 0;
    }
}

void
moe_factor(const float *matrix, size_t n, uint32_t rank, float *loadings)
{
    subspace s;
    subspace_init(&s, matrix, n, rank);
    for (int i = 0; i < ROUNDS; i++)
        subspace_round(&s);
    subspace_loadings(&s, rank, loadings);
    subspace_clear(&s);
}

void
moe_factor_open(float *matrix, size_t n, uint32_t rank, const float *most, float *loadings)
{
    subspace s;
    for (size_t i = 0; i < n; i++)
        matrix[i * n + i] = 0;
    subspace_init(&s, matrix, n, rank);
    for (int i = 0; i < ROUNDS / 2; i++)
        subspace_round(&s);
    for (int i = 0; i < OPEN_ROUNDS; i++) {
        subspace_round(&s);
        subspace_round(&s);
        subspace_loadings(&s, rank, loadings);
        for (size_t c = 0; c < n; c++) {
            float sum = 0;
            for (uint32_t r = 0; r < rank; r++)
                sum += loadings[r * n + c] * loadings[r * n + c];
            matrix[c * n + c] = MIN(sum, most[c]);
        }
    }
    subspace_loadings(&s, rank, loadings);
    subspace_clear(&s);
}

void
moe_factor_subtract(float *matrix, size_t n, uint32_t rank, const float *loadings, float scale)
{
    for (uint32_t r = 0; r < rank; r++)
        for (size_t i = 0; i < n; i++) {
            float v = scale * loadings[r * n + i];
            for (size_t j = 0; j < n; j++)
                matrix[i * n + j] -= v * loadings[r * n + j];
        }
}
