/* The kernels of the CPU backend against naive sums in double precision, and against each other bit
 * for bit: every width that this machine runs, every type, unaligned, strided and transposed. */
#include "tests/test.h"

#include "profiler/cpu/kernels.h"
#include "sim/base/elementary.h"
#include "sim/base/random.h"

#include <glib.h>
#include <math.h>

static float
uniform(moe_stream *stream)
{
    return (float)(2 * moe_stream_unit(stream) - 1);
}

static void
put_half(uint8_t *at, moe_weight_type type, moe_stream *stream)
{
    float value = uniform(stream);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (type == MOE_WEIGHT_F16) /* sign, an exponent of -15 .. 0, any fraction */
        half = (uint16_t)((bits >> 16 & 0x8000) | (moe_stream_below(stream, 16) << 10) |
                          moe_stream_below(stream, 1024));
    memcpy(at, &half, sizeof half);
}

/* What an element is, from the definition of its type. */
static double
element(const moe_matrix *m, uint32_t r, uint32_t c)
{
    static const double values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    size_t at = r * m->stride + c * m->step;
    const uint8_t *data = m->data;
    float single;
    uint16_t half;
    if (m->type == MOE_WEIGHT_F32) {
        memcpy(&single, data + 4 * at, 4);
        return single;
    }
    if (m->type == MOE_WEIGHT_MXFP4) {
        uint8_t code = data[at / 2] >> (at % 2 * 4) & 15;
        double sign = code & 8 ? -1 : 1;
        return sign * ldexp(values[code & 7], m->scales[at / 32] - 127);
    }
    memcpy(&half, data + 2 * at, 2);
    if (m->type == MOE_WEIGHT_BF16) {
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&single, &bits, 4);
        return single;
    }
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -value : value;
}

typedef struct matrix {
    moe_matrix m;
    uint8_t *data, *scales;
} matrix;

static void
matrix_clear(matrix *x)
{
    g_free(x->data);
    g_free(x->scales);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(matrix, matrix_clear)

/* Rows `gap` elements longer than they are, one byte off any alignment; or transposed. */
static matrix
make(moe_weight_type type, uint32_t rows, uint32_t cols, uint32_t gap, bool transposed)
{
    moe_stream s = moe_stream_new(rows, "matrix", cols);
    matrix x = {.m = {NULL, NULL, type, rows, cols, cols + gap, 1}};
    if (transposed) {
        x.m.stride = 1;
        x.m.step = rows;
    }
    size_t n = (size_t)rows * (cols + gap) + 1;
    x.data = g_malloc0(4 * n + 8);
    x.scales = g_malloc0(n / 32 + 1);
    for (size_t i = 0; i < n; i++) {
        float value = uniform(&s);
        if (type == MOE_WEIGHT_F32)
            memcpy(x.data + 1 + 4 * i, &value, 4);
        else if (type != MOE_WEIGHT_MXFP4)
            put_half(x.data + 1 + 2 * i, type, &s);
        else
            x.data[1 + i / 2] = (uint8_t)moe_stream_below(&s, 256);
    }
    for (size_t i = 0; i <= n / 32; i++)
        x.scales[i] = (uint8_t)(120 + moe_stream_below(&s, 10));
    x.m.data = x.data + 1;
    x.m.scales = x.scales;
    return x;
}

static const moe_weight_type types[] = {MOE_WEIGHT_F32, MOE_WEIGHT_F16, MOE_WEIGHT_BF16,
                                        MOE_WEIGHT_MXFP4};

/* ---- widening ---- */

static void
widens(void)
{
    static const uint32_t cols[] = {32, 96, 7, 33, 1};
    float out[96];
    for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
        for (size_t i = 0; i < G_N_ELEMENTS(cols); i++) {
            uint32_t c = types[t] == MOE_WEIGHT_MXFP4 ? (cols[i] + 31) / 32 * 32 : cols[i];
            g_auto(matrix) x = make(types[t], 3, c, 32, false);
            for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
                if (!(*k)->usable())
                    continue;
                (*k)->widen(&x.m, 2, out);
                for (uint32_t j = 0; j < c; j++)
                    MOE_CHECK((double)out[j] == element(&x.m, 2, j), "%s, type %zu, %u of %u: %a",
                              (*k)->name, t, j, c, (double)out[j]);
            }
        }
    }
}

/* Every value of the two 16-bit types. */
static void
widens_all(void)
{
    g_autofree uint16_t *half = g_new(uint16_t, 65536);
    g_autofree float *out = g_new(float, 65536);
    for (uint32_t i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    for (size_t t = 1; t <= 2; t++) {
        moe_matrix m = {half, NULL, types[t], 1, 65536, 65536, 1};
        for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
            uint32_t wrong = 0;
            if (!(*k)->usable())
                continue;
            (*k)->widen(&m, 0, out);
            for (uint32_t i = 0; i < 65536; i++) {
                double value = element(&m, 0, i);
                if (types[t] == MOE_WEIGHT_F16 && (i >> 10 & 31) == 31)
                    value = i & 1023 ? (double)NAN : i & 0x8000 ? -(double)INFINITY : INFINITY;
                bool same = isnan(value) ? isnan(out[i]) : (double)out[i] == value;
                wrong += same ? 0 : 1;
            }
            MOE_CHECK(!wrong, "%s, type %zu: %u wrong", (*k)->name, t, wrong);
        }
    }
}

/* ---- products ---- */

typedef struct product_case {
    uint32_t outputs, cols, rows, gap;
    bool picked, transposed;
} product_case;

static const product_case products[] = {
    {8, 64, 1, 0, false, false},   {7, 50, 1, 3, false, false},  {5, 7, 3, 0, false, false},
    {66, 128, 9, 0, true, false},  {13, 100, 4, 5, true, false}, {1, 256, 2, 0, false, false},
    {9, 33, 5, 0, false, true},    {4, 1, 1, 0, false, false},   {130, 96, 21, 32, true, false},
    {6, 2048, 6, 0, false, false}, {12, 31, 8, 0, false, true},
};

static void
check_product(const product_case *c, const moe_matrix *m, const moe_rows *x, const float *y,
              const char *name)
{
    for (uint32_t i = 0; i < c->rows; i++) {
        const float *in = x->data + (x->pick ? x->pick[i] : i) * x->stride;
        for (uint32_t o = 1; o < c->outputs; o++) {
            double sum = 0, size = 0, got = (double)y[i * (c->outputs + 2) + o];
            for (uint32_t j = 0; j < m->cols; j++) {
                sum += element(m, o, j) * in[j];
                size += fabs(element(m, o, j) * in[j]);
            }
            if (!(fabs(got - sum) <= size * 0x1p-23 * (2 + m->cols / 16.0)))
                MOE_CHECK(false, "%s, row %u, output %u: %g, not %g", name, i, o, got, sum);
        }
        MOE_CHECK(y[i * (c->outputs + 2)] == -1, "output 0 was not asked for");
        MOE_CHECK(y[i * (c->outputs + 2) + c->outputs] == -1, "written behind the outputs");
    }
}

static void
check_case(const product_case *c, moe_weight_type type)
{
    uint32_t cols = type == MOE_WEIGHT_MXFP4 ? (c->cols + 31) / 32 * 32 : c->cols, pick[64];
    uint32_t gap = type == MOE_WEIGHT_MXFP4 ? (c->gap + 31) / 32 * 32 : c->gap;
    g_auto(matrix) w = make(type, c->outputs, cols, gap, c->transposed);
    moe_stream stream = moe_stream_new(1, "rows", 0);
    size_t n = (size_t)c->rows * (c->outputs + 2);
    g_autofree float *x = g_new(float, (size_t)c->rows *(cols + 3)), *first = NULL;
    g_autofree float *scratch = g_new(float, moe_kernels_scratch(cols));
    for (size_t i = 0; i < (size_t)c->rows * (cols + 3); i++)
        x[i] = uniform(&stream);
    for (uint32_t i = 0; i < c->rows; i++)
        pick[i] = (i * 7 + 3) % c->rows;
    moe_rows rows = {x, cols + 3, c->picked ? pick : NULL, c->rows};

    for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
        if (!(*k)->usable())
            continue;
        g_autofree float *y = g_new(float, n);
        for (size_t i = 0; i < n; i++)
            y[i] = -1;
        (*k)->multiply(&w.m, MIN(1, c->outputs - 1), c->outputs, &rows, y, c->outputs + 2, scratch);
        if (c->outputs > 1)
            check_product(c, &w.m, &rows, y, (*k)->name);
        if (first)
            MOE_CHECK(!memcmp(first, y, n * sizeof *y), "%s, type %d, case %zu: other bits",
                      (*k)->name, (int)type, (size_t)(c - products));
        else
            first = g_steal_pointer(&y);
    }
    /* A row alone has the bits that it has among others. */
    for (uint32_t i = 0; i < c->rows && c->outputs > 1; i++) {
        g_autofree float *y = g_new(float, c->outputs);
        moe_rows one = {x + (c->picked ? pick[i] : i) * rows.stride, 0, NULL, 1};
        moe_kernels_best()->multiply(&w.m, 1, c->outputs, &one, y, c->outputs, scratch);
        MOE_CHECK(!memcmp(y + 1, first + i * (c->outputs + 2) + 1, (c->outputs - 1) * sizeof *y),
                  "type %d, case %zu, row %u: alone it has other bits", (int)type,
                  (size_t)(c - products), i);
    }
}

static void
multiplies(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(products); i++)
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
            if (types[t] != MOE_WEIGHT_MXFP4 || !products[i].transposed)
                check_case(&products[i], types[t]);
}

/* ---- the rest ---- */

static void
normalises(void)
{
    static const uint32_t sizes[] = {1, 15, 16, 64, 300};
    float x[300], weight[300], first[300], out[300];
    moe_stream stream = moe_stream_new(1, "norm", 0);
    for (uint32_t i = 0; i < 300; i++) {
        x[i] = uniform(&stream);
        weight[i] = uniform(&stream);
    }
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        double squares = 0;
        for (uint32_t i = 0; i < sizes[s]; i++)
            squares += (double)x[i] * x[i];
        double scale = 1 / sqrt(squares / sizes[s] + 1e-5);
        bool any = false;
        for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
            if (!(*k)->usable())
                continue;
            (*k)->norm(out, x, weight, sizes[s], 1e-5f);
            for (uint32_t i = 0; i < sizes[s]; i++)
                MOE_CHECK(fabs(out[i] - x[i] * scale * weight[i]) <= 1e-6, "%u of %u", i, sizes[s]);
            if (!any)
                memcpy(first, out, sizes[s] * sizeof *out);
            any = true;
            MOE_CHECK(!memcmp(first, out, sizes[s] * sizeof *out), "%s", (*k)->name);
        }
    }
}

static void
activates(void)
{
    float gate[99], up[99], first[2][99];
    bool any = false;
    for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
        for (int form = 0; form < 2; form++) {
            for (int i = 0; i < 99; i++) {
                gate[i] = (float)(i - 49) * 0.37f;
                up[i] = (float)(49 - i) * 0.31f;
            }
            if (!(*k)->usable())
                continue;
            if (form)
                (*k)->swiglu(gate, up, 99, 1.702f, 7);
            else
                (*k)->silu(gate, up, 99);
            for (int i = 0; i < 99; i++) {
                double g = (i - 49) * 0.37, u = (49 - i) * 0.31, want = g / (1 + exp(-g)) * u;
                if (form) {
                    g = fmin(g, 7);
                    u = fmax(fmin(u, 7), -7);
                    want = (u + 1) * g / (1 + exp(-1.702 * g));
                }
                MOE_CHECK(fabs(gate[i] - want) <= 1e-5 * (1 + fabs(want)), "%d: %g, not %g", i,
                          (double)gate[i], want);
            }
            if (!any)
                memcpy(first[form], gate, sizeof gate);
            MOE_CHECK(!memcmp(first[form], gate, sizeof gate), "%s", (*k)->name);
            any = form || any;
        }
    }
}

typedef struct attend_case {
    uint32_t key_dim, value_dim, ring, first, n;
    bool sink;
} attend_case;

static void
check_attend(const attend_case *c)
{
    size_t stride = c->key_dim + 5;
    g_autofree float *keys = g_new(float, c->ring *stride);
    g_autofree float *values = g_new(float, c->ring *(size_t)c->value_dim);
    g_autofree float *query = g_new(float, c->key_dim), *scores = g_new(float, c->n);
    g_autofree float *out = g_new(float, c->value_dim), *first = NULL;
    g_autofree double *want = g_new0(double, c->value_dim);
    moe_stream stream = moe_stream_new(c->n, "attend", c->ring);
    float sink = 0.7f;
    double total = c->sink ? exp((double)sink) : 0;
    for (size_t i = 0; i < c->ring * stride; i++)
        keys[i] = uniform(&stream);
    for (size_t i = 0; i < c->ring * (size_t)c->value_dim; i++)
        values[i] = uniform(&stream);
    for (uint32_t i = 0; i < c->key_dim; i++)
        query[i] = uniform(&stream);
    for (uint32_t p = c->first; p < c->first + c->n; p++) {
        double score = 0;
        for (uint32_t i = 0; i < c->key_dim; i++)
            score += (double)query[i] * keys[p % c->ring * stride + i];
        total += exp(score * 0.3);
        for (uint32_t i = 0; i < c->value_dim; i++)
            want[i] += exp(score * 0.3) * values[p % c->ring * c->value_dim + i];
    }
    moe_attend a = {query,        keys,    values,   stride, c->value_dim, c->key_dim,
                    c->value_dim, c->ring, c->first, c->n,   0.3f,         c->sink ? &sink : NULL,
                    scores,       out};
    for (const moe_kernels *const *k = moe_kernels_all; *k; k++) {
        if (!(*k)->usable())
            continue;
        (*k)->attend(&a);
        for (uint32_t i = 0; i < c->value_dim; i++)
            MOE_CHECK(fabs(out[i] - want[i] / total) <= 1e-6, "%s, %u positions, %u: %g, not %g",
                      (*k)->name, c->n, i, (double)out[i], want[i] / total);
        if (!first)
            first = g_memdup2(out, c->value_dim * sizeof *out);
        MOE_CHECK(!memcmp(first, out, c->value_dim * sizeof *out), "%s", (*k)->name);
    }
}

static void
attends(void)
{
    static const attend_case cases[] = {
        {64, 64, 100, 0, 1, false},  {32, 32, 40, 0, 40, true},     {16, 24, 7, 12, 7, false},
        {80, 64, 50, 30, 44, true},  {128, 128, 300, 0, 299, true}, {24, 16, 19, 18, 3, false},
        {20, 100, 33, 5, 17, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        check_attend(&cases[i]);
}

MOE_TESTS({"widen", widens}, {"widen every 16-bit value", widens_all}, {"multiply", multiplies},
          {"norm", normalises}, {"activations", activates}, {"attend", attends})
