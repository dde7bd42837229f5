#include "sim/policy/policy.h"

#include "sim/policy/evict/evict.h"
#include "sim/policy/predict/predict.h"
#include "sim/policy/prefetch/prefetch.h"
#include "sim/policy/serve/serve.h"

#include <string.h>

#define MOE_POLICY(kind, id) extern const moe_variant moe_##kind##_##id;
#include "sim/policy/policies.def"
#undef MOE_POLICY

/* IN_<list>_<kind>(entry) keeps the entries of one kind. */
#define IN_evict_evict(x) x,
#define IN_evict_predict(x)
#define IN_evict_prefetch(x)
#define IN_evict_serve(x)
#define IN_predict_evict(x)
#define IN_predict_predict(x) x,
#define IN_predict_prefetch(x)
#define IN_predict_serve(x)
#define IN_prefetch_evict(x)
#define IN_prefetch_predict(x)
#define IN_prefetch_prefetch(x) x,
#define IN_prefetch_serve(x)
#define IN_serve_evict(x)
#define IN_serve_predict(x)
#define IN_serve_prefetch(x)
#define IN_serve_serve(x) x,

const moe_variant *const moe_evict_policies[] = {
#define MOE_POLICY(kind, id) IN_evict_##kind(&moe_##kind##_##id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
const moe_variant *const moe_predict_policies[] = {
#define MOE_POLICY(kind, id) IN_predict_##kind(&moe_##kind##_##id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
const moe_variant *const moe_prefetch_policies[] = {
#define MOE_POLICY(kind, id) IN_prefetch_##kind(&moe_##kind##_##id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
const moe_variant *const moe_serve_policies[] = {
#define MOE_POLICY(kind, id) IN_serve_##kind(&moe_##kind##_##id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};

static const char *const evict_ids[] = {
#define MOE_POLICY(kind, id) IN_evict_##kind(#id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
static const char *const predict_ids[] = {
#define MOE_POLICY(kind, id) IN_predict_##kind(#id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
static const char *const prefetch_ids[] = {
#define MOE_POLICY(kind, id) IN_prefetch_##kind(#id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};
static const char *const serve_ids[] = {
#define MOE_POLICY(kind, id) IN_serve_##kind(#id)
#include "sim/policy/policies.def"
#undef MOE_POLICY
};

/* Of each policy's source file: path below sim/policy, and the start of its SHA-256. */
static const struct {
    const char *path, *hash;
} sources[] = {
#include MOE_POLICY_SOURCES
};

const size_t moe_policy_counts[MOE_POLICY_KINDS] = {
    [MOE_POLICY_EVICT] = MOE_COUNT(moe_evict_policies),
    [MOE_POLICY_PREDICT] = MOE_COUNT(moe_predict_policies),
    [MOE_POLICY_PREFETCH] = MOE_COUNT(moe_prefetch_policies),
    [MOE_POLICY_SERVE] = MOE_COUNT(moe_serve_policies),
};

static const struct {
    const char *name, *question;
    const moe_variant *const *list;
    const char *const *ids;
} kinds[MOE_POLICY_KINDS] = {
    [MOE_POLICY_EVICT] = {"evict", "who leaves?", moe_evict_policies, evict_ids},
    [MOE_POLICY_PREDICT] = {"predict", "what will be needed, and how sure?", moe_predict_policies,
                            predict_ids},
    [MOE_POLICY_PREFETCH] = {"prefetch", "what do we want next?", moe_prefetch_policies,
                             prefetch_ids},
    [MOE_POLICY_SERVE] = {"serve", "how is a demanded object that is not resident served?",
                          moe_serve_policies, serve_ids},
};

const char *
moe_policy_kind_name(moe_policy_kind kind)
{
    return kinds[kind].name;
}

const char *
moe_policy_kind_question(moe_policy_kind kind)
{
    return kinds[kind].question;
}

const moe_variant *const *
moe_policy_list(moe_policy_kind kind, size_t *n)
{
    *n = moe_policy_counts[kind];
    return kinds[kind].list;
}

const moe_variant *
moe_policy_find(moe_policy_kind kind, const char *name)
{
    for (size_t i = 0; i < moe_policy_counts[kind]; i++)
        if (!strcmp(kinds[kind].list[i]->name, name))
            return kinds[kind].list[i];
    return NULL;
}

static bool
has_hooks(moe_policy_kind kind, const void *descriptor)
{
    if (kind == MOE_POLICY_EVICT) {
        const moe_evict_ops *ops = descriptor;
        return ops->open && ops->close && ops->hit && ops->victim && ops->admit && ops->remove &&
               ops->replay;
    }
    if (kind == MOE_POLICY_PREDICT) {
        const moe_predict_ops *ops = descriptor;
        return ops->open && ops->close && ops->reach && ops->predict;
    }
    if (kind == MOE_POLICY_PREFETCH) {
        const moe_prefetch_ops *ops = descriptor;
        return ops->want && !ops->open == !ops->close;
    }
    const moe_serve_ops *ops = descriptor;
    return ops->choose;
}

static void
check_rows(const moe_variant *variant)
{
    moe_assert(!variant->n_rows == !variant->config_size, "policy %s: %zu rows over %zu bytes",
               variant->name, variant->n_rows, variant->config_size);
    for (size_t i = 0; i < variant->n_rows; i++) {
        const moe_param *row = &variant->rows[i];
        moe_assert(row->offset + sizeof(int) <= variant->config_size,
                   "policy %s: row '%s' is outside its config", variant->name, row->key);
        moe_assert(row->help && *row->help, "policy %s: row '%s' has no help", variant->name,
                   row->key);
        moe_assert(strcmp(row->key, "kind"), "policy %s: a row may not be called 'kind'",
                   variant->name);
    }
}

void
moe_policy_check_all(void)
{
    for (moe_policy_kind kind = 0; kind < MOE_POLICY_KINDS; kind++) {
        for (size_t i = 0; i < moe_policy_counts[kind]; i++) {
            const moe_variant *variant = kinds[kind].list[i];
            moe_assert(variant->name && variant->help && variant->ops,
                       "%s policy %zu lacks a name, help or its descriptor", kinds[kind].name, i);
            moe_assert(moe_policy_find(kind, variant->name) == variant,
                       "two %s policies are called '%s'", kinds[kind].name, variant->name);
            moe_assert(has_hooks(kind, variant->ops), "%s policy '%s' lacks a required hook",
                       kinds[kind].name, variant->name);
            check_rows(variant);
        }
    }
}

const char *
moe_policy_source(moe_policy_kind kind, const char *name)
{
    char path[128];
    for (size_t i = 0; i < moe_policy_counts[kind]; i++) {
        if (strcmp(kinds[kind].list[i]->name, name) != 0)
            continue;
        g_snprintf(path, sizeof path, "%s/%s.c", kinds[kind].name, kinds[kind].ids[i]);
        for (size_t s = 0; s < MOE_COUNT(sources); s++)
            if (strcmp(sources[s].path, path) == 0)
                return sources[s].hash;
    }
    moe_assert(false, "no source of %s policy %s", kinds[kind].name, name);
    return "";
}
