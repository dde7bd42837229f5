/* moesim capture -- PROGRAM: a program of any kind is run, and what it does is recorded. */
#include "sim/cli/capture_program.h"

#include "sim/base/units.h"
#include "sim/cli/output.h"

#include <string.h>
#include <unistd.h>

#define AT(field) offsetof(moe_program_values, field)
#define COMMAND "moesim capture"
#define PS_PER_MS INT64_C(1000000000)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "NAME",
     .help =
         "Writes NAME.db (the profile) and, where routing was seen, NAME.safetensors (a trace); "
         "NAME.d holds what is not decoded yet. Default: capture."},
    {"force", 'f', MOE_OPTION_FLAG, AT(force), .help = "Replace what an earlier capture wrote."},
    {"trace", 0, MOE_OPTION_TEXT, AT(trace), "KINDS",
     .help = "What is recorded, by commas: kernel, memop (copies, sets), api (calls of CUDA), nvtx "
             "(ranges), route (routing of engines). Default: all."},
    {"engine", 0, MOE_OPTION_ENUM, AT(engine), "NAME", "auto|hf|vllm|sglang|none", 0, 0,
     "Whose routing is recorded: Hugging Face transformers, vLLM, SGLang, or whichever is "
     "imported. "
     "none: Python is left alone."},
    {"range", 0, MOE_OPTION_TEXT, AT(range), "WHEN",
     .help = "all; profiler-api: between cudaProfilerStart and cudaProfilerStop; "
             "nvtx:DOMAIN/NAME: inside such ranges. Default: all."},
    {"delay", 0, MOE_OPTION_TEXT, AT(delay), "TIME",
     .help = "Record only so long after the start, such as 5s."},
    {"duration", 0, MOE_OPTION_TEXT, AT(duration), "TIME", .help = "Record no longer than that."},
    {"graph", 0, MOE_OPTION_ENUM, AT(graph), "HOW", "node|graph", 0, 0,
     "CUDA graphs: each kernel inside, or each launch as a whole (less overhead)."},
    {"max-buffer", 0, MOE_OPTION_INT, AT(max_buffer), "MIB", NULL, 16, 1 << 20,
     "Memory for records that are not yet written, in MiB. Default: 512.", 512},
    {"env", 0, MOE_OPTION_LIST, AT(env), "KEY=VALUE",
     .help = "Set a variable for the program. May be repeated."},
    {"keep-raw", 0, MOE_OPTION_FLAG, AT(keep_raw), .help = "Keep NAME.d."},
    {"strict", 0, MOE_OPTION_FLAG, AT(strict),
     .help = "Exit with 3 when what was asked for could not be recorded, with 4 when records were "
             "lost."},
    {"require-gpu", 0, MOE_OPTION_FLAG, AT(require_gpu),
     .help = "Exit with 3, and run nothing, when kernels cannot be recorded here."},
    {"overhead", 0, MOE_OPTION_FLAG, AT(overhead),
     .help =
         "Run the program once more, before and without recording, and note both times. What it "
         "reads on standard input must come from a file, to be read twice."},
    {"check", 0, MOE_OPTION_FLAG, AT(check),
     .help = "Run nothing: say what can be recorded on this machine. Exit with 3 when kernels "
             "cannot."},
    {"probe", 0, MOE_OPTION_FLAG, AT(probe),
     .help = "Run nothing: print what libcuda and libcupti say when they are loaded, as KEY=VALUE; "
             "--check and --require-gpu ask so."},
};

bool
moe_capture_is_program(int argc, const char *const *argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--") || !strcmp(argv[i], "--check") || !strcmp(argv[i], "--probe"))
            return true;
    return false;
}

/* ---- what the options say ---- */

static int
read_kind(const char *word, unsigned *trace)
{
    size_t n = 0;
    for (; moe_launch_kinds[n]; n++)
        if (!strcmp(word, moe_launch_kinds[n])) {
            *trace |= 1u << n;
            return MOE_EXIT_OK;
        }
    const char *close = moe_suggest(word, moe_launch_kinds, n);
    g_autofree char *all = g_strjoinv(", ", (char **)(uintptr_t)moe_launch_kinds);
    return moe_say_usage(COMMAND, "'--trace' knows no '%s'%s%s%s; it knows %s", word,
                         close ? "; did you mean '" : "", close ? close : "", close ? "'" : "",
                         all);
}

static int
read_trace(const char *list, unsigned *trace)
{
    if (!list) {
        *trace = MOE_LAUNCH_all;
        return MOE_EXIT_OK;
    }
    if (!*list)
        return read_kind("", trace);
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    for (char **word = words; *word; word++) {
        int code = read_kind(*word, trace);
        if (code)
            return code;
    }
    return MOE_EXIT_OK;
}

static int
read_range(const char *range)
{
    if (!range || !strcmp(range, "all") || !strcmp(range, "profiler-api"))
        return MOE_EXIT_OK;
    const char *slash = strchr(range, '/');
    if (g_str_has_prefix(range, "nvtx:") && slash && slash[1])
        return MOE_EXIT_OK;
    return moe_say_usage(COMMAND, "'--range' wants all, profiler-api or nvtx:DOMAIN/NAME, not '%s'",
                         range);
}

static int
read_time(const char *option, const char *text, int64_t *ms)
{
    int64_t ps = 0;
    if (text && (!moe_parse_time(text, &ps) || ps < 0))
        return moe_say_usage(COMMAND, "'--%s' wants a time such as 5s, not '%s'", option, text);
    *ms = ps / PS_PER_MS + (ps % PS_PER_MS > 0);
    return MOE_EXIT_OK;
}

static int
read_env(const GPtrArray *env)
{
    for (guint i = 0; i < env->len; i++) {
        const char *text = g_ptr_array_index(env, i);
        if (text[0] == '=' || !strchr(text, '='))
            return moe_say_usage(COMMAND, "'--env' wants KEY=VALUE, not '%s'", text);
    }
    return MOE_EXIT_OK;
}

static int
read_options(const moe_program_values *v, moe_launch_config *launch)
{
    static const char *const engines[] = {"auto", "hf", "vllm", "sglang", "none"};
    launch->engine = engines[v->engine];
    launch->whole_graphs = v->graph == 1;
    launch->range = v->range;
    launch->max_buffer_mib = v->max_buffer;
    launch->set = (const char *const *)v->env->pdata;
    launch->n_set = v->env->len;
    int code = read_trace(v->trace, &launch->trace);
    code = code ? code : read_range(v->range);
    code = code ? code : read_time("delay", v->delay, &launch->delay_ms);
    code = code ? code : read_time("duration", v->duration, &launch->duration_ms);
    code = code ? code : read_env(v->env);
    if (code == 0 && v->duration && launch->duration_ms == 0)
        return moe_say_usage(COMMAND, "'--duration' wants a time above 0, not '%s'", v->duration);
    if (code == 0 && v->range && g_str_has_prefix(v->range, "nvtx:") &&
        !(launch->trace & MOE_LAUNCH_nvtx))
        return moe_say_usage(COMMAND, "'--range %s' wants nvtx in '--trace'", v->range);
    return code;
}

/* ---- the run ---- */

static int
say_not_started(const moe_program_job *job, const moe_launch_end *end)
{
    moe_say("cannot run '%s': %s", job->argv[0], g_strerror(end->failed));
    return moe_launch_exit_status(end);
}

static int
refuse(const moe_program_job *job)
{
    if (job->values->require_gpu) {
        g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
        g_autoptr(moe_probe) probe = moe_capture_probe((const char *const *)env);
        if (!probe)
            return MOE_EXIT_NOT_CAPTURED;
        g_autofree char *why = moe_probe_obstacle(probe) ? moe_probe_explain(probe) : NULL;
        if (why || !job->inject) {
            moe_say("nothing was run: kernels cannot be recorded here: %s",
                    why ? why : "libmoesim_inject.so is absent");
            return MOE_EXIT_NOT_CAPTURED;
        }
    }
    g_autofree char *taken = moe_launch_taken(&job->launch, job->environment);
    if (!taken)
        return MOE_EXIT_OK;
    moe_say("nothing was run: %s is set already: another tool wants to be injected, and only one "
            "can be; unset it, or leave its kinds out of --trace",
            taken);
    return MOE_EXIT_LAUNCH;
}

/* Without recording, for --overhead. Of a file, the second run reads again what the first read. */
static int
run_plain(moe_program_job *job)
{
    if (!job->values->overhead)
        return MOE_EXIT_OK;
    off_t input = lseek(STDIN_FILENO, 0, SEEK_CUR);
    moe_launch_config plain = {.set = job->launch.set, .n_set = job->launch.n_set};
    g_auto(GStrv) env = moe_launch_environment(&plain, job->environment);
    moe_launch_run(job->argv, (const char *const *)env, &job->plain);
    if (job->plain.failed)
        return say_not_started(job, &job->plain);
    if (input >= 0)
        (void)lseek(STDIN_FILENO, input, SEEK_SET);
    int status = moe_launch_exit_status(&job->plain);
    if (status)
        moe_say("without recording it ended with %d", status);
    return job->plain.forwarded ? status : MOE_EXIT_OK;
}

static int
run(moe_program_job *job)
{
    int code = refuse(job);
    if (code)
        return code;
    g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
    /* before -f removes anything */
    job->end.failed = moe_launch_missing(job->argv[0], (const char *const *)env);
    if (job->end.failed)
        return say_not_started(job, &job->end);
    code = moe_capture_room(job);
    if (code)
        return code;
    code = run_plain(job);
    if (code) {
        moe_capture_clear(job);
        return code;
    }
    moe_launch_run(job->argv, (const char *const *)env, &job->end);
    if (job->end.failed) {
        moe_capture_clear(job);
        return say_not_started(job, &job->end);
    }
    return moe_capture_finish(job);
}

/* ---- the command ---- */

static void
name_outputs(moe_program_job *job)
{
    const char *name = job->values->output ? job->values->output : "capture";
    size_t length = strlen(name) - (g_str_has_suffix(name, ".db") ? strlen(".db") : 0);
    job->folder = g_strdup_printf("%.*s.d", (int)length, name);
    job->database = g_strdup_printf("%.*s.db", (int)length, name);
    job->trace = g_strdup_printf("%.*s.safetensors", (int)length, name);
}

static int
choose(moe_program_job *job, size_t n)
{
    const moe_program_values *v = job->values;
    if (v->check)
        return n ? moe_say_usage(COMMAND, "'--check' runs no program") : moe_capture_check(job);
    if (n == 0)
        return moe_say_usage(COMMAND, "'-- PROGRAM' is missing: what to run");
    if (v->output && (!*v->output || g_str_has_suffix(v->output, "/")))
        return moe_say_usage(COMMAND, "'--output' wants a name");
    return run(job);
}

static int
capture_program(const void *data, const char *const *operands, size_t n)
{
    const moe_program_values *v = data;
    if (v->probe) {
        g_autoptr(GString) said = g_string_new(NULL);
        moe_probe_here(said);
        moe_out_text(said->str);
        return MOE_EXIT_OK;
    }
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    for (size_t i = 0; i < n; i++)
        g_ptr_array_add(words, (gpointer)(uintptr_t)operands[i]);
    g_ptr_array_add(words, NULL);
    g_auto(GStrv) environment = g_get_environ();
    moe_program_job job = {.values = v,
                           .argv = (const char *const *)words->pdata,
                           .environment = (const char *const *)environment};
    name_outputs(&job);
    job.inject = moe_launch_find_inject();
    job.hook = moe_launch_find_hook();
    job.launch.folder = job.folder;
    job.launch.inject = job.inject;
    job.launch.hook = job.hook;
    int code = read_options(v, &job.launch);
    code = code ? code : choose(&job, n);
    moe_capture_leave(&job);
    g_free(job.folder);
    g_free(job.database);
    g_free(job.trace);
    g_free(job.inject);
    g_free(job.hook);
    return code;
}

const moe_command moe_capture_program_command = {
    "capture",
    "-- PROGRAM [ARGUMENTS…]",
    0,
    SIZE_MAX,
    "Run any program and record its kernels, copies, calls of CUDA, NVTX ranges and routing.",
    "Nothing of the program is changed: libmoesim_inject.so is named to CUDA and NVTX, a hook to\n"
    "Python. What cannot be recorded here is said, and the program runs all the same. Ends with "
    "the\n"
    "program's own exit status (128 + N by signal N); 125 to 127 when it could not be started, 5\n"
    "when what was recorded could not be written.\n"
    "\n"
    "  moesim capture -o olmoe -- python3 generate.py\n"
    "  moesim capture -o run -- moesim capture --model OLMoE-1B-7B -t ids.jsonl -o trace\n"
    "  moesim capture --check\n"
    "\n"
    "Should moesim be killed, the program goes on; `moesim profile decode NAME.d -o NAME.db` then\n"
    "makes the profile.\n",
    options,
    MOE_COUNT(options),
    sizeof(moe_program_values),
    capture_program,
    .form = "moesim capture -- PROGRAM",
};
