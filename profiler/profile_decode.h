/* Inside the decoder of raw logs: one process at a time. */
#ifndef MOE_PROFILER_PROFILE_DECODE_H
#define MOE_PROFILER_PROFILE_DECODE_H

#include "profiler/activity.h"
#include "profiler/profile_nest.h"
#include "profiler/rawread.h"
#include "traces/index_map.h"

typedef struct moe_decode_link {
    uint64_t range; /* id that was pushed; 0: none */
    int64_t step;   /* running when the call was made; MOE_PROFILE_NULL: none */
} moe_decode_link;

typedef struct moe_decode_node {
    uint64_t original, range;
} moe_decode_node;

typedef struct moe_decode {
    int64_t pid;
    moe_raw_file *file;
    moe_profile_writer *writer;
    moe_nest *ranges;
    moe_activity_sizes sizes;
    bool sizes_told;
    GArray *clocks; /* moe_raw_clock */
    bool realtime;  /* activity records are of CLOCK_REALTIME */
    uint64_t first_ns, last_ns;
    moe_index_map texts;        /* id of the log -> */
    GArray *of_text;            /* id in the profile */
    moe_index_map range_texts;  /* id of the log -> */
    GArray *of_range_text;      /* number of moe_nest_text */
    moe_index_map calls;        /* cbid * 2 + runtime -> */
    GArray *of_call;            /* id in the profile */
    moe_index_map correlations; /* -> */
    GArray *links;              /* moe_decode_link */
    moe_index_map nodes;        /* -> */
    GArray *of_node;            /* moe_decode_node */
    uint64_t odd, unknown_texts;
    bool activity, routes;
} moe_decode;

/* All that the log of a process says. */
void moe_decode_process(moe_raw_file *file, int64_t pid, moe_profile_writer *writer);

/* The profile's id of a text of the log; 0: none. */
int64_t moe_decode_text(moe_decode *decode, uint64_t id);
/* The n-th structure of a chunk of them. */
#define MOE_DECODE_N(chunk, type) ((chunk)->bytes / sizeof(type))

/* Activity records: joined with ranges and steps, and written. */
void moe_decode_activity(moe_decode *decode);
/* The time of an activity record in the log's clock. */
uint64_t moe_decode_time(const moe_decode *decode, uint64_t time_ns);
/* Tokens and routes. */
void moe_decode_routes(moe_decode *decode);
void moe_decode_counters(moe_decode *decode);

#endif
