/* The part of the probe that loads the driver and CUPTI into this process. No headers of either are
 * needed: the few functions have not changed since CUDA 12. */
#define _GNU_SOURCE /* dladdr */

#include "profiler/cupti_library.h"
#include "profiler/probe.h"

#include <dlfcn.h>

enum {
    CAPABILITY_MAJOR = 75, /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR */
    CAPABILITY_MINOR = 76,
    SUBSCRIBER_NAME = 64, /* CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN */
};

/* CUpti_SubscriberParams of CUDA 12.4 and newer. */
typedef struct subscriber_params {
    size_t size;
    const char *name;
    char *old;
    size_t old_size;
} subscriber_params;

typedef union entry {
    void *object;
    int (*init)(unsigned flags);
    int (*get)(int *value);
    int (*get_unsigned)(uint32_t *value);
    int (*device)(int *device, int ordinal);
    int (*name)(char *name, int length, int device);
    int (*memory)(size_t *bytes, int device);
    int (*attribute)(int *value, int attribute, int device);
    int (*subscribe)(void **subscriber, void (*callback)(void), void *data,
                     subscriber_params *params);
    int (*unsubscribe)(void *subscriber);
} entry;

static bool
find(void *library, const char *name, entry *out)
{
    out->object = dlsym(library, name);
    return out->object != NULL;
}

/* ---- the driver ---- */

static void
say_device(void *cuda, GString *out)
{
    entry device, name, memory, attribute;
    int id = 0, major = 0, minor = 0;
    char text[256] = "";
    size_t bytes = 0;
    if (!find(cuda, "cuDeviceGet", &device) || device.device(&id, 0) ||
        !find(cuda, "cuDeviceGetName", &name) || name.name(text, sizeof text - 1, id))
        return;
    g_string_append_printf(out, "device=%s", text);
    if (find(cuda, "cuDeviceGetAttribute", &attribute) &&
        !attribute.attribute(&major, CAPABILITY_MAJOR, id) &&
        !attribute.attribute(&minor, CAPABILITY_MINOR, id))
        g_string_append_printf(out, ", sm_%d%d", major, minor);
    if (find(cuda, "cuDeviceTotalMem_v2", &memory) && !memory.memory(&bytes, id))
        g_string_append_printf(out, ", %.1f GiB", (double)bytes / (double)(1 << 30));
    g_string_append_c(out, '\n');
}

/* True when it can be used. */
static bool
say_driver(GString *out)
{
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!cuda) {
        g_string_append_printf(out, "cuda=absent\ncuda_says=%s\n", dlerror());
        return false;
    }
    entry init, version, count;
    int value = 0;
    int code = find(cuda, "cuInit", &init) ? init.init(0) : -1;
    g_string_append_printf(out, "cuda=%d\n", code);
    if (find(cuda, "cuDriverGetVersion", &version) && !version.get(&value))
        g_string_append_printf(out, "driver_version=%d\n", value);
    if (code || !find(cuda, "cuDeviceGetCount", &count) || count.get(&value))
        return false;
    g_string_append_printf(out, "devices=%d\n", value);
    if (value > 0)
        say_device(cuda, out);
    return value > 0;
}

/* ---- CUPTI ---- */

/* A callback that is never called: nothing is enabled. */
static void
ignored(void)
{
}

static void
say_subscriber(void *cupti, GString *out)
{
    char old[SUBSCRIBER_NAME + 1] = "";
    void *subscriber = NULL;
    subscriber_params params = {sizeof params, "moesim", old, SUBSCRIBER_NAME};
    entry subscribe, unsubscribe;
    bool named = find(cupti, "cuptiSubscribe_v2", &subscribe);
    if (!named && !find(cupti, "cuptiSubscribe", &subscribe))
        return;
    int code = subscribe.subscribe(&subscriber, ignored, NULL, named ? &params : NULL);
    g_string_append_printf(out, "subscribe=%d\n", code);
    if (old[0])
        g_string_append_printf(out, "subscriber=%s\n", old);
    if (!code && find(cupti, "cuptiUnsubscribe", &unsubscribe))
        unsubscribe.unsubscribe(subscriber);
}

static void
say_cupti(GString *out, bool usable)
{
    void *cupti = moe_cupti_open(NULL);
    if (!cupti)
        return;
    entry version;
    uint32_t value = 0;
    Dl_info place;
    bool asked = find(cupti, "cuptiGetVersion", &version);
    if (asked && dladdr(version.object, &place) && place.dli_fname)
        g_string_append_printf(out, "cupti=%s\n", place.dli_fname);
    else
        g_string_append(out, "cupti=?\n");
    /* Without a driver it fails, but writes the number all the same. */
    if (asked)
        version.get_unsigned(&value);
    if (value)
        g_string_append_printf(out, "cupti_version=%u\n", value);
    if (usable)
        say_subscriber(cupti, out);
}

void
moe_probe_here(GString *out)
{
    bool usable = say_driver(out);
    say_cupti(out, usable);
}
