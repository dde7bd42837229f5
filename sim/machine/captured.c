/* The steps of a trace as it was captured: which tokens ran together is what its tensor `step`
 * says, in the order of its rows. Requests are its sequences. */
#include "sim/machine/schedule.h"

#include <stdlib.h>
#include <string.h>

typedef struct placed {
    uint32_t step, row;
} placed;

static int
by_step(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Rows by step; a capture has them so already. */
static void
order_rows(const moe_routing *routing, uint32_t *rows)
{
    bool sorted = true;
    for (uint64_t i = 0; i < routing->n_tokens; i++) {
        rows[i] = (uint32_t)i;
        sorted &= i == 0 || routing->step[i] >= routing->step[i - 1];
    }
    if (sorted)
        return;
    g_autofree placed *order = g_new(placed, routing->n_tokens);
    for (uint32_t i = 0; i < routing->n_tokens; i++)
        order[i] = (placed){routing->step[i], i};
    qsort(order, routing->n_tokens, sizeof *order, by_step);
    for (uint64_t i = 0; i < routing->n_tokens; i++)
        rows[i] = order[i].row;
}

/* A sequence as a request; number_of: steps by row, counted from 0 without gaps. */
static void
make_request(const moe_routing *routing, const uint32_t *number_of, uint32_t s,
             moe_request *request)
{
    uint64_t n = routing->sequence_first[s + 1] - routing->sequence_first[s];
    bool prompting = true;
    *request = (moe_request){.sequence = s};
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = moe_routing_token(routing, s, i);
        bool decodes = routing->phase[row] == MOE_DECODE;
        uint32_t step = number_of[row];
        if (i == 0)
            request->admitted = step;
        prompting &= !decodes;
        if (prompting || i == 0)
            request->first = step; /* the end of a prompt gives the first token */
        request->prompt += !decodes;
        request->output += decodes;
        request->last = step;
        request->context = routing->position[row] + 1;
    }
}

/* A token cannot run before the one it follows. */
static bool
check_order(const moe_routing *routing, moe_loc at, moe_diag *diag)
{
    for (uint32_t s = 0; s < routing->n_sequences; s++) {
        uint64_t n = routing->sequence_first[s + 1] - routing->sequence_first[s];
        for (uint64_t i = 1; i < n; i++) {
            uint64_t before = moe_routing_token(routing, s, i - 1);
            uint64_t row = moe_routing_token(routing, s, i);
            if (routing->step[row] >= routing->step[before])
                continue;
            moe_diag_error(diag, at,
                           "the trace %s cannot be replayed as captured: position %u of sequence "
                           "%u ran in step %u, and position %u before that in step %u",
                           routing->path, routing->position[row], routing->sequence_ids[s],
                           routing->step[row], routing->position[before], routing->step[before]);
            return false;
        }
    }
    return true;
}

/* Cuts the rows into steps; number_of[row]: the step's number. */
static moe_step *
cut_steps(moe_schedule *out, uint32_t *number_of)
{
    const moe_routing *routing = out->routing;
    GArray *steps = g_array_new(false, false, sizeof(moe_step));
    for (uint64_t t = 0, end; t < out->n_tokens; t = end) {
        moe_step step = {.first = t, .phase = MOE_DECODE};
        for (end = t;
             end < out->n_tokens && routing->step[out->rows[end]] == routing->step[out->rows[t]];
             end++) {
            bool decodes = routing->phase[out->rows[end]] == MOE_DECODE;
            step.decoded += decodes;
            step.phase = decodes ? step.phase : MOE_PREFILL;
            number_of[out->rows[end]] = steps->len;
        }
        step.n = (uint32_t)(end - t);
        out->n_prefill_steps += step.phase == MOE_PREFILL;
        g_array_append_val(steps, step);
    }
    out->n_steps = steps->len;
    return (moe_step *)(void *)g_array_free(steps, false);
}

/* Requests in flight, step by step; measurement starts when `warmup` of them are done. */
static void
follow_requests(moe_schedule *out, int64_t warmup)
{
    g_autofree uint32_t *ended = g_new0(uint32_t, out->n_steps + 1);
    uint32_t in_flight = 0;
    int64_t finished = 0;
    out->measured = warmup == 0 ? 0 : out->n_steps;
    for (uint32_t r = 0; r < out->n_requests; r++) {
        out->steps[out->requests[r].admitted].admitted++;
        ended[out->requests[r].last]++;
    }
    for (uint32_t s = 0; s < out->n_steps; s++) {
        in_flight += out->steps[s].admitted;
        out->batch = MAX(out->batch, in_flight);
        in_flight -= ended[s];
        finished += ended[s];
        if (warmup > 0 && finished >= warmup && out->measured == out->n_steps)
            out->measured = s + 1;
    }
}

bool
moe_schedule_take_steps(moe_schedule *out, int64_t warmup, moe_loc at, moe_diag *diag)
{
    const moe_routing *routing = out->routing;
    if (!routing->step) {
        moe_diag_error(diag, at,
                       "the trace %s does not say which tokens ran together (it has no tensor "
                       "'step'), so it cannot be replayed as captured",
                       routing->path);
        return false;
    }
    if (!check_order(routing, at, diag))
        return false;
    out->n_tokens = routing->n_tokens;
    out->rows = g_new(uint32_t, routing->n_tokens + 1);
    out->context = g_new(uint32_t, routing->n_tokens + 1);
    out->request = g_new(uint32_t, routing->n_tokens + 1);
    order_rows(routing, out->rows);
    g_autofree uint32_t *number_of = g_new(uint32_t, routing->n_tokens + 1);
    out->steps = cut_steps(out, number_of);
    out->n_requests = routing->n_sequences;
    out->requests = g_new0(moe_request, out->n_requests + 1);
    g_autofree uint32_t *request_of = g_new(uint32_t, routing->n_tokens + 1);
    for (uint32_t s = 0; s < out->n_requests; s++) {
        make_request(routing, number_of, s, &out->requests[s]);
        uint64_t n = routing->sequence_first[s + 1] - routing->sequence_first[s];
        for (uint64_t i = 0; i < n; i++)
            request_of[moe_routing_token(routing, s, i)] = s;
    }
    for (uint64_t t = 0; t < out->n_tokens; t++) {
        out->context[t] = routing->position[out->rows[t]] + 1;
        out->request[t] = request_of[out->rows[t]];
    }
    follow_requests(out, warmup);
    return true;
}

moe_schedule *
moe_schedule_captured(const moe_routing *routing, double profile, moe_loc at, moe_diag *diag)
{
    const moe_config config = {
        .routing.profile = profile,
        .workload = {.requests = INT64_MAX,
                     .prompt = MOE_RECORDED,
                     .output = MOE_RECORDED,
                     .batch = 1},
        .batching = MOE_BATCHING_AS_CAPTURED,
    };
    return moe_schedule_new(routing, &config, NULL, false, at, diag);
}
