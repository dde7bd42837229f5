/* Figures: sweeps drawn by gnuplot, which is called as a program. Data (.dat) and script (.gp) stay
 * beside the figure, so that it can be redrawn by hand.
 *
 *   plot:
 *     - {x: experts.cache.capacity, y: decode_tokens_per_s, series: experts.cache.evict,
 *        file: [capacity.pdf, capacity.png]}
 *     - {kind: blame, x: experts.cache.evict, file: blame.pdf}
 *
 * Values of `x` that are quantities of one kind give lines, names give clustered bars; blame gives
 * a stack of the shares of wall time. Swept keys that are neither x nor series become part of the
 * series, but for the seed: runs that differ in it are one point with its range. */
#ifndef MOE_ANALYSIS_PLOT_H
#define MOE_ANALYSIS_PLOT_H

#include "analysis/section.h"
#include "analysis/store.h"

typedef struct moe_plots moe_plots;

/* The keys of one figure, for help, schema and reference. */
const moe_param_table *moe_plot_table(void);

/* Reads a `plot` section (NULL: no figures). `stem` names figures that have no `file`. */
moe_plots *moe_plot_read(const moe_yaml *section, const char *stem, const moe_section_view *view,
                         moe_diag *diag);
void moe_plot_free(moe_plots *plots);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_plots, moe_plot_free)
/* Names the figures for a database other than the scenario's own, so that results of two databases
 * do not overwrite each other: below other.db (`stem` is not "other") capacity.pdf becomes
 * other-capacity.pdf. Called once. */
void moe_plot_name_after(moe_plots *plots, const char *database, const char *stem);
size_t moe_plot_count(const moe_plots *plots);
/* Metric names drawn, for tables: of figure i, NULL for blame. */
const char *moe_plot_metric(const moe_plots *plots, size_t i);

/* Whether gnuplot is in the path; else sets *error. */
bool moe_plot_possible(GError **error);
/* Draws figure i below `folder` (made when absent); one line per file written is appended to
 * `report`, also for figures left out because no run of theirs is there. */
bool moe_plot_draw(const moe_plots *plots, size_t i, moe_store *store, const char *folder,
                   GString *report, GError **error);

#endif
