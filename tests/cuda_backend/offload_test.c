/* Executed offloading on a CUDA device against the same on the processor: the counts and the log
 * are equal where timing decides nothing, and the log replays where it does. */
#include "sim/policy/policy.h"
#include "tests/cuda_backend/device.h"
#include "tests/property/offload_runs.h"

/* On an emulated device, where a step takes a second. */
static const offload_script short_scripts[] = {
    {{3, 2, 0}, {0, 1, 99}, {2, 2, 0}},
    {{2, 0, 0}, {0, 99, 99}, {3, 0, 0}},
};

static bool
quick(void)
{
    return g_getenv("MOE_TEST_QUICK") != NULL;
}

/* With a sanitizer: a third of it. */
static bool
few(void)
{
    return !g_strcmp0(g_getenv("MOE_TEST_QUICK"), "few");
}

static const offload_script *
script(size_t i)
{
    return quick() ? &short_scripts[i] : &scripts[i];
}

/* What a run on the device and one on the processor say; `keys`: the cache. */
static void
compare(const offload_model *device, const offload_script *played, const followed *f,
        const char *keys, bool dram)
{
    offload_model host = *device;
    g_autofree char *a = g_build_filename(device->folder, "a.log", NULL);
    g_autofree char *b = g_build_filename(device->folder, "b.log", NULL);
    g_autofree char *one = NULL, *two = NULL;
    host.backend = NULL;
    host.device = NULL;
    g_autofree char *expected = execute(&host, played, f, keys, a, NULL);
    g_autofree char *got =
        execute(device, played, f, keys, b,
                moe_gpu_expert_cache(device->device, moe_weights_get(device->weights), dram));
    g_autofree char *replay = replayed(b, f);
    g_file_get_contents(a, &one, NULL, NULL);
    g_file_get_contents(b, &two, NULL, NULL);
    MOE_CHECK(!strcmp(got, expected), "%s, %s: on the device\n%son the processor\n%s", keys,
              dram ? "dram" : "disk", got, expected);
    MOE_CHECK(!strcmp(one, two), "%s: another log", keys);
    MOE_CHECK(!*replay, "%s: %s", keys, replay);
}

static void
untimed(void)
{
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_F32, false);
    size_t n_evict;
    const moe_variant *const *evict = moe_policy_list(MOE_POLICY_EVICT, &n_evict);
    if (!gpu)
        return;
    offload_model model = offload_model_new(1);
    model.backend = &moe_backend_cuda;
    model.device = gpu;
    for (size_t s = 0; s < MOE_COUNT(scripts); s++) {
        offload_model host = {.folder = model.folder, .weights = model.weights};
        g_autofree char *trace = offload_trace(&host, script(s), "t.safetensors");
        followed f = follow(trace);
        for (size_t i = 0; i < n_evict * MOE_COUNT(capacities); i++) {
            g_autofree char *keys = g_strdup_printf(
                "{evict: %s, scope: %s, capacity: %s, profile: 40%%}", evict[i / 3]->name,
                (i + s) % 2 ? "layer" : "model", capacities[i % 3]);
            if (quick() && i % 3 != (i / 3 + s) % 3)
                continue; /* each policy at two capacities */
            if (few() && i / 3 % 3 != s)
                continue;
            compare(&model, script(s), &f, keys, i % 2);
        }
        unfollow(&f);
    }
    offload_model_clear(&model);
}

static void
timed(void)
{
    static const char *const evict[] = {"lru", "belady", "arc", "s3fifo"};
    g_autoptr(moe_gpu) gpu = device_open(MOE_GPU_F32, false);
    size_t n_predict, n_prefetch, prefetches = 0;
    const moe_variant *const *predict = moe_policy_list(MOE_POLICY_PREDICT, &n_predict);
    const moe_variant *const *prefetch = moe_policy_list(MOE_POLICY_PREFETCH, &n_prefetch);
    if (!gpu)
        return;
    offload_model model = offload_model_new(2);
    g_autofree char *log = g_build_filename(model.folder, "a.log", NULL);
    g_autofree char *trace = offload_trace(&model, script(0), "t.safetensors");
    followed f = follow(trace);
    model.backend = &moe_backend_cuda;
    model.device = gpu;
    size_t step = few() ? 9 : quick() ? 3 : 1;
    for (size_t i = 0; i < n_predict * n_prefetch; i += step) {
        g_autofree char *keys = g_strdup_printf(
            "{evict: %s, scope: %s, capacity: %s, profile: 40%%, predict: %s, prefetch: %s}",
            evict[i % 4], i % 2 ? "layer" : "model", capacities[i % 3],
            predict[i % n_predict]->name, prefetch[i / n_predict]->name);
        const moe_expert_cache *slots =
            moe_gpu_expert_cache(gpu, moe_weights_get(model.weights), i / 2 % 2);
        g_autofree char *ran = execute(&model, script(0), &f, keys, log, slots);
        g_autofree char *replay = replayed(log, &f), *text = NULL;
        MOE_CHECK(!*replay, "%s: %s", keys, replay);
        g_file_get_contents(log, &text, NULL, NULL);
        prefetches += strstr(text, "\nprefetch ") != NULL;
    }
    MOE_CHECK(prefetches > 0, "%zu runs prefetch anything", prefetches);
    unfollow(&f);
    offload_model_clear(&model);
}

MOE_TESTS({"untimed counts and logs", untimed}, {"timed logs", timed})
