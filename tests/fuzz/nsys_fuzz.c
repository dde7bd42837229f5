/* An nsys export, damaged as a file: a profile, or messages. */
#include "profiler/import_nsys.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    sqlite3 *db = NULL;
    moe_profile_writer *writer = moe_profile_writer_new(NULL, &error);
    unsigned char *copy = sqlite3_malloc64(size + 1);
    memcpy(copy, data, size);
    sqlite3_open(":memory:", &db);
    if (sqlite3_deserialize(db, "main", copy, (sqlite3_int64)size, (sqlite3_int64)size + 1,
                            SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) !=
        SQLITE_OK) {
        sqlite3_close(db);
        moe_profile_writer_discard(writer);
        return 0;
    }
    bool ok = moe_nsys_import(db, "x.sqlite", writer, diag);
    moe_assert(ok == (moe_diag_errors(diag) == 0), "neither a profile nor a message");
    if (!ok) {
        moe_profile_writer_discard(writer);
        return 0;
    }
    moe_assert(moe_profile_writer_finish(writer, NULL, &error), "%s", error->message);
    return 0;
}
