#include "profiler/probe.h"

#include "sim/base/text.h"

#include <string.h>

enum {
    CUDA_STUB = 34, /* CUDA_ERROR_STUB_LIBRARY */
    CUDA_NO_DEVICE = 100,
    CUPTI_BUSY = 39, /* CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED */
};

/* ---- what was said ---- */

/* A number of a line; 0 for what is none. */
static int
number(const char *text)
{
    gint64 value = g_ascii_strtoll(text, NULL, 10);
    return value < INT32_MIN || value > INT32_MAX ? 0 : (int)value;
}

/* A foreign library wrote it. */
static void
read_text(char **field, const char *value)
{
    g_free(*field);
    *field = moe_text_visible(value, strlen(value));
}

static void
read_driver(moe_probe *probe, const char *value)
{
    if (!strcmp(value, "absent"))
        return;
    probe->cuda_error = number(value);
    if (probe->cuda_error == CUDA_STUB)
        probe->driver = MOE_DRIVER_STUB;
    else if (probe->cuda_error == CUDA_NO_DEVICE)
        probe->driver = MOE_DRIVER_NO_DEVICE;
    else
        probe->driver = probe->cuda_error ? MOE_DRIVER_FAILED : MOE_DRIVER_OK;
}

static void
read_line(moe_probe *probe, const char *key, const char *value)
{
    if (!strcmp(key, "cuda"))
        read_driver(probe, value);
    else if (!strcmp(key, "cuda_says"))
        read_text(&probe->driver_says, value);
    else if (!strcmp(key, "driver_version"))
        probe->driver_version = number(value);
    else if (!strcmp(key, "devices"))
        probe->devices = number(value);
    else if (!strcmp(key, "device"))
        read_text(&probe->device, value);
    else if (!strcmp(key, "cupti"))
        read_text(&probe->cupti, value);
    else if (!strcmp(key, "cupti_version"))
        probe->cupti_version = number(value);
    else if (!strcmp(key, "subscribe"))
        probe->subscribe = number(value);
    else if (!strcmp(key, "subscriber"))
        read_text(&probe->subscriber, value);
}

moe_probe *
moe_probe_read(const char *text)
{
    moe_probe *probe = g_new0(moe_probe, 1);
    probe->subscribe = -1;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *equals = strchr(*line, '=');
        if (!equals)
            continue;
        *equals = '\0';
        read_line(probe, *line, equals + 1);
    }
    if (probe->driver == MOE_DRIVER_OK && probe->devices <= 0)
        probe->driver = MOE_DRIVER_NO_DEVICE;
    return probe;
}

void
moe_probe_free(moe_probe *probe)
{
    if (!probe)
        return;
    g_free(probe->device);
    g_free(probe->driver_says);
    g_free(probe->cupti);
    g_free(probe->subscriber);
    g_free(probe);
}

/* ---- what it means ---- */

/* CUPTI's numbers: 18 to 28 in CUDA 12, then 130000 and more. Of a smaller one nothing is known. */
int
moe_probe_cuda_of_cupti(const moe_probe *probe)
{
    int version = probe->cupti_version;
    if (version >= 130000)
        return version / 10000 * 1000 + version / 100 % 100 * 10;
    return version >= 18 ? 12000 : 0;
}

/* Within a major version a driver serves newer toolkits. */
static bool
too_old(const moe_probe *probe)
{
    int wants = moe_probe_cuda_of_cupti(probe);
    return probe->driver_version > 0 && probe->driver_version / 1000 < wants / 1000;
}

const char *
moe_probe_obstacle(const moe_probe *probe)
{
    if (probe->driver == MOE_DRIVER_STUB)
        return "stub_driver";
    if (probe->driver != MOE_DRIVER_OK)
        return "no_driver";
    if (!probe->cupti)
        return "cupti_absent";
    if (too_old(probe))
        return "old_driver";
    if (probe->subscribe == CUPTI_BUSY)
        return "cupti_busy";
    return probe->subscribe > 0 ? "cupti_failed" : NULL;
}

static void
explain_driver(const moe_probe *probe, GString *out)
{
    if (probe->driver == MOE_DRIVER_ABSENT)
        g_string_append(out, "there is no NVIDIA driver here (libcuda.so.1 was not found)");
    else if (probe->driver == MOE_DRIVER_STUB)
        g_string_append(out, "libcuda.so.1 is the toolkit's stub, not a driver: take the folder "
                             "lib/stubs out of LD_LIBRARY_PATH");
    else if (probe->driver == MOE_DRIVER_NO_DEVICE)
        g_string_append(out, "the driver sees no device (CUDA_VISIBLE_DEVICES?)");
    else
        g_string_append_printf(out, "the driver does not start: cuInit says %d", probe->cuda_error);
}

char *
moe_probe_explain(const moe_probe *probe)
{
    g_autoptr(GString) out = g_string_new(NULL);
    int wants = moe_probe_cuda_of_cupti(probe);
    if (probe->driver != MOE_DRIVER_OK)
        explain_driver(probe, out);
    else if (!probe->cupti)
        g_string_append(out,
                        "libcupti was not found: install CUPTI of the CUDA toolkit, or name it "
                        "in MOESIM_CUPTI_LIB");
    else if (too_old(probe))
        g_string_append_printf(out,
                               "the driver is of CUDA %d.%d, older than CUPTI's %d.%d: update the "
                               "driver, or name an older CUPTI in MOESIM_CUPTI_LIB",
                               probe->driver_version / 1000, probe->driver_version % 1000 / 10,
                               wants / 1000, wants % 1000 / 10);
    else if (probe->subscribe == CUPTI_BUSY)
        g_string_append_printf(out, "CUPTI is held by '%s': only one tool can have it",
                               probe->subscriber ? probe->subscriber : "another tool");
    else if (probe->subscribe > 0)
        g_string_append_printf(out, "CUPTI does not start: cuptiSubscribe says %d",
                               probe->subscribe);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

moe_probe_counters
moe_probe_permission(const char *params, bool privileged)
{
    static const char key[] = "RmProfilingAdminOnly:";
    const char *at = params ? strstr(params, key) : NULL;
    if (!at)
        return MOE_COUNTERS_UNKNOWN;
    if (number(at + strlen(key)) == 0)
        return MOE_COUNTERS_OPEN;
    return privileged ? MOE_COUNTERS_ADMIN : MOE_COUNTERS_FORBIDDEN;
}
