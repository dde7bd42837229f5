#include "profiler/counters_private.h"

#include <string.h>

/* ---- sets ---- */

/* What an expert kernel is limited by, in one pass: memory and cache traffic, the tensor cores'
 * share, how many warps were there. */
static const char *const set_moe[] = {
    "gpu__time_duration.sum",
    "dram__bytes_read.sum",
    "dram__bytes_write.sum",
    "lts__t_bytes.sum",
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    NULL,
};
static const char *const set_memory[] = {
    "gpu__time_duration.sum",
    "dram__bytes_read.sum",
    "dram__bytes_write.sum",
    "lts__t_bytes.sum",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    NULL,
};
static const char *const set_tensor[] = {
    "gpu__time_duration.sum",
    "sm__inst_executed_pipe_tensor.sum",
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    "sm__cycles_active.avg",
    NULL,
};
static const char *const set_links[] = {
    "nvlrx__bytes.sum", "nvltx__bytes.sum", "pcie__read_bytes.sum", "pcie__write_bytes.sum", NULL,
};

static const moe_counter_set sets[] = {
    {"moe", "memory and L2 bytes, tensor cores' activity, occupancy, time; one pass", set_moe},
    {"memory", "memory and L2 bytes, share of the peak bandwidth", set_memory},
    {"tensor", "tensor cores: instructions and activity, occupancy", set_tensor},
    {"links", "bytes over NVLink and PCIe", set_links},
};

const moe_counter_set *
moe_counter_sets(size_t *n)
{
    *n = MOE_COUNT(sets);
    return sets;
}

/* ---- names ---- */

/* Length of the part of a metric that is without rollup. */
static size_t
base_length(const char *metric)
{
    return strcspn(metric, ".");
}

static const moe_counter_info *
find_base(const GPtrArray *all, const char *metric)
{
    size_t length = base_length(metric);
    for (guint i = 0; i < all->len; i++) {
        const moe_counter_info *info = all->pdata[i];
        if (strlen(info->name) == length && !memcmp(info->name, metric, length))
            return info;
    }
    return NULL;
}

static void
report_rollup(moe_counters *counters, const moe_counter_info *info, const char *metric, moe_loc at,
              moe_diag *diag)
{
    g_auto(GStrv) rollups = moe_counters_rollups(counters, info);
    const char *given = metric + strlen(info->name);
    g_autoptr(GString) some = g_string_new(NULL);
    guint n = g_strv_length(rollups);
    for (guint i = 0; i < n && i < 6; i++)
        g_string_append_printf(some, "%s%s", i ? ", " : "", rollups[i]);
    const char *near = moe_suggest(given, (const char *const *)rollups, n);
    if (near)
        moe_diag_error(diag, at, "metric '%s': no rollup '%s'; did you mean '%s%s'?", metric, given,
                       info->name, near);
    else
        moe_diag_error(diag, at, "metric '%s' wants a rollup such as %s", metric, some->str);
}

static void
report_unknown(moe_counters *counters, const GPtrArray *all, const char *metric, moe_loc at,
               moe_diag *diag)
{
    const moe_counter_info *info = find_base(all, metric);
    if (info) {
        report_rollup(counters, info, metric, at, diag);
        return;
    }
    g_autofree char *base = g_strndup(metric, base_length(metric));
    g_autofree const char **names = g_new(const char *, all->len + 1);
    for (guint i = 0; i < all->len; i++)
        names[i] = ((const moe_counter_info *)all->pdata[i])->name;
    const char *near = moe_suggest(base, names, all->len);
    moe_diag_error(diag, at, "%s has no metric '%s'%s%s%s", moe_counters_chip(counters), base,
                   near ? "; did you mean '" : "; `moesim counters --list PATTERN` lists them",
                   near ? near : "", near ? "'?" : "");
}

/* ---- plans ---- */

static void
free_group(gpointer data)
{
    moe_counter_group *group = data;
    g_ptr_array_unref(group->metrics);
    g_free(group);
}

static moe_counter_group *
new_group(GPtrArray *plan, size_t passes)
{
    moe_counter_group *group = g_new0(moe_counter_group, 1);
    group->metrics = g_ptr_array_new_with_free_func(g_free);
    group->passes = passes;
    g_ptr_array_add(plan, group);
    return group;
}

static bool
joins(moe_counters *counters, const moe_counter_group *group, const char *metric)
{
    if (group->passes != 1)
        return false;
    g_autofree const char **metrics = g_new(const char *, group->metrics->len + 1);
    for (guint i = 0; i < group->metrics->len; i++)
        metrics[i] = group->metrics->pdata[i];
    metrics[group->metrics->len] = metric;
    return moe_counters_passes(counters, metrics, group->metrics->len + 1) == 1;
}

static bool
has(const GPtrArray *plan, const char *metric)
{
    for (guint g = 0; g < plan->len; g++) {
        const moe_counter_group *group = plan->pdata[g];
        for (guint i = 0; i < group->metrics->len; i++)
            if (!strcmp(group->metrics->pdata[i], metric))
                return true;
    }
    return false;
}

static void
place(moe_counters *counters, GPtrArray *plan, const char *metric, size_t passes)
{
    for (guint g = 0; passes == 1 && g < plan->len; g++) {
        moe_counter_group *group = plan->pdata[g];
        if (joins(counters, group, metric)) {
            g_ptr_array_add(group->metrics, g_strdup(metric));
            return;
        }
    }
    g_ptr_array_add(new_group(plan, passes)->metrics, g_strdup(metric));
}

GPtrArray *
moe_counters_plan(moe_counters *counters, const char *const *metrics, size_t n, moe_loc at,
                  moe_diag *diag)
{
    GPtrArray *plan = g_ptr_array_new_with_free_func(free_group);
    g_autoptr(GPtrArray) all = NULL;
    unsigned before = moe_diag_errors(diag);

    for (size_t i = 0; i < n; i++) {
        if (has(plan, metrics[i]))
            continue;
        size_t passes = moe_counters_passes(counters, &metrics[i], 1);
        if (passes) {
            place(counters, plan, metrics[i], passes);
            continue;
        }
        if (!all)
            all = moe_counters_list(counters, "");
        report_unknown(counters, all, metrics[i], at, diag);
    }
    if (moe_diag_errors(diag) == before)
        return plan;
    g_ptr_array_unref(plan);
    return NULL;
}
