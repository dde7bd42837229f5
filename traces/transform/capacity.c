/* Experts (or devices) take so many pairs of a step and no more; the others are dropped:
 *     capacity = max(least, ceil(factor * pairs / units))
 * pairs being those of the step at the layer (tokens * k where every row is full). GShard and
 * Switch drop late tokens, DeepSeek-V2's device capacity drops low weights (arXiv 2006.16668,
 * 2101.03961, 2405.04434). Devices hold consecutive experts, as equal in number as can be. */
#include "traces/transform/row.h"

#include "sim/base/random.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_POSITION, CAPACITY_WEIGHT, CAPACITY_RANDOM };
enum { CAPACITY_EXPERT, CAPACITY_DEVICE };

typedef struct capacity_config {
    double factor;
    int drop, of;
    int64_t devices, least, seed;
} capacity_config;

static const moe_param capacity_rows[] = {
    {"factor", MOE_PARAM_REAL, offsetof(capacity_config, factor), "1", 0, 1e6, .flags = ROW_ID,
     .help = "Capacity as a multiple of what each would get if all got the same."},
    {"drop", MOE_PARAM_ENUM, offsetof(capacity_config, drop), "position",
     .choices = "position|weight|random", .flags = ROW_ID,
     .help = "Which pairs of a full expert go: of later tokens of the step, of the least gate "
             "weight, or at random."},
    {"of", MOE_PARAM_ENUM, offsetof(capacity_config, of), "expert", .choices = "expert|device",
     .flags = ROW_ID, .help = "What has the capacity."},
    {"devices", MOE_PARAM_INT, offsetof(capacity_config, devices), "1", 1, 65536, .flags = ROW_ID,
     .help = "With `of: device`: devices that the experts are spread over."},
    {"least", MOE_PARAM_INT, offsetof(capacity_config, least), "1", 0, 1e9, .unit = "pairs",
     .flags = ROW_ID, .help = "Capacity at least."},
    {"seed", MOE_PARAM_INT, offsetof(capacity_config, seed), "1", 0, 9e15, .flags = ROW_ID,
     .help = "Seed of `drop: random`."},
};

typedef struct capacity_state {
    uint32_t n_experts, units;
} capacity_state;

static unsigned
capacity_needs(const void *data)
{
    const capacity_config *config = data;
    return config->drop == CAPACITY_WEIGHT ? MOE_TRANSFORM_WEIGHTS : 0;
}

static bool
capacity_open(moe_transform_job *job)
{
    const capacity_config *config = job->config;
    uint32_t n = job->routing->n_experts;
    if (config->of == CAPACITY_DEVICE && config->devices > n) {
        moe_diag_error(job->diag, job->at, "'devices' is %lld, but there are %u experts",
                       (long long)config->devices, n);
        return false;
    }
    capacity_state *state = g_new(capacity_state, 1);
    *state = (capacity_state){n, config->of == CAPACITY_DEVICE ? (uint32_t)config->devices : n};
    job->state = state;
    return true;
}

/* A pair in the order in which its unit takes pairs. */
typedef struct capacity_entry {
    uint64_t index;
    uint64_t key; /* rising: first come */
    uint32_t unit;
} capacity_entry;

static int
capacity_compare(const void *a, const void *b)
{
    const capacity_entry *x = a, *y = b;
    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Falling weights as rising keys: a float's bits order as its value, with the sign turned. */
static uint64_t
capacity_weight_key(float weight)
{
    uint32_t bits;
    memcpy(&bits, &weight, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

static void
capacity_group(const void *data, const void *settings, moe_transform_group *group)
{
    const capacity_state *state = data;
    const capacity_config *config = settings;
    moe_stream stream = moe_stream_new((uint64_t)config->seed, "capacity",
                                       (uint64_t)group->step << 16 | group->layer);
    double wanted = config->factor * (double)group->n / state->units;
    uint64_t capacity = MAX((uint64_t)config->least, (uint64_t)ceil(wanted)), left = 0;
    g_autofree capacity_entry *entries = g_new(capacity_entry, group->n + 1);
    g_autofree bool *kept = g_new0(bool, group->n + 1);
    for (uint64_t i = 0; i < group->n; i++)
        entries[i] = (capacity_entry){
            .index = i,
            .key = config->drop == CAPACITY_WEIGHT   ? capacity_weight_key(group->pairs[i].weight)
                   : config->drop == CAPACITY_RANDOM ? moe_stream_at(&stream, i)
                                                     : i,
            .unit = (uint32_t)((uint64_t)group->pairs[i].expert * state->units / state->n_experts),
        };
    qsort(entries, group->n, sizeof *entries, capacity_compare);
    uint64_t first = 0;
    for (uint64_t i = 0; i < group->n; i++) {
        first = i == 0 || entries[i].unit != entries[i - 1].unit ? i : first;
        kept[entries[i].index] = i - first < capacity;
    }
    for (uint64_t i = 0; i < group->n; i++)
        if (kept[i])
            group->pairs[left++] = group->pairs[i];
    group->n = left;
}

static const moe_transform_ops capacity_ops = {
    .stage = MOE_TRANSFORM_DISPATCH,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each expert, or device, keeps its pairs of a step up to its capacity.",
    .needs = capacity_needs,
    .open = capacity_open,
    .group = capacity_group,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_capacity = {
    .name = "capacity",
    .help = "A capacity per expert or device and step; what exceeds it is dropped.",
    .rows = capacity_rows,
    .n_rows = MOE_COUNT(capacity_rows),
    .config_size = sizeof(capacity_config),
    .ops = &capacity_ops,
};
