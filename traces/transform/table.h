/* Tables of numbers per expert or per layer, as CSV, that masks, maps and bounds are read from:
 *
 *     layer,expert,bits            layer,bound
 *     1,68,3                       *,0.5
 *
 * A header line with these columns in this order, perhaps more to the right of them; `layer` is the
 * layer's number in the model (metadata layer_ids), or * for every layer. Blank lines and lines
 * that begin with # are skipped. */
#ifndef MOE_TRACES_TRANSFORM_TABLE_H
#define MOE_TRACES_TRANSFORM_TABLE_H

#include "traces/transform/transform.h"

typedef struct moe_table_shape {
    const uint32_t *layer_ids;
    uint32_t n_layers, n_experts; /* n_experts 0: a table per layer */
    const char *column;           /* name of the value's column; NULL: there is none, 1 is meant */
    double min, max;
    bool whole; /* whole numbers only */
} moe_table_shape;

/* [n_layers * n_experts] (or [n_layers]) values, NAN where the table says nothing; yours. NULL
 * after messages such as "keep.csv:3:5: …" (unknown layers and experts, values out of range, an
 * entry that was there before). */
double *moe_table_parse(const char *name, const char *text, size_t length,
                        const moe_table_shape *shape, moe_diag *diag);
/* The same from a file that a transform's parameter names. */
double *moe_table_read(const moe_transform_job *job, const char *name,
                       const moe_table_shape *shape);
/* The shape of a table per expert of the job's routing. */
moe_table_shape moe_table_of(const moe_transform_job *job, const char *column, double min,
                             double max, bool whole);

#endif
