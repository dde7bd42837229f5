/* The metrics a run reports, in the order of its rows: name, unit, higher is better, meaning. */
#ifndef MOE_MACHINE_METRICS_H
#define MOE_MACHINE_METRICS_H

#define MOE_METRICS(X)                                                                             \
    X(wall_s, "s", false, "Measured time: from the end of warm-up to the last token.")             \
    X(tokens_per_s, "tokens/s", true, "Decoded tokens per second of measured time.")               \
    X(decode_tokens_per_s, "tokens/s", true, "Decoded tokens per second of decode steps.")         \
    X(prefill_tokens_per_s, "tokens/s", true, "Prompt tokens per second of prefill steps.")        \
    X(ttft_mean_s, "s", false, "Time to first token, from admission; mean over requests.")         \
    X(ttft_p50_s, "s", false, "Time to first token, median.")                                      \
    X(ttft_p99_s, "s", false, "Time to first token, 99th percentile.")                             \
    X(tpot_mean_s, "s", false, "Time per output token after the first; mean over requests.")       \
    X(tpot_p50_s, "s", false, "Time per output token, median over requests.")                      \
    X(tpot_p99_s, "s", false, "Time per output token, 99th percentile over requests.")             \
    X(itl_p50_s, "s", false, "Time between consecutive tokens of a request, median.")              \
    X(itl_p99_s, "s", false, "Time between consecutive tokens, 99th percentile.")                  \
    X(e2e_mean_s, "s", false, "From a request's admission to its last token, mean.")               \
    X(e2e_p99_s, "s", false, "From a request's admission to its last token, 99th percentile.")     \
    X(moe_block_s, "s", false,                                                                     \
      "MoE block in decode: its gate, loads waited for and experts; mean.")                        \
    X(hit_rate, "share", true, "Demanded distinct experts in the cache or on their way to it.")    \
    X(late_rate, "share", false, "Demanded distinct experts that were still on their way.")        \
    X(token_hit_rate, "share", true, "The same as hit_rate, weighted by the tokens routed.")       \
    X(loads, "experts", false, "Experts loaded into the cache, prefetches included.")              \
    X(load_bytes, "bytes", false, "Bytes that reached the cache's memory, called-off loads' too.") \
    X(load_bytes_per_token, "bytes", false, "load_bytes per decoded token.")                       \
    X(host_served, "experts", true, "Demanded experts computed on the host instead of loaded.")    \
    X(prefetch_loads, "experts", false, "Loads issued by prefetching.")                            \
    X(prefetch_accuracy, "share", true, "Prefetched experts that were demanded before they left.") \
    X(prefetch_waste_bytes, "bytes", false, "Bytes of prefetched experts that left unused.")       \
    X(exposed_load_share, "share", false,                                                          \
      "Device time spent waiting for loads: exposed and queued.")                                  \
    X(stall_per_token_s, "s", false,                                                               \
      "The same in seconds per token that was run, prompt and decoded.")                           \
    X(compute_utilisation, "share", true, "Device time in which its compute stream was busy.")     \
    X(link_utilisation, "share", true,                                                             \
      "Time in which bytes flowed over the link into the cache; latencies are left out.")          \
    X(device_peak_bytes, "bytes", false, "High-water mark of the device's memory.")                \
    X(routing_reuse, "share", false, "Tokens whose trace row had been replayed before.")           \
    X(experts_per_token, "experts", false, "Experts a token is routed to at a layer; mean.")       \
    X(active_parameters, "parameters", false,                                                      \
      "Parameters a token uses: all but routed experts, and its experts; embeddings count.")       \
    X(active_bytes, "bytes", false, "Bytes of these parameters, experts of their own precision.")  \
    X(weight_bytes, "bytes", false, "Bytes of all weights, wherever they live.")                   \
    X(distinct_experts, "experts", false, "Distinct experts that a layer needs in a decode step.") \
    X(flops_per_token, "FLOP", false, "FLOPs of the device per token, prompt and decoded.")        \
    X(energy_j, "J", false, "Energy of the measured time (energy.mode); sum of the four parts.")   \
    X(energy_per_token_j, "J", false, "energy_j per decoded token.")                               \
    X(compute_energy_j, "J", false, "What FLOPs took, on the device and the host.")                \
    X(memory_energy_j, "J", false, "What reading and writing memories took.")                      \
    X(link_energy_j, "J", false, "What carrying bytes over links took.")                           \
    X(idle_energy_j, "J", false, "Idle power of the whole machine over the measured time.")        \
    X(prefill_energy_j, "J", false, "Energy of steps with prompt tokens.")                         \
    X(decode_energy_j, "J", false, "Energy of decode steps.")                                      \
    X(decode_energy_per_token_j, "J", false, "decode_energy_j per token decoded in them.")         \
    X(average_power_w, "W", false, "energy_j over the measured time.")                             \
    X(device_power_share, "share", false,                                                          \
      "Mean power of the device and its memory as a share of its peak; of the hotter phase.")      \
    X(price_per_million_tokens, "price", false, "Price of a million decoded tokens.")              \
    X(price_per_request, "price", false, "Price of a request that ends in the measured time.")

enum {
#define X(name, unit, higher, help) MOE_METRIC_##name,
    MOE_METRICS(X)
#undef X
        MOE_N_METRICS
};

#endif
