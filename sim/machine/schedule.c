#include "sim/machine/schedule.h"

#include "sim/base/random.h"

#include <string.h>

#define OFFSET_BLOCK 16 /* tokens: later rounds start at a multiple of this */

typedef struct build {
    const moe_routing *routing;
    const moe_config *config;
    const moe_dispatch *dispatch; /* NULL: none */
    moe_schedule *out;
    uint32_t *order;     /* sequences as requests take them */
    uint32_t *n_prefill; /* per sequence: leading prefill rows */
    GArray *steps;
    GArray *rows, *context, *request;
    uint64_t *used; /* bitmap over trace rows */
} build;

/* Tokens of sequence s in a phase; decode rows can stand in for prompts. */
static uint64_t
phase_length(const build *b, uint32_t s, moe_phase phase)
{
    uint64_t n = b->routing->sequence_first[s + 1] - b->routing->sequence_first[s];
    bool decode = phase == MOE_DECODE || b->config->workload.prefill == MOE_PREFILL_FROM_DECODE;
    return decode ? n - b->n_prefill[s] : b->n_prefill[s];
}

static uint32_t
phase_row(const build *b, uint32_t s, moe_phase phase, uint64_t i)
{
    bool decode = phase == MOE_DECODE || b->config->workload.prefill == MOE_PREFILL_FROM_DECODE;
    return (uint32_t)moe_routing_token(b->routing, s, decode ? b->n_prefill[s] + i : i);
}

static void
add_token(build *b, uint32_t row, uint32_t context, uint32_t request)
{
    uint64_t bit = 1ull << (row & 63);
    if (b->used[row >> 6] & bit)
        b->out->reused++;
    b->used[row >> 6] |= bit;
    g_array_append_val(b->rows, row);
    g_array_append_val(b->context, context);
    g_array_append_val(b->request, request);
}

/* Where a request reads its next token of a phase. */
typedef struct cursor {
    uint32_t slot; /* index in order */
    uint64_t i;
} cursor;

typedef struct active {
    uint32_t request;
    uint32_t done;   /* decode tokens so far */
    uint32_t length; /* KV tokens so far */
    cursor at[2];
} active;

static uint32_t
take_row(build *b, active *a, moe_phase phase)
{
    /* decode rows that stand in for a prompt go on as the output */
    bool shared = b->config->workload.prefill == MOE_PREFILL_FROM_DECODE;
    cursor *c = &a->at[shared ? MOE_DECODE : phase];
    uint32_t n = b->routing->n_sequences;
    for (uint32_t tries = 0; c->i >= phase_length(b, b->order[c->slot], phase); tries++) {
        moe_assert(tries <= n, "no tokens of phase %d in the trace", (int)phase);
        c->slot = (c->slot + 1) % n;
        c->i = 0;
    }
    return phase_row(b, b->order[c->slot], phase, c->i++);
}

static bool
recorded(const moe_config *config)
{
    return config->workload.prompt == MOE_RECORDED && config->workload.output == MOE_RECORDED;
}

static void
plan_requests(build *b, bool encoder)
{
    const moe_config *config = b->config;
    moe_schedule *out = b->out;
    uint32_t n_sequences = b->routing->n_sequences;
    out->n_requests =
        config->workload.requests == INT64_MAX ? n_sequences : (uint32_t)config->workload.requests;
    out->requests = g_new0(moe_request, out->n_requests);
    for (uint32_t r = 0; r < out->n_requests; r++) {
        moe_request *request = &out->requests[r];
        uint32_t s = b->order[r % n_sequences];
        uint64_t prompt = config->workload.prompt == MOE_RECORDED
                              ? b->n_prefill[s]
                              : (uint64_t)config->workload.prompt;
        request->sequence = s;
        request->prompt = encoder ? 0 : (uint32_t)prompt;
        request->encoder = encoder ? (uint32_t)prompt : 0;
        request->output = config->workload.output == MOE_RECORDED
                              ? (uint32_t)phase_length(b, s, MOE_DECODE)
                              : (uint32_t)config->workload.output;
    }
}

static active
start_request(build *b, uint32_t r)
{
    uint32_t n = b->routing->n_sequences, round = r / n;
    active a = {.request = r};
    for (int phase = 0; phase < 2; phase++) {
        a.at[phase].slot = r % n;
        uint64_t length = phase_length(b, b->order[r % n], (moe_phase)phase);
        uint64_t offset = (uint64_t)round * 7 * OFFSET_BLOCK;
        a.at[phase].i = length ? offset % length / OFFSET_BLOCK * OFFSET_BLOCK : 0;
    }
    return a;
}

/* KV tokens before the first one processed: a recorded decode-only sequence starts at its first
 * recorded position. */
static uint32_t
initial_length(const build *b, uint32_t r)
{
    const moe_request *request = &b->out->requests[r];
    if (!recorded(b->config) || request->encoder)
        return 0;
    uint64_t first = moe_routing_token(b->routing, request->sequence, 0);
    return b->routing->position[first];
}

static void
prefill_step(build *b, active *fresh, uint32_t n)
{
    moe_step step = {.first = b->rows->len, .admitted = n, .phase = MOE_PREFILL};
    uint32_t number = b->steps->len;
    bool encodes = false;
    for (uint32_t i = 0; i < n; i++) {
        moe_request *request = &b->out->requests[fresh[i].request];
        request->admitted = number;
        fresh[i].length = initial_length(b, fresh[i].request);
        for (uint32_t t = 0; t < request->prompt; t++)
            add_token(b, take_row(b, &fresh[i], MOE_PREFILL), ++fresh[i].length, fresh[i].request);
        encodes |= request->encoder > 0;
        request->first = number + (request->prompt == 0); /* a prefill gives the first token */
    }
    step.n = (uint32_t)(b->rows->len - step.first);
    if (step.n == 0 && !encodes) { /* nothing to prefill: decoding starts at once */
        for (uint32_t i = 0; i < n; i++)
            b->out->requests[fresh[i].request].first = number;
        return;
    }
    g_array_append_val(b->steps, step);
    b->out->n_prefill_steps++;
}

static uint32_t
decode_step(build *b, active *in_flight, uint32_t n, uint32_t admitted)
{
    uint32_t number = b->steps->len, kept = 0;
    moe_step step = {.first = b->rows->len, .admitted = admitted, .phase = MOE_DECODE};
    for (uint32_t i = 0; i < n; i++) {
        active *a = &in_flight[i];
        moe_request *request = &b->out->requests[a->request];
        add_token(b, take_row(b, a, MOE_DECODE), ++a->length, a->request);
        request->last = number;
        request->context = a->length;
        if (++a->done < request->output)
            in_flight[kept++] = *a;
    }
    step.n = step.decoded = (uint32_t)(b->rows->len - step.first);
    g_array_append_val(b->steps, step);
    return kept;
}

static void
lay_out(build *b)
{
    moe_schedule *out = b->out;
    uint32_t batch = (uint32_t)b->config->workload.batch, n = 0, next = 0, finished = 0;
    g_autofree active *in_flight = g_new0(active, batch);
    bool measuring = b->config->workload.warmup == 0;
    while (n > 0 || next < out->n_requests) {
        uint32_t fresh = 0, before = b->steps->len;
        while (n + fresh < batch && next < out->n_requests)
            in_flight[n + fresh++] = start_request(b, next++);
        if (fresh)
            prefill_step(b, in_flight + n, fresh);
        bool prefilled = b->steps->len > before;
        uint32_t running = n + fresh;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < running; i++) /* a prompt without output is done */
            if (out->requests[in_flight[i].request].output > 0)
                in_flight[kept++] = in_flight[i];
        n = kept ? decode_step(b, in_flight, kept, prefilled ? 0 : fresh) : 0;
        finished += running - n;
        if (!measuring && finished >= b->config->workload.warmup) {
            out->measured = b->steps->len;
            measuring = true;
        }
    }
    for (uint32_t r = 0; r < out->n_requests; r++)
        if (out->requests[r].output == 0)
            out->requests[r].last = out->requests[r].first = out->requests[r].admitted;
    if (!measuring)
        out->measured = b->steps->len;
}

/* Largest sum of final lengths of requests in flight: their KV is reserved in full. */
static void
measure_context(moe_schedule *out)
{
    g_autofree int64_t *self = g_new0(int64_t, out->n_steps + 1);
    g_autofree int64_t *cross = g_new0(int64_t, out->n_steps + 1);
    for (uint32_t r = 0; r < out->n_requests; r++) {
        const moe_request *request = &out->requests[r];
        if (!moe_request_runs(request))
            continue;
        uint32_t context = MAX(request->context, request->prompt);
        self[request->admitted] += context;
        self[request->last + 1] -= context;
        cross[request->admitted] += request->encoder;
        cross[request->last + 1] -= request->encoder;
    }
    int64_t tokens = 0, encoded = 0;
    for (uint32_t s = 0; s < out->n_steps; s++) {
        tokens += self[s];
        encoded += cross[s];
        out->peak_context = MAX(out->peak_context, (uint64_t)tokens);
        out->peak_encoder = MAX(out->peak_encoder, (uint64_t)encoded);
        out->max_tokens = MAX(out->max_tokens, out->steps[s].n);
    }
}

static void
profile(build *b)
{
    const moe_routing *routing = b->routing;
    uint32_t n_experts = routing->n_experts;
    b->out->popularity = g_new0(uint32_t, (size_t)routing->n_layers * n_experts);
    uint32_t n = (uint32_t)(b->config->routing.profile * routing->n_sequences + 0.5);
    for (uint64_t i = 0; n > 0 && i < routing->sequence_first[MIN(n, routing->n_sequences)]; i++) {
        uint64_t row = routing->rows ? routing->rows[i] : i;
        for (uint32_t l = 0; l < routing->n_layers; l++)
            for (uint32_t j = 0; j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, row, l, j);
                if (id < n_experts)
                    b->out->popularity[(size_t)l * n_experts + id]++;
            }
    }
}

static void
prepare(build *b)
{
    const moe_routing *routing = b->routing;
    uint32_t n = routing->n_sequences;
    b->order = g_new(uint32_t, n);
    b->n_prefill = g_new0(uint32_t, n);
    for (uint32_t s = 0; s < n; s++) {
        uint64_t length = routing->sequence_first[s + 1] - routing->sequence_first[s];
        while (b->n_prefill[s] < length &&
               routing->phase[moe_routing_token(routing, s, b->n_prefill[s])] == MOE_PREFILL)
            b->n_prefill[s]++;
        b->order[s] = s;
    }
    if (!recorded(b->config)) {
        moe_stream stream = moe_stream_new((uint64_t)b->config->seed, "sequence order", 0);
        for (uint32_t s = n; s > 1; s--) {
            uint32_t other = (uint32_t)moe_stream_below(&stream, s), keep = b->order[s - 1];
            b->order[s - 1] = b->order[other];
            b->order[other] = keep;
        }
    }
    b->used = g_new0(uint64_t, routing->n_tokens / 64 + 1);
    b->steps = g_array_new(false, false, sizeof(moe_step));
    b->rows = g_array_new(false, false, sizeof(uint32_t));
    b->context = g_array_new(false, false, sizeof(uint32_t));
    b->request = g_array_new(false, false, sizeof(uint32_t));
}

static bool
check_lengths(const build *b, bool encoder, moe_loc at, moe_diag *diag)
{
    const moe_config *config = b->config;
    const moe_routing *routing = b->routing;
    uint64_t n_prefill = 0;
    for (uint32_t s = 0; s < routing->n_sequences; s++)
        n_prefill += b->n_prefill[s];
    bool stand_in = config->workload.prefill == MOE_PREFILL_FROM_DECODE;
    bool wants_prompt = config->workload.prompt > 0 && !encoder;
    if (wants_prompt && n_prefill == 0 && !stand_in) {
        moe_diag_error(diag, at,
                       "the trace %s has no prefill tokens, but 'workload.prompt' is %lld; use "
                       "'prompt: recorded', or 'prefill: from-decode' to let decode routing "
                       "stand in",
                       routing->path, (long long)config->workload.prompt);
        return false;
    }
    bool asks = config->workload.output > 0;
    if (routing->n_tokens == n_prefill && (asks || (wants_prompt && stand_in))) {
        moe_diag_error(diag, at, "the trace %s has no decode tokens, but 'workload.%s' is %lld",
                       routing->path, asks ? "output" : "prompt",
                       (long long)(asks ? config->workload.output : config->workload.prompt));
        return false;
    }
    if (routing->n_tokens > UINT32_MAX / routing->n_layers - 1) {
        moe_diag_error(diag, at,
                       "the trace %s has %llu tokens; at most %u of its %u layers fit one run",
                       routing->path, (unsigned long long)routing->n_tokens,
                       UINT32_MAX / routing->n_layers - 1, routing->n_layers);
        return false;
    }
    return true;
}

/* Contexts are counted in 32 bits, and accesses are held in memory. */
static bool
check_size(const build *b, moe_loc at, moe_diag *diag)
{
    bool captured = b->config->batching == MOE_BATCHING_AS_CAPTURED;
    double tokens = 0;
    for (uint32_t r = 0; r < b->out->n_requests; r++) {
        const moe_request *request = &b->out->requests[r];
        uint64_t context = (uint64_t)initial_length(b, r) + request->prompt + request->output;
        if (captured)
            context = request->context;
        tokens += (double)request->prompt + request->output;
        if (context < INT32_MAX)
            continue;
        moe_diag_error(diag, at,
                       "request %u, of sequence %u of the trace, has a context of %llu tokens; at "
                       "most %d can be simulated",
                       r, b->routing->sequence_ids[request->sequence], (unsigned long long)context,
                       INT32_MAX - 1);
        return false;
    }
    double accesses = tokens * b->routing->n_layers * b->routing->k;
    if (accesses > MOE_MOST_ACCESSES)
        moe_diag_error(diag, at,
                       "%u requests of %.3g tokens in all make %.3g expert accesses; at most %.3g "
                       "fit one run",
                       b->out->n_requests, tokens, accesses, MOE_MOST_ACCESSES);
    return accesses <= MOE_MOST_ACCESSES;
}

static void
discard(build *b)
{
    GArray *arrays[] = {b->steps, b->rows, b->context, b->request};
    for (size_t i = 0; i < MOE_COUNT(arrays); i++)
        if (arrays[i])
            g_array_free(arrays[i], true);
    g_free(b->order);
    g_free(b->n_prefill);
    g_free(b->used);
}

static void
finish(build *b)
{
    measure_context(b->out);
    moe_schedule_collect(b->out, b->dispatch);
    profile(b);
}

/* Steps of requests that fill slots. */
static bool
fill_slots(build *b, bool encoder, moe_loc at, moe_diag *diag)
{
    moe_schedule *out = b->out;
    plan_requests(b, encoder);
    if (!check_size(b, at, diag))
        return false;
    lay_out(b);
    out->batch = (uint32_t)b->config->workload.batch;
    out->n_steps = b->steps->len;
    out->n_tokens = b->rows->len;
    out->steps = (moe_step *)(void *)g_array_free(g_steal_pointer(&b->steps), false);
    out->rows = (uint32_t *)(void *)g_array_free(g_steal_pointer(&b->rows), false);
    out->context = (uint32_t *)(void *)g_array_free(g_steal_pointer(&b->context), false);
    out->request = (uint32_t *)(void *)g_array_free(g_steal_pointer(&b->request), false);
    return true;
}

moe_schedule *
moe_schedule_new(const moe_routing *routing, const moe_config *config, const moe_dispatch *dispatch,
                 bool encoder, moe_loc at, moe_diag *diag)
{
    build b = {.routing = routing, .config = config, .dispatch = dispatch};
    prepare(&b);
    if (!check_lengths(&b, encoder, at, diag)) {
        discard(&b);
        return NULL;
    }
    moe_schedule *out = b.out = g_new0(moe_schedule, 1);
    b.out->routing = routing;
    bool made = config->batching == MOE_BATCHING_AS_CAPTURED
                    ? moe_schedule_take_steps(out, config->workload.warmup, at, diag) &&
                          check_size(&b, at, diag)
                    : fill_slots(&b, encoder, at, diag);
    if (!made) {
        discard(&b);
        moe_schedule_free(out);
        return NULL;
    }
    if (out->measured >= out->n_steps) {
        moe_diag_error(diag, at,
                       "nothing is left to measure: the first %lld of %u requests, which are "
                       "warm-up, end with the last of its %u steps",
                       (long long)config->workload.warmup, out->n_requests, out->n_steps);
        moe_schedule_free(out);
        out = NULL;
    } else
        finish(&b);
    discard(&b);
    return out;
}

void
moe_schedule_free(moe_schedule *schedule)
{
    if (!schedule)
        return;
    g_free(schedule->requests);
    g_free(schedule->steps);
    g_free(schedule->rows);
    g_free(schedule->context);
    g_free(schedule->request);
    g_free(schedule->popularity);
    g_free((void *)(uintptr_t)schedule->demand.first);
    g_free((void *)(uintptr_t)schedule->demand.expert);
    g_free((void *)(uintptr_t)schedule->demand.tokens);
    g_free((void *)(uintptr_t)schedule->demand.next_use);
    g_free((void *)(uintptr_t)schedule->demand.step_tokens);
    g_free(schedule);
}
