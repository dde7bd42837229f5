/* npy and npz: ids or router logits as numpy saves them, whatever wrote them. */
#include "traces/import/npy_format.h"

#include "traces/import/arrays.h"
#include "traces/import/zip.h"

static int
npy_sniff(const char *path, const char *head, size_t n)
{
    return moe_npy_is(head, n) ? 60 : 0;
}

static int
npz_sniff(const char *path, const char *head, size_t n)
{
    return moe_zip_is(head, n) ? 60 : 0;
}

static moe_routing_builder *
npy_run(moe_import_job *job)
{
    return moe_arrays_import(job, NULL, MOE_ROWS_BATCH_FIRST);
}

#define NPY_ARRAYS                                                                                 \
    "whole numbers [tokens, layers, k] or [layers, tokens, k] are ids, -1 for none; [tokens, "     \
    "layers] are ids of a top-1 model; real numbers [tokens, experts] are router logits of a "     \
    "layer (with --top-k). "

const moe_importer moe_importer_npy = {
    .name = "npy",
    .help = "Arrays of numpy, one sequence per file: " NPY_ARRAYS
            "Fortran order and big-endian numbers are read, too.",
    .many = true,
    .sniff = npy_sniff,
    .run = npy_run,
};

const moe_importer moe_importer_npz = {
    .name = "npz",
    .help = "Archives of numpy, one sequence per member: " NPY_ARRAYS
            "Several members [tokens, k] or [tokens, experts] are a layer each, in order of the "
            "number in their names. Members sequence, position, phase, step, token_id, domain, "
            "modality, attention_mask (one number per token), prompt_lengths (per sequence) and "
            "layer_ids say what the arrays do not; weights shaped as the ids are their gate "
            "weights.",
    .many = true,
    .sniff = npz_sniff,
    .run = npy_run,
};
