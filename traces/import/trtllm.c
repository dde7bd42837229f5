/* TensorRT-LLM: routed_experts of a request [tokens - 1, layers, k] (arrays, or answers of its
 * server), and the expert statistics that EXPERT_STATISTIC_PATH collects, where they name the
 * experts of each token: token_selected_experts_rank<r>.safetensors, tensors "<iteration>_<layer>"
 * [tokens, k]. These do not say which request a row is of. Plain statistics are counts, of which no
 * routing can be made. */
#include "traces/import/arrays.h"
#include "traces/import/bundle.h"
#include "traces/import/gather.h"
#include "traces/import/response.h"

#include <stdlib.h>
#include <string.h>

/* A tensor "<iteration>_<layer>". */
typedef struct trtllm_tensor {
    uint32_t iteration, layer;
    const moe_array *array;
} trtllm_tensor;

typedef struct trtllm_rank {
    moe_bundle *bundle;
    trtllm_tensor *tensors; /* by iteration, then layer */
    size_t n;
    size_t n_iterations;
    uint64_t n_rows; /* of each iteration, when all have as many; else 0 */
    bool twice;      /* equal to a rank before */
} trtllm_rank;

typedef struct trtllm_import {
    moe_import_job *job;
    trtllm_rank *ranks; /* [job->n_paths] */
    double total, done;
    uint32_t sequence; /* the next */
} trtllm_import;

static int
trtllm_order(const void *a, const void *b)
{
    const trtllm_tensor *x = a, *y = b;
    if (x->iteration != y->iteration)
        return x->iteration < y->iteration ? -1 : 1;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

/* Two whole numbers with '_' in between. */
static bool
trtllm_name(const char *name, trtllm_tensor *out)
{
    char *end;
    if (!g_ascii_isdigit(*name))
        return false;
    guint64 iteration = g_ascii_strtoull(name, &end, 10);
    if (*end != '_' || !g_ascii_isdigit(end[1]))
        return false;
    guint64 layer = g_ascii_strtoull(end + 1, &end, 10);
    out->iteration = (uint32_t)MIN(iteration, (guint64)MOE_NONE);
    out->layer = (uint32_t)MIN(layer, (guint64)MOE_NONE);
    return *end == '\0' && iteration < MOE_NONE && layer < MOE_NONE;
}

static bool
trtllm_tensor_check(const moe_array *array, const moe_place *place)
{
    g_autofree char *text = moe_array_text(array);
    if (array->rank == 1)
        return moe_place_error(place,
                               "%s counts how often each expert was used, not which tokens used "
                               "it: no routing can be made of it; wants "
                               "token_selected_experts_rank*.safetensors or routed_experts",
                               text);
    if (array->rank != 2 || !moe_array_is_whole(array) || array->shape[1] < 1 ||
        array->shape[1] > MOE_ROUTING_MAX_K)
        return moe_place_error(place, "%s; wants whole numbers [tokens, k]", text);
    return true;
}

static bool
trtllm_open(trtllm_import *t, size_t i)
{
    trtllm_rank *rank = &t->ranks[i];
    rank->bundle = moe_bundle_open(t->job, i);
    if (!rank->bundle)
        return false;
    t->total += moe_bundle_bytes(rank->bundle);
    size_t n = moe_bundle_count(rank->bundle);
    rank->tensors = g_new(trtllm_tensor, n + 1);
    for (size_t j = 0; j < n; j++) {
        trtllm_tensor *tensor = &rank->tensors[rank->n++];
        tensor->array = moe_bundle_at(rank->bundle, j);
        moe_place place = moe_bundle_place(rank->bundle, tensor->array);
        if (!trtllm_name(tensor->array->name, tensor))
            return moe_place_error(&place, "a tensor that is not named \"<iteration>_<layer>\"");
        if (!trtllm_tensor_check(tensor->array, &place))
            return false;
    }
    qsort(rank->tensors, rank->n, sizeof *rank->tensors, trtllm_order);
    return true;
}

/* How many tensors the iteration at `first` has, all of as many tokens; 0 after a message. */
static size_t
trtllm_iteration(const trtllm_rank *rank, size_t first)
{
    const trtllm_tensor *one = &rank->tensors[first];
    size_t n = 1;
    for (; first + n < rank->n && one[n].iteration == one->iteration; n++) {
        moe_place place = moe_bundle_place(rank->bundle, one[n].array);
        if (one[n].array->shape[0] == one->array->shape[0] &&
            one[n].array->shape[1] == one->array->shape[1] && one[n].layer != one[n - 1].layer)
            continue;
        g_autofree char *text = moe_array_text(one[n].array), *other = moe_array_text(one->array);
        moe_place_error(&place,
                        "%s, but %.100s is %s; the layers of an iteration want the same tokens and "
                        "the same k",
                        text, one->array->name, other);
        return 0;
    }
    return n;
}

/* Iterations and their rows. */
static bool
trtllm_count(trtllm_rank *rank)
{
    bool same = true;
    for (size_t at = 0, n; at < rank->n; at += n) {
        n = trtllm_iteration(rank, at);
        if (n == 0)
            return false;
        same &= rank->tensors[at].array->shape[0] == rank->tensors[0].array->shape[0];
        rank->n_iterations++;
    }
    rank->n_rows = same && rank->n ? rank->tensors[0].array->shape[0] : 0;
    return true;
}

/* Ranks that share their tokens (tensor parallelism) record the same. */
static bool
trtllm_equal(const trtllm_rank *a, const trtllm_rank *b)
{
    bool equal = a->n == b->n;
    for (size_t i = 0; equal && i < a->n; i++) {
        const moe_array *x = a->tensors[i].array, *y = b->tensors[i].array;
        equal = trtllm_order(&a->tensors[i], &b->tensors[i]) == 0 && x->type == y->type &&
                x->shape[0] == y->shape[0] && x->shape[1] == y->shape[1];
        size_t bytes =
            equal ? (size_t)(x->shape[0] * x->shape[1]) * moe_array_type_bytes(x->type) : 0;
        equal = equal && (bytes == 0 || memcmp(x->data, y->data, bytes) == 0);
    }
    return equal;
}

/* ---- the walk ---- */

/* One iteration: row i is of sequence i when all iterations have as many rows, else the iteration
 * is a sequence of its own. */
static bool
trtllm_block(trtllm_import *t, size_t input, size_t first, size_t n, uint32_t index,
             moe_block_sink *sink, void *context)
{
    const trtllm_rank *rank = &t->ranks[input];
    const trtllm_tensor *one = &rank->tensors[first];
    uint64_t n_tokens = one->array->shape[0];
    bool steady = rank->n_rows > 0;
    g_autofree moe_array *layers = g_new(moe_array, n);
    g_autofree uint32_t *numbers = g_new(uint32_t, n);
    g_autofree uint32_t *facts = g_new(uint32_t, 3 * n_tokens + 1);
    moe_array columns[3];
    moe_block b = {.place = moe_bundle_place(rank->bundle, one->array),
                   .input = input,
                   .n_tokens = n_tokens,
                   .n_layers = (uint32_t)n,
                   .k = (uint32_t)one->array->shape[1],
                   .layers = layers,
                   .numbers = numbers,
                   .total = t->total};
    for (size_t l = 0; l < n; l++) {
        layers[l] = *one[l].array;
        numbers[l] = one[l].layer;
    }
    for (uint64_t i = 0; i < n_tokens; i++) {
        facts[i] = t->sequence + (steady ? (uint32_t)i : index);
        facts[n_tokens + i] = steady ? index : (uint32_t)i;
        facts[2 * n_tokens + i] = one->iteration;
    }
    for (uint64_t f = 0; f < 3; f++)
        columns[f] = (moe_array){.name = "",
                                 .data = (const uint8_t *)(facts + f * n_tokens),
                                 .type = MOE_ARRAY_U32,
                                 .rank = 1,
                                 .shape = {n_tokens},
                                 .stride = {sizeof *facts}};
    b.facts[MOE_TOKEN_SEQUENCE] = &columns[0];
    b.facts[MOE_TOKEN_POSITION] = &columns[1];
    b.facts[MOE_TOKEN_STEP] = &columns[2];
    b.done = t->done + moe_bundle_bytes(rank->bundle) * (double)(first + n) / (double)rank->n;
    return sink(context, &b);
}

static bool
trtllm_walk(void *source, moe_block_sink *sink, void *context)
{
    trtllm_import *t = source;
    for (size_t i = 0; i < t->job->n_paths; i++) {
        const trtllm_rank *rank = &t->ranks[i];
        uint32_t index = 0;
        for (size_t at = 0, n; !rank->twice && at < rank->n; at += n) {
            n = trtllm_iteration(rank, at);
            if (!trtllm_block(t, i, at, n, index++, sink, context))
                return false;
        }
        if (!rank->twice)
            t->sequence += (uint32_t)(rank->n_rows ? rank->n_rows : rank->n_iterations);
        t->done += moe_bundle_bytes(rank->bundle);
    }
    return true;
}

static void
trtllm_note(const trtllm_import *t, size_t i)
{
    const trtllm_rank *rank = &t->ranks[i];
    if (rank->twice)
        moe_import_note(t->job, "%s: the same tokens as a rank before: left out", t->job->paths[i]);
    else if (rank->n_rows)
        moe_import_note(t->job,
                        "%s: requests are not named; all %zu iterations have %" G_GUINT64_FORMAT
                        " rows, row i taken as sequence i",
                        t->job->paths[i], rank->n_iterations, rank->n_rows);
    else
        moe_import_note(t->job,
                        "%s: requests are not named, and iterations differ in length: each of %zu "
                        "taken as a sequence",
                        t->job->paths[i], rank->n_iterations);
}

static moe_routing_builder *
trtllm_statistics(moe_import_job *job)
{
    trtllm_import t = {.job = job, .ranks = g_new0(trtllm_rank, job->n_paths)};
    bool ok = true;
    for (size_t i = 0; ok && i < job->n_paths; i++) {
        ok = trtllm_open(&t, i) && trtllm_count(&t.ranks[i]);
        for (size_t j = 0; ok && j < i; j++)
            t.ranks[i].twice |= trtllm_equal(&t.ranks[i], &t.ranks[j]);
        if (ok)
            trtllm_note(&t, i);
    }
    moe_routing_builder *builder = ok ? moe_gather(job, "tensorrt-llm", trtllm_walk, &t) : NULL;
    for (size_t i = 0; i < job->n_paths; i++) {
        moe_bundle_close(t.ranks[i].bundle);
        g_free(t.ranks[i].tensors);
    }
    g_free(t.ranks);
    return builder;
}

/* ---- the importer ---- */

/* Whether a safetensors header names a tensor "<iteration>_<layer>". */
static bool
trtllm_names(const char *head, size_t n)
{
    for (size_t at = 9; at + 4 < n; at++) {
        if (head[at] != '"' || !g_ascii_isdigit(head[at + 1]))
            continue;
        size_t end = at + 1;
        bool underscore = false;
        for (; end < n && (g_ascii_isdigit(head[end]) || (head[end] == '_' && !underscore)); end++)
            underscore |= head[end] == '_';
        if (underscore && end < n && head[end] == '"')
            return true;
    }
    return false;
}

static int
trtllm_sniff(const char *path, const char *head, size_t n)
{
    static const char *const marks[] = {NULL};
    if (moe_arrays_head(head, n))
        return n > 9 && head[8] == '{' && trtllm_names(head, MIN(n, (size_t)4096)) ? 60 : 5;
    return MIN(moe_response_sniff(head, n, marks, 0), 5);
}

static moe_routing_builder *
trtllm_run(moe_import_job *job)
{
    bool tensors;
    if (!moe_arrays_are(job, &tensors))
        return moe_response_import(job, "tensorrt-llm");
    return tensors ? trtllm_statistics(job)
                   : moe_arrays_import(job, "tensorrt-llm", MOE_ROWS_BATCH_FIRST);
}

const moe_importer moe_importer_trtllm = {
    .name = "trtllm",
    .help = "Routed experts of TensorRT-LLM: token_selected_experts_rank*.safetensors (tensors "
            "\"<iteration>_<layer>\" [tokens, k]), or routed_experts of requests saved by numpy or "
            "in answers. Expert statistics that only count are refused.",
    .many = true,
    .sniff = trtllm_sniff,
    .run = trtllm_run,
};
