/* moesim capture --offload: experts stay on disk. */
#ifndef MOE_CLI_CAPTURE_OFFLOAD_H
#define MOE_CLI_CAPTURE_OFFLOAD_H

#include "sim/cli/capture.h"

/* Whether the options fit together; the exit code after a message. */
int moe_capture_offload_usage(const moe_capture_values *values);
/* Opens what the options ask for and makes it the source of the job's experts. */
int moe_capture_offload_open(moe_capture_job *job);
/* After the last step: completes the log and prints the counts; the exit code. */
int moe_capture_offload_report(const moe_capture_job *job);
void moe_capture_offload_close(moe_capture_job *job);

#endif
