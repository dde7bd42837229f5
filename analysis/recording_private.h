/* How the parts of profile.h read the file. */
#ifndef MOE_ANALYSIS_RECORDING_PRIVATE_H
#define MOE_ANALYSIS_RECORDING_PRIVATE_H

#include "analysis/recording.h"
#include "analysis/store_sql.h"

/* Reads a table's rows into the profile; false with *error set. */
bool moe_recording_read_devices(moe_recording *recording, GError **error);
bool moe_recording_read_activities(moe_recording *recording, GError **error);
bool moe_recording_read_launches(moe_recording *recording, GError **error);
bool moe_recording_read_ranges(moe_recording *recording, GError **error);
bool moe_recording_read_steps(moe_recording *recording, GError **error);
bool moe_recording_read_loads(moe_recording *recording, GError **error);

/* Notes an interval of `table`; false with *error set when it ends before it starts, lies beyond
 * all clocks, or makes sums overflow. */
bool moe_recording_take(moe_recording *recording, const char *table, int64_t row, int64_t start,
                        int64_t end, int64_t *sum, GError **error);
const char *moe_recording_text(moe_recording *recording, sqlite3_stmt *stmt,
                               int column);                   /* or NULL */
int64_t moe_recording_number(sqlite3_stmt *stmt, int column); /* NULL: MOE_RECORDING_UNKNOWN */
uint8_t moe_recording_stage_of(moe_recording *recording, sqlite3_stmt *stmt, int column);
/* The index of a device, added when it is new. */
uint32_t moe_recording_find_device(moe_recording *recording, int64_t pid, int64_t device);

/* -1, 0, 1 */
#define MOE_ORDER(a, b) (((a) > (b)) - ((a) < (b)))

#endif
