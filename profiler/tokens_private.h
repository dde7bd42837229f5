/* Inside profiler/tokens: how readers add what they read. */
#ifndef MOE_PROFILER_TOKENS_PRIVATE_H
#define MOE_PROFILER_TOKENS_PRIVATE_H

#include "profiler/tokens.h"

/* A sequence; takes `ids`. False after a message (none, or too many). */
bool moe_tokens_add(moe_tokens *tokens, GArray *ids, uint64_t n_prompt, uint32_t domain, moe_loc at,
                    uint32_t in_file, moe_diag *diag);
/* Readers of one file each. */
bool moe_tokens_lines(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error);
bool moe_tokens_npy(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error);
bool moe_tokens_u32(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error);
bool moe_tokens_trace(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error);

#endif
