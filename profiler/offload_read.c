/* O_DIRECT is of the GNU library's own names. */
#define _GNU_SOURCE

#include "profiler/offload_read.h"

#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 4096u  /* of offsets, lengths and memory of direct reads */
#define PIECE (1u << 20) /* bytes read at a time */

typedef struct reader_file {
    char *path;
    int direct, plain; /* -1: not open */
} reader_file;

struct moe_reader {
    GArray *files;   /* of reader_file */
    uint8_t *bounce; /* aligned: direct reads land here first */
    bool direct;
};

moe_reader *
moe_reader_new(void)
{
    moe_reader *reader = g_new0(moe_reader, 1);
    reader->files = g_array_new(FALSE, FALSE, sizeof(reader_file));
    reader->direct = true;
    void *bounce = NULL;
    if (posix_memalign(&bounce, ALIGNMENT, PIECE + 2 * ALIGNMENT) == 0)
        reader->bounce = bounce;
    return reader;
}

void
moe_reader_free(moe_reader *reader)
{
    if (!reader)
        return;
    for (guint i = 0; i < reader->files->len; i++) {
        reader_file *file = &g_array_index(reader->files, reader_file, i);
        if (file->direct >= 0)
            close(file->direct);
        if (file->plain >= 0)
            close(file->plain);
        g_free(file->path);
    }
    g_array_free(reader->files, TRUE);
    free(reader->bounce);
    g_free(reader);
}

bool
moe_reader_direct(const moe_reader *reader)
{
    return reader->direct;
}

static bool
fail(const char *path, GError **error)
{
    moe_error_path(error, MOE_ERROR_FILE, path, errno, "an expert cannot be read");
    return false;
}

/* -1 with `error`: there is none, or another than was mapped. */
static int
open_file(const moe_span *span, int how, GError **error)
{
    int file = open(span->path, O_RDONLY | O_CLOEXEC | how);
    struct stat now;
    if (file < 0 || fstat(file, &now) != 0) {
        fail(span->path, error);
    } else if (span->stamp && ((uint64_t)now.st_dev != span->stamp->device ||
                               (uint64_t)now.st_ino != span->stamp->inode ||
                               (uint64_t)now.st_size != span->stamp->bytes)) {
        moe_error_path(error, MOE_ERROR_FILE, span->path, 0,
                       "is another file than the one that was opened, or of another length: it was "
                       "replaced while it was in use");
    } else {
        return file;
    }
    if (file >= 0)
        close(file);
    return -1;
}

/* The file of a span, opened when it is met first; NULL with `error`. */
static reader_file *
find_file(moe_reader *reader, const moe_span *span, GError **error)
{
    for (guint i = 0; i < reader->files->len; i++) {
        reader_file *file = &g_array_index(reader->files, reader_file, i);
        if (!strcmp(file->path, span->path))
            return file;
    }
    reader_file file = {.plain = open_file(span, 0, error), .direct = -1};
    if (file.plain < 0)
        return NULL;
    if (reader->bounce)
        file.direct = open_file(span, O_DIRECT, NULL);
    file.path = g_strdup(span->path);
    g_array_append_val(reader->files, file);
    return &g_array_index(reader->files, reader_file, reader->files->len - 1);
}

bool
moe_reader_open(moe_reader *reader, const moe_span *spans, size_t n, GError **error)
{
    for (size_t i = 0; i < n; i++)
        if (!find_file(reader, &spans[i], error))
            return false;
    return true;
}

/* Up to n bytes at an offset, as far as the file goes; -1 with errno. Direct reads are of so many
 * whole blocks that only the file's end makes one short. */
static ssize_t
read_at(int file, bool direct, uint8_t *out, size_t n, uint64_t offset)
{
    size_t done = 0;
    while (done < n && (!direct || done % ALIGNMENT == 0)) {
        ssize_t got = pread(file, out + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* n <= PIECE bytes past the page cache. Returns how many the file has of them, -1 with errno. */
static ssize_t
read_direct(moe_reader *reader, const reader_file *file, uint8_t *out, size_t n, uint64_t offset)
{
    size_t lead = offset % ALIGNMENT;
    size_t whole = (lead + n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ssize_t got = read_at(file->direct, true, reader->bounce, whole, offset - lead);
    if (got < 0)
        return -1;
    size_t usable = (size_t)got > lead ? (size_t)got - lead : 0;
    usable = MIN(usable, n);
    memcpy(out, reader->bounce + lead, usable);
    return (ssize_t)usable;
}

/* Through the page cache, from which the bytes are dropped again. */
static ssize_t
read_plain(const reader_file *file, uint8_t *out, size_t n, uint64_t offset)
{
    ssize_t got = read_at(file->plain, false, out, n, offset);
    int problem = errno;
    posix_fadvise(file->plain, (off_t)offset, (off_t)n, POSIX_FADV_DONTNEED);
    errno = problem;
    return got;
}

static bool
read_piece(moe_reader *reader, reader_file *file, uint8_t *out, size_t n, uint64_t offset,
           GError **error)
{
    ssize_t got = -1;
    if (file->direct >= 0) {
        got = read_direct(reader, file, out, n, offset);
        if (got < 0 && errno == EINVAL) { /* the file system would not */
            close(file->direct);
            file->direct = -1;
        } else if (got < 0)
            return fail(file->path, error);
    }
    if (file->direct < 0) {
        reader->direct = false;
        got = read_plain(file, out, n, offset);
        if (got < 0)
            return fail(file->path, error);
    }
    if ((size_t)got == n)
        return true;
    moe_error_path(error, MOE_ERROR_FILE, file->path, 0,
                   "ends at byte %llu, but an expert has bytes up to %llu: it was cut short while "
                   "it was in use",
                   (unsigned long long)(offset + (uint64_t)got), (unsigned long long)(offset + n));
    return false;
}

bool
moe_reader_read(moe_reader *reader, const moe_span *spans, size_t n, void *out, GError **error)
{
    uint8_t *at = out;
    for (size_t i = 0; i < n; i++) {
        reader_file *file = find_file(reader, &spans[i], error);
        if (!file)
            return false;
        for (uint64_t done = 0; done < spans[i].bytes;) {
            size_t piece = (size_t)MIN(spans[i].bytes - done, PIECE);
            if (!read_piece(reader, file, at, piece, spans[i].offset + done, error))
                return false;
            done += piece;
            at += piece;
        }
    }
    return true;
}
