/* The format of request traces: built, written, opened; times; what a file may not hold. */
#include "tests/test.h"

#include "traces/requests/names.h"
#include "traces/requests/requests.h"
#include "traces/requests/timestamp.h"
#include "traces/safetensors.h"

#include <glib/gstdio.h>

/* ---- times ---- */

static void
reads_timestamps(void)
{
    static const struct {
        const char *text;
        int64_t ns;
        size_t length; /* 0: refused */
    } cases[] = {
        {"1970-01-01 00:00:00", 0, 19},
        {"2023-11-16 18:17:03.9799600,4808", 1700158623979960000, 27},
        {"2023-11-16T18:17:03.97996Z", 1700158623979960000, 26},
        {"2024-05-12 00:00:00.003975+00:00", 1715472000003975000, 32},
        {"2024-05-12 01:30:00+01:30", 1715472000000000000, 25},
        {"2024-05-11 23:00:00-01:00", 1715472000000000000, 25},
        {"2023-12-31 23:59:59.9999999", 1704067199999999900, 27},
        {"2023-12-31 23:59:59.9999999995", 1704067200000000000, 30},
        {"2023-12-31 23:59:59.99999999949", 1704067199999999999, 31},
        {"2024-02-29 00:00:00", 1709164800000000000, 19},
        {"2000-02-29 00:00:00", 951782400000000000, 19},
        {"1969-12-31 23:59:59.5", -500000000, 21},
        {"1950-01-01 00:00:00", -631152000000000000, 19},
        {"2200-12-31 23:59:59", 7289654399000000000, 19},
        {"2023-02-29 00:00:00", 0, 0},
        {"2100-02-29 00:00:00", 0, 0},
        {"2023-13-01 00:00:00", 0, 0},
        {"2023-00-01 00:00:00", 0, 0},
        {"2023-11-31 00:00:00", 0, 0},
        {"2023-11-16 24:00:00", 0, 0},
        {"2023-11-16 23:60:00", 0, 0},
        {"2023-11-16 23:59:60", 0, 0},
        {"2023-11-16 23:59", 0, 0},
        {"2023-11-16 23:59:59.", 0, 0},
        {"2023-11-16 23:59:59+1", 0, 0},
        {"2023-11-16", 0, 0},
        {"23-11-16 23:59:59", 0, 0},
        {"1949-12-31 23:59:59", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t ns = 0;
        const char *rest = moe_timestamp_read(cases[i].text, &ns);
        size_t length = rest ? (size_t)(rest - cases[i].text) : 0;
        MOE_CHECK(length == cases[i].length && (!rest || ns == cases[i].ns),
                  "case %zu, %s: %zu characters, %" G_GINT64_FORMAT, i, cases[i].text, length, ns);
    }
}

/* Each day of 250 years is written as the day after the one before, and read back. */
static void
writes_timestamps(void)
{
    char text[MOE_TIMESTAMP_SIZE];
    int64_t back;
    for (int64_t day = -7300; day < 84000; day += 1) {
        int64_t ns = day * 86400 * MOE_NS_PER_S + day * 1234567;
        const char *rest = moe_timestamp_read(moe_timestamp_write(text, ns), &back);
        if (!rest || *rest || back != ns)
            MOE_CHECK(false, "day %" G_GINT64_FORMAT ": %s", day, text);
    }
    CU_ASSERT_STRING_EQUAL(moe_timestamp_write(text, 1700158623979960000),
                           "2023-11-16 18:17:03.979960000");
}

static void
reads_durations(void)
{
    int64_t ns;
    CU_ASSERT_PTR_NOT_NULL(moe_duration_read("19440192.123456789,", MOE_NS_PER_S, &ns));
    CU_ASSERT_EQUAL(ns, 19440192123456789);
    CU_ASSERT_PTR_NOT_NULL(moe_duration_read("0.0000000005", MOE_NS_PER_S, &ns));
    CU_ASSERT_EQUAL(ns, 1);
    CU_ASSERT_PTR_NULL(moe_duration_read("9223372037", MOE_NS_PER_S, &ns));
    CU_ASSERT_PTR_NULL(moe_duration_read("nan", MOE_NS_PER_S, &ns));
}

/* ---- names ---- */

static void
numbers_names(void)
{
    moe_names names = {0};
    CU_ASSERT_EQUAL(moe_names_add(&names, "b", 1), 0);
    CU_ASSERT_EQUAL(moe_names_add(&names, "", 0), 1);
    for (uint32_t i = 0; i < 5000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "name-%u", i % 2500);
        CU_ASSERT_EQUAL(moe_names_add(&names, name, (size_t)n), 2 + i % 2500);
    }
    size_t n;
    const char *name = moe_names_at(&names, 2 + 17, &n);
    CU_ASSERT_TRUE(n == 7 && memcmp(name, "name-17", n) == 0);
    CU_ASSERT_EQUAL(moe_names_add(&names, "", 0), 1);
    moe_names_clear(&names);
}

/* ---- building, writing, opening ---- */

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

/* Three requests, the last one first: sessions, models and blocks are numbered by time. */
static moe_requests_file *
build(void)
{
    static const uint64_t late[] = {900, 901}, early[] = {900}, middle[] = {7, 901, 7};
    moe_requests_builder *b = moe_requests_builder_new();
    g_autoptr(GError) error = NULL;
    CU_ASSERT_TRUE(moe_requests_builder_clock(b, MOE_CLOCK_UNIX));
    CU_ASSERT_FALSE(moe_requests_builder_clock(b, MOE_CLOCK_TRACE));
    CU_ASSERT_TRUE(moe_requests_builder_clock(b, MOE_CLOCK_UNIX));
    CU_ASSERT_TRUE(moe_requests_builder_blocks(b, 4));
    moe_requests_builder_add(b, &(moe_request){5000, 8, 1, NAME("x"), NAME("big"), late, 2});
    moe_requests_builder_add(b, &(moe_request){1000, 3, 2, NAME("y"), {0}, early, 1});
    moe_requests_builder_add(b, &(moe_request){1500, 9, 3, {0}, NAME("s\"mall"), middle, 3});
    moe_requests_builder_add(b, &(moe_request){5000, 2, 4, NAME("y"), NAME("big"), NULL, 0});
    moe_requests_builder_meta(b, "source", "test");
    CU_ASSERT_EQUAL(moe_requests_builder_late(b), 2);
    moe_requests_file *file = moe_requests_builder_finish(b, "built", &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    return file;
}

static void
check_built(const moe_requests *r)
{
    static const int64_t arrival[] = {0, 500, 4000, 4000};
    static const uint32_t prompt[] = {3, 9, 8, 2}, output[] = {2, 3, 1, 4};
    static const uint32_t sessions[] = {0, MOE_NONE, 1, 0}, blocks[] = {0, 1, 2, 1, 0, 2};
    static const uint64_t first[] = {0, 1, 4, 6, 6};
    static const uint16_t models[] = {MOE_REQUESTS_NO_MODEL, 0, 1, 1};
    CU_ASSERT_EQUAL_FATAL(r->n, 4);
    CU_ASSERT_EQUAL(r->clock, MOE_CLOCK_UNIX);
    CU_ASSERT_EQUAL(r->epoch_ns, 1000);
    CU_ASSERT_EQUAL(memcmp(r->arrival_ns, arrival, sizeof arrival), 0);
    CU_ASSERT_EQUAL(memcmp(r->prompt, prompt, sizeof prompt), 0);
    CU_ASSERT_EQUAL(memcmp(r->output, output, sizeof output), 0);
    CU_ASSERT_EQUAL(memcmp(r->session, sessions, sizeof sessions), 0);
    CU_ASSERT_EQUAL(memcmp(r->model, models, sizeof models), 0);
    CU_ASSERT_EQUAL(r->block_tokens, 4);
    CU_ASSERT_EQUAL(memcmp(r->block_first, first, sizeof first), 0);
    CU_ASSERT_EQUAL(memcmp(r->blocks, blocks, sizeof blocks), 0);
    CU_ASSERT_EQUAL(r->n_blocks, 3);
    CU_ASSERT_EQUAL(r->n_sessions, 2);
    CU_ASSERT_EQUAL_FATAL(r->n_models, 2);
    CU_ASSERT_STRING_EQUAL(r->models[0], "s\"mall");
    CU_ASSERT_STRING_EQUAL(r->models[1], "big");
}

static void
built_written_opened(void)
{
    g_autoptr(moe_requests_file) file = build();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    check_built(moe_requests_get(file));
    CU_ASSERT_TRUE(moe_requests_write(file, "requests.safetensors", &error));
    CU_ASSERT_TRUE(moe_requests_recognise("requests.safetensors"));
    CU_ASSERT_FALSE(moe_requests_recognise("absent.safetensors"));
    g_autoptr(moe_requests_file) opened = moe_requests_open("requests.safetensors", diag, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
    check_built(moe_requests_get(opened));
    CU_ASSERT_STRING_EQUAL(moe_requests_meta(opened, "source"), "test");
    g_autoptr(GString) text = g_string_new(NULL);
    moe_requests_describe(opened, text);
    MOE_CHECK(strstr(text->str, "3 distinct blocks of 4 tokens; 40.91%") != NULL, "%s", text->str);
    MOE_CHECK(strstr(text->str, "sessions     2, of 1.50 requests") != NULL, "%s", text->str);
    MOE_CHECK(strstr(text->str, "models       s\"mall 1, big 2") != NULL, "%s", text->str);
    g_unlink("requests.safetensors");
    g_string_assign(text, "");
    moe_requests_csv(moe_requests_get(opened), 0, 4, text);
    CU_ASSERT_STRING_EQUAL(text->str, "timestamp,prompt,output,session,model,blocks_of_4\n"
                                      "1970-01-01 00:00:00.000001000,3,2,0,,0\n"
                                      "1970-01-01 00:00:00.000001500,9,3,,\"s\"\"mall\",1 2 1\n"
                                      "1970-01-01 00:00:00.000005000,8,1,1,big,0 2\n"
                                      "1970-01-01 00:00:00.000005000,2,4,0,big,\n");
}

/* ---- what a file may not hold ---- */

typedef struct wrong {
    const char *message;
    const char *tensor; /* whose element `at` becomes `value`; NULL: the metadata `meta` */
    uint64_t at, value;
    const char *meta, *text; /* text NULL: the key is left out */
} wrong;

static const wrong wrongs[] = {
    {"tensor arrival_ns, request 1: 5 after 10; times start at 0 and never fall", "arrival_ns", 1,
     5},
    {"tensor arrival_ns, request 0: -1 after 0", "arrival_ns", 0, UINT64_MAX},
    {"tensor prompt, request 1: 0 tokens, wants 1 .. 1000000000", "prompt", 1, 0},
    {"tensor output, request 0: 4294967295 tokens", "output", 0, UINT32_MAX},
    {"tensor session, request 0: number 1, but the next new one is 0", "session", 0, 1},
    {"tensor model, request 1: number 1, but metadata 'models' names 1", "model", 1, 1},
    {"tensor model, request 0: number 2, but the next new one is 0", "model", 0, 2},
    {"tensor blocks, request 1: number 9, but the next new one is 1", "blocks", 1, 9},
    {"tensor block_first, request 0: blocks 1 .. 1 of 3", "block_first", 0, 1},
    {"tensor block_first, request 1: 1 blocks of 4 tokens for a prompt of 8", "block_first", 1, 2},
    {"tensor block_first, request 0: blocks 0 .. 9 of 3", "block_first", 1, 9},
    {"tensor block_first ends at 4, but there are 3 blocks", "block_first", 2, 4},
    {"no request trace: metadata 'format' is 'x', not 'moesim-requests'", NULL, 0, 0, "format",
     "x"},
    {"metadata 'format' is absent", NULL, 0, 0, "format", NULL},
    {"metadata 'version' is '2'; this program reads version 1", NULL, 0, 0, "version", "2"},
    {"metadata 'clock' is 'moon', not unix or trace", NULL, 0, 0, "clock", "moon"},
    {"metadata 'epoch_ns' is '1.5', not a whole number from 0 on", NULL, 0, 0, "epoch_ns", "1.5"},
    {"metadata 'block_tokens' is '0', not a whole number", NULL, 0, 0, "block_tokens", "0"},
    {"metadata 'block_tokens' is absent", NULL, 0, 0, "block_tokens", NULL},
    {"metadata 'models', byte 1: wants a text in double quotes", NULL, 0, 0, "models", "[1]"},
    {"but metadata 'models' is absent", NULL, 0, 0, "models", NULL},
    {"metadata 'models': name 1 is empty", NULL, 0, 0, "models", "[\"m\",\"\"]"},
    {"metadata 'models': name 1 is there twice", NULL, 0, 0, "models", "[\"m\",\"m\"]"},
    {"metadata 'models': name 0 holds a control character", NULL, 0, 0, "models", "[\"m\\n\"]"},
    {"metadata 'models' names 2, but 1 of them appear", NULL, 0, 0, "models", "[\"m\",\"n\"]"},
    {"metadata 'epoch_ns' is '-1', not a whole number from 0 on", NULL, 0, 0, "epoch_ns", "-1"},
    {"tensor arrival_ns ends beyond 2^63 ns on the trace's clock", NULL, 0, 0, "epoch_ns",
     "9223372036854775800"},
};

typedef struct columns {
    int64_t arrival_ns[2];
    uint32_t prompt[2], output[2], session[2], blocks[3];
    uint64_t block_first[3];
    uint16_t model[2];
} columns;

/* Writes a file of two requests with one thing wrong, and returns what is said about it. */
static char *
open_wrong(const wrong *w)
{
    columns c = {{10, 10}, {3, 8}, {1, 1}, {0, 0}, {0, 1, 0}, {0, 1, 3}, {0, 0}};
    moe_tensor tensors[] = {
        {.name = "arrival_ns", .type = MOE_TENSOR_I64, .shape = {2}, .data = c.arrival_ns},
        {.name = "prompt", .type = MOE_TENSOR_U32, .shape = {2}, .data = c.prompt},
        {.name = "output", .type = MOE_TENSOR_U32, .shape = {2}, .data = c.output},
        {.name = "session", .type = MOE_TENSOR_U32, .shape = {2}, .data = c.session},
        {.name = "blocks", .type = MOE_TENSOR_U32, .shape = {3}, .data = c.blocks},
        {.name = "block_first", .type = MOE_TENSOR_U64, .shape = {3}, .data = c.block_first},
        {.name = "model", .type = MOE_TENSOR_U16, .shape = {2}, .data = c.model},
    };
    moe_meta meta[] = {
        {"format", "moesim-requests"}, {"version", "1"},     {"clock", "trace"}, {"epoch_ns", "0"},
        {"block_tokens", "4"},         {"models", "[\"m\"]"}};
    size_t n_meta = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(tensors); i++) {
        tensors[i].rank = 1;
        size_t size = moe_tensor_type_bits(tensors[i].type) / 8;
        if (w->tensor && strcmp(w->tensor, tensors[i].name) == 0)
            memcpy((char *)(uintptr_t)tensors[i].data + w->at * size, &w->value, size);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(meta); i++) {
        bool it = w->meta && strcmp(w->meta, meta[i].key) == 0;
        if (!it || w->text)
            meta[n_meta++] = (moe_meta){meta[i].key, it ? w->text : meta[i].value};
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();
    CU_ASSERT_TRUE(moe_safetensors_write("wrong.safetensors", tensors, G_N_ELEMENTS(tensors), meta,
                                         n_meta, &error));
    g_autoptr(moe_requests_file) file = moe_requests_open("wrong.safetensors", diag, &error);
    g_unlink("wrong.safetensors");
    char *text = moe_diag_render(diag);
    MOE_CHECK((file == NULL) == (*text != '\0'), "'%s'", text);
    return text;
}

static void
refuses_wrong_files(void)
{
    g_autofree char *good = open_wrong(&(wrong){.message = ""});
    CU_ASSERT_STRING_EQUAL(good, "");
    for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        g_autofree char *text = open_wrong(&wrongs[i]);
        MOE_CHECK(g_str_has_prefix(text, "wrong.safetensors: error: ") &&
                      strstr(text, wrongs[i].message),
                  "case %zu: '%s' instead of '%s'", i, text, wrongs[i].message);
    }
}

MOE_TESTS({"timestamps are read", reads_timestamps}, {"timestamps are written", writes_timestamps},
          {"durations are read", reads_durations}, {"names are numbered", numbers_names},
          {"built, written, opened", built_written_opened},
          {"wrong files are refused", refuses_wrong_files})
