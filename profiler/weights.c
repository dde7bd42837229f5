/* Binds every matrix of weights.h to the tensor that holds it, by the table of weights_names.c. */
#include "profiler/weights.h"

#include "profiler/weights_names.h"
#include "profiler/weights_set.h"

#include <string.h>

/* After so many the count is no help any more, and hostile configs ask for millions. */
#define MAX_MISSING 10000

typedef struct binder {
    moe_weights_set *set;
    const moe_arch *arch;
    const weights_files *files;
    unsigned family;
    moe_diag *diag;
    uint32_t layer, expert;
    uint64_t sizes[WEIGHTS_SIZES]; /* of the layer */
    GHashTable *used;              /* tensors */
    GHashTable *missing;           /* names */
    GPtrArray *missing_order;
    const weights_name *hit; /* the row that an expert's matrix was last found by */
} binder;

/* ---- forms ---- */

typedef struct form {
    bool all;        /* one tensor for all experts */
    uint32_t share;  /* how many matrices lie in it side by side */
    uint32_t part;   /* which of them */
    bool alternate;  /* row by row */
    bool transposed; /* [cols, rows] */
    bool blocks;     /* MXFP4 */
} form;

static const form forms[] = {
    [WEIGHTS_ONE] = {.share = 1},
    [WEIGHTS_EACH] = {.all = true, .share = 1},
    [WEIGHTS_UPPER_HALF] = {.all = true, .share = 2, .part = 0},
    [WEIGHTS_LOWER_HALF] = {.all = true, .share = 2, .part = 1},
    [WEIGHTS_EVEN_ROWS] = {.all = true, .share = 2, .part = 0, .alternate = true},
    [WEIGHTS_ODD_ROWS] = {.all = true, .share = 2, .part = 1, .alternate = true},
    [WEIGHTS_TRANSPOSED] = {.all = true, .share = 1, .transposed = true},
    [WEIGHTS_EVEN_COLS] = {true, 2, 0, .alternate = true, .transposed = true},
    [WEIGHTS_ODD_COLS] = {true, 2, 1, .alternate = true, .transposed = true},
    [WEIGHTS_MX_EACH] = {.all = true, .share = 1, .blocks = true},
    [WEIGHTS_MX_EVEN_ROWS] = {true, 2, 0, .alternate = true, .blocks = true},
    [WEIGHTS_MX_ODD_ROWS] = {true, 2, 1, .alternate = true, .blocks = true},
};

/* The shape of a tensor of this form. `scales`: of MXFP4's scales. */
static moe_tensor
form_tensor(const binder *b, const weights_name *row, bool scales)
{
    const form *f = &forms[row->form];
    uint64_t rows = b->sizes[row->rows] * f->share, cols = b->sizes[row->cols];
    moe_tensor t = {.type = f->blocks ? MOE_TENSOR_U8 : MOE_TENSOR_F32};
    if (f->all)
        t.shape[t.rank++] = b->sizes[WEIGHTS_EXPERTS];
    t.shape[t.rank++] = f->transposed ? cols : rows;
    if (f->transposed)
        t.shape[t.rank++] = rows;
    else if (f->blocks)
        t.shape[t.rank++] = cols / 32;
    else if (row->cols != WEIGHTS_1)
        t.shape[t.rank++] = cols;
    if (f->blocks && !scales)
        t.shape[t.rank++] = 16;
    return t;
}

/* Where the matrix starts in the tensor, in elements; its strides. */
static uint64_t
form_place(const binder *b, const weights_name *row, moe_matrix *m)
{
    const form *f = &forms[row->form];
    uint64_t rows = m->rows, cols = m->cols;
    uint64_t start = f->all ? b->expert * rows * cols * f->share : 0;
    m->stride = (f->transposed ? 1 : cols) * (f->alternate ? f->share : 1);
    m->step = f->transposed ? rows * f->share : 1;
    if (f->alternate)
        return start + f->part * (f->transposed ? 1 : cols);
    return start + f->part * rows * cols;
}

/* ---- checks ---- */

static bool
same_shape(const moe_tensor *a, const moe_tensor *b)
{
    bool same = a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

static bool
weight_type(const moe_tensor *t, bool bytes, moe_weight_type *type)
{
    switch (t->type) {
    case MOE_TENSOR_F32:
        *type = MOE_WEIGHT_F32;
        return !bytes;
    case MOE_TENSOR_F16:
        *type = MOE_WEIGHT_F16;
        return !bytes;
    case MOE_TENSOR_BF16:
        *type = MOE_WEIGHT_BF16;
        return !bytes;
    case MOE_TENSOR_U8:
    case MOE_TENSOR_F8_E8M0:
        *type = MOE_WEIGHT_MXFP4;
        return bytes;
    default:
        return false;
    }
}

/* Whether a tensor is as expected; else a message. `want`: its shape, U8 for one of bytes. */
static bool
check_tensor(binder *b, const char *path, const moe_tensor *found, moe_tensor want,
             moe_weight_type *type)
{
    bool bytes = want.type == MOE_TENSOR_U8;
    if (weight_type(found, bytes, type) && same_shape(found, &want)) {
        if (g_hash_table_add(b->used, (void *)(uintptr_t)found))
            b->set->weights.bytes += found->bytes;
        return true;
    }
    g_autofree char *has = moe_tensor_shape_text(found), *wants = moe_tensor_shape_text(&want);
    moe_diag_error(b->diag, (moe_loc){.file = moe_diag_intern(b->diag, path)},
                   "tensor %.100s: expected %s%s, found %s", found->name,
                   bytes ? "" : "BF16, F16 or ", wants, has);
    return false;
}

static void
note_missing(binder *b, char *name)
{
    if (g_hash_table_contains(b->missing, name)) {
        g_free(name);
        return;
    }
    g_hash_table_add(b->missing, name);
    g_ptr_array_add(b->missing_order, name);
}

static void
report_missing(const binder *b)
{
    guint n = b->missing_order->len, shown = MIN(n, 3);
    const char *const *names = (const char *const *)b->missing_order->pdata;
    if (!n)
        return;
    GString *text = g_string_new(names[0]);
    for (guint i = 1; i < shown; i++)
        g_string_append_printf(text, ", %s", names[i]);
    if (n > shown)
        g_string_append_printf(text, " and %s%u more", n >= MAX_MISSING ? "at least " : "",
                               n - shown);
    moe_diag_error(b->diag,
                   (moe_loc){.file = moe_diag_intern(b->diag, moe_weights_files_main(b->files))},
                   "%s missing: %s", n == 1 ? "a tensor is" : "tensors are", text->str);
    g_string_free(text, TRUE);
}

/* ---- binding ---- */

/* The name of the row's tensor in this layer and expert; yours. */
static char *
tensor_name(const binder *b, const weights_name *row, const char *suffix)
{
    GString *name = g_string_new(NULL);
    for (const char *c = row->pattern; *c; c++) {
        if (*c != '{') {
            g_string_append_c(name, *c);
            continue;
        }
        g_string_append_printf(name, "%u", c[1] == 'L' ? b->layer : b->expert);
        c += 2;
    }
    g_string_append(name, suffix);
    return g_string_free(name, FALSE);
}

static const char *
blocks_suffix(const weights_name *row)
{
    return forms[row->form].blocks ? "_blocks" : "";
}

static void
bind_scales(binder *b, const weights_name *row, uint64_t start, moe_matrix *m)
{
    g_autofree char *name = tensor_name(b, row, "_scales");
    const moe_tensor *t;
    const char *path;
    moe_weight_type type;
    weights_found found = moe_weights_files_find(b->files, name, &t, &path);
    if (found == WEIGHTS_NOWHERE)
        note_missing(b, g_steal_pointer(&name));
    else if (found == WEIGHTS_FOUND && check_tensor(b, path, t, form_tensor(b, row, true), &type))
        m->scales = (const uint8_t *)t->data + start / 32;
}

static void
bind_found(binder *b, const weights_name *row, const char *path, const moe_tensor *t, moe_matrix *m)
{
    uint64_t rows = b->sizes[row->rows], cols = b->sizes[row->cols];
    bool blocks = forms[row->form].blocks;
    if (rows > INT32_MAX || cols > INT32_MAX || (blocks && cols % 32)) {
        moe_diag_error(b->diag, (moe_loc){.file = moe_diag_intern(b->diag, path)},
                       "tensor %.100s: rows of %" G_GUINT64_FORMAT " elements cannot be %s",
                       t->name, cols, blocks ? "blocks of 32" : "so many");
        return;
    }
    moe_matrix made = {.rows = (uint32_t)rows, .cols = (uint32_t)cols};
    if (!check_tensor(b, path, t, form_tensor(b, row, false), &made.type))
        return;
    uint64_t start = form_place(b, row, &made);
    unsigned bits = blocks ? 4 : moe_tensor_type_bits(t->type);
    made.data = (const uint8_t *)t->data + start * bits / 8;
    if (blocks)
        bind_scales(b, row, start, &made);
    *m = made;
}

/* One matrix, by the first of rows[0 .. n) whose tensor there is. */
static void
bind_member(binder *b, const weights_name *rows, size_t n, moe_matrix *m)
{
    const weights_name *named = NULL;
    if (!b->sizes[rows->rows] || !b->sizes[rows->cols])
        return;
    for (size_t i = 0; i < n; i++) {
        if (!(rows[i].families & b->family))
            continue;
        g_autofree char *name = tensor_name(b, &rows[i], blocks_suffix(&rows[i]));
        const moe_tensor *t;
        const char *path;
        weights_found found = moe_weights_files_find(b->files, name, &t, &path);
        if (found == WEIGHTS_FOUND) {
            b->hit = &rows[i];
            bind_found(b, &rows[i], path, t, m);
        }
        if (found != WEIGHTS_NOWHERE)
            return;
        if (!named || b->hit == &rows[i])
            named = &rows[i];
    }
    if (named)
        note_missing(b, tensor_name(b, named, blocks_suffix(named)));
}

/* All matrices of a scope; `base` is what their members are in. */
static void
bind_scope(binder *b, weights_scope scope, void *base)
{
    size_t end;
    for (size_t i = 0; i < moe_weights_n_names; i = end) {
        const weights_name *rows = &moe_weights_names[i];
        for (end = i + 1; end < moe_weights_n_names; end++)
            if (moe_weights_names[end].scope != rows->scope ||
                moe_weights_names[end].member != rows->member)
                break;
        if (rows->scope == scope && b->missing_order->len < MAX_MISSING)
            bind_member(b, rows, end - i, (moe_matrix *)(void *)((char *)base + rows->member));
    }
}

static bool
bind_layer(binder *b, uint32_t l)
{
    moe_layer_weights *layer = &b->set->weights.layers[l];
    b->layer = l;
    moe_weights_sizes(b->arch, l, b->sizes);
    bind_scope(b, WEIGHTS_LAYER, layer);
    uint32_t n = (uint32_t)b->sizes[WEIGHTS_EXPERTS];
    if (!n)
        return true;
    layer->experts = g_try_new0(moe_mlp, n);
    if (!layer->experts) {
        moe_diag_error(b->diag, (moe_loc){.file = moe_weights_files_main(b->files)},
                       "no memory for %u experts of layer %u", n, l);
        return false;
    }
    for (b->expert = 0; b->expert < n && b->missing_order->len < MAX_MISSING; b->expert++)
        bind_scope(b, WEIGHTS_EXPERT, &layer->experts[b->expert]);
    b->expert = 0;
    return b->missing_order->len < MAX_MISSING;
}

static void
bind_all(binder *b)
{
    moe_weights *w = &b->set->weights;
    moe_weights_sizes(b->arch, 0, b->sizes);
    bind_scope(b, WEIGHTS_MODEL, w);
    for (uint32_t l = 0; l < b->set->n_layers && bind_layer(b, l); l++)
        ;
    if (b->arch->model->tied)
        w->unembedding = w->embedding;
    report_missing(b);
}

static void
bind(moe_weights_set *set, moe_diag *diag)
{
    binder b = {
        .set = set,
        .arch = set->weights.arch,
        .files = set->files,
        .family = moe_weights_family(set->weights.arch->family),
        .diag = diag,
        .used = g_hash_table_new(NULL, NULL),
        .missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .missing_order = g_ptr_array_new(),
    };
    bind_all(&b);
    g_ptr_array_free(b.missing_order, TRUE);
    g_hash_table_destroy(b.missing);
    g_hash_table_destroy(b.used);
}

/* ---- the set ---- */

moe_weights_set *
moe_weights_open(const char *folder, moe_diag *diag, GError **error)
{
    g_autoptr(moe_weights_set) set = g_new0(moe_weights_set, 1);
    g_autofree char *config = g_build_filename(folder, "config.json", NULL);
    unsigned before = moe_diag_errors(diag);
    GError *why = NULL;
    set->arch = moe_arch_load(config, diag, &why);
    if (!why)
        set->files = moe_weights_files_open(folder, diag, &why);
    if (why)
        g_propagate_error(error, why);
    if (!set->arch || !set->files)
        return NULL;
    set->weights.arch = moe_arch_get(set->arch);
    set->n_layers = (uint32_t)moe_model_decoder(set->weights.arch->model)->n_layers;
    set->weights.layers = g_new0(moe_layer_weights, set->n_layers);
    bind(set, diag);
    if (moe_diag_errors(diag) != before)
        return NULL;
    moe_weights_measure_experts(set);
    set->paths = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(set->paths, g_steal_pointer(&config));
    g_ptr_array_add(set->paths, g_build_filename(folder, "tokenizer.json", NULL));
    moe_weights_files_list(set->files, set->paths);
    return g_steal_pointer(&set);
}

const GPtrArray *
moe_weights_paths(const moe_weights_set *set)
{
    return set->paths;
}

void
moe_weights_close(moe_weights_set *set)
{
    if (!set)
        return;
    for (uint32_t l = 0; set->weights.layers && l < set->n_layers; l++)
        g_free(set->weights.layers[l].experts);
    g_free(set->weights.layers);
    g_free(set->expert_bytes);
    if (set->paths)
        g_ptr_array_unref(set->paths);
    moe_weights_files_close(set->files);
    moe_arch_free(set->arch);
    g_free(set);
}

const moe_weights *
moe_weights_get(const moe_weights_set *set)
{
    return &set->weights;
}
