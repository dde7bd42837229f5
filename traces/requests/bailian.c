/* Qwen-Bailian traces (github.com/alibaba-edu/qwen-bailian-usagetraces-anon): seconds, sessions as
 * chains of chats, and blocks of 16 tokens, the last one of a prompt perhaps shorter, each named by
 * a hash of its own tokens alone. */
#include "traces/requests/json_rows.h"

#include "traces/requests/timestamp.h"

#define BAILIAN_BLOCK 16

static const request_key bailian_keys[] = {
    {"timestamp", REQUEST_TIME, MOE_NS_PER_S, NULL}, {"input_length", REQUEST_PROMPT, 0, NULL},
    {"output_length", REQUEST_OUTPUT, 0, NULL},      {"chat_id", REQUEST_CHAT, 0, NULL},
    {"parent_chat_id", REQUEST_PARENT, 0, NULL},     {"hash_ids", REQUEST_BLOCKS, 0, NULL},
};
static const request_json bailian_json = {
    bailian_keys, MOE_COUNT(bailian_keys), BAILIAN_BLOCK, true,
    "{\"chat_id\": n, \"parent_chat_id\": n or -1, \"timestamp\": s, \"input_length\": n, "
    "\"output_length\": n, \"hash_ids\": [n, …]}"};

static int
bailian_sniff(const char *path, const char *head, size_t n)
{
    return request_json_sniff(&bailian_json, head, n, 97);
}

static moe_requests_builder *
bailian_read(moe_import_job *job)
{
    return request_json_read(&bailian_json, job);
}

const moe_importer moe_importer_bailian = {
    .name = "bailian",
    .help =
        "Qwen-Bailian traces: JSON lines {\"chat_id\", \"parent_chat_id\", \"timestamp\": s, "
        "\"input_length\", \"output_length\", \"hash_ids\": [hashes of the prompt's blocks of 16 "
        "tokens]}.",
    .many = true,
    .sniff = bailian_sniff,
    .requests = bailian_read,
};
