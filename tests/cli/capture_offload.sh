#!/bin/sh
# Experts left on disk: the same routing, the counts of the simulator, decisions that replay.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
python3 -B "$source/tests/cli/checkpoint.py" model
cat >ids.jsonl <<JSON
{"ids": [5, 9, 17, 33, 2, 60, 41, 8, 8, 3], "domain": "c"}
{"ids": [7, 1, 1, 50, 22], "domain": "prose"}
{"ids": [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24], "domain": "c"}
JSON
capture() { "$moesim" capture --force -m model "$@"; }
capture -t ids.jsonl --decode 8 --batch 2 --chunk 6 --lookahead 2 --exact -o one >/dev/null || failed=1
again="--follow one.safetensors --batch 2 --chunk 6 --lookahead 2 --exact"

# The rows "layer hits+late misses loads" of both sides.
executed() { awk '$1 ~ /^[0-9]+$/ && NF == 10 { print $1, $2 + $3, $4, $5 }' "$1"; }
cat >sim.yaml <<YAML
model: model/config.json
hardware: phone-ufs4
routing: {trace: one.safetensors}
batching: as-captured
store: layer
experts: {home: flash}
YAML
layers()
{
    rm -f sim.db
    "$moesim" run sim.yaml --no-plot -o sim.db --set experts.cache.evict=$1 --set experts.cache.scope=$2 \
        --set "experts.cache.capacity=$3" >/dev/null || failed=1
    python3 -c 'import sqlite3
for row in sqlite3.connect("sim.db").execute(
        "select layer, hits + late, misses, loads from layer order by layer"): print(*row)'
}
for evict in lru belady static; do
    for scope in model layer; do
        for size in "1 slots" 25% 60%; do
            capture $again --offload "$size" --evict $evict --scope $scope --decisions run.log -o two >out ||
                { cat out; failed=1; }
            python3 -B "$source/tests/cli/capture.py" same_tensors one.safetensors two.safetensors || failed=1
            executed out >ran
            layers $evict $scope "$size" >simulated
            cmp ran simulated || { echo "$evict, $scope, $size:"; cat ran simulated; failed=1; }
            "$moesim" trace replay run.log one.safetensors >out || { cat out; failed=1; }
            grep -q "the counts are those of the run" out || { cat out; failed=1; }
        done
    done
done

# Prefetching: what timing made of it replays; so does a run that learns, without a trace to follow.
for how in "recorded next-layer" "markov next-layer" "oracle whole-next-layer" "recorded window"; do
    capture $again --offload 40% --predict "${how% *}" --prefetch "${how#* }" --decisions run.log -o two \
        >out || { cat out; failed=1; }
    python3 -B "$source/tests/cli/capture.py" same_tensors one.safetensors two.safetensors || failed=1
    "$moesim" trace replay run.log one.safetensors --csv >replayed || failed=1
    awk '$1 ~ /^[0-9]+$/ && NF == 10 { print $1 "," $2 "," $3 "," $4 "," $5 "," $6 "," $7 }' out >ran
    sed 1d replayed | cmp - ran || { cat ran replayed; failed=1; }
done
capture -t ids.jsonl --decode 8 --offload 40% --evict "{kind: lfu, counts: history}" --predict popularity \
    --prefetch "{kind: next-layer, budget: 2}" --profile 0% --decisions run.log -o three >/dev/null || failed=1
expect 0 "evict {kind: lfu, counts: history}, predict popularity, prefetch {kind: next-layer, budget: 2}" \
    "$moesim" trace replay run.log three.safetensors

# Who says nothing of forecasts gets the gates', in a run that records nothing too.
capture -t ids.jsonl --offload 40% --prefetch next-layer --decisions next.log --dry-run >out || { cat out; failed=1; }
grep -q "^set predict recorded" next.log && grep -q "^want " next.log || { head next.log; failed=1; }

# A log that ends early is checked as far as it goes.
head -n 100 run.log >cut.log
expect 0 "has no counts at its end" "$moesim" trace replay cut.log three.safetensors
exit $failed
