#include "traces/safetensors.h"

#include "sim/base/error.h"
#include "traces/safetensors_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

struct moe_safetensors {
    char *path;
    void *map; /* NULL: the bytes are somebody else's */
    size_t map_bytes;
    moe_file_stamp stamp; /* of what is mapped */
    size_t data_start;
    moe_safetensors_header header;
    const moe_tensor **by_name;
    const moe_meta **meta_by_key;
    moe_safetensors *first;    /* joined: what names and metadata are borrowed from */
    moe_safetensors_map *maps; /* joined: of each tensor */
};

bool
moe_tensor_aligned(const moe_tensor *tensor)
{
    unsigned bits = moe_tensor_type_bits(tensor->type);
    return bits <= 8 || (uintptr_t)tensor->data % (bits / 8) == 0;
}

char *
moe_tensor_shape_text(const moe_tensor *tensor)
{
    GString *text = g_string_new(moe_tensor_type_name(tensor->type));
    g_string_append(text, " [");
    for (uint32_t i = 0; i < tensor->rank; i++)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i ? ", " : "", tensor->shape[i]);
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static int
safetensors_by_offset(const void *a, const void *b)
{
    const moe_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Data in order: no overlap, no hole, nothing before, beyond or behind. */
static void
safetensors_check_layout(moe_safetensors *file, uint64_t data_bytes, moe_loc loc, moe_diag *diag)
{
    moe_safetensors_header *h = &file->header;
    uint64_t at = 0;
    const char *before = NULL;
    if (h->n_tensors)
        qsort(h->tensors, h->n_tensors, sizeof *h->tensors, safetensors_by_offset);
    for (size_t i = 0; i < h->n_tensors; i++) {
        const moe_tensor *t = &h->tensors[i];
        if (t->offset > data_bytes || t->bytes > data_bytes - t->offset) {
            moe_diag_error(diag, loc,
                           "tensor %.100s: data up to byte %" G_GUINT64_FORMAT
                           ", but the file holds %" G_GUINT64_FORMAT " bytes of data (cut short?)",
                           t->name, t->offset + t->bytes, data_bytes);
            return;
        }
        if (t->offset < at) {
            moe_diag_error(diag, loc, "tensor %.100s: its data overlaps that of %.100s", t->name,
                           before);
            return;
        }
        if (t->offset > at) {
            moe_diag_error(diag, loc,
                           "tensor %.100s: hole of %" G_GUINT64_FORMAT " bytes before its data",
                           t->name, t->offset - at);
            return;
        }
        at += t->bytes;
        before = t->name;
    }
    if (at != data_bytes)
        moe_diag_error(diag, loc, "%" G_GUINT64_FORMAT " bytes behind the last tensor",
                       data_bytes - at);
}

static int
safetensors_name_order(const void *a, const void *b)
{
    return strcmp((*(const moe_tensor *const *)a)->name, (*(const moe_tensor *const *)b)->name);
}

static int
safetensors_key_order(const void *a, const void *b)
{
    return strcmp((*(const moe_meta *const *)a)->key, (*(const moe_meta *const *)b)->key);
}

/* Sorted views for look-ups; names that occur twice are found on the way. */
static void
safetensors_index(moe_safetensors *file, moe_loc loc, moe_diag *diag)
{
    const moe_safetensors_header *h = &file->header;
    file->by_name = g_try_new(const moe_tensor *, h->n_tensors + 1);
    file->meta_by_key = g_try_new(const moe_meta *, h->n_meta + 1);
    if (!file->by_name || !file->meta_by_key) {
        moe_diag_error(diag, loc, "no memory for an index of %zu tensors", h->n_tensors);
        return;
    }
    for (size_t i = 0; i < h->n_tensors; i++)
        file->by_name[i] = &h->tensors[i];
    for (size_t i = 0; i < h->n_meta; i++)
        file->meta_by_key[i] = &h->meta[i];
    qsort(file->by_name, h->n_tensors, sizeof *file->by_name, safetensors_name_order);
    qsort(file->meta_by_key, h->n_meta, sizeof *file->meta_by_key, safetensors_key_order);
    for (size_t i = 1; i < h->n_tensors; i++) {
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            moe_diag_error(diag, loc, "tensor %.100s: written twice", file->by_name[i]->name);
    }
    for (size_t i = 1; i < h->n_meta; i++) {
        if (strcmp(file->meta_by_key[i - 1]->key, file->meta_by_key[i]->key) == 0)
            moe_diag_error(diag, loc, "metadata key %.100s: written twice",
                           file->meta_by_key[i]->key);
    }
}

/* What a file is that somebody takes for a trace, from its beginning; NULL: nothing known. Gzip's
 * first 8 bytes can be a small number, but then no JSON follows. */
static const char *
safetensors_other(const uint8_t *bytes, size_t n_bytes)
{
    static const uint8_t gzip[] = {0x1F, 0x8B, 0x08}, zstd[] = {0x28, 0xB5, 0x2F, 0xFD};
    if (memcmp(bytes, gzip, sizeof gzip) == 0 && (n_bytes == 8 || bytes[8] != '{'))
        return "gzip";
    if (memcmp(bytes, zstd, sizeof zstd) == 0)
        return "zstd";
    for (int i = 0; i < 8; i++)
        if ((bytes[i] < 0x20 && !strchr("\t\r\n", bytes[i])) || bytes[i] >= 0x7F || !bytes[i])
            return NULL;
    return "CSV or other text";
}

/* The header's length, from the first 8 bytes; false after a message. */
static bool
safetensors_header_length(const uint8_t *bytes, size_t n_bytes, moe_loc loc, moe_diag *diag,
                          uint64_t *length)
{
    if (n_bytes < 8) {
        moe_diag_error(diag, loc,
                       "no safetensors file: %zu bytes, shorter than the header's length", n_bytes);
        return false;
    }
    const char *other = safetensors_other(bytes, n_bytes);
    if (other) {
        moe_diag_error(diag, loc,
                       "no safetensors file: this looks like %s; `moesim trace import` makes a "
                       "trace from CSV, compressed or not",
                       other);
        return false;
    }
    memcpy(length, bytes, 8);
    if (*length > MOE_SAFETENSORS_MAX_HEADER) {
        moe_diag_error(diag, loc,
                       "no safetensors file: it asks for a header of %" G_GUINT64_FORMAT
                       " bytes (at most 100 MiB)",
                       *length);
        return false;
    }
    if (*length > n_bytes - 8) {
        moe_diag_error(diag, loc,
                       "header of %" G_GUINT64_FORMAT
                       " bytes, but the file ends after %zu (cut short?)",
                       *length, n_bytes - 8);
        return false;
    }
    return true;
}

/* Fills the file from its bytes; false after a message. */
static bool
safetensors_read(moe_safetensors *file, const uint8_t *bytes, size_t n_bytes, moe_diag *diag)
{
    moe_loc loc = {.file = moe_diag_intern(diag, file->path)};
    moe_safetensors_header *h = &file->header;
    uint64_t length;
    if (!safetensors_header_length(bytes, n_bytes, loc, diag, &length) ||
        !moe_safetensors_header_parse(h, loc.file, (const char *)bytes + 8, (size_t)length, diag))
        return false;
    unsigned before = moe_diag_errors(diag);
    safetensors_check_layout(file, n_bytes - 8 - length, loc, diag);
    safetensors_index(file, loc, diag);
    if (moe_diag_errors(diag) != before)
        return false;
    file->data_start = 8 + (size_t)length;
    for (size_t i = 0; i < h->n_tensors; i++)
        h->tensors[i].data = bytes + file->data_start + h->tensors[i].offset;
    return true;
}

moe_safetensors *
moe_safetensors_parse(const char *name, const void *bytes, size_t n_bytes, moe_diag *diag)
{
    moe_safetensors *file = g_new0(moe_safetensors, 1);
    file->path = g_strdup(name);
    if (safetensors_read(file, bytes, n_bytes, diag))
        return file;
    moe_safetensors_close(file);
    return NULL;
}

/* Maps a whole regular file. An empty one gives a map of NULL. */
static bool
safetensors_map(const char *path, void **map, moe_file_stamp *stamp, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot open");
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "is not a regular file");
        close(fd);
        return false;
    }
    size_t n_bytes = (size_t)status.st_size;
    *stamp = (moe_file_stamp){(uint64_t)status.st_dev, (uint64_t)status.st_ino, n_bytes};
    *map = n_bytes ? mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int problem = errno;
    close(fd);
    if (*map == MAP_FAILED) {
        moe_error_path(error, MOE_ERROR_FILE, path, problem, "cannot map %zu bytes", n_bytes);
        return false;
    }
    return true;
}

moe_safetensors *
moe_safetensors_open(const char *path, moe_diag *diag, GError **error)
{
    void *map;
    moe_file_stamp stamp;
    if (!safetensors_map(path, &map, &stamp, error))
        return NULL;
    moe_safetensors *file = g_new0(moe_safetensors, 1);
    file->path = g_strdup(path);
    file->map = map;
    file->map_bytes = (size_t)stamp.bytes;
    file->stamp = stamp;
    if (safetensors_read(file, map, file->map_bytes, diag))
        return file;
    moe_safetensors_close(file);
    return NULL;
}

moe_safetensors *
moe_safetensors_join(const char *path, moe_safetensors *first, uint64_t n_rows,
                     const moe_safetensors_map *maps, moe_diag *diag)
{
    moe_safetensors *file = g_new0(moe_safetensors, 1);
    moe_safetensors_header *h = &file->header;
    const moe_safetensors_header *from = &first->header;
    unsigned before = moe_diag_errors(diag);
    file->path = g_strdup(path);
    file->first = first;
    file->maps = g_memdup2(maps, from->n_tensors * sizeof *maps);
    h->n_tensors = from->n_tensors;
    h->tensors = g_memdup2(from->tensors, from->n_tensors * sizeof *from->tensors);
    h->n_meta = from->n_meta;
    h->meta = g_memdup2(from->meta, from->n_meta * sizeof *from->meta);
    uint64_t at = 0;
    for (size_t i = 0; i < h->n_tensors; i++) {
        moe_tensor *t = &h->tensors[i];
        if (maps[i].bytes) {
            t->n_elements = t->n_elements / MAX(t->shape[0], 1) * n_rows;
            t->bytes = t->bytes / MAX(t->shape[0], 1) * n_rows;
            t->shape[0] = n_rows;
            t->data = maps[i].data;
        }
        t->offset = at;
        at += t->bytes;
    }
    safetensors_index(file, (moe_loc){.file = moe_diag_intern(diag, path)}, diag);
    if (moe_diag_errors(diag) == before)
        return file;
    moe_safetensors_close(file);
    return NULL;
}

void
moe_safetensors_close(moe_safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; file->maps && i < file->header.n_tensors; i++)
        if (file->maps[i].data)
            munmap(file->maps[i].data, file->maps[i].bytes);
    g_free(file->maps);
    moe_safetensors_close(file->first);
    if (file->map)
        munmap(file->map, file->map_bytes);
    moe_safetensors_header_clear(&file->header);
    g_free(file->by_name);
    g_free(file->meta_by_key);
    g_free(file->path);
    g_free(file);
}

size_t
moe_safetensors_data_start(const moe_safetensors *file)
{
    return file->data_start;
}

const char *
moe_safetensors_path(const moe_safetensors *file)
{
    return file->path;
}

const moe_file_stamp *
moe_safetensors_stamp(const moe_safetensors *file)
{
    return &file->stamp;
}

size_t
moe_safetensors_count(const moe_safetensors *file)
{
    return file->header.n_tensors;
}

const moe_tensor *
moe_safetensors_at(const moe_safetensors *file, size_t i)
{
    return &file->header.tensors[i];
}

const moe_tensor *
moe_safetensors_find(const moe_safetensors *file, const char *name)
{
    moe_tensor key = {.name = name};
    const moe_tensor *wanted = &key;
    const moe_tensor **found = bsearch(&wanted, file->by_name, file->header.n_tensors,
                                       sizeof *file->by_name, safetensors_name_order);
    return found ? *found : NULL;
}

size_t
moe_safetensors_meta_count(const moe_safetensors *file)
{
    return file->header.n_meta;
}

const char *
moe_safetensors_meta_at(const moe_safetensors *file, size_t i, const char **value)
{
    *value = file->header.meta[i].value;
    return file->header.meta[i].key;
}

const char *
moe_safetensors_meta(const moe_safetensors *file, const char *key)
{
    moe_meta pair = {.key = key};
    const moe_meta *wanted = &pair;
    const moe_meta **found = bsearch(&wanted, file->meta_by_key, file->header.n_meta,
                                     sizeof *file->meta_by_key, safetensors_key_order);
    return found ? (*found)->value : NULL;
}

bool
moe_safetensors_expect(const moe_safetensors *file, const char *format, const char *version,
                       const char *what, moe_diag *diag)
{
    const char *its_format = moe_safetensors_meta(file, "format");
    const char *its_version = moe_safetensors_meta(file, "version");
    moe_loc loc = {.file = moe_diag_intern(diag, file->path)};
    if (!its_format || strcmp(its_format, format) != 0) {
        moe_diag_error(diag, loc, "no %s: metadata 'format' is %s%.40s%s, not '%s'", what,
                       its_format ? "'" : "", its_format ? its_format : "absent",
                       its_format ? "'" : "", format);
        return false;
    }
    if (!its_version || strcmp(its_version, version) != 0) {
        moe_diag_error(diag, loc, "metadata 'version' is '%.40s'; this program reads version %s",
                       its_version ? its_version : "", version);
        return false;
    }
    return true;
}
