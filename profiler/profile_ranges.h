/* The ranges and steps of one process: fed in the order in which each thread said them, settled
 * once, then asked. For the decoder of raw logs and the importers. */
#ifndef MOE_PROFILER_PROFILE_RANGES_H
#define MOE_PROFILER_PROFILE_RANGES_H

#include "profiler/profile_write.h"

typedef struct moe_ranges moe_ranges;

moe_ranges *moe_ranges_new(int64_t pid);
void moe_ranges_free(moe_ranges *ranges);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_ranges, moe_ranges_free)

/* A text of ranges, to be named by its number; the bytes are copied. NULL gives MOE_NONE. */
uint32_t moe_ranges_text(moe_ranges *ranges, const char *text, size_t n);

typedef enum moe_range_kind { MOE_RANGE_PUSH, MOE_RANGE_START, MOE_RANGE_MARK } moe_range_kind;
typedef struct moe_range_begin {
    uint64_t id; /* 0: none; else once per process */
    uint64_t time_ns, payload;
    uint32_t thread, domain, text, category; /* domain, text: numbers, or MOE_NONE */
    moe_range_kind kind;
    moe_profile_payload payload_type;
} moe_range_begin;
/* False: the id was there before; nothing is added. */
bool moe_ranges_begin(moe_ranges *ranges, const moe_range_begin *begin);
/* Ends may come before their beginnings where threads differ. */
void moe_ranges_end(moe_ranges *ranges, uint64_t id, uint64_t time_ns);

typedef struct moe_range_step {
    int64_t step;
    uint64_t time_ns;
    uint32_t thread;
    int32_t phase, tokens, sequences; /* -1: unknown */
} moe_range_step;
void moe_ranges_step_begin(moe_ranges *ranges, const moe_range_step *step);
void moe_ranges_step_end(moe_ranges *ranges, int64_t step, uint64_t time_ns);

/* All is said: what is open ends at end_ns. Notes what is odd, and writes the rows of ranges,
 * stages and steps. */
void moe_ranges_settle(moe_ranges *ranges, uint64_t end_ns, moe_profile_writer *writer);

/* Where a launch made in range `id` belongs, its `range` being the row's id; nowhere when there is
 * no such range. */
moe_profile_place moe_ranges_place(const moe_ranges *ranges, uint64_t id);
/* The step that was running at a time, best in that thread; MOE_PROFILE_NULL: none. */
int64_t moe_ranges_step_at(const moe_ranges *ranges, uint64_t time_ns, uint32_t thread);
bool moe_ranges_any_step(const moe_ranges *ranges);
uint64_t moe_ranges_n(const moe_ranges *ranges);
uint64_t moe_ranges_first_ns(const moe_ranges *ranges);
uint64_t moe_ranges_last_ns(const moe_ranges *ranges);

#endif
