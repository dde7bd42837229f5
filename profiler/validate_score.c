/* Errors by family and regime. */
#include "profiler/routing_draws.h"
#include "profiler/validate_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Effects of routing below this are noise. */
static const double least_effect = 0.03;

/* ---- a score ---- */

static int
by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* The value that a share of n sorted ones are not above. */
static double
quantile(const double *sorted, size_t n, double share)
{
    size_t i = (size_t)ceil(share * (double)n);
    return sorted[i ? i - 1 : 0];
}

/* Of the rows that `takes` wants (NULL: all that are foretold). */
typedef bool row_filter(const moe_validated_row *row);

static moe_score
score_rows(const moe_validated_row *const *rows, size_t n, row_filter *takes)
{
    moe_score s = {.roofline = -1};
    g_autofree double *errors = g_new(double, n + 1);
    double roofline = 0;
    size_t with_roofline = 0;
    for (size_t i = 0; i < n; i++) {
        const moe_validated_row *row = rows[i];
        if (!(row->predicted_us > 0) || (takes && !takes(row)))
            continue;
        double error = row->predicted_us / row->measured_us - 1;
        s.bias += error;
        s.mean += errors[s.rows++] = fabs(error);
        if (row->roofline_us > 0) {
            roofline += fabs(row->roofline_us / row->measured_us - 1);
            with_roofline++;
        }
    }
    if (!s.rows)
        return s;
    qsort(errors, s.rows, sizeof *errors, by_value);
    s.median = (errors[(s.rows - 1) / 2] + errors[s.rows / 2]) / 2;
    s.p90 = quantile(errors, s.rows, 0.9);
    s.mean /= (double)s.rows;
    s.bias /= (double)s.rows;
    if (with_roofline)
        s.roofline = roofline / (double)with_roofline;
    return s;
}

static bool
is_usual(const moe_validated_row *row)
{
    return !*row->odd;
}

static bool
is_fitted(const moe_validated_row *row)
{
    return !*row->odd && row->fitted;
}

static bool
is_held(const moe_validated_row *row)
{
    return !*row->odd && !row->fitted;
}

/* ---- families ---- */

static void
append_types(const moe_measured_row *row, GString *out)
{
    if (*row->dtype)
        g_string_append_printf(out, " %s", row->dtype);
    if (*row->kv_dtype && strcmp(row->kv_dtype, row->dtype))
        g_string_append_printf(out, "/%s", row->kv_dtype);
}

/* "experts bf16, vllm 0.24.0", "mla decode bf16/fp8, …", "all_reduce nccl, …" */
static void
family_name(const moe_measured_row *row, GString *out)
{
    static const char *const parts[] = {"", " up", " down"};
    g_string_truncate(out, 0);
    if (row->kind == MOE_MEASURED_ATTENTION)
        g_string_append_printf(out, "%s%s%s", moe_measured_variant_name(row->variant),
                               row->variant ? " " : "",
                               row->queries > 1 ? "attention of prompts" : "attention of decodes");
    else if (row->kind == MOE_MEASURED_COLLECTIVE)
        g_string_append_printf(out, "%s %s%s", moe_measured_collective_name(row->collective),
                               row->algorithm,
                               strcmp(row->algorithm, "custom") ? ""
                               : row->graph                     ? " graph"
                                                                : " eager");
    else
        g_string_append_printf(out, "%s%s", moe_measured_kind_name(row->kind), parts[row->part]);
    if (row->kind != MOE_MEASURED_COLLECTIVE)
        append_types(row, out);
    if (*row->framework)
        g_string_append_printf(out, ", %s%s%s", row->framework, *row->version ? " " : "",
                               row->version);
}

typedef struct named {
    const char *name, *preset; /* the validation's */
    const moe_validated_row *row;
} named;

static int
by_family(const void *x, const void *y)
{
    const named *a = x, *b = y;
    int order = a->row->group == b->row->group ? 0 : strcmp(a->preset, b->preset);
    if (order)
        return order;
    if (a->row->row->kind != b->row->row->kind)
        return a->row->row->kind - b->row->row->kind;
    order = a->name == b->name ? 0 : strcmp(a->name, b->name);
    if (!order && a->row->group != b->row->group)
        return a->row->group < b->row->group ? -1 : 1;
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

/* ---- regimes ---- */

typedef struct label {
    int order; /* within its dimension */
    const char *text;
} label;

static label
by_limits(double value, const double *limits, const char *const *texts, int n)
{
    int i = 0;
    while (i < n && value > limits[i])
        i++;
    return (label){i, texts[i]};
}

static label
bound_label(moe_validation *v, const moe_validated_row *row)
{
    if (row->row->kind == MOE_MEASURED_COLLECTIVE || row->row->kind == MOE_MEASURED_COPY)
        return (label){0, NULL};
    return (label){(int)row->bound, moe_bound_name(row->bound)};
}

static label
routing_label(moe_validation *v, const moe_validated_row *row)
{
    double exponent = 0;
    const char *name = row->row->distribution;
    if (row->row->kind != MOE_MEASURED_EXPERTS)
        return (label){0, NULL};
    return (label){moe_is_power_law(name, &exponent) ? (int)(1000 * exponent) : 0,
                   *name ? name : "as measured"};
}

static label
size_label(moe_validation *v, const moe_validated_row *row)
{
    static const double tokens[] = {16, 256, 4096}, keys[] = {1024, 8192}, bytes[] = {1048575};
    static const char *const token_texts[] = {"to 16 tokens", "to 256", "to 4096", "above"};
    static const char *const row_texts[] = {"to 16 rows", "to 256", "to 4096", "above"};
    static const char *const key_texts[] = {"to 1024 keys", "to 8192", "above"};
    static const char *const byte_texts[] = {"below 1 MiB", "from 1 MiB"};
    const moe_measured_row *r = row->row;
    switch ((moe_measured_kind)r->kind) {
    case MOE_MEASURED_EXPERTS:
    case MOE_MEASURED_OPERATION:
        return by_limits((double)r->tokens, tokens, token_texts, 3);
    case MOE_MEASURED_GEMM:
        return by_limits((double)r->m, tokens, row_texts, 3);
    case MOE_MEASURED_ATTENTION:
        return by_limits((double)r->context, keys, key_texts, 2);
    case MOE_MEASURED_COLLECTIVE:
        return r->bytes ? by_limits((double)r->bytes, bytes, byte_texts, 1)
                        : by_limits((double)r->tokens, tokens, token_texts, 3);
    case MOE_MEASURED_COPY:
    case MOE_MEASURED_STREAM:
        return by_limits((double)r->bytes, bytes, byte_texts, 1);
    case MOE_MEASURED_LAUNCH:
    case MOE_MEASURED_KINDS:
        break;
    }
    return (label){0, NULL};
}

static label
ranks_label(moe_validation *v, const moe_validated_row *row)
{
    static const char *const ways[] = {"one device", "tensor-parallel", "expert-parallel", "both"};
    const moe_measured_row *r = row->row;
    char text[64];
    if (r->kind == MOE_MEASURED_EXPERTS) {
        int way = (r->tp > 1) + 2 * (r->ep > 1);
        return (label){way, ways[way]};
    }
    if (r->kind != MOE_MEASURED_COLLECTIVE)
        return (label){0, NULL};
    g_snprintf(text, sizeof text, "%" PRId64 " ranks", r->ranks);
    return (label){(int)MIN(r->ranks, INT32_MAX), g_string_chunk_insert_const(v->labels, text)};
}

static label
kernel_label(moe_validation *v, const moe_validated_row *row)
{
    const moe_measured_row *r = row->row;
    if (r->kind == MOE_MEASURED_OPERATION)
        return (label){r->operation, moe_measured_operation_name(r->operation)};
    return (label){0, *r->kernel ? r->kernel : NULL};
}

static const struct {
    const char *name;
    label (*label)(moe_validation *v, const moe_validated_row *row);
} dimensions[] = {{"bound", bound_label},
                  {"routing", routing_label},
                  {"size", size_label},
                  {"ranks", ranks_label},
                  {"kernel", kernel_label}};

typedef struct labelled {
    label label;
    const moe_validated_row *row;
} labelled;

static int
by_label(const void *x, const void *y)
{
    const labelled *a = x, *b = y;
    if (a->label.order != b->label.order)
        return a->label.order - b->label.order;
    int order = a->label.text == b->label.text ? 0 : strcmp(a->label.text, b->label.text);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

/* A dimension in which all rows are alike says nothing. Where rows were fitted and others held
 * back, a regime's score is that of the others. */
static void
add_regimes(moe_validation *v, moe_family *family, const named *rows, size_t n, size_t d)
{
    bool fit = family->fitted.rows && family->held.rows;
    g_autofree labelled *all = g_new(labelled, n + 1);
    g_autofree const moe_validated_row **members = g_new(const moe_validated_row *, n + 1);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        label l = dimensions[d].label(v, rows[i].row);
        if (l.text)
            all[kept++] = (labelled){l, rows[i].row};
    }
    qsort(all, kept, sizeof *all, by_label);
    if (!kept || !strcmp(all[0].label.text, all[kept - 1].label.text))
        return;
    for (size_t i = 0, end; i < kept; i = end) {
        for (end = i; end < kept && !strcmp(all[end].label.text, all[i].label.text); end++)
            members[end - i] = all[end].row;
        moe_regime regime = {
            .dimension = dimensions[d].name,
            .label = g_string_chunk_insert_const(v->labels, all[i].label.text),
            .score = score_rows(members, end - i, fit ? is_held : is_usual),
        };
        if (regime.score.rows)
            g_array_append_val(family->regimes, regime);
    }
}

/* ---- the sign of what routing does ---- */

enum { PAIR_NUMBERS = 10 };
static void
pair_numbers(const moe_measured_row *r, int64_t *out)
{
    const int64_t numbers[PAIR_NUMBERS] = {r->hidden, r->width, r->matrices, r->experts, r->ep,
                                           r->tp,     r->top_k, r->tokens,   r->graph,   r->part};
    memcpy(out, numbers, sizeof numbers);
}

static int
compare_pair(const moe_measured_row *a, const moe_measured_row *b)
{
    int64_t x[PAIR_NUMBERS], y[PAIR_NUMBERS];
    pair_numbers(a, x);
    pair_numbers(b, y);
    for (size_t i = 0; i < PAIR_NUMBERS; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return strcmp(a->kernel, b->kernel);
}

static int
by_pair(const void *x, const void *y)
{
    const moe_validated_row *a = *(const moe_validated_row *const *)x;
    const moe_validated_row *b = *(const moe_validated_row *const *)y;
    int order = compare_pair(a->row, b->row);
    bool p = !strcmp(a->row->distribution, "balanced"),
         q = !strcmp(b->row->distribution, "balanced");
    if (!order && p != q)
        return p ? -1 : 1;
    return order ? order : (a > b) - (a < b);
}

static moe_sign
sign_of(const named *rows, size_t n)
{
    moe_sign sign = {0};
    size_t kept = 0;
    g_autofree const moe_validated_row **order = g_new(const moe_validated_row *, n + 1);
    for (size_t i = 0; i < n; i++)
        if (is_usual(rows[i].row) && rows[i].row->predicted_us > 0 &&
            rows[i].row->row->kind == MOE_MEASURED_EXPERTS)
            order[kept++] = rows[i].row;
    qsort(order, kept, sizeof *order, by_pair);
    const moe_validated_row *even = NULL;
    for (size_t i = 0; i < kept; i++) {
        double exponent = 0;
        if (!strcmp(order[i]->row->distribution, "balanced"))
            even = order[i];
        if (!even || compare_pair(even->row, order[i]->row) ||
            !moe_is_power_law(order[i]->row->distribution, &exponent))
            continue;
        double effect = order[i]->measured_us / even->measured_us - 1;
        double foretold = order[i]->predicted_us / even->predicted_us - 1;
        if (fabs(effect) <= least_effect)
            continue;
        sign.pairs++;
        sign.right += effect > 0 ? foretold > 0 : foretold < 0;
    }
    return sign;
}

/* ---- all ---- */

static void
add_family(moe_validation *v, const named *rows, size_t n)
{
    g_autofree const moe_validated_row **members = g_new(const moe_validated_row *, n + 1);
    moe_family family = {
        .name = g_strdup(rows[0].name),
        .preset = g_array_index(v->groups, moe_validated_group, rows[0].row->group).preset,
        .kernels = g_array_index(v->groups, moe_validated_group, rows[0].row->group).kernels,
        .kind = rows[0].row->row->kind,
        .regimes = g_array_new(false, true, sizeof(moe_regime)),
    };
    for (size_t i = 0; i < n; i++) {
        members[i] = rows[i].row;
        family.aside += *rows[i].row->odd != 0;
        family.silent += !(rows[i].row->predicted_us > 0);
    }
    family.all = score_rows(members, n, is_usual);
    family.odd = score_rows(members, n, NULL);
    family.fitted = score_rows(members, n, is_fitted);
    family.held = score_rows(members, n, is_held);
    family.sign = sign_of(rows, n);
    for (size_t d = 0; d < MOE_COUNT(dimensions); d++)
        add_regimes(v, &family, rows, n, d);
    g_array_append_val(v->families, family);
}

void
moe_validate_score(moe_validation *v)
{
    size_t n = v->rows->len;
    g_autofree named *rows = g_new(named, n + 1);
    g_autoptr(GString) name = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        moe_validated_row *row = &g_array_index(v->rows, moe_validated_row, i);
        family_name(row->row, name);
        row->family = g_string_chunk_insert_const(v->labels, name->str);
        rows[i] = (named){row->family,
                          g_array_index(v->groups, moe_validated_group, row->group).preset, row};
    }
    qsort(rows, n, sizeof *rows, by_family);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].row->group == rows[i].row->group &&
                          rows[end].row->row->kind == rows[i].row->row->kind &&
                          rows[end].name == rows[i].name;)
            end++;
        add_family(v, rows + i, end - i);
    }
}
