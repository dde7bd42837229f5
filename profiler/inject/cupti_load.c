#include "profiler/inject/cupti_api.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/inject/hello.h"
#include "profiler/inject/say.h"

enum { MOST_PATH = 1024, MOST_LISTED = 600 };

moe_cupti_api moe_cupti;

static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
enum { N_NAMES = sizeof names / sizeof *names };

const char *
moe_cupti_words(CUptiResult result)
{
    const char *words = NULL;
    if (moe_cupti.cuptiGetResultString == NULL ||
        moe_cupti.cuptiGetResultString(result, &words) != CUPTI_SUCCESS || words == NULL)
        words = "unknown result";
    return words;
}

/* Libraries of the process whose file's name begins so. */
typedef struct lookup {
    const char *prefix;
    int n;
    char first[MOST_PATH];
    char all[MOST_LISTED];
} lookup;

static int
look(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    lookup *found = data;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *file = slash != NULL ? slash + 1 : info->dlpi_name;
    if (strncmp(file, found->prefix, strlen(found->prefix)) != 0)
        return 0;
    if (found->n++ == 0)
        snprintf(found->first, sizeof found->first, "%s", info->dlpi_name);
    size_t used = strlen(found->all);
    snprintf(found->all + used, sizeof found->all - used, "%s%s", used > 0 ? ", " : "",
             info->dlpi_name);
    return 0;
}

static lookup
look_for(const char *prefix)
{
    lookup found = {.prefix = prefix};
    dl_iterate_phdr(look, &found);
    return found;
}

static void *
open_present(void)
{
    lookup found = look_for("libcupti.so");
    return found.n > 0 ? dlopen(found.first, RTLD_NOW | RTLD_NOLOAD) : NULL;
}

static void *
open_in(const char *folder, const char *below)
{
    for (int i = 0; i < N_NAMES; i++) {
        char path[MOST_PATH + 64];
        int n = snprintf(path, sizeof path, "%s/%s%s", folder, below, names[i]);
        void *library = n > 0 && (size_t)n < sizeof path ? dlopen(path, RTLD_NOW) : NULL;
        if (library != NULL)
            return library;
    }
    return NULL;
}

/* Where the program's own libcudart lies, wheels of Python included. */
static void *
open_beside_runtime(void)
{
    lookup runtime = look_for("libcudart.so");
    char *slash = runtime.n > 0 ? strrchr(runtime.first, '/') : NULL;
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    static const char *const places[] = {"", "../../cuda_cupti/lib/", "../extras/CUPTI/lib64/"};
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof places / sizeof *places; i++)
        library = open_in(runtime.first, places[i]);
    return library;
}

static void *
open_of_system(void)
{
    void *library = NULL;
    for (int i = 0; library == NULL && i < N_NAMES; i++)
        library = dlopen(names[i], RTLD_NOW);
    if (library == NULL)
        library = open_in(MOE_INJECT_CUPTI_FOLDER, "");
    const char *const roots[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    static const char *const places[] = {"extras/CUPTI/lib64/", "lib64/", "lib/"};
    for (size_t i = 0; library == NULL && i < sizeof roots / sizeof *roots; i++)
        for (size_t j = 0; library == NULL && roots[i] != NULL && j < 3; j++)
            library = open_in(roots[i], places[j]);
    return library;
}

static void *
open_any(const char *path)
{
    void *library = open_present();
    if (library == NULL && path != NULL && *path != '\0') {
        library = dlopen(path, RTLD_NOW);
        if (library == NULL)
            moe_say(MOE_RAW_WARN, "cupti_failed", "MOESIM_CUPTI_LIB: %s", dlerror());
    }
    if (library == NULL)
        library = open_beside_runtime();
    return library != NULL ? library : open_of_system();
}

static bool
find_all(void *library)
{
    const char *lacking = NULL;
#define FIND(name, required)                                                                       \
    do {                                                                                           \
        void *found = dlsym(library, #name);                                                       \
        memcpy(&moe_cupti.name, &found, sizeof found);                                             \
        if (found == NULL && required)                                                             \
            lacking = #name;                                                                       \
        if (found == NULL && !required)                                                            \
            moe_note("CUPTI has no " #name);                                                       \
    } while (0);
    MOE_CUPTI_FUNCTIONS(FIND)
    FIND(cuptiSubscribe_v2, false)
#undef FIND
    if (moe_cupti.cuptiSubscribe == NULL && moe_cupti.cuptiSubscribe_v2 == NULL)
        lacking = "cuptiSubscribe";
    if (lacking != NULL)
        moe_say(MOE_RAW_ERROR, "cupti_failed", "the CUPTI library has no %s: it is not used",
                lacking);
    return lacking == NULL;
}

static void
tell_path(void)
{
    Dl_info info;
    void *inside;
    memcpy(&inside, &moe_cupti.cuptiGetVersion, sizeof inside);
    if (dladdr(inside, &info) != 0 && info.dli_fname != NULL)
        moe_hello_add("cupti_path", info.dli_fname);
}

static bool
load(const char *path)
{
    void *library = open_any(path);
    if (library == NULL) {
        moe_hello_add("cupti", "absent");
        moe_say(MOE_RAW_ERROR, "cupti_absent",
                "no libcupti was found (MOESIM_CUPTI_LIB may name one): no kernels are recorded");
        return false;
    }
    if (!find_all(library)) {
        moe_hello_add("cupti", "incomplete");
        return false;
    }
    tell_path();
    if (moe_cupti.cuptiGetVersion(&moe_cupti.version) != CUPTI_SUCCESS)
        moe_cupti.version = 0;
    moe_cupti_count();
    return true;
}

bool
moe_cupti_load(const char *path)
{
    static bool tried, loaded; /* modules start one after another */
    if (!tried)
        loaded = load(path);
    tried = true;
    return loaded;
}

void
moe_cupti_count(void)
{
    static bool told;
    lookup found = look_for("libcupti.so");
    if (found.n > 1 && !told)
        moe_say(MOE_RAW_WARN, "cupti_two", "the process has %d CUPTI libraries: %s", found.n,
                found.all);
    told = told || found.n > 1;
}
