#include "profiler/capture_record.h"

#include "sim/base/error.h"
#include "sim/base/random.h"

#include <math.h>

enum { CAPTURE_MAX_ERRORS = 20 };

/* A sequence of the batch at work, in the cache slot of its number. */
typedef struct capture_slot {
    const moe_token_sequence *sequence;
    uint32_t number; /* of the sequence, in the trace */
    uint32_t done;   /* positions run */
    uint32_t next;   /* what the model said comes at `done`; with said */
    bool said, ended;
} capture_slot;

/* The rows of a step. */
typedef struct capture_rows {
    uint32_t n, n_logits;
    uint32_t *token, *slot, *position, *sequence; /* [max_rows] */
    uint32_t *logits;                             /* [batch]: rows whose logits are wanted */
    uint8_t *phase;
    uint16_t *domain; /* NULL: no sequence has one */
} capture_rows;

struct moe_capture {
    const moe_weights *weights;
    const moe_tokens *tokens;
    const moe_capture_config *config;
    moe_decoder *decoder;
    moe_recorder *recorder; /* NULL: dry */
    uint32_t batch, max_rows, n_slots;
    capture_slot *slots; /* [batch]; n_slots of them in use */
    uint32_t next;       /* sequence of the next batch */
    capture_rows rows;
    moe_capture_state state;
};

/* ---- life ---- */

/* Positions of the longest sequence; false after messages on those beyond the model's context. */
static bool
capture_context(const moe_capture *c, uint32_t *longest, moe_diag *diag)
{
    uint32_t most = c->weights->arch->max_context;
    unsigned errors = 0;
    *longest = 0;
    for (size_t i = 0; i < moe_tokens_count(c->tokens) && errors < CAPTURE_MAX_ERRORS; i++) {
        const moe_token_sequence *s = moe_tokens_at(c->tokens, i);
        uint64_t span = moe_token_sequence_span(s, c->config->decode);
        *longest = MAX(*longest, (uint32_t)MIN(span, most));
        if (span <= most)
            continue;
        g_autofree char *more =
            span > s->n ? g_strdup_printf(" and %u to decode", c->config->decode) : g_strdup("");
        moe_diag_error(diag, s->at,
                       "sequence %u: %u tokens%s, but the model's context is %u; --context %u cuts "
                       "what is longer",
                       s->in_file, s->n, more, most, most);
        errors++;
    }
    return errors == 0;
}

/* Rows of the largest step: no more of prompts than the largest batch has. */
static uint32_t
capture_most_rows(const moe_capture *c)
{
    uint64_t most = c->batch, here = 0;
    for (size_t i = 0; i < moe_tokens_count(c->tokens); i++) {
        here = (i % c->batch ? here : 0) + moe_tokens_at(c->tokens, i)->n_prompt;
        most = MAX(most, MIN(here, c->config->chunk));
    }
    return (uint32_t)most;
}

static void
capture_allocate(moe_capture *c)
{
    capture_rows *r = &c->rows;
    uint32_t n = c->max_rows;
    c->slots = g_new0(capture_slot, c->batch);
    r->token = g_new(uint32_t, n);
    r->slot = g_new(uint32_t, n);
    r->position = g_new(uint32_t, n);
    r->sequence = g_new(uint32_t, n);
    r->logits = g_new(uint32_t, c->batch);
    r->phase = g_new(uint8_t, n);
    if (c->tokens->domains->len)
        r->domain = g_new(uint16_t, n);
}

static void
capture_totals(moe_capture *c)
{
    for (size_t i = 0; i < moe_tokens_count(c->tokens); i++) {
        const moe_token_sequence *s = moe_tokens_at(c->tokens, i);
        c->state.prompt_total += s->n_prompt;
        c->state.decode_total += moe_token_sequence_span(s, c->config->decode) - s->n_prompt;
    }
}

static bool
capture_open(moe_capture *c, uint32_t longest, GError **error)
{
    const moe_capture_config *config = c->config;
    moe_decoder_config decoder = {
        .backend = {.max_rows = c->max_rows,
                    .max_logits = c->batch,
                    .max_sequences = c->batch,
                    .max_context = longest,
                    .threads = config->threads,
                    .exact = config->exact,
                    .device = config->device},
        .timed = config->times && !config->dry,
        .source = config->source,
    };
    if (!config->dry || config->source)
        decoder.lookahead =
            MIN(config->lookahead, (uint32_t)moe_model_decoder(c->weights->arch->model)->n_moe - 1);
    if (!config->dry) {
        c->recorder = moe_recorder_new(c->weights->arch, config, c->max_rows, error);
        if (!c->recorder)
            return false;
        decoder.observer = moe_recorder_observer(c->recorder);
    }
    c->decoder = moe_decoder_new(c->weights, config->backend ? config->backend : &moe_backend_cpu,
                                 &decoder, error);
    return c->decoder != NULL;
}

moe_capture *
moe_capture_new(const moe_weights *weights, const moe_tokens *tokens,
                const moe_capture_config *config, moe_diag *diag, GError **error)
{
    moe_assert(config->batch >= 1 && config->chunk >= 1 && moe_tokens_count(tokens) >= 1,
               "batches of %u, chunks of %u", config->batch, config->chunk);
    moe_assert(config->lookahead <= MOE_DECODER_MAX_LOOKAHEAD, "%u ahead", config->lookahead);
    g_autoptr(moe_capture) c = g_new0(moe_capture, 1);
    uint32_t longest;
    c->weights = weights;
    c->tokens = tokens;
    c->config = config;
    c->batch = (uint32_t)MIN(config->batch, moe_tokens_count(tokens));
    c->max_rows = capture_most_rows(c);
    bool fits = moe_tokens_check(tokens, (uint32_t)weights->arch->model->vocab, diag);
    if (!capture_context(c, &longest, diag) || !fits)
        return NULL;
    capture_allocate(c);
    capture_totals(c);
    return capture_open(c, longest, error) ? g_steal_pointer(&c) : NULL;
}

void
moe_capture_free(moe_capture *c)
{
    if (!c)
        return;
    moe_decoder_free(c->decoder);
    moe_recorder_free(c->recorder);
    g_free(c->slots);
    g_free(c->rows.token);
    g_free(c->rows.slot);
    g_free(c->rows.position);
    g_free(c->rows.sequence);
    g_free(c->rows.logits);
    g_free(c->rows.phase);
    g_free(c->rows.domain);
    g_free(c);
}

/* ---- which rows ---- */

static bool
capture_given(const capture_slot *slot)
{
    return slot->sequence->n > slot->sequence->n_prompt;
}

/* The position behind the last that will be run, unless the text ends. */
static uint32_t
capture_last(const moe_capture *c, const capture_slot *slot)
{
    return (uint32_t)moe_token_sequence_span(slot->sequence, c->config->decode);
}

/* The next batch, when that at work is done; false: there is none. */
static bool
capture_begin_batch(moe_capture *c)
{
    bool working = false;
    for (uint32_t i = 0; i < c->n_slots; i++)
        working |= !c->slots[i].ended;
    if (working)
        return true;
    uint32_t left = (uint32_t)moe_tokens_count(c->tokens) - c->next;
    c->n_slots = MIN(left, c->batch);
    for (uint32_t i = 0; i < c->n_slots; i++, c->next++)
        c->slots[i] =
            (capture_slot){.sequence = moe_tokens_at(c->tokens, c->next), .number = c->next};
    c->state.sequences += c->n_slots;
    return c->n_slots > 0;
}

static void
capture_add_row(moe_capture *c, uint32_t i, uint32_t position, uint32_t token, moe_phase phase)
{
    capture_rows *r = &c->rows;
    const capture_slot *slot = &c->slots[i];
    uint32_t at = r->n++;
    r->token[at] = token;
    r->slot[at] = i;
    r->position[at] = position;
    r->sequence[at] = slot->number;
    r->phase[at] = (uint8_t)phase;
    if (r->domain)
        r->domain[at] = (uint16_t)slot->sequence->domain;
    bool asks = !capture_given(slot) && position + 1 >= slot->sequence->n_prompt &&
                position + 1 < capture_last(c, slot);
    if (asks)
        r->logits[r->n_logits++] = at;
}

/* Rows of prompts, as many as fit into a step; none: all prompts of the batch are done. */
static void
capture_prefill(moe_capture *c)
{
    for (uint32_t i = 0; i < c->n_slots; i++) {
        const capture_slot *slot = &c->slots[i];
        const moe_token_sequence *s = slot->sequence;
        for (uint32_t p = slot->done; p < s->n_prompt && c->rows.n < c->config->chunk; p++)
            capture_add_row(c, i, p, s->ids[p], MOE_PREFILL);
    }
}

static void
capture_decode(moe_capture *c)
{
    for (uint32_t i = 0; i < c->n_slots; i++) {
        const capture_slot *slot = &c->slots[i];
        if (slot->ended)
            continue;
        moe_assert(capture_given(slot) || slot->said, "sequence %u does not know its next token",
                   slot->number);
        capture_add_row(c, i, slot->done,
                        capture_given(slot) ? slot->sequence->ids[slot->done] : slot->next,
                        MOE_DECODE);
    }
}

/* ---- what comes of them ---- */

static bool
capture_ends(const moe_arch *arch, uint32_t token)
{
    for (uint32_t i = 0; i < arch->n_ends; i++)
        if (arch->ends[i] == token)
            return true;
    return false;
}

/* As of routers (capture_record.c): what is behind the last of them may be damaged, too. */
static bool
capture_finite(const capture_slot *slot, const float *logits, uint32_t vocab, GError **error)
{
    uint32_t i = 0;
    while (i < vocab && isfinite(logits[i]))
        i++;
    if (i == vocab)
        return true;
    g_set_error(error, moe_error_quark(), MOE_ERROR_FILE,
                "the model gives no finite numbers for what comes after position %u of sequence "
                "%u: its weights are damaged, or too large for their type",
                slot->done - 1, slot->number);
    return false;
}

static bool
capture_say(moe_capture *c, capture_slot *slot, const float *logits, GError **error)
{
    const moe_capture_config *config = c->config;
    const moe_arch *arch = c->weights->arch;
    uint32_t vocab = (uint32_t)arch->model->vocab;
    if (!capture_finite(slot, logits, vocab, error))
        return false;
    moe_stream stream = moe_stream_new(config->seed, "sample", slot->number);
    double uniform = (double)(moe_stream_at(&stream, slot->done) >> 11) * 0x1.0p-53;
    slot->next = moe_sample(logits, vocab, config->temperature, uniform);
    slot->said = true;
    if (config->ignore_end || !capture_ends(arch, slot->next))
        return true;
    slot->ended = true;
    c->state.sequences_ended++;
    return true;
}

static bool
capture_advance(moe_capture *c, const float *logits, GError **error)
{
    const capture_rows *r = &c->rows;
    size_t vocab = (size_t)c->weights->arch->model->vocab;
    for (uint32_t i = 0; i < r->n; i++)
        c->slots[r->slot[i]].done = r->position[i] + 1;
    for (uint32_t i = 0; i < r->n_logits; i++)
        if (!capture_say(c, &c->slots[r->slot[r->logits[i]]], logits + i * vocab, error))
            return false;
    for (uint32_t i = 0; i < c->n_slots; i++)
        c->slots[i].ended |= c->slots[i].done == capture_last(c, &c->slots[i]);
    return true;
}

static void
capture_record(moe_capture *c)
{
    const capture_rows *r = &c->rows;
    moe_recorded_rows rows = {.step = c->state.steps,
                              .n = r->n,
                              .sequence = r->sequence,
                              .position = r->position,
                              .token = r->token,
                              .phase = r->phase,
                              .domain = r->domain};
    moe_recorder_step(c->recorder, &rows, moe_decoder_times(c->decoder));
}

static void
capture_count(moe_capture *c, gint64 us)
{
    bool prefill = c->rows.phase[0] == MOE_PREFILL;
    *(prefill ? &c->state.prompt_tokens : &c->state.decode_tokens) += c->rows.n;
    *(prefill ? &c->state.prompt_us : &c->state.decode_us) += us;
    c->state.steps++;
}

bool
moe_capture_step(moe_capture *c, bool *more, GError **error)
{
    capture_rows *r = &c->rows;
    const float *logits = NULL;
    *more = capture_begin_batch(c);
    if (!*more)
        return true;
    gint64 began = g_get_monotonic_time();
    r->n = r->n_logits = 0;
    capture_prefill(c);
    if (r->n == 0)
        capture_decode(c);
    const moe_batch batch = {r->n, r->token, r->slot, r->position,
                             r->phase[0] == MOE_PREFILL ? MOE_BATCH_PREFILL : MOE_BATCH_DECODE};
    if (!moe_decoder_step(c->decoder, &batch, r->logits, r->n_logits, &logits, error))
        return false;
    if (!capture_advance(c, logits, error))
        return false;
    if (c->recorder)
        capture_record(c);
    capture_count(c, g_get_monotonic_time() - began);
    return !c->recorder ||
           !moe_routing_builder_failed(moe_recorder_builder(c->recorder), "capture", error);
}

/* ---- what is known ---- */

const moe_capture_state *
moe_capture_get(const moe_capture *c)
{
    return &c->state;
}

moe_routing_builder *
moe_capture_builder(moe_capture *c)
{
    return c->recorder ? moe_recorder_builder(c->recorder) : NULL;
}

void
moe_capture_settle(moe_capture *c)
{
    if (c->recorder)
        moe_recorder_settle(c->recorder);
}

double
moe_capture_recall(const moe_capture *c, uint32_t distance, uint32_t layer)
{
    return c->recorder ? moe_recorder_recall(c->recorder, distance, layer) : NAN;
}

double
moe_capture_similarity(const moe_capture *c, uint32_t distance, uint32_t layer)
{
    return c->recorder ? moe_recorder_similarity(c->recorder, distance, layer) : NAN;
}
