#include "profiler/ranges.h"

#ifdef MOE_NVTX
#include <nvtx3/nvToolsExt.h>

/* Of the process: NVTX has domains for good. */
static nvtxDomainHandle_t
domain(void)
{
    static gsize made = 0;
    static nvtxDomainHandle_t handle; /* NULL: nobody listens */
    if (g_once_init_enter(&made)) {
        handle = nvtxDomainCreateA("moesim");
        g_once_init_leave(&made, 1);
    }
    return handle;
}

static void
push(const char *text, uint32_t category, const uint64_t *payload)
{
    nvtxEventAttributes_t event = {
        .version = NVTX_VERSION,
        .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
        .category = category,
        .messageType = NVTX_MESSAGE_TYPE_ASCII,
        .message.ascii = text,
    };
    if (payload) {
        event.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
        event.payload.ullValue = *payload;
    }
    nvtxDomainRangePushEx(domain(), &event);
}

static void
pop(void)
{
    nvtxDomainRangePop(domain());
}

bool
moe_ranges_built(void)
{
    return true;
}

#else

static void
push(const char *text, uint32_t category, const uint64_t *payload)
{
}

static void
pop(void)
{
}

bool
moe_ranges_built(void)
{
    return false;
}

#endif

void
moe_range_push_step(uint64_t step, moe_batch_phase phase)
{
    push("step", 100 + (uint32_t)phase, &step);
}

void
moe_range_push_stage(uint32_t layer, moe_stage stage)
{
    uint64_t payload = layer;
    bool of_layer = stage != MOE_STAGE_EMBED && stage != MOE_STAGE_UNEMBED;
    push(moe_stage_names[stage], 1 + (uint32_t)stage, of_layer ? &payload : NULL);
}

void
moe_range_pop(void)
{
    pop();
}
