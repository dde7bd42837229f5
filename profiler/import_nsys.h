/* Inside the importer of Nsight Systems' SQLite exports: its tables, which are made as they are
 * needed, so that any of them and any of their columns may be missing. */
#ifndef MOE_PROFILER_IMPORT_NSYS_H
#define MOE_PROFILER_IMPORT_NSYS_H

#include "profiler/import_calls.h"
#include "traces/index_map.h"

typedef struct moe_nsys_process {
    int64_t pid;
    moe_nest *nest;
    uint64_t first_ns, last_ns;
} moe_nsys_process;

typedef struct moe_nsys_node {
    uint64_t original, range; /* original 0: it was created, in that range */
} moe_nsys_node;

typedef struct moe_nsys {
    sqlite3 *db;
    const char *file;
    moe_profile_writer *writer;
    moe_diag *diag;
    bool failed; /* with a message in diag */
    moe_index_map pids;
    GArray *processes; /* moe_nsys_process */
    moe_calls *calls;
    moe_index_map texts; /* id of StringIds -> */
    GArray *of_text;     /* id in the profile; -1: not looked up */
    sqlite3_stmt *find_text;
    moe_index_map domains; /* process << 32 | domain -> */
    GArray *of_domain;     /* number of a text of the process's nest */
    moe_index_map nodes;   /* process, node -> */
    GArray *of_node;       /* moe_nsys_node */
    uint64_t odd, outside;
} moe_nsys;

/* An open export; false: messages. Closes it. */
bool moe_nsys_import(sqlite3 *db, const char *file, moe_profile_writer *writer, moe_diag *diag);

/* Selects columns of a table, NULL for those it lacks; further SQL after the table's name. NULL: no
 * such table, or it lacks the first `wanted` columns (noted), or it failed (a message). */
sqlite3_stmt *moe_nsys_select(moe_nsys *nsys, const char *table, const char *const *columns,
                              int n_columns, int wanted, const char *rest);
/* The next row; false at the end, and when it failed (a message). */
bool moe_nsys_next(moe_nsys *nsys, sqlite3_stmt *rows);
/* A column's number; MOE_PROFILE_NULL. */
int64_t moe_nsys_number(sqlite3_stmt *rows, int column);
/* Beginning and end of a row, in its first two columns; false: they make no sense, which is
 * counted. */
bool moe_nsys_times(moe_nsys *nsys, sqlite3_stmt *rows, int64_t *start, int64_t *end);
/* The process of a globalPid or globalTid, a new one or an old one: its index. */
uint32_t moe_nsys_process_of(moe_nsys *nsys, int64_t global);
static inline uint32_t
moe_nsys_thread(int64_t global)
{
    return (uint32_t)global & 0xFFFFFF;
}
/* The profile's id of a text of StringIds; 0: none. */
int64_t moe_nsys_text(moe_nsys *nsys, int64_t id);

/* The ranges of all processes, settled and indexed. */
void moe_nsys_ranges(moe_nsys *nsys);
/* Calls, then what the device did. */
void moe_nsys_activity(moe_nsys *nsys);

#endif
