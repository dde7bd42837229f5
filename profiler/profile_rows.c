#include "profiler/profile_rows.h"

#include "traces/index_map.h"

struct moe_rows {
    uint32_t *next;
    bool own;
    GArray *live;          /* numbers of derived sequences that go on */
    moe_index_map told;    /* the engine's number -> */
    GArray *number;        /* ours */
    moe_index_map lengths; /* our number -> */
    GArray *length;        /* the position that comes next */
    moe_index_map seen;    /* sequence << 32 | position */
    uint64_t derived;
};

moe_rows *
moe_rows_new(uint32_t *next, bool own)
{
    moe_rows *r = g_new0(moe_rows, 1);
    r->next = next;
    r->own = own;
    r->live = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->number = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->length = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    return r;
}

void
moe_rows_free(moe_rows *r)
{
    if (!r)
        return;
    g_array_unref(r->live);
    g_array_unref(r->number);
    g_array_unref(r->length);
    moe_index_map_clear(&r->told);
    moe_index_map_clear(&r->lengths);
    moe_index_map_clear(&r->seen);
    g_free(r);
}

/* The number of a sequence that the engine numbers. */
static uint32_t
rows_told(moe_rows *r, uint32_t number)
{
    if (r->own) {
        *r->next = MAX(*r->next, number + 1);
        return number;
    }
    uint32_t known = r->told.n, at = moe_index_map_add(&r->told, number);
    moe_assert(at != MOE_NONE, "no memory for %u sequences", known);
    if (at == known) {
        uint32_t new = (*r->next)++;
        g_array_append_val(r->number, new);
    }
    return g_array_index(r->number, uint32_t, at);
}

/* The position that comes next in a sequence, to be changed. */
static uint32_t *
rows_length(moe_rows *r, uint32_t sequence)
{
    uint32_t known = r->lengths.n, at = moe_index_map_add(&r->lengths, sequence), zero = 0;
    moe_assert(at != MOE_NONE, "no memory for %u sequences", known);
    if (at == known)
        g_array_append_val(r->length, zero);
    return &g_array_index(r->length, uint32_t, at);
}

static void
rows_place(moe_rows *r, moe_row *row, int32_t position)
{
    uint32_t *length = rows_length(r, row->sequence), known = r->seen.n;
    row->position = position >= 0 ? (uint32_t)position : *length;
    *length = MAX(*length, row->position + 1);
    uint32_t at = moe_index_map_add(&r->seen, (uint64_t)row->sequence << 32 | row->position);
    moe_assert(at != MOE_NONE, "no memory for %u rows", known);
    row->again = at != known;
}

/* Rows in new sequences, `each` in each. */
static void
rows_begin(moe_rows *r, uint32_t n, uint32_t each, moe_row *out)
{
    g_array_set_size(r->live, 0);
    for (uint32_t i = 0; i < n; i++) {
        if (i % each == 0) {
            uint32_t new = (*r->next)++;
            g_array_append_val(r->live, new);
        }
        out[i].sequence = g_array_index(r->live, uint32_t, r->live->len - 1);
    }
}

static void
rows_derive(moe_rows *r, const moe_rows_step *step, moe_row *out)
{
    uint32_t n = step->n, live = r->live->len;
    bool go_on = live == n && step->phase != 0;
    if (go_on) {
        for (uint32_t i = 0; i < n; i++)
            out[i].sequence = g_array_index(r->live, uint32_t, i);
    } else if (step->phase == 1) {
        rows_begin(r, n, 1, out);
    } else {
        bool even = step->sequences > 1 && step->sequences <= n && n % step->sequences == 0;
        rows_begin(r, n, even ? (uint32_t)(n / step->sequences) : n, out);
    }
    for (uint32_t i = 0; i < n; i++)
        out[i].decode = go_on || step->phase == 1;
}

/* Rows of one sequence in this step: the only one of it is decoded, unless it is the first of all.
 */
static void
rows_phase(const moe_rows_step *step, moe_row *out)
{
    moe_index_map rows = {0};
    g_autoptr(GArray) counts = g_array_new(FALSE, TRUE, sizeof(uint32_t));
    for (uint32_t i = 0; i < step->n; i++) {
        uint32_t at = moe_index_map_add(&rows, out[i].sequence);
        g_array_set_size(counts, MAX(counts->len, at + 1));
        g_array_index(counts, uint32_t, at)++;
    }
    for (uint32_t i = 0; i < step->n; i++) {
        uint32_t at = moe_index_map_add(&rows, out[i].sequence);
        out[i].decode =
            step->phase == 1 ||
            (step->phase != 0 && g_array_index(counts, uint32_t, at) == 1 && out[i].position > 0);
    }
    moe_index_map_clear(&rows);
}

void
moe_rows_next(moe_rows *r, const moe_rows_step *step, moe_row *out)
{
    bool told = step->sequence != NULL;
    for (uint32_t i = 0; i < step->n && told; i++)
        told = step->sequence[i] >= 0;
    for (uint32_t i = 0; i < step->n; i++)
        if (told)
            out[i].sequence = rows_told(r, (uint32_t)step->sequence[i]);
    if (!told) {
        r->derived += step->n;
        rows_derive(r, step, out);
    }
    for (uint32_t i = 0; i < step->n; i++)
        rows_place(r, &out[i], told && step->position ? step->position[i] : -1);
    if (told)
        rows_phase(step, out);
}

uint64_t
moe_rows_derived(const moe_rows *r)
{
    return r->derived;
}
