/* The raw log of a process, to a profile and a routing trace: whatever it holds, a profile comes of
 * it, in which every sum fits. */
#include "profiler/profile_decode.h"
#include "profiler/profile_routing.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t
fuzz_number(moe_profile_writer *writer, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = moe_profile_writer_database(writer);
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    moe_assert(code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sql,
               sqlite3_errmsg(db));
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const nothing[] = {
        "SELECT count(*) FROM kernel WHERE end_ns < start_ns OR start_ns < 0",
        "SELECT count(*) FROM range WHERE end_ns < start_ns",
        "SELECT count(*) FROM range AS r LEFT JOIN range AS p ON p.id = r.parent"
        " WHERE r.parent IS NOT NULL AND p.id IS NULL",
        "SELECT count(*) FROM kernel AS k LEFT JOIN range AS r ON r.id = k.range"
        " WHERE k.range IS NOT NULL AND r.id IS NULL",
        "SELECT (SELECT coalesce(sum(tokens), 0) FROM load)"
        " > (SELECT coalesce(sum(tokens * k), 0) FROM routing)",
    };
    g_autoptr(GError) error = NULL;
    moe_profile_options options = {.trace = "/dev/null"};
    moe_profile_writer *writer = moe_profile_writer_new(NULL, &error);
    g_autofree uint8_t *aligned = g_memdup2(data, size);
    moe_raw_file *file = moe_rawread_open_memory(aligned, size);
    moe_decode_process(file, 7, writer);
    moe_profile_add_loads(writer);
    options.scratch = g_get_tmp_dir();
    bool ok = moe_profile_routing(writer, &options, &error);
    moe_assert(ok && !moe_profile_writer_failed(writer), "%s", error ? error->message : "failed");
    for (size_t i = 0; i < MOE_COUNT(nothing); i++)
        moe_assert(fuzz_number(writer, nothing[i]) == 0, "%s", nothing[i]);
    moe_rawread_close(file);
    moe_assert(moe_profile_writer_finish(writer, NULL, &error), "%s", error->message);
    return 0;
}
