/* Calibration: the numbers of the cost functions (hw/cost.h) fitted to measured rows, kind by kind,
 * and how well they foretell rows that were kept back.
 *
 * Rows with equal shapes, tokens, mode and source are merged to their median. A fifth of the shapes
 * (of the sizes, for copies and streams; of the layers, for profiles) is held back by a hash of the
 * shape, whole shapes with all of their rows: neither the order of the rows nor the files' names
 * matter. Fits are robust least squares of ln(predicted / measured). A number that the rows do not
 * determine (no row depends on it, or not apart from others) keeps the base's value, and says so.
 *
 * A table's launches also tell what measuring adds to a call (the time of no kernel at all): it is
 * fitted with them, taken off the other rows of the same source, and no part of the machine.
 *
 * In this order, each with what came before: launches; streams; products; experts; attention;
 * copies, link by link. */
#ifndef MOE_PROFILER_CALIBRATE_H
#define MOE_PROFILER_CALIBRATE_H

#include "hw/hardware.h"
#include "profiler/measured.h"

/* How a number is written. */
typedef enum moe_number {
    MOE_NUMBER_SHARE,
    MOE_NUMBER_REAL,
    MOE_NUMBER_WHOLE,
    MOE_NUMBER_TIME, /* picoseconds */
    MOE_NUMBER_SPAN, /* the same, of something that a row does many times */
    MOE_NUMBER_RATE, /* bytes per second */
} moe_number;

/* One number of the machine, and what became of it. */
typedef struct moe_calibrated {
    const char *key; /* "devices.0.expert_efficiency" */
    int kind;        /* of the rows that it is fitted to */
    moe_number number;
    double base, value; /* the same unless fitted */
    bool fitted;
    const char *remark; /* why it was kept, or that it is at the end of its range; "" */
} moe_calibrated;

/* A merged row and its prediction by the fitted machine. */
typedef struct moe_calibrated_row {
    const moe_measured_row *row; /* of the table; time_us is that of the median */
    double measured_us, predicted_us, base_us;
    uint32_t merged;       /* how many rows it stands for */
    bool held, odd;        /* odd: far outside of what the others of its kind show */
    const char *set_aside; /* why it is neither fitted nor counted; "" */
} moe_calibrated_row;

/* Which rows are fitted; the others tell how well they are foretold. */
typedef enum moe_fit_rows {
    MOE_FIT_SHAPES, /* `keep` of `of` shapes of each regime, by a hash of the shape */
    MOE_FIT_RANKS,  /* of collectives those of fewer than `ranks`; of others all */
    MOE_FIT_ALL,
    MOE_FIT_NONE,
} moe_fit_rows;
typedef struct moe_fit_choice {
    moe_fit_rows rows;
    int64_t keep, of, ranks;
} moe_fit_choice;
/* "4of5", "ranks<8", "all", "none"; false: it is none of them. */
bool moe_fit_choice_parse(const char *text, moe_fit_choice *out);

typedef struct moe_calibrated_error {
    size_t rows;
    double mean, largest; /* of |predicted / measured - 1| */
    double base_mean;     /* the same mean of the base's predictions */
} moe_calibrated_error;

typedef struct moe_calibrated_kind {
    size_t rows, merged, shapes, held_shapes, odd, unusable;
    moe_calibrated_error fitted, held, typical; /* typical: all but the odd ones */
    const char *remark;                         /* why nothing was fitted; "" */
} moe_calibrated_kind;

typedef struct moe_calibration moe_calibration;

/* `kernels`: the library in the place of the base's, NULL: that; rows of its kernels are fitted to
 * its numbers. NULL after messages: rows of several devices, nothing that could be fitted, times of
 * another unit. `base`, `kernels` and `table` must outlive the calibration. */
moe_calibration *moe_calibrate(const moe_measured *table, const moe_hardware_set *base,
                               const moe_kernels_set *kernels, moe_diag *diag);
void moe_calibration_free(moe_calibration *calibration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_calibration, moe_calibration_free)

const moe_calibrated *moe_calibration_numbers(const moe_calibration *calibration, size_t *n);
const moe_calibrated_kind *moe_calibration_kind(const moe_calibration *calibration, int kind);
/* Sorted by kind, then by shape. */
const moe_calibrated_row *moe_calibration_rows(const moe_calibration *calibration, size_t *n);
/* "62.3%", "2.5us": yours. */
char *moe_calibrated_text(moe_number number, double value);
/* The machine as a preset: fitted numbers with the files they came from, everything else as the
 * base has it. False after messages when it would not load. */
bool moe_calibration_preset(const moe_calibration *calibration, const char *name, GString *out,
                            moe_diag *diag);
/* The same of the kernel library, when one was given. */
bool moe_calibration_library(const moe_calibration *calibration, const char *name, GString *out,
                             moe_diag *diag);

#endif
