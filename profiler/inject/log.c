#include "profiler/inject/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "profiler/inject/chunk.h"
#include "profiler/inject/clock.h"
#include "profiler/inject/crc32.h"
#include "profiler/inject/lane.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"
#include "profiler/inject/thread.h"

static const size_t most_waiting = (size_t)64 << 20; /* bytes of batches, activity apart */
static const size_t much_waiting = (size_t)256 << 10;
static const uint64_t idle_ns = 200000000; /* what a killed process may lose */
static const uint64_t clock_every_ns = UINT64_C(2000000000);

enum { CLOSE_ASKED = 1, CLOSE_DONE = 2, LITTLE = 8192 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, closed;
    moe_batch *first, **last; /* the queue */
    size_t queued;
    bool woken;
    int close; /* CLOSE_ASKED … */
    uint32_t reason, signal;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_size_t outstanding;
static moe_chunk_file file = {.fd = -1, .reserve = -1}; /* the writer's */
static char *first_hello;

/* What tells of the rest is never refused, and its loss is none. */
static bool
is_account(moe_raw_type type)
{
    return type == MOE_RAW_STRINGS || type == MOE_RAW_DIAGNOSTIC || type == MOE_RAW_LOSS;
}

moe_batch *
moe_batch_new(moe_raw_type type, size_t capacity)
{
    capacity = (capacity + 7) & ~(size_t)7;
    if (!is_account(type) &&
        atomic_load_explicit(&outstanding, memory_order_relaxed) > most_waiting)
        return NULL;
    moe_batch *batch = malloc(sizeof *batch + capacity);
    if (batch == NULL)
        return NULL;
    *batch = (moe_batch){.type = type, .capacity = capacity};
    atomic_fetch_add_explicit(&outstanding, capacity, memory_order_relaxed);
    return batch;
}

void
moe_batch_free(moe_batch *batch)
{
    if (batch->body != NULL)
        batch->body_done(batch->body, batch->body_bytes);
    atomic_fetch_sub_explicit(&outstanding, batch->capacity, memory_order_relaxed);
    free(batch);
}

void *
moe_batch_room(moe_batch *batch, size_t bytes)
{
    size_t whole = (bytes + 7) & ~(size_t)7;
    if (batch->capacity - batch->used < whole)
        return NULL;
    uint8_t *room = batch->data + batch->used;
    memset(room + whole - 8, 0, 8);
    batch->used += whole;
    batch->records++;
    return room;
}

void
moe_batch_add(moe_batch *batch, const void *record, size_t bytes)
{
    void *room = bytes > 0 ? moe_batch_room(batch, bytes) : NULL;
    if (room != NULL)
        memcpy(room, record, bytes);
}

void
moe_log_put(moe_batch *batch)
{
    pthread_mutex_lock(&queue.lock);
    bool late = queue.close == CLOSE_DONE || queue.last == NULL;
    if (!late) {
        batch->next = NULL;
        *queue.last = batch;
        queue.last = &batch->next;
        queue.queued += batch->capacity + batch->body_bytes;
        if (queue.queued >= much_waiting && !queue.woken) {
            queue.woken = true;
            pthread_cond_signal(&queue.work);
        }
    }
    pthread_mutex_unlock(&queue.lock);
    if (late)
        moe_batch_free(batch);
}

void
moe_log_wake(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.woken = true;
    pthread_cond_signal(&queue.work);
    pthread_mutex_unlock(&queue.lock);
}

void
moe_log_hello(const char *lines)
{
    size_t bytes = strlen(lines);
    moe_batch *batch = moe_batch_new(MOE_RAW_HELLO, bytes + 8);
    if (batch == NULL)
        return;
    memcpy(batch->data, lines, bytes);
    batch->used = bytes;
    batch->records = 1;
    moe_log_put(batch);
}

/* The writer. */

static void
write_batch(moe_batch *batch)
{
    if (!moe_chunk_write(&file, batch->type, batch->data, batch->used, batch->body,
                         batch->body_bytes)) {
        if (batch->type == MOE_RAW_STRINGS)
            moe_text_untake(batch);
        else if (!is_account(batch->type))
            moe_lose(MOE_LOSS_LOG_FULL, batch->records);
    }
    moe_batch_free(batch);
}

static void
write_list(moe_batch *list)
{
    while (list != NULL) {
        moe_batch *next = list->next;
        write_batch(list);
        list = next;
    }
}

static void
write_clock(void)
{
    moe_raw_clock now = {moe_clock_ns(), moe_clock_of(CLOCK_REALTIME)};
    moe_chunk_write(&file, MOE_RAW_CLOCK, &now, sizeof now, NULL, 0);
}

static void
write_said(void)
{
    moe_batch *said = moe_say_take();
    write_list(moe_text_take());
    write_list(said);
    if (!file.refused)
        moe_say_written();
}

/* Texts are taken after what uses them was, and written before it. */
static void
drain(void)
{
    moe_lanes_seal();
    pthread_mutex_lock(&queue.lock);
    moe_batch *list = queue.first;
    queue.first = NULL;
    queue.last = &queue.first;
    queue.queued = 0;
    pthread_mutex_unlock(&queue.lock);
    if (!file.refused)
        write_list(moe_text_take());
    write_list(list);
    if (!file.refused)
        write_said();
}

/* What the end of a log on a full disk takes is in the log from the start. */
static void
prepare_full(void)
{
    static const int reasons[] = {ENOSPC, EDQUOT, EFBIG, EIO};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        moe_text_id(strerror(reasons[i]), strlen(strerror(reasons[i])));
    moe_text_id("disk_full", strlen("disk_full"));
    moe_say_prepare();
}

/* The last chunks. When the disk refused before, room for little was made then: many texts that are
 * not yet written are left out. */
static void
write_end(void)
{
    bool refused = file.refused;
    file.refused = false;
    if (refused && moe_text_waiting() > LITTLE)
        moe_text_drop();
    write_said();
    write_clock();
    moe_raw_close end = {moe_clock_ns(), queue.reason, queue.signal};
    moe_chunk_write(&file, MOE_RAW_CLOSE, &end, sizeof end, NULL, 0);
}

/* Waits for work; true: the log is to be closed. */
static bool
wait_for_work(void)
{
    uint64_t until = moe_clock_ns() + idle_ns;
    struct timespec when = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    pthread_mutex_lock(&queue.lock);
    while (!queue.woken && queue.close == 0)
        if (pthread_cond_timedwait(&queue.work, &queue.lock, &when) == ETIMEDOUT)
            break;
    queue.woken = false;
    bool close = queue.close == CLOSE_ASKED;
    pthread_mutex_unlock(&queue.lock);
    return close;
}

static void *
writer(void *unused)
{
    (void)unused;
    moe_chunk_write_magic(&file);
    moe_chunk_write(&file, MOE_RAW_HELLO, first_hello, strlen(first_hello), NULL, 0);
    write_clock();
    prepare_full();
    uint64_t last_clock = moe_clock_ns();
    bool close = false, told = false;
    while (!close) {
        close = wait_for_work();
        drain();
        if (file.refused && !told) {
            told = true;
            moe_say(MOE_RAW_ERROR, "disk_full", "%s", strerror(file.error));
        }
        if (moe_clock_ns() - last_clock > clock_every_ns) {
            write_clock();
            last_clock = moe_clock_ns();
        }
    }
    write_end();
    pthread_mutex_lock(&queue.lock);
    queue.close = CLOSE_DONE;
    moe_batch *late = queue.first;
    queue.first = NULL;
    queue.last = NULL;
    pthread_cond_broadcast(&queue.closed);
    pthread_mutex_unlock(&queue.lock);
    while (late != NULL) {
        moe_batch *next = late->next;
        moe_batch_free(late);
        late = next;
    }
    return NULL;
}

const char *
moe_log_open(const char *folder, const char *hello)
{
    moe_crc32_prepare();
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return strerror(errno);
    if (!moe_chunk_open(&file, folder))
        return strerror(file.error);
    first_hello = strdup(hello);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue.work, &monotonic);
    pthread_cond_init(&queue.closed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    queue.last = &queue.first;
    int failed = first_hello == NULL ? ENOMEM : moe_thread_start(writer, "moesim-writer");
    return failed != 0 ? strerror(failed) : NULL;
}

bool
moe_log_close(uint32_t reason, uint32_t signal, uint32_t patience_ms)
{
    uint64_t until = moe_clock_ns() + patience_ms * UINT64_C(1000000);
    struct timespec when = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    pthread_mutex_lock(&queue.lock);
    if (queue.close == 0) {
        queue.close = CLOSE_ASKED;
        queue.reason = reason;
        queue.signal = signal;
    }
    pthread_cond_signal(&queue.work);
    while (queue.close != CLOSE_DONE)
        if (pthread_cond_timedwait(&queue.closed, &queue.lock, &when) == ETIMEDOUT)
            break;
    bool done = queue.close == CLOSE_DONE;
    pthread_mutex_unlock(&queue.lock);
    return done;
}

void
moe_log_forget(void)
{
    moe_chunk_close(&file);
    memset(&queue, 0, sizeof queue);
    queue.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    atomic_store(&outstanding, 0);
}

void
moe_log_leave_note(const char *folder, const char *hello, const char *code, const char *text)
{
    moe_chunk_file note;
    if (!moe_chunk_open(&note, folder))
        return;
    const char *const texts[] = {code, text};
    uint8_t strings[1024];
    size_t used = 0;
    for (uint32_t i = 0; i < 2; i++) {
        moe_raw_string head = {.id = i + 1, .bytes = (uint32_t)strnlen(texts[i], 400)};
        size_t whole = (head.bytes + 7u) & ~(size_t)7;
        memset(strings + used, 0, sizeof head + whole);
        memcpy(strings + used, &head, sizeof head);
        memcpy(strings + used + sizeof head, texts[i], head.bytes);
        used += sizeof head + whole;
    }
    moe_raw_diagnostic said = {
        .time_ns = moe_clock_ns(), .severity = MOE_RAW_WARN, .n = 1, .code = 1, .text = 2};
    moe_raw_clock now = {moe_clock_ns(), moe_clock_of(CLOCK_REALTIME)};
    moe_chunk_write_magic(&note);
    moe_chunk_write(&note, MOE_RAW_HELLO, hello, strlen(hello), NULL, 0);
    moe_chunk_write(&note, MOE_RAW_CLOCK, &now, sizeof now, NULL, 0);
    moe_chunk_write(&note, MOE_RAW_STRINGS, strings, used, NULL, 0);
    moe_chunk_write(&note, MOE_RAW_DIAGNOSTIC, &said, sizeof said, NULL, 0);
    moe_chunk_close(&note);
}
