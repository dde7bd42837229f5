/* Measured tables of other projects, as rows of measured tables (profiler/measured.h).
 *
 * A layout is one descriptor in profiler/tables_NAME.c and one line in profiler/tables.def. It is
 * recognised by the columns that it must have; other columns are tolerated, and named in a note of
 * the table. Where the shape stands in the file's name only, it is taken from there, which a note
 * says. Private to profiler/tables*.c and profiler/measured*.c.
 *
 * What is wrong with a number or a word is a located message; a row that no device can have
 * measured is left out, and counted; when they are many, the table is in another unit, which is an
 * error. */
#ifndef MOE_PROFILER_TABLES_H
#define MOE_PROFILER_TABLES_H

#include "profiler/measured_columns.h"
#include "traces/csv_fields.h"

typedef struct moe_layout_column {
    const char *name;
    bool must; /* a table without it is not of this layout */
} moe_layout_column;

typedef struct moe_foreign moe_foreign;

typedef struct moe_layout {
    const char *name; /* "aiconfigurator moe_perf" */
    const char *help; /* what its rows become */
    const moe_layout_column *columns;
    size_t n_columns;
    const char *unit;    /* of its times: "milliseconds" */
    double microseconds; /* that one unit is */
    /* What the file's name says, once, into f->row; false after a message. May be NULL. */
    bool (*begin)(moe_foreign *f);
    /* The line at hand, as rows given to moe_foreign_add. */
    void (*row)(moe_foreign *f);
    /* All lines were read: for what rows say of each other. May be NULL. */
    void (*end)(moe_foreign *f);
} moe_layout;

#define MOE_LAYOUT(symbol) extern const moe_layout moe_layout_##symbol;
#include "profiler/tables.def"
#undef MOE_LAYOUT

extern const moe_layout *const moe_layouts[]; /* NULL-terminated */

enum { MOE_LAYOUT_MAX_COLUMNS = 64 };

/* A table that is being read. */
struct moe_foreign {
    const moe_layout *layout;
    moe_measured *table;
    moe_text_lines *lines;
    moe_csv_fields *fields;
    int at[MOE_LAYOUT_MAX_COLUMNS]; /* field of each of the layout's columns, -1: it has none */
    uint32_t n_fields;              /* of the header */
    moe_measured_row base;          /* what all rows of the file say */
    moe_measured_row row;           /* the row at hand, which begins as the base */
    int64_t shape[8];               /* of the file's name, as the layout wants it */
    size_t first;                   /* of the table's rows, that is of this file */
    bool failed;                    /* a message was made about the line at hand */
    bool listed;                    /* the dtypes that are known were said */
    unsigned said;                  /* moe_foreign_first */
    uint64_t added;
    struct moe_left_out {
        uint64_t rows, line; /* the first of them, and why it is */
        const char *why;
    } aside, skipped; /* that cannot be; of what is not modelled */
};

/* The layout of a header line; NULL: none, *close is then the one that most of its columns are
 * of (NULL: none at all), and *missing its columns that are not there ("'a', 'b'", yours). */
const moe_layout *moe_layout_find(const moe_csv_fields *header, const moe_layout **close,
                                  char **missing);
/* Begins with the header at hand; `name` is the file's. */
bool moe_foreign_begin(moe_foreign *f, const moe_layout *layout, moe_measured *table,
                       moe_text_lines *lines, moe_csv_fields *fields);
bool moe_foreign_read(moe_foreign *f); /* the line at hand; false after a message */
bool moe_foreign_end(moe_foreign *f);  /* false after a message */

/* Why a row of a file is to be set aside; NULL: it is not. */
const char *moe_known_odd(const moe_measured_row *row, const char *file);

/* Sets aside rows of a file, from `first` on, whose kernels may not be tuned (tables_odd.c). */
void moe_known_odd_tuning(moe_measured *table, size_t first);

/* ---- for layouts: columns are numbers in the layout's list ---- */

bool moe_foreign_has(const moe_foreign *f, int column); /* it is there and says something */
/* "" where it is not there; the table's. */
const char *moe_foreign_text(moe_foreign *f, int column);
/* A whole number from 1 to max (0: from 0 to max is fine for `least` 0); `otherwise` where the
 * column is not there or empty and not a must. */
int64_t moe_foreign_whole(moe_foreign *f, int column, int64_t least, int64_t otherwise);
double moe_foreign_real(moe_foreign *f, int column, double otherwise);
/* Bits and the common name of a dtype; false after a message that lists those known. */
typedef struct moe_foreign_type {
    const char *name, *common;
    double weight_bits, activation_bits;
} moe_foreign_type;
bool moe_foreign_dtype(moe_foreign *f, int column, moe_foreign_type *out);
bool moe_foreign_find_dtype(const char *name, moe_foreign_type *out);
char *moe_foreign_dtypes(void); /* of all that are known: yours */
/* Says something about the line at hand, in the place of a column. */
void moe_foreign_fail(moe_foreign *f, int column, const char *fmt, ...) MOE_PRINTF(3, 4);
/* Adds f->row with a time in the layout's unit; out of it, where it cannot be. */
void moe_foreign_add(moe_foreign *f, double time);
/* The row at hand cannot be: counted, with the first of the reasons (static text). */
void moe_foreign_set_aside(moe_foreign *f, const char *why);
/* It can, but is of something that is not modelled: the same. */
void moe_foreign_skip(moe_foreign *f, const char *what);
void moe_foreign_note(moe_foreign *f, const char *fmt, ...) MOE_PRINTF(2, 3);
/* Whether this is the first call for a bit (of the layout's own), for notes that rows give rise to.
 */
bool moe_foreign_first(moe_foreign *f, unsigned bit);
/* The file's name without folders and without .csv, .gz, .zst: yours. */
char *moe_foreign_stem(const moe_foreign *f);

#endif
