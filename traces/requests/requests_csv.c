/* Requests as plain CSV: what `trace export` writes, and what others call the same things. */
#include "traces/requests/csv_rows.h"

#include "traces/requests/timestamp.h"

static const request_key plain_keys[] = {
    {"arrival_ns", REQUEST_TIME, 1, NULL},
    {"arrival_us", REQUEST_TIME, 1000, NULL},
    {"arrival_ms", REQUEST_TIME, 1000000, NULL},
    {"arrival_s", REQUEST_TIME, MOE_NS_PER_S, NULL},
    {"arrived_at", REQUEST_TIME, MOE_NS_PER_S, NULL}, /* Vidur, Sarathi-Serve */
    {"timestamp", REQUEST_TIME, 0, NULL},
    {"prompt", REQUEST_PROMPT, 0, NULL},
    {"prompt_tokens", REQUEST_PROMPT, 0, NULL},
    {"input_tokens", REQUEST_PROMPT, 0, NULL},
    {"num_prefill_tokens", REQUEST_PROMPT, 0, NULL},
    {"output", REQUEST_OUTPUT, 0, NULL},
    {"output_tokens", REQUEST_OUTPUT, 0, NULL},
    {"num_decode_tokens", REQUEST_OUTPUT, 0, NULL},
    {"session", REQUEST_SESSION, 0, NULL},
    {"model", REQUEST_MODEL, 0, NULL},
};
static const request_csv plain_csv = {
    plain_keys, MOE_COUNT(plain_keys),
    "arrival_s (or _ms, _us, _ns, or timestamp),prompt,output[,session][,model][,blocks_of_N]"};

static int
plain_sniff(const char *path, const char *head, size_t n)
{
    return request_csv_sniff(&plain_csv, head, n, 90);
}

static moe_requests_builder *
plain_read(moe_import_job *job)
{
    return request_csv_read(&plain_csv, job);
}

const moe_importer moe_importer_requests_csv = {
    .name = "requests-csv",
    .help =
        "Requests as CSV: a column arrival_s, arrival_ms, arrival_us or arrival_ns (numbers) or "
        "timestamp (2023-11-16 18:17:03.97996), columns prompt and output (tokens), and, if "
        "wanted, session, model and blocks_of_N: ids of the prompt's blocks of N tokens, "
        "separated by spaces.",
    .many = true,
    .sniff = plain_sniff,
    .requests = plain_read,
};
