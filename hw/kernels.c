/* Kernel libraries: names to files, ownership, choice of a kernel. */
#include "hw/kernels.h"

#include "hw/kernels_set.h"
#include "hw/spec.h"
#include "sim/base/data.h"

#include <string.h>

static const char folder[] = "hw/kernels";

static const struct {
    const char *name;
    double weight, activation;
    const char *weights;
} dtypes[] = {
#define X(id, name, weight, activation, weights) {name, weight, activation, weights},
    MOE_KERNEL_DTYPES(X)
#undef X
};

const char *
moe_kernel_dtype_name(int dtype)
{
    return dtypes[dtype].name;
}

double
moe_kernel_weight_bits(int dtype)
{
    return dtypes[dtype].weight;
}

double
moe_kernel_activation_bits(int dtype)
{
    return dtypes[dtype].activation;
}

int
moe_kernel_dtype_find(const char *name)
{
    for (int i = 0; i < MOE_N_KERNEL_DTYPES; i++)
        if (!strcmp(dtypes[i].name, name))
            return i;
    return -1;
}

int
moe_kernel_dtype_for(const char *weights, double activation_bits)
{
    for (int i = 0; i < MOE_N_KERNEL_DTYPES; i++)
        if (!strcmp(dtypes[i].weights, weights) && dtypes[i].activation == activation_bits)
            return i;
    return -1;
}

/* The next "8x1792" of a list of shapes; false at its end, or where it is none. */
static bool
next_shape(const char **at, double *experts, double *width)
{
    char *end = NULL;

    *at += strspn(*at, " ");
    if (!g_ascii_isdigit(**at))
        return false;
    *experts = (double)g_ascii_strtoull(*at, &end, 10);
    if (*end != 'x' || !g_ascii_isdigit(end[1]))
        return false;
    *width = (double)g_ascii_strtoull(end + 1, &end, 10);
    *at = end;
    return *end == ' ' || *end == '\0';
}

bool
moe_expert_kernel_suits(const moe_expert_kernel *kernel, double experts, double width)
{
    double e = 0, w = 0;

    if (!kernel->shapes)
        return true;
    for (const char *at = kernel->shapes; next_shape(&at, &e, &w);)
        if (e == experts && w == width)
            return true;
    return false;
}

static void
check_experts(const moe_kernels *kernels, const moe_yaml *root, moe_diag *diag)
{
    double experts = 0, width = 0;

    for (size_t i = 0; i < kernels->n_experts; i++) {
        const moe_expert_kernel *kernel = &kernels->experts[i];
        const char *at = kernel->shapes ? kernel->shapes : "";
        bool odd = !kernel->shapes;
        while (next_shape(&at, &experts, &width))
            odd = odd || (width < 1e9 && (int64_t)width % MOE_ALIGNED_WIDTH);
        if (*at)
            moe_diag_error(diag, moe_spec_at(root, "experts", i, "shapes"),
                           "'shapes' wants experts and widths such as 8x1792 64x768");
        if (kernel->unaligned > 0 && kernel->unaligned < 1)
            moe_diag_error(diag, moe_spec_at(root, "experts", i, "unaligned"),
                           "'unaligned' is below 1: rows that are not aligned would be faster");
        if (kernel->unaligned > 0 && !odd)
            moe_diag_error(diag, moe_spec_at(root, "experts", i, "unaligned"),
                           "'unaligned' is of no use: all widths of 'shapes' are multiples of %d",
                           MOE_ALIGNED_WIDTH);
        if (kernel->coarse_tile && kernel->coarse_tile < kernel->tile)
            moe_diag_error(diag, moe_spec_at(root, "experts", i, "coarse_tile"),
                           "'coarse_tile' is below 'tile'");
    }
}

/* Kernels of which the second could never be told from the first, nor be taken. */
static void
check_twins(const char *list, const char *name, const char *other, size_t i, const moe_yaml *root,
            moe_diag *diag)
{
    if (!strcmp(name, other))
        moe_diag_error(diag, moe_spec_at(root, list, i, "name"),
                       "a kernel '%s' of the same type, for the same, stands before", name);
}

static void
check_repeated(const moe_kernels *k, const moe_yaml *root, moe_diag *diag)
{
    for (size_t i = 1; i < k->n_gemm; i++)
        for (size_t j = 0; j < i; j++) {
            const moe_gemm_kernel *a = &k->gemm[i], *b = &k->gemm[j];
            if (a->dtype == b->dtype && a->rows_from == b->rows_from &&
                a->multiple_n == b->multiple_n && a->multiple_k == b->multiple_k)
                check_twins("gemm", a->name, b->name, i, root, diag);
        }
    for (size_t i = 1; i < k->n_experts; i++)
        for (size_t j = 0; j < i; j++) {
            const moe_expert_kernel *a = &k->experts[i], *b = &k->experts[j];
            if (a->dtype == b->dtype && !g_strcmp0(a->shapes, b->shapes))
                check_twins("experts", a->name, b->name, i, root, diag);
        }
    for (size_t i = 1; i < k->n_attention; i++)
        for (size_t j = 0; j < i; j++) {
            const moe_attention_kernel *a = &k->attention[i], *b = &k->attention[j];
            if (a->dtype == b->dtype && a->form == b->form && a->head_dim == b->head_dim &&
                a->from == b->from && a->below == b->below)
                check_twins("attention", a->name, b->name, i, root, diag);
        }
    for (size_t i = 1; i < k->n_operations; i++)
        for (size_t j = 0; j < i; j++)
            check_twins("operations", k->operations[i].name, k->operations[j].name, i, root, diag);
}

/* Takes the document: settings point into it. */
static moe_kernels_set *
read_doc(moe_yaml_doc *doc, const char *path, moe_diag *diag)
{
    const moe_yaml *root = moe_yaml_root(doc);
    unsigned before = moe_diag_errors(diag);
    g_autoptr(moe_kernels_set) set = g_new0(moe_kernels_set, 1);

    set->doc = doc;
    if (root->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, root->loc, "a kernel library is a map of keys, not %s",
                       moe_yaml_kind_name(root->kind));
        return NULL;
    }
    set->settings = moe_settings_new(&moe_kernels_table);
    moe_settings_read(set->settings, root, NULL, true, diag);
    if (moe_diag_errors(diag) != before)
        return NULL;
    const moe_kernels_spec *spec = moe_settings_data(set->settings);
    set->name = spec->name ? g_strdup(spec->name) : moe_data_stem(path);
    set->kernels = (moe_kernels){
        .name = set->name,
        .source = spec->source ? spec->source : "",
        .gemm = spec->gemm.items,
        .experts = spec->experts.items,
        .attention = spec->attention.items,
        .operations = spec->operations.items,
        .n_gemm = spec->gemm.n,
        .n_experts = spec->experts.n,
        .n_attention = spec->attention.n,
        .n_operations = spec->operations.n,
    };
    check_experts(&set->kernels, root, diag);
    check_repeated(&set->kernels, root, diag);
    if (moe_diag_errors(diag) != before)
        return NULL;
    return g_steal_pointer(&set);
}

moe_kernels_set *
moe_kernels_parse(const char *path, const char *text, size_t length, moe_diag *diag)
{
    moe_yaml_doc *doc = moe_yaml_parse(path, text, length, diag);
    return doc ? read_doc(doc, path, diag) : NULL;
}

static void
unknown_library(const char *name, moe_loc at, moe_diag *diag)
{
    g_auto(GStrv) names = moe_data_presets(folder);
    const char *closest =
        names ? moe_suggest(name, (const char *const *)names, g_strv_length(names)) : NULL;

    if (closest)
        moe_diag_error(diag, at, "unknown kernel library '%s'; did you mean '%s'?", name, closest);
    else
        moe_diag_error(diag, at, "unknown kernel library '%s': neither one of ours nor a file",
                       name);
}

static moe_kernels_set *
load_one(const char *name, const char *beside, moe_loc at, moe_diag *diag, GError **error)
{
    g_autofree char *path = moe_data_preset(folder, name);
    if (!path)
        path = moe_data_find(name, beside);
    if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        unknown_library(name, at, diag);
        return NULL;
    }
    const char *known = moe_diag_intern(diag, path);
    moe_yaml_doc *doc = moe_yaml_load(known, diag, error);
    return doc ? read_doc(doc, known, diag) : NULL;
}

static void
free_part(void *part)
{
    moe_kernels_free(part);
}

static moe_kernels_set *
load_several(const char *names, const char *beside, moe_loc at, moe_diag *diag, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(names, "|", -1);
    g_autoptr(moe_kernels_set) set = g_new0(moe_kernels_set, 1);
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    set->name = g_strdup(names);
    set->parts = g_ptr_array_new_with_free_func(free_part);
    for (size_t i = 0; parts[i]; i++) {
        moe_kernels_set *part = load_one(parts[i], beside, at, diag, error);
        if (!part)
            return NULL;
        g_ptr_array_add(set->parts, part);
        g_ptr_array_add(all, &part->kernels);
    }
    set->joined =
        moe_kernels_join(set->name, (const moe_kernels *const *)(void *)all->pdata, all->len);
    set->kernels = *set->joined;
    return g_steal_pointer(&set);
}

moe_kernels_set *
moe_kernels_load(const char *name, const char *beside, moe_loc at, moe_diag *diag, GError **error)
{
    return strchr(name, '|') ? load_several(name, beside, at, diag, error)
                             : load_one(name, beside, at, diag, error);
}

void
moe_kernels_free(moe_kernels_set *set)
{
    if (!set)
        return;
    g_clear_pointer(&set->settings, moe_settings_free);
    g_clear_pointer(&set->doc, moe_yaml_free);
    g_clear_pointer(&set->joined, moe_kernels_unjoin);
    g_clear_pointer(&set->parts, g_ptr_array_unref);
    g_free(set->name);
    g_free(set);
}

const moe_kernels *
moe_kernels_get(const moe_kernels_set *set)
{
    return &set->kernels;
}

/* ---- identity ---- */

static void
canonical_value(const moe_param *row, const void *at, GString *out)
{
    char number[32];

    switch (row->type) {
    case MOE_PARAM_BOOL:
        g_string_append_c(out, *(const bool *)at ? '1' : '0');
        break;
    case MOE_PARAM_ENUM:
        g_string_append_printf(out, "%d", *(const int *)at);
        break;
    case MOE_PARAM_TEXT:
        g_string_append(out, *(const char *const *)at ? *(const char *const *)at : "");
        break;
    case MOE_PARAM_INT:
    case MOE_PARAM_BYTES:
    case MOE_PARAM_TIME:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, *(const int64_t *)at);
        break;
    default:
        g_string_append(out, moe_format_real(number, *(const double *)at));
    }
}

/* Elements of `list`, one line each: values of all rows but texts of origin. */
static void
canonical_list(const char *list, const void *items, size_t n, size_t stride, GString *out)
{
    g_autofree char *prefix = g_strconcat(list, ".*.", NULL);

    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(out, "kernel %s", list);
        for (size_t r = 0; r < moe_kernels_table.n_rows; r++) {
            const moe_param *row = &moe_kernels_table.rows[r];
            if (!g_str_has_prefix(row->key, prefix))
                continue;
            g_string_append_printf(out, " %s=", row->key + strlen(prefix));
            canonical_value(row, (const char *)items + i * stride + row->offset, out);
        }
        g_string_append_c(out, '\n');
    }
}

void
moe_kernels_canonical(const moe_kernels *kernels, GString *out)
{
    canonical_list("gemm", kernels->gemm, kernels->n_gemm, sizeof *kernels->gemm, out);
    canonical_list("experts", kernels->experts, kernels->n_experts, sizeof *kernels->experts, out);
    canonical_list("attention", kernels->attention, kernels->n_attention,
                   sizeof *kernels->attention, out);
    canonical_list("operations", kernels->operations, kernels->n_operations,
                   sizeof *kernels->operations, out);
}
