#include "analysis/expect_private.h"

#include <math.h>

static const char *const agg_names[] = {"", "mean", "max", "min", "each"};
static const char *const bound_names[] = {"both", "at_least", "at_most"};
static const char *const basis_names[] = {"arithmetic", "fitted", "predicted"};
static const char *const verdict_names[] = {"skipped", "met", "missed", "known miss"};

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
        g_string_append_printf(out, "      %s%s\n",
                               e->verdict == MET ? "met now, so known_miss can go: " : "",
                               note_of(e));
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
