#include "profiler/calibrate_profile.h"

#include "profiler/least_squares.h"
#include "profiler/profile_schema.h"
#include "sim/base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_NS = 20000, MOST_LOADS = 65533 };
/* Of its time, beside a copy of the other direction: more is together, less is alone. */
static const double together = 0.8, alone = 0.05;

typedef struct reader {
    moe_measured *table;
    sqlite3 *db;
    const char *path;
    const moe_model *model;
    moe_profile_rows *n;
    const char *device;
    char *device_text;
    double launch_us[2]; /* plain, in a graph */
    bool failed;
    GError **error;
} reader;

/* ---- the database ---- */

static bool
fail(reader *r, const char *what)
{
    if (!r->failed)
        moe_error_path(r->error, MOE_ERROR_DATABASE, r->path, 0, "%s: %s", what,
                       sqlite3_errmsg(r->db));
    r->failed = true;
    return false;
}

static sqlite3_stmt *
prepare(reader *r, const char *sql)
{
    sqlite3_stmt *query = NULL;
    if (sqlite3_prepare_v2(r->db, sql, -1, &query, NULL) != SQLITE_OK)
        fail(r, "cannot be read");
    return query;
}

/* The next row; false at the end or after an error. */
static bool
next(reader *r, sqlite3_stmt *query)
{
    int code = query ? sqlite3_step(query) : SQLITE_DONE;
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        fail(r, "cannot be read");
    return false;
}

static int64_t
number_of(reader *r, const char *sql)
{
    sqlite3_stmt *query = prepare(r, sql);
    int64_t value = next(r, query) ? sqlite3_column_int64(query, 0) : 0;
    sqlite3_finalize(query);
    return value;
}

static bool
check_profile(reader *r, moe_diag *diag)
{
    moe_loc at = {.file = r->path};
    int64_t application = number_of(r, "PRAGMA application_id");
    int64_t version = number_of(r, "PRAGMA user_version");
    if (r->failed)
        return false;
    if (application != MOE_PROFILE_APPLICATION)
        moe_diag_error(diag, at,
                       "a database, but no profile; `moesim profile import` makes one of "
                       "an nsys export");
    else if (version != MOE_PROFILE_VERSION)
        moe_diag_error(diag, at, "a profile of version %" PRId64 ", this program reads %d", version,
                       MOE_PROFILE_VERSION);
    return application == MOE_PROFILE_APPLICATION && version == MOE_PROFILE_VERSION;
}

/* Kernels that were lost make stages too short: more than 1 % of them is refused, as `profile
 * stats` does. */
static bool
check_losses(reader *r, moe_diag *diag)
{
    int64_t lost = number_of(r, "SELECT coalesce(sum(n), 0) FROM loss WHERE source = 'cupti'");
    int64_t kept =
        number_of(r, "SELECT (SELECT count(*) FROM kernel) + (SELECT count(*) FROM memop)"
                     " + (SELECT count(*) FROM api)");
    bool good = !r->failed && lost <= (lost + kept) / 100;
    if (!r->failed && !good)
        moe_diag_error(diag, (moe_loc){.file = r->path},
                       "%" PRId64 " of %" PRId64 " records of CUPTI were lost: its times are too "
                       "short; record it again with a larger --max-buffer",
                       lost, lost + kept);
    return good;
}

static void
read_device(reader *r)
{
    sqlite3_stmt *query =
        prepare(r, "SELECT name FROM device WHERE name NOT NULL ORDER BY pid, device LIMIT 1");
    if (next(r, query)) {
        const char *text = (const char *)sqlite3_column_text(query, 0);
        r->device_text = text && g_utf8_validate(text, -1, NULL) ? g_strdup(text) : NULL;
    }
    r->device = r->device_text ? r->device_text : "";
    sqlite3_finalize(query);
}

static bool
add(reader *r, moe_measured_row *row)
{
    const char *why = NULL;
    row->device = r->device;
    row->source = "profile";
    row->dtype = row->distribution = "";
    bool added = moe_measured_add(r->table, row, &why);
    r->n->impossible += !added;
    return added;
}

/* ---- launches ---- */

/* A layer's gaps end: their median becomes a row. */
static void
add_launch(reader *r, GArray *gaps, int64_t layer, bool graph, GArray *medians)
{
    if (!gaps->len)
        return;
    double median = moe_median((double *)(void *)gaps->data, gaps->len) / 1e3;
    moe_measured_row row = {.kind = MOE_MEASURED_LAUNCH,
                            .kernels = 1,
                            .graph = graph,
                            .group = layer + 1,
                            .time_us = median};
    g_array_set_size(gaps, 0);
    g_array_append_val(medians, median);
    r->n->launches += add(r, &row);
}

static void
read_launches(reader *r)
{
    static const char sql[] =
        "SELECT coalesce(layer, -1) AS l, coalesce(graph, 0) != 0 AS g, gap FROM (SELECT layer, "
        "graph, start_ns - lag(end_ns) OVER w AS gap, stage IS lag(stage) OVER w AND step IS "
        "lag(step) OVER w AND layer IS lag(layer) OVER w AND graph IS lag(graph) OVER w AS same "
        "FROM kernel WHERE stage NOT NULL WINDOW w AS (PARTITION BY pid, device, context, stream "
        "ORDER BY start_ns, id)) WHERE same AND gap BETWEEN 0 AND ?1 ORDER BY g, l, gap";
    sqlite3_stmt *query = prepare(r, sql);
    g_autoptr(GArray) gaps = g_array_new(false, false, sizeof(double));
    g_autoptr(GArray) medians = g_array_new(false, false, sizeof(double));
    int64_t layer = 0;
    bool graph = false;

    if (query)
        sqlite3_bind_int64(query, 1, GAP_NS);
    for (bool more = true; more;) {
        more = next(r, query);
        int64_t l = more ? sqlite3_column_int64(query, 0) : 0;
        bool g = more && sqlite3_column_int(query, 1);
        if (!more || l != layer || g != graph)
            add_launch(r, gaps, layer, graph, medians);
        if ((!more || g != graph) && medians->len) {
            r->launch_us[graph] = moe_median((double *)(void *)medians->data, medians->len);
            g_array_set_size(medians, 0);
        }
        layer = l;
        graph = g;
        double gap = more ? sqlite3_column_double(query, 2) : 0;
        if (more)
            g_array_append_val(gaps, gap);
    }
    sqlite3_finalize(query);
}

/* ---- experts ---- */

static const moe_layer *
layer_at(const reader *r, int64_t layer)
{
    const moe_stack *stack = moe_model_decoder(r->model);
    return layer >= 0 && layer < stack->n_layers ? &stack->layers[layer] : NULL;
}

/* Tokens of the experts that have some, of a layer in a step. */
static void
read_loads(reader *r, sqlite3_stmt *query, const int64_t key[3], GArray *loads)
{
    g_array_set_size(loads, 0);
    for (int i = 0; i < 3; i++)
        sqlite3_bind_int64(query, i + 1, key[i]);
    while (loads->len < MOST_LOADS && next(r, query)) {
        int64_t tokens = sqlite3_column_int64(query, 0);
        uint32_t load = (uint32_t)MIN(tokens, INT32_MAX);
        g_array_append_val(loads, load);
    }
    sqlite3_reset(query);
}

static void
add_experts(reader *r, const moe_ffn *ffn, int64_t layer, GArray *loads, double us, bool graph)
{
    moe_measured_row row = {
        .kind = MOE_MEASURED_EXPERTS,
        .weight_bits = r->model->expert_bits,
        .activation_bits = 16,
        .hidden = r->model->hidden,
        .width = ffn->width,
        .matrices = ffn->matrices,
        .experts = ffn->experts,
        .top_k = ffn->top_k,
        .loads = (const uint32_t *)(const void *)loads->data,
        .n_loads = loads->len,
        .graph = graph,
        .group = layer + 1,
        .time_us = us + r->launch_us[graph],
    };
    r->n->experts += add(r, &row);
}

static void
read_experts(reader *r)
{
    sqlite3_stmt *query = prepare(
        r, "SELECT pid, step, layer, max(end_ns) - min(start_ns), sum(end_ns - start_ns), count(*),"
           " max(coalesce(graph, 0) != 0), max(stage = 'experts') FROM kernel WHERE stage IN "
           "('dispatch', 'experts', 'combine') AND step NOT NULL AND layer NOT NULL "
           "GROUP BY pid, device, step, layer ORDER BY pid, device, step, layer");
    sqlite3_stmt *of_layer = prepare(r, "SELECT tokens FROM load WHERE pid = ?1 AND step = ?2 AND "
                                        "layer = ?3 AND tokens > 0 ORDER BY expert");
    g_autoptr(GArray) loads = g_array_new(false, false, sizeof(uint32_t));

    while (of_layer && next(r, query)) {
        const int64_t key[] = {sqlite3_column_int64(query, 0), sqlite3_column_int64(query, 1),
                               sqlite3_column_int64(query, 2)};
        double span = sqlite3_column_double(query, 3), sum = sqlite3_column_double(query, 4);
        const moe_layer *layer = layer_at(r, key[2]);
        if (!layer || layer->ffn.kind != MOE_FFN_MOE || !sqlite3_column_int(query, 7))
            continue;
        read_loads(r, of_layer, key, loads);
        if (layer->ffn.shared_width > 0)
            r->n->shared++;
        else if (!loads->len)
            r->n->unrouted++;
        else if (span - sum > GAP_NS * sqlite3_column_double(query, 5))
            r->n->waited++;
        else
            add_experts(r, &layer->ffn, key[2], loads, span / 1e3, sqlite3_column_int(query, 6));
    }
    sqlite3_finalize(query);
    sqlite3_finalize(of_layer);
}

/* ---- the head's product ---- */

static void
read_products(reader *r)
{
    sqlite3_stmt *query = prepare(
        r, "SELECT s.tokens, max(k.end_ns - k.start_ns), max(coalesce(k.graph, 0) != 0) FROM "
           "kernel k JOIN step s ON s.pid = k.pid AND s.step = k.step WHERE k.stage = 'unembed' "
           "AND s.phase = 'decode' AND s.tokens > 0 GROUP BY k.pid, k.device, k.step "
           "ORDER BY s.tokens, k.pid, k.device, k.step");
    while (next(r, query)) {
        bool graph = sqlite3_column_int(query, 2);
        moe_measured_row row = {
            .kind = MOE_MEASURED_GEMM,
            .weight_bits = r->model->weight_bits,
            .activation_bits = 16,
            .m = MIN(sqlite3_column_int64(query, 0), 1 << 30),
            .n = r->model->vocab,
            .k = r->model->hidden,
            .graph = graph,
            .group = 1 + sqlite3_column_int64(query, 0), /* batch sizes are held back */
            .time_us = sqlite3_column_double(query, 1) / 1e3 + r->launch_us[graph],
        };
        r->n->products += add(r, &row);
    }
    sqlite3_finalize(query);
}

/* ---- copies ---- */

typedef struct copy {
    int64_t lane, start, end, bytes; /* lane: process and device */
    int direction, pinned;           /* -1: unknown */
    double beside;                   /* share of its time */
} copy;

/* Of each copy of `of` the time beside copies of `other`, both by lane and start. */
static void
find_company(GArray *of, const GArray *other)
{
    guint first = 0;
    for (guint i = 0; i < of->len; i++) {
        copy *c = &g_array_index(of, copy, i);
        double shared = 0;
        for (; first < other->len; first++) {
            const copy *o = &g_array_index(other, copy, first);
            if (o->lane > c->lane || (o->lane == c->lane && o->end > c->start))
                break;
        }
        for (guint j = first; j < other->len; j++) {
            const copy *o = &g_array_index(other, copy, j);
            if (o->lane != c->lane || o->start >= c->end)
                break;
            shared += (double)MAX(0, MIN(o->end, c->end) - MAX(o->start, c->start));
        }
        c->beside = shared / (double)(c->end - c->start);
    }
}

static void
read_copies_of(reader *r, const char *name, int direction, GArray *out)
{
    sqlite3_stmt *query = prepare(
        r, "SELECT dense_rank() OVER (ORDER BY pid, coalesce(device, -1)), start_ns, "
           "end_ns, bytes, coalesce(pinned, -1) FROM memop WHERE kind = 'memcpy' AND "
           "direction = ?1 AND bytes > 0 AND start_ns >= 0 AND end_ns > start_ns ORDER BY 1, "
           "start_ns, id");
    if (query)
        sqlite3_bind_text(query, 1, name, -1, SQLITE_STATIC);
    while (next(r, query)) {
        copy one = {.lane = sqlite3_column_int64(query, 0),
                    .start = sqlite3_column_int64(query, 1),
                    .end = sqlite3_column_int64(query, 2),
                    .bytes = sqlite3_column_int64(query, 3),
                    .direction = direction,
                    .pinned = sqlite3_column_int(query, 4)};
        g_array_append_val(out, one);
    }
    sqlite3_finalize(query);
}

static bool
is_together(const copy *c)
{
    return c->beside >= together;
}

static int
by_size(const void *x, const void *y)
{
    const copy *a = x, *b = y;
    const int64_t p[] = {a->direction, a->pinned, is_together(a), a->bytes, a->end - a->start};
    const int64_t q[] = {b->direction, b->pinned, is_together(b), b->bytes, b->end - b->start};
    for (size_t i = 0; i < MOE_COUNT(p); i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

/* Copies of one size, kind and company, in order of their times: one row of their median. */
static void
add_copies(reader *r, const copy *copies, size_t n)
{
    const copy *c = &copies[n / 2];
    moe_measured_row row = {.kind = MOE_MEASURED_COPY,
                            .direction = c->direction,
                            .pageable = c->pinned == 0,
                            .concurrent = is_together(c),
                            .bytes = c->bytes,
                            .time_us = (double)(c->end - c->start) / 1e3};
    r->n->copies += add(r, &row);
}

static void
read_copies(reader *r)
{
    g_autoptr(GArray) in = g_array_new(false, false, sizeof(copy));
    g_autoptr(GArray) out = g_array_new(false, false, sizeof(copy));
    g_autoptr(GArray) kept = g_array_new(false, false, sizeof(copy));
    read_copies_of(r, "HtoD", MOE_MEASURED_H2D, in);
    read_copies_of(r, "DtoH", MOE_MEASURED_D2H, out);
    find_company(in, out);
    find_company(out, in);
    g_array_append_vals(in, out->data, out->len);
    for (guint i = 0; i < in->len; i++) {
        const copy *c = &g_array_index(in, copy, i);
        bool half = c->beside > alone && !is_together(c);
        r->n->unknown += c->pinned < 0;
        r->n->overlapping += c->pinned >= 0 && half;
        if (c->pinned >= 0 && !half)
            g_array_append_vals(kept, c, 1);
    }
    copy *all = (copy *)(void *)kept->data;
    if (kept->len)
        qsort(all, kept->len, sizeof *all, by_size);
    for (guint i = 0, end; i < kept->len; i = end) {
        for (end = i + 1; end < kept->len && all[end].bytes == all[i].bytes &&
                          all[end].direction == all[i].direction &&
                          all[end].pinned == all[i].pinned &&
                          is_together(&all[end]) == is_together(&all[i]);)
            end++;
        add_copies(r, all + i, end - i);
    }
}

/* ---- the whole ---- */

bool
moe_calibrate_is_profile(const char *path)
{
    char head[16] = {0};
    FILE *file = fopen(path, "rb");
    bool is = file && fread(head, 1, sizeof head, file) == sizeof head &&
              !memcmp(head, "SQLite format 3", sizeof head);
    if (file)
        fclose(file);
    return is;
}

bool
moe_calibrate_profile(moe_measured *table, const char *path, const moe_model *model,
                      moe_profile_rows *counts, moe_diag *diag, GError **error)
{
    reader r = {.table = table, .path = path, .model = model, .n = counts, .error = error};
    if (sqlite3_open_v2(path, &r.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        fail(&r, "cannot be opened");
        sqlite3_close(r.db);
        return false;
    }
    r.path = moe_diag_intern(diag, path);
    bool good = check_profile(&r, diag) && check_losses(&r, diag);
    if (good) {
        moe_measured_begin(table, path);
        read_device(&r);
        read_launches(&r);
        if (model) {
            read_experts(&r);
            read_products(&r);
        }
        read_copies(&r);
        counts->attentions = (size_t)number_of(
            &r, "SELECT count(*) FROM (SELECT DISTINCT pid, step, layer FROM kernel WHERE stage = "
                "'attention')");
    }
    sqlite3_close(r.db);
    g_free(r.device_text);
    return good && !r.failed;
}
