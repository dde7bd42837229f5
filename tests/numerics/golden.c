#include "tests/numerics/golden.h"

#include <stdio.h>

/* The data of tensor PROMPT.NAME, of the type and first dimension, and its shape. */
static const void *
part(const golden *g, uint32_t prompt, const char *name, moe_tensor_type type, uint64_t first,
     const uint64_t **shape)
{
    g_autofree char *full = g_strdup_printf("%u.%s", prompt, name);
    const moe_tensor *t = moe_safetensors_find(g->file, full);

    if (!t || t->type != type || t->rank < 1 || (first && t->shape[0] != first)) {
        printf("%s: %s: absent, or of another type or length\n", moe_safetensors_path(g->file),
               full);
        return NULL;
    }
    *shape = t->shape;
    return t->data;
}

static bool
read_ahead(const golden *g, golden_prompt *p, uint32_t prompt)
{
    const uint64_t *shape;

    for (uint32_t d = 1; d <= g->ahead && d < g->layers; d++) {
        g_autofree char *name = g_strdup_printf("ahead.%u", d);
        p->ahead[d - 1] = part(g, prompt, name, MOE_TENSOR_F32, p->n, &shape);
        if (!p->ahead[d - 1] || shape[1] != g->layers - d || shape[2] != g->experts)
            return false;
    }
    return true;
}

static bool
read_prompt(golden *g, uint32_t prompt)
{
    golden_prompt *p = &g->prompts[prompt];
    const uint64_t *shape;

    if (!(p->tokens = part(g, prompt, "tokens", MOE_TENSOR_I32, 0, &shape)))
        return false;
    p->n = (uint32_t)shape[0];
    p->prompt = p->n - g->decode;
    if (!(p->rows = part(g, prompt, "rows", MOE_TENSOR_I32, 0, &shape)))
        return false;
    p->n_rows = (uint32_t)shape[0];
    if (!(p->logits = part(g, prompt, "logits", MOE_TENSOR_F32, p->n_rows, &shape)))
        return false;
    g->vocab = (uint32_t)shape[1];
    if (!(p->router = part(g, prompt, "router", MOE_TENSOR_F32, p->n, &shape)))
        return false;
    g->layers = (uint32_t)shape[1];
    g->experts = (uint32_t)shape[2];
    if (!(p->weights = part(g, prompt, "weights", MOE_TENSOR_F32, p->n, &shape)) ||
        !(p->ids = part(g, prompt, "ids", MOE_TENSOR_I16, p->n, &shape)))
        return false;
    g->top_k = (uint32_t)shape[2];
    g->longest = MAX(g->longest, p->n);
    return read_ahead(g, p, prompt);
}

static uint32_t
number(const golden *g, const char *key)
{
    const char *text = moe_safetensors_meta(g->file, key);
    return text ? (uint32_t)g_ascii_strtoull(text, NULL, 10) : 0;
}

bool
golden_open(golden *g, const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;

    *g = (golden){.file = moe_safetensors_open(path, diag, &error)};
    if (!g->file) {
        g_autofree char *text = moe_diag_render(diag);
        printf("%s\n", error ? error->message : text);
        return false;
    }
    g->n_prompts = number(g, "prompts");
    g->decode = number(g, "decode");
    g->ahead = number(g, "ahead");
    bool ok = g->n_prompts && g->n_prompts <= GOLDEN_PROMPTS && g->ahead <= GOLDEN_AHEAD;
    for (uint32_t i = 0; ok && i < g->n_prompts; i++)
        ok = read_prompt(g, i);
    if (!ok)
        golden_close(g);
    return ok;
}

void
golden_close(golden *g)
{
    moe_safetensors_close(g->file);
    *g = (golden){0};
}
