/* moesim profile timeline: what was measured, and what was simulated, for Perfetto. */
#include "analysis/timeline_recording.h"
#include "sim/cli/command.h"
#include "sim/cli/load.h"
#include "sim/cli/output.h"
#include "sim/cli/profile_open.h"
#include "traces/output.h"

#include <string.h>
#include <zlib.h>

#define PATH "moesim profile timeline"

typedef struct timeline_values {
    const char *output, *run;
    int64_t step, simulated_step;
    GPtrArray *simulated, *sets;
    bool force;
} timeline_values;

#define AT(field) offsetof(timeline_values, field)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "FILE",
     .help = "The timeline to write: .pftrace, Perfetto's own format, or .json, Chrome's trace "
             "events; with .gz behind it compressed."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"simulated", 0, MOE_OPTION_LIST, AT(simulated), "FILE",
     .help = "A simulated run beside it: a database of results (stored with store=timeline), or a "
             "scenario (.yaml), which is simulated now; may be repeated."},
    {"run", 'r', MOE_OPTION_TEXT, AT(run), "RUN",
     .help = "Which run: the beginning of its identity in a database; its number, from 0, in a "
             "scenario. By default the only one with a timeline; the first."},
    {"step", 0, MOE_OPTION_INT, AT(step), "N", NULL, -1, INT64_MAX,
     "Only this step. By default all of them, with the first ones aligned.", -1},
    {"simulated-step", 0, MOE_OPTION_INT, AT(simulated_step), "N", NULL, -1, INT64_MAX,
     "The simulated step to lay under it; by default the one of the same number.", -1},
    {"set", 's', MOE_OPTION_LIST, AT(sets), "KEY=VALUE",
     .help = "Set a key of the scenario, as for `run`; may be repeated."},
};

/* ---- writing ---- */

typedef struct target {
    moe_output *output;
    z_stream gzip;
    bool compressed;
} target;

static bool
deflate_some(target *t, const char *text, size_t n, int how)
{
    unsigned char block[1 << 16];
    t->gzip.next_in = (unsigned char *)(uintptr_t)text;
    t->gzip.avail_in = (uInt)n;
    do {
        t->gzip.next_out = block;
        t->gzip.avail_out = sizeof block;
        if (deflate(&t->gzip, how) == Z_STREAM_ERROR)
            return false;
        moe_output_write(t->output, block, sizeof block - t->gzip.avail_out);
    } while (t->gzip.avail_out == 0);
    return !moe_output_failed(t->output);
}

static bool
put(void *context, const char *text, size_t n)
{
    target *t = context;
    if (t->compressed)
        return deflate_some(t, text, n, Z_NO_FLUSH);
    moe_output_write(t->output, text, n);
    return !moe_output_failed(t->output);
}

static bool
is_json(const char *path)
{
    return g_str_has_suffix(path, ".json") || g_str_has_suffix(path, ".json.gz");
}

static int
write_timeline(moe_timeline *timeline, const char *path)
{
    enum { GZIP = 15 + 16 };
    GError *error = NULL;
    target t = {.output = moe_output_new(path, &error),
                .compressed = g_str_has_suffix(path, ".gz")};
    if (!t.output)
        return moe_say_error(error);
    if (t.compressed && deflateInit2(&t.gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, 8,
                                     Z_DEFAULT_STRATEGY) != Z_OK) {
        moe_output_discard(t.output);
        moe_say("%s: no memory to compress it", path);
        return MOE_EXIT_ENVIRONMENT;
    }
    if (is_json(path))
        moe_timeline_print_json(timeline, put, &t);
    else
        moe_timeline_print_proto(timeline, put, &t);
    if (t.compressed) {
        deflate_some(&t, "", 0, Z_FINISH);
        deflateEnd(&t.gzip);
    }
    if (!moe_output_finish(t.output, &error))
        return moe_say_error(error);
    moe_out("%s written, %zu slices; open it in https://ui.perfetto.dev\n", path,
            moe_timeline_slices(timeline));
    return MOE_EXIT_OK;
}

/* ---- what is drawn ---- */

static int
add_profile(moe_timeline *timeline, const char *path, int64_t step)
{
    GError *error = NULL;
    int code = MOE_EXIT_OK;
    g_autofree char *label = g_path_get_basename(path);
    g_autoptr(moe_recording) recording = moe_profile_open(path, true, &code);
    if (!recording)
        return code;
    return moe_timeline_add_recording(timeline, recording, label, step, &error)
               ? MOE_EXIT_OK
               : moe_say_error(error);
}

static int
add_scenario(moe_timeline *timeline, const char *file, const timeline_values *values, int64_t step)
{
    GError *error = NULL;
    int64_t run = 0;
    g_autoptr(GPtrArray) sets = g_ptr_array_new(), loaded = moe_loaded_array();
    for (guint i = 0; i < values->sets->len; i++)
        g_ptr_array_add(sets, values->sets->pdata[i]);
    g_ptr_array_add(sets, (gpointer)(uintptr_t) "store=timeline");
    moe_load_options load = {.sets = sets};
    int code = moe_load_all(PATH, &file, 1, &load, loaded);
    if (code)
        return code;
    const moe_loaded *scenario = g_ptr_array_index(loaded, 0);
    size_t n = moe_scenario_runs(scenario->scenario);
    if (values->run && (!moe_parse_int(values->run, &run) || run < 0 || (size_t)run >= n))
        return moe_say_usage(PATH, "--run %s: %s has %zu run%s, 0 to %zu", values->run, file, n,
                             n == 1 ? "" : "s", n - 1);
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_result *result = moe_scenario_simulate(scenario->scenario, (size_t)run, NULL, NULL, diag);
    moe_diag_source(diag, file, scenario->text, strlen(scenario->text));
    if (!result)
        return moe_say_diag(diag);
    bool ok = moe_timeline_add_result(timeline, result, scenario->name, step, &error);
    moe_result_free(result);
    return ok ? MOE_EXIT_OK : moe_say_error(error);
}

static int
add_simulated(moe_timeline *timeline, const char *file, const timeline_values *values, int64_t step)
{
    if (g_str_has_suffix(file, ".yaml") || g_str_has_suffix(file, ".yml"))
        return add_scenario(timeline, file, values, step);
    GError *error = NULL;
    g_autofree char *label = g_path_get_basename(file);
    return moe_timeline_add_stored(timeline, file, values->run, label, step, &error)
               ? MOE_EXIT_OK
               : moe_say_error(error);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const timeline_values *values = data;
    int code = MOE_EXIT_OK;
    if (!values->output)
        return moe_say_usage(PATH, "'-o FILE' is missing");
    if (n == 0 && values->simulated->len == 0)
        return moe_say_usage(PATH, "wants a profile NAME.db, or --simulated FILE");
    if ((code = moe_out_room(values->output, values->force)))
        return code;
    int64_t step = values->step < 0 ? MOE_RECORDING_UNKNOWN : values->step;
    int64_t other = values->simulated_step < 0 ? step : values->simulated_step;
    g_autoptr(moe_timeline) timeline = moe_timeline_new();
    for (size_t i = 0; i < n && code == MOE_EXIT_OK; i++)
        code = add_profile(timeline, operands[i], step);
    for (guint i = 0; i < values->simulated->len && code == MOE_EXIT_OK; i++)
        code = add_simulated(timeline, values->simulated->pdata[i], values, other);
    return code ? code : write_timeline(timeline, values->output);
}

const moe_command moe_profile_timeline_command = {
    "timeline",
    "[NAME.db…]",
    0,
    SIZE_MAX,
    "Lay profiles and simulated runs on one timeline, for ui.perfetto.dev.",
    "Streams, copy engines, links and host threads are tracks; steps begin together at time 0.\n"
    "\n"
    "  moesim profile timeline run.db -o run.json.gz\n"
    "  moesim profile timeline run.db --simulated scenarios/quickstart.yaml --step 3 -o "
    "step.json\n",
    options,
    MOE_COUNT(options),
    sizeof(timeline_values),
    run,
    NULL};
