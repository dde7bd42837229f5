/* Importers of requests: what each makes of small texts, and what it says about wrong ones. */
#include "tests/test.h"

#include "tests/import.h"

typedef struct outcome {
    moe_requests_file *file; /* NULL: refused */
    char *messages, *report;
} outcome;

static outcome
import(const moe_importer *importer, const char *text, const moe_import_options *options)
{
    static const moe_import_options none;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    GString *report = g_string_new(NULL);
    moe_requests_builder *builder = import_requests(
        importer, "x", text, strlen(text), options ? options : &none, diag, report, &error);
    outcome o = {.messages = moe_diag_render(diag), .report = g_string_free(report, FALSE)};
    MOE_CHECK(!error, "%s", error ? error->message : "");
    MOE_CHECK((builder == NULL) == (moe_diag_errors(diag) > 0), "builder %p, '%s'", (void *)builder,
              o.messages);
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

/* "epoch: arrival/prompt/output[/sSESSION][/mMODEL][/BLOCK BLOCK …]; …" */
static char *
contents(const moe_requests_file *file)
{
    const moe_requests *r = moe_requests_get(file);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%s%" G_GINT64_FORMAT ":", r->clock == MOE_CLOCK_UNIX ? "u" : "",
                           r->epoch_ns);
    for (uint64_t i = 0; i < r->n; i++) {
        g_string_append_printf(text, " %" G_GINT64_FORMAT "/%u/%u", r->arrival_ns[i], r->prompt[i],
                               r->output[i]);
        if (r->session && r->session[i] != MOE_NONE)
            g_string_append_printf(text, "/s%u", r->session[i]);
        if (r->model && r->model[i] != MOE_REQUESTS_NO_MODEL)
            g_string_append_printf(text, "/m%s", r->models[r->model[i]]);
        for (uint64_t j = r->block_first ? r->block_first[i] : 0;
             r->block_first && j < r->block_first[i + 1]; j++)
            g_string_append_printf(text, "%c%u", j == r->block_first[i] ? '/' : ',', r->blocks[j]);
    }
    return g_string_free(text, FALSE);
}

#define A "TIMESTAMP,ContextTokens,GeneratedTokens\n"
#define B                                                                                          \
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log "     \
    "Type\n"
#define P "arrival_s,prompt,output,session,model,blocks_of_4\n"
#define M(t, i, o, h)                                                                              \
    "{\"timestamp\": " t ", \"input_length\": " i ", \"output_length\": " o ", \"hash_ids\": " h   \
    "}\n"
#define S(i, o, t, h)                                                                              \
    "{\"input_toks\":" i ",\"output_toks\":" o ",\"arrival_time_ns\":" t ",\"input_tok_ids\":" h   \
    "}\n"
#define C(c, p, t, i, h)                                                                           \
    "{\"chat_id\": " c ", \"parent_chat_id\": " p ", \"timestamp\": " t ", \"input_length\": " i   \
    ", \"output_length\": 2, \"type\": \"text\", \"turn\": 1, \"hash_ids\": " h "}\n"
#define DAY "2023-11-16 "

static const moe_import_options sorted = {.sort = true}, blocks_of_4 = {.block_tokens = 4};

static void
accepts(void)
{
    static const struct {
        const moe_importer *importer;
        const char *text, *contents, *report; /* report: a part of it, or NULL */
        const moe_import_options *options;
    } cases[] = {
        {&moe_importer_azure, A DAY "18:17:03.9799600,4808,10\n" DAY "18:17:04.0319600,3180,8\n",
         "u1700158623979960000: 0/4808/10 52000000/3180/8", "2 requests\n"},
        {&moe_importer_azure, A DAY "23:59:59.9999999,1,2\n2023-11-17 00:00:00.0000001,3,4",
         "u1700179199999999900: 0/1/2 200/3/4", NULL},
        {&moe_importer_azure,
         "\xEF\xBB\xBFTIMESTAMP,ContextTokens,GeneratedTokens\r\n" DAY "00:00:00,1,2\r\n\r\n",
         "u1700092800000000000: 0/1/2", NULL},
        {&moe_importer_azure, A "\"" DAY "00:00:00\" , \"1\",  2 \n", "u1700092800000000000: 0/1/2",
         NULL},
        {&moe_importer_azure,
         "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n" DAY "00:00:00,3,1.0,2.\n",
         "u1700092800000000000: 0/1/2", "column 'NumImages' ignored"},
        {&moe_importer_azure, A DAY "00:00:00,1,0\n" DAY "00:00:01,0,1\n" DAY "00:00:02,1,1\n",
         "u1700092802000000000: 0/1/1",
         "1 requests without output (failed) dropped, the first in x:2\n"
         "1 requests with an empty prompt dropped, the first in x:3\n"},
        {&moe_importer_azure, A DAY "00:00:09,1,2\n" DAY "00:00:01,3,4\n" DAY "00:00:09,5,6\n",
         "u1700092801000000000: 0/3/4 8000000000/1/2 8000000000/5/6",
         "1 requests came after later ones: sorted by time", &sorted},
        {&moe_importer_burstgpt,
         B "19440110.0,x-1,43,GPT-4,906,446,1352,Conversation log\n"
           "19440161.5,,2,ChatGPT,36,29,65,API log\n19440162,x-1,2,ChatGPT,36,0,36,API log\n"
           "19440162,x-2,2,GPT-4,36,1,37,API log\n",
         "19440110000000000: 0/906/446/s0/mGPT-4 51500000000/36/29/mChatGPT "
         "52000000000/36/1/s1/mGPT-4",
         "1 requests without output (failed) dropped, the first in x:4"},
        {&moe_importer_burstgpt,
         "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
         "5,ChatGPT,472,18,490,Conversation log\n",
         "5000000000: 0/472/18/mChatGPT", "column 'Log Type' ignored"},
        {&moe_importer_requests_csv,
         P "0.5,9,2,a,\"m, 1\",7 8 9\n0.5,4,1,b,,9\n1e1,3,3,a,\"q\"\"q\",\n",
         "500000000: 0/9/2/s0/mm, 1/0,1,2 0/4/1/s1/2 9500000000/3/3/s0/mq\"q", NULL},
        {&moe_importer_requests_csv, "output,arrived_at,prompt\n1,0.000000001,2\n", "1: 0/2/1",
         NULL},
        {&moe_importer_mooncake,
         M("0", "1025", "2", "[7, 18446744073709551615, 3]") M("5.5", "600", "7", "[7,9]"),
         "0: 0/1025/2/0,1,2 5500000/600/7/0,3", NULL},
        {&moe_importer_mooncake,
         "{\"x\": {\"a\": [1, {\"b\": \"]\\u00e9\"}], \"c\": null}, \"output_length\": 2, "
         "\"timestamp\": 1, \"input_length\": 3}\n",
         "1000000: 0/3/2", NULL},
        {&moe_importer_llmservingsim,
         S("5", "7", "10", "[1,2,3,4,5]") S("5", "7", "10", "[1,2,3,4,6]")
             S("8", "1", "11", "[9,1,2,3,5,6,7,8]") S("4", "1", "12", "[1,2,3,4]"),
         "10: 0/5/7/0,1 0/5/7/0,2 1/8/1/3,4 2/4/1/0", NULL, &blocks_of_4},
        /* session 0: chats 5, 9, 7; 8 goes on from one that is not there, and so does 6 */
        {&moe_importer_bailian,
         C("5", "-1", "61.114", "17", "[1, 2]") C("9", "5", "62", "32", "[1, 2]")
             C("8", "3", "62", "16", "[2]") C("7", "9", "63", "48", "[1, 2, 2]")
                 C("6", "3", "63", "16", "[2]"),
         "61114000000: 0/17/2/s0/0,1 886000000/32/2/s0/0,1 886000000/16/2/s1/2 "
         "1886000000/48/2/s0/0,1,3 1886000000/16/2/s1/2",
         NULL},
        {&moe_importer_llmservingsim,
         "{\"input_toks\": 1, \"output_toks\": 2, \"arrival_time_ns\": 3, \"session_id\": \"a\"}\n"
         "{\"input_toks\": 1, \"output_toks\": 2, \"arrival_time_ns\": 3, \"session_id\": 12}\n",
         "3: 0/1/2/s0 0/1/2/s1", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        outcome o = import(cases[i].importer, cases[i].text, cases[i].options);
        MOE_CHECK(o.file != NULL, "case %zu: %s", i, o.messages);
        if (o.file) {
            g_autofree char *got = contents(o.file);
            MOE_CHECK(strcmp(got, cases[i].contents) == 0, "case %zu: %s", i, got);
            MOE_CHECK(!cases[i].report || strstr(o.report, cases[i].report), "case %zu: report %s",
                      i, o.report);
        }
        outcome_clear(&o);
    }
}

static void
refuses(void)
{
    static const struct {
        const moe_importer *importer;
        const char *text, *message;
    } cases[] = {
        {&moe_importer_azure, "", "x: error: the file is empty"},
        {&moe_importer_azure, A, "x: error: no requests"},
        {&moe_importer_azure, DAY "00:00:00,1,2\n",
         "x:1: error: no header line; wants TIMESTAMP,ContextTokens,GeneratedTokens"},
        {&moe_importer_azure, "TIMESTAMP,ContextToken,GeneratedTokens\n",
         "x:1:11: error: column 'ContextToken' is not known; did you mean 'ContextTokens'?"},
        {&moe_importer_azure, "TIMESTAMP,ContextTokens\n",
         "x:1: error: no column for the output tokens; wants TIMESTAMP,"},
        {&moe_importer_azure, "TIMESTAMP,ContextTokens,GeneratedTokens,ContextTokens\n",
         "x:1:41: error: column 'ContextTokens' says again what column 2 says"},
        {&moe_importer_azure, A ",1,2\n",
         "x:2:1: error: 'TIMESTAMP' is missing: a request needs its time of arrival"},
        {&moe_importer_azure, A "17:00,1,2\n",
         "x:2:1: error: 'TIMESTAMP' wants a time such as 2023-11-16 18:17:03.97996, found 17:00"},
        {&moe_importer_azure, A DAY "00:00:00,-1,2\n",
         "x:2:21: error: 'ContextTokens': -1 is negative"},
        {&moe_importer_azure, A DAY "00:00:00,,2\n", "x:2:21: error: 'ContextTokens' is missing"},
        {&moe_importer_azure, A DAY "00:00:00,NaN,2\n",
         "x:2:21: error: 'ContextTokens' wants a whole number of tokens, found NaN"},
        {&moe_importer_azure, A DAY "00:00:00,1.5,2\n", "found 1.5"},
        {&moe_importer_azure, A DAY "00:00:00,1,2000000000\n",
         "x:2:23: error: 'GeneratedTokens': 2000000000 is too large (at most 1000000000)"},
        {&moe_importer_azure, A DAY "00:00:00,1,99999999999999999999\n", "is too large"},
        {&moe_importer_azure, A DAY "00:00:00,1 2,3\n",
         "x:2:21: error: 'ContextTokens' holds more than one value"},
        {&moe_importer_azure, A DAY "00:00:00,1\n", "x:2: error: 2 fields; the header names 3"},
        {&moe_importer_azure, A DAY "00:00:00,1,2,3\n", "x:2: error: 4 fields; the header names 3"},
        {&moe_importer_azure, A DAY "00:00:09,1,2\n" DAY "00:00:01.5,1,2\n" DAY "00:00:01,1,2\n",
         "x:3: error: arrives 7.5 s before the request of line 2: is this the time of arrival? "
         "--sort puts the requests in order"},
        {&moe_importer_azure, A "\"" DAY "00:00:00,1,2\n",
         "x:2:1: error: the quoted field does not end in its line"},
        {&moe_importer_azure, A "\"" DAY "00:00:00\"x,1,2\n",
         "x:2:22: error: wants ',' behind a quoted field"},
        {&moe_importer_azure, A DAY "00:00:00,1,2\n\n" DAY "00:00:00,1,2\n",
         "x:3: error: blank line between rows"},
        {&moe_importer_azure, A DAY "00:00:00,1,0\n", "x: error: no requests: none has an output"},
        {&moe_importer_burstgpt, B "-5,a,1,m,1,1,2,x\n",
         "x:2:1: error: 'Timestamp': -5 is negative"},
        {&moe_importer_burstgpt, B "nan,a,1,m,1,1,2,x\n",
         "x:2:1: error: 'Timestamp' wants a number, found nan"},
        {&moe_importer_burstgpt, B "1e300,a,1,m,1,1,2,x\n",
         "x:2:1: error: 'Timestamp': 1e300 is beyond what nanoseconds in 64 bits hold"},
        {&moe_importer_requests_csv, "arrival_s,arrival_ms,prompt,output\n1,1,1,1\n",
         "x:1:11: error: column 'arrival_ms' says again what column 1 says"},
        {&moe_importer_requests_csv, P "1,9,1,,,1 2\n",
         "x:2:9: error: 2 blocks of 4 tokens, but a prompt of 9 has 3"},
        {&moe_importer_requests_csv, P "1,9,1,,,1 2 x\n", "wants whole numbers of blocks"},
        {&moe_importer_requests_csv, P "1,9,1,,,1 2 18446744073709551616\n", "is above 2^64 - 1"},
        {&moe_importer_mooncake, M("0", "1025", "2", "[1, 2]"),
         "x:1: error: 2 blocks of 512 tokens, but a prompt of 1025 has 3"},
        {&moe_importer_mooncake, M("0", "1", "2", "[-1]"), "x:1:70: error: wants a whole number"},
        {&moe_importer_mooncake, M("\"0\"", "1", "2", "[1]"),
         "x:1:15: error: 'timestamp' wants a number, found a text in quotes"},
        {&moe_importer_mooncake, M("-1", "1", "2", "[1]"), "'timestamp': -1 is negative"},
        {&moe_importer_mooncake, M("NaN", "1", "2", "[1]"), "found NaN"},
        {&moe_importer_mooncake, "{\"timestamp\": 1, \"timestamp\": 1}\n",
         "x:1:18: error: key 'timestamp' twice"},
        {&moe_importer_mooncake, "{\"timestamp\": 1, \"input_length\": 1}\n",
         "x:1: error: key 'output_length' is missing; wants {\"timestamp\": ms"},
        {&moe_importer_mooncake, "[1]\n", "x:1:1: error: wants '{'; wants {\"timestamp\": ms"},
        {&moe_importer_mooncake, "{\"timestamp\": 1, \"a", "text without an end"},
        {&moe_importer_mooncake, M("5", "1", "2", "[1]") M("4", "1", "2", "[1]"),
         "x:2: error: arrives 0.001 s before the request of line 1"},
        {&moe_importer_bailian, C("5", "-2", "1", "1", "[1]"),
         "wants the number of a chat, or -1 for none"},
        {&moe_importer_bailian, C("5", "-1", "1", "17", "[1]"),
         "x:1: error: 1 blocks of 16 tokens, but a prompt of 17 has 2"},
        {&moe_importer_llmservingsim, S("3", "7", "10", "[1,2]"),
         "x:1: error: 2 ids of tokens for a prompt of 3 tokens"},
        {&moe_importer_llmservingsim, S("1", "7", "10", "[4294967296]"), "is above 2^32 - 1"},
        {&moe_importer_llmservingsim,
         "{\"session_id\": \"s\", \"arrival_time_ns\": 1, \"sub_requests\": [{\"input_toks\": "
         "2}]}\n",
         "x:1:59: error: 'sub_requests': an agentic session"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        outcome o = import(cases[i].importer, cases[i].text, NULL);
        MOE_CHECK(!o.file && strstr(o.messages, cases[i].message), "case %zu: '%s' instead of '%s'",
                  i, o.messages, cases[i].message);
        outcome_clear(&o);
    }
}

/* The first 20, of a file that is wrong everywhere; times that fall are said once. */
static void
many_errors(void)
{
    g_autoptr(GString) text = g_string_new(A);
    for (int i = 0; i < 1000; i++)
        g_string_append(text, DAY "00:00:00,x,1\n");
    outcome o = import(&moe_importer_azure, text->str, NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.messages, "x:21:21:"));
    CU_ASSERT_PTR_NULL(strstr(o.messages, "x:22:"));
    outcome_clear(&o);
    g_string_assign(text, A);
    for (int i = 59; i >= 0; i--)
        g_string_append_printf(text, DAY "00:00:%02d,1,1\n", i);
    o = import(&moe_importer_azure, text->str, NULL);
    CU_ASSERT_STRING_EQUAL(o.messages,
                           "x:3: error: arrives 1 s before the request of line 2: is this the time "
                           "of arrival? --sort puts the requests in order\n");
    outcome_clear(&o);
}

/* Each is told from the others by its first line. */
static void
recognises(void)
{
    static const struct {
        const moe_importer *importer;
        const char *text;
    } cases[] = {
        {&moe_importer_azure, A},
        {&moe_importer_burstgpt, B},
        {&moe_importer_requests_csv, P},
        {&moe_importer_mooncake, M("0", "1", "2", "[1]")},
        {&moe_importer_bailian, C("5", "-1", "1", "1", "[1]")},
        {&moe_importer_llmservingsim, S("3", "7", "10", "[1,2]")},
        {&moe_importer_csv, "seq,pos,layer,experts\n0,0,0,1\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GError) error = NULL;
        const char *name = "x";
        const moe_import_bytes memory = {cases[i].text, strlen(cases[i].text)};
        moe_import_job job = {
            .paths = &name, .n_paths = 1, .memory = &memory, .diag = diag, .error = &error};
        const moe_importer *found = moe_importer_sniff(&job);
        MOE_CHECK(found == cases[i].importer, "case %zu: %s instead of %s", i,
                  found ? found->name : "nothing", cases[i].importer->name);
    }
    outcome o = import(&moe_importer_azure, B, NULL);
    CU_ASSERT_STRING_EQUAL(o.messages, "x: error: this is not azure, but looks like burstgpt; "
                                       "--format burstgpt reads it\n");
    outcome_clear(&o);
}

/* Two inputs go on one after the other; a clock of another kind does not fit. */
static void
several_inputs(void)
{
    static const char *const names[] = {"a", "b"};
    static const char one[] = "arrival_s,prompt,output\n1,1,1\n",
                      two[] = "output,prompt,arrival_ms\n2,3,1500\n",
                      other[] = "timestamp,prompt,output\n" DAY "00:00:00,1,1\n";
    static const moe_import_options none;
    moe_import_bytes memory[] = {{one, sizeof one - 1}, {two, sizeof two - 1}};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_import_job job = {.paths = names,
                          .n_paths = 2,
                          .memory = memory,
                          .options = &none,
                          .diag = diag,
                          .error = &error};
    moe_requests_builder *b = moe_import_requests(&moe_importer_requests_csv, &job);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    g_autoptr(moe_requests_file) file = moe_requests_builder_finish(b, "x", &error);
    g_autofree char *got = contents(file);
    CU_ASSERT_STRING_EQUAL(got, "1000000000: 0/1/1 500000000/3/2");
    memory[1] = (moe_import_bytes){other, sizeof other - 1};
    CU_ASSERT_PTR_NULL(moe_import_requests(&moe_importer_requests_csv, &job));
    g_autofree char *text = moe_diag_render(diag);
    CU_ASSERT_STRING_EQUAL(text,
                           "b:1: error: 'timestamp' is not on the clock of the inputs before\n");
}

MOE_TESTS({"accepts", accepts}, {"refuses", refuses}, {"many errors", many_errors},
          {"recognises", recognises}, {"several inputs", several_inputs})
