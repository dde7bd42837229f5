#include "tests/numerics/follow.h"

#include <string.h>

const char *const follow_plan_names[FOLLOW_PLANS] = {
    [FOLLOW_ALONE] = "alone",
    [FOLLOW_BATCH] = "batch",
    [FOLLOW_TOKENS] = "tokens",
    [FOLLOW_CHUNKS] = "chunks",
};

/* How many positions of prompt i the next step takes. */
static uint32_t
share(const follow *f, follow_plan plan, uint32_t step, uint32_t i)
{
    const golden_prompt *p = &f->golden->prompts[i];
    uint32_t done = f->done[i];
    uint32_t rest = p->prompt > done ? p->prompt - done : 0;

    if (done == p->n)
        return 0;
    if (plan == FOLLOW_TOKENS || !rest)
        return 1;
    if (plan == FOLLOW_CHUNKS)
        return step < i ? 0 : MIN(rest, 2 + (step * 7 + i * 5) % 18);
    return rest;
}

/* The rows of a step, whose they are, and in which order their logits are asked for. */
typedef struct plan_step {
    uint32_t n;
    uint32_t *token, *slot, *position, *prompt, *asked;
} plan_step;

static void
plan_new(plan_step *s, size_t rows)
{
    uint32_t **all[] = {&s->token, &s->slot, &s->position, &s->prompt, &s->asked};
    for (size_t i = 0; i < MOE_COUNT(all); i++)
        *all[i] = g_new0(uint32_t, rows);
}

static void
plan_free(plan_step *s)
{
    uint32_t *all[] = {s->token, s->slot, s->position, s->prompt, s->asked};
    for (size_t i = 0; i < MOE_COUNT(all); i++)
        g_free(all[i]);
}

static void
take(const follow *f, plan_step *s, uint32_t prompt, uint32_t slot, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, s->n++) {
        uint32_t position = f->done[prompt] + i;
        s->token[s->n] = (uint32_t)f->golden->prompts[prompt].tokens[position];
        s->slot[s->n] = slot;
        s->position[s->n] = position;
        s->prompt[s->n] = prompt;
    }
}

/* What an observer needs to know of the step. */
typedef struct listener {
    follow *follow;
    const plan_step *step;
} listener;

static bool
routed(void *context, const moe_routed *r, GError **error)
{
    const listener *l = context;
    const golden *g = l->follow->golden;

    for (uint32_t row = 0; row < r->batch->n; row++) {
        follow_track *t = &l->follow->tracks[l->step->prompt[row]];
        size_t at = (size_t)r->batch->position[row] * g->layers + r->layer;
        memcpy(t->router + at * g->experts, r->logits + (size_t)row * g->experts,
               g->experts * sizeof(float));
        memcpy(t->weights + at * g->top_k, r->weights + (size_t)row * g->top_k,
               g->top_k * sizeof(float));
        memcpy(t->ids + at * g->top_k, r->ids + (size_t)row * g->top_k,
               g->top_k * sizeof(uint16_t));
        for (uint32_t d = 1; d <= GOLDEN_AHEAD && r->layer + d < g->layers; d++) {
            size_t place = (size_t)r->batch->position[row] * (g->layers - d) + r->layer;
            memcpy(t->ahead[d - 1] + place * g->top_k, r->lookahead[d - 1] + (size_t)row * g->top_k,
                   g->top_k * sizeof(uint16_t));
        }
    }
    return true;
}

static bool
run_step(follow *f, moe_decoder *decoder, const plan_step *s, GError **error)
{
    moe_batch batch = {s->n, s->token, s->slot, s->position};
    uint32_t vocab = f->golden->vocab;
    const float *logits;

    for (uint32_t i = 0; i < s->n; i++) /* any order will do: the last first */
        s->asked[i] = s->n - 1 - i;
    if (!moe_decoder_step(decoder, &batch, s->asked, s->n, &logits, error))
        return false;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t row = s->asked[i], prompt = s->prompt[row];
        memcpy(f->tracks[prompt].logits + (size_t)batch.position[row] * vocab,
               logits + (size_t)i * vocab, vocab * sizeof(float));
    }
    return true;
}

/* Puts the next step over prompts [from, to) into s, empty once all of them are done. */
static void
next_step(const follow *f, follow_plan plan, plan_step *s, uint32_t step, uint32_t from,
          uint32_t to)
{
    s->n = 0;
    for (uint32_t i = from; i < to; i++)
        take(f, s, i, i - from, share(f, plan, step, i));
}

/* Steps over prompts [from, to), until all of them are done. decoder NULL: only counts. Returns the
 * rows of the largest step; 0 with `error` set. */
static uint32_t
run_prompts(follow *f, moe_decoder *decoder, follow_plan plan, plan_step *s, uint32_t from,
            uint32_t to, GError **error)
{
    uint32_t most = 0;

    for (uint32_t step = 0;; step++) {
        next_step(f, plan, s, step, from, to);
        if (!s->n)
            return most;
        most = MAX(most, s->n);
        if (decoder && !run_step(f, decoder, s, error))
            return 0;
        for (uint32_t row = 0; row < s->n; row++)
            f->done[s->prompt[row]]++;
    }
}

/* All prompts, one by one or together. */
static uint32_t
run_all(follow *f, moe_decoder *decoder, follow_plan plan, plan_step *s, GError **error)
{
    uint32_t n = f->golden->n_prompts, together = plan == FOLLOW_ALONE ? 1 : n, most = 0;

    memset(f->done, 0, sizeof f->done);
    for (uint32_t i = 0; i < n; i += together) {
        uint32_t rows = run_prompts(f, decoder, plan, s, i, i + together, error);
        if (!rows)
            return 0;
        most = MAX(most, rows);
    }
    return most;
}

static follow *
follow_new(const golden *g)
{
    follow *f = g_new0(follow, 1);

    f->golden = g;
    for (uint32_t i = 0; i < g->n_prompts; i++) {
        follow_track *t = &f->tracks[i];
        size_t n = g->prompts[i].n, routes = n * g->layers;
        t->logits = g_new0(float, n * g->vocab);
        t->router = g_new0(float, routes * g->experts);
        t->weights = g_new0(float, routes * g->top_k);
        t->ids = g_new0(uint16_t, routes * g->top_k);
        for (uint32_t d = 0; d < GOLDEN_AHEAD; d++)
            t->ahead[d] = g_new0(uint16_t, routes * g->top_k);
    }
    return f;
}

void
follow_free(follow *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->golden->n_prompts; i++) {
        follow_track *t = &f->tracks[i];
        void *all[] = {t->logits, t->router, t->weights, t->ids, t->ahead[0], t->ahead[1]};
        for (size_t j = 0; j < MOE_COUNT(all); j++)
            g_free(all[j]);
    }
    g_free(f);
}

follow *
follow_run(const moe_weights *weights, const golden *g, follow_plan plan, const follow_how *how,
           GError **error)
{
    g_autoptr(follow) f = follow_new(g);
    plan_step step = {0};
    listener l = {f, &step};
    moe_decoder_observer observer = {.context = &l, .routed = routed};

    plan_new(&step, (size_t)g->n_prompts * g->longest);
    /* No row and position more than it takes: caches of windows go round. */
    moe_decoder_config config = {
        .backend = {.max_rows = run_all(f, NULL, plan, &step, NULL),
                    .max_sequences = plan == FOLLOW_ALONE ? 1 : g->n_prompts,
                    .max_context = g->longest,
                    .threads = how->threads,
                    .exact = how->exact,
                    .device = how->device},
        .lookahead = GOLDEN_AHEAD,
        .by_stages = how->by_stages,
        .observer = &observer,
    };
    const moe_backend_ops *backend = how->backend ? how->backend : &moe_backend_cpu;
    g_autoptr(moe_decoder) decoder = moe_decoder_new(weights, backend, &config, error);
    bool ok = decoder && run_all(f, decoder, plan, &step, error);
    plan_free(&step);
    return ok ? g_steal_pointer(&f) : NULL;
}
