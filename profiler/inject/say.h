/* What a capture says about itself: diagnostics and losses, written to the raw log, and lines in
 * the file that MOESIM_LOG names. Nothing ever goes to the program's own streams. Any thread. */
#ifndef MOE_PROFILER_INJECT_SAY_H
#define MOE_PROFILER_INJECT_SAY_H

#include <stdint.h>

#include "profiler/inject/rawlog.h"

struct moe_batch;

/* One row per thing that can get lost (rows of say.c). */
typedef enum moe_loss {
    MOE_LOSS_CUPTI_DROPPED,
    MOE_LOSS_BUFFER_DENIED,
    MOE_LOSS_ROUTE,
    MOE_LOSS_RANGE,
    MOE_LOSS_NODE,
    MOE_LOSS_COUNTER,
    MOE_LOSS_TEXT,
    MOE_LOSS_LOG_FULL,
    MOE_N_LOSSES,
} moe_loss;

void moe_lose(moe_loss loss, uint64_t n);
/* How much was lost since the start. */
uint64_t moe_lost(moe_loss loss);

/* A diagnostic. The same text of the same code is kept once, with the number of times. */
void moe_say(moe_raw_severity severity, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A line for MOESIM_LOG. */
void moe_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

void moe_say_open(const char *log_path);
/* Gives the names of all losses their numbers. */
void moe_say_prepare(void);
/* DIAGNOSTIC and LOSS since what was written, in a list; NULL: none. */
struct moe_batch *moe_say_take(void);
/* What was taken last is in the log. */
void moe_say_written(void);
void moe_say_forget(void);

#endif
