#include "traces/synth/description.h"

#include <math.h>
#include <string.h>

static void
write_numbers(const float *values, uint32_t n, GString *out)
{
    for (uint32_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%ld", i ? " " : "", lrint((double)values[i] * 100));
    g_string_append_c(out, '\n');
}

/* Comment lines, each after "# ". */
static void
write_comment(const char *comment, GString *out)
{
    g_auto(GStrv) lines = g_strsplit(comment, "\n", -1);
    for (size_t i = 0; lines[i]; i++)
        if (*lines[i])
            g_string_append_printf(out, "# %s\n", lines[i]);
}

static void
write_real(const char *key, double value, GString *out)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(text, sizeof text, "%.6g", value);
    g_string_append_printf(out, "%s: %s\n", key, text);
}

static void
write_rows(const char *key, const float *first, uint32_t rows, size_t stride,
           const moe_hidden *hidden, GString *out)
{
    if (rows)
        g_string_append_printf(out, "  %s: |\n", key);
    for (uint32_t r = 0; r < rows; r++) {
        g_string_append(out, "    ");
        write_numbers(first + r * stride, hidden->n_experts, out);
    }
}

static void
write_layer(const moe_hidden *hidden, uint32_t layer, GString *out)
{
    size_t first = (size_t)layer * hidden->n_experts;
    size_t cells = (size_t)hidden->n_layers * hidden->n_experts;
    g_string_append_printf(out, "# layer %u\n- bias: ", layer);
    write_numbers(hidden->bias + first, hidden->n_experts, out);
    g_string_append(out, "  noise: ");
    write_numbers(hidden->noise + first, hidden->n_experts, out);
    if (hidden->sharpness[layer] > 0)
        write_real("  sharpness", hidden->sharpness[layer], out);
    write_rows("loadings", hidden->loadings + first, hidden->n_numbers, cells, hidden, out);
    if (hidden->pairs && layer > 0)
        write_rows("pairs", hidden->pairs + first * hidden->n_experts, hidden->n_experts,
                   hidden->n_experts, hidden, out);
}

static void
write_opening(const moe_hidden *hidden, uint32_t i, GString *out)
{
    size_t choices = (size_t)hidden->n_layers * hidden->k;
    write_real("- share", hidden->opening_share[i], out);
    g_string_append(out, "  experts:");
    for (size_t j = 0; j < choices; j++)
        g_string_append_printf(out, " %u", hidden->opening[i * choices + j]);
    g_string_append_c(out, '\n');
}

/* A text in double quotes: backslashes and quotes escaped, other controls left out. */
static void
write_quoted(const char *key, const char *text, GString *out)
{
    g_string_append_printf(out, "%s: \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            g_string_append_c(out, '\\');
        if (!g_ascii_iscntrl(*text))
            g_string_append_c(out, *text);
    }
    g_string_append(out, "\"\n");
}

void
moe_description_write(const moe_generate_config *config, const char *comment, GString *out)
{
    const moe_hidden *hidden = config->hidden;
    write_comment(comment, out);
    if (config->model && *config->model)
        write_quoted("model", config->model, out);
    if (config->fitted_to && *config->fitted_to)
        write_quoted("fitted_to", config->fitted_to, out);
    if (config->transform)
        write_quoted("transform", config->transform, out);
    if (config->counterfactual)
        g_string_append(out, "counterfactual: true\n");
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {{"layers", config->layers},       {"experts", config->experts},
                 {"top_k", config->top_k},         {"sequences", config->sequences},
                 {"prompt", config->prompt},       {"output", config->output},
                 {"lookahead", config->lookahead}, {"seed", config->seed}};
    for (size_t i = 0; i < MOE_COUNT(sizes); i++)
        g_string_append_printf(out, "%s: %" G_GINT64_FORMAT "\n", sizes[i].key, sizes[i].value);
    write_real("recall", config->recall, out);
    write_real("stickiness", config->stickiness, out);
    write_real("affinity", config->affinity, out);
    if (!hidden)
        return;
    g_string_append(out, "hidden:\n  components:\n");
    for (uint32_t c = 0; c < hidden->n_components; c++) {
        char lasts[G_ASCII_DTOSTR_BUF_SIZE];
        g_ascii_formatd(lasts, sizeof lasts, "%.6g", hidden->components[c].lasts);
        g_string_append_printf(out, "  - {lasts: %s, ", lasts);
        if (hidden->components[c].echo)
            g_string_append(out, "echo: true, ");
        if (hidden->components[c].next > 0) {
            g_ascii_formatd(lasts, sizeof lasts, "%.6g", hidden->components[c].next);
            g_string_append_printf(out, "next: %s, ", lasts);
        }
        g_string_append_printf(out, "rank: %d}\n", (int)hidden->components[c].rank);
    }
    if (hidden->n_opening)
        g_string_append(out, "opening:\n");
    for (uint32_t i = 0; i < hidden->n_opening; i++)
        write_opening(hidden, i, out);
    g_string_append(out, "router:\n");
    for (uint32_t layer = 0; layer < hidden->n_layers; layer++)
        write_layer(hidden, layer, out);
}
