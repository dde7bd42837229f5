/* Tables per expert and per layer from any bytes: every value that comes out is in range. */
#include "traces/transform/table.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t layer_ids[] = {1, 2, 5};
    static const moe_table_shape shapes[] = {
        {layer_ids, 3, 8, "bits", 0.5, 16, false},
        {layer_ids, 3, 8, "to", 0, 7, true},
        {layer_ids, 3, 8, NULL, 0, 0, false},
        {layer_ids, 3, 0, "bound", 0, 1, false},
    };
    for (size_t s = 0; s < MOE_COUNT(shapes); s++) {
        const moe_table_shape *shape = &shapes[s];
        g_autoptr(moe_diag) diag = moe_diag_new();
        double *values = moe_table_parse("table", (const char *)data, size, shape, diag);
        moe_assert((values == NULL) == (moe_diag_errors(diag) > 0), "shape %zu: %u messages", s,
                   moe_diag_errors(diag));
        for (size_t i = 0; values && i < 3 * (size_t)MAX(shape->n_experts, 1); i++)
            moe_assert(isnan(values[i]) || !shape->column ||
                           (values[i] >= shape->min && values[i] <= shape->max),
                       "shape %zu: value %zu is %g", s, i, values[i]);
        g_free(values);
    }
    return 0;
}
