#include "profiler/inject/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "profiler/inject/crc32.h"

enum { MOST_EXECS = 10000, RESERVE = 16384, HIGH = 200 };

int
moe_chunk_move_up(int fd)
{
    int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, HIGH) : -1;
    if (high >= 0)
        close(fd);
    return high >= 0 ? high : fd;
}

/* Whether the descriptor still is the log: a program that closes all there are, as daemons do, gets
 * the number for a file of its own. */
static bool
is_ours(const moe_chunk_file *file)
{
    struct stat now;
    return fstat(file->fd, &now) == 0 && now.st_dev == file->device && now.st_ino == file->inode;
}

static int
keep_room(const char *folder)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/.%d.room", folder, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    unlink(path);
    char zeros[RESERVE] = {0};
    ssize_t done = write(fd, zeros, sizeof zeros);
    (void)done; /* what was taken is kept */
    return fd;
}

static void
give_room(moe_chunk_file *file)
{
    if (file->reserve >= 0)
        close(file->reserve);
    file->reserve = -1;
}

bool
moe_chunk_open(moe_chunk_file *file, const char *folder)
{
    *file = (moe_chunk_file){.fd = -1, .reserve = -1};
    int pid = (int)getpid();
    for (int i = 0; i < MOST_EXECS; i++) {
        char suffix[16] = "";
        if (i > 0)
            snprintf(suffix, sizeof suffix, ".%d", i);
        int n = snprintf(file->path, sizeof file->path, "%s/%d%s.raw", folder, pid, suffix);
        if (n < 0 || (size_t)n >= sizeof file->path) {
            file->error = ENAMETOOLONG;
            return false;
        }
        file->fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        file->error = file->fd < 0 ? errno : 0;
        if (file->error == EEXIST)
            continue;
        if (file->fd < 0)
            return false;
        struct stat made;
        file->fd = moe_chunk_move_up(file->fd);
        (void)flock(file->fd, LOCK_EX | LOCK_NB); /* says to `moesim capture -f` that we write it */
        if (fstat(file->fd, &made) == 0) {
            file->device = made.st_dev;
            file->inode = made.st_ino;
        }
        file->reserve = moe_chunk_move_up(keep_room(folder));
        return true;
    }
    return false;
}

void
moe_chunk_close(moe_chunk_file *file)
{
    give_room(file);
    if (file->fd >= 0)
        close(file->fd);
    *file = (moe_chunk_file){.fd = -1, .reserve = -1};
}

/* All of it, or none: what a failed write left is cut off. */
static bool
write_whole(moe_chunk_file *file, struct iovec *pieces, int n)
{
    if (file->refused || file->fd < 0)
        return false;
    if (!is_ours(file)) {
        *file = (moe_chunk_file){.fd = -1, .reserve = -1, .refused = true, .error = EBADF};
        return false;
    }
    off_t all = 0;
    for (int i = 0; i < n; i++)
        all += (off_t)pieces[i].iov_len;
    while (n > 0) {
        ssize_t done = writev(file->fd, pieces, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            file->refused = true;
            file->error = done < 0 ? errno : EIO;
            int cut = ftruncate(file->fd, file->good);
            (void)cut; /* else a reader stops at the piece */
            give_room(file);
            return false;
        }
        while (n > 0 && (size_t)done >= pieces->iov_len) {
            done -= (ssize_t)pieces->iov_len;
            pieces++;
            n--;
        }
        if (n > 0) {
            pieces->iov_base = (char *)pieces->iov_base + done;
            pieces->iov_len -= (size_t)done;
        }
    }
    file->good += all;
    return true;
}

bool
moe_chunk_write_magic(moe_chunk_file *file)
{
    char magic[] = MOE_RAW_MAGIC;
    struct iovec piece = {magic, sizeof magic - 1};
    return write_whole(file, &piece, 1);
}

bool
moe_chunk_write(moe_chunk_file *file, moe_raw_type type, const void *data, size_t bytes,
                const void *body, size_t body_bytes)
{
    size_t all = bytes + body_bytes;
    uint32_t sum = moe_crc32(0, data, bytes);
    if (body_bytes > 0)
        sum = moe_crc32(sum, body, body_bytes);
    moe_raw_head head = {MOE_RAW_CHUNK, type, (uint32_t)all, sum};
    char zeros[8] = {0};
    union {
        const void *from;
        void *to;
    } first = {data}, second = {body}; /* writev reads only */
    struct iovec pieces[] = {{&head, sizeof head},
                             {first.to, bytes},
                             {second.to, body_bytes},
                             {zeros, (size_t)-all & 7}};
    return write_whole(file, pieces, 4);
}
