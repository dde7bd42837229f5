/* Ranges that a program says: by NVTX or by the routing ABI. */
#ifndef MOE_PROFILER_INJECT_RANGES_H
#define MOE_PROFILER_INJECT_RANGES_H

#include <stdint.h>
#include <wchar.h>

#include "profiler/inject/rawlog.h"

typedef struct moe_said {
    uint32_t domain; /* id of its name; 0: the default one */
    uint32_t text;   /* its id, else: */
    const char *narrow;
    const wchar_t *wide;
    uint32_t category;
    uint32_t payload_type; /* as in moe_raw_range */
    uint64_t payload;
} moe_said;

/* The id of the project's own domain, "moesim". */
uint32_t moe_range_domain(void);
/* The depth of the range in its domain, from 0. */
int moe_range_push(const moe_said *said);
/* The depth of the range that ended; -1: none was open. */
int moe_range_pop(uint32_t domain);
/* The range's number; > 0. */
uint64_t moe_range_start(const moe_said *said);
void moe_range_end(uint64_t range);
void moe_range_mark(const moe_said *said);
/* A node of a graph came into being, a clone of `original` (0: of none), within the innermost range
 * of the calling thread. */
void moe_range_node(uint64_t node, uint64_t original);
/* Modules have attached: tells them what is open in the calling thread. */
void moe_ranges_tell(void);
void moe_range_name(moe_raw_name_kind kind, uint32_t number, uint32_t domain, const char *narrow,
                    const wchar_t *wide);

#endif
