/* Measuring this machine: its memory, a disk, what its processor makes of the execution core's
 * kernels; and the result as a hardware preset.
 *
 * Everything is measured several times, and said as the median with the least and the most: other
 * programs run meanwhile. Nothing is left behind: what is written to a disk is a file that has lost
 * its name before the first byte, so that it goes with the process, however that ends.
 *
 * How each number is got stands with its function; formulas of links are those of hw/cost.h. */
#ifndef MOE_PROFILER_MEASURE_H
#define MOE_PROFILER_MEASURE_H

#include "sim/base/base.h"

#include <glib.h>

/* Repetitions whose extremes are farther apart than this share of their median are noisy. */
#define MOE_MEASURE_NOISE 0.10

typedef struct moe_spread {
    double median, low, high;
    uint32_t n; /* 0: not measured */
} moe_spread;

/* (high - low) / median. */
double moe_spread_width(const moe_spread *spread);
/* Of n >= 1 values, which are put in order. */
moe_spread moe_spread_of(double *values, uint32_t n);

/* How to measure. */
typedef struct moe_measure {
    double until;     /* when the part that is asked for should be done, see moe_measure_now */
    uint64_t memory;  /* bytes that may be taken at most */
    uint32_t threads; /* at most; 0: as many as there are processors */
    /* What is at hand, and the share of the part that is done; NULL: nobody looks on. */
    void (*progress)(void *context, const char *what, double share);
    void *context;
} moe_measure;

/* ---- for the parts ---- */

double moe_measure_now(void); /* seconds of a clock that only goes forward */
/* Calls `once` (first for nothing, to warm up) for about so many seconds, three times at least, and
 * gives the spread of what it answers. */
moe_spread moe_measure_repeat(double (*once)(void *context), void *context, double seconds);
void moe_measure_say(const moe_measure *how, const char *what, double share);
/* Seconds for the next of `n` further points. */
double moe_measure_time(const moe_measure *how, uint32_t n);
uint64_t
moe_measure_cache(void); /* bytes of the largest cache, as the system tells; 0: it does not */
uint32_t moe_measure_threads(const moe_measure *how);
/* 1, 2, 4 … and `most`; returns how many. */
#define MOE_MEASURE_STEPS 12
uint32_t moe_measure_steps(uint32_t most, uint32_t steps[MOE_MEASURE_STEPS]);

/* ---- memory ---- */

typedef struct moe_measured_memory {
    uint64_t capacity; /* bytes: of the machine, or what its control groups allow if that is less */
    uint64_t available; /* of them, when it began */
    bool limited;       /* by a control group */
    uint64_t cache;     /* the largest cache, as the system tells; 0: it does not */
    uint64_t buffer;    /* what was read */
    uint32_t n, threads[MOE_MEASURE_STEPS];
    moe_spread read[MOE_MEASURE_STEPS]; /* bytes/s */
    moe_spread copy[MOE_MEASURE_STEPS]; /* bytes/s, read and written ones both counted */
    moe_spread latency;                 /* seconds */
} moe_measured_memory;

/* Bandwidth: each thread sums (copies) a part of its own of the buffer. Latency: each load's
 * address depends on the load before it, over all lines of the buffer once; translations of
 * addresses included. */
bool moe_measure_memory(const moe_measure *how, moe_measured_memory *out, GError **error);
/* The number of threads that read fastest. */
uint32_t moe_measured_memory_best(const moe_measured_memory *memory);

/* ---- a disk ---- */

/* `depth` threads that read `request` bytes each at random places, past the page cache. */
typedef struct moe_disk_point {
    uint64_t request;
    uint32_t depth;
    moe_spread rate; /* bytes/s */
} moe_disk_point;

#define MOE_DISK_REQUESTS 7 /* 4 KiB to 16 MiB, by fours */
#define MOE_DISK_DEPTHS 6   /* 1 to 32, by twos */

/* A link's numbers, see hw/cost.h, fitted to all points. */
typedef struct moe_disk_link {
    double rate;             /* bytes/s, of many large requests */
    double latency, channel; /* seconds, bytes/s: of one request */
    double iops;             /* requests per second */
    uint64_t request;        /* with `depth` in flight: the fewest bytes in flight that were read */
    uint32_t depth;          /* within 5 % of the best rate that was seen */
    double mean, largest;    /* |predicted / measured - 1| of the rates of all points */
} moe_disk_link;

typedef struct moe_measured_disk {
    uint64_t capacity, available; /* of the file system */
    uint64_t file;                /* bytes of the file that was read */
    bool direct;                  /* past the page cache; else dropped from it before each read */
    bool in_memory;               /* the file system is: there is no disk behind it */
    moe_spread write;             /* bytes/s, one after another, until they are on the disk */
    uint32_t n;
    moe_disk_point points[MOE_DISK_REQUESTS * MOE_DISK_DEPTHS]; /* of one request together */
    moe_disk_link link;
} moe_measured_disk;

/* `folder`: where the file is made. Refuses what is no folder, and a file system that is nearly
 * full. */
bool moe_measure_disk(const moe_measure *how, const char *folder, moe_measured_disk *out,
                      GError **error);
/* Bytes of the file on a file system with so much room; 0: too little. */
uint64_t moe_measure_disk_size(uint64_t available);
/* The link of points that are there. False when there are none of one request at a time. */
bool moe_measured_disk_fit(moe_measured_disk *disk);

/* ---- experts, on the processor and on a GPU ---- */

/* The expert stage of a backend of the execution core: n experts with so many tokens each. */
typedef struct moe_expert_point {
    uint32_t tokens, experts;
    moe_spread seconds;
} moe_expert_point;

#define MOE_EXPERT_POINTS 8
typedef struct moe_measured_experts {
    uint32_t hidden, width, weight_bits;
    double params;                              /* weights of one expert */
    moe_expert_point points[MOE_EXPERT_POINTS]; /* by rising tokens; tokens 0: the end */
    /* A device's numbers, see hw/cost.h. */
    double peak;          /* FLOP/s: the best of all points */
    double stream;        /* bytes/s of weights, one token each */
    double half_rows;     /* fitted */
    double mean, largest; /* |predicted / measured - 1| of the times */
} moe_measured_experts;

typedef struct moe_measured_cpu {
    char *name;                 /* "Intel Xeon …" */
    const char *kernels, *blas; /* blas NULL: none */
    uint32_t threads;
    moe_measured_experts bf16, fp32; /* by weights */
    moe_spread launch;               /* seconds: handing work to all threads, and waiting */
} moe_measured_cpu;

/* Products of experts and hand-overs on the host's cores, as the execution core does them; `out`
 * is to be cleared. False with error. */
bool moe_measure_cpu(const moe_measure *how, moe_measured_cpu *out, GError **error);
void moe_measured_cpu_clear(moe_measured_cpu *cpu);
/* peak, stream and half_rows of the points that are there. */
void moe_measured_experts_fit(moe_measured_experts *experts);

typedef struct moe_copy_point {
    uint64_t bytes;
    moe_spread seconds;
} moe_copy_point;

#define MOE_COPY_POINTS 8
typedef struct moe_measured_gpu {
    char *name;     /* NULL: there is none, or no backend for it */
    char *absent;   /* then why */
    uint64_t bytes; /* of its memory */
    moe_measured_experts experts;
    uint32_t n_copies;
    moe_copy_point copies[MOE_COPY_POINTS]; /* from pinned memory, until the host knows */
    double rate, latency, mean, largest;    /* of a link, fitted */
} moe_measured_gpu;

/* No GPU is no error. `hidden` and `width` of the experts: 0 for what a GPU wants. */
bool moe_measure_gpu(const moe_measure *how, uint32_t hidden, uint32_t width, moe_measured_gpu *out,
                     GError **error);
void moe_measured_gpu_clear(moe_measured_gpu *gpu);
/* rate and latency of the copies that are there. */
void moe_measured_gpu_fit(moe_measured_gpu *gpu);

/* ---- the preset ---- */

/* What was measured; NULL: it was not. */
typedef struct moe_measured_machine {
    const moe_measured_memory *memory;
    const moe_measured_cpu *cpu;
    const moe_measured_disk *disk;
    const moe_measured_gpu *gpu;
} moe_measured_machine;

/* The text of a preset. Memory and processor are wanted. */
void moe_measured_preset(const moe_measured_machine *machine, const char *name, GString *out);
/* The points as rows of a measured table (profiler/measured.h). */
void moe_measured_table(const moe_measured_machine *machine, GString *out);

#endif
