/* The NVTX part's inside: what its files share. */
#ifndef MOE_PROFILER_INJECT_NVTX_H
#define MOE_PROFILER_INJECT_NVTX_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/inject/ranges.h"

/* One payload of an extended event: nvtxPayloadData_t without its header. */
typedef struct moe_payload {
    uint64_t schema;
    uint64_t bytes; /* UINT64_MAX: unknown */
    const void *data;
} moe_payload;

/* Reads the payloads of an event: the first number becomes the range's payload, a text that is
 * marked as the message its text, and one whose schema is named moe.routing is routing. */
void moe_payload_read(uint32_t domain, const moe_payload *payloads, uint64_t n, moe_said *said);

#endif
