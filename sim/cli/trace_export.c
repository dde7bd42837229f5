/* moesim trace export: a trace for other programs. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/trace.h"
#include "traces/export/export.h"

typedef struct export_values {
    const char *output;
    bool force;
    int format; /* 0: by the output's name, else moe_exporters[format - 1] */
} export_values;

#define MOE_EXPORTER(symbol, name, suffix) "|" name
static const char formats[] = "by-name"
#include "traces/export/exporters.def"
    ;
#undef MOE_EXPORTER

static const moe_option options[] = {
    {"format", 'f', MOE_OPTION_ENUM, offsetof(export_values, format), "FORMAT", formats,
     .help = "What to write (`moesim list exporters`). Default: by the name of the output."},
    {"output", 'o', MOE_OPTION_TEXT, offsetof(export_values, output), "OUT",
     .help = "The file to write."},
    MOE_OPTION_FORCE(0, offsetof(export_values, force)),
};

static int
export_requests(const moe_exporter *exporter, const char *path, const char *output)
{
    if (!exporter->requests)
        return moe_say_usage("moesim trace export", "%s holds requests, which %s cannot; csv can",
                             path, exporter->name);
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_requests_file) file = moe_requests_open(path, diag, &error);
    int code = moe_say_diag(diag);
    if (file && moe_export_requests(exporter, moe_requests_get(file), output, &error))
        moe_out("%s written\n", output);
    return error ? moe_say_error(error) : code;
}

static int export(const void *data, const char *const *operands, size_t n)
{
    const export_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace export", "'-o OUT' is missing");
    const moe_exporter *exporter =
        values->format ? moe_exporters[values->format - 1] : moe_exporter_of(values->output);
    if (!exporter)
        return moe_say_usage("moesim trace export", "'%s' does not say the format; --format does",
                             values->output);
    int code =
        moe_trace_spare_inputs("moesim trace export", values->output, values->force, operands, n);
    if (code)
        return code;
    if (moe_requests_recognise(operands[0]))
        return export_requests(exporter, operands[0], values->output);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    GError *error = NULL;
    g_autoptr(moe_routing_file) file = moe_routing_open(operands[0], diag, &error);
    code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (!file)
        return code;
    bool ok = moe_export(exporter, file, values->output, NULL, NULL, report, &error);
    moe_out_text(report->str);
    if (!ok)
        return moe_say_error(error);
    moe_out("%s written\n", values->output);
    return MOE_EXIT_OK;
}

const moe_command moe_trace_export_command = {
    "export",
    "FILE",
    1,
    1,
    "Write a trace for other programs.",
    "  moesim trace export trace.safetensors -o trace.csv\n"
    "  moesim trace export --format oracleGeneral trace.safetensors -o trace.bin\n"
    "\n"
    "What a format cannot hold is said.\n",
    options,
    MOE_COUNT(options),
    sizeof(export_values),
    export,
    NULL};
