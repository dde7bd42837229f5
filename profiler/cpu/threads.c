#include "profiler/cpu/threads.h"

#include <pthread.h>
#include <stdatomic.h>

/* How often a thread looks for work, or for the others' end, before it sleeps: decoding has a
 * region of some microseconds after the other. */
#define SPINS 4000

struct worker {
    moe_threads *threads;
    uint32_t number;
    pthread_t thread;
};

/* The tasks of a round, and which comes next, in one number: who draws a task knows that it is one
 * of this round, which does not end before the task does. A thread that comes late draws a number
 * that is no task, and nobody waits for it. */
#define TICKET_BITS 32

struct moe_threads {
    uint32_t started;
    struct worker *workers;
    moe_threads_task *task;
    void *context;
    _Atomic uint64_t ticket; /* tasks << TICKET_BITS | next */
    atomic_uint finished;    /* tasks */
    atomic_uint round;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
};

static inline void
relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void
work(moe_threads *threads, uint32_t thread)
{
    for (;;) {
        uint64_t ticket = atomic_fetch_add(&threads->ticket, 1);
        uint32_t n = (uint32_t)(ticket >> TICKET_BITS), i = (uint32_t)ticket;
        if (i >= n)
            return;
        threads->task(threads->context, i, thread);
        if (atomic_fetch_add(&threads->finished, 1) + 1 == n) {
            pthread_mutex_lock(&threads->lock);
            pthread_cond_signal(&threads->done);
            pthread_mutex_unlock(&threads->lock);
        }
    }
}

/* Waits for a round after `seen`. */
static unsigned
wait_round(moe_threads *threads, unsigned seen)
{
    unsigned round;
    for (int i = 0; i < SPINS; i++) {
        if ((round = atomic_load(&threads->round)) != seen)
            return round;
        relax();
    }
    pthread_mutex_lock(&threads->lock);
    while ((round = atomic_load(&threads->round)) == seen)
        pthread_cond_wait(&threads->wake, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
    return round;
}

static void *
worker_main(void *context)
{
    struct worker *worker = context;
    moe_threads *threads = worker->threads;
    for (unsigned round = 0;;) {
        round = wait_round(threads, round);
        if (atomic_load(&threads->stop))
            return NULL;
        work(threads, worker->number);
    }
}

static void
begin_round(moe_threads *threads, uint32_t n)
{
    atomic_store(&threads->finished, 0);
    atomic_store(&threads->ticket, (uint64_t)n << TICKET_BITS);
    pthread_mutex_lock(&threads->lock);
    atomic_fetch_add(&threads->round, 1);
    pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->lock);
}

void
moe_threads_run(moe_threads *threads, moe_threads_task *task, void *context, uint32_t n)
{
    if (n < 2 || !threads->started) {
        for (uint32_t i = 0; i < n; i++)
            task(context, i, 0);
        return;
    }
    moe_assert(n < UINT32_MAX - threads->started, "%u tasks", n);
    threads->task = task;
    threads->context = context;
    begin_round(threads, n);
    work(threads, 0);
    for (int i = 0; i < SPINS && atomic_load(&threads->finished) < n; i++)
        relax();
    pthread_mutex_lock(&threads->lock);
    while (atomic_load(&threads->finished) < n)
        pthread_cond_wait(&threads->done, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
}

moe_threads *
moe_threads_new(uint32_t n, GError **error)
{
    moe_threads *threads = g_new0(moe_threads, 1);
    threads->workers = g_new0(struct worker, n);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->wake, NULL);
    pthread_cond_init(&threads->done, NULL);
    for (uint32_t i = 0; i + 1 < n; i++) {
        struct worker *worker = &threads->workers[i];
        *worker = (struct worker){.threads = threads, .number = i + 1};
        int failed = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (failed) {
            g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY, "cannot start %u threads: %s", n,
                        g_strerror(failed));
            moe_threads_free(threads);
            return NULL;
        }
        threads->started++;
    }
    return threads;
}

void
moe_threads_free(moe_threads *threads)
{
    if (!threads)
        return;
    atomic_store(&threads->stop, true);
    begin_round(threads, 0);
    for (uint32_t i = 0; i < threads->started; i++)
        pthread_join(threads->workers[i].thread, NULL);
    pthread_cond_destroy(&threads->done);
    pthread_cond_destroy(&threads->wake);
    pthread_mutex_destroy(&threads->lock);
    g_free(threads->workers);
    g_free(threads);
}
