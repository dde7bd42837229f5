/* A GPU by way of the execution core's CUDA backend: its expert kernels, and copies from pinned
 * memory into slots for experts, as offloading makes them. What that backend has no call for (its
 * memory's own bandwidth, launches, copies to the host) is not measured. */
#include "profiler/gpu_state.h"
#include "profiler/measure_experts.h"

#define HIDDEN 4096u
#define WIDTH 2048u
enum { EXPERTS = 16 };
/* Copies: an expert of this width, and of four times as much each. */
#define COPIED_HIDDEN 1024u
#define LEAST_WIDTH 8u
#define COPIES_SHARE 0.3

static const uint32_t tokens_of[] = {1, 4, 16, 64, 256, 1024, 2048};

typedef struct copies {
    moe_gpu *gpu;
    moe_cuda_slots *slots;
    GError *error;
} copies;

static double
load_once(void *context)
{
    copies *c = context;
    moe_cuda_failure failure = {0};
    double began = moe_measure_now();
    int loaded = c->gpu->api->slots_load(c->slots, 0, 0, NULL, &failure);
    double seconds = moe_measure_now() - began;
    if (!c->error)
        moe_gpu_check(loaded, &failure, &c->error);
    return seconds;
}

static bool
measure_copy(const moe_measure *how, copies *c, uint32_t width, double seconds, moe_copy_point *out,
             GError **error)
{
    const moe_cuda_slots_config config = {
        .hidden = COPIED_HIDDEN, .width = width, .slots = 1, .kept = 1};
    const moe_cuda_api *api = c->gpu->api;
    moe_cuda_failure failure = {0};
    int opened = api->slots_open(c->gpu->device, &config, &c->gpu->host, &c->slots, &failure);
    if (!moe_gpu_check(opened, &failure, error))
        return false;
    *out = (moe_copy_point){api->slot_bytes(&config), moe_measure_repeat(load_once, c, seconds)};
    api->slots_close(c->slots);
    if (!c->error)
        return true;
    g_propagate_error(error, g_steal_pointer(&c->error));
    return false;
}

/* From pinned memory, larger and larger, as far as memory allows. */
static bool
measure_copies(const moe_measure *how, moe_gpu *gpu, moe_measured_gpu *out, GError **error)
{
    copies c = {.gpu = gpu};
    double each = moe_measure_time(how, 1) * COPIES_SHARE / MOE_COPY_POINTS;
    for (uint32_t i = 0; i < MOE_COPY_POINTS; i++) {
        uint32_t width = LEAST_WIDTH << 2 * i;
        if (6ull * COPIED_HIDDEN * width > how->memory)
            break;
        moe_measure_say(how, "gpu, copies from pinned memory", COPIES_SHARE * i / MOE_COPY_POINTS);
        if (!measure_copy(how, &c, width, each, &out->copies[i], error))
            return false;
        out->n_copies++;
    }
    moe_measured_gpu_fit(out);
    return true;
}

bool
moe_measure_gpu(const moe_measure *how, uint32_t hidden, uint32_t width, moe_measured_gpu *out,
                GError **error)
{
    const moe_gpu_config config = {0};
    g_autoptr(GError) none = NULL;
    g_autoptr(moe_gpu) gpu = moe_gpu_open(&config, &none);
    *out = (moe_measured_gpu){0};
    if (!gpu) {
        out->absent = g_strdup(none->message);
        return true;
    }
    out->name = moe_gpu_describe(gpu);
    out->bytes = gpu->info.bytes;
    hidden = hidden ? hidden : HIDDEN;
    width = width ? width : WIDTH;
    uint64_t fit = how->memory / (6ull * hidden * width);
    const moe_experts_bench what = {
        .ops = &moe_backend_cuda,
        .device = gpu,
        .type = MOE_WEIGHT_BF16,
        .hidden = hidden,
        .width = width,
        .experts = (uint32_t)CLAMP(fit, 1, EXPERTS),
        .group = (uint32_t)CLAMP(fit, 1, EXPERTS),
        .tokens = tokens_of,
        .n_tokens = MOE_COUNT(tokens_of),
        .name = "gpu",
        .from = COPIES_SHARE,
        .share = 1 - COPIES_SHARE,
    };
    return measure_copies(how, gpu, out, error) &&
           moe_measure_experts(how, &what, &out->experts, error);
}

void
moe_measured_gpu_clear(moe_measured_gpu *gpu)
{
    g_free(gpu->name);
    g_free(gpu->absent);
    *gpu = (moe_measured_gpu){0};
}
