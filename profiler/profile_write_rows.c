#include "profiler/profile_write_private.h"

#include <string.h>

#define ROW(table, types, ...) moe_profile_row(w, table, types, __VA_ARGS__)

int64_t
moe_profile_text(moe_profile_writer *w, const char *text, gssize n)
{
    if (!text)
        return 0;
    gsize length = n < 0 ? strlen(text) : (gsize)n;
    GBytes *key = g_bytes_new_static(text, length);
    gpointer id = g_hash_table_lookup(w->texts, key);
    g_bytes_unref(key);
    if (id)
        return GPOINTER_TO_INT(id);
    /* Bytes that are no UTF-8 may become a text that is there already. */
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)length);
    gsize valid_length = strlen(valid);
    if (valid_length != length || memcmp(valid, text, length) != 0) {
        int64_t same = moe_profile_text(w, valid, (gssize)valid_length);
        g_hash_table_insert(w->texts, g_bytes_new(text, length), GINT_TO_POINTER((int)same));
        return same;
    }
    g_ptr_array_add(w->by_id, g_strdup(valid));
    int64_t next = w->by_id->len;
    g_hash_table_insert(w->texts, g_bytes_new(text, length), GINT_TO_POINTER((int)next));
    ROW(INSERT_STRING, "it", next, valid);
    return next;
}

const char *
moe_profile_text_of(const moe_profile_writer *w, int64_t id)
{
    return id ? w->by_id->pdata[id - 1] : NULL;
}

void
moe_profile_add_process(moe_profile_writer *w, const moe_profile_process *r)
{
    w->summary.processes++;
    ROW(INSERT_PROCESS, "iiitiiitt", r->pid, r->parent, r->rank, r->name, r->start_ns, r->end_ns,
        r->realtime_offset_ns, r->attach, r->ended);
}

void
moe_profile_add_device(moe_profile_writer *w, const moe_profile_device *r)
{
    ROW(INSERT_DEVICE, "iitttiii", r->pid, r->device, r->uuid, r->name, r->capability, r->sms,
        r->memory_bytes, r->memory_clock_khz);
}

void
moe_profile_add_name(moe_profile_writer *w, int64_t pid, const char *kind, int64_t number,
                     const char *domain, const char *name)
{
    ROW(INSERT_NAMED, "ititt", pid, kind, number, domain ? domain : "", name);
}

void
moe_profile_add_kernel(moe_profile_writer *w, const moe_profile_kernel *r)
{
    w->summary.kernels++;
    ROW(INSERT_KERNEL, "iiiiiiiiixiiiiiiiiiiiiit", r->pid, r->device, r->context, r->stream,
        r->correlation, r->graph, r->node, r->start_ns, r->end_ns, r->name, r->grid[0], r->grid[1],
        r->grid[2], r->block[0], r->block[1], r->block[2], r->registers, r->shared_static,
        r->shared_dynamic, r->cluster_x, r->place.range, r->place.step, r->place.layer,
        r->place.stage);
}

void
moe_profile_add_memop(moe_profile_writer *w, const moe_profile_memop *r)
{
    w->summary.memops++;
    ROW(INSERT_MEMOP, "iiiiiitiiitiiiit", r->pid, r->device, r->context, r->stream, r->correlation,
        r->node, r->kind, r->start_ns, r->end_ns, r->bytes, r->direction, r->pinned, r->place.range,
        r->place.step, r->place.layer, r->place.stage);
}

void
moe_profile_add_api(moe_profile_writer *w, const moe_profile_api *r)
{
    w->summary.calls++;
    ROW(INSERT_API, "iiitxiiii", r->pid, r->thread, r->correlation, r->domain, r->name, r->start_ns,
        r->end_ns, r->result, r->range);
}

void
moe_profile_add_graph(moe_profile_writer *w, const moe_profile_graph *r)
{
    w->summary.graph_launches++;
    ROW(INSERT_GRAPH, "iiiiiiiii", r->pid, r->device, r->stream, r->correlation, r->graph,
        r->start_ns, r->end_ns, r->range, r->step);
}

void
moe_profile_add_overhead(moe_profile_writer *w, int64_t pid, int64_t thread, const char *kind,
                         int64_t start_ns, int64_t end_ns)
{
    ROW(INSERT_OVERHEAD, "iitii", pid, thread, kind, start_ns, end_ns);
}

void
moe_profile_add_synchronization(moe_profile_writer *w, const moe_profile_synchronization *r)
{
    ROW(INSERT_SYNCHRONIZATION, "iiiitii", r->pid, r->context, r->stream, r->correlation, r->kind,
        r->start_ns, r->end_ns);
}

void
moe_profile_add_external(moe_profile_writer *w, int64_t pid, int64_t correlation, int64_t kind,
                         int64_t id)
{
    ROW(INSERT_EXTERNAL, "iiii", pid, correlation, kind, id);
}

void
moe_profile_add_range(moe_profile_writer *w, const moe_profile_range *r)
{
    double real;
    int64_t whole = r->payload_type == MOE_PAYLOAD_NONE ? MOE_PROFILE_NULL : (int64_t)r->payload;
    w->summary.ranges++;
    memcpy(&real, &r->payload, sizeof real);
    if (r->payload_type == MOE_PAYLOAD_DOUBLE)
        ROW(INSERT_RANGE, "iiiitttiiiiir", r->id, r->pid, r->range, r->thread, r->kind, r->domain,
            r->text, r->category, r->start_ns, r->end_ns, r->depth, r->parent, real);
    else
        ROW(INSERT_RANGE, "iiiitttiiiiii", r->id, r->pid, r->range, r->thread, r->kind, r->domain,
            r->text, r->category, r->start_ns, r->end_ns, r->depth, r->parent, whole);
}

void
moe_profile_add_stage(moe_profile_writer *w, const moe_profile_stage *r)
{
    w->summary.stages++;
    ROW(INSERT_STAGE, "iiiitii", r->range, r->pid, r->step, r->layer, r->stage, r->start_ns,
        r->end_ns);
}

bool
moe_profile_add_step(moe_profile_writer *w, const moe_profile_step *r)
{
    bool added = ROW(INSERT_STEP, "iitiiii", r->pid, r->step, r->phase, r->tokens, r->sequences,
                     r->start_ns, r->end_ns);
    w->summary.steps += added;
    return added;
}

bool
moe_profile_add_routing(moe_profile_writer *w, const moe_profile_routing_row *r)
{
    uint64_t cells = (uint64_t)r->tokens * r->k, weights = r->weights ? cells * 4 : 0;
    bool added = ROW(INSERT_ROUTING, "iiiiiibb", r->pid, r->step, r->layer, r->token0,
                     (int64_t)r->tokens, (int64_t)r->k, r->ids, cells * 2, r->weights, weights);
    w->summary.routed_rows += added ? r->tokens : 0;
    return added;
}

bool
moe_profile_add_token(moe_profile_writer *w, const moe_profile_token *r)
{
    uint64_t bytes = (uint64_t)r->tokens * 4;
    return ROW(INSERT_TOKEN, "iiiibbb", r->pid, r->step, r->token0, (int64_t)r->tokens, r->sequence,
               bytes, r->position, bytes, r->token_id, bytes);
}

void
moe_profile_add_counter(moe_profile_writer *w, const moe_profile_counter *r)
{
    ROW(INSERT_COUNTER, "iiitititr", r->pid, r->device, r->place, r->range, r->layer, r->stage,
        r->pass, r->metric, r->value);
}

/* ---- loads ---- */

/* Tokens of each expert of the (process, step, layer) at hand. */
typedef struct load_counts {
    int64_t pid, step, layer;
    uint32_t n; /* the largest expert and 1 */
    uint32_t counts[65536];
} load_counts;

static void
load_write(moe_profile_writer *w, load_counts *loads)
{
    for (uint32_t expert = 0; expert < loads->n; expert++)
        if (loads->counts[expert])
            ROW(INSERT_LOAD, "iiiii", loads->pid, loads->step, loads->layer, (int64_t)expert,
                (int64_t)loads->counts[expert]);
    memset(loads->counts, 0, loads->n * sizeof *loads->counts);
    loads->n = 0;
}

static void
load_add(load_counts *loads, const uint8_t *ids, size_t n)
{
    enum { NO_EXPERT = 0xFFFE }; /* and 0xFFFF */
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)ids[2 * i] | (uint32_t)ids[2 * i + 1] << 8;
        if (id >= NO_EXPERT)
            continue;
        loads->counts[id]++;
        loads->n = MAX(loads->n, id + 1);
    }
}

void
moe_profile_add_loads(moe_profile_writer *w)
{
    static const char sql[] = "SELECT pid, step, layer, ids FROM routing"
                              " ORDER BY pid, step, layer, token0";
    sqlite3_stmt *rows = NULL;
    g_autofree load_counts *loads = g_new0(load_counts, 1);
    if (w->failure || sqlite3_prepare_v2(w->db, sql, -1, &rows, NULL) != SQLITE_OK) {
        moe_profile_writer_fail(w);
        return;
    }
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t pid = sqlite3_column_int64(rows, 0), step = sqlite3_column_int64(rows, 1);
        int64_t layer = sqlite3_column_int64(rows, 2);
        if (pid != loads->pid || step != loads->step || layer != loads->layer)
            load_write(w, loads);
        loads->pid = pid;
        loads->step = step;
        loads->layer = layer;
        load_add(loads, sqlite3_column_blob(rows, 3), (size_t)sqlite3_column_bytes(rows, 3) / 2);
    }
    if (code != SQLITE_DONE)
        moe_profile_writer_fail(w);
    load_write(w, loads);
    sqlite3_finalize(rows);
}
