#include "traces/import/place.h"

#include <stdarg.h>

bool
moe_place_error(const moe_place *place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    bool part = place->part && *place->part;
    moe_diag_error(place->diag, place->loc, "%.200s%s%s", part ? place->part : "", part ? ": " : "",
                   message);
    return false;
}
