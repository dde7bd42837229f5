/* Any bytes as the config.json of a checkpoint: how to compute, with numbers that can be computed
 * with, or messages; never both, never neither. */
#include "profiler/arch.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_rope(const moe_rope *rope)
{
    moe_assert(rope->dim % 2 == 0 && isfinite(rope->magnitude) && rope->magnitude > 0,
               "%u elements, magnitude %g", rope->dim, rope->magnitude);
    for (uint32_t i = 0; i < rope->dim / 2; i++)
        moe_assert(rope->inverse[i] >= 0 && rope->inverse[i] <= 1, "angle %u: %g", i,
                   rope->inverse[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_arch_set) set = moe_arch_parse("config.json", (const char *)data, size, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(!set == (moe_diag_errors(diag) > 0), "%s", text);
    if (!set)
        return 0;
    const moe_arch *a = moe_arch_get(set);
    const moe_router_rule *rule = &a->router;
    check_rope(&a->rope);
    moe_assert(isfinite(a->score_scale) && a->score_scale > 0, "score scale %g", a->score_scale);
    moe_assert(a->norm_eps >= 0 && a->latent_norm_eps >= 0 && a->qkv_clip >= 0, "%g, %g, %g",
               a->norm_eps, a->latent_norm_eps, a->qkv_clip);
    moe_assert(rule->top_k > 0 && rule->top_k <= rule->experts && isfinite(rule->scale),
               "%u of %u experts, times %g", rule->top_k, rule->experts, rule->scale);
    if (rule->groups > 1)
        moe_assert(rule->experts % rule->groups == 0 && rule->top_groups <= rule->groups &&
                       rule->top_k <= rule->experts / rule->groups * rule->top_groups,
                   "%u of %u groups", rule->top_groups, rule->groups);
    return 0;
}
