#include "profiler/measured.h"
#include "tests/test.h"

static moe_measured *
parse(const char *text, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_measured *table = moe_measured_new();
    bool good = moe_measured_parse(table, "t.csv", text, strlen(text), diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(good == (moe_diag_errors(diag) == 0), "%s", said);
    if (messages)
        *messages = g_steal_pointer(&said);
    else
        MOE_CHECK(good, "%s", said);
    return table;
}

static void
reads_rows(void)
{
    g_autoptr(moe_measured) table =
        parse("# a comment\n"
              "kind,device,dtype,hidden,width,loads,direction,memory,bytes,mode,kernels,time_us\n"
              "experts,\"H100, 80GB\",bf16,4096,14336,3;0;5,,,,,,800\n"
              "copy,H100,,,,,h2d,pageable,1048576,,,120.5\n"
              "# another\n"
              "launch,H100,,,,,,,,graph,100,130\n",
              NULL);
    CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), 3);
    const moe_measured_row *row = moe_measured_at(table, 0);
    CU_ASSERT_EQUAL(row->kind, MOE_MEASURED_EXPERTS);
    CU_ASSERT_STRING_EQUAL(row->device, "H100, 80GB");
    CU_ASSERT_EQUAL(row->n_loads, 2);
    CU_ASSERT_EQUAL(row->loads[0] + row->loads[1], 8);
    CU_ASSERT_EQUAL(row->matrices, 3);
    CU_ASSERT_EQUAL(row->weight_bits, 16);
    CU_ASSERT_EQUAL(row->line, 3);
    row = moe_measured_at(table, 1);
    CU_ASSERT_EQUAL(row->direction, MOE_MEASURED_H2D);
    CU_ASSERT(row->pageable && !row->concurrent);
    CU_ASSERT_EQUAL(row->time_us, 120.5);
    row = moe_measured_at(table, 2);
    CU_ASSERT(row->graph);
    CU_ASSERT_EQUAL(row->kernels, 100);
    CU_ASSERT_EQUAL(row->line, 6);
}

static char *
written(const moe_measured *table)
{
    GString *out = g_string_new(NULL);
    moe_measured_header(out);
    for (size_t i = 0; i < moe_measured_count(table); i++)
        moe_measured_write(moe_measured_at(table, i), out);
    return g_string_free(out, FALSE);
}

/* Loads that are derived, and their sum. */
static void
derives_loads(void)
{
    static const struct {
        const char *row;
        uint32_t n, least, most, sum;
    } cases[] = {
        {"8,2,1,balanced,", 2, 1, 1, 2},
        {"8,2,8,balanced,", 8, 2, 2, 16},
        {"8,2,3,balanced,", 6, 1, 1, 6},
        {"8,2,12,balanced,", 8, 3, 3, 24},
        {"256,6,1000,balanced,", 256, 23, 24, 6000},
        {"128,8,100,power_law_1.2,40", 40, 20, 20, 800},
        {"8,2,5,single,", 2, 5, 5, 10},
        {"5,2,7,balanced,", 5, 2, 3, 14},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *text =
            g_strdup_printf("kind,hidden,width,experts,top_k,tokens,distribution,distinct,time_us\n"
                            "experts,64,64,%s,1000\n",
                            cases[i].row);
        g_autoptr(moe_measured) table = parse(text, NULL);
        CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), 1);
        const moe_measured_row *row = moe_measured_at(table, 0);
        uint32_t sum = 0, least = UINT32_MAX, most = 0;
        for (uint32_t e = 0; e < row->n_loads; e++) {
            sum += row->loads[e];
            least = MIN(least, row->loads[e]);
            most = MAX(most, row->loads[e]);
        }
        MOE_CHECK(row->n_loads == cases[i].n && sum == cases[i].sum && least == cases[i].least &&
                      most == cases[i].most,
                  "%s: %u experts, %u tokens, %u to %u", cases[i].row, row->n_loads, sum, least,
                  most);
    }
}

/* What is written reads back as the same text; columns that no row uses are left out of the texts
 * here, so the first reading adds them. */
static void
writes_rows(void)
{
    static const char *const texts[] = {
        "kind,device,source,dtype,weight_bits,activation_bits,hidden,width,matrices,experts,top_k,"
        "tokens,distribution,distinct,loads,mode,kernels,odd,time_us\n"
        "experts,\"a \"\"b\"\", c\",us,mxfp4,4.25,16,64,96,2,8,2,7,zipf_1,3,2;7;5,graph,5,why,"
        "12.25\n",
        "kind,framework,version,kernel,part,hidden,width,experts,top_k,ep,tp,tokens,distribution,"
        "loads,time_us\n"
        "experts,vllm,0.24.0,triton,,64,96,4,2,2,4,9,power_law_1.2,,50\n"
        "experts,vllm,0.24.0,triton,up,64,96,4,2,,,9,,2;7;5|1;8|0,50\n"
        "experts,vllm,0.24.0,triton,down,64,96,2,2,8,,1,balanced,,50\n",
        "kind,m,n,k,heads,kv_heads,head_dim,queries,context,sequences,weight_bits,direction,memory,"
        "bytes,request,depth,concurrent,mode,kernels,time_us\n"
        "gemm,1,2,3,,,,,,,,,,,,,,,,3.5\n"
        "attention,,,,32,8,128,5,9,4,8,,,,,,,,,11\n"
        "copy,,,,,,,,,,,d2h,pageable,7,,,1,,,2\n"
        "copy,,,,,,,,,,,disk,,65536,4096,32,,,,200\n"
        "launch,,,,,,,,,,,,,,,,,plain,9,25\n"
        "stream,,,,,,,,,,,,,4096,,,,graph,,2.5\n",
        "kind,kv_dtype,kv_bits,hidden,heads,kv_heads,head_dim,variant,kv_rank,rope_dim,value_dim,"
        "q_rank,window,selected,queries,context,sequences,tp,time_us\n"
        "attention,fp8,8,7168,16,1,128,mla_module,512,64,128,1536,,,1,4096,8,8,300\n"
        "attention,,,,64,8,64,,,,,,128,,1,4096,8,,30\n"
        "attention,,,,128,1,512,sparse,,64,,,,2048,1,4096,8,,300\n",
        "kind,collective,algorithm,ranks,nodes,sms,bytes,tokens,hidden,experts,top_k,operation,"
        "time_us\n"
        "collective,all_reduce,nccl,8,,,1048576,,,,,,30\n"
        "collective,dispatch,deepep_normal,16,2,20,,4096,7168,256,8,,900\n"
        "operation,,,,,,,128,4096,,,norm,3\n",
    };
    for (size_t i = 0; i < MOE_COUNT(texts); i++) {
        g_autoptr(moe_measured) table = parse(texts[i], NULL);
        g_autofree char *once = written(table);
        g_autoptr(moe_measured) again = parse(once, NULL);
        g_autofree char *twice = written(again);
        MOE_CHECK(!strcmp(once, twice), "\n%s\n%s", once, twice);
        MOE_CHECK(moe_measured_count(again) == moe_measured_count(table) &&
                      moe_measured_count(table) > 0,
                  "%s", once);
    }
    g_autoptr(moe_measured) table = parse(texts[1], NULL);
    const moe_measured_row *row = moe_measured_at(table, 1);
    uint32_t n = 0;
    CU_ASSERT_EQUAL_FATAL(row->draws, 3);
    CU_ASSERT(moe_measured_draw(row, 1, &n)[1] == 8 && n == 2);
    moe_measured_draw(row, 2, &n);
    CU_ASSERT_EQUAL(n, 0);
    row = moe_measured_at(table, 2); /* the token takes experts 0 and 8 of sixteen */
    CU_ASSERT(row->n_loads == 1 && row->draws == 1 && row->ep == 8 && row->tp == 1);
}

/* Each wrong table and the start of what is said of it. */
static void
refuses(void)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "t.csv: error: no header line"},
        {"kind,time_us\n", "t.csv: error: no rows behind"},
        {"kind,tim_us\nlaunch,1\n", "t.csv:1:6: error: unknown column 'tim_us'; did you mean "
                                    "'time_us'?"},
        {"kind,kind,time_us\n", "t.csv:1:6: error: column 'kind' twice"},
        {"kind,bytes\nstream,1\n", "t.csv:1: error: no column 'time_us'"},
        {"kind,time_us\nlunch,1\n", "t.csv:2:1: error: 'lunch' is no kind; did you mean 'launch'?"},
        {"kind,time_us\nlaunch,1\n", "t.csv:2: error: a row of kind launch wants 'kernels'"},
        {"kind,kernels,time_us\nlaunch,2,-1\n", "t.csv:2:10: error: 'time_us' wants a number"},
        {"kind,kernels,time_us\nlaunch,0,5\n", "t.csv:2:8: error: 'kernels' wants a whole number"},
        {"kind,kernels,time_us\nlaunch,2\n", "t.csv:2: error: 2 fields, but the header names 3"},
        {"kind,kernels,bytes,time_us\nlaunch,2,5,5\n",
         "t.csv:2:10: error: 'bytes' says nothing about a row of kind launch"},
        {"kind,m,n,k,time_us\ngemm,4096,4096,4096,0.16\n",
         "t.csv:2:21: error: above 20 PFLOPS: microseconds are wanted, are these milliseconds?"},
        {"kind,hidden,width,top_k,tokens,distinct,time_us\nexperts,4096,14336,2,8,8,0.958\n",
         "t.csv:2:26: error: above 40 TB/s: microseconds are wanted"},
        {"kind,kernels,time_us\nlaunch,1,0.0025\n", "t.csv:2:10: error: shorter than any kernel"},
        {"kind,direction,bytes,time_us\ncopy,h2d,1000000000,20\n",
         "t.csv:2:21: error: above 1 TB/s"},
        {"kind,bytes,time_us\nstream,1000000,1e9\n", "t.csv:2:16: error: longer than a minute"},
        {"kind,hidden,width,loads,time_us\nexperts,64,64,3;x,5\n",
         "t.csv:2:17: error: 'loads' wants numbers of tokens"},
        {"kind,hidden,width,experts,loads,time_us\nexperts,64,64,1,3;2,5\n",
         "t.csv:2:17: error: more experts with tokens than experts"},
        {"kind,hidden,width,top_k,tokens,distribution,time_us\nexperts,64,64,2,8,zipf_1,5\n",
         "t.csv:2: error: wants loads or distinct"},
        {"kind,hidden,width,top_k,tokens,distribution,time_us\nexperts,64,64,2,8,power_law_1.2,5\n",
         "t.csv:2: error: wants experts, at least top_k"},
        {"kind,direction,bytes,request,depth,time_us\ncopy,h2d,65536,4096,,100\n",
         "t.csv:2:16: error: only copies from a disk are made of requests"},
        {"kind,direction,bytes,request,depth,time_us\ncopy,disk,65536,,8,100\n",
         "t.csv:2:18: error: requests in flight, but no 'request'"},
        {"kind,direction,bytes,request,depth,time_us\ncopy,disk,4096,65536,,100\n",
         "t.csv:2:16: error: a request is larger than all bytes"},
        {"kind,collective,ranks,nodes,bytes,time_us\ncollective,all_reduce,8,3,9,5\n",
         "t.csv:2:23: error: ranks is no multiple of nodes"},
        {"kind,collective,ranks,bytes,time_us\ncollective,dispatch,8,9,5\n",
         "t.csv:2: error: dispatch and combine want tokens"},
        {"kind,heads,kv_heads,head_dim,queries,context,sequences,variant,time_us\n"
         "attention,32,1,128,1,8,1,mla,50\n",
         "t.csv:2: error: MLA wants kv_rank"},
        {"kind,heads,kv_heads,head_dim,queries,context,sequences,time_us\n"
         "attention,32,8,128,9,8,1,50\n",
         "t.csv:2:20: error: more queries than keys"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *said = NULL;
        g_autoptr(moe_measured) table = parse(cases[i].text, &said);
        MOE_CHECK(g_str_has_prefix(said, cases[i].said), "case %zu: %s", i, said);
    }
}

static void
chooses_rows(void)
{
    static const char text[] = "kind,device,kernels,time_us\n"
                               "launch,\"a, b\",1,5\nlaunch,c,2,5\nlaunch,c,3,5\n";
    g_autoptr(moe_measured) table = parse(text, NULL);
    const char *closest = NULL;
    CU_ASSERT(!moe_measured_choose(table, "devise", "c", true, &closest));
    CU_ASSERT_STRING_EQUAL(closest, "device");
    CU_ASSERT(!moe_measured_choose(table, "kind", "lunch", false, &closest));
    CU_ASSERT_STRING_EQUAL(closest, "launch");
    CU_ASSERT(!moe_measured_choose(table, "kind", "launch", false, &closest)); /* all */
    CU_ASSERT_PTR_NULL(closest);
    CU_ASSERT(moe_measured_choose(table, "kernels", "3", false, &closest));
    CU_ASSERT_EQUAL(moe_measured_count(table), 2);
    CU_ASSERT(moe_measured_choose(table, "device", "a, b", true, &closest));
    CU_ASSERT_EQUAL_FATAL(moe_measured_count(table), 1);
    CU_ASSERT_EQUAL(moe_measured_at(table, 0)->kernels, 1);
}

static void
adds_rows(void)
{
    g_autoptr(moe_measured) table = moe_measured_new();
    uint32_t loads[] = {4, 4};
    moe_measured_row row = {.kind = MOE_MEASURED_EXPERTS,
                            .hidden = 64,
                            .width = 64,
                            .loads = loads,
                            .n_loads = 2,
                            .time_us = 20};
    const char *why = NULL;
    moe_measured_begin(table, "profile");
    MOE_CHECK(moe_measured_add(table, &row, &why), "%s", why);
    loads[0] = 9; /* it was a copy */
    CU_ASSERT_EQUAL(moe_measured_at(table, 0)->loads[0], 4);
    CU_ASSERT_STRING_EQUAL(moe_measured_file(table, 0), "profile");
    row.time_us = 1e-3;
    CU_ASSERT(!moe_measured_add(table, &row, &why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "shorter"));
    CU_ASSERT_EQUAL(moe_measured_count(table), 1);
}

MOE_TESTS({"reads rows", reads_rows}, {"derives loads", derives_loads},
          {"writes what it reads", writes_rows}, {"refuses what cannot be", refuses},
          {"chooses rows", chooses_rows}, {"adds rows", adds_rows})
