#include "traces/import/import.h"

#include "sim/base/error.h"
#include "traces/requests/requests_file.h"
#include "traces/routing_builder.h"
#include "traces/routing_file.h"
#include "traces/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMPORT_SURE 50 /* a mark that other formats do not have */

const moe_importer *const moe_importers[] = {
#define MOE_IMPORTER(symbol, name) &moe_importer_##symbol,
#include "traces/import/importers.def"
#undef MOE_IMPORTER
    NULL,
};

const moe_importer *
moe_importer_find(const char *name)
{
    for (size_t i = 0; moe_importers[i]; i++)
        if (strcmp(moe_importers[i]->name, name) == 0)
            return moe_importers[i];
    return NULL;
}

/* ---- inputs ---- */

moe_text_source *
moe_import_open(const moe_import_job *job, size_t i)
{
    if (job->memory)
        return moe_text_source_memory(job->paths[i], job->memory[i].bytes, job->memory[i].n);
    return moe_text_source_open(job->paths[i], job->error);
}

bool
moe_import_map_open(const moe_import_job *job, size_t i, moe_import_map *map)
{
    *map = (moe_import_map){0};
    if (job->memory) {
        map->bytes = job->memory[i].bytes;
        map->n = job->memory[i].n;
        return true;
    }
    const char *path = job->paths[i];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        moe_error_path(job->error, MOE_ERROR_FILE, path, errno, "cannot open");
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool regular = S_ISREG(status.st_mode);
    map->n = regular ? (size_t)status.st_size : 0;
    map->map = map->n ? mmap(NULL, map->n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int problem = errno;
    close(fd);
    if (!regular || map->map == MAP_FAILED) {
        moe_error_path(job->error, MOE_ERROR_FILE, path, regular ? problem : 0,
                       regular ? "cannot map" : "is not a regular file");
        *map = (moe_import_map){0};
        return false;
    }
    map->bytes = map->map;
    return true;
}

void
moe_import_map_close(moe_import_map *map)
{
    if (map->map)
        munmap(map->map, map->n);
    *map = (moe_import_map){0};
}

bool
moe_import_fail(const moe_import_job *job, size_t i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(job->diag, (moe_loc){.file = moe_diag_intern(job->diag, job->paths[i])}, "%s",
                   message);
    return false;
}

void
moe_import_note(const moe_import_job *job, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_string_append_vprintf(job->report, fmt, args);
    va_end(args);
    g_string_append_c(job->report, '\n');
}

moe_routing_builder *
moe_import_builder(const moe_import_job *job, uint32_t n_layers, uint32_t n_experts, uint32_t k)
{
    moe_routing_builder *builder = moe_routing_builder_new(n_layers, n_experts, k);
    moe_routing_builder_spill(builder, job->options->scratch, job->options->scratch_above);
    return builder;
}

moe_requests_builder *
moe_import_requests_builder(const moe_import_job *job)
{
    moe_requests_builder *builder = moe_requests_builder_new();
    moe_requests_builder_spill(builder, job->options->scratch, job->options->scratch_above);
    return builder;
}

/* ---- which importer ---- */

bool
moe_import_again(const moe_import_job *job, size_t i)
{
    struct stat status;
    return job->memory || stat(job->paths[i], &status) != 0 || S_ISREG(status.st_mode);
}

/* The first bytes of an input. */
typedef struct import_head {
    char *bytes; /* NUL-terminated; NULL: the file cannot be read, the error is set */
    size_t n;
    const char *damage; /* of its packing; NULL: none so far */
} import_head;

static import_head
import_head_read(const moe_import_job *job, size_t i)
{
    import_head head = {.bytes = g_malloc(MOE_IMPORT_HEAD + 1)};
    moe_text_source *source = moe_import_open(job, i);
    bool ok = source != NULL;
    for (size_t part = 1; ok && part && head.n < MOE_IMPORT_HEAD; head.n += part)
        ok = moe_text_source_read(source, head.bytes + head.n, MOE_IMPORT_HEAD - head.n, &part,
                                  &head.damage, job->error);
    moe_text_source_close(source);
    head.bytes[head.n] = '\0';
    if (!ok && !head.damage)
        g_clear_pointer(&head.bytes, g_free);
    return head;
}

/* The surest, and how sure it is. */
static const moe_importer *
import_surest(const char *path, const char *head, size_t n, int *score)
{
    const moe_importer *best = NULL;
    *score = 0;
    for (size_t i = 0; moe_importers[i]; i++) {
        int sure = moe_importers[i]->sniff(path, head, n);
        if (sure <= *score)
            continue;
        *score = sure;
        best = moe_importers[i];
    }
    return best;
}

static char *
import_names(void)
{
    GString *names = g_string_new(NULL);
    for (size_t i = 0; moe_importers[i]; i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "", moe_importers[i]->name);
    return g_string_free(names, FALSE);
}

/* Whether a text of JSON says `"key": "value"`. */
static bool
import_head_says(const char *text, size_t n, const char *key, const char *value)
{
    g_autofree char *quoted_key = g_strdup_printf("\"%s\"", key);
    g_autofree char *quoted = g_strdup_printf("\"%s\"", value);
    const char *end = text + n, *at = text;
    while ((at = g_strstr_len(at, end - at, quoted_key))) {
        at += strlen(quoted_key);
        const char *c = at;
        while (c < end && *c && strchr(" \t\r\n:", *c))
            c++;
        if ((size_t)(end - c) >= strlen(quoted) && memcmp(c, quoted, strlen(quoted)) == 0)
            return true;
    }
    return false;
}

/* Whether a file is a trace of ours, or the index of one in shards, by its beginning. */
static bool
import_is_trace(const char *path, const import_head *head)
{
    const char *text = head->bytes + 8;
    if (moe_shards_is_index(path))
        return g_strstr_len(head->bytes, (gssize)head->n, "\"weight_map\"") &&
               g_strstr_len(head->bytes, (gssize)head->n, "[0:");
    return head->n > 9 && head->bytes[7] == 0 && *text == '{' &&
           (import_head_says(text, head->n - 8, "format", MOE_ROUTING_FORMAT) ||
            import_head_says(text, head->n - 8, "format", MOE_REQUESTS_FORMAT));
}

/* Whether an input is a trace of ours; a message then. */
static bool
import_already(const moe_import_job *job, size_t i, const import_head *head)
{
    if (!import_is_trace(job->paths[i], head))
        return false;
    moe_import_fail(job, i,
                    "is a moesim trace already; `moesim trace transform` changes it, `moesim trace "
                    "info` describes it");
    return true;
}

/* What `trace import` would be given as output: the name with other endings. */
static char *
import_trace_name(const char *path)
{
    char *name = g_path_get_basename(path);
    if (g_str_has_suffix(name, ".gz") || g_str_has_suffix(name, ".zst"))
        *strrchr(name, '.') = '\0';
    char *dot = strrchr(name, '.');
    if (dot && dot > name)
        *dot = '\0';
    bool taken = g_str_has_suffix(path, ".safetensors");
    char *whole = g_strconcat(name, taken ? ".trace" : "", ".safetensors", NULL);
    g_free(name);
    return whole;
}

bool
moe_importer_says(const char *path, moe_diag *diag)
{
    const moe_import_job job = {.paths = &path, .n_paths = 1, .diag = diag};
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    import_head head = import_head_read(&job, 0);
    int score = 0;
    bool other = head.bytes && head.n && !import_is_trace(path, &head);
    const moe_importer *importer = other ? import_surest(path, head.bytes, head.n, &score) : NULL;
    g_free(head.bytes);
    if (score < IMPORT_SURE)
        return false;
    g_autofree char *output = import_trace_name(path);
    moe_import_fail(&job, 0,
                    "no trace yet, but %s: `moesim trace import %s -o %s` makes a trace of it",
                    importer->name, path, output);
    return true;
}

const moe_importer *
moe_importer_sniff(const moe_import_job *job)
{
    g_autofree char *names = import_names();
    int score;
    if (!moe_import_again(job, 0)) {
        moe_import_fail(job, 0, "can be read once only; --format says what it is: %s", names);
        return NULL;
    }
    import_head head = import_head_read(job, 0);
    if (!head.bytes)
        return NULL;
    if (import_already(job, 0, &head)) {
        g_free(head.bytes);
        return NULL;
    }
    const moe_importer *best = import_surest(job->paths[0], head.bytes, head.n, &score);
    if (!best && head.n == 0)
        moe_import_fail(job, 0, "%s", head.damage ? head.damage : "the file is empty");
    else if (!best)
        moe_import_fail(job, 0,
                        "its content is no format that is known here; if it is one, --format says "
                        "which: %s (`moesim list importers` describes them)",
                        names);
    g_free(head.bytes);
    return best;
}

/* Whether the content of an input is surely another format's, or a trace's; a message then. */
static bool
import_other(const moe_importer *importer, const moe_import_job *job, size_t i)
{
    if (!moe_import_again(job, i))
        return false;
    import_head head = import_head_read(job, i);
    if (!head.bytes)
        return true;
    int score = 0;
    const moe_importer *other = NULL;
    bool already = import_already(job, i, &head);
    if (!already && head.n && importer->sniff(job->paths[i], head.bytes, head.n) == 0)
        other = import_surest(job->paths[i], head.bytes, head.n, &score);
    g_free(head.bytes);
    if (score < IMPORT_SURE)
        return already;
    moe_import_fail(job, i, "this is not %s, but looks like %s; --format %s reads it",
                    importer->name, other->name, other->name);
    return true;
}

static bool
import_needs(const moe_importer *importer, const moe_import_job *job)
{
    const moe_import_options *o = job->options;
    const struct {
        unsigned need;
        uint32_t value;
        const char *option;
    } needs[] = {{MOE_IMPORT_LAYERS, o->layers, "--layers"},
                 {MOE_IMPORT_EXPERTS, o->experts, "--experts"},
                 {MOE_IMPORT_TOP_K, o->top_k, "--top-k"}};
    bool ok = true;
    for (size_t i = 0; i < MOE_COUNT(needs); i++)
        if ((importer->needs & needs[i].need) && needs[i].value == 0)
            ok = moe_import_fail(job, 0, "format %s does not say it: %s is wanted", importer->name,
                                 needs[i].option);
    if (job->n_paths > 1 && !importer->many)
        ok = moe_import_fail(job, 1, "format %s takes one input at a time", importer->name);
    return ok;
}

/* A job of our own, with an error of its own, whose inputs have been compared with the importer;
 * `error` goes to the caller's afterwards. */
static bool
import_prepare(const moe_importer *importer, const moe_import_job *job, moe_import_job *own,
               GString *unheard, GError **error)
{
    *own = *job;
    own->report = job->report ? job->report : unheard;
    own->error = error;
    bool ok = import_needs(importer, own);
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = !import_other(importer, own, i);
    return ok;
}

/* What the user says of the order of ids holds where no weights tell. */
static bool
import_order(const moe_import_job *job, moe_routing_builder *builder)
{
    if (!job->options->by_weight)
        return true;
    if (moe_columns_row_bytes(builder->columns, COLUMN_WEIGHTS))
        return moe_import_fail(job, 0,
                               "--by-weight is for files without gate weights: these say "
                               "themselves how ids are ordered");
    moe_routing_builder_meta(builder, "order", "weight");
    return true;
}

moe_routing_builder *
moe_import_run(const moe_importer *importer, moe_import_job *job)
{
    g_autoptr(GString) unheard = g_string_new(NULL);
    GError *error = NULL;
    moe_import_job own;
    unsigned before = moe_diag_errors(job->diag);
    moe_routing_builder *builder = NULL;
    g_autoptr(GString) summary = g_string_new(NULL);
    if (import_prepare(importer, job, &own, unheard, &error)) {
        own.summary = summary;
        builder = importer->run(&own);
    }
    if (builder && moe_routing_builder_failed(builder, job->paths[0], &error))
        g_clear_pointer(&builder, moe_routing_builder_free);
    if (builder && !import_order(job, builder))
        g_clear_pointer(&builder, moe_routing_builder_free);
    if (builder && summary->len)
        moe_import_note(&own, "%s", summary->str);
    moe_assert(builder || error || moe_diag_errors(job->diag) > before,
               "importer %s: neither a routing nor a message", importer->name);
    if (error)
        g_propagate_error(job->error, error);
    return builder;
}

moe_requests_builder *
moe_import_requests(const moe_importer *importer, moe_import_job *job)
{
    g_autoptr(GString) unheard = g_string_new(NULL);
    GError *error = NULL;
    moe_import_job own;
    moe_requests_builder *builder = NULL;
    if (import_prepare(importer, job, &own, unheard, &error))
        builder = importer->requests(&own);
    if (error)
        g_propagate_error(job->error, error);
    return builder;
}
