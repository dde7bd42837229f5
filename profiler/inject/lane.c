#include "profiler/inject/lane.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "profiler/inject/life.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"

enum { SMALLEST = 4096, LARGEST = 65536, NUMBERS = 1024, PATIENCE_MS = 100 };

static const moe_raw_type types[MOE_N_LANE_KINDS] = {
    [MOE_LANE_RANGES] = MOE_RAW_RANGES, [MOE_LANE_STEPS] = MOE_RAW_STEPS,
    [MOE_LANE_TOKENS] = MOE_RAW_TOKENS, [MOE_LANE_ROUTES] = MOE_RAW_ROUTES,
    [MOE_LANE_NODES] = MOE_RAW_NODES,   [MOE_LANE_NAMES] = MOE_RAW_NAMES,
};

/* Initial-exec: a signal handler may read it, and it costs one load. */
static __thread moe_lane *mine __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static moe_lane *lanes;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ending;
static atomic_uint_fast64_t numbers = 1;

static void
thread_ends(void *data)
{
    moe_lane *lane = data;
    mine = NULL;
    pthread_mutex_lock(&lane->lock);
    lane->depth = 0;
    pthread_mutex_unlock(&lane->lock);
    pthread_mutex_lock(&lock);
    lane->taken = false;
    pthread_mutex_unlock(&lock);
}

static void
make_key(void)
{
    pthread_key_create(&ending, thread_ends);
}

static moe_lane *
find_lane(void)
{
    pthread_once(&once, make_key);
    pthread_mutex_lock(&lock);
    moe_lane *lane = lanes;
    while (lane != NULL && lane->taken)
        lane = lane->next;
    if (lane == NULL && (lane = calloc(1, sizeof *lane)) != NULL) {
        pthread_mutex_init(&lane->lock, NULL);
        for (int i = 0; i < MOE_N_LANE_KINDS; i++)
            lane->size[i] = SMALLEST;
        lane->next = lanes;
        lanes = lane;
    }
    if (lane != NULL)
        lane->taken = true;
    pthread_mutex_unlock(&lock);
    if (lane != NULL) {
        lane->thread = (uint32_t)gettid();
        pthread_setspecific(ending, lane);
    }
    return lane;
}

moe_lane *
moe_lane_enter(void)
{
    moe_lane *lane = mine;
    if (lane == NULL) {
        lane = find_lane();
        if (lane == NULL)
            return NULL;
        mine = lane;
    }
    if (lane->inside)
        return NULL;
    lane->inside = 1;
    pthread_mutex_lock(&lane->lock);
    return lane;
}

void
moe_lane_leave(moe_lane *lane)
{
    pthread_mutex_unlock(&lane->lock);
    lane->inside = 0;
    moe_life_deferred();
}

bool
moe_lane_interrupted(void)
{
    return mine != NULL && mine->inside;
}

uint32_t
moe_lane_text(moe_lane *lane, const char *text)
{
    size_t bytes = strnlen(text, MOE_TEXT_LONGEST);
    uint64_t hash = moe_text_hash(text, bytes);
    size_t slot = hash % MOE_LANE_TEXTS;
    if (lane->texts[slot].hash == hash && lane->texts[slot].bytes == bytes && bytes > 0 &&
        memcmp(lane->texts[slot].text, text, bytes) == 0)
        return lane->texts[slot].id;
    uint32_t id = moe_text_hashed_id(text, bytes, hash);
    if (id != 0) {
        lane->texts[slot].text = moe_text_of(id, NULL);
        lane->texts[slot].bytes = (uint32_t)bytes;
        lane->texts[slot].hash = hash;
        lane->texts[slot].id = id;
    }
    return id;
}

void *
moe_lane_room(moe_lane *lane, moe_lane_kind kind, size_t bytes)
{
    moe_batch *batch = lane->open[kind];
    void *room = batch != NULL ? moe_batch_room(batch, bytes) : NULL;
    if (room != NULL)
        return room;
    if (batch != NULL) {
        lane->open[kind] = NULL;
        moe_log_put(batch);
        if (lane->size[kind] < LARGEST)
            lane->size[kind] *= 2;
    }
    size_t size = bytes + 8 > lane->size[kind] ? bytes + 8 : lane->size[kind];
    batch = moe_batch_new(types[kind], size);
    if (batch == NULL)
        return NULL;
    lane->open[kind] = batch;
    return moe_batch_room(batch, bytes);
}

uint64_t
moe_lane_number(moe_lane *lane)
{
    if (lane->next_range == lane->end_range) {
        lane->next_range = atomic_fetch_add_explicit(&numbers, NUMBERS, memory_order_relaxed);
        lane->end_range = lane->next_range + NUMBERS;
    }
    return lane->next_range++;
}

/* The thread of a lane may have been interrupted for good while it held the lock. */
static bool
lock_patiently(moe_lane *lane)
{
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (pthread_mutex_trylock(&lane->lock) == 0)
            return true;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

void
moe_lanes_seal(void)
{
    pthread_mutex_lock(&lock);
    moe_lane *lane = lanes;
    pthread_mutex_unlock(&lock);
    for (; lane != NULL; lane = lane->next) { /* `next` of a lane never changes */
        if (!lock_patiently(lane))
            continue;
        for (int i = 0; i < MOE_N_LANE_KINDS; i++) {
            if (lane->open[i] != NULL)
                moe_log_put(lane->open[i]);
            lane->open[i] = NULL;
        }
        pthread_mutex_unlock(&lane->lock);
    }
}

void
moe_lanes_forget(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    lanes = NULL;
    if (mine != NULL)
        pthread_setspecific(ending, NULL);
    mine = NULL;
}
