#include "sim/cli/help_topic.h"

#include "sim/cli/output.h"
#include "traces/export/export.h"
#include "traces/import/import.h"
#include "traces/stats/statistic.h"
#include "traces/transform/transform.h"

#include <string.h>

/* Words of tables and figures that no other table explains. */
static const struct {
    const char *word, *kind, *help;
} terms[] = {
    {"contention_free", "bound",
     "What a metric would be if every task that was executed had each resource to itself: the "
     "longest path of the run."},
    {"perfect_cache", "bound",
     "What a metric would be with the fewest loads that any eviction could reach with this cache, "
     "all of them overlapped with computing."},
    {"roofline", "bound", "What a metric would be at the hardware's peak rates alone."},
    {"counterfactual", "mark of runs and traces",
     "The routing was changed by a transform beyond a choice of tokens (`moesim list transforms "
     "-v`): the model was not recorded to route so. Such runs have a star in tables and figures, "
     "and `counterfactual` is 1 in the database."},
};

/* "word (kind): help", wrapped. */
static void
print_topic(const char *word, const char *kind, const char *help)
{
    moe_out("%s (%s): ", word, kind);
    moe_out_wrapped(help, strlen(word) + strlen(kind) + 5, 2);
}

static bool
help_of_term(const char *word)
{
    for (size_t i = 0; i < MOE_COUNT(terms); i++)
        if (!strcmp(terms[i].word, word)) {
            print_topic(word, terms[i].kind, terms[i].help);
            return true;
        }
    return false;
}

static bool
help_of_statistic(const char *word)
{
    for (int s = 0; s < MOE_N_STATISTICS; s++) {
        const moe_statistic_info *info = moe_statistic_get((moe_statistic)s);
        if (strcmp(info->name, word) != 0)
            continue;
        g_autofree char *kind =
            g_strdup_printf("statistic of traces%s%s", *info->unit ? ", " : "", info->unit);
        print_topic(word, kind, info->help);
        if (*info->parameters)
            moe_out("  parameter %s%s\n", info->parameters,
                    info->interval ? "; with 95 % intervals" : "");
        if (*info->source)
            moe_out("  source %s\n", info->source);
        return true;
    }
    return false;
}

static bool
help_of_group(const char *word)
{
    for (int g = 0; g < MOE_N_STATISTIC_GROUPS; g++) {
        if (strcmp(moe_statistic_group_name((moe_statistic_group)g), word) != 0)
            continue;
        print_topic(word, "group of statistics", moe_statistic_group_help((moe_statistic_group)g));
        for (int s = 0; s < MOE_N_STATISTICS; s++) {
            const moe_statistic_info *info = moe_statistic_get((moe_statistic)s);
            if ((int)info->group != g)
                continue;
            moe_out("  %-27s", info->name);
            moe_out_wrapped(info->help, 29, 29);
        }
        return true;
    }
    return false;
}

static bool
help_of_transform(const char *word)
{
    for (size_t i = 0; i < MOE_N_TRANSFORMS; i++) {
        const moe_variant *transform = moe_transforms[i];
        const moe_transform_ops *ops = transform->ops;
        if (strcmp(transform->name, word) != 0)
            continue;
        print_topic(word, ops->factual ? "transform" : "transform, counterfactual",
                    transform->help);
        for (size_t r = 0; r < transform->n_rows; r++) {
            const moe_param *row = &transform->rows[r];
            moe_out("  %s (default %s): ", row->key, row->fallback ? row->fallback : "none");
            moe_out_wrapped(row->help, strlen(row->key) + 20, 4);
        }
        moe_out("  ");
        moe_out_wrapped(ops->conserves, 2, 2);
        return true;
    }
    return false;
}

static bool
help_of_format(const char *word)
{
    bool found = false;
    for (size_t i = 0; moe_importers[i]; i++)
        if (!strcmp(moe_importers[i]->name, word)) {
            print_topic(word, moe_importers[i]->requests ? "importer of requests" : "importer",
                        moe_importers[i]->help);
            found = true;
        }
    for (size_t i = 0; moe_exporters[i]; i++)
        if (!strcmp(moe_exporters[i]->name, word)) {
            print_topic(word, "exporter", moe_exporters[i]->help);
            found = true;
        }
    return found;
}

bool
moe_help_topic(const char *word)
{
    static bool (*const kinds[])(const char *word) = {
        help_of_term, help_of_statistic, help_of_group, help_of_transform, help_of_format};
    bool found = false;
    for (size_t i = 0; i < MOE_COUNT(kinds); i++)
        found = kinds[i](word) || found;
    return found;
}
