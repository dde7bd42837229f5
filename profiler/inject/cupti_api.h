/* CUPTI, loaded at run time: the entry points that the injector uses. */
#ifndef MOE_PROFILER_INJECT_CUPTI_API_H
#define MOE_PROFILER_INJECT_CUPTI_API_H

#include <cupti.h>
#include <stdbool.h>

/* X(name, required): what is not required may be NULL, and something is done without it. */
#define MOE_CUPTI_FUNCTIONS(X)                                                                     \
    X(cuptiGetVersion, true)                                                                       \
    X(cuptiActivityRegisterCallbacks, true)                                                        \
    X(cuptiActivityEnable, true)                                                                   \
    X(cuptiActivityDisable, true)                                                                  \
    X(cuptiActivityFlushAll, true)                                                                 \
    X(cuptiSubscribe, false)                                                                       \
    X(cuptiEnableCallback, false)                                                                  \
    X(cuptiGetResultString, false)                                                                 \
    X(cuptiActivityRegisterTimestampCallback, false)                                               \
    X(cuptiActivitySetAttribute, false)                                                            \
    X(cuptiActivityEnableRuntimeApi, false)                                                        \
    X(cuptiActivityEnableDriverApi, false)                                                         \
    X(cuptiActivityGetNextRecord, false)                                                           \
    X(cuptiActivityGetNumDroppedRecords, false)                                                    \
    X(cuptiActivityPushExternalCorrelationId, false)                                               \
    X(cuptiActivityPopExternalCorrelationId, false)                                                \
    X(cuptiSetThreadIdType, false)                                                                 \
    X(cuptiGetGraphNodeId, false)

/* Parameters of cuptiSubscribe_v2, which headers of CUDA 12 do not have. */
typedef struct moe_cupti_subscriber {
    size_t struct_size;
    const char *name;
    char *holder; /* receives who has CUPTI */
    size_t holder_room;
} moe_cupti_subscriber;

#define MOE_CUPTI_POINTER(name, required) __typeof__(&name) name;
typedef struct moe_cupti_api {
    MOE_CUPTI_FUNCTIONS(MOE_CUPTI_POINTER)
    CUptiResult (*cuptiSubscribe_v2)(CUpti_SubscriberHandle *, CUpti_CallbackFunc, void *,
                                     moe_cupti_subscriber *);
    uint32_t version; /* of the loaded library; 0: none is used */
} moe_cupti_api;
#undef MOE_CUPTI_POINTER

extern moe_cupti_api moe_cupti;

/* Loads the library that the process has already, else the one that `path` names, else the one that
 * belongs to the program's runtime, else what the system finds; once. False: said why. */
bool moe_cupti_load(const char *path);
/* Says so when the process has more than one by now; once. */
void moe_cupti_count(void);
/* The words for a result. */
const char *moe_cupti_words(CUptiResult result);

#endif
