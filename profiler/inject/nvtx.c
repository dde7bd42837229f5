#include "profiler/inject/nvtx.h"

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>

#include "profiler/inject/export.h"
#include "profiler/inject/lane.h"
#include "profiler/inject/life.h"
#include "profiler/inject/text.h"

/* Handles of domains and of registered strings are the numbers of their texts. */
static uint32_t
id_of_domain(nvtxDomainHandle_t domain)
{
    return (uint32_t)(uintptr_t)domain;
}

static uint32_t
id_of_wide(const wchar_t *text)
{
    char narrow[4096];
    return moe_text_id(narrow, moe_text_narrow(text, narrow, sizeof narrow));
}

static uint32_t
id_of_narrow(const char *text)
{
    return text != NULL ? moe_text_id(text, strnlen(text, MOE_TEXT_LONGEST)) : 0;
}

static void
read_message(const nvtxEventAttributes_t *event, moe_said *said)
{
    switch (event->messageType) {
    case NVTX_MESSAGE_TYPE_ASCII:
        said->narrow = event->message.ascii;
        break;
    case NVTX_MESSAGE_TYPE_UNICODE:
        said->wide = event->message.unicode;
        break;
    case NVTX_MESSAGE_TYPE_REGISTERED:
        said->text = (uint32_t)(uintptr_t)event->message.registered;
        break;
    default:
        break;
    }
}

static void
read_extended(const nvtxEventAttributes_t *event, moe_said *said)
{
    const nvtxPayloadData_t *payloads =
        (const nvtxPayloadData_t *)(uintptr_t)event->payload.ullValue;
    for (int32_t i = 0; payloads != NULL && i < event->reserved0; i++)
        moe_payload_read(said, payloads[i].schemaId, payloads[i].size, payloads[i].payload);
}

static void
read_payload(const nvtxEventAttributes_t *event, moe_said *said)
{
    double number;
    switch (event->payloadType) {
    case NVTX_PAYLOAD_TYPE_UNSIGNED_INT64:
        said->payload_type = 1;
        said->payload = event->payload.ullValue;
        break;
    case NVTX_PAYLOAD_TYPE_UNSIGNED_INT32:
        said->payload_type = 1;
        said->payload = event->payload.uiValue;
        break;
    case NVTX_PAYLOAD_TYPE_INT64:
        said->payload_type = 2;
        said->payload = (uint64_t)event->payload.llValue;
        break;
    case NVTX_PAYLOAD_TYPE_INT32:
        said->payload_type = 2;
        said->payload = (uint64_t)(int64_t)event->payload.iValue;
        break;
    case NVTX_PAYLOAD_TYPE_DOUBLE:
    case NVTX_PAYLOAD_TYPE_FLOAT:
        number = event->payloadType == NVTX_PAYLOAD_TYPE_FLOAT ? (double)event->payload.fValue
                                                               : event->payload.dValue;
        said->payload_type = 3;
        memcpy(&said->payload, &number, sizeof number);
        break;
    case NVTX_PAYLOAD_TYPE_EXT:
        read_extended(event, said);
        break;
    default:
        break;
    }
}

static moe_said
read_event(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *event)
{
    moe_said said = {.domain = id_of_domain(domain)};
    if (event == NULL || event->size < offsetof(nvtxEventAttributes_t, message))
        return said;
    said.category = event->category;
    read_message(event, &said);
    read_payload(event, &said);
    return said;
}

static bool
is_on(void)
{
    return moe_life_on("nvtx");
}

/* Ranges with attributes, in a domain. */

static int NVTX_API
domain_push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *event)
{
    if (!is_on())
        return NVTX_NO_PUSH_POP_TRACKING;
    moe_said said = read_event(domain, event);
    return moe_range_push(&said);
}

static int NVTX_API
domain_pop(nvtxDomainHandle_t domain)
{
    return is_on() ? moe_range_pop(id_of_domain(domain)) : NVTX_NO_PUSH_POP_TRACKING;
}

static nvtxRangeId_t NVTX_API
domain_start(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *event)
{
    if (!is_on())
        return 0;
    moe_said said = read_event(domain, event);
    return moe_range_start(&said);
}

static void NVTX_API
domain_end(nvtxDomainHandle_t domain, nvtxRangeId_t range)
{
    if (is_on())
        moe_range_end(range);
}

static void NVTX_API
domain_mark(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *event)
{
    if (!is_on())
        return;
    moe_said said = read_event(domain, event);
    moe_range_mark(&said);
}

/* The same without a domain. */

static int NVTX_API
push_ex(const nvtxEventAttributes_t *event)
{
    return domain_push(NULL, event);
}

static int NVTX_API
pop(void)
{
    return domain_pop(NULL);
}

static nvtxRangeId_t NVTX_API
start_ex(const nvtxEventAttributes_t *event)
{
    return domain_start(NULL, event);
}

static void NVTX_API
end(nvtxRangeId_t range)
{
    domain_end(NULL, range);
}

static void NVTX_API
mark_ex(const nvtxEventAttributes_t *event)
{
    domain_mark(NULL, event);
}

/* The same with a text alone. */

static int NVTX_API
push_narrow(const char *text)
{
    return is_on() ? moe_range_push(&(moe_said){.narrow = text}) : NVTX_NO_PUSH_POP_TRACKING;
}

static int NVTX_API
push_wide(const wchar_t *text)
{
    return is_on() ? moe_range_push(&(moe_said){.wide = text}) : NVTX_NO_PUSH_POP_TRACKING;
}

static nvtxRangeId_t NVTX_API
start_narrow(const char *text)
{
    return is_on() ? moe_range_start(&(moe_said){.narrow = text}) : 0;
}

static nvtxRangeId_t NVTX_API
start_wide(const wchar_t *text)
{
    return is_on() ? moe_range_start(&(moe_said){.wide = text}) : 0;
}

static void NVTX_API
mark_narrow(const char *text)
{
    if (is_on())
        moe_range_mark(&(moe_said){.narrow = text});
}

static void NVTX_API
mark_wide(const wchar_t *text)
{
    if (is_on())
        moe_range_mark(&(moe_said){.wide = text});
}

/* Domains, strings and names. */

static nvtxDomainHandle_t NVTX_API
create_narrow(const char *name)
{
    return is_on() ? (nvtxDomainHandle_t)(uintptr_t)id_of_narrow(name) : NULL;
}

static nvtxDomainHandle_t NVTX_API
create_wide(const wchar_t *name)
{
    return is_on() && name != NULL ? (nvtxDomainHandle_t)(uintptr_t)id_of_wide(name) : NULL;
}

static nvtxStringHandle_t NVTX_API
string_narrow(nvtxDomainHandle_t domain, const char *text)
{
    return is_on() ? (nvtxStringHandle_t)(uintptr_t)id_of_narrow(text) : NULL;
}

static nvtxStringHandle_t NVTX_API
string_wide(nvtxDomainHandle_t domain, const wchar_t *text)
{
    return is_on() && text != NULL ? (nvtxStringHandle_t)(uintptr_t)id_of_wide(text) : NULL;
}

static void NVTX_API
category_narrow(nvtxDomainHandle_t domain, uint32_t category, const char *name)
{
    if (is_on())
        moe_range_name(MOE_RAW_NAME_CATEGORY, category, id_of_domain(domain), name, NULL);
}

static void NVTX_API
category_wide(nvtxDomainHandle_t domain, uint32_t category, const wchar_t *name)
{
    if (is_on())
        moe_range_name(MOE_RAW_NAME_CATEGORY, category, id_of_domain(domain), NULL, name);
}

static void NVTX_API
plain_category_narrow(uint32_t category, const char *name)
{
    category_narrow(NULL, category, name);
}

static void NVTX_API
plain_category_wide(uint32_t category, const wchar_t *name)
{
    category_wide(NULL, category, name);
}

static void NVTX_API
thread_narrow(uint32_t thread, const char *name)
{
    if (is_on())
        moe_range_name(MOE_RAW_NAME_THREAD, thread, 0, name, NULL);
}

static void NVTX_API
thread_wide(uint32_t thread, const wchar_t *name)
{
    if (is_on())
        moe_range_name(MOE_RAW_NAME_THREAD, thread, 0, NULL, name);
}

typedef struct nvtx_row {
    unsigned int callback;
    NvtxFunctionPointer function;
} nvtx_row;

#define ROW(id, function)                                                                          \
    {                                                                                              \
        NVTX_CBID_##id, (NvtxFunctionPointer)function                                              \
    }

static const nvtx_row core[] = {
    ROW(CORE_MarkEx, mark_ex),
    ROW(CORE_MarkA, mark_narrow),
    ROW(CORE_MarkW, mark_wide),
    ROW(CORE_RangeStartEx, start_ex),
    ROW(CORE_RangeStartA, start_narrow),
    ROW(CORE_RangeStartW, start_wide),
    ROW(CORE_RangeEnd, end),
    ROW(CORE_RangePushEx, push_ex),
    ROW(CORE_RangePushA, push_narrow),
    ROW(CORE_RangePushW, push_wide),
    ROW(CORE_RangePop, pop),
    ROW(CORE_NameCategoryA, plain_category_narrow),
    ROW(CORE_NameCategoryW, plain_category_wide),
    ROW(CORE_NameOsThreadA, thread_narrow),
    ROW(CORE_NameOsThreadW, thread_wide),
    {0},
};

static const nvtx_row core2[] = {
    ROW(CORE2_DomainMarkEx, domain_mark),          ROW(CORE2_DomainRangeStartEx, domain_start),
    ROW(CORE2_DomainRangeEnd, domain_end),         ROW(CORE2_DomainRangePushEx, domain_push),
    ROW(CORE2_DomainRangePop, domain_pop),         ROW(CORE2_DomainNameCategoryA, category_narrow),
    ROW(CORE2_DomainNameCategoryW, category_wide), ROW(CORE2_DomainRegisterStringA, string_narrow),
    ROW(CORE2_DomainRegisterStringW, string_wide), ROW(CORE2_DomainCreateA, create_narrow),
    ROW(CORE2_DomainCreateW, create_wide),         {0},
};

static void
fill(const NvtxExportTableCallbacks *callbacks, NvtxCallbackModule module, const nvtx_row *rows)
{
    NvtxFunctionTable table = NULL;
    unsigned int n = 0;
    if (!callbacks->GetModuleFunctionTable(module, &table, &n))
        return;
    for (; rows->function != NULL; rows++)
        if (rows->callback < n && table[rows->callback] != NULL)
            *table[rows->callback] = rows->function;
}

/* Called once by each library of the process that carries its own copy of NVTX. */
MOE_EXPORT int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table);
int
InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table)
{
    const NvtxExportTableCallbacks *callbacks = get_table(NVTX_ETID_CALLBACKS);
    if (callbacks == NULL || callbacks->struct_size < sizeof *callbacks || !is_on() ||
        !(moe_life_options()->trace & MOE_TRACE_NVTX))
        return 0;
    fill(callbacks, NVTX_CB_MODULE_CORE, core);
    fill(callbacks, NVTX_CB_MODULE_CORE2, core2);
    return 1;
}
