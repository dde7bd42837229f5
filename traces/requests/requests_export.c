#include "traces/requests/requests.h"

#include "traces/requests/timestamp.h"

#include <string.h>

static void
export_header(const moe_requests *r, GString *out)
{
    g_string_append(out, r->clock == MOE_CLOCK_UNIX ? "timestamp" : "arrival_ns");
    g_string_append(out, ",prompt,output");
    if (r->session)
        g_string_append(out, ",session");
    if (r->model)
        g_string_append(out, ",model");
    if (r->block_tokens)
        g_string_append_printf(out, ",blocks_of_%u", r->block_tokens);
    g_string_append_c(out, '\n');
}

/* A text in quotes, where it needs them. */
static void
export_text(GString *out, const char *text)
{
    size_t n = strlen(text);
    if (!strpbrk(text, ",\"") && *text != ' ' && text[n - 1] != ' ') {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            g_string_append_c(out, '"');
        g_string_append_c(out, *c);
    }
    g_string_append_c(out, '"');
}

static void
export_row(const moe_requests *r, uint64_t i, GString *out)
{
    char stamp[MOE_TIMESTAMP_SIZE];
    int64_t time = r->epoch_ns + r->arrival_ns[i];
    if (r->clock == MOE_CLOCK_UNIX)
        g_string_append(out, moe_timestamp_write(stamp, time));
    else
        g_string_append_printf(out, "%" G_GINT64_FORMAT, time);
    g_string_append_printf(out, ",%u,%u", r->prompt[i], r->output[i]);
    if (r->session)
        g_string_append_c(out, ',');
    if (r->session && r->session[i] != MOE_NONE)
        g_string_append_printf(out, "%u", r->session[i]);
    if (r->model)
        g_string_append_c(out, ',');
    if (r->model && r->model[i] != MOE_REQUESTS_NO_MODEL)
        export_text(out, r->models[r->model[i]]);
    if (r->block_tokens) {
        g_string_append_c(out, ',');
        for (uint64_t j = r->block_first[i]; j < r->block_first[i + 1]; j++)
            g_string_append_printf(out, "%s%u", j == r->block_first[i] ? "" : " ", r->blocks[j]);
    }
    g_string_append_c(out, '\n');
}

void
moe_requests_csv(const moe_requests *r, uint64_t from, uint64_t to, GString *out)
{
    export_header(r, out);
    for (uint64_t i = from; i < to; i++)
        export_row(r, i, out);
}

void
moe_requests_export_csv(const moe_requests *r, moe_output *output)
{
    g_autoptr(GString) text = g_string_new(NULL);
    export_header(r, text);
    for (uint64_t i = 0; i < r->n && !moe_output_failed(output); i++) {
        export_row(r, i, text);
        moe_output_write(output, text->str, text->len);
        g_string_truncate(text, 0);
    }
}
