/* What takes part in a capture beside NVTX and the routing ABI: a table of modules (modules.c) that
 * are told what happens. A further module is one file and one row. All hooks but `start` are called
 * only while the module is attached, and any may be NULL; no lock is held during a hook, so it may
 * call CUPTI. */
#ifndef MOE_PROFILER_INJECT_MODULES_H
#define MOE_PROFILER_INJECT_MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/inject/options.h"
#include "profiler/inject/rawlog.h"

typedef struct moe_module {
    const char *name;
    /* The driver begins to initialise (in its thread). True: attached. */
    bool (*start)(const moe_options *options);
    /* The capture window opens or closes; it is closed until the first call. In any thread. */
    void (*window)(bool open);
    /* A range was pushed or popped in this thread and is recorded. */
    void (*push)(const moe_raw_range *range);
    void (*pop)(uint64_t range);
    /* Every half second, in the injector's own thread. */
    void (*tick)(void);
    /* The process ends: hand over what there is. */
    void (*stop)(void);
} moe_module;

/* True: at least one module attached. */
bool moe_modules_start(const moe_options *options);
void moe_modules_window(bool open);
void moe_modules_push(const moe_raw_range *range);
void moe_modules_pop(uint64_t range);
void moe_modules_tick(void);
void moe_modules_stop(void);
bool moe_modules_attached(void);

#endif
