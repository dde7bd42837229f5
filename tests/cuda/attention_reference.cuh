/* Attention as profiler/cpu computes it, in double and without any order of its own: what the
 * kernels of profiler/cuda are held against. In bf16, what the device keeps in bf16 is rounded
 * here as well, so that what is left is the rounding of the softmax's weights and of the result. */
#ifndef MOE_TESTS_CUDA_ATTENTION_REFERENCE_CUH
#define MOE_TESTS_CUDA_ATTENTION_REFERENCE_CUH

#include "profiler/cuda/attention.h"
#include "tests/cuda/harness.cuh"

struct layer {
    moe_cuda_attention a;
    float magnitude;
    std::vector<double> inverse; /* of the rotation */
    std::vector<float> q_norm, k_norm, sinks, kv_a_norm;
    std::vector<uint16_t> kv_b;
};

/* Rows of a batch and their projections. */
struct rows {
    std::vector<uint32_t> slot, position;
    std::vector<float> q, k, v, kv_a;
};

/* What a slot holds: keys and values of each position, all heads. */
struct history {
    std::vector<std::vector<double>> keys, values;
};

/* As the device keeps it. */
static inline double
kept(const layer &l, double x)
{
    return l.a.bf16 ? from_bf16(to_bf16((float)x)) : x;
}

static inline void
normalise(double *x, uint32_t n, const float *weight, double eps)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < n; i++)
        x[i] = x[i] / sqrt(sum / n + eps) * weight[i];
}

static inline void
turn(const layer &l, uint32_t position, double *x)
{
    uint32_t pairs = l.a.rotated / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        double *a = l.a.interleaved ? x + 2 * i : x + i, *b = l.a.interleaved ? a + 1 : a + pairs;
        double cosine = cos(position * l.inverse[i]) * l.magnitude;
        double sine = sin(position * l.inverse[i]) * l.magnitude;
        double first = *a, second = *b;
        *a = first * cosine - second * sine;
        *b = second * cosine + first * sine;
    }
}

/* Norm, clip, rotation. */
static inline std::vector<double>
finished(const layer &l, const float *x, uint32_t heads, const float *weight, bool turned,
         uint32_t position)
{
    uint32_t dim = l.a.head_dim;
    std::vector<double> out(x, x + heads * dim);
    if (weight && l.a.norm == MOE_CUDA_HEAD_NORM_FULL)
        normalise(out.data(), heads * dim, weight, l.a.eps);
    for (uint32_t h = 0; h < heads; h++)
        if (weight && l.a.norm == MOE_CUDA_HEAD_NORM_HEAD)
            normalise(&out[h * dim], dim, weight, l.a.eps);
    for (double &e : out)
        if (l.a.clip > 0)
            e = e < -l.a.clip ? -l.a.clip : e > l.a.clip ? l.a.clip : e;
    for (uint32_t h = 0; h < heads && turned; h++)
        turn(l, position, &out[h * dim]);
    for (double &e : out)
        e = kept(l, e);
    return out;
}

/* out = what a query sees of head `head` of a slot; returns the largest magnitude of a value. */
static inline double
seen(const layer &l, const history &past, const double *query, uint32_t head, uint32_t key_dim,
     uint32_t value_dim, uint32_t position, const float *sink, double *out)
{
    uint32_t first = l.a.window && position + 1 > l.a.window ? position + 1 - l.a.window : 0;
    std::vector<double> score;
    double most = sink ? *sink : -INFINITY, total, largest = 0;
    for (uint32_t j = first; j <= position; j++) {
        double sum = 0;
        for (uint32_t d = 0; d < key_dim; d++)
            sum += query[d] * past.keys[j][head * key_dim + d];
        score.push_back(sum * l.a.scale);
        most = fmax(most, score.back());
    }
    total = sink ? exp(*sink - most) : 0;
    for (double &s : score)
        total += s = exp(s - most);
    for (uint32_t d = 0; d < value_dim; d++) {
        out[d] = 0;
        for (uint32_t j = first; j <= position; j++) {
            double value = past.values[j][head * value_dim + d];
            out[d] += score[j - first] / total * value;
            largest = fmax(largest, fabs(value));
        }
    }
    return largest;
}

/* What is remembered of a position; position 0 starts anew. */
static inline void
remember(history &past, uint32_t position, std::vector<double> keys, std::vector<double> values)
{
    past.keys.resize(position);
    past.values.resize(position);
    past.keys.push_back(std::move(keys));
    past.values.push_back(std::move(values));
}

/* `out` [heads, head_dim] of row i, and by how much each may be off. */
static inline void
heads_row(const layer &l, const rows &r, uint32_t i, std::vector<history> &past, double *out,
          double *bound)
{
    const moe_cuda_attention &a = l.a;
    uint32_t dim = a.head_dim, position = r.position[i];
    bool normed = a.norm != MOE_CUDA_HEAD_NORM_NONE;
    const float *q_norm = normed ? l.q_norm.data() : NULL,
                *k_norm = normed ? l.k_norm.data() : NULL;
    std::vector<double> q = finished(l, &r.q[i * a.heads * dim], a.heads, q_norm, true, position);
    remember(past[r.slot[i]], position,
             finished(l, &r.k[i * a.kv_heads * dim], a.kv_heads, k_norm, true, position),
             finished(l, &r.v[i * a.kv_heads * dim], a.kv_heads, NULL, false, position));
    for (uint32_t h = 0; h < a.heads; h++) {
        double largest = seen(l, past[r.slot[i]], &q[h * dim], h / (a.heads / a.kv_heads), dim, dim,
                              position, l.sinks.empty() ? NULL : &l.sinks[h], out + h * dim);
        for (uint32_t d = 0; d < dim; d++)
            bound[h * dim + d] = largest * (a.bf16 ? 3.0 / 512 : 1e-5);
    }
}

/* The same of MLA: [heads, value_dim]. */
static inline void
latent_row(const layer &l, const rows &r, uint32_t i, std::vector<history> &past, double *out,
           double *bound)
{
    const moe_cuda_attention &a = l.a;
    uint32_t lora = a.kv_lora, key = lora + a.rope_dim, position = r.position[i];
    uint32_t dim = a.nope_dim + a.rope_dim, each = a.nope_dim + a.value_dim;
    std::vector<double> keys(&r.kv_a[i * key], &r.kv_a[i * key] + key), query(key), found(lora);
    normalise(keys.data(), lora, l.kv_a_norm.data(), a.eps);
    turn(l, position, &keys[lora]);
    for (double &e : keys)
        e = kept(l, e);
    remember(past[r.slot[i]], position, keys,
             std::vector<double>(keys.begin(), keys.begin() + lora));
    for (uint32_t h = 0; h < a.heads; h++) {
        const float *q = &r.q[(i * a.heads + h) * dim];
        const uint16_t *w = &l.kv_b[(size_t)h * each * lora];
        std::vector<double> end(q + a.nope_dim, q + dim);
        turn(l, position, end.data());
        for (uint32_t c = 0; c < lora; c++) {
            query[c] = 0;
            for (uint32_t d = 0; d < a.nope_dim; d++)
                query[c] += kept(l, q[d]) * from_bf16(w[d * lora + c]);
        }
        std::copy(end.begin(), end.end(), query.begin() + lora);
        for (double &e : query)
            e = kept(l, e);
        double largest =
            seen(l, past[r.slot[i]], query.data(), 0, key, lora, position, NULL, found.data());
        w += a.nope_dim * lora;
        for (uint32_t d = 0; d < a.value_dim; d++) {
            double sum = 0, squares = 0;
            for (uint32_t c = 0; c < lora; c++) {
                sum += kept(l, found[c]) * from_bf16(w[d * lora + c]);
                squares += from_bf16(w[d * lora + c]) * from_bf16(w[d * lora + c]);
            }
            out[h * a.value_dim + d] = sum;
            /* Errors of the latent's elements, each on its own. */
            bound[h * a.value_dim + d] = sqrt(squares) * largest * (a.bf16 ? 3.0 / 512 : 1e-5) +
                                         fabs(sum) * (a.bf16 ? 1.0 / 512 : 1e-6);
        }
    }
}

#endif
