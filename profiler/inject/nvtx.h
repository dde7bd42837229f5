/* The NVTX part's inside: what its files share. */
#ifndef MOE_PROFILER_INJECT_NVTX_H
#define MOE_PROFILER_INJECT_NVTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler/inject/ranges.h"

/* One entry of a schema, as a program registered it. */
typedef struct moe_schema_entry {
    uint64_t flags, type; /* NVTX_PAYLOAD_ENTRY_… */
    uint64_t detail;      /* length of an array, or the entry that holds it */
    uint64_t offset;      /* 0: behind the one before */
    uint32_t role;        /* what it means in a schema of routing */
    uint32_t unused;
} moe_schema_entry;

typedef struct moe_schema {
    uint64_t id;
    uint32_t domain;
    bool routing; /* it is named moe.routing */
    size_t n;
    moe_schema_entry entries[];
} moe_schema;

/* NULL: unknown. Schemas stay. */
const moe_schema *moe_schema_find(uint32_t domain, uint64_t id);

/* A payload of an event: `bytes` SIZE_MAX: unknown. The first number becomes the range's payload, a
 * text that is marked as the message its text, and what has a schema named moe.routing is routing:
 * entries layer, step, token0 (or 0), k, ids [n, k] of any integer type, and weights [n, k] of
 * floats if there are any. */
void moe_payload_read(moe_said *said, uint64_t schema, size_t bytes, const void *data);

#endif
