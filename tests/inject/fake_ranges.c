/* The range profiler of the fake CUPTI: it insists on the order of calls, makes one of ranges of
 * one name as the real one does, and its values are known: metric m of the i-th range of the
 * process is 100 i + m. Behaviour by environment:
 *
 * FAKE_PASSES      passes that the metrics take together (1)
 * FAKE_DENIED      the result of cuptiRangeProfilerEnable
 * FAKE_DROPPED     ranges that every decoding says it has dropped */
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = 4096, MOST_RANGES = 4096, MOST_METRICS = 64 };

static struct {
    bool initialised, enabled, image, configured, running, inside, known, decoded;
    size_t n_metrics, n_ranges, first, most;
    char names[MOST_RANGES][64];
} fake;

static size_t
number(const char *variable, size_t otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? strtoul(value, NULL, 10) : otherwise;
}

/* A call at the wrong time, or with a wrong struct, ends the program. */
static CUptiResult
expect(bool condition, const char *call)
{
    if (condition)
        return CUPTI_SUCCESS;
    fprintf(stderr, "fake CUPTI: %s: not now, or not so\n", call);
    abort();
}
#define EXPECT(condition) expect(condition, __func__)
#define SIZED(params, type) ((params)->structSize == type##_STRUCT_SIZE)

CUptiResult
cuptiProfilerInitialize(CUpti_Profiler_Initialize_Params *p)
{
    fake.initialised = true;
    return EXPECT(SIZED(p, CUpti_Profiler_Initialize_Params));
}

CUptiResult
cuptiProfilerGetCounterAvailability(CUpti_Profiler_GetCounterAvailability_Params *p)
{
    p->counterAvailabilityImageSize = 16;
    if (p->pCounterAvailabilityImage != NULL)
        memset(p->pCounterAvailabilityImage, 0xA5, 16);
    return EXPECT(fake.initialised && p->ctx != NULL);
}

CUptiResult
cuptiDeviceGetChipName(CUpti_Device_GetChipName_Params *p)
{
    p->pChipName = "GH100";
    return EXPECT(p->deviceIndex == 0);
}

CUptiResult
cuptiProfilerHostInitialize(CUpti_Profiler_Host_Initialize_Params *p)
{
    p->pHostObject = (CUpti_Profiler_Host_Object *)&fake;
    return EXPECT(strcmp(p->pChipName, "GH100") == 0 && p->pCounterAvailabilityImage[15] == 0xA5);
}

CUptiResult
cuptiProfilerHostDeinitialize(CUpti_Profiler_Host_Deinitialize_Params *p)
{
    return EXPECT(p->pHostObject == (CUpti_Profiler_Host_Object *)&fake);
}

CUptiResult
cuptiProfilerHostConfigAddMetrics(CUpti_Profiler_Host_ConfigAddMetrics_Params *p)
{
    fake.n_metrics = p->numMetrics;
    return strcmp(p->ppMetricNames[0], "unknown.sum") == 0 ? CUPTI_ERROR_INVALID_PARAMETER
                                                           : EXPECT(p->numMetrics <= MOST_METRICS);
}

CUptiResult
cuptiProfilerHostGetConfigImageSize(CUpti_Profiler_Host_GetConfigImageSize_Params *p)
{
    p->configImageSize = 32;
    return EXPECT(fake.n_metrics > 0);
}

CUptiResult
cuptiProfilerHostGetConfigImage(CUpti_Profiler_Host_GetConfigImage_Params *p)
{
    memset(p->pConfigImage, 0x5A, p->configImageSize);
    return EXPECT(p->configImageSize == 32);
}

CUptiResult
cuptiProfilerHostGetNumOfPasses(CUpti_Profiler_Host_GetNumOfPasses_Params *p)
{
    p->numOfPasses = number("FAKE_PASSES", 1);
    return EXPECT(p->pConfigImage[31] == 0x5A);
}

CUptiResult
cuptiRangeProfilerEnable(CUpti_RangeProfiler_Enable_Params *p)
{
    if (number("FAKE_DENIED", 0) != 0)
        return (CUptiResult)number("FAKE_DENIED", 0);
    fake.enabled = true;
    p->pRangeProfilerObject = (CUpti_RangeProfiler_Object *)&fake;
    return EXPECT(p->ctx != NULL);
}

CUptiResult
cuptiRangeProfilerDisable(CUpti_RangeProfiler_Disable_Params *p)
{
    (void)p;
    return EXPECT(fake.enabled && !fake.running);
}

CUptiResult
cuptiRangeProfilerGetCounterDataSize(CUpti_RangeProfiler_GetCounterDataSize_Params *p)
{
    p->counterDataSize = IMAGE;
    fake.most = p->maxNumOfRanges;
    return EXPECT(p->numMetrics == fake.n_metrics && p->maxNumRangeTreeNodes >= p->maxNumOfRanges);
}

CUptiResult
cuptiRangeProfilerCounterDataImageInitialize(
    CUpti_RangeProfiler_CounterDataImage_Initialize_Params *p)
{
    fake.image = true;
    fake.first += fake.n_ranges;
    fake.n_ranges = 0;
    return EXPECT(p->counterDataSize == IMAGE && p->pCounterData != NULL && !fake.running);
}

CUptiResult
cuptiRangeProfilerSetConfig(CUpti_RangeProfiler_SetConfig_Params *p)
{
    fake.configured = true;
    return EXPECT(fake.image && !fake.running && p->range == CUPTI_UserRange &&
                  p->replayMode == CUPTI_UserReplay && p->passIndex == 0 &&
                  p->maxRangesPerPass == fake.most && p->pConfig[31] == 0x5A);
}

CUptiResult
cuptiRangeProfilerStart(CUpti_RangeProfiler_Start_Params *p)
{
    (void)p;
    CUptiResult result = EXPECT(fake.configured && !fake.running);
    fake.running = true;
    return result;
}

CUptiResult
cuptiRangeProfilerStop(CUpti_RangeProfiler_Stop_Params *p)
{
    CUptiResult result = EXPECT(fake.running && !fake.inside);
    fake.running = fake.configured = false;
    p->isAllPassSubmitted = 1;
    return result;
}

CUptiResult
cuptiRangeProfilerPushRange(CUpti_RangeProfiler_PushRange_Params *p)
{
    CUptiResult result = EXPECT(fake.running && !fake.inside && fake.n_ranges < fake.most);
    fake.inside = fake.known = true;
    for (size_t i = 0; i < fake.n_ranges; i++)
        if (strcmp(fake.names[i], p->pRangeName) == 0)
            return result;
    fake.known = false;
    snprintf(fake.names[fake.n_ranges], sizeof fake.names[0], "%s", p->pRangeName);
    return result;
}

CUptiResult
cuptiRangeProfilerPopRange(CUpti_RangeProfiler_PopRange_Params *p)
{
    (void)p;
    CUptiResult result = EXPECT(fake.running && fake.inside);
    fake.n_ranges += !fake.known;
    fake.inside = false;
    return result;
}

CUptiResult
cuptiRangeProfilerDecodeData(CUpti_RangeProfiler_DecodeData_Params *p)
{
    fake.decoded = true;
    p->numOfRangeDropped = number("FAKE_DROPPED", 0);
    return EXPECT(!fake.running);
}

CUptiResult
cuptiRangeProfilerGetCounterDataInfo(CUpti_RangeProfiler_GetCounterDataInfo_Params *p)
{
    p->numTotalRanges = fake.n_ranges;
    return EXPECT(fake.decoded && p->counterDataImageSize == IMAGE);
}

CUptiResult
cuptiRangeProfilerCounterDataGetRangeInfo(CUpti_RangeProfiler_CounterData_GetRangeInfo_Params *p)
{
    CUptiResult result = EXPECT(p->rangeIndex < fake.n_ranges && p->rangeDelimiter != NULL);
    p->rangeName = fake.names[p->rangeIndex];
    return result;
}

CUptiResult
cuptiProfilerHostEvaluateToGpuValues(CUpti_Profiler_Host_EvaluateToGpuValues_Params *p)
{
    for (size_t m = 0; m < p->numMetrics; m++)
        p->pMetricValues[m] = 100.0 * (double)(fake.first + p->rangeIndex) + (double)m;
    return EXPECT(p->numMetrics == fake.n_metrics && p->rangeIndex < fake.n_ranges);
}
