/* Inside profiler/profile_write. */
#ifndef MOE_PROFILER_PROFILE_WRITE_PRIVATE_H
#define MOE_PROFILER_PROFILE_WRITE_PRIVATE_H

#include "profiler/profile_write.h"

typedef enum profile_insert {
    INSERT_STRING,
    INSERT_META,
    INSERT_LOSS,
    INSERT_DIAGNOSTIC,
    INSERT_PROCESS,
    INSERT_DEVICE,
    INSERT_NAMED,
    INSERT_KERNEL,
    INSERT_MEMOP,
    INSERT_API,
    INSERT_GRAPH,
    INSERT_OVERHEAD,
    INSERT_SYNCHRONIZATION,
    INSERT_EXTERNAL,
    INSERT_RANGE,
    INSERT_STAGE,
    INSERT_STEP,
    INSERT_ROUTING,
    INSERT_TOKEN,
    INSERT_LOAD,
    INSERT_COUNTER,
    PROFILE_INSERTS,
} profile_insert;

typedef struct profile_note {
    int64_t pid, time_ns;
    moe_profile_severity severity;
    char *code, *text;
    uint64_t n;
} profile_note;

struct moe_profile_writer {
    char *path, *temporary;
    bool kept; /* the temporary has got its name */
    sqlite3 *db;
    sqlite3_stmt *statements[PROFILE_INSERTS];
    GError *failure;
    GHashTable *texts;     /* GBytes -> id */
    GPtrArray *by_id;      /* texts, less 1 */
    GHashTable *losses;    /* "pid source what", parts ended by \x1f -> uint64_t * */
    GPtrArray *notes;      /* profile_note, in order of first appearance */
    GHashTable *note_keys; /* "pid code text" -> profile_note */
    GHashTable *meta;
    moe_profile_summary summary;
};

/* A row of values: see write_value. False: it was there already, or writing failed. */
bool moe_profile_row(moe_profile_writer *writer, profile_insert table, const char *types, ...);
/* Writes meta, losses and diagnostics, in order. */
void moe_profile_write_notes(moe_profile_writer *writer);

#endif
