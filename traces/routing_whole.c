/* Tensors of a trace that are not of its tokens: stage times and similarity. And the data of any
 * tensor, where it can be read as an array. */
#include "traces/routing_file.h"

#include <math.h>
#include <string.h>

static moe_loc
whole_loc(const moe_routing_file *file, moe_diag *diag)
{
    return (moe_loc){.file = moe_diag_intern(diag, file->path)};
}

/* ---- data ---- */

const void *
moe_routing_data(moe_routing_file *file, const moe_tensor *tensor, moe_diag *diag)
{
    if (moe_tensor_aligned(tensor))
        return tensor->data;
    void *copy = moe_routing_file_buffer(file, tensor->bytes, 1);
    if (!copy) {
        moe_diag_error(diag, whole_loc(file, diag), "tensor %s: no memory for a copy",
                       tensor->name);
        return NULL;
    }
    memcpy(copy, tensor->data, tensor->bytes);
    return copy;
}

const float *
moe_routing_floats(moe_routing_file *file, const moe_tensor *tensor, moe_diag *diag)
{
    const void *data = moe_routing_data(file, tensor, diag);
    if (!data || tensor->type == MOE_TENSOR_F32)
        return data;
    float *wide = moe_routing_file_buffer(file, tensor->n_elements, sizeof *wide);
    if (!wide) {
        moe_diag_error(diag, whole_loc(file, diag), "tensor %s: no memory to widen it",
                       tensor->name);
        return NULL;
    }
    for (uint64_t i = 0; i < tensor->n_elements; i++)
        wide[i] = moe_routing_f16(((const uint16_t *)data)[i]);
    return wide;
}

/* ---- shapes ---- */

static void
whole_times(moe_routing_file *file, moe_diag *diag)
{
    moe_routing *r = &file->routing;
    const moe_tensor *tensor = moe_safetensors_find(file->tensors, MOE_ROUTING_TIMES);
    uint32_t least = r->layer_ids[r->n_layers - 1] + 1;
    if (!tensor)
        return;
    const uint64_t *s = tensor->shape;
    if (tensor->type != MOE_TENSOR_F32 || tensor->rank != 3 || s[0] < 1 || s[0] >= MOE_NONE ||
        s[1] < least || s[1] > MOE_ROUTING_MAX_LAYERS || s[2] < 1 ||
        s[2] > MOE_ROUTING_MAX_STAGES) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(diag, whole_loc(file, diag),
                       "tensor " MOE_ROUTING_TIMES
                       ": is %s, wants F32 [steps, layers, stages] with layers %u .. %d, those of "
                       "the model, and stages 1 .. %d",
                       shape, least, MOE_ROUTING_MAX_LAYERS, MOE_ROUTING_MAX_STAGES);
        return;
    }
    r->n_time_steps = (uint32_t)s[0];
    r->n_time_layers = (uint32_t)s[1];
    r->n_stages = (uint32_t)s[2];
    r->times = moe_routing_data(file, tensor, diag);
}

static void
whole_similarity(moe_routing_file *file, moe_diag *diag)
{
    moe_routing *r = &file->routing;
    const moe_tensor *tensor = moe_safetensors_find(file->tensors, MOE_ROUTING_SIMILARITY);
    if (!tensor)
        return;
    if (tensor->type != MOE_TENSOR_F32 || tensor->rank != 2 || tensor->shape[0] != r->n_layers ||
        tensor->shape[1] < 1 || tensor->shape[1] > MOE_ROUTING_MAX_LAYERS) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(diag, whole_loc(file, diag),
                       "tensor " MOE_ROUTING_SIMILARITY ": is %s, wants F32 [%u, 1 .. %d] (layers, "
                       "distances)",
                       shape, r->n_layers, MOE_ROUTING_MAX_LAYERS);
        return;
    }
    r->n_similarity = (uint32_t)tensor->shape[1];
    r->similarity = moe_routing_data(file, tensor, diag);
}

bool
moe_routing_whole(moe_routing_file *file, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    whole_times(file, diag);
    whole_similarity(file, diag);
    return moe_diag_errors(diag) == before;
}

/* ---- content ---- */

#define WHOLE_WORD "abcdefghijklmnopqrstuvwxyz0123456789_-"

static bool
whole_check_stages(moe_routing_file *file, moe_diag *diag)
{
    moe_routing *r = &file->routing;
    uint32_t n;
    if (!moe_routing_names_of(file, MOE_ROUTING_STAGES, MOE_ROUTING_MAX_STAGES, &r->stage_names, &n,
                              diag))
        return false;
    if (n != r->n_stages) {
        moe_diag_error(diag, whole_loc(file, diag),
                       "metadata '" MOE_ROUTING_STAGES "' names %u stages, but " MOE_ROUTING_TIMES
                       " has %u",
                       n, r->n_stages);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t length = strlen(r->stage_names[i]);
        if (length >= 1 && length <= 16 && strspn(r->stage_names[i], WHOLE_WORD) == length)
            continue;
        moe_diag_error(diag, whole_loc(file, diag),
                       "metadata '" MOE_ROUTING_STAGES "': stage %u is no word of at most 16 "
                       "letters a-z, digits, '_' or '-'",
                       i);
        return false;
    }
    return true;
}

/* Each token's step is one that was timed. */
static bool
whole_check_steps(moe_routing_file *file, moe_diag *diag)
{
    const moe_routing *r = &file->routing;
    if (!r->step) {
        moe_diag_error(diag, whole_loc(file, diag),
                       "tensor " MOE_ROUTING_TIMES ": of steps, but tensor step is absent");
        return false;
    }
    for (uint64_t i = 0; i < r->n_tokens; i++) {
        if (MOE_LIKELY(r->step[i] < r->n_time_steps))
            continue;
        moe_diag_error(diag, whole_loc(file, diag),
                       "tensor step, token %" G_GUINT64_FORMAT ": %u, but " MOE_ROUTING_TIMES
                       " has %u steps",
                       i, r->step[i], r->n_time_steps);
        return false;
    }
    return true;
}

static bool
whole_check_times(moe_routing_file *file, moe_diag *diag)
{
    const moe_routing *r = &file->routing;
    uint64_t layer = r->n_stages, step = layer * r->n_time_layers, n = step * r->n_time_steps;
    uint32_t errors = 0;
    for (uint64_t i = 0; i < n && errors < MOE_ROUTING_MAX_ERRORS; i++) {
        if (MOE_LIKELY(r->times[i] >= 0 && isfinite(r->times[i])))
            continue;
        moe_diag_error(diag, whole_loc(file, diag),
                       "tensor " MOE_ROUTING_TIMES ", step %" G_GUINT64_FORMAT ", layer %u: stage "
                       "%u is no time",
                       i / step, (uint32_t)(i % step / layer), (uint32_t)(i % layer));
        errors++;
    }
    return errors == 0;
}

/* A cosine for each distance that leads to a layer, NaN for the others. */
static bool
whole_check_similarity(moe_routing_file *file, moe_diag *diag)
{
    const moe_routing *r = &file->routing;
    uint32_t errors = 0;
    for (uint32_t l = 0; l < r->n_layers; l++) {
        for (uint32_t d = 1; d <= r->n_similarity && errors < MOE_ROUTING_MAX_ERRORS; d++) {
            float value = r->similarity[(size_t)l * r->n_similarity + d - 1];
            if (l < d ? isnan(value) : value >= -1 && value <= 1)
                continue;
            moe_diag_error(diag, whole_loc(file, diag),
                           "tensor " MOE_ROUTING_SIMILARITY ", layer %u, distance %u: wants %s", l,
                           d, l < d ? "NaN, as there is no such layer" : "a cosine, -1 .. 1");
            errors++;
        }
    }
    return errors == 0;
}

bool
moe_routing_whole_check(moe_routing_file *file, moe_diag *diag)
{
    bool ok = true;
    if (file->routing.times)
        ok = whole_check_stages(file, diag) && whole_check_steps(file, diag) &&
             whole_check_times(file, diag);
    if (file->routing.similarity)
        ok &= whole_check_similarity(file, diag);
    return ok;
}
