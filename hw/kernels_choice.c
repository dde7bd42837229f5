/* Which kernel of a library does a piece of work, for runs and for measured rows alike. */
#include "hw/kernels.h"

#include <math.h>
#include <string.h>

/* What kernels of both families begin with. */
typedef struct head {
    const char *name;
    int dtype;
} head;

_Static_assert(offsetof(moe_gemm_kernel, dtype) == offsetof(head, dtype), "kernels begin alike");
_Static_assert(offsetof(moe_expert_kernel, dtype) == offsetof(head, dtype), "kernels begin alike");

static bool
is_wide(int dtype, double weight_bits, double activation_bits)
{
    return fabs(moe_kernel_weight_bits(dtype) - weight_bits) < 0.5 &&
           (activation_bits <= 0 ||
            fabs(moe_kernel_activation_bits(dtype) - activation_bits) < 0.5);
}

/* `named`: the type by its name, -1: only its widths are known. */
static bool
is_of_type(int dtype, int named, const moe_kernel_wanted *w)
{
    return named >= 0 ? named == dtype : is_wide(dtype, w->weight_bits, w->activation_bits);
}

static int
named(const moe_kernel_wanted *w)
{
    return w->dtype ? moe_kernel_dtype_find(w->dtype) : -1;
}

bool
moe_kernel_is_of_type(int dtype, const moe_kernel_wanted *wanted)
{
    return is_of_type(dtype, named(wanted), wanted);
}

/* How far a kernel's type is from the one that is wanted: what the tensor units take counts before
 * what is stored. Infinite where they take twice as wide or half as wide. */
static double
distance(int dtype, const moe_kernel_wanted *w)
{
    double activation = moe_kernel_activation_bits(dtype), other = w->activation_bits;
    if (other <= 0)
        other = activation;
    if (activation >= 2 * other || other >= 2 * activation)
        return INFINITY;
    return 64 * fabs(activation - other) + fabs(moe_kernel_weight_bits(dtype) - w->weight_bits);
}

/* How well a kernel fits; the first of the best is taken. */
typedef struct fitness {
    bool of_type;
    double distance;
    size_t name; /* letters that its name shares with the wanted one */
} fitness;

static fitness
fit(const head *kernel, int type, const moe_kernel_wanted *w)
{
    bool by_name = w->kernel && kernel->name && strstr(w->kernel, kernel->name);
    return (fitness){is_of_type(kernel->dtype, type, w), distance(kernel->dtype, w),
                     by_name ? strlen(kernel->name) : 0};
}

static bool
is_better(const fitness *a, const fitness *b)
{
    if (a->of_type != b->of_type)
        return a->of_type;
    if (a->distance != b->distance)
        return a->distance < b->distance;
    return a->name > b->name;
}

typedef bool suits_fn(const void *kernel, const moe_kernel_wanted *w);

static const void *
choose(const void *items, size_t n, size_t stride, const moe_kernel_wanted *w, suits_fn *suits)
{
    fitness best = {.distance = INFINITY};
    const void *found = NULL;
    int type = named(w);

    for (size_t i = 0; i < n; i++) {
        const void *kernel = (const char *)items + i * stride;
        fitness one = fit(kernel, type, w);
        if ((one.of_type || one.distance < INFINITY) && suits(kernel, w) &&
            (!found || is_better(&one, &best))) {
            best = one;
            found = kernel;
        }
    }
    return found;
}

static bool
is_multiple(double x, int64_t of)
{
    return of <= 1 || x > 9e15 || (int64_t)x % of == 0;
}

/* A kernel that is named took the shape. */
static bool
suits_product(const void *kernel, const moe_kernel_wanted *w)
{
    const moe_gemm_kernel *gemm = kernel;
    return (w->kernel && strstr(w->kernel, gemm->name)) ||
           (w->m >= (double)gemm->rows_from && is_multiple(w->n, gemm->multiple_n) &&
            is_multiple(w->k, gemm->multiple_k));
}

static bool
suits_experts(const void *kernel, const moe_kernel_wanted *w)
{
    return moe_expert_kernel_suits(kernel, w->experts, w->width);
}

const moe_gemm_kernel *
moe_kernels_gemm(const moe_kernels *kernels, const moe_kernel_wanted *wanted)
{
    return kernels ? choose(kernels->gemm, kernels->n_gemm, sizeof *kernels->gemm, wanted,
                            suits_product)
                   : NULL;
}

const moe_expert_kernel *
moe_kernels_experts(const moe_kernels *kernels, const moe_kernel_wanted *wanted)
{
    return kernels ? choose(kernels->experts, kernels->n_experts, sizeof *kernels->experts, wanted,
                            suits_experts)
                   : NULL;
}

/* On such a device; on any where that is not known. */
static bool
is_used(const moe_attention_kernel *kernel, double capability)
{
    return capability <= 0 ||
           (capability >= kernel->from && (kernel->below <= 0 || capability < kernel->below));
}

const moe_attention_kernel *
moe_kernels_attention(const moe_kernels *kernels, double capability, int form, double kv_bits,
                      double key_dim)
{
    const moe_attention_kernel *of_heads = NULL;

    for (size_t i = 0; kernels && i < kernels->n_attention; i++) {
        const moe_attention_kernel *k = &kernels->attention[i];
        if (!is_wide(k->dtype, kv_bits, 0) || !is_used(k, capability) ||
            (k->head_dim && (double)k->head_dim < key_dim))
            continue;
        if (k->form == form)
            return k;
        if (k->form == MOE_FORM_HEADS && !of_heads)
            of_heads = k;
    }
    return of_heads;
}
