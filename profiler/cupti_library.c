#include "profiler/cupti_library.h"

#include "sim/base/base.h"

#include <dlfcn.h>
#include <glib.h>

/* What moesim was built with. */
#ifndef MOE_CUDA_TOOLKIT
#define MOE_CUDA_TOOLKIT "/usr/local/cuda"
#endif
#ifndef MOE_CUPTI_LIBRARY
#define MOE_CUPTI_LIBRARY ""
#endif

/* Takes the path. */
static void *
try(char *path, char **tried)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    g_free(*tried);
    *tried = path;
    return library;
}

static void *
search(char **tried)
{
    static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
    static const char *const places[] = {"extras/CUPTI/lib64", "lib64", "lib"};
    const char *const roots[] = {g_getenv("CUDA_HOME"), g_getenv("CUDA_PATH"), MOE_CUDA_TOOLKIT};
    const char *named = g_getenv("MOESIM_CUPTI_LIB");
    void *library = NULL;

    if (named && *named)
        return try(g_strdup(named), tried);
    for (size_t n = 0; n < MOE_COUNT(names) && !library; n++)
        library = try(g_strdup(names[n]), tried);
    for (size_t i = 0; i < MOE_COUNT(roots) * MOE_COUNT(places) * MOE_COUNT(names) && !library;
         i++) {
        size_t n = i % MOE_COUNT(names), place = i / MOE_COUNT(names) % MOE_COUNT(places);
        const char *root = roots[i / MOE_COUNT(names) / MOE_COUNT(places)];
        if (root && *root)
            library = try(g_build_filename(root, places[place], names[n], NULL), tried);
    }
    if (!library && *MOE_CUPTI_LIBRARY)
        library = try(g_strdup(MOE_CUPTI_LIBRARY), tried);
    return library;
}

void *
moe_cupti_open(char **path)
{
    g_autofree char *tried = NULL;
    void *library = search(&tried);

    if (path)
        *path = g_steal_pointer(&tried);
    return library;
}
