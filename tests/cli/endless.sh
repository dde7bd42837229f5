#!/bin/sh
# Runs that simulated time is too short for, by a rate or by their number of steps, end in a located
# error that names what takes so long; the others of the sweep are stored, and are not run again.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
scenario sweep 'sweep: {hardware: [desktop-rtx4090, slow.yaml], seed: [1, 2]}'
scenario alone
sed -i 's/^hardware:.*/hardware: slow.yaml/' alone.yaml

# slow KEY VALUE: the RTX 4090's description, its GPU with the key in place of whatever it has
slow() {
    sed "0,/^    gemm_efficiency:/s//    $1: {value: $2, basis: estimate}\\n&/" \
        "$source/hw/presets/desktop-rtx4090.yaml" | awk -v key="    $1:" \
        'index($0, key) == 1 && seen++ == 1 {next} {print}' >slow.yaml
}

slow expert_efficiency 0.0000000000000001%
expect 1 "sweep.yaml:.*: error: with hardware slow.yaml, seed 1: simulated time ends after 106 days" \
    "$moesim" run sweep.yaml -o sweep.db
grep -q "step 0 of .*, at experts of layer 0 on 'gpu': .* FLOP/s) = more than 1281 h" said &&
    grep -q "2 of 4 runs have no result; those of the others are stored" said ||
    { echo "says little:"; cat said; failed=1; }
[ "$(sqlite3 sweep.db 'SELECT count(*) FROM run')" = 2 ] || { echo "the others are lost"; failed=1; }
expect 1 "2 of 2 runs have no result" "$moesim" run sweep.yaml -o sweep.db
expect 1 "^alone.yaml:3:11: error: simulated time ends .* at experts of layer 0 on 'gpu'" \
    "$moesim" explain alone.yaml
expect 1 "^alone.yaml:3:11: error: .*simulated time ends" \
    "$moesim" profile timeline --simulated alone.yaml -o alone.json.gz
[ ! -e alone.json.gz ] || { echo "half a timeline"; failed=1; }

slow attention_efficiency 0.0000000000000001%
expect 1 "at attention on 'gpu': .* = more than 1281 h; is that rate of the hardware meant?" \
    "$moesim" run alone.yaml
slow expert_efficiency 0.000001%
sed -i 's/requests: 3, prompt: 16, output: 16/requests: 300, prompt: 16, output: 400/' alone.yaml
expect 1 "after 25.. h in step .* of .*; simulate fewer or shorter requests ('workload')" \
    "$moesim" run alone.yaml
exit $failed
