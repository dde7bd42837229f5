#include "analysis/expect_private.h"

#include "sim/base/units.h"

#include <math.h>
#include <string.h>

#define AT(field) offsetof(expect_config, field)
#define REQUIRED MOE_PARAM_REQUIRED

static const moe_param rows[] = {
    {"metric", MOE_PARAM_TEXT, AT(metric), NULL, .flags = REQUIRED,
     .help = "What is compared (`moesim list metrics`)."},
    {"agg", MOE_PARAM_ENUM, AT(agg), "one", .choices = "one|mean|max|min|each",
     .help = "How several runs or pairs become one value; each: every one must hold."},
    {"value", MOE_PARAM_TEXT, AT(value), NULL, .flags = REQUIRED,
     .help = "The expected value, or with `over` the expected ratio."},
    {"within", MOE_PARAM_SHARE, AT(within), "0", 0, 1, .help = "Tolerance, relative to `value`."},
    {"bound", MOE_PARAM_ENUM, AT(bound), "both", .choices = "both|at_least|at_most",
     .help = "One-sided expectations; `within` still gives way on that side."},
    {"basis", MOE_PARAM_ENUM, AT(basis), NULL, .choices = "arithmetic|fitted|predicted",
     .flags = REQUIRED,
     .help = "arithmetic: follows by hand; fitted: parameters were chosen to meet it; predicted: "
             "it was not used for any parameter."},
    {"source", MOE_PARAM_TEXT, AT(source), NULL, .flags = REQUIRED,
     .help = "Where the value comes from: paper, figure, configuration; or the arithmetic."},
    {"known_miss", MOE_PARAM_TEXT, AT(known_miss), NULL,
     .help = "Why the simulation is known not to meet it; such a miss is no failure."},
};

static const moe_param_table table = {"expectation", rows, MOE_COUNT(rows), sizeof(expect_config)};

const moe_param_table *
moe_expect_table(void)
{
    return &table;
}

static void
expectation_free(gpointer data)
{
    expectation *e = data;
    moe_settings_free(e->settings);
    moe_selector_clear(&e->of);
    moe_selector_clear(&e->over);
    g_array_unref(e->pairs);
    g_free(e->unit);
    g_free(e);
}

void
moe_expect_free(moe_expectations *expectations)
{
    if (!expectations)
        return;
    g_ptr_array_unref(expectations->list);
    g_free(expectations);
}

size_t
moe_expect_count(const moe_expectations *expectations)
{
    return expectations->list->len;
}

const char *
moe_expect_metric(const moe_expectations *expectations, size_t i)
{
    return ((const expectation *)g_ptr_array_index(expectations->list, i))->config->metric;
}

/* ---- reading ---- */

static bool
parse_seconds(const char *text, const char *unit, double *value)
{
    static const struct {
        const char *unit;
        double ps;
    } scales[] = {{"s", 1e12}, {"ms", 1e9}, {"us", 1e6}, {"ns", 1e3}, {"ps", 1}};
    int64_t ps;
    for (size_t i = 0; i < MOE_COUNT(scales); i++)
        if (!strcmp(scales[i].unit, unit) && moe_parse_time(text, &ps)) {
            *value = (double)ps / scales[i].ps;
            return true;
        }
    return false;
}

/* A plain number in the metric's unit, a percentage, or a quantity of the metric's kind. */
static bool
parse_value(const char *text, const char *unit, double *value)
{
    int64_t bytes;
    if (moe_parse_real(text, value) || moe_parse_share(text, value) ||
        parse_seconds(text, unit, value))
        return true;
    if (!strcmp(unit, "B/s") || !strcmp(unit, "bytes/s"))
        return moe_parse_rate(text, value);
    if ((strcmp(unit, "B") != 0 && strcmp(unit, "bytes") != 0) || !moe_parse_bytes(text, &bytes))
        return false;
    *value = (double)bytes;
    return true;
}

static void
add_pairs(expectation *e, const moe_frame *frame, size_t of, GHashTable *partners,
          const GArray *others)
{
    g_autofree char *group =
        moe_frame_group(frame, of, (const size_t *)(const void *)others->data, others->len);
    const GArray *found = g_hash_table_lookup(partners, group);
    for (size_t i = 0; found && i < found->len; i++) {
        expect_pair pair = {of, g_array_index(found, size_t, i), NAN};
        g_array_append_val(e->pairs, pair);
    }
}

/* Points that match `over`, by their values of the other keys. */
static GHashTable *
index_partners(const expectation *e, const moe_frame *frame, const GArray *others)
{
    GHashTable *partners =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
    for (size_t point = 0; point < moe_frame_points(frame); point++) {
        if (!moe_selector_match(&e->over, frame, point))
            continue;
        char *group =
            moe_frame_group(frame, point, (const size_t *)(const void *)others->data, others->len);
        GArray *list = g_hash_table_lookup(partners, group);
        if (list) {
            g_free(group);
        } else {
            list = g_array_new(FALSE, FALSE, sizeof(size_t));
            g_hash_table_insert(partners, group, list);
        }
        g_array_append_val(list, point);
    }
    return partners;
}

/* Keys that one selector fixes; with `both`, only those that the other one fixes too. */
static void
name_keys(GArray *named, const moe_selector *selector, const moe_selector *both)
{
    for (size_t i = 0; i < selector->keys->len; i++) {
        size_t key = g_array_index(selector->keys, size_t, i);
        if (moe_selector_fixes(selector, key) && (!both || moe_selector_fixes(both, key)))
            g_array_append_val(named, key);
    }
}

/* Keys on which the runs of a pair agree: all that may not differ, and that are not zipped with one
 * that may. Those that `of` and `over` both fix may differ; if there are none, those that either
 * fixes. */
static GArray *
other_keys(const expectation *e, const moe_frame *frame)
{
    g_autoptr(GArray) named = g_array_new(FALSE, FALSE, sizeof(size_t));
    name_keys(named, &e->of, e->has_over ? &e->over : NULL);
    if (named->len == 0) {
        name_keys(named, &e->of, NULL);
        name_keys(named, &e->over, NULL);
    }
    return moe_frame_others(frame, (const size_t *)(void *)named->data, named->len);
}

static void
find_pairs(expectation *e, const moe_frame *frame)
{
    g_autoptr(GArray) others = other_keys(e, frame);
    g_autoptr(GHashTable) partners = e->has_over ? index_partners(e, frame, others) : NULL;
    for (size_t point = 0; point < moe_frame_points(frame); point++) {
        if (!moe_selector_match(&e->of, frame, point))
            continue;
        expect_pair alone = {point, SIZE_MAX, NAN};
        if (e->has_over)
            add_pairs(e, frame, point, partners, others);
        else
            g_array_append_val(e->pairs, alone);
    }
}

static void
check_pairs(const expectation *e, const moe_frame *frame, const moe_yaml *node, moe_diag *diag)
{
    const char *what = e->has_over ? "pairs of runs" : "runs";
    if (e->pairs->len == 0) {
        moe_diag_error(diag, node->loc, "no %s agree on all other swept keys", what);
        return;
    }
    if (e->pairs->len == 1 || e->config->agg != AGG_UNSAID)
        return;
    g_autoptr(GArray) others = other_keys(e, frame);
    const char *key = others->len ? moe_frame_key(frame, g_array_index(others, size_t, 0)) : NULL;
    moe_diag_error(diag, node->loc,
                   "%u %s fit%s%s%s; say which, or add agg: mean, max, min or each", e->pairs->len,
                   what, key ? " ('" : "", key ? key : "", key ? "' varies)" : "");
}

static void
read_value(expectation *e, const moe_yaml *node, const moe_section_view *view, moe_diag *diag)
{
    const moe_yaml *metric = moe_yaml_get(node, "metric");
    const moe_yaml *value = moe_yaml_get(node, "value");
    size_t at = e->config->metric ? moe_section_metric(metric, view, diag) : SIZE_MAX;
    e->unit = g_strdup(at == SIZE_MAX ? "" : view->units[at]);
    if (e->config->value && !parse_value(e->config->value, e->has_over ? "" : e->unit, &e->value))
        moe_diag_error(diag, value->loc, "'value' wants a number such as 1.7%s%s%s",
                       e->has_over ? " (a ratio)" : ", in ", e->has_over ? "" : e->unit, "");
    if (e->config->bound == BOUND_BOTH && !moe_yaml_get(node, "within"))
        moe_diag_error(diag, node->loc, "needs `within` (such as 10%%), or `bound`");
}

static void
read_one(moe_expectations *all, const moe_yaml *node, const moe_section_view *view, moe_diag *diag)
{
    static const char *const skip[] = {"of", "over", NULL};
    if (node->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, node->loc, "an expectation is a map with metric, value, …, not %s",
                       moe_yaml_kind_name(node->kind));
        return;
    }
    unsigned before = moe_diag_errors(diag);
    bool absent = false;
    expectation *e = g_new0(expectation, 1);
    g_ptr_array_add(all->list, e);
    e->settings = moe_settings_new(&table);
    e->config = moe_settings_data(e->settings);
    e->pairs = g_array_new(FALSE, FALSE, sizeof(expect_pair));
    moe_selector_init(&e->of);
    moe_selector_init(&e->over);
    moe_settings_read(e->settings, node, skip, false, diag);
    moe_section_require(&table, node, diag);
    const moe_yaml *of = moe_yaml_get(node, "of"), *over = moe_yaml_get(node, "over");
    e->has_over = over != NULL;
    read_value(e, node, view, diag);
    if (of)
        moe_section_select(of, view, &e->of, &absent, diag);
    if (over)
        moe_section_select(over, view, &e->over, &absent, diag);
    if (absent || moe_diag_errors(diag) > before)
        return;
    find_pairs(e, all->frame);
    if (!view->partial)
        check_pairs(e, all->frame, node, diag);
    else if (e->pairs->len > 1 && e->config->agg == AGG_UNSAID)
        g_array_set_size(e->pairs, 0);
}

moe_expectations *
moe_expect_read(const moe_yaml *section, const moe_section_view *view, moe_diag *diag)
{
    moe_expectations *all = g_new0(moe_expectations, 1);
    all->frame = view->frame;
    all->list = g_ptr_array_new_with_free_func(expectation_free);
    if (section && section->kind != MOE_YAML_LIST)
        moe_diag_error(diag, section->loc, "'expect' wants a list, not %s",
                       moe_yaml_kind_name(section->kind));
    else if (section)
        for (size_t i = 0; i < section->n; i++)
            read_one(all, &section->items[i], view, diag);
    return all;
}
