/* moesim trace bits: a width per expert, from how it is used. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/base/units.h"
#include "traces/transform/bits.h"
#include "traces/transform/score.h"
#include "traces/transform/table.h"

#include <math.h>
#include <string.h>

typedef struct bits_values {
    GPtrArray *widths;
    const char *average, *alpha, *beta, *gamma;
    int64_t each;
} bits_values;

#define AT(field) offsetof(bits_values, field)

static const moe_option options[] = {
    {"width", 'w', MOE_OPTION_LIST, AT(widths), "BITS[:ERRORS]",
     .help = "A width to choose from, and a table (layer,expert,error) of the errors that experts "
             "have at it; without one the error is 2^-BITS for each. May be repeated."},
    {"average", 'a', MOE_OPTION_TEXT, AT(average), "BITS",
     .help = "Average width that each layer may have at most."},
    {"alpha", 0, MOE_OPTION_TEXT, AT(alpha), "X",
     .help = "Exponent of the share of tokens routed to an expert; 1 unless said."},
    {"beta", 0, MOE_OPTION_TEXT, AT(beta), "X",
     .help = "Exponent of its mean gate weight over all tokens; 1 unless said."},
    {"gamma", 0, MOE_OPTION_TEXT, AT(gamma), "X", .help = "Exponent of its error; 2 unless said."},
    {"each", 0, MOE_OPTION_INT, AT(each), "N", NULL, 0, MOE_BITS_WIDTHS,
     "Each layer uses each of the N widest widths at least once (MC-MoE: 2)."},
};

/* The numbers of the command line, and the tables of errors. */
typedef struct bits_work {
    double average, alpha, beta, gamma;
    uint32_t n_widths, widths[MOE_BITS_WIDTHS];
    double *errors[MOE_BITS_WIDTHS]; /* NULL: 2^-width */
    const moe_routing *routing;
    moe_diag *diag;
} bits_work;

static bool
read_number(const char *name, const char *text, double fallback, double max, double *out,
            moe_diag *diag)
{
    *out = fallback;
    if (!text || (moe_parse_real(text, out) && *out >= 0 && *out <= max))
        return true;
    moe_diag_error(diag, (moe_loc){0}, "--%s: '%s' is no number from 0 to %g", name, text, max);
    moe_diag_misused(diag);
    return false;
}

/* "3:errors.csv" into its place among the widths, which rise. */
static bool
read_width(bits_work *w, const char *text)
{
    const char *colon = strchr(text, ':');
    g_autofree char *number = colon ? g_strndup(text, (size_t)(colon - text)) : g_strdup(text);
    int64_t bits;
    if (!moe_parse_int(number, &bits) || bits < 1 || bits > MOE_BITS_WIDEST) {
        moe_diag_error(w->diag, (moe_loc){0}, "--width: '%s' is no width from 1 to %d bits", number,
                       MOE_BITS_WIDEST);
        moe_diag_misused(w->diag);
        return false;
    }
    if (w->n_widths == MOE_BITS_WIDTHS || (w->n_widths > 0 && w->widths[w->n_widths - 1] >= bits)) {
        moe_diag_error(w->diag, (moe_loc){0}, "--width %s: at most %d widths, in rising order",
                       text, MOE_BITS_WIDTHS);
        moe_diag_misused(w->diag);
        return false;
    }
    w->widths[w->n_widths] = (uint32_t)bits;
    if (colon) {
        moe_transform_job job = {.routing = w->routing, .diag = w->diag};
        moe_table_shape shape = moe_table_of(&job, "error", 0, 1e12, false);
        w->errors[w->n_widths] = moe_table_read(&job, colon + 1, &shape);
        if (!w->errors[w->n_widths])
            return false;
    }
    w->n_widths++;
    return true;
}

static bool
read_work(bits_work *w, const bits_values *values)
{
    bool ok = read_number("average", values->average, 0, MOE_BITS_WIDEST, &w->average, w->diag) &&
              read_number("alpha", values->alpha, 1, 16, &w->alpha, w->diag) &&
              read_number("beta", values->beta, 1, 16, &w->beta, w->diag) &&
              read_number("gamma", values->gamma, 2, 16, &w->gamma, w->diag);
    for (guint i = 0; ok && i < values->widths->len; i++)
        ok = read_width(w, values->widths->pdata[i]);
    if (ok && (uint32_t)values->each > w->n_widths) {
        moe_diag_error(w->diag, (moe_loc){0}, "--each %lld: there are %u widths",
                       (long long)values->each, w->n_widths);
        moe_diag_misused(w->diag);
        return false;
    }
    return ok;
}

static bool
cost_layer(const bits_work *w, uint32_t layer, const double *share, const double *weight,
           double *costs)
{
    uint32_t n = w->routing->n_experts;
    for (uint32_t e = 0; e < n; e++) {
        size_t at = (size_t)layer * n + e;
        double use = pow(share[at], w->alpha) * (weight ? pow(weight[at], w->beta) : 1);
        for (uint32_t j = 0; j < w->n_widths; j++) {
            double error = w->errors[j] ? w->errors[j][at] : ldexp(1, -(int)w->widths[j]);
            if (isnan(error)) {
                moe_diag_error(w->diag, (moe_loc){0},
                               "the errors at %u bits say nothing of layer %u, expert %u",
                               w->widths[j], w->routing->layer_ids[layer], e);
                return false;
            }
            costs[e * w->n_widths + j] = use * pow(error, w->gamma);
        }
    }
    return true;
}

static bool
allocate_all(const bits_work *w, uint32_t each, GString *out)
{
    const moe_routing *routing = w->routing;
    uint32_t n = routing->n_experts;
    moe_score_of of = {MOE_SCORE_FREQUENCY, 0, routing->n_sequences, MOE_NONE, 0, 0};
    g_autofree double *share = moe_score(routing, &of), *weight = NULL;
    of.kind = MOE_SCORE_WEIGHT;
    if (!moe_score_lacks(routing, MOE_SCORE_WEIGHT))
        weight = moe_score(routing, &of);
    g_autofree double *costs = g_new(double, (size_t)n * w->n_widths);
    g_autofree uint32_t *choice = g_new0(uint32_t, n);
    moe_bits_problem problem = {.n = n,
                                .n_widths = w->n_widths,
                                .each = each,
                                .budget = (uint32_t)floor(w->average * n + 1e-9),
                                .widths = w->widths,
                                .costs = costs};
    g_string_append(out, "layer,expert,bits\n");
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        if (!cost_layer(w, l, share, weight, costs))
            return false;
        if (isinf(moe_bits_allocate(&problem, choice))) {
            moe_diag_error(w->diag, (moe_loc){.file = "--average"},
                           "no choice of widths has an average of at most %g bits", w->average);
            return false;
        }
        for (uint32_t e = 0; e < n; e++)
            g_string_append_printf(out, "%u,%u,%u\n", routing->layer_ids[l], e,
                                   w->widths[choice[e]]);
    }
    return true;
}

static int
bits(const void *data, const char *const *operands, size_t n)
{
    const bits_values *values = data;
    if (values->widths->len == 0 || !values->average)
        return moe_say_usage("moesim trace bits", values->average ? "'--width BITS' is missing"
                                                                  : "'--average BITS' is missing");
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_routing_file) file = moe_routing_open(operands[0], diag, &error);
    if (error)
        return moe_say_error(error);
    if (!file)
        return moe_say_diag(diag);
    bits_work work = {.routing = moe_routing_get(file), .diag = diag};
    g_autoptr(GString) out = g_string_new(NULL);
    bool ok = read_work(&work, values) && allocate_all(&work, (uint32_t)values->each, out);
    for (uint32_t j = 0; j < MOE_BITS_WIDTHS; j++)
        g_free(work.errors[j]);
    if (ok)
        moe_out_text(out->str);
    return moe_say_diag(diag);
}

const moe_command moe_trace_bits_command = {
    "bits",
    "FILE",
    1,
    1,
    "Choose a precision for each expert from how it is used.",
    "Prints a table layer,expert,bits for {kind: precision, file: …}: per layer the widths with "
    "the\n"
    "least sum of share^alpha * weight^beta * error^gamma at the given average, exactly.\n"
    "\n"
    "  moesim trace bits real.safetensors -w 1:e1.csv -w 2:e2.csv -w 3:e3.csv --average 2.5 --each "
    "2\n",
    options,
    MOE_COUNT(options),
    sizeof(bits_values),
    bits,
    NULL};
