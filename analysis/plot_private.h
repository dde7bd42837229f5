/* What the parts of plot.h share: a figure as asked for, and its numbers. */
#ifndef MOE_ANALYSIS_PLOT_PRIVATE_H
#define MOE_ANALYSIS_PLOT_PRIVATE_H

#include "analysis/plot.h"

typedef enum plot_kind { PLOT_AUTO, PLOT_LINE, PLOT_BAR, PLOT_BLAME } plot_kind;
typedef enum plot_bound { PLOT_NO_BOUND, PLOT_CONTENTION, PLOT_PERFECT, PLOT_ROOFLINE } plot_bound;

typedef struct plot_config {
    const char *x, *y, *series, *title, *xlabel, *ylabel;
    int kind, bound, log;
    double width, height;
} plot_config;

enum { PLOT_LOG_NONE, PLOT_LOG_X, PLOT_LOG_Y, PLOT_LOG_XY };

typedef struct moe_plot {
    moe_settings *settings;
    const plot_config *config;
    GPtrArray *files;   /* names as written */
    moe_selector where; /* over the frame of the view */
    size_t x, series;   /* keys of that frame; series SIZE_MAX: none */
    char *unit;         /* of y */
    bool absent;        /* overrides took away what it shows */
} moe_plot;

struct moe_plots {
    const moe_frame *frame;
    GPtrArray *list; /* moe_plot */
};

/* One value with its range over seeds; NAN: no run. */
typedef struct plot_cell {
    double value, low, high, bound;
    unsigned n, n_changed; /* runs; of these counterfactual */
} plot_cell;

/* A grid of series by x. Blame: a series is a part of the stack, its value a share in percent. */
typedef struct plot_data {
    plot_kind kind;
    bool numeric;
    GPtrArray *x_labels; /* texts, owned; x_numbers holds their numbers when numeric */
    GArray *x_numbers;   /* double */
    GPtrArray *groups;   /* blame: a text per x, the cluster it stands in; empty texts: none */
    GPtrArray *series;   /* texts, owned */
    GArray *cells;       /* plot_cell, series-major */
    char *x_title, *y_title, *series_title; /* series_title NULL: their names say enough */
    const char *bound_title;                /* NULL: none drawn */
    const char *note;                       /* of the runs marked by a star; NULL: none is */
} plot_data;

static inline plot_cell *
plot_data_cell(const plot_data *data, size_t series, size_t x)
{
    return &g_array_index(data->cells, plot_cell, series * data->x_labels->len + x);
}

/* NULL with *error set when the store fails; data without any x when no run is there. */
plot_data *moe_plot_collect(const moe_plot *plot, const moe_frame *frame, moe_store *store,
                            GError **error);
void moe_plot_data_free(plot_data *data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(plot_data, moe_plot_data_free)

/* Quantities of one kind as numbers of one unit: false when `texts` are names. Appends doubles;
 * the unit ("%", "GiB", "") is yours. */
bool moe_plot_numbers(const GPtrArray *texts, GArray *numbers, char **unit);

/* "decode_tokens_per_s" -> "decode throughput", "tpot_mean_s" -> "TPOT mean"; yours. */
char *moe_plot_metric_title(const char *metric);
/* The values of the keys that tell series apart, as one text; yours. */
char *moe_plot_series_label(const moe_frame *shown, size_t point, const GArray *keys);
/* Marks what stands for counterfactual runs alone, and sets the note; once all cells are filled. */
void moe_plot_mark(plot_data *data);
size_t moe_plot_find_text(const GPtrArray *texts, const char *text); /* SIZE_MAX: not there */
/* Fills the bars of a blame figure: x_labels, groups, series and cells. */
bool moe_plot_collect_blame(plot_data *data, const moe_plot *plot, const moe_frame *shown,
                            const GArray *keys, size_t x, moe_store *store, GError **error);

/* A single-quoted gnuplot text; LaTeX's special characters escaped when LaTeX sets it. */
void moe_plot_quote(GString *out, const char *text, bool tex);
#define PLOT_BAR_SHARE 0.8 /* of a cluster's room */
double moe_plot_bar_width(const plot_data *data);
/* Where a value stands on the x axis. */
double moe_plot_x_position(const plot_data *data, size_t series, size_t x);
/* The height in cm grows with what stands around the axes, so that these keep their room. */
double moe_plot_height(const plot_data *data, const plot_config *config);
/* Titles, tics, grid and ranges. */
void moe_plot_axes(GString *out, const plot_config *config, const plot_data *data, bool tex);

/* Texts of the data file and of the script that draws it into all files. */
void moe_plot_data_text(const plot_data *data, GString *out);
void moe_plot_script(const moe_plot *plot, const plot_data *data, const char *data_file,
                     GString *out);

/* Makes a folder; writes a file in it; runs the script in it. */
bool moe_plot_folder(const char *folder, GError **error);
bool moe_plot_write(const char *folder, const char *name, const GString *text, GError **error);
bool moe_plot_run(const char *folder, const char *script, GError **error);

/* Lines that turn to a new file of this size, its terminal chosen by the name's ending. */
void moe_plot_terminal(GString *out, const char *file, double width_cm, double height_cm);
/* How the i-th curve looks, over and over. */
const char *moe_plot_colour(size_t i);
const char *moe_plot_dash(size_t i);
int moe_plot_point(size_t i);

#endif
