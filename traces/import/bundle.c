#include "traces/import/bundle.h"

#include "traces/import/mapped.h"
#include "traces/import/npy_format.h"
#include "traces/import/zip.h"

#include <stdlib.h>
#include <string.h>

struct moe_bundle {
    moe_bundle_kind kind;
    const char *file; /* interned */
    moe_diag *diag;
    moe_mapped mapped;
    moe_zip zip;
    moe_mapped *spaces; /* of the zip's members */
    char **names;
    moe_safetensors *tensors;
    moe_array *arrays;
    size_t n;
};

moe_place
moe_bundle_place(const moe_bundle *bundle, const moe_array *array)
{
    return (moe_place){
        .loc = {.file = bundle->file}, .part = array ? array->name : NULL, .diag = bundle->diag};
}

/* ---- opening ---- */

static bool
bundle_npz(moe_bundle *b, const moe_import_job *job)
{
    moe_place whole = moe_bundle_place(b, NULL);
    if (!moe_zip_open(&b->zip, b->mapped.bytes, b->mapped.n_bytes, &whole))
        return false;
    b->spaces = g_new0(moe_mapped, b->zip.n_members + 1);
    b->names = g_new0(char *, b->zip.n_members + 1);
    b->arrays = g_new0(moe_array, b->zip.n_members + 1);
    for (; b->n < b->zip.n_members; b->n++) {
        const moe_zip_member *m = &b->zip.members[b->n];
        size_t length = strlen(m->name);
        length -= g_str_has_suffix(m->name, ".npy") ? 4 : 0;
        b->names[b->n] = g_strndup(m->name, length);
        g_autofree char *part = g_strconcat("member ", m->name, NULL);
        moe_place place = {.loc = whole.loc, .part = part, .diag = b->diag};
        const uint8_t *bytes;
        if (!moe_zip_read(m, &place, job->options->scratch, &b->spaces[b->n], &bytes, job->error) ||
            !moe_npy_parse(&b->arrays[b->n], bytes, m->bytes, &place))
            return false;
        b->arrays[b->n].name = b->names[b->n];
    }
    return b->n > 0 || moe_place_error(&whole, "archive without members");
}

static bool
bundle_safetensors(moe_bundle *b)
{
    b->tensors = moe_safetensors_parse(b->file, b->mapped.bytes, b->mapped.n_bytes, b->diag);
    if (!b->tensors)
        return false;
    size_t n = moe_safetensors_count(b->tensors);
    b->arrays = g_new0(moe_array, n + 1);
    for (; b->n < n; b->n++) {
        const moe_tensor *tensor = moe_safetensors_at(b->tensors, b->n);
        if (moe_array_of_tensor(&b->arrays[b->n], tensor))
            continue;
        moe_place place = {.loc = {.file = b->file}, .part = tensor->name, .diag = b->diag};
        return moe_place_error(&place, "a tensor of type %s; wants whole numbers or F16 to F64",
                               moe_tensor_type_name(tensor->type));
    }
    return true;
}

static bool
bundle_read(moe_bundle *b, const moe_import_job *job)
{
    moe_place whole = moe_bundle_place(b, NULL);
    const uint8_t *bytes = b->mapped.bytes;
    size_t n = b->mapped.n_bytes;
    if (n == 0)
        return moe_place_error(&whole, "the file is empty");
    if (moe_zip_is(bytes, n)) {
        b->kind = MOE_BUNDLE_NPZ;
        return bundle_npz(b, job);
    }
    if (!moe_npy_is(bytes, n)) {
        b->kind = MOE_BUNDLE_SAFETENSORS;
        return bundle_safetensors(b);
    }
    b->kind = MOE_BUNDLE_NPY;
    b->arrays = g_new0(moe_array, 1);
    b->n = 1;
    return moe_npy_parse(&b->arrays[0], bytes, n, &whole);
}

moe_bundle *
moe_bundle_open(const moe_import_job *job, size_t i)
{
    moe_bundle *b = g_new0(moe_bundle, 1);
    b->file = moe_diag_intern(job->diag, job->paths[i]);
    b->diag = job->diag;
    if (moe_mapped_open(&b->mapped, job, i) && bundle_read(b, job))
        return b;
    moe_bundle_close(b);
    return NULL;
}

void
moe_bundle_close(moe_bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; b->spaces && i < b->zip.n_members; i++) {
        moe_mapped_close(&b->spaces[i]);
        g_free(b->names[i]);
    }
    g_free(b->spaces);
    g_free(b->names);
    moe_zip_clear(&b->zip);
    moe_safetensors_close(b->tensors);
    g_free(b->arrays);
    moe_mapped_close(&b->mapped);
    g_free(b);
}

/* ---- what it holds ---- */

moe_bundle_kind
moe_bundle_kind_of(const moe_bundle *bundle)
{
    return bundle->kind;
}

size_t
moe_bundle_count(const moe_bundle *bundle)
{
    return bundle->n;
}

const moe_array *
moe_bundle_at(const moe_bundle *bundle, size_t i)
{
    return &bundle->arrays[i];
}

const moe_array *
moe_bundle_find(const moe_bundle *bundle, const char *name)
{
    for (size_t i = 0; i < bundle->n; i++)
        if (strcmp(bundle->arrays[i].name, name) == 0)
            return &bundle->arrays[i];
    return NULL;
}

double
moe_bundle_bytes(const moe_bundle *bundle)
{
    return (double)bundle->mapped.n_bytes;
}
