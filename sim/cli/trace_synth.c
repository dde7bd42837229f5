/* moesim trace synth: make a trace from a description. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/trace.h"
#include "traces/synth/description.h"

typedef struct synth_values {
    const char *output;
    int64_t tokens, sequences, seed;
    bool keys, force;
} synth_values;

#define AT(field) offsetof(synth_values, field)

static const moe_option options[] = {
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "OUT", .help = "The trace to write."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"tokens", 'n', MOE_OPTION_INT, AT(tokens), "N", NULL, 1, MOE_NONE - 1,
     "Tokens in all, shared out evenly among the sequences; prompts keep their share. Without "
     "--sequences as many sequences as keep the description's length nearest, at least one."},
    {"sequences", 0, MOE_OPTION_INT, AT(sequences), "S", NULL, 1, 1000000000,
     "Sequences; without --tokens each as long as the description says. By default the "
     "description's number."},
    {"seed", 0, MOE_OPTION_INT, AT(seed), "X", NULL, 0, 9000000000000000,
     "Seed of all draws; by default the description's."},
    {"keys", 0, MOE_OPTION_FLAG, AT(keys),
     .help = "Print what a description may say, as a Markdown table, and make nothing."},
};

static int
print_keys(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    moe_param_markdown(moe_generate_table(), text);
    moe_out_text(text->str);
    return MOE_EXIT_OK;
}

/* Sequences and tokens of each: what the options do not say stays near the description. */
static void
set_lengths(moe_generate_config *config, const synth_values *values)
{
    int64_t before = config->prompt + config->output;
    if (values->sequences)
        config->sequences = values->sequences;
    else if (values->tokens)
        config->sequences = MAX((values->tokens + before / 2) / before, 1);
    if (!values->tokens)
        return;
    int64_t each = values->tokens / config->sequences;
    double share = (double)config->prompt / (double)before;
    config->prompt = (int64_t)(share * (double)each + 0.5);
    config->output = each - config->prompt;
    config->longer = values->tokens % config->sequences;
}

static void
print_lengths(const moe_generate_config *config)
{
    int64_t each = config->prompt + config->output, n = config->sequences;
    moe_out("%" G_GINT64_FORMAT " sequence%s of %" G_GINT64_FORMAT, n, n == 1 ? "" : "s", each);
    if (config->longer)
        moe_out(" or %" G_GINT64_FORMAT, each + 1);
    moe_out(" tokens, %" G_GINT64_FORMAT " of them prompt; %" G_GINT64_FORMAT " tokens in all\n",
            config->prompt, n * each + config->longer);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const synth_values *values = data;
    if (values->keys)
        return print_keys();
    if (!n || !values->output)
        return moe_say_usage("moesim trace synth",
                             n ? "'-o OUT' is missing" : "a description is missing");
    int code =
        moe_trace_spare_inputs("moesim trace synth", values->output, values->force, operands, n);
    if (code)
        return code;
    if (values->tokens && values->sequences > values->tokens)
        return moe_say_usage("moesim trace synth",
                             "'--tokens' is less than '--sequences': some would have none");
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_description) description = moe_description_load(operands[0], diag, &error);
    if (error)
        return moe_say_error(error);
    if (!description)
        return moe_say_diag(diag);
    moe_generate_config *config = moe_description_config(description);
    set_lengths(config, values);
    config->seed = values->seed ? values->seed : config->seed;
    moe_loc where = {.file = operands[0]};
    moe_routing_builder *builder = moe_generate(config, where, diag);
    code =
        builder ? moe_trace_write(builder, operands[0], values->output, diag) : moe_say_diag(diag);
    if (builder && !code)
        print_lengths(config);
    return code;
}

const moe_command moe_trace_synth_command = {
    "synth",
    "DESCRIPTION",
    0,
    1,
    "Make a trace of any length from a description.",
    "The description is YAML, written by `moesim trace fit` or by hand; --keys lists its\n"
    "keys. The same description, lengths and seed give the same bytes on any machine.\n"
    "--tokens alone changes how many sequences there are, not how long they are.\n"
    "\n"
    "  moesim trace synth fitted.yaml --tokens 1000000 --sequences 2000 --seed 7 \\\n"
    "      -o synth.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(synth_values),
    run,
    NULL};
