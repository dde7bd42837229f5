/* The header line: which column is where. */
#include "traces/import/csv.h"

#include <string.h>

#define CSV_HEADER "seq,pos,layer,experts[,weights][,phase]"

const char *const csv_names[CSV_KINDS] = {
    [CSV_SEQ] = "seq",         [CSV_POS] = "pos",         [CSV_LAYER] = "layer",
    [CSV_EXPERTS] = "experts", [CSV_WEIGHTS] = "weights", [CSV_PHASE] = "phase",
};

static csv_kind
csv_known(const char *name)
{
    for (int i = 0; i < CSV_KINDS; i++)
        if (strcmp(csv_names[i], name) == 0)
            return (csv_kind)i;
    return CSV_IGNORED;
}

static bool
csv_header_names(csv_import *c, char *const *names, const char *text)
{
    unsigned seen = 0;
    for (uint32_t i = 0; names[i]; i++) {
        const char *name = g_strstrip(names[i]);
        csv_kind kind = csv_known(name);
        if (i == CSV_MAX_COLUMNS)
            return csv_fail(c, NULL, "more than %d columns", CSV_MAX_COLUMNS);
        if (kind != CSV_IGNORED && (seen & 1u << kind))
            return csv_fail(c, NULL, "column '%s' named twice", name);
        seen |= 1u << kind;
        c->columns[c->n_columns++] = kind;
        if (kind == CSV_IGNORED) {
            g_autofree char *shown = g_strescape(name, NULL);
            moe_import_note(c->job, "column '%s' ignored", shown);
        }
    }
    if (!(seen & ((1u << CSV_KINDS) - 1)))
        return csv_fail(c, text, "wants a header line: " CSV_HEADER);
    for (int i = CSV_SEQ; i <= CSV_EXPERTS; i++) {
        if (seen & 1u << i)
            continue;
        const char *near = NULL;
        for (uint32_t j = 0; !near && names[j]; j++)
            near = moe_suggest(names[j], &csv_names[i], 1) ? names[j] : NULL;
        csv_fail(c, text, "header line without column '%s'%s%s%s; wants " CSV_HEADER, csv_names[i],
                 near ? ", but with '" : "", near ? near : "", near ? "'" : "");
    }
    c->has_weights = seen & 1u << CSV_WEIGHTS;
    c->has_phase = seen & 1u << CSV_PHASE;
    return c->errors == 0;
}

bool
csv_header(csv_import *c)
{
    const char *bad, *text = c->lines.text;
    size_t length = c->lines.length;
    if (!g_utf8_validate_len(text, length, &bad) || length > 65536)
        return csv_fail(c, NULL, "the header line is no text; wants " CSV_HEADER);
    g_autofree char *line = g_strndup(text, length);
    g_auto(GStrv) names = g_strsplit(line, ",", -1);
    return csv_header_names(c, names, text);
}
