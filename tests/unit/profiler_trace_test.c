/* Routing traces of profiles: who the rows are, what several processes make, stage times. */
#include "profiler/profile.h"

#include "profiler/profile_rows.h"
#include "profiler/profile_stages.h"
#include "tests/import.h"
#include "tests/profile.h"
#include "tests/test.h"
#include "traces/routing.h"

/* ---- logs with routing alone ---- */

typedef struct route_log {
    GByteArray *log, *steps, *routes;
} route_log;

static route_log
route_log_new(uint32_t pid, const char *model)
{
    route_log r = {rawlog_new(), g_byte_array_new(), g_byte_array_new()};
    g_autofree char *hello =
        g_strdup_printf("abi=1\npid=%u\nargv=x\nstarted_by=route\ncupti=absent\n"
                        "%s%s\n",
                        pid, model ? "model=" : "", model ? model : "");
    rawlog_hello(r.log, hello);
    return r;
}

/* A step of n rows, of so many sequences; phase as in the ABI. */
static void
route_step(route_log *r, int64_t step, int32_t phase, int32_t n, int32_t sequences)
{
    moe_raw_step begin = {(uint64_t)step * 100, step, 1, phase, 1, n, sequences, 0};
    moe_raw_step end = {(uint64_t)step * 100 + 90, step, 1, 0, 0, 0, 0, 0};
    g_byte_array_append(r->steps, (const guint8 *)&begin, sizeof begin);
    g_byte_array_append(r->steps, (const guint8 *)&end, sizeof end);
}

/* Rows [n, k] of a layer, "0 1, 2 3". */
static void
route_rows(route_log *r, int64_t step, int32_t layer, int64_t token0, const char *rows)
{
    g_auto(GStrv) lines = g_strsplit(rows, ",", -1);
    moe_raw_route head = {
        .step = step, .token0 = token0, .layer = layer, .n = (int32_t)g_strv_length(lines)};
    g_autoptr(GByteArray) ids = g_byte_array_new();
    for (size_t i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(lines[i]), " ", -1);
        head.k = (int32_t)g_strv_length(words);
        for (size_t j = 0; words[j]; j++) {
            uint16_t id = (uint16_t)g_ascii_strtoll(words[j], NULL, 10);
            g_byte_array_append(ids, (const guint8 *)&id, sizeof id);
        }
    }
    g_byte_array_append(r->routes, (const guint8 *)&head, sizeof head);
    g_byte_array_append(r->routes, ids->data, ids->len);
    rawlog_pad(r->routes);
}

static void
route_log_end(route_log *r, const profile_folder *folder, uint32_t pid)
{
    g_autofree char *name = g_strdup_printf("%u.raw", pid);
    moe_raw_close close = {0};
    rawlog_array(r->log, MOE_RAW_STEPS, r->steps);
    rawlog_array(r->log, MOE_RAW_ROUTES, r->routes);
    rawlog_chunk(r->log, MOE_RAW_CLOSE, &close, sizeof close);
    profile_folder_add(folder, name, r->log->data, r->log->len);
    g_byte_array_unref(r->log);
    g_byte_array_unref(r->steps);
    g_byte_array_unref(r->routes);
}

/* The trace as text, and the profile's diagnostics; frees the folder. */
static void
check_trace(profile_folder *folder, const char *wanted, const char *notes)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_profile_summary summary;
    profile_folder_decode(folder, &summary);
    g_autoptr(moe_routing_file) file =
        summary.trace ? moe_routing_open(folder->trace, diag, &error) : NULL;
    g_autofree char *text = file ? import_contents(file) : g_strdup("none");
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(strcmp(text, wanted) == 0 && !*messages, "\n      gives %s\n      wants %s\n%s", text,
              wanted, messages);
    g_autofree char *said = profile_rows(
        folder->db, "SELECT code, n FROM diagnostic WHERE code LIKE 'route%' ORDER BY code, id");
    MOE_CHECK(strcmp(said, notes) == 0, "\n      says %s\n      wants %s", said, notes);
    profile_folder_clear(folder);
}

/* ---- one process ---- */

static void
writes_what_was_told(void)
{
    rawlog_config config = {
        .pid = 7, .layers = 2, .steps = 2, .kernels = 2, .tell_tokens = true, .weights = true};
    profile_folder folder = profile_folder_new();
    g_autoptr(moe_diag) diag = moe_diag_new();
    profile_folder_log(&folder, &config);
    profile_folder_decode(&folder, NULL);
    g_autoptr(moe_routing_file) file = moe_routing_open(folder.trace, diag, NULL);
    const moe_routing *r = moe_routing_get(file);
    g_autofree char *text = import_contents(file);
    MOE_CHECK(g_str_has_prefix(text, "5,0,p,step 0,id 100: 1 2 0.75 0.25 | 4 5 0.75 0.25;"), "%s",
              text);
    MOE_CHECK(strstr(text, "5,4,d,step 1,id 104: 6 7 0.75 0.25 | 1 2 0.75 0.25;") != NULL, "%s",
              text);
    /* two kernels of 1 us each in every stage of every layer; embed is layer 0's */
    CU_ASSERT_EQUAL_FATAL(r->n_time_steps, 2);
    CU_ASSERT_EQUAL_FATAL(r->n_time_layers, 2);
    for (uint32_t i = 0; i < 2 * 2 * MOE_STAGES; i++) {
        uint32_t layer = i / MOE_STAGES % 2, stage = i % MOE_STAGES;
        bool none = (stage == MOE_STAGE_EMBED && layer) || (stage == MOE_STAGE_UNEMBED && !layer);
        MOE_CHECK(r->times[i] == (none ? 0.0f : 2000.0f), "layer %u, stage %u: %g ns", layer, stage,
                  (double)r->times[i]);
    }
    CU_ASSERT_STRING_EQUAL(moe_routing_meta(file, "sequences"), "told by the engine");
    CU_ASSERT_STRING_EQUAL(moe_routing_meta(file, "stage_times"),
                           "device: time in which a kernel of the stage ran");
    profile_folder_clear(&folder);
}

/* Without kernels the times are the host's. */
static void
writes_times_of_the_host(void)
{
    rawlog_config config = {.pid = 7, .layers = 1, .steps = 1, .kernels = 0};
    profile_folder folder = profile_folder_new();
    g_autoptr(moe_diag) diag = moe_diag_new();
    profile_folder_log(&folder, &config);
    profile_folder_decode(&folder, NULL);
    g_autoptr(moe_routing_file) file = moe_routing_open(folder.trace, diag, NULL);
    const moe_routing *r = moe_routing_get(file);
    MOE_CHECK(r->times && r->times[MOE_STAGE_EXPERTS] == 1.0f, "%g ns",
              (double)r->times[MOE_STAGE_EXPERTS]);
    MOE_CHECK(g_str_has_prefix(moe_routing_meta(file, "stage_times"), "host: "), "%s",
              moe_routing_meta(file, "stage_times"));
    profile_folder_clear(&folder);
}

static void
derives_sequences(void)
{
    profile_folder folder = profile_folder_new();
    route_log r = route_log_new(7, "{\"name\": \"toy\", \"experts\": 8}");
    route_step(&r, 0, 0, 4, 2); /* a prompt of two sequences */
    route_rows(&r, 0, 3, 0, "0 1, 1 2, 2 3, 3 4");
    route_step(&r, 1, 1, 2, 2); /* both go on */
    route_rows(&r, 1, 3, 0, "4 5, 5 6");
    route_step(&r, 2, 1, 3, 3); /* another number: new ones */
    route_rows(&r, 2, 3, 0, "6 7, 7 0, 0 2");
    route_log_end(&r, &folder, 7);
    check_trace(&folder,
                "0,0,p,step 0: 0 1;0,1,p,step 0: 1 2;1,0,p,step 0: 2 3;1,1,p,step 0: 3 4;"
                "0,2,d,step 1: 4 5;1,2,d,step 1: 5 6;"
                "2,0,d,step 2: 6 7;3,0,d,step 2: 7 0;4,0,d,step 2: 0 2;",
                "route_derived|9;");
}

static void
leaves_out_what_is_wrong(void)
{
    profile_folder folder = profile_folder_new();
    route_log r = route_log_new(7, "{\"experts\": 4}");
    route_step(&r, 0, 0, 5, 1);
    route_rows(&r, 0, 1, 0, "0 1, 1 1, 2 9, 65535 1, 3 65535");
    route_rows(&r, 0, 2, 0, "0 1, 1 2, 2 3, 3 1");
    route_rows(&r, 0, 2, 0, "3 2"); /* again */
    route_log_end(&r, &folder, 7);
    check_trace(&folder,
                "0,0,p,step 0: 0 1 | 0 1;0,1,p,step 0: not-run | 1 2;0,2,p,step 0: not-run | 2 3;"
                "0,3,p,step 0: not-run | 3 1;0,4,p,step 0: 3 | not-run;",
                "route_derived|5;route_gap|4;route_invalid|3;route_twice|1;");
}

static void
widens_short_rows(void)
{
    profile_folder folder = profile_folder_new();
    route_log r = route_log_new(7, NULL);
    route_step(&r, 0, 0, 2, 1);
    route_rows(&r, 0, 0, 0, "0, 1");
    route_rows(&r, 0, 1, 0, "0 1 2, 1 2 3");
    route_log_end(&r, &folder, 7);
    check_trace(&folder, "0,0,p,step 0: 0 | 0 1 2;0,1,p,step 0: 1 | 1 2 3;",
                "route_derived|2;route_shape|1;");
}

static void
refuses_zeros(void)
{
    profile_folder folder = profile_folder_new();
    route_log r = route_log_new(7, NULL);
    for (int64_t step = 0; step < 20; step++) {
        route_step(&r, step, 1, 1, 1);
        route_rows(&r, step, 0, 0, step % 2 ? "0 1" : "1 2");
        route_rows(&r, step, 1, 0, "0 0"); /* what was never filled in */
    }
    route_log_end(&r, &folder, 7);
    g_autoptr(moe_diag) diag = moe_diag_new();
    profile_folder_decode(&folder, NULL);
    g_autofree char *said =
        profile_rows(folder.db, "SELECT severity, text FROM diagnostic WHERE code = 'route_zero'");
    CU_ASSERT_STRING_EQUAL(said, "error|layer 1 has no routing: every id is zero;");
    g_autoptr(moe_routing_file) file = moe_routing_open(folder.trace, diag, NULL);
    MOE_CHECK(moe_routing_get(file)->n_layers == 1 && moe_routing_get(file)->layer_ids[0] == 0,
              "%u layers", moe_routing_get(file)->n_layers);
    profile_folder_clear(&folder);
}

/* ---- several processes ---- */

static void
joins_processes(void)
{
    static const char *const rows[] = {"0 1, 1 2", "0 1, 1 2", "2 3, 3 4"};
    profile_folder tensor = profile_folder_new(), data = profile_folder_new();
    profile_folder pipeline = profile_folder_new();
    for (uint32_t pid = 1; pid <= 2; pid++) {
        route_log same = route_log_new(pid, NULL), other = route_log_new(pid, NULL);
        route_log stage = route_log_new(pid, NULL);
        route_step(&same, 0, 0, 2, 1);
        route_rows(&same, 0, 0, 0, rows[0]);
        route_log_end(&same, &tensor, pid);
        route_step(&other, 0, 0, 2, 1);
        route_rows(&other, 0, 0, 0, rows[pid]);
        route_log_end(&other, &data, pid);
        route_step(&stage, 0, 0, 2, 1);
        route_rows(&stage, 0, (int32_t)pid * 4, 0, rows[pid]);
        route_log_end(&stage, &pipeline, pid);
    }
    check_trace(&tensor, "0,0,p,step 0: 0 1;0,1,p,step 0: 1 2;", "route_derived|2;route_merged|1;");
    check_trace(&data, "0,0,p,step 0: 0 1;0,1,p,step 0: 1 2;1,0,p,step 0: 2 3;1,1,p,step 0: 3 4;",
                "route_derived|4;route_merged|1;");
    check_trace(&pipeline, "0,0,p,step 0: 0 1 | 2 3;0,1,p,step 0: 1 2 | 3 4;",
                "route_derived|2;route_merged|1;");
}

static void
writes_no_trace_without_routing(void)
{
    profile_folder folder = profile_folder_new();
    moe_profile_summary summary;
    route_log r = route_log_new(7, NULL);
    route_log_end(&r, &folder, 7);
    profile_folder_decode(&folder, &summary);
    CU_ASSERT_FALSE(summary.trace);
    CU_ASSERT_FALSE(g_file_test(folder.trace, G_FILE_TEST_EXISTS));
    g_autofree char *attach = profile_rows(folder.db, "SELECT attach FROM process");
    CU_ASSERT_STRING_EQUAL(attach, "none;");
    profile_folder_clear(&folder);
}

/* ---- rows ---- */

/* Sequences told, positions not; a position that came before; phases of mixed steps. */
static void
numbers_rows(void)
{
    static const int32_t sequence[] = {9, 9, 4}, position[] = {0, 1, 7};
    uint32_t next = 0;
    g_autoptr(moe_rows) rows = moe_rows_new(&next, false);
    moe_row out[3];
    moe_rows_step step = {.phase = 2, .n = 3, .sequence = sequence, .position = position};
    moe_rows_next(rows, &step, out);
    MOE_CHECK(out[0].sequence == 0 && out[1].sequence == 0 && out[2].sequence == 1, "%u %u %u",
              out[0].sequence, out[1].sequence, out[2].sequence);
    MOE_CHECK(!out[0].decode && !out[1].decode && out[2].decode, "phases");
    step.position = NULL;
    moe_rows_next(rows, &step, out);
    MOE_CHECK(out[0].position == 2 && out[1].position == 3 && out[2].position == 8, "%u %u %u",
              out[0].position, out[1].position, out[2].position);
    step.position = position;
    moe_rows_next(rows, &step, out);
    MOE_CHECK(out[0].again && out[1].again && out[2].again, "not seen to come again");
    CU_ASSERT_EQUAL(moe_rows_derived(rows), 0);
}

/* ---- words ---- */

static void
reads_names(void)
{
    static const struct {
        const char *domain, *text, *stage;
        bool step, odd;
        int64_t number; /* -1: not told */
    } cases[] = {
        {"moesim", "experts", "experts", false, false, -1},
        {"moesim", "step", NULL, true, false, -1},
        {"moesim", "expert", NULL, false, true, -1},
        {NULL, "experts", NULL, false, false, -1},
        {NULL, "moesim/experts/7", "experts", false, false, 7},
        {"x", "moesim/embed", "embed", false, false, -1},
        {"x", "moesim/step/12", NULL, true, false, 12},
        {"x", "moesim/experts/7x", "experts", false, true, -1},
        {"x", "moesim/nothing/7", NULL, false, true, 7},
        {NULL, "ProfilerStep#3", NULL, true, false, 3},
        {NULL, "ProfilerStep#x", NULL, false, false, -1},
        {NULL, "{'Module': 'model.layers.31.mlp.gate'}", "router", false, false, 31},
        {NULL, "model.layers.2.mlp.gate_up_proj", "combine", false, false, 2},
        {NULL, "model.layers.2.mlp.experts.5.w1", "experts", false, false, 2},
        {NULL, "model.layers.2.block_sparse_moe.gate", "router", false, false, 2},
        {NULL, "model.layers.2.input_layernorm", NULL, false, false, -1},
        {NULL, "model.layers.99999999999.mlp.gate", NULL, false, false, -1},
        {NULL, "model.layers..mlp.gate", NULL, false, false, -1},
        {NULL, "lm_head", "unembed", false, false, -1},
        {NULL, "", NULL, false, false, -1},
        {"moesim", NULL, NULL, false, false, -1},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const char *domain = cases[i].domain, *text = cases[i].text;
        moe_profile_meaning m = moe_profile_meaning_of(domain, domain ? strlen(domain) : 0, text,
                                                       text ? strlen(text) : 0);
        MOE_CHECK(g_strcmp0(m.stage, cases[i].stage) == 0 && m.step == cases[i].step &&
                      m.odd == cases[i].odd && (m.told ? (int64_t)m.number : -1) == cases[i].number,
                  "%s: stage %s, step %d, odd %d, number %lld", text ? text : "NULL",
                  m.stage ? m.stage : "none", m.step, m.odd,
                  (long long)(m.told ? (int64_t)m.number : -1));
    }
}

/* Whatever the injector and the hooks say is in the list, so that there is something to do. */
static void
knows_every_code(void)
{
    static const struct {
        const char *folder, *suffix, *pattern;
    } cases[] = {
        {"profiler/inject", ".c", "moe_say\\(\\s*MOE_RAW_\\w+,[^;\"]*\"([a-z_]+)\""},
        {"profiler/hook/moesim_hook", ".py", "diagnose\\(\\s*abi\\.\\w+, \"([a-z_]+)\""},
    };
    unsigned found = 0;
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *folder = g_build_filename(MOE_SOURCE_DIR, cases[i].folder, NULL);
        g_autoptr(GRegex) regex = g_regex_new(cases[i].pattern, 0, 0, NULL);
        GDir *dir = g_dir_open(folder, 0, NULL);
        for (const char *name; dir && (name = g_dir_read_name(dir));) {
            g_autofree char *path = g_build_filename(folder, name, NULL), *text = NULL;
            if (!g_str_has_suffix(name, cases[i].suffix) ||
                !g_file_get_contents(path, &text, NULL, NULL))
                continue;
            g_autoptr(GMatchInfo) match = NULL;
            g_regex_match(regex, text, 0, &match);
            for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
                g_autofree char *code = g_match_info_fetch(match, 1);
                MOE_CHECK(moe_profile_code_find(code), "%s says '%s'", name, code);
                found++;
            }
        }
        if (dir)
            g_dir_close(dir);
    }
    MOE_CHECK(found >= 10, "%u codes", found);
}

MOE_TESTS({"writes what was told", writes_what_was_told},
          {"writes times of the host", writes_times_of_the_host},
          {"derives sequences", derives_sequences},
          {"leaves out what is wrong", leaves_out_what_is_wrong},
          {"widens short rows", widens_short_rows}, {"refuses zeros", refuses_zeros},
          {"joins processes", joins_processes},
          {"writes no trace without routing", writes_no_trace_without_routing},
          {"numbers rows", numbers_rows}, {"reads names", reads_names},
          {"knows every code", knows_every_code})
