/* Where a capture of a program is written: made before it runs, so that nothing runs in vain, and
 * nothing that somebody else wrote goes away. */
#include "sim/cli/capture_program.h"

#include "sim/cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_raw(const char *name)
{
    size_t digits = strspn(name, "0123456789.");
    return digits > 0 && !strcmp(name + digits, "raw");
}

/* Of each raw log how long it is, its name with it. */
static void
each_log(const moe_program_job *job, void (*visit)(void *, const char *, const char *, gint64),
         void *context)
{
    g_autoptr(GDir) dir = g_dir_open(job->folder, 0, NULL);
    for (const char *name = NULL; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(job->folder, name, NULL);
        struct stat status;
        if (is_raw(name) && lstat(path, &status) == 0)
            visit(context, name, path, status.st_size);
    }
}

static void
note_log(void *logs, const char *name, const char *path, gint64 bytes)
{
    (void)path;
    g_hash_table_replace(logs, g_strdup(name), g_memdup2(&bytes, sizeof bytes));
}

typedef struct cleared {
    GHashTable *decoded; /* NULL: all go */
    size_t kept;
} cleared;

static void
clear_log(void *context, const char *name, const char *path, gint64 bytes)
{
    cleared *c = context;
    const gint64 *known = c->decoded ? g_hash_table_lookup(c->decoded, name) : &bytes;
    if (known && *known == bytes)
        unlink(path);
    else
        c->kept++;
}

GHashTable *
moe_capture_logs(const moe_program_job *job)
{
    GHashTable *logs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    each_log(job, note_log, logs);
    return logs;
}

size_t
moe_capture_clear_decoded(const moe_program_job *job, GHashTable *decoded)
{
    cleared c = {.decoded = decoded};
    each_log(job, clear_log, &c);
    rmdir(job->folder);
    return c.kept;
}

void
moe_capture_clear(const moe_program_job *job)
{
    moe_capture_clear_decoded(job, NULL);
}

static int
say_there(const moe_program_job *job)
{
    bool folder = g_file_test(job->folder, G_FILE_TEST_EXISTS);
    const char *others[] = {job->database, job->trace};
    for (size_t i = 0; i < MOE_COUNT(others) && !folder && others[i]; i++)
        if (g_file_test(others[i], G_FILE_TEST_EXISTS)) {
            moe_say("%s is there already: name another by -o, or replace it with -f", others[i]);
            return MOE_EXIT_OUTPUT;
        }
    if (!folder)
        return MOE_EXIT_OK;
    moe_say(
        "%s is there already: a capture that was not finished? `moesim profile decode %s` makes "
        "its profile; -f begins anew",
        job->folder, job->folder);
    return MOE_EXIT_OUTPUT;
}

void
moe_capture_leave(moe_program_job *job)
{
    if (job->lock > 0)
        close(job->lock);
    job->lock = 0;
}

/* Takes the folder for as long as this process lives; false when another capture has it. */
static bool
lock_folder(moe_program_job *job)
{
    int folder = open(job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(folder);
        return false;
    }
    moe_capture_leave(job);
    job->lock = folder >= 0 ? folder : 0;
    return true;
}

static void
note_writer(void *context, const char *name, const char *path, gint64 bytes)
{
    (void)name;
    (void)bytes;
    int log = open(path, O_RDONLY | O_CLOEXEC);
    bool taken = log >= 0 && flock(log, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    *(bool *)context |= taken;
    if (log >= 0)
        close(log);
}

/* Whether another capture, or a program that outlived its own, still writes there: not even -f
 * takes that away. */
static bool
say_busy(moe_program_job *job)
{
    bool busy = !lock_folder(job);
    if (!busy)
        each_log(job, note_writer, &busy);
    if (busy)
        moe_say("%s is still being written by another capture: name another by -o, or wait for it",
                job->folder);
    return busy;
}

int
moe_capture_room(moe_program_job *job)
{
    if (say_busy(job))
        return MOE_EXIT_OUTPUT;
    if (job->values->force)
        moe_capture_clear(job);
    else if (say_there(job))
        return MOE_EXIT_OUTPUT;
    if (mkdir(job->folder, 0777) == 0) {
        if (say_busy(job)) /* another -f came in between */
            return MOE_EXIT_OUTPUT;
        if (job->trace)
            unlink(job->trace); /* -f: what stands there at the end is the program's */
        return MOE_EXIT_OK;
    }
    if (errno == EEXIST)
        moe_say("%s is there already and holds other files than raw logs", job->folder);
    else
        moe_say("%s: cannot make the folder: %s", job->folder, g_strerror(errno));
    return MOE_EXIT_OUTPUT;
}
