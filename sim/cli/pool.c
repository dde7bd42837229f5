#include "sim/cli/pool.h"

#define TICK_US 200000
#define WAITING_PER_THREAD 4 /* finished results held before workers wait for the store */

typedef struct finished {
    size_t job;
    moe_result *result; /* NULL: diag says why */
    moe_diag *diag;
    double wall_s;
} finished;

typedef struct pool {
    const moe_job *jobs;
    size_t n;
    unsigned n_threads;
    atomic_size_t next;
    atomic_bool stop;
    GMutex mutex;
    GCond arrived, taken;
    GQueue waiting; /* finished, under the mutex */
    unsigned n_waiting_max, n_alive;
} pool;

typedef struct worker {
    pool *pool;
    atomic_uint permille; /* of the run at hand */
    GThread *thread;
} worker;

static void
note_progress(void *context, double share)
{
    atomic_store_explicit(&((worker *)context)->permille, (unsigned)(share * 1000),
                          memory_order_relaxed);
}

static void
hand_over(pool *p, worker *w, finished item)
{
    g_mutex_lock(&p->mutex);
    while (p->waiting.length >= p->n_waiting_max && !atomic_load(&p->stop))
        g_cond_wait(&p->taken, &p->mutex);
    g_queue_push_tail(&p->waiting, g_memdup2(&item, sizeof item));
    atomic_store_explicit(&w->permille, 0, memory_order_relaxed);
    g_cond_signal(&p->arrived);
    g_mutex_unlock(&p->mutex);
}

static gpointer
work(gpointer data)
{
    worker *w = data;
    pool *p = w->pool;
    size_t at;
    while (!atomic_load(&p->stop) && (at = atomic_fetch_add(&p->next, 1)) < p->n) {
        gint64 start = g_get_monotonic_time();
        finished item = {.job = at, .diag = moe_diag_new()};
        item.result = moe_scenario_simulate(p->jobs[at].scenario, p->jobs[at].run, note_progress, w,
                                            item.diag);
        item.wall_s = (double)(g_get_monotonic_time() - start) / 1e6;
        hand_over(p, w, item);
    }
    g_mutex_lock(&p->mutex);
    p->n_alive--;
    g_cond_signal(&p->arrived);
    g_mutex_unlock(&p->mutex);
    return NULL;
}

/* The next finished job; NULL at a tick and at the end. */
static finished *
take(pool *p, bool *ended)
{
    gint64 until = g_get_monotonic_time() + TICK_US;
    g_mutex_lock(&p->mutex);
    while (!p->waiting.length && p->n_alive && g_cond_wait_until(&p->arrived, &p->mutex, until))
        ;
    finished *item = g_queue_pop_head(&p->waiting);
    *ended = !item && !p->n_alive;
    g_cond_signal(&p->taken);
    g_mutex_unlock(&p->mutex);
    return item;
}

static double
share_done(const pool *p, const worker *workers, size_t n_done)
{
    double done = (double)n_done;
    for (unsigned i = 0; i < p->n_threads; i++)
        done += atomic_load_explicit(&workers[i].permille, memory_order_relaxed) / 1000.0;
    return MIN(done / (double)p->n, 1);
}

static moe_pool_end
serve(pool *p, const worker *workers, const moe_pool_calls *calls, atomic_int *interrupted)
{
    size_t n_done = 0;
    bool ended = false;
    while (!ended) {
        finished *item = take(p, &ended);
        if (atomic_load(interrupted)) {
            atomic_store(&p->stop, true);
            return MOE_POOL_INTERRUPTED;
        }
        if (item) {
            const moe_job *job = &p->jobs[item->job];
            bool go_on = calls->done(calls->context, job, item->result, item->diag, item->wall_s);
            g_free(item);
            n_done++;
            if (!go_on)
                return MOE_POOL_STOPPED;
        }
        calls->tick(calls->context, share_done(p, workers, n_done), n_done);
    }
    return MOE_POOL_DONE;
}

/* Lets the workers finish what they have begun. */
static void
finish(pool *p, worker *workers)
{
    g_mutex_lock(&p->mutex);
    atomic_store(&p->stop, true);
    g_cond_broadcast(&p->taken);
    g_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->n_threads; i++)
        g_thread_join(workers[i].thread);
    finished *item;
    while ((item = g_queue_pop_head(&p->waiting))) {
        moe_result_free(item->result);
        moe_diag_free(item->diag);
        g_free(item);
    }
}

moe_pool_end
moe_pool_run(const moe_job *jobs, size_t n, unsigned n_threads, const moe_pool_calls *calls,
             atomic_int *interrupted)
{
    if (n == 0)
        return MOE_POOL_DONE;
    pool *p = g_new0(pool, 1);
    p->jobs = jobs;
    p->n = n;
    p->n_threads = p->n_alive = (unsigned)MIN(n, n_threads);
    p->n_waiting_max = WAITING_PER_THREAD * p->n_threads;
    g_mutex_init(&p->mutex);
    g_cond_init(&p->arrived);
    g_cond_init(&p->taken);
    g_queue_init(&p->waiting);
    worker *workers = g_new0(worker, p->n_threads);
    for (unsigned i = 0; i < p->n_threads; i++) {
        workers[i].pool = p;
        workers[i].thread = g_thread_new("moesim-run", work, &workers[i]);
    }
    moe_pool_end end = serve(p, workers, calls, interrupted);
    if (end == MOE_POOL_INTERRUPTED) /* workers still use all of this */
        return end;
    finish(p, workers);
    g_mutex_clear(&p->mutex);
    g_cond_clear(&p->arrived);
    g_cond_clear(&p->taken);
    g_free(workers);
    g_free(p);
    return end;
}
