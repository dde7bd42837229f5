/* moesim help: commands, and the keys of scenarios. */
#include "analysis/expect.h"
#include "analysis/plot.h"
#include "sim/cli/command.h"
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
} section;

static const section sections[] = {
    {"", moe_scenario_table},
    {"expect", moe_expect_table},
    {"plot", moe_plot_table},
};

static int
print_markdown(void)
{
    for (size_t i = 0; i < MOE_COUNT(sections); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_param_markdown(sections[i].table(), text);
        if (*sections[i].prefix)
            moe_out("\nEach entry of `%s`:\n\n", sections[i].prefix);
        moe_out_text(text->str);
    }
    return MOE_EXIT_OK;
}

static void
print_rows(const moe_param_table *table)
{
    size_t width = 0;
    for (size_t i = 0; i < table->n_rows; i++)
        width = MAX(width, strlen(table->rows[i].key));
    for (size_t i = 0; i < table->n_rows; i++) {
        moe_out("  %-*s  ", (int)width, table->rows[i].key);
        moe_out_wrapped(table->rows[i].help, width + 4, width + 4);
    }
}

static int
print_overview(void)
{
    moe_out("Keys of a scenario (`moesim help KEY` says more):\n\n");
    print_rows(moe_scenario_table());
    moe_out("\nEach entry of `expect` (with `of`, `over`: which runs):\n\n");
    print_rows(moe_expect_table());
    moe_out("\nEach entry of `plot` (with `file`, `where`: which runs):\n\n");
    print_rows(moe_plot_table());
    moe_out("\n`sweep` and `zip` take keys and lists of values.\n");
    return MOE_EXIT_OK;
}

/* A key of a table, or the whole table when the key is its prefix. */
static bool
help_in_section(const section *s, const char *key, const char **closest)
{
    size_t length = strlen(s->prefix);
    if (length && !strcmp(key, s->prefix)) {
        print_rows(s->table());
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

static bool
help_of_command(const char *name)
{
    for (size_t i = 0; moe_commands[i]; i++)
        if (!strcmp(moe_commands[i]->name, name)) {
            g_autofree char *path = g_strconcat("moesim ", name, NULL);
            moe_command_help(moe_commands[i], path);
            return true;
        }
    return false;
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
    const char *closest = NULL;
    for (size_t i = 0; i < MOE_COUNT(sections); i++)
        if (help_in_section(&sections[i], operands[0], &closest))
            return MOE_EXIT_OK;
    if (help_of_command(operands[0]) || help_of_policy(operands[0]) || help_of_metric(operands[0]))
        return MOE_EXIT_OK;
    moe_say("no key, command, policy or metric is called '%s'%s%s%s", operands[0],
            closest ? "; did you mean '" : "", closest ? closest : "", closest ? "'?" : "");
    return MOE_EXIT_INPUT;
}

const moe_command moe_help_command = {
    "help",
    "[KEY]",
    0,
    1,
    "Say what a key of a scenario means; or a command, policy or metric.",
    "  moesim help                          all keys\n"
    "  moesim help experts.cache            the keys below one\n"
    "  moesim help experts.cache.capacity\n",
    options,
    MOE_COUNT(options),
    sizeof(help_values),
    run,
    NULL};
