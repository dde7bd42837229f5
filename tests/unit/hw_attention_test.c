/* Attention by kernels that are known by their blocks: the formula worked out by hand, what must
 * hold for any numbers, and which kernel of a library is taken. */
#include "hw/cost_attention.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <math.h>

static const moe_place places[] = {{"hbm", 1LL << 40, 0, 1e12}};
static const moe_place wide[] = {{"hbm", 1LL << 40, 0, 2e12}};

static const moe_attention_kernel simple = {
    .name = "simple",
    .dtype = MOE_KERNEL_bf16,
    .efficiency = 1,
    .stream_efficiency = 1,
    .tile_rows = 64,
    .tile_keys = 64,
    .max_pieces = 1,
    .block_ps = 1000000,
};

static moe_device
device(void)
{
    return (moe_device){.name = "gpu",
                        .peak = {.bf16 = 1e13, .fp8 = 2e13},
                        .sms = 10,
                        .l2_bytes = 1000000,
                        .attention.efficiency = 0.5,
                        .attention.stream_efficiency = 0.5,
                        .launch_ps = 100000,
                        .graph_launch_ps = 100000};
}

static moe_hardware
machine(const moe_device *d)
{
    return (moe_hardware){.n_devices = 1, .n_places = 1, .devices = d, .places = places};
}

/* `sequences` prompts of q tokens behind context - q others, or decodes (q = 1), of `heads` query
 * heads, `kv` KV heads, 100 wide; a window of 0 is none. */
static moe_attention_work
work_of(const moe_attention_kernel *kernel, double sequences, double q, double context,
        double heads, double kv, double window)
{
    double most = window > 0 && window < context ? window : context;
    double keys = window > 0 && context - q + 1 >= window ? window : context - (q - 1) / 2;
    double read = window > 0 ? fmin(context, window + q - 1) : context;

    return (moe_attention_work){
        .queries = sequences * q,
        .rows = q > 1 ? sequences * q : 1,
        .keys = keys,
        .longest = most,
        .flops = 400 * heads * sequences * q * keys,
        .kv_bytes = sequences * read * kv * 400,
        .new_bytes = sequences * q * kv * 400,
        .new_tokens = sequences * q,
        .sequences = sequences,
        .heads = sequences * kv,
        .query_heads = heads,
        .kv_heads = kv,
        .key_dim = 100,
        .value_dim = 100,
        .key_bytes = 400,
        .activation_bits = 16,
        .kv_bits = 16,
        .windowed = window > 0 && window < context,
        .kernel = kernel,
    };
}

static double
microseconds(const moe_device *d, const moe_attention_work *work)
{
    moe_hardware hw = machine(d);
    return (double)moe_cost_attention(&hw, d, work).total_ps / 1e6;
}

static double
overlap(double a, double b)
{
    return pow(pow(a, 4) + pow(b, 4), 0.25);
}

static void
same(const char *what, double got, double expected)
{
    MOE_CHECK(fabs(got / expected - 1) < 1e-6, "%s: %.9g, not %.9g", what, got, expected);
}

/* A step: 64 * 64 scores of 400 FLOPs at 1 TFLOP/s. */
#define STEP 1.6384

/* 640 queries are 10 blocks of each of 10 heads, 10 blocks for each of 10 processors. Their queries
 * see 320.5 keys on average, the blocks half a key block more; the last visits 10. */
static void
prompt_by_hand(void)
{
    moe_device d = device();
    moe_attention_work work = work_of(&simple, 1, 640, 640, 10, 10, 0);
    double computed = 10 * ((320.5 + 32) / 64) * STEP;
    double moved = 640 * 10 * (400 + 400) / 1e6; /* keys, values, queries, outputs */

    same("prompt", microseconds(&d, &work),
         0.2 + overlap(10 + overlap(computed, moved), 1 + 10 * STEP));

    /* packed in fives: 50 blocks of 64 rows, 12.8 positions each, which end with a block of keys
     * now and then (12 and 64 have 4 in common) */
    moe_attention_kernel packs = simple;
    packs.pack = true;
    work = work_of(&packs, 1, 640, 640, 10, 2, 0);
    computed = 10 * ((320.5 + (12.8 + 64 - 4) / 2) / 64) * STEP;
    moved = 640 * (2 * 400 + 10 * 400) / 1e6;
    same("packed", microseconds(&d, &work),
         0.2 + overlap(10 + overlap(computed, moved), 1 + 10 * STEP));

    /* the second half of the prompt, behind the first: it sees 480.5 keys */
    work = work_of(&simple, 1, 320, 640, 10, 10, 0);
    moved = (640 * 10 * 400 + 320 * 10 * 400) / 1e6;
    same("chunk", microseconds(&d, &work),
         0.2 + overlap(5 + overlap(5 * (480.5 + 32) / 64 * STEP, moved), 1 + 10 * STEP));

    /* a window of two key blocks: three are visited, for either end is inside one */
    work = work_of(&simple, 1, 640, 6400, 10, 10, 128);
    moved = (767 * 10 * 400 + 640 * 10 * 400) / 1e6;
    same("window", microseconds(&d, &work),
         0.2 + overlap(10 + overlap(10 * 3 * STEP, moved), 1 + 3 * STEP));

    /* with blocks of 32 keys there: of half the time, 64 + 128 keys */
    moe_attention_kernel fine = simple;
    fine.window_keys = 32;
    work.kernel = &fine;
    same("window of its own", microseconds(&d, &work),
         0.2 + overlap(10 + overlap(10 * 6 * STEP / 2, moved), 1 + 6 * STEP / 2));
}

/* 15 decodes of a block each are cut into 4 pieces, though there are more of them than processors:
 * 60 pieces on 10 processors, a quarter of 16 blocks of keys each, and as many results of 32 bits.
 */
static void
always_cut(void)
{
    moe_device d = device();
    moe_attention_kernel cuts = simple;
    cuts.split = MOE_SPLIT_ALWAYS;
    cuts.max_pieces = 4;
    cuts.split_most = 15;
    cuts.piece_ps = 500000;
    cuts.combine_ps = 3000000;
    moe_attention_work work = work_of(&cuts, 15, 1, 1000, 8, 1, 0);
    double moved = 15 * (1000 * 400 + 8 * 400) / 1e6;
    double results = 2 * 4 * 15 * 8 * 100 * 4 / 1e6;

    same("cut", microseconds(&d, &work),
         0.2 + overlap(6 * 0.5 + overlap(1.5 * 16 * STEP, moved), 0.5 + 4 * STEP) + 3 + results);
    /* a sixteenth is one more than are cut */
    work = work_of(&cuts, 16, 1, 1000, 8, 1, 0);
    moved = 16 * (1000 * 400 + 8 * 400) / 1e6;
    same("whole", microseconds(&d, &work),
         0.2 + overlap(2 + overlap(1.6 * 16 * STEP, moved), 1 + 16 * STEP));
    /* a prompt never is */
    work = work_of(&cuts, 1, 15, 15, 8, 1, 0);
    moe_attention_work plain = work_of(&simple, 1, 15, 15, 8, 1, 0);
    same("prompt", microseconds(&d, &work), microseconds(&d, &plain));
}

/* A decode packs its groups; 15 blocks take two waves; its KV cache is what takes the time. */
static void
decode_by_hand(void)
{
    moe_device d = device();
    moe_attention_work work = work_of(&simple, 15, 1, 1000, 8, 1, 0);
    double moved = 15 * (1000 * 400 + 8 * 400) / 1e6;

    same("decode", microseconds(&d, &work),
         0.2 + overlap(2 + overlap(1.5 * 16 * STEP, moved), 1 + 16 * STEP));

    /* a block of 16 rows in the tensor units' time */
    moe_attention_kernel few = simple;
    few.decode_rows = 16;
    work.kernel = &few;
    double alone = 64 * 400 * 10 / 1e6; /* a key block at a tenth of the bandwidth */
    same("few rows", microseconds(&d, &work),
         0.2 + overlap(2 + overlap(1.5 * 16 * STEP / 4, moved), 1 + 16 * fmax(STEP / 4, alone)));

    /* one sequence on ten processors: 16 key blocks, 2 at the most for each */
    few.split = MOE_SPLIT_GROUPS;
    few.max_pieces = 32;
    few.combine_ps = 3000000;
    work = work_of(&few, 1, 1, 1000, 8, 1, 0);
    moved = (1000 * 400 + 8 * 400) / 1e6;
    same("pieces", microseconds(&d, &work),
         0.2 + 3 + overlap(1 + overlap(0.1 * 16 * STEP / 4, moved), 1 + 2 * fmax(STEP / 4, alone)));
    /* its heads have keys of their own: not cut by this kernel, but by one that cuts all */
    work = work_of(&few, 1, 1, 1000, 1, 1, 0);
    double whole = microseconds(&d, &work);
    few.split = MOE_SPLIT_DECODES;
    CU_ASSERT(microseconds(&d, &work) < whole);
    few.max_pieces = 1;
    same("one piece", microseconds(&d, &work), whole);
}

/* New keys and values: 512 threads for each of 100 tokens, of which a processor keeps four tokens'.
 * Cast queries, a host that is slow, and a cache that the last call filled. */
static void
around(void)
{
    moe_attention_kernel kernel = simple;
    moe_device d = device();
    moe_attention_work work = work_of(&kernel, 100, 1, 1000, 10, 10, 0);
    double without = microseconds(&d, &work);

    kernel.pass_efficiency = 0.5;
    double bytes = 100 * 10 * 400 * 2 / 0.5e6;
    same("bytes", microseconds(&d, &work), without + bytes);
    kernel.write_ps = 8000000;
    same("write", microseconds(&d, &work), without + hypot(bytes, 100 * 512 / 2048.0 / 10 * 8));
    kernel.cast = true; /* two bytes read, two written */
    same("cast", microseconds(&d, &work), without + hypot(bytes, 20) + 100 * 10 * 100 * 4 / 0.5e6);

    moe_attention_work narrow = work_of(&kernel, 1, 640, 640, 10, 10, 0);
    moe_attention_work full = narrow;
    narrow.value_dim = 50;
    kernel.write_ps = 0;
    kernel.cast = false;
    kernel.pad = true; /* 50 read, 100 written; 50 of the result read, 50 written */
    moe_hardware hw = machine(&d);
    same("pad",
         moe_cost_attention(&hw, &d, &narrow).pass_bytes -
             moe_cost_attention(&hw, &d, &full).pass_bytes,
         640 * 10 * 250 * 2);
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &narrow).flops_per_s,
                    moe_cost_attention(&hw, &d, &full).flops_per_s);

    kernel = simple;
    kernel.fixed_ps = 5000000;
    kernel.prompt_ps = 7000000;
    kernel.regroup_ps = 11000000;
    same("heads of their own", microseconds(&d, &work), without + 5);
    moe_attention_work groups = work_of(&simple, 100, 1, 1000, 10, 5, 0);
    double plain = microseconds(&d, &groups);
    groups.kernel = &kernel;
    same("groups", microseconds(&d, &groups), plain + 5 + 11);
    moe_attention_work prompt = work_of(&simple, 1, 640, 640, 10, 10, 0);
    plain = microseconds(&d, &prompt);
    prompt.kernel = &kernel;
    same("prompt", microseconds(&d, &prompt), plain + 5 + 7);
    kernel.host_ps = 100000000;
    same("host", microseconds(&d, &prompt), overlap(plain + 5 + 7, 100));
    d.in_graph = true;
    same("in a graph", microseconds(&d, &prompt), plain + 5 + 7);

    kernel = simple;
    kernel.cache_bytes_per_s = 1e12;             /* ten times the memory's */
    work = work_of(&kernel, 1, 1, 250, 1, 1, 0); /* 100 kB of 700 kB */
    double cold = microseconds(&d, &work);
    work.warm = true;
    CU_ASSERT(microseconds(&d, &work) <= cold);
    double hit = 1 / (1 + pow(1.0 / 7, 8));
    same("warm",
         work.kv_bytes / moe_cost_attention(&hw, &d, &work).bytes_per_s * 1e6 * (1 + 400 / 1e5),
         0.1 * (1 - 0.9 * hit) + 400 / 1e6);
}

/* More of anything takes no less time; a window no more. */
static void
monotonic(void)
{
    moe_stream stream = moe_stream_new(17, "tests.attention", 0);
    moe_attention_kernel kernel = simple;

    for (int i = 0; i < 2000; i++) {
        moe_device d = device();
        double group = (double)(1 + moe_stream_below(&stream, 8));
        double kv = (double)(1 + moe_stream_below(&stream, 8)),
               n = 1 << moe_stream_below(&stream, 9);
        double context = (double)(1 + moe_stream_below(&stream, 20000));
        double q = moe_stream_below(&stream, 2) ? 1 : ceil(context * moe_stream_unit(&stream));
        kernel.pack = moe_stream_below(&stream, 2);
        kernel.decode_rows = (int64_t)moe_stream_below(&stream, 2) * 16;
        moe_attention_work a = work_of(&kernel, n, q, context, kv * group, kv, 0);
        moe_attention_work longer = work_of(&kernel, n, q, context * 2, kv * group, kv, 0);
        moe_attention_work more = work_of(&kernel, n * 2, q, context, kv * group, kv, 0);
        moe_attention_work cut = work_of(&kernel, n, q, context, kv * group, kv, 64);
        double time = microseconds(&d, &a);
        MOE_CHECK(time > 0 && isfinite(time), "%g", time);
        MOE_CHECK(microseconds(&d, &longer) >= time, "keys: %g queries, %g keys", q, context);
        MOE_CHECK(microseconds(&d, &more) >= time, "sequences: %g queries, %g keys", q, context);
        if (context > 1024 && context - q >= 64)
            MOE_CHECK(microseconds(&d, &cut) <= time, "window: %g queries, %g keys", q, context);
        moe_hardware twice = machine(&d);
        d.sms = 20;
        d.peak.bf16 *= 2;
        twice.places = wide;
        MOE_CHECK((double)moe_cost_attention(&twice, &d, &a).total_ps / 1e6 <= time + 1e-6,
                  "processors: %g queries, %g keys", q, context);
    }
}

/* The parts that explain prints add up to the time. */
static void
explained(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    moe_attention_work work = work_of(&simple, 1, 640, 640, 10, 10, 0);
    moe_cost c = moe_cost_attention(&hw, &d, &work);
    double body = overlap(c.bytes / c.bytes_per_s, c.flops / c.flops_per_s) * 1e12;
    g_autoptr(GString) text = g_string_new(NULL);

    MOE_CHECK(fabs((double)(c.launch_ps + c.blocks_ps + c.tail_ps - c.total_ps) + body) < 4, "%g",
              body);
    moe_cost_explain(&c, text);
    MOE_CHECK(g_str_has_prefix(text->str, "2 kernels in 200 ns + blocks 10.0 us + overlap("), "%s",
              text->str);
    MOE_CHECK(strstr(text->str, " + tail ") != NULL, "%s", text->str);
    moe_cost sum = moe_cost_add(c, c);
    CU_ASSERT_EQUAL(sum.blocks_ps, 2 * c.blocks_ps);
    CU_ASSERT_EQUAL(sum.tail_ps, 2 * c.tail_ps);
}

/* Of the form, else of heads; the first that is wide enough; none where processors are not known.
 */
static void
choice(void)
{
    static const char text[] =
        "attention:\n"
        "  - {name: narrow, dtype: bf16, head_dim: 64, efficiency: 50%, stream_efficiency: 50%,"
        " tile_rows: 64, split: all, pack: true}\n"
        "  - {name: wide, dtype: bf16, head_dim: 256, efficiency: 50%, stream_efficiency: 50%}\n"
        "  - {name: latent, dtype: bf16, form: latent, efficiency: 50%, stream_efficiency: 50%,"
        " absorb: 512}\n"
        "  - {name: small, dtype: fp8, efficiency: 50%, stream_efficiency: 50%, cast: true}\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_kernels_set) set = moe_kernels_parse("k.yaml", text, strlen(text), diag);
    g_autofree char *messages = moe_diag_render(diag);
    moe_device d = device();

    MOE_CHECK(set, "%s", messages);
    if (!set)
        return;
    d.kernels = moe_kernels_get(set);
    CU_ASSERT_STRING_EQUAL(moe_device_attention(&d, MOE_FORM_HEADS, 16, 64)->name, "narrow");
    CU_ASSERT_STRING_EQUAL(moe_device_attention(&d, MOE_FORM_HEADS, 16, 65)->name, "wide");
    CU_ASSERT_PTR_EQUAL(moe_device_attention(&d, MOE_FORM_HEADS, 16, 512), &d.attention);
    CU_ASSERT_STRING_EQUAL(moe_device_attention(&d, MOE_FORM_LATENT, 16, 576)->name, "latent");
    CU_ASSERT_STRING_EQUAL(moe_device_attention(&d, MOE_FORM_LATENT, 8, 576)->name, "small");
    CU_ASSERT_STRING_EQUAL(moe_device_attention(&d, MOE_FORM_STATE, 16, 128)->name, "wide");
    CU_ASSERT_PTR_EQUAL(moe_device_attention(&d, MOE_FORM_HEADS, 4, 64), &d.attention);
    CU_ASSERT(moe_attention_expands(&d, 16, 64));
    CU_ASSERT(!moe_attention_expands(&d, 16, 192));
    CU_ASSERT(moe_attention_absorbs(&d, 16, 576, 512));
    CU_ASSERT(!moe_attention_absorbs(&d, 16, 576, 513));
    CU_ASSERT(moe_attention_absorbs(&d, 8, 576, 1)); /* a decode, whatever the kernel says */
    CU_ASSERT(!moe_attention_absorbs(&d, 8, 576, 2));
    d.sms = 0;
    CU_ASSERT_PTR_EQUAL(moe_device_attention(&d, MOE_FORM_HEADS, 16, 64), &d.attention);
    CU_ASSERT(!moe_attention_expands(&d, 16, 64));
}

/* Of two that differ by the devices that they are for, that of the device; the first where its
 * architecture is not known. */
static void
architectures(void)
{
    static const char text[] =
        "attention:\n"
        "  - {name: third, dtype: bf16, from: 9.0, below: 10.0, efficiency: 50%,"
        " stream_efficiency: 50%}\n"
        "  - {name: second, dtype: bf16, below: 9.0, efficiency: 50%, stream_efficiency: 50%}\n";
    static const struct {
        double capability;
        const char *name;
    } cases[] = {{0, "third"}, {8.0, "second"}, {8.9, "second"}, {9.0, "third"}, {10.0, NULL}};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_kernels_set) set = moe_kernels_parse("k.yaml", text, strlen(text), diag);
    g_autofree char *messages = moe_diag_render(diag);
    moe_device d = device();

    MOE_CHECK(set, "%s", messages);
    if (!set)
        return;
    d.kernels = moe_kernels_get(set);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        d.capability = cases[i].capability;
        const moe_attention_kernel *found = moe_device_attention(&d, MOE_FORM_HEADS, 16, 128);
        const char *name = found == &d.attention ? NULL : found->name;
        MOE_CHECK(!g_strcmp0(name, cases[i].name), "%g: %s", d.capability, name ? name : "its own");
    }
}

/* A state of 100 * 100 per head: as many FLOPs as 100 keys; chunks add theirs. A decode streams
 * the state in and out, whatever came before. */
static void
linear(void)
{
    moe_attention_work decode = moe_attention_linear(4, 1, 10, 100, 100, 32, 64);
    moe_attention_work prompt = moe_attention_linear(4, 1000, 10, 100, 100, 32, 64);
    moe_attention_work brief = moe_attention_linear(4, 10, 10, 100, 100, 32, 64);

    CU_ASSERT_EQUAL(decode.kv_bytes, 2.0 * 4 * 10 * 10000 * 4);
    CU_ASSERT_EQUAL(decode.flops, 4.0 * 10000 * 4 * 10);
    CU_ASSERT_EQUAL(prompt.kv_bytes, decode.kv_bytes);
    CU_ASSERT_EQUAL(prompt.keys, 164);
    CU_ASSERT_EQUAL(brief.keys, 110);
    CU_ASSERT_EQUAL(prompt.flops, 400.0 * 164 * 4 * 1000 * 10);

    moe_device d = device();
    prompt.kernel = decode.kernel = &simple;
    moe_attention_work twice = moe_attention_linear(4, 2000, 10, 100, 100, 32, 64);
    twice.kernel = &simple;
    double once = microseconds(&d, &prompt);
    MOE_CHECK(microseconds(&d, &twice) < 2.1 * once && microseconds(&d, &twice) > 1.9 * once,
              "%g, %g", once, microseconds(&d, &twice)); /* not its square */
    CU_ASSERT(microseconds(&d, &decode) >= decode.kv_bytes / 1e6);
}

/* vLLM's library on what came before Hopper: none of Hopper's kernels, however wide its heads. */
static void
before_hopper(void)
{
    static const struct {
        double capability, kv_bits, key_dim;
        const char *name;
    } cases[] = {
        {8.0, 16, 64, "flash_attn"},
        {8.9, 16, 128, "flash_attn"},
        {8.9, 16, 256, "flash_attn"},
        {8.9, 16, 512, NULL},
        {8.9, 8, 128, NULL},
        {9.0, 16, 128, "flash_attn_fa3"},
        {9.0, 16, 512, "flash_attn_fa4"},
        {9.0, 8, 128, "flash_attn_fa3"},
    };
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_kernels_set *set = moe_kernels_load("vllm-0.24", NULL, (moe_loc){0}, diag, NULL);

    CU_ASSERT_FATAL(set != NULL);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const moe_attention_kernel *k =
            moe_kernels_attention(moe_kernels_get(set), cases[i].capability, MOE_FORM_HEADS,
                                  cases[i].kv_bits, cases[i].key_dim);
        MOE_CHECK(!g_strcmp0(k ? k->name : NULL, cases[i].name), "case %zu: %s", i,
                  k ? k->name : "its own");
    }
    moe_kernels_free(set);
}

MOE_TESTS({"prompt by hand", prompt_by_hand}, {"decode by hand", decode_by_hand},
          {"always cut", always_cut}, {"around", around}, {"monotonic", monotonic},
          {"explained", explained}, {"choice", choice}, {"architectures", architectures},
          {"before Hopper", before_hopper}, {"linear", linear})
