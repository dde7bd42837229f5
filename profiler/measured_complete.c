/* What a measured row leaves out, and whether it can be. */
#include "profiler/measured_columns.h"

#include <math.h>
#include <string.h>

enum { LONGEST_US = 60 * 1000 * 1000 };
/* Faster than anything that exists: below the first no kernel and no copy ends, and the others are
 * a few times the best of today's devices, their caches included. */
static const double least_us = 0.1, most_flops = 2e16, most_bytes = 4e13, most_link = 1e12;

/* ---- what a row leaves out ---- */

static void
derive_distinct(moe_measured *table, moe_measured_row *row)
{
    uint32_t n = (uint32_t)row->distinct, *loads = moe_measured_loads(table, n);
    int64_t choices = row->tokens * row->top_k;
    for (uint32_t i = 0; i < n; i++)
        loads[i] = (uint32_t)(choices / n + (i < choices % n));
    row->loads = loads;
    row->n_loads = n;
    row->draws = 1;
}

static const char *
derive_loads(moe_measured *table, moe_measured_row *row, const char **column)
{
    *column = "loads";
    if (row->distinct > 0 || !strcmp(row->distribution, "single")) {
        if (row->tokens <= 0 || row->top_k <= 0)
            return "wants loads, or tokens and top_k";
        if (row->distinct > row->tokens * row->top_k)
            return "more distinct experts than tokens * top_k";
        if (!row->distinct)
            row->distinct = row->top_k;
        derive_distinct(table, row);
        return NULL;
    }
    return moe_measured_spread(table, row);
}

/* The experts of one draw. */
static const char *
check_draw(const moe_measured_row *row, const uint32_t *loads, uint32_t n)
{
    if (row->experts && n > row->experts)
        return "more experts with tokens than experts";
    if (row->distinct && n != row->distinct)
        return "not as many experts with tokens as distinct says";
    for (uint32_t i = 0; i < n && row->tokens && !row->drawn; i++)
        if (loads[i] > row->tokens)
            return "an expert has more tokens than enter the layer";
    return NULL;
}

static const char *
complete_experts(moe_measured *table, moe_measured_row *row, const char **column)
{
    const char *wrong = NULL;
    if (!row->matrices)
        row->matrices = 3;
    *column = "matrices";
    if (row->matrices < 2)
        return "an expert has 2 or 3 matrices";
    if (!row->draws && (wrong = derive_loads(table, row, column)))
        return wrong;
    *column = "loads";
    for (uint32_t i = 0; i < row->draws; i++) {
        uint32_t n = 0;
        const uint32_t *loads = moe_measured_draw(row, i, &n);
        if ((wrong = check_draw(row, loads, n)))
            return wrong;
    }
    if (row->draws == 1)
        row->distinct = row->n_loads;
    return NULL;
}

static const char *
complete_attention(moe_measured_row *row, const char **column)
{
    bool latent = row->variant == MOE_MEASURED_MLA || row->variant == MOE_MEASURED_MLA_MODULE ||
                  row->variant == MOE_MEASURED_SPARSE_MODULE;
    if (!row->kv_bits)
        row->kv_bits = row->weight_bits;
    *column = "kv_heads";
    if (row->heads % row->kv_heads)
        return "heads is no multiple of kv_heads";
    *column = "kv_rank";
    if (latent && !row->kv_rank)
        return "MLA wants kv_rank, the width of its latent";
    *column = "selected";
    if (row->variant == MOE_MEASURED_SPARSE && !row->selected)
        return "sparse attention wants selected, the keys that a query reads";
    *column = "queries";
    return row->queries > row->context ? "more queries than keys that the last of them sees" : NULL;
}

static const char *
complete_copy(const moe_measured_row *row, const char **column)
{
    *column = row->request ? "request" : "depth";
    if ((row->request || row->depth) && row->direction != MOE_MEASURED_DISK)
        return "only copies from a disk are made of requests";
    if (row->depth > 1 && !row->request)
        return "requests in flight, but no 'request' says how large they are";
    return row->request > row->bytes ? "a request is larger than all bytes" : NULL;
}

static const char *
complete_collective(moe_measured_row *row, const char **column)
{
    bool tokens = row->collective >= MOE_MEASURED_DISPATCH;
    *column = "ranks";
    if (row->ranks % row->nodes)
        return "ranks is no multiple of nodes";
    *column = NULL;
    if (tokens && (!row->tokens || !row->hidden || !row->top_k || !row->experts))
        return "dispatch and combine want tokens, hidden, top_k and experts";
    return !tokens && !row->bytes ? "a collective wants bytes" : NULL;
}

/* ---- whether a device can have done it ---- */

static double
routed_tokens(const moe_measured_row *row)
{
    double tokens = 0;
    for (uint32_t i = 0; i < row->n_loads; i++)
        tokens += row->loads[i];
    return tokens / MAX(row->draws, 1);
}

/* FLOPs and bytes of an attention at the least, for heads of head_dim that read what they must. */
static void
attention_amounts(const moe_measured_row *row, double *flops, double *bytes)
{
    double q = (double)row->queries, keys = (double)row->context, mean = keys - (q - 1) / 2;
    double limit = (double)(row->selected ? row->selected : row->window);
    double dim = (double)row->head_dim * (double)row->sequences;

    if (row->variant == MOE_MEASURED_LINEAR)
        return;
    if (limit > 0) {
        keys = fmin(keys, limit);
        mean = fmin(mean, limit) / 2; /* the first see fewer */
    }
    *flops = (row->variant == MOE_MEASURED_SCORES ? 2 : 4) * dim * (double)row->heads * q * mean;
    if (row->kv_rank)
        *bytes = (double)(row->sequences * (row->kv_rank + row->rope_dim)) * keys;
    else
        *bytes = (row->variant == MOE_MEASURED_SCORES ? 1 : 2) * dim * (double)row->kv_heads * keys;
    *bytes *= row->kv_bits / 8;
}

/* FLOPs and bytes at the least: weights once, keys and values once. */
void
moe_measured_amounts(const moe_measured_row *row, double *flops, double *bytes)
{
    double size = row->weight_bits / 8, part = 1;
    *flops = *bytes = 0;
    if (row->kind == MOE_MEASURED_GEMM) {
        *flops = 2.0 * (double)row->m * (double)row->n * (double)row->k;
        *bytes = (double)row->n * (double)row->k * size;
    } else if (row->kind == MOE_MEASURED_EXPERTS) {
        double params = (double)row->matrices * (double)row->hidden * (double)row->width;
        if (row->part != MOE_MEASURED_WHOLE)
            part = (row->part == MOE_MEASURED_UP ? (double)row->matrices - 1 : 1) /
                   (double)row->matrices;
        *flops = 2 * params * part * routed_tokens(row);
        *bytes = params * part * row->n_loads / MAX(row->draws, 1) * size;
    } else if (row->kind == MOE_MEASURED_ATTENTION) {
        attention_amounts(row, flops, bytes);
    } else if (row->kind == MOE_MEASURED_COPY || row->kind == MOE_MEASURED_STREAM) {
        *bytes = (double)row->bytes;
    }
}

static const char *
implausible(const moe_measured_row *row)
{
    bool link = row->kind == MOE_MEASURED_COPY && row->direction != MOE_MEASURED_D2D;
    double seconds = row->time_us / 1e6, flops, bytes;
    double least = least_us * (row->kind == MOE_MEASURED_LAUNCH ? (double)row->kernels : 1);

    moe_measured_amounts(row, &flops, &bytes);
    if (row->time_us > LONGEST_US)
        return "longer than a minute: microseconds are wanted, are these nanoseconds?";
    if (row->time_us < least)
        return "shorter than any kernel or copy: microseconds are wanted, are these milliseconds?";
    if (flops / seconds > most_flops)
        return "above 20 PFLOPS: microseconds are wanted, are these milliseconds?";
    if (bytes / seconds > (link ? most_link : most_bytes))
        return link ? "above 1 TB/s: microseconds are wanted, are these milliseconds?"
                    : "above 40 TB/s: microseconds are wanted, are these milliseconds?";
    return NULL;
}

const char *
moe_measured_complete(moe_measured *table, moe_measured_row *row, const char **column)
{
    const char *wrong = NULL;
    if (!row->weight_bits)
        row->weight_bits = 16;
    if (!row->activation_bits)
        row->activation_bits = 16;
    if (row->kind == MOE_MEASURED_EXPERTS)
        wrong = complete_experts(table, row, column);
    if (row->kind == MOE_MEASURED_ATTENTION)
        wrong = complete_attention(row, column);
    if (row->kind == MOE_MEASURED_COPY)
        wrong = complete_copy(row, column);
    if (row->kind == MOE_MEASURED_COLLECTIVE)
        wrong = complete_collective(row, column);
    if (wrong)
        return wrong;
    *column = "time_us";
    return implausible(row);
}
