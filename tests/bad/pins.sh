# What can be wrong about pinned experts.
try()
{
    echo "== $1"
    cat >scenario.yaml <<END
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: $source/traces/samples/quickstart.safetensors, transform: [${5:-}]}
experts:
  home: dram
  cache:
    capacity: $2
    scope: $3
    pin:
      - {layer: 31, expert: 7}
      - $4
END
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm scenario.yaml
}
try "a layer that is not there" 25% layer '{layer: 32, expert: 0}'
try "an expert that is not there" 25% layer '{layer: 3, expert: 8}'
try "twice" 50% layer '{layer: 31, expert: 7}'
try "a full layer" 25% layer '{layer: 31, expert: 6}'
try "a full cache" "2 slots" model '{layer: 0, expert: 6}'
try "no expert" 25% layer '{layer: 3}'
try "no layer" 25% layer '{layer: -1, expert: 3}'
try "pruned" 75% layer '{layer: 0, expert: 3}' '{kind: mask, keep: 4}'
try "nothing wrong" 25% layer '{layer: 0, expert: 3}'
