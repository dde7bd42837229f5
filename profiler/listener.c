#include "profiler/listener.h"

#include "profiler/inject/moesim_route.h"

#include <dlfcn.h>

struct moe_listener {
    __typeof__(&moesim_tokens) tokens;
    __typeof__(&moesim_route) route;
    uint32_t n_layers, k;
    uint32_t *layer; /* [n_layers]: of the model */
    int32_t *ids;    /* [max_rows, k] */
    float *weights;  /* likewise */
};

/* The library is in the process already, by NVTX or CUDA, or is loaded now; for good. */
static void *
listener_library(void)
{
    const char *folder = g_getenv("MOESIM_CAPTURE"), *path = g_getenv("MOESIM_INJECT_LIB");
    return folder && *folder && path && *path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static void *
listener_find(void *library, const char *name)
{
    return library ? dlsym(library, name) : NULL;
}

static void
listener_describe(const moe_listener *l, const moe_arch *arch, int (*model)(const char *))
{
    const moe_layer *layers = moe_model_decoder(arch->model)->layers;
    g_autoptr(GString) json = g_string_new("{\"engine\": \"moesim " MOE_VERSION "\"");
    g_string_append_printf(json, ", \"experts\": %u, \"top_k\": %u, \"hidden\": %d, \"width\": %d",
                           arch->router.experts, arch->router.top_k, arch->model->hidden,
                           layers[l->layer[0]].ffn.width);
    for (uint32_t i = 0; i < l->n_layers; i++)
        g_string_append_printf(json, "%s%u", i ? ", " : ", \"layers\": [", l->layer[i]);
    g_string_append(json, "]}");
    model(json->str);
}

moe_listener *
moe_listener_new(const moe_arch *arch, uint32_t max_rows)
{
    const moe_stack *stack = moe_model_decoder(arch->model);
    void *library = listener_library();
    int (*model)(const char *);
    g_autoptr(moe_listener) l = g_new0(moe_listener, 1);
    *(void **)&model = listener_find(library, "moesim_model");
    *(void **)&l->tokens = listener_find(library, "moesim_tokens");
    *(void **)&l->route = listener_find(library, "moesim_route");
    if (!model || !l->tokens || !l->route || !stack->n_moe)
        return NULL;
    l->k = arch->router.top_k;
    l->layer = g_new(uint32_t, (gsize)stack->n_moe);
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE)
            l->layer[l->n_layers++] = (uint32_t)i;
    l->ids = g_try_malloc_n((gsize)max_rows * l->k, sizeof *l->ids);
    l->weights = g_try_malloc_n((gsize)max_rows * l->k, sizeof *l->weights);
    if (!l->ids || !l->weights)
        return NULL;
    listener_describe(l, arch, model);
    return g_steal_pointer(&l);
}

void
moe_listener_free(moe_listener *listener)
{
    if (!listener)
        return;
    g_free(listener->layer);
    g_free(listener->ids);
    g_free(listener->weights);
    g_free(listener);
}

void
moe_listener_tell(moe_listener *l, const moe_listener_rows *rows)
{
    int32_t n = (int32_t)rows->n, k = (int32_t)l->k;

    l->tokens(rows->step, 0, n, (const int32_t *)rows->sequence, (const int32_t *)rows->position,
              (const int32_t *)rows->token);
    for (uint32_t layer = 0; layer < l->n_layers; layer++) {
        for (uint32_t row = 0; row < rows->n; row++)
            for (uint32_t j = 0; j < l->k; j++) {
                size_t from = ((size_t)row * l->n_layers + layer) * l->k + j;
                l->ids[row * l->k + j] = rows->ids[from];
                l->weights[row * l->k + j] = rows->weights[from];
            }
        l->route((int32_t)l->layer[layer], rows->step, 0, n, k, l->ids, l->weights);
    }
}
