/* A synthetic access stream of which independent programs agree on every miss count: "stream A" is
 * {26, 64, 6, 130000, 0.6, 1.0, 0.3, 1}.
 *
 * Layer l draws experts by Zipf's law with an exponent that grows linearly from `flat` (first
 * layer) to `steep` (last), through its own random permutation from rank to expert. Per token
 * and layer, each expert of the previous token there stays with probability `stay`, in order;
 * then experts are drawn until there are k distinct ones. Randomness is one splitmix64 sequence:
 * draws for the permutations (Fisher-Yates, from the last rank down) layer by layer, then one
 * per decision, as multiples of 2^-53. */
#ifndef MOE_TESTS_REPLAY_STREAM_H
#define MOE_TESTS_REPLAY_STREAM_H

#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>

typedef struct moe_zipf_stream {
    uint32_t n_layers, n_experts, k;
    uint32_t n_tokens;
    double flat, steep, stay;
    uint64_t seed;
} moe_zipf_stream;

static const moe_zipf_stream moe_stream_a = {26, 64, 6, 130000, 0.6, 1.0, 0.3, 1};

struct zipf_layer {
    double *below;      /* [n_experts]: probability of ranks up to and including r */
    uint16_t *expert;   /* [n_experts]: of each rank */
    uint16_t *previous; /* [k] */
};

static inline uint64_t
zipf_draw(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15ull;
    return moe_mix64(*state);
}

static inline double
zipf_unit(uint64_t *state)
{
    return (double)(zipf_draw(state) >> 11) * 0x1.0p-53;
}

static inline void
zipf_layer_init(struct zipf_layer *layer, const moe_zipf_stream *stream, uint32_t l,
                uint64_t *state)
{
    uint32_t n = stream->n_experts;
    double slope = stream->steep - stream->flat, sum = 0;
    double exponent =
        stream->n_layers > 1 ? stream->flat + slope * l / (stream->n_layers - 1) : stream->flat;
    layer->below = malloc(n * sizeof *layer->below);
    layer->expert = malloc(n * sizeof *layer->expert);
    layer->previous = malloc(stream->k * sizeof *layer->previous);
    for (uint32_t r = 0; r < n; r++) {
        sum += pow(r + 1, -exponent);
        layer->below[r] = sum;
        layer->expert[r] = (uint16_t)r;
    }
    for (uint32_t r = 0; r < n; r++)
        layer->below[r] /= sum;
    for (uint32_t r = n - 1; r > 0; r--) {
        uint32_t other = (uint32_t)(zipf_draw(state) % (r + 1));
        uint16_t expert = layer->expert[r];
        layer->expert[r] = layer->expert[other];
        layer->expert[other] = expert;
    }
}

static inline uint16_t
zipf_expert(const struct zipf_layer *layer, uint32_t n, double u)
{
    uint32_t from = 0, to = n - 1; /* the first rank whose `below` exceeds u */
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (layer->below[middle] > u)
            to = middle;
        else
            from = middle + 1;
    }
    return layer->expert[from];
}

/* Fills row[k] with the experts of the next token. */
static inline void
zipf_choose(struct zipf_layer *layer, const moe_zipf_stream *stream, bool first, uint64_t *state,
            uint16_t *row)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < stream->k && !first; j++)
        if (zipf_unit(state) < stream->stay)
            row[n++] = layer->previous[j];
    while (n < stream->k) {
        uint16_t expert = zipf_expert(layer, stream->n_experts, zipf_unit(state));
        uint32_t j = 0;
        while (j < n && row[j] != expert)
            j++;
        if (j == n)
            row[n++] = expert;
    }
    for (uint32_t j = 0; j < stream->k; j++)
        layer->previous[j] = row[j];
}

/* Calls token(context, t, ids[n_layers * k]) for every token. */
static inline void
moe_zipf_generate(const moe_zipf_stream *stream,
                  void (*token)(void *context, uint32_t t, const uint16_t *ids), void *context)
{
    uint64_t state = stream->seed;
    struct zipf_layer *layers = calloc(stream->n_layers, sizeof *layers);
    uint16_t *ids = malloc((size_t)stream->n_layers * stream->k * sizeof *ids);
    for (uint32_t l = 0; l < stream->n_layers; l++)
        zipf_layer_init(&layers[l], stream, l, &state);
    for (uint32_t t = 0; t < stream->n_tokens; t++) {
        for (uint32_t l = 0; l < stream->n_layers; l++)
            zipf_choose(&layers[l], stream, t == 0, &state, ids + (size_t)l * stream->k);
        token(context, t, ids);
    }
    for (uint32_t l = 0; l < stream->n_layers; l++) {
        free(layers[l].below);
        free(layers[l].expert);
        free(layers[l].previous);
    }
    free(layers);
    free(ids);
}

#endif
