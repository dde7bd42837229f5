/* Requests are appended in order of reading and put in order of time at the end; numbers of
 * sessions, models and blocks are given out anew then, in order of first appearance. */
#include "traces/requests/requests_file.h"

#include "sim/base/error.h"
#include "traces/index_map.h"
#include "traces/requests/names.h"

#include <stdlib.h>
#include <string.h>

/* A request as it was appended. */
typedef struct builder_record {
    int64_t time;
    uint64_t block_first;
    uint32_t prompt, output, session, model, n_blocks;
    uint32_t at; /* how many came before */
} builder_record;

struct moe_requests_builder {
    moe_request_clock clock;
    bool has_clock, has_session, has_model, no_memory;
    uint32_t block_tokens;
    builder_record *records;
    uint32_t *blocks;
    size_t n, max, n_blocks, max_blocks;
    uint64_t late;
    int64_t latest;
    moe_names sessions, models;
    moe_index_map block_ids;
    GPtrArray *meta; /* key, value, key, value, … */
};

moe_requests_builder *
moe_requests_builder_new(void)
{
    moe_requests_builder *b = g_new0(moe_requests_builder, 1);
    b->latest = INT64_MIN;
    b->meta = g_ptr_array_new_with_free_func(g_free);
    return b;
}

void
moe_requests_builder_free(moe_requests_builder *b)
{
    if (!b)
        return;
    g_free(b->records);
    g_free(b->blocks);
    moe_names_clear(&b->sessions);
    moe_names_clear(&b->models);
    moe_index_map_clear(&b->block_ids);
    g_ptr_array_free(b->meta, TRUE);
    g_free(b);
}

/* ---- appending ---- */

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
    if (b->block_tokens)
        return b->block_tokens == block_tokens;
    b->block_tokens = block_tokens;
    return true;
}

uint32_t
moe_requests_builder_session(moe_requests_builder *b, const void *name, size_t n)
{
    uint32_t session = moe_names_add(&b->sessions, name, n);
    b->no_memory |= session == MOE_NONE;
    return session;
}

uint32_t
moe_requests_builder_model(moe_requests_builder *b, const void *name, size_t n)
{
    uint32_t model = moe_names_add(&b->models, name, n);
    b->no_memory |= model == MOE_NONE;
    return model < MOE_REQUESTS_NO_MODEL ? model : MOE_NONE;
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

/* Room for one more request of n_blocks blocks. */
static bool
builder_reserve(moe_requests_builder *b, size_t n_blocks)
{
    if (b->n == b->max) {
        size_t max = b->max ? b->max * 2 : 1024;
        void *records =
            b->n < MOE_NONE - 1 ? g_try_realloc_n(b->records, max, sizeof *b->records) : NULL;
        b->no_memory |= !records;
        b->records = records ? records : b->records;
        b->max = records ? max : b->max;
    }
    if (b->max_blocks - b->n_blocks < n_blocks) {
        size_t max = b->max_blocks * 2 + n_blocks + 1024;
        void *blocks = g_try_realloc_n(b->blocks, max, sizeof *b->blocks);
        b->no_memory |= !blocks;
        b->blocks = blocks ? blocks : b->blocks;
        b->max_blocks = blocks ? max : b->max_blocks;
    }
    return !b->no_memory;
}

void
moe_requests_builder_add(moe_requests_builder *b, const moe_request *r)
{
    if (b->no_memory || !builder_reserve(b, r->n_blocks))
        return;
    moe_assert(r->prompt >= 1 && r->prompt <= MOE_REQUESTS_MAX_TOKENS, "prompt %u", r->prompt);
    moe_assert(r->output >= 1 && r->output <= MOE_REQUESTS_MAX_TOKENS, "output %u", r->output);
    moe_assert(r->n_blocks == 0 ||
                   (b->block_tokens && r->n_blocks == (r->prompt - 1) / b->block_tokens + 1),
               "%zu blocks of %u tokens for %u", r->n_blocks, b->block_tokens, r->prompt);
    b->records[b->n] = (builder_record){.time = r->time_ns,
                                        .block_first = b->n_blocks,
                                        .prompt = r->prompt,
                                        .output = r->output,
                                        .session = r->session,
                                        .model = r->model,
                                        .n_blocks = (uint32_t)r->n_blocks,
                                        .at = (uint32_t)b->n};
    b->n++;
    for (size_t i = 0; i < r->n_blocks; i++) {
        uint32_t id = moe_index_map_add(&b->block_ids, r->blocks[i]);
        b->no_memory |= id == MOE_NONE;
        b->blocks[b->n_blocks++] = id;
    }
    b->has_session |= r->session != MOE_NONE;
    b->has_model |= r->model != MOE_NONE;
    b->late += r->time_ns < b->latest;
    b->latest = MAX(b->latest, r->time_ns);
}

uint64_t
moe_requests_builder_count(const moe_requests_builder *b)
{
    return b->n;
}

uint64_t
moe_requests_builder_late(const moe_requests_builder *b)
{
    return b->late;
}

/* ---- the end ---- */

static int
builder_by_time(const void *a, const void *b)
{
    const builder_record *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Numbers 0, 1, 2, … in order of first appearance, for those of a builder. */
typedef struct builder_numbers {
    uint32_t *fresh; /* MOE_NONE: has not appeared */
    uint32_t n;
} builder_numbers;

static bool
builder_numbers_init(builder_numbers *numbers, uint32_t n)
{
    numbers->fresh = g_try_new(uint32_t, (size_t)n + 1);
    numbers->n = 0;
    for (uint32_t i = 0; numbers->fresh && i < n; i++)
        numbers->fresh[i] = MOE_NONE;
    return numbers->fresh != NULL;
}

static uint32_t
builder_number(builder_numbers *numbers, uint32_t old)
{
    if (old == MOE_NONE)
        return MOE_NONE;
    if (numbers->fresh[old] == MOE_NONE)
        numbers->fresh[old] = numbers->n++;
    return numbers->fresh[old];
}

/* What the records become; the arrays are the file's. */
typedef struct builder_columns {
    int64_t *arrival;
    uint32_t *prompt, *output, *session, *blocks;
    uint64_t *block_first;
    uint16_t *model;
    builder_numbers sessions, models, block_ids;
} builder_columns;

static bool
builder_columns_init(builder_columns *c, const moe_requests_builder *b, moe_requests_file *file)
{
    c->arrival = moe_requests_file_own(file, g_try_new(int64_t, b->n));
    c->prompt = moe_requests_file_own(file, g_try_new(uint32_t, b->n));
    c->output = moe_requests_file_own(file, g_try_new(uint32_t, b->n));
    c->session = moe_requests_file_own(file, g_try_new(uint32_t, b->n));
    c->model = moe_requests_file_own(file, g_try_new(uint16_t, b->n));
    c->block_first = moe_requests_file_own(file, g_try_new(uint64_t, b->n + 1));
    c->blocks = moe_requests_file_own(file, g_try_new(uint32_t, b->n_blocks + 1));
    bool numbers = builder_numbers_init(&c->sessions, b->sessions.n);
    numbers &= builder_numbers_init(&c->models, b->models.n);
    numbers &= builder_numbers_init(&c->block_ids, b->block_ids.n);
    return c->arrival && c->prompt && c->output && c->session && c->model && c->block_first &&
           c->blocks && numbers;
}

static void
builder_columns_fill(builder_columns *c, const moe_requests_builder *b)
{
    c->block_first[0] = 0;
    for (size_t i = 0; i < b->n; i++) {
        const builder_record *r = &b->records[i];
        uint64_t n = c->block_first[i];
        c->arrival[i] = r->time - b->records[0].time;
        c->prompt[i] = r->prompt;
        c->output[i] = r->output;
        c->session[i] = builder_number(&c->sessions, r->session);
        c->model[i] = (uint16_t)builder_number(&c->models, r->model); /* none: all bits, too */
        for (uint32_t j = 0; j < r->n_blocks; j++)
            c->blocks[n++] = builder_number(&c->block_ids, b->blocks[r->block_first + j]);
        c->block_first[i + 1] = n;
    }
}

static void
builder_model_names(const moe_requests_builder *b, const builder_columns *c,
                    moe_requests_file *file)
{
    const char **names = moe_requests_file_own(file, g_new0(const char *, c->models.n + 1));
    for (uint32_t i = 0; i < b->models.n; i++) {
        size_t n;
        const char *name = moe_names_at(&b->models, i, &n);
        if (c->models.fresh[i] != MOE_NONE)
            names[c->models.fresh[i]] =
                moe_requests_file_own(file, g_utf8_make_valid(name, (gssize)n));
    }
    file->requests.n_models = c->models.n;
    file->requests.models = names;
}

static bool
builder_fill(moe_requests_builder *b, moe_requests_file *file)
{
    moe_requests *r = &file->requests;
    builder_columns c = {0};
    bool ok = builder_columns_init(&c, b, file);
    if (ok) {
        if (b->late)
            qsort(b->records, b->n, sizeof *b->records, builder_by_time);
        builder_columns_fill(&c, b);
        r->n = b->n;
        r->clock = b->clock;
        r->epoch_ns = b->records[0].time;
        r->arrival_ns = c.arrival;
        r->prompt = c.prompt;
        r->output = c.output;
        r->session = b->has_session ? c.session : NULL;
        r->n_sessions = c.sessions.n;
        r->model = b->has_model ? c.model : NULL;
        r->block_tokens = b->n_blocks ? b->block_tokens : 0;
        r->block_first = b->n_blocks ? c.block_first : NULL;
        r->blocks = b->n_blocks ? c.blocks : NULL;
        r->n_blocks = c.block_ids.n;
        builder_model_names(b, &c, file);
    }
    g_free(c.sessions.fresh);
    g_free(c.models.fresh);
    g_free(c.block_ids.fresh);
    return ok;
}

static void
builder_put(moe_requests_file *file, const char *key, char *value)
{
    file->meta[file->n_meta++] = (moe_meta){key, moe_requests_file_own(file, value)};
}

/* The metadata as the file holds it. */
static void
builder_put_meta(moe_requests_builder *b, moe_requests_file *file)
{
    const moe_requests *r = &file->requests;
    file->meta = g_new(moe_meta, 6 + b->meta->len / 2);
    builder_put(file, "format", g_strdup(MOE_REQUESTS_FORMAT));
    builder_put(file, "version", g_strdup(MOE_REQUESTS_VERSION));
    builder_put(file, "clock", g_strdup(r->clock == MOE_CLOCK_UNIX ? "unix" : "trace"));
    builder_put(file, "epoch_ns", g_strdup_printf("%" G_GINT64_FORMAT, r->epoch_ns));
    if (r->block_tokens)
        builder_put(file, "block_tokens", g_strdup_printf("%u", r->block_tokens));
    if (r->model)
        builder_put(file, "models", moe_requests_model_list(r));
    for (guint i = 0; i < b->meta->len; i += 2)
        builder_put(file, moe_requests_file_own(file, g_strdup(b->meta->pdata[i])),
                    g_strdup(b->meta->pdata[i + 1]));
}

moe_requests_file *
moe_requests_builder_finish(moe_requests_builder *b, const char *name, GError **error)
{
    moe_assert(b->n >= 1 || b->no_memory, "a request trace without requests");
    moe_requests_file *file = moe_requests_file_new(name);
    if (!b->no_memory && builder_fill(b, file)) {
        builder_put_meta(b, file);
    } else {
        moe_error_path(error, MOE_ERROR_MEMORY, name, 0, "no memory for more than %zu requests",
                       b->n);
        moe_requests_close(file);
        file = NULL;
    }
    moe_requests_builder_free(b);
    return file;
}
