/* Validation: machines by names, errors by regime, units, fits of libraries. */
#include "profiler/validate.h"
#include "profiler/predict.h"
#include "tests/test.h"

#include <math.h>

static void
finds_machines(void)
{
    static const struct {
        const char *device, *preset;
        bool network;
    } names[] = {
        {"NVIDIA H100 80GB HBM3", "server-h100", false},
        {"h100_sxm", "server-h100", false},
        {"NVIDIA A100-SXM4-80GB", "server-a100-80", false},
        {"NVIDIA H200", "server-h200", false},
        {"NVIDIA B200", "server-b200", false},
        {"NVIDIA L40S", "server-l40s", false},
        {"h800", "server-h800", false},
        {"NVIDIA H20", "server-h20", false},
        {"a800", "server-a800", false},
        {"RTXPRO6000", "workstation-rtxpro6000", false},
        {"NVIDIA H100 80GB HBM3", "dgx-h100", true},
        {"NVIDIA A100-SXM4-80GB", "dgx-a100", true},
        {"NVIDIA H100 PCIe", "server-h100-pcie", false},
        {"NVIDIA H100 NVL", "server-h100", false},
        {"NVIDIA GB200", "gb200-nvl72", true},
        /* of a series, the nearest; numbers of two digits make none */
        {"NVIDIA B300 SXM6 AC", "server-b200", false},
        {"b300_sxm", "server-b200", true},
        {"NVIDIA GB300", "gb200-nvl72", false},
        {"AMD Instinct MI355X", "server-mi300x", false},
        {"NVIDIA A30", NULL, false},
        {"NVIDIA Z9000", NULL, false},
        {"", NULL, false},
    };
    g_autoptr(moe_machines) machines = moe_machines_load();
    for (size_t i = 0; i < MOE_COUNT(names); i++) {
        const char *found = moe_machines_find(machines, names[i].device, names[i].network);
        MOE_CHECK(!g_strcmp0(found, names[i].preset), "%s: %s, not %s", names[i].device,
                  found ? found : "none", names[i].preset ? names[i].preset : "none");
    }
}

/* By a name that the preset says, or as the same accelerator elsewhere. */
static void
has_devices(void)
{
    static const struct {
        const char *preset, *device;
        bool has;
    } rows[] = {
        {"server-h100", "NVIDIA H100 80GB HBM3", true},
        {"dgx-h100", "h100_sxm", true},
        {"dgx-h100", "NVIDIA H100 PCIe", false},
        {"server-h100", "NVIDIA H100 NVL", false},
        {"server-b200", "NVIDIA B200", true},
        {"server-b200", "NVIDIA B300", false},
        {"no-such-preset", "NVIDIA B200", false},
        {"gb200-nvl72", "gb200_sxm", true},
        {"server-h200", "h200", true},
        {"workstation-rtxpro6000", "RTXPRO6000", true},
        {"server-h20", "NVIDIA H20-3e", false},
        {"server-h200", "NVIDIA H200 NVL", false},
    };
    g_autoptr(moe_machines) machines = moe_machines_load();
    for (size_t i = 0; i < MOE_COUNT(rows); i++)
        MOE_CHECK(moe_machines_has(machines, rows[i].preset, rows[i].device) == rows[i].has,
                  "%s: %s", rows[i].preset, rows[i].device);
}

/* They have no switch between them. */
static void
cards_talk_through_the_host(void)
{
    static const char *const cards[] = {"NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA L40S"};
    g_autoptr(moe_machines) machines = moe_machines_load();
    for (size_t i = 0; i < MOE_COUNT(cards); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        const char *found = moe_machines_find(machines, cards[i], true);
        MOE_CHECK(found != NULL, "%s", cards[i]);
        g_autoptr(moe_hardware_set) set =
            found ? moe_hardware_load(found, NULL, (moe_loc){0}, diag, NULL) : NULL;
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        const moe_network *network = &moe_hardware_get(set)->network;
        MOE_CHECK(network->n_levels && network->levels[0].kind == MOE_LEVEL_HOST, "%s: %s",
                  cards[i], found);
    }
}

/* The library of the version, else the newest; one of a single version only for that, or last. */
static void
finds_libraries(void)
{
    static const struct {
        const char *framework, *version, *found;
    } names[] = {
        {"sglang", "0.5.10", "sglang-0.5.10 sglang-0.5"},
        {"sglang", "0.5.14", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "0.5.6.post2", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "0.5.1", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "0.55", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "0.4.9", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "0.6.0", "sglang-0.5 sglang-0.5.10"},
        {"sglang", "", "sglang-0.5 sglang-0.5.10"},
        {"vllm", "0.14.0", "vllm-0.14 vllm-0.24"},
        {"vllm", "0.19.0", "vllm-0.24 vllm-0.14"},
        {"vllm", "0.11.0", "vllm-0.24 vllm-0.14"},
        {"vllm", "0.25.1", "vllm-0.24 vllm-0.14"},
        {"vllm", "", "vllm-0.24 vllm-0.14"},
        {"trtllm", "1.2.0rc5", "trtllm-1.3 trtllm-1.0"},
        {"trtllm", "1.3.0rc20", "trtllm-1.3 trtllm-1.0"},
        {"infersim", "", "infersim"},
        {"lmdeploy", "0.9", ""},
        {"", "0.9", ""},
    };
    for (size_t i = 0; i < MOE_COUNT(names); i++) {
        g_auto(GStrv) found = moe_framework_libraries(names[i].framework, names[i].version);
        g_autofree char *text = g_strjoinv(" ", found);
        MOE_CHECK(!strcmp(text, names[i].found), "%s %s: %s", names[i].framework, names[i].version,
                  text);
    }
}

static void
parses_choices(void)
{
    static const struct {
        const char *text;
        bool good;
        moe_fit_rows rows;
    } texts[] = {{"4of5", true, MOE_FIT_SHAPES},
                 {"1of2", true, MOE_FIT_SHAPES},
                 {"5of5", false, 0},
                 {"0of5", false, 0},
                 {"ranks<8", true, MOE_FIT_RANKS},
                 {"ranks<0", false, 0},
                 {"all", true, MOE_FIT_ALL},
                 {"none", true, MOE_FIT_NONE},
                 {"most", false, 0},
                 {"", false, 0}};
    for (size_t i = 0; i < MOE_COUNT(texts); i++) {
        moe_fit_choice choice = {0};
        bool good = moe_fit_choice_parse(texts[i].text, &choice);
        MOE_CHECK(good == texts[i].good && (!good || choice.rows == texts[i].rows), "%s: %d, %d",
                  texts[i].text, good, choice.rows);
    }
}

/* ---- tables made by the cost functions themselves ---- */

typedef struct fixture {
    moe_hardware_set *base;
    moe_candidate truth;
    GArray *rows; /* moe_measured_row */
} fixture;

static fixture
begin(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    fixture f = {.base = moe_hardware_load("server-h100", NULL, (moe_loc){0}, diag, NULL),
                 .rows = g_array_new(false, true, sizeof(moe_measured_row))};
    CU_ASSERT_FATAL(f.base != NULL);
    moe_candidate_init(&f.truth, moe_hardware_get(f.base), NULL, NULL);
    return f;
}

static void
end(fixture *f)
{
    moe_candidate_clear(&f->truth);
    moe_hardware_free(f->base);
    g_array_unref(f->rows);
}

static moe_measured_row
blank(int kind)
{
    return (moe_measured_row){.kind = kind,
                              .device = "NVIDIA H100 80GB HBM3",
                              .source = "",
                              .framework = "",
                              .version = "",
                              .kernel = "",
                              .dtype = "bf16",
                              .kv_dtype = "",
                              .distribution = "",
                              .algorithm = "",
                              .odd = "",
                              .weight_bits = 16,
                              .activation_bits = 16};
}

/* Streams of so many sizes, each `factor` times what the machine takes; every fourth twice that. */
static void
add_streams(fixture *f, double factor, bool every_fourth)
{
    for (int i = 0; i < 40; i++) {
        moe_measured_row row = blank(MOE_MEASURED_STREAM);
        row.bytes = INT64_C(10000000) * (i + 1);
        row.time_us = moe_predict(&f->truth, &row) * factor;
        if (every_fourth && i % 4 == 3)
            row.time_us *= 2;
        g_array_append_val(f->rows, row);
    }
}

/* Rows n, n + step … of the fixture, in a table. */
static moe_measured *
table_of(const fixture *f, guint step)
{
    moe_measured *table = moe_measured_new();
    moe_measured_begin(table, "made.csv");
    for (guint i = 0; i < f->rows->len; i++) {
        const char *why = NULL;
        const moe_measured_row *row =
            &g_array_index(f->rows, moe_measured_row, (i * step) % f->rows->len);
        bool added = moe_measured_add(table, row, &why);
        MOE_CHECK(added, "row %u: %s", i, why);
    }
    return table;
}

static moe_validation *
validate(const moe_measured *table, const char *fit, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_validate_options o = {0};
    moe_fit_choice_parse(fit, &o.fit);
    moe_validation *v = moe_validate(table, &o, diag, &error);
    char *said = moe_diag_render(diag);
    MOE_CHECK(v || moe_diag_errors(diag), "%s", error ? error->message : "nothing");
    if (messages)
        *messages = said;
    else {
        MOE_CHECK(v, "%s", said);
        g_free(said);
    }
    return v;
}

static void
scores(void)
{
    fixture f = begin();
    size_t n = 0;
    add_streams(&f, 1, true);
    g_autoptr(moe_measured) table = table_of(&f, 1);
    g_autoptr(moe_validation) v = validate(table, "none", NULL);
    const moe_family *families = moe_validation_families(v, &n);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    const moe_score *s = &families[0].all;
    /* thirty rows exact, ten at half of what was measured */
    MOE_CHECK(s->rows == 40 && fabs(s->mean - 0.125) < 1e-6 && s->median < 1e-6 &&
                  fabs(s->p90 - 0.5) < 1e-6 && fabs(s->bias + 0.125) < 1e-6,
              "%zu rows, %g %g %g %g", s->rows, s->mean, s->median, s->p90, s->bias);
    MOE_CHECK(s->roofline > 0 && s->roofline < 1, "roofline %g", s->roofline);
    CU_ASSERT_EQUAL(families[0].fitted.rows, 0);
    end(&f);
}

/* The order of rows is nothing. */
static void
order(void)
{
    fixture f = begin();
    size_t n = 0, m = 0;
    add_streams(&f, 1.3, true);
    for (int i = 0; i < 30; i++) {
        moe_measured_row row = blank(MOE_MEASURED_GEMM);
        row.m = 1 << i % 12;
        row.n = 1024 + 512 * (i / 3);
        row.k = 4096;
        row.time_us = moe_predict(&f.truth, &row) * (1 + 0.01 * i);
        g_array_append_val(f.rows, row);
    }
    g_autoptr(moe_measured) a = table_of(&f, 1), b = table_of(&f, 33);
    g_autoptr(moe_validation) v = validate(a, "4of5", NULL), w = validate(b, "4of5", NULL);
    const moe_family *x = moe_validation_families(v, &n), *y = moe_validation_families(w, &m);
    CU_ASSERT_EQUAL_FATAL(n, m);
    for (size_t i = 0; i < n; i++) {
        MOE_CHECK(!strcmp(x[i].name, y[i].name) && x[i].all.rows == y[i].all.rows &&
                      x[i].held.rows == y[i].held.rows && x[i].all.mean == y[i].all.mean &&
                      x[i].held.p90 == y[i].held.p90 && x[i].regimes->len == y[i].regimes->len,
                  "%s: %g and %g", x[i].name, x[i].all.mean, y[i].all.mean);
    }
    end(&f);
}

/* Milliseconds, or seconds, in the place of microseconds. */
static void
units(void)
{
    static const struct {
        double factor;
        const char *said;
    } wrong[] = {{1e-1, "made.csv: error: rows of kind stream are "},
                 {1e3, "made.csv: error: rows of kind stream take 1e+03 times what 'server-h100'"}};
    for (size_t i = 0; i < MOE_COUNT(wrong); i++) {
        fixture f = begin();
        g_autofree char *said = NULL;
        add_streams(&f, wrong[i].factor, false);
        g_autoptr(moe_measured) table = table_of(&f, 1);
        g_autoptr(moe_validation) v = validate(table, "none", &said);
        MOE_CHECK(!v && g_str_has_prefix(said, wrong[i].said), "%s", said);
        end(&f);
    }
}

static void
unknown(void)
{
    fixture f = begin();
    g_autofree char *said = NULL;
    add_streams(&f, 1, false);
    g_array_index(f.rows, moe_measured_row, 7).device = "NVIDIA Z9000";
    g_autoptr(moe_measured) table = table_of(&f, 1);
    g_autoptr(moe_validation) v = validate(table, "none", &said);
    MOE_CHECK(!v && strstr(said, "no machine of ours has a 'NVIDIA Z9000'"), "%s", said);
    end(&f);
}

/* Rows that are set aside count only in `odd`, and no fit sees them. */
static void
odd(void)
{
    fixture f = begin();
    size_t n = 0;
    add_streams(&f, 1, false);
    for (guint i = 0; i < 10; i++) {
        g_array_index(f.rows, moe_measured_row, i).odd = "the clock was off";
        g_array_index(f.rows, moe_measured_row, i).time_us *= 3;
    }
    g_autoptr(moe_measured) table = table_of(&f, 1);
    g_autoptr(moe_validation) v = validate(table, "all", NULL);
    const moe_family *family = moe_validation_families(v, &n);
    MOE_CHECK(n == 1 && family->all.rows == 30 && family->odd.rows == 40 && family->aside == 10 &&
                  family->fitted.rows == 30 && family->all.mean < 1e-3 && family->odd.mean > 0.1,
              "%zu rows, %g; %zu, %g", family->all.rows, family->all.mean, family->odd.rows,
              family->odd.mean);
    end(&f);
}

/* Skewed rows against balanced ones: one slower, one faster, foretold both as slower. */
static void
signs(void)
{
    static const uint32_t even[] = {8, 8, 8, 8}, uneven[] = {29, 1, 1, 1};
    fixture f = begin();
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        moe_measured_row row = blank(MOE_MEASURED_EXPERTS);
        row.hidden = 1024 << (i / 2);
        row.width = 4096;
        row.experts = 4;
        row.top_k = 1;
        row.tokens = 32;
        row.distribution = i % 2 ? "power_law_1.2" : "balanced";
        row.loads = i % 2 ? uneven : even;
        row.n_loads = 4;
        row.time_us = i == 1 ? 130 : i == 3 ? 90 : 100;
        g_array_append_val(f.rows, row);
    }
    g_autoptr(moe_measured) table = table_of(&f, 1);
    g_autoptr(moe_validation) v = validate(table, "none", NULL);
    const moe_family *family = moe_validation_families(v, &n);
    MOE_CHECK(n == 1 && family->sign.pairs == 2 && family->sign.right <= 1,
              "%zu of %zu pairs are right", family->sign.right, family->sign.pairs);
    end(&f);
}

/* A library's numbers are found again from rows that another library of the same kernel made. */
static void
fits_libraries(void)
{
    static const char text[] = "name: made\ngemm:\n  - name: one\n    dtype: bf16\n"
                               "    efficiency: %d%%\n    stream_efficiency: 80%%\n"
                               "    fixed: %dus\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autofree char *wrong = g_strdup_printf(text, 40, 9), *right = g_strdup_printf(text, 70, 4);
    g_autoptr(moe_kernels_set) base = moe_kernels_parse("w.yaml", wrong, strlen(wrong), diag);
    g_autoptr(moe_kernels_set) made = moe_kernels_parse("r.yaml", right, strlen(right), diag);
    CU_ASSERT_FATAL(base && made);
    fixture f = begin();
    moe_candidate_clear(&f.truth);
    moe_candidate_init(&f.truth, moe_hardware_get(f.base), moe_kernels_get(made), NULL);
    for (int i = 0; i < 120; i++) {
        moe_measured_row row = blank(MOE_MEASURED_GEMM);
        row.m = 1 << i % 14;
        row.n = 1024 + 512 * (i / 7);
        row.k = 2048 + 1024 * (i % 5);
        row.time_us = moe_predict(&f.truth, &row);
        g_array_append_val(f.rows, row);
    }
    g_autoptr(moe_measured) table = table_of(&f, 1);
    g_autoptr(moe_calibration) c = moe_calibrate(table, f.base, base, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    const moe_calibrated_kind *kind = moe_calibration_kind(c, MOE_MEASURED_GEMM);
    MOE_CHECK(kind->held.rows > 0 && kind->held.mean < 0.01 && kind->held.base_mean > 0.1,
              "%zu rows held back, %g off, before %g", kind->held.rows, kind->held.mean,
              kind->held.base_mean);
    g_autoptr(GString) library = g_string_new(NULL);
    CU_ASSERT(moe_calibration_library(c, "fitted", library, diag));
    g_autoptr(moe_kernels_set) again =
        moe_kernels_parse("a.yaml", library->str, library->len, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    /* Rows that are foretold as well as can be are no rows that fit nothing. */
    g_autoptr(moe_calibration) settled = moe_calibrate(table, f.base, again, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(settled != NULL, "%s", said);
    const moe_gemm_kernel *kernel = moe_kernels_get(again)->gemm;
    MOE_CHECK(fabs(kernel->efficiency / 0.7 - 1) < 0.02 && strstr(library->str, "basis: fitted"),
              "%s", library->str);
    end(&f);
}

/* By version where there is a library of it, else the framework's own, else its last. */
static void
libraries_by_version(void)
{
    static const char *const cases[][3] = {
        {"vllm", "0.24.0", "vllm-0.24"},
        {"vllm", "0.14.0", "vllm-0.14"},
        {"vllm", "9.9", "vllm-0.24"},
        {"sglang", "0.5.10", "sglang-0.5.10"},
        {"sglang", "0.5.14", "sglang-0.5"},
        {"frontier", "", "frontier"},
        {"frontier", "in-turn", "frontier-in-turn"},
        {"frontier", "2", "frontier"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_auto(GStrv) got = moe_framework_libraries(cases[i][0], cases[i][1]);
        MOE_CHECK(got[0] && !strcmp(got[0], cases[i][2]), "%s %s: %s", cases[i][0], cases[i][1],
                  got[0] ? got[0] : "none");
    }
    g_auto(GStrv) none = moe_framework_libraries("nobody", "1");
    CU_ASSERT_PTR_NULL(none[0]);
}

/* Rows of a library that lacks their kernel go to another one of its framework, those of a type
 * that nothing is for to the nearest one, and it is said which. */
static void
stands_in(void)
{
    static const struct {
        const char *framework, *version, *kernel, *dtype;
        double weight_bits, activation_bits;
        const char *library, *by;
        bool of_type;
    } rows[] = {
        {"trtllm", "1.0.0", "moe_torch_flow", "bf16", 16, 16, "trtllm-1.0", "moe_torch_flow", true},
        {"trtllm", "1.0.0", "moe_torch_flow", "fp8", 8, 8, "trtllm-1.3", "moe_torch_flow", true},
        {"trtllm", "1.3.0", "new", "fp8", 8, 8, "trtllm-1.3", "moe_torch_flow", true},
        {"trtllm", "1.3.0", "new", "nvfp4", 4.5, 4.5, "trtllm-1.3", "moe_torch_flow", false},
        {"sglang", "0.5.10", "x", "fp8_block", 8, 8, "sglang-0.5", "fused_moe_triton", true},
        {"sglang", "0.6.0", "x", "mxfp4", 4.25, 16, "sglang-0.5", "fused_moe_triton", true},
        {"vllm", "0.24.0", "x", "w4a8", 4.125, 8, "vllm-0.24", "modeloptfp8moe", false},
        {"lmdeploy", "1", "x", "fp8", 8, 8, "vllm-0.24", "modeloptfp8moe", true},
        {"vllm", "0.24.0", "x", "fp32", 32, 32, "", "", true},
    };
    fixture f = begin();
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        moe_measured_row row = blank(MOE_MEASURED_EXPERTS);
        row.framework = rows[i].framework;
        row.version = rows[i].version;
        row.kernel = rows[i].kernel;
        row.dtype = rows[i].dtype;
        row.weight_bits = rows[i].weight_bits;
        row.activation_bits = rows[i].activation_bits;
        row.hidden = 4096;
        row.width = 1024;
        row.matrices = 3;
        row.experts = 64;
        row.top_k = 4;
        row.tokens = 256;
        row.distribution = "balanced";
        row.time_us = 500;
        g_array_set_size(f.rows, 0);
        g_array_append_val(f.rows, row);
        size_t n = 0;
        g_autoptr(moe_measured) table = table_of(&f, 1);
        g_autoptr(moe_validation) v = validate(table, "none", NULL);
        const moe_validated_row *found = moe_validation_rows(v, &n);
        MOE_CHECK(n == 1 && !strcmp(found->library, rows[i].library) &&
                      g_str_has_prefix(found->kernel, rows[i].by) &&
                      found->of_type == rows[i].of_type && found->predicted_us > 0,
                  "%s %s: %s of %s, %d", rows[i].framework, rows[i].dtype, found->kernel,
                  found->library, found->of_type);
    }
    end(&f);
}

MOE_TESTS({"libraries by version", libraries_by_version}, {"finds machines", finds_machines},
          {"has devices", has_devices}, {"cards", cards_talk_through_the_host},
          {"finds libraries", finds_libraries}, {"stands in", stands_in},
          {"choices", parses_choices}, {"scores", scores}, {"order", order}, {"units", units},
          {"unknown devices", unknown}, {"odd rows", odd}, {"signs", signs},
          {"fits libraries", fits_libraries})
