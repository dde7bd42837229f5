/* moesim capture: a checkpoint is run, and what its routers say becomes a trace. */
#include "sim/cli/capture.h"

#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/cli/capture_backend.h"
#include "sim/cli/capture_offload.h"
#include "sim/cli/capture_program.h"
#include "sim/cli/cut_short.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/policy/policy.h"

#include <errno.h>
#include <string.h>

#define AT(field) offsetof(moe_capture_values, field)
#define COMMAND "moesim capture"
enum { SAVE_SECONDS = 10 };

static const moe_option options[] = {
    {"model", 'm', MOE_OPTION_TEXT, AT(model), "DIR",
     .help = "Folder of the checkpoint: config.json and safetensors, in one file or sharded."},
    {"tokens", 't', MOE_OPTION_LIST, AT(tokens), "FILE",
     .help = "Token ids: lines of JSON ({\"ids\": [464, 318], \"domain\": \"c\", \"prompt\": 1}), "
             "lines of ids, npy, 32-bit ids (NAME.u32), or a trace, which is run again. May be "
             "repeated."},
    {"text", 0, MOE_OPTION_LIST, AT(text), "FILE",
     .help = "Text, a sequence of its own, through the model's tokenizer.json (wants the Python "
             "package tokenizers). May be repeated."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "NAME",
     .help = "The trace to write; .safetensors is added where it is missing."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"decode", 'n', MOE_OPTION_INT, AT(decode), "N", NULL, 0, 1 << 24,
     "Tokens to decode behind each prompt. Default: 0, prefill only."},
    {"batch", 'b', MOE_OPTION_INT, AT(batch), "B", NULL, 1, 65536,
     "Sequences that run together. Default: 1.", 1},
    {"chunk", 0, MOE_OPTION_INT, AT(chunk), "ROWS", NULL, 1, 65536,
     "Most tokens of a prefill step; longer prompts take several. Default: 256.", 256},
    {"context", 0, MOE_OPTION_INT, AT(context), "N", NULL, 1, MOE_NONE - 1,
     "Cut sequences to N positions, decoded ones included. Default: texts are cut to the model's "
     "context, longer ids are an error."},
    {"lookahead", 'd', MOE_OPTION_INT, AT(lookahead), "D", NULL, 0, MOE_DECODER_MAX_LOOKAHEAD,
     "Record what the gates of the next D layers say on each layer's input, and how alike the "
     "inputs are. Default: 1.",
     1},
    {"logits", 0, MOE_OPTION_FLAG, AT(logits),
     .help = "Record the router's logits of all experts (2 bytes each)."},
    {"times", 0, MOE_OPTION_FLAG, AT(times),
     .help = "Measure and record what each stage takes, by step and layer. The trace then differs "
             "from run to run."},
    {"temperature", 0, MOE_OPTION_TEXT, AT(temperature), "T",
     .help = "Draw what is decoded from softmax(logits / T). Default: 0, the likeliest."},
    {"seed", 0, MOE_OPTION_INT, AT(seed), "N", NULL, 0, INT64_MAX,
     "Seed of the draws, which are of (seed, sequence, position). Default: 0."},
    {"ignore-end", 0, MOE_OPTION_FLAG, AT(ignore_end),
     .help = "Decode on where the model says that the text ends."},
    {"exact", 0, MOE_OPTION_FLAG, AT(exact),
     .help =
         "The same bytes on every machine and with any number of threads: no BLAS, every sum in "
         "a fixed order. Slower."},
    {"backend", 0, MOE_OPTION_ENUM, AT(backend), "WHO", "cpu|cuda|auto", 0, 0,
     "Who computes: the processor; a CUDA device; or that if there is one, else the processor. "
     "Default: cpu."},
    {"precision", 0, MOE_OPTION_ENUM, AT(precision), "TYPE", "bf16|f32", 0, 0,
     "Of activations on a CUDA device: bf16 on tensor cores, or f32 (slow, to compare with the "
     "processor). Weights are bf16 in both. Default: bf16."},
    {"eager", 0, MOE_OPTION_FLAG, AT(eager),
     .help = "On a CUDA device: launch every kernel of every step, no CUDA graphs."},
    {"grouped", 0, MOE_OPTION_ENUM, AT(grouped), "WHOSE", "own|cublas", 0, 0,
     "On a CUDA device: experts by the project's own kernels, or by cuBLAS's grouped GEMM, for "
     "which each layer waits. Default: own."},
    {"threads", 'j', MOE_OPTION_INT, AT(threads), "N", NULL, 1, 4096,
     "Threads. Default: as many as there are processors."},
    {"save-every", 0, MOE_OPTION_TEXT, AT(save_every), "TIME",
     .help =
         "Write what there is so often, or as often as takes a fortieth of the time: it is what "
         "a capture that is killed leaves. Default: 10s."},
    {"dry-run", 0, MOE_OPTION_FLAG, AT(dry),
     .help = "Run, but look ahead, record and write nothing: what the computing alone takes."},
    {"offload", 0, MOE_OPTION_TEXT, AT(offload), "SIZE",
     .help = "Leave experts on disk and keep so many in memory: bytes (8MiB), a share (25%), or "
             "'12 slots'. Reads go past the page cache where they can."},
    {"offload-home", 0, MOE_OPTION_ENUM, AT(offload_home), "PLACE", "disk|dram", 0, 0,
     "With --backend cuda, where --offload keeps experts in the device's memory: where the others "
     "stay, on disk or in pinned memory of the host. Default: disk."},
    {"evict", 0, MOE_OPTION_TEXT, AT(evict), "POLICY",
     .help = "Who leaves when a slot is needed (`moesim list policies`), as in a scenario. "
             "Default: " MOE_DEFAULT_EVICT "."},
    {"scope", 0, MOE_OPTION_TEXT, AT(scope), "SCOPE",
     .help = "model: one pool of slots; layer: one of equal size per layer. Default: model."},
    {"predict", 0, MOE_OPTION_TEXT, AT(predict), "POLICY",
     .help = "Where forecasts come from. Default: recorded, the gates' look-ahead."},
    {"prefetch", 0, MOE_OPTION_TEXT, AT(prefetch), "POLICY",
     .help = "What is loaded before it is asked for. Default: " MOE_DEFAULT_PREFETCH "."},
    {"profile", 0, MOE_OPTION_TEXT, AT(profile), "SHARE",
     .help = "Share of the followed trace's sequences whose expert popularity is known to "
             "policies that ask for it. Default: 10%."},
    {"decisions", 0, MOE_OPTION_TEXT, AT(decisions), "FILE",
     .help = "Write what the cache decided, in order; `moesim trace replay` checks it."},
    {"follow", 0, MOE_OPTION_TEXT, AT(follow), "TRACE",
     .help = "Run the tokens of a trace again (with the --batch and --chunk it was made with); "
             "policies that know the future know what it recorded."},
    {"name", 0, MOE_OPTION_TEXT, AT(name), "TEXT",
     .help = "What the model is called in the metadata. Default: the folder's name."},
    {"licence", 0, MOE_OPTION_TEXT, AT(licence), "TEXT",
     .help = "Licence of the trace, for the metadata."},
};

/* ---- what the options say ---- */

/* A number that no option kind has; false after a message. */
static bool
check_texts(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    double temperature = 0;
    int64_t save_ps = SAVE_SECONDS * INT64_C(1000000000000);
    if (v->temperature &&
        (!moe_parse_real(v->temperature, &temperature) || temperature < 0 || temperature > 1000)) {
        moe_say_usage(COMMAND, "'--temperature' wants a number from 0 to 1000, not '%s'",
                      v->temperature);
        return false;
    }
    if (v->save_every && !moe_parse_time(v->save_every, &save_ps)) {
        moe_say_usage(COMMAND, "'--save-every' wants a time such as 10s, not '%s'", v->save_every);
        return false;
    }
    job->config.temperature = (float)temperature;
    job->save_us = save_ps / 1000000;
    return true;
}

static int
check_usage(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    if (!v->model)
        return moe_say_usage(COMMAND, "'--model DIR' is missing: the folder of a checkpoint");
    if (v->tokens->len + v->text->len == 0 && !v->follow)
        return moe_say_usage(COMMAND, "'--tokens FILE' or '--text FILE' is missing");
    if (!v->output && !v->dry)
        return moe_say_usage(COMMAND, "'-o NAME' is missing");
    if (v->dry && (v->logits || v->times))
        return moe_say_usage(COMMAND, "'--dry-run' records nothing, so no '--%s' either",
                             v->logits ? "logits" : "times");
    int code = moe_capture_backend_usage(v);
    code = code ? code : moe_capture_offload_usage(v);
    if (code)
        return code;
    return check_texts(job) ? MOE_EXIT_OK : MOE_EXIT_USAGE;
}

static void
configure(moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    moe_capture_config *c = &job->config;
    c->decode = (uint32_t)v->decode;
    c->batch = (uint32_t)v->batch;
    c->chunk = (uint32_t)v->chunk;
    c->lookahead = (uint32_t)v->lookahead;
    c->threads = (uint32_t)v->threads;
    c->seed = (uint64_t)v->seed;
    c->exact = v->exact;
    c->logits = v->logits;
    c->times = v->times;
    c->ignore_end = v->ignore_end;
    c->dry = v->dry;
    if (!v->output)
        return;
    job->output = g_str_has_suffix(v->output, ".safetensors")
                      ? g_strdup(v->output)
                      : g_strconcat(v->output, ".safetensors", NULL);
}

/* ---- the command ---- */

static int
load(moe_capture_job *job)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    if (!g_file_test(job->values->model, G_FILE_TEST_IS_DIR)) {
        bool there = g_file_test(job->values->model, G_FILE_TEST_EXISTS);
        moe_error_path(&error, MOE_ERROR_FILE, job->values->model, there ? ENOTDIR : ENOENT,
                       "cannot open the folder");
        return moe_say_error(error);
    }
    job->weights = moe_weights_open(job->values->model, diag, &error);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    return code;
}

static int
capture(const void *data, const char *const *operands, size_t n)
{
    moe_capture_job job = {.values = data, .tokens = moe_tokens_new()};
    configure(&job);
    g_autofree char *scratch = job.output ? g_path_get_dirname(job.output) : NULL;
    job.config.scratch = scratch;
    int code = check_usage(&job);
    code = code ? code : moe_capture_places_usage(&job);
    code = code ? code : load(&job);
    g_autofree char *checkpoint =
        g_strdup_printf("%s: a file of the checkpoint", job.values->model);
    moe_cut_short(checkpoint);
    code = code ? code : moe_capture_places(&job);
    code = code ? code : moe_capture_read(&job);
    code = code ? code : moe_capture_backend_open(&job);
    code = code ? code : moe_capture_offload_open(&job);
    code = code ? code : moe_capture_run(&job);
    moe_capture_offload_close(&job);
    moe_capture_backend_close(&job);
    moe_tokens_free(job.tokens);
    moe_weights_close(job.weights);
    g_free(job.output);
    moe_cut_short("an input file");
    return code;
}

const moe_command moe_capture_command = {
    "capture",
    "",
    0,
    0,
    "Run a model's checkpoint and record its routing, and what its gates foresee, as a trace.",
    "Runs on the processor, from the checkpoint's files as they are, or on a CUDA device. Prompts "
    "are\n"
    "prefilled a batch at a time; a step of the trace is what ran together. Then, with --decode, a "
    "token of each "
    "sequence\n"
    "at a time follows: what the model says, or the rest of the ids where a line's \"prompt\", or "
    "a\n"
    "trace that is run again, says what was decoded.\n"
    "\n"
    "  moesim capture --model OLMoE-1B-7B --text prompts.txt --decode 64 -o olmoe\n"
    "  moesim capture -m OLMoE-1B-7B -t ids.jsonl --batch 8 --lookahead 4 -o olmoe\n"
    "  moesim trace stats olmoe.safetensors --only lookahead,capture\n"
    "\n"
    "Ids without the Python package tokenizers on this machine: make them where it is, by\n"
    "\n"
    "  python3 -c 'import sys, tokenizers; print(*tokenizers.Tokenizer.from_file(sys.argv[1])\\\n"
    "    .encode(open(sys.argv[2]).read()).ids)' DIR/tokenizer.json TEXT > ids.txt\n"
    "\n"
    "Experts on disk, with the caches and policies of scenarios; policies that know the future "
    "want\n"
    "the trace of a run before:\n"
    "\n"
    "  moesim capture -m OLMoE-1B-7B --follow olmoe.safetensors --batch 8 --offload 25% \\\n"
    "    --evict belady --decisions run.log -o again\n"
    "  moesim trace replay run.log olmoe.safetensors\n"
    "\n"
    "What recording takes is the difference to a run that does not:\n"
    "\n"
    "  moesim capture -m OLMoE-1B-7B -t ids.jsonl --dry-run\n",
    options,
    MOE_COUNT(options),
    sizeof(moe_capture_values),
    capture,
    .other = &moe_capture_program_command,
    .is_other = moe_capture_is_program,
    .form = "moesim capture --model DIR",
};
