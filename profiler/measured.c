#include "profiler/measured_columns.h"

#include <stdlib.h>
#include <string.h>

#define F(field) offsetof(moe_measured_row, field)
#define BIT(kind) (1u << MOE_MEASURED_##kind)
#define ALL ((1u << MOE_MEASURED_KINDS) - 1)
#define ROUTED BIT(EXPERTS)
#define HEADS BIT(ATTENTION)
#define BYTES (BIT(COPY) | BIT(STREAM))

enum {
    LONGEST_US = 60 * 1000 * 1000,
    MOST_EXPERTS = 65533,
    MOST_TOKENS = 1 << 24,
};
/* Faster than anything that exists: below the first no kernel and no copy ends, and the others are
 * a few times the best of today's devices, their caches included. */
static const double least_us = 0.1, most_flops = 2e16, most_bytes = 4e13, most_link = 1e12;

static const char *const kinds[] = {"launch",    "stream", "gemm", "experts",
                                    "attention", "copy",   NULL};
static const char *const directions[] = {"", "h2d", "d2h", "d2d", "disk", NULL};
static const char *const memories[] = {"pinned", "pageable", NULL};
static const char *const truths[] = {"0", "1", NULL};
static const char *const modes[] = {"plain", "graph", NULL};

#define COLUMN(name_, type_, offset_, choices_, max_, may_, must_)                                 \
    {                                                                                              \
        .name = name_, .type = MOE_COLUMN_##type_, .offset = offset_, .choices = choices_,         \
        .max = max_, .may = may_, .must = must_                                                    \
    }

const moe_column moe_columns[] = {
    COLUMN("kind", CHOICE, F(kind), kinds, 0, ALL, ALL),
    COLUMN("device", TEXT, F(device), NULL, 0, ALL, 0),
    COLUMN("source", TEXT, F(source), NULL, 0, ALL, 0),
    COLUMN("dtype", TEXT, F(dtype), NULL, 0, ALL, 0),
    COLUMN("weight_bits", REAL, F(weight_bits), NULL, 64, ALL, 0),
    COLUMN("activation_bits", REAL, F(activation_bits), NULL, 64, ALL, 0),
    COLUMN("hidden", WHOLE, F(hidden), NULL, 1 << 20, ROUTED, ROUTED),
    COLUMN("width", WHOLE, F(width), NULL, 1 << 22, ROUTED, ROUTED),
    COLUMN("matrices", WHOLE, F(matrices), NULL, 3, ROUTED, 0),
    COLUMN("experts", WHOLE, F(experts), NULL, MOST_EXPERTS, ROUTED, 0),
    COLUMN("top_k", WHOLE, F(top_k), NULL, MOST_EXPERTS, ROUTED, 0),
    COLUMN("tokens", WHOLE, F(tokens), NULL, MOST_TOKENS, ROUTED, 0),
    COLUMN("distribution", TEXT, F(distribution), NULL, 0, ROUTED, 0),
    COLUMN("distinct", WHOLE, F(distinct), NULL, MOST_EXPERTS, ROUTED, 0),
    COLUMN("loads", LOADS, F(loads), NULL, MOST_TOKENS, ROUTED, 0),
    COLUMN("m", WHOLE, F(m), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("n", WHOLE, F(n), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("k", WHOLE, F(k), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("heads", WHOLE, F(heads), NULL, 65536, HEADS, HEADS),
    COLUMN("kv_heads", WHOLE, F(kv_heads), NULL, 65536, HEADS, HEADS),
    COLUMN("head_dim", WHOLE, F(head_dim), NULL, 65536, HEADS, HEADS),
    COLUMN("queries", WHOLE, F(queries), NULL, MOST_TOKENS, HEADS, HEADS),
    COLUMN("context", WHOLE, F(context), NULL, 1 << 30, HEADS, HEADS),
    COLUMN("sequences", WHOLE, F(sequences), NULL, 1 << 20, HEADS, HEADS),
    COLUMN("direction", CHOICE, F(direction), directions, 0, BIT(COPY), BIT(COPY)),
    COLUMN("memory", WORD, F(pageable), memories, 0, BIT(COPY), 0),
    COLUMN("bytes", WHOLE, F(bytes), NULL, 1e15, BYTES, BYTES),
    COLUMN("request", WHOLE, F(request), NULL, 1e15, BIT(COPY), 0),
    COLUMN("depth", WHOLE, F(depth), NULL, 65536, BIT(COPY), 0),
    COLUMN("concurrent", WORD, F(concurrent), truths, 0, BIT(COPY), 0),
    COLUMN("mode", WORD, F(graph), modes, 0, ALL, 0),
    COLUMN("kernels", WHOLE, F(kernels), NULL, 1e6, ALL, BIT(LAUNCH)),
    COLUMN("time_us", REAL, F(time_us), NULL, 1e300, ALL, ALL),
};
const size_t moe_n_columns = MOE_COUNT(moe_columns);

/* ---- the table ---- */

struct moe_measured {
    GArray *rows;         /* moe_measured_row */
    GStringChunk *texts;  /* all of its texts */
    GPtrArray *files;     /* char * */
    GPtrArray *all_loads; /* uint32_t * */
};

moe_measured *
moe_measured_new(void)
{
    moe_measured *table = g_new0(moe_measured, 1);
    table->rows = g_array_new(false, false, sizeof(moe_measured_row));
    table->texts = g_string_chunk_new(4096);
    table->files = g_ptr_array_new();
    table->all_loads = g_ptr_array_new_with_free_func(g_free);
    return table;
}

void
moe_measured_free(moe_measured *table)
{
    if (!table)
        return;
    g_array_unref(table->rows);
    g_string_chunk_free(table->texts);
    g_ptr_array_unref(table->files);
    g_ptr_array_unref(table->all_loads);
    g_free(table);
}

const char *
moe_measured_intern(moe_measured *table, const char *text)
{
    return g_string_chunk_insert_const(table->texts, text ? text : "");
}

uint32_t *
moe_measured_loads(moe_measured *table, uint32_t n)
{
    uint32_t *loads = g_new0(uint32_t, n);
    g_ptr_array_add(table->all_loads, loads);
    return loads;
}

void
moe_measured_begin(moe_measured *table, const char *name)
{
    g_ptr_array_add(table->files, g_string_chunk_insert(table->texts, name));
}

void
moe_measured_append(moe_measured *table, const moe_measured_row *row)
{
    g_array_append_vals(table->rows, row, 1);
}

bool
moe_measured_add(moe_measured *table, const moe_measured_row *row, const char **why)
{
    moe_measured_row copy = *row;
    const char *column = NULL;
    copy.device = moe_measured_intern(table, row->device);
    copy.source = moe_measured_intern(table, row->source);
    copy.dtype = moe_measured_intern(table, row->dtype);
    copy.distribution = moe_measured_intern(table, row->distribution);
    if (row->n_loads) {
        uint32_t *loads = moe_measured_loads(table, row->n_loads);
        memcpy(loads, row->loads, row->n_loads * sizeof *loads);
        copy.loads = loads;
    }
    moe_assert(table->files->len > 0, "a row without moe_measured_begin");
    copy.file = table->files->len - 1;
    *why = moe_measured_complete(table, &copy, &column);
    if (*why)
        return false;
    moe_measured_append(table, &copy);
    return true;
}

size_t
moe_measured_count(const moe_measured *table)
{
    return table->rows->len;
}

const moe_measured_row *
moe_measured_at(const moe_measured *table, size_t i)
{
    return &g_array_index(table->rows, moe_measured_row, i);
}

uint32_t
moe_measured_files(const moe_measured *table)
{
    return table->files->len;
}

const char *
moe_measured_file(const moe_measured *table, uint32_t file)
{
    return g_ptr_array_index(table->files, file);
}

const char *
moe_measured_kind_name(int kind)
{
    return kinds[kind];
}

/* ---- choosing ---- */

static const moe_column *
column_called(const char *name, const char **closest)
{
    const char *names[64];
    moe_assert(moe_n_columns <= MOE_COUNT(names), "%zu columns", moe_n_columns);
    for (size_t i = 0; i < moe_n_columns; i++) {
        if (!strcmp(moe_columns[i].name, name))
            return &moe_columns[i];
        names[i] = moe_columns[i].name;
    }
    *closest = moe_suggest(name, names, moe_n_columns);
    return NULL;
}

/* The text of a column that is nearest to what no row says. */
static const char *
nearest_text(moe_measured *table, const moe_column *column, const char *text)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();
    for (guint i = 0; i < table->rows->len && seen->len < 1000; i++) {
        g_autoptr(GString) said = g_string_new(NULL);
        moe_measured_field(column, moe_measured_at(table, i), said);
        const char *kept = moe_measured_intern(table, said->str);
        if (!g_ptr_array_find(seen, kept, NULL))
            g_ptr_array_add(seen, (gpointer)(uintptr_t)kept);
    }
    return moe_suggest(text, (const char *const *)seen->pdata, seen->len);
}

static bool
says(const moe_measured_row *row, const moe_column *column, const char *text)
{
    if (column->type == MOE_COLUMN_TEXT)
        return !strcmp(*(const char *const *)((const char *)row + column->offset), text);
    g_autoptr(GString) said = g_string_new(NULL);
    moe_measured_field(column, row, said);
    return !strcmp(said->str, text);
}

bool
moe_measured_choose(moe_measured *table, const char *name, const char *text, bool keep,
                    const char **closest)
{
    const moe_column *column = column_called(name, closest);
    g_autoptr(GArray) left = g_array_new(false, false, sizeof(moe_measured_row));
    guint said = 0;
    if (!column)
        return false;
    for (guint i = 0; i < table->rows->len; i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        bool so = says(row, column, text);
        said += so;
        if (so == keep)
            g_array_append_vals(left, row, 1);
    }
    *closest = said ? NULL : nearest_text(table, column, text);
    if (!said || !left->len)
        return false;
    g_array_unref(table->rows);
    table->rows = g_steal_pointer(&left);
    return true;
}

/* ---- what a row leaves out ---- */

/* As the tables of ai-dynamo/aiconfigurator spread their tokens: token t takes experts
 * (t + j * stride) mod E for j < k, with stride = ceil(E / k); fewer tokens than strides stand
 * evenly apart. */
static void
spread(const moe_measured_row *row, uint32_t *loads)
{
    int64_t experts = row->experts, k = row->top_k, tokens = row->tokens;
    int64_t stride = (experts + k - 1) / k;
    int64_t rounds = tokens >= stride ? tokens / experts : 0;

    for (int64_t i = 0; i < experts; i++)
        loads[i] = (uint32_t)(rounds * k);
    for (int64_t t = rounds * experts; t < tokens; t++)
        for (int64_t j = 0; j < k; j++) {
            int64_t first = tokens >= stride ? t : t * stride / tokens;
            loads[(first + j * stride) % experts]++;
        }
}

static uint32_t
drop_idle(uint32_t *loads, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (loads[i] > 0)
            loads[kept++] = loads[i];
    return kept;
}

static void
derive_distinct(moe_measured *table, moe_measured_row *row)
{
    uint32_t n = (uint32_t)row->distinct, *loads = moe_measured_loads(table, n);
    int64_t choices = row->tokens * row->top_k;
    for (uint32_t i = 0; i < n; i++)
        loads[i] = (uint32_t)(choices / n + (i < choices % n));
    row->loads = loads;
    row->n_loads = n;
}

static const char *
derive_loads(moe_measured *table, moe_measured_row *row, const char **column)
{
    bool balanced = !strcmp(row->distribution, "balanced");
    *column = "loads";
    if (row->tokens <= 0 || row->top_k <= 0)
        return "wants loads, or tokens and top_k";
    if (row->distinct > row->tokens * row->top_k)
        return "more distinct experts than tokens * top_k";
    if (row->distinct > 0) {
        derive_distinct(table, row);
        return NULL;
    }
    if (!strcmp(row->distribution, "single")) {
        row->distinct = row->top_k;
        derive_distinct(table, row);
        return NULL;
    }
    if (!balanced)
        return "wants loads or distinct: only balanced and single say how tokens spread";
    if (row->experts < row->top_k)
        return "a balanced row wants experts, at least top_k of them";
    uint32_t *loads = moe_measured_loads(table, (uint32_t)row->experts);
    spread(row, loads);
    row->loads = loads;
    row->n_loads = drop_idle(loads, (uint32_t)row->experts);
    return NULL;
}

static const char *
complete_experts(moe_measured *table, moe_measured_row *row, const char **column)
{
    if (!row->matrices)
        row->matrices = 3;
    *column = "matrices";
    if (row->matrices < 2)
        return "an expert has 2 or 3 matrices";
    if (!row->n_loads) {
        const char *wrong = derive_loads(table, row, column);
        if (wrong)
            return wrong;
    }
    *column = "loads";
    if (row->experts && row->n_loads > row->experts)
        return "more experts with tokens than experts";
    if (row->distinct && row->n_loads != row->distinct)
        return "not as many experts with tokens as distinct says";
    for (uint32_t i = 0; i < row->n_loads && row->tokens; i++)
        if (row->loads[i] > row->tokens)
            return "an expert has more tokens than enter the layer";
    row->distinct = row->n_loads;
    return NULL;
}

static const char *
complete_attention(const moe_measured_row *row, const char **column)
{
    *column = "kv_heads";
    if (row->heads % row->kv_heads)
        return "heads is no multiple of kv_heads";
    *column = "queries";
    return row->queries > row->context ? "more queries than keys that the last of them sees" : NULL;
}

/* ---- whether a device can have done it ---- */

/* FLOPs and bytes at the least: weights once, keys and values once. */
static void
amounts(const moe_measured_row *row, double *flops, double *bytes)
{
    double tokens = 0, q = (double)row->queries, size = row->weight_bits / 8;
    *flops = *bytes = 0;
    if (row->kind == MOE_MEASURED_GEMM) {
        *flops = 2.0 * (double)row->m * (double)row->n * (double)row->k;
        *bytes = (double)row->n * (double)row->k * size;
    } else if (row->kind == MOE_MEASURED_EXPERTS) {
        double params = (double)row->matrices * (double)row->hidden * (double)row->width;
        for (uint32_t i = 0; i < row->n_loads; i++)
            tokens += row->loads[i];
        *flops = 2 * params * tokens;
        *bytes = params * row->n_loads * size;
    } else if (row->kind == MOE_MEASURED_ATTENTION) {
        double dim = (double)row->head_dim * (double)row->sequences;
        *flops = 4 * dim * (double)row->heads * q * ((double)row->context - (q - 1) / 2);
        *bytes = 2 * dim * (double)row->kv_heads * (double)row->context * size;
    } else if (row->kind != MOE_MEASURED_LAUNCH) {
        *bytes = (double)row->bytes;
    }
}

static const char *
implausible(const moe_measured_row *row)
{
    bool link = row->kind == MOE_MEASURED_COPY && row->direction != MOE_MEASURED_D2D;
    double seconds = row->time_us / 1e6, flops, bytes;
    double least = least_us * (row->kind == MOE_MEASURED_LAUNCH ? (double)row->kernels : 1);

    amounts(row, &flops, &bytes);
    if (row->time_us > LONGEST_US)
        return "longer than a minute: microseconds are wanted, are these nanoseconds?";
    if (row->time_us < least)
        return "shorter than any kernel or copy: microseconds are wanted, are these milliseconds?";
    if (flops / seconds > most_flops)
        return "above 20 PFLOPS: microseconds are wanted, are these milliseconds?";
    if (bytes / seconds > (link ? most_link : most_bytes))
        return link ? "above 1 TB/s: microseconds are wanted, are these milliseconds?"
                    : "above 40 TB/s: microseconds are wanted, are these milliseconds?";
    return NULL;
}

static const char *
complete_copy(const moe_measured_row *row, const char **column)
{
    *column = row->request ? "request" : "depth";
    if ((row->request || row->depth) && row->direction != MOE_MEASURED_DISK)
        return "only copies from a disk are made of requests";
    if (row->depth > 1 && !row->request)
        return "requests in flight, but no 'request' says how large they are";
    return row->request > row->bytes ? "a request is larger than all bytes" : NULL;
}

const char *
moe_measured_complete(moe_measured *table, moe_measured_row *row, const char **column)
{
    const char *wrong = NULL;
    if (!row->weight_bits)
        row->weight_bits = 16;
    if (!row->activation_bits)
        row->activation_bits = 16;
    if (row->kind == MOE_MEASURED_EXPERTS)
        wrong = complete_experts(table, row, column);
    if (row->kind == MOE_MEASURED_ATTENTION)
        wrong = complete_attention(row, column);
    if (row->kind == MOE_MEASURED_COPY)
        wrong = complete_copy(row, column);
    if (wrong)
        return wrong;
    *column = "time_us";
    return implausible(row);
}
