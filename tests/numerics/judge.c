#include "tests/numerics/judge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ---- */

typedef struct span {
    double apart, largest;
} span;

static void
span_add(span *s, const float *got, const float *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double apart = fabs((double)got[i] - (double)expected[i]);
        s->apart = apart > s->apart || isnan(apart) ? apart : s->apart;
        s->largest = MAX(s->largest, fabs((double)expected[i]));
    }
}

static double
span_error(const span *s)
{
    return s->largest > 0 ? s->apart / s->largest : s->apart;
}

/* ---- choices ---- */

/* How MoE layers choose: by logit, or by sigmoid and the layer's correction bias. */
typedef struct chooser {
    const moe_router_rule *rule;
    const moe_matrix *correction[256]; /* of each MoE layer */
    double close;                      /* scores that far apart cannot be told */
} chooser;

typedef struct ranked {
    double choice, logit; /* what it is chosen and what it is weighted by */
    uint32_t id;
} ranked;

static chooser
chooser_of(const moe_weights *weights)
{
    const moe_stack *stack = moe_model_decoder(weights->arch->model);
    chooser c = {.rule = &weights->arch->router};
    uint32_t n = 0;

    for (int l = 0; l < stack->n_layers; l++)
        if (stack->layers[l].ffn.kind == MOE_FFN_MOE) {
            moe_assert(n < MOE_COUNT(c.correction), "%u layers", n);
            c.correction[n++] = &weights->layers[l].correction;
        }
    return c;
}

static double
choice_of(const chooser *c, uint32_t layer, const float *logits, uint32_t expert)
{
    const moe_matrix *correction = c->correction[layer];
    float bias = 0;

    if (c->rule->score != MOE_SCORE_SIGMOID)
        return (double)logits[expert];
    moe_assert(correction->data && correction->type == MOE_WEIGHT_F32, "layer %u", layer);
    memcpy(&bias, (const char *)correction->data + 4 * expert, 4);
    return 1 / (1 + exp(-(double)logits[expert])) + (double)bias;
}

static int
falling(double a, double b, uint32_t i, uint32_t j)
{
    if (a != b)
        return a < b ? 1 : -1;
    return i < j ? -1 : i > j;
}

static int
by_choice(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return falling(x->choice, y->choice, x->id, y->id);
}

static int
by_logit(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return falling(x->logit, y->logit, x->id, y->id);
}

/* Choices outside the best groups become -infinity; returns the gap between the last group that is
 * in and the first that is out. */
static double
limit_groups(const moe_router_rule *rule, ranked *experts)
{
    uint32_t each = rule->groups > 1 ? rule->experts / rule->groups : 0;
    uint32_t counted = rule->group_score == MOE_GROUP_BEST ? 1 : 2;
    ranked groups[256], members[256];

    if (!each || rule->top_groups == rule->groups)
        return INFINITY;
    moe_assert(rule->groups <= MOE_COUNT(groups) && each <= MOE_COUNT(members), "%u groups",
               rule->groups);
    for (uint32_t g = 0; g < rule->groups; g++) {
        memcpy(members, experts + g * each, each * sizeof *members);
        qsort(members, each, sizeof *members, by_choice);
        groups[g] = (ranked){.id = g};
        for (uint32_t i = 0; i < counted; i++)
            groups[g].choice += members[i].choice / counted;
    }
    qsort(groups, rule->groups, sizeof *groups, by_choice);
    for (uint32_t g = rule->top_groups; g < rule->groups; g++)
        for (uint32_t i = 0; i < each; i++)
            experts[groups[g].id * each + i].choice = -INFINITY;
    return groups[rule->top_groups - 1].choice - groups[rule->top_groups].choice;
}

static bool
among(const uint16_t *ids, uint32_t n, uint32_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* One row's choice, against transformers' logits of it. */
static void
judge_choice(judge_choices *found, const chooser *c, uint32_t layer, const float *logits,
             const uint16_t *ids)
{
    ranked experts[4096];
    uint32_t k = c->rule->top_k, n = c->rule->experts;
    bool same = true, order = true, tied = false;

    moe_assert(n <= MOE_COUNT(experts), "%u experts", n);
    for (uint32_t i = 0; i < n; i++)
        experts[i] = (ranked){choice_of(c, layer, logits, i), (double)logits[i], i};
    double margin = limit_groups(c->rule, experts);
    qsort(experts, n, sizeof *experts, by_choice);
    if (k < n)
        margin = MIN(margin, experts[k - 1].choice - experts[k].choice);
    qsort(experts, k, sizeof *experts, by_logit);
    for (uint32_t i = 0; i < k; i++) {
        same = same && among(ids, k, experts[i].id);
        order = order && ids[i] == experts[i].id;
        tied = tied || (i && experts[i - 1].logit - experts[i].logit <= c->close);
    }
    found->rows++;
    found->exempt += margin <= c->close;
    if (margin > c->close) {
        found->swapped += same && !order && tied;
        found->wrong += !same || (!order && !tied);
    }
}

/* The choices of a prompt, and transformers' own read as if they were ours: the rule and its logits
 * must explain them. */
static void
judge_chosen(const follow *f, const chooser *c, uint32_t prompt, judgement *j)
{
    const golden *g = f->golden;
    const golden_prompt *p = &g->prompts[prompt];
    judge_choices own = {0};

    for (uint32_t row = 0; row < p->n * g->layers; row++) {
        const float *logits = p->router + (size_t)row * g->experts;
        size_t at = (size_t)row * g->top_k;
        judge_choice(&j->chosen, c, row % g->layers, logits, f->tracks[prompt].ids + at);
        judge_choice(&own, c, row % g->layers, logits, (const uint16_t *)p->ids + at);
    }
    j->chosen.wrong += own.wrong;
}

static void
judge_ahead(const follow *f, const chooser *like, uint32_t prompt, judgement *j)
{
    const golden *g = f->golden;
    const golden_prompt *p = &g->prompts[prompt];

    for (uint32_t d = 1; d <= g->ahead && d < g->layers; d++) {
        uint32_t layers = g->layers - d;
        chooser c = *like;
        span size = {0};
        span_add(&size, p->ahead[d - 1], p->ahead[d - 1], (size_t)p->n * layers * g->experts);
        c.close = 2 * JUDGE_ARITHMETIC * size.largest;
        for (uint32_t row = 0; row < p->n * layers; row++)
            judge_choice(&j->ahead, &c, row % layers + d,
                         p->ahead[d - 1] + (size_t)row * g->experts,
                         f->tracks[prompt].ahead[d - 1] + (size_t)row * g->top_k);
    }
}

/* ---- all of it ---- */

static void
judge_weights(const follow *f, span *s)
{
    const golden *g = f->golden;

    for (uint32_t i = 0; i < g->n_prompts; i++) {
        const golden_prompt *p = &g->prompts[i];
        for (size_t row = 0; row < (size_t)p->n * g->layers; row++) {
            const uint16_t *ids = f->tracks[i].ids + row * g->top_k;
            if (!memcmp(ids, p->ids + row * g->top_k, g->top_k * sizeof *ids))
                span_add(s, f->tracks[i].weights + row * g->top_k, p->weights + row * g->top_k,
                         g->top_k);
        }
    }
}

static uint32_t
judge_tokens(const follow *f, uint32_t prompt)
{
    const golden_prompt *p = &f->golden->prompts[prompt];
    uint32_t vocab = f->golden->vocab, wrong = 0;

    for (uint32_t i = p->prompt; i < p->n; i++) {
        const float *logits = f->tracks[prompt].logits + (size_t)(i - 1) * vocab;
        wrong += moe_sample(logits, vocab, 0, 0) != (uint32_t)p->tokens[i];
    }
    return wrong;
}

judgement
judge(const follow *f, const moe_weights *weights)
{
    const golden *g = f->golden;
    chooser c = chooser_of(weights);
    span logits = {0}, router = {0}, gates = {0};
    judgement j = {0};

    moe_assert(c.rule->experts == g->experts && c.rule->top_k == g->top_k, "another model");
    for (uint32_t i = 0; i < g->n_prompts; i++) {
        const golden_prompt *p = &g->prompts[i];
        for (uint32_t row = 0; row < p->n_rows; row++)
            span_add(&logits, f->tracks[i].logits + (size_t)p->rows[row] * g->vocab,
                     p->logits + (size_t)row * g->vocab, g->vocab);
        span_add(&router, f->tracks[i].router, p->router, (size_t)p->n * g->layers * g->experts);
        j.tokens += g->decode;
        j.wrong_tokens += judge_tokens(f, i);
    }
    c.close = 2 * JUDGE_ARITHMETIC * router.largest;
    for (uint32_t i = 0; i < g->n_prompts; i++) {
        judge_chosen(f, &c, i, &j);
        judge_ahead(f, &c, i, &j);
    }
    judge_weights(f, &gates);
    j.logits = span_error(&logits);
    j.router = span_error(&router);
    j.weights = span_error(&gates);
    return j;
}

static void
join_choices(judge_choices *all, const judge_choices *c)
{
    all->rows += c->rows;
    all->exempt += c->exempt;
    all->swapped += c->swapped;
    all->wrong += c->wrong;
}

void
judge_join(judgement *all, const judgement *j)
{
    all->logits = MAX(all->logits, j->logits);
    all->router = MAX(all->router, j->router);
    all->weights = MAX(all->weights, j->weights);
    all->tokens += j->tokens;
    all->wrong_tokens += j->wrong_tokens;
    join_choices(&all->chosen, &j->chosen);
    join_choices(&all->ahead, &j->ahead);
}

bool
judge_good(const judgement *j)
{
    return j->logits <= JUDGE_LOGITS && j->router <= JUDGE_ARITHMETIC &&
           j->weights <= JUDGE_LOGITS && !j->wrong_tokens && !j->chosen.wrong && !j->ahead.wrong &&
           j->chosen.exempt * 100 <= j->chosen.rows && j->ahead.exempt * 100 <= j->ahead.rows;
}

static void
print_choices(const char *what, const judge_choices *c)
{
    printf(", %s %u of %u (exempt %u, swapped %u)", what, c->rows - c->exempt - c->wrong, c->rows,
           c->exempt, c->swapped);
}

void
judge_print(const char *what, const judgement *j)
{
    printf("\n    %-24s logits within %.0e, got %.1e; router within %.0e, got %.1e; weights %.1e; "
           "tokens %u of %u",
           what, JUDGE_LOGITS, j->logits, JUDGE_ARITHMETIC, j->router, j->weights,
           j->tokens - j->wrong_tokens, j->tokens);
    print_choices("choices", &j->chosen);
    print_choices("ahead", &j->ahead);
}

double
judge_apart(const follow *a, const follow *b)
{
    const golden *g = a->golden;
    span logits = {0}, router = {0};

    for (uint32_t i = 0; i < g->n_prompts; i++) {
        size_t n = g->prompts[i].n;
        span_add(&logits, a->tracks[i].logits, b->tracks[i].logits, n * g->vocab);
        span_add(&router, a->tracks[i].router, b->tracks[i].router, n * g->layers * g->experts);
    }
    return MAX(span_error(&logits), span_error(&router));
}
