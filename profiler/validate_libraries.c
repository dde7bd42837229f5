/* Kernel libraries for measured rows: by framework and version, and what goes behind them for
 * kernels that they lack. */
#include "profiler/validate_private.h"

#include "sim/base/data.h"

#include <stdlib.h>
#include <string.h>

/* ---- versions ---- */

/* "0.5.10" is of the series "0.5", "0.55" is not; all are of "". */
static bool
is_of_series(const char *version, const char *series)
{
    size_t n = strlen(series);
    return !n || (g_str_has_prefix(version, series) && !g_ascii_isdigit(version[n]));
}

/* Number by number. */
static int
compare(const char *a, const char *b)
{
    while (*a && *b) {
        char *rest_a = NULL, *rest_b = NULL;
        guint64 x = g_ascii_strtoull(a, &rest_a, 10), y = g_ascii_strtoull(b, &rest_b, 10);
        if (x != y)
            return x < y ? -1 : 1;
        if (rest_a == a || rest_b == b)
            return strcmp(a, b);
        a = rest_a + (*rest_a == '.');
        b = rest_b + (*rest_b == '.');
    }
    return (*a != 0) - (*b != 0);
}

typedef struct library {
    const char *name, *series; /* the version in the name */
    const char *wanted;
    bool special; /* one version of what is another library's series */
} library;

/* The series of the version, the narrowest first; then the newest; libraries of a single other
 * version last. */
static int
by_nearness(const void *x, const void *y)
{
    const library *a = x, *b = y;
    bool of_a = is_of_series(a->wanted, a->series), of_b = is_of_series(b->wanted, b->series);
    if (of_a != of_b)
        return of_a ? -1 : 1;
    if (of_a)
        return (int)strlen(b->series) - (int)strlen(a->series);
    if (a->special != b->special)
        return a->special ? 1 : -1;
    return compare(b->series, a->series);
}

static bool
is_special(const GArray *all, const library *one)
{
    for (guint i = 0; i < all->len; i++) {
        const library *other = &g_array_index(all, library, i);
        if (other != one && *other->series && is_of_series(one->series, other->series))
            return true;
    }
    return false;
}

char **
moe_framework_libraries(const char *framework, const char *version)
{
    g_auto(GStrv) names = moe_data_presets("hw/kernels");
    g_autoptr(GArray) all = g_array_new(false, false, sizeof(library));
    size_t n = strlen(framework);

    for (size_t i = 0; n && names && names[i]; i++)
        if (g_str_has_prefix(names[i], framework) && (!names[i][n] || names[i][n] == '-')) {
            library one = {names[i], names[i] + n + (names[i][n] == '-'), version, false};
            g_array_append_val(all, one);
        }
    for (guint i = 0; i < all->len; i++)
        g_array_index(all, library, i).special = is_special(all, &g_array_index(all, library, i));
    g_array_sort(all, by_nearness);
    char **found = g_new0(char *, all->len + 1);
    for (guint i = 0; i < all->len; i++)
        found[i] = g_strdup(g_array_index(all, library, i).name);
    return found;
}

/* ---- several as one ---- */

static const moe_kernels *
load(moe_validation *v, const char *name, moe_diag *diag, GError **error)
{
    moe_kernels_set *set = moe_kernels_load(name, NULL, (moe_loc){0}, diag, error);
    if (!set)
        return NULL;
    g_ptr_array_add(v->libraries, set);
    g_ptr_array_add(v->known, (gpointer)(uintptr_t)moe_kernels_get(set));
    return moe_kernels_get(set);
}

bool
moe_validate_libraries(moe_validation *v, const char *name, char *const *others,
                       const moe_kernels *last, const moe_kernels **first,
                       const moe_kernels **behind, moe_diag *diag, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    *first = *behind = NULL;
    if (*name && !(*first = load(v, name, diag, error)))
        return false;
    for (; others && *others; others++) {
        const moe_kernels *other = NULL;
        if (!strcmp(*others, name) || (last && !strcmp(*others, last->name)))
            continue;
        if (!(other = load(v, *others, diag, error)))
            return false;
        g_ptr_array_add(all, (gpointer)(uintptr_t)other);
    }
    if (last && strcmp(last->name, name)) {
        g_ptr_array_add(all, (gpointer)(uintptr_t)last);
        g_ptr_array_add(v->known, (gpointer)(uintptr_t)last);
    }
    if (!all->len)
        return true;
    moe_kernels *joined =
        moe_kernels_join("", (const moe_kernels *const *)(void *)all->pdata, all->len);
    g_ptr_array_add(v->joined, joined);
    *behind = joined;
    return true;
}

/* ---- which one a row went to ---- */

static void
named(const moe_validation *v, const char *name, int dtype, moe_validated_row *row)
{
    row->kernel = name ? name : "";
    row->of_type = !name || row->row->kind == MOE_MEASURED_ATTENTION ||
                   row->row->kind == MOE_MEASURED_OPERATION ||
                   moe_predict_is_of_type(dtype, row->row);
    for (guint i = 0; name && i < v->known->len; i++) {
        const moe_kernels *kernels = g_ptr_array_index(v->known, i);
        if (moe_kernels_has(kernels, name))
            row->library = kernels->name;
    }
}

void
moe_validate_name_kernel(const moe_validation *v, const moe_device *device, moe_validated_row *row)
{
    row->library = row->kernel = "";
    row->of_type = true;
    if (row->row->kind == MOE_MEASURED_GEMM) {
        const moe_gemm_kernel *kernel = moe_predict_gemm_kernel(device, row->row);
        named(v, kernel->name, kernel->dtype, row);
    } else if (row->row->kind == MOE_MEASURED_EXPERTS) {
        const moe_expert_kernel *kernel = moe_predict_expert_kernel(device, row->row);
        named(v, kernel->name, kernel->dtype, row);
    } else if (row->row->kind == MOE_MEASURED_ATTENTION) {
        const moe_attention_kernel *kernel = moe_predict_attention_kernel(device, row->row);
        named(v, kernel->name, kernel->dtype, row);
    } else if (row->row->kind == MOE_MEASURED_OPERATION) {
        const moe_operation_kernel *kernel = moe_predict_operation_kernel(device, row->row);
        named(v, kernel ? kernel->name : NULL, 0, row);
    }
}
