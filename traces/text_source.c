#include "traces/text_source.h"

#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SOURCE_CHUNK (256u << 10)

typedef enum source_kind { SOURCE_PLAIN, SOURCE_GZIP, SOURCE_ZSTD } source_kind;

struct moe_text_source {
    char *path;
    int fd; /* -1: memory */
    source_kind kind;
    const uint8_t *in; /* packed bytes not yet consumed */
    size_t n_in;
    bool ended;  /* nothing follows `in` */
    bool inside; /* a gzip member or zstd frame is open */
    uint8_t *chunk;
    z_stream gzip;
    bool gzip_open;
    ZSTD_DStream *zstd;
    double consumed, total;
};

/* Makes sure that packed bytes are there, or that `ended` is set. */
static bool
source_fill(moe_text_source *s, GError **error)
{
    if (s->n_in || s->ended)
        return true;
    ssize_t n;
    do
        n = read(s->fd, s->chunk, SOURCE_CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        moe_error_path(error, MOE_ERROR_FILE, s->path, errno, "cannot read");
        return false;
    }
    s->in = s->chunk;
    s->n_in = (size_t)n;
    s->ended = n == 0;
    return true;
}

static void
source_detect(moe_text_source *s)
{
    static const uint8_t gzip[] = {0x1F, 0x8B}, zstd[] = {0x28, 0xB5, 0x2F, 0xFD};
    if (s->n_in >= sizeof gzip && memcmp(s->in, gzip, sizeof gzip) == 0)
        s->kind = SOURCE_GZIP;
    else if (s->n_in >= sizeof zstd && memcmp(s->in, zstd, sizeof zstd) == 0)
        s->kind = SOURCE_ZSTD;
    if (s->kind == SOURCE_GZIP)
        s->gzip_open = inflateInit2(&s->gzip, 16 + MAX_WBITS) == Z_OK;
    if (s->kind == SOURCE_ZSTD)
        s->zstd = ZSTD_createDStream();
}

moe_text_source *
moe_text_source_open(const char *path, GError **error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot open");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    moe_text_source *s = g_new0(moe_text_source, 1);
    s->path = g_strdup(path);
    s->fd = fd;
    s->total = S_ISREG(status.st_mode) ? (double)status.st_size : 0;
    s->chunk = g_malloc(SOURCE_CHUNK);
    if (!source_fill(s, error)) {
        moe_text_source_close(s);
        return NULL;
    }
    source_detect(s);
    return s;
}

moe_text_source *
moe_text_source_memory(const char *name, const void *bytes, size_t n_bytes)
{
    moe_text_source *s = g_new0(moe_text_source, 1);
    s->path = g_strdup(name);
    s->fd = -1;
    s->in = bytes;
    s->n_in = n_bytes;
    s->ended = true;
    s->total = (double)n_bytes;
    source_detect(s);
    return s;
}

void
moe_text_source_close(moe_text_source *s)
{
    if (!s)
        return;
    if (s->gzip_open)
        inflateEnd(&s->gzip);
    ZSTD_freeDStream(s->zstd);
    if (s->fd >= 0)
        close(s->fd);
    g_free(s->chunk);
    g_free(s->path);
    g_free(s);
}

static void
source_consume(moe_text_source *s, size_t n)
{
    s->in += n;
    s->n_in -= n;
    s->consumed += (double)n;
}

/* One step of unpacking each: *n bytes come out, possibly none; the damage, or NULL. */
static const char *
source_plain(moe_text_source *s, char *buffer, size_t max, size_t *n)
{
    *n = MIN(s->n_in, max);
    memcpy(buffer, s->in, *n);
    source_consume(s, *n);
    return NULL;
}

static const char *
source_gzip(moe_text_source *s, char *buffer, size_t max, size_t *n)
{
    if (!s->gzip_open)
        return "no memory to unpack gzip";
    if (!s->inside) {
        if (inflateReset(&s->gzip) != Z_OK)
            return "gzip stream cannot be reset";
        s->inside = true;
    }
    uInt given = (uInt)MIN(s->n_in, 1u << 30), room = (uInt)MIN(max, 1u << 30);
    s->gzip.next_in = (Bytef *)(uintptr_t)s->in;
    s->gzip.avail_in = given;
    s->gzip.next_out = (Bytef *)buffer;
    s->gzip.avail_out = room;
    int result = inflate(&s->gzip, Z_NO_FLUSH);
    *n = room - s->gzip.avail_out;
    source_consume(s, given - s->gzip.avail_in);
    if (result == Z_STREAM_END)
        s->inside = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return "damaged gzip data";
    return NULL;
}

static const char *
source_zstd(moe_text_source *s, char *buffer, size_t max, size_t *n)
{
    if (!s->zstd)
        return "no memory to unpack zstd";
    ZSTD_inBuffer in = {s->in, s->n_in, 0};
    ZSTD_outBuffer out = {buffer, max, 0};
    size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
    *n = out.pos;
    source_consume(s, in.pos);
    if (ZSTD_isError(left))
        return "damaged zstd data";
    s->inside = left != 0;
    return NULL;
}

bool
moe_text_source_read(moe_text_source *s, char *buffer, size_t max, size_t *n, const char **damage,
                     GError **error)
{
    static const char *(*const unpack[])(moe_text_source *, char *, size_t, size_t *) = {
        [SOURCE_PLAIN] = source_plain,
        [SOURCE_GZIP] = source_gzip,
        [SOURCE_ZSTD] = source_zstd,
    };
    *n = 0;
    *damage = NULL;
    while (*n == 0) {
        if (!source_fill(s, error))
            return false;
        /* at the end of the input a stream may still hold unpacked bytes */
        bool last = s->n_in == 0;
        if (last && !s->inside)
            return true;
        *damage = unpack[s->kind](s, buffer, max, n);
        if (!*damage && last && *n == 0 && s->inside)
            *damage = s->kind == SOURCE_GZIP ? "gzip data ends early" : "zstd data ends early";
        if (*damage)
            return false;
    }
    return true;
}

void
moe_text_source_progress(const moe_text_source *s, double *done, double *total)
{
    *done = s->consumed;
    *total = s->total;
}
