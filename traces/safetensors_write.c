#include "traces/safetensors.h"

#include "traces/json_scan.h"
#include "traces/output.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
write_bytes_of(const moe_tensor *tensor)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return (n * moe_tensor_type_bits(tensor->type) + 7) / 8;
}

static int
write_tensor_order(const void *a, const void *b)
{
    const moe_tensor *x = *(const moe_tensor *const *)a, *y = *(const moe_tensor *const *)b;
    unsigned bits_x = moe_tensor_type_bits(x->type), bits_y = moe_tensor_type_bits(y->type);
    if (bits_x != bits_y)
        return bits_x > bits_y ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int
write_meta_order(const void *a, const void *b)
{
    return strcmp(((const moe_meta *)a)->key, ((const moe_meta *)b)->key);
}

static void
write_meta(GString *out, const moe_meta *meta, size_t n_meta)
{
    g_autofree moe_meta *sorted = g_new(moe_meta, n_meta + 1);
    for (size_t i = 0; i < n_meta; i++)
        sorted[i] = meta[i];
    qsort(sorted, n_meta, sizeof *sorted, write_meta_order);
    g_string_append(out, "\"__metadata__\":{");
    for (size_t i = 0; i < n_meta; i++) {
        if (i)
            g_string_append_c(out, ',');
        moe_json_put_text(out, sorted[i].key);
        g_string_append_c(out, ':');
        moe_json_put_text(out, sorted[i].value);
    }
    g_string_append_c(out, '}');
}

/* The header, padded with spaces so that the data starts at a multiple of `align`. */
static GString *
write_header(const moe_tensor *const *tensors, size_t n_tensors, const moe_meta *meta,
             size_t n_meta, uint64_t align)
{
    GString *out = g_string_new("{");
    uint64_t at = 0;
    if (n_meta)
        write_meta(out, meta, n_meta);
    for (size_t i = 0; i < n_tensors; i++) {
        const moe_tensor *t = tensors[i];
        uint64_t bytes = write_bytes_of(t);
        if (n_meta || i)
            g_string_append_c(out, ',');
        moe_json_put_text(out, t->name);
        g_string_append_printf(out, ":{\"dtype\":\"%s\",\"shape\":[",
                               moe_tensor_type_name(t->type));
        for (uint32_t d = 0; d < t->rank; d++)
            g_string_append_printf(out, "%s%" G_GUINT64_FORMAT, d ? "," : "", t->shape[d]);
        g_string_append_printf(out,
                               "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}",
                               at, at + bytes);
        at += bytes;
    }
    g_string_append_c(out, '}');
    while ((8 + out->len) % align)
        g_string_append_c(out, ' ');
    return out;
}

bool
moe_safetensors_write_aligned(const char *path, const moe_tensor *tensors, size_t n_tensors,
                              const moe_meta *meta, size_t n_meta, uint64_t align, GError **error)
{
    g_autofree const moe_tensor **sorted = g_new(const moe_tensor *, n_tensors + 1);
    for (size_t i = 0; i < n_tensors; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, n_tensors, sizeof *sorted, write_tensor_order);
    GString *header = write_header(sorted, n_tensors, meta, n_meta, align);
    moe_output *output = moe_output_new(path, error);
    if (output) {
        uint64_t length = header->len;
        moe_output_write(output, &length, sizeof length);
        moe_output_write(output, header->str, header->len);
        for (size_t i = 0; i < n_tensors; i++)
            moe_output_write(output, sorted[i]->data, write_bytes_of(sorted[i]));
    }
    bool ok = output && moe_output_finish(output, error);
    g_string_free(header, TRUE);
    return ok;
}

bool
moe_safetensors_write(const char *path, const moe_tensor *tensors, size_t n_tensors,
                      const moe_meta *meta, size_t n_meta, GError **error)
{
    return moe_safetensors_write_aligned(path, tensors, n_tensors, meta, n_meta, 8, error);
}
