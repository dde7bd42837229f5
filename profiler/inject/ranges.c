#include "profiler/inject/ranges.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/inject/clock.h"
#include "profiler/inject/lane.h"
#include "profiler/inject/modules.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"
#include "profiler/inject/window.h"

enum { MOST_ABOVE = 64 };

uint32_t
moe_range_domain(void)
{
    static atomic_uint known; /* numbers of texts stay */
    uint32_t id = atomic_load_explicit(&known, memory_order_relaxed);
    if (id == 0) {
        id = moe_text_id("moesim", 6);
        atomic_store_explicit(&known, id, memory_order_relaxed);
    }
    return id;
}

static uint32_t
id_of(moe_lane *lane, const char *narrow, const wchar_t *wide)
{
    if (narrow != NULL)
        return moe_lane_text(lane, narrow);
    if (wide == NULL)
        return 0;
    char text[4096];
    moe_text_narrow(wide, text, sizeof text);
    return moe_lane_text(lane, text);
}

static uint32_t
said_text(moe_lane *lane, const moe_said *said)
{
    return said->text != 0 ? said->text : id_of(lane, said->narrow, said->wide);
}

/* Writes a record of a range; false: it is lost. */
static bool
record(moe_lane *lane, moe_raw_range *range)
{
    moe_raw_range *room = moe_lane_room(lane, MOE_LANE_RANGES, sizeof *room);
    if (room == NULL) {
        moe_lose(MOE_LOSS_RANGE, 1);
        return false;
    }
    range->thread = lane->thread;
    range->time_ns = moe_clock_ns();
    *room = *range;
    return true;
}

static moe_raw_range
as_record(const moe_said *said, moe_raw_range_kind kind, uint32_t text, uint64_t number)
{
    return (moe_raw_range){
        .range = number,
        .kind = kind,
        .domain = said->domain,
        .text = text,
        .category = said->category,
        .payload_type = said->payload_type,
        .payload = said->payload,
    };
}

static moe_open_range *
stack_push(moe_lane *lane, uint32_t domain)
{
    if (lane->depth == lane->room) {
        uint32_t more = lane->room == 0 ? 32 : 2 * lane->room;
        moe_open_range *larger =
            more <= MOE_LANE_MOST_DEPTH ? realloc(lane->stack, more * sizeof *larger) : NULL;
        if (larger == NULL)
            return NULL;
        lane->stack = larger;
        lane->room = more;
    }
    uint32_t at = lane->depth;
    while (at > 0 && lane->stack[at - 1].domain != domain)
        at--;
    moe_open_range *top = &lane->stack[lane->depth++];
    *top = (moe_open_range){.domain = domain, .depth = at > 0 ? lane->stack[at - 1].depth + 1 : 0};
    return top;
}

int
moe_range_push(const moe_said *said)
{
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL) {
        moe_lose(MOE_LOSS_RANGE, 1);
        return 0;
    }
    uint32_t text = said_text(lane, said);
    moe_open_range *top = stack_push(lane, said->domain);
    if (top == NULL) {
        moe_lose(MOE_LOSS_RANGE, 1);
        moe_lane_leave(lane);
        return MOE_LANE_MOST_DEPTH;
    }
    int depth = top->depth;
    top->opened = moe_window_range(said->domain, text);
    moe_raw_range range = as_record(said, MOE_RAW_PUSH, text, 0);
    if (moe_window_open()) {
        range.range = moe_lane_number(lane);
        top->range = record(lane, &range) ? range.range : 0;
    }
    uint64_t number = top->range;
    moe_lane_leave(lane);
    if (number != 0)
        moe_modules_push(&range);
    return depth;
}

/* Modules keep one stack per thread: those of other domains that lie above are taken off and put
 * back. */
static void
tell_pop(uint64_t number, const uint64_t *above, uint32_t n_above, uint32_t thread)
{
    for (uint32_t i = n_above; i > 0; i--)
        moe_modules_pop(above[i - 1]);
    moe_modules_pop(number);
    for (uint32_t i = 0; i < n_above; i++) {
        moe_raw_range again = {.range = above[i], .kind = MOE_RAW_PUSH, .thread = thread};
        moe_modules_push(&again);
    }
}

int
moe_range_pop(uint32_t domain)
{
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL)
        return -1;
    uint32_t at = lane->depth;
    while (at > 0 && lane->stack[at - 1].domain != domain)
        at--;
    if (at == 0) {
        moe_lane_leave(lane);
        return -1;
    }
    moe_open_range ended = lane->stack[at - 1];
    uint64_t above[MOST_ABOVE];
    uint32_t n_above = 0;
    for (uint32_t i = at; i < lane->depth && n_above < MOST_ABOVE; i++)
        if (lane->stack[i].range != 0)
            above[n_above++] = lane->stack[i].range;
    memmove(lane->stack + at - 1, lane->stack + at, (lane->depth - at) * sizeof *lane->stack);
    lane->depth--;
    moe_raw_range range = {.range = ended.range, .kind = MOE_RAW_POP, .domain = domain};
    if (ended.range != 0)
        record(lane, &range);
    uint32_t thread = lane->thread;
    moe_lane_leave(lane);
    if (ended.range != 0 && moe_modules_attached())
        tell_pop(ended.range, above, n_above, thread);
    if (ended.opened)
        moe_window_range_ended();
    return ended.depth;
}

/* A start that opened the window is marked in its number, which is all that its end knows. */
static const uint64_t opened_bit = UINT64_C(1) << 62, unrecorded_bit = UINT64_C(1) << 61;

uint64_t
moe_range_start(const moe_said *said)
{
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL) {
        moe_lose(MOE_LOSS_RANGE, 1);
        return unrecorded_bit;
    }
    uint32_t text = said_text(lane, said);
    uint64_t marks = moe_window_range(said->domain, text) ? opened_bit : 0;
    moe_raw_range range = as_record(said, MOE_RAW_START, text, moe_lane_number(lane));
    if (!moe_window_open() || !record(lane, &range))
        marks |= unrecorded_bit;
    moe_lane_leave(lane);
    return range.range | marks;
}

void
moe_range_end(uint64_t handle)
{
    uint64_t number = handle & ~(opened_bit | unrecorded_bit);
    moe_lane *lane = number != 0 && !(handle & unrecorded_bit) ? moe_lane_enter() : NULL;
    if (lane != NULL) {
        moe_raw_range range = {.range = number, .kind = MOE_RAW_END};
        record(lane, &range);
        moe_lane_leave(lane);
    }
    if (handle & opened_bit)
        moe_window_range_ended();
}

void
moe_range_mark(const moe_said *said)
{
    moe_lane *lane = moe_window_open() ? moe_lane_enter() : NULL;
    if (lane == NULL)
        return;
    uint32_t text = said_text(lane, said);
    moe_raw_range range = as_record(said, MOE_RAW_MARK, text, moe_lane_number(lane));
    record(lane, &range);
    moe_lane_leave(lane);
}

void
moe_range_node(uint64_t node, uint64_t original)
{
    moe_lane *lane = moe_lane_enter();
    moe_raw_node *room = lane != NULL ? moe_lane_room(lane, MOE_LANE_NODES, sizeof *room) : NULL;
    if (room == NULL)
        moe_lose(MOE_LOSS_NODE, 1);
    if (room != NULL) {
        *room = (moe_raw_node){.time_ns = moe_clock_ns(), .node = node, .original = original};
        for (uint32_t i = lane->depth; i > 0 && room->range == 0; i--)
            room->range = lane->stack[i - 1].range;
    }
    if (lane != NULL)
        moe_lane_leave(lane);
}

void
moe_ranges_tell(void)
{
    moe_lane *lane = moe_lane_enter();
    if (lane == NULL)
        return;
    moe_raw_range open[MOST_ABOVE];
    uint32_t n = 0;
    for (uint32_t i = 0; i < lane->depth && n < MOST_ABOVE; i++)
        if (lane->stack[i].range != 0)
            open[n++] = (moe_raw_range){
                .range = lane->stack[i].range, .kind = MOE_RAW_PUSH, .thread = lane->thread};
    moe_lane_leave(lane);
    for (uint32_t i = 0; i < n; i++)
        moe_modules_push(&open[i]);
}

void
moe_range_name(moe_raw_name_kind kind, uint32_t number, uint32_t domain, const char *narrow,
               const wchar_t *wide)
{
    moe_lane *lane = moe_lane_enter();
    moe_raw_name *name = lane != NULL ? moe_lane_room(lane, MOE_LANE_NAMES, sizeof *name) : NULL;
    if (name != NULL)
        *name = (moe_raw_name){kind, number, domain, id_of(lane, narrow, wide)};
    if (lane != NULL)
        moe_lane_leave(lane);
}
