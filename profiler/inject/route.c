#include "profiler/inject/route.h"

#include <string.h>

#include "profiler/inject/clock.h"
#include "profiler/inject/export.h"
#include "profiler/inject/hello.h"
#include "profiler/inject/lane.h"
#include "profiler/inject/life.h"
#include "profiler/inject/moesim_route.h"
#include "profiler/inject/ranges.h"
#include "profiler/inject/say.h"
#include "profiler/inject/window.h"

enum { ABI_VERSION = 1, MOST_TOP_K = 65536 };
static const size_t most_bytes = MOE_RAW_MAX_PAYLOAD / 4; /* of one record */

/* Categories of stage ranges: 1 + the stage's place. */
static const char *const stages[] = {"embed",   "attention", "router", "dispatch",
                                     "experts", "combine",   "unembed"};

static bool
is_recording(void)
{
    return moe_life_on("route") && (moe_life_options()->trace & MOE_TRACE_ROUTE) &&
           moe_window_open();
}

static int
lost(void)
{
    moe_lose(MOE_LOSS_ROUTE, 1);
    return 1;
}

MOE_EXPORT int
moesim_abi_version(void)
{
    return ABI_VERSION;
}

MOE_EXPORT int
moesim_model(const char *json)
{
    if (json == NULL || !moe_life_on("route"))
        return 1;
    moe_hello_add("model", json);
    return 0;
}

static int
add_step(const moe_raw_step *step)
{
    moe_lane *lane = is_recording() ? moe_lane_enter() : NULL;
    if (lane == NULL)
        return 1;
    moe_raw_step *room = moe_lane_room(lane, MOE_LANE_STEPS, sizeof *room);
    if (room != NULL) {
        *room = *step;
        room->time_ns = moe_clock_ns();
        room->thread = lane->thread;
    }
    moe_lane_leave(lane);
    return room != NULL ? 0 : lost();
}

MOE_EXPORT int
moesim_step_begin(int64_t step, int phase, int n_tokens, int n_sequences)
{
    return add_step(&(moe_raw_step){.step = step,
                                    .phase = phase,
                                    .begin = 1,
                                    .n_tokens = n_tokens,
                                    .n_sequences = n_sequences});
}

MOE_EXPORT int
moesim_step_end(int64_t step)
{
    return add_step(&(moe_raw_step){.step = step, .phase = -1});
}

static void
copy_or_fill(int32_t *out, const int32_t *in, int32_t n)
{
    if (in != NULL)
        memcpy(out, in, (size_t)n * sizeof *out);
    else
        memset(out, 0xFF, (size_t)n * sizeof *out); /* -1: unknown */
}

MOE_EXPORT int
moesim_tokens(int64_t step, int64_t token0, int32_t n, const int32_t *sequence,
              const int32_t *position, const int32_t *token_id)
{
    if (!is_recording())
        return 1;
    if (n < 0 || (size_t)n > most_bytes / (3 * sizeof(int32_t)))
        return lost();
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL)
        return lost();
    size_t rows = (size_t)n;
    moe_raw_tokens *room =
        moe_lane_room(lane, MOE_LANE_TOKENS, sizeof *room + 3 * rows * sizeof(int32_t));
    if (room != NULL) {
        *room = (moe_raw_tokens){.step = step, .token0 = token0, .n = n};
        int32_t *columns = (int32_t *)(room + 1);
        copy_or_fill(columns, sequence, n);
        copy_or_fill(columns + rows, position, n);
        copy_or_fill(columns + 2 * rows, token_id, n);
    }
    moe_lane_leave(lane);
    return room != NULL ? 0 : lost();
}

static int64_t
read_int32(const void *ids, uint64_t i)
{
    return ((const int32_t *)ids)[i];
}

static uint16_t
narrow(int64_t id)
{
    return id < 0 || id >= 0xFFFE ? MOE_RAW_NO_EXPERT : (uint16_t)id;
}

/* What almost all calls are. */
static void
narrow_all(uint16_t *restrict out, const int32_t *restrict ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)ids[i] >= 0xFFFEu ? (uint16_t)MOE_RAW_NO_EXPERT : (uint16_t)ids[i];
}

static bool
record_rows(moe_lane *lane, const moe_raw_route *head, const void *ids, uint64_t first,
            moe_route_read at, const void *weights)
{
    size_t cells = (size_t)head->n * (size_t)head->k;
    size_t bytes = sizeof *head + cells * (weights != NULL ? 6 : 2);
    moe_raw_route *room = moe_lane_room(lane, MOE_LANE_ROUTES, bytes);
    if (room == NULL)
        return false;
    *room = *head;
    uint8_t *out = (uint8_t *)(room + 1);
    if (at == read_int32)
        narrow_all((uint16_t *)(void *)out, (const int32_t *)ids + first, cells);
    else
        for (size_t i = 0; i < cells; i++) {
            uint16_t id = narrow(at(ids, first + i));
            memcpy(out + 2 * i, &id, sizeof id);
        }
    if (weights != NULL)
        memcpy(out + 2 * cells, (const uint8_t *)weights + first * sizeof(float),
               cells * sizeof(float));
    return true;
}

/* Records of many rows are cut: a chunk has a size. */
bool
moe_route_record(int32_t layer, int64_t step, int64_t token0, int32_t n, int32_t k, const void *ids,
                 moe_route_read at, const void *weights)
{
    if (n < 0 || k <= 0 || k > MOST_TOP_K) {
        lost();
        return false;
    }
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL) {
        lost();
        return false;
    }
    int32_t most_rows = (int32_t)(most_bytes / ((size_t)k * 6));
    bool good = true;
    uint64_t now = moe_clock_ns();
    for (int32_t row = 0; good && row < n; row += most_rows) {
        moe_raw_route head = {.time_ns = now,
                              .step = step,
                              .token0 = token0 + row,
                              .layer = layer,
                              .n = n - row < most_rows ? n - row : most_rows,
                              .k = k,
                              .flags = weights != NULL ? MOE_RAW_ROUTE_WEIGHTS : 0};
        good = record_rows(lane, &head, ids, (uint64_t)row * (uint64_t)k, at, weights);
    }
    moe_lane_leave(lane);
    if (!good)
        lost();
    return good;
}

MOE_EXPORT int
moesim_route(int32_t layer, int64_t step, int64_t token0, int32_t n, int32_t k, const int32_t *ids,
             const float *weights)
{
    if (!is_recording())
        return 1;
    if (ids == NULL)
        return lost();
    return moe_route_record(layer, step, token0, n, k, ids, read_int32, weights) ? 0 : 1;
}

static uint32_t
category_of(const char *stage)
{
    for (uint32_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stages[i], stage) == 0)
            return i + 1;
    return 0;
}

MOE_EXPORT int
moesim_range_push(int32_t layer, const char *stage)
{
    if (stage == NULL || !moe_life_on("route"))
        return 1;
    moe_range_push(&(moe_said){.domain = moe_range_domain(),
                               .narrow = stage,
                               .category = category_of(stage),
                               .payload_type = layer >= 0 ? 1 : 0,
                               .payload = layer >= 0 ? (uint64_t)layer : 0});
    return 0;
}

MOE_EXPORT int
moesim_range_pop(void)
{
    return moe_life_on("route") && moe_range_pop(moe_range_domain()) >= 0 ? 0 : 1;
}

MOE_EXPORT int
moesim_diagnostic(int severity, const char *code, const char *text)
{
    if (code == NULL || text == NULL || !moe_life_on("route"))
        return 1;
    moe_raw_severity known = severity <= 0   ? MOE_RAW_INFO
                             : severity == 1 ? MOE_RAW_WARN
                                             : MOE_RAW_ERROR;
    moe_say(known, code, "%s", text);
    return 0;
}
