/* The sequence index: sequences in order of first appearance, their rows by position. A file that
 * is sequence-major with ascending positions, as most are, needs no row list. */
#include "traces/routing_file.h"

#include "traces/index_map.h"

#include <stdlib.h>

typedef struct index_work {
    moe_routing_file *file;
    moe_index_map map;  /* recorded id -> sequence */
    uint32_t *sequence; /* [n_tokens]: of each row */
    uint64_t *first;    /* [n_sequences + 1] */
    uint32_t *ids;      /* [n_sequences] */
    bool identity;
} index_work;

/* Finds the sequence of every row, and whether the rows are in order already. */
static bool
index_scan(index_work *work)
{
    const moe_routing *r = &work->file->routing;
    work->sequence = g_try_new(uint32_t, r->n_tokens + 1);
    if (!work->sequence)
        return false;
    work->identity = true;
    for (uint64_t i = 0; i < r->n_tokens; i++) {
        bool same = i > 0 && r->sequence[i] == r->sequence[i - 1];
        if (same) {
            work->sequence[i] = work->sequence[i - 1];
            work->identity &= r->position[i] > r->position[i - 1];
            continue;
        }
        uint32_t known = work->map.n;
        work->sequence[i] = moe_index_map_add(&work->map, r->sequence[i]);
        if (work->sequence[i] == MOE_NONE)
            return false;
        work->identity &= work->sequence[i] == known;
    }
    return true;
}

/* sequence_first by counting, sequence_ids, n_prefill. */
static bool
index_count(index_work *work)
{
    moe_routing *r = &work->file->routing;
    uint32_t n = work->map.n;
    work->first = moe_routing_file_buffer(work->file, (uint64_t)n + 1, sizeof *work->first);
    work->ids = moe_routing_file_buffer(work->file, (uint64_t)n + 1, sizeof *work->ids);
    if (!work->first || !work->ids)
        return false;
    for (uint32_t s = 0; s <= n; s++)
        work->first[s] = 0;
    r->n_prefill = 0;
    for (uint64_t i = 0; i < r->n_tokens; i++) {
        work->first[work->sequence[i] + 1]++;
        work->ids[work->sequence[i]] = r->sequence[i];
        r->n_prefill += r->phase[i] == MOE_PREFILL;
    }
    for (uint32_t s = 0; s < n; s++)
        work->first[s + 1] += work->first[s];
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
    uint32_t *rows = moe_routing_file_buffer(work->file, r->n_tokens, sizeof *rows);
    g_autofree uint64_t *next = g_try_new(uint64_t, (gsize)r->n_sequences + 1);
    g_autofree uint64_t *keys = g_try_new(uint64_t, longest + 1);
    if (!rows || !next || !keys)
        return false;
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
    index_work work = {.file = file};
    unsigned errors = 0;
    file->routing.rows = NULL;
    bool ok = index_scan(&work) && index_count(&work) &&
              (work.identity || index_rows(&work, &errors, diag));
    moe_index_map_clear(&work.map);
    g_free(work.sequence);
    if (!ok)
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, file->path)},
                       "no memory for an index of %" G_GUINT64_FORMAT " tokens",
                       file->routing.n_tokens);
    return ok && errors == 0;
}
