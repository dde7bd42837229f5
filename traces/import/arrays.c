#include "traces/import/arrays.h"

#include "traces/import/bundle.h"
#include "traces/import/gather.h"
#include "traces/import/npy_format.h"
#include "traces/import/zip.h"

#include <string.h>

/* What the arrays of one input are. */
typedef struct arrays_input {
    moe_bundle *bundle;
    GPtrArray *sequences; /* of moe_array: ids or logits of rank 3 */
    moe_array *flat;      /* [n_flat]: layers of rank 2, in order */
    uint32_t *numbers;    /* [n_flat], or NULL */
    size_t n_flat;
    const moe_array *weights, *prompts, *layer_ids;
    moe_array facts[MOE_TOKEN_FACTS]; /* rank 0: absent */
} arrays_input;

typedef struct arrays_import {
    moe_import_job *job;
    moe_row_order order;
    arrays_input *inputs; /* [job->n_paths] */
    uint32_t axis;        /* of arrays of rank 3 that counts layers */
    double total;

    /* of the walk */
    moe_block_sink *sink;
    void *context;
    uint32_t sequence;
    double done;
} arrays_import;

/* ---- what is what ---- */

/* A per-token array of rank 2 (batch and length) as one of rank 1; false when it is not dense. */
static bool
arrays_flatten(moe_array *array)
{
    if (array->rank == 1)
        return true;
    if (array->rank != 2 || array->stride[0] != array->stride[1] * (int64_t)array->shape[1])
        return false;
    array->rank = 1;
    array->shape[0] *= array->shape[1];
    array->stride[0] = array->stride[1];
    return true;
}

/* Whether an array is known by its name; then it is noted. */
static bool
arrays_named(arrays_input *in, const moe_array *array)
{
    static const struct {
        const char *name;
        moe_token_fact fact;
    } aliases[] = {{"input_ids", MOE_TOKEN_ID}, {"token_ids", MOE_TOKEN_ID}};
    int fact = 0;
    if (!moe_array_is_whole(array))
        return false;
    if (strcmp(array->name, "prompt_lengths") == 0 && array->rank == 1)
        in->prompts = array;
    if (strcmp(array->name, "layer_ids") == 0 && array->rank == 1)
        in->layer_ids = array;
    if (array == in->prompts || array == in->layer_ids)
        return true;
    while (fact < MOE_TOKEN_FACTS && strcmp(array->name, moe_token_fact_names[fact]) != 0)
        fact++;
    for (size_t i = 0; i < MOE_COUNT(aliases); i++)
        if (strcmp(array->name, aliases[i].name) == 0)
            fact = (int)aliases[i].fact;
    moe_array flat = *array;
    if (fact == MOE_TOKEN_FACTS || !arrays_flatten(&flat))
        return false;
    in->facts[fact] = flat;
    return true;
}

/* The type and rank of arrays that decide what the input holds: ids before logits, whole tensors
 * before single layers. */
typedef struct arrays_form {
    bool whole;
    uint32_t rank;
} arrays_form;

static bool
arrays_has(const moe_array *array, const arrays_form *form)
{
    return array->rank == form->rank && moe_array_is_whole(array) == form->whole;
}

static bool
arrays_sort(const arrays_import *a, arrays_input *in)
{
    static const arrays_form forms[] = {{true, 3}, {true, 2}, {false, 3}, {false, 2}};
    size_t n = moe_bundle_count(in->bundle), form = 0, found = 0;
    g_autofree bool *named = g_new0(bool, n + 1);
    for (size_t i = 0; i < n; i++)
        named[i] = arrays_named(in, moe_bundle_at(in->bundle, i));
    for (; form < MOE_COUNT(forms) && !found; form += !found)
        for (size_t i = 0; i < n; i++)
            found += !named[i] && arrays_has(moe_bundle_at(in->bundle, i), &forms[form]);
    moe_place whole = moe_bundle_place(in->bundle, NULL);
    if (!found)
        return moe_place_error(&whole, "no array of it is ids [tokens, layers, k], or router "
                                       "logits [tokens, experts] of a layer");
    in->sequences = g_ptr_array_new();
    in->flat = g_new(moe_array, found);
    for (size_t i = 0; i < n; i++) {
        const moe_array *array = moe_bundle_at(in->bundle, i);
        if (named[i])
            continue;
        g_autofree char *text = moe_array_text(array);
        if (!arrays_has(array, &forms[form])) {
            bool weights = forms[form].whole && forms[form].rank == 3 && found == 1 &&
                           array->rank == 3 && !in->weights;
            in->weights = weights ? array : in->weights;
            if (!weights)
                moe_import_note(a->job, "%.200s, %s: ignored", array->name, text);
        } else if (forms[form].rank == 3) {
            g_ptr_array_add(in->sequences, (void *)(uintptr_t)array);
        } else {
            in->flat[in->n_flat++] = *array;
        }
    }
    return true;
}

/* One array of whole numbers of rank 2 is [tokens, layers] of a top-1 model. */
static void
arrays_top_1(const arrays_import *a, arrays_input *in)
{
    if (in->n_flat != 1 || !moe_array_is_whole(&in->flat[0]) || a->job->options->layers == 1)
        return;
    moe_array *array = &in->flat[0];
    array->rank = 3;
    array->shape[2] = 1;
    array->stride[2] = 1;
    g_ptr_array_add(in->sequences, array);
    in->n_flat = 0;
}

/* Layers that are arrays of their own agree in their tokens and in their k. */
static bool
arrays_check_flat(arrays_input *in)
{
    in->numbers = g_new(uint32_t, in->n_flat + 1);
    if (!moe_order_layers(in->flat, in->n_flat, in->numbers))
        g_clear_pointer(&in->numbers, g_free);
    const moe_array *first = &in->flat[0];
    for (size_t i = 1; i < in->n_flat; i++) {
        const moe_array *array = &in->flat[i];
        if (array->shape[0] == first->shape[0] && array->shape[1] == first->shape[1])
            continue;
        moe_place place = moe_bundle_place(in->bundle, array);
        g_autofree char *text = moe_array_text(array), *other = moe_array_text(first);
        return moe_place_error(&place,
                               "%s, but %.200s is %s; every layer wants the same tokens and the "
                               "same k",
                               text, first->name, other);
    }
    return true;
}

static bool
arrays_check_facts(const arrays_input *in, uint64_t n_tokens)
{
    moe_place whole = moe_bundle_place(in->bundle, NULL);
    for (int f = 0; f < MOE_TOKEN_FACTS; f++) {
        const moe_array *fact = &in->facts[f];
        if (fact->rank && in->sequences->len > 1)
            return moe_place_error(&whole,
                                   "%.100s beside %u arrays of ids: of which? One array of "
                                   "ids and `sequence` say it",
                                   fact->name, in->sequences->len);
        if (fact->rank && fact->shape[0] != n_tokens)
            return moe_place_error(&whole,
                                   "%.100s has %" G_GUINT64_FORMAT
                                   " numbers, but there are %" G_GUINT64_FORMAT " tokens",
                                   fact->name, fact->shape[0], n_tokens);
    }
    return true;
}

static bool
arrays_open(arrays_import *a, size_t i)
{
    arrays_input *in = &a->inputs[i];
    in->bundle = moe_bundle_open(a->job, i);
    if (!in->bundle || !arrays_sort(a, in))
        return false;
    arrays_top_1(a, in);
    a->total += moe_bundle_bytes(in->bundle);
    for (guint s = 0; s < in->sequences->len; s++) {
        const moe_array *array = in->sequences->pdata[s];
        moe_place place = moe_bundle_place(in->bundle, array);
        uint64_t most =
            moe_array_is_whole(array) ? MOE_ROUTING_MAX_K : (uint64_t)MOE_ROUTING_MAX_EXPERTS;
        g_autofree char *text = moe_array_text(array);
        if (array->shape[2] < 1 || array->shape[2] > most)
            return moe_place_error(&place, "%s: the last axis wants 1 to %" G_GUINT64_FORMAT, text,
                                   most);
    }
    return in->n_flat == 0 || arrays_check_flat(in);
}

/* The axis of layers, for all arrays of rank 3 of the job together. */
static bool
arrays_axis(arrays_import *a)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    moe_place place = {0};
    for (size_t i = 0; i < a->job->n_paths; i++) {
        const arrays_input *in = &a->inputs[i];
        for (guint s = 0; s < in->sequences->len; s++) {
            if (all->len == 0)
                place = moe_bundle_place(in->bundle, in->sequences->pdata[s]);
            g_ptr_array_add(all, in->sequences->pdata[s]);
        }
    }
    return all->len == 0 ||
           moe_layer_axis(a->job, (const moe_array *const *)all->pdata, all->len, &place, &a->axis);
}

/* ---- the walk ---- */

/* Takes `every`-th rows of a block from `first` on. */
static void
arrays_rows(moe_array *array, uint64_t first, uint64_t every, uint64_t n)
{
    array->data += (int64_t)first * array->stride[0];
    array->stride[0] *= (int64_t)every;
    array->shape[0] = n;
}

/* A block's rows that belong to sequence `s` of `n`, and leading padding taken off. */
static bool
arrays_part(arrays_import *a, const moe_block *whole, uint32_t s, uint32_t n, uint64_t prompt)
{
    moe_block b = *whole;
    uint64_t length = whole->n_tokens / n, skip = 0;
    bool turns = a->order == MOE_ROWS_SEQUENCE_FIRST;
    uint64_t first = turns ? s : s * length, every = turns ? n : 1;
    g_autofree moe_array *layers = g_new(moe_array, 2 * (size_t)b.n_layers + 1);
    moe_array facts[MOE_TOKEN_FACTS];
    const moe_array *mask = whole->facts[MOE_TOKEN_KEPT];
    while (mask && skip < length && moe_array_whole(mask, first + skip * every) == 0)
        skip++;
    b.n_tokens = length - skip;
    for (uint32_t l = 0; l < b.n_layers; l++) {
        layers[l] = whole->layers[l];
        arrays_rows(&layers[l], first + skip * every, every, b.n_tokens);
        if (!whole->weights)
            continue;
        layers[b.n_layers + l] = whole->weights[l];
        arrays_rows(&layers[b.n_layers + l], first + skip * every, every, b.n_tokens);
    }
    b.layers = layers;
    b.weights = whole->weights ? layers + b.n_layers : NULL;
    for (int f = 0; f < MOE_TOKEN_FACTS; f++) {
        if (!whole->facts[f])
            continue;
        facts[f] = *whole->facts[f];
        arrays_rows(&facts[f], first + skip * every, every, b.n_tokens);
        b.facts[f] = &facts[f];
    }
    b.sequence = a->sequence++;
    b.n_prefill = prompt;
    b.done = a->done + (whole->done - a->done) * (s + 1) / n;
    return a->sink(a->context, &b);
}

/* The layers of one array of rank 3, or of all of rank 2, as a block, then its sequences. */
static bool
arrays_block(arrays_import *a, const arrays_input *in, const moe_array *array, uint32_t at)
{
    uint32_t n = a->job->options->sequences ? a->job->options->sequences : 1;
    moe_block b = {.place = moe_bundle_place(in->bundle, array),
                   .input = (size_t)(in - a->inputs),
                   .total = a->total};
    b.done = a->done + moe_bundle_bytes(in->bundle) / MAX(in->sequences->len, 1u);
    b.n_layers = (uint32_t)(array ? array->shape[a->axis] : in->n_flat);
    b.n_tokens = array ? array->shape[1 - a->axis] : in->flat[0].shape[0];
    const moe_array *any = array ? array : &in->flat[0];
    b.k = (uint32_t)MIN(any->shape[array ? 2 : 1], (uint64_t)MOE_NONE);
    b.logits = !moe_array_is_whole(any);
    g_autofree moe_array *views = g_new(moe_array, 2 * (size_t)b.n_layers + 1);
    if (array)
        moe_block_views(array, a->axis, views);
    b.layers = array ? views : in->flat;
    if (array && in->weights) {
        moe_block_views(in->weights, a->axis, views + b.n_layers);
        b.weights = views + b.n_layers;
    }
    g_autofree uint32_t *numbers = g_new(uint32_t, (size_t)b.n_layers + 1);
    b.numbers = in->numbers;
    for (uint32_t l = 0; in->layer_ids && l < b.n_layers; l++)
        numbers[l] = (uint32_t)moe_array_whole(in->layer_ids, l);
    if (in->layer_ids)
        b.numbers = numbers;
    for (int f = 0; f < MOE_TOKEN_FACTS; f++)
        b.facts[f] = in->facts[f].rank ? &in->facts[f] : NULL;
    if (b.n_tokens % n)
        return moe_place_error(&b.place,
                               "%" G_GUINT64_FORMAT " tokens are no multiple of %u sequences "
                               "(--sequences)",
                               b.n_tokens, n);
    b.phase_known = in->prompts != NULL;
    for (uint32_t s = 0; s < n; s++) {
        uint64_t prompt = in->prompts ? (uint64_t)moe_array_whole(in->prompts, at * n + s) : 0;
        if (!arrays_part(a, &b, s, n, prompt))
            return false;
    }
    a->done = b.done;
    return true;
}

static bool
arrays_walk(void *source, moe_block_sink *sink, void *context)
{
    arrays_import *a = source;
    a->sink = sink;
    a->context = context;
    a->sequence = 0;
    a->done = 0;
    for (size_t i = 0; i < a->job->n_paths; i++) {
        const arrays_input *in = &a->inputs[i];
        if (in->n_flat && !arrays_block(a, in, NULL, 0))
            return false;
        for (guint s = 0; s < in->sequences->len; s++)
            if (!arrays_block(a, in, in->sequences->pdata[s], s))
                return false;
    }
    return true;
}

/* ---- the whole ---- */

/* Numbers beside the arrays: as many as there are tokens, sequences, layers; weights like ids. */
static bool
arrays_check(const arrays_import *a, const arrays_input *in)
{
    uint32_t n = a->job->options->sequences ? a->job->options->sequences : 1;
    const moe_array *one = in->n_flat ? NULL : in->sequences->pdata[0];
    uint64_t n_tokens = one ? one->shape[1 - a->axis] : in->flat[0].shape[0];
    uint64_t n_layers = one ? one->shape[a->axis] : in->n_flat;
    uint64_t n_sequences = (uint64_t)n * (one ? in->sequences->len : 1);
    moe_place whole = moe_bundle_place(in->bundle, NULL);
    if (in->weights && memcmp(in->weights->shape, one->shape, 3 * sizeof *one->shape) != 0) {
        g_autofree char *text = moe_array_text(in->weights), *ids = moe_array_text(one);
        return moe_place_error(&whole, "%.100s is %s, but the ids are %s", in->weights->name, text,
                               ids);
    }
    if (in->prompts && in->prompts->shape[0] != n_sequences)
        return moe_place_error(&whole,
                               "prompt_lengths has %" G_GUINT64_FORMAT
                               " numbers, but there are %" G_GUINT64_FORMAT " sequences",
                               in->prompts->shape[0], n_sequences);
    for (uint64_t i = 0; in->prompts && i < n_sequences; i++)
        if (moe_array_whole(in->prompts, i) < 0)
            return moe_place_error(&whole, "prompt_lengths: a negative length");
    if (in->layer_ids && in->layer_ids->shape[0] != n_layers)
        return moe_place_error(&whole,
                               "layer_ids has %" G_GUINT64_FORMAT
                               " numbers, but there are %" G_GUINT64_FORMAT " layers",
                               in->layer_ids->shape[0], n_layers);
    for (uint64_t i = 0; in->layer_ids && i < n_layers; i++) {
        int64_t number = moe_array_whole(in->layer_ids, i);
        if (number < 0 || number >= MOE_NONE ||
            (i > 0 && number <= moe_array_whole(in->layer_ids, i - 1)))
            return moe_place_error(&whole, "layer_ids wants ascending numbers from 0 on");
    }
    return arrays_check_facts(in, n_tokens);
}

static void
arrays_clear(arrays_import *a)
{
    for (size_t i = 0; i < a->job->n_paths; i++) {
        arrays_input *in = &a->inputs[i];
        if (in->sequences)
            g_ptr_array_free(in->sequences, TRUE);
        g_free(in->flat);
        g_free(in->numbers);
        moe_bundle_close(in->bundle);
    }
    g_free(a->inputs);
}

moe_routing_builder *
moe_arrays_import(moe_import_job *job, const char *engine, moe_row_order order)
{
    arrays_import a = {.job = job, .order = order, .axis = 1};
    a.inputs = g_new0(arrays_input, job->n_paths);
    bool ok = true;
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = arrays_open(&a, i);
    ok = ok && arrays_axis(&a);
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = arrays_check(&a, &a.inputs[i]);
    moe_routing_builder *builder = ok ? moe_gather(job, engine, arrays_walk, &a) : NULL;
    arrays_clear(&a);
    return builder;
}

bool
moe_arrays_head(const char *head, size_t n)
{
    bool tensors = n >= 9 && head[7] == 0 && head[8] == '{';
    return moe_npy_is(head, n) || moe_zip_is(head, n) || tensors;
}

bool
moe_arrays_are(const moe_import_job *job, bool *safetensors)
{
    g_autoptr(moe_text_source) source = moe_import_again(job, 0) ? moe_import_open(job, 0) : NULL;
    char head[9] = {0};
    const char *damage;
    size_t n = 0, got = 1;
    while (source && n < sizeof head && got &&
           moe_text_source_read(source, head + n, sizeof head - n, &got, &damage, NULL))
        n += got;
    bool arrays = moe_arrays_head(head, n);
    if (safetensors)
        *safetensors = arrays && !moe_npy_is(head, n) && !moe_zip_is(head, n);
    return arrays;
}
