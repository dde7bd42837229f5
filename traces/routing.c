#include "traces/routing_file.h"

#include "traces/columns.h"

#include <string.h>

moe_routing_file *
moe_routing_file_new(const char *path)
{
    moe_routing_file *file = g_new0(moe_routing_file, 1);
    file->path = g_strdup(path);
    file->owned = g_ptr_array_new_with_free_func(g_free);
    file->routing.path = file->path;
    file->routing.model = file->routing.engine = "";
    return file;
}

void *
moe_routing_file_buffer(moe_routing_file *file, uint64_t n, size_t size)
{
    void *buffer = g_try_malloc_n(MAX(n, 1), size);
    if (buffer)
        g_ptr_array_add(file->owned, buffer);
    return buffer;
}

const char *
moe_routing_meta(const moe_routing_file *file, const char *key)
{
    for (size_t i = 0; i < file->n_meta; i++)
        if (strcmp(file->meta[i].key, key) == 0)
            return file->meta[i].value;
    return NULL;
}

void
moe_routing_close(moe_routing_file *file)
{
    if (!file)
        return;
    moe_safetensors_close(file->tensors);
    moe_columns_free(file->columns);
    moe_columns_free(file->times);
    g_ptr_array_free(file->owned, TRUE);
    g_free(file->meta);
    g_free(file->path);
    g_free(file);
}

const moe_routing *
moe_routing_get(const moe_routing_file *file)
{
    return &file->routing;
}

uint32_t
moe_routing_row(const moe_routing *routing, uint64_t row, uint32_t layer, uint16_t *out)
{
    uint32_t n = 0;
    for (; n < routing->k; n++) {
        uint32_t id = moe_routing_id(routing, row, layer, n);
        if (id >= MOE_ROUTING_NOT_RUN)
            break;
        out[n] = (uint16_t)id;
    }
    return n;
}

uint32_t
moe_routing_lookahead_row(const moe_routing *routing, uint32_t i, uint64_t row, uint32_t layer,
                          uint16_t *out)
{
    const moe_lookahead *lookahead = &routing->lookahead[i];
    moe_routing view = *routing;
    view.ids = lookahead->ids;
    view.k = lookahead->k;
    return moe_routing_row(&view, row, layer, out);
}

double
moe_routing_recall(const moe_routing *routing, uint32_t i)
{
    uint64_t wanted = 0, named = 0;
    uint16_t truth[MOE_ROUTING_MAX_K], guess[MOE_ROUTING_MAX_K];
    for (uint64_t row = 0; row < routing->n_tokens; row++) {
        for (uint32_t layer = 0; layer < routing->n_layers; layer++) {
            uint32_t n_guess = moe_routing_lookahead_row(routing, i, row, layer, guess);
            if (n_guess == 0)
                continue;
            uint32_t n_truth = moe_routing_row(routing, row, layer, truth);
            wanted += n_truth;
            for (uint32_t a = 0; a < n_truth; a++)
                for (uint32_t b = 0; b < n_guess; b++)
                    named += truth[a] == guess[b];
        }
    }
    return wanted ? (double)named / (double)wanted : 0;
}
