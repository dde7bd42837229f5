/* What `moesim probe` says of each part. */
#ifndef MOE_CLI_PROBE_REPORT_H
#define MOE_CLI_PROBE_REPORT_H

#include "profiler/measure.h"

void moe_probe_print_memory(const moe_measured_memory *memory);
void moe_probe_print_cpu(const moe_measured_cpu *cpu);
void moe_probe_print_gpu(const moe_measured_gpu *gpu);
void moe_probe_print_disk(const moe_measured_disk *disk);

#endif
