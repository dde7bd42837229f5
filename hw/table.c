/* The keys of a hardware description. */
#include "hw/spec.h"

#define P(field) offsetof(moe_place_spec, field)
#define D(field) offsetof(moe_device_spec, field)
#define L(field) offsetof(moe_link_spec, field)
#define N(field) offsetof(moe_level, field)
#define G(field) offsetof(moe_engine, field)
#define H(field) offsetof(moe_hardware_spec, field)
#define NEED MOE_PARAM_REQUIRED
#define SOURCED MOE_PARAM_SOURCED
#define HOUR (3600.0 * 1e12)

#define ROW(k, type_, offset_, fallback_, min_, max_, flags_, help_)                               \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_##type_, .offset = offset_, .fallback = fallback_,             \
        .min = min_, .max = max_, .flags = flags_, .help = help_                                   \
    }
#define BIT_ENERGY(k, offset_, help_) ROW(k, BIT_ENERGY, offset_, "unknown", 0, 1e6, SOURCED, help_)
#define FLOP_ENERGY(k, offset_, help_)                                                             \
    ROW(k, FLOP_ENERGY, offset_, "unknown", 0, 1e6, SOURCED, help_)
#define LIST(k, offset_, type_, n_, help_)                                                         \
    {                                                                                              \
        .key = k, .type = MOE_PARAM_LIST, .offset = offset_, .stride = sizeof(type_),              \
        .max_items = n_, .flags = NEED, .help = help_                                              \
    }

/* Rows of a protocol, and of a kernel that exchanges tokens. */
#define PROTOCOL(k, field, what)                                                                   \
    ROW("network.*." k ".base", TIME, N(field.base_ps), "0", 0, 1e12, SOURCED,                     \
        "Start of NCCL's " what "."),                                                              \
        ROW("network.*." k ".step", TIME, N(field.step_ps), "0", 0, 1e12, SOURCED,                 \
            "Each of its steps."),                                                                 \
        ROW("network.*." k ".rate", RATE, N(field.bytes_per_s), "0", 0, 1e16, SOURCED,             \
            "Rate of a port with it; 0: not there.")
#define TOKENS(k, field, what)                                                                     \
    ROW("network.*." k ".base", TIME, N(field.base_ps), "0", 0, 1e12, SOURCED,                     \
        "Start of " what "; on outer levels: further, for each other node."),                      \
        ROW("network.*." k ".hidden", TIME, N(field.hidden_ps), "0", 0, 1e12, SOURCED,             \
            "Further for each element of a token."),                                               \
        ROW("network.*." k ".expert", TIME, N(field.expert_ps), "0", 0, 1e12, SOURCED,             \
            "Further for each expert."),                                                           \
        ROW("network.*." k ".token", TIME, N(field.token_ps), "0", 0, 1e12, SOURCED,               \
            "What a token takes on its SM."),                                                      \
        ROW("network.*." k ".each", TIME, N(field.copy_ps), "0", 0, 1e12, SOURCED,                 \
            "What each copy of a token takes there."),                                             \
        ROW("network.*." k ".sm_rate", RATE, N(field.sm_bytes_per_s), "0", 0, 1e16, SOURCED,       \
            "At which an SM copies; 0: as fast as the port."),                                     \
        ROW("network.*." k ".extra", REAL, N(field.extra), "0", 0, 1e3, SOURCED,                   \
            "Copies' worth of bytes that an SM moves beside the copies."),                         \
        ROW("network.*." k ".chunk", REAL, N(field.chunk), "0", 0, 1e6, SOURCED,                   \
            "Tokens of an SM that are through before the next hand gets them."),                   \
        ROW("network.*." k ".share", SHARE, N(field.share), "0", 0, 1, SOURCED,                    \
            "On outer levels: share of its rate that an SM keeps in kernels that serve this one "  \
            "too; 0: all."),                                                                       \
        ROW("network.*." k ".rate", RATE, N(field.bytes_per_s), "0", 0, 1e16, SOURCED,             \
            "Rate of a rank's port; 0: there is no such kernel.")

static const moe_param rows[] = {
    ROW("name", TEXT, H(name), NULL, 0, 0, 0, "Name of the machine; default: the file's name."),
    ROW("source", TEXT, H(source), NULL, 0, 0, 0, "What the description as a whole follows."),
    ROW("host", TEXT, H(host), NULL, 0, 0, 0,
        "The device that is the host's CPU; absent: none that could run experts."),
    ROW("price_per_hour", REAL, H(price_per_hour), "0", 0, 1e9, SOURCED,
        "Price of the machine per hour, in USD; 0: unknown."),

    LIST("places", H(places), moe_place_spec, MOE_HW_MAX_PLACES, "Memories, from fast to slow."),
    ROW("places.*.name", TEXT, P(name), NULL, 0, 0, NEED, "What scenarios call the place."),
    ROW("places.*.capacity", BYTES, P(capacity), NULL, 1, 1e18, NEED | SOURCED,
        "Bytes, as the driver or the system reports them."),
    ROW("places.*.reserved", BYTES, P(reserved), "0", 0, 1e18, SOURCED,
        "Bytes of it that are not usable: driver, context, operating system."),
    ROW("places.*.read", RATE, P(read), "0", 0, 1e16, SOURCED,
        "Peak read bandwidth; 0: channels times channel."),
    ROW("places.*.channels", INT, P(channels), "0", 0, 4096, SOURCED,
        "Memory channels that have modules; 0: unknown."),
    ROW("places.*.channel", RATE, P(channel), "0", 0, 1e16, SOURCED,
        "Peak bandwidth of one channel, such as 38.4GB/s of DDR5-4800; 0: unknown."),

    ROW("places.*.power.idle", POWER, P(idle_watt), "0", 0, 1e6, SOURCED,
        "Power of the memory when idle, where it is not part of a device's."),
    BIT_ENERGY("places.*.device_energy.read", P(device_energy.read),
               "What reading a bit takes in the memory itself; unknown: no energy can be given."),
    BIT_ENERGY("places.*.device_energy.write", P(device_energy.write),
               "The same of writing; default: as reading."),
    BIT_ENERGY("places.*.board_energy.read", P(board_energy.read),
               "What reading a bit takes on the whole board, beyond its base power."),
    BIT_ENERGY("places.*.board_energy.write", P(board_energy.write),
               "The same of writing; default: as reading."),

    LIST("devices", H(devices), moe_device_spec, MOE_HW_MAX_DEVICES,
         "What computes; the first one runs the model."),
    ROW("devices.*.name", TEXT, D(name), NULL, 0, 0, NEED, "Name of the device."),
    {.key = "devices.*.kind",
     .type = MOE_PARAM_ENUM,
     .offset = D(kind),
     .fallback = "gpu",
     .choices = "gpu|cpu|rdu",
     .help = "Kind of device."},
    ROW("devices.*.place", TEXT, D(place), NULL, 0, 0, NEED, "The place it computes from."),
    ROW("devices.*.peak.fp32", FLOPS, D(peak.fp32), "0", 0, 1e19, SOURCED,
        "Dense FP32 rate; 0: not supported."),
    ROW("devices.*.peak.bf16", FLOPS, D(peak.bf16), "0", 0, 1e19, SOURCED,
        "Dense 16-bit rate with FP32 accumulation; 0: as fp32."),
    ROW("devices.*.peak.fp8", FLOPS, D(peak.fp8), "0", 0, 1e19, SOURCED,
        "Dense FP8 rate; 0: not supported."),
    ROW("devices.*.peak.int8", FLOPS, D(peak.int8), "0", 0, 1e19, SOURCED,
        "Dense INT8 rate; 0: not supported."),
    ROW("devices.*.peak.fp4", FLOPS, D(peak.fp4), "0", 0, 1e19, SOURCED,
        "Dense FP4 rate; 0: not supported."),
    ROW("devices.*.capability", REAL, D(capability), "0", 0, 100, SOURCED,
        "Compute capability of CUDA (9.0: Hopper), by which software chooses among its kernels; 0: "
        "unknown, the first that there is."),
    ROW("devices.*.sms", INT, D(sms), "0", 0, 65536, SOURCED,
        "Processors that work side by side on a kernel's blocks (SMs, compute units, cores); 0: "
        "unknown, kernels are not cut into waves."),
    ROW("devices.*.l2", BYTES, D(l2), "0", 0, 1e12, SOURCED, "Cache that they share; 0: unknown."),
    ROW("devices.*.kernels", TEXT, D(kernels), NULL, 0, 0, 0,
        "Kernel library (hw/kernels) that says what software makes of the device, or several "
        "separated by '|', the first counting most; the numbers below are for what it has no "
        "kernel "
        "near to, and for `kernels: own`."),
    ROW("devices.*.matches", TEXT, D(matches), NULL, 0, 0, 0,
        "Names that drivers and tables of measurements have for it, separated by '|'."),
    ROW("devices.*.gemm_efficiency", SHARE, D(gemm.efficiency), NULL, 1e-4, 1, NEED | SOURCED,
        "Highest achieved share of peak of a large matrix product."),
    ROW("devices.*.expert_efficiency", SHARE, D(experts.efficiency), "0", 0, 1, SOURCED,
        "The same of grouped expert kernels; default: as gemm_efficiency."),
    ROW("devices.*.attention_efficiency", SHARE, D(attention.efficiency), "0", 0, 1, SOURCED,
        "The same of attention; default: as gemm_efficiency."),
    ROW("devices.*.stream_efficiency", SHARE, D(gemm.stream_efficiency), NULL, 1e-4, 1,
        NEED | SOURCED, "Achieved share of the place's bandwidth when weights are streamed."),
    ROW("devices.*.expert_stream_efficiency", SHARE, D(experts.stream_efficiency), "0", 0, 1,
        SOURCED, "The same of grouped expert kernels; default: as stream_efficiency."),
    ROW("devices.*.expert_pass_efficiency", SHARE, D(experts.pass_efficiency), "0", 0, 1, SOURCED,
        "The same of the passes over activations between grouped expert kernels: the gate's "
        "function, the sum over a token's experts; 0: inside the kernels, free."),
    ROW("devices.*.attention_pass_efficiency", SHARE, D(attention.pass_efficiency), "0", 0, 1,
        SOURCED,
        "The same of writing new keys and values into the cache; 0: inside the kernels, free."),
    ROW("devices.*.attention_stream_efficiency", SHARE, D(attention.stream_efficiency), "0", 0, 1,
        SOURCED, "The same of attention that reads the KV cache; default: as stream_efficiency."),
    ROW("devices.*.half_rows", REAL, D(gemm.half_rows), "0", 0, 1e6, SOURCED,
        "Rows (tokens per expert) at which a product reaches half of its highest rate."),
    ROW("devices.*.expert_half_rows", REAL, D(experts.half_rows), "0", 0, 1e6, SOURCED,
        "Tokens per expert at which grouped expert kernels do; default: as half_rows."),
    ROW("devices.*.attention_half_keys", REAL, D(attention.half_keys), "0", 0, 1e6, SOURCED,
        "Keys that a query of a prompt sees at which attention reaches half of its highest rate; "
        "0: as a product of the prompt's rows."),
    ROW("devices.*.tile", INT, D(experts.tile), "1", 1, 1024, SOURCED,
        "Tokens of an expert are computed in blocks of this many; 1: no padding."),
    ROW("devices.*.launch", TIME, D(launch), "0", 0, 1e12, SOURCED, "Fixed cost of a kernel."),
    ROW("devices.*.launch_in_graph", TIME, D(launch_in_graph), "0", 0, 1e12, SOURCED,
        "The same in a CUDA graph (overhead.graphs); 0: as launch."),
    ROW("devices.*.gemm_fixed", TIME, D(gemm.fixed_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost of one matrix product, the kernel's own ramp and tail."),
    ROW("devices.*.expert_fixed", TIME, D(experts.fixed_ps), "0", 0, 1e12, SOURCED,
        "The same of the kernels of a layer's experts together."),
    ROW("devices.*.attention_fixed", TIME, D(attention.fixed_ps), "0", 0, 1e12, SOURCED,
        "The same of the kernels of an attention together."),
    ROW("devices.*.per_expert", TIME, D(experts.expert_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost per distinct expert in a grouped kernel."),
    ROW("devices.*.per_head", TIME, D(attention.head_ps), "0", 0, 1e12, SOURCED,
        "Further fixed cost of attention per sequence and KV head."),
    ROW("devices.*.dequant", RATE, D(dequant), "0", 0, 1e16, SOURCED,
        "Rate (of decoded bytes) at which weights below 8 bits are decoded by a pass of its own; "
        "0: inside the kernel, free."),
    ROW("devices.*.power.idle", POWER, D(idle_watt), "0", 0, 1e6, SOURCED,
        "Power when idle; 0: unknown."),
    ROW("devices.*.power.peak", POWER, D(peak_watt), "0", 0, 1e6, SOURCED,
        "Power under full load; 0: unknown."),
    FLOP_ENERGY(
        "devices.*.device_energy.fp32", D(device_energy.fp32),
        "What an FP32 FLOP takes in the arithmetic itself; unknown: no energy can be given."),
    FLOP_ENERGY("devices.*.device_energy.bf16", D(device_energy.bf16), "The same at 16 bits."),
    FLOP_ENERGY("devices.*.device_energy.fp8", D(device_energy.fp8), "The same in FP8."),
    FLOP_ENERGY("devices.*.device_energy.int8", D(device_energy.int8), "The same in INT8."),
    FLOP_ENERGY("devices.*.device_energy.fp4", D(device_energy.fp4), "The same in FP4."),
    FLOP_ENERGY("devices.*.board_energy.fp32", D(board_energy.fp32),
                "What an FP32 FLOP takes on the whole board, beyond its base power."),
    FLOP_ENERGY("devices.*.board_energy.bf16", D(board_energy.bf16), "The same at 16 bits."),
    FLOP_ENERGY("devices.*.board_energy.fp8", D(board_energy.fp8), "The same in FP8."),
    FLOP_ENERGY("devices.*.board_energy.int8", D(board_energy.int8), "The same in INT8."),
    FLOP_ENERGY("devices.*.board_energy.fp4", D(board_energy.fp4), "The same in FP4."),
    ROW("devices.*.board_energy.base", POWER, D(base_watt), "0", 0, 1e6, SOURCED,
        "Power of the board at full clocks before any FLOP or byte; 0: as power.idle."),

    LIST("links", H(links), moe_link_spec, MOE_HW_MAX_LINKS, "One-way channels between places."),
    ROW("links.*.name", TEXT, L(name), NULL, 0, 0, NEED, "Name of the link."),
    ROW("links.*.from", TEXT, L(from), NULL, 0, 0, NEED, "The place it reads from."),
    ROW("links.*.to", TEXT, L(to), NULL, 0, 0, NEED, "The place it writes to."),
    ROW("links.*.rate", RATE, L(rate), NULL, 1e6, 1e16, NEED | SOURCED,
        "Achieved bandwidth of large transfers, from pinned memory."),
    ROW("links.*.peak", RATE, L(peak), "0", 0, 1e16, SOURCED,
        "Nominal bandwidth; default: as rate."),
    ROW("links.*.pageable", RATE, L(pageable), "0", 0, 1e16, SOURCED,
        "Achieved bandwidth from pageable memory; 0: as rate."),
    ROW("links.*.latency", TIME, L(latency), "0", 0, 1e12, SOURCED, "Fixed cost of a transfer."),
    ROW("links.*.pageable_latency", TIME, L(pageable_latency), "0", 0, 1e12, SOURCED,
        "The same from pageable memory; 0: as latency."),
    ROW("links.*.per_copy", TIME, L(per_copy), "0", 0, 1e12, SOURCED,
        "Fixed cost of a transfer that was queued behind another, whose latency the one before "
        "hides; 0: as latency."),
    ROW("links.*.request", BYTES, L(request), "0", 0, 1e12, SOURCED,
        "A transfer is made of requests of so many bytes, as reads of a file are; 0: it is one."),
    ROW("links.*.depth", INT, L(depth), "1", 1, 65536, SOURCED,
        "How many of its requests are in flight at a time."),
    ROW("links.*.channel", RATE, L(channel), "0", 0, 1e16, SOURCED,
        "Bandwidth of one request alone, such as of one flash channel; 0: as rate."),
    ROW("links.*.iops", REAL, L(iops), "0", 0, 1e12, SOURCED,
        "Most requests per second, whatever their size; 0: no limit."),
    ROW("links.*.chunk", BYTES, L(chunk), "16MiB", 4096, 1e12, SOURCED,
        "Granularity at which a transfer can be suspended."),
    ROW("links.*.engine", INT, L(engine), NULL, 0, 255, NEED,
        "Number of the copy engine; links with the same number share it."),
    ROW("links.*.wire", INT, L(wire), "-1", -1, 255, 0,
        "Two opposite links with the same number share one wire; -1: duplex."),
    ROW("links.*.duplex", SHARE, L(duplex), "50%", 0.5, 1, SOURCED,
        "Of links that share a wire: the share of its rate that each keeps while both are busy; "
        "50%: the wire carries one rate in all."),
    BIT_ENERGY("links.*.device_energy", L(device_energy),
               "What carrying a bit takes; the places' reading and writing comes on top."),
    BIT_ENERGY("links.*.board_energy", L(board_energy), "The same of whole boards."),

    {.key = "network",
     .type = MOE_PARAM_LIST,
     .offset = H(network),
     .stride = sizeof(moe_level),
     .max_items = MOE_MAX_LEVELS,
     .help = "What connects ranks, from the inside (NVLink in a node) out (NICs between nodes)."},
    ROW("network.*.name", TEXT, N(name), NULL, 0, 0, NEED, "Name of the level."),
    {.key = "network.*.kind",
     .type = MOE_PARAM_ENUM,
     .offset = N(kind),
     .fallback = "switch",
     .choices = "switch|mesh|ring|host",
     .help = "Any to any through a switch; a wire for each pair; to two neighbours; over the "
             "host's PCIe bridges."},
    ROW("network.*.ranks", INT, N(ranks), NULL, 2, 1e7, NEED,
        "Ranks in one group of the level, those of the levels below it counted."),
    ROW("network.*.ports", INT, N(ports), "0", 0, 1e4, 0,
        "Ports that a group of the level below shares (NICs of a node); 0: one for each rank."),
    {.key = "network.*.rails",
     .type = MOE_PARAM_BOOL,
     .offset = N(rails),
     .fallback = "false",
     .help = "Port i of a node leads to ports i of others; what is for another port first goes to "
             "the node's rank there."},
    ROW("network.*.peak", RATE, N(peak_bytes_per_s), NULL, 1e6, 1e16, NEED | SOURCED,
        "Nominal bandwidth of a port in one direction."),
    ROW("network.*.rate", RATE, N(bytes_per_s), NULL, 1e6, 1e16, NEED | SOURCED,
        "The same, as large collectives achieve it."),
    ROW("network.*.latency", TIME, N(latency_ps), "0", 0, 1e12, SOURCED,
        "What a message between pairs takes longer on this level than on the innermost."),
    ROW("network.*.message", TIME, N(message_ps), "0", 0, 1e12, SOURCED,
        "What each message between pairs keeps its sender busy."),
    ROW("network.*.copy", RATE, N(copy_bytes_per_s), "0", 0, 1e16, SOURCED,
        "At which collectives copy a rank's own share within its memory; 0: free."),
    ROW("network.*.chunk", BYTES, N(chunk_bytes), "0", 0, 1e12, SOURCED,
        "Most bytes that are handed on only after they came, at the end of a transfer."),
    ROW("network.*.depth", REAL, N(depth), "0", 0, 1e6, SOURCED,
        "Pieces that short transfers are cut into, the last of which is handed on so; 0: none."),
    PROTOCOL("ll", ll, "LL protocol (a flag in every 8 bytes)"),
    ROW("network.*.ll.most", RATE, N(ll_most_bytes_per_s), "0", 0, 1e16, SOURCED,
        "Rate that NCCL's own estimates expect of LL at most; 0: 30 % of the peak."),
    PROTOCOL("ll128", ll128, "LL128 protocol (a flag in every 128 bytes)"),
    ROW("network.*.simple.base", TIME, N(simple.base_ps), "0", 0, 1e12, SOURCED,
        "Start of NCCL's Simple protocol, at the level's rate."),
    ROW("network.*.simple.step", TIME, N(simple.step_ps), "0", 0, 1e12, SOURCED,
        "Each of its steps."),
    PROTOCOL("nvls", nvls, "reduction in the switch (a step for each rank)"),
    ROW("network.*.pairs.small", TIME, N(pairs.small_ps), "0", 0, 1e12, SOURCED,
        "Start of sends between pairs with LL."),
    ROW("network.*.pairs.small_rate", RATE, N(pairs.small_bytes_per_s), "0", 0, 1e16, SOURCED,
        "At which each of these messages goes through its one channel; 0: not with LL."),
    ROW("network.*.pairs.bulk", TIME, N(pairs.bulk_ps), "0", 0, 1e12, SOURCED,
        "Start of sends between pairs at full rate."),
    ROW("network.*.pairs.chunk", BYTES, N(pairs.chunk_bytes), "0", 0, 1e12, SOURCED,
        "As chunk, of sends between pairs."),
    ROW("network.*.pairs.depth", REAL, N(pairs.depth), "0", 0, 1e6, SOURCED,
        "As depth, of sends between pairs."),
    TOKENS("dispatch", dispatch, "dispatch of experts' tokens for throughput"),
    TOKENS("combine", combine, "combine of experts' tokens for throughput"),
    TOKENS("low_dispatch", low_dispatch, "dispatch of experts' tokens for latency"),
    TOKENS("low_combine", low_combine, "combine of experts' tokens for latency"),
    ROW("network.*.notify", TIME, N(notify_ps), "0", 0, 1e12, SOURCED,
        "Telling how many tokens come, before the kernels for throughput serve this level."),
    ROW("network.*.notify_node", TIME, N(notify_node_ps), "0", 0, 1e12, SOURCED,
        "Further for each node."),

    {.key = "engines",
     .type = MOE_PARAM_LIST,
     .offset = H(engines),
     .stride = sizeof(moe_engine),
     .max_items = MOE_MAX_ENGINES,
     .help = "Serving engines' own all-reduce kernels; the first is taken where none is named."},
    ROW("engines.*.name", TEXT, G(name), NULL, 0, 0, NEED,
        "Engine and the first version with these numbers: vllm-0.19."),
    ROW("engines.*.base", TIME, G(base_ps), "0", 0, 1e12, SOURCED, "Start of the kernel."),
    ROW("engines.*.step", TIME, G(step_ps), "0", 0, 1e12, SOURCED,
        "What each rank adds to it, but in one shot."),
    ROW("engines.*.rate", RATE, G(bytes_per_s), NULL, 1e6, 1e16, NEED | SOURCED,
        "At which a rank reads its peers' memory."),
    ROW("engines.*.nvls", RATE, G(nvls_bytes_per_s), "0", 0, 1e16, SOURCED,
        "At which more than 4 ranks let the switch add; 0: the engine does not."),
    ROW("engines.*.one_shot", BYTES, G(one_shot_bytes), "512KiB", 0, 1e12, SOURCED,
        "Of 3 and 4 ranks, vectors below are read whole by each."),
    ROW("engines.*.one_shot_many", BYTES, G(one_shot_many_bytes), "256KiB", 0, 1e12, SOURCED,
        "The same of more ranks."),
    ROW("engines.*.limit", BYTES, G(limit_bytes), "8MiB", 0, 1e12, SOURCED,
        "Vectors of this size and above are left to NCCL."),
    ROW("engines.*.host", TIME, G(host_ps), "0", 0, 1e12, SOURCED,
        "What the host needs to launch it outside of a CUDA graph."),
};

const moe_param_table moe_hardware_table = {"hardware", rows, MOE_COUNT(rows),
                                            sizeof(moe_hardware_spec)};
