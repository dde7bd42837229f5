/* Inside profiler/profile_nest. */
#ifndef MOE_PROFILER_PROFILE_NEST_PRIVATE_H
#define MOE_PROFILER_PROFILE_NEST_PRIVATE_H

#include "profiler/profile_nest.h"
#include "profiler/profile_stages.h"
#include "traces/index_map.h"

typedef struct nest_range {
    uint64_t id, start_ns, end_ns, payload; /* end_ns NEST_OPEN: not ended */
    uint32_t thread, domain, text, category;
    uint32_t parent; /* index; MOE_NONE: none */
    uint32_t stage;  /* index of the innermost stage from here outwards; MOE_NONE: none */
    uint32_t step;   /* index of the step; MOE_NONE: none */
    uint32_t meaning;
    uint16_t depth;
    uint8_t kind, payload_type;
} nest_range;
#define NEST_OPEN UINT64_MAX
enum { NEST_DEEPEST = 4096 }; /* ranges in one another; more are inside the last of them */

typedef struct nest_step {
    int64_t step;
    uint64_t start_ns, end_ns;
    uint32_t thread;
    int32_t phase, tokens, sequences;
    bool of_range; /* not told by the engine */
} nest_step;

typedef struct nest_ending {
    uint64_t id, time_ns;
} nest_ending;

typedef struct nest_text {
    char *bytes; /* with a zero */
    size_t n;
} nest_text;

struct moe_nest {
    int64_t pid, row0; /* row id of the first range, less 1 */
    GArray *ranges, *steps, *texts, *early;
    GHashTable *numbers_of_texts;
    GArray *by_thread;      /* indices of pushed ranges by thread and start */
    moe_index_map ids;      /* range id -> */
    GArray *of_id;          /* index of the range */
    moe_index_map threads;  /* thread -> */
    GPtrArray *stacks;      /* GArray of the indices of its open ranges */
    moe_index_map numbers;  /* of steps, as they are begun */
    moe_index_map meanings; /* domain << 32 | text -> */
    GArray *of_meaning;     /* moe_profile_meaning */
    GArray *order;          /* of steps by start */
    uint64_t first_ns, last_ns, stray, backward, odd_stage, twice, open_steps;
};

#define NEST_AT(array, type, i) (&g_array_index(array, type, i))

/* The index of the range of an id; MOE_NONE: none. */
uint32_t moe_nest_find(const moe_nest *nest, uint64_t id);
/* False: no range of that id is open. */
bool moe_nest_close(moe_nest *nest, uint64_t id, uint64_t time_ns);

#endif
