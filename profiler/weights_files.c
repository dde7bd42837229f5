#include "profiler/weights_files.h"

#include "sim/base/error.h"
#include "traces/json_scan.h"
#include "traces/safetensors_header.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX_INDEX (64u << 20)
#define FILES_ENDING ".safetensors"
#define FILES_ONE "model" FILES_ENDING
#define FILES_INDEX FILES_ONE ".index.json"
#define FILES_REFUSED G_MAXUINT /* instead of a shard's number */

typedef struct files_shard {
    const char *name; /* beside the index */
    char *path;
    moe_safetensors *file; /* NULL: absent or wrong */
    const uint8_t *begin;  /* of the map */
    uint64_t bytes;
    guint n_tensors; /* that the index expects there */
} files_shard;

struct weights_files {
    char *folder, *main;
    GArray *shards;     /* files_shard */
    GHashTable *byname; /* file -> number + 1 */
    GHashTable *map;    /* tensor -> number + 1; NULL: there is one file */
    char *text, *store; /* of the index */
    moe_loc loc;        /* of `main` */
    moe_diag *diag;     /* while opening */
};

static files_shard *
files_shard_at(const weights_files *f, guint i)
{
    return &g_array_index(f->shards, files_shard, i);
}

/* ---- the index ---- */

static guint
files_add_shard(weights_files *f, const char *name)
{
    guint known = GPOINTER_TO_UINT(g_hash_table_lookup(f->byname, name));
    if (known)
        return known;
    files_shard shard = {.name = name, .path = g_build_filename(f->folder, name, NULL)};
    g_array_append_val(f->shards, shard);
    g_hash_table_insert(f->byname, (char *)(uintptr_t)name, GUINT_TO_POINTER(f->shards->len));
    return f->shards->len;
}

static void
files_add_entry(weights_files *f, const char *tensor, const char *name)
{
    guint number = FILES_REFUSED;
    if (!*name || *name == '.' || strchr(name, '/')) {
        moe_diag_error(f->diag, f->loc, "tensor %.100s: its file '%.100s' is none beside the index",
                       tensor, name);
    } else if (!g_str_has_suffix(name, FILES_ENDING)) {
        moe_diag_error(f->diag, f->loc,
                       "tensor %.100s: its file '%.100s' is not called NAME" FILES_ENDING, tensor,
                       name);
    } else {
        number = files_add_shard(f, name);
        files_shard_at(f, number - 1)->n_tensors++;
    }
    if (!g_hash_table_insert(f->map, (char *)(uintptr_t)tensor, GUINT_TO_POINTER(number)))
        moe_diag_error(f->diag, f->loc, "tensor %.100s: written twice", tensor);
}

static bool
files_scan_map(weights_files *f, moe_scan *scan)
{
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return true;
    do {
        const char *tensor = moe_scan_text(scan);
        const char *name = tensor && moe_scan_take(scan, ':') ? moe_scan_text(scan) : NULL;
        if (!name)
            return false;
        files_add_entry(f, tensor, name);
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

static bool
files_scan(weights_files *f, moe_scan *scan)
{
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return moe_scan_end(scan);
    do {
        const char *member = moe_scan_text(scan);
        if (!member || !moe_scan_take(scan, ':'))
            return false;
        if (strcmp(member, "weight_map") ? !moe_scan_skip(scan) : !files_scan_map(f, scan))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}') && moe_scan_end(scan);
}

static bool
files_fail(weights_files *f, const char *what)
{
    moe_diag_error(f->diag, f->loc, "%s", what);
    return false;
}

static bool
files_read_index(weights_files *f, GError **error)
{
    gsize length;
    struct stat status;
    const char *end;
    g_autoptr(GError) why = NULL;
    if (stat(f->main, &status) == 0 && status.st_size > FILES_MAX_INDEX)
        return files_fail(f, "index of more than 64 MiB");
    if (!g_file_get_contents(f->main, &f->text, &length, &why)) {
        moe_error_path(error, MOE_ERROR_FILE, f->main, 0, "%s", why->message);
        return false;
    }
    if (!g_utf8_validate_len(f->text, length, &end))
        return files_fail(f, "not UTF-8");
    f->store = g_malloc(length + 1);
    moe_scan scan = {.begin = f->text, .at = f->text, .end = f->text + length, .store = f->store};
    if (!files_scan(f, &scan)) {
        moe_diag_error(f->diag, f->loc, "byte %td: %s", scan.at - scan.begin,
                       scan.why ? scan.why : "not an index");
        return false;
    }
    return g_hash_table_size(f->map) > 0 || files_fail(f, "no weight_map: names no file");
}

/* ---- files ---- */

/* What a clone without Git LFS leaves in place of a file. */
static bool
files_is_pointer(const char *path)
{
    static const char start[] = "version https://git-lfs";
    char text[sizeof start - 1];
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > 1024)
        return false;
    FILE *file = fopen(path, "rb");
    bool is = file && fread(text, sizeof text, 1, file) == 1 && !memcmp(text, start, sizeof text);
    if (file)
        fclose(file);
    return is;
}

/* False with `error` set; anything else that is wrong is a message. */
static bool
files_open_shard(weights_files *f, files_shard *shard, GError **error)
{
    if (!g_file_test(shard->path, G_FILE_TEST_EXISTS)) {
        moe_diag_error(f->diag, f->loc, "shard %.100s is missing (%u tensor%s)", shard->name,
                       shard->n_tensors, shard->n_tensors == 1 ? "" : "s");
        return true;
    }
    if (files_is_pointer(shard->path)) {
        moe_diag_error(f->diag, (moe_loc){.file = moe_diag_intern(f->diag, shard->path)},
                       "a pointer of Git LFS instead of the file; fetch it with `git lfs pull`");
        return true;
    }
    GError *why = NULL;
    shard->file = moe_safetensors_open(shard->path, f->diag, &why);
    if (why)
        g_propagate_error(error, why);
    if (!shard->file)
        return !why;
    size_t n = moe_safetensors_count(shard->file);
    if (!n)
        return true;
    const moe_tensor *first = moe_safetensors_at(shard->file, 0);
    const moe_tensor *last = moe_safetensors_at(shard->file, n - 1);
    uint64_t start = moe_safetensors_data_start(shard->file);
    shard->begin = (const uint8_t *)first->data - first->offset - start;
    shard->bytes = start + last->offset + last->bytes;
    return true;
}

static weights_files *
files_new(const char *folder, moe_diag *diag)
{
    weights_files *f = g_new0(weights_files, 1);
    f->folder = g_strdup(folder);
    f->diag = diag;
    f->shards = g_array_new(FALSE, FALSE, sizeof(files_shard));
    f->byname = g_hash_table_new(g_str_hash, g_str_equal);
    return f;
}

weights_files *
moe_weights_files_open(const char *folder, moe_diag *diag, GError **error)
{
    g_autoptr(weights_files) f = files_new(folder, diag);
    g_autofree char *one = g_build_filename(folder, FILES_ONE, NULL);
    bool sharded = !g_file_test(one, G_FILE_TEST_EXISTS);
    f->main = sharded ? g_build_filename(folder, FILES_INDEX, NULL) : g_strdup(one);
    if (sharded && !g_file_test(f->main, G_FILE_TEST_EXISTS)) {
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, folder)},
                       "no checkpoint: holds neither " FILES_ONE " nor " FILES_INDEX);
        return NULL;
    }
    f->loc.file = moe_diag_intern(diag, f->main);
    if (sharded) {
        f->map = g_hash_table_new(g_str_hash, g_str_equal);
        if (!files_read_index(f, error))
            return NULL;
    } else {
        files_add_shard(f, FILES_ONE);
    }
    for (guint i = 0; i < f->shards->len; i++)
        if (!files_open_shard(f, files_shard_at(f, i), error))
            return NULL;
    return g_steal_pointer(&f);
}

void
moe_weights_files_close(weights_files *f)
{
    if (!f)
        return;
    for (guint i = 0; i < f->shards->len; i++) {
        moe_safetensors_close(files_shard_at(f, i)->file);
        g_free(files_shard_at(f, i)->path);
    }
    g_array_free(f->shards, TRUE);
    g_hash_table_destroy(f->byname);
    if (f->map)
        g_hash_table_destroy(f->map);
    g_free(f->text);
    g_free(f->store);
    g_free(f->folder);
    g_free(f->main);
    g_free(f);
}

const char *
moe_weights_files_main(const weights_files *files)
{
    return files->main;
}

weights_found
moe_weights_files_find(const weights_files *f, const char *name, const moe_tensor **tensor,
                       const char **path)
{
    guint number = f->map ? GPOINTER_TO_UINT(g_hash_table_lookup(f->map, name)) : 1;
    if (!number)
        return WEIGHTS_NOWHERE;
    if (number == FILES_REFUSED)
        return WEIGHTS_LOST;
    const files_shard *shard = files_shard_at(f, number - 1);
    *path = shard->path;
    *tensor = shard->file ? moe_safetensors_find(shard->file, name) : NULL;
    if (*tensor)
        return WEIGHTS_FOUND;
    if (!shard->file)
        return WEIGHTS_LOST;
    if (!f->map)
        return WEIGHTS_NOWHERE;
    moe_diag_error(f->diag, f->loc, "tensor %.100s: is not in %.100s, where it ought to be", name,
                   shard->name);
    return WEIGHTS_LOST;
}

uint32_t
moe_weights_files_locate(const weights_files *f, const void *data, uint64_t *offset)
{
    const uint8_t *at = data;
    for (guint i = 0; i < f->shards->len; i++) {
        const files_shard *shard = files_shard_at(f, i);
        if (shard->begin && at >= shard->begin && at < shard->begin + shard->bytes) {
            *offset = (uint64_t)(at - shard->begin);
            return i;
        }
    }
    moe_assert(false, "%p is of no file of %s", data, f->folder);
    return 0;
}

const char *
moe_weights_files_path(const weights_files *files, uint32_t number)
{
    return files_shard_at(files, number)->path;
}

const moe_file_stamp *
moe_weights_files_stamp(const weights_files *files, uint32_t number)
{
    return moe_safetensors_stamp(files_shard_at(files, number)->file);
}

void
moe_weights_files_list(const weights_files *f, GPtrArray *paths)
{
    if (f->map)
        g_ptr_array_add(paths, g_strdup(f->main));
    for (guint i = 0; i < f->shards->len; i++)
        g_ptr_array_add(paths, g_strdup(files_shard_at(f, i)->path));
}
