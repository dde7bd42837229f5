#include "traces/import/array.h"

#include <glib.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t bytes;
} array_types[MOE_ARRAY_TYPES] = {
    [MOE_ARRAY_U8] = {"uint8", 1},    [MOE_ARRAY_I8] = {"int8", 1},
    [MOE_ARRAY_U16] = {"uint16", 2},  [MOE_ARRAY_I16] = {"int16", 2},
    [MOE_ARRAY_U32] = {"uint32", 4},  [MOE_ARRAY_I32] = {"int32", 4},
    [MOE_ARRAY_U64] = {"uint64", 8},  [MOE_ARRAY_I64] = {"int64", 8},
    [MOE_ARRAY_F16] = {"float16", 2}, [MOE_ARRAY_BF16] = {"bfloat16", 2},
    [MOE_ARRAY_F32] = {"float32", 4}, [MOE_ARRAY_F64] = {"float64", 8},
};

const char *
moe_array_type_name(moe_array_type type)
{
    return array_types[type].name;
}

uint32_t
moe_array_type_bytes(moe_array_type type)
{
    return array_types[type].bytes;
}

char *
moe_array_text(const moe_array *array)
{
    GString *text = g_string_new(moe_array_type_name(array->type));
    g_string_append(text, " [");
    for (uint32_t i = 0; i < array->rank; i++)
        g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i ? ", " : "", array->shape[i]);
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

bool
moe_array_pack(moe_array *array, bool fortran, uint64_t n_bytes, uint64_t *bytes)
{
    uint64_t step = moe_array_type_bytes(array->type);
    for (uint32_t i = 0; i < array->rank; i++) {
        uint32_t axis = fortran ? i : array->rank - 1 - i;
        if (step > INT64_MAX)
            return false;
        array->stride[axis] = (int64_t)step;
        if (__builtin_mul_overflow(step, array->shape[axis], &step))
            return false;
    }
    if (bytes)
        *bytes = step;
    return step <= INT64_MAX && step <= n_bytes;
}

bool
moe_array_of_tensor(moe_array *array, const moe_tensor *tensor)
{
    static const struct {
        moe_tensor_type from;
        moe_array_type to;
    } types[] = {
        {MOE_TENSOR_BOOL, MOE_ARRAY_U8},   {MOE_TENSOR_U8, MOE_ARRAY_U8},
        {MOE_TENSOR_I8, MOE_ARRAY_I8},     {MOE_TENSOR_U16, MOE_ARRAY_U16},
        {MOE_TENSOR_I16, MOE_ARRAY_I16},   {MOE_TENSOR_U32, MOE_ARRAY_U32},
        {MOE_TENSOR_I32, MOE_ARRAY_I32},   {MOE_TENSOR_U64, MOE_ARRAY_U64},
        {MOE_TENSOR_I64, MOE_ARRAY_I64},   {MOE_TENSOR_F16, MOE_ARRAY_F16},
        {MOE_TENSOR_BF16, MOE_ARRAY_BF16}, {MOE_TENSOR_F32, MOE_ARRAY_F32},
        {MOE_TENSOR_F64, MOE_ARRAY_F64},
    };
    for (size_t i = 0; i < MOE_COUNT(types); i++) {
        if (types[i].from != tensor->type)
            continue;
        *array = (moe_array){
            .name = tensor->name, .data = tensor->data, .type = types[i].to, .rank = tensor->rank};
        memcpy(array->shape, tensor->shape, sizeof array->shape);
        return moe_array_pack(array, false, tensor->bytes, NULL);
    }
    return false;
}

void
moe_array_at(const moe_array *array, uint32_t axis, uint64_t index, moe_array *out)
{
    moe_assert(axis < array->rank && index < array->shape[axis], "axis %u of %u", axis,
               array->rank);
    moe_array result = *array;
    result.data += (int64_t)index * array->stride[axis];
    result.rank--;
    for (uint32_t i = axis; i < result.rank; i++) {
        result.shape[i] = array->shape[i + 1];
        result.stride[i] = array->stride[i + 1];
    }
    *out = result;
}

void
moe_array_slice(moe_array *array, uint64_t first, uint64_t n)
{
    moe_assert(array->rank > 0 && first <= array->shape[0] && n <= array->shape[0] - first,
               "rows %" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT, first, n);
    array->data += (int64_t)first * array->stride[0];
    array->shape[0] = n;
}

/* ---- reading ---- */

static inline uint16_t
array_16(const uint8_t *at, bool swapped)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t
array_32(const uint8_t *at, bool swapped)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap32(value) : value;
}

static inline uint64_t
array_64(const uint8_t *at, bool swapped)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap64(value) : value;
}

static inline int32_t
array_clamp(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* The place, distance and number of a row's elements. */
typedef struct array_row {
    const uint8_t *at;
    int64_t step;
    uint64_t n;
} array_row;

static array_row
array_row_of(const moe_array *a, uint64_t row)
{
    moe_assert(a->rank == 1 || a->rank == 2, "rank %u", a->rank);
    if (a->rank == 1)
        return (array_row){a->data, a->stride[0], a->shape[0]};
    return (array_row){a->data + (int64_t)row * a->stride[0], a->stride[1], a->shape[1]};
}

#define ARRAY_EACH(row, expression)                                                                \
    do {                                                                                           \
        const uint8_t *at = (row).at;                                                              \
        for (uint64_t i = 0; i < (row).n; i++, at += (row).step)                                   \
            out[i] = (expression);                                                                 \
    } while (0)

void
moe_array_ints(const moe_array *a, uint64_t row, int32_t *out)
{
    array_row r = array_row_of(a, row);
    bool swapped = a->swapped;
    switch (a->type) {
    case MOE_ARRAY_U8:
        ARRAY_EACH(r, *at);
        return;
    case MOE_ARRAY_I8:
        ARRAY_EACH(r, (int8_t)*at);
        return;
    case MOE_ARRAY_U16:
        ARRAY_EACH(r, array_16(at, swapped));
        return;
    case MOE_ARRAY_I16:
        ARRAY_EACH(r, (int16_t)array_16(at, swapped));
        return;
    case MOE_ARRAY_U32:
        ARRAY_EACH(r, array_clamp(array_32(at, swapped)));
        return;
    case MOE_ARRAY_I32:
        ARRAY_EACH(r, (int32_t)array_32(at, swapped));
        return;
    case MOE_ARRAY_U64:
        ARRAY_EACH(r, (int32_t)MIN(array_64(at, swapped), (uint64_t)INT32_MAX));
        return;
    case MOE_ARRAY_I64:
        ARRAY_EACH(r, array_clamp((int64_t)array_64(at, swapped)));
        return;
    default:
        moe_assert(false, "type %d is no whole number", (int)a->type);
    }
}

int64_t
moe_array_whole(const moe_array *a, uint64_t i)
{
    const uint8_t *at = a->data + (int64_t)i * a->stride[0];
    if (a->type == MOE_ARRAY_I64)
        return (int64_t)array_64(at, a->swapped);
    if (a->type == MOE_ARRAY_U64)
        return (int64_t)MIN(array_64(at, a->swapped), (uint64_t)INT64_MAX);
    if (a->type == MOE_ARRAY_U32)
        return array_32(at, a->swapped);
    moe_array one = *a;
    int32_t value;
    one.data = at;
    one.shape[0] = 1;
    moe_array_ints(&one, 0, &value);
    return value;
}

static float
array_f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 half precision, subnormals and non-finite values included. */
static float
array_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = bits >> 10 & 31;
    uint32_t fraction = bits & 0x3FFu;
    if (exponent == 31)
        return array_f32_of_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent)
        return array_f32_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
}

static double
array_double(const uint8_t *at, bool swapped)
{
    uint64_t bits = array_64(at, swapped);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void
moe_array_reals(const moe_array *a, uint64_t row, float *out)
{
    array_row r = array_row_of(a, row);
    bool swapped = a->swapped;
    switch (a->type) {
    case MOE_ARRAY_F16:
        ARRAY_EACH(r, array_half(array_16(at, swapped)));
        return;
    case MOE_ARRAY_BF16:
        ARRAY_EACH(r, array_f32_of_bits((uint32_t)array_16(at, swapped) << 16));
        return;
    case MOE_ARRAY_F32:
        ARRAY_EACH(r, array_f32_of_bits(array_32(at, swapped)));
        return;
    case MOE_ARRAY_F64:
        ARRAY_EACH(r, (float)array_double(at, swapped));
        return;
    default:
        moe_assert(false, "type %d is no real number", (int)a->type);
    }
}
