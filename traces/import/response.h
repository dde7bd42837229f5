/* Routing inside of the answers of servers: JSON or JSONL whose records hold `routed_experts`, as
 * nested lists, as base64 of an npy array, as base64 of raw int32, or as {data, shape, dtype,
 * start}. Keys count wherever they stand in a record: routed_experts                       of a
 * choice (an element of choices or outputs), or record prompt_routed_experts                of the
 * record: the prompt's rows come apart prompt_token_ids, token_ids, output_ids,
 * usage.prompt_tokens, usage.completion_tokens: lengths routed_experts_prompt_start,
 * routed_experts_start_len: rows left out at the front A record is a value of the stream, or an
 * element of its outermost array. */
#ifndef MOE_TRACES_IMPORT_RESPONSE_H
#define MOE_TRACES_IMPORT_RESPONSE_H

#include "traces/import/import.h"

/* NULL after messages or with the job's error set; `engine` is metadata. */
moe_routing_builder *moe_response_import(moe_import_job *job, const char *engine);
/* How sure it is that a text holds routed experts: 0 no, else `sure` when one of the marks (NULL-
 * terminated) is there, a guess without. */
int moe_response_sniff(const char *head, size_t n, const char *const *marks, int sure);

#endif
