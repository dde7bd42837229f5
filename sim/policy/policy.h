/* The registry of policies: one line per policy in policies.def, one moe_variant per line.
 *
 * A policy named `next-layer` of kind `prefetch` is the file sim/policy/prefetch/next_layer.c,
 * which defines `const moe_variant moe_prefetch_next_layer`; its `ops` point to the kind's
 * descriptor (struct moe_prefetch_ops).
 *
 * A new policy touches three places:
 *   1. sim/policy/<kind>/<identifier>.c, in the order of sections of the others: the idea, its
 *      invariant and the paper; config struct; state struct; parameter rows; life cycle;
 *      decisions; descriptor and variant last. It includes its kind's header, base and core, and
 *      never another policy. The kind's header says who calls what and when. An `evict` policy
 *      writes its decisions as `static inline` and ends with MOE_EVICT_DEFINE (evict/replay.h).
 *   2. MOE_POLICY(<kind>, <identifier>) in policies.def. Parameter tables, help, schema, sweeps
 *      and the property tests, which go over every line of the registry, follow from it.
 *   3. A golden scenario in tests/golden that uses it.
 * Nothing else knows policies by name. */
#ifndef MOE_POLICY_POLICY_H
#define MOE_POLICY_POLICY_H

#include "sim/base/param.h"

typedef enum moe_policy_kind {
    MOE_POLICY_EVICT,
    MOE_POLICY_PREDICT,
    MOE_POLICY_PREFETCH,
    MOE_POLICY_SERVE,
    MOE_POLICY_KINDS,
} moe_policy_kind;

/* One line per kind: what it decides. */
const char *moe_policy_kind_name(moe_policy_kind kind);
const char *moe_policy_kind_question(moe_policy_kind kind);

/* How many policies each kind has, as constants for parameter tables. */
#define MOE_IS_EVICT_evict 1
#define MOE_IS_EVICT_predict 0
#define MOE_IS_EVICT_prefetch 0
#define MOE_IS_EVICT_serve 0
#define MOE_IS_PREDICT_evict 0
#define MOE_IS_PREDICT_predict 1
#define MOE_IS_PREDICT_prefetch 0
#define MOE_IS_PREDICT_serve 0
#define MOE_IS_PREFETCH_evict 0
#define MOE_IS_PREFETCH_predict 0
#define MOE_IS_PREFETCH_prefetch 1
#define MOE_IS_PREFETCH_serve 0
#define MOE_IS_SERVE_evict 0
#define MOE_IS_SERVE_predict 0
#define MOE_IS_SERVE_prefetch 0
#define MOE_IS_SERVE_serve 1
enum {
#define MOE_POLICY(kind, name) +MOE_IS_EVICT_##kind
    MOE_N_EVICT = 0
#include "sim/policy/policies.def"
    ,
#undef MOE_POLICY
#define MOE_POLICY(kind, name) +MOE_IS_PREDICT_##kind
    MOE_N_PREDICT = 0
#include "sim/policy/policies.def"
    ,
#undef MOE_POLICY
#define MOE_POLICY(kind, name) +MOE_IS_PREFETCH_##kind
    MOE_N_PREFETCH = 0
#include "sim/policy/policies.def"
    ,
#undef MOE_POLICY
#define MOE_POLICY(kind, name) +MOE_IS_SERVE_##kind
    MOE_N_SERVE = 0
#include "sim/policy/policies.def"
#undef MOE_POLICY
};

/* What a scenario gets that does not choose. */
#define MOE_DEFAULT_EVICT "lru"
#define MOE_DEFAULT_PREDICT "oracle"
#define MOE_DEFAULT_PREFETCH "none"
#define MOE_DEFAULT_SERVE "load"

/* All policies of a kind, in the order of policies.def; arrays for parameter tables. */
extern const moe_variant *const moe_evict_policies[];
extern const moe_variant *const moe_predict_policies[];
extern const moe_variant *const moe_prefetch_policies[];
extern const moe_variant *const moe_serve_policies[];
extern const size_t moe_policy_counts[MOE_POLICY_KINDS];

/* The same by kind, and by name (NULL: no such policy). */
const moe_variant *const *moe_policy_list(moe_policy_kind kind, size_t *n);
const moe_variant *moe_policy_find(moe_policy_kind kind, const char *name);

/* The hash of the policy's source file, for identities: a policy that was changed is another one.
 */
const char *moe_policy_source(moe_policy_kind kind, const char *name);

/* Checks every descriptor once (required hooks, rows over config_size); asserts on a bug. */
void moe_policy_check_all(void);

#endif
