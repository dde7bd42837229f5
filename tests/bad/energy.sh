# Energies that cannot be, or that nobody has stated, and prices without what they are of.
machine()
{
    cat >machine.yaml <<END
host: cpu
places:
  - {name: hbm, capacity: 24GiB, read: 1TB/s, $1}
  - {name: dram, capacity: 128GiB, read: 80GB/s, device_energy: {read: 8pJ/bit}}
devices:
  - {name: gpu, place: hbm, peak: {bf16: 150TFLOPS}, gemm_efficiency: 0.9, stream_efficiency: 0.8,
     $2}
  - {name: cpu, kind: cpu, place: dram, peak: {fp32: 1TFLOPS}, gemm_efficiency: 0.7, stream_efficiency: 0.4,
     power: {idle: 30W}}
links:
  - {name: h2d, from: dram, to: hbm, rate: 24GB/s, engine: 0, $3}
END
}
try()
{
    echo "== $1"
    shift
    printf 'name: energy\nmodel: switch-base-8\nhardware: machine.yaml\n' >scenario.yaml
    printf 'routing: {synthetic: {sequences: 1, prompt: 0, output: 2}}\nworkload: {prompt: 0}\n' >>scenario.yaml
    printf '%s\n' "$@" >>scenario.yaml
    "$moesim" check scenario.yaml 2>&1 | grep -v '^  '
    rm scenario.yaml
}
idle='power: {idle: 40W, peak: 300W}'
known='device_energy: {read: 4pJ/bit}'
machine 'device_energy: {read: 4pJ, write: -1pJ/bit}' "$idle, device_energy: {bf16: 1pJ/bit, fp16: 1pJ/FLOP}" 'board_energy: 1W'
try "units, signs, names" 'energy: {mode: device}'
machine "$known" "$idle, device_energy: {bf16: 2uJ/FLOP}, board_energy: {base: 301W}" 'device_energy: 1nJ/B'
try "beyond what can be" 'energy: {mode: device}'
machine "$known" "power: {idle: 40W, peak: 300W}, board_energy: {base: 301W}" 'device_energy: 1nJ/B'
try "more before any work than at its peak" 'energy: {mode: device}'
machine "$known" "$idle, device_energy: {bf16: 0.2pJ/FLOP}" 'device_energy: 6pJ/bit'
try "a mode that there is not, and prices" 'energy: {mode: bord}' 'price: {per_hour: -1, energy_per_kwh: cheap, currncy: EUR}'
try "a price of energy that is not reckoned" 'price: {energy_per_kwh: 0.3}'
try "no board numbers, in one line for all runs" 'energy: {mode: board}' 'sweep: {workload.batch: [1, 2, 4]}'
machine "$known" 'device_energy: {bf16: 0.2pJ/FLOP}' 'device_energy: 6pJ/bit'
try "no idle power" 'energy: {mode: device}' 'sweep: {energy.mode: [none, device]}'
try "a warning of the runs that are left when others do not fit" 'infeasible: skip' 'experts: {home: dram}' 'sweep: {energy.mode: [none, device], experts.cache.capacity: [1B, 25%]}'
machine "$known" "$idle, device_energy: {bf16: 0.2pJ/FLOP}" 'latency: 1us'
try "no energy of the link" 'energy: {mode: device}' 'experts: {home: dram}'
try "nor of the host's arithmetic" 'energy: {mode: device}' 'experts: {home: dram, serve: {kind: host}}'
try "which does not matter to experts that stay" 'energy: {mode: device}'
try "a price in two currencies" 'price: {currency: EUR}'
echo 'price_per_hour: 1.5' >>machine.yaml
try "and where the machine has one" 'price: {currency: EUR, energy_per_kwh: 0.3}' 'energy: {mode: device}'
try "which is said anew" 'price: {currency: EUR, per_hour: 1.4}'
try "or left as it is" 'price: {currency: USD}'
rm machine.yaml
