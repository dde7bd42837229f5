#include "profiler/inject/say.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/inject/clock.h"
#include "profiler/inject/log.h"
#include "profiler/inject/text.h"

static const struct {
    const char *source, *what;
} losses[MOE_N_LOSSES] = {
    [MOE_LOSS_CUPTI_DROPPED] = {"cupti", "dropped"},
    [MOE_LOSS_BUFFER_DENIED] = {"cupti", "buffer_denied"},
    [MOE_LOSS_ROUTE] = {"route", "lost"},
    [MOE_LOSS_RANGE] = {"range", "lost"},
    [MOE_LOSS_NODE] = {"node", "lost"},
    [MOE_LOSS_COUNTER] = {"counter", "lost"},
    [MOE_LOSS_TEXT] = {"text", "lost"},
    [MOE_LOSS_LOG_FULL] = {"log", "full"},
};

enum { MOST_PENDING = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static moe_raw_diagnostic pending[MOST_PENDING];
static uint32_t n_pending;
static atomic_uint_fast64_t lost[MOE_N_LOSSES];
static uint64_t told[MOE_N_LOSSES], telling[MOE_N_LOSSES]; /* the writer's */
static uint32_t n_telling;
static atomic_int log_fd = -1;

void
moe_lose(moe_loss loss, uint64_t n)
{
    atomic_fetch_add_explicit(&lost[loss], n, memory_order_relaxed);
}

uint64_t
moe_lost(moe_loss loss)
{
    return atomic_load_explicit(&lost[loss], memory_order_relaxed);
}

void
moe_note(const char *format, ...)
{
    int fd = atomic_load(&log_fd);
    if (fd < 0)
        return;
    char line[1024];
    int head = snprintf(line, sizeof line, "%d: ", (int)getpid());
    va_list words;
    va_start(words, format);
    int n = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, words);
    va_end(words);
    if (n < 0)
        return;
    size_t bytes = strlen(line);
    line[bytes++] = '\n';
    ssize_t done = write(fd, line, bytes);
    (void)done; /* nobody to tell */
}

static void
keep(const moe_raw_diagnostic *said)
{
    pthread_mutex_lock(&lock);
    uint32_t i = 0;
    while (i < n_pending && (pending[i].code != said->code || pending[i].text != said->text))
        i++;
    if (i < n_pending)
        pending[i].n++;
    else if (i < MOST_PENDING)
        pending[n_pending++] = *said;
    pthread_mutex_unlock(&lock);
}

void
moe_say(moe_raw_severity severity, const char *code, const char *format, ...)
{
    char text[768];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    static const char *const names[] = {"info", "warn", "error"};
    moe_note("%s: %s: %s", names[severity], code, text);
    moe_raw_diagnostic said = {.time_ns = moe_clock_ns(),
                               .severity = severity,
                               .n = 1,
                               .code = moe_text_id(code, strlen(code)),
                               .text = moe_text_id(text, strlen(text))};
    keep(&said);
}

void
moe_say_open(const char *log_path)
{
    if (log_path == NULL || *log_path == '\0' || atomic_load(&log_fd) >= 0)
        return;
    atomic_store(&log_fd, open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
}

void
moe_say_prepare(void)
{
    for (int i = 0; i < MOE_N_LOSSES; i++) {
        moe_text_id(losses[i].source, strlen(losses[i].source));
        moe_text_id(losses[i].what, strlen(losses[i].what));
    }
}

static moe_batch *
take_losses(void)
{
    moe_raw_loss rows[MOE_N_LOSSES];
    size_t n = 0;
    for (int i = 0; i < MOE_N_LOSSES; i++) {
        uint64_t all = telling[i] = moe_lost((moe_loss)i);
        if (all == told[i])
            continue;
        rows[n++] = (moe_raw_loss){
            .source = moe_text_id(losses[i].source, strlen(losses[i].source)),
            .what = moe_text_id(losses[i].what, strlen(losses[i].what)),
            .n = all - told[i],
        };
    }
    moe_batch *batch = n > 0 ? moe_batch_new(MOE_RAW_LOSS, n * sizeof *rows) : NULL;
    if (batch != NULL)
        moe_batch_add(batch, rows, n * sizeof *rows);
    return batch;
}

moe_batch *
moe_say_take(void)
{
    moe_batch *batch = take_losses();
    n_telling = 0;
    pthread_mutex_lock(&lock);
    if (n_pending > 0) {
        size_t bytes = n_pending * sizeof *pending;
        moe_batch *said = moe_batch_new(MOE_RAW_DIAGNOSTIC, bytes);
        if (said != NULL) {
            moe_batch_add(said, pending, bytes);
            n_telling = n_pending;
            said->next = batch;
            batch = said;
        }
    }
    pthread_mutex_unlock(&lock);
    return batch;
}

void
moe_say_written(void)
{
    memcpy(told, telling, sizeof told);
    pthread_mutex_lock(&lock);
    n_pending -= n_telling;
    memmove(pending, pending + n_telling, n_pending * sizeof *pending);
    n_telling = 0;
    pthread_mutex_unlock(&lock);
}

void
moe_say_forget(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    n_pending = n_telling = 0;
    for (int i = 0; i < MOE_N_LOSSES; i++) {
        atomic_store(&lost[i], 0);
        told[i] = telling[i] = 0;
    }
}
