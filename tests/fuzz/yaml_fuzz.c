/* Any bytes as a YAML document, and what it parses to as settings: read whole, each of its keys
 * set by its dotted name, copied, written out, and the canonical texts read back. */
#include "sim/base/param.h"
#include "tests/unit/base_param_table.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
canonical(const moe_settings *settings)
{
    GString *out = g_string_new(NULL);
    moe_settings_canonical(settings, true, out);
    return g_string_free(out, FALSE);
}

/* The canonical text of a key, read back, is the same text. */
static void
check_text(const moe_settings *settings, const char *key)
{
    g_autofree char *text = moe_settings_text(settings, key);
    g_autoptr(moe_diag) diag = moe_diag_new();
    if (!text || !*text)
        return;
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("text", text, strlen(text), diag);
    g_autoptr(moe_settings) other = moe_settings_new(&sample_table);
    moe_assert(doc, "%s: '%s' is no YAML", key, text);
    moe_settings_set(other, key, moe_yaml_root(doc), diag);
    g_autofree char *said = moe_diag_render(diag);
    moe_assert(!*said, "%s: '%s': %s", key, text, said);
    g_autofree char *again = moe_settings_text(other, key);
    moe_assert(strcmp(text, again) == 0, "%s: '%s' became '%s'", key, text, again);
}

static void
check_settings(moe_settings *settings)
{
    static const char *const keys[] = {
        "seed",
        "workload.batch",
        "workload.requests",
        "experts.cache.capacity",
        "experts.cache.scope",
        "experts.cache.evict",
        "experts.prefetch.kind",
        "devices",
        "units.size",
        "units.latency",
        "units.rate",
        "units.flops",
        "units.power",
        "units.scale",
        "units.within",
        "units.strict",
    };
    g_autofree char *before = canonical(settings);
    g_autoptr(moe_settings) copy = moe_settings_copy(settings);
    g_autofree char *after = canonical(copy);
    moe_assert(strcmp(before, after) == 0, "a copy differs:\n%s\n%s", before, after);
    for (size_t i = 0; i < MOE_COUNT(keys); i++)
        check_text(settings, keys[i]);
}

static void
set_keys(moe_settings *settings, const moe_yaml *map, const char *prefix, moe_diag *diag)
{
    for (size_t i = 0; i < map->n; i++) {
        g_autofree char *key = g_strconcat(prefix, map->keys[i].text, NULL);
        const char *row = NULL;
        moe_settings_find(settings, key, &row);
        moe_settings_set(settings, key, &map->items[i], diag);
        g_autofree char *below = g_strconcat(key, ".", NULL);
        if (map->items[i].kind == MOE_YAML_MAP)
            set_keys(settings, &map->items[i], below, diag);
        g_free(moe_param_help(&sample_table, key, &row));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("input", (const char *)data, size, diag);
    moe_assert(!doc == (moe_diag_errors(diag) > 0), "%u errors", moe_diag_errors(diag));
    if (doc) {
        static const char *const skip[] = {"sweep", NULL};
        g_autoptr(moe_settings) settings = moe_settings_new(&sample_table);
        const moe_yaml *root = moe_yaml_root(doc);
        moe_settings_read(settings, root, skip, true, diag);
        check_settings(settings);
        if (root->kind == MOE_YAML_MAP)
            set_keys(settings, root, "", diag);
        moe_settings_unused(settings, diag);
        check_settings(settings);
    }
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(g_utf8_validate(text, -1, NULL), "messages are not UTF-8");
    return 0;
}
