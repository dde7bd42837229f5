/* What entries of a schema named moe.routing mean. */
#ifndef MOE_PROFILER_INJECT_NVTX_PAYLOAD_H
#define MOE_PROFILER_INJECT_NVTX_PAYLOAD_H

typedef enum moe_payload_role {
    MOE_PAYLOAD_OTHER,
    MOE_PAYLOAD_LAYER,
    MOE_PAYLOAD_STEP,
    MOE_PAYLOAD_TOKEN0,
    MOE_PAYLOAD_TOP_K,
    MOE_PAYLOAD_IDS,
    MOE_PAYLOAD_WEIGHTS,
    MOE_N_PAYLOAD_ROLES,
} moe_payload_role;

#endif
