#include "profiler/inject/counters.h"

#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/inject/cupti.h"
#include "profiler/inject/log.h"
#include "profiler/inject/ranges.h"
#include "profiler/inject/say.h"
#include "profiler/inject/text.h"

enum {
    MOST_METRICS = 64,
    MOST_RANGES = 1024,    /* that the counters of a session hold: then they are read */
    STAGE_CATEGORIES = 100 /* categories of stages are below it */
};

#define FUNCTIONS(X)                                                                               \
    X(cuptiProfilerInitialize)                                                                     \
    X(cuptiProfilerGetCounterAvailability)                                                         \
    X(cuptiDeviceGetChipName)                                                                      \
    X(cuptiProfilerHostInitialize)                                                                 \
    X(cuptiProfilerHostDeinitialize)                                                               \
    X(cuptiProfilerHostConfigAddMetrics)                                                           \
    X(cuptiProfilerHostGetConfigImageSize)                                                         \
    X(cuptiProfilerHostGetConfigImage)                                                             \
    X(cuptiProfilerHostGetNumOfPasses)                                                             \
    X(cuptiProfilerHostEvaluateToGpuValues)                                                        \
    X(cuptiRangeProfilerEnable)                                                                    \
    X(cuptiRangeProfilerDisable)                                                                   \
    X(cuptiRangeProfilerGetCounterDataSize)                                                        \
    X(cuptiRangeProfilerCounterDataImageInitialize)                                                \
    X(cuptiRangeProfilerSetConfig)                                                                 \
    X(cuptiRangeProfilerStart)                                                                     \
    X(cuptiRangeProfilerStop)                                                                      \
    X(cuptiRangeProfilerPushRange)                                                                 \
    X(cuptiRangeProfilerPopRange)                                                                  \
    X(cuptiRangeProfilerDecodeData)                                                                \
    X(cuptiRangeProfilerGetCounterDataInfo)                                                        \
    X(cuptiRangeProfilerCounterDataGetRangeInfo)

static struct {
#define POINTER(name) __typeof__(&name) name;
    FUNCTIONS(POINTER)
#undef POINTER
    CUresult (*cuCtxGetCurrent)(CUcontext *);
    CUresult (*cuCtxGetDevice)(CUdevice *);
} api;

typedef enum session_state { CLOSED, RUNNING, FAILED } session_state;

/* One context's counters. Whoever calls CUPTI holds the lock; the range profiler calls nobody back.
 */
static struct {
    pthread_mutex_t lock;
    session_state state;
    pthread_t owner;
    uint32_t device;
    CUpti_Profiler_Host_Object *host;
    CUpti_RangeProfiler_Object *object;
    uint8_t *available, *config, *image; /* CUPTI refers to them as long as it counts */
    size_t config_bytes, image_bytes;
    uint32_t ranges;     /* in the image */
    uint64_t open_range; /* that is being measured; 0: none */
    uint64_t order;      /* ranges written so far */
    uint64_t pushed;     /* ranges begun so far */
} session = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char list[4096]; /* what `metrics` points into */
static const char *metrics[MOST_METRICS];
static size_t n_metrics;
static atomic_bool window_open;

/* A parameter struct of CUPTI, told its size. */
#define PARAMS(type, name, ...) type name = {.structSize = type##_STRUCT_SIZE, __VA_ARGS__}

/* ---- what fails ---- */

static void
say_failed(const char *call, CUptiResult result)
{
    bool denied = result == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES;
    bool unsupported = result == CUPTI_ERROR_VIRTUALIZED_DEVICE_NOT_SUPPORTED ||
                       result == CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES ||
                       result == CUPTI_ERROR_CONFIDENTIAL_COMPUTING_NOT_SUPPORTED ||
                       result == CUPTI_ERROR_CMP_DEVICE_NOT_SUPPORTED ||
                       result == CUPTI_ERROR_MIG_DEVICE_NOT_SUPPORTED ||
                       result == CUPTI_ERROR_WSL_DEVICE_NOT_SUPPORTED;
    moe_say(MOE_RAW_ERROR,
            denied        ? "counters_forbidden"
            : unsupported ? "counters_unsupported"
                          : "cupti_failed",
            "%s: %s (%d); no counters", call, moe_cupti_words(result), (int)result);
}

/* For MOESIM_LOG: what a crash within CUPTI was last asked. */
static bool
about_to(const char *call)
{
    moe_note("counters: %s", call);
    return true;
}

static bool
went_well(CUptiResult result, const char *call)
{
    if (result != CUPTI_SUCCESS)
        say_failed(call, result);
    return result == CUPTI_SUCCESS;
}
/* Calls and goes on when it went well. */
#define TRY(function, params) (about_to(#function) && went_well(api.function(params), #function))

/* ---- the session ---- */

static bool
get_availability(CUcontext context)
{
    PARAMS(CUpti_Profiler_GetCounterAvailability_Params, p, .ctx = context);
    if (!TRY(cuptiProfilerGetCounterAvailability, &p))
        return false;
    session.available = calloc(1, p.counterAvailabilityImageSize);
    p.pCounterAvailabilityImage = session.available;
    return session.available != NULL && TRY(cuptiProfilerGetCounterAvailability, &p);
}

static bool
open_host(CUcontext context)
{
    PARAMS(CUpti_Device_GetChipName_Params, chip, .deviceIndex = session.device);
    PARAMS(CUpti_Profiler_Host_Initialize_Params, p,
           .profilerType = CUPTI_PROFILER_TYPE_RANGE_PROFILER);
    bool ok = TRY(cuptiDeviceGetChipName, &chip) && get_availability(context);
    p.pChipName = chip.pChipName;
    p.pCounterAvailabilityImage = session.available;
    ok = ok && TRY(cuptiProfilerHostInitialize, &p);
    session.host = ok ? p.pHostObject : NULL;
    return ok;
}

static bool
make_config(void)
{
    PARAMS(CUpti_Profiler_Host_ConfigAddMetrics_Params, add, .pHostObject = session.host,
           .ppMetricNames = metrics, .numMetrics = n_metrics);
    PARAMS(CUpti_Profiler_Host_GetConfigImageSize_Params, size, .pHostObject = session.host);
    if (!TRY(cuptiProfilerHostConfigAddMetrics, &add) ||
        !TRY(cuptiProfilerHostGetConfigImageSize, &size))
        return false;
    session.config_bytes = size.configImageSize;
    session.config = calloc(1, size.configImageSize);
    PARAMS(CUpti_Profiler_Host_GetConfigImage_Params, image, .pHostObject = session.host,
           .pConfigImage = session.config, .configImageSize = session.config_bytes);
    PARAMS(CUpti_Profiler_Host_GetNumOfPasses_Params, passes, .pConfigImage = session.config,
           .configImageSize = session.config_bytes);
    if (session.config == NULL || !TRY(cuptiProfilerHostGetConfigImage, &image) ||
        !TRY(cuptiProfilerHostGetNumOfPasses, &passes))
        return false;
    if (passes.numOfPasses != 1)
        moe_say(MOE_RAW_ERROR, "counters_passes",
                "these metrics take %zu passes together; no counters", passes.numOfPasses);
    return passes.numOfPasses == 1;
}

static bool
make_image(void)
{
    PARAMS(CUpti_RangeProfiler_GetCounterDataSize_Params, size,
           .pRangeProfilerObject = session.object, .pMetricNames = metrics, .numMetrics = n_metrics,
           .maxNumOfRanges = MOST_RANGES, .maxNumRangeTreeNodes = MOST_RANGES);
    if (!TRY(cuptiRangeProfilerGetCounterDataSize, &size))
        return false;
    session.image_bytes = size.counterDataSize;
    session.image = calloc(1, size.counterDataSize);
    return session.image != NULL;
}

/* An empty image, and counting into it. */
static bool
begin_counting(void)
{
    PARAMS(CUpti_RangeProfiler_CounterDataImage_Initialize_Params, image,
           .pRangeProfilerObject = session.object, .pCounterData = session.image,
           .counterDataSize = session.image_bytes);
    PARAMS(CUpti_RangeProfiler_SetConfig_Params, config, .pRangeProfilerObject = session.object,
           .pConfig = session.config, .configSize = session.config_bytes,
           .pCounterDataImage = session.image, .counterDataImageSize = session.image_bytes,
           .range = CUPTI_UserRange, .replayMode = CUPTI_UserReplay,
           .maxRangesPerPass = MOST_RANGES, .numNestingLevels = 1, .minNestingLevel = 1,
           .targetNestingLevel = 1);
    PARAMS(CUpti_RangeProfiler_Start_Params, start, .pRangeProfilerObject = session.object);
    session.ranges = 0;
    return TRY(cuptiRangeProfilerCounterDataImageInitialize, &image) &&
           TRY(cuptiRangeProfilerSetConfig, &config) && TRY(cuptiRangeProfilerStart, &start);
}

static bool
open_session(CUcontext context)
{
    CUdevice device = 0;
    if (api.cuCtxGetDevice(&device) != CUDA_SUCCESS)
        return false;
    session.device = (uint32_t)device;
    session.owner = pthread_self();
    PARAMS(CUpti_Profiler_Initialize_Params, initialize, 0);
    PARAMS(CUpti_RangeProfiler_Enable_Params, enable, .ctx = context);
    if (!TRY(cuptiProfilerInitialize, &initialize) || !open_host(context) || !make_config() ||
        !TRY(cuptiRangeProfilerEnable, &enable))
        return false;
    session.object = enable.pRangeProfilerObject;
    return make_image() && begin_counting();
}

/* ---- what was counted ---- */

static bool
write_range(moe_batch **batch, size_t index)
{
    double values[MOST_METRICS];
    PARAMS(CUpti_RangeProfiler_CounterData_GetRangeInfo_Params, info,
           .pCounterDataImage = session.image, .counterDataImageSize = session.image_bytes,
           .rangeIndex = index, .rangeDelimiter = "/");
    PARAMS(CUpti_Profiler_Host_EvaluateToGpuValues_Params, evaluate, .pHostObject = session.host,
           .pCounterDataImage = session.image, .counterDataImageSize = session.image_bytes,
           .rangeIndex = index, .ppMetricNames = metrics, .numMetrics = n_metrics,
           .pMetricValues = values);
    if (!TRY(cuptiRangeProfilerCounterDataGetRangeInfo, &info) ||
        !TRY(cuptiProfilerHostEvaluateToGpuValues, &evaluate))
        return false;
    /* "experts 7 #12" becomes "experts/7". */
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(info.rangeName, "#"), info.rangeName);
    size_t end = strlen(name);
    while (end > 0 && name[end - 1] == ' ')
        name[--end] = '\0';
    char *blank = strchr(name, ' ');
    if (blank != NULL)
        *blank = '/';
    uint32_t range = moe_text_id(name, end);
    for (size_t m = 0; m < n_metrics; m++) {
        moe_raw_counter counter = {.order = session.order,
                                   .range = range,
                                   .metric = moe_text_id(metrics[m], strlen(metrics[m])),
                                   .device = session.device,
                                   .value = values[m]};
        void *at = *batch != NULL ? moe_batch_room(*batch, sizeof counter) : NULL;
        if (at == NULL) {
            moe_lose(MOE_LOSS_COUNTER, 1);
            continue;
        }
        memcpy(at, &counter, sizeof counter);
    }
    session.order++;
    return true;
}

/* Ends counting and writes what there is; false: CUPTI refused something. */
static bool
drain(void)
{
    PARAMS(CUpti_RangeProfiler_Stop_Params, stop, .pRangeProfilerObject = session.object);
    PARAMS(CUpti_RangeProfiler_DecodeData_Params, decode, .pRangeProfilerObject = session.object);
    PARAMS(CUpti_RangeProfiler_GetCounterDataInfo_Params, info, .pCounterDataImage = session.image,
           .counterDataImageSize = session.image_bytes);
    if (!TRY(cuptiRangeProfilerStop, &stop) || !TRY(cuptiRangeProfilerDecodeData, &decode) ||
        !TRY(cuptiRangeProfilerGetCounterDataInfo, &info))
        return false;
    if (decode.numOfRangeDropped > 0)
        moe_lose(MOE_LOSS_COUNTER, decode.numOfRangeDropped * n_metrics);
    size_t bytes = info.numTotalRanges * n_metrics * sizeof(moe_raw_counter);
    moe_batch *batch = bytes > 0 ? moe_batch_new(MOE_RAW_COUNTERS, bytes) : NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < info.numTotalRanges; i++)
        ok = write_range(&batch, i);
    if (batch != NULL)
        moe_log_put(batch);
    return ok;
}

/* ---- hooks ---- */

static bool
split_list(const char *text)
{
    snprintf(list, sizeof list, "%s", text);
    for (char *word = list; *word != '\0' && n_metrics < MOST_METRICS;) {
        size_t length = strcspn(word, ",");
        bool more = word[length] == ',';
        word[length] = '\0';
        if (length > 0)
            metrics[n_metrics++] = word;
        word += length + more;
    }
    return n_metrics > 0;
}

static bool
resolve(void)
{
    Dl_info info;
    if (dladdr(*(void **)&moe_cupti.cuptiGetVersion, &info) == 0)
        return false;
    void *cupti = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    const char *missing = NULL;
#define RESOLVE(library, name)                                                                     \
    *(void **)&api.name = library != NULL ? dlsym(library, #name) : NULL;                          \
    if (api.name == NULL)                                                                          \
        missing = #name;
#define RESOLVE_CUPTI(name) RESOLVE(cupti, name)
    FUNCTIONS(RESOLVE_CUPTI)
    RESOLVE(driver, cuCtxGetCurrent)
    RESOLVE(driver, cuCtxGetDevice)
    if (missing != NULL)
        moe_say(MOE_RAW_ERROR, "counters_unsupported",
                "no %s: counters want CUPTI of CUDA 12.6 or newer, and a driver", missing);
    return missing == NULL;
}

static bool
counters_start(const moe_options *options)
{
    const char *wanted = getenv("MOESIM_COUNTERS");
    if (!(options->trace & MOE_TRACE_COUNTERS))
        return false;
    if (wanted == NULL || !split_list(wanted)) {
        moe_say(MOE_RAW_ERROR, "counters_unsupported", "MOESIM_COUNTERS names no metrics");
        return false;
    }
    return moe_cupti_load(options->cupti_path) && resolve();
}

static void
counters_window(bool open)
{
    atomic_store(&window_open, open);
}

/* Opens at the first stage that has a context. */
static bool
is_running(void)
{
    CUcontext context = NULL;
    if (session.state == CLOSED && api.cuCtxGetCurrent(&context) == CUDA_SUCCESS && context != NULL)
        session.state = open_session(context) ? RUNNING : FAILED;
    return session.state == RUNNING;
}

static void
push_stage(const moe_raw_range *range)
{
    char name[128];
    size_t bytes;
    const char *stage = moe_text_of(range->text, &bytes);
    if (session.open_range != 0 || !is_running())
        return;
    if (!pthread_equal(session.owner, pthread_self())) {
        moe_say(MOE_RAW_WARN, "counters_threads",
                "stages of further threads are not counted: counters are of one context");
        return;
    }
    /* Ranges of one name are one to CUPTI, and summed: each gets a number. */
    unsigned long long number = session.pushed++;
    if (range->payload_type == 1)
        snprintf(name, sizeof name, "%.64s %llu #%llu", stage, (unsigned long long)range->payload,
                 number);
    else
        snprintf(name, sizeof name, "%.64s #%llu", stage, number);
    PARAMS(CUpti_RangeProfiler_PushRange_Params, push, .pRangeProfilerObject = session.object,
           .pRangeName = name);
    if (TRY(cuptiRangeProfilerPushRange, &push))
        session.open_range = range->range;
    else
        session.state = FAILED;
}

static void
counters_push(const moe_raw_range *range)
{
    if (range->domain != moe_range_domain() || range->category == 0 ||
        range->category >= STAGE_CATEGORIES || !atomic_load(&window_open))
        return;
    pthread_mutex_lock(&session.lock);
    push_stage(range);
    pthread_mutex_unlock(&session.lock);
}

static void
pop_stage(uint64_t range)
{
    PARAMS(CUpti_RangeProfiler_PopRange_Params, pop, .pRangeProfilerObject = session.object);
    if (session.state != RUNNING || session.open_range != range)
        return;
    session.open_range = 0;
    bool ok = TRY(cuptiRangeProfilerPopRange, &pop);
    if (ok && ++session.ranges == MOST_RANGES)
        ok = drain() && begin_counting();
    if (!ok)
        session.state = FAILED;
}

static void
counters_pop(uint64_t range)
{
    pthread_mutex_lock(&session.lock);
    pop_stage(range);
    pthread_mutex_unlock(&session.lock);
}

/* A range that is still open at the end has no values. */
static void
counters_stop(void)
{
    if (pthread_mutex_trylock(&session.lock) != 0)
        return;
    if (session.state == RUNNING) {
        PARAMS(CUpti_RangeProfiler_PopRange_Params, pop, .pRangeProfilerObject = session.object);
        PARAMS(CUpti_RangeProfiler_Disable_Params, disable, .pRangeProfilerObject = session.object);
        if (session.open_range != 0)
            api.cuptiRangeProfilerPopRange(&pop);
        drain();
        api.cuptiRangeProfilerDisable(&disable);
        PARAMS(CUpti_Profiler_Host_Deinitialize_Params, host, .pHostObject = session.host);
        api.cuptiProfilerHostDeinitialize(&host);
    }
    session.state = FAILED; /* nothing further */
    pthread_mutex_unlock(&session.lock);
}

const moe_module moe_module_counters = {
    .name = "counters",
    .start = counters_start,
    .window = counters_window,
    .push = counters_push,
    .pop = counters_pop,
    .stop = counters_stop,
};
