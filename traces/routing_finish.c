/* The ending half of the builder: what was appended is checked, then written or opened. */
#include "traces/routing_builder.h"

#include "sim/base/error.h"
#include "traces/shards.h"

#include <string.h>

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

static bool
builder_failed(const moe_routing_builder *b)
{
    return moe_columns_failed(b->columns) || (b->times && moe_columns_failed(b->times));
}

/* The routing over the builder's arrays; false when they cannot be had. */
static bool
builder_view(const moe_routing_builder *b, moe_routing *routing)
{
    const void *views[COLUMNS];
    for (uint32_t i = 0; i < COLUMNS; i++)
        views[i] = moe_columns_view(b->columns, i);
    routing->times = b->times ? moe_columns_view(b->times, 0) : NULL;
    if (builder_failed(b))
        return false;
    routing->n_tokens = b->n_tokens;
    routing->n_layers = b->n_layers;
    routing->n_experts = b->n_experts;
    routing->k = b->k;
    routing->id_bytes = b->id_bytes;
    routing->layer_ids = b->layer_ids;
    routing->ids = views[COLUMN_IDS];
    routing->sequence = views[COLUMN_SEQUENCE];
    routing->position = views[COLUMN_POSITION];
    routing->phase = views[COLUMN_PHASE];
    routing->weights = views[COLUMN_WEIGHTS];
    routing->step = views[COLUMN_STEP];
    routing->domain = views[COLUMN_DOMAIN];
    routing->modality = views[COLUMN_MODALITY];
    routing->token_id = views[COLUMN_TOKEN_ID];
    routing->logits = views[COLUMN_LOGITS];
    routing->n_lookahead = b->n_lookahead;
    for (uint32_t i = 0; i < b->n_lookahead; i++)
        routing->lookahead[i] =
            (moe_lookahead){b->distance[i], b->lookahead_k[i], views[COLUMN_LOOKAHEAD + i],
                            views[COLUMN_AHEAD_WEIGHTS + i]};
    routing->n_time_steps = b->times ? (uint32_t)moe_columns_rows(b->times) : 0;
    routing->n_time_layers = b->n_time_layers;
    routing->n_stages = b->n_stages;
    routing->similarity = b->similarity;
    routing->n_similarity = b->n_similarity;
    return true;
}

/* Checks the whole and leaves the index in `file`; false after messages, or when the views cannot
 * be had (builder_failed). */
static bool
builder_check(const moe_routing_builder *b, moe_routing_file *file, moe_diag *diag)
{
    moe_loc loc = {.file = moe_diag_intern(diag, file->path)};
    if (b->n_tokens == 0 || b->n_tokens >= MOE_NONE) {
        moe_diag_error(diag, loc, "holds %s tokens", b->n_tokens ? "too many" : "no");
        return false;
    }
    for (uint32_t i = COLUMN_STEP; i < COLUMN_LOOKAHEAD; i++) {
        if (b->counts[i] == 0 || b->counts[i] == b->n_tokens)
            continue;
        moe_diag_error(diag, loc,
                       "tensor %s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " tokens have one",
                       moe_routing_column_names[i], b->counts[i], b->n_tokens);
        return false;
    }
    builder_meta(b, file);
    if (!builder_view(b, &file->routing))
        return false;
    bool ok = moe_routing_names(file, diag);
    ok &= moe_routing_check(&file->routing, diag) && moe_routing_absent(file, diag);
    ok &= moe_routing_whole_check(file, diag);
    return moe_routing_index(file, diag) && ok;
}

bool
moe_routing_builder_check(const moe_routing_builder *b, const char *name, moe_diag *diag)
{
    g_autoptr(moe_routing_file) file = moe_routing_file_new(name);
    g_autoptr(GError) error = NULL;
    bool ok = !builder_failed(b) && builder_check(b, file, diag);
    if (moe_routing_builder_failed(b, name, &error))
        moe_diag_error(diag, (moe_loc){0}, "%s", error->message);
    return ok;
}

/* What was appended must be a routing; false when it could not be held. */
static bool
builder_assert(const moe_routing_builder *b, moe_routing_file *file)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    bool ok = !builder_failed(b) && builder_check(b, file, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(ok || builder_failed(b), "a routing was built that is none:\n%s", text);
    return ok;
}

moe_routing_file *
moe_routing_builder_finish(moe_routing_builder *b, const char *name)
{
    moe_routing_file *file = moe_routing_file_new(name);
    if (builder_assert(b, file)) {
        file->columns = g_steal_pointer(&b->columns);
        file->times = g_steal_pointer(&b->times);
        if (b->similarity)
            g_ptr_array_add(file->owned, g_steal_pointer(&b->similarity));
        g_ptr_array_add(file->owned, g_steal_pointer(&b->layer_ids));
    } else {
        g_clear_pointer(&file, moe_routing_close);
    }
    moe_routing_builder_free(b);
    return file;
}

typedef struct write_list {
    moe_tensor tensors[COLUMNS + 2];
    size_t n;       /* of tokens */
    size_t n_whole; /* behind those: not of tokens */
    char names[MOE_ROUTING_MAX_LOOKAHEAD][2][48];
} write_list;

/* One more tensor, if its data is there. */
static void
write_add(write_list *list, const char *name, moe_tensor_type type, const void *data,
          uint64_t tokens, uint32_t layers, uint32_t slots)
{
    if (!data)
        return;
    list->tensors[list->n++] = (moe_tensor){.name = name,
                                            .type = type,
                                            .rank = layers ? 3 : 1,
                                            .shape = {tokens, layers, slots},
                                            .data = data};
}

static void
write_whole(const moe_routing *r, write_list *list)
{
    moe_tensor *at = &list->tensors[list->n];
    if (r->times)
        *at++ = (moe_tensor){.name = MOE_ROUTING_TIMES,
                             .type = MOE_TENSOR_F32,
                             .rank = 3,
                             .shape = {r->n_time_steps, r->n_time_layers, r->n_stages},
                             .data = r->times};
    if (r->similarity)
        *at++ = (moe_tensor){.name = MOE_ROUTING_SIMILARITY,
                             .type = MOE_TENSOR_F32,
                             .rank = 2,
                             .shape = {r->n_layers, r->n_similarity},
                             .data = r->similarity};
    list->n_whole = (size_t)(at - &list->tensors[list->n]);
}

static void
write_tensors(const moe_routing *r, write_list *list)
{
    moe_tensor_type id_type = r->id_bytes == 1 ? MOE_TENSOR_U8 : MOE_TENSOR_U16;
    uint64_t n = r->n_tokens;
    list->n = 0;
    write_add(list, "expert_ids", id_type, r->ids, n, r->n_layers, r->k);
    write_add(list, "sequence", MOE_TENSOR_U32, r->sequence, n, 0, 0);
    write_add(list, "position", MOE_TENSOR_U32, r->position, n, 0, 0);
    write_add(list, "phase", MOE_TENSOR_U8, r->phase, n, 0, 0);
    write_add(list, "step", MOE_TENSOR_U32, r->step, n, 0, 0);
    write_add(list, "domain", MOE_TENSOR_U16, r->domain, n, 0, 0);
    write_add(list, "modality", MOE_TENSOR_U8, r->modality, n, 0, 0);
    write_add(list, "token_id", MOE_TENSOR_U32, r->token_id, n, 0, 0);
    write_add(list, "gate_weights", MOE_TENSOR_F32, r->weights, n, r->n_layers, r->k);
    write_add(list, "router_logits", MOE_TENSOR_F16, r->logits, n, r->n_layers, r->n_experts);
    for (uint32_t i = 0; i < r->n_lookahead; i++) {
        const moe_lookahead *l = &r->lookahead[i];
        char(*names)[48] = list->names[i];
        g_snprintf(names[0], sizeof names[0], "lookahead.%u", l->distance);
        g_snprintf(names[1], sizeof names[1], "lookahead.%u.weights", l->distance);
        write_add(list, names[0], id_type, l->ids, n, r->n_layers, l->k);
        write_add(list, names[1], MOE_TENSOR_F32, l->weights, n, r->n_layers, l->k);
    }
    write_whole(r, list);
}

static uint64_t
write_bytes(const moe_routing_builder *b)
{
    uint64_t row = 0;
    for (uint32_t i = 0; i < COLUMNS; i++)
        row += moe_columns_row_bytes(b->columns, i);
    return row * b->n_tokens;
}

bool
moe_routing_builder_write_shards(moe_routing_builder *b, const char *path, uint64_t shard_bytes,
                                 uint32_t *n_shards, GError **error)
{
    g_autoptr(moe_routing_file) file = moe_routing_file_new(path);
    bool ok = builder_assert(b, file);
    write_list list;
    *n_shards = 0;
    if (ok) {
        write_tensors(&file->routing, &list);
        bool sharded = write_bytes(b) > shard_bytes;
        ok = sharded ? moe_shards_write(path, list.tensors, list.n, list.n_whole, file->meta,
                                        file->n_meta, shard_bytes, n_shards, error)
                     : moe_safetensors_write(path, list.tensors, list.n + list.n_whole, file->meta,
                                             file->n_meta, error);
        if (ok && !sharded)
            moe_shards_remove(path);
    }
    moe_routing_builder_failed(b, path, error && !*error ? error : NULL);
    moe_routing_builder_free(b);
    return ok;
}

bool
moe_routing_builder_snapshot(moe_routing_builder *b, const char *path, GError **error)
{
    g_autoptr(moe_routing_file) file = moe_routing_file_new(path);
    bool ok = builder_assert(b, file);
    write_list list;
    if (ok) {
        write_tensors(&file->routing, &list);
        ok = moe_safetensors_write(path, list.tensors, list.n + list.n_whole, file->meta,
                                   file->n_meta, error);
        if (ok)
            moe_shards_remove(path);
    }
    moe_columns_resume(b->columns);
    if (b->times)
        moe_columns_resume(b->times);
    return !moe_routing_builder_failed(b, path, error && !*error ? error : NULL) && ok;
}

bool
moe_routing_builder_write(moe_routing_builder *b, const char *path, GError **error)
{
    uint32_t n_shards;
    return moe_routing_builder_write_shards(b, path, UINT64_MAX, &n_shards, error);
}
