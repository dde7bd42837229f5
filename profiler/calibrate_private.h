/* The parts of a calibration. Private to profiler/calibrate*.c. */
#ifndef MOE_PROFILER_CALIBRATE_PRIVATE_H
#define MOE_PROFILER_CALIBRATE_PRIVATE_H

#include "profiler/calibrate.h"
#include "profiler/predict.h"

/* Whose number: of a kernel in one of a library's lists, or (none) of the machine. */
typedef enum moe_family_of_kernels {
    MOE_FAMILY_NONE,
    MOE_FAMILY_GEMM,
    MOE_FAMILY_EXPERTS,
    MOE_FAMILY_ATTENTION,
} moe_family_of_kernels;

/* Where a number is in a candidate. */
typedef struct moe_tunable {
    char *key;
    int kind;
    moe_number number;
    bool of_link, of_level, of_engine;
    bool of_call;  /* of measuring, not of the machine: no preset has it */
    int family;    /* moe_family_of_kernels */
    int index;     /* device, link, level, engine or kernel */
    size_t offset; /* double, or int64_t picoseconds of times */
    size_t other;  /* where the number is used instead while this one is unset, 0: nowhere */
    double low, high, start; /* start: instead of a base of 0 */
} moe_tunable;

struct moe_calibration {
    const moe_measured *table;
    const moe_hardware_set *base;
    const moe_kernels_set *kernels; /* library in the place of the base's; NULL: that */
    moe_candidate before, after;
    void (*progress)(void *context, double share); /* may be NULL */
    void *context;
    GArray *rows;    /* moe_calibrated_row */
    GArray *numbers; /* moe_calibrated */
    GArray *tunable; /* moe_tunable, as many */
    moe_calibrated_kind kinds[MOE_MEASURED_KINDS];
    size_t first[MOE_MEASURED_KINDS + 1]; /* of each kind's rows */
};

/* The number that a tunable stands for, in the candidate's machine or library; in its own unit. */
double moe_tunable_get(const moe_tunable *tunable, const moe_candidate *candidate);
void moe_tunable_set(const moe_tunable *tunable, moe_candidate *candidate, double value);
/* All numbers that rows can say something about. */
void moe_tunable_list(GArray *tunable, const moe_candidate *candidate);
void moe_tunable_list_kernels(GArray *tunable, const moe_candidate *candidate);
/* The kernel that a family's number is in. */
void *moe_candidate_kernel(const moe_candidate *candidate, int family, int index);
void moe_tunable_list_network(GArray *tunable, const moe_candidate *candidate);

/* Numbers that are fitted together, by the rows of a kind that are wanted. `part`: the link, level
 * or engine of the machine that they belong to; -1: its first device. */
#define MOE_PLAN_NUMBERS 8
typedef struct moe_fit_plan {
    int kind;
    bool (*wanted)(const moe_candidate *machine, const moe_measured_row *row,
                   int part); /* NULL: all */
    const char *numbers[MOE_PLAN_NUMBERS];
    const char *owner; /* "network", "engines"; NULL: links and devices */
} moe_fit_plan;
/* Plans of a network's levels, in the order in which they build on each other. */
typedef struct moe_network_plan {
    enum { MOE_PLAN_INNER, MOE_PLAN_OUTER, MOE_PLAN_ENGINES } of; /* levels; each engine */
    moe_fit_plan plan;
} moe_network_plan;
extern const moe_network_plan moe_network_plans[];
extern const size_t moe_n_network_plans;

/* Takes n of the table's rows: sorted, merged, held back; counts in kinds. The array is put in
 * order. */
void moe_calibrate_rows(moe_calibration *c, const moe_measured_row **rows, size_t n,
                        const moe_fit_choice *choice, moe_diag *diag);
/* The rows of a machine with its libraries (moe_candidate_init), the chosen ones fitted: for
 * validation, which wants no message where nothing can be. */
moe_calibration *moe_calibrate_chosen(const moe_measured *table, const moe_hardware_set *base,
                                      const moe_kernels *kernels, const moe_kernels *second,
                                      const moe_measured_row **rows, size_t n,
                                      const moe_fit_choice *choice,
                                      void (*progress)(void *context, double share), void *context,
                                      moe_diag *diag);
/* Remark of a library's numbers that the rows would not come closer to by any others. */
extern const char moe_calibrate_as_well[];
/* Fits all numbers: c->after, and what is said of each in c->numbers. */
void moe_calibrate_fit(moe_calibration *c);
/* Whether a row is foretold by a kernel of the library. */
bool moe_calibrate_of_library(const moe_calibration *c, const moe_measured_row *row);
/* The same of the library's kernels, each by the rows that are of it. */
void moe_calibrate_fit_kernels(moe_calibration *c);

#endif
