/* Kernel libraries as one. */
#include "hw/kernels.h"

bool
moe_kernels_has(const moe_kernels *kernels, const char *name)
{
    for (size_t i = 0; i < kernels->n_gemm; i++)
        if (kernels->gemm[i].name == name)
            return true;
    for (size_t i = 0; i < kernels->n_experts; i++)
        if (kernels->experts[i].name == name)
            return true;
    for (size_t i = 0; i < kernels->n_attention; i++)
        if (kernels->attention[i].name == name)
            return true;
    for (size_t i = 0; i < kernels->n_operations; i++)
        if (kernels->operations[i].name == name)
            return true;
    return false;
}

typedef struct joined {
    moe_kernels kernels; /* first: that is what its owner has */
    GArray *gemm, *experts, *attention, *operations;
} joined;

moe_kernels *
moe_kernels_join(const char *name, const moe_kernels *const *libraries, size_t n)
{
    joined *j = g_new0(joined, 1);
    j->gemm = g_array_new(false, false, sizeof(moe_gemm_kernel));
    j->experts = g_array_new(false, false, sizeof(moe_expert_kernel));
    j->attention = g_array_new(false, false, sizeof(moe_attention_kernel));
    j->operations = g_array_new(false, false, sizeof(moe_operation_kernel));
    for (size_t i = 0; i < n; i++) {
        const moe_kernels *one = libraries[i];
        if (one->n_gemm)
            g_array_append_vals(j->gemm, one->gemm, (guint)one->n_gemm);
        if (one->n_experts)
            g_array_append_vals(j->experts, one->experts, (guint)one->n_experts);
        if (one->n_attention)
            g_array_append_vals(j->attention, one->attention, (guint)one->n_attention);
        if (one->n_operations)
            g_array_append_vals(j->operations, one->operations, (guint)one->n_operations);
    }
    j->kernels = (moe_kernels){
        .name = name,
        .source = n ? libraries[0]->source : "",
        .gemm = (const void *)j->gemm->data,
        .experts = (const void *)j->experts->data,
        .attention = (const void *)j->attention->data,
        .operations = (const void *)j->operations->data,
        .n_gemm = j->gemm->len,
        .n_experts = j->experts->len,
        .n_attention = j->attention->len,
        .n_operations = j->operations->len,
    };
    return &j->kernels;
}

void
moe_kernels_unjoin(moe_kernels *kernels)
{
    joined *j = (joined *)(void *)kernels;
    if (!j)
        return;
    g_array_unref(j->gemm);
    g_array_unref(j->experts);
    g_array_unref(j->attention);
    g_array_unref(j->operations);
    g_free(j);
}
