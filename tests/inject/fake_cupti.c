#include "tests/inject/fake_cupti.h"

#include <cupti.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 64, DEPTH = 64, ODD_KIND = 99 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUpti_BuffersCallbackRequestFunc request;
static CUpti_BuffersCallbackCompleteFunc complete;
static CUpti_TimestampCallbackFunc timestamp;
static CUpti_CallbackFunc callback;
static bool enabled[KINDS], listens[8][1024];
static uint8_t *buffer; /* that is being filled */
static size_t size, used;
static size_t dropped;
static bool told_dropped; /* FAKE_DROPPED was told */
static uint32_t correlation;
static char *names[4096]; /* of kernels in the buffer */
static unsigned n_names;
static __thread uint64_t stack[DEPTH];
static __thread unsigned depth;

static void
say(const char *what, long n)
{
    const char *path = getenv("FAKE_LOG");
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd < 0)
        return;
    dprintf(fd, "%s %ld\n", what, n);
    close(fd);
}

static size_t
number(const char *variable, size_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoul(value, NULL, 10) : otherwise;
}

static size_t
size_of(uint32_t kind)
{
    static const size_t sizes[KINDS] = {
        [CUPTI_ACTIVITY_KIND_MEMCPY] = sizeof(CUpti_ActivityMemcpy6),
        [CUPTI_ACTIVITY_KIND_MEMSET] = sizeof(CUpti_ActivityMemset4),
        [CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL] = sizeof(CUpti_ActivityKernel10),
        [CUPTI_ACTIVITY_KIND_RUNTIME] = sizeof(CUpti_ActivityAPI),
        [CUPTI_ACTIVITY_KIND_DRIVER] = sizeof(CUpti_ActivityAPI),
        [CUPTI_ACTIVITY_KIND_DEVICE] = sizeof(CUpti_ActivityDevice5),
        [CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION] = sizeof(CUpti_ActivityExternalCorrelation),
    };
    size_t plain = kind < KINDS ? sizes[kind] : 0;
    return plain > 0 ? plain + number("FAKE_LARGER", 0) : 0;
}

/* Hands the buffer back; the lock is held, and given up meanwhile. */
static void
finish(void)
{
    uint8_t *full = buffer;
    size_t bytes = size, valid = used;
    char *old[4096];
    unsigned n_old = n_names;
    memcpy(old, names, n_names * sizeof *names);
    buffer = NULL;
    size = used = n_names = 0;
    pthread_mutex_unlock(&lock);
    size_t slow = number("FAKE_SLOW", 0); /* milliseconds that a full buffer is on its way */
    if (slow > 0 && full != NULL)
        nanosleep(&(struct timespec){0, (long)slow * 1000000}, NULL);
    if (full != NULL)
        complete(NULL, 0, full, bytes, valid);
    for (unsigned i = 0; i < n_old; i++) {
        memset(old[i], '#', strlen(old[i]));
        free(old[i]);
    }
    pthread_mutex_lock(&lock);
}

static void
ask(uint8_t **fresh, size_t *room)
{
    size_t most = 0;
    *fresh = NULL;
    *room = 0;
    pthread_mutex_unlock(&lock);
    request(fresh, room, &most);
    pthread_mutex_lock(&lock);
}

/* Gets a buffer when there is none, unless none is to be had. */
static void
need_buffer(void)
{
    uint8_t *fresh;
    size_t room;
    if (buffer != NULL)
        return;
    ask(&fresh, &room);
    if (buffer == NULL) {
        buffer = fresh;
        size = room;
        used = 0;
    } else if (fresh != NULL) { /* another thread was faster */
        pthread_mutex_unlock(&lock);
        complete(NULL, 0, fresh, room, 0);
        pthread_mutex_lock(&lock);
    }
}

/* The buffer is full. With FAKE_AHEAD the next one is asked for while it is still out. */
static bool
turn_over(void)
{
    uint8_t *fresh = NULL;
    size_t room = 0;
    bool ahead = getenv("FAKE_AHEAD") != NULL;
    if (ahead)
        ask(&fresh, &room);
    finish();
    if (ahead) {
        buffer = fresh;
        size = room;
        used = 0;
    }
    return !ahead || buffer != NULL;
}

/* Room for a record of a kind, zeroed by who gave the buffer; NULL: dropped. */
static void *
add(uint32_t kind, size_t bytes)
{
    if (kind < KINDS && !enabled[kind])
        return NULL;
    bool full = buffer != NULL && (used + bytes > size || n_names + 1 >= 4096);
    if (!full || turn_over())
        need_buffer();
    if (buffer == NULL || used + bytes > size) {
        dropped++;
        return NULL;
    }
    uint8_t *record = buffer + used;
    for (size_t i = 0; i < bytes; i++)
        if (record[i] != 0)
            abort(); /* the buffer was to be zeroed */
    used += bytes;
    memcpy(record, &kind, sizeof kind);
    return record;
}

static uint64_t
now(void)
{
    return timestamp != NULL ? timestamp() : 1;
}

static void
add_call(uint32_t id, uint64_t start)
{
    CUpti_ActivityAPI *call =
        add(CUPTI_ACTIVITY_KIND_RUNTIME, size_of(CUPTI_ACTIVITY_KIND_RUNTIME));
    if (call == NULL)
        return;
    call->cbid = CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernel_v7000;
    call->start = start;
    call->end = now();
    call->processId = (uint32_t)getpid();
    call->threadId = (uint32_t)gettid();
    call->correlationId = id;
}

static void
add_external(uint32_t id)
{
    CUpti_ActivityExternalCorrelation *external =
        depth > 0 ? add(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                        size_of(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION))
                  : NULL;
    if (external == NULL)
        return;
    external->externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1;
    external->externalId = stack[depth - 1];
    external->correlationId = id;
}

static void
add_kernel(const char *name, uint32_t id, uint64_t node)
{
    CUpti_ActivityKernel10 *kernel =
        add(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, size_of(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
    if (kernel == NULL)
        return;
    kernel->start = number("FAKE_NO_TIMES", 0) > 0 ? 0 : now();
    kernel->end = kernel->start > 0 ? now() + 1 : 0;
    kernel->correlationId = id;
    kernel->gridX = kernel->blockX = 1;
    kernel->graphNodeId = node;
    kernel->name = names[n_names++] = strdup(name);
}

void fake_launch(const char *name, unsigned n, uint64_t node);
void
fake_launch(const char *name, unsigned n, uint64_t node)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n; i++) {
        uint64_t start = now();
        uint32_t id = ++correlation;
        add_external(id);
        add_call(id, start);
        add_kernel(name, id, node);
    }
    pthread_mutex_unlock(&lock);
}

void fake_odd(void);
void
fake_odd(void)
{
    pthread_mutex_lock(&lock);
    add(ODD_KIND, 64);
    pthread_mutex_unlock(&lock);
}

void fake_node(uint64_t node, uint64_t original);
void
fake_node(uint64_t node, uint64_t original)
{
    CUpti_CallbackId id = original != 0 ? CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED
                                        : CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED;
    CUpti_GraphData graph = {.node = (CUgraphNode)node, .originalNode = (CUgraphNode)original};
    CUpti_ResourceData resource = {.resourceDescriptor = &graph};
    if (listens[CUPTI_CB_DOMAIN_RESOURCE][id])
        callback(NULL, CUPTI_CB_DOMAIN_RESOURCE, id, &resource);
}

void fake_profiler(int start);
void
fake_profiler(int start)
{
    CUpti_CallbackId id =
        start ? CUPTI_DRIVER_TRACE_CBID_cuProfilerStart : CUPTI_DRIVER_TRACE_CBID_cuProfilerStop;
    CUpti_CallbackData call = {.callbackSite = CUPTI_API_ENTER};
    if (!listens[CUPTI_CB_DOMAIN_DRIVER_API][id])
        return;
    callback(NULL, CUPTI_CB_DOMAIN_DRIVER_API, id, &call);
    call.callbackSite = CUPTI_API_EXIT;
    callback(NULL, CUPTI_CB_DOMAIN_DRIVER_API, id, &call);
}

void fake_error(const char *message);
void
fake_error(const char *message)
{
    CUpti_StateData state = {.notification = {CUPTI_ERROR_UNKNOWN, message}};
    if (listens[CUPTI_CB_DOMAIN_STATE][CUPTI_CBID_STATE_FATAL_ERROR])
        callback(NULL, CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_FATAL_ERROR, &state);
}

/* The entry points. */

CUptiResult
cuptiGetVersion(uint32_t *version)
{
    *version = (uint32_t)number("FAKE_VERSION", CUPTI_API_VERSION);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiGetResultString(CUptiResult result, const char **text)
{
    *text = result == CUPTI_SUCCESS ? "FAKE_SUCCESS" : "FAKE_ERROR";
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiSubscribe(CUpti_SubscriberHandle *subscriber, CUpti_CallbackFunc function, void *data)
{
    (void)data;
    say("subscribe", 1);
    if (getenv("FAKE_BUSY") != NULL)
        return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
    callback = function;
    *subscriber = (CUpti_SubscriberHandle)(uintptr_t)8;
    return CUPTI_SUCCESS;
}

#ifndef FAKE_OLD
CUptiResult
cuptiSubscribe_v2(CUpti_SubscriberHandle *subscriber, CUpti_CallbackFunc function, void *data,
                  CUpti_SubscriberParams *params)
{
    (void)data;
    say(params->subscriberName, 2);
    const char *holder = getenv("FAKE_BUSY");
    if (holder != NULL) {
        snprintf(params->oldSubscriberName, params->oldSubscriberSize, "%s", holder);
        return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
    }
    callback = function;
    *subscriber = (CUpti_SubscriberHandle)(uintptr_t)8;
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc function)
{
    for (int i = 0; i < KINDS; i++)
        if (enabled[i])
            return CUPTI_ERROR_INVALID_OPERATION; /* too late */
    timestamp = function;
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiSetThreadIdType(CUpti_ActivityThreadIdType type)
{
    say("thread_id_type", (long)type);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t id)
{
    if (kind != CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1 || depth == DEPTH)
        return CUPTI_ERROR_INVALID_PARAMETER;
    stack[depth++] = id;
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t *id)
{
    if (kind != CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1 || depth == 0)
        return CUPTI_ERROR_QUEUE_EMPTY;
    *id = stack[--depth];
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityGetNextRecord(uint8_t *in, size_t valid, CUpti_Activity **record)
{
    uint8_t *next = in;
    if (*record != NULL)
        next = (uint8_t *)*record + size_of((*record)->kind);
    size_t left = next < in + valid ? (size_t)(in + valid - next) : 0;
    if (left < sizeof(uint32_t))
        return CUPTI_ERROR_MAX_LIMIT_REACHED;
    size_t bytes = size_of(((CUpti_Activity *)next)->kind);
    if (bytes == 0)
        return CUPTI_ERROR_INVALID_KIND;
    if (bytes > left)
        return CUPTI_ERROR_MAX_LIMIT_REACHED;
    *record = (CUpti_Activity *)next;
    return CUPTI_SUCCESS;
}
#endif

CUptiResult
cuptiEnableCallback(uint32_t enable, CUpti_SubscriberHandle subscriber, CUpti_CallbackDomain domain,
                    CUpti_CallbackId id)
{
    (void)subscriber;
    listens[domain][id] = enable;
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc requested,
                               CUpti_BuffersCallbackCompleteFunc completed)
{
    request = requested;
    complete = completed;
    return CUPTI_SUCCESS;
}

static CUptiResult
enable_kind(CUpti_ActivityKind kind, bool on)
{
    if (on && number("FAKE_REFUSE", 0) == kind)
        return CUPTI_ERROR_NOT_COMPATIBLE;
    pthread_mutex_lock(&lock);
    enabled[kind] = on;
    pthread_mutex_unlock(&lock);
    say(on ? "enable" : "disable", (long)kind);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityEnable(CUpti_ActivityKind kind)
{
    return enable_kind(kind, true);
}

CUptiResult
cuptiActivityDisable(CUpti_ActivityKind kind)
{
    return enable_kind(kind, false);
}

CUptiResult
cuptiActivityEnableRuntimeApi(CUpti_CallbackId id, uint8_t enable)
{
    say(enable ? "runtime_on" : "runtime_off", (long)id);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivityEnableDriverApi(CUpti_CallbackId id, uint8_t enable)
{
    say(enable ? "driver_on" : "driver_off", (long)id);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiActivitySetAttribute(CUpti_ActivityAttribute attribute, size_t *bytes, void *value)
{
    (void)value;
    say("attribute", (long)attribute);
    return *bytes == 1 ? CUPTI_SUCCESS : CUPTI_ERROR_INVALID_PARAMETER;
}

CUptiResult
cuptiActivityGetNumDroppedRecords(CUcontext context, uint32_t stream, size_t *n)
{
    (void)context;
    (void)stream;
    pthread_mutex_lock(&lock);
    *n = dropped + (told_dropped ? 0 : number("FAKE_DROPPED", 0));
    told_dropped = true;
    dropped = 0;
    pthread_mutex_unlock(&lock);
    return CUPTI_SUCCESS;
}

CUptiResult
cuptiGetGraphNodeId(CUgraphNode node, uint64_t *id)
{
    *id = (uint64_t)(uintptr_t)node;
    return CUPTI_SUCCESS;
}

#ifndef FAKE_NO_FLUSH
CUptiResult
cuptiActivityFlushAll(uint32_t flag)
{
    if (flag == CUPTI_ACTIVITY_FLAG_FLUSH_FORCED)
        say("flush", (long)flag);
    pthread_mutex_lock(&lock);
    if (buffer != NULL)
        finish();
    pthread_mutex_unlock(&lock);
    return CUPTI_SUCCESS;
}
#endif
