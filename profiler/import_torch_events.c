#include "profiler/import_torch.h"

#include "traces/import/json_stream.h"

#include <math.h>
#include <string.h>

typedef struct torch_reader {
    moe_json_stream *stream;
    moe_torch_head *head;
    moe_torch_visit *visit;
    void *context;
    moe_torch_event event;
    bool stopped;
} torch_reader;

/* ---- values ---- */

/* Skips a value that was just seen; false: the stream is wrong. */
static bool
torch_skip(torch_reader *r, moe_json_event what)
{
    if (what == MOE_JSON_OBJECT || what == MOE_JSON_ARRAY)
        return moe_json_skip(r->stream);
    return what != MOE_JSON_WRONG && what != MOE_JSON_END;
}

/* The number at hand in thousandths: microseconds as nanoseconds, exactly where it is written as
 * plain decimals. MOE_PROFILE_NULL: beyond what a profile holds. */
static int64_t
torch_thousandths(const char *text)
{
    bool negative = *text == '-';
    const char *at = text + negative;
    int64_t value = 0;
    int digits = 0;
    for (; g_ascii_isdigit(*at) && value < INT64_MAX / 10000; at++)
        value = value * 10 + (*at - '0');
    bool plain = *at == '.' || *at == '\0';
    if (*at == '.')
        at++;
    for (; digits < 3; digits++)
        value = value * 10 + (g_ascii_isdigit(*at) ? *at++ - '0' : 0);
    while (g_ascii_isdigit(*at))
        at++;
    if (plain && *at == '\0')
        return negative ? -value : value;
    double real = g_ascii_strtod(text, NULL) * 1e3;
    return fabs(real) < 9e18 ? (int64_t)real : MOE_PROFILE_NULL;
}

static int64_t
torch_whole(const torch_reader *r, moe_json_event what)
{
    int64_t value;
    return what == MOE_JSON_NUMBER && moe_json_whole(r->stream, &value) ? value : MOE_PROFILE_NULL;
}

/* A list of three numbers, as of a grid. */
static bool
torch_three(torch_reader *r, moe_json_event what, int64_t out[3])
{
    if (what != MOE_JSON_ARRAY)
        return torch_skip(r, what);
    for (int i = 0;; i++) {
        what = moe_json_next(r->stream);
        if (what == MOE_JSON_CLOSE)
            return true;
        if (i < 3)
            out[i] = torch_whole(r, what);
        if (!torch_skip(r, what))
            return false;
    }
}

/* ---- one event ---- */

#define OF(field) offsetof(moe_torch_event, field)

static bool
torch_argument(torch_reader *r, const char *key, moe_json_event what)
{
    static const struct {
        const char *key;
        size_t offset;
    } numbers[] = {{"correlation", OF(correlation)},
                   {"device", OF(device)},
                   {"context", OF(context)},
                   {"stream", OF(stream)},
                   {"bytes", OF(bytes)},
                   {"registers per thread", OF(registers)},
                   {"shared memory", OF(shared)},
                   {"graph id", OF(graph)},
                   {"graph node id", OF(node)}};
    moe_torch_event *e = &r->event;
    for (size_t i = 0; i < MOE_COUNT(numbers); i++)
        if (strcmp(key, numbers[i].key) == 0) {
            *(int64_t *)(void *)((char *)e + numbers[i].offset) = torch_whole(r, what);
            return torch_skip(r, what);
        }
    if (strcmp(key, "grid") == 0)
        return torch_three(r, what, e->grid);
    if (strcmp(key, "block") == 0)
        return torch_three(r, what, e->block);
    if (strcmp(key, "cuda_sync_kind") == 0 && what == MOE_JSON_TEXT)
        g_string_assign(e->wait, moe_json_text(r->stream, NULL));
    return torch_skip(r, what);
}

/* The members of an object that was just opened. */
typedef bool torch_member(torch_reader *r, const char *key, moe_json_event what);

static bool
torch_members(torch_reader *r, torch_member *member)
{
    char key[64];
    for (;;) {
        moe_json_event what = moe_json_next(r->stream);
        if (what == MOE_JSON_CLOSE)
            return true;
        if (what != MOE_JSON_KEY)
            return false;
        g_strlcpy(key, moe_json_text(r->stream, NULL), sizeof key);
        if (!member(r, key, moe_json_next(r->stream)))
            return false;
    }
}

static bool
torch_field(torch_reader *r, const char *key, moe_json_event what)
{
    moe_torch_event *e = &r->event;
    if (strcmp(key, "args") == 0 && what == MOE_JSON_OBJECT)
        return torch_members(r, torch_argument);
    if (what == MOE_JSON_TEXT) {
        const char *text = moe_json_text(r->stream, NULL);
        if (strcmp(key, "ph") == 0)
            e->phase = *text;
        else if (strcmp(key, "cat") == 0)
            g_string_assign(e->category, text);
        else if (strcmp(key, "name") == 0)
            g_string_assign(e->name, text);
    } else if (what == MOE_JSON_NUMBER) {
        if (strcmp(key, "ts") == 0)
            e->start_ns = torch_thousandths(moe_json_text(r->stream, NULL));
        else if (strcmp(key, "dur") == 0)
            e->duration_ns = torch_thousandths(moe_json_text(r->stream, NULL));
        else if (strcmp(key, "pid") == 0)
            e->pid = torch_whole(r, what);
        else if (strcmp(key, "tid") == 0)
            e->thread = torch_whole(r, what);
    }
    return torch_skip(r, what);
}

static moe_torch_kind
torch_kind(const char *category)
{
    /* with the names that older versions gave */
    static const struct {
        const char *name;
        moe_torch_kind kind;
    } kinds[] = {{"cpu_op", MOE_TORCH_RANGE},      {"user_annotation", MOE_TORCH_RANGE},
                 {"Operator", MOE_TORCH_RANGE},    {"cuda_runtime", MOE_TORCH_RUNTIME},
                 {"Runtime", MOE_TORCH_RUNTIME},   {"cuda_driver", MOE_TORCH_DRIVER},
                 {"kernel", MOE_TORCH_KERNEL},     {"Kernel", MOE_TORCH_KERNEL},
                 {"gpu_memcpy", MOE_TORCH_MEMCPY}, {"Memcpy", MOE_TORCH_MEMCPY},
                 {"gpu_memset", MOE_TORCH_MEMSET}, {"Memset", MOE_TORCH_MEMSET},
                 {"cuda_sync", MOE_TORCH_WAIT},    {"overhead", MOE_TORCH_OVERHEAD}};
    for (size_t i = 0; i < MOE_COUNT(kinds); i++)
        if (strcmp(category, kinds[i].name) == 0)
            return kinds[i].kind;
    return MOE_TORCH_OTHER;
}

static bool
torch_event(torch_reader *r)
{
    moe_torch_event *e = &r->event;
    int64_t *numbers[] = {&e->pid,     &e->thread,   &e->start_ns, &e->duration_ns, &e->correlation,
                          &e->device,  &e->context,  &e->stream,   &e->bytes,       &e->registers,
                          &e->shared,  &e->graph,    &e->node,     &e->grid[0],     &e->grid[1],
                          &e->grid[2], &e->block[0], &e->block[1], &e->block[2]};
    for (size_t i = 0; i < MOE_COUNT(numbers); i++)
        *numbers[i] = MOE_PROFILE_NULL;
    g_string_truncate(e->category, 0);
    g_string_truncate(e->name, 0);
    g_string_truncate(e->wait, 0);
    e->phase = 0;
    if (!torch_members(r, torch_field))
        return false;
    e->kind = torch_kind(e->category->str);
    r->stopped = e->phase == 'X' && !r->visit(r->context, e);
    return !r->stopped;
}

static bool
torch_events(torch_reader *r)
{
    for (;;) {
        moe_json_event what = moe_json_next(r->stream);
        if (what == MOE_JSON_CLOSE)
            return true;
        if (what == MOE_JSON_OBJECT ? !torch_event(r) : !torch_skip(r, what))
            return false;
    }
}

/* ---- the top ---- */

static bool
torch_device_field(torch_reader *r, const char *key, moe_json_event what)
{
    moe_torch_device *d =
        &g_array_index(r->head->devices, moe_torch_device, r->head->devices->len - 1);
    if (strcmp(key, "id") == 0)
        d->device = torch_whole(r, what);
    else if (strcmp(key, "totalGlobalMem") == 0)
        d->memory_bytes = torch_whole(r, what);
    else if (strcmp(key, "computeMajor") == 0)
        d->major = torch_whole(r, what);
    else if (strcmp(key, "computeMinor") == 0)
        d->minor = torch_whole(r, what);
    else if (strcmp(key, "numSms") == 0)
        d->sms = torch_whole(r, what);
    else if (strcmp(key, "name") == 0 && what == MOE_JSON_TEXT && !d->name)
        d->name = g_strdup(moe_json_text(r->stream, NULL));
    return torch_skip(r, what);
}

static bool
torch_devices(torch_reader *r)
{
    enum { MOST = 1024 };
    for (;;) {
        moe_json_event what = moe_json_next(r->stream);
        if (what == MOE_JSON_CLOSE)
            return true;
        moe_torch_device none = {MOE_PROFILE_NULL, MOE_PROFILE_NULL, MOE_PROFILE_NULL,
                                 MOE_PROFILE_NULL, MOE_PROFILE_NULL, NULL};
        bool taken = what == MOE_JSON_OBJECT && r->head->devices->len < MOST;
        if (taken)
            g_array_append_val(r->head->devices, none);
        if (taken ? !torch_members(r, torch_device_field) : !torch_skip(r, what))
            return false;
    }
}

static bool
torch_distributed(torch_reader *r, const char *key, moe_json_event what)
{
    if (strcmp(key, "rank") == 0)
        r->head->rank = torch_whole(r, what);
    return torch_skip(r, what);
}

static bool
torch_top(torch_reader *r, const char *key, moe_json_event what)
{
    moe_torch_head *head = r->head;
    if (strcmp(key, "traceEvents") == 0 && what == MOE_JSON_ARRAY) {
        if (head)
            head->events = true;
        return torch_events(r);
    }
    if (head && strcmp(key, "deviceProperties") == 0 && what == MOE_JSON_ARRAY)
        return torch_devices(r);
    if (head && strcmp(key, "distributedInfo") == 0 && what == MOE_JSON_OBJECT)
        return torch_members(r, torch_distributed);
    if (head && strcmp(key, "baseTimeNanoseconds") == 0)
        head->base_ns = torch_whole(r, what);
    else if (head && (what == MOE_JSON_TEXT || what == MOE_JSON_NUMBER) && *key)
        g_hash_table_replace(head->texts, g_strdup(key), g_strdup(moe_json_text(r->stream, NULL)));
    return torch_skip(r, what);
}

static void
torch_clear_device(gpointer data)
{
    g_free(((moe_torch_device *)data)->name);
}

void
moe_torch_head_init(moe_torch_head *head)
{
    *head = (moe_torch_head){.base_ns = MOE_PROFILE_NULL, .rank = MOE_PROFILE_NULL};
    head->devices = g_array_new(FALSE, FALSE, sizeof(moe_torch_device));
    g_array_set_clear_func(head->devices, torch_clear_device);
    head->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void
moe_torch_head_clear(moe_torch_head *head)
{
    g_array_unref(head->devices);
    g_hash_table_unref(head->texts);
}

/* The whole document: an object with a list of events, or the list alone. */
static bool
torch_document(torch_reader *r)
{
    moe_json_event what = moe_json_next(r->stream);
    bool ok;
    if (what == MOE_JSON_ARRAY && r->head)
        r->head->events = true;
    if (what == MOE_JSON_ARRAY)
        ok = torch_events(r);
    else if (what == MOE_JSON_OBJECT)
        ok = torch_members(r, torch_top);
    else
        ok = torch_skip(r, what);
    if (r->stopped)
        return true;
    return ok && moe_json_next(r->stream) == MOE_JSON_END;
}

bool
moe_torch_read(const moe_torch_input *input, moe_torch_head *head, moe_torch_visit *visit,
               void *context, moe_diag *diag, GError **error)
{
    const char *name = moe_diag_intern(diag, input->file);
    unsigned before = moe_diag_errors(diag);
    GError *failure = NULL;
    moe_text_source *source = input->bytes ? moe_text_source_memory(name, input->bytes, input->n)
                                           : moe_text_source_open(input->file, &failure);
    if (!source) {
        g_propagate_error(error, failure);
        return false;
    }
    g_autoptr(moe_json_stream) stream = moe_json_stream_new(source, name, diag, &failure);
    torch_reader r = {.stream = stream, .head = head, .visit = visit, .context = context};
    r.event.category = g_string_new(NULL);
    r.event.name = g_string_new(NULL);
    r.event.wait = g_string_new(NULL);
    bool ok = torch_document(&r);
    if (!ok && !failure && moe_diag_errors(diag) == before)
        moe_diag_error(diag, (moe_loc){.file = name, .line = moe_json_line(stream)},
                       "is no trace of the PyTorch profiler");
    g_string_free(r.event.category, TRUE);
    g_string_free(r.event.name, TRUE);
    g_string_free(r.event.wait, TRUE);
    if (failure)
        g_propagate_error(error, failure);
    return ok;
}
