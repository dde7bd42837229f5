/* JSON lines: a record per token and layer, or per layer and batch. */
#include "traces/import/jsonl.h"

#include <string.h>

static void
jsonl_reader_init(jsonl_reader *r, moe_import_job *job)
{
    *r = (jsonl_reader){.job = job};
    r->store = g_string_new(NULL);
    r->ids = g_array_sized_new(FALSE, FALSE, sizeof(int32_t), 64);
    r->lengths = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 64);
    r->weights = g_array_sized_new(FALSE, FALSE, sizeof(float), 64);
    r->n_weights = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 64);
    r->rows = g_array_sized_new(FALSE, FALSE, sizeof(uint64_t), 64);
    r->ignored = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void
jsonl_reader_clear(jsonl_reader *r)
{
    moe_text_lines_clear(&r->lines);
    g_string_free(r->store, TRUE);
    g_array_free(r->ids, TRUE);
    g_array_free(r->lengths, TRUE);
    g_array_free(r->weights, TRUE);
    g_array_free(r->n_weights, TRUE);
    g_array_free(r->rows, TRUE);
    g_hash_table_destroy(r->ignored);
    g_free(r->model);
    if (r->meta)
        g_ptr_array_unref(r->meta);
}

static bool
jsonl_blank(const moe_text_lines *lines)
{
    for (size_t i = 0; i < lines->length; i++)
        if (lines->text[i] != ' ' && lines->text[i] != '\t')
            return false;
    return true;
}

/* All lines of one input; false when it is no use to go on. */
static bool
jsonl_input(jsonl_reader *r, jsonl_tokens *tokens, size_t i)
{
    moe_import_job *job = r->job;
    moe_text_source *source = moe_import_open(job, i);
    if (!source)
        return false;
    r->input = i;
    moe_text_lines_clear(&r->lines);
    moe_text_lines_init(&r->lines, source, job->paths[i], JSONL_MAX_LINE, job->diag);
    r->lines.progress = job->progress;
    r->lines.context = job->context;
    moe_text_step step;
    while ((step = moe_text_lines_next(&r->lines, job->error)) == MOE_TEXT_LINE) {
        jsonl_record record;
        bool skip;
        if (jsonl_blank(&r->lines))
            continue;
        bool ok = jsonl_record_read(r, &record, &skip);
        if (ok && !skip && r->errors == 0)
            ok = jsonl_tokens_add(tokens, &record);
        if (!ok && (r->errors == 0 || r->errors >= MOE_ROUTING_MAX_ERRORS))
            return false;
    }
    return step == MOE_TEXT_END;
}

static int
jsonl_text_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
jsonl_report(const jsonl_reader *r)
{
    guint n;
    g_autofree gpointer *ignored = g_hash_table_get_keys_as_array(r->ignored, &n);
    qsort(ignored, n, sizeof *ignored, jsonl_text_order);
    for (guint i = 0; i < n; i++) {
        g_autofree char *shown = g_strescape(ignored[i], NULL);
        moe_import_note(r->job, "key '%s' ignored", shown);
    }
    if (r->n_skipped)
        moe_import_note(r->job,
                        "%" G_GUINT64_FORMAT " records of another type than \"route\" skipped",
                        r->n_skipped);
}

/* One reading; *again: records do not come in a way that a stream can take. */
static moe_routing_builder *
jsonl_pass(moe_import_job *job, bool gather, bool *again)
{
    jsonl_reader r;
    jsonl_reader_init(&r, job);
    jsonl_tokens *tokens = jsonl_tokens_new(&r, gather);
    moe_routing_builder *builder = NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = jsonl_input(&r, tokens, i);
    if (ok && r.errors == 0 && r.n_records == 0)
        moe_import_fail(job, 0, "holds no record of routing");
    else if (ok && r.errors == 0)
        builder = jsonl_tokens_finish(tokens);
    *again = jsonl_tokens_gave_up(tokens);
    if (builder)
        jsonl_report(&r);
    if (builder && gather)
        moe_import_note(job, "records of a token are far from one another: all held in memory");
    jsonl_tokens_free(tokens);
    jsonl_reader_clear(&r);
    return builder;
}

static moe_routing_builder *
jsonl_run(moe_import_job *job)
{
    bool again = true;
    bool readable = true;
    gsize said = job->report->len;
    moe_routing_builder *builder = NULL;
    for (size_t i = 0; i < job->n_paths; i++)
        readable &= moe_import_again(job, i);
    if (readable)
        builder = jsonl_pass(job, false, &again);
    if (!again)
        return builder;
    g_string_truncate(job->report, said);
    return jsonl_pass(job, true, &again);
}

static int
jsonl_sniff(const char *path, const char *head, size_t n)
{
    const char *second = memchr(head, '\n', n);
    int known = jsonl_keys_known(head, n);
    if (known < 3 && second) /* a first record about the others */
        known = MAX(known, jsonl_keys_known(second + 1, n - (size_t)(second + 1 - head)));
    return known >= 3 ? 85 : known ? 10 : 0;
}

const moe_importer moe_importer_jsonl = {
    .name = "jsonl",
    .help =
        "JSON lines: a record per token and layer with req_id (a number or a name), token_idx, "
        "layer, topk_ids and, if wanted, topk_weights, phase, step, domain, token_id, or what "
        "others call them (request_id, seq, problem_id; position, pos; layer_id; experts, "
        "expert_ids; gating_probs, weights; dataset); or a record per layer and batch with "
        "batch_id, origin_rows, topk_experts and topk_weights as lists of lists. An empty list: "
        "no expert; null: layer not run. Records with another \"type\" than \"route\" are "
        "skipped.",
    .many = true,
    .sniff = jsonl_sniff,
    .run = jsonl_run,
};
