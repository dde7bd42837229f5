#include "profiler/rawread.h"

#include "sim/base/error.h"
#include "traces/index_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct moe_raw_file {
    void *mapping; /* NULL: memory of the caller's */
    const uint8_t *bytes;
    size_t n;
    GArray *chunks; /* moe_raw_chunk */
    moe_raw_ending ending;
    uint64_t unread, odd;
    moe_index_map ids; /* of texts, to indices of: */
    GArray *texts;     /* raw_text */
    GHashTable *hello; /* both owned */
};

typedef struct raw_text {
    const char *text;
    uint32_t bytes;
} raw_text;

/* ---- chunks ---- */

static uint64_t
raw_padded(uint64_t n)
{
    return (n + 7) & ~(uint64_t)7;
}

/* The chunk at `at` is there, whole and undamaged, or what it is instead. */
static moe_raw_ending
raw_chunk(const moe_raw_file *file, size_t at, moe_raw_chunk *chunk)
{
    moe_raw_head head;
    size_t left = file->n - at;
    if (left < sizeof head)
        return MOE_RAW_CUT;
    memcpy(&head, file->bytes + at, sizeof head);
    if (head.magic != MOE_RAW_CHUNK || head.bytes > MOE_RAW_MAX_PAYLOAD)
        return MOE_RAW_DAMAGED;
    if (left - sizeof head < head.bytes)
        return MOE_RAW_CUT;
    *chunk = (moe_raw_chunk){head.type, head.bytes, file->bytes + at + sizeof head};
    return crc32(0, chunk->payload, head.bytes) == head.crc ? MOE_RAW_WHOLE : MOE_RAW_DAMAGED;
}

/* Where the next good chunk begins, from `at` on; the end: there is none. What is summed in vain,
 * of `budget` bytes, is bounded: a file may be made of heads. */
static size_t
raw_next(const moe_raw_file *file, size_t at, size_t *budget)
{
    moe_raw_chunk chunk;
    moe_raw_head head;
    for (; at + sizeof head <= file->n; at += 8) {
        memcpy(&head, file->bytes + at, sizeof head);
        if (head.magic != MOE_RAW_CHUNK || head.bytes > *budget)
            continue;
        if (raw_chunk(file, at, &chunk) == MOE_RAW_WHOLE)
            return at;
        *budget -= head.bytes;
    }
    return file->n;
}

static void
raw_find_chunks(moe_raw_file *file)
{
    size_t at = strlen(MOE_RAW_MAGIC);
    if (file->n < at || memcmp(file->bytes, MOE_RAW_MAGIC, at) != 0) {
        /* a beginning of the magic is all that a process left which was killed at once */
        bool cut = file->n < at && (file->n == 0 || !memcmp(file->bytes, MOE_RAW_MAGIC, file->n));
        file->ending = cut ? MOE_RAW_CUT : MOE_RAW_FOREIGN;
        file->unread = file->n;
        return;
    }
    for (size_t budget = file->n; at < file->n;) {
        moe_raw_chunk chunk;
        moe_raw_ending is = raw_chunk(file, at, &chunk);
        if (is == MOE_RAW_WHOLE) {
            g_array_append_val(file->chunks, chunk);
            /* the padding of the last chunk may be missing: nothing is lost with it */
            at += MIN(file->n - at, sizeof(moe_raw_head) + (size_t)raw_padded(chunk.bytes));
            continue;
        }
        size_t good = raw_next(file, MIN(at + 8, file->n), &budget);
        bool last = good == file->n && file->ending != MOE_RAW_DAMAGED;
        file->ending = last ? is : MOE_RAW_DAMAGED;
        file->unread += good - at;
        at = good;
    }
}

/* ---- texts ---- */

static void
raw_strings(moe_raw_file *file, const moe_raw_chunk *chunk)
{
    size_t at = 0;
    while (at < chunk->bytes) {
        moe_raw_string head;
        if (chunk->bytes - at < sizeof head) {
            file->odd++;
            return;
        }
        memcpy(&head, chunk->payload + at, sizeof head);
        at += sizeof head;
        if (head.bytes > chunk->bytes - at) {
            file->odd++;
            return;
        }
        raw_text text = {(const char *)chunk->payload + at, head.bytes};
        uint32_t known = file->ids.n;
        uint32_t index = head.id ? moe_index_map_add(&file->ids, head.id) : MOE_NONE;
        if (index == known)
            g_array_append_val(file->texts, text);
        else
            file->odd++;
        at += (size_t)MIN(raw_padded(head.bytes), chunk->bytes - at);
    }
}

static void
raw_hello(moe_raw_file *file, const moe_raw_chunk *chunk)
{
    g_autofree char *text = g_strndup((const char *)chunk->payload, chunk->bytes);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        char *equals = strchr(lines[i], '=');
        if (equals)
            g_hash_table_replace(file->hello, g_strndup(lines[i], (gsize)(equals - lines[i])),
                                 g_utf8_make_valid(equals + 1, -1));
        else if (*lines[i])
            file->odd++;
    }
}

static void
raw_read(moe_raw_file *file)
{
    file->chunks = g_array_new(FALSE, FALSE, sizeof(moe_raw_chunk));
    file->texts = g_array_new(FALSE, FALSE, sizeof(raw_text));
    file->hello = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    raw_find_chunks(file);
    for (guint i = 0; i < file->chunks->len; i++) {
        const moe_raw_chunk *chunk = &g_array_index(file->chunks, moe_raw_chunk, i);
        if (chunk->type == MOE_RAW_STRINGS)
            raw_strings(file, chunk);
        else if (chunk->type == MOE_RAW_HELLO)
            raw_hello(file, chunk);
    }
}

/* ---- life ---- */

moe_raw_file *
moe_rawread_open_memory(const void *bytes, size_t n)
{
    moe_raw_file *file = g_new0(moe_raw_file, 1);
    file->bytes = bytes;
    file->n = n;
    raw_read(file);
    return file;
}

moe_raw_file *
moe_rawread_open(const char *path, GError **error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot be opened");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    size_t n = S_ISREG(status.st_mode) ? (size_t)status.st_size : 0;
    void *mapping = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int problem = mapping == MAP_FAILED ? errno : 0;
    close(fd);
    if (problem || !S_ISREG(status.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, path, problem,
                       problem ? "cannot be mapped" : "is not a regular file");
        return NULL;
    }
    moe_raw_file *file = moe_rawread_open_memory(mapping, n);
    file->mapping = mapping;
    return file;
}

void
moe_rawread_close(moe_raw_file *file)
{
    if (!file)
        return;
    if (file->mapping)
        munmap(file->mapping, file->n);
    g_array_unref(file->chunks);
    g_array_unref(file->texts);
    g_hash_table_unref(file->hello);
    moe_index_map_clear(&file->ids);
    g_free(file);
}

/* ---- what is in it ---- */

const moe_raw_chunk *
moe_rawread_chunks(const moe_raw_file *file, size_t *n)
{
    *n = file->chunks->len;
    return (const moe_raw_chunk *)(const void *)file->chunks->data;
}

moe_raw_ending
moe_rawread_end(const moe_raw_file *file, uint64_t *bytes)
{
    if (bytes)
        *bytes = file->unread;
    return file->ending;
}

uint64_t
moe_rawread_odd(const moe_raw_file *file)
{
    return file->odd;
}

const char *
moe_rawread_text(const moe_raw_file *file, uint32_t id, size_t *n)
{
    *n = 0;
    if (id == 0 || file->ids.n == 0)
        return NULL;
    uint32_t index = file->ids.values[moe_index_map_slot(&file->ids, id)];
    if (index == MOE_NONE)
        return NULL;
    const raw_text *text = &g_array_index(file->texts, raw_text, index);
    *n = text->bytes;
    return text->text;
}

const char *
moe_rawread_hello(const moe_raw_file *file, const char *key)
{
    return g_hash_table_lookup(file->hello, key);
}
