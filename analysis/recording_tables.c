/* Views: copies, counters, and the capture itself. */
#include "analysis/recording_private.h"
#include "analysis/recording_view.h"

#include <string.h>

/* ---- copies ---- */

typedef struct copy_sum {
    const char *direction;
    int pinned, size; /* size: of [4^n, 4^(n+1)) bytes */
    int64_t n, bytes, ns;
    double best; /* bytes per s */
} copy_sum;

static int
by_kind(const void *a, const void *b)
{
    const copy_sum *x = a, *y = b;
    int order = strcmp(x->direction, y->direction);
    order = order ? order : MOE_ORDER(y->pinned, x->pinned);
    return order ? order : MOE_ORDER(x->size, y->size);
}

static int
size_class(int64_t bytes)
{
    int class = 0;
    for (int64_t end = 4; class < 30 && bytes >= end; end *= 4)
        class ++;
    return class;
}

static GArray *
sum_copies(const moe_recording *recording)
{
    GArray *sums = g_array_new(FALSE, FALSE, sizeof(copy_sum));
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *copy = moe_recording_work(recording, i);
        if (moe_work_computes(copy) || copy->bytes < 0)
            continue;
        int size = size_class(copy->bytes);
        guint at = 0;
        for (; at < sums->len; at++) {
            const copy_sum *sum = &g_array_index(sums, copy_sum, at);
            if (sum->direction == copy->text && sum->pinned == copy->pinned && sum->size == size)
                break;
        }
        if (at == sums->len) {
            copy_sum fresh = {copy->text, copy->pinned, size, 0, 0, 0, 0};
            g_array_append_val(sums, fresh);
        }
        copy_sum *sum = &g_array_index(sums, copy_sum, at);
        int64_t took = copy->end - copy->start;
        sum->n++;
        if (__builtin_add_overflow(sum->bytes, copy->bytes, &sum->bytes))
            sum->bytes = INT64_MAX;
        sum->ns += took;
        sum->best = took > 0 ? MAX(sum->best, (double)copy->bytes * 1e9 / (double)took) : sum->best;
    }
    g_array_sort(sums, by_kind);
    return sums;
}

void
moe_view_copies(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"direction", "direction", MOE_FIELD_TEXT},
        {"memory", "memory", MOE_FIELD_TEXT},
        {"from_bytes", "from", MOE_FIELD_BYTES},
        {"below_bytes", "below", MOE_FIELD_BYTES},
        {"n", "n", MOE_FIELD_COUNT},
        {"bytes", "moved", MOE_FIELD_BYTES},
        {"time_ns", "time ms", MOE_FIELD_MS},
        {"bytes_per_s", "rate", MOE_FIELD_RATE},
        {"best_bytes_per_s", "best", MOE_FIELD_RATE},
    };
    static const char *const memory[] = {"unknown", "pageable", "pinned"};
    g_autoptr(GArray) sums = sum_copies(recording);
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (guint i = 0; i < sums->len; i++) {
        const copy_sum *sum = &g_array_index(sums, copy_sum, i);
        bool set = !strcmp(sum->direction, "memset");
        moe_view_add(view, moe_text(sum->direction));
        moe_view_add(view, set ? moe_null() : moe_text(memory[sum->pinned + 1]));
        moe_view_add(view, moe_int(sum->size ? INT64_C(1) << 2 * sum->size : 0));
        moe_view_add(view, moe_int(INT64_C(1) << 2 * (sum->size + 1)));
        moe_view_add(view, moe_int(sum->n));
        moe_view_add(view, moe_int(sum->bytes));
        moe_view_add(view, moe_int(sum->ns));
        moe_view_add(view,
                     sum->ns ? moe_real((double)sum->bytes * 1e9 / (double)sum->ns) : moe_null());
        moe_view_add(view, sum->best > 0 ? moe_real(sum->best) : moe_null());
    }
}

/* ---- counters ---- */

typedef struct counter_row {
    const char *stage, *metric;
    int64_t n;
    double sum, mean;
    double ns; /* gpu__time_duration.sum of the stage; 0: not counted */
} counter_row;

static void
add_counter(const counter_row *row, moe_view *view)
{
    bool sums = g_str_has_suffix(row->metric, ".sum");
    bool bytes = sums && strstr(row->metric, "bytes") != NULL;
    moe_view_add(view, moe_text(row->stage));
    moe_view_add(view, moe_text(row->metric));
    moe_view_add(view, moe_int(row->n));
    moe_view_add(view, sums ? moe_real(row->sum) : moe_null());
    moe_view_add(view, moe_real(row->mean));
    moe_view_add(view, bytes && row->ns > 0 ? moe_real(row->sum * 1e9 / row->ns) : moe_null());
}

/* The time of the same ranges comes from the counters, whose passes slow kernels down. */
static const char counter_sql[] =
    "WITH c AS (SELECT coalesce(stage, range) AS stage, metric, value FROM counter)"
    "SELECT stage, metric, count(value), total(value), avg(value), (SELECT total(t.value) FROM c t"
    " WHERE t.stage = c.stage AND t.metric = 'gpu__time_duration.sum') FROM c"
    " GROUP BY stage, metric HAVING count(value) > 0 ORDER BY stage, metric";

void
moe_view_counters(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"stage", "stage", MOE_FIELD_TEXT}, {"metric", "metric", MOE_FIELD_TEXT},
        {"n", "n", MOE_FIELD_COUNT},        {"sum", "sum", MOE_FIELD_REAL},
        {"mean", "mean", MOE_FIELD_REAL},   {"bytes_per_s", "rate", MOE_FIELD_RATE},
    };
    g_autoptr(GError) error = NULL;
    MOE_AUTO_STMT stmt = moe_store_prepare(recording->sql, counter_sql, &error);
    moe_view_fields(view, fields, MOE_COUNT(fields));
    while (stmt && moe_store_step_row(recording->sql, stmt, &error) == 1) {
        counter_row row = {(const char *)sqlite3_column_text(stmt, 0),
                           (const char *)sqlite3_column_text(stmt, 1),
                           sqlite3_column_int64(stmt, 2),
                           sqlite3_column_double(stmt, 3),
                           sqlite3_column_double(stmt, 4),
                           sqlite3_column_double(stmt, 5)};
        if (row.stage && row.metric)
            add_counter(&row, view);
    }
    if (error)
        moe_view_note(view, "%s", error->message);
}

/* ---- capture ---- */

static void
add_fact(moe_view *view, const char *what, const char *which, int64_t n, moe_cell ns)
{
    moe_view_add(view, moe_text(what));
    moe_view_add(view, moe_text(which));
    moe_view_add(view, moe_int(n));
    moe_view_add(view, ns);
}

static void
add_rows(const moe_recording *recording, const char *what, const char *sql, moe_view *view)
{
    g_autoptr(GError) error = NULL;
    MOE_AUTO_STMT stmt = moe_store_prepare(recording->sql, sql, &error);
    while (stmt && moe_store_step_row(recording->sql, stmt, &error) == 1) {
        const char *which = (const char *)sqlite3_column_text(stmt, 0);
        bool timed = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
        add_fact(view, what, which ? which : "?", sqlite3_column_int64(stmt, 1),
                 timed ? moe_int((int64_t)CLAMP(sqlite3_column_double(stmt, 2), 0, 9e18))
                       : moe_null());
    }
    if (error)
        moe_view_note(view, "%s", error->message);
}

void
moe_view_capture(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"what", "what", MOE_FIELD_TEXT},
        {"which", "which", MOE_FIELD_TEXT},
        {"n", "n", MOE_FIELD_COUNT},
        {"time_ns", "time ms", MOE_FIELD_MS},
    };
    moe_view_fields(view, fields, MOE_COUNT(fields));
    add_rows(recording, "overhead",
             "SELECT kind, count(*), total(end_ns - start_ns) FROM overhead GROUP BY kind"
             " ORDER BY kind",
             view);
    add_rows(recording, "lost",
             "SELECT source || '.' || what, sum(n), NULL FROM loss GROUP BY source, what"
             " HAVING sum(n) > 0 ORDER BY source, what",
             view);
    add_rows(recording, "said",
             "SELECT severity || ': ' || code, sum(n), NULL FROM diagnostic"
             " GROUP BY severity, code ORDER BY severity, code",
             view);
    g_autofree char *what = NULL;
    double share = moe_recording_lost(recording, &what);
    if (what)
        moe_view_note(view, "lost: %.2f %% (%s)", 100 * share, what);
}
