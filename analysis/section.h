/* What the sections `expect` and `plot` of a scenario are read against, and how they name runs and
 * metrics. */
#ifndef MOE_ANALYSIS_SECTION_H
#define MOE_ANALYSIS_SECTION_H

#include "analysis/frame.h"
#include "sim/base/param.h"

/* Canonical spelling of a key and of a value, as moe_scenario_canonical. */
typedef bool moe_canonical(void *context, const char *key, const moe_yaml *value, moe_loc at,
                           const char **canonical_key, char **canonical_value, moe_diag *diag);

/* What sections of a scenario (`expect`, `plot`) are read against; borrowed. */
typedef struct moe_section_view {
    const moe_frame *frame;
    const char *const *metrics, *const *units; /* n_metrics of each */
    size_t n_metrics;
    moe_canonical *canonical;
    void *context;
    bool partial; /* overrides may have taken away runs or swept keys that the section names */
} moe_section_view;

/* Reads a map of key: value, or key: [values], that selects runs. Located errors for keys that are
 * not swept and values that no run has; when the view is partial these set *absent instead. */
void moe_section_select(const moe_yaml *map, const moe_section_view *view, moe_selector *selector,
                        bool *absent, moe_diag *diag);
/* The index of a swept key, or SIZE_MAX after a located error (*absent when the view is partial).
 */
size_t moe_section_key(const char *text, moe_loc loc, const moe_section_view *view, bool *absent,
                       moe_diag *diag);
/* The index in view->metrics, or SIZE_MAX after a located error. */
size_t moe_section_metric(const moe_yaml *node, const moe_section_view *view, moe_diag *diag);
/* Located errors for required keys of the table that the map does not have. */
void moe_section_require(const moe_param_table *table, const moe_yaml *node, moe_diag *diag);
/* A key for people: "experts.cache.capacity" -> "cache capacity", "precision.experts" -> "experts
 * precision", "routing.trace" -> "routing trace"; yours. */
char *moe_section_key_title(const char *key);

#endif
