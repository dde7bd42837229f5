#include "profiler/arch_rope.h"

#include "sim/base/elementary.h"

#include <math.h>
#include <string.h>

static const char *const rope_type_names[MOE_ROPE_TYPES] = {"default", "linear", "llama3", "yarn"};

/* ---- keys ---- */

static const cJSON *
rope_parameters(const moe_hf_reader *r)
{
    static const char *const keys[] = {"rope_parameters", "rope_scaling"};
    for (size_t i = 0; i < MOE_COUNT(keys); i++) {
        const cJSON *node = moe_hf_get(r, keys[i]), *child;
        if (!node)
            continue;
        if (!cJSON_IsObject(node))
            moe_diag_error(r->diag, moe_hf_loc(r), "key %s: wants an object", keys[i]);
        cJSON_ArrayForEach(child, node)
        {
            if (cJSON_IsObject(child))
                moe_diag_error(r->diag, moe_hf_loc(r),
                               "key %s: a rotary embedding by kind of layer ('%s') is not computed",
                               keys[i], child->string ? child->string : "");
        }
        return node;
    }
    return NULL;
}

static moe_rope_type
rope_type(const moe_hf_reader *r, const cJSON *node)
{
    const char *name = moe_hf_text(r, node, "rope_type");
    if (!name)
        name = moe_hf_text(r, node, "type");
    if (!name)
        return MOE_ROPE_DEFAULT;
    for (int i = 0; i < MOE_ROPE_TYPES; i++)
        if (!strcmp(name, rope_type_names[i]))
            return (moe_rope_type)i;
    moe_diag_error(r->diag, moe_hf_loc(r),
                   "key rope_type: '%s' is not computed; known: default, linear, llama3, yarn",
                   name);
    return MOE_ROPE_DEFAULT;
}

static void
rope_read_scaling(const moe_hf_reader *r, const cJSON *node, double max_context,
                  moe_rope_config *out)
{
    out->original = moe_hf_real(r, node, "original_max_position_embeddings", max_context, 1, 1e9);
    double factor = out->type == MOE_ROPE_YARN ? MAX(max_context / out->original, 1) : NAN;
    out->factor = moe_hf_real(r, node, "factor", factor, 1, 1e6);
    if (out->type == MOE_ROPE_LLAMA3) {
        out->low_freq = moe_hf_real(r, node, "low_freq_factor", NAN, 1e-3, 1e6);
        out->high_freq = moe_hf_real(r, node, "high_freq_factor", NAN, 1e-3, 1e6);
        if (out->high_freq <= out->low_freq)
            moe_diag_error(r->diag, moe_hf_loc(r),
                           "key high_freq_factor: must be above low_freq_factor");
    }
    if (out->type == MOE_ROPE_YARN) {
        out->beta_fast = moe_hf_real(r, node, "beta_fast", 32, 1e-3, 1e6);
        out->beta_slow = moe_hf_real(r, node, "beta_slow", 1, 1e-3, 1e6);
        out->magnitude = moe_hf_real(r, node, "attention_factor", 0, 0, 1e3);
        out->mscale = moe_hf_real(r, node, "mscale", 0, 0, 1e3);
        out->mscale_all_dim = moe_hf_real(r, node, "mscale_all_dim", 0, 0, 1e3);
        const cJSON *truncate = cJSON_GetObjectItemCaseSensitive(node, "truncate");
        out->truncate = !truncate || !cJSON_IsFalse(truncate);
        if (truncate && !cJSON_IsBool(truncate) && !cJSON_IsNull(truncate))
            moe_diag_error(r->diag, moe_hf_loc(r), "key truncate: wants true or false");
    }
}

void
moe_rope_read(const moe_hf_reader *r, double theta, double max_context, moe_rope_config *out)
{
    const cJSON *node = rope_parameters(r);
    *out = (moe_rope_config){.factor = 1, .original = max_context};
    double outside = moe_hf_real(r, r->root, "rope_theta", theta, 2, 1e12);
    out->theta = node ? moe_hf_real(r, node, "rope_theta", outside, 2, 1e12) : outside;
    double whole = moe_hf_real(r, r->root, "partial_rotary_factor", 1, 0, 1);
    if (node)
        whole = moe_hf_real(r, node, "partial_rotary_factor", whole, 0, 1);
    if (whole < 1)
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key partial_rotary_factor: heads that rotate in part are not computed");
    if (!node)
        return;
    out->type = rope_type(r, node);
    if (out->type != MOE_ROPE_DEFAULT)
        rope_read_scaling(r, node, max_context, out);
}

/* ---- angles ---- */

/* Share of pair i that is interpolated: a ramp from `low` to `high`. */
static double
rope_ramp(double low, double high, uint32_t i)
{
    double share = (i - low) / (high == low ? 0.001 : high - low);
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* The pair that turns so many times within the first training's context. */
static double
rope_pair_of(const moe_rope_config *c, uint32_t dim, double rotations)
{
    return dim * moe_ln(c->original / (rotations * 2 * G_PI)) / (2 * moe_ln(c->theta));
}

static void
rope_yarn(const moe_rope_config *c, uint32_t dim, double *inverse)
{
    double low = rope_pair_of(c, dim, c->beta_fast), high = rope_pair_of(c, dim, c->beta_slow);
    if (c->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = low < 0 ? 0 : low;
    high = high > dim - 1 ? dim - 1 : high;
    for (uint32_t i = 0; i < dim / 2; i++) {
        double share = rope_ramp(low, high, i);
        inverse[i] = inverse[i] / c->factor * share + inverse[i] * (1 - share);
    }
}

static void
rope_llama3(const moe_rope_config *c, uint32_t dim, double *inverse)
{
    for (uint32_t i = 0; i < dim / 2; i++) {
        double turns = c->original * inverse[i] / (2 * G_PI);
        double share = (turns - c->low_freq) / (c->high_freq - c->low_freq);
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        inverse[i] = (1 - share) * inverse[i] / c->factor + share * inverse[i];
    }
}

void
moe_rope_inverse(const moe_rope_config *config, uint32_t dim, double *inverse)
{
    double step = moe_ln(config->theta) / dim;
    for (uint32_t i = 0; i < dim / 2; i++)
        inverse[i] = moe_exp(-2.0 * i * step);
    if (config->type == MOE_ROPE_YARN)
        rope_yarn(config, dim, inverse);
    if (config->type == MOE_ROPE_LLAMA3)
        rope_llama3(config, dim, inverse);
    for (uint32_t i = 0; config->type == MOE_ROPE_LINEAR && i < dim / 2; i++)
        inverse[i] /= config->factor;
}

static double
rope_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * moe_ln(factor) + 1;
}

float
moe_rope_magnitude(const moe_rope_config *c)
{
    if (c->type != MOE_ROPE_YARN)
        return 1;
    if (c->magnitude > 0)
        return (float)c->magnitude;
    if (c->mscale > 0 && c->mscale_all_dim > 0)
        return (float)(rope_mscale(c->factor, c->mscale) /
                       rope_mscale(c->factor, c->mscale_all_dim));
    return (float)rope_mscale(c->factor, 1);
}

double
moe_rope_score_factor(const moe_rope_config *c)
{
    if (c->type != MOE_ROPE_YARN || c->mscale_all_dim <= 0)
        return 1;
    double mscale = rope_mscale(c->factor, c->mscale_all_dim);
    return mscale * mscale;
}
