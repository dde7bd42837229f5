#include "profiler/profile_decode.h"

#include <string.h>

/* ---- texts and times ---- */

int64_t
moe_decode_text(moe_decode *d, uint64_t id)
{
    if (id == 0)
        return 0;
    uint32_t known = d->texts.n, at = moe_index_map_add(&d->texts, id);
    moe_assert(at != MOE_NONE, "no memory for %u texts", known);
    if (at == known) {
        size_t n = 0;
        const char *text = id <= UINT32_MAX ? moe_rawread_text(d->file, (uint32_t)id, &n) : NULL;
        int64_t new = moe_profile_text(d->writer, text, (gssize)n);
        d->unknown_texts += !text;
        g_array_append_val(d->of_text, new);
    }
    return g_array_index(d->of_text, int64_t, at);
}

uint64_t
moe_decode_time(const moe_decode *d, uint64_t time_ns)
{
    if (!d->realtime || d->clocks->len == 0)
        return time_ns;
    /* the last pair before it; steps of the wall clock are then met where they happened */
    guint i = 0;
    while (i + 1 < d->clocks->len &&
           g_array_index(d->clocks, moe_raw_clock, i + 1).realtime_ns <= time_ns)
        i++;
    const moe_raw_clock *pair = &g_array_index(d->clocks, moe_raw_clock, i);
    return time_ns - pair->realtime_ns + pair->monotonic_ns;
}

/* ---- chunks of one kind ---- */

typedef void decode_entry(moe_decode *d, const void *entry);

static void
decode_entries(moe_decode *d, uint32_t type, size_t bytes, decode_entry *entry)
{
    size_t n;
    const moe_raw_chunk *chunks = moe_rawread_chunks(d->file, &n);
    for (size_t i = 0; i < n; i++) {
        if (chunks[i].type != type)
            continue;
        for (size_t at = 0; at + bytes <= chunks[i].bytes; at += bytes)
            entry(d, chunks[i].payload + at);
        d->odd += chunks[i].bytes % bytes != 0;
    }
}

static void
decode_clock(moe_decode *d, const void *entry)
{
    moe_raw_clock clock = *(const moe_raw_clock *)entry;
    d->first_ns = MIN(d->first_ns, clock.monotonic_ns);
    d->last_ns = MAX(d->last_ns, clock.monotonic_ns);
    g_array_append_val(d->clocks, clock);
}

static void
decode_size(moe_decode *d, const void *entry)
{
    const moe_raw_size *size = entry;
    if (moe_activity_sizes_set(&d->sizes, size->kind, size->bytes))
        d->sizes_told = true;
    else
        d->odd++;
}

static void
decode_close(moe_decode *d, const void *entry)
{
    const moe_raw_close *end = entry;
    d->last_ns = MAX(d->last_ns, end->time_ns);
}

static char *
decode_text_copy(moe_decode *d, uint32_t id)
{
    size_t n;
    const char *text = moe_rawread_text(d->file, id, &n);
    d->unknown_texts += !text && id;
    g_autofree char *copy = text ? g_strndup(text, n) : NULL;
    return copy ? g_utf8_make_valid(copy, -1) : NULL;
}

static void
decode_diagnostic(moe_decode *d, const void *entry)
{
    const moe_raw_diagnostic *said = entry;
    g_autofree char *code = decode_text_copy(d, said->code);
    g_autofree char *text = decode_text_copy(d, said->text);
    moe_profile_note_as(d->writer, d->pid, (int64_t)MIN(said->time_ns, (uint64_t)INT64_MAX),
                        MIN(said->severity, (uint32_t)MOE_PROFILE_ERROR), code ? code : "log_odd",
                        said->n ? said->n : 1, text);
}

/* What a loss means, for those who only read diagnostics. */
static void
decode_note_loss(moe_decode *d, const char *source, const char *what, uint64_t n)
{
    static const struct {
        const char *source, *what, *code;
    } codes[] = {
        {"cupti", "dropped", "records_dropped"}, {"cupti", "buffer_denied", "buffer_denied"},
        {"route", "lost", "route_lost"},         {"range", "lost", "range_lost"},
        {"node", "lost", "node_lost"},           {"counter", "lost", "counter_lost"},
        {"text", "lost", "text_lost"},
    };
    for (size_t i = 0; i < MOE_COUNT(codes); i++)
        if (strcmp(source, codes[i].source) == 0 && strcmp(what, codes[i].what) == 0)
            moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, codes[i].code, n, NULL);
}

static void
decode_loss(moe_decode *d, const void *entry)
{
    const moe_raw_loss *loss = entry;
    g_autofree char *source = decode_text_copy(d, loss->source);
    g_autofree char *what = decode_text_copy(d, loss->what);
    moe_profile_loss(d->writer, d->pid, source ? source : "unknown", what ? what : "unknown",
                     loss->n);
    if (source && what && loss->n)
        decode_note_loss(d, source, what, loss->n);
}

static void
decode_step(moe_decode *d, const void *entry)
{
    const moe_raw_step *said = entry;
    moe_nest_step step = {said->step,  said->time_ns,  said->thread,
                          said->phase, said->n_tokens, said->n_sequences};
    if (said->step < 0 || said->time_ns > INT64_MAX)
        d->odd++;
    else if (said->begin)
        moe_nest_step_begin(d->ranges, &step);
    else
        moe_nest_step_end(d->ranges, said->step, said->time_ns);
}

static void
decode_node(moe_decode *d, const void *entry)
{
    const moe_raw_node *said = entry;
    uint32_t known = d->nodes.n;
    moe_decode_node node = {said->original, said->range};
    uint32_t at = said->node ? moe_index_map_add(&d->nodes, said->node) : MOE_NONE;
    if (at == known)
        g_array_append_val(d->of_node, node);
    else if (at != MOE_NONE) /* numbers of nodes that are gone come again */
        g_array_index(d->of_node, moe_decode_node, at) = node;
    else
        d->odd++;
}

static void
decode_given_name(moe_decode *d, const void *entry)
{
    const moe_raw_name *said = entry;
    bool thread = said->kind == MOE_RAW_NAME_THREAD;
    g_autofree char *domain = decode_text_copy(d, said->domain);
    g_autofree char *name = decode_text_copy(d, said->text);
    if (name && (thread || said->kind == MOE_RAW_NAME_CATEGORY))
        moe_profile_add_name(d->writer, d->pid, thread ? "thread" : "category", said->number,
                             domain, name);
    else
        d->odd++;
}

/* The number of a text among the ranges' texts, by its id in the log. */
static uint32_t
decode_range_text(moe_decode *d, uint32_t id)
{
    if (id == 0)
        return MOE_NONE;
    uint32_t known = d->range_texts.n, at = moe_index_map_add(&d->range_texts, id);
    moe_assert(at != MOE_NONE, "no memory for %u texts", known);
    if (at == known) {
        size_t n;
        const char *text = moe_rawread_text(d->file, id, &n);
        uint32_t number = moe_nest_text(d->ranges, text, n);
        d->unknown_texts += !text;
        g_array_append_val(d->of_range_text, number);
    }
    return g_array_index(d->of_range_text, uint32_t, at);
}

static void
decode_range(moe_decode *d, const void *entry)
{
    const moe_raw_range *said = entry;
    static const moe_nest_kind kinds[] = {[MOE_RAW_PUSH] = MOE_NEST_PUSH,
                                          [MOE_RAW_START] = MOE_NEST_START,
                                          [MOE_RAW_MARK] = MOE_NEST_MARK};
    if (said->kind > MOE_RAW_MARK || said->time_ns > INT64_MAX || said->payload_type > 3) {
        d->odd++;
        return;
    }
    if (said->kind == MOE_RAW_POP || said->kind == MOE_RAW_END) {
        moe_nest_end(d->ranges, said->range, said->time_ns);
        return;
    }
    moe_nest_range begin = {.id = said->range,
                            .time_ns = said->time_ns,
                            .payload = said->payload,
                            .thread = said->thread,
                            .domain = decode_range_text(d, said->domain),
                            .text = decode_range_text(d, said->text),
                            .category = said->category,
                            .kind = kinds[said->kind],
                            .payload_type = (moe_profile_payload)said->payload_type};
    d->odd += !moe_nest_begin(d->ranges, &begin);
}

/* ---- one process ---- */

static void
decode_free(moe_decode *d)
{
    moe_nest_free(d->ranges);
    g_array_unref(d->clocks);
    g_array_unref(d->of_text);
    g_array_unref(d->of_range_text);
    g_array_unref(d->of_call);
    g_array_unref(d->links);
    g_array_unref(d->of_node);
    moe_index_map_clear(&d->texts);
    moe_index_map_clear(&d->range_texts);
    moe_index_map_clear(&d->calls);
    moe_index_map_clear(&d->correlations);
    moe_index_map_clear(&d->nodes);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_decode, decode_free)

static moe_decode *
decode_new(moe_raw_file *file, int64_t pid, moe_profile_writer *writer)
{
    moe_decode *d = g_new0(moe_decode, 1);
    const char *clock = moe_rawread_hello(file, "clock");
    const char *cupti = moe_rawread_hello(file, "cupti");
    d->pid = pid;
    d->file = file;
    d->writer = writer;
    d->ranges = moe_nest_new(pid);
    d->clocks = g_array_new(FALSE, FALSE, sizeof(moe_raw_clock));
    d->of_text = g_array_new(FALSE, FALSE, sizeof(int64_t));
    d->of_range_text = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    d->of_call = g_array_new(FALSE, FALSE, sizeof(int64_t));
    d->links = g_array_new(FALSE, FALSE, sizeof(moe_decode_link));
    d->of_node = g_array_new(FALSE, FALSE, sizeof(moe_decode_node));
    d->realtime = clock && strcmp(clock, "realtime") == 0;
    d->first_ns = UINT64_MAX;
    moe_activity_sizes_init(&d->sizes, (uint32_t)(cupti ? g_ascii_strtoull(cupti, NULL, 10) : 0));
    return d;
}

static int64_t
decode_number(const moe_decode *d, const char *key)
{
    const char *text = moe_rawread_hello(d->file, key);
    gint64 number;
    return text && g_ascii_string_to_signed(text, 10, INT32_MIN, INT32_MAX, &number, NULL)
               ? number
               : MOE_PROFILE_NULL;
}

/* How a process ended, as the table has it; yours. */
static char *
decode_ended(moe_decode *d)
{
    size_t n;
    const moe_raw_chunk *chunks = moe_rawread_chunks(d->file, &n);
    moe_raw_close end;
    if (n == 0 || chunks[n - 1].type != MOE_RAW_CLOSE || chunks[n - 1].bytes < sizeof end) {
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "killed", 1, NULL);
        return g_strdup("killed");
    }
    memcpy(&end, chunks[n - 1].payload, sizeof end);
    if (end.reason == 1)
        return g_strdup_printf("signal %u", end.signal);
    return g_strdup(end.reason == 2 ? "exec" : "exit");
}

static void
decode_process(moe_decode *d)
{
    const char *cupti = moe_rawread_hello(d->file, "cupti");
    bool full = cupti && g_ascii_isdigit(*cupti);
    g_autofree char *ended = decode_ended(d);
    const moe_raw_clock *clock =
        d->clocks->len ? &g_array_index(d->clocks, moe_raw_clock, 0) : NULL;
    const char *name = moe_rawread_hello(d->file, "argv");
    name = name ? name : moe_rawread_hello(d->file, "exe");
    g_autofree char *words = g_strdup(name);
    if (words)
        g_strdelimit(words, "\x1f", ' ');
    bool known = d->first_ns <= d->last_ns;
    moe_profile_process row = {.pid = d->pid,
                               .parent = decode_number(d, "ppid"),
                               .rank = decode_number(d, "rank"),
                               .name = words,
                               .start_ns = known ? (int64_t)d->first_ns : MOE_PROFILE_NULL,
                               .end_ns = known ? (int64_t)d->last_ns : MOE_PROFILE_NULL,
                               .realtime_offset_ns =
                                   clock ? (int64_t)(clock->realtime_ns - clock->monotonic_ns)
                                         : MOE_PROFILE_NULL,
                               .attach = full                    ? "full"
                                         : moe_nest_n(d->ranges) ? "nvtx"
                                         : d->routes             ? "route"
                                                                 : "none",
                               .ended = ended};
    moe_profile_add_process(d->writer, &row);
}

static void
decode_notes(moe_decode *d)
{
    uint64_t bytes;
    moe_raw_ending ending = moe_rawread_end(d->file, &bytes);
    static const char *const codes[] = {[MOE_RAW_CUT] = "log_cut",
                                        [MOE_RAW_DAMAGED] = "log_damaged",
                                        [MOE_RAW_FOREIGN] = "log_foreign"};
    if (ending != MOE_RAW_WHOLE) {
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, codes[ending], 1, NULL);
        moe_profile_loss(d->writer, d->pid, "log", ending == MOE_RAW_CUT ? "cut" : "damaged", 1);
        moe_profile_loss(d->writer, d->pid, "log", "unread_bytes", bytes);
    }
    d->odd += moe_rawread_odd(d->file);
    if (d->odd)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "log_odd", d->odd, NULL);
    if (d->unknown_texts)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "unknown_text", d->unknown_texts,
                         NULL);
}

/* What HELLO says that holds for the whole capture; the first process that says it counts. */
static void
decode_meta(moe_decode *d)
{
    static const char *const keys[] = {"cupti", "cupti_path", "driver",   "trace",
                                       "model", "window",     "delay_ms", "duration_ms"};
    for (size_t i = 0; i < MOE_COUNT(keys); i++)
        moe_profile_meta(d->writer, keys[i], moe_rawread_hello(d->file, keys[i]));
}

void
moe_decode_process(moe_raw_file *file, int64_t pid, moe_profile_writer *writer)
{
    g_autoptr(moe_decode) d = decode_new(file, pid, writer);
    decode_entries(d, MOE_RAW_CLOCK, sizeof(moe_raw_clock), decode_clock);
    decode_entries(d, MOE_RAW_SIZES, sizeof(moe_raw_size), decode_size);
    decode_entries(d, MOE_RAW_DIAGNOSTIC, sizeof(moe_raw_diagnostic), decode_diagnostic);
    decode_entries(d, MOE_RAW_LOSS, sizeof(moe_raw_loss), decode_loss);
    decode_entries(d, MOE_RAW_STEPS, sizeof(moe_raw_step), decode_step);
    decode_entries(d, MOE_RAW_RANGES, sizeof(moe_raw_range), decode_range);
    decode_entries(d, MOE_RAW_NODES, sizeof(moe_raw_node), decode_node);
    decode_entries(d, MOE_RAW_NAMES, sizeof(moe_raw_name), decode_given_name);
    decode_entries(d, MOE_RAW_CLOSE, sizeof(moe_raw_close), decode_close);
    if (moe_nest_first_ns(d->ranges) <= moe_nest_last_ns(d->ranges)) {
        d->first_ns = MIN(d->first_ns, moe_nest_first_ns(d->ranges));
        d->last_ns = MAX(d->last_ns, moe_nest_last_ns(d->ranges));
    }
    moe_nest_settle(d->ranges, d->last_ns, writer);
    moe_decode_activity(d);
    moe_decode_routes(d);
    moe_decode_counters(d);
    decode_meta(d);
    decode_process(d);
    decode_notes(d);
}
