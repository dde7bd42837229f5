/* The ranges and steps of one process: fed in the order in which each thread said them, settled
 * once, then asked. For the decoder of raw logs and the importers. */
#ifndef MOE_PROFILER_PROFILE_NEST_H
#define MOE_PROFILER_PROFILE_NEST_H

#include "profiler/profile_write.h"

typedef struct moe_nest moe_nest;

moe_nest *moe_nest_new(int64_t pid);
void moe_nest_free(moe_nest *nest);
/* It is of that process after all; before settling. */
void moe_nest_number(moe_nest *nest, int64_t pid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_nest, moe_nest_free)

/* The number of a text of ranges; the bytes are copied. NULL gives MOE_NONE. */
uint32_t moe_nest_text(moe_nest *nest, const char *text, size_t n);

typedef enum moe_nest_kind { MOE_NEST_PUSH, MOE_NEST_START, MOE_NEST_MARK } moe_nest_kind;
typedef struct moe_nest_range {
    uint64_t id; /* 0: none; else once per process */
    uint64_t time_ns, payload;
    uint32_t thread, domain, text, category; /* domain, text: numbers, or MOE_NONE */
    moe_nest_kind kind;
    moe_profile_payload payload_type;
} moe_nest_range;
/* False: the id was there before; nothing is added. */
bool moe_nest_begin(moe_nest *nest, const moe_nest_range *begin);
/* The same of a range whose end is known (UINT64_MAX: never closed), as imported files have them:
 * those of a thread in order of their beginnings, outer ones first. */
bool moe_nest_add(moe_nest *nest, const moe_nest_range *range, uint64_t end_ns);
/* Ends may come before their beginnings where threads differ. */
void moe_nest_end(moe_nest *nest, uint64_t id, uint64_t time_ns);

typedef struct moe_nest_step {
    int64_t step;
    uint64_t time_ns;
    uint32_t thread;
    int32_t phase, tokens, sequences; /* -1: unknown */
} moe_nest_step;
void moe_nest_step_begin(moe_nest *nest, const moe_nest_step *step);
void moe_nest_step_end(moe_nest *nest, int64_t step, uint64_t time_ns);

/* All is said: what is open ends at end_ns. Notes what is odd, and writes the rows of ranges,
 * stages and steps. */
void moe_nest_settle(moe_nest *nest, uint64_t end_ns, moe_profile_writer *writer);

/* Where a launch made in range `id` belongs, its `range` being the row's id; nowhere when there is
 * no such range. */
moe_profile_place moe_nest_place(const moe_nest *nest, uint64_t id);
/* The step that was running at a time, best in that thread; MOE_PROFILE_NULL: none. */
int64_t moe_nest_step_at(const moe_nest *nest, uint64_t time_ns, uint32_t thread);
/* The id of the innermost range that a thread had open at a time; 0: none. For files that know no
 * external correlation. After moe_nest_index, which is after settling. */
void moe_nest_index(moe_nest *nest);
uint64_t moe_nest_at(const moe_nest *nest, uint32_t thread, uint64_t time_ns);
uint64_t moe_nest_n(const moe_nest *nest);
uint64_t moe_nest_first_ns(const moe_nest *nest);
uint64_t moe_nest_last_ns(const moe_nest *nest);

#endif
