/* The owner of a kernel library. Private to hw/. */
#ifndef MOE_HW_KERNELS_SET_H
#define MOE_HW_KERNELS_SET_H

#include "hw/kernels.h"

#define MOE_KERNELS_MAX 64

/* As the parameter table fills it; list elements are the kernels themselves. */
typedef struct moe_kernels_spec {
    const char *name, *source;
    moe_list gemm, experts, attention, operations;
} moe_kernels_spec;

struct moe_kernels_set {
    moe_kernels kernels;
    moe_yaml_doc *doc;
    moe_settings *settings; /* owns all texts and lists */
    char *name;
    /* Of several libraries as one, which has no document of its own. */
    GPtrArray *parts; /* moe_kernels_set * */
    moe_kernels *joined;
};

#endif
