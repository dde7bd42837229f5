#include "profiler/inject/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/inject/log.h"
#include "profiler/inject/say.h"

enum { BLOCK = 1 << 16, MOST_PER_BATCH = 1 << 20 };
static const size_t most_bytes = (size_t)256 << 20;

typedef struct text_entry {
    uint64_t hash;
    char *text;
    uint32_t bytes, unused;
} text_entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static text_entry *entries; /* by number - 1 */
static uint32_t count, capacity, written;
static uint32_t *slots; /* numbers, open addressing; 0: free */
static uint32_t n_slots;
static char *block; /* of the arena */
static size_t block_left, all_bytes;

uint64_t
moe_text_hash(const char *text, size_t bytes)
{
    const uint64_t prime = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = bytes * prime, word;
    for (; bytes >= 8; bytes -= 8, text += 8) {
        memcpy(&word, text, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, text, bytes);
    hash = (hash ^ word) * prime;
    return hash ^ hash >> 32;
}

static char *
keep(const char *text, size_t bytes)
{
    size_t need = bytes + 1;
    if (all_bytes + need > most_bytes)
        return NULL;
    if (need > block_left) {
        size_t size = need > BLOCK ? need : BLOCK;
        char *fresh = malloc(size);
        if (fresh == NULL)
            return NULL;
        block = fresh; /* the rest of the old block stays unused */
        block_left = size;
    }
    char *kept = block;
    memcpy(kept, text, bytes);
    kept[bytes] = '\0';
    block += need;
    block_left -= need;
    all_bytes += need;
    return kept;
}

static bool
grow(void)
{
    if (count < capacity)
        return true;
    uint32_t more = capacity == 0 ? 1024 : 2 * capacity;
    text_entry *larger = realloc(entries, more * sizeof *larger);
    if (larger == NULL)
        return false;
    entries = larger;
    uint32_t *spread = calloc((size_t)4 * more, sizeof *spread);
    if (spread == NULL)
        return false;
    uint32_t mask = 4 * more - 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)entries[i].hash & mask;
        while (spread[at] != 0)
            at = (at + 1) & mask;
        spread[at] = i + 1;
    }
    free(slots);
    slots = spread;
    n_slots = 4 * more;
    capacity = more;
    return true;
}

static uint32_t
find_or_add(const char *text, size_t bytes, uint64_t hash)
{
    if (!grow())
        return 0;
    uint32_t mask = n_slots - 1, at = (uint32_t)hash & mask;
    for (; slots[at] != 0; at = (at + 1) & mask) {
        const text_entry *entry = &entries[slots[at] - 1];
        if (entry->hash == hash && entry->bytes == bytes && memcmp(entry->text, text, bytes) == 0)
            return slots[at];
    }
    char *kept = keep(text, bytes);
    if (kept == NULL)
        return 0;
    entries[count++] = (text_entry){.hash = hash, .text = kept, .bytes = (uint32_t)bytes};
    slots[at] = count;
    return count;
}

uint32_t
moe_text_hashed_id(const char *text, size_t bytes, uint64_t hash)
{
    if (bytes == 0)
        return 0;
    pthread_mutex_lock(&lock);
    uint32_t id = find_or_add(text, bytes, hash);
    pthread_mutex_unlock(&lock);
    if (id == 0)
        moe_lose(MOE_LOSS_TEXT, 1);
    return id;
}

uint32_t
moe_text_id(const char *text, size_t bytes)
{
    if (bytes > MOE_TEXT_LONGEST)
        bytes = MOE_TEXT_LONGEST;
    return moe_text_hashed_id(text, bytes, moe_text_hash(text, bytes));
}

size_t
moe_text_narrow(const wchar_t *wide, char *out, size_t room)
{
    size_t n = 0;
    for (; *wide != L'\0' && n + 5 <= room; wide++) {
        uint32_t c = (uint32_t)*wide;
        if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
            c = 0xFFFD;
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c < 0x800) {
            out[n++] = (char)(0xC0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            out[n++] = (char)(0xE0 | c >> 12);
            out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            out[n++] = (char)(0x80 | (c & 0x3F));
        } else {
            out[n++] = (char)(0xF0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 0x3F));
            out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            out[n++] = (char)(0x80 | (c & 0x3F));
        }
    }
    out[n] = '\0';
    return n;
}

const char *
moe_text_of(uint32_t id, size_t *bytes)
{
    const char *text = "";
    uint32_t n = 0;
    pthread_mutex_lock(&lock);
    if (id > 0 && id <= count) {
        text = entries[id - 1].text;
        n = entries[id - 1].bytes;
    }
    pthread_mutex_unlock(&lock);
    if (bytes != NULL)
        *bytes = n;
    return text;
}

/* One batch of the texts from `written` on. */
static moe_batch *
take_some(void)
{
    size_t need = 0;
    uint32_t end = written;
    for (; end < count && need < MOST_PER_BATCH; end++)
        need += sizeof(moe_raw_string) + ((entries[end].bytes + 7u) & ~(size_t)7);
    moe_batch *batch = moe_batch_new(MOE_RAW_STRINGS, need);
    if (batch == NULL)
        return NULL;
    for (; written < end; written++) {
        const text_entry *entry = &entries[written];
        moe_raw_string head = {.id = written + 1, .bytes = entry->bytes};
        moe_batch_add(batch, &head, sizeof head);
        moe_batch_add(batch, entry->text, entry->bytes);
    }
    return batch;
}

moe_batch *
moe_text_take(void)
{
    moe_batch *first = NULL, **tail = &first;
    pthread_mutex_lock(&lock);
    while (written < count) {
        moe_batch *batch = take_some();
        if (batch == NULL)
            break; /* the next time */
        *tail = batch;
        tail = &batch->next;
    }
    pthread_mutex_unlock(&lock);
    return first;
}

void
moe_text_untake(const moe_batch *batch)
{
    moe_raw_string first;
    memcpy(&first, batch->data, sizeof first);
    pthread_mutex_lock(&lock);
    if (first.id <= written)
        written = first.id - 1;
    pthread_mutex_unlock(&lock);
}

size_t
moe_text_waiting(void)
{
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (uint32_t i = written; i < count; i++)
        bytes += sizeof(moe_raw_string) + entries[i].bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

void
moe_text_drop(void)
{
    pthread_mutex_lock(&lock);
    written = count;
    pthread_mutex_unlock(&lock);
}

void
moe_text_hold(void)
{
    pthread_mutex_lock(&lock);
}

void
moe_text_release(bool in_child)
{
    if (in_child)
        written = 0;
    pthread_mutex_unlock(&lock);
}
