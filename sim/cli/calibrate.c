/* moesim calibrate: measured times become the numbers of a machine. */
#include "profiler/calibrate.h"

#include "profiler/calibrate_profile.h"
#include "profiler/validate.h"
#include "sim/base/data.h"
#include "sim/cli/calibrate_report.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/tables.h"
#include "sim/cli/trace.h"

#include <string.h>

#define COMMAND "moesim calibrate"
#define AT(field) offsetof(calibrate_values, field)

typedef struct calibrate_values {
    const char *device, *base, *kernels, *model, *output, *library, *plot, *rows;
    GPtrArray *only, *except;
    int64_t worst;
    bool force;
} calibrate_values;

static const moe_option options[] = {
    {"device", 0, MOE_OPTION_TEXT, AT(device), "NAME",
     .help = "What the machine is called: the name of the preset that is made."},
    {"base", 0, MOE_OPTION_TEXT, AT(base), "PRESET",
     .help = "The machine whose numbers stay where the rows do not say: capacities, peaks, the "
             "host, other links. A preset's name or a path. Default: the preset that names the "
             "device of the rows."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "FILE",
     .help = "The preset to write. Without it, nothing is written."},
    MOE_OPTION_FORCE('f', AT(force)),
    {"kernels", 0, MOE_OPTION_TEXT, AT(kernels), "LIB",
     .help = "The kernel library whose numbers are fitted to the rows of its kernels: a name or a "
             "path. Default: none, the base's own numbers are, and the preset names no library."},
    {"kernels-out", 0, MOE_OPTION_TEXT, AT(library), "FILE",
     .help = "The library to write, with the fitted numbers (with --kernels)."},
    {"model", 'm', MOE_OPTION_TEXT, AT(model), "MODEL",
     .help = "The model that a profile ran, for the shapes of its stages: a preset's name, a "
             "config.json, or a checkpoint's folder."},
    {"only", 0, MOE_OPTION_LIST, AT(only), "COLUMN=TEXT",
     .help = "Only rows that say so, such as dtype=bf16 or device='NVIDIA L4'. May be repeated."},
    {"not", 0, MOE_OPTION_LIST, AT(except), "COLUMN=TEXT",
     .help = "No rows that say so, such as source=cublasGemmEx. May be repeated."},
    {"worst", 0, MOE_OPTION_INT, AT(worst), "N", NULL, 0, 1000,
     "Rows to show of each kind, those farthest off. Default: 3.", 3},
    {"plot", 0, MOE_OPTION_TEXT, AT(plot), "DIR",
     .help = "Draw predicted against measured times, by kind, below DIR (gnuplot)."},
    {"rows", 0, MOE_OPTION_TEXT, AT(rows), "OUT.csv",
     .help = "Write the rows that are used, as one measured table: what a profile gave."},
};

/* ---- input ---- */

static moe_model_set *
load_model(const char *name, moe_diag *diag, GError **error)
{
    g_autofree char *config = g_build_filename(name, "config.json", NULL);
    bool folder = g_file_test(name, G_FILE_TEST_IS_DIR);
    return moe_model_load(folder ? config : name, NULL, (moe_loc){0}, diag, error);
}

static void
say_profile(const char *path, const moe_profile_rows *n)
{
    moe_out("%s: %zu rows of experts, %zu of products, %zu of copies, %zu of launches\n", path,
            n->experts, n->products, n->copies, n->launches);
    if (n->unrouted)
        moe_out("  %zu expert stages without recorded routing, left out\n", n->unrouted);
    if (n->shared)
        moe_out("  %zu expert stages with shared experts in them, left out\n", n->shared);
    if (n->impossible)
        moe_out("  %zu rows that no device can have measured, left out\n", n->impossible);
    if (n->waited)
        moe_out("  %zu stages whose kernels waited in between, left out\n", n->waited);
    if (n->unknown)
        moe_out("  %zu copies that do not say whether their memory is pinned, left out\n",
                n->unknown);
    if (n->overlapping)
        moe_out("  %zu copies that partly overlap with the other direction, left out\n",
                n->overlapping);
    if (n->attentions)
        moe_out("  %zu attention stages: a profile does not say how long their contexts are; not "
                "used\n",
                n->attentions);
}

static bool
read_inputs(moe_measured *table, const calibrate_values *v, const char *const *paths, size_t n,
            moe_diag *diag, GError **error)
{
    g_autoptr(moe_model_set) model = NULL;
    if (v->model && !(model = load_model(v->model, diag, error)))
        return false;
    for (size_t i = 0; i < n; i++) {
        moe_profile_rows counts = {0};
        bool profile = moe_calibrate_is_profile(paths[i]);
        if (profile && !moe_calibrate_profile(table, paths[i], model ? moe_model_get(model) : NULL,
                                              &counts, diag, error))
            return false;
        if (profile)
            say_profile(paths[i], &counts);
        else if (!moe_measured_read(table, paths[i], diag, error) && *error)
            return false;
    }
    return moe_diag_errors(diag) == 0;
}

/* ---- the base ---- */

/* Whether two names share a word with a digit in it, such as "h100". */
static bool
share_model_number(const char *a, const char *b)
{
    g_autofree char *x = g_ascii_strdown(a, -1), *y = g_ascii_strdown(b, -1);
    g_auto(GStrv) words = g_strsplit_set(x, " -_/,()", -1);
    g_auto(GStrv) others = g_strsplit_set(y, " -_/,()", -1);
    for (size_t i = 0; words[i]; i++)
        if (strpbrk(words[i], "0123456789") && strpbrk(words[i], "abcdefghijklmnopqrstuvwxyz") &&
            g_strv_contains((const char *const *)others, words[i]))
            return true;
    return false;
}

/* The preset for the device that rows name, or for the new name; NULL after a usage message. */
static char *
guess_base(const moe_measured *table, const char *name)
{
    g_auto(GStrv) presets = moe_data_presets("hw/presets");
    g_autoptr(GPtrArray) near = g_ptr_array_new();
    const char *device = "";
    for (size_t i = 0; i < moe_measured_count(table) && !*device; i++)
        device = moe_measured_at(table, i)->device;
    for (size_t i = 0; presets && presets[i]; i++) {
        if (!strcmp(presets[i], name))
            return g_strdup(name);
        if (share_model_number(presets[i], *device ? device : name))
            g_ptr_array_add(near, presets[i]);
    }
    if (near->len == 1)
        return g_strdup(g_ptr_array_index(near, 0));
    g_autoptr(moe_machines) machines = moe_machines_load();
    const char *best = moe_machines_find(machines, *device ? device : name, false);
    if (near->len && best)
        return g_strdup(best);
    if (!*device) {
        moe_say_usage(COMMAND, "'--base PRESET' is missing, and the rows name no device");
        return NULL;
    }
    g_ptr_array_add(near, NULL);
    g_autofree char *list = g_strjoinv(", ", (char **)near->pdata);
    moe_say_usage(COMMAND, "'--base PRESET' is missing: %s for '%s'",
                  *list ? list : "there is no preset", device);
    return NULL;
}

/* ---- output ---- */

static bool
write_rows(const moe_measured *table, const char *path, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    moe_measured_header(text);
    for (size_t i = 0; i < moe_measured_count(table); i++)
        moe_measured_write(moe_measured_at(table, i), text);
    return moe_out_file(path, text, error);
}

static bool
draw(const moe_calibration *c, const calibrate_values *v, GError **error)
{
    g_autofree char *title = g_strdup_printf("%s: predicted and measured times", v->device);
    g_autoptr(moe_sheet) sheet = moe_calibrate_figures(c, title);
    g_autoptr(GString) report = g_string_new(NULL);
    bool drawn = moe_sheet_draw(sheet, v->plot, report, error);
    moe_out_text(report->str);
    return drawn;
}

static int
calibrate(moe_measured *table, const calibrate_values *v, moe_diag *diag, GError **error)
{
    g_autofree char *base = v->base ? g_strdup(v->base) : guess_base(table, v->device);
    if (!base)
        return MOE_EXIT_USAGE;
    g_autoptr(moe_hardware_set) set = moe_hardware_load(base, NULL, (moe_loc){0}, diag, error);
    if (!set)
        return MOE_EXIT_OK; /* as diag and error say */
    if (v->rows && !write_rows(table, v->rows, error))
        return MOE_EXIT_OK;
    g_autoptr(moe_kernels_set) kernels = NULL;
    if (v->kernels && strcmp(v->kernels, MOE_KERNELS_OWN) &&
        !(kernels = moe_kernels_load(v->kernels, NULL, (moe_loc){0}, diag, error)))
        return MOE_EXIT_OK;
    g_autoptr(moe_calibration) c = moe_calibrate(table, set, kernels, diag);
    g_autoptr(GString) preset = g_string_new(NULL), library = g_string_new(NULL);
    if (!c)
        return MOE_EXIT_OK;
    moe_out("%s, based on %s\n\n", v->device, moe_hardware_get(set)->name);
    moe_calibrate_print(c, table, (size_t)v->worst);
    if (v->output && moe_calibration_preset(c, v->device, preset, diag))
        moe_out_file(v->output, preset, error);
    if (v->library && !*error && moe_calibration_library(c, v->device, library, diag))
        moe_out_file(v->library, library, error);
    if (v->plot && !*error)
        draw(c, v, error);
    return MOE_EXIT_OK;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const calibrate_values *v = data;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new();
    GError *error = NULL;
    int code = MOE_EXIT_OK;

    if (!v->device)
        return moe_say_usage(COMMAND, "'--device NAME' is missing");
    if (v->library && !v->kernels)
        return moe_say_usage(COMMAND, "'--kernels-out' wants '--kernels LIB', where it begins");
    if (v->library && (strchr(v->kernels, '|') || !strcmp(v->kernels, MOE_KERNELS_OWN)))
        return moe_say_usage(COMMAND, "'--kernels-out' wants one library in '--kernels LIB'");
    const char *const outputs[] = {v->output, v->library, v->rows};
    for (size_t i = 0; i < MOE_COUNT(outputs) && code == MOE_EXIT_OK; i++)
        if (outputs[i])
            code = moe_trace_spare_inputs(COMMAND, outputs[i], v->force, operands, n);
    if (code)
        return code;
    if (read_inputs(table, v, operands, n, diag, &error)) {
        code = moe_tables_choose(COMMAND, table, v->only, true);
        if (code == MOE_EXIT_OK)
            code = moe_tables_choose(COMMAND, table, v->except, false);
        if (code == MOE_EXIT_OK)
            code = calibrate(table, v, diag, &error);
    }
    int said = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    return said ? said : code;
}

const moe_command moe_calibrate_command = {
    "calibrate",
    "CAPTURE.db|TABLE.csv…",
    1,
    SIZE_MAX,
    "Fit the numbers of a machine to measured times, and write it as a preset.",
    "Takes profiles (`moesim capture … -- CMD`, `moesim profile import`) and measured tables: CSV\n"
    "whose first line names columns, one row per measurement, times in microseconds:\n"
    "\n"
    "  kind,device,dtype,hidden,width,experts,top_k,tokens,distribution,time_us\n"
    "  experts,NVIDIA H100,bf16,4096,14336,8,2,8,balanced,956.0\n"
    "\n"
    "kind is experts (one layer's: hidden, width, matrices, experts, top_k, tokens, and loads or\n"
    "distinct where tokens are not spread evenly), gemm (m, n, k), attention (heads, kv_heads,\n"
    "head_dim, sequences, queries, context), copy (direction, memory, bytes, concurrent), launch\n"
    "(kernels, mode) or stream (bytes). weight_bits and activation_bits are 16 unless said.\n"
    "\n"
    "A fifth of the shapes is kept back, whole, and the errors on both parts are printed: what is\n"
    "held back tells how well the preset foretells what it was not fitted to. Numbers that the "
    "rows\n"
    "do not determine keep the base's values. In the preset each fitted number says the file and\n"
    "the error (basis: fitted); use it like any other, by its path.\n"
    "\n"
    "  moesim calibrate h100.csv --device my-h100 --base server-h100 -o my-h100.yaml\n"
    "  moesim calibrate run.db --model olmoe-1b-7b --device my-h100 -o my-h100.yaml --plot "
    "figures\n"
    "  moesim list hardware -v          # every number of the presets, and where it is from\n",
    options,
    MOE_COUNT(options),
    sizeof(calibrate_values),
    run,
    NULL};
