#include "models/hf_keys.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

moe_loc
moe_hf_loc(const moe_hf_reader *r)
{
    return (moe_loc){.file = r->file};
}

const cJSON *
moe_hf_get(const moe_hf_reader *r, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(r->root, key);
    return node && !cJSON_IsNull(node) ? node : NULL;
}

static int64_t
integer(const moe_hf_reader *r, const char *key, const cJSON *node, int64_t min, int64_t max)
{
    double value = cJSON_IsNumber(node) ? cJSON_GetNumberValue(node) : NAN;

    if (!(value >= (double)min && value <= (double)max) || value != floor(value)) {
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key %s: wants an integer from %" PRId64 " to %" PRId64, key, min, max);
        return min;
    }
    return (int64_t)value;
}

int64_t
moe_hf_need(const moe_hf_reader *r, const char *key, int64_t max)
{
    const cJSON *node = moe_hf_get(r, key);

    if (!node) {
        moe_diag_error(r->diag, moe_hf_loc(r), "key %s: missing", key);
        return 1;
    }
    return integer(r, key, node, 1, max);
}

int64_t
moe_hf_int(const moe_hf_reader *r, const char *key, int64_t fallback, int64_t max)
{
    const cJSON *node = moe_hf_get(r, key);
    return node ? integer(r, key, node, 0, max) : fallback;
}

bool
moe_hf_bool(const moe_hf_reader *r, const char *key, bool fallback)
{
    const cJSON *node = moe_hf_get(r, key);

    if (node && !cJSON_IsBool(node))
        moe_diag_error(r->diag, moe_hf_loc(r), "key %s: wants true or false", key);
    return node ? cJSON_IsTrue(node) : fallback;
}

double
moe_hf_real(const moe_hf_reader *r, const cJSON *node, const char *key, double fallback, double min,
            double max)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(node, key);

    if (!value || cJSON_IsNull(value)) {
        if (isnan(fallback))
            moe_diag_error(r->diag, moe_hf_loc(r), "key %s: missing", key);
        return isnan(fallback) ? min : fallback;
    }
    double number = cJSON_IsNumber(value) ? cJSON_GetNumberValue(value) : NAN;
    if (number >= min && number <= max)
        return number;
    moe_diag_error(r->diag, moe_hf_loc(r), "key %s: wants a number from %g to %g", key, min, max);
    return min;
}

const char *
moe_hf_text(const moe_hf_reader *r, const cJSON *node, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(node, key);

    if (!value || cJSON_IsNull(value))
        return NULL;
    if (!cJSON_IsString(value)) {
        moe_diag_error(r->diag, moe_hf_loc(r), "key %s: wants a text", key);
        return NULL;
    }
    return cJSON_GetStringValue(value);
}

static int
dtype_index(const char *name)
{
    for (int i = 0; moe_dtype_names[i]; i++)
        if (!strcmp(moe_dtype_names[i], name))
            return i;
    moe_assert(false, "dtype '%s'", name);
    return 0;
}

void
moe_hf_dtype(moe_hf_reader *r, const char *fallback)
{
    static const char *const names[][2] = {
        {"bfloat16", "bf16"}, {"float16", "fp16"}, {"float32", "fp32"}};
    const char *torch = moe_hf_text(r, r->root, "torch_dtype");
    const char *dtype = torch ? NULL : fallback;

    if (!torch)
        torch = moe_hf_text(r, r->root, "dtype");
    for (size_t i = 0; torch && i < MOE_COUNT(names); i++)
        if (!strcmp(torch, names[i][0]))
            dtype = names[i][1];
    if (!dtype) {
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key torch_dtype: '%s' is none of bfloat16, float16, float32", torch);
        return;
    }
    r->spec.weights = r->spec.experts = dtype_index(dtype);
    const cJSON *quantisation = moe_hf_get(r, "quantization_config");
    const char *method = quantisation ? moe_hf_text(r, quantisation, "quant_method") : NULL;
    if (!method)
        return;
    if (!strcmp(method, "mxfp4"))
        r->spec.experts = dtype_index("mxfp4");
    else if (!strcmp(method, "fp8"))
        r->spec.weights = r->spec.experts = dtype_index(
            cJSON_HasObjectItem(quantisation, "weight_block_size") ? "fp8_block" : "fp8");
    else
        moe_diag_warning(r->diag, moe_hf_loc(r),
                         "key quantization_config: quant_method '%s' is not read; weights are "
                         "taken as %s",
                         method, dtype);
}
