#include "analysis/plot_private.h"

#include "sim/base/units.h"

#include <math.h>
#include <string.h>

static const char *const written[][2] = {
    {"ttft", "TTFT"}, {"tpot", "TPOT"}, {"itl", "ITL"}, {"moe", "MoE"}, {"e2e", "end-to-end"},
};

/* The unit stands beside the title, so a name's ending that repeats it goes. */
char *
moe_plot_metric_title(const char *metric)
{
    static const char *const endings[][2] = {
        {"tokens_per_s", "throughput"}, {"_bytes", ""}, {"_s", ""}, {"_j", ""}, {"_w", ""}};
    GString *title = g_string_new(metric);
    for (size_t i = 0; i < MOE_COUNT(endings); i++)
        if (g_str_has_suffix(title->str, endings[i][0])) {
            g_string_truncate(title, title->len - strlen(endings[i][0]));
            g_string_append(title, endings[i][1]);
            break;
        }
    for (size_t i = 0; i < MOE_COUNT(written); i++) {
        size_t length = strlen(written[i][0]);
        if (g_str_has_prefix(title->str, written[i][0]) && title->str[length] == '_') {
            g_string_erase(title, 0, (gssize)length);
            g_string_prepend(title, written[i][1]);
        }
    }
    g_strdelimit(title->str, "_", ' ');
    return g_string_free(title, FALSE);
}

/* The number a text begins with, and what follows it; false when it does not begin with one. */
static bool
split_number(const char *text, double *number, const char **rest)
{
    if (!g_ascii_isdigit(text[text[0] == '-']))
        return false;
    char *end = NULL;
    *number = g_ascii_strtod(text, &end);
    while (*end == ' ')
        end++;
    *rest = end;
    return isfinite(*number);
}

/* A quantity in its base unit; the kind says which of the parsers took it. */
static bool
base_value(const char *text, int kind, double *value)
{
    int64_t integer = 0;
    switch (kind) {
    case 0:
        if (!moe_parse_bytes(text, &integer))
            return false;
        break;
    case 1:
        if (!moe_parse_time(text, &integer))
            return false;
        break;
    case 2:
        return moe_parse_rate(text, value);
    default:
        return moe_parse_flops(text, value);
    }
    *value = (double)integer;
    return true;
}

/* Quantities of different prefixes: all in the unit of the first. */
static bool
convert_numbers(const GPtrArray *texts, const char *unit, GArray *numbers)
{
    g_autofree char *one = g_strconcat("1", unit, NULL);
    for (int kind = 0; kind < 4; kind++) {
        double scale = 0, value = 0;
        bool all = base_value(one, kind, &scale) && scale > 0;
        for (size_t i = 0; all && i < texts->len; i++) {
            all = base_value(g_ptr_array_index(texts, i), kind, &value);
            value /= scale;
            if (all)
                g_array_append_val(numbers, value);
        }
        if (all)
            return true;
        g_array_set_size(numbers, 0);
    }
    return false;
}

bool
moe_plot_numbers(const GPtrArray *texts, GArray *numbers, char **unit)
{
    const char *rest = NULL, *first = NULL;
    bool same = true;
    for (size_t i = 0; i < texts->len; i++) {
        double number = 0;
        if (!split_number(g_ptr_array_index(texts, i), &number, &rest))
            return false;
        first = first ? first : rest;
        same = same && !strcmp(first, rest);
        g_array_append_val(numbers, number);
    }
    if (!first)
        return false;
    if (!same) {
        g_array_set_size(numbers, 0);
        if (!convert_numbers(texts, first, numbers))
            return false;
    }
    *unit = g_strdup(first);
    return true;
}
