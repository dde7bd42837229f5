/* A profile made by SQL from a machine whose numbers are known gives them back. */
#include "models/model.h"
#include "profiler/calibrate_profile.h"
#include "profiler/profile_schema.h"
#include "tests/unit/calibrate_fixture.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

typedef struct recording {
    fixture f;
    sqlite3 *db;
    char *path;
    int64_t now; /* ns */
    int64_t id;
} recording;

static void sql(recording *r, const char *fmt, ...) MOE_PRINTF(2, 3);

static void
sql(recording *r, const char *fmt, ...)
{
    va_list args;
    char *message = NULL;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    sqlite3_exec(r->db, text, NULL, NULL, &message);
    MOE_CHECK(!message, "%s: %s", text, message);
    sqlite3_free(message);
}

static recording
begin(void)
{
    recording r = {.f = fixture_begin(), .now = 1000000};
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    r.path = g_build_filename(folder, "p.db", NULL);
    sqlite3_open(r.path, &r.db);
    sql(&r, "%s", moe_profile_sql);
    sql(&r, "PRAGMA application_id = %d; PRAGMA user_version = %d; BEGIN",
        (int)MOE_PROFILE_APPLICATION, (int)MOE_PROFILE_VERSION);
    sql(&r, "INSERT INTO device(pid, device, name) VALUES(7, 0, 'NVIDIA H100 80GB HBM3')");
    return r;
}

static void
end(recording *r)
{
    g_autofree char *folder = g_path_get_dirname(r->path);
    g_unlink(r->path);
    g_rmdir(folder);
    g_free(r->path);
    fixture_end(&r->f);
}

/* Kernels of a stage, a launch apart, that take `ns` in all; the last of them is the longest. */
static void
kernels(recording *r, int64_t step, int64_t layer, const char *stage, int n, int64_t ns)
{
    int64_t gap = r->f.truth.launch_ps / 1000;
    for (int i = 0; i < n; i++) {
        int64_t part = i < n - 1 ? ns / (2 * n) : ns - (n - 1) * (ns / (2 * n));
        g_autofree char *at = layer < 0 ? g_strdup("NULL") : g_strdup_printf("%d", (int)layer);
        sql(r,
            "INSERT INTO kernel(id, pid, device, context, stream, start_ns, end_ns, step, layer, "
            "stage) VALUES(%d, 7, 0, 1, 13, %lld, %lld, %d, %s, '%s')",
            (int)r->id++, (long long)r->now, (long long)(r->now + part), (int)step, at, stage);
        r->now += part + gap;
    }
    r->now += 30000; /* not launches */
}

static void
experts(recording *r, const moe_model *model, int64_t step, int64_t layer, uint32_t tokens)
{
    const moe_ffn *ffn = &moe_model_decoder(model)->layers[layer].ffn;
    double params = 3.0 * model->hidden * ffn->width;
    moe_expert_shape shape = {params, 2 * params, model->hidden, ffn->width, 16, 16};
    uint32_t loads[64] = {0}, busy[64], n = 0;
    for (uint32_t t = 0; t < tokens; t++)
        for (uint32_t j = 0; j < 8; j++)
            loads[(t * 11 + j * j * 5 + (uint32_t)layer) % 64]++;
    for (uint32_t e = 0; e < 64; e++) {
        if (!loads[e])
            continue;
        busy[n++] = loads[e];
        sql(r, "INSERT INTO load VALUES(7, %d, %d, %u, %u)", (int)step, (int)layer, e, loads[e]);
    }
    moe_cost cost = moe_cost_experts(&r->f.hw, &r->f.truth, &shape, busy, n);
    kernels(r, step, layer, "experts", 6, (cost.total_ps - 6 * r->f.truth.launch_ps) / 1000);
}

static void
record_steps(recording *r, const moe_model *model)
{
    const moe_stack *stack = moe_model_decoder(model);
    int64_t step = 0;
    for (uint32_t tokens = 1; tokens <= 4096; tokens *= 2, step++) {
        sql(r,
            "INSERT INTO step(pid, step, phase, tokens, sequences, start_ns) VALUES(7, %d, "
            "'decode', %u, %u, %lld)",
            (int)step, tokens, tokens, (long long)r->now);
        for (int64_t layer = 0; layer < stack->n_layers; layer++) {
            kernels(r, step, layer, "attention", 3, 12000);
            experts(r, model, step, layer, tokens);
        }
        moe_cost head =
            moe_cost_gemm(&r->f.hw, &r->f.truth, tokens, model->vocab, model->hidden, 16, 16, 1);
        int64_t ns = (head.total_ps - r->f.truth.launch_ps) / 1000;
        sql(r,
            "INSERT INTO kernel(id, pid, device, context, stream, start_ns, end_ns, step, stage) "
            "VALUES(%d, 7, 0, 1, 13, %lld, %lld, %d, 'unembed')",
            (int)r->id++, (long long)r->now, (long long)(r->now + ns), (int)step);
        r->now += ns + 50000;
    }
    /* a stage that waited for its experts, and one without routing */
    kernels(r, step, 3, "experts", 1, 20000);
    sql(r, "INSERT INTO load VALUES(7, %d, 3, 0, 5)", (int)step);
    r->now += 5000000;
    kernels(r, step, 3, "experts", 1, 20000);
    kernels(r, step, 4, "experts", 2, 20000);
}

static void
record_copy(recording *r, const char *direction, int64_t start, int64_t ns, int64_t bytes,
            const char *pinned)
{
    sql(r,
        "INSERT INTO memop(pid, device, kind, start_ns, end_ns, bytes, direction, pinned) "
        "VALUES(7, 0, 'memcpy', %lld, %lld, %lld, '%s', %s)",
        (long long)start, (long long)(start + ns), (long long)bytes, direction, pinned);
}

/* Each size alone; then both directions together at 80 % of their rates; then what says little. */
static void
record_copies(recording *r)
{
    moe_hw_link slow = r->f.links[0];
    slow.bytes_per_s *= 0.8;
    for (int64_t bytes = 1 << 18; bytes <= 1 << 29; bytes *= 2) {
        int64_t ns = moe_cost_copy(&r->f.links[0], (double)bytes, false).total_ps / 1000;
        int64_t both = moe_cost_copy(&slow, (double)bytes, false).total_ps / 1000;
        for (int i = 0; i < 3; i++, r->now += 2 * ns)
            record_copy(r, "HtoD", r->now, ns + i, bytes, "1");
        record_copy(r, "DtoH", r->now, ns, bytes, "1");
        r->now += 2 * ns;
        record_copy(r, "HtoD", r->now, both, bytes, "1");
        record_copy(r, "DtoH", r->now + 10, both, bytes, "1");
        r->now += 2 * both;
    }
    record_copy(r, "HtoD", r->now, 10000, 4096, "NULL");
    record_copy(r, "HtoD", r->now + 1000000, 10000, 5000, "1");
    record_copy(r, "DtoH", r->now + 1005000, 10000, 5000, "1");
    record_copy(r, "HtoD", r->now + 2000000, 1, 777777, "1");
}

static void
finish(recording *r)
{
    sql(r, "COMMIT");
    sqlite3_close(r->db);
}

static void
gives_numbers_back(void)
{
    recording r = begin();
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_model_set) set = moe_model_load("olmoe-1b-7b", NULL, (moe_loc){0}, diag, &error);
    CU_ASSERT_FATAL(set != NULL);
    r.f.truth.launch_ps = 1800000;
    r.f.truth.experts.efficiency = 0.4;
    r.f.truth.experts.stream_efficiency = 0.83;
    r.f.truth.experts.half_rows = 60;
    r.f.truth.experts.fixed_ps = 9000000;
    r.f.links[0].bytes_per_s = 40e9;
    r.f.links[0].latency_ps = 8000000;
    record_steps(&r, moe_model_get(set));
    record_copies(&r);
    finish(&r);

    moe_profile_rows n = {0};
    CU_ASSERT(moe_calibrate_is_profile(r.path));
    bool read = moe_calibrate_profile(r.f.table, r.path, moe_model_get(set), &n, diag, &error);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(read, "%s%s", said, error ? error->message : "");
    MOE_CHECK(n.experts == 13 * 16 && n.products == 13 && n.launches == 16 && n.waited == 1 &&
                  n.unrouted == 1 && n.unknown == 1 && n.overlapping == 2 && n.impossible == 1 &&
                  n.attentions == 13 * 16,
              "%zu experts, %zu products, %zu launches, %zu waited, %zu unrouted, %zu unknown, %zu "
              "overlapping, %zu impossible, %zu attentions",
              n.experts, n.products, n.launches, n.waited, n.unrouted, n.unknown, n.overlapping,
              n.impossible, n.attentions);
    MOE_CHECK(n.copies == 4 * 12, "%zu copies", n.copies);
    g_autoptr(moe_calibration) c = fixture_calibrate(&r.f);
    if (c) {
        const moe_calibrated_kind *k = moe_calibration_kind(c, MOE_MEASURED_EXPERTS);
        fixture_expect(c, "devices.0.launch", 1800000, 0.001);
        fixture_expect(c, "devices.0.expert_efficiency", 0.4, 0.02);
        fixture_expect(c, "devices.0.expert_stream_efficiency", 0.83, 0.02);
        fixture_expect(c, "devices.0.expert_half_rows", 60, 0.05);
        fixture_expect(c, "devices.0.expert_fixed", 9000000, 0.05);
        fixture_expect(c, "links.0.rate", 40e9, 0.001);
        fixture_expect(c, "links.0.latency", 8000000, 0.01);
        fixture_expect(c, "links.0.duplex", 0.8, 0.005);
        MOE_CHECK(k->shapes == 16 && k->held_shapes == 3 && k->held.mean < 0.005,
                  "%zu of %zu layers held back, %g off", k->held_shapes, k->shapes, k->held.mean);
    }
    end(&r);
}

/* Without a model only copies and launches are read; other databases are refused. */
static void
other_files(void)
{
    recording r = begin();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_profile_rows n = {0};
    kernels(&r, 0, 0, "experts", 6, 60000);
    record_copies(&r);
    finish(&r);
    CU_ASSERT(moe_calibrate_profile(r.f.table, r.path, NULL, &n, diag, &error));
    MOE_CHECK(n.experts == 0 && n.launches == 1 && n.copies == 48, "%zu %zu %zu", n.experts,
              n.launches, n.copies);

    sqlite3_open(r.path, &r.db);
    sql(&r, "INSERT INTO loss VALUES(1, 'cupti', 'dropped', 5)");
    sqlite3_close(r.db);
    CU_ASSERT(!moe_calibrate_profile(r.f.table, r.path, NULL, &n, diag, &error));
    sqlite3_open(r.path, &r.db);
    sql(&r, "PRAGMA user_version = 99");
    sqlite3_close(r.db);
    CU_ASSERT(!moe_calibrate_profile(r.f.table, r.path, NULL, &n, diag, &error));
    sqlite3_open(r.path, &r.db);
    sql(&r, "PRAGMA application_id = 1");
    sqlite3_close(r.db);
    CU_ASSERT(!moe_calibrate_profile(r.f.table, r.path, NULL, &n, diag, &error));
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(strstr(said, "records of CUPTI were lost") &&
                  strstr(said, "a profile of version 99, this program reads 1") &&
                  strstr(said, "a database, but no profile"),
              "%s", said);
    sqlite3_open(r.path, &r.db);
    sql(&r, "PRAGMA application_id = %d; PRAGMA user_version = 1; DROP TABLE memop",
        (int)MOE_PROFILE_APPLICATION);
    sqlite3_close(r.db);
    CU_ASSERT(!moe_calibrate_profile(r.f.table, r.path, NULL, &n, diag, &error));
    MOE_CHECK(error && strstr(error->message, "no such table: memop"), "%s",
              error ? error->message : "no error");
    end(&r);
}

MOE_TESTS({"gives numbers back", gives_numbers_back}, {"other files", other_files})
