#include "traces/synth/describe_fit.h"

#include "traces/synth/description.h"

/* Prompt and output tokens of a mean sequence. */
static void
mean_lengths(const moe_pick *pick, int64_t *prompt, int64_t *output)
{
    uint64_t n[2] = {0};
    for (uint32_t i = 0; i < pick->n; i++)
        for (uint64_t t = 0; t < moe_pick_length(pick, i); t++) {
            uint64_t row = moe_routing_token(pick->routing, moe_pick_sequence(pick, i), t);
            n[pick->routing->phase[row] == MOE_DECODE]++;
        }
    *prompt = (int64_t)((n[0] + pick->n / 2) / pick->n);
    *output = (int64_t)((n[1] + pick->n / 2) / pick->n);
}

bool
moe_describe_fit(const moe_pick *pick, const moe_fit_config *config, moe_progress *progress,
                 void *context, moe_diag *diag, GString *out)
{
    const moe_routing *routing = pick->routing;
    moe_loc where = {.file = routing->path};
    g_autoptr(moe_hidden) hidden = moe_fit(pick, config, where, progress, context, diag);
    if (!hidden)
        return false;
    moe_generate_config described = {.model = routing->model,
                                     .transform = config->transform,
                                     .counterfactual = config->counterfactual,
                                     .layers = routing->n_layers,
                                     .experts = routing->n_experts,
                                     .top_k = routing->k,
                                     .sequences = pick->n,
                                     .seed = 1,
                                     .hidden = hidden};
    mean_lengths(pick, &described.prompt, &described.output);
    if (routing->n_lookahead) {
        described.lookahead = routing->lookahead[0].distance;
        described.recall = moe_routing_recall(routing, 0);
    }
    g_autofree char *path = g_filename_display_name(routing->path);
    g_autofree char *fitted_to =
        g_strdup_printf("%u of %u sequences of %s", pick->n, routing->n_sequences, path);
    described.fitted_to = fitted_to;
    static const char comment[] =
        "Written by `moesim trace fit`. Numbers of `router` are hundredths\n"
        "(`moesim trace synth --keys`, traces/synth/hidden.h).";
    moe_description_write(&described, comment, out);
    return true;
}
