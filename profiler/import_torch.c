/* Two passes over the file: the first takes ranges and calls, in no order that could be relied on,
 * the second writes what the device did. */
#include "profiler/import_torch.h"

#include <string.h>

typedef struct torch_span {
    uint64_t start_ns, end_ns;
    uint32_t thread, name, category; /* numbers of texts of the nest */
    uint32_t order;
} torch_span;

typedef struct torch_call {
    uint64_t start_ns;
    uint32_t thread, correlation;
} torch_call;

typedef struct torch_job {
    moe_profile_writer *writer;
    moe_torch_head head;
    int64_t pid, other_pid; /* MOE_PROFILE_NULL: none seen */
    moe_nest *nest;
    GArray *spans, *launches;
    moe_calls *calls;
    GHashTable *others; /* categories that a profile has no place for -> uint64_t * */
    uint64_t odd, first_ns, last_ns;
} torch_job;

/* ---- the first pass ---- */

/* Beginning and end of an event; false: they make no sense. */
static bool
torch_times(const moe_torch_event *e, uint64_t *start, uint64_t *end)
{
    if (e->start_ns < 0 || (e->duration_ns < 0 && e->duration_ns != MOE_PROFILE_NULL))
        return false;
    int64_t duration = e->duration_ns == MOE_PROFILE_NULL ? 0 : e->duration_ns;
    *start = (uint64_t)e->start_ns;
    *end = *start + (uint64_t)duration;
    return *end <= INT64_MAX;
}

static void
torch_process(torch_job *job, int64_t pid)
{
    if (pid == MOE_PROFILE_NULL || pid == job->pid)
        return;
    if (job->pid == MOE_PROFILE_NULL)
        job->pid = pid;
    else
        job->other_pid = pid;
}

static bool
torch_learn(void *context, moe_torch_event *e)
{
    torch_job *job = context;
    uint64_t start, end;
    bool call = e->kind == MOE_TORCH_RUNTIME || e->kind == MOE_TORCH_DRIVER;
    if ((e->kind != MOE_TORCH_RANGE && !call) || !torch_times(e, &start, &end))
        return true;
    torch_process(job, e->pid);
    if (call) {
        torch_call launch = {start, (uint32_t)e->thread, (uint32_t)e->correlation};
        if (e->correlation != MOE_PROFILE_NULL)
            g_array_append_val(job->launches, launch);
        return true;
    }
    torch_span span = {start,
                       end,
                       (uint32_t)e->thread,
                       moe_nest_text(job->nest, e->name->str, e->name->len),
                       moe_nest_text(job->nest, e->category->str, e->category->len),
                       job->spans->len};
    g_array_append_val(job->spans, span);
    return true;
}

static gint
torch_outer_first(gconstpointer a, gconstpointer b)
{
    const torch_span *x = a, *y = b;
    if (x->thread != y->thread)
        return x->thread < y->thread ? -1 : 1;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    if (x->end_ns != y->end_ns)
        return x->end_ns > y->end_ns ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void
torch_settle(torch_job *job)
{
    g_array_sort(job->spans, torch_outer_first);
    for (guint i = 0; i < job->spans->len; i++) {
        const torch_span *span = &g_array_index(job->spans, torch_span, i);
        moe_nest_range range = {.id = i + 1,
                                .time_ns = span->start_ns,
                                .thread = span->thread,
                                .domain = span->category,
                                .text = span->name,
                                .kind = MOE_NEST_PUSH};
        moe_nest_add(job->nest, &range, span->end_ns);
    }
    moe_nest_settle(job->nest, moe_nest_last_ns(job->nest), job->writer);
    moe_nest_index(job->nest);
    for (guint i = 0; i < job->launches->len; i++) {
        const torch_call *call = &g_array_index(job->launches, torch_call, i);
        moe_calls_add(job->calls, 0, call->correlation, job->nest, call->thread, call->start_ns);
    }
}

/* ---- the second pass ---- */

static moe_profile_place
torch_place(const torch_job *job, const moe_torch_event *e)
{
    if (e->correlation == MOE_PROFILE_NULL)
        return MOE_PROFILE_NOWHERE;
    return moe_calls_place(job->calls, 0, (uint32_t)e->correlation, job->nest);
}

static int64_t
torch_device_of(const moe_torch_event *e)
{
    return e->device == MOE_PROFILE_NULL ? e->pid : e->device;
}

static void
torch_kernel(torch_job *job, const moe_torch_event *e, int64_t start, int64_t end)
{
    moe_profile_kernel row = {.pid = job->pid,
                              .device = torch_device_of(e),
                              .context = e->context,
                              .stream = e->stream == MOE_PROFILE_NULL ? e->thread : e->stream,
                              .correlation = e->correlation,
                              .graph = e->graph ? e->graph : MOE_PROFILE_NULL,
                              .node = e->node ? e->node : MOE_PROFILE_NULL,
                              .start_ns = start,
                              .end_ns = end,
                              .name = moe_profile_text(job->writer, e->name->str, -1),
                              .grid = {e->grid[0], e->grid[1], e->grid[2]},
                              .block = {e->block[0], e->block[1], e->block[2]},
                              .registers = e->registers,
                              .shared_static = e->shared,
                              .shared_dynamic = MOE_PROFILE_NULL,
                              .cluster_x = MOE_PROFILE_NULL,
                              .place = torch_place(job, e)};
    moe_profile_add_kernel(job->writer, &row);
}

/* "Memcpy HtoD (Pinned -> Device)" */
static void
torch_memop(torch_job *job, const moe_torch_event *e, int64_t start, int64_t end)
{
    static const char *const directions[] = {"HtoD", "DtoH", "DtoD", "HtoH", "PtoP"};
    bool copy = e->kind == MOE_TORCH_MEMCPY;
    bool pinned = strstr(e->name->str, "Pinned"), pageable = strstr(e->name->str, "Pageable");
    moe_profile_memop row = {.pid = job->pid,
                             .device = torch_device_of(e),
                             .context = e->context,
                             .stream = e->stream == MOE_PROFILE_NULL ? e->thread : e->stream,
                             .correlation = e->correlation,
                             .node = e->node ? e->node : MOE_PROFILE_NULL,
                             .start_ns = start,
                             .end_ns = end,
                             .bytes = e->bytes,
                             .pinned = pinned || pageable ? !pageable : MOE_PROFILE_NULL,
                             .kind = copy ? "memcpy" : "memset",
                             .place = torch_place(job, e)};
    for (size_t i = 0; i < MOE_COUNT(directions) && copy; i++)
        if (strstr(e->name->str, directions[i]))
            row.direction = directions[i];
    moe_profile_add_memop(job->writer, &row);
}

static void
torch_api(torch_job *job, const moe_torch_event *e, int64_t start, int64_t end)
{
    uint64_t id = moe_nest_at(job->nest, (uint32_t)e->thread, (uint64_t)start);
    moe_profile_api row = {.pid = job->pid,
                           .thread = e->thread,
                           .correlation = e->correlation,
                           .name = moe_profile_text(job->writer, e->name->str, -1),
                           .start_ns = start,
                           .end_ns = end,
                           .result = MOE_PROFILE_NULL,
                           .range = id ? moe_nest_place(job->nest, id).range : MOE_PROFILE_NULL,
                           .domain = e->kind == MOE_TORCH_RUNTIME ? "runtime" : "driver"};
    moe_profile_add_api(job->writer, &row);
}

static void
torch_wait(torch_job *job, const moe_torch_event *e, int64_t start, int64_t end)
{
    static const struct {
        const char *says, *kind;
    } kinds[] = {{"Stream Wait Event", "stream_wait_event"},
                 {"Event Sync", "event"},
                 {"Stream Sync", "stream"},
                 {"Context Sync", "context"}};
    moe_profile_synchronization row = {.pid = job->pid,
                                       .context = e->context,
                                       .stream = e->stream,
                                       .correlation = e->correlation,
                                       .start_ns = start,
                                       .end_ns = end};
    for (size_t i = 0; i < MOE_COUNT(kinds); i++)
        if (strcmp(e->wait->str, kinds[i].says) == 0)
            row.kind = kinds[i].kind;
    moe_profile_add_synchronization(job->writer, &row);
}

static void
torch_other(torch_job *job, const moe_torch_event *e)
{
    uint64_t *n = g_hash_table_lookup(job->others, e->category->str);
    if (!n) {
        n = g_new0(uint64_t, 1);
        g_hash_table_insert(job->others, g_strdup(e->category->str), n);
    }
    ++*n;
}

static bool
torch_write(void *context, moe_torch_event *e)
{
    torch_job *job = context;
    uint64_t start, end;
    if (e->kind == MOE_TORCH_OTHER) {
        torch_other(job, e);
        return true;
    }
    if (!torch_times(e, &start, &end)) {
        job->odd++;
        return true;
    }
    job->first_ns = MIN(job->first_ns, start);
    job->last_ns = MAX(job->last_ns, end);
    if (e->kind == MOE_TORCH_KERNEL)
        torch_kernel(job, e, (int64_t)start, (int64_t)end);
    else if (e->kind == MOE_TORCH_MEMCPY || e->kind == MOE_TORCH_MEMSET)
        torch_memop(job, e, (int64_t)start, (int64_t)end);
    else if (e->kind == MOE_TORCH_RUNTIME || e->kind == MOE_TORCH_DRIVER)
        torch_api(job, e, (int64_t)start, (int64_t)end);
    else if (e->kind == MOE_TORCH_WAIT)
        torch_wait(job, e, (int64_t)start, (int64_t)end);
    else if (e->kind == MOE_TORCH_OVERHEAD)
        moe_profile_add_overhead(job->writer, job->pid, e->thread, e->name->str, (int64_t)start,
                                 (int64_t)end);
    return !moe_profile_writer_failed(job->writer);
}

/* ---- what is not of time ---- */

static gint
torch_by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

static void
torch_notes(torch_job *job)
{
    g_autoptr(GList) others = g_hash_table_get_keys(job->others);
    others = g_list_sort(others, torch_by_text);
    for (GList *at = others; at; at = at->next)
        moe_profile_note(job->writer, job->pid, MOE_PROFILE_NULL, "foreign_note",
                         *(const uint64_t *)g_hash_table_lookup(job->others, at->data),
                         "events of category '%s' have no place in a profile: left out",
                         (const char *)at->data);
    if (job->odd)
        moe_profile_note(job->writer, job->pid, MOE_PROFILE_NULL, "foreign_row", job->odd,
                         "events without times, or of negative ones, are left out");
    moe_profile_loss(job->writer, job->pid, "torch", "odd_events", job->odd);
    if (job->other_pid != MOE_PROFILE_NULL)
        moe_profile_note(job->writer, job->pid, MOE_PROFILE_NULL, "foreign_note", 1,
                         "the trace is of several processes, such as %lld: read as one",
                         (long long)job->other_pid);
}

static void
torch_facts(torch_job *job)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, job->head.texts);
    while (g_hash_table_iter_next(&iter, &key, &value)) { /* the profile sorts them */
        g_autofree char *name = g_strconcat("torch.", key, NULL);
        moe_profile_meta(job->writer, name, value);
    }
    for (guint i = 0; i < job->head.devices->len; i++) {
        const moe_torch_device *d = &g_array_index(job->head.devices, moe_torch_device, i);
        g_autofree char *capability =
            d->major == MOE_PROFILE_NULL || d->minor == MOE_PROFILE_NULL
                ? NULL
                : g_strdup_printf("%lld.%lld", (long long)d->major, (long long)d->minor);
        moe_profile_device row = {.pid = job->pid,
                                  .device = d->device,
                                  .name = d->name,
                                  .capability = capability,
                                  .sms = d->sms,
                                  .memory_bytes = d->memory_bytes,
                                  .memory_clock_khz = MOE_PROFILE_NULL};
        if (d->device != MOE_PROFILE_NULL)
            moe_profile_add_device(job->writer, &row);
    }
    bool known = job->first_ns <= job->last_ns;
    moe_profile_process row = {.pid = job->pid,
                               .parent = MOE_PROFILE_NULL,
                               .rank = job->head.rank,
                               .start_ns = known ? (int64_t)job->first_ns : MOE_PROFILE_NULL,
                               .end_ns = known ? (int64_t)job->last_ns : MOE_PROFILE_NULL,
                               .realtime_offset_ns = job->head.base_ns,
                               .attach = "full"};
    moe_profile_add_process(job->writer, &row);
}

/* ---- the file ---- */

static bool
torch_read(torch_job *job, const moe_torch_input *input, moe_diag *diag, GError **error)
{
    if (!moe_torch_read(input, &job->head, torch_learn, job, diag, error))
        return false;
    if (!job->head.events) {
        moe_diag_error(diag, (moe_loc){.file = input->file},
                       "has no list 'traceEvents': it is no trace of the PyTorch profiler");
        return false;
    }
    if (job->pid == MOE_PROFILE_NULL)
        job->pid = 0;
    moe_nest_number(job->nest, job->pid);
    torch_settle(job);
    if (!moe_torch_read(input, NULL, torch_write, job, diag, error))
        return false;
    torch_facts(job);
    torch_notes(job);
    return true;
}

bool
moe_torch_import(const moe_torch_input *input, moe_profile_writer *writer, moe_diag *diag,
                 GError **error)
{
    torch_job job = {.writer = writer,
                     .pid = MOE_PROFILE_NULL,
                     .other_pid = MOE_PROFILE_NULL,
                     .nest = moe_nest_new(0),
                     .spans = g_array_new(FALSE, FALSE, sizeof(torch_span)),
                     .launches = g_array_new(FALSE, FALSE, sizeof(torch_call)),
                     .calls = moe_calls_new(),
                     .others = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                     .first_ns = UINT64_MAX};
    moe_torch_head_init(&job.head);
    bool ok = torch_read(&job, input, diag, error);
    moe_torch_head_clear(&job.head);
    moe_nest_free(job.nest);
    g_array_unref(job.spans);
    g_array_unref(job.launches);
    moe_calls_free(job.calls);
    g_hash_table_unref(job.others);
    return ok;
}

bool
moe_profile_import_torch(const char *file, const char *path, const moe_profile_options *options,
                         moe_profile_summary *summary, moe_diag *diag, GError **error)
{
    g_autoptr(moe_profile_writer) writer = moe_profile_writer_new(path, error);
    moe_torch_input input = {.file = file};
    if (!writer)
        return false;
    moe_profile_begin(writer, "torch", options);
    moe_profile_meta(writer, "clock", "torch");
    return moe_torch_import(&input, writer, diag, error) &&
           moe_profile_writer_finish(g_steal_pointer(&writer), summary, error);
}
