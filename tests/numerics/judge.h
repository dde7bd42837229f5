/* Compares what the execution core said (follow.h) with what transformers said (golden.h). */
#ifndef MOE_TESTS_JUDGE_H
#define MOE_TESTS_JUDGE_H

#include "tests/numerics/follow.h"

/* Of the largest logit: what the issue allows; and what the arithmetic of F32 makes of it, within
 * which the order of two experts is not told. */
#define JUDGE_LOGITS 2e-4
#define JUDGE_ARITHMETIC 2e-5

/* Errors are the largest difference over the largest value that transformers has. A choice is a
 * row of a MoE layer: `exempt` ones have two scores too close to tell (the k-th and the next, or
 * groups), `swapped` ones chose the same experts in another order where two weights are that
 * close; `wrong` ones differ though they should not. */
typedef struct judge_choices {
    uint32_t rows, exempt, swapped, wrong;
} judge_choices;

typedef struct judgement {
    double logits, router, weights; /* errors */
    uint32_t tokens, wrong_tokens;  /* greedy ones */
    judge_choices chosen, ahead;
} judgement;

judgement judge(const follow *f, const moe_weights *weights);
/* Takes in another judgement of the same: the larger errors, all choices. */
void judge_join(judgement *all, const judgement *j);
/* Whether it is within the tolerances: every error, no wrong choice or token, and at most one
 * choice in a hundred exempt. */
bool judge_good(const judgement *j);
/* One line to stdout: expected, got, tolerance. */
void judge_print(const char *what, const judgement *j);

/* The largest difference of logits and of router logits between two runs of the same prompts, over
 * the largest value; bit for bit equal runs: exactly 0. */
double judge_apart(const follow *a, const follow *b);

#endif
