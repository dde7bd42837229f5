#include "sim/core/time.h"

#define TIME_EXACT 0x1p53 /* integers below are doubles without loss */
#define TIME_NEAR 0x1p58  /* below, an estimate is some dozens off at most */

/* The exact ceiling for integral arguments: the estimate is some steps away at most, and products
 * in 128 bits say how many. */
static moe_time
time_of_integers(int64_t bytes, int64_t rate, double estimate)
{
    __int128 total = (__int128)bytes * 1000000000000;
    int64_t ps = (int64_t)estimate;
    while ((__int128)ps * rate < total)
        ps++;
    while (ps > 0 && (__int128)(ps - 1) * rate >= total)
        ps--;
    return ps;
}

moe_time
moe_time_of_bytes(double bytes, double bytes_per_s)
{
    moe_assert(bytes >= 0 && bytes_per_s > 0, "%g bytes at %g bytes/s", bytes, bytes_per_s);
    double ps = bytes * 1e12 / bytes_per_s;
    if (MOE_UNLIKELY(ps >= 0x1p63))
        return MOE_TIME_NEVER;
    int64_t whole = bytes < TIME_EXACT ? (int64_t)bytes : 0;
    if (bytes < TIME_EXACT && bytes_per_s < TIME_EXACT && ps < TIME_NEAR &&
        (double)whole == bytes && (double)(int64_t)bytes_per_s == bytes_per_s)
        return time_of_integers(whole, (int64_t)bytes_per_s, ps);
    return moe_time_ceil(ps - ps * 0x1p-51); /* an integer spoilt by rounding stays itself */
}
