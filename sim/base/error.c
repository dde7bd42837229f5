#include "sim/base/error.h"

#include <stdarg.h>

GQuark
moe_error_quark(void)
{
    return g_quark_from_static_string("moe-error");
}

void
moe_error_path(GError **error, moe_error_code code, const char *path, int errnum, const char *fmt,
               ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *what = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (errnum)
        g_set_error(error, MOE_ERROR, (int)code, "%s: %s: %s", path, what, g_strerror(errnum));
    else
        g_set_error(error, MOE_ERROR, (int)code, "%s: %s", path, what);
}
