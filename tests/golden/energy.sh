# Energy of runs, by part and phase, in both modes; a number that is missing; a device beyond its peak.
cat >machine.yaml <<'END'
host: cpu
price_per_hour: 2
places:
  - name: hbm
    capacity: 24GiB
    read: 1000GB/s
    device_energy: {read: 4pJ/bit}
    board_energy: {read: 15pJ/bit, write: 16pJ/bit}
  - {name: dram, capacity: 128GiB, read: 80GB/s, power: {idle: 20W}, device_energy: {read: 8pJ/bit, write: 64pJ/B},
     board_energy: {read: 20pJ/bit}}
  - {name: flash, capacity: 2TB, read: 7GB/s, device_energy: {read: 100pJ/bit}}
devices:
  - name: gpu
    place: hbm
    peak: {bf16: 150TFLOPS}
    gemm_efficiency: 90%
    stream_efficiency: 80%
    half_rows: 32
    launch: 2us
    power: {idle: 40W, peak: 150W}
    device_energy: {bf16: 0.2pJ/FLOP}
    board_energy: {bf16: 1pJ/FLOP, base: 70W}
  - {name: cpu, kind: cpu, place: dram, peak: {fp32: 1TFLOPS}, gemm_efficiency: 70%, stream_efficiency: 40%,
     half_rows: 4, launch: 2us, power: {idle: 30W}, device_energy: {fp32: 10pJ/FLOP}}
links:
  - {name: h2d, from: dram, to: hbm, rate: 24GB/s, latency: 10us, engine: 0, device_energy: 6pJ/bit, board_energy: 6pJ/bit}
  - {name: d2h, from: hbm, to: dram, rate: 24GB/s, latency: 10us, engine: 1}
  - {name: read, from: flash, to: dram, rate: 6GB/s, latency: 80us, engine: 2, device_energy: 5pJ/bit}
END
cat >scenario.yaml <<'END'
name: what a token takes
model: mixtral-8x7b
hardware: machine.yaml
precision: {experts: int4}
routing: {synthetic: {sequences: 4, prompt: 8, output: 12, skew: 0.6}}
workload: {prompt: 8, output: 12, warmup: 1}
experts: {home: dram, cache: {capacity: 50%, scope: layer}}
energy: {mode: device}
price: {per_hour: 2, energy_per_kwh: 0.25, currency: EUR}
sweep:
  energy.mode: [device, board]
  experts.cache.evict: [lru, belady]
  experts.serve.kind: [load, host]
expect:
  - {metric: energy_per_token_j, of: {experts.cache.evict: belady, experts.serve.kind: load},
     over: {experts.cache.evict: lru, experts.serve.kind: load}, agg: max, value: 1, within: 1%, bound: at_most,
     basis: arithmetic, source: "fewer loads and less time"}
END
"$moesim" run -o out.db --no-plot scenario.yaml
sqlite3 -separator ' ' out.db "
  SELECT r.parameters, e.phase, e.part, e.name, e.uj FROM energy e JOIN v_run r ON r.identity = e.run
  WHERE r.parameters LIKE '%=lru%' ORDER BY 1, 2, 3, 4;
  SELECT parameters, name, printf('%.9g', value), unit, printf('%.9g', perfect_cache) FROM v_metric
  WHERE parameters LIKE '%=lru%=load%' AND (name LIKE '%energy%' OR name LIKE 'price%' OR name LIKE '%power%')
  ORDER BY 1, 2"
echo "== all sums are those of the parts"
sqlite3 out.db "SELECT count(*) FROM run r JOIN metric m ON m.run = r.identity AND m.name = 'energy_j'
  WHERE abs(1e6 * m.value - (SELECT sum(uj) FROM energy WHERE run = r.identity)) > 0.01"
echo "== nothing is said without a mode"
"$moesim" run -q -o none.db scenario.yaml --set energy.mode=none --set price.energy_per_kwh=0 >/dev/null
sqlite3 none.db "SELECT count(*), (SELECT count(*) FROM metric WHERE name LIKE '%energy%' AND value NOT NULL)
  FROM energy"
echo "== more power than there is"
sed -i 's/peak: 150W/peak: 75W/' machine.yaml
"$moesim" run -q -o hot.db scenario.yaml --set energy.mode=board --set experts.serve.kind=load 2>&1
"$moesim" check scenario.yaml --set experts.serve.kind=load --set energy.mode=board | tail -n 1
rm none.db* hot.db*
rm machine.yaml scenario.yaml
