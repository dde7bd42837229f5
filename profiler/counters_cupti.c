/* CUPTI's range profiler, host side. Without CUPTI's headers only the words that say so. */
#include "profiler/counters_private.h"
#include "profiler/cupti_library.h"
#include "sim/base/error.h"

#ifndef MOE_HAVE_CUPTI

static void
absent(GError **error)
{
    g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM,
                "this moesim was built without CUPTI's headers (CUDA 12.6 or newer): no counters");
}

moe_counters *
moe_counters_open(const char *chip, GError **error)
{
    absent(error);
    return NULL;
}

char **
moe_counters_chips(GError **error)
{
    absent(error);
    return NULL;
}

void
moe_counters_close(moe_counters *counters)
{
}

const char *
moe_counters_library(const moe_counters *counters)
{
    return "";
}

const char *
moe_counters_chip(const moe_counters *counters)
{
    return "";
}

GPtrArray *
moe_counters_list(moe_counters *counters, const char *pattern)
{
    return g_ptr_array_new();
}

char **
moe_counters_rollups(moe_counters *counters, const moe_counter_info *info)
{
    return g_new0(char *, 1);
}

size_t
moe_counters_passes(moe_counters *counters, const char *const *metrics, size_t n)
{
    return 0;
}

#else

#include <cupti_profiler_host.h>
#include <cupti_target.h>
#include <cupti_version.h>

#include <dlfcn.h>
#include <string.h>

#define FUNCTIONS(X)                                                                               \
    X(cuptiGetVersion)                                                                             \
    X(cuptiProfilerHostInitialize)                                                                 \
    X(cuptiProfilerHostDeinitialize)                                                               \
    X(cuptiProfilerHostGetSupportedChips)                                                          \
    X(cuptiProfilerHostGetBaseMetrics)                                                             \
    X(cuptiProfilerHostGetSubMetrics)                                                              \
    X(cuptiProfilerHostGetMetricProperties)                                                        \
    X(cuptiProfilerHostConfigAddMetrics)                                                           \
    X(cuptiProfilerHostGetConfigImageSize)                                                         \
    X(cuptiProfilerHostGetConfigImage)                                                             \
    X(cuptiProfilerHostGetNumOfPasses)

/* The functions of the loaded library. Never unloaded: CUPTI does not survive it. */
typedef struct cupti {
#define DECLARE(name) __typeof__(&name) name;
    FUNCTIONS(DECLARE)
#undef DECLARE
    char *text; /* which it is */
} cupti;

struct moe_counters {
    cupti library;
    char *chip;
};

/* A parameter struct of CUPTI, told its size. */
#define PARAMS(type, name, ...)                                                                    \
    CUpti_Profiler_Host_##type##_Params name = {                                                   \
        .structSize = CUpti_Profiler_Host_##type##_Params_STRUCT_SIZE, __VA_ARGS__}

/* ---- the library ---- */

static bool
resolve(void *handle, cupti *c, const char **lacking)
{
#define RESOLVE(name)                                                                              \
    *lacking = #name;                                                                              \
    *(void **)&c->name = dlsym(handle, #name);                                                     \
    if (!c->name)                                                                                  \
        return false;
    FUNCTIONS(RESOLVE)
#undef RESOLVE
    return true;
}

static bool
open_library(cupti *c, GError **error)
{
    g_autofree char *name = NULL;
    const char *lacking;
    void *handle = moe_cupti_open(&name);
    if (!handle) {
        g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM,
                    "no libcupti: %s; MOESIM_CUPTI_LIB may name the file", dlerror());
        return false;
    }
    if (!resolve(handle, c, &lacking)) {
        g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM,
                    "%s: no %s in it: counters want CUPTI of CUDA 12.6 or newer", name, lacking);
        return false;
    }
    uint32_t version = 0;
    c->cuptiGetVersion(&version);
    c->text = g_strdup_printf("libcupti %u.%u.%u, %s", version / 10000, version / 100 % 100,
                              version % 100, name);
    return true;
}

char **
moe_counters_chips(GError **error)
{
    cupti c;
    if (!open_library(&c, error))
        return NULL;
    PARAMS(GetSupportedChips, chips, 0);
    if (c.cuptiProfilerHostGetSupportedChips(&chips))
        chips.numChips = 0;
    char **names = g_new0(char *, chips.numChips + 1);
    for (size_t i = 0; i < chips.numChips; i++)
        names[i] = g_strdup(chips.ppChipNames[i]);
    g_free(c.text);
    return names;
}

/* NULL: CUPTI does not know the chip. */
static CUpti_Profiler_Host_Object *
new_host(const moe_counters *counters)
{
    PARAMS(Initialize, p, .profilerType = CUPTI_PROFILER_TYPE_RANGE_PROFILER,
           .pChipName = counters->chip);
    return counters->library.cuptiProfilerHostInitialize(&p) ? NULL : p.pHostObject;
}

static void
free_host(const moe_counters *counters, CUpti_Profiler_Host_Object *host)
{
    PARAMS(Deinitialize, p, .pHostObject = host);
    counters->library.cuptiProfilerHostDeinitialize(&p);
}

moe_counters *
moe_counters_open(const char *chip, GError **error)
{
    g_autoptr(moe_counters) counters = g_new0(moe_counters, 1);
    if (!open_library(&counters->library, error))
        return NULL;
    counters->chip = g_ascii_strup(chip, -1);
    CUpti_Profiler_Host_Object *host = new_host(counters);
    if (host) {
        free_host(counters, host);
        return g_steal_pointer(&counters);
    }
    g_auto(GStrv) chips = moe_counters_chips(NULL);
    guint n = chips ? g_strv_length(chips) : 0;
    const char *near = moe_suggest(counters->chip, (const char *const *)chips, n);
    g_autofree char *all = chips ? g_strjoinv(" ", chips) : NULL;
    g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM, "%s knows no chip '%s'%s%s%s; it knows %s",
                counters->library.text, chip, near ? ", did you mean '" : "", near ? near : "",
                near ? "'" : "", all ? all : "none");
    return NULL;
}

void
moe_counters_close(moe_counters *counters)
{
    if (!counters)
        return;
    g_free(counters->library.text);
    g_free(counters->chip);
    g_free(counters);
}

const char *
moe_counters_library(const moe_counters *counters)
{
    return counters->library.text;
}

const char *
moe_counters_chip(const moe_counters *counters)
{
    return counters->chip;
}

/* ---- metrics ---- */

static void
free_info(gpointer data)
{
    moe_counter_info *info = data;
    g_free(info->name);
    g_free(info->description);
    g_free(info->unit);
    g_free(info);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp((*(moe_counter_info *const *)a)->name, (*(moe_counter_info *const *)b)->name);
}

static moe_counter_info *
describe(const moe_counters *counters, CUpti_Profiler_Host_Object *host, const char *name, int type)
{
    moe_counter_info *info = g_new0(moe_counter_info, 1);
    PARAMS(GetMetricProperties, p, .pHostObject = host, .pMetricName = name);
    bool known = !counters->library.cuptiProfilerHostGetMetricProperties(&p);
    info->name = g_strdup(name);
    info->description = g_strdup(known && p.pDescription ? p.pDescription : "");
    info->unit = g_strdup(known && p.pDimUnit ? p.pDimUnit : "");
    info->type = type;
    return info;
}

GPtrArray *
moe_counters_list(moe_counters *counters, const char *pattern)
{
    static const CUpti_MetricType types[] = {
        [MOE_COUNTER_COUNTER] = CUPTI_METRIC_TYPE_COUNTER,
        [MOE_COUNTER_RATIO] = CUPTI_METRIC_TYPE_RATIO,
        [MOE_COUNTER_THROUGHPUT] = CUPTI_METRIC_TYPE_THROUGHPUT,
    };
    GPtrArray *list = g_ptr_array_new_with_free_func(free_info);
    CUpti_Profiler_Host_Object *host = new_host(counters);
    for (size_t type = 0; host && type < MOE_COUNT(types); type++) {
        PARAMS(GetBaseMetrics, p, .pHostObject = host, .metricType = types[type]);
        if (counters->library.cuptiProfilerHostGetBaseMetrics(&p))
            continue;
        for (size_t i = 0; i < p.numMetrics; i++)
            if (strstr(p.ppMetricNames[i], pattern))
                g_ptr_array_add(list, describe(counters, host, p.ppMetricNames[i], (int)type));
    }
    if (host)
        free_host(counters, host);
    g_ptr_array_sort(list, by_name);
    return list;
}

char **
moe_counters_rollups(moe_counters *counters, const moe_counter_info *info)
{
    GPtrArray *names = g_ptr_array_new();
    CUpti_Profiler_Host_Object *host = new_host(counters);
    PARAMS(GetSubMetrics, p, .pHostObject = host, .metricType = (CUpti_MetricType)info->type,
           .pMetricName = info->name);
    if (host && !counters->library.cuptiProfilerHostGetSubMetrics(&p))
        for (size_t i = 0; i < p.numOfSubmetrics; i++)
            g_ptr_array_add(names, g_strdup(p.ppSubMetrics[i]));
    if (host)
        free_host(counters, host);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

/* An object that was refused a metric is not to be used again, so each question has its own. */
size_t
moe_counters_passes(moe_counters *counters, const char *const *metrics, size_t n)
{
    const cupti *c = &counters->library;
    CUpti_Profiler_Host_Object *host = new_host(counters);
    if (!host)
        return 0;
    g_autofree const char **names = g_memdup2(metrics, n * sizeof *names);
    PARAMS(ConfigAddMetrics, add, .pHostObject = host, .ppMetricNames = names, .numMetrics = n);
    PARAMS(GetConfigImageSize, size, .pHostObject = host);
    PARAMS(GetConfigImage, image, .pHostObject = host);
    PARAMS(GetNumOfPasses, passes, 0);
    g_autofree uint8_t *bytes = NULL;
    if (!c->cuptiProfilerHostConfigAddMetrics(&add) &&
        !c->cuptiProfilerHostGetConfigImageSize(&size)) {
        bytes = g_malloc0(size.configImageSize);
        image.configImageSize = passes.configImageSize = size.configImageSize;
        image.pConfigImage = passes.pConfigImage = bytes;
        if (c->cuptiProfilerHostGetConfigImage(&image) ||
            c->cuptiProfilerHostGetNumOfPasses(&passes))
            passes.numOfPasses = 0;
    }
    free_host(counters, host);
    return passes.numOfPasses;
}

#endif
