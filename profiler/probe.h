/* What this machine can record: driver, device, CUPTI and who holds it, permissions.
 *
 * Drivers and CUPTI are foreign code that may crash or hang, so that they are asked in a process of
 * their own: moe_probe_here, printed by `moesim capture --probe`, is read by moe_probe_read. */
#ifndef MOE_PROFILER_PROBE_H
#define MOE_PROFILER_PROBE_H

#include "sim/base/base.h"

#include <glib.h>

/* Loads libcuda.so.1 and libcupti, asks them, and appends lines KEY=VALUE (the names below). Loads
 * no injection library. */
void moe_probe_here(GString *out);

typedef enum moe_probe_driver {
    MOE_DRIVER_ABSENT, /* no libcuda.so.1 */
    MOE_DRIVER_STUB,   /* the toolkit's stand-in for linking */
    MOE_DRIVER_FAILED, /* cuInit failed */
    MOE_DRIVER_NO_DEVICE,
    MOE_DRIVER_OK,
} moe_probe_driver;

typedef struct moe_probe {
    moe_probe_driver driver;
    int cuda_error;     /* of cuInit */
    int driver_version; /* CUDA's, as 13000; 0: unknown */
    int devices;
    char *device;      /* "NVIDIA H100, sm_90, 80 GB" of the first; NULL */
    char *driver_says; /* why it was not loaded; NULL */
    char *cupti;       /* path; NULL: not found */
    int cupti_version; /* cuptiGetVersion: 130001, or 18 … 28 before CUDA 13; 0: unknown */
    int subscribe;     /* cuptiSubscribe's result; -1: not asked */
    char *subscriber;  /* who holds CUPTI; NULL: nobody */
} moe_probe;

/* Lines that are not understood are left out; texts become plain. */
moe_probe *moe_probe_read(const char *text);
void moe_probe_free(moe_probe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_probe, moe_probe_free)

/* The CUDA version, as 13000, that a CUPTI of that version belongs to; before 13 the major one. */
int moe_probe_cuda_of_cupti(const moe_probe *probe);
/* Why kernels cannot be recorded, as a code of profile.h's table; NULL: they can. */
const char *moe_probe_obstacle(const moe_probe *probe);
/* What is said about it: yours. */
char *moe_probe_explain(const moe_probe *probe);

typedef enum moe_probe_counters {
    MOE_COUNTERS_UNKNOWN, /* no such file: no driver */
    MOE_COUNTERS_OPEN,    /* for everyone */
    MOE_COUNTERS_ADMIN,   /* for the administrator, who we are */
    MOE_COUNTERS_FORBIDDEN,
} moe_probe_counters;
/* From the text of /proc/driver/nvidia/params (NULL: absent). */
moe_probe_counters moe_probe_permission(const char *params, bool privileged);

#endif
