/* A YAML text before libyaml sees it: checked character by character, and a cursor that turns
 * libyaml's character offsets into bytes. */
#ifndef MOE_BASE_YAML_SOURCE_H
#define MOE_BASE_YAML_SOURCE_H

#include "sim/base/diag.h"

typedef struct moe_yaml_source {
    const char *file;
    const char *text; /* without a byte order mark */
    size_t length;
    size_t index, byte; /* cursor: the same place in characters and bytes */
} moe_yaml_source;

void moe_yaml_source_init(moe_yaml_source *source, const char *file, const char *text,
                          size_t length);

/* False after a located error: not UTF-8, a NUL byte, a control character, or a line separator
 * that editors do not count as a line's end. Only the first is reported. */
bool moe_yaml_source_check(const moe_yaml_source *source, moe_diag *diag);

/* Characters from offset `start` to `end`, or to the end of start's line if that is earlier,
 * trailing spaces not counted. Offsets in characters; cheap while starts do not decrease. */
int moe_yaml_source_length(moe_yaml_source *source, size_t start, size_t end);

#endif
