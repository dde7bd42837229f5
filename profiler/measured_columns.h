/* The columns of measured tables: one list from which reading, checks and writing come. Private to
 * profiler/measured*.c. */
#ifndef MOE_PROFILER_MEASURED_COLUMNS_H
#define MOE_PROFILER_MEASURED_COLUMNS_H

#include "profiler/measured.h"

enum {
    MOE_MEASURED_MOST_EXPERTS = 65533,
    MOE_MEASURED_MOST_TOKENS = 1 << 24,
    MOE_MEASURED_MOST_COLUMNS = 96,
};

typedef enum moe_column_type {
    MOE_COLUMN_TEXT,   /* const char * */
    MOE_COLUMN_CHOICE, /* int: index into choices */
    MOE_COLUMN_WORD,   /* bool: the second of two choices */
    MOE_COLUMN_WHOLE,  /* int64_t, `none`: empty */
    MOE_COLUMN_REAL,   /* double, 0: empty */
    MOE_COLUMN_LOADS,  /* loads, n_loads, draws, ends */
} moe_column_type;

typedef struct moe_column {
    const char *name;
    moe_column_type type;
    size_t offset;
    const char *const *choices; /* NULL-terminated; "" stands for none */
    double max;                 /* of numbers, which are above 0 */
    unsigned may, must;         /* kinds that have it, that lack it in vain; bits 1 << kind */
    int64_t none;               /* what a whole number is where it is not written */
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
/* A row whose texts are all "". */
moe_measured_row moe_measured_blank(moe_measured *table);
/* Appends a complete row as it is. */
void moe_measured_append(moe_measured *table, const moe_measured_row *row);
/* Sets a row aside. */
void moe_measured_mark_odd(moe_measured *table, size_t i, const char *why);
/* Keeps a note about the file begun last. */
void moe_measured_note(moe_measured *table, const char *text);
/* Loads as the row's distribution says; NULL or what is wrong. */
/* Whether SGLang's bench of this version timed a device on other devices' choices, too: until
 * 0.5.10 (profiler/routing_draws.h). */
bool moe_measured_brings_strays(const char *version);
const char *moe_measured_spread(moe_measured *table, moe_measured_row *row);
/* n zeros of the table's: loads of a row, or the ends of its draws. */
uint32_t *moe_measured_loads(moe_measured *table, uint32_t n);

#endif
