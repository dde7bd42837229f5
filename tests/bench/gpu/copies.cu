/* Copies between host and device, reads of device memory, launches. */
#include "tests/bench/gpu/bench.cuh"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace
{

struct host_memory {
    void *at = nullptr;
    bool pinned;
    host_memory(uint64_t bytes, bool pinned_) : pinned(pinned_)
    {
        if (pinned)
            must(cudaMallocHost(&at, bytes), "pinned memory");
        else
            at = malloc(bytes);
        if (!at)
            must(cudaErrorMemoryAllocation, "host memory");
        memset(at, 1, bytes); /* every page is there */
    }
    ~host_memory()
    {
        if (pinned)
            cudaFreeHost(at);
        else
            free(at);
    }
    host_memory(const host_memory &) = delete;
    host_memory &operator=(const host_memory &) = delete;
};

void
write_copy(const bench &b, const char *direction, const char *memory, uint64_t bytes,
           int concurrent, double time_us)
{
    row r;
    r.kind = "copy";
    r.direction = direction;
    r.memory = memory;
    r.bytes = static_cast<int64_t>(bytes);
    r.concurrent = concurrent;
    r.time_us = time_us;
    write_row(b, r);
}

/* One direction; `against`: the other one is kept busy on a stream of its own, by copies that begin
 * before and end behind. */
double
measure_copy(const bench &b, bool to_device, void *host, void *device, uint64_t bytes,
             cudaStream_t against, void *other_host, void *other_device)
{
    const cudaMemcpyKind way = to_device ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
    const cudaMemcpyKind back = to_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
    const auto copy = [](void *h, void *d, uint64_t n, cudaMemcpyKind kind, cudaStream_t s) {
        const bool down = kind == cudaMemcpyHostToDevice;
        must(cudaMemcpyAsync(down ? d : h, down ? h : d, n, kind, s), "copy");
    };
    return median_us(b, [&](uint32_t) {
        if (against)
            for (int i = 0; i < 3; i++)
                copy(other_host, other_device, bytes, back, against);
        copy(host, device, bytes, way, b.stream);
    });
}

void
sweep_copies(const bench &b, uint64_t most)
{
    device_memory device(most), other_device(most);
    cudaStream_t against;
    must(cudaStreamCreateWithFlags(&against, cudaStreamNonBlocking), "stream");
    for (const bool pinned : {true, false}) {
        host_memory host(most, pinned), other_host(most, true);
        for (uint64_t bytes = 64 << 10; bytes <= most; bytes *= 2) {
            for (const bool to_device : {true, false}) {
                const char *direction = to_device ? "h2d" : "d2h";
                const char *memory = pinned ? "pinned" : "pageable";
                const double alone = measure_copy(b, to_device, host.at, device.at, bytes, nullptr,
                                                  nullptr, nullptr);
                write_copy(b, direction, memory, bytes, 0, alone);
                if (!pinned)
                    continue;
                const double duplex = measure_copy(b, to_device, host.at, device.at, bytes, against,
                                                   other_host.at, other_device.at);
                must(cudaStreamSynchronize(against), "copy");
                write_copy(b, direction, memory, bytes, 1, duplex);
            }
        }
    }
    cudaStreamDestroy(against);
}

/* Reads 16 bytes a thread at a time; the sum keeps the compiler from leaving it out. */
__global__ void
read_kernel(const uint4 *at, uint64_t n, uint32_t *out)
{
    const uint64_t step = uint64_t{gridDim.x} * blockDim.x;
    uint32_t sum = 0;
    uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    for (; i + 3 * step < n; i += 4 * step) {
        const uint4 a = at[i], c = at[i + step], d = at[i + 2 * step], e = at[i + 3 * step];
        sum += a.x ^ a.y ^ a.z ^ a.w ^ c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w ^ e.x ^ e.y ^
               e.z ^ e.w;
    }
    for (; i < n; i += step) {
        const uint4 a = at[i];
        sum += a.x ^ a.y ^ a.z ^ a.w;
    }
    if (sum == 0x12345678u)
        *out = sum;
}

void
sweep_streams(const bench &b, uint64_t most)
{
    device_memory memory(2 * most), out(4);
    int processors = 1;
    must(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0), "device");
    must(cudaMemset(memory.at, 1, 2 * most), "memory");
    for (uint64_t bytes = 1 << 20; bytes <= most; bytes *= 2) {
        const uint64_t n = bytes / sizeof(uint4), places = 2 * most / bytes;
        const unsigned blocks = b.shrink > 1 ? 2 : static_cast<unsigned>(processors) * 8;
        row r;
        r.kind = "stream";
        r.bytes = static_cast<int64_t>(bytes);
        r.time_us = median_us(b, [&](uint32_t i) {
            must(moe_launch(read_kernel, blocks, 256, 0, b.stream,
                            static_cast<const uint4 *>(memory.as<uint4>() + i % places * n), n,
                            out.as<uint32_t>()),
                 "read");
        });
        write_row(b, r);
        row copy;
        copy.kind = "copy";
        copy.direction = "d2d";
        copy.bytes = static_cast<int64_t>(bytes);
        copy.time_us = median_us(b, [&](uint32_t) {
            must(cudaMemcpyAsync(memory.at, memory.as<char>() + most, bytes,
                                 cudaMemcpyDeviceToDevice, b.stream),
                 "copy");
        });
        write_row(b, copy);
    }
}

__global__ void
empty_kernel(uint32_t *out)
{
    if (!out)
        __syncthreads();
}

} // namespace

void
bench_copies(const bench &b)
{
    sweep_streams(b, b.shrink > 1 ? 4 << 20 : 4ull << 30);
    sweep_copies(b, b.shrink > 1 ? 256 << 10 : 1ull << 30);
}

void
bench_launches(const bench &b)
{
    device_memory out(4);
    const auto launch = [&](uint32_t kernels) {
        for (uint32_t i = 0; i < kernels; i++)
            must(moe_launch(empty_kernel, 1, 32, 0, b.stream, out.as<uint32_t>()), "launch");
    };
    for (uint32_t kernels : {1u, 10u, 100u, 1000u}) {
        row r;
        r.kind = "launch";
        r.kernels = kernels;
        r.mode = "plain";
        r.time_us = median_us(b, [&](uint32_t) { launch(kernels); });
        write_row(b, r);
        cudaGraph_t graph;
        cudaGraphExec_t executable;
        must(cudaStreamBeginCapture(b.stream, cudaStreamCaptureModeGlobal), "graph");
        launch(kernels);
        must(cudaStreamEndCapture(b.stream, &graph), "graph");
        must(cudaGraphInstantiate(&executable, graph, 0), "graph");
        r.mode = "graph";
        r.time_us =
            median_us(b, [&](uint32_t) { must(cudaGraphLaunch(executable, b.stream), "graph"); });
        write_row(b, r);
        cudaGraphExecDestroy(executable);
        cudaGraphDestroy(graph);
    }
}
