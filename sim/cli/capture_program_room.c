/* Where a capture of a program is written: made before it runs, so that nothing runs in vain, and
 * nothing that somebody else wrote goes away. */
#include "sim/cli/capture_program.h"

#include "sim/cli/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_raw(const char *name)
{
    size_t digits = strspn(name, "0123456789.");
    return digits > 0 && !strcmp(name + digits, "raw");
}

void
moe_capture_clear(const moe_program_job *job)
{
    g_autoptr(GDir) dir = g_dir_open(job->folder, 0, NULL);
    for (const char *name = NULL; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(job->folder, name, NULL);
        if (is_raw(name))
            unlink(path);
    }
    rmdir(job->folder);
}

static int
say_there(const moe_program_job *job)
{
    bool folder = g_file_test(job->folder, G_FILE_TEST_EXISTS);
    const char *others[] = {job->database, job->trace};
    for (size_t i = 0; i < MOE_COUNT(others) && !folder; i++)
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

int
moe_capture_room(const moe_program_job *job)
{
    if (job->values->force)
        moe_capture_clear(job);
    else if (say_there(job))
        return MOE_EXIT_OUTPUT;
    if (mkdir(job->folder, 0777) == 0) {
        unlink(job->trace); /* -f: what stands there at the end is the program's */
        return MOE_EXIT_OK;
    }
    if (errno == EEXIST)
        moe_say("%s is there already and holds other files than raw logs", job->folder);
    else
        moe_say("%s: cannot make the folder: %s", job->folder, g_strerror(errno));
    return MOE_EXIT_OUTPUT;
}
