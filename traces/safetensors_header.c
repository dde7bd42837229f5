#include "traces/safetensors_header.h"

#include "traces/json_scan.h"

#include <string.h>

/* Parsing works in two kinds of steps: the scanner's syntax, where the first failure ends it, and
 * what the entries say, where messages are collected. */
typedef struct header_reader {
    moe_scan scan;
    moe_safetensors_header *header;
    moe_loc loc;
    moe_diag *diag;
} header_reader;

static const struct {
    const char *name;
    unsigned bits;
} header_types[MOE_TENSOR_TYPES] = {
    [MOE_TENSOR_BOOL] = {"BOOL", 8},       [MOE_TENSOR_U8] = {"U8", 8},
    [MOE_TENSOR_I8] = {"I8", 8},           [MOE_TENSOR_U16] = {"U16", 16},
    [MOE_TENSOR_I16] = {"I16", 16},        [MOE_TENSOR_F16] = {"F16", 16},
    [MOE_TENSOR_BF16] = {"BF16", 16},      [MOE_TENSOR_U32] = {"U32", 32},
    [MOE_TENSOR_I32] = {"I32", 32},        [MOE_TENSOR_F32] = {"F32", 32},
    [MOE_TENSOR_U64] = {"U64", 64},        [MOE_TENSOR_I64] = {"I64", 64},
    [MOE_TENSOR_F64] = {"F64", 64},        [MOE_TENSOR_C64] = {"C64", 64},
    [MOE_TENSOR_F8_E4M3] = {"F8_E4M3", 8}, [MOE_TENSOR_F8_E5M2] = {"F8_E5M2", 8},
    [MOE_TENSOR_F8_E8M0] = {"F8_E8M0", 8}, [MOE_TENSOR_F6_E2M3] = {"F6_E2M3", 6},
    [MOE_TENSOR_F6_E3M2] = {"F6_E3M2", 6}, [MOE_TENSOR_F4] = {"F4", 4},
};

const char *
moe_tensor_type_name(moe_tensor_type type)
{
    return header_types[type].name;
}

unsigned
moe_tensor_type_bits(moe_tensor_type type)
{
    return header_types[type].bits;
}

static bool
header_type(const char *text, moe_tensor_type *out)
{
    for (int i = 0; i < MOE_TENSOR_TYPES; i++) {
        if (strcmp(header_types[i].name, text) == 0) {
            *out = (moe_tensor_type)i;
            return true;
        }
    }
    return false;
}

/* Room for one more element in a growing array; false when there is no memory. */
static bool
header_grow(void **array, size_t *max, size_t n, size_t size)
{
    if (n < *max)
        return true;
    size_t more = *max ? *max * 2 : 16;
    void *bigger = g_try_realloc_n(*array, more, size);
    if (!bigger)
        return false;
    *array = bigger;
    *max = more;
    return true;
}

static bool
header_no_memory(header_reader *r)
{
    return moe_scan_fail(&r->scan, "more entries than there is memory for");
}

/* Names are shown in messages and used as keys: printable, not empty. */
static bool
header_plain(header_reader *r, const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return moe_scan_fail(&r->scan, "control character in a name");
    return *name || moe_scan_fail(&r->scan, "empty name");
}

static bool
header_metadata(header_reader *r)
{
    moe_safetensors_header *h = r->header;
    if (!moe_scan_take(&r->scan, '{'))
        return false;
    if (moe_scan_maybe(&r->scan, '}'))
        return true;
    do {
        const char *key = moe_scan_text(&r->scan);
        if (!key || !header_plain(r, key) || !moe_scan_take(&r->scan, ':'))
            return false;
        const char *value = moe_scan_text(&r->scan);
        if (!value)
            return false;
        if (!header_grow((void **)&h->meta, &h->max_meta, h->n_meta, sizeof *h->meta))
            return header_no_memory(r);
        h->meta[h->n_meta++] = (moe_meta){key, value};
    } while (moe_scan_maybe(&r->scan, ','));
    return moe_scan_take(&r->scan, '}');
}

static bool
header_shape(header_reader *r, moe_tensor *tensor)
{
    if (!moe_scan_take(&r->scan, '['))
        return false;
    if (moe_scan_maybe(&r->scan, ']'))
        return true;
    do {
        if (tensor->rank == MOE_TENSOR_MAX_RANK)
            return moe_scan_fail(&r->scan, "more than 8 dimensions");
        if (!moe_scan_whole(&r->scan, &tensor->shape[tensor->rank]))
            return false;
        tensor->rank++;
    } while (moe_scan_maybe(&r->scan, ','));
    return moe_scan_take(&r->scan, ']');
}

static bool
header_offsets(header_reader *r, uint64_t *begin, uint64_t *end)
{
    return moe_scan_take(&r->scan, '[') && moe_scan_whole(&r->scan, begin) &&
           moe_scan_take(&r->scan, ',') && moe_scan_whole(&r->scan, end) &&
           moe_scan_take(&r->scan, ']');
}

/* Shape x type against the offsets. */
static void
header_check_size(header_reader *r, moe_tensor *tensor, uint64_t end)
{
    uint64_t n = 1, bits;
    bool overflow = false;
    for (uint32_t i = 0; i < tensor->rank; i++)
        overflow |= __builtin_mul_overflow(n, tensor->shape[i], &n);
    overflow |= __builtin_mul_overflow(n, (uint64_t)moe_tensor_type_bits(tensor->type), &bits);
    if (overflow) {
        moe_diag_error(r->diag, r->loc, "tensor %.100s: the shape overflows", tensor->name);
        return;
    }
    if (end < tensor->offset) {
        moe_diag_error(r->diag, r->loc,
                       "tensor %.100s: data_offsets end (%" G_GUINT64_FORMAT
                       ") before they begin (%" G_GUINT64_FORMAT ")",
                       tensor->name, end, tensor->offset);
        return;
    }
    tensor->n_elements = n;
    tensor->bytes = end - tensor->offset;
    if (bits % 8 || bits / 8 != tensor->bytes) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(r->diag, r->loc,
                       "tensor %.100s: %s takes %" G_GUINT64_FORMAT
                       " bytes, but its data_offsets hold %" G_GUINT64_FORMAT,
                       tensor->name, shape, bits / 8 + (bits % 8 != 0), tensor->bytes);
    }
}

/* {"dtype": text, "shape": [whole, …], "data_offsets": [begin, end]}, each exactly once. */
static bool
header_tensor(header_reader *r, const char *name)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };
    moe_tensor tensor = {.name = name};
    const char *dtype = NULL;
    uint64_t end = 0;
    unsigned seen = 0, field;
    if (!moe_scan_take(&r->scan, '{'))
        return false;
    do {
        const char *key = moe_scan_text(&r->scan);
        if (!key || !moe_scan_take(&r->scan, ':'))
            return false;
        bool ok;
        if (strcmp(key, "dtype") == 0) {
            field = DTYPE;
            ok = (dtype = moe_scan_text(&r->scan)) != NULL;
        } else if (strcmp(key, "shape") == 0) {
            field = SHAPE;
            ok = (seen & SHAPE) || header_shape(r, &tensor);
        } else if (strcmp(key, "data_offsets") == 0) {
            field = OFFSETS;
            ok = header_offsets(r, &tensor.offset, &end);
        } else {
            return moe_scan_fail(&r->scan, "a tensor has dtype, shape and data_offsets only");
        }
        if (!ok)
            return false;
        if (seen & field)
            return moe_scan_fail(&r->scan, "key written twice");
        seen |= field;
    } while (moe_scan_maybe(&r->scan, ','));
    if (!moe_scan_take(&r->scan, '}'))
        return false;
    if (seen != ALL)
        return moe_scan_fail(&r->scan, "a tensor wants dtype, shape and data_offsets");
    if (!header_type(dtype, &tensor.type))
        moe_diag_error(r->diag, r->loc, "tensor %.100s: unknown dtype '%.20s'", name, dtype);
    else
        header_check_size(r, &tensor, end);

    moe_safetensors_header *h = r->header;
    if (!header_grow((void **)&h->tensors, &h->max_tensors, h->n_tensors, sizeof *h->tensors))
        return header_no_memory(r);
    h->tensors[h->n_tensors++] = tensor;
    return true;
}

static bool
header_object(header_reader *r)
{
    bool metadata = false;
    if (r->scan.at == r->scan.end || *r->scan.at != '{')
        return moe_scan_fail(&r->scan, "wants '{'");
    if (!moe_scan_take(&r->scan, '{'))
        return false;
    if (moe_scan_maybe(&r->scan, '}'))
        return moe_scan_end(&r->scan);
    do {
        const char *name = moe_scan_text(&r->scan);
        if (!name || !header_plain(r, name) || !moe_scan_take(&r->scan, ':'))
            return false;
        if (strcmp(name, "__metadata__") != 0) {
            if (!header_tensor(r, name))
                return false;
            continue;
        }
        if (metadata)
            return moe_scan_fail(&r->scan, "__metadata__ written twice");
        metadata = true;
        if (!header_metadata(r))
            return false;
    } while (moe_scan_maybe(&r->scan, ','));
    return moe_scan_take(&r->scan, '}') && moe_scan_end(&r->scan);
}

bool
moe_safetensors_header_parse(moe_safetensors_header *header, const char *file, const char *text,
                             size_t length, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    header_reader r = {.header = header, .loc = {.file = file}, .diag = diag};
    const char *bad;
    if (!g_utf8_validate_len(text, length, &bad)) {
        moe_diag_error(diag, r.loc, "header, byte %td: %s", bad - text,
                       *bad ? "not UTF-8" : "NUL in the header");
        return false;
    }
    header->store = g_try_malloc(length + 1);
    if (!header->store) {
        moe_diag_error(diag, r.loc, "no memory for a header of %zu bytes", length);
        return false;
    }
    r.scan = (moe_scan){.begin = text, .at = text, .end = text + length, .store = header->store};
    if (!header_object(&r))
        moe_diag_error(diag, r.loc, "header, byte %td: %s", r.scan.at - r.scan.begin, r.scan.why);
    return moe_diag_errors(diag) == before;
}

void
moe_safetensors_header_clear(moe_safetensors_header *header)
{
    g_free(header->tensors);
    g_free(header->meta);
    g_free(header->store);
    *header = (moe_safetensors_header){0};
}
