#include "profiler/inject/modules.h"

#include <stdatomic.h>
#include <stddef.h>

#ifdef MOE_INJECT_CUPTI
#include "profiler/inject/cupti.h"
#endif
#ifdef MOE_INJECT_COUNTERS
#include "profiler/inject/counters.h"
#endif

static const moe_module *const modules[] = {
#ifdef MOE_INJECT_CUPTI
    &moe_module_cupti,
#endif
#ifdef MOE_INJECT_COUNTERS
    &moe_module_counters,
#endif
    NULL,
};

static atomic_uint attached; /* bit i: modules[i] */

bool
moe_modules_start(const moe_options *options)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (modules[i]->start(options))
            atomic_fetch_or(&attached, 1u << i);
    return moe_modules_attached();
}

bool
moe_modules_attached(void)
{
    return atomic_load_explicit(&attached, memory_order_acquire) != 0;
}

static bool
is_attached(uint32_t i)
{
    return atomic_load_explicit(&attached, memory_order_acquire) >> i & 1u;
}

void
moe_modules_window(bool open)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (is_attached(i) && modules[i]->window != NULL)
            modules[i]->window(open);
}

void
moe_modules_push(const moe_raw_range *range)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (is_attached(i) && modules[i]->push != NULL)
            modules[i]->push(range);
}

void
moe_modules_pop(uint64_t range)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (is_attached(i) && modules[i]->pop != NULL)
            modules[i]->pop(range);
}

void
moe_modules_tick(void)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (is_attached(i) && modules[i]->tick != NULL)
            modules[i]->tick();
}

void
moe_modules_stop(void)
{
    for (uint32_t i = 0; modules[i] != NULL; i++)
        if (is_attached(i) && modules[i]->stop != NULL)
            modules[i]->stop();
}
