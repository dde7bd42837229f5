/* Energy of whole runs: parts add up, each number takes its part and no other, waiting takes power
 * times time, bytes are those that the links carried, bounds are not beaten, and nothing of it
 * touches the run. */
#include "tests/unit/machine_fixture.h"

#include <math.h>

/* One per number of a machine; each may be doubled. */
typedef enum number {
    FLOP,
    HBM,
    DRAM,
    FLASH,
    H2D,
    READ,
    GPU_IDLE,
    DRAM_IDLE,
    HOST,
    N_NUMBERS
} number;

static char *
machine_file(const char *folder, number doubled)
{
    static const double plain[] = {0.25, 4, 8, 100, 6, 5, 40, 20, 10};
    double x[N_NUMBERS];
    g_autofree char *name = g_strdup_printf("box-%d.yaml", (int)doubled);
    char *path = g_build_filename(folder, name, NULL);
    for (int i = 0; i < N_NUMBERS; i++)
        x[i] = plain[i] * (i == (int)doubled ? 2 : 1);
    g_autofree char *text = g_strdup_printf(
        "host: cpu\n"
        "places:\n"
        "  - {name: hbm, capacity: 24GiB, read: 1000GB/s, device_energy: {read: %gpJ/bit}}\n"
        "  - {name: dram, capacity: 128GiB, read: 80GB/s, device_energy: {read: %gpJ/bit},\n"
        "     power: {idle: %gW}}\n"
        "  - {name: flash, capacity: 2TB, read: 7GB/s, device_energy: {read: %gpJ/bit}}\n"
        "devices:\n"
        "  - {name: gpu, place: hbm, peak: {bf16: 150TFLOPS}, gemm_efficiency: 0.9,\n"
        "     stream_efficiency: 0.8, half_rows: 32, launch: 2us, power: {idle: %gW},\n"
        "     device_energy: {bf16: %gpJ/FLOP}}\n"
        "  - {name: cpu, kind: cpu, place: dram, peak: {fp32: 1TFLOPS}, gemm_efficiency: 0.7,\n"
        "     stream_efficiency: 0.4, half_rows: 4, launch: 2us, power: {idle: 30W},\n"
        "     device_energy: {fp32: %gpJ/FLOP}}\n"
        "links:\n"
        "  - {name: h2d, from: dram, to: hbm, rate: 24GB/s, latency: 10us, engine: 0,\n"
        "     device_energy: %gpJ/bit}\n"
        "  - {name: d2h, from: hbm, to: dram, rate: 25GB/s, latency: 10us, engine: 1}\n"
        "  - {name: read, from: flash, to: dram, rate: 3GB/s, latency: 80us, engine: 2,\n"
        "     device_energy: %gpJ/bit}\n",
        x[HBM], x[DRAM], x[DRAM_IDLE], x[FLASH], x[GPU_IDLE], x[FLOP], x[HOST], x[H2D], x[READ]);
    g_file_set_contents(path, text, -1, NULL);
    return path;
}

static const char *const experts[] = {
    "experts: {}\n",
    "experts: {home: dram, cache: {capacity: 50%}}\n",
    "experts: {home: dram, cache: {capacity: 3 slots}, granularity: expert,"
    " prefetch: {kind: next-layer}, predict: {kind: oracle}}\n",
    "experts: {home: dram, cache: {capacity: 25%}, serve: {kind: host}}\n",
    "experts: {home: flash, cache: {capacity: 25%}, staging: [{place: dram, capacity: 40%}],"
    " prefetch: {kind: next-layer, budget: 2}}\n",
    "experts: {home: flash, cache: {capacity: 3 slots}, retention: none}\n",
};

static moe_scenario *
load(const char *machine, const char *more, const char *mode)
{
    g_autofree char *text = g_strdup_printf(
        "model: mixtral-8x7b\n"
        "hardware: %s\n"
        "precision: {experts: int4}\n"
        "routing: {synthetic: {sequences: 5, prompt: 3, output: 6, skew: 0.6, lookahead: 1}}\n"
        "workload: {prompt: 3, output: 6, batch: 2, warmup: 1}\n"
        "energy: {mode: %s}\n"
        "%s",
        machine, mode, more);
    moe_scenario *scenario = fixture_load(text);
    MOE_CHECK(scenario != NULL, "%s", text);
    return scenario;
}

static size_t
find_table(const moe_result *result, const char *name)
{
    for (size_t t = 0; t < moe_result_tables(result); t++)
        if (!strcmp(moe_result_table(result, t), name))
            return t;
    return SIZE_MAX;
}

/* Microjoules of the rows of which `part` and `name` are asked for; NULL: of any. */
static int64_t
energy(const moe_result *result, const char *part, const char *name)
{
    int64_t sum = 0;
    size_t table = find_table(result, "energy"), n;
    for (size_t i = 0; table != SIZE_MAX && i < moe_result_rows(result, table); i++) {
        const moe_cell *cells = moe_result_row(result, table, i, &n);
        if ((!part || !strcmp(cells[1].text, part)) && (!name || !strcmp(cells[2].text, name)))
            sum += cells[3].integer;
    }
    return sum;
}

static int64_t
link_bytes(const moe_result *result, const char *link)
{
    size_t table = find_table(result, "link"), n;
    for (size_t i = 0; i < moe_result_rows(result, table); i++) {
        const moe_cell *cells = moe_result_row(result, table, i, &n);
        if (!strcmp(cells[0].text, link))
            return cells[1].integer;
    }
    return -1;
}

static int64_t
micro(const moe_result *result, const char *metric)
{
    return llround(1e6 * moe_result_metric(result, metric));
}

static void
check_sums(const moe_result *result, const char *what)
{
    static const char *const parts[] = {"compute", "memory", "link", "idle"};
    static const char *const metrics[] = {"compute_energy_j", "memory_energy_j", "link_energy_j",
                                          "idle_energy_j"};
    int64_t all = energy(result, NULL, NULL), sum = 0;
    MOE_CHECK(all > 0 && all == micro(result, "energy_j"), "%s: %lld in rows, %lld", what,
              (long long)all, (long long)micro(result, "energy_j"));
    for (size_t i = 0; i < MOE_COUNT(parts); i++) {
        int64_t part = energy(result, parts[i], NULL);
        MOE_CHECK(part == micro(result, metrics[i]), "%s: %s %lld", what, parts[i],
                  (long long)part);
        sum += part;
    }
    MOE_CHECK(sum == all, "%s: parts %lld of %lld", what, (long long)sum, (long long)all);
    int64_t phases = micro(result, "prefill_energy_j") + micro(result, "decode_energy_j");
    MOE_CHECK(phases == all, "%s: phases %lld of %lld", what, (long long)phases, (long long)all);
}

/* Waiting takes 40 + 30 + 20 W; a link takes what its bytes do. */
static void
check_amounts(const moe_result *result, const char *what)
{
    double wall = moe_result_metric(result, "wall_s");
    double idle = (double)energy(result, "idle", NULL) / 1e6;
    MOE_CHECK(fabs(idle - 90 * wall) < 1e-5, "%s: idle %.9g J in %.9g s", what, idle, wall);
    double h2d = (double)link_bytes(result, "h2d") * 8 * 6e-6;
    bool carried = moe_result_metric(result, "host_served") > 0;
    double link = (double)energy(result, "link", "h2d");
    MOE_CHECK(carried ? link > h2d : fabs(link - h2d) < 2, "%s: %.9g uJ of h2d, not %.9g", what,
              link, h2d);
    double read = (double)link_bytes(result, "read") * 8 * 100e-6;
    double flash = (double)energy(result, "memory", "flash");
    MOE_CHECK(fabs(flash - read) < 2, "%s: %.9g uJ of flash, not %.9g", what, flash, read);
    double power = moe_result_metric(result, "average_power_w");
    double joules = moe_result_metric(result, "energy_j");
    MOE_CHECK(fabs(power * wall - joules) < 1e-9 * joules, "%s: %g W", what, power);
}

static void
check_bounds(const moe_result *result, const char *what)
{
    size_t table = find_table(result, "metric"), n;
    for (size_t i = 0; i < moe_result_rows(result, table); i++) {
        const moe_cell *cells = moe_result_row(result, table, i, &n);
        if (strcmp(cells[0].text, "energy_j") != 0)
            continue;
        MOE_CHECK(cells[3].kind == MOE_CELL_REAL && cells[3].real <= cells[1].real + 1e-5,
                  "%s: %.9g J, contention-free %.9g", what, cells[1].real, cells[3].real);
        MOE_CHECK(cells[4].kind == MOE_CELL_NULL || cells[4].real <= cells[1].real + 1e-5,
                  "%s: %.9g J, perfect cache %.9g", what, cells[1].real, cells[4].real);
    }
}

static void
adds_up(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *machine = machine_file(folder, N_NUMBERS);
    for (size_t e = 0; e < MOE_COUNT(experts); e++) {
        g_autoptr(moe_scenario) scenario = load(machine, experts[e], "device");
        if (!scenario)
            continue;
        moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
        check_sums(result, experts[e]);
        check_amounts(result, experts[e]);
        check_bounds(result, experts[e]);
        moe_result_free(result);
    }
    g_remove(machine);
    g_rmdir(folder);
}

/* Each number doubled doubles its rows, and no others. */
static void
each_number_takes_its_part(void)
{
    static const struct {
        number number;
        const char *part, *name;
    } takes[] = {
        {FLOP, "compute", "gpu"},   {HBM, "memory", "hbm"},      {DRAM, "memory", "dram"},
        {FLASH, "memory", "flash"}, {H2D, "link", "h2d"},        {READ, "link", "read"},
        {GPU_IDLE, "idle", "gpu"},  {DRAM_IDLE, "idle", "dram"}, {HOST, "compute", "cpu"},
    };
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *plain = machine_file(folder, N_NUMBERS);
    for (size_t e = 0; e < MOE_COUNT(experts); e++) {
        g_autoptr(moe_scenario) before = load(plain, experts[e], "device");
        moe_result *from = before ? moe_scenario_simulate(before, 0, NULL, NULL, NULL) : NULL;
        for (size_t i = 0; from && i < MOE_COUNT(takes); i++) {
            g_autofree char *machine = machine_file(folder, takes[i].number);
            g_autoptr(moe_scenario) after = load(machine, experts[e], "device");
            moe_result *to = after ? moe_scenario_simulate(after, 0, NULL, NULL, NULL) : NULL;
            int64_t own = energy(from, takes[i].part, takes[i].name);
            int64_t more = to ? energy(to, takes[i].part, takes[i].name) - own : 0;
            MOE_CHECK(llabs(more - own) <= 16, "%s, %s of %s: %lld more than %lld", experts[e],
                      takes[i].part, takes[i].name, (long long)more, (long long)own);
            MOE_CHECK(to && energy(to, NULL, NULL) - energy(from, NULL, NULL) == more,
                      "%s, %s of %s: others change too", experts[e], takes[i].part, takes[i].name);
            if (to)
                moe_result_free(to);
            g_remove(machine);
        }
        if (from)
            moe_result_free(from);
    }
    g_remove(plain);
    g_rmdir(folder);
}

/* A run with energy is the run without it; without, its metrics are absent. */
static void
touches_nothing(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *machine = machine_file(folder, N_NUMBERS);
    size_t n;
    const moe_metric_info *infos = moe_metrics(&n);
    for (size_t e = 0; e < MOE_COUNT(experts); e++) {
        g_autoptr(moe_scenario) with = load(machine, experts[e], "device");
        g_autoptr(moe_scenario) without = load(machine, experts[e], "none");
        if (!with || !without)
            continue;
        moe_result *a = moe_scenario_simulate(with, 0, NULL, NULL, NULL);
        moe_result *b = moe_scenario_simulate(without, 0, NULL, NULL, NULL);
        for (size_t i = 0; i < n; i++) {
            double x = moe_result_metric(a, infos[i].name), y = moe_result_metric(b, infos[i].name);
            bool of_energy = strstr(infos[i].name, "energy") || strstr(infos[i].name, "power");
            MOE_CHECK(of_energy ? isnan(y) : x == y || (isnan(x) && isnan(y)), "%s: %s %g, %g",
                      experts[e], infos[i].name, x, y);
        }
        CU_ASSERT_EQUAL(energy(b, NULL, NULL), 0);
        CU_ASSERT(strcmp(moe_scenario_run(with, 0)->identity,
                         moe_scenario_run(without, 0)->identity) != 0);
        moe_result_free(a);
        moe_result_free(b);
    }
    g_remove(machine);
    g_rmdir(folder);
}

/* What is paid by the hour and by the kWh, for tokens and for the four of five requests that end
 * after the warm-up. */
static void
prices(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *machine = machine_file(folder, N_NUMBERS);
    g_autofree char *more = g_strconcat(experts[1],
                                        "sweep:\n  price.per_hour: [0, 3.6]\n"
                                        "  price.energy_per_kwh: [0, 0.5]\n",
                                        NULL);
    g_autoptr(moe_scenario) scenario = load(machine, more, "device");
    double per_token[4];
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    for (size_t i = 0; i < 4; i++) {
        moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
        double wall = moe_result_metric(result, "wall_s"),
               tokens = wall * moe_result_metric(result, "tokens_per_s"),
               joules = moe_result_metric(result, "energy_j"),
               request = moe_result_metric(result, "price_per_request");
        double want = (i > 1 ? 0.001 * wall : 0) + (i & 1 ? 0.5 * joules / 3.6e6 : 0);
        per_token[i] = moe_result_metric(result, "price_per_million_tokens");
        MOE_CHECK(i ? fabs(per_token[i] * tokens / 1e6 - want) < 1e-9 * want : isnan(per_token[i]),
                  "%zu: %.12g, not %.12g", i, per_token[i], want);
        double n = want / request;
        MOE_CHECK(i == 0 || fabs(n - round(n)) < 1e-6, "%zu: paid by %g requests", i, n);
        moe_result_free(result);
    }
    MOE_CHECK(fabs(per_token[1] + per_token[2] - per_token[3]) < 1e-9 * per_token[3], "%g + %g, %g",
              per_token[1], per_token[2], per_token[3]);
    g_remove(machine);
    g_rmdir(folder);
}

MOE_TESTS({"adds up", adds_up}, {"each number takes its part", each_number_takes_its_part},
          {"touches nothing", touches_nothing}, {"prices", prices})
