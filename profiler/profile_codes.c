#include "profiler/profile.h"

#include <string.h>

const char *const moe_profile_severity_names[] = {"info", "warn", "error"};

#define MOE_PROFILE_CODE(code, severity, says, advice)                                             \
    {#code, MOE_PROFILE_##severity, says, advice},
const moe_profile_code moe_profile_codes[] = {
#include "profiler/profile_codes.def"
    {NULL, MOE_PROFILE_INFO, NULL, NULL},
};

const moe_profile_code *
moe_profile_code_find(const char *code)
{
    for (const moe_profile_code *row = moe_profile_codes; row->code; row++)
        if (strcmp(row->code, code) == 0)
            return row;
    return NULL;
}
