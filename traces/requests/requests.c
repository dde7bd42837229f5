#include "traces/requests/requests_file.h"

#include "traces/json_scan.h"

#include <string.h>

moe_requests_file *
moe_requests_file_new(const char *path)
{
    moe_requests_file *file = g_new0(moe_requests_file, 1);
    file->path = g_strdup(path);
    file->owned = g_ptr_array_new_with_free_func(g_free);
    file->requests.path = file->path;
    return file;
}

void *
moe_requests_file_own(moe_requests_file *file, void *buffer)
{
    if (buffer)
        g_ptr_array_add(file->owned, buffer);
    return buffer;
}

void
moe_requests_close(moe_requests_file *file)
{
    if (!file)
        return;
    moe_safetensors_close(file->tensors);
    moe_columns_free(file->rows);
    moe_columns_free(file->block_first);
    moe_columns_free(file->blocks);
    g_ptr_array_free(file->owned, TRUE);
    g_free(file->meta);
    g_free(file->path);
    g_free(file);
}

const moe_requests *
moe_requests_get(const moe_requests_file *file)
{
    return &file->requests;
}

const char *
moe_requests_meta(const moe_requests_file *file, const char *key)
{
    for (size_t i = 0; i < file->n_meta; i++)
        if (strcmp(file->meta[i].key, key) == 0)
            return file->meta[i].value;
    return NULL;
}

bool
moe_requests_own_key(const char *key)
{
    static const char *const own[] = {"format",   "version",      "clock",
                                      "epoch_ns", "block_tokens", "models"};
    for (size_t i = 0; i < MOE_COUNT(own); i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

/* ---- writing ---- */

char *
moe_requests_model_list(const moe_requests *r)
{
    GString *out = g_string_new("[");
    for (uint32_t i = 0; i < r->n_models; i++) {
        g_string_append(out, i ? "," : "");
        moe_json_put_text(out, r->models[i]);
    }
    g_string_append_c(out, ']');
    return g_string_free(out, FALSE);
}

static void
write_column(moe_tensor *tensors, size_t *n, const char *name, moe_tensor_type type,
             uint64_t length, const void *data)
{
    if (data)
        tensors[(*n)++] =
            (moe_tensor){.name = name, .type = type, .rank = 1, .shape = {length}, .data = data};
}

bool
moe_requests_write(const moe_requests_file *file, const char *path, GError **error)
{
    const moe_requests *r = &file->requests;
    moe_tensor tensors[7];
    size_t n = 0;
    write_column(tensors, &n, "arrival_ns", MOE_TENSOR_I64, r->n, r->arrival_ns);
    write_column(tensors, &n, "prompt", MOE_TENSOR_U32, r->n, r->prompt);
    write_column(tensors, &n, "output", MOE_TENSOR_U32, r->n, r->output);
    if (r->block_tokens) {
        write_column(tensors, &n, "block_first", MOE_TENSOR_U64, r->n + 1, r->block_first);
        write_column(tensors, &n, "blocks", MOE_TENSOR_U32, r->block_first[r->n], r->blocks);
    }
    write_column(tensors, &n, "session", MOE_TENSOR_U32, r->n, r->session);
    write_column(tensors, &n, "model", MOE_TENSOR_U16, r->n, r->model);
    return moe_safetensors_write(path, tensors, n, file->meta, file->n_meta, error);
}
