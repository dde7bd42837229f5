/* moesim counters: which hardware counters there are, how many runs they take, and those runs. */
#include "sim/cli/counters.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"

#include <string.h>

#define COMMAND "moesim counters"
#define AT(field) offsetof(counters_values, field)

typedef struct counters_values {
    const char *chip, *set, *list, *output;
    GPtrArray *metrics;
    bool check, chips, sets, force;
} counters_values;

static const moe_option options[] = {
    {"set", 's', MOE_OPTION_TEXT, AT(set), "NAME",
     .help = "Metrics that belong together (--sets lists them). Default: " MOE_COUNTERS_DEFAULT_SET
             ", unless --metrics names some."},
    {"metrics", 'm', MOE_OPTION_LIST, AT(metrics), "A,B",
     .help = "Metrics with their rollup, such as dram__bytes_read.sum. May be repeated."},
    {"chip", 0, MOE_OPTION_TEXT, AT(chip), "CHIP",
     .help =
         "The GPU's chip: GH100 (H100, H200, H20), GA100 (A100), AD102 (RTX 4090), GB100 (B200) … "
         "(--chips lists them). Default: " MOE_COUNTERS_DEFAULT_CHIP "."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "NAME",
     .help = "With -- PROGRAM: writes NAME.db, whose table counter has each metric of each stage. "
             "Default: counters."},
    {"force", 'f', MOE_OPTION_FLAG, AT(force), .help = "Replace NAME.db."},
    {"check", 0, MOE_OPTION_FLAG, AT(check),
     .help = "Say which metrics are counted together, and so how often a program would run. Wants "
             "neither GPU nor driver."},
    {"list", 'l', MOE_OPTION_TEXT, AT(list), "PATTERN",
     .help = "List the chip's metrics whose names contain PATTERN ('' for all), with their rollups "
             "where they are few."},
    {"sets", 0, MOE_OPTION_FLAG, AT(sets), .help = "List the sets."},
    {"chips", 0, MOE_OPTION_FLAG, AT(chips), .help = "List the chips that the CUPTI here knows."},
};

enum { FEW = 8 }; /* metrics that are listed with their rollups */

static int
list_sets(void)
{
    size_t n;
    const moe_counter_set *sets = moe_counter_sets(&n);
    for (size_t i = 0; i < n; i++) {
        moe_out("%s: %s\n", sets[i].name, sets[i].help);
        for (size_t m = 0; sets[i].metrics[m]; m++)
            moe_out("  %s\n", sets[i].metrics[m]);
    }
    return MOE_EXIT_OK;
}

static int
list_chips(void)
{
    GError *error = NULL;
    g_auto(GStrv) chips = moe_counters_chips(&error);
    if (!chips)
        return moe_say_error(error);
    for (size_t i = 0; chips[i]; i++)
        moe_out("%s\n", chips[i]);
    return MOE_EXIT_OK;
}

static int
list_metrics(moe_counters *counters, const char *pattern)
{
    g_autoptr(GPtrArray) list = moe_counters_list(counters, pattern);
    for (guint i = 0; i < list->len; i++) {
        const moe_counter_info *info = list->pdata[i];
        moe_out("%s%s%s%s\n  ", info->name, *info->unit ? " [" : "", info->unit,
                *info->unit ? "]" : "");
        moe_out_wrapped(*info->description ? info->description : "no description", 2, 2);
        if (list->len > FEW)
            continue;
        g_auto(GStrv) rollups = moe_counters_rollups(counters, info);
        g_autofree char *text = g_strjoinv(" ", rollups);
        moe_out("  ");
        moe_out_wrapped(text, 2, 2);
    }
    if (!list->len)
        moe_say("no metric's name contains '%s'", pattern);
    return list->len ? MOE_EXIT_OK : MOE_EXIT_INPUT;
}

/* The metrics that were asked for: those named, else those of the set; NULL after a message. */
static GPtrArray *
wanted(const counters_values *v)
{
    g_autoptr(GPtrArray) metrics = g_ptr_array_new_with_free_func(g_free);
    size_t n;
    const moe_counter_set *sets = moe_counter_sets(&n);
    const char *name = v->set ? v->set : v->metrics->len ? NULL : MOE_COUNTERS_DEFAULT_SET;
    for (guint i = 0; i < v->metrics->len; i++) {
        g_auto(GStrv) words = g_strsplit(v->metrics->pdata[i], ",", -1);
        for (size_t w = 0; words[w]; w++)
            g_ptr_array_add(metrics, g_strdup(g_strstrip(words[w])));
    }
    for (size_t i = 0; name && i < n; i++) {
        if (strcmp(sets[i].name, name) != 0)
            continue;
        for (size_t m = 0; sets[i].metrics[m]; m++)
            g_ptr_array_add(metrics, g_strdup(sets[i].metrics[m]));
        return g_steal_pointer(&metrics);
    }
    if (!name)
        return g_steal_pointer(&metrics);
    const char *names[16];
    for (size_t i = 0; i < n; i++)
        names[i] = sets[i].name;
    const char *near = moe_suggest(name, names, n);
    moe_say_usage(COMMAND, "no set of metrics is called '%s'%s%s%s", name,
                  near ? "; did you mean '" : "; --sets lists them", near ? near : "",
                  near ? "'?" : "");
    return NULL;
}

static int
check(const moe_counters *counters, const GPtrArray *plan)
{
    size_t runs = 0, metrics = 0;
    for (guint g = 0; g < plan->len; g++) {
        const moe_counter_group *group = plan->pdata[g];
        if (group->passes == 1)
            moe_out("group %u, one pass:\n", g + 1);
        else
            moe_out("group %u, %zu passes, so not collected per stage:\n", g + 1, group->passes);
        for (guint i = 0; i < group->metrics->len; i++)
            moe_out("  %s\n", (const char *)group->metrics->pdata[i]);
        runs += group->passes == 1;
        metrics += group->metrics->len;
    }
    moe_out("%zu metrics, %zu run%s of the program (%s)\n", metrics, runs, runs == 1 ? "" : "s",
            moe_counters_library(counters));
    return MOE_EXIT_OK;
}

/* --check, --list, or the program's runs. */
static int
ask(const counters_values *v, const char *const *operands, size_t n)
{
    g_autoptr(GPtrArray) metrics = v->list ? NULL : wanted(v);
    GError *error = NULL;
    if (!v->list && !metrics)
        return MOE_EXIT_USAGE;
    g_autoptr(moe_counters) library =
        moe_counters_open(v->chip ? v->chip : MOE_COUNTERS_DEFAULT_CHIP, &error);
    if (!library)
        return moe_say_error(error);
    if (v->list)
        return list_metrics(library, v->list);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GPtrArray) plan = moe_counters_plan(library, (const char *const *)metrics->pdata,
                                                  metrics->len, (moe_loc){0}, diag);
    if (!plan)
        return moe_say_diag(diag);
    return v->check ? check(library, plan)
                    : moe_counters_collect(plan, v->output, v->force, operands, n);
}

static int
counters(const void *data, const char *const *operands, size_t n)
{
    const counters_values *v = data;
    if (n && (v->sets || v->chips || v->check || v->list))
        return moe_say_usage(COMMAND, "a program is run without --check, --list, --sets, --chips");
    if (v->sets)
        return list_sets();
    if (v->chips)
        return list_chips();
    if (!n && !v->check && !v->list)
        return moe_say_usage(COMMAND, "what is to be done: --check, --list, --sets, --chips, or a "
                                      "program behind '--'");
    return ask(v, operands, n);
}

const moe_command moe_counters_command = {
    "counters",
    "[-- PROGRAM [ARGUMENTS…]]",
    0,
    SIZE_MAX,
    "Hardware counters of each stage, collected on a GPU, or planned without one.",
    "Counters of NVIDIA GPUs, planned on any machine that has CUPTI, with a GPU or without:\n"
    "\n"
    "  moesim counters --check                      the default set, on an H100\n"
    "  moesim counters --check -m dram__bytes_read.sum,nvlrx__bytes.sum --chip GB100\n"
    "  moesim counters --list tensor --chip GA100\n"
    "\n"
    "and collected for each stage of each layer that a program says by NVTX (domain moesim), once\n"
    "for each group, in as many runs of the program:\n"
    "\n"
    "  moesim counters -o run -- moesim capture --model DIR -t ids.jsonl --backend cuda -o trace\n"
    "  moesim profile stats run.db --only counters\n",
    options,
    MOE_COUNT(options),
    sizeof(counters_values),
    counters,
    NULL};
