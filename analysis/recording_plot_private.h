/* What the figures of a profile share. */
#ifndef MOE_ANALYSIS_RECORDING_PLOT_PRIVATE_H
#define MOE_ANALYSIS_RECORDING_PLOT_PRIVATE_H

#include "analysis/recording_plot.h"

/* A figure's data file, and the script after its terminal is set; both empty when there is nothing
 * to show. The script names the data file as `data`, a variable of gnuplot. */
typedef struct moe_figure {
    GString *data, *script;
    double width_cm, height_cm;
} moe_figure;

typedef void moe_figure_make(const moe_recording *recording, const moe_figure_config *config,
                             moe_figure *figure);

#define MOE_FIGURE_DECLARE(name, title, help)                                                      \
    void moe_figure_##name(const moe_recording *recording, const moe_figure_config *config,        \
                           moe_figure *figure);
MOE_RECORDING_FIGURES(MOE_FIGURE_DECLARE)
#undef MOE_FIGURE_DECLARE

/* Key, border, grid, and what stands at the axes. */
void moe_figure_axes(GString *script, const char *title, const char *x, const char *y);
/* " 12.5", or " NaN". */
void moe_figure_number(GString *data, double value);
/* A single-quoted text without line breaks and double quotes, for a column of the data. */
void moe_figure_label(GString *data, const char *text);

#endif
