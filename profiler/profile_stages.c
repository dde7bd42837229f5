#include "profiler/profile_stages.h"

#include "profiler/decoder.h"

#include <string.h>

static bool
stage_is(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

/* Modules behind "layers.N." by the beginning of their names, and outside of layers; the first row
 * that fits counts. */
static const struct {
    bool in_layer;
    const char *begins;
    moe_stage stage;
} modules[] = {
    {true, "self_attn", MOE_STAGE_ATTENTION},
    {true, "self_attention", MOE_STAGE_ATTENTION},
    {true, "attention", MOE_STAGE_ATTENTION},
    {true, "attn", MOE_STAGE_ATTENTION},
    {true, "linear_attn", MOE_STAGE_ATTENTION},
    {true, "mlp.gate_up_proj", MOE_STAGE_COMBINE}, /* of a dense layer */
    {true, "mlp.gate_proj", MOE_STAGE_COMBINE},
    {true, "mlp.gate", MOE_STAGE_ROUTER},
    {true, "mlp.router", MOE_STAGE_ROUTER},
    {true, "block_sparse_moe.gate", MOE_STAGE_ROUTER},
    {true, "feed_forward.router", MOE_STAGE_ROUTER},
    {true, "mlp.experts", MOE_STAGE_EXPERTS},
    {true, "block_sparse_moe.experts", MOE_STAGE_EXPERTS},
    {true, "feed_forward.experts", MOE_STAGE_EXPERTS},
    {true, "mlp.shared_expert", MOE_STAGE_COMBINE},
    {true, "feed_forward.shared_expert", MOE_STAGE_COMBINE},
    {false, "embed_tokens", MOE_STAGE_EMBED},
    {false, "lm_head", MOE_STAGE_UNEMBED},
};

/* A name such as model.layers.7.mlp.gate in the text. */
static moe_profile_meaning
stage_of_module(const char *text, size_t n)
{
    moe_profile_meaning none = {0}, found = {.layer_told = true};
    const char *end = text + n, *at = g_strstr_len(text, (gssize)n, "layers.");
    bool in_layer = at != NULL;
    if (in_layer) {
        enum { MOST = 4096 };
        const char *digits = at + strlen("layers.");
        for (at = digits; at < end && *at >= '0' && *at <= '9' && found.layer < MOST; at++)
            found.layer = found.layer * 10 + (uint32_t)(*at - '0');
        if (at == digits || at == end || *at++ != '.' || found.layer >= MOST)
            return none;
    }
    for (size_t i = 0; i < MOE_COUNT(modules); i++) {
        size_t length = strlen(modules[i].begins);
        const char *where = in_layer ? at : g_strstr_len(text, (gssize)n, modules[i].begins);
        if (modules[i].in_layer != in_layer || !where || (size_t)(end - where) < length ||
            memcmp(where, modules[i].begins, length) != 0)
            continue;
        found.layer_told = in_layer;
        found.stage = moe_stage_names[modules[i].stage];
        return found;
    }
    return none;
}

moe_profile_meaning
moe_profile_meaning_of(const char *domain, size_t domain_bytes, const char *text, size_t text_bytes)
{
    moe_profile_meaning meaning = {0};
    if (!text)
        return meaning;
    if (!domain || !stage_is(domain, domain_bytes, MOE_PROFILE_DOMAIN))
        return stage_of_module(text, text_bytes);
    for (size_t i = 0; i < MOE_STAGES; i++)
        if (stage_is(text, text_bytes, moe_stage_names[i]))
            meaning.stage = moe_stage_names[i];
    meaning.step = stage_is(text, text_bytes, "step");
    meaning.odd = !meaning.stage && !meaning.step;
    return meaning;
}

const char *
moe_profile_phase(int64_t phase)
{
    static const char *const names[] = {"prefill", "decode", "both"};
    return phase >= 0 && phase < (int64_t)MOE_COUNT(names) ? names[phase] : NULL;
}
