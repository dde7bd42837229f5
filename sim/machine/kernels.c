/* For what a run wants kernels, and what stands in where its library has none. */
#include "sim/machine/kernels.h"

#include "hw/cost_attention.h"
#include "sim/machine/attend.h"

/* ---- for what ---- */

static const char *
kernel_type(int dtype, const char *native, double activation_bits)
{
    int type = moe_kernel_dtype_for(moe_config_dtype(dtype, native), activation_bits);
    return type >= 0 ? moe_kernel_dtype_name(type) : NULL;
}

moe_precision
moe_lowering_precision(const moe_model *model, const moe_config *config)
{
    double activations = moe_config_bits(config->precision.activations, model->weight_bits);
    return (moe_precision){
        .weights = moe_config_bits(config->precision.weights, model->weight_bits),
        .experts = moe_config_bits(config->precision.experts, model->expert_bits),
        .kv = moe_config_bits(config->precision.kv, model->weight_bits),
        .activations = activations,
        .weight_kernels = kernel_type(config->precision.weights, model->weight_dtype, activations),
        .expert_kernels = kernel_type(config->precision.experts, model->expert_dtype, activations),
    };
}

moe_kernel_wanted
moe_wanted_experts(const moe_precision *bits, const moe_ffn *ffn)
{
    return (moe_kernel_wanted){
        .dtype = bits->expert_kernels,
        .weight_bits = bits->experts,
        .activation_bits = bits->activations,
        .experts = ffn->experts,
        .width = ffn->width,
    };
}

static moe_kernel_wanted
wanted_products(const moe_precision *bits, const moe_model *model)
{
    return (moe_kernel_wanted){
        .dtype = bits->weight_kernels,
        .weight_bits = bits->weights,
        .activation_bits = bits->activations,
        .m = 1,
        .n = model->hidden,
        .k = model->hidden,
    };
}

/* ---- what stands in ---- */

/* What a family's work went to: name NULL for the device's own numbers. */
typedef struct taken {
    const char *what; /* "dense products" */
    char *type;       /* that is wanted; freed when told */
    bool of_type;
    const char *name;
    int dtype;
} taken;

/* "int4_wo", or "8-bit weights, 32-bit activations". */
static char *
type_text(const moe_kernel_wanted *w)
{
    char weights[32], activations[32];
    if (w->dtype)
        return g_strdup(w->dtype);
    g_ascii_formatd(weights, sizeof weights, "%.4g", w->weight_bits);
    g_ascii_formatd(activations, sizeof activations, "%.4g", w->activation_bits);
    return g_strdup_printf("%s-bit weights, %s-bit activations", weights, activations);
}

static void
tell(const moe_plan *plan, taken *t, GPtrArray *out)
{
    const moe_kernels *own = plan->hw->devices[0].kernels;
    bool behind = own && own != plan->kernels && t->name && moe_kernels_has(own, t->name);
    g_autofree char *type = g_steal_pointer(&t->type);

    if (t->name && t->of_type && !behind)
        return;
    GString *text = g_string_new(NULL);
    g_string_printf(text, "%s has no kernel for %s in %s: ", plan->kernels->name, t->what, type);
    if (!t->name)
        g_string_append_printf(text, "taken are the flat numbers of %s", plan->hw->name);
    else if (t->of_type)
        g_string_append_printf(text, "taken is that of %s", own->name);
    else
        g_string_append_printf(text, "taken is the nearest%s%s, in %s", behind ? " of " : "",
                               behind ? own->name : "", moe_kernel_dtype_name(t->dtype));
    g_ptr_array_add(out, g_string_free(text, false));
}

static void
tell_products(const moe_plan *plan, const moe_precision *bits, const moe_device *device,
              GPtrArray *out)
{
    const moe_kernel_wanted w = wanted_products(bits, plan->model);
    const moe_gemm_kernel *k = moe_device_gemm(device, &w);
    taken t = {"dense products", type_text(&w), moe_kernel_is_of_type(k->dtype, &w), k->name,
               k->dtype};
    tell(plan, &t, out);
}

static void
tell_experts(const moe_plan *plan, const moe_precision *bits, const moe_device *device,
             const moe_ffn *ffn, GPtrArray *out)
{
    const moe_kernel_wanted w = moe_wanted_experts(bits, ffn);
    const moe_expert_kernel *k = moe_device_experts(device, &w);
    taken t = {"experts", type_text(&w), moe_kernel_is_of_type(k->dtype, &w), k->name, k->dtype};
    tell(plan, &t, out);
}

/* Of a layer's attention: which kernel does what in such a form, and whether it was made for it.
 * One of heads stands in for others, but for none with a state. */
static taken
take_attention(const moe_device *device, const char *what, int form, double bits, double dim)
{
    const moe_attention_kernel *k = moe_device_attention(device, form, bits, dim);
    bool of_form = k->form == form;

    if (form == MOE_FORM_STATE && !of_form)
        k = &device->attention;
    return (taken){.what = what, .of_type = of_form, .name = k->name, .dtype = k->dtype};
}

static void
tell_attention(const moe_plan *plan, const moe_precision *bits, const moe_device *device,
               const moe_attention *a, GPtrArray *out)
{
    double kv = bits->kv;
    taken t;

    if (a->kind == MOE_ATTENTION_LINEAR) {
        t = take_attention(device, "linear attention", MOE_FORM_STATE, MOE_STATE_KERNEL_BITS,
                           a->key_dim);
        t.type = g_strdup_printf("a state of %d bits", a->state_bits);
    } else {
        bool latent = a->kind == MOE_ATTENTION_MLA;
        char number[32];
        g_ascii_formatd(number, sizeof number, "%.4g", kv);
        t = latent ? take_attention(device, "latent attention", MOE_FORM_LATENT, kv,
                                    a->kv_lora + a->rope_dim)
                   : take_attention(device, "attention", MOE_FORM_HEADS, kv, a->head_dim);
        t.type = g_strdup_printf("a cache of %s bits", number);
    }
    tell(plan, &t, out);
    if (!a->index_top_k)
        return;
    t = take_attention(device, "an indexer's scores", MOE_FORM_SCORES, MOE_INDEX_BITS,
                       a->index_dim);
    t.type = g_strdup_printf("keys of %d bits", MOE_INDEX_BITS);
    tell(plan, &t, out);
}

/* Each kind once. */
static void
tell_attentions(const moe_plan *plan, const moe_precision *bits, const moe_device *device,
                const moe_stack *stack, GPtrArray *out)
{
    unsigned told = 1U << MOE_ATTENTION_NONE;

    for (int i = 0; i < stack->n_layers; i++) {
        const moe_attention *attention = &stack->layers[i].attention;
        if (told >> attention->kind & 1)
            continue;
        told |= 1U << attention->kind;
        tell_attention(plan, bits, device, attention, out);
    }
}

void
moe_kernels_stand_in(const moe_plan *plan, GPtrArray *out)
{
    const moe_precision bits = moe_lowering_precision(plan->model, plan->config);
    const moe_stack *stack = moe_model_decoder(plan->model);
    moe_device device = plan->hw->devices[0];

    if (!plan->kernels)
        return;
    device.kernels = plan->kernels;
    tell_products(plan, &bits, &device, out);
    for (int i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].ffn.kind == MOE_FFN_MOE) {
            tell_experts(plan, &bits, &device, &stack->layers[i].ffn, out);
            break;
        }
    tell_attentions(plan, &bits, &device, stack, out);
}
