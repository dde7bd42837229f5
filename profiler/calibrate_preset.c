/* A calibrated machine as a preset. */
#include "profiler/calibrate_private.h"

#include <string.h>

char *
moe_calibrated_text(moe_number number, double value)
{
    static const struct {
        double least;
        const char *unit;
    } times[] = {{1e12, "s"}, {1e9, "ms"}, {1e6, "us"}, {1e3, "ns"}, {1, "ps"}};
    char digits[48];

    switch (number) {
    case MOE_NUMBER_SHARE:
        return g_strdup_printf("%s%%", g_ascii_formatd(digits, sizeof digits, "%.4g", 100 * value));
    case MOE_NUMBER_REAL:
        return g_strdup(g_ascii_formatd(digits, sizeof digits, "%.4g", value));
    case MOE_NUMBER_WHOLE:
        return g_strdup_printf("%.0f", value);
    case MOE_NUMBER_RATE:
        return g_strdup_printf("%sGB/s",
                               g_ascii_formatd(digits, sizeof digits, "%.4g", value / 1e9));
    case MOE_NUMBER_TIME:
    case MOE_NUMBER_SPAN:
        break;
    }
    for (size_t i = 0; i < MOE_COUNT(times); i++)
        if (value >= times[i].least)
            return g_strdup_printf(
                "%s%s", g_ascii_formatd(digits, sizeof digits, "%.4g", value / times[i].least),
                times[i].unit);
    return g_strdup("0");
}

typedef struct changes {
    const moe_calibration *c;
    GArray *list;     /* moe_hw_change */
    GPtrArray *texts; /* that they point to */
} changes;

static const char *
keep(changes *s, char *text)
{
    g_ptr_array_add(s->texts, text);
    return text;
}

static void
add(changes *s, const char *key, const char *value, const char *basis, const char *source,
    const char *note)
{
    moe_hw_change change = {key, value, basis, source, note};
    g_array_append_val(s->list, change);
}

/* ---- where a fitted number comes from ---- */

/* "TABLE.csv (who measured it)": the files whose rows of a kind were fitted. */
static void
append_files(const moe_calibration *c, int kind, GString *out)
{
    for (uint32_t f = 0; f < moe_measured_files(c->table); f++) {
        const moe_measured_row *row = NULL;
        for (size_t i = c->first[kind]; i < c->first[kind + 1] && !row; i++) {
            const moe_calibrated_row *one = &g_array_index(c->rows, moe_calibrated_row, i);
            if (one->row->file == f && !one->held)
                row = one->row;
        }
        if (!row)
            continue;
        g_autofree char *name = g_path_get_basename(moe_measured_file(c->table, f));
        g_string_append_printf(out, "%s%s", out->len ? ", " : "", name);
        if (*row->source)
            g_string_append_printf(out, " (%s)", row->source);
    }
}

static const char *
source_of(changes *s, int kind)
{
    const moe_calibrated_kind *k = &s->c->kinds[kind];
    GString *out = g_string_new(NULL);
    append_files(s->c, kind, out);
    g_string_append_printf(out, ": %zu rows of kind %s, mean error %.1f %%, largest %.0f %%",
                           k->fitted.rows, moe_measured_kind_name(kind), 100 * k->fitted.mean,
                           100 * k->fitted.largest);
    if (k->held.rows)
        g_string_append_printf(out, "; %zu rows held back, %.1f %% and %.0f %%", k->held.rows,
                               100 * k->held.mean, 100 * k->held.largest);
    return keep(s, g_string_free(out, false));
}

/* ---- what has to be written ---- */

static const moe_provenance *
origin_of(const moe_calibration *c, const char *key)
{
    size_t n = 0;
    const moe_provenance *all = moe_hardware_provenance(c->base, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].key, key))
            return &all[i];
    return NULL;
}

static const moe_tunable *
tunable_at(const moe_calibration *c, size_t i)
{
    return &g_array_index(c->tunable, moe_tunable, i);
}

static const moe_calibrated *
number_at(const moe_calibration *c, size_t i)
{
    return &g_array_index(c->numbers, moe_calibrated, i);
}

/* The number that stands in for number i while that is not written; none: c->numbers->len. */
static size_t
stand_in(const moe_calibration *c, size_t i)
{
    const moe_tunable *t = tunable_at(c, i);
    for (size_t j = 0; t->other && j < c->tunable->len; j++) {
        const moe_tunable *u = tunable_at(c, j);
        if (!u->family && u->of_call == t->of_call && u->of_link == t->of_link &&
            u->index == t->index && u->offset == t->other)
            return j;
    }
    return c->tunable->len;
}

/* A number that the base does not write follows another; when that one is changed and this one is
 * not, its value has to be written to stay. */
static void
add_kept(changes *s, size_t i)
{
    const moe_calibrated *number = number_at(s->c, i);
    size_t j = stand_in(s->c, i);
    if (j == s->c->numbers->len || !number_at(s->c, j)->fitted ||
        number->base != number_at(s->c, j)->base || origin_of(s->c, number->key))
        return;
    const moe_provenance *origin = origin_of(s->c, number_at(s->c, j)->key);
    const char *name = strrchr(number_at(s->c, j)->key, '.') + 1;
    add(s, number->key, keep(s, moe_calibrated_text(number->number, number->base)),
        origin ? origin->basis : "estimate", origin ? origin->source : "",
        keep(s, g_strdup_printf("what %s was: these rows do not say", name)));
}

static bool
is_fitted(const moe_calibration *c, int link, const char *name)
{
    g_autofree char *key = g_strdup_printf("links.%d.%s", link, name);
    for (size_t i = 0; i < c->numbers->len; i++)
        if (!strcmp(number_at(c, i)->key, key))
            return number_at(c, i)->fitted;
    return false;
}

/* A nominal bandwidth below what was measured is not that of this link. */
static void
drop_peak(changes *s, int link)
{
    const moe_hw_link *after = &s->c->after.links[link];
    if (is_fitted(s->c, link, "rate") && after->bytes_per_s > after->peak_bytes_per_s)
        add(s, keep(s, g_strdup_printf("links.%d.peak", link)), NULL, NULL, NULL, NULL);
}

/* Links that slow each other down share a wire. */
static void
add_wire(changes *s)
{
    const moe_candidate *after = &s->c->after;
    int64_t wire = -1;
    if (after->h2d < 0 || after->d2h < 0 || after->links[after->h2d].wire >= 0 ||
        after->links[after->d2h].wire >= 0 ||
        (!is_fitted(s->c, after->h2d, "duplex") && !is_fitted(s->c, after->d2h, "duplex")))
        return;
    for (int l = 0; l < after->hw.n_links; l++)
        wire = MAX(wire, after->links[l].wire);
    const char *text = keep(s, g_strdup_printf("%d", (int)wire + 1));
    add(s, keep(s, g_strdup_printf("links.%d.wire", after->h2d)), text, NULL, NULL, NULL);
    add(s, keep(s, g_strdup_printf("links.%d.wire", after->d2h)), text, NULL, NULL, NULL);
}

/* Whether rows said something of the first device's own kernels. */
static bool
is_measured(const moe_calibration *c)
{
    for (size_t i = 0; i < c->numbers->len; i++) {
        int kind = number_at(c, i)->kind;
        if (number_at(c, i)->fitted && !tunable_at(c, i)->family &&
            (kind == MOE_MEASURED_GEMM || kind == MOE_MEASURED_EXPERTS ||
             kind == MOE_MEASURED_ATTENTION))
            return true;
    }
    return false;
}

/* What was measured goes before what a library says of other devices. */
static void
drop_library(changes *s)
{
    if (is_measured(s->c))
        add(s, "devices.0.kernels", NULL, NULL, NULL, NULL);
}

static void
add_all(changes *s)
{
    const moe_calibration *c = s->c;
    for (size_t i = 0; i < c->numbers->len; i++) {
        const moe_calibrated *number = number_at(c, i);
        if (tunable_at(c, i)->of_call || tunable_at(c, i)->family)
            continue;
        if (!number->fitted) {
            add_kept(s, i);
            continue;
        }
        add(s, number->key, keep(s, moe_calibrated_text(number->number, number->value)), "fitted",
            source_of(s, number->kind), *number->remark ? number->remark : NULL);
    }
    drop_library(s);
    for (int l = 0; l < c->after.hw.n_links; l++)
        drop_peak(s, l);
    add_wire(s);
}

bool
moe_calibration_preset(const moe_calibration *c, const char *name, GString *out, moe_diag *diag)
{
    changes s = {c, g_array_new(false, false, sizeof(moe_hw_change)),
                 g_ptr_array_new_with_free_func(g_free)};
    const moe_hardware *base = moe_hardware_get(c->base);
    g_autofree char *source = g_strdup_printf("moesim calibrate, based on %s%s%s", base->name,
                                              *base->source ? ": " : "", base->source);
    add_all(&s);
    moe_hardware_write(c->base, name, source, (const moe_hw_change *)(const void *)s.list->data,
                       s.list->len, out);
    g_array_unref(s.list);
    g_ptr_array_unref(s.texts);
    g_autoptr(moe_hardware_set) set = moe_hardware_parse(name, out->str, out->len, NULL, diag);
    return set != NULL;
}

static void
add_kernels(changes *s)
{
    const moe_calibration *c = s->c;
    for (size_t i = 0; i < c->numbers->len; i++) {
        const moe_calibrated *number = number_at(c, i);
        if (tunable_at(c, i)->family && number->fitted)
            add(s, number->key, keep(s, moe_calibrated_text(number->number, number->value)),
                "fitted", source_of(s, number->kind), *number->remark ? number->remark : NULL);
    }
}

bool
moe_calibration_library(const moe_calibration *c, const char *name, GString *out, moe_diag *diag)
{
    changes s = {c, g_array_new(false, false, sizeof(moe_hw_change)),
                 g_ptr_array_new_with_free_func(g_free)};
    const moe_kernels *base = moe_kernels_get(c->kernels);
    g_autofree char *source = g_strdup_printf("moesim calibrate, based on %s%s%s", base->name,
                                              *base->source ? ": " : "", base->source);
    add_kernels(&s);
    moe_kernels_write(c->kernels, name, source, (const moe_hw_change *)(const void *)s.list->data,
                      s.list->len, out);
    g_array_unref(s.list);
    g_ptr_array_unref(s.texts);
    g_autoptr(moe_kernels_set) set = moe_kernels_parse(name, out->str, out->len, diag);
    return set != NULL;
}
