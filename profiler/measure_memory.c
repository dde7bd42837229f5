/* Bandwidth and latency of memory. */
#include "profiler/measure.h"

#include "profiler/cpu/threads.h"
#include "profiler/memory.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

#include <stdlib.h>
#include <string.h>

#define LINE 64u
/* Three times the largest cache leaves a third of what is read in it at most. */
#define TIMES_CACHE 3
#define LEAST_BUFFER (64u << 20)
/* A repetition reads (copies) one of so many windows after the other, so that there are many. */
#define WINDOWS 16
/* Loads of a chase that are timed at once. */
#define CHASED (1u << 17)

typedef struct room {
    uint64_t *words;
    size_t n_words; /* a power of two */
    moe_threads *threads;
    uint32_t n_threads;
    uint64_t sums[256 * 8]; /* one line each */
    size_t window;          /* which comes next */
    size_t line;            /* where the chase is */
} room;

/* ---- what there is ---- */

/* "32K", "260M" of /sys; 0 where there is none. */
static uint64_t
cache_size(uint32_t index)
{
    g_autofree char *path =
        g_strdup_printf("/sys/devices/system/cpu/cpu0/cache/index%u/size", index);
    g_autofree char *text = NULL;
    char *end = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    uint64_t size = g_ascii_strtoull(text, &end, 10);
    if (size > UINT64_MAX >> 30)
        return 0;
    return *end == 'K' ? size << 10 : *end == 'M' ? size << 20 : *end == 'G' ? size << 30 : size;
}

uint64_t
moe_measure_cache(void)
{
    uint64_t largest = 0;
    for (uint32_t index = 0; index < 8; index++)
        largest = MAX(largest, cache_size(index));
    return largest;
}

/* A power of two that leaves the caches, as far as it may. */
static uint64_t
buffer_size(const moe_measure *how, const moe_measured_memory *m)
{
    uint64_t wanted = MAX(m->cache * TIMES_CACHE, LEAST_BUFFER), size = LEAST_BUFFER;
    uint64_t most = MIN(how->memory, m->available / 2);
    while (size < wanted && size * 2 <= most)
        size *= 2;
    while (size > most && size > 1u << 20)
        size /= 2;
    return size;
}

/* ---- what is timed ---- */

static void
clear_part(void *context, uint32_t task, uint32_t thread)
{
    room *m = context;
    size_t part = m->n_words / m->n_threads;
    memset(m->words + task * part, 0, part * sizeof *m->words);
}

/* The words of a task: its part of the window at hand, in the first 1 / `share` of the buffer. */
static uint64_t *
part_of(const room *m, uint32_t task, size_t share, size_t *n)
{
    size_t window = m->n_words / share / WINDOWS;
    *n = window / m->n_threads / 8 * 8;
    return m->words + m->window * window + task * *n;
}

static void
sum_part(void *context, uint32_t task, uint32_t thread)
{
    room *m = context;
    size_t n;
    const uint64_t *words = part_of(m, task, 1, &n);
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    for (size_t j = 0; j < 8; j++)
        m->sums[task % 256 * 8 + j] += sums[j];
}

static void
copy_part(void *context, uint32_t task, uint32_t thread)
{
    room *m = context;
    size_t n;
    const uint64_t *words = part_of(m, task, 2, &n);
    memcpy(m->words + (words - m->words) + m->n_words / 2, words, n * sizeof *words);
}

/* Bytes per second, read and written ones. */
static double
run(room *m, moe_threads_task *task)
{
    size_t n;
    part_of(m, 0, 1, &n);
    double began = moe_measure_now();
    moe_threads_run(m->threads, task, m, m->n_threads);
    double seconds = moe_measure_now() - began;
    m->window = (m->window + 1) % WINDOWS;
    return (double)(n * m->n_threads * sizeof *m->words) / seconds;
}

static double
read_once(void *context)
{
    return run(context, sum_part);
}

static double
copy_once(void *context)
{
    return run(context, copy_part);
}

/* The words are zeros, which the compiler cannot know: a generator of full period over the lines
 * that waits for each of them. */
static double
chase_once(void *context)
{
    room *m = context;
    size_t mask = m->n_words * sizeof *m->words / LINE - 1, line = m->line;
    const volatile uint64_t *words = m->words;
    double began = moe_measure_now();
    for (uint32_t i = 0; i < CHASED; i++)
        line = (line * 0x5851F42D4C957F2Du + 0x14057B7EF767814Fu + words[line * (LINE / 8)]) & mask;
    m->line = line;
    return (moe_measure_now() - began) / CHASED;
}

static bool
measure_threads(const moe_measure *how, room *m, moe_measured_memory *out, GError **error)
{
    uint32_t points = 2 * out->n + 1;
    for (uint32_t i = 0; i < out->n; i++) {
        m->n_threads = out->threads[i];
        m->threads = moe_threads_new(m->n_threads, error);
        if (!m->threads)
            return false;
        moe_measure_say(how, "memory, reading", 2.0 * i / points);
        out->read[i] = moe_measure_repeat(read_once, m, moe_measure_time(how, points - 2 * i));
        moe_measure_say(how, "memory, copying", (2.0 * i + 1) / points);
        out->copy[i] = moe_measure_repeat(copy_once, m, moe_measure_time(how, points - 2 * i - 1));
        moe_threads_free(m->threads);
        m->threads = NULL;
    }
    moe_measure_say(how, "memory, latency", 2.0 * out->n / points);
    out->latency = moe_measure_repeat(chase_once, m, moe_measure_time(how, 1));
    return true;
}

bool
moe_measure_memory(const moe_measure *how, moe_measured_memory *out, GError **error)
{
    *out = (moe_measured_memory){.cache = moe_measure_cache(), .available = moe_memory_available()};
    out->capacity = moe_memory_total(&out->limited);
    out->buffer = buffer_size(how, out);
    out->n = moe_measure_steps(moe_measure_threads(how), out->threads);
    room m = {.n_words = out->buffer / sizeof *m.words, .n_threads = out->threads[out->n - 1]};
    m.words = aligned_alloc(4096, out->buffer);
    m.threads = m.words ? moe_threads_new(m.n_threads, error) : NULL;
    if (!m.words)
        g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY, "not enough memory: %llu bytes to read",
                    (unsigned long long)out->buffer);
    bool good = m.threads != NULL;
    if (good) {
        memset(m.words, 0, out->buffer); /* the remainders of parts, too */
        moe_threads_run(m.threads, clear_part, &m, m.n_threads);
        moe_threads_free(m.threads);
        good = measure_threads(how, &m, out, error);
    }
    free(m.words);
    return good;
}

uint32_t
moe_measured_memory_best(const moe_measured_memory *memory)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < memory->n; i++)
        if (memory->read[i].median > memory->read[best].median)
            best = i;
    return best;
}
