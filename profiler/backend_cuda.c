/* The CUDA backend: the stages of backend.h, asked of libmoesim_cuda.so. */
#include "profiler/gpu_state.h"
#include "sim/base/error.h"

#include <string.h>

typedef struct backend {
    moe_gpu *gpu;
    const moe_cuda_api *api;
    moe_cuda_state *state;
    const moe_arch *arch;
    moe_backend_config config;
    uint32_t *length; /* [max_sequences]: positions held */
    /* the dispatch under way */
    const moe_dispatch *dispatch;
    uint16_t *ids;  /* [max_rows, top_k] */
    float *weights; /* likewise */
    uint16_t *wave; /* [experts] */
    const void **at;
} backend;

static moe_cuda_config
config_of(const moe_gpu *gpu, const moe_backend_config *config)
{
    return (moe_cuda_config){
        .max_rows = config->max_rows,
        .max_logits = config->max_logits ? config->max_logits : config->max_rows,
        .max_sequences = config->max_sequences,
        .max_context = config->max_context,
        .lookahead = config->lookahead,
        .type = gpu->config.precision == MOE_GPU_F32 ? MOE_CUDA_F32 : MOE_CUDA_BF16,
        .served = config->served,
        .eager = gpu->config.eager,
        .grouped_blas = gpu->config.grouped_blas,
    };
}

static void
backend_close(void *state)
{
    backend *b = state;
    if (b->state)
        b->api->close(b->state);
    g_free(b->length);
    g_free(b->ids);
    g_free(b->weights);
    g_free(b->wave);
    g_free(b->at);
    g_free(b);
}

static void *
backend_open(const moe_weights *weights, const moe_backend_config *config, GError **error)
{
    moe_gpu *gpu = config->device;
    const moe_router_rule *rule = &weights->arch->router;
    moe_cuda_failure failure = {0};
    moe_gpu_model model;
    moe_assert(gpu, "no device");
    const moe_cuda_config wanted = config_of(gpu, config);
    backend *b = g_new0(backend, 1);
    b->gpu = gpu;
    b->api = gpu->api;
    b->arch = weights->arch;
    b->config = *config;
    b->length = g_new0(uint32_t, config->max_sequences);
    b->ids = g_new(uint16_t, (size_t)config->max_rows * rule->top_k);
    b->weights = g_new(float, (size_t)config->max_rows * rule->top_k);
    b->wave = g_new(uint16_t, rule->experts);
    b->at = g_new(const void *, rule->experts);
    moe_gpu_model_init(&model, weights);
    int opened = b->api->open(gpu->device, &model.model, &wanted, &gpu->host, &b->state, &failure);
    moe_gpu_model_clear(&model);
    if (moe_gpu_check(opened, &failure, error))
        return b;
    backend_close(b);
    return NULL;
}

/* Of the device that the config names. */
static uint64_t
backend_memory(const moe_weights *weights, const moe_backend_config *config)
{
    const moe_gpu *gpu = config->device;
    const moe_cuda_config wanted = config_of(gpu, config);
    moe_gpu_model model;
    moe_gpu_model_init(&model, weights);
    uint64_t bytes = gpu->api->memory(&model.model, &wanted);
    moe_gpu_model_clear(&model);
    return bytes;
}

/* Rows continue what their slot holds, or start it anew. */
static moe_cuda_batch
join_slots(backend *b, const moe_batch *batch)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        uint32_t slot = batch->slot[i], position = batch->position[i];
        moe_assert(slot < b->config.max_sequences && position < b->config.max_context,
                   "row %u: slot %u of %u, position %u of %u", i, slot, b->config.max_sequences,
                   position, b->config.max_context);
        moe_assert(!position || position == b->length[slot], "position %u, slot %u holds %u",
                   position, slot, b->length[slot]);
        b->length[slot] = position + 1;
    }
    return (moe_cuda_batch){batch->n, batch->token, batch->slot, batch->position};
}

static bool
embed(void *state, const moe_batch *batch, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    const moe_cuda_batch rows = join_slots(b, batch);
    return moe_gpu_check(b->api->embed(b->state, &rows, &failure), &failure, error);
}

static bool
attention(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    return moe_gpu_check(b->api->attention(b->state, layer, &failure), &failure, error);
}

static bool
dense(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    return moe_gpu_check(b->api->dense(b->state, layer, &failure), &failure, error);
}

static const float *
router(void *state, const moe_batch *batch, uint32_t layer, uint32_t gate, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    const float *logits = NULL;
    int asked = b->api->router(b->state, layer, gate, &logits, &failure);
    return moe_gpu_check(asked, &failure, error) ? logits : NULL;
}

/* Each row's experts by falling weight, ties to the lower id: from those by expert. */
static void
turn_dispatch(backend *b, uint32_t n, const moe_dispatch *dispatch)
{
    uint32_t k = b->arch->router.top_k;
    memset(b->ids, 0xFF, (size_t)n * k * sizeof *b->ids);
    for (uint32_t m = 0; m < dispatch->n_experts; m++)
        for (uint32_t e = dispatch->first[m]; e < dispatch->first[m + 1]; e++) {
            uint16_t *ids = b->ids + (size_t)dispatch->row[e] * k;
            float *weights = b->weights + (size_t)dispatch->row[e] * k,
                  weight = dispatch->weight[e];
            uint16_t id = dispatch->expert[m];
            uint32_t at = 0;
            while (at < k && ids[at] != UINT16_MAX &&
                   (weights[at] > weight || (!(weights[at] < weight) && ids[at] < id)))
                at++;
            moe_assert(at < k && ids[k - 1] == UINT16_MAX, "row %u has more than %u experts",
                       dispatch->row[e], k);
            memmove(ids + at + 1, ids + at, (k - 1 - at) * sizeof *ids);
            memmove(weights + at + 1, weights + at, (k - 1 - at) * sizeof *weights);
            ids[at] = id;
            weights[at] = weight;
        }
}

static bool
dispatch(void *state, const moe_batch *batch, uint32_t layer, const moe_dispatch *dispatch,
         GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    b->dispatch = dispatch;
    turn_dispatch(b, batch->n, dispatch);
    int asked = b->api->dispatch(b->state, layer, b->ids, b->weights, &failure);
    return moe_gpu_check(asked, &failure, error);
}

/* What serves experts gives out matrices whose data is the device's. */
static bool
experts(void *state, uint32_t layer, const uint32_t *members, const moe_mlp *const *weights,
        uint32_t n, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    for (uint32_t i = 0; i < n; i++) {
        b->wave[i] = b->dispatch->expert[members[i]];
        b->at[i] = weights && weights[i] ? weights[i]->gate.data : NULL;
    }
    int asked = b->api->experts(b->state, layer, b->wave, b->at, n, &failure);
    return moe_gpu_check(asked, &failure, error);
}

static bool
combine(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    return moe_gpu_check(b->api->combine(b->state, layer, &failure), &failure, error);
}

static const float *
unembed(void *state, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    const float *logits = NULL;
    int asked = b->api->unembed(b->state, rows, n_rows, &logits, &failure);
    return moe_gpu_check(asked, &failure, error) ? logits : NULL;
}

static const float *
hidden(void *state, const moe_batch *batch, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    const float *stream = NULL;
    return moe_gpu_check(b->api->hidden(b->state, &stream, &failure), &failure, error) ? stream
                                                                                       : NULL;
}

static bool
forward(void *state, const moe_forward *step, moe_forward_result *result, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    moe_cuda_answer answer = {0};
    const moe_cuda_step asked = {
        .batch = join_slots(b, step->batch),
        .rows = step->rows,
        .n_rows = step->n_rows,
        .lookahead = step->lookahead,
        .router_logits = step->router_logits,
        .cosines = step->cosines,
        .timed = step->timed,
    };
    if (!moe_gpu_check(b->api->forward(b->state, &asked, &answer, &failure), &failure, error))
        return false;
    b->gpu->steps.all++;
    b->gpu->steps.replayed += answer.replayed;
    *result = (moe_forward_result){
        .logits = answer.logits,
        .ids = answer.ids,
        .weights = answer.weights,
        .router_logits = answer.router_logits,
        .ns = answer.ns,
    };
    for (uint32_t d = 0; d < step->lookahead; d++) {
        result->ahead[d] = answer.ahead[d];
        result->ahead_weights[d] = answer.ahead_weights[d];
        result->cosines[d] = answer.cosines[d];
    }
    return true;
}

static bool
wait(void *state, GError **error)
{
    backend *b = state;
    moe_cuda_failure failure = {0};
    return moe_gpu_check(b->api->wait(b->state, &failure), &failure, error);
}

const moe_backend_ops moe_backend_cuda = {
    .name = "cuda",
    .open = backend_open,
    .close = backend_close,
    .memory = backend_memory,
    .embed = embed,
    .attention = attention,
    .dense = dense,
    .router = router,
    .dispatch = dispatch,
    .experts = experts,
    .combine = combine,
    .unembed = unembed,
    .hidden = hidden,
    .forward = forward,
    .wait = wait,
};
