#include "profiler/inject/nvtx.h"

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/inject/export.h"
#include "profiler/inject/life.h"
#include "profiler/inject/nvtx_payload.h"

enum { MOST_SCHEMAS = 4096, MOST_ENTRIES = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static moe_schema *schemas[MOST_SCHEMAS];
static size_t n_schemas;

static const struct {
    const char *name;
    moe_payload_role role;
} roles[] = {
    {"layer", MOE_PAYLOAD_LAYER},          {"step", MOE_PAYLOAD_STEP},
    {"token0", MOE_PAYLOAD_TOKEN0},        {"k", MOE_PAYLOAD_TOP_K},
    {"top_k", MOE_PAYLOAD_TOP_K},          {"ids", MOE_PAYLOAD_IDS},
    {"topk_ids", MOE_PAYLOAD_IDS},         {"weights", MOE_PAYLOAD_WEIGHTS},
    {"topk_weights", MOE_PAYLOAD_WEIGHTS},
};

const moe_schema *
moe_schema_find(uint32_t domain, uint64_t id)
{
    const moe_schema *found = NULL;
    pthread_mutex_lock(&lock);
    if (id >= NVTX_PAYLOAD_SCHEMA_ID_DYNAMIC_START) {
        uint64_t i = id - NVTX_PAYLOAD_SCHEMA_ID_DYNAMIC_START;
        found = i < n_schemas ? schemas[i] : NULL;
    } else {
        for (size_t i = 0; i < n_schemas && found == NULL; i++)
            if (schemas[i]->id == id && schemas[i]->domain == domain)
                found = schemas[i];
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static uint32_t
role_of(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].role;
    return MOE_PAYLOAD_OTHER;
}

static moe_schema *
copy_schema(uint32_t domain, const nvtxPayloadSchemaAttr_t *said)
{
    const uint64_t needed =
        NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES;
    if ((said->fieldMask & needed) != needed || said->entries == NULL ||
        said->numEntries > MOST_ENTRIES)
        return NULL;
    moe_schema *schema = calloc(1, sizeof *schema + said->numEntries * sizeof *schema->entries);
    if (schema == NULL)
        return NULL;
    schema->domain = domain;
    schema->n = said->numEntries;
    schema->routing = (said->fieldMask & NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NAME) &&
                      said->name != NULL && strcmp(said->name, "moe.routing") == 0;
    if (said->fieldMask & NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_SCHEMA_ID)
        schema->id = said->schemaId;
    for (size_t i = 0; i < schema->n; i++) {
        const nvtxPayloadSchemaEntry_t *entry = &said->entries[i];
        schema->entries[i] = (moe_schema_entry){.flags = entry->flags,
                                                .type = entry->type,
                                                .detail = entry->arrayOrUnionDetail,
                                                .offset = entry->offset,
                                                .role = role_of(entry->name)};
    }
    return schema;
}

static uint64_t NVTX_API
register_schema(nvtxDomainHandle_t domain, const nvtxPayloadSchemaAttr_t *said)
{
    moe_schema *schema = said != NULL ? copy_schema((uint32_t)(uintptr_t)domain, said) : NULL;
    if (schema == NULL)
        return 0;
    pthread_mutex_lock(&lock);
    if (n_schemas < MOST_SCHEMAS) {
        if (schema->id == 0)
            schema->id = NVTX_PAYLOAD_SCHEMA_ID_DYNAMIC_START + n_schemas;
        schemas[n_schemas++] = schema;
    } else {
        free(schema);
        schema = NULL;
    }
    pthread_mutex_unlock(&lock);
    return schema != NULL ? schema->id : 0;
}

static moe_said
read_all(nvtxDomainHandle_t domain, const nvtxPayloadData_t *payloads, size_t n)
{
    moe_said said = {.domain = (uint32_t)(uintptr_t)domain};
    for (size_t i = 0; payloads != NULL && i < n; i++)
        moe_payload_read(&said, payloads[i].schemaId, payloads[i].size, payloads[i].payload);
    return said;
}

static bool
is_on(void)
{
    return moe_life_on("nvtx");
}

static void NVTX_API
mark(nvtxDomainHandle_t domain, const nvtxPayloadData_t *payloads, size_t n)
{
    if (!is_on())
        return;
    moe_said said = read_all(domain, payloads, n);
    moe_range_mark(&said);
}

static int NVTX_API
push(nvtxDomainHandle_t domain, const nvtxPayloadData_t *payloads, size_t n)
{
    if (!is_on())
        return NVTX_NO_PUSH_POP_TRACKING;
    moe_said said = read_all(domain, payloads, n);
    return moe_range_push(&said);
}

static int NVTX_API
pop(nvtxDomainHandle_t domain, const nvtxPayloadData_t *payloads, size_t n)
{
    if (!is_on())
        return NVTX_NO_PUSH_POP_TRACKING;
    read_all(domain, payloads, n); /* for routing; a range says its payload when it is pushed */
    return moe_range_pop((uint32_t)(uintptr_t)domain);
}

static nvtxRangeId_t NVTX_API
start(nvtxDomainHandle_t domain, const nvtxPayloadData_t *payloads, size_t n)
{
    if (!is_on())
        return 0;
    moe_said said = read_all(domain, payloads, n);
    return moe_range_start(&said);
}

static void NVTX_API
end(nvtxDomainHandle_t domain, nvtxRangeId_t range, const nvtxPayloadData_t *payloads, size_t n)
{
    if (!is_on())
        return;
    read_all(domain, payloads, n);
    moe_range_end(range);
}

/* Called once by each library of the process that carries its own copy of NVTX's extensions. */
MOE_EXPORT int InitializeInjectionNvtxExtension(nvtxExtModuleInfo_t *module);
int
InitializeInjectionNvtxExtension(nvtxExtModuleInfo_t *module)
{
    static const struct {
        size_t slot;
        void (*function)(void);
    } rows[] = {
        {NVTX3EXT_CBID_nvtxPayloadSchemaRegister, (void (*)(void))register_schema},
        {NVTX3EXT_CBID_nvtxMarkPayload, (void (*)(void))mark},
        {NVTX3EXT_CBID_nvtxRangePushPayload, (void (*)(void))push},
        {NVTX3EXT_CBID_nvtxRangePopPayload, (void (*)(void))pop},
        {NVTX3EXT_CBID_nvtxRangeStartPayload, (void (*)(void))start},
        {NVTX3EXT_CBID_nvtxRangeEndPayload, (void (*)(void))end},
    };
    if (module->moduleId != NVTX_EXT_PAYLOAD_MODULEID || module->segmentsCount == 0 || !is_on() ||
        !(moe_life_options()->trace & MOE_TRACE_NVTX))
        return 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].slot < module->segments[0].slotCount)
            module->segments[0].functionSlots[rows[i].slot] = (intptr_t)rows[i].function;
    return 1;
}
