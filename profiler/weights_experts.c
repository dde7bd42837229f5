/* Where the bytes of experts lie, for who reads them by itself. */
#include "profiler/weights.h"
#include "profiler/weights_set.h"

#include <stdlib.h>

/* A span, and where it is mapped. */
typedef struct expert_run {
    const uint8_t *begin;
    uint64_t bytes, offset;
    uint32_t file;
} expert_run;

typedef struct expert_runs {
    expert_run run[MOE_EXPERT_SPANS];
    size_t n;
} expert_runs;

#define EXPERT_MATRICES 6

static void
expert_matrices(moe_mlp *mlp, moe_matrix *out[EXPERT_MATRICES])
{
    moe_matrix *all[] = {&mlp->gate,      &mlp->up,      &mlp->down,
                         &mlp->gate_bias, &mlp->up_bias, &mlp->down_bias};
    for (size_t i = 0; i < EXPERT_MATRICES; i++)
        out[i] = all[i];
}

/* From the first to the last element, what lies between included. */
static uint64_t
matrix_bytes(const moe_matrix *m)
{
    uint64_t elements = (m->rows - 1) * m->stride + (m->cols - 1) * m->step + 1;
    switch (m->type) {
    case MOE_WEIGHT_F32:
        return elements * 4;
    case MOE_WEIGHT_MXFP4:
        return elements / 2 + elements % 2;
    default:
        return elements * 2;
    }
}

static void
runs_add(const moe_weights_set *set, expert_runs *runs, const void *begin, uint64_t bytes)
{
    expert_run *run = &runs->run[runs->n++];
    *run = (expert_run){.begin = begin, .bytes = bytes};
    run->file = moe_weights_files_locate(set->files, begin, &run->offset);
}

static int
run_order(const void *a, const void *b)
{
    const expert_run *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sorted; those that touch or overlap are one. */
static void
runs_join(expert_runs *runs)
{
    size_t n = 0;
    qsort(runs->run, runs->n, sizeof runs->run[0], run_order);
    for (size_t i = 0; i < runs->n; i++) {
        const expert_run *run = &runs->run[i];
        expert_run *last = n ? &runs->run[n - 1] : NULL;
        if (last && last->file == run->file && run->offset <= last->offset + last->bytes) {
            uint64_t end = run->offset + run->bytes - last->offset;
            last->bytes = end > last->bytes ? end : last->bytes;
            continue;
        }
        runs->run[n++] = *run;
    }
    runs->n = n;
}

static expert_runs
runs_of(const moe_weights_set *set, uint32_t layer, uint32_t expert)
{
    const moe_layer_weights *l = &set->weights.layers[layer];
    moe_mlp mlp = l->experts[expert];
    moe_matrix *matrices[EXPERT_MATRICES];
    expert_runs runs = {.n = 0};
    expert_matrices(&mlp, matrices);
    for (size_t i = 0; i < EXPERT_MATRICES; i++) {
        const moe_matrix *m = matrices[i];
        if (!m->data)
            continue;
        runs_add(set, &runs, m->data, matrix_bytes(m));
        if (m->type == MOE_WEIGHT_MXFP4)
            runs_add(set, &runs, m->scales, ((m->rows - 1) * m->stride + m->cols) / 32);
    }
    runs_join(&runs);
    return runs;
}

size_t
moe_weights_expert_spans(const moe_weights_set *set, uint32_t layer, uint32_t expert,
                         moe_span out[MOE_EXPERT_SPANS])
{
    expert_runs runs = runs_of(set, layer, expert);
    for (size_t i = 0; i < runs.n; i++) {
        const expert_run *run = &runs.run[i];
        out[i] = (moe_span){moe_weights_files_path(set->files, run->file), run->offset, run->bytes,
                            moe_weights_files_stamp(set->files, run->file)};
    }
    return runs.n;
}

/* Where a byte of the map is in a buffer that holds the runs one behind another. */
static const uint8_t *
runs_in_buffer(const expert_runs *runs, const uint8_t *buffer, const uint8_t *at)
{
    for (size_t i = 0; i < runs->n; i++) {
        const expert_run *run = &runs->run[i];
        if (at >= run->begin && at < run->begin + run->bytes)
            return buffer + (at - run->begin);
        buffer += run->bytes;
    }
    moe_assert(false, "a matrix in none of %zu spans", runs->n);
    return NULL;
}

void
moe_weights_expert_at(const moe_weights_set *set, uint32_t layer, uint32_t expert,
                      const void *buffer, moe_mlp *out)
{
    expert_runs runs = runs_of(set, layer, expert);
    moe_matrix *matrices[EXPERT_MATRICES];
    *out = set->weights.layers[layer].experts[expert];
    expert_matrices(out, matrices);
    for (size_t i = 0; i < EXPERT_MATRICES; i++) {
        moe_matrix *m = matrices[i];
        if (m->data)
            m->data = runs_in_buffer(&runs, buffer, m->data);
        if (m->scales)
            m->scales = runs_in_buffer(&runs, buffer, m->scales);
    }
}

uint64_t
moe_weights_expert_bytes(const moe_weights_set *set, uint32_t layer)
{
    return set->expert_bytes[layer];
}

void
moe_weights_measure_experts(moe_weights_set *set)
{
    const moe_stack *stack = moe_model_decoder(set->weights.arch->model);
    set->expert_bytes = g_new0(uint64_t, set->n_layers);
    for (uint32_t l = 0; l < set->n_layers; l++) {
        for (int e = 0; e < stack->layers[l].ffn.experts; e++) {
            expert_runs runs = runs_of(set, l, (uint32_t)e);
            uint64_t bytes = 0;
            for (size_t i = 0; i < runs.n; i++)
                bytes += runs.run[i].bytes;
            set->expert_bytes[l] = MAX(set->expert_bytes[l], bytes);
        }
    }
}
