# Numbers that no machine has.
cat >twins.yaml <<'END'
gemm:
  - {name: a, dtype: bf16, efficiency: 90%, stream_efficiency: 80%}
  - {name: a, dtype: bf16, efficiency: 80%, stream_efficiency: 80%}
  - {name: a, dtype: bf16, efficiency: 80%, stream_efficiency: 80%, multiple_n: 64}
experts:
  - {name: a, dtype: bf16, efficiency: 90%, stream_efficiency: 80%, unaligned: 0.001}
  - {name: b, dtype: bf16, efficiency: 90%, stream_efficiency: 80%, unaligned: 2, shapes: 8x1792 4x64}
  - {name: a, dtype: bf16, efficiency: 90%, stream_efficiency: 80%, shapes: 8x1792}
  - {name: a, dtype: bf16, efficiency: 80%, stream_efficiency: 80%, shapes: 8x1792}
attention:
  - {name: a, dtype: bf16, efficiency: 90%, stream_efficiency: 80%}
  - {name: a, dtype: bf16, efficiency: 80%, stream_efficiency: 80%}
END
try()
{
    echo "== $1"
    cat >machine.yaml
    printf 'name: numbers that cannot be\nmodel: mixtral-8x7b\nhardware: machine.yaml\n' >scenario.yaml
    printf 'routing: {trace: traces/samples/quickstart.safetensors}\n' >>scenario.yaml
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm machine.yaml scenario.yaml
}
try "shares above one" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
devices:
  - name: gpu
    place: hbm
    peak: {bf16: 312TFLOPS}
    gemm_efficiency: 102%
    stream_efficiency: 1.2
    expert_efficiency: -1%
    half_rows: 16
links: []
END
try "nothing, too much, too few" <<'END'
places:
  - {name: hbm, capacity: 0, read: 2TB/s}
  - {name: dram, capacity: 64GiB, read: 1kB/s}
devices:
  - name: gpu
    place: hbm
    peak: {bf16: 312TFLOPS}
    sms: 1000000
    gemm_efficiency: 0
    stream_efficiency: 90%
    half_rows: 16
links: []
END
try "less power under load, a cache larger than memory, narrow numbers that are slower" <<'END'
places:
  - {name: hbm, capacity: 80GiB, reserved: 81GiB, read: 2TB/s}
  - {name: dram, capacity: 64GiB, read: 3TB/s}
devices:
  - name: gpu
    place: hbm
    peak: {fp32: 67TFLOPS, bf16: 989TFLOPS, fp8: 198TFLOPS, fp4: 9.89TFLOPS, int8: 10TFLOPS}
    l2: 80GiB
    gemm_efficiency: 80%
    stream_efficiency: 90%
    half_rows: 16
    power: {idle: 700W, peak: 70W}
    board_energy: {base: 100W}
  - name: other
    place: hbm
    peak: {fp32: 67TFLOPS, fp8: 33TFLOPS}
    gemm_efficiency: 80%
    stream_efficiency: 90%
    half_rows: 16
links: []
END
try "memory that is not read" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
  - {name: dram, capacity: 64GiB, read: 0}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 312TFLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%}
links: []
END
try "links above their peak" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
  - {name: dram, capacity: 64GiB, read: 100GB/s}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 312TFLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%}
links:
  - {name: h2d, from: dram, to: hbm, rate: 33GB/s, peak: 32GB/s, engine: 0}
  - {name: d2h, from: hbm, to: dram, rate: 24GB/s, pageable: 25GB/s, engine: 1}
END
try "links that never end" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
  - {name: dram, capacity: 64GiB, read: 100GB/s}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 312TFLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%, dequant: 3B/s}
  - {name: slow, place: hbm, peak: {fp32: 0.001FLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%}
links:
  - {name: h2d, from: dram, to: hbm, rate: 24GB/s, channel: 0.001B/s, pageable: 1B/s, engine: 0}
  - {name: d2h, from: hbm, to: dram, rate: 24GB/s, request: 1B, iops: 1, engine: 1}
  - {name: again, from: hbm, to: dram, rate: 24GB/s, latency: 1s, request: 4KiB, engine: 1}
END
try "two engines of one name" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 312TFLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%}
links: []
network:
  - {name: nvlink, ranks: 8, peak: 450GB/s, rate: 360GB/s, pairs: {depth: 4}}
engines:
  - {name: vllm-0.19, rate: 200GB/s}
  - {name: vllm-0.19, rate: 300GB/s}
END
try "kernels that nobody has" <<'END'
places:
  - {name: hbm, capacity: 80GiB, read: 2TB/s}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 312TFLOPS}, gemm_efficiency: 80%, stream_efficiency: 90%, kernels: twins.yaml}
links: []
END
rm twins.yaml
