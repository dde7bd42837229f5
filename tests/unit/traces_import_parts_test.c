/* What importers of engines are made of: base64, JSON as a stream, npy headers, typed arrays, the
 * choice of a softmax router, numbers in names. */
#include "tests/test.h"

#include "traces/import/base64.h"
#include "traces/import/bundle.h"
#include "traces/import/json_stream.h"
#include "traces/import/npy_format.h"
#include "traces/import/router.h"

#include <math.h>

/* ---- base64 ---- */

static void
base64(void)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
        size_t n;
    } cases[] = {
        {"", "", 0},
        {"Zg==", "f", 1},
        {"Zm8=", "fo", 2},
        {"Zm9v", "foo", 3},
        {"Zm9vYg==", "foob", 4},
        {"Zm9vYmE=", "fooba", 5},
        {"AAEC/+8=", "\0\1\2\xFF\xEF", 5},
        {"Zg=", NULL, 0},
        {"Zg", NULL, 0},
        {"Z===", NULL, 0},
        {"====", NULL, 0},
        {"Zh==", NULL, 0},
        {"Zm9=", NULL, 0},
        {"Zg==Zg==", NULL, 0},
        {"Zm 9", NULL, 0},
        {"Zm9v\n\n\n\n", NULL, 0},
        {"Zm9-", NULL, 0},
        {"Zm9\xC3", NULL, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup(cases[i].text);
        size_t n = 0;
        const char *why = moe_base64_decode(text, strlen(text), &n);
        MOE_CHECK(!why == (cases[i].bytes != NULL), "'%s': %s", cases[i].text, why ? why : "taken");
        MOE_CHECK(why || (n == cases[i].n && memcmp(text, cases[i].bytes, n) == 0),
                  "'%s': %zu bytes", cases[i].text, n);
    }
}

/* ---- JSON ---- */

/* The events of a text: {}[] as they are, k, t, n, w for keys, texts, numbers, words; '.' at the
 * end, '!' when it is wrong. */
static char *
events(const char *json, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *text = g_string_new(NULL);
    moe_text_source *source = moe_text_source_memory("x", json, strlen(json));
    g_autoptr(moe_json_stream) s = moe_json_stream_new(source, "x", diag, &error);
    moe_json_event event;
    do {
        static const char marks[] = "{[.ktnw";
        event = moe_json_next(s);
        if (event == MOE_JSON_CLOSE)
            g_string_append_c(text, '/');
        else if (event < MOE_JSON_END)
            g_string_append_c(text, marks[event]);
    } while (event != MOE_JSON_END && event != MOE_JSON_WRONG);
    g_string_append_c(text, event == MOE_JSON_END ? '.' : '!');
    *messages = moe_diag_render(diag);
    MOE_CHECK((event == MOE_JSON_WRONG) == (moe_diag_errors(diag) > 0), "'%s': %s", json,
              *messages);
    return g_string_free(text, FALSE);
}

static void
json_events(void)
{
    static const struct {
        const char *json, *events, *message;
    } cases[] = {
        {"", ".", NULL},
        {" \n\t", ".", NULL},
        {"{}", "{/.", NULL},
        {"[]", "[/.", NULL},
        {"{\"a\": [1, -2.5e+3, true, null, \"x\\n\\u00e9\"]}", "{k[nnwwt//.", NULL},
        {"1 2\n3", "nnn.", NULL},
        {"{\"a\":{}}\n{\"b\":[[]]}\n", "{k{//{k[[///.", NULL},
        {"[NaN, -Infinity]", "[ww/.", NULL},
        {"[1,]", "[n!", "x:1: error: JSON: wants a value"},
        {"[,1]", "[!", "wants a value"},
        {"[1 2]", "[n!", "wants ',' or ']'"},
        {"{\"a\" 1}", "{!", "wants ':' behind a key"},
        {"{\"a\":1,}", "{kn!", "wants a key"},
        {"{1:2}", "{!", "wants a key"},
        {"{\"a\":1]", "{kn!", "wants ',' or '}'"},
        {"]", "!", "wants a value"},
        {"[01]", "[!", "wants a value"},
        {"[1.]", "[!", "wants a value"},
        {"[+1]", "[!", "wants a value"},
        {"[- 1]", "[!", "wants a value"},
        {"[truth]", "[!", "wants a value"},
        {"[\n\n1,\n\"a", "[n!", "x:4: error: JSON: ends inside of a text (cut short?)"},
        {"[\"a\tb\"]", "[!", "control character"},
        {"[\"\\x\"]", "[!", "unknown escape"},
        {"[\"\\u12\"]", "[!", "hexadecimal"},
        {"[[1", "[[n!", "ends inside of a value"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *messages = NULL, *got = events(cases[i].json, &messages);
        MOE_CHECK(strcmp(got, cases[i].events) == 0, "'%s': %s", cases[i].json, got);
        MOE_CHECK(!cases[i].message || strstr(messages, cases[i].message), "'%s': %s",
                  cases[i].json, messages);
    }
}

static void
json_numbers(void)
{
    static const struct {
        const char *json, *why; /* NULL: taken */
        uint32_t rank;
        uint64_t shape[MOE_JSON_RANK];
        int32_t last;
    } cases[] = {
        {"[]", NULL, 1, {0}, 0},
        {"[7]", NULL, 1, {1}, 7},
        {"[[1,2,3],[4,5,-6]]", NULL, 2, {2, 3}, -6},
        {"[ [ [ 1 ] , [ 2 ] ] ,\n [ [ 3 ] , [ 44444 ] ] ]", NULL, 3, {2, 2, 1}, 44444},
        {"[12345678901234567890]", "numbers that are not whole", 0, {0}, 0},
        {"[99999999999]", NULL, 1, {1}, INT32_MAX},
        {"[-99999999999]", NULL, 1, {1}, INT32_MIN},
        {"[[],[]]", NULL, 2, {2, 0}, 0},
        {"[1,[2]]", "different depths", 0, {0}, 0},
        {"[[1],2]", "different depths", 0, {0}, 0},
        {"[[1,2],[3]]", "different lengths", 0, {0}, 0},
        {"[[[[[1]]]]]", "nested deeper", 0, {0}, 0},
        {"[1,null]", "no number", 0, {0}, 0},
        {"[1.5]", "not whole", 0, {0}, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        /* alone, and followed by much, so that short cuts are taken, too */
        for (size_t pad = 0; pad < 2; pad++) {
            g_autoptr(moe_diag) diag = moe_diag_new();
            g_autofree char *json = g_strdup_printf("%s%*s", cases[i].json, pad ? 99 : 0, "");
            moe_text_source *source = moe_text_source_memory("x", json, strlen(json));
            g_autoptr(moe_json_stream) s = moe_json_stream_new(source, "x", diag, NULL);
            moe_json_numbers numbers;
            bool broken;
            CU_ASSERT_EQUAL(moe_json_next(s), MOE_JSON_ARRAY);
            const char *why = moe_json_numbers_read(s, &numbers, &broken);
            MOE_CHECK(!broken && !why == !cases[i].why && (!why || strstr(why, cases[i].why)),
                      "'%s': %s", json, why ? why : "taken");
            if (why)
                continue;
            MOE_CHECK(numbers.rank == cases[i].rank &&
                          memcmp(numbers.shape, cases[i].shape, sizeof numbers.shape) == 0,
                      "'%s': rank %u", json, numbers.rank);
            MOE_CHECK(numbers.n == 0 || numbers.values[numbers.n - 1] == cases[i].last, "'%s': %d",
                      json, numbers.values[numbers.n - 1]);
            g_free(numbers.values);
        }
    }
}

/* ---- npy headers ---- */

static void
npy_headers(void)
{
    static const struct {
        int version;
        const char *header;
        size_t n_bytes;      /* behind the header */
        const char *message; /* NULL: taken */
    } cases[] = {
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n", 12, NULL},
        {2, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n", 12, NULL},
        {3, "{\"shape\":(2L,3L),\"descr\":\">u2\",\"fortran_order\":True}", 12, NULL},
        {1, "{'descr': '|b1', 'fortran_order': False, 'shape': (6,), }", 6, NULL},
        {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8, NULL},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (0, 9), }", 0, NULL},
        {1, "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, "of type '<c8'"},
        {1, "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }", 8, "of type '<M8"},
        {1, "{'descr': '|i2', 'fortran_order': False, 'shape': (1,), }", 2, "of type '|i2'"},
        {1, "{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", 2, "bfloat16"},
        {1, "{'descr': '<i2', 'fortran_order': 0, 'shape': (1,), }", 2, "wants True or False"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': 1, }", 2, "shape in parentheses"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (-1,), }", 2, "whole numbers"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (1 1), }", 2, "wants ',' or ')'"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 2,
         "more than 8 dimensions"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,), }", 2,
         "above 2^64"},
        {1, "{'descr': '<i2', 'order': False, 'shape': (1,), }", 2, "a key other than"},
        {1, "{'descr': '<i2' 'fortran_order': False}", 2, "wants ',' or '}'"},
        {1, "{'descr': '<i2', 'fortran_order': False, 'shape': (1,), } x", 2, "text behind '}'"},
        {1, "", 2, "wants '{'"},
        {1, "{'descr': '<i2", 0, "text without an end"},
        {0, "{}", 0, "npy version"},
        {4, "{}", 0, "npy version"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t length = strlen(cases[i].header), fixed = cases[i].version == 1 ? 10 : 12;
        size_t n = fixed + length + cases[i].n_bytes;
        g_autofree uint8_t *bytes = g_malloc0(n);
        memcpy(bytes, "\x93NUMPY", 6);
        bytes[6] = (uint8_t)cases[i].version;
        bytes[8] = (uint8_t)length;
        memcpy(bytes + fixed, cases[i].header, length);
        g_autoptr(moe_diag) diag = moe_diag_new();
        moe_place place = {.loc = {.file = "x.npy"}, .diag = diag};
        moe_array array;
        bool ok = moe_npy_parse(&array, bytes, n, &place);
        g_autofree char *messages = moe_diag_render(diag);
        MOE_CHECK(ok == !cases[i].message && ok == (moe_diag_errors(diag) == 0), "'%s': %s",
                  cases[i].header, messages);
        MOE_CHECK(ok || strstr(messages, cases[i].message), "'%s': %s", cases[i].header, messages);
    }
}

/* ---- arrays ---- */

static void
array_ints(void)
{
    static const uint8_t bytes[16] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                      0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07};
    static const struct {
        moe_array_type type;
        bool swapped;
        int32_t first, second; /* at byte 0, at byte 8 */
    } cases[] = {
        {MOE_ARRAY_U8, false, 255, 0},
        {MOE_ARRAY_I8, false, -1, 0},
        {MOE_ARRAY_U16, false, 65535, 0x100},
        {MOE_ARRAY_I16, true, -1, 1},
        {MOE_ARRAY_U32, false, INT32_MAX, 0x03020100},
        {MOE_ARRAY_I32, true, -1, 0x00010203},
        {MOE_ARRAY_U64, false, INT32_MAX, INT32_MAX},
        {MOE_ARRAY_I64, false, -1, INT32_MAX},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_array array = {.name = "",
                           .data = bytes,
                           .type = cases[i].type,
                           .swapped = cases[i].swapped,
                           .rank = 1,
                           .shape = {2},
                           .stride = {8}};
        int32_t out[2];
        moe_array_ints(&array, 0, out);
        MOE_CHECK(out[0] == cases[i].first && out[1] == cases[i].second, "%s: %d, %d",
                  moe_array_type_name(array.type), out[0], out[1]);
    }
}

static void
array_reals(void)
{
    static const struct {
        moe_array_type type;
        bool swapped;
        uint8_t bytes[8];
        float value;
    } cases[] = {
        {MOE_ARRAY_F16, false, {0x00, 0x3C}, 1},
        {MOE_ARRAY_F16, false, {0x01, 0x80}, -0x1p-24f},
        {MOE_ARRAY_F16, true, {0x7B, 0xFF}, 65504},
        {MOE_ARRAY_F16, false, {0x00, 0xFC}, -INFINITY},
        {MOE_ARRAY_BF16, false, {0x80, 0xBF}, -1},
        {MOE_ARRAY_F32, true, {0x40, 0x49, 0x0F, 0xDB}, 3.14159274f},
        {MOE_ARRAY_F64, false, {0, 0, 0, 0, 0, 0, 0x04, 0x40}, 2.5f},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_array array = {.name = "",
                           .data = cases[i].bytes,
                           .type = cases[i].type,
                           .swapped = cases[i].swapped,
                           .rank = 2,
                           .shape = {1, 1}};
        float out;
        CU_ASSERT_TRUE(moe_array_pack(&array, false, 8, NULL));
        moe_array_reals(&array, 0, &out);
        MOE_CHECK(out == cases[i].value, "case %zu: %g, not %g", i, (double)out,
                  (double)cases[i].value);
    }
}

/* ---- routers, names ---- */

static void
router(void)
{
    static const float logits[6] = {1, 3, -INFINITY, 3, 2, 0};
    int32_t ids[6];
    float weights[6];
    CU_ASSERT_EQUAL(moe_router_top_k(logits, 6, 3, false, ids, weights), 3);
    MOE_CHECK(ids[0] == 1 && ids[1] == 3 && ids[2] == 4, "%d %d %d", ids[0], ids[1], ids[2]);
    double sum = exp(1) + 2 * exp(3) + exp(2) + exp(0);
    MOE_CHECK(fabs((double)weights[0] - exp(3) / sum) < 1e-7 &&
                  fabs((double)weights[2] - exp(2) / sum) < 1e-7,
              "%g %g", (double)weights[0], (double)weights[2]);
    CU_ASSERT_EQUAL(moe_router_top_k(logits, 6, 3, true, ids, weights), 3);
    MOE_CHECK(fabs((double)(weights[0] + weights[1] + weights[2]) - 1) < 1e-6, "%g",
              (double)weights[0]);
    MOE_CHECK(moe_router_top_k(logits, 6, 6, false, ids, weights) == 5, "-inf is never chosen: %d",
              ids[4]);
}

static void
names(void)
{
    static const struct {
        const char *name;
        bool found;
        uint32_t number;
    } cases[] = {
        {"layer12", true, 12},
        {"layers.7.gate", true, 7},
        {"0", true, 0},
        {"a1_b003", true, 3},
        {"gate", false, 0},
        {"", false, 0},
        {"x4294967294", true, 4294967294u},
        {"x4294967295", false, 0},
        {"x99999999999999999999", false, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t number;
        bool found = moe_name_number(cases[i].name, &number);
        MOE_CHECK(found == cases[i].found && (!found || number == cases[i].number), "%s: %u",
                  cases[i].name, number);
    }
}

MOE_TESTS({"base64", base64}, {"JSON events", json_events}, {"JSON numbers", json_numbers},
          {"npy headers", npy_headers}, {"whole numbers", array_ints},
          {"real numbers", array_reals}, {"router", router}, {"numbers in names", names})
