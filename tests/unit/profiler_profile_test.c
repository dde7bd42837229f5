#include "profiler/profile.h"

#include "profiler/profile_schema.h"
#include "tests/profile.h"
#include "tests/rawlog.h"
#include "tests/test.h"
#include "traces/routing.h"

static const rawlog_config small = {
    .pid = 7, .layers = 2, .steps = 3, .kernels = 1, .tell_tokens = true, .weights = true};

/* One process whose log holds what `extra` says beside HELLO, texts and the like; rows of `sql`. */
static char *
decode_extra(void (*extra)(GByteArray *log), const char *hello, const char *sql)
{
    rawlog_config config = {.pid = 7, .layers = 1, .hello = hello};
    profile_folder folder = profile_folder_new();
    g_autoptr(GByteArray) log = rawlog_of(&config);
    g_byte_array_set_size(log, log->len - 32); /* CLOSE */
    extra(log);
    moe_raw_close end = {.time_ns = 900000};
    rawlog_chunk(log, MOE_RAW_CLOSE, &end, sizeof end);
    profile_folder_add(&folder, "7.raw", log->data, log->len);
    profile_folder_decode(&folder, NULL);
    char *rows = profile_rows(folder.db, sql);
    profile_folder_clear(&folder);
    return rows;
}

static void
check_extra(void (*extra)(GByteArray *log), const char *hello, const char *sql, const char *wanted)
{
    g_autofree char *got = decode_extra(extra, hello, sql);
    MOE_CHECK(strcmp(got, wanted) == 0, "%s\n      gives %s\n      wants %s", sql, got, wanted);
}

/* ---- a whole log ---- */

static void
decodes_a_log(void)
{
    static const struct {
        const char *sql, *wanted;
    } cases[] = {
        {"SELECT value FROM meta WHERE name IN ('clock', 'cupti', 'source') ORDER BY name",
         "monotonic;130001;moesim;"},
        {"SELECT pid, parent, rank, name, attach, ended, realtime_offset_ns FROM process",
         "7|1||python serve.py|full|exit|1700000000000000000;"},
        {"SELECT step, phase, tokens, sequences FROM step",
         "0|prefill|4|1;1|decode|1|1;2|decode|1|1;"},
        {"SELECT count(*), count(stage), count(DISTINCT correlation), min(end_ns - start_ns)"
         " FROM kernel",
         "36|36|36|1000;"},
        {"SELECT step, layer, stage, count(*) FROM kernel WHERE step = 1 GROUP BY 1, 2, 3",
         "1||embed|1;1||unembed|1;1|0|attention|1;1|0|combine|1;1|0|dispatch|1;1|0|experts|1;"
         "1|0|router|1;1|1|attention|1;1|1|combine|1;1|1|dispatch|1;1|1|experts|1;1|1|router|1;"},
        {"SELECT count(*) FROM kernel AS k JOIN range AS r ON r.id = k.range JOIN api AS a"
         " ON a.pid = k.pid AND a.correlation = k.correlation AND a.range = r.id"
         " WHERE a.start_ns >= r.start_ns AND a.end_ns <= r.end_ns AND r.text = k.stage",
         "36;"},
        {"SELECT DISTINCT s.value FROM kernel AS k JOIN string AS s ON s.id = k.name",
         "moe_grouped_kernel;"},
        {"SELECT DISTINCT s.value, domain FROM api AS a JOIN string AS s ON s.id = a.name",
         "cudaLaunchKernel_v7000|runtime;"},
        {"SELECT DISTINCT grid_x, block_x, registers, device, context, stream, graph_node,"
         " cluster_x FROM kernel",
         "4|128|32|0|1|7||;"},
        {"SELECT text, category, payload, depth, parent, kind FROM range WHERE id IN (1, 2)",
         "embed|1||0||push;attention|2|0|0||push;"},
        {"SELECT step, layer, token0, tokens, k, hex(ids), length(weights) FROM routing"
         " WHERE step = 2",
         "2|0|0|1|2|03000400|8;2|1|0|1|2|06000700|8;"},
        {"SELECT step, token0, tokens, hex(sequence), hex(position), hex(token_id) FROM token"
         " WHERE step = 1",
         "1|0|1|05000000|04000000|68000000;"},
        {"SELECT count(*) FROM loss", "0;"},
        {"SELECT count(*) FROM diagnostic", "0;"},
        {"SELECT count(*) FROM CUPTI_ACTIVITY_KIND_KERNEL AS k JOIN CUPTI_ACTIVITY_KIND_RUNTIME"
         " AS r ON r.correlationId = k.correlationId JOIN StringIds AS s ON s.id = k.shortName"
         " WHERE k.start >= r.\"end\" AND r.globalTid / 0x1000000 % 0x1000000 = 7",
         "36;"},
        {"SELECT count(*) FROM NVTX_EVENTS WHERE eventType = 59 AND text = 'experts'", "6;"},
    };
    profile_folder folder = profile_folder_new();
    moe_profile_summary summary;
    profile_folder_log(&folder, &small);
    profile_folder_decode(&folder, &summary);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *got = profile_rows(folder.db, cases[i].sql);
        MOE_CHECK(strcmp(got, cases[i].wanted) == 0, "%s\n      gives %s\n      wants %s",
                  cases[i].sql, got, cases[i].wanted);
    }
    MOE_CHECK(summary.kernels == 36 && summary.calls == 36 && summary.records == 108 &&
                  summary.steps == 3 && summary.lost == 0 && summary.trace,
              "%llu kernels, %llu records", (unsigned long long)summary.kernels,
              (unsigned long long)summary.records);
    profile_folder_clear(&folder);
}

/* How many tokens went to each expert, against the rule of the log. */
static void
counts_loads(void)
{
    profile_folder folder = profile_folder_new();
    profile_folder_log(&folder, &small);
    profile_folder_decode(&folder, NULL);
    for (uint32_t layer = 0; layer < 2; layer++) {
        uint32_t counts[RAWLOG_EXPERTS] = {0};
        g_autoptr(GString) wanted = g_string_new(NULL);
        for (uint32_t row = 0; row < RAWLOG_PROMPT; row++)
            for (uint32_t j = 0; j < RAWLOG_K; j++)
                counts[rawlog_expert(layer, 0, row, j)]++;
        for (uint32_t e = 0; e < RAWLOG_EXPERTS; e++)
            if (counts[e])
                g_string_append_printf(wanted, "%u|%u;", e, counts[e]);
        g_autofree char *sql =
            g_strdup_printf("SELECT expert, tokens FROM load WHERE step = 0 AND layer = %u", layer);
        g_autofree char *got = profile_rows(folder.db, sql);
        MOE_CHECK(strcmp(got, wanted->str) == 0, "layer %u: %s, wanted %s", layer, got,
                  wanted->str);
    }
    profile_folder_clear(&folder);
}

static void
gives_the_same_bytes(void)
{
    profile_folder a = profile_folder_new(), b = profile_folder_new();
    rawlog_config other = small;
    other.pid = 12;
    profile_folder_log(&a, &small);
    profile_folder_log(&a, &other);
    profile_folder_log(&b, &other);
    profile_folder_log(&b, &small);
    profile_folder_decode(&a, NULL);
    profile_folder_decode(&b, NULL);
    g_autofree char *x = NULL, *y = NULL;
    gsize n = 0, m = 1;
    g_file_get_contents(a.db, &x, &n, NULL);
    g_file_get_contents(b.db, &y, &m, NULL);
    MOE_CHECK(n == m && memcmp(x, y, n) == 0, "%zu and %zu bytes differ", n, m);
    profile_folder_clear(&a);
    profile_folder_clear(&b);
}

/* Cut anywhere it decodes; what is there is never more than in the whole one. */
static void
decodes_cut_logs(void)
{
    rawlog_config config = {.pid = 7, .layers = 1, .steps = 1, .kernels = 1};
    g_autoptr(GByteArray) log = rawlog_of(&config);
    uint64_t last = 0;
    for (size_t cut = 0; cut < log->len; cut += 61) {
        profile_folder folder = profile_folder_new();
        moe_profile_summary summary;
        profile_folder_add(&folder, "7.raw", log->data, cut);
        profile_folder_decode(&folder, &summary);
        g_autofree char *ended = profile_rows(folder.db, "SELECT ended FROM process");
        MOE_CHECK(strcmp(ended, "killed;") == 0, "cut at %zu: ended %s", cut, ended);
        MOE_CHECK(summary.kernels >= last && summary.kernels <= 7, "cut at %zu: %llu kernels", cut,
                  (unsigned long long)summary.kernels);
        last = summary.kernels;
        profile_folder_clear(&folder);
    }
    MOE_CHECK(last == 7, "%llu kernels of the longest", (unsigned long long)last);
}

static void
says_what_is_no_log(void)
{
    profile_folder folder = profile_folder_new();
    profile_folder_decode(&folder, NULL);
    g_autofree char *none = profile_rows(folder.db, "SELECT severity, code FROM diagnostic");
    CU_ASSERT_STRING_EQUAL(none, "warn|not_loaded;");
    profile_folder_add(&folder, "7.raw", (const uint8_t *)"not a log at all", 16);
    profile_folder_add(&folder, "notes.txt", (const uint8_t *)"x", 1);
    profile_folder_decode(&folder, NULL);
    g_autofree char *foreign = profile_rows(folder.db, "SELECT code FROM diagnostic ORDER BY code");
    CU_ASSERT_STRING_EQUAL(foreign, "killed;log_foreign;");
    g_autofree char *loss = profile_rows(folder.db, "SELECT source, what, n FROM loss");
    CU_ASSERT_STRING_EQUAL(loss, "log|damaged|1;log|unread_bytes|16;");
    profile_folder_clear(&folder);
}

static void
tells_images_of_a_process_apart(void)
{
    profile_folder folder = profile_folder_new();
    g_autoptr(GByteArray) log = rawlog_of(&small);
    profile_folder_add(&folder, "7.raw", log->data, log->len);
    profile_folder_add(&folder, "7.1.raw", log->data, log->len);
    profile_folder_add(&folder, "7.9999.raw", log->data, log->len);
    profile_folder_decode(&folder, NULL);
    g_autofree char *got =
        profile_rows(folder.db, "SELECT pid, (SELECT count(*) FROM kernel AS k WHERE k.pid = p.pid)"
                                " FROM process AS p ORDER BY pid");
    CU_ASSERT_STRING_EQUAL(got, "7|36;10000007|36;99990000007|36;");
    profile_folder_clear(&folder);
}

/* ---- oddities of records ---- */

static void
extra_records(GByteArray *log)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    moe_activity_kernel none = {.correlation = 1}, backward = {.start = 9000, .end = 8000};
    moe_activity_kernel good = {.start = 3000, .end = 4000, .name = 99};
    moe_activity_device device = {
        .memory_bytes = 80000000000, .sms = 132, .major = 9, .name = RAWLOG_DEVICE_NAME};
    uint32_t unknown[4] = {200};
    rawlog_device(records, MOE_ACTIVITY_DEVICE, 184, &device);
    rawlog_kernel(records, MOE_ACTIVITY_CONCURRENT_KERNEL, 216, &none);
    rawlog_kernel(records, MOE_ACTIVITY_KERNEL, 216, &backward);
    rawlog_kernel(records, MOE_ACTIVITY_KERNEL, 216, &good);
    g_byte_array_append(records, (const guint8 *)unknown, sizeof unknown);
    rawlog_activity(log, records, 1);
    rawlog_kernel(records, MOE_ACTIVITY_KERNEL, 216, &good);
    g_byte_array_set_size(records, 100);
    rawlog_activity(log, records, 2);
}

static void
counts_what_it_cannot_read(void)
{
    check_extra(extra_records, NULL, "SELECT source, what, n FROM loss",
                "cupti|bad_time|1;cupti|no_timestamp|1;cupti|truncated|1;"
                "cupti|unknown_kind.200|1;cupti|unread_bytes|116;");
    check_extra(extra_records, NULL, "SELECT code, n FROM diagnostic ORDER BY code",
                "bad_time|1;no_timestamp|1;truncated_record|1;unknown_kind|1;unknown_text|1;");
    check_extra(extra_records, NULL, "SELECT start_ns, end_ns, name FROM kernel", "3000|4000|;");
    check_extra(extra_records, NULL,
                "SELECT device, uuid, name, capability, sms, memory_bytes FROM device",
                "0|GPU-00000000-0000-0000-0000-000000000000|Test GPU|9.0|132|80000000000;");
}

static void
extra_memops(GByteArray *log)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    moe_activity_memop up = {.direction = 1,
                             .from = 2,
                             .to = 3,
                             .bytes = 4096,
                             .start = 10,
                             .end = 20,
                             .stream = 3,
                             .correlation = 5};
    moe_activity_memop down = {
        .direction = 2, .from = 3, .to = 1, .bytes = 8, .start = 30, .end = 40};
    moe_activity_memop peer = {
        .direction = 10, .from = 3, .to = 3, .bytes = 16, .start = 50, .end = 60, .correlation = 6};
    moe_activity_memop set = {.bytes = 32, .start = 70, .end = 80, .to = 3, .correlation = 8};
    rawlog_memcpy(records, MOE_ACTIVITY_MEMCPY, 96, &up);
    rawlog_memcpy(records, MOE_ACTIVITY_MEMCPY, 96, &down);
    rawlog_memcpy2(records, MOE_ACTIVITY_MEMCPY2, 96, &peer);
    rawlog_memset(records, MOE_ACTIVITY_MEMSET, 88, &set);
    moe_activity_synchronization wait = {.type = 3, .start = 90, .end = 99, .stream = 3};
    moe_activity_overhead overhead = {
        .kind = 65536, .object_kind = 2, .thread = 71, .start = 1, .end = 5};
    moe_activity_graph graph = {.correlation = 9, .start = 100, .end = 200, .graph = 4};
    moe_activity_external other = {3, 12345, 9};
    rawlog_synchronization(records, MOE_ACTIVITY_SYNCHRONIZATION, 56, &wait);
    rawlog_overhead(records, MOE_ACTIVITY_OVERHEAD, 56, &overhead);
    rawlog_graph(records, MOE_ACTIVITY_GRAPH, 56, &graph);
    rawlog_external(records, MOE_ACTIVITY_EXTERNAL, 24, &other);
    rawlog_activity(log, records, 1);
}

static void
reads_every_kind(void)
{
    check_extra(extra_memops, NULL,
                "SELECT kind, direction, bytes, pinned, stream, correlation FROM memop",
                "memcpy|HtoD|4096|1|3|5;memcpy|DtoH|8|0|0|0;memcpy|PtoP|16||0|6;"
                "memset||32||0|8;");
    check_extra(extra_memops, NULL, "SELECT kind, stream, end_ns - start_ns FROM synchronization",
                "stream|3|9;");
    check_extra(extra_memops, NULL, "SELECT kind, thread, end_ns - start_ns FROM overhead",
                "buffer_flush|71|4;");
    check_extra(extra_memops, NULL, "SELECT graph, correlation FROM graph_launch", "4|9;");
    check_extra(extra_memops, NULL, "SELECT correlation, kind, id FROM external", "9|3|12345;");
    check_extra(extra_memops, NULL,
                "SELECT copyKind, bytes FROM CUPTI_ACTIVITY_KIND_MEMCPY ORDER BY start",
                "1|4096;2|8;10|16;");
}

/* CUPTI could not be given our clock: times are converted by the pairs, the last one before them.
 */
static void
extra_wall(GByteArray *log)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    moe_raw_clock stepped = {5000, 1700000000000900000};
    moe_activity_memop before = {.start = 1700000000000002000, .end = 1700000000000003000};
    moe_activity_memop after = {.start = 1700000000000900500, .end = 1700000000000900600};
    rawlog_memcpy(records, MOE_ACTIVITY_MEMCPY, 96, &before);
    rawlog_memcpy(records, MOE_ACTIVITY_MEMCPY, 96, &after);
    rawlog_chunk(log, MOE_RAW_CLOCK, &stepped, sizeof stepped);
    rawlog_activity(log, records, 1);
}

static void
converts_the_wall_clock(void)
{
    check_extra(extra_wall, "clock=realtime\n", "SELECT start_ns, end_ns FROM memop",
                "2000|3000;5500|5600;");
}

/* ---- graphs ---- */

static void
extra_graph(GByteArray *log)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    /* captured in range 1 (experts of layer 3), launched in range 2 (step 9) */
    static const moe_raw_range ranges[] = {
        {10, 1, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STAGE + MOE_STAGE_EXPERTS, 5, 1, 3},
        {20, 1, 71, MOE_RAW_POP, 0, 0, 0, 0, 0},
        {30, 2, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STEP, 101, 1, 9},
        {90, 2, 71, MOE_RAW_POP, 0, 0, 0, 0, 0},
    };
    /* clones stand before what they are clones of */
    static const moe_raw_node nodes[] = {{15, 300, 200, 2},
                                         {15, 200, 100, 2},
                                         {12, 100, 0, 1},
                                         {15, 500, 400, 2},
                                         {15, 600, 600, 0}};
    moe_activity_external external = {4, 2, 77};
    rawlog_chunk(log, MOE_RAW_RANGES, ranges, sizeof ranges);
    rawlog_chunk(log, MOE_RAW_NODES, nodes, sizeof nodes);
    rawlog_external(records, MOE_ACTIVITY_EXTERNAL, 24, &external);
    for (uint64_t node = 100; node <= 600; node += 100) {
        moe_activity_kernel kernel = {
            .start = 40 + node, .end = 50 + node, .correlation = 77, .node = node, .graph = 1};
        rawlog_kernel(records, MOE_ACTIVITY_CONCURRENT_KERNEL, 216, &kernel);
    }
    rawlog_activity(log, records, 1);
}

static void
joins_kernels_of_graphs(void)
{
    check_extra(extra_graph, NULL,
                "SELECT graph_node, range, step, layer, stage FROM kernel ORDER BY graph_node",
                "100|2|9|3|experts;200|2|9|3|experts;300|2|9|3|experts;400|2|9||;500|2|9||;"
                "600|2|9||;");
    check_extra(extra_graph, NULL, "SELECT code, n FROM diagnostic", "graph_unknown|3;");
    check_extra(extra_graph, NULL, "SELECT step, phase FROM step", "9|decode;");
}

/* A CUPTI that takes no external correlation. */
static void
extra_uncorrelated(GByteArray *log)
{
    g_autoptr(GByteArray) records = g_byte_array_new();
    static const moe_raw_range ranges[] = {
        {10, 1, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STAGE + MOE_STAGE_EXPERTS, 5, 1, 3},
        {50, 1, 71, MOE_RAW_POP, 0, 0, 0, 0, 0},
        {20, 2, 72, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STAGE + MOE_STAGE_ROUTER, 3, 1, 4},
        {60, 2, 72, MOE_RAW_POP, 0, 0, 0, 0, 0},
    };
    rawlog_chunk(log, MOE_RAW_RANGES, ranges, sizeof ranges);
    for (uint32_t i = 0; i < 3; i++) {
        moe_activity_api api = {211, 30 + 25 * (i == 2), 40 + 25 * (i == 2), 71 + (i == 1), 5 + i,
                                0};
        moe_activity_kernel kernel = {.start = 100, .end = 200, .correlation = 5 + i};
        rawlog_kernel(records, MOE_ACTIVITY_KERNEL, 216, &kernel);
        rawlog_api(records, MOE_ACTIVITY_DRIVER, 40, &api);
    }
    rawlog_activity(log, records, 1);
}

static void
joins_by_time_without_correlation(void)
{
    check_extra(extra_uncorrelated, NULL, "SELECT correlation, layer, stage FROM kernel",
                "5|3|experts;6|4|router;7||;");
    check_extra(extra_uncorrelated, NULL, "SELECT code, n FROM diagnostic", "joined_by_time|2;");
}

/* ---- ranges ---- */

static void
extra_ranges(GByteArray *log)
{
    static const char *const more[] = {"model.layers.7.mlp.gate", "torch"};
    g_autoptr(GByteArray) texts = g_byte_array_new();
    for (uint32_t i = 0; i < 2; i++) {
        moe_raw_string head = {50 + i, (uint32_t)strlen(more[i])};
        g_byte_array_append(texts, (const guint8 *)&head, sizeof head);
        g_byte_array_append(texts, (const guint8 *)more[i], head.bytes);
        rawlog_pad(texts);
    }
    rawlog_array(log, MOE_RAW_STRINGS, texts);
    static const moe_raw_range ranges[] = {
        {10, 1, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STEP, 100, 1, 4},
        {11, 2, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, RAWLOG_STAGE + MOE_STAGE_EXPERTS, 5, 1, 6},
        {12, 3, 71, MOE_RAW_PUSH, 51, 50, 0, 0, 0},          /* inside of it, an engine's */
        {13, 4, 71, MOE_RAW_MARK, 0, 51, 0, 3, 0},           /* a mark in it */
        {14, 5, 72, MOE_RAW_START, 0, 51, 0, 2, UINT64_MAX}, /* another thread */
        {15, 3, 71, MOE_RAW_POP, 0, 0, 0, 0, 0},
        {16, 2, 71, MOE_RAW_POP, 0, 0, 0, 0, 0},
        {17, 5, 73, MOE_RAW_END, 0, 0, 0, 0, 0},
        {18, 6, 73, MOE_RAW_END, 0, 0, 0, 0, 0},               /* of none */
        {19, 7, 71, MOE_RAW_PUSH, RAWLOG_DOMAIN, 51, 0, 0, 0}, /* no stage */
        {20, 7, 71, MOE_RAW_PUSH, 0, 51, 0, 0, 0},             /* a number that is there */
        {21, 8, 71, 17, 0, 51, 0, 0, 0},                       /* no kind */
    };
    rawlog_chunk(log, MOE_RAW_RANGES, ranges, sizeof ranges);
}

static void
nests_ranges(void)
{
    check_extra(extra_ranges, NULL,
                "SELECT range, thread, kind, domain, text, start_ns, end_ns, depth, parent,"
                " payload FROM range ORDER BY id",
                "1|71|push|moesim|step|10||0||4;2|71|push|moesim|experts|11|16|1|1|6;"
                "3|71|push|torch|model.layers.7.mlp.gate|12|15|2|2|;"
                "4|71|mark||torch|13|13|3|3|0.0;5|72|start||torch|14|17|0||-1;"
                "7|71|push|moesim|torch|19||1|1|;");
    check_extra(extra_ranges, NULL, "SELECT range, step, layer, stage, end_ns FROM stage",
                "2|4|6|experts|16;3|4|7|router|15;");
    check_extra(extra_ranges, NULL, "SELECT code, n FROM diagnostic ORDER BY code",
                "log_odd|2;range_open|2;range_stray|1;stage_unknown|1;step_open|1;");
}

static void
extra_said(GByteArray *log)
{
    static const char *const texts[] = {"cupti_busy", "held by nsys", "route", "lost", "made up"};
    g_autoptr(GByteArray) payload = g_byte_array_new();
    for (uint32_t i = 0; i < MOE_COUNT(texts); i++) {
        moe_raw_string head = {60 + i, (uint32_t)strlen(texts[i])};
        g_byte_array_append(payload, (const guint8 *)&head, sizeof head);
        g_byte_array_append(payload, (const guint8 *)texts[i], head.bytes);
        rawlog_pad(payload);
    }
    rawlog_array(log, MOE_RAW_STRINGS, payload);
    static const moe_raw_diagnostic said[] = {
        {5, 1, 1, 60, 61}, {6, 1, 4, 60, 61}, {7, 99, 0, 64, 0}};
    static const moe_raw_loss lost[] = {{62, 63, 10}, {62, 63, 5}, {62, 63, UINT64_MAX}};
    static const moe_raw_name names[] = {
        {1, 71, 0, 61}, {2, 5, 62, 63}, {1, 71, 0, 64}, {9, 1, 0, 64}};
    rawlog_chunk(log, MOE_RAW_NAMES, names, sizeof names);
    rawlog_chunk(log, MOE_RAW_DIAGNOSTIC, said, sizeof said);
    rawlog_chunk(log, MOE_RAW_LOSS, lost, sizeof lost);
}

static void
keeps_what_the_process_said(void)
{
    check_extra(extra_said, NULL, "SELECT time_ns, severity, code, text, n FROM diagnostic",
                "5|warn|cupti_busy|held by nsys|5;7|error|made up|made up|1;"
                "|warn|route_lost|routing was lost inside the process|9223372036854775807;"
                "|warn|log_odd|a raw log holds entries that make no sense: left out|1;");
    check_extra(extra_said, NULL, "SELECT kind, number, domain, name FROM named",
                "category|5|route|lost;thread|71||made up;");
    check_extra(extra_said, NULL, "SELECT source, what, n FROM loss",
                "route|lost|9223372036854775807;");
}

static void
fails_on_the_environment(void)
{
    g_autoptr(GError) error = NULL;
    profile_folder folder = profile_folder_new();
    profile_folder_log(&folder, &small);
    CU_ASSERT_FALSE(moe_profile_decode("/nonexistent.d", folder.db, NULL, NULL, &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, "/nonexistent.d: cannot be opened"), "%s",
              error->message);
    g_clear_error(&error);
    CU_ASSERT_FALSE(moe_profile_decode(folder.path, "/nonexistent/x.db", NULL, NULL, &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, "/nonexistent/x.db: cannot create"), "%s",
              error->message);
    profile_folder_clear(&folder);
}

MOE_TESTS({"decodes a log", decodes_a_log}, {"counts loads", counts_loads},
          {"gives the same bytes", gives_the_same_bytes}, {"decodes cut logs", decodes_cut_logs},
          {"says what is no log", says_what_is_no_log},
          {"tells images of a process apart", tells_images_of_a_process_apart},
          {"counts what it cannot read", counts_what_it_cannot_read},
          {"reads every kind", reads_every_kind},
          {"converts the wall clock", converts_the_wall_clock},
          {"joins kernels of graphs", joins_kernels_of_graphs},
          {"joins by time without correlation", joins_by_time_without_correlation},
          {"nests ranges", nests_ranges},
          {"keeps what the process said", keeps_what_the_process_said},
          {"fails on the environment", fails_on_the_environment})
