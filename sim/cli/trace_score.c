/* moesim trace score: how much experts matter to a text, from its routing alone. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/base/units.h"
#include "traces/transform/score.h"

#include <math.h>

typedef struct score_values {
    int by;
    const char *domain, *floor, *like;
    int64_t best, keep, groups;
} score_values;

#define AT(field) offsetof(score_values, field)

static const moe_option options[] = {
    {"by", 'b', MOE_OPTION_ENUM, AT(by), "SCORE", MOE_SCORE_NAMES,
     .help = "frequency: share of the tokens routed to the expert; weight: its mean gate weight "
             "over all tokens; logit: mean of each token's highest logits, the others 0."},
    {"domain", 'd', MOE_OPTION_TEXT, AT(domain), "NAME", .help = "Only tokens of this domain."},
    {"best", 0, MOE_OPTION_INT, AT(best), "N", NULL, 1, MOE_ROUTING_MAX_K,
     "Logits of a token that count; 1 unless said."},
    {"floor", 0, MOE_OPTION_TEXT, AT(floor), "X",
     .help = "And those only from here on; -1 unless said."},
    {"keep", 'k', MOE_OPTION_INT, AT(keep), "N", NULL, 1, MOE_ROUTING_MAX_EXPERTS,
     "Print only the N best of each layer: a table for {kind: mask, from: file}."},
    {"groups", 'g', MOE_OPTION_INT, AT(groups), "N", NULL, 1, MOE_ROUTING_MAX_EXPERTS,
     "Print merge groups that leave N experts per layer: a table for {kind: remap}, with each "
     "expert's share of its group's use."},
    {"like", 'l', MOE_OPTION_TEXT, AT(like), "FILE",
     .help = "Which domain of the first trace is this one's text most like? By the scores of the "
             "first layer."},
};

static const char score_names[] = MOE_SCORE_NAMES;

static bool
describe(const score_values *values, const moe_routing *routing, moe_score_of *of, moe_diag *diag)
{
    double floor_value = -1;
    const char *lacks = moe_score_lacks(routing, (moe_score_kind)values->by);
    if (values->floor && !moe_parse_real(values->floor, &floor_value)) {
        moe_diag_error(diag, (moe_loc){0}, "--floor: '%s' is no number", values->floor);
        moe_diag_misused(diag);
        return false;
    }
    if (lacks) {
        g_auto(GStrv) names = g_strsplit(score_names, "|", 0);
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, routing->path)},
                       "holds no %s: it has no score '%s'", lacks, names[values->by]);
        return false;
    }
    *of = (moe_score_of){.kind = (moe_score_kind)values->by,
                         .to = routing->n_sequences,
                         .domain = MOE_NONE,
                         .best = values->best ? (uint32_t)values->best : 1,
                         .floor = floor_value};
    return !values->domain ||
           moe_score_domain(routing, values->domain, &of->domain, (moe_loc){0}, diag);
}

static void
print_scores(const moe_routing *routing, const moe_score_of *of, uint32_t keep)
{
    uint32_t n = routing->n_experts;
    g_autofree double *scores = moe_score(routing, of);
    g_autofree uint32_t *order = g_new(uint32_t, n);
    moe_out("layer,expert,score\n");
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        const double *layer = scores + (size_t)l * n;
        moe_score_rank(layer, n, order);
        for (uint32_t i = 0; i < MIN(keep ? keep : n, n); i++)
            moe_out("%u,%u,%.9g\n", routing->layer_ids[l], order[i], layer[order[i]]);
    }
}

static void
print_groups(const moe_routing *routing, const moe_score_of *of, uint32_t groups)
{
    uint32_t n = routing->n_experts;
    g_autofree double *scores = moe_score(routing, of);
    g_autofree uint16_t *to = g_new(uint16_t, (size_t)routing->n_layers * n);
    g_autofree double *sums = g_new(double, n);
    moe_score_groups(routing, groups, to);
    moe_out("layer,expert,to,share\n");
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        size_t first = (size_t)l * n;
        for (uint32_t e = 0; e < n; e++)
            sums[e] = 0;
        for (uint32_t e = 0; e < n; e++)
            sums[to[first + e]] += scores[first + e];
        for (uint32_t e = 0; e < n; e++) {
            double sum = sums[to[first + e]];
            moe_out("%u,%u,%u,%.9g\n", routing->layer_ids[l], e, to[first + e],
                    sum > 0 ? scores[first + e] / sum : 0);
        }
    }
}

/* Distance of the first layer's scores to those of each domain. */
static int
print_likeness(const moe_routing *known, const moe_routing *asked, const moe_score_of *of,
               moe_diag *diag)
{
    if (!known->domain || known->n_experts != asked->n_experts ||
        moe_score_lacks(asked, of->kind)) {
        const char *lacks = moe_score_lacks(asked, of->kind);
        moe_diag_error(
            diag,
            (moe_loc){.file = moe_diag_intern(diag, known->domain ? asked->path : known->path)},
            !known->domain ? "holds no domains to be like"
            : lacks        ? "holds no %s"
                           : "has another number of experts than the first trace",
            lacks);
        return moe_say_diag(diag);
    }
    moe_score_of all = *of;
    all.to = asked->n_sequences;
    g_autofree double *query = moe_score(asked, &all);
    moe_out("domain,distance\n");
    uint32_t nearest = 0;
    double least = INFINITY;
    for (uint32_t d = 0; d < known->n_domains; d++) {
        moe_score_of one = *of;
        one.domain = d;
        g_autofree double *pattern = moe_score(known, &one);
        double distance = moe_score_distance(pattern, query, known->n_experts);
        if (distance < least) {
            least = distance;
            nearest = d;
        }
        g_autofree char *number = g_strdup_printf("%u", d);
        moe_out("%s,%.9g\n", known->domain_names ? known->domain_names[d] : number, distance);
    }
    g_autofree char *number = g_strdup_printf("%u", nearest);
    moe_out("nearest,%s\n", known->domain_names ? known->domain_names[nearest] : number);
    return MOE_EXIT_OK;
}

static int
score(const void *data, const char *const *operands, size_t n)
{
    const score_values *values = data;
    if ((values->keep > 0) + (values->groups > 0) + (values->like != NULL) > 1)
        return moe_say_usage("moesim trace score", "one of --keep, --groups and --like at a time");
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_routing_file) file = moe_routing_open(operands[0], diag, &error);
    g_autoptr(moe_routing_file) other =
        file && values->like ? moe_routing_open(values->like, diag, &error) : NULL;
    if (error)
        return moe_say_error(error);
    moe_score_of of;
    if (!file || (values->like && !other) || !describe(values, moe_routing_get(file), &of, diag))
        return moe_say_diag(diag);
    const moe_routing *routing = moe_routing_get(file);
    if (other)
        return print_likeness(routing, moe_routing_get(other), &of, diag);
    if (values->groups > routing->n_experts || values->keep > routing->n_experts) {
        moe_diag_error(diag, (moe_loc){.file = values->keep ? "--keep" : "--groups"},
                       "%lld, but %s has %u experts",
                       (long long)(values->keep ? values->keep : values->groups), routing->path,
                       routing->n_experts);
        return moe_say_diag(diag);
    }
    if (values->groups)
        print_groups(routing, &of, (uint32_t)values->groups);
    else
        print_scores(routing, &of, (uint32_t)values->keep);
    return MOE_EXIT_OK;
}

const moe_command moe_trace_score_command = {
    "score",
    "FILE",
    1,
    1,
    "How much each expert matters to a text, from its routing alone.",
    "Prints a table layer,expert,score, the best of each layer first.\n"
    "\n"
    "  moesim trace score mixed.safetensors --domain code --by weight --keep 64 > keep.csv\n"
    "  moesim trace score mixed.safetensors --by logit --like question.safetensors\n",
    options,
    MOE_COUNT(options),
    sizeof(score_values),
    score,
    NULL};
