/* Real request traces against what a separate program (Python's csv, json, datetime) says of them.
 */
#include "tests/test.h"

#include "tests/import.h"

#define DATA MOE_SHARED_DATA "/data/requests/"

typedef struct real {
    const moe_importer *importer;
    const char *path;
    uint64_t n;
    int64_t epoch_ns, span_ns;
    uint64_t prompt, output, n_blocks;
    uint64_t prompt_sum; /* of row x prompt, modulo 2^64: each stands where it should */
    const char *text;    /* part of the description */
} real;

static const real reals[] = {
    {&moe_importer_azure, DATA "AzureLLMInferenceTrace2023_code.csv", 8819, 1700158623979960000,
     3435948056000, 18059974, 245896, 0, 80053434115, "gaps: mean 390 ms, cv 13.151"},
    {&moe_importer_azure, DATA "AzureLLMInferenceTrace2023_conv.csv", 19366, 1700158546680590000,
     3501721937000, 22361870, 4088665, 0, 209328684443, "cv 1.094"},
    {&moe_importer_mooncake, DATA "mooncake_conversation_trace.jsonl", 12031, 0, 3536999000000,
     144793823, 4122048, 182790, 0, "37.36% of prompt tokens are in blocks seen before"},
};

static void
check_real(const real *want)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_import_options options = {0};
    moe_import_job job = {
        .paths = &want->path, .n_paths = 1, .options = &options, .diag = diag, .error = &error};
    MOE_CHECK(moe_importer_sniff(&job) == want->importer, "%s", want->path);
    moe_requests_builder *builder = moe_import_requests(want->importer, &job);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder != NULL, "%s", messages);
    if (!builder)
        return;
    g_autoptr(moe_requests_file) file = moe_requests_builder_finish(builder, want->path, &error);
    const moe_requests *r = moe_requests_get(file);
    uint64_t prompt = 0, output = 0, prompt_sum = 0;
    for (uint64_t i = 0; i < r->n; i++) {
        prompt += r->prompt[i];
        output += r->output[i];
        prompt_sum += i * r->prompt[i];
    }
    g_autoptr(GString) text = g_string_new(NULL);
    moe_requests_describe(file, text);
    CU_ASSERT_EQUAL(r->n, want->n);
    CU_ASSERT_EQUAL(r->epoch_ns, want->epoch_ns);
    CU_ASSERT_EQUAL(r->arrival_ns[r->n - 1], want->span_ns);
    CU_ASSERT_EQUAL(prompt, want->prompt);
    CU_ASSERT_EQUAL(output, want->output);
    CU_ASSERT_EQUAL(r->n_blocks, want->n_blocks);
    CU_ASSERT_TRUE(want->prompt_sum == 0 || prompt_sum == want->prompt_sum);
    MOE_CHECK(strstr(text->str, want->text) != NULL, "%s", text->str);
}

static void
real_traces(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(reals); i++) {
        if (g_file_test(reals[i].path, G_FILE_TEST_EXISTS))
            check_real(&reals[i]);
        else
            moe_test_skip(reals[i].path);
    }
}

MOE_TESTS({"real traces", real_traces})
