#include "traces/routing_file.h"

#include "traces/import/import.h"
#include "traces/json_scan.h"
#include "traces/shards.h"

#include <string.h>

/* Opening: the tensors found and their shapes compared, then the shared checks. */
typedef struct routing_reader {
    moe_routing_file *file;
    moe_loc loc;
    moe_diag *diag;
} routing_reader;

/* ---- metadata ---- */

/* A whole number in the metadata; false after a message. `required` or left alone. */
static bool
routing_meta_whole(routing_reader *r, const char *key, bool required, uint64_t max, uint64_t *out)
{
    const char *text = moe_routing_meta(r->file, key);
    if (!text) {
        if (required)
            moe_diag_error(r->diag, r->loc, "metadata '%s' is absent", key);
        return !required;
    }
    moe_scan scan = {.begin = text, .at = text, .end = text + strlen(text)};
    uint64_t value;
    if (!moe_scan_whole(&scan, &value) || !moe_scan_end(&scan) || value < 1 || value > max) {
        moe_diag_error(r->diag, r->loc,
                       "metadata '%s' is '%.40s', not a whole number 1 .. %" G_GUINT64_FORMAT, key,
                       text, max);
        return false;
    }
    *out = value;
    return true;
}

/* "[0, 1, 2]": n_layers ascending numbers. */
static bool
routing_layer_ids(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    const char *text = moe_routing_meta(r->file, "layer_ids");
    if (!text) {
        moe_diag_error(r->diag, r->loc, "metadata 'layer_ids' is absent");
        return false;
    }
    uint32_t *ids = moe_routing_file_buffer(r->file, routing->n_layers, sizeof *ids), n = 0;
    moe_scan scan = {.begin = text, .at = text, .end = text + strlen(text)};
    bool ok = ids && moe_scan_take(&scan, '[');
    while (ok) {
        uint64_t id;
        ok = moe_scan_whole(&scan, &id) &&
             (n < routing->n_layers || moe_scan_fail(&scan, "more layers than expert_ids has")) &&
             (id < MOE_NONE || moe_scan_fail(&scan, "layer number too large")) &&
             (n == 0 || id > ids[n - 1] || moe_scan_fail(&scan, "layers must ascend"));
        if (!ok)
            break;
        ids[n++] = (uint32_t)id;
        if (!moe_scan_maybe(&scan, ','))
            break;
    }
    ok = ok && moe_scan_take(&scan, ']') && moe_scan_end(&scan) &&
         (n == routing->n_layers || moe_scan_fail(&scan, "fewer layers than expert_ids has"));
    if (!ok)
        moe_diag_error(r->diag, r->loc, "metadata 'layer_ids', byte %td: %s", scan.at - scan.begin,
                       scan.why ? scan.why : "no memory");
    routing->layer_ids = ids;
    return ok;
}

/* ---- tensors ---- */

static const void *
routing_data(routing_reader *r, const moe_tensor *tensor)
{
    return moe_routing_data(r->file, tensor, r->diag);
}

/* A per-token tensor of one type; NULL when absent (a message, if required) or wrong. */
static const void *
routing_column(routing_reader *r, const char *name, moe_tensor_type type, bool required)
{
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, name);
    if (!tensor) {
        if (required)
            moe_diag_error(r->diag, r->loc, "tensor %s is absent", name);
        return NULL;
    }
    if (tensor->type == type && tensor->rank == 1 && tensor->shape[0] == r->file->routing.n_tokens)
        return routing_data(r, tensor);
    g_autofree char *shape = moe_tensor_shape_text(tensor);
    moe_diag_error(r->diag, r->loc, "tensor %s: is %s, wants %s [%" G_GUINT64_FORMAT "]", name,
                   shape, moe_tensor_type_name(type), r->file->routing.n_tokens);
    return NULL;
}

/* expert_ids says how many tokens, layers and slots there are. */
static bool
routing_ids(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, "expert_ids");
    uint64_t n_experts;
    if (!tensor) {
        moe_diag_error(r->diag, r->loc, "tensor expert_ids is absent");
        return false;
    }
    if (!routing_meta_whole(r, "experts", true, MOE_ROUTING_MAX_EXPERTS, &n_experts))
        return false;
    g_autofree char *shape = moe_tensor_shape_text(tensor);
    const uint64_t *s = tensor->shape;
    bool narrow = tensor->type == MOE_TENSOR_U8;
    if (tensor->rank != 3 || (!narrow && tensor->type != MOE_TENSOR_U16))
        moe_diag_error(r->diag, r->loc,
                       "tensor expert_ids: is %s, wants U8 or U16 [tokens, layers, k]", shape);
    else if (narrow && n_experts > 254)
        moe_diag_error(r->diag, r->loc, "tensor expert_ids: U8 cannot name %u experts",
                       (uint32_t)n_experts);
    else if (s[0] < 1 || s[0] >= MOE_NONE)
        moe_diag_error(r->diag, r->loc, "tensor expert_ids: %s holds %s tokens", shape,
                       s[0] ? "too many" : "no");
    else if (s[1] < 1 || s[1] > MOE_ROUTING_MAX_LAYERS)
        moe_diag_error(r->diag, r->loc, "tensor expert_ids: %s, but layers must be 1 .. %d", shape,
                       MOE_ROUTING_MAX_LAYERS);
    else if (s[2] < 1 || s[2] > MIN(n_experts, MOE_ROUTING_MAX_K))
        moe_diag_error(r->diag, r->loc, "tensor expert_ids: %s, but k must be 1 .. %u", shape,
                       (uint32_t)MIN(n_experts, MOE_ROUTING_MAX_K));
    else {
        routing->n_tokens = s[0];
        routing->n_layers = (uint32_t)s[1];
        routing->k = (uint32_t)s[2];
        routing->n_experts = (uint32_t)n_experts;
        routing->id_bytes = narrow ? 1 : 2;
        routing->ids = routing_data(r, tensor);
    }
    return routing->ids != NULL;
}

static void
routing_weights(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, "gate_weights");
    if (!tensor)
        return;
    if ((tensor->type != MOE_TENSOR_F32 && tensor->type != MOE_TENSOR_F16) || tensor->rank != 3 ||
        tensor->shape[0] != routing->n_tokens || tensor->shape[1] != routing->n_layers ||
        tensor->shape[2] != routing->k) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(r->diag, r->loc,
                       "tensor gate_weights: is %s, wants F16 or F32 [%" G_GUINT64_FORMAT
                       ", %u, %u] as expert_ids",
                       shape, routing->n_tokens, routing->n_layers, routing->k);
        return;
    }
    routing->weights = moe_routing_floats(r->file, tensor, r->diag);
}

/* The logits stay as they are: they may be larger than all the rest. */
static void
routing_logits(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, "router_logits");
    if (!tensor)
        return;
    if (tensor->type == MOE_TENSOR_F16 && tensor->rank == 3 &&
        tensor->shape[0] == routing->n_tokens && tensor->shape[1] == routing->n_layers &&
        tensor->shape[2] == routing->n_experts) {
        routing->logits = routing_data(r, tensor);
        return;
    }
    g_autofree char *shape = moe_tensor_shape_text(tensor);
    moe_diag_error(r->diag, r->loc,
                   "tensor router_logits: is %s, wants F16 [%" G_GUINT64_FORMAT
                   ", %u, %u] (tokens, layers, experts)",
                   shape, routing->n_tokens, routing->n_layers, routing->n_experts);
}

/* Of two bytes, or of one and then widened. */
static void
routing_domain(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    const moe_tensor *tensor = moe_safetensors_find(r->file->tensors, "domain");
    bool narrow = tensor && tensor->type == MOE_TENSOR_U8;
    const void *data = routing_column(r, "domain", narrow ? MOE_TENSOR_U8 : MOE_TENSOR_U16, false);
    if (!data || !narrow) {
        routing->domain = data;
        return;
    }
    uint16_t *wide = moe_routing_file_buffer(r->file, routing->n_tokens, sizeof *wide);
    if (!wide) {
        moe_diag_error(r->diag, r->loc, "tensor domain: no memory to widen it");
        return;
    }
    for (uint64_t i = 0; i < routing->n_tokens; i++)
        wide[i] = ((const uint8_t *)data)[i];
    routing->domain = wide;
}

/* "lookahead.D": the distance, 0 when the name is another; a message when it is a near miss. */
static uint32_t
routing_distance(routing_reader *r, const char *name)
{
    uint64_t distance;
    if (!g_str_has_prefix(name, "lookahead."))
        return 0;
    const char *number = name + strlen("lookahead.");
    moe_scan scan = {.begin = number, .at = number, .end = number + strlen(number)};
    if (g_str_has_suffix(number, ".weights"))
        scan.end -= strlen(".weights");
    if (*number >= '0' && *number <= '9' && moe_scan_whole(&scan, &distance) &&
        scan.at == scan.end && distance >= 1 && distance < MOE_ROUTING_MAX_LAYERS)
        return *scan.end ? 0 : (uint32_t)distance;
    moe_diag_error(r->diag, r->loc,
                   "tensor %.100s: wants lookahead.D or lookahead.D.weights with a whole D >= 1",
                   name);
    return 0;
}

static void
routing_lookahead(routing_reader *r, const moe_tensor *tensor, uint32_t distance)
{
    moe_routing *routing = &r->file->routing;
    moe_tensor_type type = routing->id_bytes == 1 ? MOE_TENSOR_U8 : MOE_TENSOR_U16;
    uint64_t max_k = MIN(routing->n_experts, MOE_ROUTING_MAX_K);
    if (tensor->type != type || tensor->rank != 3 || tensor->shape[0] != routing->n_tokens ||
        tensor->shape[1] != routing->n_layers || tensor->shape[2] < 1 || tensor->shape[2] > max_k) {
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(r->diag, r->loc,
                       "tensor %s: is %s, wants %s [%" G_GUINT64_FORMAT ", %u, 1 .. %u]",
                       tensor->name, shape, moe_tensor_type_name(type), routing->n_tokens,
                       routing->n_layers, (uint32_t)max_k);
        return;
    }
    if (routing->n_lookahead == MOE_ROUTING_MAX_LOOKAHEAD) {
        moe_diag_error(r->diag, r->loc, "tensor %s: more than %d look-ahead tensors", tensor->name,
                       MOE_ROUTING_MAX_LOOKAHEAD);
        return;
    }
    uint32_t at = routing->n_lookahead++;
    for (; at > 0 && routing->lookahead[at - 1].distance > distance; at--)
        routing->lookahead[at] = routing->lookahead[at - 1];
    routing->lookahead[at] = (moe_lookahead){
        .distance = distance, .k = (uint32_t)tensor->shape[2], .ids = routing_data(r, tensor)};
}

/* lookahead.D.weights of the look-aheads found. */
static void
routing_lookahead_weights(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    for (size_t i = 0; i < moe_safetensors_count(r->file->tensors); i++) {
        const moe_tensor *tensor = moe_safetensors_at(r->file->tensors, i);
        char name[48];
        moe_lookahead *of = NULL;
        if (!g_str_has_prefix(tensor->name, "lookahead.") ||
            !g_str_has_suffix(tensor->name, ".weights"))
            continue;
        for (uint32_t j = 0; j < routing->n_lookahead && !of; j++) {
            g_snprintf(name, sizeof name, "lookahead.%u.weights", routing->lookahead[j].distance);
            of = strcmp(name, tensor->name) == 0 ? &routing->lookahead[j] : NULL;
        }
        if (!of) {
            moe_diag_error(r->diag, r->loc, "tensor %.100s: the tensor of its ids is absent",
                           tensor->name);
            continue;
        }
        if ((tensor->type == MOE_TENSOR_F32 || tensor->type == MOE_TENSOR_F16) &&
            tensor->rank == 3 && tensor->shape[0] == routing->n_tokens &&
            tensor->shape[1] == routing->n_layers && tensor->shape[2] == of->k) {
            of->weights = moe_routing_floats(r->file, tensor, r->diag);
            continue;
        }
        g_autofree char *shape = moe_tensor_shape_text(tensor);
        moe_diag_error(
            r->diag, r->loc,
            "tensor %s: is %s, wants F16 or F32 [%" G_GUINT64_FORMAT ", %u, %u] as lookahead.%u",
            tensor->name, shape, routing->n_tokens, routing->n_layers, of->k, of->distance);
    }
}

/* Everything but the content of the tensors; false after messages. */
static bool
routing_shapes(routing_reader *r)
{
    moe_routing *routing = &r->file->routing;
    unsigned before = moe_diag_errors(r->diag);
    if (!moe_safetensors_expect(r->file->tensors, MOE_ROUTING_FORMAT, MOE_ROUTING_VERSION,
                                "routing trace", r->diag) ||
        !routing_ids(r))
        return false;
    routing_layer_ids(r);
    uint64_t top_k = routing->k;
    if (routing_meta_whole(r, "top_k", false, MOE_ROUTING_MAX_K, &top_k) && top_k != routing->k)
        moe_diag_error(r->diag, r->loc, "metadata 'top_k' is %u, but expert_ids has %u slots",
                       (uint32_t)top_k, routing->k);
    routing->sequence = routing_column(r, "sequence", MOE_TENSOR_U32, true);
    routing->position = routing_column(r, "position", MOE_TENSOR_U32, true);
    routing->phase = routing_column(r, "phase", MOE_TENSOR_U8, true);
    routing->step = routing_column(r, "step", MOE_TENSOR_U32, false);
    routing->modality = routing_column(r, "modality", MOE_TENSOR_U8, false);
    routing->token_id = routing_column(r, "token_id", MOE_TENSOR_U32, false);
    routing_domain(r);
    routing_weights(r);
    routing_logits(r);
    for (size_t i = 0; i < moe_safetensors_count(r->file->tensors); i++) {
        const moe_tensor *tensor = moe_safetensors_at(r->file->tensors, i);
        uint32_t distance = routing_distance(r, tensor->name);
        if (distance)
            routing_lookahead(r, tensor, distance);
    }
    routing_lookahead_weights(r);
    return moe_diag_errors(r->diag) == before && moe_routing_whole(r->file, r->diag);
}

/* A routing over `tensors`, which it takes; NULL after messages. */
static moe_routing_file *
routing_from(moe_safetensors *tensors, moe_diag *diag)
{
    moe_routing_file *file = moe_routing_file_new(moe_safetensors_path(tensors));
    file->tensors = tensors;
    size_t n = moe_safetensors_meta_count(tensors);
    file->meta = g_new(moe_meta, n + 1);
    for (size_t i = 0; i < n; i++) {
        moe_meta *meta = &file->meta[file->n_meta];
        meta->key = moe_safetensors_meta_at(tensors, i, &meta->value);
        file->n_meta +=
            strcmp(meta->key, MOE_SHARDS_WRITE_ID) != 0; /* of the file, not the trace */
    }
    const char *model = moe_routing_meta(file, "model"), *engine = moe_routing_meta(file, "engine");
    file->routing.model = model ? model : "";
    file->routing.engine = engine ? engine : "";

    routing_reader r = {file, {.file = moe_diag_intern(diag, file->path)}, diag};
    bool ok = routing_shapes(&r);
    if (ok) {
        ok = moe_routing_names(file, diag);
        ok &= moe_routing_check(&file->routing, diag) && moe_routing_absent(file, diag);
        ok &= moe_routing_whole_check(file, diag);
        ok &= moe_routing_index(file, diag);
    }
    if (ok)
        return file;
    moe_routing_close(file);
    return NULL;
}

moe_routing_file *
moe_routing_open(const char *path, moe_diag *diag, GError **error)
{
    if (moe_importer_says(path, diag))
        return NULL;
    moe_safetensors *tensors = moe_shards_is_index(path) ? moe_shards_open(path, diag, error)
                                                         : moe_safetensors_open(path, diag, error);
    return tensors ? routing_from(tensors, diag) : NULL;
}

moe_routing_file *
moe_routing_open_memory(const char *name, const void *bytes, size_t n_bytes, moe_diag *diag)
{
    moe_safetensors *tensors = moe_safetensors_parse(name, bytes, n_bytes, diag);
    return tensors ? routing_from(tensors, diag) : NULL;
}
