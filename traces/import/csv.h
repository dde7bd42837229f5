/* Inside the CSV import: what the scanner of rows hands on.
 *
 * Rows of a token that follow one another, as they nearly always do, go to the builder token by
 * token (csv_stream.c), and nothing of the text is kept. What does not fit that (scattered rows,
 * positions that fall, a layer that comes late, a layer missing) is read again from the start and
 * gathered (csv_gather.c): flat lists of all rows, in memory, from which the tokens are assembled,
 * or from which it can be said what is missing. Row r then stands in line r + 2 of the file. */
#ifndef MOE_TRACES_IMPORT_CSV_H
#define MOE_TRACES_IMPORT_CSV_H

#include "traces/import/traps.h"
#include "traces/index_map.h"
#include "traces/routing_file.h"
#include "traces/text_lines.h"

#define CSV_MAX_LINE (1u << 20)
#define CSV_MAX_LAYER 65535u
#define CSV_MAX_COLUMNS 64

typedef enum csv_kind {
    CSV_SEQ,
    CSV_POS,
    CSV_LAYER,
    CSV_EXPERTS,
    CSV_WEIGHTS,
    CSV_PHASE,
    CSV_IGNORED,
    CSV_KINDS = CSV_IGNORED,
} csv_kind;

/* Instead of a number of experts: the words "none" and "not-run". */
#define CSV_NONE (MOE_ROUTING_MAX_K + 1)
#define CSV_NOT_RUN (MOE_ROUTING_MAX_K + 2)

typedef struct csv_row {
    uint32_t token;
    uint16_t layer; /* number in the file */
    uint16_t n;     /* experts, or CSV_NONE, CSV_NOT_RUN */
} csv_row;

/* What the fields of a row say; ids and weights stand in csv_import at n_ids. */
typedef struct csv_fields {
    uint32_t seq, pos, layer, phase;
    uint32_t n_experts; /* as csv_row.n */
    uint32_t n_weights;
} csv_fields;

typedef struct csv_tokens {
    uint32_t *sequence, *position;
    uint8_t *phase;
    uint64_t *first_row;
    size_t max;
} csv_tokens;

typedef struct csv_import {
    moe_import_job *job;
    moe_text_lines lines; /* the row at hand */
    unsigned errors;
    bool no_memory;

    csv_kind columns[CSV_MAX_COLUMNS];
    uint32_t n_columns;
    bool has_weights, has_phase;
    uint32_t id_limit; /* ids are below it */
    bool id_limit_given;

    struct csv_stream *stream; /* NULL: rows are gathered */
    bool give_up;              /* the stream cannot go on: gather */
    uint64_t n_rows;
    uint64_t lengths[CSV_NOT_RUN + 1]; /* rows of so many experts */

    csv_row *rows;
    uint16_t *ids; /* gathered, and behind them those of the row at hand */
    float *weights;
    size_t max_rows, n_ids, max_ids;
    moe_index_map map; /* (sequence, position) -> token */
    csv_tokens tokens;
    uint32_t token; /* of the row before */
    uint64_t token_key;
    bool scattered; /* a token's rows do not follow one another */

    uint32_t max_id, k;
    uint32_t *stamps; /* [65536]: line that last had the id */
    uint8_t *layers;  /* [CSV_MAX_LAYER + 1]: seen */
    uint32_t n_layers;
} csv_import;

extern const char *const csv_names[CSV_KINDS];

/* "x.csv:LINE:COLUMN: …" at a place of the row at hand; false. */
bool csv_fail(csv_import *c, const char *at, const char *fmt, ...) MOE_PRINTF(3, 4);
/* The line at hand as the header; names that are no column of ours go to the report. */
bool csv_header(csv_import *c);
/* The line at hand as a row; false when it is refused. */
bool csv_row_read(csv_import *c);
/* Room for one more row of any length; false with no_memory set. */
bool csv_reserve(csv_import *c);
/* Notes that a layer occurs. */
bool csv_new_layer(csv_import *c, uint32_t layer);

/* Gathering: the next row; then the whole. NULL after messages, or with no_memory set. */
bool csv_gather_row(csv_import *c, const csv_fields *fields);
void csv_gather_clear(csv_import *c);
moe_routing_builder *csv_gather_finish(csv_import *c);

/* Streaming: the next row, false with give_up set when it does not fit; then the whole, likewise
 * NULL. */
struct csv_stream *csv_stream_new(void);
void csv_stream_free(struct csv_stream *stream);
bool csv_stream_row(csv_import *c, const csv_fields *fields);
moe_routing_builder *csv_stream_finish(csv_import *c);

/* Layer numbers in ascending order; yours. */
uint32_t *csv_layer_ids(const csv_import *c);
/* Where the ids of a row go: ids[k], filled up, and weights[k] when there are any. */
void csv_place(const csv_import *c, uint32_t n, const uint16_t *from, const float *from_weights,
               uint32_t k, int32_t *ids, float *weights);
/* Lines for the report that both ways have. */
void csv_report(const csv_import *c);

#endif
