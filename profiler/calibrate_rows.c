/* Measured rows as calibration takes them: in an order of their own, repeated ones merged, whole
 * shapes held back. */
#include "profiler/calibrate_private.h"
#include "sim/base/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of fewer shapes than these nothing is held back. */
enum { HOLD_FROM = 4 };
/* Repeated measurements that differ by more are worth a word. */
static const double spread_said = 1.10;

/* ---- the order ---- */

/* Shapes are held back apart in each regime of a kind, so that none goes untested. */
static int
regime(const moe_measured_row *row)
{
    if (row->kind == MOE_MEASURED_COPY)
        return row->direction * 4 + row->pageable * 2 + row->concurrent;
    if (row->kind == MOE_MEASURED_ATTENTION)
        return row->variant * 2 + (row->queries > 1);
    if (row->kind == MOE_MEASURED_COLLECTIVE)
        return row->collective;
    if (row->kind == MOE_MEASURED_OPERATION)
        return row->operation;
    return row->kind == MOE_MEASURED_LAUNCH && row->graph;
}

static int
compare_reals(double a, double b)
{
    return a < b ? -1 : a > b;
}

/* What makes a shape, whole numbers of it; the regime comes first. Experts and heads are counted,
 * and widths taken, over all devices that share them: one layer of a model is one shape. */
enum { SHAPE_NUMBERS = 26, FIRST_NUMBERS = 14 };
static void
shape_numbers(const moe_measured_row *row, int64_t *out)
{
    bool sized = row->kind == MOE_MEASURED_COPY || row->kind == MOE_MEASURED_STREAM ||
                 row->kind == MOE_MEASURED_COLLECTIVE;
    const int64_t numbers[SHAPE_NUMBERS] = {
        row->kind,
        regime(row),
        row->hidden,
        row->width * row->tp,
        row->matrices,
        row->experts * row->ep,
        row->n,
        row->k,
        row->heads * row->tp,
        row->kv_heads,
        row->head_dim,
        row->group,
        sized ? row->bytes : 0,
        row->kind == MOE_MEASURED_LAUNCH ? row->kernels : 0,
        row->part,
        row->variant,
        row->kv_rank,
        row->rope_dim,
        row->window,
        row->selected,
        row->collective,
        row->ranks,
        row->nodes > 1 ? row->nodes : 0,
        row->operation,
        row->request,
        row->depth,
    };
    memcpy(out, numbers, sizeof numbers);
}

static int
compare_numbers(const int64_t *a, const int64_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int
compare_shapes(const moe_measured_row *a, const moe_measured_row *b)
{
    int64_t x[SHAPE_NUMBERS], y[SHAPE_NUMBERS];
    shape_numbers(a, x);
    shape_numbers(b, y);
    int order = compare_numbers(x, y, SHAPE_NUMBERS);
    if (!order)
        order = compare_reals(a->weight_bits, b->weight_bits);
    if (!order)
        order = compare_reals(a->activation_bits, b->activation_bits);
    return order ? order : strcmp(a->dtype, b->dtype);
}

static int
compare_loads(const moe_measured_row *a, const moe_measured_row *b)
{
    if (a->loads == b->loads || a->n_loads != b->n_loads)
        return (a->n_loads > b->n_loads) - (a->n_loads < b->n_loads);
    for (uint32_t i = 0; i < a->n_loads; i++)
        if (a->loads[i] != b->loads[i])
            return a->loads[i] < b->loads[i] ? -1 : 1;
    return 0;
}

/* What else is measured of a shape. */
enum { WORK_NUMBERS = 12 };
static void
work_numbers(const moe_measured_row *row, int64_t *out)
{
    const int64_t numbers[WORK_NUMBERS] = {
        row->graph,   row->ep,      row->tp,      row->top_k,     row->tokens,    row->m,
        row->queries, row->context, row->kernels, row->sequences, row->value_dim, row->sms,
    };
    memcpy(out, numbers, sizeof numbers);
}

static int
compare_texts(const moe_measured_row *a, const moe_measured_row *b)
{
    const char *const x[] = {a->framework, a->version,      a->kernel, a->kv_dtype,
                             a->algorithm, a->distribution, a->source, a->odd};
    const char *const y[] = {b->framework, b->version,      b->kernel, b->kv_dtype,
                             b->algorithm, b->distribution, b->source, b->odd};
    int order = 0;
    for (size_t i = 0; i < MOE_COUNT(x) && !order; i++)
        order = x[i] == y[i] ? 0 : strcmp(x[i], y[i]);
    return order;
}

/* Rows that are equal here measure the same, in the same way. */
static int
compare_work(const moe_measured_row *a, const moe_measured_row *b)
{
    int64_t x[WORK_NUMBERS], y[WORK_NUMBERS];
    int order = compare_shapes(a, b);
    if (order)
        return order;
    work_numbers(a, x);
    work_numbers(b, y);
    order = compare_numbers(x, y, WORK_NUMBERS);
    if (!order)
        order = compare_reals(a->kv_bits, b->kv_bits);
    if (!order)
        order = compare_loads(a, b);
    return order ? order : compare_texts(a, b);
}

static int
by_work(const void *x, const void *y)
{
    const moe_measured_row *a = *(const moe_measured_row *const *)x;
    const moe_measured_row *b = *(const moe_measured_row *const *)y;
    int order = compare_work(a, b);
    if (!order)
        order = compare_reals(a->time_us, b->time_us);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

/* ---- repeated rows ---- */

typedef struct repeats {
    size_t groups;
    double spread; /* largest over smallest time */
    const moe_measured_row *low, *high;
} repeats;

/* rows[0..n) measure the same; the one in the middle stands for them. */
static void
merge(moe_calibration *c, const moe_measured_row *const *rows, size_t n, repeats *seen)
{
    double spread = rows[n - 1]->time_us / rows[0]->time_us;
    moe_calibrated_row one = {.row = rows[n / 2],
                              .measured_us =
                                  (rows[(n - 1) / 2]->time_us + rows[n / 2]->time_us) / 2,
                              .merged = (uint32_t)n,
                              .set_aside = rows[n / 2]->odd};
    if (spread > spread_said && !*one.set_aside && moe_known_odd_repeated(one.row))
        one.set_aside = moe_known_odd_repeated(one.row);
    g_array_append_val(c->rows, one);
    c->kinds[rows[0]->kind].rows += n;
    c->kinds[rows[0]->kind].merged += n - 1;
    if (spread <= spread_said)
        return;
    seen->groups++;
    if (spread > seen->spread)
        *seen = (repeats){seen->groups, spread, rows[0], rows[n - 1]};
}

static void
say_repeats(const moe_calibration *c, const repeats *seen, moe_diag *diag)
{
    if (!seen->groups)
        return;
    moe_loc at = {.file = moe_measured_file(c->table, seen->high->file),
                  .line = (int)MIN(seen->high->line, INT32_MAX)};
    moe_diag_warning(diag, at,
                     "%zu measurements are repeated with times more than 10 %% apart, this one "
                     "%.2f times as long as %s:%" PRIu64 "; their medians are taken",
                     seen->groups, seen->spread, moe_measured_file(c->table, seen->low->file),
                     seen->low->line);
}

/* ---- what is held back ---- */

typedef struct shape {
    uint64_t hash;
    size_t first, end; /* rows */
} shape;

static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ at[i]) * 1099511628211u; /* FNV-1a */
    return hash;
}

static uint64_t
hash_shape(const moe_measured_row *row)
{
    int64_t numbers[SHAPE_NUMBERS];
    shape_numbers(row, numbers);
    uint64_t hash = hash_bytes(14695981039346656037u, numbers, FIRST_NUMBERS * sizeof *numbers);
    for (int64_t i = FIRST_NUMBERS; i < SHAPE_NUMBERS; i++)
        if (numbers[i]) { /* what a row does not say moves nothing */
            hash = hash_bytes(hash, &i, sizeof i);
            hash = hash_bytes(hash, &numbers[i], sizeof numbers[i]);
        }
    hash = hash_bytes(hash, row->dtype, strlen(row->dtype));
    hash ^= hash >> 32;
    hash *= 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

static int
by_hash(const void *x, const void *y)
{
    const shape *a = x, *b = y;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

static void
hold_back(moe_calibration *c, const moe_fit_choice *choice, GArray *shapes)
{
    size_t share = shapes->len * (size_t)(choice->of - choice->keep) / (size_t)choice->of;
    size_t held = shapes->len >= HOLD_FROM ? MAX(share, 1) : 0;
    if (!shapes->len)
        return;
    shape *all = (shape *)(void *)shapes->data;
    moe_calibrated_row *rows = (moe_calibrated_row *)(void *)c->rows->data;
    moe_calibrated_kind *kind = &c->kinds[rows[all[0].first].row->kind];
    kind->shapes += shapes->len;
    kind->held_shapes += held;
    qsort(all, shapes->len, sizeof *all, by_hash);
    for (size_t s = 0; s < held; s++)
        for (size_t i = all[s].first; i < all[s].end; i++)
            rows[i].held = true;
    g_array_set_size(shapes, 0);
}

/* Rows of one regime after the other, shapes within them. */
static void
hold_back_shapes(moe_calibration *c, const moe_fit_choice *choice)
{
    g_autoptr(GArray) shapes = g_array_new(false, false, sizeof(shape));
    const moe_calibrated_row *rows = (const moe_calibrated_row *)(const void *)c->rows->data;
    for (size_t i = 0; i < c->rows->len; i++) {
        const moe_measured_row *row = rows[i].row, *last = i ? rows[i - 1].row : NULL;
        if (last && (last->kind != row->kind || regime(last) != regime(row)))
            hold_back(c, choice, shapes);
        if (!last || compare_shapes(last, row)) {
            shape next = {.hash = hash_shape(row), .first = i};
            g_array_append_val(shapes, next);
        }
        if (shapes->len)
            g_array_index(shapes, shape, shapes->len - 1).end = i + 1;
    }
    hold_back(c, choice, shapes);
}

static void
hold_back_rows(moe_calibration *c, const moe_fit_choice *choice)
{
    moe_calibrated_row *rows = (moe_calibrated_row *)(void *)c->rows->data;
    for (size_t i = 0; i < c->rows->len; i++)
        rows[i].held =
            choice->rows == MOE_FIT_NONE ||
            (choice->rows == MOE_FIT_RANKS && rows[i].row->kind == MOE_MEASURED_COLLECTIVE &&
             rows[i].row->ranks >= choice->ranks);
}

bool
moe_fit_choice_parse(const char *text, moe_fit_choice *out)
{
    g_auto(GStrv) parts = g_strsplit(text, "of", -1);
    *out = (moe_fit_choice){.rows = MOE_FIT_SHAPES};
    if (g_strv_length(parts) == 2 && moe_parse_int(parts[0], &out->keep) &&
        moe_parse_int(parts[1], &out->of))
        return out->keep > 0 && out->keep < out->of && out->of <= 1000;
    out->rows = MOE_FIT_RANKS;
    if (g_str_has_prefix(text, "ranks<") && moe_parse_int(text + 6, &out->ranks))
        return out->ranks > 0;
    out->rows = strcmp(text, "all") ? MOE_FIT_NONE : MOE_FIT_ALL;
    return !strcmp(text, "all") || !strcmp(text, "none");
}

void
moe_calibrate_rows(moe_calibration *c, const moe_measured_row **rows, size_t n,
                   const moe_fit_choice *choice, moe_diag *diag)
{
    repeats seen = {0};

    qsort(rows, n, sizeof *rows, by_work);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !compare_work(rows[i], rows[end]);)
            end++;
        merge(c, rows + i, end - i, &seen);
    }
    say_repeats(c, &seen, diag);
    if (choice->rows == MOE_FIT_SHAPES)
        hold_back_shapes(c, choice);
    else
        hold_back_rows(c, choice);
    for (int kind = 0, i = 0; kind <= MOE_MEASURED_KINDS; kind++) {
        while (i < (int)c->rows->len &&
               g_array_index(c->rows, moe_calibrated_row, i).row->kind < kind)
            i++;
        c->first[kind] = (size_t)i;
    }
}
