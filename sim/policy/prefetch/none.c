/* none: nothing is loaded before it is demanded. */
#include "sim/policy/prefetch/prefetch.h"

static size_t
none_want(void *state, const moe_prefetch_query *query, moe_want *out, size_t max)
{
    return 0;
}

static const moe_prefetch_ops none_ops = {
    .want = none_want,
};

const moe_variant moe_prefetch_none = {
    .name = "none",
    .help = "Load on demand only.",
    .ops = &none_ops,
};
