#include "sim/core/sink.h"

#include "tests/test.h"

#include <math.h>

static void
rows_in_order(void)
{
    moe_result *result = moe_result_new();
    char text[8] = "first";
    MOE_CHECK(moe_result_tables(result) == 0, "tables in a new result");
    moe_result_add(result, "layer", (moe_cell[]){moe_int(1), moe_text(text), moe_null()}, 3);
    moe_result_add(result, "device", (moe_cell[]){moe_real(0.5)}, 1);
    snprintf(text, sizeof text, "second");
    moe_result_add(result, "layer", (moe_cell[]){moe_int(2), moe_text(text), moe_text(NULL)}, 3);
    moe_result_add(result, "empty", NULL, 0);
    MOE_CHECK(moe_result_tables(result) == 3, "%zu tables", moe_result_tables(result));
    CU_ASSERT_STRING_EQUAL(moe_result_table(result, 0), "layer");
    CU_ASSERT_STRING_EQUAL(moe_result_table(result, 1), "device");
    MOE_CHECK(moe_result_rows(result, 0) == 2 && moe_result_rows(result, 1) == 1, "rows");
    size_t n = 0;
    const moe_cell *row = moe_result_row(result, 0, 0, &n);
    MOE_CHECK(n == 3 && row[0].integer == 1 && row[2].kind == MOE_CELL_NULL, "row 0");
    CU_ASSERT_STRING_EQUAL(row[1].text, "first");
    row = moe_result_row(result, 0, 1, &n);
    MOE_CHECK(n == 3 && row[0].integer == 2 && row[2].kind == MOE_CELL_NULL, "row 1");
    CU_ASSERT_STRING_EQUAL(row[1].text, "second");
    moe_result_row(result, 2, 0, &n);
    MOE_CHECK(n == 0, "%zu cells", n);
    moe_result_free(result);
}

static void
metrics(void)
{
    moe_result *result = moe_result_new();
    MOE_CHECK(isnan(moe_result_metric(result, "speed")), "a metric of no table");
    moe_result_add(result, "metric", (moe_cell[]){moe_text("hits"), moe_int(7), moe_null()}, 3);
    moe_result_add(result, "metric", (moe_cell[]){moe_text("speed"), moe_real(1.5)}, 2);
    moe_result_add(result, "metric", (moe_cell[]){moe_text("bound"), moe_null()}, 2);
    MOE_CHECK(moe_result_metric(result, "speed") == 1.5, "speed");
    MOE_CHECK(moe_result_metric(result, "hits") == 7, "hits");
    MOE_CHECK(isnan(moe_result_metric(result, "bound")), "a metric without a value");
    MOE_CHECK(isnan(moe_result_metric(result, "spee")), "an unknown metric");
    moe_result_free(result);
}

MOE_TESTS({"rows in order", rows_in_order}, {"metrics", metrics})
