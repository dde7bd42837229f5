/* Two walks: the first learns which range and step each call belongs to, the second writes. Kernels
 * stand in other buffers than the calls that launched them, before or after. */
#include "profiler/profile_decode.h"

#include "profiler/cuda_calls.h"

#include <string.h>

enum { EXTERNAL_RANGE = 4 }; /* CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1: see rawlog.h */

typedef struct activity_seen {
    uint64_t records, zero, backward, untold; /* of kernels in graphs: nobody knows their node */
    uint64_t whole_graphs;
    uint64_t correlated; /* external records of ranges */
} activity_seen;

typedef void activity_visit(moe_decode *decode, const moe_activity *record, activity_seen *seen);

/* ---- walking ---- */

static void
activity_stopped(moe_decode *d, moe_activity_step step, const moe_activity *record, uint64_t unread)
{
    if (step == MOE_ACTIVITY_UNKNOWN) {
        g_autofree char *what = g_strdup_printf("unknown_kind.%u", record->kind);
        moe_profile_loss(d->writer, d->pid, "cupti", what, 1);
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "unknown_kind", 1,
                         "records of kind %u are not known: the rest of their buffers could not "
                         "be read",
                         record->kind);
    } else {
        moe_profile_loss(d->writer, d->pid, "cupti", "truncated", 1);
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "truncated_record", 1, NULL);
    }
    moe_profile_loss(d->writer, d->pid, "cupti", "unread_bytes", unread);
}

/* `report`: in the walk that writes. */
static void
activity_buffer(moe_decode *d, const moe_raw_chunk *chunk, activity_visit *visit,
                activity_seen *seen, bool report)
{
    moe_raw_activity head;
    moe_activity record;
    moe_activity_step step;
    if (chunk->bytes < sizeof head) {
        d->odd += report;
        return;
    }
    memcpy(&head, chunk->payload, sizeof head);
    const uint8_t *buffer = chunk->payload + sizeof head;
    size_t at = 0, n = chunk->bytes - sizeof head;
    d->odd += report && head.bytes != n;
    n = MIN(n, head.bytes);
    while ((step = moe_activity_next(&d->sizes, buffer, n, &at, &record)) == MOE_ACTIVITY_RECORD) {
        seen->records++;
        visit(d, &record, seen);
    }
    if (step != MOE_ACTIVITY_END && report)
        activity_stopped(d, step, &record, n - at);
}

static void
activity_walk(moe_decode *d, activity_visit *visit, activity_seen *seen, bool report)
{
    size_t n;
    const moe_raw_chunk *chunks = moe_rawread_chunks(d->file, &n);
    for (size_t i = 0; i < n && !moe_profile_writer_failed(d->writer); i++)
        if (chunks[i].type == MOE_RAW_ACTIVITY)
            activity_buffer(d, &chunks[i], visit, seen, report);
}

/* ---- the first walk ---- */

static moe_decode_link *
activity_link(moe_decode *d, uint32_t correlation)
{
    uint32_t known = d->correlations.n, at = moe_index_map_add(&d->correlations, correlation);
    moe_assert(at != MOE_NONE, "no memory for %u correlations", known);
    if (at == known) {
        moe_decode_link none = {0, MOE_PROFILE_NULL};
        g_array_append_val(d->links, none);
    }
    return &g_array_index(d->links, moe_decode_link, at);
}

static void
activity_learn(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    if (record->kind == MOE_ACTIVITY_EXTERNAL) {
        moe_activity_external external;
        moe_activity_read_external(record, &external);
        if (external.kind == EXTERNAL_RANGE) {
            activity_link(d, external.correlation)->range = external.id;
            seen->correlated++;
        }
        return;
    }
    if (record->kind != MOE_ACTIVITY_RUNTIME && record->kind != MOE_ACTIVITY_DRIVER)
        return;
    moe_activity_api api;
    moe_activity_read_api(record, &api);
    int64_t step = moe_nest_step_at(d->ranges, moe_decode_time(d, api.start), api.thread);
    if (step != MOE_PROFILE_NULL)
        activity_link(d, api.correlation)->step = step;
}

/* Where CUPTI tells no external correlation: the range that was open in the thread of the call. */
static void
activity_learn_by_time(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_api api;
    if (record->kind != MOE_ACTIVITY_RUNTIME && record->kind != MOE_ACTIVITY_DRIVER)
        return;
    moe_activity_read_api(record, &api);
    uint64_t range = moe_nest_at(d->ranges, api.thread, moe_decode_time(d, api.start));
    if (range)
        activity_link(d, api.correlation)->range = range;
    seen->correlated += range != 0;
}

static void
activity_join_by_time(moe_decode *d)
{
    activity_seen joined = {0};
    moe_nest_index(d->ranges);
    activity_walk(d, activity_learn_by_time, &joined, false);
    if (joined.correlated)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "joined_by_time", joined.correlated,
                         NULL);
}

/* ---- places ---- */

static const moe_decode_link *
activity_known_link(const moe_decode *d, uint32_t correlation)
{
    uint32_t at = d->correlations.n
                      ? d->correlations.values[moe_index_map_slot(&d->correlations, correlation)]
                      : MOE_NONE;
    return at == MOE_NONE ? NULL : &g_array_index(d->links, moe_decode_link, at);
}

/* The range that a node was created in, by way of those it was cloned from; 0: none is known. */
static uint64_t
activity_node_range(const moe_decode *d, uint64_t node, bool *known)
{
    enum { MOST = 64 };
    *known = false;
    for (int i = 0; i < MOST && node && d->nodes.n; i++) {
        uint32_t at = d->nodes.values[moe_index_map_slot(&d->nodes, node)];
        if (at == MOE_NONE)
            return 0;
        const moe_decode_node *found = &g_array_index(d->of_node, moe_decode_node, at);
        *known = found->original == 0;
        if (*known)
            return found->range;
        node = found->original;
    }
    return 0;
}

static moe_profile_place
activity_place(const moe_decode *d, uint32_t correlation, uint64_t node, activity_seen *seen)
{
    moe_profile_place place = MOE_PROFILE_NOWHERE;
    const moe_decode_link *link = activity_known_link(d, correlation);
    if (link)
        place = moe_nest_place(d->ranges, link->range);
    if (node) {
        bool known;
        moe_profile_place made = moe_nest_place(d->ranges, activity_node_range(d, node, &known));
        place.stage = made.stage;
        place.layer = made.layer;
        place.range = place.range == MOE_PROFILE_NULL ? made.range : place.range;
        seen->untold += !known;
    }
    if (link && place.step == MOE_PROFILE_NULL)
        place.step = link->step;
    return place;
}

/* ---- the second walk ---- */

/* Both times of a record in the log's clock; false: they make no sense, which is counted. */
static bool
activity_times(moe_decode *d, uint64_t *start, uint64_t *end, activity_seen *seen)
{
    if (*start == 0 && *end == 0) {
        seen->zero++;
        return false;
    }
    *start = moe_decode_time(d, *start);
    *end = moe_decode_time(d, *end);
    if (*end < *start || *end > INT64_MAX) {
        seen->backward++;
        return false;
    }
    d->last_ns = MAX(d->last_ns, *end);
    d->first_ns = MIN(d->first_ns, *start);
    return true;
}

static int64_t
activity_known(uint64_t number)
{
    return number ? (int64_t)number : MOE_PROFILE_NULL;
}

static void
activity_kernel(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_kernel k;
    moe_activity_read_kernel(record, &k);
    if (!activity_times(d, &k.start, &k.end, seen))
        return;
    moe_profile_kernel row = {.pid = d->pid,
                              .device = k.device,
                              .context = k.context,
                              .stream = k.stream,
                              .correlation = k.correlation,
                              .graph = activity_known(k.graph),
                              .node = activity_known(k.node),
                              .start_ns = (int64_t)k.start,
                              .end_ns = (int64_t)k.end,
                              .name = moe_decode_text(d, k.name),
                              .grid = {k.grid_x, k.grid_y, k.grid_z},
                              .block = {k.block_x, k.block_y, k.block_z},
                              .registers = k.registers,
                              .shared_static = k.shared_static,
                              .shared_dynamic = k.shared_dynamic,
                              .cluster_x = activity_known(k.cluster_x),
                              .place = activity_place(d, k.correlation, k.node, seen)};
    moe_profile_add_kernel(d->writer, &row);
}

static void
activity_memop(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    enum { PAGEABLE = 1, PINNED = 2 };
    moe_activity_memop m;
    bool copy = record->kind != MOE_ACTIVITY_MEMSET;
    moe_activity_read_memop(record, &m);
    if (!activity_times(d, &m.start, &m.end, seen))
        return;
    bool pinned = m.from == PINNED || m.to == PINNED;
    bool host = pinned || m.from == PAGEABLE || m.to == PAGEABLE;
    moe_profile_memop row = {.pid = d->pid,
                             .device = m.device,
                             .context = m.context,
                             .stream = m.stream,
                             .correlation = m.correlation,
                             .node = activity_known(m.node),
                             .start_ns = (int64_t)m.start,
                             .end_ns = (int64_t)m.end,
                             .bytes = (int64_t)MIN(m.bytes, (uint64_t)INT64_MAX),
                             .pinned = host ? pinned && m.from != PAGEABLE && m.to != PAGEABLE
                                            : MOE_PROFILE_NULL,
                             .kind = copy ? "memcpy" : "memset",
                             .direction = copy ? moe_activity_direction(m.direction) : NULL,
                             .place = activity_place(d, m.correlation, m.node, seen)};
    moe_profile_add_memop(d->writer, &row);
}

static int64_t
activity_call_name(moe_decode *d, bool runtime, uint32_t cbid)
{
    uint32_t known = d->calls.n;
    uint32_t at = moe_index_map_add(&d->calls, (uint64_t)cbid * 2 + runtime);
    moe_assert(at != MOE_NONE, "no memory for %u names", known);
    if (at == known) {
        const char *name = moe_cuda_call(runtime, cbid);
        g_autofree char *number =
            g_strdup_printf("%s call %u", runtime ? "CUDA runtime" : "CUDA driver", cbid);
        int64_t id = moe_profile_text(d->writer, name ? name : number, -1);
        g_array_append_val(d->of_call, id);
    }
    return g_array_index(d->of_call, int64_t, at);
}

static void
activity_api(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_api a;
    bool runtime = record->kind == MOE_ACTIVITY_RUNTIME;
    moe_activity_read_api(record, &a);
    if (!activity_times(d, &a.start, &a.end, seen))
        return;
    const moe_decode_link *link = activity_known_link(d, a.correlation);
    moe_profile_api row = {.pid = d->pid,
                           .thread = a.thread,
                           .correlation = a.correlation,
                           .name = activity_call_name(d, runtime, a.cbid),
                           .start_ns = (int64_t)a.start,
                           .end_ns = (int64_t)a.end,
                           .result = (int32_t)a.result,
                           .range = link ? moe_nest_place(d->ranges, link->range).range
                                         : MOE_PROFILE_NULL,
                           .domain = runtime ? "runtime" : "driver"};
    moe_profile_add_api(d->writer, &row);
}

static void
activity_graph(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_graph g;
    moe_activity_read_graph(record, &g);
    if (!activity_times(d, &g.start, &g.end, seen))
        return;
    moe_profile_place place = activity_place(d, g.correlation, 0, seen);
    moe_profile_graph row = {.pid = d->pid,
                             .device = g.device,
                             .stream = g.stream,
                             .correlation = g.correlation,
                             .graph = g.graph,
                             .start_ns = (int64_t)g.start,
                             .end_ns = (int64_t)g.end,
                             .range = place.range,
                             .step = place.step};
    moe_profile_add_graph(d->writer, &row);
    seen->whole_graphs++;
}

static void
activity_device(moe_decode *d, const moe_activity *record)
{
    moe_activity_device g;
    moe_activity_read_device(record, &g);
    size_t n;
    const char *text =
        g.name <= UINT32_MAX ? moe_rawread_text(d->file, (uint32_t)g.name, &n) : NULL;
    g_autofree char *raw = text ? g_strndup(text, n) : NULL;
    g_autofree char *name = raw ? g_utf8_make_valid(raw, -1) : NULL;
    g_autofree char *capability = g_strdup_printf("%u.%u", g.major, g.minor);
    g_autoptr(GString) uuid = g_string_new("GPU-");
    for (size_t i = 0; i < sizeof g.uuid; i++)
        g_string_append_printf(uuid, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               g.uuid[i]);
    /* bandwidth, in kB/s, is twice the clock times the width of the bus, which CUPTI does not say
     */
    moe_profile_device row = {.pid = d->pid,
                              .device = g.device,
                              .uuid = uuid->str,
                              .name = name,
                              .capability = capability,
                              .sms = g.sms,
                              .memory_bytes = (int64_t)MIN(g.memory_bytes, (uint64_t)INT64_MAX),
                              .memory_clock_khz = MOE_PROFILE_NULL};
    moe_profile_add_device(d->writer, &row);
}

static void
activity_synchronization(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_synchronization s;
    moe_activity_read_synchronization(record, &s);
    if (!activity_times(d, &s.start, &s.end, seen))
        return;
    moe_profile_synchronization row = {.pid = d->pid,
                                       .context = s.context,
                                       .stream = s.stream == MOE_NONE ? MOE_PROFILE_NULL : s.stream,
                                       .correlation = s.correlation,
                                       .start_ns = (int64_t)s.start,
                                       .end_ns = (int64_t)s.end,
                                       .kind = moe_activity_synchronization_type(s.type)};
    moe_profile_add_synchronization(d->writer, &row);
}

static void
activity_overhead(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    enum { OF_PROCESS = 1, OF_THREAD = 2 };
    moe_activity_overhead o;
    moe_activity_read_overhead(record, &o);
    if (activity_times(d, &o.start, &o.end, seen))
        moe_profile_add_overhead(
            d->writer, d->pid, o.object_kind == OF_THREAD ? (int64_t)o.thread : MOE_PROFILE_NULL,
            moe_activity_overhead_kind(o.kind), (int64_t)o.start, (int64_t)o.end);
}

static void
activity_write(moe_decode *d, const moe_activity *record, activity_seen *seen)
{
    moe_activity_external external;
    switch (record->kind) {
    case MOE_ACTIVITY_KERNEL:
    case MOE_ACTIVITY_CONCURRENT_KERNEL:
        activity_kernel(d, record, seen);
        break;
    case MOE_ACTIVITY_MEMCPY:
    case MOE_ACTIVITY_MEMCPY2:
    case MOE_ACTIVITY_MEMSET:
        activity_memop(d, record, seen);
        break;
    case MOE_ACTIVITY_RUNTIME:
    case MOE_ACTIVITY_DRIVER:
        activity_api(d, record, seen);
        break;
    case MOE_ACTIVITY_EXTERNAL:
        moe_activity_read_external(record, &external);
        if (external.kind != EXTERNAL_RANGE) /* those are in the column `range` */
            moe_profile_add_external(d->writer, d->pid, external.correlation, external.kind,
                                     (int64_t)external.id);
        break;
    case MOE_ACTIVITY_GRAPH:
        activity_graph(d, record, seen);
        break;
    case MOE_ACTIVITY_DEVICE:
        activity_device(d, record);
        break;
    case MOE_ACTIVITY_SYNCHRONIZATION:
        activity_synchronization(d, record, seen);
        break;
    case MOE_ACTIVITY_OVERHEAD:
        activity_overhead(d, record, seen);
        break;
    default: /* known, and not kept */
        break;
    }
}

void
moe_decode_activity(moe_decode *d)
{
    activity_seen learnt = {0}, seen = {0};
    activity_walk(d, activity_learn, &learnt, false);
    if (!learnt.correlated && moe_nest_n(d->ranges))
        activity_join_by_time(d);
    activity_walk(d, activity_write, &seen, true);
    moe_profile_writer_summary(d->writer)->records += seen.records;
    d->activity = seen.records > 0;
    moe_profile_loss(d->writer, d->pid, "cupti", "no_timestamp", seen.zero);
    moe_profile_loss(d->writer, d->pid, "cupti", "bad_time", seen.backward);
    if (seen.zero)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "no_timestamp", seen.zero, NULL);
    if (seen.backward)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "bad_time", seen.backward, NULL);
    if (seen.untold && !moe_profile_noted(d->writer, d->pid, "graph_unknown"))
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "graph_unknown", seen.untold, NULL);
    if (seen.whole_graphs)
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "graph_whole", seen.whole_graphs,
                         NULL);
    if (seen.records && !d->sizes_told && !moe_profile_noted(d->writer, d->pid, "no_sizes"))
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "no_sizes", 1, NULL);
}
