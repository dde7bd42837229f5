/* Calibration gives back the numbers of machines that rows are made from, keeps what rows do not
 * tell, and holds whole shapes back. */
#include "hw/cost_attention.h"
#include "tests/unit/calibrate_fixture.h"

/* ---- rows of the fixture's true machine ---- */

/* Uniform in -1 … 1, by a counter. */
static double
fixture_draw(fixture *f)
{
    uint64_t x = (++f->draws + 1) * 0x9E3779B97F4A7C15u;
    x ^= x >> 31;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 29;
    return (double)(x >> 11) / 4503599627370496.0 - 1;
}

static void
fixture_add(fixture *f, moe_measured_row row, moe_cost cost)
{
    const char *why = NULL;
    row.device = "NVIDIA H100 80GB HBM3";
    row.source = row.source ? row.source : "a fixture";
    row.time_us = (double)cost.total_ps / 1e6 * (1 + f->noise * fixture_draw(f));
    MOE_CHECK(moe_measured_add(f->table, &row, &why), "%s", why);
}

static void
fixture_gemm(fixture *f, int64_t m, int64_t n, int64_t k)
{
    moe_measured_row row = {.kind = MOE_MEASURED_GEMM, .m = m, .n = n, .k = k};
    fixture_add(f, row,
                moe_cost_gemm(&f->hw, &f->truth, (double)m, (double)n, (double)k, 16, 16, 1));
}

static void
fixture_experts(fixture *f, int64_t hidden, int64_t width, uint32_t n, uint32_t each)
{
    g_autofree uint32_t *loads = g_new(uint32_t, n);
    double params = 3.0 * (double)hidden * (double)width;
    moe_expert_shape shape = {params, 2 * params, (double)hidden, (double)width, 16, 16};
    moe_measured_row row = {.kind = MOE_MEASURED_EXPERTS,
                            .hidden = hidden,
                            .width = width,
                            .loads = loads,
                            .n_loads = n};
    for (uint32_t i = 0; i < n; i++)
        loads[i] = each + i % 3; /* not all alike */
    fixture_add(f, row, moe_cost_experts(&f->hw, &f->truth, &shape, loads, n));
}

static void
fixture_attention(fixture *f, int64_t heads, int64_t kv, int64_t sequences, int64_t queries,
                  int64_t context)
{
    const int64_t dim = 128;
    double scored = (double)(sequences * queries) * ((double)context - (double)(queries - 1) / 2);
    moe_attention_work work = {
        .queries = (double)(sequences * queries),
        .kv_bytes = (double)(sequences * context * 2 * kv * dim * 2),
        .new_bytes = (double)(sequences * queries * 2 * kv * dim * 2),
        .flops = 4.0 * (double)(heads * dim) * scored,
        .rows = queries > 1 ? (double)(sequences * queries) : 1,
        .keys = scored / (double)(sequences * queries),
        .heads = (double)(sequences * kv),
        .activation_bits = 16,
    };
    moe_measured_row row = {.kind = MOE_MEASURED_ATTENTION,
                            .heads = heads,
                            .kv_heads = kv,
                            .head_dim = dim,
                            .sequences = sequences,
                            .queries = queries,
                            .context = context};
    fixture_add(f, row, moe_cost_attention(&f->hw, &f->truth, &work));
}

/* Over link 0 (to the device) or 1 (from it). */
static void
fixture_copy(fixture *f, int link, int64_t bytes, bool pageable, bool concurrent)
{
    moe_hw_link l = f->links[link];
    moe_measured_row row = {.kind = MOE_MEASURED_COPY,
                            .direction = link ? MOE_MEASURED_D2H : MOE_MEASURED_H2D,
                            .bytes = bytes,
                            .pageable = pageable,
                            .concurrent = concurrent};
    if (concurrent)
        l.bytes_per_s *= l.duplex;
    fixture_add(f, row, moe_cost_copy(&l, (double)bytes, pageable));
}

static void
fixture_expect_kept(const moe_calibration *c, const char *key, const char *remark)
{
    const moe_calibrated *number = fixture_number(c, key);
    MOE_CHECK(!number->fitted && number->value == number->base && !strcmp(number->remark, remark),
              "%s: %g of base %g, %s (%s)", key, number->value, number->base,
              number->fitted ? "fitted" : "kept", number->remark);
}

/* ---- tables ---- */

static void
add_products(fixture *f)
{
    static const int64_t sizes[] = {1024, 2048, 4096, 8192, 14336};
    for (size_t n = 0; n < MOE_COUNT(sizes); n++)
        for (size_t k = 0; k < 3; k++)
            for (int64_t m = 1; m <= 8192; m *= 4)
                fixture_gemm(f, m, sizes[n], sizes[k]);
}

static void
add_experts(fixture *f)
{
    static const struct {
        int64_t hidden, width;
        uint32_t n;
    } shapes[] = {{4096, 14336, 8},  {2048, 768, 128}, {2048, 1024, 64},
                  {5120, 1536, 160}, {4096, 1536, 16}, {7168, 2048, 32}};
    for (size_t s = 0; s < MOE_COUNT(shapes); s++)
        for (uint32_t each = 1; each <= 2048; each *= 2)
            for (uint32_t n = 2; n <= shapes[s].n; n *= 2)
                fixture_experts(f, shapes[s].hidden, shapes[s].width, n, each);
}

static void
add_attention(fixture *f)
{
    for (int64_t heads = 8; heads <= 64; heads *= 2)
        for (int64_t sequences = 1; sequences <= 64; sequences *= 4)
            for (int64_t context = 16; context <= 16384; context *= 4) {
                /* with one number of heads to a KV head, passes and half point are one */
                int64_t kv = heads > 8 ? heads / 4 : heads;
                kv = sequences == 4 ? 1 : kv;
                fixture_attention(f, heads, kv, sequences, 1, context);
                fixture_attention(f, heads, kv, sequences, context, context);
            }
}

static void
add_copies(fixture *f)
{
    for (int link = 0; link < 2; link++)
        for (int64_t bytes = 1 << 16; bytes <= 1 << 30; bytes *= 2) {
            fixture_copy(f, link, bytes, false, false);
            fixture_copy(f, link, bytes, true, false);
            fixture_copy(f, link, bytes, false, true);
        }
}

static void
make_truth(fixture *f)
{
    f->truth.gemm.efficiency = 0.71;
    f->truth.gemm.stream_efficiency = 0.77;
    f->truth.gemm.half_rows = 90;
    f->truth.gemm.fixed_ps = 1200000;
    f->truth.experts.efficiency = 0.43;
    f->truth.experts.stream_efficiency = 0.85;
    f->truth.experts.half_rows = 55;
    f->truth.experts.fixed_ps = 14000000;
    f->truth.experts.expert_ps = 210000;
    f->truth.attention.efficiency = 0.66;
    f->truth.attention.stream_efficiency = 0.81;
    f->truth.attention.half_keys = 430;
    f->truth.attention.fixed_ps = 5500000;
    f->truth.attention.head_ps = 24000;
    for (int link = 0; link < 2; link++) {
        f->links[link].bytes_per_s = 24.7e9 + link * 1e9;
        f->links[link].latency_ps = 9000000;
        f->links[link].pageable_bytes_per_s = 6.1e9;
        f->links[link].pageable_latency_ps = 21000000;
        f->links[link].duplex = 0.8;
    }
}

static void
expect_truth(const fixture *f, const moe_calibration *c, double share)
{
    const moe_device *t = &f->truth;
    fixture_expect(c, "devices.0.gemm_efficiency", t->gemm.efficiency, share);
    fixture_expect(c, "devices.0.stream_efficiency", t->gemm.stream_efficiency, share);
    fixture_expect(c, "devices.0.half_rows", t->gemm.half_rows, 3 * share);
    fixture_expect(c, "devices.0.gemm_fixed", (double)t->gemm.fixed_ps, 3 * share);
    fixture_expect(c, "devices.0.expert_efficiency", t->experts.efficiency, share);
    fixture_expect(c, "devices.0.expert_stream_efficiency", t->experts.stream_efficiency, share);
    fixture_expect(c, "devices.0.expert_half_rows", t->experts.half_rows, 3 * share);
    fixture_expect(c, "devices.0.expert_fixed", (double)t->experts.fixed_ps, 3 * share);
    /* hardly apart from the bandwidth: an expert's weights take longer by both */
    fixture_expect(c, "devices.0.per_expert", (double)t->experts.expert_ps, 6 * share);
    fixture_expect(c, "devices.0.attention_efficiency", t->attention.efficiency, share);
    fixture_expect(c, "devices.0.attention_stream_efficiency", t->attention.stream_efficiency,
                   share);
    fixture_expect(c, "devices.0.attention_half_keys", t->attention.half_keys, 3 * share);
    fixture_expect(c, "devices.0.attention_fixed", (double)t->attention.fixed_ps, 3 * share);
    fixture_expect(c, "devices.0.per_head", (double)t->attention.head_ps, 3 * share);
    fixture_expect(c, "links.0.rate", f->links[0].bytes_per_s, share);
    fixture_expect(c, "links.1.rate", f->links[1].bytes_per_s, share);
    fixture_expect(c, "links.0.latency", (double)f->links[0].latency_ps, 3 * share);
    fixture_expect(c, "links.0.pageable", f->links[0].pageable_bytes_per_s, share);
    fixture_expect(c, "links.1.pageable_latency", (double)f->links[1].pageable_latency_ps,
                   3 * share);
    fixture_expect(c, "links.0.duplex", 0.8, share);
    fixture_expect(c, "links.1.duplex", 0.8, share);
}

/* Passes are found where there are some; where there are none, they are no better than none. */
static void
expect_passes(const moe_calibration *c, double passes, double share)
{
    static const char *const keys[] = {"devices.0.expert_pass_efficiency",
                                       "devices.0.attention_pass_efficiency"};
    for (size_t i = 0; i < MOE_COUNT(keys); i++)
        if (passes > 0)
            fixture_expect(c, keys[i], passes, share);
        else
            fixture_expect_kept(c, keys[i], "the rows do not determine it");
}

/* Rows without noise give the numbers back; with noise of up to 5 % nearly, and the error on rows
 * held back is that of the noise. */
static void
recovers(void)
{
    static const struct {
        double noise, passes, share, mean;
    } cases[] = {{0, 0, 0.002, 0.0005}, {0, 0.4, 0.002, 0.0005}, {0.05, 0.4, 0.03, 0.03}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture f = fixture_begin();
        f.noise = cases[i].noise;
        make_truth(&f);
        f.truth.experts.pass_efficiency = f.truth.attention.pass_efficiency = cases[i].passes;
        add_products(&f);
        add_experts(&f);
        add_attention(&f);
        add_copies(&f);
        g_autoptr(moe_calibration) c = fixture_calibrate(&f);
        if (c) {
            expect_truth(&f, c, cases[i].share);
            expect_passes(c, cases[i].passes, 3 * cases[i].share);
            fixture_expect_kept(c, "devices.0.tile", "the rows do not determine it");
            fixture_expect_kept(c, "devices.0.launch", "no rows");
        }
        for (int kind = MOE_MEASURED_GEMM; c && kind <= MOE_MEASURED_COPY; kind++) {
            const moe_calibrated_kind *k = moe_calibration_kind(c, kind);
            MOE_CHECK(k->held.rows > 0 && k->held.mean <= cases[i].mean &&
                          k->held.base_mean > 2 * cases[i].mean,
                      "kind %d: %zu rows held back, %g off, the base %g", kind, k->held.rows,
                      k->held.mean, k->held.base_mean);
        }
        fixture_end(&f);
    }
}

/* Launches, in graphs and outside, and the bandwidth of streams, which products then take over. */
static void
launches_and_streams(void)
{
    fixture f = fixture_begin();
    f.truth.launch_ps = 2100000;
    f.truth.graph_launch_ps = 900000;
    f.truth.gemm.stream_efficiency = 0.93;
    for (int64_t kernels = 10; kernels <= 1280; kernels *= 2)
        for (int graph = 0; graph < 2; graph++) {
            moe_measured_row row = {
                .kind = MOE_MEASURED_LAUNCH, .kernels = kernels, .graph = graph};
            int64_t one = graph ? f.truth.graph_launch_ps : f.truth.launch_ps;
            fixture_add(&f, row, (moe_cost){.total_ps = kernels * one});
        }
    for (int64_t bytes = 1 << 22; bytes <= 1 << 30; bytes *= 2) {
        moe_measured_row row = {.kind = MOE_MEASURED_STREAM, .bytes = bytes};
        fixture_add(&f, row, moe_cost_stream(&f.hw, &f.truth, (double)bytes));
    }
    g_autoptr(moe_calibration) c = fixture_calibrate(&f);
    if (c) {
        fixture_expect(c, "devices.0.launch", 2100000, 0.001);
        fixture_expect(c, "devices.0.launch_in_graph", 900000, 0.001);
        fixture_expect(c, "devices.0.stream_efficiency", 0.93, 0.002);
        fixture_expect_kept(c, "devices.0.gemm_efficiency", "no rows");
    }
    fixture_end(&f);
}

/* Launches and products of tables in which measuring adds 2.5 us to a call, 2.8 to a graph. */
static void
add_measured(fixture *f, const char *products)
{
    for (int64_t kernels = 1; kernels <= 1000; kernels *= 10)
        for (int graph = 0; graph < 2; graph++) {
            moe_measured_row row = {.kind = MOE_MEASURED_LAUNCH, .source = "bench"};
            int64_t one = graph ? f->truth.graph_launch_ps : f->truth.launch_ps;
            row.kernels = kernels;
            row.graph = graph;
            fixture_add(f, row,
                        (moe_cost){.total_ps = kernels * one + (graph ? 2800000 : 2500000)});
        }
    for (int64_t m = 1; m <= 4096; m *= 4)
        for (int64_t n = 1024; n <= 16384; n *= 2) {
            moe_measured_row row = {
                .kind = MOE_MEASURED_GEMM, .source = products, .m = m, .n = n, .k = 4096};
            moe_cost cost = moe_cost_gemm(&f->hw, &f->truth, (double)m, (double)n, 4096, 16, 16, 1);
            cost.total_ps += 2500000;
            fixture_add(f, row, cost);
        }
}

/* What measuring adds to every call is not taken for the machine's, neither of launches nor of the
 * products of the same table; of another source nothing is known of it. */
static void
measuring_adds(void)
{
    static const struct {
        const char *products;
        double fixed_us;
    } cases[] = {{"bench", 4}, {"another", 4 + 2.5}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture f = fixture_begin();
        f.truth.launch_ps = 3300000;
        f.truth.graph_launch_ps = 800000;
        f.truth.gemm.fixed_ps = 4000000;
        add_measured(&f, cases[i].products);
        g_autoptr(moe_calibration) c = fixture_calibrate(&f);
        if (c) {
            fixture_expect(c, "devices.0.launch", 3300000, 0.001);
            fixture_expect(c, "devices.0.launch_in_graph", 800000, 0.001);
            fixture_expect(c, "measuring.call", 2500000, 0.001);
            fixture_expect(c, "measuring.graph", 2800000, 0.001);
            fixture_expect(c, "devices.0.gemm_fixed", cases[i].fixed_us * 1e6, 0.01);
            g_autoptr(GString) preset = g_string_new(NULL);
            g_autoptr(moe_diag) diag = moe_diag_new();
            CU_ASSERT(moe_calibration_preset(c, "made", preset, diag));
            MOE_CHECK(!strstr(preset->str, "measuring"), "%s", preset->str);
        }
        fixture_end(&f);
    }
}

/* Padding shows where experts have few tokens and are bound by computing. */
static void
tiles(void)
{
    fixture f = fixture_begin();
    f.truth.experts.tile = 64;
    f.truth.experts.half_rows = 4;
    f.truth.experts.stream_efficiency = 0.9;
    f.truth.peak.bf16 = f.hw.devices[0].peak.bf16;
    f.truth.experts.efficiency = 0.1;
    for (uint32_t each = 1; each <= 1024; each += 1 + each / 3)
        for (int64_t width = 1024; width <= 8192; width *= 2)
            for (uint32_t n = 4; n <= 64; n *= 4)
                fixture_experts(&f, 4096, width, n, each);
    g_autoptr(moe_calibration) c = fixture_calibrate(&f);
    if (c) {
        fixture_expect(c, "devices.0.tile", 64, 0);
        fixture_expect(c, "devices.0.expert_efficiency", 0.1, 0.02);
    }
    fixture_end(&f);
}

/* One token each: only the bandwidth and the fixed part can be known. */
static void
lacking_regimes(void)
{
    fixture f = fixture_begin();
    make_truth(&f);
    for (int64_t width = 1024; width <= 16384; width *= 2)
        for (uint32_t n = 1; n <= 8; n++)
            fixture_experts(&f, 4096, width, n, 1);
    g_autoptr(moe_calibration) c = fixture_calibrate(&f);
    if (c) {
        fixture_expect(c, "devices.0.expert_stream_efficiency", 0.85, 0.01);
        fixture_expect(c, "devices.0.expert_fixed", 14e6, 0.02);
        fixture_expect_kept(c, "devices.0.expert_efficiency", "the rows do not determine it");
        fixture_expect_kept(c, "devices.0.expert_half_rows", "the rows do not determine it");
        fixture_expect_kept(c, "devices.0.attention_efficiency", "no rows");
    }
    fixture_end(&f);
}

/* A tenth of the rows three times too long: the others decide, and they are called odd. */
static void
odd_rows(void)
{
    fixture f = fixture_begin();
    make_truth(&f);
    moe_device truth = f.truth;
    for (int64_t n = 1024; n <= 16384; n *= 2)
        for (int64_t k = 1024; k <= 8192; k *= 2)
            for (int64_t m = 1, i = 0; m <= 8192; m *= 2, i++) {
                f.truth = truth;
                if ((n / 1024 + k / 1024 + i) % 10 == 0) {
                    f.truth.gemm.efficiency /= 3;
                    f.truth.gemm.stream_efficiency /= 3;
                }
                fixture_gemm(&f, m, n, k);
            }
    g_autoptr(moe_calibration) c = fixture_calibrate(&f);
    if (c) {
        const moe_calibrated_kind *k = moe_calibration_kind(c, MOE_MEASURED_GEMM);
        fixture_expect(c, "devices.0.gemm_efficiency", 0.71, 0.03);
        fixture_expect(c, "devices.0.stream_efficiency", 0.77, 0.03);
        MOE_CHECK(k->odd > 10 && k->odd < 40, "%zu odd rows of %zu", k->odd, k->rows);
        MOE_CHECK(k->typical.mean < 0.02, "%g", k->typical.mean);
    }
    fixture_end(&f);
}

/* ---- rows ---- */

static char *
preset_of(const fixture *f)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_calibration) c = moe_calibrate(f->table, f->base, NULL, diag);
    GString *text = g_string_new(NULL);
    bool good = c && moe_calibration_preset(c, "mine", text, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(good, "%s\n%s", said, text->str);
    return g_string_free(text, false);
}

/* The same rows backwards, and some of them twice: the same preset, byte for byte. */
static void
order_is_nothing(void)
{
    fixture f = fixture_begin(), g = fixture_begin();
    f.noise = 0.05;
    make_truth(&f);
    add_experts(&f);
    add_copies(&f);
    for (size_t i = moe_measured_count(f.table); i-- > 0;) {
        const char *why = NULL;
        moe_measured_add(g.table, moe_measured_at(f.table, i), &why);
        if (i % 7 == 0)
            moe_measured_add(g.table, moe_measured_at(f.table, i), &why);
    }
    g_autofree char *a = preset_of(&f), *b = preset_of(&g);
    MOE_CHECK(!strcmp(a, b), "%s\n%s", a, b);
    fixture_end(&f);
    fixture_end(&g);
}

/* No shape is both fitted and held back; about a fifth of them are. */
static void
shapes_are_held_back(void)
{
    fixture f = fixture_begin();
    make_truth(&f);
    add_products(&f);
    g_autoptr(moe_calibration) c = fixture_calibrate(&f);
    size_t n = 0, held = 0;
    const moe_calibrated_row *rows = c ? moe_calibration_rows(c, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        held += rows[i].held;
        for (size_t j = 0; j < i; j++)
            if (rows[i].row->n == rows[j].row->n && rows[i].row->k == rows[j].row->k)
                MOE_CHECK(rows[i].held == rows[j].held, "%zu, %zu", i, j);
    }
    const moe_calibrated_kind *k = c ? moe_calibration_kind(c, MOE_MEASURED_GEMM) : NULL;
    MOE_CHECK(k && k->shapes == 15 && k->held_shapes == 3 && held * 5 == n, "%zu of %zu", held, n);
    fixture_end(&f);
}

/* ---- what is said ---- */

static void
expect_said(const fixture *f, const char *wanted)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_calibration) c = moe_calibrate(f->table, f->base, NULL, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(strstr(said, wanted), "'%s' is not in: %s", wanted, said);
}

static void
mistakes(void)
{
    fixture f = fixture_begin();
    expect_said(&f, "no number can be fitted to these rows (none)");
    fixture_gemm(&f, 1, 1024, 1024);
    fixture_gemm(&f, 4096, 1024, 1024);
    expect_said(&f, "no number can be fitted to these rows (2 of kind gemm)");
    moe_measured_row other = *moe_measured_at(f.table, 1);
    const char *why = NULL;
    other.device = "another";
    moe_measured_add(f.table, &other, &why);
    expect_said(&f, "a row of 'another' behind rows of 'NVIDIA H100 80GB HBM3'");
    fixture_end(&f);

    f = fixture_begin(); /* nanoseconds */
    for (int64_t m = 1; m <= 64; m++) {
        moe_measured_row row = {.kind = MOE_MEASURED_GEMM, .m = m, .n = 4096, .k = 4096};
        moe_cost cost = moe_cost_gemm(&f.hw, &f.truth, (double)m, 4096, 4096, 16, 16, 1);
        cost.total_ps *= 1000;
        fixture_add(&f, row, cost);
    }
    expect_said(&f, "rows of kind gemm take 1e+03 times what 'server-h100' does: are these "
                    "nanoseconds");
    fixture_end(&f);

    f = fixture_begin(); /* repeated, and not the same */
    make_truth(&f);
    add_products(&f);
    moe_measured_row again = *moe_measured_at(f.table, 7);
    again.time_us *= 1.5;
    moe_measured_add(f.table, &again, &why);
    expect_said(&f, "1 measurements are repeated with times more than 10 % apart, this one 1.50");
    fixture_end(&f);
}

/* A preset loads, says where its numbers come from, and follows the base in everything else. */
static void
presets(void)
{
    fixture f = fixture_begin();
    make_truth(&f);
    f.noise = 0.02;
    add_products(&f);
    add_copies(&f);
    g_autofree char *text = preset_of(&f);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set =
        moe_hardware_parse("mine.yaml", text, strlen(text), NULL, diag);
    CU_ASSERT_FATAL(set != NULL);
    const moe_hardware *hw = moe_hardware_get(set);
    const moe_device *d = &hw->devices[0], *base = &f.hw.devices[0];
    CU_ASSERT_STRING_EQUAL(hw->name, "mine");
    MOE_CHECK(fabs(d->gemm.efficiency / 0.71 - 1) < 0.02, "%g", d->gemm.efficiency);
    /* what followed a number that changed stays, and says so */
    CU_ASSERT_EQUAL(d->experts.half_rows, base->experts.half_rows);
    CU_ASSERT_EQUAL(d->attention.efficiency, base->attention.efficiency);
    CU_ASSERT_EQUAL(d->experts.stream_efficiency, base->gemm.stream_efficiency);
    CU_ASSERT_EQUAL(d->experts.efficiency, base->experts.efficiency);
    CU_ASSERT_EQUAL(d->launch_ps, base->launch_ps);
    CU_ASSERT_EQUAL(hw->places[0].capacity, f.hw.places[0].capacity);
    CU_ASSERT_EQUAL(hw->links[2].bytes_per_s, f.hw.links[2].bytes_per_s);
    MOE_CHECK(hw->links[0].wire >= 0 && hw->links[0].wire == hw->links[1].wire &&
                  hw->links[0].wire != hw->links[2].wire,
              "wires %d %d %d", hw->links[0].wire, hw->links[1].wire, hw->links[2].wire);
    MOE_CHECK(fabs(hw->links[0].duplex - 0.8) < 0.02, "%g", hw->links[0].duplex);
    MOE_CHECK(strstr(text, "basis: fitted, source: \"made.csv (a fixture): "), "%s", text);
    MOE_CHECK(strstr(text, "what half_rows was: these rows do not say"), "%s", text);
    MOE_CHECK(strstr(text, "nvbandwidth") == NULL, "a number that was replaced has its old source");
    fixture_end(&f);
}

/* A machine whose pageable memory is faster than its pinned would be refused: neither measured (by
 * noise) nor kept from the base does it become so. */
static void
pageable_is_not_faster(void)
{
    for (int measured = 0; measured < 2; measured++) {
        fixture f = fixture_begin();
        g_autoptr(GString) preset = g_string_new(NULL);
        g_autoptr(moe_diag) diag = moe_diag_new();
        f.links[0].bytes_per_s = f.hw.links[0].pageable_bytes_per_s / 3;
        f.links[0].pageable_bytes_per_s = 1.1 * f.links[0].bytes_per_s;
        for (int64_t bytes = 65536; bytes <= INT64_C(1) << 30; bytes *= 2)
            for (int pageable = 0; pageable <= measured; pageable++)
                fixture_copy(&f, 0, bytes, pageable, false);
        g_autoptr(moe_calibration) c = fixture_calibrate(&f);
        bool loads = c && moe_calibration_preset(c, "mine", preset, diag);
        g_autofree char *said = moe_diag_render(diag);
        MOE_CHECK(loads, "%s", said);
        fixture_expect(c, "links.0.rate", f.links[0].bytes_per_s, 0.001);
        fixture_expect(c, "links.0.pageable", f.links[0].bytes_per_s, 0.002);
        CU_ASSERT_STRING_EQUAL(fixture_number(c, "links.0.pageable")->remark,
                               "no faster than from pinned memory");
        fixture_end(&f);
    }
}

MOE_TESTS({"gives numbers back", recovers}, {"pageable memory", pageable_is_not_faster},
          {"launches and streams", launches_and_streams}, {"measuring adds", measuring_adds},
          {"tiles", tiles}, {"keeps what rows lack", lacking_regimes}, {"odd rows", odd_rows},
          {"order is nothing", order_is_nothing}, {"shapes are held back", shapes_are_held_back},
          {"mistakes", mistakes}, {"presets", presets})
