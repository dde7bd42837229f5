/* What the numbers of the tensors domain and modality are called. */
#include "traces/routing_file.h"

#include "traces/json_scan.h"

#include <string.h>

/* ["code", "prose"]: texts that are the file's. */
bool
moe_routing_names_of(moe_routing_file *file, const char *key, uint32_t max,
                     const char *const **names, uint32_t *n_names, moe_diag *diag)
{
    const char *text = moe_routing_meta(file, key);
    if (!text) {
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, file->path)},
                       "metadata '%s' is absent", key);
        return false;
    }
    size_t length = strlen(text);
    char *store = moe_routing_file_buffer(file, length + 1, 1);
    const char **list = moe_routing_file_buffer(file, length / 2 + 1, sizeof *list);
    moe_scan scan = {.begin = text, .at = text, .end = text + length, .store = store};
    uint32_t n = 0;
    bool ok = store && list && moe_scan_texts(&scan, list, max, &n) && moe_scan_end(&scan);
    if (!ok)
        moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, file->path)},
                       "metadata '%s', byte %td: %s; wants a JSON list of texts", key,
                       scan.at - scan.begin, scan.why ? scan.why : "no memory");
    *names = list;
    *n_names = n;
    return ok;
}

bool
moe_routing_names(moe_routing_file *file, moe_diag *diag)
{
    moe_routing *r = &file->routing;
    const char *domains = moe_routing_meta(file, "domains");
    const char *modalities = moe_routing_meta(file, "modalities");
    bool ok = true;
    r->n_domains = r->n_modalities = 0;
    r->domain_names = r->modality_names = NULL;
    if (r->domain && domains)
        ok &= moe_routing_names_of(file, "domains", UINT16_MAX + 1u, &r->domain_names,
                                   &r->n_domains, diag);
    if (r->modality && modalities)
        ok &= moe_routing_names_of(file, "modalities", UINT8_MAX + 1u, &r->modality_names,
                                   &r->n_modalities, diag);
    for (uint64_t i = 0; r->domain && !domains && i < r->n_tokens; i++)
        r->n_domains = MAX(r->n_domains, r->domain[i] + 1u);
    for (uint64_t i = 0; r->modality && !modalities && i < r->n_tokens; i++)
        r->n_modalities = MAX(r->n_modalities, r->modality[i] + 1u);
    return ok;
}
