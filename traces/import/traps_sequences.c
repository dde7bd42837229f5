/* What was kept of each sequence: for the summary, and to find the same answer given twice. */
#include "traces/import/traps_state.h"

#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>

#define SEQUENCES_SURE_BITS 40 /* of coincidence, before two count as one */

typedef struct traps_sequence {
    uint64_t hash, n; /* of all ids so far, in order of coming; tokens */
    uint32_t number, at;
} traps_sequence;

void
traps_sequences_init(traps_sequences *s)
{
    s->list = g_array_new(FALSE, FALSE, sizeof(traps_sequence));
    s->index = g_hash_table_new(NULL, NULL);
}

void
traps_sequences_clear(traps_sequences *s)
{
    if (!s->list)
        return;
    g_array_free(s->list, TRUE);
    g_hash_table_destroy(s->index);
}

/* The place in the list; tokens of one sequence mostly follow one another. */
static guint
sequences_at(traps_sequences *s, uint32_t number)
{
    if (s->list->len && g_array_index(s->list, traps_sequence, s->last).number == number)
        return s->last;
    guint found = GPOINTER_TO_UINT(g_hash_table_lookup(s->index, GUINT_TO_POINTER(number)));
    if (found)
        return s->last = found - 1;
    traps_sequence fresh = {.number = number, .at = s->list->len};
    g_array_append_val(s->list, fresh);
    g_hash_table_insert(s->index, GUINT_TO_POINTER(number), GUINT_TO_POINTER(s->list->len));
    return s->last = s->list->len - 1;
}

void
traps_sequences_add(traps_sequences *s, uint32_t number, uint32_t position, moe_phase phase,
                    uint64_t hash)
{
    guint at = sequences_at(s, number); /* may move the list */
    traps_sequence *q = &g_array_index(s->list, traps_sequence, at);
    q->hash = moe_mix64(q->hash ^ hash ^ (uint64_t)position << 32);
    q->n++;
    s->n_tokens++;
    s->n_prefill += phase == MOE_PREFILL;
}

static int
sequences_order(const void *a, const void *b)
{
    const traps_sequence *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

uint64_t
traps_sequences_twice(traps_sequences *s, double bits, uint32_t pair[2])
{
    uint64_t n_twice = 0;
    guint first = G_MAXUINT;
    qsort(s->list->data, s->list->len, sizeof(traps_sequence), sequences_order);
    for (guint i = 1; i < s->list->len; i++) {
        const traps_sequence *x = &g_array_index(s->list, traps_sequence, i - 1), *y = x + 1;
        if (x->hash != y->hash || x->n != y->n || (double)x->n * bits < SEQUENCES_SURE_BITS)
            continue;
        n_twice++;
        if (y->at >= first)
            continue;
        first = y->at;
        pair[0] = x->number;
        pair[1] = y->number;
    }
    return n_twice;
}
