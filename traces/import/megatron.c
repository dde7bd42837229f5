/* Megatron-LM's router replay: ids [tokens, k] of each MoE layer, or one buffer
 * [tokens, layers, k]. Rows are sequence-first: token p of sequence s of b is row p * b + s. */
#include "traces/import/arrays.h"

static int
megatron_sniff(const char *path, const char *head, size_t n)
{
    return moe_arrays_head(head, n) ? 5 : 0; /* nothing in it says so */
}

static moe_routing_builder *
megatron_run(moe_import_job *job)
{
    if (job->options->sequences)
        return moe_arrays_import(job, "megatron", MOE_ROWS_SEQUENCE_FIRST);
    moe_import_fail(job, 0,
                    "rows of the sequences of a batch alternate: --sequences says how many "
                    "there are (the micro-batch size; 1 if it is one sequence)");
    return NULL;
}

const moe_importer moe_importer_megatron = {
    .name = "megatron",
    .help = "Router replay data of Megatron-LM as npz, safetensors or npy: ids [tokens, k] of a "
            "layer each, or [tokens, layers, k]; rows of the --sequences of a batch alternate.",
    .many = true,
    .sniff = megatron_sniff,
    .run = megatron_run,
};
