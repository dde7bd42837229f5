/* moesim help: commands, and the keys of scenarios. */
#include "analysis/expect.h"
#include "analysis/plot.h"
#include "sim/cli/command.h"
#include "sim/cli/help_topic.h"
#include "sim/cli/output.h"
#include "sim/machine/scenario.h"
#include "sim/policy/policy.h"

#include <string.h>

typedef struct help_values {
    bool markdown;
} help_values;

static const moe_option options[] = {
    {"markdown", 0, MOE_OPTION_FLAG, offsetof(help_values, markdown),
     .help = "All keys as Markdown tables, for the README."},
};

typedef struct section {
    const char *prefix; /* what keys of its lists begin with */
    const moe_param_table *(*table)(void);
    const char *about;
} section;

static const section sections[] = {
    {"", moe_scenario_table, NULL},
    {"expect", moe_expect_table,
     "A list of what must come out. `of` selects runs, and `metric` of them is expected to be "
     "`value`. With `over` it is the ratio of pairs of runs: two runs are a pair when they agree "
     "on "
     "all swept keys but those that `of` and `over` both fix (if there are none, those that either "
     "fixes). More than one run or pair needs `agg`. A missed expectation makes `moesim run` exit "
     "with 4."},
    {"plot", moe_plot_table,
     "A list of figures, drawn after the runs by gnuplot. Swept keys that are neither `x` nor "
     "`series` become part of the series; runs that differ in `seed` alone are one point with its "
     "range. Each figure leaves its data (.dat) and script (.gp) beside it. `moesim plot` draws "
     "from a database later (`moesim plot --help`)."},
};

/* Keys whose values are no single parameters, and which their sections read themselves. */
typedef struct extra {
    const char *section; /* prefix of a section */
    const char *key, *type, *fallback, *help;
} extra;

static const extra extras[] = {
    {"", "sweep", "map", "",
     "Map of keys to lists of values; every combination is a run. A value of a policy key may be a "
     "map: {kind: s3fifo, small: 5%}. A key given by --set is not swept. The first key varies "
     "slowest."},
    {"", "zip", "map, or list of maps", "",
     "Map of keys to lists of equal length that move together: run i has each key's i-th value. A "
     "list of maps has several such groups; they multiply with each other and with `sweep`. Zip "
     "`label` along to name the combinations."},
    {"expect", "of", "map", "all runs",
     "Which runs: swept keys, each with a value or a list of values of which any will do."},
    {"expect", "over", "map", "",
     "Runs to compare with, written as `of`; `value` is then the ratio of `of` over `over`. A pair "
     "agrees on a key that has a list of values."},
    {"plot", "where", "map", "all runs",
     "Which runs are drawn: swept keys, each with a value or a list of values of which any will "
     "do."},
    {"plot", "file", "text, or list", "NAME.pdf of NAME.yaml",
     "Name of the figure, ending in .pdf, .svg, .png or .tex; a list draws each. "
     "Relative to the folder of the database, or of `moesim run --plot`. With a database that is "
     "not NAME.db the name begins with the database's: other-NAME.pdf of other.db."},
};

static int
print_markdown(void)
{
    for (size_t i = 0; i < MOE_COUNT(sections); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_param_markdown(sections[i].table(), text);
        if (*sections[i].prefix)
            moe_out("\nEach entry of `%s`:\n\n", sections[i].prefix);
        for (size_t e = 0; e < MOE_COUNT(extras); e++)
            if (!strcmp(extras[e].section, sections[i].prefix))
                g_string_append_printf(text, "| `%s` | %s | %s |  | %s |\n", extras[e].key,
                                       extras[e].type, extras[e].fallback, extras[e].help);
        moe_out_text(text->str);
    }
    return MOE_EXIT_OK;
}

static void
print_row(const char *key, const char *help, size_t width)
{
    moe_out("  %-*s  ", (int)width, key);
    moe_out_wrapped(help, width + 4, width + 4);
}

static void
print_rows(const section *s)
{
    const moe_param_table *table = s->table();
    size_t width = 0;
    for (size_t i = 0; i < table->n_rows; i++)
        width = MAX(width, strlen(table->rows[i].key));
    for (size_t i = 0; i < table->n_rows; i++)
        print_row(table->rows[i].key, table->rows[i].help, width);
    for (size_t e = 0; e < MOE_COUNT(extras); e++)
        if (!strcmp(extras[e].section, s->prefix))
            print_row(extras[e].key, extras[e].help, width);
}

static int
print_overview(void)
{
    moe_out("Keys of a scenario (`moesim help KEY` says more):\n\n");
    for (size_t i = 0; i < MOE_COUNT(sections); i++) {
        if (*sections[i].prefix)
            moe_out("\nEach entry of `%s`:\n\n", sections[i].prefix);
        print_rows(&sections[i]);
    }
    return MOE_EXIT_OK;
}

/* A key that its section reads itself: "sweep", "expect.of". */
static bool
help_of_extra(const char *key)
{
    for (size_t e = 0; e < MOE_COUNT(extras); e++) {
        const extra *x = &extras[e];
        g_autofree char *full = g_strconcat(x->section, *x->section ? "." : "", x->key, NULL);
        if (strcmp(full, key) != 0)
            continue;
        moe_out("%s (%s%s%s)\n  ", full, x->type, *x->fallback ? "; default: " : "", x->fallback);
        moe_out_wrapped(x->help, 2, 2);
        return true;
    }
    return false;
}

/* A key of a table, or the whole table when the key is its prefix. */
static bool
help_in_section(const section *s, const char *key, const char **closest)
{
    size_t length = strlen(s->prefix);
    if (length && !strcmp(key, s->prefix)) {
        moe_out_wrapped(s->about, 0, 0);
        moe_out("\nEach entry:\n\n");
        print_rows(s);
        return true;
    }
    if (length && (strncmp(key, s->prefix, length) != 0 || key[length] != '.'))
        return false;
    const char *close = NULL;
    g_autofree char *text = moe_param_help(s->table(), key + length + (length > 0), &close);
    if (text)
        moe_out_text(text);
    else if (close && !*closest)
        *closest = close;
    return text != NULL;
}

/* A command, or words that lead to a command's command: "trace stats". */
static bool
help_of_command(const char *const *words, size_t n)
{
    const moe_command *const *list = moe_commands;
    const moe_command *found = NULL;
    g_autoptr(GString) path = g_string_new("moesim");
    for (size_t w = 0; w < n; w++, list = found->children) {
        found = NULL;
        for (size_t i = 0; list && list[i] && !found; i++)
            found = strcmp(list[i]->name, words[w]) ? NULL : list[i];
        if (!found)
            return false;
        g_string_append_printf(path, " %s", words[w]);
    }
    moe_command_help(found, path->str);
    return true;
}

static bool
help_of_policy(const char *name)
{
    bool found = false;
    for (int kind = 0; kind < MOE_POLICY_KINDS; kind++) {
        const moe_variant *policy = moe_policy_find((moe_policy_kind)kind, name);
        if (!policy)
            continue;
        found = true;
        moe_out("%s (%s): ", policy->name, moe_policy_kind_name((moe_policy_kind)kind));
        moe_out_wrapped(policy->help, strlen(policy->name) + 12, 2);
        for (size_t r = 0; r < policy->n_rows; r++)
            moe_out("  %s (default %s): %s\n", policy->rows[r].key,
                    policy->rows[r].fallback ? policy->rows[r].fallback : "none",
                    policy->rows[r].help);
    }
    return found;
}

static bool
help_of_metric(const char *name)
{
    size_t n;
    const moe_metric_info *metrics = moe_metrics(&n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(metrics[i].name, name)) {
            moe_out("%s (%s, %s is better): %s\n", name, metrics[i].unit,
                    metrics[i].higher_is_better ? "higher" : "lower", metrics[i].help);
            return true;
        }
    return false;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const help_values *values = data;
    if (values->markdown)
        return print_markdown();
    if (n == 0)
        return print_overview();
    const char *word = operands[0], *closest = NULL;
    if (n > 1)
        return help_of_command(operands, n)
                   ? MOE_EXIT_OK
                   : moe_say_usage("moesim help", "'%s' is no command of '%s'", operands[1], word);
    if (help_of_extra(word))
        return MOE_EXIT_OK;
    for (size_t i = 0; i < MOE_COUNT(sections); i++)
        if (help_in_section(&sections[i], word, &closest))
            return MOE_EXIT_OK;
    if (help_of_command(operands, n))
        return MOE_EXIT_OK;
    bool found = help_of_policy(word);
    found = help_of_metric(word) || found;
    if (moe_help_topic(word) || found)
        return MOE_EXIT_OK;
    moe_say("no key, command or name of `moesim list` is '%s'%s%s%s", word,
            closest ? "; did you mean '" : "", closest ? closest : "", closest ? "'?" : "");
    return MOE_EXIT_INPUT;
}

const moe_command moe_help_command = {
    "help",
    "[WORD|COMMAND…]",
    0,
    2,
    "Say what a key of a scenario means; or a command, or anything that `moesim list` names.",
    "  moesim help                          all keys\n"
    "  moesim help experts.cache            the keys below one\n"
    "  moesim help experts.cache.capacity\n"
    "  moesim help trace stats              a command\n"
    "  moesim help srp                      a policy, metric, statistic, transform, format, "
    "bound\n",
    options,
    MOE_COUNT(options),
    sizeof(help_values),
    run,
    NULL};
