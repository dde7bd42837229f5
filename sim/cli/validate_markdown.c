/* The errors of a validation as tables of Markdown: hw/README.md shows them. */
#include "sim/cli/validate_report.h"

#include <string.h>

static void
append_share(GString *out, const moe_score *s, double value)
{
    if (s && s->rows)
        g_string_append_printf(out, " %.1f %% |", 100 * value);
    else
        g_string_append(out, " |");
}

/* The score of a regime; NULL: all rows are in it, or none. */
static const moe_score *
score_in(const moe_family *family, const char *dimension, const char *text)
{
    for (guint i = 0; i < family->regimes->len; i++) {
        const moe_regime *regime = &g_array_index(family->regimes, moe_regime, i);
        if (!strcmp(regime->dimension, dimension) && !strcmp(regime->label, text))
            return &regime->score;
    }
    return NULL;
}

static void
append_regime(GString *out, const moe_family *family, const char *dimension, const char *text)
{
    const moe_score *s = score_in(family, dimension, text);
    append_share(out, s, s ? s->mean : 0);
}

static void
append_roofline(GString *out, const moe_score *s)
{
    if (s->rows && s->roofline >= 0)
        g_string_append_printf(out, " %.0f %% |", 100 * s->roofline);
    else
        g_string_append(out, " |");
}

static bool
is_collective(const moe_family *family)
{
    return family->kind == MOE_MEASURED_COLLECTIVE;
}

static void
append_line(GString *out, const moe_family *family)
{
    const moe_score *s = &family->all;
    g_string_append_printf(out, "| %s | %zu |", family->name, s->rows);
    append_share(out, s, s->mean);
    append_share(out, family->aside ? &family->odd : NULL, family->odd.mean);
    append_share(out, s, s->median);
    append_share(out, s, s->p90);
    if (s->rows)
        g_string_append_printf(out, " %+.1f %% |", 100 * s->bias);
    else
        g_string_append(out, " |");
    if (is_collective(family)) {
        append_regime(out, family, "size", "below 1 MiB");
        append_regime(out, family, "size", "from 1 MiB");
        append_roofline(out, s);
    } else {
        append_regime(out, family, "bound", "memory");
        append_regime(out, family, "bound", "compute");
        append_roofline(out, s);
        if (family->sign.pairs)
            g_string_append_printf(out, " %.1f %% |",
                                   100 * (double)family->sign.right / (double)family->sign.pairs);
        else
            g_string_append(out, " |");
    }
    g_string_append_c(out, '\n');
}

static void
append_heading(GString *out, const moe_family *family, bool machine)
{
    if (machine)
        g_string_append_printf(out, "%s### %s\n\n", out->len ? "\n" : "", family->preset);
    else
        g_string_append_c(out, '\n');
    if (is_collective(family))
        g_string_append(out,
                        "| | rows | mean | with odd rows | median | 90 % | bias | below 1 MiB "
                        "| from 1 MiB | roofline |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    else
        g_string_append(out,
                        "| | rows | mean | with odd rows | median | 90 % | bias | memory-bound "
                        "| compute-bound | roofline | sign of routing's effect |\n"
                        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
}

/* What nothing foretells has no errors, and stands at the end. */
static void
append_silent(GString *out, const moe_family *all, size_t n)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        if (!all[i].odd.rows)
            g_string_append_printf(names, "%s%s on %s", names->len ? "; " : "", all[i].name,
                                   all[i].preset);
    if (names->len)
        g_string_append_printf(out, "\nNothing foretells: %s.\n", names->str);
}

void
moe_validate_markdown(const moe_validation *v, GString *out)
{
    size_t n = 0;
    const moe_family *all = moe_validation_families(v, &n), *last = NULL;
    for (size_t i = 0; i < n; i++) {
        const moe_family *family = &all[i];
        bool machine = !last || strcmp(last->preset, family->preset) != 0;
        if (!family->odd.rows)
            continue;
        if (machine || is_collective(last) != is_collective(family))
            append_heading(out, family, machine);
        append_line(out, family);
        last = family;
    }
    append_silent(out, all, n);
}
