/* A libcuda.so.1 that keeps one promise of the real one: cuInit loads the library that
 * CUDA_INJECTION64_PATH names and calls its InitializeInjection. From then on there is a context.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void *context;

int cuCtxGetCurrent(void **current);
int
cuCtxGetCurrent(void **current)
{
    *current = context;
    return 0;
}

int cuCtxGetDevice(int *device);
int
cuCtxGetDevice(int *device)
{
    *device = 0;
    return 0;
}

int cuInit(unsigned flags);
int
cuInit(unsigned flags)
{
    const char *path = getenv("CUDA_INJECTION64_PATH");
    void *library = path != NULL && *path != '\0' ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *found = library != NULL ? dlsym(library, "InitializeInjection") : NULL;
    int (*initialize)(void);
    memcpy(&initialize, &found, sizeof initialize);
    context = &context;
    return initialize == NULL || initialize() == 0 ? 100 : 0;
}
