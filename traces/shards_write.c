/* Shards are written whole into a folder of their own beside the trace. Only then is the index of
 * an older trace of that name taken away, the shards are moved to their names, and the new index
 * last: whoever is killed between leaves a trace without an index, never one of two halves. */
#include "traces/shards.h"

#include "sim/base/error.h"
#include "traces/json_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct shards_plan {
    const char *path;
    const moe_tensor *tensors; /* of rows, then the whole ones */
    size_t n_tensors, n_whole;
    const moe_meta *meta;
    size_t n_meta;
    char *stem;   /* the path without ".safetensors" */
    char *folder; /* the temporary one */
    char id[17];  /* of what is written */
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

/* Where a file lies until all are complete. */
static char *
shards_draft(const shards_plan *p, const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    return g_build_filename(p->folder, name, NULL);
}

static char *
shards_index_name(const char *path)
{
    return g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
}

static uint64_t
shards_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t
shards_mix_bytes(uint64_t h, const void *bytes, uint64_t n)
{
    const uint8_t *at = bytes;
    uint64_t word = 0;
    h = shards_mix(h, n);
    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        h = shards_mix(h, GUINT64_FROM_LE(word));
    }
    word = 0;
    while (n)
        word = word << 8 | at[--n];
    return shards_mix(h, word);
}

/* The same for the same content in the same shards. */
static void
shards_identify(shards_plan *p)
{
    uint64_t h = shards_mix(shards_mix(1, p->rows), p->rest_from);
    for (size_t i = 0; i < p->n_meta; i++) {
        h = shards_mix_bytes(h, p->meta[i].key, strlen(p->meta[i].key));
        h = shards_mix_bytes(h, p->meta[i].value, strlen(p->meta[i].value));
    }
    for (size_t i = 0; i < p->n_tensors + p->n_whole; i++) {
        const moe_tensor *t = &p->tensors[i];
        h = shards_mix_bytes(h, t->name, strlen(t->name));
        h = shards_mix_bytes(h, t->data, shards_row_bytes(t) * t->shape[0]);
    }
    g_snprintf(p->id, sizeof p->id, "%016" G_GINT64_MODIFIER "x", h);
}

/* What failed at a draft is told of the file that it is a draft of. */
static bool
shards_told(const char *path, const char *draft, GError *problem, GError **error)
{
    if (!problem)
        return true;
    const char *message = problem->message;
    if (g_str_has_prefix(message, draft) && g_str_has_prefix(message + strlen(draft), ": "))
        message += strlen(draft) + 2;
    g_set_error(error, problem->domain, problem->code, "%s: %s", path, message);
    g_error_free(problem);
    return false;
}

static bool
shards_one(const shards_plan *p, uint32_t i, GError **error)
{
    uint64_t first = shards_first(p, i), rows = shards_first(p, i + 1) - first;
    size_t n = p->n_tensors + (i == 0 ? p->n_whole : 0);
    g_autofree moe_tensor *part = g_new(moe_tensor, n + 1);
    for (size_t t = 0; t < n; t++)
        part[t] = p->tensors[t];
    for (size_t t = 0; t < p->n_tensors; t++) {
        part[t].shape[0] = rows;
        part[t].data = (const uint8_t *)part[t].data + first * shards_row_bytes(&part[t]);
    }
    g_autofree moe_meta *all = g_new(moe_meta, p->n_meta + 1);
    for (size_t m = 0; m < p->n_meta; m++)
        all[m] = p->meta[m];
    all[p->n_meta] = (moe_meta){MOE_SHARDS_WRITE_ID, p->id};
    g_autofree char *name = shards_name(p, i), *draft = shards_draft(p, name);
    GError *problem = NULL;
    moe_safetensors_write_aligned(draft, part, n, all, p->n_meta + 1, p->align, &problem);
    return shards_told(name, draft, problem, error);
}

/* "NAME" or "NAME[FIRST:LAST]": "FILE" */
static void
shards_index_entry(GString *text, const char *tensor, const char *rows, const char *file)
{
    g_autofree char *key = g_strconcat(tensor, rows, NULL);
    g_string_append(text, text->str[text->len - 1] == '{' ? "\n    " : ",\n    ");
    moe_json_put_text(text, key);
    g_string_append(text, ": ");
    moe_json_put_text(text, file);
}

static char *
shards_index(const shards_plan *p)
{
    GString *text = g_string_new(NULL);
    uint64_t bytes = p->n_rows * p->row_bytes;
    for (size_t t = p->n_tensors; t < p->n_tensors + p->n_whole; t++)
        bytes += shards_row_bytes(&p->tensors[t]) * p->tensors[t].shape[0];
    g_string_append_printf(text,
                           "{\n  \"metadata\": {\n    \"total_size\": %" G_GUINT64_FORMAT
                           ",\n    \"" MOE_SHARDS_WRITE_ID "\": \"%s\"\n  },\n  \"weight_map\": {",
                           bytes, p->id);
    for (uint32_t i = 0; i < p->n; i++) {
        g_autofree char *path = shards_name(p, i), *name = g_path_get_basename(path);
        g_autofree char *rows = g_strdup_printf("[%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT "]",
                                                shards_first(p, i), shards_first(p, i + 1));
        for (size_t t = 0; t < p->n_tensors; t++)
            shards_index_entry(text, p->tensors[t].name, rows, name);
        for (size_t t = p->n_tensors; i == 0 && t < p->n_tensors + p->n_whole; t++)
            shards_index_entry(text, p->tensors[t].name, "", name);
    }
    g_string_append(text, "\n  }\n}\n");
    return g_string_free(text, FALSE);
}

/* All files complete in the temporary folder. */
static bool
shards_drafts(const shards_plan *p, GError **error)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (!shards_one(p, i, error))
            return false;
    g_autofree char *text = shards_index(p), *index = shards_index_name(p->path);
    g_autofree char *draft = shards_draft(p, index);
    g_autoptr(GError) problem = NULL;
    if (g_file_set_contents_full(draft, text, -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0666,
                                 &problem))
        return true;
    const char *why = strrchr(problem->message, ':');
    moe_error_path(error, MOE_ERROR_FILE, index, 0, "cannot write: %s",
                   why ? why + 2 : problem->message);
    return false;
}

/* A folder or a device is not moved over. */
static bool
shards_free_name(const char *path, GError **error)
{
    struct stat status;
    if (lstat(path, &status) != 0 || S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))
        return true;
    moe_error_path(error, MOE_ERROR_FILE, path, 0, "cannot write: it is no regular file");
    return false;
}

static bool
shards_move(const shards_plan *p, const char *path, GError **error)
{
    g_autofree char *draft = shards_draft(p, path);
    if (rename(draft, path) == 0)
        return true;
    moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot write");
    return false;
}

static bool
shards_place(const shards_plan *p, GError **error)
{
    g_autofree char *index = shards_index_name(p->path);
    bool ok = shards_free_name(index, error);
    for (uint32_t i = 0; ok && i < p->n; i++) {
        g_autofree char *name = shards_name(p, i);
        ok = shards_free_name(name, error);
    }
    if (ok && unlink(index) != 0 && errno != ENOENT) {
        moe_error_path(error, MOE_ERROR_FILE, index, errno, "cannot replace");
        return false;
    }
    for (uint32_t i = 0; ok && i < p->n; i++) {
        g_autofree char *name = shards_name(p, i);
        ok = shards_move(p, name, error);
    }
    return ok && shards_move(p, index, error);
}

/* Removes what is still in the temporary folder, and it. */
static void
shards_tidy(const shards_plan *p)
{
    for (uint32_t i = 0; i <= p->n; i++) {
        g_autofree char *name = i < p->n ? shards_name(p, i) : shards_index_name(p->path);
        g_autofree char *draft = shards_draft(p, name);
        unlink(draft);
    }
    rmdir(p->folder);
}

/* ---- what an older trace of the same name left ---- */

/* Whether a shard that an index names is one that was written under this stem. */
static bool
shards_is_ours(const char *stem, const char *name)
{
    static const char form[] = "-00000-of-00000.safetensors"; /* a digit for each 0 */
    g_autofree char *base = g_path_get_basename(stem);
    if (!g_str_has_prefix(name, base) || strlen(name) != strlen(base) + sizeof form - 1)
        return false;
    const char *rest = name + strlen(base);
    size_t i = 0;
    while (form[i] && (form[i] == '0' ? g_ascii_isdigit(rest[i]) : form[i] == rest[i]))
        i++;
    return !form[i];
}

/* Removes the shards at the paths `old` but those of the trace that is there now. */
static void
shards_remove_old(const shards_plan *p, const GPtrArray *old)
{
    g_autoptr(GHashTable) kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t i = 0; i < p->n; i++) {
        g_autofree char *name = shards_name(p, i);
        g_hash_table_add(kept, g_path_get_basename(name));
    }
    for (guint i = 0; old && i < old->len; i++) {
        const char *path = old->pdata[i];
        g_autofree char *name = g_path_get_basename(path);
        if (shards_is_ours(p->stem, name) && !g_hash_table_contains(kept, name))
            unlink(path);
    }
}

static char *
shards_stem(const char *path)
{
    return g_str_has_suffix(path, ".safetensors") ? g_strndup(path, strlen(path) - 12)
                                                  : g_strdup(path);
}

void
moe_shards_remove(const char *path)
{
    g_autofree char *index = shards_index_name(path), *stem = shards_stem(path);
    g_autoptr(GPtrArray) old = moe_shards_paths(index);
    const shards_plan none = {.path = path, .stem = stem};
    if (!old)
        return;
    unlink(index);
    shards_remove_old(&none, old);
}

/* A trace in one file is replaced by the shards. */
static void
shards_remove_whole(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISREG(status.st_mode))
        unlink(path);
}

bool
moe_shards_write(const char *path, const moe_tensor *tensors, size_t n_tensors, size_t n_whole,
                 const moe_meta *meta, size_t n_meta, uint64_t shard_bytes, uint32_t *n_shards,
                 GError **error)
{
    shards_plan p = {.path = path,
                     .tensors = tensors,
                     .n_tensors = n_tensors,
                     .n_whole = n_whole,
                     .meta = meta,
                     .n_meta = n_meta,
                     .n_rows = tensors[0].shape[0]};
    for (size_t t = 0; t < n_tensors; t++) {
        moe_assert(tensors[t].rank && tensors[t].shape[0] == p.n_rows, "tensor %s has other rows",
                   tensors[t].name);
        p.row_bytes += shards_row_bytes(&tensors[t]);
    }
    shards_divide(&p, shard_bytes);
    shards_identify(&p);
    g_autofree char *stem = shards_stem(path), *folder = g_strconcat(path, ".XXXXXX", NULL);
    g_autofree char *index = shards_index_name(path);
    p.stem = stem;
    p.folder = g_mkdtemp(folder);
    *n_shards = p.n;
    if (!p.folder) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot create");
        return false;
    }
    g_autoptr(GPtrArray) old = moe_shards_paths(index);
    bool ok = shards_drafts(&p, error) && shards_place(&p, error);
    shards_tidy(&p);
    if (ok) {
        shards_remove_old(&p, old);
        shards_remove_whole(path);
    }
    return ok;
}
