/* Requests drawn from ServeGen's descriptions of clients. */
#include "tests/test.h"

#include "tests/import.h"
#include "traces/requests/renewal.h"

#include <math.h>

/* ---- gaps ---- */

/* Mean and variance of many draws against those of the family, within 5 standard errors. */
static void
gaps_have_their_moments(void)
{
    static const double shapes[] = {0.05, 0.3, 0.88, 1, 1.5, 4};
    enum { DRAWS = 100000 };
    for (int family = 0; family < MOE_GAP_FAMILIES; family++) {
        for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
            double shape = shapes[i], sum = 0, squares = 0;
            if (family == MOE_GAP_WEIBULL && shape < 0.5)
                continue; /* the tail is too heavy for its mean to show in so few draws */
            moe_stream stream = moe_stream_new(7, "gaps", i);
            for (int j = 0; j < DRAWS; j++) {
                double gap = moe_gap_draw((moe_gap_family)family, shape, &stream);
                sum += gap;
                squares += gap * gap;
            }
            double mean = family == MOE_GAP_GAMMA ? shape : tgamma(1 + 1 / shape);
            double square = family == MOE_GAP_GAMMA ? shape * (shape + 1) : tgamma(1 + 2 / shape);
            double error = sqrt((square - mean * mean) / DRAWS);
            MOE_CHECK(fabs(sum / DRAWS - mean) < 5 * error, "%s, shape %g: mean %g, not %g",
                      moe_gap_family_names[family], shape, sum / DRAWS, mean);
            MOE_CHECK(fabs(squares / DRAWS / square - 1) < 0.2, "%s, shape %g: square %g, not %g",
                      moe_gap_family_names[family], shape, squares / DRAWS, square);
        }
    }
}

/* The share of draws below the median is a half, however heavy the tail. */
static void
gaps_have_their_median(void)
{
    enum { DRAWS = 40000 };
    moe_stream stream = moe_stream_new(7, "median", 0);
    double median = pow(log(2), 1 / 0.3);
    int below = 0;
    for (int j = 0; j < DRAWS; j++)
        below += moe_gap_draw(MOE_GAP_WEIBULL, 0.3, &stream) < median;
    MOE_CHECK(abs(below - DRAWS / 2) < 5 * 100, "%d of %d", below, DRAWS);
}

static void
windows_are_filled(void)
{
    double at[1000];
    for (uint64_t seed = 0; seed < 20; seed++) {
        moe_stream stream = moe_stream_new(seed, "fill", 0);
        moe_renewal_fill(MOE_GAP_GAMMA, 0.03, &stream, at, G_N_ELEMENTS(at));
        for (size_t i = 0; i < G_N_ELEMENTS(at); i++)
            MOE_CHECK(at[i] >= (i ? at[i - 1] : 0) && at[i] <= 1, "%zu: %g", i, at[i]);
    }
    moe_stream stream = moe_stream_new(1, "fill", 0);
    moe_renewal_fill(MOE_GAP_WEIBULL, 1e-3, &stream, at, 5); /* gaps of nothing and beyond all */
    for (size_t i = 0; i < 5; i++)
        MOE_CHECK(at[i] >= 0 && at[i] <= 1, "%zu: %g", i, at[i]);
}

/* ---- clients ---- */

#define IDLE "0,0,0,,0,0\n600,0,0,,0,0\n"
#define BUSY                                                                                       \
    "1200,0.5,1.066,Gamma,0.8798897808894829,0.6818522635229438\n"                                 \
    "1800,0.25,8.38,Weibull,0.31147212870444174,0.20264164387146566\n"
#define LENGTHS                                                                                    \
    "{\n  \"0\": {\"input_tokens\": \"{}\", \"output_tokens\": \"{}\"},\n"                         \
    "  \"600\": {\"input_tokens\": \"{100: 0.25, 200: 0.75}\", \"output_tokens\": \"{7: "          \
    "1.0}\"},\n"                                                                                   \
    "  \"1800\": {\"input_tokens\": \"{300: 1}\", \"output_tokens\": \"{8: 0.5, 0: 0.5}\"}\n}\n"

typedef struct outcome {
    moe_requests_file *file;
    char *messages, *report;
} outcome;

static outcome
draw(const char *const *texts, const char *const *names, size_t n, uint64_t seed)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *report = g_string_new(NULL);
    moe_import_options options = {.seed = seed};
    moe_import_bytes memory[4];
    for (size_t i = 0; i < n; i++)
        memory[i] = (moe_import_bytes){texts[i], strlen(texts[i])};
    moe_import_job job = {.paths = names,
                          .n_paths = n,
                          .memory = memory,
                          .options = &options,
                          .diag = diag,
                          .report = report,
                          .error = &error};
    moe_requests_builder *builder = moe_import_requests(&moe_importer_servegen, &job);
    outcome o = {.messages = moe_diag_render(diag), .report = g_string_free(report, FALSE)};
    MOE_CHECK((builder == NULL) == (moe_diag_errors(diag) > 0), "'%s'", o.messages);
    if (builder)
        o.file = moe_requests_builder_finish(builder, "x", &error);
    return o;
}

static void
outcome_clear(outcome *o)
{
    moe_requests_close(o->file);
    g_free(o->messages);
    g_free(o->report);
}

static const char *const names[] = {"a-trace.csv", "a-dataset.json", "b-trace.csv",
                                    "b-dataset.json"};

static void
one_client(void)
{
    static const char *const texts[] = {IDLE BUSY, LENGTHS};
    outcome o = draw(texts, names, 2, 5), again = draw(texts, names, 2, 5),
            other = draw(texts, names, 2, 6);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    const moe_requests *r = moe_requests_get(o.file), *same = moe_requests_get(again.file),
                       *differs = moe_requests_get(other.file);
    uint64_t first = 0, short_prompts = 0;
    for (uint64_t i = 0; i < r->n; i++) {
        int64_t second = (r->epoch_ns + r->arrival_ns[i]) / 1000000000;
        bool early = second < 1800;
        first += early;
        short_prompts += r->prompt[i] == 100;
        CU_ASSERT_TRUE(second >= 1200 && second <= 2400);
        CU_ASSERT_TRUE(early ? r->prompt[i] == 100 || r->prompt[i] == 200 : r->prompt[i] == 300);
        CU_ASSERT_EQUAL(r->output[i], early ? 7 : 8);
    }
    CU_ASSERT_EQUAL(first, 300); /* 0.5 per s in 600 s, whatever the seed */
    MOE_CHECK(short_prompts > 45 && short_prompts < 105, "%" G_GUINT64_FORMAT, short_prompts);
    g_autofree char *dropped = g_strdup_printf("%" G_GUINT64_FORMAT " requests of no prompt or no "
                                               "output dropped",
                                               450 - r->n);
    MOE_CHECK(strstr(o.report, dropped) != NULL, "%s", o.report);
    CU_ASSERT_EQUAL_FATAL(r->n, same->n);
    CU_ASSERT_EQUAL(memcmp(r->arrival_ns, same->arrival_ns, r->n * 8), 0);
    CU_ASSERT_EQUAL(memcmp(r->prompt, same->prompt, r->n * 4), 0);
    CU_ASSERT_NOT_EQUAL(r->arrival_ns[10], differs->arrival_ns[10]);
    outcome_clear(&o);
    outcome_clear(&again);
    outcome_clear(&other);
}

/* The same numbers on every machine. */
static void
draws_are_fixed(void)
{
    static const char *const texts[] = {BUSY, LENGTHS};
    outcome o = draw(texts, names, 2, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    const moe_requests *r = moe_requests_get(o.file);
    MOE_CHECK(r->epoch_ns == 1201620429358 && r->arrival_ns[100] == 168072238957 && r->n == 377,
              "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GUINT64_FORMAT, r->epoch_ns,
              r->arrival_ns[100], r->n);
    outcome_clear(&o);
}

/* Two clients of one description draw different requests, merged by time. */
static void
several_clients(void)
{
    static const char *const texts[] = {BUSY, LENGTHS, BUSY, LENGTHS};
    outcome o = draw(texts, names, 4, 5);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    const moe_requests *r = moe_requests_get(o.file);
    uint64_t equal = 0;
    for (uint64_t i = 1; i < r->n; i++)
        equal += r->arrival_ns[i] == r->arrival_ns[i - 1];
    MOE_CHECK(r->n > 600 && equal < 20, "%" G_GUINT64_FORMAT " requests, %" G_GUINT64_FORMAT, r->n,
              equal);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.report, "2 clients, 4 windows, 0 of them idle"));
    outcome_clear(&o);
}

static void
refuses(void)
{
    static const struct {
        const char *client, *lengths, *message;
    } cases[] = {
        {"0,1,1,Gamma,1\n", LENGTHS,
         "a-trace.csv:1: error: the row has not six fields; a row is t_s"},
        {"0,1,1,Poisson,1,1\n", LENGTHS, "a-trace.csv:1:7: error: wants Gamma, Weibull or nothing"},
        {"0,-1,1,Gamma,1,1\n", LENGTHS, "a-trace.csv:1:3: error: a negative number"},
        {"0,nan,1,Gamma,1,1\n", LENGTHS, "a-trace.csv:1:3: error: wants a number"},
        {"0,1,1,Gamma,0,1\n", LENGTHS, "a-trace.csv:1:13: error: wants a shape of 0.001"},
        {"600,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n", LENGTHS,
         "a-trace.csv:2:1: error: windows must be in order of time"},
        {"0.5,1,1,Gamma,1,1\n", LENGTHS, "a-trace.csv:1:1: error: wants a whole number of seconds"},
        {"", LENGTHS, "a-trace.csv: error: no windows; a row is t_s"},
        {"0,0,0,,0,0\n", LENGTHS, "a-trace.csv: error: no requests"},
        {"0,1e9,1,Gamma,1,1\n", LENGTHS, "more than 10^6 arrivals"},
        {BUSY, "", "a-dataset.json:1:1: error: wants '{'"},
        {BUSY, "{\"0\": {\"input_tokens\": \"{}\", \"output_tokens\": \"{}\"}}",
         "a-dataset.json:1:1: error: no window has both 'input_tokens' and 'output_tokens'"},
        {BUSY, "{\"0\":\n {\"input_tokens\": \"{5: 0.5}\"}}",
         "a-dataset.json:2:19: error: input_tokens: the probabilities do not sum up to 1"},
        {BUSY, "{\"0\": {\"input_tokens\": \"{5: 0.5, 5: 0.5}\"}}",
         "the same number of tokens twice"},
        {BUSY, "{\"0\": {\"input_tokens\": \"{5: -1, 6: 2}\"}}",
         "input_tokens: wants a probability"},
        {BUSY, "{\"0\": {\"input_tokens\": \"{-5: 1}\"}}", "input_tokens: wants a whole number"},
        {BUSY, "{\"0\": {\"input_tokens\": {\"5\": 1}}}", "wants a text in double quotes"},
        {BUSY, "{\"x\": {}}", "wants a whole number of seconds"},
        {BUSY, "{\"5\": {}, \"5\": {}}", "no window has both"},
        {BUSY, LENGTHS "x", "wants nothing more"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *texts[] = {cases[i].client, cases[i].lengths};
        outcome o = draw(texts, names, 2, 0);
        MOE_CHECK(!o.file && strstr(o.messages, cases[i].message), "case %zu: '%s' instead of '%s'",
                  i, o.messages, cases[i].message);
        outcome_clear(&o);
    }
}

MOE_TESTS({"gaps have their moments", gaps_have_their_moments},
          {"gaps have their median", gaps_have_their_median},
          {"windows are filled", windows_are_filled}, {"one client", one_client},
          {"draws are fixed", draws_are_fixed}, {"several clients", several_clients},
          {"refuses", refuses})
