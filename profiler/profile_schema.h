/* The profile: the SQLite file that a capture of any program ends in, whoever recorded it (CUPTI
 * and NVTX by libmoesim_inject.so, an nsys export, a PyTorch profiler trace). Times are nanoseconds
 * of one clock per file (CLOCK_MONOTONIC of the host for own captures). What was not seen has no
 * rows; a column that a source does not know is NULL. The views named as nsys names its tables let
 * queries written for its exports run. */
#ifndef MOE_PROFILER_PROFILE_SCHEMA_H
#define MOE_PROFILER_PROFILE_SCHEMA_H

enum {
    MOE_PROFILE_VERSION = 1,             /* PRAGMA user_version */
    MOE_PROFILE_APPLICATION = 0x4D6F4550 /* PRAGMA application_id: "MoEP" */
};

/* Tables and views, as one SQL script; then, once the tables are full, their indexes. */
extern const char moe_profile_sql[];
extern const char moe_profile_index_sql[];

#endif
