#include "traces/import/mapped.h"

#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPED_CHUNK (256u << 10)

/* ---- a temporary file ---- */

bool
moe_scratch_open(moe_scratch *scratch, const char *folder, GError **error)
{
    g_autofree char *name =
        g_build_filename(folder ? folder : g_get_tmp_dir(), "moesim-import-XXXXXX", NULL);
    *scratch = (moe_scratch){.fd = mkstemp(name)};
    if (scratch->fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, name, errno, "cannot make a temporary file");
        return false;
    }
    unlink(name);
    fcntl(scratch->fd, F_SETFD, FD_CLOEXEC);
    return true;
}

bool
moe_scratch_write(moe_scratch *scratch, const void *bytes, size_t n_bytes, GError **error)
{
    const char *at = bytes;
    for (size_t left = n_bytes; left;) {
        ssize_t n = write(scratch->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            moe_error_path(error, MOE_ERROR_FILE, "temporary file", errno, "cannot write");
            return false;
        }
        at += n;
        left -= (size_t)n;
    }
    scratch->n_bytes += n_bytes;
    return true;
}

void
moe_scratch_close(moe_scratch *scratch)
{
    if (scratch->fd >= 0)
        close(scratch->fd);
    scratch->fd = -1;
}

bool
moe_scratch_map(moe_scratch *scratch, moe_mapped *mapped, GError **error)
{
    *mapped = (moe_mapped){.bytes = (const uint8_t *)"", .n_bytes = (size_t)scratch->n_bytes};
    void *map = mapped->n_bytes
                    ? mmap(NULL, mapped->n_bytes, PROT_READ, MAP_PRIVATE, scratch->fd, 0)
                    : NULL;
    int problem = errno;
    moe_scratch_close(scratch);
    if (map == MAP_FAILED) {
        moe_error_path(error, MOE_ERROR_FILE, "temporary file", problem, "cannot map");
        *mapped = (moe_mapped){0};
        return false;
    }
    mapped->scratch = map;
    if (map)
        mapped->bytes = map;
    return true;
}

/* ---- an input ---- */

void
moe_mapped_close(moe_mapped *mapped)
{
    if (mapped->scratch)
        munmap(mapped->scratch, mapped->n_bytes);
    moe_import_map_close(&mapped->input);
    *mapped = (moe_mapped){0};
}

static bool
mapped_packed(const moe_mapped *mapped)
{
    static const uint8_t gzip[] = {0x1F, 0x8B}, zstd[] = {0x28, 0xB5, 0x2F, 0xFD};
    return mapped->n_bytes >= sizeof zstd && (memcmp(mapped->bytes, gzip, sizeof gzip) == 0 ||
                                              memcmp(mapped->bytes, zstd, sizeof zstd) == 0);
}

/* Packed, or no regular file: through the unpacker into a temporary file. */
static bool
mapped_unpack(moe_mapped *mapped, const moe_import_job *job, size_t i)
{
    g_autoptr(moe_text_source) source = moe_import_open(job, i);
    moe_scratch scratch;
    if (!source || !moe_scratch_open(&scratch, job->options->scratch, job->error))
        return false;
    g_autofree char *chunk = g_malloc(MAPPED_CHUNK);
    const char *damage = NULL;
    size_t n;
    bool ok;
    do
        ok = moe_text_source_read(source, chunk, MAPPED_CHUNK, &n, &damage, job->error) &&
             moe_scratch_write(&scratch, chunk, n, job->error);
    while (ok && n);
    if (ok)
        return moe_scratch_map(&scratch, mapped, job->error);
    moe_scratch_close(&scratch);
    return damage ? moe_import_fail(job, i, "%s", damage) : false;
}

bool
moe_mapped_open(moe_mapped *mapped, const moe_import_job *job, size_t i)
{
    *mapped = (moe_mapped){0};
    if (!moe_import_again(job, i))
        return mapped_unpack(mapped, job, i);
    if (!moe_import_map_open(job, i, &mapped->input))
        return false;
    mapped->bytes = mapped->input.bytes ? mapped->input.bytes : (const uint8_t *)"";
    mapped->n_bytes = mapped->input.n;
    if (!mapped_packed(mapped))
        return true;
    moe_mapped_close(mapped);
    return mapped_unpack(mapped, job, i);
}
