#include "sim/base/error.h"
#include "traces/decisions.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct moe_decisions_writer {
    char *path;
    int file;
    bool created; /* by this writer */
    bool decided; /* there is something for the file */
    bool emptied; /* what was in it before is gone */
    uint32_t n_experts;
    GString *text; /* not in the file yet */
};

moe_decisions_writer *
moe_decisions_writer_new(const char *path, uint32_t n_layers, uint32_t n_experts, GError **error)
{
    const int how = O_WRONLY | O_APPEND | O_CLOEXEC;
    int file = open(path, how | O_CREAT | O_EXCL, 0666);
    bool created = file >= 0;
    if (!created && errno == EEXIST)
        file = open(path, how | O_CREAT, 0666);
    if (file < 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot create");
        return NULL;
    }
    moe_decisions_writer *writer = g_new0(moe_decisions_writer, 1);
    writer->path = g_strdup(path);
    writer->file = file;
    writer->created = created;
    writer->n_experts = n_experts;
    writer->text = g_string_new("moesim-decisions 1\n");
    g_string_append_printf(writer->text, "shape %u %u\n", n_layers, n_experts);
    return writer;
}

void
moe_decisions_set(moe_decisions_writer *writer, const char *key, const char *value)
{
    g_string_append_printf(writer->text, "set %s %s\n", key, value);
}

static void
append_object(moe_decisions_writer *writer, uint32_t object)
{
    g_string_append_printf(writer->text, " %u.%u", object / writer->n_experts,
                           object % writer->n_experts);
}

static void
append_gate(moe_decisions_writer *writer, const moe_decision *decision)
{
    static const char *const outcomes[] = {"hit", "late", "miss"};
    g_string_append_printf(writer->text, " %u %u %u", decision->step, decision->layer,
                           decision->tokens);
    for (size_t i = 0; i < decision->n; i++)
        g_string_append_printf(writer->text, " %u=%s", decision->objects[i] % writer->n_experts,
                               outcomes[decision->outcomes[i]]);
}

void
moe_decisions_add(moe_decisions_writer *writer, const moe_decision *decision)
{
    static const char *const names[] = {"gate", "want", "load", "full", "prefetch", "refuse",
                                        "here", "done", "off",  "end",  "count"};
    GString *text = writer->text;
    writer->decided = true;
    g_string_append(text, names[decision->kind]);
    switch (decision->kind) {
    case MOE_DECISION_GATE:
        append_gate(writer, decision);
        break;
    case MOE_DECISION_WANT:
        g_string_append_printf(text, " %lld %lld", (long long)decision->window_ps,
                               (long long)decision->load_ps);
        for (size_t i = 0; i < decision->n; i++)
            append_object(writer, decision->objects[i]);
        break;
    case MOE_DECISION_LOAD:
    case MOE_DECISION_PREFETCH:
        append_object(writer, decision->object);
        if (decision->victim == MOE_NONE)
            g_string_append(text, " -");
        else
            append_object(writer, decision->victim);
        break;
    case MOE_DECISION_COUNT:
        g_string_append_printf(text, " %u", decision->layer);
        for (size_t i = 0; i < MOE_DECISION_COUNTS; i++)
            g_string_append_printf(text, " %llu", (unsigned long long)decision->counts[i]);
        break;
    case MOE_DECISION_END:
        break;
    default:
        append_object(writer, decision->object);
    }
    g_string_append_c(text, '\n');
}

/* Before the first write: the log of a run before goes when there is something in its place. */
static bool
empty(moe_decisions_writer *writer)
{
    struct stat status;
    if (writer->emptied)
        return true;
    bool regular = fstat(writer->file, &status) == 0 && S_ISREG(status.st_mode);
    writer->emptied = !regular || ftruncate(writer->file, 0) == 0;
    return writer->emptied;
}

bool
moe_decisions_flush(moe_decisions_writer *writer, GError **error)
{
    size_t at = 0;
    if (!writer->decided)
        return true;
    if (!empty(writer)) {
        moe_error_path(error, MOE_ERROR_FILE, writer->path, errno, "cannot write");
        return false;
    }
    while (at < writer->text->len) {
        ssize_t n = write(writer->file, writer->text->str + at, writer->text->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            moe_error_path(error, MOE_ERROR_FILE, writer->path, errno, "cannot write");
            return false;
        }
        at += (size_t)n;
    }
    g_string_truncate(writer->text, 0);
    return true;
}

void
moe_decisions_writer_free(moe_decisions_writer *writer)
{
    if (!writer)
        return;
    close(writer->file);
    if (writer->created && !writer->emptied)
        unlink(writer->path);
    g_free(writer->path);
    g_string_free(writer->text, TRUE);
    g_free(writer);
}
