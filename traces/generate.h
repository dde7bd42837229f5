/* Routing made up from a few numbers, for the quick start, tests and what-if questions. The same
 * numbers give the same bytes on any machine. It is no model of a real router: metadata says
 * `synthetic`.
 *
 * Each layer ranks its experts in an order of its own (per domain; sequence s is of domain
 * s mod domains) and uses rank r with weight r^-skew, the layer's skew drawn between the two given
 * (in steps of 1/64). Slot j of a token at a layer takes, in this order of chances,
 *   what slot j took for the token before, at this layer    with probability `stickiness`,
 *   the rank that slot j took at the layer before           with probability `affinity`,
 *   a draw from the layer's weights                         otherwise;
 * an expert the token already has at the layer is drawn again. Tokens of prompts may have another
 * stickiness and affinity. Look-ahead names each routed expert with probability `recall`, else one
 * that is not routed.
 *
 * With a hidden state (traces/synth/hidden.h) the third case is the highest score that the token
 * has not taken yet, in place of a draw from the weights; `moesim trace fit` makes such.
 *
 * With `logits` the experts are instead those of the k highest router logits (generate_logits.h:
 * `logits` is their spread, `stickiness` the memory), and logits and the softmax over the routed
 * experts are recorded; there is no `affinity` then. With several domains or modalities each
 * token's is recorded too; a token is of any modality with equal chance, which changes nothing
 * else.
 *
 * With logits, and with a hidden state that alone chooses, a row's ids stand in order of falling
 * score, and metadata "order" says `weight`. */
#ifndef MOE_TRACES_GENERATE_H
#define MOE_TRACES_GENERATE_H

#include "sim/base/param.h"
#include "traces/routing.h"
#include "traces/synth/hidden.h"

/* What a description says of a sequence's i-th token. */
typedef struct moe_generate_opening {
    double share;
    const char *experts;
} moe_generate_opening;

/* What a description says of one layer; texts are numbers in hundredths, NULL: not said. */
typedef struct moe_generate_router {
    double skew; /* below 0: drawn */
    double sharpness;
    const char *bias, *noise, *loadings, *pairs;
} moe_generate_router;

typedef struct moe_generate_config {
    const char *model;     /* metadata only; NULL: none */
    const char *fitted_to; /* likewise */
    const char *transform; /* likewise: steps of the trace it is fitted to */
    bool counterfactual;   /* likewise (traces/transform/transform.h) */
    int64_t layers, experts, top_k;
    int64_t sequences, prompt, output; /* tokens per sequence: prefill, then decode */
    int64_t domains;
    int64_t modalities; /* 0 or 1: none are recorded */
    double drift;       /* of taste */
    double skew_min, skew_max;
    double stickiness, affinity;
    double logits, taste; /* spread of router logits; 0: none are made */
    int64_t lookahead;    /* distance of the look-ahead tensor; 0: none */
    double recall;
    double prefill_stickiness, prefill_affinity; /* added for prefill tokens */
    double noise;                                /* of a hidden state, where a router has none */
    moe_list components;                         /* moe_hidden_component */
    moe_list opening;                            /* moe_generate_opening */
    moe_list router;                             /* moe_generate_router, one per layer, or none */
    int64_t seed;

    /* What no key says. */
    int64_t longer;           /* so many first sequences have one output token more */
    const moe_hidden *hidden; /* made of components and router (traces/synth/description.h) */
} moe_generate_config;

/* Keys, ranges, defaults and help of the configuration. */
const moe_param_table *moe_generate_table(void);
/* The configuration of traces/samples/quickstart.safetensors. */
moe_generate_config moe_generate_sample(void);
/* Messages on values out of range; false after any. */
bool moe_generate_check(const moe_generate_config *config, moe_loc at, moe_diag *diag);
/* A builder holding the trace, yours; NULL after messages (located at `at`) on values out of
 * range. */
moe_routing_builder *moe_generate(const moe_generate_config *config, moe_loc at, moe_diag *diag);

#endif
