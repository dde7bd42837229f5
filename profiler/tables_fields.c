/* Fields of a line of a foreign table. */
#include "profiler/tables.h"
#include "sim/base/units.h"

#include <inttypes.h>
#include <string.h>

static const moe_csv_field *
field_at(const moe_foreign *f, int column)
{
    int at = f->at[column];
    return at >= 0 ? &f->fields->fields[at] : NULL;
}

bool
moe_foreign_has(const moe_foreign *f, int column)
{
    const moe_csv_field *field = field_at(f, column);
    return field && field->n > 0;
}

void
moe_foreign_fail(moe_foreign *f, int column, const char *fmt, ...)
{
    const moe_csv_field *field = column >= 0 ? field_at(f, column) : NULL;
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_text_lines_fail(f->lines, field ? field->place : NULL, "%s", text);
    f->failed = true;
}

const char *
moe_foreign_text(moe_foreign *f, int column)
{
    if (!moe_foreign_has(f, column))
        return moe_measured_intern(f->table, "");
    const moe_csv_field *field = field_at(f, column);
    g_autofree char *text = g_strndup(field->at, field->n);
    if (!g_utf8_validate(text, -1, NULL)) {
        moe_foreign_fail(f, column, "'%s' is not UTF-8", f->layout->columns[column].name);
        return moe_measured_intern(f->table, "");
    }
    return moe_measured_intern(f->table, text);
}

/* Its text in a buffer; false, after a message where it must be, when there is none. */
static bool
number_text(moe_foreign *f, int column, char *out, size_t size)
{
    const moe_csv_field *field = field_at(f, column);
    if (!moe_foreign_has(f, column)) {
        if (f->layout->columns[column].must)
            moe_foreign_fail(f, column, "'%s' is empty", f->layout->columns[column].name);
        return false;
    }
    size_t n = MIN(field->n, size - 1);
    memcpy(out, field->at, n);
    out[n] = 0;
    return true;
}

int64_t
moe_foreign_whole(moe_foreign *f, int column, int64_t least, int64_t otherwise)
{
    char text[48];
    int64_t value = 0;
    double real = 0;
    const int64_t most = INT64_C(1) << 40;

    if (!number_text(f, column, text, sizeof text))
        return otherwise;
    if (!moe_parse_int(text, &value) && moe_parse_real(text, &real) && real >= 0 &&
        real <= (double)most && real == (double)(int64_t)real)
        value = (int64_t)real; /* "8.0" */
    else if (!moe_parse_int(text, &value))
        value = least - 1;
    if (value >= least && value <= most)
        return value;
    g_autofree char *said = g_utf8_make_valid(text, -1);
    moe_foreign_fail(f, column, "'%s' wants a whole number from %" PRId64 ", not '%s'",
                     f->layout->columns[column].name, least, said);
    return otherwise;
}

double
moe_foreign_real(moe_foreign *f, int column, double otherwise)
{
    char text[64];
    double value = 0;

    if (!number_text(f, column, text, sizeof text))
        return otherwise;
    if (moe_parse_real(text, &value) && value >= 0)
        return value;
    g_autofree char *said = g_utf8_make_valid(text, -1);
    moe_foreign_fail(f, column, "'%s' wants a number from 0, not '%s'",
                     f->layout->columns[column].name, said);
    return otherwise;
}

char *
moe_foreign_stem(const moe_foreign *f)
{
    static const char *const ends[] = {".gz", ".zst", ".csv"};
    char *name = g_path_get_basename(moe_measured_file(f->table, f->base.file));
    for (size_t i = 0; i < MOE_COUNT(ends); i++)
        if (g_str_has_suffix(name, ends[i]))
            name[strlen(name) - strlen(ends[i])] = 0;
    return name;
}

/* ---- dtypes ---- */

/* Names of other projects, and the arithmetic types of hw/kernels.h where there is one; bits of a
 * block's scales are a part of each weight's. */
static const moe_foreign_type dtypes[] = {
    {"bfloat16", "bf16", 16, 16},
    {"bf16", "bf16", 16, 16},
    {"BF16", "bf16", 16, 16},
    {"float16", "fp16", 16, 16},
    {"half", "fp16", 16, 16},
    {"fp16", "fp16", 16, 16},
    {"FP16", "fp16", 16, 16},
    {"float32", "fp32", 32, 32},
    {"fp32", "fp32", 32, 32},
    {"fp8", "fp8", 8, 8},
    {"FP8", "fp8", 8, 8},
    {"fp8_static", "fp8", 8, 8},
    {"fp8_ootb", "fp8", 8, 8},
    {"fp8_e4m3", "fp8", 8, 8},
    {"fp8_block", "fp8_block", 8, 8},
    {"int8", "int8", 8, 8},
    {"sq", "int8", 8, 8},          /* smooth quantisation */
    {"int8_wo", "int8_wo", 8, 16}, /* weights only */
    {"int4_wo", "int4_wo", 4.125, 16},
    {"int4", "int4_wo", 4.125, 16},
    {"awq", "int4_wo", 4.125, 16},
    {"gptq", "int4_wo", 4.125, 16},
    {"w4afp8", "w4a8", 4.125, 8},
    {"nvfp4", "nvfp4", 4.5, 4.5},
    {"w4a16_nvfp4", "nvfp4_wo", 4.5, 16},
    {"mxfp4", "mxfp4", 4.25, 16},
    {"w4a16_mxfp4", "mxfp4", 4.25, 16},
    {"w4a8_mxfp4_mxfp8", "w4a8_mxfp4", 4.25, 8},
    {"w4a8_mxfp4_fp8", "w4a8_mxfp4", 4.25, 8},
    {"w4a4_mxfp4", "w4a4_mxfp4", 4.25, 4.25},
    {"mxfp8", "mxfp8", 8.25, 8.25},
};

bool
moe_foreign_find_dtype(const char *name, moe_foreign_type *out)
{
    for (size_t i = 0; i < MOE_COUNT(dtypes); i++)
        if (!strcmp(dtypes[i].name, name)) {
            *out = dtypes[i];
            return true;
        }
    return false;
}

char *
moe_foreign_dtypes(void)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < MOE_COUNT(dtypes); i++)
        g_string_append_printf(out, "%s%s", i ? ", " : "", dtypes[i].name);
    return g_string_free(out, FALSE);
}

bool
moe_foreign_dtype(moe_foreign *f, int column, moe_foreign_type *out)
{
    const char *name = moe_foreign_text(f, column);
    if (moe_foreign_find_dtype(name, out))
        return true;
    if (f->failed)
        return false;
    g_autofree char *known = f->listed ? g_strdup("") : moe_foreign_dtypes();
    moe_foreign_fail(f, column, "'%s' is no known %s%s%s", name, f->layout->columns[column].name,
                     f->listed ? "" : ": ", known);
    f->listed = true;
    return false;
}
