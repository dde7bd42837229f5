/* load: a missed expert is brought to the device and computed there. */
#include "sim/policy/serve/serve.h"

static moe_serve_how
load_choose(const void *config, const moe_serve_query *query)
{
    return MOE_SERVE_LOAD;
}

static const moe_serve_ops load_ops = {
    .choose = load_choose,
};

const moe_variant moe_serve_load = {
    .name = "load",
    .help = "Load a missed expert to the device and compute there.",
    .ops = &load_ops,
};
