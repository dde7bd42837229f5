/* moesim validate: measured tables foretold, and by how much that is off. */
#include "profiler/validate.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/tables.h"
#include "sim/cli/trace.h"
#include "sim/cli/validate_report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "moesim validate"
#define AT(field) offsetof(validate_values, field)

typedef struct validate_values {
    const char *device, *kernels, *fit, *output, *plot, *markdown;
    GPtrArray *only, *except;
    bool brief, quiet, force;
    int64_t worst;
} validate_values;

static const moe_option options[] = {
    {"device", 0, MOE_OPTION_TEXT, AT(device), "PRESET",
     .help = "The machine whose numbers foretell the rows: a preset's name or a path. Default: the "
             "preset with the device that each row names."},
    {"kernels", 0, MOE_OPTION_TEXT, AT(kernels), "LIB",
     .help = "The kernel library, a name or a path; `own`: the machine's flat numbers alone. "
             "Default: that of each row's framework and version, and behind it what the machine "
             "names."},
    {"fit", 0, MOE_OPTION_TEXT, AT(fit), "ROWS",
     .help =
         "Fit the numbers of machine and library to some rows first, and foretell the others: "
         "4of5 (four of five shapes of each kind, by a hash of the shape, whole shapes with all "
         "of their rows), ranks<8 (collectives of fewer ranks; of other kinds all), all, none. "
         "Default: none, everything is foretold."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "DB",
     .help = "Store rows and errors in this database of results (tables validation, "
             "validation_row, validation_error)."},
    {"only", 0, MOE_OPTION_LIST, AT(only), "COLUMN=TEXT",
     .help = "Only rows that say so, such as kind=experts or dtype=fp8. May be repeated."},
    {"not", 0, MOE_OPTION_LIST, AT(except), "COLUMN=TEXT",
     .help = "No rows that say so. May be repeated."},
    {"worst", 0, MOE_OPTION_INT, AT(worst), "N", NULL, 0, 1000,
     "Rows to show of each kind, those farthest off. Default: 3.", 3},
    {"brief", 'b', MOE_OPTION_FLAG, AT(brief), .help = "One line for each kind of row."},
    {"markdown", 0, MOE_OPTION_TEXT, AT(markdown), "FILE",
     .help = "Write the errors as tables of Markdown: those of hw/README.md."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"plot", 0, MOE_OPTION_TEXT, AT(plot), "DIR",
     .help = "Draw predicted against measured times, by kind and machine, below DIR (gnuplot)."},
    {"quiet", 'q', MOE_OPTION_FLAG, AT(quiet), .help = "No notes about the tables, no progress."},
};

static void
say_notes(const moe_measured *table)
{
    size_t n = 0;
    const char *const *notes = moe_measured_notes(table, &n);
    for (size_t i = 0; i < n; i++)
        moe_out("%s\n", notes[i]);
    if (n)
        moe_out("\n");
}

static bool
draw(const moe_validation *v, const char *folder, GError **error)
{
    g_autoptr(moe_sheet) sheet = moe_validate_figures(v, "Predicted and measured times");
    g_autoptr(GString) report = g_string_new(NULL);
    bool drawn = moe_sheet_draw(sheet, folder, report, error);
    moe_out_text(report->str);
    return drawn;
}

/* ---- the line of progress ---- */

typedef struct line {
    int64_t began, shown; /* microseconds */
    bool said;
} line;

static void
show(void *context, double share)
{
    line *l = context;
    int64_t now = g_get_monotonic_time();
    if (!isatty(STDERR_FILENO) || now - l->shown < G_USEC_PER_SEC / 5 ||
        now - l->began < G_USEC_PER_SEC)
        return;
    l->shown = now;
    l->said = true;
    double seconds = (double)(now - l->began) / G_USEC_PER_SEC;
    if (share > 0.01)
        fprintf(stderr, "\r%3.0f %%, about %.0f s left\033[K", 100 * share,
                seconds * (1 - share) / share);
    else
        fprintf(stderr, "\r%3.0f %%\033[K", 100 * share);
}

static void
hide(const line *l)
{
    if (l->said)
        fprintf(stderr, "\r\033[K");
}

static void
validate(moe_measured *table, const validate_values *v, const moe_fit_choice *fit, moe_diag *diag,
         GError **error)
{
    line l = {.began = g_get_monotonic_time()};
    moe_validate_options o = {.device = v->device,
                              .kernels = v->kernels,
                              .fit = *fit,
                              .progress = v->quiet ? NULL : show,
                              .context = &l};
    g_autoptr(moe_validation) validation = moe_validate(table, &o, diag, error);
    hide(&l);
    g_autoptr(GString) text = g_string_new(NULL);
    if (!validation)
        return;
    if (!v->quiet)
        say_notes(table);
    moe_validate_print(validation, table, v->brief, (size_t)v->worst);
    moe_validate_markdown(validation, text);
    if (v->markdown && !moe_out_file(v->markdown, text, error))
        return;
    if (v->output &&
        moe_validate_store(validation, table, v->fit ? v->fit : "none", v->output, error))
        moe_out("%s written\n", v->output);
    if (v->plot && !*error)
        draw(validation, v->plot, error);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const validate_values *v = data;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new();
    moe_fit_choice fit = {0};
    GError *error = NULL;
    int code = MOE_EXIT_OK;

    if (!moe_fit_choice_parse(v->fit ? v->fit : "none", &fit))
        return moe_say_usage(COMMAND, "'--fit %s': wanted is 4of5, ranks<8, all or none", v->fit);
    const char *const outputs[] = {v->output, v->markdown};
    for (size_t i = 0; i < MOE_COUNT(outputs) && code == MOE_EXIT_OK; i++)
        if (outputs[i])
            code = moe_trace_spare_inputs(COMMAND, outputs[i], v->force || outputs[i] == v->output,
                                          operands, n);
    if (code)
        return code;
    if (moe_tables_read(table, operands, n, diag, &error)) {
        code = moe_tables_choose(COMMAND, table, v->only, true);
        if (code == MOE_EXIT_OK)
            code = moe_tables_choose(COMMAND, table, v->except, false);
        if (code == MOE_EXIT_OK)
            validate(table, v, &fit, diag, &error);
    }
    int said = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    return said ? said : code;
}

const moe_command moe_validate_command = {
    "validate",
    "TABLE.csv|FOLDER…",
    1,
    SIZE_MAX,
    "Foretell measured times, and say by how much that is off.",
    "Takes measured tables as `moesim calibrate` does, and those of other projects as they are\n"
    "(.csv, .csv.gz, .csv.zst): aiconfigurator's, InferSim's, Frontier's, LLMServingSim's, and "
    "the\n"
    "tables of DeepGEMM's and DeepEP's READMEs. A layout is recognised by its columns; what is in\n"
    "the file's name only is taken from there; a folder stands for all tables in it.\n"
    "\n"
    "Each row is foretold by the cost functions (hw/cost.h) with the numbers of the machine and "
    "of\n"
    "the kernel library. Errors are printed by kind and regime: what the cost says takes the time\n"
    "(fixed costs, memory, compute), routing, size, ranks, kernel; the rows that are farthest off\n"
    "come last, with file and line. Rows known to be odd are set aside and counted apart.\n"
    "\n"
    "  moesim validate h100_sxm__moe__vllm__0.24.0__moe_perf.csv.gz\n"
    "  moesim validate measured --brief -o errors.db --plot figures\n"
    "  moesim validate nccl_perf.csv --fit 'ranks<8' --device dgx-h100\n",
    options,
    MOE_COUNT(options),
    sizeof(validate_values),
    run,
    NULL};
