/* The columns of measured tables: one list from which reading, checks and writing come. Private to
 * profiler/measured*.c. */
#ifndef MOE_PROFILER_MEASURED_COLUMNS_H
#define MOE_PROFILER_MEASURED_COLUMNS_H

#include "profiler/measured.h"

typedef enum moe_column_type {
    MOE_COLUMN_TEXT,   /* const char * */
    MOE_COLUMN_CHOICE, /* int: index into choices */
    MOE_COLUMN_WORD,   /* bool: the second of two choices */
    MOE_COLUMN_WHOLE,  /* int64_t, 0: empty */
    MOE_COLUMN_REAL,   /* double, 0: empty */
    MOE_COLUMN_LOADS,  /* loads and n_loads */
} moe_column_type;

typedef struct moe_column {
    const char *name;
    moe_column_type type;
    size_t offset;
    const char *const *choices; /* NULL-terminated; "" stands for none */
    double max;                 /* of numbers, which are above 0 */
    unsigned may, must;         /* kinds that have it, that lack it in vain; bits 1 << kind */
} moe_column;

extern const moe_column moe_columns[];
extern const size_t moe_n_columns;

/* A row's value in a column, as it is written. */
void moe_measured_field(const moe_column *column, const moe_measured_row *row, GString *out);
/* Keeps a text for as long as the table lives. */
const char *moe_measured_intern(moe_measured *table, const char *text);
/* Derives what a row leaves out (defaults, loads) and checks it; NULL or what is wrong with it
 * (*column: where, or NULL for the row as a whole). Loads that are derived are the table's. */
const char *moe_measured_complete(moe_measured *table, moe_measured_row *row, const char **column);
/* Appends a complete row as it is. */
void moe_measured_append(moe_measured *table, const moe_measured_row *row);
uint32_t *moe_measured_loads(moe_measured *table, uint32_t n);

#endif
