/* JSON, strictly: a wrapper of cJSON that refuses what cJSON lets pass (trailing text, deep
 * nesting, duplicate keys, bad UTF-8, NUL bytes, numbers such as 01 or 1-2) and files above 4 MiB.
 * For models/ and profiler/arch.c. */
#ifndef MOE_MODELS_JSON_H
#define MOE_MODELS_JSON_H

#include "sim/base/diag.h"

#include <cjson/cJSON.h>

/* The document, to be freed with cJSON_Delete; NULL after a located error. */
cJSON *moe_json_parse(const char *path, const char *text, size_t length, moe_diag *diag);
/* The same of a file; one that cannot be read sets `error`. */
cJSON *moe_json_load(const char *path, moe_diag *diag, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(cJSON, cJSON_Delete)

#endif
