/* The sequence index: sequences in order of first appearance, their rows by position. A file that
 * is sequence-major with ascending positions, as most are, needs no row list. */
#include "traces/routing_file.h"

#include "traces/index_map.h"

#include <stdlib.h>

typedef struct index_work {
    moe_routing_file *file;
    moe_index_map map;  /* recorded id -> sequence */
    GArray *lengths;    /* uint64_t: rows of each sequence */
    uint32_t *sequence; /* [n_tokens]: of each row; only when the rows are not in order */
    uint64_t *first;    /* [n_sequences + 1] */
    uint32_t *ids;      /* [n_sequences] */
    bool identity;
} index_work;

/* The sequence of row i, given that of the row before; MOE_NONE: no memory. */
static inline uint32_t
index_sequence(index_work *work, uint64_t i, uint32_t before)
{
    const uint32_t *recorded = work->file->routing.sequence;
    if (MOE_LIKELY(i > 0 && recorded[i] == recorded[i - 1]))
        return before;
    return moe_index_map_add(&work->map, recorded[i]);
}

/* Counts the rows of each sequence, and finds whether the rows are in order already. Memory goes
 * with the sequences, not with the rows. */
static bool
index_scan(index_work *work)
{
    moe_routing *r = &work->file->routing;
    uint32_t s = 0;
    work->identity = true;
    r->n_prefill = 0;
    for (uint64_t i = 0; i < r->n_tokens; i++) {
        uint32_t before = s, known = work->map.n;
        s = index_sequence(work, i, before);
        if (s == MOE_NONE)
            return false;
        if (s == known)
            g_array_append_val(work->lengths, (uint64_t){0});
        else
            work->identity &= i > 0 && s == before && r->position[i] > r->position[i - 1];
        g_array_index(work->lengths, uint64_t, s)++;
        r->n_prefill += r->phase[i] == MOE_PREFILL;
    }
    return true;
}

/* sequence_first and sequence_ids. */
static bool
index_count(index_work *work)
{
    moe_routing *r = &work->file->routing;
    uint32_t n = work->map.n;
    work->first = moe_routing_file_buffer(work->file, (uint64_t)n + 1, sizeof *work->first);
    work->ids = moe_routing_file_buffer(work->file, (uint64_t)n + 1, sizeof *work->ids);
    if (!work->first || !work->ids)
        return false;
    work->first[0] = 0;
    for (uint32_t s = 0; s < n; s++)
        work->first[s + 1] = work->first[s] + g_array_index(work->lengths, uint64_t, s);
    for (size_t i = 0; i < work->map.capacity; i++)
        if (work->map.values[i] != MOE_NONE)
            work->ids[work->map.values[i]] = (uint32_t)work->map.keys[i];
    r->n_sequences = n;
    r->sequence_first = work->first;
    r->sequence_ids = work->ids;
    return true;
}

static int
index_key_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the rows of one sequence by position, when they are not; equal positions are messages.
 * `keys` has room for the longest sequence. */
static void
index_sort(index_work *work, uint32_t *rows, uint32_t s, uint64_t *keys, unsigned *errors,
           moe_diag *diag)
{
    const moe_routing *r = &work->file->routing;
    uint64_t first = work->first[s], n = work->first[s + 1] - first;
    bool sorted = true;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t row = rows[first + i];
        keys[i] = (uint64_t)r->position[row] << 32 | row;
        sorted &= i == 0 || keys[i] > keys[i - 1];
    }
    if (!sorted)
        qsort(keys, n, sizeof *keys, index_key_order);
    for (uint64_t i = 0; i < n; i++) {
        rows[first + i] = (uint32_t)keys[i];
        if (i == 0 || keys[i] >> 32 != keys[i - 1] >> 32 || *errors == MOE_ROUTING_MAX_ERRORS)
            continue;
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, r->path)},
                       "tensor position, token %u: sequence %u has position %u already (token %u)",
                       (uint32_t)keys[i], r->sequence_ids[s], (uint32_t)(keys[i] >> 32),
                       (uint32_t)keys[i - 1]);
        ++*errors;
    }
}

/* Rows by sequence, then by position. */
static bool
index_rows(index_work *work, unsigned *errors, moe_diag *diag)
{
    moe_routing *r = &work->file->routing;
    uint64_t longest = 0;
    for (uint32_t s = 0; s < r->n_sequences; s++)
        longest = MAX(longest, work->first[s + 1] - work->first[s]);
    work->sequence = g_try_new(uint32_t, r->n_tokens);
    uint32_t *rows = moe_routing_file_buffer(work->file, r->n_tokens, sizeof *rows);
    g_autofree uint64_t *next = g_try_new(uint64_t, (gsize)r->n_sequences + 1);
    g_autofree uint64_t *keys = g_try_new(uint64_t, longest + 1);
    if (!work->sequence || !rows || !next || !keys)
        return false;
    for (uint64_t i = 0; i < r->n_tokens; i++)
        work->sequence[i] = index_sequence(work, i, i ? work->sequence[i - 1] : 0);
    for (uint32_t s = 0; s < r->n_sequences; s++)
        next[s] = work->first[s];
    for (uint64_t i = 0; i < r->n_tokens; i++)
        rows[next[work->sequence[i]]++] = (uint32_t)i;
    for (uint32_t s = 0; s < r->n_sequences; s++)
        index_sort(work, rows, s, keys, errors, diag);
    r->rows = rows;
    return true;
}

bool
moe_routing_index(moe_routing_file *file, moe_diag *diag)
{
    index_work work = {.file = file, .lengths = g_array_new(FALSE, FALSE, sizeof(uint64_t))};
    unsigned errors = 0;
    file->routing.rows = NULL;
    bool ok = index_scan(&work) && index_count(&work) &&
              (work.identity || index_rows(&work, &errors, diag));
    moe_index_map_clear(&work.map);
    g_array_free(work.lengths, TRUE);
    g_free(work.sequence);
    if (!ok)
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, file->path)},
                       "no memory for an index of %" G_GUINT64_FORMAT " tokens",
                       file->routing.n_tokens);
    return ok && errors == 0;
}
