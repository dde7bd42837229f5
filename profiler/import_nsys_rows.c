#include "profiler/import_nsys.h"

#include "profiler/activity.h"

#include <string.h>

#define COLUMNS(...) ((const char *const[]){__VA_ARGS__})

/* ---- ranges ---- */

/* eventType of NVTX_EVENTS */
enum { NSYS_MARK = 34, NSYS_PUSH_POP = 59, NSYS_START_END = 60, NSYS_DOMAIN = 75 };

static moe_nest *
nsys_nest(moe_nsys *s, uint32_t process)
{
    moe_nsys_process *p = &g_array_index(s->processes, moe_nsys_process, process);
    if (!p->nest)
        p->nest = moe_nest_new(p->pid);
    return p->nest;
}

/* Names of domains are events of their own. */
static void
nsys_domains(moe_nsys *s)
{
    sqlite3_stmt *rows = moe_nsys_select(
        s, "NVTX_EVENTS", COLUMNS("globalTid", "domainId", "eventType", "text", "textId"), 5, 3,
        "WHERE eventType = 75 ORDER BY globalTid, domainId");
    while (moe_nsys_next(s, rows)) {
        uint32_t process = moe_nsys_process_of(s, moe_nsys_number(rows, 0));
        uint64_t key = (uint64_t)process << 32 | (uint32_t)moe_nsys_number(rows, 1);
        const char *text = (const char *)sqlite3_column_text(rows, 3);
        uint32_t known = s->domains.n;
        uint32_t number = moe_nest_text(nsys_nest(s, process), text, text ? strlen(text) : 0);
        if (moe_index_map_add(&s->domains, key) == known)
            g_array_append_val(s->of_domain, number);
    }
    sqlite3_finalize(rows);
}

/* The number of a domain's name; nsys has 0 for the default one. */
static uint32_t
nsys_domain(moe_nsys *s, uint32_t process, int64_t domain)
{
    uint64_t key = (uint64_t)process << 32 | (uint32_t)domain;
    uint32_t at = domain == MOE_PROFILE_NULL || s->domains.n == 0
                      ? MOE_NONE
                      : s->domains.values[moe_index_map_slot(&s->domains, key)];
    return at == MOE_NONE ? MOE_NONE : g_array_index(s->of_domain, uint32_t, at);
}

static void
nsys_payload(sqlite3_stmt *rows, int column, moe_nest_range *range)
{
    static const moe_profile_payload types[] = {MOE_PAYLOAD_UNSIGNED, MOE_PAYLOAD_SIGNED,
                                                MOE_PAYLOAD_UNSIGNED, MOE_PAYLOAD_SIGNED,
                                                MOE_PAYLOAD_DOUBLE,   MOE_PAYLOAD_DOUBLE};
    for (size_t i = 0; i < MOE_COUNT(types) && !range->payload_type; i++) {
        int at = column + (int)i;
        if (sqlite3_column_type(rows, at) == SQLITE_NULL)
            continue;
        double real = sqlite3_column_double(rows, at);
        int64_t whole = sqlite3_column_int64(rows, at);
        range->payload_type = types[i];
        memcpy(&range->payload, types[i] == MOE_PAYLOAD_DOUBLE ? (void *)&real : (void *)&whole,
               sizeof range->payload);
    }
}

enum {
    RANGE_START,
    RANGE_END,
    RANGE_TID,
    RANGE_TYPE,
    RANGE_TEXT,
    RANGE_TEXT_ID,
    RANGE_DOMAIN,
    RANGE_CATEGORY,
    RANGE_PAYLOAD
};

static void
nsys_range(moe_nsys *s, sqlite3_stmt *rows, const char *named, uint64_t id)
{
    int64_t start = moe_nsys_number(rows, RANGE_START), end = moe_nsys_number(rows, RANGE_END);
    int64_t global = moe_nsys_number(rows, RANGE_TID), type = moe_nsys_number(rows, RANGE_TYPE);
    int64_t category = moe_nsys_number(rows, RANGE_CATEGORY);
    const char *text = (const char *)sqlite3_column_text(rows, RANGE_TEXT);
    bool open = end == MOE_PROFILE_NULL || end == 0; /* older exports have no NULL */
    if (start < 0 || global == MOE_PROFILE_NULL || (!open && end < start)) {
        s->odd++;
        return;
    }
    uint32_t process = moe_nsys_process_of(s, global);
    moe_nest *nest = nsys_nest(s, process);
    text = text ? text : named;
    moe_nest_range range = {.id = id,
                            .time_ns = (uint64_t)start,
                            .thread = moe_nsys_thread(global),
                            .domain = nsys_domain(s, process, moe_nsys_number(rows, RANGE_DOMAIN)),
                            .text = moe_nest_text(nest, text, text ? strlen(text) : 0),
                            .category = category > 0 ? (uint32_t)category : 0,
                            .kind = type == NSYS_MARK        ? MOE_NEST_MARK
                                    : type == NSYS_START_END ? MOE_NEST_START
                                                             : MOE_NEST_PUSH};
    nsys_payload(rows, RANGE_PAYLOAD, &range);
    moe_nest_add(nest, &range, open ? UINT64_MAX : (uint64_t)end);
}

void
moe_nsys_ranges(moe_nsys *s)
{
    static const char *const columns[] = {"start",       "end",        "globalTid",   "eventType",
                                          "text",        "textId",     "domainId",    "category",
                                          "uint64Value", "int64Value", "uint32Value", "int32Value",
                                          "doubleValue", "floatValue"};
    nsys_domains(s);
    sqlite3_stmt *rows = moe_nsys_select(
        s, "NVTX_EVENTS", columns, (int)MOE_COUNT(columns), 4,
        "WHERE eventType IN (34, 59, 60) ORDER BY globalTid, start, \"end\" IS NOT NULL,"
        " \"end\" DESC, rowid");
    for (uint64_t id = 1; moe_nsys_next(s, rows); id++) {
        const char *named = NULL;
        int64_t text_id = moe_nsys_number(rows, RANGE_TEXT_ID);
        if (s->find_text && text_id != MOE_PROFILE_NULL) {
            sqlite3_reset(s->find_text);
            sqlite3_bind_int64(s->find_text, 1, text_id);
            if (moe_nsys_next(s, s->find_text))
                named = (const char *)sqlite3_column_text(s->find_text, 0);
        }
        nsys_range(s, rows, named, id);
    }
    sqlite3_finalize(rows);
    for (guint i = 0; i < s->processes->len && !s->failed; i++) {
        moe_nsys_process *p = &g_array_index(s->processes, moe_nsys_process, i);
        if (!p->nest)
            continue;
        moe_nest_settle(p->nest, moe_nest_last_ns(p->nest), s->writer);
        moe_nest_index(p->nest);
        p->first_ns = moe_nest_first_ns(p->nest);
        p->last_ns = moe_nest_last_ns(p->nest);
    }
}

/* ---- calls ---- */

static void
nsys_seen(moe_nsys *s, uint32_t process, int64_t start, int64_t end)
{
    moe_nsys_process *p = &g_array_index(s->processes, moe_nsys_process, process);
    p->first_ns = MIN(p->first_ns, (uint64_t)start);
    p->last_ns = MAX(p->last_ns, (uint64_t)end);
}

static void
nsys_calls(moe_nsys *s)
{
    sqlite3_stmt *rows = moe_nsys_select(
        s, "CUPTI_ACTIVITY_KIND_RUNTIME",
        COLUMNS("start", "end", "globalTid", "correlationId", "nameId", "returnValue"), 6, 3,
        "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end, global = moe_nsys_number(rows, 2), correlation;
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        uint32_t process = moe_nsys_process_of(s, global);
        const moe_nsys_process *p = &g_array_index(s->processes, moe_nsys_process, process);
        correlation = moe_nsys_number(rows, 3);
        moe_profile_place place = moe_calls_add(s->calls, process, (uint32_t)correlation, p->nest,
                                                moe_nsys_thread(global), (uint64_t)start);
        int64_t name = moe_nsys_text(s, moe_nsys_number(rows, 4));
        moe_profile_api row = {
            .pid = p->pid,
            .thread = moe_nsys_thread(global),
            .correlation = correlation,
            .name = name,
            .start_ns = start,
            .end_ns = end,
            .result = moe_nsys_number(rows, 5),
            .range = place.range,
            .domain = name && g_str_has_prefix(moe_profile_text_of(s->writer, name), "cuda")
                          ? "runtime"
                          : "driver"};
        moe_profile_add_api(s->writer, &row);
        nsys_seen(s, process, start, end);
    }
    sqlite3_finalize(rows);
}

/* ---- the device ---- */

/* Where nodes of graphs were made, if the export says. */
static uint64_t
nsys_node_key(uint32_t process, uint64_t node)
{
    return (uint64_t)process << 48 ^ node;
}

static void
nsys_nodes(moe_nsys *s)
{
    sqlite3_stmt *rows =
        moe_nsys_select(s, "CUDA_GRAPH_NODE_EVENTS",
                        COLUMNS("start", "globalTid", "graphNodeId", "originalGraphNodeId"), 4, 3,
                        "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start = moe_nsys_number(rows, 0), global = moe_nsys_number(rows, 1);
        int64_t original = moe_nsys_number(rows, 3);
        if (start < 0 || global == MOE_PROFILE_NULL)
            continue;
        uint32_t process = moe_nsys_process_of(s, global), known = s->nodes.n;
        const moe_nest *nest = g_array_index(s->processes, moe_nsys_process, process).nest;
        moe_nsys_node node = {
            .original = original > 0 ? (uint64_t)original : 0,
            .range = nest ? moe_nest_at(nest, moe_nsys_thread(global), (uint64_t)start) : 0};
        uint64_t key = nsys_node_key(process, (uint64_t)moe_nsys_number(rows, 2));
        if (moe_index_map_add(&s->nodes, key) == known)
            g_array_append_val(s->of_node, node);
    }
    sqlite3_finalize(rows);
}

/* The range that a node was made in, by way of those it was cloned from; 0: none is known. */
static uint64_t
nsys_node_range(const moe_nsys *s, uint32_t process, uint64_t node, bool *known)
{
    enum { MOST = 64 };
    *known = false;
    for (int i = 0; i < MOST && node && s->nodes.n; i++) {
        uint64_t key = nsys_node_key(process, node);
        uint32_t at = s->nodes.values[moe_index_map_slot(&s->nodes, key)];
        if (at == MOE_NONE)
            return 0;
        const moe_nsys_node *found = &g_array_index(s->of_node, moe_nsys_node, at);
        *known = found->original == 0;
        if (*known)
            return found->range;
        node = found->original;
    }
    return 0;
}

static moe_profile_place
nsys_place(moe_nsys *s, uint32_t process, int64_t correlation, int64_t node)
{
    const moe_nest *nest = g_array_index(s->processes, moe_nsys_process, process).nest;
    moe_profile_place place = moe_calls_place(s->calls, process, (uint32_t)correlation, nest);
    if (node == MOE_PROFILE_NULL || node == 0)
        return place;
    bool known;
    uint64_t range = nsys_node_range(s, process, (uint64_t)node, &known);
    moe_profile_place made = nest && known ? moe_nest_place(nest, range) : MOE_PROFILE_NOWHERE;
    s->outside += !known;
    place.stage = made.stage;
    place.layer = made.layer;
    return place;
}

static void
nsys_kernels(moe_nsys *s)
{
    static const char *const columns[] = {"start",
                                          "end",
                                          "globalPid",
                                          "deviceId",
                                          "contextId",
                                          "streamId",
                                          "correlationId",
                                          "graphNodeId",
                                          "graphId",
                                          "demangledName",
                                          "shortName",
                                          "gridX",
                                          "gridY",
                                          "gridZ",
                                          "blockX",
                                          "blockY",
                                          "blockZ",
                                          "registersPerThread",
                                          "staticSharedMemory",
                                          "dynamicSharedMemory",
                                          "clusterX"};
    sqlite3_stmt *rows = moe_nsys_select(s, "CUPTI_ACTIVITY_KIND_KERNEL", columns,
                                         (int)MOE_COUNT(columns), 3, "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end, c[MOE_COUNT(columns)];
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        for (int i = 0; i < (int)MOE_COUNT(columns); i++)
            c[i] = moe_nsys_number(rows, i);
        uint32_t process = moe_nsys_process_of(s, c[2]);
        moe_profile_kernel row = {.pid = g_array_index(s->processes, moe_nsys_process, process).pid,
                                  .device = c[3],
                                  .context = c[4],
                                  .stream = c[5],
                                  .correlation = c[6],
                                  .graph = c[8],
                                  .node = c[7],
                                  .start_ns = start,
                                  .end_ns = end,
                                  .name = moe_nsys_text(s, c[9] == MOE_PROFILE_NULL ? c[10] : c[9]),
                                  .grid = {c[11], c[12], c[13]},
                                  .block = {c[14], c[15], c[16]},
                                  .registers = c[17],
                                  .shared_static = c[18],
                                  .shared_dynamic = c[19],
                                  .cluster_x = c[20],
                                  .place = nsys_place(s, process, c[6], c[7])};
        moe_profile_add_kernel(s->writer, &row);
        nsys_seen(s, process, start, end);
    }
    sqlite3_finalize(rows);
}

static void
nsys_memops(moe_nsys *s, const char *table, bool copy)
{
    enum { PAGEABLE = 0, PINNED = 1 }; /* ENUM_CUDA_MEM_KIND: CUPTI's less 1 */
    static const char *const columns[] = {"start",     "end",      "globalPid",     "deviceId",
                                          "contextId", "streamId", "correlationId", "graphNodeId",
                                          "bytes",     "copyKind", "srcKind",       "dstKind"};
    sqlite3_stmt *rows =
        moe_nsys_select(s, table, columns, (int)MOE_COUNT(columns), 3, "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end, c[MOE_COUNT(columns)];
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        for (int i = 0; i < (int)MOE_COUNT(columns); i++)
            c[i] = moe_nsys_number(rows, i);
        uint32_t process = moe_nsys_process_of(s, c[2]);
        bool pinned = copy && (c[10] == PINNED || c[11] == PINNED);
        bool pageable = copy && (c[10] == PAGEABLE || c[11] == PAGEABLE);
        moe_profile_memop row = {
            .pid = g_array_index(s->processes, moe_nsys_process, process).pid,
            .device = c[3],
            .context = c[4],
            .stream = c[5],
            .correlation = c[6],
            .node = c[7],
            .start_ns = start,
            .end_ns = end,
            .bytes = c[8],
            .pinned = pinned || pageable ? !pageable : MOE_PROFILE_NULL,
            .kind = copy ? "memcpy" : "memset",
            .direction = copy && c[9] >= 0 ? moe_activity_direction((uint32_t)c[9]) : NULL,
            .place = nsys_place(s, process, c[6], c[7])};
        moe_profile_add_memop(s->writer, &row);
        nsys_seen(s, process, start, end);
    }
    sqlite3_finalize(rows);
}

static void
nsys_graphs(moe_nsys *s)
{
    sqlite3_stmt *rows = moe_nsys_select(
        s, "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
        COLUMNS("start", "end", "globalPid", "deviceId", "streamId", "correlationId", "graphId"), 7,
        3, "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end;
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        uint32_t process = moe_nsys_process_of(s, moe_nsys_number(rows, 2));
        int64_t correlation = moe_nsys_number(rows, 5);
        moe_profile_place place = nsys_place(s, process, correlation, MOE_PROFILE_NULL);
        moe_profile_graph row = {.pid = g_array_index(s->processes, moe_nsys_process, process).pid,
                                 .device = moe_nsys_number(rows, 3),
                                 .stream = moe_nsys_number(rows, 4),
                                 .correlation = correlation,
                                 .graph = moe_nsys_number(rows, 6),
                                 .start_ns = start,
                                 .end_ns = end,
                                 .range = place.range,
                                 .step = place.step};
        moe_profile_add_graph(s->writer, &row);
        nsys_seen(s, process, start, end);
    }
    sqlite3_finalize(rows);
}

static void
nsys_waits(moe_nsys *s)
{
    sqlite3_stmt *rows = moe_nsys_select(
        s, "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION",
        COLUMNS("start", "end", "globalPid", "contextId", "streamId", "correlationId", "syncType"),
        7, 3, "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end, type = moe_nsys_number(rows, 6);
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        uint32_t process = moe_nsys_process_of(s, moe_nsys_number(rows, 2));
        moe_profile_synchronization row = {
            .pid = g_array_index(s->processes, moe_nsys_process, process).pid,
            .context = moe_nsys_number(rows, 3),
            .stream = moe_nsys_number(rows, 4),
            .correlation = moe_nsys_number(rows, 5),
            .start_ns = start,
            .end_ns = end,
            .kind = type >= 0 && type <= INT32_MAX
                        ? moe_activity_synchronization_type((uint32_t)type)
                        : NULL};
        moe_profile_add_synchronization(s->writer, &row);
    }
    sqlite3_finalize(rows);
}

static void
nsys_overhead(moe_nsys *s)
{
    sqlite3_stmt *rows =
        moe_nsys_select(s, "PROFILER_OVERHEAD", COLUMNS("start", "end", "globalTid", "nameId"), 4,
                        3, "ORDER BY rowid");
    while (moe_nsys_next(s, rows)) {
        int64_t start, end, global = moe_nsys_number(rows, 2);
        if (!moe_nsys_times(s, rows, &start, &end))
            continue;
        uint32_t process = moe_nsys_process_of(s, global);
        int64_t name = moe_nsys_text(s, moe_nsys_number(rows, 3));
        moe_profile_add_overhead(
            s->writer, g_array_index(s->processes, moe_nsys_process, process).pid,
            moe_nsys_thread(global), moe_profile_text_of(s->writer, name), start, end);
    }
    sqlite3_finalize(rows);
}

void
moe_nsys_activity(moe_nsys *s)
{
    nsys_calls(s);
    nsys_nodes(s);
    nsys_kernels(s);
    nsys_memops(s, "CUPTI_ACTIVITY_KIND_MEMCPY", true);
    nsys_memops(s, "CUPTI_ACTIVITY_KIND_MEMSET", false);
    nsys_graphs(s);
    nsys_waits(s);
    nsys_overhead(s);
    if (s->outside)
        moe_profile_note(s->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "graph_unknown", s->outside,
                         NULL);
}
