/* Columns that grow together: one flat array per tensor, doubled when full. */
#include "traces/routing_file.h"

#include "sim/base/error.h"

#include <string.h>

enum {
    COLUMN_IDS,
    COLUMN_SEQUENCE,
    COLUMN_POSITION,
    COLUMN_PHASE,
    COLUMN_STEP,
    COLUMN_WEIGHTS,
    COLUMN_LOOKAHEAD, /* the first of them */
    COLUMNS = COLUMN_LOOKAHEAD + MOE_ROUTING_MAX_LOOKAHEAD,
};

typedef struct builder_column {
    void *data;
    size_t row_bytes; /* 0: not in use */
} builder_column;

struct moe_routing_builder {
    uint32_t n_layers, n_experts, k, id_bytes;
    uint32_t n_lookahead, distance[MOE_ROUTING_MAX_LOOKAHEAD];
    uint32_t lookahead_k[MOE_ROUTING_MAX_LOOKAHEAD];
    uint64_t n_tokens, capacity, n_steps;
    builder_column columns[COLUMNS];
    uint32_t *layer_ids;
    GPtrArray *meta; /* key, value, key, value, … */
    bool no_memory;
};

/* ---- life ---- */

moe_routing_builder *
moe_routing_builder_new(uint32_t n_layers, uint32_t n_experts, uint32_t k)
{
    moe_assert(n_layers >= 1 && n_layers <= MOE_ROUTING_MAX_LAYERS, "%u layers", n_layers);
    moe_assert(n_experts >= 1 && n_experts <= MOE_ROUTING_MAX_EXPERTS, "%u experts", n_experts);
    moe_assert(k >= 1 && k <= n_experts && k <= MOE_ROUTING_MAX_K, "k %u of %u", k, n_experts);
    moe_routing_builder *b = g_new0(moe_routing_builder, 1);
    b->n_layers = n_layers;
    b->n_experts = n_experts;
    b->k = k;
    b->id_bytes = n_experts <= 254 ? 1 : 2;
    b->layer_ids = g_new(uint32_t, n_layers);
    for (uint32_t i = 0; i < n_layers; i++)
        b->layer_ids[i] = i;
    b->meta = g_ptr_array_new_with_free_func(g_free);
    b->columns[COLUMN_IDS].row_bytes = (size_t)n_layers * k * b->id_bytes;
    b->columns[COLUMN_SEQUENCE].row_bytes = sizeof(uint32_t);
    b->columns[COLUMN_POSITION].row_bytes = sizeof(uint32_t);
    b->columns[COLUMN_PHASE].row_bytes = sizeof(uint8_t);
    return b;
}

void
moe_routing_builder_free(moe_routing_builder *b)
{
    if (!b)
        return;
    for (int i = 0; i < COLUMNS; i++)
        g_free(b->columns[i].data);
    g_free(b->layer_ids);
    g_ptr_array_free(b->meta, TRUE);
    g_free(b);
}

bool
moe_routing_builder_exhausted(const moe_routing_builder *b)
{
    return b->no_memory;
}

/* ---- what is declared once ---- */

void
moe_routing_builder_layers(moe_routing_builder *b, const uint32_t *layer_ids)
{
    for (uint32_t i = 0; i < b->n_layers; i++) {
        moe_assert(i == 0 || layer_ids[i] > layer_ids[i - 1], "layer %u after %u", layer_ids[i],
                   layer_ids[i - 1]);
        b->layer_ids[i] = layer_ids[i];
    }
}

uint32_t
moe_routing_builder_lookahead(moe_routing_builder *b, uint32_t distance, uint32_t k)
{
    uint32_t at = b->n_lookahead;
    moe_assert(b->n_tokens == 0, "look-ahead declared after %" G_GUINT64_FORMAT " tokens",
               b->n_tokens);
    moe_assert(at < MOE_ROUTING_MAX_LOOKAHEAD, "%u look-aheads", at);
    moe_assert(distance >= 1 && (at == 0 || distance > b->distance[at - 1]),
               "look-ahead %u: distances must ascend", distance);
    moe_assert(k >= 1 && k <= b->n_experts && k <= MOE_ROUTING_MAX_K, "k %u of %u", k,
               b->n_experts);
    b->distance[at] = distance;
    b->lookahead_k[at] = k;
    b->columns[COLUMN_LOOKAHEAD + at].row_bytes = (size_t)b->n_layers * k * b->id_bytes;
    b->n_lookahead++;
    return at;
}

void
moe_routing_builder_meta(moe_routing_builder *b, const char *key, const char *value)
{
    static const char *const own[] = {"format", "version", "layer_ids", "experts", "top_k"};
    for (size_t i = 0; i < MOE_COUNT(own); i++)
        moe_assert(strcmp(key, own[i]) != 0, "metadata key '%s' is the format's own", key);
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

/* ---- tokens ---- */

static bool
builder_resize(moe_routing_builder *b, uint64_t capacity)
{
    for (int i = 0; i < COLUMNS; i++) {
        builder_column *column = &b->columns[i];
        if (!column->row_bytes)
            continue;
        void *bigger = g_try_realloc_n(column->data, capacity, column->row_bytes);
        if (!bigger) {
            b->no_memory = true;
            return false;
        }
        column->data = bigger;
    }
    b->capacity = capacity;
    return true;
}

/* A column that turns out to be wanted with the first token. */
static bool
builder_use(moe_routing_builder *b, int i, size_t row_bytes)
{
    if (b->columns[i].row_bytes)
        return !b->no_memory;
    b->columns[i].row_bytes = row_bytes;
    return b->capacity == 0 || builder_resize(b, b->capacity);
}

static inline uint8_t *
builder_cell(const moe_routing_builder *b, int column, uint64_t row)
{
    return (uint8_t *)b->columns[column].data + row * b->columns[column].row_bytes;
}

/* Narrowing keeps the sentinels: 0xFFFF -> 0xFF, 0xFFFE -> 0xFE. */
static void
builder_put_ids(moe_routing_builder *b, int column, uint64_t row, const uint16_t *ids, uint32_t k)
{
    uint8_t *to = builder_cell(b, column, row);
    uint32_t n = b->n_layers * k, largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = ids[i] >= MOE_ROUTING_NOT_RUN ? 0 : ids[i];
        largest = id > largest ? id : largest;
    }
    moe_assert(largest < b->n_experts, "expert %u of %u", largest, b->n_experts);
    if (b->id_bytes == 2) {
        memcpy(to, ids, (size_t)n * 2);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        to[i] = (uint8_t)ids[i];
}

void
moe_routing_builder_add(moe_routing_builder *b, uint32_t sequence, uint32_t position,
                        moe_phase phase, const uint16_t *ids, const float *weights)
{
    if (b->no_memory)
        return;
    if (b->n_tokens == 0 && weights &&
        !builder_use(b, COLUMN_WEIGHTS, (size_t)b->n_layers * b->k * sizeof(float)))
        return;
    moe_assert((weights != NULL) == (b->columns[COLUMN_WEIGHTS].row_bytes != 0),
               "token %" G_GUINT64_FORMAT ": weights for all tokens or for none", b->n_tokens);
    if (b->n_tokens == b->capacity && !builder_resize(b, b->capacity ? b->capacity * 2 : 1024))
        return;
    uint64_t row = b->n_tokens++;
    ((uint32_t *)b->columns[COLUMN_SEQUENCE].data)[row] = sequence;
    ((uint32_t *)b->columns[COLUMN_POSITION].data)[row] = position;
    ((uint8_t *)b->columns[COLUMN_PHASE].data)[row] = (uint8_t)phase;
    builder_put_ids(b, COLUMN_IDS, row, ids, b->k);
    if (weights)
        memcpy(builder_cell(b, COLUMN_WEIGHTS, row), weights, b->columns[COLUMN_WEIGHTS].row_bytes);
    for (uint32_t i = 0; i < b->n_lookahead; i++)
        memset(builder_cell(b, COLUMN_LOOKAHEAD + (int)i, row), 0xFF,
               b->columns[COLUMN_LOOKAHEAD + i].row_bytes);
}

void
moe_routing_builder_predicted(moe_routing_builder *b, uint32_t index, const uint16_t *ids)
{
    if (b->no_memory)
        return;
    moe_assert(index < b->n_lookahead && b->n_tokens, "look-ahead %u of %u", index, b->n_lookahead);
    builder_put_ids(b, COLUMN_LOOKAHEAD + (int)index, b->n_tokens - 1, ids, b->lookahead_k[index]);
}

void
moe_routing_builder_step(moe_routing_builder *b, uint32_t step)
{
    if (b->no_memory || !builder_use(b, COLUMN_STEP, sizeof(uint32_t)))
        return;
    moe_assert(b->n_steps + 1 == b->n_tokens,
               "%" G_GUINT64_FORMAT " steps for %" G_GUINT64_FORMAT " tokens: one each, in order",
               b->n_steps + 1, b->n_tokens);
    ((uint32_t *)b->columns[COLUMN_STEP].data)[b->n_steps++] = step;
}

void
moe_routing_builder_take(moe_routing_builder *b, uint64_t n_tokens,
                         const moe_routing_columns *columns)
{
    moe_assert(b->n_tokens == 0 && b->capacity == 0 && b->n_lookahead == 0, "builder in use");
    b->columns[COLUMN_IDS].data = columns->ids;
    b->columns[COLUMN_SEQUENCE].data = columns->sequence;
    b->columns[COLUMN_POSITION].data = columns->position;
    b->columns[COLUMN_PHASE].data = columns->phase;
    b->columns[COLUMN_WEIGHTS].data = columns->weights;
    if (columns->weights)
        b->columns[COLUMN_WEIGHTS].row_bytes = (size_t)b->n_layers * b->k * sizeof(float);
    b->n_tokens = b->capacity = n_tokens;
}

/* ---- the end: checked, written or opened ---- */

/* The routing over the builder's arrays. */
static void
builder_view(const moe_routing_builder *b, moe_routing *routing)
{
    routing->n_tokens = b->n_tokens;
    routing->n_layers = b->n_layers;
    routing->n_experts = b->n_experts;
    routing->k = b->k;
    routing->id_bytes = b->id_bytes;
    routing->layer_ids = b->layer_ids;
    routing->ids = b->columns[COLUMN_IDS].data;
    routing->sequence = b->columns[COLUMN_SEQUENCE].data;
    routing->position = b->columns[COLUMN_POSITION].data;
    routing->phase = b->columns[COLUMN_PHASE].data;
    routing->step = b->columns[COLUMN_STEP].data;
    routing->weights = b->columns[COLUMN_WEIGHTS].data;
    routing->n_lookahead = b->n_lookahead;
    for (uint32_t i = 0; i < b->n_lookahead; i++)
        routing->lookahead[i] = (moe_lookahead){b->distance[i], b->lookahead_k[i],
                                                b->columns[COLUMN_LOOKAHEAD + i].data};
}

/* Checks the whole and leaves the index in `file`. */
static bool
builder_check(const moe_routing_builder *b, moe_routing_file *file, moe_diag *diag)
{
    moe_loc loc = {.file = moe_diag_intern(diag, file->path)};
    if (b->n_tokens == 0 || b->n_tokens >= MOE_NONE) {
        moe_diag_error(diag, loc, "holds %s tokens", b->n_tokens ? "too many" : "no");
        return false;
    }
    if (b->n_steps && b->n_steps != b->n_tokens) {
        moe_diag_error(diag, loc,
                       "tensor step: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                       " tokens have one",
                       b->n_steps, b->n_tokens);
        return false;
    }
    builder_view(b, &file->routing);
    bool ok = moe_routing_check(&file->routing, diag);
    return moe_routing_index(file, diag) && ok;
}

bool
moe_routing_builder_check(const moe_routing_builder *b, const char *name, moe_diag *diag)
{
    g_autoptr(moe_routing_file) file = moe_routing_file_new(name);
    if (b->no_memory) {
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, name)},
                       "no memory for more than %" G_GUINT64_FORMAT " tokens", b->n_tokens);
        return false;
    }
    return builder_check(b, file, diag);
}

static void
builder_assert(const moe_routing_builder *b, moe_routing_file *file)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    bool ok = builder_check(b, file, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(ok, "a routing was built that is none:\n%s", text);
}

/* The metadata as the file holds it; texts are the file's. */
static void
builder_meta(const moe_routing_builder *b, moe_routing_file *file)
{
    g_autoptr(GString) layers = g_string_new("[");
    for (uint32_t i = 0; i < b->n_layers; i++)
        g_string_append_printf(layers, "%s%u", i ? "," : "", b->layer_ids[i]);
    g_string_append_c(layers, ']');
    const moe_meta own[] = {
        {"format", g_strdup(MOE_ROUTING_FORMAT)}, {"version", g_strdup(MOE_ROUTING_VERSION)},
        {"layer_ids", g_strdup(layers->str)},     {"experts", g_strdup_printf("%u", b->n_experts)},
        {"top_k", g_strdup_printf("%u", b->k)},
    };
    file->meta = g_new(moe_meta, MOE_COUNT(own) + 1 + b->meta->len / 2);
    for (size_t i = 0; i < MOE_COUNT(own); i++) {
        file->meta[file->n_meta++] = own[i];
        g_ptr_array_add(file->owned, (char *)(uintptr_t)own[i].value);
    }
    for (guint i = 0; i < b->meta->len; i += 2) {
        char *key = g_strdup(b->meta->pdata[i]), *value = g_strdup(b->meta->pdata[i + 1]);
        g_ptr_array_add(file->owned, key);
        g_ptr_array_add(file->owned, value);
        file->meta[file->n_meta++] = (moe_meta){key, value};
    }
    if (!moe_routing_meta(file, "order"))
        file->meta[file->n_meta++] = (moe_meta){"order", "file"};
    const char *model = moe_routing_meta(file, "model"), *engine = moe_routing_meta(file, "engine");
    file->routing.model = model ? model : "";
    file->routing.engine = engine ? engine : "";
}

moe_routing_file *
moe_routing_builder_finish(moe_routing_builder *b, const char *name)
{
    moe_routing_file *file = NULL;
    if (!b->no_memory) {
        file = moe_routing_file_new(name);
        builder_assert(b, file);
        builder_meta(b, file);
        for (int i = 0; i < COLUMNS; i++) {
            g_ptr_array_add(file->owned, b->columns[i].data);
            b->columns[i].data = NULL;
        }
        g_ptr_array_add(file->owned, b->layer_ids);
        b->layer_ids = NULL;
    }
    moe_routing_builder_free(b);
    return file;
}

static bool
builder_write(const moe_routing_file *file, const char *path, GError **error)
{
    const moe_routing *r = &file->routing;
    moe_tensor_type id_type = r->id_bytes == 1 ? MOE_TENSOR_U8 : MOE_TENSOR_U16;
    moe_tensor tensors[COLUMNS];
    char names[MOE_ROUTING_MAX_LOOKAHEAD][32];
    size_t n = 0;
    tensors[n++] = (moe_tensor){.name = "expert_ids",
                                .type = id_type,
                                .rank = 3,
                                .shape = {r->n_tokens, r->n_layers, r->k},
                                .data = r->ids};
    tensors[n++] = (moe_tensor){.name = "sequence",
                                .type = MOE_TENSOR_U32,
                                .rank = 1,
                                .shape = {r->n_tokens},
                                .data = r->sequence};
    tensors[n++] = (moe_tensor){.name = "position",
                                .type = MOE_TENSOR_U32,
                                .rank = 1,
                                .shape = {r->n_tokens},
                                .data = r->position};
    tensors[n++] = (moe_tensor){.name = "phase",
                                .type = MOE_TENSOR_U8,
                                .rank = 1,
                                .shape = {r->n_tokens},
                                .data = r->phase};
    if (r->step)
        tensors[n++] = (moe_tensor){.name = "step",
                                    .type = MOE_TENSOR_U32,
                                    .rank = 1,
                                    .shape = {r->n_tokens},
                                    .data = r->step};
    if (r->weights)
        tensors[n++] = (moe_tensor){.name = "gate_weights",
                                    .type = MOE_TENSOR_F32,
                                    .rank = 3,
                                    .shape = {r->n_tokens, r->n_layers, r->k},
                                    .data = r->weights};
    for (uint32_t i = 0; i < r->n_lookahead; i++) {
        g_snprintf(names[i], sizeof names[i], "lookahead.%u", r->lookahead[i].distance);
        tensors[n++] = (moe_tensor){.name = names[i],
                                    .type = id_type,
                                    .rank = 3,
                                    .shape = {r->n_tokens, r->n_layers, r->lookahead[i].k},
                                    .data = r->lookahead[i].ids};
    }
    return moe_safetensors_write(path, tensors, n, file->meta, file->n_meta, error);
}

bool
moe_routing_builder_write(moe_routing_builder *b, const char *path, GError **error)
{
    bool ok = false;
    if (b->no_memory) {
        moe_error_path(error, MOE_ERROR_MEMORY, path, 0,
                       "no memory for more than %" G_GUINT64_FORMAT " tokens", b->n_tokens);
    } else {
        g_autoptr(moe_routing_file) file = moe_routing_file_new(path);
        builder_assert(b, file);
        builder_meta(b, file);
        ok = builder_write(file, path, error);
    }
    moe_routing_builder_free(b);
    return ok;
}
