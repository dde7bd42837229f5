#include "profiler/activity.h"
#include "profiler/cuda_calls.h"

#include "tests/rawlog.h"
#include "tests/test.h"

#include <dlfcn.h>
#ifdef MOE_HAVE_CUPTI
#include <cupti.h>
#include <stddef.h>
#endif

/* ---- without CUPTI ---- */

#define SAME_KERNEL(field, cupti, type, offset) CU_ASSERT_EQUAL(got.field, kernel.field);
#define SAME_API(field, cupti, type, offset) CU_ASSERT_EQUAL(got_api.field, api.field);

static void
walks_a_buffer(void)
{
    moe_activity_sizes sizes;
    moe_activity record;
    size_t at = 0;
    moe_activity_kernel kernel = {.start = 5, .end = 9, .correlation = 3, .cluster_x = 2};
    moe_activity_api api = {211, 1, 2, 4, 3, 0}, got_api;
    moe_activity_kernel got;
    g_autoptr(GByteArray) buffer = g_byte_array_new();
    moe_activity_sizes_init(&sizes, 130001);
    rawlog_kernel(buffer, MOE_ACTIVITY_CONCURRENT_KERNEL, 216, &kernel);
    rawlog_api(buffer, MOE_ACTIVITY_RUNTIME, 40, &api);
    CU_ASSERT_EQUAL(moe_activity_next(&sizes, buffer->data, buffer->len, &at, &record),
                    MOE_ACTIVITY_RECORD);
    moe_activity_read_kernel(&record, &got);
    MOE_ACTIVITY_KERNEL_FIELDS(SAME_KERNEL)
    CU_ASSERT_EQUAL(moe_activity_next(&sizes, buffer->data, buffer->len, &at, &record),
                    MOE_ACTIVITY_RECORD);
    moe_activity_read_api(&record, &got_api);
    MOE_ACTIVITY_API_FIELDS(SAME_API)
    CU_ASSERT_EQUAL(moe_activity_next(&sizes, buffer->data, buffer->len, &at, &record),
                    MOE_ACTIVITY_END);
}

/* Cut at every byte: never a record too many, and the cut is seen unless it is between records. */
static void
sees_cuts(void)
{
    moe_activity_sizes sizes;
    moe_activity_kernel kernel = {.start = 5, .end = 9};
    g_autoptr(GByteArray) buffer = g_byte_array_new();
    moe_activity_sizes_init(&sizes, 130001);
    for (int i = 0; i < 3; i++)
        rawlog_kernel(buffer, MOE_ACTIVITY_KERNEL, 216, &kernel);
    for (size_t cut = 0; cut <= buffer->len; cut++) {
        uint8_t *copy = g_memdup2(buffer->data, cut);
        size_t at = 0, n = 0;
        moe_activity record;
        moe_activity_step step;
        while ((step = moe_activity_next(&sizes, copy, cut, &at, &record)) == MOE_ACTIVITY_RECORD)
            n++;
        MOE_CHECK(n == cut / 216 && step == (cut % 216 ? MOE_ACTIVITY_TRUNCATED : MOE_ACTIVITY_END),
                  "cut at %zu: %zu records, ends as %u", cut, n, step);
        g_free(copy);
    }
}

static void
reads_by_the_beginning(void)
{
    static const struct {
        uint32_t bytes;
        uint64_t name, node;
        uint32_t cluster;
    } cases[] = {/* Kernel4, 5, 6, 8, 10, and one of the future */
                 {144, 77, 0, 0},
                 {160, 77, 88, 0},
                 {168, 77, 88, 0},
                 {200, 77, 88, 4},
                 {216, 77, 88, 4},
                 {264, 77, 88, 4},
                 /* of nothing that is known */
                 {104, 0, 0, 0},
                 {24, 0, 0, 0}};
    moe_activity_kernel kernel = {.start = 1, .name = 77, .node = 88, .cluster_x = 4};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_activity_sizes sizes;
        moe_activity record;
        moe_activity_kernel got;
        size_t at = 0;
        g_autoptr(GByteArray) buffer = g_byte_array_new();
        moe_activity_sizes_init(&sizes, 0);
        CU_ASSERT_TRUE(moe_activity_sizes_set(&sizes, MOE_ACTIVITY_KERNEL, cases[i].bytes));
        rawlog_kernel(buffer, MOE_ACTIVITY_KERNEL, cases[i].bytes, &kernel);
        moe_activity_next(&sizes, buffer->data, buffer->len, &at, &record);
        moe_activity_read_kernel(&record, &got);
        MOE_CHECK(got.name == cases[i].name && got.node == cases[i].node &&
                      got.cluster_x == cases[i].cluster && at == cases[i].bytes,
                  "%u bytes: name %llu, node %llu, cluster %u", cases[i].bytes,
                  (unsigned long long)got.name, (unsigned long long)got.node, got.cluster_x);
    }
}

static void
refuses_absurd_sizes(void)
{
    static const struct {
        uint32_t kind, bytes;
        bool taken;
    } cases[] = {
        {10, 224, true}, {0, 40, false},   {256, 40, false},        {UINT32_MAX, 40, false},
        {10, 0, false},  {10, 217, false}, {10, 1u << 31, false},   {255, 8, true},
        {10, 4, false},  {10, 4096, true}, {10, UINT32_MAX, false},
    };
    moe_activity_sizes sizes;
    moe_activity_sizes_init(&sizes, 0);
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        MOE_CHECK(moe_activity_sizes_set(&sizes, cases[i].kind, cases[i].bytes) == cases[i].taken,
                  "case %zu", i);
}

static void
knows_versions(void)
{
    static const struct {
        uint32_t version, kind, bytes;
    } cases[] = {{21, 10, 208}, {28, 10, 208}, {130000, 10, 216}, {0, 10, 216},
                 {21, 1, 88},   {26, 1, 96},   {21, 38, 40},      {26, 38, 56},
                 {0, 5, 40},    {0, 99, 0},    {140000, 10, 216}, {21, 55, 0}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_activity_sizes sizes;
        moe_activity_sizes_init(&sizes, cases[i].version);
        MOE_CHECK(sizes.bytes[cases[i].kind] == cases[i].bytes, "version %u, kind %u: %u bytes",
                  cases[i].version, cases[i].kind, sizes.bytes[cases[i].kind]);
    }
}

static void
names_calls(void)
{
    CU_ASSERT_STRING_EQUAL(moe_cuda_call(true, 211), "cudaLaunchKernel_v7000");
    CU_ASSERT_STRING_EQUAL(moe_cuda_call(false, 307), "cuLaunchKernel");
    CU_ASSERT_PTR_NULL(moe_cuda_call(true, 0));
    CU_ASSERT_PTR_NULL(moe_cuda_call(true, 65000));
    CU_ASSERT_PTR_NULL(moe_cuda_call(false, UINT32_MAX));
}

/* ---- with CUPTI's headers ---- */

#ifdef MOE_HAVE_CUPTI
#define AT(type, cupti, offset)                                                                    \
    MOE_CHECK(offsetof(type, cupti) == (offset), #type "." #cupti " is at %zu, not %d",            \
              offsetof(type, cupti), offset);
#define FIELD(of, cupti, ctype, offset)                                                            \
    AT(of, cupti, offset)                                                                          \
    MOE_CHECK(sizeof(((of *)NULL)->cupti) >= sizeof(ctype), #of "." #cupti " has %zu bytes",       \
              sizeof(((of *)NULL)->cupti));
#define KERNEL(field, cupti, type, offset) FIELD(CUpti_ActivityKernel10, cupti, type, offset)
#define MEMCPY(field, cupti, type, offset) FIELD(CUpti_ActivityMemcpy6, cupti, type, offset)
#define MEMCPY2(field, cupti, type, offset) FIELD(CUpti_ActivityMemcpyPtoP4, cupti, type, offset)
#define MEMSET(field, cupti, type, offset) FIELD(CUpti_ActivityMemset4, cupti, type, offset)
#define API(field, cupti, type, offset) FIELD(CUpti_ActivityAPI, cupti, type, offset)
#define DEVICE(field, cupti, type, offset) FIELD(CUpti_ActivityDevice5, cupti, type, offset)
#define OVERHEAD(field, cupti, type, offset) FIELD(CUpti_ActivityOverhead3, cupti, type, offset)
#define GRAPH(field, cupti, type, offset) FIELD(CUpti_ActivityGraphTrace2, cupti, type, offset)
#define WAIT(field, cupti, type, offset) FIELD(CUpti_ActivitySynchronization2, cupti, type, offset)
#define EXTERNAL(field, cupti, type, offset)                                                       \
    FIELD(CUpti_ActivityExternalCorrelation, cupti, type, offset)

/* Older kernels hold the same at the same places, as far as they reach. */
#define OLDER(of, cupti, offset)                                                                   \
    if ((offset) < (int)sizeof(of))                                                                \
    AT(of, cupti, offset)

static void
has_the_headers_offsets(void)
{
    MOE_ACTIVITY_KERNEL_FIELDS(KERNEL)
    MOE_ACTIVITY_MEMCPY_FIELDS(MEMCPY)
    MOE_ACTIVITY_MEMCPY2_FIELDS(MEMCPY2)
    MOE_ACTIVITY_MEMSET_FIELDS(MEMSET)
    MOE_ACTIVITY_API_FIELDS(API)
    MOE_ACTIVITY_EXTERNAL_FIELDS(EXTERNAL)
    MOE_ACTIVITY_DEVICE_FIELDS(DEVICE)
    MOE_ACTIVITY_OVERHEAD_FIELDS(OVERHEAD)
    MOE_ACTIVITY_GRAPH_FIELDS(GRAPH)
    MOE_ACTIVITY_SYNCHRONIZATION_FIELDS(WAIT)
    AT(CUpti_ActivityDevice5, uuid, MOE_ACTIVITY_UUID)
    OLDER(CUpti_ActivityKernel4, start, 16)
    OLDER(CUpti_ActivityKernel4, correlationId, 92)
    OLDER(CUpti_ActivityKernel4, name, 104)
    OLDER(CUpti_ActivityKernel5, graphNodeId, 144)
    OLDER(CUpti_ActivityKernel6, graphNodeId, 144)
    OLDER(CUpti_ActivityKernel7, graphId, 156)
    OLDER(CUpti_ActivityKernel8, clusterX, 176)
    OLDER(CUpti_ActivityKernel9, clusterX, 176)
    OLDER(CUpti_ActivityMemcpy5, graphNodeId, 64)
    OLDER(CUpti_ActivityMemset3, graphNodeId, 64)
    OLDER(CUpti_ActivityDevice4, name, 136)
    OLDER(CUpti_ActivitySynchronization, streamId, 32)
    CU_ASSERT_EQUAL(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1, 4);
    CU_ASSERT_EQUAL(CUPTI_ACTIVITY_KIND_GRAPH_TRACE, MOE_ACTIVITY_GRAPH);
    CU_ASSERT_EQUAL(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, MOE_ACTIVITY_EXTERNAL);
}

/* Sizes of the deprecated structs, of which the table by version is made. */
static void
has_the_headers_sizes(void)
{
    static const struct {
        uint32_t version, kind;
        size_t bytes;
    } cases[] = {
        {28, 10, sizeof(CUpti_ActivityKernel9)},
        {130000, 10, sizeof(CUpti_ActivityKernel10)},
        {21, 1, sizeof(CUpti_ActivityMemcpy5)},
        {26, 1, sizeof(CUpti_ActivityMemcpy6)},
        {26, 38, sizeof(CUpti_ActivitySynchronization2)},
        {21, 38, sizeof(CUpti_ActivitySynchronization)},
        {21, 36, sizeof(CUpti_ActivityCudaEvent)},
        {26, 36, sizeof(CUpti_ActivityCudaEvent2)},
        {21, 9, sizeof(CUpti_ActivityContext2)},
        {130000, 9, sizeof(CUpti_ActivityContext3)},
        {21, 50, sizeof(CUpti_ActivityMemoryPool2)},
        {130000, 50, sizeof(CUpti_ActivityMemoryPool3)},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_activity_sizes sizes;
        moe_activity_sizes_init(&sizes, cases[i].version);
        MOE_CHECK(sizes.bytes[cases[i].kind] == cases[i].bytes,
                  "version %u, kind %u: %u bytes, the header has %zu", cases[i].version,
                  cases[i].kind, sizes.bytes[cases[i].kind], cases[i].bytes);
    }
}

static void
names_calls_as_the_headers_do(void)
{
/* joined at once: cuda.h makes macros of some of the names */
#define MOE_CUDA_CALL(domain, cbid, name)                                                          \
    MOE_CHECK(CUPTI_##domain##_TRACE_CBID_##name == (cbid), #name " is %d",                        \
              CUPTI_##domain##_TRACE_CBID_##name);
#include "profiler/cuda_calls.def"
#undef MOE_CUDA_CALL
}

/* ---- with libcupti, without a driver ---- */

typedef CUptiResult next_record(uint8_t *, size_t, CUpti_Activity **);
typedef CUptiResult get_version(uint32_t *);

/* libcupti's walk; NULL when it is absent. */
static next_record *
cupti_walk(uint32_t *version)
{
    static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", MOE_CUPTI_LIBRARY};
    void *cupti = NULL;
    for (size_t i = 0; i < MOE_COUNT(names) && !cupti; i++)
        cupti = *names[i] ? dlopen(names[i], RTLD_NOW) : NULL;
    if (!cupti)
        return NULL;
    get_version *get = (get_version *)(uintptr_t)dlsym(cupti, "cuptiGetVersion");
    next_record *next = (next_record *)(uintptr_t)dlsym(cupti, "cuptiActivityGetNextRecord");
    if (!get || !next || get(version) != CUPTI_SUCCESS)
        return NULL;
    return next;
}

/* The size of a kind's record is the least that holds one. */
static void
has_libcuptis_sizes(void)
{
    enum { MOST = 1024 };
    uint32_t version = 0;
    next_record *next = cupti_walk(&version);
    moe_activity_sizes sizes;
    if (!next) {
        moe_test_skip("libcupti is not here");
        return;
    }
    moe_activity_sizes_init(&sizes, version);
    uint8_t *buffer = g_malloc0(MOST);
    for (uint32_t kind = 1; kind < 64; kind++) {
        size_t found = 0;
        memcpy(buffer, &kind, sizeof kind);
        for (size_t n = 8; n <= MOST && !found; n += 8) {
            CUpti_Activity *record = NULL;
            found = next(buffer, n, &record) == CUPTI_SUCCESS ? n : 0;
        }
        /* a library that is newer than the table has its sizes in the log */
        MOE_CHECK(version >= 130100 || sizes.bytes[kind] == found,
                  "CUPTI %u, kind %u: %u bytes, libcupti has %zu", version, kind, sizes.bytes[kind],
                  found);
    }
    g_free(buffer);
}

/* The same records at the same places; libcupti stops where ours says why. */
static void
walk_both(next_record *next, const moe_activity_sizes *sizes, uint8_t *buffer, size_t n,
          const char *name)
{
    CUpti_Activity *theirs = NULL;
    moe_activity ours;
    size_t at = 0, count = 0;
    moe_activity_step step;
    CUptiResult result;
    for (;; count++) {
        step = moe_activity_next(sizes, buffer, n, &at, &ours);
        result = next(buffer, n, &theirs);
        if (step != MOE_ACTIVITY_RECORD || result != CUPTI_SUCCESS)
            break;
        if ((const uint8_t *)theirs != ours.at || (uint32_t)theirs->kind != ours.kind)
            break;
    }
    CUptiResult wanted =
        step == MOE_ACTIVITY_UNKNOWN ? CUPTI_ERROR_INVALID_KIND : CUPTI_ERROR_MAX_LIMIT_REACHED;
    MOE_CHECK(step != MOE_ACTIVITY_RECORD && result == wanted,
              "%s, %zu bytes: after %zu records ours says %u, libcupti %d", name, n, count, step,
              (int)result);
}

static void
walks_as_libcupti_does(void)
{
    uint32_t version = 0, kinds[] = {10, 5, 39, 1, 2, 4, 17, 51, 38, 8, 9, 22, 12};
    next_record *next = cupti_walk(&version);
    moe_activity_sizes sizes;
    g_autoptr(GByteArray) all = g_byte_array_new();
    if (!next) {
        moe_test_skip("libcupti is not here");
        return;
    }
    moe_activity_sizes_init(&sizes, version);
    for (size_t i = 0; i < 4 * MOE_COUNT(kinds); i++) {
        uint32_t kind = kinds[(i * 7 + i / 5) % MOE_COUNT(kinds)];
        guint was = all->len;
        g_byte_array_set_size(all, was + sizes.bytes[kind]);
        memset(all->data + was, 0, sizes.bytes[kind]);
        memcpy(all->data + was, &kind, sizeof kind);
    }
    /* libcupti takes a buffer whose length is no multiple of 8 as it is */
    for (size_t n = 8; n <= all->len; n += n < 1024 ? 8 : 104) {
        uint8_t *copy = g_memdup2(all->data, n);
        walk_both(next, &sizes, copy, n, "cut");
        g_free(copy);
    }
    uint32_t unknown = 999;
    g_byte_array_append(all, (const guint8 *)&unknown, sizeof unknown);
    g_byte_array_append(all, (const guint8 *)&unknown, sizeof unknown);
    walk_both(next, &sizes, all->data, all->len, "unknown kind");
}
#else
static void
has_the_headers_offsets(void)
{
    moe_test_skip("built without CUPTI's headers");
}
#define has_the_headers_sizes has_the_headers_offsets
#define names_calls_as_the_headers_do has_the_headers_offsets
#define has_libcuptis_sizes has_the_headers_offsets
#define walks_as_libcupti_does has_the_headers_offsets
#endif

MOE_TESTS({"walks a buffer", walks_a_buffer}, {"sees cuts", sees_cuts},
          {"reads by the beginning", reads_by_the_beginning},
          {"refuses absurd sizes", refuses_absurd_sizes}, {"knows versions", knows_versions},
          {"names calls", names_calls}, {"has the headers' offsets", has_the_headers_offsets},
          {"has the headers' sizes", has_the_headers_sizes},
          {"names calls as the headers do", names_calls_as_the_headers_do},
          {"has libcupti's sizes", has_libcuptis_sizes},
          {"walks as libcupti does", walks_as_libcupti_does})
