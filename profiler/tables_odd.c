/* Measurements that are known to be odd, each with the reason: such rows enter no fit, and errors
 * are given with and without them. The list was fixed before anything was fitted; what shares a
 * tuner's file (below) came to it after errors had been seen, by the rule of the bench that makes
 * such rows, which looks at names and at no time. */
#include "profiler/tables.h"

#include <inttypes.h>
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

/* ---- tuning ---- */

/* aiconfigurator's bench of TensorRT-LLM keeps what the tuner of its CUTLASS kernels finds in a
 * file named TYPE_HIDDEN_WIDTH_EXPERTS, of what one device holds, and before it tunes loads the
 * first file whose name begins so. Where two models are cut to one such name, or one name begins
 * another (1 expert, 16 experts), the second to come finds a file of other shapes, in which nothing
 * is said of its own, and runs whatever the kernels take untuned: up to five times as long. Nobody
 * recorded which one came first. (Of 786 shapes of the H100's table of 1.3.0rc20 whose name no
 * other has, none is 1.5 times slower than foretold, of 280 others 100 are.) */
typedef struct tuned {
    char *name;
    uint64_t shape; /* experts in all, devices, top_k: of equal names */
    size_t row;
} tuned;

static bool
is_tuned(const moe_measured_row *row)
{
    bool cutlass = strstr(row->kernel, "cutlass") || strstr(row->kernel, "nongated");
    return !*row->odd && !strcmp(row->framework, "trtllm") && cutlass &&
           (!strcmp(row->dtype, "bf16") || !strcmp(row->dtype, "fp8"));
}

static int
by_name(const void *a, const void *b)
{
    const tuned *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order)
        return order;
    return x->shape != y->shape ? (x->shape > y->shape) - (x->shape < y->shape)
                                : (x->row > y->row) - (x->row < y->row);
}

static void
mark(moe_measured *table, const tuned *all, size_t n)
{
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !strcmp(all[end].name, all[i].name);)
            end++;
        bool shared = all[i].shape != all[end - 1].shape ||
                      (end < n && g_str_has_prefix(all[end].name, all[i].name));
        for (size_t j = i; shared && j < end; j++)
            moe_measured_mark_odd(table, all[j].row,
                                  "another shape's tuning may have been taken for its own");
    }
}

void
moe_known_odd_tuning(moe_measured *table, size_t first)
{
    g_autoptr(GArray) all = g_array_new(false, false, sizeof(tuned));
    g_autoptr(GStringChunk) names = g_string_chunk_new(4096);
    for (size_t i = first; i < moe_measured_count(table); i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        if (!is_tuned(row))
            continue;
        g_autofree char *name = g_strdup_printf("%s_%" PRId64 "_%" PRId64 "_%" PRId64, row->dtype,
                                                row->hidden, row->width, row->experts);
        tuned one = {g_string_chunk_insert_const(names, name),
                     (uint64_t)(row->ep << 40 | row->tp << 20 | row->top_k), i};
        g_array_append_val(all, one);
    }
    if (!all->len)
        return;
    qsort(all->data, all->len, sizeof(tuned), by_name);
    mark(table, (const tuned *)(const void *)all->data, all->len);
}
