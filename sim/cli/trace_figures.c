#include "sim/cli/trace_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number after "key=" in a parameter; NAN when the key is not there. */
static double
number_of(const moe_stat_row *row, const char *key)
{
    for (const char *at = row->parameter; *at; at += strcspn(at, " "), at += *at == ' ')
        if (g_str_has_prefix(at, key))
            return g_ascii_strtod(at + strlen(key), NULL);
    return NAN;
}

static const moe_stat_row *
row_at(const moe_stats *stats, size_t i)
{
    return &g_array_index(stats->rows, moe_stat_row, i);
}

static bool
has(const moe_stats *stats, moe_statistic statistic)
{
    for (size_t i = 0; i < stats->rows->len; i++)
        if (row_at(stats, i)->statistic == statistic)
            return true;
    return false;
}

/* Adds a statistic of the whole model as a curve over the parameter `key`; `only` ("m=16 ", NULL)
 * is how the parameter begins. */
static void
add_curve(moe_panel *panel, const moe_stats *stats, moe_statistic statistic, const char *only,
          const char *key, const char *title)
{
    if (!has(stats, statistic))
        return;
    moe_panel_curve(panel, title, MOE_CURVE_LINE);
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = row_at(stats, i);
        if (row->statistic == statistic && row->layer == MOE_NONE &&
            (!only || g_str_has_prefix(row->parameter, only)))
            moe_panel_point(panel, number_of(row, key), row->value, row->low, row->high);
    }
}

/* ---- heat maps ---- */

static int
falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static void
add_popularity(moe_sheet *sheet, const moe_stats *stats)
{
    const moe_routing *routing = stats->routing;
    moe_panel *panel = moe_sheet_add(
        sheet, &(moe_panel_config){.name = "popularity",
                                   .title = "Popularity of the experts",
                                   .x_label = "expert, in order of popularity at its layer",
                                   .y_label = "layer",
                                   .z_label = "tokens that use it (%)",
                                   .percent = true});
    g_autofree double *uses = g_new(double, routing->n_experts);
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        uint32_t n = 0;
        for (size_t i = 0; i < stats->rows->len; i++)
            if (row_at(stats, i)->statistic == MOE_STAT_uses && row_at(stats, i)->layer == l)
                uses[n++] = row_at(stats, i)->value;
        qsort(uses, n, sizeof *uses, falling);
        for (uint32_t rank = 0; rank < n; rank++)
            moe_panel_cell(panel, rank + 1, routing->layer_ids[l], uses[rank]);
    }
}

/* The pair of layers that says most; 0: none. */
static uint32_t
strongest_pair(const moe_affinity *affinity)
{
    uint32_t best = 0;
    double most = -1;
    for (uint32_t l = 1; l < affinity->n_layers; l++) {
        double information = moe_affinity_of(affinity, l).information;
        if (information > most) {
            most = information;
            best = l;
        }
    }
    return best;
}

static void
add_affinity(moe_sheet *sheet, const moe_stats *stats)
{
    const moe_affinity *affinity = stats->affinity;
    uint32_t layer = affinity ? strongest_pair(affinity) : 0;
    if (!layer)
        return;
    uint32_t number = stats->routing->layer_ids[layer];
    uint32_t before = stats->routing->layer_ids[layer - 1];
    g_autofree char *title =
        g_strdup_printf("Affinity of layers %u and %u, the strongest pair", before, number);
    g_autofree char *x = g_strdup_printf("expert of layer %u", number);
    g_autofree char *y = g_strdup_printf("expert of layer %u", before);
    moe_panel *panel =
        moe_sheet_add(sheet, &(moe_panel_config){.name = "affinity",
                                                 .title = title,
                                                 .x_label = x,
                                                 .y_label = y,
                                                 .z_label = "tokens that go on to it (%)",
                                                 .percent = true});
    for (uint32_t a = 0; a < affinity->n_experts; a++) {
        const uint32_t *row = moe_affinity_row(affinity, layer, a);
        uint32_t uses = affinity->before[(size_t)layer * affinity->n_experts + a];
        for (uint32_t b = 0; b < affinity->n_experts; b++)
            moe_panel_cell(panel, b, a, uses ? (double)row[b] / uses : 0);
    }
}

/* ---- curves ---- */

/* From the lowest to the highest layer, at each lag. */
static void
add_layers(moe_panel *panel, const moe_stats *stats, moe_statistic statistic, const char *key,
           uint32_t end)
{
    moe_panel_curve(panel, "range of layers", MOE_CURVE_BAND);
    for (uint32_t at = 1; at <= end; at++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t i = 0; i < stats->rows->len; i++) {
            const moe_stat_row *row = row_at(stats, i);
            if (row->statistic != statistic || row->layer == MOE_NONE ||
                (uint32_t)number_of(row, key) != at)
                continue;
            low = MIN(low, row->value);
            high = MAX(high, row->value);
        }
        if (low <= high)
            moe_panel_point(panel, at, NAN, low, high);
    }
}

static void
add_level(moe_panel *panel, const moe_stats *stats, moe_statistic statistic, double end,
          const char *title)
{
    const moe_stat_row *row = moe_stats_find(stats, statistic, MOE_NONE, "");
    if (!row)
        return;
    moe_panel_curve(panel, title, MOE_CURVE_DASHED);
    moe_panel_point(panel, 1, row->value, NAN, NAN);
    moe_panel_point(panel, end, row->value, NAN, NAN);
}

static void
add_overlap(moe_sheet *sheet, const moe_stats *stats)
{
    moe_panel *panel = moe_sheet_add(
        sheet, &(moe_panel_config){.name = "overlap",
                                   .title = "What tokens of a sequence share, and unrelated ones",
                                   .x_label = "lag (tokens)",
                                   .y_label = "experts in common (%)",
                                   .log_x = true,
                                   .percent = true,
                                   .y_max = NAN});
    add_layers(panel, stats, MOE_STAT_overlap, "lag=", 64);
    add_curve(panel, stats, MOE_STAT_overlap, NULL, "lag=", "all layers");
    add_level(panel, stats, MOE_STAT_overlap_independent, 64, "independent");
    add_level(panel, stats, MOE_STAT_overlap_uniform, 64, "uniform");
}

static void
add_coverage(moe_sheet *sheet, const moe_stats *stats)
{
    moe_panel *panel =
        moe_sheet_add(sheet, &(moe_panel_config){.name = "coverage",
                                                 .title = "Experts that a batch needs at a layer",
                                                 .x_label = "batch (tokens)",
                                                 .y_label = "distinct experts",
                                                 .log_x = true,
                                                 .y_max = stats->routing->n_experts});
    add_curve(panel, stats, MOE_STAT_coverage_decode, NULL, "batch=", "decode");
    add_curve(panel, stats, MOE_STAT_coverage_prefill, NULL, "batch=", "prefill");
    moe_panel_curve(panel, "uniform", MOE_CURVE_DASHED);
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = row_at(stats, i);
        if (row->statistic == MOE_STAT_coverage_uniform &&
            (moe_stats_find(stats, MOE_STAT_coverage_decode, MOE_NONE, row->parameter) ||
             moe_stats_find(stats, MOE_STAT_coverage_prefill, MOE_NONE, row->parameter)))
            moe_panel_point(panel, number_of(row, "batch="), row->value, NAN, NAN);
    }
}

static void
add_misses(moe_sheet *sheet, const moe_stats *stats)
{
    moe_panel *panel =
        moe_sheet_add(sheet, &(moe_panel_config){.name = "misses",
                                                 .title = "Misses of a cache for each layer",
                                                 .x_label = "slots per layer (experts)",
                                                 .y_label = "miss ratio (%)",
                                                 .percent = true,
                                                 .y_max = 100});
    add_curve(panel, stats, MOE_STAT_layer_miss_lru, NULL, "slots=", "LRU");
    add_curve(panel, stats, MOE_STAT_layer_miss_lfu, NULL, "slots=", "LFU");
    add_curve(panel, stats, MOE_STAT_layer_miss_belady, NULL, "slots=", "Belady");
}

static void
add_hits(moe_sheet *sheet, const moe_stats *stats)
{
    moe_panel *panel =
        moe_sheet_add(sheet, &(moe_panel_config){.name = "hits",
                                                 .title = "Hits of one cache for all layers",
                                                 .interval = "95 % interval",
                                                 .x_label = "slots / experts that a token uses",
                                                 .y_label = "hit rate (%)",
                                                 .percent = true,
                                                 .y_max = 100});
    add_curve(panel, stats, MOE_STAT_model_hit_lru, NULL, "rho=", "LRU");
    add_curve(panel, stats, MOE_STAT_model_hit_lfu, NULL, "rho=", "LFU");
    add_curve(panel, stats, MOE_STAT_model_hit_belady, NULL, "rho=", "Belady");
    add_curve(panel, stats, MOE_STAT_model_sch, "m=16 ", "rho=", "SCH, m = 16");
}

moe_sheet *
moe_trace_figures(const moe_stats *stats, const char *title)
{
    static const struct {
        moe_statistic statistic; /* that must be there */
        void (*add)(moe_sheet *sheet, const moe_stats *stats);
    } panels[] = {
        {MOE_STAT_uses, add_popularity},       {MOE_STAT_affinity_mass, add_affinity},
        {MOE_STAT_overlap, add_overlap},       {MOE_STAT_coverage_uniform, add_coverage},
        {MOE_STAT_layer_miss_lru, add_misses}, {MOE_STAT_model_hit_lru, add_hits},
    };
    moe_sheet *sheet = moe_sheet_new(title);
    for (size_t i = 0; i < MOE_COUNT(panels); i++)
        if (has(stats, panels[i].statistic))
            panels[i].add(sheet, stats);
    return sheet;
}
