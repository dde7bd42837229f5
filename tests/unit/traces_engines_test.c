/* Importers of engines over files that numpy and the engines' own layouts made (tests/engines.py):
 * all hold the same routing, in another form each. */
#include "tests/import.h"
#include "tests/test.h"

#define FOLDER MOE_SOURCE_DIR "/tests/unit/data/engines/"

typedef struct engine_case {
    const moe_importer *importer;
    const char *file;
    moe_import_options options;
    uint64_t n_tokens, n_prefill;
    uint32_t n_sequences, k;
    bool steps, token_ids, weights;
    bool same;          /* all sequences hold what sequence 0 does */
    bool cut;           /* tokens 0, 1 and 3 were not run in layer 3 */
    bool from_zero;     /* the format does not say that layers are 1, 2, 3 */
    const char *report; /* a part of it */
} engine_case;

static moe_routing_file *
open_case(const engine_case *c, char **report)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strconcat(FOLDER, c->file, NULL);
    moe_import_job job = {.paths = (const char *const *)&path,
                          .n_paths = 1,
                          .options = &c->options,
                          .diag = diag,
                          .report = text,
                          .error = &error};
    moe_routing_builder *builder = moe_import_run(c->importer, &job);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder != NULL, "%s: %s%s", c->file, messages, error ? error->message : "");
    *report = g_strdup(text->str);
    bool valid = builder && moe_routing_builder_check(builder, c->file, diag);
    CU_ASSERT_TRUE(valid);
    return valid ? moe_routing_builder_finish(builder, c->file) : NULL;
}

static void
check_ids(const engine_case *c, const moe_routing *r, uint64_t row)
{
    uint32_t s = c->same ? 0 : r->sequence[row], p = r->position[row];
    for (uint32_t l = 0; l < r->n_layers; l++) {
        uint32_t number = r->layer_ids[l] + c->from_zero;
        for (uint32_t j = 0; j < r->k; j++) {
            uint32_t wanted = (5 * number + 11 * s + 2 * (p / 4) + 3 * j) % 16;
            uint32_t id = moe_routing_id(r, row, l, j);
            if (c->cut && number == 3 && (p < 2 || p == 3))
                wanted = MOE_ROUTING_NOT_RUN;
            MOE_CHECK(id == wanted, "%s: sequence %u, position %u, layer %u, slot %u: %u, not %u",
                      c->file, s, p, number, j, id, wanted);
        }
    }
}

static void
run_case(const engine_case *c)
{
    g_autofree char *report = NULL;
    g_autoptr(moe_routing_file) file = open_case(c, &report);
    if (!file)
        return;
    const moe_routing *r = moe_routing_get(file);
    MOE_CHECK(r->n_layers == 3 && r->k == c->k && r->n_experts == 16, "%s: %u layers, k %u of %u",
              c->file, r->n_layers, r->k, r->n_experts);
    MOE_CHECK(r->n_tokens == c->n_tokens && r->n_prefill == c->n_prefill &&
                  r->n_sequences == c->n_sequences,
              "%s: %u tokens, %u prefill, %u sequences", c->file, (unsigned)r->n_tokens,
              (unsigned)r->n_prefill, r->n_sequences);
    MOE_CHECK(!r->step == !c->steps && !r->token_id == !c->token_ids && !r->weights == !c->weights,
              "%s: steps, token ids, weights: %d %d %d", c->file, !!r->step, !!r->token_id,
              !!r->weights);
    MOE_CHECK(!c->report || strstr(report, c->report), "%s: '%s'", c->file, report);
    for (uint64_t row = 0; row < r->n_tokens; row++)
        check_ids(c, r, row);
}

static void
numpy_arrays(void)
{
    static const engine_case cases[] = {
        {&moe_importer_npy,
         "plain.npy",
         {.experts = 16},
         12,
         0,
         1,
         4,
         .report = "layer 0 dropped: without routing, taken as dense"},
        {&moe_importer_npy, "fortran.npy", {.experts = 16}, 12, 0, 1, 4},
        {&moe_importer_npy,
         "layers_first.npy",
         {.experts = 16},
         12,
         0,
         1,
         4,
         .report = "axes are [layers, tokens, k]"},
        {&moe_importer_npy, "layers_first.npy", {.experts = 16, .layers = 4}, 12, 0, 1, 4},
        {&moe_importer_npy,
         "wide.npy",
         {.experts = 16},
         12,
         0,
         1,
         4,
         .report = "2 of 6 slots are -1 in every row: left out"},
        {&moe_importer_npy,
         "gaps.npy",
         {.experts = 16},
         12,
         0,
         1,
         4,
         .report = "108 ids stood behind an empty slot: moved to the front"},
        {&moe_importer_npy,
         "unsigned.npy",
         {.experts = 16},
         10,
         0,
         1,
         4,
         .report = "2 of 12 tokens dropped: no routing in any layer"},
        {&moe_importer_npy, "top_1.npy", {.experts = 16}, 12, 0, 1, 1, .from_zero = true},
        {&moe_importer_npz, "zip64.npz", {.experts = 16}, 12, 0, 1, 4},
        {&moe_importer_npz, "two.npz", {.experts = 16}, 19, 0, 2, 4},
        {&moe_importer_npz,
         "facts.npz",
         {.experts = 16},
         24,
         10,
         2,
         4,
         .steps = true,
         .token_ids = true,
         .weights = true},
        {&moe_importer_npz, "layers.npz", {.experts = 16}, 12, 5, 1, 4},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
vllm_answers(void)
{
    static const engine_case cases[] = {
        {&moe_importer_vllm, "plain.npy", {.experts = 16}, 12, 0, 1, 4},
        {&moe_importer_vllm, "vllm_lists.json", {.experts = 16}, 12, 5, 1, 4, .from_zero = true},
        {&moe_importer_vllm,
         "vllm_apart.json",
         {.experts = 16},
         10,
         3,
         1,
         4,
         .from_zero = true,
         .token_ids = true,
         .report = "2 of 12 tokens dropped: no routing in any layer, as of a cached prefix"},
        {&moe_importer_vllm,
         "vllm_several.json",
         {.experts = 16},
         24,
         10,
         2,
         4,
         .from_zero = true,
         .same = true,
         .report = "1 prompts have several answers"},
        {&moe_importer_vllm, "vllm_base64.jsonl", {.experts = 16}, 24, 10, 2, 4},
        {&moe_importer_vllm, "vllm_start.jsonl", {.experts = 16}, 9, 2, 1, 4, .from_zero = true},
        {&moe_importer_vllm, "vllm_start.json", {.experts = 16}, 10, 3, 1, 4, .from_zero = true},
        {&moe_importer_vllm, "vllm_encoding.json", {.experts = 16}, 12, 5, 1, 4, .from_zero = true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
sglang_answers(void)
{
    static const engine_case cases[] = {
        {&moe_importer_sglang, "sglang_native.json", {.experts = 16, .top_k = 4}, 12, 5, 1, 4},
        {&moe_importer_sglang, "sglang_openai.jsonl", {.experts = 16, .top_k = 4}, 12, 5, 1, 4},
        {&moe_importer_sglang,
         "sglang_recorder.npz",
         {.experts = 16},
         25,
         13,
         3,
         4,
         .steps = true,
         .token_ids = true,
         .report = "4 of 8 slots are -1 in every row: left out"},
        {&moe_importer_sglang,
         "sglang_openai.jsonl",
         {.experts = 16, .top_k = 4, .layers = 4},
         12,
         5,
         1,
         4},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
trtllm_statistics(void)
{
    static const engine_case cases[] = {
        {&moe_importer_trtllm,
         "trtllm_steady.safetensors",
         {.experts = 16},
         24,
         0,
         2,
         4,
         .steps = true,
         .report = "all 12 iterations have 2 rows, row i taken as sequence i"},
        {&moe_importer_trtllm,
         "trtllm_prompts.safetensors",
         {.experts = 16},
         19,
         0,
         2,
         4,
         .steps = true,
         .report = "iterations differ in length: each of 2 taken as a sequence"},
        {&moe_importer_trtllm, "plain.npy", {.experts = 16}, 12, 0, 1, 4},
        {&moe_importer_trtllm, "vllm_lists.json", {.experts = 16}, 12, 5, 1, 4, .from_zero = true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
llamacpp_rows(void)
{
    static const char cut[] = "3 tokens of prompts are absent in the last layer";
    static const engine_case cases[] = {
        {&moe_importer_llamacpp,
         "llamacpp_pairs.csv",
         {.experts = 16},
         12,
         5,
         1,
         4,
         .cut = true,
         .report = cut},
        {&moe_importer_llamacpp,
         "llamacpp_pairs.csv",
         {.experts = 16, .top_k = 4},
         12,
         5,
         1,
         4,
         .cut = true},
        {&moe_importer_llamacpp,
         "llamacpp_bare.csv",
         {.experts = 16},
         11,
         5,
         1,
         4,
         .cut = true,
         .report = "the last ubatch has 2 of 3 layers"},
        {&moe_importer_llamacpp, "llamacpp_lists.csv", {.experts = 16}, 12, 5, 1, 4, .cut = true},
        {&moe_importer_llamacpp, "llamacpp_ranks.csv", {.experts = 16}, 12, 5, 1, 4, .cut = true},
        {&moe_importer_llamacpp, "llamacpp.bin", {.experts = 16}, 12, 5, 1, 4, .cut = true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
megatron_rows(void)
{
    static const engine_case cases[] = {
        {&moe_importer_megatron, "megatron_list.npz", {.experts = 16, .sequences = 2}, 24, 0, 2, 4},
        {&moe_importer_megatron,
         "megatron_buffer.npy",
         {.experts = 16, .sequences = 2},
         24,
         0,
         2,
         4,
         .from_zero = true,
         .report = "4 of 28 tokens dropped: zeros in all layers"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        run_case(&cases[i]);
}

static void
facts(void)
{
    static const engine_case c = {&moe_importer_npz, "facts.npz"};
    g_autofree char *report = NULL;
    g_autoptr(moe_routing_file) file = open_case(&c, &report);
    const moe_routing *r = file ? moe_routing_get(file) : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (uint32_t row = 0; row < r->n_tokens; row++) {
        MOE_CHECK(r->step[row] == row && r->token_id[row] == row + 100, "row %u: %u, %u", row,
                  r->step[row], r->token_id[row]);
        const float *w = r->weights + (size_t)row * r->n_layers * r->k;
        MOE_CHECK(w[0] > .39f && w[0] < .41f && w[3] > .09f && w[3] < .11f, "row %u: %g, %g", row,
                  (double)w[0], (double)w[3]);
    }
}

/* What a model's own blocks chose (tests/engines_hf.py), against what its logits are imported to.
 */
static void
compare_chosen(const moe_routing *r, const moe_routing *chosen, const char *name)
{
    uint64_t n = r->n_tokens * r->n_layers * r->k;
    MOE_CHECK(r->n_tokens == chosen->n_tokens && r->n_layers == chosen->n_layers &&
                  r->k == chosen->k && r->n_prefill == chosen->n_prefill,
              "%s: %u tokens, %u layers, k %u", name, (unsigned)r->n_tokens, r->n_layers, r->k);
    if (r->n_tokens != chosen->n_tokens || r->k != chosen->k)
        return;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = i / r->k / r->n_layers;
        uint32_t layer = (uint32_t)(i / r->k % r->n_layers), j = (uint32_t)(i % r->k);
        uint32_t id = moe_routing_id(r, row, layer, j),
                 wanted = moe_routing_id(chosen, row, layer, j);
        double off = (double)r->weights[i] - (double)chosen->weights[i];
        MOE_CHECK(id == wanted && off < 1e-6 && off > -1e-6,
                  "%s: token %u, layer %u, slot %u: expert %u of weight %g, not %u of %g", name,
                  (unsigned)row, layer, j, id, (double)r->weights[i], wanted,
                  (double)chosen->weights[i]);
    }
    for (uint64_t row = 0; row < r->n_tokens; row++)
        MOE_CHECK(
            r->sequence[row] == chosen->sequence[row] &&
                r->position[row] == chosen->position[row] && r->phase[row] == chosen->phase[row] &&
                (!chosen->token_id || r->token_id[row] == chosen->token_id[row]),
            "%s: token %u is at %u, %u", name, (unsigned)row, r->sequence[row], r->position[row]);
}

static void
hf_logits(void)
{
    static const struct {
        engine_case logits, chosen;
    } cases[] = {
        {{&moe_importer_hf_logits,
          "hf_mixtral.safetensors",
          {.top_k = 2, .sequences = 2, .renormalise = true}},
         {&moe_importer_npz, "hf_mixtral_chosen.npz", {.experts = 8}}},
        {{&moe_importer_hf_logits, "hf_qwen.npz", {.top_k = 4, .sequences = 2}},
         {&moe_importer_npz, "hf_qwen_chosen.npz", {.experts = 12}}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *report = NULL, *other = NULL;
        g_autoptr(moe_routing_file) file = open_case(&cases[i].logits, &report);
        g_autoptr(moe_routing_file) chosen = open_case(&cases[i].chosen, &other);
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_PTR_NOT_NULL_FATAL(chosen);
        const moe_routing *r = moe_routing_get(file);
        compare_chosen(r, moe_routing_get(chosen), cases[i].logits.file);
        CU_ASSERT_PTR_NOT_NULL_FATAL(r->logits);
        /* the first expert is the one of the largest logit, as it was stored */
        for (uint64_t row = 0; row < r->n_tokens * r->n_layers; row++) {
            const uint16_t *logits = r->logits + row * r->n_experts;
            uint32_t id = moe_routing_id(r, row / r->n_layers, (uint32_t)(row % r->n_layers), 0);
            for (uint32_t e = 0; e < r->n_experts; e++)
                MOE_CHECK(moe_routing_f16(logits[e]) <= moe_routing_f16(logits[id]),
                          "%s: row %u: logit of %u above that of %u", cases[i].logits.file,
                          (unsigned)row, e, id);
        }
    }
}

/* bfloat16 logits, as models compute them, choose the same unless rounding makes a tie. */
static void
hf_bfloat16(void)
{
    static const engine_case c = {
        &moe_importer_hf_logits, "hf_mixtral_bf16.safetensors", {.top_k = 2, .sequences = 2}};
    g_autofree char *report = NULL;
    g_autoptr(moe_routing_file) file = open_case(&c, &report);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    const moe_routing *r = moe_routing_get(file);
    MOE_CHECK(r->n_tokens == 18 && r->n_layers == 3 && r->n_experts == 8 && r->logits,
              "%u tokens, %u layers of %u", (unsigned)r->n_tokens, r->n_layers, r->n_experts);
}

MOE_TESTS({"npy and npz", numpy_arrays}, {"vllm", vllm_answers}, {"sglang", sglang_answers},
          {"trtllm", trtllm_statistics}, {"llama.cpp", llamacpp_rows}, {"megatron", megatron_rows},
          {"hf-logits", hf_logits}, {"bfloat16", hf_bfloat16}, {"facts", facts})
