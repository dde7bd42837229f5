/* The keys of records, under the names that they have in the wild. */
#include "traces/import/jsonl.h"

#include <string.h>

/* Records of serving engines ("route"), of speculative-moe (dataset, problem_id, gating_probs), of
 * moe-balance (batch_id, origin_rows, topk_experts), and our own. */
static const struct {
    const char *name;
    jsonl_field field;
} record_names[] = {
    {"type", JSONL_TYPE},
    {"req_id", JSONL_SEQUENCE},
    {"request_id", JSONL_SEQUENCE},
    {"seq", JSONL_SEQUENCE},
    {"sequence", JSONL_SEQUENCE},
    {"sequence_id", JSONL_SEQUENCE},
    {"prompt_index", JSONL_SEQUENCE},
    {"problem_id", JSONL_PROBLEM},
    {"token_idx", JSONL_POSITION},
    {"token_index", JSONL_POSITION},
    {"token_position", JSONL_POSITION},
    {"position", JSONL_POSITION},
    {"pos", JSONL_POSITION},
    {"layer", JSONL_LAYER},
    {"layer_id", JSONL_LAYER},
    {"layer_idx", JSONL_LAYER},
    {"layer_index", JSONL_LAYER},
    {"topk_ids", JSONL_IDS},
    {"topk_experts", JSONL_IDS},
    {"experts", JSONL_IDS},
    {"expert_ids", JSONL_IDS},
    {"selected_experts", JSONL_IDS},
    {"topk_weights", JSONL_WEIGHTS},
    {"gating_probs", JSONL_WEIGHTS},
    {"gate_weights", JSONL_WEIGHTS},
    {"expert_weights", JSONL_WEIGHTS},
    {"weights", JSONL_WEIGHTS},
    {"phase", JSONL_PHASE},
    {"step", JSONL_STEP},
    {"forward_pass_id", JSONL_STEP},
    {"batch_id", JSONL_BATCH},
    {"origin_rows", JSONL_ROWS},
    {"domain", JSONL_DOMAIN},
    {"dataset", JSONL_DOMAIN},
    {"token_id", JSONL_TOKEN_ID},
};

jsonl_field
jsonl_field_of(const char *name, size_t n)
{
    for (size_t i = 0; i < MOE_COUNT(record_names); i++)
        if (strlen(record_names[i].name) == n && memcmp(record_names[i].name, name, n) == 0)
            return record_names[i].field;
    return JSONL_IGNORED;
}

int
jsonl_keys_known(const char *head, size_t n)
{
    unsigned seen = 0;
    int known = 0;
    while (n && strchr(" \t\r\n", *head) && *head)
        head++, n--;
    const char *end = memchr(head, '\n', n);
    end = end ? end : head + n;
    if (head == end || *head != '{')
        return 0;
    for (const char *at = head; at < end; at++) {
        const char *close = *at == '"' ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
        if (!close)
            continue;
        const char *colon = close + 1;
        while (colon < end && *colon == ' ')
            colon++;
        jsonl_field field = jsonl_field_of(at + 1, (size_t)(close - at - 1));
        if (colon < end && *colon == ':' && field < JSONL_FIELDS && !(seen & 1u << field)) {
            seen |= 1u << field;
            known++;
        }
        at = close;
    }
    bool routing = seen & 1u << JSONL_LAYER && seen & (1u << JSONL_IDS | 1u << JSONL_WEIGHTS);
    return routing ? known : (seen & 1u << JSONL_TYPE) != 0;
}
