#include "profiler/inject/life.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "profiler/inject/chunk.h"
#include "profiler/inject/clock.h"
#include "profiler/inject/hello.h"
#include "profiler/inject/lane.h"
#include "profiler/inject/log.h"
#include "profiler/inject/modules.h"
#include "profiler/inject/ranges.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"
#include "profiler/inject/thread.h"
#include "profiler/inject/window.h"

enum { LIFE_FRESH, LIFE_ON, LIFE_ENDING, LIFE_OFF, LIFE_FORKED };
enum { EXIT_PATIENCE_MS = 5000, SIGNAL_PATIENCE_MS = 3000 };
static const uint64_t tick_ns = 500000000;
enum { N_SIGNALS = 2 };
static const int signals[N_SIGNALS] = {SIGTERM, SIGINT};
static struct sigaction theirs[N_SIGNALS]; /* handlers of the program's own */

static atomic_int state = LIFE_FRESH;
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static moe_options options;
static bool registered;    /* handlers that a fork inherits */
static bool driver_called; /* under `starting` */
static int forked_from;
static atomic_int wake_fd = -1, done_fd = -1;
static pthread_mutex_t ticking = PTHREAD_MUTEX_INITIALIZER; /* while the ticker flushes */
static atomic_int asked_signal, deferred_signal;

const moe_options *
moe_life_options(void)
{
    return &options;
}

/* What the ticker has in its hands just now would come too late for a log that is closed. True: it
 * has nothing, and gets nothing before `ticking` is unlocked. */
static bool
wait_for_tick(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += EXIT_PATIENCE_MS / 1000;
    return pthread_mutex_timedlock(&ticking, &until) == 0;
}

static void
tick(void)
{
    pthread_mutex_lock(&ticking);
    moe_modules_tick();
    pthread_mutex_unlock(&ticking);
}

static void
end(uint32_t reason, uint32_t signal)
{
    int on = LIFE_ON;
    if (!atomic_compare_exchange_strong(&state, &on, LIFE_ENDING)) {
        for (int i = 0; i < EXIT_PATIENCE_MS && atomic_load(&state) == LIFE_ENDING; i++)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        return;
    }
    bool calm = wait_for_tick();
    moe_modules_stop();
    moe_window_stop();
    if (!moe_log_close(reason, signal, EXIT_PATIENCE_MS))
        moe_note("the log was not closed in time");
    if (calm)
        pthread_mutex_unlock(&ticking);
    atomic_store(&state, LIFE_OFF);
    moe_life_deferred();
}

static void
on_exit_of_process(void)
{
    end(0, 0);
}

static void
die_of(int signal)
{
    struct sigaction otherwise = {.sa_handler = SIG_DFL};
    sigaction(signal, &otherwise, NULL);
    raise(signal);
}

/* The descriptor, while it still is an event: a program that closes all there are gets the number
 * for a file of its own, which is left alone. -1: it is none. */
static int
event(atomic_int *descriptor)
{
    struct stat now;
    int fd = atomic_load(descriptor);
    bool ours = fd >= 0 && fstat(fd, &now) == 0 && (now.st_mode & S_IFMT) == 0;
    return ours ? fd : -1;
}

static bool
wake_ticker(void)
{
    uint64_t one = 1;
    int fd = event(&wake_fd);
    return fd >= 0 && write(fd, &one, sizeof one) == sizeof one;
}

/* The signal would end the process. The injector's own thread writes what there is; here, where
 * next to nothing is allowed, we wait for it. */
static void
end_by(int signal)
{
    atomic_store(&asked_signal, signal);
    struct pollfd done = {.fd = event(&done_fd), .events = POLLIN};
    if (wake_ticker())
        while (poll(&done, 1, SIGNAL_PATIENCE_MS) < 0 && errno == EINTR)
            continue;
    die_of(signal);
}

static void
on_signal(int signal)
{
    int before = errno, now = atomic_load(&state);
    if (now == LIFE_ENDING || (now == LIFE_ON && moe_lane_interrupted()))
        atomic_store(&deferred_signal, signal);
    else if (now == LIFE_ON)
        end_by(signal);
    else
        die_of(signal);
    errno = before;
}

void
moe_life_deferred(void)
{
    if (atomic_load_explicit(&deferred_signal, memory_order_relaxed) == 0)
        return;
    int signal = atomic_exchange(&deferred_signal, 0);
    if (signal != 0 && atomic_load(&state) == LIFE_ON)
        end_by(signal);
    else if (signal != 0)
        die_of(signal);
}

/* A handler of the program's own decides what happens; before it runs, the ticker is asked to write
 * what there is, for it may be the end. */
static void
on_chained(int signal, siginfo_t *info, void *context)
{
    int before = errno;
    if (atomic_load(&state) == LIFE_ON)
        wake_ticker();
    errno = before;
    for (size_t i = 0; i < N_SIGNALS; i++) {
        if (signals[i] != signal)
            continue;
        if (theirs[i].sa_flags & SA_SIGINFO)
            theirs[i].sa_sigaction(signal, info, context);
        else
            theirs[i].sa_handler(signal);
    }
}

static void
catch_signal(int signal, struct sigaction *found)
{
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&ours.sa_mask);
    if (sigaction(signal, NULL, found) != 0)
        return;
    bool plain = !(found->sa_flags & SA_SIGINFO);
    if (plain && found->sa_handler == SIG_DFL) {
        sigaction(signal, &ours, NULL);
    } else if (!(plain && (found->sa_handler == SIG_IGN || found->sa_handler == on_signal)) &&
               !(found->sa_flags & (int)SA_RESETHAND)) {
        ours = *found;
        ours.sa_flags |= SA_SIGINFO;
        ours.sa_sigaction = on_chained;
        sigaction(signal, &ours, NULL);
    }
}

static void
catch_signals(void)
{
    for (size_t i = 0; i < N_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) == 0 &&
            !((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_chained))
            catch_signal(signals[i], &theirs[i]);
    }
}

static int
poll_timeout(uint64_t now, uint64_t next_tick)
{
    uint64_t next = moe_window_tick(now);
    if (next == 0 || next > next_tick)
        next = next_tick;
    return next <= now ? 0 : (int)((next - now + 999999) / 1000000);
}

/* The injector's clock, and the hand that acts when a signal came. */
static void *
ticker(void *unused)
{
    (void)unused;
    uint64_t next_tick = moe_clock_ns() + tick_ns;
    for (;;) {
        struct pollfd wake = {.fd = event(&wake_fd), .events = POLLIN};
        uint64_t now = moe_clock_ns();
        if (now >= next_tick) {
            tick();
            next_tick = now + tick_ns;
        }
        uint64_t one;
        if (poll(&wake, 1, poll_timeout(now, next_tick)) <= 0 || event(&wake_fd) < 0 ||
            read(wake.fd, &one, sizeof one) != sizeof one)
            continue;
        if (atomic_load(&asked_signal) == 0) {
            tick();
            moe_log_wake();
            continue;
        }
        end(1, (uint32_t)atomic_load(&asked_signal));
        one = 1;
        ssize_t written = write(event(&done_fd), &one, sizeof one);
        (void)written;
        return NULL;
    }
}

/* No thread is at starting the capture while another forks: the child would wait for it forever. */
static void
before_fork(void)
{
    pthread_mutex_lock(&starting);
    moe_text_hold();
}

static void
after_fork(void)
{
    moe_text_release(false);
    pthread_mutex_unlock(&starting);
}

static void
after_fork_in_child(void)
{
    moe_text_release(true);
    starting = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    ticking = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    int before = atomic_load(&state);
    if (before != LIFE_ON && before != LIFE_ENDING)
        return;
    bool attached = moe_modules_attached();
    close(atomic_exchange(&wake_fd, -1));
    close(atomic_exchange(&done_fd, -1));
    atomic_store(&deferred_signal, 0);
    moe_log_forget();
    moe_lanes_forget();
    moe_say_forget();
    moe_window_forget();
    forked_from = (int)getppid();
    driver_called = false;
    atomic_store(&state, attached ? LIFE_FORKED : LIFE_FRESH);
}

static bool
start_threads(void)
{
    atomic_store(&wake_fd, moe_chunk_move_up(eventfd(0, EFD_CLOEXEC)));
    atomic_store(&done_fd, moe_chunk_move_up(eventfd(0, EFD_CLOEXEC)));
    return moe_thread_start(ticker, "moesim-ticker") == 0;
}

static void
watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void
register_handlers(void)
{
    if (!registered) {
        atexit(on_exit_of_process);
        at_quick_exit(on_exit_of_process);
    }
    registered = true;
    catch_signals();
}

static int
start(const char *who)
{
    if (!moe_options_read(&options))
        return LIFE_OFF;
    moe_say_open(options.log_path);
    char *hello = moe_hello(who, &options, forked_from);
    const char *failed = hello != NULL ? moe_log_open(options.folder, hello) : "no memory";
    free(hello);
    if (failed != NULL) {
        moe_note("%s: %s; nothing is recorded", options.folder, failed);
        return LIFE_OFF;
    }
    moe_window_start(&options, moe_clock_ns());
    if (!start_threads())
        moe_say(MOE_RAW_WARN, "inject_failed",
                "no thread for flushing: a killed process loses more");
    if (options.complaint[0] != '\0')
        moe_say(MOE_RAW_WARN, "option_ignored", "%s", options.complaint);
    register_handlers();
    moe_note("capture of %s begins, called by %s", options.folder, who);
    return LIFE_ON;
}

/* A forked child of a process whose CUDA was traced: says once that it records nothing. */
static void
leave_note(void)
{
    int forked = LIFE_FORKED;
    if (!atomic_compare_exchange_strong(&state, &forked, LIFE_OFF))
        return;
    char *hello = moe_hello("fork", &options, forked_from);
    if (hello != NULL)
        moe_log_leave_note(options.folder, hello, "forked",
                           "forked off a process whose CUDA is traced: nothing is recorded");
    free(hello);
    moe_note("forked off %d, records nothing", forked_from);
}

bool
moe_life_on(const char *who)
{
    int now = atomic_load_explicit(&state, memory_order_acquire);
    if (now == LIFE_ON)
        return true;
    if (now == LIFE_FORKED)
        leave_note();
    if (now != LIFE_FRESH)
        return false;
    static pthread_once_t forks = PTHREAD_ONCE_INIT;
    pthread_once(&forks, watch_forks);
    pthread_mutex_lock(&starting);
    if (atomic_load(&state) == LIFE_FRESH)
        atomic_store(&state, start(who));
    pthread_mutex_unlock(&starting);
    return atomic_load(&state) == LIFE_ON;
}

void
moe_life_driver(void)
{
    pthread_mutex_lock(&starting);
    bool first = !driver_called;
    driver_called = true;
    pthread_mutex_unlock(&starting);
    if (!first)
        return;
    if (!moe_modules_start(&options))
        return;
    /* Once more: what is registered later runs sooner, and what CUPTI has must be fetched before
     * the libraries of CUDA, which came after the first time, end themselves. */
    atexit(on_exit_of_process);
    moe_window_tell();
    moe_ranges_tell();
}
