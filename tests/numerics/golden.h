/* What transformers computed: the files that tests/numerics/golden.py writes. */
#ifndef MOE_TESTS_GOLDEN_H
#define MOE_TESTS_GOLDEN_H

#include "traces/safetensors.h"

#define GOLDEN_PROMPTS 16
#define GOLDEN_AHEAD 2

/* Arrays are [positions, layers, ...] over the MoE layers; ahead[d - 1], d from 1 to
 * golden.ahead, has d layers fewer; it is absent (NULL) when no layer has another d further. */
typedef struct golden_prompt {
    uint32_t n, prompt; /* positions, those of them that are given */
    const int32_t *tokens;
    uint32_t n_rows;
    const int32_t *rows; /* positions of the rows of logits */
    const float *logits;
    const float *router, *weights;
    const int16_t *ids;
    const float *ahead[GOLDEN_AHEAD];
} golden_prompt;

typedef struct golden {
    moe_safetensors *file;
    uint32_t n_prompts, decode, ahead, vocab, layers, experts, top_k;
    uint32_t longest; /* positions */
    golden_prompt prompts[GOLDEN_PROMPTS];
} golden;

/* False with a message on stdout: unreadable or of another form. */
bool golden_open(golden *g, const char *path);
void golden_close(golden *g);

#endif
