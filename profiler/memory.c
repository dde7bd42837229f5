#include "profiler/memory.h"

#include <glib.h>
#include <string.h>

uint64_t
moe_memory_available(void)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
        return UINT64_MAX;
    const char *line = strstr(text, "MemAvailable:");
    uint64_t kib = line ? g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) : 0;
    return kib ? kib * 1024 : UINT64_MAX;
}
