#include "profiler/profile_routing_private.h"

#include "profiler/decoder.h"
#include "profiler/profile_rows.h"
#include "profiler/profile_times.h"

#include <math.h>
#include <string.h>

/* One step of one group, layer by layer as it was recorded. */
typedef struct routing_step {
    uint32_t n, room; /* rows; what the arrays have room for */
    uint16_t *ids;    /* [n, layers, k] */
    float *weights;
    uint8_t *routed; /* [n]: 1: by some layer */
    int32_t *sequence, *position, *token_id;
    moe_row *rows;
} routing_step;

typedef struct routing_job {
    moe_profile_writer *writer;
    const moe_routing_plan *plan;
    moe_routing_builder *builder;
    sqlite3_stmt *routing, *tokens, *info;
    GPtrArray *rows; /* moe_rows of each group */
    uint32_t next_sequence;
    moe_times *times;
    routing_step step;
    uint64_t unrouted, partly, invalid, again, unnamed, huge;
} routing_job;

/* ---- one step ---- */

static void
routing_bind(sqlite3_stmt *statement, int64_t pid, int64_t step)
{
    sqlite3_reset(statement);
    sqlite3_bind_int64(statement, 1, pid);
    sqlite3_bind_int64(statement, 2, step);
}

/* Makes room for the rows of a step and fills it with "not run". False: there is none. */
static bool
routing_room(routing_job *j, uint32_t n)
{
    routing_step *s = &j->step;
    size_t row = (size_t)j->plan->n_layers * j->plan->k;
    if (n > s->room) {
        g_free(s->ids);
        g_free(s->weights);
        s->ids = g_try_malloc_n(n, row * sizeof *s->ids);
        s->weights = g_try_malloc_n(n, row * sizeof *s->weights);
        s->routed = g_renew(uint8_t, s->routed, n);
        s->sequence = g_renew(int32_t, s->sequence, n);
        s->position = g_renew(int32_t, s->position, n);
        s->token_id = g_renew(int32_t, s->token_id, n);
        s->rows = g_renew(moe_row, s->rows, n);
        s->room = s->ids && s->weights ? n : 0;
    }
    s->n = n;
    if (n > s->room)
        return false;
    for (size_t i = 0; i < n * row; i++)
        s->ids[i] = MOE_ROUTING_NOT_RUN;
    memset(s->weights, 0, n * row * sizeof *s->weights);
    memset(s->routed, 0, n);
    memset(s->sequence, 0xFF, n * sizeof *s->sequence);
    memset(s->position, 0xFF, n * sizeof *s->position);
    memset(s->token_id, 0xFF, n * sizeof *s->token_id);
    return true;
}

/* How many rows the step has: up to the last one that was routed, if the holes are not absurd. */
static uint32_t
routing_count(routing_job *j, const moe_routing_group *group, int64_t step)
{
    enum { HOLES = 1 << 16, MOST_CELLS = 1 << 28 }; /* cells: gigabytes, of one step */
    int64_t last = 0, rows = 0;
    for (guint p = 0; p < group->pids->len; p++) {
        routing_bind(j->routing, g_array_index(group->pids, int64_t, p), step);
        while (sqlite3_step(j->routing) == SQLITE_ROW) {
            int64_t token0 = sqlite3_column_int64(j->routing, 1);
            int64_t n = sqlite3_column_int64(j->routing, 2);
            last = MAX(last, token0 + n);
            rows += n;
        }
    }
    int64_t cells = (int64_t)j->plan->n_layers * j->plan->k;
    if (last > rows + HOLES || last > MOST_CELLS / cells) {
        j->huge++;
        return 0;
    }
    return (uint32_t)last;
}

/* Whether a row is as a trace wants it, with "no expert" behind the others. */
static bool
routing_valid(const uint16_t *ids, uint32_t k, uint32_t n_experts)
{
    for (uint32_t i = 0; i < k; i++) {
        if (ids[i] >= n_experts && ids[i] != MOE_ROUTING_NO_EXPERT)
            return false;
        if (i && ids[i - 1] == MOE_ROUTING_NO_EXPERT && ids[i] != MOE_ROUTING_NO_EXPERT)
            return false;
        for (uint32_t l = 0; l < i; l++)
            if (ids[l] == ids[i] && ids[i] != MOE_ROUTING_NO_EXPERT)
                return false;
    }
    return true;
}

/* Rows of one layer, as the statement has them, to their places. */
static void
routing_lay(routing_job *j)
{
    const moe_routing_plan *plan = j->plan;
    uint32_t layer = plan->layer_index[sqlite3_column_int64(j->routing, 0)];
    uint32_t token0 = (uint32_t)sqlite3_column_int64(j->routing, 1);
    uint32_t n = (uint32_t)sqlite3_column_int64(j->routing, 2);
    uint32_t k = (uint32_t)sqlite3_column_int64(j->routing, 3);
    const uint8_t *ids = sqlite3_column_blob(j->routing, 4);
    const uint8_t *weights = sqlite3_column_blob(j->routing, 5);
    for (uint32_t i = 0; i < n && layer != MOE_NONE; i++) {
        size_t at = ((size_t)(token0 + i) * plan->n_layers + layer) * plan->k;
        uint16_t row[MOE_ROUTING_MAX_K];
        memset(row, 0xFF, sizeof row);
        memcpy(row, ids + (size_t)i * k * 2, k * sizeof *row);
        if (!routing_valid(row, plan->k, plan->n_experts)) {
            j->invalid++;
            continue;
        }
        j->step.routed[token0 + i] = 1;
        memcpy(j->step.ids + at, row, plan->k * sizeof *row);
        if (!plan->weights)
            continue;
        memcpy(j->step.weights + at, weights + (size_t)i * k * 4, k * sizeof(float));
        for (uint32_t e = 0; e < plan->k; e++)
            if (row[e] == MOE_ROUTING_NO_EXPERT || !isfinite(j->step.weights[at + e]))
                j->step.weights[at + e] = 0;
    }
}

static void
routing_read(routing_job *j, const moe_routing_group *group, int64_t step)
{
    for (guint p = 0; p < group->pids->len; p++) {
        routing_bind(j->routing, g_array_index(group->pids, int64_t, p), step);
        while (sqlite3_step(j->routing) == SQLITE_ROW)
            routing_lay(j);
    }
}

/* ---- who the rows are ---- */

static void
routing_copy(int32_t *to, sqlite3_stmt *statement, int column, uint32_t token0, uint32_t n,
             uint32_t rows)
{
    const int32_t *cells = sqlite3_column_blob(statement, column);
    if (cells && token0 < rows)
        memcpy(to + token0, cells, MIN(n, rows - token0) * sizeof *to);
}

static int
routing_phase(sqlite3_stmt *info)
{
    static const char *const names[] = {"prefill", "decode", "both"};
    const char *text = (const char *)sqlite3_column_text(info, 0);
    for (int i = 0; text && i < (int)MOE_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -1;
}

static void
routing_who(routing_job *j, guint g, int64_t step)
{
    const moe_routing_group *group = j->plan->groups->pdata[g];
    routing_step *s = &j->step;
    int64_t pid = g_array_index(group->pids, int64_t, 0);
    moe_rows_step rows = {.phase = -1, .n = s->n, .sequence = s->sequence, .position = s->position};
    routing_bind(j->tokens, pid, step);
    while (sqlite3_step(j->tokens) == SQLITE_ROW) {
        uint32_t token0 = (uint32_t)sqlite3_column_int64(j->tokens, 0);
        uint32_t n = (uint32_t)sqlite3_column_int64(j->tokens, 1);
        routing_copy(s->sequence, j->tokens, 2, token0, n, s->n);
        routing_copy(s->position, j->tokens, 3, token0, n, s->n);
        routing_copy(s->token_id, j->tokens, 4, token0, n, s->n);
    }
    routing_bind(j->info, pid, step);
    if (sqlite3_step(j->info) == SQLITE_ROW) {
        rows.phase = routing_phase(j->info);
        rows.sequences = sqlite3_column_int64(j->info, 1);
    }
    moe_rows_next(j->rows->pdata[g], &rows, s->rows);
}

/* Layers that did not run, of those that its group has. */
static bool
routing_is_partly(const routing_job *j, const moe_routing_group *group, uint32_t row)
{
    const moe_routing_plan *plan = j->plan;
    for (uint32_t l = 0; l < plan->n_layers; l++)
        if (group->layers[plan->layer_ids[l]] &&
            j->step.ids[((size_t)row * plan->n_layers + l) * plan->k] == MOE_ROUTING_NOT_RUN)
            return true;
    return false;
}

static void
routing_add(routing_job *j, guint g, uint32_t index)
{
    const moe_routing_group *group = j->plan->groups->pdata[g];
    const routing_step *s = &j->step;
    size_t row = (size_t)j->plan->n_layers * j->plan->k;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!s->routed[i]) {
            j->unrouted++;
            continue;
        }
        if (s->rows[i].again) {
            j->again++;
            continue;
        }
        if (j->plan->token_ids && s->token_id[i] < 0) {
            j->unnamed++;
            continue;
        }
        j->partly += routing_is_partly(j, group, i);
        moe_routing_builder_add(j->builder, s->rows[i].sequence, s->rows[i].position,
                                s->rows[i].decode ? MOE_DECODE : MOE_PREFILL, s->ids + i * row,
                                j->plan->weights ? s->weights + i * row : NULL);
        moe_routing_builder_step(j->builder, index);
        if (j->plan->token_ids)
            moe_routing_builder_token_id(j->builder, (uint32_t)s->token_id[i]);
    }
}

static void
routing_steps(routing_job *j)
{
    for (guint i = 0; i < j->plan->steps->len; i++) {
        int64_t step = g_array_index(j->plan->steps, int64_t, i);
        for (guint g = 0; g < j->plan->groups->len; g++) {
            const moe_routing_group *group = j->plan->groups->pdata[g];
            uint32_t n = routing_count(j, group, step);
            if (n == 0)
                continue;
            if (!routing_room(j, n)) {
                j->huge++;
                continue;
            }
            routing_read(j, group, step);
            routing_who(j, g, step);
            routing_add(j, g, i);
        }
        if (j->times)
            moe_routing_builder_times(j->builder, moe_times_step(j->times, step));
    }
}

/* ---- the trace ---- */

static void
routing_meta(routing_job *j)
{
    const moe_routing_plan *plan = j->plan;
    uint64_t derived = 0;
    for (guint g = 0; g < j->rows->len; g++)
        derived += moe_rows_derived(j->rows->pdata[g]);
    if (derived)
        moe_profile_note(j->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_derived", derived,
                         NULL);
    moe_routing_builder_meta(j->builder, "model", plan->model);
    moe_routing_builder_meta(j->builder, "engine", plan->engine);
    moe_routing_builder_meta(j->builder, "hardware", plan->hardware);
    moe_routing_builder_meta(j->builder, "model_description",
                             moe_profile_meta_value(j->writer, "model"));
    moe_routing_builder_meta(j->builder, "order", "weight");
    moe_routing_builder_meta(j->builder, "capture", "moesim capture of a program");
    moe_routing_builder_meta(
        j->builder, "sequences",
        derived ? "derived: a prefill step begins sequences, a decode step goes on in them"
                : "told by the engine");
    moe_routing_builder_meta(j->builder, "experts_from",
                             plan->told_experts ? "the model" : "the largest id that was seen");
    if (j->times)
        moe_routing_builder_meta(j->builder, "stage_times",
                                 moe_times_device(j->times)
                                     ? "device: time in which a kernel of the stage ran"
                                     : "host: from the beginning of the stage's range to its end");
}

static void
routing_note(const routing_job *j, const char *code, uint64_t n, const char *text)
{
    if (n)
        moe_profile_note(j->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, code, n, "%s", text);
}

static void
routing_notes(const routing_job *j)
{
    routing_note(j, "route_gap", j->unrouted, "rows without routing are left out of the trace");
    routing_note(j, "route_gap", j->partly,
                 "rows that some layers did not route are marked as not run there");
    routing_note(j, "route_gap", j->unnamed, "rows without a token id are left out of the trace");
    routing_note(
        j, "route_gap", j->huge,
        "steps whose rows are numbered with absurd holes, or fit into no memory, are left out "
        "of the trace");
    routing_note(j, "route_invalid", j->invalid,
                 "rows that name an expert twice, one that the model does not have, or one after "
                 "'none' are marked as not run");
    routing_note(j, "route_twice", j->again,
                 "rows whose sequence had that position before are left out of the trace");
}

static void
routing_begin(routing_job *j, const moe_profile_options *options)
{
    const moe_routing_plan *plan = j->plan;
    sqlite3 *db = moe_profile_writer_database(j->writer);
    static const char routing[] = "SELECT layer, token0, tokens, k, ids, weights FROM routing"
                                  " WHERE pid = ? AND step = ? ORDER BY layer, token0";
    static const char tokens[] = "SELECT token0, tokens, sequence, position, token_id FROM token"
                                 " WHERE pid = ? AND step = ? ORDER BY token0";
    static const char info[] = "SELECT phase, sequences FROM step WHERE pid = ? AND step = ?";
    if (sqlite3_prepare_v2(db, routing, -1, &j->routing, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, tokens, -1, &j->tokens, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, info, -1, &j->info, NULL) != SQLITE_OK)
        moe_profile_writer_fail(j->writer);
    j->rows = g_ptr_array_new_with_free_func((GDestroyNotify)moe_rows_free);
    for (guint g = 0; g < plan->groups->len; g++)
        g_ptr_array_add(j->rows, moe_rows_new(&j->next_sequence, plan->groups->len == 1));
    g_autofree char *folder = g_path_get_dirname(options->trace);
    const moe_routing_group *first = plan->groups->pdata[0];
    uint32_t last = plan->layer_ids[plan->n_layers - 1];
    j->times = moe_times_new(db, g_array_index(first->pids, int64_t, 0), last + 1);
    j->builder = moe_routing_builder_new(plan->n_layers, plan->n_experts, plan->k);
    moe_routing_builder_spill(j->builder, options->scratch ? options->scratch : folder, 0);
    moe_routing_builder_layers(j->builder, plan->layer_ids);
    if (j->times)
        moe_routing_builder_stages(j->builder, moe_times_layers(j->times), moe_stage_names,
                                   MOE_STAGES);
}

static void
routing_end(routing_job *j)
{
    sqlite3_finalize(j->routing);
    sqlite3_finalize(j->tokens);
    sqlite3_finalize(j->info);
    moe_times_free(j->times);
    moe_routing_builder_free(j->builder);
    g_ptr_array_unref(j->rows);
    g_free(j->step.ids);
    g_free(j->step.weights);
    g_free(j->step.routed);
    g_free(j->step.sequence);
    g_free(j->step.position);
    g_free(j->step.token_id);
    g_free(j->step.rows);
}

/* Writes the trace; a check that fails would be a bug of this file, but is said, not asserted: the
 * profile is worth keeping. */
static bool
routing_write(routing_job *j, const char *path, GError **error)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    if (moe_routing_builder_failed(j->builder, path, error))
        return false;
    if (!moe_routing_builder_check(j->builder, path, diag)) {
        g_autofree char *why = moe_diag_first(diag);
        moe_profile_note(j->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_invalid", 1,
                         "no routing trace was written: %s", why);
        return true;
    }
    moe_profile_writer_summary(j->writer)->trace = true;
    return moe_routing_builder_write(g_steal_pointer(&j->builder), path, error);
}

bool
moe_profile_routing(moe_profile_writer *writer, const moe_profile_options *options, GError **error)
{
    g_autoptr(moe_routing_plan) plan = moe_routing_plan_new(writer);
    if (!plan)
        return true;
    routing_job job = {.writer = writer, .plan = plan};
    routing_begin(&job, options);
    bool ok = true;
    if (!moe_profile_writer_failed(writer))
        routing_steps(&job);
    if (!moe_profile_writer_failed(writer)) {
        routing_meta(&job);
        routing_notes(&job);
        ok = routing_write(&job, options->trace, error);
    }
    routing_end(&job);
    return ok;
}
