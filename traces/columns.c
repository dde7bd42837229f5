#include "traces/columns.h"

#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct column_store {
    size_t row_bytes; /* 0: not in use */
    uint8_t *block;   /* rows from `base` on */
    int fd;           /* rows before `base`; -1: none */
    void *map;        /* of the file, for views */
    size_t map_bytes;
} column_store;

struct moe_columns {
    uint32_t n;
    column_store *columns;
    uint64_t n_rows, base, capacity; /* base: rows in the files; capacity: rows of a block */
    char *folder;
    uint64_t limit;
    bool spilled, viewed, failed;
    int problem; /* errno; 0 with `failed`: no memory */
};

moe_columns *
moe_columns_new(uint32_t n_columns)
{
    moe_columns *c = g_new0(moe_columns, 1);
    c->n = n_columns;
    c->columns = g_new0(column_store, n_columns);
    for (uint32_t i = 0; i < n_columns; i++)
        c->columns[i].fd = -1;
    c->limit = MOE_COLUMNS_LIMIT;
    return c;
}

static void
columns_clear(column_store *column)
{
    if (column->map)
        munmap(column->map, column->map_bytes);
    if (column->fd >= 0)
        close(column->fd);
    g_free(column->block);
}

void
moe_columns_free(moe_columns *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        columns_clear(&c->columns[i]);
    g_free(c->columns);
    g_free(c->folder);
    g_free(c);
}

void
moe_columns_spill(moe_columns *c, const char *folder, uint64_t limit_bytes)
{
    moe_assert(c->n_rows == 0, "%" G_GUINT64_FORMAT " rows are there already", c->n_rows);
    g_free(c->folder);
    c->folder = g_strdup(folder);
    c->limit = limit_bytes;
}

size_t
moe_columns_row_bytes(const moe_columns *c, uint32_t i)
{
    return c->columns[i].row_bytes;
}

uint64_t
moe_columns_rows(const moe_columns *c)
{
    return c->n_rows;
}

bool
moe_columns_failed(const moe_columns *c)
{
    return c->failed;
}

static const char *
columns_folder(const moe_columns *c)
{
    return c->folder ? c->folder : g_get_tmp_dir();
}

bool
moe_columns_error(const moe_columns *c, const char *name, GError **error)
{
    if (!c->failed)
        return false;
    if (c->problem)
        moe_error_path(error, MOE_ERROR_FILE, columns_folder(c), c->problem,
                       "cannot write a temporary file");
    else
        moe_error_path(error, MOE_ERROR_MEMORY, name, 0,
                       "no memory for more than %" G_GUINT64_FORMAT " rows", c->n_rows);
    return true;
}

static bool
columns_fail(moe_columns *c, int problem)
{
    c->failed = true;
    c->problem = problem;
    return false;
}

/* ---- blocks and files ---- */

static int
columns_temporary(moe_columns *c)
{
    g_autofree char *path = g_build_filename(columns_folder(c), ".moesim-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        columns_fail(c, errno ? errno : EIO);
    else
        unlink(path);
    return fd;
}

static bool
columns_write(moe_columns *c, int fd, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n) {
        ssize_t done = write(fd, at, MIN(n, 1u << 30));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return columns_fail(c, done < 0 ? errno : ENOSPC);
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* Moves the rows of the blocks to the ends of the files. */
static bool
columns_flush(moe_columns *c)
{
    size_t rows = (size_t)(c->n_rows - c->base);
    for (uint32_t i = 0; i < c->n; i++) {
        column_store *column = &c->columns[i];
        if (!column->row_bytes)
            continue;
        if (column->fd < 0 && (column->fd = columns_temporary(c)) < 0)
            return false;
        if (!columns_write(c, column->fd, column->block, rows * column->row_bytes))
            return false;
    }
    c->base = c->n_rows;
    c->spilled = true;
    return true;
}

static bool
columns_resize(moe_columns *c, uint64_t capacity)
{
    for (uint32_t i = 0; i < c->n; i++) {
        column_store *column = &c->columns[i];
        if (!column->row_bytes)
            continue;
        void *bigger = g_try_realloc_n(column->block, capacity, column->row_bytes);
        if (!bigger)
            return columns_fail(c, 0);
        column->block = bigger;
    }
    c->capacity = capacity;
    return true;
}

static uint64_t
columns_bytes(const moe_columns *c)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < c->n; i++)
        bytes += c->columns[i].row_bytes;
    return MAX(bytes, 1);
}

/* Room for one more row: larger blocks as long as all fit into memory's share, else the files. */
static bool
columns_room(moe_columns *c)
{
    uint64_t most = MAX(c->limit / columns_bytes(c), 1);
    uint64_t wanted = c->capacity ? c->capacity * 2 : 1024;
    if (c->spilled || (c->capacity && wanted > most))
        return columns_flush(c);
    return columns_resize(c, MIN(wanted, most));
}

void
moe_columns_use(moe_columns *c, uint32_t i, size_t row_bytes)
{
    column_store *column = &c->columns[i];
    if (c->failed || column->row_bytes)
        return;
    moe_assert(c->n_rows <= 1 && c->base == 0, "a column is added behind row %" G_GUINT64_FORMAT,
               c->n_rows);
    column->row_bytes = row_bytes;
    if (c->capacity)
        columns_resize(c, MAX(MIN(c->capacity, c->limit / columns_bytes(c)), 1));
}

bool
moe_columns_add(moe_columns *c)
{
    moe_dassert(!c->viewed, "a row is added behind the end");
    if (MOE_UNLIKELY(c->failed))
        return false;
    if (MOE_UNLIKELY(c->n_rows - c->base == c->capacity) && !columns_room(c))
        return false;
    c->n_rows++;
    return true;
}

void *
moe_columns_cell(const moe_columns *c, uint32_t i)
{
    const column_store *column = &c->columns[i];
    return column->block + (c->n_rows - 1 - c->base) * column->row_bytes;
}

/* ---- the whole ---- */

/* Rows of the file in the new shape, block by block, to a new file. */
static bool
columns_reshape_file(moe_columns *c, const column_store *old, column_store *new,
                     moe_columns_convert *convert, const void *context)
{
    new->fd = columns_temporary(c);
    if (new->fd < 0)
        return false;
    for (uint64_t row = 0, n; row < c->base; row += n) {
        n = MIN(c->capacity, c->base - row);
        g_autofree uint8_t *from = g_try_malloc_n(n, old->row_bytes);
        if (!from)
            return columns_fail(c, 0);
        for (size_t got = 0, want = n * old->row_bytes; got < want;) {
            ssize_t part =
                pread(old->fd, from + got, want - got, (off_t)(row * old->row_bytes + got));
            if (part < 0 && errno == EINTR)
                continue;
            if (part <= 0)
                return columns_fail(c, part < 0 ? errno : EIO);
            got += (size_t)part;
        }
        for (uint64_t i = 0; i < n; i++)
            convert(context, from + i * old->row_bytes, new->block + i *new->row_bytes);
        if (!columns_write(c, new->fd, new->block, n * new->row_bytes))
            return false;
    }
    return true;
}

void
moe_columns_reshape(moe_columns *c, uint32_t i, size_t row_bytes, moe_columns_convert *convert,
                    const void *context)
{
    column_store *old = &c->columns[i], new = {.row_bytes = row_bytes, .fd = -1};
    moe_assert(!c->viewed && old->row_bytes, "column %u cannot be reshaped", i);
    if (c->failed)
        return;
    if (c->capacity) {
        new.block = g_try_malloc_n(c->capacity, row_bytes);
        if (!new.block)
            columns_fail(c, 0);
        else if (!c->base || columns_reshape_file(c, old, &new, convert, context))
            for (uint64_t row = 0; row < c->n_rows - c->base; row++)
                convert(context, old->block + row * old->row_bytes, new.block + row *row_bytes);
    }
    if (c->failed) {
        columns_clear(&new);
        return;
    }
    columns_clear(old);
    *old = new;
}

static bool
columns_map(moe_columns *c, column_store *column)
{
    column->map_bytes = (size_t)c->n_rows * column->row_bytes;
    void *map = mmap(NULL, column->map_bytes, PROT_READ, MAP_SHARED, column->fd, 0);
    if (map == MAP_FAILED)
        return columns_fail(c, errno);
    column->map = map;
    g_clear_pointer(&column->block, g_free);
    return true;
}

const void *
moe_columns_view(moe_columns *c, uint32_t i)
{
    column_store *column = &c->columns[i];
    if (!c->failed && c->spilled && c->base < c->n_rows)
        columns_flush(c);
    c->viewed = true;
    if (c->failed || !column->row_bytes || c->n_rows == 0)
        return NULL;
    if (!c->spilled)
        return column->block;
    return column->map || columns_map(c, column) ? column->map : NULL;
}

void
moe_columns_resume(moe_columns *c)
{
    c->viewed = false;
    for (uint32_t i = 0; i < c->n; i++) {
        column_store *column = &c->columns[i];
        if (column->map)
            munmap(column->map, column->map_bytes);
        column->map = NULL;
        if (c->failed || column->block || !column->row_bytes || !c->capacity)
            continue;
        column->block = g_try_malloc_n(c->capacity, column->row_bytes);
        if (!column->block)
            columns_fail(c, 0);
    }
}
