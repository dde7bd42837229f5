/* moesim profile plot: figures of a profile. */
#include "analysis/plot.h"
#include "analysis/recording_plot.h"
#include "sim/base/units.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/profile_open.h"

#include <string.h>

typedef struct plot_values {
    const char *output, *expert_bytes, *bandwidth, *trace;
    int figure;
    bool allow_loss;
} plot_values;

#define AT(field) offsetof(plot_values, field)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "WHERE",
     .help = "Folder of the figures, if there is one or the name ends in /; else what their names "
             "begin with."},
    {"figure", 'f', MOE_OPTION_ENUM, AT(figure), "FIGURE", "all|stages|split|gaps|experts|copies",
     .help = "Which one; all by default."},
    {"expert-bytes", 0, MOE_OPTION_TEXT, AT(expert_bytes), "SIZE",
     .help = "Bytes of an expert's weights: with --bandwidth, draws what reading them takes."},
    {"bandwidth", 0, MOE_OPTION_TEXT, AT(bandwidth), "RATE",
     .help = "Bandwidth of the device's memory, as in 3.35TB/s."},
    {"trace", 0, MOE_OPTION_TEXT, AT(trace), "FILE", .help = MOE_TRACE_HELP},
    {"allow-loss", 0, MOE_OPTION_FLAG, AT(allow_loss), .help = MOE_ALLOW_LOSS_HELP},
};

static int
read_config(const plot_values *values, moe_figure_config *config)
{
    int64_t bytes = 0;
    if (!values->output)
        return moe_say_usage("moesim profile plot", "'-o WHERE' is missing");
    if (values->expert_bytes && (!moe_parse_bytes(values->expert_bytes, &bytes) || bytes == 0))
        return moe_say_usage("moesim profile plot",
                             "'--expert-bytes' wants a size such as 84MiB, not '%s'",
                             values->expert_bytes);
    if (values->bandwidth &&
        (!moe_parse_rate(values->bandwidth, &config->bytes_per_s) || config->bytes_per_s <= 0))
        return moe_say_usage("moesim profile plot",
                             "'--bandwidth' wants a rate such as 3.35TB/s, not '%s'",
                             values->bandwidth);
    if (!values->expert_bytes != !values->bandwidth)
        return moe_say_usage("moesim profile plot",
                             "'--expert-bytes' and '--bandwidth' go together");
    config->expert_bytes = (double)bytes;
    return MOE_EXIT_OK;
}

static int
draw(const moe_recording *recording, const plot_values *values, moe_figure_config *config)
{
    size_t n;
    GError *error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    moe_recording_figures(&n);
    bool folder =
        g_str_has_suffix(values->output, "/") || g_file_test(values->output, G_FILE_TEST_IS_DIR);
    g_autofree char *parent = g_path_get_dirname(values->output);
    g_autofree char *base = folder ? NULL : g_path_get_basename(values->output);
    g_autofree char *prefix = base ? g_strconcat(base, "-", NULL) : g_strdup("");
    g_autofree char *path = folder ? g_strdup(values->output) : NULL;
    while (path && strlen(path) > 1 && g_str_has_suffix(path, "/"))
        path[strlen(path) - 1] = '\0';
    config->folder = path ? path : parent;
    config->prefix = prefix;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        if (values->figure == 0 || (size_t)values->figure == i + 1)
            ok = moe_recording_draw(recording, i, config, report, &error);
    moe_out_text(report->str);
    return ok ? MOE_EXIT_OK : moe_say_error(error);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const plot_values *values = data;
    moe_figure_config config = {0};
    int code = read_config(values, &config);
    if (code)
        return code;
    GError *error = NULL;
    if (!moe_plot_possible(&error))
        return moe_say_error(error);
    g_autoptr(moe_recording) recording = moe_profile_open(operands[0], values->allow_loss, &code);
    if (recording && values->trace)
        code = moe_profile_join(recording, values->trace);
    return recording && !code ? draw(recording, values, &config) : code;
}

const moe_command moe_profile_plot_command = {
    "plot",
    "NAME.db",
    1,
    1,
    "Draw what took the time in a profile: by stage, split, gaps, experts, copies.",
    "Data (.dat) and script (.gp) are kept beside each figure.\n"
    "\n"
    "  moesim profile plot run.db -o figures/\n"
    "  moesim profile plot run.db -o run --figure experts --expert-bytes 336MiB \\\n"
    "      --bandwidth 3.35TB/s\n",
    options,
    MOE_COUNT(options),
    sizeof(plot_values),
    run,
    NULL};
