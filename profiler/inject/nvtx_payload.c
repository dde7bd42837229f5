#include "profiler/inject/nvtx.h"

void
moe_payload_read(uint32_t domain, const moe_payload *payloads, uint64_t n, moe_said *said)
{
}
