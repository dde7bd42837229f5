/* Transforms: routing that differs from what was recorded, in a stated way. One const descriptor
 * per kind (transforms.def); `moesim trace transform` and `routing.transform` in a scenario read
 * the same table, and help, schema and the README come from it.
 *
 * A transform is a pure function of (routing, its parameters, the files these name). It models
 * which experts are asked for, never how the hidden states would have changed: what one changes
 * beyond the choice of tokens is `counterfactual`, and runs on it are marked so.
 *
 * Four stages. Kinds of the first two may rewrite a file:
 *   rows      `row` is called for each token and layer that ran, in order;
 *   tokens    `token` says which tokens stay;
 * and those of the other two mean something in a scenario only:
 *   dispatch  `group` is called where the tokens of a step meet at a layer, after all row stages;
 *   sizes     the routing stays; `sizes` says what experts weigh.
 *
 * Pairs. A pair is (token, layer, expert). Each kind states what becomes of them (moe_pairs), and
 * a property test holds it to it. Weights that stay are either left alone or, with `renormalise`,
 * multiplied by one factor per row so that their sum is what it was ("renormalised" below).
 *
 * To add a kind: traces/transform/<identifier>.c with `const moe_variant moe_transform_<id>`, whose
 * ops is a moe_transform_ops; one line in transforms.def. */
#ifndef MOE_TRACES_TRANSFORM_TRANSFORM_H
#define MOE_TRACES_TRANSFORM_TRANSFORM_H

#include "sim/base/param.h"
#include "traces/routing.h"

/* Metadata of a transformed trace: its steps; and, when any changed the routing, "true". */
#define MOE_TRANSFORM_META "transform"
#define MOE_TRANSFORM_META_MARK "counterfactual"

typedef enum moe_transform_stage {
    MOE_TRANSFORM_ROWS,
    MOE_TRANSFORM_TOKENS,
    MOE_TRANSFORM_DISPATCH,
    MOE_TRANSFORM_SIZES,
} moe_transform_stage;

/* What becomes of the pairs of a row (of a group, for dispatch kinds). */
typedef enum moe_pairs {
    MOE_PAIRS_SAME,    /* of the tokens that stay, every pair stays as it is */
    MOE_PAIRS_FEWER,   /* what is left is a part of what was there, in its order */
    MOE_PAIRS_RENAMED, /* each expert has one image; pairs of one image become one, weights add */
    MOE_PAIRS_CHOSEN,  /* chosen anew */
} moe_pairs;

enum {                                   /* needs: what the routing must hold */
       MOE_TRANSFORM_WEIGHTS = 1u << 0,  /* gate weights */
       MOE_TRANSFORM_LOGITS = 1u << 1,   /* router logits */
       MOE_TRANSFORM_MODALITY = 1u << 2, /* a modality per token */
       MOE_TRANSFORM_ORDERED = 1u << 3,  /* gate weights, or rows in order of weight */
};

/* One token at one layer. */
typedef struct moe_transform_row {
    uint64_t token; /* row of the routing */
    uint32_t layer;
    uint32_t n, room; /* experts there are, and room for */
    uint16_t *ids;
    float *weights; /* NULL: not recorded */
    float *logits;  /* [n_experts] of the routing, to become those of the result (-inf: barred);
                       NULL likewise, and of a look-ahead */
    bool ahead;     /* a look-ahead's prediction, not what was routed */
} moe_transform_row;

/* A (token, expert) pair where the tokens of a step meet. */
typedef struct moe_pair {
    uint32_t token; /* index into `rows` of its group */
    uint16_t expert;
    uint16_t slot; /* place in the token's row */
    float weight;  /* 0 where the trace has none */
} moe_pair;

typedef struct moe_transform_group {
    uint32_t step, layer, n_tokens;
    const uint32_t *rows; /* [n_tokens]: rows of the routing */
    moe_pair *pairs;      /* in order of tokens, then of slots; see moe_transform_add_pair */
    uint64_t n, room;
} moe_transform_group;

/* What `open` gets and fills. */
typedef struct moe_transform_job {
    const moe_routing *routing;
    const void *config;
    const char *folder; /* files that parameters name are relative to it; NULL: as they are */
    uint64_t seed;
    moe_loc at; /* for messages */
    moe_diag *diag;
    void *state;                    /* out, the transform's */
    uint32_t k, n_experts;          /* in: the routing's; out: the result's */
    uint32_t first_layer, n_layers; /* likewise: the layers of the routing that stay */
    uint32_t rounds;                /* out, 1 unless said: layers that each becomes, of k / rounds
                                       slots, in order of the row; look-aheads and logits go then */
    bool anonymous;                 /* out: what would identify texts goes */
} moe_transform_job;

typedef struct moe_transform_ops {
    moe_transform_stage stage;
    moe_pairs pairs;
    bool factual;          /* what is left was recorded as it is: no mark */
    bool ahead;            /* `row` is applied to look-aheads too; else they stay as they are */
    const char *conserves; /* one sentence: what it keeps and what it changes */
    /* What it needs of the routing with this config; NULL: nothing. */
    unsigned (*needs)(const void *config);
    /* Makes the state; false after messages. NULL: there is none. */
    bool (*open)(moe_transform_job *job);
    void (*close)(void *state); /* NULL: g_free */
    /* The one its stage requires; a pure function of state, config and what it is given. */
    void (*row)(const void *state, const void *config, moe_transform_row *row);
    bool (*token)(const void *state, const void *config, uint64_t token);
    void (*group)(const void *state, const void *config, moe_transform_group *group);
    /* Any stage, may be NULL: changes size[n_layers * n_experts of the routing], the bytes of each
     * expert as a share of what the scenario's precision, of `expert_bits`, makes of it; 0: it is
     * not there at all. */
    void (*sizes)(const void *state, const void *config, double expert_bits, double *size);
    size_t file; /* offset in the config of the one file it reads, SIZE_MAX: none */
} moe_transform_ops;

#define MOE_TRANSFORM(id) +1
enum {
    MOE_N_TRANSFORMS = 0
#include "traces/transform/transforms.def"
};
#undef MOE_TRANSFORM

/* All kinds, in the order of transforms.def, for parameter tables. */
extern const moe_variant *const moe_transforms[];

/* Checks every descriptor once (required functions, what goes with the stage); asserts on a bug. */
void moe_transform_check_all(void);
/* The hash of the kind's source file, for identities: a kind that was changed is another one. */
const char *moe_transform_source(const char *name);
/* "rows", "tokens", "dispatch", "sizes". */
const char *moe_transform_stage_name(moe_transform_stage stage);

typedef struct moe_transform_step {
    const moe_choice *choice;
    moe_loc at; /* where it was written */
} moe_transform_step;

/* Steps in order, and what they are applied with. */
typedef struct moe_transform_order {
    const moe_transform_step *steps;
    size_t n;
    const char *text;   /* all of them, canonical, for the metadata */
    const char *folder; /* as in moe_transform_job */
    uint64_t seed;
    double expert_bits; /* of the scenario's precision; 0: sizes are not asked for */
} moe_transform_order;

/* Applies the rows and tokens stages in order and skips the others. The result is named as the
 * input, and keeps its metadata; MOE_TRANSFORM_META grows by the order's text and the mark is set
 * when a step is not factual; stage times and similarity stay when all rows stay as they are;
 * MOE_ROUTING_ABSENT says which experts are gone. `report` (may be NULL) gets a line per step.
 * sizes (may be NULL): *sizes becomes what the result's experts weigh after the steps of every
 * stage (see `sizes` of moe_transform_ops), yours. NULL after messages. */
moe_routing_builder *moe_transform_apply(const moe_routing_file *file,
                                         const moe_transform_order *order, GString *report,
                                         double **sizes, moe_diag *diag);
/* How many of the steps are of a stage. */
size_t moe_transform_count(const moe_transform_order *order, moe_transform_stage stage);

/* Appends a pair to a group. */
static inline void
moe_transform_add_pair(moe_transform_group *group, moe_pair pair)
{
    if (group->n == group->room) {
        group->room = MAX(group->room * 2, 256);
        group->pairs = g_renew(moe_pair, group->pairs, group->room);
    }
    group->pairs[group->n++] = pair;
}

/* The dispatch stages of a list of steps, opened over the routing that the row stages left. */
typedef struct moe_dispatch moe_dispatch;
/* NULL with no message in diag: no step is of that stage. */
moe_dispatch *moe_dispatch_open(const moe_routing *routing, const moe_transform_order *order,
                                moe_diag *diag);
void moe_dispatch_group(const moe_dispatch *dispatch, moe_transform_group *group);
void moe_dispatch_close(moe_dispatch *dispatch);

/* Whether runs on it are counterfactual: metadata of a file, or any of the steps. */
bool moe_transform_counterfactual(const moe_routing_file *file, const moe_transform_order *order);

#endif
