/* A small reader of raw logs for the injector's tests, written after rawlog.h alone: what the
 * product's own reader (profiler/rawread.h) makes of a file is tested elsewhere. */
#ifndef MOE_TESTS_INJECT_READER_H
#define MOE_TESTS_INJECT_READER_H

#include "profiler/inject/rawlog.h"

#include <glib.h>
#include <stdbool.h>

typedef struct raw_log {
    char *name;  /* of the file */
    bool whole;  /* every chunk is, and nothing else is in the file */
    bool closed; /* it ends with CLOSE */
    moe_raw_close close;
    GString *hello;       /* all HELLO texts */
    GPtrArray *texts;     /* by id */
    bool texts_first;     /* each text stood before its use, and once */
    GArray *ranges;       /* moe_raw_range */
    GArray *steps;        /* moe_raw_step */
    GArray *nodes;        /* moe_raw_node */
    GArray *names;        /* moe_raw_name */
    GArray *said;         /* moe_raw_diagnostic */
    GArray *losses;       /* moe_raw_loss */
    GArray *sizes;        /* moe_raw_size */
    GArray *counters;     /* moe_raw_counter */
    GPtrArray *routes;    /* moe_raw_route with its data */
    GPtrArray *tokens;    /* moe_raw_tokens with its data */
    GByteArray *activity; /* all records */
    unsigned buffers, clocks;
    uint32_t first_type; /* of the chunks */
} raw_log;

raw_log *raw_log_read(const char *path);
void raw_log_free(raw_log *log);
/* "" of id 0; "?" of one that is not in the file. */
const char *raw_log_text(const raw_log *log, uint32_t id);
/* The text of a diagnostic with this code; NULL: none. */
const char *raw_log_said(const raw_log *log, const char *code);
/* Sum of the losses of source.what. */
uint64_t raw_log_lost(const raw_log *log, const char *source, const char *what);
bool raw_log_hello(const raw_log *log, const char *line);
/* The next record of a kind behind `record`, NULL: the first; NULL: none. */
const uint8_t *raw_log_activity(const raw_log *log, uint32_t kind, const uint8_t *record);
unsigned raw_log_count(const raw_log *log, uint32_t kind);

#endif
