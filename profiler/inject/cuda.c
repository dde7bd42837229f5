#include "profiler/inject/export.h"
#include "profiler/inject/life.h"

/* The driver calls it while it initialises, where CUDA_INJECTION64_PATH names this library. What
 * fails here is the capture's trouble, never the program's. */
MOE_EXPORT int InitializeInjection(void);
int
InitializeInjection(void)
{
    if (moe_life_on("cuda"))
        moe_life_driver();
    return 1;
}
