/* A made-up routing that has everything a transform may ask for, and steps from text. */
#ifndef MOE_TESTS_TRANSFORM_FIXTURE_H
#define MOE_TESTS_TRANSFORM_FIXTURE_H

#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/transform/row.h"
#include "traces/transform/transform.h"

typedef struct made_shape {
    uint32_t layers, experts, k, sequences, tokens; /* tokens of each sequence */
    bool logits, odd;                               /* odd: short rows, and layers not run */
} made_shape;

/* Logits drawn at random with a skew by expert; the k highest are routed, weights their softmax. */
static inline moe_routing_file *
made_routing(const made_shape *shape, uint64_t seed)
{
    moe_routing_builder *b = moe_routing_builder_new(shape->layers, shape->experts, shape->k);
    moe_stream stream = moe_stream_new(seed, "made", 0);
    size_t n = (size_t)shape->layers * shape->k, n_logits = (size_t)shape->layers * shape->experts;
    g_autofree uint16_t *ids = g_new(uint16_t, n);
    g_autofree float *weights = g_new(float, n), *logits = g_new(float, n_logits);
    moe_routing_builder_meta(b, "domains", "[\"code\",\"prose\"]");
    moe_routing_builder_meta(b, "modalities", "[\"text\",\"image\"]");
    moe_routing_builder_meta(b, "order", "weight");
    moe_routing_builder_meta(b, "prompts", "a secret");
    moe_routing_builder_meta(b, "model", "made");
    moe_routing_builder_lookahead(b, 1, shape->k);
    for (uint32_t t = 0; t < shape->sequences * shape->tokens; t++) {
        for (size_t i = 0; i < n_logits; i++) /* 13 bits: exact in F16 */
            logits[i] = (float)moe_stream_below(&stream, 1024) / 256 -
                        (float)(i % shape->experts) * 4 / (float)shape->experts;
        for (uint32_t l = 0; l < shape->layers; l++) {
            uint16_t *row = ids + (size_t)l * shape->k;
            float *at = logits + (size_t)l * shape->experts;
            uint64_t odd = shape->odd ? moe_stream_below(&stream, 10) : 9;
            uint32_t m = row_best(at, shape->experts, odd == 0 ? shape->k - 1 : shape->k, row);
            double sum = 0;
            for (uint32_t j = 0; j < m; j++)
                sum += moe_exp((double)at[row[j]] - (double)at[row[0]]);
            for (uint32_t j = 0; j < shape->k; j++)
                weights[l * shape->k + j] =
                    j < m ? (float)(moe_exp((double)at[row[j]] - (double)at[row[0]]) / sum) : 0;
            for (uint32_t j = odd == 1 ? 0 : m; j < shape->k; j++) {
                row[j] = odd == 1 ? MOE_ROUTING_NOT_RUN : MOE_ROUTING_NO_EXPERT;
                weights[l * shape->k + j] = 0;
            }
        }
        uint32_t sequence = t / shape->tokens;
        moe_routing_builder_add(b, 100 + 7 * (shape->sequences - sequence), t % shape->tokens,
                                t % shape->tokens < 3 ? MOE_PREFILL : MOE_DECODE, ids, weights);
        for (uint32_t j = 0; j < shape->k; j++)
            ids[j] = MOE_ROUTING_NO_EXPERT; /* nothing is predicted for the first layer */
        moe_routing_builder_predicted(b, 0, ids);
        moe_routing_builder_step(b, t);
        moe_routing_builder_domain(b, (uint16_t)(sequence % 2));
        moe_routing_builder_modality(b, (uint8_t)(t % 2));
        moe_routing_builder_token_id(b, t);
        if (shape->logits)
            moe_routing_builder_logits(b, logits);
    }
    return moe_routing_builder_finish(b, "made");
}

typedef struct made_steps {
    moe_settings *settings;
    moe_yaml_doc *doc;
    moe_transform_step steps[8];
    moe_transform_order order;
    char *text;
} made_steps;

typedef struct made_list {
    moe_list steps;
} made_list;

/* `written`: "[{kind: top-k, k: 1}]". Its order is empty after messages in diag. */
static inline made_steps
made_order(const char *written, const char *folder, moe_diag *diag)
{
    static const moe_param rows[] = {
        {"steps", MOE_PARAM_LIST, 0, NULL, .stride = sizeof(moe_choice), .max_items = 8,
         .help = "Steps."},
        {"steps.*.kind", MOE_PARAM_CHOICE, 0, NULL, .variants = moe_transforms,
         .n_variants = MOE_N_TRANSFORMS, .unit = "transform", .flags = MOE_PARAM_REQUIRED,
         .help = "Kind."},
    };
    static const moe_param_table table = {"test", rows, MOE_COUNT(rows), sizeof(made_list)};
    g_autofree char *text = g_strdup_printf("steps: %s\n", written);
    made_steps made = {.settings = moe_settings_new(&table)};
    made.doc = moe_yaml_parse("steps", text, strlen(text), diag);
    if (made.doc)
        moe_settings_read(made.settings, moe_yaml_root(made.doc), NULL, true, diag);
    const made_list *list = moe_settings_data(made.settings);
    made.text = moe_settings_text(made.settings, "steps");
    made.order = (moe_transform_order){.text = made.text, .folder = folder, .seed = 1};
    if (moe_diag_errors(diag))
        return made;
    made.order.n = list->steps.n;
    for (size_t i = 0; i < list->steps.n; i++)
        made.steps[i].choice = &((const moe_choice *)list->steps.items)[i];
    return made;
}

static inline void
made_steps_clear(made_steps *made)
{
    moe_settings_free(made->settings);
    moe_yaml_free(made->doc);
    g_free(made->text);
}

/* The transformed routing; NULL after messages. */
static inline moe_routing_file *
made_transform(const moe_routing_file *file, const char *written, const char *folder,
               moe_diag *diag)
{
    made_steps made = made_order(written, folder, diag);
    made.order.steps = made.steps;
    moe_routing_builder *builder =
        moe_diag_errors(diag) ? NULL : moe_transform_apply(file, &made.order, NULL, NULL, diag);
    made_steps_clear(&made);
    return builder ? moe_routing_builder_finish(builder, "transformed") : NULL;
}

#endif
