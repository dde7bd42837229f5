/* Runs the prompts of a golden file through the execution core and keeps all that it says. */
#ifndef MOE_TESTS_FOLLOW_H
#define MOE_TESTS_FOLLOW_H

#include "profiler/decoder.h"
#include "tests/numerics/golden.h"

/* How positions are put into steps. The decoded tokens are those of the golden file. */
typedef enum follow_plan {
    FOLLOW_ALONE,  /* one prompt after the other in one slot, whole; then token by token */
    FOLLOW_BATCH,  /* all prompts in one step; then a token of each per step */
    FOLLOW_TOKENS, /* a token of each per step from the first on */
    FOLLOW_CHUNKS, /* prompts in chunks of changing length, the second beginning later */
    FOLLOW_PLANS,
} follow_plan;
extern const char *const follow_plan_names[FOLLOW_PLANS];

/* As in golden_prompt, but logits of all positions; ids alone of what was looked ahead. */
typedef struct follow_track {
    float *logits, *router, *weights;
    uint16_t *ids, *ahead[GOLDEN_AHEAD];
} follow_track;

typedef struct follow {
    const golden *golden;
    uint32_t done[GOLDEN_PROMPTS]; /* positions */
    follow_track tracks[GOLDEN_PROMPTS];
} follow;

/* Who computes, and how. */
typedef struct follow_how {
    bool exact;
    uint32_t threads;
    const moe_backend_ops *backend; /* NULL: the processor's */
    void *device;                   /* of that backend */
    bool by_stages;                 /* never whole steps at once */
} follow_how;

/* NULL with `error` set. */
follow *follow_run(const moe_weights *weights, const golden *g, follow_plan plan,
                   const follow_how *how, GError **error);
void follow_free(follow *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(follow, follow_free)

#endif
