# Files given to the wrong command: traces to import, captures to open, an input as output. Nothing of
# what is there may change.
try()
{
    echo "== $*"
    "$moesim" "$@" 2>&1 | sed "s|$source/||g"
}
command -v python3 >/dev/null || exit 77
python3 -B "$source/tests/bad/trace.py" x.safetensors none
printf 'arrival_s,prompt,output\n0,5,5\n1,5,5\n' >requests.csv
printf 'seq,pos,layer,experts\n0,0,0,1 2\n0,1,0,1 3\n' >rows.csv
gzip -k rows.csv
cp "$source/tests/unit/data/engines/two.npz" "$source/tests/unit/data/engines/vllm_lists.json" \
    "$source/tests/unit/data/engines/hf_mixtral.safetensors" .
cp "$source/traces/samples/quickstart.safetensors" sample.safetensors
"$moesim" trace import requests.csv -o requests.safetensors >/dev/null || exit 1
"$moesim" trace import rows.csv -o rows.safetensors >/dev/null || exit 1
"$moesim" trace export sample.safetensors -o sample.csv >/dev/null || exit 1
"$moesim" trace import --shard-size 64KiB --experts 8 sample.csv -o y.safetensors >/dev/null || exit 1
ln -s rows.csv link.csv
ln rows.safetensors hard.safetensors
sums()
{
    cksum ./*.safetensors ./*.csv ./*.npz ./*.json
}
sums >before

try trace import x.safetensors -o z.safetensors
try trace import --format sglang x.safetensors -o z.safetensors
try trace import requests.safetensors -o z.safetensors
try trace import y.safetensors.index.json -o z.safetensors

try trace stats two.npz
try trace info rows.csv.gz
try trace info vllm_lists.json
try trace info hf_mixtral.safetensors
try trace transform rows.csv -s '{kind: slice, sequences: 1}' -o z.safetensors
cat >scenario.yaml <<'END'
name: a capture in place of a trace
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
experts: {home: dram}
routing: {trace: two.npz}
END
try check scenario.yaml

first=$(basename "$(ls y-00001-of-*.safetensors)")
try trace import rows.csv -o rows.csv
try trace import requests.csv rows.csv -o link.csv
try trace transform rows.safetensors -s '{kind: slice, sequences: 1}' -o ./hard.safetensors
try trace transform y.safetensors.index.json -s '{kind: slice, sequences: 1}' -o "$first"
try trace transform y.safetensors.index.json -s '{kind: slice, sequences: 1}' -o y.safetensors
try trace export rows.safetensors -f csv -o rows.safetensors
printf 'layers: 2\nexperts: 4\ntop_k: 2\n' >made.yaml
try trace synth made.yaml -o made.yaml
try trace fit rows.safetensors -o rows.safetensors
sums | cmp - before && echo "nothing changed"
rm -f ./*.safetensors ./*.csv ./*.npz ./*.json ./*.yaml rows.csv.gz before
