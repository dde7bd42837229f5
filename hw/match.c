/* Which preset describes a device that a driver or a table names. */
#include "hw/hardware.h"

#include <string.h>

/* Spelling does not tell devices apart: "NVIDIA A100-SXM4-80GB", "nvidia a100 sxm4 80gb". */
static char
letter(char c)
{
    return c == '-' || c == '_' ? ' ' : g_ascii_tolower(c);
}

static bool
same(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if (!b[i] || letter(a[i]) != letter(b[i]))
            return false;
    return !b[n];
}

bool
moe_device_matches(const moe_device *device, const char *name)
{
    const char *at = device->matches;

    while (at && *at) {
        size_t n = strcspn(at, "|");
        if (n && same(at, n, name))
            return true;
        at += n + (at[n] == '|');
    }
    return false;
}
