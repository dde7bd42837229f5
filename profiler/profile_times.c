#include "profiler/profile_times.h"

#include "profiler/decoder.h"

#include <string.h>

struct moe_times {
    sqlite3_stmt *rows;
    bool device, more;
    uint32_t n_layers;
    int64_t *sums; /* [n_layers, MOE_STAGES] */
    float *ns;     /* likewise */
};

#define TIMES_COLUMNS "SELECT step, layer, stage, start_ns, end_ns FROM "
#define TIMES_ORDER                                                                                \
    " WHERE pid = ? AND step IS NOT NULL AND stage IS NOT NULL"                                    \
    " ORDER BY step, layer, stage, start_ns, end_ns"

/* The first value of a query about a process; 0: none. */
static int64_t
times_number(sqlite3 *db, const char *sql, int64_t pid)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(statement, 1, pid) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

moe_times *
moe_times_new(sqlite3 *db, int64_t pid, uint32_t n_layers)
{
    enum { MOST = 4096 };
    int64_t stages =
        times_number(db, "SELECT count(*) FROM stage WHERE pid = ? AND step IS NOT NULL", pid);
    bool device = times_number(
        db, "SELECT EXISTS(SELECT 1 FROM kernel WHERE pid = ? AND stage IS NOT NULL)", pid);
    int64_t last = times_number(db, "SELECT max(layer) FROM stage WHERE pid = ?", pid);
    if (!device && !stages)
        return NULL;
    moe_times *t = g_new0(moe_times, 1);
    const char *sql =
        device ? TIMES_COLUMNS "kernel" TIMES_ORDER : TIMES_COLUMNS "stage" TIMES_ORDER;
    t->device = device;
    t->n_layers = MAX(n_layers, (uint32_t)CLAMP(last + 1, 1, MOST));
    size_t cells = (size_t)t->n_layers * MOE_STAGES;
    t->sums = g_new0(int64_t, cells);
    t->ns = g_new0(float, cells);
    t->more = sqlite3_prepare_v2(db, sql, -1, &t->rows, NULL) == SQLITE_OK &&
              sqlite3_bind_int64(t->rows, 1, pid) == SQLITE_OK &&
              sqlite3_step(t->rows) == SQLITE_ROW;
    return t;
}

void
moe_times_free(moe_times *t)
{
    if (!t)
        return;
    sqlite3_finalize(t->rows);
    g_free(t->sums);
    g_free(t->ns);
    g_free(t);
}

uint32_t
moe_times_layers(const moe_times *t)
{
    return t->n_layers;
}

bool
moe_times_device(const moe_times *t)
{
    return t->device;
}

/* The cell of the row at hand; NULL: none. */
static int64_t *
times_cell(moe_times *t)
{
    const char *name = (const char *)sqlite3_column_text(t->rows, 2);
    uint32_t stage = 0;
    while (stage < MOE_STAGES && strcmp(moe_stage_names[stage], name) != 0)
        stage++;
    int64_t layer = sqlite3_column_int64(t->rows, 1);
    if (sqlite3_column_type(t->rows, 1) == SQLITE_NULL)
        layer = stage == MOE_STAGE_EMBED ? 0 : t->n_layers - 1;
    if (stage == MOE_STAGES || layer < 0 || layer >= t->n_layers)
        return NULL;
    return &t->sums[layer * MOE_STAGES + stage];
}

const float *
moe_times_step(moe_times *t, int64_t step)
{
    size_t n = (size_t)t->n_layers * MOE_STAGES;
    int64_t *cell = NULL;
    int64_t covered = INT64_MIN; /* up to here the cell's time is counted */
    memset(t->sums, 0, n * sizeof *t->sums);
    while (t->more && sqlite3_column_int64(t->rows, 0) <= step) {
        int64_t *here = sqlite3_column_int64(t->rows, 0) == step ? times_cell(t) : NULL;
        int64_t start = sqlite3_column_int64(t->rows, 3), end = sqlite3_column_int64(t->rows, 4);
        if (here != cell)
            covered = INT64_MIN;
        cell = here;
        start = MAX(start, covered);
        if (cell && end > start)
            *cell += end - start;
        covered = MAX(covered, end);
        t->more = sqlite3_step(t->rows) == SQLITE_ROW;
    }
    for (size_t i = 0; i < n; i++)
        t->ns[i] = (float)t->sums[i];
    return t->ns;
}
