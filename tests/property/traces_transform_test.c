/* Every kind of transform conserves, of the token-expert pairs, what its descriptor says. */
#include "tests/unit/transform_fixture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <unistd.h>

/* At least one line per kind; files are written by `write_tables`. */
static const char *const written[] = {
    "[{kind: top-k, k: 1}]",
    "[{kind: top-k, k: 3, renormalise: false}]",
    "[{kind: threshold, least: 0.2}]",
    "[{kind: threshold, least: 30%, of: row, renormalise: false}]",
    "[{kind: ratio-skip}]",
    "[{kind: ratio-skip, from: given, bound: 0.7, exempt: 20%, renormalise: false}]",
    "[{kind: ratio-skip, from: file, file: bounds.csv}]",
    "[{kind: top-p, p: 0.6}]",
    "[{kind: top-p, p: 60%, of: row, renormalise: true}]",
    "[{kind: reroute}]",
    "[{kind: reroute, k: 7, score: all}]",
    "[{kind: reroute, k: 2, score: sigmoid}]",
    "[{kind: null-experts, real: 9}]",
    "[{kind: mask, keep: 5}]",
    "[{kind: mask, keep: 5, from: weight, profile: 50%, domain: prose}]",
    "[{kind: mask, keep: 3, from: logit, best: 2, renormalise: false}]",
    "[{kind: mask, from: file, file: keep.csv}]",
    "[{kind: modality-groups}]",
    "[{kind: modality-groups, experts: '9,3', renormalise: false}]",
    "[{kind: device-limit, devices: 3, limit: 1}]",
    "[{kind: device-limit, devices: 5, limit: 2, best: 2}]",
    "[{kind: remap, file: map.csv}]",
    "[{kind: remap, from: groups, groups: 4}]",
    "[{kind: rounds, rounds: 2}]",
    "[{kind: slice, sequence: 1, sequences: 2, position: 2, positions: 5, phase: decode}]",
    "[{kind: sample, share: 40%}]",
    "[{kind: anonymise}]",
};

/* The same of the dispatch stage, over groups of tokens. */
static const char *const dispatched[] = {
    "[{kind: capacity}]",
    "[{kind: capacity, factor: 0.5, drop: weight}]",
    "[{kind: capacity, factor: 0.7, drop: random, least: 2}]",
    "[{kind: capacity, of: device, devices: 3, factor: 0.8, drop: weight}]",
    "[{kind: expert-choice}]",
    "[{kind: expert-choice, experts: 1.5, score: sigmoid}]",
};

static const char *const sized[] = {"[{kind: precision, file: bits.csv, overhead: 0.25}]"};

static const made_shape shape = {3, 12, 4, 5, 30, true, true};

static char *
write_tables(void)
{
    char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    static const char *const files[][2] = {
        {"bounds.csv", "layer,bound\n0,0.5\n1,0.9\n2,0\n"},
        {"keep.csv", "layer,expert\n*,0\n*,5\n1,11\n"},
        {"bits.csv", "layer,expert,bits\n*,1,3\n2,11,1.75\n"},
        {"map.csv", "layer,expert,to\n*,1,0\n*,2,0\n2,3,4\n2,4,3\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i][0], NULL);
        g_file_set_contents(path, files[i][1], -1, NULL);
    }
    return folder;
}

static void
drop_tables(char *folder)
{
    static const char *const files[] = {"bounds.csv", "keep.csv", "map.csv", "bits.csv"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

/* The row of a token of `after` in `before`: sequences keep their order. */
static uint64_t
find_token(const moe_routing *before, const moe_routing *after, uint64_t token, bool renumbered)
{
    for (uint32_t s = 0; s < before->n_sequences; s++) {
        bool same = renumbered ? s == after->sequence[token]
                               : before->sequence_ids[s] == after->sequence[token];
        for (uint64_t i = before->sequence_first[s]; same && i < before->sequence_first[s + 1];
             i++) {
            uint64_t row = before->rows ? before->rows[i] : i;
            if (before->position[row] == after->position[token])
                return row;
        }
    }
    return UINT64_MAX;
}

typedef struct row_pair {
    uint32_t n_before, n_after;
    uint16_t before[MOE_ROUTING_MAX_K], after[MOE_ROUTING_MAX_K];
    const float *weights_before, *weights_after;
} row_pair;

static double
sum_of(const float *weights, uint32_t n)
{
    double sum = 0;
    for (uint32_t j = 0; j < n; j++)
        sum += (double)weights[j];
    return sum;
}

/* A part of what was there, in its order, weights as they were or scaled by one factor that keeps
 * the sum. */
static bool
is_fewer(const row_pair *r, bool renormalised)
{
    double scale = 1, left = 0;
    uint32_t at = 0;
    for (uint32_t j = 0; j < r->n_after; j++, at++) {
        while (at < r->n_before && r->before[at] != r->after[j])
            at++;
        if (at == r->n_before)
            return false;
        left += (double)r->weights_before[at];
    }
    if (renormalised && left > 0)
        scale = sum_of(r->weights_before, r->n_before) / left;
    at = 0;
    for (uint32_t j = 0; j < r->n_after; j++, at++) {
        while (r->before[at] != r->after[j])
            at++;
        if (fabs((double)r->weights_before[at] * scale - (double)r->weights_after[j]) > 1e-6)
            return false;
    }
    return true;
}

static bool
is_same(const row_pair *r)
{
    return r->n_before == r->n_after &&
           memcmp(r->before, r->after, r->n_after * sizeof *r->after) == 0 &&
           memcmp(r->weights_before, r->weights_after, r->n_after * sizeof(float)) == 0;
}

/* The first expert of a row tells its image: one per expert, and all images are in the row. */
static bool
is_renamed(const row_pair *r, int *image)
{
    if (r->n_after > r->n_before || (r->n_before > 0) != (r->n_after > 0) ||
        fabs(sum_of(r->weights_before, r->n_before) - sum_of(r->weights_after, r->n_after)) > 1e-6)
        return false;
    if (r->n_before == 0)
        return true;
    if (image[r->before[0]] >= 0 && image[r->before[0]] != r->after[0])
        return false;
    image[r->before[0]] = r->after[0];
    for (uint32_t i = 0; i < r->n_before; i++) {
        bool there = image[r->before[i]] < 0;
        for (uint32_t j = 0; j < r->n_after; j++)
            there |= r->after[j] == image[r->before[i]];
        if (!there)
            return false;
    }
    return true;
}

/* As many as asked for, none left out that has a higher logit. */
static bool
is_best(const moe_routing *after, uint64_t token, uint32_t layer, const row_pair *r)
{
    const uint16_t *logits = after->logits + (token * after->n_layers + layer) * after->n_experts;
    float lowest = INFINITY;
    bool chosen[MOE_ROUTING_MAX_K] = {false};
    for (uint32_t j = 0; j < r->n_after; j++) {
        lowest = MIN(lowest, moe_routing_f16(logits[r->after[j]]));
        chosen[r->after[j]] = true;
    }
    for (uint32_t e = 0; e < after->n_experts; e++)
        if (!chosen[e] && moe_routing_f16(logits[e]) > lowest)
            return false;
    return r->n_after == after->k;
}

static bool
holds(const moe_transform_ops *ops, const char *text, const moe_routing *before,
      const moe_routing *after, uint64_t token, uint64_t was, uint32_t layer, int *image)
{
    bool renormalised = strstr(text, "renormalise: true") != NULL ||
                        (!strstr(text, "renormalise") && !strstr(text, "top-p"));
    row_pair r = {
        .n_before = moe_routing_row(before, was, layer, r.before),
        .n_after = moe_routing_row(after, token, layer, r.after),
        .weights_before = before->weights + (was * before->n_layers + layer) * before->k,
        .weights_after = after->weights + (token * after->n_layers + layer) * after->k,
    };
    if (moe_routing_id(before, was, layer, 0) == MOE_ROUTING_NOT_RUN)
        return moe_routing_id(after, token, layer, 0) == MOE_ROUTING_NOT_RUN;
    switch (ops->pairs) {
    case MOE_PAIRS_SAME:
        return is_same(&r);
    case MOE_PAIRS_FEWER:
        return is_fewer(&r, renormalised);
    case MOE_PAIRS_RENAMED:
        return is_renamed(&r, image);
    case MOE_PAIRS_CHOSEN:
        return is_best(after, token, layer, &r);
    }
    return false;
}

/* Bytes of two routings, tensor by tensor. */
static bool
is_equal(const moe_routing *a, const moe_routing *b)
{
    size_t rows = (size_t)a->n_tokens * a->n_layers;
    return a->n_tokens == b->n_tokens && a->k == b->k && a->n_experts == b->n_experts &&
           memcmp(a->ids, b->ids, rows * a->k * a->id_bytes) == 0 &&
           memcmp(a->weights, b->weights, rows * a->k * sizeof(float)) == 0 &&
           !a->logits == !b->logits &&
           (!a->logits ||
            memcmp(a->logits, b->logits, rows * a->n_experts * sizeof(uint16_t)) == 0);
}

/* Layers in rounds hold the rows of what they were made from, cut to pieces. */
static bool
is_in_rounds(const moe_routing *before, const moe_routing *after)
{
    size_t n = (size_t)before->n_tokens * before->n_layers * before->k;
    return after->n_tokens == before->n_tokens &&
           after->n_layers * after->k == before->n_layers * before->k && after->layer_ids[1] == 1 &&
           !after->logits && memcmp(before->ids, after->ids, n * before->id_bytes) == 0 &&
           memcmp(before->weights, after->weights, n * sizeof(float)) == 0;
}

static void
check_written(const moe_routing_file *file, const char *text, const char *folder)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    made_steps made = made_order(text, folder, diag);
    const moe_transform_ops *ops = made.steps[0].choice->variant->ops;
    g_autoptr(moe_routing_file) out = made_transform(file, text, folder, diag);
    g_autoptr(moe_routing_file) again = made_transform(file, text, folder, diag);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(out && again, "%s: %s", text, messages);
    if (out && again) {
        const moe_routing *before = moe_routing_get(file), *after = moe_routing_get(out);
        g_autofree int *image = g_new(int, before->n_layers * before->n_experts);
        for (uint32_t i = 0; i < before->n_layers * before->n_experts; i++)
            image[i] = -1;
        bool renumbered = strstr(text, "anonymise") != NULL;
        unsigned wrong = 0;
        bool rounds = after->n_layers > before->n_layers;
        wrong += rounds && !is_in_rounds(before, after);
        for (uint64_t t = 0; t < after->n_tokens; t++) {
            uint64_t was = find_token(before, after, t, renumbered);
            for (uint32_t l = 0; l < after->n_layers && !rounds && was != UINT64_MAX; l++)
                wrong += !holds(ops, text, before, after, t, was, l, image + l * before->n_experts);
            wrong += was == UINT64_MAX || after->modality[t] != before->modality[was] ||
                     after->domain[t] != before->domain[was] || after->step[t] != before->step[was];
        }
        MOE_CHECK(wrong == 0, "%s: %u rows are not as said: %s", text, wrong, ops->conserves);
        MOE_CHECK(is_equal(after, moe_routing_get(again)), "%s: not the same twice", text);
        MOE_CHECK(ops->stage == MOE_TRANSFORM_TOKENS || after->n_tokens == before->n_tokens,
                  "%s: tokens went", text);
        MOE_CHECK(!ops->factual || ops->pairs == MOE_PAIRS_SAME, "%s is not factual", text);
        MOE_CHECK((moe_routing_meta(out, MOE_TRANSFORM_META_MARK) == NULL) == ops->factual,
                  "%s: the mark", text);
    }
    made_steps_clear(&made);
}

static void
pairs_are_as_said(void)
{
    g_autoptr(moe_routing_file) file = made_routing(&shape, 3);
    char *folder = write_tables();
    for (size_t i = 0; i < G_N_ELEMENTS(written); i++)
        check_written(file, written[i], folder);
    drop_tables(folder);
}

/* ---- where the tokens of a step meet ---- */

static void
gather(const moe_routing *r, moe_transform_group *group)
{
    group->n = 0;
    for (uint32_t t = 0; t < group->n_tokens; t++) {
        uint16_t ids[MOE_ROUTING_MAX_K];
        uint32_t n = moe_routing_row(r, group->rows[t], group->layer, ids);
        size_t at = ((size_t)group->rows[t] * r->n_layers + group->layer) * r->k;
        for (uint32_t j = 0; j < n; j++)
            moe_transform_add_pair(group, (moe_pair){t, ids[j], (uint16_t)j, r->weights[at + j]});
    }
}

/* Pairs that were there, in their order; none of those that went weighs more than one of its unit
 * that stayed, when the least go. */
static bool
group_is_fewer(const moe_transform_group *before, const moe_transform_group *after, bool by_weight)
{
    uint64_t at = 0;
    for (uint64_t i = 0; i < before->n; i++) {
        const moe_pair *was = &before->pairs[i];
        const moe_pair *is = at < after->n ? &after->pairs[at] : NULL;
        if (is && is->token == was->token && is->expert == was->expert &&
            is->weight == was->weight) {
            at++;
            continue;
        }
        for (uint64_t j = 0; j < after->n && by_weight; j++)
            if (after->pairs[j].expert == was->expert && after->pairs[j].weight < was->weight)
                return false;
    }
    return at == after->n;
}

/* Each expert has its share of the tokens that ran, each of them once; of those it left, none is
 * scored higher than one it took. */
static bool
group_is_chosen(const moe_routing *r, const moe_transform_group *after, double experts,
                bool sigmoid)
{
    uint32_t runs = 0;
    for (uint32_t t = 0; t < after->n_tokens; t++)
        runs += moe_routing_id(r, after->rows[t], after->layer, 0) != MOE_ROUTING_NOT_RUN;
    for (uint32_t e = 0; e < r->n_experts; e++) {
        float lowest = INFINITY;
        uint64_t taken = 0; /* bit per token: at most 40 */
        uint32_t n = 0;
        for (uint64_t i = 0; i < after->n; i++) {
            const moe_pair *pair = &after->pairs[i];
            if (pair->expert != e)
                continue;
            if (taken >> pair->token & 1)
                return false;
            taken |= 1ull << pair->token;
            lowest = MIN(lowest, pair->weight);
            n++;
        }
        if (n != MIN(runs, (uint32_t)ceil(experts * runs / r->n_experts - 1e-9)))
            return false;
        for (uint32_t t = 0; t < after->n_tokens && sigmoid; t++) {
            size_t at = (size_t)after->rows[t] * r->n_layers + after->layer;
            double logit = (double)moe_routing_f16(r->logits[at * r->n_experts + e]);
            bool ran = moe_routing_id(r, after->rows[t], after->layer, 0) != MOE_ROUTING_NOT_RUN;
            if (ran && !(taken >> t & 1) && (float)row_sigmoid(logit) > lowest)
                return false;
        }
    }
    return true;
}

static uint64_t
fullest(const moe_transform_group *group, uint32_t n_experts, uint32_t units)
{
    uint64_t counts[64] = {0}, most = 0;
    for (uint64_t i = 0; i < group->n; i++) {
        uint32_t unit = group->pairs[i].expert * units / n_experts;
        counts[unit]++;
        most = MAX(most, counts[unit]);
    }
    return most;
}

static void
check_dispatched(const moe_routing_file *file, const char *text)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    const moe_routing *r = moe_routing_get(file);
    made_steps made = made_order(text, NULL, diag);
    made.order.steps = made.steps;
    const moe_transform_ops *ops = made.steps[0].choice->variant->ops;
    moe_dispatch *dispatch = moe_dispatch_open(r, &made.order, diag);
    bool devices = strstr(text, "device") != NULL, half = strstr(text, "1.5") != NULL;
    uint32_t rows[40], units = devices ? 3 : r->n_experts;
    double factor = strstr(text, "0.5") && !half ? 0.5 : strstr(text, "0.7") ? 0.7 : 1;
    factor = strstr(text, "0.8") ? 0.8 : factor;
    unsigned wrong = 0;
    for (uint32_t n = 1; dispatch && n <= 40; n += 3)
        for (uint32_t l = 0; l < r->n_layers; l++) {
            for (uint32_t t = 0; t < n; t++)
                rows[t] = (n * 7 + t * 3) % (uint32_t)r->n_tokens;
            moe_transform_group before = {n, l, n, rows, NULL, 0, 0}, after = before;
            gather(r, &before);
            gather(r, &after);
            moe_dispatch_group(dispatch, &after);
            if (ops->pairs == MOE_PAIRS_CHOSEN)
                wrong += !group_is_chosen(r, &after, half ? 1.5 : r->k, half);
            else {
                uint64_t capacity = (uint64_t)ceil(factor * (double)before.n / units);
                capacity = MAX(capacity, strstr(text, "least") ? 2 : 1);
                wrong += !group_is_fewer(&before, &after, !devices && strstr(text, "weight"));
                wrong += fullest(&after, r->n_experts, units) !=
                         MIN(capacity, fullest(&before, r->n_experts, units));
            }
            g_free(before.pairs);
            g_free(after.pairs);
        }
    MOE_CHECK(dispatch && wrong == 0, "%s: %u groups are not as said: %s", text, wrong,
              ops->conserves);
    moe_dispatch_close(dispatch);
    made_steps_clear(&made);
}

static void
groups_are_as_said(void)
{
    g_autoptr(moe_routing_file) file = made_routing(&shape, 5);
    for (size_t i = 0; i < G_N_ELEMENTS(dispatched); i++)
        check_dispatched(file, dispatched[i]);
}

/* ---- sizes ---- */

/* What has no size is never asked for; kinds that only change sizes leave the routing alone. */
static void
check_sizes(const moe_routing_file *file, const char *text, const char *folder)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    made_steps made = made_order(text, folder, diag);
    made.order.steps = made.steps;
    made.order.expert_bits = 4;
    const moe_transform_ops *ops = made.steps[0].choice->variant->ops;
    g_autofree double *sizes = NULL;
    moe_routing_builder *builder = moe_transform_apply(file, &made.order, NULL, &sizes, diag);
    g_autoptr(moe_routing_file) out = builder ? moe_routing_builder_finish(builder, "out") : NULL;
    const moe_routing *before = moe_routing_get(file), *after = out ? moe_routing_get(out) : NULL;
    unsigned wrong = 0, other = 0;
    for (size_t i = 0; after && i < (size_t)after->n_layers * after->n_experts; i++) {
        wrong += !(sizes[i] >= 0);
        other += sizes[i] != 1;
    }
    for (uint64_t t = 0; after && t < after->n_tokens; t++)
        for (uint32_t l = 0; l < after->n_layers; l++)
            for (uint32_t j = 0; j < after->k; j++) {
                uint32_t id = moe_routing_id(after, t, l, j);
                wrong += id < MOE_ROUTING_NOT_RUN && sizes[l * after->n_experts + id] == 0;
            }
    MOE_CHECK(after && wrong == 0 && (other > 0) == (ops->sizes != NULL), "%s: %u, %u", text, wrong,
              other);
    if (after && ops->stage == MOE_TRANSFORM_SIZES)
        CU_ASSERT_TRUE(is_equal(before, after));
    made_steps_clear(&made);
}

static void
sizes_are_as_said(void)
{
    g_autoptr(moe_routing_file) file = made_routing(&shape, 7);
    char *folder = write_tables();
    for (size_t i = 0; i < G_N_ELEMENTS(written); i++)
        check_sizes(file, written[i], folder);
    for (size_t i = 0; i < G_N_ELEMENTS(sized); i++)
        check_sizes(file, sized[i], folder);
    drop_tables(folder);
}

static void
every_kind_is_tried(void)
{
    moe_transform_check_all();
    for (size_t i = 0; i < MOE_N_TRANSFORMS; i++) {
        g_autofree char *kind = g_strdup_printf("{kind: %s", moe_transforms[i]->name);
        bool tried = false;
        for (size_t w = 0; w < G_N_ELEMENTS(written); w++)
            tried |= strstr(written[w], kind) != NULL;
        for (size_t w = 0; w < G_N_ELEMENTS(dispatched); w++)
            tried |= strstr(dispatched[w], kind) != NULL;
        for (size_t w = 0; w < G_N_ELEMENTS(sized); w++)
            tried |= strstr(sized[w], kind) != NULL;
        MOE_CHECK(tried, "no line tries '%s'", moe_transforms[i]->name);
    }
}

MOE_TESTS({"pairs are as said", pairs_are_as_said}, {"groups are as said", groups_are_as_said},
          {"sizes are as said", sizes_are_as_said}, {"every kind is tried", every_kind_is_tried})
