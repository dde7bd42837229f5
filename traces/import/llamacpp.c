/* llama.cpp: what its examples and forks print of the tensors ffn_moe_topk-<layer>. No file names
 * tokens across layers: a ubatch evaluates its tokens layer by layer, so that k experts of a layer
 * in a row are one token, and a layer that falls begins the next ubatch. Forms: layer,expert an
 * expert each (moe-trace, PR 28544), with or without header layer_id,expert_ids              a
 * token each, ids separated by spaces (log_experts) phase,token,layer,rank,expert    an expert each
 *   int32 layer, n_tokens, k, then n_tokens * k ids; and so on (binary)
 * In the last layer llama.cpp evaluates only tokens whose logits are wanted, the last ones; for the
 * others that layer did not run. */
#include "traces/import/llamacpp.h"

#include <string.h>

#define LLAMACPP_BLOCK (1u << 20)
#define LLAMACPP_FIELDS 5

typedef enum llamacpp_form { FORM_PAIRS, FORM_LISTS, FORM_RANKS, FORM_BINARY } llamacpp_form;

static const struct {
    const char *header;
    uint32_t fields;
} llamacpp_forms[] = {
    [FORM_PAIRS] = {"layer,expert", 2},
    [FORM_LISTS] = {"layer_id,expert_ids", 2},
    [FORM_RANKS] = {"phase,token,layer,rank,expert", 5},
};

typedef struct llamacpp_import {
    moe_import_job *job;
    llamacpp_batch batch;
    llamacpp_form form;
    uint32_t next_rank;
} llamacpp_import;

/* ---- text ---- */

/* A whole number at *at, up to a separator; moves behind it. */
static bool
text_whole(llamacpp_import *m, const char **at, const char *what, uint32_t *out)
{
    const char *c = *at;
    uint64_t value = 0;
    while (*c == ' ')
        c++;
    const char *first = c;
    for (; g_ascii_isdigit(*c) && c - first < 10; c++)
        value = value * 10 + (uint64_t)(*c - '0');
    if (c == first || !strchr(", \r\n", *c) || value > INT32_MAX)
        return llamacpp_fail(&m->batch, "%s wants a whole number, found '%.*s'", what,
                             (int)MIN(strcspn(*at, ",\r\n"), 40u), *at);
    *out = (uint32_t)value;
    *at = c;
    return true;
}

static bool
text_comma(llamacpp_import *m, const char **at)
{
    if (**at != ',')
        return llamacpp_fail(&m->batch, "the row ends early; wants %s",
                             llamacpp_forms[m->form].header);
    ++*at;
    return true;
}

static bool
text_end(llamacpp_import *m, const char *at)
{
    at += strspn(at, " \r");
    return *at == '\n' ||
           llamacpp_fail(&m->batch, "the row goes on; wants %s", llamacpp_forms[m->form].header);
}

/* The digits at *at, which moves behind them; false: there are none, or too many. */
static inline bool
text_quick(const char **at, uint32_t *out)
{
    const char *c = *at;
    uint32_t value = (unsigned char)(*c - '0');
    if (value > 9)
        return false;
    for (uint32_t digit; (digit = (unsigned char)(*++c - '0')) <= 9 && c - *at < 9;)
        value = value * 10 + digit;
    *out = value;
    *at = c;
    return true;
}

static bool
text_pair(llamacpp_import *m, const char *at)
{
    uint32_t layer, expert;
    const char *quick = at;
    if (text_quick(&quick, &layer) && *quick++ == ',' && text_quick(&quick, &expert) &&
        *quick == '\n') {
        int32_t id = (int32_t)expert;
        return llamacpp_row(&m->batch, layer, &id, 1, true);
    }
    if (!text_whole(m, &at, "layer", &layer) || !text_comma(m, &at) ||
        !text_whole(m, &at, "expert", &expert) || !text_end(m, at))
        return false;
    int32_t id = (int32_t)expert;
    return llamacpp_row(&m->batch, layer, &id, 1, true);
}

static bool
text_list(llamacpp_import *m, const char *at)
{
    uint32_t layer, expert, n = 0;
    int32_t ids[MOE_ROUTING_MAX_K];
    if (!text_whole(m, &at, "layer_id", &layer) || !text_comma(m, &at))
        return false;
    for (; *at != '\n' && *at != '\r'; at += strspn(at, " ")) {
        if (n == MOE_ROUTING_MAX_K)
            return llamacpp_fail(&m->batch, "more than %d experts in one row", MOE_ROUTING_MAX_K);
        if (!text_whole(m, &at, "expert_ids", &expert))
            return false;
        ids[n++] = (int32_t)expert;
    }
    if (n == 0 || (m->batch.k && n != m->batch.k))
        return llamacpp_fail(&m->batch,
                             "%u experts in a row, but %u in those before; k must not "
                             "vary",
                             n, m->batch.k);
    m->batch.k = n;
    return text_end(m, at) && llamacpp_row(&m->batch, layer, ids, n, true);
}

static bool
text_phase(llamacpp_import *m, const char **at, llamacpp_phase *out)
{
    static const struct {
        const char *word;
        llamacpp_phase phase;
    } words[] = {{"prefill", LLAMACPP_PROMPT},  {"prompt", LLAMACPP_PROMPT},
                 {"0", LLAMACPP_PROMPT},        {"decode", LLAMACPP_ANSWER},
                 {"gen", LLAMACPP_ANSWER},      {"1", LLAMACPP_ANSWER},
                 {"generate", LLAMACPP_ANSWER}, {"generation", LLAMACPP_ANSWER}};
    size_t n = strcspn(*at, ",\r\n");
    for (size_t i = 0; i < MOE_COUNT(words); i++) {
        if (strlen(words[i].word) != n || strncmp(words[i].word, *at, n) != 0)
            continue;
        *out = words[i].phase;
        *at += n;
        return true;
    }
    return llamacpp_fail(&m->batch, "phase wants prefill or decode, found '%.*s'", (int)MIN(n, 40u),
                         *at);
}

/* Ranks count the experts of a token: 0, 1, …, k - 1. */
static bool
text_rank(llamacpp_import *m, uint32_t rank)
{
    if (rank == 0 && m->next_rank && !m->batch.k)
        m->batch.k = m->next_rank;
    bool first = rank == 0 && (m->next_rank == 0 || m->next_rank == m->batch.k);
    if (!first && rank != m->next_rank)
        return llamacpp_fail(&m->batch,
                             "rank %u, but %u was next; the ranks of a token follow one "
                             "another from 0 on",
                             rank, m->batch.k && m->next_rank == m->batch.k ? 0 : m->next_rank);
    if (rank >= MOE_ROUTING_MAX_K)
        return llamacpp_fail(&m->batch, "rank %u; at most %d experts per token", rank,
                             MOE_ROUTING_MAX_K);
    m->next_rank = rank + 1;
    return true;
}

static bool
text_ranked(llamacpp_import *m, const char *at)
{
    llamacpp_phase phase = LLAMACPP_UNKNOWN;
    uint32_t token, layer, rank, expert;
    if (!text_phase(m, &at, &phase) || !text_comma(m, &at) ||
        !text_whole(m, &at, "token", &token) || !text_comma(m, &at) ||
        !text_whole(m, &at, "layer", &layer) || !text_comma(m, &at) ||
        !text_whole(m, &at, "rank", &rank) || !text_comma(m, &at) ||
        !text_whole(m, &at, "expert", &expert) || !text_end(m, at))
        return false;
    if (phase != m->batch.phase && m->batch.phase && !llamacpp_flush(&m->batch))
        return false;
    m->batch.phase = phase;
    int32_t id = (int32_t)expert;
    return text_rank(m, rank) && llamacpp_row(&m->batch, layer, &id, 1, true);
}

static bool
text_line(llamacpp_import *m, const char *line)
{
    static bool (*const read[])(llamacpp_import *, const char *) = {
        [FORM_PAIRS] = text_pair, [FORM_LISTS] = text_list, [FORM_RANKS] = text_ranked};
    m->batch.line++;
    return read[m->form](m, line);
}

/* The form of a text by its first line; whether that is a header. False: none of ours. */
static bool
text_form(const char *line, size_t n, llamacpp_form *form, bool *header)
{
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    for (size_t i = 0; i < MOE_COUNT(llamacpp_forms); i++) {
        *form = (llamacpp_form)i;
        *header = strlen(llamacpp_forms[i].header) == n &&
                  g_ascii_strncasecmp(llamacpp_forms[i].header, line, n) == 0;
        if (*header)
            return true;
    }
    size_t digits = strspn(line, "0123456789");
    if (digits == 0 || digits >= n || line[digits] != ',')
        return false;
    size_t second = strspn(line + digits + 1, "0123456789"), at = digits + 1 + second;
    *form = at == n ? FORM_PAIRS : FORM_LISTS;
    size_t list = strspn(line + digits + 1, "0123456789 ");
    return second > 0 && (at == n || digits + 1 + list == n);
}

/* Lines of a block of text that ends with '\n'. */
static bool
text_lines(llamacpp_import *m, char *at, char *end)
{
    bool header = false;
    if (m->batch.line == 0) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop && !text_form(at, (size_t)(stop - at), &m->form, &header)) {
            m->batch.line = 1;
            return llamacpp_fail(&m->batch, "no form of llama.cpp; wants layer,expert or "
                                            "layer_id,expert_ids or "
                                            "phase,token,layer,rank,expert");
        }
        m->batch.line += header;
        at = header && stop ? stop + 1 : at;
    }
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (*at <= ' ' && at[strspn(at, " \r")] == '\n')
            m->batch.line++;
        else if (!text_line(m, at))
            return false;
        at = stop + 1;
    }
    return true;
}

/* ---- binary ---- */

static bool
binary_head(const int32_t head[3])
{
    return head[0] >= 0 && head[0] < 65536 && head[1] >= 1 && head[2] >= 1 &&
           head[2] <= MOE_ROUTING_MAX_K &&
           (uint64_t)head[1] * (uint64_t)head[2] <= LLAMACPP_MAX_IDS;
}

/* Whole records of a block; *used bytes were taken. */
static bool
binary_records(llamacpp_import *m, const char *bytes, size_t n, size_t *used)
{
    int32_t head[3];
    *used = 0;
    while (n - *used >= sizeof head) {
        memcpy(head, bytes + *used, sizeof head);
        if (!binary_head(head))
            return llamacpp_fail(&m->batch,
                                 "binary record with layer %d, %d tokens, k %d; damaged, or no "
                                 "record of llama.cpp",
                                 head[0], head[1], head[2]);
        size_t ids = (size_t)head[1] * (size_t)head[2];
        if ((n - *used - sizeof head) / sizeof(int32_t) < ids)
            return true;
        if (m->batch.k && m->batch.k != (uint32_t)head[2])
            return llamacpp_fail(&m->batch, "binary record of layer %d: k is %d, but was %u",
                                 head[0], head[2], m->batch.k);
        m->batch.k = (uint32_t)head[2];
        g_autofree int32_t *values = g_memdup2(bytes + *used + sizeof head, ids * sizeof *values);
        for (size_t i = 0; i < ids; i++)
            if (values[i] < 0)
                return llamacpp_fail(&m->batch, "binary record of layer %d: expert %d", head[0],
                                     values[i]);
        if (!llamacpp_row(&m->batch, (uint32_t)head[0], values, ids, false))
            return false;
        *used += sizeof head + ids * sizeof(int32_t);
    }
    return true;
}

/* ---- an input ---- */

/* Takes what is whole in the buffer; *used bytes were taken. */
static bool
input_part(llamacpp_import *m, char *bytes, size_t n, bool ended, size_t *used)
{
    if (m->form == FORM_BINARY) {
        if (!binary_records(m, bytes, n, used))
            return false;
        return !ended || *used == n || llamacpp_fail(&m->batch, "ends inside of a binary record");
    }
    char *end = bytes + n;
    while (end > bytes && end[-1] != '\n')
        end--;
    *used = (size_t)(end - bytes);
    return text_lines(m, bytes, end);
}

static bool
input_read(llamacpp_import *m, moe_text_source *source)
{
    g_autoptr(GByteArray) buffer = g_byte_array_new();
    g_autofree char *chunk = g_malloc(LLAMACPP_BLOCK);
    const char *damage = NULL;
    bool first = true;
    for (size_t n = 1, used; n;) {
        if (!moe_text_source_read(source, chunk, LLAMACPP_BLOCK, &n, &damage, m->job->error))
            return damage ? llamacpp_fail(&m->batch, "%s", damage) : false;
        g_byte_array_append(buffer, (const guint8 *)chunk, (guint)n);
        if (first && buffer->len)
            m->form = memchr(buffer->data, '\0', MIN(buffer->len, 12u)) ? FORM_BINARY : FORM_PAIRS;
        first = first && buffer->len == 0;
        if (n == 0 && m->form != FORM_BINARY && buffer->len &&
            buffer->data[buffer->len - 1] != '\n')
            g_byte_array_append(buffer, (const guint8 *)"\n", 1);
        double done, total;
        moe_text_source_progress(source, &done, &total);
        m->batch.done = (double)m->batch.input + (total > 0 ? done / total : 0);
        used = 0;
        if (buffer->len && !input_part(m, (char *)buffer->data, buffer->len, n == 0, &used))
            return false;
        if (used)
            g_byte_array_remove_range(buffer, 0, (guint)used);
        if (buffer->len > LLAMACPP_MAX_IDS * 4 + 64 ||
            (m->form != FORM_BINARY && buffer->len > LLAMACPP_BLOCK))
            return llamacpp_fail(&m->batch, "a row of more than 1 MiB");
    }
    return llamacpp_end(&m->batch);
}

static bool
llamacpp_walk(void *source, moe_block_sink *sink, void *context)
{
    llamacpp_import *m = source;
    m->batch.sink = sink;
    m->batch.context = context;
    m->batch.sequence = 0;
    m->batch.n_layers = 0;
    m->batch.total = (double)m->job->n_paths;
    for (size_t i = 0; i < m->job->n_paths; i++) {
        g_autoptr(moe_text_source) text = moe_import_open(m->job, i);
        llamacpp_batch *b = &m->batch;
        if (!text)
            return false;
        b->input = i;
        b->file = moe_diag_intern(m->job->diag, m->job->paths[i]);
        b->line = 0;
        b->sequence += i > 0;
        b->position = 0;
        b->begun = b->answering = false;
        b->phase = LLAMACPP_UNKNOWN;
        m->next_rank = 0;
        if (!input_read(m, text))
            return false;
    }
    return true;
}

/* ---- the importer ---- */

/* k of rows that do not say it: an answer's tokens come one by one, so that the shortest run of a
 * layer is one token. */
static bool
llamacpp_scan(llamacpp_import *m)
{
    llamacpp_batch *b = &m->batch;
    if (b->k)
        return true;
    for (size_t i = 0; i < m->job->n_paths; i++)
        if (!moe_import_again(m->job, i))
            return moe_import_fail(m->job, i, "--top-k is wanted, as this can be read once only");
    b->measuring = true;
    bool ok = llamacpp_walk(m, NULL, NULL);
    b->measuring = false;
    if (!ok || b->k) /* the form says it */
        return ok;
    if (b->shortest == 0)
        return moe_import_fail(m->job, 0, "holds no rows");
    if (b->shortest > MOE_ROUTING_MAX_K)
        return moe_import_fail(m->job, 0,
                               "rows do not say how many experts a token has: --top-k is "
                               "wanted");
    b->k = (uint32_t)b->shortest;
    moe_import_note(m->job,
                    "%u experts per token, as the shortest run of a layer has; --top-k says "
                    "otherwise",
                    b->k);
    return true;
}

static moe_routing_builder *
llamacpp_run(moe_import_job *job)
{
    llamacpp_import m = {.job = job};
    const moe_stack *stack = job->options->model ? moe_model_decoder(job->options->model) : NULL;
    m.batch.job = job;
    m.batch.parts = g_array_new(FALSE, FALSE, sizeof(llamacpp_part));
    m.batch.ids = g_array_new(FALSE, FALSE, sizeof(int32_t));
    m.batch.k = job->options->top_k;
    for (int i = 0; stack && i < stack->n_layers && !m.batch.k; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE)
            m.batch.k = (uint32_t)stack->layers[i].ffn.top_k;
    moe_routing_builder *builder = NULL;
    if (llamacpp_scan(&m))
        builder = moe_gather(job, "llama.cpp", llamacpp_walk, &m);
    if (builder && m.batch.n_cut)
        moe_import_note(job,
                        "%" G_GUINT64_FORMAT " tokens of prompts are absent in the last layer, "
                        "which llama.cpp evaluates for the last token only: layer not run",
                        m.batch.n_cut);
    if (builder && !m.batch.phase)
        moe_import_note(job, "phases are not said: ubatches of several tokens taken as prompt, of "
                             "one as answer");
    g_array_free(m.batch.parts, TRUE);
    g_array_free(m.batch.ids, TRUE);
    return builder;
}

static int
llamacpp_sniff(const char *path, const char *head, size_t n)
{
    llamacpp_form form;
    bool header = false;
    const char *stop = memchr(head, '\n', n);
    int32_t first[3], second[3];
    if (stop && !memchr(head, '\0', (size_t)(stop - head)) &&
        text_form(head, (size_t)(stop - head), &form, &header))
        return header ? 80 : 25;
    if (n < 12)
        return 0;
    memcpy(first, head, sizeof first);
    if (!binary_head(first))
        return 0;
    size_t next = 12 + 4 * (size_t)first[1] * (size_t)first[2];
    if (next + 12 > n)
        return 10;
    memcpy(second, head + next, sizeof second);
    return binary_head(second) && second[2] == first[2] ? 55 : 0;
}

const moe_importer moe_importer_llamacpp = {
    .name = "llamacpp",
    .help = "Experts that llama.cpp chose, as its moe-trace example and forks write them: CSV "
            "layer,expert (k rows are a token; --top-k if no answer shows k), layer_id,expert_ids, "
            "or phase,token,layer,rank,expert; or binary records of int32 layer, tokens, k, ids. "
            "Rows come ubatch by ubatch, layer by layer.",
    .many = true,
    .sniff = llamacpp_sniff,
    .run = llamacpp_run,
};
