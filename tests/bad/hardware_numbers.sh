# Numbers that no machine has.
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
