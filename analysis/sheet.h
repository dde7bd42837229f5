/* Figures of numbers that are at hand, and one page that shows them all: curves and heat maps drawn
 * by gnuplot as the figures of sweeps are (analysis/plot.h). For each panel the folder gets
 * NAME.dat, NAME.gp, NAME.pdf and NAME.png; for the page page.gp, page.pdf and page.png. */
#ifndef MOE_ANALYSIS_SHEET_H
#define MOE_ANALYSIS_SHEET_H

#include "sim/base/base.h"

#include <glib.h>

typedef enum moe_curve_style {
    MOE_CURVE_LINE,   /* with points; a band from low to high where that is wide enough to see */
    MOE_CURVE_BAND,   /* the area from low to high, behind the lines */
    MOE_CURVE_DASHED, /* for comparison: thin, grey, without points */
    MOE_CURVE_POINTS, /* points alone, small */
} moe_curve_style;

typedef struct moe_panel_config {
    const char *name; /* of the files, and of the panel on the page */
    const char *title, *x_label, *y_label;
    const char *z_label;  /* of a heat map's colours; NULL: the panel shows curves */
    const char *interval; /* what the key calls bands of lines; NULL: nothing */
    bool log_x;           /* base 2 */
    bool alike;           /* both axes are microseconds, base 10, with the same ends; key inside */
    bool percent;         /* y (heat map: z) is a share, shown in percent */
    double y_max;         /* end of the y axis, which begins at 0; NAN: chosen by the data */
} moe_panel_config;

typedef struct moe_sheet moe_sheet;
typedef struct moe_panel moe_panel;

moe_sheet *moe_sheet_new(const char *title);
void moe_sheet_free(moe_sheet *sheet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_sheet, moe_sheet_free)
size_t moe_sheet_panels(const moe_sheet *sheet);

/* A panel, the sheet's; texts are copied. */
moe_panel *moe_sheet_add(moe_sheet *sheet, const moe_panel_config *config);
/* Begins a curve; a title of NULL keeps it out of the key. Heat maps have none. */
void moe_panel_curve(moe_panel *panel, const char *title, moe_curve_style style);
/* Adds a point to the curve begun last. */
void moe_panel_point(moe_panel *panel, double x, double y, double low, double high);
/* Adds a cell of the heat map. */
void moe_panel_cell(moe_panel *panel, double x, double y, double z);

/* Draws all below `folder` (made when absent); a line per panel is appended to `report`. */
bool moe_sheet_draw(const moe_sheet *sheet, const char *folder, GString *report, GError **error);

#endif
