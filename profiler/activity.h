/* CUPTI activity records, read without CUPTI's headers: by offsets that no version has moved, each
 * record by its beginning, so that older (shorter) and newer (longer) ones are read alike; what a
 * short one lacks is 0. Pointers to texts are ids of texts, as the raw log has them.
 *
 * The lists below are checked against the headers and against libcupti's own walk by
 * tests/unit/profiler_activity_test.c, where they are at hand. */
#ifndef MOE_PROFILER_ACTIVITY_H
#define MOE_PROFILER_ACTIVITY_H

#include "sim/base/base.h"

/* CUpti_ActivityKind, of what is read. */
enum {
    MOE_ACTIVITY_MEMCPY = 1,
    MOE_ACTIVITY_MEMSET = 2,
    MOE_ACTIVITY_KERNEL = 3,
    MOE_ACTIVITY_DRIVER = 4,
    MOE_ACTIVITY_RUNTIME = 5,
    MOE_ACTIVITY_DEVICE = 8,
    MOE_ACTIVITY_CONTEXT = 9,
    MOE_ACTIVITY_CONCURRENT_KERNEL = 10,
    MOE_ACTIVITY_OVERHEAD = 17,
    MOE_ACTIVITY_MEMCPY2 = 22, /* from one device to another */
    MOE_ACTIVITY_SYNCHRONIZATION = 38,
    MOE_ACTIVITY_EXTERNAL = 39,
    MOE_ACTIVITY_GRAPH = 51,
    MOE_ACTIVITY_KINDS = 256, /* no kind so far is this or more */
};

/* X(field, CUPTI's name, type, offset). Little endian: of a memset's 16 bits of memoryKind the
 * lower ones, as the kinds fit into them. */
#define MOE_ACTIVITY_KERNEL_FIELDS(X)                                                              \
    X(registers, registersPerThread, uint16_t, 6)                                                  \
    X(start, start, uint64_t, 16)                                                                  \
    X(end, end, uint64_t, 24)                                                                      \
    X(device, deviceId, uint32_t, 40)                                                              \
    X(context, contextId, uint32_t, 44)                                                            \
    X(stream, streamId, uint32_t, 48)                                                              \
    X(grid_x, gridX, int32_t, 52)                                                                  \
    X(grid_y, gridY, int32_t, 56)                                                                  \
    X(grid_z, gridZ, int32_t, 60)                                                                  \
    X(block_x, blockX, int32_t, 64)                                                                \
    X(block_y, blockY, int32_t, 68)                                                                \
    X(block_z, blockZ, int32_t, 72)                                                                \
    X(shared_static, staticSharedMemory, int32_t, 76)                                              \
    X(shared_dynamic, dynamicSharedMemory, int32_t, 80)                                            \
    X(correlation, correlationId, uint32_t, 92)                                                    \
    X(name, name, uint64_t, 104)                                                                   \
    X(node, graphNodeId, uint64_t, 144)                                                            \
    X(graph, graphId, uint32_t, 156)                                                               \
    X(cluster_x, clusterX, uint32_t, 176)

#define MOE_ACTIVITY_MEMCPY_FIELDS(X)                                                              \
    X(direction, copyKind, uint8_t, 4)                                                             \
    X(from, srcKind, uint8_t, 5)                                                                   \
    X(to, dstKind, uint8_t, 6)                                                                     \
    X(bytes, bytes, uint64_t, 8)                                                                   \
    X(start, start, uint64_t, 16)                                                                  \
    X(end, end, uint64_t, 24)                                                                      \
    X(device, deviceId, uint32_t, 32)                                                              \
    X(context, contextId, uint32_t, 36)                                                            \
    X(stream, streamId, uint32_t, 40)                                                              \
    X(correlation, correlationId, uint32_t, 44)                                                    \
    X(node, graphNodeId, uint64_t, 64)

#define MOE_ACTIVITY_MEMCPY2_FIELDS(X)                                                             \
    X(direction, copyKind, uint8_t, 4)                                                             \
    X(from, srcKind, uint8_t, 5)                                                                   \
    X(to, dstKind, uint8_t, 6)                                                                     \
    X(bytes, bytes, uint64_t, 8)                                                                   \
    X(start, start, uint64_t, 16)                                                                  \
    X(end, end, uint64_t, 24)                                                                      \
    X(device, deviceId, uint32_t, 32)                                                              \
    X(context, contextId, uint32_t, 36)                                                            \
    X(stream, streamId, uint32_t, 40)                                                              \
    X(correlation, correlationId, uint32_t, 60)                                                    \
    X(node, graphNodeId, uint64_t, 72)

#define MOE_ACTIVITY_MEMSET_FIELDS(X)                                                              \
    X(bytes, bytes, uint64_t, 8)                                                                   \
    X(start, start, uint64_t, 16)                                                                  \
    X(end, end, uint64_t, 24)                                                                      \
    X(device, deviceId, uint32_t, 32)                                                              \
    X(context, contextId, uint32_t, 36)                                                            \
    X(stream, streamId, uint32_t, 40)                                                              \
    X(correlation, correlationId, uint32_t, 44)                                                    \
    X(to, memoryKind, uint8_t, 50)                                                                 \
    X(node, graphNodeId, uint64_t, 64)

#define MOE_ACTIVITY_API_FIELDS(X)                                                                 \
    X(cbid, cbid, uint32_t, 4)                                                                     \
    X(start, start, uint64_t, 8)                                                                   \
    X(end, end, uint64_t, 16)                                                                      \
    X(thread, threadId, uint32_t, 28)                                                              \
    X(correlation, correlationId, uint32_t, 32)                                                    \
    X(result, returnValue, uint32_t, 36)

#define MOE_ACTIVITY_EXTERNAL_FIELDS(X)                                                            \
    X(kind, externalKind, uint32_t, 4)                                                             \
    X(id, externalId, uint64_t, 8)                                                                 \
    X(correlation, correlationId, uint32_t, 16)

#define MOE_ACTIVITY_DEVICE_FIELDS(X)                                                              \
    X(bandwidth, globalMemoryBandwidth, uint64_t, 8)                                               \
    X(memory_bytes, globalMemorySize, uint64_t, 16)                                                \
    X(sms, numMultiprocessors, uint32_t, 44)                                                       \
    X(major, computeCapabilityMajor, uint32_t, 104)                                                \
    X(minor, computeCapabilityMinor, uint32_t, 108)                                                \
    X(device, id, uint32_t, 112)                                                                   \
    X(name, name, uint64_t, 136)

#define MOE_ACTIVITY_OVERHEAD_FIELDS(X)                                                            \
    X(kind, overheadKind, uint32_t, 4)                                                             \
    X(object_kind, objectKind, uint32_t, 8)                                                        \
    X(process, objectId.pt.processId, uint32_t, 12)                                                \
    X(thread, objectId.pt.threadId, uint32_t, 16)                                                  \
    X(start, start, uint64_t, 24)                                                                  \
    X(end, end, uint64_t, 32)

#define MOE_ACTIVITY_GRAPH_FIELDS(X)                                                               \
    X(correlation, correlationId, uint32_t, 4)                                                     \
    X(start, start, uint64_t, 8)                                                                   \
    X(end, end, uint64_t, 16)                                                                      \
    X(device, deviceId, uint32_t, 24)                                                              \
    X(graph, graphId, uint32_t, 28)                                                                \
    X(stream, streamId, uint32_t, 36)

#define MOE_ACTIVITY_SYNCHRONIZATION_FIELDS(X)                                                     \
    X(type, type, uint32_t, 4)                                                                     \
    X(start, start, uint64_t, 8)                                                                   \
    X(end, end, uint64_t, 16)                                                                      \
    X(correlation, correlationId, uint32_t, 24)                                                    \
    X(context, contextId, uint32_t, 28)                                                            \
    X(stream, streamId, uint32_t, 32)

#define MOE_ACTIVITY_FIELD(field, cupti, type, offset) type field;
typedef struct moe_activity_kernel {
    MOE_ACTIVITY_KERNEL_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_kernel;
/* Of all three kinds of memory operations; a memset's direction and from are 0. */
typedef struct moe_activity_memop {
    MOE_ACTIVITY_MEMCPY_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_memop;
typedef struct moe_activity_api {
    MOE_ACTIVITY_API_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_api;
typedef struct moe_activity_external {
    MOE_ACTIVITY_EXTERNAL_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_external;
enum { MOE_ACTIVITY_UUID = 120 };
typedef struct moe_activity_device {
    MOE_ACTIVITY_DEVICE_FIELDS(MOE_ACTIVITY_FIELD)
    uint8_t uuid[16];
} moe_activity_device;
typedef struct moe_activity_overhead {
    MOE_ACTIVITY_OVERHEAD_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_overhead;
typedef struct moe_activity_graph {
    MOE_ACTIVITY_GRAPH_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_graph;
typedef struct moe_activity_synchronization {
    MOE_ACTIVITY_SYNCHRONIZATION_FIELDS(MOE_ACTIVITY_FIELD)
} moe_activity_synchronization;
#undef MOE_ACTIVITY_FIELD

/* ---- walking a buffer ---- */

/* Bytes of a record of each kind; 0: not known. */
typedef struct moe_activity_sizes {
    uint32_t bytes[MOE_ACTIVITY_KINDS];
} moe_activity_sizes;

/* As CUPTI has them at `version` (cuptiGetVersion); 0: unknown, the newest known. */
void moe_activity_sizes_init(moe_activity_sizes *sizes, uint32_t version);
/* What the log says of a kind. False: it makes no sense, and is not taken. */
bool moe_activity_sizes_set(moe_activity_sizes *sizes, uint32_t kind, uint32_t bytes);

typedef struct moe_activity {
    uint32_t kind, bytes;
    const uint8_t *at;
} moe_activity;

typedef enum moe_activity_step {
    MOE_ACTIVITY_RECORD,
    MOE_ACTIVITY_END,
    MOE_ACTIVITY_UNKNOWN,   /* record->kind has no size: the rest cannot be read */
    MOE_ACTIVITY_TRUNCATED, /* the buffer ends within a record */
} moe_activity_step;

/* The record at *at of a buffer, and *at behind it. */
moe_activity_step moe_activity_next(const moe_activity_sizes *sizes, const uint8_t *buffer,
                                    size_t n, size_t *at, moe_activity *record);

/* A record of the right kind, read. */
void moe_activity_read_kernel(const moe_activity *record, moe_activity_kernel *out);
void moe_activity_read_memop(const moe_activity *record, moe_activity_memop *out);
void moe_activity_read_api(const moe_activity *record, moe_activity_api *out);
void moe_activity_read_external(const moe_activity *record, moe_activity_external *out);
void moe_activity_read_device(const moe_activity *record, moe_activity_device *out);
void moe_activity_read_overhead(const moe_activity *record, moe_activity_overhead *out);
void moe_activity_read_graph(const moe_activity *record, moe_activity_graph *out);
void moe_activity_read_synchronization(const moe_activity *record,
                                       moe_activity_synchronization *out);

/* What numbers of records mean; NULL: nothing known. */
const char *moe_activity_direction(uint32_t copy_kind);       /* HtoD … */
const char *moe_activity_overhead_kind(uint32_t kind);        /* buffer_flush … */
const char *moe_activity_synchronization_type(uint32_t type); /* stream … */

#endif
