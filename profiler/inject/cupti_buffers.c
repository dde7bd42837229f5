#include "profiler/inject/cupti.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/inject/log.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"

/* Buffers of activity records go to CUPTI, come back full, wait for the writer and go round again.
 * They are handed over zeroed, so that CUPTI need not do it in a thread of the program. */
enum { BUFFER = 8 << 20, SCRATCH = 64 << 10, MOST_FREE = 16 };
enum { KINDS = 128, LARGEST_RECORD = 1024 };
static const uint32_t may_decline = 27; /* older libraries crash when they get no buffer */

static struct {
    pthread_mutex_t lock;
    uint8_t *buffers[MOST_FREE];
    int n;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_long live;
static long most_live;
static atomic_uint_fast64_t sequence;
static uint32_t sizes[KINDS]; /* of records in the loaded library; 0: unknown */

/* Offsets within records are the same in all versions that are known, CUDA 10 to 13: records only
 * grow. They stand here as numbers, for headers name the newest structs only. */
enum { KERNEL_GRAPH_NODE = 144 };

/* Pointers in records: to texts, which become their numbers, and to what only this process has. */
static const struct {
    CUpti_ActivityKind kind;
    uint32_t offset;
    bool text;
} pointers[] = {
    {CUPTI_ACTIVITY_KIND_KERNEL, 104, true}, /* name */
    {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 104, true},
    {CUPTI_ACTIVITY_KIND_CDP_KERNEL, 136, true},
    {CUPTI_ACTIVITY_KIND_DEVICE, 136, true}, /* name */
    {CUPTI_ACTIVITY_KIND_NAME, 24, true},
    {CUPTI_ACTIVITY_KIND_MARKER, 40, true}, /* name */
    {CUPTI_ACTIVITY_KIND_MARKER, 48, true}, /* domain */
    {CUPTI_ACTIVITY_KIND_FUNCTION, 24, true},
    {CUPTI_ACTIVITY_KIND_SOURCE_LOCATOR, 16, true}, /* file */
    {CUPTI_ACTIVITY_KIND_MEMORY, 72, true},         /* name */
    {CUPTI_ACTIVITY_KIND_MEMORY2, 64, true},        /* name */
    {CUPTI_ACTIVITY_KIND_MEMORY2, 120, true},       /* source */
    {CUPTI_ACTIVITY_KIND_JIT, 56, true},            /* path of the cache */
    {CUPTI_ACTIVITY_KIND_MODULE, 16, false},        /* cubin */
    {CUPTI_ACTIVITY_KIND_OVERHEAD, 48, false},      /* data */
};

static uint8_t *
take_buffer(void)
{
    uint8_t *buffer = NULL;
    pthread_mutex_lock(&pool.lock);
    if (pool.n > 0)
        buffer = pool.buffers[--pool.n];
    pthread_mutex_unlock(&pool.lock);
    if (buffer != NULL)
        return buffer;
    void *fresh = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return fresh != MAP_FAILED ? fresh : NULL;
}

/* Zeroes what was used; what lies behind is given back, and comes back as zeros. */
static void
give_buffer(uint8_t *buffer, size_t used)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t rest = (used + page - 1) / page * page;
    memset(buffer, 0, rest);
    if (rest < BUFFER)
        madvise(buffer + rest, BUFFER - rest, MADV_DONTNEED);
    pthread_mutex_lock(&pool.lock);
    bool kept = pool.n < MOST_FREE;
    if (kept)
        pool.buffers[pool.n++] = buffer;
    pthread_mutex_unlock(&pool.lock);
    if (!kept)
        munmap(buffer, BUFFER);
    atomic_fetch_sub(&live, 1);
}

static void CUPTIAPI
requested(uint8_t **buffer, size_t *size, size_t *most_records)
{
    *most_records = 0;
    *buffer = NULL;
    *size = 0;
    if (atomic_fetch_add(&live, 1) < most_live)
        *buffer = take_buffer();
    if (*buffer != NULL) {
        *size = BUFFER;
        return;
    }
    atomic_fetch_sub(&live, 1);
    if (moe_cupti.version < may_decline)
        *buffer = calloc(1, SCRATCH); /* what comes in it is lost, and counted then */
    if (*buffer != NULL)
        *size = SCRATCH;
    else
        moe_lose(MOE_LOSS_BUFFER_DENIED, 1);
}

static uint32_t
size_at(const uint8_t *record, size_t left)
{
    uint32_t kind;
    if (left < sizeof kind)
        return 0;
    memcpy(&kind, record, sizeof kind);
    uint32_t size = kind < KINDS ? sizes[kind] : 0;
    return size <= left ? size : 0;
}

static uint32_t
count_records(const uint8_t *buffer, size_t valid)
{
    uint32_t n = 0;
    for (uint32_t size; (size = size_at(buffer, valid)) > 0; n++) {
        buffer += size;
        valid -= size;
    }
    return n;
}

/* CUPTI's texts may go with the module they belong to: they are copied now. */
static void
replace_pointers(uint8_t *record, uint32_t kind, uint32_t size)
{
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        if (pointers[i].kind != kind || pointers[i].offset + sizeof(uint64_t) > size)
            continue;
        const char *text;
        memcpy(&text, record + pointers[i].offset, sizeof text);
        uint64_t id = 0;
        if (pointers[i].text && text != NULL)
            id = moe_text_id(text, strnlen(text, MOE_TEXT_LONGEST));
        memcpy(record + pointers[i].offset, &id, sizeof id);
    }
}

static void
look_at_node(const uint8_t *record, uint32_t kind, uint32_t size)
{
    uint64_t node;
    if (kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL || KERNEL_GRAPH_NODE + sizeof node > size)
        return;
    memcpy(&node, record + KERNEL_GRAPH_NODE, sizeof node);
    if (node != 0)
        moe_cupti_node_ran(node);
}

static uint32_t
walk(uint8_t *buffer, size_t valid)
{
    uint32_t n = 0;
    for (uint32_t size; (size = size_at(buffer, valid)) > 0; n++) {
        uint32_t kind;
        memcpy(&kind, buffer, sizeof kind);
        replace_pointers(buffer, kind, size);
        look_at_node(buffer, kind, size);
        buffer += size;
        valid -= size;
    }
    if (valid > 0)
        moe_note("a buffer ends in a record of unknown kind, or in a part of one");
    return n;
}

static void
put(CUcontext context, uint32_t stream, uint8_t *buffer, size_t valid)
{
    moe_batch *batch = moe_batch_new(MOE_RAW_ACTIVITY, sizeof(moe_raw_activity));
    uint32_t n = walk(buffer, valid);
    if (batch == NULL) {
        moe_lose(MOE_LOSS_BUFFER_DENIED, n);
        give_buffer(buffer, valid);
        return;
    }
    moe_raw_activity head = {.context = (uint64_t)(uintptr_t)context,
                             .stream = stream,
                             .bytes = (uint32_t)valid,
                             .sequence = atomic_fetch_add(&sequence, 1)};
    moe_batch_add(batch, &head, sizeof head);
    batch->records = n;
    batch->body = buffer;
    batch->body_bytes = valid;
    batch->body_done = give_buffer;
    moe_log_put(batch);
    moe_log_wake();
}

void
moe_cupti_dropped(CUcontext context, uint32_t stream)
{
    size_t dropped = 0;
    if (moe_cupti.cuptiActivityGetNumDroppedRecords != NULL &&
        moe_cupti.cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS &&
        dropped > 0)
        moe_lose(MOE_LOSS_CUPTI_DROPPED, dropped);
}

static void CUPTIAPI
completed(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
    if (buffer != NULL && size == SCRATCH) {
        moe_lose(MOE_LOSS_BUFFER_DENIED, count_records(buffer, valid));
        free(buffer);
    } else if (buffer != NULL && valid == 0) {
        give_buffer(buffer, 0);
    } else if (buffer != NULL) {
        put(context, stream, buffer, valid);
    }
    moe_cupti_dropped(context, stream);
}

/* A record's size is where the library's own walker says that a buffer just ends behind it. */
static uint32_t
learn(uint8_t *buffer, uint32_t kind)
{
    memset(buffer, 0, LARGEST_RECORD + 8);
    memcpy(buffer, &kind, sizeof kind);
    for (uint32_t size = 8; size <= LARGEST_RECORD; size += 8) {
        CUpti_Activity *record = NULL;
        if (moe_cupti.cuptiActivityGetNextRecord(buffer, size, &record) == CUPTI_SUCCESS &&
            moe_cupti.cuptiActivityGetNextRecord(buffer, size, &record) ==
                CUPTI_ERROR_MAX_LIMIT_REACHED)
            return size;
    }
    return 0;
}

/* Of CUDA 13.0. */
static const moe_raw_size known[] = {
    {CUPTI_ACTIVITY_KIND_MEMCPY, 96},
    {CUPTI_ACTIVITY_KIND_MEMSET, 88},
    {CUPTI_ACTIVITY_KIND_DRIVER, 40},
    {CUPTI_ACTIVITY_KIND_RUNTIME, 40},
    {CUPTI_ACTIVITY_KIND_DEVICE, 184},
    {CUPTI_ACTIVITY_KIND_CONTEXT, 32},
    {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, 216},
    {CUPTI_ACTIVITY_KIND_OVERHEAD, 56},
    {CUPTI_ACTIVITY_KIND_MEMCPY2, 96},
    {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, 24},
    {CUPTI_ACTIVITY_KIND_GRAPH_TRACE, 56},
};
enum { N_KNOWN = sizeof known / sizeof *known };

/* A library that cannot be asked is taken to be of that version. */
static void
assume_sizes(void)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        sizes[known[i].kind] = known[i].bytes;
    moe_say(MOE_RAW_WARN, "no_sizes",
            "CUPTI does not tell the sizes of its records: those of CUDA 13.0 are assumed");
}

static void
learn_all(void)
{
    static _Alignas(8) uint8_t buffer[LARGEST_RECORD + 8];
    for (uint32_t kind = 1; kind < KINDS; kind++)
        sizes[kind] = learn(buffer, kind);
    size_t i = 0;
    while (i < N_KNOWN && sizes[known[i].kind] <= known[i].bytes)
        i++;
    if (i < N_KNOWN)
        moe_say(MOE_RAW_INFO, "cupti_newer",
                "CUPTI %u: records of kind %u have %u bytes, %u are known here", moe_cupti.version,
                known[i].kind, sizes[known[i].kind], known[i].bytes);
}

static void
learn_sizes(void)
{
    if (moe_cupti.cuptiActivityGetNextRecord == NULL)
        assume_sizes();
    else
        learn_all();
    moe_batch *batch = moe_batch_new(MOE_RAW_SIZES, KINDS * sizeof(moe_raw_size));
    for (uint32_t kind = 1; batch != NULL && kind < KINDS; kind++) {
        moe_raw_size row = {kind, sizes[kind]};
        if (sizes[kind] > 0)
            moe_batch_add(batch, &row, sizeof row);
    }
    if (batch != NULL)
        moe_log_put(batch);
}

static void
set_attribute(CUpti_ActivityAttribute attribute, const char *what)
{
    uint8_t one = 1;
    size_t bytes = sizeof one;
    CUptiResult result = moe_cupti.cuptiActivitySetAttribute != NULL
                             ? moe_cupti.cuptiActivitySetAttribute(attribute, &bytes, &one)
                             : CUPTI_ERROR_NOT_SUPPORTED;
    if (result != CUPTI_SUCCESS)
        moe_note("no %s: %s", what, moe_cupti_words(result));
}

bool
moe_cupti_buffers_start(const moe_options *options)
{
    most_live = (long)(options->max_buffer_bytes / BUFFER);
    if (most_live < 1)
        most_live = 1;
    learn_sizes();
    set_attribute(CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER, "zeroed buffers");
    if (moe_cupti.cuptiActivityGetNumDroppedRecords == NULL)
        moe_say(MOE_RAW_WARN, "cupti_failed",
                "CUPTI does not tell how many records it drops: losses may be more than counted");
    CUptiResult result = moe_cupti.cuptiActivityRegisterCallbacks(requested, completed);
    if (result != CUPTI_SUCCESS)
        moe_say(MOE_RAW_ERROR, "cupti_failed",
                "CUPTI takes no buffers: %s; no kernels are recorded", moe_cupti_words(result));
    return result == CUPTI_SUCCESS;
}
