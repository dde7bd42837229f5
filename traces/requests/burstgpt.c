/* BurstGPT (github.com/HPMLL/BurstGPT): seconds from the first day's midnight; rows with no
 * response tokens are requests that failed. Files before v2.0 lack the session. */
#include "traces/requests/csv_rows.h"

#include "traces/requests/timestamp.h"

static const request_key burstgpt_keys[] = {
    {"Timestamp", REQUEST_TIME, MOE_NS_PER_S, NULL},
    {"Session ID", REQUEST_SESSION, 0, NULL},
    {"Model", REQUEST_MODEL, 0, NULL},
    {"Request tokens", REQUEST_PROMPT, 0, NULL},
    {"Response tokens", REQUEST_OUTPUT, 0, NULL},
};
static const request_csv burstgpt_csv = {
    burstgpt_keys, MOE_COUNT(burstgpt_keys),
    "Timestamp[,Session ID],Model,Request tokens,Response tokens,…"};

static int
burstgpt_sniff(const char *path, const char *head, size_t n)
{
    return request_csv_sniff(&burstgpt_csv, head, n, 98);
}

static moe_requests_builder *
burstgpt_read(moe_import_job *job)
{
    return request_csv_read(&burstgpt_csv, job);
}

const moe_importer moe_importer_burstgpt = {
    .name = "burstgpt",
    .help = "BurstGPT: CSV with the columns Timestamp (seconds), Session ID (if there is one), "
            "Model, Request tokens, Response tokens; rows without response tokens are failed "
            "requests and dropped.",
    .many = true,
    .sniff = burstgpt_sniff,
    .requests = burstgpt_read,
};
