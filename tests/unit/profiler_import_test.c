#include "profiler/profile.h"

#include "tests/profile.h"
#include "tests/test.h"

#include <zlib.h>

/* ---- imports ---- */

typedef bool profile_importer(const char *file, const char *path,
                              const moe_profile_options *options, moe_profile_summary *summary,
                              moe_diag *diag, GError **error);

typedef struct imported {
    profile_folder folder;
    char *file, *messages;
    bool ok;
} imported;

static imported
import_bytes(profile_importer *importer, const char *name, const void *bytes, size_t n)
{
    imported got = {.folder = profile_folder_new()};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    got.file = g_build_filename(got.folder.path, name, NULL);
    if (bytes)
        profile_folder_add(&got.folder, name, bytes, n);
    got.ok = importer(got.file, got.folder.db, NULL, NULL, diag, &error);
    g_autofree char *text = moe_diag_render(diag);
    g_autofree char *full = g_strconcat(error ? error->message : "", text, NULL);
    g_auto(GStrv) parts = g_strsplit(full, got.file, -1);
    got.messages = g_strjoinv("FILE", parts);
    MOE_CHECK(got.ok == g_file_test(got.folder.db, G_FILE_TEST_EXISTS), "%s", got.messages);
    return got;
}

static void
import_clear(imported *got)
{
    profile_folder_clear(&got->folder);
    g_free(got->file);
    g_free(got->messages);
}

static void
check_rows(const imported *got, const char *sql, const char *wanted)
{
    g_autofree char *rows = profile_rows(got->folder.db, sql);
    MOE_CHECK(got->ok && strcmp(rows, wanted) == 0, "%s\n      gives %s\n      wants %s %s", sql,
              rows, wanted, got->messages);
}

/* ---- PyTorch ---- */

static imported
import_torch(const char *json)
{
    return import_bytes(moe_profile_import_torch, "trace.json", json, strlen(json));
}

/* The fixture is what torch 2.15 wrote of two layers on a CPU, packed. */
static void
reads_a_trace_of_a_cpu(void)
{
    g_autofree char *bytes = NULL;
    gsize n = 0;
    CU_ASSERT_TRUE(
        g_file_get_contents(MOE_SOURCE_DIR "/tests/unit/data/torch_cpu.json.gz", &bytes, &n, NULL));
    imported got = import_bytes(moe_profile_import_torch, "trace.json.gz", bytes, n);
    check_rows(&got, "SELECT pid, attach, end_ns > start_ns FROM process", "3834|full|1;");
    check_rows(&got, "SELECT step, start_ns, end_ns FROM step ORDER BY step",
               "0|4855371470521319|4855371507737128;1|4855371507749890|4855371546324728;");
    check_rows(&got,
               "SELECT step, layer, stage, end_ns - start_ns FROM stage WHERE step = 1"
               " ORDER BY start_ns",
               "1|0|attention|54673;1|0|router|21963160;1|0|experts|299989;1|1|attention|71421;"
               "1|1|router|15517173;1|1|experts|269441;");
    check_rows(&got, "SELECT count(*), count(DISTINCT domain) FROM range", "214|2;");
    /* every operation lies in the range that it is said to lie in */
    check_rows(&got,
               "SELECT count(*) FROM range AS r JOIN range AS p ON p.id = r.parent"
               " WHERE r.start_ns < p.start_ns OR r.end_ns > p.end_ns + 1",
               "0;");
    check_rows(&got,
               "SELECT p.text, count(*) FROM range AS r JOIN range AS p ON p.id = r.parent"
               " WHERE r.text = 'aten::topk' GROUP BY 1 ORDER BY 1",
               "moesim/router/0|2;moesim/router/1|2;");
    check_rows(&got, "SELECT value FROM meta WHERE name = 'source'", "torch;");
    import_clear(&got);
}

/* As kineto writes events of a GPU; the calls stand behind what they launched. */
static const char gpu_trace[] =
    "{\"schemaVersion\": 1, \"baseTimeNanoseconds\": 1790000000000000000,\n"
    "\"deviceProperties\": [{\"id\": 0, \"name\": \"NVIDIA H200\", \"totalGlobalMem\": 150000,"
    " \"computeMajor\": 9, \"computeMinor\": 0, \"numSms\": 132}],\n"
    "\"distributedInfo\": {\"backend\": \"nccl\", \"rank\": 3},\n"
    "\"traceEvents\": [\n"
    "{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"moe_gemm\", \"pid\": 0, \"tid\": 7,"
    " \"ts\": 110.5, \"dur\": 2.25, \"args\": {\"External id\": 9, \"queued\": 0, \"device\": 0,"
    " \"context\": 1, \"stream\": 7, \"correlation\": 500, \"registers per thread\": 64,"
    " \"shared memory\": 1024, \"grid\": [4, 2, 1], \"block\": [128, 1, 1]}},\n"
    "{\"ph\": \"X\", \"cat\": \"gpu_memcpy\", \"name\": \"Memcpy HtoD (Pinned -> Device)\","
    " \"pid\": 0, \"tid\": 7, \"ts\": 120, \"dur\": 5, \"args\": {\"device\": 0, \"stream\": 7,"
    " \"correlation\": 501, \"bytes\": 4096}},\n"
    "{\"ph\": \"X\", \"cat\": \"gpu_memset\", \"name\": \"Memset (Device)\", \"pid\": 0, \"tid\": "
    "7,"
    " \"ts\": 130, \"dur\": 1, \"args\": {\"correlation\": 502, \"bytes\": 64}},\n"
    "{\"ph\": \"X\", \"cat\": \"cuda_sync\", \"name\": \"Stream Sync\", \"pid\": 0, \"tid\": 7,"
    " \"ts\": 131, \"dur\": 2, \"args\": {\"cuda_sync_kind\": \"Stream Sync\", \"stream\": 7}},\n"
    "{\"ph\": \"X\", \"cat\": \"user_annotation\", \"name\": \"ProfilerStep#12\", \"pid\": 44,"
    " \"tid\": 44, \"ts\": 90, \"dur\": 60},\n"
    "{\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"aten::mm\", \"pid\": 44, \"tid\": 44,"
    " \"ts\": 101, \"dur\": 4},\n"
    "{\"ph\": \"X\", \"cat\": \"user_annotation\", \"pid\": 44, \"tid\": 44, \"ts\": 100,"
    " \"dur\": 20, \"name\": \"{'Module': 'model.layers.5.mlp.experts'}\"},\n"
    "{\"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaLaunchKernel\", \"pid\": 44,"
    " \"tid\": 44, \"ts\": 102, \"dur\": 1, \"args\": {\"cbid\": 211, \"correlation\": 500}},\n"
    "{\"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaMemcpyAsync\", \"pid\": 44,"
    " \"tid\": 44, \"ts\": 106, \"dur\": 1, \"args\": {\"cbid\": 41, \"correlation\": 501}},\n"
    "{\"ph\": \"X\", \"cat\": \"cuda_driver\", \"name\": \"cuMemsetD8Async\", \"pid\": 44,"
    " \"tid\": 44, \"ts\": 140, \"dur\": 1, \"args\": {\"correlation\": 502}},\n"
    "{\"ph\": \"X\", \"cat\": \"python_function\", \"name\": \"x\", \"pid\": 44, \"tid\": 44,"
    " \"ts\": 1, \"dur\": 1},\n"
    "{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"backward\", \"pid\": 0, \"tid\": 7, \"ts\": "
    "5,"
    " \"dur\": -1},\n"
    "{\"ph\": \"s\", \"id\": 500, \"pid\": 44, \"tid\": 44, \"ts\": 102, \"cat\": \"ac2g\"},\n"
    "{\"name\": \"process_name\", \"ph\": \"M\", \"ts\": 1, \"pid\": 0, \"args\": {\"name\": "
    "\"python\"}}\n"
    "], \"traceName\": \"x.json\"}\n";

/* As versions wrote them that count from 1970. */
static void
keeps_nanoseconds_of_long_times(void)
{
    imported got = import_torch(
        "{\"traceEvents\": [{\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"a\", \"pid\": 1,"
        " \"tid\": 1, \"ts\": 1691414141234567.891, \"dur\": 1.001}]}");
    check_rows(&got, "SELECT start_ns, end_ns - start_ns FROM range", "1691414141234567891|1001;");
    import_clear(&got);
}

static void
reads_a_trace_of_a_gpu(void)
{
    imported got = import_torch(gpu_trace);
    check_rows(&got,
               "SELECT device, context, stream, correlation, start_ns, end_ns, grid_x, grid_y,"
               " block_x, registers, shared_static, step, layer, stage FROM kernel",
               "0|1|7|500|110500|112750|4|2|128|64|1024|12|5|experts;");
    check_rows(&got, "SELECT r.text FROM kernel AS k JOIN range AS r ON r.id = k.range",
               "aten::mm;");
    check_rows(&got,
               "SELECT kind, direction, bytes, pinned, step, stage FROM memop ORDER BY start_ns",
               "memcpy|HtoD|4096|1|12|experts;memset||64||12|;");
    check_rows(&got, "SELECT domain, s.value, correlation FROM api JOIN string AS s ON s.id = name",
               "runtime|cudaLaunchKernel|500;runtime|cudaMemcpyAsync|501;"
               "driver|cuMemsetD8Async|502;");
    check_rows(&got, "SELECT kind, stream, end_ns - start_ns FROM synchronization",
               "stream|7|2000;");
    check_rows(&got, "SELECT pid, rank, realtime_offset_ns FROM process",
               "44|3|1790000000000000000;");
    check_rows(&got, "SELECT device, name, capability, sms, memory_bytes FROM device",
               "0|NVIDIA H200|9.0|132|150000;");
    check_rows(&got, "SELECT source, what, n FROM loss", "torch|odd_events|1;");
    check_rows(&got, "SELECT code, n FROM diagnostic ORDER BY code",
               "foreign_note|1;foreign_row|1;");
    import_clear(&got);
}

static void
refuses_what_is_no_trace(void)
{
    static const struct {
        const char *json, *messages;
    } cases[] = {
        {"{}", "FILE: error: has no list 'traceEvents': it is no trace of the PyTorch profiler\n"},
        {"7", "FILE: error: has no list 'traceEvents': it is no trace of the PyTorch profiler\n"},
        {"{\"traceEvents\": 7}",
         "FILE: error: has no list 'traceEvents': it is no trace of the PyTorch profiler\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        imported got = import_torch(cases[i].json);
        MOE_CHECK(!got.ok && strcmp(got.messages, cases[i].messages) == 0, "case %zu: %s", i,
                  got.messages);
        import_clear(&got);
    }
    /* cut at any byte it is refused, with a place */
    for (size_t cut = 0; cut + 2 < sizeof gpu_trace - 1; cut += 7) {
        imported got = import_bytes(moe_profile_import_torch, "x.json", gpu_trace, cut);
        MOE_CHECK(!got.ok && g_str_has_prefix(got.messages, "FILE:"), "cut at %zu: %s", cut,
                  got.messages);
        import_clear(&got);
    }
    imported none = import_bytes(moe_profile_import_torch, "none.json", NULL, 0);
    MOE_CHECK(g_str_has_prefix(none.messages, "FILE: "), "%s", none.messages);
    import_clear(&none);
}

/* ---- Nsight Systems ---- */

/* An export made by SQL. */
static imported
import_nsys(const char *sql)
{
    g_autofree char *path = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(path, "x.sqlite", NULL);
    g_autofree char *bytes = NULL;
    char *problem = NULL;
    gsize n = 0;
    sqlite3 *db;
    sqlite3_open(file, &db);
    MOE_CHECK(sqlite3_exec(db, sql, NULL, NULL, &problem) == SQLITE_OK, "%s", problem);
    sqlite3_close(db);
    g_file_get_contents(file, &bytes, &n, NULL);
    remove(file);
    remove(path);
    return import_bytes(moe_profile_import_nsys, "x.sqlite", bytes, n);
}

#define GLOBAL(pid, tid) "(0x1000000000000 + " #pid " * 0x1000000 + " #tid ")"

static const char nsys_export[] =
    "CREATE TABLE StringIds(id INTEGER PRIMARY KEY, value TEXT NOT NULL);"
    "INSERT INTO StringIds VALUES (1, 'cudaLaunchKernel_v7000'), (2, 'moe_gemm<float>'),"
    " (3, 'moe_gemm'), (4, 'experts'), (5, 'cuLaunchKernel'), (6, 'CUDA profiling data flush');"
    "CREATE TABLE META_DATA_EXPORT(name TEXT, value TEXT);"
    "INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.11.7');"
    "CREATE TABLE TARGET_INFO_SESSION_START_TIME(utcEpochNs INTEGER, utcTime TEXT);"
    "INSERT INTO TARGET_INFO_SESSION_START_TIME VALUES (1790000000000000000, '');"
    "CREATE TABLE TARGET_INFO_GPU(id INT, name TEXT, totalMemory INT, smCount INT, cuDevice INT,"
    " computeMajor INT, computeMinor INT, uuid TEXT);"
    "INSERT INTO TARGET_INFO_GPU VALUES (0, 'NVIDIA H200', 150000, 132, 0, 9, 0, 'GPU-1');"
    "CREATE TABLE PROCESSES(globalPid INT, pid INT, name TEXT);"
    "INSERT INTO PROCESSES VALUES (" GLOBAL(
        77, 0) ", 77, 'python serve.py');"
               "CREATE TABLE NVTX_EVENTS(start INT NOT NULL, \"end\" INT, eventType INT NOT NULL, "
               "rangeId INT,"
               " category INT, color INT, text TEXT, globalTid INT, endGlobalTid INT, textId INT,"
               " domainId INT, uint64Value INT, int64Value INT, doubleValue REAL);"
               "INSERT INTO NVTX_EVENTS(start, eventType, text, globalTid, domainId)"
               " VALUES (1, 75, 'moesim', " GLOBAL(
                   77,
                   5) ", 2);"
                      /* in no order; a text by its id, another in the row */
                      "INSERT INTO NVTX_EVENTS(start, \"end\", eventType, globalTid, textId, "
                      "domainId, category,"
                      " uint64Value) VALUES (110, 150, 59, " GLOBAL(
                          77,
                          6) ", 4, 2, 5, 3);"
                             "INSERT INTO NVTX_EVENTS(start, \"end\", eventType, globalTid, text, "
                             "domainId, category,"
                             " uint64Value) VALUES (100, 200, 59, " GLOBAL(
                                 77,
                                 6) ", 'step', 2, 101, 9),"
                                    " (100, 300, 59, " GLOBAL(
                                        77,
                                        8) ", 'other', 0, NULL, NULL),"
                                           " (120, NULL, 34, " GLOBAL(77,
                                                                      6) ", 'mark', 0, NULL, NULL),"
                                                                         " (130, 120, 59, " GLOBAL(
                                                                             77,
                                                                             6) ", 'backward', 0, "
                                                                                "NULL, NULL),"
                                                                                " (190, NULL, "
                                                                                "59, " GLOBAL(77, 8) ", 'open', 0, NULL, NULL);"
                                                                                                     "CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME(start INT, \"end\" INT, eventClass INT,"
                                                                                                     " globalTid INT, correlationId INT, nameId INT, returnValue INT);"
                                                                                                     "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (112, 115, 0, " GLOBAL(77, 6) ", 50, 1, 0),"
                                                                                                                                                                                   " (160, 165, 0, " GLOBAL(
                                                                                                                                                                                       77, 6) ", 51, 5, 0), (400, 405, 0, " GLOBAL(77, 6) ", 52, 1, 0),"
                                                                                                                                                                                                                                          " (170, 175, 0, " GLOBAL(77, 6) ", 53, 1, 0);"
                                                                                                                                                                                                                                                                          "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL(start INT, \"end\" INT, deviceId INT, contextId INT,"
                                                                                                                                                                                                                                                                          " streamId INT, correlationId INT, globalPid INT, demangledName INT, shortName INT, gridX INT,"
                                                                                                                                                                                                                                                                          " gridY INT, gridZ INT, blockX INT, blockY INT, blockZ INT, staticSharedMemory INT,"
                                                                                                                                                                                                                                                                          " dynamicSharedMemory INT, registersPerThread INT, graphNodeId INT);"
                                                                                                                                                                                                                                                                          "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES"
                                                                                                                                                                                                                                                                          " (500, 600, 0, 1, 7, 50, " GLOBAL(77,
                                                                                                                                                                                                                                                                                                             0) ", 2, 3, 4, 2, 1, 128, 1, 1, 16, 32, 64, NULL),"
                                                                                                                                                                                                                                                                                                                " (610, 620, 0, 1, 7, 51, " GLOBAL(77,
                                                                                                                                                                                                                                                                                                                                                   0) ", 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, NULL),"
                                                                                                                                                                                                                                                                                                                                                      " (630, 640, 0, 1, 7, 52, " GLOBAL(
                                                                                                                                                                                                                                                                                                                                                          77,
                                                                                                                                                                                                                                                                                                                                                          0) ", 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, NULL),"
                                                                                                                                                                                                                                                                                                                                                             " (650, 660, 0, 1, 7, 53, " GLOBAL(
                                                                                                                                                                                                                                                                                                                                                                 77, 0) ", 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 901),"
                                                                                                                                                                                                                                                                                                                                                                        " (670, 680, 0, 1, 7, 53, " GLOBAL(77,
                                                                                                                                                                                                                                                                                                                                                                                                           0) ", 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 999),"
                                                                                                                                                                                                                                                                                                                                                                                                              " (700, 690, 0, 1, 7, 53, " GLOBAL(
                                                                                                                                                                                                                                                                                                                                                                                                                  77, 0) ", 2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, NULL);"
                                                                                                                                                                                                                                                                                                                                                                                                                         "CREATE TABLE CUDA_GRAPH_NODE_EVENTS(start INT, \"end\" INT, globalTid INT, graphNodeId INT,"
                                                                                                                                                                                                                                                                                                                                                                                                                         " originalGraphNodeId INT);"
                                                                                                                                                                                                                                                                                                                                                                                                                         "INSERT INTO CUDA_GRAPH_NODE_EVENTS VALUES (180, 181, " GLOBAL(77, 6) ", 901, 900),"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               " (140, 141, " GLOBAL(77, 6) ", 900, NULL);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY(start INT, \"end\" INT, deviceId INT, contextId INT,"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            " streamId INT, correlationId INT, globalPid INT, bytes INT, copyKind INT, srcKind INT,"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            " dstKind INT);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (10, 20, 0, 1, 7, 50, " GLOBAL(77, 0) ", 4096, 1, 1, 2), (30, 40, 0, 1, 7, 51, " GLOBAL(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                77,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                0) ", 8, 2, 2, 0);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "CREATE TABLE CUPTI_ACTIVITY_KIND_SYNCHRONIZATION(start INT, \"end\" INT, globalPid INT,"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   " contextId INT, streamId INT, correlationId INT, syncType INT);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "INSERT INTO CUPTI_ACTIVITY_KIND_SYNCHRONIZATION VALUES (1, 3, " GLOBAL(77,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           0) ", 1, 7, 9, 3);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "CREATE TABLE PROFILER_OVERHEAD(start INT, \"end\" INT, globalTid INT, nameId INT);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "INSERT INTO PROFILER_OVERHEAD VALUES (1, 5, " GLOBAL(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  77,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  6) ", 6);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "CREATE TABLE DIAGNOSTIC_EVENT(timestamp INT, timestampType INT, source INT, severity INT,"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     " text TEXT, globalPid INT);"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "INSERT INTO DIAGNOSTIC_EVENT VALUES (5, 1, 1, 2, 'Not all NVTX events were collected.', NULL);";

static void
reads_an_export(void)
{
    static const struct {
        const char *sql, *wanted;
    } cases[] = {
        {"SELECT pid, name, start_ns, end_ns, realtime_offset_ns FROM process",
         "77|python serve.py|10|680|1790000000000000000;"},
        {"SELECT pid, device, name, capability, sms, memory_bytes, uuid FROM device",
         "77|0|NVIDIA H200|9.0|132|150000|GPU-1;"},
        {"SELECT thread, kind, domain, text, start_ns, end_ns, depth, payload FROM range",
         "6|push|moesim|step|100|200|0|9;6|push|moesim|experts|110|150|1|3;"
         "6|mark||mark|120|120|2|;8|push||other|100|300|0|;8|push||open|190||1|;"},
        {"SELECT step, layer, stage FROM stage", "9|3|experts;"},
        {"SELECT step, phase FROM step", "9|decode;"},
        {"SELECT correlation, s.value, a.domain, r.text FROM api AS a JOIN string AS s"
         " ON s.id = a.name LEFT JOIN range AS r ON r.id = a.range",
         "50|cudaLaunchKernel_v7000|runtime|experts;51|cuLaunchKernel|driver|step;"
         "52|cudaLaunchKernel_v7000|runtime|;53|cudaLaunchKernel_v7000|runtime|step;"},
        {"SELECT start_ns, s.value, grid_x, registers, shared_dynamic, graph_node, step, layer,"
         " stage FROM kernel JOIN string AS s ON s.id = name",
         "500|moe_gemm<float>|4|64|32||9|3|experts;610|moe_gemm<float>|1|0|0||9||;"
         "630|moe_gemm<float>|1|0|0||||;650|moe_gemm<float>|1|0|0|901|9|3|experts;"
         "670|moe_gemm<float>|1|0|0|999|9||;"},
        {"SELECT direction, bytes, pinned, stage FROM memop", "HtoD|4096|1|experts;DtoH|8|0|;"},
        {"SELECT kind, stream FROM synchronization", "stream|7;"},
        {"SELECT kind, thread FROM overhead", "CUDA profiling data flush|6;"},
        {"SELECT source, what, n FROM loss", "nsys|odd_rows|2;"},
        {"SELECT severity, code, text FROM diagnostic WHERE code = 'foreign_note'",
         "warn|foreign_note|Not all NVTX events were collected.;"},
        {"SELECT value FROM meta WHERE name = 'nsys.EXPORT_SCHEMA_VERSION'", "3.11.7;"},
    };
    imported got = import_nsys(nsys_export);
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        check_rows(&got, cases[i].sql, cases[i].wanted);
    import_clear(&got);
}

/* Tables are made as they are needed, and columns come and go. */
static void
reads_partial_exports(void)
{
    static const struct {
        const char *sql, *query, *rows;
    } cases[] = {
        {"CREATE TABLE META_DATA_EXPORT(name TEXT, value TEXT)", "SELECT count(*) FROM process",
         "0;"},
        {"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL(start INT, \"end\" INT, globalPid INT);"
         "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (1, 2, 16777216)",
         "SELECT pid, start_ns, name, device FROM kernel", "1|1||;"},
        {"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL(start INT, globalPid INT);"
         "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (1, 16777216)",
         "SELECT code, text FROM diagnostic",
         "foreign_table|table CUPTI_ACTIVITY_KIND_KERNEL has no column end: it is not read;"},
        /* a view is no table, however it is called */
        {"CREATE TABLE META_DATA_EXPORT(name TEXT, value TEXT);"
         "CREATE VIEW NVTX_EVENTS AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
         " FROM n) SELECT i AS start, i AS \"end\", i AS globalTid, 59 AS eventType FROM n",
         "SELECT count(*) FROM range", "0;"},
        {"CREATE TABLE META_DATA_EXPORT(name TEXT, value TEXT);"
         "CREATE TABLE NVTX_EVENTS(start TEXT, \"end\" BLOB, globalTid REAL, eventType INT);"
         "INSERT INTO NVTX_EVENTS VALUES ('x', x'00', 1e300, 59), (NULL, NULL, NULL, 59)",
         "SELECT count(*) FROM range", "1;"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        imported got = import_nsys(cases[i].sql);
        check_rows(&got, cases[i].query, cases[i].rows);
        import_clear(&got);
    }
}

static void
refuses_what_is_no_export(void)
{
    imported other = import_nsys("CREATE TABLE x(a)");
    CU_ASSERT_STRING_EQUAL(
        other.messages,
        "FILE: error: has none of the tables of an nsys export, such as META_DATA_EXPORT\n");
    import_clear(&other);
    imported text = import_bytes(moe_profile_import_nsys, "x", "{\"traceEvents\": []}", 19);
    CU_ASSERT_STRING_EQUAL(text.messages, "FILE: error: is not a database; export a report with: "
                                          "nsys export --type sqlite REPORT\n");
    import_clear(&text);
    imported none = import_bytes(moe_profile_import_nsys, "none", NULL, 0);
    CU_ASSERT_STRING_EQUAL(none.messages, "FILE: cannot be opened: No such file or directory");
    import_clear(&none);
    imported damaged =
        import_bytes(moe_profile_import_nsys, "x", "SQLite format 3\0 and then nothing of it", 40);
    MOE_CHECK(g_str_has_prefix(damaged.messages, "FILE: error: the database is damaged"), "%s",
              damaged.messages);
    import_clear(&damaged);
}

MOE_TESTS({"reads a trace of a CPU", reads_a_trace_of_a_cpu},
          {"reads a trace of a GPU", reads_a_trace_of_a_gpu},
          {"keeps nanoseconds of long times", keeps_nanoseconds_of_long_times},
          {"refuses what is no trace", refuses_what_is_no_trace},
          {"reads an export", reads_an_export}, {"reads partial exports", reads_partial_exports},
          {"refuses what is no export", refuses_what_is_no_export})
