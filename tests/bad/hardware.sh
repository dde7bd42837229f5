# Hardware files that cannot be.
try()
{
    echo "== $1"
    cat >machine.yaml
    printf 'name: hardware of its own\nmodel: mixtral-8x7b\nhardware: machine.yaml\n' >scenario.yaml
    printf 'routing: {trace: traces/samples/quickstart.safetensors}\n' >>scenario.yaml
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm machine.yaml scenario.yaml
}
try "nothing but a name" <<'END'
name: box
END
try "unknown keys, units, places" <<'END'
name: box
host: cpu
places:
  - {name: hbm, capacity: 24GiB, read: 1008GB}
  - {name: hbm, capacity: fast, raed: 10GB/s}
devices:
  - {name: gpu, kind: gpo, place: vram, peak: {bf16: 100TB/s}}
links:
  - {from: dram, to: hbm, bandwidth: 24GB/s}
END
