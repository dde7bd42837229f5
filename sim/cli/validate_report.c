#include "sim/cli/validate_report.h"

#include "sim/cli/output.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

static void
add_share(moe_grid *grid, double share)
{
    moe_grid_addf(grid, "%.1f %%", 100 * share);
}

static void
add_score(moe_grid *grid, const char *label, const moe_score *score)
{
    moe_grid_add(grid, label);
    moe_grid_addf(grid, "%zu", score->rows);
    if (!score->rows) {
        for (int i = 0; i < 5; i++)
            moe_grid_add(grid, "-");
        return;
    }
    add_share(grid, score->mean);
    add_share(grid, score->median);
    add_share(grid, score->p90);
    moe_grid_addf(grid, "%+.1f %%", 100 * score->bias);
    if (score->roofline >= 0)
        add_share(grid, score->roofline);
    else
        moe_grid_add(grid, "-");
}

static moe_grid *
new_grid(void)
{
    static const char *const heads[] = {"", "rows", "mean", "median", "90 %", "bias", "roofline"};
    moe_grid *grid = moe_grid_new(MOE_COUNT(heads));
    for (size_t i = 0; i < MOE_COUNT(heads); i++)
        moe_grid_add(grid, heads[i]);
    return grid;
}

static void
add_regimes(moe_grid *grid, const moe_family *family)
{
    for (guint i = 0; i < family->regimes->len; i++) {
        const moe_regime *regime = &g_array_index(family->regimes, moe_regime, i);
        g_autofree char *label = g_strdup_printf("    %s: %s", regime->dimension, regime->label);
        add_score(grid, label, &regime->score);
    }
}

static void
add_family(moe_grid *grid, const moe_family *family, bool brief)
{
    g_autofree char *name = g_strdup_printf("  %s", family->name);
    add_score(grid, name, &family->all);
    if (family->fitted.rows) {
        add_score(grid, "    fitted", &family->fitted);
        add_score(grid, "    foretold", &family->held);
    }
    if (family->odd.rows > family->all.rows)
        add_score(grid, "    with odd rows", &family->odd);
    if (!brief)
        add_regimes(grid, family);
}

static void
print_notes(const moe_family *family)
{
    const moe_sign *sign = &family->sign;
    if (sign->pairs)
        moe_out("  %s: what routing does to the time has the right sign in %.1f %% of %zu pairs "
                "with more than 3 %%\n",
                family->name, 100 * (double)sign->right / (double)sign->pairs, sign->pairs);
    if (family->silent)
        moe_out("  %s: %zu rows that nothing of the machine foretells\n", family->name,
                family->silent);
}

/* ---- kernels in the place of others ---- */

/* What foretells a row for want of its own kernel: NULL, or that in words (yours). */
static char *
stand_in(const moe_validated_group *group, const moe_validated_row *row)
{
    const char *said = row->row->kernel;
    int kind = row->row->kind;
    bool by_name = kind == MOE_MEASURED_GEMM || kind == MOE_MEASURED_EXPERTS;
    bool other = strcmp(row->library, group->kernels);
    bool stranger = by_name && *said && !strstr(said, row->kernel);

    if (!(row->predicted_us > 0) || (!by_name && kind != MOE_MEASURED_ATTENTION))
        return NULL;
    if (!*row->kernel)
        return *group->kernels ? g_strdup("the machine's own numbers: no library has such a kernel")
                               : NULL;
    if (row->of_type && !other && !stranger)
        return NULL;
    GString *out = g_string_new(row->kernel);
    g_string_append_printf(out, " of %s", *row->library ? row->library : "the machine's library");
    if (other && *group->kernels)
        g_string_append_printf(out, ", for want of one of %s", group->kernels);
    else if (other)
        g_string_append_printf(out, ", for want of a library of %s",
                               *row->row->framework ? row->row->framework : "no framework");
    if (!row->of_type)
        g_string_append_printf(out, ", the nearest to %s", row->row->dtype);
    if (stranger)
        g_string_append(out, ", for names that are not known");
    return g_string_free(out, FALSE);
}

typedef struct stand_ins {
    char *text; /* "FAMILY: %zu rows by" and what they are by, as a key */
    const moe_validated_row *first;
    size_t rows;
} stand_ins;

static void
stand_ins_free(void *data)
{
    stand_ins *s = data;
    g_free(s->text);
    g_free(s);
}

/* What was taken in each family for want of something better, in the order of the rows. */
static void
print_stand_ins(const moe_validation *v, const char *preset)
{
    size_t n = 0, groups = 0;
    const moe_validated_row *rows = moe_validation_rows(v, &n);
    const moe_validated_group *group = moe_validation_groups(v, &groups);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(stand_ins_free);
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < n; i++) {
        const moe_validated_group *of = &group[rows[i].group];
        g_autofree char *by = strcmp(of->preset, preset) ? NULL : stand_in(of, &rows[i]);
        if (!by)
            continue;
        g_autofree char *text = g_strdup_printf("%s by %s", rows[i].family, by);
        stand_ins *one = g_hash_table_lookup(known, text);
        if (!one) {
            one = g_new0(stand_ins, 1);
            one->text = g_steal_pointer(&text);
            one->first = &rows[i];
            g_hash_table_insert(known, one->text, one);
            g_ptr_array_add(all, one);
        }
        one->rows++;
    }
    for (guint i = 0; i < all->len; i++) {
        const stand_ins *one = g_ptr_array_index(all, i);
        const char *kernel = one->first->row->kernel;
        moe_out("  %s: %zu rows%s%s%s%s\n", one->first->family, one->rows,
                *kernel ? " such as of '" : "", kernel, *kernel ? "'" : "",
                one->text + strlen(one->first->family));
    }
}

/* ---- what was chosen ---- */

/* "vllm-0.24 for vllm 0.24.0, 0.19.0": the frameworks whose kernels a group foretells. */
static void
append_library(const moe_validation *v, uint32_t g, GString *out)
{
    size_t n = 0, groups = 0;
    const moe_validated_row *rows = moe_validation_rows(v, &n);
    const moe_validated_group *group = moe_validation_groups(v, &groups);
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    const char *framework = "";
    for (size_t i = 0; i < n; i++) {
        const moe_measured_row *row = rows[i].row;
        if (rows[i].group != g || row->kind == MOE_MEASURED_COLLECTIVE || !*row->framework ||
            !g_hash_table_add(known, (gpointer)(uintptr_t)row->version))
            continue;
        bool same = !strcmp(framework, row->framework);
        if (!*framework)
            g_string_append_printf(out, "%s%s for ", out->len ? "; " : "",
                                   *group[g].kernels ? group[g].kernels : "the machine's own");
        g_string_append_printf(out, "%s%s%s%s", *framework ? ", " : "", same ? "" : row->framework,
                               same || !*row->version ? "" : " ", row->version);
        framework = row->framework;
    }
}

static void
print_choices(const moe_validation *v, const char *preset)
{
    size_t groups = 0;
    const moe_validated_group *group = moe_validation_groups(v, &groups);
    g_autoptr(GString) libraries = g_string_new(NULL);
    g_autoptr(GHashTable) said = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t g = 0; g < groups; g++) {
        if (strcmp(group[g].preset, preset))
            continue;
        for (char **s = group[g].strangers; *s; s++)
            if (g_hash_table_add(said, *s))
                moe_out("  stands for %s, which none of our machines has; --device PRESET takes "
                        "another\n",
                        *s);
        append_library(v, (uint32_t)g, libraries);
    }
    if (libraries->len)
        moe_out("  kernels: %s\n", libraries->str);
}

static void
print_families(const moe_validation *v, bool brief)
{
    size_t n = 0;
    const moe_family *all = moe_validation_families(v, &n);
    for (size_t i = 0, end; i < n; i = end) {
        g_autoptr(moe_grid) grid = new_grid();
        for (end = i; end < n && !strcmp(all[end].preset, all[i].preset); end++)
            add_family(grid, &all[end], brief);
        moe_out("%s%s\n", i ? "\n" : "", all[i].preset);
        print_choices(v, all[i].preset);
        moe_grid_print(grid, true, "  ");
        for (size_t f = i; f < end; f++)
            print_notes(&all[f]);
        print_stand_ins(v, all[i].preset);
    }
}

/* ---- rows that are far off ---- */

static int
by_far_off(const void *x, const void *y)
{
    const moe_validated_row *a = *(const moe_validated_row *const *)x;
    const moe_validated_row *b = *(const moe_validated_row *const *)y;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->row->kind != b->row->kind)
        return a->row->kind - b->row->kind;
    double p = moe_validated_off(a), q = moe_validated_off(b);
    return p != q ? (p < q) - (p > q) : (a > b) - (a < b);
}

static void
add_row(moe_grid *grid, const moe_validated_row *row, const moe_measured *table)
{
    g_autoptr(GString) what = g_string_new(NULL);
    g_autofree char *file = g_path_get_basename(moe_measured_file(table, row->row->file));
    moe_measured_describe(row->row, what);
    moe_grid_add(grid, moe_measured_kind_name(row->row->kind));
    moe_grid_addf(grid, "%.2f", row->measured_us);
    moe_grid_addf(grid, "%.2f", row->predicted_us);
    moe_grid_addf(grid, "%+.0f %%", 100 * (row->predicted_us / row->measured_us - 1));
    moe_grid_add(grid, *row->odd ? "odd" : moe_bound_name(row->bound));
    moe_grid_addf(grid, "%s:%" PRIu64, file, row->row->line);
    moe_grid_add(grid, what->str);
}

static void
print_worst(const moe_validation *v, const moe_measured *table, size_t worst)
{
    static const char *const heads[] = {"", "measured us", "predicted", "off", "", "where", "row"};
    size_t n = 0, shown = 0;
    const moe_validated_row *rows = moe_validation_rows(v, &n);
    g_autofree const moe_validated_row **order = g_new(const moe_validated_row *, n + 1);
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(heads));
    for (size_t i = 0; i < n; i++)
        order[i] = &rows[i];
    qsort(order, n, sizeof *order, by_far_off);
    for (size_t i = 0; i < MOE_COUNT(heads); i++)
        moe_grid_add(grid, heads[i]);
    for (size_t i = 0; i < n; i++) {
        if (i && (order[i]->group != order[i - 1]->group ||
                  order[i]->row->kind != order[i - 1]->row->kind))
            shown = 0;
        if (order[i]->predicted_us > 0 && shown++ < worst)
            add_row(grid, order[i], table);
    }
    moe_out("\nRows that are farthest off\n");
    moe_grid_print(grid, true, "  ");
}

void
moe_validate_print(const moe_validation *v, const moe_measured *table, bool brief, size_t worst)
{
    moe_out("Errors of the times, |predicted / measured - 1|; bias: predicted / measured - 1; "
            "roofline: the error of the peaks alone\n\n");
    print_families(v, brief);
    if (worst)
        print_worst(v, table, worst);
}

/* ---- figures ---- */

enum { MOST_POINTS = 4000 };

static double
error_of(const moe_validated_row *row)
{
    return fabs(row->predicted_us / row->measured_us - 1);
}

/* Points of one bound; of many, evenly chosen ones. The key says how far off all of them are. */
static void
add_points(moe_panel *panel, const moe_validated_row *const *rows, size_t n, moe_bound bound)
{
    static const char *const names[] = {"fixed costs", "memory", "compute"};
    size_t members = 0, seen = 0;
    double error = 0;
    for (size_t i = 0; i < n; i++)
        if (rows[i]->bound == bound) {
            members++;
            error += error_of(rows[i]);
        }
    if (!members)
        return;
    size_t step = members / MOST_POINTS + 1;
    g_autofree char *title = g_strdup_printf("%s %.1f %%, %zu rows", names[bound],
                                             100 * error / (double)members, members);
    moe_panel_curve(panel, title, MOE_CURVE_POINTS);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->bound == bound && seen++ % step == 0)
            moe_panel_point(panel, rows[i]->measured_us, rows[i]->predicted_us, NAN, NAN);
}

/* Where predictions are right, and where they are within 10 %. */
static void
add_right(moe_panel *panel, const moe_validated_row *const *rows, size_t n)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, fmin(rows[i]->measured_us, rows[i]->predicted_us));
        high = fmax(high, fmax(rows[i]->measured_us, rows[i]->predicted_us));
    }
    const double ends[] = {low, high};
    moe_panel_curve(panel, "within 10 %", MOE_CURVE_BAND);
    for (size_t i = 0; i < MOE_COUNT(ends); i++)
        moe_panel_point(panel, ends[i], ends[i], 0.9 * ends[i], 1.1 * ends[i]);
    moe_panel_curve(panel, NULL, MOE_CURVE_DASHED);
    for (size_t i = 0; i < MOE_COUNT(ends); i++)
        moe_panel_point(panel, ends[i], ends[i], NAN, NAN);
}

static void
add_panel(moe_sheet *sheet, const moe_validated_group *group, const moe_validated_row *const *rows,
          size_t n)
{
    const char *kind = moe_measured_kind_name(rows[0]->row->kind);
    g_autofree char *name = g_strdup_printf("%s-%s%s%s", kind, group->preset,
                                            *group->kernels ? "-" : "", group->kernels);
    double error = 0;
    for (size_t i = 0; i < n; i++)
        error += error_of(rows[i]) / (double)n;
    g_autofree char *title =
        g_strdup_printf("%s, %s%s%s: off by %.1f %%", kind, group->preset,
                        *group->kernels ? ", " : "", group->kernels, 100 * error);
    moe_panel *panel = moe_sheet_add(sheet, &(moe_panel_config){.name = name,
                                                                .title = title,
                                                                .x_label = "measured",
                                                                .y_label = "predicted",
                                                                .alike = true,
                                                                .y_max = NAN});
    for (int bound = MOE_BOUND_FIXED; bound <= MOE_BOUND_COMPUTE; bound++)
        add_points(panel, rows, n, (moe_bound)bound);
    add_right(panel, rows, n);
}

moe_sheet *
moe_validate_figures(const moe_validation *v, const char *title)
{
    size_t n = 0, groups = 0;
    const moe_validated_row *rows = moe_validation_rows(v, &n);
    const moe_validated_group *all = moe_validation_groups(v, &groups);
    g_autofree const moe_validated_row **members = g_new(const moe_validated_row *, n + 1);
    moe_sheet *sheet = moe_sheet_new(title);
    for (size_t i = 0, end; i < n; i = end) {
        size_t kept = 0;
        for (end = i; end < n && rows[end].group == rows[i].group &&
                      rows[end].row->kind == rows[i].row->kind;
             end++)
            if (rows[end].predicted_us > 0)
                members[kept++] = &rows[end];
        if (kept)
            add_panel(sheet, &all[rows[i].group], members, kept);
    }
    return sheet;
}
