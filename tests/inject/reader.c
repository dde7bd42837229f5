#include "tests/inject/reader.h"

#include <string.h>
#include <zlib.h>

static void
add_rows(GArray *rows, const uint8_t *payload, uint32_t bytes)
{
    guint size = g_array_get_element_size(rows);
    g_assert(bytes % size == 0);
    g_array_append_vals(rows, payload, bytes / size);
}

static void
add_texts(raw_log *log, const uint8_t *payload, uint32_t bytes)
{
    for (uint32_t at = 0; at + sizeof(moe_raw_string) <= bytes;) {
        moe_raw_string head;
        memcpy(&head, payload + at, sizeof head);
        at += sizeof head;
        g_assert(head.bytes <= bytes - at);
        if (head.id != log->texts->len)
            log->texts_first = false;
        g_ptr_array_add(log->texts, g_strndup((const char *)payload + at, head.bytes));
        at += (head.bytes + 7) & ~7u;
    }
}

static void
see_text(raw_log *log, uint32_t id)
{
    if (id >= log->texts->len)
        log->texts_first = false;
}

static void
add_routes(GPtrArray *routes, const uint8_t *payload, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes;) {
        moe_raw_route head;
        memcpy(&head, payload + at, sizeof head);
        size_t cells = (size_t)head.n * (size_t)head.k;
        size_t all = sizeof head + cells * (head.flags & MOE_RAW_ROUTE_WEIGHTS ? 6 : 2);
        g_assert(at + all <= bytes);
        g_ptr_array_add(routes, g_memdup2(payload + at, all));
        at += (uint32_t)((all + 7) & ~(size_t)7);
    }
}

static void
add_tokens(GPtrArray *tokens, const uint8_t *payload, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes;) {
        moe_raw_tokens head;
        memcpy(&head, payload + at, sizeof head);
        size_t all = sizeof head + (size_t)head.n * 12;
        g_assert(at + all <= bytes);
        g_ptr_array_add(tokens, g_memdup2(payload + at, all));
        at += (uint32_t)((all + 7) & ~(size_t)7);
    }
}

static void
add_activity(raw_log *log, const uint8_t *payload, uint32_t bytes)
{
    moe_raw_activity head;
    g_assert(bytes >= sizeof head);
    memcpy(&head, payload, sizeof head);
    g_assert(head.bytes == bytes - sizeof head && head.sequence == log->buffers);
    log->buffers++;
    g_byte_array_append(log->activity, payload + sizeof head, head.bytes);
}

static void
add_chunk(raw_log *log, uint32_t type, const uint8_t *payload, uint32_t bytes)
{
    switch (type) {
    case MOE_RAW_HELLO:
        g_string_append_len(log->hello, (const char *)payload, bytes);
        break;
    case MOE_RAW_CLOCK:
        g_assert(bytes == sizeof(moe_raw_clock));
        log->clocks++;
        break;
    case MOE_RAW_SIZES:
        add_rows(log->sizes, payload, bytes);
        break;
    case MOE_RAW_STRINGS:
        add_texts(log, payload, bytes);
        break;
    case MOE_RAW_ACTIVITY:
        add_activity(log, payload, bytes);
        break;
    case MOE_RAW_RANGES:
        add_rows(log->ranges, payload, bytes);
        for (guint i = 0; i < log->ranges->len; i++)
            see_text(log, g_array_index(log->ranges, moe_raw_range, i).text);
        break;
    case MOE_RAW_STEPS:
        add_rows(log->steps, payload, bytes);
        break;
    case MOE_RAW_TOKENS:
        add_tokens(log->tokens, payload, bytes);
        break;
    case MOE_RAW_ROUTES:
        add_routes(log->routes, payload, bytes);
        break;
    case MOE_RAW_NODES:
        add_rows(log->nodes, payload, bytes);
        break;
    case MOE_RAW_NAMES:
        add_rows(log->names, payload, bytes);
        break;
    case MOE_RAW_DIAGNOSTIC:
        add_rows(log->said, payload, bytes);
        for (guint i = 0; i < log->said->len; i++)
            see_text(log, g_array_index(log->said, moe_raw_diagnostic, i).text);
        break;
    case MOE_RAW_LOSS:
        add_rows(log->losses, payload, bytes);
        break;
    case MOE_RAW_COUNTERS:
        add_rows(log->counters, payload, bytes);
        for (guint i = 0; i < log->counters->len; i++) {
            see_text(log, g_array_index(log->counters, moe_raw_counter, i).range);
            see_text(log, g_array_index(log->counters, moe_raw_counter, i).metric);
        }
        break;
    case MOE_RAW_CLOSE:
        g_assert(bytes == sizeof log->close);
        memcpy(&log->close, payload, bytes);
        log->closed = true;
        break;
    default:
        g_error("chunk of type %u", type);
    }
}

/* False: here is no whole chunk. */
static bool
read_chunk(raw_log *log, const uint8_t *at, size_t left, size_t *all)
{
    moe_raw_head head;
    if (left < sizeof head)
        return false;
    memcpy(&head, at, sizeof head);
    *all = sizeof head + ((head.bytes + 7) & ~(size_t)7);
    if (head.magic != MOE_RAW_CHUNK || head.bytes > MOE_RAW_MAX_PAYLOAD || *all > left ||
        head.crc != crc32(0, at + sizeof head, head.bytes))
        return false;
    if (log->first_type == 0)
        log->first_type = head.type;
    g_assert(!log->closed);
    add_chunk(log, head.type, at + sizeof head, head.bytes);
    return true;
}

static void
free_text(void *text)
{
    g_free(text);
}

raw_log *
raw_log_read(const char *path)
{
    char *bytes = NULL;
    size_t n = 0;
    if (!g_file_get_contents(path, &bytes, &n, NULL))
        return NULL;
    raw_log *log = g_new0(raw_log, 1);
    log->name = g_path_get_basename(path);
    log->hello = g_string_new(NULL);
    log->texts = g_ptr_array_new_with_free_func(free_text);
    g_ptr_array_add(log->texts, g_strdup(""));
    log->texts_first = true;
    log->ranges = g_array_new(FALSE, FALSE, sizeof(moe_raw_range));
    log->steps = g_array_new(FALSE, FALSE, sizeof(moe_raw_step));
    log->nodes = g_array_new(FALSE, FALSE, sizeof(moe_raw_node));
    log->names = g_array_new(FALSE, FALSE, sizeof(moe_raw_name));
    log->said = g_array_new(FALSE, FALSE, sizeof(moe_raw_diagnostic));
    log->losses = g_array_new(FALSE, FALSE, sizeof(moe_raw_loss));
    log->sizes = g_array_new(FALSE, FALSE, sizeof(moe_raw_size));
    log->counters = g_array_new(FALSE, FALSE, sizeof(moe_raw_counter));
    log->routes = g_ptr_array_new_with_free_func(g_free);
    log->tokens = g_ptr_array_new_with_free_func(g_free);
    log->activity = g_byte_array_new();
    size_t at = strlen(MOE_RAW_MAGIC), all = 0;
    if (n >= at && memcmp(bytes, MOE_RAW_MAGIC, at) == 0)
        while (read_chunk(log, (uint8_t *)bytes + at, n - at, &all))
            at += all;
    log->whole = at == n;
    g_free(bytes);
    return log;
}

void
raw_log_free(raw_log *log)
{
    GArray *rows[] = {log->ranges, log->steps,  log->nodes, log->names,
                      log->said,   log->losses, log->sizes, log->counters};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_array_free(rows[i], TRUE);
    g_ptr_array_free(log->routes, TRUE);
    g_ptr_array_free(log->tokens, TRUE);
    g_ptr_array_free(log->texts, TRUE);
    g_byte_array_free(log->activity, TRUE);
    g_string_free(log->hello, TRUE);
    g_free(log->name);
    g_free(log);
}

const char *
raw_log_text(const raw_log *log, uint32_t id)
{
    return id < log->texts->len ? g_ptr_array_index(log->texts, id) : "?";
}

const char *
raw_log_said(const raw_log *log, const char *code)
{
    for (guint i = 0; i < log->said->len; i++) {
        const moe_raw_diagnostic *said = &g_array_index(log->said, moe_raw_diagnostic, i);
        if (strcmp(raw_log_text(log, said->code), code) == 0)
            return raw_log_text(log, said->text);
    }
    return NULL;
}

uint64_t
raw_log_lost(const raw_log *log, const char *source, const char *what)
{
    uint64_t sum = 0;
    for (guint i = 0; i < log->losses->len; i++) {
        const moe_raw_loss *loss = &g_array_index(log->losses, moe_raw_loss, i);
        if (strcmp(raw_log_text(log, loss->source), source) == 0 &&
            strcmp(raw_log_text(log, loss->what), what) == 0)
            sum += loss->n;
    }
    return sum;
}

bool
raw_log_hello(const raw_log *log, const char *line)
{
    g_autofree char *whole = g_strconcat("\n", line, "\n", NULL);
    g_autofree char *all = g_strconcat("\n", log->hello->str, NULL);
    return strstr(all, whole) != NULL;
}

static uint32_t
size_of(const raw_log *log, uint32_t kind)
{
    for (guint i = 0; i < log->sizes->len; i++)
        if (g_array_index(log->sizes, moe_raw_size, i).kind == kind)
            return g_array_index(log->sizes, moe_raw_size, i).bytes;
    return 0;
}

const uint8_t *
raw_log_activity(const raw_log *log, uint32_t kind, const uint8_t *record)
{
    const uint8_t *at = log->activity->data, *end = at + log->activity->len;
    while (at < end) {
        uint32_t this_kind;
        memcpy(&this_kind, at, sizeof this_kind);
        if (this_kind == kind && (record == NULL || at > record))
            return at;
        uint32_t bytes = size_of(log, this_kind);
        if (bytes == 0)
            return NULL;
        at += bytes;
    }
    return NULL;
}

unsigned
raw_log_count(const raw_log *log, uint32_t kind)
{
    unsigned n = 0;
    const uint8_t *at = log->activity->data, *end = at + log->activity->len;
    while (at < end) {
        uint32_t this_kind;
        memcpy(&this_kind, at, sizeof this_kind);
        uint32_t bytes = size_of(log, this_kind);
        if (bytes == 0)
            break;
        n += this_kind == kind;
        at += bytes;
    }
    return n;
}
