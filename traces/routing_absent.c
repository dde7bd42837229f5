/* Experts that the model has no more: metadata `absent_experts`. */
#include "traces/json_scan.h"
#include "traces/routing_file.h"

#include <string.h>

/* [0, 3, 7]: the ids that one layer lacks. */
static bool
absent_layer(moe_scan *scan, uint8_t *absent, uint32_t n_experts)
{
    uint64_t id, least = 0;
    if (!moe_scan_take(scan, '['))
        return false;
    if (moe_scan_maybe(scan, ']'))
        return true;
    do {
        if (!moe_scan_whole(scan, &id))
            return false;
        if (id < least || id >= n_experts)
            return moe_scan_fail(scan, "an id out of range or of order");
        absent[id] = 1;
        least = id + 1;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, ']');
}

static bool
absent_parse(moe_scan *scan, uint8_t *absent, uint32_t n_layers, uint32_t n_experts)
{
    bool ok = moe_scan_take(scan, '[');
    for (uint32_t l = 0; ok && l < n_layers; l++) {
        ok = l == 0 || moe_scan_take(scan, ',');
        ok = ok && absent_layer(scan, absent + (size_t)l * n_experts, n_experts);
    }
    return ok && moe_scan_take(scan, ']') && moe_scan_end(scan);
}

/* No token may be routed to an expert that is not there. */
static bool
absent_unused(const moe_routing *r, moe_loc loc, moe_diag *diag)
{
    for (uint64_t t = 0; t < r->n_tokens; t++) {
        for (uint32_t l = 0; l < r->n_layers; l++) {
            const uint8_t *absent = r->absent + (size_t)l * r->n_experts;
            for (uint32_t j = 0; j < r->k; j++) {
                uint32_t id = moe_routing_id(r, t, l, j);
                if (id >= MOE_ROUTING_NOT_RUN)
                    break;
                if (!absent[id])
                    continue;
                moe_diag_error(diag, loc,
                               "tensor expert_ids, token %" G_GUINT64_FORMAT
                               ", layer %u: expert %u, which metadata '" MOE_ROUTING_ABSENT
                               "' says is gone",
                               t, r->layer_ids[l], id);
                return false;
            }
        }
    }
    return true;
}

bool
moe_routing_absent(moe_routing_file *file, moe_diag *diag)
{
    moe_routing *r = &file->routing;
    const char *text = moe_routing_meta(file, MOE_ROUTING_ABSENT);
    moe_loc loc = {.file = moe_diag_intern(diag, file->path)};
    r->absent = NULL;
    if (!text)
        return true;
    uint8_t *absent = moe_routing_file_buffer(file, (uint64_t)r->n_layers * r->n_experts, 1);
    moe_scan scan = {.begin = text, .at = text, .end = text + strlen(text)};
    if (absent)
        memset(absent, 0, (size_t)r->n_layers * r->n_experts);
    if (!absent || !absent_parse(&scan, absent, r->n_layers, r->n_experts)) {
        moe_diag_error(diag, loc,
                       "metadata '" MOE_ROUTING_ABSENT "', byte %td: %s; wants a JSON list of %u "
                       "lists, the ids below %u that each layer lacks, ascending",
                       scan.at - scan.begin, scan.why ? scan.why : "no memory", r->n_layers,
                       r->n_experts);
        return false;
    }
    r->absent = absent;
    return absent_unused(r, loc, diag);
}
