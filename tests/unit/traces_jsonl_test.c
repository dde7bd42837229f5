/* JSON lines of routing, and the bare stream of ids. */
#include "tests/import.h"
#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/json_scan.h"

static import_outcome
import_all(const moe_importer *importer, const char *const *texts, const size_t *lengths, size_t n,
           const moe_import_options *options)
{
    static const char *const names[] = {"x.jsonl", "y.jsonl"};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *report = g_string_new(NULL);
    moe_import_bytes memory[2] = {{0}};
    for (size_t i = 0; i < n; i++)
        memory[i] = (moe_import_bytes){texts[i], lengths ? lengths[i] : strlen(texts[i])};
    moe_import_job job = {.paths = names,
                          .n_paths = n,
                          .memory = memory,
                          .options = options,
                          .diag = diag,
                          .report = report,
                          .error = &error};
    moe_routing_builder *builder = moe_import_run(importer, &job);
    import_outcome o = {NULL};
    MOE_CHECK(!error, "%s", error ? error->message : "");
    if (builder) {
        CU_ASSERT_TRUE(moe_routing_builder_check(builder, "x", diag));
        o.file = moe_routing_builder_finish(builder, "x");
    }
    o.messages = moe_diag_render(diag);
    o.report = g_string_free(report, FALSE);
    MOE_CHECK(!o.file == (*o.messages != '\0'), "'%s'", o.messages);
    return o;
}

static import_outcome
import(const char *text)
{
    moe_import_options options = {0};
    return import_all(&moe_importer_jsonl, &text, NULL, 1, &options);
}

#define R(seq, pos, layer, ids)                                                                    \
    "{\"req_id\":" #seq ",\"token_idx\":" #pos ",\"layer\":" #layer ",\"topk_ids\":" ids "}\n"

static void
accepts(void)
{
    static const struct {
        const char *text, *contents, *report; /* report: a part of it, or NULL */
    } cases[] = {
        /* token by token, as a serving engine's hook writes it */
        {"{\"type\":\"meta\",\"model\":\"m\",\"layer\":[7]}\n"
         "{\"type\":\"route\",\"req_id\":\"a\",\"token_idx\":0,\"layer\":3,\"topk_ids\":[5,1],"
         "\"topk_weights\":[0.5,0.25]}\n"
         "{\"type\":\"route\",\"req_id\":\"a\",\"token_idx\":0,\"layer\":4,\"topk_ids\":[2,0],"
         "\"topk_weights\":[1e0,-0.5]}\n"
         "{\"type\":\"route\",\"req_id\":\"b\",\"token_idx\":7,\"layer\":3,\"topk_ids\":[1,2],"
         "\"topk_weights\":[0.5,0.25]}\n"
         "{\"type\":\"route\",\"req_id\":\"b\",\"token_idx\":7,\"layer\":4,\"topk_ids\":[3,4],"
         "\"topk_weights\":[0.5,0.25]}\n",
         "0,0,d: 5 1 0.5 0.25 | 2 0 1 -0.5;1,7,d: 1 2 0.5 0.25 | 3 4 0.5 0.25;",
         "1 records of another type than \"route\" skipped"},
        /* layer by layer within a step */
        {R(0, 5, 0, "[1,2]") R(9, 8, 0, "[3,2]") R(0, 5, 1, "[0,2]") R(9, 8, 1, "[1,0]")
             R(0, 6, 0, "[2,1]") R(0, 6, 1, "[2,3]"),
         "0,5,d: 1 2 | 0 2;9,8,d: 3 2 | 1 0;0,6,d: 2 1 | 2 3;",
         "4 experts, as the largest id is 3"},
        /* all of a layer first; positions that fall: held */
        {R(0, 1, 0, "[1]") R(0, 0, 0, "[2]") R(0, 1, 1, "[3]") R(0, 0, 1, "[0]"),
         "0,1,d: 1 | 3;0,0,d: 2 | 0;", NULL},
        {R(0, 1, 0, "[1]") R(0, 1, 1, "[3]") R(0, 0, 0, "[2]") R(0, 0, 1, "[0]"),
         "0,1,d: 1 | 3;0,0,d: 2 | 0;",
         "records of a token are far from one another: all held in memory"},
        /* one layer */
        {R(0, 0, 7, "[1]") R(0, 1, 7, "[0]"), "0,0,d: 1;0,1,d: 0;", NULL},
        /* rows of any length, none, not run, a sentinel */
        {R(0, 0, 0, "[1]") R(0, 0, 1, "[2,3,4]") R(0, 1, 0, "[]") R(0, 1, 1, "null")
             R(0, 2, 0, "[2,-1]") R(0, 2, 1, "[0,1,2,3]"),
         "0,0,d: 1 | 2 3 4;0,1,d: none | not-run;0,2,d: 2 | 0 1 2 3;", NULL},
        /* other names, white space, keys of no use */
        {" { \"seq\" : 1 , "
         "\"pos\":2,\"note\":{\"a\":[1,{\"b\":null}],\"c\":\"\\u0041\"},\"layer_id\":"
         "0,\"experts\":[ 3 , 1 ] , \"phase\":\"prefill\",\"step\":4,\"token_id\":9,\"domain\":"
         "\"co\\\"de\"}\r\n\n",
         "1,2,p,step 4,co\"de,id 9: 3 1;", "key 'note' ignored"},
        /* speculative-moe: problems are numbered within their data set */
        {"{\"dataset\":\"a\",\"problem_id\":0,\"layer\":0,\"experts\":[1],\"gating_probs\":[0.5],"
         "\"token_idx\":0}\n"
         "{\"dataset\":\"b\",\"problem_id\":0,\"layer\":0,\"experts\":[2],\"gating_probs\":[0.5],"
         "\"token_idx\":0}\n",
         "0,0,d,a: 1 0.5;1,0,d,b: 2 0.5;", NULL},
        /* moe-balance: a record per layer and batch */
        {"{\"layer\":0,\"batch_id\":3,\"origin_rows\":[4,6],\"topk_experts\":[[1,2],[0,3]]}\n"
         "{\"layer\":1,\"batch_id\":3,\"origin_rows\":[4,6],\"topk_experts\":[[2,1],[3,0]]}\n"
         "{\"layer\":0,\"batch_id\":4,\"origin_rows\":[0],\"topk_experts\":[[1,0]]}\n"
         "{\"layer\":1,\"batch_id\":4,\"origin_rows\":[0],\"topk_experts\":[[0,1]]}\n",
         "3,4,d: 1 2 | 2 1;3,6,d: 0 3 | 3 0;4,0,d: 1 0 | 0 1;", NULL},
        {"{\"request_id\":5,\"layer\":0,\"batch_id\":3,\"origin_rows\":[0,1],\"topk_experts\":[[1],"
         "["
         "0]],\"topk_weights\":[[0.5],[0.25]]}\n"
         "{\"request_id\":5,\"layer\":0,\"batch_id\":4,\"origin_rows\":[0],\"topk_experts\":[[1]],"
         "\"topk_weights\":[[1]]}\n",
         "5,0,d: 1 0.5;5,1,d: 0 0.25;5,2,d: 1 1;", NULL},
        {"{\"type\":\"meta\",\"n_experts\":40}\n" R(0, 0, 0, "[1]"), "0,0,d: 1;", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        import_outcome o = import(cases[i].text);
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

#define A R(0, 0, 0, "[1,2]") R(0, 0, 1, "[1,2]")

static void
refuses(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "x.jsonl: error: holds no record of routing"},
        {"\n\n", "x.jsonl: error: holds no record of routing"},
        {"{\"type\":\"meta\"}\n", "x.jsonl: error: holds no record of routing"},
        {A "{\"req_id\":0", "x.jsonl:3:12: error: wants ',' or '}'"},
        {A "[1]", "x.jsonl:3:1: error: wants '{'"},
        {A "{\"req_id\":0,}", "wants a text in double quotes"},
        {A "{\"note\":[1 2]}", "x.jsonl:3:12: error: wants ',' or ']'"},
        {A "{\"note\":01}", "number with leading zeros"},
        {A "{\"note\":nul}", "x.jsonl:3:9: error: wants a value"},
        {A "{\"note\":\"\\x\"}", "unknown escape in a text"},
        {A "{\"req_id\":0} x", "wants nothing more"},
        {A "{\"req_id\":0,\"seq\":1}", "a key that says what one before has said"},
        {A "{\"req_id\":0,\"token_idx\":0,\"topk_ids\":[1]}", "x.jsonl:3: error: a record without "
                                                              "'layer'"},
        {A "{\"req_id\":0,\"token_idx\":0,\"layer\":0,\"topk_weights\":[1]}",
         "x.jsonl:3: error: a record without 'topk_ids'; weights say nothing without the experts "
         "they are of"},
        {A "{\"req_id\":0,\"layer\":0,\"topk_ids\":[1]}", "a record without 'token_idx'"},
        {A "{\"req_id\":0,\"token_idx\":-1,\"layer\":0,\"topk_ids\":[1]}",
         "x.jsonl:3:25: error: wants a whole number"},
        {A R(0, 4294967295, 0, "[1]"), "token 4294967295 is too large"},
        {A R(4294967295, 0, 0, "[1]"), "sequence 4294967295 is too large"},
        {A R(0, 1, 65536, "[1]"), "layer 65536 is too large"},
        {A R(0, 1, 0, "[1.5]"), "wants a whole number, not a fraction"},
        {A R(0, 1, 0, "[[1,2]]"), "lists of experts and 'origin_rows' belong together"},
        {A R(0, 1, 0, "[1,1]") R(0, 1, 1, "[1,2]"), "x.jsonl:3: error: layer 0: expert 1 twice"},
        {A R(0, 1, 0, "[-3,1]") R(0, 1, 1, "[1,2]"), "expert -3 is negative"},
        {A R(0, 1, 0, "[70000,1]") R(0, 1, 1, "[1,2]"), "expert 70000 is too large"},
        {A R(0, 1, 0, "[1,2]"),
         "x.jsonl:3: error: sequence 0, token 1: 1 of 2 layers are missing, first layer 1; was the "
         "recording cut, or do the layers of a step hold different tokens?"},
        {A R(0, 1, 0, "[1]") R(0, 1, 1, "[2]") R(0, 1, 2, "[2]"),
         "x.jsonl:1: error: sequence 0, token 0: 1 of 3 layers are missing, first layer 2"},
        {A R(0, 0, 1, "[1,2]"), "x.jsonl:3: error: sequence 0, token 0 has layer 1 already"},
        {A A, "x.jsonl:3: error: sequence 0, token 0 has layer 0 already"},
        {A "{\"req_id\":\"a\",\"token_idx\":0,\"layer\":0,\"topk_ids\":[1]}",
         "x.jsonl:3: error: a sequence with a name, after others with numbers"},
        {A "{\"req_id\":0,\"token_idx\":1,\"layer\":0,\"topk_ids\":[1],\"topk_weights\":[1]}",
         "x.jsonl:3: error: a record with weights, unlike those before"},
        {A "{\"req_id\":0,\"token_idx\":1,\"layer\":0,\"topk_ids\":[1],\"step\":1}",
         "x.jsonl:3: error: a record that says more or less of its token than those before"},
        {"{\"req_id\":0,\"token_idx\":1,\"layer\":0,\"topk_ids\":[1],\"topk_weights\":[1,2]}",
         "x.jsonl:1: error: 2 weights for 1 experts"},
        {"{\"req_id\":0,\"token_idx\":1,\"layer\":0,\"topk_ids\":[1],\"topk_weights\":[NaN]}",
         "x.jsonl:1: error: layer 0: weight 0 is not a number"},
        {"{\"req_id\":0,\"token_idx\":1,\"layer\":0,\"topk_ids\":[1],\"phase\":\"warm\"}",
         "wants 0 or \"prefill\", 1 or \"decode\""},
        {"{\"layer\":0,\"batch_id\":3,\"origin_rows\":[4],\"topk_experts\":[[1],[0]]}",
         "2 rows of experts for 1 'origin_rows'"},
        {"{\"layer\":0,\"batch_id\":3,\"origin_rows\":[4],\"topk_experts\":[[1]],\"topk_weights\":["
         "]}",
         "x.jsonl:1: error: 0 weights for 1 experts"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        import_outcome o = import(cases[i].text);
        MOE_CHECK(!o.file && strstr(o.messages, cases[i].message), "case %zu: '%s' instead of '%s'",
                  i, o.messages, cases[i].message);
        import_outcome_clear(&o);
    }
}

/* All errors of syntax at once, but not more than 20. */
static void
many_errors(void)
{
    g_autoptr(GString) text = g_string_new(A);
    for (int i = 0; i < 100; i++)
        g_string_append(text, "{\"req_id\":}\n");
    import_outcome o = import(text->str);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.jsonl:3:11:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x.jsonl:22:11:"));
    CU_ASSERT_PTR_NULL(strstr(o.messages, "x.jsonl:23:"));
    import_outcome_clear(&o);
}

static void
several(void)
{
    moe_import_options options = {0};
    const char *good[] = {A, R(1, 0, 0, "[3,2]") R(1, 0, 1, "[1,2]")};
    import_outcome o = import_all(&moe_importer_jsonl, good, NULL, 2, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    CU_ASSERT_EQUAL(moe_routing_get(o.file)->n_tokens, 2);
    import_outcome_clear(&o);
    const char *mixed[] = {A, R(1, 0, 0, "[3,2]") R(1, 0, 1, "[1,2]") R(1, 0, 2, "[1,2]")};
    o = import_all(&moe_importer_jsonl, mixed, NULL, 2, &options);
    MOE_CHECK(strstr(o.messages,
                     "x.jsonl:1: error: sequence 0, token 0: 1 of 3 layers are missing, "
                     "first layer 2; was the recording cut, or are the inputs of "
                     "different models?"),
              "%s", o.messages);
    import_outcome_clear(&o);
}

/* Whatever the order of the records, the routing is the same. */
static void
any_order(void)
{
    enum { TOKENS = 40, LAYERS = 5 };
    char *lines[TOKENS * LAYERS];
    g_autofree char *wanted = NULL;
    for (int i = 0; i < TOKENS * LAYERS; i++) {
        int token = i / LAYERS, layer = i % LAYERS, id = (token * 7 + layer) % 19;
        lines[i] =
            g_strdup_printf("{\"req_id\":%d,\"token_idx\":%d,\"layer\":%d,\"topk_ids\":[%d,%d]}",
                            token / 10, token % 10, layer, id, id + 1);
    }
    for (uint64_t seed = 0; seed < 40; seed++) {
        moe_stream stream = moe_stream_new(seed, "order", 0);
        g_autoptr(GString) text = g_string_new(NULL);
        char *order[TOKENS * LAYERS];
        memcpy(order, lines, sizeof lines);
        for (size_t i = TOKENS * LAYERS - 1; seed && i > 0; i--) {
            size_t j = i - moe_stream_below(&stream, MIN(i, seed * 3) + 1);
            char *moved = order[i];
            order[i] = order[j];
            order[j] = moved;
        }
        for (int i = 0; i < TOKENS * LAYERS; i++)
            g_string_append_printf(text, "%s\n", order[i]);
        import_outcome o = import(text->str);
        MOE_CHECK(o.file != NULL, "seed %d: %s", (int)seed, o.messages);
        const moe_routing *r = o.file ? moe_routing_get(o.file) : NULL;
        unsigned wrong = !r || r->n_tokens != TOKENS;
        for (uint64_t row = 0; r && row < r->n_tokens; row++)
            for (uint32_t layer = 0; layer < LAYERS; layer++)
                wrong += moe_routing_id(r, row, layer, 1) !=
                         ((r->sequence[row] * 10 + r->position[row]) * 7 + layer) % 19 + 1;
        MOE_CHECK(wrong == 0, "seed %d: %u wrong", (int)seed, wrong);
        import_outcome_clear(&o);
    }
    for (int i = 0; i < TOKENS * LAYERS; i++)
        g_free(lines[i]);
}

/* Numbers are read to the nearest double, as strtod does; what JSON does not allow is refused. */
static void
reals(void)
{
    static const char *const refused[] = {"",   "-",   "+1", ".5",   "1.",  "01",  "-01",
                                          "1e", "1e+", "x",  "0x1p", "inf", "1.e5"};
    static const char *const formats[] = {"%.3g", "%.9g", "%.17g", "%.20f", "%.6e"};
    moe_stream stream = moe_stream_new(5, "reals", 0);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char text[512];
        double wanted = (moe_stream_unit(&stream) - 0.5) * (i % 3 ? 1 : 1e12), got = 0;
        g_ascii_formatd(text, sizeof text, formats[i % G_N_ELEMENTS(formats)], wanted);
        moe_scan scan = {.begin = text, .at = text, .end = text + strlen(text)};
        bool ok = moe_scan_real(&scan, &got) && scan.at == scan.end;
        wrong += !ok || got != g_ascii_strtod(text, NULL);
    }
    MOE_CHECK(wrong == 0, "%u wrong", wrong);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        double got;
        moe_scan scan = {
            .begin = refused[i], .at = refused[i], .end = refused[i] + strlen(refused[i])};
        bool ok = moe_scan_real(&scan, &got) && moe_scan_end(&scan);
        MOE_CHECK(!ok && scan.why, "'%s' was read", refused[i]);
    }
}

/* ---- raw-u32 ---- */

static void
raw(void)
{
    const uint32_t ids[] = {1, 2, 3, 0, 2, 1, UINT32_MAX, UINT32_MAX, 9, 0, 1, 2};
    const char *bytes = (const char *)ids;
    static const struct {
        moe_import_options options;
        size_t n;
        const char *text; /* contents, or a message */
    } cases[] = {
        {{.layers = 2, .experts = 10, .top_k = 2}, 32, "0,0,d: 1 2 | 3 0;0,1,d: 2 1 | none;"},
        {{.layers = 2, .experts = 10, .top_k = 2},
         30,
         "x.jsonl: error: 30 bytes are no multiple of the 16 of a token (2 layers x top-2 x 4 "
         "bytes): 14 are left over"},
        {{.layers = 2, .experts = 9, .top_k = 2},
         48,
         "x.jsonl: error: token 2, layer 0: expert 9, but there are 9 experts"},
        {{.layers = 1, .experts = 10, .top_k = 11}, 44, "11 experts per token and layer; 1 .. 10"},
        {{.layers = 2, .experts = 10}, 32, "format raw-u32 does not say it: --top-k is wanted"},
        {{.layers = 2, .experts = 10, .top_k = 2}, 0, "x.jsonl: error: holds no tokens"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        import_outcome o =
            import_all(&moe_importer_raw_u32, &bytes, &cases[i].n, 1, &cases[i].options);
        g_autofree char *got = o.file ? import_contents(o.file) : NULL;
        MOE_CHECK(strstr(got ? got : o.messages, cases[i].text), "case %zu: '%s'", i,
                  got ? got : o.messages);
        import_outcome_clear(&o);
    }
}

MOE_TESTS({"accepts", accepts}, {"refuses", refuses}, {"many errors", many_errors},
          {"several", several}, {"any order", any_order}, {"reals", reals}, {"raw", raw})
