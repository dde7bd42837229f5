/* CRC-32 with zlib's polynomial: crc32(0, data) of zlib, without zlib. */
#ifndef MOE_PROFILER_INJECT_CRC32_H
#define MOE_PROFILER_INJECT_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Fills the tables; once, before the first sum. */
void moe_crc32_prepare(void);
/* The sum of what `crc` is the sum of, followed by data; 0 is the sum of nothing. */
uint32_t moe_crc32(uint32_t crc, const void *data, size_t bytes);

#endif
