/* Attention of a step against its cost function, with the step's amounts written down by hand:
 * sparse and linear layers, prompts and decodes, several requests of one length. */
#include "sim/machine/attend.h"

#include "hw/cost_attention.h"
#include "sim/machine/kernels.h"
#include "tests/unit/machine_fixture.h"

enum { REQUESTS = 3, SHORT = 200, LONG = 2200, OUTPUT = 3 };

#define OWN "kernels: own\n"

typedef struct run {
    moe_scenario *scenario;
    const moe_plan *plan;
    moe_device device; /* with the library that the run chose */
    moe_attend *attend;
} run;

static void
start(run *r, const char *model, const char *kernels, int prompt)
{
    g_autofree char *text = g_strdup_printf(
        "model: %s\nhardware: server-h200\n%s"
        "routing: {synthetic: {sequences: %d, prompt: %d, output: %d}}\n"
        "workload: {requests: %d, prompt: %d, output: %d, batch: %d}\n"
        "experts: {home: dram, cache: {capacity: 1 slots}}\n",
        model, kernels, REQUESTS, prompt, OUTPUT, REQUESTS, prompt, OUTPUT, REQUESTS);

    *r = (run){.scenario = fixture_load(text)};
    CU_ASSERT_FATAL(r->scenario != NULL);
    r->plan = &r->scenario->runs[0].plan;
    r->device = r->plan->hw->devices[0];
    r->device.kernels = r->plan->kernels;
    CU_ASSERT_EQUAL(strcmp(kernels, OWN) != 0, r->plan->kernels != NULL);
    r->attend = moe_attend_new(r->plan->hw, &r->device, r->plan->schedule,
                               moe_lowering_precision(r->plan->model, r->plan->config));
}

static void
end(run *r)
{
    moe_attend_free(r->attend);
    moe_scenario_free(r->scenario);
}

static void
expect(const char *what, const moe_cost *got, const run *r, const moe_attention_work *want)
{
    moe_cost cost = moe_cost_attention(r->plan->hw, &r->device, want);
    MOE_CHECK(got->total_ps == cost.total_ps && got->bytes == cost.bytes &&
                  got->flops == cost.flops,
              "%s: %lld ps, %g B, %g FLOP, wanted %lld, %g, %g", what, (long long)got->total_ps,
              got->bytes, got->flops, (long long)cost.total_ps, cost.bytes, cost.flops);
}

static const moe_attention *
attention_at(const run *r, int layer)
{
    return &moe_model_decoder(r->plan->model)->layers[layer].attention;
}

/* The sum of 1 … n. */
static double
triangle(double n)
{
    return n * (n + 1) / 2;
}

/* Of DeepSeek-V3.2: 64 heads x 128 score all keys; 2048 of them are attended to, in the latent. */
static void
check_sparse(const run *r, uint32_t number, double context)
{
    const moe_step *step = &r->plan->schedule->steps[number];
    const moe_attention *a = attention_at(r, 10);
    bool prompt = step->phase == MOE_PREFILL;
    double n = step->n, top = 2048, requests = REQUESTS, per = n / requests;
    double all = prompt ? triangle(context) : context; /* keys before a request's queries */
    double chosen = prompt ? triangle(top) + (context - top) * top : top;
    moe_attention_work scores = {
        .queries = n,
        .rows = prompt ? n : 1,
        .keys = all / per,
        .longest = context,
        .flops = 2.0 * 64 * 128 * requests * all,
        .kv_bytes = requests * context * 132,
        .new_bytes = n * 132,
        .new_tokens = n,
        .sequences = requests,
        .heads = requests,
        .query_heads = 64,
        .kv_heads = 1,
        .key_dim = 128,
        .key_bytes = 132,
        .activation_bits = 8,
        .kv_bits = 8,
        .form = MOE_FORM_SCORES,
    };
    moe_attention_work latent = {
        .queries = n,
        .rows = prompt ? n : 1,
        .keys = chosen / per,
        .longest = top,
        .flops = 2.0 * 128 * (512 + 512 + 64) * requests * chosen,
        .kv_bytes = requests * (prompt ? context : top) * 576 * 2,
        .new_bytes = n * 576 * 2,
        .new_tokens = n,
        .sequences = requests,
        .heads = requests,
        .query_heads = 128,
        .kv_heads = 1,
        .key_dim = 576,
        .value_dim = 512,
        .key_bytes = 576 * 2,
        .activation_bits = 16,
        .kv_bits = 16,
        .form = MOE_FORM_LATENT,
    };
    moe_cost got = moe_attend_scores(r->attend, step, a);
    expect(prompt ? "prompts' scores" : "decodes' scores", &got, r, &scores);
    got = moe_attend_self(r->attend, step, a);
    expect(prompt ? "prompts' attention" : "decodes' attention", &got, r, &latent);
}

static void
sparse(void)
{
    static const char *const kernels[] = {OWN, "kernels: vllm-0.24\n"};

    for (size_t k = 0; k < MOE_COUNT(kernels); k++) {
        run r;
        start(&r, "deepseek-v3.2", kernels[k], LONG);
        CU_ASSERT_EQUAL_FATAL(r.plan->schedule->n_steps, OUTPUT + 1);
        for (uint32_t step = 0; step <= OUTPUT; step++)
            check_sparse(&r, step, LONG + step);
        end(&r);
    }
}

/* By the cost function of linear attention: the same in each decode step, however long what came
 * before; state, convolution's inputs, and what passes of each token. */
static void
check_linear(const run *r, uint32_t number, double token_bytes, double conv_bytes)
{
    const moe_step *step = &r->plan->schedule->steps[number];
    const moe_attention *a = attention_at(r, 0);
    double queries = step->phase == MOE_PREFILL ? SHORT : 1;
    moe_attention_work work = moe_attention_linear(REQUESTS, queries, a->heads, a->key_dim,
                                                   a->value_dim, a->state_bits, a->chunk);

    work.kernel = &r->device.attention;
    work.kv_bytes += 2 * REQUESTS * conv_bytes + REQUESTS * queries * token_bytes;
    CU_ASSERT_EQUAL(work.kv_bytes, 2.0 * REQUESTS * (double)moe_attention_state_bytes(a) +
                                       REQUESTS * queries * token_bytes);
    moe_cost got = moe_attend_self(r->attend, step, a);
    expect(r->plan->model->name, &got, r, &work);
}

static void
linear(void)
{
    static const struct {
        const char *model, *kernels;
        double token, conv; /* bytes */
    } cases[] = {
        {"qwen3-next-80b-a3b", OWN, 2 * (2 * 2048 + 2 * 4096), 8192 * 3 * 2},
        {"qwen3-next-80b-a3b", "kernels: vllm-0.24\n", 2 * (2 * 2048 + 2 * 4096), 8192 * 3 * 2},
        {"minimax-text-01", OWN, 2 * 4 * 8192, 0},
        {"jamba-v0.1", OWN, 2 * (2 * 16 + 3 * 8192), 8192 * 3 * 2},
        {"granite-4.0-h-small", OWN, 2 * (2 * 128 + 2 * 8192), 8448 * 3 * 2},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        run r;
        start(&r, cases[i].model, cases[i].kernels, SHORT);
        const moe_step *steps = r.plan->schedule->steps;
        for (uint32_t step = 0; step <= OUTPUT; step++)
            check_linear(&r, step, cases[i].token, cases[i].conv);
        moe_cost early = moe_attend_self(r.attend, &steps[1], attention_at(&r, 0));
        moe_cost late = moe_attend_self(r.attend, &steps[OUTPUT], attention_at(&r, 0));
        CU_ASSERT_EQUAL(early.total_ps, late.total_ps);
        end(&r);
    }
}

static int64_t
account(const moe_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_accounts; i++)
        if (!strcmp(plan->accounts[i].name, name))
            return plan->accounts[i].bytes;
    return -1;
}

/* Memory of all requests in flight: keys of each token, indexers' in 8 bits with their scale;
 * states of each request, as many of them as there are. */
static void
memory(void)
{
    static const struct {
        const char *model;
        int64_t token, request; /* bytes */
    } cases[] = {
        {"deepseek-v3.2", 61 * (576 * 2 + 132), -1},
        {"qwen3-next-80b-a3b", 12 * 2 * 2 * 256 * 2, 36 * (32 * 128 * 128 * 4 + 8192 * 3 * 2)},
        {"minimax-text-01", 10 * 2 * 8 * 128 * 2, 70 * 64 * 128 * 128 * 4},
        {"jamba-v0.1", 4 * 2 * 8 * 128 * 2, 28 * (8192 * 16 * 4 + 8192 * 3 * 2)},
        {"granite-4.0-h-small", 4 * 2 * 8 * 128 * 2, 36 * (128 * 128 * 64 * 4 + 8448 * 3 * 2)},
        {"mixtral-8x7b", 32 * 2 * 8 * 128 * 2, -1},
    };

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        run r;
        start(&r, cases[i].model, OWN, SHORT);
        int64_t tokens = REQUESTS * (SHORT + OUTPUT);
        int64_t kv = account(r.plan, "KV cache"), state = account(r.plan, "linear state");
        int64_t want = cases[i].request < 0 ? -1 : REQUESTS * cases[i].request;
        MOE_CHECK(kv == tokens * cases[i].token, "%s: %lld B of keys, wanted %lld", cases[i].model,
                  (long long)kv, (long long)(tokens * cases[i].token));
        MOE_CHECK(state == want, "%s: %lld B of states, wanted %lld", cases[i].model,
                  (long long)state, (long long)want);
        end(&r);
    }
}

static bool
told(const run *r, const char *what)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    bool any = false;
    moe_kernels_stand_in(r->plan, lines);
    for (guint i = 0; i < lines->len; i++)
        any |= strstr(lines->pdata[i], what) != NULL;
    return any;
}

#define KERNEL "efficiency: 50%, stream_efficiency: 50%}\n"
#define HEADS "  - {name: heads, dtype: bf16, " KERNEL "  - {name: narrow, dtype: fp8, " KERNEL
#define STATE "  - {name: scan, dtype: bf16, form: state, " KERNEL
#define LATENT "  - {name: latent, dtype: bf16, form: latent, " KERNEL
#define SCORES "  - {name: scores, dtype: fp8, form: scores, " KERNEL

/* What is told of a library is what is taken of it: a state's kernel for states of 32 bits, too;
 * one of heads in the place of others. */
static void
stand_in(void)
{
    static const struct {
        const char *model, *kernels, *what;
        bool told;
    } cases[] = {
        {"qwen3-next-80b-a3b", HEADS, "linear attention in a state of 32 bits", true},
        {"qwen3-next-80b-a3b", HEADS STATE, "linear attention", false},
        {"deepseek-v3.2", HEADS,
         "latent attention in a cache of 16 bits: taken is that of vllm-0.24", true},
        {"deepseek-v3.2", HEADS LATENT, "latent attention", false},
        {"deepseek-v3.2", HEADS LATENT, "scores in keys of 8 bits: taken is the nearest", true},
        {"deepseek-v3.2", HEADS SCORES, "scores", false},
        {"mixtral-8x7b", HEADS, "attention", false},
    };
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "library.yaml", NULL);
    g_autofree char *key = g_strdup_printf("kernels: %s\n", file);

    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *text =
            g_strconcat("name: library\nsource: a test\nattention:\n", cases[i].kernels, NULL);
        run r;
        MOE_CHECK(g_file_set_contents(file, text, -1, NULL), "%s", file);
        start(&r, cases[i].model, key, SHORT);
        MOE_CHECK(told(&r, cases[i].what) == cases[i].told, "case %zu: %s", i, cases[i].what);
        end(&r);
    }
    g_remove(file);
    g_rmdir(folder);
}

MOE_TESTS({"sparse", sparse}, {"linear", linear}, {"memory", memory}, {"stand in", stand_in})
