#include "sim/base/units.h"
#include "tests/test.h"

#include <locale.h>
#include <math.h>

typedef bool parse_whole(const char *text, int64_t *out);
typedef bool parse_real(const char *text, double *out);

typedef struct whole_case {
    const char *text;
    bool ok;
    int64_t value;
} whole_case;

typedef struct real_case {
    const char *text;
    bool ok;
    double value;
} real_case;

/* A refused text must leave the output alone. */
enum { UNTOUCHED = -77 };

static void
check_whole(const char *what, parse_whole *parse, const whole_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = UNTOUCHED;
        bool ok = parse(cases[i].text, &value);
        int64_t want = cases[i].ok ? cases[i].value : UNTOUCHED;
        MOE_CHECK(ok == cases[i].ok && value == want, "%s %zu '%s': ok %d, %lld, want %lld", what,
                  i, cases[i].text, ok, (long long)value, (long long)want);
    }
}

static void
check_real(const char *what, parse_real *parse, const real_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = UNTOUCHED;
        bool ok = parse(cases[i].text, &value);
        double want = cases[i].ok ? cases[i].value : UNTOUCHED;
        MOE_CHECK(ok == cases[i].ok && value == want && !signbit(value) == !signbit(want),
                  "%s %zu '%s': ok %d, %.17g, want %.17g", what, i, cases[i].text, ok, value, want);
    }
}

static void
parses_int(void)
{
    static const whole_case cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"8", true, 8},
        {"+8", true, 8},
        {"-17", true, -17},
        {"100", true, 100},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775806", true, INT64_MAX - 1},
        {"9007199254740993", true, 9007199254740993}, /* 2^53 + 1: no double */
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"-92233720368547758080", false, 0},
        {"92233720368547758070", false, 0},
        {"100000000000000000000000000000000000000000", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {" 8", false, 0},
        {"8 ", false, 0},
        {"010", false, 0},
        {"0x10", false, 0},
        {"0o10", false, 0},
        {"1_000", false, 0},
        {"1,000", false, 0},
        {"8.0", false, 0},
        {"1e3", false, 0},
        {"--1", false, 0},
        {"eight", false, 0},
    };
    check_whole("int", moe_parse_int, cases, MOE_COUNT(cases));
}

static void
parses_bytes(void)
{
    static const whole_case cases[] = {
        {"0", true, 0},
        {"512", true, 512},
        {"512B", true, 512},
        {"1kB", true, 1000},
        {"1KiB", true, 1024},
        {"24GiB", true, 24 * MOE_GIB},
        {"24 GiB", true, 24 * MOE_GIB},
        {"80GB", true, 80000000000},
        {"0.5GiB", true, 536870912},
        {"0.1GiB", true, 107374182}, /* 107374182.4 */
        {"1.5B", true, 2},
        {"0.4B", true, 0},
        {"2.5B", true, 3},
        {"1e3MB", true, 1000000000},
        {"1e-3kB", true, 1},
        {"1TB", true, 1000000000000},
        {"1TiB", true, 1024 * MOE_GIB},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775807B", true, INT64_MAX},
        {"8388607TiB", true, 8388607LL * 1024 * MOE_GIB},
        {"8388608TiB", false, 0},
        {"9223372036854775808", false, 0},
        {"1e30", false, 0},
        {"1e99999999999", false, 0},
        {"1e-99999999999", true, 0},
        {"-1", false, 0},
        {"-1GiB", false, 0},
        {"24gib", false, 0},
        {"24KB", false, 0},
        {"24Gb", false, 0},
        {"24GiB ", false, 0},
        {"24  GiB", false, 0},
        {"24\tGiB", false, 0},
        {"24 ", false, 0},
        {"GiB", false, 0},
        {".5GiB", false, 0},
        {"5.GiB", false, 0},
        {"0x10", false, 0},
        {"inf", false, 0},
        {"nan", false, 0},
        {".nan", false, 0},
        {"1GiB/s", false, 0},
        {"", false, 0},
        {"lots", false, 0},
    };
    check_whole("bytes", moe_parse_bytes, cases, MOE_COUNT(cases));
}

static void
parses_time(void)
{
    static const whole_case cases[] = {
        {"0", true, 0},
        {"0s", true, 0},
        {"1ps", true, 1},
        {"12ns", true, 12000},
        {"12us", true, 12000000},
        {"12 us", true, 12000000},
        {"1.5us", true, 1500000},
        {"0.1ms", true, 100000000},
        {"3s", true, 3 * MOE_PS_PER_S},
        {"2min", true, 120 * MOE_PS_PER_S},
        {"1h", true, 3600 * MOE_PS_PER_S},
        {"0.5ps", true, 1},
        {"9223372036854775807ps", true, INT64_MAX},
        {"2562h", true, 2562 * 3600 * MOE_PS_PER_S},
        {"2563h", false, 0},
        {"12", false, 0},
        {"-1us", false, 0},
        {"1 h 2", false, 0},
        {"1S", false, 0},
        {"1m", false, 0},
        {"us", false, 0},
    };
    check_whole("time", moe_parse_time, cases, MOE_COUNT(cases));
}

static void
parses_reals(void)
{
    static const real_case reals[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"-0.0", true, 0},
        {"0.1", true, 0.1},
        {"1e20", true, 1e20},
        {"1E-3", true, 1e-3},
        {"-2.5", true, -2.5},
        {"1e400", false, 0},
        {"-1e400", false, 0},
        {"1e-400", true, 0},
        {".nan", false, 0},
        {"nan", false, 0},
        {".inf", false, 0},
        {"infinity", false, 0},
        {"0x1p3", false, 0},
        {"1,5", false, 0},
        {"1.5.2", false, 0},
        {"1e", false, 0},
        {"1e+", false, 0},
        {"010.5", false, 0},
        {"1.7976931348623157e308", true, 0x1.fffffffffffffp1023},
        {"123456789012345678901234567890", true, 123456789012345678901234567890.0},
        {"0.30000000000000004", true, 0.1 + 0.2},
    };
    static const real_case rates[] = {
        {"0", true, 0},          {"3.35TB/s", true, 3.35e12},
        {"64 GB/s", true, 64e9}, {"1.5GiB/s", true, 1.5 * 1073741824.0},
        {"100B/s", true, 100},   {"64GB", false, 0},
        {"64", false, 0},        {"-1GB/s", false, 0},
        {"64GB/h", false, 0},    {"/s", false, 0},
        {"1e308TB/s", false, 0},
    };
    static const real_case flops[] = {
        {"312TFLOPS", true, 312e12}, {"1.979PFLOPS", true, 1.979e15},
        {"1321TOPS", true, 1321e12}, {"5kFLOPS", true, 5e3},
        {"7FLOPS", true, 7},         {"0", true, 0},
        {"312", false, 0},           {"312T", false, 0},
        {"312tflops", false, 0},
    };
    static const real_case shares[] = {
        {"25%", true, 0.25},    {"0.25", true, 0.25}, {"12.5%", true, 0.125}, {"25 %", true, 0.25},
        {"100%", true, 1},      {"0%", true, 0},      {"-0%", true, 0},       {"1", true, 1},
        {"33.3%", true, 0.333}, {"100.1%", false, 0}, {"-1%", false, 0},      {"25", false, 0},
        {"%", false, 0},        {"25%%", false, 0},
    };
    static const real_case powers[] = {
        {"450W", true, 450}, {"1.2kW", true, 1200}, {"300mW", true, 0.3}, {"2MW", true, 2e6},
        {"450", false, 0},   {"-450W", false, 0},   {"450w", false, 0},
    };
    static const real_case bits[] = {
        {"3.9pJ/bit", true, 3.9}, {"31.2pJ/B", true, 3.9},
        {"14 pJ/bit", true, 14},  {"220fJ/bit", true, 0.22},
        {"1nJ/bit", true, 1000},  {"2uJ/B", true, 250000},
        {"0", true, 0},           {"3.9", false, 0},
        {"3.9pJ", false, 0},      {"3.9pJ/b", false, 0},
        {"3.9pJ/FLOP", false, 0}, {"-1pJ/bit", false, 0},
        {"3.9pj/bit", false, 0},  {"3.9W", false, 0},
    };
    static const real_case operations[] = {
        {"0.22pJ/FLOP", true, 0.22}, {"450fJ/OP", true, 0.45}, {"0", true, 0},
        {"0.22pJ/bit", false, 0},    {"0.22", false, 0},       {"-0.1pJ/FLOP", false, 0},
        {"0.22pJ/FLOPS", false, 0},
    };
    check_real("bit energy", moe_parse_bit_energy, bits, MOE_COUNT(bits));
    check_real("FLOP energy", moe_parse_flop_energy, operations, MOE_COUNT(operations));
    check_real("real", moe_parse_real, reals, MOE_COUNT(reals));
    check_real("rate", moe_parse_rate, rates, MOE_COUNT(rates));
    check_real("flops", moe_parse_flops, flops, MOE_COUNT(flops));
    check_real("share", moe_parse_share, shares, MOE_COUNT(shares));
    check_real("power", moe_parse_power, powers, MOE_COUNT(powers));
}

static void
parses_bool(void)
{
    static const char *const refused[] = {"yes", "no", "True", "FALSE", "on", "1", "", "truely"};
    bool value = false;
    CU_ASSERT(moe_parse_bool("true", &value) && value);
    CU_ASSERT(moe_parse_bool("false", &value) && !value);
    value = true;
    for (size_t i = 0; i < MOE_COUNT(refused); i++)
        MOE_CHECK(!moe_parse_bool(refused[i], &value) && value, "%zu '%s'", i, refused[i]);
}

static void
parses_amount(void)
{
    static const struct {
        const char *text;
        bool ok;
        moe_amount amount;
    } cases[] = {
        {"25%", true, {MOE_AMOUNT_SHARE, 0.25, 0}},
        {"0.25", true, {MOE_AMOUNT_SHARE, 0.25, 0}},
        {"0", true, {MOE_AMOUNT_SHARE, 0, 0}},
        {"24GiB", true, {MOE_AMOUNT_BYTES, 0, 24 * MOE_GIB}},
        {"512B", true, {MOE_AMOUNT_BYTES, 0, 512}},
        {"12 slots", true, {MOE_AMOUNT_SLOTS, 0, 12}},
        {"1 slot", true, {MOE_AMOUNT_SLOTS, 0, 1}},
        {"rest", true, {MOE_AMOUNT_REST, 0, 0}},
        {"512", false, {0}},
        {"1", false, {0}},
        {"150%", false, {0}},
        {"1.5", false, {0}},
        {"-1 slots", false, {0}},
        {"1.5 slots", false, {0}},
        {"12slots", false, {0}},
        {"Rest", false, {0}},
        {"", false, {0}},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_amount amount = {MOE_AMOUNT_REST, 0, UNTOUCHED};
        bool ok = moe_parse_amount(cases[i].text, &amount);
        moe_amount want =
            cases[i].ok ? cases[i].amount : (moe_amount){MOE_AMOUNT_REST, 0, UNTOUCHED};
        MOE_CHECK(ok == cases[i].ok && amount.kind == want.kind && amount.share == want.share &&
                      amount.count == want.count,
                  "%zu '%s': ok %d, kind %d, %g, %lld", i, cases[i].text, ok, (int)amount.kind,
                  amount.share, (long long)amount.count);
    }
}

#define CHECK_TEXT(call, want)                                                                     \
    do {                                                                                           \
        g_autofree char *got_ = call;                                                              \
        MOE_CHECK(strcmp(got_, want) == 0, "got '%s', want '%s'", got_, want);                     \
    } while (0)

static void
formats(void)
{
    CHECK_TEXT(moe_format_bytes(0), "0 B");
    CHECK_TEXT(moe_format_bytes(512), "512 B");
    CHECK_TEXT(moe_format_bytes(1024), "1.0 KiB");
    CHECK_TEXT(moe_format_bytes(87 * MOE_GIB), "87.0 GiB");
    CHECK_TEXT(moe_format_bytes(MOE_MIB - 1), "1.0 MiB");
    CHECK_TEXT(moe_format_bytes(-2048), "-2.0 KiB");
    CHECK_TEXT(moe_format_bytes(INT64_MAX), "8.0 EiB");
    CHECK_TEXT(moe_format_time(0), "0 s");
    CHECK_TEXT(moe_format_time(12), "12 ps");
    CHECK_TEXT(moe_format_time(12300000), "12.3 us");
    CHECK_TEXT(moe_format_time(999999), "1.00 us");
    CHECK_TEXT(moe_format_time(90 * MOE_PS_PER_S), "90.0 s");
    CHECK_TEXT(moe_format_time(600 * MOE_PS_PER_S), "10.0 min");
    CHECK_TEXT(moe_format_time(3 * 3600 * MOE_PS_PER_S), "3.00 h");
    CHECK_TEXT(moe_format_rate(24.7e9), "24.7 GB/s");
    CHECK_TEXT(moe_format_rate(3.35e12), "3.35 TB/s");
    CHECK_TEXT(moe_format_rate(999.9e6), "1.00 GB/s");
    CHECK_TEXT(moe_format_energy(0), "0 J");
    CHECK_TEXT(moe_format_energy(15.46), "15.5 J");
    CHECK_TEXT(moe_format_energy(0.002), "2.00 mJ");
    CHECK_TEXT(moe_format_energy(36e5), "3.60 MJ");
    CHECK_TEXT(moe_format_count(20.9e9), "20.9 B");
    CHECK_TEXT(moe_format_count(1.28e6), "1.28 M");
    CHECK_TEXT(moe_format_count(12), "12");
    CHECK_TEXT(moe_format_count(0.5), "0.50");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_SHARE, 0.125, 0}), "12.5%");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_SHARE, 0.333, 0}), "33.3%");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_SHARE, 1, 0}), "100%");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_SLOTS, 0, 12}), "12 slots");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_BYTES, 0, MOE_GIB}), "1.0 GiB");
    CHECK_TEXT(moe_format_amount((moe_amount){MOE_AMOUNT_REST, 0, 0}), "rest");
}

static void
real_round_trips(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {0.1, "0.1"},
                 {1e20, "1e+20"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {-2.5, "-2.5"},
                 {123456, "123456"},
                 {1.0 / 3, "0.3333333333333333"}};
    char buffer[32];
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        MOE_CHECK(strcmp(moe_format_real(buffer, cases[i].value), cases[i].text) == 0,
                  "%zu: '%s', want '%s'", i, buffer, cases[i].text);
    /* Any bit pattern survives, subnormals and the largest included. */
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        double value, back = 0;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value))
            continue;
        moe_format_real(buffer, value);
        MOE_CHECK(moe_parse_real(buffer, &back) && back == value, "%s: %.17g", buffer, back);
    }
}

static void
ignores_the_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    const char *set = NULL;
    for (size_t i = 0; i < MOE_COUNT(names) && !set; i++)
        set = setlocale(LC_ALL, names[i]);
    if (!set) {
        moe_test_skip("no locale with a decimal comma is installed");
        return;
    }
    double value = 0;
    CU_ASSERT(moe_parse_real("1.5", &value) && value == 1.5);
    CU_ASSERT(!moe_parse_real("1,5", &value));
    CHECK_TEXT(moe_format_rate(3.35e12), "3.35 TB/s");
    setlocale(LC_ALL, "C");
}

MOE_TESTS({"integers", parses_int}, {"bytes", parses_bytes}, {"times", parses_time},
          {"reals, rates, flops, shares, powers", parses_reals}, {"bools", parses_bool},
          {"amounts", parses_amount}, {"formats", formats}, {"reals round-trip", real_round_trips},
          {"locale", ignores_the_locale})
