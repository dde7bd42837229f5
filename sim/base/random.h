/* Counter-based random streams: a stream is a key, a draw is a pure function of (key, counter).
 *
 * Keys are made from the run's seed, a purpose and an entity ("arrival", request 7), never from a
 * swept policy key, so that all policies meet the same randomness. The mixer is splitmix64's
 * finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
#ifndef MOE_BASE_RANDOM_H
#define MOE_BASE_RANDOM_H

#include "sim/base/base.h"

static inline uint64_t
moe_mix64(uint64_t z)
{
    z ^= z >> 30;
    z *= 0xBF58476D1CE4E5B9ull;
    z ^= z >> 27;
    z *= 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

typedef struct moe_stream {
    uint64_t key;
    uint64_t counter;
} moe_stream;

/* The stream of `purpose` (a short constant text) and `entity` under `seed`. */
moe_stream moe_stream_new(uint64_t seed, const char *purpose, uint64_t entity);

/* The n-th draw of the stream's key, independent of its counter. */
static inline uint64_t
moe_stream_at(const moe_stream *stream, uint64_t n)
{
    return moe_mix64(moe_mix64(stream->key + (n + 1) * 0x9E3779B97F4A7C15ull) ^ stream->key);
}

static inline uint64_t
moe_stream_next(moe_stream *stream)
{
    return moe_stream_at(stream, stream->counter++);
}

/* Uniform in [0, 1). */
static inline double
moe_stream_unit(moe_stream *stream)
{
    return (double)(moe_stream_next(stream) >> 11) * 0x1.0p-53;
}

/* Uniform in 0..n-1 without bias worth measuring (128-bit multiply); n > 0. */
static inline uint64_t
moe_stream_below(moe_stream *stream, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)moe_stream_next(stream) * n) >> 64);
}

#endif
