#include "analysis/recording_private.h"
#include "sim/base/error.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* As profiler/profile_schema.h says. */
enum { PROFILE_VERSION = 1, PROFILE_APPLICATION = 0x4D6F4550 };

#define CLOCK_END (INT64_C(1) << 61) /* ns: 73 years; differences of such times do not overflow */

static const char *const stage_names[MOE_RECORDING_STAGES] = {
    "embed", "attention", "router", "dispatch", "experts", "combine", "unembed"};

/* ---- the file ---- */

static uint32_t
big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Looks at the header before SQLite does, as the store does (analysis/store.c). */
static bool
is_profile(const char *path, GError **error)
{
    unsigned char header[100];
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, errno, "cannot be opened");
        if (file)
            fclose(file);
        return false;
    }
    size_t n = S_ISREG(info.st_mode) ? fread(header, 1, sizeof header, file) : 0;
    fclose(file);
    if (n < sizeof header || memcmp(header, "SQLite format 3", 16) != 0) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0, "is not a database");
        return false;
    }
    uint32_t application = big_endian(header + 68), version = big_endian(header + 60);
    if (application == PROFILE_APPLICATION && version == PROFILE_VERSION)
        return true;
    if (application != PROFILE_APPLICATION)
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                       "is a database, but no profile; `moesim capture` and `moesim profile "
                       "import` make profiles");
    else
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                       "made by %s moesim (profile version %u; this one knows %d)",
                       version > PROFILE_VERSION ? "a newer" : "an older", version,
                       PROFILE_VERSION);
    return false;
}

static bool
connect_file(moe_recording *recording, GError **error)
{
    g_autofree char *full = g_canonicalize_filename(recording->path, NULL);
    g_autofree char *escaped = g_uri_escape_string(full, "/", TRUE);
    g_autofree char *log = g_strconcat(recording->path, "-wal", NULL);
    bool writing = g_file_test(log, G_FILE_TEST_EXISTS);
    g_autofree char *name = g_strdup_printf("file:%s%s", escaped, writing ? "" : "?immutable=1");
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(name, &recording->sql->db, flags, NULL) == SQLITE_OK)
        return true;
    moe_store_fail(recording->sql, error, "database");
    return false;
}

/* ---- cells ---- */

bool
moe_recording_take(moe_recording *recording, const char *table, int64_t row, int64_t start,
                   int64_t end, int64_t *sum, GError **error)
{
    const char *wrong = NULL;
    if (start < -CLOCK_END || start > CLOCK_END || end < -CLOCK_END || end > CLOCK_END)
        wrong = "lies beyond all clocks";
    else if (end < start)
        wrong = "ends before it starts";
    else if (__builtin_add_overflow(*sum, end - start, sum))
        wrong = "is too long: the sum overflows";
    if (wrong) {
        moe_error_path(error, MOE_ERROR_DATABASE, recording->path, 0, "table %s, row %lld %s",
                       table, (long long)row, wrong);
        return false;
    }
    recording->first = recording->any ? MIN(recording->first, start) : start;
    recording->last = recording->any ? MAX(recording->last, end) : end;
    recording->any = true;
    return true;
}

const char *
moe_recording_text(moe_recording *recording, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    if (!text)
        return NULL;
    if (g_utf8_validate(text, -1, NULL))
        return g_string_chunk_insert_const(recording->texts, text);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return g_string_chunk_insert_const(recording->texts, valid);
}

int64_t
moe_recording_number(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? MOE_RECORDING_UNKNOWN
                                                            : sqlite3_column_int64(stmt, column);
}

uint8_t
moe_recording_stage_of(moe_recording *recording, sqlite3_stmt *stmt, int column)
{
    const char *name = (const char *)sqlite3_column_text(stmt, column);
    if (!name)
        return MOE_RECORDING_NO_STAGE;
    for (guint i = 0; i < recording->stages->len; i++)
        if (!strcmp(recording->stages->pdata[i], name))
            return (uint8_t)i;
    if (recording->stages->len == MOE_RECORDING_NO_STAGE)
        return MOE_RECORDING_NO_STAGE;
    const char *kept = moe_recording_text(recording, stmt, column);
    g_ptr_array_add(recording->stages, (gpointer)(uintptr_t)kept);
    return (uint8_t)(recording->stages->len - 1);
}

uint32_t
moe_recording_find_device(moe_recording *recording, int64_t pid, int64_t device)
{
    for (guint i = 0; i < recording->devices->len; i++) {
        const moe_recording_device *known =
            &g_array_index(recording->devices, moe_recording_device, i);
        if (known->pid == pid && known->device == device)
            return i;
    }
    moe_recording_device added = {pid, device, NULL, NULL, recording->n_units++};
    g_array_append_val(recording->devices, added);
    return recording->devices->len - 1;
}

/* ---- small tables ---- */

static bool
read_meta(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(recording->sql, "SELECT name, value FROM meta", error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        const char *name = moe_recording_text(recording, stmt, 0);
        const char *value = moe_recording_text(recording, stmt, 1);
        if (name)
            g_hash_table_insert(recording->meta, (gpointer)(uintptr_t)name,
                                (gpointer)(uintptr_t)(value ? value : ""));
    }
    return got == 0;
}

static bool
read_losses(moe_recording *recording, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        recording->sql, "SELECT pid, n, source, what FROM loss ORDER BY pid, source, what", error);
    int got = -1;
    while (stmt && (got = moe_store_step_row(recording->sql, stmt, error)) == 1) {
        moe_recording_loss loss = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                                   moe_recording_text(recording, stmt, 2),
                                   moe_recording_text(recording, stmt, 3)};
        if (loss.n > 0 && loss.source && loss.what)
            g_array_append_val(recording->losses, loss);
    }
    return got == 0;
}

static bool
count_rows(moe_recording *recording, const char *sql, size_t *n, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(recording->sql, sql, error);
    if (!stmt || moe_store_step_row(recording->sql, stmt, error) < 0)
        return false;
    *n = (size_t)MAX(0, sqlite3_column_int64(stmt, 0));
    return true;
}

/* ---- life ---- */

static bool
read_all(moe_recording *recording, GError **error)
{
    return connect_file(recording, error) && read_meta(recording, error) &&
           moe_recording_read_devices(recording, error) &&
           moe_recording_read_activities(recording, error) &&
           moe_recording_read_launches(recording, error) &&
           moe_recording_read_ranges(recording, error) &&
           moe_recording_read_steps(recording, error) &&
           moe_recording_read_loads(recording, error) && read_losses(recording, error) &&
           count_rows(recording, "SELECT count(*) FROM range", &recording->n_ranges, error) &&
           count_rows(recording, "SELECT count(*) FROM routing", &recording->n_routed, error);
}

moe_recording *
moe_recording_open(const char *path, GError **error)
{
    if (!is_profile(path, error))
        return NULL;
    moe_recording *recording = g_new0(moe_recording, 1);
    recording->path = g_strdup(path);
    recording->sql = g_new0(moe_store, 1);
    recording->sql->path = g_strdup(path);
    recording->devices = g_array_new(FALSE, FALSE, sizeof(moe_recording_device));
    recording->activities = g_array_new(FALSE, FALSE, sizeof(moe_work));
    recording->launches = g_array_new(FALSE, FALSE, sizeof(moe_launch));
    recording->ranges = g_array_new(FALSE, FALSE, sizeof(moe_stage_range));
    recording->steps = g_array_new(FALSE, FALSE, sizeof(moe_recording_step));
    recording->loads = g_array_new(FALSE, FALSE, sizeof(moe_recording_load));
    recording->losses = g_array_new(FALSE, FALSE, sizeof(moe_recording_loss));
    recording->stages = g_ptr_array_new();
    recording->meta = g_hash_table_new(g_str_hash, g_str_equal);
    recording->texts = g_string_chunk_new(4096);
    for (size_t i = 0; i < MOE_RECORDING_STAGES; i++)
        g_ptr_array_add(recording->stages, (gpointer)(uintptr_t)stage_names[i]);
    if (read_all(recording, error))
        return recording;
    moe_recording_free(recording);
    return NULL;
}

void
moe_recording_free(moe_recording *recording)
{
    if (!recording)
        return;
    GArray *arrays[] = {recording->devices, recording->activities, recording->launches,
                        recording->ranges,  recording->steps,      recording->loads,
                        recording->losses};
    for (size_t i = 0; i < MOE_COUNT(arrays); i++)
        g_array_unref(arrays[i]);
    g_ptr_array_unref(recording->stages);
    g_hash_table_unref(recording->meta);
    g_string_chunk_free(recording->texts);
    moe_store_close(recording->sql);
    g_free(recording->path);
    g_free(recording);
}

/* ---- questions ---- */

const char *
moe_recording_stage(const moe_recording *recording, uint8_t stage)
{
    return stage < recording->stages->len ? recording->stages->pdata[stage] : "outside";
}

char *
moe_recording_unit_name(const moe_recording *recording, uint32_t unit)
{
    for (guint i = 0; i < recording->devices->len; i++) {
        const moe_recording_device *device =
            &g_array_index(recording->devices, moe_recording_device, i);
        if (device->unit != unit)
            continue;
        const char *name = device->name ? device->name : "device";
        return recording->n_units > 1 ? g_strdup_printf("%s #%u", name, unit) : g_strdup(name);
    }
    return g_strdup("?");
}

const moe_launch *
moe_recording_launch(const moe_recording *recording, const moe_work *activity)
{
    int64_t pid = moe_recording_device_of(recording, activity)->pid;
    guint low = 0, high = recording->launches->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const moe_launch *at = &g_array_index(recording->launches, moe_launch, middle);
        int order = MOE_ORDER(at->pid, pid);
        if ((order ? order : MOE_ORDER(at->correlation, activity->correlation)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == recording->launches->len)
        return NULL;
    const moe_launch *found = &g_array_index(recording->launches, moe_launch, low);
    return found->pid == pid && found->correlation == activity->correlation ? found : NULL;
}

void
moe_recording_unit_range(const moe_recording *recording, uint32_t unit, size_t *from, size_t *to)
{
    size_t edge[2];
    for (uint32_t i = 0; i < 2; i++) {
        size_t low = 0, high = recording->activities->len;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            const moe_work *at = moe_recording_work(recording, middle);
            if (moe_recording_device_of(recording, at)->unit < unit + i)
                low = middle + 1;
            else
                high = middle;
        }
        edge[i] = low;
    }
    *from = edge[0];
    *to = edge[1];
}

/* Records that a loss stands for. Buffers that were refused show as dropped records; records of
 * unknown kinds are none that anybody asked for; bytes are taken for records of 128 (CUPTI's have
 * 24 to 216). */
static double
lost_records(const moe_recording_loss *loss)
{
    enum { RECORD_BYTES = 128 };
    if (!strcmp(loss->what, "buffer_denied") || g_str_has_prefix(loss->what, "unknown_kind"))
        return 0;
    return g_str_has_suffix(loss->what, "_bytes") ? ceil((double)loss->n / RECORD_BYTES)
                                                  : (double)loss->n;
}

/* The losses of each source, against what of it is there. */
double
moe_recording_lost(const moe_recording *recording, char **what)
{
    size_t device = recording->activities->len + recording->n_calls;
    size_t all = device + recording->n_ranges + recording->n_routed;
    const struct {
        const char *source;
        size_t kept;
    } sources[] = {
        {"cupti", device},
        {"node", recording->n_kernels},
        {"range", recording->n_ranges},
        {"route", recording->n_routed},
        {"log", all},
        {"nsys", all},
        {"torch", all},
    };
    double most = 0;
    for (size_t s = 0; s < MOE_COUNT(sources); s++) {
        double lost = 0;
        for (guint i = 0; i < recording->losses->len; i++) {
            const moe_recording_loss *loss =
                &g_array_index(recording->losses, moe_recording_loss, i);
            lost += strcmp(loss->source, sources[s].source) ? 0 : lost_records(loss);
        }
        double total = lost + (double)sources[s].kept;
        if (lost == 0 || lost / total <= most)
            continue;
        most = lost / total;
        g_free(*what);
        *what = g_strdup_printf("%s: %.0f of %.0f records", sources[s].source, lost, total);
    }
    return most;
}
