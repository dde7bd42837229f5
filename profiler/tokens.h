/* Sequences of token ids to run, and where they came from.
 *
 * Read from files, told apart by their content:
 *   JSON lines   {"ids": [464, 318], "domain": "c", "prompt": 1}, or only [464, 318]; domain names
 *                what the text is of, prompt is how many of the ids are the prompt: the others are
 *                decoded one by one, as if the model had said them
 *   text         a line of ids for each sequence
 *   npy          whole numbers [length] or [sequences, length]
 *   traces       with token ids: their prefill is the prompt, their decode is decoded again
 *   .u32         32-bit little-endian ids, one sequence (by the name alone)
 * Text may be packed with gzip or zstd. Everything is kept in memory: 4 bytes an id. */
#ifndef MOE_PROFILER_TOKENS_H
#define MOE_PROFILER_TOKENS_H

#include "sim/base/diag.h"

#include <glib.h>

#define MOE_TOKENS_MAX_DOMAINS 65535u

typedef struct moe_token_sequence {
    const uint32_t *ids; /* [n] */
    uint32_t n;
    uint32_t n_prompt; /* 1 .. n: how many are there at the start */
    uint32_t domain;   /* MOE_NONE: not said */
    moe_loc at;        /* its file and line; line 0: `in_file`-th of the file */
    uint32_t in_file;  /* from 0 */
} moe_token_sequence;

typedef struct moe_tokens {
    GArray *sequences;  /* moe_token_sequence */
    GPtrArray *domains; /* their names */
    GPtrArray *paths;   /* of the files read, in order */
    GPtrArray *owned;
} moe_tokens;

moe_tokens *moe_tokens_new(void);
void moe_tokens_free(moe_tokens *tokens);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_tokens, moe_tokens_free)

/* Adds the sequences of a file. Unreadable: `error`. Wrong: messages in `diag`. False in both
 * cases. */
bool moe_tokens_read(moe_tokens *tokens, const char *path, moe_diag *diag, GError **error);
/* Adds lines of JSON or of ids from memory; `name` stands for the path. */
bool moe_tokens_read_text(moe_tokens *tokens, const char *name, const char *text, size_t length,
                          moe_diag *diag);

/* Adds texts, one sequence each, through a tokenizer.json: by the Python package `tokenizers`,
 * called as a program (python3, or what the environment's MOE_PYTHON names). Without it `error`
 * says how to get it, and how to make ids elsewhere. */
bool moe_tokens_read_texts(moe_tokens *tokens, const char *tokenizer, const char *const *paths,
                           size_t n, moe_diag *diag, GError **error);
/* Gives sequences of no domain this one, where others have one. */
void moe_tokens_name_rest(moe_tokens *tokens, const char *domain);

static inline size_t
moe_tokens_count(const moe_tokens *tokens)
{
    return tokens->sequences->len;
}
static inline moe_token_sequence *
moe_tokens_at(const moe_tokens *tokens, size_t i)
{
    return &g_array_index(tokens->sequences, moe_token_sequence, i);
}
/* The number of a domain, a new one if need be; MOE_NONE: too many. */
uint32_t moe_tokens_domain(moe_tokens *tokens, const char *name);

/* From sequence `first` on, cuts what would take more than `most` positions, with `decode` further
 * ones behind a sequence that is all prompt; decode < most. Returns how many sequences were cut. */
uint32_t moe_tokens_cut(moe_tokens *tokens, size_t first, uint32_t most, uint32_t decode);
/* Positions that a sequence takes so. */
static inline uint64_t
moe_token_sequence_span(const moe_token_sequence *sequence, uint32_t decode)
{
    return (uint64_t)sequence->n + (sequence->n == sequence->n_prompt ? decode : 0);
}
/* Whether all ids are below `vocab`; else messages, at most 20. */
bool moe_tokens_check(const moe_tokens *tokens, uint32_t vocab, moe_diag *diag);

#endif
