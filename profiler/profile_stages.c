#include "profiler/profile_stages.h"

#include "profiler/decoder.h"

#include <glib.h>
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

/* The digits at *at, below `most`; false: there are none, or too many. */
static bool
stage_number(const char **at, const char *end, uint32_t most, uint32_t *number)
{
    const char *first = *at;
    for (*number = 0; *at < end && g_ascii_isdigit(**at) && *number < most; (*at)++)
        if (__builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, (uint32_t)(**at - '0'), number))
            return false;
    return *at > first && *number < most;
}

/* A name such as model.layers.7.mlp.gate in the text. */
static moe_profile_meaning
stage_of_module(const char *text, size_t n)
{
    enum { MOST = 4096 };
    moe_profile_meaning none = {0}, found = {0};
    const char *end = text + n, *at = g_strstr_len(text, (gssize)n, "layers.");
    bool in_layer = at != NULL;
    if (in_layer) {
        at += strlen("layers.");
        if (!stage_number(&at, end, MOST, &found.number) || at == end || *at++ != '.')
            return none;
    }
    for (size_t i = 0; i < MOE_COUNT(modules); i++) {
        size_t length = strlen(modules[i].begins);
        const char *where = in_layer ? at : g_strstr_len(text, (gssize)n, modules[i].begins);
        if (modules[i].in_layer != in_layer || !where || (size_t)(end - where) < length ||
            memcmp(where, modules[i].begins, length) != 0)
            continue;
        found.told = in_layer;
        found.stage = moe_stage_names[modules[i].stage];
        return found;
    }
    return none;
}

/* The stage or step that a word names. */
static void
stage_word(const char *text, size_t n, moe_profile_meaning *meaning)
{
    for (size_t i = 0; i < MOE_STAGES; i++)
        if (stage_is(text, n, moe_stage_names[i]))
            meaning->stage = moe_stage_names[i];
    meaning->step = stage_is(text, n, "step");
    meaning->odd = !meaning->stage && !meaning->step;
}

/* WORD or WORD/NUMBER behind "moesim/". */
static moe_profile_meaning
stage_of_path(const char *text, size_t n)
{
    moe_profile_meaning meaning = {0};
    const char *end = text + n, *slash = memchr(text, '/', n);
    stage_word(text, slash ? (size_t)(slash - text) : n, &meaning);
    if (!slash)
        return meaning;
    slash++;
    meaning.told = stage_number(&slash, end, MOE_NONE, &meaning.number) && slash == end;
    meaning.odd |= !meaning.told;
    return meaning;
}

moe_profile_meaning
moe_profile_meaning_of(const char *domain, size_t domain_bytes, const char *text, size_t text_bytes)
{
    static const char path[] = MOE_PROFILE_DOMAIN "/", torch[] = "ProfilerStep#";
    moe_profile_meaning meaning = {0};
    if (!text)
        return meaning;
    const char *end = text + text_bytes, *at = text + strlen(torch);
    if (domain && stage_is(domain, domain_bytes, MOE_PROFILE_DOMAIN)) {
        stage_word(text, text_bytes, &meaning);
        return meaning;
    }
    if (text_bytes > strlen(path) && memcmp(text, path, strlen(path)) == 0)
        return stage_of_path(text + strlen(path), text_bytes - strlen(path));
    if (text_bytes > strlen(torch) && memcmp(text, torch, strlen(torch)) == 0) {
        meaning.told = stage_number(&at, end, MOE_NONE, &meaning.number) && at == end;
        meaning.step = meaning.told;
        return meaning;
    }
    return stage_of_module(text, text_bytes);
}

const char *
moe_profile_phase(int64_t phase)
{
    static const char *const names[] = {"prefill", "decode", "both"};
    return phase >= 0 && phase < (int64_t)MOE_COUNT(names) ? names[phase] : NULL;
}
