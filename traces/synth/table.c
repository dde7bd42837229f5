#include "traces/generate.h"

#include <string.h>

#define AT(field) offsetof(moe_generate_config, field)
#define PART(type, field) offsetof(type, field)
#define COMPONENT(field) "hidden.components.*." #field

static const moe_param generate_rows[] = {
    {"model", MOE_PARAM_TEXT, AT(model), NULL, .flags = MOE_PARAM_IDENTITY,
     .help = "Name of the model, for the metadata."},
    {"fitted_to", MOE_PARAM_TEXT, AT(fitted_to), NULL, .flags = MOE_PARAM_IDENTITY,
     .help = "What the description was fitted to, for the metadata."},
    {"transform", MOE_PARAM_TEXT, AT(transform), NULL, .flags = MOE_PARAM_IDENTITY,
     .help = "Steps that changed the trace it is fitted to, for the metadata."},
    {"counterfactual", MOE_PARAM_BOOL, AT(counterfactual), "false", .flags = MOE_PARAM_IDENTITY,
     .help = "Whether they changed its routing; runs on what is made are marked so, too."},
    {"layers", MOE_PARAM_INT, AT(layers), "32", 1, MOE_ROUTING_MAX_LAYERS,
     .flags = MOE_PARAM_IDENTITY, .help = "MoE layers."},
    {"experts", MOE_PARAM_INT, AT(experts), "8", 1, MOE_ROUTING_MAX_EXPERTS,
     .flags = MOE_PARAM_IDENTITY, .help = "Experts per layer."},
    {"top_k", MOE_PARAM_INT, AT(top_k), "2", 1, MOE_ROUTING_MAX_K, .flags = MOE_PARAM_IDENTITY,
     .help = "Experts per token and layer."},
    {"sequences", MOE_PARAM_INT, AT(sequences), "16", 1, 1e9, .flags = MOE_PARAM_IDENTITY,
     .help = "Sequences."},
    {"prompt", MOE_PARAM_INT, AT(prompt), "64", 0, 1e9, .unit = "tokens",
     .flags = MOE_PARAM_IDENTITY, .help = "Prefill tokens of each sequence."},
    {"output", MOE_PARAM_INT, AT(output), "64", 0, 1e9, .unit = "tokens",
     .flags = MOE_PARAM_IDENTITY, .help = "Decode tokens of each sequence."},
    {"domains", MOE_PARAM_INT, AT(domains), "1", 1, 1024, .flags = MOE_PARAM_IDENTITY,
     .help = "Kinds of text; each ranks the experts in its own order."},
    {"modalities", MOE_PARAM_INT, AT(modalities), "0", 0, 255, .flags = MOE_PARAM_IDENTITY,
     .help = "Kinds of token, such as text and image; each token is of any of them."},
    {"drift", MOE_PARAM_SHARE, AT(drift), "0", 0, 1, .flags = MOE_PARAM_IDENTITY,
     .help = "How much of the taste in logits a token loses; 0: it lasts throughout."},
    {"skew_min", MOE_PARAM_REAL, AT(skew_min), "0.05", 0, 8, .flags = MOE_PARAM_IDENTITY,
     .help = "Least Zipf exponent of a layer's expert popularity."},
    {"skew_max", MOE_PARAM_REAL, AT(skew_max), "0.25", 0, 8, .flags = MOE_PARAM_IDENTITY,
     .help = "Largest Zipf exponent of a layer's expert popularity."},
    {"stickiness", MOE_PARAM_SHARE, AT(stickiness), "18%", 0, 1, .flags = MOE_PARAM_IDENTITY,
     .help = "Chance that a token's expert is that of the token before, at the same layer."},
    {"affinity", MOE_PARAM_SHARE, AT(affinity), "30%", 0, 1, .flags = MOE_PARAM_IDENTITY,
     .help = "Chance that it is the successor of the expert at the layer before."},
    {"logits", MOE_PARAM_REAL, AT(logits), "0", 0, 4, .flags = MOE_PARAM_IDENTITY,
     .help = "Standard deviation of made router logits; 0: none."},
    {"taste", MOE_PARAM_SHARE, AT(taste), "0", 0, 1, .flags = MOE_PARAM_IDENTITY,
     .help = "Share of their variance that is the sequence's, the same for all its tokens."},
    {"lookahead", MOE_PARAM_INT, AT(lookahead), "1", 0, MOE_ROUTING_MAX_LAYERS - 1,
     .unit = "layers", .flags = MOE_PARAM_IDENTITY,
     .help = "Distance of the look-ahead tensor; 0 writes none."},
    {"recall", MOE_PARAM_SHARE, AT(recall), "85%", 0, 1, .flags = MOE_PARAM_IDENTITY,
     .help = "Share of routed experts that the look-ahead names."},
    {"prefill.stickiness", MOE_PARAM_REAL, AT(prefill_stickiness), "0", -1, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Added to `stickiness` for the tokens of prompts."},
    {"prefill.affinity", MOE_PARAM_REAL, AT(prefill_affinity), "0", -1, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Added to `affinity` for the tokens of prompts."},
    {"hidden.noise", MOE_PARAM_REAL, AT(noise), "1", 0, 1000, .flags = MOE_PARAM_IDENTITY,
     .help = "Standard deviation of what is drawn anew for each token, layer and expert, where "
             "`router` does not say."},
    {"hidden.components", MOE_PARAM_LIST, AT(components), .stride = sizeof(moe_hidden_component),
     .max_items = MOE_HIDDEN_COMPONENTS, .flags = MOE_PARAM_IDENTITY,
     .help = "Parts of a hidden state that all layers' routers read; without, experts are drawn by "
             "popularity."},
    {COMPONENT(lasts), MOE_PARAM_REAL, PART(moe_hidden_component, lasts), "0", 0, 1e12,
     .unit = "tokens", .flags = MOE_PARAM_IDENTITY,
     .help = "How long it remembers: its correlation falls by e in so many tokens. 0: drawn anew "
             "for each."},
    {COMPONENT(echo), MOE_PARAM_BOOL, PART(moe_hidden_component, echo), "false",
     .flags = MOE_PARAM_IDENTITY,
     .help = "With `lasts: 0`: half of it comes from the token before."},
    {COMPONENT(next), MOE_PARAM_SHARE, PART(moe_hidden_component, next), "0", 0, 1,
     .flags = MOE_PARAM_IDENTITY,
     .help = "Correlation from the start of a sequence to that of the next: a domain that "
             "neighbours share."},
    {COMPONENT(rank), MOE_PARAM_INT, PART(moe_hidden_component, rank), "8", 1, MOE_HIDDEN_RANK,
     .flags = MOE_PARAM_IDENTITY, .help = "Numbers it consists of."},
    {COMPONENT(spread), MOE_PARAM_REAL, PART(moe_hidden_component, spread), "1", 0, 1000,
     .flags = MOE_PARAM_IDENTITY,
     .help =
         "Standard deviation of its part of an expert's score, where `router` has no loadings."},
    {"opening", MOE_PARAM_LIST, AT(opening), .stride = sizeof(moe_generate_opening),
     .max_items = MOE_HIDDEN_OPENING, .flags = MOE_PARAM_IDENTITY,
     .help = "First tokens of sequences, where many begin alike."},
    {"opening.*.share", MOE_PARAM_SHARE, PART(moe_generate_opening, share), "100%", 0, 1,
     .flags = MOE_PARAM_IDENTITY,
     .help = "Of the sequences, those whose token at this place has just these experts."},
    {"opening.*.experts", MOE_PARAM_TEXT, PART(moe_generate_opening, experts),
     .flags = MOE_PARAM_REQUIRED | MOE_PARAM_IDENTITY,
     .help = "The experts, top_k for each layer, apart by spaces."},
    {"router", MOE_PARAM_LIST, AT(router), .stride = sizeof(moe_generate_router),
     .max_items = MOE_ROUTING_MAX_LAYERS, .flags = MOE_PARAM_IDENTITY,
     .help = "One entry per layer, or none."},
    {"router.*.skew", MOE_PARAM_REAL, PART(moe_generate_router, skew), "-1", -1, 8,
     .flags = MOE_PARAM_IDENTITY,
     .help = "Zipf exponent of the layer's popularity; below 0: drawn, as without `router`."},
    {"router.*.sharpness", MOE_PARAM_REAL, PART(moe_generate_router, sharpness), "0", 0, 1000,
     .flags = MOE_PARAM_IDENTITY,
     .help = "Gate weights are the softmax of sharpness times score over the chosen experts. 0 in "
             "all layers: no weights."},
    {"router.*.bias", MOE_PARAM_TEXT, PART(moe_generate_router, bias), .flags = MOE_PARAM_IDENTITY,
     .help = "Mean score of each expert, in hundredths, apart by spaces. Without: by skew, in an "
             "order of the layer's own."},
    {"router.*.noise", MOE_PARAM_TEXT, PART(moe_generate_router, noise),
     .flags = MOE_PARAM_IDENTITY,
     .help = "Standard deviation of each expert's noise, in hundredths."},
    {"router.*.loadings", MOE_PARAM_TEXT, PART(moe_generate_router, loadings),
     .flags = MOE_PARAM_IDENTITY,
     .help = "How each number of the hidden state enters each expert's score, in hundredths: a "
             "line per number, component by component, an entry per expert. Without: drawn."},
    {"router.*.pairs", MOE_PARAM_TEXT, PART(moe_generate_router, pairs),
     .flags = MOE_PARAM_IDENTITY,
     .help = "What each expert of the layer before, once chosen, adds to each expert's score, in "
             "hundredths: a line per expert of the layer before, an entry per expert."},
    {"seed", MOE_PARAM_INT, AT(seed), "1", 0, 9e15, .flags = MOE_PARAM_IDENTITY,
     .help = "Seed of all draws."},
};

const moe_param_table *
moe_generate_table(void)
{
    static const moe_param_table table = {"synthetic", generate_rows, MOE_COUNT(generate_rows),
                                          sizeof(moe_generate_config)};
    return &table;
}

moe_generate_config
moe_generate_sample(void)
{
    return (moe_generate_config){
        .model = "mixtral-8x7b",
        .layers = 32,
        .experts = 8,
        .top_k = 2,
        .sequences = 16,
        .prompt = 64,
        .output = 64,
        .domains = 1,
        .skew_min = 0.05,
        .skew_max = 0.25,
        .stickiness = 0.18,
        .affinity = 0.3,
        .lookahead = 1,
        .recall = 0.85,
        .noise = 1,
        .seed = 1,
    };
}

/* Ranges, from the table's rows, and what the rows cannot say. */
bool
moe_generate_check(const moe_generate_config *config, moe_loc at, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    for (size_t i = 0; i < MOE_COUNT(generate_rows); i++) {
        const moe_param *row = &generate_rows[i];
        const void *field = (const char *)config + row->offset;
        if (row->type == MOE_PARAM_TEXT || row->type == MOE_PARAM_LIST ||
            row->type == MOE_PARAM_BOOL || strstr(row->key, ".*."))
            continue;
        double value =
            row->type == MOE_PARAM_INT ? (double)*(const int64_t *)field : *(const double *)field;
        if (!(value >= row->min && value <= row->max))
            moe_diag_error(diag, at, "synthetic routing: %s is %g, not %g .. %g", row->key, value,
                           row->min, row->max);
    }
    if (moe_diag_errors(diag) != before)
        return false;
    if (config->top_k > config->experts)
        moe_diag_error(diag, at, "synthetic routing: top_k %d of %d experts", (int)config->top_k,
                       (int)config->experts);
    if (config->skew_min > config->skew_max)
        moe_diag_error(diag, at, "synthetic routing: skew_min %g is above skew_max %g",
                       config->skew_min, config->skew_max);
    if (config->logits > 0 && config->affinity > 0)
        moe_diag_error(diag, at, "synthetic routing: with logits there is no affinity");
    if (config->taste > 0 && !(config->logits > 0))
        moe_diag_error(diag, at,
                       "synthetic routing: taste is a share of logits, but none are made");
    if (config->hidden && (config->logits > 0 || config->domains > 1))
        moe_diag_error(
            diag, at,
            "synthetic routing: '%s' goes without a hidden state, where a component with "
            "'next' makes neighbours alike and 'sharpness' gives weights",
            config->domains > 1 ? "domains" : "logits");
    int64_t tokens = config->sequences * (config->prompt + config->output);
    if (tokens < 1 || tokens >= MOE_NONE)
        moe_diag_error(diag, at, "synthetic routing: %s tokens", tokens ? "too many" : "no");
    return moe_diag_errors(diag) == before;
}
