/* Measurements that are known to be odd, each with the reason. The list was fixed before anything
 * was fitted: such rows enter no fit, and errors are given with and without them. */
#include "profiler/tables.h"

#include <string.h>

static const struct {
    int kind;
    const char *device, *framework; /* parts of what the row says; NULL: any */
    const char *file;               /* a part of the file's name; NULL: any */
    const char *dtype, *algorithm;
    int64_t tokens_from, tokens_to; /* 0: any */
    int64_t nodes;                  /* 0: any */
    const char *why;
} known[] = {
    {.kind = MOE_MEASURED_COLLECTIVE,
     .device = "H100",
     .algorithm = "deepep_normal",
     .nodes = 8,
     .why = "DeepEP's notify takes milliseconds at 8 nodes"},
    {.kind = MOE_MEASURED_EXPERTS,
     .device = "A100",
     .framework = "vllm",
     .dtype = "bf16",
     .tokens_from = 16,
     .tokens_to = 64,
     .why = "vLLM's untuned tile above as many tokens as experts"},
    {.kind = MOE_MEASURED_COLLECTIVE,
     .device = "H100",
     .file = "h100_sxm__comm__nccl__2.27.3",
     .why = "a table of two versions, its keys twice up to 1.6x apart"},
    {.kind = MOE_MEASURED_COLLECTIVE,
     .device = "h100",
     .file = "h100_sxm__comm__nccl__2.23__",
     .why = "a table of other columns, without all-reduce"},
};

static bool
holds(const char *text, const char *part)
{
    return !part || strstr(text, part);
}

const char *
moe_known_odd(const moe_measured_row *row, const char *file)
{
    for (size_t i = 0; i < MOE_COUNT(known); i++)
        if (row->kind == known[i].kind && holds(row->device, known[i].device) &&
            holds(row->framework, known[i].framework) && holds(file, known[i].file) &&
            holds(row->dtype, known[i].dtype) && holds(row->algorithm, known[i].algorithm) &&
            (!known[i].tokens_to ||
             (row->tokens >= known[i].tokens_from && row->tokens <= known[i].tokens_to)) &&
            (!known[i].nodes || row->nodes == known[i].nodes))
            return known[i].why;
    return NULL;
}

const char *
moe_known_odd_repeated(const moe_measured_row *row)
{
    bool known_table = row->kind == MOE_MEASURED_EXPERTS && strstr(row->device, "A100") &&
                       !strcmp(row->framework, "sglang");
    return known_table ? "a key that the table holds twice, with other times" : NULL;
}
