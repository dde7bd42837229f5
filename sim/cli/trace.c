/* moesim trace: routing traces: look into them, make them, count misses over them. */
#include "sim/cli/trace.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "traces/generate.h"
#include "traces/shards.h"
#include "traces/requests/requests.h"

#include <sys/stat.h>

/* ---- info ---- */

/* Appends the description of a trace of either kind. */
static void
info_describe(const char *path, GString *out, moe_diag *diag, GError **error)
{
    if (moe_requests_recognise(path)) {
        g_autoptr(moe_requests_file) requests = moe_requests_open(path, diag, error);
        if (requests)
            moe_requests_describe(requests, out);
        return;
    }
    g_autoptr(moe_routing_file) routing = moe_routing_open(path, diag, error);
    if (routing)
        moe_routing_describe(routing, out);
}

static int
info(const void *data, const char *const *operands, size_t n)
{
    int code = MOE_EXIT_OK;
    for (size_t i = 0; i < n; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        GError *error = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        info_describe(operands[i], text, diag, &error);
        int failed = moe_say_diag(diag);
        failed = error ? moe_say_error(error) : failed;
        code = code ? code : failed;
        if (i && text->len)
            moe_out_text("\n");
        moe_out_text(text->str);
    }
    return code;
}

static const moe_command info_command = {
    "info",
    "FILE…",
    1,
    SIZE_MAX,
    "Print what routing traces and request traces hold.",
    "  moesim trace info traces/samples/quickstart.safetensors\n",
    NULL,
    0,
    0,
    info,
    NULL};

/* ---- writing ---- */

int
moe_trace_write(moe_routing_builder *builder, const char *name, const char *path, moe_diag *diag)
{
    return moe_trace_write_shards(builder, name, path, MOE_TRACE_SHARD, diag);
}

int
moe_trace_write_shards(moe_routing_builder *builder, const char *name, const char *path,
                       uint64_t shard_bytes, moe_diag *diag)
{
    GError *error = NULL;
    uint32_t n_shards;
    if (moe_routing_builder_failed(builder, name, &error)) {
        moe_routing_builder_free(builder);
        return moe_say_error(error);
    }
    bool valid = moe_routing_builder_check(builder, name, diag);
    int code = moe_say_diag(diag);
    if (!valid) {
        moe_routing_builder_free(builder);
        return code;
    }
    if (!moe_routing_builder_write_shards(builder, path, shard_bytes, &n_shards, &error))
        return moe_say_error(error);
    if (n_shards)
        moe_out("%s" MOE_SHARDS_SUFFIX " written, %u shards beside it\n", path, n_shards);
    else
        moe_out("%s written\n", path);
    return MOE_EXIT_OK;
}

/* ---- outputs that are inputs ---- */

static bool
same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

int
moe_trace_spare_inputs(const char *command, const char *output, bool force,
                       const char *const *inputs, size_t n)
{
    return moe_trace_spare(command, "-o", output, force, inputs, n);
}

int
moe_trace_spare(const char *command, const char *option, const char *output, bool force,
                const char *const *inputs, size_t n)
{
    g_autofree char *index = g_strconcat(output, MOE_SHARDS_SUFFIX, NULL);
    for (size_t i = 0; i < n; i++) {
        bool same = same_file(output, inputs[i]) || same_file(index, inputs[i]);
        GPtrArray *shards = moe_shards_paths(inputs[i]);
        for (guint j = 0; shards && !same && j < shards->len; j++)
            same = same_file(output, shards->pdata[j]);
        if (shards)
            g_ptr_array_unref(shards);
        if (same)
            return moe_say_usage(command, "'%s %s' would replace the input %s: name another file",
                                 option, output, inputs[i]);
    }
    int code = moe_out_room(output, force);
    return code ? code : moe_out_room(index, force);
}

/* ---- sample ---- */

typedef struct sample_values {
    const char *output;
    bool force;
} sample_values;

static const moe_option sample_options[] = {
    {"output", 'o', MOE_OPTION_TEXT, offsetof(sample_values, output), "FILE",
     .help = "The trace to write."},
    MOE_OPTION_FORCE('f', offsetof(sample_values, force)),
};

static int
sample(const void *data, const char *const *operands, size_t n)
{
    const sample_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace sample", "'-o FILE' is missing");
    int code =
        moe_trace_spare_inputs("moesim trace sample", values->output, values->force, NULL, 0);
    if (code)
        return code;
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_generate_config config = moe_generate_sample();
    moe_routing_builder *builder = moe_generate(&config, (moe_loc){0}, diag);
    return builder ? moe_trace_write(builder, "sample", values->output, diag) : moe_say_diag(diag);
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

static const moe_command *const children[] = {
    &info_command,
    &moe_trace_import_command,
    &moe_trace_export_command,
    &sample_command,
    &moe_trace_mrc_command,
    &moe_trace_replay_command,
    &moe_trace_stats_command,
    &moe_trace_fit_command,
    &moe_trace_synth_command,
    &moe_trace_compare_command,
    &moe_trace_transform_command,
    &moe_trace_score_command,
    &moe_trace_bits_command,
    NULL,
};

const moe_command moe_trace_command = {
    "trace", "",   0, 0, "Routing traces: look into them, import them, count misses over them.",
    NULL,    NULL, 0, 0, NULL,
    children};
