/* From nodes to values, and the words for what is wrong with them. `name` is what messages call a
 * row: the last component of its key. */
#ifndef MOE_BASE_PARAM_CONVERT_H
#define MOE_BASE_PARAM_CONVERT_H

#include "sim/base/param_internal.h"

typedef struct moe_param_origin {
    const char *basis, *source, *note; /* NULL: unsaid */
} moe_param_origin;

/* A scalar node's value, in range. False after a located error. */
bool moe_param_convert(const moe_param *row, const char *name, const moe_yaml *node,
                       moe_param_value *value, moe_diag *diag);
/* The value of {value, basis, source, note}; NULL after a located error. */
const moe_yaml *moe_param_unwrap(const moe_param *row, const char *name, const moe_yaml *node,
                                 moe_param_origin *origin, moe_diag *diag);
/* "'experts' wants a map, got a list" */
void moe_param_wrong_kind(const char *name, const char *wants, const moe_yaml *node,
                          moe_diag *diag);
/* "unknown scope 'modle'; did you mean 'model'?" */
void moe_param_unknown_name(const moe_param *row, const char *name, const moe_yaml *node,
                            moe_diag *diag);
/* "unknown key 'sede'; did you mean 'seed'?" for a key of a map; choice: of that section. */
void moe_param_unknown_key(const moe_param_scope *scope, const char *section,
                           const moe_param *choice, const moe_yaml *key, moe_diag *diag);
/* The same for a dotted key. */
void moe_param_unknown_path(const moe_settings *settings, const char *key, const moe_yaml *node,
                            moe_diag *diag);

#endif
