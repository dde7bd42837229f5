/* Mooncake's traces (github.com/kvcache-ai/Mooncake, FAST25-release/traces): milliseconds, and the
 * prefix blocks of 512 tokens, the last one of a prompt perhaps shorter. */
#include "traces/requests/json_rows.h"

#define MOONCAKE_BLOCK 512

static const request_key mooncake_keys[] = {
    {"timestamp", REQUEST_TIME, 1000000, NULL},
    {"input_length", REQUEST_PROMPT, 0, NULL},
    {"output_length", REQUEST_OUTPUT, 0, NULL},
    {"hash_ids", REQUEST_BLOCKS, 0, NULL},
};
static const request_json mooncake_json = {
    mooncake_keys, MOE_COUNT(mooncake_keys), MOONCAKE_BLOCK, false,
    "{\"timestamp\": ms, \"input_length\": n, \"output_length\": n, \"hash_ids\": [n, …]}"};

static int
mooncake_sniff(const char *path, const char *head, size_t n)
{
    return request_json_sniff(&mooncake_json, head, n, 95);
}

static moe_requests_builder *
mooncake_read(moe_import_job *job)
{
    return request_json_read(&mooncake_json, job);
}

const moe_importer moe_importer_mooncake = {
    .name = "mooncake",
    .help = "Mooncake: JSON lines {\"timestamp\": ms, \"input_length\", \"output_length\", "
            "\"hash_ids\": [ids of the prompt's blocks of 512 tokens]}.",
    .many = true,
    .sniff = mooncake_sniff,
    .requests = mooncake_read,
};
