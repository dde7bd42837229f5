/* Lines of token ids from memory: what is let through has tokens, and a prompt among them. */
#include "profiler/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_tokens) tokens = moe_tokens_new();
    bool ok = moe_tokens_read_text(tokens, "ids", (const char *)data, size, diag);
    moe_assert(ok == (moe_diag_errors(diag) == 0), "%s", ok ? "a message" : "no message");
    if (!ok)
        return 0;
    moe_assert(moe_tokens_count(tokens) > 0, "no sequence");
    for (size_t i = 0; i < moe_tokens_count(tokens); i++) {
        const moe_token_sequence *s = moe_tokens_at(tokens, i);
        moe_assert(s->n >= 1 && s->n_prompt >= 1 && s->n_prompt <= s->n, "%u of %u", s->n_prompt,
                   s->n);
        moe_assert(s->domain == MOE_NONE || s->domain < tokens->domains->len, "domain %u",
                   s->domain);
        for (uint32_t j = 0; j < s->n; j++)
            moe_assert(s->ids[j] < MOE_NONE, "token %u", s->ids[j]);
    }
    moe_tokens_name_rest(tokens, "other");
    moe_tokens_check(tokens, 50000, diag);
    moe_tokens_cut(tokens, 0, 3, 2);
    return 0;
}
