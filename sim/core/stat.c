/* Up to a million samples are kept as they are and sorted when a percentile is asked for; beyond
 * that they are folded into a histogram with 128 buckets per power of two (relative width 2^-7,
 * exact below 256). */
#include "sim/core/stat.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>

#define STAT_EXACT 1000000
#define STAT_BITS 7
#define STAT_BUCKETS ((64 - STAT_BITS) << STAT_BITS)

struct moe_stat {
    int64_t *samples;    /* until folded */
    size_t n, capacity;  /* samples kept */
    uint64_t *histogram; /* after that */
    uint64_t count;
    double sum;
    int64_t min, max;
    bool sorted;
};

moe_stat *
moe_stat_new(void)
{
    return g_new0(moe_stat, 1);
}

void
moe_stat_free(moe_stat *stat)
{
    if (!stat)
        return;
    g_free(stat->samples);
    g_free(stat->histogram);
    g_free(stat);
}

static size_t
stat_bucket(int64_t value)
{
    uint64_t v = (uint64_t)value;
    if (v < (1u << STAT_BITS))
        return (size_t)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - STAT_BITS;
    return ((size_t)shift << STAT_BITS) + (size_t)(v >> shift);
}

/* The middle of a bucket; exact for buckets of width one. */
static int64_t
stat_value(size_t bucket)
{
    if (bucket < (2u << STAT_BITS))
        return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket >> STAT_BITS) - 1;
    uint64_t low = (uint64_t)(bucket - ((size_t)shift << STAT_BITS)) << shift;
    return (int64_t)(low + ((1ull << shift) - 1) / 2);
}

static void
stat_fold(moe_stat *stat)
{
    stat->histogram = g_new0(uint64_t, STAT_BUCKETS);
    for (size_t i = 0; i < stat->n; i++)
        stat->histogram[stat_bucket(stat->samples[i])]++;
    g_free(stat->samples);
    stat->samples = NULL;
    stat->n = stat->capacity = 0;
}

void
moe_stat_add(moe_stat *stat, int64_t value)
{
    moe_assert(value >= 0, "a sample of %lld", (long long)value);
    if (stat->count == 0 || value < stat->min)
        stat->min = value;
    if (stat->count == 0 || value > stat->max)
        stat->max = value;
    stat->count++;
    stat->sum += (double)value;
    if (!stat->histogram && stat->n == STAT_EXACT)
        stat_fold(stat);
    if (stat->histogram) {
        stat->histogram[stat_bucket(value)]++;
        return;
    }
    if (stat->n == stat->capacity) {
        stat->capacity = stat->capacity ? 2 * stat->capacity : 64;
        stat->samples = g_renew(int64_t, stat->samples, stat->capacity);
    }
    stat->samples[stat->n++] = value;
    stat->sorted = false;
}

uint64_t
moe_stat_count(const moe_stat *stat)
{
    return stat->count;
}

double
moe_stat_sum(const moe_stat *stat)
{
    return stat->sum;
}

double
moe_stat_mean(const moe_stat *stat)
{
    return stat->count ? stat->sum / (double)stat->count : 0;
}

int64_t
moe_stat_min(const moe_stat *stat)
{
    return stat->min;
}

int64_t
moe_stat_max(const moe_stat *stat)
{
    return stat->max;
}

static int
stat_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t
moe_stat_percentile(moe_stat *stat, double q)
{
    moe_assert(q > 0 && q <= 1, "quantile %g", q);
    if (stat->count == 0)
        return 0;
    /* The product may lie a rounding above an integer: 0.07 * 100. */
    double exact = q * (double)stat->count;
    uint64_t rank = (uint64_t)ceil(exact - exact * 0x1p-51);
    if (rank < 1)
        rank = 1;
    if (rank > stat->count)
        rank = stat->count;
    if (!stat->histogram) {
        if (!stat->sorted)
            qsort(stat->samples, stat->n, sizeof *stat->samples, stat_compare);
        stat->sorted = true;
        return stat->samples[rank - 1];
    }
    size_t bucket = 0;
    for (uint64_t seen = stat->histogram[0]; seen < rank; seen += stat->histogram[bucket])
        bucket++;
    int64_t value = stat_value(bucket);
    if (value < stat->min)
        return stat->min;
    return value > stat->max ? stat->max : value;
}

bool
moe_stat_exact(const moe_stat *stat)
{
    return !stat->histogram;
}
