/* Validation: measured rows foretold by cost functions, and by how much they are off, regime by
 * regime.
 *
 * Rows are taken apart by the machine that their device is (a preset, found by the name that tables
 * give it) and by the kernel library of their framework. Repeated rows are merged to their median;
 * rows that are known to be odd are set aside, and counted apart. Where a fit is asked for, the
 * numbers of the machine and of the library are first fitted to the chosen rows
 * (profiler/calibrate.h), all others are foretold; without it, everything is. */
#ifndef MOE_PROFILER_VALIDATE_H
#define MOE_PROFILER_VALIDATE_H

#include "profiler/calibrate.h"

typedef enum moe_bound { MOE_BOUND_FIXED, MOE_BOUND_MEMORY, MOE_BOUND_COMPUTE } moe_bound;

typedef struct moe_validated_row {
    const moe_measured_row *row;
    double measured_us, predicted_us; /* predicted 0: nothing foretells such a row */
    double roofline_us;               /* at the device's peaks; 0: not known */
    uint32_t merged;                  /* rows that it stands for */
    uint32_t group;                   /* index */
    bool fitted;                      /* the fit saw it */
    bool cached;                      /* what it reads may stay in the device's cache */
    const char *odd;                  /* why it is set aside; "" */
    const char *family;               /* the name of its family, the validation's */
    const char *library,
        *kernel;     /* that foretell it; "": the machine's own numbers, or no kernel */
    bool of_type;    /* false: no library has a kernel of its dtype, the nearest is taken */
    moe_bound bound; /* what the cost function says takes most of its time */
} moe_validated_row;

/* Rows of one machine and one library. */
typedef struct moe_validated_group {
    char *preset, *kernels; /* names; kernels "": the general one, or the machine's own */
    char **strangers;       /* what it stands for without having it: "'NVIDIA L2'" */
    moe_calibration *fit;   /* what was fitted; never NULL */
} moe_validated_group;

typedef struct moe_validate_options {
    const char *device, *kernels;                  /* NULL: by the rows' device and framework */
    moe_fit_choice fit;                            /* MOE_FIT_NONE: nothing is fitted */
    void (*progress)(void *context, double share); /* of the work that is done; may be NULL */
    void *context;
} moe_validate_options;

typedef struct moe_validation moe_validation;

/* NULL after messages, or with `error`. The table must outlive it. */
moe_validation *moe_validate(const moe_measured *table, const moe_validate_options *options,
                             moe_diag *diag, GError **error);
void moe_validation_free(moe_validation *validation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_validation, moe_validation_free)

/* Sorted by group, then by kind and shape. */
const moe_validated_row *moe_validation_rows(const moe_validation *validation, size_t *n);
const moe_validated_group *moe_validation_groups(const moe_validation *validation, size_t *n);

/* ---- scores ---- */

/* Of |predicted / measured - 1|, over rows that are foretold. */
typedef struct moe_score {
    size_t rows;
    double mean, median, p90; /* of the absolute errors */
    double bias;              /* mean of predicted / measured - 1 */
    double roofline;          /* mean absolute error of the roofline; < 0: not known */
} moe_score;

/* What routing does to a row, against a balanced one of the same shape: pairs whose effect is above
 * 3 %, and those of them where it is foretold with the right sign. */
typedef struct moe_sign {
    size_t pairs, right;
} moe_sign;

/* Rows of one kind, phase, framework and dtype on one machine. */
typedef struct moe_family {
    char *name;                   /* "experts vllm 0.24.0 bf16" */
    const char *preset, *kernels; /* of its group */
    int kind;                     /* of its rows */
    moe_score all, odd;           /* without the rows that are set aside, and with them */
    moe_score fitted, held;       /* of `all` */
    size_t aside, silent;         /* rows that are set aside; that nothing foretells */
    moe_sign sign;
    GArray *regimes; /* moe_regime */
} moe_family;

typedef struct moe_regime {
    const char *dimension; /* "bound", "routing", "size", "ranks", "kernel" */
    const char *label;     /* the validation's */
    moe_score score;       /* of rows that no fit saw, where there are such */
} moe_regime;

/* Sorted by machine, kind and name; n of them. */
const moe_family *moe_validation_families(const moe_validation *validation, size_t *n);
const char *moe_bound_name(moe_bound bound); /* "memory" */
/* How far off: the larger of predicted over measured and its inverse; 0: not foretold. */
double moe_validated_off(const moe_validated_row *row);

/* ---- machines and libraries by the names in tables ---- */

/* All machines of ours, read once. */
typedef struct moe_machines moe_machines;
moe_machines *moe_machines_load(void);
void moe_machines_free(moe_machines *machines);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_machines, moe_machines_free)
/* The preset for a device as tables call it ("NVIDIA H100 80GB HBM3", "h100_sxm"): of those whose
 * accelerator or whose own name has its model number the one most like it, servers first; with
 * `network`, of those that say what connects their accelerators, of cards without a switch those
 * that talk through the host. NULL: none. */
const char *moe_machines_find(const moe_machines *machines, const char *device, bool network);
/* Whether a preset has the device: by a name that it says, or as the same accelerator as one that
 * does. */
bool moe_machines_has(const moe_machines *machines, const char *preset, const char *device);
/* The kernel libraries of a framework, that of the version first, then the others, the newest
 * first. */
char **moe_framework_libraries(const char *framework, const char *version);

#endif
