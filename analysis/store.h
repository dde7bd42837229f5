/* The store: one SQLite file with the results of finished runs (tables: analysis/schema.h).
 *
 * Each run is written in one transaction, so that what is in the file is complete: a sweep that
 * was killed goes on where it stopped. Rows are keyed by the run's identity; what is there already
 * is never written again. Used by one thread. Errors are the environment's (MOE_ERROR_DATABASE,
 * prefixed with the path); after one, nothing of the failed transaction is in the file. */
#ifndef MOE_ANALYSIS_STORE_H
#define MOE_ANALYSIS_STORE_H

#include "analysis/frame.h"
#include "sim/core/sink.h"

#include <glib.h>

typedef struct moe_store moe_store;

typedef enum moe_store_mode {
    MOE_STORE_READ,  /* the file must exist and is not changed */
    MOE_STORE_WRITE, /* created when absent, upgraded when older */
} moe_store_mode;

/* Refuses, before anything is written: files that are not databases, other applications'
 * databases, and those of a newer moesim. Waits up to 5 s for another program's lock. */
moe_store *moe_store_open(const char *path, moe_store_mode mode, GError **error);
void moe_store_close(moe_store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_store, moe_store_close)

/* What is said of a run beside its result. Texts are borrowed for the call. */
typedef struct moe_store_run {
    const char *identity, *scenario, *path, *version, *source, *host;
    int64_t semantics;
    uint64_t seed;
    double wall_s;
    bool counterfactual;
    size_t n_swept;
    const char *const *keys, *const *values;
} moe_store_run;

/* Whether the run is in the store. */
bool moe_store_has(moe_store *store, const char *identity, bool *has, GError **error);
/* Whether `table` has rows of the run: a stored run may lack details that are asked for now. */
bool moe_store_has_rows(moe_store *store, const char *table, const char *identity, bool *has,
                        GError **error);
/* Keeps a scenario's text, and what the command line changed, for the runs made from it; `hash` (of
 * both) is what these name as their source. */
bool moe_store_add_source(moe_store *store, const char *hash, const char *overrides,
                          const char *text, GError **error);
/* Writes a finished run; a run that another program has stored meanwhile is left as it is. */
bool moe_store_add(moe_store *store, const moe_store_run *run, const moe_result *result,
                   GError **error);
/* Adds swept keys of runs that are in the store, where the scenario that stored them had not swept
 * these keys. */
bool moe_store_add_keys(moe_store *store, const moe_frame *frame, GError **error);

/* One metric of one run; NAN where the database has NULL. */
typedef struct moe_measure {
    double value, contention_free, perfect_cache, roofline;
} moe_measure;

/* NAN in every field when the run or the metric is not there. */
bool moe_store_measure(moe_store *store, const char *identity, const char *metric,
                       moe_measure *measure, GError **error);
/* Whether the run's routing was transformed; false when the run is not there. */
bool moe_store_counterfactual(moe_store *store, const char *identity, bool *is, GError **error);
/* The unit under which a metric was stored, and all metrics there are, sorted; yours to free. */
bool moe_store_unit(moe_store *store, const char *metric, char **unit, GError **error);
char **moe_store_metrics(moe_store *store, GError **error);

typedef void moe_store_blame_row(void *context, const char *kind, const char *cause, int64_t ps);
/* The run's blame summed over devices, ordered by kind and cause. */
bool moe_store_blame(moe_store *store, const char *identity, moe_store_blame_row *row,
                     void *context, GError **error);

/* All runs with their swept keys, ordered by the values of these; yours. */
moe_frame *moe_store_frame(moe_store *store, GError **error);

/* One line of the table `expectation`; got NAN: not evaluated. */
typedef struct moe_store_expectation {
    int number, pair;
    const char *metric, *of, *over, *agg, *bound, *verdict, *basis, *source, *note;
    double expected, within, got;
} moe_store_expectation;

/* Replaces all expectations of `scenario` by these. */
bool moe_store_set_expectations(moe_store *store, const char *scenario,
                                const moe_store_expectation *rows, size_t n, GError **error);

/* A value measured of a trace; layer -1: of the whole model; low and high NAN: no interval. */
typedef struct moe_store_statistic {
    const char *statistic, *parameter, *unit;
    int64_t layer;
    double value, low, high;
} moe_store_statistic;

/* Replaces all that the store has of `trace` and `selection` (of its sequences, and how they were
 * measured) by these. */
bool moe_store_set_statistics(moe_store *store, const char *trace, const char *selection,
                              const moe_store_statistic *rows, size_t n, GError **error);

/* A measured row and its prediction; NAN where there is none. `fit`: what was fitted before. */
typedef struct moe_store_validated {
    const char *machine, *kernels, *fit, *family, *file, *kernel, *kind, *shape, *bound, *odd;
    int64_t line, merged;
    double measured_us, predicted_us, roofline_us;
    bool fitted;
} moe_store_validated;

/* The errors of the rows of a family in a regime. */
typedef struct moe_store_error {
    const char *machine, *kernels, *fit, *family, *dimension, *label;
    int64_t rows;
    double mean, median, p90, bias, roofline;
} moe_store_error;

/* Puts these in the place of what the store has of their families. */
bool moe_store_set_validation(moe_store *store, const moe_store_validated *rows, size_t n,
                              const moe_store_error *errors, size_t n_errors, GError **error);

#endif
