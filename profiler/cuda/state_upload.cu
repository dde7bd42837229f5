/* From the checkpoint to the device: rows are widened or narrowed by the host into one of two
 * pinned buffers while the other is being copied. */
#include "profiler/cuda/state.h"

#include <cstring>

#define PIECE ((uint64_t)16 << 20)

struct uploader {
    moe_cuda_state *s;
    char *buffer[2];
    cudaEvent_t copied[2];
    uint32_t next;
};

static int
open_uploader(uploader *u, moe_cuda_state *s, moe_cuda_failure *failure)
{
    u->s = s;
    for (int i = 0; i < 2; i++) {
        MOE_TRY(cudaMallocHost((void **)&u->buffer[i], PIECE));
        MOE_TRY(cudaEventCreateWithFlags(&u->copied[i], cudaEventDisableTiming));
        MOE_TRY(cudaEventRecord(u->copied[i], s->stream));
    }
    return MOE_CUDA_OK;
}

static void
close_uploader(uploader *u)
{
    cudaStreamSynchronize(u->s->stream);
    for (int i = 0; i < 2; i++) {
        if (u->copied[i])
            cudaEventDestroy(u->copied[i]);
        cudaFreeHost(u->buffer[i]);
    }
}

/* A buffer that is free; the copy out of it is marked by `sent`. */
static int
take_buffer(uploader *u, char **buffer, moe_cuda_failure *failure)
{
    u->next = 1 - u->next;
    *buffer = u->buffer[u->next];
    MOE_TRY(cudaEventSynchronize(u->copied[u->next]));
    return MOE_CUDA_OK;
}

static int
sent(uploader *u, void *to, uint64_t bytes, moe_cuda_failure *failure)
{
    MOE_TRY(cudaMemcpyAsync(to, u->buffer[u->next], bytes, cudaMemcpyHostToDevice, u->s->stream));
    MOE_TRY(cudaEventRecord(u->copied[u->next], u->s->stream));
    return MOE_CUDA_OK;
}

/* All rows of a matrix; nothing where there is none. */
static int
put(uploader *u, const moe_cuda_matrix *m, moe_cuda_type type, const void *to,
    moe_cuda_failure *failure)
{
    uint64_t row = (uint64_t)m->cols * (type == MOE_CUDA_BF16 ? 2 : 4);
    char *buffer;
    if (!m->source)
        return MOE_CUDA_OK;
    if (row > PIECE)
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED, "a matrix of %u columns", m->cols);
    uint32_t each = (uint32_t)(PIECE / row);
    for (uint32_t first = 0; first < m->rows; first += each) {
        uint32_t n = m->rows - first < each ? m->rows - first : each;
        MOE_PASS(take_buffer(u, &buffer, failure));
        u->s->host.fill(u->s->host.context, m->source, first, n, type, buffer);
        MOE_PASS(sent(u, (char *)to + first * row, n * row, failure));
    }
    return MOE_CUDA_OK;
}

static int
put_floats(uploader *u, const moe_cuda_matrix *m, const float *to, moe_cuda_failure *failure)
{
    return put(u, m, MOE_CUDA_F32, to, failure);
}

static int
put_bf16(uploader *u, const moe_cuda_matrix *m, const moe_bf16 *to, moe_cuda_failure *failure)
{
    return put(u, m, MOE_CUDA_BF16, to, failure);
}

static int
put_block(uploader *u, const moe_cuda_block *block, const moe_cuda_mlp *to,
          moe_cuda_failure *failure)
{
    MOE_PASS(put_bf16(u, &block->gate, to->gate, failure));
    MOE_PASS(put_bf16(u, &block->up, to->up, failure));
    MOE_PASS(put_bf16(u, &block->down, to->down, failure));
    MOE_PASS(put_floats(u, &block->gate_bias, to->gate_bias, failure));
    MOE_PASS(put_floats(u, &block->up_bias, to->up_bias, failure));
    return put_floats(u, &block->down_bias, to->down_bias, failure);
}

static int
put_attention(uploader *u, const moe_cuda_layer *from, const moe_cuda_layer_state *l,
              moe_cuda_failure *failure)
{
    uint64_t q = l->q_rows, kv = l->kv_rows, hidden = u->s->hidden;
    MOE_PASS(put_floats(u, &from->attention_norm, l->attention_norm, failure));
    MOE_PASS(put_floats(u, &from->ffn_norm, l->ffn_norm, failure));
    MOE_PASS(put_floats(u, &from->q_norm, l->q_norm, failure));
    MOE_PASS(put_floats(u, &from->k_norm, l->k_norm, failure));
    MOE_PASS(put_floats(u, &from->sinks, l->sinks, failure));
    MOE_PASS(put_floats(u, &from->q_a_norm, l->q_a_norm, failure));
    MOE_PASS(put_floats(u, &from->kv_a_norm, l->kv_a_norm, failure));
    MOE_PASS(put_bf16(u, &from->q, l->qkv, failure));
    MOE_PASS(put_bf16(u, &from->k, l->qkv + q * hidden, failure));
    MOE_PASS(put_bf16(u, &from->v, l->qkv + (q + kv) * hidden, failure));
    if (l->qkv_bias) {
        MOE_TRY(cudaMemsetAsync(l->qkv_bias, 0, (q + 2 * kv) * sizeof(float), u->s->stream));
        MOE_PASS(put_floats(u, &from->q_bias, l->qkv_bias, failure));
        MOE_PASS(put_floats(u, &from->k_bias, l->qkv_bias + q, failure));
        MOE_PASS(put_floats(u, &from->v_bias, l->qkv_bias + q + kv, failure));
    }
    MOE_PASS(put_bf16(u, &from->o, l->o, failure));
    MOE_PASS(put_floats(u, &from->o_bias, l->o_bias, failure));
    MOE_PASS(put_bf16(u, &from->q_a, l->q_a, failure));
    MOE_PASS(put_bf16(u, &from->kv_a, l->kv_a, failure));
    return put_bf16(u, &from->kv_b, l->kv_b, failure);
}

/* All experts of a layer, and the table of where they are. */
static int
put_experts(uploader *u, const moe_cuda_layer *from, const moe_cuda_layer_state *l,
            moe_cuda_failure *failure)
{
    char *buffer;
    for (uint32_t e = 0; e < u->s->experts; e++) {
        const moe_cuda_mlp at = moe_cuda_image_at(&l->image, l->experts + e * l->image.bytes);
        MOE_PASS(put_block(u, &from->experts[e], &at, failure));
    }
    MOE_PASS(take_buffer(u, &buffer, failure));
    moe_cuda_mlp *table = (moe_cuda_mlp *)buffer;
    for (uint32_t e = 0; e < u->s->experts; e++)
        table[e] = moe_cuda_image_at(&l->image, l->experts + e * l->image.bytes);
    return sent(u, l->table, u->s->experts * sizeof *table, failure);
}

static int
put_layer(uploader *u, const moe_cuda_layer *from, const moe_cuda_layer_state *l,
          moe_cuda_failure *failure)
{
    MOE_PASS(put_attention(u, from, l, failure));
    if (l->moe < 0)
        return put_block(u, &from->dense, &l->ffn, failure);
    MOE_PASS(put_floats(u, &from->router, l->router, failure));
    MOE_PASS(put_floats(u, &from->router_bias, l->router_bias, failure));
    MOE_PASS(put_floats(u, &from->correction, l->correction, failure));
    MOE_PASS(put_floats(u, &from->shared_gate, l->shared_gate, failure));
    MOE_PASS(put_block(u, &from->shared, &l->shared, failure));
    return l->experts ? put_experts(u, from, l, failure) : (int)MOE_CUDA_OK;
}

static int
put_all(uploader *u, const moe_cuda_model *model, moe_cuda_failure *failure)
{
    moe_cuda_state *s = u->s;
    char *buffer;
    MOE_PASS(open_uploader(u, s, failure));
    MOE_PASS(take_buffer(u, &buffer, failure));
    memcpy(buffer, model->inverse, s->pairs * sizeof(double));
    MOE_PASS(sent(u, s->inverse, s->pairs * sizeof(double), failure));
    MOE_PASS(put_bf16(u, &model->embedding, s->embedding, failure));
    if (s->unembedding != s->embedding)
        MOE_PASS(put_bf16(u, &model->unembedding, s->unembedding, failure));
    MOE_PASS(put_floats(u, &model->final_norm, s->final_norm, failure));
    for (uint32_t l = 0; l < s->n_layers; l++)
        MOE_PASS(put_layer(u, &model->layers[l], &s->layers[l], failure));
    MOE_TRY(cudaStreamSynchronize(s->stream));
    return MOE_CUDA_OK;
}

int
moe_cuda_upload(moe_cuda_state *s, const moe_cuda_model *model, moe_cuda_failure *failure)
{
    uploader u = {};
    u.s = s;
    int put = put_all(&u, model, failure);
    close_uploader(&u);
    return put;
}
