/* From an index to one file: the index is read, its shards are opened and compared, and the rows of
 * each tensor are laid one behind another. */
#include "traces/shards.h"

#include "sim/base/error.h"
#include "sim/base/hash.h"
#include "traces/json_scan.h"
#include "traces/safetensors_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHARDS_MAX_INDEX (64u << 20)

typedef struct shards_part {
    const char *name;     /* of the file, as the index has it */
    uint64_t first, last; /* rows first .. last - 1 */
    GPtrArray *tensors;   /* names */
    char *path;
    moe_safetensors *file;
} shards_part;

typedef struct shards {
    moe_loc loc; /* of the index */
    moe_diag *diag;
    char *text, *store;
    const char *write_id; /* NULL: the index has none */
    GArray *list;         /* shards_part */
    GPtrArray *whole;     /* tensors without rows: name, file, name, file, … */
    GHashTable *byname;   /* file -> number in the list + 1 */
} shards;

bool
moe_shards_is_index(const char *path)
{
    return g_str_has_suffix(path, MOE_SHARDS_SUFFIX);
}

static bool shards_fail(shards *s, const char *fmt, ...) MOE_PRINTF(2, 3);

static bool
shards_fail(shards *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(s->diag, s->loc, "%s", message);
    return false;
}

static shards_part *
shards_at(const shards *s, guint i)
{
    return &g_array_index(s->list, shards_part, i);
}

/* ---- the index ---- */

/* "NAME[A:B]", cut behind NAME; false after a message. */
static bool
shards_key(shards *s, char *key, uint64_t *first, uint64_t *last)
{
    char *open = strrchr(key, '[');
    moe_scan scan = {.begin = open + 1, .at = open + 1, .end = open + strlen(open)};
    if (!moe_scan_whole(&scan, first) || !moe_scan_take(&scan, ':') ||
        !moe_scan_whole(&scan, last) || !moe_scan_take(&scan, ']') || !moe_scan_end(&scan) ||
        *first >= *last)
        return shards_fail(s, "weight_map: '%.100s' is no TENSOR[FIRST:LAST]", key);
    *open = '\0';
    return true;
}

/* The shard of a file, made when it is new. */
static shards_part *
shards_of(shards *s, const char *name, uint64_t first, uint64_t last)
{
    guint known = GPOINTER_TO_UINT(g_hash_table_lookup(s->byname, name));
    if (known)
        return shards_at(s, known - 1);
    shards_part new = {.name = name, .first = first, .last = last, .tensors = g_ptr_array_new()};
    g_array_append_val(s->list, new);
    g_hash_table_insert(s->byname, (char *)(uintptr_t)name, GUINT_TO_POINTER(s->list->len));
    return shards_at(s, s->list->len - 1);
}

static bool
shards_entry(shards *s, char *key, const char *name)
{
    uint64_t first, last;
    bool whole = !strchr(key, '[');
    if (!whole && !shards_key(s, key, &first, &last))
        return false;
    if (!*name || strchr(name, '/'))
        return shards_fail(s, "weight_map: '%.100s' is no file beside the index", name);
    if (whole) {
        g_ptr_array_add(s->whole, key);
        g_ptr_array_add(s->whole, (char *)(uintptr_t)name);
        return true;
    }
    shards_part *shard = shards_of(s, name, first, last);
    if (shard->first != first || shard->last != last)
        return shards_fail(s,
                           "%s: tensor %s has rows %" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT
                           ", but others of that shard %" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                           name, key, first, last, shard->first, shard->last);
    g_ptr_array_add(shard->tensors, key);
    return true;
}

static bool
shards_map(shards *s, moe_scan *scan)
{
    if (!moe_scan_take(scan, '{'))
        return false;
    do {
        char *key = (char *)(uintptr_t)moe_scan_text(scan);
        const char *name = key && moe_scan_take(scan, ':') ? moe_scan_text(scan) : NULL;
        if (!name || !shards_entry(s, key, name))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

/* Numbers and texts; all but the write id are for other readers. */
static bool
shards_metadata(shards *s, moe_scan *scan)
{
    uint64_t number;
    if (!moe_scan_take(scan, '{') || moe_scan_maybe(scan, '}'))
        return !scan->why;
    do {
        const char *value = "", *key = moe_scan_text(scan);
        if (!key || !moe_scan_take(scan, ':'))
            return false;
        while (scan->at < scan->end && *scan->at == ' ')
            scan->at++;
        bool text = scan->at < scan->end && *scan->at == '"';
        if (text ? !(value = moe_scan_text(scan)) : !moe_scan_whole(scan, &number))
            return false;
        if (strcmp(key, MOE_SHARDS_WRITE_ID) == 0)
            s->write_id = value;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

static bool
shards_parse(shards *s, size_t length)
{
    moe_scan scan = {.begin = s->text, .at = s->text, .end = s->text + length, .store = s->store};
    bool ok = moe_scan_take(&scan, '{'), more = ok;
    while (ok && more) {
        const char *member = moe_scan_text(&scan);
        ok = member && moe_scan_take(&scan, ':');
        if (ok && strcmp(member, "weight_map") == 0)
            ok = shards_map(s, &scan);
        else if (ok && strcmp(member, "metadata") == 0)
            ok = shards_metadata(s, &scan);
        else if (ok)
            ok = moe_scan_fail(&scan, "wants metadata or weight_map");
        more = ok && moe_scan_maybe(&scan, ',');
    }
    ok = ok && moe_scan_take(&scan, '}') && moe_scan_end(&scan);
    if (scan.why)
        return shards_fail(s, "byte %td: %s", scan.at - scan.begin, scan.why);
    if (ok && s->list->len == 0)
        return shards_fail(s, s->whole->len ? "weight_map: no key is a TENSOR[FIRST:LAST]"
                                            : "no weight_map: names no shard");
    return ok;
}

static int
shards_order(const void *a, const void *b)
{
    const shards_part *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* No hole, no overlap. */
static bool
shards_ranges(shards *s)
{
    g_array_sort(s->list, shards_order);
    uint64_t at = 0;
    const char *before = "the beginning";
    for (guint i = 0; i < s->list->len; i++) {
        const shards_part *shard = shards_at(s, i);
        if (shard->first < at)
            return shards_fail(s,
                               "%s: tokens from %" G_GUINT64_FORMAT
                               " on overlap those of %s, which go up to %" G_GUINT64_FORMAT,
                               shard->name, shard->first, before, at);
        if (shard->first > at)
            return shards_fail(s,
                               "tokens %" G_GUINT64_FORMAT " .. %" G_GUINT64_FORMAT
                               " are in no shard: between %s and %s",
                               at, shard->first - 1, before, shard->name);
        at = shard->last;
        before = shard->name;
    }
    for (guint i = 0; i < s->whole->len; i += 2)
        if (strcmp(s->whole->pdata[i + 1], shards_at(s, 0)->name) != 0)
            return shards_fail(s,
                               "weight_map: tensor %.100s, without rows, is not in the first "
                               "shard, %s",
                               (const char *)s->whole->pdata[i], shards_at(s, 0)->name);
    return true;
}

/* ---- shards against each other ---- */

/* Of one write, so that an index never joins the shards of two. */
static bool
shards_same_write(shards *s, const shards_part *shard)
{
    const char *id = moe_safetensors_meta(shard->file, MOE_SHARDS_WRITE_ID);
    if (!s->write_id || (id && strcmp(id, s->write_id) == 0))
        return true;
    return shards_fail(s,
                       "%s was not written with this index: its " MOE_SHARDS_WRITE_ID
                       " is '%.40s', that of the index '%.40s'",
                       shard->name, id ? id : "", s->write_id);
}

static bool
shards_same_meta(shards *s, const shards_part *a, const shards_part *b)
{
    size_t n = moe_safetensors_meta_count(a->file);
    bool ok = n == moe_safetensors_meta_count(b->file);
    for (size_t i = 0; ok && i < n; i++) {
        const char *value, *key = moe_safetensors_meta_at(a->file, i, &value);
        const char *other = moe_safetensors_meta(b->file, key);
        if (!other || strcmp(value, other) != 0)
            return shards_fail(s, "shards disagree: metadata '%s' is '%.40s' in %s, '%.40s' in %s",
                               key, value, a->name, other ? other : "", b->name);
    }
    return ok || shards_fail(s, "shards disagree: %s has other metadata than %s", b->name, a->name);
}

static bool
shards_is_whole(const shards *s, const char *tensor)
{
    for (guint i = 0; i < s->whole->len; i += 2)
        if (strcmp(s->whole->pdata[i], tensor) == 0)
            return true;
    return false;
}

/* The tensors of a shard: those that the index names, of the rows it says, shaped as in the first
 * shard, which also holds those without rows. */
static bool
shards_same_tensors(shards *s, const shards_part *a, const shards_part *b)
{
    size_t n = moe_safetensors_count(b->file), whole = s->whole->len / 2;
    size_t n_a = moe_safetensors_count(a->file) - MIN(moe_safetensors_count(a->file), whole);
    if (n - (b == a ? MIN(n, whole) : 0) != b->tensors->len || n_a != b->tensors->len)
        return shards_fail(s,
                           "shards disagree: %s holds %zu tensors, %s %zu, and the index names %u",
                           b->name, n, a->name, moe_safetensors_count(a->file), b->tensors->len);
    for (size_t i = 0; i < n; i++) {
        const moe_tensor *t = moe_safetensors_at(b->file, i);
        if (b == a && shards_is_whole(s, t->name))
            continue;
        const moe_tensor *other = moe_safetensors_find(a->file, t->name);
        bool named = g_ptr_array_find_with_equal_func(b->tensors, t->name, g_str_equal, NULL);
        if (!named || !other)
            return shards_fail(s, "%s: tensor %.100s is not in %s", b->name, t->name,
                               named ? a->name : "the index");
        g_autofree char *shape = moe_tensor_shape_text(t), *wants = moe_tensor_shape_text(other);
        bool same = t->type == other->type && t->rank == other->rank && t->rank >= 1 &&
                    moe_tensor_type_bits(t->type) % 8 == 0;
        for (uint32_t d = 1; same && d < t->rank; d++)
            same = t->shape[d] == other->shape[d];
        if (!same)
            return shards_fail(s, "shards disagree: tensor %.100s is %s in %s, %s in %s", t->name,
                               wants, a->name, shape, b->name);
        if (t->shape[0] != b->last - b->first)
            return shards_fail(
                s, "%s: tensor %.100s is %s, but the index says %" G_GUINT64_FORMAT " rows",
                b->name, t->name, shape, b->last - b->first);
    }
    return true;
}

static bool
shards_load(shards *s, const char *folder, GError **error)
{
    for (guint i = 0; i < s->list->len; i++) {
        shards_part *shard = shards_at(s, i);
        shard->path = g_build_filename(folder, shard->name, NULL);
        if (access(shard->path, F_OK) != 0)
            return shards_fail(s, "shard %s is missing; all shards belong beside the index",
                               shard->name);
        shard->file = moe_safetensors_open(shard->path, s->diag, error);
        if (!shard->file || !shards_same_tensors(s, shards_at(s, 0), shard) ||
            !shards_same_write(s, shard) || !shards_same_meta(s, shards_at(s, 0), shard))
            return false;
    }
    return true;
}

/* ---- one range of addresses for each tensor ---- */

/* Maps rows of a file into their place, where both are aligned to pages. */
static bool
shards_place_mapped(uint8_t *to, const shards_part *shard, const moe_tensor *t)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t header = moe_safetensors_data_start(shard->file);
    if ((uintptr_t)to % page || (header + t->offset) % page || t->bytes % page)
        return false;
    int fd = open(shard->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    void *map = mmap(to, (size_t)t->bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
                     (off_t)(header + t->offset));
    close(fd);
    return map != MAP_FAILED;
}

static bool
shards_place_copied(uint8_t *to, const moe_tensor *t)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)to / page * page;
    size_t bytes = (size_t)((uintptr_t)to + t->bytes - first);
    if (mprotect((void *)first, bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    memcpy(to, t->data, (size_t)t->bytes);
    return mprotect((void *)first, bytes, PROT_READ) == 0;
}

static bool
shards_lay(shards *s, const moe_tensor *first, uint64_t n_rows, moe_safetensors_map *map)
{
    uint64_t row = first->bytes / first->shape[0];
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    map->bytes = MAX((size_t)(row * n_rows), 1);
    void *range = zero < 0 ? MAP_FAILED : mmap(NULL, map->bytes, PROT_NONE, MAP_PRIVATE, zero, 0);
    if (zero >= 0)
        close(zero);
    if (range == MAP_FAILED)
        return shards_fail(s, "tensor %s: no addresses for %zu bytes", first->name, map->bytes);
    map->data = range;
    for (guint i = 0; i < s->list->len; i++) {
        const shards_part *shard = shards_at(s, i);
        const moe_tensor *t = moe_safetensors_find(shard->file, first->name);
        uint8_t *to = (uint8_t *)range + shard->first * row;
        if (t->bytes && !shards_place_mapped(to, shard, t) && !shards_place_copied(to, t))
            return shards_fail(s, "tensor %s: no memory for the rows of %s", first->name,
                               shard->name);
    }
    return true;
}

static moe_safetensors *
shards_join(shards *s, const char *path)
{
    shards_part *first = shards_at(s, 0);
    uint64_t n_rows = shards_at(s, s->list->len - 1)->last;
    size_t n = moe_safetensors_count(first->file);
    g_autofree moe_safetensors_map *maps = g_new0(moe_safetensors_map, n + 1);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const moe_tensor *t = moe_safetensors_at(first->file, i);
        ok = shards_is_whole(s, t->name) || shards_lay(s, t, n_rows, &maps[i]);
    }
    if (ok)
        return moe_safetensors_join(path, g_steal_pointer(&first->file), n_rows, maps, s->diag);
    for (size_t i = 0; i < n; i++)
        if (maps[i].data)
            munmap(maps[i].data, maps[i].bytes);
    return NULL;
}

/* ---- the whole ---- */

static bool
shards_read(shards *s, const char *path, moe_diag *diag, GError **error)
{
    gsize length;
    g_autoptr(GError) problem = NULL;
    s->diag = diag;
    s->loc = (moe_loc){.file = moe_diag_intern(diag, path)};
    s->whole = g_ptr_array_new();
    s->list = g_array_new(FALSE, FALSE, sizeof(shards_part));
    s->byname = g_hash_table_new(g_str_hash, g_str_equal);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot open");
        return false;
    }
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    if (size > SHARDS_MAX_INDEX)
        return shards_fail(s, "no index: longer than 64 MiB");
    if (!g_file_get_contents(path, &s->text, &length, &problem)) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "cannot read: %s", problem->message);
        return false;
    }
    s->store = g_malloc(length + 1);
    return shards_parse(s, length) && shards_ranges(s);
}

static void
shards_clear(shards *s)
{
    for (guint i = 0; i < s->list->len; i++) {
        shards_part *shard = shards_at(s, i);
        g_ptr_array_free(shard->tensors, TRUE);
        moe_safetensors_close(shard->file);
        g_free(shard->path);
    }
    g_array_free(s->list, TRUE);
    g_ptr_array_free(s->whole, TRUE);
    g_hash_table_destroy(s->byname);
    g_free(s->text);
    g_free(s->store);
}

moe_safetensors *
moe_shards_open(const char *path, moe_diag *diag, GError **error)
{
    shards s = {0};
    moe_safetensors *joined = NULL;
    g_autofree char *folder = g_path_get_dirname(path);
    if (shards_read(&s, path, diag, error) && shards_load(&s, folder, error))
        joined = shards_join(&s, path);
    shards_clear(&s);
    return joined;
}

GPtrArray *
moe_shards_paths(const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    shards s = {0};
    if (!moe_shards_is_index(path))
        return NULL;
    g_autofree char *folder = g_path_get_dirname(path);
    bool ok = shards_read(&s, path, diag, NULL);
    GPtrArray *paths = ok ? g_ptr_array_new_with_free_func(g_free) : NULL;
    for (guint i = 0; ok && i < s.list->len; i++)
        g_ptr_array_add(paths, g_build_filename(folder, shards_at(&s, i)->name, NULL));
    shards_clear(&s);
    return paths;
}

char *
moe_shards_hash(const char *path, GError **error)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    shards s = {0};
    if (!moe_shards_is_index(path))
        return moe_sha256_file(path, error);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *folder = g_path_get_dirname(path), *own = moe_sha256_file(path, error);
    bool ok = own && shards_read(&s, path, diag, error);
    g_string_append(text, own ? own : "");
    for (guint i = 0; ok && i < s.list->len; i++) {
        g_autofree char *shard = g_build_filename(folder, shards_at(&s, i)->name, NULL);
        g_autofree char *hash = moe_sha256_file(shard, error);
        ok = hash != NULL;
        g_string_append(text, hash ? hash : "");
    }
    if (s.list)
        shards_clear(&s);
    if (own && !ok && error && !*error)
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "is no index of shards");
    return ok ? moe_sha256_text(text->str, text->len) : NULL;
}
