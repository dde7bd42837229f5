/* A disk, read at random places by several threads.
 *
 * The file loses its name before the first byte is written: whatever ends the process ends it. Its
 * contents are random, so that no drive can compress them. */
/* O_DIRECT is of the GNU library's own names. */
#define _GNU_SOURCE

#include "profiler/measure.h"

#include "profiler/cpu/threads.h"
#include "sim/base/error.h"
#include "sim/base/random.h"
#include "sim/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ALIGNMENT 4096u
#define SMALLEST 4096u
#define PIECE (8u << 20) /* written at a time */
/* The file: a quarter of what is free, no more than MOST; of less than LEAST nothing is learnt. */
#define MOST_FILE (1ull << 30)
#define LEAST_FILE (64ull << 20)
/* Of the time, for writing it. */
#define WRITE_SHARE 0.2
#define MOST_IN_FLIGHT (128ull << 20)
/* A point may always take so long. */
#define LEAST_SECONDS 0.05
enum { TIMES = 3, MOST_WRITES = 256 };

typedef struct disk {
    int file;
    uint64_t bytes;
    moe_measured_disk *out;
    const char *folder;
    moe_threads *threads;
    uint8_t *buffers; /* `request` bytes for each thread */
    moe_stream *places;
    uint64_t request;
    uint32_t depth;
    double until;
    atomic_uint_fast64_t done; /* bytes */
    atomic_int problem;        /* errno of the first read that failed */
} disk;

/* ---- the file ---- */

uint64_t
moe_measure_disk_size(uint64_t available)
{
    uint64_t size = MIN(available / 4, MOST_FILE) / PIECE * PIECE;
    return size >= LEAST_FILE ? size : 0;
}

/* tmpfs and ramfs. */
static bool
is_in_memory(const char *folder)
{
    struct statfs fs;
    return statfs(folder, &fs) == 0 && (fs.f_type == 0x01021994 || fs.f_type == 0x858458f6);
}

static bool
fail(const disk *d, GError **error, int problem, const char *what)
{
    moe_error_path(error, MOE_ERROR_FILE, d->folder, problem, "%s", what);
    return false;
}

static bool
look_at_folder(disk *d, GError **error)
{
    struct stat at;
    struct statvfs fs;
    if (stat(d->folder, &at) != 0)
        return fail(d, error, errno, "no disk is measured here");
    if (S_ISBLK(at.st_mode) || S_ISCHR(at.st_mode))
        return fail(d, error, 0,
                    "is a device; name a folder on it: a file of its own is read, never a device");
    if (!S_ISDIR(at.st_mode))
        return fail(d, error, 0, "is a file; name a folder: a file of its own is read there");
    if (statvfs(d->folder, &fs) != 0)
        return fail(d, error, errno, "no disk is measured here");
    d->out->in_memory = is_in_memory(d->folder);
    d->out->capacity = (uint64_t)fs.f_blocks * fs.f_frsize;
    d->out->available = (uint64_t)fs.f_bavail * fs.f_frsize;
    d->bytes = moe_measure_disk_size(d->out->available);
    if (d->bytes)
        return true;
    g_autofree char *room = moe_format_bytes((int64_t)MIN(d->out->available, INT64_MAX));
    g_autofree char *least = moe_format_bytes(4 * (int64_t)LEAST_FILE);
    moe_error_path(error, MOE_ERROR_FILE, d->folder, 0,
                   "only %s are free, and %s are wanted to measure a disk", room, least);
    return false;
}

/* Without a name, open. */
static bool
open_file(disk *d, GError **error)
{
    g_autofree char *path = g_build_filename(d->folder, ".moesim-probe-XXXXXX", NULL);
    d->file = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (d->file < 0)
        return fail(d, error, errno, "a file to measure with cannot be made");
    if (unlink(path) != 0)
        return fail(d, error, errno, "the file to measure with cannot be taken away again");
    int flags = fcntl(d->file, F_GETFL);
    d->out->direct = flags >= 0 && fcntl(d->file, F_SETFL, flags | O_DIRECT) == 0;
    return true;
}

/* The system may take the flag and refuse the read or the write. */
static bool
without_direct(disk *d)
{
    int flags = fcntl(d->file, F_GETFL);
    if (!d->out->direct || errno != EINVAL || flags < 0)
        return false;
    d->out->direct = false;
    return fcntl(d->file, F_SETFL, flags & ~O_DIRECT) == 0;
}

static bool
write_piece(disk *d, const uint8_t *bytes, uint64_t offset)
{
    for (size_t done = 0; done < PIECE;) {
        ssize_t n = pwrite(d->file, bytes + done, PIECE - done, (off_t)(offset + done));
        if (n < 0 && (errno == EINTR || without_direct(d)))
            continue;
        if (n < 0)
            return false;
        if (n == 0) {
            errno = ENOSPC;
            return false;
        }
        done += (size_t)n;
    }
    return fdatasync(d->file) == 0;
}

/* As much of the file as there is time for: a piece after the other, each of them synced. */
static bool
write_file(const moe_measure *how, disk *d, GError **error)
{
    moe_stream random = moe_stream_new(1, "probe", 0);
    uint64_t *piece = aligned_alloc(ALIGNMENT, PIECE);
    double rates[MOST_WRITES], all = moe_measure_time(how, 1);
    uint32_t n = 0;
    uint64_t offset = 0;
    bool good = piece != NULL;

    for (; good && offset + PIECE <= d->bytes && n < MOST_WRITES; offset += PIECE) {
        double share = all > 0 ? 1 - moe_measure_time(how, 1) / all : 1;
        if (offset >= LEAST_FILE && share > WRITE_SHARE)
            break;
        moe_measure_say(how, "disk, writing a file", MIN(share, WRITE_SHARE));
        for (size_t i = 0; i < PIECE / sizeof *piece; i++)
            piece[i] = moe_stream_next(&random);
        double start = moe_measure_now();
        good = write_piece(d, (const uint8_t *)piece, offset);
        rates[n++] = PIECE / (moe_measure_now() - start);
    }
    int problem = piece ? errno : ENOMEM;
    free(piece);
    if (!good)
        return fail(d, error, problem, "the file to measure with cannot be written");
    d->out->file = d->bytes = offset;
    d->out->write = moe_spread_of(rates, n);
    return true;
}

/* ---- reads ---- */

/* One request; false with errno. */
static bool
read_request(disk *d, uint8_t *out, uint64_t offset)
{
    if (!d->out->direct)
        posix_fadvise(d->file, (off_t)offset, (off_t)d->request, POSIX_FADV_DONTNEED);
    for (uint64_t done = 0; done < d->request;) {
        ssize_t n = pread(d->file, out + done, d->request - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return false;
        }
        done += (uint64_t)n;
    }
    return true;
}

static void
read_on(void *context, uint32_t task, uint32_t thread)
{
    disk *d = context;
    uint64_t slots = d->bytes / d->request;
    do {
        uint64_t slot = moe_stream_below(&d->places[task], slots);
        if (!read_request(d, d->buffers + task * d->request, slot * d->request)) {
            atomic_store(&d->problem, errno);
            return;
        }
        atomic_fetch_add(&d->done, d->request);
    } while (moe_measure_now() < d->until);
}

/* Bytes per second of `depth` threads for so many seconds; 0: a read failed. */
static double
read_for(disk *d, double seconds)
{
    double began = moe_measure_now();
    d->until = began + seconds;
    atomic_store(&d->done, 0);
    moe_threads_run(d->threads, read_on, d, d->depth);
    return atomic_load(&d->problem) ? 0
                                    : (double)atomic_load(&d->done) / (moe_measure_now() - began);
}

/* The best rate of so many bytes in flight, by the points that there are; 0: unknown. */
static double
foreseen(const moe_measured_disk *out)
{
    double rate = 0;
    for (uint32_t i = 0; i < out->n; i++)
        rate = MAX(rate, out->points[i].rate.median);
    return rate;
}

static bool
measure_point(disk *d, double seconds, GError **error)
{
    double rates[TIMES];
    moe_disk_point *point = &d->out->points[d->out->n];
    for (uint32_t i = 0; i < TIMES; i++)
        rates[i] = read_for(d, seconds / TIMES);
    if (atomic_load(&d->problem))
        return fail(d, error, atomic_load(&d->problem), "the file to measure with cannot be read");
    *point = (moe_disk_point){d->request, d->depth, moe_spread_of(rates, TIMES)};
    d->out->n++;
    return true;
}

/* Whether requests of this size fit, and are read in the time for them. */
static bool
is_worth_it(const disk *d, double seconds)
{
    double rate = foreseen(d->out), in_flight = (double)d->request * d->depth;
    return d->request * 4 <= d->bytes && in_flight <= (double)MOST_IN_FLIGHT &&
           (rate <= 0 || in_flight / rate * TIMES <= 2 * seconds + LEAST_SECONDS);
}

static bool
measure_depth(const moe_measure *how, disk *d, uint32_t step, GError **error)
{
    const uint32_t all = MOE_DISK_DEPTHS * MOE_DISK_REQUESTS;
    bool good = true;
    d->depth = 1u << step;
    d->threads = moe_threads_new(d->depth, error);
    if (!d->threads)
        return false;
    for (uint32_t r = 0; r < MOE_DISK_REQUESTS && good; r++) {
        uint32_t done = step * MOE_DISK_REQUESTS + r;
        double seconds = moe_measure_time(how, all - done);
        d->request = (uint64_t)SMALLEST << 2 * r;
        if (!is_worth_it(d, seconds))
            continue;
        g_autofree char *size = moe_format_bytes((int64_t)d->request);
        g_autofree char *what = g_strdup_printf("disk, %u reads of %s at a time", d->depth, size);
        moe_measure_say(how, what, WRITE_SHARE + (1 - WRITE_SHARE) * done / all);
        good = measure_point(d, seconds, error);
    }
    moe_threads_free(d->threads);
    d->threads = NULL;
    return good;
}

static bool
read_file(const moe_measure *how, disk *d, GError **error)
{
    moe_stream places[1u << (MOE_DISK_DEPTHS - 1)];
    bool good = true;
    for (uint32_t i = 0; i < MOE_COUNT(places); i++)
        places[i] = moe_stream_new(1, "probe places", i);
    d->places = places;
    d->buffers = aligned_alloc(ALIGNMENT, MOST_IN_FLIGHT);
    if (!d->buffers)
        return fail(d, error, ENOMEM, "no disk is measured");
    d->request = SMALLEST;
    if (!read_request(d, d->buffers, 0) && !without_direct(d))
        good = fail(d, error, errno, "the file to measure with cannot be read");
    for (uint32_t step = 0; step < MOE_DISK_DEPTHS && good; step++)
        good = measure_depth(how, d, step, error);
    free(d->buffers);
    return good;
}

static int
by_request(const void *x, const void *y)
{
    const moe_disk_point *a = x, *b = y;
    if (a->request != b->request)
        return a->request < b->request ? -1 : 1;
    return a->depth < b->depth ? -1 : a->depth > b->depth;
}

bool
moe_measure_disk(const moe_measure *how, const char *folder, moe_measured_disk *out, GError **error)
{
    disk d = {.file = -1, .out = out, .folder = folder};
    *out = (moe_measured_disk){0};
    bool good = look_at_folder(&d, error) && open_file(&d, error) && write_file(how, &d, error) &&
                read_file(how, &d, error);
    if (d.file >= 0)
        close(d.file);
    qsort(out->points, out->n, sizeof *out->points, by_request);
    if (good && !moe_measured_disk_fit(out))
        good = fail(&d, error, 0, "too slow to be measured in the time given: give more --seconds");
    return good;
}
