/* vLLM: what LLM.generate returns, saved by numpy, and what its server answers
 * (--enable-return-routed-experts), in all the forms that it had:
 *   arrays [prompt + answer - 1, layers, k] with a row of zeros per dense layer (PR 28284)
 *   lists, the prompt's apart, -1 where the prefix cache had the tokens (0.21)
 *   base64 of an npy array; rows of the prompt left out by routed_experts_prompt_start (latest)
 * and {data, shape, dtype, start} of proxies and trainers in front of it. */
#include "traces/import/arrays.h"
#include "traces/import/npy_format.h"
#include "traces/import/response.h"
#include "traces/import/zip.h"

static int
vllm_sniff(const char *path, const char *head, size_t n)
{
    /* "k05VTVBZ" is the base64 of how an npy array begins */
    static const char *const marks[] = {"prompt_routed_experts\"", "\"k05VTVBZ", "\"choices\"",
                                        NULL};
    if (moe_npy_is(head, n) || moe_zip_is(head, n))
        return 10;
    return moe_response_sniff(head, n, marks, 60);
}

static moe_routing_builder *
vllm_run(moe_import_job *job)
{
    if (moe_arrays_are(job, NULL))
        return moe_arrays_import(job, "vllm", MOE_ROWS_BATCH_FIRST);
    return moe_response_import(job, "vllm");
}

const moe_importer moe_importer_vllm = {
    .name = "vllm",
    .help = "Routed experts of vLLM: answers of its server as JSON or JSONL (lists, base64, or "
            "{data, shape, dtype, start}), or arrays [tokens, layers, k] saved by numpy, one per "
            "request. -1 (cached positions) and the zero rows of dense layers are dropped.",
    .many = true,
    .sniff = vllm_sniff,
    .run = vllm_run,
};
