/* The decoder speaks layer by layer, a trace is token by token: what is heard of a step is laid
 * into arrays of [rows, layers, …] and added row by row at its end. Look-aheads that are heard at
 * layer l - d belong to layer l.
 *
 * Similarity: cosines are summed in whole units of 2^-30, so that the sum does not depend on the
 * order of the tokens. */
#include "profiler/capture_record.h"

#include "profiler/listener.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

#include <math.h>
#include <string.h>

#define RECORD_UNIT 0x1p30
enum { RECORD_LANES = 8 };

typedef struct record_ahead {
    uint16_t *ids;            /* [max_rows, layers, k] */
    float *weights;           /* likewise */
    uint64_t *named, *routed; /* [layers] */
} record_ahead;

struct moe_recorder {
    moe_decoder_observer observer;
    moe_routing_builder *builder;
    moe_listener *listener; /* NULL: nobody */
    uint32_t n_layers, k, n_experts, hidden, n_ahead;
    uint16_t *ids;  /* [max_rows, layers, k] */
    float *weights; /* likewise */
    float *logits;  /* [max_rows, layers, experts]; NULL: not recorded */
    record_ahead ahead[MOE_DECODER_MAX_LOOKAHEAD];
    bool times;
    /* what the last n_ahead + 1 layers met, layer l in ring[l % (n_ahead + 1)] */
    float *ring[MOE_DECODER_MAX_LOOKAHEAD + 1];  /* [max_rows, hidden] */
    double *norm[MOE_DECODER_MAX_LOOKAHEAD + 1]; /* [max_rows] */
    int64_t *cosines;                            /* [layers, n_ahead]: sums in RECORD_UNIT */
    uint64_t *n_cosines;
};

/* ---- life ---- */

static void
record_layers(moe_recorder *r, const moe_stack *stack)
{
    g_autofree uint32_t *ids = g_new(uint32_t, (gsize)stack->n_layers);
    uint32_t n = 0;
    for (int l = 0; l < stack->n_layers; l++)
        if (stack->layers[l].ffn.kind == MOE_FFN_MOE)
            ids[n++] = (uint32_t)l;
    moe_routing_builder_layers(r->builder, ids);
    if (r->times)
        moe_routing_builder_stages(r->builder, (uint32_t)stack->n_layers, moe_stage_names,
                                   MOE_STAGES);
}

static bool record_routed(void *context, const moe_routed *routed, GError **error);
static bool record_hidden(void *context, const moe_batch *batch, uint32_t layer,
                          const float *hidden, GError **error);
static void record_alike(void *context, const moe_batch *batch, uint32_t layer, uint32_t distance,
                         const float *cosines);

/* What grows with the rows of a step is asked for with care, and counted. */
typedef struct record_memory {
    uint64_t bytes;
    bool lacks;
} record_memory;

static void *
record_ask(record_memory *memory, size_t n, size_t each)
{
    void *block = g_try_malloc_n(n, each);
    memory->bytes += (uint64_t)n * each;
    memory->lacks |= !block && n;
    return block;
}

static void
record_allocate(moe_recorder *r, const moe_capture_config *config, uint32_t max_rows,
                record_memory *memory)
{
    size_t n = (size_t)max_rows * r->n_layers * r->k;
    r->ids = record_ask(memory, n, sizeof *r->ids);
    r->weights = record_ask(memory, n, sizeof *r->weights);
    if (config->logits)
        r->logits =
            record_ask(memory, (size_t)max_rows * r->n_layers * r->n_experts, sizeof(float));
    for (uint32_t d = 0; d < r->n_ahead; d++) {
        record_ahead *ahead = &r->ahead[d];
        ahead->ids = record_ask(memory, n, sizeof *ahead->ids);
        ahead->weights = record_ask(memory, n, sizeof *ahead->weights);
        ahead->named = g_new0(uint64_t, r->n_layers);
        ahead->routed = g_new0(uint64_t, r->n_layers);
    }
    for (uint32_t i = 0; i <= r->n_ahead && r->n_ahead; i++) {
        r->ring[i] = record_ask(memory, (size_t)max_rows * r->hidden, sizeof(float));
        r->norm[i] = record_ask(memory, max_rows, sizeof(double));
    }
    r->cosines = g_new0(int64_t, (size_t)r->n_layers * r->n_ahead + 1);
    r->n_cosines = g_new0(uint64_t, (size_t)r->n_layers * r->n_ahead + 1);
    for (uint32_t d = 0; d < r->n_ahead && !memory->lacks; d++) {
        memset(r->ahead[d].ids, 0xFF, n * sizeof(uint16_t));
        memset(r->ahead[d].weights, 0, n * sizeof(float));
    }
}

moe_recorder *
moe_recorder_new(const moe_arch *arch, const moe_capture_config *config, uint32_t max_rows,
                 GError **error)
{
    const moe_stack *stack = moe_model_decoder(arch->model);
    g_autoptr(moe_recorder) r = g_new0(moe_recorder, 1);
    record_memory memory = {0};
    r->n_layers = (uint32_t)stack->n_moe;
    r->k = arch->router.top_k;
    r->n_experts = arch->router.experts;
    r->hidden = (uint32_t)arch->model->hidden;
    r->n_ahead = MIN(config->lookahead, r->n_layers - 1);
    r->times = config->times;
    r->observer = (moe_decoder_observer){
        .context = r,
        .routed = record_routed,
        .hidden = r->n_ahead ? record_hidden : NULL,
        .alike = r->n_ahead ? record_alike : NULL,
        .spare_logits = !config->logits,
    };
    r->builder = moe_routing_builder_new(r->n_layers, r->n_experts, r->k);
    moe_routing_builder_spill(r->builder, config->scratch, config->scratch_bytes);
    r->listener = moe_listener_new(arch, max_rows);
    record_layers(r, stack);
    record_allocate(r, config, max_rows, &memory);
    if (memory.lacks) {
        g_autofree char *bytes = moe_format_bytes((int64_t)memory.bytes);
        g_set_error(error, moe_error_quark(), MOE_ERROR_MEMORY,
                    "not enough memory: to record steps of %u rows wants %s", max_rows, bytes);
        return NULL;
    }
    for (uint32_t d = 0; d < r->n_ahead; d++) {
        moe_routing_builder_lookahead(r->builder, d + 1, r->k);
        moe_routing_builder_lookahead_weights(r->builder, d);
    }
    return g_steal_pointer(&r);
}

void
moe_recorder_free(moe_recorder *r)
{
    if (!r)
        return;
    moe_routing_builder_free(r->builder);
    moe_listener_free(r->listener);
    g_free(r->ids);
    g_free(r->weights);
    g_free(r->logits);
    for (uint32_t d = 0; d < MOE_DECODER_MAX_LOOKAHEAD; d++) {
        g_free(r->ahead[d].ids);
        g_free(r->ahead[d].weights);
        g_free(r->ahead[d].named);
        g_free(r->ahead[d].routed);
    }
    for (uint32_t i = 0; i <= MOE_DECODER_MAX_LOOKAHEAD; i++) {
        g_free(r->ring[i]);
        g_free(r->norm[i]);
    }
    g_free(r->cosines);
    g_free(r->n_cosines);
    g_free(r);
}

const moe_decoder_observer *
moe_recorder_observer(const moe_recorder *r)
{
    return &r->observer;
}

moe_routing_builder *
moe_recorder_builder(const moe_recorder *r)
{
    return r->builder;
}

/* ---- routing ---- */

/* Rows [n, k] of a layer to their places in [n, layers, k]. */
static void
record_lay(const moe_recorder *r, uint32_t layer, uint32_t n, const uint16_t *ids,
           const float *weights, uint16_t *to_ids, float *to_weights)
{
    uint32_t k = r->k;
    size_t stride = (size_t)r->n_layers * k, at = (size_t)layer * k;
    for (uint32_t row = 0; row < n; row++, at += stride) {
        memcpy(to_ids + at, ids + (size_t)row * k, k * sizeof *ids);
        memcpy(to_weights + at, weights + (size_t)row * k, k * sizeof *weights);
    }
}

/* How many of the layer's experts look-ahead `d` + 1 had named. */
static void
record_recall(moe_recorder *r, uint32_t d, const moe_routed *routed)
{
    record_ahead *ahead = &r->ahead[d];
    uint32_t k = r->k, n = routed->batch->n;
    uint64_t named = 0;
    for (uint32_t row = 0; row < n; row++) {
        const uint16_t *truth = routed->ids + (size_t)row * k;
        const uint16_t *guess = ahead->ids + ((size_t)row * r->n_layers + routed->layer) * k;
        for (uint32_t i = 0; i < k; i++)
            for (uint32_t j = 0; j < k; j++)
                named += truth[i] == guess[j];
    }
    ahead->named[routed->layer] += named;
    ahead->routed[routed->layer] += (uint64_t)n * k;
}

/* NaN and infinity come of damaged weights, or of numbers beyond the range of their type. */
static bool
record_finite(const moe_routed *routed, const float *values, uint32_t each, GError **error)
{
    size_t n = (size_t)routed->batch->n * each, i = 0;
    while (i < n && (isfinite(values[i]) || values[i] == -INFINITY))
        i++;
    if (i == n)
        return true;
    g_set_error(error, moe_error_quark(), MOE_ERROR_FILE,
                "the router of MoE layer %u gives no finite numbers for the token at position %u: "
                "the model's weights are damaged, or too large for their type",
                routed->layer, routed->batch->position[i / each]);
    return false;
}

static bool
record_routed(void *context, const moe_routed *routed, GError **error)
{
    moe_recorder *r = context;
    uint32_t layer = routed->layer, n = routed->batch->n;
    if (!(routed->logits ? record_finite(routed, routed->logits, r->n_experts, error)
                         : record_finite(routed, routed->weights, r->k, error)))
        return false;
    moe_assert(layer < r->n_layers, "layer %u of %u", layer, r->n_layers);
    record_lay(r, layer, n, routed->ids, routed->weights, r->ids, r->weights);
    for (uint32_t row = 0; row < n && r->logits; row++)
        memcpy(r->logits + ((size_t)row * r->n_layers + layer) * r->n_experts,
               routed->logits + (size_t)row * r->n_experts, r->n_experts * sizeof(float));
    for (uint32_t d = 0; d < r->n_ahead; d++) {
        if (layer >= d + 1)
            record_recall(r, d, routed);
        if (layer + d + 1 < r->n_layers)
            record_lay(r, layer + d + 1, n, routed->lookahead[d], routed->lookahead_weights[d],
                       r->ahead[d].ids, r->ahead[d].weights);
    }
    return true;
}

/* ---- similarity ---- */

/* In so many lanes and then from the first on: the same on every machine. */
static double
record_dot(const float *a, const float *b, uint32_t n)
{
    double lane[RECORD_LANES] = {0}, sum = 0;
    uint32_t i = 0;
    for (; i + RECORD_LANES <= n; i += RECORD_LANES)
        for (uint32_t j = 0; j < RECORD_LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (uint32_t j = 0; i < n; i++, j++)
        lane[j] += (double)a[i] * (double)b[i];
    for (uint32_t j = 0; j < RECORD_LANES; j++)
        sum += lane[j];
    return sum;
}

static void
record_cosine(moe_recorder *r, uint32_t layer, uint32_t distance, double cosine)
{
    size_t cell = (size_t)layer * r->n_ahead + distance - 1;
    cosine = isfinite(cosine) ? CLAMP(cosine, -1, 1) : 0;
    r->cosines[cell] += (int64_t)rint(cosine * RECORD_UNIT);
    r->n_cosines[cell]++;
}

static bool
record_hidden(void *context, const moe_batch *batch, uint32_t layer, const float *hidden,
              GError **error)
{
    moe_recorder *r = context;
    uint32_t slots = r->n_ahead + 1, at = layer % slots;
    memcpy(r->ring[at], hidden, (size_t)batch->n * r->hidden * sizeof *hidden);
    for (uint32_t row = 0; row < batch->n; row++) {
        const float *here = r->ring[at] + (size_t)row * r->hidden;
        r->norm[at][row] = sqrt(record_dot(here, here, r->hidden));
        for (uint32_t d = 1; d <= MIN(r->n_ahead, layer); d++) {
            uint32_t past = (layer - d) % slots;
            double product = r->norm[at][row] * r->norm[past][row];
            double dot = record_dot(here, r->ring[past] + (size_t)row * r->hidden, r->hidden);
            record_cosine(r, layer, d, product > 0 ? dot / product : 0);
        }
    }
    return true;
}

static void
record_alike(void *context, const moe_batch *batch, uint32_t layer, uint32_t distance,
             const float *cosines)
{
    for (uint32_t row = 0; row < batch->n; row++)
        record_cosine(context, layer, distance, (double)cosines[row]);
}

double
moe_recorder_similarity(const moe_recorder *r, uint32_t distance, uint32_t layer)
{
    double sum = 0;
    if (distance < 1 || distance > r->n_ahead || (layer != MOE_NONE && layer < distance))
        return NAN;
    if (layer == MOE_NONE) {
        for (uint32_t l = distance; l < r->n_layers; l++)
            sum += moe_recorder_similarity(r, distance, l);
        return sum / (r->n_layers - distance);
    }
    size_t cell = (size_t)layer * r->n_ahead + distance - 1;
    uint64_t n = r->n_cosines[cell];
    return n ? (double)r->cosines[cell] / RECORD_UNIT / (double)n : NAN;
}

double
moe_recorder_recall(const moe_recorder *r, uint32_t distance, uint32_t layer)
{
    uint64_t named = 0, routed = 0;
    for (uint32_t l = distance; l < r->n_layers && distance <= r->n_ahead; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        named += r->ahead[distance - 1].named[l];
        routed += r->ahead[distance - 1].routed[l];
    }
    return routed ? (double)named / (double)routed : NAN;
}

/* ---- rows ---- */

void
moe_recorder_step(moe_recorder *r, const moe_recorded_rows *rows, const float *times)
{
    size_t row = (size_t)r->n_layers * r->k;
    if (r->listener) {
        moe_listener_rows heard = {rows->step,  rows->n, rows->sequence, rows->position,
                                   rows->token, r->ids,  r->weights};
        moe_listener_tell(r->listener, &heard);
    }
    for (uint32_t i = 0; i < rows->n; i++) {
        moe_routing_builder_add(r->builder, rows->sequence[i], rows->position[i],
                                (moe_phase)rows->phase[i], r->ids + i * row, r->weights + i * row);
        for (uint32_t d = 0; d < r->n_ahead; d++) {
            moe_routing_builder_predicted(r->builder, d, r->ahead[d].ids + i * row);
            moe_routing_builder_predicted_weights(r->builder, d, r->ahead[d].weights + i * row);
        }
        moe_routing_builder_step(r->builder, rows->step);
        moe_routing_builder_token_id(r->builder, rows->token[i]);
        if (rows->domain)
            moe_routing_builder_domain(r->builder, rows->domain[i]);
        if (r->logits)
            moe_routing_builder_logits(r->builder,
                                       r->logits + (size_t)i * r->n_layers * r->n_experts);
    }
    if (r->times)
        moe_routing_builder_times(r->builder, times);
}

void
moe_recorder_settle(moe_recorder *r)
{
    if (r->n_ahead == 0)
        return;
    g_autofree float *values = g_new(float, (size_t)r->n_layers * r->n_ahead);
    for (uint32_t l = 0; l < r->n_layers; l++)
        for (uint32_t d = 1; d <= r->n_ahead; d++)
            values[(size_t)l * r->n_ahead + d - 1] = (float)moe_recorder_similarity(r, d, l);
    moe_routing_builder_similarity(r->builder, r->n_ahead, values);
}
