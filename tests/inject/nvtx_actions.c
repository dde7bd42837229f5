#include "tests/inject/nvtx_actions.h"

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static nvtxEventAttributes_t
event(const char *text)
{
    return (nvtxEventAttributes_t){.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .messageType = NVTX_MESSAGE_TYPE_ASCII,
                                   .message.ascii = text};
}

static void
plain(void)
{
    printf("depth %d\n", nvtxRangePushA("outer"));
    printf("depth %d\n", nvtxRangePushW(L"inner \x3b1\x20ac\x1f600"));
    nvtxMarkA("mark");
    printf("ended %d\n", nvtxRangePop());
    printf("ended %d\n", nvtxRangePop());
    printf("ended %d\n", nvtxRangePop());
    nvtxRangeId_t one = nvtxRangeStartA("first"), two = nvtxRangeStartW(L"second");
    nvtxRangeEnd(one);
    nvtxRangeEnd(two);
    nvtxNameOsThreadA((uint32_t)syscall(SYS_gettid), "main thread");
    nvtxNameCategoryA(5, "five");
}

static void
payloads(void)
{
    nvtxDomainHandle_t domain = nvtxDomainCreateA("numbers");
    nvtxEventAttributes_t said = event("u64");
    said.category = 9;
    said.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
    said.payload.ullValue = 1ull << 63;
    nvtxDomainMarkEx(domain, &said);
    said = event("i32");
    said.payloadType = NVTX_PAYLOAD_TYPE_INT32;
    said.payload.iValue = -5;
    nvtxDomainMarkEx(domain, &said);
    said = event("f32");
    said.payloadType = NVTX_PAYLOAD_TYPE_FLOAT;
    said.payload.fValue = 0.5f;
    nvtxDomainMarkEx(domain, &said);
    said.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    said.payloadType = NVTX_PAYLOAD_UNKNOWN;
    said.message.registered = nvtxDomainRegisterStringA(domain, "registered");
    nvtxDomainMarkEx(domain, &said);
    nvtxDomainNameCategoryA(domain, 9, "nine");
}

/* Ranges of two domains that do not nest in each other. */
static void
crossed(void)
{
    nvtxDomainHandle_t a = nvtxDomainCreateA("a"), b = nvtxDomainCreateW(L"b");
    nvtxEventAttributes_t one = event("one"), two = event("two");
    nvtxDomainRangePushEx(a, &one);
    nvtxDomainRangePushEx(b, &two);
}

static void
uncross(void)
{
    nvtxDomainRangePop(nvtxDomainCreateA("a"));
}

static nvtxDomainHandle_t kept_domain;
static nvtxStringHandle_t kept_string;

/* Handles that are used later, perhaps in a child. */
static void
keep(void)
{
    kept_domain = nvtxDomainCreateA("kept");
    kept_string = nvtxDomainRegisterStringA(kept_domain, "kept text");
}

static void
use_kept(void)
{
    nvtxEventAttributes_t said = event(NULL);
    said.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    said.message.registered = kept_string;
    nvtxDomainMarkEx(kept_domain, &said);
}

static void
window(int begin)
{
    nvtxDomainHandle_t domain = nvtxDomainCreateA("app");
    nvtxEventAttributes_t said = event("region");
    if (begin)
        nvtxDomainRangePushEx(domain, &said);
    else
        nvtxDomainRangePop(domain);
}

typedef struct routing {
    int32_t layer;
    int64_t step;
    uint32_t k;
    int32_t ids[6];
    float weights[6];
} routing;

#define ENTRY(type_, name_, member, flags_, detail)                                                \
    {                                                                                              \
        .flags = flags_, .type = NVTX_PAYLOAD_ENTRY_TYPE_##type_, .name = name_,                   \
        .arrayOrUnionDetail = detail, .offset = offsetof(routing, member)                          \
    }

static void
routed(void)
{
    nvtxDomainHandle_t domain = nvtxDomainCreateA("engine");
    const nvtxPayloadSchemaEntry_t entries[] = {
        ENTRY(INT32, "layer", layer, 0, 0),
        ENTRY(INT64, "step", step, 0, 0),
        ENTRY(UINT32, "k", k, 0, 0),
        ENTRY(INT32, "ids", ids, NVTX_PAYLOAD_ENTRY_FLAG_ARRAY_FIXED_SIZE, 6),
        ENTRY(FLOAT, "weights", weights, NVTX_PAYLOAD_ENTRY_FLAG_ARRAY_FIXED_SIZE, 6),
    };
    nvtxPayloadSchemaAttr_t schema = {.fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NAME |
                                                   NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE |
                                                   NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES |
                                                   NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES |
                                                   NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE,
                                      .name = "moe.routing",
                                      .type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC,
                                      .entries = entries,
                                      .numEntries = 5,
                                      .payloadStaticSize = sizeof(routing)};
    uint64_t id = nvtxPayloadSchemaRegister(domain, &schema);
    routing data = {.layer = 4,
                    .step = 11,
                    .k = 2,
                    .ids = {3, 17, 42, 63, -1, 5},
                    .weights = {1, 2, 3, 4, 5, 6}};
    nvtxPayloadData_t payload = {id, sizeof data, &data};
    nvtxEventAttributes_t said = event("topk");
    said.payloadType = NVTX_PAYLOAD_TYPE_EXT;
    said.reserved0 = 1;
    said.payload.ullValue = (uint64_t)(uintptr_t)&payload;
    nvtxDomainMarkEx(domain, &said);
    payload.size = 8; /* too short for what it claims */
    nvtxDomainMarkEx(domain, &said);
}

/* A schema of one's own: a number and a text; and pushes by payload alone. */
static void
schema(void)
{
    typedef struct work {
        const char *what;
        uint16_t tokens;
    } work;
    nvtxDomainHandle_t domain = nvtxDomainCreateA("engine");
    const nvtxPayloadSchemaEntry_t entries[] = {
        {.flags = NVTX_PAYLOAD_ENTRY_FLAG_EVENT_MESSAGE,
         .type = NVTX_PAYLOAD_ENTRY_TYPE_CSTRING,
         .name = "what"},
        {.type = NVTX_PAYLOAD_ENTRY_TYPE_UINT16, .name = "tokens"},
    };
    nvtxPayloadSchemaAttr_t attributes = {.fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE |
                                                       NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES |
                                                       NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES,
                                          .type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC,
                                          .entries = entries,
                                          .numEntries = 2};
    uint64_t id = nvtxPayloadSchemaRegister(domain, &attributes);
    work data = {"prefill", 300};
    nvtxPayloadData_t payload = {id, sizeof data, &data};
    printf("depth %d\n", nvtxRangePushPayload(domain, &payload, 1));
    printf("ended %d\n", nvtxRangePopPayload(domain, &payload, 1));
    nvtxRangeId_t range = nvtxRangeStartPayload(domain, &payload, 1);
    nvtxRangeEndPayload(domain, range, &payload, 1);
    nvtxMarkPayload(domain, &payload, 1);
}

void
nvtx_act(const char *what)
{
    static const struct {
        const char *what;
        void (*act)(void);
    } rows[] = {{"plain", plain},     {"payloads", payloads}, {"crossed", crossed},
                {"uncross", uncross}, {"keep", keep},         {"kept", use_kept},
                {"routed", routed},   {"schema", schema}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].what, what) == 0)
            rows[i].act();
    if (strcmp(what, "enter") == 0 || strcmp(what, "leave") == 0)
        window(strcmp(what, "enter") == 0);
}
