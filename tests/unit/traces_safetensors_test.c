#include "tests/test.h"

#include "traces/safetensors.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>

/* The bytes of a file with this header and n zero bytes of data; yours to free. */
static uint8_t *
file_bytes(const char *header, size_t n_header, size_t n_data, size_t *n_bytes)
{
    uint64_t length = n_header;
    uint8_t *bytes = g_malloc0(8 + n_header + n_data);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, n_header);
    *n_bytes = 8 + n_header + n_data;
    return bytes;
}

/* The messages on parsing, "" when it went well; yours to free. */
static char *
messages(const void *bytes, size_t n)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_safetensors) file = moe_safetensors_parse("x", bytes, n, diag);
    char *text = moe_diag_render(diag);
    MOE_CHECK((file == NULL) == (*text != '\0'), "file %p, messages '%s'", (void *)file, text);
    return text;
}

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void
refuses(void)
{
    static const struct {
        const char *header;
        size_t n_data;
        const char *message; /* NULL: accepted */
    } cases[] = {
        {"{}", 0, NULL},
        {"{}   \n", 0, NULL},
        {"{" T("a", "U8", "[2,3]", "[0,6]") "}", 6, NULL},
        {"{" T("a", "U8", "[]", "[0,1]") "}", 1, NULL},
        {"{" T("a", "F32", "[0,7]", "[0,0]") "}", 0, NULL},
        {"{" T("a", "F4", "[4]", "[0,2]") "}", 2, NULL},
        {"{" T("b", "U8", "[1]", "[1,2]") "," T("a", "U8", "[1]", "[0,1]") "}", 2, NULL},
        {"{ \"a\" : { \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 2 ] , \"dtype\" : \"I8\" } }", 2,
         NULL},
        {"{\"__metadata__\":{\"k\":\"\\u00e9\\ud83d\\ude00\\n\"}}", 0, NULL},
        {"", 0, "header, byte 0: wants '{'"},
        {" {}", 0, "header, byte 0: wants '{'"},
        {"[]", 0, "header, byte 0: wants '{'"},
        {"{}x", 0, "byte 2: wants nothing more"},
        {"{},{}", 0, "byte 2: wants nothing more"},
        {"{\"a\":1}", 0, "byte 5: wants '{'"},
        {"{" T("a", "U8", "[2]", "[0,2]") ",}", 2, "wants a text in double quotes"},
        {"{" T("a", "U8", "[2,]", "[0,2]") "}", 2, "wants a whole number"},
        {"{" T("a", "U8", "[-2]", "[0,2]") "}", 2, "wants a whole number"},
        {"{" T("a", "U8", "[2.0]", "[0,2]") "}", 2, "not a fraction or an exponent"},
        {"{" T("a", "U8", "[1e9]", "[0,2]") "}", 2, "not a fraction or an exponent"},
        {"{" T("a", "U8", "[02]", "[0,2]") "}", 2, "number with leading zeros"},
        {"{" T("a", "U8", "[18446744073709551616]", "[0,2]") "}", 2, "number above 2^64 - 1"},
        {"{" T("a", "U8", "[9007199254740993]", "[0,2]") "}", 2,
         "tensor a: U8 [9007199254740993] takes 9007199254740993 bytes, but its data_offsets hold "
         "2"},
        {"{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0,
         "tensor a: the shape overflows"},
        {"{" T("a", "F64", "[2305843009213693952]", "[0,0]") "}", 0,
         "tensor a: the shape overflows"},
        {"{" T("a", "F4", "[3]", "[0,2]") "}", 2, "tensor a: F4 [3] takes 2 bytes, but"},
        {"{" T("a", "F4", "[3]", "[0,1]") "}", 1, "tensor a: F4 [3] takes 2 bytes, but"},
        {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "more than 8 dimensions"},
        {"{" T("a", "U9", "[2]", "[0,2]") "}", 2, "tensor a: unknown dtype 'U9'"},
        {"{" T("a", "U8", "[2]", "[2,0]") "}", 2, "data_offsets end (0) before they begin (2)"},
        {"{" T("a", "U8", "[2]", "[0,2,3]") "}", 2, "wants ',' or ']'"},
        {"{" T("a", "U8", "[2]", "[0,2]") "}", 1,
         "tensor a: data up to byte 2, but the file holds 1"},
        {"{" T("a", "U8", "[2]", "[18446744073709551613,18446744073709551615]") "}", 2,
         "tensor a: data up to byte 18446744073709551615, but"},
        {"{" T("a", "U8", "[2]", "[0,2]") "}", 3, "1 bytes behind the last tensor"},
        {"{" T("a", "U8", "[2]", "[1,3]") "}", 3, "tensor a: hole of 1 bytes before its data"},
        {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
         "tensor b: its data overlaps that of a"},
        {"{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2,
         "tensor a: written twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2, "wants dtype, shape and data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
         "key written twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"shape\":[1],\"data_offsets\":[0,2]}}", 2,
         "key written twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"x\":1}}", 2,
         "a tensor has dtype, shape and data_offsets only"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "wants a text in double quotes"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "metadata key k: written twice"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ written twice"},
        {"{\"__metadata__\":{\"k\":\"a\\u0000b\"}}", 0, "NUL in a text"},
        {"{\"__metadata__\":{\"k\":\"\\ud800\"}}", 0, "half a surrogate pair"},
        {"{\"__metadata__\":{\"k\":\"\\udc00\\ud800\"}}", 0, "half a surrogate pair"},
        {"{\"__metadata__\":{\"k\":\"\\q\"}}", 0, "unknown escape"},
        {"{\"__metadata__\":{\"k\":\"\\u12g4\"}}", 0, "four hexadecimal digits"},
        {"{\"__metadata__\":{\"k\":\"a\nb\"}}", 0, "control character in a text"},
        {"{\"__metadata__\":{\"k\":\"\xC3\x28\"}}", 0, "not UTF-8"},
        {"{\"__metadata__\":{\"k", 0, "text without an end"},
        {"{\"\\u001b[2J\":{}}", 0, "control character in a name"},
        {"{\"\":{}}", 0, "empty name"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t n;
        g_autofree uint8_t *bytes =
            file_bytes(cases[i].header, strlen(cases[i].header), cases[i].n_data, &n);
        g_autofree char *text = messages(bytes, n);
        if (cases[i].message)
            MOE_CHECK(strstr(text, cases[i].message) != NULL, "case %zu: '%s' instead of '%s'", i,
                      text, cases[i].message);
        else
            MOE_CHECK(*text == '\0', "case %zu: '%s'", i, text);
    }
}

static void
header_length(void)
{
    static const struct {
        uint64_t length;
        size_t n;
        const char *message;
    } cases[] = {
        {0, 0, "shorter than the header's length"},
        {2, 7, "shorter than the header's length"},
        {3, 10, "header of 3 bytes, but the file ends after 2"},
        {UINT64_MAX, 10, "asks for a header of 18446744073709551615 bytes"},
        {(100u << 20) + 1, 10, "at most 100 MiB"},
        {2, 10, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t bytes[10];
        memcpy(bytes, &cases[i].length, 8);
        memcpy(bytes + 8, "{}", 2);
        g_autofree char *text = messages(bytes, cases[i].n);
        MOE_CHECK(cases[i].message ? strstr(text, cases[i].message) != NULL : !*text,
                  "case %zu: '%s'", i, text);
    }
}

static void
nul_in_header(void)
{
    size_t n;
    g_autofree uint8_t *bytes = file_bytes("{}\0", 3, 0, &n);
    g_autofree char *text = messages(bytes, n);
    MOE_CHECK(strstr(text, "byte 2: NUL in the header") != NULL, "'%s'", text);
}

/* A folder for one test; removed, with what is in it, at its end. */
static char *
folder_new(void)
{
    char *folder = g_strdup_printf("%s/moesim-test-XXXXXX", g_get_tmp_dir());
    CU_ASSERT_PTR_NOT_NULL_FATAL(g_mkdtemp(folder));
    return folder;
}

static unsigned
folder_free(char *folder)
{
    unsigned n = 0;
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)); n++) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
    g_free(folder);
    return n;
}

static const uint8_t written_bytes[6] = {1, 2, 3, 4, 5, 6};
static const double written_double = 0.1;
static const moe_tensor written[] = {
    {.name = "z", .type = MOE_TENSOR_U8, .rank = 2, .shape = {2, 3}, .data = written_bytes},
    {.name = "none", .type = MOE_TENSOR_F32, .rank = 2, .shape = {0, 9}, .data = written_bytes},
    {.name = "d\"\\", .type = MOE_TENSOR_F64, .rank = 0, .data = &written_double},
};
static const moe_meta written_meta[] = {{"b", "2 \"quoted\" \\ \n\x01"}, {"a", "\xC3\xA9"}};

static void
round_trip(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    CU_ASSERT_TRUE(moe_safetensors_write(path, written, 3, written_meta, 2, &error));
    g_autoptr(moe_safetensors) file = moe_safetensors_open(path, diag, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(moe_safetensors_count(file), 3);
    CU_ASSERT_STRING_EQUAL(moe_safetensors_at(file, 0)->name, "d\"\\");
    for (size_t i = 0; i < G_N_ELEMENTS(written); i++) {
        const moe_tensor *t = moe_safetensors_find(file, written[i].name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        CU_ASSERT_EQUAL(t->type, written[i].type);
        CU_ASSERT_EQUAL(t->rank, written[i].rank);
        CU_ASSERT_EQUAL(memcmp(t->shape, written[i].shape, sizeof t->shape), 0);
        CU_ASSERT_EQUAL(memcmp(t->data, written[i].data, t->bytes), 0);
        CU_ASSERT_TRUE(moe_tensor_aligned(t));
    }
    CU_ASSERT_PTR_NULL(moe_safetensors_find(file, "y"));
    CU_ASSERT_STRING_EQUAL(moe_safetensors_meta(file, "b"), written_meta[0].value);
    CU_ASSERT_STRING_EQUAL(moe_safetensors_meta(file, "a"), written_meta[1].value);
    CU_ASSERT_PTR_NULL(moe_safetensors_meta(file, "c"));
    CU_ASSERT_EQUAL(folder_free(folder), 1); /* no temporary file beside it */
}

static void
same_bytes(void)
{
    char *folder = folder_new();
    g_autofree char *one = g_build_filename(folder, "one", NULL);
    g_autofree char *two = g_build_filename(folder, "two", NULL);
    const moe_tensor turned[] = {written[2], written[1], written[0]};
    const moe_meta turned_meta[] = {written_meta[1], written_meta[0]};
    CU_ASSERT_TRUE(moe_safetensors_write(one, written, 3, written_meta, 2, NULL));
    CU_ASSERT_TRUE(moe_safetensors_write(two, turned, 3, turned_meta, 2, NULL));
    g_autofree char *a = NULL, *b = NULL;
    gsize n_a, n_b;
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(one, &a, &n_a, NULL));
    CU_ASSERT_TRUE_FATAL(g_file_get_contents(two, &b, &n_b, NULL));
    CU_ASSERT_EQUAL(n_a, n_b);
    CU_ASSERT_EQUAL(memcmp(a, b, n_a), 0);
    folder_free(folder);
}

static void
environment(void)
{
    char *folder = folder_new();
    g_autofree char *missing = g_build_filename(folder, "no", "x.safetensors", NULL);
    static const char *const devices[] = {"/dev/full"};
    GError *error = NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();

    CU_ASSERT_FALSE(moe_safetensors_write(missing, written, 3, NULL, 0, &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, missing), "%s",
              error ? error->message : "no error");
    g_clear_error(&error);
    CU_ASSERT_FALSE(moe_safetensors_write(folder, written, 3, NULL, 0, &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, folder), "%s",
              error ? error->message : "no error");
    g_clear_error(&error);
    if (g_file_test(devices[0], G_FILE_TEST_EXISTS)) {
        CU_ASSERT_FALSE(moe_safetensors_write(devices[0], written, 3, NULL, 0, &error));
        MOE_CHECK(error && strstr(error->message, "No space left"), "%s",
                  error ? error->message : "no error");
        g_clear_error(&error);
    }
    CU_ASSERT_PTR_NULL(moe_safetensors_open(missing, diag, &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, missing), "%s",
              error ? error->message : "no error");
    g_clear_error(&error);
    CU_ASSERT_PTR_NULL(moe_safetensors_open(folder, diag, &error));
    MOE_CHECK(error && strstr(error->message, "not a regular file"), "%s",
              error ? error->message : "no error");
    g_clear_error(&error);
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 0);

    g_autofree char *empty = g_build_filename(folder, "empty", NULL);
    CU_ASSERT_TRUE(g_file_set_contents(empty, "", 0, NULL));
    CU_ASSERT_PTR_NULL(moe_safetensors_open(empty, diag, &error));
    CU_ASSERT_PTR_NULL(error);
    CU_ASSERT_EQUAL(moe_diag_errors(diag), 1);
    CU_ASSERT_EQUAL(folder_free(folder), 1);
}

/* A disk that fills up half-way: the limit on file sizes stands for it. */
static void
full_half_way(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    CU_ASSERT_TRUE(g_file_set_contents(path, "old", 3, NULL));
    struct rlimit before, small;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    g_autoptr(GError) error = NULL;
    bool ok = moe_safetensors_write(path, written, 3, NULL, 0, &error);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_FALSE(ok);
    MOE_CHECK(error && g_str_has_prefix(error->message, path), "%s",
              error ? error->message : "no error");
    g_autofree char *kept = NULL;
    CU_ASSERT_TRUE(g_file_get_contents(path, &kept, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(kept, "old");
    CU_ASSERT_EQUAL(folder_free(folder), 1);
}

MOE_TESTS({"refuses", refuses}, {"header length", header_length}, {"NUL in header", nul_in_header},
          {"round trip", round_trip}, {"same bytes", same_bytes}, {"environment", environment},
          {"full half-way", full_half_way})
