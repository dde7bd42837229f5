/* Modules of latent attention as tables have them: which kernels they are made of. */
#include "profiler/predict.h"
#include "tests/test.h"

typedef struct machine {
    moe_hardware_set *set;
    moe_kernels_set *library;
    moe_candidate candidate;
} machine;

static bool
begin(machine *m)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    m->set = moe_hardware_load("server-h100", NULL, (moe_loc){0}, diag, NULL);
    m->library = moe_kernels_load("vllm-0.24", NULL, (moe_loc){0}, diag, NULL);
    if (!m->set || !m->library)
        return false;
    moe_candidate_init(&m->candidate, moe_hardware_get(m->set), moe_kernels_get(m->library), NULL);
    return true;
}

static void
end(machine *m)
{
    if (m->candidate.devices)
        moe_candidate_clear(&m->candidate);
    g_clear_pointer(&m->library, moe_kernels_free);
    g_clear_pointer(&m->set, moe_hardware_free);
}

/* DeepSeek-V3's, of `queries` tokens. */
static moe_measured_row
module_of(const char *framework, int64_t queries, double kv_bits)
{
    return (moe_measured_row){
        .kind = MOE_MEASURED_ATTENTION,
        .variant = MOE_MEASURED_MLA_MODULE,
        .device = "h100",
        .source = "",
        .framework = framework,
        .version = "",
        .kernel = "",
        .dtype = "bf16",
        .kv_dtype = kv_bits < 16 ? "fp8" : "bf16",
        .graph = true,
        .hidden = 7168,
        .q_rank = 1536,
        .kv_rank = 512,
        .rope_dim = 64,
        .head_dim = 128,
        .value_dim = 128,
        .heads = 16,
        .kv_heads = 1,
        .sequences = 1,
        .queries = queries,
        .context = 4096,
        .weight_bits = 16,
        .activation_bits = 16,
        .kv_bits = kv_bits,
    };
}

/* Three products, two norms, a rotation; then two products by heads and the kernel, or a product,
 * two copies and the kernel. vLLM's norms are 8 operations each, its rotation 14, and it is given
 * no place for new keys: no kernel writes them. */
static void
parts(void)
{
    static const struct {
        const char *framework;
        int64_t queries;
        double kv_bits;
        int kernels;
    } cases[] = {
        {"vllm", 1, 16, 3 + 2 * 8 + 14 + 3},   {"vllm", 512, 16, 3 + 2 * 8 + 14 + 3},
        {"vllm", 513, 16, 3 + 2 * 8 + 14 + 4}, {"vllm", 1, 8, 3 + 2 * 8 + 14 + 4},
        {"vllm", 129, 8, 3 + 2 * 8 + 14 + 4},  {"sglang", 1, 16, 3 + 2 + 1 + 4},
        {"sglang", 513, 16, 3 + 2 + 1 + 5},
    };
    machine m = {0};
    if (begin(&m))
        for (size_t i = 0; i < MOE_COUNT(cases); i++) {
            moe_measured_row row =
                module_of(cases[i].framework, cases[i].queries, cases[i].kv_bits);
            int kernels = moe_predict_cost(&m.candidate, &row).kernels;
            MOE_CHECK(kernels == cases[i].kernels, "case %zu: %d kernels", i, kernels);
        }
    else
        CU_FAIL("no machine");
    end(&m);
}

/* A prompt's products with the latent are those of a decode of as many sequences. */
static void
flops(void)
{
    machine m = {0};
    if (begin(&m)) {
        moe_measured_row row = module_of("vllm", 1, 16);
        double linear = 2.0 * (2112 * 7168 + 16 * 192 * 1536 + 7168 * 2048);
        double absorbed = 2.0 * 16 * 128 * 512 * 2, attention = 2.0 * 16 * (576 + 512) * 4096;
        double got = moe_predict_cost(&m.candidate, &row).flops;
        MOE_CHECK(got == linear + absorbed + attention, "%g", got);

        row.queries = row.context = 1000;
        got = moe_predict_cost(&m.candidate, &row).flops;
        attention = 2.0 * 16 * (192 + 128) * 500.5;
        MOE_CHECK(got == 1000 * (linear + absorbed + attention), "%g", got);
    } else {
        CU_FAIL("no machine");
    }
    end(&m);
}

MOE_TESTS({"parts", parts}, {"flops", flops})
