/* moesim trace fit: describe a trace so that more like it can be made. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/selection.h"
#include "sim/cli/trace.h"
#include "traces/output.h"
#include "traces/synth/describe_fit.h"
#include "traces/transform/transform.h"

#include <stdio.h>
#include <unistd.h>

typedef struct fit_values {
    const char *output, *sequences, *select;
    int64_t tokens, numbers, rounds;
    bool force;
} fit_values;

#define AT(field) offsetof(fit_values, field)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "OUT.yaml", .help = "The description to write."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"sequences", 0, MOE_OPTION_TEXT, AT(sequences), "A..B,C,…",
     .help = "Only these sequences, counted from 0; A..B is A, A+1, … B-1. All by default."},
    {"select", 0, MOE_OPTION_TEXT, AT(select), "FILE",
     .help = "Only sequences whose recorded numbers stand in FILE, apart by spaces, commas or "
             "lines."},
    {"tokens", 0, MOE_OPTION_INT, AT(tokens), "N", NULL, 256, 16000000,
     "Look at no more tokens than these, every n-th sequence; 100000 by default."},
    {"numbers", 0, MOE_OPTION_INT, AT(numbers), "N", NULL, 5, 1024,
     "Numbers in the hidden state; by default as many as suit the size of the model."},
    {"rounds", 0, MOE_OPTION_INT, AT(rounds), "N", NULL, 1, 1000,
     "Rounds of generating and correcting; 16 by default."},
};

static void
show(void *context, double done, double total)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%.0f of %.0f\x1b[K", done, total);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const fit_values *values = data;
    if (!values->output)
        return moe_say_usage("moesim trace fit", "'-o OUT.yaml' is missing");
    int spared =
        moe_trace_spare_inputs("moesim trace fit", values->output, values->force, operands, n);
    if (spared)
        return spared;
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_routing_file) file = moe_routing_open(operands[0], diag, &error);
    g_autoptr(GArray) chosen = NULL;
    moe_selection selection = {values->sequences, values->select, NULL};
    if (file)
        chosen = moe_selection_read(moe_routing_get(file), &selection, diag, &error);
    g_autoptr(GString) text = g_string_new(NULL);
    if (chosen) {
        moe_pick pick = {.routing = moe_routing_get(file),
                         .sequences = (const uint32_t *)(const void *)chosen->data,
                         .n = chosen->len};
        moe_fit_config config = {.tokens = (uint64_t)values->tokens,
                                 .numbers = (uint32_t)values->numbers,
                                 .rounds = (uint32_t)values->rounds,
                                 .transform = moe_routing_meta(file, MOE_TRANSFORM_META),
                                 .counterfactual =
                                     moe_routing_meta(file, MOE_TRANSFORM_META_MARK) != NULL};
        moe_describe_fit(&pick, &config, show, NULL, diag, text);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\x1b[K", stderr);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (code)
        return code;
    moe_output *output = moe_output_new(values->output, &error);
    if (output)
        moe_output_write(output, text->str, text->len);
    if (!output || !moe_output_finish(output, &error))
        return moe_say_error(error);
    moe_out("%s written\n", values->output);
    return MOE_EXIT_OK;
}

const moe_command moe_trace_fit_command = {
    "fit",
    "FILE",
    1,
    1,
    "Describe a trace, so that more like it can be made.",
    "Writes a YAML description for `moesim trace synth`: popularity, what the experts of a token\n"
    "say about each other, and how long that lasts. Keep some sequences back and compare:\n"
    "\n"
    "  moesim trace fit real.safetensors --sequences 0..300 -o fitted.yaml\n"
    "  moesim trace synth fitted.yaml --sequences 300 --tokens 100000 -o synth.safetensors\n"
    "  moesim trace compare real.safetensors synth.safetensors --sequences 300..600\n",
    options,
    MOE_COUNT(options),
    sizeof(fit_values),
    run,
    NULL};
