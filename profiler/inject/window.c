#include "profiler/inject/window.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "profiler/inject/clock.h"
#include "profiler/inject/modules.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    moe_window_kind kind;
    uint32_t domain, text;
    uint64_t opens_ns, duration_ns, closes_ns; /* closes: 0 until it opened */
    uint32_t asked;                            /* ranges that are open, or 1: the profiler runs */
    bool over, opened, started;
    bool telling, told; /* modules: by one thread at a time, and what they know */
} window;
static atomic_bool is_open;

bool
moe_window_open(void)
{
    return atomic_load_explicit(&is_open, memory_order_acquire);
}

/* Modules are told without the lock, by whoever comes first, until they know the latest. */
static void
tell_modules(void)
{
    pthread_mutex_lock(&lock);
    while (!window.telling && window.told != atomic_load(&is_open)) {
        bool open = window.told = atomic_load(&is_open);
        window.telling = true;
        pthread_mutex_unlock(&lock);
        moe_modules_window(open);
        pthread_mutex_lock(&lock);
        window.telling = false;
    }
    pthread_mutex_unlock(&lock);
}

static void
update(uint64_t now_ns)
{
    pthread_mutex_lock(&lock);
    if (window.closes_ns != 0 && now_ns >= window.closes_ns)
        window.over = true;
    bool open = window.started && !window.over && now_ns >= window.opens_ns &&
                (window.kind == MOE_WINDOW_ALL || window.asked > 0);
    bool changed = open != atomic_load(&is_open);
    bool say = changed && (window.kind != MOE_WINDOW_ALL || window.opens_ns != 0 || window.over);
    if (open && !window.opened) {
        window.opened = true;
        window.closes_ns = window.duration_ns != 0 ? now_ns + window.duration_ns : 0;
    }
    atomic_store_explicit(&is_open, open, memory_order_release);
    pthread_mutex_unlock(&lock);
    if (say)
        moe_say(MOE_RAW_INFO, open ? "window_open" : "window_closed",
                open ? "recording begins" : "recording ends");
    if (changed)
        tell_modules();
}

void
moe_window_start(const moe_options *options, uint64_t now_ns)
{
    pthread_mutex_lock(&lock);
    window.kind = options->window;
    window.domain = moe_text_id(options->domain, strlen(options->domain));
    window.text = moe_text_id(options->range, strlen(options->range));
    window.opens_ns = options->delay_ns != 0 ? now_ns + options->delay_ns : 0;
    window.duration_ns = options->duration_ns;
    window.started = true;
    pthread_mutex_unlock(&lock);
    update(now_ns);
}

void
moe_window_tell(void)
{
    pthread_mutex_lock(&lock);
    window.told = false;
    pthread_mutex_unlock(&lock);
    tell_modules();
}

uint64_t
moe_window_tick(uint64_t now_ns)
{
    update(now_ns);
    pthread_mutex_lock(&lock);
    uint64_t next = window.closes_ns;
    if (window.over)
        next = 0;
    else if (now_ns < window.opens_ns)
        next = window.opens_ns;
    pthread_mutex_unlock(&lock);
    return next;
}

void
moe_window_profiler(bool start)
{
    pthread_mutex_lock(&lock);
    if (window.kind == MOE_WINDOW_PROFILER)
        window.asked = start;
    pthread_mutex_unlock(&lock);
    update(moe_clock_ns());
}

bool
moe_window_range(uint32_t domain, uint32_t text)
{
    if (window.kind != MOE_WINDOW_NVTX || text != window.text || domain != window.domain)
        return false; /* set once, before the first range */
    pthread_mutex_lock(&lock);
    window.asked++;
    pthread_mutex_unlock(&lock);
    update(moe_clock_ns());
    return true;
}

void
moe_window_range_ended(void)
{
    pthread_mutex_lock(&lock);
    window.asked -= window.asked > 0;
    pthread_mutex_unlock(&lock);
    update(moe_clock_ns());
}

void
moe_window_stop(void)
{
    pthread_mutex_lock(&lock);
    bool never = window.started && !window.opened;
    pthread_mutex_unlock(&lock);
    if (never)
        moe_say(MOE_RAW_WARN, "window_never", "nothing was recorded: %s",
                window.kind == MOE_WINDOW_PROFILER ? "the program never started the profiler"
                : window.kind == MOE_WINDOW_NVTX   ? "the range was never entered"
                                                   : "the program ended before the delay");
}

void
moe_window_forget(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    memset(&window, 0, sizeof window);
    atomic_store(&is_open, false);
}
