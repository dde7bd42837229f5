#include "analysis/expect.h"

#include "sim/base/units.h"

#include <math.h>
#include <string.h>

typedef enum expect_agg { AGG_UNSAID, AGG_MEAN, AGG_MAX, AGG_MIN, AGG_EACH } expect_agg;
typedef enum expect_bound { BOUND_BOTH, BOUND_AT_LEAST, BOUND_AT_MOST } expect_bound;

static const char *const agg_names[] = {"", "mean", "max", "min", "each"};
static const char *const bound_names[] = {"both", "at_least", "at_most"};
static const char *const basis_names[] = {"arithmetic", "fitted", "predicted"};

typedef struct expect_config {
    const char *metric, *value, *source, *known_miss;
    double within;
    int agg, bound, basis;
} expect_config;

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

/* One run, or one ratio of two. */
typedef struct expect_pair {
    size_t of, over; /* points; over SIZE_MAX: no ratio */
    double got;
} expect_pair;

typedef enum expect_verdict { SKIPPED, MET, MISSED, KNOWN_MISS } expect_verdict;
static const char *const verdict_names[] = {"skipped", "met", "missed", "known miss"};

typedef struct expectation {
    moe_settings *settings;
    const expect_config *config;
    char *unit;
    double value;
    moe_selector of, over;
    bool has_over;
    GArray *pairs; /* expect_pair; none: skipped */
    double got;    /* the aggregate; for each: the worst */
    expect_verdict verdict;
} expectation;

struct moe_expectations {
    const moe_frame *frame;
    GPtrArray *list; /* expectation */
};

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

/* ---- evaluating ---- */

static bool
holds(const expectation *e, double got)
{
    double slack = fabs(e->value) * e->config->within;
    slack += 1e-12 * fabs(e->value); /* the store keeps doubles, the scenario decimal text */
    if (isnan(got))
        return false;
    if (e->config->bound != BOUND_AT_MOST && got < e->value - slack)
        return false;
    return e->config->bound == BOUND_AT_LEAST || got <= e->value + slack;
}

/* How far outside what is expected; the largest is the worst. */
static double
excess(const expectation *e, double got)
{
    if (isnan(got))
        return INFINITY;
    if (e->config->bound == BOUND_AT_LEAST)
        return e->value - got;
    return e->config->bound == BOUND_AT_MOST ? got - e->value : fabs(got - e->value);
}

static double
aggregate(const expectation *e)
{
    double sum = 0, result = NAN;
    for (size_t i = 0; i < e->pairs->len; i++) {
        double got = g_array_index(e->pairs, expect_pair, i).got;
        if (isnan(got))
            return NAN;
        sum += got;
        if (i == 0 || (e->config->agg == AGG_MAX && got > result) ||
            (e->config->agg == AGG_MIN && got < result) ||
            (e->config->agg == AGG_EACH && excess(e, got) > excess(e, result)))
            result = got;
    }
    return e->config->agg == AGG_MEAN ? sum / e->pairs->len : result;
}

static bool
measure_pairs(expectation *e, const moe_frame *frame, moe_store *store, GError **error)
{
    for (size_t i = 0; i < e->pairs->len; i++) {
        expect_pair *pair = &g_array_index(e->pairs, expect_pair, i);
        moe_measure of, over = {.value = 1};
        if (!moe_store_measure(store, moe_frame_identity(frame, pair->of), e->config->metric, &of,
                               error))
            return false;
        if (e->has_over && !moe_store_measure(store, moe_frame_identity(frame, pair->over),
                                              e->config->metric, &over, error))
            return false;
        pair->got = over.value == 0 ? (double)NAN : of.value / over.value;
    }
    return true;
}

static const char *
note_of(const expectation *e)
{
    if (e->verdict == SKIPPED)
        return "its runs are not part of this sweep";
    return e->config->known_miss ? e->config->known_miss : "";
}

static void
judge(expectation *e)
{
    e->got = aggregate(e);
    if (e->pairs->len == 0)
        e->verdict = SKIPPED;
    else if (holds(e, e->got))
        e->verdict = MET;
    else
        e->verdict = e->config->known_miss ? KNOWN_MISS : MISSED;
}

static bool
store_rows(const moe_expectations *all, moe_store *store, const char *scenario, GError **error)
{
    g_autoptr(GArray) stored = g_array_new(FALSE, FALSE, sizeof(moe_store_expectation));
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < all->list->len; i++) {
        const expectation *e = g_ptr_array_index(all->list, i);
        const expect_config *config = e->config;
        char *of = moe_selector_text(&e->of, all->frame);
        char *over = moe_selector_text(&e->over, all->frame);
        g_ptr_array_add(texts, of);
        g_ptr_array_add(texts, over);
        moe_store_expectation row = {.number = (int)i + 1,
                                     .metric = config->metric,
                                     .of = of,
                                     .over = over,
                                     .agg = agg_names[config->agg],
                                     .bound = bound_names[config->bound],
                                     .verdict = verdict_names[e->verdict],
                                     .basis = basis_names[config->basis],
                                     .source = config->source,
                                     .note = note_of(e),
                                     .expected = e->value,
                                     .within = config->within,
                                     .got = e->got};
        g_array_append_val(stored, row);
        for (size_t j = 0; config->agg == AGG_EACH && j < e->pairs->len; j++) {
            row.pair = (int)j + 1;
            row.got = g_array_index(e->pairs, expect_pair, j).got;
            row.verdict = verdict_names[holds(e, row.got) ? MET : e->verdict];
            g_array_append_val(stored, row);
        }
    }
    return moe_store_set_expectations(
        store, scenario, (const moe_store_expectation *)(void *)stored->data, stored->len, error);
}

bool
moe_expect_evaluate(moe_expectations *expectations, moe_store *store, const char *scenario,
                    GError **error)
{
    for (size_t i = 0; i < expectations->list->len; i++) {
        expectation *e = g_ptr_array_index(expectations->list, i);
        if (!measure_pairs(e, expectations->frame, store, error))
            return false;
        judge(e);
    }
    return store_rows(expectations, store, scenario, error);
}

unsigned
moe_expect_missed(const moe_expectations *expectations)
{
    unsigned missed = 0;
    for (size_t i = 0; i < expectations->list->len; i++)
        missed +=
            ((const expectation *)g_ptr_array_index(expectations->list, i))->verdict == MISSED;
    return missed;
}

/* ---- reporting ---- */

static void
report_line(const expectation *e, const moe_frame *frame, GString *out)
{
    const expect_config *config = e->config;
    g_autofree char *of = moe_selector_text(&e->of, frame);
    g_autofree char *over = moe_selector_text(&e->over, frame);
    const char *agg = agg_names[config->agg];
    static const char *const relation[] = {"", "at least ", "at most "};
    g_string_append_printf(out, "  %s: %s%s%s", verdict_names[e->verdict], agg, *agg ? " " : "",
                           config->metric);
    g_string_append_printf(out, "%s%s%s%s\n      expected %s%.4g", *of ? " of " : "", of,
                           e->has_over ? " over " : "", over, relation[config->bound], e->value);
    if (config->within > 0)
        g_string_append_printf(out, " within %.3g%%", config->within * 100);
    if (e->verdict == SKIPPED)
        g_string_append(out, ", not evaluated");
    else if (isnan(e->got))
        g_string_append(out, ", got no value");
    else
        g_string_append_printf(out, ", got %.4g (%+.1f%%)", e->got,
                               e->value != 0 ? (e->got / e->value - 1) * 100 : (double)INFINITY);
    g_string_append_printf(out, " [%s: %s]\n", basis_names[config->basis], config->source);
    if (*note_of(e))
        g_string_append_printf(out, "      %s\n", note_of(e));
}

void
moe_expect_report(const moe_expectations *expectations, GString *out)
{
    unsigned counts[MOE_COUNT(verdict_names)] = {0};
    const GPtrArray *list = expectations->list;
    if (list->len == 0)
        return;
    for (size_t i = 0; i < list->len; i++)
        counts[((const expectation *)g_ptr_array_index(list, i))->verdict]++;
    g_string_append_printf(out, "expectations: %u of %u met", counts[MET], list->len);
    for (size_t v = 0; v < MOE_COUNT(verdict_names); v++)
        if (v != MET && counts[v])
            g_string_append_printf(out, ", %u %s", counts[v], verdict_names[v]);
    g_string_append_c(out, '\n');
    for (size_t i = 0; i < list->len; i++) {
        const expectation *e = g_ptr_array_index(list, i);
        if (e->verdict != MET || e->config->known_miss)
            report_line(e, expectations->frame, out);
    }
}
