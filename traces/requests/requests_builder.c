/* Requests are appended in order of reading and put in order of time at the end; numbers of
 * sessions, models and blocks are given out anew then, in order of first appearance. */
#include "traces/requests/requests_file.h"

#include "sim/base/error.h"
#include "traces/index_map.h"
#include "traces/requests/names.h"

#include <stdlib.h>
#include <string.h>

/* The columns of a trace; block ids of request i end at block_end[i]. */
typedef struct builder_columns {
    int64_t *time;
    uint32_t *prompt, *output, *session, *model, *blocks;
    uint64_t *block_end;
} builder_columns;

struct moe_requests_builder {
    moe_request_clock clock;
    bool has_clock;
    uint32_t block_tokens;
    builder_columns columns;
    size_t n, max, n_blocks, max_blocks;
    uint64_t late;
    int64_t latest;
    bool has_session, has_model, no_memory;
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

static void
columns_clear(builder_columns *c)
{
    g_free(c->time);
    g_free(c->prompt);
    g_free(c->output);
    g_free(c->session);
    g_free(c->model);
    g_free(c->blocks);
    g_free(c->block_end);
    *c = (builder_columns){0};
}

void
moe_requests_builder_free(moe_requests_builder *b)
{
    if (!b)
        return;
    columns_clear(&b->columns);
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

static bool
builder_grow(void *column, size_t max, size_t size)
{
    void *old, *bigger;
    memcpy(&old, column, sizeof old);
    bigger = g_try_realloc_n(old, max, size);
    if (bigger)
        memcpy(column, &bigger, sizeof bigger);
    return bigger != NULL;
}

/* Room for one more request of n_blocks blocks. */
static bool
builder_reserve(moe_requests_builder *b, size_t n_blocks)
{
    builder_columns *c = &b->columns;
    if (b->n == b->max) {
        size_t max = b->max ? b->max * 2 : 1024;
        b->no_memory |= b->n >= MOE_NONE - 1 || !builder_grow(&c->time, max, sizeof *c->time) ||
                        !builder_grow(&c->prompt, max, sizeof *c->prompt) ||
                        !builder_grow(&c->output, max, sizeof *c->output) ||
                        !builder_grow(&c->session, max, sizeof *c->session) ||
                        !builder_grow(&c->model, max, sizeof *c->model) ||
                        !builder_grow(&c->block_end, max, sizeof *c->block_end);
        b->max = b->no_memory ? b->max : max;
    }
    if (b->max_blocks - b->n_blocks < n_blocks) {
        size_t max = b->max_blocks * 2 + n_blocks + 1024;
        b->no_memory |= !builder_grow(&c->blocks, max, sizeof *c->blocks);
        b->max_blocks = b->no_memory ? b->max_blocks : max;
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
    builder_columns *c = &b->columns;
    size_t at = b->n++;
    c->time[at] = r->time_ns;
    c->prompt[at] = r->prompt;
    c->output[at] = r->output;
    c->session[at] = r->session;
    c->model[at] = r->model;
    for (size_t i = 0; i < r->n_blocks; i++) {
        uint32_t id = moe_index_map_add(&b->block_ids, r->blocks[i]);
        b->no_memory |= id == MOE_NONE;
        c->blocks[b->n_blocks++] = id;
    }
    c->block_end[at] = b->n_blocks;
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

typedef struct builder_key {
    int64_t time;
    uint32_t at;
} builder_key;

static int
builder_by_time(const void *a, const void *b)
{
    const builder_key *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The columns in order of time. */
static bool
builder_sort(moe_requests_builder *b)
{
    builder_columns *from = &b->columns, to = {0};
    g_autofree builder_key *keys = g_try_new(builder_key, b->n);
    size_t n_blocks = 0;
    if (!keys || !builder_grow(&to.time, b->n, sizeof *to.time) ||
        !builder_grow(&to.prompt, b->n, sizeof *to.prompt) ||
        !builder_grow(&to.output, b->n, sizeof *to.output) ||
        !builder_grow(&to.session, b->n, sizeof *to.session) ||
        !builder_grow(&to.model, b->n, sizeof *to.model) ||
        !builder_grow(&to.block_end, b->n, sizeof *to.block_end) ||
        !builder_grow(&to.blocks, b->n_blocks + 1, sizeof *to.blocks)) {
        columns_clear(&to);
        return false;
    }
    for (size_t i = 0; i < b->n; i++)
        keys[i] = (builder_key){from->time[i], (uint32_t)i};
    qsort(keys, b->n, sizeof *keys, builder_by_time);
    for (size_t i = 0; i < b->n; i++) {
        size_t at = keys[i].at;
        to.time[i] = from->time[at];
        to.prompt[i] = from->prompt[at];
        to.output[i] = from->output[at];
        to.session[i] = from->session[at];
        to.model[i] = from->model[at];
        for (uint64_t j = at ? from->block_end[at - 1] : 0; j < from->block_end[at]; j++)
            to.blocks[n_blocks++] = from->blocks[j];
        to.block_end[i] = n_blocks;
    }
    columns_clear(from);
    *from = to;
    return true;
}

/* Numbers 0 .. n_old - 1 become 0, 1, 2, … in order of first appearance; MOE_NONE stays. */
static bool
builder_renumber(uint32_t *numbers, size_t n, uint32_t n_old, uint32_t **renumbered,
                 uint32_t *n_new)
{
    uint32_t *fresh = g_try_new(uint32_t, (size_t)n_old + 1);
    *renumbered = fresh;
    *n_new = 0;
    if (!fresh)
        return false;
    for (uint32_t i = 0; i < n_old; i++)
        fresh[i] = MOE_NONE;
    for (size_t i = 0; i < n; i++) {
        uint32_t old = numbers[i];
        if (old == MOE_NONE)
            continue;
        if (fresh[old] == MOE_NONE)
            fresh[old] = (*n_new)++;
        numbers[i] = fresh[old];
    }
    return true;
}

static bool
builder_models(moe_requests_builder *b, moe_requests_file *file)
{
    moe_requests *r = &file->requests;
    g_autofree uint32_t *fresh = NULL;
    if (!builder_renumber(b->columns.model, b->n, b->models.n, &fresh, &r->n_models))
        return false;
    uint16_t *model = moe_requests_file_own(file, g_try_new(uint16_t, b->n));
    const char **names = moe_requests_file_own(file, g_new0(const char *, r->n_models + 1));
    if (!model)
        return false;
    for (size_t i = 0; i < b->n; i++)
        model[i] = (uint16_t)b->columns.model[i]; /* MOE_NONE becomes MOE_REQUESTS_NO_MODEL */
    for (uint32_t i = 0; i < b->models.n; i++) {
        size_t n;
        const char *name = moe_names_at(&b->models, i, &n);
        if (fresh[i] != MOE_NONE)
            names[fresh[i]] = moe_requests_file_own(file, g_utf8_make_valid(name, (gssize)n));
    }
    r->model = model;
    r->models = names;
    return true;
}

/* Sessions, models and blocks of the columns in order; times from the first one on. */
static bool
builder_fill(moe_requests_builder *b, moe_requests_file *file)
{
    moe_requests *r = &file->requests;
    builder_columns *c = &b->columns;
    g_autofree uint32_t *fresh_session = NULL;
    g_autofree uint32_t *fresh_block = NULL;
    if (b->late && !builder_sort(b))
        return false;
    if (!builder_renumber(c->session, b->n, b->sessions.n, &fresh_session, &r->n_sessions) ||
        !builder_renumber(c->blocks, b->n_blocks, b->block_ids.n, &fresh_block, &r->n_blocks))
        return false;
    if (b->has_model && !builder_models(b, file))
        return false;
    if (b->n_blocks) {
        uint64_t *first = moe_requests_file_own(file, g_try_new(uint64_t, b->n + 1));
        if (!first)
            return false;
        first[0] = 0;
        memcpy(first + 1, c->block_end, b->n * sizeof *first);
        r->block_tokens = b->block_tokens;
        r->block_first = first;
        r->blocks = moe_requests_file_own(file, g_steal_pointer(&c->blocks));
    }
    r->epoch_ns = c->time[0];
    for (size_t i = b->n; i-- > 0;)
        c->time[i] -= c->time[0];
    r->n = b->n;
    r->clock = b->clock;
    r->arrival_ns = moe_requests_file_own(file, g_steal_pointer(&c->time));
    r->prompt = moe_requests_file_own(file, g_steal_pointer(&c->prompt));
    r->output = moe_requests_file_own(file, g_steal_pointer(&c->output));
    if (b->has_session)
        r->session = moe_requests_file_own(file, g_steal_pointer(&c->session));
    return true;
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
