/* Power of whole boards while they read memory and compute: te42kyfo/gpu-benches@1c36d50,
 * gpu-roofline, one kernel at arithmetic intensities from 0.25 to 128 FLOP/B, FP32, power as the
 * driver says. Where a card reaches its power limit and lowers its clocks, its rows are left out
 * (none here). */
#include "hw/energy.h"
#include "tests/test.h"

#include <math.h>

typedef struct row {
    double gb_per_s, gflop_per_s, watt;
} row;

/* alex_a100_40.txt, cards 4 and 7 */
static const row a100_4[] = {
    {1372, 343, 239},   {1368, 684, 242},   {1363, 1704, 248},  {1322, 8265, 276},
    {1285, 13171, 300}, {1236, 15138, 309}, {1149, 16376, 308}, {934, 17044, 273},
    {847, 17159, 266},  {721, 17485, 252},  {669, 17560, 247},  {592, 17914, 238},
    {553, 17845, 239},  {504, 18252, 233},  {416, 18417, 224},  {370, 18583, 218},
    {310, 18685, 210},  {234, 18787, 204},  {189, 18990, 197},  {165, 19126, 194},
    {150, 18947, 193},  {148, 18977, 197},
};
static const row a100_7[] = {
    {1371, 343, 231},   {1368, 684, 232},   {1363, 1704, 237},  {1321, 8257, 264},
    {1283, 13148, 287}, {1236, 15144, 294}, {1147, 16342, 291}, {926, 16892, 259},
    {844, 17095, 251},  {718, 17409, 238},  {587, 17759, 225},  {500, 18110, 222},
    {414, 18298, 210},  {367, 18462, 204},  {308, 18572, 197},  {233, 18660, 192},
    {188, 18889, 187},  {149, 18810, 181},  {147, 18854, 184},
};
/* h200.txt */
static const row h200[] = {
    {3759, 940, 572},   {3780, 1890, 578},  {3763, 2822, 583},  {3779, 4724, 597},
    {3760, 8459, 615},  {3735, 15874, 650}, {3629, 22683, 675}, {3232, 26667, 653},
    {2690, 27571, 595}, {2323, 28456, 558}, {2029, 28920, 526}, {2204, 35812, 583},
    {2002, 36541, 562}, {1838, 37227, 547}, {1578, 38276, 519}, {1365, 38569, 501},
    {1213, 39109, 491}, {1095, 39692, 473}, {989, 39827, 467},  {910, 40254, 455},
    {837, 40399, 450},  {784, 40956, 442},  {727, 40898, 439},  {690, 41602, 433},
    {642, 41232, 428},  {575, 41519, 420},  {520, 41724, 413},  {474, 41817, 409},
    {425, 42558, 398},  {415, 42442, 396},
};

static const struct card {
    const char *name;
    const row *rows;
    size_t n;
    size_t corners[3]; /* memory-bound, both, compute-bound: what is fitted */
} cards[] = {
    {"A100 40 GB, card 4", a100_4, MOE_COUNT(a100_4), {0, 3, 20}},
    {"A100 40 GB, card 7", a100_7, MOE_COUNT(a100_7), {0, 3, 17}},
    {"H200", h200, MOE_COUNT(h200), {0, 5, 29}},
};

static double
power(const moe_place *place, const moe_device *device, const row *r)
{
    return moe_energy_idle(device, MOE_ENERGY_BOARD) +
           1e9 * r->gb_per_s * moe_energy_read(place, MOE_ENERGY_BOARD) +
           1e9 * r->gflop_per_s * moe_energy_flop(device, MOE_ENERGY_BOARD, 32);
}

static double
determinant(double m[3][3])
{
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
           m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

/* Base power, pJ/bit and pJ/FLOP that meet three rows. */
static void
fit(const struct card *card, moe_place *place, moe_device *device)
{
    double m[3][3], x[3];
    for (int i = 0; i < 3; i++) {
        const row *r = &card->rows[card->corners[i]];
        m[i][0] = 1;
        m[i][1] = 8e-3 * r->gb_per_s;
        m[i][2] = 1e-3 * r->gflop_per_s;
    }
    for (int k = 0; k < 3; k++) {
        double replaced[3][3];
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                replaced[i][j] = j == k ? card->rows[card->corners[i]].watt : m[i][j];
        x[k] = determinant(replaced) / determinant(m);
    }
    *place = (moe_place){.board_energy = {x[1], x[1]}};
    *device = (moe_device){.peak.fp32 = 1, .base_watt = x[0], .board_energy.fp32 = x[2]};
}

/* Mean and largest relative error over the rows that are not corners, or over all. */
static double
errors(const struct card *card, const moe_place *place, const moe_device *device, bool all,
       double *largest)
{
    double sum = 0;
    int n = 0;
    *largest = 0;
    for (size_t i = 0; i < card->n; i++) {
        if (!all && (i == card->corners[0] || i == card->corners[1] || i == card->corners[2]))
            continue;
        double e = fabs(power(place, device, &card->rows[i]) / card->rows[i].watt - 1);
        sum += e;
        *largest = fmax(*largest, e);
        n++;
    }
    return sum / n;
}

/* Three rows give three numbers; they predict the others. */
static void
three_rows_predict(void)
{
    for (size_t c = 0; c < MOE_COUNT(cards); c++) {
        moe_place place;
        moe_device device;
        double largest;
        fit(&cards[c], &place, &device);
        double mean = errors(&cards[c], &place, &device, false, &largest);
        printf("\n    %-20s %5.1f W + %5.2f pJ/bit + %4.2f pJ/FLOP; %zu other rows: mean error "
               "%.1f %% (within 2 %%), largest %.1f %% (within 4 %%)",
               cards[c].name, device.base_watt, place.board_energy.read, device.board_energy.fp32,
               cards[c].n - 3, 100 * mean, 100 * largest);
        MOE_CHECK(mean < 0.02 && largest < 0.04, "%s: %.3f, %.3f", cards[c].name, mean, largest);
    }
    printf("\n");
}

/* Two rows and an assumed base power predict a third, memory and arithmetic at once. */
static void
two_rows_predict(void)
{
    static const double base[] = {70, 70, 117};
    for (size_t c = 0; c < MOE_COUNT(cards); c++) {
        const row *memory = &cards[c].rows[cards[c].corners[0]],
                  *both = &cards[c].rows[cards[c].corners[1]],
                  *work = &cards[c].rows[cards[c].corners[2]];
        double d = memory->gb_per_s * work->gflop_per_s - work->gb_per_s * memory->gflop_per_s;
        double m = memory->watt - base[c], w = work->watt - base[c];
        double per_byte = (m * work->gflop_per_s - w * memory->gflop_per_s) / d;
        double per_flop = (w * memory->gb_per_s - m * work->gb_per_s) / d;
        double got = base[c] + per_byte * both->gb_per_s + per_flop * both->gflop_per_s;
        double error = got / both->watt - 1;
        printf("\n    %-20s %4.0f GB/s and %5.1f TFLOP/s: expected %.0f W, got %.0f, %+.1f %% "
               "(within 3 %%)",
               cards[c].name, both->gb_per_s, both->gflop_per_s / 1e3, both->watt, got,
               100 * error);
        MOE_CHECK(fabs(error) < 0.03, "%s: %.3f", cards[c].name, error);
    }
    printf("\n");
}

/* The presets' numbers. */
static void
presets_predict(void)
{
    static const struct {
        const char *preset;
        size_t card;
        double within;
    } cases[] = {
        {"server-a100-40", 0, 0.04}, {"server-a100-40", 1, 0.04}, {"server-h200", 2, 0.01}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(moe_hardware_set) set =
            moe_hardware_load(cases[i].preset, NULL, (moe_loc){0}, diag, &error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        const moe_hardware *hw = moe_hardware_get(set);
        double largest,
            mean = errors(&cards[cases[i].card], &hw->places[0], &hw->devices[0], true, &largest);
        printf("\n    %-15s for %-20s mean error %.1f %% (within %.0f %%), largest %.1f %%",
               cases[i].preset, cards[cases[i].card].name, 100 * mean, 100 * cases[i].within,
               100 * largest);
        MOE_CHECK(mean < cases[i].within, "%s: %.3f", cases[i].preset, mean);
    }
    printf("\n");
}

MOE_TESTS({"three rows predict", three_rows_predict}, {"two rows predict", two_rows_predict},
          {"presets predict", presets_predict})
