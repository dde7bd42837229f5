/* How arrays make layers: by the numbers in their names, or by one of their axes. */
#include "traces/import/bundle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_SAMPLE 64u /* rows along each axis whose overlap is looked at */

bool
moe_name_number(const char *name, uint32_t *number)
{
    const char *end = name + strlen(name);
    while (end > name && !g_ascii_isdigit(end[-1]))
        end--;
    const char *at = end;
    while (at > name && g_ascii_isdigit(at[-1]))
        at--;
    uint64_t value = 0;
    for (const char *c = at; c < end && value < MOE_NONE; c++)
        value = value * 10 + (uint64_t)(*c - '0');
    *number = (uint32_t)MIN(value, (uint64_t)MOE_NONE);
    return at < end && value < MOE_NONE;
}

typedef struct layers_named {
    uint32_t number;
    moe_array array;
} layers_named;

static int
layers_by_number(const void *a, const void *b)
{
    const layers_named *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

bool
moe_order_layers(moe_array *arrays, size_t n, uint32_t *numbers)
{
    g_autofree layers_named *named = g_new(layers_named, n + 1);
    for (size_t i = 0; i < n; i++) {
        named[i].array = arrays[i];
        if (!moe_name_number(arrays[i].name, &named[i].number))
            return false;
    }
    qsort(named, n, sizeof *named, layers_by_number);
    for (size_t i = 1; i < n; i++)
        if (named[i].number == named[i - 1].number)
            return false;
    for (size_t i = 0; i < n; i++) {
        arrays[i] = named[i].array;
        numbers[i] = named[i].number;
    }
    return true;
}

/* ---- axes ---- */

/* The ids at [a, b], or false when there are none (empty, never written). */
static bool
layers_row(const moe_array *array, uint64_t a, uint64_t b, int32_t *ids)
{
    moe_array plane;
    bool some = false;
    moe_array_at(array, 0, a, &plane);
    moe_array_ints(&plane, b, ids);
    for (uint64_t j = 0; j < array->shape[2]; j++)
        some |= ids[j] > 0;
    return some;
}

static uint32_t
layers_shared(const int32_t *x, const int32_t *y, uint32_t k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < k; i++) {
        uint32_t j = 0;
        while (j < k && x[i] != y[j])
            j++;
        n += j < k && x[i] >= 0;
    }
    return n;
}

/* The share of experts that neighbours along an axis have in common, and of how many. */
static double
layers_overlap(const moe_array *array, uint32_t axis, double *n_out)
{
    uint32_t k = (uint32_t)array->shape[2];
    g_autofree int32_t *x = g_new(int32_t, k), *y = g_new(int32_t, k);
    uint64_t na = array->shape[0], nb = array->shape[1], shared = 0, n = 0;
    uint64_t step_a = MAX(na / LAYERS_SAMPLE, 1), step_b = MAX(nb / LAYERS_SAMPLE, 1);
    uint64_t da = axis == 0, db = axis == 1;
    for (uint64_t a = 0; a + da < na; a += step_a) {
        for (uint64_t b = 0; b + db < nb; b += step_b) {
            if (!layers_row(array, a, b, x) || !layers_row(array, a + da, b + db, y))
                continue;
            shared += layers_shared(x, y, k);
            n += k;
        }
    }
    *n_out = (double)n;
    return n ? (double)shared / (double)n : 0;
}

static void
layers_by_overlap(const moe_import_job *job, const moe_array *array, uint32_t *axis)
{
    double n0, n1, p0 = layers_overlap(array, 0, &n0), p1 = layers_overlap(array, 1, &n1);
    double p = (p0 + p1) / 2, n = MIN(n0, n1);
    double doubt = n > 0 ? 4 * sqrt(2 * p * (1 - p) / n) : 1;
    *axis = p1 - p0 > doubt ? 0 : 1;
    if (fabs(p1 - p0) <= doubt) {
        if (array->shape[0] != 1 && array->shape[1] != 1)
            moe_import_note(job, "axes taken as [tokens, layers, k]; --layers says otherwise");
        return;
    }
    if (*axis == 0)
        moe_import_note(
            job,
            "axes are [layers, tokens, k], as neighbours along the second share %.3f of "
            "their experts, along the first %.3f",
            p1, p0);
}

/* Bit a: axis a may count layers, as all arrays have the same number of them and one that is
 * known. */
static unsigned
layers_possible(const moe_import_job *job, const moe_array *const *arrays, size_t n)
{
    const moe_import_options *o = job->options;
    uint64_t all = 0, some = 0;
    if (o->model) {
        const moe_stack *stack = moe_model_decoder(o->model);
        all = (uint64_t)stack->n_layers;
        some = (uint64_t)stack->n_moe;
    }
    unsigned possible = 3;
    for (uint32_t axis = 0; axis < 2; axis++) {
        uint64_t count = arrays[0]->shape[axis];
        bool fits = count <= MOE_ROUTING_MAX_LAYERS;
        for (size_t i = 1; i < n; i++)
            fits &= arrays[i]->shape[axis] == count;
        fits &= !o->layers || count == o->layers || (all && count == all);
        fits &= !all || count == all || count == some;
        possible &= fits ? 3u : ~(1u << axis);
    }
    return possible;
}

/* No axis counts layers: what the model has, or why. */
static bool
layers_none(const moe_import_job *job, const char *text, size_t n, const moe_place *place)
{
    const moe_model *model = job->options->model;
    const moe_stack *stack = model ? moe_model_decoder(model) : NULL;
    const moe_ffn *ffn = NULL;
    for (int i = 0; stack && !ffn && i < stack->n_layers; i++)
        ffn = stack->layers[i].ffn.kind == MOE_FFN_MOE ? &stack->layers[i].ffn : NULL;
    if (ffn && n == 1)
        return moe_place_error(place,
                               "%s: neither the first nor the second axis counts layers, of which "
                               "%s has %d, %d with experts, top-%d; another model's routing?",
                               text, model->name, stack->n_layers, stack->n_moe, ffn->top_k);
    return moe_place_error(place,
                           "%s: neither the first nor the second axis counts layers (%s); two "
                           "models, or another model's routing",
                           text, n > 1 ? "the arrays differ in both" : "--layers, --model");
}

bool
moe_layer_axis(const moe_import_job *job, const moe_array *const *arrays, size_t n,
               const moe_place *place, uint32_t *axis)
{
    unsigned possible = layers_possible(job, arrays, n);
    g_autofree char *text = moe_array_text(arrays[0]);
    *axis = possible == 1 ? 0 : 1;
    if (possible == 0)
        return layers_none(job, text, n, place);
    if (possible < 3 && n > 1 && !job->options->layers && !job->options->model)
        moe_import_note(
            job,
            "axes taken as %s, as the %zu arrays have the same number (%" G_GUINT64_FORMAT
            ") along that of layers only; --layers says otherwise",
            *axis ? "[tokens, layers, k]" : "[layers, tokens, k]", n, arrays[0]->shape[*axis]);
    if (possible == 3 && moe_array_is_whole(arrays[0]))
        layers_by_overlap(job, arrays[0], axis);
    else if (possible == 3)
        return moe_place_error(place, "%s: which axis counts layers? --layers says it", text);
    return true;
}
