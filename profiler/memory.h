/* What is left of the machine's memory, for those who would take much of it: an allocation beyond
 * that succeeds and is killed when it is filled. Control groups (containers, batch systems) may
 * leave less than the machine has. */
#ifndef MOE_PROFILER_MEMORY_H
#define MOE_PROFILER_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes; UINT64_MAX when the system does not say. Page cache that can be dropped counts as
 * available. */
uint64_t moe_memory_available(void);
/* Bytes that there are, to this process: of the machine, or of its control groups if that is less
 * (*limited). UINT64_MAX when the system does not say. */
uint64_t moe_memory_total(bool *limited);

/* The least of the limits of the groups that `membership` (the text of /proc/self/cgroup) names,
 * below `root` (/sys/fs/cgroup), and of what is left of each; UINT64_MAX: none. */
typedef struct moe_memory_group {
    uint64_t limit, left;
} moe_memory_group;
moe_memory_group moe_memory_of_groups(const char *membership, const char *root);

#endif
