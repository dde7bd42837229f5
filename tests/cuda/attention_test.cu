/* Attention on the device against attention_reference.h: each kind of layer, in both precisions,
 * over batches that start, continue and restart sequences; in a captured graph; twice the same. */
#include "tests/cuda/attention_reference.cuh"

#include <string>

/* ---- numbers ---- */

static uint64_t stream_state;

static uint64_t
next()
{
    uint64_t z = stream_state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

/* About normal. */
static std::vector<float>
numbers(size_t n, double scale, double mean = 0)
{
    std::vector<float> out(n);
    for (float &x : out) {
        double sum = -6;
        for (int i = 0; i < 12; i++)
            sum += (double)(next() >> 11) * 0x1p-53;
        x = (float)(mean + scale * sum);
    }
    return out;
}

/* ---- the device's side ---- */

#define GUARD 64 /* bytes behind a result that nobody may write */

/* A batch's arrays. */
struct batch {
    std::vector<uint32_t> list;
    moe_cuda_plan plan;
    array<uint32_t> device_list, slot, position;
    array<float> q, k, v, kv_a, cosine, sine;
    array<uint8_t> attended;
    size_t bytes;

    batch(const layer &l, const rows &r)
        : list(r.slot.size()),
          plan(moe_cuda_attention_plan((uint32_t)r.slot.size(), r.slot.data(), list.data())),
          device_list(list), slot(r.slot), position(r.position), q(r.q), k(r.k), v(r.v),
          kv_a(r.kv_a), cosine(plan.n * l.a.rotated / 2), sine(plan.n * l.a.rotated / 2),
          attended((size_t)plan.n * moe_cuda_attention_columns(&l.a) * (l.a.bf16 ? 2 : 4) + GUARD),
          bytes(attended.n - GUARD)
    {
        plan.device = device_list.at;
    }
    void set(const rows &r)
    {
        position.put(r.position);
        q.put(r.q);
        k.put(r.k);
        v.put(r.v);
        kv_a.put(r.kv_a);
    }
};

/* A layer with its cache. What was never written is no number. */
struct device_layer {
    const layer &l;
    array<double> inverse;
    array<float> q_norm, k_norm, sinks, kv_a_norm;
    array<uint16_t> kv_b;
    array<uint8_t> cache, work;
    bool fused; /* q, k and v in one matrix */

    device_layer(const layer &from, uint32_t slots, uint32_t max_rows, bool in_one)
        : l(from), inverse(from.inverse), q_norm(from.q_norm), k_norm(from.k_norm),
          sinks(from.sinks), kv_a_norm(from.kv_a_norm), kv_b(from.kv_b),
          cache(moe_cuda_attention_cache_bytes(&from.a, slots)),
          work(moe_cuda_attention_work_bytes(&from.a, max_rows)), fused(in_one)
    {
    }
    void attend(cudaStream_t stream, batch &b)
    {
        moe_cuda_rows r = {b.plan, b.slot.at, b.position.at, b.cosine.at, b.sine.at};
        moe_cuda_attention_in in = {};
        in.q = b.q.at;
        in.k = b.k.at;
        in.v = b.v.at;
        in.kv_a = b.kv_a.at;
        in.q_norm = q_norm.at;
        in.k_norm = k_norm.at;
        in.sinks = sinks.at;
        in.kv_a_norm = kv_a_norm.at;
        in.kv_b = kv_b.at;
        if (fused) {
            in.q_row = in.k_row = in.v_row = (l.a.heads + 2 * l.a.kv_heads) * l.a.head_dim;
            in.k = b.q.at + l.a.heads * l.a.head_dim;
            in.v = in.k + l.a.kv_heads * l.a.head_dim;
        }
        MUST(moe_cuda_angles(stream, b.plan.n, r.position, inverse.at, l.a.rotated / 2, l.magnitude,
                             b.cosine.at, b.sine.at));
        MUST(moe_cuda_attend(stream, &l.a, &r, &in, cache.at, work.at, b.attended.at));
    }
};

/* ---- cases ---- */

/* Rows of a slot in a batch; `fresh`: from position 0. */
struct part {
    uint32_t slot, rows;
    bool fresh;
};
typedef std::vector<std::vector<part>> story;

static const story PLAIN = {
    {{2, 37, true}, {0, 1, true}, {3, 5, true}},
    {{3, 1, false}, {2, 1, false}, {0, 1, false}},
    {{0, 1, false}, {2, 70, false}, {1, 66, true}, {3, 1, false}},
    {{0, 2, false}, {2, 1, true}, {1, 1, false}},
    {{2, 3, false}},
    {{1, 1, false}},
};
/* Long enough for the keys of decode rows to be split. */
static const story LONG = {
    {{0, 270, true}, {1, 70, true}},
    {{1, 1, false}, {0, 1, false}},
    {{0, 1, false}},
    {{1, 80, false}, {0, 1, false}, {2, 1, true}},
};
static const story FEW = {
    {{1, 20, true}, {0, 1, true}},
    {{1, 1, false}, {0, 1, false}},
    {{0, 17, false}, {1, 1, false}},
};

struct test_case {
    const char *name;
    moe_cuda_attention a;
    const story *told;
    float magnitude;
    bool sinks, fused;
};

static moe_cuda_attention
heads_of(uint32_t heads, uint32_t kv_heads, uint32_t dim, uint32_t rotated)
{
    moe_cuda_attention a = {};
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.head_dim = dim;
    a.rotated = rotated;
    a.context = 160;
    a.eps = 1e-6f;
    a.scale = (float)(1 / sqrt(dim));
    return a;
}

static moe_cuda_attention
latent_of(uint32_t heads, uint32_t kv_lora, uint32_t nope, uint32_t rope, uint32_t value)
{
    moe_cuda_attention a = {};
    a.latent = true;
    a.heads = heads;
    a.kv_lora = kv_lora;
    a.nope_dim = nope;
    a.rope_dim = a.rotated = rope;
    a.value_dim = value;
    a.interleaved = true;
    a.context = 160;
    a.eps = 1e-6f;
    a.scale = (float)(1 / sqrt(nope + rope));
    return a;
}

static moe_cuda_attention
with(moe_cuda_attention a, moe_cuda_head_norm norm, float clip = 0)
{
    a.norm = norm;
    a.clip = clip;
    return a;
}

static moe_cuda_attention
seeing(moe_cuda_attention a, uint32_t window, uint32_t context)
{
    a.window = window;
    a.context = context;
    return a;
}

static moe_cuda_attention
paired(moe_cuda_attention a)
{
    a.interleaved = true;
    return a;
}

static std::vector<test_case>
cases()
{
    return {
        {"heads", heads_of(3, 3, 64, 64), &PLAIN, 1, false, false},
        {"small groups", with(heads_of(4, 2, 32, 32), MOE_CUDA_HEAD_NORM_HEAD), &PLAIN, 1, false,
         true},
        {"groups of 8", with(heads_of(16, 2, 128, 128), MOE_CUDA_HEAD_NORM_HEAD), &PLAIN, 1, false,
         false},
        {"norm of all", with(heads_of(4, 4, 128, 128), MOE_CUDA_HEAD_NORM_FULL, 1.5f), &PLAIN, 1,
         false, false},
        {"norm of all, of whole blocks", with(heads_of(8, 8, 32, 32), MOE_CUDA_HEAD_NORM_FULL),
         &PLAIN, 1, false, false},
        {"sinks, window", seeing(heads_of(8, 1, 64, 64), 20, 160), &PLAIN, 1.3f, true, true},
        {"sinks", heads_of(4, 1, 64, 64), &PLAIN, 1.3f, true, false},
        {"groups of 7, pairs", paired(heads_of(14, 2, 80, 32)), &PLAIN, 1, false, false},
        {"odd head", heads_of(6, 2, 33, 10), &PLAIN, 1, false, false},
        {"large head, window of 1", seeing(heads_of(2, 1, 256, 64), 1, 160), &PLAIN, 1, false,
         false},
        {"large head", heads_of(4, 2, 192, 192), &PLAIN, 1, true, false},
        {"one key head", heads_of(40, 1, 16, 16), &PLAIN, 1, false, false},
        {"no rotation", heads_of(24, 1, 24, 0), &PLAIN, 1, false, false},
        {"long", seeing(heads_of(4, 2, 64, 64), 0, 900), &LONG, 1, true, false},
        {"long, window", seeing(heads_of(2, 2, 64, 64), 150, 500), &LONG, 1, false, false},
        {"long, large", seeing(heads_of(4, 1, 128, 64), 0, 290), &LONG, 1, false, false},
        {"latents", latent_of(16, 512, 128, 64, 128), &FEW, 1, false, false},
        {"latents of many heads", latent_of(40, 512, 32, 64, 40), &FEW, 1, false, false},
        {"odd latents", latent_of(3, 20, 12, 6, 10), &PLAIN, 1, false, false},
        {"long latents", seeing(latent_of(5, 64, 24, 16, 32), 0, 400), &LONG, 1, false, false},
    };
}

static layer
layer_of(const test_case &c, bool bf16)
{
    layer l = {};
    const moe_cuda_attention &a = c.a;
    bool full = a.norm == MOE_CUDA_HEAD_NORM_FULL;
    l.a = a;
    l.a.bf16 = bf16;
    l.magnitude = c.magnitude;
    for (uint32_t i = 0; i < a.rotated / 2; i++)
        l.inverse.push_back(pow(10000, -2.0 * i / a.rotated));
    if (a.norm != MOE_CUDA_HEAD_NORM_NONE) {
        l.q_norm = numbers(a.head_dim * (full ? a.heads : 1), 0.2, 1.5);
        l.k_norm = numbers(a.head_dim * (full ? a.kv_heads : 1), 0.2, 1.5);
    }
    if (c.sinks)
        l.sinks = numbers(a.heads, 2);
    if (a.latent) {
        size_t each = (size_t)a.heads * (a.nope_dim + a.value_dim) * a.kv_lora;
        l.kv_a_norm = numbers(a.kv_lora, 0.2, 1);
        for (float w : numbers(each, 1 / sqrt(a.kv_lora)))
            l.kv_b.push_back(to_bf16(w));
    }
    return l;
}

/* The rows of a batch; `length`: of each slot, brought up to date. */
static rows
rows_of(const layer &l, const std::vector<part> &parts, std::vector<uint32_t> &length)
{
    const moe_cuda_attention &a = l.a;
    rows r;
    for (const part &p : parts) {
        if (p.fresh)
            length[p.slot] = 0;
        for (uint32_t i = 0; i < p.rows; i++) {
            r.slot.push_back(p.slot);
            r.position.push_back(length[p.slot]++);
        }
    }
    size_t n = r.slot.size();
    if (a.latent) {
        r.q = numbers(n * a.heads * (a.nope_dim + a.rope_dim), 2);
        r.kv_a = numbers(n * (a.kv_lora + a.rope_dim), 1);
    } else {
        r.q = numbers(n * a.heads * a.head_dim, 2);
        r.k = numbers(n * a.kv_heads * a.head_dim, 1);
        r.v = numbers(n * a.kv_heads * a.head_dim, 1);
    }
    return r;
}

/* q, k and v of a row one behind another, in q. */
static rows
fused_of(const layer &l, const rows &r)
{
    size_t q = l.a.heads * l.a.head_dim, kv = l.a.kv_heads * l.a.head_dim;
    rows out = r;
    out.q.clear();
    for (size_t i = 0; i < r.slot.size(); i++) {
        out.q.insert(out.q.end(), &r.q[i * q], &r.q[i * q] + q);
        out.q.insert(out.q.end(), &r.k[i * kv], &r.k[i * kv] + kv);
        out.q.insert(out.q.end(), &r.v[i * kv], &r.v[i * kv] + kv);
    }
    out.k.clear();
    out.v.clear();
    return out;
}

/* ---- checks ---- */

static float
element_of(const layer &l, const std::vector<uint8_t> &bytes, size_t i)
{
    float x;
    uint16_t bits;
    if (!l.a.bf16) {
        memcpy(&x, &bytes[i * 4], 4);
        return x;
    }
    memcpy(&bits, &bytes[i * 2], 2);
    return from_bf16(bits);
}

/* Compares a batch's result; returns the largest error, in parts of what is allowed. */
static double
compare(const std::string &name, const layer &l, const rows &r, std::vector<history> &past,
        const std::vector<uint8_t> &got)
{
    uint32_t columns = moe_cuda_attention_columns(&l.a);
    std::vector<double> want(columns), bound(columns);
    double worst = 0;
    for (uint32_t i = 0; i < r.slot.size(); i++) {
        (l.a.latent ? latent_row : heads_row)(l, r, i, past, want.data(), bound.data());
        for (uint32_t c = 0; c < columns; c++) {
            float x = element_of(l, got, (size_t)i * columns + c);
            double off = fabs(x - want[c]) / bound[c];
            worst = off > worst ? off : worst;
            CHECK(off <= 1, "%s: row %u, column %u: got %g, want %g within %g", name.c_str(), i, c,
                  x, want[c], bound[c]);
        }
    }
    return worst;
}

static std::vector<uint8_t>
result_of(const std::string &name, const batch &b)
{
    MUST(cudaDeviceSynchronize());
    std::vector<uint8_t> got = b.attended.get();
    for (size_t i = b.bytes; i < got.size(); i++)
        CHECK(got[i] == 0xFF, "%s: wrote behind the result", name.c_str());
    return got;
}

static void
tell(const test_case &c, bool bf16)
{
    std::string name = std::string(c.name) + (bf16 ? ", bf16" : ", f32");
    stream_state = 1;
    layer l = layer_of(c, bf16);
    std::vector<history> past(4);
    std::vector<uint32_t> length(4);
    size_t most = 0;
    double worst = 0;
    for (const std::vector<part> &parts : *c.told) {
        size_t n = 0;
        for (const part &p : parts)
            n += p.rows;
        most = n > most ? n : most;
    }
    device_layer device(l, 4, (uint32_t)most, c.fused);
    for (size_t i = 0; i < c.told->size(); i++) {
        rows r = rows_of(l, (*c.told)[i], length);
        batch b(l, c.fused ? fused_of(l, r) : r);
        std::string step = name + ", batch " + std::to_string(i);
        device.attend(NULL, b);
        std::vector<uint8_t> got = result_of(step, b);
        double off = compare(step, l, r, past, got);
        worst = off > worst ? off : worst;
        device.attend(NULL, b);
        CHECK(result_of(step, b) == got, "%s: a second time other bits", step.c_str());
    }
    printf("%-40s off by %.2f of the bound\n", name.c_str(), worst);
}

/* A decode step is captured once and replayed at later positions. */
static void
replay(const test_case &c, bool bf16)
{
    std::string name = std::string(c.name) + ", in a graph";
    stream_state = 2;
    layer l = layer_of(c, bf16);
    std::vector<history> past(4);
    std::vector<uint32_t> length(4);
    device_layer device(l, 4, 203, c.fused);
    rows r = rows_of(l, {{1, 140, true}, {0, 3, true}, {3, 60, true}}, length);
    batch b(l, r);
    device.attend(NULL, b);
    compare(name, l, r, past, result_of(name, b));

    const std::vector<part> decode = {{3, 1, false}, {1, 1, false}, {0, 1, false}};
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    rows step = rows_of(l, decode, length);
    batch single(l, step);
    MUST(cudaStreamCreate(&stream));
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    device.attend(stream, single);
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 10; i++) {
        MUST(cudaGraphLaunch(exec, stream));
        MUST(cudaStreamSynchronize(stream));
        compare(name + ", step " + std::to_string(i), l, step, past, result_of(name, single));
        step = rows_of(l, decode, length);
        single.set(step);
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
}

static void
plans()
{
    const uint32_t slot[] = {4, 4, 0, 2, 2, 2, 1};
    const uint32_t want[] = {2, 6, 0, 2, 3, 3};
    uint32_t list[7];
    moe_cuda_plan plan = moe_cuda_attention_plan(7, slot, list);
    CHECK(plan.n == 7 && plan.singles == 2 && plan.runs == 2, "%u, %u, %u", plan.n, plan.singles,
          plan.runs);
    CHECK(memcmp(list, want, sizeof want) == 0, "single rows, then runs");
}

static void
refusals()
{
    moe_cuda_attention a = heads_of(6, 4, 64, 64), b = heads_of(4, 4, 264, 64);
    moe_cuda_attention c = latent_of(4, 520, 16, 16, 16), d = heads_of(4, 4, 32, 64);
    for (const moe_cuda_attention *shape : {&a, &b, &c, &d})
        CHECK(moe_cuda_attention_refusal(shape), "heads %u of %u", shape->heads, shape->kv_heads);
}

static void
layers()
{
    for (const test_case &c : cases())
        for (int bf16 = 0; bf16 < 2; bf16++) {
            tell(c, bf16);
            if (c.a.context > 200 && !c.fused)
                replay(c, bf16);
        }
}

TESTS(plans, refusals, layers)
