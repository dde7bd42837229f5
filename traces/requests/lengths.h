/* Inside traces/requests: how long requests are, by the time: ServeGen's dataset files,
 *     {"0": {"input_tokens": "{808: 0.25, 874: 0.75}", "output_tokens": "{…}"}, "21600": …}
 * where each distribution is a text that maps tokens to probabilities. "{}" stands for: not known,
 * what was said of an earlier time goes on. */
#ifndef MOE_TRACES_REQUESTS_LENGTHS_H
#define MOE_TRACES_REQUESTS_LENGTHS_H

#include "sim/base/random.h"
#include "traces/import/import.h"

typedef struct request_distribution {
    uint32_t *tokens; /* [n], rising */
    double *until;    /* [n]: sum of the probabilities so far */
    size_t n;
} request_distribution;

typedef struct request_lengths_window {
    uint64_t second; /* from here on */
    request_distribution prompt, output;
} request_lengths_window;

typedef struct request_lengths {
    request_lengths_window *windows; /* [n], rising, both distributions known */
    size_t n;
} request_lengths;

/* Reads the text of `name`; false after messages. Keys that are not used go to the report. */
bool request_lengths_parse(request_lengths *lengths, const moe_import_job *job, const char *name,
                           const char *text, size_t n);
/* The window that holds at a time; NULL: none yet. */
const request_lengths_window *request_lengths_at(const request_lengths *lengths, uint64_t second);
uint32_t request_distribution_draw(const request_distribution *distribution, moe_stream *stream);
void request_lengths_clear(request_lengths *lengths);

#endif
