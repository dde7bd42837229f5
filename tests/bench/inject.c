/* What a call into the injector costs the program, beside a bare reading of the clock:
 *
 *     bench_inject LIBRARY FOLDER [THREADS]
 *
 * The capture goes to FOLDER. Each row is the best of several rounds, nanoseconds a call; with
 * several threads, of each thread's calls while all of them call. */
#include "profiler/inject/moesim_route.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef MOE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

enum { CALLS = 20000, ROUNDS = 15, MOST_THREADS = 64 };

static __typeof__(&moesim_route) route;
static __typeof__(&moesim_range_push) range_push;
static __typeof__(&moesim_range_pop) range_pop;
static int32_t ids[4096];
static float weights[4096];
static volatile uint64_t sink;

static uint64_t
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
read_clock(int i)
{
    (void)i;
    sink = now();
}

static void
abi_range(int i)
{
    range_push(i & 31, "experts");
    range_pop();
}

static void
route_token(int i)
{
    route(i & 31, i, 0, 1, 8, ids, weights);
}

static void
route_batch(int i)
{
    route(i & 31, i, 0, 64, 8, ids, NULL);
}

static void
route_weighted(int i)
{
    route(i & 31, i, 0, 512, 8, ids, weights);
}

#ifdef MOE_NVTX
static nvtxDomainHandle_t domain;
static nvtxStringHandle_t text;

static void
nvtx_text(int i)
{
    (void)i;
    nvtxRangePushA("layer");
    nvtxRangePop();
}

static void
nvtx_event(int i)
{
    nvtxEventAttributes_t event = {.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64,
                                   .payload.ullValue = (uint64_t)i,
                                   .messageType = NVTX_MESSAGE_TYPE_REGISTERED,
                                   .message.registered = text};
    nvtxDomainRangePushEx(domain, &event);
    nvtxDomainRangePop(domain);
}
#endif

typedef struct bench_row {
    const char *what;
    void (*call)(int i);
    int calls;
} bench_row;

static const bench_row rows[] = {
    {"clock_gettime", read_clock, CALLS},
    {"moesim_range_push + pop", abi_range, CALLS},
#ifdef MOE_NVTX
    {"nvtxRangePushA + Pop", nvtx_text, CALLS},
    {"nvtxDomainRangePushEx + Pop, registered text, payload", nvtx_event, CALLS},
#endif
    {"moesim_route, 1 token, top 8, weights", route_token, CALLS},
    {"moesim_route, 64 tokens, top 8", route_batch, CALLS / 10},
    {"moesim_route, 512 tokens, top 8, weights", route_weighted, CALLS / 100},
};

static pthread_barrier_t barrier;

static void *
work(void *data)
{
    const bench_row *row = data;
    double *best = malloc(sizeof *best);
    *best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        uint64_t start = now();
        for (int i = 0; i < row->calls; i++)
            row->call(i);
        double ns = (double)(now() - start) / row->calls;
        if (ns < *best)
            *best = ns;
        nanosleep(&(struct timespec){0, 20000000}, NULL); /* the writer keeps up, as in life */
    }
    return best;
}

static double
measure(const bench_row *row, int n)
{
    pthread_t threads[MOST_THREADS];
    bench_row copy = *row;
    double sum = 0;
    pthread_barrier_init(&barrier, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, work, &copy);
    for (int i = 0; i < n; i++) {
        void *best;
        pthread_join(threads[i], &best);
        sum += *(double *)best;
        free(best);
    }
    pthread_barrier_destroy(&barrier);
    return sum / n;
}

static void *
find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s: %s\n", name, dlerror());
        exit(1);
    }
    return found;
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_inject LIBRARY FOLDER [THREADS]\n");
        return 2;
    }
    setenv("NVTX_INJECTION64_PATH", argv[1], 1);
    setenv("MOESIM_CAPTURE", argv[2], 1);
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void *found[] = {find(library, "moesim_route"), find(library, "moesim_range_push"),
                     find(library, "moesim_range_pop")};
    memcpy(&route, &found[0], sizeof found[0]);
    memcpy(&range_push, &found[1], sizeof found[1]);
    memcpy(&range_pop, &found[2], sizeof found[2]);
#ifdef MOE_NVTX
    domain = nvtxDomainCreateA("bench");
    text = nvtxDomainRegisterStringA(domain, "registered");
#endif
    int threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1;
    if (threads < 1 || threads > MOST_THREADS)
        threads = 1;
    printf("%-56s %10s\n", "call", "ns");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-56s %10.1f\n", rows[i].what, measure(&rows[i], threads));
    return 0;
}
