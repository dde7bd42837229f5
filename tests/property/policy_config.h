/* A policy with the defaults of its rows, for tests: read through a one-row table, as a scenario
 * would. */
#ifndef MOE_TESTS_POLICY_CONFIG_H
#define MOE_TESTS_POLICY_CONFIG_H

#include "sim/policy/policy.h"

typedef struct policy_config {
    const moe_variant *variant;
    void *config; /* NULL when the policy has no rows */
    moe_settings *settings;
} policy_config;

/* `written` is "name", or "{kind: name, row: value}". */
static inline policy_config
policy_config_new(moe_policy_kind kind, const char *written)
{
    size_t n;
    const moe_variant *const *list = moe_policy_list(kind, &n);
    moe_param row = {.key = "policy",
                     .type = MOE_PARAM_CHOICE,
                     .variants = list,
                     .n_variants = n,
                     .help = "The policy under test."};
    moe_param_table table = {"test", &row, 1, sizeof(moe_choice)};
    g_autofree char *text = g_strdup_printf("policy: %s\n", written);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("test", text, strlen(text), diag);
    policy_config made = {.settings = moe_settings_new(&table)};
    if (doc)
        moe_settings_read(made.settings, moe_yaml_root(doc), NULL, true, diag);
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(!moe_diag_errors(diag), "%s", messages);
    const moe_choice *choice = moe_settings_data(made.settings);
    made.variant = choice->variant;
    made.config = choice->config;
    return made;
}

static inline void
policy_config_free(policy_config *config)
{
    moe_settings_free(config->settings);
}

#endif
