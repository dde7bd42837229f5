/* What the tables of ai-dynamo/aiconfigurator have in common. Their files are named
 * GPU__FAMILY__FRAMEWORK__VERSION__TABLE.csv where they are copied out of that project's tree; the
 * first columns say framework, version, device, operation and kernel. Kernels are timed as they run
 * in a CUDA graph. */
#ifndef MOE_PROFILER_TABLES_AIC_H
#define MOE_PROFILER_TABLES_AIC_H

#include "profiler/tables.h"

/* The first columns of each list. */
enum { AIC_FRAMEWORK, AIC_VERSION, AIC_DEVICE, AIC_OP, AIC_KERNEL, AIC_LATENCY, AIC_OWN };
#define AIC_COLUMNS                                                                                \
    {"framework", false}, {"version", false}, {"device", false}, {"op_name", true},                \
    {                                                                                              \
        "kernel_source", false                                                                     \
    }

bool moe_aic_begin(moe_foreign *f);
/* Framework, version, device and kernel of the line at hand. */
void moe_aic_row(moe_foreign *f);

#endif
