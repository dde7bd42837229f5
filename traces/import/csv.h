/* Inside the CSV import: what the scanner of rows hands to the assembly of the matrix.
 *
 * Rows are kept as they come, flat: (token, layer, number of experts) and the ids one after
 * another, so that neither the number of layers nor k need be known beforehand and memory stays
 * proportional to the text. Row r stands in line r + 2 of the file. */
#ifndef MOE_TRACES_IMPORT_CSV_H
#define MOE_TRACES_IMPORT_CSV_H

#include "traces/import/import.h"
#include "traces/index_map.h"
#include "traces/routing_file.h"

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

typedef struct csv_row {
    uint32_t token;
    uint16_t layer; /* number in the file */
    uint16_t n;     /* experts */
} csv_row;

typedef struct csv_tokens {
    uint32_t *sequence, *position;
    uint8_t *phase;
    uint64_t *first_row;
    size_t max;
} csv_tokens;

typedef struct csv_import {
    const char *file; /* interned in diag */
    moe_diag *diag;
    moe_import_job *job;
    unsigned errors;
    bool no_memory;

    csv_kind columns[CSV_MAX_COLUMNS];
    uint32_t n_columns;
    bool has_weights, has_phase;
    uint32_t id_limit; /* ids are below it */
    bool id_limit_given;

    uint64_t line; /* of the row at hand, from 1 */
    const char *line_text;
    uint64_t blank_line; /* first of the blank lines that wait for the end; 0: none */

    csv_row *rows;
    uint16_t *ids;
    float *weights;
    size_t n_rows, max_rows, n_ids, max_ids;
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
/* The header line; names that are no column of ours go to the report. */
bool csv_header(csv_import *c, const char *text, size_t length);
/* Whole lines, the last ended by '\n' too; false when it is no use to go on. */
bool csv_lines(csv_import *c, const char *text, const char *end);
/* The matrix; NULL after messages, or with no_memory set. */
moe_routing_builder *csv_assemble(csv_import *c);

#endif
