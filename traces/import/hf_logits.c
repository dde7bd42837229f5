/* Hugging Face transformers: the router logits that a model returns with output_router_logits, one
 * tensor [sequences * length, experts] per MoE layer, saved as npz or safetensors. Softmax, then
 * the k most probable; the logits are kept, so that transforms can choose anew. */
#include "traces/import/arrays.h"

#include <glib.h>

static int
hf_logits_sniff(const char *path, const char *head, size_t n)
{
    bool tensors = n > 9 && head[8] == '{';
    if (!moe_arrays_head(head, n) || g_strstr_len(head, (gssize)n, "moesim-routing"))
        return 0;
    return tensors && g_strstr_len(head + 8, (gssize)(n - 8), "logits") ? 60 : 5;
}

static moe_routing_builder *
hf_logits_run(moe_import_job *job)
{
    return moe_arrays_import(job, "transformers", MOE_ROWS_BATCH_FIRST);
}

const moe_importer moe_importer_hf_logits = {
    .name = "hf-logits",
    .help =
        "Router logits of transformers (output_router_logits=True), one array [tokens, experts] "
        "per MoE layer, in order of the number in its name, as safetensors or npz; --top-k or "
        "--model says how many are used, --sequences how many sequences of equal length follow "
        "one another, --renormalise that their weights sum to 1. attention_mask, input_ids and "
        "prompt_lengths may stand beside them.",
    .many = true,
    .sniff = hf_logits_sniff,
    .run = hf_logits_run,
};
