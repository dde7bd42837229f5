/* Memory for policies: taken when a policy is opened, given back when it is closed, never between.
 * Zeroed; running out of it is not survivable, since sizes follow from a checked scenario. */
#ifndef MOE_POLICY_MEMORY_H
#define MOE_POLICY_MEMORY_H

#include "sim/base/base.h"

#include <stdlib.h>

static inline void *
moe_policy_alloc(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    moe_assert(memory, "no memory for %zu items of %zu bytes", n, size);
    return memory;
}

#endif
