/* Raw logs written by tests, chunk by chunk, as the injector writes them; and a whole small one. */
#ifndef MOE_TESTS_RAWLOG_H
#define MOE_TESTS_RAWLOG_H

#include "profiler/activity.h"
#include "profiler/decoder.h"
#include "profiler/inject/rawlog.h"
#include "profiler/profile_stages.h"

#include <glib.h>
#include <string.h>
#include <zlib.h>

/* ---- chunks ---- */

__attribute__((unused)) static GByteArray *
rawlog_new(void)
{
    GByteArray *log = g_byte_array_new();
    return g_byte_array_append(log, (const guint8 *)MOE_RAW_MAGIC, 8);
}

__attribute__((unused)) static void
rawlog_pad(GByteArray *log)
{
    static const guint8 zeros[8];
    g_byte_array_append(log, zeros, (8 - log->len % 8) % 8);
}

__attribute__((unused)) static void
rawlog_chunk(GByteArray *log, uint32_t type, const void *payload, size_t n)
{
    moe_raw_head head = {MOE_RAW_CHUNK, type, (uint32_t)n,
                         (uint32_t)crc32(0, payload, (unsigned)n)};
    g_byte_array_append(log, (const guint8 *)&head, sizeof head);
    g_byte_array_append(log, payload, (guint)n);
    rawlog_pad(log);
}

__attribute__((unused)) static void
rawlog_array(GByteArray *log, uint32_t type, GByteArray *payload)
{
    rawlog_chunk(log, type, payload->data, payload->len);
    g_byte_array_set_size(payload, 0);
}

__attribute__((unused)) static void
rawlog_hello(GByteArray *log, const char *lines)
{
    rawlog_chunk(log, MOE_RAW_HELLO, lines, strlen(lines));
}

/* One STRINGS chunk of texts with ids 1, 2, … */
__attribute__((unused)) static void
rawlog_strings(GByteArray *log, const char *const *texts, uint32_t n)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();
    for (uint32_t i = 0; i < n; i++) {
        moe_raw_string head = {i + 1, (uint32_t)strlen(texts[i])};
        g_byte_array_append(payload, (const guint8 *)&head, sizeof head);
        g_byte_array_append(payload, (const guint8 *)texts[i], head.bytes);
        rawlog_pad(payload);
    }
    rawlog_array(log, MOE_RAW_STRINGS, payload);
}

__attribute__((unused)) static void
rawlog_activity(GByteArray *log, GByteArray *records, uint64_t sequence)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();
    moe_raw_activity head = {.bytes = records->len, .sequence = sequence};
    g_byte_array_append(payload, (const guint8 *)&head, sizeof head);
    g_byte_array_append(payload, records->data, records->len);
    rawlog_array(log, MOE_RAW_ACTIVITY, payload);
    g_byte_array_set_size(records, 0);
}

/* ---- records: each field by its place in the list of activity.h ---- */

#define RAWLOG_PUT(field, cupti, type, offset)                                                     \
    {                                                                                              \
        type value = (type)from->field;                                                            \
        if ((offset) + sizeof value <= bytes)                                                      \
            memcpy(record + (offset), &value, sizeof value);                                       \
    }
#define RAWLOG_RECORD(name, struct_name, FIELDS)                                                   \
    __attribute__((unused)) static void name(GByteArray *records, uint32_t kind, uint32_t bytes,   \
                                             const struct_name *from)                              \
    {                                                                                              \
        uint8_t record[512] = {0};                                                                 \
        memcpy(record, &kind, sizeof kind);                                                        \
        FIELDS(RAWLOG_PUT)                                                                         \
        g_byte_array_append(records, record, bytes);                                               \
    }
RAWLOG_RECORD(rawlog_kernel, moe_activity_kernel, MOE_ACTIVITY_KERNEL_FIELDS)
RAWLOG_RECORD(rawlog_memcpy, moe_activity_memop, MOE_ACTIVITY_MEMCPY_FIELDS)
RAWLOG_RECORD(rawlog_memcpy2, moe_activity_memop, MOE_ACTIVITY_MEMCPY2_FIELDS)
RAWLOG_RECORD(rawlog_memset, moe_activity_memop, MOE_ACTIVITY_MEMSET_FIELDS)
RAWLOG_RECORD(rawlog_api, moe_activity_api, MOE_ACTIVITY_API_FIELDS)
RAWLOG_RECORD(rawlog_external, moe_activity_external, MOE_ACTIVITY_EXTERNAL_FIELDS)
RAWLOG_RECORD(rawlog_device, moe_activity_device, MOE_ACTIVITY_DEVICE_FIELDS)
RAWLOG_RECORD(rawlog_overhead, moe_activity_overhead, MOE_ACTIVITY_OVERHEAD_FIELDS)
RAWLOG_RECORD(rawlog_graph, moe_activity_graph, MOE_ACTIVITY_GRAPH_FIELDS)
RAWLOG_RECORD(rawlog_synchronization, moe_activity_synchronization,
              MOE_ACTIVITY_SYNCHRONIZATION_FIELDS)

/* ---- a run of a model ---- */

enum { RAWLOG_EXPERTS = 8, RAWLOG_K = 2, RAWLOG_PROMPT = 4, RAWLOG_THREAD = 71 };
/* Ids of texts; the stages from RAWLOG_STAGE on. */
enum {
    RAWLOG_DOMAIN = 1,
    RAWLOG_STEP,
    RAWLOG_KERNEL_NAME,
    RAWLOG_DEVICE_NAME,
    RAWLOG_STAGE,
    RAWLOG_TEXTS = RAWLOG_STAGE - 1 + MOE_STAGES,
};

typedef struct rawlog_run {
    GByteArray *log, *ranges, *records, *steps, *tokens, *routes;
    uint64_t now, range;
    uint32_t correlation, layers, kernels;
    uint64_t buffer;
    bool tell_tokens, weights;
} rawlog_run;

__attribute__((unused)) static void
rawlog_range(rawlog_run *run, uint32_t kind, uint64_t range, uint32_t text, uint32_t category,
             int64_t payload)
{
    moe_raw_range said = {.time_ns = run->now++,
                          .range = range,
                          .thread = RAWLOG_THREAD,
                          .kind = kind,
                          .domain = kind == MOE_RAW_POP ? 0 : RAWLOG_DOMAIN,
                          .text = text,
                          .category = category,
                          .payload_type = payload >= 0,
                          .payload = payload >= 0 ? (uint64_t)payload : 0};
    g_byte_array_append(run->ranges, (const guint8 *)&said, sizeof said);
}

/* A stage of a layer launches its kernels, which run 1 us each, behind one another. */
__attribute__((unused)) static void
rawlog_stage(rawlog_run *run, moe_stage stage, int64_t layer)
{
    uint64_t range = ++run->range;
    rawlog_range(run, MOE_RAW_PUSH, range, RAWLOG_STAGE + stage, 1 + stage, layer);
    for (uint32_t i = 0; i < run->kernels; i++) {
        uint32_t correlation = ++run->correlation;
        moe_activity_external external = {4, range, correlation};
        moe_activity_api api = {211, run->now, run->now + 10, RAWLOG_THREAD, correlation, 0};
        moe_activity_kernel kernel = {.registers = 32,
                                      .start = run->now + 20,
                                      .end = run->now + 1020,
                                      .context = 1,
                                      .stream = 7,
                                      .grid_x = 4,
                                      .grid_y = 1,
                                      .grid_z = 1,
                                      .block_x = 128,
                                      .block_y = 1,
                                      .block_z = 1,
                                      .correlation = correlation,
                                      .name = RAWLOG_KERNEL_NAME};
        rawlog_external(run->records, MOE_ACTIVITY_EXTERNAL, 24, &external);
        rawlog_api(run->records, MOE_ACTIVITY_RUNTIME, 40, &api);
        rawlog_kernel(run->records, MOE_ACTIVITY_CONCURRENT_KERNEL, 216, &kernel);
        run->now += 1100;
    }
    rawlog_range(run, MOE_RAW_POP, range, 0, 0, -1);
}

/* Row `row` of step `step` goes to experts that follow from them. */
__attribute__((unused)) static uint16_t
rawlog_expert(uint32_t layer, uint32_t step, uint32_t row, uint32_t j)
{
    return (uint16_t)((1 + layer * 3 + step * 5 + row * 7 + j) % RAWLOG_EXPERTS);
}

__attribute__((unused)) static void
rawlog_route(rawlog_run *run, uint32_t layer, uint32_t step, uint32_t n)
{
    moe_raw_route head = {.time_ns = run->now,
                          .step = step,
                          .layer = (int32_t)layer,
                          .n = (int32_t)n,
                          .k = RAWLOG_K,
                          .flags = run->weights ? MOE_RAW_ROUTE_WEIGHTS : 0};
    static const float weights[RAWLOG_K] = {0.75f, 0.25f};
    g_byte_array_append(run->routes, (const guint8 *)&head, sizeof head);
    for (uint32_t row = 0; row < n; row++)
        for (uint32_t j = 0; j < RAWLOG_K; j++) {
            uint16_t id = rawlog_expert(layer, step, row, j);
            g_byte_array_append(run->routes, (const guint8 *)&id, sizeof id);
        }
    for (uint32_t row = 0; row < n && run->weights; row++)
        g_byte_array_append(run->routes, (const guint8 *)weights, sizeof weights);
    rawlog_pad(run->routes);
}

__attribute__((unused)) static void
rawlog_tell_tokens(rawlog_run *run, uint32_t step, uint32_t n, int32_t position)
{
    moe_raw_tokens head = {.step = step, .n = (int32_t)n};
    g_byte_array_append(run->tokens, (const guint8 *)&head, sizeof head);
    for (int array = 0; array < 3; array++)
        for (int32_t row = 0; row < (int32_t)n; row++) {
            int32_t cell = array == 0 ? 5 : array == 1 ? position + row : 100 + position + row;
            g_byte_array_append(run->tokens, (const guint8 *)&cell, sizeof cell);
        }
    rawlog_pad(run->tokens);
}

__attribute__((unused)) static void
rawlog_step_said(rawlog_run *run, uint32_t step, int begin, int32_t phase, int32_t n)
{
    moe_raw_step said = {.time_ns = run->now++,
                         .step = step,
                         .thread = RAWLOG_THREAD,
                         .phase = phase,
                         .begin = begin,
                         .n_tokens = n,
                         .n_sequences = 1};
    g_byte_array_append(run->steps, (const guint8 *)&said, sizeof said);
}

/* Step 0 is a prompt, the others one token each. */
__attribute__((unused)) static void
rawlog_step(rawlog_run *run, uint32_t step)
{
    uint32_t n = step == 0 ? RAWLOG_PROMPT : 1;
    rawlog_step_said(run, step, 1, step > 0, (int32_t)n);
    rawlog_stage(run, MOE_STAGE_EMBED, -1);
    for (uint32_t layer = 0; layer < run->layers; layer++) {
        for (moe_stage stage = MOE_STAGE_ATTENTION; stage <= MOE_STAGE_COMBINE; stage++)
            rawlog_stage(run, stage, layer);
        rawlog_route(run, layer, step, n);
    }
    rawlog_stage(run, MOE_STAGE_UNEMBED, -1);
    if (run->tell_tokens)
        rawlog_tell_tokens(run, step, n, step == 0 ? 0 : (int32_t)(RAWLOG_PROMPT + step - 1));
    rawlog_step_said(run, step, 0, 0, 0);
    rawlog_array(run->log, MOE_RAW_RANGES, run->ranges);
    rawlog_activity(run->log, run->records, run->buffer++);
    rawlog_array(run->log, MOE_RAW_STEPS, run->steps);
    rawlog_array(run->log, MOE_RAW_ROUTES, run->routes);
    if (run->tell_tokens)
        rawlog_array(run->log, MOE_RAW_TOKENS, run->tokens);
}

typedef struct rawlog_config {
    uint32_t pid, layers, steps, kernels; /* kernels: per stage */
    bool tell_tokens, weights, open;      /* open: without CLOSE */
    const char *hello;                    /* more lines of it, or NULL */
} rawlog_config;

__attribute__((unused)) static void
rawlog_begin(rawlog_run *run, const rawlog_config *config)
{
    static const char *const texts[RAWLOG_STAGE - 1] = {MOE_PROFILE_DOMAIN, "step",
                                                        "moe_grouped_kernel", "Test GPU"};
    const char *all[RAWLOG_TEXTS];
    g_autofree char *hello = g_strdup_printf(
        "abi=1\npid=%u\nppid=1\nargv=python\x1fserve.py\nstarted_by=cuda\ncupti=130001\n%s",
        config->pid, config->hello ? config->hello : "");
    moe_raw_clock clock = {1000, 1700000000000001000};
    static const moe_raw_size sizes[] = {{10, 216}, {5, 40}, {39, 24}, {1, 96}, {2, 88}};
    memcpy(all, texts, sizeof texts);
    memcpy(all + RAWLOG_STAGE - 1, moe_stage_names, MOE_STAGES * sizeof *all);
    rawlog_hello(run->log, hello);
    rawlog_chunk(run->log, MOE_RAW_CLOCK, &clock, sizeof clock);
    rawlog_chunk(run->log, MOE_RAW_SIZES, sizes, sizeof sizes);
    rawlog_strings(run->log, all, RAWLOG_TEXTS);
}

/* A whole log; yours. */
__attribute__((unused)) static GByteArray *
rawlog_of(const rawlog_config *config)
{
    rawlog_run run = {.log = rawlog_new(),
                      .ranges = g_byte_array_new(),
                      .records = g_byte_array_new(),
                      .steps = g_byte_array_new(),
                      .tokens = g_byte_array_new(),
                      .routes = g_byte_array_new(),
                      .now = 2000,
                      .layers = config->layers,
                      .kernels = config->kernels,
                      .tell_tokens = config->tell_tokens,
                      .weights = config->weights};
    rawlog_begin(&run, config);
    for (uint32_t step = 0; step < config->steps; step++)
        rawlog_step(&run, step);
    moe_raw_close close = {.time_ns = run.now};
    if (!config->open)
        rawlog_chunk(run.log, MOE_RAW_CLOSE, &close, sizeof close);
    g_byte_array_unref(run.ranges);
    g_byte_array_unref(run.records);
    g_byte_array_unref(run.steps);
    g_byte_array_unref(run.tokens);
    g_byte_array_unref(run.routes);
    return run.log;
}

#endif
