#!/bin/sh
# Exports: what comes back is what went out, byte for byte; what a format cannot hold is said.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
sample=$source/traces/samples/quickstart.safetensors

awk 'BEGIN { print "seq,pos,layer,experts,weights,phase"
             for (s = 3; s < 9; s++) for (i = 0; i < 20; i++) for (l = 1; l < 4; l++) {
                 e = (s * 7 + i * 3 + l) % 20
                 print s "," i "," l "," e " " e + 1 ",0.7 0.3," (i < 5 ? "prefill" : "decode")
             } }' >rows.csv
expect 0 "rows.safetensors written" "$moesim" trace import --force rows.csv -o rows.safetensors
for format in csv jsonl; do
    expect 0 "out.$format written" "$moesim" trace export --force rows.safetensors -o out.$format
    expect 0 "back.safetensors written" "$moesim" trace import --force out.$format --experts 21 -o back.safetensors
    "$moesim" trace export --force back.safetensors -o again.$format >/dev/null
    cmp out.$format again.$format || failed=1
    "$moesim" trace info rows.safetensors | tail -n +2 >wanted
    "$moesim" trace info back.safetensors | tail -n +2 | cmp - wanted || failed=1
done
cmp rows.csv out.csv || failed=1
# A trace that was changed stays marked, or the export says that it does not.
"$moesim" trace transform --force rows.safetensors -s '{kind: top-k, k: 1}' -o changed.safetensors >out 2>&1 || { cat out; failed=1; }
expect 0 "left out: metadata counterfactual, " "$moesim" trace export --force changed.safetensors -o changed.csv
expect 0 "left out: metadata counterfactual, " "$moesim" trace export --force changed.safetensors -o changed.npy
expect 0 "changed.jsonl written" "$moesim" trace export --force changed.safetensors -o changed.jsonl
grep -q "left out" out && { cat out; failed=1; }
expect 0 "back.safetensors written" "$moesim" trace import --force changed.jsonl -o back.safetensors
cmp changed.safetensors back.safetensors || failed=1
expect 0 "left out: look-ahead predictions" "$moesim" trace export --force "$sample" -o sample.npy
expect 0 "left out: which tokens are one sequence" "$moesim" trace export --force "$sample" -o sample.npy
expect 0 "sample.npy written" "$moesim" trace export --force --format npy "$sample" -o sample.npy
expect 0 "sample.bin written" "$moesim" trace export --force --format oracleGeneral "$sample" -o sample.bin
[ "$(wc -c <sample.bin)" -eq $((24 * 131072)) ] || { echo "sample.bin: $(wc -c <sample.bin)"; failed=1; }

expect 2 "'sample.bin' does not say the format; --format does" "$moesim" trace export --force "$sample" -o sample.bin
expect 2 "'-o OUT' is missing" "$moesim" trace export --force "$sample"
expect 3 "absent.safetensors: cannot open" "$moesim" trace export --force absent.safetensors -o x.csv
expect 3 "none/x.csv: cannot create" "$moesim" trace export --force "$sample" -o none/x.csv
[ "$("$moesim" trace export --force -f csv rows.safetensors -o /dev/stdout | head -n 2 | tail -n 1)" = "$(sed -n 2p rows.csv)" ] ||
    { echo "not on standard output"; failed=1; }
if [ -c /dev/full ]; then
    expect 3 "/dev/full: cannot write: No space left" "$moesim" trace export --force -f csv "$sample" -o /dev/full
    expect 3 "is written from its end" "$moesim" trace export --force -f oracleGeneral "$sample" -o /dev/full
fi
mkdir small
( ulimit -f 8; exec "$moesim" trace export --force -f csv "$sample" -o small/x.csv ) >out 2>&1
[ $? -eq 3 ] && [ -z "$(ls -A small)" ] || { cat out; ls -A small; failed=1; }
exit $failed
