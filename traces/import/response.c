#include "traces/import/response.h"

#include "traces/import/gather.h"
#include "traces/import/response_record.h"

#include <string.h>

typedef struct response_import {
    moe_import_job *job;
    const char *engine;
    char *model; /* of the first record that names one */
    int model_line;

    /* of the walk */
    moe_block_sink *sink;
    void *context;
    uint32_t sequence;
    uint64_t n_records, n_without, n_repeated; /* answers; prompts given to several choices */
    char *without; /* the first answer without: the server's error, NULL: none; where it stands */
    const char *without_file;
    int without_line;
    moe_json_stream *stream;
    size_t input;
    const char *file;
} response_import;

/* How long a sequence is, as far as the record says; -1: it does not. */
typedef struct response_length {
    int64_t prompt, output, start;
} response_length;

static moe_place
response_at(const response_import *r, int line, const char *part)
{
    return (moe_place){.loc = {.file = r->file, .line = line}, .part = part, .diag = r->job->diag};
}

static response_length
response_length_of(const response_record *record, const response_choice *choice)
{
    const response_ids *prompt =
        choice->prompt_ids.there ? &choice->prompt_ids : &record->own.prompt_ids;
    bool alone = record->choices->len <= 1;
    response_length l = {record->prompt_tokens, -1, record->start};
    if (prompt->there)
        l.prompt = (int64_t)prompt->n;
    if (choice->ids.there)
        l.output = (int64_t)choice->ids.n;
    else if (alone)
        l.output = record->completion_tokens;
    if (choice->rows.start >= 0)
        l.start = choice->rows.start;
    l.start = MAX(l.start, 0);
    return l;
}

/* Whether so many rows are the sequence from `start` on; the last token is seldom run through the
 * model. */
static bool
response_whole(const response_length *l, int64_t rows)
{
    int64_t all = l->prompt + l->output - l->start;
    return rows == all || rows == all - 1;
}

/* Whether they may be that, or only what was generated. */
static bool
response_fits(const response_length *l, int64_t rows)
{
    if (l->prompt < 0 || l->output < 0)
        return true;
    return response_whole(l, rows) || rows == l->output || rows == l->output - 1;
}

/* ---- shapes ---- */

/* Layers and k of raw numbers: what the user says, the model, the lengths. */
static bool
response_raw_unit(const response_import *r, const response_length *length, uint64_t n,
                  uint64_t *layers, uint64_t *k)
{
    const moe_import_options *o = r->job->options;
    const moe_stack *stack = o->model ? moe_model_decoder(o->model) : NULL;
    uint64_t candidates[3] = {o->layers, 0, 0};
    *k = o->top_k;
    for (int i = 0; stack && i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE && *k == 0)
            *k = (uint64_t)stack->layers[i].ffn.top_k;
    if (stack && !o->layers) {
        candidates[1] = (uint64_t)stack->n_layers;
        candidates[2] = (uint64_t)stack->n_moe;
    }
    for (size_t i = 0; *k && i < MOE_COUNT(candidates); i++) {
        *layers = candidates[i];
        uint64_t unit = *layers * *k;
        if (unit && n % unit == 0 && response_fits(length, (int64_t)(n / unit)))
            return true;
    }
    int64_t rows = length->prompt + length->output - 1 - length->start;
    if (candidates[0] || candidates[1] || *k == 0 || length->prompt < 0 || length->output < 0 ||
        rows <= 0 || n % ((uint64_t)rows * *k))
        return false;
    *layers = n / ((uint64_t)rows * *k);
    return true;
}

static bool
response_shape_raw(const response_import *r, response_rows *rows, const response_length *length,
                   const moe_place *place)
{
    uint64_t n = rows->array.shape[0], layers = 0, k = 0;
    if (!response_raw_unit(r, length, n, &layers, &k))
        return moe_place_error(place,
                               "%" G_GUINT64_FORMAT " int32 numbers without a shape: --layers (all "
                               "of the model's) and --top-k, or --model, must say one that fits",
                               n);
    rows->array.rank = 3;
    rows->array.shape[0] = n / (layers * k);
    rows->array.shape[1] = layers;
    rows->array.shape[2] = k;
    return moe_array_pack(&rows->array, false, n * sizeof(int32_t), NULL);
}

/* Makes the rows an array [tokens, layers, k]. */
static bool
response_shape(const response_import *r, response_rows *rows, const response_length *length,
               const moe_place *place)
{
    moe_array *a = &rows->array;
    if (rows->raw)
        return response_shape_raw(r, rows, length, place);
    g_autofree char *text = moe_array_text(a);
    if (a->rank != 3 || !moe_array_is_whole(a))
        return moe_place_error(place, "%s; wants whole numbers [tokens, layers, k]", text);
    bool first = response_fits(length, (int64_t)MIN(a->shape[0], (uint64_t)MOE_NONE));
    bool second = response_whole(length, (int64_t)MIN(a->shape[1], (uint64_t)MOE_NONE));
    if (!first && second) {
        uint64_t shape = a->shape[0];
        int64_t stride = a->stride[0];
        a->shape[0] = a->shape[1];
        a->stride[0] = a->stride[1];
        a->shape[1] = shape;
        a->stride[1] = stride;
    }
    if (a->shape[0] >= MOE_NONE || a->shape[1] == 0 || a->shape[1] > MOE_ROUTING_MAX_LAYERS ||
        a->shape[2] == 0 || a->shape[2] > MOE_ROUTING_MAX_K)
        return moe_place_error(place, "%s; wants up to %d layers and %d experts per token", text,
                               MOE_ROUTING_MAX_LAYERS, MOE_ROUTING_MAX_K);
    return first || second ||
           moe_place_error(place,
                           "%s, but the prompt has %" G_GINT64_FORMAT
                           " tokens and the answer %" G_GINT64_FORMAT ": wants their sum%s, or one "
                           "less, as the number of rows",
                           text, length->prompt, length->output,
                           length->start ? ", less what was left out at the start" : "");
}

/* ---- blocks ---- */

/* The ids of all tokens of a sequence, as far as they are known; NULL: not from the start. */
static int32_t *
response_token_ids(const response_record *record, const response_choice *choice, uint64_t *n)
{
    const response_ids *prompt =
        choice->prompt_ids.there ? &choice->prompt_ids : &record->own.prompt_ids;
    if (!prompt->there)
        return NULL;
    *n = prompt->n + choice->ids.n;
    int32_t *ids = g_new(int32_t, *n + 1);
    if (prompt->n)
        memcpy(ids, prompt->ids, prompt->n * sizeof *ids);
    if (choice->ids.n)
        memcpy(ids + prompt->n, choice->ids.ids, choice->ids.n * sizeof *ids);
    return ids;
}

static bool
response_block(response_import *r, const response_rows *rows, const moe_place *place,
               int64_t position, int64_t prompt, const int32_t *ids, uint64_t n_ids)
{
    const moe_array *a = &rows->array;
    double done = 0, total = 0;
    g_autofree moe_array *views = g_new(moe_array, a->shape[1]);
    moe_block_views(a, 1, views);
    moe_json_progress(r->stream, &done, &total);
    moe_block b = {.place = *place,
                   .input = r->input,
                   .n_tokens = a->shape[0],
                   .n_layers = (uint32_t)a->shape[1],
                   .k = (uint32_t)a->shape[2],
                   .layers = views,
                   .sequence = r->sequence,
                   .position = (uint32_t)position,
                   .phase_known = prompt >= 0,
                   .n_prefill = (uint64_t)MAX(prompt, 0),
                   .total = (double)r->job->n_paths};
    b.done = (double)r->input + (total > 0 ? done / total : 0);
    moe_array facts = {.name = "token ids", .type = MOE_ARRAY_I32, .rank = 1};
    if (ids && (uint64_t)position + b.n_tokens <= n_ids) {
        facts.data = (const uint8_t *)(ids + position);
        facts.shape[0] = b.n_tokens;
        facts.stride[0] = sizeof *ids;
        b.facts[MOE_TOKEN_ID] = &facts;
    }
    if ((uint64_t)position + b.n_tokens >= MOE_NONE)
        return moe_place_error(place, "more than 2^32 positions");
    return r->sink(r->context, &b);
}

/* One sequence: the prompt's rows, if they come apart, and the choice's. */
static bool
response_choice_walk(response_import *r, response_record *record, response_choice *choice,
                     const char *part)
{
    response_length length = response_length_of(record, choice);
    moe_place place = response_at(r, choice->rows.line, part);
    uint64_t n_ids = 0;
    g_autofree int32_t *ids = response_token_ids(record, choice, &n_ids);
    int64_t position = length.start;
    if (record->prompt.there) {
        response_length only = {length.prompt, length.prompt < 0 ? -1 : 0, length.start};
        moe_place at = response_at(r, record->prompt.line, "prompt_routed_experts");
        only.start = MAX(MAX(record->prompt.start, record->start), 0);
        if (!response_shape(r, &record->prompt, &only, &at))
            return false;
        position = only.start;
        length.prompt = position + (int64_t)record->prompt.array.shape[0];
        if (!response_block(r, &record->prompt, &at, position, length.prompt, ids, n_ids))
            return false;
        position = length.prompt;
    }
    if (choice->rows.there) {
        response_length after = {0, length.output, 0};
        if (!response_shape(r, &choice->rows, record->prompt.there ? &after : &length, &place))
            return false;
        int64_t n = (int64_t)choice->rows.array.shape[0];
        bool answer_only = length.output >= 0 && length.prompt >= 0 && n <= length.output &&
                           n + length.start < length.prompt + length.output - 1;
        if (answer_only)
            position = length.prompt;
        if (!response_block(r, &choice->rows, &place, position, length.prompt, ids, n_ids))
            return false;
    }
    r->sequence++;
    return true;
}

/* Two models in one import are no routing of one. */
static bool
response_model(response_import *r, const response_record *record)
{
    if (!record->model)
        return true;
    if (!r->model) {
        r->model = g_strdup(record->model);
        r->model_line = record->line;
    }
    if (strcmp(r->model, record->model) == 0)
        return true;
    moe_place place = response_at(r, record->line, NULL);
    return moe_place_error(&place,
                           "an answer of '%.80s', but the first (line %d) is of '%.80s'; "
                           "import each model by itself",
                           record->model, r->model_line, r->model);
}

static bool
response_record_walk(response_import *r, response_record *record)
{
    bool some = false;
    if (!response_model(r, record))
        return false;
    r->n_records++;
    r->n_repeated += record->prompt.there && record->choices->len > 1;
    for (guint i = 0; i < record->choices->len; i++) {
        response_choice *choice = &g_array_index(record->choices, response_choice, i);
        g_autofree char *part = g_strdup_printf("choice %u, routed_experts", i);
        if (!choice->rows.there)
            continue;
        some = true;
        if (!response_choice_walk(r, record, choice, part))
            return false;
    }
    if (record->own.rows.there || (!some && record->prompt.there)) {
        some = true;
        if (!response_choice_walk(r, record, &record->own, "routed_experts"))
            return false;
    }
    r->n_without += !some;
    if (some || r->n_without > 1)
        return true;
    g_free(r->without);
    r->without = g_strdup(record->error);
    r->without_line = record->line;
    r->without_file = r->file;
    return true;
}

/* How an engine is told to give routed experts. */
static const char *
response_how(const char *engine)
{
    static const struct {
        const char *engine, *how;
    } flags[] = {
        {"vllm", "vllm: --enable-return-routed-experts"},
        {"sglang", "sglang: --enable-return-routed-experts, and return_routed_experts in the "
                   "request"},
    };
    for (size_t i = 0; i < MOE_COUNT(flags); i++)
        if (strcmp(flags[i].engine, engine) == 0)
            return flags[i].how;
    return engine;
}

/* No answer has any: false after a message. */
static bool
response_some(const response_import *r)
{
    if (!r->n_records || r->n_without < r->n_records)
        return true;
    moe_place place = response_at(r, r->without_line, NULL);
    place.loc.file = r->without_file;
    if (r->without)
        return moe_place_error(&place,
                               "an answer of a server without routed_experts, but with an error: "
                               "'%s'",
                               r->without);
    return moe_place_error(&place, "an answer of a server without routed_experts (%s)",
                           response_how(r->engine));
}

static bool
response_input_walk(response_import *r, size_t i)
{
    moe_text_source *source = moe_import_open(r->job, i);
    if (!source)
        return false;
    r->input = i;
    r->file = moe_diag_intern(r->job->diag, r->job->paths[i]);
    r->stream = moe_json_stream_new(source, r->file, r->job->diag, r->job->error);
    response_reader reader = {.stream = r->stream, .file = r->file, .diag = r->job->diag};
    int next;
    bool ok = true;
    while (ok && (next = response_next(&reader)) > 0)
        ok = response_record_walk(r, &reader.record);
    response_clear(&reader.record);
    g_array_free(reader.record.choices, TRUE);
    moe_json_stream_free(r->stream);
    return ok && next == 0;
}

static bool
response_walk_all(void *source, moe_block_sink *sink, void *context)
{
    response_import *r = source;
    r->sink = sink;
    r->context = context;
    r->sequence = 0;
    r->n_records = r->n_without = 0;
    for (size_t i = 0; i < r->job->n_paths; i++)
        if (!response_input_walk(r, i))
            return false;
    return response_some(r);
}

moe_routing_builder *
moe_response_import(moe_import_job *job, const char *engine)
{
    response_import r = {.job = job, .engine = engine};
    moe_routing_builder *builder = moe_gather(job, engine, response_walk_all, &r);
    if (builder && r.n_without)
        moe_import_note(job,
                        "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                        " answers hold no routed_experts%s%s%s: left out",
                        r.n_without, r.n_records, r.without ? ", but errors ('" : "",
                        r.without ? r.without : "", r.without ? "')" : "");
    if (builder && r.n_repeated)
        moe_import_note(job,
                        "%" G_GUINT64_FORMAT
                        " prompts have several answers: each is a sequence with "
                        "the prompt in front",
                        r.n_repeated);
    if (builder && r.model)
        moe_routing_builder_meta(builder, "model", r.model);
    g_free(r.model);
    g_free(r.without);
    return builder;
}

#define RESPONSE_GUESS 20

/* Whether it looks like the answer of a server all the same: by a mark, or an error's body. */
static bool
response_without(const char *head, size_t n, const char *const *marks)
{
    for (; *marks; marks++)
        if (g_strstr_len(head, (gssize)n, *marks))
            return true;
    return g_strstr_len(head, (gssize)n, "\"error\"") &&
           g_strstr_len(head, (gssize)n, "\"message\"");
}

int
moe_response_sniff(const char *head, size_t n, const char *const *marks, int sure)
{
    size_t at = 0;
    while (at < n && strchr(" \t\r\n", head[at]) && head[at])
        at++;
    if (at == n || (head[at] != '{' && head[at] != '['))
        return 0;
    if (!g_strstr_len(head, (gssize)n, "routed_experts\""))
        return response_without(head, n, marks) ? RESPONSE_GUESS : 0;
    for (; *marks; marks++)
        if (g_strstr_len(head, (gssize)n, *marks))
            return sure;
    return RESPONSE_GUESS;
}
