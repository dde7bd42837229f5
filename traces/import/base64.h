/* Base64, strictly (RFC 4648, section 4): the standard alphabet, padded, nothing in between. */
#ifndef MOE_TRACES_IMPORT_BASE64_H
#define MOE_TRACES_IMPORT_BASE64_H

#include "sim/base/base.h"

/* Decodes in place; *n_out bytes are then at `text`. NULL, or what is wrong with it. */
const char *moe_base64_decode(char *text, size_t n, size_t *n_out);

#endif
