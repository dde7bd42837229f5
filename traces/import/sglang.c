/* SGLang: answers of a server with --enable-return-routed-experts to requests with
 * return_routed_experts: meta_info.routed_experts (or sgl_ext.routed_experts of a choice) is the
 * base64 of int32 [tokens - 1, layers, k] without its shape; layers are all of the model's, k comes
 * from --top-k or --model. Files of the expert distribution recorder are pickles; the script
 * sglang_recorder.py beside this file makes an npz of them. */
#include "traces/import/arrays.h"
#include "traces/import/response.h"

static int
sglang_sniff(const char *path, const char *head, size_t n)
{
    static const char *const marks[] = {"\"meta_info\"", "\"sgl_ext\"", NULL};
    return moe_arrays_head(head, n) ? 5 : moe_response_sniff(head, n, marks, 65);
}

static moe_routing_builder *
sglang_run(moe_import_job *job)
{
    if (moe_arrays_are(job, NULL))
        return moe_arrays_import(job, "sglang", MOE_ROWS_BATCH_FIRST);
    return moe_response_import(job, "sglang");
}

const moe_importer moe_importer_sglang = {
    .name = "sglang",
    .help = "Routed experts of SGLang: answers of its server as JSON or JSONL, whose "
            "routed_experts are base64 of int32 without a shape (--top-k or --model says k), or "
            "the npz that traces/import/sglang_recorder.py makes of the recorder's .pt files.",
    .many = true,
    .sniff = sglang_sniff,
    .run = sglang_run,
};
