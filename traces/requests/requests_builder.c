/* Requests are appended in order of reading, which is nearly always that of time; the rest is
 * requests_finish.c's. */
#include "traces/requests/requests_builder.h"

#include <string.h>

/* ---- the store ---- */

void
requests_store_init(requests_store *store, const char *folder, uint64_t limit_bytes)
{
    uint64_t limit = limit_bytes ? limit_bytes : MOE_COLUMNS_LIMIT;
    *store =
        (requests_store){moe_columns_new(REQUESTS_COLUMNS), moe_columns_new(1), moe_columns_new(1)};
    moe_columns_spill(store->rows, folder, limit);
    moe_columns_spill(store->block_first, folder, limit);
    moe_columns_spill(store->blocks, folder, limit);
    moe_columns_use(store->rows, REQUESTS_ARRIVAL, sizeof(int64_t));
    moe_columns_use(store->rows, REQUESTS_PROMPT, sizeof(uint32_t));
    moe_columns_use(store->rows, REQUESTS_OUTPUT, sizeof(uint32_t));
    moe_columns_use(store->rows, REQUESTS_SESSION, sizeof(uint32_t));
    moe_columns_use(store->rows, REQUESTS_MODEL, sizeof(uint16_t));
    moe_columns_use(store->block_first, 0, sizeof(uint64_t));
    moe_columns_use(store->blocks, 0, sizeof(uint32_t));
}

void
requests_store_clear(requests_store *store)
{
    moe_columns_free(store->rows);
    moe_columns_free(store->block_first);
    moe_columns_free(store->blocks);
    *store = (requests_store){0};
}

void
requests_store_add(requests_store *store, const requests_row *row)
{
    moe_columns *rows = store->rows;
    if (!moe_columns_add(rows))
        return;
    *(int64_t *)moe_columns_cell(rows, REQUESTS_ARRIVAL) = row->arrival;
    *(uint32_t *)moe_columns_cell(rows, REQUESTS_PROMPT) = row->prompt;
    *(uint32_t *)moe_columns_cell(rows, REQUESTS_OUTPUT) = row->output;
    *(uint32_t *)moe_columns_cell(rows, REQUESTS_SESSION) = row->session;
    *(uint16_t *)moe_columns_cell(rows, REQUESTS_MODEL) = row->model;
}

void
requests_store_end_blocks(requests_store *store)
{
    if (moe_columns_add(store->block_first))
        *(uint64_t *)moe_columns_cell(store->block_first, 0) = moe_columns_rows(store->blocks);
}

void
requests_store_use_blocks(requests_store *store)
{
    while (moe_columns_rows(store->block_first) <= moe_columns_rows(store->rows) &&
           !moe_columns_failed(store->block_first))
        requests_store_end_blocks(store);
}

void
requests_store_block(requests_store *store, uint32_t block)
{
    if (moe_columns_add(store->blocks))
        *(uint32_t *)moe_columns_cell(store->blocks, 0) = block;
}

/* ---- life ---- */

moe_requests_builder *
moe_requests_builder_new(void)
{
    moe_requests_builder *b = g_new0(moe_requests_builder, 1);
    requests_store_init(&b->store, NULL, 0);
    b->latest = INT64_MIN;
    b->meta = g_ptr_array_new_with_free_func(g_free);
    return b;
}

void
moe_requests_builder_free(moe_requests_builder *b)
{
    if (!b)
        return;
    requests_store_clear(&b->store);
    moe_names_clear(&b->sessions);
    moe_names_clear(&b->models);
    moe_index_map_clear(&b->block_ids);
    g_ptr_array_free(b->meta, TRUE);
    g_free(b->folder);
    g_free(b);
}

/* ---- what is said once ---- */

void
moe_requests_builder_spill(moe_requests_builder *b, const char *folder, uint64_t limit_bytes)
{
    moe_assert(moe_requests_builder_count(b) == 0, "requests are there already");
    requests_store_clear(&b->store);
    requests_store_init(&b->store, folder, limit_bytes);
    g_free(b->folder);
    b->folder = g_strdup(folder);
    b->limit_bytes = limit_bytes;
}

bool
moe_requests_builder_clock(moe_requests_builder *b, moe_request_clock clock)
{
    if (b->has_clock)
        return b->clock == clock;
    b->clock = clock;
    b->has_clock = true;
    return true;
}

bool
moe_requests_builder_blocks(moe_requests_builder *b, uint32_t block_tokens)
{
    moe_assert(block_tokens >= 1, "blocks of no tokens");
    if (b->block_tokens)
        return b->block_tokens == block_tokens;
    b->block_tokens = block_tokens;
    requests_store_use_blocks(&b->store);
    return true;
}

void
moe_requests_builder_meta(moe_requests_builder *b, const char *key, const char *value)
{
    moe_assert(!moe_requests_own_key(key), "metadata key '%s' is the format's own", key);
    moe_assert(*key && g_utf8_validate(key, -1, NULL), "metadata key is empty or not UTF-8");
    char *text = g_utf8_make_valid(value, -1);
    for (guint i = 0; i < b->meta->len; i += 2) {
        if (strcmp(b->meta->pdata[i], key) == 0) {
            g_free(b->meta->pdata[i + 1]);
            b->meta->pdata[i + 1] = text;
            return;
        }
    }
    g_ptr_array_add(b->meta, g_strdup(key));
    g_ptr_array_add(b->meta, text);
}

/* ---- requests ---- */

/* The number of a name, MOE_NONE for none. */
static uint32_t
builder_name(moe_requests_builder *b, moe_names *names, const moe_request_name *name)
{
    if (name->n == 0)
        return MOE_NONE;
    uint32_t number = moe_names_add(names, name->at, name->n);
    b->no_memory |= number == MOE_NONE;
    return number;
}

bool
moe_requests_builder_add(moe_requests_builder *b, const moe_request *r)
{
    moe_assert(r->prompt >= 1 && r->prompt <= MOE_REQUESTS_MAX_TOKENS, "prompt %u", r->prompt);
    moe_assert(r->output >= 1 && r->output <= MOE_REQUESTS_MAX_TOKENS, "output %u", r->output);
    moe_assert(r->n_blocks == 0 ||
                   (b->block_tokens && r->n_blocks == (r->prompt - 1) / b->block_tokens + 1),
               "%zu blocks of %u tokens for %u", r->n_blocks, b->block_tokens, r->prompt);
    uint64_t n = moe_requests_builder_count(b);
    b->no_memory |= n >= MOE_NONE - 1;
    if (b->no_memory)
        return true;
    uint32_t model = builder_name(b, &b->models, &r->model);
    if (model != MOE_NONE && model >= MOE_REQUESTS_NO_MODEL)
        return false;
    uint32_t session = builder_name(b, &b->sessions, &r->session);
    b->first = n ? b->first : r->time_ns;
    for (size_t i = 0; i < r->n_blocks; i++) {
        uint32_t block = moe_index_map_add(&b->block_ids, r->blocks[i]);
        b->no_memory |= block == MOE_NONE;
        requests_store_block(&b->store, block);
    }
    if (b->block_tokens)
        requests_store_end_blocks(&b->store);
    requests_store_add(&b->store, &(requests_row){.arrival = r->time_ns - b->first,
                                                  .prompt = r->prompt,
                                                  .output = r->output,
                                                  .session = session,
                                                  .model = (uint16_t)model}); /* none: all bits */
    b->has_session |= session != MOE_NONE;
    b->has_model |= model != MOE_NONE;
    b->late += r->time_ns < b->latest;
    b->latest = MAX(b->latest, r->time_ns);
    return true;
}

uint64_t
moe_requests_builder_count(const moe_requests_builder *b)
{
    return moe_columns_rows(b->store.rows);
}

uint64_t
moe_requests_builder_late(const moe_requests_builder *b)
{
    return b->late;
}
