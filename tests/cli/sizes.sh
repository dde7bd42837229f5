#!/bin/sh
# Experts of unequal size: what a prefetch wasted is counted by the bytes of each.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
{
    echo layer,expert,bits
    echo '*,0,4'
    for expert in 1 2 3 4 5 6 7; do echo "*,$expert,1"; done
} >bits.csv
scenario sizes 'store: all'
sed -i -e 's/quickstart.safetensors"/&, transform: [{kind: precision, file: bits.csv}]/' \
    -e 's/predict: {kind: recorded}/&, prefetch: {kind: next-layer}/' sizes.yaml
expect 0 "1 runs\|1 run" "$moesim" run sizes.yaml
largest=$((3 * 4096 * 14336 / 2))
said=$(sqlite3 sizes.db "SELECT m.value < r.wasted * $largest AND m.value >= r.wasted * $largest / 4.0
    FROM metric m, residency r WHERE m.name = 'prefetch_waste_bytes' AND r.wasted > 0")
[ "$said" = 1 ] || { echo "wasted bytes: '$said'"; sqlite3 sizes.db "SELECT * FROM residency"; failed=1; }
exit $failed
