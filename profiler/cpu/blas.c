#include "profiler/cpu/blas.h"

#include "profiler/cpu/kernels.h"

#include <dlfcn.h>
#include <glib.h>
#include <string.h>

#ifndef MOE_BLAS_LIBRARY
#define MOE_BLAS_LIBRARY ""
#endif

/* As in cblas.h. */
enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };
typedef void blas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                        const float *a, int lda, const float *b, int ldb, float beta, float *c,
                        int ldc);
typedef char *blas_text(void);

typedef struct blas {
    void *library;
    blas_sgemm *sgemm;
    char *name; /* NULL: there is none */
} blas;

/* A function of the library; through memory, as ISO C has no cast from data to code. */
static bool
find(void *library, const char *symbol, void *function)
{
    void *address = dlsym(library, symbol);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* Sets an environment variable for the time that a library is loaded, unless the user has. */
static bool
lend_variable(const char *name, const char *value)
{
    return value && !g_getenv(name) && g_setenv(name, value, FALSE);
}

/* OpenBLAS reads its environment when it is loaded. It would start threads; ours share the work. */
static bool
load(blas *b, const char *core)
{
    bool threads = lend_variable("OPENBLAS_NUM_THREADS", "1");
    bool lent = lend_variable("OPENBLAS_CORETYPE", core);
    b->library = dlopen(MOE_BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (threads)
        g_unsetenv("OPENBLAS_NUM_THREADS");
    if (lent)
        g_unsetenv("OPENBLAS_CORETYPE");
    return b->library && find(b->library, "cblas_sgemm", &b->sgemm);
}

/* The kernels that OpenBLAS chose; NULL: another library. */
static const char *
core_of(const blas *b)
{
    blas_text *core;
    return find(b->library, "openblas_get_corename", &core) ? core() : NULL;
}

/* A processor newer than the library is taken for one of 2004, and computes more slowly than plain
 * C built for wide vectors. */
static bool
mistaken(const blas *b)
{
    const char *core = core_of(b);
    return core && !strcmp(core, "Prescott") && moe_kernels_best() != &moe_kernels_plain;
}

static char *
describe(const blas *b)
{
    blas_text *config;
    const char *core = core_of(b);
    if (!core || !find(b->library, "openblas_get_config", &config))
        return g_path_get_basename(MOE_BLAS_LIBRARY);
    g_auto(GStrv) words = g_strsplit(config(), " ", 3); /* "OpenBLAS 0.3.21 NO_LAPACKE ..." */
    return g_strdup_printf("%s %s, %s", words[0], words[0] && words[1] ? words[1] : "", core);
}

static void
close_library(blas *b)
{
    if (b->library)
        dlclose(b->library);
    b->library = NULL;
}

static blas
open_blas(void)
{
    blas b = {0};
    bool wide = !strcmp(moe_kernels_best()->name, "avx512");
    bool ok = *MOE_BLAS_LIBRARY && load(&b, NULL);
    if (ok && mistaken(&b)) {
        close_library(&b);
        ok = load(&b, wide ? "SkylakeX" : "Haswell") && !mistaken(&b);
    }
    if (ok)
        b.name = describe(&b);
    else
        close_library(&b);
    return b;
}

static const blas *
get_blas(void)
{
    static blas once;
    static gsize done;
    if (g_once_init_enter(&done)) {
        once = open_blas();
        g_once_init_leave(&done, 1);
    }
    return &once;
}

const char *
moe_blas_name(void)
{
    return get_blas()->name;
}

void
moe_blas_multiply(const float *x, size_t x_stride, uint32_t rows, const float *w, uint32_t outputs,
                  uint32_t cols, float *y, size_t y_stride)
{
    get_blas()->sgemm(ROW_MAJOR, AS_IS, TRANSPOSED, (int)rows, (int)outputs, (int)cols, 1, x,
                      (int)x_stride, w, (int)cols, 0, y, (int)y_stride);
}
