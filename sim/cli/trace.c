/* moesim trace: routing traces: look into them, make them, count misses over them. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "traces/generate.h"
#include "traces/routing.h"

#include <stdio.h>
#include <unistd.h>

/* ---- info ---- */

static int
info(const void *data, const char *const *operands, size_t n)
{
    int code = MOE_EXIT_OK;
    for (size_t i = 0; i < n; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        GError *error = NULL;
        g_autoptr(moe_routing_file) file = moe_routing_open(operands[i], diag, &error);
        int failed = moe_say_diag(diag);
        failed = error ? moe_say_error(error) : failed;
        code = code ? code : failed;
        if (!file)
            continue;
        g_autoptr(GString) text = g_string_new(i ? "\n" : "");
        moe_routing_describe(file, text);
        moe_out_text(text->str);
    }
    return code;
}

static const moe_command info_command = {
    "info",
    "FILE…",
    1,
    SIZE_MAX,
    "Print shapes, phases, sequences and metadata of traces.",
    "  moesim trace info traces/samples/quickstart.safetensors\n",
    NULL,
    0,
    0,
    info,
    NULL};

/* ---- writing ---- */

/* Writes what the builder holds, after checking it; frees the builder. */
static int
write_trace(moe_routing_builder *builder, const char *name, const char *path, moe_diag *diag)
{
    bool valid = moe_routing_builder_check(builder, name, diag);
    int code = moe_say_diag(diag);
    if (!valid) {
        moe_routing_builder_free(builder);
        return code;
    }
    GError *error = NULL;
    if (!moe_routing_builder_write(builder, path, &error))
        return moe_say_error(error);
    moe_out("%s written\n", path);
    return MOE_EXIT_OK;
}

typedef struct import_values {
    const char *output, *model, *licence;
    int format;
    int64_t experts;
} import_values;

static const moe_option import_options[] = {
    {"format", 'f', MOE_OPTION_ENUM, offsetof(import_values, format), "FORMAT", "csv",
     .help = "What the file is."},
    {"output", 'o', MOE_OPTION_TEXT, offsetof(import_values, output), "OUT",
     .help = "The trace to write (.safetensors)."},
    {"experts", 'e', MOE_OPTION_INT, offsetof(import_values, experts), "N", NULL, 1, 65534,
     "Experts per layer, when the file does not name the last ones."},
    {"model", 'm', MOE_OPTION_TEXT, offsetof(import_values, model), "NAME",
     .help = "Model the routing was taken from, for the metadata."},
    {"licence", 0, MOE_OPTION_TEXT, offsetof(import_values, licence), "TEXT",
     .help = "Licence of the data, for the metadata."},
};

static void
show_import(void *context, double done, double total)
{
    gint64 *shown = context, now = g_get_monotonic_time();
    if (!isatty(STDERR_FILENO) || now - *shown < 200000)
        return;
    *shown = now;
    fprintf(stderr, "\r%.0f%%\x1b[K", total > 0 ? 100 * done / total : 0);
}

static int
import(const void *data, const char *const *operands, size_t n)
{
    const import_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace import", "'-o OUT.safetensors' is missing");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    GError *error = NULL;
    gint64 shown = 0;
    moe_routing_builder *builder = moe_routing_import_csv(
        operands[0], (uint32_t)values->experts, show_import, &shown, diag, report, &error);
    if (shown)
        fputs("\r\x1b[K", stderr);
    moe_out_text(report->str);
    if (error)
        return moe_say_error(error);
    if (!builder)
        return moe_say_diag(diag);
    if (values->model)
        moe_routing_builder_meta(builder, "model", values->model);
    if (values->licence)
        moe_routing_builder_meta(builder, "licence", values->licence);
    return write_trace(builder, operands[0], values->output, diag);
}

static const moe_command import_command = {
    "import",
    "IN",
    1,
    1,
    "Turn another format into a routing trace.",
    "csv: a header line with the columns seq, pos, layer, experts and, if wanted, weights and\n"
    "phase; experts (and weights) separated by spaces; plain, .gz or .zst.\n"
    "\n"
    "  moesim trace import --format csv routing.csv.gz -o routing.safetensors\n",
    import_options,
    MOE_COUNT(import_options),
    sizeof(import_values),
    import,
    NULL};

/* ---- sample ---- */

typedef struct sample_values {
    const char *output;
} sample_values;

static const moe_option sample_options[] = {
    {"output", 'o', MOE_OPTION_TEXT, offsetof(sample_values, output), "FILE",
     .help = "The trace to write."},
};

static int
sample(const void *data, const char *const *operands, size_t n)
{
    const sample_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace sample", "'-o FILE' is missing");
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_generate_config config = moe_generate_sample();
    moe_routing_builder *builder = moe_generate(&config, (moe_loc){0}, diag);
    return builder ? write_trace(builder, "sample", values->output, diag) : moe_say_diag(diag);
}

static const moe_command sample_command = {
    "sample",
    "",
    0,
    0,
    "Make the sample trace of the quick start anew, byte for byte.",
    "  moesim trace sample -o sample.safetensors\n",
    sample_options,
    MOE_COUNT(sample_options),
    sizeof(sample_values),
    sample,
    NULL};

static const moe_command *const children[] = {&info_command, &import_command, &sample_command,
                                              &moe_trace_mrc_command, NULL};

const moe_command moe_trace_command = {
    "trace", "",   0, 0, "Routing traces: look into them, import them, count misses over them.",
    NULL,    NULL, 0, 0, NULL,
    children};
