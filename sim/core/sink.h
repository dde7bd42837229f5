/* What a run hands over: rows of named tables, held in memory until the run is done, so that a
 * store can write them in one transaction and nothing of a failed run is ever seen.
 *
 * Rows keep the order in which they were added. Texts are copied. */
#ifndef MOE_CORE_SINK_H
#define MOE_CORE_SINK_H

#include "sim/base/base.h"

typedef enum moe_cell_kind {
    MOE_CELL_NULL,
    MOE_CELL_INT,
    MOE_CELL_REAL,
    MOE_CELL_TEXT
} moe_cell_kind;

typedef struct moe_cell {
    moe_cell_kind kind;
    union {
        int64_t integer;
        double real;
        const char *text;
    };
} moe_cell;

static inline moe_cell
moe_null(void)
{
    return (moe_cell){.kind = MOE_CELL_NULL};
}
static inline moe_cell
moe_int(int64_t v)
{
    return (moe_cell){.kind = MOE_CELL_INT, .integer = v};
}
static inline moe_cell
moe_real(double v)
{
    return (moe_cell){.kind = MOE_CELL_REAL, .real = v};
}
static inline moe_cell
moe_text(const char *v)
{
    return (moe_cell){.kind = MOE_CELL_TEXT, .text = v};
}

typedef struct moe_result moe_result;

moe_result *moe_result_new(void);
void moe_result_free(moe_result *result);
/* Appends one row to `table`; n cells in the order of the table's columns (analysis/schema.h),
 * without the run's key, which the store adds. */
void moe_result_add(moe_result *result, const char *table, const moe_cell *cells, size_t n);
size_t moe_result_tables(const moe_result *result);
const char *moe_result_table(const moe_result *result, size_t table);
size_t moe_result_rows(const moe_result *result, size_t table);
/* The cells of a row, borrowed; their number in *n. */
const moe_cell *moe_result_row(const moe_result *result, size_t table, size_t row, size_t *n);
/* The value of row `name` (first cell) in table "metric", second cell; NAN when absent. */
double moe_result_metric(const moe_result *result, const char *name);

#endif
