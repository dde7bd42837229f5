/* The writer: one thread that appends chunks to the process's raw log. Whoever records something
 * fills batches and puts them into a queue, which never blocks: when too much waits to be written,
 * there are no further batches and the caller counts what it loses. When the disk refuses, writing
 * ends for good, the program goes on, and what was not written is counted. */
#ifndef MOE_PROFILER_INJECT_LOG_H
#define MOE_PROFILER_INJECT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler/inject/rawlog.h"

/* One chunk to be. */
typedef struct moe_batch {
    struct moe_batch *next;
    moe_raw_type type;
    uint32_t records; /* in it, to be counted if it is not written */
    size_t used, capacity;
    uint8_t *body; /* stands behind the data in the same chunk, or NULL */
    size_t body_bytes;
    void (*body_done)(uint8_t *body, size_t bytes); /* gives the body back */
    _Alignas(8) uint8_t data[];
} moe_batch;

/* NULL: too much waits, or there is no memory. */
moe_batch *moe_batch_new(moe_raw_type type, size_t capacity);
void moe_batch_free(moe_batch *batch);
/* Room for one record, zeroed up to a multiple of 8; NULL: it is full. Counts it. */
void *moe_batch_room(moe_batch *batch, size_t bytes);
/* The same, with the record; there must be room. */
void moe_batch_add(moe_batch *batch, const void *record, size_t bytes);

/* Opens FOLDER/PID.raw, starts the writer, whose first chunk is HELLO with this text. NULL, or the
 * reason why there is no log. */
const char *moe_log_open(const char *folder, const char *hello);
void moe_log_put(moe_batch *batch);
/* Further lines of HELLO. */
void moe_log_hello(const char *lines);
/* Writes all there is, soon. */
void moe_log_wake(void);
/* Writes all there is, then CLOSE; waits for that, `patience_ms` at most. Later batches are
 * dropped. */
bool moe_log_close(uint32_t reason, uint32_t signal, uint32_t patience_ms);
/* In a forked child: the parent's log is not ours. */
void moe_log_forget(void);
/* A log without a writer, for a child that records nothing: HELLO and one diagnostic. */
void moe_log_leave_note(const char *folder, const char *hello, const char *code, const char *text);

#endif
