/* Azure LLM inference traces (github.com/Azure/AzurePublicDataset): one row per request, calendar
 * times of seven decimals (2023) or with an offset from UTC (2024), CRLF. */
#include "traces/requests/csv_rows.h"

static const request_key azure_keys[] = {
    {"TIMESTAMP", REQUEST_TIME, 0, NULL},
    {"ContextTokens", REQUEST_PROMPT, 0, NULL},
    {"GeneratedTokens", REQUEST_OUTPUT, 0, NULL},
};
static const request_csv azure_csv = {azure_keys, MOE_COUNT(azure_keys),
                                      "TIMESTAMP,ContextTokens,GeneratedTokens"};

static int
azure_sniff(const char *path, const char *head, size_t n)
{
    return request_csv_sniff(&azure_csv, head, n, 98);
}

static moe_requests_builder *
azure_read(moe_import_job *job)
{
    return request_csv_read(&azure_csv, job);
}

const moe_importer moe_importer_azure = {
    .name = "azure",
    .help = "Azure LLM inference traces: CSV with the columns TIMESTAMP (2023-11-16 "
            "18:17:03.9799600), ContextTokens, GeneratedTokens.",
    .many = true,
    .sniff = azure_sniff,
    .requests = azure_read,
};
