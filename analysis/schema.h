/* The database of results: its tables, column by column, and how it came to be.
 *
 * MOE_SCHEMA is the one list of the tables that a run fills: CREATE TABLE, the inserts and the
 * documentation come from it. A run hands its rows over through moe_result_add with one cell per
 * column, in the order written here. The store puts the column `run` (the run's identity) before
 * them, and the primary key is `run` and the first `keys` columns, without a rowid: the order of
 * the rows does not depend on which run finished first.
 *
 * TABLE(name, keys, help, columns...); times are integer picoseconds. */
#ifndef MOE_ANALYSIS_SCHEMA_H
#define MOE_ANALYSIS_SCHEMA_H

#include "sim/base/base.h"

typedef struct moe_column {
    const char *name, *type;
} moe_column;

/* clang-format off */
#define MOE_SCHEMA(TABLE)                                                                          \
    TABLE(parameter, 1, "swept keys of the run and their canonical values",                       \
          {"key", "TEXT NOT NULL"}, {"value", "TEXT NOT NULL"})                                    \
    TABLE(metric, 1, "what the run reports, each beside its bounds (NULL: none holds)",           \
          {"name", "TEXT NOT NULL"}, {"value", "REAL"}, {"unit", "TEXT NOT NULL"},                 \
          {"contention_free", "REAL"}, {"perfect_cache", "REAL"}, {"roofline", "REAL"})            \
    TABLE(blame, 3, "where each device's wall time went; sums to devices x wall",                 \
          {"device", "TEXT NOT NULL"}, {"kind", "TEXT NOT NULL"}, {"cause", "TEXT NOT NULL"},      \
          {"ps", "INTEGER NOT NULL"})                                                              \
    TABLE(device, 1, "compute servers",                                                           \
          {"name", "TEXT NOT NULL"}, {"busy_ps", "INTEGER NOT NULL"},                              \
          {"wall_ps", "INTEGER NOT NULL"})                                                         \
    TABLE(place, 2, "memory: bytes by account, and the place's usable capacity",                  \
          {"place", "TEXT NOT NULL"}, {"account", "TEXT NOT NULL"},                                \
          {"bytes", "INTEGER NOT NULL"}, {"capacity", "INTEGER"})                                  \
    TABLE(link, 1, "what the links carried",                                                      \
          {"link", "TEXT NOT NULL"}, {"bytes", "INTEGER NOT NULL"},                                \
          {"busy_ps", "INTEGER NOT NULL"}, {"transfers", "INTEGER NOT NULL"})                      \
    TABLE(energy, 3, "energy of the measured time; part: compute, memory, link, idle",            \
          {"phase", "TEXT NOT NULL"}, {"part", "TEXT NOT NULL"}, {"name", "TEXT NOT NULL"},        \
          {"uj", "INTEGER NOT NULL"})                                                              \
    TABLE(residency, 1, "demands and admissions by tier (0: the cache computed from)",            \
          {"tier", "INTEGER NOT NULL"}, {"hits", "INTEGER NOT NULL"},                              \
          {"late", "INTEGER NOT NULL"}, {"misses", "INTEGER NOT NULL"},                            \
          {"fills", "INTEGER NOT NULL"}, {"admits", "INTEGER NOT NULL"},                           \
          {"evictions", "INTEGER NOT NULL"}, {"prefetches", "INTEGER NOT NULL"},                   \
          {"refused", "INTEGER NOT NULL"}, {"wasted", "INTEGER NOT NULL"})                         \
    TABLE(request, 1, "one row per request, on demand",                                           \
          {"request", "INTEGER NOT NULL"}, {"sequence", "INTEGER NOT NULL"},                       \
          {"prompt", "INTEGER NOT NULL"}, {"output", "INTEGER NOT NULL"},                          \
          {"start_ps", "INTEGER NOT NULL"}, {"first_ps", "INTEGER"},                               \
          {"end_ps", "INTEGER NOT NULL"})                                                          \
    TABLE(step, 1, "one row per step, on demand",                                                 \
          {"step", "INTEGER NOT NULL"}, {"phase", "TEXT NOT NULL"},                                \
          {"tokens", "INTEGER NOT NULL"}, {"start_ps", "INTEGER NOT NULL"},                        \
          {"end_ps", "INTEGER NOT NULL"})                                                          \
    TABLE(layer, 1, "one row per MoE layer, on demand",                                           \
          {"layer", "INTEGER NOT NULL"}, {"hits", "INTEGER NOT NULL"},                             \
          {"late", "INTEGER NOT NULL"}, {"misses", "INTEGER NOT NULL"},                            \
          {"loads", "INTEGER NOT NULL"}, {"bytes", "INTEGER NOT NULL"})                            \
    TABLE(timeline, 1, "tasks and parts of tasks as they were done, on demand; kind: compute, copy, wait",\
          {"event", "INTEGER NOT NULL"}, {"kind", "TEXT NOT NULL"}, {"server", "TEXT"},            \
          {"link", "TEXT"}, {"name", "TEXT NOT NULL"}, {"step", "INTEGER NOT NULL"},               \
          {"layer", "INTEGER"}, {"expert", "INTEGER"}, {"start_ps", "INTEGER NOT NULL"},           \
          {"end_ps", "INTEGER NOT NULL"}, {"bytes", "INTEGER"})                                    \
    TABLE(series, 2, "named curves, such as a quantity over time",                                \
          {"name", "TEXT NOT NULL"}, {"x", "REAL NOT NULL"}, {"y", "REAL"})
/* clang-format on */

enum {
    MOE_SCHEMA_VERSION = 6,             /* PRAGMA user_version */
    MOE_SCHEMA_APPLICATION = 0x4D6F4553 /* PRAGMA application_id: "MoES" */
};

/* A table that runs fill. */
typedef struct moe_table {
    const char *name, *help;
    size_t n_keys, n_columns; /* without `run` */
    const moe_column *columns;
} moe_table;

const moe_table *moe_schema_tables(size_t *n);
const moe_table *moe_schema_find(const char *name); /* NULL: no such table */

/* SQL that makes the newest schema in an empty database, version and application id included;
 * yours to free. */
char *moe_schema_create(void);
/* SQL that takes a database of `version` (>= 1) to the next one; NULL at MOE_SCHEMA_VERSION. */
const char *moe_schema_upgrade(int version);

#endif
