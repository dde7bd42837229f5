/* Attention against the measured tables of ai-dynamo/aiconfigurator and alibaba/InferSim, where
 * those are. Kernels of the libraries were fitted on three of four shapes (heads, KV heads, width,
 * cache type, window); what is held to a bound here are the others, unless a line says so. */
#include "hw/cost_attention.h"
#include "profiler/predict.h"
#include "tests/test.h"

#include <math.h>
#include <zlib.h>

#define AIC "/data/measured/aiconfigurator/"
#define INFERSIM "/data/measured/infersim/bench_data_"

/* A machine, and whose kernels. */
typedef struct pairing {
    const char *hardware, *library;
} pairing;

static const pairing h100 = {"server-h100", "vllm-0.24"}, a100 = {"server-a100-80", "vllm-0.14"},
                     h800 = {"server-h800", "infersim"};
static const pairing carried_a100 = {"server-a100-80", "vllm-0.24"},
                     carried_h100 = {"server-h100", "vllm-0.14"};

typedef bool chooses(const moe_measured_row *row);

static bool
held(const moe_measured_row *row)
{
    char shape[160];
    g_snprintf(shape, sizeof shape, "%d,%d,%d,%s,%d", (int)row->heads, (int)row->kv_heads,
               (int)row->head_dim, row->kv_bits < 16 ? "fp8" : "bfloat16", (int)row->window);
    return crc32(0, (const Bytef *)shape, (uInt)strlen(shape)) % 4 == 0;
}

static bool
held_bf16(const moe_measured_row *row)
{
    return row->kv_bits == 16 && row->head_dim <= 256 && held(row);
}

static bool
held_fp8(const moe_measured_row *row)
{
    return row->kv_bits == 8 && held(row);
}

static bool
held_window(const moe_measured_row *row)
{
    return row->window > 0 && row->window < row->context && held(row);
}

static bool
very_wide(const moe_measured_row *row)
{
    return row->head_dim > 256;
}

static bool
same_width(const moe_measured_row *row) /* as the A100's tables */
{
    return row->head_dim == 128 && row->kv_bits == 16;
}

static bool
any(const moe_measured_row *row)
{
    return row->time_us > 0;
}

/* The modules' kernels were fitted on decodes of 128, 32, 8 and 2 heads with 16-bit weights. */
static bool
other_heads(const moe_measured_row *row)
{
    return row->heads == 64 || row->heads == 16 || row->heads == 4 || row->heads == 1;
}

/* Python's launches are not what is modelled. */
static bool
beyond_the_host(const moe_measured_row *row)
{
    return row->time_us > 450 && row->heads > 1;
}

/* Mean absolute error of the chosen rows; bound 0: only shown. */
static const struct {
    const char *what;
    const pairing *device;
    const char *file;
    chooses *choose;
    size_t rows;
    double bound;
} runs[] = {
    {"H100 prompts, bf16", &h100, AIC "h100_sxm__attention__vllm__0.24.0__context_attention_perf",
     held_bf16, 6000, 0.10},
    {"H100 prompts, fp8 cache", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__context_attention_perf", held_fp8, 5000, 0.10},
    {"H100 prompts, window", &h100, AIC "h100_sxm__attention__vllm__0.24.0__context_attention_perf",
     held_window, 3000, 0.12},
    {"H100 prompts, 512 wide (seen)", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__context_attention_perf", very_wide, 500, 0},
    {"H100 decodes, bf16", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__generation_attention_perf", held_bf16, 6000, 0.10},
    {"H100 decodes, fp8 cache", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__generation_attention_perf", held_fp8, 5000, 0.10},
    {"H100 decodes, window", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__generation_attention_perf", held_window, 3000, 0.15},
    {"H100 decodes, 512 wide (seen)", &h100,
     AIC "h100_sxm__attention__vllm__0.24.0__generation_attention_perf", very_wide, 500, 0},
    {"A100 prompts", &a100, AIC "a100_sxm__attention__vllm__0.14.0__context_attention_perf",
     held_bf16, 1000, 0.10},
    {"A100 decodes", &a100, AIC "a100_sxm__attention__vllm__0.14.0__generation_attention_perf",
     held_bf16, 1000, 0.10},
    {"A100 prompts, kernel of the H100", &carried_a100,
     AIC "a100_sxm__attention__vllm__0.14.0__context_attention_perf", any, 5000, 0.25},
    {"A100 decodes, kernel of the H100", &carried_a100,
     AIC "a100_sxm__attention__vllm__0.14.0__generation_attention_perf", any, 5000, 0.25},
    {"H100 prompts, kernel of the A100", &carried_h100,
     AIC "h100_sxm__attention__vllm__0.24.0__context_attention_perf", same_width, 5000, 0.25},
    {"H100 decodes, kernel of the A100", &carried_h100,
     AIC "h100_sxm__attention__vllm__0.24.0__generation_attention_perf", same_width, 5000, 0},
    {"A100 MLA prompts (seen)", &a100, AIC "a100_sxm__mla__vllm__0.14.0__context_mla_perf", any,
     800, 0},
    {"A100 MLA prompts, beyond the host", &a100,
     AIC "a100_sxm__mla__vllm__0.14.0__context_mla_perf", beyond_the_host, 300, 0},
    {"A100 MLA decodes, all (seen)", &a100, AIC "a100_sxm__mla__vllm__0.14.0__generation_mla_perf",
     any, 1300, 0},
    {"A100 MLA decodes, beyond the host (seen)", &a100,
     AIC "a100_sxm__mla__vllm__0.14.0__generation_mla_perf", beyond_the_host, 300, 0},
    {"H100 MLA module, prompts (not fitted)", &h100,
     AIC "h100_sxm__mla__vllm__0.24.0__mla_context_module_perf", any, 3000, 0.10},
    {"H100 MLA module, decodes of other heads", &h100,
     AIC "h100_sxm__mla__vllm__0.24.0__mla_generation_module_perf", other_heads, 2500, 0.08},
    {"H800 FA3, decodes of 64 heads (seen: the others)", &h800, INFERSIM "mha_decode_h800_64-2-128",
     any, 40, 0.10},
    {"H800 FlashMLA, decodes (seen)", &h800, INFERSIM "mla_decode_h800_128-512-64", any, 40, 0.10},
    {"H800 FA3, MLA prompts (seen)", &h800, INFERSIM "mla_prefill_h800_128-128-64", any, 4, 0.10},
    {"H800 sparse decodes (seen)", &h800, INFERSIM "dsa_decode_h800_attn-128-576-2048", any, 7,
     0.10},
    {"H800 sparse prompts (not fitted)", &h800, INFERSIM "dsa_prefill_h800_attn-128-576-2048", any,
     5, 0.10},
    {"H800 indexer, decodes (seen)", &h800, INFERSIM "dsa_decode_h800_logits-64-128", any, 15,
     0.12},
    {"H800 indexer, prompts (seen)", &h800, INFERSIM "dsa_prefill_h800_logits-64-128", any, 11,
     0.10},
};

/* What a candidate is made of. */
typedef struct machine {
    moe_hardware_set *set;
    moe_kernels_set *library;
    moe_candidate candidate;
} machine;

static bool
machine_init(machine *m, const pairing *p, moe_diag *diag)
{
    m->set = moe_hardware_load(p->hardware, NULL, (moe_loc){0}, diag, NULL);
    m->library = moe_kernels_load(p->library, NULL, (moe_loc){0}, diag, NULL);
    if (!m->set || !m->library)
        return false;
    moe_candidate_init(&m->candidate, moe_hardware_get(m->set), moe_kernels_get(m->library), NULL);
    /* the library's kernel for its own device, not what it has for this one */
    if (p == &carried_a100 || p == &carried_h100)
        m->candidate.devices[0].capability = 0;
    return true;
}

static void
machine_clear(machine *m)
{
    if (m->candidate.devices)
        moe_candidate_clear(&m->candidate);
    g_clear_pointer(&m->library, moe_kernels_free);
    g_clear_pointer(&m->set, moe_hardware_free);
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
compare(size_t i, const machine *m, const moe_measured *table)
{
    size_t n = 0, all = moe_measured_count(table);
    g_autofree double *off = g_new(double, all + 1);
    double sum = 0, bias = 0;

    for (size_t r = 0; r < all; r++) {
        const moe_measured_row *row = moe_measured_at(table, r);
        if (!runs[i].choose(row))
            continue;
        double error = moe_predict(&m->candidate, row) / row->time_us - 1;
        bias += error;
        sum += fabs(error);
        off[n++] = fabs(error);
    }
    qsort(off, n, sizeof *off, by_size);
    double count = n ? (double)n : 1;
    printf("\n    %-50s %5zu rows: off by %5.1f %%, median %5.1f %%, bias %+5.1f %%", runs[i].what,
           n, 100 * sum / count, 100 * (n ? off[n / 2] : 0), 100 * bias / count);
    if (runs[i].bound > 0)
        printf(" (within %.0f %%)", 100 * runs[i].bound);
    MOE_CHECK(n >= runs[i].rows, "%s: %zu rows", runs[i].what, n);
    MOE_CHECK(runs[i].bound <= 0 || sum / count <= runs[i].bound, "%s", runs[i].what);
}

static void
run(size_t i)
{
    g_autofree char *path = g_strconcat(
        MOE_SHARED_DATA, runs[i].file, strstr(runs[i].file, "infersim") ? ".csv" : ".csv.gz", NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new();
    machine m = {0};

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        printf("\n    %s: no table", runs[i].what);
        return;
    }
    bool ready =
        machine_init(&m, runs[i].device, diag) && moe_measured_read(table, path, diag, NULL);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(ready, "%s: %s", path, text);
    if (ready)
        compare(i, &m, table);
    machine_clear(&m);
}

static void
tables(void)
{
    if (!g_file_test(MOE_SHARED_DATA "/data/measured", G_FILE_TEST_IS_DIR)) {
        moe_test_skip("no measured tables in " MOE_SHARED_DATA);
        return;
    }
    for (size_t i = 0; i < MOE_COUNT(runs); i++)
        run(i);
    printf("\n");
}

MOE_TESTS({"tables", tables})
