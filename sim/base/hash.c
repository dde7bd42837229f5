#include "sim/base/hash.h"
#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HASH_BLOCK = 1 << 18 };

/* What tells one state of a file from another. */
typedef struct hash_stamp {
    uint64_t device, inode, size;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
} hash_stamp;

static GMutex hash_lock;
static GHashTable *hash_known; /* stamp -> hex digits */

char *
moe_sha256_text(const char *text, size_t length)
{
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
}

static hash_stamp
hash_stamp_of(const struct stat *st)
{
    hash_stamp stamp;
    memset(&stamp, 0, sizeof stamp); /* padding takes part in the comparison */
    stamp.device = (uint64_t)st->st_dev;
    stamp.inode = (uint64_t)st->st_ino;
    stamp.size = (uint64_t)st->st_size;
    stamp.modified_s = st->st_mtim.tv_sec;
    stamp.modified_ns = st->st_mtim.tv_nsec;
    stamp.changed_s = st->st_ctim.tv_sec;
    stamp.changed_ns = st->st_ctim.tv_nsec;
    return stamp;
}

static guint
hash_stamp_hash(gconstpointer key)
{
    const hash_stamp *stamp = key;
    uint64_t mixed =
        stamp->inode * 0x9E3779B97F4A7C15ull ^ stamp->size ^ (uint64_t)stamp->modified_ns << 20;
    return (guint)(mixed >> 32);
}

static gboolean
hash_stamp_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(hash_stamp)) == 0;
}

static char *
hash_find(const hash_stamp *stamp)
{
    g_mutex_lock(&hash_lock);
    char *found = hash_known ? g_strdup(g_hash_table_lookup(hash_known, stamp)) : NULL;
    g_mutex_unlock(&hash_lock);
    return found;
}

static void
hash_keep(const hash_stamp *stamp, const char *hex)
{
    g_mutex_lock(&hash_lock);
    if (!hash_known)
        hash_known = g_hash_table_new_full(hash_stamp_hash, hash_stamp_equal, g_free, g_free);
    g_hash_table_insert(hash_known, g_memdup2(stamp, sizeof *stamp), g_strdup(hex));
    g_mutex_unlock(&hash_lock);
}

static char *
hash_read(int fd, const char *path, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guchar *block = g_malloc(HASH_BLOCK);
    for (;;) {
        ssize_t n = read(fd, block, HASH_BLOCK);
        if (n == 0)
            return g_strdup(g_checksum_get_string(sum));
        if (n > 0) {
            g_checksum_update(sum, block, (gssize)n);
        } else if (errno != EINTR) {
            moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot read");
            return NULL;
        }
    }
}

static char *
hash_file(int fd, const char *path, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot read");
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "not a regular file");
        return NULL;
    }
    hash_stamp before = hash_stamp_of(&st);
    char *hex = hash_find(&before);
    if (hex)
        return hex;
    hex = hash_read(fd, path, error);
    if (!hex || fstat(fd, &st) != 0)
        return hex;
    hash_stamp after = hash_stamp_of(&st);
    if (hash_stamp_equal(&before, &after))
        hash_keep(&before, hex);
    return hex;
}

char *
moe_sha256_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot open");
        return NULL;
    }
    char *hex = hash_file(fd, path, error);
    close(fd);
    return hex;
}
