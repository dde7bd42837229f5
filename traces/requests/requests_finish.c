/* The end of a builder: requests that came late are put in order, and all numbers given anew. */
#include "traces/requests/requests_builder.h"

#include "sim/base/error.h"

#include <stdlib.h>

/* ---- order ---- */

typedef struct finish_key {
    int64_t arrival;
    uint32_t at;
} finish_key;

static int
finish_by_arrival(const void *a, const void *b)
{
    const finish_key *x = a, *y = b;
    if (x->arrival != y->arrival)
        return x->arrival < y->arrival ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Numbers 0, 1, 2, … in order of first appearance, for those that were given in another order. */
typedef struct finish_numbers {
    uint32_t *fresh; /* MOE_NONE: has not appeared */
    uint32_t n;
} finish_numbers;

static bool
finish_numbers_init(finish_numbers *numbers, uint32_t n)
{
    numbers->fresh = g_try_new(uint32_t, (size_t)n + 1);
    for (uint32_t i = 0; numbers->fresh && i < n; i++)
        numbers->fresh[i] = MOE_NONE;
    return numbers->fresh != NULL;
}

static uint32_t
finish_number(finish_numbers *numbers, uint32_t old)
{
    if (numbers->fresh[old] == MOE_NONE)
        numbers->fresh[old] = numbers->n++;
    return numbers->fresh[old];
}

typedef struct finish_sort {
    finish_key *keys;
    finish_numbers sessions, models, blocks;
} finish_sort;

static bool
finish_sort_init(finish_sort *sort, moe_requests_builder *b)
{
    uint64_t n = moe_requests_builder_count(b);
    const int64_t *arrival = moe_columns_view(b->store.rows, REQUESTS_ARRIVAL);
    sort->keys = g_try_new(finish_key, n);
    bool ok = sort->keys && arrival && finish_numbers_init(&sort->sessions, b->sessions.n) &&
              finish_numbers_init(&sort->models, b->models.n) &&
              finish_numbers_init(&sort->blocks, b->block_ids.n);
    for (uint64_t i = 0; ok && i < n; i++)
        sort->keys[i] = (finish_key){arrival[i], (uint32_t)i};
    if (ok)
        qsort(sort->keys, n, sizeof *sort->keys, finish_by_arrival);
    return ok;
}

static void
finish_sort_clear(finish_sort *sort)
{
    g_free(sort->keys);
    g_free(sort->sessions.fresh);
    g_free(sort->models.fresh);
    g_free(sort->blocks.fresh);
}

/* Copies request `at` behind those that are in `to`. */
static void
finish_copy(finish_sort *sort, requests_store *from, uint32_t at, int64_t first, requests_store *to)
{
    const int64_t *arrival = moe_columns_view(from->rows, REQUESTS_ARRIVAL);
    const uint32_t *prompt = moe_columns_view(from->rows, REQUESTS_PROMPT);
    const uint32_t *output = moe_columns_view(from->rows, REQUESTS_OUTPUT);
    const uint32_t *session = moe_columns_view(from->rows, REQUESTS_SESSION);
    const uint16_t *model = moe_columns_view(from->rows, REQUESTS_MODEL);
    const uint64_t *block_first = moe_columns_view(from->block_first, 0);
    const uint32_t *blocks = moe_columns_view(from->blocks, 0);
    for (uint64_t j = block_first ? block_first[at] : 0; block_first && j < block_first[at + 1];
         j++)
        requests_store_block(to, finish_number(&sort->blocks, blocks[j]));
    if (block_first)
        requests_store_end_blocks(to);
    requests_row row = {arrival[at] - first, prompt[at], output[at], session[at], model[at]};
    if (row.session != MOE_NONE)
        row.session = finish_number(&sort->sessions, row.session);
    if (row.model != MOE_REQUESTS_NO_MODEL)
        row.model = (uint16_t)finish_number(&sort->models, row.model);
    requests_store_add(to, &row);
}

static bool
finish_failed(const requests_store *store)
{
    return moe_columns_failed(store->rows) || moe_columns_failed(store->block_first) ||
           moe_columns_failed(store->blocks);
}

/* Names in the order of their fresh numbers. */
static bool
finish_order_models(moe_requests_builder *b, const finish_numbers *numbers)
{
    moe_names ordered = {0};
    g_autofree uint32_t *old = g_new(uint32_t, (gsize)numbers->n + 1);
    for (uint32_t i = 0; i < b->models.n; i++)
        old[numbers->fresh[i]] = i;
    for (uint32_t i = 0; i < numbers->n; i++) {
        size_t n;
        const char *name = moe_names_at(&b->models, old[i], &n);
        if (moe_names_add(&ordered, name, n) == MOE_NONE)
            b->no_memory = true;
    }
    moe_names_clear(&b->models);
    b->models = ordered;
    return !b->no_memory;
}

/* Puts the store in order of time. */
static bool
finish_order(moe_requests_builder *b)
{
    finish_sort sort = {0};
    requests_store ordered;
    uint64_t n = moe_requests_builder_count(b);
    requests_store_init(&ordered, b->folder, b->limit_bytes);
    if (b->block_tokens)
        requests_store_use_blocks(&ordered);
    bool ready = finish_sort_init(&sort, b);
    b->no_memory |= !ready && !finish_failed(&b->store);
    int64_t first = ready ? sort.keys[0].arrival : 0;
    for (uint64_t i = 0; ready && i < n; i++)
        finish_copy(&sort, &b->store, sort.keys[i].at, first, &ordered);
    b->first += first;
    if (ready)
        finish_order_models(b, &sort.models);
    finish_sort_clear(&sort);
    requests_store_clear(&b->store);
    b->store = ordered;
    return ready && !b->no_memory;
}

/* ---- the file ---- */

static bool
finish_view(moe_requests_builder *b, moe_requests_file *file)
{
    moe_requests *r = &file->requests;
    moe_columns *rows = b->store.rows;
    bool blocks = moe_columns_rows(b->store.blocks) > 0;
    r->n = moe_columns_rows(rows);
    r->clock = b->clock;
    r->epoch_ns = b->first;
    r->arrival_ns = moe_columns_view(rows, REQUESTS_ARRIVAL);
    r->prompt = moe_columns_view(rows, REQUESTS_PROMPT);
    r->output = moe_columns_view(rows, REQUESTS_OUTPUT);
    r->session = b->has_session ? moe_columns_view(rows, REQUESTS_SESSION) : NULL;
    r->n_sessions = b->sessions.n;
    r->model = b->has_model ? moe_columns_view(rows, REQUESTS_MODEL) : NULL;
    r->n_models = b->models.n;
    r->block_tokens = blocks ? b->block_tokens : 0;
    r->block_first = blocks ? moe_columns_view(b->store.block_first, 0) : NULL;
    r->blocks = blocks ? moe_columns_view(b->store.blocks, 0) : NULL;
    r->n_blocks = b->block_ids.n;
    return !finish_failed(&b->store);
}

static void
finish_models(const moe_requests_builder *b, moe_requests_file *file)
{
    const char **names = moe_requests_file_own(file, g_new0(const char *, b->models.n + 1));
    for (uint32_t i = 0; i < b->models.n; i++) {
        size_t n;
        const char *name = moe_names_at(&b->models, i, &n);
        names[i] = moe_requests_file_own(file, g_utf8_make_valid(name, (gssize)n));
    }
    file->requests.models = names;
}

static void
finish_put(moe_requests_file *file, const char *key, char *value)
{
    file->meta[file->n_meta++] = (moe_meta){key, moe_requests_file_own(file, value)};
}

/* The metadata as the file holds it. */
static void
finish_meta(moe_requests_builder *b, moe_requests_file *file)
{
    const moe_requests *r = &file->requests;
    file->meta = g_new(moe_meta, 6 + b->meta->len / 2);
    finish_put(file, "format", g_strdup(MOE_REQUESTS_FORMAT));
    finish_put(file, "version", g_strdup(MOE_REQUESTS_VERSION));
    finish_put(file, "clock", g_strdup(r->clock == MOE_CLOCK_UNIX ? "unix" : "trace"));
    finish_put(file, "epoch_ns", g_strdup_printf("%" G_GINT64_FORMAT, r->epoch_ns));
    if (r->block_tokens)
        finish_put(file, "block_tokens", g_strdup_printf("%u", r->block_tokens));
    if (r->model)
        finish_put(file, "models", moe_requests_model_list(r));
    for (guint i = 0; i < b->meta->len; i += 2)
        finish_put(file, moe_requests_file_own(file, g_strdup(b->meta->pdata[i])),
                   g_strdup(b->meta->pdata[i + 1]));
}

static void
finish_error(const moe_requests_builder *b, const char *name, GError **error)
{
    const requests_store *s = &b->store;
    if (moe_columns_error(s->rows, name, error) || moe_columns_error(s->block_first, name, error) ||
        moe_columns_error(s->blocks, name, error))
        return;
    moe_error_path(error, MOE_ERROR_MEMORY, name, 0, "no memory for %" G_GUINT64_FORMAT " requests",
                   moe_requests_builder_count(b));
}

moe_requests_file *
moe_requests_builder_finish(moe_requests_builder *b, const char *name, GError **error)
{
    moe_assert(moe_requests_builder_count(b) >= 1 || b->no_memory || finish_failed(&b->store),
               "a request trace without requests");
    moe_requests_file *file = moe_requests_file_new(name);
    bool ok = !b->no_memory && (b->late == 0 || finish_order(b)) && finish_view(b, file);
    if (ok) {
        finish_models(b, file);
        finish_meta(b, file);
        file->rows = g_steal_pointer(&b->store.rows);
        file->block_first = g_steal_pointer(&b->store.block_first);
        file->blocks = g_steal_pointer(&b->store.blocks);
    } else {
        finish_error(b, name, error);
        g_clear_pointer(&file, moe_requests_close);
    }
    moe_requests_builder_free(b);
    return file;
}
