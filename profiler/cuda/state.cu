/* What a state takes of the device's memory, and of the host's. */
#include "profiler/cuda/state.h"

#include <cstring>

static uint32_t
larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---- images of experts ---- */

moe_cuda_image
moe_cuda_image_of(uint32_t hidden, uint32_t width, bool biases)
{
    moe_cuda_arena a = {nullptr, 0};
    moe_cuda_image image = {};
    uint64_t elements = (uint64_t)hidden * width;
    image.gate = a.used;
    moe_cuda_take(&a, elements, sizeof(moe_bf16));
    image.up = a.used;
    moe_cuda_take(&a, elements, sizeof(moe_bf16));
    image.down = a.used;
    moe_cuda_take(&a, elements, sizeof(moe_bf16));
    image.gate_bias = a.used;
    moe_cuda_take(&a, biases ? width : 0, sizeof(float));
    image.up_bias = a.used;
    moe_cuda_take(&a, biases ? width : 0, sizeof(float));
    image.down_bias = a.used;
    moe_cuda_take(&a, biases ? hidden : 0, sizeof(float));
    image.bytes = a.used;
    image.biases = biases;
    return image;
}

moe_cuda_mlp
moe_cuda_image_at(const moe_cuda_image *image, const void *block)
{
    const char *at = (const char *)block;
    moe_cuda_mlp mlp = {};
    mlp.gate = (const moe_bf16 *)(at + image->gate);
    mlp.up = (const moe_bf16 *)(at + image->up);
    mlp.down = (const moe_bf16 *)(at + image->down);
    if (!image->biases)
        return mlp;
    mlp.gate_bias = (const float *)(at + image->gate_bias);
    mlp.up_bias = (const float *)(at + image->up_bias);
    mlp.down_bias = (const float *)(at + image->down_bias);
    return mlp;
}

/* ---- shapes ---- */

static void
measure_attention(moe_cuda_state *s, moe_cuda_layer_state *l, const moe_cuda_layer *from)
{
    l->attention = from->attention;
    l->attention.bf16 = s->bf16;
    l->attention.context = s->config.max_context;
    l->columns = moe_cuda_attention_columns(&l->attention);
    l->q_rows = from->q.rows;
    l->kv_rows = from->attention.latent ? 0 : from->k.rows;
    l->q_a_rows = from->q_a.source ? from->q_a.rows : 0;
    l->kv_a_rows = from->attention.latent ? from->kv_a.rows : 0;
    s->query = larger(s->query, l->q_rows + 2 * l->kv_rows);
    s->q_lora = larger(s->q_lora, l->q_a_rows);
    s->kv_a = larger(s->kv_a, l->kv_a_rows);
    s->columns = larger(s->columns, l->columns);
}

static int
measure_layer(moe_cuda_state *s, uint32_t layer, const moe_cuda_layer *from,
              moe_cuda_failure *failure)
{
    moe_cuda_layer_state *l = &s->layers[layer];
    const moe_cuda_block *experts = from->experts;
    measure_attention(s, l, from);
    const char *refusal = moe_cuda_attention_refusal(&l->attention);
    if (refusal)
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED, "layer %u: %s", layer, refusal);
    l->moe = from->moe;
    l->width = from->moe < 0 ? from->dense.gate.rows : experts[0].gate.rows;
    l->shared_width = from->shared.gate.source ? from->shared.gate.rows : 0;
    s->shared = larger(s->shared, larger(l->shared_width, from->moe < 0 ? l->width : 0));
    if (from->moe < 0)
        return MOE_CUDA_OK;
    s->moe_layer[from->moe] = layer;
    s->widest = larger(s->widest, l->width);
    l->image = moe_cuda_image_of(s->hidden, l->width, experts[0].gate_bias.source != nullptr);
    return MOE_CUDA_OK;
}

static int
check_router(const moe_cuda_state *s, moe_cuda_failure *failure)
{
    if (s->experts > MOE_CUDA_MAX_EXPERTS || s->top_k > MOE_CUDA_MAX_TOP_K ||
        s->config.max_rows > MOE_CUDA_MAX_ROWS || s->router.groups > 64)
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED,
                             "%u experts, %u of them chosen, in %u groups, batches of %u rows: the "
                             "kernels go up to %u, %u, 64 and %u",
                             s->experts, s->top_k, s->router.groups, s->config.max_rows,
                             MOE_CUDA_MAX_EXPERTS, MOE_CUDA_MAX_TOP_K, MOE_CUDA_MAX_ROWS);
    return MOE_CUDA_OK;
}

static int
prepare(moe_cuda_state *s, const moe_cuda_model *model, const moe_cuda_config *config,
        moe_cuda_failure *failure)
{
    s->config = *config;
    s->bf16 = config->type == MOE_CUDA_BF16;
    s->n_layers = model->n_layers;
    s->n_moe = model->n_moe;
    s->hidden = model->hidden;
    s->vocab = model->vocab;
    s->pairs = model->pairs;
    s->experts = model->router.experts;
    s->top_k = model->router.top_k;
    s->norm_eps = model->norm_eps;
    s->latent_norm_eps = model->latent_norm_eps;
    s->magnitude = model->magnitude;
    s->router = model->router;
    s->activation = model->activation;
    s->alpha = model->alpha;
    s->limit = model->limit;
    s->layers = new moe_cuda_layer_state[s->n_layers]();
    s->moe_layer = new uint32_t[s->n_moe + 1]();
    for (uint32_t l = 0; l < s->n_layers; l++)
        MOE_PASS(measure_layer(s, l, &model->layers[l], failure));
    return check_router(s, failure);
}

/* ---- the device's memory ---- */

static float *
take_floats(moe_cuda_arena *a, uint64_t rows, uint64_t cols)
{
    return (float *)moe_cuda_take(a, rows, cols * sizeof(float));
}

static moe_bf16 *
take_bf16(moe_cuda_arena *a, uint64_t rows, uint64_t cols)
{
    return (moe_bf16 *)moe_cuda_take(a, rows, cols * sizeof(moe_bf16));
}

static moe_cuda_mlp
take_block(moe_cuda_arena *a, uint32_t hidden, uint32_t width, bool biases)
{
    moe_cuda_image image = moe_cuda_image_of(hidden, width, biases);
    char *at = (char *)moe_cuda_take(a, image.bytes, 1);
    return at ? moe_cuda_image_at(&image, at) : moe_cuda_mlp();
}

static void
carve_attention(moe_cuda_state *s, moe_cuda_arena *a, moe_cuda_layer_state *l,
                const moe_cuda_layer *from)
{
    uint32_t fused = l->q_rows + 2 * l->kv_rows;
    l->attention_norm = take_floats(a, s->hidden, 1);
    l->ffn_norm = take_floats(a, s->hidden, 1);
    l->q_norm = take_floats(a, from->q_norm.source ? from->q_norm.rows : 0, 1);
    l->k_norm = take_floats(a, from->k_norm.source ? from->k_norm.rows : 0, 1);
    l->sinks = take_floats(a, from->sinks.source ? from->sinks.rows : 0, 1);
    l->q_a_norm = take_floats(a, l->q_a_rows, 1);
    l->kv_a_norm = take_floats(a, from->kv_a_norm.source ? from->kv_a_norm.rows : 0, 1);
    l->qkv = take_bf16(a, fused, l->q_a_rows ? l->q_a_rows : s->hidden);
    l->qkv_bias = take_floats(a, from->q_bias.source ? fused : 0, 1);
    l->o = take_bf16(a, s->hidden, l->columns);
    l->o_bias = take_floats(a, from->o_bias.source ? s->hidden : 0, 1);
    l->q_a = take_bf16(a, l->q_a_rows, s->hidden);
    l->kv_a = take_bf16(a, l->kv_a_rows, s->hidden);
    l->kv_b = take_bf16(a, from->kv_b.source ? from->kv_b.rows : 0, from->kv_b.cols);
    l->cache =
        moe_cuda_take(a, moe_cuda_attention_cache_bytes(&l->attention, s->config.max_sequences), 1);
}

static void
carve_ffn(moe_cuda_state *s, moe_cuda_arena *a, moe_cuda_layer_state *l, const moe_cuda_layer *from)
{
    if (l->moe < 0) {
        l->ffn = take_block(a, s->hidden, l->width, from->dense.gate_bias.source != nullptr);
        return;
    }
    l->router = take_floats(a, s->experts, s->hidden);
    l->router_bias = take_floats(a, from->router_bias.source ? s->experts : 0, 1);
    l->correction = take_floats(a, from->correction.source ? s->experts : 0, 1);
    l->shared_gate = take_floats(a, from->shared_gate.source ? s->hidden : 0, 1);
    if (l->shared_width)
        l->shared =
            take_block(a, s->hidden, l->shared_width, from->shared.gate_bias.source != nullptr);
    if (s->config.served)
        return;
    l->experts = (char *)moe_cuda_take(a, s->experts, l->image.bytes);
    l->table = (moe_cuda_mlp *)moe_cuda_take(a, s->experts, sizeof *l->table);
}

static void
carve_rows(moe_cuda_state *s, moe_cuda_arena *a)
{
    uint64_t rows = s->config.max_rows, entries = rows * s->top_k, size = moe_cuda_size(s);
    uint64_t inner = entries * s->widest, ahead = s->config.lookahead, work = 0;
    if (rows * s->shared > inner)
        inner = rows * s->shared;
    for (uint32_t l = 0; l < s->n_layers; l++) {
        uint64_t bytes = moe_cuda_attention_work_bytes(&s->layers[l].attention, s->config.max_rows);
        work = bytes > work ? bytes : work;
    }
    s->words = (uint32_t *)moe_cuda_take(a, 4 * rows + s->config.max_logits, sizeof(uint32_t));
    s->residual = take_floats(a, rows, s->hidden);
    s->x32 = take_floats(a, rows, s->hidden);
    s->x16 = take_bf16(a, s->bf16 ? rows : 0, s->hidden);
    s->x = s->bf16 ? (void *)s->x16 : s->x32;
    s->other = take_floats(a, rows, s->hidden);
    s->query_rows = take_floats(a, rows, s->query);
    s->kv_a_rows = take_floats(a, rows, s->kv_a);
    s->q_a_rows = take_floats(a, rows, s->q_lora);
    s->q_a16 = take_bf16(a, s->bf16 ? rows : 0, s->q_lora);
    s->cosine = take_floats(a, rows, s->pairs);
    s->sine = take_floats(a, rows, s->pairs);
    s->attended = moe_cuda_take(a, rows, s->columns * size);
    s->work = moe_cuda_take(a, work, 1);
    s->inner = moe_cuda_take(a, inner, size);
    s->outputs = moe_cuda_take(a, entries, s->hidden * size);
    s->shared_out = moe_cuda_take(a, s->shared ? rows : 0, s->hidden * size);
    s->shared_gate = take_floats(a, rows, 1);
    s->router_logits = take_floats(a, rows, s->experts);
    s->ahead_logits = take_floats(a, ahead ? rows : 0, s->experts);
    s->logits = take_floats(a, s->config.max_logits, s->vocab);
    s->ids = (uint16_t *)moe_cuda_take(a, s->n_moe * entries, sizeof *s->ids);
    s->weights = take_floats(a, s->n_moe * entries, 1);
    s->ahead_ids = (uint16_t *)moe_cuda_take(a, ahead * s->n_moe * entries, sizeof *s->ids);
    s->ahead_weights = take_floats(a, ahead * s->n_moe * entries, 1);
    s->cosines = take_floats(a, ahead * s->n_moe * rows, 1);
    s->wave = (moe_cuda_mlp *)moe_cuda_take(a, s->experts, sizeof *s->wave);
    void *block =
        moe_cuda_take(a, moe_cuda_dispatch_bytes(s->config.max_rows, s->experts, s->top_k), 1);
    if (block)
        s->dispatch = moe_cuda_dispatch_at(block, s->config.max_rows, s->experts, s->top_k);
}

static uint64_t
carve(moe_cuda_state *s, const moe_cuda_model *model, char *base)
{
    moe_cuda_arena a = {base, 0};
    s->inverse = (double *)moe_cuda_take(&a, s->pairs, sizeof(double));
    s->embedding = take_bf16(&a, s->vocab, s->hidden);
    s->unembedding = s->embedding;
    if (model->unembedding.source != model->embedding.source)
        s->unembedding = take_bf16(&a, s->vocab, s->hidden);
    s->final_norm = take_floats(&a, s->hidden, 1);
    for (uint32_t l = 0; l < s->n_layers; l++) {
        carve_attention(s, &a, &s->layers[l], &model->layers[l]);
        carve_ffn(s, &a, &s->layers[l], &model->layers[l]);
    }
    carve_rows(s, &a);
    return a.used;
}

static uint64_t
carve_pinned(moe_cuda_state *s, char *base)
{
    moe_cuda_arena a = {base, 0};
    uint64_t rows = s->config.max_rows, entries = rows * s->top_k, ahead = s->config.lookahead;
    s->host_words = (uint32_t *)moe_cuda_take(&a, 4 * rows + s->config.max_logits, 4);
    s->host_logits = take_floats(&a, s->config.max_logits, s->vocab);
    s->host_rows = take_floats(&a, rows, larger(s->hidden, s->experts));
    s->host_ids = (uint16_t *)moe_cuda_take(&a, s->n_moe * entries, sizeof *s->ids);
    s->host_weights = take_floats(&a, s->n_moe * entries, 1);
    s->host_ahead_ids = (uint16_t *)moe_cuda_take(&a, ahead * s->n_moe * entries, sizeof *s->ids);
    s->host_ahead_weights = take_floats(&a, ahead * s->n_moe * entries, 1);
    s->host_cosines = take_floats(&a, ahead * s->n_moe * rows, 1);
    s->host_wave = (moe_cuda_mlp *)moe_cuda_take(&a, s->experts, sizeof *s->host_wave);
    return a.used;
}

/* ---- life ---- */

static int
allocate(moe_cuda_state *s, const moe_cuda_model *model, moe_cuda_failure *failure)
{
    size_t there = 0, total = 0;
    s->bytes = carve(s, model, nullptr);
    s->pinned_bytes = carve_pinned(s, nullptr);
    MOE_TRY(cudaMemGetInfo(&there, &total));
    failure->wanted = s->bytes;
    failure->available = there;
    if (s->bytes > there || cudaMalloc((void **)&s->block, s->bytes) != cudaSuccess) {
        cudaGetLastError();
        return moe_cuda_fail(failure, MOE_CUDA_NO_MEMORY,
                             "the weights, %u sequences of %u positions and batches of %u rows",
                             s->config.max_sequences, s->config.max_context, s->config.max_rows);
    }
    failure->host = true;
    failure->wanted = s->pinned_bytes;
    failure->available = 0;
    if (cudaMallocHost((void **)&s->pinned, s->pinned_bytes) != cudaSuccess) {
        cudaGetLastError();
        return moe_cuda_fail(failure, MOE_CUDA_NO_MEMORY, "what steps of %u rows answer",
                             s->config.max_rows);
    }
    carve(s, model, s->block);
    carve_pinned(s, s->pinned);
    return MOE_CUDA_OK;
}

static int
make_marks(moe_cuda_state *s, moe_cuda_failure *failure)
{
    moe_cuda_marks *m = &s->marks;
    m->most = s->n_layers * (MOE_CUDA_STAGES + 1) + 4;
    m->events = new cudaEvent_t[m->most]();
    m->stage = new int32_t[m->most]();
    s->ns = new float[s->n_layers * MOE_CUDA_STAGES]();
    for (uint32_t i = 0; i < m->most; i++)
        MOE_TRY(cudaEventCreate(&m->events[i]));
    return MOE_CUDA_OK;
}

void
moe_cuda_close(moe_cuda_state *s)
{
    if (!s)
        return;
    if (s->stream)
        cudaStreamSynchronize(s->stream);
    moe_cuda_graphs_clear(s);
    moe_cuda_grouped_close(s);
    for (uint32_t i = 0; s->marks.events && i < s->marks.most; i++)
        if (s->marks.events[i])
            cudaEventDestroy(s->marks.events[i]);
    delete[] s->marks.events;
    delete[] s->marks.stage;
    delete[] s->ns;
    cudaFree(s->block);
    cudaFree(s->all_logits);
    cudaFree(s->ring);
    cudaFreeHost(s->pinned);
    cudaFreeHost(s->host_all_logits);
    delete[] s->layers;
    delete[] s->moe_layer;
    delete s;
}

static int
fill(moe_cuda_state *s, const moe_cuda_model *model, moe_cuda_failure *failure)
{
    MOE_PASS(allocate(s, model, failure));
    MOE_PASS(make_marks(s, failure));
    MOE_PASS(moe_cuda_upload(s, model, failure));
    return s->config.grouped_blas ? moe_cuda_grouped_open(s, failure) : (int)MOE_CUDA_OK;
}

int
moe_cuda_open(moe_cuda_device *device, const moe_cuda_model *model, const moe_cuda_config *config,
              const moe_cuda_host *host, moe_cuda_state **state, moe_cuda_failure *failure)
{
    moe_cuda_state *s = new moe_cuda_state();
    s->device = device;
    s->stream = device->compute;
    s->host = *host;
    int made = prepare(s, model, config, failure);
    if (made == MOE_CUDA_OK)
        made = fill(s, model, failure);
    if (made == MOE_CUDA_OK)
        *state = s;
    else
        moe_cuda_close(s);
    return made;
}

uint64_t
moe_cuda_memory(const moe_cuda_model *model, const moe_cuda_config *config)
{
    moe_cuda_state s = {};
    moe_cuda_failure failure;
    uint64_t bytes = prepare(&s, model, config, &failure) == MOE_CUDA_OK ? carve(&s, model, nullptr)
                                                                         : UINT64_MAX;
    delete[] s.layers;
    delete[] s.moe_layer;
    return bytes;
}
