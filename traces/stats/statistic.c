#include "traces/stats/statistic.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static const moe_statistic_info infos[] = {
#define MOE_STATISTIC(name, group, unit, parameters, interval, help, source)                       \
    {#name, MOE_STATS_##group, unit, parameters, interval, help, source},
#include "traces/stats/statistic.def"
#undef MOE_STATISTIC
};

static const struct {
    const char *name, *help;
} groups[] = {
#define GROUP_ROW(name, help) {#name, help},
    MOE_STATISTIC_GROUPS(GROUP_ROW)
#undef GROUP_ROW
};

const moe_statistic_info *
moe_statistic_get(moe_statistic statistic)
{
    return &infos[statistic];
}

const char *
moe_statistic_group_name(moe_statistic_group group)
{
    return groups[group].name;
}

const char *
moe_statistic_group_help(moe_statistic_group group)
{
    return groups[group].help;
}

moe_stats *
moe_stats_new(const moe_routing *routing)
{
    moe_stats *stats = g_new0(moe_stats, 1);
    stats->routing = routing;
    stats->rows = g_array_new(FALSE, TRUE, sizeof(moe_stat_row));
    stats->notes = g_ptr_array_new_with_free_func(g_free);
    return stats;
}

void
moe_stats_free(moe_stats *stats)
{
    if (!stats)
        return;
    g_array_unref(stats->rows);
    g_ptr_array_unref(stats->notes);
    moe_affinity_free(stats->affinity);
    g_free(stats);
}

moe_stat_row *
moe_stats_add(moe_stats *stats, moe_statistic statistic, uint32_t layer, double value,
              const char *fmt, ...)
{
    moe_stat_row row = {statistic, layer, "", value, NAN, NAN};
    va_list args;
    va_start(args, fmt);
    g_vsnprintf(row.parameter, sizeof row.parameter, fmt, args);
    va_end(args);
    if (!isnan(value))
        g_array_append_val(stats->rows, row);
    moe_stat_row *rows = (moe_stat_row *)(void *)stats->rows->data;
    return isnan(value) ? &stats->scratch : &rows[stats->rows->len - 1];
}

void
moe_stats_note(moe_stats *stats, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_ptr_array_add(stats->notes, g_strdup_vprintf(fmt, args));
    va_end(args);
}

const moe_stat_row *
moe_stats_find(const moe_stats *stats, moe_statistic statistic, uint32_t layer,
               const char *parameter)
{
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        if (row->statistic == statistic && row->layer == layer &&
            !strcmp(row->parameter, parameter))
            return row;
    }
    return NULL;
}

static void
append_row(const moe_stats *stats, const moe_stat_row *row, const char *suffix, double value,
           GString *out)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(out, "%s%s,", infos[row->statistic].name, suffix);
    if (row->layer != MOE_NONE)
        g_string_append_printf(out, "%u", stats->routing->layer_ids[row->layer]);
    g_string_append_printf(out, ",%s,%s\n", row->parameter,
                           g_ascii_formatd(number, sizeof number, "%.9g", value));
}

void
moe_stats_csv(const moe_stats *stats, GString *out)
{
    g_string_append(out, "statistic,layer,parameter,value\n");
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        append_row(stats, row, "", row->value, out);
        if (isnan(row->low))
            continue;
        append_row(stats, row, "_low", row->low, out);
        append_row(stats, row, "_high", row->high, out);
    }
}
