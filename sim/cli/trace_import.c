/* moesim trace import: routing or requests that other programs wrote become a trace. */
#include "sim/base/units.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/trace.h"
#include "traces/import/import.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct import_values {
    const char *output, *model, *licence, *memory, *shard_size;
    int format; /* 0: auto, else moe_importers[format - 1] */
    int64_t layers, experts, top_k, sequences, block_tokens, seed;
    bool sort, renormalise, by_weight, force;
} import_values;

#define MOE_IMPORTER(symbol, name) "|" name
static const char formats[] = "auto"
#include "traces/import/importers.def"
    ;
#undef MOE_IMPORTER

#define AT(field) offsetof(import_values, field)

static const moe_option options[] = {
    {"format", 'f', MOE_OPTION_ENUM, AT(format), "FORMAT", formats,
     .help = "What the files are (`moesim list importers`). Default: auto, by their content."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "OUT",
     .help = "The trace to write (.safetensors)."},
    MOE_OPTION_FORCE(0, AT(force)),
    {"model", 'm', MOE_OPTION_TEXT, AT(model), "NAME",
     .help =
         "Model the routing was taken from, for the metadata; one of `moesim list models`, or a "
         "config.json, is compared with what the files hold."},
    {"layers", 0, MOE_OPTION_INT, AT(layers), "N", NULL, 1, MOE_ROUTING_MAX_LAYERS,
     "MoE layers, when the files do not say."},
    {"experts", 'e', MOE_OPTION_INT, AT(experts), "N", NULL, 1, MOE_ROUTING_MAX_EXPERTS,
     "Experts per layer, when the files do not name the last ones."},
    {"top-k", 'k', MOE_OPTION_INT, AT(top_k), "N", NULL, 1, MOE_ROUTING_MAX_K,
     "Experts per token and layer, when the files do not say."},
    {"sequences", 0, MOE_OPTION_INT, AT(sequences), "N", NULL, 1, MOE_NONE - 1,
     "Sequences of a batch, where the files do not say and rows of several alternate."},
    {"sort", 0, MOE_OPTION_FLAG, AT(sort),
     .help = "Put requests in order of their times; else times that fall are an error."},
    {"block-tokens", 0, MOE_OPTION_INT, AT(block_tokens), "N", NULL, 1, 1 << 20,
     "Tokens in a prefix block of requests whose tokens are listed. Default: 16."},
    {"seed", 0, MOE_OPTION_INT, AT(seed), "N", NULL, 0, INT64_MAX,
     "Seed of requests that are drawn (servegen). Default: 0."},
    {"renormalise", 0, MOE_OPTION_FLAG, AT(renormalise),
     .help = "Router logits: the gate weights of a token's experts sum to 1 (Mixtral, "
             "norm_topk_prob)."},
    {"by-weight", 0, MOE_OPTION_FLAG, AT(by_weight),
     .help = "Ids of a row stand in order of falling gate weight, though no weights are recorded."},
    {"licence", 0, MOE_OPTION_TEXT, AT(licence), "TEXT",
     .help = "Licence of the data, for the metadata."},
    {"shard-size", 0, MOE_OPTION_TEXT, AT(shard_size), "SIZE",
     .help = "Above this the trace is written in shards, OUT-00001-of-0000N.safetensors, with an "
             "index OUT.safetensors.index.json, which is then what is opened. Default: 4GiB."},
    {"memory", 0, MOE_OPTION_TEXT, AT(memory), "SIZE",
     .help =
         "What is held in memory before it goes to a temporary file in the folder of the output, "
         "which is written from it in the end. Default: 64MiB."},
};

/* What the line of progress goes by. */
typedef struct import_shown {
    gint64 started, shown; /* us; 0: not yet */
} import_shown;

static void
show_import(void *context, double done, double total)
{
    import_shown *s = context;
    gint64 now = g_get_monotonic_time();
    if (!isatty(STDERR_FILENO) || now - s->shown < 200000)
        return;
    s->shown = now;
    double passed = (double)(now - s->started) * 1e-6, rate = passed > 0 ? done / passed : 0;
    g_autofree char *bytes = moe_format_bytes((int64_t)done);
    g_autofree char *speed = moe_format_rate(rate);
    if (total > 0 && rate > 0)
        fprintf(stderr, "\r%.0f%% of the input, %s, %.0f s to go\x1b[K", 100 * done / total, speed,
                (total - done) / rate);
    else
        fprintf(stderr, "\r%s of the input, %s\x1b[K", bytes, speed);
}

/* What may be the preset of a model by its name on a hub ("Qwen/Qwen3-30B-A3B": qwen3-30b-a3b);
 * NULL when it is a path or no such name. Yours. */
static char *
import_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash || slash == name || *name == '.' || strchr(slash + 1, '/') ||
        g_str_has_suffix(name, ".json") || g_str_has_suffix(name, ".yaml") ||
        g_file_test(name, G_FILE_TEST_EXISTS))
        return NULL;
    return g_ascii_strdown(slash + 1, -1);
}

/* The model that --model names, to compare with: a preset, a config.json. A name that is neither is
 * only a name. *code: 0, or the exit code after messages. */
static moe_model_set *
import_model(const char *name, GString *report, int *code)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autofree char *hub = import_hub_name(name);
    moe_model_set *set =
        moe_model_load(hub ? hub : name, NULL, (moe_loc){.file = "--model"}, diag, &error);
    *code = MOE_EXIT_OK;
    if (set)
        return set;
    if (error || (!hub && strchr(name, '/')) || g_str_has_suffix(name, ".json") ||
        g_str_has_suffix(name, ".yaml")) {
        *code = error ? moe_say_error(error) : moe_say_diag(diag);
        return NULL;
    }
    g_autofree char *why = moe_diag_first(diag);
    g_string_append_printf(report, "--model: %s; taken as a name, nothing is compared with it\n",
                           why);
    return NULL;
}

/* Folder for what does not fit into memory: beside the output, where there is most likely room. */
static char *
import_scratch(const char *output)
{
    struct stat status;
    if (stat(output, &status) == 0 && !S_ISREG(status.st_mode))
        return NULL;
    return g_path_get_dirname(output);
}

/* What came in: one of the two, or nothing. */
typedef struct import_result {
    moe_routing_builder *routing;
    moe_requests_builder *requests;
} import_result;

static import_result
import_run(const import_values *values, moe_import_job *job)
{
    import_result result = {NULL, NULL};
    const moe_importer *importer =
        values->format ? moe_importers[values->format - 1] : moe_importer_sniff(job);
    if (importer && importer->requests)
        result.requests = moe_import_requests(importer, job);
    else if (importer)
        result.routing = moe_import_run(importer, job);
    return result;
}

static int
import_write_requests(const import_values *values, moe_requests_builder *builder, const char *name)
{
    GError *error = NULL;
    if (values->model)
        moe_requests_builder_meta(builder, "model", values->model);
    if (values->licence)
        moe_requests_builder_meta(builder, "licence", values->licence);
    g_autoptr(moe_requests_file) file = moe_requests_builder_finish(builder, name, &error);
    if (!file || !moe_requests_write(file, values->output, &error))
        return moe_say_error(error);
    moe_out("%s written\n", values->output);
    return MOE_EXIT_OK;
}

/* --memory and --shard-size; 0, or the exit code after a message. */
static int
import_sizes(const import_values *values, int64_t *memory, int64_t *shard_size)
{
    *memory = 0;
    *shard_size = MOE_TRACE_SHARD;
    if (values->shard_size && (!moe_parse_bytes(values->shard_size, shard_size) || !*shard_size))
        return moe_say_usage("moesim trace import",
                             "'--shard-size' wants a size such as 4GiB, not '%s'",
                             values->shard_size);
    if (values->memory && !moe_parse_bytes(values->memory, memory))
        return moe_say_usage("moesim trace import",
                             "'--memory' wants a size such as 64MiB, not '%s'", values->memory);
    return MOE_EXIT_OK;
}

static moe_import_options
import_options_of(const import_values *values)
{
    return (moe_import_options){
        .layers = (uint32_t)values->layers,
        .experts = (uint32_t)values->experts,
        .top_k = (uint32_t)values->top_k,
        .sequences = (uint32_t)values->sequences,
        .by_weight = values->by_weight,
        .renormalise = values->renormalise,
        .sort = values->sort,
        .block_tokens = (uint32_t)values->block_tokens,
        .seed = (uint64_t)values->seed,
    };
}

static int
import(const void *data, const char *const *operands, size_t n)
{
    const import_values *values = data;
    int64_t memory, shard_size;
    if (!values->output)
        return moe_say_usage("moesim trace import", "'-o OUT.safetensors' is missing");
    int code =
        moe_trace_spare_inputs("moesim trace import", values->output, values->force, operands, n);
    code = code ? code : import_sizes(values, &memory, &shard_size);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_model_set) model =
        values->model && !code ? import_model(values->model, report, &code) : NULL;
    if (code)
        return code;
    g_autofree char *scratch = import_scratch(values->output);
    GError *error = NULL;
    import_shown shown = {.started = g_get_monotonic_time()};
    moe_import_options import_options = import_options_of(values);
    import_options.model = model ? moe_model_get(model) : NULL;
    import_options.scratch = scratch;
    import_options.scratch_above = (uint64_t)memory;
    moe_import_job job = {.paths = operands,
                          .n_paths = n,
                          .options = &import_options,
                          .progress = show_import,
                          .context = &shown,
                          .diag = diag,
                          .report = report,
                          .error = &error};
    import_result result = import_run(values, &job);
    if (shown.shown)
        fputs("\r\x1b[K", stderr);
    moe_out_text(report->str);
    if (error)
        return moe_say_error(error);
    if (result.requests)
        return import_write_requests(values, result.requests, operands[0]);
    if (!result.routing)
        return moe_say_diag(diag);
    if (values->model)
        moe_routing_builder_meta(result.routing, "model", values->model);
    if (values->licence)
        moe_routing_builder_meta(result.routing, "licence", values->licence);
    return moe_trace_write_shards(result.routing, operands[0], values->output, (uint64_t)shard_size,
                                  diag);
}

const moe_command moe_trace_import_command = {
    "import",
    "IN…",
    1,
    SIZE_MAX,
    "Turn other formats into a routing trace or a request trace.",
    "The format is found by the content, or said with --format; `moesim list importers` describes\n"
    "each. Text may be packed with gzip or zstd. What was dropped or noticed is printed.\n"
    "\n"
    "  moesim trace import routing.csv.gz -o routing.safetensors\n"
    "  moesim trace import AzureLLMInferenceTrace2023_code.csv -o requests.safetensors\n"
    "  moesim trace import --format csv --model gpt-oss-20b routing.csv -o routing.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(import_values),
    import,
    NULL};
