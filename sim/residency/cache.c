#include "sim/residency/cache.h"

#include "sim/policy/policy.h"

#define AT(field) offsetof(moe_cache, field)

static const moe_param rows[] = {
    {"capacity", MOE_PARAM_AMOUNT, AT(capacity), "25%", .unit = "share, size or slots",
     .help = "Room for experts: a share of the expert bytes, bytes of the whole cache, or "
             "`12 slots` per scope; floored to whole slots."},
    {"scope", MOE_PARAM_ENUM, AT(scope), "model", .choices = "model|layer",
     .help = "One pool of slots for all layers, or one of equal size per layer."},
    {"evict", MOE_PARAM_CHOICE, AT(evict), MOE_DEFAULT_EVICT, .variants = moe_evict_policies,
     .n_variants = MOE_N_EVICT, .unit = "policy", .help = "Who leaves when a slot is needed."},
    {"predict", MOE_PARAM_CHOICE, AT(predict), MOE_DEFAULT_PREDICT,
     .variants = moe_predict_policies, .n_variants = MOE_N_PREDICT, .unit = "policy",
     .help = "Where forecasts come from, for prefetch policies that ask for them."},
    {"prefetch", MOE_PARAM_CHOICE, AT(prefetch), MOE_DEFAULT_PREFETCH,
     .variants = moe_prefetch_policies, .n_variants = MOE_N_PREFETCH, .unit = "policy",
     .help = "What is loaded before it is asked for."},
    {"profile", MOE_PARAM_SHARE, AT(profile), "10%", 0, 1,
     .help = "Share of the recorded sequences whose expert popularity is known beforehand to "
             "policies that ask for a profile."},
    {"seed", MOE_PARAM_INT, AT(seed), "1", 0, 9.2e18, .help = "Seed of random forecasts."},
};

const moe_param_table moe_cache_table = {"cache", rows, MOE_COUNT(rows), sizeof(moe_cache)};

double
moe_cache_slots(moe_amount amount, double n_objects, uint32_t pools, double bytes)
{
    switch (amount.kind) {
    case MOE_AMOUNT_SHARE: /* 25% of 32 is 8, whatever the rounding */
        return amount.share * (n_objects / pools) * (1 + 1e-12);
    case MOE_AMOUNT_BYTES:
        return (double)amount.count / bytes / pools;
    case MOE_AMOUNT_SLOTS:
        return (double)amount.count;
    case MOE_AMOUNT_REST:
        break;
    }
    return 0;
}
