/* What this machine's memory and disk do: bench_machine FILE
 *
 * Prints "memory BYTES_PER_S", the rate of one thread that reads over as many bytes as FILE has,
 * again and again; then "read SIZE MEAN_NS MEDIAN_NS" for reads of FILE at random places, as
 * offloaded experts are read; "direct 0|1": whether they went past the page cache; last "handover
 * MEAN_NS": from a thread that signals to the one that waits for it. */
#include "profiler/offload_read.h"
#include "sim/base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { READS = 300, SIZES = 6, ROUNDS = 20, HANDOVERS = 2000 };

static uint64_t
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
memory(size_t n_bytes)
{
    size_t n = n_bytes / sizeof(uint64_t);
    uint64_t *words = g_new(uint64_t, n), sum[4] = {0}, best = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        words[i] = i;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now();
        for (size_t i = 0; i + 4 <= n; i += 4)
            for (size_t j = 0; j < 4; j++)
                sum[j] += words[i + j];
        best = MIN(best, now() - start);
    }
    printf("memory %.4g\n", (double)n_bytes * 1e9 / (double)best);
    if (sum[0] + sum[1] + sum[2] + sum[3] == 1) /* the sums are needed */
        printf("\n");
    g_free(words);
}

/* Two threads hand a turn to each other. */
typedef struct turns {
    GMutex lock;
    GCond cond[2];
    int turn, left;
} turns;

static void
take_turns(turns *t, int me)
{
    g_mutex_lock(&t->lock);
    while (t->left > 0) {
        while (t->turn != me && t->left > 0)
            g_cond_wait(&t->cond[me], &t->lock);
        t->turn = !me;
        t->left--;
        g_cond_signal(&t->cond[!me]);
    }
    g_mutex_unlock(&t->lock);
}

static gpointer
other_turns(gpointer t)
{
    take_turns(t, 1);
    return NULL;
}

static void
handover(void)
{
    turns t = {.left = HANDOVERS};
    g_mutex_init(&t.lock);
    g_cond_init(&t.cond[0]);
    g_cond_init(&t.cond[1]);
    uint64_t start = now();
    GThread *other = g_thread_new("other", other_turns, &t);
    take_turns(&t, 0);
    g_thread_join(other);
    printf("handover %.0f\n", (double)(now() - start) / HANDOVERS);
}

static int
ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
    g_autofree char *whole = NULL;
    gsize n_bytes = 0;
    if (argc != 2 || !g_file_get_contents(argv[1], &whole, &n_bytes, NULL) || n_bytes < 1 << 20) {
        fprintf(stderr, "usage: bench_machine FILE, of at least 1 MiB\n");
        return 2;
    }
    memory(n_bytes);
    moe_reader *reader = moe_reader_new();
    moe_stream stream = moe_stream_new(1, "bench.machine", 0);
    uint64_t took[SIZES][READS], sum[SIZES] = {0};
    for (int i = 0; i < READS; i++) /* sizes take turns: what disturbs, disturbs all */
        for (int s = 0; s < SIZES; s++) {
            uint64_t size = UINT64_C(16384) << s;
            moe_span span = {argv[1], moe_stream_below(&stream, n_bytes - size), size};
            g_autoptr(GError) error = NULL;
            uint64_t start = now();
            if (!moe_reader_read(reader, &span, 1, whole, &error)) {
                fprintf(stderr, "%s\n", error->message);
                return 3;
            }
            took[s][i] = now() - start;
            sum[s] += took[s][i];
        }
    for (int s = 0; s < SIZES; s++) {
        qsort(took[s], READS, sizeof took[s][0], ascending);
        printf("read %d %.0f %.0f\n", 16384 << s, (double)sum[s] / READS,
               (double)took[s][READS / 2]);
    }
    printf("direct %d\n", moe_reader_direct(reader));
    moe_reader_free(reader);
    handover();
    return 0;
}
