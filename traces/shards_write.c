#include "traces/shards.h"

#include "sim/base/error.h"
#include "traces/json_scan.h"

#include <string.h>
#include <unistd.h>

typedef struct shards_plan {
    const char *path;
    char *stem; /* the path without ".safetensors" */
    uint64_t n_rows, row_bytes, align;
    uint64_t rows;      /* of a full shard */
    uint64_t rest_from; /* first row of a small last shard, behind whole pages */
    uint32_t n;
} shards_plan;

static uint64_t
shards_row_bytes(const moe_tensor *tensor)
{
    uint64_t n = moe_tensor_type_bits(tensor->type) / 8;
    for (uint32_t i = 1; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return n;
}

/* As many rows as fit, a multiple of what keeps every tensor aligned to pages; what is left over
 * that is a small shard of its own, the only one that a reader has to copy. */
static void
shards_divide(shards_plan *p, uint64_t shard_bytes)
{
    static const uint64_t aligns[] = {65536, 4096};
    p->rows = MAX(shard_bytes / MAX(p->row_bytes, 1), 1);
    p->align = 8;
    for (size_t i = MOE_COUNT(aligns); i-- > 0;) {
        if (p->rows >= aligns[i])
            p->align = aligns[i];
    }
    if (p->align > 8)
        p->rows -= p->rows % p->align;
    p->rows = MIN(p->rows, p->n_rows);
    p->rest_from = p->align > 8 ? p->n_rows - p->n_rows % p->align : p->n_rows;
    p->n = (uint32_t)((p->rest_from + p->rows - 1) / p->rows + (p->rest_from < p->n_rows));
}

/* The first row of shard i; of i = n, the end. */
static uint64_t
shards_first(const shards_plan *p, uint32_t i)
{
    return i == p->n ? p->n_rows : MIN(i * p->rows, p->rest_from);
}

static char *
shards_name(const shards_plan *p, uint32_t i)
{
    return g_strdup_printf("%s-%05u-of-%05u.safetensors", p->stem, i + 1, p->n);
}

static bool
shards_one(const shards_plan *p, uint32_t i, const moe_tensor *tensors, size_t n_tensors,
           const moe_meta *meta, size_t n_meta, GError **error)
{
    uint64_t first = shards_first(p, i), rows = shards_first(p, i + 1) - first;
    g_autofree moe_tensor *part = g_new(moe_tensor, n_tensors + 1);
    for (size_t t = 0; t < n_tensors; t++) {
        part[t] = tensors[t];
        part[t].shape[0] = rows;
        part[t].data = (const uint8_t *)tensors[t].data + first * shards_row_bytes(&tensors[t]);
    }
    g_autofree char *name = shards_name(p, i);
    return moe_safetensors_write_aligned(name, part, n_tensors, meta, n_meta, p->align, error);
}

static char *
shards_index(const shards_plan *p, const moe_tensor *tensors, size_t n_tensors)
{
    GString *text = g_string_new(NULL);
    g_string_append_printf(text,
                           "{\n  \"metadata\": {\n    \"total_size\": %" G_GUINT64_FORMAT
                           "\n  },\n  \"weight_map\": {",
                           p->n_rows * p->row_bytes);
    for (uint32_t i = 0; i < p->n; i++) {
        g_autofree char *path = shards_name(p, i), *name = g_path_get_basename(path);
        for (size_t t = 0; t < n_tensors; t++) {
            g_string_append_printf(
                text,
                "%s\n    \"%s[%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT "]\": ", i || t ? "," : "",
                tensors[t].name, shards_first(p, i), shards_first(p, i + 1));
            moe_json_put_text(text, name);
        }
    }
    g_string_append(text, "\n  }\n}\n");
    return g_string_free(text, FALSE);
}

static void
shards_remove(const shards_plan *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *name = shards_name(p, i);
        unlink(name);
    }
}

static bool
shards_all(const shards_plan *p, const moe_tensor *tensors, size_t n_tensors, const moe_meta *meta,
           size_t n_meta, GError **error)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (shards_one(p, i, tensors, n_tensors, meta, n_meta, error))
            continue;
        shards_remove(p, i);
        return false;
    }
    g_autofree char *text = shards_index(p, tensors, n_tensors);
    g_autofree char *path = g_strconcat(p->path, MOE_SHARDS_SUFFIX, NULL);
    g_autoptr(GError) problem = NULL;
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0666, &problem))
        return true;
    moe_error_path(error, MOE_ERROR_FILE, path, 0, "cannot write: %s", problem->message);
    shards_remove(p, p->n);
    return false;
}

bool
moe_shards_write(const char *path, const moe_tensor *tensors, size_t n_tensors,
                 const moe_meta *meta, size_t n_meta, uint64_t shard_bytes, uint32_t *n_shards,
                 GError **error)
{
    shards_plan p = {.path = path, .n_rows = tensors[0].shape[0]};
    for (size_t t = 0; t < n_tensors; t++) {
        moe_assert(tensors[t].rank && tensors[t].shape[0] == p.n_rows, "tensor %s has other rows",
                   tensors[t].name);
        p.row_bytes += shards_row_bytes(&tensors[t]);
    }
    shards_divide(&p, shard_bytes);
    p.stem = g_str_has_suffix(path, ".safetensors") ? g_strndup(path, strlen(path) - 12)
                                                    : g_strdup(path);
    bool ok = shards_all(&p, tensors, n_tensors, meta, n_meta, error);
    *n_shards = p.n;
    g_free(p.stem);
    return ok;
}
