#include "traces/transform/transform.h"

#include "sim/base/error.h"

#include <string.h>

#define MOE_TRANSFORM(id) extern const moe_variant moe_transform_##id;
#include "traces/transform/transforms.def"
#undef MOE_TRANSFORM

const moe_variant *const moe_transforms[] = {
#define MOE_TRANSFORM(id) &moe_transform_##id,
#include "traces/transform/transforms.def"
#undef MOE_TRANSFORM
};

/* Of each kind's source file: identifier, and the start of its SHA-256. */
static const struct {
    const char *id, *hash;
} sources[] = {
#include MOE_TRANSFORM_SOURCES
};

static const char *const ids[] = {
#define MOE_TRANSFORM(id) #id,
#include "traces/transform/transforms.def"
#undef MOE_TRANSFORM
};

const char *
moe_transform_source(const char *name)
{
    for (size_t i = 0; i < MOE_N_TRANSFORMS; i++)
        for (size_t s = 0; s < MOE_COUNT(sources) && strcmp(moe_transforms[i]->name, name) == 0;
             s++)
            if (strcmp(sources[s].id, ids[i]) == 0)
                return sources[s].hash;
    moe_assert(false, "no source of transform %s", name);
    return "";
}

const char *
moe_transform_stage_name(moe_transform_stage stage)
{
    static const char *const names[] = {"rows", "tokens", "dispatch", "sizes"};
    return names[stage];
}

static bool
has_hook(const moe_transform_ops *ops)
{
    switch (ops->stage) {
    case MOE_TRANSFORM_ROWS:
        return ops->row && !ops->token && !ops->group;
    case MOE_TRANSFORM_TOKENS:
        return ops->token && !ops->row && !ops->group && ops->pairs == MOE_PAIRS_SAME;
    case MOE_TRANSFORM_DISPATCH:
        return ops->group && !ops->row && !ops->token;
    case MOE_TRANSFORM_SIZES:
        return ops->sizes && !ops->row && !ops->token && !ops->group;
    }
    return false;
}

void
moe_transform_check_all(void)
{
    for (size_t i = 0; i < MOE_N_TRANSFORMS; i++) {
        const moe_variant *variant = moe_transforms[i];
        const moe_transform_ops *ops = variant->ops;
        moe_assert(variant->name && variant->help && ops && ops->conserves,
                   "transform %zu lacks a name, help or its descriptor", i);
        moe_assert(has_hook(ops), "transform '%s' has not the function of its stage, '%s'",
                   variant->name, moe_transform_stage_name(ops->stage));
        moe_assert(ops->file == SIZE_MAX || ops->file < variant->config_size,
                   "transform '%s' has its file at %zu of %zu bytes", variant->name, ops->file,
                   variant->config_size);
        for (size_t j = 0; j < i; j++)
            moe_assert(strcmp(moe_transforms[j]->name, variant->name) != 0,
                       "two transforms are called '%s'", variant->name);
    }
}

bool
moe_transform_counterfactual(const moe_routing_file *file, const moe_transform_order *order)
{
    if (file && moe_routing_meta(file, MOE_TRANSFORM_META_MARK))
        return true;
    for (size_t i = 0; order && i < order->n; i++)
        if (!((const moe_transform_ops *)order->steps[i].choice->variant->ops)->factual)
            return true;
    return false;
}
