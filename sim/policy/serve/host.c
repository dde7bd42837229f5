/* host: a missed expert is computed where it lives if that is done sooner than loading it.
 *
 * Compared are the two finishing times, each with the backlog of what it needs: the host's
 * computation and the moving of activations, against the load and the device's computation. Few
 * tokens favour the host, many the device. Ties go to the device.
 *
 * Kamahori et al., Fiddler: CPU-GPU orchestration for fast inference of Mixture-of-Experts models,
 * 2024. */
#include "sim/policy/serve/serve.h"

static moe_serve_how
host_choose(const void *config, const moe_serve_query *query)
{
    return query->host_ps - query->device_ps < query->load_ps ? MOE_SERVE_HOST : MOE_SERVE_LOAD;
}

static const moe_serve_ops host_ops = {
    .timed = true,
    .uses_host = true,
    .choose = host_choose,
};

const moe_variant moe_serve_host = {
    .name = "host",
    .help = "Compute a missed expert on the host when that is done sooner than loading it.",
    .ops = &host_ops,
};
