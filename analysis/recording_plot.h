/* Figures of a profile, drawn by gnuplot as the others are (analysis/plot.h): for each one
 * NAME.dat, NAME.gp, NAME.pdf and NAME.png. */
#ifndef MOE_ANALYSIS_RECORDING_PLOT_H
#define MOE_ANALYSIS_RECORDING_PLOT_H

#include "analysis/recording.h"

/* X(name, title, what it shows) */
#define MOE_RECORDING_FIGURES(X)                                                                   \
    X(stages, "Time by layer and stage", "time of each layer, stacked by stage")                   \
    X(split, "What the device did", "shares of computing, copying and idling, by phase")           \
    X(gaps, "Idle time between kernels", "idle time by the length of its gaps, and their cause")   \
    X(experts, "Time of the experts", "expert time against distinct experts and against tokens")   \
    X(copies, "Copies", "rate of copies against their size, by direction and memory")

typedef struct moe_figure_info {
    const char *name, *title, *help;
} moe_figure_info;

const moe_figure_info *moe_recording_figures(size_t *n);

typedef struct moe_figure_config {
    const char *folder;               /* made when absent */
    const char *prefix;               /* of the files' names; "" */
    double expert_bytes, bytes_per_s; /* for the bound of reading experts; 0: unknown */
} moe_figure_config;

/* Draws figure i; a line is appended to `report`, also when the profile holds nothing that it
 * shows. */
bool moe_recording_draw(const moe_recording *recording, size_t i, const moe_figure_config *config,
                        GString *report, GError **error);

#endif
