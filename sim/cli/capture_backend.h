/* Inside moesim capture: the backend that its options name. */
#ifndef MOE_CLI_CAPTURE_BACKEND_H
#define MOE_CLI_CAPTURE_BACKEND_H

#include "sim/cli/capture.h"

/* In the order of the options' choices. */
enum { MOE_CLI_BACKEND_CPU, MOE_CLI_BACKEND_CUDA, MOE_CLI_BACKEND_AUTO };
enum { MOE_CLI_HOME_DISK, MOE_CLI_HOME_DRAM };
enum { MOE_CLI_GROUPED_OWN, MOE_CLI_GROUPED_CUBLAS };

/* Whether the options fit together; the exit code after a message. */
int moe_capture_backend_usage(const moe_capture_values *values);
/* Opens the device, or says why there is none and goes on without where that is allowed. */
int moe_capture_backend_open(moe_capture_job *job);
void moe_capture_backend_close(moe_capture_job *job);
/* Where offloaded experts are kept; NULL: in memory. */
const moe_expert_cache *moe_capture_backend_slots(const moe_capture_job *job);
/* What the trace says computed it; yours. */
char *moe_capture_backend_engine(const moe_capture_job *job);

#endif
