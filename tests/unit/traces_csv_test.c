#include "tests/import.h"
#include "tests/test.h"

#include <glib/gstdio.h>
#include <zlib.h>
#include <zstd.h>

static import_outcome
import(const void *bytes, size_t n, uint32_t n_experts)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *report = g_string_new(NULL);
    moe_import_options options = {.experts = n_experts};
    moe_routing_builder *builder =
        import_memory(&moe_importer_csv, "x.csv", bytes, n, &options, diag, report, &error);
    import_outcome o = {.messages = moe_diag_render(diag), .report = g_string_free(report, FALSE)};
    MOE_CHECK(!error, "%s", error ? error->message : "");
    MOE_CHECK((builder == NULL) == (moe_diag_errors(diag) > 0), "builder %p, '%s'", (void *)builder,
              o.messages);
    if (builder) {
        CU_ASSERT_TRUE(moe_routing_builder_check(builder, "x.csv", diag));
        o.file = moe_routing_builder_finish(builder, "x.csv");
    }
    return o;
}

#define H "seq,pos,layer,experts\n"
#define W "seq,pos,layer,experts,weights\n"
#define BASE "0,5,0,1 2\n0,5,1,3 0\n"
#define BASE_IS "0,5,d: 1 2 | 3 0;"

static void
accepts(void)
{
    static const struct {
        const char *text, *contents, *report; /* report: a part of it, or NULL */
    } cases[] = {
        {H BASE, BASE_IS, "4 experts, as the largest id is 3"},
        {H "0,5,0,1 2\n0,5,1,3 0", BASE_IS, "no phase column: all tokens taken as decode"},
        {"\xEF\xBB\xBF" H BASE, BASE_IS, NULL},
        {"seq,pos,layer,experts\r\n0,5,0,1 2\r\n0,5,1,3 0\r\n\r\n", BASE_IS, NULL},
        {H BASE "\n \n\r\n", BASE_IS, NULL},
        {"seq, pos, layer, experts\n0, 5, 0, 1 2 \n 0 ,5 , 1,  3   0\n", BASE_IS, NULL},
        {"layer,experts,pos,seq\n0,1 2,5,0\n1,3 0,5,0\n", BASE_IS, NULL},
        {"seq,text,pos,layer,experts,\n0,a b,5,0,1 2,\n0,\xC3\xA9,5,1,3 0,x\n", BASE_IS,
         "column 'text' ignored\ncolumn '' ignored"},
        {H "0,5,1,3 0\n0,5,0,1 2\n", BASE_IS, NULL},
        {H "0,5,0,1\n0,6,0,2\n0,5,1,3\n0,6,1,0\n", "0,5,d: 1 | 3;0,6,d: 2 | 0;",
         "rows of a token do not follow one another: gathered"},
        {H "0,5,0,1 2\n0,5,1,3\n", "0,5,d: 1 2 | 3;", "1 of 2 rows name fewer than 2 experts"},
        {H "0,5,3,1 2\n0,5,60,3 0\n", BASE_IS, "2 layers, numbered 3 .. 60 with gaps or an offset"},
        {"seq,pos,layer,experts,phase\n4,0,0,1,prefill\n4,1,0,0,decode\n4,2,0,0,1\n5,0,0,0,0\n",
         "4,0,p: 1;4,1,d: 0;4,2,d: 0;5,0,p: 0;", "2 experts"},
        {W "0,5,0,1 2,0.5 .25\n0,5,1,3,-1.\n", "0,5,d: 1 2 0.5 0.25 | 3 -1;", NULL},
        {W "0,5,0,1 2,5e-1 2.5E+2\n", "0,5,d: 1 2 0.5 250;", NULL},
        {W "0,5,0,1,0.10000000149011612\n0,6,0,1,123456789012345678901\n",
         "0,5,d: 1 0.1;0,6,d: 1 1.23457e+20;", NULL},
        {H "4294967294,4294967294,65535,65533\n", "4294967294,4294967294,d: 65533;", NULL},
        {H "007,0,0,00\n", "7,0,d: 0;", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        import_outcome o = import(cases[i].text, strlen(cases[i].text), 0);
        MOE_CHECK(o.file != NULL, "case %zu: %s", i, o.messages);
        if (o.file) {
            g_autofree char *got = import_contents(o.file);
            MOE_CHECK(strcmp(got, cases[i].contents) == 0, "case %zu: %s", i, got);
            MOE_CHECK(!cases[i].report || strstr(o.report, cases[i].report), "case %zu: report %s",
                      i, o.report);
        }
        import_outcome_clear(&o);
    }
}

static void
refuses(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "x.csv: error: the file is empty"},
        {"\n", "x.csv: error: the file is empty"},
        {"\n" H BASE, "x.csv:1: error: blank line between rows"},
        {H, "x.csv: error: no rows behind the header line"},
        {BASE, "x.csv:1:1: error: wants a header line"},
        {"seq,pos,layer\n" BASE, "x.csv:1:1: error: header line without column 'experts'"},
        {"seq,pos,layr,experts\n" BASE, "without column 'layer', but with 'layr'"},
        {"seq,pos,seq,layer,experts\n" BASE, "x.csv:1: error: column 'seq' named twice"},
        {"\xFF\xFE\n" BASE, "the header line is no text"},
        {H "0,5,0\n", "x.csv:2:6: error: the row ends early; the header names 4 columns"},
        {H BASE "0,6,0,1 2,9\n", "x.csv:4:10: error: the row goes on; the header names 4 columns"},
        {H "0,5,0,\n", "x.csv:2:7: error: column 'experts' wants a whole number, found nothing"},
        {H "0,5,0,1 2\n\n0,5,1,3 0\n", "x.csv:3: error: blank line between rows"},
        {H "a,5,0,1\n", "x.csv:2:1: error: column 'seq' wants a whole number, found a"},
        {H "0,5.0,0,1\n", "x.csv:2:3: error: column 'pos' wants a whole number, found 5.0"},
        {H "0,5,0x1,1\n", "x.csv:2:5: error: column 'layer' wants a whole number, found 0x1"},
        {H "0,5,0,1;2\n", "x.csv:2:7: error: column 'experts' wants a whole number, found 1;2"},
        {H "0,5,0,+1\n", "found +1"},
        {H "0,5,0,1 -2\n", "x.csv:2:9: error: column 'experts': -2 is negative"},
        {H "-1,5,0,1\n", "x.csv:2:1: error: column 'seq': -1 is negative"},
        {H "9223372036854775808,5,0,1\n",
         "x.csv:2:1: error: column 'seq': 9223372036854775808 is too large (at most 4294967294)"},
        {H "0,18446744073709551616,0,1\n", "18446744073709551616 is too large"},
        {H "0,4294967295,0,1\n", "x.csv:2:3: error: column 'pos': 4294967295 is too large"},
        {H "0,5,65536,1\n", "column 'layer': 65536 is too large (at most 65535)"},
        {H "0,5,0,65534\n",
         "x.csv:2:7: error: column 'experts': 65534 is too large (at most 65533)"},
        {H "0,5,0,1 2 1\n", "x.csv:2:11: error: expert 1 twice in one row"},
        {H BASE "0,5,1,3 0\n", "x.csv:4: error: seq 0, pos 5 has layer 1 already"},
        {H BASE "0,6,0,1 2\n", "x.csv:4: error: seq 0, pos 6: 1 of 2 layers are missing, first "
                               "layer 1"},
        {H BASE "0,6,1,1 2\n0,5,0,1 2\n", "x.csv:5: error: seq 0, pos 5 has layer 0 already"},
        {H BASE "0,6,1,1 2\n0,5,0,1 2\n", "x.csv:4: error: seq 0, pos 6: 1 of 2 layers"},
        {H "0,5,0,1 2\r0,5,1,3\n", "x.csv:2:11: error: the row goes on"},
        {W "0,5,0,1 2,0.5\n", "x.csv:2: error: 1 weights for 2 experts"},
        {W "0,5,0,1 2,0.5 nan\n",
         "x.csv:2:15: error: column 'weights' wants finite numbers, found nan"},
        {W "0,5,0,1 2,0.5 inf\n", "found inf"},
        {W "0,5,0,1,1e400\n", "found 1e400"},
        {W "0,5,0,1,0x1p2\n", "found 0x1p2"},
        {W "0,5,0,1,1e\n", "found 1e"},
        {W "0,5,0,1,.\n", "found ."},
        {W "0,5,0,1,\n", "found nothing"},
        {W "0,5,0,1,0.5,\n", "x.csv:2:12: error: the row goes on"},
        {"seq,pos,layer,experts,phase\n0,5,0,1,2\n", "wants 0 or prefill, 1 or decode, found 2"},
        {"seq,pos,layer,experts,phase\n0,5,0,1,0\n0,5,1,1,1\n",
         "x.csv:3: error: another phase than in the token's row in line 2"},
        {"seq,text,pos,layer,experts\n0,\xC3\xA9\xC3\xA9,x,0,1\n",
         "x.csv:2:6: error: column 'pos'"},
        {"\x1F\x8B", "x.csv: error: gzip data ends early"},
        {"\x1F\x8B\x08nonsense nonsense", "damaged gzip data"},
        {"\x28\xB5\x2F\xFD", "zstd data ends early"},
        {"\x28\xB5\x2F\xFD\x08\xFF\xFF\xFF\xFF\xFF", "damaged zstd data"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        import_outcome o = import(cases[i].text, strlen(cases[i].text), 0);
        MOE_CHECK(!o.file && strstr(o.messages, cases[i].message), "case %zu: '%s' instead of '%s'",
                  i, o.messages, cases[i].message);
        import_outcome_clear(&o);
    }
}

/* All errors at once, but not more than 20. */
static void
many_errors(void)
{
    g_autoptr(GString) text = g_string_new(H "0,x,0,1\n0,5,0,1\n0,5,y,1\n");
    import_outcome o = import(text->str, text->len, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.csv:2:3:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.csv:4:5:"));
    import_outcome_clear(&o);
    const char *twice = H "0,0,0,1 2,9\n0,0,0,1 2\n"; /* the first row's ids do not count */
    o = import(twice, strlen(twice), 0);
    CU_ASSERT_STRING_EQUAL(o.messages,
                           "x.csv:2:10: error: the row goes on; the header names 4 columns\n");
    import_outcome_clear(&o);
    for (int i = 0; i < 1000; i++)
        g_string_append(text, "0,0,0,-1\n");
    o = import(text->str, text->len, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.csv:22:"));
    CU_ASSERT_PTR_NULL(strstr(o.messages, "x.csv:23:"));
    import_outcome_clear(&o);
}

static void
experts_given(void)
{
    import_outcome o = import(H BASE, strlen(H BASE), 64);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    CU_ASSERT_EQUAL(moe_routing_get(o.file)->n_experts, 64);
    import_outcome_clear(&o);
    o = import(H BASE, strlen(H BASE), 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.csv:3:7: error: expert 3, but there are 3"));
    import_outcome_clear(&o);
}

/* 30,000 tokens x 3 layers: many blocks, lines across their borders. */
static GString *
long_text(void)
{
    GString *text = g_string_new(H);
    for (unsigned token = 0; token < 30000; token++)
        for (unsigned layer = 0; layer < 3; layer++)
            g_string_append_printf(text, "%u,%u,%u,%u %u\n", token / 1000, token % 1000, layer,
                                   token * 7 % 61, 61 + (token * 13 + layer) % 67);
    return text;
}

static void
check_long(const void *bytes, size_t n, const char *what)
{
    import_outcome o = import(bytes, n, 0);
    MOE_CHECK(o.file != NULL, "%s: %s", what, o.messages);
    if (!o.file)
        return;
    const moe_routing *r = moe_routing_get(o.file);
    CU_ASSERT_EQUAL(r->n_tokens, 30000);
    unsigned wrong = 0;
    for (unsigned token = 0; token < r->n_tokens; token++) {
        wrong += r->sequence[token] != token / 1000 || r->position[token] != token % 1000;
        for (unsigned layer = 0; layer < 3; layer++) {
            wrong += moe_routing_id(r, token, layer, 0) != token * 7 % 61;
            wrong += moe_routing_id(r, token, layer, 1) != 61 + (token * 13 + layer) % 67;
        }
    }
    MOE_CHECK(wrong == 0, "%s: %u wrong", what, wrong);
    import_outcome_clear(&o);
}

static size_t
gzip(const char *text, size_t n, uint8_t *out, size_t max)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text,
                       .avail_in = (uInt)n,
                       .next_out = out,
                       .avail_out = (uInt)max};
    CU_ASSERT_EQUAL(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                    Z_OK);
    CU_ASSERT_EQUAL(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t size = max - stream.avail_out;
    deflateEnd(&stream);
    return size;
}

static void
packed(void)
{
    GString *text = long_text();
    size_t max = text->len + 1000, half = text->len / 2;
    g_autofree uint8_t *out = g_malloc(max);
    check_long(text->str, text->len, "plain");
    check_long(out, gzip(text->str, text->len, out, max), "gzip");
    size_t first = gzip(text->str, half, out, max);
    size_t second = gzip(text->str + half, text->len - half, out + first, max - first);
    check_long(out, first + second, "gzip of two members");
    check_long(out, ZSTD_compress(out, max, text->str, text->len, 3), "zstd");
    first = ZSTD_compress(out, max, text->str, half, 3);
    second = ZSTD_compress(out + first, max - first, text->str + half, text->len - half, 3);
    check_long(out, first + second, "zstd of two frames");

    size_t n = gzip(text->str, text->len, out, max);
    import_outcome o = import(out, n - 9, 0);
    MOE_CHECK(strstr(o.messages, "gzip data ends early"), "%s", o.messages);
    import_outcome_clear(&o);
    out[n - 6] ^= 1; /* the checksum */
    o = import(out, n, 0);
    MOE_CHECK(strstr(o.messages, "damaged gzip data"), "%s", o.messages);
    import_outcome_clear(&o);
    g_string_free(text, TRUE);
}

static void
long_line(void)
{
    g_autoptr(GString) text = g_string_new(H);
    while (text->len < 3u << 20)
        g_string_append(text, "1 2 3 4 5 6 7 8 ");
    import_outcome o = import(text->str, text->len, 0);
    MOE_CHECK(strstr(o.messages, "x.csv:2: error: line longer than 1.0 MiB"), "%s", o.messages);
    import_outcome_clear(&o);
    for (size_t i = 0; i < text->len; i++)
        text->str[i] = 'a';
    o = import(text->str, text->len, 0);
    MOE_CHECK(strstr(o.messages, "x.csv:1: error: line longer than 1.0 MiB"), "%s", o.messages);
    import_outcome_clear(&o);
}

static void
count_progress(void *context, double done, double total)
{
    double *last = context;
    CU_ASSERT_TRUE(done >= *last && done <= total);
    *last = done;
}

static void
from_file(void)
{
    g_autofree char *path = g_strdup_printf("%s/moesim-csv-XXXXXX", g_get_tmp_dir());
    int fd = g_mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    g_close(fd, NULL);
    GString *text = long_text();
    CU_ASSERT_TRUE(g_file_set_contents(path, text->str, (gssize)text->len, NULL));
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    double last = 0;
    moe_import_options options = {0};
    moe_import_job job = {.paths = (const char *const[]){path},
                          .n_paths = 1,
                          .options = &options,
                          .progress = count_progress,
                          .context = &last,
                          .diag = diag,
                          .error = &error};
    g_autoptr(moe_routing_builder) builder = moe_import_run(&moe_importer_csv, &job);
    CU_ASSERT_PTR_NOT_NULL(builder);
    CU_ASSERT_EQUAL(last, (double)text->len);
    g_unlink(path);
    CU_ASSERT_PTR_NULL(moe_import_run(&moe_importer_csv, &job));
    MOE_CHECK(error && g_str_has_prefix(error->message, path), "%s", error ? error->message : "");
    g_clear_error(&error);
    g_string_free(text, TRUE);
}

/* The real decode trace: numbers as its README states them. */
static void
real_trace(void)
{
    g_autofree char *path = g_build_filename(MOE_SHARED_DATA, "data", "routing", "gpt-oss-20b",
                                             "gptoss20b_decode_all.csv.gz", NULL);
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        moe_test_skip("no shared data");
        return;
    }
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_routing_builder *builder = import_file(&moe_importer_csv, path, diag, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(builder);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, path);
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_EQUAL(r->n_tokens, 215438);
    CU_ASSERT_EQUAL(r->n_sequences, 703);
    CU_ASSERT_EQUAL(r->n_layers, 24);
    CU_ASSERT_EQUAL(r->n_experts, 32);
    CU_ASSERT_EQUAL(r->k, 4);
    CU_ASSERT_EQUAL(r->n_prefill, 0);
    CU_ASSERT_EQUAL(r->position[0], 101);
    CU_ASSERT_EQUAL(moe_routing_id(r, 0, 0, 0), 31);
    CU_ASSERT_EQUAL(moe_routing_id(r, 0, 3, 2), 9);
}

MOE_TESTS({"accepts", accepts}, {"refuses", refuses}, {"many errors", many_errors},
          {"experts given", experts_given}, {"packed", packed}, {"long line", long_line},
          {"from file", from_file}, {"real trace", real_trace})
