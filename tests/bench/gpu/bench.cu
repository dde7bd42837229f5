#include "tests/bench/gpu/bench.cuh"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdlib>
#include <cstring>

const expert_shape expert_shapes[] = {
    {"mixtral-8x7b", 4096, 14336, 8, 2},     {"olmoe-1b-7b", 2048, 1024, 64, 8},
    {"deepseek-v2-lite", 2048, 1408, 64, 6}, {"qwen3-30b-a3b", 2048, 768, 128, 8},
    {"deepseek-v3", 7168, 2048, 256, 8},
};
const size_t n_expert_shapes = sizeof expert_shapes / sizeof *expert_shapes;

void
must(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "moesim_gpu_bench: %s: %s (%d)\n", what,
            cudaGetErrorString(static_cast<cudaError_t>(error)), error);
    exit(3);
}

/* ---- rows ---- */

void
write_header(const bench &b)
{
    fputs(
        "kind,device,source,dtype,weight_bits,activation_bits,hidden,width,matrices,experts,top_k,"
        "tokens,distribution,distinct,loads,m,n,k,heads,kv_heads,head_dim,queries,context,"
        "sequences,direction,memory,bytes,concurrent,mode,kernels,time_us\n",
        b.out);
}

static void
number(FILE *out, int64_t value)
{
    if (value)
        fprintf(out, ",%" PRId64, value);
    else
        fputs(",", out);
}

void
write_row(const bench &b, const row &r)
{
    fprintf(b.out, "%s,%s,%s,%s", r.kind.c_str(), b.device,
            r.source.empty() ? b.source : r.source.c_str(), r.dtype.c_str());
    number(b.out, static_cast<int64_t>(r.weight_bits));
    number(b.out, static_cast<int64_t>(r.activation_bits));
    const int64_t shape[] = {r.hidden, r.width, r.hidden ? 3 : 0, r.experts, r.top_k, r.tokens};
    for (int64_t value : shape)
        number(b.out, value);
    fprintf(b.out, ",%s", r.distribution.c_str());
    number(b.out, r.loads.empty() ? r.distinct : 0);
    fprintf(b.out, ",%s", r.loads.c_str());
    const int64_t others[] = {r.m,        r.n,       r.k,       r.heads,    r.kv_heads,
                              r.head_dim, r.queries, r.context, r.sequences};
    for (int64_t value : others)
        number(b.out, value);
    fprintf(b.out, ",%s,%s", r.direction.c_str(), r.memory.c_str());
    number(b.out, r.bytes);
    if (r.concurrent >= 0)
        fprintf(b.out, ",%d", r.concurrent);
    else
        fputs(",", b.out);
    fprintf(b.out, ",%s", r.mode.c_str());
    number(b.out, r.kernels);
    fprintf(b.out, ",%.4f\n", r.time_us);
    fflush(b.out);
}

/* ---- memory ---- */

device_memory::device_memory(uint64_t bytes)
{
    must(cudaMalloc(&at, std::max<uint64_t>(bytes, 256)), "device memory");
}

device_memory::~device_memory()
{
    cudaFree(at);
}

template <class T>
static __global__ void
fill_kernel(T *at, uint64_t n, uint32_t seed)
{
    const uint64_t step = uint64_t{gridDim.x} * blockDim.x;
    for (uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
        uint32_t x = static_cast<uint32_t>(i) * 0x9E3779B9u ^ static_cast<uint32_t>(i >> 32) ^ seed;
        x = (x ^ x >> 16) * 0x85EBCA6Bu;
        x = (x ^ x >> 13) * 0xC2B2AE35u;
        x ^= x >> 16;
        moe_store(at + i, (static_cast<float>(x >> 8) * 0x1p-24f - 0.5f) * 0.125f);
    }
}

void
fill(const bench &b, void *at, uint64_t n, moe_cuda_type type, uint32_t seed)
{
    const unsigned blocks = static_cast<unsigned>(std::min<uint64_t>((n + 255) / 256, 4096));
    int error = type == MOE_CUDA_BF16
                    ? moe_launch(fill_kernel<__nv_bfloat16>, blocks, 256, 0, b.stream,
                                 static_cast<__nv_bfloat16 *>(at), n, seed)
                    : moe_launch(fill_kernel<float>, blocks, 256, 0, b.stream,
                                 static_cast<float *>(at), n, seed);
    must(error, "filling");
    must(cudaStreamSynchronize(b.stream), "filling");
}

/* ---- time ---- */

double
median_us(const bench &b, const std::function<void(uint32_t i)> &body)
{
    cudaEvent_t begin, end;
    must(cudaEventCreate(&begin), "event");
    must(cudaEventCreate(&end), "event");
    for (uint32_t i = 0; i < 2; i++)
        body(i);
    must(cudaStreamSynchronize(b.stream), "warming up");
    std::vector<double> times;
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 2; i < 52; i++) {
        float ms = 0;
        must(cudaEventRecord(begin, b.stream), "event");
        body(i);
        must(cudaEventRecord(end, b.stream), "event");
        must(cudaEventSynchronize(end), "measuring");
        must(cudaEventElapsedTime(&ms, begin, end), "measuring");
        times.push_back(static_cast<double>(ms) * 1e3);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        if (times.size() >= 5 && spent.count() > b.seconds)
            break;
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

/* ---- the program ---- */

static const struct part {
    const char *name, *help;
    void (*run)(const bench &);
} parts[] = {
    {"launches", "empty kernels, plain and in a graph", bench_launches},
    {"copies",
     "reads of memory; host to device and back, pinned and pageable, alone and against "
     "each other",
     bench_copies},
    {"products", "dense products", bench_products},
    {"attention", "decode and prompts", bench_attention},
    {"experts", "expert layers: tokens 1 … 16384, evenly and skewed", bench_experts},
    {"cublas", "dense and grouped products by cuBLAS", bench_cublas},
};

static int
usage(FILE *out, int code)
{
    fputs("usage: moesim_gpu_bench [--out FILE] [--shrink N] [--seconds S] [PART…]\n"
          "Writes a measured table of this machine's first CUDA device. Parts, all by default:\n",
          out);
    for (const part &p : parts)
        fprintf(out, "  %-10s %s\n", p.name, p.help);
    fputs("--shrink divides all shapes (for trying it out); --seconds bounds one measurement.\n",
          out);
    return code;
}

/* The first device; exit code 77, as tests that are skipped, where there is none. */
static bench
open_device()
{
    bench b = {};
    int count = -1;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count < 1) {
        fprintf(stderr, "moesim_gpu_bench: no usable CUDA device: %s (%d)\n",
                error == cudaSuccess ? "none found" : cudaGetErrorString(error),
                static_cast<int>(error));
        exit(77);
    }
    cudaDeviceProp properties;
    must(cudaGetDeviceProperties(&properties, 0), "device");
    snprintf(b.device, sizeof b.device, "%s", properties.name);
    must(cudaStreamCreateWithFlags(&b.stream, cudaStreamNonBlocking), "stream");
    size_t available = 0, total = 0;
    must(cudaMemGetInfo(&available, &total), "memory");
    b.memory = available - available / 8;
    b.out = stdout;
    b.source = "moesim_gpu_bench";
    b.shrink = 1;
    b.seconds = 0.25;
    return b;
}

static const part *
find(const char *name)
{
    for (const part &p : parts)
        if (!strcmp(p.name, name))
            return &p;
    return nullptr;
}

int
main(int argc, char **argv)
{
    std::vector<const part *> chosen;
    const char *path = nullptr;
    uint32_t shrink = 1;
    double seconds = 0.25;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--help"))
            return usage(stdout, 0);
        if (more && !strcmp(argv[i], "--out"))
            path = argv[++i];
        else if (more && !strcmp(argv[i], "--shrink"))
            shrink = static_cast<uint32_t>(std::max(1l, strtol(argv[++i], nullptr, 10)));
        else if (more && !strcmp(argv[i], "--seconds"))
            seconds = strtod(argv[++i], nullptr);
        else if (find(argv[i]))
            chosen.push_back(find(argv[i]));
        else
            return usage(stderr, 2);
    }
    bench b = open_device();
    b.shrink = shrink;
    b.seconds = seconds;
    if (path && !(b.out = fopen(path, "w"))) {
        perror(path);
        return 3;
    }
    write_header(b);
    for (const part &p : parts) {
        if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), &p) == chosen.end())
            continue;
        const auto start = std::chrono::steady_clock::now();
        p.run(b);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        fprintf(stderr, "%s: %.1f s\n", p.name, spent.count());
    }
    if (fclose(b.out)) {
        perror(path ? path : "stdout");
        return 3;
    }
    return 0;
}
