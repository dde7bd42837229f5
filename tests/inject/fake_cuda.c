/* A libcuda.so.1 that keeps one promise of the real one: cuInit loads the library that
 * CUDA_INJECTION64_PATH names and calls its InitializeInjection. From then on there is a context.
 * Behaviour by environment: FAKE_CUINIT, what cuInit says (0); FAKE_DRIVER, its version (13000);
 * FAKE_DEVICES (1). */
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

static int
number(const char *variable, int otherwise)
{
    const char *value = getenv(variable);
    return value != NULL ? (int)strtol(value, NULL, 10) : otherwise;
}

int cuDriverGetVersion(int *version);
int
cuDriverGetVersion(int *version)
{
    *version = number("FAKE_DRIVER", 13000);
    return 0;
}

int cuDeviceGetCount(int *count);
int
cuDeviceGetCount(int *count)
{
    *count = number("FAKE_DEVICES", 1);
    return 0;
}

int cuDeviceGet(int *device, int ordinal);
int
cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return 0;
}

int cuDeviceGetName(char *name, int length, int device);
int
cuDeviceGetName(char *name, int length, int device)
{
    (void)device;
    strncpy(name, "Fake GPU", (size_t)length);
    return 0;
}

int cuInit(unsigned flags);
int
cuInit(unsigned flags)
{
    const char *path = getenv("CUDA_INJECTION64_PATH");
    int result = number("FAKE_CUINIT", 0);
    if (result != 0 || path == NULL || *path == '\0')
        return result;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = library != NULL ? dlsym(library, "InitializeInjection") : NULL;
    int (*initialize)(void);
    memcpy(&initialize, &found, sizeof initialize);
    context = &context;
    return initialize == NULL || initialize() == 0 ? 100 : 0;
}
