#include "analysis/schema.h"
#include "analysis/store.h"
#include "tests/test.h"

#include <glib/gstdio.h>
#include <math.h>
#include <sqlite3.h>

static char *folder;

static char *
fresh(const char *name)
{
    if (!folder)
        folder = g_dir_make_tmp("moe-store-XXXXXX", NULL);
    return g_build_filename(folder, name, NULL);
}

static const char *const keys[] = {"experts.cache.evict", "workload.batch"};

static moe_result *
some_result(double value)
{
    moe_result *result = moe_result_new();
    moe_cell metric[] = {moe_text("speed"), moe_real(value), moe_text("tokens/s"),
                         moe_real(9),       moe_null(),      moe_null()};
    moe_cell nothing[] = {moe_text("nothing"), moe_null(), moe_text("s"),
                          moe_null(),          moe_null(), moe_null()};
    moe_cell busy[] = {moe_text("gpu"), moe_text("busy"), moe_text("experts"), moe_int(75)};
    moe_cell idle[] = {moe_text("gpu"), moe_text("idle"), moe_text(""), moe_int(25)};
    moe_result_add(result, "metric", metric, MOE_COUNT(metric));
    moe_result_add(result, "metric", nothing, MOE_COUNT(nothing));
    moe_result_add(result, "blame", busy, MOE_COUNT(busy));
    moe_result_add(result, "blame", idle, MOE_COUNT(idle));
    return result;
}

static bool
add(moe_store *store, const char *identity, const char *evict, const char *batch, double value)
{
    const char *values[] = {evict, batch};
    moe_store_run run = {.identity = identity,
                         .scenario = "s",
                         .path = "s.yaml",
                         .version = "1",
                         .source = "abc",
                         .host = "h",
                         .semantics = 1,
                         .seed = 7,
                         .wall_s = value / 100,
                         .n_swept = 2,
                         .keys = keys,
                         .values = values};
    moe_result *result = some_result(value);
    GError *error = NULL;
    bool ok = moe_store_add(store, &run, result, &error);
    MOE_CHECK(ok, "%s", error ? error->message : "");
    g_clear_error(&error);
    moe_result_free(result);
    return ok;
}

static moe_store *
open_ok(const char *path, moe_store_mode mode)
{
    GError *error = NULL;
    moe_store *store = moe_store_open(path, mode, &error);
    MOE_CHECK(store, "%s", error ? error->message : "");
    g_clear_error(&error);
    return store;
}

/* All rows of a table but host and wall time, as text. */
static char *
dump(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    GString *out = g_string_new(NULL);
    sqlite3_open(path, &db);
    int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    MOE_CHECK(code == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            g_string_append_printf(out, "%s|", text ? text : "NULL");
        }
        g_string_append_c(out, '\n');
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return g_string_free(out, FALSE);
}

static void
execute(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_open(path, &db);
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    MOE_CHECK(code == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void
keeps_runs(void)
{
    g_autofree char *path = fresh("keeps.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    bool has = true;
    CU_ASSERT(moe_store_has(store, "aa", &has, NULL));
    CU_ASSERT_FALSE(has);
    add(store, "aa", "lru", "1", 4);
    moe_store_close(store);

    store = open_ok(path, MOE_STORE_READ);
    CU_ASSERT(moe_store_has(store, "aa", &has, NULL));
    CU_ASSERT(has);
    moe_measure m;
    CU_ASSERT(moe_store_measure(store, "aa", "speed", &m, NULL));
    CU_ASSERT_EQUAL(m.value, 4);
    CU_ASSERT_EQUAL(m.contention_free, 9);
    CU_ASSERT(isnan(m.perfect_cache));
    CU_ASSERT(moe_store_measure(store, "aa", "nothing", &m, NULL));
    CU_ASSERT(isnan(m.value));
    CU_ASSERT(moe_store_measure(store, "bb", "speed", &m, NULL));
    CU_ASSERT(isnan(m.value));
    char *unit = NULL;
    CU_ASSERT(moe_store_unit(store, "speed", &unit, NULL));
    CU_ASSERT_STRING_EQUAL(unit, "tokens/s");
    g_free(unit);
    g_auto(GStrv) metrics = moe_store_metrics(store, NULL);
    CU_ASSERT_EQUAL(g_strv_length(metrics), 2);
    moe_store_close(store);
}

static void
order_does_not_matter(void)
{
    static const char *const tables[] = {
        "SELECT identity, scenario, path, version, semantics, seed, source FROM run",
        "SELECT * FROM parameter", "SELECT * FROM metric", "SELECT * FROM blame"};
    g_autofree char *one = fresh("one.db");
    g_autofree char *two = fresh("two.db");
    moe_store *store = open_ok(one, MOE_STORE_WRITE);
    add(store, "aa", "lru", "1", 4);
    add(store, "bb", "lfu", "1", 5);
    moe_store_close(store);
    store = open_ok(two, MOE_STORE_WRITE);
    add(store, "bb", "lfu", "1", 5);
    moe_store_close(store);
    store = open_ok(two, MOE_STORE_WRITE);
    add(store, "aa", "lru", "1", 4);
    add(store, "aa", "lru", "1", 4444); /* there already: left as it is */
    moe_store_close(store);
    for (size_t i = 0; i < MOE_COUNT(tables); i++) {
        g_autofree char *a = dump(one, tables[i]);
        g_autofree char *b = dump(two, tables[i]);
        MOE_CHECK(!strcmp(a, b), "%s:\n%s\n%s", tables[i], a, b);
        CU_ASSERT(strlen(a) > 0);
    }
}

static void
failed_run_leaves_nothing(void)
{
    g_autofree char *path = fresh("failed.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    moe_result *result = some_result(1);
    moe_cell twice[] = {moe_text("speed"), moe_real(2), moe_text("s"),
                        moe_null(),        moe_null(),  moe_null()};
    moe_result_add(result, "metric", twice, MOE_COUNT(twice));
    moe_store_run run = {
        .identity = "aa", .scenario = "s", .path = "p", .version = "1", .source = "x", .host = "h"};
    GError *error = NULL;
    CU_ASSERT_FALSE(moe_store_add(store, &run, result, &error));
    CU_ASSERT_PTR_NOT_NULL(error);
    g_clear_error(&error);
    moe_result_free(result);
    bool has = true;
    CU_ASSERT(moe_store_has(store, "aa", &has, NULL));
    CU_ASSERT_FALSE(has);
    add(store, "aa", "lru", "1", 4); /* and the store goes on */
    moe_store_close(store);
    g_autofree char *metrics = dump(path, "SELECT count(*) FROM metric");
    CU_ASSERT_STRING_EQUAL(metrics, "2|\n");
}

static void
refuses_strangers(void)
{
    static const struct {
        const char *name, *sql, *bytes, *says;
    } cases[] = {
        {"other.db", "CREATE TABLE t(x); PRAGMA application_id = 7", NULL, "another application"},
        {"plain.db", "CREATE TABLE t(x)", NULL, "another application"},
        {"text.db", NULL, "hello", "not a database"},
        {"short.db", NULL, "SQLite format 3", "not a database"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *path = fresh(cases[i].name);
        if (cases[i].sql)
            execute(path, cases[i].sql);
        else
            g_file_set_contents(path, cases[i].bytes, -1, NULL);
        g_autofree char *before = NULL;
        g_autofree char *after = NULL;
        size_t n_before, n_after;
        g_file_get_contents(path, &before, &n_before, NULL);
        for (int mode = MOE_STORE_READ; mode <= MOE_STORE_WRITE; mode++) {
            g_autoptr(GError) error = NULL;
            moe_store *store = moe_store_open(path, (moe_store_mode)mode, &error);
            MOE_CHECK(!store && error && strstr(error->message, cases[i].says), "case %zu: %s", i,
                      error ? error->message : "opened");
            MOE_CHECK(error && g_str_has_prefix(error->message, path), "case %zu: no path", i);
            moe_store_close(store);
        }
        g_file_get_contents(path, &after, &n_after, NULL);
        MOE_CHECK(n_before == n_after && !memcmp(before, after, n_before), "case %zu: written", i);
    }
}

static void
refuses_newer(void)
{
    g_autofree char *path = fresh("newer.db");
    moe_store_close(open_ok(path, MOE_STORE_WRITE));
    execute(path, "PRAGMA user_version = 99");
    g_autoptr(GError) error = NULL;
    CU_ASSERT_PTR_NULL(moe_store_open(path, MOE_STORE_WRITE, &error));
    MOE_CHECK(error && strstr(error->message, "newer moesim"), "%s", error ? error->message : "");
}

/* A database of schema 1 keeps its runs, which are no counterfactuals; statistics of
 * traces came with schema 3, timelines with 4, energy with 5, validations with 6. */
static void
upgrades_older(void)
{
    g_autofree char *path = fresh("older.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    add(store, "aa", "lru", "1", 4);
    moe_store_close(store);
    execute(path, "DROP TABLE trace_statistic; DROP TABLE timeline; DROP TABLE energy;"
                  "DROP VIEW v_metric; DROP VIEW v_validation; DROP VIEW v_validation_error;"
                  "DROP TABLE validation_row; DROP TABLE validation_error;"
                  "ALTER TABLE run DROP COLUMN counterfactual;"
                  "CREATE VIEW v_metric AS SELECT * FROM metric; PRAGMA user_version = 1");
    g_autoptr(GError) error = NULL;
    CU_ASSERT_PTR_NULL(moe_store_open(path, MOE_STORE_READ, &error));
    MOE_CHECK(error && strstr(error->message, "older schema"), "%s", error ? error->message : "");
    store = open_ok(path, MOE_STORE_WRITE);
    add(store, "bb", "lru", "2", 5);
    moe_store_close(store);
    g_autofree char *all = dump(path, "SELECT run, counterfactual FROM v_metric WHERE name = "
                                      "'speed' ORDER BY run");
    MOE_CHECK(!strcmp(all, "aa|0|\nbb|0|\n"), "%s", all);
    g_autofree char *none = dump(path, "SELECT count(*) FROM trace_statistic");
    CU_ASSERT_STRING_EQUAL(none, "0|\n");
    const char *columns = "SELECT name, type, \"notnull\", pk FROM pragma_table_info('timeline')";
    g_autofree char *newest = fresh("newest.db");
    moe_store_close(open_ok(newest, MOE_STORE_WRITE));
    g_autofree char *upgraded = dump(path, columns), *made = dump(newest, columns);
    MOE_CHECK(strlen(made) > 0 && !strcmp(upgraded, made), "%s, not %s", upgraded, made);
}

static void
reading_needs_a_file(void)
{
    g_autofree char *path = fresh("absent.db");
    g_autoptr(GError) error = NULL;
    CU_ASSERT_PTR_NULL(moe_store_open(path, MOE_STORE_READ, &error));
    CU_ASSERT_PTR_NOT_NULL(error);
    CU_ASSERT_FALSE(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void
views_answer(void)
{
    g_autofree char *path = fresh("views.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    add(store, "aa", "lru", "1", 4);
    add(store, "bb", "lfu", "1", 5);
    add(store, "cc", "lfu", "2", 10);
    moe_store_close(store);
    g_autofree char *speedup = dump(
        path, "SELECT key, of, over, ratio FROM v_speedup WHERE name = 'speed' ORDER BY ratio");
    CU_ASSERT_STRING_EQUAL(speedup, "workload.batch|1|2|0.5|\n"
                                    "experts.cache.evict|lru|lfu|0.8|\n"
                                    "experts.cache.evict|lfu|lru|1.25|\n"
                                    "workload.batch|2|1|2.0|\n");
    g_autofree char *metric =
        dump(path, "SELECT parameters, value FROM v_metric WHERE run = 'aa' AND name = 'speed'");
    CU_ASSERT_STRING_EQUAL(metric, "experts.cache.evict=lru workload.batch=1|4.0|\n");
    g_autofree char *blame = dump(path, "SELECT kind, share FROM v_blame WHERE run = 'aa'");
    CU_ASSERT_STRING_EQUAL(blame, "busy|0.75|\nidle|0.25|\n");
}

static void
frame_has_swept_keys(void)
{
    g_autofree char *path = fresh("frame.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    add(store, "cc", "lfu", "2", 10);
    add(store, "aa", "lru", "1", 4);
    g_autoptr(moe_frame) more = moe_frame_new();
    const char *const new_keys[] = {"seed"}, *const new_values[] = {"3"};
    moe_frame_add(more, "aa", new_keys, new_values, 1);
    moe_frame_add(more, "not there", new_keys, new_values, 1);
    CU_ASSERT(moe_store_add_keys(store, more, NULL));
    g_autoptr(moe_frame) frame = moe_store_frame(store, NULL);
    moe_store_close(store);
    CU_ASSERT_EQUAL(moe_frame_points(frame), 2);
    CU_ASSERT_STRING_EQUAL(moe_frame_identity(frame, 0), "cc"); /* lfu before lru */
    size_t seed = moe_frame_find(frame, "seed");
    CU_ASSERT_PTR_NULL(moe_frame_value(frame, 0, seed));
    CU_ASSERT_STRING_EQUAL(moe_frame_value(frame, 1, seed), "3");
}

static void
expectations_are_replaced(void)
{
    g_autofree char *path = fresh("expectations.db");
    moe_store *store = open_ok(path, MOE_STORE_WRITE);
    moe_store_expectation rows[] = {
        {.number = 1,
         .metric = "speed",
         .of = "",
         .over = "",
         .agg = "",
         .bound = "both",
         .verdict = "met",
         .basis = "fitted",
         .source = "s",
         .note = "",
         .expected = 1,
         .got = 1},
        {.number = 2,
         .metric = "speed",
         .of = "",
         .over = "",
         .agg = "",
         .bound = "both",
         .verdict = "skipped",
         .basis = "fitted",
         .source = "s",
         .note = "",
         .got = NAN},
    };
    CU_ASSERT(moe_store_set_expectations(store, "s", rows, 2, NULL));
    CU_ASSERT(moe_store_set_expectations(store, "other", rows, 1, NULL));
    CU_ASSERT(moe_store_set_expectations(store, "s", rows + 1, 1, NULL));
    moe_store_close(store);
    g_autofree char *all = dump(path, "SELECT scenario, number, got FROM expectation");
    CU_ASSERT_STRING_EQUAL(all, "other|1|1.0|\ns|2|NULL|\n");
}

/* A trace's statistics take the place of those with the same selection. */
static void
statistics_are_replaced(void)
{
    g_autofree char *path = fresh("statistics.db");
    moe_store *store = moe_store_open(path, MOE_STORE_WRITE, NULL);
    const moe_store_statistic rows[] = {{"overlap", "lag=1", "share", -1, 0.5, NAN, NAN},
                                        {"srp", "m=4", "F1", 3, 0.25, 0.125, 0.75}};
    CU_ASSERT(moe_store_set_statistics(store, "t", "", rows, 2, NULL));
    CU_ASSERT(moe_store_set_statistics(store, "t", "--sequences 1", rows, 1, NULL));
    CU_ASSERT(moe_store_set_statistics(store, "t", "", rows + 1, 1, NULL));
    moe_store_close(store);
    g_autofree char *all = dump(path, "SELECT selection, statistic, layer, parameter, value, low, "
                                      "high FROM trace_statistic");
    CU_ASSERT_STRING_EQUAL(
        all, "|srp|3|m=4|0.25|0.125|0.75|\n--sequences 1|overlap|-1|lag=1|0.5|NULL|NULL|\n");
}

static void
removes_folder(void)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        MOE_CHECK(!g_str_has_suffix(name, "-wal"), "%s was left", name);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
    g_free(folder);
}

MOE_TESTS({"keeps runs", keeps_runs}, {"order does not matter", order_does_not_matter},
          {"a failed run leaves nothing", failed_run_leaves_nothing},
          {"refuses strangers", refuses_strangers}, {"refuses newer", refuses_newer},
          {"upgrades older", upgrades_older}, {"reading needs a file", reading_needs_a_file},
          {"views answer", views_answer}, {"frame", frame_has_swept_keys},
          {"expectations", expectations_are_replaced}, {"statistics", statistics_are_replaced},
          {"clean up", removes_folder})
