#include "profiler/inject/cupti.h"

#include <stdio.h>

#include "profiler/inject/clock.h"
#include "profiler/inject/hello.h"
#include "profiler/inject/say.h"
#include "profiler/inject/window.h"

static uint32_t trace;
static bool correlates; /* ranges are told to CUPTI; set before the module is attached */
static CUpti_SubscriberHandle subscriber;

static uint64_t CUPTIAPI
timestamp(void)
{
    return moe_clock_ns();
}

/* Something went wrong within CUPTI, in its own thread. */
static void
heard_state(CUpti_CallbackId id, const CUpti_StateData *state)
{
    const char *message = state->notification.message;
    moe_say(id == CUPTI_CBID_STATE_WARNING ? MOE_RAW_WARN : MOE_RAW_ERROR,
            id == CUPTI_CBID_STATE_FATAL_ERROR ? "cupti_fatal" : "cupti_failed", "%s%s%s",
            moe_cupti_words(state->notification.result), message != NULL ? ": " : "",
            message != NULL ? message : "");
}

static void
heard_driver(CUpti_CallbackId id, const CUpti_CallbackData *call)
{
    if (id == CUPTI_DRIVER_TRACE_CBID_cuProfilerStart && call->callbackSite == CUPTI_API_EXIT)
        moe_window_profiler(true);
    if (id == CUPTI_DRIVER_TRACE_CBID_cuProfilerStop && call->callbackSite == CUPTI_API_ENTER)
        moe_window_profiler(false);
}

static void CUPTIAPI
heard(void *unused, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void *data)
{
    (void)unused;
    if (domain == CUPTI_CB_DOMAIN_STATE)
        heard_state(id, data);
    else if (domain == CUPTI_CB_DOMAIN_RESOURCE)
        moe_cupti_node(id, data);
    else if (domain == CUPTI_CB_DOMAIN_DRIVER_API)
        heard_driver(id, data);
}

static CUptiResult
subscribe(char *holder, size_t room)
{
    holder[0] = '\0';
    if (moe_cupti.cuptiSubscribe_v2 == NULL)
        return moe_cupti.cuptiSubscribe(&subscriber, heard, NULL);
    moe_cupti_subscriber params = {sizeof params, "moesim", holder, room};
    return moe_cupti.cuptiSubscribe_v2(&subscriber, heard, NULL, &params);
}

static bool
subscribe_or_say(void)
{
    char holder[128], reason[256];
    CUptiResult result = subscribe(holder, sizeof holder);
    if (result == CUPTI_SUCCESS)
        return true;
    if (result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)
        snprintf(reason, sizeof reason, "busy: held by %s",
                 holder[0] != '\0' ? holder : "another tool, which gives no name");
    else
        snprintf(reason, sizeof reason, "refused: %s (%d)", moe_cupti_words(result), (int)result);
    moe_hello_add("cupti", reason);
    moe_say(MOE_RAW_ERROR,
            result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED ? "cupti_busy"
                                                                     : "cupti_failed",
            "CUPTI is %s; no kernels are recorded, ranges and routing are", reason);
    return false;
}

/* Before any kind is enabled. */
static void
set_clock(void)
{
    bool ours = moe_cupti.cuptiActivityRegisterTimestampCallback != NULL &&
                moe_cupti.cuptiActivityRegisterTimestampCallback(timestamp) == CUPTI_SUCCESS;
    moe_hello_add("clock", ours ? "monotonic" : "realtime");
    if (!ours)
        moe_say(MOE_RAW_WARN, "cupti_clock",
                "CUPTI takes no clock of ours: its times are of CLOCK_REALTIME");
    if (moe_cupti.cuptiSetThreadIdType != NULL)
        moe_cupti.cuptiSetThreadIdType(CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM);
}

static void
listen(CUpti_CallbackDomain domain, CUpti_CallbackId id)
{
    CUptiResult result = moe_cupti.cuptiEnableCallback(1, subscriber, domain, id);
    if (result != CUPTI_SUCCESS)
        moe_say(MOE_RAW_WARN, "cupti_failed", "CUPTI calls not back for %d.%d: %s", (int)domain,
                (int)id, moe_cupti_words(result));
}

static void
listen_to_all(const moe_options *options)
{
    if (moe_cupti.cuptiEnableCallback == NULL)
        return;
    listen(CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_FATAL_ERROR);
    listen(CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_ERROR);
    listen(CUPTI_CB_DOMAIN_STATE, CUPTI_CBID_STATE_WARNING);
    if ((trace & MOE_TRACE_KERNEL) && !(trace & MOE_TRACE_GRAPH) &&
        moe_cupti.cuptiGetGraphNodeId != NULL) {
        listen(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED);
        listen(CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED);
    }
    if (options->window == MOE_WINDOW_PROFILER) {
        listen(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuProfilerStart);
        listen(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuProfilerStop);
    }
}

static const uint32_t wanted = MOE_TRACE_KERNEL | MOE_TRACE_MEMOP | MOE_TRACE_API | MOE_TRACE_GRAPH;

static bool
cupti_start(const moe_options *options)
{
    trace = options->trace;
    if (!(trace & wanted) && options->window != MOE_WINDOW_PROFILER)
        return false;
    if (!moe_cupti_load(options->cupti_path) || !subscribe_or_say())
        return false;
    char version[16];
    snprintf(version, sizeof version, "%u", moe_cupti.version);
    moe_hello_add("cupti", version);
    set_clock();
    if (!moe_cupti_buffers_start(options))
        return false;
    listen_to_all(options);
    correlates = moe_cupti.cuptiActivityPushExternalCorrelationId != NULL &&
                 moe_cupti.cuptiActivityPopExternalCorrelationId != NULL;
    if (!correlates)
        moe_say(MOE_RAW_WARN, "cupti_failed",
                "CUPTI takes no external correlation: kernels are joined with ranges by time");
    return true;
}

static void
cupti_window(bool open)
{
    moe_cupti_kinds(trace, open);
    if (!open)
        moe_cupti.cuptiActivityFlushAll(0);
}

static void
cupti_push(const moe_raw_range *range)
{
    if (correlates)
        moe_cupti.cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1,
                                                         range->range);
}

/* A range that was pushed before CUPTI was there is not on CUPTI's stack: what came off instead is
 * put back. */
static void
cupti_pop(uint64_t range)
{
    uint64_t top = 0;
    if (!correlates || moe_cupti.cuptiActivityPopExternalCorrelationId(
                           CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1, &top) != CUPTI_SUCCESS)
        return;
    if (top != range)
        moe_cupti.cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1,
                                                         top);
}

static void
cupti_tick(void)
{
    moe_cupti.cuptiActivityFlushAll(0);
    moe_cupti_dropped(NULL, 0);
}

static void
cupti_stop(void)
{
    moe_cupti.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    moe_cupti_dropped(NULL, 0); /* after the last buffer too */
    moe_cupti_count();
}

const moe_module moe_module_cupti = {
    .name = "cupti",
    .start = cupti_start,
    .window = cupti_window,
    .push = cupti_push,
    .pop = cupti_pop,
    .tick = cupti_tick,
    .stop = cupti_stop,
};
