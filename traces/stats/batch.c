#include "traces/stats/batch.h"

#include <glib.h>
#include <stdlib.h>

static void
prefill_batches(const moe_pick *pick, moe_batch_user *user, void *state, moe_progress *progress,
                void *context)
{
    const moe_routing *routing = pick->routing;
    uint64_t rows[MOE_BATCH_WAVE];
    for (uint32_t i = 0; i < pick->n; i++) {
        uint32_t s = moe_pick_sequence(pick, i), n = 0;
        uint64_t length = moe_pick_length(pick, i);
        for (uint64_t t = 0; t < length; t++) {
            uint64_t row = moe_routing_token(routing, s, t);
            if (routing->phase[row] != MOE_PREFILL)
                continue;
            rows[n++] = row;
            if (n == MOE_BATCH_WAVE) {
                user(state, rows, n);
                n = 0;
            }
        }
        if (n)
            user(state, rows, n);
        if (progress)
            progress(context, i + 1, pick->n);
    }
}

/* Where a sequence of a wave stands. */
struct lane {
    uint32_t sequence;
    uint64_t at, length;
};

/* The next decode token of the lane; false at its end. */
static bool
lane_next(const moe_routing *routing, struct lane *lane, uint64_t *row)
{
    while (lane->at < lane->length) {
        *row = moe_routing_token(routing, lane->sequence, lane->at++);
        if (routing->phase[*row] == MOE_DECODE)
            return true;
    }
    return false;
}

static void
decode_wave(const moe_routing *routing, struct lane *lanes, uint32_t n, moe_batch_user *user,
            void *state)
{
    uint64_t rows[MOE_BATCH_WAVE];
    while (n) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < n; i++) {
            struct lane lane = lanes[i];
            if (lane_next(routing, &lane, &rows[left]))
                lanes[left++] = lane;
        }
        n = left;
        if (n)
            user(state, rows, n);
    }
}

void
moe_batches(const moe_pick *pick, moe_phase phase, moe_batch_user *user, void *state,
            moe_progress *progress, void *context)
{
    if (phase == MOE_PREFILL) {
        prefill_batches(pick, user, state, progress, context);
        return;
    }
    struct lane lanes[MOE_BATCH_WAVE];
    for (uint32_t i = 0; i < pick->n;) {
        uint32_t n = 0;
        for (; n < MOE_BATCH_WAVE && i < pick->n; i++, n++)
            lanes[n] = (struct lane){moe_pick_sequence(pick, i), 0, moe_pick_length(pick, i)};
        decode_wave(pick->routing, lanes, n, user, state);
        if (progress)
            progress(context, i, pick->n);
    }
}

/* ---- recorded steps ---- */

struct turn {
    uint32_t step, row;
    uint64_t order;
};

static int
compare_turns(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void
moe_batch_steps(const moe_pick *pick, moe_batch_user *user, void *state)
{
    const moe_routing *routing = pick->routing;
    uint64_t n = moe_pick_tokens(pick), at = 0;
    g_autofree struct turn *turns = g_new(struct turn, n + 1);
    g_autofree uint64_t *rows = g_new(uint64_t, n + 1);
    for (uint32_t i = 0; i < pick->n; i++)
        for (uint64_t t = 0; t < moe_pick_length(pick, i); t++, at++) {
            uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
            turns[at] = (struct turn){routing->step[row], (uint32_t)row, at};
        }
    qsort(turns, n, sizeof *turns, compare_turns);
    for (uint64_t from = 0, end; from < n; from = end) {
        for (end = from; end < n && turns[end].step == turns[from].step; end++)
            rows[end] = turns[end].row;
        user(state, rows + from, (uint32_t)(end - from));
    }
}
