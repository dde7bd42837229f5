#include "profiler/activity.h"

#include <string.h>

/* ---- sizes ---- */

/* Kinds at CUDA 12.3, and what changed; the last row of a kind up to a version counts. Those of
 * 13.0 are what libcupti itself walks by; older ones are of the headers' deprecated structs. */
static const struct {
    uint32_t version; /* cuptiGetVersion: 21 is CUDA 12.3, 26 is 12.8, 130000 is 13.0 */
    uint16_t kind, bytes;
} size_rows[] = {
    {0, 1, 88},        {26, 1, 96},  {0, 2, 88},       {0, 3, 208},  {130000, 3, 216},
    {0, 4, 40},        {0, 5, 40},   {0, 8, 184},      {0, 9, 24},   {130000, 9, 32},
    {0, 10, 208},      {0, 11, 32},  {0, 12, 56},      {0, 13, 32},  {130000, 13, 40},
    {130000, 10, 216}, {0, 17, 56},  {0, 18, 144},     {0, 19, 40},  {0, 20, 40},
    {0, 22, 96},       {0, 25, 64},  {26, 25, 104},    {0, 26, 32},  {0, 27, 24},
    {0, 28, 24},       {0, 33, 152}, {0, 34, 152},     {0, 35, 120}, {0, 36, 24},
    {26, 36, 56},      {0, 37, 24},  {0, 38, 40},      {26, 38, 56}, {0, 39, 24},
    {0, 40, 136},      {0, 45, 80},  {0, 46, 168},     {0, 47, 40},  {0, 48, 40},
    {0, 49, 128},      {0, 50, 72},  {130000, 50, 80}, {0, 51, 56},  {0, 52, 72},
    {0, 53, 56},       {0, 54, 64},  {130000, 55, 32},
};

void
moe_activity_sizes_init(moe_activity_sizes *sizes, uint32_t version)
{
    memset(sizes, 0, sizeof *sizes);
    for (size_t i = 0; i < MOE_COUNT(size_rows); i++)
        if (version == 0 || size_rows[i].version <= version)
            sizes->bytes[size_rows[i].kind] = size_rows[i].bytes;
}

bool
moe_activity_sizes_set(moe_activity_sizes *sizes, uint32_t kind, uint32_t bytes)
{
    enum { LARGEST = 4096 };
    if (kind == 0 || kind >= MOE_ACTIVITY_KINDS || bytes < 8 || bytes > LARGEST || bytes % 8)
        return false;
    sizes->bytes[kind] = bytes;
    return true;
}

/* ---- walking ---- */

moe_activity_step
moe_activity_next(const moe_activity_sizes *sizes, const uint8_t *buffer, size_t n, size_t *at,
                  moe_activity *record)
{
    size_t left = n - *at;
    *record = (moe_activity){.at = buffer + *at};
    if (left == 0)
        return MOE_ACTIVITY_END;
    if (left < sizeof record->kind)
        return MOE_ACTIVITY_TRUNCATED;
    memcpy(&record->kind, record->at, sizeof record->kind);
    record->bytes = record->kind < MOE_ACTIVITY_KINDS ? sizes->bytes[record->kind] : 0;
    if (record->bytes == 0)
        return MOE_ACTIVITY_UNKNOWN;
    if (record->bytes > left)
        return MOE_ACTIVITY_TRUNCATED;
    *at += record->bytes;
    return MOE_ACTIVITY_RECORD;
}

/* ---- reading ---- */

#define READ(field, cupti, type, offset)                                                           \
    if (record->bytes >= (offset) + sizeof(type))                                                  \
        memcpy(&out->field, record->at + (offset), sizeof(type));

void
moe_activity_read_kernel(const moe_activity *record, moe_activity_kernel *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_KERNEL_FIELDS(READ)
}

void
moe_activity_read_memop(const moe_activity *record, moe_activity_memop *out)
{
    memset(out, 0, sizeof *out);
    if (record->kind == MOE_ACTIVITY_MEMCPY) {
        MOE_ACTIVITY_MEMCPY_FIELDS(READ)
    } else if (record->kind == MOE_ACTIVITY_MEMCPY2) {
        MOE_ACTIVITY_MEMCPY2_FIELDS(READ)
    } else {
        MOE_ACTIVITY_MEMSET_FIELDS(READ)
    }
}

void
moe_activity_read_api(const moe_activity *record, moe_activity_api *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_API_FIELDS(READ)
}

void
moe_activity_read_external(const moe_activity *record, moe_activity_external *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_EXTERNAL_FIELDS(READ)
}

void
moe_activity_read_device(const moe_activity *record, moe_activity_device *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_DEVICE_FIELDS(READ)
    if (record->bytes >= MOE_ACTIVITY_UUID + sizeof out->uuid)
        memcpy(out->uuid, record->at + MOE_ACTIVITY_UUID, sizeof out->uuid);
}

void
moe_activity_read_overhead(const moe_activity *record, moe_activity_overhead *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_OVERHEAD_FIELDS(READ)
}

void
moe_activity_read_graph(const moe_activity *record, moe_activity_graph *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_GRAPH_FIELDS(READ)
}

void
moe_activity_read_synchronization(const moe_activity *record, moe_activity_synchronization *out)
{
    memset(out, 0, sizeof *out);
    MOE_ACTIVITY_SYNCHRONIZATION_FIELDS(READ)
}

/* ---- meanings ---- */

const char *
moe_activity_direction(uint32_t copy_kind)
{
    static const char *const names[] = {NULL,   "HtoD", "DtoH", "HtoA", "AtoH", "AtoA",
                                        "AtoD", "DtoA", "DtoD", "HtoH", "PtoP"};
    return copy_kind < MOE_COUNT(names) ? names[copy_kind] : NULL;
}

const char *
moe_activity_overhead_kind(uint32_t kind)
{
    static const char *const names[] = {NULL,
                                        "buffer_flush",
                                        "instrumentation",
                                        "resource",
                                        "module_loading",
                                        "lazy_loading",
                                        "command_buffer_full",
                                        "buffer_request",
                                        "uvm_activity_init"};
    if (kind == 1)
        return "compiler";
    return kind % 65536 == 0 && kind / 65536 < MOE_COUNT(names) ? names[kind / 65536] : NULL;
}

const char *
moe_activity_synchronization_type(uint32_t type)
{
    static const char *const names[] = {NULL, "event", "stream_wait_event", "stream", "context"};
    return type < MOE_COUNT(names) ? names[type] : NULL;
}
