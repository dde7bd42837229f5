/* O_TMPFILE is of the GNU library's own names. */
#define _GNU_SOURCE

#include "traces/output.h"

#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_BUFFER (256u << 10)

struct moe_output {
    char *path, *temporary; /* temporary: NULL when written in place, or nameless */
    bool nameless;
    int fd;
    int problem; /* errno; 0: none */
    uint8_t *buffer;
    size_t n;
};

/* A file of the same folder that has no name yet: a killed program leaves nothing of it. -1 where
 * there is no such thing, as for any other reason, which the next call will say. */
static int
output_nameless(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (access("/proc/self/fd", X_OK) != 0)
        return -1;
    return open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
}

/* Gives it one, which is nobody's. */
static void
output_name(moe_output *o)
{
    enum { TRIES = 1000 };
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", o->fd);
    for (unsigned i = 0; i < TRIES; i++) {
        g_autofree char *name =
            g_strdup_printf("%s.%06x", o->path, ((unsigned)getpid() + i) & 0xFFFFFFu);
        if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            o->temporary = g_steal_pointer(&name);
            return;
        }
        if (errno != EEXIST)
            break;
    }
    o->problem = errno;
}

moe_output *
moe_output_new(const char *path, GError **error)
{
    struct stat status;
    bool special = stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
    int fd = special ? open(path, O_WRONLY | O_CLOEXEC) : output_nameless(path);
    bool nameless = !special && fd >= 0;
    g_autofree char *temporary = special || nameless ? NULL : g_strconcat(path, ".XXXXXX", NULL);
    if (temporary)
        fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno,
                       special ? "cannot open for writing" : "cannot create");
        return NULL;
    }
    moe_output *o = g_new0(moe_output, 1);
    o->path = g_strdup(path);
    o->temporary = g_steal_pointer(&temporary);
    o->nameless = nameless;
    o->fd = fd;
    o->buffer = g_malloc(OUTPUT_BUFFER);
    return o;
}

static void
output_all(moe_output *o, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n && !o->problem) {
        ssize_t done = write(o->fd, at, MIN(n, 1u << 30));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            o->problem = errno;
            return;
        }
        at += done;
        n -= (size_t)done;
    }
}

static void
output_flush(moe_output *o)
{
    output_all(o, o->buffer, o->n);
    o->n = 0;
}

void
moe_output_write(moe_output *o, const void *bytes, size_t n)
{
    if (n > OUTPUT_BUFFER - o->n)
        output_flush(o);
    if (n >= OUTPUT_BUFFER) {
        output_all(o, bytes, n);
        return;
    }
    memcpy(o->buffer + o->n, bytes, n);
    o->n += n;
}

void
moe_output_text(moe_output *o, const char *text)
{
    moe_output_write(o, text, strlen(text));
}

void
moe_output_format(moe_output *o, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    moe_assert(n >= 0 && (size_t)n < sizeof text, "%d bytes in a line of output", n);
    moe_output_write(o, text, (size_t)n);
}

void
moe_output_at(moe_output *o, uint64_t offset, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n && !o->problem) {
        ssize_t done = pwrite(o->fd, at, MIN(n, 1u << 30), (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            o->problem = errno;
            return;
        }
        at += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
}

bool
moe_output_seekable(const moe_output *o)
{
    return o->nameless || o->temporary;
}

bool
moe_output_failed(const moe_output *o)
{
    return o->problem != 0;
}

/* Makes the rename itself durable; where a folder cannot be synced nothing is lost but that. */
static void
output_sync_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

/* Closes, keeps or removes; false when something failed. */
static bool
output_end(moe_output *o, bool keep)
{
    if (keep)
        output_flush(o);
    if (keep && moe_output_seekable(o) && !o->problem && fsync(o->fd) != 0)
        o->problem = errno;
    if (keep && o->nameless && !o->problem)
        output_name(o);
    if (close(o->fd) != 0 && !o->problem)
        o->problem = errno;
    if (keep && o->temporary && !o->problem && rename(o->temporary, o->path) != 0)
        o->problem = errno;
    if (o->temporary && (!keep || o->problem))
        unlink(o->temporary);
    else if (o->temporary)
        output_sync_folder(o->path);
    return o->problem == 0;
}

static void
output_free(moe_output *o)
{
    g_free(o->path);
    g_free(o->temporary);
    g_free(o->buffer);
    g_free(o);
}

bool
moe_output_finish(moe_output *o, GError **error)
{
    bool ok = output_end(o, true);
    if (!ok)
        moe_error_path(error, MOE_ERROR_FILE, o->path, o->problem, "cannot write");
    output_free(o);
    return ok;
}

void
moe_output_discard(moe_output *o)
{
    if (!o)
        return;
    output_end(o, false);
    output_free(o);
}
