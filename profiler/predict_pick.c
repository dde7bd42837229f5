/* Which kernel of a library a measured row is of. (Attention's is chosen by what it works on.) */
#include "profiler/predict.h"

#include <math.h>
#include <string.h>

/* What kernels of both families begin with. */
typedef struct head {
    const char *name;
    int dtype;
} head;

_Static_assert(offsetof(moe_gemm_kernel, dtype) == offsetof(head, dtype), "kernels begin alike");
_Static_assert(offsetof(moe_expert_kernel, dtype) == offsetof(head, dtype), "kernels begin alike");

typedef struct wanted {
    const char *dtype;
    double weight_bits, activation_bits; /* 0 activation bits: any */
    const char *kernel;
    double experts, width; /* of kernels for experts */
} wanted;

/* A type that kernels have is taken by its name, any other by its widths. */
static bool
is_of_type(int dtype, const wanted *w)
{
    int named = moe_kernel_dtype_find(w->dtype);
    if (named >= 0)
        return named == dtype;
    return fabs(moe_kernel_weight_bits(dtype) - w->weight_bits) < 0.5 &&
           (w->activation_bits <= 0 ||
            fabs(moe_kernel_activation_bits(dtype) - w->activation_bits) < 0.5);
}

/* How far a kernel's type is from the one that is wanted: what the tensor units take counts before
 * what is stored. Infinite where they take twice as wide or half as wide: kernels that differ in
 * this foretell each other no better than a device's own numbers do. */
static double
distance(int dtype, const wanted *w)
{
    double activation = moe_kernel_activation_bits(dtype), other = w->activation_bits;
    if (other <= 0)
        other = activation;
    if (activation >= 2 * other || other >= 2 * activation)
        return INFINITY;
    return 64 * fabs(activation - other) + fabs(moe_kernel_weight_bits(dtype) - w->weight_bits);
}

typedef bool suits_fn(const void *kernel, const wanted *w);

static bool
suits_experts(const void *kernel, const wanted *w)
{
    return moe_expert_kernel_suits(kernel, w->experts, w->width);
}

/* Where no kernel is of the type: the first of the nearest one; NULL: none is near. */
static const void *
nearest(const void *items, size_t n, size_t stride, const wanted *w, suits_fn *suits)
{
    const head *best = NULL;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const head *one = (const void *)((const char *)items + i * stride);
        double far = distance(one->dtype, w);
        if (far < least && (!suits || suits((const void *)one, w))) {
            best = one;
            least = far;
        }
    }
    return best;
}

/* Of the kernels of the type (and shape), the one with the longest name that is a part of the
 * row's; else the first. */
static const void *
pick(const void *items, size_t n, size_t stride, const wanted *w, suits_fn *suits)
{
    const head *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        const head *one = (const void *)((const char *)items + i * stride);
        if (!is_of_type(one->dtype, w) || (suits && !suits((const void *)one, w)))
            continue;
        size_t length = one->name && strstr(w->kernel, one->name) ? strlen(one->name) : 0;
        if (!best || length > longest) {
            best = one;
            longest = length;
        }
    }
    return best ? best : nearest(items, n, stride, w, suits);
}

bool
moe_predict_is_of_type(int dtype, const moe_measured_row *row)
{
    const wanted w = {row->dtype, row->weight_bits, row->activation_bits, "", 0, 0};
    return is_of_type(dtype, &w);
}

const moe_gemm_kernel *
moe_predict_gemm_kernel(const moe_device *device, const moe_measured_row *row)
{
    const wanted w = {row->dtype, row->weight_bits, row->activation_bits, row->kernel, 0, 0};
    const moe_kernels *all = device->kernels;
    const void *found = all ? pick(all->gemm, all->n_gemm, sizeof *all->gemm, &w, NULL) : NULL;
    return found ? found : &device->gemm;
}

const moe_operation_kernel *
moe_predict_operation_kernel(const moe_device *device, const moe_measured_row *row)
{
    const moe_kernels *all = device->kernels;
    const char *does = moe_measured_operation_name(row->operation);
    const moe_operation_kernel *best = NULL, *named = NULL;

    for (size_t i = 0; all && i < all->n_operations; i++) {
        const moe_operation_kernel *one = &all->operations[i];
        if (strstr(row->kernel, one->name) && (!best || strlen(one->name) > strlen(best->name)))
            best = one;
        if (!named && !strcmp(one->name, does))
            named = one;
    }
    return best ? best : named;
}

const moe_expert_kernel *
moe_predict_expert_kernel(const moe_device *device, const moe_measured_row *row)
{
    const wanted w = {row->dtype,  row->weight_bits,     row->activation_bits,
                      row->kernel, (double)row->experts, (double)row->width};
    const moe_kernels *all = device->kernels;
    const void *found =
        all ? pick(all->experts, all->n_experts, sizeof *all->experts, &w, suits_experts) : NULL;
    return found ? found : &device->experts;
}
