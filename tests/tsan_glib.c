/* Linked in ThreadSanitizer builds only: GLib's mutexes and conditions are made of futexes
 * inside a library that is not instrumented, so that the sanitizer sees no order where there is
 * one. These definitions take their place for the program's own calls, made of pthread calls that
 * it does see. */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A GMutex or GCond is one pointer's worth of zeroed memory until first used. */
static void *
made(gpointer *slot, size_t size, void (*start)(void *), void (*stop)(void *))
{
    void *object = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (object)
        return object;
    void *fresh = malloc(size);
    if (!fresh)
        abort();
    start(fresh);
    if (__atomic_compare_exchange_n(slot, &object, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    stop(fresh);
    free(fresh);
    return object;
}

static void
mutex_start(void *mutex)
{
    pthread_mutex_init(mutex, NULL);
}

static void
mutex_stop(void *mutex)
{
    pthread_mutex_destroy(mutex);
}

static void
cond_start(void *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the clock of g_get_monotonic_time */
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

static void
cond_stop(void *cond)
{
    pthread_cond_destroy(cond);
}

static pthread_mutex_t *
mutex_of(GMutex *mutex)
{
    return made(&mutex->p, sizeof(pthread_mutex_t), mutex_start, mutex_stop);
}

static pthread_cond_t *
cond_of(GCond *cond)
{
    return made(&cond->p, sizeof(pthread_cond_t), cond_start, cond_stop);
}

void
g_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void
g_mutex_clear(GMutex *mutex)
{
    if (mutex->p) {
        mutex_stop(mutex->p);
        free(mutex->p);
        mutex->p = NULL;
    }
}

void
g_mutex_lock(GMutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

gboolean
g_mutex_trylock(GMutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void
g_mutex_unlock(GMutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

void
g_cond_init(GCond *cond)
{
    cond->p = NULL;
}

void
g_cond_clear(GCond *cond)
{
    if (cond->p) {
        cond_stop(cond->p);
        free(cond->p);
        cond->p = NULL;
    }
}

void
g_cond_wait(GCond *cond, GMutex *mutex)
{
    pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean
g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us)
{
    struct timespec end = {(time_t)(end_us / 1000000), (long)(end_us % 1000000) * 1000};
    return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &end) != ETIMEDOUT;
}

void
g_cond_signal(GCond *cond)
{
    pthread_cond_signal(cond_of(cond));
}

void
g_cond_broadcast(GCond *cond)
{
    pthread_cond_broadcast(cond_of(cond));
}
