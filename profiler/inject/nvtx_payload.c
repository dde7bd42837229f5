#include "profiler/inject/nvtx_payload.h"

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#include <string.h>

#include "profiler/inject/life.h"
#include "profiler/inject/nvtx.h"
#include "profiler/inject/route.h"
#include "profiler/inject/say.h"
#include "profiler/inject/window.h"

typedef enum number_kind { NUMBER_NONE, NUMBER_UNSIGNED, NUMBER_SIGNED, NUMBER_FLOAT } number_kind;

/* Types of entries: how many bytes, and what number they are. */
typedef struct type_row {
    uint8_t bytes;
    uint8_t kind; /* number_kind */
} type_row;

static const type_row types[] = {
    [NVTX_PAYLOAD_ENTRY_TYPE_CHAR] = {1, NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_UCHAR] = {1, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_SHORT] = {sizeof(short), NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_USHORT] = {sizeof(short), NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_INT] = {sizeof(int), NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_UINT] = {sizeof(int), NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_LONG] = {sizeof(long), NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_ULONG] = {sizeof(long), NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_LONGLONG] = {8, NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_ULONGLONG] = {8, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_INT8] = {1, NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_UINT8] = {1, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_INT16] = {2, NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_UINT16] = {2, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_INT32] = {4, NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_UINT32] = {4, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_INT64] = {8, NUMBER_SIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_UINT64] = {8, NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_FLOAT] = {4, NUMBER_FLOAT},
    [NVTX_PAYLOAD_ENTRY_TYPE_DOUBLE] = {8, NUMBER_FLOAT},
    [NVTX_PAYLOAD_ENTRY_TYPE_SIZE] = {sizeof(size_t), NUMBER_UNSIGNED},
    [NVTX_PAYLOAD_ENTRY_TYPE_ADDRESS] = {sizeof(void *), NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_BYTE] = {1, NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_FLOAT32] = {4, NUMBER_FLOAT},
    [NVTX_PAYLOAD_ENTRY_TYPE_FLOAT64] = {8, NUMBER_FLOAT},
    [NVTX_PAYLOAD_ENTRY_TYPE_CATEGORY] = {4, NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_CSTRING] = {sizeof(char *), NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_CSTRING_UTF8] = {sizeof(char *), NUMBER_NONE},
    [NVTX_PAYLOAD_ENTRY_TYPE_NVTX_REGISTERED_STRING_HANDLE] = {sizeof(void *), NUMBER_NONE},
};

/* The values of an entry in one event. */
typedef struct field {
    const uint8_t *data; /* NULL: not there */
    uint64_t n;
    type_row type;
} field;

enum { MOST_FIELDS = 256 };

static type_row
type_of(uint64_t type)
{
    return type < sizeof types / sizeof *types ? types[type] : (type_row){0, NUMBER_NONE};
}

static int64_t
read_number(type_row type, const uint8_t *data)
{
    uint64_t bits = 0;
    memcpy(&bits, data, type.bytes);
    unsigned unused_bits = 64u - 8u * type.bytes;
    if (type.kind == NUMBER_SIGNED)
        return (int64_t)(bits << unused_bits) >> unused_bits;
    return (int64_t)bits;
}

static double
read_float(type_row type, const uint8_t *data)
{
    float narrow;
    double wide;
    if (type.bytes == sizeof narrow) {
        memcpy(&narrow, data, sizeof narrow);
        return (double)narrow;
    }
    memcpy(&wide, data, sizeof wide);
    return wide;
}

/* How many elements an entry has; false: its kind of array is not read. */
static bool
length_of(const moe_schema_entry *entry, const field *before, size_t n_before, uint64_t *n)
{
    switch (entry->flags & (7u << 4)) {
    case 0:
        *n = 1;
        return true;
    case NVTX_PAYLOAD_ENTRY_FLAG_ARRAY_FIXED_SIZE:
        *n = entry->detail;
        return true;
    case NVTX_PAYLOAD_ENTRY_FLAG_ARRAY_LENGTH_INDEX:
        if (entry->detail >= n_before || before[entry->detail].data == NULL ||
            before[entry->detail].n != 1 || before[entry->detail].type.kind == NUMBER_FLOAT ||
            before[entry->detail].type.kind == NUMBER_NONE)
            return false;
        *n = (uint64_t)read_number(before[entry->detail].type, before[entry->detail].data);
        return true;
    default:
        return false;
    }
}

/* Finds where each entry's values are. What lies outside of the payload, and all behind an entry
 * whose size is unknown, is not there. */
static void
locate(const moe_schema *schema, const uint8_t *data, size_t bytes, field *fields)
{
    const uint64_t most = UINT64_C(1) << 32;
    uint64_t at = 0;
    bool lost = false;
    for (size_t i = 0; i < schema->n; i++) {
        const moe_schema_entry *entry = &schema->entries[i];
        type_row type = type_of(entry->type);
        uint64_t n = 0;
        fields[i] = (field){.type = type};
        if (entry->offset != 0) {
            at = entry->offset;
            lost = false;
        }
        bool known = type.bytes != 0 && length_of(entry, fields, i, &n) && n < most;
        bool pointer = entry->flags & NVTX_PAYLOAD_ENTRY_FLAG_POINTER;
        if (lost || !known || at >= most) {
            lost = true;
            continue;
        }
        uint64_t align = pointer ? sizeof(void *) : type.bytes;
        uint64_t size = pointer ? sizeof(void *) : n * type.bytes;
        if (entry->offset == 0)
            at = (at + align - 1) / align * align;
        if (at + size <= bytes) {
            fields[i].n = n;
            fields[i].data = data + at;
            if (pointer)
                memcpy(&fields[i].data, data + at, sizeof fields[i].data);
        }
        at += size;
    }
}

static bool
is_integer(const field *f)
{
    return f != NULL && f->data != NULL && f->n > 0 &&
           (f->type.kind == NUMBER_SIGNED || f->type.kind == NUMBER_UNSIGNED);
}

static int64_t
read_id(const void *ids, uint64_t i)
{
    const field *f = ids;
    return read_number(f->type, f->data + i * f->type.bytes);
}

static void
lose(void)
{
    moe_lose(MOE_LOSS_ROUTE, 1);
}

static void
read_routing(const moe_schema *schema, const field *fields)
{
    if (!(moe_life_options()->trace & MOE_TRACE_ROUTE) || !moe_window_open())
        return;
    const field *roles[MOE_N_PAYLOAD_ROLES] = {NULL};
    for (size_t i = 0; i < schema->n; i++)
        roles[schema->entries[i].role] = &fields[i];
    const field *ids = roles[MOE_PAYLOAD_IDS], *weights = roles[MOE_PAYLOAD_WEIGHTS];
    if (!is_integer(ids) || !is_integer(roles[MOE_PAYLOAD_LAYER]) ||
        !is_integer(roles[MOE_PAYLOAD_STEP]) || !is_integer(roles[MOE_PAYLOAD_TOP_K])) {
        lose();
        return;
    }
    int64_t layer = read_id(roles[MOE_PAYLOAD_LAYER], 0),
            step = read_id(roles[MOE_PAYLOAD_STEP], 0);
    int64_t k = read_id(roles[MOE_PAYLOAD_TOP_K], 0);
    int64_t token0 =
        is_integer(roles[MOE_PAYLOAD_TOKEN0]) ? read_id(roles[MOE_PAYLOAD_TOKEN0], 0) : 0;
    if (k <= 0 || k > (int64_t)ids->n || ids->n % (uint64_t)k != 0 || ids->n > INT32_MAX ||
        layer < 0 || layer > INT32_MAX) {
        lose();
        return;
    }
    bool weighted = weights != NULL && weights->data != NULL && weights->n == ids->n &&
                    weights->type.kind == NUMBER_FLOAT && weights->type.bytes == sizeof(float);
    moe_route_record((int32_t)layer, step, token0, (int32_t)((int64_t)ids->n / k), (int32_t)k, ids,
                     read_id, weighted ? weights->data : NULL);
}

static void
take_number(moe_said *said, const field *f)
{
    if (f->type.kind == NUMBER_FLOAT) {
        double number = read_float(f->type, f->data);
        memcpy(&said->payload, &number, sizeof number);
    } else {
        said->payload = (uint64_t)read_number(f->type, f->data);
    }
    said->payload_type = f->type.kind;
}

static void
take_message(moe_said *said, uint64_t type, const uint8_t *data)
{
    const char *text;
    memcpy(&text, data, sizeof text);
    if (type == NVTX_PAYLOAD_ENTRY_TYPE_NVTX_REGISTERED_STRING_HANDLE)
        said->text = (uint32_t)(uintptr_t)text;
    else
        said->narrow = text;
}

static void
take_entry(moe_said *said, const moe_schema_entry *entry, const field *f)
{
    if (f->data == NULL || f->n != 1)
        return;
    if (f->type.kind != NUMBER_NONE && said->payload_type == 0)
        take_number(said, f);
    else if (entry->type == NVTX_PAYLOAD_ENTRY_TYPE_CATEGORY)
        memcpy(&said->category, f->data, sizeof said->category);
    else if (entry->type >= NVTX_PAYLOAD_ENTRY_TYPE_CSTRING &&
             (entry->flags & NVTX_PAYLOAD_ENTRY_FLAG_EVENT_MESSAGE))
        take_message(said, entry->type, f->data);
}

void
moe_payload_read(moe_said *said, uint64_t id, size_t bytes, const void *data)
{
    if (data == NULL)
        return;
    type_row plain = type_of(id); /* a payload that is one number needs no schema */
    if (plain.kind != NUMBER_NONE && bytes == plain.bytes && said->payload_type == 0)
        take_number(said, &(field){.data = data, .n = 1, .type = plain});
    const moe_schema *schema =
        id >= NVTX_PAYLOAD_SCHEMA_ID_STATIC_START ? moe_schema_find(said->domain, id) : NULL;
    if (schema == NULL)
        return;
    field fields[MOST_FIELDS];
    locate(schema, data, bytes, fields);
    if (schema->routing)
        read_routing(schema, fields);
    for (size_t i = 0; i < schema->n; i++)
        take_entry(said, &schema->entries[i], &fields[i]);
}
