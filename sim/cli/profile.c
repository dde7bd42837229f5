/* moesim profile: profiles of programs: made from raw logs and other tools' files, looked into. */
#include "profiler/profile.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"

#include <string.h>

typedef struct profile_values {
    const char *output, *trace;
    bool force;
} profile_values;

#define AT(field) offsetof(profile_values, field)

/* ---- what was made ---- */

static void
say_summary(const char *path, const char *trace, const moe_profile_summary *s)
{
    moe_out("%s written: %llu processes, %llu kernels, %llu copies and memsets, %llu API calls, "
            "%llu ranges, %llu steps\n",
            path, (unsigned long long)s->processes, (unsigned long long)s->kernels,
            (unsigned long long)s->memops, (unsigned long long)s->calls,
            (unsigned long long)s->ranges, (unsigned long long)s->steps);
    if (trace && s->trace)
        moe_out("%s written\n", trace);
    if (s->lost || s->diagnostics[MOE_PROFILE_ERROR] || s->diagnostics[MOE_PROFILE_WARN])
        moe_out("%llu errors, %llu warnings, %llu losses; see: moesim profile info %s\n",
                (unsigned long long)s->diagnostics[MOE_PROFILE_ERROR],
                (unsigned long long)s->diagnostics[MOE_PROFILE_WARN], (unsigned long long)s->lost,
                path);
}

/* 0, or the exit code after a message: what would be written stands there already. */
static int
spare(const char *command, const profile_values *values, const char *input)
{
    if (!values->output)
        return moe_say_usage(command, "'-o NAME.db' is missing");
    const char *outputs[] = {values->output, values->trace};
    for (size_t i = 0; i < MOE_COUNT(outputs); i++) {
        if (!outputs[i])
            continue;
        if (strcmp(outputs[i], input) == 0)
            return moe_say_usage(command, "'%s' would replace the input: name another file",
                                 outputs[i]);
    }
    int code = moe_out_room(values->output, values->force);
    return code ? code : moe_out_room(values->trace, values->force);
}

/* ---- decode ---- */

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "NAME.db", .help = "The profile to write."},
    {"trace", 't', MOE_OPTION_TEXT, AT(trace), "NAME.safetensors",
     .help = "The routing trace to write, if routing was seen."},
    MOE_OPTION_FORCE('f', AT(force)),
};

static int
decode(const void *data, const char *const *operands, size_t n)
{
    const profile_values *values = data;
    moe_profile_options made = {.trace = values->trace};
    moe_profile_summary summary;
    GError *error = NULL;
    int code = spare("moesim profile decode", values, operands[0]);
    if (code)
        return code;
    if (!moe_profile_decode(operands[0], values->output, &made, &summary, &error))
        return moe_say_error(error);
    say_summary(values->output, values->trace, &summary);
    return MOE_EXIT_OK;
}

static const moe_command decode_command = {
    "decode",
    "NAME.d",
    1,
    1,
    "Make a profile of the raw logs of a capture (moesim capture --keep-raw).",
    "A damaged or cut log is read up to the damage; what is lost is counted in the profile.\n"
    "\n"
    "  moesim profile decode run.d -o run.db --trace run.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(profile_values),
    decode,
    NULL};

/* ---- import ---- */

typedef bool profile_import(const char *file, const char *path, const moe_profile_options *options,
                            moe_profile_summary *summary, moe_diag *diag, GError **error);

static int
import(const void *data, const char *const *operands, size_t n)
{
    static const struct {
        const char *name;
        profile_import *import;
    } kinds[] = {{"nsys", moe_profile_import_nsys}, {"torch", moe_profile_import_torch}};
    static const char command[] = "moesim profile import";
    const profile_values *values = data;
    profile_import *chosen = NULL;
    moe_profile_summary summary;
    GError *error = NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();
    for (size_t i = 0; i < MOE_COUNT(kinds); i++)
        if (strcmp(operands[0], kinds[i].name) == 0)
            chosen = kinds[i].import;
    if (!chosen)
        return moe_say_usage(command, "'%s' is neither nsys nor torch", operands[0]);
    int code = spare(command, values, operands[1]);
    if (code)
        return code;
    bool ok = chosen(operands[1], values->output, NULL, &summary, diag, &error);
    code = moe_say_diag(diag);
    if (!ok)
        return error ? moe_say_error(error) : code;
    say_summary(values->output, NULL, &summary);
    return MOE_EXIT_OK;
}

static const moe_option import_options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "NAME.db", .help = "The profile to write."},
    MOE_OPTION_FORCE('f', AT(force)),
};

static const moe_command import_command = {
    "import",
    "nsys|torch FILE",
    2,
    2,
    "Make a profile of another tool's file.",
    "nsys: a report of Nsight Systems, exported with `nsys export --type sqlite`. torch: a trace "
    "of\n"
    "the PyTorch profiler (export_chrome_trace), plain or packed with gzip. Kernels are joined "
    "with\n"
    "the call that launched them, and the call with the range that was open in its thread.\n"
    "\n"
    "  moesim profile import nsys report.sqlite -o report.db\n"
    "  moesim profile import torch trace.json.gz -o trace.db\n",
    import_options,
    MOE_COUNT(import_options),
    sizeof(profile_values),
    import,
    NULL};

/* ---- info ---- */

static int
info(const void *data, const char *const *operands, size_t n)
{
    int code = MOE_EXIT_OK;
    for (size_t i = 0; i < n; i++) {
        GError *error = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        if (!moe_profile_describe(operands[i], text, &error))
            code = moe_say_error(error);
        moe_out_text(text->str);
    }
    return code;
}

static const moe_command info_command = {
    "info",
    "NAME.db…",
    1,
    SIZE_MAX,
    "Print what a profile holds: processes, devices, counts, losses, and what to do about them.",
    "  moesim profile info run.db\n",
    NULL,
    0,
    0,
    info,
    NULL};

static const moe_command *const children[] = {
    &decode_command,
    &import_command,
    &info_command,
    &moe_profile_stats_command,
    &moe_profile_plot_command,
    &moe_profile_timeline_command,
    NULL,
};

const moe_command moe_profile_command = {
    "profile", "",   0, 0, "Profiles of programs: make them from recordings, look into them.",
    NULL,      NULL, 0, 0, NULL,
    children};
