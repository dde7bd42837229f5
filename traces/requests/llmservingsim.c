/* LLMServingSim 2 (github.com/casys-kaist/LLMServingSim): nanoseconds; ids of the prompt's tokens,
 * if there are any, become prefix blocks. */
#include "traces/requests/json_rows.h"

static const request_key serving_keys[] = {
    {"arrival_time_ns", REQUEST_TIME, 1, NULL},
    {"input_toks", REQUEST_PROMPT, 0, NULL},
    {"output_toks", REQUEST_OUTPUT, 0, NULL},
    {"input_tok_ids", REQUEST_TOKENS, 0, NULL},
    {"session_id", REQUEST_SESSION, 0, NULL},
    {"sub_requests", REQUEST_REFUSED, 0,
     "an agentic session: its requests arrive when the one before has ended, which a trace of "
     "arrivals cannot say; import the flat form"},
};
static const request_json serving_json = {serving_keys, MOE_COUNT(serving_keys), 0, false,
                                          "{\"input_toks\": n, \"output_toks\": n, "
                                          "\"arrival_time_ns\": ns[, \"input_tok_ids\": [n, …]]}"};

static int
serving_sniff(const char *path, const char *head, size_t n)
{
    return request_json_sniff(&serving_json, head, n, 95);
}

static moe_requests_builder *
serving_read(moe_import_job *job)
{
    return request_json_read(&serving_json, job);
}

const moe_importer moe_importer_llmservingsim = {
    .name = "llmservingsim",
    .help = "LLMServingSim: JSON lines {\"input_toks\", \"output_toks\", \"arrival_time_ns\", "
            "\"input_tok_ids\": [ids of the prompt's tokens, from which prefix blocks of "
            "--block-tokens are made]}.",
    .many = true,
    .sniff = serving_sniff,
    .requests = serving_read,
};
