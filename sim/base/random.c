#include "sim/base/random.h"

/* FNV-1a, 64 bit (Fowler, Noll, Vo): purposes are a few letters, the mixer does the rest. */
static uint64_t
random_hash(const char *text)
{
    uint64_t hash = 0xCBF29CE484222325ull;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3ull;
    return hash;
}

moe_stream
moe_stream_new(uint64_t seed, const char *purpose, uint64_t entity)
{
    uint64_t key = moe_mix64(seed + 0x9E3779B97F4A7C15ull);
    key = moe_mix64(key ^ random_hash(purpose));
    key = moe_mix64(key + (entity + 1) * 0x9E3779B97F4A7C15ull);
    return (moe_stream){.key = key, .counter = 0};
}
