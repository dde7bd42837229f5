#include "sim/cli/load.h"

#include "sim/base/hash.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"

#include <string.h>

#define UNNAMED "unnamed" /* the default of the key `name` */

static const char **
metric_texts(bool units)
{
    size_t n;
    const moe_metric_info *metrics = moe_metrics(&n);
    const char **texts = g_new0(const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        texts[i] = units ? metrics[i].unit : metrics[i].name;
    return texts;
}

const char *const *
moe_metric_names(size_t *n)
{
    static const char **names;
    moe_metrics(n);
    if (!names)
        names = metric_texts(false);
    return names;
}

const char *const *
moe_metric_units(void)
{
    static const char **units;
    if (!units)
        units = metric_texts(true);
    return units;
}

static void
loaded_free(gpointer data)
{
    moe_loaded *loaded = data;
    moe_plot_free(loaded->plots);
    moe_expect_free(loaded->expectations);
    moe_frame_free(loaded->frame);
    moe_scenario_free(loaded->scenario);
    g_free(loaded->stem);
    g_free(loaded->text);
    g_free(loaded->overrides);
    g_free(loaded->source);
    g_free(loaded);
}

GPtrArray *
moe_loaded_array(void)
{
    return g_ptr_array_new_with_free_func(loaded_free);
}

static bool
canonical(void *context, const char *key, const moe_yaml *value, moe_loc at,
          const char **canonical_key, char **canonical_value, moe_diag *diag)
{
    return moe_scenario_canonical(context, key, value, at, canonical_key, canonical_value, diag);
}

static void
read_sections(moe_loaded *loaded, bool partial, moe_diag *diag)
{
    loaded->frame = moe_frame_new();
    for (size_t i = 0; i < moe_scenario_runs(loaded->scenario); i++) {
        const moe_run *run = moe_scenario_run(loaded->scenario, i);
        moe_frame_add(loaded->frame, run->identity, run->keys, run->values, run->n_swept);
    }
    moe_section_view view = {.frame = loaded->frame,
                             .units = moe_metric_units(),
                             .canonical = canonical,
                             .context = loaded->scenario,
                             .partial = partial};
    view.metrics = moe_metric_names(&view.n_metrics);
    loaded->expectations =
        moe_expect_read(moe_scenario_section(loaded->scenario, "expect"), &view, diag);
    loaded->plots =
        moe_plot_read(moe_scenario_section(loaded->scenario, "plot"), loaded->stem, &view, diag);
}

static char *
stem_of(const char *file)
{
    char *name = g_path_get_basename(file);
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = '\0';
    return name;
}

/* Splits KEY=VALUE into copies owned by `texts`. */
static int
read_overrides(const char *path, const moe_load_options *options, GArray *overrides,
               GPtrArray *texts)
{
    for (size_t i = 0; options->sets && i < options->sets->len; i++) {
        const char *text = g_ptr_array_index(options->sets, i);
        const char *equals = strchr(text, '=');
        if (!equals || equals == text)
            return moe_say_usage(path, "'--set' wants KEY=VALUE, not '%s'", text);
        char *key = g_strndup(text, (size_t)(equals - text));
        g_ptr_array_add(texts, key);
        moe_override override = {key, equals + 1};
        g_array_append_val(overrides, override);
    }
    moe_override seed = {"seed", options->seed};
    if (options->seed)
        g_array_append_val(overrides, seed);
    return MOE_EXIT_OK;
}

static bool
read_source(moe_loaded *loaded, const char *file, const GArray *overrides, GError **error)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    for (size_t i = 0; i < overrides->len; i++) {
        const moe_override *o = &g_array_index(overrides, moe_override, i);
        g_string_append_printf(lines, "%s=%s\n", o->key, o->value);
    }
    if (!g_file_get_contents(file, &loaded->text, NULL, error))
        return false;
    g_autofree char *all = g_strconcat(lines->str, loaded->text, NULL);
    loaded->source = moe_sha256_text(all, strlen(all));
    loaded->overrides = g_strdup(lines->str);
    return true;
}

static void
load_one(const char *file, const GArray *overrides, bool allow_many, GPtrArray *all, moe_diag *diag,
         GError **error)
{
    moe_scenario *scenario =
        moe_scenario_load(file, (const moe_override *)(const void *)overrides->data, overrides->len,
                          allow_many, diag, error);
    if (!scenario)
        return;
    moe_loaded *loaded = g_new0(moe_loaded, 1);
    loaded->scenario = scenario;
    loaded->stem = stem_of(file);
    loaded->name = moe_scenario_name(scenario);
    if (!strcmp(loaded->name, UNNAMED))
        loaded->name = loaded->stem;
    g_ptr_array_add(all, loaded);
    if (read_source(loaded, file, overrides, error))
        read_sections(loaded, overrides->len > 0, diag);
}

int
moe_load_all(const char *path, const char *const *files, size_t n, const moe_load_options *options,
             GPtrArray *loaded)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) overrides = g_array_new(FALSE, FALSE, sizeof(moe_override));
    int usage = read_overrides(path, options, overrides, texts);
    if (usage)
        return usage;
    GError *error = NULL;
    for (size_t i = 0; !error && i < n; i++)
        load_one(files[i], overrides, options->allow_many, loaded, diag, &error);
    int code = moe_say_diag(diag);
    return error ? moe_say_error(error) : code;
}
